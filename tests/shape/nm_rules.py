#!/usr/bin/env python3
"""What the objects may contain, read with nm from a static archive.

    nm_rules.py pure libmail.a
    nm_rules.py host libmail-host.a libmail.a

Both: every global symbol begins lmail_ or lmi_, because an archive hides nothing; for the same reason none of host's is
defined in libmail.a too. pure, besides: names from outside come from the short list below, the malloc family in
base_alloc alone, and nothing lies in mutable data.
"""
import re
import subprocess
import sys

# mem*, str* (not those that allocate, keep state or follow the locale), snprintf, and what compilers call unasked.
ALLOWED = re.compile(r"""
    mem(chr|rchr|cmp|cpy|move|set) | bcmp
  | str(n?len|r?chr|n?cmp|c?spn|str|pbrk)
  | v?snprintf
  | __(mem(cpy|move|set)|v?snprintf)_chk | __stack_chk_fail | _GLOBAL_OFFSET_TABLE_
  | __[a-z]+[sdt]i[234]
  | __assert_fail                          # absent under NDEBUG
""", re.VERBOSE)
ALLOCATOR = {"malloc", "calloc", "realloc", "free"}
MUTABLE = re.compile(r"\.(data(?!\.rel\.ro)|bss|tdata|tbss)|\*COM\*|COMMON")


def symbols(archive):
    """(member, name, class letter, section) for each symbol."""
    text = subprocess.run(["nm", "--format=sysv", archive], check=True, capture_output=True, text=True).stdout
    member = ""
    for line in text.splitlines():
        head = re.match(r"(?:Symbols|Undefined symbols) from .*\[(.*)\]:", line)
        if head:
            member = head.group(1)
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            yield member, fields[0], fields[2], fields[6]


def main():
    kind, archive, *below = sys.argv[1:]
    faults, count = [], 0
    taken = {name for other in below for _, name, letter, _ in symbols(other) if letter.isupper() and letter not in "UNW"}
    for member, name, letter, section in symbols(archive):
        count += 1
        ours = name.startswith(("lmail_", "lmi_"))
        if letter in "Uw":
            if kind == "pure" and not ours and not ALLOWED.fullmatch(name) and \
                    not (name in ALLOCATOR and member == "base_alloc.c.o"):
                faults.append(f"{member}: uses {name}")
            continue
        if name in taken and letter.isupper() and letter not in "NW":
            faults.append(f"{member}: {name} is defined in {' '.join(below)} too")
        if letter.isupper() and letter != "N" and not ours:
            faults.append(f"{member}: global symbol {name} lacks the prefix lmail_ or lmi_")
        if kind == "pure" and MUTABLE.match(section):
            faults.append(f"{member}: {name} lies in mutable data ({section})")
    print("\n".join(faults) if faults else f"{count} symbols")
    return 1 if faults or not count else 0


sys.exit(main())
