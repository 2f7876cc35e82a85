"""mailctl queue, every verb and refusal, beside a running smtpd. The rows are written as smtpd writes them."""
import json
import os
import pty
import shutil
import sqlite3
import subprocess
import tempfile
import time

from lib_daemons import BUILD, PROGRAMS, Daemons

NOW = int(time.time() * 1000)
HEADER = "Return-Path: <a@b.test>\r\n"
MAIL = ("Received: from c.test\r\n\tby mx.test\r\nSubject: \x1b[31mred\r\nX: \xe9\r\n\r\nbody\r\n")


def add(d, ident, sender, recipients, held=0, reason="", age=0):
    """recipients: (address, route, destination, reply)."""
    data = d.data / "queue" / "data" / f"{ident:X}"
    data.write_bytes((HEADER + MAIL).encode("latin-1"))
    with sqlite3.connect(d.data / "queue" / "queue.db") as db:
        db.execute("INSERT INTO message(id,sender,flags,body,ret,envid,auth,submitter,client,local_address,octets,header,"
                   "arrived,priority,held,reason,pending) VALUES(?,?,1,2,2,'e 1',NULL,'ana','192.0.2.1','',?,?,?,0,?,?,0)",
                   (ident, sender, data.stat().st_size, len(HEADER), NOW - age * 1000, held, reason))
        for n, (address, route, destination, reply) in enumerate(recipients):
            db.execute("INSERT INTO recipient(message,number,address,route,destination,notify,orcpt,state,next,attempts,"
                       "last,warned,code,enhanced,reply,host,blocked) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                       (ident, n, address, route, destination, 6, "rfc822;o@x", 0, NOW if reply else 0, bool(reply),
                        NOW if reply else 0, 0, 451 if reply else 0, "4.2.0" if reply else "", reply, "mx" if reply else "",
                        held != 0))


def fill(d):
    add(d, 0xA1, "a@b.test", [("x@far.test", "", "far.test", "later\nplease")], age=7200)
    add(d, 0xA2, "", [("y@far.test", "smtp:[hub]", "[hub]", ""), ("z@near.test", "", "near.test", "")])
    add(d, 0xA3, 'q"\\@b.test', [("x@near.test", "", "near.test", "")], held=2, reason="odd \u00e9")


def queue(d, *args, code=0, **how):
    done = d.mailctl("queue", *args, check=False, stdin=subprocess.DEVNULL, **how)
    assert done.returncode == code, (args, done)
    return done.stdout if code == 0 else done.stderr


def ids(d, *args):
    return " ".join(line.split("\t")[0] for line in queue(d, "list", *args).splitlines())


def listing(d):
    assert queue(d, "list") == "", "nothing waits"
    fill(d)
    lines = [line.split("\t") for line in queue(d, "list").splitlines()]
    assert [line[0] for line in lines] == ["A1", "A2", "A3"], lines
    assert lines[0][2:] == [str(len(HEADER + MAIL)), "waiting", "<a@b.test>", "<x@far.test>"], lines[0]
    assert lines[1][4:] == ["<>", "<y@far.test>,<z@near.test>"], lines[1]
    assert lines[2][3] == "quarantined", lines[2]
    for args, wanted in ((("--from", "<>"), "A2"), (("--from", "*@B.test"), "A1 A3"), (("--to", "x@*"), "A1 A3"),
                         (("--destination", "[hub]"), "A2"), (("--quarantined",), "A3"), (("--held",), ""),
                         (("--held", "--quarantined"), "A3"), (("--waiting",), "A1 A2"), (("--waiting", "--quarantined"), "A1 A2 A3"), (("--older", "1h"), "A1"), (("--newer", "3600s"), "A2 A3"),
                         (("--from", "a*", "--to", "y*"), ""), (("a2",), "A2"), (("A3", "A1"), "A3 A1")):
        assert ids(d, *args) == wanted, (args, ids(d, *args))
    objects = [json.loads(line) for line in queue(d, "list", "--json").splitlines()]
    assert [o["id"] for o in objects] == ["A1", "A2", "A3"]
    assert objects[2]["sender"] == 'q"\\@b.test' and objects[2]["reason"] == "odd \u00e9", objects[2]
    assert objects[0]["envid"] == "e 1" and objects[0]["body"] == "8BITMIME" and objects[0]["ret"] == "HDRS"
    assert objects[0]["smtputf8"] is True and objects[0]["submitter"] == "ana"
    first = objects[0]["recipients"][0]
    assert first["reply"] == "later\nplease" and first["code"] == 451 and first["notify"] == ["SUCCESS", "FAILURE"], first
    assert first["orcpt"] == "rfc822;o@x" and first["attempts"] == 1, first
    assert objects[1]["recipients"][0]["route"] == "smtp:[hub]"


def show(d):
    text = queue(d, "show", "A1")
    assert "from       <a@b.test>\n" in text and "<x@far.test>: waiting, 1 attempt" in text, text
    assert "451 4.2.0 later\\x0Aplease (mx)\n" in text, text
    head = text.split("\n\n")[1]
    assert head.startswith("Received: from c.test\n\tby mx.test\nSubject: \\x1B[31mred\nX: \\xE9"), head
    assert "Return-Path" not in text and "body" not in head, text
    raw = subprocess.run([PROGRAMS / "mailctl", "--config", d.conf, "queue", "show", "--message", "A1"],
                         check=True, capture_output=True).stdout
    assert raw == MAIL.encode("latin-1"), raw
    assert json.loads(queue(d, "show", "--json", "A2"))["sender"] == ""
    assert queue(d, "show", "A3", "A2").count("state ") == 2
    (d.data / "queue/data/A2").rename(d.data / "away")
    assert "A2: its data file is gone" in queue(d, "show", "A2", code=1)
    (d.data / "away").rename(d.data / "queue/data/A2")
    assert "A9: no such message" in queue(d, "show", "A9", code=1)
    assert "xyz: not an id" in queue(d, "show", "xyz", code=1)


def hold(d):
    assert queue(d, "hold", "--reason", "look", "A1") == "1 message held\n"
    assert ids(d, "--held") == "A1" and "reason     look\n" in queue(d, "show", "A1")
    assert "A1: is held already" in queue(d, "hold", "A1", code=1)
    assert queue(d, "hold", "all", "--to", "*@near.test") == "1 message held\n", "the one in quarantine stays that"
    assert queue(d, "release", "all", "--held") == "2 messages released\n"
    assert "A1: is not held" in queue(d, "release", "A1", code=1)
    assert queue(d, "release", "A3") == "1 message released\n"
    assert ids(d, "--quarantined") == ""


def delete(d):
    assert queue(d, "delete", "A1") == "1 message deleted\n"
    assert not (d.data / "queue/data/A1").exists() and ids(d) == "A2 A3"
    assert "A1: no such message" in queue(d, "delete", "A1", code=1)
    assert "2 messages would be deleted; say --yes" in queue(d, "delete", "all", code=1)
    assert "1 messages would be deleted" in queue(d, "delete", "all", "--from", "<>", code=1)
    for answer, left in (("n\n", "A2 A3"), ("\n", "A2 A3"), ("y\n", "A3")):
        ours, theirs = pty.openpty()
        os.write(ours, answer.encode())
        done = d.mailctl("queue", "delete", "all", "--from", "<>", check=False, stdin=theirs)
        os.close(ours)
        os.close(theirs)
        assert "Delete 1 messages? [y/N]" in done.stderr, done
        assert done.returncode == (left != "A3") and ids(d) == left, (answer, done)
    assert queue(d, "delete", "all", "--yes") == "1 message deleted\n"
    assert queue(d, "delete", "all", "--yes") == "0 messages deleted\n"
    assert list((d.data / "queue/data").iterdir()) == []


def usage(d):
    for args in (("list", "--yes"), ("list", "A1", "--held"), ("list", "--older", "1x"), ("list", "--older", ""),
                 ("show",), ("show", "--held", "A1"), ("show", "--message", "--json", "A1"),
                 ("show", "--message", "A1", "A2"), ("delete",), ("delete", "--held"), ("delete", "A1", "--held"),
                 ("delete", "all", "--json"), ("hold", "all", "--nonsense"), ("release", "--reason", "x", "A1")):
        assert "usage: mailctl" in queue(d, *args, code=64), args


def refused(d):
    """Another user, and no queue."""
    done = d.mailctl("--help", check=False)
    assert "queue" in done.stdout
    d.set("queue.directory", f"{d.home}/none")
    assert "none: there is no queue" in queue(d, "list", code=1)
    d.set("queue.directory", None)
    if os.geteuid() == 0:
        for path in (d.home, d.data):
            path.chmod(0o755)
        d.set("smtp.privacy", "restrict_mailq")
        assert "only root and the owner" in as_nobody(d, "queue", "list")
        assert "data/queue: " in as_nobody(d, "queue", "retry", "all"), "looking and running are two things"
        d.set("smtp.privacy", "restrict_qrun")
        for verb in "retry", "release":
            assert "restrict_qrun: only root and the owner" in as_nobody(d, "queue", verb, "all"), verb
        for args in ("queue", "list"), ("queue", "hold", "all"):
            assert "data/queue: " in as_nobody(d, *args), args
        route = ("policy", "explain", "--client", "127.0.0.1", "--from", "a@b.example", "--to", "bob@example.test")
        d.set("smtp.privacy", "restrict_expand")
        assert "restrict_expand: only root and the owner" in as_nobody(d, *route)
        assert "route\n" in d.mailctl(*route).stdout, "root may"
        d.set("smtp.privacy", "auth_warnings")
        said = as_nobody(d, "queue", "list")
        assert "data/queue: " in said, said
        as_nobody(d, *route, code=0)


def as_nobody(d, *args, code=1):
    """A user who may not enter the build tree, perhaps: so with copies beside the configuration."""
    copies = d.home / "programs"
    if not copies.exists():
        copies.mkdir()
        for path in (PROGRAMS / "mailctl", *BUILD.glob("libmail*.so*")):
            shutil.copy(path, copies)
    done = subprocess.run([copies / "mailctl", "--config", d.conf, *args], env={"LD_LIBRARY_PATH": str(copies)},
                          user=65534, group=65534, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == code, done
    return done.stderr


with tempfile.TemporaryDirectory() as parent:
    os.chmod(parent, 0o755)
    with Daemons(listeners=("smtp",), parent=parent) as d:
        usage(d)
        listing(d)
        show(d)
        hold(d)
        delete(d)
        refused(d)
        d.stop("smtpd")
        assert queue(d, "list") == "", "without smtpd too"
