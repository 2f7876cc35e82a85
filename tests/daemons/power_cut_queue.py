"""Power cuts while smtpd takes mail for elsewhere: what was answered with 250 waits in the queue, once and whole.
# long
Letters go to somebody elsewhere, or to somebody elsewhere and a mailbox here. (lib_cut.py says how the disk of one
moment is had.) Whatever had no answer is there at most once; no file is left that nobody knows.
"""
import json
import os
import random
import threading
import time

from lib_cut import another_boot, disk, started_again, workplace
from lib_daemons import Daemons
from lib_load import Sender, whole
from lib_mount import need_root
from lib_wire import message_id, stored

need_root("power_cut_queue")
CUTS, CONNECTIONS = 5, 6
HERE, AWAY = "alice@example.test", "x@far.test"
HOW = dict(listeners=("smtp",), users=("alice",), plain=True)
SETTINGS = "policy.promiscuous_relay = yes\nqueue.delivery = queue\n"
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)
dice = random.Random(seed)


def recipients_of(name):
    return {"q": [AWAY], "b": [HERE, AWAY]}[name[0]]


def answered(senders):
    return [name for s in senders for name, code, _ in list(s.answered) if code == 250]


def waiting(d):
    """{Message-ID: [addresses]}; every row has its data file, whole."""
    found = {}
    for line in d.mailctl("queue", "list", "--json").stdout.splitlines():
        o = json.loads(line)
        octets = (d.data / "queue" / "data" / o["id"]).read_bytes()
        assert len(octets) == o["octets"], f"{o['id']}: {len(octets)} octets of {o['octets']}"
        head, _, rest = octets.partition(b"\r\n")
        assert head == b"Return-Path: <load@example.test>", head
        assert whole(rest), f"{o['id']} is torn"
        found.setdefault(message_id(octets), []).append([r["address"] for r in o["recipients"]])
    return found


def check(d, safe, sent):
    queue, boxes = waiting(d), stored(d.data)
    twice = [n for place in (queue, boxes) for n, these in place.items() if len(these) > 1]
    assert not twice, f"there twice: {twice[:5]}"
    got = {(n, HERE) for n in boxes} | {(n, a) for n, (to,) in queue.items() for a in to}
    assert len(got) == len(boxes) + sum(len(to) for (to,) in queue.values()), "a recipient has it twice"
    lost = [(n, a) for n in safe for a in recipients_of(n) if (n, a) not in got]
    assert not lost, f"answered with 250, not there: {lost[:5]} of {len(lost)}"
    strange = got - {(n, a) for n in sent for a in recipients_of(n)}
    assert not strange, f"nobody sent {sorted(strange)[:5]}"
    for paths in boxes.values():
        assert whole(paths[0].read_bytes().split(b"\r\n", 1)[1]), f"{paths[0]} is torn"
    files = len(list((d.data / "queue" / "data").iterdir()))
    assert files - len(queue) <= CONNECTIONS, f"{files} files for {len(queue)} messages"
    assert not [p for p in (d.data / "spool").rglob("*") if p.is_file()]
    return len(queue)


def load(d, copy_to, home):
    """[(copy, names answered before it began, all that was begun by its end)]"""
    names = [[f"{'qqb'[(i + n) % 3]}{i}.{n}@cut" for n in range(20000)] for i in range(CONNECTIONS)]
    senders = [Sender(d.port["smtp"], mine, recipients_of) for mine in names]
    pages = []
    for s in senders:
        s.start()
    for n in range(CUTS):
        time.sleep(0.5 + dice.random() * 1.5)
        copy, safe = f"{home}/cut{n}.img", answered(senders)
        copy_to(copy)
        begun = [len(s.answered) + len(s.refused) + 1 for s in senders]
        pages.append((copy, safe, [name for mine, count in zip(names, begun) for name in mine[:count]]))
        assert not any(s.refused for s in senders), [s.refused[:1] for s in senders]
    d.kill("smtpd")
    for s in senders:
        s.join(60)
    return pages


def run(home):
    failed = []
    threading.excepthook = lambda a: failed.append(a.exc_value)
    with disk(home) as (folder, copy_to):
        with Daemons(SETTINGS, folder=folder, **HOW) as d:
            pages = load(d, copy_to, home)
    assert not failed, failed
    for copy, safe, sent in pages:
        with started_again(copy) as folder:
            with Daemons(SETTINGS, folder=folder, wrapper=another_boot(home), **HOW) as d:
                print(f"{len(safe)} answered before the cut, {len(sent)} begun by its end, {check(d, safe, sent)} wait")
        os.unlink(copy)


with workplace() as place:
    run(place)
