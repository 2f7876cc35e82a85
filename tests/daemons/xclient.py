"""XCLIENT and XFORWARD of a running smtpd (smtp.xclient_trusted, smtp.xforward_trusted): who may, what XCLIENT changes
(access map, names, login, counts, block lists' and filters' facts by the same road), and that XFORWARD changes the log alone."""
from lib_daemons import Daemons, scenarios, wait_for
from lib_dns import Dns, client
from lib_vectors import proxied

FILTER, LOGGER, STRANGER = "192.0.2.100", "192.0.2.101", "192.0.2.1"
ACCESS = """Connect:203.0.113.9 REJECT
Connect:bad.example 550 5.7.1 Not from that name
Connect:friend.example RELAY
Connect:203.0.113.10 DISCARD
"""
ZONES = {**client("203.0.113.20", "friend.example"), **client("203.0.113.30", "other.example")}


def greeted(d, address):
    w, reply = proxied(d, "smtp", address)
    assert reply[0].startswith("220 "), reply
    return w


def offered(w):
    return {line[4:].split(" ", 1)[0]: line[4:] for line in w.ask("EHLO client.example.net")[1:]}


def first(w, command):
    return w.ask(command)[0]


def deliver(w, to="bob@example.test", text="Subject: x\r\n\r\nx\r\n"):
    assert first(w, "MAIL FROM:<a@b.example>").startswith("250 ")
    assert first(w, f"RCPT TO:<{to}>").startswith("250 ")
    assert first(w, "DATA").startswith("354 ")
    w.send(text + ".\r\n")
    reply = w.reply()[-1]
    assert reply.startswith("250 2.0.0 "), reply
    return reply.split()[-1]


def logged(d, *words):
    return wait_for(lambda: [line for line in d.log("smtpd").splitlines() if all(word in line for word in words)],
                    what=f"a line with {words}")[-1]


def untrusted(d):
    with greeted(d, STRANGER) as w:
        have = offered(w)
        assert "XCLIENT" not in have and "XFORWARD" not in have, have
        for verb in "XCLIENT", "XFORWARD":
            assert w.ask(f"{verb} ADDR=127.0.0.1") == [f"550 5.7.0 {verb}: insufficient authorization"]
        assert first(w, "MAIL FROM:<a@b.example>").startswith("250 ")
        assert first(w, "RCPT TO:<x@elsewhere.example>").startswith("550 5.7.1 "), "it must not have become local"


def each_its_own(d):
    with greeted(d, FILTER) as w:
        have = offered(w)
        assert have["XCLIENT"] == "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" and "XFORWARD" not in have, have
        assert first(w, "XFORWARD ADDR=203.0.113.9").startswith("550 5.7.0 ")
    with greeted(d, LOGGER) as w:
        have = offered(w)
        assert have["XFORWARD"] == "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE" and "XCLIENT" not in have, have
        assert first(w, "XCLIENT ADDR=203.0.113.9").startswith("550 5.7.0 ")


def access_map(d):
    """The decision about the connection is made again, and again for the next client."""
    with greeted(d, FILTER) as w:
        assert first(w, "XCLIENT ADDR=203.0.113.9 NAME=x").startswith("220 ")
        assert list(offered(w)) == ["ENHANCEDSTATUSCODES", "XCLIENT"]
        assert first(w, "MAIL FROM:<a@b.example>").startswith("550 5.7.1 ")
        assert first(w, "XCLIENT ADDR=203.0.113.30 NAME=bad.example").startswith("220 ")
        assert first(w, "HELO x.example").startswith("250 ")
        assert first(w, "MAIL FROM:<a@b.example>") == "550 5.7.1 Not from that name"
        assert first(w, "XCLIENT ADDR=203.0.113.10 NAME=[UNAVAILABLE]").startswith("220 ")
        w.ask("EHLO x.example")
        deliver(w)
        logged(d, "event=discarded ", "peer=203.0.113.10 ")
        assert first(w, "XCLIENT ADDR=203.0.113.30").startswith("220 ")
        w.ask("EHLO x.example")
        queue = deliver(w) # DISCARD was another client's
        logged(d, "event=delivered ", f"queue={queue} ", "peer=203.0.113.30 ")
    logged(d, "event=xclient ", "peer=203.0.113.30 ", "name=bad.example")
    logged(d, "event=refused ", "peer=203.0.113.9 ", "stage=connect")


def names(d):
    """A name that is given is as good as one looked up; one of another address is forgotten."""
    relay = "RCPT TO:<x@elsewhere.example>"
    with greeted(d, FILTER) as w:
        for attributes, may in (("ADDR=203.0.113.40 NAME=friend.example", True), ("ADDR=203.0.113.41", False),
                                ("ADDR=203.0.113.20", True), ("NAME=stranger.example", False),
                                ("NAME=[TEMPUNAVAIL]", False), ("ADDR=[UNAVAILABLE]", False),
                                ("ADDR=IPV6:2001:db8::9 NAME=friend.example", True)):
            assert first(w, "XCLIENT " + attributes).startswith("220 "), attributes
            w.ask("EHLO x.example")
            assert first(w, "MAIL FROM:<a@b.example>").startswith("250 ")
            said = first(w, relay)
            assert said[0] == ("2" if may else said[0]) and (said[0] == "2") == may, (attributes, said)
            w.ask("RSET")


def login(d):
    with greeted(d, FILTER) as w:
        assert first(w, "XCLIENT ADDR=203.0.113.50 LOGIN=alice HELO=x.example PROTO=ESMTP").startswith("220 ")
        assert first(w, "AUTH PLAIN").startswith("503 "), "who is logged in does not log in"
        assert first(w, "MAIL FROM:<alice@example.test>").startswith("250 ")
        assert first(w, "RCPT TO:<x@elsewhere.example>").startswith("250 ")
        assert first(w, "XCLIENT LOGIN=[UNAVAILABLE]") == "503 5.5.1 XCLIENT not permitted during a mail transaction"
        w.ask("RSET")
        assert first(w, "XCLIENT ADDR=203.0.113.50").startswith("220 ")
        w.ask("EHLO x.example")
        assert first(w, "MAIL FROM:<alice@example.test>").startswith("250 ")
        assert first(w, "RCPT TO:<x@elsewhere.example>").startswith("550 5.7.1 ")
    logged(d, "event=xclient ", "user=alice")


def login_not_trusted(d):
    """The mechanism is XCLIENT: where policy.trusted_mechanisms lacks it, relay is refused."""
    d.set("policy.trusted_mechanisms", "PLAIN")
    d.hang_up("smtpd")
    with greeted(d, FILTER) as w:
        assert first(w, "XCLIENT ADDR=203.0.113.50 LOGIN=alice HELO=x.example").startswith("220 ")
        assert first(w, "MAIL FROM:<alice@example.test>").startswith("250 ")
        assert first(w, "RCPT TO:<x@elsewhere.example>").startswith("550 5.7.1 ")
    d.set("policy.trusted_mechanisms", None)
    d.hang_up("smtpd")


def received_of(d, mark):
    found = wait_for(lambda: [text for text in (path.read_text() for path in d.data.rglob("new/*")) if mark in text],
                     what=f"the message {mark}")
    return " ".join(found[0].split())


def trace(d):
    """Received: the client of XCLIENT; of XFORWARD nothing stands there, but in the log until the transaction is over."""
    with greeted(d, FILTER) as w:
        w.ask("XCLIENT ADDR=203.0.113.60 NAME=spike.example")
        w.ask("EHLO hello.example")
        deliver(w, text="Subject: by-xclient\r\n\r\nx\r\n")
    assert "from hello.example (spike.example [203.0.113.60])" in received_of(d, "by-xclient")
    with greeted(d, LOGGER) as w:
        w.ask("EHLO filter.example")
        assert w.ask("XFORWARD NAME=spike.example ADDR=203.0.113.9 IDENT=3CF6B2AAE8") == ["250 2.0.0 OK"]
        assert w.ask("XFORWARD HELO=up.example SOURCE=REMOTE NAME=[UNAVAILABLE]") == ["250 2.0.0 OK"]
        queue = deliver(w, text="Subject: by-xforward\r\n\r\nx\r\n")
        later = deliver(w)
    text = received_of(d, "by-xforward")
    assert f"[{LOGGER}]" in text and "203.0.113.9" not in text and "up.example" not in text, text
    line = logged(d, "event=accepted ", f"queue={queue} ", f"peer={LOGGER} ")
    for word in "orig_addr=203.0.113.9", "orig_queue=3CF6B2AAE8", "orig_helo=up.example", "orig_source=REMOTE":
        assert word in line, (word, line)
    assert "orig_name" not in line, line
    assert "orig_" not in logged(d, "event=accepted ", f"queue={later} ")


def hostile(d):
    with greeted(d, FILTER) as w:
        for bad in "ADDR=203.0.113.999", "ADDR=1.2.3.4 ADDR=1.2.3.4", "NAME=+3Cx+3E", "LOGIN=a+0D+0Ab", "PORT=99999", "X=y", "":
            assert first(w, f"XCLIENT {bad}".rstrip()).startswith("501 5.5.4 "), bad
        assert first(w, "XCLIENT ADDR=203.0.113.70").startswith("220 ")


with Dns(ZONES) as dns:
    d = Daemons(f"dns.servers = {dns.server}\ndns.hosts =\nsmtp.xclient_trusted = {FILTER}/32 198.51.100.0/24\n"
                f"smtp.xforward_trusted = {LOGGER}\n", listeners={"smtp": 0}, proxy=True)
    (d.home / "access").write_text(ACCESS)
    d.set("policy.access", d.home / "access")
    with d:
        scenarios(untrusted, each_its_own, access_map, names, login, login_not_trusted, trace, hostile, arguments=(d,))
