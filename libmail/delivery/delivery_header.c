/* delivery_header.c - a message's header, rewritten as it streams by.
 *
 * The mime room's filter takes the header apart, the policy room's tables say what an address becomes,
 * and here the two meet: which fields are asked about, what is added, where a changed field is folded.
 * RFC 5322 §2.1.1, §2.2.3, §3.6; RFC 6409 §8. Called by who takes users' messages in and who sends
 * messages out. Never holds more than one field. */
#include <libmail/delivery_header.h>

#include <string.h>

#include "mime/mime_filter.h"

#define MAX_FIELD 65536u
#define MAX_VALUE 900u
#define LINE 78u

struct lmail_delivery_header {
    lmail_delivery_header_config config;
    lmi_mime_filter filter;
    unsigned has_date, has_from, has_id;
    size_t allocated;
    char text[]; /* what is added */
};

LMI_STRUCT_INIT(lmail_delivery_header_config, LMAIL_DELIVERY_HEADER_CONFIG_INIT);

/* ---- Fields ---------------------------------------------------------------------------------- */

static lmi_mime_filter_word on_name(void *ctx, lmail_str name)
{
    lmail_delivery_header *h = ctx;
    h->has_date |= lmail_str_equal_nocase(name, LMAIL_STR("Date")) ? 1u : 0u;
    h->has_from |= lmail_str_equal_nocase(name, LMAIL_STR("From")) ? 1u : 0u;
    h->has_id |= lmail_str_equal_nocase(name, LMAIL_STR("Message-ID")) ? 1u : 0u;
    switch (lmail_policy_header_role(name)) {
    case LMAIL_POLICY_ROLE_NONE:
        return LMI_MIME_PASS;
    case LMAIL_POLICY_ROLE_REMOVED:
        return h->config.remove ? LMI_MIME_DROP : LMI_MIME_PASS;
    default:
        return h->config.tables ? LMI_MIME_GATHER : LMI_MIME_PASS;
    }
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A value that has become longer: lines over 78 octets are folded behind a comma, where there is
 * one. column: octets of the first line in front of it. */
static void put_folded(lmi_mime_filter *f, lmail_str value, size_t column, lmail_str line_end)
{
    size_t from = 0, cut = 0, begin = 0; /* put so far; behind the last comma; begin of the line */
    for (size_t at = 0; at < value.len;) {
        size_t next = lmi_mime_skip_token(value, at);
        char c = value.ptr[at];
        int blank = is_blank(c) || c == '\r' || c == '\n';
        if (!blank && cut > begin && column + (next - begin) > LINE) {
            lmi_mime_filter_put(f, lmi_str_sub(value, from, cut - from));
            lmi_mime_filter_put(f, line_end);
            column = 0;
            if (!is_blank(value.ptr[cut])) {
                lmi_mime_filter_put(f, LMAIL_STR(" "));
                column = 1;
            }
            from = begin = cut;
        }
        if (c == '\n') {
            begin = next;
            column = 0;
        } else if (c == ',') {
            cut = next;
        }
        at = next;
    }
    lmi_mime_filter_put(f, lmi_str_skip(value, from));
}

static int on_field(void *ctx, lmi_mime_filter *f, const lmail_mime_field *field)
{
    lmail_delivery_header *h = ctx;
    const lmail_delivery_header_config *c = &h->config;
    const lmail_policy_role role = lmail_policy_header_role(field->name);
    size_t cap = field->value.len + 512, made;
    char *out = lmi_realloc(&c->alloc, NULL, 0, cap);
    lmail_status st = out ? lmail_policy_tables_rewrite_value(c->tables, role, c->delivery,
                                                              field->value, out, cap, &made)
                          : LMAIL_ERR_NOMEM;
    if (st == LMAIL_ERR_LIMIT && made <= 4 * f->gathered.ceiling) {
        lmi_free(&c->alloc, out, cap);
        cap = made;
        out = lmi_realloc(&c->alloc, NULL, 0, cap);
        st = out ? lmail_policy_tables_rewrite_value(c->tables, role, c->delivery, field->value,
                                                     out, cap, &made)
                 : LMAIL_ERR_NOMEM;
    }
    if (st == LMAIL_ERR_NOMEM)
        f->st = st;
    int differs = !st && !lmail_str_equal((lmail_str){out, made}, field->value);
    if (differs) {
        size_t at = (size_t)(field->value.ptr - field->whole.ptr);
        lmail_str end = lmi_str_skip(field->whole, at + field->value.len);
        lmi_mime_filter_put(f, lmi_str_sub(field->whole, 0, at));
        put_folded(f, (lmail_str){out, made}, at, end.len ? end : LMAIL_STR("\r\n"));
        lmi_mime_filter_put(f, end);
    }
    lmi_free(&c->alloc, out, cap);
    return differs;
}

static void add(lmi_mime_filter *f, lmail_str name, lmail_str value)
{
    lmi_mime_filter_put(f, name);
    lmi_mime_filter_put(f, LMAIL_STR(": "));
    lmi_mime_filter_put(f, value);
    lmi_mime_filter_put(f, LMAIL_STR("\r\n"));
    f->changed = 1;
}

static void add_from(const lmail_delivery_header *h, lmi_mime_filter *f)
{
    char room[MAX_VALUE + 260];
    lmail_str from = h->config.from;
    size_t made;
    if (h->config.tables &&
        !lmail_policy_tables_rewrite(h->config.tables, LMAIL_POLICY_HEADER_SENDER,
                                     h->config.delivery, from, room, sizeof room, &made))
        from = (lmail_str){room, made};
    add(f, LMAIL_STR("From"), from);
}

static void on_end(void *ctx, lmi_mime_filter *f)
{
    lmail_delivery_header *h = ctx;
    if (!h->has_date && h->config.date.len)
        add(f, LMAIL_STR("Date"), h->config.date);
    if (!h->has_from && h->config.from.len)
        add_from(h, f);
    if (!h->has_id && h->config.message_id.len)
        add(f, LMAIL_STR("Message-ID"), h->config.message_id);
}

/* ---- Public ---------------------------------------------------------------------------------- */

static int is_value(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!s.ptr[i] || s.ptr[i] == '\r' || s.ptr[i] == '\n')
            return 0;
    return s.len <= MAX_VALUE;
}

static lmail_str keep(char **at, lmail_str s)
{
    lmail_str copy = {*at, s.len};
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

lmail_status lmail_delivery_header_new(lmail_delivery_header **out,
                                       const lmail_delivery_header_config *config)
{
    lmail_delivery_header_config c;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config))
        return LMAIL_ERR_SIZE;
    if (!c.sink || !is_value(c.date) || !is_value(c.from) || !is_value(c.message_id))
        return LMAIL_ERR_ARG;
    c.alloc = lmi_alloc_resolve(&c.alloc);
    size_t size = sizeof(lmail_delivery_header) + c.date.len + c.from.len + c.message_id.len;
    lmail_delivery_header *h = lmi_zalloc(&c.alloc, size);
    if (!h)
        return LMAIL_ERR_NOMEM;
    char *at = h->text;
    h->allocated = size;
    h->config = c;
    h->config.date = keep(&at, c.date);
    h->config.from = keep(&at, c.from);
    h->config.message_id = keep(&at, c.message_id);
    const lmi_mime_filter_user user = {h, on_name, on_field, on_end, c.sink, c.ctx};
    lmi_mime_filter_init(&h->filter, &user, &h->config.alloc,
                         c.max_field ? c.max_field : MAX_FIELD);
    *out = h;
    return LMAIL_OK;
}

void lmail_delivery_header_free(lmail_delivery_header *h)
{
    if (!h)
        return;
    lmail_alloc alloc = h->config.alloc;
    lmi_mime_filter_done(&h->filter);
    lmi_free(&alloc, h, h->allocated);
}

lmail_status lmail_delivery_header_feed(lmail_delivery_header *h, lmail_str in, size_t *used)
{
    return lmi_mime_filter_feed(&h->filter, in, used);
}

lmail_status lmail_delivery_header_end(lmail_delivery_header *h)
{
    return lmi_mime_filter_end(&h->filter);
}

int lmail_delivery_header_changed(const lmail_delivery_header *h)
{
    return h->filter.changed != 0;
}
