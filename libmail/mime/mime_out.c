/* mime_out.c - where this room writes its texts: a growing buffer with a ceiling, or the caller's.
 *
 * Also the one function that quotes strings for IMAP (RFC 9051 §4.3). Called by every writer of the
 * room; what goes wrong is kept in the buffer and asked for once, at the end. */
#include "mime_internal.h"

#include <string.h>

void lmi_mime_out_init(lmi_mime_out *o, const lmail_alloc *alloc, size_t ceiling)
{
    memset(o, 0, sizeof *o);
    o->alloc = alloc;
    o->ceiling = ceiling;
}

void lmi_mime_out_fixed(lmi_mime_out *o, char *ptr, size_t cap)
{
    memset(o, 0, sizeof *o);
    o->ptr = ptr;
    o->cap = cap;
}

void lmi_mime_out_done(lmi_mime_out *o)
{
    if (o->alloc && o->ptr)
        lmi_free(o->alloc, o->ptr, o->cap);
    o->ptr = NULL;
    o->cap = o->len = 0;
}

char *lmi_mime_room(lmi_mime_out *o, size_t n)
{
    size_t need, cap;
    if (lmail_size_add(o->len, n, &need) || need > o->ceiling) {
        o->failed = 1;
        return NULL;
    }
    if (need > o->cap) {
        cap = o->cap ? o->cap : 256;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        char *ptr = lmi_realloc(o->alloc, o->ptr, o->cap, cap);
        if (!ptr) {
            o->failed = o->nomem = 1;
            return NULL;
        }
        o->ptr = ptr;
        o->cap = cap;
    }
    return o->ptr + o->len;
}

void lmi_mime_put(lmi_mime_out *o, lmail_str text)
{
    if (!text.len || o->failed)
        return;
    if (!o->alloc) {
        if (o->len <= o->cap && text.len <= o->cap - o->len)
            memcpy(o->ptr + o->len, text.ptr, text.len);
        o->len += text.len;
        return;
    }
    char *at = lmi_mime_room(o, text.len);
    if (!at)
        return;
    memcpy(at, text.ptr, text.len);
    o->len += text.len;
}

void lmi_mime_put_char(lmi_mime_out *o, char c)
{
    lmi_mime_put(o, (lmail_str){&c, 1});
}

void lmi_mime_put_u64(lmi_mime_out *o, uint64_t value)
{
    char digits[20];
    size_t n = lmi_write_u64(digits, value);
    lmi_mime_put(o, (lmail_str){digits, n});
}

static void put_literal(lmi_mime_out *o, lmail_str text, size_t nuls)
{
    lmi_mime_put_char(o, '{');
    lmi_mime_put_u64(o, text.len - nuls);
    lmi_mime_put(o, LMAIL_STR("}\r\n"));
    while (text.len) {
        size_t n = lmi_str_find(text, '\0');
        lmi_mime_put(o, lmi_str_sub(text, 0, n));
        text = lmi_str_skip(text, n < text.len ? n + 1 : n);
    }
}

void lmi_mime_put_string(lmi_mime_out *o, lmail_str text)
{
    size_t nuls = 0;
    int plain = 1;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!c)
            nuls++;
        /* quoted = TEXT-CHAR: 7-bit, no CR, LF or NUL; other controls are legal but serve nobody */
        if ((c < 32 && c != '\t') || c > 126)
            plain = 0;
    }
    if (!plain) {
        put_literal(o, text, nuls);
        return;
    }
    lmi_mime_put_char(o, '"');
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\') {
            lmi_mime_put(o, lmi_str_sub(text, from, i - from));
            lmi_mime_put_char(o, '\\');
            from = i;
        }
    }
    lmi_mime_put(o, lmi_str_skip(text, from));
    lmi_mime_put_char(o, '"');
}
