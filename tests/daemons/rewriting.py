"""Headers on their way: own users' mail is rewritten, other people's is not, and a server gets as many bits as it takes.
Python's smtplib sends, a scripted server takes, Python's email package reads."""
import email
import email.policy
import random
import re
import smtplib

from lib_daemons import PASSWORD, Daemons, free_ports, wait_for
from lib_relay import Peer

PORT = free_ports(1)[0]
HOST = "correo.midominio.com.mx"
MASQUERADE = f"""masquerade.as = midominio.com.mx
masquerade.envelope = yes
masquerade.exposed_users = root
"""
EIGHT = ("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES", "DSN")
SEVEN = ("PIPELINING", "SIZE 0", "ENHANCEDSTATUSCODES", "DSN")


def daemons(more="", listeners=("smtp", "submission"), **how):
    """Mail for elsewhere goes to one port of ours."""
    own = f"hostname = {HOST}\ndomains = {HOST} midominio.com.mx\npostmaster = alice\nauth.failure_delay = 100 ms\n" \
          "policy.accept_unresolvable_domains = yes\n"
    return Daemons(f"routing.smart_host = esmtp:[127.0.0.1]\nclient.port = {PORT}\nqueue.retry_first = 1 s\n"
                   f"smtp.privacy =\npolicy.accept_unqualified_senders = yes\n{more}", listeners=listeners, users=("alice", "bob"),
                   sends=True, cleartext=True, own=own, **how)


def send(d, sender, to, message, options=(), login=None):
    with smtplib.SMTP() as s:
        s.connect("127.0.0.1", d.port["submission" if login else "smtp"])
        s.ehlo("client.example")
        if login:
            s.login(login, PASSWORD)
        s.sendmail(sender, to, message.replace("\n", "\r\n") if isinstance(message, str) else message, options)


def proxied(d, sender, to, message, client):
    """client: an address that the connection is said to come from."""
    with d.wire("smtp") as w:
        w.send(f"PROXY TCP4 {client} 127.0.0.1 5000 25\r\n".encode())
        w.reply()
        w.ask("EHLO client.example")
        for command in f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{a}>" for a in to), "DATA":
            said = w.ask(command)
            assert said[0][0] in "23", said
        assert w.ask(message.replace("\n", "\r\n") + ".")[0].startswith("250")


def taken(peer, count):
    wait_for(lambda: len(peer.mails) >= count, 10, f"{count} mails")
    sender, to, octets = peer.mails[count - 1]
    trace, _, rest = octets.partition(b"\r\n\r\n")
    return sender, to, octets, trace.decode("latin-1").split("\r\n")


def box(d, user):
    return [path.read_bytes() for path in sorted((d.data / "mail" / user / "new").glob("*"))]


def delivered(d, user, mark):
    return wait_for(lambda: [m for m in box(d, user) if mark.encode() in m], 10, mark)[0].decode("latin-1")


LETTER = """From: Juan <juan@correo.midominio.com.mx>
To: ana@correo.midominio.com.mx, bare
Cc: x@elsewhere.example (juan@correo.midominio.com.mx)
Bcc: secret@elsewhere.example,
 other@elsewhere.example
Subject: =?utf-8?q?Se=C3=B1or?= %s

From: juan@correo.midominio.com.mx
"""


def masquerading(d):
    """SEED_SPEC 8, step 7; 7 and 3.8 at the client's edge."""
    with Peer(port=PORT, ehlo=(*EIGHT, "AUTH PLAIN")) as peer:
        send(d, f"juan@{HOST}", ["x@elsewhere.example"], LETTER % "one")
        sender, _, octets, header = taken(peer, 1)
        assert sender == "juan@midominio.com.mx", sender
        assert "From: Juan <juan@midominio.com.mx>" in header, header
        assert f"To: ana@{HOST}, bare@{HOST}" in header, header
        assert f"Cc: x@elsewhere.example (juan@{HOST})" in header, header
        assert "Subject: =?utf-8?q?Se=C3=B1or?= one" in header and "secret" not in str(octets), header
        assert octets.endswith(f"\r\n\r\nFrom: juan@{HOST}\r\n".encode()), octets
        assert sum(line.startswith("Message-ID: <") and line.endswith(f"@{HOST}>") for line in header) == 1, header
        assert sum(line.startswith("Date: ") for line in header) == 1, header
        (size,) = re.findall(r"SIZE=(\d+)", peer.lines[1])
        assert int(size) == len(octets), (size, len(octets))

        send(d, f"root@{HOST}", ["x@elsewhere.example"], f"From: root@{HOST}\n\nx\n")
        sender, _, _, header = taken(peer, 2)
        assert sender == f"root@{HOST}" and f"From: root@{HOST}" in header, (sender, header)

        send(d, f"alice@{HOST}", ["x@elsewhere.example"], "Subject: bare\n\nx\n", login="alice")
        sender, _, octets, header = taken(peer, 3)
        assert sender == "alice@midominio.com.mx" and "From: alice@midominio.com.mx" in header, (sender, header)

        send(d, "juan", ["x@elsewhere.example"], "From: juan\nTo: undisclosed-recipients:;\n\nx\n")
        sender, _, _, header = taken(peer, 4)
        assert sender == "juan@midominio.com.mx" and "From: juan@midominio.com.mx" in header, (sender, header)
        assert "To: undisclosed-recipients:;" in header, header

        # What stays is seen as others see it, but the envelope is as it was said.
        send(d, f"juan@{HOST}", [f"bob@{HOST}"], LETTER % "here")
        text = delivered(d, "bob", "here")
        assert text.startswith(f"Return-Path: <juan@{HOST}>\r\n") and "Juan <juan@midominio.com.mx>" in text, text
        assert "secret" not in text and f"bare@{HOST}" in text, text

        # AUTH= is believed of who logged in as that.
        for number, (says, goes) in enumerate((("alice", "alice"), ("bob", "<>"), ("<>", "<>")), 5):
            send(d, "alice@midominio.com.mx", ["x@elsewhere.example"], "Subject: auth\n\nx\n", [f"AUTH={says}"], "alice")
            taken(peer, number)
            assert f" AUTH={goes}" in [line for line in peer.lines if line.startswith("MAIL")][-1], peer.lines

        # A server that takes 8 bits gets them.
        octets = eight_bits()[1]
        send(d, "a@b.example", ["x@elsewhere.example"], octets)
        _, _, got, _ = taken(peer, 8)
        assert got.endswith(octets.partition(b"\r\n\r\n")[2]), got
        assert "BODY=8BITMIME" in [line for line in peer.lines if line.startswith("MAIL")][-1], peer.lines


def explained(d):
    said = d.mailctl("policy", "explain", "--client", "127.0.0.1", "--from", f"juan@{HOST}", "--to", "x@elsewhere.example").stdout
    assert "juan@midominio.com.mx" in said, said


def apart(d):
    """With not_local what stays and what leaves are two."""
    with Peer(port=PORT) as peer:
        send(d, f"juan@{HOST}", ["x@elsewhere.example", f"bob@{HOST}"], LETTER % "both")
        sender, _, octets, header = taken(peer, 1)
        assert sender == "juan@midominio.com.mx" and "From: Juan <juan@midominio.com.mx>" in header, (sender, header)
        (size,) = re.findall(r"SIZE=(\d+)", peer.lines[1])
        assert int(size) == len(octets), (size, len(octets))
        assert octets.endswith(f"\r\n\r\nFrom: juan@{HOST}\r\n".encode()), octets
        text = delivered(d, "bob", "both")
        assert f"From: Juan <juan@{HOST}>" in text and f"bare@{HOST}" in text and "secret" not in text, text
        big = "x" * 70 + "\n"
        send(d, f"juan@{HOST}", ["x@elsewhere.example", f"bob@{HOST}"], LETTER % "large" + big * 20000)
        sender, _, octets, header = taken(peer, 2)
        assert "From: Juan <juan@midominio.com.mx>" in header and octets.endswith(big.replace("\n", "\r\n").encode() * 20000)


STRANGE = """From: juan
To: bare, juan@correo.midominio.com.mx
Bcc: secret@elsewhere.example
Subject: %s

x
"""


def strangers(d):
    """Other people's mail is signed: not an octet of it changes."""
    with Peer(port=PORT) as peer:
        text = STRANGE % "stranger"
        proxied(d, f"juan@{HOST}", [f"bob@{HOST}"], text, "203.0.113.1")
        got = delivered(d, "bob", "stranger")
        assert got.endswith("\r\n" + text.replace("\n", "\r\n")), got
        proxied(d, f"juan@{HOST}", ["x@relayed.example"], text, "203.0.113.1")
        sender, _, octets, _ = taken(peer, 1)
        assert sender == f"juan@{HOST}" and octets.endswith(b"\r\n" + text.replace("\n", "\r\n").encode()), (sender, octets)
        proxied(d, f"juan@{HOST}", ["x@relayed.example"], text, "192.0.2.77") # Connect: RELAY
        sender, _, octets, header = taken(peer, 2)
        assert sender == "juan@midominio.com.mx" and "From: juan@midominio.com.mx" in header and b"secret" not in octets, header


def eight_bits():
    message = email.message.EmailMessage(email.policy.SMTP.clone(cte_type="8bit"))
    message["From"], message["To"], message["Subject"] = "a@b.example", "x@elsewhere.example", "Señor"
    message.set_content("Sí, el texto que no tiene muchos acentos se lee mejor.\n" * 30, cte="8bit")
    message.add_attachment("Привет\n" * 50, cte="8bit", filename="п.txt")
    octets = message.as_bytes()
    assert any(c > 127 for c in octets)
    return message, octets


def seven_bits(d):
    message, octets = eight_bits()
    with Peer(port=PORT, ehlo=SEVEN) as peer:
        for number, options in enumerate(((), ("BODY=8BITMIME",), ("BODY=7BIT",)), 1):
            send(d, "a@b.example", ["x@elsewhere.example", "y@elsewhere.example"], octets, options)
            _, to, got, _ = taken(peer, number)
            assert len(to) == 2
            line = [line for line in peer.lines if line.startswith("MAIL")][-1]
            assert max(got) < 128 and "BODY" not in line and int(re.search(r"SIZE=(\d+)", line)[1]) == len(got), line
            read = email.message_from_bytes(got, policy=email.policy.SMTP)
            parts, were = list(read.walk()), list(message.walk())
            assert [p.get_content_type() for p in parts] == [p.get_content_type() for p in were]
            assert [p.get_content().replace("\r\n", "\n") for p in parts[1:]] == [p.get_content() for p in were[1:]]
            assert {p["Content-Transfer-Encoding"] for p in parts[1:]} == {"quoted-printable", "base64"}
        # No MIME at all: nobody knows the charset.
        send(d, "a@b.example", ["x@elsewhere.example"], b"Subject: x\r\n\r\nSe\xf1or\r\n")
        _, _, got, _ = taken(peer, 4)
        read = email.message_from_bytes(got)
        assert read["Content-Type"] == "text/plain; charset=unknown-8bit" and read.get_payload(decode=True) == b"Se\xf1or\r\n"
        # A header that cannot be: it comes back.
        send(d, f"bob@{HOST}", ["x@elsewhere.example"], b"Subject: Se\xf1or raw\r\n\r\nx\r\n")
        text = delivered(d, "bob", "delivery-status")
        assert "5.6.3" in text and "8BITMIME" in text, text
        assert len(peer.mails) == 4
        # Of many sizes, across all pieces.
        dice = random.Random(8)
        for number in range(5, 10):
            body = bytes(dice.choice(b"ab \xf1\xe9=.") for _ in range(dice.choice((10, 65530, 131072, 300000))))
            body = b"\r\n".join(body[i:i + 90] for i in range(0, len(body), 90)) + b"\r\n"
            send(d, "a@b.example", ["x@elsewhere.example"], b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=latin1\r\n"
                 b"Content-Transfer-Encoding: 8bit\r\n\r\n" + body)
            _, _, got, _ = taken(peer, number)
            assert email.message_from_bytes(got).get_payload(decode=True) == body and max(got) < 128


if __name__ == "__main__":
    with daemons(MASQUERADE, listeners=("smtp", "submission")) as d:
        masquerading(d)
        explained(d)
    with daemons(MASQUERADE + "masquerade.not_local = yes\n", listeners=("smtp",)) as d:
        apart(d)
    with daemons(MASQUERADE, listeners=("smtp",), proxy=True) as d:
        (d.home / "access").write_text("Connect:192.0.2.77 RELAY\nTo:relayed.example RELAY\n")
        d.set("policy.access", d.home / "access")
        d.hang_up("smtpd")
        strangers(d)
    with daemons(listeners=("smtp",)) as d:
        seven_bits(d)
