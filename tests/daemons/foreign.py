"""Other programs beside the daemons: what they do in a Maildir reaches a session that waits."""
import os
import pathlib
import re
import sqlite3
import time

from lib_daemons import PASSWORD, Daemons, letter, scenarios, wait_for

SOON = 5  # seconds; a tenth of one is usual, but machines may be busy
LISTENERS = "imap", "lmtp"
counter = 0


def waiting(d, mailbox="INBOX", user="alice", command="SELECT"):
    """A session in IDLE, and how many messages it was told of."""
    w = d.wire("imap")
    w.line()
    w.ask(f"a LOGIN {user} {PASSWORD}", "a OK")
    told = w.ask(f"b {command} {mailbox}", "b OK")
    w.ask("c IDLE", "+")
    return w, next(int(line.split()[1]) for line in told if line.endswith(" EXISTS"))


def hears(w, pattern, seconds=SOON):
    """The next line that fits, in time."""
    w.socket.settimeout(seconds)
    try:
        while True:
            line = w.line()
            assert line is not None, f"the end instead of {pattern}"
            if re.fullmatch(pattern, line):
                return line
    except TimeoutError:
        raise AssertionError(f"{seconds} s without {pattern}") from None


def hears_nothing(w, seconds=0.5):
    w.socket.settimeout(seconds)
    try:
        line = w.line()
    except TimeoutError:
        return
    raise AssertionError(f"unexpected: {line}")


def maildir(d, mailbox="INBOX", user="alice"):
    return d.data / "mail" / user / ("" if mailbox == "INBOX" else "." + mailbox)


def deliver(folder, text=None, name=None):
    """As any delivery program: whole in tmp/, then a rename."""
    global counter
    counter += 1
    name = name or f"{int(time.time())}.{counter}.elsewhere"
    (folder / "tmp" / name).write_text(text or f"Subject: foreign {counter}\n\nHello.\n")
    return (folder / "tmp" / name).rename(folder / "new" / name)


def mail_comes_changes_and_goes(d):
    """Also for a second session on the mailbox, and one that may only read; others hear nothing."""
    first, have = waiting(d)
    second, _ = waiting(d)
    reader, _ = waiting(d, command="EXAMINE")
    other, _ = waiting(d, user="bob")
    box = maildir(d)
    file = deliver(box)
    for w in first, second, reader:
        hears(w, rf"\* {have + 1} EXISTS")
    file = file.rename(box / "cur" / (file.name + ":2,S"))
    for w in first, second, reader:
        hears(w, rf"\* {have + 1} FETCH \(.*FLAGS \(.*\\Seen.*\).*\)")
    file = file.rename(box / "cur" / (file.name + "T"))
    for w in first, second, reader:
        hears(w, rf"\* {have + 1} FETCH \(.*FLAGS \(.*\\Deleted.*\).*\)")
    file.unlink()
    for w in first, second, reader:
        hears(w, rf"\* {have + 1} EXPUNGE")
    hears_nothing(other)
    for w in first, second, reader, other:
        w.send("DONE\r\n")
        w.until("c OK")
        w.ask("d LOGOUT", "d OK")
        w.close()


def many_at_once(d):
    w, have = waiting(d)
    for _ in range(200):
        deliver(maildir(d))
    while int(hears(w, r"\* \d+ EXISTS").split()[1]) < have + 200:
        pass
    for file in maildir(d).glob("new/*.elsewhere"):
        file.unlink()
    for _ in range(200):
        hears(w, r"\* \d+ EXPUNGE")
    w.close()


def what_came_before_idle(d):
    """Between SELECT and IDLE nobody watches."""
    w, have = waiting(d)
    w.send("DONE\r\n")
    w.until("c OK")
    deliver(maildir(d))
    w.send("e IDLE\r\n")
    hears(w, rf"\* {have + 1} EXISTS")
    w.close()


def half_a_file(d):
    """A file of ours that another program copies without a temporary name shows when it is whole."""
    w, have = waiting(d)
    text = "Subject: whole\r\n\r\nHello.\r\n"
    name = f"{int(time.time())}.M000001P1Q1R00000001.localhost,S={len(text)}"
    with open(maildir(d) / "new" / name, "w", newline="") as file:
        file.write(text[:10])
        file.flush()
        hears_nothing(w, 1)
        file.write(text[10:])
    hears(w, rf"\* {have + 1} EXISTS")
    w.send("DONE\r\n")
    w.until("c OK")
    assert any(text.splitlines()[0] in line for line in w.ask(f"e FETCH {have + 1} BODY.PEEK[]", "e OK"))
    w.close()


def scanned(d):
    """When the mailbox's directories were last read."""
    with sqlite3.connect(f"file:{maildir(d)}/libmail.index?mode=ro", uri=True) as db:
        return db.execute("SELECT scanned, new_mtime FROM mailbox WHERE dir = ''").fetchone()


def lmtp(d, count):
    with d.wire("lmtp") as w:
        w.line()
        w.ask("LHLO client.example")
        for number in range(count):
            w.ask("MAIL FROM:<bob@example.test>")
            w.ask("RCPT TO:<alice@example.test>")
            w.ask("DATA")
            w.send(letter(number) + ".\r\n")
            assert w.line().startswith("250")


def own_mail_costs_no_scan(d):
    for attempt in range(4):  # a disk that takes longer than the look waits makes one look too early
        w, have = waiting(d)
        w.send("DONE\r\n")
        w.until("c OK")
        time.sleep(1.2)  # the directories come to rest, and the clock of `scanned` moves on
        w.ask("e CHECK", "e OK")
        w.ask("f IDLE", "+")
        before = scanned(d)
        time.sleep(1.2)
        lmtp(d, 10)
        while int(hears(w, r"\* \d+ EXISTS").split()[1]) < have + 10:
            pass
        time.sleep(0.5)
        after = scanned(d)
        w.close()
        assert after[1] != before[1], "the step was not followed"
        if after[0] == before[0]:
            return
    raise AssertionError("each time the directories were read")


def past_the_bound(d):
    """One mailbox may be watched; another is looked at every ten seconds."""
    d.set("store.max_watches", 1)
    d.stop("imapd")
    d.start("imapd")
    first, have = waiting(d)
    second, had = waiting(d, user="bob")
    deliver(maildir(d))
    hears(first, rf"\* {have + 1} EXISTS")
    deliver(maildir(d, user="bob"))
    hears(second, rf"\* {had + 1} EXISTS", 25)
    first.close()
    second.close()


def watches(d):
    """Directories that imapd has the system watch."""
    count = 0
    for fd in pathlib.Path(f"/proc/{d.pid('imapd')}/fdinfo").iterdir():
        try:
            count += sum(line.startswith("inotify wd:") for line in fd.read_text().splitlines())
        except FileNotFoundError:
            pass
    return count


def watches_end(d):
    """Two directories a mailbox, whoever waits there; none when nobody has it any more."""
    wait_for(lambda: watches(d) == 0, what="no watch")
    sessions = [waiting(d)[0] for _ in range(5)] + [waiting(d, user="bob")[0]]
    wait_for(lambda: watches(d) == 4, what="two mailboxes watched")
    for w in sessions[:5]:
        w.close()
    wait_for(lambda: watches(d) == 2, what="one mailbox watched")
    sessions[5].send("DONE\r\n")
    sessions[5].until("c OK")
    sessions[5].ask("d UNSELECT", "d OK")
    wait_for(lambda: watches(d) == 0, what="no watch")
    sessions[5].close()


if __name__ == "__main__":
    with Daemons(listeners=LISTENERS, cleartext=True, plain=True) as daemons:
        scenarios(mail_comes_changes_and_goes, many_at_once, what_came_before_idle, half_a_file, own_mail_costs_no_scan,
                  watches_end, past_the_bound, arguments=(daemons,))
