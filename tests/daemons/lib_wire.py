"""Clients that see each line and each failure as it is: for tests that break things on purpose.

    Smtp(port)       send(sender, to, text) -> code of the last reply, or None when none came
    Imap(port)       cmd("SELECT INBOX") -> Answer(status, text, lines); append(...); fetch_all()
    Pop(port)        cmd("STAT"), multi("UIDL")

A connection that ends raises Gone; a reply that is late raises socket.timeout.
"""
import re
import socket

from lib_daemons import PASSWORD


class Gone(Exception):
    """The server closed or reset the connection."""


class Wire:
    def __init__(self, port, timeout=30, receive_buffer=0):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError as e:
            self.socket.close()
            raise Gone(str(e)) from e
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.have = bytearray()

    def write(self, octets):
        try:
            self.socket.sendall(octets)
        except socket.timeout:
            raise
        except OSError as e:
            raise Gone(str(e)) from e

    def more(self, size=1 << 16):
        try:
            got = self.socket.recv(size)
        except socket.timeout:
            raise
        except OSError as e:
            raise Gone(str(e)) from e
        if not got:
            raise Gone("end of stream")
        self.have += got

    def line(self):
        while (end := self.have.find(b"\r\n")) < 0:
            self.more()
        line = bytes(self.have[:end])
        del self.have[:end + 2]
        return line

    def octets(self, n):
        while len(self.have) < n:
            self.more(1 << 18)
        got = bytes(self.have[:n])
        del self.have[:n]
        return got

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Smtp(Wire):
    def __init__(self, port, hello="EHLO client.test", **how):
        super().__init__(port, **how)
        self.greeting = self.reply()
        self.hello = self.cmd(hello) if hello else None

    def reply(self):
        """(code, text of all lines)"""
        text = []
        while True:
            line = self.line()
            text.append(line[4:].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(text)

    def cmd(self, text):
        self.write(text.encode() + b"\r\n")
        return self.reply()

    def send(self, sender, recipients, text):
        """A whole transaction, pipelined; the code that decides."""
        if isinstance(recipients, str):
            recipients = [recipients]
        lines = [f"MAIL FROM:<{sender}>"] + [f"RCPT TO:<{r}>" for r in recipients] + ["DATA", ""]
        self.write("\r\n".join(lines).encode())
        first = [self.reply() for _ in range(len(recipients) + 2)]
        for code, reply in first:
            if code >= 400:
                if first[-1][0] == 354:
                    self.write(b".\r\n")
                    self.reply()
                self.cmd("RSET")
                return code, reply
        self.write(stuffed(text) + b".\r\n")
        return self.reply()


def stuffed(text):
    octets = text.encode() if isinstance(text, str) else text
    octets = re.sub(rb"(?m)^\.", b"..", octets)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


class Answer:
    """lines: the untagged ones, each with its literals in it; text: behind the status."""

    def __init__(self, status, text, lines):
        self.status, self.text, self.lines = status, text, lines

    @property
    def ok(self):
        return self.status == "OK"

    def code(self, name):
        """The arguments of a response code, in the tagged line or an untagged OK."""
        for line in [self.text.encode()] + self.lines:
            found = re.search(rb"\[" + name.encode() + rb"(?: ([^\]]*))?\]", line)
            if found:
                return (found.group(1) or b"").decode()
        return None

    def __repr__(self):
        return f"{self.status} {self.text} {self.lines[:8]}"


class Imap(Wire):
    def __init__(self, port, user="alice", password=PASSWORD, **how):
        super().__init__(port, **how)
        self.serial = 0
        self.greeting = self.line()
        if user:
            answer = self.cmd(f"LOGIN {user} {password}")
            assert answer.ok, answer

    def whole(self):
        """A response line with its literals."""
        out = b""
        while True:
            line = self.line()
            out += line
            literal = re.search(rb"\{(\d+)\}$", line)
            if not literal:
                return out
            out += b"\r\n" + self.octets(int(literal.group(1)))

    def start(self, text, literal=None):
        self.serial += 1
        tag = f"a{self.serial}"
        octets = text if isinstance(text, bytes) else text.encode()
        if literal is None:
            self.write(tag.encode() + b" " + octets + b"\r\n")
        else:
            self.write(tag.encode() + b" " + octets + b" {%d+}\r\n" % len(literal) + literal + b"\r\n")
        return tag

    def finish(self, tag, on_line=None):
        lines = []
        while True:
            line = self.whole()
            if line.startswith(tag.encode() + b" "):
                words = line.decode("utf-8", "replace").split(" ", 2)
                return Answer(words[1], words[2] if len(words) > 2 else "", lines)
            if line.startswith(b"* BYE"):
                raise Gone(line.decode())
            lines.append(line)
            if on_line:
                on_line(line)

    def cmd(self, text, literal=None):
        return self.finish(self.start(text, literal))

    def append(self, mailbox, text, flags=""):
        octets = text if isinstance(text, bytes) else text.encode()
        return self.cmd(f"APPEND {mailbox} ({flags})", octets)

    def messages(self, items="UID FLAGS"):
        """[(uid, flags, message or header)] of the selected mailbox; items with UID and FLAGS."""
        answer = self.cmd(f"FETCH 1:* ({items})")
        assert answer.ok or "no messages" in answer.text.lower() or answer.status in ("BAD", "NO"), answer
        out = []
        for line in answer.lines:
            found = re.match(rb"\* (\d+) FETCH \(", line)
            if not found:
                continue
            uid = int(re.search(rb"UID (\d+)", line).group(1))
            flags = re.search(rb"FLAGS \(([^)]*)\)", line)
            flags = set(flags.group(1).decode().split()) - {"\\Recent"} if flags else set()
            literal = re.search(rb"\{(\d+)\}\r\n", line)
            text = None
            if literal:
                text = line[literal.end():literal.end() + int(literal.group(1))]
            out.append((uid, flags, text))
        return out


class Pop(Wire):
    def __init__(self, port, user="alice", password=PASSWORD, **how):
        super().__init__(port, **how)
        self.greeting = self.line()
        if user:
            assert self.cmd(f"USER {user}").startswith(b"+OK")
            answer = self.cmd(f"PASS {password}")
            assert answer.startswith(b"+OK"), answer

    def cmd(self, text):
        self.write(text.encode() + b"\r\n")
        return self.line()

    def multi(self, text):
        """The lines of an answer of several lines, unstuffed; [] when refused."""
        first = self.cmd(text)
        lines = []
        if not first.startswith(b"+OK"):
            return lines
        while (line := self.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        return lines


def message_id(octets):
    found = re.search(rb"(?mi)^message-id:\s*<([^>]*)>", octets)
    return found.group(1).decode() if found else None


def stored(data, user="alice", mailbox=""):
    """{Message-ID: [paths]} of a mailbox as it lies on the disk."""
    folder = data / "mail" / user / "Maildir" if (data / "mail" / user / "Maildir").is_dir() else data / "mail" / user
    if mailbox:
        folder = folder / ("." + mailbox)
    out = {}
    for sub in ("new", "cur"):
        for path in (folder / sub).glob("*"):
            try:
                octets = path.read_bytes()
            except FileNotFoundError:
                continue
            out.setdefault(message_id(octets), []).append(path)
    return out
