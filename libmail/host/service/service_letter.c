/* service_letter.c - a whole message that is changed: its header as a list of fields, and the second
 * spool file that the changes make (DESIGN 5). Its envelope: service_letter_envelope.c.
 *
 * A header is held in memory while it is looked at; a body never is. RFC 5322 §2.2. */
#include "host/service/service_letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 65536u
#define MAX_HEADER (8u << 20)

/* ---- Reading --------------------------------------------------------------------------------- */

static lmail_status make_place(lmi_letter *l)
{
    if (l->count < l->capacity)
        return LMAIL_OK;
    size_t capacity = l->capacity ? l->capacity * 2 : 32;
    lmi_field *p = realloc(l->fields, capacity * sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    l->fields = p;
    l->capacity = capacity;
    return LMAIL_OK;
}

/* The length of a field's name at the begin of a line; 0: it is no field. */
static size_t name_length(const char *line, size_t len, size_t *colon)
{
    size_t n = 0;
    while (n < len && line[n] > ' ' && line[n] <= '~' && line[n] != ':')
        n++;
    *colon = n;
    while (*colon < len && (line[*colon] == ' ' || line[*colon] == '\t'))
        ++*colon; /* RFC 5322 §4.5 */
    return n && *colon < len && line[*colon] == ':' ? n : 0;
}

/* Octets of the line with its end; 0: it has none in here. */
static size_t line_length(const char *p, size_t len)
{
    const char *end = memchr(p, '\n', len);
    return end ? (size_t)(end - p) + 1 : 0;
}

static lmail_status add_field(lmi_letter *l, const char *p, size_t len, unsigned ours)
{
    size_t colon;
    lmail_status st = make_place(l);
    if (st)
        return st;
    lmi_field *f = &l->fields[l->count];
    *f = (lmi_field){malloc(len + 1), len, name_length(p, len, &colon), colon + 1, ours};
    if (!f->text)
        return LMAIL_ERR_NOMEM;
    memcpy(f->text, p, len);
    f->text[len] = '\0';
    l->count++;
    return LMAIL_OK;
}

/* Take whole fields off the front of octets that lie at *at of the message. *over: the header ends
 * in them. all: nothing follows them. */
static lmail_status parse(lmi_letter *l, const char *p, size_t len, uint64_t *at, uint64_t ours,
                          int all, int *over)
{
    size_t done = 0;
    for (;;) {
        size_t colon, n = line_length(p + done, len - done);
        *over = 1;
        if (!n && all && done < len)
            n = len - done; /* the last line has no end */
        if (!n) {
            *over = all;
            break;
        }
        if (p[done] == '\r' || p[done] == '\n') {
            done += n; /* the empty line */
            break;
        }
        if (!name_length(p + done, n, &colon))
            break; /* the body begins without one */
        size_t field = n;
        while (done + field < len && (p[done + field] == ' ' || p[done + field] == '\t')) {
            size_t more = line_length(p + done + field, len - done - field);
            if (!more && !all)
                break;
            field += more ? more : len - done - field;
        }
        if (!all && (done + field == len || p[done + field] == ' ' || p[done + field] == '\t')) {
            *over = 0; /* it may go on in what follows */
            break;
        }
        size_t text = field;
        while (text && (p[done + text - 1] == '\n' || p[done + text - 1] == '\r'))
            text--;
        lmail_status st = add_field(l, p + done, text, *at + done < ours);
        if (st)
            return st;
        done += field;
    }
    *at += done;
    return LMAIL_OK;
}

static lmail_status read_header(lmi_mail *m, lmi_letter *l, uint64_t ours)
{
    size_t cap = PIECE, len = 0, got = 0;
    char *p = malloc(cap);
    int over = 0;
    lmail_status st = p ? LMAIL_OK : LMAIL_ERR_NOMEM;
    l->body = m->header; /* Return-Path stays apart */
    while (!st && !over) {
        if (len == cap) {
            char *more = cap < MAX_HEADER ? realloc(p, cap * 2) : NULL;
            if (!more) {
                st = cap < MAX_HEADER ? LMAIL_ERR_NOMEM : LMAIL_ERR_LIMIT;
                break;
            }
            p = more;
            cap *= 2;
        }
        st = m->store->delivery_read(m->delivery, 0, l->body + len, p + len, cap - len, &got);
        if (st)
            break;
        int all = got < cap - len;
        len += got;
        uint64_t before = l->body;
        st = parse(l, p, len, &l->body, ours, all, &over);
        size_t done = (size_t)(l->body - before);
        memmove(p, p + done, len - done);
        len -= done;
    }
    free(p);
    l->end = m->size;
    return st;
}

lmail_status lmi_letter_read(lmi_mail *m, uint64_t ours)
{
    lmail_status st = lmi_mail_end(m);
    lmi_letter *l = st ? NULL : calloc(1, sizeof *l);
    if (!l)
        return st ? st : LMAIL_ERR_NOMEM;
    st = read_header(m, l, ours);
    if (st)
        lmi_letter_free(m, l);
    else
        m->letter = l;
    return st;
}

void lmi_letter_free(const lmi_mail *m, lmi_letter *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        free(l->fields[i].text);
    for (size_t i = 0; i < l->added_count; i++)
        free(l->added[i]);
    for (size_t i = 0; i < l->deleted_count; i++)
        free(l->deleted[i]);
    for (size_t i = 0; i < l->told_count; i++)
        free(l->told[i].address);
    lmi_letter_drop_body(m, &l->replaced);
    free(l->fields);
    free(l->added);
    free(l->deleted);
    free(l->told);
    free(l->from);
    free(l);
}

/* ---- The header ------------------------------------------------------------------------------ */

lmail_status lmi_letter_insert(lmi_letter *l, size_t at, lmail_str name, lmail_str value)
{
    size_t len = name.len + 1 + value.len;
    if (len > LMI_LETTER_MEMORY - l->memory)
        return LMAIL_ERR_LIMIT;
    lmail_status st = make_place(l);
    char *text = st ? NULL : malloc(len + 1);
    if (!text)
        return LMAIL_ERR_NOMEM;
    memcpy(text, name.ptr, name.len);
    text[name.len] = ':';
    if (value.len)
        memcpy(text + name.len + 1, value.ptr, value.len);
    text[len] = '\0';
    if (at > l->count)
        at = l->count;
    memmove(l->fields + at + 1, l->fields + at, (l->count - at) * sizeof *l->fields);
    l->fields[at] = (lmi_field){text, len, name.len, name.len + 1, 0};
    l->count++;
    l->memory += len;
    l->changed = 1;
    return LMAIL_OK;
}

static int is_named(const lmi_field *f, lmail_str name)
{
    return lmail_str_equal_nocase((lmail_str){f->text, f->name}, name);
}

static size_t find(const lmi_letter *l, size_t index, lmail_str name)
{
    size_t seen = 0, ours = l->count;
    for (size_t i = 0; i < l->count; i++) {
        if (!is_named(&l->fields[i], name))
            continue;
        if (l->fields[i].ours)
            ours = i;
        else if (++seen == (index ? index : 1))
            return i;
    }
    return ours;
}

lmail_status lmi_letter_change(lmi_letter *l, size_t index, lmail_str name, lmail_str value)
{
    size_t at = find(l, index, name);
    if (at == l->count)
        return value.len ? lmi_letter_insert(l, at, name, value) : LMAIL_OK;
    if (value.len) {
        lmail_str same = {l->fields[at].text, l->fields[at].name};
        lmail_status st = lmi_letter_insert(l, at + 1, same, value);
        if (st)
            return st;
        l->fields[at + 1].ours = l->fields[at].ours;
    }
    free(l->fields[at].text);
    l->count--;
    memmove(l->fields + at, l->fields + at + 1, (l->count - at) * sizeof *l->fields);
    l->changed = 1;
    return LMAIL_OK;
}

/* ---- The body -------------------------------------------------------------------------------- */

/* Where octets may come with LF alone: the store makes CRLF of it. */
static lmail_status open_delivery(const lmi_mail *m, lmail_delivery **out)
{
    lmi_mail as = *m;
    as.exact = 0;
    return lmi_mail_new_delivery(&as, out);
}

lmail_status lmi_letter_write_body(const lmi_mail *m, lmi_new_body *b, lmail_str octets)
{
    lmail_status st = b->delivery ? LMAIL_OK : open_delivery(m, &b->delivery);
    return st || !octets.len ? st : m->store->delivery_write(b->delivery, octets);
}

lmail_status lmi_letter_take_body(const lmi_mail *m, lmi_new_body *b)
{
    lmi_letter *l = m->letter;
    lmail_status st = m->store->delivery_end(b->delivery, &b->size);
    if (st)
        return st;
    lmi_letter_drop_body(m, &l->replaced);
    b->ended = 1;
    l->replaced = *b;
    l->changed = 1;
    *b = (lmi_new_body){NULL, 0, 0};
    return LMAIL_OK;
}

void lmi_letter_drop_body(const lmi_mail *m, lmi_new_body *b)
{
    if (b->delivery)
        m->store->delivery_free(b->delivery);
    *b = (lmi_new_body){NULL, 0, 0};
}

lmail_status lmi_letter_read_body(const lmi_mail *m, uint64_t offset, char *buf, size_t cap,
                                  size_t *got)
{
    const lmi_letter *l = m->letter;
    return l->replaced.delivery
               ? m->store->delivery_read(l->replaced.delivery, 0, offset, buf, cap, got)
               : m->store->delivery_read(m->delivery, 0, l->body + offset, buf, cap, got);
}

/* ---- The second file ------------------------------------------------------------------------- */

static lmail_status put(const lmi_mail *m, lmail_delivery *to, lmail_str octets)
{
    return octets.len ? m->store->delivery_write(to, octets) : LMAIL_OK;
}

static lmail_status write_header(const lmi_mail *m, lmail_delivery *to)
{
    const lmi_letter *l = m->letter;
    lmail_status st = put(m, to, LMAIL_STR("Return-Path: <"));
    if (!st)
        st = put(m, to, lmail_str_from(m->from));
    if (!st)
        st = put(m, to, LMAIL_STR(">\r\n"));
    for (size_t i = 0; i < l->count && !st; i++) {
        st = put(m, to, (lmail_str){l->fields[i].text, l->fields[i].len});
        if (!st)
            st = put(m, to, LMAIL_STR("\r\n"));
    }
    return st ? st : put(m, to, LMAIL_STR("\r\n"));
}

static lmail_status write_body(const lmi_mail *m, lmail_delivery *to)
{
    char *piece = malloc(PIECE);
    lmail_status st = piece ? LMAIL_OK : LMAIL_ERR_NOMEM;
    size_t got = PIECE;
    for (uint64_t at = 0; !st && got == PIECE; at += got) {
        st = lmi_letter_read_body(m, at, piece, PIECE, &got);
        if (!st)
            st = put(m, to, (lmail_str){piece, got});
    }
    free(piece);
    return st;
}

static lmail_status write_again(lmi_mail *m)
{
    lmail_delivery *to;
    uint64_t size = 0;
    lmail_status st = open_delivery(m, &to);
    if (!st)
        st = write_header(m, to);
    if (!st)
        st = write_body(m, to);
    if (!st)
        st = m->store->delivery_end(to, &size);
    if (st) {
        if (to)
            m->store->delivery_free(to);
        return st;
    }
    m->store->delivery_free(m->delivery);
    m->delivery = to;
    m->size = size;
    m->header = strlen("Return-Path: <>\r\n") + strlen(m->from);
    return LMAIL_OK;
}

lmail_status lmi_letter_apply(lmi_mail *m)
{
    lmi_letter *l = m->letter;
    lmail_status st = lmi_letter_envelope(m);
    if (!st && l->changed && !m->discard)
        st = write_again(m);
    l->changed = 0;
    return st;
}
