"""Letters with a check sum of their own, and threads that send them until the server is gone."""
import hashlib
import random
import re
import socket
import threading

from lib_wire import Gone, Smtp


def body(octets, name):
    line = (hashlib.sha256(name.encode()).hexdigest() + "\r\n").encode()
    return (line * (octets // len(line) + 1))


def letter(name, octets):
    text = body(octets, name)
    return (f"Message-ID: <{name}>\r\nSubject: {name}\r\nX-Sum: {hashlib.sha256(text).hexdigest()}\r\n\r\n"
            ).encode() + text


def whole(octets):
    """A letter of ours with no octet missing."""
    head, _, text = octets.partition(b"\r\n\r\n")
    told = re.search(rb"X-Sum: (\w+)", head)
    return bool(told) and hashlib.sha256(text).hexdigest() == told.group(1).decode()


class Sender(threading.Thread):
    """to: recipients, or a function of the letter's name."""

    def __init__(self, port, names, to):
        super().__init__(daemon=True)
        self.port, self.names = port, names
        self.to = to if callable(to) else lambda name: to
        self.answered, self.unanswered, self.refused = [], [], []

    def run(self):
        mine = random.Random(self.names[0])
        try:
            with Smtp(self.port) as c:
                for name in self.names:
                    self.unanswered.append(name)
                    code, text = c.send("load@example.test", self.to(name),
                                        letter(name, mine.choice((100, 1000, 5000, 150000))))
                    self.unanswered.pop()
                    (self.answered if code == 250 else self.refused).append((name, code, text))
        except (Gone, socket.timeout):
            pass
