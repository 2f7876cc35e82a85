"""A full disk: refused in time with the right code, nothing lost, EXPUNGE works, and mail goes on when there is room."""
import subprocess

from lib_daemons import Daemons, wait_for
from lib_mount import mounted, need_root
from lib_wire import Imap, Pop, Smtp, message_id, stored

need_root("full_disk")
ALICE = "alice@example.test"


def letter(name, octets):
    return f"Message-ID: <{name}>\r\nSubject: {name}\r\n\r\n".encode() + (b"0123456789abcdef\r\n" * (octets // 18))


def fill_by_smtp(d, size, accepted):
    """Send until refused; the refusal."""
    with Smtp(d.port["smtp"]) as c:
        for _ in range(2000):
            name = f"s{len(accepted)}.{size}@full"
            code, text = c.send("load@example.test", ALICE, letter(name, size))
            if code != 250:
                assert c.cmd("NOOP")[0] == 250, "the session goes on"
                return code, text
            accepted.append(name)
    raise AssertionError("the disk never got full")


def ids(d):
    with Imap(d.port["imap"]) as c:
        assert c.cmd("SELECT INBOX").ok
        return [message_id(text) for _, _, text in c.messages("UID FLAGS BODY.PEEK[]")]


def expunge(d, count):
    with Imap(d.port["imap"]) as c:
        assert c.cmd("SELECT INBOX").ok
        before = c.messages("UID FLAGS BODY.PEEK[HEADER]")
        gone = before[:count]
        answer = c.cmd(f"STORE 1:{count} +FLAGS (\\Deleted)")
        assert answer.ok, answer
        answer = c.cmd("EXPUNGE")
        assert answer.ok, answer
        return [message_id(text) for _, _, text in gone]


def no_debris(d):
    left = [p for p in (d.data / "spool").rglob("*") if p.is_file()]
    left += [p for p in (d.data / "mail").rglob("tmp/*")]
    assert not left, f"left behind: {left[:5]}"


def one_round(d, accepted, ballast):
    """ballast: fill the disk to its last block behind the server's back, so that the reserve is gone as well."""
    code, text = fill_by_smtp(d, 100_000, accepted)
    assert code == 452, (code, text)
    code, text = fill_by_smtp(d, 1_000, accepted)
    assert code == 452, (code, text)
    if ballast:
        subprocess.run(["dd", "if=/dev/zero", f"of={d.data}/ballast", "bs=4k"], capture_output=True)
    with Smtp(d.port["smtp"]) as c:
        code, text = c.send("load@example.test", ALICE, letter("no@full", 4_000_000))
        assert code == 452, (code, text)
    with Imap(d.port["imap"]) as c:
        answer = c.append("INBOX", letter("no@full", 100_000))
        assert answer.status == "NO", answer
        print("APPEND:", answer.text)
        assert answer.text.startswith("[OVERQUOTA]") or answer.text.startswith("[LIMIT]") \
            or "storage" in answer.text.lower() or "disk" in answer.text.lower(), answer
        assert c.cmd("NOOP").ok
        assert c.cmd("SELECT INBOX").ok, "a full disk can be read"
    assert sorted(ids(d)) == sorted(accepted), "what was accepted is there, and only that"
    if ballast:
        # not even the reserve is left: reading works, and the room that comes back is used
        with Pop(d.port["pop3"]) as p:
            assert int(p.cmd("STAT").split()[1]) == len(accepted)
        (d.data / "ballast").unlink()
    for name in expunge(d, 60):
        accepted.remove(name)
    wait_for(lambda: set(stored(d.data)) == set(accepted), what="unlinked files")
    with Smtp(d.port["smtp"]) as c:
        code, text = c.send("load@example.test", ALICE, letter("room@full", 100_000))
        assert code == 250, (code, text)
        accepted.append("room@full")
    with Imap(d.port["imap"]) as c:
        answer = c.append("INBOX", letter("room2@full", 100_000))
        assert answer.ok, answer
        accepted.append("room2@full")
    assert sorted(ids(d)) == sorted(accepted)
    for name in ("room@full", "room2@full"):
        accepted.remove(name)
    with Imap(d.port["imap"]) as c:
        assert c.cmd("SELECT INBOX").ok
        uids = [str(u) for u, _, t in c.messages("UID FLAGS BODY.PEEK[HEADER]") if message_id(t).startswith("room")]
        assert c.cmd(f"UID STORE {','.join(uids)} +FLAGS.SILENT (\\Deleted)").ok
        assert c.cmd(f"UID EXPUNGE {','.join(uids)}").ok
    no_debris(d)


with mounted("-t", "tmpfs", "-o", "size=24m", "tmpfs") as folder:
    with Daemons("store.min_free = 2M\nsmtp.min_free = 0\n", listeners=("smtp", "imap", "pop3"), cleartext=True, plain=True, folder=folder) as d:
        accepted = []
        for ballast in (False, True, False):
            one_round(d, accepted, ballast)
            print(f"round done, {len(accepted)} letters stay")
        d.stop()
        d.start()
        assert sorted(ids(d)) == sorted(accepted), "after a restart"
