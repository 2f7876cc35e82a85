"""Submission (RFC 6409): a login first, the sender one's own, no ETRN, and a message made whole."""
import re
import smtplib

from lib_daemons import PASSWORD, Daemons, run, scenarios, wait_for

TRUSTED = "alice\n# a comment\n  bob  \n"


def session(d, listener="submission", user=None):
    port = d.port[listener]
    if listener == "submissions":
        s = smtplib.SMTP_SSL("localhost", port, context=d.tls(), timeout=15)
    else:
        s = smtplib.SMTP("localhost", port, timeout=15)
        s.starttls(context=d.tls())
    s.ehlo("client.example.net")
    if user:
        s.login(user, PASSWORD)
    return s


def reply(answer):
    code, text = answer
    return f"{code} {text.decode()}"


def login_first(d):
    for listener in "submission", "submissions":
        with session(d, listener) as s:
            assert reply(s.docmd("MAIL FROM:<alice@example.test>")) == "530 5.7.0 Authentication required"
            assert reply(s.docmd("ETRN example.test")).startswith("502 5."), "no ETRN"
            s.login("alice", PASSWORD)
            assert s.docmd("MAIL FROM:<alice@example.test>")[0] == 250
            assert s.docmd("RCPT TO:<bob@example.test>")[0] == 250


def own_sender(d):
    """Who is logged in sends as himself alone; as nobody, too: a receipt has no sender."""
    with session(d, user="carol") as s:
        for sender in "carol@example.test", "CAROL@Example.Test", "carol+list@example.test", '"carol"@example.test', "":
            assert s.docmd(f"MAIL FROM:<{sender}>")[0] == 250, sender
            s.rset()
        for sender in "alice@example.test", "carol@elsewhere.example", "carolina@example.test", "alice+carol@example.test":
            answer = reply(s.docmd(f"MAIL FROM:<{sender}>"))
            assert answer == f"550 5.7.1 <{sender}>... Sender address is not that of the user logged in", answer
    with session(d, user="alice") as s:
        assert s.docmd("MAIL FROM:<news@example.test>")[0] == 250, "a trusted user"
    with session(d, "smtp", user="carol") as s:
        assert s.docmd("MAIL FROM:<alice@example.test>")[0] == 250, "port 25 does not ask"
    assert 'reason="<alice@example.test>... Sender address' in d.log("smtpd")


def unchecked(d):
    with session(d, user="carol") as s:
        assert s.docmd("MAIL FROM:<alice@example.test>")[0] == 250, "sender_check = no"


def texts(d, user):
    return [path.read_bytes().decode() for path in (d.data / "mail" / user / "new").glob("*")]


def made_whole(d):
    """Date and Message-ID are added where they are missing, and nowhere else."""
    for number, (listener, user, head, date, ident) in enumerate((
            ("submission", "carol", "Subject: bare\r\n", 1, 1),
            ("submissions", "carol", "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\n", 0, 1),
            ("smtp", None, "Message-ID: <own@client.example.net>\r\n", 1, 0),
            ("smtp", None, "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-Id: <o@c.example>\r\n", 0, 0))):
        mark = f"X-Number: {number}\r\n"
        with session(d, listener, user) as s:
            s.sendmail("carol@example.test", ["bob@example.test"], mark + head + "\r\nhello\r\n")
        text = wait_for(lambda m=mark: [t for t in texts(d, "bob") if m in t], what="the letter")[0]
        header, body = text.split("\r\n\r\n", 1)
        assert body == "hello\r\n", text
        assert len(re.findall(r"(?mi)^Date: ", header)) == 1 and len(re.findall(r"(?mi)^Message-ID: ", header)) == 1, text
        assert (" +0000" in header and "08:00:00" in header) == (not date), text
        assert bool(re.search(r"(?m)^Message-ID: <[0-9A-F]+@localhost>", header)) == bool(ident), text


def from_a_server(d):
    """LMTP: a server before us has answered for it, and it stays as it is."""
    with d.wire("lmtp") as w:
        w.reply()
        w.ask("LHLO client.example.net")
        for command in "MAIL FROM:<a@b.example>", "RCPT TO:<bob@example.test>", "DATA":
            w.ask(command)
        assert w.ask("Subject: by LMTP\r\n\r\nhello\r\n.")[0].startswith("250")
    text = wait_for(lambda: [t for t in texts(d, "bob") if "by LMTP" in t], what="the letter")[0]
    assert "\r\nDate:" not in text and "Message-ID" not in text, text


def large(d):
    """A message that does not fit in memory: what is missing comes at the same place."""
    body = ("x" * 70 + "\r\n") * 20000
    with session(d, user="carol") as s:
        s.sendmail("carol@example.test", ["bob@example.test"], "Subject: large\r\n\r\n" + body)
    text = wait_for(lambda: [t for t in texts(d, "bob") if "Subject: large" in t], what="the letter")[0]
    header, rest = text.split("\r\n\r\n", 1)
    assert rest == body and "\r\nDate: " in header and "\r\nMessage-ID: " in header


def with_swaks(d):
    common = ["swaks", "-n", "--timeout", 15, "--ehlo", "client.example.net", "--to", "bob@example.test", "--auth", "PLAIN",
              "--auth-user", "carol", "--auth-password", PASSWORD]
    run(*common, "--server", f"127.0.0.1:{d.port['submission']}", "-tls", "--from", "carol@example.test")
    run(*common, "--server", f"127.0.0.1:{d.port['submissions']}", "--tls-on-connect", "--from", "carol@example.test")
    done = run(*common, "--server", f"127.0.0.1:{d.port['submission']}", "-tls", "--from", "bob@example.test", check=False)
    assert done.returncode and "550 5.7.1" in done.stdout + done.stderr, done.stdout


d = Daemons(listeners=("smtp", "submission", "submissions", "lmtp"), users=("alice", "bob", "carol"))
(d.home / "trusted-users").write_text(TRUSTED)
d.set("policy.trusted_users", d.home / "trusted-users")
with d:
    scenarios(login_first, own_sender, made_whole, from_a_server, large, with_swaks, arguments=[d])
d = Daemons(listeners=("submission",), users=("alice", "carol"))
d.conf.write_text(d.conf.read_text().replace("listener submission {\n", "listener submission {\n sender_check = no\n"))
with d:
    scenarios(unchecked, arguments=[d])
