/* mime_fields.c - the fields of a header block (RFC 5322 §2.2), and IMAP's HEADER.FIELDS filter.
 *
 * Called by everybody who reads a header. Works on slices; never copies but to unfold. */
#include "mime_internal.h"

#include <string.h>

static int is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* The first line of `s`, its line end included. */
static lmail_str first_line(lmail_str s)
{
    const char *lf = s.len ? memchr(s.ptr, '\n', s.len) : NULL;
    return lf ? (lmail_str){s.ptr, (size_t)(lf - s.ptr) + 1} : s;
}

static lmail_str without_line_end(lmail_str s)
{
    if (s.len && s.ptr[s.len - 1] == '\n') {
        s.len--;
        if (s.len && s.ptr[s.len - 1] == '\r')
            s.len--;
    }
    return s;
}

/* ftext is 33..126 without ":" (RFC 5322 §3.6.8); 8-bit octets are let through. */
static int is_name(lmail_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= 32 || c == 127)
            return 0;
    }
    return name.len > 0;
}

int lmail_mime_field_next(lmail_str *block, lmail_mime_field *out)
{
    while (block->len) {
        lmail_str line = first_line(*block);
        if (!without_line_end(line).len)
            break;
        lmail_str whole = line;
        lmail_str rest = lmi_str_skip(*block, line.len);
        while (rest.len && is_wsp(*rest.ptr)) {
            size_t n = first_line(rest).len;
            whole.len += n;
            rest = lmi_str_skip(rest, n);
        }
        *block = rest;
        size_t colon = lmi_str_find(line, ':');
        if (colon == line.len)
            continue;
        out->name = lmi_str_sub(line, 0, colon);
        while (out->name.len && is_wsp(out->name.ptr[out->name.len - 1])) /* RFC 5322 §4.5 */
            out->name.len--;
        if (!is_name(out->name))
            continue;
        out->whole = whole;
        out->value = without_line_end(lmi_str_skip(whole, colon + 1));
        return 1;
    }
    block->len = 0;
    return 0;
}

int lmail_mime_field_find(lmail_str block, lmail_str name, lmail_mime_field *out)
{
    while (lmail_mime_field_next(&block, out)) {
        if (lmail_str_equal_nocase(out->name, name))
            return 1;
    }
    return 0;
}

size_t lmail_mime_unfold(lmail_str in, char *out)
{
    while (in.len && (is_wsp(*in.ptr) || *in.ptr == '\r' || *in.ptr == '\n'))
        in = lmi_str_skip(in, 1);
    size_t made = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c != '\r' && c != '\n')
            out[made++] = c;
    }
    while (made && is_wsp(out[made - 1]))
        made--;
    return made;
}

lmail_status lmail_mime_fields_filter(lmail_str block, const lmail_str *names, size_t count,
                                      int exclude, char *out, size_t cap, size_t *made)
{
    lmi_mime_out o;
    lmail_mime_field f;
    lmi_mime_out_fixed(&o, out, cap);
    while (lmail_mime_field_next(&block, &f)) {
        size_t i = 0;
        while (i < count && !lmail_str_equal_nocase(f.name, names[i]))
            i++;
        if ((i < count) == !exclude) {
            lmi_mime_put(&o, f.whole);
            /* a header cut off within its last line */
            if (f.whole.ptr[f.whole.len - 1] != '\n')
                lmi_mime_put(&o, LMAIL_STR("\r\n"));
        }
    }
    lmi_mime_put(&o, LMAIL_STR("\r\n"));
    *made = o.len;
    return o.len > cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
}
