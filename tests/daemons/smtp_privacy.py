"""What clients are not told or allowed (smtp.privacy), and what they may log in with (smtp.auth_*), by listener."""
import base64

from lib_daemons import PASSWORD, Daemons, scenarios

SORRY = "Sorry, we do not allow this operation"


def offer(w):
    return {line[4:].split(" ", 1)[0]: line[4:] for line in w.ask("EHLO client.example.net")[1:]}


def usual(d):
    """As it comes: a hello first, and nobody is told who is here."""
    with d.wire("smtp") as w:
        w.reply()
        assert w.ask("MAIL FROM:<a@b.example>") == ["503 5.0.0 Polite people say HELO first"]
        assert w.ask("VRFY bob") == ["252 2.5.2 Cannot VRFY user; try RCPT to attempt delivery (or try finger)"]
        assert w.ask("EXPN bob") == [f"502 5.7.0 {SORRY}"]
        have = offer(w)
        assert "DSN" in have and "EXPN" not in have and "VERB" not in have and "ETRN" not in have, have
        assert w.ask("ETRN example.test") == [f"502 5.7.0 {SORRY}"]
        assert w.ask("VERB")[0].startswith("500 5.5.1 "), "nobody has ever known it"
        assert w.ask("MAIL FROM:<a@b.example> RET=HDRS ENVID=x")[0].startswith("250")


def nothing(d):
    """No flag: MAIL without a hello."""
    with d.wire("smtp") as w:
        w.reply()
        assert w.ask("MAIL FROM:<a@b.example>")[0].startswith("250")


def strict(d):
    with d.wire("smtp") as w:
        w.reply()
        for command in "VRFY bob", "EXPN bob":
            assert w.ask(command) == ["503 5.0.0 I demand that you introduce yourself first"], command
        assert "DSN" not in offer(w)
        assert w.ask("VERB") == w.ask("verb on") == ["502 5.7.0 Verbose unavailable"]
        assert w.ask("VERBS")[0].startswith("500 5.5.1 ")
        assert w.ask("VRFY bob")[0].startswith("252")
        for parameter in "RET=HDRS", "ENVID=x":
            word = parameter.split("=")[0]
            assert w.ask(f"MAIL FROM:<a@b.example> {parameter}") == \
                [f"504 5.7.0 Sorry, {word} not supported, we do not allow DSN"]
        w.ask("MAIL FROM:<a@b.example>")
        for parameter in "NOTIFY=NEVER", "ORCPT=rfc822;bob@example.test":
            word = parameter.split("=")[0]
            assert w.ask(f"RCPT TO:<bob@example.test> {parameter}") == \
                [f"504 5.7.0 Sorry, {word} not supported, we do not allow DSN"]


def mechanisms(d, listener, tls):
    with d.wire(listener) as w:
        w.reply()
        if tls:
            w.ask("EHLO client.example.net")
            assert w.ask("STARTTLS")[0].startswith("220")
            w.secure(d.tls())
        have = offer(w)
        refused = w.ask("AUTH NTLM")[0]
        return have.get("AUTH", "AUTH")[4:].strip(), refused


LIST = "PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-SHA-256, EXTERNAL, ANONYMOUS"
# options of sendmail.mc: smtp.allow_cleartext, smtp.auth_options, the offer in clear, the offer inside TLS
OPTIONS = (("A", "yes", "scram", "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256 ANONYMOUS", None),
           ("A p", "no", "scram", "CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256 ANONYMOUS",
            "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256 ANONYMOUS"),
           ("a", "yes", "scram no_active", "SCRAM-SHA-256", None),
           ("m", "yes", "scram mutual", "DIGEST-MD5 SCRAM-SHA-256", None),
           ("c", "yes", "scram credentials", "PLAIN LOGIN", None),
           ("p c", "no", "scram credentials", "", "PLAIN LOGIN"),
           ("p y", "no", "scram no_anonymous", "CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256",
            "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256"),
           ("d", "yes", "scram no_dictionary", "", None),
           ("f", "yes", "scram forward_secrecy", "", None))


def options(d):
    for letters, cleartext, words, clear, inside in OPTIONS:
        for key, value in ("smtp.allow_cleartext", cleartext), ("smtp.auth_options", words), ("smtp.auth_mechanisms", LIST):
            d.set(key, value)
        d.stop("smtpd")
        d.start("smtpd")
        have, refused = mechanisms(d, "smtp", False)
        assert have == clear, (letters, have)
        assert refused == "504 5.3.3 AUTH mechanism NTLM not available", (letters, refused)
        have, _ = mechanisms(d, "smtp", True)
        assert have == (clear if inside is None else inside), (letters, have)


def scram_joins(d):
    """A list without SCRAM gets it where passwords in clear are barred; IMAP has its own list."""
    assert mechanisms(d, "smtp", False)[0] == "DIGEST-MD5 CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-1"
    assert mechanisms(d, "smtp", True)[0].startswith("DIGEST-MD5 CRAM-MD5 LOGIN PLAIN SCRAM-SHA-256 SCRAM-SHA-1")
    with d.wire("imap") as w:
        assert "AUTH=SCRAM-SHA-256" in w.line() and True


def listeners(d):
    """offer_auth = no, require_auth = yes and both; tls = none; a listener that cannot be opened is skipped."""
    with d.wire("smtp") as w:
        w.reply()
        have = offer(w)
        assert "AUTH" not in have and "STARTTLS" not in have, have
        assert w.ask("AUTH PLAIN AGp1YW4Ac2VjcmV0bw==") == ["504 5.3.3 AUTH mechanism PLAIN not available"]
        assert w.ask("STARTTLS")[0].startswith("502 ")
        assert w.ask("MAIL FROM:<a@b.example>")[0].startswith("250")
    with d.wire("submission") as w:
        w.reply()
        assert "AUTH" in offer(w)
        assert w.ask("ETRN example.test") == [f"502 5.7.0 {SORRY}"]
        assert w.ask("MAIL FROM:<a@b.example>")[0].startswith("250"), "require_auth = no"
    with d.wire("submissions", tls=True) as w:
        w.reply()
        offer(w)
        assert w.ask("MAIL FROM:<a@b.example>") == ["530 5.7.0 Authentication required"]
    assert "event=listener_skipped" in d.log("smtpd") and "192.0.2.99" in d.log("smtpd")


def auth_words(d):
    """What AUTH answers, in the classic words."""
    good, bad = (base64.b64encode(f"\0bob\0{password}".encode()).decode() for password in (PASSWORD, "wrong"))
    with d.wire("smtp") as w:
        w.reply()
        offer(w)
        assert w.ask("AUTH CRAM-MD4") == ["504 5.3.3 AUTH mechanism CRAM-MD4 not available"]
        for line in "AUTH PLAIN %%%", "AUTH PLAIN =A", "AUTH PLAIN AA":
            assert w.ask(line)[0].startswith("501 5.5.4 "), line
        assert w.ask("AUTH PLAIN")[0].startswith("334")
        assert w.ask("*") == ["501 5.0.0 AUTH aborted"]
        assert w.ask("AUTH PLAIN")[0].startswith("334")
        assert w.ask("!!")[0].startswith("501 5.5.4 ")
        assert w.ask(f"AUTH PLAIN {bad}") == ["535 5.7.0 authentication failed"]
        w.ask("MAIL FROM:<bob@example.test>")
        assert w.ask(f"AUTH PLAIN {good}") == ["503 5.5.0 AUTH not permitted during a mail transaction"]
        w.ask("RSET")
        assert w.ask(f"AUTH PLAIN {good}") == ["235 2.0.0 OK Authenticated"]
        assert w.ask(f"AUTH PLAIN {good}") == ["503 5.5.0 Already Authenticated"]
        assert w.ask("AUTH NTLM") == ["503 5.5.0 Already Authenticated"]


COMMON = "policy.accept_unresolvable_domains = yes\n"
with Daemons(COMMON, listeners=("smtp",), plain=True) as d:
    scenarios(usual, arguments=[d])
with Daemons(COMMON + "smtp.privacy = restrict_mailq\n", listeners=("smtp",), plain=True) as d:
    scenarios(nothing, arguments=[d])
with Daemons(COMMON + "smtp.privacy = need_mail_helo, need_vrfy_helo, need_expn_helo, no_vrfy, no_receipts, no_verb\n",
             listeners=("smtp",), plain=True) as d:
    scenarios(strict, arguments=[d])
with Daemons(COMMON + "auth.allow_cleartext = yes\n", listeners=("smtp",), plain=True) as d:
    scenarios(auth_words, arguments=[d])
with Daemons(listeners=("smtp",), plain=True) as d:
    scenarios(options, arguments=[d])
with Daemons("smtp.auth_mechanisms = DIGEST-MD5, CRAM-MD5, LOGIN, PLAIN\nsmtp.auth_options = scram\nsmtp.allow_cleartext = no\n",
             listeners=("smtp", "imap"), plain=True) as d:
    scenarios(scram_joins, arguments=[d])
d = Daemons(COMMON + "auth.allow_cleartext = yes\n", listeners=("smtp", "submission", "submissions"), plain=True)
d.conf.write_text(d.conf.read_text().replace("listener smtp {\n", "listener smtp {\n offer_auth = no\n")
                  .replace("tls = starttls\n address = 127.0.0.1\n port = " + str(d.port["smtp"]),
                           "tls = none\n address = 127.0.0.1\n port = " + str(d.port["smtp"]))
                  .replace("listener submission {\n", "listener submission {\n require_auth = no\n etrn = no\n")
                  + "listener elsewhere {\n address = 192.0.2.99\n port = 2525\n optional = yes\n}\n")
with d:
    scenarios(listeners, arguments=[d])
