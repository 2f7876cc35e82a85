"""Mail for elsewhere while smtpd is killed: what was answered waits in the queue once, what was not at most once.
Letters go to a mailbox here, to somebody elsewhere, or to both; then the same on a disk that gets full.
"""
import itertools
import json
import random
import time

from lib_daemons import Daemons
from lib_load import Sender, letter, whole
from lib_mount import mounted, need_root
from lib_wire import Smtp, message_id, stored

need_root("queue_crash")
ROUNDS, CONNECTIONS, LETTERS = 3, 8, 160
HERE, AWAY = "alice@example.test", "x@far.test"
SETTINGS = "policy.promiscuous_relay = yes\nqueue.delivery = queue\n"
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)
dice = random.Random(seed)
serial = itertools.count()


def waiting(d):
    """{Message-ID: [object]} of the queue; every data file whole and named by a row."""
    found = {}
    objects = [json.loads(line) for line in d.mailctl("queue", "list", "--json").stdout.splitlines()]
    for o in objects:
        octets = (d.data / "queue" / "data" / o["id"]).read_bytes()
        assert len(octets) == o["octets"], o
        head, _, rest = octets.partition(b"\r\n")
        assert head == b"Return-Path: <load@example.test>", head
        assert whole(rest), f"{o['id']} is torn"
        found.setdefault(message_id(octets), []).append(o)
    return found


def check(d, answered, unanswered):
    """A mailbox here that cannot be written has its copy in the queue, as a further recipient."""
    queue, boxes = waiting(d), stored(d.data)
    twice = [n for place in (queue, boxes) for n, these in place.items() if len(these) > 1]
    assert not twice, f"there twice: {twice[:5]}"
    got = {(n, HERE) for n in boxes}
    for name, (o,) in queue.items():
        assert o["state"] == "waiting", o
        for address in [r["address"] for r in o["recipients"]]:
            assert (name, address) not in got, f"{name} has {address} twice"
            got.add((name, address))
    lost = [(n, a) for n in answered for a in recipients_of(n) if (n, a) not in got]
    assert not lost, f"answered with 250, not there: {lost[:5]} of {len(lost)}"
    strange = got - {(n, a) for n in answered + unanswered for a in recipients_of(n)}
    assert not strange, f"nobody was told of {sorted(strange)[:5]}"
    return len(queue)


def recipients_of(name):
    return {"q": [AWAY], "m": [HERE], "b": [HERE, AWAY]}[name[0]]


def crash_rounds(d):
    answered, unanswered = [], []
    for turn in range(ROUNDS):
        share = LETTERS // CONNECTIONS
        senders = [Sender(d.port["smtp"], [f"{'qqbbm'[(i + n) % 5]}{turn}.c{i}.{n}@load" for n in range(share)],
                          recipients_of) for i in range(CONNECTIONS)]
        for s in senders:
            s.start()
        goal, end = dice.randrange(5, LETTERS - 20), time.monotonic() + 60
        while sum(len(s.answered) for s in senders) < goal and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(dice.random() * 0.01)
        d.kill("smtpd")
        for s in senders:
            s.join(40)
            assert not s.refused, s.refused[:3]
            answered += [name for name, _, _ in s.answered]
            unanswered += s.unanswered
        d.start("smtpd")
        print(f"round {turn}: {len(answered)} answered, {check(d, answered, unanswered)} in the queue")
    # debris is young: it is there still, but only as many files as letters without an answer
    files = len(list((d.data / "queue" / "data").iterdir()))
    assert files - len(waiting(d)) <= len(unanswered), (files, len(unanswered))


def fill(d, answered, size):
    """Send until refused."""
    with Smtp(d.port["smtp"]) as c:
        for n in range(3000):
            name = f"{'qb'[n % 2]}{next(serial)}.{size}@full"
            code, text = c.send("load@example.test", recipients_of(name), letter(name, size))
            if code != 250:
                assert c.cmd("NOOP")[0] == 250, "the session goes on"
                return code, text
            answered.append(name)
    raise AssertionError("the disk never got full")


def full_rounds(d):
    answered = []
    for reserve in ("2M", "0", "2M"):
        d.set("store.min_free", reserve)
        d.stop("smtpd")
        d.start("smtpd")
        for size in (100_000, 1_000):
            code, text = fill(d, answered, size)
            assert code == 452, (code, text)
            check(d, answered, [])
        before = len(waiting(d))
        files = {p.name for p in (d.data / "queue" / "data").iterdir()}
        assert len(files) == before, "nothing refused leaves a file"
        print(f"full with min_free {reserve}: {len(answered)} taken, {before} in the queue")
        gone = [n for n in list(waiting(d)) if n.startswith("q")][:30]
        ids = [waiting(d)[n][0]["id"] for n in gone]
        d.mailctl("queue", "delete", *ids)
        answered = [n for n in answered if n not in gone]
        with Smtp(d.port["smtp"]) as c:
            name = f"b{next(serial)}.room@full"
            code, text = c.send("load@example.test", [HERE, AWAY], letter(name, 100_000))
            assert code == 250, (code, text)
            answered.append(name)
        check(d, answered, [])


with Daemons(SETTINGS, listeners=("smtp",), users=("alice",), plain=True) as daemons:
    crash_rounds(daemons)
with mounted("-t", "tmpfs", "-o", "size=24m", "tmpfs") as folder:
    # the disk is smaller than what MAIL demands to be free: here the store decides
    with Daemons(SETTINGS + "smtp.min_free = 0\n", listeners=("smtp",), users=("alice",), plain=True, folder=folder) as daemons:
        full_rounds(daemons)
