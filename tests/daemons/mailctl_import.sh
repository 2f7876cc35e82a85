#!/bin/bash
# mailctl user import: a sasldb2 that saslpasswd2 made becomes accounts, through db5.3_dump.
set -u
. "$SOURCE_DIR/tests/daemons/lib_expect.sh"
file=$dir/accounts
printf 'hostname = mx.example.org\ndomains = example.org\naccounts = %s\n' "$file" >"$dir/conf"

import() { expect "$1" "$2" "$mailctl" --config "$dir/conf" user import "${@:3}"; }
fits() { # USER PASSWORD
    printf '%s\n' "$2" | "$mailctl" --config "$dir/conf" user check -p "$1" >/dev/null 2>&1
}

made() { # USER REALM PASSWORD
    printf '%s' "$3" | /usr/sbin/saslpasswd2 -p -c -f "$dir/sasldb2" -u "$2" "$1" || faults=$((faults + 1))
}
made juan mx.example.org secreto
made ana example.org 'con \barra: y ñ'
made eva elsewhere.example suya
/usr/bin/db5.3_dump "$dir/sasldb2" >"$dir/bytes" && /usr/bin/db5.3_dump -p "$dir/sasldb2" >"$dir/print" ||
    faults=$((faults + 1))
cmp -s "$dir/bytes" "$dir/print" && fault "the two dumps are one"

# Usage
import 64 usage
import 64 usage --sasldb "$dir/bytes" extra
import 1 'No such file' --sasldb "$dir/none"
import 1 'no text of db_dump' --sasldb "$dir/conf"

# A dry run writes nothing
import 0 'dry run, nothing is written: 3 records: 3 made, 0 completed' --sasldb "$dir/bytes" --dry-run
[ ! -e "$file" ] || fault "the dry run wrote"

# The secrets come over, names by realm; hashes on request, and again only what is missing
import 0 '3 made, 0 completed, 0 the same already, 0 in conflict' --sasldb "$dir/bytes"
grep -q '^juan:!.*secret=c2VjcmV0bw==' "$file" && grep -q '^ana:!' "$file" &&
    grep -q '^eva@elsewhere.example:!.*scram_sha_256=' "$file" || { cat "$file"; faults=$((faults + 1)); }
[ "$(stat -c %a "$file")" = 600 ] || faults=$((faults + 1))
import 0 '0 made, 0 completed, 3 the same already' --sasldb "$dir/print"
fits juan secreto && fault "a hash came unasked"
import 0 '0 made, 3 completed' --sasldb "$dir/print" --hashes
fits juan secreto && fits ana 'con \barra: y ñ' && fits eva@elsewhere.example suya ||
    fault "a hash does not fit"

# Conflicts are named and kept; --replace takes them
printf 'nueva\n' | "$mailctl" --config "$dir/conf" user passwd -p -n juan
import 1 "^$dir/bytes:[0-9]*: error: juan has another secret already" --sasldb "$dir/bytes"
import 1 '2 the same already, 1 in conflict' --sasldb "$dir/bytes"
fits juan nueva || fault "a conflict was overwritten"
import 0 'juan.replaced' --sasldb "$dir/bytes" --replace --hashes
fits juan secreto || fault "--replace did not"

# Two users of one name, no reversible secret, another realm as ours, a dump that breaks off
made juan example.org otra
/usr/bin/db5.3_dump "$dir/sasldb2" >"$dir/both"
import 1 'has another secret already' --sasldb "$dir/both" -f "$dir/both.accounts"
[ "$(grep -c . "$dir/both.accounts")" = 3 ] || fault "both.accounts"
import 0 'juan.replaced' --sasldb "$dir/both" -f "$dir/replaced.accounts" --replace --hashes
[ "$(grep -c . "$dir/replaced.accounts")" = 3 ] || fault "replaced.accounts"

# 1,000 users in two realms that are both ours: in seconds, since the file is not written for each
python3 - >"$dir/twice" <<'PY'
print("VERSION=3\nformat=print\ntype=hash\nHEADER=END")
for n in range(1000):
    for realm in "mx.example.org", "example.org":
        print(f" u{n}\\00{realm}\\00userPassword\n secreto{n}")
print("DATA=END")
PY
import 0 '2000 records: 1000 made, 0 completed, 1000 the same already' --sasldb "$dir/twice" -n -f "$dir/fifth"
import 0 '3 made' --sasldb "$dir/bytes" -n -u elsewhere.example -f "$dir/third"
grep -q '^eva:' "$dir/third" && grep -q '^ana@example.org:' "$dir/third" && ! grep -q 'secret=' "$dir/third" ||
    { cat "$dir/third"; faults=$((faults + 1)); }
sed '$d' "$dir/bytes" >"$dir/torn"
import 1 'breaks off' --sasldb "$dir/torn" -f "$dir/fourth"
[ "$(grep -c . "$dir/fourth")" = 3 ] || fault "a torn dump lost whole records"

[ "$faults" = 0 ]
