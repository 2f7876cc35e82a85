"""mailctl policy explain: the verdict, the reply, and each step with file and line, as smtpd would decide."""
import subprocess
import sys
import tempfile

from lib_daemons import PROGRAMS
from lib_vectors import GUIDE, HOST, VECTORS

ACCESS = GUIDE / "access"
CASES = [ # what is asked, what stands in the answer, what does not
    ("--client 203.0.113.3,mx.spammers.com.ar --from a@b.example --to juan@midominio.com.mx",
     ["connect: deny, 550 5.7.1 Access denied (connect:spammers.com.ar)", f"{ACCESS}:15",
      "Connect:mx.spammers.com.ar", ": no\n"], ["mail\n"]),
    ("--client 203.0.113.1 --from a@b.example --to x@elsewhere.example",
     ["rcpt: deny, 550 5.7.1 Relaying denied. IP name lookup failed [203.0.113.1]"], ["route\n"]),
    ("--client 203.0.113.1,!h.example --from a@b.example --to x@elsewhere.example", ["IP name possibly forged"], []),
    ("--client 203.0.113.1,? --from <> --to <x@elsewhere.example>", ["450 4.4.0", "empty sender"], []),
    ("--client 203.0.113.1 --from a@b.example --domain no --to juan@midominio.com.mx", ["mail: deny, 553 5.1.8"], ["rcpt\n"]),
    ("--client 203.0.113.1 --from a@b.example --domain temp --to juan@midominio.com.mx", ["mail: deny, 451 4.1.8"], []),
    ("--client 203.0.113.1 --auth CRAM-MD5 --from a@b.example --to x@elsewhere.example",
     ["rcpt: relay, 250 2.1.5 Recipient ok (trusted login)", "to: x@elsewhere.example by esmtp catchall.example (no MX)", f"{VECTORS}/mailertable:8"], []),
    ("--client 207.249.24.30 --from a@b.example --to x@elsewhere.example",
     ["rcpt: relay", f"{ACCESS}:7", "rewrite\n  MAIL FROM: a@b.example\n  From: a@b.example\n"], []),
    (f"--client 127.0.0.1 --from juan@{HOST} --to x@elsewhere.example",
     [f"rewrite\n  MAIL FROM: juan@{HOST} becomes juan@midominio.com.mx\n  From: juan@{HOST} becomes juan@midominio.com.mx\n"], []),
    ("--client 127.0.0.1 --from juan --to juan@midominio.com.mx", ["rewrite\n  From: juan becomes juan@midominio.com.mx\n"],
     ["MAIL FROM:"]),
    (f"--client 127.0.0.1 --from root@{HOST} --to x@elsewhere.example", [f"  MAIL FROM: root@{HOST}\n  From: root@{HOST}\n"], []),
    (f"--client 203.0.113.1 --from juan@{HOST} --to juan@midominio.com.mx", ["rewrite\n  nothing: other people's"], []),
    ("--client 203.0.113.1 --from a@b.example --to Juan+x@midominio.com.mx",
     ["rcpt: local", "(class w)", "to: user juan (detail x)"], []),
]


def explain(conf, *arguments):
    done = subprocess.run([PROGRAMS / "mailctl", "--config", conf, "policy", "explain", *arguments], text=True, capture_output=True)
    return done.returncode, done.stdout


with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
    conf.write(f"hostname = {HOST}\npolicy.access = {ACCESS}\npolicy.local_host_names = {GUIDE}/local-host-names\n"
               "policy.accept_unqualified_senders = yes\n"
               "masquerade.as = midominio.com.mx\nmasquerade.envelope = yes\nmasquerade.exposed_users = root\n"
               f"policy.trusted_mechanisms = CRAM-MD5\nrouting.mailertable = {VECTORS}/mailertable\n")
    conf.flush()
    for question, there, absent in CASES:
        code, text = explain(conf.name, *question.split())
        assert code == 0, question
        for piece in there:
            assert piece in text, (question, piece, text)
        for piece in absent:
            assert piece not in text, (question, piece, text)
    assert explain(conf.name, "--client", "203.0.113.1")[0] == 64
    assert explain(conf.name, "--client", "x", "--from", "a@b", "--to", "c@d")[0] == 1
    assert explain("/nonexistent.conf", "--client", "1.2.3.4", "--from", "a@b", "--to", "c@d")[0] == 1
sys.exit(0)
