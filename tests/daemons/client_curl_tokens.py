"""curl logs in without a password: OAUTHBEARER and XOAUTH2 to a program that checks tokens, EXTERNAL with a certificate."""
from lib_daemons import BUILD, Daemons, letter, run, scenarios

LOGIN_DENIED = 67
SCHEMES = {"submission": "smtp", "submissions": "smtps", "imap": "imap", "imaps": "imaps", "pop3": "pop3", "pop3s": "pop3s"}


def curl(d, listener, mechanism, *options, check=True):
    """A letter to alice by submission, a listing elsewhere."""
    path = d.home / "out"
    path.write_text(letter())
    work = [] if listener in ("imap", "imaps", "pop3", "pop3s") else \
        ["--mail-from", "alice@example.test", "--mail-rcpt", "alice@example.test", "-T", path]
    return run("curl", "-sS", "-4", "--ssl-reqd", "--max-time", 30, "--cacert", d.ca, "--login-options", f"AUTH={mechanism}",
               f"{SCHEMES[listener]}://localhost:{d.port[listener]}/", *work, *options, check=check)


def tokens(d):
    for listener in SCHEMES:
        for mechanism in "OAUTHBEARER", "XOAUTH2":
            for ir in [], ["--sasl-ir"]:
                curl(d, listener, mechanism, "-u", "alice:", "--oauth2-bearer", "token-of-alice", *ir)
    assert d.log("server").count("event=login ") == 4 * len(SCHEMES)
    for listener in "submissions", "imaps", "pop3s":
        for mechanism in "OAUTHBEARER", "XOAUTH2":
            for user, token in ("alice:", "nonsense"), ("alice:", "token-of-bob"):
                done = curl(d, listener, mechanism, "-u", user, "--oauth2-bearer", token, check=False)
                assert done.returncode == LOGIN_DENIED, done
    assert d.log("server").count("reason=token") == 12 or d.log("server").count("event=login_failed") == 12
    assert "token-of" not in d.log("server")


def tokens_need_tls(d):
    for listener in "submission", "imap", "pop3":
        with d.wire(listener) as w:
            w.line()
            offer = {"submission": lambda: w.ask("EHLO c.example.net"), "imap": lambda: w.ask("a CAPABILITY", "a "),
                     "pop3": lambda: w.ask("CAPA", ".")}[listener]()
            assert "OAUTH" not in " ".join(offer), offer


def certificates(d):
    """Made by a CA of the test's own; the common name is the account."""
    for listener in SCHEMES:
        curl(d, listener, "EXTERNAL", "-u", "alice:", "--cert", d.home / "alice.pem")
    assert d.log("smtpd").count("user=alice mechanism=EXTERNAL") == 2
    for listener in "submissions", "imaps", "pop3s":
        for options in (["-u", "bob:", "--cert", d.home / "alice.pem"], ["-u", "nobody:", "--cert", d.home / "nobody.pem"],
                        ["-u", "alice:"]):
            assert curl(d, listener, "EXTERNAL", *options, check=False).returncode in (LOGIN_DENIED, 94), options
        forged = curl(d, listener, "EXTERNAL", "-u", "alice:", "--cert", d.home / "forged.pem", check=False)
        assert forged.returncode != 0
        # A certificate is asked for, not demanded
        run("curl", "-sS", "-4", "--ssl-reqd", "--cacert", d.ca, "-u", "alice:secret",
            f"{SCHEMES[listener]}://localhost:{d.port[listener]}/", *(["--mail-from", "alice@example.test", "--mail-rcpt",
            "alice@example.test", "-T", d.home / "out"] if listener == "submissions" else []))


def make_certificates(folder):
    def openssl(*args):
        run("openssl", *args, cwd=folder)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for ca in "ca", "other":
        openssl("req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.crt", "-days", "2", "-subj", f"/CN=Test {ca}",
                "-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign")
    for name, user, ca in ("alice", "alice", "ca"), ("nobody", "nobody", "ca"), ("forged", "alice", "other"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={user}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2",
                "-out", f"{name}.crt")
        (folder / f"{name}.pem").write_text((folder / f"{name}.crt").read_text() + (folder / f"{name}.key").read_text())


with Daemons("auth.mechanisms = OAUTHBEARER, XOAUTH2", SCHEMES, server=BUILD / "examples" / "example_token_server") as daemons:
    scenarios(tokens, tokens_need_tls, arguments=[daemons])
daemons = Daemons(listeners=SCHEMES)
make_certificates(daemons.home)
daemons.set("tls.client_ca", daemons.home / "ca.crt")
with daemons:
    scenarios(certificates, arguments=[daemons])
