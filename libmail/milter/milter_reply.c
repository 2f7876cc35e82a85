/* milter_reply.c - a reply in the filter's words: "550 5.7.1 text", or several such lines with CRLF
 * between them.
 *
 * RFC 5321 §4.2.1 (form), RFC 3463 (enhanced codes). Only 4xx and 5xx are a filter's to say. "%%" is a
 * percent sign: sendmail puts the text through a formatter, and filters write for it. */
#include "milter/milter_internal.h"

#define MAX_LINES 32u

static unsigned code_of(lmail_str line)
{
    uint32_t code;
    if (line.len < 3 || lmi_parse_u32(lmi_str_sub(line, 0, 3), &code) || code < 400 || code > 599)
        return 0;
    if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
        return 0;
    return code;
}

/* The length of "5.7.1" at the begin of a text, or 0. */
static size_t enhanced_length(lmail_str text, unsigned code)
{
    size_t at = 0;
    for (unsigned part = 0; part < 3; part++) {
        size_t begin = at;
        while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
            at++;
        if (at == begin || at - begin > 3)
            return 0;
        if (part < 2 && (at == text.len || text.ptr[at++] != '.'))
            return 0;
    }
    if (text.ptr[0] != (char)('0' + code / 100) || text.ptr[1] != '.' ||
        (at < text.len && text.ptr[at] != ' '))
        return 0;
    return at;
}

/* In place: "%%" to "%", control octets to "?". */
static lmail_str clean(lmail_str text)
{
    char *p = (char *)text.ptr;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '%' && i + 1 < text.len && text.ptr[i + 1] == '%')
            i++;
        p[n++] = c < ' ' || c == 0x7f ? '?' : (char)c;
    }
    return (lmail_str){p, n};
}

static int read_line(lmail_str line, lmail_milter_verdict_event *ev, lmail_str *out)
{
    unsigned code = code_of(line);
    if (!code || (ev->code && code != ev->code))
        return 0;
    ev->code = code;
    line = lmi_str_skip(line, line.len > 3 ? 4 : 3);
    size_t n = enhanced_length(line, code);
    if (n && !ev->enhanced.len)
        ev->enhanced = (lmail_str){line.ptr, n};
    if (n)
        line = lmi_str_skip(line, n < line.len ? n + 1 : n);
    *out = clean(line);
    return 1;
}

lmail_status lmi_milter_reply(lmail_milter_client *s, lmail_str data)
{
    lmail_str lines[MAX_LINES], text;
    lmail_milter_verdict_event ev = {.says = LMAIL_MILTER_SAYS_REPLY, .lines = lines};
    if (lmi_milter_text(&data, &text) || data.len)
        return lmi_milter_violation(s, "a malformed reply");
    while (text.len || !ev.line_count) {
        size_t n = lmi_str_find(text, '\n');
        lmail_str line = {text.ptr, n};
        text = lmi_str_skip(text, n + 1);
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (ev.line_count == MAX_LINES || !read_line(line, &ev, &lines[ev.line_count]))
            return lmi_milter_violation(s, "a malformed reply");
        ev.line_count++;
    }
    lmi_milter_verdict(s, &ev);
    return LMAIL_OK;
}
