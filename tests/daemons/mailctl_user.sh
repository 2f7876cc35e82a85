#!/bin/bash
# mailctl user, from one end to the other: every verb, every refusal, the file it leaves.
set -u
. "$SOURCE_DIR/tests/daemons/lib_expect.sh"
file=$dir/accounts

# piped SECRET CODE PATTERN VERB OPTIONS...
piped() {
    local secret=$1 code=$2 pattern=$3
    shift 3
    expect "$code" "$pattern" bash -c 'secret=$1; shift; printf "%s\n" "$secret" | "$@"' - \
        "$secret" "$mailctl" user "$@"
}

holds() {
    if ! grep -q -- "$1" "$file"; then
        fault "$file does not hold $1"
    fi
}

lacks() {
    if grep -q -- "$1" "$file"; then
        fault "$file holds $1"
    fi
}

# Help and usage
expect 0 'usage: mailctl' "$mailctl" --help
expect 0 'mailctl [0-9]' "$mailctl" --version
expect 64 'usage: mailctl' "$mailctl"
expect 64 'no group' "$mailctl" usr list
expect 64 'no verb' "$mailctl" user lst
expect 64 'which verb' "$mailctl" user
expect 0 'usage: mailctl .*user create' "$mailctl" user create --help
expect 64 'usage' "$mailctl" user create -f "$file"
expect 64 'usage' "$mailctl" user create -x -f "$file" juan
expect 64 'usage' "$mailctl" user password -n -f "$file" juan

# The two steps of the classic guide
expect 0 'no password yet' "$mailctl" user create -f "$file" juan
expect 1 'exists already' "$mailctl" user add -f "$file" Juan
expect 1 'no such account' "$mailctl" user password -p -f "$file" ana
piped secreto 0 'no secret yet' password -p -f "$file" juan
holds '^juan:{CRYPT}\$y\$'
lacks 'scram_sha_256'
piped secreto 0 '' check -p -f "$file" juan
piped secreta 1 'not the password' check -p -f "$file" juan
piped secreto 0 '' secret -p -f "$file" juan
holds 'scram_sha_1=4096,.* scram_sha_256=4096,.* secret=c2VjcmV0bw=='
lacks ':secreto'
expect 0 '^juan.password.scram.secret$' "$mailctl" user list -f "$file"

# Options
piped clave 1 'no such account' passwd -p -f "$file" ana
piped clave 0 '' passwd -c -p -n -u Example.ORG -f "$file" ana
holds '^ana@example.org:{CRYPT}'
if grep '^ana@' "$file" | grep -q 'secret='; then
    fault "-n left a reversible secret"
fi
expect 0 '^ana@example.org.password.scram.-$' "$mailctl" user list -u example.org -f "$file"
expect 0 '1 accounts, 0 faults' "$mailctl" user check -u example.org -f "$file"
expect 0 '' "$mailctl" user secret -d -f "$file" juan
lacks 'secret='
expect 0 'no secret yet' "$mailctl" user check -f "$file" juan
expect 0 '' "$mailctl" user password -d -f "$file" juan
holds '^juan:!:'
piped x 0 '' create -p -f "$file" pepe
holds '^pepe:{CRYPT}.*secret=eA=='

# Refusals
expect 64 'command line' "$mailctl" user passwd -f "$file" juan secreto
expect 1 'no terminal' "$mailctl" user passwd -f "$file" juan
piped '' 1 'empty' passwd -p -f "$file" juan
piped "$(printf 'x%.0s' {1..600})" 1 'too long' passwd -p -f "$file" juan
expect 1 'not a name' "$mailctl" user create -f "$file" 'ju an'
expect 1 'not a name' "$mailctl" user create -f "$file" '../juan'
expect 1 'not a name' "$mailctl" user create -f "$file" 'juan:x'
expect 1 'No such file' "$mailctl" user create -f "$dir/none/accounts" juan
expect 1 'no such account' "$mailctl" user delete -f "$file" nobody

# The file: mode, damaged lines kept and named, comments kept
[ "$(stat -c %a "$file")" = 600 ] || fault "mode $(stat -c %a "$file")"
printf '# by hand\nluis:{NOSUCH}x::::::\nrosa:{PLAIN}clara::::::\n' >>"$file"
expect 1 "^$file:5: error: the password scheme is unknown" "$mailctl" user check -f "$file"
expect 0 '' "$mailctl" user delete -f "$file" juan
holds '^# by hand$'
holds '^luis:{NOSUCH}x::::::$'
piped clara 0 '^rosa' check -p -f "$file" rosa
piped nueva 0 '' passwd -p -f "$file" luis
expect 0 'accounts, 0 faults' "$mailctl" user check -f "$file"

# The file that libmail.conf names
printf 'accounts = %s\n' "$file" >"$dir/libmail.conf"
expect 0 '^rosa' "$mailctl" --config "$dir/libmail.conf" user list
expect 1 'another realm' "$mailctl" -c "$dir/libmail.conf" user create -u a.example ana@b.example
expect 0 '^rosa' "$mailctl" -c "$dir/libmail.conf" user list
expect 1 '' "$mailctl" --config "$dir/missing.conf" user list

# A link is followed, not replaced
ln -s "$file" "$dir/link"
expect 0 '' "$mailctl" user create -f "$dir/link" enlace
[ -L "$dir/link" ] || fault "the link was replaced"
holds '^enlace:'

# Root's writing keeps the owner
if [ "$(id -u)" = 0 ]; then
    chown 12345:12346 "$file"
    expect 0 '' "$mailctl" user create -f "$file" duena
    [ "$(stat -c %u:%g "$file")" = 12345:12346 ] || fault "owner lost"
fi

# Many writers at once: nobody's change is lost
for i in $(seq 1 20); do
    "$mailctl" user create -f "$dir/many" "u$i" 2>/dev/null &
done
wait
[ "$("$mailctl" user list -f "$dir/many" | wc -l)" = 20 ] || fault "a change was lost"

# On a terminal: asked twice, no echo
python3 - "$mailctl" "$file" <<'PY' || faults=$((faults + 1))
import os, pty, sys, time

def talk(args, lines):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(args[0], args)
    seen = b""
    for line in lines:
        while b": " not in seen.rpartition(b"\n")[2]:
            seen += os.read(fd, 1024)
        os.write(fd, line + b"\n")
        seen += b"\n"
    try:
        while chunk := os.read(fd, 1024):
            seen += chunk
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen

mailctl, file = sys.argv[1:]
command = [mailctl, "user", "passwd", "-f", file, "rosa"]
code, seen = talk(command, [b"geheim", b"geheim"])
assert code == 0 and b"geheim" not in seen, (code, seen)
code, seen = talk(command, [b"geheim", b"gehein"])
assert code == 1 and b"not the same" in seen, (code, seen)
PY
piped geheim 0 '^rosa' check -p -f "$file" rosa

[ "$faults" = 0 ]
