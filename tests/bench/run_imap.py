#!/usr/bin/env python3
"""Figures of imapd and pop3d beside their budgets: a program, not a test.

    BUILD_DIR=build/release tests/bench/run_imap.py [logins] [fetch] [search] [change] [pop3] [idle]

A mailbox of 10,000 messages, 352 MB, lies in the account as another program would have left it. Of
every figure the best of several runs counts: wall clock, and CPU time of the daemon, which is the steadier
one. Idle memory is what the process grew by (anonymous pages), divided by the sessions.
"""
import base64
import os
import pathlib
import random
import socket
import ssl
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "daemons"))
import lib_daemons  # noqa: E402

MESSAGES = 10000
OCTETS = 352_000_000
SESSIONS = 1000
PROGRAMS = lib_daemons.BUILD / "tests"
SETTINGS = "max_connections = 20000\nmax_connections_per_address = 20000\n"
WORDS = [w + x for w in "al be cor dun es fir gol hem is jor kel lum mar nor os pel".split()
         for x in "ta ren do mi sul ven ka ric to lan".split()]


def report(what, budget, measured, unit, note=""):
    """Lower is better in ms and KiB, higher in /s."""
    ratio = measured / budget if unit.endswith("/s") else budget / measured if measured else 0
    print(f"{what:46} budget {budget:9.1f}  measured {measured:9.2f} {unit:4}"
          f"  x{ratio:5.2f}  {note}", flush=True)


def cpu(daemon):
    """Milliseconds of CPU that the process has used."""
    total = 0
    for task in pathlib.Path(f"/proc/{daemon}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e6


# ---- Mailboxes

def message(number, size, words):
    """One message of about `size` octets: plain text, or with an attachment when it is large."""
    r = random.Random(number)
    subject = " ".join(r.choices(WORDS, k=6))
    head = (f"Return-Path: <{r.choice(WORDS)}@example.org>\r\n"
            f"Received: from mx.example.org (mx.example.org [192.0.2.{number % 250}])\r\n"
            f"\tby mail.example.test with ESMTPS id {number:012d};\r\n"
            f"\tMon, {1 + number % 28} Sep 2025 10:{number % 60:02d}:00 +0000\r\n"
            f"From: {r.choice(WORDS).title()} <{r.choice(WORDS)}@example.org>\r\n"
            f"To: Alice <alice@example.test>\r\nSubject: {subject}\r\n"
            f"Date: {1 + number % 28} Sep 2025 10:{number % 60:02d}:00 +0000\r\n"
            f"Message-ID: <{number}.{r.getrandbits(40)}@example.org>\r\n"
            + (f"In-Reply-To: <{number - 1}@example.org>\r\n" if number % 3 else "")
            + "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1;\r\n\tb="
            + base64.b64encode(r.randbytes(180)).decode() + "\r\nMIME-Version: 1.0\r\n")
    at = r.randrange(len(words) - 4000)
    if size < 8000:
        return (f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n").encode() \
            + words[at:at + max(size - 700, 40)] + b"\r\n"
    block = base64.encodebytes(r.randbytes(max((size - 5000) * 3 // 4 - size // 80, 60)))
    return (f"{head}Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n"
            f"--b{number}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n").encode() \
        + words[at:at + 4000] + (
            f"\r\n--b{number}\r\nContent-Type: application/pdf; name=f.pdf\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n").encode() \
        + block.replace(b"\n", b"\r\n") + f"--b{number}--\r\n".encode()


def fill(folder, count, octets):
    for sub in ("cur", "new", "tmp"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    r = random.Random(1)
    sizes = [r.lognormvariate(8.5, 1.6) for _ in range(count)]
    factor = octets / sum(sizes)
    text = " ".join(r.choices(WORDS, k=20000))
    words = "\r\n".join(text[i:i + 70] for i in range(0, len(text), 70)).encode()
    for i in range(count):
        name = folder / "cur" / f"{1756684800 + i}.M{i}.bench:2,{'S' if i % 4 else ''}"
        with open(name, "wb", buffering=0) as f:
            f.write(message(i, int(sizes[i] * factor), words))


def home_of(d, user):
    return d.data / "mail" / user


# ---- Clients

class Imap:
    """load_imap with one connection."""

    def __init__(self, d, user="alice"):
        self.pid = d.pid("imapd")
        self.client = subprocess.Popen(
            [PROGRAMS / "bench_load_imap", str(d.port["imap"]), "commands", user, lib_daemons.PASSWORD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, command):
        """Wall ms, CPU ms, octets."""
        before = cpu(self.pid)
        self.client.stdin.write(command + "\n")
        self.client.stdin.flush()
        line = self.client.stdout.readline().split(" ", 2)
        if len(line) < 3:
            raise AssertionError(f"{command}: no answer")
        return float(line[0]), cpu(self.pid) - before, int(line[1])

    def best(self, command, times=5):
        runs = [self.run(command) for _ in range(times)]
        return min(r[0] for r in runs), min(r[1] for r in runs), runs[0][2]

    def close(self):
        self.client.stdin.close()
        self.client.wait()


def measure(imap, what, budget, command, times=5):
    wall, used, octets = imap.best(command, times)
    report(what, budget, wall, "ms", f"cpu {used:.2f} ms, {octets / 1e6:.2f} MB")


# ---- What is measured

def logins(d):
    for connections in (1, 10):
        before, count = cpu(d.pid("imapd")), 2000
        out = subprocess.run([PROGRAMS / "bench_load_imap", str(d.port["imap"]), "logins",
                              str(connections), str(count), "carol", lib_daemons.PASSWORD],
                             check=True, capture_output=True, text=True).stdout
        used = (cpu(d.pid("imapd")) - before) / count
        report(f"LOGIN SELECT LOGOUT, {connections} at a time", 214 * 20, float(out), "/s",
               f"cpu {used * 1000:.0f} us each")


def fetch(d):
    imap = Imap(d)
    print("first SELECT (scan): %.0f ms" % imap.run("SELECT INBOX")[0])
    print("first FETCH (summaries): %.0f ms" % imap.run("FETCH 1:* ENVELOPE")[0])
    measure(imap, "FETCH FLAGS", 1, "FETCH 1:* FLAGS", 20)
    measure(imap, "FETCH ENVELOPE", 8, "FETCH 1:* ENVELOPE", 10)
    measure(imap, "FETCH BODYSTRUCTURE", 4, "FETCH 1:* BODYSTRUCTURE", 10)
    measure(imap, "FETCH 3 header fields", 4,
            "FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]")
    measure(imap, "FETCH header", 80, "FETCH 1:* BODY.PEEK[HEADER]")
    measure(imap, "FETCH BODY.PEEK[]", 250, "FETCH 1:* BODY.PEEK[]", 3)
    imap.close()


def search(d):
    imap = Imap(d)
    imap.run("SELECT INBOX")
    measure(imap, "SEARCH SINCE", 3, "SEARCH SINCE 15-Sep-2025")
    measure(imap, "SEARCH FROM", 5, "SEARCH FROM dunta")
    measure(imap, "SEARCH BODY", 40, "SEARCH BODY \"dunta goldo\"", 2)
    measure(imap, "SEARCH TEXT", 60, "SEARCH TEXT \"dunta goldo\"", 2)
    imap.close()


def change(d):
    imap = Imap(d)
    imap.run("CREATE Copies")
    imap.run("SELECT INBOX")
    measure(imap, "STORE on all 10,000", 15, "STORE 1:* +FLAGS.SILENT (\\Flagged)", 1)
    imap.run("STORE 1:* -FLAGS.SILENT (\\Flagged)")
    measure(imap, "STORE on all 10,000, with answers", 15, "STORE 1:* +FLAGS (\\Answered)", 1)
    imap.run("NOOP")
    measure(imap, "COPY 1000", 30, "COPY 1:1000 Copies", 3)
    imap.run("STORE 1:1000 +FLAGS.SILENT (\\Deleted)")
    measure(imap, "EXPUNGE 1000", 10, "EXPUNGE", 1)
    imap.close()


def pop3(d):
    for window, budget in ((1, 7692 * 2), (64, 14323 * 3)):
        before = cpu(d.pid("pop3d"))
        rates = []
        for _ in range(3):
            out = subprocess.run([PROGRAMS / "bench_load_pop3", str(d.port["pop3"]), "dave",
                                  lib_daemons.PASSWORD, str(MESSAGES), str(window)],
                                 check=True, capture_output=True, text=True).stdout.split()
            rates.append(float(out[0]))
        used = (cpu(d.pid("pop3d")) - before) / 3 / MESSAGES
        report(f"POP3 RETR, {window} ahead", budget, max(rates), "/s",
               f"cpu {used * 1000:.1f} us each, {int(out[1]) / 1e6:.0f} MB")


# ---- Idle sessions

def session(d, port, tls, user):
    s = socket.create_connection(("127.0.0.1", d.port[port]))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        s = tls.wrap_socket(s, server_hostname="localhost")

    def until(text):
        got = b""
        while text not in got:
            piece = s.recv(65536)
            if not piece:
                raise AssertionError(f"connection lost waiting for {text}: {got[-200:]}")
            got += piece
    until(b"* OK")
    for tag, line in ((b"a OK", f"a LOGIN {user} {lib_daemons.PASSWORD}"), (b"b OK", "b SELECT INBOX"),
                      (b"+ ", "c IDLE")):
        s.sendall(line.encode() + b"\r\n")
        until(tag)
    return s


def idle_run(d, what, port, tls, users, budget):
    d.start("imapd")
    first = [session(d, port, tls, u) for u in users[:20]]
    before = d.memory("imapd")
    rest = [session(d, port, tls, u) for u in users[20:]]
    lib_daemons.time.sleep(1.5)
    grown = (d.memory("imapd") - before) / len(rest)
    report(what, budget, grown, "KiB", f"{len(users)} sessions, {d.memory('imapd')} KiB in all")
    for s in first + rest:
        s.close()
    d.stop("imapd")


def idle(d):
    """imapd runs before and afterwards, anew for each measurement."""
    d.stop("imapd")
    tls = ssl.create_default_context(cafile=d.ca)
    for i in range(SESSIONS):
        fill(home_of(d, f"user{i}"), 20, 40000)
    small = [f"user{i}" for i in range(SESSIONS)]
    one = [f"user{i // 100}" for i in range(SESSIONS)]
    for port, context, budget in (("imap", None, 4), ("imaps", tls, 48)):
        idle_run(d, f"idle, {port}, an account a session", port, context, small, budget)
        idle_run(d, f"idle, {port}, 100 sessions an account", port, context, one, budget)
    make_holes(d)
    idle_run(d, "idle, imap, 10,000 with a third expunged", "imap", None, ["carol"] * SESSIONS, 4)
    d.start("imapd")


def make_holes(d):
    """carol's mailbox: 10,000 small messages, a third of them expunged at random."""
    fill(home_of(d, "carol"), MESSAGES, MESSAGES * 800)
    d.start("imapd")
    imap = Imap(d, "carol")
    imap.run("SELECT INBOX")
    gone = sorted(random.Random(2).sample(range(1, MESSAGES + 1), MESSAGES // 3))
    for i in range(0, len(gone), 200):
        imap.run(f"UID STORE {','.join(map(str, gone[i:i + 200]))} +FLAGS.SILENT (\\Deleted)")
    imap.run("EXPUNGE")
    imap.close()
    d.stop("imapd")


def accounts(d):
    """{PLAIN} passwords, so that no hash is measured."""
    users = ["alice", "bob", "carol", "dave"] + [f"user{i}" for i in range(SESSIONS)]
    (d.home / "accounts").write_text("".join(f"{u}:{{PLAIN}}{lib_daemons.PASSWORD}\n" for u in users))


def main():
    parts = sys.argv[1:] or ["logins", "fetch", "search", "change", "pop3", "idle"]
    d = lib_daemons.Daemons(SETTINGS, listeners=("imap", "imaps", "pop3"), cleartext=True)
    accounts(d)
    if set(parts) & {"fetch", "search", "change"}:
        fill(home_of(d, "alice"), MESSAGES, OCTETS)
    if "pop3" in parts:
        fill(home_of(d, "dave"), MESSAGES, OCTETS)
    if "logins" in parts:
        fill(home_of(d, "carol"), 20, 40000)
    with d:
        for part in parts:
            globals()[part](d)


if __name__ == "__main__":
    main()
