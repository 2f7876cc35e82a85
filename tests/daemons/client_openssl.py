"""openssl s_client: versions, ciphers, ALPN, SNI, resumption; and who talks past STARTTLS is cut off."""
import subprocess

from lib_daemons import Daemons, Wire, run, scenarios

STARTTLS = {"smtp": "smtp", "submission": "smtp", "imap": "imap", "pop3": "pop3"}
QUIT = {"smtp": "QUIT\r\n", "imap": "a LOGOUT\r\n", "pop3": "QUIT\r\n"}
FAREWELL = {"smtp": "221 ", "imap": "a OK", "pop3": "+OK"}


def s_client(d, listener, *options, say=None, check=True):
    """say: what is typed when TLS stands (None: the protocol's farewell)."""
    protocol = {"submission": "smtp", "submissions": "smtp", "imaps": "imap", "pop3s": "pop3"}.get(listener, listener)
    starttls = ["-starttls", STARTTLS[listener]] if listener in STARTTLS else []
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{d.port[listener]}", "-crlf", "-ign_eof",
               "-CAfile", d.ca, "-verify_return_error", "-verify_hostname", "localhost", *starttls, *options, check=check,
               input=(QUIT[protocol] if say is None else say).replace("\r\n", "\n"))
    if check:
        assert FAREWELL[protocol] in done.stdout, done.stdout
    return done.stdout + done.stderr


def versions(d):
    for listener in d.port:
        if listener == "lmtp":
            continue
        text = s_client(d, listener, "-tls1_3")
        assert "New, TLSv1.3, Cipher is TLS_" in text and "Verify return code: 0 (ok)" in text, text
        text = s_client(d, listener, "-tls1_2")
        assert "New, TLSv1.2, Cipher is ECDHE-ECDSA-" in text and ("GCM" in text or "CHACHA20" in text), text


def refused_ciphers(d):
    """Nothing older than TLS 1.2, no CBC, no RSA key exchange, no finite-field DH."""
    assert "Cipher is (NONE)" in s_client(d, "imaps", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", check=False)
    for cipher in ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-SHA",
                   "DHE-RSA-AES256-GCM-SHA384", "aNULL"):
        text = s_client(d, "imaps", "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0", check=False)
        assert "Cipher is (NONE)" in text, (cipher, text)


def alpn(d):
    """RFC 7301 and the names registered for IMAP and POP3 (RFC 2595's successors)."""
    for listener, name in ("imaps", "imap"), ("imap", "imap"), ("pop3s", "pop3"), ("pop3", "pop3"):
        assert f"ALPN protocol: {name}" in s_client(d, listener, "-alpn", name), name
    text = s_client(d, "imaps", "-alpn", "http/1.1", check=False)
    assert "no application protocol" in text, text
    assert "No ALPN negotiated" in s_client(d, "submissions")


def server_name(d):
    """Any name in SNI is served by the one certificate, and so is none."""
    for option in ["-servername", "localhost"], ["-servername", "other.example"], ["-noservername"]:
        assert "Verify return code: 0" in s_client(d, "imaps", *option)


def resumption(d):
    for version in "-tls1_2", "-tls1_3":
        for listener in "submissions", "imaps", "pop3s", "imap":
            session = d.home / "session"
            assert "New, TLSv1" in s_client(d, listener, version, "-sess_out", session)
            text = s_client(d, listener, version, "-sess_in", session)
            assert "Reused, TLSv1" in text, (listener, version, text)
        assert "Reused" not in s_client(d, "pop3s", version)


def pipelined_plaintext(d):
    """RFC 3207 §4: octets behind STARTTLS are never read as if they had come over TLS; the connection ends."""
    for listener, before, command in (("smtp", "EHLO c.example\r\n", "STARTTLS\r\n"), ("imap", "", "a STARTTLS\r\n"),
                                      ("pop3", "", "STLS\r\n")):
        with Wire(d.port[listener]) as w:
            w.line()
            w.send(before + command + ("RSET\r\n" if listener == "smtp" else "b NOOP\r\n"))
            rest = w.rest_of_stream()
            assert "b OK" not in rest and "b BAD" not in rest and "2.0.0 Ok" not in rest, rest


def byte_by_byte(d):
    """A handshake in single octets, by a client whose data come as they like."""
    import socket
    import ssl
    context = d.tls()
    for listener in "imaps", "submissions", "pop3s":
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", d.port[listener]), 10) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    tls.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    done = False
                for octet in outgoing.read():
                    s.sendall(bytes([octet]))
                if done:
                    break
                incoming.write(s.recv(7))
            while True:
                try:
                    assert tls.read(1000), listener
                    break
                except ssl.SSLWantReadError:
                    incoming.write(s.recv(1))


def not_tls(d):
    """Something else than a ClientHello on a TLS port: an alert or nothing, and the end."""
    for listener in "imaps", "submissions", "pop3s":
        with Wire(d.port[listener]) as w:
            w.send("EHLO client.example.net\r\n" * 20)
            assert "250" not in w.rest_of_stream()


with Daemons() as daemons:
    assert "OpenSSL 3" in subprocess.run(["openssl", "version"], text=True, capture_output=True, check=True).stdout
    scenarios(versions, refused_ciphers, alpn, server_name, resumption, pipelined_plaintext, byte_by_byte, not_tls,
              arguments=[daemons])
