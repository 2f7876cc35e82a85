"""tests/vectors/access.tsv and relay.tsv through a running smtpd: one smtpd and one name server for each set of features,
each row a connection of its own. Stage, code, enhanced code and text are exactly what was measured; what was accepted is
followed to its mailbox, the queue, or nowhere."""
import base64
import itertools
import sys

from lib_daemons import Daemons, wait_for
from lib_dns import Dns, client, pointer
from lib_vectors import HOST, VECTORS, cram, proxied, rows

# What a word of the column `features` says, as settings.
FEATURES = {
    "base": {},
    "accept_unresolvable_domains": {"accept_unresolvable_domains": "yes"},
    "relay_mail_from:domain": {"relay_mail_from": "domain"},
    "relaytofulladdress": {"relay_to_full_address": "yes"},
    "no_blocklist": {"blocklist_recipients": "no"},
    "lookupdotdomain": {"lookup_dot_domain": "yes"},
    "relay_hosts_only": {"relay_hosts_only": "yes"},
    "delay_checks": {"delay_checks": "yes"},
    "delay_checks:friend": {"delay_checks": "friend"},
    "delay_checks:hater": {"delay_checks": "hater"},
    "loose_relay_check": {"loose_relay_check": "yes"},
    "relay_local_from": {"relay_local_from": "yes"},
    "promiscuous_relay": {"promiscuous_relay": "yes"},
    "relay_based_on_MX": {"relay_based_on_mx": "yes"},
    "notrust": {"trusted_mechanisms": ""},
    "trustcram": {"trusted_mechanisms": "CRAM-MD5"},
    "noR": {"relay_domain_files": ""},
    "noR_entire": {"relay_domain_files": "", "relay_entire_domain": "yes"},
    "guide_typo": {"relay_domain_files": "", "relay_domains": "midominio.com.mx correoomidominio.com.mx"},
}
USERS = (VECTORS / "users").read_text().split()


def settings(table, features, dns):
    policy = {"local_host_names": VECTORS / "local-host-names", "address_literals": "no", "blocklist_recipients": "yes",
              "local_domains": "localhost.localdomain [192.168.1.10]"}
    if table == "access":
        policy.update({"access": VECTORS / "access", "trusted_mechanisms": ""})
    else:
        policy.update({"relay_domain_files": VECTORS / "relay-domains", "trusted_mechanisms": "DIGEST-MD5 CRAM-MD5 LOGIN PLAIN"})
    policy.update(FEATURES[features])
    return (f"hostname = {HOST}\ndomains = {HOST}\npostmaster = juan\ndns.servers = {dns.server}\ndns.hosts =\n"
            "auth.allow_cleartext = yes\nauth.mechanisms = PLAIN CRAM-MD5\n"
            + "".join(f"policy.{key} = {value}\n" for key, value in policy.items()))


def zones(batch):
    """The DNS as the columns client_name and mail_dns have it."""
    out = {"mxofus.example": {"MX": "10 " + HOST}, "elsewhere.example": {"A": "192.0.2.250"}}
    others = set() # names that exist for another reason than a client's address
    for row in batch:
        name, address = row["client_name"], row["client_ip"]
        if name == "?":
            out.update(pointer(address, "SERVFAIL"))
        elif name[0] == "!":
            out.update(pointer(address, name[1:]))
            others.add(name[1:])
        elif name != "-":
            new = client(address, name)
            if name in out and out[name] != new[name]:
                new[name] = {"A": [*{out[name]["A"], new[name]["A"]}]}
            out.update(new)
        domain = row["mail_from"].partition("@")[2].lower()
        if row.get("mail_dns") == "temp":
            out[domain] = "SERVFAIL"
        elif domain and domain[0] != "[" and row.get("mail_dns") != "nx":
            others.add(domain)
    for name in others:
        out.setdefault(name, {"A": "192.0.2.252"})
    return out


def log_in(w, mechanism):
    reply = (cram(w, "juan", "secreto") if mechanism == "CRAM-MD5"
             else w.ask("AUTH PLAIN " + base64.b64encode(b"\0juan\0secreto").decode()))
    assert reply[0].startswith("235 "), reply


def fate(d, queue):
    """What the log says became of an accepted message."""
    events = {"event=discarded": "discarded", "event=quarantined": "quarantined", "event=queued": "relay",
              "event=delivered": "local"}
    lines = wait_for(lambda: [line for line in d.log("smtpd").splitlines() if f"queue={queue} " in line and
                              any(e + " " in line for e in events)], what=f"the fate of {queue}")
    return next(word for event, word in events.items() if event + " " in lines[0])


def outcome(d, row):
    """Stage, verdict and the reply that tells it."""
    w, reply = proxied(d, "smtp", row["client_ip"])
    with w:
        assert reply[0].startswith("220 "), reply
        offer = w.ask("EHLO client.example")
        refused = [line[4:] for line in offer[1:]] == ["ENHANCEDSTATUSCODES"]
        if row.get("auth", "-") != "-":
            log_in(w, row["auth"])
        sender = "" if row["mail_from"] == "<>" else row["mail_from"]
        line = w.ask(f"MAIL FROM:<{sender}>")[-1]
        if line[0] != "2":
            for command in "RCPT TO:<juan@midominio.com.mx>", "DATA", "VRFY juan", "EXPN juan", "ETRN x", "AUTH PLAIN", "STARTTLS":
                if refused:
                    assert w.ask(command)[-1].endswith(line[4:]), command
            return ("connect" if refused else "mail"), None, line
        assert not refused, offer
        line = w.ask(f"RCPT TO:<{row['rcpt_to']}>")[-1]
        if line[0] != "2":
            return "rcpt", None, line
        assert w.ask("DATA")[-1].startswith("354 ")
        w.send("Subject: x\r\n\r\nx\r\n.\r\n")
        done = w.reply()[-1]
        assert done.startswith("250 2.0.0 "), done
        return "rcpt", fate(d, done.split()[-1]), line


def judge(row, stage, verdict, line):
    code, enhanced, text = line.split(" ", 2)
    prefix, mark, rest = text.partition("... ")
    if mark and prefix.startswith("<") and prefix.endswith(">"):
        text = rest
    if verdict is None:
        verdict = "deny4" if code[0] == "4" else "deny5"
    wanted = row["verdict"]
    same = verdict == wanted or (wanted == "queued" and verdict in ("local", "relay"))
    got = (stage, code, enhanced, text)
    if not same or got != (row["stage"], row["code"], row["enh"], row["text"]):
        return f"{row['id']} ({row['note']}): {verdict} {got}"
    return None


def batch(table, features, some):
    with Dns(zones(some)) as dns:
        d = Daemons(listeners={"smtp": 0}, own=settings(table, features, dns), users=(), proxy=True)
        d.secrets({user: "secreto" for user in USERS})
        with d:
            return [text for text in (judge(row, *outcome(d, row)) for row in some) if text]


def main():
    wrong = []
    for table, least in ("access", 79), ("relay", 47):
        all_rows = rows(VECTORS / f"{table}.tsv")
        assert len(all_rows) >= least, len(all_rows)
        for features, some in itertools.groupby(sorted(all_rows, key=lambda r: r["features"]), key=lambda r: r["features"]):
            wrong += batch(table, features, list(some))
    assert not wrong, "\n" + "\n".join(wrong)


if __name__ == "__main__":
    sys.exit(main())
