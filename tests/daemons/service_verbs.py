"""mailctl start, stop, ... status of the services: every verb in every state, with its exit code."""
# long
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from lib_daemons import BUILD, PROGRAMS, Daemons, listens, scenarios, wait_for

NAMES = "smtpd", "imapd", "pop3d"
OF = {"sendmail": ["smtpd"], "dovecot": ["imapd", "pop3d"], "saslauthd": []}


class Services(Daemons):
    """The daemons as mailctl starts them."""

    def ctl(self, *words):
        """(exit code, everything that was said)"""
        done = subprocess.run([PROGRAMS / "mailctl", "--config", self.conf, *words], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, done.stdout

    def expect(self, code, *words):
        got, said = self.ctl(*words)
        assert got == code, f"mailctl {' '.join(words)}: {got}, not {code}: {said}"
        return said

    def pid_of(self, name):
        return int((self.home / "run" / f"{name}.pid").read_text())

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.ctl("stop", "all")
        super().__exit__(*how)


def every_verb(d):
    """In the order stopped, started, stopped."""
    for service, daemons in OF.items():
        listeners = [port for name, port in d.port.items() if d.daemon_of(name) in daemons]
        for verb, code in (("status", 3), ("stop", 0), ("reload", 7), ("condrestart", 0), ("try-restart", 0), ("status", 3)):
            said = d.expect(code, verb, service)
            assert verb != "status" or said.count("\n") == 1, said
        assert not any(listens(port) for port in listeners)
        for start, stop in ("start", "stop"), ("restart", "stop"), ("force-reload", "stop"):
            d.expect(0, start, service)
            assert all(listens(port) for port in listeners), (service, start)
            pids = {name: d.pid_of(name) for name in daemons}
            said = d.expect(0, "status", service)
            assert said.count("\n") == 1 and all(f"{n} (pid {p}) is running" in said for n, p in pids.items()), said
            for verb in "start", "reload", "force-reload":
                d.expect(0, verb, service)
                assert pids == {name: d.pid_of(name) for name in daemons}, f"{verb} changed the process"
            for verb in "restart", "condrestart", "try-restart":
                d.expect(0, verb, service)
                after = {name: d.pid_of(name) for name in daemons}
                assert all(pids[n] != after[n] for n in daemons), f"{verb} kept the process"
                assert all(listens(port) for port in listeners)
                pids = after
            begun = time.monotonic()
            d.expect(0, stop, service)
            assert time.monotonic() - begun < 5
            d.expect(3, "status", service)
            for name in daemons:
                assert not (d.home / "run" / f"{name}.pid").exists() and not (d.home / "run" / f"{name}.state").exists()


def all_of_them(d):
    d.expect(0, "start", "all")
    assert len(d.expect(0, "status", "all").splitlines()) == 3
    # One of two daemons is a service that does not run; start completes it.
    imapd = d.pid_of("imapd")
    d.expect(0, "stop", "pop3d")
    said = d.expect(3, "status", "dovecot")
    assert f"imapd (pid {imapd}) is running" in said and "pop3d is not running" in said, said
    d.expect(7, "reload", "dovecot")
    d.expect(0, "start", "dovecot")
    assert d.pid_of("imapd") == imapd
    d.expect(0, "status", "all")
    d.expect(0, "stop", "all")
    d.expect(3, "status", "all")


def usage(d):
    d.expect(2, "start")
    d.expect(2, "start", "postfix")
    d.expect(2, "start", "sendmail", "dovecot")
    assert "usage:" in d.expect(64, "frobnicate", "sendmail")
    assert "usage: mailctl" in d.expect(0, "start", "--help")


def dead(d):
    """A crash, a pid that another program has by now, a pid file that is gone, one that cannot be read."""
    pid_file = d.home / "run" / "smtpd.pid"
    d.expect(0, "start", "sendmail")
    victim = d.pid_of("smtpd")
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: d.ctl("status", "sendmail")[0] == 1, what="the end of smtpd")
    d.expect(7, "reload", "sendmail")
    d.expect(0, "condrestart", "sendmail")
    d.expect(1, "status", "sendmail")
    # It is our own pid now: nobody may send us a signal.
    pid_file.write_text(f"{os.getpid()}\n")
    d.expect(1, "status", "sendmail")
    d.expect(7, "reload", "sendmail")
    d.expect(0, "stop", "sendmail")
    d.expect(3, "status", "sendmail")
    pid_file.write_text(f"{os.getpid()}\n")
    d.expect(0, "start", "sendmail")
    assert d.pid_of("smtpd") not in (victim, os.getpid())
    victim = d.pid_of("smtpd")
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: d.ctl("status", "sendmail")[0] == 1, what="the end of smtpd")
    pid_file.unlink()
    assert "dead" in d.expect(2, "status", "sendmail")
    pid_file.symlink_to(d.home / "accounts")
    d.expect(4, "status", "sendmail")
    d.expect(1, "stop", "sendmail")
    pid_file.unlink()
    d.expect(0, "restart", "sendmail")
    # A second daemon on other ports would be told by the pid file.
    other = d.home / "other.conf"
    other.write_text(d.conf.read_text().replace(f"port = {d.port['smtp']}", "port = 0"))
    second = subprocess.run([PROGRAMS / "smtpd", "-c", other], capture_output=True, text=True, timeout=30)
    assert second.returncode in (71, 73), second
    d.expect(0, "stop", "sendmail")


def faulty(d):
    """A faulty file stops an action before anything is ended, with the file's name and line."""
    good = d.conf.read_text()
    d.expect(0, "start", "all")
    pids = {name: d.pid_of(name) for name in NAMES}
    with d.wire("smtp") as w:
        w.line()
        d.conf.write_text(good + "smtp.nonsense = 1\n")
        at = f"{d.conf}:{len(good.splitlines()) + 1}: error:"
        for verb in "start", "reload", "restart", "condrestart", "try-restart", "force-reload":
            for service in "sendmail", "dovecot":
                assert at in d.expect(1, verb, service), verb
        d.expect(0, "status", "sendmail")
        assert pids == {name: d.pid_of(name) for name in NAMES}
        assert w.ask("NOOP")[0].startswith("250") and listens(d.port["imap"])
        # What only the daemon finds: the old rules stay, and status tells.
        d.conf.write_text(good + "tls.certificate = /dev/null\ntls.key = /dev/null\n")
        said = d.expect(1, "reload", "sendmail")
        assert "tls" in said or "certificate" in said, said
        assert w.ask("NOOP")[0].startswith("250") and listens(d.port["smtp"])
        d.conf.write_text(good)
        d.expect(0, "reload", "sendmail")
        assert "failed" not in d.expect(0, "status", "sendmail")
    # Stopping works with a faulty file, starting does not.
    d.conf.write_text(good + "smtp.nonsense = 1\n")
    d.expect(0, "stop", "all")
    assert at in d.expect(1, "start", "sendmail")
    assert at in d.expect(1, "restart", "sendmail")
    d.conf.unlink()
    d.expect(6, "start", "sendmail")
    d.conf.write_text(good.split("listener ")[0] + f"listener i {{\n protocol = imap\n address = 127.0.0.1\n port = {d.port['imap']}\n}}\n")
    d.expect(6, "start", "sendmail")
    d.expect(6, "start", "pop3d")
    d.expect(0, "start", "dovecot")
    d.expect(0, "status", "dovecot")
    d.expect(0, "stop", "dovecot")
    d.conf.write_text(good)
    # The port is somebody else's.
    d.expect(0, "start", "sendmail")
    (d.home / "run" / "smtpd.pid").rename(d.home / "run" / "hidden")
    said = d.expect(1, "start", "sendmail")
    assert "in use" in said, said
    (d.home / "run" / "hidden").rename(d.home / "run" / "smtpd.pid")
    d.expect(0, "stop", "sendmail")


def reload_open_session(d):
    """The same process, the session goes on under its old rules, a new one has the new ones."""
    d.expect(0, "start", "all")
    pids = {name: d.pid_of(name) for name in NAMES}
    with d.wire("smtp") as w, d.wire("imap") as i, d.wire("pop3") as p:
        w.line(), i.line(), p.line()
        for protocol in "smtp", "imap", "pop3":
            d.set(f"{protocol}.greeting", "another greeting")
        d.expect(0, "reload", "all")
        for listener in "smtp", "imap", "pop3":
            with d.wire(listener) as new:
                assert "another greeting" in new.line(), listener
        assert w.ask("NOOP")[0].startswith("250") and i.ask("a NOOP", "a OK") and p.ask("CAPA", ".")
        assert pids == {name: d.pid_of(name) for name in NAMES}
        # A restart ends it, with the protocol's farewell.
        d.expect(0, "restart", "sendmail")
        assert w.rest_of_stream().startswith("421 ")
    d.expect(0, "stop", "all")


def moved_mail(d):
    """Mail that would lie elsewhere takes a restart: a reload says so and changes nothing, force-reload restarts."""
    before = d.conf.read_text()
    good = "imap.local_is_secure = yes\n" + before
    d.conf.write_text(good)
    d.expect(0, "start", "dovecot")
    pids = {name: d.pid_of(name) for name in OF["dovecot"]}
    for key in "store.location", "store.home":
        d.conf.write_text(f"{key} = {d.home}/moved/%u\n" + good)
        for name in OF["dovecot"]:
            said = d.expect(1, "reload", name)
            assert f'{key}: changed from "" to "{d.home}/moved/%u", which takes a restart' in said, said
        assert key in d.expect(0, "status", "dovecot")
        assert pids == {name: d.pid_of(name) for name in OF["dovecot"]}
        with d.wire("imap") as w:
            w.line()
            w.ask("a LOGIN alice secret", "a OK")
            w.ask("a SELECT INBOX", "a OK")
        assert not (d.home / "moved").exists()
    d.conf.write_text(f"store.location = {d.home}/moved/%u\n" + good)
    d.expect(0, "force-reload", "dovecot")
    assert all(pids[name] != d.pid_of(name) for name in OF["dovecot"])
    with d.wire("imap") as w:
        w.line()
        w.ask("a LOGIN alice secret", "a OK")
        w.ask("a SELECT INBOX", "a OK")
    assert (d.home / "moved" / "alice" / "cur").is_dir()
    d.conf.write_text(good)
    d.expect(1, "reload", "dovecot")
    d.expect(0, "stop", "dovecot")
    d.conf.write_text(before)


def account_store(d):
    """saslauthd without authd is the account file."""
    accounts = d.home / "accounts"
    good = accounts.read_text()
    d.expect(0, "start", "saslauthd")
    assert "2 in" in d.expect(0, "status", "saslauthd")
    accounts.write_text(good + "no colon here\n")
    assert f"{accounts}:{len(good.splitlines()) + 1}: error:" in d.expect(1, "reload", "saslauthd")
    d.expect(1, "restart", "saslauthd")
    d.expect(0, "status", "saslauthd")
    accounts.rename(d.home / "away")
    d.expect(2, "status", "saslauthd")
    d.expect(1, "reload", "saslauthd")
    d.expect(6, "restart", "saslauthd")
    (d.home / "away").rename(accounts)
    accounts.write_text(good)
    d.expect(0, "reload", "saslauthd")
    d.expect(0, "stop", "saslauthd")
    d.expect(3, "status", "saslauthd")
    accounts.rename(d.home / "away")
    d.expect(6, "start", "saslauthd")
    (d.home / "away").rename(accounts)


def init_scripts(d):
    """service NAME VERB: in a mount namespace of our own, whose /etc/init.d and /etc/default are ours."""
    if os.geteuid() != 0:
        sys.exit("this test needs root, for a mount namespace")
    folder = d.home / "etc"
    folder.mkdir()
    (folder / "libmail").write_text(f'MAILCTL={PROGRAMS}/mailctl\nMAILCTL_OPTIONS="--config {d.conf}"\n')

    def service(code, *words):
        script = f"mount --bind {BUILD}/daemons/system/init.d /etc/init.d && mount --bind {folder} /etc/default && " \
                 'exec "$@"'
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *words], text=True, capture_output=True, timeout=60)
        assert done.returncode == code, (words, done)

    good = d.conf.read_text()
    for name in OF:
        # What mailctl comes to is what the script comes to.
        d.conf.rename(d.home / "away")
        for verb, code in (("start", 6), ("restart", 6), ("reload", 7), ("condrestart", 0)):
            service(code, "/etc/init.d/" + name, verb)
        service(4 if name == "saslauthd" else 3, "/etc/init.d/" + name, "status")
        (d.home / "away").rename(d.conf)
        d.conf.write_text(good + "smtp.nonsense = 1\n")
        for verb in "start", "restart", "force-reload":
            service(1, "/etc/init.d/" + name, verb)
        d.conf.write_text(good)
        (folder / "libmail").write_text("MAILCTL=/nonexistent/mailctl\n")
        service(5, "/etc/init.d/" + name, "start")
        service(4, "/etc/init.d/" + name, "status")
        (folder / "libmail").write_text(f'MAILCTL={PROGRAMS}/mailctl\nMAILCTL_OPTIONS="--config {d.conf}"\n')
        service(2, "/etc/init.d/" + name)
        for verb, code in (("status", 3), ("start", 0), ("status", 0), ("reload", 0), ("force-reload", 0), ("restart", 0),
                           ("condrestart", 0), ("try-restart", 0), ("stop", 0), ("status", 3), ("reload", 7), ("frobnicate", 2)):
            service(code, "/etc/init.d/" + name, verb)
            service(code, "service", name, verb)
            if verb == "start":
                service(0, "service", name, "status")


def units():
    """What the units say of the verbs; systemd finds nothing to say about them."""
    for name in (*NAMES, "authd"):
        text = (BUILD / "daemons" / "system" / "units" / f"{name}.service").read_text()
        lines, section, said = text.splitlines(), None, {}
        for line in lines:
            if line.startswith("["):
                section = line
            elif "=" in line and not line.startswith("#"):
                key, value = line.split("=", 1)
                said.setdefault((section, key), []).append(value)
        service = {key: values for (where, key), values in said.items() if where == "[Service]"}
        assert service["Type"] == ["notify"], name
        start = service["ExecStart"]
        assert len(start) == 1 and start[0].startswith("/") and start[0].endswith(f"/{name}"), "in the foreground, no options"
        assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"] and service["Restart"] == ["on-failure"], name
        # SIGTERM is the standard; nothing may say otherwise, and it has time to come to an end.
        assert not {"KillSignal", "ExecStop", "PIDFile", "RemainAfterExit", "RestartForceExitStatus"} & set(service), name
        assert int(service["TimeoutStopSec"][0]) > 5 and "78" in service["RestartPreventExitStatus"][0].split(), name
        assert said["[Install]", "WantedBy"] == ["multi-user.target"], name
    for name, ports in ("smtpd", ["25", "587"]), ("imapd", ["143", "993"]), ("pop3d", ["110", "995"]):
        text = (BUILD / "daemons" / "system" / "units" / f"{name}.socket").read_text().splitlines()
        assert [line.split("=")[1] for line in text if line.startswith("ListenStream=")] == ports, name
        assert f"Service={name}.service" in text, name
    if subprocess.run(["which", "systemd-analyze"], capture_output=True).returncode:
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name in (*NAMES, "authd"):
            text = (BUILD / "daemons" / "system" / "units" / f"{name}.service").read_text()
            start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
            paths.append(pathlib.Path(folder, f"{name}.service"))
            paths[-1].write_text(text.replace(start, f"ExecStart={PROGRAMS}/{name}"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], text=True, capture_output=True)
        ours = [line for line in (done.stdout + done.stderr).splitlines() if any(p.name in line for p in paths)]
        assert not ours, ours


def main():
    with Services(listeners=("smtp", "imap", "pop3")) as d:
        scenarios(every_verb, all_of_them, usage, dead, faulty, reload_open_session, moved_mail, account_store, init_scripts,
                  arguments=(d,))
    units()


main()
