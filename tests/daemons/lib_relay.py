"""A server that mail is relayed to, for one test: it does what its script says and keeps what it took.

    with Peer(rcpt=lambda address, count: "451 4.7.1 later" if count == 1 else None) as peer:
        peer.port, peer.mails       [(sender, [recipients], octets), ...]; peer.sessions: how many came
"""
import base64
import socket
import ssl
import threading


class Peer:
    """greeting, ehlo (a list of keywords), tls (an SSLContext for STARTTLS), auth ((user, password) that must log in), lmtp;
    mail, rcpt, data, end: functions that return a reply, or None for yes, or "DROP"; address: to listen at, or a path."""

    def __init__(self, address="127.0.0.1", port=0, greeting="220 peer.test ESMTP", ehlo=("PIPELINING", "8BITMIME", "SIZE",
                 "ENHANCEDSTATUSCODES", "DSN"), tls=None, auth=None, lmtp=False, mail=None, rcpt=None, data=None, end=None):
        self.greeting, self.ehlo, self.tls, self.auth, self.lmtp = greeting, ehlo, tls, auth, lmtp
        self.on_mail, self.on_rcpt, self.on_data, self.on_end = mail, rcpt, data, end
        self.mails, self.sessions, self.secure, self.logins = [], 0, 0, 0
        self.counts, self.lines = {}, []
        self.clients = [] # addresses they came from
        self.per_session, self.domains = {}, {} # of each session: messages begun, domains of recipients
        self.lock = threading.Lock()
        if address.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(address)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((address, port))
            self.port = self.socket.getsockname()[1]
        self.socket.listen(200)
        self.open = True
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while self.open:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            if connection.family == socket.AF_INET: # replies in small pieces would wait for the other side's delayed ACK
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with self.lock:
            self.sessions += 1
            if connection.family != socket.AF_UNIX:
                self.clients.append(connection.getpeername()[0])
        try:
            Session(self, connection).run()
        except (OSError, EOFError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            return self.counts[what]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.open = False
        self.socket.shutdown(socket.SHUT_RDWR) # wakes who waits in accept
        self.thread.join(5)
        self.socket.close()


class Session:
    def __init__(self, peer, connection):
        self.peer, self.connection = peer, connection
        self.number = peer.count("session")
        self.stream = connection.makefile("rb")
        self.secure, self.logged_in = False, False

    def say(self, text):
        if text == "DROP":
            raise EOFError
        self.connection.sendall((text + "\r\n").encode())

    def line(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        with self.peer.lock:
            self.peer.lines.append(line[:-2].decode("latin-1"))
        return line[:-2].decode("latin-1")

    def hello(self):
        words = [w for w in self.peer.ehlo]
        if self.peer.tls and not self.secure:
            words.append("STARTTLS")
        if self.peer.auth:
            words.append("AUTH PLAIN")
        lines = ["peer.test", *words]
        for n, word in enumerate(lines):
            self.say(f"250{' ' if n + 1 == len(lines) else '-'}{word}")

    def start_tls(self):
        self.say("220 2.0.0 go")
        self.connection = self.peer.tls.wrap_socket(self.connection, server_side=True)
        self.stream = self.connection.makefile("rb")
        self.secure = True
        with self.peer.lock:
            self.peer.secure += 1

    def login(self, argument):
        wanted = ("\0" + "\0".join(self.peer.auth)).encode()
        self.logged_in = argument.startswith("PLAIN ") and base64.b64decode(argument[6:]) == wanted
        with self.peer.lock:
            self.peer.logins += self.logged_in
        self.say("235 2.7.0 in" if self.logged_in else "535 5.7.8 no")

    def body(self):
        octets = b""
        while True:
            line = self.stream.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            if line == b".\r\n":
                return octets
            octets += line[1:] if line.startswith(b".") else line

    def data(self, sender, recipients):
        if not recipients:
            return self.say("554 5.5.1 nobody")
        reply = self.peer.on_data and self.peer.on_data(sender)
        if reply:
            return self.say(reply)
        self.say("354 go")
        octets = self.body()
        replies = []
        for _ in recipients if self.peer.lmtp else "x":
            replies.append((self.peer.on_end and self.peer.on_end(sender, octets)) or "250 2.0.0 taken")
        if replies[0].startswith("2"):
            with self.peer.lock:
                self.peer.mails.append((sender, recipients, octets))
        for reply in replies:
            self.say(reply)

    def run(self):
        peer = self.peer
        self.say(peer.greeting)
        sender, recipients = None, []
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            if verb in ("EHLO", "LHLO", "HELO"):
                self.hello()
            elif verb == "STARTTLS":
                self.start_tls()
            elif verb == "AUTH":
                self.login(line[5:])
            elif verb == "MAIL":
                sender, recipients = line[line.index("<") + 1:line.index(">")], []
                with peer.lock:
                    peer.per_session[self.number] = peer.per_session.get(self.number, 0) + 1
                if peer.auth and not self.logged_in:
                    self.say("530 5.7.0 log in first")
                else:
                    self.say((peer.on_mail and peer.on_mail(sender)) or "250 2.1.0 ok")
            elif verb == "RCPT":
                address = line[line.index("<") + 1:line.index(">")]
                with peer.lock:
                    peer.domains.setdefault(self.number, set()).add(address.rpartition("@")[2])
                reply = peer.on_rcpt and peer.on_rcpt(address, peer.count(address))
                if not reply or reply.startswith("2"):
                    recipients.append(address)
                self.say(reply or "250 2.1.5 ok")
            elif verb == "DATA":
                self.data(sender, recipients)
                recipients = []
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("250 2.0.0 ok")
