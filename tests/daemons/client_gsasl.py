"""gsasl, the command of GNU SASL: SCRAM on IMAP and SMTP over STARTTLS, and -PLUS bound to the TLS channel.

gsasl 2.2 binds with tls-exporter on TLS 1.3 (RFC 9266) and with tls-unique on TLS 1.2, where nothing that ends in
-PLUS is offered here: its priority string chooses.
"""
import base64
import hashlib
import hmac
import os
import subprocess

from lib_daemons import Daemons, run, scenarios

SCRAM = "SCRAM-SHA-1", "SCRAM-SHA-256"
TLS13, TLS12 = "NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"
PLUS = "auth.mechanisms = SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-1"


def gsasl(d, listener, mechanism, *options, password="secret", check=True):
    """A login of alice; the log must tell of it, unless check is False."""
    daemon = "imapd" if listener == "imap" else "smtpd"
    login = f"user=alice mechanism={mechanism} secure=yes\n"
    before = d.log(daemon).count(login)
    done = run("gsasl", "--imap" if listener == "imap" else "--smtp", "--mechanism", mechanism, "-a", "alice", "-p", password,
               "--x509-ca-file", d.ca, "--hostname", "localhost", *options, "localhost", d.port[listener], check=check,
               stdin=subprocess.DEVNULL)
    assert d.log(daemon).count(login) == before + (1 if check else 0), (done.stdout, done.stderr)
    return done


def unbound(d):
    for listener in "imap", "submission":
        for mechanism in SCRAM:
            gsasl(d, listener, mechanism, "--no-cb", "--priority", TLS13)
            gsasl(d, listener, mechanism, "--no-cb", "--priority", TLS12)
        assert gsasl(d, listener, "SCRAM-SHA-256", "--no-cb", password="wrong", check=False).returncode != 0


def scram(d, flag):
    """SCRAM-SHA-256 in a few lines, for what gsasl does not do: a client that could bind says so ("y", RFC 5802 §6)."""
    with d.wire("imap") as w:
        w.line()
        w.ask("a STARTTLS", "a OK")
        w.secure(d.tls())
        nonce = base64.b64encode(os.urandom(18)).decode()
        first = f"n=alice,r={nonce}"
        w.ask("b AUTHENTICATE SCRAM-SHA-256", "+ ")
        line = w.ask(base64.b64encode(f"{flag},,{first}".encode()).decode(), ("+ ", "b "))[0]
        if not line.startswith("+ "):
            return line
        answer = base64.b64decode(line[2:]).decode()
        parts = dict(word.split("=", 1) for word in answer.split(","))
        final = f"c={base64.b64encode(f'{flag},,'.encode()).decode()},r={parts['r']}"
        salted = hashlib.pbkdf2_hmac("sha256", b"secret", base64.b64decode(parts["s"]), int(parts["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), f"{first},{answer},{final}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        line = w.ask(base64.b64encode(f"{final},p={proof}".encode()).decode(), ("+ ", "b "))[0]
        return w.ask("", "b ")[-1] if line.startswith("+ ") else line


def not_offered(d):
    """Where nothing that binds is on offer, a client that could bind is let in."""
    assert scram(d, "n").startswith("b OK") and scram(d, "y").startswith("b OK")
    for listener in "imap", "submission":
        assert gsasl(d, listener, "SCRAM-SHA-256-PLUS", "--priority", TLS13, check=False).returncode != 0


def bound(d):
    for listener in "imap", "submission":
        for mechanism in SCRAM:
            gsasl(d, listener, mechanism + "-PLUS", "--priority", TLS13)
        assert gsasl(d, listener, "SCRAM-SHA-256-PLUS", "--priority", TLS13, password="wrong", check=False).returncode != 0
        assert gsasl(d, listener, "SCRAM-SHA-256-PLUS", "--priority", TLS12, check=False).returncode != 0


def downgraded(d):
    """Where -PLUS is on offer, "y" means that somebody took it out of the list on the way: refused (RFC 5802 §6)."""
    assert scram(d, "n").startswith("b OK")
    line = scram(d, "y")
    assert line.startswith("b NO"), line


with Daemons(listeners=("imap", "submission")) as daemons:
    scenarios(unbound, not_offered, arguments=[daemons])
with Daemons(PLUS, listeners=("imap", "submission")) as daemons:
    scenarios(unbound, bound, downgraded, arguments=[daemons])
