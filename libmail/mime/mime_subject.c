/* mime_subject.c - what THREAD and SORT compare: base subjects and message ids (RFC 5256 §2.1, §3).
 *
 * Works on slices; called when a message arrives and by stores without a cache. */
#include "mime_internal.h"

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static lmail_str trim(lmail_str s)
{
    while (s.len && is_space(*s.ptr))
        s = lmi_str_skip(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP. 1: it is off the front of *s. */
static int skip_blob(lmail_str *s)
{
    if (!s->len || *s->ptr != '[')
        return 0;
    for (size_t i = 1; i < s->len; i++) {
        if (s->ptr[i] == '[')
            return 0;
        if (s->ptr[i] == ']') {
            *s = lmi_str_skip(*s, i + 1);
            while (s->len && is_space(*s->ptr))
                *s = lmi_str_skip(*s, 1);
            return 1;
        }
    }
    return 0;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static int skip_refwd(lmail_str *s)
{
    lmail_str t = *s;
    if (lmi_str_has_prefix_nocase(t, LMAIL_STR("fwd")))
        t = lmi_str_skip(t, 3);
    else if (lmi_str_has_prefix_nocase(t, LMAIL_STR("re")) ||
             lmi_str_has_prefix_nocase(t, LMAIL_STR("fw")))
        t = lmi_str_skip(t, 2);
    else
        return 0;
    while (t.len && is_space(*t.ptr))
        t = lmi_str_skip(t, 1);
    skip_blob(&t);
    if (!t.len || *t.ptr != ':')
        return 0;
    *s = lmi_str_skip(t, 1);
    return 1;
}

/* subj-leader = (*subj-blob subj-refwd) / WSP. More than 32 blobs are nobody's mailing lists. */
static int skip_leader(lmail_str *s)
{
    if (s->len && is_space(*s->ptr)) {
        *s = lmi_str_skip(*s, 1);
        return 1;
    }
    lmail_str t = *s;
    for (int i = 0; i < 32 && skip_blob(&t); i++)
        ;
    if (!skip_refwd(&t))
        return 0;
    *s = t;
    return 2;
}

lmail_str lmail_mime_base_subject(lmail_str subject, unsigned *is_reply)
{
    lmail_str s = trim(subject);
    *is_reply = 0;
    for (;;) {
        /* step 2: subj-trailer = "(fwd)" / WSP */
        while (s.len >= 5 &&
               lmail_str_equal_nocase(lmi_str_skip(s, s.len - 5), LMAIL_STR("(fwd)"))) {
            s.len -= 5;
            s = trim(s);
            *is_reply = 1;
        }
        /* steps 3 to 5 */
        for (int again = 1; again;) {
            again = 0;
            int what;
            while ((what = skip_leader(&s)) != 0) {
                again = 1;
                if (what == 2)
                    *is_reply = 1;
            }
            lmail_str t = s;
            if (skip_blob(&t) && t.len) {
                s = t;
                again = 1;
            }
        }
        /* step 6: subj-fwd-hdr subject subj-fwd-trl */
        if (s.len < 6 || s.ptr[s.len - 1] != ']' ||
            !lmi_str_has_prefix_nocase(s, LMAIL_STR("[fwd:")))
            return s;
        s = trim(lmi_str_sub(s, 5, s.len - 6));
        *is_reply = 1;
    }
}

int lmail_mime_msgid_next(lmail_str *value, lmail_str *id)
{
    while (value->len) {
        size_t open = lmi_str_find(*value, '<');
        if (open == value->len)
            break;
        lmail_str rest = lmi_str_skip(*value, open + 1);
        size_t close = lmi_str_find(rest, '>');
        if (close == rest.len)
            break;
        /* "<a <b@c>": the first was never closed */
        for (size_t i = close; i > 0; i--) {
            if (rest.ptr[i - 1] == '<') {
                rest = lmi_str_skip(rest, i);
                close -= i;
                break;
            }
        }
        *id = trim(lmi_str_sub(rest, 0, close));
        *value = lmi_str_skip(rest, close + 1);
        if (id->len)
            return 1;
    }
    /* No brackets left: one bare word with "@" is what some programs write. */
    lmail_str rest = trim(*value);
    *value = (lmail_str){NULL, 0};
    while (rest.len) {
        size_t n = 0;
        int sign = 0;
        for (; n < rest.len && !is_space(rest.ptr[n]) && rest.ptr[n] != '<'; n++)
            sign |= rest.ptr[n] == '@';
        *id = lmi_str_sub(rest, 0, n);
        if (sign)
            return 1;
        rest = lmi_str_skip(rest, n);
        while (rest.len && (is_space(*rest.ptr) || *rest.ptr == '<'))
            rest = lmi_str_skip(rest, 1);
    }
    return 0;
}
