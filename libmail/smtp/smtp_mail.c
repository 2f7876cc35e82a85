/* smtp_mail.c - MAIL, RCPT and RSET: the envelope.
 *
 * RFC 5321 §4.1.1.2, §4.1.1.3, §4.1.1.5. The line is parsed where it lies; only when it is good is
 * it copied into the question's arena and the slices moved there. */
#include "smtp/smtp_internal.h"

static lmi_smtp_rules rules_of(const lmail_smtp_server *s)
{
    const lmail_smtp_server_config *c = &s->setup->config;
    return (lmi_smtp_rules){s->flags, c->max_path, c->max_local_part};
}

/* "FROM:" or "TO:", then the path; *path begins at it. */
static int behind_keyword(const lmail_smtp_server *s, lmail_str args, lmail_str keyword,
                          lmail_str *path)
{
    if (!lmi_str_has_prefix_nocase(args, keyword))
        return 0;
    *path = lmi_str_skip(args, keyword.len);
    if (s->flags & LMAIL_SMTP_ALLOW_SPACE)
        *path = lmi_smtp_trim(*path);
    return 1;
}

/* What the client wrote for an address, for the reply. */
static lmail_str whole_path(lmail_str args)
{
    size_t end = lmi_str_find(args, '>');
    return lmi_str_sub(args, 0, end < args.len ? end + 1 : end);
}

static void rebase_address(lmail_smtp_address *a, lmail_str from, const char *copy)
{
    lmi_smtp_rebase(&a->text, from, copy);
    lmi_smtp_rebase(&a->local, from, copy);
    lmi_smtp_rebase(&a->domain, from, copy);
}

/* Decode a slice of the question's own copy in place. */
static void decode(lmail_str *slice, char *copy, int unicode)
{
    if (slice->ptr)
        *slice = lmi_smtp_xtext_decode(copy + (slice->ptr - copy), slice->len, unicode);
}

/* ---- MAIL ------------------------------------------------------------------------------------ */

static lmail_smtp_reply_id parse_mail(lmail_smtp_server *s, lmail_str args,
                                      lmail_smtp_mail_event *ev, lmail_str *bad, const char **at)
{
    lmail_str path;
    size_t used;
    lmi_smtp_rules rules = rules_of(s);
    *at = args.ptr;
    if (!behind_keyword(s, args, LMAIL_STR("FROM:"), &path))
        return LMAIL_SMTP_SAY_MAIL_SYNTAX;
    lmail_smtp_reply_id id = lmi_smtp_parse_path(path, &rules, 1, &ev->from, &used);
    if (id)
        *bad = whole_path(path);
    path = lmi_str_skip(path, used);
    *at = path.ptr;
    if (id)
        return id;
    if (path.len && path.ptr[0] != ' ')
        return LMAIL_SMTP_SAY_MAIL_SYNTAX;
    int auth_known = lmi_smtp_mechanisms(s).len || lmi_sasl_identity(&s->sasl).len;
    id = lmi_smtp_mail_params(s, path, ev, bad, auth_known);
    if (bad->ptr)
        *at = bad->ptr;
    if (id)
        return id;
    if ((ev->from.flags & LMAIL_SMTP_ADDRESS_UTF8) && !ev->smtputf8)
        return LMAIL_SMTP_SAY_NEED_SMTPUTF8;
    uint64_t limit = s->setup->config.max_message;
    return ev->declared_size > limit ? LMAIL_SMTP_SAY_SIZE_DECLARED : LMAIL_SMTP_SAY_NONE;
}

LMI_SMTP_CALL(call_mail, on_mail, lmail_smtp_mail_event, LMI_SMTP_ASKED_MAIL);

lmail_status lmi_smtp_do_mail(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    lmail_smtp_mail_event ev = {0};
    lmail_str bad = {NULL, 0}, copy;
    const char *at;
    lmi_question *q;
    (void)verb;
    lmail_smtp_reply_id id = parse_mail(s, args, &ev, &bad, &at);
    if (id)
        return lmi_smtp_refuse(s, id, bad, at);
    s->body_type = (uint8_t)ev.body;
    s->smtputf8 = ev.smtputf8 != 0;
    if (!s->setup->handler.on_mail)
        return lmi_smtp_apply_mail(s, NULL, &lmi_smtp_default);
    lmail_status st = lmi_smtp_ask(s, &ev, sizeof ev, &q);
    if (st || !q)
        return st;
    lmail_smtp_mail_event *kept = q->data;
    if (lmi_arena_copy(&q->arena, args, &copy))
        return lmi_smtp_drop(s, q);
    char *text = (char *)copy.ptr;
    rebase_address(&kept->from, args, text);
    lmi_smtp_rebase(&kept->envid, args, text);
    lmi_smtp_rebase(&kept->auth, args, text);
    decode(&kept->envid, text, 0);
    decode(&kept->auth, text, 0);
    return call_mail(s, q);
}

lmail_status lmi_smtp_apply_mail(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    (void)q;
    if (lmi_smtp_is_yes(r)) {
        s->transaction = 1;
        lmi_smtp_advance(s);
    }
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_MAIL_OK, 0);
}

/* ---- RCPT ------------------------------------------------------------------------------------ */

static lmail_smtp_reply_id parse_rcpt(lmail_smtp_server *s, lmail_str args,
                                      lmail_smtp_rcpt_event *ev, lmail_str *bad, const char **at)
{
    lmail_str path;
    size_t used;
    lmi_smtp_rules rules = rules_of(s);
    uint32_t limit = s->setup->config.max_recipients;
    *at = args.ptr;
    if (!behind_keyword(s, args, LMAIL_STR("TO:"), &path))
        return LMAIL_SMTP_SAY_RCPT_SYNTAX;
    lmail_smtp_reply_id id = lmi_smtp_parse_path(path, &rules, 0, &ev->to, &used);
    if (id)
        *bad = whole_path(path);
    path = lmi_str_skip(path, used);
    *at = path.ptr;
    if (id)
        return id;
    if (path.len && path.ptr[0] != ' ')
        return LMAIL_SMTP_SAY_RCPT_SYNTAX;
    id = lmi_smtp_rcpt_params(s, path, ev, bad);
    if (bad->ptr)
        *at = bad->ptr;
    if (id)
        return id;
    if ((ev->to.flags & LMAIL_SMTP_ADDRESS_UTF8) && !s->smtputf8)
        return LMAIL_SMTP_SAY_NEED_SMTPUTF8;
    return s->recipients >= limit ? LMAIL_SMTP_SAY_TOO_MANY_RCPTS : LMAIL_SMTP_SAY_NONE;
}

LMI_SMTP_CALL(call_rcpt, on_rcpt, lmail_smtp_rcpt_event, LMI_SMTP_ASKED_RCPT);

lmail_status lmi_smtp_do_rcpt(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    lmail_smtp_rcpt_event ev = {0};
    lmail_str bad = {NULL, 0}, copy;
    const char *at;
    lmi_question *q;
    (void)verb;
    lmail_smtp_reply_id id = parse_rcpt(s, args, &ev, &bad, &at);
    if (id) {
        s->rcpt_tried = 1;
        s->recipients_bad++;
        s->counters.refused_recipients++;
        return lmi_smtp_refuse(s, id, bad, at);
    }
    if (!s->setup->handler.on_rcpt)
        return lmi_smtp_apply_rcpt(s, NULL, &lmi_smtp_default);
    ev.index = s->recipients;
    lmail_status st = lmi_smtp_ask(s, &ev, sizeof ev, &q);
    if (st || !q)
        return st;
    lmail_smtp_rcpt_event *kept = q->data;
    if (lmi_arena_copy(&q->arena, args, &copy))
        return lmi_smtp_drop(s, q);
    char *text = (char *)copy.ptr;
    rebase_address(&kept->to, args, text);
    lmi_smtp_rebase(&kept->orcpt_type, args, text);
    lmi_smtp_rebase(&kept->orcpt, args, text);
    decode(&kept->orcpt, text, lmail_str_equal_nocase(ev.orcpt_type, LMAIL_STR("utf-8")));
    return call_rcpt(s, q);
}

lmail_status lmi_smtp_apply_rcpt(lmail_smtp_server *s, const lmi_question *q,
                                 const lmail_smtp_reply *r)
{
    (void)q;
    if (lmi_smtp_is_yes(r)) {
        s->recipients++;
        lmi_smtp_enter(s, LMI_SMTP_RCPT);
    } else {
        s->rcpt_tried = 1;
        s->recipients_bad++;
        s->counters.refused_recipients++;
    }
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_RCPT_OK, 0);
}

/* ---- RSET ------------------------------------------------------------------------------------ */

LMI_SMTP_CALL(call_reset, on_reset, lmail_smtp_state_event, LMI_SMTP_ASKED_RESET);

lmail_status lmi_smtp_do_rset(lmail_smtp_server *s, lmail_str verb, lmail_str args)
{
    lmi_question *q;
    if (args.len)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_NO_ARGUMENT, verb, args.ptr);
    unsigned had = s->transaction;
    lmi_smtp_abandon(s, LMAIL_SMTP_ABANDON_RESET);
    lmi_smtp_enter_idle(s);
    if (!s->setup->handler.on_reset)
        return lmi_smtp_apply_reset(s, NULL, &lmi_smtp_default);
    const lmail_smtp_state_event ev = {had};
    lmail_status st = lmi_smtp_ask(s, &ev, sizeof ev, &q);
    return st || !q ? st : call_reset(s, q);
}

lmail_status lmi_smtp_apply_reset(lmail_smtp_server *s, const lmi_question *q,
                                  const lmail_smtp_reply *r)
{
    (void)q;
    return lmi_smtp_say_host(s, r, LMAIL_SMTP_SAY_RSET_OK, 0);
}
