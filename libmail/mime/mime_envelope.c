/* mime_envelope.c - ENVELOPE out of a header (RFC 9051 §7.5.2, RFC 3501 §7.4.2).
 *
 * Called for the message and for each message inside it, and by stores without a cache. Strings
 * keep their encoded words; 8-bit ones become literals, so that the text is valid in every mode. */
#include "mime_internal.h"

#include <string.h>

void lmi_mime_put_value(lmi_mime_out *o, lmail_str raw, lmi_mime_out *scratch)
{
    if (!raw.ptr) {
        lmi_mime_put(o, LMAIL_STR("NIL"));
        return;
    }
    scratch->len = 0;
    char *space = lmi_mime_room(scratch, raw.len + 1);
    if (!space) {
        lmi_mime_put(o, LMAIL_STR("NIL"));
        return;
    }
    lmi_mime_put_string(o, (lmail_str){space, lmail_mime_unfold(raw, space)});
}

static void put_nstring(lmi_mime_out *o, lmail_str text, int there)
{
    if (there)
        lmi_mime_put_string(o, text);
    else
        lmi_mime_put(o, LMAIL_STR("NIL"));
}

/* RFC 9051 §7.5.2: a NIL host marks a group's start, and a NIL mailbox with it the group's end. So an
 * address without a domain has an empty host, not NIL. */
static void put_address(lmi_mime_out *o, const lmail_mime_address *a)
{
    lmi_mime_put_char(o, '(');
    if (a->kind == LMAIL_MIME_GROUP_BEGIN) {
        lmi_mime_put(o, LMAIL_STR("NIL NIL "));
        lmi_mime_put_string(o, a->name);
        lmi_mime_put(o, LMAIL_STR(" NIL"));
    } else if (a->kind == LMAIL_MIME_GROUP_END) {
        lmi_mime_put(o, LMAIL_STR("NIL NIL NIL NIL"));
    } else {
        put_nstring(o, a->name, a->has_name != 0);
        lmi_mime_put_char(o, ' ');
        put_nstring(o, a->route, a->route.len > 0);
        lmi_mime_put_char(o, ' ');
        lmi_mime_put_string(o, a->local);
        lmi_mime_put_char(o, ' ');
        lmi_mime_put_string(o, a->domain);
    }
    lmi_mime_put_char(o, ')');
}

/* All fields of that name make one list (RFC 5322 §4.5). Returns the addresses written. */
static size_t put_list(lmi_mime_out *o, lmail_str block, const char *name, lmi_mime_out *scratch)
{
    lmail_mime_field f;
    size_t count = 0;
    while (lmail_mime_field_next(&block, &f)) {
        if (!lmi_mime_is(f.name, name))
            continue;
        size_t room = 2 * f.value.len + 16;
        scratch->len = 0;
        char *space = lmi_mime_room(scratch, room);
        if (!space)
            break;
        lmail_mime_address_reader r;
        lmail_mime_address a;
        lmail_mime_address_reader_init(&r, f.value, space, room);
        while (lmail_mime_address_next(&r, &a)) {
            if (!count++)
                lmi_mime_put_char(o, '(');
            put_address(o, &a);
        }
    }
    if (count)
        lmi_mime_put_char(o, ')');
    return count;
}

static lmail_str value_of(lmail_str block, const char *name)
{
    lmail_mime_field f;
    if (!lmail_mime_field_find(block, lmail_str_from(name), &f))
        return (lmail_str){NULL, 0};
    return f.value;
}

void lmi_mime_envelope(lmi_mime_out *o, lmail_str block, lmi_mime_out *scratch)
{
    static const char *const lists[] = {"from", "sender", "reply-to", "to", "cc", "bcc"};
    lmi_mime_put_char(o, '(');
    lmi_mime_put_value(o, value_of(block, "date"), scratch);
    lmi_mime_put_char(o, ' ');
    lmi_mime_put_value(o, value_of(block, "subject"), scratch);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        lmi_mime_put_char(o, ' ');
        size_t count = put_list(o, block, lists[i], scratch);
        /* RFC 9051 §7.5.2: an absent or empty Sender or Reply-To is that of From */
        if (!count && (i == 1 || i == 2))
            count = put_list(o, block, "from", scratch);
        if (!count)
            lmi_mime_put(o, LMAIL_STR("NIL"));
    }
    lmi_mime_put_char(o, ' ');
    lmi_mime_put_value(o, value_of(block, "in-reply-to"), scratch);
    lmi_mime_put_char(o, ' ');
    lmi_mime_put_value(o, value_of(block, "message-id"), scratch);
    lmi_mime_put_char(o, ')');
}

lmail_status lmail_mime_envelope_write(const lmail_alloc *alloc, lmail_str header, char *out,
                                       size_t cap, size_t *made)
{
    lmail_alloc a = lmi_alloc_resolve(alloc);
    lmi_mime_out o, scratch;
    lmi_mime_out_fixed(&o, out, cap);
    lmi_mime_out_init(&scratch, &a, SIZE_MAX);
    lmi_mime_envelope(&o, header, &scratch);
    unsigned nomem = scratch.failed;
    lmi_mime_out_done(&scratch);
    *made = o.len;
    if (nomem)
        return LMAIL_ERR_NOMEM;
    return o.len > cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
}
