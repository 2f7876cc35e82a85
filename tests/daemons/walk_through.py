"""The setup guide walked through, from an empty directory to its last outcome, along docs/from-sendmail-and-dovecot.md."""
# long
#
# Everything has its real place and port: the test lives in namespaces of its own (mounts, network, host name, processes),
# where /etc is a copy, /usr/local what cmake --install makes, and the clients' addresses belong to the loopback interface.
# No PROXY protocol, no setting that the guide's administrator would not write. Without root the namespaces are a user's.
import contextlib
import json
import os
import pathlib
import re
import selectors
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

from lib_daemons import BUILD, SOURCE, Wire, wait_for
from lib_page import Page

HOST = "correo.midominio.com.mx"
PUBLIC, LAN, STRANGER = "207.249.24.30", "192.168.1.10", "203.0.113.1"
GUIDE = SOURCE / "tests/guide"
MC = pathlib.Path("/etc/mail/sendmail.mc")
SMTP, SUBMISSION, IMAP, POP3 = 25, 587, 143, 110


# ---- The machine ---------------------------------------------------------------------------------------------------------

def sh(*command, **how):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def make_machine(home, addresses):
    """Of the namespaces that main() has made: a server that was set up by the guide, without our programs' settings."""
    sh("cmake", "--install", BUILD, "--prefix", home / "local")
    (home / "etc").mkdir()
    subprocess.run(f"cp -a /etc/. {home}/etc/ 2>/dev/null", shell=True, check=False) # what a user may not read is not needed
    for gone in "mail", "dovecot.conf", "libmail", "aliases":
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path = home / "etc" / gone
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (home / "etc" / "init.d").mkdir(exist_ok=True)
    for old in "sendmail", "dovecot", "saslauthd":
        (home / "etc" / "init.d" / old).unlink(missing_ok=True)
    for file in "resolv.conf", "hosts":
        (home / "etc" / file).unlink(missing_ok=True)
    (home / "etc" / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (home / "etc" / "hosts").write_text(f"127.0.0.1 localhost.localdomain localhost\n{LAN} {HOST} correo\n")
    sh("mount", "--bind", home / "local", "/usr/local")
    sh("mount", "--bind", home / "etc", "/etc")
    for folder in "/run", "/var/lib":
        sh("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    sh("hostname", HOST)
    sh("ip", "link", "set", "lo", "up")
    for address in sorted(addresses - {"127.0.0.1"}):
        sh("ip", "address", "add", f"{address}/32", "dev", "lo")
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    mail = pathlib.Path("/etc/mail")
    mail.mkdir()
    for file in "access", "local-host-names", "relay-domains", "sendmail.mc":
        shutil.copy(GUIDE / file, mail)
    shutil.copy(GUIDE / "dovecot.conf", "/etc/dovecot.conf")


class Client(Wire):
    """Greeting unread. A client on one of the server's own addresses connects to that one."""

    def __init__(self, port, source=STRANGER):
        to = source if source in ("127.0.0.1", PUBLIC, LAN) else PUBLIC
        self.socket = socket.create_connection((to, port), 20, source_address=(source, 0))
        self.rest = b""


def refused(port, to=PUBLIC):
    with socket.socket() as s:
        s.settimeout(2)
        try:
            s.connect((to, port))
        except ConnectionRefusedError:
            return True
        return False


def pid_of(daemon):
    return int(pathlib.Path(f"/run/libmail/{daemon}.pid").read_text())


def service(name, verb, code=0):
    done = subprocess.run(["service", name, verb], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == code, f"service {name} {verb}: exit code {done.returncode}, not {code}: {done.stdout}"
    return done.stdout


def code_and_enhanced(reply):
    return reply[-1][:3] + " " + reply[-1][4:].split(" ")[0]


# ---- The steps -----------------------------------------------------------------------------------------------------------

def check(page):
    """1. Installed and configured: the check says exactly what the page shows, and it is what the guide's files deserve."""
    page.run("cp /usr/local/etc/init.d/* /etc/init.d/")
    page.run("install -d /etc/libmail")
    pathlib.Path("/etc/libmail/libmail.conf").write_text(page.block("conf"))
    said = page.run("smtpd -t")
    assert said == page.block("text"), f"smtpd -t says:\n{said}"
    warnings = [line for line in said.splitlines() if ": warning: " in line]
    blank = [number for number, line in enumerate((GUIDE / "access").read_text().splitlines(), 1) if "Connect: " in line]
    assert len(warnings) == 7 and len(blank) == 4
    for number in blank:
        assert f"/etc/mail/access:{number}: warning: blank after tag" in said
    for what in "confMAX_HEADERS_LENGTH", "blacklist_recipients", "masquerade_entire_domain":
        assert sum(what in line for line in warnings) == 1, what
    for what in "procmail", "smrsh", "GSSAPI", "mailertable is missing", "virtusertable is missing":
        assert [line for line in said.splitlines() if ": notice: " in line and what in line], what
    assert page.run("smtpd -t --strict", code=1).count(": error: ") == 7
    shown = page.run("mailctl config show")
    number = 1 + [line.startswith("define(`confMAX_RCPTS_PER_MESSAGE'") for line in MC.read_text().splitlines()].index(True)
    assert re.search(rf"^smtp.max_recipients = 10 +# {MC}:{number}$", shown, re.M), shown
    assert re.search(rf'^smtp.realm = "{HOST}"', shown, re.M), shown
    page.run("mailctl policy explain --client 203.0.113.1 --from a@sender.example --to juan@midominio.com.mx")
    said = page.run("mailctl policy explain --client 207.249.24.30 --from juan@midominio.com.mx --to x@elsewhere.example")
    assert f"/etc/mail/access:{blank[0]}" in said, said
    said = page.run(f"mailctl policy explain --client 127.0.0.1 --from juan@{HOST} --to x@elsewhere.example")
    assert f"MAIL FROM: juan@{HOST} becomes juan@midominio.com.mx" in said, said


def accounts(page):
    """2. Both steps for every user of the guide."""
    users = dict(line.split() for line in (GUIDE / "users").read_text().splitlines() if not line.startswith("#"))
    assert "no password yet" in page.run("mailctl user create juan")
    said = page.run("mailctl user password juan", typed=["secreto", "secreto"])
    assert "no secret yet" in said and "secreto" not in said, said
    page.run("mailctl user secret juan", typed=["secreto", "secreto"])
    page.run("mailctl user create ana")
    page.run("mailctl user passwd ana", typed=["secreta", "secreta"])
    for user, password in users.items():
        if user not in ("juan", "ana"):
            sh("mailctl", "user", "create", "-p", user, input=password + "\n") # both
    listed = page.run("mailctl user list")
    assert [line.split("\t") for line in listed.splitlines()] == [[u, "password", "scram", "secret"] for u in users], listed
    page.run("mailctl user check")


def start(page):
    """3. By their old names."""
    for name in "sendmail", "dovecot", "saslauthd":
        page.run(f"service {name} start")
    for name in "sendmail", "dovecot", "saslauthd":
        assert page.run(f"service {name} status").count("\n") == 1


def outcomes():
    """4. The 39 checks."""
    from guide_outcomes import ROWS, command, judge
    wrong = []
    for row in ROWS:
        with Client(int(row["port"]), row["client_ip"]) as w:
            greeting = w.reply()
            assert greeting[0].startswith(f"220 {HOST} ESMTP"), greeting
            for text in row["commands"].split(" ; "):
                reply = command(w, text)
        wrong.append(judge(row, reply))
        if "Access denied" in row["meaning"] and not reply[-1].endswith("Access denied"):
            wrong.append(f"{row['id']}: {reply}")
    wrong = [text for text in wrong if text]
    assert len(ROWS) == 39 and not wrong, "\n".join(wrong)


def greeted(port):
    """A client that is served, or None: sessions that have just ended may still have its place."""
    with contextlib.suppress(ConnectionRefusedError):
        w = Client(port)
        if (w.line() or "").startswith("220 "):
            return w
        w.close()
    return None


def children():
    """5. Five sessions are all there is, on both ports together."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(wait_for(lambda p=port: greeted(p), what=f"a place on port {port}"))
                   for port in (SMTP, SUBMISSION, SMTP, SUBMISSION, SMTP)]
        for port in SMTP, SUBMISSION:
            wait_for(lambda p=port: refused(p), 2, f"the end of port {port}") # one loop tells the others
        assert clients[0].ask("QUIT")[0].startswith("221 ")
        wait_for(lambda: not refused(SMTP), 15, "a place for the next")


def rate(page):
    """6. Twelve at once: four a second are served, the others wait."""
    page.run("sed -i 's/^define(`confMAX_DAEMON_CHILDREN/dnl &/' /etc/mail/sendmail.mc")
    page.run("service sendmail reload")
    time.sleep(2.1) # nobody has connected for a second
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
        begun = time.monotonic()
        for _ in range(12):
            s = stack.enter_context(socket.socket())
            s.bind((STRANGER, 0))
            s.setblocking(False)
            s.connect_ex((PUBLIC, SMTP))
            waiting.register(s, selectors.EVENT_READ)
        times = []
        while waiting.get_map() and time.monotonic() < begun + 10:
            for key, _ in waiting.select(1):
                assert key.fileobj.recv(4) == b"220 "
                times.append(time.monotonic() - begun)
                waiting.unregister(key.fileobj)
    assert len(times) == 12 and times[-1] < 4, times
    assert sum(t < 1 for t in times) <= 4, times
    shutil.copy(GUIDE / "sendmail.mc", MC)
    service("sendmail", "reload")


FAR, NEAR = "198.51.100.25", "198.51.100.1"
FAR_ZONES = {"lejos.example": {"MX": "10 mx.lejos.example"}, "mx.lejos.example": {"A": FAR}}


def far_away():
    """Inside a network of its own: another machine's mail server; what it takes, a line each."""
    from lib_relay import Peer
    print("here", flush=True)
    sys.stdin.readline()
    sh("ip", "address", "add", f"{FAR}/24", "dev", "far")
    sh("ip", "link", "set", "far", "up")
    with Peer(FAR, SMTP) as peer:
        print("listens", flush=True)
        for count in range(1, 3):
            wait_for(lambda n=count: len(peer.mails) >= n, 60, "mail")
            sender, to, octets = peer.mails[count - 1]
            print(json.dumps([sender, to, octets.decode()]), flush=True)
        sys.stdin.readline()


def leaves():
    """7. What juan sends from the server leaves under the name of the domain; root's keeps the host's."""
    far = subprocess.Popen(["unshare", "--net", sys.executable, __file__, "far"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           text=True)
    try:
        assert far.stdout.readline() == "here\n"
        sh("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far.pid)
        sh("ip", "address", "add", f"{NEAR}/24", "dev", "near")
        sh("ip", "link", "set", "near", "up")
        far.stdin.write("go\n")
        far.stdin.flush()
        assert far.stdout.readline() == "listens\n"
        for user, seen in ("juan", "juan@midominio.com.mx"), ("root", f"root@{HOST}"):
            with smtplib.SMTP(LAN, SMTP, source_address=(LAN, 0)) as s:
                s.sendmail(f"{user}@{HOST}", ["x@lejos.example"], f"From: Yo <{user}@{HOST}>\r\nTo: x@lejos.example, ana@{HOST}\r\n"
                           f"Cc: ana@{HOST}\r\n\r\nFrom: {user}@{HOST}\r\n")
            sender, to, text = json.loads(far.stdout.readline())
            header, body = text.split("\r\n\r\n")
            fields = header.split("\r\n")
            assert sender == seen and to == ["x@lejos.example"], (sender, to)
            assert f"From: Yo <{seen}>" in fields and f"Cc: ana@{HOST}" in fields, header
            assert f"To: x@lejos.example, ana@{HOST}" in fields and body == f"From: {user}@{HOST}\r\n", text
    finally:
        far.kill()
        far.wait()


def mailboxes():
    """8. Passwords in clear from the server itself alone; what came by SMTP is read by both protocols."""
    for port in 993, 995:
        assert refused(port, "127.0.0.1") and refused(port)
    with Client(IMAP) as w:
        assert "LOGINDISABLED" in w.line()
        assert w.ask("a LOGIN juan secreto", "a ")[-1].startswith("a NO [PRIVACYREQUIRED]")
    with Client(POP3) as w:
        w.line()
        assert w.ask("USER juan", "-ERR")[-1].startswith("-ERR [AUTH]")
    for source in "127.0.0.1", LAN:
        with Client(IMAP, source) as w:
            assert "LOGINDISABLED" not in w.line()
            w.ask("a LOGIN juan secreto", "a OK")
            assert "* 2 EXISTS" in w.ask("b SELECT INBOX", "b OK")
            sizes = [int(n) for n in re.findall(r"RFC822.SIZE (\d+)", "\n".join(w.ask("c FETCH 1:* RFC822.SIZE", "c OK")))]
            assert sizes[0] > 10240 and sizes[1] > 3075000, sizes
            assert [line for line in w.ask("d FETCH 1 BODY.PEEK[HEADER]", "d OK") if line == f"Return-Path: <a@sender.example>"]
        with Client(POP3, source) as w:
            w.line()
            w.ask("USER juan", "+OK")
            w.ask("PASS secreto", "+OK")
            assert w.ask("STAT", "+OK")[0].startswith("+OK 2 ")
            w.ask("RETR 1", "+OK")
            assert "Return-Path: <a@sender.example>" in w.until(".")


def reload(page):
    """9. A new rule for new sessions; the open one goes on under the old."""
    before = pid_of("smtpd")
    with Client(SMTP) as old:
        old.line()
        old.ask("EHLO c")
        page.run("echo 'Connect:203.0.113.1 REJECT' >> /etc/mail/access")
        page.run("service sendmail reload")
        assert pid_of("smtpd") == before
        assert code_and_enhanced(old.ask("MAIL FROM:<a@sender.example>")) == "250 2.1.0"
        assert code_and_enhanced(old.ask("RCPT TO:<juan@midominio.com.mx>")) == "250 2.1.5"
        with Client(SMTP) as new:
            assert new.line().startswith("220 ")
            new.ask("EHLO c")
            assert new.ask("MAIL FROM:<a@sender.example>")[-1].endswith("550 5.7.1 Access denied")
    shutil.copy(GUIDE / "access", "/etc/mail/access")
    service("sendmail", "reload")


DAMAGED = {"acute": 1, "acute-p": 1, "dn1": 1, "split": 2, "curly": 1, "unclosed": 1, "unknown-text": 2}


def damaged(page):
    """10. A faulty file is named with its line and a hint, and nothing is ended for it."""
    before = pid_of("smtpd")
    for name, number in DAMAGED.items():
        shutil.copy(GUIDE / "broken" / f"{name}.mc", MC)
        said = service("sendmail", "reload", 1)
        at = [line for line in said.splitlines() if line.startswith(f"{MC}:{number}: error: ")]
        assert at, f"{name}: {said}"
        page.tells(at[0].split("error: ", 1)[1])
        for verb in "restart", "condrestart":
            assert at[0] in service("sendmail", verb, 1), name
        assert pid_of("smtpd") == before
        with Client(SMTP) as w: # the old configuration
            w.line()
            assert "250-SIZE 3075000" in w.ask("EHLO c"), name
    for name, what in (("nocomma", "warning: "), ("dnl-left", "notice: commented out: MASQUERADE_AS(`midominio.com.mx')")):
        shutil.copy(GUIDE / "broken" / f"{name}.mc", MC)
        said = sh("smtpd", "-t")
        assert f"{MC}:1: {what}" in said, said
        page.tells([line for line in said.splitlines() if line.startswith(f"{MC}:1: ")][0].split(": ", 2)[2])
    shutil.copy(GUIDE / "sendmail.mc", MC)
    page.run("service sendmail restart")
    assert pid_of("smtpd") != before


def stopped(page):
    """11. condrestart leaves alone what does not run."""
    page.run("service sendmail stop")
    page.run("service sendmail condrestart")
    assert service("sendmail", "status", 3).count("\n") == 1
    assert refused(SMTP)
    service("sendmail", "restart")
    service("sendmail", "status")
    with Client(SMTP) as w:
        assert w.line().startswith("220 ")


def misprint():
    """12. correoomidominio.com.mx is a name like any other, and nobody has it."""
    relay = pathlib.Path("/etc/mail/relay-domains")
    relay.write_text("midominio.com.mx\ncorreoomidominio.com.mx\n")
    assert sh("smtpd", "-t").count(": warning: ") == 7
    service("sendmail", "reload")
    with Client(SMTP) as w:
        w.line()
        w.ask("EHLO c")
        w.ask("MAIL FROM:<a@sender.example>")
        assert code_and_enhanced(w.ask("RCPT TO:<x@correoomidominio.com.mx>")) == "250 2.1.5"
        assert code_and_enhanced(w.ask(f"RCPT TO:<juan@{HOST}>")) == "250 2.1.5"
        assert code_and_enhanced(w.ask("RCPT TO:<x@elsewhere.example>")) == "550 5.7.1"


def certificates(page):
    """The page's last advice: with a certificate TLS is offered, and passwords in clear inside it."""
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={HOST}",
       "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", "/etc/ssl/mail.key", "-out", "/etc/ssl/mail.pem", "-days", "2")
    text = MC.read_text()
    MC.write_text(text.replace("MAILER(smtp)", page.block("m4") + "MAILER(smtp)"))
    with open("/etc/dovecot.conf", "a") as f:
        f.write(page.block("dovecot"))
    for name in "sendmail", "dovecot":
        service(name, "restart")
    tls = ssl.create_default_context(cafile="/etc/ssl/mail.pem")
    for port in SMTP, SUBMISSION, 465:
        with Client(port) as w:
            if port != 465:
                w.line()
                offer = w.ask("EHLO c")
                assert "250-STARTTLS" in offer and not [line for line in offer if "PLAIN" in line], offer
                w.ask("STARTTLS")
            w.socket = tls.wrap_socket(w.socket, server_hostname=HOST)
            if port == 465:
                w.line()
            assert [line for line in w.ask("EHLO c") if "AUTH " in line and "PLAIN" in line and "LOGIN" in line]
            assert code_and_enhanced(w.ask("AUTH PLAIN AGp1YW4Ac2VjcmV0bw==")) == "235 2.0.0"
    for port in 993, 995:
        with Client(port) as w:
            w.socket = tls.wrap_socket(w.socket, server_hostname=HOST)
            w.line()
            if port == 993:
                w.ask("a LOGIN juan secreto", "a OK")
            else:
                w.ask("USER juan", "+OK")
                w.ask("PASS secreto", "+OK")


def walk(home):
    from guide_outcomes import ROWS, zones
    from lib_dns import Dns
    page = Page("from-sendmail-and-dovecot.md", "desde-sendmail-y-dovecot.md")
    make_machine(home, {row["client_ip"] for row in ROWS} | {PUBLIC, LAN})
    with Dns({**zones(), **FAR_ZONES}, port=53):
        steps = ((check, page), (accounts, page), (start, page), (outcomes,), (children,), (rate, page), (leaves,), (mailboxes,),
                 (reload, page), (damaged, page), (stopped, page), (misprint,), (certificates, page))
        failed = 0
        for step, *arguments in steps:
            begun = time.monotonic()
            try:
                step(*arguments)
            except Exception:
                failed += 1
                print(f"--- {step.__doc__}", file=sys.stderr)
                traceback.print_exc()
            print(f"{step.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
        for verb in "stop", "status":
            subprocess.run(["mailctl", verb, "all"], check=False, stdout=subprocess.DEVNULL)
        assert not failed, f"{failed} of {len(steps)} steps failed"
        page.done()


def main():
    """In namespaces; what was started inside ends with them."""
    if sys.argv[1:] != ["inside"]:
        own = [] if os.geteuid() == 0 else ["--map-root-user"]
        (BUILD / "tests").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="walk-", dir=BUILD / "tests") as home:
            done = subprocess.run(["unshare", *own, "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                                   sys.executable, __file__, "inside"], env={**os.environ, "WALK_HOME": home}, check=False)
        sys.exit(done.returncode)
    walk(pathlib.Path(os.environ["WALK_HOME"]))


if sys.argv[1:] == ["far"]:
    far_away()
    sys.exit()


main()
