#!/bin/bash
# ./demo --once, with the build that is being tested: one letter by SMTP over TLS, back over IMAP and POP3.
set -euo pipefail
cd "$SOURCE_DIR"
[[ $BUILD_DIR == "$SOURCE_DIR"/build/* ]] || { echo "demo_once: ./demo wants its build under build/"; exit 1; }
out=$(DEMO_PRESET=$(basename "$BUILD_DIR") ./demo --once) || { printf '%s\n' "$out"; exit 1; }
for copy in IMAP POP3; do
    grep -q "over $copy:" <<<"$out" || { printf '%s\n' "$out"; exit 1; }
done
[[ $(grep -c '^Subject: The first letter' <<<"$out") == 2 ]] || { printf '%s\n' "$out"; exit 1; }
