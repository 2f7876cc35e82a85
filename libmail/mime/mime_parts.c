/* mime_parts.c - finding a section in the tree of parts (RFC 9051 §6.4.5), and the tree as a blob.
 *
 * Called by sessions and stores. The blob's reader trusts nothing: what it returns is a tree whose
 * offsets nest, whatever the octets were. */
#include "mime_internal.h"

#include <string.h>

/* ---- Sections -------------------------------------------------------------------------------- */

/* The n-th child, counted from 1. */
static uint32_t nth_child(const lmail_mime_parts *parts, uint32_t index, uint32_t n)
{
    uint32_t child = parts->part[index].first_child;
    while (child != LMAIL_MIME_NONE && --n > 0)
        child = parts->part[child].next_sibling;
    return child;
}

/* One step down. as_message: the entity stands for the message it begins, so that "1" is its own
 * body when it is no multipart. */
static uint32_t step(const lmail_mime_parts *parts, uint32_t index, int as_message, uint32_t n)
{
    if (!n)
        return LMAIL_MIME_NONE;
    switch (parts->part[index].kind) {
    case LMAIL_MIME_MULTIPART:
        return nth_child(parts, index, n);
    case LMAIL_MIME_MESSAGE:
        if (!as_message)
            return step(parts, parts->part[index].first_child, 1, n);
        break;
    default:
        break;
    }
    return as_message && n == 1 ? index : LMAIL_MIME_NONE;
}

lmail_status lmail_mime_part_find(const lmail_mime_parts *parts, const uint32_t *numbers,
                                  size_t count, lmail_mime_section what, lmail_mime_range *out)
{
    uint32_t index = 0;
    if (!parts->count)
        return LMAIL_ERR_NOTFOUND;
    for (size_t i = 0; i < count; i++) {
        index = step(parts, index, i == 0, numbers[i]);
        if (index == LMAIL_MIME_NONE)
            return LMAIL_ERR_NOTFOUND;
    }
    if (count && (what == LMAIL_MIME_HEADER || what == LMAIL_MIME_TEXT)) {
        if (parts->part[index].kind != LMAIL_MIME_MESSAGE)
            return LMAIL_ERR_NOTFOUND;
        index = parts->part[index].first_child;
    }
    const lmail_mime_part *p = &parts->part[index];
    out->part = index;
    out->begin = p->body_begin;
    out->end = p->body_end;
    if (what == LMAIL_MIME_HEADER || what == LMAIL_MIME_MIME) {
        if (what == LMAIL_MIME_MIME && !count)
            return LMAIL_ERR_NOTFOUND;
        out->begin = p->header_begin;
        out->end = p->body_begin;
    } else if (what == LMAIL_MIME_WHOLE && !count) {
        out->begin = p->header_begin;
    }
    return LMAIL_OK;
}

/* ---- Blob ------------------------------------------------------------------------------------ */

/* Version, number of parts, then for each part: kind, encoding and is_text in one octet; how many
 * parts back its parent is; header begin behind the header begin of the part before; lengths of
 * header and body; lines. Numbers are little-endian base 128. */
#define BLOB_VERSION 1
#define BLOB_PART_MIN 6

static void put_number(lmi_mime_out *o, uint64_t value)
{
    while (value > 127) {
        lmi_mime_put_char(o, (char)(unsigned char)(value | 128));
        value >>= 7;
    }
    lmi_mime_put_char(o, (char)value);
}

static int take_number(lmail_str *in, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; in->len && shift < 63; shift += 7) {
        unsigned char c = (unsigned char)*in->ptr;
        *in = lmi_str_skip(*in, 1);
        *value |= (uint64_t)(c & 127) << shift;
        if (!(c & 128))
            return 1;
    }
    return 0;
}

lmail_status lmail_mime_parts_write(const lmail_mime_parts *parts, char *out, size_t cap,
                                    size_t *made)
{
    lmi_mime_out o;
    uint64_t last = 0;
    lmi_mime_out_fixed(&o, out, cap);
    lmi_mime_put_char(&o, BLOB_VERSION);
    put_number(&o, parts->count);
    for (size_t i = 0; i < parts->count; i++) {
        const lmail_mime_part *p = &parts->part[i];
        lmi_mime_put_char(&o, (char)(p->kind | p->encoding << 2 | p->is_text << 5));
        put_number(&o, i ? i - p->parent : 0);
        put_number(&o, p->header_begin - last);
        put_number(&o, p->body_begin - p->header_begin);
        put_number(&o, p->body_end - p->body_begin);
        put_number(&o, p->body_lines);
        last = p->header_begin;
    }
    *made = o.len;
    return o.len > cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
}

/* Version and count off the front of the blob; 0: damaged. */
static size_t take_count(lmail_str *blob)
{
    uint64_t count;
    if (!blob->len || *blob->ptr != BLOB_VERSION)
        return 0;
    *blob = lmi_str_skip(*blob, 1);
    if (!take_number(blob, &count) || count > blob->len / BLOB_PART_MIN)
        return 0;
    return (size_t)count;
}

size_t lmail_mime_parts_count(lmail_str blob)
{
    return take_count(&blob);
}

/* One part's own numbers; every end is below 2^62, so that sums cannot overflow. */
static int take_part(lmail_str *blob, lmail_mime_part *p, uint64_t last, uint64_t *back)
{
    uint64_t begin, header, body;
    if (!blob->len)
        return 0;
    unsigned char what = (unsigned char)*blob->ptr;
    *blob = lmi_str_skip(*blob, 1);
    if (!take_number(blob, back) || !take_number(blob, &begin) || !take_number(blob, &header) ||
        !take_number(blob, &body) || !take_number(blob, &p->body_lines))
        return 0;
    const uint64_t limit = UINT64_C(1) << 60;
    p->kind = what & 3;
    p->encoding = what >> 2 & 7;
    p->is_text = what >> 5 & 1;
    if (what > 63 || p->kind > LMAIL_MIME_MESSAGE || p->encoding > LMAIL_MIME_ENCODING_UNKNOWN ||
        begin > limit || header > limit || body > limit || last > limit || p->body_lines > body)
        return 0;
    p->header_begin = last + begin;
    p->body_begin = p->header_begin + header;
    p->body_end = p->body_begin + body;
    return 1;
}

/* Hang part `i` on its parent, which must be the part before or one that holds it. */
static int link_part(lmail_mime_part *part, uint32_t i, uint32_t parent)
{
    lmail_mime_part *p = &part[i], *up = &part[parent];
    uint32_t last = i - 1;
    uint32_t sibling = LMAIL_MIME_NONE; /* the child of `parent` before this one */
    while (last != parent) {
        sibling = last;
        last = part[last].parent;
        if (last == LMAIL_MIME_NONE)
            return 0;
    }
    uint64_t from = sibling == LMAIL_MIME_NONE ? up->body_begin : part[sibling].body_end;
    if (up->kind == LMAIL_MIME_LEAF || up->depth >= LMI_MIME_MAX_DEPTH || p->header_begin < from ||
        p->body_end > up->body_end)
        return 0;
    if (sibling == LMAIL_MIME_NONE)
        up->first_child = i;
    else if (up->kind == LMAIL_MIME_MESSAGE)
        return 0;
    else
        part[sibling].next_sibling = i;
    p->parent = parent;
    p->depth = (uint8_t)(up->depth + 1);
    return 1;
}

lmail_status lmail_mime_parts_read(lmail_str blob, lmail_mime_part *part, size_t cap, size_t *count)
{
    size_t n = take_count(&blob);
    *count = 0;
    if (!n || n > UINT32_MAX / 2)
        return LMAIL_ERR_CORRUPT;
    if (n > cap)
        return LMAIL_ERR_LIMIT;
    uint64_t last = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t back;
        memset(&part[i], 0, sizeof part[i]);
        part[i].parent = part[i].first_child = part[i].next_sibling = LMAIL_MIME_NONE;
        if (!take_part(&blob, &part[i], last, &back))
            return LMAIL_ERR_CORRUPT;
        last = part[i].header_begin;
        if (i == 0 ? back != 0 : back < 1 || back > i || !link_part(part, i, i - (uint32_t)back))
            return LMAIL_ERR_CORRUPT;
    }
    for (size_t i = 0; i < n; i++) {
        if (part[i].kind != LMAIL_MIME_LEAF && part[i].first_child == LMAIL_MIME_NONE)
            return LMAIL_ERR_CORRUPT;
    }
    if (blob.len)
        return LMAIL_ERR_CORRUPT;
    *count = n;
    return LMAIL_OK;
}
