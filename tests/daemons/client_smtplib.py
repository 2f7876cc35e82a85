"""Python's smtplib, and SMTP as it is on the wire: sending, BDAT, pipelining, LMTP, what is refused."""
import email.message
import pathlib
import smtplib

from lib_daemons import Daemons, letter, scenarios

ALICE, BOB = "alice@example.test", "bob@example.test"


def newest(d, user="bob"):
    return max(pathlib.Path(d.data, "mail", user, "new").iterdir()).read_bytes()  # names begin with the time


def client(d, listener="smtp"):
    return smtplib.SMTP("localhost", d.port[listener], local_hostname="client.example.net", timeout=15)


def refused(code, enhanced, call, *args, **how):
    try:
        call(*args, **how)
    except smtplib.SMTPRecipientsRefused as e:
        got = list(e.recipients.values())[0]
    except smtplib.SMTPResponseException as e:
        got = (e.smtp_code, e.smtp_error)
    else:
        raise AssertionError(f"{args}: not refused")
    assert got[0] == code and got[1].startswith(enhanced.encode()), got


def submission(d):
    with client(d, "submission") as s:
        s.starttls(context=d.tls())
        refused(535, "5.7.0", s.login, "alice", "wrong")
        refused(530, "5.7.0", s.sendmail, ALICE, BOB, letter())
        s.login("alice", "secret")
        assert s.sendmail(ALICE, BOB, letter("login")) == {}
        assert s.docmd("AUTH", "PLAIN =")[0] == 503
    with smtplib.SMTP_SSL("localhost", d.port["submissions"], context=d.tls(), timeout=15) as s:
        s.login("alice@example.test", "secret")
        message = email.message.EmailMessage()
        message["From"], message["To"], message["Subject"] = ALICE, BOB, "façade"
        message.set_content("naïve\n" * 3)
        message.add_attachment(bytes(range(256)) * 100, maintype="application", subtype="octet-stream", filename="ünï.bin")
        s.send_message(message)
    assert b"ESMTPSA" in newest(d) and newest(d).startswith(b"Return-Path: <alice@example.test>\r\n")


def receiving(d):
    with client(d) as s:
        s.ehlo()
        for name in ("pipelining", "size", "8bitmime", "smtputf8", "chunking", "dsn", "enhancedstatuscodes", "starttls"):
            assert s.has_extn(name), name
        assert s.sendmail("a@b.example", [BOB, "nobody@example.test"], letter("partial")).keys() == {"nobody@example.test"}
        assert s.sendmail("", BOB, letter("bounce"), ["BODY=8BITMIME"]) == {}
        assert newest(d).startswith(b"Return-Path: <>\r\n")
        s.sendmail("ünï@b.example", BOB, letter("utf8").encode(), ["SMTPUTF8", "BODY=8BITMIME"])
        assert "Return-Path: <ünï@b.example>".encode() in newest(d)
        s.sendmail("a@b.example", BOB, letter("dsn"), ["RET=HDRS", "ENVID=x+2By"], ["NOTIFY=FAILURE,DELAY", f"ORCPT=rfc822;{BOB}"])
        dots = ".\r\n..\r\n...x\r\n.x\r\n"
        s.sendmail("a@b.example", BOB, letter("dots", dots))
        assert newest(d).endswith(b"\r\n\r\n" + dots.encode()), newest(d)
        assert s.noop()[0] == 250 and s.rset()[0] == 250 and s.help() and s.verify("bob")[0] in (250, 252)
        assert s.expn("staff")[0] in (502, 252, 550)
        s.sendmail("a@b.example", "x@elsewhere.example", letter()) # this machine relays; the queue has it
        refused(550, "5.1.1", s.sendmail, "a@b.example", "nobody@example.test", letter())
        assert s.docmd(f"MAIL FROM:<a@b.example> SIZE={60 * 1024 * 1024}")[0] == 552
        refused(555, "5.5.4", s.sendmail, "a@b.example", BOB, letter(), ["NOSUCH=1"])
        looping = "".join("Received: from a by b; Tue, 24 Nov 2026 08:00:00 +0000\r\n" for _ in range(60))
        refused(554, "5.4.6", s.sendmail, "a@b.example", BOB, looping + letter())
        assert s.sendmail("a@b.example", BOB, letter("after all that")) == {}


def limits(d):
    """A message that turns out too large is refused at its end, too many recipients one by one; the session goes on."""
    with client(d) as s:
        large = letter(1, ("y" * 70 + "\r\n") * 40000)
        refused(552, "5.2.3", s.sendmail, "a@b.example", BOB, large)
        s.mail("a@b.example")
        codes = [s.rcpt(BOB if n % 2 else ALICE)[0] for n in range(12)]
        assert codes == [250] * 10 + [452] * 2, codes
        s.rset()
        assert s.sendmail("a@b.example", BOB, letter("small")) == {}


def chunks(d):
    with d.wire("smtp") as w:
        w.hello()
        for command in "MAIL FROM:<a@b.example> BODY=8BITMIME", f"RCPT TO:<{BOB}>":
            assert w.ask(command)[0].startswith("250"), command
        first = letter("chunks", body="").encode()
        w.send(b"BDAT %d\r\n%s" % (len(first), first))
        assert w.line().startswith("250")
        octets = (bytes(n for n in range(1, 256) if n not in b"\r\n") + b"\r\n") * 300  # dots at line starts are data here
        octets += b".\r\n..\r\n"
        w.send(b"BDAT %d\r\n%s" % (len(octets), octets))
        assert w.line().startswith("250")
        w.send("BDAT 0 LAST\r\n")
        assert w.line().startswith("250 2.0.0")
        assert newest(d).endswith(first + octets)
        # Nobody to take it: the chunk is swallowed, not read as commands
        w.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@example.test>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        assert [w.line()[:3] for _ in range(4)] == ["250", "550", "554", "250"]
        assert w.ask("DATA")[0][:3] in ("503", "554")


def pipelining(d):
    """Everything in one write; the answers in order."""
    with d.wire("smtp") as w:
        w.send("EHLO client.example.net\r\n" + "".join(
            f"MAIL FROM:<a@b.example>\r\nRCPT TO:<{BOB}>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n{letter(n)}.\r\n"
            for n in range(20)) + "QUIT\r\n")
        text = w.rest_of_stream()
        got = [line[:3] for line in text.split("\r\n")[1:] if line[3:4] == " "]
        assert got == ["250"] + ["250", "250", "550", "354", "250"] * 20 + ["221"], got


def strict_lines(d):
    """Bare LF ends nothing: what hides behind one is not a second message (SMTP smuggling)."""
    for end in "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n":
        with d.wire("smtp") as w:
            w.hello()
            w.ask("MAIL FROM:<a@b.example>")
            w.ask(f"RCPT TO:<{BOB}>")
            w.ask("DATA")
            w.send(f"Subject: outer\r\n\r\nx{end}MAIL FROM:<evil@b.example>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: smuggled\r\n\r\n.\r\nQUIT\r\n")
            text = w.rest_of_stream()
            assert not text.startswith("250"), (end, text)
            assert b"smuggled" not in newest(d), end


def many_bad_commands(d):
    with d.wire("smtp") as w:
        w.line()
        w.send("NONSENSE\r\n" * 40)
        assert w.rest_of_stream().splitlines()[-1].startswith("421 4.7.0")


def lmtp(d):
    with smtplib.LMTP("localhost", d.port["lmtp"], local_hostname="client.example.net") as s:
        assert s.sendmail("a@b.example", [BOB], letter("lmtp")) == {}
        refused(550, "5.1.1", s.sendmail, "a@b.example", ["nobody@example.test"], letter())
        assert s.docmd("HELO client.example.net")[0] // 100 == 5
    assert b"with LMTP" in newest(d)
    with d.wire("lmtp") as w:  # smtplib reads one answer however many recipients there are
        w.line()
        w.ask("LHLO client.example.net")
        w.send(f"MAIL FROM:<a@b.example>\r\nRCPT TO:<{ALICE}>\r\nRCPT TO:<x@example.test>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n")
        assert [w.line()[:3] for _ in range(5)] == ["250", "250", "550", "250", "354"]
        w.send(letter("two") + ".\r\nNOOP\r\n")
        got = [w.line() for _ in range(3)]
        assert all(line.startswith("250 2.0.0 OK queued as") for line in got[:2]) and got[2].startswith("250"), got


with Daemons("smtp.max_message_size = 2M\nsmtp.max_recipients = 10", ["smtp", "submission", "submissions", "lmtp"]) as daemons:
    scenarios(submission, receiving, limits, chunks, pipelining, strict_lines, many_bad_commands, lmtp, arguments=[daemons])
