/* delivery_machine.c - the steps of an attempt, and the public calls on it.
 *
 *     REUSE -> HOST -> MX -> ADDRESSES -> CONNECT -> TRANSACTION
 *               ^            ^            ^  ^         |
 *               |            |            |  `---------+-- it closed between two transactions
 *               |            |            `------------+-- the next address
 *               |            `-------------------------+-- the next MX host
 *               `--------------------------------------'   the next host of the job; none: END
 *
 * A step asks its question or, having nothing to ask, says which step is next. One question is open
 * at a time. Answers are applied in delivery_answer.c, delivery_transaction.c, delivery_hosts.c. */
#include "delivery/delivery_internal.h"

#include <string.h>

/* ---- Questions ------------------------------------------------------------------------------- */

static lmail_ticket ask(lmail_delivery *d)
{
    d->ticket = ++d->last_ticket;
    d->questions++;
    d->in_callback++;
    return d->ticket;
}

/* The callback has returned. 1: the answer is here; *failed when it is an error. */
static int answered(lmail_delivery *d, lmail_status st, int *failed)
{
    d->in_callback--;
    *failed = st < 0;
    if (st == LMAIL_PENDING)
        return 0;
    d->ticket = 0;
    return 1;
}

static const lmail_delivery_word our_failure = {
    LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_CONNECT, 0, {NULL, 0}, {NULL, 0}};

static lmail_status step_reuse(lmail_delivery *d)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    lmail_delivery_connection a = LMAIL_DELIVERY_CONNECTION_INIT;
    lmail_delivery_name_event ev = {d->job.destination, d->job.tls};
    int failed;
    d->step = LMI_STEP_HOST;
    if (!d->job.reuse || !h->on_reuse)
        return LMAIL_OK;
    d->step = LMI_STEP_REUSE;
    lmail_ticket t = ask(d);
    if (!answered(d, h->on_reuse(d, d->user, t, &ev, &a), &failed))
        return LMAIL_OK;
    if (failed)
        a.id = 0;
    return lmi_on_reuse_answer(d, &a);
}

static lmail_status step_host(lmail_delivery *d)
{
    if (!d->open || d->host_at == d->job.host_count) {
        lmi_finish(d);
        return LMAIL_OK;
    }
    return lmi_host_begin(d);
}

static lmail_status step_mx(lmail_delivery *d)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    lmail_delivery_mx a = LMAIL_DELIVERY_MX_INIT;
    lmail_delivery_name_event ev = {lmail_str_from(d->name), d->job.tls};
    int failed = 1;
    if (h->on_mx) {
        lmail_ticket t = ask(d);
        if (!answered(d, h->on_mx(d, d->user, t, &ev, &a), &failed))
            return LMAIL_OK;
    }
    if (failed)
        a.result = LMAIL_DELIVERY_TEMP;
    return lmi_hosts_mx(d, &a);
}

static lmail_status step_addresses(lmail_delivery *d)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    lmail_delivery_addresses a = LMAIL_DELIVERY_ADDRESSES_INIT;
    int failed = 1;
    if (!d->open || d->mx_at >= d->mx_count || d->looked >= d->setup->config.max_hosts) {
        d->step = LMI_STEP_HOST;
        return LMAIL_OK;
    }
    d->looked++;
    d->server = d->mx[d->mx_at].name;
    d->address = (lmail_str){NULL, 0};
    lmail_delivery_name_event ev = {d->server, d->job.tls};
    if (h->on_addresses) {
        lmail_ticket t = ask(d);
        if (!answered(d, h->on_addresses(d, d->user, t, &ev, &a), &failed))
            return LMAIL_OK;
    }
    if (failed)
        a.result = LMAIL_DELIVERY_TEMP;
    return lmi_hosts_addresses(d, &a);
}

/* ---- A connection ---------------------------------------------------------------------------- */

/* No further one is begun. */
static int is_over(const lmail_delivery *d)
{
    const lmail_delivery_config *c = &d->setup->config;
    if (!d->open)
        return 1;
    if (d->plain || d->again)
        return 0;
    return d->connects >= c->max_addresses || d->sessions >= c->max_sessions ||
           (c->connect_limit && d->connects && d->now - d->begun >= c->connect_limit);
}

static void say_address(lmail_delivery *d, const lmail_delivery_address *a)
{
    size_t n = a->version ? lmi_address_show(a, d->address_text) : 0;
    d->address = a->version ? (lmail_str){d->address_text, n} : lmail_str_from(d->name);
    d->server = d->mx[d->mx_at].name;
    lmail_policy_peer_init(&d->peer);
    lmi_arena_reset(&d->peer_room);
    d->peer.name = d->server;
    d->peer.name_state = LMAIL_POLICY_NAME_VERIFIED;
    if (a->version)
        d->peer.address = d->address;
}

/* 1: TLS it is to be, and policy says that it may not be tried. */
static int choose_tls(lmail_delivery *d, lmail_delivery_word *w)
{
    lmail_policy_verdict v;
    d->wanted.tls = d->plain ? LMAIL_DELIVERY_TLS_NEVER : d->job.tls;
    if (!lmi_denied(d, lmail_policy_try_tls, (lmail_str){NULL, 0}, &v, w))
        return 0;
    if (d->job.tls == LMAIL_DELIVERY_TLS_MAY || d->job.tls == LMAIL_DELIVERY_TLS_NEVER) {
        d->wanted.tls = LMAIL_DELIVERY_TLS_NEVER;
        return 0;
    }
    *w = lmi_word(LMAIL_DELIVERY_NO_TLS, LMAIL_DELIVERY_AT_CONNECT, 454, "4.7.0",
                  "TLS is required, and switched off for this server");
    return 1;
}

static lmail_status choose_credentials(lmail_delivery *d)
{
    const lmail_delivery_config *c = &d->setup->config;
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    d->wanted.credentials = NULL;
    if (!c->policy || c->no_auth || d->plain)
        return LMAIL_OK;
    d->credentials = lmi_zalloc(&d->setup->alloc, sizeof *d->credentials);
    if (!d->credentials)
        return LMAIL_ERR_NOMEM;
    q.peer = &d->peer;
    if (!lmail_policy_auth_info(c->policy, &q, d->credentials) && d->credentials->found)
        d->wanted.credentials = d->credentials;
    else
        lmi_credentials_drop(d);
    return LMAIL_OK;
}

static lmail_status pass_over(lmail_delivery *d, const lmail_delivery_word *w)
{
    lmail_status st = lmi_delivery_keep_all(d, w, 0);
    lmi_next_server(d);
    return st;
}

static lmail_status step_connect(lmail_delivery *d)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    lmail_delivery_connection a = LMAIL_DELIVERY_CONNECTION_INIT;
    lmail_delivery_word w;
    int failed = 1;
    if (is_over(d)) {
        lmi_finish(d);
        return LMAIL_OK;
    }
    if (d->address_at >= d->address_count) {
        d->mx_at++;
        d->step = LMI_STEP_ADDRESSES;
        return LMAIL_OK;
    }
    const lmail_delivery_address *to = &d->addresses[d->address_at];
    unsigned port = lmi_host_port(d);
    say_address(d, to);
    if (!d->plain && !d->again) {
        if (d->tried_count < LMI_DELIVERY_MAX_LIST)
            d->tried[d->tried_count++] = (lmail_delivery_endpoint){*to, port};
        d->met = 1;
        if (d->job.status && to->version &&
            !lmail_delivery_status_ask(d->job.status, to, port, d->now)) {
            w = lmi_word(LMAIL_DELIVERY_UNREACHABLE, LMAIL_DELIVERY_AT_CONNECT, 0, "4.4.1",
                         "the host did not answer a while ago");
            return pass_over(d, &w);
        }
    }
    if (choose_tls(d, &w))
        return pass_over(d, &w);
    if (choose_credentials(d))
        return LMAIL_ERR_NOMEM;
    if (!d->plain && !d->again)
        d->connects++;
    const lmail_delivery_config *c = &d->setup->config;
    d->wanted.host = d->server;
    d->wanted.address = *to;
    d->wanted.address_text = d->address;
    d->wanted.path = to->version ? (lmail_str){NULL, 0} : lmail_str_from(d->name);
    d->wanted.port = to->version ? port : 0;
    d->wanted.mailer = d->job.mailer;
    d->wanted.time_left = LMAIL_NEVER;
    if (c->connect_limit)
        d->wanted.time_left =
            d->now - d->begun < c->connect_limit ? c->connect_limit - (d->now - d->begun) : 1;
    if (h->on_connect) {
        lmail_ticket t = ask(d);
        if (!answered(d, h->on_connect(d, d->user, t, &d->wanted, &a), &failed))
            return LMAIL_OK;
    }
    if (failed)
        a.word = our_failure;
    return lmi_on_connect_answer(d, &a);
}

static lmail_status step_transaction(lmail_delivery *d)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    lmail_delivery_transaction a = LMAIL_DELIVERY_TRANSACTION_INIT;
    int failed = 1;
    lmail_status st = lmi_batch_fill(d);
    if (st)
        return st;
    if (!d->batch_count) {
        lmi_release(d, 1);
        lmi_next_server(d);
        return LMAIL_OK;
    }
    lmail_delivery_transaction_event ev = {d->connection, d->batch, d->batch_count};
    if (h->on_transaction) {
        lmail_ticket t = ask(d);
        if (!answered(d, h->on_transaction(d, d->user, t, &ev, &a), &failed))
            return LMAIL_OK;
    }
    if (failed) {
        a.word = our_failure;
        a.word.phase = LMAIL_DELIVERY_AT_MAIL;
        a.ready = 0;
    }
    return lmi_on_transaction_answer(d, &a);
}

/* ---- Running --------------------------------------------------------------------------------- */

static lmail_status run(lmail_delivery *d)
{
    static lmail_status (*const steps[])(lmail_delivery *) = {
        [LMI_STEP_REUSE] = step_reuse,     [LMI_STEP_HOST] = step_host,
        [LMI_STEP_MX] = step_mx,           [LMI_STEP_ADDRESSES] = step_addresses,
        [LMI_STEP_CONNECT] = step_connect, [LMI_STEP_TRANSACTION] = step_transaction};
    while (d->step != LMI_STEP_END && !d->ticket && !d->free_asked) {
        lmail_status st = steps[d->step](d);
        if (st)
            return st;
    }
    return LMAIL_OK;
}

static void destroy(lmail_delivery *d)
{
    const lmail_alloc alloc = d->setup->alloc;
    lmi_credentials_drop(d);
    for (size_t i = 0; d->recipients && i < d->job.recipient_count; i++)
        lmi_kept_drop(d, d->recipients[i].kept);
    lmi_arena_done(&d->arena);
    lmi_arena_done(&d->mx_arena);
    lmi_arena_done(&d->peer_room);
    lmi_free(&alloc, d, sizeof *d);
}

static lmail_status enter(lmail_delivery *d, lmail_msec now)
{
    if (d->in_callback || d->in_call)
        return LMAIL_ERR_REENTRANT;
    if (now > d->now)
        d->now = now;
    d->in_call = 1;
    return LMAIL_OK;
}

static void cancel(lmail_delivery *d)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    lmail_ticket t = d->ticket;
    d->ticket = 0;
    if (!t)
        return;
    lmi_credentials_drop(d);
    if (!h->on_cancel)
        return;
    d->in_callback++;
    h->on_cancel(d, d->user, t);
    d->in_callback--;
}

/* An error that is ours ends the attempt, and every recipient still gets its result. */
static lmail_status leave(lmail_delivery *d, lmail_status st)
{
    if (!st)
        st = run(d);
    if (st == LMAIL_ERR_NOMEM && d->step != LMI_STEP_END && !d->free_asked) {
        const lmail_delivery_word w =
            lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 451, "4.3.0", "Out of memory");
        cancel(d);
        lmi_finish_with(d, &w);
    }
    if (d->free_asked) {
        cancel(d);
        lmi_release(d, 0);
        destroy(d);
        return st;
    }
    d->in_call = 0;
    return st;
}

/* An answer: its ticket comes home. */
static lmail_status take(lmail_delivery *d, lmail_ticket t, lmi_delivery_step step, lmail_msec now)
{
    lmail_status st = enter(d, now);
    if (st)
        return st;
    if (!t || t != d->ticket)
        st = LMAIL_ERR_STALE;
    else if (d->step != step)
        st = LMAIL_ERR_ARG;
    if (st)
        d->in_call = 0;
    return st;
}

lmail_status lmail_delivery_start(lmail_delivery *d, lmail_msec now)
{
    lmail_status st = enter(d, now);
    if (st)
        return st;
    if (d->step != LMI_STEP_NEW) {
        d->in_call = 0;
        return LMAIL_ERR_STATE;
    }
    d->begun = d->now;
    d->step = LMI_STEP_REUSE;
    return leave(d, LMAIL_OK);
}

/* An answer of an older host is shorter. */
#define ANSWER(type, step, apply)                                                                  \
    type known;                                                                                    \
    lmail_status st = lmi_struct_take(&known, sizeof known, answer);                               \
    if (!st)                                                                                       \
        st = take(d, t, step, now);                                                                \
    if (st)                                                                                        \
        return st;                                                                                 \
    d->ticket = 0;                                                                                 \
    return leave(d, apply(d, &known))

lmail_status lmail_delivery_answer_reuse(lmail_delivery *d, lmail_ticket t,
                                         const lmail_delivery_connection *answer, lmail_msec now)
{
    ANSWER(lmail_delivery_connection, LMI_STEP_REUSE, lmi_on_reuse_answer);
}

lmail_status lmail_delivery_answer_mx(lmail_delivery *d, lmail_ticket t,
                                      const lmail_delivery_mx *answer, lmail_msec now)
{
    ANSWER(lmail_delivery_mx, LMI_STEP_MX, lmi_hosts_mx);
}

lmail_status lmail_delivery_answer_addresses(lmail_delivery *d, lmail_ticket t,
                                             const lmail_delivery_addresses *answer, lmail_msec now)
{
    ANSWER(lmail_delivery_addresses, LMI_STEP_ADDRESSES, lmi_hosts_addresses);
}

lmail_status lmail_delivery_answer_connect(lmail_delivery *d, lmail_ticket t,
                                           const lmail_delivery_connection *answer, lmail_msec now)
{
    ANSWER(lmail_delivery_connection, LMI_STEP_CONNECT, lmi_on_connect_answer);
}

lmail_status lmail_delivery_answer_transaction(lmail_delivery *d, lmail_ticket t,
                                               const lmail_delivery_transaction *answer,
                                               lmail_msec now)
{
    ANSWER(lmail_delivery_transaction, LMI_STEP_TRANSACTION, lmi_on_transaction_answer);
}

lmail_status lmail_delivery_told(lmail_delivery *d, lmail_ticket t, size_t recipient,
                                 const lmail_delivery_word *word, lmail_msec now)
{
    lmail_status st = take(d, t, LMI_STEP_TRANSACTION, now);
    if (st)
        return st;
    lmi_recipient *r = recipient < d->job.recipient_count ? &d->recipients[recipient] : NULL;
    if (!r || !r->in ||
        (word->phase != LMAIL_DELIVERY_AT_RCPT && word->phase != LMAIL_DELIVERY_AT_END)) {
        d->in_call = 0;
        return LMAIL_ERR_ARG;
    }
    return leave(d, lmi_on_told(d, r, word));
}

lmail_status lmail_delivery_stop(lmail_delivery *d, const lmail_delivery_word *word, lmail_msec now)
{
    const lmail_delivery_word ours = lmi_word(LMAIL_DELIVERY_OURS, LMAIL_DELIVERY_AT_LOOKUP, 0,
                                              "4.3.2", "The sending host stopped meanwhile");
    lmail_status st = enter(d, now);
    if (st)
        return st;
    if (d->step != LMI_STEP_END) {
        cancel(d);
        lmi_finish_with(d, word ? word : &ours);
    }
    return leave(d, LMAIL_OK);
}

int lmail_delivery_ended(const lmail_delivery *d)
{
    return d->step == LMI_STEP_END;
}

void *lmail_delivery_user(const lmail_delivery *d)
{
    return d->user;
}

void lmail_delivery_free(lmail_delivery *d)
{
    if (!d)
        return;
    d->free_asked = 1;
    if (d->in_callback || d->in_call)
        return;
    cancel(d);
    lmi_release(d, 0);
    destroy(d);
}
