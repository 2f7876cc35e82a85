"""Clients that vanish, stall or talk nonsense: nothing of them stays, and others are served meanwhile."""
# long
import os
import random
import socket
import ssl
import struct
import time

from lib_daemons import Daemons, letter, sanitized, wait_for
from lib_wire import Gone, Imap, Pop, Smtp, Wire, stored

RESET = struct.pack("ii", 1, 0)
PORTS = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")
DAEMONS = ("smtpd", "imapd", "pop3d")
dice = random.Random(7)
TURNS = 1


def leave(wire, hard):
    s = wire.socket if isinstance(wire, Wire) else wire
    if hard:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    s.close()


def descriptors(d, name):
    return len(os.listdir(f"/proc/{d.pid(name)}/fd"))


def threads(d, name):
    return len(os.listdir(f"/proc/{d.pid(name)}/task"))


def served(d):
    with Smtp(d.port["smtp"], timeout=10) as c:
        assert c.cmd("NOOP")[0] == 250
    with Imap(d.port["imap"], timeout=10) as c:
        assert c.cmd("NOOP").ok
    with Pop(d.port["pop3"], timeout=10) as p:
        assert p.cmd("NOOP").startswith(b"+OK")


# ---- One way to leave each; `hard`: with a reset

def mid_command(d, hard):
    for port, text in (("smtp", b"MAIL FROM:<al"), ("imap", b"a LOGIN ali"), ("pop3", b"USER al")):
        w = Wire(d.port[port])
        w.line()
        w.write(text)
        leave(w, hard)


def mid_data(d, hard):
    for size in (0, 10, 50_000, 3_000_000):
        c = Smtp(d.port["smtp"])
        c.cmd("MAIL FROM:<v@example.test>")
        c.cmd("RCPT TO:<alice@example.test>")
        assert c.cmd("DATA")[0] == 354
        c.write((b"Subject: never\r\n\r\n" + b"0123456789\r\n" * (size // 12))[:size])
        leave(c, hard)


def before_the_answer(d, hard):
    c = Smtp(d.port["smtp"])
    c.write(b"MAIL FROM:<v@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
    for _ in range(3):
        c.reply()
    c.write(b"Subject: may come\r\n\r\nx\r\n.\r\n")
    leave(c, hard)


def mid_bdat(d, hard):
    c = Smtp(d.port["smtp"])
    c.cmd("MAIL FROM:<v@example.test> BODY=8BITMIME")
    c.cmd("RCPT TO:<alice@example.test>")
    c.write(b"BDAT 100000\r\n" + b"a" * 40_000)
    leave(c, hard)
    c = Smtp(d.port["smtp"])
    c.cmd("MAIL FROM:<v@example.test>")
    c.cmd("RCPT TO:<alice@example.test>")
    c.write(b"BDAT 5\r\nabc\r\n")
    assert c.reply()[0] == 250
    leave(c, hard)


def mid_literal(d, hard):
    for head in (b"a2 APPEND INBOX {100000+}\r\n", b"a2 APPEND INBOX {5000000}\r\n"):
        c = Imap(d.port["imap"])
        c.write(head)
        if b"+" not in head:
            c.line()
        c.write(b"Subject: never\r\n\r\n" + b"b" * 70_000)
        leave(c, hard)
    c = Wire(d.port["imap"])
    c.line()
    c.write(b"a LOGIN {5}\r\n")
    c.line()
    c.write(b"al")
    leave(c, hard)


def mid_handshake(d, hard):
    for port in ("submissions", "imaps", "pop3s"):
        hello = ssl.MemoryBIO()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        client = tls.wrap_bio(ssl.MemoryBIO(), hello)
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        octets = hello.read()
        for part in (octets[:5], octets[:-1], octets):
            w = Wire(d.port[port])
            w.write(part)
            if part is octets:
                w.more()
            leave(w, hard)
    w = Smtp(d.port["smtp"])
    assert w.cmd("STARTTLS")[0] == 220
    w.write(b"\x16\x03\x01")
    leave(w, hard)


def mid_auth(d, hard):
    c = Smtp(d.port["submission"])
    assert c.cmd("AUTH PLAIN")[0] == 334
    leave(c, hard)
    c = Smtp(d.port["submission"])
    c.cmd("AUTH LOGIN")
    c.write(b"YWxpY2U=\r\n")
    leave(c, hard)
    w = Wire(d.port["imap"])
    w.line()
    w.write(b"a AUTHENTICATE SCRAM-SHA-256\r\n")
    w.line()
    w.write(b"biwsbj1hbGljZSxyPWFiY2RlZg==\r\n")
    w.line()
    leave(w, hard)


def pending_password(d, hard):
    """The check is under way, or waits its turn, when the client goes."""
    for n in range(12):
        w = Wire(d.port["imap"])
        w.line()
        w.write(f"a LOGIN alice {'secret' if n % 2 else 'wrong'}\r\n".encode())
        leave(w, hard)
        w = Wire(d.port["pop3"])
        w.line()
        w.write(b"USER alice\r\nPASS secret\r\n")
        leave(w, hard)
    # so many checks of one address make it wait: until those are done
    wait_for(lambda: logs_in(d), what="a login behind checks whose clients left")


def logs_in(d):
    for protocol in (Imap, Pop):
        try:
            protocol(d.port[protocol.__name__.lower().replace("pop", "pop3")]).close()
        except AssertionError:
            return False
    return True


def mid_fetch(d, hard):
    c = Imap(d.port["imap"], receive_buffer=4096)
    assert c.cmd("SELECT INBOX").ok
    c.start("FETCH 1:* (BODY.PEEK[])")
    c.more(1000)
    leave(c, hard)
    p = Pop(d.port["pop3"], receive_buffer=4096)
    p.write(b"RETR 1\r\n" * 3)
    p.more(1000)
    leave(p, hard)


def mid_idle(d, hard):
    c = Imap(d.port["imap"])
    assert c.cmd("SELECT INBOX").ok
    c.start("IDLE")
    c.line()
    leave(c, hard)


def garbage(d, hard):
    for port in PORTS:
        for octets in (dice.randbytes(300), b"\0" * 2000, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\xff\xff" * 20,
                       b"A" * 200_000, b"\r\n" * 200, b"a {99999999999999999999}\r\n", b"\x80\x81\r\n" * 50):
            w = Wire(d.port[port])
            try:
                w.write(octets)
                w.socket.settimeout(0.02)
                w.more()
            except (Gone, socket.timeout):
                pass
            leave(w, hard)


def quick(d, hard):
    """500 that come and go at once."""
    for n in range(500):
        w = Wire(d.port[PORTS[n % len(PORTS)]])
        leave(w, hard)


WAYS = (mid_command, mid_data, before_the_answer, mid_bdat, mid_literal, mid_handshake, mid_auth, pending_password,
        mid_fetch, mid_idle, garbage, quick)


def half_open(d):
    """The client has sent its last octet; what it asked for is still answered."""
    c = Smtp(d.port["smtp"])
    c.write(b"MAIL FROM:<h@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
    assert [c.reply()[0] for _ in range(3)] == [250, 250, 354]
    c.write(b"Message-ID: <half@open>\r\n\r\nx\r\n.\r\nQUIT\r\n")
    c.socket.shutdown(socket.SHUT_WR)
    assert c.reply()[0] == 250
    assert c.reply()[0] == 221
    c.close()
    for port, text, want in (("imap", b"a LOGIN alice secret\r\nb LOGOUT\r\n", b"b OK"),
                             ("pop3", b"USER alice\r\nPASS secret\r\nQUIT\r\n", b"+OK")):
        w = Wire(d.port[port])
        w.write(text)
        w.socket.shutdown(socket.SHUT_WR)
        try:
            while True:
                w.more()
        except Gone:
            pass
        lines = bytes(w.have).split(b"\r\n")
        assert lines[-2].startswith(want), lines
        w.close()
    assert "half@open" in stored(d.data, "bob")


def slow_octets(d):
    """Octet by octet, many at once: others are not slowed, and the slow ones get their answer."""
    texts = {"smtp": b"EHLO slow.test\r\n", "imap": b"a CAPABILITY\r\n", "pop3": b"CAPA\r\n"}
    slow = [(Wire(d.port[p]), texts[p]) for p in texts for _ in range(20)]
    for n in range(max(len(t) for t in texts.values())):
        for w, text in slow:
            if n < len(text):
                w.write(text[n:n + 1])
        if n % 5 == 0:
            start = time.monotonic()
            served(d)
            assert time.monotonic() - start < 5, "others wait for slow ones"
    for w, text in slow:
        w.line()
        assert w.line()[:3] in (b"250", b"* C", b"+OK"), text
        w.close()


def settled(d, before):
    """Descriptors as at the start, but for indexes that stay open and threads of pools that came."""
    def same():
        return all(descriptors(d, n) <= before[n][0] + 8 for n in DAEMONS)
    try:
        wait_for(same, 15, "descriptors to return")
    except AssertionError:
        for n in DAEMONS:
            names = []
            for f in os.listdir(f"/proc/{d.pid(n)}/fd"):
                try:
                    names.append(os.readlink(f"/proc/{d.pid(n)}/fd/{f}"))
                except OSError:
                    pass
            print(n, before[n], sorted(names))
        raise


with Daemons("max_connections_per_address = 1000\n", listeners=PORTS, cleartext=True) as d:
    with Smtp(d.port["smtp"]) as c:
        for n in range(20):
            assert c.send("a@example.test", "alice@example.test", letter(n, "line of text\r\n" * 20_000))[0] == 250
    for hard in (False, True):  # first once, so that pools, caches and the allocator have what they keep
        for way in WAYS:
            way(d, hard)
    served(d)
    time.sleep(1)
    before = {n: (descriptors(d, n), d.memory(n), threads(d, n)) for n in DAEMONS}
    for turn in range(TURNS):
        for way in WAYS:
            for hard in (False, True):
                start = time.monotonic()
                way(d, hard)
                if turn == 0:
                    print(f"{way.__name__:20} {'reset' if hard else 'close'} {time.monotonic() - start:.2f} s")
        served(d)
    half_open(d)
    slow_octets(d)
    settled(d, before)
    for n in DAEMONS:
        print(f"{n}: descriptors {before[n][0]} -> {descriptors(d, n)}, memory {before[n][1]} -> {d.memory(n)} KiB, "
              f"threads {before[n][2]} -> {threads(d, n)}")
        assert sanitized() or d.memory(n) < before[n][1] + 3072, f"{n} grew: {before[n][1]} -> {d.memory(n)} KiB"
        assert threads(d, n) <= before[n][2] + 2
    left = [p for p in (d.data / "spool").rglob("*") if p.is_file()] + list((d.data / "mail").rglob("tmp/*"))
    assert not left, left
    with Imap(d.port["imap"]) as c:
        assert c.cmd("SELECT INBOX").ok
        assert not any(b"never" in (text or b"") for _, _, text in c.messages("UID FLAGS BODY.PEEK[HEADER]"))
    start = time.monotonic()
    d.stop()
    assert time.monotonic() - start < 15, "jobs of clients that left keep a daemon"
