"""Other mail servers for one test: Postfix and Exim from .ci/peers, each with its own files, users and address.

    with Postfix("127.0.0.51", port, {"relayhost": "[127.0.0.1]:2525"}, tls=ca) as peer:
        peer.mails("bob")       the letters in that mailbox of postfix.test: [octets, ...]
        peer.log()              what it has logged
        peer.map("name", {...}) a table; peer.reload() makes it read again
    with Exim("127.0.0.52", port, smart_host="127.0.0.1", smart_port=2525, auth=("u", "secret")) as peer: ...
    with Authority() as ca: ca.certificate("mx.postfix.test")
    with Sink("127.0.0.53", port) as sink: source(port, 1000, "x@sink.test"); sink.count()   Postfix's load generators

Both run in a mount namespace of their own, in which passwd and group name the users that they insist on, and their
programs lie where those users come to; nothing of the system is changed. That needs root; without it a test fails,
unless NO_MOUNT=1 allows it to be left out.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from lib_daemons import SOURCE, wait_for
from lib_mount import need_root

UNPACKED = SOURCE / "build/peers"
ROOT = pathlib.Path("/mnt") # where that is for the servers
USERS = {"postfix": 461, "postdrop": 462, "Debian-exim": 463, "vmail": 464}


def unpacked():
    """The folder with the servers' programs; .ci/peers makes it when nobody has."""
    if not (UNPACKED / "complete").exists():
        subprocess.run([SOURCE / ".ci/peers"], check=True)
    assert (UNPACKED / "complete").exists(), "Postfix and Exim are not there: .ci/peers unpacks Debian's packages of them"
    return UNPACKED


def environment(root):
    """The servers' own libraries, and those that this system lacked, lie in the same folder as they do."""
    folders = ("usr/lib/postfix", *(f.relative_to(UNPACKED) for f in UNPACKED.glob("**/lib/*-linux-gnu*")))
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": ":".join(str(root / f) for f in folders)}


def tool(name, *args, **how):
    """Start one of Postfix's load generators."""
    return subprocess.Popen([str(a) for a in (unpacked() / "usr/sbin" / name, *args)], env=environment(UNPACKED),
                            stdin=subprocess.DEVNULL, **how)


def source(port, count, to, *more, host="127.0.0.1"):
    """smtp-source: count messages to there, over ten connections unless more says otherwise; seconds that it took."""
    began = time.monotonic()
    process = tool("smtp-source", "-d", "-s", 10, "-M", "source.test", "-f", "alice@example.test", "-t", to, "-m", count, *more,
                   f"{host}:{port}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and b"warning" not in said and b"fatal" not in said, said.decode()
    return time.monotonic() - began


class Sink:
    """smtp-sink: takes all, throws it away, counts; more: its options."""

    def __init__(self, address, port, *more):
        self.last = b""
        self.process = tool("smtp-sink", "-c", "-u", "nobody", *more, f"{address}:{port}", 1000, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
        wait_for(lambda: connects(address, port), what="smtp-sink")
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while got := self.process.stdout.read1(4096):
            self.last = (self.last + got)[-200:]

    def count(self):
        """Messages so far."""
        numbers = re.findall(rb"mesg=(\d+)\D", self.last)
        return int(numbers[-1]) if numbers else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def connects(address, port):
    with socket.socket() as s:
        return s.connect_ex((address, port)) == 0


class Authority:
    """A certificate authority for one test: ca.file vouches for what ca.certificate(NAME) makes."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="libmail-authority-"))
        os.chmod(self.folder, 0o755)
        self.file, _ = self.make("authority", "-subj", "/CN=an authority for tests")

    def make(self, name, *how):
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "30", *how, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
        os.chmod(files[1], 0o644) # the servers' users read it
        return files

    def certificate(self, name):
        """(certificate, key): files for a server of that name."""
        return self.make(name, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-addext",
                         "basicConstraints=CA:FALSE", "-CA", self.file, "-CAkey", self.folder / "authority.key")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)


class Server:
    """What both have in common: a folder (of all users; parent: where it is made), users, a process that ends with the test."""

    def __init__(self, address, port, domain, parent=None):
        need_root("a mail server beside ours")
        unpacked()
        self.address, self.port, self.domain = address, port, domain
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"libmail-{type(self).__name__.lower()}-", dir=parent))
        os.chmod(self.home, 0o755)
        self.process = None
        for name, first in ("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin"), ("group", "{0}:x:{1}:"):
            lines = [line for line in open(f"/etc/{name}") if line.split(":")[0] not in USERS]
            (self.home / name).write_text("".join(lines) + "".join(first.format(*u) + "\n" for u in USERS.items()))

    def folder(self, name, owner):
        path = self.home / name
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, USERS.get(owner, 0), USERS.get(owner, 0))
        return path

    def command(self, *command):
        """Seen from where our users exist."""
        places = {self.home / "passwd": "/etc/passwd", self.home / "group": "/etc/group", UNPACKED: ROOT}
        mounts = "".join(f'mount --bind "{where}" {seen} && ' for where, seen in places.items())
        return ["unshare", "-m", "sh", "-c", mounts + 'exec "$@"', "sh", *command]

    def launch(self, *command):
        with open(self.home / "output", "ab") as out:
            self.process = subprocess.Popen([str(c) for c in self.command(*command)], env=environment(ROOT), stdout=out,
                                            stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(self.up, 20, f"{type(self).__name__} at {self.address}: {self.output()}")

    def up(self):
        assert self.process.poll() is None, self.output() + self.log()
        return connects(self.address, self.port)

    def output(self):
        return (self.home / "output").read_text(errors="replace")

    def mails(self, user):
        """The letters for a user, oldest first, with LF. They lie in one folder: the server says in a field for whom."""
        def heads(octets):
            return b"\n" + octets.split(b"\n\n")[0]
        files = sorted(self.home.glob("mail/all/new/*"), key=lambda f: f.stat().st_mtime_ns)
        letters = (f.read_bytes() for f in files)
        return [octets for octets in letters if f"\n{self.mark}: {user}@".encode() in heads(octets)]

    def arrives(self, user, count=1, seconds=20):
        try:
            wait_for(lambda: len(self.mails(user)) >= count, seconds, f"{count} letters for {user}")
        except AssertionError as e:
            raise AssertionError(f"{e}; the log says:\n{self.log()[-3000:]}") from None
        return self.mails(user)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            shutil.rmtree(self.home)
        else:
            print(f"--- {self.home}\n{self.output()[-2000:]}\n{self.log()[-6000:]}")

    def stop(self):
        """Its process group is its own, so nothing else ends with it."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None


class Postfix(Server):
    """settings: of main.cf, which win over ours; services: lines of master.cf; tls: (certificate, key) for STARTTLS;
    domain: whose mail it keeps, any mailbox; everything else goes to relayhost, if one is set."""

    mark = "X-Original-To"

    def __init__(self, address, port, settings={}, services="", tls=None, domain="postfix.test",
                 parent=None):
        super().__init__(address, port, domain, parent)
        programs = ROOT / "usr/lib/postfix/sbin"
        self.settings = {
            "compatibility_level": "3.6", "myhostname": f"mx.{domain}", "mydestination": "", "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4", "mail_owner": "postfix", "setgid_group": "postdrop", "default_privs": "nobody",
            "queue_directory": self.folder("spool", "root"), "data_directory": self.folder("data", "postfix"),
            "daemon_directory": programs, "command_directory": ROOT / "usr/sbin", "shlib_directory": ROOT / "usr/lib/postfix",
            "meta_directory": ROOT / "etc/postfix", "maillog_file": self.home / "log", "maillog_file_prefixes": self.home,
            "import_environment": "MAIL_CONFIG MAIL_LOGTAG LD_LIBRARY_PATH PATH LANG=C", "alias_maps": "", "alias_database": "",
            "local_recipient_maps": "", "mynetworks": "127.0.0.0/8", "smtpd_peername_lookup": "no",
            "smtp_dns_support_level": "disabled", "smtp_host_lookup": "native", "smtp_bind_address": address,
            "virtual_mailbox_domains": domain, "virtual_mailbox_base": self.folder("mail", "vmail"),
            "virtual_mailbox_maps": self.map("boxes", {f"@{domain}": "all/"}), 
            "virtual_uid_maps": f"static:{USERS['vmail']}", "virtual_gid_maps": f"static:{USERS['vmail']}",
            "message_size_limit": "60000000",
            "virtual_mailbox_limit": "0", "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s",
            "smtp_tls_security_level": "may", "smtp_tls_CAfile": "", **settings}
        if tls:
            self.settings.update({"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": tls[0], "smtpd_tls_key_file": tls[1]})
        self.services = f"{address}:{port} inet n - n - - smtpd\n" + services + "".join(
            f"{line}\n" for line in (
                "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr",
                "tlsmgr unix - - n 1000? 1 tlsmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
                "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "verify unix - - n - 1 verify",
                "flush unix n - n 1000? 0 flush", "proxymap unix - - n - - proxymap", "smtp unix - - n - - smtp",
                "relay unix - - n - - smtp", "showq unix n - n - - showq", "error unix - - n - - error",
                "retry unix - - n - - error", "discard unix - - n - - discard", "virtual unix - n n - - virtual",
                "lmtp unix - - n - - lmtp", "anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache",
                "postlog unix-dgram n - n - 1 postlogd"))

    def map(self, name, entries):
        """A table; what main.cf calls it."""
        path = self.folder("tables", "root") / name
        path.write_text("".join(f"{key} {value}\n" for key, value in entries.items()))
        return f"texthash:{path}"

    def start(self):
        conf = self.folder("conf", "root")
        (conf / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in self.settings.items()))
        (conf / "master.cf").write_text(self.services)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
            os.chmod(self.folder(f"spool/{name}", "postfix"), 0o700)
        for name, mode in ("public", 0o710), ("maildrop", 0o730):
            path = self.folder(f"spool/{name}", "postfix")
            os.chown(path, USERS["postfix"], USERS["postdrop"])
            os.chmod(path, mode)
        self.folder("spool/pid", "root")
        self.launch(ROOT / "usr/lib/postfix/sbin/master", "-d", "-c", conf)

    def reload(self):
        before = self.log().count("reload")
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log().count("reload") > before, what="postfix reads its files again")

    def log(self):
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def waiting(self):
        """Names of what is in its queue."""
        return [f.name for queue in ("active", "deferred", "incoming", "maildrop", "hold")
                for f in (self.home / "spool" / queue).rglob("*") if f.is_file()]


class Exim(Server):
    """smart_host, smart_port: where everything goes that is not for domain; auth: (user, password) that must log in before
    mail is taken; login: the same for what it sends; tls: (certificate, key); rcpt: lines that the ACL for RCPT begins with;
    settings, transport: lines of the first part, and of the transport that sends."""

    mark = "Envelope-to"

    def __init__(self, address, port, smart_host=None, smart_port=None, auth=None, login=None, tls=None, rcpt="", settings="",
                 transport="", domain="exim.test"):
        super().__init__(address, port, domain)
        spool, mail = self.folder("spool", "Debian-exim"), self.folder("mail", "Debian-exim")
        logs = self.folder("logs", "Debian-exim")
        (self.home / "conf").write_text(f"""
primary_hostname = mx.{domain}
exim_path = {ROOT}/usr/sbin/exim4
spool_directory = {spool}
log_file_path = {logs}/%slog
pid_file_path = {spool}/pid
log_selector = -queue_run +smtp_protocol_error
local_interfaces = {address}
daemon_smtp_ports = {port}
deliver_drop_privilege = true
trusted_users = Debian-exim
host_lookup =
rfc1413_hosts = :
smtp_accept_max = 200
smtp_accept_queue_per_connection = 1000
message_size_limit = 60M
queue_run_in_order
{"tls_advertise_hosts = *" if tls else "tls_advertise_hosts ="}
{f"tls_certificate = {tls[0]}" if tls else ""}
{f"tls_privatekey = {tls[1]}" if tls else ""}
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
pipelining_advertise_hosts = *
acl_smtp_mail = accept
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
{settings}
begin acl
check_rcpt:
{rcpt}
{"  require authenticated = *" if auth else ""}
  accept
begin routers
here:
  driver = accept
  domains = {domain}
  transport = box
{f'''elsewhere:
  driver = manualroute
  route_list = * {smart_host}::{smart_port}
  transport = out
  self = send
''' if smart_host else ""}
begin transports
box:
  driver = appendfile
  directory = {mail}/all
  maildir_format
  create_directory
  user = Debian-exim
  envelope_to_add
  return_path_add
out:
  driver = smtp
  interface = {address}
{transport}
begin retry
* * F,1h,1s
begin authenticators
{f'''server_plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{auth[0]}}}}}{{eq{{$auth3}}{{{auth[1]}}}}}}}{{yes}}{{no}}}}
  server_set_id = $auth2
''' if auth else ""}
{f'''client_plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{login[0]}^{login[1]}
''' if login else ""}
""")
        os.chmod(self.home / "conf", 0o644)

    def macro(self, name, value):
        conf = self.home / "conf"
        conf.write_text(f"{name} = {value}\n" + conf.read_text())

    def router(self, name, *lines):
        """A router before the others."""
        conf = self.home / "conf"
        conf.write_text(conf.read_text().replace("begin routers\n", f"begin routers\n{name}:\n  " + "\n  ".join(lines) + "\n"))

    def start(self):
        self.launch(ROOT / "usr/sbin/exim4", "-C", self.home / "conf", "-bdf", "-q1s")

    def log(self):
        return "".join(f.read_text(errors="replace") for f in sorted(self.home.glob("logs/*log")))
