/* imap_cmd_enable.c - ENABLE: what the client turns on for this session (RFC 5161).
 *
 * A row of the table is an extension that changes what the server sends; those not known, or not
 * offered, are passed over in silence as §3.1 wants it. */
#include "imap/imap_internal.h"

static const struct {
    lmail_str name;
    uint64_t cap;
    unsigned enables; /* LMI_ENABLED_* */
} words[] = {{{NULL, 0}, 0, 0}};

lmail_status lmi_imap_cmd_enable(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    unsigned asked = 0;
    do {
        lmail_str word;
        lmail_status st = lmi_imap_sp(a);
        if (!st)
            st = lmi_imap_atom(a, &word);
        if (st)
            return lmi_imap_finish_parse(s, st);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (words[i].name.len && lmi_imap_has(s, words[i].cap) &&
                lmail_str_equal_nocase(words[i].name, word))
                asked |= words[i].enables;
    } while (!lmi_imap_at_end(a));
    lmi_imap_put(s, LMAIL_STR("* ENABLED"));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (asked & words[i].enables & ~s->enabled) {
            lmi_imap_put_char(s, ' ');
            lmi_imap_put(s, words[i].name);
        }
    lmi_imap_put_crlf(s);
    s->enabled |= asked;
    return lmi_imap_finish_ok(s);
}
