/* mime_header.c - what a header says about its body: type, encoding, boundary (RFC 2045, 2046,
 * 2183).
 *
 * Called by the parser at the end of each header. Whatever is missing or broken gets RFC 2045
 * §5.2's default, so that every entity has a type. */
#include "mime_internal.h"

#include <string.h>

int lmi_mime_is(lmail_str value, const char *lower)
{
    return lmail_str_equal_nocase(value, lmail_str_from(lower));
}

/* The first word of a value, comments passed over. */
static lmail_str first_word(lmail_str s)
{
    size_t at = 0, depth = 0;
    for (; at < s.len; at++) {
        char c = s.ptr[at];
        if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '"')
            break;
    }
    size_t end = at;
    while (end < s.len && (unsigned char)s.ptr[end] > 32 && s.ptr[end] != ';' &&
           s.ptr[end] != '(' && s.ptr[end] != '"')
        end++;
    return lmi_str_sub(s, at, end - at);
}

static lmail_mime_encoding encoding_of(lmail_str raw)
{
    static const struct {
        const char *name;
        lmail_mime_encoding encoding;
    } known[] = {
        {"7bit", LMAIL_MIME_7BIT},     {"8bit", LMAIL_MIME_8BIT},
        {"binary", LMAIL_MIME_BINARY}, {"quoted-printable", LMAIL_MIME_QUOTED_PRINTABLE},
        {"base64", LMAIL_MIME_BASE64},
    };
    if (!raw.len)
        return LMAIL_MIME_7BIT;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (lmi_mime_is(raw, known[i].name))
            return known[i].encoding;
    }
    return LMAIL_MIME_ENCODING_UNKNOWN;
}

static void set_type(lmi_mime_header *h, const char *type, const char *subtype)
{
    h->type.type = lmail_str_from(type);
    h->type.subtype = lmail_str_from(subtype);
}

/* RFC 2045 §5.2; and the types that early MIME allowed without a subtype. */
static void default_type(lmi_mime_header *h, int present, unsigned in_digest)
{
    lmail_str type = h->type.type;
    if (type.len && h->type.subtype.len)
        return;
    if (!present && in_digest)
        set_type(h, "message", "rfc822");
    else if (!type.len || lmi_mime_is(type, "text"))
        set_type(h, "text", "plain");
    else if (lmi_mime_is(type, "multipart"))
        set_type(h, "multipart", "mixed");
    else
        set_type(h, "application", "octet-stream");
}

static void read_params(lmi_mime_header *h)
{
    for (size_t i = 0; i < h->type.count; i++) {
        if (lmi_mime_is(h->param[i].name, "charset") && !h->param[i].extended)
            h->charset = h->param[i].value;
        if (lmi_mime_is(h->param[i].name, "boundary"))
            h->boundary = h->param[i].value;
    }
    /* RFC 2046 §5.1.1: a boundary does not end in white space */
    while (h->boundary.len && (unsigned char)h->boundary.ptr[h->boundary.len - 1] <= 32)
        h->boundary.len--;
    if (h->boundary.len > LMI_MIME_MAX_BOUNDARY)
        h->boundary.len = LMI_MIME_MAX_BOUNDARY;
}

static void set_kind(lmi_mime_header *h)
{
    h->is_text = (unsigned)lmi_mime_is(h->type.type, "text");
    h->is_html = h->is_text && lmi_mime_is(h->type.subtype, "html");
    if (lmi_mime_is(h->type.type, "multipart")) {
        h->kind = LMAIL_MIME_MULTIPART;
        h->is_digest = (unsigned)lmi_mime_is(h->type.subtype, "digest");
    } else if (lmi_mime_is(h->type.type, "message") &&
               (lmi_mime_is(h->type.subtype, "rfc822") || lmi_mime_is(h->type.subtype, "global"))) {
        h->kind = LMAIL_MIME_MESSAGE;
    }
}

/* Remember a field's value when it is the first of its name; an empty one is there, too. */
static void keep(lmail_str *slot, lmail_str value)
{
    if (!slot->ptr)
        *slot = (lmail_str){value.ptr ? value.ptr : "", value.len};
}

lmail_status lmi_mime_header_read(lmi_mime_header *h, lmail_str block, unsigned in_digest,
                                  lmi_mime_out *scratch)
{
    static const char prefix[] = "content-";
    lmail_mime_field f;
    lmail_str type = {NULL, 0}, encoding = {NULL, 0};
    memset(h, 0, sizeof *h);
    while (lmail_mime_field_next(&block, &f)) {
        if (!lmi_str_has_prefix_nocase(f.name, (lmail_str){prefix, sizeof prefix - 1}))
            continue;
        lmail_str name = lmi_str_skip(f.name, sizeof prefix - 1);
        if (lmi_mime_is(name, "type"))
            keep(&type, f.value);
        else if (lmi_mime_is(name, "transfer-encoding"))
            keep(&encoding, f.value);
        else if (lmi_mime_is(name, "disposition"))
            keep(&h->disposition, f.value);
        else if (lmi_mime_is(name, "id"))
            keep(&h->id, f.value);
        else if (lmi_mime_is(name, "description"))
            keep(&h->description, f.value);
        else if (lmi_mime_is(name, "md5"))
            keep(&h->md5, f.value);
        else if (lmi_mime_is(name, "language"))
            keep(&h->language, f.value);
        else if (lmi_mime_is(name, "location"))
            keep(&h->location, f.value);
    }
    scratch->len = 0;
    if (type.ptr) {
        size_t room = 4 * type.len + 16;
        char *space = lmi_mime_room(scratch, room);
        if (!space)
            return LMAIL_ERR_NOMEM;
        lmail_mime_content_parse(type, &h->type, h->param, LMI_MIME_MAX_PARAMS, space, room);
    }
    default_type(h, type.ptr != NULL, in_digest);
    read_params(h);
    set_kind(h);
    h->encoding_raw = first_word(encoding);
    h->encoding = encoding_of(h->encoding_raw);
    h->is_attachment = (unsigned)lmi_mime_is(first_word(h->disposition), "attachment");
    return LMAIL_OK;
}
