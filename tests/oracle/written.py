#!/usr/bin/env python3
"""What the writers write, read by Python's email package: decoded words, addresses, parameters, dates, bodies,
and whole reports, field by field.

    written.py PROGRAM      PROGRAM: tests/oracle/written.c
"""
import datetime
import email
import email.header
import email.policy
import email.utils
import random
import re
import subprocess
import sys

random.seed(20030701)
process = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
checks = 0


def ask(command, *args):
    words = [(a if isinstance(a, bytes) else str(a).encode()).hex() or "-" for a in args]
    process.stdin.write(" ".join([command, *words]).encode() + b"\n")
    process.stdin.flush()
    status, count = process.stdout.readline().split()
    return status.decode(), process.stdout.read(int(count))


def expect(what, found, wanted):
    global checks
    checks += 1
    if found != wanted:
        sys.exit(f"{what}:\n  found  {found!r}\n  wanted {wanted!r}")


def written(command, *args):
    status, octets = ask(command, *args)
    expect(f"{command} {args}", status, "LMAIL_OK")
    return octets


def lines_are_right(octets):
    """RFC 5322 2.1.1: 998 at most; RFC 2047 2: in a header 76 where an encoded word stands."""
    for line in octets.split(b"\r\n"):
        expect("a line of the body", len(line) <= 998, True)
    for line in octets.split(b"\r\n\r\n")[0].split(b"\r\n"):
        expect("a bare line end", b"\r" in line or b"\n" in line, False)
        if len(line) > 998 or (len(line) > 76 and b"=?" in line):
            sys.exit(f"a line of {len(line)} octets: {line!r}")
        for word in re.findall(rb"=\?[^ ]*\?=", line):
            expect("an encoded word's length", len(word) <= 75, True)


def unfold(octets):
    return octets.decode("ascii").split(":", 1)[1].replace("\r\n", "").strip()


def decoded(value):
    # Between a plain and an encoded word decode_header keeps the blank with the plain one.
    parts = email.header.decode_header(value)
    return "".join(p.decode(c or "ascii") if isinstance(p, bytes) else p for p, c in parts)


ALPHABET = "aaabbbcccdefg   .,;:\"\\()<>@=?_*'%äöüßéŁжδ日本語😀"


def random_text(most):
    return "".join(random.choice(ALPHABET) for _ in range(random.randrange(most)))


def texts():
    fixed = ["Hello", "Grüße aus Köln", "日本語 " * 40, "=?UTF-8?Q?x?=", "a  b   c", "x" * 3000, " lead", "trail ", "😀" * 99]
    for text in fixed + [random_text(300) for _ in range(300)]:
        octets = written("text", "Subject", text)
        lines_are_right(octets)
        expect(f"text {text!r} as {octets!r}", decoded(unfold(octets)), text)


def addresses():
    names = ["", "Mary Smith", "Dr. Who, \"the\" \\ man", "Jürgen Groß", "日本語" * 20, "=?x?= y", "a" * 200]
    locals_ = ["john", "a.b", "a b", "\"", "a\\b", ".x", "x..y", "a@b", "o'neil"]
    for _ in range(200):
        boxes = [(random.choice(names), random.choice(locals_), random.choice(["example.org", "[192.0.2.1]"]))
                 for _ in range(random.randrange(1, 9))]
        octets = written("addresses", "To", *[part for box in boxes for part in box])
        lines_are_right(octets)
        message = email.message_from_bytes(octets + b"\r\n", policy=email.policy.default)
        # Python 3.11's own decoding of phrases leaves the white space between encoded words in (RFC 2047 6.2): names
        # are decoded by its other reader.
        shown = [decoded(name) for name, _ in email.utils.getaddresses([unfold(octets)])]
        found = [(name, a.username, a.domain) for name, a in zip(shown, message["To"].addresses)]
        expect(f"addresses {boxes} as {octets!r}", found, boxes)


def parameters():
    values = ["a.txt", "a b.txt", "", "Grüße.pdf", "日本語" * 30, "it's 100% \"sure\" \\", "x" * 500, " pad ", "=?x?="]
    for value in values + [random_text(200) for _ in range(200)]:
        octets = written("content", "Content-Disposition", "attachment", "size", "17", "filename", value)
        lines_are_right(octets)
        message = email.message_from_bytes(octets + b"\r\n", policy=email.policy.compat32)
        found = email.utils.collapse_rfc2231_value(message.get_param("filename", header="content-disposition"))
        expect(f"parameter {value!r} as {octets!r}", found, value)
        expect("the other parameter", message.get_param("size", header="content-disposition"), "17")


def dates():
    moments = [0, -1, 1057049557, 951782400, 4102444800, -2208988800, 253402214400]
    for seconds in moments + [random.randrange(-2208988800, 253402214400) for _ in range(500)]:
        zone = random.randrange(-1439, 1440) if seconds not in moments else 0
        octets = written("date", "Date", seconds, zone)
        tz = datetime.timezone(datetime.timedelta(minutes=zone))
        wanted = datetime.datetime.fromtimestamp(0, tz) + datetime.timedelta(seconds=seconds)
        expect(f"date {seconds} {zone}", unfold(octets).split(", ")[0], wanted.strftime("%a"))
        expect(f"date {seconds} {zone}", email.utils.parsedate_to_datetime(unfold(octets)), wanted)


def bodies():
    fixed = ["", "plain\r\n", "Grüße\r\n", "日本語\r\n" * 50, "x" * 2000, "a \r\nb\t\r\n.\r\nFrom here\r\n", "= =\r\n"]
    for text in fixed + [random_text(400).replace(".", "\r\n") for _ in range(200)]:
        for allow in ["", "8"]:
            octets = written("body", text, allow)
            lines_are_right(octets)
            part = email.message_from_bytes(octets, policy=email.policy.default)
            expect("no octet beyond ASCII", bool(allow) or octets.isascii(), True)
            expect(f"body {text!r} as {octets!r}", part.get_payload(decode=True), text.encode())


MESSAGE = ("From: s@example.org\r\nSubject: x\r\nMessage-ID: <1@example.org>\r\n\r\nBody line\r\n").encode()
GLOBAL = ("From: ü@example.org\r\nSubject: Grüße\r\n\r\nKörper\r\n").encode()


def fields_of(message):
    return {name.lower(): re.sub(r"\s+", " ", str(value)) for name, value in message.items()}


def compose(recipients, kind=0, flags=0, ret=0, to="s@example.org", envid="", message=MESSAGE):
    flat = [v for r in recipients for v in r]
    octets = written("report", kind, flags, ret, to, envid, message, "7Qx", *flat)
    lines_are_right(octets)
    return octets, email.message_from_bytes(octets, policy=email.policy.default.clone(utf8=True))


def reports():
    failed = ("failed", "r@example.net", "rfc822;R@example.net", 550, "5.1.1", "User <r> unknown", "mx.example.net")
    delayed = ("delayed", "d@example.net", "", 451, "4.7.1", "Greylisted, try " + "again " * 30, "mx2.example.net")
    delivered = ("delivered", "ok@example.net", "", 0, "2.1.5", "", "")
    relayed = ("relayed", "far@example.net", "", 0, "", "", "")
    expanded = ("expanded", "list@example.net", "", 0, "", "", "")
    for group in [[failed], [delayed], [delivered], [relayed], [expanded],
                  [failed, delayed, delivered, relayed, expanded], [failed] * 20]:
        for ret in [0, 1, 2]:
            octets, report = compose(group, ret=ret, envid="ID 4711")
            whole = any(r[0] == "failed" for r in group) and ret != 2
            expect("defects", [d for p in report.walk() for d in p.defects], [])
            expect("type", report.get_content_type(), "multipart/report")
            expect("report-type", report.get_param("report-type"), "delivery-status")
            expect("To", report["To"].addresses[0].addr_spec, "s@example.org")
            expect("From", report["From"].addresses[0].addr_spec, "MAILER-DAEMON@mx.example.org")
            expect("Auto-Submitted", report["Auto-Submitted"], "auto-replied")
            expect("Date", report["Date"].datetime.timestamp(), 1057049557.0)
            human, status, original = report.iter_parts()
            expect("human part", human.get_content_type(), "text/plain")
            text = human.get_content()
            for r in group:
                expect(f"{r[1]} is named", f"<{r[1]}>" in text, True)
            expect("status part", status.get_content_type(), "message/delivery-status")
            groups = [fields_of(p) for p in status.get_payload()]
            expect("groups", len(groups), 1 + len(group))
            expect("Reporting-MTA", groups[0]["reporting-mta"], "dns; mx.example.org")
            expect("Original-Envelope-Id", groups[0]["original-envelope-id"], "ID 4711")
            for r, f in zip(group, groups[1:]):
                action, final, orcpt, code, enhanced, said, host = r
                expect("Action", f["action"], action)
                expect("Final-Recipient", f["final-recipient"], "rfc822; " + final)
                expect("Original-Recipient", f.get("original-recipient"), orcpt.replace(";", "; ") or None)
                expect("Status", f["status"], enhanced or "2.0.0")
                wanted = f"smtp; {code} {enhanced} {said}".strip() if code else None
                expect("Diagnostic-Code", f.get("diagnostic-code"), wanted)
                expect("Remote-MTA", f.get("remote-mta"), f"dns; {host}" if code else None)
                expect("Will-Retry-Until", "will-retry-until" in f, action == "delayed")
            expect("third part", original.get_content_type(), "message/rfc822" if whole else "text/rfc822-headers")
            if whole:
                expect("the message", MESSAGE in octets, True)
                expect("its field", original.get_payload(0)["Message-ID"], "<1@example.org>")
            else:
                expect("the header", original.get_payload(decode=True), MESSAGE.split(b"\r\n\r\n")[0] + b"\r\n")


def reports_beyond_ascii():
    r = ("failed", "ü@example.net", "utf-8;ü@example.net", 550, "5.1.1", "Größe", "mx.example.net")
    for flags in [1, 3]:
        octets, report = compose([r], flags=flags, message=GLOBAL)
        expect("defects", [d for p in report.walk() for d in p.defects], [])
        human, status, original = report.iter_parts()
        expect("7-bit when it must be", octets.isascii(), flags == 3)
        expect("who", "<ü@example.net>" in human.get_content(), True)
        expect("third part", original.get_content_type(), "message/global")
        if flags == 3:
            groups = [fields_of(p) for p in status.get_payload()]
            expect("Final-Recipient", groups[1]["final-recipient"], "utf-8; \\x{FC}@example.net")
            raw = octets.split(b"message/global\r\n")[1].split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
            expect("the message", email.message_from_bytes(
                b"Content-Transfer-Encoding: " + original["Content-Transfer-Encoding"].encode() + b"\r\n\r\n" + raw
            ).get_payload(decode=True), GLOBAL)
        else:
            expect("status part", status.get_content_type(), "message/global-delivery-status")
            expect("the message", GLOBAL in octets, True)
            expect("Final-Recipient", "Final-Recipient: utf-8; ü@example.net\r\n".encode() in octets, True)


def refusals():
    for bad in [b"a\r\nBcc: x", b"a\nb", b"a\0b", b"a\xff"]:
        expect("refused", ask("text", "Subject", bad), ("LMAIL_ERR_ARG", b""))
        expect("refused", ask("addresses", "To", bad, "a", "b"), ("LMAIL_ERR_ARG", b""))
        expect("refused", ask("content", "X", "a/b", "name", bad), ("LMAIL_ERR_ARG", b""))


for test in [texts, addresses, parameters, dates, bodies, reports, reports_beyond_ascii, refusals]:
    test()
process.stdin.close()
if process.wait():
    sys.exit(f"the program ended with {process.returncode}")
print(f"{checks} checks")
