#!/bin/bash
# What a check of the configuration reports and how it ends: the guide's sendmail.mc and its damaged fragments.
set -uo pipefail
. "$SOURCE_DIR/tests/daemons/lib_expect.sh"
bin=$BUILD_DIR/daemons
guide=$SOURCE_DIR/tests/guide

# says CODE TEXT COMMAND...: as expect, the text as it stands
says() {
    expect "$1" "$(sed 's/[][\\.*^$]/\\&/g' <<<"$2")" "${@:3}"
}

# The guide's own class files stand beside the test, not in /etc/mail.
sed "s|/etc/mail/access.db|$guide/access|; s|FEATURE(use_cw_file)|define(\`confCW_FILE', \`$guide/local-host-names')FEATURE(use_cw_file)|" \
    "$guide/sendmail.mc" >"$dir/good.mc"
echo "sendmail_mc = good.mc" >"$dir/good.conf"
for check in "$bin/smtpd -t -c" "$bin/mailctl config check --config"; do
    [[ $check == *mailctl* ]] && check="$bin/mailctl --config $dir/good.conf config check" || check="$check $dir/good.conf"
    says 0 "good.mc:34: warning: FEATURE(blacklist_recipients) is deprecated" $check
    says 0 "$guide/access:7: warning: blank after tag" $check
    says 0 "good.mc:26: notice: /etc/mail/mailertable is missing" $check
    says 1 "good.mc:34: error: FEATURE(blacklist_recipients) is deprecated" $check --strict
done
[[ $("$bin/mailctl" --config "$dir/good.conf" config check 2>&1 | grep -c ': warning: ') == 7 ]] ||
    fault "the guide's files give other than seven warnings"

while IFS='|' read -r name text; do
    echo "sendmail_mc = $guide/broken/$name.mc" >"$dir/bad.conf"
    says 1 "$name.mc:$text" "$bin/smtpd" -t -c "$dir/bad.conf"
    says 78 "$name.mc:$text" "$bin/smtpd" -c "$dir/bad.conf"
done <<'LINES'
acute|1: error: the quoted string that is opened here never ends
dn1|1: error: text "dn1" outside any macro call; did you mean dnl?
split|2: error: text "PLAIN')dnl" outside any macro call; line 1 has text after dnl, join the lines
curly|1: error: typographic quotes
unclosed|1: error: the quoted string that is opened here never ends
unknown-text|2: error: text "hello world" outside any macro call
LINES
[ "$faults" = 0 ]
