/* smtp_scan.c - the octets of a message: where it ends, what is stuffed, what breaks a rule.
 *
 * RFC 5321 §4.5.2 (dots), §2.3.8 and §4.1.1.4 (only CR LF . CR LF ends DATA: a receiver that also
 * takes a bare LF or CR lets messages be smuggled past its neighbours). Offenders are marked and
 * the scan goes on to the real end, so that nothing of a message is ever read as a command. Never
 * copies: it says which octets of the input belong to the message. */
#include "smtp/smtp_internal.h"

#include <string.h>

void lmi_smtp_scan_begin(lmi_smtp_scan *c, int dots)
{
    memset(c, 0, sizeof *c);
    c->place = LMI_SMTP_AT_LINE;
    c->dots = dots != 0;
    c->in_header = 1;
    c->line_empty = 1;
}

/* A line ended properly. */
static void line_done(lmi_smtp_scan *c)
{
    c->lines++;
    if (c->in_header) {
        c->header_lines++;
        if (c->line_empty)
            c->in_header = 0;
    }
    c->line_empty = 1;
    c->place = LMI_SMTP_AT_LINE;
}

static void count(lmi_smtp_scan *c, size_t n)
{
    c->octets += n;
    if (c->in_header)
        c->header += n;
}

/* Whole lines and the begin of the next, up to a dot at a line's begin. Returns octets taken. */
static size_t plain(lmi_smtp_scan *c, lmail_str in)
{
    size_t at = 0;
    while (at < in.len) {
        if (c->place == LMI_SMTP_AT_CR) {
            if (in.ptr[at] == '\n') {
                count(c, 1);
                at++;
                line_done(c);
                continue;
            }
            c->bare = 1;
            c->line_empty = 0;
            c->place = LMI_SMTP_IN_LINE;
        }
        if (c->place == LMI_SMTP_AT_LINE && c->dots && in.ptr[at] == '.')
            break;
        const char *begin = in.ptr + at;
        const char *lf = memchr(begin, '\n', in.len - at);
        size_t len = lf ? (size_t)(lf - begin) : in.len - at; /* without the LF */
        const char *cr = memchr(begin, '\r', len);
        if (!cr) {
            if (len)
                c->line_empty = 0;
            c->place = len || c->place == LMI_SMTP_IN_LINE ? LMI_SMTP_IN_LINE : LMI_SMTP_AT_LINE;
            if (lf) { /* an LF alone ends no line */
                c->bare = 1;
                c->line_empty = 0;
                c->place = LMI_SMTP_IN_LINE;
                len++;
            }
            count(c, len);
            at += len;
            continue;
        }
        size_t before = (size_t)(cr - begin);
        if (before)
            c->line_empty = 0;
        count(c, before + 1);
        at += before + 1;
        c->place = LMI_SMTP_AT_CR;
    }
    return at;
}

int lmi_smtp_scan_octets(lmi_smtp_scan *c, lmail_str in, size_t *from, size_t *len, size_t *used)
{
    size_t at = 0;
    *from = *len = *used = 0;
    if (in.len == 0)
        return 0;
    if (c->place == LMI_SMTP_AT_LINE && c->dots && in.ptr[0] == '.') {
        c->place = LMI_SMTP_AT_DOT;
        at = 1;
    }
    if (c->place == LMI_SMTP_AT_DOT && at < in.len) {
        if (in.ptr[at] == '\r') {
            c->place = LMI_SMTP_AT_DOT_CR;
            at++;
        } else {
            c->place = LMI_SMTP_IN_LINE; /* the dot was stuffed: it is dropped */
            c->line_empty = 0;
        }
    }
    if (c->place == LMI_SMTP_AT_DOT_CR && at < in.len) {
        if (in.ptr[at] == '\n') {
            *used = at + 1;
            return 1;
        }
        /* CR alone behind a dot: the message is refused, its octets do not matter any more. */
        c->bare = 1;
        c->line_empty = 0;
        c->place = LMI_SMTP_IN_LINE;
    }
    if (c->place != LMI_SMTP_AT_DOT && c->place != LMI_SMTP_AT_DOT_CR && at < in.len) {
        *from = at;
        *len = plain(c, lmi_str_skip(in, at));
        if (*len && !c->nul && memchr(in.ptr + at, 0, *len))
            c->nul = 1;
        at += *len;
    }
    *used = at;
    return 0;
}
