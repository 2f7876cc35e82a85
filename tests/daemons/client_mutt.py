"""mutt without a person: sends by authenticated submission, reads, flags, saves and deletes over IMAP and POP3."""
import pathlib
import smtplib

from lib_daemons import Daemons, letter, run, scenarios

# Keys are pushed as if typed; script(1) gives mutt a terminal.
BASE = """set ssl_force_tls=yes ssl_starttls=yes certificate_file={ca} ssl_verify_host=no
set realname="Alice" from=alice@example.test hostname=client.example.net send_charset=utf-8
set imap_user={user} imap_pass=secret pop_user={user} pop_pass=secret
set sort=mailbox-order sleep_time=0 mail_check=1 wait_key=no confirmappend=no confirmcreate=no
set delete=yes move=no quit=yes record="" mark_old=no abort_nosubject=no
"""


def mutt(d, user, *options, rc="", keys="", check=True, **how):
    home = d.home / f"home-{user}"
    (home / "Mail").mkdir(parents=True, exist_ok=True)  # else it asks
    path = home / "muttrc"
    path.write_text(BASE.format(ca=d.ca, user=user) + rc + (f'push "{keys}"\n' if keys else ""))
    command = ["mutt", "-n", "-F", path, *options]
    if keys:
        command = ["script", "-qec", " ".join(f"'{word}'" for word in command), "/dev/null"]
    return run("env", f"HOME={home}", "TERM=vt100", "LC_ALL=C.UTF-8", *command, check=check, **how)


def text_of(d, user, box=""):
    folder = pathlib.Path(d.data, "mail", user, box)
    return [f.read_text(encoding="utf-8") for part in ("new", "cur") for f in sorted((folder / part).iterdir())]


def sends(d):
    for scheme, listener, n in ("smtp", "submission", 1), ("smtps", "submissions", 2):
        mutt(d, "alice", "-s", f"Grüße {n}", "-a", __file__, "--", "bob@example.test",
             rc=f"set smtp_url={scheme}://alice:secret@localhost:{d.port[listener]}/\n", input="Lieber Bob,\n.\nAlice\n")
    assert len(text_of(d, "bob")) == 2, text_of(d, "bob")
    text = text_of(d, "bob")[0]
    assert "Subject: =?utf-8?" in text and "Lieber Bob,\n.\nAlice\n" in text.replace("\r\n", "\n") and "multipart/mixed" in text
    wrong = mutt(d, "alice", "-s", "x", "bob@example.test", check=False, input="x\n",
                 rc=f"set smtp_url=smtps://alice:wrong@localhost:{d.port['submissions']}/\n")
    assert wrong.returncode != 0 and len(text_of(d, "bob")) == 2


def reads(d):
    """Open the newest, flag it, save the older to a new folder, and leave."""
    for listener, box in ("imaps", "Kept"), ("imap", "Kept2"):
        before = len(text_of(d, "bob"))
        url = f"{listener}://localhost:{d.port[listener]}"
        mutt(d, "bob", "-f", f"{url}/INBOX", keys="<last-entry><display-message><exit><flag-message><sync-mailbox><quit>")
        mutt(d, "bob", "-f", f"{url}/INBOX", keys=f"<first-entry><save-message><kill-line>{url}/{box}<enter><sync-mailbox><quit>")
        names = [f.name for f in pathlib.Path(d.data, "mail", "bob", "cur").iterdir()]
        assert any(",FS" in name for name in names), names
        assert len(text_of(d, "bob", f".{box}")) == 1 and len(text_of(d, "bob")) == before - 1
        with smtplib.SMTP("localhost", d.port["smtp"]) as s:
            s.sendmail("a@b.example", "bob@example.test", letter(f"more for {box}"))


def pop(d):
    """Fetch everything by POP3 into a local folder; mutt deletes what it has."""
    with smtplib.SMTP("localhost", d.port["smtp"]) as s:
        for n in range(3):
            s.sendmail("a@b.example", "alice@example.test", letter(n))
    spool = d.home / "home-alice" / "spool"
    spool.write_text("")
    mutt(d, "alice", "-f", spool, rc=f"set spoolfile={spool} pop_host=pops://localhost:{d.port['pop3s']} pop_delete=yes\n",
         keys="<fetch-mail>y<sync-mailbox><quit>")
    assert spool.read_text().count("Subject: letter") == 3, spool.read_text()
    assert text_of(d, "alice") == []


with Daemons() as daemons:
    scenarios(sends, reads, pop, arguments=[daemons])
