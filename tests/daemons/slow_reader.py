"""A client that reads 64 KiB a second of a 100 MB message: memory stays, others are served.
# long
"""
import time

from lib_daemons import Daemons, letter
from lib_memory import Peak
from lib_wire import Imap, Pop, Smtp

SECONDS, READERS = 6, 4
LIMIT = 20 * 1024

with Daemons("smtp.max_message_size = 200M\n", listeners=("smtp", "imap", "pop3"), cleartext=True, plain=True) as d:
    with Smtp(d.port["smtp"], timeout=120) as c:
        line = b"0123456789" * 7 + b"\r\n"
        assert c.send("a@example.test", "alice@example.test", b"Subject: big\r\n\r\n" + line * (100_000_000 // 72))[0] == 250
        assert c.send("a@example.test", "bob@example.test", letter())[0] == 250
    with Imap(d.port["imap"], "bob") as c, Pop(d.port["pop3"], "bob") as p:  # what every first session costs
        c.cmd("SELECT INBOX")
        c.messages("UID FLAGS BODY.PEEK[]")
        p.multi("RETR 1")
    with Peak(d) as peak:
        readers = []
        for _ in range(READERS):
            c = Imap(d.port["imap"], receive_buffer=32768)
            assert c.cmd("SELECT INBOX").ok
            c.start("FETCH 1 BODY.PEEK[]")
            readers.append(c)
        p = Pop(d.port["pop3"], receive_buffer=32768)
        p.write(b"RETR 1\r\n")
        readers.append(p)
        slowest = 0.0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            turn = time.monotonic()
            for r in readers:
                got = 0
                while got < 65536 // 4:
                    r.have.clear()
                    r.more(65536 // 4 - got)
                    got += len(r.have)
            with Imap(d.port["imap"], "bob") as c:
                assert c.cmd("SELECT INBOX").ok
                assert len(c.messages("UID FLAGS BODY.PEEK[]")) == 1
            with Pop(d.port["pop3"], "bob") as p:
                assert p.multi("RETR 1")
            slowest = max(slowest, time.monotonic() - turn)
            time.sleep(max(0.0, 0.25 - (time.monotonic() - turn)))
        print(f"others: slowest turn {slowest:.2f} s")
        assert slowest < 10
    peak.check(LIMIT, f"{READERS} IMAP and 1 POP3 slow readers")
    for r in readers:
        r.close()
    start = time.monotonic()
    with Imap(d.port["imap"]) as c:
        assert c.cmd("SELECT INBOX").ok
        answer = c.cmd("FETCH 1 BODY.PEEK[]<99000000.1000>")
        assert answer.ok and answer.lines
