# What the tests of mailctl in shell share: a folder of their own, and how a command is to end.
# Sourced; sets mailctl, dir and faults. A test ends with:  [ "$faults" = 0 ]
mailctl=$BUILD_DIR/daemons/mailctl
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
faults=0

fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

# expect CODE PATTERN COMMAND...: the exit code, and what both outputs together must match
expect() {
    local code=$1 pattern=$2 out got
    shift 2
    out=$("$@" 2>&1 </dev/null)
    got=$?
    if [ "$got" != "$code" ] || ! grep -q -- "$pattern" <<<"$out"; then
        fault "$* : exit $got, wanted $code and '$pattern':"
        echo "$out"
    fi
}
