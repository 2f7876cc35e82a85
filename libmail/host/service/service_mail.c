/* service_mail.c - one message on its way from an SMTP session into mailboxes.
 * What the queue has to do with: service_mail_queue.c.
 *
 * A small message waits in memory, so that a worker is asked once: spool, link, sync, index. A
 * larger one streams into the spool in pieces. Trace fields stand in front (RFC 5321 §4.4). Loops
 * are found by counting Received (RFC 5321 §6.3). */
#include "host/service/service_mail.h"
#include "host/service/service_letter.h"
#include "host/service/service_location.h"
#include "host/service/service_quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* ---- Life ------------------------------------------------------------------------------------ */

/* Time and a counter: unique in the process, and across processes but for the same microsecond. */
uint64_t lmi_mail_number(lmail_service *service)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t id = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    uint64_t last = atomic_load(&service->last_queue_id);
    do {
        if (id <= last)
            id = last + 1;
    } while (!atomic_compare_exchange_weak(&service->last_queue_id, &last, id));
    return id;
}

lmi_mail *lmi_mail_new(lmail_service *service, lmail_str from)
{
    lmi_mail *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->store = service->store;
    m->queue = service->queue;
    m->from = strndup(from.len ? from.ptr : "", from.len);
    if (!m->from) {
        free(m);
        return NULL;
    }
    m->number = lmi_mail_number(service);
    lmail_queue_id_write(m->number, m->id);
    return m;
}

void lmi_mail_forget_recipient(lmi_mail *m, size_t i)
{
    lmi_recipient *r = &m->recipients[i];
    m->remotes -= !r->account[0];
    free(r->account);
    free(r->address);
    free(r->route);
    free(r->detail);
    free((char *)r->orcpt.ptr);
}

void lmi_mail_free(lmi_mail *m)
{
    if (!m)
        return;
    lmi_letter_free(m, m->letter);
    if (m->delivery)
        m->store->delivery_free(m->delivery);
    for (size_t i = 0; i < m->count; i++)
        lmi_mail_forget_recipient(m, i);
    free(m->recipients);
    free(m->from);
    lmi_mail_free_envelope(m);
    lmi_keep_free(&m->kept);
    lmail_delivery_header_free(m->rewriter);
    free(m->front);
    free(m);
}

lmail_status lmi_mail_add_recipient(lmi_mail *m, lmail_str account, lmail_str address)
{
    if (m->count == m->capacity) {
        size_t capacity = m->capacity ? m->capacity * 2 : 4;
        lmi_recipient *p = realloc(m->recipients, capacity * sizeof *p);
        if (!p)
            return LMAIL_ERR_NOMEM;
        m->recipients = p;
        m->capacity = capacity;
    }
    lmi_recipient *r = &m->recipients[m->count];
    *r = (lmi_recipient){.account = strndup(account.len ? account.ptr : "", account.len),
                         .address = strndup(address.ptr, address.len),
                         .status = LMAIL_ERR_IO,
                         .said = m->said,
                         .route = strdup("")};
    if (!r->account || !r->address || !r->route) {
        free(r->account);
        free(r->address);
        free(r->route);
        return LMAIL_ERR_NOMEM;
    }
    m->count++;
    return LMAIL_OK;
}

lmail_status lmi_mail_said_status(const lmi_mail *m, size_t said)
{
    lmail_status st = m->letter ? LMAIL_OK : LMAIL_ERR_IO; /* a filter may have taken it out */
    int found = 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->recipients[i].said == said && (!found || m->recipients[i].status)) {
            st = m->recipients[i].status;
            found = 1;
        }
    return st;
}

/* ---- Octets ---------------------------------------------------------------------------------- */

lmail_status lmi_mail_keep(lmi_mail *m, lmail_str octets)
{
    if (m->discard) {
        m->front_len = 0;
        return LMAIL_OK;
    }
    if (m->delivery)
        return LMAIL_END;
    if (!m->front_len)
        return lmi_keep_add(&m->kept, octets);
    if (octets.len > LMI_KEEP_MAX || m->front_len > LMI_KEEP_MAX - octets.len ||
        m->kept.len > LMI_KEEP_MAX - octets.len - m->front_len)
        return LMAIL_END;
    lmail_status st = lmi_keep_add(&m->kept, (lmail_str){m->front, m->front_len});
    m->front_len = 0;
    return st ? st : lmi_keep_add(&m->kept, octets);
}

/* ---- Trace fields ---------------------------------------------------------------------------- */

size_t lmi_write_date(char *out, size_t cap, int64_t seconds, int zone)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t local = (time_t)(seconds + (int64_t)zone * 60);
    struct tm tm;
    gmtime_r(&local, &tm);
    int minutes = zone < 0 ? -zone : zone;
    int n = snprintf(out, cap, "%s, %d %s %d %02d:%02d:%02d %c%02d%02d", days[tm.tm_wday],
                     tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                     tm.tm_sec, zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

lmail_status lmi_mail_begin(lmi_mail *m, const lmi_mail_trace *t)
{
    char text[3072], date[40], tls[200] = "";
    lmi_write_date(date, sizeof date, t->seconds, t->zone);
    if (t->tls)
        snprintf(tls, sizeof tls, "\r\n\t(using %.*s with cipher %.*s)", TEXT(t->tls->version),
                 TEXT(t->tls->cipher));
    /* RFC 5321 §4.4: `for` names one recipient only, so that none learns of another. */
    char to[400] = "";
    if (m->count == 1 && strlen(m->recipients[0].address) < 330)
        snprintf(to, sizeof to, "\r\n\tfor <%s>", m->recipients[0].address);
    char warning[800] = "";
    if (t->warn)
        snprintf(warning, sizeof warning,
                 "X-Authentication-Warning: %.*s: %.*s didn't use HELO protocol\r\n", TEXT(t->host),
                 TEXT(t->client));
    else if (t->set_by.len)
        snprintf(warning, sizeof warning,
                 "X-Authentication-Warning: %.*s: %.*s set sender to %.300s using -f\r\n",
                 TEXT(t->host), TEXT(t->set_by), m->from);
    int here = t->local.len > 0;
    lmail_str from = here ? t->local : t->helo.len ? t->helo : LMAIL_STR("unknown");
    lmail_str client = here ? LMAIL_STR("") : t->client;
    int n = snprintf(text, sizeof text,
                     "Return-Path: <%s>\r\nReceived: from %.*s%s%.*s%s%s\r\n"
                     "\tby %.*s with %.*s id %s%s;\r\n\t%s\r\n%s",
                     m->from, TEXT(from), here ? "" : " (", TEXT(client), here ? "" : ")", tls,
                     TEXT(t->host), TEXT(here ? LMAIL_STR("local") : t->protocol), m->id, to, date,
                     warning);
    if (n < 0 || (size_t)n >= sizeof text)
        return LMAIL_ERR_LIMIT;
    memset(&m->head, 0, sizeof m->head);
    m->head.in_header = 1;
    m->header = strlen("Return-Path: <>\r\n") + strlen(m->from);
    lmail_status st = lmi_keep_add(&m->kept, (lmail_str){text, (size_t)n});
    return st || !t->own ? st : lmi_header_own(m, date, t->host);
}

/* ---- On a worker ----------------------------------------------------------------------------- */

lmail_status lmi_mail_new_delivery(const lmi_mail *m, lmail_delivery **out)
{
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    args.atomic = m->atomic && !m->remotes; /* one that fails may wait in the queue */
    *out = NULL;
    lmail_status st = m->store->delivery_begin(m->store->ctx, &args, out);
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    message.exact = m->exact;
    return st ? st : m->store->delivery_message(*out, &message);
}

lmail_status lmi_mail_write(lmi_mail *m, lmail_str octets)
{
    lmail_status st = m->delivery ? LMAIL_OK : lmi_mail_new_delivery(m, &m->delivery);
    if (!st && m->kept.len)
        st = m->store->delivery_write(m->delivery, lmi_keep_all(&m->kept));
    lmi_keep_free(&m->kept); /* nothing is kept again: what comes goes to the delivery at once */
    if (!st && m->front_len)
        st = m->store->delivery_write(m->delivery, (lmail_str){m->front, m->front_len});
    m->front_len = 0;
    return st || !octets.len ? st : m->store->delivery_write(m->delivery, octets);
}

lmail_status lmi_mail_end(lmi_mail *m)
{
    lmail_status st = m->ended ? LMAIL_OK : lmi_header_end(m);
    if (!st && !m->ended)
        st = lmi_mail_write(m, (lmail_str){NULL, 0});
    if (!st && !m->ended) {
        st = m->store->delivery_end(m->delivery, &m->size);
        m->ended = !st;
    }
    return st;
}

/* ---- Into mailboxes -------------------------------------------------------------------------- */

/* An account while the message is delivered, and the target it became, if it could be opened. */
typedef struct lmi_destination {
    const char *name;
    char *folder; /* NULL: INBOX */
    lmail_store_account *account;
    lmail_status status;
    size_t target;
} destination;

/* NULL is as good as empty. */
static int is_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static int is_same(const lmi_recipient *a, const lmi_recipient *b)
{
    return strcmp(a->account, b->account) == 0 && is_text(a->detail, b->detail);
}

/* One place for several recipients that are the same; each finds its own in `accounts`. */
static size_t number_accounts(lmi_mail *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++) {
        size_t same = 0;
        if (!m->recipients[i].account[0])
            continue;
        while (same < i && !is_same(&m->recipients[same], &m->recipients[i]))
            same++;
        m->recipients[i].target = same < i ? m->recipients[same].target : count++;
    }
    return count;
}

/* Open every account. When all or none shall have the message the first failure is all that
 * counts. */
static lmail_status open_accounts(lmi_mail *m, destination *d)
{
    size_t next = 0;
    for (size_t i = 0; i < m->count; i++) {
        lmi_recipient *r = &m->recipients[i];
        if (!r->account[0] || r->target != next)
            continue;
        lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
        char room[LMI_LOCATION_MAX];
        args.name = lmail_str_from(r->account);
        d[next].status = lmi_location(m->rules, args.name, room, &args.location);
        if (!d[next].status)
            d[next].status = m->store->account_open(m->store->ctx, &args, &d[next].account);
        if (d[next].status)
            d[next].account = NULL;
        else if (r->detail) /* a list that cannot be read makes it INBOX */
            (void)lmi_folder_find(m->store, d[next].account, lmail_str_from(r->detail),
                                  &d[next].folder);
        d[next].name = r->account;
        if (d[next].status) {
            if (m->atomic && !m->remotes)
                return d[next].status;
        }
        next++;
    }
    return LMAIL_OK;
}

/* A detail without a mailbox leads where the bare name does: the place of one before that is the same. */
static size_t earlier(const destination *d, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (d[k].account && strcmp(d[k].name, d[i].name) == 0 && is_text(d[k].folder, d[i].folder))
            return k;
    return i;
}

/* Deliver to the accounts that are open; each gets its status and UID. */
static lmail_status deliver(lmi_mail *m, lmi_targets *t)
{
    destination *d = t->accounts;
    for (size_t i = 0; i < t->accounts_count; i++) {
        if (!d[i].account)
            continue;
        size_t same = earlier(d, i);
        d[i].target = same < i ? d[same].target : t->count;
        if (same < i)
            continue;
        t->items[t->count].account = d[i].account;
        lmi_quota q = lmi_quota_of(m->rules, lmail_accounts_find, lmail_str_from(d[i].name));
        t->items[t->count].max_octets = q.octets;
        t->items[t->count].max_messages = q.messages;
        t->items[t->count].mailbox = d[i].folder ? lmail_str_from(d[i].folder) : LMAIL_STR("INBOX");
        t->items[t->count++].status = LMAIL_ERR_IO;
    }
    lmail_status st = t->count ? lmi_mail_end(m) : LMAIL_OK;
    if (!st && t->count)
        st = m->store->delivery_commit(m->delivery, t->items, t->count);
    else
        for (size_t i = 0; i < t->count; i++)
            t->items[i].status = st;
    for (size_t i = 0; i < t->accounts_count; i++)
        if (d[i].account)
            d[i].status = t->items[d[i].target].status;
    return st;
}

lmail_status lmi_mail_deliver(lmi_mail *m, lmi_targets *t)
{
    *t = (lmi_targets){.accounts_count = number_accounts(m)};
    t->accounts = calloc(t->accounts_count + 1, sizeof *t->accounts);
    t->items = calloc(t->accounts_count + 1, sizeof *t->items);
    lmail_status st = t->accounts && t->items ? open_accounts(m, t->accounts) : LMAIL_ERR_NOMEM;
    int opened = !st;
    if (opened)
        st = deliver(m, t);
    for (size_t i = 0; i < m->count; i++) {
        lmi_recipient *r = &m->recipients[i];
        if (!r->account[0])
            continue;
        r->status = opened ? t->accounts[r->target].status : st;
        if (!r->status)
            r->uid = t->items[t->accounts[r->target].target].uid;
        else if (!st)
            st = r->status;
    }
    return st;
}

void lmi_targets_free(lmi_mail *m, lmi_targets *t)
{
    for (size_t i = 0; t->accounts && i < t->accounts_count; i++)
        if (t->accounts[i].account)
            m->store->account_close(t->accounts[i].account);
    for (size_t i = 0; t->accounts && i < t->accounts_count; i++)
        free(t->accounts[i].folder);
    free(t->accounts);
    free(t->items);
}

lmail_status lmi_mail_commit(lmi_mail *m)
{
    lmail_status st = m->letter && !m->discard ? lmi_letter_apply(m) : LMAIL_OK;
    lmi_targets targets;
    if (st) {
        for (size_t i = 0; i < m->count; i++)
            m->recipients[i].status = st;
    } else if (m->discard) {
        for (size_t i = 0; i < m->count; i++)
            m->recipients[i].status = LMAIL_OK;
    } else if (m->remotes || m->held) {
        st = lmi_mail_commit_queued(m);
    } else {
        st = lmi_mail_deliver(m, &targets);
        size_t accounts = targets.accounts_count;
        lmi_targets_free(m, &targets);
        /* One that is full keeps the message from nobody else. */
        if (st == LMAIL_ERR_QUOTA && m->atomic && accounts > 1 && m->queue) {
            m->waits = 1;
            st = lmi_mail_commit_queued(m);
        }
    }
    if (m->delivery)
        m->store->delivery_free(m->delivery);
    m->delivery = NULL;
    return st;
}
