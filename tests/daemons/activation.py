"""What a service manager does: hands sockets over (sd_listen_fds(3)), hears how the daemon fares (sd_notify(3)); and where
the installation puts its files."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

from lib_daemons import BUILD, PROGRAMS, SOURCE, Daemons, listens, run, scenarios, wait_for

# LISTEN_PID is the process's own, so it sets it itself, as the manager's child does before it becomes the daemon.
CHILD = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"


class Manager:
    """One daemon, with sockets [(name, family, address)] from 3 on, and a socket for its words."""

    def __init__(self, d, daemon, sockets):
        self.d = d
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(d.home / "notify"))
        os.chmod(d.home / "notify", 0o666)
        self.told.settimeout(20)
        self.sockets = []
        for name, family, address in sockets:
            s = socket.socket(family)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            s.bind(address)
            s.listen(64)
            self.sockets.append((name, s))
        env = dict(os.environ, LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(n for n, _ in self.sockets),
                   NOTIFY_SOCKET=str(d.home / "notify"))
        high = [os.dup2(s.fileno(), 50 + i) for i, (_, s) in enumerate(self.sockets)]
        actions = [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(high)]
        log = os.open(d.home / f"{daemon}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        actions += [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
        self.pid = os.posix_spawn(sys.executable, [sys.executable, "-c", CHILD, str(PROGRAMS / daemon), "-c", str(d.conf)], env,
                                  file_actions=actions)
        for fd in *high, log:
            os.close(fd)

    def port(self, index=0):
        return self.sockets[index][1].getsockname()[1]

    def hear(self):
        return self.told.recv(4096).decode()

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        said = self.hear()
        _, status = os.waitpid(self.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, (status, self.d.log("smtpd"))
        assert said == "STOPPING=1", said
        # The sockets are the manager's still: a client waits in them for the next start.
        assert all(listens(s.getsockname()[1]) for _, s in self.sockets[:1])
        for _, s in self.sockets:
            s.close()
        self.told.close()
        (self.d.home / "notify").unlink()


def make(parent, user, listener):
    d = Daemons(f"user = {user}\n" if user else "", [], parent=parent)
    os.chmod(d.home, 0o711)
    d.conf.write_text(d.conf.read_text() + listener)
    return d


def greet(port, family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as s:
        s.settimeout(20)
        s.connect((host, port))
        return s.recv(1000).decode()


def by_address(parent, user):
    """A socket that is bound where a listener wants to be: a second program could not bind it."""
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    d = make(parent, user, f"listener a {{\n protocol = smtp\n address = 127.0.0.1\n port = {port}\n}}\n")
    m = Manager(d, "smtpd", [("smtpd.socket", socket.AF_INET, ("127.0.0.1", port)),
                             ("smtpd.socket", socket.AF_INET, ("127.0.0.1", 0))])
    assert m.hear() == "READY=1"
    assert greet(port).startswith("220")
    assert "event=activation unused=1" in d.log("smtpd"), d.log("smtpd")
    # The reload goes on with what is there, and is told.
    os.kill(m.pid, signal.SIGHUP)
    said = m.hear()
    assert said.startswith("RELOADING=1\nMONOTONIC_USEC="), said
    assert m.hear() == "READY=1\nSTATUS="
    assert greet(port).startswith("220")
    good = d.conf.read_text()
    d.conf.write_text(good + "smtp.nonsense = 1\n")
    os.kill(m.pid, signal.SIGHUP)
    assert m.hear().startswith("RELOADING=1")
    said = m.hear()
    assert said.startswith("READY=1\nSTATUS=the old configuration stays in force: "), said
    assert greet(port).startswith("220")
    m.end()


def by_name(parent, user):
    """A socket with a listener's name is served where it is, whatever the configuration says; all addresses of both
    families by one socket."""
    d = make(parent, user, "listener outside {\n protocol = smtp\n address = 127.0.0.1\n port = 1\n}\n"
             "listener inside {\n protocol = lmtp\n tls = none\n address = 127.0.0.1\n port = 2\n}\n")
    m = Manager(d, "smtpd", [("inside", socket.AF_INET, ("127.0.0.1", 0)), ("outside", socket.AF_INET6, ("::", 0))])
    assert m.hear() == "READY=1"
    assert "LMTP" in greet(m.port(0))
    assert "ESMTP" in greet(m.port(1)) and "ESMTP" in greet(m.port(1), socket.AF_INET6, "::1")
    assert "activation" not in d.log("smtpd") and not listens(1), d.log("smtpd")
    m.end()


def wildcard(parent, user):
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    d = make(parent, user, f"listener a {{\n protocol = smtp\n port = {port}\n}}\n")
    m = Manager(d, "smtpd", [("smtpd.socket", socket.AF_INET6, ("::", port))])
    assert m.hear() == "READY=1"
    assert greet(port).startswith("220") and greet(port, socket.AF_INET6, "::1").startswith("220")
    m.end()


def installation(parent):
    """System files go to /etc when the prefix is /usr, else below the prefix; they name the programs where these are."""
    for prefix, etc, unit in (("/usr", "/etc", "/usr/lib/systemd/system"),
                              ("/opt/libmail", "/etc/opt/libmail", "/opt/libmail/lib/systemd/system"),
                              ("/usr/local", "/usr/local/etc", "/usr/local/lib/systemd/system")):
        root = pathlib.Path(tempfile.mkdtemp(dir=parent))
        run("cmake", "-DCMAKE_INSTALL_PREFIX=" + prefix, "-P", BUILD / "daemons" / "cmake_install.cmake",
            env=dict(os.environ, DESTDIR=str(root)))
        got = {"/" + str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
        assert got == {f"{etc}/init.d/{n}" for n in ("sendmail", "dovecot", "saslauthd")} | \
            {f"{unit}/{n}" for n in ("smtpd.service", "imapd.service", "pop3d.service", "authd.service", "smtpd.socket",
                                     "imapd.socket", "pop3d.socket")}, (prefix, got)
        service, sockets = (root / f"{unit[1:]}/smtpd.{kind}" for kind in ("service", "socket"))
        assert f"ExecStart={prefix}/sbin/smtpd\n" in service.read_text() and "@" not in service.read_text()
        text = sockets.read_text()
        assert "ListenStream=25\nListenStream=587\n" in text and "Service=smtpd.service" in text and "@" not in text, text
        script = root / f"{etc[1:]}/init.d/sendmail"
        assert f"MAILCTL={prefix}/sbin/mailctl\n" in script.read_text() and os.access(script, os.X_OK)


def main():
    with tempfile.TemporaryDirectory(prefix="libmail-") as parent:
        os.chmod(parent, 0o711)
        installation(parent)
        for user in ("", "nobody") if os.geteuid() == 0 else ("",):
            scenarios(by_address, by_name, wildcard, arguments=(parent, user))


main()
