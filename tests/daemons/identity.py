"""Whom the daemons become: users and groups as numbers, nobody at all; and no wait after a wrong password."""
import os
import subprocess
import sys
import tempfile
import time

from lib_daemons import PROGRAMS, Daemons, run, scenarios, wait_for

NUMBER = 54321 # no user and no group of the system


def ids(pid):
    lines = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
    return tuple(set(lines[key].split()) for key in ("Uid", "Gid", "Groups"))


def child(pid):
    return next(iter(open(f"/proc/{pid}/task/{pid}/children").read().split()), None)


def open_to_all(d):
    os.chmod(d.home, 0o711)
    return d


def numbers(parent):
    with open_to_all(Daemons(f"user = {NUMBER}\ngroup = {NUMBER}\n", ["smtp", "imap"], parent=parent, cleartext=True)) as d:
        assert os.stat(d.home / "accounts").st_uid == NUMBER
        for name in "smtpd", "imapd":
            server = wait_for(lambda n=name: child(d.pid(n)), what=f"the server of {name}")
            want = {str(NUMBER)}
            wait_for(lambda s=server, w=want: ids(s) == (w, w, w), what=f"ids of {name}")
        with d.wire("imap") as w:
            w.line()
            w.ask("a LOGIN alice secret", "a OK")
        assert "user is not set" not in d.log("smtpd")


def number_needs_group(parent):
    """The system cannot say the group of a user that it does not know."""
    with open_to_all(Daemons("user = nobody\n", ["smtp"], parent=parent)) as d:
        other = d.home / "other.conf"
        other.write_text(d.conf.read_text().replace("user = nobody", f"user = {NUMBER}").replace("/run\n", "/other\n"))
        done = run(PROGRAMS / "smtpd", "-c", other, check=False)
        assert done.returncode == 78 and "so group must be set" in done.stderr, done
        # A number that the system does know brings its group.
        d.stop("smtpd")
        d.set("user", 65534)
        d.start("smtpd")
        server = wait_for(lambda: child(d.pid("smtpd")), what="the server")
        wait_for(lambda: ids(server)[:2] == ({"65534"}, {"65534"}), what="the ids of nobody")
        other.write_text(d.conf.read_text() + "group = no-such-group\n")
        done = run(PROGRAMS / "smtpd", "-c", other, check=False)
        assert done.returncode == 78 and "no such group" in done.stderr, done


def root_is_said(parent):
    with Daemons("", ["smtp"], parent=parent) as d:
        assert "level=warn event=root" in d.log("smtpd").replace("warning", "warn"), d.log("smtpd")
        done = run(PROGRAMS / "smtpd", "-t", "-c", d.conf)
        assert "notice: user is not set" in done.stderr, done
        d.set("user", "nobody")
        done = run(PROGRAMS / "smtpd", "-t", "-c", d.conf, check=False)
        assert "user is not set" not in done.stderr and "is closed to user nobody: chown -R" in done.stderr, done


def no_delay(parent):
    with Daemons("", ["imap"], parent=parent, cleartext=True, plain=True) as d:
        d.set("auth.failure_delay", "0")
        d.stop("imapd")
        d.start("imapd")
        begun = time.monotonic()
        for _ in range(3):
            with d.wire("imap") as w:
                w.line()
                w.ask("a LOGIN alice wrong", "a NO")
        assert time.monotonic() - begun < 8, "a failed login waited: 2, 4 and 8 s"


def main():
    if os.geteuid() != 0:
        sys.exit("this test needs root")
    with tempfile.TemporaryDirectory(prefix="libmail-") as parent:
        os.chmod(parent, 0o711)
        scenarios(numbers, number_needs_group, root_is_said, no_delay, arguments=(parent,))


main()
