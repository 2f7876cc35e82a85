"""What a client is offered by Srv_Features: of the access map, each letter; its certificate: verified, failed, missing,
not asked for, by TLS_Clt: and EXTERNAL; certificates and cipher lists of SMTP's own; a 421 in place of the greeting."""
import base64
import ssl
import subprocess

from lib_daemons import PASSWORD, PROGRAMS, Daemons, Wire, free_ports, run, scenarios
from lib_dns import Dns, client
from lib_vectors import proxied

ACCESS = """Srv_Features:192.0.2.1 S
Srv_Features:192.0.2.2 A
Srv_Features:192.0.2.3 P
Srv_Features:192.0.2.4 l
Srv_Features:192.0.2.5 c
Srv_Features:192.0.2.6 V
Srv_Features:192.0.2.7 D E X B
Srv_Features:192.0.2.8 SAPD
Srv_Features:named.example s x e
Srv_Features:192.0.2.10 a d x
Srv_Features: X
TLS_Clt:192.0.2.20 VERIFY
TLS_Clt:192.0.2.21 TEMP+VERIFY:128
TLS_Clt:192.0.2.22 PERM+ENCR:1024
TLS_Clt:192.0.2.23 VERIFY:128+CN:alice
TLS_Clt:192.0.2.24 VERIFY:128+CN:bob
TLS_Clt:192.0.2.25 ENCR:128
TLS_Clt:192.0.2.26 VERIFY:128+CS:/O=Example/CN=alice++CI:/O=Example/CN=ca++CN:alice
TLS_Clt:192.0.2.27 VERIFY+CI:/O=Example/CN=other
TLS_Clt:192.0.2.28 VERIFY+CS:/O=Example/CN=bob
TLS_Clt:192.0.2.29 VERIFY+CN
TLS_Clt:192.0.2.6 VERIFY
Connect:192.0.2.40 ERROR:4.3.2:421 no room today
Connect:192.0.2.41 421 come back later
From:closed@example.net ERROR:4.7.0:421 closing now
"""
ZONES = {**client("192.0.2.9", "named.example"), **client("192.0.2.29", "alice.example"), "example.net": {"A": "192.0.2.200"}}


def identity(folder, name, ca=None):
    """A certificate for a user, signed by ca (name of another) or by itself: (certificate, key)."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
               "-subj", f"/O=Example/CN={name}", "-keyout", key, "-out", cert]
    if ca:
        command += ["-CA", folder / f"{ca}.pem", "-CAkey", folder / f"{ca}.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([str(c) for c in command], check=True, capture_output=True)
    key.chmod(0o600)
    return cert, key


def offer(w):
    return {line[4:].split(" ", 1)[0]: line[4:] for line in w.ask("EHLO client.example.net")[1:]}


def secured(d, address, pair=None, listener="smtp"):
    w, _ = proxied(d, listener, address)
    offer(w)
    assert w.ask("STARTTLS")[0].startswith("220 ")
    context = ssl.create_default_context(cafile=d.home / "ca.pem")
    if pair:
        context.load_cert_chain(*pair)
    w.secure(context)
    return w


def features(d):
    def of(address):
        w, _ = proxied(d, "smtp", address)
        with w:
            return offer(w)

    usual = of("192.0.2.99") # the entry of the tag alone: X
    assert {"STARTTLS", "AUTH", "PIPELINING", "DSN"} <= set(usual) and "EXPN" not in usual, usual
    for address, gone in (("192.0.2.1", {"STARTTLS"}), ("192.0.2.2", {"AUTH"}), ("192.0.2.3", {"PIPELINING"}),
                          ("192.0.2.7", {"DSN"}), ("192.0.2.8", {"STARTTLS", "AUTH", "PIPELINING", "DSN"})):
        have = of(address)
        assert not gone & set(have) and {"STARTTLS", "AUTH", "PIPELINING", "DSN"} - gone <= set(have), (address, have)
        assert ("EXPN" in have) == (address != "192.0.2.7"), (address, have)
    assert {"STARTTLS", "EXPN"} <= set(of("192.0.2.9")), "by the client's name"


def obeyed(d):
    """What is not offered does not work either."""
    w, _ = proxied(d, "smtp", "192.0.2.8")
    with w:
        offer(w)
        assert w.ask("STARTTLS")[0].startswith("502 ") and w.ask("AUTH PLAIN") == ["504 5.3.3 AUTH mechanism PLAIN not available"]
        assert w.ask("MAIL FROM:<a@example.net> RET=HDRS") == ["504 5.7.0 Sorry, RET not supported, we do not allow DSN"]
    w, _ = proxied(d, "smtp", "192.0.2.7")
    with w:
        offer(w)
        for command in "EXPN bob", "ETRN example.net", "VERB":
            assert w.ask(command)[-1].startswith("50"), command


def back(d):
    """Lower case: what the settings have turned off comes back for this client."""
    w, _ = proxied(d, "smtp", "192.0.2.99")
    with w:
        have = offer(w)
        assert not {"AUTH", "DSN", "EXPN"} & set(have), have
        assert w.ask("EXPN bob") == ["502 5.7.0 Sorry, we do not allow this operation"]
        assert w.ask("AUTH PLAIN AGJvYgBzZWNyZXQ=")[0].startswith("504 ")
    w, _ = proxied(d, "smtp", "192.0.2.10")
    with w:
        have = offer(w)
        assert {"AUTH", "DSN", "EXPN"} <= set(have), have
        assert w.ask("EXPN bob") == ["250 2.1.5 <bob@localhost>"]
        assert w.ask("AUTH PLAIN AGJvYgBzZWNyZXQ=")[0].startswith("235 ")
        assert w.ask("MAIL FROM:<a@example.net> RET=HDRS")[0].startswith("250 ")


def login_needed(d):
    """l: MAIL wants a login first."""
    w, _ = proxied(d, "smtp", "192.0.2.4")
    with w:
        offer(w)
        assert w.ask("MAIL FROM:<a@example.net>") == ["530 5.7.0 Authentication required"]
        assert w.ask("AUTH PLAIN " + base64.b64encode(b"\0bob\0" + PASSWORD.encode()).decode())[0].startswith("235 ")
        assert w.ask("MAIL FROM:<a@example.net>")[0].startswith("250 ")


def plain_in_tls(d):
    """c: PLAIN and LOGIN inside TLS alone, though the setting takes them everywhere."""
    w, _ = proxied(d, "smtp", "192.0.2.99")
    with w:
        assert offer(w)["AUTH"].split()[1:] == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    w, _ = proxied(d, "smtp", "192.0.2.5")
    with w:
        assert offer(w)["AUTH"].split()[1:] == ["SCRAM-SHA-256"]
        token = base64.b64encode(b"\0bob\0" + PASSWORD.encode()).decode()
        assert w.ask(f"AUTH PLAIN {token}") == ["504 5.3.3 AUTH mechanism PLAIN not available"]
        assert w.ask("AUTH LOGIN") == ["504 5.3.3 AUTH mechanism LOGIN not available"]
    with secured(d, "192.0.2.5") as w:
        assert offer(w)["AUTH"].split()[1:] == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
        assert w.ask(f"AUTH PLAIN {token}")[0].startswith("235 ")


def certificates(d):
    """EXTERNAL for a certificate that our CA has signed; the identity is its common name."""
    with secured(d, "192.0.2.99", d.alice) as w:
        assert "EXTERNAL" in offer(w)["AUTH"]
        assert w.ask("AUTH EXTERNAL =") == ["235 2.0.0 OK Authenticated"]
        assert w.ask("MAIL FROM:<alice@example.test>")[0].startswith("250 ")
    for pair in None, d.stranger:
        with secured(d, "192.0.2.99", pair) as w:
            assert "EXTERNAL" not in offer(w)["AUTH"]
            assert w.ask("AUTH EXTERNAL =") == ["504 5.3.3 AUTH mechanism EXTERNAL not available"]
    with secured(d, "192.0.2.99", d.alice) as w:
        offer(w)
        other = base64.b64encode(b"bob").decode()
        assert w.ask(f"AUTH EXTERNAL {other}")[0].startswith("535 "), "the certificate is not bob's"
    assert 'event=login proto=smtp' in d.log("smtpd") and "mechanism=EXTERNAL" in d.log("smtpd")


def unasked(d):
    """V: no certificate is asked for, so that there is none to go by."""
    with secured(d, "192.0.2.6", d.alice) as w:
        assert "EXTERNAL" not in offer(w)["AUTH"]
        assert w.ask("MAIL FROM:<a@example.net>") == ["454 4.7.0 <a@example.net>... no authentication requested"]
    assert not asks(d, "192.0.2.6") and asks(d, "192.0.2.99")


def unasked_before(d):
    """V on a listener that begins with TLS: asked before the client is known, and not believed."""
    for address, external in ("192.0.2.99", True), ("192.0.2.6", False):
        w = Wire(d.port["submissions"])
        w.send(f"PROXY TCP4 {address} 127.0.0.1 40000 465\r\n")
        context = ssl.create_default_context(cafile=d.home / "ca.pem")
        context.load_cert_chain(*d.alice)
        w.secure(context)
        with w:
            assert w.reply()[0].startswith("220 ")
            assert ("EXTERNAL" in offer(w)["AUTH"]) == external, address
            assert w.ask("AUTH EXTERNAL =")[0].startswith("235 " if external else "504 "), address


def asks(d, address):
    """Does the server ask for a certificate?"""
    seen = []
    w, _ = proxied(d, "smtp", address)
    with w:
        offer(w)
        w.ask("STARTTLS")
        context = ssl.create_default_context(cafile=d.home / "ca.pem")
        context.maximum_version = ssl.TLSVersion.TLSv1_2 # where the request is readable
        context._msg_callback = lambda conn, direction, version, content, kind, data: seen.append(kind)
        w.secure(context)
    return ssl._TLSMessageType.CERTIFICATE_REQUEST in seen


def demands(d):
    """TLS_Clt: tells a certificate that failed from one that is missing."""
    def mail(w):
        offer(w)
        return w.ask("MAIL FROM:<a@example.net>")[0].replace("<a@example.net>... ", "")

    def clear(address):
        w, _ = proxied(d, "smtp", address)
        with w:
            return mail(w)

    def tls(address, pair=None):
        with secured(d, address, pair) as w:
            return mail(w)

    ok = "250 2.1.0 Sender ok"
    assert clear("192.0.2.20") == "454 4.7.0 authentication required"
    assert tls("192.0.2.20") == "454 4.7.0 not authenticated"
    assert tls("192.0.2.20", d.stranger) == "454 4.7.0 authentication failed"
    assert tls("192.0.2.20", d.alice) == ok
    assert tls("192.0.2.21") == "403 4.7.0 not authenticated"
    assert tls("192.0.2.22") == "503 5.7.0 encryption too weak 256 less than 1024"
    assert tls("192.0.2.23", d.alice) == ok
    assert tls("192.0.2.24", d.alice) == "454 4.7.0 CN alice does not match bob"
    assert tls("192.0.2.26", d.alice) == ok
    assert tls("192.0.2.27", d.alice) == "454 4.7.0 Cert Issuer /O=Example/CN=ca does not match /O=Example/CN=other"
    assert tls("192.0.2.28", d.alice) == "454 4.7.0 Cert Subject /O=Example/CN=alice does not match /O=Example/CN=bob"
    assert tls("192.0.2.29", d.alice) == "454 4.7.0 CN alice does not match alice.example"
    assert clear("192.0.2.25") == "454 4.7.0 encryption too weak 0 less than 128"
    assert tls("192.0.2.25") == ok


def service_closed(d):
    """A value with 421: it is the greeting, or the last reply."""
    for address, text in ("192.0.2.40", "no room today"), ("192.0.2.41", "come back later"):
        w, reply = proxied(d, "smtp", address)
        with w:
            code = reply[0].split()[0]
            assert code == "421" and reply[0].endswith(text), reply
            assert w.line() is None, "the connection stays open"
    w, _ = proxied(d, "smtp", "192.0.2.99")
    with w:
        offer(w)
        assert w.ask("MAIL FROM:<closed@example.net>") == ["421 4.7.0 <closed@example.net>... closing now"]
        assert w.line() is None


def with_clients(d):
    """swaks and openssl with a client certificate; SMTP's own certificate is the one that is shown."""
    pair = ["--tls-cert", d.alice[0], "--tls-key", d.alice[1]]
    common = ["swaks", "-n", "--timeout", 15, "--server", f"127.0.0.1:{d.port['open']}", "-tls", "--ehlo", "c.example", "--from",
              "alice@example.test", "--to", "bob@example.test"]
    run(*common, *pair, "--tls-verify", "--tls-ca-path", d.home / "ca.pem", "--tls-sni", "localhost")
    out = run("openssl", "s_client", "-connect", f"127.0.0.1:{d.port['open']}", "-starttls", "smtp", "-crlf", "-ign_eof",
              "-CAfile", d.home / "ca.pem", "-cert", d.alice[0], "-key", d.alice[1], input="EHLO c.example\nAUTH EXTERNAL =\nQUIT\n")
    assert "235 2.0.0 OK Authenticated" in out.stdout and "CN = localhost" in out.stdout, out.stdout


def ciphers(d):
    """smtp.ciphers: of TLS 1.2 those that it names; TLS 1.3 as ever."""
    def speak(*options):
        out = run("openssl", "s_client", "-connect", f"127.0.0.1:{d.port['open']}", "-starttls", "smtp", "-crlf",
                  *options, input="QUIT\n", check=False)
        return [line.split("Cipher is ")[1] for line in out.stdout.splitlines() if "Cipher is " in line][0]

    d.set("smtp.ciphers", "kRSA:AES:!AES256:-CHACHA20:@STRENGTH")
    d.stop("smtpd")
    d.start("smtpd")
    assert speak("-tls1_2") == "ECDHE-ECDSA-AES128-GCM-SHA256"
    assert speak("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305") == "(NONE)"
    assert speak("-tls1_3").startswith("TLS_")
    assert "no_effect" not in d.log("smtpd")
    d.set("smtp.ciphers", "AES128-SHA:DES-CBC3-SHA")
    d.stop("smtpd")
    done = run(PROGRAMS / "smtpd", "-c", d.conf, check=False)
    assert done.returncode == 78 and 'ciphers "AES128-SHA:DES-CBC3-SHA": none of the suites' in done.stderr, done.stderr
    d.set("smtp.ciphers", None)
    d.start("smtpd")


def daemons(dns, privacy, options=""):
    d = Daemons(listeners={"smtp": 0, "submissions": 0}, proxy=True, plain=True, users=("alice", "bob"), options={"smtp": options},
                own=f"hostname = localhost\ndomains = example.test\npostmaster = alice\ndns.servers = {dns.server}\n"
                "dns.hosts =\nauth.allow_cleartext = yes\nauth.mechanisms = PLAIN LOGIN SCRAM-SHA-256 EXTERNAL\n"
                f"smtp.privacy = {privacy}\nauth.failure_delay = 0\n")
    (d.home / "access").write_text(ACCESS)
    d.set("policy.access", d.home / "access")
    d.secrets({"alice": PASSWORD, "bob": PASSWORD})
    (d.home / "accounts").chmod(0o600)
    return d


def main():
    with Dns(ZONES) as dns:
        with daemons(dns, "need_mail_helo, no_expn, no_receipts", " offer_auth = no\n") as d:
            scenarios(back, arguments=[d])
        d = daemons(dns, "need_mail_helo")
        identity(d.home, "ca")
        identity(d.home, "other")
        server = identity(d.home, "localhost", "ca")
        d.alice, d.stranger = identity(d.home, "alice", "ca"), identity(d.home, "stranger", "other")
        for key, value in (("smtp.client_ca", d.home / "ca.pem"), ("smtp.tls_certificate", server[0]), ("smtp.tls_key", server[1])):
            d.set(key, value)
        d.port["open"] = free_ports(1)[0] # for clients that cannot speak as a proxy
        d.conf.write_text(d.conf.read_text() + f"listener open {{\n address = 127.0.0.1\n port = {d.port['open']}\n}}\n")
        d.daemon_of = lambda listener: "smtpd"
        with d:
            scenarios(features, obeyed, login_needed, plain_in_tls, certificates, unasked, unasked_before, demands, service_closed, with_clients,
                      ciphers, arguments=[d])


if __name__ == "__main__":
    main()
