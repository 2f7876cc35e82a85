/* imap_cmd_append.c - APPEND: messages stream from their literals to the host, all kept or none.
 *
 * RFC 3501 §6.3.11, RFC 3502 (several messages), RFC 4315 §3 (APPENDUID), RFC 7889 §4 (TOOBIG). The
 * host is asked for the mailbox before the client is told to send, so a refused message is never
 * sent at all (unless the client does not wait: then its octets are consumed). Memory does not
 * depend on the messages, but for the names of their keywords. */
#include "imap/imap_internal.h"

typedef struct append_data {
    lmail_str mailbox;
    lmi_imap_flags flags;
    unsigned has_date;
    int64_t date;
    int zone;
    lmi_imap_literal literal;
    lmail_str *names; /* of the flags, kept from the buffer that the next part uses */
    size_t messages;
} append_data;

static void refuse_take(lmi_imap *s, lmi_imap_take *take, lmi_imap_kind kind, lmail_imap_code code,
                        lmail_str text)
{
    *take = LMI_TAKE_REFUSED;
    lmi_imap_refuse(s, kind, code, text);
}

/* ---- The host's answers ---------------------------------------------------------------------- */

static void undo(lmi_imap *s)
{
    const append_data *d = s->cmd.data;
    lmail_imap_append_abort_event ev = {d->messages};
    if (!lmi_imap_handler(s)->on_append_abort)
        return;
    lmi_callback_begin(&s->base);
    lmi_imap_handler(s)->on_append_abort(s, s->base.user, &ev);
    lmi_callback_end(&s->base);
}

/* The host's words outlive its answer. */
static lmail_str keep_text(lmi_imap *s, const lmail_imap_result *r)
{
    lmail_str text = {NULL, 0};
    if (r->text.len && lmi_arena_copy(&s->arena, r->text, &text))
        text = (lmail_str){NULL, 0};
    return text;
}

static lmail_imap_code no_code(const lmail_imap_result *r)
{
    /* RFC 3501 §6.3.11: a mailbox that is not there is told as TRYCREATE. */
    return r->code == LMAIL_IMAP_CODE_NONEXISTENT ? LMAIL_IMAP_CODE_TRYCREATE : r->code;
}

static lmail_status ask_message(lmi_imap *s);

static lmail_status begun(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    (void)answer;
    append_data *d = s->cmd.data;
    if (r->no) {
        lmi_imap_stream_refuse(s, &d->literal, LMI_NO, no_code(r), keep_text(s, r));
        return LMAIL_OK;
    }
    s->abort = undo;
    s->step = ask_message;
    return LMAIL_OK;
}

static lmail_status message_begun(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    (void)answer;
    append_data *d = s->cmd.data;
    if (r->no) {
        lmi_imap_stream_refuse(s, &d->literal, LMI_NO, r->code, keep_text(s, r));
        return LMAIL_OK;
    }
    d->messages++;
    lmi_imap_stream_want(s, &d->literal);
    return LMAIL_OK;
}

static lmail_status octets_taken(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    (void)answer;
    if (r->no) {
        lmi_imap_refuse(s, LMI_NO, r->code, keep_text(s, r));
        s->tail_len = 0;
        s->mode = s->left ? LMI_MODE_SKIP : LMI_MODE_DISCARD;
    }
    return LMAIL_OK;
}

static void put_appenduid(lmi_imap *s)
{
    lmi_imap_put(s, LMAIL_STR("[APPENDUID "));
    lmi_imap_put_u64(s, s->cmd.number);
    lmi_imap_put_char(s, ' ');
    lmi_imap_put_set(s, lmail_uid_list_set(&s->mbox.arg));
    lmi_imap_put(s, LMAIL_STR("] "));
}

static lmail_status committed(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_append_answer *a = answer;
    if (!r->no && a->uids.count && lmi_imap_has(s, LMAIL_IMAP_UIDPLUS)) {
        lmi_set_clear(&s->mbox.arg);
        lmail_status st = lmi_set_add(&s->mbox.arg, a->uids);
        if (st == LMAIL_ERR_NOMEM)
            return st;
        s->cmd.number = a->uidvalidity;
        if (!st)
            s->cmd.put_code = put_appenduid;
    }
    lmail_imap_result told = *r;
    told.code = no_code(r);
    return lmi_imap_finish_result(s, &told, LMAIL_IMAP_CODE_NONE);
}

/* ---- The questions --------------------------------------------------------------------------- */

static lmail_status ask_begin(lmi_imap *s)
{
    append_data *d = s->cmd.data;
    lmail_imap_append_begin_event ev = {d->mailbox, d->literal.octets};
    s->step = NULL;
    return lmi_imap_ask_append_begin(s, &ev, begun);
}

static lmail_status ask_message(lmi_imap *s)
{
    append_data *d = s->cmd.data;
    lmail_imap_append_message_event ev = {.flags = d->flags.system,
                                          .keywords = {d->flags.names, d->flags.count},
                                          .has_date = d->has_date,
                                          .binary = d->literal.binary,
                                          .date = d->date,
                                          .date_zone = d->zone,
                                          .octets = d->literal.octets};
    lmail_imap_result none = LMAIL_IMAP_RESULT_INIT;
    s->step = NULL;
    if (!lmi_imap_handler(s)->on_append_message)
        return message_begun(s, NULL, &none);
    return lmi_imap_ask_append_message(s, &ev, message_begun);
}

static lmail_status octets(lmi_imap *s, lmail_str part)
{
    lmail_imap_append_octets_event ev = {part, s->left == 0};
    return lmi_imap_ask_append_octets(s, &ev, octets_taken);
}

static lmail_status ask_commit(lmi_imap *s)
{
    append_data *d = s->cmd.data;
    lmail_imap_append_commit_event ev = {d->mailbox, d->messages};
    s->step = NULL;
    s->abort = NULL; /* from here the host knows how it ends */
    return lmi_imap_ask_append_commit(s, &ev, committed);
}

/* ---- The command ----------------------------------------------------------------------------- */

/* SP mailbox, in front of the first message. *other: the literal is not the message, but the
 * mailbox's name. */
static lmail_status parse_mailbox(lmi_imap_args *a, append_data *d, size_t literal_at, int *other)
{
    lmail_status st = lmi_imap_sp(a);
    *other = !st && a->at == literal_at;
    return st || *other ? st : lmi_imap_mailbox(a, &d->mailbox);
}

/* append-message = [SP flag-list] [SP date-time] SP literal; up to the literal. */
static lmail_status parse_message(lmi_imap_args *a, append_data *d, size_t literal_at)
{
    lmail_status st = lmi_imap_sp(a);
    d->flags = (lmi_imap_flags){0};
    d->has_date = 0;
    d->date = d->zone = 0;
    if (!st && lmi_imap_peek(a) == '(') {
        st = lmi_imap_flag_list(a, 0, &d->flags);
        if (!st)
            st = lmi_imap_sp(a);
    }
    if (!st && lmi_imap_peek(a) == '"') {
        d->has_date = 1;
        st = lmi_imap_date_time(a, &d->date, &d->zone);
        if (!st)
            st = lmi_imap_sp(a);
    }
    return !st && a->at != literal_at ? lmi_imap_expected(a, "a literal") : st;
}

/* The text's buffer is used again for what follows the message: keep what points into it. */
static lmail_status keep_names(lmi_imap *s, append_data *d)
{
    for (size_t i = 0; i < d->flags.count; i++) {
        lmail_status st = lmi_arena_copy(&s->arena, d->flags.names[i], &d->flags.names[i]);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

lmail_status lmi_imap_append_literal(lmi_imap *s, const lmi_imap_literal *l, lmi_imap_take *take)
{
    const lmail_imap_server_handler *h = lmi_imap_handler(s);
    lmi_imap_args a;
    lmail_status st;
    int other = 0;
    append_data *d = s->cmd.data;
    int first = !d;
    if (!first && !lmi_imap_has(s, LMAIL_IMAP_MULTIAPPEND)) {
        refuse_take(s, take, LMI_BAD, LMAIL_IMAP_CODE_NONE,
                    LMAIL_STR("Only one message can be appended at a time"));
        return LMAIL_OK;
    }
    st = LMAIL_OK;
    if (first)
        d = lmi_imap_get(s, sizeof *d, &st);
    lmi_imap_args_init(&a, (lmail_str){s->text + s->cmd.args_at, s->text_len - s->cmd.args_at},
                       &s->arena, lmi_imap_config(s));
    if (!st && first)
        st = parse_mailbox(&a, d, l->at - s->cmd.args_at, &other);
    if (!st && !other)
        st = parse_message(&a, d, l->at - s->cmd.args_at);
    if (!st && !other)
        st = keep_names(s, d);
    if (st == LMAIL_ERR_NOMEM || (!st && other))
        return st;
    if (st == LMAIL_ERR_LIMIT)
        refuse_take(s, take, LMI_NO, LMAIL_IMAP_CODE_LIMIT, LMAIL_STR("An argument is too long"));
    else if (st || l->binary)
        refuse_take(s, take, LMI_BAD, LMAIL_IMAP_CODE_NONE,
                    LMAIL_STR("Expected a mailbox, flags, a date and a literal"));
    else if (!h->on_append_begin || !h->on_append_octets || !h->on_append_commit)
        refuse_take(s, take, LMI_NO, LMAIL_IMAP_CODE_CANNOT, LMAIL_STR("APPEND is not possible"));
    else if (l->octets > lmi_imap_config(s)->max_append)
        refuse_take(s, take, LMI_NO, LMAIL_IMAP_CODE_TOOBIG, LMAIL_STR("Message is too large"));
    else if (!l->octets)
        refuse_take(s, take, LMI_NO, LMAIL_IMAP_CODE_CANNOT,
                    LMAIL_STR("A message has at least one octet"));
    if (*take == LMI_TAKE_REFUSED)
        return LMAIL_OK;
    d->literal = *l;
    s->cmd.data = d;
    s->cmd.running = 1;
    s->stream_octets = octets;
    s->step = first ? ask_begin : ask_message;
    *take = LMI_TAKE_STREAM;
    return LMAIL_OK;
}

/* What follows the last message has been read: nothing. */
lmail_status lmi_imap_cmd_append(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    if (!s->cmd.data)
        return lmi_imap_finish(s, LMI_BAD, LMAIL_IMAP_CODE_NONE,
                               LMAIL_STR("Expected a mailbox and a literal"));
    lmail_status st = lmi_imap_end(a);
    if (st)
        return lmi_imap_finish_parse(s, st);
    s->step = ask_commit;
    return LMAIL_OK;
}
