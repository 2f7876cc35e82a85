"""Figures of the daemons on loopback: prints them, judges nothing.

    BUILD_DIR=build/release python3 tests/bench/run_daemons.py [smtp] [relay] [peers] [imap] [pop3] [idle] [login]

Without names: all. CPU is the daemon's own time (user and system), from /proc. The mail lies in a fresh folder
under the build directory; fsync is on. Clients: bench_load_smtp and, for reading, plain sockets that look for the
tagged line only.
"""
import os
import pathlib
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "daemons"))
from lib_daemons import BUILD, Daemons, free_ports  # noqa: E402
from lib_dns import Dns  # noqa: E402
from lib_peers import Postfix, Sink, source  # noqa: E402
from lib_wire import Imap, Smtp, Wire  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
MESSAGES = int(os.environ.get("MESSAGES", "10000"))
LIMITS = ("max_connections_per_address = 100000\npassword_queue = 10000\npassword_workers = 2\n"
          "smtp.max_message_size = 200M\n")


def cpu(d, name):
    """Seconds of user and system time so far."""
    fields = open(f"/proc/{d.pid(name)}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Measured:
    def __init__(self, d, name):
        self.d, self.name = d, name

    def __enter__(self):
        self.cpu, self.wall = cpu(self.d, self.name), time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall = time.monotonic() - self.wall
        self.cpu = cpu(self.d, self.name) - self.cpu


def load(d, connections, messages, octets):
    with Measured(d, "smtpd") as m:
        subprocess.run([BUILD / "tests/bench_load_smtp", str(d.port["smtp"]), str(connections), str(messages), str(octets),
                        "alice@example.test"], check=True, capture_output=True)
    return m


def smtp():
    with Daemons(LIMITS, listeners=("smtp",), cleartext=True) as d:
        load(d, 10, 200, 1024)
        for connections, messages in ((1, 1000), (10, 5000), (50, 10000)):
            m = load(d, connections, messages, 1024)
            print(f"SMTP 1 KiB, {connections:2} connections: {messages / m.wall:6.0f} messages/s, "
                  f"{m.cpu / messages * 1000:.3f} ms CPU each")
        for connections in (1, 10):
            m = load(d, connections, 200, 1 << 20)
            print(f"SMTP 1 MiB, {connections:2} connections: {200 / m.wall:6.0f} messages/s, "
                  f"{m.cpu / 200 * 1000:.2f} ms CPU each")


def relay():
    """From what takes mail by one connection or by twenty to what it is sent to: a sink behind one name."""
    port = free_ports(1)[0]
    with Dns({"sink.test": {"MX": "10 mx.sink.test"}, "mx.sink.test": {"A": "127.0.0.61"}}) as dns:
        for connections, messages in ((1, 2000), (20, 10000)):
            with Daemons(LIMITS + f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {port}\n",
                         listeners=("smtp",), sends=True) as d:
                sink = subprocess.Popen([BUILD / "tests/bench_sink_smtp", str(port), str(messages), "127.0.0.61"],
                                        stdout=subprocess.PIPE, text=True)
                sink.stdout.readline()
                with Measured(d, "smtpd") as m:
                    subprocess.run([BUILD / "tests/bench_load_smtp", str(d.port["smtp"]), str(connections), str(messages),
                                    "1024", "x@sink.test"], check=True, capture_output=True)
                    taken = time.monotonic() - m.wall
                    said = sink.communicate()[0].strip()
                print(f"relay 1 KiB, {connections:2} connections: taken {messages / taken:.0f}/s, sent {messages / m.wall:.0f}/s, "
                      f"{m.cpu / messages * 1000:.3f} ms CPU each ({said})")


def group_cpu(leader):
    """Seconds that the processes of a group have had, and those that they have waited for."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == leader:
            total += sum(int(n) for n in fields[11:15])
    return total / TICK


def one_relay(what, port, sink, used, connections, messages):
    """smtp-source -> what listens at port -> smtp-sink."""
    before, cpu_before, began = sink.count(), used(), time.monotonic()
    taken = source(port[1], messages, "x@sink.test", "-s", connections, "-l", 1024, host=port[0])
    while sink.count() < before + messages:
        time.sleep(0.005)
    sent = time.monotonic() - began
    time.sleep(0.2)
    print(f"{what}, {connections:2} connections: taken {messages / taken:.0f}/s, sent {messages / sent:.0f}/s, "
          f"{(used() - cpu_before) / messages * 1000:.3f} ms CPU each")


def peers():
    """Relaying beside Postfix's own, with its load generators on both sides; both write under the same file system."""
    port, other = free_ports(2)
    with Dns({"sink.test": {"MX": "10 mx.sink.test"}, "mx.sink.test": {"A": "127.0.0.61"}}) as dns, \
            Sink("127.0.0.61", port, "-m", "1000") as sink:
        for connections, messages in ((1, 1000), (20, 5000)):
            with Daemons(LIMITS + f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {port}\n",
                         listeners=("smtp",), sends=True) as d:
                one_relay("relay: libmail", ("127.0.0.1", d.port["smtp"]), sink, lambda: cpu(d, "smtpd"), connections, messages)
            with Postfix("127.0.0.62", other, {"relayhost": f"[127.0.0.61]:{port}", "smtp_tls_security_level": "none"},
                         parent=BUILD / "tests") as p:
                one_relay("relay: Postfix", ("127.0.0.62", other), sink, lambda: group_cpu(p.process.pid), connections, messages)


def fill(d, count):
    """Messages of several shapes and sizes, by SMTP."""
    def some(first):
        with Smtp(d.port["smtp"]) as c:
            for n in range(first, count, 8):
                text = (f"From: Alice <alice{n % 50}@example.test>\r\nTo: Bob <bob@example.test>, c@example.test\r\n"
                        f"Subject: message {n}\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
                        f"Message-ID: <{n}@bench.test>\r\nMIME-Version: 1.0\r\n")
                if n % 3 == 0:
                    text += ('Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
                             + "Hello there.\r\n" * 50 + "--b\r\nContent-Type: image/png; name=a.png\r\n"
                             "Content-Transfer-Encoding: base64\r\n\r\n" + ("QUJD" * 18 + "\r\n") * (n % 2000)
                             + "--b--\r\n")
                else:
                    text += "Content-Type: text/plain; charset=utf-8\r\n\r\n" + "Hello there, how are you?\r\n" * (n % 300 + 1)
                assert c.send("a@example.test", "alice@example.test", text)[0] == 250
    threads = [threading.Thread(target=some, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def drain(sock, end):
    """Read until the stream ends with a line that begins with `end`; octets read."""
    total, tail = 0, b"\r\n"
    while True:
        got = sock.recv(1 << 20)
        if not got:
            raise AssertionError("end of stream")
        total += len(got)
        tail = (tail + got[-600:])[-600:]
        if tail.endswith(b"\r\n") and b"\r\n" + end in tail:
            return total


def imap_fetch(d):
    with Imap(d.port["imap"]) as c:
        start = time.monotonic()
        assert c.cmd("SELECT INBOX").ok
        print(f"SELECT of {MESSAGES}, first: {(time.monotonic() - start) * 1000:.1f} ms")
        for items in ("FLAGS", "UID", "ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE INTERNALDATE",
                      "BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT)]", "BODY.PEEK[HEADER]", "BODY.PEEK[]"):
            best, octets, used = 1e9, 0, 0
            for _ in range(3):
                with Measured(d, "imapd") as m:
                    tag = c.start(f"FETCH 1:* ({items})")
                    octets = drain(c.socket, tag.encode() + b" OK")
                if m.wall < best:
                    best, used = m.wall, m.cpu
            print(f"FETCH 1:* ({items}): {best * 1000:.0f} ms, {octets / best / 1e6:.0f} MB/s, {used * 1000:.0f} ms CPU")
        for text in ("SEARCH UNSEEN", "SEARCH FROM alice7", "SEARCH TEXT there", "STORE 1:* +FLAGS.SILENT (\\Seen)",
                     "UID COPY 1:1000 Copy", "STORE 1:* -FLAGS.SILENT (\\Seen)"):
            if "Copy" in text:
                c.cmd("CREATE Copy")
            start = time.monotonic()
            drain_tag = c.start(text)
            drain(c.socket, drain_tag.encode() + b" ")
            print(f"{text}: {(time.monotonic() - start) * 1000:.1f} ms")


def imap():
    with Daemons(LIMITS, listeners=("smtp", "imap"), cleartext=True) as d:
        fill(d, MESSAGES)
        imap_fetch(d)


def pop3():
    with Daemons(LIMITS, listeners=("smtp", "pop3"), cleartext=True) as d:
        fill(d, MESSAGES)
        with Wire(d.port["pop3"], timeout=60) as w:
            w.line()
            w.write(b"USER alice\r\n")
            w.line()
            w.write(b"PASS secret\r\n")
            start = time.monotonic()
            w.line()
            print(f"POP3 login with {MESSAGES} messages: {(time.monotonic() - start) * 1000:.0f} ms")
            with Measured(d, "pop3d") as m:
                for n in range(1, MESSAGES + 1):
                    w.write(b"RETR %d\r\n" % n)
                    octets = w.socket.recv(1 << 20)
                    while not octets.endswith(b"\r\n.\r\n"):
                        octets = octets[-8:] + w.socket.recv(1 << 20)
            print(f"POP3 RETR one at a time: {MESSAGES / m.wall:.0f}/s, {m.cpu / MESSAGES * 1000:.3f} ms CPU each")
            with Measured(d, "pop3d") as m:
                threading.Thread(target=lambda: w.write(b"".join(b"RETR %d\r\n" % n for n in range(1, MESSAGES + 1))
                                                        + b"NOPE\r\n")).start()
                drain(w.socket, b"-ERR")
            print(f"POP3 RETR pipelined: {MESSAGES / m.wall:.0f}/s, {m.cpu / MESSAGES * 1000:.3f} ms CPU each")


def open_idle(d, port, user, tls):
    w = Wire(d.port[port], timeout=120)
    if tls:
        w.socket = tls.wrap_socket(w.socket)
    w.line()
    w.write(f"a LOGIN {user} secret\r\n".encode())
    while not (line := w.line()).startswith(b"a "):
        pass
    assert line.startswith(b"a OK"), line
    w.write(b"b SELECT INBOX\r\n")
    while not w.line().startswith(b"b OK"):
        pass
    w.write(b"c IDLE\r\n")
    while not w.line().startswith(b"+"):
        pass
    return w


def idle():
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    users = ["alice", *(f"u{n}" for n in range(1000))]
    with Daemons(LIMITS, listeners=("smtp", "imap", "imaps"), users=("alice",), cleartext=True) as d:
        quick = subprocess.run(["openssl", "passwd", "-1", "secret"], capture_output=True, text=True, check=True).stdout.strip()
        with open(d.home / "accounts", "a") as f:
            for u in users[1:]:
                f.write(f"{u}:{quick}\n")
        time.sleep(1)
        for what, port, names in (("one account", "imap", ["alice"]), ("one account each", "imap", users[1:]),
                                  ("one account, TLS", "imaps", ["alice"]), ("one account each, TLS", "imaps", users[1:])):
            d.stop("imapd")
            d.start("imapd")
            context = tls if port == "imaps" else None
            held = [open_idle(d, port, names[n % len(names)], context) for n in range(20)]
            time.sleep(1)
            before = d.memory("imapd")
            held += [open_idle(d, port, names[n % len(names)], context) for n in range(20, 1000)]
            time.sleep(2)
            print(f"idle IMAP sessions, {what}: {(d.memory('imapd') - before) / 980:.2f} KiB each at 1000")
            for w in held:
                w.close()
            time.sleep(0.5)


def login():
    with Daemons(LIMITS, listeners=("imap", "smtp"), users=("alice",), cleartext=True) as d:
        with open(d.home / "accounts", "a") as f:
            f.write("plain:{PLAIN}secret\n")
        time.sleep(1)
        count = 2000

        def some():
            for _ in range(count // 10):
                with Imap(d.port["imap"], "plain") as c:
                    assert c.cmd("SELECT INBOX").ok
                    c.write(b"z LOGOUT\r\n")
                    while not c.line().startswith(b"z "):
                        pass
        some()
        with Measured(d, "imapd") as m:
            threads = [threading.Thread(target=some) for _ in range(10)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        print(f"LOGIN, SELECT, LOGOUT with {{PLAIN}}: {count / m.wall:.0f}/s (a client in Python), "
              f"{m.cpu / count * 1000:.3f} ms CPU each")


for name in sys.argv[1:] or ("smtp", "relay", "peers", "imap", "pop3", "idle", "login"):
    globals()[name]()
