#!/bin/bash
# What a check of the configuration reports and how it ends: the guide's sendmail.mc and its damaged fragments.
set -euo pipefail
bin=$BUILD_DIR/daemons
guide=$SOURCE_DIR/tests/guide
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# expect CODE TEXT COMMAND...: how it ends, and what it says (empty: nothing is looked for).
expect() {
    local want=$1 text=$2 code=0
    shift 2
    "$@" >"$dir/out" 2>&1 || code=$?
    [[ $code == "$want" ]] || { echo "$*: ended with $code, not $want"; cat "$dir/out"; failed=1; }
    [[ -z $text ]] || grep -qF "$text" "$dir/out" || { echo "$*: does not say: $text"; cat "$dir/out"; failed=1; }
}

# The guide's own class files stand beside the test, not in /etc/mail.
sed "s|/etc/mail/access.db|$guide/access|; s|FEATURE(use_cw_file)|define(\`confCW_FILE', \`$guide/local-host-names')FEATURE(use_cw_file)|" \
    "$guide/sendmail.mc" >"$dir/good.mc"
echo "sendmail_mc = good.mc" >"$dir/good.conf"
for check in "$bin/smtpd -t -c" "$bin/mailctl config check --config"; do
    [[ $check == *mailctl* ]] && check="$bin/mailctl --config $dir/good.conf config check" || check="$check $dir/good.conf"
    expect 0 "good.mc:34: warning: FEATURE(blacklist_recipients) is deprecated" $check
    expect 0 "$guide/access:7: warning: blank after tag" $check
    expect 0 "good.mc:26: notice: /etc/mail/mailertable is missing" $check
    expect 1 "good.mc:34: error: FEATURE(blacklist_recipients) is deprecated" $check --strict
done
[[ $("$bin/mailctl" --config "$dir/good.conf" config check 2>&1 | grep -c ': warning: ') == 7 ]] ||
    { echo "the guide's files give other than seven warnings"; failed=1; }

while IFS='|' read -r name text; do
    echo "sendmail_mc = $guide/broken/$name.mc" >"$dir/bad.conf"
    expect 1 "$name.mc:$text" "$bin/smtpd" -t -c "$dir/bad.conf"
    expect 78 "$name.mc:$text" "$bin/smtpd" -c "$dir/bad.conf"
done <<'LINES'
acute|1: error: the quoted string that is opened here never ends
dn1|1: error: text "dn1" outside any macro call; did you mean dnl?
split|2: error: text "PLAIN')dnl" outside any macro call; line 1 has text after dnl, join the lines
curly|1: error: typographic quotes
unclosed|1: error: the quoted string that is opened here never ends
unknown-text|2: error: text "hello world" outside any macro call
LINES
exit $failed
