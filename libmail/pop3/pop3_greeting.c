/* pop3_greeting.c - the first words: may this connection be served, and the banner with its
 * timestamp.
 *
 * RFC 1939 §4 (greeting), §7 (APOP's timestamp), RFC 2449 §3 (its grammar and length). Runs once,
 * at the first feed, tick or tls_done. */
#include "pop3/pop3_internal.h"

#include <string.h>

/* RFC 1939 §7: the timestamp is a msg-id and never comes twice. Without random octets there is
 * none, and no APOP. */
static lmail_status make_timestamp(lmail_pop3_server *s)
{
    const lmail_env *env = &s->setup->env;
    unsigned char random[12];
    char text[2 * sizeof random + 20 + 255 + 8];
    size_t n = 0;
    if (!s->setup->on.on_apop || !env->random || env->random(env->ctx, random, sizeof random))
        return LMAIL_OK;
    int64_t clock = env->wall_clock ? env->wall_clock(env->ctx, &(int){0}) : 0;
    text[n++] = '<';
    for (size_t i = 0; i < sizeof random; i++) {
        text[n++] = "0123456789abcdef"[random[i] >> 4];
        text[n++] = "0123456789abcdef"[random[i] & 15];
    }
    text[n++] = '.';
    n += lmi_write_u64(text + n, clock > 0 ? (uint64_t)clock : 0);
    text[n++] = '@';
    memcpy(text + n, s->setup->cfg.host_name.ptr, s->setup->cfg.host_name.len);
    n += s->setup->cfg.host_name.len;
    text[n++] = '>';
    s->timestamp = lmi_malloc(&s->base.alloc, n);
    if (!s->timestamp)
        return LMAIL_ERR_NOMEM;
    memcpy(s->timestamp, text, n);
    s->timestamp_len = n;
    return LMAIL_OK;
}

static lmail_status greet(lmail_pop3_server *s, const lmail_pop3_connect_answer *a)
{
    lmi_pop3_values none = {0, 0};
    if (a->failure) {
        lmail_status st = lmi_pop3_failed(s, a->failure, a->text, 0);
        return st < 0 ? st : lmi_pop3_end(s);
    }
    s->flags = (s->flags & ~a->flags_off) | a->flags_on;
    lmail_status st = make_timestamp(s);
    if (st < 0)
        return st;
    lmi_pop3_enter(s, LMAIL_POP3_STATE_AUTHORIZATION);
    if (!s->timestamp_len) {
        st = lmi_pop3_status_line(s, 1, (lmail_str){NULL, 0}, LMAIL_POP3_TEXT_READY, a->text, none);
    } else {
        /* The timestamp stands behind the text (RFC 1939 §7): one text, given as a whole. */
        char all[512];
        size_t room = 505 - s->timestamp_len; /* with "+OK ", a space and CRLF: 512 octets */
        size_t n = lmi_str_sub(a->text, 0, room).len;
        if (n)
            memcpy(all, a->text.ptr, n);
        else
            n = lmi_pop3_words(s, LMAIL_POP3_TEXT_READY, none, all, room);
        if (n)
            all[n++] = ' ';
        memcpy(all + n, s->timestamp, s->timestamp_len);
        n += s->timestamp_len;
        st = lmi_pop3_status_line(s, 1, (lmail_str){NULL, 0}, LMAIL_POP3_TEXT_COUNT,
                                  (lmail_str){all, n}, none);
    }
    return st < 0 ? st : lmi_pop3_over(s);
}

static int connect_valid(const lmail_pop3_connect_answer *a)
{
    return lmi_pop3_failure_valid(a->failure, a->text) &&
           (a->failure || lmi_str_find(a->text, '<') == a->text.len);
}

lmail_status lmi_pop3_start(lmail_session *base)
{
    lmail_pop3_server *s = (lmail_pop3_server *)base;
    lmail_pop3_connect_answer a = LMAIL_POP3_CONNECT_ANSWER_INIT;
    s->login_until = lmi_later(base->now, s->setup->cfg.login_timeout);
    lmi_pop3_hear(s);
    if (!s->setup->on.on_connect)
        return greet(s, &a);
    lmi_question *q;
    lmail_status st = lmi_ask(base, LMI_POP3_Q_CONNECT, &q);
    if (st)
        return st;
    lmail_pop3_connect_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    if (!ev) {
        lmi_question_done(base, q);
        return LMAIL_ERR_NOMEM;
    }
    ev->tls = base->tls_active;
    lmi_callback_begin(base);
    st = s->setup->on.on_connect(s, base->user, q->ticket, ev, &a);
    lmi_callback_end(base);
    if (st == LMAIL_PENDING) {
        lmi_question_wait(base, q, 1, 0);
        return LMAIL_OK;
    }
    lmi_question_done(base, q);
    if (st || !connect_valid(&a))
        a = (lmail_pop3_connect_answer){.size = sizeof a, .failure = LMAIL_POP3_TEMPORARY};
    return greet(s, &a);
}

lmail_status lmail_pop3_server_answer_connect(lmail_pop3_server *s, lmail_ticket t,
                                              const lmail_pop3_connect_answer *answer,
                                              lmail_msec now)
{
    lmail_pop3_connect_answer a;
    lmi_question *q;
    if (lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    if (!connect_valid(&a))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_POP3_Q_CONNECT, now, &q);
    if (st)
        return st;
    lmi_question_done(&s->base, q);
    return lmi_leave(&s->base, greet(s, &a));
}
