/* base_line.c - gathers one CRLF line out of any split of the stream.
 *
 * RFC 5321 §2.3.8 and RFC 9051 §2.2: CRLF alone ends a line; a CR or LF by itself is refused, since
 * two programs that disagree about line ends can be made to see different commands. */
#include "base/base_internal.h"

#include <string.h>

#define FIRST_SIZE 128u

int lmi_line_empty(const lmi_line *l)
{
    return l->len == 0 && !l->discard;
}

void lmi_line_done(lmi_line *l, const lmail_alloc *a)
{
    lmi_free(a, l->buf, l->cap);
    l->buf = NULL;
    l->cap = l->len = 0;
}

void lmi_line_wipe(lmi_line *l)
{
    if (l->buf)
        lmi_wipe(l->buf, l->cap);
}

static int append(lmi_line *l, const lmail_alloc *a, lmail_str part, size_t max)
{
    size_t need = l->len + part.len; /* both are at most max */
    if (need > l->cap) {
        size_t cap = l->cap ? l->cap : FIRST_SIZE;
        while (cap < need)
            cap *= 2;
        if (cap > max)
            cap = max > need ? max : need;
        char *p = lmi_realloc(a, l->buf, l->cap, cap);
        if (!p)
            return 0;
        l->buf = p;
        l->cap = cap;
    }
    memcpy(l->buf + l->len, part.ptr, part.len);
    l->len = need;
    return 1;
}

/* Throw away up to and with the next CRLF. */
static void discard(lmi_line *l, lmail_str in, size_t *used)
{
    size_t at = 0;
    while (at < in.len) {
        size_t lf = at + lmi_str_find(lmi_str_skip(in, at), '\n');
        if (lf == in.len)
            break;
        int crlf = lf > 0 ? in.ptr[lf - 1] == '\r' : l->was_cr != 0;
        at = lf + 1;
        if (crlf) {
            l->discard = 0;
            l->was_cr = 0;
            *used = at;
            return;
        }
    }
    l->was_cr = in.len ? in.ptr[in.len - 1] == '\r' : l->was_cr;
    *used = in.len;
}

/* Report once; what is left of the line in `in` (from *used on) is thrown away at once, so that a
 * call with input always takes some. */
static lmi_line_result refuse(lmi_line *l, lmi_line_result why, int at_cr, lmail_str in,
                              size_t *used)
{
    size_t more = 0;
    l->discard = 1;
    l->was_cr = at_cr ? 1 : 0;
    l->len = 0;
    discard(l, lmi_str_skip(in, *used), &more);
    *used += more;
    return why;
}

/* Offset of the first CR in `in` that no LF follows inside it, or in.len. A CR at the very end is
 * still open. */
static size_t bare_cr(lmail_str in)
{
    for (size_t at = 0; at < in.len;) {
        size_t cr = at + lmi_str_find(lmi_str_skip(in, at), '\r');
        if (cr + 1 >= in.len)
            break;
        if (in.ptr[cr + 1] != '\n')
            return cr;
        at = cr + 2;
    }
    return in.len;
}

lmi_line_result lmi_line_read(lmi_line *l, const lmail_alloc *a, lmail_str in, size_t max,
                              size_t *used, lmail_str *line)
{
    lmail_str all = in;
    *used = 0;
    *line = (lmail_str){NULL, 0};
    if (l->discard) {
        discard(l, in, used);
        in = lmi_str_skip(in, *used);
        if (l->discard || in.len == 0)
            return LMI_LINE_MORE;
    }
    size_t skipped = *used;
    size_t before = l->len;
    int open_cr = before > 0 && l->buf[before - 1] == '\r';
    size_t lf = lmi_str_find(in, '\n');
    size_t take = lf < in.len ? lf + 1 : in.len;
    lmail_str part = {in.ptr, take};

    /* The offender that comes first counts, in any split: a CR left open by the last piece, a CR
     * inside, the LF; and what shows only behind the limit is too long. */
    if (open_cr && part.len && part.ptr[0] != '\n') {
        line->len = before - 1;
        return refuse(l, LMI_LINE_BARE, 0, all, used);
    }
    size_t cr = bare_cr(part);
    if (cr < part.len && before + cr + 1 <= max) {
        line->len = before + cr;
        *used = skipped + cr + 1;
        return refuse(l, LMI_LINE_BARE, 0, all, used);
    }
    if (lf < in.len && before + lf <= max && !(lf > 0 ? in.ptr[lf - 1] == '\r' : open_cr)) {
        line->len = before + lf;
        *used = skipped + take;
        return refuse(l, LMI_LINE_BARE, 0, all, used);
    }
    if (before + take > max) {
        size_t keep = max > before ? max - before : 0;
        *used = skipped + keep;
        return refuse(l, LMI_LINE_LONG, keep ? in.ptr[keep - 1] == '\r' : open_cr, all, used);
    }
    if (lf == in.len) {
        if (part.len && !append(l, a, part, max))
            return LMI_LINE_NOMEM;
        *used += take;
        return LMI_LINE_MORE;
    }
    if (before == 0) {
        *line = (lmail_str){in.ptr, lf - 1};
    } else {
        if (!append(l, a, part, max))
            return LMI_LINE_NOMEM;
        *line = (lmail_str){l->buf, l->len - 2};
        l->len = 0; /* the octets stay in buf until the next read */
    }
    *used += take;
    return LMI_LINE_READY;
}
