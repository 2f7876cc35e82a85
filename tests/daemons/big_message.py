"""A message of 100 MB: in by DATA, BDAT and APPEND, out by IMAP and POP3, the same, in little memory.
# long
"""
import base64
import hashlib
import os
import random
import re

from lib_daemons import Daemons
from lib_memory import Peak
from lib_wire import Imap, Pop, Smtp, stored

SIZE = 100_000_000
LIMIT = 20 * 1024
IDENTITY = "Message-ID: <%s@big>\r\n"


def make(name):
    """Text and an attachment in base64; the last line is short."""
    head = (f"From: a@example.test\r\nTo: alice@example.test\r\n{IDENTITY % name}Subject: big {name}\r\n"
            "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=here\r\n\r\n"
            "--here\r\nContent-Type: text/plain\r\n\r\n.\r\n..dots\r\nhello\r\n"
            "--here\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n").encode()
    block = base64.encodebytes(random.Random(name).randbytes(57 * 1000)).replace(b"\n", b"\r\n")
    text = head + block * ((SIZE - len(head)) // len(block))
    return text + b"QUJD\r\n--here--\r\n"


def pieces(octets, size=1 << 20):
    view = memoryview(octets)
    for at in range(0, len(view), size):
        yield view[at:at + size]


def by_data(d, text):
    with Smtp(d.port["smtp"], timeout=120) as c:
        assert "SIZE 209715200" in c.hello[1], c.hello
        assert c.cmd(f"MAIL FROM:<a@example.test> SIZE={len(text)}")[0] == 250
        assert c.cmd("RCPT TO:<alice@example.test>")[0] == 250
        assert c.cmd("DATA")[0] == 354
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        for piece in pieces(stuffed):
            c.write(piece)
        c.write(b".\r\n")
        assert c.reply()[0] == 250


def by_bdat(d, text):
    with Smtp(d.port["smtp"], timeout=120) as c:
        assert c.cmd("MAIL FROM:<a@example.test>")[0] == 250
        assert c.cmd("RCPT TO:<alice@example.test>")[0] == 250
        for piece in pieces(text, 30 << 20):
            c.write(b"BDAT %d\r\n" % len(piece))
            c.write(piece)
            assert c.reply()[0] == 250
        assert c.cmd("BDAT 0 LAST")[0] == 250


def by_append(d, text):
    with Imap(d.port["imap"], timeout=120) as c:
        c.write(b"x APPEND INBOX {%d+}\r\n" % len(text))
        for piece in pieces(text):
            c.write(piece)
        c.write(b"\r\n")
        answer = c.finish("x")
        assert answer.ok, answer


def tail_hash(octets, name):
    """The sum of the message as it was sent, without the trace fields in front."""
    start = octets.find(b"From: a@example.test\r\nTo: alice")
    assert 0 <= start < 4000, octets[:300]
    assert (IDENTITY % name).encode() in octets[:4000]
    return hashlib.sha256(memoryview(octets)[start:]).hexdigest()


def forget(d):
    """Out of the page cache, so that some reads find a part of what they want in it."""
    for paths in stored(d.data).values():
        with open(paths[0], "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def out_by_imap(d, sums):
    with Imap(d.port["imap"], timeout=120) as c:
        assert c.cmd("SELECT INBOX").ok
        for n, (name, want) in enumerate(sums.items(), 1):
            answer = c.cmd(f"FETCH {n} (RFC822.SIZE BODY.PEEK[])")
            assert answer.ok, answer
            row = answer.lines[0]
            literal = re.search(rb"\{(\d+)\}\r\n", row[:200])
            octets = row[literal.end():literal.end() + int(literal.group(1))]
            size = int(re.search(rb"RFC822.SIZE (\d+)", row[:200] + row[-200:]).group(1))
            assert size == len(octets)
            assert tail_hash(octets, name) == want, f"{name} differs by IMAP"
            answer = c.cmd(f"FETCH {n} (BODYSTRUCTURE BODY.PEEK[2]<50000000.1000>)")
            assert answer.ok and b'"octet-stream"' in answer.lines[0].lower(), answer.lines[0][:500]


def out_by_pop(d, sums):
    with Pop(d.port["pop3"], timeout=120) as p:
        for n, (name, want) in enumerate(sums.items(), 1):
            first = p.cmd(f"RETR {n}")
            assert first.startswith(b"+OK"), first
            while not p.have.endswith(b"\r\n.\r\n"):
                p.more(1 << 20)
            octets = bytes(p.have[:-3]).replace(b"\r\n..", b"\r\n.")
            p.have.clear()
            assert tail_hash(octets, name) == want, f"{name} differs by POP3"


with Daemons("smtp.max_message_size = 200M\nimap.max_message_size = 200M\n", listeners=("smtp", "imap", "pop3"),
             cleartext=True, plain=True) as d:
    sums = {}
    for name, way in (("data", by_data), ("bdat", by_bdat), ("append", by_append)):
        text = make(name)
        sums[name] = hashlib.sha256(text).hexdigest()
        with Peak(d) as peak:
            way(d, text)
        peak.check(LIMIT, f"in by {name}")
        del text
    for name, way in (("IMAP", out_by_imap), ("POP3", out_by_pop)):
        forget(d)
        with Peak(d) as peak:
            way(d, sums)
        peak.check(LIMIT, f"out by {name}")
