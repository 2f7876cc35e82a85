/* service_milter_message.c - a whole message before the filters, one after the other: its header fields,
 * the end of the header, the body in pieces from the spool, the end; and what each filter changes.
 *
 * Changes wait until the filter has said that the message may go on: one that fails, or refuses, leaves
 * nothing behind. The next filter sees the message as it is then. A body's pieces, both ways, pass
 * through a worker, one at a time. */
#include "host/service/service_milter.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER, EOH, BODY, END, TAKING };

/* ---- Jobs ------------------------------------------------------------------------------------ */

typedef struct letter_job {
    lmi_job base;
    lmi_filters *set;
    lmi_filter *filter;
    lmi_mail *mail;
    lmail_ticket change; /* of the filter's question */
    lmail_str octets;
    size_t got;
} letter_job;

lmail_status lmi_filters_job(lmi_filters *f, size_t size, void (*work)(lmi_job *),
                             void (*finish)(lmi_job *), lmi_job **out)
{
    *out = lmi_job_new(size, &f->peer->base, f->ticket, work, finish);
    if (!*out)
        return LMAIL_ERR_NOMEM;
    f->jobs++;
    f->open++;
    return LMAIL_OK;
}

static letter_job *new_job(lmi_filters *f, lmi_filter *x, void (*work)(lmi_job *),
                           void (*finish)(lmi_job *))
{
    lmi_job *job;
    if (lmi_filters_job(f, sizeof(letter_job), work, finish, &job))
        return NULL;
    letter_job *j = (letter_job *)job;
    j->set = f;
    j->filter = x;
    j->mail = f->peer->mail;
    return j;
}

static void job_home(lmi_filters *f)
{
    f->jobs--;
    lmi_filters_let_go(f);
}

/* ---- What a filter changes ------------------------------------------------------------------- */

static void drop_changes(lmi_filters *f)
{
    while (f->changes) {
        lmi_milter_change *next = f->changes->next;
        free(f->changes);
        f->changes = next;
    }
    f->changes_end = &f->changes;
    f->changes_size = 0;
    f->change_count = 0;
}

static lmail_status keep_change(lmi_filters *f, const lmail_milter_change_event *ev)
{
    size_t size = sizeof(lmi_milter_change) + ev->name.len + ev->value.len;
    if (size > LMI_LETTER_MEMORY - f->changes_size)
        return LMAIL_ERR_LIMIT;
    lmi_milter_change *c = malloc(size);
    if (!c)
        return LMAIL_ERR_NOMEM;
    char *at = (char *)(c + 1);
    *c = (lmi_milter_change){NULL, ev->kind, ev->index, {at, ev->name.len}, {NULL, ev->value.len}};
    if (ev->name.len)
        memcpy(at, ev->name.ptr, ev->name.len);
    at += ev->name.len;
    c->value.ptr = at;
    if (ev->value.len)
        memcpy(at, ev->value.ptr, ev->value.len);
    *f->changes_end = c;
    f->changes_end = &c->next;
    f->changes_size += size;
    f->change_count++;
    return LMAIL_OK;
}

static void write_piece(lmi_job *base)
{
    letter_job *j = (letter_job *)base;
    base->status = lmi_letter_write_body(j->mail, &j->set->body, j->octets);
}

static void piece_written(lmi_job *base)
{
    letter_job *j = (letter_job *)base;
    lmail_milter_change_answer a = LMAIL_MILTER_CHANGE_ANSWER_INIT;
    a.failed = base->status != LMAIL_OK;
    if (j->filter->client) {
        (void)lmail_milter_client_answer_change(j->filter->client, j->change, &a,
                                                lmail_loop_now(j->set->loop));
        lmail_conn_wake(j->filter->conn);
    }
    job_home(j->set);
}

lmail_status lmi_filter_changed(lmail_milter_client *s, void *user, lmail_ticket t,
                                const lmail_milter_change_event *ev,
                                lmail_milter_change_answer *answer)
{
    lmi_filter *x = user;
    lmi_filters *f = x->set;
    (void)s;
    (void)answer;
    if (!f->peer || !f->peer->mail || !f->peer->mail->letter || f->cancelled)
        return LMAIL_ERR_STATE;
    if (ev->kind != LMAIL_MILTER_CHANGE_BODY)
        return keep_change(f, ev);
    letter_job *j = new_job(f, x, write_piece, piece_written);
    if (!j)
        return LMAIL_ERR_NOMEM;
    j->change = t;
    j->octets = ev->value;
    f->change_count++;
    return lmi_peer_submit(&f->peer->base, &j->base);
}

static lmail_status apply(lmi_mail *m, const lmi_milter_change *c)
{
    lmi_letter *l = m->letter;
    switch (c->kind) {
    case LMAIL_MILTER_CHANGE_ADD_HEADER:
        return lmi_letter_insert(l, l->count, c->name, c->value);
    case LMAIL_MILTER_CHANGE_INSERT_HEADER:
        return lmi_letter_insert(l, c->index, c->name, c->value);
    case LMAIL_MILTER_CHANGE_CHANGE_HEADER:
        return lmi_letter_change(l, c->index, c->name, c->value);
    case LMAIL_MILTER_CHANGE_ADD_RCPT:
        return lmi_letter_add_rcpt(l, c->value);
    case LMAIL_MILTER_CHANGE_DELETE_RCPT:
        return lmi_letter_delete_rcpt(l, c->value);
    case LMAIL_MILTER_CHANGE_FROM:
        return lmi_letter_set_from(l, c->value);
    case LMAIL_MILTER_CHANGE_QUARANTINE:
        return lmi_mail_hold(m, c->value.len ? c->value : LMAIL_STR("held by a mail filter"));
    default:
        return LMAIL_OK;
    }
}

static lmail_status apply_all(lmi_filters *f, lmi_filter *x)
{
    lmail_status st = LMAIL_OK;
    lmail_log_line l;
    for (const lmi_milter_change *c = f->changes; c && !st; c = c->next)
        st = apply(f->peer->mail, c);
    lmi_peer_log(&f->peer->base, &l, LMAIL_LOG_INFO, "filtered");
    lmail_log_text(&l, "queue", lmail_str_from(f->peer->mail->id));
    lmail_log_text(&l, "filter", x->milter->settings->name);
    lmail_log_text(&l, "verdict", lmail_str_from(lmail_milter_says_name(x->says)));
    lmail_log_number(&l, "changes", f->change_count);
    lmail_log_number(&l, "ms", lmail_loop_now(f->loop) - x->asked_at);
    lmail_log_end(&l);
    return st;
}

static void take_body(lmi_job *base)
{
    letter_job *j = (letter_job *)base;
    base->status = lmi_letter_take_body(j->mail, &j->set->body);
}

static void drop_body(lmi_job *base)
{
    letter_job *j = (letter_job *)base;
    lmi_letter_drop_body(j->mail, &j->set->body);
    base->status = LMAIL_OK;
}

static void body_done(lmi_job *base)
{
    letter_job *j = (letter_job *)base;
    if (base->status)
        lmi_filter_fail(j->filter, "a new body could not be kept");
    job_home(j->set);
}

/* Its verdict is there, or it has failed: take over what it changed, or forget it. PENDING while a
 * worker has a new body. */
static lmail_status settle(lmi_filters *f, lmi_filter *x)
{
    int good = x->state == LMI_FILTER_OPEN &&
               (x->says == LMAIL_MILTER_SAYS_CONTINUE || x->says == LMAIL_MILTER_SAYS_ACCEPT);
    if (f->body.delivery) {
        letter_job *j = new_job(f, x, good ? take_body : drop_body, body_done);
        if (j)
            return lmi_peer_submit(&f->peer->base, &j->base);
        drop_body(&(letter_job){.set = f, .mail = f->peer->mail}.base);
        lmi_filter_fail(x, lmail_status_text(LMAIL_ERR_NOMEM));
        good = 0;
    }
    if (good && apply_all(f, x))
        lmi_filter_fail(x, "its changes take too much memory");
    drop_changes(f);
    return LMAIL_OK;
}

void lmi_filters_message_reset(lmi_filters *f)
{
    drop_changes(f);
    f->phase = HEADER;
    f->field = 0;
    f->offset = 0;
    f->piece_there = f->piece_last = 0;
}

/* ---- What it is shown ------------------------------------------------------------------------ */

static void read_piece(lmi_job *base)
{
    letter_job *j = (letter_job *)base;
    base->status =
        lmi_letter_read_body(j->mail, j->set->offset, j->set->piece, j->set->piece_cap, &j->got);
}

static void piece_read(lmi_job *base)
{
    letter_job *j = (letter_job *)base;
    lmi_filters *f = j->set;
    if (base->status)
        lmi_filter_fail(j->filter, "the message cannot be read");
    f->piece_len = base->status ? 0 : j->got;
    f->piece_last = f->piece_len < f->piece_cap;
    f->piece_there = 1;
    job_home(f);
}

/* OK: f->piece has the next octets. */
static lmail_status get_piece(lmi_filters *f, lmi_filter *x)
{
    lmail_milter_facts facts;
    if (f->piece_there)
        return LMAIL_OK;
    lmail_milter_client_get_facts(x->client, &facts);
    if (f->piece_cap != facts.max_data) {
        char *p = realloc(f->piece, facts.max_data);
        if (!p)
            return LMAIL_ERR_NOMEM;
        f->piece = p;
        f->piece_cap = facts.max_data;
    }
    letter_job *j = new_job(f, x, read_piece, piece_read);
    return j ? lmi_peer_submit(&f->peer->base, &j->base) : LMAIL_ERR_NOMEM;
}

/* The next question to it in f->ask. OK; END: nothing is left but the verdict; PENDING; an error. */
static lmail_status next_question(lmi_filters *f, lmi_filter *x)
{
    const lmi_letter *l = f->peer->mail->letter;
    lmail_milter_ask *a = &f->ask;
    lmail_status st;
    if (f->phase == HEADER && lmail_milter_client_asks(x->client, LMAIL_MILTER_ASK_HEADER)) {
        while (f->field < l->count && l->fields[f->field].ours)
            f->field++;
        if (f->field < l->count) {
            const lmi_field *t = &l->fields[f->field++];
            a->kind = LMAIL_MILTER_ASK_HEADER;
            a->text = (lmail_str){t->text, t->name};
            a->value = (lmail_str){t->text + t->value, t->len - t->value};
            return LMAIL_OK;
        }
    }
    if (f->phase == HEADER) {
        f->phase = EOH;
        a->kind = LMAIL_MILTER_ASK_EOH;
        return LMAIL_OK;
    }
    if (f->phase == EOH)
        f->phase = BODY;
    if (f->phase == BODY && (f->piece_there || !f->piece_last) &&
        lmail_milter_client_asks(x->client, LMAIL_MILTER_ASK_BODY)) {
        st = get_piece(f, x);
        if (st)
            return st;
        f->piece_there = 0;
        f->offset += f->piece_len;
        if (f->piece_len) {
            a->kind = LMAIL_MILTER_ASK_BODY;
            a->text = (lmail_str){f->piece, f->piece_len};
            return LMAIL_OK;
        }
    }
    f->phase = END;
    a->kind = LMAIL_MILTER_ASK_END;
    return LMAIL_OK;
}

lmail_status lmi_filter_message(lmi_filters *f, lmi_filter *x)
{
    lmail_status st = LMAIL_OK;
    while (f->phase != TAKING) {
        if (!x->heard && x->state == LMI_FILTER_OPEN) {
            st = next_question(f, x);
            if (st == LMAIL_PENDING)
                return st;
            if (st)
                lmi_filter_fail(x, lmail_status_text(st));
            else if (lmi_filter_ask(x, &f->ask) == LMAIL_PENDING)
                return LMAIL_PENDING;
        }
        if (x->state != LMI_FILTER_OPEN || f->phase == END || x->says != LMAIL_MILTER_SAYS_CONTINUE)
            f->phase = TAKING;
        else
            x->heard = 0;
    }
    st = settle(f, x);
    if (st == LMAIL_PENDING)
        return st;
    x->in_message = 0;
    st = lmi_filter_judge(f, x);
    lmi_filters_message_reset(f);
    return st;
}
