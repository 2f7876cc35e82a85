"""Python's imaplib: mailboxes, appending, fetching, searching, flags, copies, expunging, two sessions, IDLE."""
import imaplib
import re
import smtplib
import time

from lib_daemons import Daemons, letter, scenarios

MIXED = ("From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.net>\r\nTo: Bob <bob@example.test>, team: a@b.example, c@d.example;\r\n"
         "Cc: carol@example.test\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?= from afar\r\n"
         "Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nMessage-ID: <mixed@example.net>\r\nX-Colour: blue\r\nMIME-Version: 1.0\r\n"
         "Content-Type: multipart/mixed; boundary=outer\r\n\r\npreamble\r\n"
         "--outer\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
         "Sch=C3=B6ne Gr=C3=BC=C3=9Fe\r\n"
         "--outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
         "--inner\r\nContent-Type: text/plain\r\n\r\nplain inner\r\n--inner\r\nContent-Type: text/html\r\n\r\n<p>html inner</p>\r\n"
         "--inner--\r\n"
         "--outer\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n"
         "Content-Disposition: attachment; filename=a.bin\r\n\r\nAAECAwQ=\r\n--outer--\r\n")
UNSEEN = letter(2, "unseen\r\n")


def client(d, user="alice", box=None):
    m = imaplib.IMAP4("localhost", d.port["imap"], timeout=15)
    m.starttls(d.tls())
    m.login(user, "secret")
    if box:
        ok(m.select(box))
    return m


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def no(answer, code=b""):
    assert answer[0] == "NO" and code in answer[1][0], answer


def bad(call, *args):
    try:
        answer = call(*args)
    except imaplib.IMAP4.error as e:
        assert "BAD" in str(e), e
        return
    raise AssertionError(f"{args}: {answer}")


def names(answer):
    return sorted(re.search(rb' "?([^" ]+)"?$', line).group(1).decode() for line in ok(answer) if line)


def fetched(m, numbers, items, uid=False):
    """{sequence number: raw answer} of a FETCH."""
    out, text = {}, b""
    for piece in ok(m.uid("FETCH", numbers, items) if uid else m.fetch(numbers, items)):
        if piece is None:
            continue
        text += b"".join(piece[i] + (b"\r\n" if i == 0 else b"") for i in range(2)) if isinstance(piece, tuple) else piece + b"\n"
    for row in re.split(rb"(?m)^(?=\d+ \()", text):
        if row:
            out[int(row.split()[0])] = row
    return out


def deliver(d, user, text):
    with smtplib.SMTP("localhost", d.port["smtp"], local_hostname="client.example.net") as s:
        s.sendmail("a@b.example", f"{user}@example.test", text)


def logins(d):
    m = imaplib.IMAP4("localhost", d.port["imap"])
    assert "LOGINDISABLED" in m.capabilities and "STARTTLS" in m.capabilities and "SASL-IR" in m.capabilities and "IMAP4REV1" in m.capabilities
    try:
        m.login("alice", "secret")
        raise AssertionError("a password in clear")
    except imaplib.IMAP4.error:
        pass
    m.starttls(d.tls())
    assert "LOGINDISABLED" not in m.capabilities and "AUTH=PLAIN" in m.capabilities, m.capabilities
    for user, password in ("alice", "wrong"), ("nobody", "secret"):
        try:
            m.login(user, password)
            raise AssertionError("a wrong password")
        except imaplib.IMAP4.error as e:
            assert "AUTHENTICATIONFAILED" in str(e), e
    ok(m.authenticate("PLAIN", lambda _: b"\0alice\0secret"))
    for name in "IDLE", "LITERAL+", "UIDPLUS", "NAMESPACE", "ID", "UNSELECT", "ENABLE", "MOVE", "CHILDREN", "SPECIAL-USE":
        assert name in ok(m.capability())[0].decode().split(), name
    assert b'(("" "/")) NIL NIL' in ok(m.namespace())[0]
    assert m.logout()[0] == "BYE"
    m = imaplib.IMAP4_SSL("localhost", d.port["imaps"], ssl_context=d.tls())
    m.login("bob@example.test", "secret")
    ok(m.xatom("ID", '("name" "test")'))
    m.logout()


def mailboxes(d):
    m = client(d)
    for name in "Work", "Work/2026", "Archive/Old/Older", '"with space"', "&ZeVnLIqe-", "Entw&APw-rfe":
        ok(m.create(name))
    no(m.create("Work"), b"ALREADYEXISTS")
    no(m.create("INBOX"), b"ALREADYEXISTS")
    listed = names(m.list('""', "*"))
    for name in "INBOX", "Work", "Work/2026", "Archive/Old", "Archive/Old/Older", "&ZeVnLIqe-":
        assert name in listed, (name, listed)
    assert names(m.list('""', "Work/%")) == ["Work/2026"] and "Work/2026" not in names(m.list('""', "%"))
    assert names(m.list("Work/", "%")) == ["Work/2026"]
    assert [line for line in ok(m.list('""', "Work")) if b"\\HasChildren" in line]
    assert ok(m.list('""', '""')) == [b'(\\Noselect) "/" ""'], ok(m.list('""', '""'))
    ok(m.subscribe("Work"))
    ok(m.subscribe("Work/2026"))
    assert names(m.lsub('""', "*")) == ["Work", "Work/2026"], m.lsub('""', "*")
    ok(m.unsubscribe("Work"))
    assert names(m.lsub('""', "*")) == ["Work/2026"]
    ok(m.rename("Work", "Play"))
    listed = names(m.list('""', "*"))
    assert "Play/2026" in listed and "Work" not in listed
    no(m.rename("None", "Other"), b"NONEXISTENT")
    no(m.delete("None"), b"NONEXISTENT")
    no(m.delete("INBOX"))
    ok(m.delete("Play/2026"))
    assert "Play/2026" not in names(m.list('""', "*"))
    no(m.select("None"), b"NONEXISTENT")
    no(m.status("None", "(MESSAGES)"))
    for name in '"../../bob"', '"a//b"', '"/etc/passwd"', '"a\\\\b/.."', '"."', '".."':
        answer = m.create(name)
        assert answer[0] == "NO" or ok(m.delete(name)), name
    assert not (d.data / "mail" / "etc").exists() and not (d.data / "bob").exists()
    assert re.fullmatch(rb'"?INBOX"? \(MESSAGES 0 RECENT 0 UIDNEXT 1 UIDVALIDITY \d+ UNSEEN 0\)',
                        ok(m.status("INBOX", "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)"))[0])
    m.logout()


def appends(d):
    m = client(d)
    ok(m.create("In"))
    answer = ok(m.append("In", "(\\Seen \\Flagged $Work)", '"01-Feb-2020 03:04:05 +0100"', MIXED.encode()))
    assert re.search(rb"APPENDUID \d+ 1\]", answer[0]), answer
    ok(m.append("In", None, None, UNSEEN.encode()))
    ok(m.append("In", "(\\Deleted)", imaplib.Time2Internaldate(time.time()), letter(3, "third\r\n").encode()))
    no(m.append("None", None, None, b"Subject: x\r\n\r\n"), b"TRYCREATE")
    assert b"MESSAGES 3" in ok(m.status("In", "(MESSAGES)"))[0]
    ok(m.select("In"))
    assert b"$Work" in m.response("FLAGS")[1][0] or b"$Work" in ok(m.select("In"))[0]
    row = fetched(m, "1", "(FLAGS INTERNALDATE RFC822.SIZE UID)")[1]
    for part in rb"\Seen", rb"\Flagged", b"$Work", b'INTERNALDATE " 1-Feb-2020 03:04:05 +0100"', b"UID 1", b"RFC822.SIZE %d" % len(MIXED):
        assert part in row, (part, row)
    m.logout()


def fetches(d):
    m = client(d, box="In")

    def one(item, number="1"):
        answer = ok(m.fetch(number, f"({item})"))
        return answer[0][1] if isinstance(answer[0], tuple) else answer[0]

    whole = MIXED.encode()
    assert one("BODY.PEEK[]") == one("RFC822") == whole
    assert one("RFC822.HEADER") == one("BODY.PEEK[HEADER]") == whole[:whole.index(b"\r\n\r\n") + 4]
    assert one("RFC822.TEXT") == one("BODY.PEEK[TEXT]") == whole[whole.index(b"\r\n\r\n") + 4:]
    assert one("BODY.PEEK[1]") == b"Sch=C3=B6ne Gr=C3=BC=C3=9Fe"
    assert one("BODY.PEEK[1.MIME]").startswith(b"Content-Type: text/plain; charset=utf-8\r\n")
    assert one("BODY.PEEK[2.HEADER]").startswith(b"Subject: inner\r\n")
    assert one("BODY.PEEK[2.1]") == b"plain inner" and one("BODY.PEEK[2.2]") == b"<p>html inner</p>"
    assert one("BODY.PEEK[2.2.MIME]") == b"Content-Type: text/html\r\n\r\n"
    assert one("BODY.PEEK[3]") == b"AAECAwQ="
    assert one("BODY.PEEK[HEADER.FIELDS (Subject X-Colour)]") == b"Subject: =?utf-8?b?R3LDvMOfZQ==?= from afar\r\nX-Colour: blue\r\n\r\n"
    rest = one("BODY.PEEK[HEADER.FIELDS.NOT (From To Cc Subject Date Message-ID)]")
    assert rest.startswith(b"X-Colour") and b"Subject" not in rest
    assert one("BODY.PEEK[]<10.20>") == whole[10:30] and one(f"BODY.PEEK[]<{len(whole) - 5}.100>") == whole[-5:]
    envelope = one("ENVELOPE")
    for part in b'"Mon, 23 Nov 2026 10:00:00 +0100"', b'"=?utf-8?b?R3LDvMOfZQ==?= from afar"', b'"juergen" "example.net"', \
            b'(NIL NIL "team" NIL)', b'"<mixed@example.net>"', b'(NIL NIL "carol" "example.test")':
        assert part in envelope, (part, envelope)
    structure = one("BODYSTRUCTURE")
    for part in b'"text" "plain" ("charset" "utf-8")', b'"message" "rfc822"', b'"alternative"', b'"mixed"', b'("attachment" ("filename" "a.bin"))':
        assert part in structure.lower().replace(b'"utf-8"', b'"utf-8"'), (part, structure)
    assert b'"attachment"' not in one("BODY").lower()
    for macro, part in ("FAST", b"RFC822.SIZE"), ("ALL", b"ENVELOPE"), ("FULL", b"BODY ("):
        assert part in fetched(m, "1", macro)[1]
    assert rb"\Seen" not in fetched(m, "2", "(FLAGS)")[2]
    one("BODY.PEEK[]", "2")
    assert rb"\Seen" not in fetched(m, "2", "(FLAGS)")[2]
    one("BODY[]", "2")
    assert rb"\Seen" in fetched(m, "2", "(FLAGS)")[2]
    assert sorted(fetched(m, "1:*", "(UID)")) == [1, 2, 3] and sorted(fetched(m, "2:*", "(FLAGS)", uid=True)) == [2, 3]
    assert b"UID 3" in fetched(m, "3", "(FLAGS)", uid=True)[3]
    bad(m.fetch, "1", "(NONSENSE)")
    bad(m.fetch, "9", "(FLAGS)")
    bad(m.fetch, "0", "(FLAGS)")
    assert fetched(m, "99", "(FLAGS)", uid=True) == {}
    m.store("2", "-FLAGS", "\\Seen")
    m.logout()


def searches(d):
    m = client(d, box="In")

    def found(*criteria):
        return [int(n) for n in ok(m.search(None, *criteria))[0].split()]

    today = time.strftime("%d-%b-%Y", time.gmtime())
    for criteria, expected in {
        "ALL": [1, 2, 3], "SEEN": [1], "UNSEEN": [2, 3], "FLAGGED": [1], "UNFLAGGED": [2, 3], "DELETED": [3], "UNDELETED": [1, 2],
        "ANSWERED": [], "UNANSWERED": [1, 2, 3], "DRAFT": [], "UNDRAFT": [1, 2, 3], "OLD": None, "NEW": None, "RECENT": None,
        "KEYWORD $Work": [1], "UNKEYWORD $Work": [2, 3], "FROM alice": [2, 3], "TO bob": [1, 2, 3], "CC carol": [1], "BCC x": [],
        "SUBJECT letter": [2, 3], "SUBJECT afar": [1], "BODY unseen": [2], "TEXT blue": [1], "TEXT inner": [1], "HEADER X-Colour blue": [1],
        'HEADER X-Colour ""': [1], "SMALLER 250": [2, 3], "LARGER 250": [1], "BEFORE 1-Jan-2021": [1], "ON 1-Feb-2020": [1],
        f"SINCE {today}": None, "SENTBEFORE 24-Nov-2026": [1], "SENTON 24-Nov-2026": [2, 3], "SENTSINCE 24-Nov-2026": [2, 3],
        "UID 2:3": [2, 3], "1,3": [1, 3], "NOT SEEN": [2, 3], "OR SEEN DELETED": [1, 3], "(FROM alice UNDELETED)": [2],
        "NOT (OR SEEN DELETED)": [2], "FROM juergen": [1], 'SUBJECT "LETTER 2"': [2],
    }.items():
        got = found(criteria)
        assert expected is None or got == expected, (criteria, got)
    for charset, word, expected in ("UTF-8", "Grüße", [1]), ("UTF-8", "schöne grüße", [1]), ("ISO-8859-1", "GRÜSSE", None), ("UTF-8", "nirgends", []):
        m.literal = word.encode(charset)
        got = [int(n) for n in ok(m.search(charset, "TEXT"))[0].split()]
        assert expected is None or got == expected, (word, got)
    m.literal = "Jürgen".encode()
    assert ok(m.uid("SEARCH", "CHARSET", "UTF-8", "FROM"))[0] == b"1"
    no(m.search("X-NO-SUCH", "ALL"), b"BADCHARSET")
    bad(m.search, None, "NONSENSE")
    m.logout()


def flags(d):
    m = client(d, box="In")
    assert rb"\Answered" in ok(m.store("2", "+FLAGS", "(\\Answered \\Draft)"))[0]
    assert b"$Later" in ok(m.store("1:2", "+FLAGS", "($Later NonJunk)"))[0]
    assert ok(m.store("1:2", "-FLAGS.SILENT", "($Later)")) == [None]
    row = fetched(m, "2", "(FLAGS)")[2]
    assert b"$Later" not in row and b"NonJunk" in row and rb"\Draft" in row, row
    ok(m.uid("STORE", "2", "FLAGS", "(\\Seen)"))
    row = fetched(m, "2", "(FLAGS)")[2]
    assert rb"\Seen" in row and b"NonJunk" not in row and rb"\Draft" not in row, row
    ok(m.uid("STORE", "99", "+FLAGS", "(\\Seen)"))
    bad(m.store, "1", "+FLAGS", "(\\Nonsense")
    m.select("In", readonly=True)
    no(m._simple_command("STORE", "1", "+FLAGS", "(\\Answered)"))
    one = fetched(m, "1", "(BODY[TEXT] FLAGS)")[1]
    assert rb"\Answered" not in one
    m.logout()


def copies(d):
    m = client(d, box="In")
    ok(m.create("Copies"))
    assert re.search(rb"COPYUID \d+ 1:2 1:2\]", ok(m.copy("1:2", "Copies"))[0]), m.untagged_responses
    no(m.copy("1", "None"), b"TRYCREATE")
    assert ok(m.uid("COPY", "99", "Copies"))
    box = client(d, box="Copies")
    row = fetched(box, "1", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
    assert rb"\Flagged" in row and b" 1-Feb-2020 03:04:05 +0100" in row and b"X-Colour: blue" in row
    ok(m.create("Moved"))
    typ, answer = m._simple_command("MOVE", "2", "Moved")
    assert typ == "OK" and sorted(fetched(m, "1:*", "(UID)")) == [1, 2], answer
    assert b"UID 3" in fetched(m, "2", "(UID)")[2]
    assert b"MESSAGES 1" in ok(m.status("Moved", "(MESSAGES)"))[0]
    assert ok(m.uid("MOVE", "3", "Moved")) and len(fetched(m, "1:*", "(UID)")) == 1
    box.store("1:2", "+FLAGS", "\\Deleted")
    ok(box.uid("EXPUNGE", "2"))
    assert box.response("EXPUNGE")[1] == [b"2"]
    assert ok(box.expunge()) == [b"1"]
    ok(box.append("Copies", "(\\Deleted)", None, UNSEEN.encode()))
    ok(box.noop())
    assert b"UID 3" in fetched(box, "1", "(UID)")[1]
    ok(box.close())
    assert b"MESSAGES 0" in ok(box.status("Copies", "(MESSAGES)"))[0]
    ok(box.select("Copies"))
    ok(box.unselect() if hasattr(box, "unselect") else box.xatom("UNSELECT"))
    ok(m.check())
    m.logout()
    box.logout()


def two_sessions(d):
    """RFC 3501 §7.4.1: EXPUNGE is told in commands that do not use numbers, and numbers mean the old messages until then."""
    ok((m := client(d)).create("Shared"))
    for n in range(1, 6):
        ok(m.append("Shared", None, None, letter(n).encode()))
    a, b = client(d, box="Shared"), client(d, box="Shared")
    a.store("2,4", "+FLAGS", "\\Deleted")
    assert ok(a.expunge()) == [b"2", b"3"]
    got = fetched(b, "3", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert b"letter 3" in got[3] and "EXPUNGE" not in b.untagged_responses
    typ, answer = b._simple_command("FETCH", "1:5", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert typ == "OK" or b"EXPUNGEISSUED" in answer[0], answer
    b.untagged_responses.pop("FETCH", None)
    ok(b.noop())
    assert b.response("EXPUNGE")[1] in ([b"2", b"3"], [b"4", b"2"]), b.untagged_responses
    assert sorted(fetched(b, "1:*", "(UID)")) == [1, 2, 3]
    a.store("1", "+FLAGS", "\\Flagged")
    ok(b.noop())
    assert any(rb"\Flagged" in row for row in b.response("FETCH")[1])
    ok(m.append("Shared", None, None, letter(6).encode()))
    ok(b.noop())
    assert b.response("EXISTS")[1][-1] == b"4"
    for c in a, b, m:
        c.logout()


def idle(d):
    """An idle session hears of a delivery by another process and of another session's flags at once."""
    with d.wire("imaps", tls=True) as w:
        w.line()
        w.ask("a LOGIN bob secret", "a OK")
        w.ask("b SELECT INBOX", "b OK")
        w.ask("c IDLE", "+ ")
        for n in range(1, 4):
            deliver(d, "bob", letter(n))
            start = time.monotonic()
            assert w.until(f"* {n} EXISTS") and time.monotonic() - start < 1, time.monotonic() - start
        m = client(d, "bob", "INBOX")
        m.store("2", "+FLAGS", "\\Flagged")
        assert "\\Flagged" in w.until("* 2 FETCH")[-1]
        m.store("1", "+FLAGS", "\\Deleted")
        m.expunge()
        w.until("* 1 EXPUNGE")
        w.ask("DONE", "c OK")
        assert w.ask("d NOOP", "d ")[-1].startswith("d OK")
        w.ask("e LOGOUT", "e OK")
        m.logout()


with Daemons(listeners=("smtp", "imap", "imaps")) as daemons:
    scenarios(logins, mailboxes, appends, fetches, searches, flags, copies, two_sessions, idle, arguments=[daemons])
