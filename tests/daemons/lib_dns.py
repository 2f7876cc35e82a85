"""A name server on loopback for one test: unbound, with the records of a dictionary.

    with Dns({"mail.example.org": {"A": "192.0.2.1", "MX": ["10 mail.example.org", "20 mx2.example.org"]},
              **pointer("192.0.2.1", "mail.example.org"),
              "sick.example": "SERVFAIL",         the lookup fails for now
              "gone.example": "NXDOMAIN",         as every name that is not given
              "slow.example": "SILENT"}) as dns:  never answered
        dns.server                                "127.0.0.1@PORT", as the setting dns.servers wants it

    dns.stop() and dns.start() make the server go away and come back, on the same port.

A name with records exists, so a type that it lacks is "no data"; a CNAME is followed by whoever asks. An empty
dictionary for a name makes a name without any record. TXT data is one string.
"""
import ipaddress
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import time

FAULTS = {"SERVFAIL", "SILENT", "NXDOMAIN"}


def reverse(address, zone=None):
    """The name of an address's PTR record, or of its entry in the block list `zone`."""
    pointer_name = ipaddress.ip_address(address).reverse_pointer
    return pointer_name if zone is None else pointer_name.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa") + "." + zone


def pointer(address, *names):
    """The entry that leads from an address to names; a fault instead of a name makes the lookup fail so."""
    return {reverse(address): names[0] if names[0] in FAULTS else {"PTR": list(names)}}


def client(address, name):
    """A client whose name is verified: PTR and address record agree."""
    kind = "AAAA" if ":" in address else "A"
    return {**pointer(address, name), name: {kind: address}}


def listed(zone, address, answer="127.0.0.2", text=None):
    """An address on a block list."""
    return {reverse(address, zone): {"A": answer, **({"TXT": text} if text else {})}}


def free_port():
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
            except OSError:
                continue


def records(name, zone):
    """Lines of `local-data` for one name."""
    for kind, data in zone.items():
        for one in [data] if isinstance(data, str) else data:
            if kind == "TXT":
                one = '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'
            yield f"local-data: '{name}. 300 IN {kind} {one}'"
    if not zone: # exists, and has nothing that is asked for
        yield f"local-data: '{name}. 300 IN HINFO none none'"


class Dns:
    def __init__(self, zones, extra="", port=None):
        program = shutil.which("unbound", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        assert program, "unbound is not installed: .ci/setup installs it"
        self.program = program
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="libmail-dns-"))
        self.port = port or free_port()
        self.server = f"127.0.0.1@{self.port}"
        self.process = None
        server = ["server:", f"interface: 127.0.0.1@{self.port}", "do-daemonize: no", 'chroot: ""', 'username: ""', 'pidfile: ""',
                  f"directory: {self.folder}", "use-syslog: no", "verbosity: 0", "num-threads: 1", "module-config: iterator",
                  "do-ip6: no", "unblock-lan-zones: yes", "outgoing-range: 64", "access-control: 127.0.0.0/8 allow"]
        forwards = []
        if not extra: # else the caller says what stands in place of the root
            server += ["local-zone: . static"]
        for name, zone in zones.items():
            name = name.rstrip(".")
            if zone == "NXDOMAIN":
                server += [f"local-zone: {name}. always_nxdomain"]
            elif zone == "SILENT":
                server += [f"local-zone: {name}. deny"]
            elif zone == "SERVFAIL": # its only server may not be asked (do-not-query-localhost), so it fails at once
                server += [f"local-zone: {name}. always_transparent"]
                forwards += ["forward-zone:", f"name: {name}.", "forward-addr: 127.0.0.1@9"]
            else:
                server += records(name, zone)
        (self.folder / "unbound.conf").write_text("\n".join([*server, *forwards, extra]) + "\n")

    def start(self):
        assert self.process is None
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([self.program, "-d", "-c", self.folder / "unbound.conf"], stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 10
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError("unbound does not run: " + (self.folder / "log").read_text())

    def answers(self):
        """Ask for localhost, which every unbound knows."""
        question = struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + b"\x09localhost\0\0\1\0\1"
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            try:
                s.connect(("127.0.0.1", self.port))
                s.send(question)
                return bool(s.recv(512))
            except OSError:
                time.sleep(0.02)
                return False

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
