/* fuzz_milter_client.c - whole sessions with a filter that says anything.
 *
 * First octet: the split of the second run and whether changes are answered late; second: which
 * questions are asked. The rest comes from the filter. Oracles: the same events and output in any
 * split; one verdict a question and one end a session; what a change brings is fit for a header or an
 * envelope; memory under a ceiling, all of it given back. */
#include "support/count_alloc.h"

#include <libmail/milter.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CEILING 700000u

typedef struct host {
    lmail_milter_client *s;
    uint64_t sum; /* of events and output */
    unsigned due, ends, idle, next, late, kinds;
    unsigned head; /* octets of a packet's length */
    uint32_t left; /* of the packet, when the length is whole */
    lmail_ticket pending;
    count_alloc c;
} host;

static void mix(host *h, const void *ptr, size_t len)
{
    const unsigned char *p = ptr;
    for (size_t i = 0; i < len; i++)
        h->sum = (h->sum ^ p[i]) * 1099511628211u;
}

static void check(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void on_ready(lmail_milter_client *s, void *user, const lmail_milter_ready_event *ev)
{
    host *h = user;
    (void)s;
    check(ev->facts.version >= 2 && ev->facts.version <= 6, "version");
    h->idle = 1;
}

static void on_verdict(lmail_milter_client *s, void *user, const lmail_milter_verdict_event *ev)
{
    host *h = user;
    (void)s;
    check(h->due == 1, "a verdict without a question");
    h->due = 0;
    h->idle = 1;
    mix(h, &ev->ask, sizeof ev->ask);
    mix(h, &ev->says, sizeof ev->says);
    check(ev->says > LMAIL_MILTER_SAYS_NONE && ev->says < LMAIL_MILTER_SAYS_COUNT, "says");
    if (ev->says != LMAIL_MILTER_SAYS_REPLY)
        return;
    check(ev->code >= 400 && ev->code <= 599 && ev->line_count > 0, "a reply");
    for (size_t i = 0; i < ev->line_count; i++) {
        mix(h, ev->lines[i].ptr, ev->lines[i].len);
        for (size_t k = 0; k < ev->lines[i].len; k++)
            check((unsigned char)ev->lines[i].ptr[k] >= ' ', "a control octet in a reply");
    }
}

static void check_value(lmail_str v)
{
    for (size_t i = 0; i < v.len; i++) {
        check(v.ptr[i] != '\0', "NUL in a value");
        if (v.ptr[i] == '\n')
            check(i > 0 && v.ptr[i - 1] == '\r', "a bare LF in a value");
        if (v.ptr[i] == '\r')
            check(i + 2 < v.len && v.ptr[i + 1] == '\n' &&
                      (v.ptr[i + 2] == ' ' || v.ptr[i + 2] == '\t'),
                  "a value that ends its field");
    }
}

static lmail_status on_change(lmail_milter_client *s, void *user, lmail_ticket t,
                              const lmail_milter_change_event *ev, lmail_milter_change_answer *a)
{
    host *h = user;
    lmail_milter_facts f;
    (void)a;
    lmail_milter_client_get_facts(s, &f);
    check(f.actions != 0, "a change without any right");
    check(h->due == 1, "a change without a question");
    mix(h, &ev->kind, sizeof ev->kind);
    mix(h, ev->name.ptr, ev->name.len);
    mix(h, ev->value.ptr, ev->value.len);
    if (ev->kind <= LMAIL_MILTER_CHANGE_CHANGE_HEADER)
        check_value(ev->value);
    else if (ev->kind != LMAIL_MILTER_CHANGE_BODY)
        for (size_t i = 0; i < ev->value.len; i++)
            check((unsigned char)ev->value.ptr[i] >= ' ', "a control octet in an address");
    h->pending = h->late ? t : 0;
    return h->late ? LMAIL_PENDING : LMAIL_OK;
}

static lmail_str on_macro(const lmail_milter_client *s, void *user, lmail_milter_stage stage,
                          lmail_str name)
{
    (void)s, (void)user, (void)stage;
    return name.len % 2 ? name : (lmail_str){NULL, 0};
}

static void on_end(lmail_milter_client *s, void *user, const lmail_milter_end_event *ev)
{
    host *h = user;
    (void)s;
    h->ends++;
    mix(h, ev->text.ptr, ev->text.len);
}

static void drain(host *h)
{
    lmail_str piece;
    while (lmail_milter_client_peek(h->s, &piece, 1)) {
        mix(h, piece.ptr, piece.len);
        if (lmail_milter_client_sent(h->s, piece.len, 1))
            return;
    }
}

static void ask(host *h)
{
    static const lmail_milter_ask_kind order[] = {LMAIL_MILTER_ASK_CONNECT, LMAIL_MILTER_ASK_HELO,
                                                  LMAIL_MILTER_ASK_MAIL,    LMAIL_MILTER_ASK_RCPT,
                                                  LMAIL_MILTER_ASK_DATA,    LMAIL_MILTER_ASK_HEADER,
                                                  LMAIL_MILTER_ASK_EOH,     LMAIL_MILTER_ASK_BODY,
                                                  LMAIL_MILTER_ASK_END,     LMAIL_MILTER_ASK_ABORT};
    while (h->idle && h->next < 200 && !h->ends) {
        lmail_milter_ask a = LMAIL_MILTER_ASK_INIT;
        unsigned at = h->next++ % 10;
        if (at < 8 && h->kinds & 1u << at)
            continue;
        a.kind = order[at];
        a.text = LMAIL_STR("text");
        a.value = LMAIL_STR(" v\r\n\tw");
        a.family = LMAIL_MILTER_FAMILY_INET6;
        if (at < 9) {
            h->due = 1;
            h->idle = 0;
        }
        check(lmail_milter_client_submit(h->s, &a, 1) == LMAIL_OK, "submit");
        drain(h);
    }
}

/* Follow the packets: a length of four octets, then as much. */
static void pass(host *h, uint8_t octet)
{
    if (h->head < 4) {
        h->left = h->left << 8 | octet;
        h->head++;
    } else if (h->left) {
        h->left--;
    }
    if (h->head == 4 && !h->left)
        h->head = 0;
}

/* How many of these octets come up to the end of the packet that is under way. */
static size_t within(host h, const uint8_t *data, size_t size)
{
    size_t n = 0;
    do
        pass(&h, data[n]);
    while (++n < size && h.head);
    return n;
}

static void feed(host *h, const uint8_t *data, size_t size, size_t split)
{
    ask(h);
    for (size_t at = 0; at < size;) {
        size_t used, n = split && split < size - at ? split : size - at;
        n = within(*h, data + at, n);
        if (lmail_milter_client_feed(h->s, (lmail_str){(const char *)data + at, n}, &used, 1))
            return;
        for (size_t k = at; k < at + used; k++)
            pass(h, data[k]);
        at += used;
        drain(h);
        ask(h);
        if (h->pending) {
            lmail_ticket t = h->pending;
            h->pending = 0;
            lmail_milter_client_answer_change(h->s, t, NULL, 1);
            ask(h);
        } else if (!used) {
            return;
        }
    }
}

static uint64_t run(const uint8_t *data, size_t size, size_t split, unsigned late, unsigned kinds)
{
    host h;
    memset(&h, 0, sizeof h);
    h.late = late;
    h.kinds = kinds;
    lmail_milter_client_setup *setup;
    lmail_milter_client_config c = LMAIL_MILTER_CLIENT_CONFIG_INIT;
    lmail_milter_client_handler on = LMAIL_MILTER_CLIENT_HANDLER_INIT;
    c.alloc = count_alloc_table(&h.c);
    on.on_ready = on_ready;
    on.on_verdict = on_verdict;
    on.on_change = on_change;
    on.on_macro = on_macro;
    on.on_end = on_end;
    check(lmail_milter_client_setup_new(&setup, &c, &on) == LMAIL_OK, "setup");
    check(lmail_milter_client_new(&h.s, setup, &h, 1) == LMAIL_OK, "new");
    lmail_milter_client_tick(h.s, 1);
    drain(&h);
    /* Octets of one feed may hold several answers; a question is asked between them, so that what the
     * filter says first counts. feed() ends each piece where a packet does, in every split. */
    for (size_t at = 0; at < size;) {
        size_t len = size - at < 2 ? size - at : 2u + data[at + 1];
        len = len > size - at ? size - at : len;
        uint8_t packet[4 + 257] = {0, 0, data[at] & 0xc0 ? 0 : data[at],
                                   (uint8_t)(len > 2 ? len - 2 : 0)};
        if (len > 2)
            memcpy(packet + 4, data + at + 2, len - 2);
        feed(&h, packet, 4 + (len > 2 ? len - 2 : 0), split);
        at += len;
    }
    lmail_milter_client_free(h.s);
    lmail_milter_client_setup_free(setup);
    check(h.ends == 1, "one end");
    check(!h.due, "a question without a verdict");
    check(h.c.live == 0 && h.c.lies == 0, "memory");
    check(h.c.peak < CEILING, "the ceiling");
    return h.sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint64_t whole = run(data + 2, size - 2, 0, 0, data[1]);
    check(whole == run(data + 2, size - 2, data[0] % 16 + 1u, data[0] >> 7, data[1]), "the split");
    return 0;
}
