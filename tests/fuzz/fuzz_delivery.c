/* The delivery machine against a world that answers anything: octets of the input choose each answer,
 * now or later, and what is told in between. Every recipient gets exactly one result, the machine
 * ends, within a bounded number of questions; connections are given back; nobody is failed for want
 * of a reply that says so; enhanced codes have the class of their result. Then the dispatcher: turns
 * stay within their bounds. */
#include <libmail/delivery.h>
#include <libmail/delivery_schedule.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { MOST = 12 };

typedef struct world {
    const uint8_t *data;
    size_t size, questions;
    lmail_delivery *d;
    lmail_ticket ticket;
    unsigned kind; /* of the open question, 0: none */
    unsigned results[MOST], ended;
    size_t count, batch[MOST], batch_count;
    uint64_t connections, open;
    lmail_msec now;
    lmail_delivery_mx_host hosts[80];
    lmail_delivery_address list[80];
} world;

enum { REUSE = 1, MX, ADDRESSES, CONNECT, SEND };

static unsigned octet(world *w)
{
    if (!w->size)
        return 0;
    w->size--;
    return *w->data++;
}

static const char *const texts[] = {"",          "ok",         "4.5.3",          "5.1.1", "2.0.0",
                                    "5.999.999", "a\r\nb\033", "4.7.1 \xc3\xa9", "9.9.9", "5..1"};

static lmail_str text(world *w)
{
    return lmail_str_from(texts[octet(w) % (sizeof texts / sizeof *texts)]);
}

static lmail_delivery_word word(world *w)
{
    static const unsigned codes[] = {0, 250, 421, 450, 451, 452, 521, 535, 550, 552, 554, 556, 999};
    lmail_delivery_word x;
    x.fault = (lmail_delivery_fault)(octet(w) % (LMAIL_DELIVERY_OURS + 1));
    x.phase = (lmail_delivery_phase)(octet(w) % (LMAIL_DELIVERY_AT_END + 1));
    x.code = codes[octet(w) % (sizeof codes / sizeof *codes)];
    x.enhanced = text(w);
    x.text = text(w);
    return x;
}

static const char *const names[] = {"a.example", "b.example", "mx.here.example",
                                    "",          ".",         "example.org"};

static void mx(world *w, lmail_delivery_mx *a)
{
    lmail_delivery_mx_init(a);
    a->result = (lmail_delivery_lookup)(octet(w) % 4 % 3);
    a->null_mx = octet(w) % 2;
    a->count = octet(w) % 80;
    for (size_t i = 0; i < a->count; i++)
        w->hosts[i] = (lmail_delivery_mx_host){
            lmail_str_from(names[octet(w) % (sizeof names / sizeof *names)]), octet(w) % 4};
    a->hosts = w->hosts;
}

static void addresses(world *w, lmail_delivery_addresses *a)
{
    lmail_delivery_addresses_init(a);
    a->result = (lmail_delivery_lookup)(octet(w) % 8 % 3);
    a->count = octet(w) % 80;
    for (size_t i = 0; i < a->count; i++) {
        memset(&w->list[i], 0, sizeof w->list[i]);
        w->list[i].version = octet(w) % 2 ? 6 : 4;
        w->list[i].octets[3] = (unsigned char)(octet(w) % 16);
    }
    a->list = w->list;
}

static void connection(world *w, lmail_delivery_connection *a)
{
    lmail_delivery_connection_init(a);
    if (octet(w) % 3 == 0)
        a->word = word(w);
    if (!a->word.fault && octet(w) % 8) {
        a->id = ++w->connections;
        w->open++;
    }
    a->server_name = lmail_str_from(names[octet(w) % 2 + octet(w) % 64 / 60]);
    a->host = a->server_name;
    a->max_recipients = octet(w) % 5;
    a->cipher_bits = octet(w);
    a->certificate = (lmail_policy_certificate)(octet(w) % 5);
    a->certificate_name = text(w);
}

static void transaction(world *w, lmail_delivery_transaction *a)
{
    lmail_delivery_transaction_init(a);
    if (octet(w) % 2)
        a->word = word(w);
    a->ready = octet(w) % 2;
    a->dsn = octet(w) % 2;
}

static lmail_status ask(world *w, lmail_ticket t, unsigned kind)
{
    CHECK(!w->kind && t > w->ticket);
    w->ticket = t;
    CHECK(++w->questions < 1000);
    if (octet(w) % 16 == 15)
        return LMAIL_ERR_IO;
    if (octet(w) % 2)
        return LMAIL_OK;
    w->kind = kind;
    return LMAIL_PENDING;
}

#define QUESTION(name, event, type, kind, fill)                                                    \
    static lmail_status name(lmail_delivery *d, void *user, lmail_ticket t, const event *ev,       \
                             type *answer)                                                         \
    {                                                                                              \
        world *w = user;                                                                           \
        lmail_status st = ask(w, t, kind);                                                         \
        (void)d;                                                                                   \
        (void)ev;                                                                                  \
        if (st == LMAIL_OK)                                                                        \
            fill(w, answer);                                                                       \
        return st;                                                                                 \
    }
QUESTION(on_reuse, lmail_delivery_name_event, lmail_delivery_connection, REUSE, connection)
QUESTION(on_mx, lmail_delivery_name_event, lmail_delivery_mx, MX, mx)
QUESTION(on_addresses, lmail_delivery_name_event, lmail_delivery_addresses, ADDRESSES, addresses)
QUESTION(on_connect, lmail_delivery_connect_event, lmail_delivery_connection, CONNECT, connection)

static lmail_status on_transaction(lmail_delivery *d, void *user, lmail_ticket t,
                                   const lmail_delivery_transaction_event *ev,
                                   lmail_delivery_transaction *answer)
{
    world *w = user;
    (void)d;
    CHECK(ev->count && ev->count <= w->count && ev->connection);
    for (size_t i = 0; i < ev->count; i++) {
        CHECK(ev->recipients[i] < w->count && !w->results[ev->recipients[i]]);
        w->batch[i] = ev->recipients[i];
    }
    w->batch_count = ev->count;
    lmail_status st = ask(w, t, SEND);
    if (st == LMAIL_OK)
        transaction(w, answer);
    return st;
}

static void on_cancel(lmail_delivery *d, void *user, lmail_ticket t)
{
    world *w = user;
    (void)d;
    CHECK(w->kind && w->ticket == t);
    w->kind = 0;
}

static void on_release(lmail_delivery *d, void *user, uint64_t id, unsigned keep)
{
    world *w = user;
    (void)d;
    (void)keep;
    CHECK(id && id <= w->connections && w->open);
    w->open--;
}

static void on_result(lmail_delivery *d, void *user, const lmail_delivery_result *r)
{
    world *w = user;
    static const char class_of[] = {0, '2', '4', '5'};
    CHECK(!w->ended && r->recipient < w->count && ++w->results[r->recipient] == 1);
    CHECK(r->enhanced.len >= 5 && r->enhanced.ptr[0] == class_of[r->state]);
    for (size_t i = 0; i < r->text.len; i++)
        CHECK((unsigned char)r->text.ptr[i] >= ' ');
    CHECK(r->state != LMAIL_DELIVERY_FAILED || r->code >= 500);
    CHECK(r->state != LMAIL_DELIVERY_SENT || !r->doubtful);
    if (octet(w) % 64 == 63) /* a call from a callback is refused, and harmless */
        CHECK(lmail_delivery_stop(d, NULL, w->now) == LMAIL_ERR_REENTRANT);
}

static void on_end(lmail_delivery *d, void *user, const lmail_delivery_end_event *ev)
{
    world *w = user;
    (void)d;
    CHECK(!w->ended++ && ev->sent + ev->deferred + ev->failed == w->count);
}

static void answer(world *w)
{
    lmail_delivery_connection c;
    lmail_delivery_transaction x;
    lmail_delivery_addresses l;
    lmail_delivery_mx m;
    unsigned kind = w->kind;
    lmail_ticket t = w->ticket;
    w->now += octet(w) * 1000u;
    if (octet(w) % 32 == 31) {
        CHECK(lmail_delivery_stop(w->d, NULL, w->now) == LMAIL_OK && w->ended);
        return;
    }
    while (kind == SEND && octet(w) % 8) {
        lmail_delivery_word said = word(w);
        said.phase = octet(w) % 4 ? LMAIL_DELIVERY_AT_RCPT : LMAIL_DELIVERY_AT_END;
        CHECK(!lmail_delivery_told(w->d, t, w->batch[octet(w) % w->batch_count], &said, w->now));
    }
    w->kind = 0;
    lmail_status st = LMAIL_OK;
    if (kind == REUSE) {
        connection(w, &c);
        st = lmail_delivery_answer_reuse(w->d, t, &c, w->now);
    } else if (kind == CONNECT) {
        connection(w, &c);
        st = lmail_delivery_answer_connect(w->d, t, &c, w->now);
    } else if (kind == MX) {
        mx(w, &m);
        st = lmail_delivery_answer_mx(w->d, t, &m, w->now);
    } else if (kind == ADDRESSES) {
        addresses(w, &l);
        st = lmail_delivery_answer_addresses(w->d, t, &l, w->now);
    } else {
        transaction(w, &x);
        st = lmail_delivery_answer_transaction(w->d, t, &x, w->now);
    }
    CHECK(st == LMAIL_OK);
    CHECK(lmail_delivery_answer_mx(w->d, t, &(lmail_delivery_mx)LMAIL_DELIVERY_MX_INIT, w->now) ==
          LMAIL_ERR_STALE);
}

static lmail_policy *policy(void)
{
    static const char map[] = "Try_TLS:a.example NO\nTLS_Srv:b.example ENCR:128\n"
                              "TLS_Rcpt:r1@example.org VERIFY\nAuthInfo:10.0 \"I:x\" \"P:y\"\n";
    lmail_policy_config c;
    lmail_policy *p;
    lmail_policy_config_init(&c);
    c.host_name = LMAIL_STR("mx.here.example");
    c.access = (lmail_policy_file){LMAIL_STR("access"), {map, sizeof map - 1}};
    CHECK(!lmail_policy_new(&p, &c));
    return p;
}

static void deliver(world *w)
{
    static const lmail_str own = {"mx.here.example", 15};
    static const char *const targets[] = {"example.org", "[0.0.0.3]",  "[hub.example]",
                                          "/run/lmtp",   "[IPv6:::1]", "a.example"};
    const lmail_delivery_endpoint own_address = {{4, {0, 0, 0, 1}}, 0};
    lmail_delivery_config c = LMAIL_DELIVERY_CONFIG_INIT;
    lmail_delivery_handler h = LMAIL_DELIVERY_HANDLER_INIT;
    lmail_delivery_job job = LMAIL_DELIVERY_JOB_INIT;
    lmail_delivery_status_config sc = LMAIL_DELIVERY_STATUS_CONFIG_INIT;
    lmail_delivery_host hosts[4];
    lmail_delivery_setup *setup;
    lmail_delivery_status *status;
    char room[MOST][32];
    lmail_str list[MOST];
    static lmail_policy *p; /* immutable: one for all runs */
    if (!p)
        p = policy();
    sc.max_hosts = 16;
    sc.most = 60000;
    CHECK(!lmail_delivery_status_new(&status, &sc));
    c.policy = octet(w) % 2 ? p : NULL;
    c.own_names = &own;
    c.own_addresses = &own_address;
    c.own_name_count = c.own_address_count = 1;
    c.own_mx = octet(w) % 2;
    c.max_recipients = octet(w) % 6;
    c.connect_limit = octet(w) % 2 ? 60000 : 0;
    h = (lmail_delivery_handler){sizeof h,       on_reuse,  on_mx,      on_addresses, on_connect,
                                 on_transaction, on_cancel, on_release, on_result,    on_end};
    job.mailer = (lmail_delivery_mailer)(octet(w) % 4);
    job.tls = (lmail_delivery_tls)(octet(w) % 4);
    job.named = octet(w) % 2;
    job.reuse = octet(w) % 2;
    job.status = status;
    job.hosts = hosts;
    job.host_count = 1 + octet(w) % 4;
    for (size_t i = 0; i < job.host_count; i++)
        hosts[i] = (lmail_delivery_host){
            lmail_str_from(targets[octet(w) % (sizeof targets / sizeof *targets)]), octet(w) % 2,
            0};
    job.recipient_count = w->count = 1 + octet(w) % MOST;
    for (size_t i = 0; i < w->count; i++) {
        snprintf(room[i], sizeof room[i], "r%zu@example.org", i);
        list[i] = lmail_str_from(room[i]);
    }
    job.recipients = list;
    CHECK(!lmail_delivery_setup_new(&setup, &c, &h));
    lmail_status st = lmail_delivery_new(&w->d, setup, &job, w, 0);
    CHECK(st == LMAIL_OK || st == LMAIL_ERR_ARG);
    if (!st) {
        CHECK(!lmail_delivery_start(w->d, 0));
        while (w->kind)
            answer(w);
        CHECK(w->ended == 1 && lmail_delivery_ended(w->d) && !w->open);
        lmail_delivery_free(w->d);
    }
    lmail_delivery_setup_free(setup);
    lmail_delivery_status_free(status);
}

static void dispatch(world *w)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch_turn turns[8];
    lmail_dispatch *p;
    lmail_dispatch_counts n;
    size_t count = 0;
    c.max_turns = 8;
    c.max_per = 3;
    c.max_destinations = 12;
    CHECK(!lmail_dispatch_new(&p, &c));
    while (w->size) {
        unsigned what = octet(w);
        char name[2] = {(char)('a' + octet(w) % 20), 0};
        lmail_dispatch_done done = {(lmail_delivery_health)(what / 4 % 4), what / 16 % 2,
                                    what / 32 % 4, what / 128};
        w->now += what % 4 == 3 ? octet(w) * 1000u : 0;
        if (what % 4 == 0) {
            lmail_status st =
                lmail_dispatch_offer(p, lmail_str_from(name), (int)(what % 3) - 1, w->now);
            CHECK(st == LMAIL_OK || st == LMAIL_ERR_LIMIT);
        } else if (what % 4 == 1 && count < 8) {
            if (lmail_dispatch_next(p, w->now, &turns[count]) == LMAIL_OK)
                count++;
        } else if (what % 4 == 2 && count) {
            size_t i = octet(w) % count;
            CHECK(!lmail_dispatch_end_turn(p, turns[i].id, &done, w->now));
            turns[i] = turns[--count];
        } else if (what % 64 == 3) {
            lmail_dispatch_run(p, lmail_str_from(what > 128 ? name : ""), w->now);
        }
        lmail_dispatch_count(p, &n);
        CHECK(n.turns == count && n.destinations <= 12 && n.ready + n.waiting <= n.destinations);
        for (size_t i = 0; i < count; i++) {
            lmail_dispatch_facts f;
            CHECK(!lmail_dispatch_get(p, turns[i].destination, &f));
            CHECK(f.turns >= 1 && f.turns <= 3 && f.allowed >= 1 && f.allowed <= 3);
        }
    }
    /* When all is done and time has passed, whoever has work gets a turn. */
    lmail_dispatch_done good = {LMAIL_DELIVERY_ALIVE, 0, 0, 0};
    while (count)
        CHECK(!lmail_dispatch_end_turn(p, turns[--count].id, &good, w->now));
    w->now += 7200000;
    while (lmail_dispatch_next(p, w->now, &turns[0]) == LMAIL_OK)
        CHECK(!lmail_dispatch_end_turn(p, turns[0].id, &good, w->now));
    lmail_dispatch_count(p, &n);
    CHECK(!n.ready && !n.waiting && !n.turns);
    lmail_dispatch_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w = {0};
    if (size > 4096)
        return 0;
    w.data = data;
    w.size = size;
    deliver(&w);
    dispatch(&w);
    return 0;
}
