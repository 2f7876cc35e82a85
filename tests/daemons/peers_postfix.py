"""Postfix at the other end: mail it sends us, by SMTP and LMTP; mail it gets from us, with all that SMTP can say; reports
both ways. Each part has its own subject; what was sent has to be what arrives."""
import email
import email.policy
import hashlib
import re
import smtplib
import time

from lib_daemons import Daemons, free_ports, scenarios, wait_for
from lib_dns import Dns
from lib_peers import Authority, Postfix
from lib_relay import Peer

PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd"), "lmtp": ("lmtp", "none", "smtpd")}
POSTFIX, STRICT, THIRD, BARE, SEVEN = (f"127.0.0.{n}" for n in (71, 72, 73, 74, 78))
RECORDS = {"postfix.test": {"MX": "10 mx.postfix.test"}, "mx.postfix.test": {"A": POSTFIX},
           "strict.test": {"MX": "10 mx.strict.test"}, "mx.strict.test": {"A": STRICT},
           "third.test": {"MX": "10 mx.third.test"}, "mx.third.test": {"A": THIRD},
           "bare.test": {"MX": "10 mx.bare.test"}, "mx.bare.test": {"A": BARE},
           "seven.test": {"MX": "10 mx.seven.test"}, "mx.seven.test": {"A": SEVEN}}
LONG = "".join(f"line {n} of a letter that is not short\r\n" for n in range(480_000))


def letter(subject, body="Hello.\r\n", sender="alice@example.test", to="bob@postfix.test", more=""):
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
            f"Message-ID: <{subject}@t>\r\n{more}\r\n{body}").encode()


def send(where, to, octets, sender="alice@example.test", options=(), rcpt_options=()):
    host, port = where
    with smtplib.SMTP(host, port, timeout=60) as s:
        s.ehlo()
        refused = s.sendmail(sender, to, octets, options, rcpt_options)
        assert not refused, refused


class World:
    def __init__(self, d, postfix):
        self.d, self.postfix = d, postfix
        self.ours, self.theirs = ("127.0.0.1", d.port["smtp"]), (postfix.address, PORT)

    def letters(self, user, subject):
        """What lies in one of our mailboxes with that in its text."""
        found = (f.read_bytes() for f in (self.d.data / "mail").rglob("new/*") if user in f.relative_to(self.d.data).parts)
        return [octets for octets in found if subject.encode() in octets]

    def ours_has(self, user, subject, seconds=20):
        return self.first(lambda: self.letters(user, subject), seconds, f"{subject} for {user} here")

    def theirs_has(self, user, subject, seconds=20):
        return self.first(lambda: [o for o in self.postfix.mails(user) if subject.encode() in o], seconds,
                          f"{subject} for {user} there")

    def first(self, found, seconds, what):
        try:
            return wait_for(found, seconds, what)[0]
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.postfix.log()[-3000:]}\n{self.d.log('smtpd')[-3000:]}") from None

    def report(self, octets):
        """A report's fields as another program reads them: (of the message, [of each recipient])."""
        message = email.message_from_bytes(octets, policy=email.policy.default)
        assert message.get_content_type() == "multipart/report", octets[:2000]
        status = [part for part in message.walk() if part.get_content_subtype().endswith("delivery-status")]
        assert len(status) == 1, octets[:2000]
        if status[0].get_content_type() == "message/delivery-status":
            first, *rest = status[0].get_payload()
        else: # RFC 6533: in UTF-8, which the library takes for a whole message
            text = octets.replace(b"\r\n", b"\n").split(b"message/global-delivery-status", 1)[1].split(b"\n--", 1)[0].decode()
            first, *rest = (email.message_from_string(group) for group in text.split("\n\n")[1:] if group)
        assert message["Auto-Submitted"], octets[:2000]
        return first, rest


def body_of(octets):
    """Behind the header, with LF."""
    return octets.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


def takes_and_relays(w):
    """Postfix -> smtpd -> a mailbox here, and -> smtpd -> a third server, over TLS that Postfix verifies."""
    with Peer(THIRD, PORT) as third:
        send(w.theirs, ["alice@example.test", "x@third.test"], letter("through", "..\r\n.\r\nend\r\n"), sender="s@postfix.test")
        octets = w.ours_has("alice", "Subject: through")
        assert octets.startswith(b"Return-Path: <s@postfix.test>\r\n") and body_of(octets) == b"..\n.\nend\n", octets
        assert re.search(rb"Received: from mx\.postfix\.test [^;]*with ESMTPS", octets, re.S), octets
        wait_for(lambda: third.mails, what="the third server's letter")
        assert third.mails[0][:2] == ("s@postfix.test", ["x@third.test"]), third.mails
        assert third.mails[0][2].count(b"Received: ") == 2 and third.mails[0][2].endswith(b"\r\n\r\n..\r\n.\r\nend\r\n")
        assert "Verified TLS connection established to 127.0.0.1" in w.postfix.log(), w.postfix.log()[-3000:]


def by_lmtp(w):
    """lmtp(8): one transaction, a reply a recipient; what is refused comes back as Postfix's report."""
    send(w.theirs, ["bob@lmtp.test", "nobody@lmtp.test", "alice@lmtp.test"], letter("by-lmtp"))
    for user in "bob", "alice":
        octets = w.ours_has(user, "Subject: by-lmtp")
        assert b"with LMTP" in octets, octets
    first, (one,) = w.report(w.ours_has("alice", "Undelivered Mail Returned"))
    assert one["Action"] == "failed" and one["Status"].startswith("5.1.") and "nobody@lmtp" in one["Final-Recipient"], one
    assert w.postfix.log().count(f":{w.d.port['lmtp']}, delay") >= 3, w.postfix.log()[-3000:]


def pipelined(w):
    """EHLO, STARTTLS, EHLO, then the message; what Postfix counted is in the line it writes at the end."""
    send(w.ours, ["bob@postfix.test"], letter("in-pieces"))
    octets = w.theirs_has("bob", "Subject: in-pieces")
    assert b"Received: from localhost" in octets and b"with ESMTPS" in octets and body_of(octets) == b"Hello.\n", octets
    assert octets.startswith(b"Return-Path: <alice@example.test>\n"), octets
    w.d.hang_up("smtpd") # gives up kept connections
    line = wait_for(lambda: re.search(r"disconnect from \S+ (ehlo=2 starttls=1 mail=.*)", w.postfix.log()), what="its sums")
    print("postfix counted:", line[1])
    assert "bdat=" in line[1] or "data=" in line[1], line[1]


def eight_bits(w):
    text = "Ünïcode, 8 bits: é\r\n"
    send(w.ours, ["bits@postfix.test"], letter("eight-bits", text, more="MIME-Version: 1.0\r\nContent-Type: text/plain; "
         "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"), options=["BODY=8BITMIME"])
    assert body_of(w.theirs_has("bits", "Subject: eight-bits")).decode() == text.replace("\r\n", "\n")


def seven_bits(w):
    """A server without 8BITMIME: encoded on the way, and the same when it is read (RFC 6152 §3)."""
    text = "Ünïcode, 8 bits: é\r\n.\r\n" + "=" * 300 + "\r\n"
    send(w.ours, ["bits@seven.test"], letter("seven-bits", text, more="MIME-Version: 1.0\r\nContent-Type: text/plain; "
         "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"), options=["BODY=8BITMIME"])
    octets = w.theirs_has("bits", "Subject: seven-bits")
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert octets.isascii() and message["Content-Transfer-Encoding"] in ("quoted-printable", "base64"), octets
    assert message.get_content() == text.replace("\r\n", "\n"), message.get_content()


def utf8_addresses(w):
    with smtplib.SMTP(*w.ours) as s:
        s.ehlo()
        assert s.has_extn("smtputf8")
        code, _ = s.docmd("MAIL FROM:<alice@example.test> SMTPUTF8 BODY=8BITMIME")
        assert code == 250
        s.command_encoding = "utf-8"
        assert s.docmd("RCPT TO:<почта@postfix.test>")[0] == 250
        assert s.data("From: alice@example.test\r\nTo: почта@postfix.test\r\nSubject: адрес\r\n\r\nпривет\r\n".encode())[0] == 250
    octets = w.theirs_has("почта", "Subject: адрес")
    assert body_of(octets).decode() == "привет\n" and "To: почта@postfix.test" in octets.decode(), octets


def twenty_megabytes(w):
    began = time.monotonic()
    send(w.ours, ["large@postfix.test"], letter("twenty-megabytes", LONG))
    octets = w.theirs_has("large", "Subject: twenty-megabytes", 60)
    assert hashlib.sha256(body_of(octets)).digest() == hashlib.sha256(LONG.replace("\r\n", "\n").encode()).digest()
    send(w.theirs, ["bob@example.test"], letter("twenty-back", LONG), sender="s@postfix.test")
    octets = w.ours_has("bob", "Subject: twenty-back", 60)
    assert hashlib.sha256(body_of(octets)).digest() == hashlib.sha256(LONG.replace("\r\n", "\n").encode()).digest()
    print(f"20 MB there and back: {time.monotonic() - began:.1f} s")


def five_hundred(w):
    send(w.ours, [f"u{n}@postfix.test" for n in range(500)], letter("five-hundred"))
    def there():
        letters = [f.read_bytes() for f in w.postfix.home.glob("mail/all/new/*")]
        return sorted(re.search(rb"X-Original-To: (\S+)@", o)[1].decode() for o in letters if b"Subject: five-hundred" in o)
    wait_for(lambda: len(there()) >= 500, 60, "500 letters")
    assert there() == sorted(f"u{n}" for n in range(500))
    wait_for(lambda: "five-hundred" not in w.d.mailctl("queue", "list").stdout, what="an empty queue")


def receipt(w):
    """NOTIFY, ENVID, ORCPT and RET go on to Postfix, whose report of success comes here and bears them."""
    send(w.ours, ["told@postfix.test"], letter("receipt"), options=["ENVID=env+2Bid", "RET=HDRS"],
         rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;first+2Btold@postfix.test"])
    w.theirs_has("told", "Subject: receipt")
    first, (one,) = w.report(w.ours_has("alice", "Successful Mail Delivery Report"))
    assert first["Original-Envelope-Id"] == "env+id", first
    assert one["Action"] == "delivered" and "first+told@postfix.test" in one["Original-Recipient"], one


def too_large(w):
    """SIZE says so before anything is sent (RFC 1870 §6.1 (3))."""
    send(w.ours, ["x@strict.test"], letter("too-large", "x" * 70 + "\r\n" + "0123456789\r\n" * 4000))
    octets = w.ours_has("alice", "too-large@t")
    _, (one,) = w.report(octets)
    assert one["Action"] == "failed" and one["Status"] == "5.3.4" and "x@strict.test" in one["Final-Recipient"], one


def unwanted_sender(w):
    send(w.ours, ["y@strict.test"], letter("unwanted"), sender="bob@example.test")
    _, (one,) = w.report(w.ours_has("bob", "unwanted@t"))
    assert one["Status"] == "5.7.1" and "not this one" in one["Diagnostic-Code"], one


def later(w):
    send(w.ours, ["later@strict.test", "now@strict.test"], letter("later"))
    w.theirs_has("now", "Subject: later")
    wait_for(lambda: re.search(r"event=deferred .*to=later@strict.test.*", w.d.log("smtpd")), what="a deferral")
    assert not w.postfix.mails("later")
    w.postfix.map("rcpt", {"no@strict.test": "550 5.1.1 no such person"})
    w.postfix.reload()
    w.theirs_has("later", "Subject: later")
    assert len(w.postfix.mails("now")) == 1, "who had it gets it once"


def our_report_there(w):
    """A sender who lives at Postfix, a recipient nobody has: our report goes there and is read."""
    send(w.ours, ["no@strict.test"], letter("our-report", sender="carol@postfix.test"), sender="carol@postfix.test")
    octets = w.theirs_has("carol", "our-report@t")
    assert octets.startswith(b"Return-Path: <>\n"), octets
    first, (one,) = w.report(octets)
    assert one["Action"] == "failed" and one["Status"] == "5.1.1" and "no@strict.test" in one["Final-Recipient"], one
    assert "no such person" in one["Diagnostic-Code"] and first["Reporting-MTA"], one


def nothing_offered(w):
    """Neither PIPELINING nor CHUNKING, DSN or STARTTLS: it goes, and that nobody will report is reported (RFC 3461 §5.2.2)."""
    send(w.ours, ["plain@bare.test"], letter("nothing-offered"), options=["ENVID=e1"], rcpt_options=["NOTIFY=SUCCESS"])
    octets = w.theirs_has("plain", "Subject: nothing-offered")
    assert b"with ESMTP " in octets, octets
    first, (one,) = w.report(w.ours_has("alice", "Action: relayed"))
    assert one["Action"] == "relayed" and "plain@bare.test" in one["Final-Recipient"], one
    assert first["Original-Envelope-Id"] == "e1", first


def no_utf8_there(w):
    """An address that the other side cannot take (RFC 6531 §3.5)."""
    with smtplib.SMTP(*w.ours) as s:
        s.ehlo()
        assert s.docmd("MAIL FROM:<alice@example.test> SMTPUTF8 BODY=8BITMIME")[0] == 250
        s.command_encoding = "utf-8"
        assert s.docmd("RCPT TO:<почта@bare.test>")[0] == 250
        assert s.data("From: alice@example.test\r\nMessage-ID: <no-utf8-there@t>\r\n\r\nпривет\r\n".encode())[0] == 250
    _, (one,) = w.report(w.ours_has("alice", "no-utf8-there@t"))
    assert one["Action"] == "failed" and one["Status"] == "5.6.7", one


def our_limit(w):
    """We say in EHLO how much we take; Postfix does not try, and tells the sender."""
    send(w.theirs, ["alice@example.test"], letter("our-limit", LONG + LONG))
    _, (one,) = w.report(w.ours_has("alice", "our-limit@t"))
    assert one["Status"] == "5.3.4" and one["Action"] == "failed", one


def our_receipt(w):
    """Postfix hands NOTIFY=SUCCESS on to us: our report of success goes back there and is read."""
    send(w.theirs, ["bob@example.test"], letter("our-receipt", sender="carol@postfix.test"), sender="carol@postfix.test",
         options=["ENVID=e+2B2", "RET=HDRS"], rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;older+2Bbob@example.test"])
    w.ours_has("bob", "Subject: our-receipt")
    first, (one,) = w.report(w.theirs_has("carol", "our-receipt@t"))
    assert first["Original-Envelope-Id"] == "e+2" and one["Action"] == "delivered" and one["Status"][0] == "2", one
    assert "older+bob@example.test" in one["Original-Recipient"], one


def main():
    with Dns(RECORDS) as dns, Authority() as ca:
        d = Daemons(f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {PORT}\n"
                    "smtp.max_message_size = 30 MB\nclient.host_status_timeout = 1 s\n"
                    "queue.retry_first = 1 s\nqueue.retry_most = 1 s\n",
                    listeners=LISTENERS, sends=True)
        d.set("client.ca", ca.file)
        d.set("domains", "example.test lmtp.test")
        (d.home / "access").write_text("TLS_Srv:mx.postfix.test\tVERIFY\n")
        (d.home / "access").chmod(0o600)
        d.set("policy.access", d.home / "access")
        postfix = Postfix(POSTFIX, PORT, {}, tls=ca.certificate("mx.postfix.test"))
        ours = f"[127.0.0.1]:{d.port['smtp']}"
        with d:
            d.tls()
            authorities = postfix.home / "ours.pem"
            authorities.write_bytes(d.ca.read_bytes())
            postfix.settings.update({
                "relayhost": ours, "smtp_tls_CAfile": authorities, "smtp_tls_loglevel": "1", "smtpd_tls_loglevel": "1",
                "smtp_tls_policy_maps": postfix.map("tls", {ours: "verify match=localhost"}),
                "virtual_mailbox_domains": "postfix.test strict.test bare.test seven.test",
                "virtual_mailbox_maps": postfix.map(
                    "boxes", {f"@{domain}.test": "all/" for domain in ("postfix", "strict", "bare", "seven")}),
                "transport_maps": postfix.map("transport", {"lmtp.test": f"lmtp:inet:127.0.0.1:{d.port['lmtp']}"}),
                "default_process_limit": "20", "smtpd_recipient_limit": "2000"})
            sender = postfix.map("sender", {"bob@example.test": "550 5.7.1 not this one"})
            rcpt = postfix.map("rcpt", {"no@strict.test": "550 5.1.1 no such person",
                                        "later@strict.test": "451 4.7.1 come later"})
            postfix.services += (f"{STRICT}:{PORT} inet n - n - - smtpd\n  -o message_size_limit=20000\n"
                                 f"  -o smtpd_sender_restrictions=check_sender_access,{sender}\n"
                                 f"  -o smtpd_recipient_restrictions=check_recipient_access,{rcpt},permit_mynetworks,reject\n"
                                 f"{BARE}:{PORT} inet n - n - - smtpd\n  -o smtpd_tls_security_level=none\n"
                                 "  -o smtpd_discard_ehlo_keywords=pipelining,chunking,dsn,smtputf8,etrn\n"
                                 f"{SEVEN}:{PORT} inet n - n - - smtpd\n"
                                 "  -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8,chunking\n")
            with postfix:
                scenarios(takes_and_relays, by_lmtp, pipelined, eight_bits, seven_bits, utf8_addresses, five_hundred, receipt, too_large,
                          unwanted_sender, later, our_report_there, nothing_offered, no_utf8_there, our_limit,
                          our_receipt, twenty_megabytes, arguments=(World(d, postfix),))


main()
