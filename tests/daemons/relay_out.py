"""Mail that leaves: smtpd relays to servers on loopback that do what a script says. Each part has its own domain."""
import json
import re
import smtplib
import sqlite3
import ssl
import time

from lib_daemons import Daemons, free_ports, wait_for
from lib_dns import Dns
from lib_relay import Peer

PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd")}
ADDRESSES = {name: f"127.0.0.{n}" for n, name in enumerate(
    ("plain", "tls", "badtls", "notls", "auth", "grey", "never", "drop", "second", "many", "slow", "limit", "lmtp"), 31)}


def settings(d_dns, folder):
    return f"""policy.promiscuous_relay = yes
policy.access = {folder}/access
dns.servers = {d_dns.server}
client.port = {PORT}
client.host_status_timeout = 1 s
queue.retry_first = 1 s
queue.retry_most = 2 s
smtp.privacy =
"""


def send(d, to, text="hello", sender="s@example.test", options=()):
    with smtplib.SMTP("127.0.0.1", d.port["smtp"]) as s:
        s.ehlo()
        s.sendmail(sender, to, f"Subject: {text}\r\nMessage-ID: <{text}@t>\r\n\r\n.dot\r\n{text}\r\n", options)


def queue(d):
    return [json.loads(line) for line in d.mailctl("queue", "list", "--json").stdout.splitlines()]


def arrives(peer, count=1, seconds=10):
    wait_for(lambda: len(peer.mails) >= count, seconds, f"{count} mails, there are {len(peer.mails)}")
    return peer.mails


def empty(d, seconds=10):
    wait_for(lambda: not queue(d), seconds, f"an empty queue: {queue(d)}")


def plain(d):
    with Peer(ADDRESSES["plain"], PORT) as peer:
        send(d, ["a@plain.test", "b@plain.test"])
        (sender, to, octets), = arrives(peer)
        assert sender == "s@example.test" and to == ["a@plain.test", "b@plain.test"], (sender, to)
        assert octets.startswith(b"Received: ") and b"Return-Path" not in octets, octets
        assert octets.endswith(b"\r\n\r\n.dot\r\nhello\r\n"), octets
        empty(d)
        line = re.search(r".*event=sent .*to=a@plain.test.*", d.log("smtpd"))
        assert line and f"relay={ADDRESSES['plain']}" in line[0].replace("[", "", 1).replace('"', "") or \
            f"[{ADDRESSES['plain']}]:{PORT}" in line[0], d.log("smtpd")
        assert "dsn=2.0.0" in line[0] and "delay=" in line[0] and "queue=" in line[0], line[0]


def start_tls(d):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(d.ca, d.data / "tls" / "key.pem")
    with Peer(ADDRESSES["tls"], PORT, tls=context) as peer, Peer(ADDRESSES["badtls"], PORT, tls=context) as bad:
        send(d, ["a@tls.test"])
        arrives(peer)
        assert peer.secure == 1
        send(d, ["a@badtls.test"], "mismatch") # TLS_Srv wants a certificate that is vouched for
        wait_for(lambda: "event=deferred" in d.log("smtpd") and "a@badtls.test" in d.log("smtpd"), what="a deferral")
        time.sleep(0.3)
        assert not bad.mails, "it went in spite of TLS_Srv"
        (one,) = queue(d)
        d.mailctl("queue", "delete", one["id"])


def required_without(d):
    with Peer(ADDRESSES["notls"], PORT) as peer: # no STARTTLS at all
        send(d, ["b@notls.test"], "without")
        wait_for(lambda: peer.sessions >= 1, what="a session")
        wait_for(lambda: queue(d) and queue(d)[0]["recipients"][0]["attempts"] >= 1, what="an attempt")
        assert not peer.mails
        (one,) = queue(d)
        d.mailctl("queue", "delete", one["id"])


def login(d):
    with Peer(ADDRESSES["auth"], PORT, auth=("u", "secret")) as peer:
        send(d, ["a@auth.test"])
        arrives(peer)
        assert peer.logins == 1


def greylisting(d):
    with Peer(ADDRESSES["grey"], PORT, rcpt=lambda a, n: "451 4.7.1 greylisted" if n == 1 else None) as peer:
        send(d, ["a@grey.test"])
        (_, to, _), = arrives(peer)
        assert to == ["a@grey.test"] and peer.counts["a@grey.test"] == 2
        empty(d)
        assert "event=deferred" in d.log("smtpd") and "4.7.1" in d.log("smtpd")


def refused(d):
    with Peer(ADDRESSES["never"], PORT, rcpt=lambda a, n: "550 5.1.1 no such user" if a.startswith("no") else None) as peer:
        send(d, ["no@never.test", "yes@never.test"], "refused", sender="alice@example.test")
        (_, to, _), = arrives(peer)
        assert to == ["yes@never.test"]
        wait_for(lambda: "event=bounced" in d.log("smtpd"), what="bounced")
        line = re.search(r".*event=bounced .*to=no@never.test.*", d.log("smtpd"))[0]
        assert "dsn=5.1.1" in line and "code=550" in line, line


def dropped(d):
    first = []
    def end(sender, octets):
        first.append(1)
        return "DROP" if len(first) == 1 else None
    with Peer(ADDRESSES["drop"], PORT, end=end) as peer:
        send(d, ["a@drop.test"])
        arrives(peer, 1) # in doubt: again, and later
        assert len(first) == 2
        wait_for(lambda: not [m for m in queue(d) if m["recipients"][0]["destination"] == "drop.test"], what="gone")


def second_mx(d):
    with Peer(ADDRESSES["second"], PORT) as peer: # mx1 has nobody who listens
        send(d, ["a@two.test"])
        arrives(peer)


def lmtp(d):
    path = str(d.home / "lmtp.sock") # a route over a socket, put into the row: nobody listens at the domain's host
    send(d, ["a@lmtp.test", "no@lmtp.test", "b@lmtp.test"])
    wait_for(lambda: [m for m in queue(d) if m["recipients"][0]["destination"] == "lmtp.test" and
                      m["recipients"][0]["attempts"]], what="an attempt")
    with sqlite3.connect(d.data / "queue" / "queue.db", timeout=10) as db:
        db.execute("UPDATE recipient SET route=? WHERE destination='lmtp.test'", ("lmtp:" + path,))
    with Peer(path, lmtp=True, rcpt=lambda a, n: "550 5.1.1 no" if a.startswith("no") else None) as peer:
        wait_for(lambda: [to for m in peer.mails for to in m[1]] == ["a@lmtp.test", "b@lmtp.test"], what=f"both: {peer.mails}")


def many(d):
    with Peer(ADDRESSES["many"], PORT) as peer:
        with smtplib.SMTP("127.0.0.1", d.port["smtp"]) as s:
            for n in range(100):
                s.sendmail("s@example.test", ["x@many.test"], f"Subject: {n}\r\n\r\n{n}\r\n")
        arrives(peer, 100, 15)
        assert peer.sessions <= 30, f"{peer.sessions} connections for 100 messages"
        print("many: connections", peer.sessions)
        wait_for(lambda: not [m for m in queue(d) if m["recipients"][0]["destination"] == "many.test"], what="gone")


def etrn_and_retry(d):
    held = []
    with Peer(ADDRESSES["slow"], PORT, rcpt=lambda a, n: "451 4.3.0 later" if not held else None) as peer:
        d.set("queue.retry_first", "1 h")
        d.set("queue.retry_most", "1 h")
        d.hang_up("smtpd")
        send(d, ["a@slow.test"])
        wait_for(lambda: peer.counts.get("a@slow.test"), what="an attempt")
        held.append(1)
        wait_for(lambda: [m for m in queue(d) if m["recipients"][0]["attempts"] == 1], what="it is written down")
        time.sleep(0.3)
        with smtplib.SMTP("127.0.0.1", d.port["smtp"]) as s:
            s.ehlo()
            assert s.docmd("ETRN", "slow.test")[0] == 250
            assert s.docmd("ETRN", "other.test")[0] == 251
        arrives(peer)
        held.clear()
        send(d, ["b@slow.test"], "retry")
        wait_for(lambda: [m for m in queue(d) for r in m["recipients"] if r["attempts"] == 1 and r["address"] == "b@slow.test"],
                 what="an attempt")
        held.append(1)
        done = d.mailctl("queue", "retry", "all")
        assert "1 recipient" in done.stdout, done
        arrives(peer, 2)
        d.set("queue.retry_first", "1 s")
        d.set("queue.retry_most", "2 s")
        d.hang_up("smtpd")


def stop_while_sending(d):
    gate = []
    def slow(sender, octets):
        time.sleep(0.5)
        return None
    with Peer(ADDRESSES["limit"], PORT, end=slow) as peer:
        for n in range(6):
            send(d, ["a@limit.test"], f"stop{n}")
        wait_for(lambda: peer.sessions, what="a session")
        d.stop("smtpd")
        seen = len(peer.mails)
        d.start("smtpd")
        arrives(peer, 6)
        names = [re.search(rb"Message-ID: <(\w+)@t>", m[2])[1] for m in peer.mails]
        assert sorted(names) == sorted(set(names)) and len(names) == 6, names
        print("stop: sent before", seen)
        empty_of(d, "limit.test")


def empty_of(d, destination):
    wait_for(lambda: not [m for m in queue(d) if m["recipients"][0]["destination"] == destination], what=f"{destination} gone")


def reported(d):
    """A sender who is here has the report in the mailbox; where nobody can be told the message is kept, with its reason."""
    def letters():
        return [f.read_bytes() for f in (d.data / "mail").rglob("new/*")]
    report = wait_for(lambda: [o for o in letters() if b"no@never.test" in o], what="a report in alice's mailbox")[0]
    assert report.startswith(b"Return-Path: <>\r\n") and b"multipart/report" in report, report
    for part in b"Final-Recipient: rfc822;no@never.test", b"Action: failed", b"Status: 5.1.1", b"no such user", \
            b"Message-ID: <refused@t>":
        assert part.lower() in report.lower().replace(b"rfc822; ", b"rfc822;"), (part, report)
    assert b"yes@never.test" not in report.split(b"message/delivery-status")[1].split(b"\r\n--")[0], report
    wait_for(lambda: [m for m in queue(d) if m["state"] == "quarantined"], what="one in quarantine")
    (kept,) = queue(d)
    assert "no@lmtp.test" in kept["reason"] and kept["sender"] == "s@example.test", kept


RECORDS = {f"{name}.test": {"MX": f"10 mx.{name}.test"} for name in ADDRESSES}
RECORDS.update({f"mx.{name}.test": {"A": address} for name, address in ADDRESSES.items()})
RECORDS.update({"two.test": {"MX": ["10 mx1.two.test", "20 mx2.two.test"]}, "mx1.two.test": {"A": "127.0.0.99"},
                "mx2.two.test": {"A": ADDRESSES["second"]}})

with Dns(RECORDS) as dns:
    d = Daemons("", listeners=LISTENERS, users=("alice",), sends=True, cleartext=True,
                options={"smtp": " etrn = yes\n"})
    (d.home / "access").write_text("TLS_Srv:mx.badtls.test\tVERIFY\nTLS_Srv:mx.notls.test\tENCR:112\nAuthInfo:mx.auth.test\t\"U:u\" \"P:secret\" \"M:PLAIN\"\n")
    (d.home / "access").chmod(0o600)
    d.conf.write_text(settings(dns, d.home) + d.conf.read_text())
    with d:
        for part in (plain, start_tls, required_without, login, greylisting, refused, dropped, second_mx, lmtp, many,
                     etrn_and_retry, stop_while_sending, reported):
            began = time.monotonic()
            try:
                part(d)
            except BaseException:
                print("in", part.__name__)
                raise
            print(f"{part.__name__}: {time.monotonic() - began:.1f} s")
