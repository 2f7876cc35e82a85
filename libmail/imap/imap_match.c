/* imap_match.c - matching mailbox names against LIST patterns.
 *
 * RFC 3501 §6.3.8: "*" is anything, "%" anything but the hierarchy separator. The set of places in
 * the pattern where the match may stand is carried along the name, so no pattern costs more than
 * its length times the name's. Pure: hosts call it too. */
#include <libmail/imap.h>

#include <string.h>

#include "base/base_internal.h"

#define PATTERN_MAX 2048u

/* A wildcard may match nothing: whoever stands before it stands behind it as well. */
static void pass_wildcards(unsigned char *at, lmail_str pattern)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (at[i] && (pattern.ptr[i] == '*' || pattern.ptr[i] == '%'))
            at[i + 1] = 1;
}

/* Take one octet of the name. 1 while any place is left. */
static int step(unsigned char *at, lmail_str pattern, char c, int nocase, char separator)
{
    int alive = 0;
    for (size_t i = pattern.len + 1; i-- > 0;) {
        int stays =
            at[i] && i < pattern.len &&
            (pattern.ptr[i] == '*' || (pattern.ptr[i] == '%' && (c != separator || !separator)));
        int comes = 0;
        if (i > 0 && at[i - 1]) {
            char p = pattern.ptr[i - 1];
            comes = p != '*' && p != '%' &&
                    (p == c || (nocase && lmi_ascii_lower(p) == lmi_ascii_lower(c)));
        }
        at[i] = (unsigned char)(stays || comes);
        alive |= at[i];
    }
    if (alive)
        pass_wildcards(at, pattern);
    return alive;
}

unsigned lmail_imap_list_match(lmail_str pattern, lmail_str name, char separator)
{
    unsigned char at[PATTERN_MAX + 1];
    if (pattern.len > PATTERN_MAX)
        return 0;
    size_t level = separator ? lmi_str_find(name, separator) : name.len;
    int inbox = lmail_str_equal_nocase(lmi_str_sub(name, 0, level), LMAIL_STR("INBOX"));
    unsigned found = 0;
    memset(at, 0, pattern.len + 1);
    at[0] = 1;
    pass_wildcards(at, pattern);
    for (size_t i = 0; i < name.len; i++) {
        if (separator && i && name.ptr[i] == separator && at[pattern.len])
            found |= LMAIL_IMAP_MATCH_ABOVE;
        if (!step(at, pattern, name.ptr[i], inbox && i < level, separator))
            return found;
    }
    if (at[pattern.len])
        found |= LMAIL_IMAP_MATCH_SELF;
    if (separator && step(at, pattern, separator, 0, separator))
        found |= LMAIL_IMAP_MATCH_BELOW;
    return found;
}
