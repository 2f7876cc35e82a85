"""Two pop3d over one mail directory: one session alone has a maildrop, whoever serves it (RFC 1939 §4)."""
import contextlib

from lib_daemons import Daemons, letter, scenarios, wait_for


def login(d, user="alice"):
    """A wire and what PASS was answered."""
    w = d.wire("pop3")
    w.line()
    w.ask(f"USER {user}", "+OK")
    w.send("PASS secret\r\n")
    return w, w.line()


def one_alone(a, b):
    held, answer = login(a)
    assert answer.startswith("+OK"), answer
    for d in a, b:
        w, answer = login(d)
        with w:
            assert answer.startswith("-ERR [IN-USE]"), answer
    w, answer = login(b, "bob")
    with w:
        assert answer.startswith("+OK"), answer
    held.ask("QUIT", "+OK")
    for d in b, a, b:  # QUIT's reply says that the maildrop is free
        w, answer = login(d)
        with w:
            assert answer.startswith("+OK"), answer
            w.ask("QUIT", "+OK")
    held.close()


def free_again(a, b):
    """A connection that is cut off, and a process that is killed, hold nothing."""
    w, answer = login(a)
    assert answer.startswith("+OK"), answer
    w.close()

    def taken(d):
        other, said = login(d)
        if said.startswith("+OK"):
            return other
        other.close()
        return None
    other = wait_for(lambda: taken(b), what="the maildrop after a cut connection")
    b.kill("pop3d")
    with contextlib.suppress(OSError):
        other.close()
    w, answer = login(a)
    with w:
        assert answer.startswith("+OK"), answer
        w.ask("QUIT", "+OK")
    b.start("pop3d")


with Daemons(listeners=("smtp", "pop3"), cleartext=True, plain=True) as first:
    with first.wire("smtp") as s:
        s.line()
        for command in "HELO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.test>", "DATA":
            s.ask(command)
        s.send(letter() + ".\r\n")
        assert s.line().startswith("250")
    with Daemons(listeners=("pop3",), cleartext=True, plain=True, folder=first.data) as second:
        scenarios(one_alone, free_again, arguments=[first, second])
