#!/usr/bin/env python3
"""System users log in through imapd, authd and PAM; testsaslauthd and a real saslauthd at either end.

Runs in a mount namespace of its own with its own passwd, shadow and pam.d, so that nothing of the machine is touched.
"""
import imaplib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile

from lib_daemons import PROGRAMS, Daemons, letter, wait_for

INSIDE = "LIBMAIL_TEST_INSIDE"
# name: (uid, password or None)
USERS = {"correo": (23000, None), "postizo": (23001, "clave"), "sistema": (200, "clave"), "lejos": (23002, "lejana")}


def shadow(passwords, expired=()):
    lines = ["root:*:19000:0:99999:7:::\n"]
    for name, (_, password) in USERS.items():
        password = passwords.get(name, password)
        hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "saltsalt", password], check=True, text=True,
                                capture_output=True).stdout.strip() if password else "!"
        lines.append(f"{name}:{hashed}:19000:0:99999:7::{'19001' if name in expired else ''}:\n")
    return "".join(lines)


def enter():
    """Run this file again where mounts are ours alone."""
    flags = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
    os.environ[INSIDE] = "yes"
    os.execvp("unshare", ["unshare", *flags, sys.executable, __file__])


def mount_files(etc):
    passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/usr/sbin/nologin\n" + "".join(
        f"{name}:x:{uid}:{uid}:{name.title()}:/nonexistent:/usr/sbin/nologin\n" for name, (uid, _) in USERS.items())
    group = "root:x:0:\nshadow:x:42:\nsasl:x:45:\n" + "".join(f"{name}:x:{uid}:\n" for name, (uid, _) in USERS.items())
    pam = etc / "pam.d"
    pam.mkdir()
    for service in ("imap", "prueba"):
        (pam / service).write_text("auth required pam_unix.so\naccount required pam_unix.so\n")
    (pam / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
    for name, text in {"passwd": passwd, "group": group, "shadow": shadow({})}.items():
        (etc / name).write_text(text)
    (etc / "shadow").chmod(0o600)
    for name in ("passwd", "group", "shadow", "pam.d"):
        subprocess.run(["mount", "--bind", etc / name, f"/etc/{name}"], check=True)
        assert (etc / name).stat().st_ino == os.stat(f"/etc/{name}").st_ino, "the machine's own files are in the way"


def login(d, user, password):
    """'OK', or the server's refusal."""
    with imaplib.IMAP4_SSL("localhost", d.port["imaps"], ssl_context=d.tls()) as client:
        try:
            client.login(user, password)
            return "OK"
        except imaplib.IMAP4.error as error:
            return str(error)


def ask(mux, user, password, *more):
    """testsaslauthd's verdict."""
    done = subprocess.run(["/usr/sbin/testsaslauthd", "-f", mux, "-u", user, "-p", password, *more],
                          capture_output=True, text=True, timeout=30)
    assert "connect()" not in done.stdout + done.stderr, done
    return done.returncode == 0 and "OK" in done.stdout


def start_authd(d, mux):
    d.start("authd")
    wait_for(lambda: d.alive("authd") and mux.exists() and ask(mux, "alice", "secret"), what="authd")


def system_users(d, mux, etc):
    with smtplib.LMTP("127.0.0.1", d.port["lmtp"]) as client:
        client.sendmail("alice@example.test", ["postizo@example.test"], letter(to="postizo@example.test"))
    assert login(d, "postizo", "clave") == "OK"
    assert login(d, "Postizo@example.test", "clave") == "OK"
    with imaplib.IMAP4_SSL("localhost", d.port["imaps"], ssl_context=d.tls()) as client:
        client.login("postizo", "clave")
        assert client.select()[1] == [b"1"]
        assert b"letter 1" in client.fetch("1", "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0][1]
    for user, password in (("postizo", "mala"), ("postizo@elsewhere.example", "clave"), ("nadie", "clave"),
                           ("correo", "!"), ("sistema", "clave"), ("postizo", "")):
        answer = login(d, user, password)
        assert "AUTHENTICATIONFAILED" in answer, (user, answer)
    # A new password holds at once, and the old one no more.
    (etc / "shadow").write_text(shadow({"postizo": "nueva"}))
    assert login(d, "postizo", "nueva") == "OK"
    assert "AUTHENTICATIONFAILED" in login(d, "postizo", "clave")
    (etc / "shadow").write_text(shadow({}))
    # The file comes first: who stands there has that password alone; taken out, the system's again.
    assert login(d, "alice", "secret") == "OK"
    d.mailctl("user", "create", "-p", "postizo", input="propia\n")
    assert login(d, "postizo", "propia") == "OK"
    assert "AUTHENTICATIONFAILED" in login(d, "postizo", "clave")
    d.mailctl("user", "delete", "postizo")
    assert login(d, "postizo", "clave") == "OK"


def other_programs(d, mux, etc):
    assert ask(mux, "alice", "secret")
    assert ask(mux, "alice", "secret", "-r", "example.test")
    assert ask(mux, "alice@example.test", "secret")
    assert not ask(mux, "alice", "secret", "-r", "elsewhere.example")
    assert not ask(mux, "alice", "Secret")
    assert ask(mux, "postizo", "clave", "-s", "imap")
    assert ask(mux, "postizo", "clave", "-s", "prueba")
    assert not ask(mux, "postizo", "clave", "-s", "smtp"), "PAM's other denies"
    assert not ask(mux, "postizo", "clave", "-s", "../pam.d/imap")
    assert not ask(mux, "postizo", "clave", "-s", "imap", "-r", "elsewhere.example")
    assert not ask(mux, "sistema", "clave", "-s", "imap"), "a uid below auth.system_min_uid"
    # A changed account file is seen without a signal.
    d.mailctl("user", "password", "-p", "alice", input="distinta\n")
    assert ask(mux, "alice", "distinta") and not ask(mux, "alice", "secret")
    d.mailctl("user", "password", "-p", "alice", input="secret\n")
    # Other checks by a reload; a faulty file changes nothing.
    d.set("authd.check", "shadow")
    d.hang_up("authd")
    assert not ask(mux, "alice", "secret")
    assert ask(mux, "postizo", "clave", "-s", "smtp"), "shadow asks for no service"
    (etc / "shadow").write_text(shadow({}, expired=["postizo"]))
    assert not ask(mux, "postizo", "clave")
    (etc / "shadow").write_text(shadow({}))
    d.set("authd.check", "shadows")
    d.hang_up("authd", "reload_failed")
    assert f"event=config file={d.conf} line=" in d.log("authd"), "the log says where, not the standard error alone"
    assert ask(mux, "postizo", "clave")
    d.set("authd.check", None)
    d.hang_up("authd")
    assert ask(mux, "alice", "secret")


def silence(d, mux):
    """Without authd system users are told to try again, others do not notice."""
    d.stop("authd")
    assert not mux.exists()
    answer = login(d, "postizo", "clave")
    assert "AUTHENTICATIONFAILED" not in answer and answer != "OK", answer
    assert answer == login(d, "nadie", "clave"), "silence tells who exists"
    assert login(d, "alice", "secret") == "OK"
    start_authd(d, mux)
    assert login(d, "postizo", "clave") == "OK"


def real_saslauthd(d, where):
    """{SASLAUTHD} lines and the source of that name ask a saslauthd that is not ours."""
    where.mkdir()
    # When it ends it signals its whole process group: that must not be ours.
    server = subprocess.Popen(["/usr/sbin/saslauthd", "-a", "shadow", "-m", where, "-n", "1", "-d"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for((where / "mux").exists, what="saslauthd")
        where.chmod(0o755)
        with open(d.home / "accounts", "a") as file:
            file.write("lejos@example.test:{SASLAUTHD}\n")
        assert login(d, "lejos", "lejana") == "OK"
        assert "AUTHENTICATIONFAILED" in login(d, "lejos", "mala")
        assert "AUTHENTICATIONFAILED" in login(d, "postizo", "clave"), "only the file in this configuration"
    finally:
        server.terminate()
        server.wait(10)


def refusals(d):
    """-t and the exit codes."""
    authd = PROGRAMS / "authd"

    def run(*args):
        return subprocess.run([authd, *args], capture_output=True, text=True, timeout=30)
    assert run("-c", d.conf, "-t").returncode == 0
    second = run("-c", d.conf)
    assert second.returncode == 71 and "somebody answers there already" in second.stderr, second
    bad = d.home / "bad.conf"
    bad.write_text(d.conf.read_text() + "authd.socket_group = no-such-group\n")
    assert run("-c", bad, "-t").returncode == 1
    assert run("-c", bad).returncode == 78
    bad.write_text("authd.check = accounts, pamm\n")
    done = run("-c", bad, "-t")
    assert done.returncode == 1 and "not one of the choices: accounts|pam|shadow" in done.stderr, done
    assert run("--nonsense").returncode == 64


def main():
    etc = pathlib.Path(tempfile.mkdtemp(prefix="libmail-etc-"))
    parent = pathlib.Path(tempfile.mkdtemp(prefix="libmail-authd-"))
    try:
        parent.chmod(0o755)
        etc.chmod(0o755)
        mount_files(etc)
        # An imapd without privileges is the point; a user of the test's own namespace has nobody else to become.
        as_root = open("/proc/self/uid_map").read().split()[2] != "1"
        where = parent / "saslauthd"
        common = "authd.failure_delay = 50 ms\nauth.cache_time = 0\n" + ("user = correo\n" if as_root else "")
        d = Daemons(common + "auth.sources = file, system\n", listeners=("imaps", "lmtp"), parent=parent)
        d.home.chmod(0o755)
        with d:
            mux = d.home / "run" / "authd" / "mux"
            start_authd(d, mux)
            assert mux.stat().st_mode & 0o777 == 0o660
            if as_root:
                assert mux.stat().st_gid == USERS["correo"][0]
                pid = d.pid("imapd")

                def uids():
                    family = [str(pid), *open(f"/proc/{pid}/task/{pid}/children").read().split()]
                    return [re.search(r"Uid:\s+(\d+)", open(f"/proc/{member}/status").read())[1] for member in family]
                wait_for(lambda: "23000" in uids(), what="imapd without root")
            system_users(d, mux, etc)
            other_programs(d, mux, etc)
            silence(d, mux)
            refusals(d)
            for secret in ("clave", "nueva", "mala", "distinta"):
                assert secret not in d.log("authd") + d.log("imapd"), "a password is in a log"
        d = Daemons(common + f"auth.saslauthd_socket = {where}/mux\n", listeners=("imaps",), parent=parent)
        d.home.chmod(0o755)
        with d:
            real_saslauthd(d, where)
    finally:
        shutil.rmtree(etc, ignore_errors=True)
        shutil.rmtree(parent, ignore_errors=True)


if __name__ == "__main__":
    main() if os.environ.get(INSIDE) else enter()
