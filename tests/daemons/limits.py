"""Who may connect: the PROXY protocol, all connections, connections of one address; and clients that only sit there."""
import socket
import struct
import time

from lib_daemons import Daemons, Wire, letter, scenarios, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_2(address, port, command=1, family=0x11):
    body = socket.inet_aton(address) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", port, 25)
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


def proxied(d):
    """The header's address is the client's: in the log and in Received; a health check (LOCAL, UNKNOWN) keeps the proxy's."""
    for header, peer in ((b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 25\r\n", "192.0.2.7"), (version_2("192.0.2.8", 4001), "192.0.2.8"),
                         (b"PROXY TCP6 2001:db8::7 2001:db8::1 4000 25\r\n", "2001:db8::7"),
                         (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (version_2("192.0.2.9", 1, command=0), "127.0.0.1")):
        with d.wire("smtp") as w:
            for octet in header:
                w.send(bytes([octet]))
            assert w.line().startswith("220 "), header
            w.ask("EHLO client.example.net")
            w.ask("MAIL FROM:<a@b.example>")
            w.ask("RCPT TO:<bob@example.test>")
            w.ask("DATA")
            w.send(letter() + ".\r\n")
            assert w.line().startswith("250")
        assert f"event=accepted proto=smtp conn=" in d.log("smtpd") and f"peer={peer} " in d.log("smtpd"), peer
        text = max((d.data / "mail" / "bob" / "new").iterdir()).read_text()
        assert f"{peer}])" in text, text
    for listener, greeting in ("imap", "* OK"), ("pop3", "+OK"), ("lmtp", "220"):
        with d.wire(listener) as w:
            w.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 143\r\n")
            assert w.line().startswith(greeting)
    with d.wire("imaps") as w:
        w.send(version_2("192.0.2.8", 4001))
        w.secure(d.tls())
        assert w.line().startswith("* OK")


def wrong_headers(d):
    """No header, half of one, or nonsense: the end, without a greeting."""
    for header in (b"EHLO client.example.net\r\n", b"PROXY TCP4 192.0.2.7\r\n", b"PROXY TCP4 999.0.2.7 127.0.0.1 1 2\r\n",
                   b"PROXY " + b"x" * 200, SIGNATURE + b"\x31\x11\0\0", SIGNATURE + b"\x21\x11\0\x02ab",
                   b"PROXY TCP4 192.0.2.7 127.0.0.1 70000 25\r\n"):
        with d.wire("smtp") as w:
            w.send(header)
            assert w.rest_of_stream() == "", header


def refused(port):
    with socket.socket() as s:
        s.settimeout(5)
        if s.connect_ex(("127.0.0.1", port)):
            return True
        try:
            return s.recv(100) == b""
        except ConnectionResetError:
            return True


def places(d, listener, greeting, count):
    """So many connections, or None: the helper's own look at the port may not be over yet."""
    wires = []
    try:
        for _ in range(count):
            wires.append(d.wire(listener))
            if not (wires[-1].line() or "").startswith(greeting):
                raise ConnectionRefusedError
    except ConnectionRefusedError:
        for w in wires:
            w.close()
        return None
    return wires


def full(d):
    """The system refuses who comes when all places are taken; a place that becomes free is given again."""
    port = d.port["smtp"]
    wires = wait_for(lambda: places(d, "smtp", "220 ", 10), what="ten places")
    wait_for(lambda: refused(port), what="connection refused")
    assert wires[3].ask("NOOP")[0].startswith("250")
    wires.pop().close()

    def again():
        try:
            w = Wire(port)
        except ConnectionRefusedError:
            return None
        line = w.line()
        return w if line and line.startswith("220 ") else None
    wires.append(wait_for(again, what="a free place"))
    for w in wires:
        w.close()
    wait_for(again, what="a free place").close()


def per_address(d):
    wires = wait_for(lambda: places(d, "imap", "* OK", 4), what="four places")
    with d.wire("imap") as w:
        assert not (w.line() or "* BYE").startswith("* OK")
    other = socket.socket()
    other.bind(("127.0.0.2", 0))
    other.connect(("127.0.0.1", d.port["imap"]))
    assert other.recv(100).startswith(b"* OK"), "another address is not concerned"
    other.close()
    wires.pop().close()

    def again():
        with d.wire("imap") as w:
            return (w.line() or "").startswith("* OK")
    wait_for(again, what="a free place")
    for w in wires:
        w.close()


def silent(d):
    """Who says nothing is let go after the time-out, with the protocol's word; who never finishes TLS, too."""
    start = time.monotonic()
    wires = {"smtp": ("421 ", d.wire("smtp")), "imap": ("* BYE", d.wire("imap")), "pop3": ("-ERR", d.wire("pop3"))}
    for farewell, w in wires.values():
        text = w.rest_of_stream()
        assert farewell in text or farewell == "-ERR", text
    assert time.monotonic() - start < 10


with Daemons(listeners=("smtp", "lmtp", "imap", "imaps", "pop3"), proxy=True) as daemons:
    scenarios(proxied, wrong_headers, arguments=[daemons])
with Daemons("max_connections = 10\n", listeners=("smtp",)) as daemons:
    scenarios(full, arguments=[daemons])
with Daemons("max_connections_per_address = 4\n", listeners=("imap",)) as daemons:
    scenarios(per_address, arguments=[daemons])
with Daemons("smtp.command_timeout = 1 s\nimap.login_timeout = 1 s\npop3.idle_timeout = 1 s\n",
             listeners=("smtp", "imap", "pop3")) as daemons:
    scenarios(silent, arguments=[daemons])
