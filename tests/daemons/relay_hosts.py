"""Which host mail goes to, and what is made of one that is down, slow, rude, wrongly named or not there at all. Each part
has its own domain; all run at once, since most of the time is waiting."""
import re
import smtplib
import socket
import ssl
import threading
import time
import traceback

from lib_daemons import Daemons, free_ports, wait_for
from lib_dns import Dns
from lib_peers import Authority
from lib_relay import Peer

PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd")}
parts, records = [], {}
next_address = iter(f"127.0.1.{n}" for n in range(1, 250))


def part(*hosts, **names):
    """A part with its own domain and hosts: one MX each, in this order. DOWN: nobody listens there."""
    def made(function):
        name = function.__name__.replace("_", "-")
        domain = f"{name}.test"
        addresses = [next(next_address) for _ in hosts]
        records[domain] = {"MX": [f"{10 * (n + 1)} {host}.{domain}" for n, host in enumerate(hosts)]} if hosts else {}
        records.update({f"{host}.{domain}": {"A": address} for host, address in zip(hosts, addresses)})
        for key, value in names.items(): # domain: instead of the MX records; others: more names in it
            records[domain if key == "domain" else f"{key}.{domain}"] = value
        parts.append((function, domain, addresses))
        return function
    return made


class Silent:
    """A server that says a few lines, one after each that it hears, and then nothing."""

    def __init__(self, address, *lines):
        self.lines, self.sessions = lines, 0
        self.socket = socket.create_server((address, PORT))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        held = []
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            held.append(connection)
            self.sessions += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            for line in self.lines:
                connection.sendall(line.encode() + b"\r\n")
                if not connection.recv(1000):
                    return
            while connection.recv(1000):
                pass
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class World:
    def __init__(self, d, ca):
        self.d, self.ca = d, ca

    def send(self, *to, sender="alice@example.test"):
        with smtplib.SMTP("127.0.0.1", self.d.port["smtp"]) as s:
            s.sendmail(sender, to, f"Message-ID: <{to[0]}>\r\nSubject: {to[0]}\r\n\r\nHello.\r\n")

    def events(self, kind, to):
        return re.findall(rf"event={kind} .*to={re.escape(to)}.*", self.d.log("smtpd"))

    def told(self, kind, to, seconds=20):
        """The log's line about a recipient: sent, deferred or bounced."""
        try:
            return wait_for(lambda: self.events(kind, to), seconds, f"{to} {kind}")[0]
        except AssertionError as e:
            lines = [line for line in self.d.log("smtpd").splitlines() if to.split("@")[1].strip("[]") in line]
            raise AssertionError(f"{e}:\n" + "\n".join(lines)) from None

    def arrives(self, peer, count=1, seconds=20):
        wait_for(lambda: len(peer.mails) >= count, seconds, f"{count} letters")
        return peer.mails

    def tls(self, name, ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(ca or self.ca).certificate(name))
        return context


@part("mx1", "mx2")
def primary_down(w, domain, one, two):
    with Peer(two, PORT) as second:
        w.send(f"a@{domain}")
        w.arrives(second)
        assert f"mx2.{domain}" in w.told("sent", f"a@{domain}")


@part("mx1", "mx2")
def refusing(w, domain, one, two):
    """Busy, or no service at all: the next host (RFC 5321 §5.1)."""
    with Peer(one, PORT, greeting="421 4.3.2 not now") as first, Peer(two, PORT) as second:
        w.send(f"a@{domain}")
        w.arrives(second)
        assert first.sessions >= 1 and not first.mails


@part("mx1", "mx2")
def no_service(w, domain, one, two):
    with Peer(one, PORT, greeting="554 5.3.2 no service here") as first, Peer(two, PORT) as second:
        w.send(f"a@{domain}")
        w.arrives(second)
        assert first.sessions >= 1 and not first.mails


@part("mx1", "mx2")
def slow_greeting(w, domain, one, two):
    with Silent(one) as first, Peer(two, PORT) as second:
        w.send(f"a@{domain}")
        w.arrives(second)
        assert first.sessions >= 1


@part("mx1", "mx2")
def slow_hello(w, domain, one, two):
    with Silent(one, "220 x ESMTP") as first, Peer(two, PORT) as second:
        w.send(f"a@{domain}")
        w.arrives(second)
        assert first.sessions >= 1


@part("mx1", "mx2")
def slow_mail(w, domain, one, two):
    with Silent(one, "220 x ESMTP", "250 x") as first, Peer(two, PORT) as second:
        w.send(f"a@{domain}")
        w.arrives(second)
        assert first.sessions >= 1


@part("mx1")
def slow_end(w, domain, one):
    """It took the letter and did not say so in time: again, and it may have it twice (RFC 1047)."""
    late = []
    def end(sender, octets):
        late.append(octets)
        if len(late) == 1:
            time.sleep(4)
        return None
    with Peer(one, PORT, end=end) as peer:
        w.send(f"a@{domain}")
        w.told("deferred", f"a@{domain}")
        w.told("sent", f"a@{domain}")
        assert len(late) >= 2 and late[0].split(b"Message-ID")[1] == late[1].split(b"Message-ID")[1]


@part("mx1", "mx2")
def greylisting_everywhere(w, domain, one, two):
    """All hosts say later, to each for itself; then one takes it."""
    began = time.monotonic()
    reply = lambda a, n: "451 4.7.1 greylisted" if time.monotonic() - began < 1.5 else None
    with Peer(one, PORT, rcpt=reply) as first, Peer(two, PORT, rcpt=reply) as second:
        w.send(f"a@{domain}")
        assert "4.7.1" in w.told("deferred", f"a@{domain}")
        w.told("sent", f"a@{domain}")
        assert len(first.mails) + len(second.mails) == 1


def once(reply):
    seen = []
    def answer(*_):
        seen.append(1)
        return reply if len(seen) == 1 else None
    return answer


@part("mx1")
def later_at_mail(w, domain, one):
    with Peer(one, PORT, mail=once("451 4.3.0 not now")) as peer:
        w.send(f"a@{domain}")
        assert "4.3.0" in w.told("deferred", f"a@{domain}")
        w.arrives(peer)


@part("mx1")
def later_at_data(w, domain, one):
    with Peer(one, PORT, data=once("451 4.3.0 not now")) as peer:
        w.send(f"a@{domain}", f"b@{domain}")
        w.told("deferred", f"b@{domain}")
        assert w.arrives(peer)[0][1] == [f"a@{domain}", f"b@{domain}"]


@part("mx1")
def later_at_end(w, domain, one):
    with Peer(one, PORT, end=once("452 4.3.1 full")) as peer:
        w.send(f"a@{domain}")
        assert "4.3.1" in w.told("deferred", f"a@{domain}")
        w.arrives(peer)


@part("mx1")
def refused_at_end(w, domain, one):
    with Peer(one, PORT, end=lambda *_: "554 5.6.0 not such a letter") as peer:
        w.send(f"a@{domain}")
        assert "5.6.0" in w.told("bounced", f"a@{domain}")
        assert not peer.mails


@part("mx1")
def drops_at_data(w, domain, one):
    with Peer(one, PORT, data=once("DROP")) as peer:
        w.send(f"a@{domain}")
        w.told("deferred", f"a@{domain}")
        w.arrives(peer)
        w.told("sent", f"a@{domain}")
        assert len(peer.mails) == 1


@part("mx1", "mx2")
def drops_at_rcpt(w, domain, one, two):
    with Peer(one, PORT, rcpt=lambda *_: "DROP"), Peer(two, PORT) as second:
        w.send(f"a@{domain}")
        w.arrives(second)


@part("mx1")
def drops_behind_dot(w, domain, one):
    """In doubt: never to be taken for sent, and never twice at once."""
    with Peer(one, PORT, end=once("DROP")) as peer:
        w.send(f"a@{domain}")
        w.told("deferred", f"a@{domain}")
        w.arrives(peer)
        w.told("sent", f"a@{domain}")
        assert len(peer.mails) == 1 and peer.sessions >= 2


@part("must")
def tls_missing(w, domain, one):
    with Peer(one, PORT) as peer:
        w.send(f"a@{domain}")
        w.told("deferred", f"a@{domain}")
        time.sleep(1.5)
        assert not peer.mails and "DATA" not in peer.lines
    with Peer(one, PORT, tls=w.tls("anything.test")) as peer: # any certificate will do: it must be TLS, not who
        w.arrives(peer)
        assert peer.secure == 1


def only_with(w, domain, one, bad, good):
    """Nothing is said to the one, not even MAIL; the other gets the letter."""
    with Peer(one, PORT, tls=bad) as wrong:
        w.send(f"a@{domain}")
        w.told("deferred", f"a@{domain}")
        time.sleep(1.5)
        assert wrong.secure and not wrong.mails and not [line for line in wrong.lines if line.startswith("MAIL")], wrong.lines
    with Peer(one, PORT, tls=good) as right:
        w.arrives(right)
        assert right.secure == 1


@part("checked")
def certificate(w, domain, one):
    """TLS_Srv with VERIFY+CN: whose it is counts."""
    only_with(w, domain, one, w.tls(f"other.{domain}"), w.tls(f"checked.{domain}"))


@part("checked")
def authority(w, domain, one):
    """With VERIFY alone: who vouches for it."""
    with Authority() as stranger:
        only_with(w, domain, one, w.tls(f"checked.{domain}", stranger), w.tls(f"checked.{domain}"))


@part("mx1")
def certificate_not_asked(w, domain, one):
    """Nobody asked whose it is: better an unknown key than none."""
    with Peer(one, PORT, tls=w.tls("other.test")) as peer:
        w.send(f"a@{domain}")
        w.arrives(peer)
        assert peer.secure == 1


@part(domain={"MX": "0 ."})
def null_mx(w, domain):
    w.send(f"a@{domain}")
    line = w.told("bounced", f"a@{domain}")
    assert "dsn=5.1.10" in line, line


@part(domain={"MX": "10 localhost"})
def best_is_ourselves(w, domain):
    w.send(f"a@{domain}")
    line = w.told("bounced", f"a@{domain}")
    assert "dsn=5.4.6" in line, line


@part("mx1", "mx3", domain={"MX": ["10 mx1.below-ourselves.test", "20 localhost", "30 mx3.below-ourselves.test"]})
def below_ourselves(w, domain, one, three):
    """We are the second: the first one gets it when it comes back, those behind us never (RFC 5321 §5.1)."""
    with Peer(three, PORT) as third:
        w.send(f"a@{domain}")
        w.told("deferred", f"a@{domain}")
        time.sleep(1.5)
        assert not third.sessions
        with Peer(one, PORT) as first:
            w.arrives(first)


@part("mx1", domain={"CNAME": "real.alias.test"}, real={"MX": "10 mx1.alias.test"})
def alias(w, domain, one):
    with Peer(one, PORT) as peer:
        w.send(f"a@{domain}")
        w.arrives(peer)


@part("real", domain={"MX": "10 alias.mx-alias.test"}, alias={"CNAME": "real.mx-alias.test"})
def mx_alias(w, domain, one):
    """Not allowed (RFC 5321 §5.1), often met."""
    with Peer(one, PORT) as peer:
        w.send(f"a@{domain}")
        w.arrives(peer)


@part(domain={"CNAME": "round2.alias-round.test"}, round2={"CNAME": "alias-round.test"})
def alias_round(w, domain):
    w.send(f"a@{domain}")
    wait_for(lambda: w.events("deferred", f"a@{domain}") or w.events("bounced", f"a@{domain}"), what="an end of it")


@part("four", domain={"MX": "10 both.six-first.test"}, both={"AAAA": ["2001:db8::25", "::1"], "A": "127.0.1.240"})
def six_first(w, domain, _):
    """No way to one, nobody at the other; the IPv4 address is there."""
    with Peer("127.0.1.240", PORT) as peer:
        w.send(f"a@{domain}")
        w.arrives(peer)


@part(domain={"A": "127.0.1.241"})
def no_mx(w, domain):
    with Peer("127.0.1.241", PORT) as peer:
        w.send(f"a@{domain}")
        w.arrives(peer)


@part(domain={"A": ["127.0.1.242", "127.0.1.243"]})
def two_addresses(w, domain):
    """One of them is down, whichever comes first."""
    with Peer("127.0.1.243", PORT) as peer:
        for n in range(4):
            w.send(f"a{n}@{domain}")
        w.arrives(peer, 4)


@part(domain="NXDOMAIN")
def nowhere(w, domain):
    w.send(f"a@{domain}")
    line = w.told("bounced", f"a@{domain}")
    assert "dsn=5.1.2" in line, line


@part(domain="SERVFAIL")
def sick_servers(w, domain):
    w.send(f"a@{domain}")
    line = w.told("deferred", f"a@{domain}", 40)
    assert "dsn=4.4.3" in line, line


@part("here", domain={"MX": ["10 gone1.mx-gone.test", "20 gone2.mx-gone.test", "30 here.mx-gone.test"]})
def mx_gone(w, domain, one):
    """Names that lead nowhere are no hosts; the one that exists is."""
    with Peer(one, PORT) as peer:
        w.send(f"a@{domain}")
        w.arrives(peer)


@part()
def literal(w, domain):
    with Peer("127.0.1.245", PORT) as peer:
        w.send("a@[127.0.1.245]")
        assert w.arrives(peer)[0][1] == ["a@[127.0.1.245]"]


def main():
    failed = []
    with Authority() as ca, Dns(records) as dns:
        d = Daemons(f"""policy.promiscuous_relay = yes
dns.servers = {dns.server}
client.port = {PORT}
client.ca = {ca.file}
client.host_status_timeout = 1 s
client.connect_timeout = 1 s
client.greeting_timeout = 1 s
client.helo_timeout = 1 s
client.mail_timeout = 1 s
client.rcpt_timeout = 2 s
client.data_end_timeout = 2 s
queue.retry_first = 1 s
queue.retry_most = 1 s
""", listeners=LISTENERS, sends=True)
        (d.home / "access").write_text("TLS_Srv:must.tls-missing.test\tENCR:112\nTLS_Srv:checked.authority.test\tVERIFY\n"
                                      "TLS_Srv:checked.certificate.test\tVERIFY+CN\n")
        (d.home / "access").chmod(0o600)
        d.set("policy.access", d.home / "access")
        with d:
            world = World(d, ca)
            def run(function, domain, addresses):
                began = time.monotonic()
                try:
                    function(world, domain, *addresses)
                    print(f"{function.__name__}: {time.monotonic() - began:.1f} s")
                except Exception:
                    failed.append(function.__name__)
                    print(f"--- {function.__name__}\n{traceback.format_exc()}")
            threads = [threading.Thread(target=run, args=one) for one in parts]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert not failed, failed


main()
