"""The life of a daemon: options, start, reload, stop, log lines."""
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

from lib_daemons import BUILD, PROGRAMS, Daemons, letter, listens, run, scenarios, wait_for

NAMES = "smtpd", "imapd", "pop3d"
LISTENERS = "smtp", "lmtp", "imap", "pop3"
LARGE = 600_000  # lines that take a while to read


def options(_):
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        good, faulty = pathlib.Path(folder, "good.conf"), pathlib.Path(folder, "faulty.conf")
        good.write_text("domains = example.test\n")
        faulty.write_text("domains = example.test\nsmtp.max_mesage_size = 1M\n")
        for name in NAMES:
            program = PROGRAMS / name
            assert f"usage: {name} " in run(program, "--help").stdout and name in run(program, "--version").stdout
            run(program, "-t", "-c", good)
            done = run(program, "-t", "-c", faulty, check=False)
            assert done.returncode == 1 and f"{faulty}:2: error:" in done.stderr and "max_message_size" in done.stderr, done
            for words, code in (["-c", faulty], 78), (["-c", "/no/such/file"], 78), (["--nonsense"], 64), (["word"], 64), \
                    (["-t", "-c", "/no/such/file"], 1):
                done = run(program, *words, check=False)
                assert done.returncode == code and done.stderr, (words, done)


def reload(d):
    """New rules for who comes now; who is there keeps pid, session and rules."""
    for key, name in ("smtp.pid_file", "smtpd"), ("imap.pid_file", "imapd"), ("pop3.pid_file", "pop3d"):
        assert int((d.home / f"{name}.pid").read_text()) == d.pid(name), key
    with d.wire("smtp") as w, d.wire("imap") as i, d.wire("pop3") as p:
        w.line(), i.line(), p.line()
        for protocol in "smtp", "imap", "pop3":
            d.set(f"{protocol}.greeting", "a new greeting")
        for name in NAMES:
            d.hang_up(name)
        for listener in "smtp", "imap", "pop3":
            with d.wire(listener) as new:
                assert "a new greeting" in new.line(), listener
        assert w.ask("NOOP")[0].startswith("250") and i.ask("a NOOP", "a OK") and p.ask("CAPA", ".")
        with d.conf.open("a") as conf:
            conf.write("smtp.nonsense = 1\n")
        at = len(d.conf.read_text().splitlines())
        for name in NAMES:
            d.hang_up(name, "reload_failed")
            assert f"file={d.conf} line={at} " in d.log(name), d.log(name)
        for listener in "smtp", "imap", "pop3":
            with d.wire(listener) as new:
                assert "a new greeting" in new.line(), listener
        d.conf.write_text(d.conf.read_text().replace("smtp.nonsense = 1\n", ""))
        assert w.ask("NOOP")[0].startswith("250")


def reload_while_serving(d):
    """A large file is read beside the sessions; what asks meanwhile is read once more, not once for each."""
    before = d.conf.read_text()

    def reloads():
        return d.log("imapd").count("event=reloaded")

    done, answered = reloads(), 0
    d.conf.write_text("loops = 1\n" + before)
    d.stop("imapd")
    d.start("imapd")
    with d.wire("imap") as w:
        w.line()
        large = d.home / "large.conf"
        large.write_text("# a line of no meaning\n" * LARGE)
        d.conf.write_text(f"loops = 1\ninclude {large}\n" + before)
        for _ in range(4):
            d.running["imapd"].send_signal(signal.SIGHUP)
            time.sleep(0.01)
        while reloads() == done:
            assert w.ask(f"a{answered} NOOP", f"a{answered} OK")
            answered += 1
            assert "event=reload_failed" not in d.log("imapd").rsplit("event=start", 1)[1], d.log("imapd")[-500:]
        assert answered > 10, answered
        wait_for(lambda: reloads() == done + 2, what="the second reading")
        time.sleep(0.5)
        assert reloads() == done + 2
    d.conf.write_text(before)
    d.stop("imapd")
    d.start("imapd")


def log_lines(d):
    """The events that smtpd(8) names, each on one line, each field NAME=VALUE; what a client says cannot make a line."""
    with d.wire("smtp") as w:
        w.line()
        w.ask("EHLO evil\r\ntime=now level=error event=forged")
        w.reply()
        w.ask("EHLO client.example.net")
        w.ask("MAIL FROM:<\"a event=forged\"@b.example>")
        w.ask("RCPT TO:<nobody@example.test>")
        w.ask("RCPT TO:<bob@example.test>")
        w.ask("DATA")
        w.send(letter() + ".\r\n")
        queued = w.line()
        w.ask("QUIT")
    identity = queued.split()[-1]
    log = wait_for(lambda: "event=disconnect" in d.log("smtpd").split(identity)[-1] and d.log("smtpd"), what="disconnect")
    for event in (f"event=accepted proto=smtp conn=", f"queue={identity} ", "event=delivered ", "event=refused ", "stage=rcpt",
                  'to=nobody@example.test code=550 reason="<nobody@example.test>... User unknown"', "event=start daemon=smtpd"):
        assert event in log, event
    for line in log.splitlines():
        assert line.startswith("time=") and " event=forged" not in line.replace('"', "").split(" from=")[0], line
    mail = next((d.data / "mail" / "bob" / "new").iterdir()).read_text()
    assert f" id {identity}" in mail, mail


def stop_at_once(d):
    """SIGTERM in the first moment that a port answers: an end as any other."""
    for _ in range(15):
        d.stop("pop3d")
        with open(d.home / "pop3d.log", "ab") as log:
            d.running["pop3d"] = subprocess.Popen([PROGRAMS / "pop3d", "-c", d.conf], stderr=log)
        while not listens(d.port["pop3"]):
            assert d.alive("pop3d")


def stop(d):
    """SIGTERM: who idles hears the protocol's farewell; everything ends well before the time-out."""
    wires = {listener: d.wire(listener) for listener in LISTENERS}
    for w in wires.values():
        w.line()
    idle = d.wire("imap", )
    idle.line()
    idle.ask("a STARTTLS", "a OK")
    idle.secure(d.tls())
    idle.ask("b LOGIN bob secret", "b OK")
    idle.ask("c SELECT INBOX", "c OK")
    idle.ask("d IDLE", "+ ")
    half = d.wire("smtp")
    half.line()
    half.send("EHLO half.exam")
    start = time.monotonic()
    for name in NAMES:
        d.running[name].send_signal(signal.SIGTERM)
    farewells = {"smtp": "421 ", "lmtp": "421 ", "imap": "* BYE", "pop3": "-ERR"}
    for listener, w in wires.items():
        text = w.rest_of_stream()
        assert text.startswith(farewells[listener]) or (listener == "pop3" and not text), (listener, text)
    assert "* BYE" in idle.rest_of_stream()
    half.rest_of_stream()
    for name in NAMES:
        assert d.running[name].wait(10) == 0, name
    assert time.monotonic() - start < 5
    for name in NAMES:
        assert "event=stop" in d.log(name) and not (d.home / f"{name}.pid").exists()
    d.start()


def stop_while_working(d):
    """A message whose last octets come during the stop is answered 250 or not at all, and 250 means it is there."""
    with d.wire("smtp") as w:
        w.hello()
        w.ask("MAIL FROM:<a@b.example>")
        w.ask("RCPT TO:<alice@example.test>")
        w.ask("DATA")
        w.send(letter(7))
        d.running["smtpd"].send_signal(signal.SIGTERM)
        time.sleep(0.3)
        try:
            w.send(".\r\n")
        except OSError:
            pass
        text = w.rest_of_stream()
    assert d.running["smtpd"].wait(10) == 0
    new = d.data / "mail" / "alice" / "new"
    there = new.exists() and len(list(new.iterdir())) or 0
    assert there == (1 if text.startswith("250") else 0) or there == 1, text
    d.start("smtpd")


def port_in_use(d):
    for name in NAMES:
        done = run(PROGRAMS / name, "-c", d.conf, check=False)
        assert done.returncode == 71 and "in use" in done.stderr and "127.0.0.1:" in done.stderr, done
    assert all(d.alive(name) for name in NAMES)


def background(d):
    """-b returns when the listeners are open; the pid file names who serves."""
    d.stop("pop3d")
    log = (d.home / "background.log").open("w")
    assert subprocess.run([PROGRAMS / "pop3d", "-b", "-c", d.conf], stderr=log, timeout=20).returncode == 0
    with d.wire("pop3") as w:
        assert w.line().startswith("+OK")
    pid = int((d.home / "pop3d.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not (d.home / "pop3d.pid").exists(), what="the end of pop3d")
    d.start("pop3d")


class WithPids(Daemons):
    def __init__(self):
        super().__init__("smtp.pid_file = {0}/smtpd.pid\n", LISTENERS)
        text = self.conf.read_text().replace("smtp.pid_file = {0}/smtpd.pid\n", "")
        pids = "".join(f"{name[:-1]}.pid_file = {self.home}/{name}.pid\n" for name in NAMES)
        self.conf.write_text(pids + text)


with WithPids() as daemons:
    scenarios(options, log_lines, port_in_use, reload, reload_while_serving, stop, stop_at_once, stop_while_working, background, arguments=[daemons])
