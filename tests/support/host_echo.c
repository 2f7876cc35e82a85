/* host_echo.c - see host_echo.h. */
#include "host_echo.h"

#include "base/base_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK 65536u
#define LINE 1024u

typedef struct echo {
    lmail_session base;
    const echo_host *host;
    lmi_line line;
    uint64_t big, sink, hold;
    uint32_t sum;
    lmail_str lent;
} echo;

static lmail_status say(echo *e, const char *text)
{
    lmail_status st = lmi_out_str(&e->base, lmail_str_from(text));
    return st ? st : lmi_out_str(&e->base, LMAIL_STR("\r\n"));
}

static void restart_timer(echo *e)
{
    e->base.due = e->host->idle ? e->base.now + e->host->idle : LMAIL_NEVER;
}

static lmail_status start(lmail_session *s)
{
    restart_timer((echo *)s);
    return say((echo *)s, "220 echo");
}

static lmail_status room(lmail_session *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    echo *e = (echo *)s;
    char piece[4096];
    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = letters[i % 26];
    while (e->big && s->out.size < MARK) {
        size_t n = e->big < sizeof(piece) ? (size_t)e->big : sizeof(piece);
        lmail_status st = lmi_out_write(s, piece, n);
        if (st)
            return st;
        e->big -= n;
    }
    if (e->big)
        lmi_want_room(s);
    else
        return say(e, "");
    return LMAIL_OK;
}

static lmail_status ask(echo *e, lmail_str lent)
{
    lmi_question *q;
    lmail_status st = lmi_ask(&e->base, 1, &q);
    if (st)
        return st;
    e->lent = lent;
    lmi_question_wait(&e->base, q, 1, lent.len > 0);
    lmi_callback_begin(&e->base);
    if (e->host->on_ask)
        e->host->on_ask(e->base.user, &e->base, q->ticket, lent);
    lmi_callback_end(&e->base);
    return LMAIL_OK;
}

static uint64_t number_after(lmail_str line, size_t skip)
{
    uint64_t n = 0;
    return lmi_parse_u64(lmi_str_skip(line, skip), &n) ? 0 : n;
}

static lmail_status tell_tls(echo *e)
{
    char text[512];
    const lmail_tls_facts *f = &e->base.tls;
    if (!e->base.tls_active)
        return say(e, "none");
    snprintf(text, sizeof(text), "%.*s/%.*s/%.*s/%.*s", (int)f->version.len, f->version.ptr,
             (int)f->alpn.len, f->alpn.ptr, (int)f->server_name.len, f->server_name.ptr,
             (int)f->peer_name.len, f->peer_name.ptr);
    return say(e, text);
}

static lmail_status command(echo *e, lmail_str line)
{
    restart_timer(e);
    if (lmi_str_has_prefix_nocase(line, LMAIL_STR("echo "))) {
        lmail_status st = lmi_out_str(&e->base, lmi_str_skip(line, 5));
        return st ? st : say(e, "");
    }
    if (lmi_str_has_prefix_nocase(line, LMAIL_STR("big "))) {
        e->big = number_after(line, 4);
        lmi_want_room(&e->base);
        return LMAIL_OK;
    }
    if (lmi_str_has_prefix_nocase(line, LMAIL_STR("sink "))) {
        e->sink = number_after(line, 5);
        return LMAIL_OK;
    }
    if (lmi_str_has_prefix_nocase(line, LMAIL_STR("hold "))) {
        e->hold = number_after(line, 5);
        e->sum = 0;
        return LMAIL_OK;
    }
    if (lmail_str_equal(line, LMAIL_STR("ask")))
        return ask(e, (lmail_str){NULL, 0});
    if (lmail_str_equal(line, LMAIL_STR("tls")))
        return tell_tls(e);
    if (lmail_str_equal(line, LMAIL_STR("starttls"))) {
        lmi_want_tls(&e->base);
        return say(e, "go");
    }
    if (lmail_str_equal(line, LMAIL_STR("quit"))) {
        lmail_status st = say(e, "bye");
        lmi_close(&e->base);
        return st;
    }
    return say(e, "500 what?");
}

static lmail_status input(lmail_session *s, lmail_str in, size_t *used)
{
    echo *e = (echo *)s;
    lmail_str line;
    if (e->big)
        return LMAIL_OK;
    if (e->sink) {
        *used = e->sink < in.len ? (size_t)e->sink : in.len;
        e->sink -= *used;
        return e->sink ? LMAIL_OK : say(e, "sunk");
    }
    if (e->hold) {
        *used = e->hold < in.len ? (size_t)e->hold : in.len;
        e->hold -= *used;
        return ask(e, (lmail_str){in.ptr, *used});
    }
    switch (lmi_line_read(&e->line, &s->alloc, in, LINE, used, &line)) {
    case LMI_LINE_READY:
        return command(e, line);
    case LMI_LINE_MORE:
        return LMAIL_OK;
    case LMI_LINE_NOMEM:
        return LMAIL_ERR_NOMEM;
    default:
        return say(e, "500 no line");
    }
}

static lmail_status timer(lmail_session *s)
{
    lmail_status st = say((echo *)s, "idle");
    lmi_close(s);
    return st;
}

static lmail_status stop(lmail_session *s)
{
    lmail_status st = say((echo *)s, "421 stop");
    lmi_close(s);
    return st;
}

static void cancelled(lmail_session *s, const lmi_question *q)
{
    echo *e = (echo *)s;
    if (e->host->on_cancel)
        e->host->on_cancel(s->user, s, q->ticket);
}

static void rest(lmail_session *s)
{
    if (lmi_line_empty(&((echo *)s)->line))
        lmi_line_done(&((echo *)s)->line, &s->alloc);
}

static void destroy(lmail_session *s)
{
    echo *e = (echo *)s;
    lmi_line_done(&e->line, &s->alloc);
    lmi_session_done(s);
    free(e);
}

static const lmi_class echo_class = {.name = "echo",
                                     .start = start,
                                     .input = input,
                                     .timer = timer,
                                     .room = room,
                                     .stop = stop,
                                     .cancelled = cancelled,
                                     .rest = rest,
                                     .destroy = destroy};

lmail_session *echo_new(const echo_host *host, void *user, lmail_msec now)
{
    echo *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    lmi_session_init(&e->base, &echo_class, NULL, user, now);
    e->host = host;
    return &e->base;
}

lmail_status echo_answer(lmail_session *s, lmail_ticket t, lmail_msec now)
{
    echo *e = (echo *)s;
    lmi_question *q;
    lmail_status st = lmi_answer_enter(s, t, 1, now, &q);
    if (st)
        return st;
    if (e->lent.len) {
        char text[32];
        for (size_t i = 0; i < e->lent.len; i++)
            e->sum = e->sum * 31 + (unsigned char)e->lent.ptr[i];
        snprintf(text, sizeof(text), "held %u", e->sum);
        if (!e->hold)
            st = say(e, text);
        e->lent = (lmail_str){NULL, 0};
    } else {
        st = say(e, "answer");
    }
    lmi_question_done(s, q);
    return lmi_leave(s, st);
}

void *echo_user(const lmail_session *s)
{
    return s->user;
}
