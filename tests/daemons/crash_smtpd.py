"""Deliveries and IMAP changes while the daemons are killed: what was answered stays, and nothing comes twice.
Several rounds: connections send letters, each with a Message-ID and a check sum of its own, until
smtpd gets SIGKILL at a random moment. Then the same for imapd with APPEND, COPY, MOVE, STORE, EXPUNGE.
"""
import random
import socket
import threading
import time

from lib_daemons import Daemons
from lib_load import Sender, letter, whole
from lib_wire import Gone, Imap, Pop, message_id, stored

ROUNDS, CONNECTIONS, LETTERS = 3, 8, 200
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)
dice = random.Random(seed)


def check_accounts(d, answered, unanswered, users):
    for user in users:
        disk = stored(d.data, user)
        with Imap(d.port["imap"], user) as c:
            assert c.cmd("SELECT INBOX").ok
            seen = c.messages("UID FLAGS BODY.PEEK[]")
        with Pop(d.port["pop3"], user) as p:
            count = int(p.cmd("STAT").split()[1])
        ids = [message_id(octets) for _, _, octets in seen]
        torn = [i for (_, _, octets), i in zip(seen, ids) if not whole(octets)]
        assert not torn, f"{user}: torn: {torn}"
        assert count == len(seen), f"{user}: POP3 sees {count}, IMAP {len(seen)}"
        assert len(set(ids)) == len(ids), f"{user}: seen twice: {sorted(i for i in ids if ids.count(i) > 1)}"
        missing = set(answered) - set(ids)
        assert not missing, f"{user}: answered with 250, not there: {sorted(missing)[:5]} of {len(missing)}"
        strange = set(ids) - set(answered) - set(unanswered)
        assert not strange, f"{user}: nobody sent {strange}"
        twice = [paths for paths in disk.values() if len(paths) > 1]
        assert not twice, f"{user}: on disk twice: {twice[:3]}"
        assert set(disk) == set(ids), f"{user}: disk and IMAP differ: {set(disk) ^ set(ids)}"
        uids = [uid for uid, _, _ in seen]
        assert uids == sorted(set(uids)), "UIDs out of order"


def no_debris(d):
    left = [p for p in (d.data / "spool").rglob("*") if p.is_file()]
    left += [p for p in (d.data / "mail").rglob("tmp/*")]
    assert not left, f"left behind: {left[:5]}"


def smtp_rounds(d):
    answered, unanswered = [], []
    for turn in range(ROUNDS):
        share = LETTERS // CONNECTIONS
        senders = [Sender(d.port["smtp"], [f"r{turn}.c{i}.{n}@load" for n in range(share)],
                          ["alice@example.test", "bob@example.test"] if i % 2 else ["alice@example.test",
                                                                                  "bob@example.test"][::-1])
                   for i in range(CONNECTIONS)]
        for s in senders:
            s.start()
        goal = dice.randrange(5, LETTERS - 20)
        end = time.monotonic() + 60
        while sum(len(s.answered) for s in senders) < goal and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(dice.random() * 0.01)
        d.kill("smtpd")
        for s in senders:
            s.join(40)
        for s in senders:
            answered += [name for name, _, _ in s.answered]
            unanswered += s.unanswered
            assert not s.refused, s.refused[:3]
        d.start("smtpd")
        print(f"round {turn}: killed after {sum(len(s.answered) for s in senders)} answers")
        check_accounts(d, answered, unanswered, ("alice", "bob"))
    no_debris(d)


# ---- imapd: what a model knows after the last OK, and what one command more may have changed

class Model:
    """Letters of two mailboxes by Message-ID: set of flags. `maybe`: what the unanswered command may have made of it."""

    def __init__(self):
        self.box = {"INBOX": {}, "Other": {}}
        self.maybe = []


def imap_worker(port, prefix, model, stop, n):
    mine = random.Random(n)
    try:
        with Imap(port, "carol") as c:
            while not stop.is_set():
                n += 1
                box = f"{prefix}{mine.choice('ab')}"
                other = f"{prefix}{'b' if box.endswith('a') else 'a'}"
                have, there = model.box.setdefault(box, {}), model.box.setdefault(other, {})
                name = mine.choice(sorted(have)) if have else None
                what = mine.choice(("append", "append", "append", "store", "copy", "move", "expunge"))
                after = {b: dict(m) for b, m in model.box.items()}
                if what == "append" or not name:
                    new = f"{prefix}.{n}@load"
                    after[box][new] = set()
                    command = ("APPEND", box, letter(new, mine.choice((10, 3000, 100000))))
                else:
                    assert c.cmd(f"SELECT {box}").ok
                    uid = next((u for u, _, head in c.messages("UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]")
                                if message_id(head) == name), None)
                    assert uid, f"{name} is not in {box}"
                    if what == "store":
                        flag = mine.choice(("\\Flagged", "\\Seen", "$work"))
                        after[box][name] = have[name] | {flag}
                        command = (f"UID STORE {uid} +FLAGS ({flag})",)
                    elif what == "copy":
                        if name in there:
                            continue
                        after[other][name] = set(have[name])
                        command = (f"UID COPY {uid} {other}",)
                    elif what == "move":
                        if name in there:
                            continue
                        after[other][name] = after[box].pop(name)
                        command = (f"UID MOVE {uid} {other}",)
                    else:
                        after[box].pop(name)
                        assert c.cmd(f"UID STORE {uid} +FLAGS (\\Deleted)").ok
                        model.box[box][name] = have[name] | {"\\Deleted"}
                        command = (f"UID EXPUNGE {uid}",)
                model.maybe = [after]
                if what == "move":  # cut in the middle, it may be in both
                    model.maybe.append({b: dict(m) for b, m in after.items()})
                    model.maybe[1][box][name] = have[name]
                answer = c.append(command[1], command[2]) if command[0] == "APPEND" else c.cmd(*command)
                assert answer.ok, (command[0], answer)
                model.box, model.maybe = after, []
    except (Gone, socket.timeout):
        pass


def check_models(d, models):
    with Imap(d.port["imap"], "carol") as c:
        for prefix, model in models.items():
            found = {}
            for box in model.box:
                assert c.cmd(f"SELECT {box}").ok, box
                found[box] = {}
                for uid, flags, octets in c.messages("UID FLAGS BODY.PEEK[]"):
                    name = message_id(octets)
                    assert whole(octets), f"{box}: {name} is torn"
                    assert name not in found[box], f"{box}: {name} is there twice"
                    found[box][name] = flags
            known = [model.box] + model.maybe
            # a deletion mark goes with the command that was in flight
            assert found in known or strip(found) in [strip(k) for k in known], \
                f"{prefix}: found {found}\nafter the last OK {model.box}\nunanswered {model.maybe}"
            model.box, model.maybe = found, []


def strip(boxes):
    return {b: {n: f - {"\\Deleted"} for n, f in m.items()} for b, m in boxes.items()}


def imap_rounds(d):
    models = {f"w{i}": Model() for i in range(4)}
    with Imap(d.port["imap"], "carol") as c:
        for prefix, model in models.items():
            model.box = {f"{prefix}a": {}, f"{prefix}b": {}}
            for box in model.box:
                assert c.cmd(f"CREATE {box}").ok
    for turn in range(ROUNDS):
        stop = threading.Event()
        failed = []
        threading.excepthook = lambda args: failed.append(args.exc_value)
        workers = [threading.Thread(target=imap_worker, args=(d.port["imap"], p, m, stop, turn * 100000), daemon=True)
                   for p, m in models.items()]
        for w in workers:
            w.start()
        time.sleep(1 + dice.random())
        d.kill("imapd")
        stop.set()
        for w in workers:
            w.join(40)
        assert not failed, failed
        d.start("imapd")
        print(f"imapd round {turn}: {sum(len(b) for m in models.values() for b in m.box.values())} letters")
        check_models(d, models)
    no_debris(d)


with Daemons(listeners=("smtp", "imap", "pop3"), users=("alice", "bob", "carol"),
             cleartext=True, plain=True) as daemons:
    smtp_rounds(daemons)
    imap_rounds(daemons)
