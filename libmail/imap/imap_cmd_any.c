/* imap_cmd_any.c - CAPABILITY, NOOP, CHECK, LOGOUT, ID: commands without a mailbox name.
 *
 * RFC 3501 §6.1 and §6.4.1, RFC 2971. The list of capabilities is written here and nowhere else. */
#include "imap/imap_internal.h"

#include <string.h>

/* ---- CAPABILITY ------------------------------------------------------------------------------ */

static int has_copy(const lmail_imap_server_handler *h)
{
    return h->on_copy != NULL;
}

static int has_expunge(const lmail_imap_server_handler *h)
{
    return h->on_expunge != NULL;
}

static int has_list(const lmail_imap_server_handler *h)
{
    return h->on_list != NULL;
}

static int has_create(const lmail_imap_server_handler *h)
{
    return h->on_create != NULL;
}

static int has_append(const lmail_imap_server_handler *h)
{
    return h->on_append_begin && h->on_append_octets && h->on_append_commit;
}

/* Words that do not depend on the state. `needs` NULL: no callback is needed. */
static const struct {
    uint64_t cap;
    lmail_str word;
    int (*needs)(const lmail_imap_server_handler *h);
} words[] = {
    {LMAIL_IMAP_LITERAL_PLUS, {" LITERAL+", 9}, NULL},
    {LMAIL_IMAP_ID, {" ID", 3}, NULL},
    {LMAIL_IMAP_ENABLE, {" ENABLE", 7}, NULL},
    {LMAIL_IMAP_IDLE, {" IDLE", 5}, NULL},
    {LMAIL_IMAP_NAMESPACE, {" NAMESPACE", 10}, NULL},
    {LMAIL_IMAP_UNSELECT, {" UNSELECT", 9}, NULL},
    {LMAIL_IMAP_UIDPLUS, {" UIDPLUS", 8}, has_expunge},
    {LMAIL_IMAP_MOVE, {" MOVE", 5}, has_copy},
    {LMAIL_IMAP_MULTIAPPEND, {" MULTIAPPEND", 12}, has_append},
    {LMAIL_IMAP_CHILDREN, {" CHILDREN", 9}, has_list},
    {LMAIL_IMAP_SPECIAL_USE, {" SPECIAL-USE", 12}, has_list},
    {LMAIL_IMAP_CREATE_SPECIAL_USE, {" CREATE-SPECIAL-USE", 19}, has_create},
};

static void put_before_login(lmi_imap *s)
{
    if (lmi_imap_has(s, LMAIL_IMAP_STARTTLS) && !s->base.tls_active)
        lmi_imap_put(s, LMAIL_STR(" STARTTLS"));
    if (!lmi_imap_cleartext_ok(s) || !lmi_imap_handler(s)->on_login)
        lmi_imap_put(s, LMAIL_STR(" LOGINDISABLED"));
    if (lmi_imap_has(s, LMAIL_IMAP_SASL_IR))
        lmi_imap_put(s, LMAIL_STR(" SASL-IR"));
    char list[512];
    lmail_str names = lmi_imap_mechanisms(s, list, sizeof list);
    while (names.len) {
        size_t n = lmi_str_find(names, ' ');
        lmi_imap_put(s, LMAIL_STR(" AUTH="));
        lmi_imap_put(s, lmi_str_sub(names, 0, n));
        names = lmi_str_skip(names, n + 1);
    }
}

void lmi_imap_put_capabilities(lmi_imap *s)
{
    lmi_imap_put(s, LMAIL_STR("IMAP4rev1"));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (lmi_imap_has(s, words[i].cap) &&
            (!words[i].needs || words[i].needs(lmi_imap_handler(s))))
            lmi_imap_put(s, words[i].word);
    if (s->state == LMAIL_IMAP_STATE_NOT_AUTHENTICATED)
        put_before_login(s);
}

lmail_status lmi_imap_cmd_capability(lmi_imap *s)
{
    lmail_status st = lmi_imap_end(&s->cmd.args);
    if (st)
        return lmi_imap_finish_parse(s, st);
    lmi_imap_put(s, LMAIL_STR("* CAPABILITY "));
    lmi_imap_put_capabilities(s);
    lmi_imap_put_crlf(s);
    return lmi_imap_finish_ok(s);
}

/* ---- NOOP, CHECK ----------------------------------------------------------------------------- */

static lmail_status polled(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    (void)answer;
    return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
}

static lmail_status poll(lmi_imap *s, unsigned check)
{
    lmail_status st = lmi_imap_end(&s->cmd.args);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (!s->mbox.open || !lmi_imap_handler(s)->on_poll)
        return lmi_imap_finish_ok(s);
    lmail_imap_poll_event ev = {s->mbox.handle, check};
    return lmi_imap_ask_poll(s, &ev, polled);
}

lmail_status lmi_imap_cmd_noop(lmi_imap *s)
{
    return poll(s, 0);
}

lmail_status lmi_imap_cmd_check(lmi_imap *s)
{
    return poll(s, 1);
}

/* ---- LOGOUT ---------------------------------------------------------------------------------- */

lmail_status lmi_imap_cmd_logout(lmi_imap *s)
{
    lmail_status st = lmi_imap_end(&s->cmd.args);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (lmi_imap_handler(s)->on_logout) {
        lmail_imap_logout_event ev = {s->mbox.open ? s->mbox.handle : NULL};
        lmi_callback_begin(&s->base);
        lmi_imap_handler(s)->on_logout(s, s->base.user, &ev);
        lmi_callback_end(&s->base);
    }
    lmi_imap_put_line(s, LMAIL_STR("* BYE Logging out"));
    s->state = LMAIL_IMAP_STATE_LOGOUT;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, LMAIL_STR("logout"));
    lmi_imap_mbox_done(&s->mbox);
    return lmi_imap_finish_ok(s);
}

/* ---- ID -------------------------------------------------------------------------------------- */

#define ID_FIELDS 30u /* RFC 2971 §3.3 */
#define ID_NAME 30u
#define ID_VALUE 1024u

static lmail_status parse_id(lmi_imap_args *a, lmail_imap_id_field *fields, size_t *count)
{
    *count = 0;
    lmail_status st = lmi_imap_sp(a);
    if (st || lmi_imap_skip_word(a, LMAIL_STR("NIL")))
        return st ? st : lmi_imap_end(a);
    st = lmi_imap_char(a, '(');
    if (!st && lmi_imap_skip(a, ')'))
        return lmi_imap_end(a);
    while (!st) {
        lmail_imap_id_field *f = &fields[*count];
        if (*count == ID_FIELDS)
            return LMAIL_ERR_LIMIT;
        st = lmi_imap_string(a, &f->name);
        if (!st)
            st = lmi_imap_sp(a);
        if (!st)
            st = lmi_imap_nstring(a, &f->value);
        if (!st && (f->name.len > ID_NAME || f->value.len > ID_VALUE))
            return LMAIL_ERR_LIMIT;
        ++*count;
        if (st || !lmi_imap_skip(a, ' '))
            break;
    }
    if (!st)
        st = lmi_imap_char(a, ')');
    return st ? st : lmi_imap_end(a);
}

lmail_status lmi_imap_cmd_id(lmi_imap *s)
{
    const lmail_imap_server_config *c = lmi_imap_config(s);
    lmail_status st;
    lmail_imap_id_field *fields = lmi_imap_get(s, ID_FIELDS * sizeof *fields, &st);
    size_t count;
    if (!st)
        st = parse_id(&s->cmd.args, fields, &count);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (lmi_imap_handler(s)->on_id) {
        lmi_callback_begin(&s->base);
        lmi_imap_handler(s)->on_id(s, s->base.user, &(lmail_imap_id_event){fields, count});
        lmi_callback_end(&s->base);
    }
    lmi_imap_put(s, LMAIL_STR("* ID "));
    for (size_t i = 0; i < c->id_count; i++) {
        lmi_imap_put_char(s, i ? ' ' : '(');
        lmi_imap_put_string(s, c->id[i].name);
        lmi_imap_put_char(s, ' ');
        lmi_imap_put_nstring(s, c->id[i].value);
    }
    lmi_imap_put_line(s, c->id_count ? LMAIL_STR(")") : LMAIL_STR("NIL"));
    return lmi_imap_finish_ok(s);
}
