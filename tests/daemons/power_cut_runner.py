"""Power cuts while smtpd takes mail for elsewhere and sends it there.
# long
Letters go to a server that takes them, to one that is down, to somebody who does not exist there, to a mailbox here.
(lib_cut.py says how the disk of one moment is had.) From that disk everything that was answered with 250 arrives. What
another process saw as sent before the cut was on the disk, and is not sent again; what had no result yet may be. Every
second cut comes while nobody sends us anything: then nothing but a result's own sync brings it to the disk."""
import json
import os
import random
import re
import threading
import time

from lib_cut import another_boot, disk, started_again, workplace
from lib_daemons import Daemons, free_ports, wait_for
from lib_load import Sender, whole
from lib_mount import need_root
from lib_relay import Peer
from lib_wire import message_id, stored

need_root("power_cut_runner")
CUTS, CONNECTIONS = 6, 4
PORT = free_ports(1)[0]
HERE, AWAY, DOWN, NOBODY = "alice@example.test", "x@far.test", "y@down.test", "no@far.test"
TO = {"q": [AWAY], "t": [AWAY, DOWN], "m": [HERE, AWAY], "n": [NOBODY]}
HOW = dict(listeners=("smtp",), users=("alice", "load"), plain=True, sends=True)
SETTINGS = f"""policy.promiscuous_relay = yes
client.port = {PORT}
client.host_status_timeout = 1 s
queue.retry_first = 1 s
queue.retry_most = 1 s
"""
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)
dice = random.Random(seed)


def recipients_of(name):
    return TO[name[0]]


class Names(list):
    """Given out while the gate is open."""

    def __init__(self, names, gate):
        super().__init__(names)
        self.gate = gate

    def __iter__(self):
        for name in super().__iter__():
            self.gate.wait()
            yield name


class Far(Peer):
    """Takes a letter in some milliseconds; nobody has the address NOBODY."""

    def __init__(self, address):
        super().__init__(address, PORT, rcpt=lambda a, n: "550 5.1.1 nobody" if a == NOBODY else None,
                         end=lambda sender, octets: time.sleep(0.005))

    def took(self):
        """{(name, address): how often}"""
        found = {}
        for _, to, octets in list(self.mails):
            assert whole(octets), f"torn at the other server, {len(octets)} octets: {octets[:700]} {octets[-100:]}"
            for a in to:
                key = message_id(octets), a
                found[key] = found.get(key, 0) + 1
        return found


def waiting(d):
    """{(queue id, address)} of rows without an end, as another process reads them."""
    found = set()
    for line in d.mailctl("queue", "list", "--json").stdout.splitlines():
        o = json.loads(line)
        found |= {(o["id"], r["address"]) for r in o["recipients"] if r["state"] == "waiting"}
    return found


def answered(senders):
    """{name: queue id}"""
    return {name: text.split()[-1] for s in senders for name, code, text in list(s.answered) if code == 250}


def over(d, safe):
    """Recipients elsewhere of answered letters who have their end, and it is on the disk."""
    waits = waiting(d)
    return {(name, a) for name, number in safe.items() for a in recipients_of(name) if a != HERE and (number, a) not in waits}


def reports(d):
    """{name: reports about it}"""
    found = {}
    for paths in stored(d.data, "load").values():
        for path in paths:
            for name in set(re.findall(rb"(?mi)^message-id:\s*<([^>]*@cut)>", path.read_bytes())):
                found[name.decode()] = found.get(name.decode(), 0) + 1
    return found


def load(d, far, copy_to, home):
    """[(copy, answered before it began, over by then, taken by its end)]"""
    gate = threading.Event()
    gate.set()
    names = [Names([f"{'qtmn'[(i + n) % 4]}{i}.{n}@cut" for n in range(20000)], gate) for i in range(CONNECTIONS)]
    senders = [Sender(d.port["smtp"], mine, recipients_of) for mine in names]
    pages = []
    for s in senders:
        s.start()
    for n in range(CUTS):
        gate.set()
        time.sleep(0.5 + dice.random())
        if n % 2:
            gate.clear()
            time.sleep(0.1 + dice.random() * 0.5)
        safe, copy = answered(senders), f"{home}/cut{n}.img"
        ends = over(d, safe)
        copy_to(copy)
        pages.append((copy, safe, ends, far.took()))
        assert not any(s.refused for s in senders), [s.refused[:1] for s in senders]
    d.kill("smtpd")
    gate.set()
    for s in senders:
        s.join(60)
    return pages


def check(d, safe, ends, before):
    with Far("127.0.0.61") as far, Far("127.0.0.62") as down:
        wait_for(lambda: not d.mailctl("queue", "list").stdout, 180, "an empty queue")
        after = {**far.took(), **down.took()}
    again = {key for key in after if key in before}
    told, boxes = reports(d), stored(d.data)
    assert not again & ends, f"sent again, though its end was on the disk: {sorted(again & ends)[:5]} of {len(again & ends)}"
    assert not [key for key, times in after.items() if times > 1], "twice without a cut between"
    here = {(name, HERE) for name in boxes}
    assert not [name for name, paths in boxes.items() if len(paths) > 1], "twice in a mailbox"
    got = {*before, *after, *here, *((name, NOBODY) for name in told)}
    lost = [(n, a) for n in safe for a in recipients_of(n) if (n, a) not in got]
    assert not lost, f"answered with 250, nowhere: {lost[:5]} of {len(lost)}"
    # What was over before the cut is known to whoever took it; the report of a failure is as safe as the failure.
    assert not [key for key in ends if key not in got]
    twice = sum(1 for times in told.values() if times > 1)
    print(f"{len(safe)} answered before the cut, {len(ends)} recipients over, {len(after)} sent after it, of them again "
          f"{len(again)}; {len(told)} reports, twice {twice}")


def run(home):
    failed = []
    threading.excepthook = lambda a: failed.append(a.exc_value)
    with open(f"{home}/mailertable", "w") as f:
        f.write("far.test\tesmtp:[127.0.0.61]\ndown.test\tesmtp:[127.0.0.62]\n")
    settings = SETTINGS + f"routing.mailertable = {home}/mailertable\n"
    with disk(home) as (folder, copy_to):
        with Daemons(settings, folder=folder, **HOW) as d, Far("127.0.0.61") as far:
            pages = load(d, far, copy_to, home)
    assert not failed, failed
    assert sum(len(ends) for _, _, ends, _ in pages) > 100, "hardly anything was sent before the cuts"
    for copy, safe, ends, before in pages:
        with started_again(copy) as folder:
            with Daemons(settings, folder=folder, wrapper=another_boot(home), **HOW) as d:
                check(d, safe, ends, before)
        os.unlink(copy)


with workplace() as place:
    run(place)
