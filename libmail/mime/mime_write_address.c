/* mime_write_address.c - address lists (RFC 5322 §3.4).
 *
 * A display name is a phrase of atoms, a quoted string, or encoded words, which never stand inside
 * quotes (RFC 2047 §5). Called by who composes a message. */
#include "mime_write_internal.h"

#include <string.h>

/* Atoms with single blanks between them. */
static int is_phrase(lmail_str name, unsigned utf8)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c == ' ' && i && i + 1 < name.len && name.ptr[i - 1] != ' ')
            continue;
        if (!lmi_mime_is_atext(c) && !(utf8 && c > 127))
            return 0;
    }
    return name.len > 0;
}

static int is_dot_atom(lmail_str local)
{
    for (size_t i = 0; i < local.len; i++) {
        unsigned char c = (unsigned char)local.ptr[i];
        if (c == '.' && i && i + 1 < local.len && local.ptr[i - 1] != '.')
            continue;
        if (!lmi_mime_is_atext(c) && c <= 127)
            return 0;
    }
    return local.len > 0;
}

/* A name, or an address literal. */
static int is_domain(lmail_str domain)
{
    int literal = domain.len > 2 && domain.ptr[0] == '[' && domain.ptr[domain.len - 1] == ']';
    if (!literal)
        return is_dot_atom(domain);
    for (size_t i = 1; i + 1 < domain.len; i++) {
        unsigned char c = (unsigned char)domain.ptr[i];
        if (c <= 32 || c >= 127 || c == '[' || c == ']' || c == '\\')
            return 0;
    }
    return 1;
}

static void put_quoted(lmail_mime_writer *w, lmail_str text)
{
    lmi_mime_w_put(w, LMAIL_STR("\""));
    for (size_t from = 0; from < text.len;) {
        size_t at = from;
        while (at < text.len && text.ptr[at] != '"' && text.ptr[at] != '\\')
            at++;
        lmi_mime_w_put(w, lmi_str_sub(text, from, at - from));
        if (at < text.len) {
            lmi_mime_w_put(w, LMAIL_STR("\\"));
            lmi_mime_w_put(w, lmi_str_sub(text, at, 1));
            at++;
        }
        from = at;
    }
    lmi_mime_w_put(w, LMAIL_STR("\""));
}

/* With escapes and quotes. */
static size_t quoted_width(lmail_str text)
{
    size_t n = 2 + text.len;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '"' || text.ptr[i] == '\\';
    return n;
}

/* What a line can hold whole stays readable; the rest is encoded, which folds anywhere. */
static void put_name(lmail_mime_writer *w, lmail_str name, size_t behind)
{
    size_t width = quoted_width(name);
    /* With its address where one line takes both. */
    size_t extra = width + behind < LMI_MIME_LINE ? behind : 0;
    /* Readers take white space at the ends of a name for none. */
    int padded = strchr(" \t", name.ptr[0]) || strchr(" \t", name.ptr[name.len - 1]);
    if (lmi_mime_needs_words(name, w->utf8) || width > LMI_MIME_WORD || padded) {
        lmi_mime_w_words(w, name);
    } else if (is_phrase(name, w->utf8)) {
        lmi_mime_w_space(w, name.len + extra);
        lmi_mime_w_put(w, name);
    } else {
        lmi_mime_w_space(w, width + extra);
        put_quoted(w, name);
    }
}

static void put_mailbox(lmail_mime_writer *w, const lmail_mime_mailbox *m, int comma)
{
    int dot_atom = is_dot_atom(m->local);
    size_t width = (dot_atom ? m->local.len : quoted_width(m->local)) + 1 + m->domain.len;
    if (m->name.len)
        put_name(w, m->name, width + 3 + (size_t)comma);
    lmi_mime_w_space(w, width + (m->name.len ? 2 : 0) + (size_t)comma);
    if (m->name.len)
        lmi_mime_w_put(w, LMAIL_STR("<"));
    if (dot_atom)
        lmi_mime_w_put(w, m->local);
    else
        put_quoted(w, m->local);
    lmi_mime_w_put(w, LMAIL_STR("@"));
    lmi_mime_w_put(w, m->domain);
    if (m->name.len)
        lmi_mime_w_put(w, LMAIL_STR(">"));
    if (comma)
        lmi_mime_w_put(w, LMAIL_STR(","));
}

lmail_status lmail_mime_addresses_write(lmail_mime_writer *w, lmail_str name,
                                        const lmail_mime_mailbox *list, size_t count)
{
    if (!lmi_mime_is_field_name(name) || !count)
        return LMAIL_ERR_ARG;
    for (size_t i = 0; i < count; i++) {
        const lmail_mime_mailbox *m = &list[i];
        if (!lmi_mime_is_line(m->name, 1) || !lmi_mime_is_line(m->local, w->utf8) ||
            !lmi_mime_is_line(m->domain, w->utf8) || !m->local.len || !is_domain(m->domain))
            return LMAIL_ERR_ARG;
        if (m->domain.len > LMI_MIME_LONGEST || m->local.len > LMI_MIME_LONGEST ||
            quoted_width(m->local) + m->domain.len > LMI_MIME_LONGEST)
            return LMAIL_ERR_LIMIT;
    }
    lmi_mime_w_begin(w, name);
    for (size_t i = 0; i < count; i++)
        put_mailbox(w, &list[i], i + 1 < count);
    return lmi_mime_w_end(w);
}
