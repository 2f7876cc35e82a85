"""smtpd with mail filters, and what came into the mailboxes."""
import smtplib

from lib_daemons import Daemons, wait_for

LETTER = "From: f@c.example\r\nSubject: one\r\nX-Twice: a\r\nX-Twice: b\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@c.example>\r\n\r\nhello\r\n"


def config(*filters, more="", **settings):
    lines = [f"smtp.milters = {' '.join(f'f{i}' for i in range(len(filters)))}\n"]
    for i, one in enumerate(filters):
        place = one if isinstance(one, str) else one.socket
        lines.append(f"milter f{i} {{\n socket = {place}\n"
                     + "".join(f" {k} = {v}\n" for k, v in settings.items()) + "}\n")
    return "".join(lines) + more


class Mail:
    """smtpd with these filters, and what came into the mailboxes."""

    def __init__(self, *filters, listeners=("smtp",), more="", users=("alice", "bob", "carol"), **settings):
        self.d = Daemons(config(*filters, more=more, **settings), listeners=listeners, users=users, plain=True, cleartext=True)

    def __enter__(self):
        self.d.__enter__()
        return self

    def __exit__(self, *how):
        return self.d.__exit__(*how)

    def session(self, listener="smtp"):
        kind = smtplib.LMTP if listener == "lmtp" else smtplib.SMTP
        s = kind("127.0.0.1", self.d.port[listener], timeout=40)
        s.ehlo("client.example")
        return s

    def letters(self, user):
        return [p.read_bytes().decode() for p in sorted((self.d.data / "mail" / user / "new").glob("*"))]

    def send(self, letter=LETTER, to=("alice@example.test",), sender="from@c.example", listener="smtp"):
        """The reply to the message, or to the command that was refused."""
        with self.session(listener) as s:
            for command in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{t}>" for t in to)):
                code, said = s.docmd(command)
                if code >= 400:
                    return f"{code} {said.decode()}"
            try:
                return answer(s.data(letter))
            except smtplib.SMTPDataError as e:
                return f"{e.smtp_code} {e.smtp_error.decode()}"

    def only(self, user):
        return wait_for(lambda: self.letters(user), what=f"a letter to {user}")[-1]


def answer(given):
    return f"{given[0]} {given[1].decode()}"
