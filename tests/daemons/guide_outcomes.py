"""tests/guide/outcomes.tsv through a running smtpd: the guide's own files, client addresses by the PROXY protocol, a
name server of our own. Every row is one connection; the code and enhanced code of the last reply are what was measured."""
import sys

from lib_daemons import Daemons
from lib_dns import Dns, client
from lib_vectors import GUIDE, HOST, cram, proxied, rows

ROWS = rows(GUIDE / "outcomes.tsv")


def zones():
    """What the README of the guide says of the DNS."""
    out = {"sender.example": {"A": "192.0.2.200"}, "slow.example": "SERVFAIL", "spammers.com.ar": {"A": "192.0.2.201"},
           "midominio.com.mx": {"MX": "10 " + HOST}, HOST: {"A": "192.168.1.10"}}
    for row in ROWS:
        if row["client_name"] not in ("-", "localhost"):
            out.update(client(row["client_ip"], row["client_name"]))
    return out


def message(header, total):
    """A message whose parts, each line end counted once, have these many octets."""
    lines, left = [], header - 1 # the blank line
    while left:
        n = min(left, 70)
        if left - n == 1:
            n -= 1 # no line of one octet
        lines.append("X: " + "x" * (n - 4) if n >= 4 else "x"[: n - 1])
        left -= n
    body, left = [], total - header
    while left:
        n = min(left, 70)
        body.append("y" * (n - 1))
        left -= n
    return "\r\n".join(lines) + "\r\n\r\n" + "".join(line + "\r\n" for line in body) + ".\r\n"


def command(w, text):
    """One command of the table; the reply to it."""
    word, _, rest = text.partition(" ")
    if word == "RCPT*10":
        for n in range(1, 11):
            reply = w.ask(f"RCPT TO:<u{n}@midominio.com.mx>")
            assert reply[0].startswith("250 2.1.5"), reply
    elif word == "AUTHCRAM":
        reply = cram(w, *rest.split())
    elif word in ("HDR", "MSG"):
        n = int(rest)
        w.send(message(n, n + 5) if word == "HDR" else message(min(20, n - 10), n))
        reply = w.reply()
    else:
        reply = w.ask(text)
    return reply


def outcome(d, row):
    w, reply = proxied(d, "submission" if row["port"] == "587" else "smtp", row["client_ip"])
    with w:
        for text in row["commands"].split(" ; "):
            reply = command(w, text)
    return reply


def judge(row, reply):
    """What is wrong with it, or nothing."""
    line = reply[-1]
    wanted = row["code"] + ("" if row["enh"] == "-" else " " + row["enh"] + " ")
    if not line.startswith(wanted):
        return f"{row['id']}: {row['meaning']}: wanted {wanted}, got {line}"
    if row["id"] == "O01":
        offer = {line[4:] for line in reply[1:]}
        auth = next((set(o.split()) for o in offer if o.startswith("AUTH ")), set())
        if "SIZE 3075000" not in offer or not {"DIGEST-MD5", "CRAM-MD5"} <= auth or auth & {"PLAIN", "LOGIN"}:
            return f"O01: {offer}"
    if row["id"] == "O06" and not line.endswith("Proper authentication required."):
        return f"O06: {line}"
    return None


def settings(dns):
    """The guide's files; tables that it names and does not have are as if it had said that they may be missing."""
    return f"""hostname = {HOST}
dns.servers = {dns.server}
dns.hosts =
sendmail_mc = {GUIDE}/sendmail.mc
policy.access = {GUIDE}/access
policy.local_host_names = {GUIDE}/local-host-names
policy.relay_domain_files = {GUIDE}/relay-domains
routing.aliases = -/nonexistent/aliases
smtp.max_sessions = 0
smtp.connection_rate = 0
auth.failure_delay = 100 ms
"""


def main():
    with Dns(zones()) as dns:
        d = Daemons(listeners={"smtp": 0, "submission": 0}, own=settings(dns), users=(), proxy=True,
                    options={"submission": " etrn = no\n"})
        d.secrets(dict(line.split() for line in (GUIDE / "users").read_text().splitlines() if not line.startswith("#")))
        with d:
            wrong = [text for text in (judge(row, outcome(d, row)) for row in ROWS) if text]
    assert len(ROWS) == 39
    assert not wrong, "\n" + "\n".join(wrong)


if __name__ == "__main__":
    sys.exit(main())
