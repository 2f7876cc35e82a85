"""What the daemons count: logins, deliveries and refusals against the page, its form, its HTTP, mailctl stats, and the docs."""
import json
import os
import re
import socket
import subprocess

from lib_daemons import PASSWORD, SOURCE, Daemons, free_ports, letter, scenarios, wait_for

FLOAT = r"[0-9]+(?:\.[0-9]+)?"
NAME = r"[a-z][a-z0-9_]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:{NAME}="[^"\\\n]*"(?:,(?!\}}))?)+)\}})? ({FLOAT})')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_count", "_sum")}


def parse(text):
    """OpenMetrics 1.0, strictly, of what we use: {sample: {labels: value}} and {family: (type, help)}."""
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1, text[-200:]
    samples, families, family, seen = {}, {}, None, set()
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        if line.startswith("# TYPE "):
            family, kind = re.fullmatch(rf"# TYPE ({NAME}) (\w+)", line).groups()
            assert family not in families and kind in SUFFIXES, line
            families[family] = [kind, None]
        elif line.startswith("# UNIT "):
            name, unit = re.fullmatch(rf"# UNIT ({NAME}) (\w+)", line).groups()
            assert name == family and name.endswith("_" + unit), line
        elif line.startswith("# HELP "):
            name, text = re.fullmatch(rf"# HELP ({NAME}) (.+\.)", line).groups()
            assert name == family and families[family][1] is None and "\\" not in text and '"' not in text, line
            families[family][1] = text
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no sample: {line!r}"
            name, labels, value = match.groups()
            kind = families[family][0]
            assert name in [family + suffix for suffix in SUFFIXES[kind]], f"{line} under {family}"
            pairs = re.findall(rf'({NAME})="([^"]*)"', labels or "")
            assert len(dict(pairs)) == len(pairs), line
            assert (name, labels) not in seen, f"twice: {line}"
            seen.add((name, labels))
            samples.setdefault(name, {})[tuple(sorted(pairs))] = float(value)
    for family, (kind, text) in families.items():
        assert text, f"{family} has no help"
        if kind == "histogram":
            histogram(family, samples)
    return samples, families


def histogram(family, samples):
    """Buckets ascend, the last is the count, and there is a sum for each."""
    series = {}
    for labels, value in samples.get(family + "_bucket", {}).items():
        bound = dict(labels)["le"]
        rest = tuple(pair for pair in labels if pair[0] != "le")
        series.setdefault(rest, []).append((float(bound), value))
    for rest, buckets in series.items():
        assert buckets == sorted(buckets) and [n for _, n in buckets] == sorted(n for _, n in buckets), (family, rest)
        assert buckets[-1][0] == float("inf") and buckets[-1][1] == samples[family + "_count"][rest], (family, rest)
        assert rest in samples[family + "_sum"], (family, rest)
    assert set(series) == set(samples.get(family + "_count", {}))


def say(where, request):
    """An HTTP exchange: (code, head, body)."""
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as s:
        s.settimeout(10)
        s.connect(where)
        s.sendall(request if isinstance(request, bytes) else request.encode())
        octets = b""
        while got := s.recv(65536):
            octets += got
    head, _, body = octets.decode().partition("\r\n\r\n")
    assert not octets or head.startswith("HTTP/1.1 "), head
    return (int(head.split()[1]) if octets else 0), head, body


GET = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


def door(d, name):
    return f"{d.home}/run/{name}.metrics"


def page(d, name):
    wait_for(lambda: os.path.exists(door(d, name)), what="the page, which a daemon opens behind its listeners")
    code, head, body = say(door(d, name), GET)
    assert code == 200 and "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n" in head, head
    assert f"\r\nContent-Length: {len(body)}\r\n" in head, head
    return parse(body)[0]


def value(samples, name, **labels):
    """The sum over all samples with these labels."""
    wanted = set(labels.items())
    return sum(v for have, v in samples.get(name, {}).items() if wanted <= set(have))


def settled(d, name):
    """The page when the helper's own looks at the ports are over: one connection each."""
    ports = [listener for listener in d.port if d.daemon_of(listener) == name]
    wait_for(lambda: os.path.exists(door(d, name)), what=f"{name}'s page") # it comes after the ports

    def look():
        samples = page(d, name)
        over = value(samples, "libmail_connections_open") == 0
        return samples if over and value(samples, "libmail_connections_total") >= len(ports) else None
    return wait_for(look, what=f"{name} without connections")


def send(w, to, body="Hello.\r\n"):
    assert w.ask("MAIL FROM:<a@example.net>")[0].startswith("250")
    codes = [w.ask(f"RCPT TO:<{one}>")[0][:3] for one in to]
    if "250" in codes:
        w.ask("DATA")
        w.send(letter(body=body) + ".\r\n")
        codes.append(w.reply()[0][:3])
    w.ask("RSET")
    return codes


def smtp(d):
    before = settled(d, "smtpd")
    with d.wire("smtp") as w:
        w.hello()
        assert send(w, ["bob@example.test", "alice@example.test"]) == ["250", "250", "250"]
        assert send(w, ["nobody@example.test"]) == ["550"]
        assert send(w, ["bob@elsewhere.example"]) == ["250", "250"]  # this machine relays
        assert w.ask("NOSUCH")[0].startswith("5")
        middle = page(d, "smtpd")
        assert value(middle, "libmail_connections_open", protocol="smtp") - \
            value(before, "libmail_connections_open", protocol="smtp") == 1
        w.ask("QUIT")
        w.rest_of_stream()
    closed = "libmail_connections_closed_total"
    wait_for(lambda: value(page(d, "smtpd"), closed, protocol="smtp") > value(before, closed, protocol="smtp"), what="the close")
    after = page(d, "smtpd")

    def grown(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)
    assert grown("libmail_connections_total", protocol="smtp") == 1
    assert grown("libmail_connections_open") == 0
    assert grown(closed, protocol="smtp", reason="session") == 1
    replies = {"220": 1, "221": 1, "354": 2, "500": 1, "550": 1}
    for code, n in replies.items():
        assert grown("libmail_smtp_replies_total", code=code) == n, code
    # EHLO, MAIL three times, RCPT three times, two messages, RSET three times
    assert grown("libmail_smtp_replies_total", code="250") == 12
    assert grown("libmail_smtp_replies_total") == 18, after["libmail_smtp_replies_total"]
    assert grown("libmail_smtp_messages_total", protocol="smtp", verdict="delivered") == 1
    assert grown("libmail_smtp_messages_total", protocol="smtp", verdict="queued") == 1
    assert grown("libmail_smtp_messages_total") == 2
    assert grown("libmail_smtp_recipients_total", outcome="delivered") == 2
    assert grown("libmail_smtp_recipients_total", outcome="queued") == 1
    assert grown("libmail_smtp_recipients_total", outcome="refused") == 1
    assert grown("libmail_store_commits_total", protocol="smtp", result="ok") == 2
    assert grown("libmail_delivery_duration_seconds_count", protocol="smtp") == 2
    assert grown("libmail_smtp_message_size_bytes_count", protocol="smtp") == 2
    assert grown("libmail_smtp_message_size_bytes_sum") == 2 * len(letter())
    # every command but the message has an answer
    assert grown("libmail_command_duration_seconds_count", protocol="smtp") == 15
    assert grown("libmail_received_bytes_total", protocol="smtp") > len(letter())
    assert grown("libmail_sent_bytes_total", protocol="smtp") > 500


def logins(d):
    before = {name: settled(d, name) for name in ("imapd", "pop3d")}
    with d.wire("imaps", tls=True) as w:
        w.line()
        w.ask("a LOGIN alice wrong", "a ")
        w.ask(f"b LOGIN alice {PASSWORD}", "b OK")
        w.ask("c SELECT INBOX", "c OK")
        w.ask("d UID FETCH 1 FLAGS", "d OK")
        w.ask("e FETCH 1 BODY[]", "e OK")
        w.ask("f XPEER FETCH", "f BAD")
        w.ask("i APPEND INBOX {9+}\r\nA: b\r\n\r\nc", "i OK")
        w.ask("g IDLE", "+")
        w.ask("DONE", "g OK")
        w.ask("h LOGOUT", "h OK")
        w.rest_of_stream()
    with d.wire("pop3") as w:
        w.line()
        w.ask("USER bob", "+OK")
        w.ask("PASS wrong", "-ERR")
        w.ask("USER bob", "+OK")
        w.ask(f"PASS {PASSWORD}", "+OK")
        w.ask("RETR 1", "+OK")
        w.until(".")
        w.ask("DELE 1", "+OK")
        w.ask("QUIT", "+OK")
        w.rest_of_stream()
    for name in before:
        wait_for(lambda n=name: value(page(d, n), "libmail_connections_open") == value(before[n], "libmail_connections_open"),
                 what="the close")
    after = {name: page(d, name) for name in before}

    def grown(daemon, name, **labels):
        return value(after[daemon], name, **labels) - value(before[daemon], name, **labels)
    for daemon, protocol in ("imapd", "imap"), ("pop3d", "pop3"):
        assert grown(daemon, "libmail_logins_total", protocol=protocol, mechanism="password", result="ok") == 1
        assert grown(daemon, "libmail_logins_total", protocol=protocol, mechanism="password", result="credentials") == 1
        assert grown(daemon, "libmail_logins_total") == 2
        assert grown(daemon, "libmail_login_duration_seconds_count", protocol=protocol) == 2
        assert grown(daemon, "libmail_password_check_duration_seconds_count") == 2
        assert grown(daemon, "libmail_store_job_duration_seconds_count") > 0
        assert value(after[daemon], "libmail_pool_jobs") >= 0
    for command, n in {"LOGIN": 2, "SELECT": 1, "FETCH": 2, "IDLE": 1, "LOGOUT": 1, "APPEND": 1, "other": 1}.items():
        assert grown("imapd", "libmail_imap_commands_total", command=command) == n, command
    assert grown("imapd", "libmail_imap_commands_total") == 9
    for result, n in {"OK": 7, "NO": 1, "BAD": 1}.items():
        assert grown("imapd", "libmail_imap_replies_total", result=result) == n, result
    assert grown("imapd", "libmail_command_duration_seconds_count") == 8, "all but IDLE"
    # FETCH of BODY[] sets \\Seen
    assert grown("imapd", "libmail_store_commits_total", protocol="imap", result="ok") == 2
    assert grown("imapd", "libmail_tls_handshakes_total", result="full") == 1
    assert grown("imapd", "libmail_tls_connections_total", version="TLSv1.3") == 1
    assert grown("pop3d", "libmail_pop3_replies_total", result="ERR") == 1
    assert grown("pop3d", "libmail_pop3_messages_retrieved_total") == 1
    assert grown("pop3d", "libmail_pop3_messages_deleted_total") == 1
    assert grown("pop3d", "libmail_store_commits_total", protocol="pop3", result="ok") == 1


def submission(d):
    before = settled(d, "smtpd")
    with d.wire("submission") as w:
        w.hello()
        w.ask("STARTTLS")
        w.secure(d.tls())
        w.ask("EHLO client.example.net")
        assert w.ask("AUTH PLAIN AGFsaWNlAHNlY3JldA==")[0].startswith("235")
    after = page(d, "smtpd")

    def grown(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)
    assert grown("libmail_logins_total", protocol="submission", mechanism="PLAIN", result="ok") == 1
    assert grown("libmail_tls_handshakes_total") == 1


def process_and_reload(d):
    import signal
    import time
    p = page(d, "smtpd")
    status = open(f"/proc/{d.pid('smtpd')}/status").read()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024
    assert 0.5 < value(p, "process_resident_memory_bytes") / resident < 2
    files = len(os.listdir(f"/proc/{d.pid('smtpd')}/fd"))
    assert abs(value(p, "process_open_fds") - files) <= 3, (value(p, "process_open_fds"), files)
    assert value(p, "process_max_fds") >= value(p, "process_open_fds")
    assert 0 <= time.time() - value(p, "process_start_time_seconds") < 600
    assert value(p, "process_cpu_seconds_total") > 0
    assert list(p["libmail_build_info"].values()) == [1]
    assert value(p, "libmail_queue_messages", state="waiting") == value(p, "libmail_queue_messages") == 1
    assert value(p, "libmail_queue_recipients") == 1 and value(p, "libmail_queue_size_bytes") > len(letter())
    d.hang_up("smtpd")
    assert value(page(d, "smtpd"), "libmail_reloads_total", result="ok") == 1
    d.set("smtp.max_hops", "many")
    d.hang_up("smtpd", "reload_failed")
    assert value(page(d, "smtpd"), "libmail_reloads_total", result="failed") == 1
    d.set("smtp.max_hops", None)


def http(d):
    unix, ip = door(d, "smtpd"), ("127.0.0.1", d.metrics_port)
    assert os.stat(unix).st_mode & 0o777 == 0o660
    for where in unix, ip:
        assert say(where, GET)[0] == 200
        code, head, body = say(where, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert code == 200 and body == "" and int(re.search(r"Content-Length: (\d+)", head).group(1)) > 1000
        assert say(where, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 404
        code, head, _ = say(where, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + "x" * 20000)
        assert code == 405 and "\r\nAllow: GET, HEAD\r\n" in head
        assert say(where, "EHLO client.example.net\r\n")[0] == 400
        assert say(where, "GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + "y" * 9000 + "\r\n\r\n")[0] == 431
    # octet by octet; the client's half closed; nothing at all, for longer than is waited
    with socket.create_connection(ip, 10) as s:
        for octet in GET.encode():
            s.sendall(bytes([octet]))
        s.shutdown(socket.SHUT_WR)
        octets = b""
        while got := s.recv(65536):
            octets += got
        assert octets.endswith(b"# EOF\n")
    with socket.create_connection(ip, 10) as s:
        s.sendall(b"GET /metrics")
        assert s.recv(1) == b""
    # more at once than may be under way: the others wait for their turn
    many = [socket.create_connection(ip, 20) for _ in range(50)]
    for s in many:
        s.sendall(GET.encode())
    for s in many:
        octets = b""
        while got := s.recv(65536):
            octets += got
        assert octets.startswith(b"HTTP/1.1 200 ") and octets.endswith(b"# EOF\n")
        s.close()
    # one that leaves before the answer
    for _ in range(20):
        with socket.create_connection(ip, 10) as s:
            s.sendall(GET.encode())
    assert say(ip, GET)[0] == 200


def stats(d):
    shown = d.mailctl("stats").stdout
    for text in ("smtpd: up ", "imapd: up ", "pop3d: up ", "  messages ", "delivered", "  logins took", "250 "):
        assert text in shown, (text, shown)
    one = json.loads(d.mailctl("stats", "smtpd", "--json").stdout)
    assert list(one) == ["smtpd"]
    have, want = one["smtpd"], page(d, "smtpd")
    assert set(have) == set(want)
    delivered = [s for s in have["libmail_smtp_messages_total"] if s["labels"]["verdict"] == "delivered"]
    assert delivered[0]["value"] == value(want, "libmail_smtp_messages_total", verdict="delivered")
    every = json.loads(d.mailctl("stats", "--json").stdout)
    assert list(every) == ["smtpd", "imapd", "pop3d"]
    assert d.mailctl("stats", "sendmail", check=False).returncode == 64
    d.stop("pop3d")
    assert not os.path.exists(door(d, "pop3d"))
    missing = d.mailctl("stats", "pop3d", check=False)
    assert missing.returncode == 1 and "does not run" in missing.stderr, missing
    assert d.mailctl("stats").returncode == 0
    assert json.loads(d.mailctl("stats", "--json").stdout)["pop3d"] is None
    d.start("pop3d")


def stale_socket(d):
    """A daemon that was killed leaves its socket; the next one takes its place."""
    d.kill("pop3d")
    assert os.path.exists(door(d, "pop3d"))
    d.start("pop3d")

    def answers():
        try:
            return value(page(d, "pop3d"), "libmail_build_info") == 1
        except OSError:
            return False
    wait_for(answers, what="the socket")


def documented(d):
    """docs/metrics.md has a row for each family, as the page tells of it, and no other."""
    _, families = parse(say(door(d, "smtpd"), GET)[2])
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| (.+) \|$", (SOURCE / "docs/metrics.md").read_text(), re.M)
    documents = {name: (kind, text) for name, kind, _, text in rows}
    assert len(documents) == len(rows)
    page_says = {name: (kind, text) for name, (kind, text) in families.items()}
    assert documents == page_says, set(documents.items()) ^ set(page_says.items())
    labels = {name: set(re.findall(r"`(\w+)`", text)) for name, _, text, _ in rows}
    for daemon in "smtpd", "imapd", "pop3d":
        for sample, series in page(d, daemon).items():
            family = next(f for f in families if sample in [f + s for s in SUFFIXES[families[f][0]]])
            for pairs in series:
                assert {name for name, _ in pairs} - {"le"} == labels[family], (sample, pairs)


def refused(d):
    """Where others could read it, a door is refused at load; unless that is wanted."""
    def test(key, where):
        d.set(key, where)
        done = subprocess.run([d.programs / "smtpd", "-t", "-q", "-c", d.conf], capture_output=True, text=True)
        d.set(key, None)
        return done.returncode, done.stderr
    for where in "0.0.0.0:9025", "192.0.2.1:9025", "[::]:9025", "*:9025", "127.example.net:9025", "localhost:9025":
        code, text = test("imap.metrics_listen", where)
        assert code == 1 and "metrics.allow_remote = yes" in text and "imap.metrics_listen" in text, (where, text)
    for where in "9025", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "unix:relative", ":9025":
        code, text = test("imap.metrics_listen", where)
        assert code == 1 and "is ADDRESS:PORT" in text, (where, text)
    for where in "127.0.0.1:9025", "127.1.2.3:9025", "[::1]:9025", "unix:/run/x":
        assert test("imap.metrics_listen", where) == (0, ""), where
    d.set("metrics.allow_remote", "yes")
    assert test("imap.metrics_listen", "0.0.0.0:9025")[0] == 0
    d.set("metrics.allow_remote", None)


def turned_away():
    """Who gets no session is counted by the listener's protocol."""
    name = "libmail_connections_refused_total"
    with Daemons("max_connections_per_address = 1\n", listeners=("smtp", "submission")) as d:
        wait_for(lambda: value(page(d, "smtpd"), "libmail_connections_open") == 0, what="an end of the first connections")
        before = page(d, "smtpd")
        with d.wire("smtp") as first:
            assert first.line().startswith("220 ")
            for protocol, times in ("submission", 2), ("smtp", 1):
                for _ in range(times):
                    with d.wire(protocol) as second:
                        assert second.line().startswith("421 ") and second.line() is None
        after = page(d, "smtpd")
        for protocol, times in ("submission", 2), ("smtp", 1):
            grown = [value(p, name, protocol=protocol, reason="address") for p in (before, after)]
            assert grown[1] - grown[0] == times, (protocol, after.get(name))


def off():
    """metrics.sockets = no: there is none. A door that is taken ends the start."""
    with Daemons("metrics.sockets = no\n", listeners=("imap",)) as d:
        assert not os.path.exists(door(d, "imapd"))
        assert d.mailctl("stats", check=False).returncode == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        d = Daemons(f"imap.metrics_listen = 127.0.0.1:{port}\n", listeners=("imap",))
        done = subprocess.run([d.programs / "imapd", "-c", d.conf], capture_output=True, text=True, timeout=30)
        assert done.returncode == 71 and "cannot show metrics on" in done.stderr, done
        d.__exit__(None, None, None)


Daemons.programs = property(lambda self: __import__("lib_daemons").PROGRAMS)
port = free_ports(1)[0]
with Daemons(f"smtp.metrics_listen = 127.0.0.1:{port}\n", cleartext=True) as daemons:
    daemons.metrics_port = port
    scenarios(smtp, logins, submission, process_and_reload, http, stats, stale_socket, documented, refused, arguments=(daemons,))
scenarios(turned_away, off)
