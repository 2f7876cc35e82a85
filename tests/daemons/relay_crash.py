"""smtpd is killed again and again while it takes mail for here, for elsewhere, for both and for people who do not exist.
# long
A ledger says what became of each message answered with 250: every recipient has it, or the sender a report. Twice has it
only who can have been told twice: a server that took it, or a mailbox that got it from the queue, at a kill before that
was written down (RFC 1047). ROUNDS=n: how many kills."""
import itertools
import os
import random
import re
import smtplib
import threading
import time

from lib_daemons import Daemons, free_ports, wait_for
from lib_dns import Dns
from lib_relay import Peer

ROUNDS, SENDERS = int(os.environ.get("ROUNDS", "100")), 4
PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd")}
ALICE, BOB, REMOTE = "alice@example.test", "bob@example.test", ("x@one.test", "x@two.test", "x@three.test")
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)
dice = random.Random(seed)
serial = itertools.count()
answered, lock = {}, threading.Lock() # name: its recipients
taken, kills = {}, []                 # (name, recipient): [when, ...]; when


def some_recipients():
    """(kind, recipients): l here, r elsewhere, m both, b nobody has it, n one of them nobody has."""
    one = dice.choice(REMOTE)
    return dice.choice((("l", [ALICE]), ("l", [ALICE, BOB]), ("r", [one]), ("r", [one]), ("r", list(REMOTE)), ("m", [one, ALICE]),
                        ("m", [BOB, *REMOTE, ALICE]), ("b", ["no@one.test"]), ("n", ["no@four.test", one, BOB])))


def load(d, stop, prefix):
    while not stop.is_set():
        try:
            with smtplib.SMTP("127.0.0.1", d.port["smtp"], timeout=5) as s:
                while not stop.is_set():
                    kind, to = some_recipients()
                    name = f"{kind}{prefix}{next(serial)}"
                    refused = s.sendmail(BOB if kind in "bn" else "", to,
                                         f"Message-ID: <{name}@t>\r\n\r\n{'x' * dice.randrange(3000)}\r\n")
                    with lock:
                        answered[name] = [a for a in to if a not in refused]
        except (OSError, smtplib.SMTPException):
            time.sleep(0.02)


class Stamped(list):
    def append(self, mail):
        super().append((time.monotonic(), *mail))


class Host(Peer):
    """Notes what it took, and when."""

    def __init__(self, address, rcpt=None, drops=0.0):
        self.drops = drops
        def refuse(a, n):
            return "550 5.1.1 nobody" if a.startswith("no@") else rcpt and rcpt(a, n)
        super().__init__(address, PORT, rcpt=refuse, end=lambda s, o: "DROP" if dice.random() < self.drops else None)
        self.mails = Stamped()

    def note(self):
        for when, _, to, octets in self.mails:
            name = re.search(rb"Message-ID: <(\w+)@t>", octets)[1].decode()
            for address in to:
                taken.setdefault((name, address), []).append(when)


def mailboxes(d):
    """{(name, address): copies} of letters here, and {name: reports}."""
    found, reports = {}, {}
    for file in (d.data / "mail").rglob("new/*"):
        user = next(u for u in ("alice", "bob") if u in file.relative_to(d.data).parts)
        octets = file.read_bytes()
        name = re.search(rb"Message-ID: <(\w+)@t>", octets, re.I)[1].decode()
        if octets.startswith(b"Return-Path: <>") and b"multipart/report" in octets:
            assert user == "bob", "a report for somebody else"
            for address in re.findall(rb"Final-Recipient: rfc822; ?(\S+)", octets):
                key = name, address.decode()
                reports[key] = reports.get(key, 0) + 1
        else:
            found[name, f"{user}@example.test"] = found.get((name, f"{user}@example.test"), 0) + 1
    return found, reports


def missing(here, reports):
    """Recipients of answered messages of whom nothing is known."""
    return [key for name, to in answered.items() for key in ((name, a) for a in to)
            if not (key in reports if key[1].startswith("no@") else key in taken or key in here)]


def one_round(d, number):
    stop = threading.Event()
    threads = [threading.Thread(target=load, args=(d, stop, f"r{number}t{k}x")) for k in range(SENDERS)]
    for t in threads:
        t.start()
    time.sleep(dice.uniform(0.1, 1.0))
    d.kill("smtpd")
    kills.append(time.monotonic())
    stop.set()
    for t in threads:
        t.join()
    d.start("smtpd")


def judge(d):
    here, reports = mailboxes(d)
    for kind, what in ("elsewhere", taken), ("here", here), ("reports", reports):
        print(f"{kind}: {len(what)}, twice {sum(1 for n in what.values() if (n if isinstance(n, int) else len(n)) > 1)}")
    print(f"answered {len(answered)} for {sum(len(to) for to in answered.values())} recipients")
    assert not missing(here, reports), missing(here, reports)[:20]
    for key, times in taken.items(): # what lay in a peer's socket at a kill is noted a little later
        for before, after in zip(sorted(times), sorted(times)[1:]):
            assert any(before - 2 < kill < after for kill in kills), f"{key} twice without a kill between: {times}"
    for key, copies in here.items():
        assert copies == 1, f"{key}: {copies} copies here, though a client's own message never waits in the queue"
    twice = sum(len(times) - 1 for times in taken.values()) + sum(n - 1 for n in reports.values())
    assert twice <= ROUNDS * 3 * 10 + len(taken) // 10, f"{twice}: more than what the kills explain"
    assert not [key for key in reports if not key[1].startswith("no@")], "a report about somebody who exists"


def main():
    hosts = ("one", "two", "three", "four")
    records = {f"{name}.test": {"MX": f"10 mx.{name}.test"} for name in hosts}
    records.update({f"mx.{name}.test": {"A": f"127.0.0.{n}"} for n, name in enumerate(hosts, 61)})
    with Dns(records) as dns, Host("127.0.0.61") as one, \
            Host("127.0.0.62", rcpt=lambda a, n: "451 4.7.1 later" if n % 5 == 0 else None) as two, \
            Host("127.0.0.63", drops=0.05) as three, Host("127.0.0.64") as four:
        peers = (one, two, three, four)
        with Daemons(f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {PORT}\n"
                     "client.host_status_timeout = 1 s\nqueue.retry_first = 1 s\nqueue.retry_most = 1 s\n",
                     listeners=LISTENERS, sends=True, plain=True) as d:
            for number in range(ROUNDS):
                one_round(d, number)
            wait_for(lambda: not d.mailctl("queue", "list").stdout, 120, "an empty queue")
            for host in peers:
                host.note()
            judge(d)


main()
