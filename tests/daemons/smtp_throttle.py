"""When too many come: sessions, connections a second, connections of one client, early talkers, a high load."""
import json
import socket
import time

from lib_daemons import Daemons, Wire, free_ports, scenarios, wait_for


class From(Wire):
    """A connection from another address of loopback."""

    def __init__(self, address, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 15, source_address=(address, 0))
        self.rest = b""


def refused(port):
    try:
        Wire(port).close()
    except ConnectionRefusedError:
        return True
    return False


def served(port, address="127.0.0.1"):
    """A connection with its greeting read, or None when it is refused."""
    try:
        w = From(address, port)
    except ConnectionRefusedError:
        return None
    if (w.line() or "").startswith("220 "):
        return w
    w.close()
    return None


def places(count, *ports):
    wires = []
    for i in range(count):
        wires.append(served(ports[i % len(ports)]))
    if all(wires):
        return wires
    for w in wires:
        if w:
            w.close()
    return None


def sessions(d):
    """Five sessions: the sixth is refused by the system, on each port; after one QUIT the next is served."""
    ports = d.port["smtp"], d.port["submission"]
    wires = wait_for(lambda: places(5, *ports), what="five places")
    for _ in range(3):
        assert refused(ports[0]) and refused(ports[1])
    assert wires[0].ask("NOOP")[0].startswith("250")
    wires[1].ask("QUIT")
    wires[1].close()
    start = time.monotonic()
    wires[1] = wait_for(lambda: served(ports[1]), what="the place that is free")
    assert time.monotonic() - start < 5
    assert refused(ports[0]) and refused(ports[1])
    for w in wires:
        w.close()


def sessions_of_a_listener(d):
    port, other = d.port["smtp"], d.port["lmtp"]
    wires = wait_for(lambda: places(2, port), what="two places")
    assert refused(port)
    more = wait_for(lambda: places(3, other), what="places of the other listener")
    for w in wires + more:
        w.close()
    wait_for(lambda: served(port), what="a place").close()


def rate(d):
    """Twelve at once, four a second: all are served, four in each second, none refused."""
    time.sleep(1.1)
    port = d.port["smtp"]
    start = time.monotonic()
    wires = [Wire(port) for _ in range(12)]
    times = []
    for w in wires:
        assert w.line().startswith("220 ")
        times.append(time.monotonic() - start)
    assert times[4] >= 0.95 and times[8] >= 1.9, times
    assert times[-1] < 4, times
    for w in wires:
        w.close()


def client_rate(d):
    """ClientRate: 3 of 127.0.0.3 - the fourth is greeted and then refused; other clients are not concerned."""
    port = d.port["smtp"]
    for _ in range(3):
        w = served(port, "127.0.0.3")
        w.ask("EHLO client.example.net")
        assert w.ask("MAIL FROM:<a@b.example>")[0].startswith("250"), "within the rate"
        w.close()
    w = served(port, "127.0.0.3")
    assert w.ask("EHLO client.example.net")[-1] == "250 ENHANCEDSTATUSCODES"
    for command in "MAIL FROM:<a@b.example>", "RCPT TO:<bob@example.test>", "DATA", "VRFY bob":
        assert w.ask(command) == ["452 4.3.2 Connection rate limit exceeded."], command
    assert w.ask("NOOP")[0].startswith("250") and w.ask("QUIT")[0].startswith("221")
    w.close()
    w = served(port, "127.0.0.4")
    w.ask("EHLO client.example.net")
    assert w.ask("MAIL FROM:<a@b.example>")[0].startswith("250")
    w.close()


def client_rate_window(d):
    """The window has passed: the client is served again."""
    def again():
        w = served(d.port["smtp"], "127.0.0.7")
        w.ask("EHLO client.example.net")
        reply = w.ask("MAIL FROM:<a@b.example>")[0]
        w.close()
        return reply
    assert again().startswith("250")
    assert again().startswith("452 4.3.2")
    time.sleep(3.2)
    assert again().startswith("250")


def client_connections(d):
    """ClientConn: 2 of 127.0.0.5, open at once."""
    port = d.port["smtp"]
    wires = [served(port, "127.0.0.5") for _ in range(3)]
    for w in wires:
        w.ask("EHLO client.example.net")
    replies = [w.ask("MAIL FROM:<a@b.example>")[0] for w in wires]
    assert [r[:3] for r in replies] == ["250", "250", "452"], replies
    assert replies[2] == "452 4.3.2 Too many open connections.", replies
    wires[0].close()
    wires[2].close()

    def again():
        w = served(port, "127.0.0.5")
        w.ask("EHLO client.example.net")
        reply = w.ask("MAIL FROM:<a@b.example>")[0]
        w.close()
        return reply.startswith("250")
    wait_for(again, what="a place of the client")
    wires[1].close()


def terminate(d):
    """With terminate the banner is 421, and that is all."""
    port = d.port["smtp"]
    wires = [From("127.0.0.5", port) for _ in range(3)]
    assert wires[0].line().startswith("220") and wires[1].line().startswith("220")
    assert wires[2].rest_of_stream() == "421 4.3.2 Too many open connections.\r\n"
    for w in wires:
        w.close()
    with From("127.0.0.7", port) as w:
        assert w.line().startswith("220")
    with From("127.0.0.7", port) as w:
        assert w.rest_of_stream() == "421 4.3.2 Connection rate limit exceeded.\r\n"


def delayed(d):
    """With delay_checks the client hears it at RCPT; "nodelay" keeps the rate at the connection."""
    port = d.port["smtp"]
    wires = [served(port, "127.0.0.5") for _ in range(3)]
    for w in wires:
        w.ask("EHLO client.example.net")
        assert w.ask("MAIL FROM:<a@b.example>")[0].startswith("250")
    assert wires[1].ask("RCPT TO:<bob@example.test>")[0].startswith("250")
    assert wires[2].ask("RCPT TO:<bob@example.test>")[0].startswith("452 4.3.2 Too many open"), "at RCPT"
    for before, sender in ((), "ok@b.example"), (("AUTH PLAIN AGFsaWNlAHNlY3JldA==",), "a@b.example"):
        for command in ("RSET", *before, f"MAIL FROM:<{sender}>", "RCPT TO:<bob@example.test>"):
            assert wires[2].ask(command)[0][0] == "2", f"{command} with From: OK, or logged in"
    for w in wires:
        w.close()
    for _ in range(3):
        served(port, "127.0.0.3").close()
    w = served(port, "127.0.0.3")
    w.ask("EHLO client.example.net")
    assert w.ask("MAIL FROM:<a@b.example>")[0].startswith("452 4.3.2 Connection rate"), "at once"
    w.close()


def pause(d):
    """The greeting comes after the pause; who speaks before it is turned away; GreetPause: exempts."""
    port = d.port["smtp"]
    start = time.monotonic()
    with From("127.0.0.1", port) as w:
        assert w.line().startswith("220 ")
        assert time.monotonic() - start >= 0.95
    with From("127.0.0.6", port) as w:
        start = time.monotonic()
        assert w.line().startswith("220 ")
        assert time.monotonic() - start < 0.8, "GreetPause: 0"
    with From("127.0.0.1", port) as w:
        w.send("EHLO client.example.net\r\n")
        assert w.line() == "554 localhost ESMTP not accepting messages"
        assert w.reply() == ["250-localhost", "250 ENHANCEDSTATUSCODES"]
        assert w.ask("MAIL FROM:<a@b.example>") == ["550 5.0.0 Command rejected"]
        assert w.ask("RCPT TO:<bob@example.test>") == ["550 5.0.0 Command rejected"]
        assert w.ask("QUIT")[0].startswith("221 ")


def listeners_more(d, count):
    """A reload brings them; their ports."""
    ports = free_ports(count)
    d.conf.write_text(d.conf.read_text() + "".join(
        f"listener more{i} {{\n address = 127.0.0.1\n port = {port}\n}}\n" for i, port in enumerate(ports)))
    d.hang_up("smtpd")
    return ports


def load(d):
    """Above refuse_load the listeners are closed, above delay_load a connection waits a second; below both come back."""
    port, file = d.port["smtp"], d.home / "load"
    with served(port) as w:
        file.write_text("3.50 1.00 1.00 1/100 1\n")

        def slow():
            start = time.monotonic()
            served(port).close()
            return time.monotonic() - start >= 0.95
        wait_for(slow, what="a connection that waits")
        file.write_text("9.00 1.00 1.00 1/100 1\n")
        wait_for(lambda: refused(port), what="closed listeners")
        assert w.ask("NOOP")[0].startswith("250"), "sessions go on"
    more = listeners_more(d, 3)
    wait_for(lambda: all(refused(p) for p in more), what="new listeners that are closed")
    file.write_text("0.10 1.00 1.00 1/100 1\n")
    for p in (port, *more):
        wait_for(lambda p=p: served(p), what="open listeners").close()
    assert "load_refuses" in d.log("smtpd") and "load_accepts" in d.log("smtpd")


def queue_load(d):
    """Above queue_load mail is taken and waits for a queue run; below it is due at once. No runner is here to send it."""
    file = d.home / "load"

    def waits():
        """A message: is it due later than it came?"""
        with served(d.port["smtp"]) as w:
            w.ask("EHLO client.example.net")
            w.ask("MAIL FROM:<>")
            assert w.ask("RCPT TO:<u@b.example>")[0].startswith("250")
            w.ask("DATA")
            assert w.ask("Subject: x\r\n\r\nbody\r\n.")[0].startswith("250")
        last = json.loads(d.mailctl("queue", "list", "--json").stdout.splitlines()[-1])
        return last["recipients"][0]["next"] > last["arrived"]
    assert not waits()
    file.write_text("9.00 1.00 1.00 1/100 1\n")
    wait_for(waits, what="mail that is only queued")
    file.write_text("0.10 1.00 1.00 1/100 1\n")
    wait_for(lambda: not waits(), what="mail that is due at once")


def with_map(settings, *functions):
    d = Daemons(f"include own.conf\n{settings}", listeners=("smtp",), plain=True)
    (d.home / "access").write_text("ClientRate:127.0.0.3\t3\nClientRate:127.0.0.7\t1\nClientConn:127.0.0.5\t2\n"
                                   "GreetPause:127.0.0.6\t0\nTo:b.example\tRELAY\nFrom:ok@b.example\tOK\n")
    (d.home / "own.conf").write_text(f"policy.access = {d.home}/access\n"
                                     f"smtp.load_file = {d.home}/load\n")
    (d.home / "load").write_text("0.00 0.00 0.00 1/100 1\n")
    with d:
        scenarios(*functions, arguments=[d])


with Daemons("smtp.max_sessions = 5\n", listeners=("smtp", "submission")) as daemons:
    scenarios(sessions, arguments=[daemons])
d = Daemons(listeners=("smtp", "lmtp"))
d.conf.write_text(d.conf.read_text().replace("listener smtp {\n", "listener smtp {\n max_sessions = 2\n"))
with d:
    scenarios(sessions_of_a_listener, arguments=[d])
with Daemons("smtp.connection_rate = 4\n", listeners=("smtp",)) as daemons:
    scenarios(rate, arguments=[daemons])
with_map("policy.rate_window = 3 s\n", client_rate_window)
with_map("", client_rate, client_connections)
with_map("policy.connection_control = on terminate\npolicy.rate_control = on terminate\n", terminate)
with_map("auth.allow_cleartext = yes\npolicy.delay_checks = yes\npolicy.rate_control = on nodelay\n", delayed)
with_map("policy.greet_pause = 1 s\n", pause)
with_map("smtp.refuse_load = 6\nsmtp.delay_load = 2\n", load)
with_map("smtp.queue_load = 6\n", queue_load)
