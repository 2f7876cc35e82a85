/* script.c - the scripted host: settings, rules, pending questions, the log, and the pump.
 *
 * Memory here is the C library's and never counted against the session. */
#include "support/script.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct script_rule {
    struct script_rule *next;
    char *pattern, *answer;
    int every;
    unsigned used;
};

struct script_setting {
    struct script_setting *next;
    char *key, *value;
    int asked;
};

struct script_piece {
    struct script_piece *next;
    char data[];
};

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

/* A NUL stands behind the octets, for string functions. */
void script_buffer_add(script_buffer *b, const char *ptr, size_t len)
{
    if (b->len + len + 1 > b->cap) {
        b->cap = (b->len + len + 1) * 2;
        b->ptr = need(realloc(b->ptr, b->cap));
    }
    if (len)
        memcpy(b->ptr + b->len, ptr, len);
    b->len += len;
    b->ptr[b->len] = 0;
}

void script_init(script *h, const script_adaptor *adaptor, const lmail_alloc *alloc)
{
    memset(h, 0, sizeof *h);
    h->adaptor = adaptor;
    h->now = 1000;
    if (alloc)
        h->alloc = *alloc;
}

void script_done(script *h)
{
    lmail_session_free(h->session);
    h->session = NULL;
    if (h->adaptor->close)
        h->adaptor->close(h);
    while (h->pending) {
        script_question *q = h->pending;
        h->pending = q->next;
        free(q->text);
        free(q);
    }
    while (h->rules) {
        struct script_rule *r = h->rules;
        h->rules = r->next;
        free(r->pattern);
        free(r->answer);
        free(r);
    }
    while (h->settings) {
        struct script_setting *s = h->settings;
        h->settings = s->next;
        free(s->key);
        free(s->value);
        free(s);
    }
    while (h->texts) {
        struct script_piece *t = h->texts;
        h->texts = t->next;
        free(t);
    }
    free(h->in.ptr);
    free(h->out.ptr);
    free(h->body.ptr);
    free(h->log.ptr);
    free(h->lent);
}

void script_fail(script *h, const char *format, ...)
{
    if (h->fault[0])
        return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(h->fault, sizeof h->fault, format, ap);
    va_end(ap);
}

/* ---- Settings and rules ---------------------------------------------------------------------- */

void script_set(script *h, const char *key, const char *value)
{
    struct script_setting *s = need(calloc(1, sizeof *s));
    s->key = need(strdup(key));
    s->value = need(strdup(value));
    s->next = h->settings;
    h->settings = s;
}

const char *script_get(script *h, const char *key)
{
    for (struct script_setting *s = h->settings; s; s = s->next)
        if (strcmp(s->key, key) == 0) {
            s->asked = 1;
            return s->value;
        }
    return NULL;
}

uint64_t script_get_number(script *h, const char *key, uint64_t otherwise)
{
    const char *v = script_get(h, key);
    if (!v)
        return otherwise;
    if (strcmp(v, "yes") == 0 || strcmp(v, "no") == 0)
        return v[0] == 'y';
    char *end;
    uint64_t n = strtoull(v, &end, 10);
    if (*end)
        script_fail(h, "config %s: not a number: %s", key, v);
    return n;
}

const char *script_unused(const script *h)
{
    for (const struct script_setting *s = h->settings; s; s = s->next)
        if (!s->asked)
            return s->key;
    return NULL;
}

void script_rule(script *h, const char *pattern, const char *answer, int every)
{
    struct script_rule **at = &h->rules;
    while (*at)
        at = &(*at)->next;
    *at = need(calloc(1, sizeof **at));
    (*at)->pattern = need(strdup(pattern));
    (*at)->answer = need(strdup(answer));
    (*at)->every = every;
}

const char *script_idle_rule(const script *h)
{
    for (const struct script_rule *r = h->rules; r; r = r->next)
        if (!r->used)
            return r->pattern;
    return NULL;
}

int script_match(const char *pattern, const char *text)
{
    const char *star = NULL, *mark = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            mark = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++mark;
        } else {
            return 0;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static char *piece(script *h, size_t size)
{
    struct script_piece *p = need(malloc(sizeof *p + size));
    p->next = h->texts;
    h->texts = p;
    return p->data;
}

const char *script_text(script *h, lmail_str octets)
{
    char *to = piece(h, octets.len * 4 + 1), *start = to;
    for (size_t i = 0; i < octets.len; i++) {
        unsigned char c = (unsigned char)octets.ptr[i];
        static const char from[] = "\r\n\t\\\"", into[] = "rnt\\\"";
        const char *f = c ? strchr(from, c) : NULL;
        if (f) {
            *to++ = '\\';
            *to++ = into[f - from];
            continue;
        }
        if (c == 0) {
            *to++ = '\\';
            *to++ = '0';
        } else if (c < 0x20 || c > 0x7e) {
            to += sprintf(to, "\\x%02x", c);
        } else {
            *to++ = (char)c;
        }
    }
    *to = 0;
    return start;
}

const char *script_keep(script *h, const char *text)
{
    return strcpy(piece(h, strlen(text) + 1), text);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

lmail_str script_octets(script *h, const char *escaped)
{
    script_buffer b = {0};
    for (const char *p = escaped; *p; p++) {
        char c = *p;
        if (c == '\\' && p[1] == '*') {
            char *end;
            size_t n = strtoul(p + 2, &end, 10);
            if (*end == ';' && end[1]) {
                while (n--)
                    script_buffer_add(&b, end + 1, 1);
                p = end + 1;
                continue;
            }
        } else if (c == '\\' && p[1] == 'x' && hex(p[2]) >= 0 && hex(p[3]) >= 0) {
            c = (char)(hex(p[2]) * 16 + hex(p[3]));
            p += 3;
        } else if (c == '\\' && p[1]) {
            static const char from[] = "rnt0\\\"", into[] = "\r\n\t\0\\\"";
            const char *f = strchr(from, p[1]);
            if (f) {
                c = into[f - from];
                p++;
            }
        }
        script_buffer_add(&b, &c, 1);
    }
    char *kept = piece(h, b.len + 1);
    if (b.len)
        memcpy(kept, b.ptr, b.len);
    free(b.ptr);
    return (lmail_str){kept, b.len};
}

void script_collect(script *h, lmail_str octets)
{
    script_buffer_add(&h->body, octets.ptr, octets.len);
}

lmail_str script_collected(script *h)
{
    char *kept = piece(h, h->body.len + 1);
    size_t len = h->body.len;
    if (len)
        memcpy(kept, h->body.ptr, len);
    h->body.len = 0;
    return (lmail_str){kept, len};
}

/* ---- Questions ------------------------------------------------------------------------------- */

static void note(script *h, const char *first, const char *rest)
{
    if (h->keep_quiet)
        return;
    script_buffer_add(&h->log, first, strlen(first));
    script_buffer_add(&h->log, rest, strlen(rest));
    script_buffer_add(&h->log, "\n", 1);
}

static char *print(const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    char *text = need(malloc((size_t)n + 1));
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

void script_note(script *h, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = print(format, ap);
    va_end(ap);
    note(h, "", text);
    free(text);
}

void script_trace(void *user, const lmail_trace *ev)
{
    static const char *const names[] = {"",          "in",       "out",    "state",   "limit",
                                        "violation", "question", "answer", "command", "done"};
    script *h = user;
    if (ev->kind == LMAIL_TRACE_QUESTION || ev->kind == LMAIL_TRACE_ANSWER)
        return;
    script_note(h, "trace %s %s", names[ev->kind], script_text(h, ev->text));
}

static script_question *wait_for(script *h, lmail_ticket t, unsigned kind, char *text)
{
    script_question *q = need(calloc(1, sizeof *q));
    q->ticket = t;
    q->kind = kind;
    q->text = text;
    q->next = h->pending;
    h->pending = q;
    return q;
}

static const char *find_answer(script *h, const char *question, const char *usual)
{
    for (struct script_rule *r = h->rules; r; r = r->next)
        if ((r->every || !r->used) && script_match(r->pattern, question)) {
            r->used++;
            return r->answer;
        }
    return usual;
}

static int error_by_name(const char *name)
{
#define XX(id, value, text)                                                                        \
    if (strcmp(name, #id) == 0)                                                                    \
        return value;
    LMAIL_STATUS_MAP(XX)
#undef XX
    return LMAIL_ERR_ARG;
}

const char *script_ask(script *h, lmail_ticket t, unsigned kind, const char *usual, int *st,
                       const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = print(format, ap);
    va_end(ap);
    note(h, "", text);
    h->questions++;
    const char *answer = find_answer(h, text, usual);
    if (h->decide)
        answer = h->decide(h, text, answer);
    if (answer && strcmp(answer, "pending") == 0)
        answer = NULL;
    if (h->gone_at == h->questions && !h->gone) {
        h->gone = 1;
        wait_for(h, t, kind, text);
        *st = LMAIL_PENDING;
        return NULL;
    }
    if (answer && strncmp(answer, "error ", 6) == 0) {
        *st = error_by_name(answer + 6);
        free(text);
        return answer;
    }
    if (!answer || h->late) {
        wait_for(h, t, kind, text)->answer = answer;
        *st = LMAIL_PENDING;
        return NULL;
    }
    free(text);
    *st = LMAIL_OK;
    return answer;
}

void script_cancelled(script *h, lmail_ticket t)
{
    for (script_question *q = h->pending; q; q = q->next)
        if (q->ticket == t) {
            if (q->cancelled)
                script_fail(h, "cancelled twice: %s", q->text);
            q->cancelled = 1;
            note(h, "cancel ", q->text);
            return;
        }
    script_fail(h, "a question was cancelled that is not pending");
}

static lmail_status hand_back(script *h, script_question *q, const char *text)
{
    script_question **at = &h->pending;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    int cancelled = q->cancelled;
    lmail_status st = h->adaptor->answer(h, q, text, h->now);
    if (cancelled && st != LMAIL_ERR_STALE)
        script_fail(h, "answer to cancelled '%s' gave %s", q->text, lmail_status_name(st));
    if (!cancelled && st == LMAIL_ERR_STALE)
        script_fail(h, "answer to '%s' was stale, but nothing cancelled it", q->text);
    if (!cancelled && st < 0)
        h->status = st;
    free(q->text);
    free(q);
    return st;
}

lmail_status script_answer(script *h, const char *pattern, const char *text)
{
    script_question *oldest = NULL;
    for (script_question *q = h->pending; q; q = q->next)
        if (!pattern || script_match(pattern, q->text))
            oldest = q;
    return oldest ? hand_back(h, oldest, text) : LMAIL_ERR_NOTFOUND;
}

/* Oldest first, those that have their answer. 1 when there was one. */
static int answer_one(script *h)
{
    script_question *oldest = NULL;
    for (script_question *q = h->pending; q; q = q->next)
        if (q->answer)
            oldest = q;
    if (!oldest)
        return 0;
    hand_back(h, oldest, oldest->answer);
    return 1;
}

/* ---- The pump -------------------------------------------------------------------------------- */

static void seen(script *h, lmail_status st)
{
    if (st < 0)
        h->status = st;
}

int script_open(script *h)
{
    h->session = h->adaptor->open(h, h->alloc.resize ? &h->alloc : NULL, h->now);
    return h->session ? 0 : -1;
}

void script_input(script *h, const char *ptr, size_t len)
{
    script_buffer_add(&h->in, ptr, len);
}

static void drain(script *h)
{
    for (;;) {
        lmail_str shown[4];
        size_t n = lmail_session_peek(h->session, shown, 4);
        if (n == 0)
            return;
        size_t take = shown[0].len;
        if (h->split && take > h->split)
            take = h->split;
        script_buffer_add(&h->out, shown[0].ptr, take);
        lmail_status st = lmail_session_sent(h->session, take, h->now);
        seen(h, st);
        if (st < 0)
            return;
    }
}

/* A copy of exactly the piece's size, so that a sanitizer sees a read beyond it, or after it. */
static int feed_piece(script *h)
{
    size_t left = h->in.len - h->fed;
    size_t size = h->split && left > h->split ? h->split : left;
    if (lmail_session_wants(h->session) & LMAIL_WANT_HOLD)
        return 0;
    free(h->lent);
    h->lent = need(malloc(size));
    h->lent_size = size;
    memcpy(h->lent, h->in.ptr + h->fed, size);
    size_t used = 0;
    lmail_status st = lmail_session_feed(h->session, (lmail_str){h->lent, size}, &used, h->now);
    seen(h, st);
    h->fed += used;
    if (!(lmail_session_wants(h->session) & LMAIL_WANT_HOLD)) {
        free(h->lent);
        h->lent = NULL;
    }
    return used > 0;
}

static void leave(script *h)
{
    h->gone = 2;
    script_eof(h);
    while (h->pending)
        script_answer(h, NULL, "");
    if (lmail_session_tickets(h->session) != 0)
        script_fail(h, "tickets are out after all came home");
}

static void check_stuck(script *h)
{
    unsigned wants = lmail_session_wants(h->session);
    if (h->status >= 0 && !wants && lmail_session_tickets(h->session) == 0 &&
        lmail_session_deadline(h->session) == LMAIL_NEVER)
        script_fail(h, "stuck: the session wants nothing and waits for nothing");
}

void script_run(script *h)
{
    unsigned idle = 0;
    for (int moved = 1; moved && h->status >= 0 && h->gone < 2;) {
        moved = 0;
        if (lmail_session_deadline(h->session) <= h->now && idle < 8) {
            seen(h, lmail_session_tick(h->session, h->now));
            moved = 1;
            idle++;
        }
        if (h->gone == 1) {
            leave(h);
            return;
        }
        if ((lmail_session_wants(h->session) & LMAIL_WANT_READ) && h->fed < h->in.len) {
            unsigned before = h->questions;
            if (feed_piece(h) || h->questions != before ||
                !(lmail_session_wants(h->session) & LMAIL_WANT_READ))
                idle = 0;
            else if (++idle > 8)
                script_fail(h, "the session wants READ but takes nothing");
            moved = idle < 8;
        }
        if (h->gone == 1)
            continue;
        if (h->status >= 0 && answer_one(h))
            moved = 1;
        if (lmail_session_wants(h->session) & LMAIL_WANT_WRITE) {
            drain(h);
            moved = 1;
        }
    }
    if (h->gone == 0)
        check_stuck(h);
}

void script_eof(script *h)
{
    lmail_status st = lmail_session_eof(h->session, h->now);
    seen(h, st);
    if (st >= 0)
        drain(h);
}

lmail_status script_tls(script *h, const lmail_tls_facts *facts)
{
    static const lmail_tls_facts usual = {.size = sizeof(lmail_tls_facts),
                                          .version = {"TLSv1.3", 7},
                                          .cipher = {"TLS1-3-AES-256-GCM-SHA384", 25},
                                          .bits = 256};
    lmail_status st = LMAIL_OK;
    if (lmail_session_wants(h->session) & LMAIL_WANT_TLS)
        st = lmail_session_tls_begin(h->session, h->in.len - h->fed, h->now);
    if (st >= 0)
        st = lmail_session_tls_done(h->session, facts ? facts : &usual, h->now);
    if (st != LMAIL_ERR_CLOSED)
        seen(h, st);
    return st;
}

void script_flags(script *h, const script_flag *table, uint64_t *on, uint64_t *off)
{
    const char *text = script_get(h, "flags");
    char *copy = strdup(text ? text : ""), *save = NULL;
    *on = *off = 0;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        const script_flag *f = table;
        while (f->name && strcmp(w + 1, f->name) != 0)
            f++;
        if (!f->name || (w[0] != '+' && w[0] != '-'))
            script_fail(h, "config flags: unknown: %s", w);
        else
            *(w[0] == '+' ? on : off) |= f->bit;
    }
    free(copy);
}
