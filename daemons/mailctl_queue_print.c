/* How mailctl's queue commands write a message: a line, JSON, or at length. What came from peers
 * cannot harm a terminal or break a line. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <libmail/codec.h>
#include <libmail/smtp.h>

#include "mailctl_queue.h"

static const char *const body_names[] = {"", "7BIT", "8BITMIME", "BINARYMIME"};
static const char *const ret_names[] = {"", "FULL", "HDRS"};
static const char *const notify_names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};

static const char *named(const char *const *names, size_t count, unsigned n)
{
    return n < count ? names[n] : "";
}

/* The next code point of a text that may stop inside a sequence. */
static size_t next_point(lmail_str s, uint32_t *point, int *good)
{
    size_t n = lmail_utf8_get(s, point, good);
    if (n)
        return n;
    *point = LMAIL_UTF8_BAD;
    *good = 0;
    return s.len;
}

void queue_print_text(FILE *to, lmail_str s)
{
    while (s.len) {
        uint32_t point;
        int good;
        size_t n = next_point(s, &point, &good);
        if (good && point >= 0x20 && (point < 0x7f || point > 0x9f))
            fwrite(s.ptr, 1, n, to);
        else
            for (size_t i = 0; i < n; i++)
                fprintf(to, "\\x%02X", (unsigned)(unsigned char)s.ptr[i]);
        s.ptr += n;
        s.len -= n;
    }
}

/* "2026-01-31T12:00:00Z"; out has 32. */
static const char *time_text(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}

static const char *state_text(const lmail_queue_message *m)
{
    return m->pending                           ? "pending"
           : m->held == LMAIL_QUEUE_QUARANTINED ? "quarantined"
           : m->held                            ? "held"
                                                : "waiting";
}

/* ---- A line ---------------------------------------------------------------------------------- */

void queue_print_line(FILE *to, const lmail_queue_message *m)
{
    char id[LMAIL_QUEUE_ID_TEXT], when[32];
    int first = 1;
    lmail_queue_id_write(m->id, id);
    fprintf(to, "%s\t%s\t%" PRIu64 "\t%s\t<", id, time_text(m->arrived, when), m->octets,
            state_text(m));
    queue_print_text(to, m->sender);
    fputs(">\t", to);
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].state != LMAIL_QUEUE_WAITING)
            continue;
        fputs(first ? "<" : ",<", to);
        queue_print_text(to, m->recipients[i].address);
        putc('>', to);
        first = 0;
    }
    putc('\n', to);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* RFC 8259 §7. Octets that are no UTF-8 become U+FFFD. */
static void json_text(FILE *to, const char *name, lmail_str s)
{
    fprintf(to, "\"%s\":\"", name);
    while (s.len) {
        uint32_t point;
        int good;
        size_t n = next_point(s, &point, &good);
        if (!good)
            fputs("\\ufffd", to);
        else if (point == '"' || point == '\\')
            fprintf(to, "\\%c", (int)point);
        else if (point < 0x20 || point == 0x7f)
            fprintf(to, "\\u%04x", (unsigned)point);
        else
            fwrite(s.ptr, 1, n, to);
        s.ptr += n;
        s.len -= n;
    }
    putc('"', to);
}

static void json_more(FILE *to, const char *name, lmail_str s)
{
    putc(',', to);
    json_text(to, name, s);
}

static void json_time(FILE *to, const char *name, int64_t ms)
{
    char when[32];
    if (ms > 0)
        json_more(to, name, lmail_str_from(time_text(ms, when)));
}

static void json_optional(FILE *to, const char *name, unsigned has, lmail_str s)
{
    if (has)
        json_more(to, name, s);
}

static void json_recipient(FILE *to, const lmail_queue_recipient *r)
{
    putc('{', to);
    json_text(to, "address", r->address);
    json_optional(to, "route", r->route.len != 0, r->route);
    json_more(to, "destination", r->destination);
    json_more(to, "state", lmail_str_from(lmail_queue_state_name(r->state)));
    fprintf(to, ",\"attempts\":%u", r->attempts);
    json_time(to, "next", r->next);
    json_time(to, "last", r->last);
    json_time(to, "warned", r->warned);
    if (r->code)
        fprintf(to, ",\"code\":%u", r->code);
    json_optional(to, "enhanced", r->enhanced.len != 0, r->enhanced);
    json_optional(to, "reply", r->reply.len != 0, r->reply);
    json_optional(to, "host", r->host.len != 0, r->host);
    if (r->notify) {
        const char *between = "";
        fputs(",\"notify\":[", to);
        for (unsigned i = 0; i < 4; i++)
            if (r->notify & 1u << i) {
                fprintf(to, "%s\"%s\"", between, notify_names[i]);
                between = ",";
            }
        putc(']', to);
    }
    json_optional(to, "orcpt", r->has_orcpt, r->orcpt);
    putc('}', to);
}

void queue_print_json(FILE *to, const lmail_queue_message *m)
{
    char id[LMAIL_QUEUE_ID_TEXT];
    lmail_queue_id_write(m->id, id);
    putc('{', to);
    json_text(to, "id", lmail_str_from(id));
    json_time(to, "arrived", m->arrived);
    fprintf(to, ",\"octets\":%" PRIu64, m->octets);
    json_more(to, "state", lmail_str_from(state_text(m)));
    json_optional(to, "reason", m->held != LMAIL_QUEUE_FREE, m->reason);
    json_more(to, "sender", m->sender);
    json_optional(to, "envid", m->has_envid, m->envid);
    json_optional(to, "auth", m->has_auth, m->auth);
    json_optional(to, "submitter", m->submitter.len != 0, m->submitter);
    json_optional(to, "client", m->client.len != 0, m->client);
    json_optional(to, "local_address", m->local_address.len != 0, m->local_address);
    json_optional(to, "ret", m->ret != 0, lmail_str_from(named(ret_names, 3, m->ret)));
    json_optional(to, "body", m->body != 0, lmail_str_from(named(body_names, 4, m->body)));
    fprintf(to, ",\"smtputf8\":%s,\"priority\":%d,\"recipients\":[",
            m->flags & LMAIL_QUEUE_SMTPUTF8 ? "true" : "false", m->priority);
    for (size_t i = 0; i < m->recipient_count; i++) {
        if (i)
            putc(',', to);
        json_recipient(to, &m->recipients[i]);
    }
    fputs("]}\n", to);
}

/* ---- At length ------------------------------------------------------------------------------- */

static void fact(FILE *to, const char *name, unsigned has, lmail_str s)
{
    if (!has)
        return;
    fprintf(to, "%-10s ", name);
    queue_print_text(to, s);
    putc('\n', to);
}

static void long_recipient(FILE *to, const lmail_queue_recipient *r)
{
    char when[32];
    fputs("to         <", to);
    queue_print_text(to, r->address);
    fprintf(to, ">: %s", lmail_queue_state_name(r->state));
    if (r->attempts)
        fprintf(to, ", %u attempt%s", r->attempts, r->attempts > 1 ? "s" : "");
    if (r->last)
        fprintf(to, ", the last %s", time_text(r->last, when));
    if (r->state == LMAIL_QUEUE_WAITING && r->next)
        fprintf(to, ", the next %s", time_text(r->next, when));
    putc('\n', to);
    if (r->reply.len || r->code) {
        fputs("           ", to);
        if (r->code)
            fprintf(to, "%u ", r->code);
        queue_print_text(to, r->enhanced);
        fputs(r->enhanced.len ? " " : "", to);
        queue_print_text(to, r->reply);
        if (r->host.len) {
            fputs(" (", to);
            queue_print_text(to, r->host);
            putc(')', to);
        }
        putc('\n', to);
    }
    fact(to, "  route", r->route.len != 0, r->route);
    for (unsigned i = 0; i < 4; i++)
        fact(to, "  notify", r->notify & 1u << i, lmail_str_from(notify_names[i]));
    fact(to, "  orcpt", r->has_orcpt, r->orcpt);
}

void queue_print_long(FILE *to, const lmail_queue_message *m)
{
    char id[LMAIL_QUEUE_ID_TEXT], when[32];
    lmail_queue_id_write(m->id, id);
    fprintf(to, "id         %s\n", id);
    fprintf(to, "arrived    %s\n", time_text(m->arrived, when));
    fprintf(to, "octets     %" PRIu64 "\n", m->octets);
    fprintf(to, "state      %s\n", state_text(m));
    fact(to, "reason", m->held != LMAIL_QUEUE_FREE, m->reason);
    fputs("from       <", to);
    queue_print_text(to, m->sender);
    fputs(">\n", to);
    fact(to, "envid", m->has_envid, m->envid);
    fact(to, "ret", m->ret != 0, lmail_str_from(named(ret_names, 3, m->ret)));
    fact(to, "body", m->body != 0, lmail_str_from(named(body_names, 4, m->body)));
    fact(to, "smtputf8", m->flags & LMAIL_QUEUE_SMTPUTF8, LMAIL_STR("yes"));
    fact(to, "auth", m->has_auth, m->auth);
    fact(to, "submitter", m->submitter.len != 0, m->submitter);
    fact(to, "client", m->client.len != 0, m->client);
    if (m->priority)
        fprintf(to, "priority   %d\n", m->priority);
    for (size_t i = 0; i < m->recipient_count; i++)
        long_recipient(to, &m->recipients[i]);
}
