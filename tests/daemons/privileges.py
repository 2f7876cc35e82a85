"""Started as root with a user set: two processes, the one on the network without root and in a sandbox."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from lib_daemons import BUILD, PROGRAMS, Daemons, free_ports, letter, listens, run, sanitized, scenarios, wait_for

NOBODY = pwd.getpwnam("nobody")


def low_port():
    """A free port below 1024."""
    return next(port for port in range(1000, 600, -1) if not listens(port))


def status(pid):
    return dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)


class Split(Daemons):
    """Configuration and key are root's alone."""

    def __init__(self, parent):
        super().__init__("user = nobody\ngroup = nogroup\n", ["smtp", "imaps"], parent=parent)
        (self.home / "keys").mkdir(0o700)
        self.make_key("first")
        self.set("tls.certificate", self.home / "keys" / "first.pem")
        self.set("tls.key", self.home / "keys" / "first.key")
        (self.home / "keys" / "trusted").write_text("alice\n")
        self.set("policy.trusted_users", self.home / "keys" / "trusted")
        self.ca = self.home / "keys" / "first.pem"
        os.chmod(self.home, 0o711)
        os.chmod(self.conf, 0o600)

    def make_key(self, name):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.home / "keys" / f"{name}.key",
            "-out", self.home / "keys" / f"{name}.pem")

    def server_of(self, name):
        """Its process id, once it serves: the parent listens before."""
        children = pathlib.Path(f"/proc/{self.pid(name)}/task/{self.pid(name)}/children")

        def serving():
            pids = children.read_text().split()
            return pids and f"event=start daemon={name} " in self.log(name) and f" pid={pids[0]}\n" in self.log(name) and int(pids[0])
        return wait_for(serving, what=f"the server of {name}")

    def reload(self, name, code=0):
        done = self.mailctl("reload", name, check=False)
        assert done.returncode == code, (done, self.log(name)[-2000:])
        return done.stderr


def processes(d):
    for name in "smtpd", "imapd":
        parent, server = status(d.pid(name)), status(d.server_of(name))
        assert parent["Uid"].split()[0] == "0", parent
        for key, value in ("Uid", NOBODY.pw_uid), ("Gid", NOBODY.pw_gid):
            assert set(server[key].split()) == {str(value)}, (key, server[key])
        assert server["Groups"].strip() in ("", str(NOBODY.pw_gid)), server["Groups"]
        for caps in "CapInh", "CapPrm", "CapEff", "CapAmb":
            assert int(server[caps], 16) == 0, server
        assert server["NoNewPrivs"] == "1"
        assert int((d.home / "run" / f"{name}.pid").read_text()) == d.pid(name)
        if not sanitized():
            assert server["Seccomp"] == "2", server
            # Nothing of root's is open in there but sockets and what it was started with.
            targets = [os.readlink(f) for f in pathlib.Path(f"/proc/{d.server_of(name)}/fd").iterdir()]
            assert not any(str(d.home / "keys") in t or t == str(d.conf) or "shadow" in t for t in targets), targets
        assert "event=sandbox" in d.log(name), d.log(name)


def mail(d):
    """All of it works in there: delivery, login, index, search, expunge."""
    with d.wire("smtp") as w:
        w.hello("c.example.net")
        for number in range(3):
            w.ask("MAIL FROM:<a@b.example>")
            w.ask("RCPT TO:<alice@example.test>")
            w.ask("RCPT TO:<bob@example.test>")
            w.ask("DATA")
            w.send(letter(number) + ".\r\n")
            assert w.line().startswith("250"), d.log("smtpd")
    with d.wire("imaps", tls=True) as w:
        w.line()
        w.ask("a LOGIN bob secret", "a OK")
        w.ask("b SELECT INBOX", "b OK")
        assert "* SEARCH 2" in w.ask("c SEARCH SUBJECT \"letter 1\"", "c OK")
        w.ask("d SEARCH TEXT hello", "d OK")
        w.ask("e CREATE Old/Things", "e OK")
        w.ask("f COPY 1:2 Old/Things", "f OK")
        w.ask("g STORE 1 +FLAGS (\\Deleted)", "g OK")
        w.ask("h EXPUNGE", "h OK")
        w.ask("i RENAME Old New", "i OK")
        w.ask("j STATUS New/Things (MESSAGES)", "j OK")
        w.ask("k IDLE", "+ ")
        w.send("DONE\r\n")
        w.until("k OK")


def subject(d, port):
    got = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}"], input="", capture_output=True, text=True,
                         timeout=20).stdout
    return next((line.split("CN = ")[1] for line in got.splitlines() if line.startswith("subject=")), got)


def reload_key_and_port(d):
    """A new key that is root's and a port below 1024; the same processes, an open session goes on."""
    parent, server = d.pid("imapd"), d.server_of("imapd")
    port = low_port()
    assert subject(d, d.port["imaps"]) == "first"
    with d.wire("imaps", tls=True) as w:
        w.line()
        d.make_key("second")
        good = d.conf.read_text()
        d.conf.write_text(good.replace("keys/first.", "keys/second.") +
                          f"listener low {{\n protocol = imap\n tls = tls\n address = 127.0.0.1\n port = {port}\n}}\n")
        d.reload("imapd")
        assert subject(d, d.port["imaps"]) == "second" and subject(d, port) == "second"
        assert w.ask("a NOOP", "a OK")
        # And closed again, the rest as it was.
        d.conf.write_text(good)
        d.reload("imapd")
        wait_for(lambda: not listens(port), what="the end of the listener")
        assert subject(d, d.port["imaps"]) == "first"
        assert w.ask("b NOOP", "b OK")
    assert (parent, server) == (d.pid("imapd"), d.server_of("imapd"))


def faulty_reloads(d):
    good = d.conf.read_text()
    server = d.server_of("imapd")
    d.conf.write_text(good + "imap.nonsense = 1\n")
    assert f"{d.conf}:" in d.reload("imapd", 1)
    d.hang_up("imapd", "reload_failed")
    d.conf.write_text(good.replace("keys/first.key", "keys/absent.key"))
    assert "absent.key" in d.reload("imapd", 1)
    taken = d.port["smtp"]
    d.conf.write_text(good + f"listener more {{\n protocol = imap\n address = 127.0.0.1\n port = {taken}\n}}\n")
    assert "in use" in d.reload("imapd", 1)
    # A socket that the parent has opened is not left behind when the server then refuses.
    free = free_ports(1)[0]
    d.conf.write_text(good.replace("keys/first.key", "keys/absent.key") +
                      f"listener more {{\n protocol = imap\n address = 127.0.0.1\n port = {free}\n}}\n")
    d.reload("imapd", 1)
    assert not listens(free)
    d.conf.write_text(good)
    d.reload("imapd")
    assert subject(d, d.port["imaps"]) == "first" and server == d.server_of("imapd")


def signals(d):
    """SIGHUP to the server alone does nothing; the server's end is the parent's; the parent's end is the server's."""
    server = d.server_of("smtpd")
    os.kill(server, signal.SIGHUP)
    with d.wire("smtp") as w:
        assert w.line().startswith("220")
    os.kill(server, signal.SIGKILL)
    assert d.running.pop("smtpd").wait(10) == 70
    assert not (d.home / "run" / "smtpd.pid").exists()
    d.start("smtpd")
    server = d.server_of("smtpd")
    d.kill("smtpd")
    wait_for(lambda: not pathlib.Path(f"/proc/{server}").exists(), what="the end of the server")
    assert d.mailctl("status", "smtpd", check=False).returncode == 1
    d.start("smtpd")
    with d.wire("smtp") as w:
        w.line()
        d.stop("smtpd")
        assert w.rest_of_stream().startswith("421")
    d.start("smtpd")


def refusals(d):
    """Exit codes are those of one process."""
    other = d.home / "other.conf"
    text = d.conf.read_text()
    for old, new, code, word in (("user = nobody", "user = no-such-user", 78, "no such user"),
                                 ("keys/first.key", "keys/absent.key", 78, "absent.key"),
                                 ("hostname", "hostname", 71, "in use")):
        port = str(d.port["smtp"])
        text = text.replace(f"{d.home}/run", f"{parent_of(d)}/run{code}")
        other.write_text(text.replace(old, new).replace(port, port if code == 71 else str(free_ports(1)[0])))
        done = run(PROGRAMS / "smtpd", "-c", other, check=False)
        assert word in done.stderr and done.returncode == code, (new, done)


def parent_of(d):
    return d.home.parent


def background(d):
    d.stop("smtpd")
    for code, verb in (0, "start"), (0, "status"), (0, "reload"), (0, "restart"), (0, "stop"), (3, "status"):
        done = d.mailctl(verb, "sendmail", check=False)
        assert done.returncode == code, (verb, done)
    d.start("smtpd")


def probe():
    """What the sandbox denies even root, who no mode stops."""
    if sanitized():
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in "mail", "read", "other":
            pathlib.Path(folder, name).mkdir()
        files = {name: pathlib.Path(folder, name, "file") for name in ("read", "other")}
        for file in files.values():
            file.write_text("x")
        paths = [files["read"], files["other"], pathlib.Path(folder, "other"), "/etc/shadow", "/root"]
        out = run(BUILD / "tests" / "sandbox_probe", f"{folder}/mail", f"{folder}/read", *paths).stdout
        got = dict(line.rsplit(" ", 1) for line in out.splitlines())
        assert got.pop("seccomp") == "ok", "no seccomp in this kernel"
        denied = {"fork", "exec", "ptrace", "mount", "chroot", "setuid", "signal_other", "packet"}
        if got.pop("landlock") == "ok":
            for path in paths[1:]:
                assert got.pop(str(path)) == "EACCES", (path, out)
            assert got.pop("create_in_readable") == "EACCES", out
            assert got.pop(str(files["read"])) == "ok", out
        else:
            print("no Landlock in this kernel", file=sys.stderr)
            got = {name: value for name, value in got.items() if not name.startswith("/") and name != "create_in_readable"}
        for name, value in got.items():
            assert value == ("EPERM" if name in denied else "ok"), (name, value)


def as_server(conf, *paths, prepare=""):
    """What the server's own code leaves it of these paths (MODE:PATH), in a mount namespace that may be prepared."""
    script = f"set -e\n{prepare}\nexec \"$@\""
    out = run("unshare", "--mount", "sh", "-c", script, "sh", BUILD / "tests" / "sandbox_probe", "-c", conf, *paths).stdout
    got = dict(line.rsplit(" ", 1) for line in out.splitlines())
    assert sanitized() or got.pop("landlock") in ("ok", "absent"), out
    return got


def has_landlock(d):
    return "landlock=yes" in d.log("smtpd")


def reach(d):
    """The server reads neither the key nor the shadow file nor a directory that is not its own."""
    if sanitized():
        return
    other = pathlib.Path(tempfile.mkdtemp(dir=d.home.parent))
    os.chmod(other, 0o777)
    (other / "file").write_text("anybody's\n")
    secret = [f"r:{d.home}/keys/first.key", f"r:{d.home}/keys/first.pem", "r:/etc/shadow", f"r:{d.conf}"]
    foreign = [f"r:{other}", f"r:{other}/file", f"w:{other}/new", "r:/root", f"r:{d.home.parent}"]
    own = [f"w:{d.data}/probe", f"w:{d.home}/run/probe", f"r:{d.home}/accounts", "r:/etc/resolv.conf", "r:/etc/passwd"]
    got = as_server(d.conf, *secret, *foreign, *own)
    for path in secret + foreign:
        if path in secret or path == "r:/root" or has_landlock(d):
            assert got[path[2:]] == "EACCES", (path, got)
    for path in own:
        assert got[path[2:]] == "ok", (path, got)
    if has_landlock(d): # not the modes alone
        got = as_server(d.conf, *(f"x:{path[2:]}" for path in foreign if path[0] == "r"))
        assert set(got.values()) == {"EACCES"}, got


def links(d):
    """resolv.conf that leads to /run, as systemd-resolved and NetworkManager have it, and accounts that lead elsewhere."""
    if sanitized():
        return
    conf = d.home / "links.conf"
    kept = pathlib.Path(tempfile.mkdtemp(dir=d.home.parent))
    os.chmod(kept, 0o755)
    shutil.copy(d.home / "accounts", kept / "real")
    os.chown(kept / "real", NOBODY.pw_uid, NOBODY.pw_gid)
    (d.home / "link").mkdir()
    (d.home / "link" / "accounts").symlink_to(kept / "real")
    conf.write_text(d.conf.read_text().replace(f"accounts = {d.home}/accounts", f"accounts = {d.home}/link/accounts"))
    prepare = f"""mount --make-rprivate /
        mkdir {d.home}/etc {d.home}/run2
        cp -a /etc/passwd /etc/group /etc/nsswitch.conf {d.home}/etc/
        ln -s /run/systemd/resolve/stub-resolv.conf {d.home}/etc/resolv.conf
        mount --bind {d.home}/etc /etc
        mount --bind {d.home}/run2 /run
        mkdir -p -m 755 /run/systemd/resolve /run/others
        echo 'nameserver 127.0.0.1' > /run/systemd/resolve/stub-resolv.conf
        echo > /run/others/file"""
    got = as_server(conf, "r:/etc/resolv.conf", f"r:{d.home}/link/accounts", "r:/run/others/file", prepare=prepare)
    assert got["/etc/resolv.conf"] == "ok" and got[f"{d.home}/link/accounts"] == "ok", got
    assert got["/run/others/file"] == ("EACCES" if has_landlock(d) else "ok"), got


def mail_elsewhere(d):
    """Mailboxes that lie outside mail_directory: in a place of their own, or in the accounts' homes."""
    d.stop("smtpd")
    good, accounts = d.conf.read_text(), (d.home / "accounts").read_text()
    place = pathlib.Path(tempfile.mkdtemp(dir=d.home.parent))
    os.chmod(place, 0o755)
    for name, location in ("made", f"{place}/made/%n"), ("homes", "%h/Maildir"):
        d.conf.write_text(f"store.location = {location}\n{good}")
        homes = place / "homes"
        homes.mkdir(exist_ok=True)
        os.chown(homes, NOBODY.pw_uid, NOBODY.pw_gid)
        (d.home / "accounts").write_text("".join(f"{user}:{{PLAIN}}secret::::{homes}/{user}:\n" for user in ("alice", "bob")))
        d.start("smtpd")
        d.server_of("smtpd")
        with d.wire("smtp") as w:
            w.hello("c.example.net")
            w.ask("MAIL FROM:<a@b.example>")
            w.ask("RCPT TO:<alice@example.test>")
            w.ask("DATA")
            w.send(letter(1) + ".\r\n")
            assert w.line().startswith("250"), d.log("smtpd")[-2000:]
        assert [p for p in (place / name).rglob("new/*")], name
        d.stop("smtpd")
    d.conf.write_text(good)
    (d.home / "accounts").write_text(accounts)
    d.start("smtpd")


def roots_own(d):
    """What was made while no user was set is root's: -t and the start say so, with the command that mends it."""
    place = pathlib.Path(tempfile.mkdtemp(dir=d.home.parent))
    os.chmod(place, 0o755)
    conf = place / "libmail.conf"
    text = d.conf.read_text().replace(f"{d.home}/run", f"{place}/run").replace(str(d.data), f"{place}/data")
    text = text.replace(f"{d.home}/accounts", f"{place}/accounts")
    for port in d.port.values():
        text = text.replace(f"port = {port}\n", f"port = {free_ports(1)[0]}\n")
    conf.write_text(text.replace("user = nobody\ngroup = nogroup\n", ""))
    run(PROGRAMS / "mailctl", "--config", conf, "user", "create", "-p", "alice", input="secret\n")
    for verb in "start", "stop":
        run(PROGRAMS / "mailctl", "--config", conf, verb, "sendmail")
    assert (place / "run").stat().st_mode & 0o777 == 0o755
    conf.write_text(text)
    for name in "mail_directory", "run_directory", "accounts":
        done = run(PROGRAMS / "smtpd", "-t", "-q", "-c", conf, check=False)
        assert done.returncode == 1 and done.stderr.startswith(f"smtpd: {name}: "), done
        assert run(PROGRAMS / "smtpd", "-c", conf, check=False).returncode == 78
        run("chown", *done.stderr.rstrip().partition(": chown ")[2].split(" "))
    for verb in "start", "stop":
        run(PROGRAMS / "mailctl", "--config", conf, verb, "sendmail")


def main():
    if os.geteuid() != 0:
        sys.exit("this test needs root")
    probe()
    with tempfile.TemporaryDirectory(prefix="libmail-") as parent:
        os.chmod(parent, 0o711)
        d = Split(parent)
        with d:
            scenarios(processes, mail, reach, links, mail_elsewhere, roots_own, reload_key_and_port, faulty_reloads, signals, refusals, background, processes,
                      arguments=(d,))


main()
