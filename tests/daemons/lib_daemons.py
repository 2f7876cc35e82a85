"""The daemons on loopback for one test: their own folder, free ports, two accounts, stopped at the end.

    with Daemons() as d:            smtpd, imapd and pop3d, configured as in `configuration`
        d.port["imaps"], d.ca, d.data, d.log("smtpd") ...

Everything lies in a fresh folder under the build directory, which is removed unless the test fails.
"""
import base64
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", "build/dev")).resolve()
SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR", ".")).resolve()
PROGRAMS = BUILD / "daemons"
PASSWORD = "secret"


def sanitized():
    """A sanitizer keeps freed memory and slows everything: memory is not judged then."""
    octets = (PROGRAMS / "smtpd").read_bytes()
    return b"__asan_init" in octets or b"__tsan_init" in octets

# name: (protocol, tls, daemon)
LISTENERS = {
    "smtp": ("smtp", "starttls", "smtpd"),
    "submission": ("submission", "starttls", "smtpd"),
    "submissions": ("submission", "tls", "smtpd"),
    "lmtp": ("lmtp", "none", "smtpd"),
    "imap": ("imap", "starttls", "imapd"),
    "imaps": ("imap", "tls", "imapd"),
    "pop3": ("pop3", "starttls", "pop3d"),
    "pop3s": ("pop3", "tls", "pop3d"),
}


def free_ports(count):
    """Ports that were free a moment ago, each a different one."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def wait_for(condition, seconds=20, what="a condition"):
    """Ask again and again until it holds; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Daemons:
    """settings: lines of libmail.conf; listeners: which of LISTENERS; folder: where mail lies (a mounted
    file system, say); cleartext: passwords without TLS; plain: accounts whose passwords are not hashed (a check
    of a hash takes 16 MiB and 14 ms, which hides what a test measures); server: a program that takes the
    configuration file as its argument and serves all of it in place of the daemons, by the name "server"; parent:
    where our folder is made; own: lines that stand in place of the usual host name, domains and postmaster; options:
    further lines of a listener; sends: smtpd sends what is in its queue."""

    def __init__(self, settings="", listeners=LISTENERS, users=("alice", "bob"), folder=None, cleartext=False,
                 wrapper=(), proxy=False, plain=False, server=None, parent=None, own=None,
                 options={}, sends=False):
        (BUILD / "tests").mkdir(exist_ok=True)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="daemons-", dir=parent or BUILD / "tests"))
        self.data = pathlib.Path(folder) if folder else self.home / "data"
        self.conf = self.home / "libmail.conf"
        self.ca = self.data / "tls" / "certificate.pem"
        self.port = dict(zip(listeners, free_ports(len(listeners))))
        self.wrapper = list(wrapper)
        self.server = server
        self.running = {}
        if own is None:
            own = f"hostname = localhost\ndomains = example.test\npostmaster = {users[0]}\nauth.failure_delay = 100 ms\n"
            if "accept_unresolvable_domains" not in settings:
                own += "policy.accept_unresolvable_domains = yes\n" # senders of the tests have no domain
        text = [own, f"mail_directory = {self.data}\nrun_directory = {self.home}/run\n"
                f"accounts = {self.home}/accounts\n"]
        if cleartext:
            text.append("auth.allow_cleartext = yes\n")
        if not sends:
            text.append("queue.max_deliveries = 0\n")
        text.append(settings + "\n")
        for name, port in self.port.items():
            protocol, tls, _ = LISTENERS[name]
            text.append(f"listener {name} {{\n protocol = {protocol}\n tls = {tls}\n"
                        f" address = 127.0.0.1\n port = {port}\n"
                        + (" proxy = yes\n proxy_trusted = 127.0.0.1\n" if proxy else "") + options.get(name, "") + "}\n")
        self.conf.write_text("".join(text))
        if plain:
            (self.home / "accounts").write_text("".join(f"{user}:{{PLAIN}}{PASSWORD}\n" for user in users))
        for user in () if plain else users:
            self.mailctl("user", "create", "-p", user, input=PASSWORD + "\n")

    def secrets(self, passwords):
        """Accounts whose passwords every mechanism may use."""
        lines = [f"{user}:{{PLAIN}}{word}::::::secret={base64.b64encode(word.encode()).decode()}\n"
                 for user, word in passwords.items()]
        (self.home / "accounts").write_text("".join(lines))

    def mailctl(self, *args, check=True, **how):
        return subprocess.run([PROGRAMS / "mailctl", "--config", self.conf, *args], check=check,
                              text=True, capture_output=True, **how)

    def set(self, key, value):
        """Change one setting in the file; None takes it out. Running daemons learn of it by hang_up()."""
        lines = [line for line in self.conf.read_text().splitlines() if not line.startswith(f"{key} = ")]
        self.conf.write_text("\n".join(([] if value is None else [f"{key} = {value}"]) + lines) + "\n")

    def daemon_of(self, listener):
        return "server" if self.server else LISTENERS[listener][2]

    def start(self, *names):
        for name in names or sorted({self.daemon_of(listener) for listener in self.port}):
            command = [self.server, self.conf] if self.server else [PROGRAMS / name, "-c", self.conf]
            with open(self.home / f"{name}.log", "ab") as log:
                self.running[name] = subprocess.Popen([*self.wrapper, *command], stderr=log, stdout=log)
            for listener, port in self.port.items():
                if self.daemon_of(listener) == name:
                    wait_for(lambda p=port, n=name: self.alive(n) and listens(p),
                             what=f"{name} on port {port}")

    def hang_up(self, name, event="reloaded"):
        """SIGHUP, and wait until the log says what came of it."""
        before = self.log(name).count(f"event={event} ")
        self.running[name].send_signal(signal.SIGHUP)
        wait_for(lambda: self.alive(name) and self.log(name).count(f"event={event} ") > before, what=f"{name}: {event}")

    def alive(self, name):
        if self.running[name].poll() is not None:
            raise AssertionError(f"{name} ended with {self.running[name].returncode}:\n{self.log(name)}")
        return True

    def pid(self, name):
        return self.running[name].pid

    def log(self, name):
        return (self.home / f"{name}.log").read_text(errors="replace")

    def kill(self, name):
        """As a crash would."""
        self.running[name].send_signal(signal.SIGKILL)
        self.running.pop(name).wait()

    def stop(self, *names):
        """Politely; an exit code other than 0 is a failure."""
        bad = []
        for name in names or list(self.running):
            process = self.running.pop(name)
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = "none: it did not stop in 30 s"
            if code != 0:
                bad.append(f"{name}: exit code {code}\n{self.log(name)[-4000:]}")
        assert not bad, "\n".join(bad)

    def tls(self):
        """A client's context that trusts our certificate and nothing else. A daemon of two processes listens before
        its server has made the first one."""
        wait_for(self.ca.exists, what=f"{self.ca}")
        return ssl.create_default_context(cafile=self.ca)

    def wire(self, listener, tls=False):
        """A raw connection, greeting unread."""
        return Wire(self.port[listener], self.tls() if tls else None)

    def memory(self, name):
        """Resident memory of a daemon in KiB: anonymous pages, which is what it asked for itself."""
        for line in open(f"/proc/{self.pid(name)}/status"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise AssertionError("no RssAnon")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            shutil.rmtree(self.home)
        else:
            for name, process in self.running.items():
                process.kill()
                process.wait()
            for log in sorted(self.home.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}", file=sys.stderr)
            print(f"--- kept: {self.home}", file=sys.stderr)


def letter(number=1, body="Hello.\r\n", sender="alice@example.test", to="bob@example.test"):
    return (f"From: Alice <{sender}>\r\nTo: Bob <{to}>\r\nSubject: letter {number}\r\n"
            f"Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <letter-{number}@example.test>\r\n\r\n{body}")


class Wire:
    """A client without a library: lines and octets as they are."""

    def __init__(self, port, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.rest = b""
        if context:
            self.secure(context)

    def secure(self, context):
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def more(self):
        try:
            got = self.socket.recv(65536)
        except ConnectionResetError:
            got = b""
        self.rest += got
        return bool(got)

    def line(self):
        """The next line without its CRLF, or None at the end of the stream."""
        while b"\r\n" not in self.rest:
            if not self.more():
                assert not self.rest, f"half a line at the end: {self.rest}"
                return None
        line, _, self.rest = self.rest.partition(b"\r\n")
        return line.decode("utf-8", "surrogateescape")

    def until(self, start):
        """Lines up to and with the first that begins with start (a tuple: one of them)."""
        lines = []
        while True:
            line = self.line()
            assert line is not None, f"the end instead of {start!r}; before it: {lines}"
            lines.append(line)
            if line.startswith(start):
                return lines

    def reply(self):
        """A whole SMTP reply: its lines."""
        lines = [self.line()]
        while lines[-1] and lines[-1][3:4] == "-":
            lines.append(self.line())
        return lines

    def ask(self, command, start=None):
        """A command; the SMTP reply to it, or the lines up to start."""
        self.send(command + "\r\n")
        return self.until(start) if start else self.reply()

    def hello(self, name="client.example.net"):
        """An SMTP client's first two steps; what is offered."""
        assert self.reply()[-1].startswith("220 ")
        return self.ask(f"EHLO {name}")

    def rest_of_stream(self):
        while self.more():
            pass
        rest, self.rest = self.rest, b""
        return rest.decode("utf-8", "surrogateescape")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def scenarios(*functions, arguments=()):
    """Run all, however many fail; the end of the test."""
    failed = 0
    for function in functions:
        try:
            function(*arguments)
        except Exception:
            failed += 1
            print(f"--- {function.__name__}", file=sys.stderr)
            traceback.print_exc()
    assert not failed, f"{failed} of {len(functions)} scenarios failed"


def run(*command, check=True, **how):
    """A client. Its output is shown when it fails."""
    how.setdefault("text", True)
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=60, **how)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
