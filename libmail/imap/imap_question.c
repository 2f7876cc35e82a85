/* imap_question.c - asking the host, and taking its answers at once or late by one road.
 *
 * Each question copies its event into the question's own arena, calls the host, and hands the
 * answer to the command's `then`. Changes that an answer brings are taken in first. The public
 * answer functions stand here too. Login and SASL have questions of their own in
 * imap_cmd_auth.c. */
#include "imap/imap_internal.h"

#include <stddef.h>
#include <string.h>

/* What a question remembers until it is answered; q->data. */
typedef struct asked {
    lmi_imap_then *then;
    lmi_imap_octets_then *octets_then;
    const void *ev;
} asked;

static lmail_status open_question(lmi_imap *s, unsigned kind, const void *ev, size_t size,
                                  lmi_question **out)
{
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, kind, &q);
    if (st)
        return st;
    asked *k = lmi_arena_zget(&q->arena, sizeof *k);
    void *copy = lmi_arena_get(&q->arena, size);
    if (!k || !copy) {
        lmi_question_done(&s->base, q);
        return LMAIL_ERR_NOMEM;
    }
    memcpy(copy, ev, size);
    k->ev = copy;
    q->data = k;
    *out = q;
    return LMAIL_OK;
}

/* Every answer struct begins as lmail_imap_answer does. */
static const lmail_imap_result *result_of(const void *answer)
{
    return (const lmail_imap_result *)(const void *)((const char *)answer +
                                                     offsetof(lmail_imap_answer, result));
}

static void set_no(void *answer, lmail_imap_code code)
{
    lmail_imap_result *r =
        (lmail_imap_result *)(void *)((char *)answer + offsetof(lmail_imap_answer, result));
    *r = (lmail_imap_result){.no = 1, .code = code};
}

/* The answer is there: changes, then what the command does with it. */
static lmail_status settle(lmi_imap *s, lmi_question *q, const void *answer)
{
    const asked *k = q->data;
    lmail_imap_result r = *result_of(answer);
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < r.change_count && !st; i++)
        st = lmi_imap_change(s, &r.changes[i]);
    if (!lmi_imap_text_ok(r.text))
        r.text = (lmail_str){NULL, 0};
    if (st >= 0)
        st = k->octets_then ? k->octets_then(s, q->ticket, (const lmail_imap_octets_answer *)answer)
                            : k->then(s, answer, &r);
    lmi_question_done(&s->base, q);
    return st;
}

/* The callback has returned. */
static lmail_status asked_status(lmi_imap *s, lmi_question *q, lmail_status st, void *answer,
                                 int lends)
{
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, lends);
        return LMAIL_PENDING;
    }
    if (st < 0)
        set_no(answer, LMAIL_IMAP_CODE_SERVERBUG);
    return settle(s, q, answer);
}

/* There is no callback, or no ticket is left. */
static lmail_status refuse(lmi_imap *s, lmail_imap_code code, void *answer, lmi_imap_then *then)
{
    set_no(answer, code);
    return then(s, answer, result_of(answer));
}

#define QUESTION(name, kind, lends, answer_type, INIT)                                             \
    lmail_status lmi_imap_ask_##name(lmi_imap *s, const lmail_imap_##name##_event *ev,             \
                                     lmi_imap_then *then)                                          \
    {                                                                                              \
        answer_type answer = INIT;                                                                 \
        if (!lmi_imap_handler(s)->on_##name)                                                       \
            return refuse(s, LMAIL_IMAP_CODE_CANNOT, &answer, then);                               \
        lmi_question *q;                                                                           \
        lmail_status st = open_question(s, kind, ev, sizeof *ev, &q);                              \
        if (st == LMAIL_ERR_LIMIT)                                                                 \
            return refuse(s, LMAIL_IMAP_CODE_LIMIT, &answer, then);                                \
        if (st)                                                                                    \
            return st;                                                                             \
        ((asked *)q->data)->then = then;                                                           \
        lmi_callback_begin(&s->base);                                                              \
        st = lmi_imap_handler(s)->on_##name(s, s->base.user, q->ticket, ((asked *)q->data)->ev,    \
                                            &answer);                                              \
        lmi_callback_end(&s->base);                                                                \
        return asked_status(s, q, st, &answer, lends);                                             \
    }                                                                                              \
    struct lmi_ends_with_a_semicolon

QUESTION(connect, LMI_Q_CONNECT, 0, lmail_imap_connect_answer, LMAIL_IMAP_CONNECT_ANSWER_INIT);
QUESTION(namespace, LMI_Q_NAMESPACE, 0, lmail_imap_namespace_answer,
         LMAIL_IMAP_NAMESPACE_ANSWER_INIT);
QUESTION(list, LMI_Q_LIST, 0, lmail_imap_list_answer, LMAIL_IMAP_LIST_ANSWER_INIT);
QUESTION(status, LMI_Q_STATUS, 0, lmail_imap_status_answer, LMAIL_IMAP_STATUS_ANSWER_INIT);
QUESTION(create, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(delete, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(rename, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(subscribe, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(select, LMI_Q_SELECT, 0, lmail_imap_select_answer, LMAIL_IMAP_SELECT_ANSWER_INIT);
QUESTION(close, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(fetch, LMI_Q_FETCH, 0, lmail_imap_fetch_answer, LMAIL_IMAP_FETCH_ANSWER_INIT);
QUESTION(store, LMI_Q_STORE, 0, lmail_imap_store_answer, LMAIL_IMAP_STORE_ANSWER_INIT);
QUESTION(search, LMI_Q_SEARCH, 0, lmail_imap_search_answer, LMAIL_IMAP_SEARCH_ANSWER_INIT);
QUESTION(append_begin, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(append_message, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(append_octets, LMI_Q_PLAIN, 1, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
QUESTION(append_commit, LMI_Q_APPEND, 0, lmail_imap_append_answer, LMAIL_IMAP_APPEND_ANSWER_INIT);
QUESTION(copy, LMI_Q_COPY, 0, lmail_imap_copy_answer, LMAIL_IMAP_COPY_ANSWER_INIT);
QUESTION(expunge, LMI_Q_EXPUNGE, 0, lmail_imap_expunge_answer, LMAIL_IMAP_EXPUNGE_ANSWER_INIT);
QUESTION(poll, LMI_Q_PLAIN, 0, lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);

lmail_status lmi_imap_ask_octets(lmi_imap *s, const lmail_imap_octets_event *ev,
                                 lmi_imap_octets_then *then)
{
    lmail_imap_octets_answer answer = LMAIL_IMAP_OCTETS_ANSWER_INIT;
    lmi_question *q;
    lmail_status st = lmi_imap_handler(s)->on_octets
                          ? open_question(s, LMI_Q_OCTETS, ev, sizeof *ev, &q)
                          : LMAIL_ERR_UNSUPPORTED;
    if (st == LMAIL_ERR_UNSUPPORTED || st == LMAIL_ERR_LIMIT) {
        set_no(&answer, st == LMAIL_ERR_LIMIT ? LMAIL_IMAP_CODE_LIMIT : LMAIL_IMAP_CODE_CANNOT);
        return then(s, 0, &answer);
    }
    if (st)
        return st;
    ((asked *)q->data)->octets_then = then;
    lmi_callback_begin(&s->base);
    st =
        lmi_imap_handler(s)->on_octets(s, s->base.user, q->ticket, ((asked *)q->data)->ev, &answer);
    lmi_callback_end(&s->base);
    return asked_status(s, q, st, &answer, 0);
}

void lmi_imap_octets_release(lmi_imap *s, lmail_ticket ticket)
{
    if (!lmi_imap_handler(s)->on_released)
        return;
    lmi_callback_begin(&s->base);
    lmi_imap_handler(s)->on_released(s, s->base.user, ticket);
    lmi_callback_end(&s->base);
}

void lmi_imap_put_octets(lmi_imap *s, lmail_str octets, lmail_ticket ticket)
{
    lmail_status st = lmi_out_borrow(&s->base, octets, ticket);
    if (!st)
        return;
    lmi_imap_octets_release(s, ticket);
    if (!s->failed)
        s->failed = st;
}

/* ---- Late answers ---------------------------------------------------------------------------- */

static lmail_status late(lmi_imap *s, lmail_ticket t, unsigned kind, const void *given,
                         void *answer, size_t size, lmail_msec now)
{
    if (lmi_struct_take(answer, size, given))
        return LMAIL_ERR_SIZE;
    lmi_question *q;
    lmail_status st = lmi_answer_enter(&s->base, t, kind, now, &q);
    if (st)
        return st;
    st = settle(s, q, answer);
    if (st >= 0)
        st = lmi_imap_drive(s);
    lmi_imap_set_timer(s);
    return lmi_leave(&s->base, st);
}

#define ANSWER(function, kind, answer_type)                                                        \
    lmail_status function(lmail_imap_server *s, lmail_ticket t, const answer_type *a,              \
                          lmail_msec now)                                                          \
    {                                                                                              \
        answer_type answer;                                                                        \
        return late(s, t, kind, a, &answer, sizeof answer, now);                                   \
    }                                                                                              \
    struct lmi_ends_with_a_semicolon

ANSWER(lmail_imap_server_answer, LMI_Q_PLAIN, lmail_imap_answer);
ANSWER(lmail_imap_server_answer_connect, LMI_Q_CONNECT, lmail_imap_connect_answer);
ANSWER(lmail_imap_server_answer_namespace, LMI_Q_NAMESPACE, lmail_imap_namespace_answer);
ANSWER(lmail_imap_server_answer_list, LMI_Q_LIST, lmail_imap_list_answer);
ANSWER(lmail_imap_server_answer_status, LMI_Q_STATUS, lmail_imap_status_answer);
ANSWER(lmail_imap_server_answer_select, LMI_Q_SELECT, lmail_imap_select_answer);
ANSWER(lmail_imap_server_answer_fetch, LMI_Q_FETCH, lmail_imap_fetch_answer);
ANSWER(lmail_imap_server_answer_octets, LMI_Q_OCTETS, lmail_imap_octets_answer);
ANSWER(lmail_imap_server_answer_store, LMI_Q_STORE, lmail_imap_store_answer);
ANSWER(lmail_imap_server_answer_search, LMI_Q_SEARCH, lmail_imap_search_answer);
ANSWER(lmail_imap_server_answer_append, LMI_Q_APPEND, lmail_imap_append_answer);
ANSWER(lmail_imap_server_answer_copy, LMI_Q_COPY, lmail_imap_copy_answer);
ANSWER(lmail_imap_server_answer_expunge, LMI_Q_EXPUNGE, lmail_imap_expunge_answer);
