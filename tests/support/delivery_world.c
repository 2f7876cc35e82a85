/* delivery_world.c - the scripted world around a delivery machine. */
#include "support/delivery_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONE, REUSE, MX, ADDR, CONNECT, SEND };

static void note(char *buf, size_t cap, const char *format, ...)
{
    size_t n = strlen(buf);
    va_list args;
    va_start(args, format);
    vsnprintf(buf + n, cap - n, format, args);
    va_end(args);
}

/* The rest of the first line that begins with these words; NULL: there is none. */
static const char *fact(delivery_world *w, char *out, size_t cap, const char *verb, const char *key,
                        const char *second)
{
    char head[512];
    snprintf(head, sizeof head, "%s %s%s%s ", verb, key, second ? " " : "", second ? second : "");
    for (char *line = w->facts; *line;) {
        char *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        int once = strncmp(line, "once ", 5) == 0;
        char *begin = line + (once ? 5 : 0);
        if (strncmp(begin, head, strlen(head)) == 0) {
            size_t at = (size_t)(begin - line) + strlen(head);
            snprintf(out, cap, "%.*s", (int)(len - at), line + at);
            if (once)
                memset(line, '#', len);
            return out;
        }
        line += len + (end != NULL);
    }
    return NULL;
}

static lmail_str word_at(const char **at)
{
    while (**at == ' ')
        ++*at;
    const char *begin = *at;
    while (**at && **at != ' ')
        ++*at;
    return (lmail_str){begin, (size_t)(*at - begin)};
}

static int is(lmail_str s, const char *text)
{
    return lmail_str_equal(s, lmail_str_from(text));
}

static int address_of(lmail_str s, lmail_delivery_address *out)
{
    char text[64];
    unsigned v[8] = {0};
    memset(out, 0, sizeof *out);
    snprintf(text, sizeof text, "%.*s", (int)s.len, s.ptr);
    if (sscanf(text, "%u.%u.%u.%u", &v[0], &v[1], &v[2], &v[3]) == 4) {
        out->version = 4;
        for (int i = 0; i < 4; i++)
            out->octets[i] = (unsigned char)v[i];
        return 1;
    }
    if (sscanf(text, "2001:db8::%x", &v[0]) != 1)
        return 0;
    out->version = 6;
    memcpy(out->octets, "\x20\x01\x0d\xb8", 4);
    out->octets[14] = (unsigned char)(v[0] >> 8);
    out->octets[15] = (unsigned char)v[0];
    return 1;
}

/* "550 5.1.1 text", "lost", "timeout" */
static lmail_delivery_word word_of(const char *text, lmail_delivery_phase phase)
{
    lmail_delivery_word w = {LMAIL_DELIVERY_REPLY, phase, 0, {NULL, 0}, {NULL, 0}};
    static const struct {
        const char *name;
        lmail_delivery_fault fault;
    } faults[] = {{"refused", LMAIL_DELIVERY_REFUSED},  {"unreachable", LMAIL_DELIVERY_UNREACHABLE},
                  {"timeout", LMAIL_DELIVERY_TIMEOUT},  {"lost", LMAIL_DELIVERY_LOST},
                  {"tls", LMAIL_DELIVERY_NO_TLS},       {"ours", LMAIL_DELIVERY_OURS},
                  {"garbage", LMAIL_DELIVERY_PROTOCOL}, {"lacks", LMAIL_DELIVERY_UNSUPPORTED}};
    lmail_str first = word_at(&text);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (is(first, faults[i].name)) {
            w.fault = faults[i].fault;
            w.code = (unsigned)atoi(text);
            return w;
        }
    w.code = (unsigned)atoi(first.ptr);
    const char *rest = text;
    lmail_str second = word_at(&rest);
    if (second.len >= 5 && second.ptr[1] == '.')
        w.enhanced = second;
    else
        rest = text;
    while (*rest == ' ')
        rest++;
    w.text = lmail_str_from(rest);
    return w;
}

/* ---- Answers --------------------------------------------------------------------------------- */

typedef struct answers {
    char text[1024];
    lmail_delivery_mx mx;
    lmail_delivery_mx_host hosts[16];
    lmail_delivery_addresses addresses;
    lmail_delivery_address list[16];
    lmail_delivery_connection connection;
    lmail_delivery_transaction transaction;
} answers;

static void answer_mx(delivery_world *w, answers *a)
{
    const char *f = fact(w, a->text, sizeof a->text, "mx", w->open_name, NULL);
    lmail_delivery_mx_init(&a->mx);
    if (!f)
        return;
    if (strcmp(f, "temp") == 0)
        a->mx.result = LMAIL_DELIVERY_TEMP;
    else if (strcmp(f, "none") == 0 || strcmp(f, "null") == 0)
        a->mx.result = LMAIL_DELIVERY_NONE;
    a->mx.null_mx = strcmp(f, "null") == 0;
    while (!a->mx.result && *f && a->mx.count < 16) {
        a->hosts[a->mx.count].preference = (unsigned)atoi(word_at(&f).ptr);
        a->hosts[a->mx.count++].name = word_at(&f);
    }
    a->mx.hosts = a->hosts;
}

static void answer_addresses(delivery_world *w, answers *a)
{
    const char *f = fact(w, a->text, sizeof a->text, "addr", w->open_name, NULL);
    lmail_delivery_addresses_init(&a->addresses);
    a->addresses.list = a->list;
    a->addresses.result = f ? LMAIL_DELIVERY_FOUND : LMAIL_DELIVERY_NONE;
    if (f && strcmp(f, "temp") == 0)
        a->addresses.result = LMAIL_DELIVERY_TEMP;
    else if (f && strcmp(f, "none") == 0)
        a->addresses.result = LMAIL_DELIVERY_NONE;
    while (f && !a->addresses.result && *f && a->addresses.count < 16)
        a->addresses.count += (size_t)address_of(word_at(&f), &a->list[a->addresses.count]);
}

static void connected(delivery_world *w, answers *a, const char *address)
{
    uint64_t id = ++w->last_connection;
    snprintf(w->address_room[id % 256], sizeof w->address_room[0], "%s", address);
    a->connection.id = id;
    w->open_connections++;
}

static void answer_connect(delivery_world *w, answers *a)
{
    const char *f = fact(w, a->text, sizeof a->text, "conn", w->open_name, NULL);
    lmail_delivery_connection_init(&a->connection);
    lmail_delivery_connection *c = &a->connection;
    if (!f)
        f = "ok";
    if (strncmp(f, "ok", 2) == 0) {
        connected(w, a, w->open_name);
        for (f += 2; *f;) {
            lmail_str o = word_at(&f);
            if (o.len > 5 && memcmp(o.ptr, "name=", 5) == 0)
                c->server_name = (lmail_str){o.ptr + 5, o.len - 5};
            else if (o.len > 4 && memcmp(o.ptr, "max=", 4) == 0)
                c->max_recipients = (size_t)atoi(o.ptr + 4);
            else if (o.len > 5 && memcmp(o.ptr, "bits=", 5) == 0)
                c->cipher_bits = (unsigned)atoi(o.ptr + 5);
            else if (is(o, "verified"))
                c->certificate = LMAIL_POLICY_CERTIFICATE_VERIFIED;
        }
        return;
    }
    static const struct {
        const char *name;
        lmail_delivery_phase phase;
    } phases[] = {{"greeting ", LMAIL_DELIVERY_AT_GREETING},
                  {"ehlo ", LMAIL_DELIVERY_AT_EHLO},
                  {"auth ", LMAIL_DELIVERY_AT_AUTH}};
    for (size_t i = 0; i < 3; i++)
        if (strncmp(f, phases[i].name, strlen(phases[i].name)) == 0) {
            c->word = word_of(f + strlen(phases[i].name), phases[i].phase);
            return;
        }
    c->word =
        word_of(f, strncmp(f, "tls", 3) == 0 ? LMAIL_DELIVERY_AT_TLS : LMAIL_DELIVERY_AT_CONNECT);
}

static void answer_reuse(delivery_world *w, answers *a)
{
    const char *f = fact(w, a->text, sizeof a->text, "reuse", w->open_name, NULL);
    lmail_delivery_connection_init(&a->connection);
    if (!f)
        return;
    connected(w, a, f);
    address_of(lmail_str_from(f), &a->connection.address);
    a->connection.host = LMAIL_STR("open.example");
}

static void heed(delivery_world *w, lmail_status st)
{
    if (st && !w->status)
        w->status = st;
}

static void tell_end(delivery_world *w, lmail_ticket t, size_t i, const char *server)
{
    char text[512];
    const char *f = fact(w, text, sizeof text, "fin", server, w->list[i].ptr);
    lmail_delivery_word word = word_of(f ? f : "250 stored", LMAIL_DELIVERY_AT_END);
    if (!f || strcmp(f, "none") != 0)
        heed(w, lmail_delivery_told(w->d, t, i, &word, w->now));
}

static void answer_transaction(delivery_world *w, answers *a)
{
    const char *server = w->address_room[w->open_connection % 256];
    lmail_delivery_transaction *x = &a->transaction;
    char text[512];
    size_t accepted[64], count = 0;
    lmail_delivery_transaction_init(x);
    const char *f = fact(w, a->text, sizeof a->text, "mail", server, NULL);
    if (f) {
        x->word = word_of(f, LMAIL_DELIVERY_AT_MAIL);
        x->ready = x->word.fault == LMAIL_DELIVERY_REPLY && x->word.code != 421;
        return;
    }
    for (size_t i = 0; i < w->batch_count; i++) {
        f = fact(w, text, sizeof text, "say", server, w->list[w->batch[i]].ptr);
        lmail_delivery_word word = word_of(f ? f : "250 ok", LMAIL_DELIVERY_AT_RCPT);
        heed(w, lmail_delivery_told(w->d, w->open_ticket, w->batch[i], &word, w->now));
        if (word.code / 100 == 2)
            accepted[count++] = w->batch[i];
    }
    x->ready = 1;
    if (!count)
        return;
    for (size_t i = 0; w->job.mailer == LMAIL_DELIVERY_LMTP && i < count; i++)
        tell_end(w, w->open_ticket, accepted[i], server);
    f = fact(w, a->text, sizeof a->text, "end", server, NULL);
    if (!f)
        f = "250 queued";
    x->word = word_of(f, LMAIL_DELIVERY_AT_END);
    x->ready = x->word.fault == LMAIL_DELIVERY_REPLY && x->word.code != 421 && !strstr(f, "closed");
    x->dsn = strstr(f, "dsn") != NULL;
    if (x->word.code / 100 == 2)
        x->word.fault = LMAIL_DELIVERY_FINE;
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static void asked(delivery_world *w, lmail_ticket t, unsigned kind, lmail_str name)
{
    w->open_kind = kind;
    w->open_ticket = t;
    w->now += w->cost;
    snprintf(w->open_name, sizeof w->open_name, "%.*s", (int)name.len, name.ptr);
}

static lmail_status on_reuse(lmail_delivery *d, void *user, lmail_ticket t,
                             const lmail_delivery_name_event *ev, lmail_delivery_connection *out)
{
    delivery_world *w = user;
    static answers a;
    (void)d;
    note(w->asked, sizeof w->asked, "reuse %.*s\n", (int)ev->name.len, ev->name.ptr);
    asked(w, t, REUSE, ev->name);
    if (w->late)
        return LMAIL_PENDING;
    answer_reuse(w, &a);
    *out = a.connection;
    w->open_kind = NONE;
    return LMAIL_OK;
}

static lmail_status on_mx(lmail_delivery *d, void *user, lmail_ticket t,
                          const lmail_delivery_name_event *ev, lmail_delivery_mx *out)
{
    delivery_world *w = user;
    static answers a;
    (void)d;
    note(w->asked, sizeof w->asked, "mx %.*s\n", (int)ev->name.len, ev->name.ptr);
    asked(w, t, MX, ev->name);
    if (w->late)
        return LMAIL_PENDING;
    answer_mx(w, &a);
    *out = a.mx;
    w->open_kind = NONE;
    return LMAIL_OK;
}

static lmail_status on_addresses(lmail_delivery *d, void *user, lmail_ticket t,
                                 const lmail_delivery_name_event *ev, lmail_delivery_addresses *out)
{
    delivery_world *w = user;
    static answers a;
    (void)d;
    note(w->asked, sizeof w->asked, "addr %.*s\n", (int)ev->name.len, ev->name.ptr);
    asked(w, t, ADDR, ev->name);
    if (w->late)
        return LMAIL_PENDING;
    answer_addresses(w, &a);
    *out = a.addresses;
    w->open_kind = NONE;
    return LMAIL_OK;
}

static lmail_status on_connect(lmail_delivery *d, void *user, lmail_ticket t,
                               const lmail_delivery_connect_event *ev,
                               lmail_delivery_connection *out)
{
    delivery_world *w = user;
    static answers a;
    static const char *const tls[] = {"", " clear", " tls", " verify"};
    (void)d;
    note(w->asked, sizeof w->asked, "connect %.*s %.*s %u%s", (int)ev->host.len, ev->host.ptr,
         (int)ev->address_text.len, ev->address_text.ptr, ev->port, tls[ev->tls]);
    if (ev->credentials)
        note(w->asked, sizeof w->asked, " as %.*s", (int)ev->credentials->authid.len,
             ev->credentials->authid.ptr);
    note(w->asked, sizeof w->asked, "\n");
    asked(w, t, CONNECT, ev->address_text);
    if (w->late)
        return LMAIL_PENDING;
    answer_connect(w, &a);
    *out = a.connection;
    w->open_kind = NONE;
    return LMAIL_OK;
}

static lmail_status on_transaction(lmail_delivery *d, void *user, lmail_ticket t,
                                   const lmail_delivery_transaction_event *ev,
                                   lmail_delivery_transaction *out)
{
    delivery_world *w = user;
    (void)d;
    (void)out;
    w->open_connection = ev->connection;
    note(w->asked, sizeof w->asked, "send %s", w->address_room[ev->connection % 256]);
    w->batch_count = ev->count;
    for (size_t i = 0; i < ev->count; i++) {
        w->batch[i] = ev->recipients[i];
        note(w->asked, sizeof w->asked, " %.*s", (int)strcspn(w->list[ev->recipients[i]].ptr, "@"),
             w->list[ev->recipients[i]].ptr);
    }
    note(w->asked, sizeof w->asked, "\n");
    asked(w, t, SEND, LMAIL_STR(""));
    return LMAIL_PENDING;
}

static void on_cancel(lmail_delivery *d, void *user, lmail_ticket t)
{
    delivery_world *w = user;
    (void)d;
    if (t == w->open_ticket)
        w->open_kind = NONE;
}

static void on_release(lmail_delivery *d, void *user, uint64_t connection, unsigned keep)
{
    delivery_world *w = user;
    (void)d;
    (void)connection;
    w->open_connections--;
    w->kept += keep;
}

static void on_result(lmail_delivery *d, void *user, const lmail_delivery_result *r)
{
    delivery_world *w = user;
    (void)d;
    w->result_count[r->recipient]++;
    note(w->results, sizeof w->results, "%s %s %u %.*s %.*s [%.*s] %.*s%s%s\n",
         w->list[r->recipient].ptr, lmail_delivery_state_name(r->state), r->code,
         (int)r->enhanced.len, r->enhanced.ptr, (int)r->host.len, r->host.len ? r->host.ptr : "",
         (int)r->address.len, r->address.len ? r->address.ptr : "", (int)r->text.len, r->text.ptr,
         r->dsn ? " +dsn" : "", r->doubtful ? " +doubtful" : "");
}

static void on_end(lmail_delivery *d, void *user, const lmail_delivery_end_event *ev)
{
    delivery_world *w = user;
    (void)d;
    w->ends++;
    w->end = *ev;
}

/* ---- Running --------------------------------------------------------------------------------- */

void delivery_world_init(delivery_world *w, const char *facts)
{
    memset(w, 0, sizeof *w);
    snprintf(w->facts, sizeof w->facts, "%s", facts);
    lmail_delivery_config_init(&w->config);
    lmail_delivery_job_init(&w->job);
    w->host.name = LMAIL_STR("example.org");
    w->job.destination = LMAIL_STR("example.org");
    w->job.hosts = &w->host;
    w->job.host_count = 1;
}

static void answer(delivery_world *w)
{
    static answers a;
    unsigned kind = w->open_kind;
    lmail_ticket t = w->open_ticket;
    w->open_kind = NONE;
    switch (kind) {
    case REUSE:
        answer_reuse(w, &a);
        heed(w, lmail_delivery_answer_reuse(w->d, t, &a.connection, w->now));
        break;
    case MX:
        answer_mx(w, &a);
        heed(w, lmail_delivery_answer_mx(w->d, t, &a.mx, w->now));
        break;
    case ADDR:
        answer_addresses(w, &a);
        heed(w, lmail_delivery_answer_addresses(w->d, t, &a.addresses, w->now));
        break;
    case CONNECT:
        answer_connect(w, &a);
        heed(w, lmail_delivery_answer_connect(w->d, t, &a.connection, w->now));
        break;
    default:
        answer_transaction(w, &a);
        if (!lmail_delivery_ended(w->d)) /* out of memory in told */
            heed(w, lmail_delivery_answer_transaction(w->d, t, &a.transaction, w->now));
        break;
    }
}

void delivery_world_run(delivery_world *w, const char *recipients)
{
    lmail_delivery_handler h = LMAIL_DELIVERY_HANDLER_INIT;
    lmail_delivery_setup *setup = NULL;
    h.on_reuse = on_reuse;
    h.on_mx = on_mx;
    h.on_addresses = on_addresses;
    h.on_connect = on_connect;
    h.on_transaction = on_transaction;
    h.on_cancel = on_cancel;
    h.on_release = on_release;
    h.on_result = on_result;
    h.on_end = on_end;
    snprintf(w->recipients, sizeof w->recipients, "%s", recipients);
    w->job.recipient_count = 0;
    for (char *at = strtok(w->recipients, " "); at; at = strtok(NULL, " "))
        w->list[w->job.recipient_count++] = lmail_str_from(at);
    w->job.recipients = w->list;
    w->status = lmail_delivery_setup_new(&setup, &w->config, &h);
    if (w->status)
        return;
    w->status = lmail_delivery_new(&w->d, setup, &w->job, w, w->now);
    if (!w->status) {
        w->status = lmail_delivery_start(w->d, w->now);
        for (unsigned n = 1; w->open_kind != NONE; n++) {
            if (n == w->stop_at)
                heed(w, lmail_delivery_stop(w->d, NULL, w->now));
            else
                answer(w);
        }
    }
    lmail_delivery_free(w->d);
    w->d = NULL;
    lmail_delivery_setup_free(setup);
}
