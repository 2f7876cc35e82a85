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
# A dovecot.conf: warnings do not keep a daemon from starting, an error ends it with 78.
printf 'ssl = yes\nmail_privileged_group = mail\n' >"$dir/dovecot.conf"
echo "dovecot_conf = dovecot.conf" >"$dir/dovecot-good.conf"
for daemon in imapd pop3d; do
    says 0 "dovecot.conf:1: warning: ssl = yes without a certificate" "$bin/$daemon" -t -c "$dir/dovecot-good.conf"
    says 0 "dovecot.conf:2: warning: setting mail_privileged_group" "$bin/$daemon" -t -c "$dir/dovecot-good.conf"
done
while IFS='|' read -r line text; do
    echo "$line" >"$dir/bad-dovecot.conf"
    echo "dovecot_conf = bad-dovecot.conf" >"$dir/dovecot-bad.conf"
    for daemon in imapd pop3d; do
        says 1 "bad-dovecot.conf:1: error: $text" "$bin/$daemon" -t -c "$dir/dovecot-bad.conf"
        says 78 "bad-dovecot.conf:1: error: $text" "$bin/$daemon" -c "$dir/dovecot-bad.conf"
    done
done <<'LINES'
protocls = imap|unknown setting "protocls"; did you mean protocols?
protocol imap {|this section is not closed
mail_location = mbox:~/mail|mail_location: mbox is not served; convert the mail to Maildir
login_greeting = "Hello|the closing quote is missing
!include nowhere.conf|cannot read
LINES
rm "$dir/bad-dovecot.conf"
says 78 "bad-dovecot.conf" "$bin/imapd" -c "$dir/dovecot-bad.conf"
[ "$faults" = 0 ]
