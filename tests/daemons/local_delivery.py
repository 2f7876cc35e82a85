"""Mail into mailboxes here, and out of the house by LMTP: what aliases make of a recipient, what an LMTP client hears."""
import imaplib
import os
import smtplib
import socket
import sqlite3

from lib_daemons import Daemons, free_ports, letter, scenarios, wait_for
from lib_relay import Peer

TCP = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "none", "smtpd"), "lmtp": ("lmtp", "none", "smtpd"), "imap": ("imap", "none", "imapd")}
ALIASES = """team: alice, bob
pair: bob, x@box.test
one: two
two: three
three: one
many: alice, bob, carol, team
"""
VIRTUSERS = """info@virt.test bob
+*@virt.test bob+%2
gone@virt.test error:5.7.1:550 Gone away
wild-one@virt.test %1@virt2.test
@virt2.test carol
@virt.test error:nouser No such user here
"""


def settings(home):
    return f"""domains = example.test, virt.test, virt2.test
policy.relay_domains = box.test, tcp.test, sub.test
policy.access = {home}/access
routing.aliases = {home}/aliases
routing.virtusertable = {home}/virtusertable
routing.mailertable = {home}/mailertable
store.home = {home}/homes/%n
queue.retry_first = 1 s
queue.retry_most = 1 s
"""


def mails(d, user, folder="INBOX"):
    """Files of a mailbox, oldest first."""
    where = d.data / "mail" / user
    where = where if folder == "INBOX" else where / ("." + folder.replace("/", "."))
    return sorted((f for part in ("new", "cur") for f in (where / part).glob("*")), key=lambda f: f.stat().st_mtime_ns)


def send(d, *to, text="hello", sender="s@elsewhere.example", listener="smtp"):
    client = smtplib.LMTP if listener == "lmtp" else smtplib.SMTP
    with client("127.0.0.1", d.port[listener]) as s:
        s.ehlo()
        return s.sendmail(sender, list(to), letter(text))


def refused(d, to, code, *words):
    with d.wire("smtp") as w:
        w.hello()
        w.ask("MAIL FROM:<s@elsewhere.example>")
        reply = " ".join(w.ask(f"RCPT TO:<{to}>"))
        assert reply.startswith(code) and all(word in reply for word in words), reply


def one_write(d):
    """However many recipients: one file, linked."""
    before = {user: len(mails(d, user)) for user in ("alice", "bob", "carol")}
    send(d, "many@example.test", "alice@example.test", "info@virt.test")
    got = [mails(d, user) for user in before]
    for user, list_ in zip(before, got):
        assert len(list_) == before[user] + 1, (user, list_)
    stats = [list_[-1].stat() for list_ in got]
    assert len({s.st_ino for s in stats}) == 1 and stats[0].st_nlink == 3, stats


def aliases(d):
    refused(d, "one@example.test", "554 5.4.6", "loop")
    refused(d, "nobody@example.test", "550 5.1.1")


def virtual(d):
    refused(d, "gone@virt.test", "550 5.7.1", "Gone away")
    refused(d, "else@virt.test", "553 5.1.1", "No such user here")
    before = len(mails(d, "carol"))
    send(d, "wild-one@virt.test")
    send(d, "whoever@virt2.test")
    assert len(mails(d, "carol")) == before + 2
    before = len(mails(d, "bob"))
    send(d, "any+detail@virt.test")
    assert len(mails(d, "bob")) == before + 1


def detail(d):
    """user+detail: into the mailbox of that name when there is one; it is never made, and leads nowhere else."""
    for name in ("Work", "Work.Reports", "caf&AOk-", "a^b"):
        for part in ("cur", "new", "tmp"):
            (d.data / "mail/alice" / f".{name}" / part).mkdir(parents=True, exist_ok=True)
    before = {f: len(mails(d, "alice", f)) for f in ("INBOX", "Work", "Work.Reports", "caf&AOk-")}

    def went(to, folder, count=1):
        send(d, *([to] if isinstance(to, str) else to), text="detail")
        before[folder] += count
        assert {f: len(mails(d, "alice", f)) for f in before} == before, (to, folder)

    went("alice+work@example.test", "Work")
    went("ALICE+WORK@example.test", "Work")
    went("alice+work/reports@example.test", "Work.Reports")
    went("alice+inbox@example.test", "INBOX")
    went(["alice+work@example.test", "alice+Work@example.test"], "Work") # one copy
    went(["alice@example.test", "alice+none@example.test"], "INBOX")
    for strange in ("none", "", "../bob", "/etc", "..", ".", "work/", "/work", "work.reports", "caf&AOk-", "$(id)", "*", "w*", "a" * 50,
                    "a^b/../../../bob", "+work", "work+reports", "~", "&"):
        went(f'"alice+{strange}"@example.test', "INBOX")
    folders = {p.name for p in (d.data / "mail/alice").iterdir() if p.name.startswith(".") and p.is_dir()}
    assert folders == {".Work", ".Work.Reports", ".caf&AOk-", ".a^b"}, folders
    assert sorted(p.name for p in (d.data / "mail").iterdir()) == ["alice", "bob", "carol", "dave"], "nothing new"
    with d.wire("smtp") as w: # the name that IMAP shows, in UTF-8
        w.hello()
        w.ask("MAIL FROM:<s@elsewhere.example> SMTPUTF8")
        assert w.ask("RCPT TO:<alice+café@example.test>")[0].startswith("250")
        w.ask("DATA")
        assert w.ask(letter("utf8") + ".")[0].startswith("250")
    before["caf&AOk-"] += 1
    assert len(mails(d, "alice", "caf&AOk-")) == before["caf&AOk-"]
    d.set("routing.detail_folders", "no")
    d.hang_up("smtpd")
    went("alice+work@example.test", "INBOX")
    d.set("routing.detail_folders", None)
    d.hang_up("smtpd")


def detail_waits(d):
    """What is held and released goes where it would have gone."""
    send(d, "alice+work@example.test", "alice+none@example.test", sender="held@elsewhere.example")
    before = len(mails(d, "alice", "Work")), len(mails(d, "alice"))
    assert "local:alice work" in d.mailctl("queue", "list", "--json").stdout
    d.mailctl("queue", "release", "all")
    wait_for(lambda: (len(mails(d, "alice", "Work")), len(mails(d, "alice"))) == (before[0] + 1, before[1] + 1),
             what=f"one more each: {before}")


def forward(d):
    """A file in the user's home, when the setting says so; what it may not do is told and leaves the mail at home."""
    home = d.home / "homes"
    file = home / "fran" / ".forward"
    for user in "fran", "gil", "hal":
        (home / user).mkdir(parents=True)
        (home / user).chmod(0o755)

    def count():
        return {u: len(mails(d, u)) for u in ("fran", "gil", "hal", "bob")}

    def went(text, boxes, outside=(), to="fran", problem=None):
        if text is not None:
            file.unlink(missing_ok=True)
            file.write_bytes(text.encode())
            file.chmod(0o644)
        before, log, sent = count(), len(d.log("smtpd")), len(box.mails)
        send(d, f"{to}@example.test", text="forward")
        for user in boxes:
            before[user] += 1
        assert count() == before, (text, before, count())
        wait_for(lambda: sorted(r for m in box.mails[sent:] for r in m[1]) == sorted(outside), 5, f"{outside}: {box.mails[sent:]}")
        told = [line for line in d.log("smtpd")[log:].splitlines() if "event=forward_problem" in line]
        assert bool(told) == bool(problem) and (not problem or problem in told[0]), (text, told)

    with Peer(str(d.home / "box.sock"), lmtp=True) as box:
        went("x@box.test\n", ["fran"]) # off
        d.set("routing.forward", ".forward, forward")
        d.hang_up("smtpd")
        went("x@box.test\n", [], ["x@box.test"])
        went("\\fran, x@box.test", ["fran"], ["x@box.test"])
        went("# a copy\r\nfran\r\n\"y z\"@box.test\r\n", ["fran"], ['"y z"@box.test'])
        went("fran@example.test, gil", ["fran", "gil"])
        went("# nothing\n", ["fran"])
        went("pair, bob", ["bob"], ["x@box.test"]) # aliases, and bob once
        went("nobody", ["fran"], problem="User unknown")
        went("\"|/usr/bin/vacation fran\"", ["fran"], problem="a program gets no mail")
        went("/tmp/x, gil", ["fran", "gil"], problem="a file gets no mail")
        went(":include:/etc/passwd", ["fran"], problem=":include:")
        went("x@box.test\n" + "#" * 20000, ["fran"], problem="too large")
        file.write_text("x@box.test")
        file.chmod(0o666)
        went(None, ["fran"], problem="others may write to the file")
        file.chmod(0o644)
        (home / "fran").chmod(0o777)
        went(None, ["fran"], problem="others may write to the home")
        (home / "fran").chmod(0o755)
        if os.getuid() == 0:
            os.chown(file, 12345, -1)
            went(None, ["fran"], problem="the file belongs to somebody else")
            os.chown(file, 0, -1)
        (home / "target").write_text("x@box.test")
        file.unlink()
        file.symlink_to(home / "target")
        went(None, ["fran"], problem="symbolic link")
        file.unlink()
        os.link(home / "target", file)
        went(None, ["fran"], problem="more than one name")
        file.unlink()
        os.mkfifo(file)
        went(None, ["fran"], problem="no regular file")
        (home / "gil/forward").write_text("hal") # the second name; chains
        went("gil", ["hal"])
        (home / "hal/.forward").write_text("fran, \\hal")
        went("gil", ["fran", "hal"], problem="circle")
        (home / "hal/.forward").write_text("x@box.test, gil, fran")
        went("fran, gil, hal", ["fran", "gil"], ["x@box.test"], problem="circle")
        d.set("routing.forward", None)
        d.hang_up("smtpd")


def quota(d):
    """A full account is told of at RCPT, with SIZE= before the octets come; among others it is the queue's affair."""
    big = "x" * 70 + "\r\n"

    def rcpt(to, size=None, listener="smtp"):
        with d.wire(listener) as w:
            w.reply()
            w.ask("LHLO x" if listener == "lmtp" else "EHLO x")
            w.ask("MAIL FROM:<s@elsewhere.example>" + (f" SIZE={size}" if size else ""))
            return w.ask(f"RCPT TO:<{to}@example.test>")[0]

    def data(*to, size=0):
        with d.wire("smtp") as w:
            w.hello()
            w.ask("MAIL FROM:<s@elsewhere.example>")
            for t in to:
                assert w.ask(f"RCPT TO:<{t}@example.test>")[0].startswith("250"), t
            w.ask("DATA")
            return w.ask(letter("quota", body=big * (size // 72)) + ".")[0]

    assert rcpt("ivy").startswith("250") and rcpt("ivy", 3000).startswith("250")
    assert rcpt("ivy", 9000).startswith("452 4.2.2 "), rcpt("ivy", 9000)
    assert rcpt("ivy", 9000, "lmtp").startswith("452 4.2.2 ")
    assert data("ivy", size=9000).startswith("452 4.2.2 ")
    before = len(mails(d, "bob"))
    assert data("ivy", "bob", size=9000).startswith("250")
    wait_for(lambda: len(mails(d, "bob")) == before + 1 and "dsn=4.2.2" in d.log("smtpd"), what="bob's, and ivy's deferral")
    assert data("ivy", size=3000).startswith("250")
    assert data("ivy", size=100).startswith("250")
    assert [rcpt(u, 900)[:10] for u in ("ivy", "joe")] == ["452 4.2.2 ", "250 2.1.5 "]
    assert data("joe").startswith("250") and data("joe").startswith("250")
    assert rcpt("joe").startswith("452 4.2.2 "), "messages"
    with imaplib.IMAP4("127.0.0.1", d.port["imap"]) as imap:
        imap.login("joe", "x")
        assert imap.append("INBOX", None, None, letter("own").encode()) == ("NO", [b"[OVERQUOTA] The account is over its quota"])
        imap.select("INBOX")
        imap.store("1", "+FLAGS", r"\Deleted")
        imap.expunge()
        assert imap.append("INBOX", None, None, letter("own").encode())[0] == "OK"
    d.set("store.quota_refusal", "reject")
    d.hang_up("smtpd")
    assert rcpt("joe").startswith("552 5.2.2 ")
    d.set("store.quota_refusal", None)
    d.set("store.quota_messages", "1")
    d.hang_up("smtpd")
    assert rcpt("bob").startswith("452 4.2.2 ") and rcpt("joe").startswith("452 4.2.2 ")
    d.set("store.quota_messages", None)
    d.hang_up("smtpd")
    d.mailctl("queue", "delete", "all", check=False) # the one that waited was refused for good meanwhile


def usage_is_kept(d):
    """What the index says is what it holds, also in an index of before, and in one that is made anew."""
    index = d.data / "mail/ivy/libmail.index"

    def held(db):
        return db.execute("SELECT octets,messages FROM usage").fetchone(), \
            db.execute("SELECT sum(size),count(*) FROM message").fetchone()

    with sqlite3.connect(index) as db:
        got, counted = held(db)
        assert got == counted and got[1] == 2, (got, counted)
    d.stop("smtpd")
    with sqlite3.connect(index) as db:
        for name, kind in db.execute("SELECT name,type FROM sqlite_master WHERE name LIKE 'usage%'").fetchall():
            if kind == "trigger":
                db.execute(f"DROP TRIGGER {name}")
        db.execute("DROP TABLE usage")
        db.execute("PRAGMA user_version=1")
    d.start("smtpd")
    before = len(mails(d, "bob"))
    send(d, "bob@example.test", text="after")
    assert len(mails(d, "bob")) == before + 1
    with d.wire("smtp") as w:
        w.hello()
        w.ask("MAIL FROM:<s@elsewhere.example> SIZE=900")
        assert w.ask("RCPT TO:<ivy@example.test>")[0].startswith("452 4.2.2 ")
    with sqlite3.connect(index) as db:
        got, counted = held(db)
        assert got == counted and got[1] == 2, (got, counted)


def lmtp_in(d):
    """One answer for each RCPT that was accepted, whatever an alias made of it: dave's mailbox cannot be written."""
    for family, where in (socket.AF_INET, ("127.0.0.1", d.port["lmtp"])), (socket.AF_UNIX, str(d.home / "lmtp.sock")):
        s = socket.socket(family)
        s.connect(where)
        f = s.makefile("rwb")

        def ask(text, count=1):
            f.write(text.encode() + b"\r\n")
            f.flush()
            lines = []
            while len(lines) < count:
                line = f.readline().decode()
                if line[3] == " ":
                    lines.append(line.strip())
            return lines

        assert f.readline().startswith(b"220 ")
        assert ask("EHLO x")[0][0] == "5"
        assert ask("LHLO x")[0][:3] == "250"
        ask("MAIL FROM:<s@elsewhere.example>")
        for to, code in ("team", "250"), ("dave", "250"), ("nobody", "550"), ("carol", "250"):
            assert ask(f"RCPT TO:<{to}@example.test>")[0][:3] == code, to
        assert ask("DATA")[0][:3] == "354"
        replies = ask(letter("lmtp") + ".", 3)
        assert [r[:3] for r in replies] == ["250", "451", "250"], replies
        assert ask("NOOP")[0][:3] == "250"
        ask("MAIL FROM:<s@elsewhere.example>") # one RCPT that becomes two
        ask("RCPT TO:<team@example.test>")
        ask("DATA")
        assert [r[:3] for r in ask(letter("again") + ".", 1)] == ["250"]
        assert ask("QUIT")[0][:3] == "221"
        s.close()


def lmtp_out(d):
    (d.home / "box.sock").unlink(missing_ok=True)
    with Peer(str(d.home / "box.sock"), lmtp=True, rcpt=lambda a, n: "550 5.1.1 no" if a.startswith("no") else None) as box:
        before = len(mails(d, "bob"))
        send(d, "a@box.test", "no@box.test", "pair@example.test")
        wait_for(lambda: sorted(to for m in box.mails for to in m[1]) == ["a@box.test", "x@box.test"], what=f"box: {box.mails}")
        assert len(mails(d, "bob")) == before + 1
        assert any(line.startswith("LHLO ") for line in box.lines), box.lines
        assert b"Return-Path" not in box.mails[0][2]
        wait_for(lambda: "event=bounced" in d.log("smtpd"), what="the other's end")
    with Peer(port=TCP, lmtp=True) as tcp:
        send(d, "b@tcp.test", "c@x.sub.test")
        wait_for(lambda: sorted(to for m in tcp.mails for to in m[1]) == ["b@tcp.test", "c@x.sub.test"], what=f"tcp: {tcp.mails}")
        assert any(line.startswith("LHLO ") for line in tcp.lines), tcp.lines
    done = d.mailctl("policy", "explain", "--client", "192.0.2.1", "--from", "s@elsewhere.example", "--to", "b@tcp.test", check=False)
    assert f"127.0.0.1]:{TCP}" in done.stdout, done


def prepare(d):
    (d.home / "access").write_text("From:held@elsewhere.example QUARANTINE:look\n")
    (d.home / "aliases").write_text(ALIASES)
    (d.home / "virtusertable").write_text(VIRTUSERS)
    (d.home / "mailertable").write_text(f"box.test lmtp:unix:{d.home}/box.sock\ntcp.test lmtp:[127.0.0.1]:{TCP}\n"
                                        f".sub.test lmtp:inet:[127.0.0.1]:{TCP}\n")
    (d.data / "mail").mkdir(parents=True)
    (d.data / "mail" / "dave").write_text("no directory")


if __name__ == "__main__":
    d = Daemons("", listeners=LISTENERS, users=("alice", "bob", "carol", "dave", "fran", "gil", "hal"), sends=True, cleartext=True)
    with d.conf.open("a") as conf:
        conf.write(f"listener local {{\n protocol = lmtp\n tls = none\n address = unix:{d.home}/lmtp.sock\n}}\n")
    for line in settings(d.home).splitlines():
        d.set(*line.split(" = ", 1))
    prepare(d)
    with (d.home / "accounts").open("a") as accounts:
        accounts.write("ivy:{PLAIN}x::::::quota_storage=4K\njoe:{PLAIN}x::::::userdb_quota_rule=*:storage=1M:messages=2\n")
    with d:
        scenarios(one_write, aliases, virtual, detail, forward, quota, usage_is_kept, lmtp_in, lmtp_out, detail_waits, arguments=[d])
