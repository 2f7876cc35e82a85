#!/usr/bin/env python3
"""Session types bear the same shapes, so who has learnt one knows the others.

    handlers.py ROOT      ROOT: the top of the tree

What the host fills begins with its size and has an _INIT macro and an _init function. A callback of
a handler gets the session, `user`, its ticket if it is a question, its facts in an event, and last
the answer to fill.
"""
import re
import sys
from pathlib import Path

HEADERS = ("base", "session", "sasl", "mime", "smtp", "pop3", "imap", "milter")
SIZED = re.compile(r"struct (\w+) \{\s*size_t size;")
HANDLER = re.compile(r"typedef struct (lmail_(\w+?)_server)_handler \{(.*?)\n\} \1_handler;", re.S)
CALLBACK = re.compile(r"(lmail_status|void|lmail_str) \(\*(\w+)\)\(([^)]*)\);")
# Named in every handler; they are about a ticket, which is all there is to say.
BY_TICKET = {"on_cancel", "on_released"}
EVERYWHERE = {"on_connect", "on_auth", "on_auth_end", "on_cancel"}


def judge_structs(name, text):
    for struct in SIZED.findall(text):
        if f"#define {struct.upper()}_INIT" not in text:
            yield f"{name}.h: {struct} has no {struct.upper()}_INIT"
        if f"void {struct}_init({struct} *" not in text:
            yield f"{name}.h: {struct} has no {struct}_init()"


def wanted(session, result, name):
    """A pattern for the parameters of a callback."""
    if name == "auth_mechanisms":
        return rf"const {session} \*s, void \*user"
    head = rf"{session} \*s, void \*user, "
    if name in BY_TICKET:
        return head + "lmail_ticket t"
    if result == "void":
        return head + r"const lmail_\w+_event \*ev"
    answer = "reply" if session == "lmail_smtp_server" else "answer"
    return head + rf"lmail_ticket t, const lmail_\w+_event \*ev, lmail_\w+ \*(?:{answer}|answer)"


def judge_handler(name, text):
    for session, _, body in HANDLER.findall(text):
        found = set()
        for result, callback, parameters in CALLBACK.findall(body):
            found.add(callback)
            if not re.fullmatch(wanted(session, result, callback), " ".join(parameters.split())):
                yield f"{name}.h: {callback} of {session}_handler is not shaped as the others are"
        for callback in sorted(EVERYWHERE - found):
            yield f"{name}.h: {session}_handler has no {callback}"


def main():
    include = Path(sys.argv[1]) / "include" / "libmail"
    texts = {name: (include / f"{name}.h").read_text(encoding="utf-8") for name in HEADERS}
    faults = [fault for name, text in texts.items()
              for fault in [*judge_structs(name, text), *judge_handler(name, text)]]
    handlers = sum(len(HANDLER.findall(text)) for text in texts.values())
    print("\n".join(faults) if faults else f"{len(texts)} headers, {handlers} handlers")
    return 1 if faults or handlers < 3 else 0


sys.exit(main())
