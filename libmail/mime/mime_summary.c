/* mime_summary.c - what a store keeps of a message's own header for SEARCH, SORT and THREAD (RFC
 * 5256, 5957).
 *
 * Called by the parser once, when that header is complete. All is decoded to UTF-8 and unfolded. */
#include "mime_internal.h"

#include <string.h>

enum {
    FROM,
    TO,
    CC,
    BCC,
    SUBJECT,
    SORT_FROM,
    SORT_TO,
    SORT_CC,
    DISPLAY_FROM,
    DISPLAY_TO,
    MESSAGE_ID,
    IN_REPLY_TO,
    REFERENCES
};

void lmi_mime_gather_init(lmi_mime_gather *g, const lmail_alloc *alloc)
{
    lmi_mime_out_init(&g->text, alloc, SIZE_MAX);
    lmi_mime_gather_reset(g);
}

void lmi_mime_gather_done(lmi_mime_gather *g)
{
    lmi_mime_out_done(&g->text);
}

void lmi_mime_gather_reset(lmi_mime_gather *g)
{
    g->text.len = 0;
    g->text.failed = g->text.nomem = 0;
    memset(&g->summary, 0, sizeof g->summary);
    memset(g->at, 0, sizeof g->at);
    memset(g->len, 0, sizeof g->len);
}

/* Decode `raw` to the end of the text. */
static void put_decoded(lmi_mime_gather *g, const lmail_env *env, lmail_str raw)
{
    size_t room = 3 * raw.len + 16;
    char *space = lmi_mime_room(&g->text, room);
    size_t made;
    if (!space)
        return;
    lmail_mime_words_decode(env, raw, space, room, &made);
    g->text.len += made;
}

static void begin(lmi_mime_gather *g, int what)
{
    g->at[what] = g->text.len;
}

static void finish(lmi_mime_gather *g, int what)
{
    g->len[what] = g->text.len - g->at[what];
}

/* All fields of one name, ", " between them. */
static void gather_values(lmi_mime_gather *g, const lmail_env *env, lmail_str block, int what,
                          const char *name)
{
    lmail_mime_field f;
    begin(g, what);
    while (lmail_mime_field_next(&block, &f)) {
        if (!lmi_mime_is(f.name, name))
            continue;
        if (g->text.len > g->at[what])
            lmi_mime_put(&g->text, LMAIL_STR(", "));
        put_decoded(g, env, f.value);
        if (what == SUBJECT)
            break;
    }
    finish(g, what);
}

/* RFC 5957 §3: the name, else the address. */
static void put_display(lmi_mime_gather *g, const lmail_env *env, const lmail_mime_address *a)
{
    if (a->name.len) {
        put_decoded(g, env, a->name);
        return;
    }
    lmi_mime_put(&g->text, a->local);
    if (a->domain.len) {
        lmi_mime_put_char(&g->text, '@');
        lmi_mime_put(&g->text, a->domain);
    }
}

/* The first address's keys; a group counts by its name (RFC 5256 §3 "addr-mailbox of the first
 * address"). */
static void gather_address(lmi_mime_gather *g, const lmail_env *env, lmail_str block,
                           const char *name, int sort, int display, lmi_mime_out *scratch)
{
    lmail_mime_field f;
    lmail_mime_address_reader r;
    lmail_mime_address a;
    if (!lmail_mime_field_find(block, lmail_str_from(name), &f))
        return;
    size_t room = 2 * f.value.len + 16;
    scratch->len = 0;
    char *space = lmi_mime_room(scratch, room);
    if (!space)
        return;
    lmail_mime_address_reader_init(&r, f.value, space, room);
    if (!lmail_mime_address_next(&r, &a))
        return;
    begin(g, sort);
    lmi_mime_put(&g->text, a.kind == LMAIL_MIME_MAILBOX ? a.local : a.name);
    finish(g, sort);
    if (display < 0)
        return;
    begin(g, display);
    put_display(g, env, &a);
    finish(g, display);
}

/* An id as THREAD compares it: no white space, quotes of the local part gone (RFC 5256 §3). */
static void put_id(lmi_mime_gather *g, lmail_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        if (c == '\\' && i + 1 < id.len)
            c = (unsigned char)id.ptr[++i];
        else if (c == '"')
            continue;
        if (c > 32)
            lmi_mime_put_char(&g->text, (char)c);
    }
}

/* More references than this are no thread that anybody reads. */
#define MAX_REFERENCES 1000

static size_t gather_ids(lmi_mime_gather *g, lmail_str block, const char *name, int what,
                         size_t max)
{
    lmail_mime_field f;
    lmail_str id;
    size_t count = 0;
    begin(g, what);
    if (lmail_mime_field_find(block, lmail_str_from(name), &f)) {
        while (count < max && lmail_mime_msgid_next(&f.value, &id)) {
            if (count++)
                lmi_mime_put_char(&g->text, ' ');
            put_id(g, id);
        }
    }
    finish(g, what);
    return count;
}

lmail_status lmi_mime_gather_header(lmi_mime_gather *g, const lmail_env *env, lmail_str block,
                                    lmi_mime_out *scratch)
{
    lmail_mime_summary *s = &g->summary;
    lmail_mime_field f;
    gather_values(g, env, block, FROM, "from");
    gather_values(g, env, block, TO, "to");
    gather_values(g, env, block, CC, "cc");
    gather_values(g, env, block, BCC, "bcc");
    gather_values(g, env, block, SUBJECT, "subject");
    gather_address(g, env, block, "from", SORT_FROM, DISPLAY_FROM, scratch);
    gather_address(g, env, block, "to", SORT_TO, DISPLAY_TO, scratch);
    gather_address(g, env, block, "cc", SORT_CC, -1, scratch);
    gather_ids(g, block, "message-id", MESSAGE_ID, 1);
    gather_ids(g, block, "in-reply-to", IN_REPLY_TO, 1);
    if (!gather_ids(g, block, "references", REFERENCES, MAX_REFERENCES)) {
        g->at[REFERENCES] = g->at[IN_REPLY_TO];
        g->len[REFERENCES] = g->len[IN_REPLY_TO];
    }
    if (lmail_mime_field_find(block, LMAIL_STR("date"), &f))
        s->has_date = lmail_mime_date_parse(f.value, &s->date, &s->date_day, &s->date_zone) == 0;
    return g->text.failed || scratch->failed ? LMAIL_ERR_NOMEM : LMAIL_OK;
}

static lmail_str text_of(const lmi_mime_gather *g, int what)
{
    return (lmail_str){g->text.ptr ? g->text.ptr + g->at[what] : "", g->len[what]};
}

void lmi_mime_gather_finish(lmi_mime_gather *g)
{
    lmail_mime_summary *s = &g->summary;
    s->from = text_of(g, FROM);
    s->to = text_of(g, TO);
    s->cc = text_of(g, CC);
    s->bcc = text_of(g, BCC);
    s->subject = text_of(g, SUBJECT);
    s->sort_from = text_of(g, SORT_FROM);
    s->sort_to = text_of(g, SORT_TO);
    s->sort_cc = text_of(g, SORT_CC);
    s->display_from = text_of(g, DISPLAY_FROM);
    s->display_to = text_of(g, DISPLAY_TO);
    s->message_id = text_of(g, MESSAGE_ID);
    s->in_reply_to = text_of(g, IN_REPLY_TO);
    s->references = text_of(g, REFERENCES);
    s->base_subject = lmail_mime_base_subject(s->subject, &s->is_reply);
}
