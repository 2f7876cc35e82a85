"""curl sends, lists, reads, searches and appends: SMTP, IMAP and POP3, with STARTTLS and with TLS from the start."""
import hashlib
import os

from lib_daemons import Daemons, letter, run, scenarios

UPLOAD_FAILED, BAD_CERTIFICATE, LOGIN_DENIED, NO_SUCH_MAIL = 25, 60, 67, 78  # curl's exit codes


def curl(d, url, *options, user="bob:secret", secure=True, **how):
    """url: LISTENER/path. Listeners whose name ends in s are TLS."""
    listener, _, path = url.partition("/")
    scheme = {"submission": "smtp", "submissions": "smtps"}.get(listener, listener)
    done = run("curl", "-sS", "-4", "--max-time", 30, "--cacert", d.ca, *(["--ssl-reqd"] if secure else []),
               *(["-u", user] if user else []), f"{scheme}://localhost:{d.port[listener]}/{path}", *options,
               text=False, **how)
    done.octets, done.stdout, done.stderr = done.stdout, done.stdout.decode("latin-1"), done.stderr.decode()
    return done


def written(d, name, text):
    path = d.home / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def send(d, listener, path, *options, to="bob@example.test", user="alice:secret", **how):
    return curl(d, listener + "/client.example.net", "--mail-from", "alice@example.test", "--mail-rcpt", to,
                "-T", path, *options, user=user, **how)


def sends(d):
    for n, (listener, user) in enumerate([("smtp", None), ("submission", "alice:secret"),
                                          ("submissions", "alice:secret")]):
        send(d, listener, written(d, "out", letter(n)), user=user)
    for mechanism in "PLAIN", "LOGIN":
        send(d, "submission", written(d, "out", letter(mechanism)), "--login-options", f"AUTH={mechanism}")
        assert f"mechanism={mechanism}" in d.log("smtpd")
    assert "550" in send(d, "smtp", d.home / "out", to="nobody@example.test", user=None, check=False).stderr
    send(d, "smtp", d.home / "out", to="x@elsewhere.example", user=None) # this machine relays; the queue has it
    assert send(d, "submission", d.home / "out", user="alice:wrong", check=False).returncode == LOGIN_DENIED
    assert send(d, "submission", d.home / "out", user=None, check=False).returncode != 0
    assert curl(d, "smtp/c.example.net", "-X", "VRFY", "--mail-rcpt", "bob", user=None).stdout.startswith("252")
    assert curl(d, "smtp/c.example.net", user=None).stdout.startswith("214")


def pop3(d):
    for listener in "pop3", "pop3s":
        listing = curl(d, listener + "/").stdout.split()
        assert len(listing) == 10, listing
        first = curl(d, listener + "/1").stdout
        assert first.endswith(letter(0)), first
        assert len(first) == int(listing[1])
        assert len(curl(d, listener + "/", "-X", "UIDL").stdout.splitlines()) == 5
        top = curl(d, listener + "/", "-X", "TOP 1 0").stdout
        assert "Subject: letter 0" in top and "Hello" not in top, top
        assert curl(d, listener + "/99", check=False).returncode != 0
        assert curl(d, listener + "/", user="bob:wrong", check=False).returncode == LOGIN_DENIED
        for mechanism in "PLAIN", "LOGIN":
            curl(d, listener + "/1", "--login-options", f"AUTH={mechanism}")
    curl(d, "pop3/1", "-X", "DELE", "-I")
    assert len(curl(d, "pop3/").stdout.splitlines()) == 4


def imap_reads(d):
    for listener in "imap", "imaps":
        assert '"/" INBOX' in curl(d, listener + "/").stdout
        assert curl(d, listener + "/INBOX;MAILINDEX=1").stdout.endswith(letter(1))
        assert curl(d, listener + "/INBOX;UID=2").stdout.endswith(letter(1))
        assert curl(d, listener + "/INBOX;UID=2;SECTION=TEXT").stdout == "Hello.\r\n"
        assert curl(d, listener + "/INBOX;MAILINDEX=99", check=False).returncode == NO_SUCH_MAIL
        assert curl(d, listener + "/None;MAILINDEX=1", check=False).returncode == LOGIN_DENIED  # its word for NO to SELECT
        assert curl(d, listener + "/INBOX?SUBJECT%20PLAIN").stdout.split() == ["*", "SEARCH", "3"]
        assert "FETCH (FLAGS" in curl(d, listener + "/INBOX", "-X", "FETCH 1:* FLAGS").stdout
        assert curl(d, listener + "/INBOX", "-X", "SEARCH FROM alice").stdout.split()[1:] == \
            ["SEARCH", "1", "2", "3", "4"]
        assert curl(d, listener + "/", user="bob:wrong", check=False).returncode == LOGIN_DENIED
        for mechanism in "PLAIN", "LOGIN":
            curl(d, listener + "/", "--login-options", f"AUTH={mechanism}")
        assert "BAD" in curl(d, listener + "/", "-X", "NONSENSE", "-v", check=False).stderr


def imap_writes(d):
    assert curl(d, "imap/", "-X", "CREATE Sent", check=False).returncode == 0
    assert "Sent" in curl(d, "imap/", "-X", 'LIST "" *').stdout
    curl(d, "imaps/Sent", "-T", written(d, "out", letter("kept")))
    assert curl(d, "imaps/Sent;MAILINDEX=1").stdout == letter("kept")
    assert curl(d, "imap/None", "-T", d.home / "out", check=False).returncode == UPLOAD_FAILED
    curl(d, "imap/Sent", "-X", "STORE 1 +FLAGS \\Deleted")
    curl(d, "imap/Sent", "-X", "EXPUNGE")
    assert "EXISTS" in curl(d, "imap/Sent", "-X", "NOOP", "-v").stderr


def large(d):
    """5 MB in by SMTP and APPEND, out by IMAP and POP3, the same octets."""
    lines = (os.urandom(36).hex().encode() + b"\r\n" for _ in range(5_000_000 // 74))
    text = letter("large").encode() + b"".join(lines)
    path = written(d, "large", text)
    send(d, "submissions", path, to="alice@example.test")
    curl(d, "imaps/INBOX", "-T", path, user="alice:secret")
    digest = hashlib.sha256(text).hexdigest()
    for url in "imaps/INBOX;MAILINDEX=", "imap/INBOX;MAILINDEX=", "pop3s/", "pop3/":
        for n in 1, 2:
            got = curl(d, f"{url}{n}", user="alice:secret").octets
            assert hashlib.sha256(got[-len(text):]).hexdigest() == digest, (url, n, len(got))
            assert n == 1 or len(got) == len(text)


def refuses_strangers(d):
    """A client that does not know our certificate, and one that would send a password in clear."""
    for listener in "smtp", "submissions", "imap", "imaps", "pop3", "pop3s":
        scheme = listener.replace("submissions", "smtps")
        unknown = run("curl", "-sS", "-4", "--ssl-reqd", f"{scheme}://localhost:{d.port[listener]}/", check=False)
        assert unknown.returncode == BAD_CERTIFICATE, (listener, unknown)
    plain = [send(d, "submission", d.home / "out", secure=False, check=False)]
    plain += [curl(d, listener + "/", secure=False, check=False) for listener in ("imap", "pop3")]
    assert all(done.returncode == LOGIN_DENIED for done in plain), plain


with Daemons() as daemons:
    scenarios(sends, pop3, imap_reads, imap_writes, large, refuses_strangers, arguments=[daemons])
