"""Mail filters that others have written: OpenDKIM signs and verifies, pymilter speaks through libmilter; and miltertest,
an MTA of another make, finds that our own filter of the tests speaks the protocol."""
import os
import pathlib
import subprocess
import tempfile
import textwrap
import time

from lib_daemons import free_ports, listens, run, scenarios, wait_for
from lib_milter import Filter, header, text
from lib_mail_filters import LETTER, Mail

SYSTEM_PYTHON = "/usr/bin/python3"  # the one that the package python3-milter is for


class Program:
    """A filter in a process of its own."""

    def __init__(self, ready, *command):
        self.log = tempfile.NamedTemporaryFile(prefix="filter-")
        self.process = subprocess.Popen([str(c) for c in command], stdout=self.log, stderr=self.log)
        wait_for(lambda: self.alive() and ready(), what=f"{command[0]}")

    def alive(self):
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def opendkim(folder, name, port, **settings):
    conf = folder / f"{name}.conf"
    settings = {"Socket": f"inet:{port}@127.0.0.1", "Background": "no", "RequireSafeKeys": "no", "Domain": "c.example",
                "Selector": "s", "KeyFile": folder / "s.private", "Canonicalization": "relaxed/simple",
                "OversignHeaders": "From", **settings}
    conf.write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
    return Program(lambda: listens(port), "opendkim", "-f", "-x", conf)


def signatures():
    """One OpenDKIM signs, a second one finds the signature good: every octet is where it was."""
    with tempfile.TemporaryDirectory() as home:
        folder = pathlib.Path(home)
        run("opendkim-genkey", "-D", folder, "-d", "c.example", "-s", "s", "-b", "2048")
        record = (folder / "s.txt").read_text()
        (folder / "keys").write_text("s._domainkey.c.example " + "".join(record.split('"')[1::2]) + "\n")
        (folder / "inside").write_text("127.0.0.1\n")
        (folder / "outside").write_text("192.0.2.1\n")
        sign, verify = free_ports(2)
        with opendkim(folder, "sign", sign, Mode="s", InternalHosts=folder / "inside"), \
                opendkim(folder, "verify", verify, Mode="v", InternalHosts=folder / "outside", TestPublicKeys=folder / "keys",
                         AuthservID="verifier.example", AlwaysAddARHeader="yes"), \
                Mail(f"inet:{sign}@127.0.0.1", f"inet:{verify}@127.0.0.1", on_failure="tempfail") as m:
            for letter in (LETTER, LETTER.replace("hello\r\n", "".join(f"{i:>70}\r\n" for i in range(20000))),
                           LETTER.replace("Subject: one", "Subject:  odd \t space\r\n\tand a fold ")):
                assert m.send(letter, sender="f@c.example").startswith("250")
                got = m.only("alice")
                assert "DKIM-Signature: v=1;" in got and "d=c.example; s=s;" in got, got[:2000]
                assert "Authentication-Results: verifier.example;" in got and "dkim=pass" in got, got[:2000]
                for path in (m.d.data / "mail" / "alice" / "new").glob("*"):
                    path.unlink()


PYMILTER = """
    import sys
    import Milter

    class Ours(Milter.Base):
        @Milter.noreply
        def connect(self, name, family, hostaddr):
            return Milter.CONTINUE
        def envfrom(self, sender, *params):
            self.names, self.octets, self.sender = [], 0, sender
            return Milter.CONTINUE
        def envrcpt(self, to, *params):
            if "refused" in to:
                self.setreply("550", "5.7.1", "one line", "and 100%% more")
                return Milter.REJECT
            return Milter.CONTINUE
        def header(self, name, value):
            self.names.append(name)
            return Milter.CONTINUE
        def body(self, chunk):
            self.octets += len(chunk)
            return Milter.CONTINUE
        def eom(self):
            self.addheader("X-Names", " ".join(self.names))
            self.addheader("X-Octets", str(self.octets))
            self.addheader("X-Queue", self.getsymval("i") or "none")
            self.chgheader("Subject", 1, "by pymilter")
            self.addheader("X-First", "yes", 0)
            self.progress()
            self.replacebody("a new body\\r\\n")
            self.addrcpt("<carol@example.test>")
            self.delrcpt("<bob@example.test>")
            self.chgfrom("<pymilter@c.example>")
            return Milter.ACCEPT

    Milter.factory = Ours
    Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.ADDRCPT | Milter.DELRCPT | Milter.CHGFROM)
    Milter.runmilter("ours", sys.argv[1], 60)
"""


def pymilter():
    with tempfile.TemporaryDirectory() as home:
        script, path = pathlib.Path(home) / "ours.py", f"{home}/socket"
        script.write_text(textwrap.dedent(PYMILTER))
        with Program(lambda: os.path.exists(path), SYSTEM_PYTHON, script, f"unix:{path}"), \
                Mail(f"unix:{path}", on_failure="tempfail") as m:
            for _ in range(2):  # two messages, two sessions
                assert m.send(to=("alice@example.test", "bob@example.test")).startswith("250")
            got = m.only("alice")
            assert got.startswith("Return-Path: <pymilter@c.example>\r\nX-First: yes\r\nReceived: "), got
            assert "X-Names: From Subject X-Twice X-Twice Date Message-ID\r\n" in got and "X-Octets: 7\r\n" in got, got
            assert "\r\nSubject: by pymilter\r\n" in got and got.endswith("\r\n\r\na new body\r\n"), got
            assert "X-Queue: none" not in got and len(m.letters("carol")) == 2 and not m.letters("bob")
            with m.session() as s:
                s.docmd("MAIL FROM:<a@c.example>")
                code, said = s.docmd("RCPT TO:<refused@example.test>")
                assert code == 550 and b"User unknown" in said  # ours comes first
                code, said = s.docmd("RCPT TO:<alice+refused@example.test>")
                assert (code, said) == (550, b"5.7.1 one line\n5.7.1 and 100% more"), (code, said)
                assert s.docmd("RCPT TO:<alice@example.test>")[0] == 250


MILTERTEST = """
    conn = mt.connect("inet:%d@127.0.0.1")
    if conn == nil then error("no connection") end
    if mt.conninfo(conn, "localhost", "127.0.0.1") ~= nil then error("conninfo") end
    if mt.getreply(conn) ~= SMFIR_CONTINUE then error("connect") end
    mt.macro(conn, SMFIC_MAIL, "i", "job")
    if mt.mailfrom(conn, "a@c.example") ~= nil then error("mail") end
    if mt.getreply(conn) ~= SMFIR_CONTINUE then error("mail reply") end
    mt.rcptto(conn, "b@c.example")
    if mt.getreply(conn) ~= SMFIR_REPLYCODE then error("rcpt reply") end
    mt.header(conn, "Subject", "x")
    if mt.getreply(conn) ~= SMFIR_CONTINUE then error("header") end
    mt.eoh(conn)
    if mt.getreply(conn) ~= SMFIR_CONTINUE then error("eoh") end
    mt.bodystring(conn, "hello\\r\\n")
    if mt.getreply(conn) ~= SMFIR_CONTINUE then error("body") end
    mt.eom(conn)
    if mt.getreply(conn) ~= SMFIR_ACCEPT then error("eom") end
    if not mt.eom_check(conn, MT_HDRADD, "X-A", "v") then error("no X-A") end
    if not mt.eom_check(conn, MT_RCPTADD, "<c@c.example>") then error("no recipient") end
    if not mt.eom_check(conn, MT_BODYCHANGE, "new") then error("no body") end
    mt.disconnect(conn)
"""


def our_filter():
    with Filter(R=lambda f, d: [b"y550 5.7.1 no\0"],
                E=lambda f, d: [header(b"h", "X-A", "v"), text(b"+", "<c@c.example>"), b"bnew", b"a"]) as one, \
            tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(textwrap.dedent(MILTERTEST) % int(one.socket.split(":")[1].split("@")[0]))
        script.flush()
        run("miltertest", "-s", script.name)
        assert one.last().macros["i"] == "job"


if __name__ == "__main__":
    scenarios(our_filter, pymilter, signatures)
