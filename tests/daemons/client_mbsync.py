"""mbsync: a whole account both ways: folders, letters, flags, deletions; a second run has nothing to do."""
import imaplib
import mailbox

from lib_daemons import Daemons, letter, run, scenarios

BOXES = "INBOX", "Work", "Work/2026"


def configuration(d, local):
    text = f"""IMAPAccount here
Host localhost
Port {d.port["imaps"]}
User alice
Pass secret
TLSType IMAPS
CertificateFile {d.ca}
AuthMechs LOGIN

IMAPStore far
Account here

MaildirStore near
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""
    path = d.home / "mbsyncrc"
    path.write_text(text.replace("TLSType", "SSLType") if "isync 1.4" in run("mbsync", "--version").stdout else text)
    return path


class Account:
    """The mailboxes as a second client sees them: {box: {subject: flags}}."""

    def __init__(self, d):
        self.m = imaplib.IMAP4_SSL("localhost", d.port["imaps"], ssl_context=d.tls())
        self.m.login("alice", "secret")

    def do(self, command, *args):
        typ, data = getattr(self.m, command)(*args)
        assert typ == "OK", (command, args, data)
        return data

    def subjects(self, box):
        self.do("select", box, True)
        found = {}
        for piece in self.do("fetch", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
            if isinstance(piece, tuple):
                found[piece[1].decode().strip().removeprefix("Subject: ")] = \
                    {flag for flag in imaplib.ParseFlags(piece[0]) if flag != rb"\Recent"}
        return found


def subjects(local, box):
    """The same of the local Maildir."""
    return {m["Subject"]: set(m.get_flags()) for m in mailbox.Maildir(local / box, create=False)}


def sync(d):
    local = d.home / "local"
    local.mkdir()
    rc = configuration(d, local)

    def mbsync():
        return run("mbsync", "-c", rc, "-a")

    here = Account(d)
    for box in BOXES:
        if box != "INBOX":
            here.do("create", box)
        for n in range(10):
            here.do("append", box, "(\\Seen \\Flagged)" if n == 3 else None, None, letter(f"{box}-{n}").encode())
    mbsync()
    for box in BOXES:
        assert subjects(local, box) == {f"letter {box}-{n}": {"S", "F"} if n == 3 else set() for n in range(10)}, box
    before = {box: here.subjects(box) for box in BOXES}
    files = sorted(str(f) for f in local.rglob("*") if f.parent.name in ("cur", "new"))
    mbsync()
    assert {box: here.subjects(box) for box in BOXES} == before
    assert sorted(str(f) for f in local.rglob("*") if f.parent.name in ("cur", "new")) == files

    # Changes on both sides: a new letter, a flag, a deletion, a new folder on each.
    work = mailbox.Maildir(local / "Work", create=False)
    work.add(letter("from near"))
    for key, message in list(work.items()):
        if message["Subject"] == "letter Work-1":
            message.add_flag("R")
            work[key] = message
        elif message["Subject"] == "letter Work-2":
            work.remove(key)
    mailbox.Maildir(local / "Near").add(letter("near box"))
    here.do("select", "Work")
    here.do("store", "5", "+FLAGS", "\\Deleted")
    here.do("expunge")
    here.do("store", "5", "+FLAGS", "(\\Flagged)")
    here.do("append", "Work", None, None, letter("from far").encode())
    here.do("create", "Far")
    here.do("append", "Far", None, None, letter("far box").encode())
    mbsync()
    far, near = here.subjects("Work"), subjects(local, "Work")
    assert set(far) == set(near), (far, near)
    assert {"letter from near", "letter from far"} <= set(far) and "letter Work-2" not in far and "letter Work-4" not in far, far
    assert far["letter Work-1"] == {rb"\Answered"} and near["letter Work-5"] == {"F"}, (far, near)
    assert set(here.subjects("Near")) == {"letter near box"} and set(subjects(local, "Far")) == {"letter far box"}
    mbsync()
    assert here.subjects("Work") == far and subjects(local, "Work") == near
    here.m.logout()


with Daemons(listeners=("imaps",)) as daemons:
    scenarios(sync, arguments=[daemons])
