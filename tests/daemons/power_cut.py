"""Power cuts: the disk as it was at some moment under load, mounted again. What was answered before is there.
# long
Every answer that came before must hold in it; lib_cut.py says how the disk of one moment is had.
"""
import os
import random
import re
import socket
import threading
import time

from lib_cut import another_boot, disk, started_again, workplace
from lib_daemons import Daemons
from lib_mount import need_root
from lib_wire import Gone, Imap, Smtp, message_id, stored

need_root("power_cut")
CUTS = 5
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)
dice = random.Random(seed)


def letter(name, octets):
    text = b"0123456789abcdef\r\n" * (octets // 18) + b"end of " + name.encode() + b"\r\n"
    return f"Message-ID: <{name}>\r\nSubject: {name}\r\n\r\n".encode() + text


class Book:
    """What the clients have been told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = set()        # began
        self.safe = {}           # name: mailbox, answered
        self.flags = {}          # name: flags whose STORE was answered
        self.unsure = set()      # names whose flags or presence are in flight
        self.gone = set()        # EXPUNGE answered
        self.uids = {}           # mailbox: {uid: name}
        self.uidnext, self.modseq, self.validity = {}, {}, {}
        self.answers = 0

    def page(self):
        with self.lock:
            copy = Book()
            for key in ("sent", "unsure", "gone"):
                setattr(copy, key, set(getattr(self, key)))
            copy.safe, copy.flags = dict(self.safe), {k: set(v) for k, v in self.flags.items()}
            copy.uids = {k: dict(v) for k, v in self.uids.items()}
            copy.uidnext, copy.modseq, copy.validity = dict(self.uidnext), dict(self.modseq), dict(self.validity)
            copy.answers = self.answers
            return copy


def sender(d, book, prefix, stop):
    n = 0
    try:
        with Smtp(d.port["smtp"]) as c:
            while not stop.is_set():
                n += 1
                name = f"{prefix}.{n}@cut"
                with book.lock:
                    book.sent.add(name)
                code, text = c.send("load@example.test", "alice@example.test", letter(name, dice.choice((100, 3000, 90000))))
                assert code == 250, (code, text)
                with book.lock:
                    book.safe[name] = "INBOX"
                    book.answers += 1
    except (Gone, socket.timeout):
        pass


def note_numbers(book, box, answer):
    with book.lock:
        for key, name in (("uidnext", "UIDNEXT"), ("modseq", "HIGHESTMODSEQ"), ("validity", "UIDVALIDITY")):
            value = answer.code(name)
            if value:
                getattr(book, key)[box] = max(getattr(book, key).get(box, 0), int(value))


def changer(d, book, prefix, stop):
    """APPEND to a mailbox of its own, STORE and EXPUNGE there."""
    mine, n, box = random.Random(prefix), 0, prefix
    have = {}
    try:
        with Imap(d.port["imap"]) as c:
            c.cmd(f"CREATE {box}")
            answer = c.cmd(f"SELECT {box}")
            assert answer.ok, answer
            note_numbers(book, box, answer)
            while not stop.is_set():
                n += 1
                what = mine.choice(("append", "append", "store", "expunge")) if len(have) > 3 else "append"
                if what == "append":
                    name = f"{prefix}.{n}@cut"
                    with book.lock:
                        book.sent.add(name)
                    answer = c.append(box, letter(name, mine.choice((100, 3000, 60000))))
                    assert answer.ok, answer
                    code = answer.code("APPENDUID")
                    uid = int(code.split()[1])
                    have[uid] = name
                    with book.lock:
                        book.safe[name] = box
                        book.uids.setdefault(box, {})[uid] = name
                        book.uidnext[box] = max(book.uidnext.get(box, 0), uid + 1)
                elif what == "store":
                    uid = mine.choice(sorted(have))
                    flag = mine.choice(("\\Flagged", "\\Answered", "\\Seen", "$cut"))
                    answer = c.cmd(f"UID STORE {uid} +FLAGS ({flag})")
                    assert answer.ok, answer
                    with book.lock:
                        book.flags.setdefault(have[uid], set()).add(flag)
                else:
                    uid = mine.choice(sorted(have))
                    name = have.pop(uid)
                    with book.lock:
                        book.unsure.add(name)
                    assert c.cmd(f"UID STORE {uid} +FLAGS (\\Deleted)").ok
                    answer = c.cmd(f"UID EXPUNGE {uid}")
                    assert answer.ok, answer
                    with book.lock:
                        book.gone.add(name)
                note_numbers(book, box, answer)
                if n % 10 == 0:
                    answer = c.cmd(f"STATUS {box} (UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")
                    found = re.search(rb"HIGHESTMODSEQ (\d+)", b" ".join(answer.lines))
                    with book.lock:
                        if found:
                            book.modseq[box] = max(book.modseq.get(box, 0), int(found.group(1)))
                with book.lock:
                    book.answers += 1
    except (Gone, socket.timeout):
        pass


def check(d, page, later, all_sent):
    """page: told before the copy began; later: told by its end; all_sent: everything that was ever begun."""
    lost_flags = 0
    with Imap(d.port["imap"]) as c:
        names = {}
        for box in ["INBOX"] + sorted(page.uidnext):
            answer = c.cmd(f"SELECT {box}")
            assert answer.ok, f"{box}: {answer}"
            validity, uidnext, modseq = (int(answer.code(k) or 0) for k in ("UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ"))
            if box in page.validity:
                assert validity == page.validity[box], f"{box}: UIDVALIDITY {page.validity[box]} -> {validity}"
                assert uidnext >= page.uidnext.get(box, 0), f"{box}: UIDNEXT {page.uidnext[box]} -> {uidnext}"
                # also above what was told while the copy ran: those numbers may have reached a client
                assert uidnext >= later.uidnext.get(box, 0), f"{box}: UIDNEXT {later.uidnext[box]} -> {uidnext}"
                assert modseq >= page.modseq.get(box, 0), f"{box}: HIGHESTMODSEQ {page.modseq[box]} -> {modseq}"
                assert modseq >= later.modseq.get(box, 0), f"{box}: HIGHESTMODSEQ {later.modseq[box]} -> {modseq}"
            seen = c.messages("UID FLAGS BODY.PEEK[]")
            for uid, flags, octets in seen:
                name = message_id(octets)
                assert name in all_sent, f"{box}: nobody sent {name}"
                assert octets.endswith(f"end of {name}\r\n".encode()), f"{box}: {name} is torn"
                assert name not in names, f"{name} is in {box} and {names[name]}"
                names[name] = box
                told = later.uids.get(box, {}).get(uid)
                assert told in (None, name), f"{box}: UID {uid} was {told}, is {name}"
                if name in page.flags and name not in later.unsure:
                    lost_flags += not page.flags[name] <= flags
            if seen:
                c.cmd(f"STATUS {box} (MESSAGES)")
                answer = c.append(box, letter(f"after.{box}@cut", 100))
                if answer.ok and answer.code("APPENDUID"):
                    uid = int(answer.code("APPENDUID").split()[1])
                    assert uid >= max(u for u, _, _ in seen) + 1 and uid >= later.uidnext.get(box, 0)
        missing = [n for n in page.safe if n not in names and n not in later.unsure]
        assert not missing, f"answered, then lost: {missing[:5]} of {len(missing)}"
        back = [n for n in page.gone if n in names]
    disk = {}
    for box in ["INBOX"] + sorted(page.uidnext):
        for name, paths in stored(d.data, "alice", "" if box == "INBOX" else box).items():
            disk.setdefault(name, []).extend(paths)
    twice = [p for n, p in disk.items() if len(p) > 1]
    assert not twice, f"twice on disk: {twice[:3]}"
    left = [p for p in (d.data / "spool").rglob("*") if p.is_file()]
    assert not left, left
    return len(names), back, lost_flags


def cut(copy_to, copy, book):
    page = book.page()
    copy_to(copy)
    return page, book.page()


def replay(home, copy, page, later, all_sent):
    with started_again(copy) as folder:
        with Daemons(listeners=("smtp", "imap"), users=("alice",), cleartext=True, plain=True, folder=folder,
                     wrapper=another_boot(home)) as d:
            return check(d, page, later, all_sent)


def load(d, book, copy_to, home):
    """Cuts while clients work; [(copy, page, later)]."""
    stop, failed, pages = threading.Event(), [], []
    threading.excepthook = lambda a: failed.append(a.exc_value)
    workers = [threading.Thread(target=sender, args=(d, book, f"s{i}", stop), daemon=True) for i in range(3)]
    workers += [threading.Thread(target=changer, args=(d, book, f"Box{i}", stop), daemon=True) for i in range(3)]
    for w in workers:
        w.start()
    for n in range(CUTS):
        time.sleep(0.5 + dice.random() * 1.5)
        copy = f"{home}/cut{n}.img"
        pages.append((copy, *cut(copy_to, copy, book)))
        assert not failed, failed
    stop.set()
    for w in workers:
        w.join(60)
    assert not failed, failed
    return pages


def run(home):
    book = Book()
    with disk(home) as (folder, copy_to):
        with Daemons(listeners=("smtp", "imap"), users=("alice",), cleartext=True, plain=True, folder=folder) as d:
            pages = load(d, book, copy_to, home)
    sent = book.sent | {f"after.{b}@cut" for b in ["INBOX", *book.uidnext]}
    for copy, page, later in pages:
        count, back, lost = replay(home, copy, page, later, sent)
        print(f"{len(page.safe)} answered before the cut, {len(later.safe)} after it, {count} found, "
              f"{len(back)} expunged ones back, flags of {lost} lost")
        os.unlink(copy)


with workplace() as place:
    run(place)
