"""imapd and pop3d from a dovecot.conf: in each dialect the listeners, what is said on the wire, who may log in in clear,
where mail lies. A client at 127.0.0.2 stands for another host: it has not the address that it connects to."""
import base64
import contextlib
import hmac
import imaplib
import poplib
import socket
import time

from lib_daemons import PASSWORD, Daemons, Wire, free_ports, letter, scenarios, wait_for

OLD = """protocols = imap pop3
protocol imap {{
  listen = 127.0.0.1:{imap}
}}
protocol pop3 {{
  listen = 127.0.0.1:{pop3}
}}
default_mail_env = maildir:{home}/vmail/%d/%n
login_greeting = Classic # greeting
auth_failure_delay = 1 secs
auth default {{
  mechanisms = plain login
  passdb passwd-file {{
    args = {home}/users
  }}
  userdb static {{
    args = home={home}/vmail/%d/%n
  }}
}}
"""

MIDDLE = """protocols = imap pop3
listen = 127.0.0.1
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
mail_location = maildir:~/Maildir
mail_home = {home}/vmail/%d/%n
login_greeting = Classic
auth_failure_delay = 1 secs
auth_mechanisms = plain login
passdb {{
  driver = passwd-file
  args = scheme=CRYPT username_format=%u {home}/users
}}
!include_try conf.d/*.conf
"""

NEW = """dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
protocols {{
  imap = yes
  pop3 = yes
}}
listen = 127.0.0.1
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
mail_driver = maildir
mail_path = {home}/vmail/%{{user | domain}}/%{{user | username}}
login_greeting = Classic
auth_failure_delay = 1 secs
auth_mechanisms = plain login
passdb passwd-file {{
  passwd_file_path = {home}/users
}}
"""

USERS = "".join(f"{name}@example.test:{{PLAIN}}{PASSWORD}\n" for name in ("alice", "bob"))


class Classic(Daemons):
    """imapd and pop3d as a dovecot.conf says; `more` stands behind it, in 2.x in conf.d."""

    def __init__(self, form, more="", users=USERS, listeners=("imap", "pop3"), name="etc/dovecot/dovecot.conf"):
        super().__init__(listeners=(), users=("nobody",), plain=True)
        self.file = self.home / name
        self.conf.write_text(self.conf.read_text() + f"dovecot_conf = {self.file}\n")
        lines = [line for line in self.conf.read_text().splitlines() if not line.startswith(("accounts", "auth."))]
        self.conf.write_text("\n".join(lines) + "\n")
        (self.home / "users").write_text(users)
        self.ports = dict(zip(("imap", "imaps", "pop3"), free_ports(3)))
        self.port = {listener: self.ports[listener] for listener in listeners}
        (self.file.parent / "conf.d").mkdir(parents=True)
        (self.file.parent / "conf.d" / "10-more.conf").write_text(more)
        self.file.write_text(form.format(home=self.home, **self.ports) + ("" if "!include" in form else more))


def remote(d, listener, source="127.0.0.2"):
    w = Wire.__new__(Wire)
    w.socket = socket.create_connection(("127.0.0.1", d.port[listener]), 10, source_address=(source, 0))
    w.rest = b""
    return w


def imap(w, command):
    return w.ask("a " + command, "a ")[-1]


def from_another_host(d):
    with remote(d, "imap") as w:
        greeting = w.line()
        assert greeting.startswith("* OK [CAPABILITY ") and greeting.endswith("] Classic"), greeting
        assert " LOGINDISABLED" in greeting and "AUTH=" not in greeting and "STARTTLS" not in greeting, greeting
        assert imap(w, f"LOGIN alice {PASSWORD}").startswith("a NO [PRIVACYREQUIRED] ")
        assert imap(w, "AUTHENTICATE PLAIN").startswith("a NO [PRIVACYREQUIRED] ")
    with remote(d, "pop3") as w:
        greeting = w.line()
        assert greeting.startswith("+OK Classic"), greeting
        w.send("CAPA\r\n")
        capa = w.until(".")
        assert "USER" not in capa and "STLS" not in capa and not [c for c in capa if c.startswith("SASL")], capa
        for command in "USER alice", f"PASS {PASSWORD}":
            w.send(command + "\r\n")
            assert w.line().startswith("-ERR [AUTH] "), command


def from_the_server_itself(d):
    with d.wire("imap") as w:
        greeting = w.line()
        assert "LOGINDISABLED" not in greeting and " AUTH=PLAIN AUTH=LOGIN" in greeting, greeting
        before = time.monotonic()
        assert imap(w, "LOGIN alice wrong") == "a NO [AUTHENTICATIONFAILED] Authentication failed."
        assert 0.9 < time.monotonic() - before < 8
        assert imap(w, f"LOGIN alice@example.test {PASSWORD}").startswith("a OK ")
        w.send("a APPEND INBOX {%d+}\r\n%s\r\n" % (len(letter()), letter()))
        w.until("a OK")
    with d.wire("pop3") as w:
        w.until("+OK Classic")
        w.ask("USER alice", "+OK")
        w.send("PASS wrong\r\n")
        assert w.line() == "-ERR [AUTH] Authentication failed."
        w.ask("USER alice", "+OK")
        w.ask(f"PASS {PASSWORD}", "+OK")
        w.ask("RETR 1", "+OK")
        assert "Hello." in w.until(".")
    assert [p for p in d.home.glob("vmail/example.test/alice/**/cur/*")] or \
        [p for p in d.home.glob("vmail/example.test/alice/**/new/*")], list(d.home.glob("vmail/**"))


def each_dialect():
    for form, name in ((OLD, "etc/dovecot.conf"), (MIDDLE, "etc/dovecot/dovecot.conf"), (NEW, "etc/dovecot.conf")):
        with Classic(form, name=name) as d:
            from_another_host(d)
            from_the_server_itself(d)
            with socket.socket() as s:
                assert s.connect_ex(("127.0.0.1", d.ports["imaps"])) != 0, "imaps without a certificate"
            shown = d.mailctl("config", "show").stdout
            line = [x for x in shown.splitlines() if x.startswith("imap.greeting = ")][0]
            number = 1 + [x.split(" =")[0] for x in d.file.read_text().splitlines()].index("login_greeting")
            assert line.endswith(f"# {d.file}:{number}"), line


def cleartext_allowed():
    with Classic(MIDDLE, "disable_plaintext_auth = no\n") as d:
        with remote(d, "imap") as w:
            assert "LOGINDISABLED" not in w.line()
            assert imap(w, f"LOGIN alice {PASSWORD}").startswith("a OK ")
        with remote(d, "pop3") as w:
            w.line()
            w.ask("USER alice", "+OK")
            w.ask(f"PASS {PASSWORD}", "+OK")


def log_in_with_cram(w, protocol):
    """A challenge in clear: the password does not cross the wire."""
    command, start = ("a AUTHENTICATE CRAM-MD5", "+ ") if protocol == "imap" else ("AUTH CRAM-MD5", "+ ")
    challenge = base64.b64decode(w.ask(command, start)[-1][2:])
    digest = hmac.new(PASSWORD.encode(), challenge, "md5").hexdigest()
    w.send(base64.b64encode(f"alice {digest}".encode()) + b"\r\n")
    return w.until(("a OK", "a NO", "+OK", "-ERR"))[-1]


def challenges_in_clear():
    """Another host without TLS: what hands the password over is not offered, challenges are."""
    with Classic(MIDDLE, "auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256\n") as d:
        wanted = ["CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]
        with remote(d, "imap") as w:
            words = w.line().partition("]")[0].split()
            assert sorted(word[5:] for word in words if word.startswith("AUTH=")) == wanted, words
            assert "LOGINDISABLED" in words, words
            assert imap(w, "AUTHENTICATE PLAIN").startswith("a NO ")
            assert log_in_with_cram(w, "imap").startswith("a OK")
        with remote(d, "pop3") as w:
            w.line()
            w.send("CAPA\r\n")
            capa = w.until(".")
            assert [sorted(c.split()[1:]) for c in capa if c.startswith("SASL")] == [wanted], capa
            assert "USER" not in capa, capa
            assert w.ask("AUTH PLAIN", "-ERR")
            assert log_in_with_cram(w, "pop3").startswith("+OK")


def places_of_accounts():
    """nologin and allow_nets of a passwd-file."""
    users = (f"near@example.test:{{PLAIN}}{PASSWORD}::::::allow_nets=127.0.0.2/32,2001:db8::/32\n"
             f"gone@example.test:{{PLAIN}}{PASSWORD}::::::nologin=y\n")
    with Classic(MIDDLE, "disable_plaintext_auth = no\n", users=users) as d:
        for user, source, enters in (("near", "127.0.0.2", True), ("near", "127.0.0.3", False), ("gone", "127.0.0.2", False)):
            with remote(d, "imap", source) as w:
                w.line()
                said = imap(w, f"LOGIN {user} {PASSWORD}")
                assert said.startswith("a OK " if enters else "a NO [AUTHENTICATIONFAILED] "), (user, source, said)


def usual_delay():
    """Two seconds, where the file says nothing."""
    with Classic(MIDDLE.replace("auth_failure_delay = 1 secs\n", "")) as d:
        with d.wire("imap") as w:
            w.line()
            before = time.monotonic()
            assert imap(w, "LOGIN alice wrong").startswith("a NO [AUTHENTICATIONFAILED] ")
            assert 1.9 < time.monotonic() - before < 10


def one_protocol_alone():
    with Classic(MIDDLE, "protocol pop3 {\n disable_plaintext_auth = no\n}\n") as d:
        with remote(d, "imap") as w:
            assert "LOGINDISABLED" in w.line()
        with remote(d, "pop3") as w:
            w.line()
            w.ask("USER alice", "+OK")


def trusted_networks():
    with Classic(MIDDLE, "login_trusted_networks = 127.0.0.2/32 192.0.2.0/24\n") as d:
        with remote(d, "imap") as w:
            w.line()
            assert imap(w, f"LOGIN alice {PASSWORD}").startswith("a OK ")
        with remote(d, "imap", "127.0.0.3") as w:
            assert "LOGINDISABLED" in w.line()


def connections_of_a_user():
    with Classic(MIDDLE, "mail_max_userip_connections = 2\n") as d, contextlib.ExitStack() as stack:
        def log_in(user, source="127.0.0.1"):
            w = stack.enter_context(remote(d, "imap", source))
            w.line()
            return w, imap(w, f"LOGIN {user} {PASSWORD}")

        first, reply = log_in("alice")
        assert reply.startswith("a OK ")
        assert log_in("alice")[1].startswith("a OK ")
        third, reply = log_in("alice")
        assert reply == "a NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded", reply
        assert imap(third, f"LOGIN bob {PASSWORD}").startswith("a OK ")
        with d.wire("pop3") as w:
            w.line()
            w.ask("USER alice", "+OK")
            w.ask(f"PASS {PASSWORD}", "+OK")
        imap(first, "LOGOUT")
        wait_for(lambda: log_in("alice")[1].startswith("a OK "), what="room for one more")


def ssl_required():
    d = Classic(MIDDLE, listeners=("imap", "pop3", "imaps"))
    with Daemons(listeners=("imap",)) as maker:  # its start makes a certificate
        for name in "certificate.pem", "key.pem":
            (d.home / name).write_bytes((maker.data / "tls" / name).read_bytes())
    d.ca = d.home / "certificate.pem"
    (d.file.parent / "conf.d" / "10-more.conf").write_text(
        f"ssl = required\nssl_cert = <{d.home}/certificate.pem\nssl_key = <{d.home}/key.pem\n"
        "auth_mechanisms = plain cram-md5\ndisable_plaintext_auth = no\n")
    with d:
        with remote(d, "imap") as w:
            greeting = w.line()
            assert " STARTTLS" in greeting and " LOGINDISABLED" in greeting and "AUTH=" not in greeting, greeting
            assert imap(w, f"LOGIN alice {PASSWORD}").startswith("a NO [PRIVACYREQUIRED] ")
            assert imap(w, "AUTHENTICATE CRAM-MD5").startswith("a NO ")
            assert imap(w, "STARTTLS").startswith("a OK")
            w.secure(d.tls())
            assert imap(w, f"LOGIN alice {PASSWORD}").startswith("a OK ")
        with remote(d, "pop3") as w:
            w.line()
            w.send("USER alice\r\n")
            assert w.line().startswith("-ERR [AUTH] ")
            w.ask("STLS", "+OK")
            w.secure(d.tls())
            w.ask("USER alice", "+OK")
            w.ask(f"PASS {PASSWORD}", "+OK")
        with imaplib.IMAP4_SSL("localhost", d.port["imaps"], ssl_context=d.tls()) as client:
            client.login("alice", PASSWORD)


def names_without_their_domain():
    with Classic(MIDDLE, "auth_username_format = %Ln\n", users=f"alice:{{PLAIN}}{PASSWORD}\n") as d:
        client = imaplib.IMAP4("127.0.0.1", d.port["imap"])
        client.login("Alice@anything.example", PASSWORD)
        client.logout()
        client = poplib.POP3("127.0.0.1", d.port["pop3"])
        client.user("alice")
        client.pass_(PASSWORD)
        client.quit()


def homes():
    """Of a passwd-file: one owner is served, several are refused with what to do."""
    line = "mail_location = maildir:~/Maildir\nmail_home =\n"
    d = Classic(MIDDLE, line)
    (d.home / "users").write_text(f"alice:{{PLAIN}}{PASSWORD}:1000:1000::{d.home}/h/alice::\n"
                                  f"bob:{{PLAIN}}{PASSWORD}:1000:1000::{d.home}/h/bob::\n")
    with d:
        client = imaplib.IMAP4("127.0.0.1", d.port["imap"])
        client.login("bob", PASSWORD)
        client.select()
        client.logout()
        assert (d.home / "h/bob/Maildir/cur").is_dir()
    d = Classic(MIDDLE, line)
    (d.home / "users").write_text(f"alice:{{PLAIN}}{PASSWORD}:1000:1000::{d.home}/h/alice::\n"
                                  f"bob:{{PLAIN}}{PASSWORD}:1001:1001::{d.home}/h/bob::\n")
    try:
        d.start("imapd")
    except AssertionError as e:
        assert "belong to many users (1000, 1001)" in str(e) and "doveadm backup -u USER maildir:" in str(e), e
    else:
        raise AssertionError("homes of many users are served")


def deliveries():
    """smtpd puts mail where imapd looks for it."""
    with Daemons(settings="store.location = %h/Maildir\nstore.home = /nowhere\n", listeners=("smtp", "imap"), plain=True) as d:
        d.set("store.home", f"{d.home}/vmail/%u")
        d.stop()
        d.start()
        with d.wire("smtp") as w:
            w.line()
            for command in "EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@example.test>", "DATA":
                w.ask(command)
            w.send(letter() + ".\r\n")
            assert w.line().startswith("250")
        assert len(list((d.home / "vmail/bob/Maildir/new").iterdir())) == 1


def warnings():
    d = Classic(MIDDLE, "ssl = yes\nmail_privileged_group = mail\n")
    said = d.mailctl("config", "check").stderr
    more = d.file.parent / "conf.d" / "10-more.conf"
    assert f"{more}:1: warning: ssl = yes without a certificate: TLS is not offered" in said, said
    assert f"{more}:2: warning: setting mail_privileged_group is not used by libmail" in said, said
    more.write_text("mail_privilegd_group = mail\n")
    done = d.mailctl("config", "check", check=False)
    assert done.returncode == 1 and "did you mean mail_privileged_group?" in done.stderr, done


scenarios(each_dialect, cleartext_allowed, challenges_in_clear, places_of_accounts, usual_delay, one_protocol_alone, trusted_networks, connections_of_a_user, ssl_required,
          names_without_their_domain, homes, deliveries, warnings)
