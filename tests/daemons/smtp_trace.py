"""What smtpd writes in front of a message (Received, X-Authentication-Warning), postmaster without a mailbox, aliases in EXPN
and as senders of a submission, and listeners that a sendmail.mc describes: modifiers f, r, u, c; IPv6; a host name."""
import re
import smtplib
import socket

from lib_daemons import PASSWORD, PROGRAMS, Daemons, Wire, free_ports, run, scenarios, wait_for
from lib_dns import Dns, client, pointer
from lib_vectors import proxied

ZONES = {**client("192.0.2.1", "mail.client.example"), **pointer("192.0.2.2", "liar.client.example"),
         "liar.client.example": {"A": "192.0.2.99"}, **client("2001:db8::1", "six.client.example"),
         "sender.example": {"A": "192.0.2.200"}}
ALIASES = "team: alice, carol@elsewhere.example\nsales: bob\nroles: sales\n"


def daemons(dns, more="", listeners=("smtp",), proxy=True):
    d = Daemons(listeners={name: 0 for name in listeners}, proxy=proxy, plain=True, users=("alice", "bob"),
                own=f"hostname = mx.example.test\ndomains = example.test\ndns.servers = {dns.server}\ndns.hosts =\n"
                "auth.allow_cleartext = yes\nauth.failure_delay = 0\n" + more)
    (d.home / "aliases").write_text(ALIASES)
    (d.home / "accounts").chmod(0o600)
    d.set("routing.aliases", d.home / "aliases")
    return d


def letters(d, user, subject):
    return [text for text in (path.read_bytes().decode() for path in (d.data / "mail" / user / "new").glob("*"))
            if f"Subject: {subject}\r\n" in text]


def send(w, subject, to=("bob@example.test",), hello="EHLO c.example", sender="a@sender.example"):
    commands = ([hello] if hello else []) + [f"MAIL FROM:<{sender}>"] + [f"RCPT TO:<{one}>" for one in to] + ["DATA"]
    for command in commands:
        reply = w.ask(command)[-1]
        assert reply[0] in "23", (command, reply)
    w.send(f"Subject: {subject}\r\n\r\nx\r\n.\r\n")
    reply = w.reply()[-1]
    assert reply.startswith("250 "), reply
    return reply.split()[-1]


def received(text):
    """The first Received field, unfolded."""
    head = text.split("\r\n\r\n")[0].replace("\r\n\t", " ")
    return re.search(r"^Received: (.*)$", head, re.M).group(1).strip()


def known(d, address):
    """The name has been looked up: nobody waits for it."""
    wait_for(lambda: any("event=client_name" in line and f"peer={address} " in line for line in d.log("smtpd").splitlines()),
             what=f"the name of {address}")


def trace(d):
    for number, (address, hello, who, protocol) in enumerate((
            ("192.0.2.1", "EHLO c.example", "c.example (mail.client.example [192.0.2.1])", "ESMTP"),
            ("192.0.2.1", "HELO c.example", "c.example (mail.client.example [192.0.2.1])", "SMTP"),
            ("192.0.2.2", "EHLO c.example", "c.example (liar.client.example [192.0.2.2] (may be forged))", "ESMTP"),
            ("192.0.2.3", "EHLO [192.0.2.3]", "[192.0.2.3] ([192.0.2.3])", "ESMTP"),
            ("2001:db8::1", "EHLO c.example", "c.example (six.client.example [IPv6:2001:db8::1])", "ESMTP"))):
        w, _ = proxied(d, "smtp", address)
        with w:
            w.ask(hello)
            known(d, address)
            queue = send(w, f"trace {number}", hello=None)
        text = letters(d, "bob", f"trace {number}")[0]
        assert text.startswith("Return-Path: <a@sender.example>\r\nReceived: from "), text
        wanted = f"from {who} by mx.example.test with {protocol} id {queue} for <bob@example.test>; "
        assert received(text).startswith(wanted), (received(text), wanted)
        assert re.fullmatch(r"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", received(text)[len(wanted):]), text
        assert "X-Authentication-Warning" not in text
    w, _ = proxied(d, "smtp", "192.0.2.1")
    with w:
        send(w, "trace two", to=("bob@example.test", "alice@example.test"))
    assert " for <" not in received(letters(d, "bob", "trace two")[0]), "one recipient learns of another"


def tls(d):
    """TLS and a login show in the protocol's name (RFC 3848), TLS in its facts."""
    with smtplib.SMTP("127.0.0.1", d.port["submission"], timeout=15) as s:
        s._host = "localhost"
        s.starttls(context=unchecked())
        s.login("bob", PASSWORD)
        s.sendmail("bob@example.test", ["bob@example.test"], "Subject: secured\r\n\r\nx\r\n")
    text = received(letters(d, "bob", "secured")[0])
    assert " with ESMTPSA id " in text and "(using TLSv1.3 with cipher " in text and " ([127.0.0.1]) " in text, text


def unchecked():
    import ssl
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def warned(d):
    """smtp.privacy = auth_warnings: who said no hello is told of."""
    w, _ = proxied(d, "smtp", "192.0.2.1")
    with w:
        known(d, "192.0.2.1")
        send(w, "no hello", hello=None)
        send(w, "with hello")
    text = letters(d, "bob", "no hello")[0]
    assert "\r\nX-Authentication-Warning: mx.example.test: mail.client.example [192.0.2.1] didn't use HELO protocol\r\n" in text, text
    assert received(text).startswith("from unknown (mail.client.example [192.0.2.1]) by mx.example.test with SMTP id "), text
    assert "X-Authentication-Warning" not in letters(d, "bob", "with hello")[0]


def expansion(d):
    with d.wire("submission") as w:
        w.reply()
        w.ask("EHLO c.example")
        assert sorted(line[4:] for line in w.ask("EXPN team")) == \
            ["2.1.5 <alice@mx.example.test>", "2.1.5 <carol@elsewhere.example>"]
        assert w.ask("EXPN roles@example.test") == ["250 2.1.5 <bob@example.test>"]
        assert w.ask("EXPN nobody")[0].startswith("550 5.1.1 nobody... User unknown")


def aliased_sender(d):
    """An alias that leads to the account is a sender of its own."""
    with smtplib.SMTP("127.0.0.1", d.port["submission"], timeout=15) as s:
        s.ehlo("c.example")
        s.login("bob", PASSWORD)
        for sender, code in (("sales@example.test", 250), ("roles@example.test", 250), ("bob@example.test", 250),
                             ("team@example.test", 550), ("alice@example.test", 550), ("sales@elsewhere.example", 550)):
            got = s.docmd(f"MAIL FROM:<{sender}>")
            assert got[0] == code, (sender, got)
            s.rset()


def postmaster(d):
    """RFC 5321 §4.5.1: taken though nobody reads it; held in the queue until somebody does."""
    w, _ = proxied(d, "smtp", "192.0.2.1")
    with w:
        w.ask("EHLO c.example")
        for to in "postmaster@example.test", "PostMaster@mx.example.test", "Postmaster":
            queue = send(w, "for you", to=(to,), hello=None)
            shown = d.mailctl("queue", "show", queue).stdout
            assert to in shown and "no mailbox for postmaster" in shown, shown
        assert w.ask("MAIL FROM:<a@sender.example>")[0].startswith("250")
        assert w.ask("RCPT TO:<postmaster@elsewhere.example>")[0].startswith("550 5.7.1 ")
        assert w.ask("RCPT TO:<nobody@example.test>")[0].startswith("550 5.1.1 ")
    with (d.home / "aliases").open("a") as f:
        f.write("postmaster: alice\n")
    d.running["smtpd"].send_signal(1)
    wait_for(lambda: "event=reloaded" in d.log("smtpd"), what="the reload")
    w, _ = proxied(d, "smtp", "192.0.2.1")
    with w:
        send(w, "for alice", to=("postmaster@example.test",))
    assert letters(d, "alice", "for alice")


def modifiers(dns):
    """DAEMON_OPTIONS: f and r want domains, u wants none of a sender, c is told of; IPv6 alone; a host name."""
    ports = dict(zip("frupn", free_ports(5)))
    with Daemons(listeners={}, plain=True, users=("alice", "bob"),
                 own=f"domains = example.test\ndns.servers = {dns.server}\ndns.hosts =\npostmaster = alice\n") as d:
        (d.home / "sendmail.mc").write_text("".join(
            f"DAEMON_OPTIONS(`Port={ports[letter]}, {where}, Name={letter}, M={m}')dnl\n" for letter, where, m in (
                ("f", "Addr=127.0.0.1", "f"), ("r", "Addr=127.0.0.1", "r"), ("u", "Addr=127.0.0.1", "uc"),
                ("p", "Family=inet6", "C"), ("n", "Addr=localhost", "h"))) + "FEATURE(`no_default_msa')dnl\n"
            "define(`confDOMAIN_NAME', `mx.example.test')dnl\nFEATURE(`accept_unresolvable_domains')dnl\n")
        d.set("sendmail_mc", d.home / "sendmail.mc")
        said = run(PROGRAMS / "smtpd", "-t", "-c", d.conf)
        assert "modifier c: names are taken as they are" in said.stderr and said.stderr.count("modifier") == 1, said.stderr
        d.start("smtpd")
        for port in ports["f"], ports["r"], ports["u"], ports["n"]:
            wait_for(lambda p=port: connects("127.0.0.1", p), what=f"port {port}")
        assert connects("::1", ports["p"]) and not connects("127.0.0.1", ports["p"]), "IPv6 alone"

        def ask(letter, *commands):
            with Wire(ports[letter]) as w:
                w.reply()
                return [w.ask(command)[-1] for command in ("EHLO c.example", *commands)][-1]

        assert ask("f", "MAIL FROM:<root>") == "553 5.5.4 <root>... Domain name required for sender address root"
        assert ask("f", "MAIL FROM:<>")[:3] == ask("f", "MAIL FROM:<a@b.example>")[:3] == "250"
        assert ask("r", "MAIL FROM:<a@b.example>", "RCPT TO:<bob>") == \
            "553 5.5.4 <bob>... Domain name required for recipient address bob"
        assert ask("r", "MAIL FROM:<a@b.example>", "RCPT TO:<postmaster>")[:3] == "250"
        assert ask("u", "MAIL FROM:<root>")[:3] == "250"


def connects(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.settimeout(2)
        return s.connect_ex((address, port)) == 0


def main():
    with Dns(ZONES) as dns:
        with daemons(dns) as d:
            scenarios(trace, postmaster, arguments=[d])
        with daemons(dns, "postmaster = alice\nsmtp.privacy = auth_warnings\n") as d:
            scenarios(warned, arguments=[d])
        with daemons(dns, "postmaster = alice\nsmtp.privacy = need_mail_helo\n", ("submission",), proxy=False) as d:
            scenarios(tls, expansion, aliased_sender, arguments=[d])
        scenarios(modifiers, arguments=[dns])


if __name__ == "__main__":
    main()
