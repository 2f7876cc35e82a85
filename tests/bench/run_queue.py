"""A long queue: start-up, memory, the rate at which it empties. Prints figures, judges nothing.

    BUILD_DIR=build/release python3 tests/bench/run_queue.py [MESSAGES [DESTINATIONS]]       200000 200

Messages of 1 KiB wait for so many domains; every tenth domain is dead: its host refuses connections. The rows and
data files are put there while nobody runs; then smtpd starts and sends to bench_sink_smtp on loopback.
"""
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "daemons"))
from lib_daemons import BUILD, Daemons, free_ports, wait_for  # noqa: E402
from lib_dns import Dns  # noqa: E402

MESSAGES, DESTINATIONS = (int(n) for n in (*sys.argv[1:], *("200000", "200")[len(sys.argv) - 1:]))
PORT = free_ports(1)[0]
LETTER = b"Return-Path: <author@example.net>\r\n", b"Subject: queued\r\n\r\n" + b"x" * 60 + b"\r\n" + b"line of text\r\n" * 66
TICK = os.sysconf("SC_CLK_TCK")


def is_dead(n):
    return n % 10 == 9


def fill(folder):
    now = int(time.time() * 1000)
    first = now * 1000 - MESSAGES
    octets = b"".join(LETTER)
    for n in range(MESSAGES):
        fd = os.open(folder / "data" / f"{first + n:X}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(fd, octets)
        os.close(fd)
    os.sync()
    with sqlite3.connect(folder / "queue.db") as db:
        db.executemany("INSERT INTO message(id,sender,flags,body,ret,submitter,client,local_address,octets,header,arrived,priority,held,"
                       "reason,pending) VALUES(?,'author@example.net',0,0,0,'','192.0.2.1','',?,?,?,0,0,'',0)",
                       ((first + n, len(octets), len(LETTER[0]), now) for n in range(MESSAGES)))
        db.executemany("INSERT INTO recipient(message,number,address,route,destination,notify,state,next,attempts,last,warned,code,"
                       "enhanced,reply,host) VALUES(?,0,?,'',?,0,0,?,0,0,0,0,'','','')",
                       ((first + n, f"u@d{n % DESTINATIONS}.test", f"d{n % DESTINATIONS}.test", now) for n in range(MESSAGES)))
    db.close()


def stat(d):
    fields = open(f"/proc/{d.pid('smtpd')}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def most_memory(d):
    status = open(f"/proc/{d.pid('smtpd')}/status").read()
    return {key: int(status.split(key + ":")[1].split()[0]) / 1024 for key in ("VmHWM", "VmRSS", "RssAnon")}


def disk(folder):
    return sum(f.stat().st_blocks * 512 for f in folder.rglob("*")) / 2**20


records = {}
for n in range(DESTINATIONS):
    records[f"d{n}.test"] = {"MX": f"10 mx{n}.test"}
    records[f"mx{n}.test"] = {"A": f"127.0.{1 + n // 200}.{200 - n % 200}" if is_dead(n) else f"127.0.0.{61 + n % 8}"}
alive = sum(not is_dead(n % DESTINATIONS) for n in range(MESSAGES))
with Dns(records) as dns:
    d = Daemons(f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {PORT}\n", listeners=("smtp",), sends=True)
    with d:
        d.stop("smtpd")
        folder = d.data / "queue"
        began = time.monotonic()
        fill(folder)
        print(f"{MESSAGES} messages to {DESTINATIONS} domains filled in {time.monotonic() - began:.1f} s, {disk(folder):.0f} MiB on disk", flush=True)
        sink = subprocess.Popen([BUILD / "tests/bench_sink_smtp", str(PORT), str(alive), *(f"127.0.0.{61 + n}" for n in range(8))],
                                stdout=subprocess.PIPE, text=True)
        sink.stdout.readline()
        began = time.monotonic()
        d.start("smtpd")
        print(f"start-up: {time.monotonic() - began:.2f} s until it listens", flush=True)
        said = sink.communicate()[0].strip()
        wall = time.monotonic() - began
        print(f"sent {alive} in {wall:.1f} s, {alive / wall:.0f}/s, {stat(d) / alive * 1000:.3f} ms CPU each ({said})")
        print(f"memory: " + ", ".join(f"{key} {value:.0f} MiB" for key, value in most_memory(d).items()))
        left = int(d.mailctl("queue", "list", "--json").stdout.count("\n"))
        print(f"left: {left}, {MESSAGES - alive} to dead hosts; {disk(folder):.0f} MiB on disk; deferred: "
              f"{d.log('smtpd').count('event=deferred')}")
        began = time.monotonic()
        d.stop("smtpd")
        print(f"stop: {time.monotonic() - began:.2f} s")
