#!/usr/bin/env python3
"""The resolver through examples/resolve.c, against unbound: what lib_dns serves is what is answered; DNSSEC."""
import os
import pathlib
import subprocess
import tempfile
import time

from lib_dns import Dns, client, free_port, listed, pointer

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", "build/dev")).resolve()
RESOLVE = BUILD / "examples" / "example_resolve"

ZONES = {
    **client("192.0.2.1", "mail.example.org"),
    **client("2001:db8::25", "six.example.org"),
    **client("10.1.2.3", "inside.example.test"),
    **pointer("192.0.2.2", "mail.example.org"),
    **pointer("192.0.2.3", "SERVFAIL"),
    **pointer("192.0.2.4", "nowhere.example.org"),
    **pointer("192.0.2.5", "sick.example.org", "five.example.org"),
    **pointer("192.0.2.6", "SILENT"),
    "five.example.org": {"A": "192.0.2.5"},
    "sick.example.org": "SERVFAIL",
    "gone.example.org": "NXDOMAIN",
    "slow.example.org": "SILENT",
    "bare.example.org": {},
    "mx.example.org": {"MX": ["20 mail.example.org.", "10 six.example.org."]},
    "null.example.org": {"MX": "0 ."},
    "text.example.org": {"TXT": "v=spf1 -all"},
    **listed("bl.example.org", "192.0.2.1", "127.0.0.4", "see \"the list\""),
    **listed("bl.example.org", "2001:db8::25"),
}

EXPECTED = """
client 192.0.2.1: found mail.example.org
client 2001:db8::25: found six.example.org
client 10.1.2.3: found inside.example.test
client 192.0.2.2: forged mail.example.org
client 192.0.2.3: temp
client 192.0.2.4: forged nowhere.example.org
client 192.0.2.5: found five.example.org
client 192.0.2.77: none
domain mail.example.org: found
domain mx.example.org: found mx
domain null.example.org: found null-mx
domain text.example.org: none
domain bare.example.org: none
domain gone.example.org: none
domain other.example.org: none
domain sick.example.org: temp
domain [192.0.2.1]: found
domain [192.0.2.77]: none
mx mx.example.org: found 10 six.example.org 20 mail.example.org
mx mail.example.org: found implicit 0 mail.example.org
mx null.example.org: none
mx gone.example.org: none
addresses mail.example.org: found 192.0.2.1
addresses six.example.org: found 2001:db8:0:0:0:0:0:25
bl.example.org 192.0.2.1: found 127.0.0.4 "see "the list""
bl.example.org 2001:db8::25: found 127.0.0.2
bl.example.org 192.0.2.2: none
""".strip().splitlines()


def ask(server, questions, anchor="-"):
    """Lines as EXPECTED; each is checked on its own."""
    words = [word for line in questions for word in line.split(": ")[0].split(" ")]
    r = subprocess.run([RESOLVE, server, anchor, *words], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and not r.stderr, r
    return sorted(r.stdout.splitlines())


def answers():
    with Dns(ZONES) as dns:
        begun = time.monotonic()
        got = ask(dns.server, EXPECTED)
        print(f"{len(got)} answers in {time.monotonic() - begun:.2f} s")
        assert got == sorted(EXPECTED), set(got) ^ set(EXPECTED)


def silence():
    """Without an answer, and without a server, a question ends in time."""
    with Dns(ZONES) as dns:
        for server, what in ((dns.server, "names that are never answered"), (f"127.0.0.1@{free_port()}", "no server")):
            begun = time.monotonic()
            got = ask(server, ["client 192.0.2.6", "domain slow.example.org"])
            print(f"{what}: {time.monotonic() - begun:.2f} s")
            assert got == ["client 192.0.2.6: temp", "domain slow.example.org: temp"], got
            assert time.monotonic() - begun < 20


def signed_zone(folder):
    """example.org, signed; its zone file and the file with its trust anchor."""
    (folder / "zone").write_text("""$ORIGIN example.org.
@ 300 IN SOA ns.example.org. root.example.org. 1 3600 900 86400 300
@ 300 IN NS ns.example.org.
ns 300 IN A 127.0.0.1
@ 300 IN MX 10 mail.example.org.
mail 300 IN A 192.0.2.1
""")
    run = lambda *args: subprocess.run(args, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    key = run("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", "example.org")
    run("ldns-signzone", "zone", key)
    return folder / "zone.signed", folder / (key + ".ds")


def validation():
    with tempfile.TemporaryDirectory(prefix="libmail-dns-") as name:
        signed, anchor = signed_zone(pathlib.Path(name))
        other = pathlib.Path(name) / "other"
        other.write_text(anchor.read_text().rsplit(maxsplit=1)[0] + " " + "00" * 32 + "\n")
        zone = f"auth-zone:\nname: example.org.\nzonefile: {signed}\nfor-downstream: yes\nfor-upstream: no\nfallback-enabled: no"
        with Dns({}, extra=zone) as dns:
            questions = ["mx example.org", "addresses mail.example.org", "mx gone.example.org"]
            assert ask(dns.server, questions, anchor) == [
                "addresses mail.example.org: found 192.0.2.1 secure", "mx example.org: found 10 mail.example.org secure",
                "mx gone.example.org: none secure"], ask(dns.server, questions, anchor)
            assert ask(dns.server, questions) == [
                "addresses mail.example.org: found 192.0.2.1", "mx example.org: found 10 mail.example.org",
                "mx gone.example.org: none"]
            # Signed by a key that is not the anchor's: nothing of it is believed.
            assert ask(dns.server, questions, other) == [
                "addresses mail.example.org: temp", "mx example.org: temp", "mx gone.example.org: temp"]


for scenario in (answers, silence, validation):
    print(scenario.__name__)
    scenario()
