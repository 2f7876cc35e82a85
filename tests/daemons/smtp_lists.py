"""Block lists through a running smtpd and a name server on loopback: several lists, replies of their own, answers that
count, lookups that fail, when they are made and how often; a client that leaves meanwhile; a reload meanwhile."""
import socket
import threading
import time

from lib_daemons import Daemons, Wire, scenarios, wait_for
from lib_dns import Dns, client, listed, reverse
from lib_vectors import proxied

ONE, TWO, OWN = "bl.one.example", "bl.two.example", "bl.own.example"
ZONES = {
    "sender.example": {"A": "192.0.2.200"},
    **client("192.0.2.1", "clean.example"),
    **client("192.0.2.5", "five.example"),
    **listed(ONE, "192.0.2.2"),
    **listed(TWO, "192.0.2.2", "127.0.0.4"),
    **listed(TWO, "192.0.2.3", "127.0.0.9"),
    **listed(TWO, "192.0.2.4", ["127.0.0.9", "127.0.0.4"]),
    **listed(OWN, "192.0.2.5"),
    **listed(ONE, "192.0.2.6"),
    **listed(ONE, "192.0.2.7", "198.51.100.1"), # outside 127/8: a zone that somebody else has bought
    **client("192.0.2.14", "mail.ours.example"),
    **listed(ONE, "192.0.2.14"),
    **listed("bl.held.example", "192.0.2.8"),
    **listed("bl.gone.example", "192.0.2.9"),
    **listed(ONE, "2001:db8::6"),
    reverse("192.0.2.10", ONE): "SERVFAIL",
    reverse("192.0.2.10", TWO): "SERVFAIL",
    reverse("192.0.2.11", ONE): "SERVFAIL",
    reverse("192.0.2.12", ONE): "SILENT",
    **listed(TWO, "192.0.2.13", "127.0.0.4"),
    **{name: record for n in range(20, 60) for name, record in listed(ONE, f"192.0.2.{n}").items()},
}
LISTS = f"""
dnsbl {ONE} {{
}}
dnsbl two {{
 zone = {TWO}
 values = 127.0.0.4 127.0.0.5
 defer = yes
}}
dnsbl own {{
 zone = {OWN}
 reply = 553 5.7.9 Mail from {{name}} [{{address}}] is not wanted, see http://example.org/{{address}}
}}
dnsbl held {{
 zone = bl.held.example
 action = quarantine
}}
dnsbl gone {{
 zone = bl.gone.example
 action = discard
}}
"""


def daemons(dns, access="", more="", tail=LISTS, listeners=("smtp",)):
    d = Daemons(listeners={name: 0 for name in listeners}, proxy=True, plain=True,
                own=f"hostname = mx.example.test\ndomains = example.test\npostmaster = alice\ndns.servers = {dns.server}\n"
                "dns.hosts =\nauth.allow_cleartext = yes\ndns.timeout = 8 s\npolicy.trusted_mechanisms = PLAIN\n" + more,
                settings=tail)
    (d.home / "access").write_text(access)
    d.set("policy.access", d.home / "access")
    return d


def attempt(d, address, commands=("EHLO c.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<bob@example.test>")):
    """The last line of each reply."""
    w, greeting = proxied(d, "smtp", address)
    with w:
        return [greeting[-1]] + [w.ask(command)[-1] for command in commands]


def refused_everywhere(d, address, reply):
    got = attempt(d, address, ("EHLO c.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<bob@example.test>", "DATA", "VRFY bob",
                               "STARTTLS", "NOOP"))
    assert got[0].startswith("220 ") and got[1].startswith("250 ENHANCED"), got
    assert got[2:7] == [reply] * 5, got
    assert got[7].startswith("250 "), got


def send(d, address):
    w, _ = proxied(d, "smtp", address)
    with w:
        for command in "EHLO c.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<bob@example.test>", "DATA":
            reply = w.ask(command)[-1]
            assert reply[0] in "23", (command, reply)
        w.send("Subject: x\r\n\r\nx\r\n.\r\n")
        return w.reply()[-1].split()[-1]


def several(d):
    """In the order of the configuration; what each says; what counts."""
    assert attempt(d, "192.0.2.1")[-1] == "250 2.1.5 <bob@example.test>... Recipient ok"
    refused_everywhere(d, "192.0.2.2", f"550 5.7.1 Rejected: 192.0.2.2 listed at {ONE}")
    assert attempt(d, "192.0.2.3")[-1].startswith("250 "), "127.0.0.9 is not asked for"
    refused_everywhere(d, "192.0.2.4", f"550 5.7.1 Rejected: 192.0.2.4 listed at {TWO}")
    assert attempt(d, "192.0.2.7")[-1].startswith("250 "), "an answer outside 127/8"
    refused_everywhere(d, "2001:db8::6", f"550 5.7.1 Rejected: 2001:db8::6 listed at {ONE}")
    log = d.log("smtpd")
    assert "event=refused" in log and f'rule="{ONE}"' in log or f"rule={ONE}" in log, log


def own_words(d):
    """The reply may say the client's address and, where it was looked up, its name."""
    got = attempt(d, "192.0.2.5")[-1]
    assert got in ("553 5.7.9 Mail from five.example [192.0.2.5] is not wanted, see http://example.org/192.0.2.5",
                   "553 5.7.9 Mail from 192.0.2.5 [192.0.2.5] is not wanted, see http://example.org/192.0.2.5"), got


def failing(d):
    """A lookup that fails for now: with `defer` the client is to come back, without it nothing is known."""
    assert attempt(d, "192.0.2.11")[-1].startswith("250 "), "the first list does not defer"
    refused_everywhere(d, "192.0.2.10", f"451 4.4.3 Temporary lookup failure of 192.0.2.10 at {TWO}")


def held_and_gone(d):
    nobody = ("EHLO c.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<nobody@example.test>")
    assert attempt(d, "192.0.2.9", nobody)[-1] == "250 2.1.5 <nobody@example.test>... Recipient ok", "discarded: nobody is looked for"
    assert attempt(d, "192.0.2.1", nobody)[-1].startswith("550 5.1.1 ")
    held, gone = send(d, "192.0.2.8"), send(d, "192.0.2.9")
    wait_for(lambda: f"event=quarantined" in d.log("smtpd") and f"queue={held}" in d.log("smtpd"), what="the held one")
    wait_for(lambda: any("event=discarded" in line and f"queue={gone}" in line for line in d.log("smtpd").splitlines()),
             what="the discarded one")
    assert not list((d.data / "mail" / "bob" / "new").glob("*")) if (d.data / "mail" / "bob").exists() else True


def exempt(d):
    """Connect: OK of the access map: what the lists say does not count."""
    assert attempt(d, "192.0.2.6")[-1].startswith("250 ")
    assert attempt(d, "192.0.2.14")[-1].startswith("250 "), "by its name"


def metric(d, name):
    """The sum of a family's samples on smtpd's own page."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(d.home / "run" / "smtpd.metrics"))
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        octets = b""
        while got := s.recv(65536):
            octets += got
    lines = [line for line in octets.decode().splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.split()[-1]) for line in lines)


def lookups(d):
    return metric(d, "libmail_dns_lookup_duration_seconds_count")


def once(d):
    """A connection asks each list once, whatever is sent; a second one is answered by the cache."""
    w, _ = proxied(d, "smtp", "192.0.2.13")
    with w:
        w.ask("EHLO c.example")
        first = w.ask("MAIL FROM:<a@sender.example>")
        before = lookups(d)
        for _ in range(10):
            assert w.ask("MAIL FROM:<a@sender.example>") == first
        assert lookups(d) == before


def leaves(d):
    """A client that leaves while a list is silent: nothing is left, nothing is held up."""
    began = time.monotonic()
    for how in range(20):
        w = Wire(d.port["smtp"])
        w.send("PROXY TCP4 192.0.2.12 127.0.0.1 40000 25\r\n" + ("EHLO c.example\r\n" if how % 2 else ""))
        time.sleep(0.02)
        w.close()
    assert attempt(d, "192.0.2.1")[-1].startswith("250 ")
    assert time.monotonic() - began < 5, "others wait for it"
    wait_for(lambda: metric(d, "libmail_connections_open") == 0, what="the end of all of them")


def silent(d):
    """Without an answer the client waits, and no longer than dns.timeout."""
    began = time.monotonic()
    got = attempt(d, "192.0.2.12")
    assert got[-1].startswith("250 "), got
    print(f"a silent list held the client up for {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 12


def delayed(d):
    """delay_checks: the lists wait for a recipient, and for him who logs in they are silent."""
    got = attempt(d, "192.0.2.2")
    assert got[2] == "250 2.1.0 <a@sender.example>... Sender ok", got
    assert got[3] == f"550 5.7.1 <bob@example.test>... Rejected: 192.0.2.2 listed at {ONE}", got
    assert attempt(d, "192.0.2.2", ("EHLO c.example", "AUTH PLAIN AGFsaWNlAHNlY3JldA==", "MAIL FROM:<a@sender.example>",
                                    "RCPT TO:<bob@example.test>"))[-1].startswith("250 ")
    assert attempt(d, "192.0.2.2", ("EHLO c.example", "VRFY bob"))[-1] == f"550 5.7.1 Rejected: 192.0.2.2 listed at {ONE}"
    held = send(d, "192.0.2.8")
    wait_for(lambda: any("event=quarantined" in line and f"queue={held}" in line for line in d.log("smtpd").splitlines()),
             what="the held one")


def friend(d):
    """delay_checks = friend: who asked for all mail gets it from listed clients too."""
    assert attempt(d, "192.0.2.2")[-1].startswith("250 ")
    got = attempt(d, "192.0.2.2", ("EHLO c.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<alice@example.test>"))[-1]
    assert got == f"550 5.7.1 <alice@example.test>... Rejected: 192.0.2.2 listed at {ONE}", got


def hater(d):
    """delay_checks = hater: only for whom a Spam: HATER line is there the lists count."""
    assert attempt(d, "192.0.2.2")[-1].startswith("250 ")
    got = attempt(d, "192.0.2.2", ("EHLO c.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<alice@example.test>"))[-1]
    assert got == f"550 5.7.1 <alice@example.test>... Rejected: 192.0.2.2 listed at {ONE}", got


def classic(d):
    """The same from a sendmail.mc."""
    assert attempt(d, "192.0.2.2")[-1] == f"550 5.7.1 Rejected: 192.0.2.2 listed at {ONE}"
    got = attempt(d, "192.0.2.5")[-1]
    assert got == "550 5.7.1 Mail from 192.0.2.5 refused", got
    assert attempt(d, "192.0.2.3")[-1].startswith("250 ")
    assert attempt(d, "192.0.2.4")[-1] == f"550 5.7.1 Rejected: 192.0.2.4 listed at {TWO}"
    assert attempt(d, "192.0.2.10")[-1] == f"451 4.4.3 Temporary lookup failure of 192.0.2.10 at {TWO}"


MC = f"""include(`/usr/share/sendmail-cf/m4/cf.m4')dnl
define(`confPRIVACY_FLAGS', `needmailhelo')dnl
FEATURE(`dnsbl', `{ONE}')dnl
FEATURE(`dnsbl', `{OWN}', `"550 Mail from " $&{{client_addr}} " refused"')dnl
FEATURE(`enhdnsbl', `{TWO}', `', `t', `127.0.0.4.', `127.0.0.5.')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Port=smtp, Addr=127.0.0.9, Name=MTA')dnl
"""


def reload_under_load(dns):
    """The resolver is exchanged ten times while clients come and go: none is refused, and each verdict is right."""
    with Dns(ZONES) as other, daemons(dns) as d:
        stop, wrong, done = threading.Event(), [], [0]

        def work(offset):
            n = 0
            while not stop.is_set():
                address = f"192.0.2.{20 + (offset * 10 + n) % 40}"
                n += 1
                try:
                    got = attempt(d, address, ("EHLO c.example", "MAIL FROM:<a@sender.example>"))[-1]
                    if got != f"550 5.7.1 Rejected: {address} listed at {ONE}":
                        wrong.append((address, got))
                except Exception as e:
                    wrong.append((address, repr(e)))
                done[0] += 1

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for i in range(10):
            d.set("dns.servers", (other, dns)[i % 2].server)
            d.running["smtpd"].send_signal(1)
            wait_for(lambda n=i: d.log("smtpd").count("event=reloaded") > n, what="the reload")
            time.sleep(0.05)
        stop.set()
        for t in threads:
            t.join()
        print(f"{done[0]} connections while the resolver was exchanged ten times")
        assert not wrong and done[0] > 50, (done, wrong[:5])


def main():
    access = "Connect:192.0.2.6 OK\nConnect:ours.example OK\nSpam:bob@example.test FRIEND\n"
    with Dns(ZONES) as dns:
        with daemons(dns, access) as d:
            scenarios(several, own_words, silent, failing, held_and_gone, exempt, once, leaves, arguments=[d])
        with daemons(dns, access, "policy.delay_checks = yes\nsmtp.privacy = need_mail_helo\n") as d:
            scenarios(delayed, arguments=[d])
        with daemons(dns, access, "policy.delay_checks = friend\n") as d:
            scenarios(friend, arguments=[d])
        with daemons(dns, access + "Spam:alice@ HATER\n", "policy.delay_checks = hater\n") as d:
            scenarios(hater, arguments=[d])
        d = daemons(dns, access, tail="")
        (d.home / "sendmail.mc").write_text(MC)
        d.set("sendmail_mc", d.home / "sendmail.mc")
        with d:
            scenarios(classic, arguments=[d])
        scenarios(reload_under_load, arguments=[dns])


if __name__ == "__main__":
    main()
