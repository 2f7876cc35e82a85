"""Each limit of an SMTP session: what stands, what is refused and in which words, and what is only slowed."""
import time

from lib_daemons import Daemons, Wire, scenarios, wait_for


def hello(d):
    w = d.wire("smtp")
    w.reply()
    w.offer = w.ask("EHLO client.example.net")
    return w


def recipients(d):
    """The first three stand; the message goes to them."""
    with hello(d) as w:
        w.ask("MAIL FROM:<a@b.example>")
        assert w.ask("RCPT TO:<nobody@example.test>")[0].startswith("550 5.1.1"), "a refused one does not count"
        for user in "alice", "bob", "bob":
            assert w.ask(f"RCPT TO:<{user}@example.test>")[0].startswith("250"), "a repeated one counts"
        for _ in range(2):
            assert w.ask("RCPT TO:<alice@example.test>") == ["452 4.5.3 Too many recipients"]
        assert w.ask("DATA")[0].startswith("354")
        assert w.ask("Subject: three\r\n\r\n.")[0].startswith("250")
    assert len(list((d.data / "mail" / "bob" / "new").iterdir())) >= 1


def data(w, text, to="bob@example.test"):
    """The reply to the final dot."""
    w.ask("MAIL FROM:<a@b.example>")
    w.ask(f"RCPT TO:<{to}>")
    assert w.ask("DATA")[0].startswith("354")
    return w.ask(text + "\r\n.")


def header(size):
    """A header of so many octets, blank line included, each line end counted once."""
    text = "Subject: x\r\n"
    left = size - 1 - len("Subject: x\n")
    while left:
        line = min(left - 1, 70) if left - min(left - 1, 70) - 1 != 1 else min(left - 1, 70) - 1
        text += "X:" + "y" * (line - 2) + "\r\n"
        left -= line + 1
    assert len(text.replace("\r\n", "\n")) + 1 == size
    return text + "\r\n"


def headers(d):
    with hello(d) as w:
        assert data(w, header(10240) + "body")[0].startswith("250")
        assert data(w, header(10241) + "body") == ["552 5.6.0 Headers too large (10240 max)"]
        assert data(w, header(200) + "body")[0].startswith("250"), "the session goes on"


def sizes(d):
    with hello(d) as w:
        assert "250-SIZE 50000" in w.offer, w.offer
        assert w.ask("MAIL FROM:<a@b.example> SIZE=50000")[0].startswith("250")
        w.ask("RSET")
        assert w.ask("MAIL FROM:<a@b.example> SIZE=50001") == \
            ["552 5.2.3 Message size exceeds fixed maximum message size (50000)"]
        assert w.ask("MAIL FROM:<a@b.example> SIZE=big")[0].startswith("501 5.5.4")
        head = header(1000)
        body = "".join("y" * 69 + "\r\n" for _ in range(700))
        assert data(w, head + body[:-2])[0].startswith("250"), "50000 with each line end once"
        assert data(w, head + body + "z") [0] == "552 5.2.3 Message exceeds maximum fixed size (50000)"
        assert w.ask("NOOP")[0].startswith("250")


def bad_commands(d):
    with hello(d) as w:
        for _ in range(25):
            assert w.ask("BOGUS")[0].startswith("500 5.5.1")
        assert w.ask("BOGUS") == ["421 4.7.0 localhost Too many bad commands; closing connection"]
        assert w.rest_of_stream() == ""


def timed(w, command):
    start = time.monotonic()
    reply = w.ask(command)[0]
    return reply, time.monotonic() - start


def noop(d):
    with hello(d) as w:
        for _ in range(20):
            assert timed(w, "NOOP")[1] < 0.9
        for command, code in ("NOOP", "250"), ("HELP", "214"):
            reply, seconds = timed(w, command)
            assert reply.startswith(code) and seconds >= 0.95, (reply, seconds)
        assert timed(w, "MAIL FROM:<a@b.example>")[1] < 0.9, "mail is not slowed"


def bad_recipients(d):
    with hello(d) as w:
        w.ask("MAIL FROM:<a@b.example>")
        for _ in range(2):
            assert timed(w, "RCPT TO:<nobody@example.test>")[1] < 0.9
        for to, code in ("nobody", "550"), ("bob", "250"):
            reply, seconds = timed(w, f"RCPT TO:<{to}@example.test>")
            assert reply.startswith(code) and seconds >= 0.95, (reply, seconds)
        w.ask("RSET")
        w.ask("MAIL FROM:<a@b.example>")
        assert timed(w, "RCPT TO:<bob@example.test>")[1] < 0.9, "counted by message"


def hops(d):
    with hello(d) as w:
        received = "Received: from a by b; Tue, 24 Nov 2026 08:00:00 +0000\r\n"
        assert data(w, received * 25 + "\r\nx")[0].startswith("250")
        assert data(w, received * 26 + "\r\nx") == ["554 5.4.6 Too many hops"]


def space(d):
    """Less space than is to be left: MAIL is refused for now, and the session goes on."""
    with hello(d) as w:
        assert w.ask("MAIL FROM:<a@b.example>") == ["452 4.4.5 Insufficient disk space; try again later"]
        assert w.ask("NOOP")[0].startswith("250")


def timeouts(d):
    with hello(d) as w:
        start = time.monotonic()
        assert w.line() == "421 4.4.2 localhost timeout"
        assert w.rest_of_stream() == "" and time.monotonic() - start < 5
    with hello(d) as w:
        w.ask("MAIL FROM:<a@b.example>")
        w.ask("RCPT TO:<bob@example.test>")
        w.ask("DATA")
        w.send("Subject: never ends\r\n")
        assert w.line() == "421 4.4.1 localhost read timeout"


def once(settings, *functions):
    with Daemons(settings, listeners=("smtp",)) as d:
        scenarios(*functions, arguments=[d])


COMMON = "policy.accept_unresolvable_domains = yes\n"
once(COMMON + "smtp.max_recipients = 3\nsmtp.max_header_size = 10240\nsmtp.max_message_size = 50000\nsmtp.max_hops = 25\n"
     "smtp.bad_recipients_throttle = 2\n",
     recipients, headers, sizes, bad_commands, noop, bad_recipients, hops)
once(COMMON + "smtp.min_free = 4000000G\n", space)
once(COMMON + "smtp.command_timeout = 1 s\nsmtp.data_timeout = 1 s\n", timeouts)
