#!/usr/bin/env python3
"""passdb pam, shadow and passwd of a dovecot.conf: users of the system log in to imapd and pop3d through authd.

As authd.py in a mount namespace of its own with its own passwd, shadow and pam.d.
"""
import imaplib
import os
import pathlib
import poplib
import shutil
import sys
import tempfile

from authd import INSIDE, mount_files, shadow
from lib_daemons import Daemons, free_ports, wait_for

# what stands in the passdb: a service without a file has pam.d/other, which denies; shadow asks for no service
PASSDBS = {
    "driver = pam\n args = prueba": {"imap": True, "pop3": True},
    "driver = pam\n args = *": {"imap": True, "pop3": True},
    "driver = pam\n args = nothing": {"imap": False, "pop3": False},
    "driver = pam": {"imap": True, "pop3": True},
    "driver = shadow": {"imap": True, "pop3": True},
    "driver = passwd": {"imap": True, "pop3": True},
}

FORM = """protocols = imap pop3
listen = 127.0.0.1
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
auth_failure_delay = 50 msecs
mail_location = maildir:{home}/vmail/%u
passdb {{
 {passdb}
}}
userdb {{
  driver = passwd
}}
"""


def enters(port, protocol, user, password):
    """Did the login come to something?"""
    try:
        if protocol == "imap":
            with imaplib.IMAP4("127.0.0.1", port, timeout=20) as client:
                client.login(user, password)
                assert client.select()[0] == "OK"
        else:
            client = poplib.POP3("127.0.0.1", port, timeout=20)
            try:
                client.user(user)
                client.pass_(password)
            finally:
                client.quit()
        return True
    except (imaplib.IMAP4.error, poplib.error_proto) as error:
        assert "AUTH" in str(error), error
        return False


def one(passdb, expected, etc, parent):
    ports = dict(zip(("imap", "pop3"), free_ports(2)))
    as_root = open("/proc/self/uid_map").read().split()[2] != "1"
    d = Daemons("authd.failure_delay = 50 ms\nauth.cache_time = 0\n" + ("user = correo\n" if as_root else ""),
                listeners=(), users=("nobody",), parent=parent, plain=True)
    file = d.home / "dovecot.conf"
    file.write_text(FORM.format(home=d.home, passdb=passdb, **ports))
    kept = [line for line in d.conf.read_text().splitlines() if not line.startswith(("accounts", "auth.failure"))]
    d.conf.write_text("\n".join(kept) + f"\naccounts = {d.home}/accounts\ndovecot_conf = {file}\n")
    d.home.chmod(0o755)
    (d.home / "vmail").mkdir()
    if as_root:
        os.chown(d.home / "vmail", 23000, 23000)
    d.port = ports
    with d:
        d.start("authd")
        wait_for((d.home / "run" / "authd" / "mux").exists, what="authd")
        for protocol, port in ports.items():
            got = enters(port, protocol, "postizo", "clave")
            assert got == expected[protocol], (passdb, protocol, got)
            assert not enters(port, protocol, "postizo", "mala"), (passdb, protocol)
            assert not enters(port, protocol, "sistema", "clave"), "a uid below auth.system_min_uid"
            assert not enters(port, protocol, "nobody", "secret"), "the account file is no source here"
        assert (d.home / "vmail" / "postizo").is_dir() == any(expected.values())
        if any(expected.values()):
            (etc / "shadow").write_text(shadow({"postizo": "nueva"}))
            assert enters(ports["imap"], "imap", "postizo", "nueva")
            assert not enters(ports["imap"], "imap", "postizo", "clave")
            (etc / "shadow").write_text(shadow({}))


def main():
    etc = pathlib.Path(tempfile.mkdtemp(prefix="libmail-etc-"))
    parent = pathlib.Path(tempfile.mkdtemp(prefix="libmail-system-"))
    try:
        parent.chmod(0o755)
        etc.chmod(0o755)
        mount_files(etc)
        for service in "pop3", "dovecot": # those of imap and prueba are there
            shutil.copy(etc / "pam.d" / "imap", etc / "pam.d" / service)
        for passdb, expected in PASSDBS.items():
            one(passdb, expected, etc, parent)
    finally:
        shutil.rmtree(etc, ignore_errors=True)
        shutil.rmtree(parent, ignore_errors=True)


if __name__ == "__main__":
    if os.environ.get(INSIDE):
        main()
    else:
        os.environ[INSIDE] = "yes"
        os.execvp("unshare", ["unshare", *(["-m"] if os.geteuid() == 0 else ["-r", "-m"]), sys.executable, __file__])
