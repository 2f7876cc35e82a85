/* mime_bodystructure.c - BODYSTRUCTURE (RFC 9051 §7.5.2, RFC 3501 §7.4.2).
 *
 * What a part's header decides is written when the header ends; sizes come at the end of the
 * message, when the pieces are put together. RFC 2231 continuations are joined; a value with a
 * charset keeps RFC 2231's form and has "*" behind its name, as in the field itself. */
#include "mime_internal.h"

#include <string.h>

static void put_params(lmi_mime_out *o, const lmail_mime_param *param, size_t count,
                       int default_charset)
{
    int charset = 0;
    if (!count && !default_charset) {
        lmi_mime_put(o, LMAIL_STR("NIL"));
        return;
    }
    lmi_mime_put_char(o, '(');
    for (size_t i = 0; i < count; i++) {
        char name[128];
        size_t n = param[i].name.len < sizeof name - 1 ? param[i].name.len : sizeof name - 1;
        memcpy(name, param[i].name.ptr, n);
        if (param[i].extended)
            name[n++] = '*';
        if (i)
            lmi_mime_put_char(o, ' ');
        lmi_mime_put_string(o, (lmail_str){name, n});
        lmi_mime_put_char(o, ' ');
        lmi_mime_put_string(o, param[i].value);
        charset |= lmi_mime_is(param[i].name, "charset");
    }
    if (default_charset && !charset) {
        if (count)
            lmi_mime_put_char(o, ' ');
        lmi_mime_put(o, LMAIL_STR("\"charset\" \"us-ascii\""));
    }
    lmi_mime_put_char(o, ')');
}

/* ("attachment" ("filename" "x")) */
static void put_disposition(lmi_mime_out *o, lmail_str raw, lmi_mime_out *scratch)
{
    lmail_mime_content c = {{NULL, 0}, {NULL, 0}, 0};
    lmail_mime_param param[LMI_MIME_MAX_PARAMS];
    if (raw.ptr) {
        size_t room = 4 * raw.len + 16;
        scratch->len = 0;
        char *space = lmi_mime_room(scratch, room);
        if (space)
            lmail_mime_content_parse(raw, &c, param, LMI_MIME_MAX_PARAMS, space, room);
    }
    if (!c.type.len) {
        lmi_mime_put(o, LMAIL_STR("NIL"));
        return;
    }
    lmi_mime_put_char(o, '(');
    lmi_mime_put_string(o, c.type);
    lmi_mime_put_char(o, ' ');
    put_params(o, param, c.count, 0);
    lmi_mime_put_char(o, ')');
}

/* RFC 3282: tags between commas. One is a string, several a list. */
static void put_language(lmi_mime_out *o, lmail_str raw)
{
    size_t count = 0;
    for (int writing = 0; writing < 2; writing++) {
        size_t n = 0;
        for (size_t at = 0; at < raw.len;) {
            unsigned char c = (unsigned char)raw.ptr[at];
            size_t from = at;
            while (at < raw.len && (unsigned char)raw.ptr[at] > 32 && raw.ptr[at] != ',' &&
                   raw.ptr[at] != '(')
                at++;
            if (at == from) {
                size_t close = c == '(' ? lmi_str_find(lmi_str_skip(raw, at), ')') : 0;
                at += close + 1;
                continue;
            }
            if (writing) {
                if (n)
                    lmi_mime_put_char(o, ' ');
                lmi_mime_put_string(o, lmi_str_sub(raw, from, at - from));
            }
            n++;
        }
        if (!writing)
            lmi_mime_put(o, n == 0 ? LMAIL_STR("NIL") : n > 1 ? LMAIL_STR("(") : LMAIL_STR(""));
        else if (n > 1)
            lmi_mime_put_char(o, ')');
        count = n;
        if (!count)
            break;
    }
}

/* A type that promises parts which we do not show would confuse a client. */
static int is_hidden(const lmi_mime_header *h)
{
    return h->kind == LMAIL_MIME_LEAF &&
           (lmi_mime_is(h->type.type, "multipart") ||
            (lmi_mime_is(h->type.type, "message") &&
             (lmi_mime_is(h->type.subtype, "rfc822") || lmi_mime_is(h->type.subtype, "global"))));
}

void lmi_mime_structure_front(lmi_mime_out *o, const lmi_mime_header *h, lmi_mime_out *scratch)
{
    if (h->kind == LMAIL_MIME_MULTIPART)
        return;
    if (is_hidden(h)) {
        lmi_mime_put(o, LMAIL_STR("\"application\" \"octet-stream\" NIL"));
    } else {
        lmi_mime_put_string(o, h->type.type);
        lmi_mime_put_char(o, ' ');
        lmi_mime_put_string(o, h->type.subtype);
        lmi_mime_put_char(o, ' ');
        put_params(o, h->param, h->type.count, h->is_text != 0);
    }
    lmi_mime_put_char(o, ' ');
    lmi_mime_put_value(o, h->id, scratch);
    lmi_mime_put_char(o, ' ');
    lmi_mime_put_value(o, h->description, scratch);
    lmi_mime_put_char(o, ' ');
    lmi_mime_put_string(o, h->encoding_raw.len ? h->encoding_raw : LMAIL_STR("7bit"));
}

void lmi_mime_structure_back(lmi_mime_out *o, const lmi_mime_header *h, lmi_mime_out *scratch)
{
    if (h->kind == LMAIL_MIME_MULTIPART) {
        lmi_mime_put_string(o, h->type.subtype);
        lmi_mime_put_char(o, ' ');
        put_params(o, h->param, h->type.count, 0);
    } else {
        lmi_mime_put_value(o, h->md5, scratch);
    }
    lmi_mime_put_char(o, ' ');
    put_disposition(o, h->disposition, scratch);
    lmi_mime_put_char(o, ' ');
    put_language(o, h->language);
    lmi_mime_put_char(o, ' ');
    lmi_mime_put_value(o, h->location, scratch);
}

typedef struct assembly {
    lmi_mime_out *o;
    const lmail_mime_part *parts;
    const lmi_mime_texts *texts;
    const char *text;
} assembly;

static void put_piece(const assembly *a, size_t at, size_t len, lmail_str otherwise)
{
    lmi_mime_put(a->o, len ? (lmail_str){a->text + at, len} : otherwise);
}

static lmail_str default_front(const lmail_mime_part *p)
{
    if (p->kind == LMAIL_MIME_MESSAGE)
        return LMAIL_STR("\"message\" \"rfc822\" NIL NIL NIL \"7bit\"");
    if (p->is_text)
        return LMAIL_STR("\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\"");
    return LMAIL_STR("\"application\" \"octet-stream\" NIL NIL NIL \"7bit\"");
}

/* Recursion is as deep as entities nest: LMI_MIME_MAX_DEPTH at most. */
static void put_part(const assembly *a, uint32_t index)
{
    const lmail_mime_part *p = &a->parts[index];
    const lmi_mime_texts *t = &a->texts[index];
    lmi_mime_put_char(a->o, '(');
    if (p->kind == LMAIL_MIME_MULTIPART) {
        for (uint32_t i = p->first_child; i != LMAIL_MIME_NONE; i = a->parts[i].next_sibling)
            put_part(a, i);
        lmi_mime_put_char(a->o, ' ');
        put_piece(a, t->back, t->back_len, LMAIL_STR("\"mixed\" NIL NIL NIL NIL"));
    } else {
        put_piece(a, t->front, t->front_len, default_front(p));
        lmi_mime_put_char(a->o, ' ');
        lmi_mime_put_u64(a->o, p->body_end - p->body_begin);
        lmi_mime_put_char(a->o, ' ');
        if (p->kind == LMAIL_MIME_MESSAGE) {
            const lmi_mime_texts *inner = &a->texts[p->first_child];
            put_piece(a, inner->envelope, inner->envelope_len,
                      LMAIL_STR("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"));
            lmi_mime_put_char(a->o, ' ');
            put_part(a, p->first_child);
            lmi_mime_put_char(a->o, ' ');
        }
        if (p->kind == LMAIL_MIME_MESSAGE || p->is_text) {
            lmi_mime_put_u64(a->o, p->body_lines);
            lmi_mime_put_char(a->o, ' ');
        }
        put_piece(a, t->back, t->back_len, LMAIL_STR("NIL NIL NIL NIL"));
    }
    lmi_mime_put_char(a->o, ')');
}

void lmi_mime_structure(lmi_mime_out *o, const lmail_mime_part *parts, size_t count,
                        const lmi_mime_texts *texts, const char *text)
{
    assembly a = {o, parts, texts, text};
    if (count)
        put_part(&a, 0);
}
