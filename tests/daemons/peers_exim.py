"""Exim at the other end: a smart host that wants a password, mail both ways, what it says no to and what it says later;
and the whole way round: Postfix -> smtpd -> Exim -> smtpd -> a mailbox."""
import email
import email.policy
import re
import smtplib

from lib_daemons import PASSWORD, Daemons, free_ports, scenarios, wait_for
from lib_dns import Dns
from lib_peers import Authority, Exim, Postfix

PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd"), "submission": ("submission", "starttls", "smtpd")}
EXIM, SMART, POSTFIX = "127.0.0.75", "127.0.0.76", "127.0.0.77"
RECORDS = {"exim.test": {"MX": "10 mx.exim.test"}, "mx.exim.test": {"A": EXIM}, "mx.smart.test": {"A": SMART},
           "smart.test": {"MX": "10 mx.smart.test"}}
LONG = "".join(f"line {n} of a letter that is not short\r\n" for n in range(500_000))
RCPT = """  deny message = 5.1.1 nobody of that name
    local_parts = nobody
  defer message = 4.7.1 come later
    local_parts = later
    condition = ${if exists{GATE}{no}{yes}}
  deny message = 5.7.1 not from there
    senders = bob@example.test"""


def letter(subject, body="Hello.\r\n", sender="alice@example.test", to="x@exim.test", more=""):
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
            f"Message-ID: <{subject}@t>\r\n{more}\r\n{body}").encode()


def send(server, to, octets, sender="alice@example.test", options=(), rcpt_options=()):
    with smtplib.SMTP(*server, timeout=60) as s:
        s.ehlo()
        assert not s.sendmail(sender, to, octets, options, rcpt_options)


def body_of(octets):
    return octets.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


class World:
    def __init__(self, d, exim, smart, postfix):
        self.d, self.exim, self.smart, self.postfix = d, exim, smart, postfix
        self.ours = ("127.0.0.1", d.port["smtp"])

    def first(self, found, what, seconds=20):
        try:
            return wait_for(found, seconds, what)[0]
        except AssertionError as e:
            logs = self.exim.log()[-2000:], self.smart.log()[-1000:], self.d.log("smtpd")[-3000:]
            raise AssertionError("\n".join((str(e), *logs))) from None

    def here(self, user, text):
        def letters():
            files = (f.read_bytes() for f in (self.d.data / "mail").rglob("new/*") if user in f.relative_to(self.d.data).parts)
            return [octets for octets in files if text.encode() in octets]
        return self.first(letters, f"{text} for {user} here")

    def there(self, user, text, server=None, seconds=20):
        return self.first(lambda: [o for o in (server or self.exim).mails(user) if text.encode() in o],
                          f"{text} for {user} there", seconds)


def report(octets):
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report", octets[:2000]
    first, *rest = [p for p in message.walk() if p.get_content_type() == "message/delivery-status"][0].get_payload()
    return first, rest


def to_it(w):
    """CHUNKING and TLS with a certificate that is verified; the octets are the same."""
    send(w.ours, ["x@exim.test", "y@exim.test"], letter("to-it", "..\r\n.\r\nfrom here\r\nFrom there\r\n"))
    octets = w.there("x", "Subject: to-it")
    w.there("y", "Subject: to-it")
    assert body_of(octets) == b"..\n.\nfrom here\nFrom there\n", octets
    assert octets.lower().startswith(b"return-path: <alice@example.test>\n") and b"with esmtps" in octets, octets
    assert re.search(r"<= alice@example.test .* P=esmtps .* K ", w.exim.log() + " "), w.exim.log()[-1000:]
    send(w.ours, ["large@exim.test"], letter("twenty-megabytes", LONG))
    assert body_of(w.there("large", "Subject: twenty-megabytes", seconds=60)) == LONG.replace("\r\n", "\n").encode()


def many(w):
    send(w.ours, [f"u{n}@exim.test" for n in range(120)], letter("many"))
    def names():
        found = [f.read_bytes() for f in w.exim.home.glob("mail/all/new/*")]
        heads = [o.split(b"\nReceived:")[0] for o in found if b"Subject: many" in o]
        return {name for head in heads for name in re.findall(rb"u\d+@exim.test", head)}
    wait_for(lambda: len(names()) == 120, 60, f"120 letters, {len(names())}")


def utf8(w):
    with smtplib.SMTP(*w.ours) as s:
        s.ehlo()
        assert s.docmd("MAIL FROM:<alice@example.test> SMTPUTF8 BODY=8BITMIME")[0] == 250
        s.command_encoding = "utf-8"
        assert s.docmd("RCPT TO:<почта@exim.test>")[0] == 250
        assert s.data("From: alice@example.test\r\nSubject: адрес\r\n\r\nпривет\r\n".encode())[0] == 250
    assert body_of(w.there("почта", "Subject: адрес")).decode() == "привет\n"


def refused(w):
    send(w.ours, ["nobody@exim.test", "z@exim.test"], letter("refused-rcpt"))
    w.there("z", "Subject: refused-rcpt")
    _, (one,) = report(w.here("alice", "refused-rcpt@t"))
    assert one["Status"] == "5.1.1" and "nobody of that name" in one["Diagnostic-Code"], one
    send(w.ours, ["z@exim.test"], letter("refused-sender"), sender="bob@example.test")
    _, (one,) = report(w.here("bob", "refused-sender@t"))
    assert one["Status"] == "5.7.1" and "not from there" in one["Diagnostic-Code"], one


def later(w):
    send(w.ours, ["later@exim.test"], letter("later"))
    wait_for(lambda: re.search(r"event=deferred .*to=later@exim.test.*", w.d.log("smtpd")), what="a deferral")
    assert not w.exim.mails("later")
    w.exim.gate.touch()
    w.there("later", "Subject: later")


def receipt(w):
    send(w.ours, ["told@exim.test"], letter("receipt"), options=["ENVID=env+2Bid", "RET=HDRS"],
         rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;first+2Btold@exim.test"])
    w.there("told", "Subject: receipt")
    octets = w.here("alice", "Action: delivered")
    first, (one,) = report(octets)
    assert "env" in first["Original-Envelope-Id"] and one["Action"] == "delivered", octets
    assert "told@exim.test" in one["Final-Recipient"], octets


def its_bounce(w):
    """Exim takes a letter for somebody of ours who is not there: its report comes to a mailbox here."""
    send((EXIM, PORT), ["ghost@example.test"], letter("its-bounce"))
    octets = w.here("alice", "its-bounce@t")
    assert octets.startswith(b"Return-Path: <>\r\n") and b"ghost@example.test" in octets, octets
    first, (one,) = report(octets)
    assert one["Action"] == "failed" and one["Remote-MTA"], one


def our_bounce(w):
    """A sender who lives at Exim gets our report."""
    send(w.ours, ["nobody@exim.test"], letter("our-bounce"), sender="carol@exim.test")
    octets = w.there("carol", "our-bounce@t")
    assert octets.lower().startswith(b"return-path: <>\n"), octets
    _, (one,) = report(octets)
    assert one["Action"] == "failed" and one["Status"] == "5.1.1", one


def smart_host(w):
    """It wants a password, which AuthInfo has; somebody else's domain behind it."""
    with smtplib.SMTP(SMART, PORT) as s:
        s.ehlo()
        s.mail("a@b.test")
        assert s.rcpt("x@smart.test")[0] >= 500, "it lets anybody in"
    send(w.ours, ["x@smart.test"], letter("with-password"))
    assert b"with esmtpsa" in w.there("x", "Subject: with-password", w.smart)


def it_logs_in(w):
    """The smart host relays to us by our submission port, where it has an account."""
    with smtplib.SMTP(SMART, PORT) as s:
        s.ehlo()
        s.login("u", "secret")
        s.sendmail("alice@example.test", ["bob@example.test"], letter("submitted"))
    octets = w.here("bob", "Subject: submitted")
    assert b"with ESMTPSA" in octets, octets


def round_about(w):
    """Postfix -> smtpd -> Exim -> smtpd -> alice: an address at Exim that is sent on."""
    send((POSTFIX, PORT), ["onward@exim.test"], letter("round-about"), sender="p@postfix.test")
    octets = w.here("alice", "Subject: round-about")
    assert octets.count(b"Received: ") == 4 and octets.startswith(b"Return-Path: <p@postfix.test>\r\n"), octets


def main():
    with Dns(RECORDS) as dns, Authority() as ca:
        d = Daemons(f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {PORT}\nclient.ca = {ca.file}\n"
                    "client.host_status_timeout = 1 s\nqueue.retry_first = 1 s\nqueue.retry_most = 1 s\n"
                    "max_connections_per_address = 200\n",
                    listeners=LISTENERS, sends=True)
        (d.home / "access").write_text("TLS_Srv:mx.exim.test\tVERIFY\nAuthInfo:mx.smart.test\t\"U:u\" \"P:secret\" \"M:PLAIN\"\n")
        (d.home / "access").chmod(0o600)
        d.set("policy.access", d.home / "access")
        exim = Exim(EXIM, PORT, "127.0.0.1", d.port["smtp"], tls=ca.certificate("mx.exim.test"), rcpt=RCPT)
        exim.gate = exim.home / "gate"
        exim.macro("GATE", exim.gate)
        exim.router("onward", "driver = redirect", "local_parts = onward", "domains = exim.test", "data = alice@example.test")
        smart = Exim(SMART, PORT, "127.0.0.1", d.port["submission"], auth=("u", "secret"), login=("alice", PASSWORD),
                     tls=ca.certificate("mx.smart.test"), transport="  hosts_require_auth = *", domain="smart.test")
        postfix = Postfix(POSTFIX, PORT, {"relayhost": f"[127.0.0.1]:{d.port['smtp']}"})
        with d, exim, smart, postfix:
            scenarios(to_it, many, utf8, refused, later, receipt, its_bounce, our_bounce, smart_host, it_logs_in, round_about,
                      arguments=(World(d, exim, smart, postfix),))


main()
