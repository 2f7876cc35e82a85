"""A mail filter on a raw socket: it speaks the milter protocol as a test says.

    with Filter(R=lambda f, data: [b"r"]) as one:       every question is answered "c", RCPT with "r"
        one.socket, one.sessions[-1].heard ...

A handler is named by the question's letter, or OPTNEG, and gives the packets of the answer; None: none is sent.
It may raise Hangup, which closes the connection, or sleep.
"""
import collections
import os
import socket
import struct
import threading

ALL_ACTIONS = 0x1FF
NO_CONNECT, NO_HELO, NO_MAIL, NO_RCPT, NO_BODY, NO_HEADERS, NO_EOH = (1 << i for i in range(7))
NO_UNKNOWN, NO_DATA, SKIP, REJECTED_RCPT = 0x100, 0x200, 0x400, 0x800
NO_ANSWER_BODY, NO_ANSWER_HEADER, LEADING_SPACE = 0x80000, 0x80, 0x100000
MDS_256K, MDS_1M = 0x10000000, 0x20000000
STAGES = "CHMRTEN"


class Hangup(Exception):
    pass


def header(letter, name, value, index=None):
    """A change of a header field: "h" adds, "i" inserts, "m" changes."""
    place = b"" if index is None else struct.pack(">I", index)
    return letter + place + name.encode() + b"\0" + value.encode() + b"\0"


def text(letter, *values):
    return letter + b"".join(v.encode() + b"\0" for v in values)


Question = collections.namedtuple("Question", "letter data macros")


class Session:
    """One connection of the MTA."""

    def __init__(self, owner, conn):
        self.owner, self.conn = owner, conn
        self.heard = []  # Question, without macros of their own
        self.offer = None
        self.macros = {}

    def letters(self):
        return "".join(q.letter for q in self.heard)

    def of(self, letter):
        return [q.data for q in self.heard if q.letter == letter]

    def body(self):
        return b"".join(self.of("B"))

    def fields(self):
        return [tuple(d.rstrip(b"\0").decode().split("\0")) if d.count(b"\0") == 2 else d for d in self.of("L")]

    def read(self, n):
        octets = b""
        while len(octets) < n:
            more = self.conn.recv(n - len(octets))
            if not more:
                raise Hangup
            octets += more
        return octets

    def write(self, packet):
        self.conn.sendall(struct.pack(">I", len(packet)) + packet)

    def negotiate(self, data):
        self.offer = struct.unpack(">III", data[:12])
        if "OPTNEG" in self.owner.handlers:
            return self.owner.handlers["OPTNEG"](self, data)
        lists = b"".join(struct.pack(">I", STAGES.index(k)) + v.encode() + b"\0" for k, v in self.owner.symbols.items())
        return [b"O" + struct.pack(">III", self.owner.version, self.owner.actions, self.owner.steps) + lists]

    def serve(self):
        macros = {}
        while True:
            length = struct.unpack(">I", self.read(4))[0]
            packet = self.read(length)
            letter, data = chr(packet[0]), packet[1:]
            if letter == "D":
                words = data[1:].split(b"\0")[:-1]
                macros = dict(zip((w.decode() for w in words[::2]), (w.decode() for w in words[1::2])))
                self.macros.update(macros)
                continue
            self.heard.append(Question(letter, data, macros))
            macros = {}
            if letter == "O":
                answers = self.negotiate(data)
            elif letter in self.owner.handlers:
                answers = self.owner.handlers[letter](self, data)
            else:
                answers = [] if letter in "AQK" or letter in self.owner.mute else [b"c"]
            for packet in answers or []:
                self.write(packet)
            if letter == "Q":
                return

    def run(self):
        try:
            self.serve()
        except (Hangup, OSError):
            pass
        finally:
            self.conn.close()


class Filter:
    def __init__(self, path=None, actions=ALL_ACTIONS, steps=0, version=6, symbols={}, mute="", **handlers):
        self.actions, self.steps, self.version, self.symbols, self.mute = actions, steps, version, symbols, mute
        self.handlers = handlers
        self.path = path
        self.sessions = []
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or ("127.0.0.1", 0))
        if path:
            os.chmod(path, 0o777)
        self.socket = f"unix:{path}" if path else f"inet:{self.listener.getsockname()[1]}@127.0.0.1"
        self.listener.listen(50)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            if not self.path:
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, conn)
            self.sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()

    def with_mail(self):
        """Sessions with mail: a probe whether smtpd listens makes one without."""
        return [s for s in self.sessions if "M" in s.letters()]

    def last(self):
        return (self.with_mail() or self.sessions)[-1]

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
