"""What a sendmail.mc says, seen by clients: redirect, domaintable, `!` and `%` in addresses, other words for refusals, a
listener on a socket file, the host's own domain, an MX that is us, limits and flags with their classic defaults."""
import socket
import stat

from lib_daemons import PROGRAMS, Daemons, Wire, free_ports, listens, run, scenarios, wait_for
from lib_dns import Dns, client
from lib_vectors import proxied

HOST = "mx.example.test"
ZONES = {**client("198.51.100.1", "pc.example.test"), **client("198.51.100.2", "far.example"),
         "served.example": {"MX": f"10 {HOST}"}, "other.example": {"MX": "10 far.example"},
         "sick.example": "SERVFAIL", "sender.example": {"A": "198.51.100.200"}}


class Local(Wire):
    """A client of a socket file."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.rest = b""


def answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def installation(dns, lines, proxy=True):
    """smtpd by a sendmail.mc, on one port for clients behind a proxy."""
    d = Daemons(listeners={"smtp": 0} if proxy else {}, proxy=proxy, plain=True, users=("alice", "bob"),
                own=f"dns.servers = {dns.server}\ndns.hosts =\npostmaster = alice\n")
    for name in "domaintable", "aliases", "local-host-names", "relay-domains":
        (d.home / name).write_text("")
    (d.home / "local-host-names").write_text("example.test\n")
    (d.home / "sendmail.mc").write_text(
        "include(`/usr/share/sendmail-cf/m4/cf.m4')dnl\n" + f"define(`confDOMAIN_NAME', `{HOST}')dnl\n"
        f"define(`ALIAS_FILE', `{d.home}/aliases')dnl\ndefine(`confCW_FILE', `{d.home}/local-host-names')dnl\n"
        f"define(`confCR_FILE', `{d.home}/relay-domains')dnl\ndefine(`QUEUE_DIR', `{d.home}/queue')dnl\n"
        "define(`confDONT_PROBE_INTERFACES', `True')dnl\nFEATURE(`use_cw_file')dnl\nFEATURE(`no_default_msa')dnl\n" + lines.replace("HOME", str(d.home)))
    d.set("sendmail_mc", d.home / "sendmail.mc")
    return d


def rcpt(d, address, recipients, sender="a@sender.example"):
    """The replies to recipients, their addresses cut off."""
    w, _ = proxied(d, "smtp", address)
    with w:
        w.ask("EHLO c.example")
        assert w.ask(f"MAIL FROM:<{sender}>")[-1].startswith("250 ")
        return [w.ask(f"RCPT TO:<{one}>")[-1].replace(f"<{one}>... ", "") for one in recipients]


def same(got, wanted):
    assert got == wanted, f"{got} instead of {wanted}"


OK, UNKNOWN, DENIED = "250 2.1.5 Recipient ok", "550 5.1.1 User unknown", "550 5.7.1 Relaying denied"


def redirect(d):
    """A recipient that has moved; by an alias; as it is written only for whoever may relay."""
    moved = "551 5.1.1 User has moved; please try <carol@new.example>"
    same(rcpt(d, "198.51.100.2", ["carol@example.test", "carol@new.example.REDIRECT", "bob@example.test"]), [moved, DENIED, OK])


def domaintable(d):
    """A whole domain is replaced before anything else: mail for the old name is local."""
    same(rcpt(d, "198.51.100.2", ["bob@old.example", "nobody@old.example", "bob@older.example"]), [OK, UNKNOWN, DENIED])


def routes(d):
    """Without nouucp and nopercenthack both are routes: what they lead to is judged."""
    same(rcpt(d, "198.51.100.2", ["example.test!bob", "far.example!bob@example.test", "bob%far.example@example.test",
                                 "bob%example.test@example.test"]), [OK, DENIED, DENIED, OK])


def refused_routes(d):
    """nouucp and nopercenthack with `reject`."""
    same(rcpt(d, "198.51.100.2", ["far.example!bob@example.test", "bob%far.example@example.test", "bob@example.test"]),
         [DENIED, DENIED, OK])


def ordinary_letters(d):
    """nouucp and nopercenthack with `nospecial`: letters of a name like others."""
    same(rcpt(d, "198.51.100.2", ["far.example!bob@example.test", "bob%far.example@example.test"]), [UNKNOWN, UNKNOWN])


def own_words(d):
    """confREJECT_MSG, confRELAY_MSG and confSMTP_LOGIN_MSG."""
    with proxied(d, "smtp", "198.51.100.9")[0] as w:
        w.ask("EHLO c.example")
        assert w.ask("MAIL FROM:<a@sender.example>") == ["554 5.7.1 go away"]
    same(rcpt(d, "198.51.100.2", ["a@other.example"]), ["551 5.7.1 we do not relay"])
    w, greeting = proxied(d, "smtp", "198.51.100.2")
    w.close()
    assert greeting == [f"220 {HOST} ESMTP ready for mail"], greeting


def entire_domain(d):
    """relay_entire_domain: hosts under the host's own domain may relay, and mail to them is relayed."""
    same(rcpt(d, "198.51.100.1", ["a@other.example"]), [OK])
    same(rcpt(d, "198.51.100.2", ["a@pc.example.test", "a@other.example"]), [OK, DENIED])


def based_on_mx(d):
    """relay_based_on_MX: to a domain that lists this host."""
    same(rcpt(d, "198.51.100.2", ["a@served.example", "a@other.example", "a@sick.example"]), [
        OK, DENIED, "450 4.4.0 Can not check MX records for recipient host sick.example"])


def qualified(dns):
    """accept_unqualified_senders, and a listener with M=f that wants a domain all the same."""
    open_port, strict = free_ports(2)
    with installation(dns, f"FEATURE(`accept_unqualified_senders')dnl\nDAEMON_OPTIONS(`Port={open_port}, Addr=127.0.0.1')dnl\n"
                      f"DAEMON_OPTIONS(`Port={strict}, Addr=127.0.0.1, M=f')dnl\n", proxy=False) as d:
        d.start("smtpd")
        for port, reply in (open_port, "250 2.1.0 <root>... Sender ok"), \
                (strict, "553 5.5.4 <root>... Domain name required for sender address root"):
            wait_for(lambda p=port: listens(p), what=f"port {port}")
            with Wire(port) as w:
                w.hello()
                same(w.ask("MAIL FROM:<root>"), [reply])


def socket_file(dns):
    """Family=local: a socket file, of anybody; stale ones are replaced, and it goes with the daemon."""
    with installation(dns, "DAEMON_OPTIONS(`Family=local, Addr=HOME/smtp.sock, Name=L')dnl\n", proxy=False) as d:
        path = d.home / "smtp.sock"
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(str(path))
        stale.close()
        d.start("smtpd")
        wait_for(lambda: d.alive("smtpd") and answers(path), what="smtpd")
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        with Local(path) as w:
            assert w.hello()
            for command in "MAIL FROM:<a@sender.example>", "RCPT TO:<bob@example.test>", "RCPT TO:<x@far.example>", "DATA":
                assert w.ask(command)[-1][0] in "23", command
            w.send("Subject: by file\r\n\r\nx\r\n.\r\n")
            assert w.reply()[-1].startswith("250 ")
        letter = next((d.data / "mail" / "bob" / "new").glob("*")).read_text()
        assert "Received: from client.example.net (local) by" in letter.replace("\n\t", " "), letter
        d.hang_up("smtpd")
        wait_for(lambda: "event=reloaded" in d.log("smtpd"), what="the reload")
        with Local(path) as w:
            assert w.hello()
        d.stop("smtpd")
        assert not path.exists(), "the socket file is left"
        (d.home / "sendmail.mc").write_text(f"DAEMON_OPTIONS(`Family=local, Addr=/tmp/{'x' * 110}, Name=L')dnl\n")
        said = run(PROGRAMS / "smtpd", "-t", "-c", d.conf, check=False)
        assert said.returncode and "sendmail.mc:1:" in said.stderr and "longer than 107 octets" in said.stderr, said


def main():
    with Dns(ZONES) as dns:
        d = installation(dns, "FEATURE(`redirect')dnl\nFEATURE(`domaintable', `hash HOME/domaintable')dnl\n")
        (d.home / "domaintable").write_text("old.example\texample.test\n")
        (d.home / "aliases").write_text("carol: carol@new.example.REDIRECT\n")
        with d:
            scenarios(redirect, domaintable, routes, arguments=[d])
        with installation(dns, "FEATURE(`nouucp', `reject')dnl\nFEATURE(`nopercenthack', `reject')dnl\n") as d:
            scenarios(refused_routes, arguments=[d])
        with installation(dns, "FEATURE(`nouucp', `nospecial')dnl\nFEATURE(`nopercenthack', `nospecial')dnl\n") as d:
            scenarios(ordinary_letters, arguments=[d])
        d = installation(dns, "FEATURE(`access_db', `hash HOME/access')dnl\nFEATURE(`relay_entire_domain')dnl\n"
                         "define(`confREJECT_MSG', `554 go away')dnl\ndefine(`confRELAY_MSG', `551 we do not relay')dnl\n"
                         "define(`confSMTP_LOGIN_MSG', `$j ready for mail')dnl\n")
        (d.home / "access").write_text("Connect:198.51.100.9 REJECT\n")
        with d:
            scenarios(own_words, arguments=[d])
        with installation(dns, "FEATURE(`relay_entire_domain')dnl\n") as d:
            scenarios(entire_domain, arguments=[d])
        with installation(dns, "FEATURE(`relay_based_on_MX')dnl\n") as d:
            scenarios(based_on_mx, arguments=[d])
        scenarios(socket_file, qualified, arguments=[dns])


if __name__ == "__main__":
    main()
