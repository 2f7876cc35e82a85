"""Settings of the way out, each against a server on loopback that shows whether it is obeyed."""
import json
import smtplib
import socket
import ssl
import subprocess
import time

from lib_daemons import Daemons, free_ports, wait_for
from lib_dns import Dns, client
from lib_relay import Peer

PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd")}
SAME = free_ports(1)[0]
NAMES = ("flaky", "old", "names", "strict", "verified", "domains", "mails", "hung", "hung2", "no", "down", "silent")
ADDRESSES = {name: f"127.0.0.{n}" for n, name in enumerate(NAMES, 61)}


def queue(d, destination=None):
    rows = [json.loads(line) for line in d.mailctl("queue", "list", "--json").stdout.splitlines()]
    return [m for m in rows if not destination or m["recipients"][0]["destination"] == destination]


def send(d, to, text="hello", sender="s@example.test", options=(), port=None):
    with smtplib.SMTP("127.0.0.1", port or d.port["smtp"]) as s:
        s.ehlo()
        s.sendmail(sender, to, f"Subject: {text}\r\nMessage-ID: <{text}@t>\r\n\r\n{text}\r\n", options)


def arrives(peer, count=1, seconds=10):
    wait_for(lambda: len(peer.mails) >= count, seconds, f"{count} mails, there are {len(peer.mails)}")
    return peer.mails


def gone(d, destination):
    wait_for(lambda: not queue(d, destination), what=f"{destination} gone")


def drops_some(d):
    """A server that drops one connection in 20 is slowed, not paused: 300 messages in seconds."""
    with Peer(ADDRESSES["flaky"], PORT, data=lambda sender: "DROP" if peer.count("data") % 20 == 0 else None) as peer:
        with smtplib.SMTP("127.0.0.1", d.port["smtp"]) as s:
            for n in range(300):
                s.sendmail("s@example.test", ["x@flaky.test"], f"Subject: {n}\r\n\r\n{n}\r\n")
        began = time.monotonic()
        arrives(peer, 300, 12)
        print(f"drops_some: {time.monotonic() - began:.1f} s for 300 messages, connections: {peer.sessions}")
        gone(d, "flaky.test")


def old_tls(d):
    """A server that speaks TLS 1.2 alone, with an RSA certificate, and prefers signatures that we know in 1.3 alone: a
    second connection does without them."""
    key, cert = d.home / "rsa.key", d.home / "rsa.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx.old.test", "-days", "2",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    with Peer(ADDRESSES["old"], PORT, tls=context) as peer:
        send(d, ["a@old.test"])
        arrives(peer)
        assert peer.secure == 1 and peer.sessions == 2, (peer.secure, peer.sessions)


def changed(d, **settings):
    for key, value in settings.items():
        d.set(key.replace("__", "."), value)
    d.hang_up("smtpd")


def forget(d, destination):
    for m in queue(d, destination):
        d.mailctl("queue", "delete", m["id"])


def interface_name(d):
    """EHLO is said with the name of the address that the connection comes from; the client has none that is known: the usual."""
    with Peer(ADDRESSES["names"], PORT) as peer:
        changed(d, client__address="127.0.0.5", client__interface_name="yes")
        send(d, ["a@names.test"])
        arrives(peer)
        assert "EHLO out5.example.test" in peer.lines, peer.lines
        changed(d, client__address="127.0.0.6")
        send(d, ["a@names.test"], "unknown")
        arrives(peer, 2)
        assert [line for line in peer.lines if line.startswith("EHLO")][-1] == "EHLO localhost", peer.lines
        changed(d, client__address="", client__interface_name="no")


def same_address(d):
    """M=b, M=h of a listener: mail leaves from the address where it came in, and bears that address's name."""
    with Peer(ADDRESSES["names"], PORT) as peer, socket.create_connection(("127.0.0.5", SAME)) as s:
        stream = s.makefile("rwb")
        for command in (None, "EHLO c", "MAIL FROM:<s@example.test>", "RCPT TO:<b@names.test>", "DATA", "Subject: b\r\n\r\nb\r\n.", "QUIT"):
            if command:
                stream.write(command.encode() + b"\r\n")
                stream.flush()
            while stream.readline()[3:4] == b"-":
                pass
        arrives(peer)
        assert peer.clients == ["127.0.0.5"] and "EHLO out5.example.test" in peer.lines, (peer.clients, peer.lines)


def tls_policy(d):
    """client.tls: required sends nothing in clear, verified nothing to a certificate that nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(d.home / "rsa.pem", d.home / "rsa.key")
    good = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    make_certificate(d.home, "mx.verified.test", good)
    with Peer(ADDRESSES["strict"], PORT) as clear:
        changed(d, client__tls="required")
        send(d, ["a@strict.test"])
        wait_for(lambda: queue(d, "strict.test") and queue(d, "strict.test")[0]["recipients"][0]["attempts"], what="an attempt")
        assert not clear.mails
    with Peer(ADDRESSES["strict"], PORT, tls=context) as peer:
        arrives(peer)
        assert peer.secure
    with Peer(ADDRESSES["strict"], PORT, tls=context) as peer, Peer(ADDRESSES["verified"], PORT, tls=good) as other:
        changed(d, client__tls="verified", client__ca=str(d.home / "ca.pem"))
        send(d, ["a@strict.test"], "unverified")
        send(d, ["a@verified.test"])
        arrives(other)
        wait_for(lambda: queue(d, "strict.test") and queue(d, "strict.test")[0]["recipients"][0]["attempts"], what="an attempt")
        assert not peer.mails
        changed(d, client__tls="none", client__ca="")
        arrives(peer)
        assert [line.split()[0] for line in peer.lines[-4:]] == ["EHLO", "MAIL", "RCPT", "DATA"], peer.lines
    changed(d, client__tls="opportunistic")


def make_certificate(home, name, context):
    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test CA", "-days", "2", "-keyout", home / "ca.key", "-out",
            home / "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", home / "good.key", "-out", home / "good.csr")
    (home / "ext").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("x509", "-req", "-in", home / "good.csr", "-CA", home / "ca.pem", "-CAkey", home / "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", home / "ext", "-out", home / "good.pem")
    context.load_cert_chain(home / "good.pem", home / "good.key")


def limits(d):
    """LIMITS (RFC 9422): so many messages a session, so many domains a session, and all of it arrives at once."""
    ehlo = ("PIPELINING", "8BITMIME", "LIMITS MAILMAX=2 RCPTMAX=3")
    with Peer(ADDRESSES["mails"], PORT, ehlo=ehlo) as peer:
        send(d, [f"{n}@mails.test" for n in range(8)], "limit")
        arrives(peer, 3)
        assert sorted(len(to) for _, to, _ in peer.mails) == [2, 3, 3], peer.mails
        assert peer.sessions == 2 and max(peer.per_session.values()) == 2, (peer.sessions, peer.per_session)
        gone(d, "mails.test")
    (d.home / "mailertable").write_text("a.other\tesmtp:[" + ADDRESSES["domains"] + "]\nb.other\tesmtp:[" + ADDRESSES["domains"] +
                                        "]\nc.other\tesmtp:[" + ADDRESSES["domains"] + "]\n")
    changed(d, routing__mailertable=str(d.home / "mailertable"))
    with Peer(ADDRESSES["domains"], PORT, ehlo=("PIPELINING", "8BITMIME", "LIMITS RCPTDOMAINMAX=1")) as peer:
        for text in "domains1", "domains2":
            send(d, ["x@a.other", "y@b.other", "z@a.other", "u@c.other"], text)
        arrives(peer, 6)
        for domains in peer.domains.values():
            assert len(domains) == 1, peer.domains
        assert sorted(len(to) for _, to, _ in peer.mails) == [1, 1, 1, 1, 2, 2], peer.mails
        assert "event=deferred" not in "".join(line for line in d.log("smtpd").splitlines() if ".other" in line)


def connect_timeouts(d):
    """The first attempt of a message has its own patience; the hosts of a destination have one together."""
    with socket.socket() as one, socket.socket() as two: # full backlogs: nothing answers
        for s, name in (one, "hung"), (two, "hung2"):
            s.bind((ADDRESSES[name], PORT))
            s.listen(0)
        fill = [socket.socket() for _ in range(8)]
        for n, s in enumerate(fill):
            s.setblocking(False)
            s.connect_ex((ADDRESSES["hung" if n % 2 else "hung2"], PORT))
        time.sleep(0.1)
        changed(d, client__first_connect_timeout="1 s", client__connect_timeout="20 s")
        began = time.monotonic()
        send(d, ["a@hung.test"])
        wait_for(lambda: queue(d, "hung.test")[0]["recipients"][0]["attempts"], 8, "an attempt")
        assert 0.8 < time.monotonic() - began < 5
        forget(d, "hung.test")
        changed(d, client__first_connect_timeout="0", client__connect_timeout="3 s", client__all_connect_timeout="2 s")
        began = time.monotonic()
        send(d, ["a@both.test"])
        wait_for(lambda: queue(d, "both.test")[0]["recipients"][0]["attempts"], 9, "an attempt")
        assert 1.5 < time.monotonic() - began < 5
        forget(d, "both.test")
        changed(d, client__connect_timeout="30 s", client__all_connect_timeout="0")
        for s in fill:
            s.close()


def copies(d):
    """Reports of failures go to queue.copies_to as well; those that no sender can be told of to queue.double_bounce_to."""
    def letters(user, text):
        return [f for f in (d.data / "mail").rglob("new/*") if user in f.parts and text in f.read_bytes()]
    changed(d, queue__copies_to="bob", queue__double_bounce_to="carol@example.test")
    with Peer(ADDRESSES["no"], PORT, rcpt=lambda a, n: "550 5.1.1 no such user"):
        send(d, ["copied@no.test"], sender="alice@example.test")
        wait_for(lambda: letters("alice", b"copied@no.test") and letters("bob", b"copied@no.test"), what="report and copy")
        send(d, ["double@no.test"], sender="")
        wait_for(lambda: letters("carol", b"double@no.test"), what="a double bounce")
        assert not letters("bob", b"double@no.test")


def reload(d):
    """Pools change at a reload: no delivery at all, then one at a time, then as many as usual."""
    busy = {"now": 0, "most": 0}
    def slow(sender, octets):
        with peer.lock:
            busy["now"] += 1
            busy["most"] = max(busy.values())
        time.sleep(0.1)
        with peer.lock:
            busy["now"] -= 1
    with Peer(ADDRESSES["names"], PORT, end=slow) as peer:
        changed(d, queue__max_deliveries="0")
        for n in range(8):
            send(d, ["r@names.test"], f"reload{n}")
        time.sleep(1.2)
        assert not peer.sessions
        changed(d, queue__max_deliveries="200", queue__runners="1")
        arrives(peer, 8)
        assert busy["most"] == 1, busy


def deferred(d):
    """queue.delivery: deferred asks nothing about the sender's domain, and the mail waits for a queue run."""
    def mail(sender):
        with smtplib.SMTP("127.0.0.1", d.port["smtp"]) as s:
            s.ehlo()
            return s.mail(sender)[0]
    changed(d, policy__accept_unresolvable_domains="no")
    assert mail("s@unknown.test") == 553 or mail("s@unknown.test") == 501, mail("s@unknown.test")
    with Peer(ADDRESSES["names"], PORT) as peer:
        changed(d, queue__delivery="deferred", queue__retry_first="1 h", queue__retry_most="1 h")
        assert mail("s@unknown.test") == 250
        send(d, ["later@names.test"], sender="s@unknown.test")
        time.sleep(0.5)
        assert not peer.mails and not peer.sessions
        changed(d, queue__delivery="background")
        d.mailctl("queue", "retry", "all")
        arrives(peer)
    changed(d, queue__retry_first="1 s", queue__retry_most="2 s", policy__accept_unresolvable_domains="yes")


def interactive(d):
    """queue.delivery: interactive answers when the first attempt is over, whatever came of it; background does not wait. Nobody
    waits where nothing is sent, and who waits keeps nobody else."""
    def took(to, text, port=None):
        began = time.monotonic()
        send(d, to, text, port=port)
        return time.monotonic() - began
    with Peer(ADDRESSES["names"], PORT, end=lambda sender, octets: time.sleep(1)) as peer:
        changed(d, queue__retry_first="1 h", queue__retry_most="1 h")
        assert took(["i@names.test"], "background") < 0.8
        arrives(peer)
        changed(d, queue__delivery="interactive")
        seconds = took(["i@names.test"], "interactive")
        assert 0.95 < seconds < 5 and len(peer.mails) == 2, (seconds, len(peer.mails))
        seconds = took(["i@names.test", "j@silent.test"], "two") # nobody is there
        assert 0.95 < seconds < 5 and len(peer.mails) == 3, (seconds, len(peer.mails))
        assert took(["i@names.test"], "other", port=SAME) < 0.8 # a listener's own delivery
        arrives(peer, 4)
        with socket.create_connection(("127.0.0.1", d.port["smtp"])) as s: # it goes while it waits
            s.sendall(b"EHLO c\r\nMAIL FROM:<s@example.test>\r\nRCPT TO:<i@names.test>\r\nDATA\r\nSubject: gone\r\n\r\n.\r\n")
            wait_for(lambda: peer.lines.count("DATA") == 5, what="an attempt")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert took(["alice@example.test"], "here") < 0.5
        arrives(peer, 5)
    seconds = took(["i@down.test"], "down")
    assert seconds < 3, seconds
    assert [m["recipients"][0]["attempts"] for m in queue(d, "down.test")] == [1], queue(d, "down.test")
    changed(d, queue__max_deliveries="0")
    assert took(["i@down.test"], "off") < 0.8
    changed(d, queue__max_deliveries="200", queue__delivery="background", queue__retry_first="1 s", queue__retry_most="2 s")
    forget(d, "down.test")
    forget(d, "silent.test")


PARTS = (drops_some, old_tls, interface_name, same_address, tls_policy, limits, connect_timeouts, copies, reload, deferred, interactive)
RECORDS = {f"{name}.test": {"MX": f"10 mx.{name}.test"} for name in ADDRESSES}
RECORDS.update({f"mx.{name}.test": {"A": address} for name, address in ADDRESSES.items()})

RECORDS["both.test"] = {"MX": ["10 mx.hung.test", "20 mx.hung2.test"]}
RECORDS.update(client("127.0.0.5", "out5.example.test"))

with Dns(RECORDS) as dns:
    d = Daemons(f"""policy.promiscuous_relay = yes
dns.servers = {dns.server}
client.port = {PORT}
client.host_status_timeout = 1 s
queue.retry_first = 1 s
queue.retry_most = 2 s
smtp.privacy =
""", listeners=LISTENERS, users=("alice", "bob", "carol"), sends=True, cleartext=True)
    d.conf.write_text(d.conf.read_text() + f"""listener same {{
 protocol = smtp
 tls = starttls
 address = 0.0.0.0
 port = {SAME}
 same_address = yes
 interface_name = yes
 delivery = background
}}
""")
    with d:
        for part in PARTS:
            began = time.monotonic()
            try:
                part(d)
            except BaseException:
                print("in", part.__name__)
                raise
            print(f"{part.__name__}: {time.monotonic() - began:.1f} s")
