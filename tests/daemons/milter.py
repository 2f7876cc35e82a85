"""Mail filters: every verdict at every step, every change, default actions, times, and what a hostile one does.
# long
Names of scenarios as arguments run those alone.
"""
import smtplib
import socket
import struct
import sys
import threading
import time

from lib_daemons import PASSWORD, Daemons, scenarios, wait_for
from lib_mail_filters import LETTER, Mail, answer, config
from lib_milter import (LEADING_SPACE, MDS_1M, NO_ANSWER_BODY, NO_BODY, NO_CONNECT, NO_HEADERS, NO_HELO, REJECTED_RCPT,
                        SKIP, Filter, Hangup, header, text)

REFUSED = {"r": "550 5.7.1 Command rejected", "t": "451 4.3.2 Please try again later", "4": "421 4.3.0 closing connection",
           "f": "421 4.3.0 closing connection", "y": "553 5.7.9 No % thanks"}
REPLY = b"y553 5.7.9 No %% thanks\0"


# ---- Verdicts

def verdicts():
    """Each at each step becomes the reply to that command."""
    steps = {"M": "MAIL FROM:<a@c.example>", "R": "RCPT TO:<alice@example.test>", "T": "DATA"}
    for letter, reply in REFUSED.items():
        say = REPLY if letter == "y" else letter.encode()
        for step, command in steps.items():
            with Filter(**{step: lambda f, d, say=say: [say]}) as one, Mail(one) as m, m.session() as s:
                for before, it in steps.items():
                    if before == step:
                        break
                    assert s.docmd(it)[0] == 250, (step, letter)
                said = answer(s.docmd(command))
                wanted = reply.replace("550", "554") if letter == "r" and step == "T" else reply
                assert said == wanted, (step, letter, said)
        for step in "LNBE":
            with Filter(**{step: lambda f, d, say=say: [say]}) as one, Mail(one) as m:
                said = m.send()
                assert said == (reply.replace("550", "554") if letter == "r" else reply), (step, letter, said)
                assert not m.letters("alice")
                assert "filter_refused" in m.d.log("smtpd")


def connections():
    """A refusal at connect or HELO holds for the whole session."""
    for letter, reply in REFUSED.items():
        say = REPLY if letter == "y" else letter.encode()
        with Filter(C=lambda f, d: [say]) as one, Mail(one) as m:
            with socket.create_connection(("127.0.0.1", m.d.port["smtp"]), timeout=20) as s:
                line = s.makefile("rb")
                greeting = line.readline().decode()
                if reply.startswith("421"):
                    assert greeting.startswith(reply), greeting
                    assert line.readline() == b""
                    continue
                assert greeting.startswith("220 "), greeting
                s.sendall(b"EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nQUIT\r\n")
                lines = line.read().decode()
                assert reply in lines, lines
        with Filter(H=lambda f, d: [say]) as one, Mail(one) as m:
            with smtplib.SMTP("127.0.0.1", m.d.port["smtp"], timeout=20) as s:
                assert answer(s.ehlo("c.example")) == reply
                if not reply.startswith("421"):
                    assert s.docmd("MAIL FROM:<a@c.example>")[0] in (int(reply[:3]), 503)
                    assert s.docmd("NOOP")[0] == 250
    with Filter(C=lambda f, d: [b"a"]) as one, Mail(one) as m:
        assert m.send().startswith("250")
        assert one.last().letters() in ("OC", "OCQ")


def recipients():
    """One is refused, the others stand; accept and discard."""
    with Filter(R=lambda f, d: [b"r" if b"bob" in d else b"c"]) as one, Mail(one) as m:
        with m.session() as s:
            s.docmd("MAIL FROM:<a@c.example>")
            assert s.docmd("RCPT TO:<alice@example.test>")[0] == 250
            assert answer(s.docmd("RCPT TO:<bob@example.test>")) == REFUSED["r"]
            assert s.docmd("RCPT TO:<carol@example.test>")[0] == 250
            assert s.data(LETTER)[0] == 250
        assert m.only("alice") and m.only("carol") and not m.letters("bob")
    with Filter(R=lambda f, d: [b"a"]) as one, Mail(one) as m:
        assert m.send().startswith("250") and m.send().startswith("250")
        assert len(m.letters("alice")) == 2
        assert all(s.letters().startswith("OCHMR") and "T" not in s.letters() for s in one.with_mail())
    for step in "MRTLNBE":
        with Filter(**{step: lambda f, d: [b"d"]}) as one, Mail(one) as m:
            assert m.send().startswith("250"), step
            time.sleep(0.1)
            assert not m.letters("alice")
            assert "event=discarded" in m.d.log("smtpd"), step


def rejected_recipients():
    with Filter(steps=REJECTED_RCPT) as one, Mail(one) as m, m.session() as s:
        s.docmd("MAIL FROM:<a@c.example>")
        assert s.docmd("RCPT TO:<nobody@example.test>")[0] == 550
        heard = [q for q in one.last().heard if q.letter == "R"]
        assert heard[0].data == b"<nobody@example.test>\0" and heard[0].macros["{rcpt_mailer}"] == "error", heard
        assert heard[0].macros["{rcpt_host}"] == "5.1.1" and "User unknown" in heard[0].macros["{rcpt_addr}"]


# ---- Changes

CHANGES = [header(b"h", "X-End", "e1\n e2"), header(b"i", "X-Top", "t", 0), header(b"i", "X-One", "u", 1),
           header(b"m", "x-twice", "second", 2), header(b"m", "Subject", "", 1), header(b"m", "X-None", "new", 7),
           b"bbody of \n", b"btwo pieces\r\n", text(b"+", "<carol@example.test>"), text(b"-", "<bob@example.test>"),
           text(b"e", "<new@c.example>", "SIZE=3"), b"p", b"c"]


def changes():
    with Filter(E=lambda f, d: CHANGES) as one, Mail(one) as m:
        assert m.send(to=("alice@example.test", "bob@example.test")).startswith("250")
        letter = m.only("alice")
        assert m.only("carol") == letter and not m.letters("bob")
        assert letter.startswith("Return-Path: <new@c.example>\r\nX-Top: t\r\nX-One: u\r\nReceived: "), letter
        head, body = letter.split("\r\n\r\n")
        assert body == "body of \r\ntwo pieces\r\n", letter
        rest = head[head.index("+0000\r\n") + 7:].split("\r\n")
        assert rest == ["From: f@c.example", "X-Twice: a", "X-Twice: second", "Date: Tue, 24 Nov 2026 08:00:00 +0000",
                        "Message-ID: <1@c.example>", "X-End: e1", " e2", "X-None: new"], rest
    with Filter(E=lambda f, d: [text(b"q", "looks odd"), b"c"]) as one, Mail(one) as m:
        assert m.send().startswith("250")
        assert not m.letters("alice")
        listing = m.d.mailctl("queue", "list", "--json").stdout
        assert "looks odd" in listing, listing
    with Filter(E=lambda f, d: [text(b"-", "alice@example.test"), b"c"]) as one, Mail(one) as m:
        assert m.send().startswith("250") and not m.letters("alice")  # nobody is left
    with Filter(E=lambda f, d: [text(b"+", "x@elsewhere.example"), text(b"2", "y@elsewhere.example", "NOTIFY=NEVER"), b"c"]) as one, \
            Mail(one) as m:
        assert m.send().startswith("250")
        listing = m.d.mailctl("queue", "list", "--json").stdout
        assert m.only("alice") and "x@elsewhere.example" in listing and "y@elsewhere.example" in listing, listing
    with Filter(steps=LEADING_SPACE, E=lambda f, d: [header(b"h", "X-A", "  v"), header(b"h", "X-B", "v"), b"c"]) as one, Mail(one) as m:
        m.send("Subject:  two\r\nX-Tab:\tx\r\n\r\nhi\r\n")
        assert one.last().fields()[:2] == [("Subject", "  two"), ("X-Tab", "\tx")], one.last().fields()
        assert "X-A:  v\r\nX-B:v\r\n" in m.only("alice")


def long_bodies():
    """A header that is changed stays in front of its body, however long that is."""
    for lines in (300, 600, 800, 1100):  # of 70 octets: some go to the disk at once, some wait for more
        body = "".join(f"line {n:04} {'x' * 58}\r\n" for n in range(lines))
        with Filter(E=lambda f, d: [header(b"h", "X-Seen", "yes"), b"c"]) as one, Mail(one) as m:
            assert m.send(f"Subject: long\r\n\r\n{body}").startswith("250")
            head, got = m.only("alice").split("\r\n\r\n", 1)
            assert head.startswith("Return-Path: ") and head.endswith("X-Seen: yes") and got == body, (lines, head[:200])


def unchanged():
    """A message that nobody changes is what it was, and Received is not shown."""
    with Filter() as one, Mail(one) as m:
        m.send("From: f@c.example\r\nSubject: x\r\nX-Folded: a\r\n\tb\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@c.example>\r\n\r\nhello\r\n")
        seen = one.last()
        assert seen.letters() in ("OCHMRTLLLLLNBE", "OCHMRTLLLLLNBEQ"), seen.letters()
        assert seen.fields()[1:3] == [("Subject", "x"), ("X-Folded", "a\n\tb")] and seen.body() == b"hello\r\n"
        letter = m.only("alice")
        assert letter.startswith("Return-Path: <from@c.example>\r\nReceived: ")
        assert letter.endswith("X-Folded: a\r\n\tb\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@c.example>\r\n\r\nhello\r\n")
        assert seen.macros["i"] in letter and seen.macros["j"] == "localhost" and seen.macros["{daemon_name}"] == "smtp"
        assert seen.macros["{msg_id}"] == "<1@c.example>" and seen.macros["{mail_addr}"] == "from@c.example"
        for odd, told in (("no header at all\r\n", []), ("\r\nbody\r\n", []), ("Subject: x\r\nbody without a line\r\n", ["Subject"])):
            m.send(odd)
            assert [n for n, _ in one.last().fields() if n not in ("Date", "Message-ID", "From")] == told, (odd, one.last().fields())


def in_order():
    """The second sees what the first has made, and only changes of who says yes stay."""
    first = Filter(E=lambda f, d: [header(b"h", "X-First", "1"), b"bchanged\r\n", b"c"])
    second = Filter(E=lambda f, d: [header(b"h", "X-Second", "2"), b"c"])
    with first, second, Mail(first, second) as m:
        assert m.send().startswith("250")
        assert ("X-First", "1") in second.last().fields()
        assert second.last().body() == b"changed\r\n", second.last().heard
        letter = m.only("alice")
        assert letter.index("X-First: 1") < letter.index("X-Second: 2") and letter.endswith("\r\n\r\nchanged\r\n")

    def dies(f, data):
        f.write(header(b"h", "X-First", "1"))
        f.write(b"bhalf")
        raise Hangup
    with Filter(E=dies) as first, Filter(E=lambda f, d: [header(b"h", "X-Second", "2"), b"c"]) as second, Mail(first, second) as m:
        assert m.send().startswith("250")
        letter = m.only("alice")
        assert "X-First" not in letter and "X-Second: 2" in letter and letter.endswith("\r\n\r\nhello\r\n"), letter
    with Filter() as first, Filter(R=lambda f, d: [b"r"]) as second, Mail(first, second) as m:
        assert m.send() == REFUSED["r"]
        wait_for(lambda: "Q" in first.last().letters(), what="QUIT")
        assert first.last().letters() == "OCHMRAQ", first.last().letters()  # it hears that the message is over


# ---- Failures

def nobody_there():
    """No filter, one that says nothing, one that dies: the default action."""
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    gone = f"inet:{closed.getsockname()[1]}@127.0.0.1"
    for action, reply in (("accept", "250"), ("reject", "550 5.7.1"), ("tempfail", "451 4.3.2"), ("shutdown", "421 4.3.0")):
        for place in gone, "unix:/nonexistent/filter", "inet:1@no-such-host.invalid":
            with Mail(place, on_failure=action) as m:
                try:
                    said = m.send()
                except smtplib.SMTPConnectError as e:
                    said = f"{e.smtp_code} {e.smtp_error.decode()}"
                assert said.startswith(reply), (action, place, said)
                assert bool(m.letters("alice")) == (action == "accept")
                assert "filter_failed" in m.d.log("smtpd")
        for step in "MRTLNBE":
            def dies(f, data):
                raise Hangup
            with Filter(**{step: dies}) as one, Mail(one, on_failure=action) as m:
                said = m.send()
                assert said.startswith(reply), (action, step, said)
    closed.close()


def slow():
    """Times: of an answer, of the end, of who takes nothing; PROGRESS wins time; nobody else waits."""
    def never(f, data):
        time.sleep(30)

    def progress(f, data):
        for _ in range(6):
            time.sleep(0.5)
            f.write(b"p")
        return [b"c"]
    times = dict(read_timeout="1 s", end_timeout="1 s", send_timeout="1 s", connect_timeout="1 s", on_failure="tempfail")
    for step in "OMBE":
        handlers = {"OPTNEG" if step == "O" else step: never}
        with Filter(**handlers) as one, Mail(one, **times) as m:
            began = time.monotonic()
            assert m.send().startswith("451 4.3.2"), step
            assert 0.9 < time.monotonic() - began < 8, step
    with Filter(E=progress) as one, Mail(one, **times) as m:
        assert m.send().startswith("250")

    def stuck(f, data):  # it reads no more
        time.sleep(30)
    with Filter(steps=NO_ANSWER_BODY, B=stuck) as one, Mail(one, **times) as m:
        assert m.send("Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 200000).startswith("451"), "who takes nothing"

    def waits(f, data):
        if b"slow" in data:
            time.sleep(3)
        return [b"c"]
    with Filter(M=waits) as one, Mail(one, read_timeout="10 s") as m:
        late = threading.Thread(target=lambda: m.send(sender="slow@c.example"))
        late.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert m.send().startswith("250") and time.monotonic() - began < 2.5
        late.join()
        assert len(m.letters("alice")) == 2


def hostile():
    """What it may not say is a failure, and never more than that."""
    faults = [b"\0", b"x", b"hX-A\0v\0", b"c!", b"s", b"y250 fine\0", b"y550", b"y" + b"550-a\r\n" * 100 + b"\0", b"i\0",
              b"hX A\0v\0", b"+a\r\nb\0", b"O\0\0\0\6\0\0\0\0\0\0\0\0", b"d"]
    for i, fault in enumerate(faults):
        step = "C" if fault in (b"d",) else "E" if fault[:1] in b"i+" or b" A" in fault else "R"
        with Filter(**{step: lambda f, d, fault=fault: [fault]}) as one, Mail(one, on_failure="reject") as m:
            try:
                said = m.send()
            except smtplib.SMTPConnectError as e:
                said = f"{e.smtp_code}"
            assert said.startswith("550"), (fault, said)
            assert "filter_failed" in m.d.log("smtpd")

    def long(f, data):
        f.conn.sendall(struct.pack(">I", 0xFFFFFFFF) + b"h")

    def endless(f, data):
        while True:
            f.write(header(b"h", "X-A", "v" * 60000))
    for handlers in dict(R=long), dict(E=endless), dict(OPTNEG=lambda f, d: [b"O" + struct.pack(">III", 9, 0, 0)]), \
            dict(OPTNEG=lambda f, d: [b"O" + struct.pack(">III", 6, 0xFFFF, 0)]):
        with Filter(**handlers) as one, Mail(one, on_failure="reject") as m:
            before = m.d.memory("smtpd")
            said = m.send()
            assert said.startswith("550"), said
            assert m.d.memory("smtpd") - before < 40000
    with Filter(actions=0, E=lambda f, d: [header(b"h", "X-A", "v"), b"c"]) as one, Mail(one, on_failure="tempfail") as m:
        assert m.send().startswith("451") and "not negotiated" in m.d.log("smtpd")


def client_leaves():
    """While a filter thinks: nothing hangs, nothing is delivered."""
    def waits(f, data):
        time.sleep(1)
        return [b"c"]
    for step in "CMRTBE":
        with Filter(**{step: waits}) as one, Mail(one) as m:
            s = socket.create_connection(("127.0.0.1", m.d.port["smtp"]))
            s.sendall(b"EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
            time.sleep(0.2)
            s.sendall(b"Subject: x\r\n\r\nhi\r\n.\r\n")
            time.sleep(0.3)
            s.close()
            assert one.last()
            time.sleep(0.2)
            m.d.stop("smtpd")
            assert not m.letters("alice"), step


# ---- Size, steps, other listeners

def large():
    """20 MB, there and back."""
    lines = "".join(f"{i:>70}\r\n" for i in range(20_000_000 // 72))
    with Filter() as one, Mail(one) as m:
        began = time.monotonic()
        assert m.send("Subject: big\r\n\r\n" + lines).startswith("250")
        print(f"20 MB shown to a filter in {time.monotonic() - began:.1f} s")
        assert one.last().body() == lines.encode() and max(map(len, one.last().of("B"))) == 65535
        assert m.only("alice").endswith("\r\n\r\n" + lines)
    pieces = [b"b" + lines[i:i + 60000].encode() for i in range(0, len(lines), 60000)]
    with Filter(steps=MDS_1M, E=lambda f, d: pieces + [b"c"]) as one, Mail(one) as m:
        before = m.d.memory("smtpd")
        assert m.send().startswith("250")
        assert m.only("alice").endswith("\r\n\r\n" + lines)
        assert m.d.memory("smtpd") - before < 30000


def steps():
    """What a filter does not want it does not hear; SKIP; macros by name; version 2."""
    unwanted = NO_CONNECT | NO_HELO | NO_HEADERS | NO_BODY
    with Filter(steps=unwanted) as one, Mail(one) as m:
        assert m.send().startswith("250")
        assert one.last().letters().rstrip("Q") == "OMRTNE"
    with Filter(steps=SKIP, B=lambda f, d: [b"s"]) as one, Mail(one) as m:
        assert m.send("Subject: x\r\n\r\n" + "y" * 900 * 1000).startswith("250") or True
        assert len(one.last().of("B")) <= 1
    with Filter(symbols={"C": "j {client_addr}", "R": "i, {rcpt_addr}"}) as one, Mail(one) as m:
        m.send()
        macros = {q.letter: q.macros for q in one.last().heard}
        assert macros["C"] == {"j": "localhost", "{client_addr}": "127.0.0.1"}, macros
        assert set(macros["R"]) == {"i", "{rcpt_addr}"}
    with Filter(version=2, actions=0x3F) as one, Mail(one) as m:
        assert m.send().startswith("250")
        assert one.last().letters().rstrip("Q").replace("L", "") == "OCHMRNBE"
    with Filter(U=lambda f, d: [b"y500 5.5.1 what\0"]) as one, Mail(one) as m, m.session() as s:
        assert answer(s.docmd("XYZZY now")) == "500 5.5.1 what"
        assert one.last().of("U") == [b"XYZZY now\0"], one.last().heard
        s.docmd("MAIL FROM:<a@c.example>")
        s.docmd("RSET")
        s.docmd("MAIL FROM:<b@c.example>")
        assert one.last().letters().endswith("UMAM"), one.last().letters()


def listeners():
    """Submission and LMTP too; a listener's own filters; a path."""
    with Filter(E=lambda f, d: [header(b"h", "X-Seen", "yes"), text(b"-", "bob@example.test"), b"c"]) as one, \
            Filter(path=f"/tmp/milter-test-{time.monotonic_ns()}") as other, \
            Daemons(config(one, other), listeners=("smtp", "submission", "lmtp"), users=("alice", "bob"), plain=True,
                    cleartext=True, options={"smtp": " milters = f1\n"}) as d:
        m = Mail.__new__(Mail)
        m.d = d
        with m.session("submission") as s:
            s.login("alice", PASSWORD)
            s.sendmail("alice@example.test", ["alice@example.test"], LETTER)
        assert "X-Seen: yes" in m.only("alice") and one.last().macros["{auth_authen}"] == "alice"
        with m.session("lmtp") as s:
            s.docmd("MAIL FROM:<a@c.example>")
            s.docmd("RCPT TO:<alice@example.test>")
            s.docmd("RCPT TO:<bob@example.test>")
            s.putcmd("DATA")
            s.getreply()
            s.send(LETTER + ".\r\n")
            assert [s.getreply()[0] for _ in range(2)] == [250, 250]
            assert not m.letters("bob") and len(m.letters("alice")) == 2
        known = len(one.with_mail())
        assert m.send().startswith("250") and len(one.with_mail()) == known and "E" in other.last().letters()
        one.handlers["E"] = lambda f, d: [REPLY]
        with m.session("lmtp") as s:
            s.docmd("MAIL FROM:<a@c.example>")
            s.docmd("RCPT TO:<alice@example.test>")
            s.docmd("RCPT TO:<bob@example.test>")
            s.putcmd("DATA")
            s.getreply()
            s.send(LETTER + ".\r\n")
            assert [answer(s.getreply()) for _ in range(2)] == [REFUSED["y"]] * 2
            assert s.docmd("NOOP")[0] == 250


scenarios(*[globals()[name] for name in sys.argv[1:]] or
          (verdicts, connections, recipients, rejected_recipients, changes, long_bodies, unchanged, in_order, nobody_there, slow,
           hostile, client_leaves, large, steps, listeners))
