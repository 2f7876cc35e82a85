/* mime_write_content.c - Content-Type and its like with their parameters (RFC 2045 §5.1, RFC 2231).
 *
 * Called by who composes a message. A parameter is written in the plainest of the forms that carries
 * it: token, quoted string, extended and continued. */
#include "mime_write_internal.h"

#include <stdio.h>
#include <string.h>

/* RFC 2231 §7: attribute-char. */
static int is_attribute(unsigned char c)
{
    return c > 32 && c < 127 && !strchr("*'%()<>@,;:\\\"/[]?=", c);
}

static int is_value(lmail_str value)
{
    size_t slash = lmi_str_find(value, '/');
    if (slash == value.len)
        return lmi_mime_is_token(value);
    return lmi_mime_is_token(lmi_str_sub(value, 0, slash)) &&
           lmi_mime_is_token(lmi_str_skip(value, slash + 1));
}

/* TAB, and blanks at the ends, get lost with some readers. */
static int is_quotable(lmail_str value)
{
    if (value.len && (value.ptr[0] == ' ' || value.ptr[value.len - 1] == ' '))
        return 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c < 32 || c > 126)
            return 0;
    }
    return !lmi_mime_needs_words(value, 0);
}

static size_t escapes(lmail_str value)
{
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++)
        n += value.ptr[i] == '"' || value.ptr[i] == '\\';
    return n;
}

static void put_separator(lmail_mime_writer *w, size_t width)
{
    lmi_mime_w_put(w, LMAIL_STR(";"));
    lmi_mime_w_space(w, width);
}

static void put_plain(lmail_mime_writer *w, const lmail_mime_write_param *p, int token)
{
    put_separator(w, p->name.len + 3 + p->value.len + escapes(p->value));
    lmi_mime_w_put(w, p->name);
    lmi_mime_w_put(w, LMAIL_STR("="));
    if (!token)
        lmi_mime_w_put(w, LMAIL_STR("\""));
    for (size_t i = 0; i < p->value.len; i++) {
        if (p->value.ptr[i] == '"' || p->value.ptr[i] == '\\')
            lmi_mime_w_put(w, LMAIL_STR("\\"));
        lmi_mime_w_put(w, lmi_str_sub(p->value, i, 1));
    }
    if (!token)
        lmi_mime_w_put(w, LMAIL_STR("\""));
}

/* The characters off the front of *rest that take at most `room` percent-encoded. */
static size_t percent_some(lmail_str *rest, char *out, size_t room)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t made = 0;
    while (rest->len) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(*rest, &point, &good);
        char some[12];
        size_t width = 0;
        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)rest->ptr[i];
            if (is_attribute(c)) {
                some[width++] = (char)c;
                continue;
            }
            some[width++] = '%';
            some[width++] = digits[c >> 4];
            some[width++] = digits[c & 15];
        }
        if (width > room - made)
            break;
        memcpy(out + made, some, width);
        made += width;
        *rest = lmi_str_skip(*rest, n);
    }
    return made;
}

/* name*=UTF-8''text, or name*0*=UTF-8''text; name*1*=text ... */
static void put_extended(lmail_mime_writer *w, const lmail_mime_write_param *p)
{
    char piece[LMI_MIME_LINE], label[24] = "*=";
    lmail_str rest = p->value;
    const size_t room = LMI_MIME_LINE - 2 - p->name.len - sizeof "*00000*=UTF-8''";
    for (unsigned section = 0; !section || rest.len; section++) {
        size_t made = percent_some(&rest, piece, room);
        if (section || rest.len)
            snprintf(label, sizeof label, "*%u*=", section);
        lmail_str tag = lmail_str_from(label), charset = LMAIL_STR("UTF-8''");
        put_separator(w, p->name.len + tag.len + (section ? 0 : charset.len) + made + 1);
        lmi_mime_w_put(w, p->name);
        lmi_mime_w_put(w, tag);
        if (!section)
            lmi_mime_w_put(w, charset);
        lmi_mime_w_put(w, (lmail_str){piece, made});
    }
}

lmail_status lmail_mime_content_write(lmail_mime_writer *w, lmail_str name, lmail_str value,
                                      const lmail_mime_write_param *params, size_t count)
{
    if (!lmi_mime_is_field_name(name) || !is_value(value))
        return LMAIL_ERR_ARG;
    if (value.len > LMI_MIME_LONGEST)
        return LMAIL_ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        const lmail_mime_write_param *p = &params[i];
        for (size_t k = 0; k < p->name.len; k++)
            if (!is_attribute((unsigned char)p->name.ptr[k]))
                return LMAIL_ERR_ARG;
        if (!p->name.len || p->name.len > 32 || !lmi_mime_is_line(p->value, 1))
            return LMAIL_ERR_ARG;
        /* A continuation has a number of at most five digits here. */
        if (p->value.len > 65536)
            return LMAIL_ERR_LIMIT;
    }
    lmi_mime_w_begin(w, name);
    lmi_mime_w_space(w, value.len + 1);
    lmi_mime_w_put(w, value);
    for (size_t i = 0; i < count; i++) {
        const lmail_mime_write_param *p = &params[i];
        size_t width = p->name.len + 4 + p->value.len + escapes(p->value);
        if (is_quotable(p->value) && width < LMI_MIME_LINE - 1)
            put_plain(w, p, lmi_mime_is_token(p->value));
        else
            put_extended(w, p);
    }
    return lmi_mime_w_end(w);
}

lmail_status lmail_mime_encoding_write(lmail_mime_writer *w, lmail_mime_encoding encoding)
{
    static const char *const names[] = {"7bit", "8bit", "binary", "quoted-printable", "base64"};
    if ((unsigned)encoding >= sizeof names / sizeof *names)
        return LMAIL_ERR_ARG;
    return lmail_mime_value_write(w, LMAIL_STR("Content-Transfer-Encoding"),
                                  lmail_str_from(names[encoding]));
}
