#!/usr/bin/env python3
"""Who may include whom: reads the #include lines and names each that points sideways or up.

    includes.py ROOT      ROOT: the top of the tree
"""
import re
import sys
from pathlib import Path

# Rooms by height; a file sees its own room and lower ones.
PURE = {"base": 0, "codec": 1, "mime": 2, "sasl": 3,
        "smtp": 4, "pop3": 4, "imap": 4, "policy": 4, "milter": 4,
        "config": 5, "delivery": 5}
# Public headers that bear another name than their room.
PUBLIC = {"dsn": "delivery"}
HOST = {"net": 0, "dns": 0, "file": 0, "admin": 1, "auth": 1, "store": 1, "queue": 1, "service": 2}

# All of ISO C that is free of locale, clock and files (stdio.h for snprintf, stdlib.h for base_alloc.c: the nm
# rules watch which of their names are used).
PURE_STANDARD = {"assert.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h",
                 "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h"}
HEADER_STANDARD = {"limits.h", "stdarg.h", "stddef.h", "stdint.h"}
# What libmail-host keeps to itself.
BACKENDS = re.compile(r"(uv|gsasl|sqlite3|zlib|utf8proc|idn2|crypt|unbound|libpsl)\.h$|(mbedtls|psa|security)/")

# PAM stays out of the libraries, so that no program which links them carries its modules: authd alone has it.
EXCEPTIONS = {("daemons/authd_pam.c", "security/pam_appl.h")}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def public_room(name):
    """The room of libmail/NAME.h: its first word, or base for what all share (session.h)."""
    word = Path(name).stem.split("_")[0]
    word = PUBLIC.get(word, word)
    return word if word in PURE else "base"


def sees(heights, room, other):
    return room == other or heights[other] < heights[room]


def in_pure(path, room, quote, name):
    if name.startswith("libmail/"):
        rest = name[len("libmail/"):]
        if rest.startswith("host/"):
            return "a pure room includes libmail-host"
        other = public_room(rest)
        return None if sees(PURE, room, other) else f"{room} may not know {other}"
    if quote == "<":
        return None if name in PURE_STANDARD else "not among the headers a pure room may use"
    if "/" not in name:
        return None if (path.parent / name).exists() else "no such header in this room"
    other = name.split("/")[0]
    if other not in PURE:
        return "not a room of libmail"
    return None if sees(PURE, room, other) else f"{room} may not know {other}"


def in_host(path, room, quote, name):
    if name.startswith("libmail/") or quote == "<":
        return None
    if "/" not in name:
        return None if (path.parent / name).exists() else "no such header in this room"
    parts = name.split("/")
    if parts[0] != "host" or parts[1] not in HOST:
        return "libmail-host sees libmail by its public headers only"
    return None if sees(HOST, room, parts[1]) else f"host/{room} may not know host/{parts[1]}"


def in_public(path, name, host):
    if name.startswith("libmail/"):
        rest = name[len("libmail/"):]
        if host:
            return None
        return in_pure(path, public_room(path.name), "<", name) if not rest.startswith("host/") else \
            "a header of libmail includes one of libmail-host"
    return None if name in HEADER_STANDARD else "public headers use stddef.h, stdint.h and each other"


def outside(path, quote, name, own):
    if name.startswith("libmail/"):
        return None
    if BACKENDS.search(name):
        return "public headers only: this belongs to libmail-host"
    if quote == "<" or any((base / name).exists() for base in own):
        return None
    return "public headers only"


def judge(root, path):
    parts = path.relative_to(root).parts
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        if ("/".join(parts), name) in EXCEPTIONS:
            continue
        if parts[0] == "include":
            fault = in_public(path, name, parts[2] == "host")
        elif parts[:2] == ("libmail", "host"):
            fault = in_host(path, parts[2], quote, name)
        elif parts[0] == "libmail":
            fault = in_pure(path, parts[1], quote, name)
        elif parts[0] == "tests":
            fault = outside(path, quote, name, [path.parent, root / "tests", root / "tests" / "support"])
        else:
            fault = outside(path, quote, name, [path.parent])  # a program of several files
        if fault:
            yield f"{'/'.join(parts)}:{number}: {name}: {fault}"


def main():
    root = Path(sys.argv[1]).resolve()
    files = [path for top in ("include", "libmail", "daemons", "examples", "tests/wire")
             for path in sorted((root / top).rglob("*.[ch]"))]
    faults = [fault for path in files for fault in judge(root, path)]
    print("\n".join(faults) if faults else f"{len(files)} files")
    return 1 if faults or not files else 0


sys.exit(main())
