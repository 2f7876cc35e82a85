"""Settings of the way out, each against a server on loopback that shows whether it is obeyed."""
import json
import smtplib
import socket
import ssl
import subprocess
import time

from lib_daemons import Daemons, free_ports, wait_for
from lib_dns import Dns
from lib_relay import Peer

PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd")}
NAMES = ("flaky", "old")
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


PARTS = (drops_some, old_tls)
RECORDS = {f"{name}.test": {"MX": f"10 mx.{name}.test"} for name in ADDRESSES}
RECORDS.update({f"mx.{name}.test": {"A": address} for name, address in ADDRESSES.items()})

with Dns(RECORDS) as dns:
    d = Daemons(f"""policy.promiscuous_relay = yes
dns.servers = {dns.server}
client.port = {PORT}
client.host_status_timeout = 1 s
queue.retry_first = 1 s
queue.retry_most = 2 s
smtp.privacy =
""", listeners=LISTENERS, users=("alice",), sends=True, cleartext=True)
    with d:
        for part in PARTS:
            began = time.monotonic()
            try:
                part(d)
            except BaseException:
                print("in", part.__name__)
                raise
            print(f"{part.__name__}: {time.monotonic() - began:.1f} s")
