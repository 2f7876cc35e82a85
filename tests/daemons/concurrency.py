"""Twenty IMAP clients and deliveries on one account: the numbers each client is told stay true.
# long
Each client keeps the mailbox as the untagged responses tell it: EXISTS only grows it, EXPUNGE takes one out and
never comes while FETCH, STORE or SEARCH by number runs, a number always means the UID it meant, UIDs only grow.
At the end all views, a fresh session, the index and the disk are the same, and no change that was answered is lost.
"""
import random
import re
import socket
import threading
import time

from lib_daemons import Daemons, sanitized, wait_for
from lib_wire import Imap, Smtp, message_id, stored

CLIENTS, SENDERS, SECONDS = 20, 3, 10
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)


def letter(name):
    return f"Message-ID: <{name}>\r\nSubject: {name}\r\n\r\n{'line of text' * 5}\r\n"


class View:
    """One client's picture; uids[n - 1] is a UID or None when not told yet."""

    def __init__(self, imap, who):
        self.imap, self.who, self.uids, self.quiet = imap, who, [], None
        self.highest = 0

    def line(self, line):
        words = line.split(b" ", 3)
        if len(words) < 3 or not words[1].isdigit():
            if words[1:2] == [b"VANISHED"]:
                raise AssertionError(f"{self.who}: VANISHED was not enabled")
            return
        n, kind = int(words[1]), words[2]
        if kind == b"EXISTS":
            assert n >= len(self.uids), f"{self.who}: EXISTS {n} shrinks {len(self.uids)}"
            self.uids += [None] * (n - len(self.uids))
        elif kind == b"EXPUNGE":
            assert not self.quiet, f"{self.who}: EXPUNGE while {self.quiet} runs"
            assert 1 <= n <= len(self.uids), f"{self.who}: EXPUNGE {n} of {len(self.uids)}"
            del self.uids[n - 1]
        elif kind == b"FETCH":
            assert 1 <= n <= len(self.uids), f"{self.who}: FETCH {n} of {len(self.uids)}"
            uid = re.search(rb"UID (\d+)", line)
            if uid:
                self.learn(n, int(uid.group(1)))

    def learn(self, n, uid):
        assert self.uids[n - 1] in (None, uid), f"{self.who}: number {n} was UID {self.uids[n - 1]}, is {uid}"
        self.uids[n - 1] = uid
        below = [u for u in self.uids[:n - 1] if u]
        above = [u for u in self.uids[n:] if u]
        assert not below or below[-1] < uid, f"{self.who}: UID {uid} at {n} behind {below[-1]}"
        assert not above or uid < above[0], f"{self.who}: UID {uid} at {n} before {above[0]}"

    def cmd(self, text, literal=None):
        by_number = re.match(r"(FETCH|STORE|SEARCH)\b", text)
        self.quiet = by_number and by_number.group(0)
        answer = self.imap.finish(self.imap.start(text, literal), self.line)
        self.quiet = None
        return answer

    def refresh(self):
        answer = self.cmd("NOOP")
        assert answer.ok
        answer = self.cmd("FETCH 1:* (UID FLAGS)") if self.uids else answer
        assert answer.ok or "EXPUNGEISSUED" in answer.text, answer


class Truth:
    def __init__(self):
        self.lock = threading.Lock()
        self.arrived, self.removed, self.keyword = set(), set(), {}


def client(d, number, truth, end, failed):
    who, mine = f"client {number}", random.Random(seed + number)
    try:
        with Imap(d.port["imap"], timeout=60) as c:
            v = View(c, who)
            assert v.cmd("SELECT INBOX").ok
            n = 0
            while time.monotonic() < end:
                n += 1
                step(v, mine, f"{number}.{n}@many", f"k{number}", truth)
            v.refresh()
            return v
    except BaseException as e:  # noqa: it is shown by the main thread
        failed.append((who, e))


def step(v, mine, name, keyword, truth):
    what = mine.choice(("append", "append", "fetch", "fetch", "store", "keyword", "search", "expunge", "move", "idle", "noop"))
    if what == "append":
        answer = v.cmd("APPEND INBOX", letter(name).encode())
        assert answer.ok, answer
        uid = int(answer.code("APPENDUID").split()[1])
        with truth.lock:
            truth.arrived.add(name)
        assert uid > v.highest, f"{v.who}: APPENDUID {uid} after {v.highest}"
        v.highest = uid
        return
    if what == "idle":
        tag = v.imap.start("IDLE")
        v.imap.socket.settimeout(mine.random() * 0.2 + 0.01)
        try:
            while True:
                v.line(v.imap.whole())
        except socket.timeout:
            pass
        v.imap.socket.settimeout(60)
        v.imap.write(b"DONE\r\n")
        assert v.imap.finish(tag, v.line).ok
        return
    if what == "noop" or not v.uids:
        assert v.cmd("NOOP").ok
        return
    at = mine.randrange(1, len(v.uids) + 1)
    last = min(len(v.uids), at + mine.randrange(5))
    if what == "fetch":
        answer = v.cmd(f"FETCH {at}:{last} (UID FLAGS ENVELOPE)")
        assert answer.ok or "EXPUNGEISSUED" in answer.text, answer
    elif what == "search":
        answer = v.cmd("SEARCH UNSEEN")
        assert answer.ok, answer
        numbers = [int(x) for line in answer.lines if line.startswith(b"* SEARCH") for x in line.split()[2:]]
        assert all(1 <= x <= len(v.uids) for x in numbers)
    elif what == "store":
        answer = v.cmd(f"STORE {at}:{last} {mine.choice('+-')}FLAGS ({mine.choice((chr(92) + 'Seen', chr(92) + 'Flagged'))})")
        assert answer.ok or "EXPUNGEISSUED" in answer.text, answer
    else:
        by_uid(v, mine, what, at, keyword, truth)


def by_uid(v, mine, what, at, keyword, truth):
    answer = v.cmd(f"FETCH {at} (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
    row = next((x for x in answer.lines if message_id(x)), None)
    if not row:
        return
    name, uid = message_id(row), int(re.search(rb"UID (\d+)", row).group(1))
    if what == "keyword":
        # each client marks with a word of its own; a lost update shows as a missing mark
        answer = v.cmd(f"UID STORE {uid} +FLAGS ({keyword})")
        if answer.ok and any(f"UID {uid}".encode() in x and keyword.encode() in x for x in answer.lines):
            with truth.lock:
                truth.keyword.setdefault(name, set()).add(keyword)
        return
    if what == "expunge":
        assert v.cmd(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)").status in ("OK", "NO")
        answer = v.cmd(f"UID EXPUNGE {uid}")
        assert answer.ok, answer
        with truth.lock:
            truth.removed.add(name)
        return
    answer = v.cmd(f"UID MOVE {uid} Other")
    assert answer.ok or answer.status == "NO", answer
    if answer.ok and answer.code("COPYUID"):
        with truth.lock:
            truth.removed.add(name)


def send(d, number, truth, end, failed):
    n = 0
    try:
        with Smtp(d.port["smtp"]) as c:
            while time.monotonic() < end:
                n += 1
                name = f"smtp{number}.{n}@many"
                code, text = c.send("load@example.test", "alice@example.test", letter(name))
                assert code == 250, text
                with truth.lock:
                    truth.arrived.add(name)
                time.sleep(0.01)
    except BaseException as e:  # noqa
        failed.append((f"sender {number}", e))


def everything(c, box):
    assert c.cmd(f"SELECT {box}").ok
    return c.messages("UID FLAGS BODY.PEEK[]")


with Daemons(listeners=("smtp", "imap"), users=("alice",), cleartext=True, plain=True) as d:
    truth, failed, end = Truth(), [], time.monotonic() + SECONDS * (3 if sanitized() else 1)
    with Imap(d.port["imap"]) as c:
        assert c.cmd("CREATE Other").ok
        for n in range(30):
            assert c.append("INBOX", letter(f"first.{n}@many")).ok
            truth.arrived.add(f"first.{n}@many")
    threads = [threading.Thread(target=client, args=(d, n, truth, end, failed), daemon=True) for n in range(CLIENTS)]
    threads += [threading.Thread(target=send, args=(d, n, truth, end, failed), daemon=True) for n in range(SENDERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    for who, error in failed:
        print(who, repr(error))
    assert not failed
    with Imap(d.port["imap"]) as c:
        inbox, other = everything(c, "INBOX"), everything(c, "Other")
    here, there = {message_id(t): f for _, f, t in inbox}, {message_id(t): f for _, f, t in other}
    print(f"{len(truth.arrived)} came, {len(truth.removed)} went, {len(here)} stay, {len(there)} were moved")
    assert len(here) == len(inbox) and len(there) == len(other), "something is there twice"
    assert not set(here) & set(there), "moved, and still there"
    assert set(here) == truth.arrived - truth.removed, set(here) ^ (truth.arrived - truth.removed)
    for name, words in truth.keyword.items():
        flags = here.get(name, there.get(name))
        assert flags is None or words <= flags, f"{name}: {words - flags} lost"
    wait_for(lambda: set(stored(d.data)) == set(here), what="the disk to follow")
    assert set(stored(d.data, "alice", "Other")) == set(there)
