#!/usr/bin/env python3
"""The export map, the headers and the shared library name the same symbols.

    exports.py MAP LIBRARY HEADER...
"""
import re
import subprocess
import sys
from pathlib import Path


def declared(header):
    text = re.sub(r"/\*.*?\*/|//[^\n]*|^\s*#(?:[^\n]*\\\n)*[^\n]*", " ", Path(header).read_text(), flags=re.S | re.M)
    for declaration in re.findall(r"\bLMAIL_API\b([^;{]*)", text):
        name = re.search(r"\b(lmail_\w+)\s*\(", declaration) or re.search(r"(\w+)\s*(?:\[.*)?$", declaration.strip())
        yield name.group(1)


def mapped(path):
    text = re.sub(r"/\*.*?\*/|#[^\n]*", " ", Path(path).read_text(), flags=re.S)
    body = re.search(r"global:(.*)local:", text, re.S).group(1)
    return [name.strip() for name in body.split(";") if name.strip()]


def exported(library):
    text = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    names = (line.split()[-1] for line in text.splitlines() if line.split()[1] != "A")
    return {name.split("@")[0] for name in names}


def main():
    map_file, library, *headers = sys.argv[1:]
    in_headers = {name for header in headers for name in declared(header)}
    lines = mapped(map_file)
    in_map, in_library = set(lines), exported(library)
    faults = [f"{name}: twice in {map_file}" for name in sorted(in_map) if lines.count(name) > 1]
    faults += [f"{name}: in a header, not in {map_file}" for name in sorted(in_headers - in_map)]
    faults += [f"{name}: in {map_file}, in no header" for name in sorted(in_map - in_headers)]
    faults += [f"{name}: declared, defined nowhere" for name in sorted(in_headers & in_map - in_library)]
    print("\n".join(faults) if faults else f"{len(in_map)} exports")
    return 1 if faults else 0


sys.exit(main())
