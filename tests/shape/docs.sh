#!/bin/bash
# The documentation says what the code says: every setting stands in libmail.conf(5) with its default, every
# daemon has its page, and the README's example is examples/smtp_session.c.
set -euo pipefail
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
mailctl=${2:?path of mailctl}
failed=0
page=$(sed 's/\\-/-/g; s/\\e/\\/g' "$root/docs/man/libmail.conf.5")
while IFS= read -r line; do
    [[ $line == " "* ]] && continue
    name=${line%% = *}
    name=${name#listener.}; name=${name#dnsbl.}; name=${name#milter.}
    standard=${line#* = }
    block=$(grep -A 1 -F ".BR $name \"" <<<"$page") || { echo "libmail.conf.5: lacks $name"; failed=1; continue; }
    grep -qF "Default: ${standard:-empty}." <<<"$block" || { echo "libmail.conf.5: $name: default is not \"$standard\""; failed=1; }
done < <("$mailctl" config keys)
# Every family of numbers has its row in metrics.md, with the words of the page; tests/daemons/metrics.py compares the rest.
while IFS=$'\t' read -r name help; do
    grep -E "^\| \`$name\` \| [a-z]+ \| [^|]* \| " "$root/docs/metrics.md" | grep -qF "| $help |" ||
        { echo "metrics.md: lacks $name: $help"; failed=1; }
done < <(sed -nE 's/^ +X\([A-Z_0-9]+, "([a-z_]+)", .*, "([^"]+)"\).*/\1\t\2/p' "$root/libmail/host/service/service_metrics_table.h")
for program in smtpd imapd pop3d authd mailctl; do
    [[ -f $root/docs/man/$program.8 ]] || { echo "docs/man/$program.8 is missing"; failed=1; }
done
diff <(sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '1d;$d') "$root/examples/smtp_session.c" ||
    { echo "README.md: its example is not examples/smtp_session.c"; failed=1; }
exit $failed
