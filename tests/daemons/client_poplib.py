"""Python's poplib, and POP3 as it is on the wire: every command, APOP, UTF8, pipelining, what is refused."""
import poplib
import smtplib

from lib_daemons import Daemons, letter, scenarios


def fill(d, user, count):
    with smtplib.SMTP("localhost", d.port["smtp"], local_hostname="client.example.net") as s:
        for n in range(1, count + 1):
            s.sendmail("a@b.example", f"{user}@example.test", letter(n, f"Line one of {n}.\r\n.dot\r\nLine three.\r\n"))


def client(d, user=None, tls=True):
    p = poplib.POP3("localhost", d.port["pop3"], timeout=15)
    if tls:
        p.stls(context=d.tls())
    if user:
        p.user(user)
        p.pass_("secret")
    return p


def refused(start, call, *args):
    try:
        call(*args)
    except poplib.error_proto as e:
        assert str(e.args[0]).startswith(f"b'{start}"), e
        return
    raise AssertionError(f"{args}: not refused")


def session(d):
    fill(d, "bob", 5)
    p = client(d, "bob")
    count, size = p.stat()
    assert count == 5 and size == sum(int(line.split()[1]) for line in p.list()[1])
    assert p.list(2) == b"+OK 2 " + p.list()[1][1].split()[1]
    names = [line.split()[1] for line in p.uidl()[1]]
    assert len(set(names)) == 5 and p.uidl(3).split()[2] == names[2]
    answer, lines, octets = p.retr(1)
    text = b"".join(line + b"\r\n" for line in lines)
    assert text.decode().endswith(letter(1, "Line one of 1.\r\n.dot\r\nLine three.\r\n")), text
    assert len(text) == int(p.list(1).split()[2])
    header, top = p.top(1, 0)[1], p.top(1, 2)[1]
    assert header[-1] == b"" and top == header + [b"Line one of 1.", b".dot"], top
    assert p.noop().startswith(b"+OK")
    for bad in 0, 6, 99999999999:
        refused("-ERR", p.retr, bad)
        refused("-ERR", p.dele, bad)
    assert p.dele(1) and p.dele(2)
    refused("-ERR", p.dele, 1)
    refused("-ERR", p.retr, 1)
    assert p.stat()[0] == 3 and len(p.list()[1]) == 3
    assert p.rset() and p.stat()[0] == 5
    p.dele(2)
    p.quit()
    p = client(d, "bob")
    assert [line.split()[1] for line in p.uidl()[1]] == names[:1] + names[2:]
    p.dele(1)
    p.close()  # without QUIT nothing is deleted
    p = client(d, "bob")
    assert p.stat()[0] == 4
    p.quit()


def tls_from_the_start(d):
    p = poplib.POP3_SSL("localhost", d.port["pop3s"], context=d.tls())
    assert b"libmail" in p.getwelcome()
    assert "STLS" not in p.capa() and p.capa()["EXPIRE"] == ["NEVER"]
    refused("-ERR [AUTH]", lambda: (p.user("bob"), p.pass_("wrong")))
    p.user("bob")
    p.pass_("secret")
    p.quit()


def capabilities(d):
    p = client(d, tls=False)
    before = p.capa()
    for name in "TOP", "UIDL", "STLS", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UTF8", "LANG", "IMPLEMENTATION":
        assert name in before, name
    assert "USER" not in before and "PLAIN" not in before.get("SASL", [])
    refused("-ERR", lambda: (p.user("bob"), p.pass_("secret")))
    p.stls(context=d.tls())
    after = p.capa()
    assert "USER" in after and "STLS" not in after and "PLAIN" in after["SASL"]
    refused("-ERR", p.stat)
    p.close()


def apop(d):
    p = client(d, tls=False)
    p.apop("alice", "secret")
    p.quit()
    p = client(d, tls=False)
    refused("-ERR [AUTH]", p.apop, "alice", "wrong")
    refused("-ERR [AUTH]", p.apop, "nobody", "secret")
    p.apop("alice@example.test", "secret")
    p.quit()


def utf8(d):
    p = client(d)
    p.utf8()
    p.user("bob")
    p.pass_("secret")
    assert p.stat()[0] == 4
    p.quit()
    with d.wire("pop3s", tls=True) as w:
        w.line()
        assert w.ask("LANG", "+OK") and w.until(".")
        assert w.ask("LANG x-none", "-ERR")
        assert w.ask("UTF8 USER", ("+OK", "-ERR"))


def pipelined(d):
    """The whole session in one write; 300 RETRs in the next: the answers come in order."""
    with d.wire("pop3s", tls=True) as w:
        w.line()
        w.send("USER bob\r\nPASS secret\r\nSTAT\r\nLIST 1\r\nNOOP\r\n" + "RETR 1\r\nTOP 2 0\r\n" * 150 + "QUIT\r\n")
        text = w.rest_of_stream()
        assert text.count("Line three.\r\n.\r\n") == 150 and text.count("\r\n\r\n.\r\n") == 150
        assert text.rstrip().splitlines()[-1].startswith("+OK")


def locked(d):
    """RFC 1939 §3: one session at a time has the maildrop; the next is told so, and mail that comes waits."""
    p = client(d, "bob")
    other = client(d)
    other.user("bob")
    refused("-ERR [IN-USE]", other.pass_, "secret")
    other.close()
    fill(d, "bob", 1)
    assert p.stat()[0] == 4
    p.quit()
    p = client(d, "bob")
    assert p.stat()[0] == 5
    p.quit()


def sasl(d):
    import base64
    token = base64.b64encode(b"\0bob\0secret").decode()
    for commands in [f"AUTH PLAIN {token}"], ["AUTH PLAIN", token]:
        with d.wire("pop3s", tls=True) as w:
            w.line()
            for command in commands:
                line = w.ask(command, ("+",))[0]
            assert line.startswith("+OK"), line
            assert w.ask("QUIT", "+OK")
    with d.wire("pop3s", tls=True) as w:
        w.line()
        w.ask("AUTH PLAIN", "+ ")
        assert w.ask("*", "-ERR")
        assert w.ask("AUTH PLAIN ====", "-ERR")
        assert w.ask("AUTH NOSUCH", "-ERR")
        assert w.ask("NONSENSE", "-ERR")
        w.send("x" * 100000 + "\r\n")
        assert w.line().startswith("-ERR")


with Daemons("pop3.apop = yes", listeners=("smtp", "pop3", "pop3s")) as daemons:
    daemons.mailctl("user", "secret", "-p", "alice", input="secret\n")
    scenarios(session, tls_from_the_start, capabilities, apop, utf8, pipelined, locked, sasl, arguments=[daemons])
