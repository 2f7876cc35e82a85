"""swaks: the mechanisms of SMTP AUTH, STARTTLS, TLS, several recipients, refusals, and LMTP."""
from lib_daemons import Daemons, run, scenarios

SETTINGS = "auth.mechanisms = PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5\n"


def swaks(d, listener, *options, to="bob@example.test", check=True):
    return run("swaks", "-n", "--timeout", 15, "--server", f"127.0.0.1:{d.port[listener]}", "--ehlo", "client.example.net",
               "--from", "alice@example.test", "--to", to, *options, check=check)


def verified(d):
    return ["--tls-verify", "--tls-ca-path", d.ca]


def refused(done, code):
    text = done.stdout + done.stderr
    assert done.returncode != 0 and code in text, text


def mechanisms(d):
    for mechanism in "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5":
        login = ["--auth", mechanism, "--auth-user", "alice", "--auth-password"]
        swaks(d, "submission", "-tls", *login, "secret")
        assert f"user=alice mechanism={mechanism}" in d.log("smtpd"), mechanism
        refused(swaks(d, "submission", "-tls", *login, "wrong", check=False), "535 5.7.0")


def no_password_in_clear(d):
    """Without TLS only the mechanisms that do not hand the password over are offered."""
    login = ["--auth-user", "alice", "--auth-password", "secret"]
    done = swaks(d, "submission", "--auth", "CRAM-MD5", *login)
    assert "AUTH CRAM-MD5 DIGEST-MD5" in done.stdout, done.stdout
    refused(swaks(d, "submission", "--auth", "PLAIN", *login, check=False), "requested type not available")
    refused(swaks(d, "submission", check=False), "530")


def tls(d):
    swaks(d, "smtp", "-tls", *verified(d))
    assert "ESMTPS" in run("sh", "-c", f"cat {d.data}/mail/bob/new/*").stdout
    swaks(d, "submissions", "--tls-on-connect", *verified(d), "--auth", "PLAIN", "--auth-user", "alice",
          "--auth-password", "secret")
    for version in "tlsv1_2", "tlsv1_3":
        done = swaks(d, "smtp", "-tls", "--tls-protocol", version)
        assert f"TLS started with cipher {version.replace('tlsv', 'TLSv').replace('_', '.')}" in done.stdout, done.stdout
    assert swaks(d, "smtp", "-tls", "--tls-protocol", "tlsv1_1", check=False).returncode != 0
    assert swaks(d, "lmtp", "-tls", "--protocol", "LMTP", check=False).returncode != 0, "LMTP offers no STARTTLS here"


def hello(d):
    """EHLO tells what there is, before and after STARTTLS; HELO works too."""
    before, after = swaks(d, "submission", "-tls", "--quit-after", "FROM", check=False).stdout.split("=== TLS started")
    for word in ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN"):
        assert word in before and word in after, (word, before, after)
    assert "STARTTLS" in before and "250-STARTTLS" not in after and "250 STARTTLS" not in after, after
    assert "PLAIN" not in before and "AUTH PLAIN LOGIN" in after, (before, after)
    assert "EHLO" not in swaks(d, "smtp", "--protocol", "SMTP").stdout


def recipients(d):
    done = swaks(d, "smtp", "--header", "Subject: both", to="alice@example.test,bob@example.test")
    assert done.stdout.count("250 2.1.5") == 2, done.stdout
    for user in "alice", "bob":
        text = run("sh", "-c", f"cat {d.data}/mail/{user}/new/*").stdout
        assert "Subject: both" in text, user
    partial = swaks(d, "smtp", to="bob@example.test,nobody@example.test")
    assert "550 5.1.1" in partial.stdout and "250 2.0.0" in partial.stdout, partial.stdout
    swaks(d, "smtp", to="postmaster")
    swaks(d, "smtp", to="BOB@EXAMPLE.TEST")
    swaks(d, "smtp", "--from", "<>")


def refusals(d):
    refused(swaks(d, "smtp", to="nobody@example.test", check=False), "550 5.1.1")
    refused(swaks(d, "lmtp", "--protocol", "LMTP", to="x@elsewhere.example", check=False), "550 5.7.1")
    refused(swaks(d, "lmtp", "--protocol", "LMTP", to="x%elsewhere.example@example.test", check=False), "550 5.7.1")
    swaks(d, "submissions", "--tls-on-connect", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "secret",
          to="x@elsewhere.example")


def lmtp(d):
    """Each recipient gets an answer of its own, over TCP and over a unix socket."""
    done = swaks(d, "lmtp", "--protocol", "LMTP", to="alice@example.test,bob@example.test")
    assert "LHLO" in done.stdout and done.stdout.count("<-  250 2.0.0") + done.stdout.count("<-  250 2.1.5") >= 4, done.stdout
    refused(swaks(d, "lmtp", "--protocol", "LMTP", to="nobody@example.test", check=False), "550 5.1.1")
    run("swaks", "-n", "--socket", d.home / "lmtp.sock", "--protocol", "LMTP", "--from", "", "--to",
        "bob@example.test", "--ehlo", "client.example.net")
    assert "peer=unix" in d.log("smtpd")


class WithSocket(Daemons):
    def __init__(self):
        super().__init__(SETTINGS, listeners=("smtp", "submission", "submissions", "lmtp"))
        with self.conf.open("a") as conf:
            conf.write(f"listener local {{\n protocol = lmtp\n tls = none\n address = unix:{self.home}/lmtp.sock\n}}\n")


with WithSocket() as daemons:
    scenarios(mechanisms, no_password_in_clear, tls, hello, recipients, refusals, lmtp, arguments=[daemons])
