/* service_mail_queue.c - what of a message goes into the queue.
 *
 * Recipients elsewhere, and everything that is held. The order is the promise: the spool file gets
 * a second name, the queue's data file; rows, pending, before the first link into a mailbox; links
 * and the one sync that covers octets, links and the data file; a mailbox that cannot be written
 * now becomes a row too; then the rows are settled. Whatever fails takes everything back, so that
 * nothing of a refused message is left (RFC 5321 §4.2.5, §6.1). */
#include "host/service/service_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The envelope ---------------------------------------------------------------------------- */

/* Replace a copy. The octets may hold NUL. */
static lmail_status keep(lmail_str *to, lmail_str from)
{
    char *p = malloc(from.len + 1);
    if (!p)
        return LMAIL_ERR_NOMEM;
    if (from.len)
        memcpy(p, from.ptr, from.len);
    p[from.len] = '\0';
    free((char *)to->ptr);
    *to = (lmail_str){p, from.len};
    return LMAIL_OK;
}

void lmi_mail_free_envelope(lmi_mail *m)
{
    free((char *)m->envid.ptr);
    free((char *)m->auth.ptr);
    free((char *)m->submitter.ptr);
    free((char *)m->client.ptr);
    free((char *)m->local_address.ptr);
    free((char *)m->reason.ptr);
}

lmail_status lmi_mail_add_remote(lmi_mail *m, lmail_str address, lmail_str route)
{
    char *copy = strndup(route.len ? route.ptr : "", route.len);
    if (!copy)
        return LMAIL_ERR_NOMEM;
    lmail_status st = lmi_mail_add_recipient(m, (lmail_str){NULL, 0}, address);
    if (st) {
        free(copy);
        return st;
    }
    free(m->recipients[m->count - 1].route);
    m->recipients[m->count - 1].route = copy;
    m->remotes++;
    return LMAIL_OK;
}

lmail_status lmi_mail_set_notify(lmi_mail *m, const lmail_smtp_rcpt_event *ev)
{
    if (!m->count)
        return LMAIL_OK;
    lmi_recipient *r = &m->recipients[m->count - 1];
    r->notify = ev->notify;
    if (!ev->has_orcpt)
        return LMAIL_OK;
    size_t n = ev->orcpt_type.len + 1 + ev->orcpt.len;
    char *p = malloc(n);
    if (!p)
        return LMAIL_ERR_NOMEM;
    memcpy(p, ev->orcpt_type.ptr, ev->orcpt_type.len);
    p[ev->orcpt_type.len] = ';';
    if (ev->orcpt.len)
        memcpy(p + ev->orcpt_type.len + 1, ev->orcpt.ptr, ev->orcpt.len);
    free((char *)r->orcpt.ptr);
    r->orcpt = (lmail_str){p, n};
    return LMAIL_OK;
}

lmail_status lmi_mail_set_envelope(lmi_mail *m, const lmail_smtp_mail_event *ev)
{
    lmail_status st = LMAIL_OK;
    m->body = ev->body;
    m->declared = ev->declared_size;
    m->ret = ev->ret;
    m->flags |= ev->smtputf8 ? LMAIL_QUEUE_SMTPUTF8 : 0u;
    m->has_envid = ev->has_envid;
    m->has_auth = ev->has_auth;
    if (ev->has_envid)
        st = keep(&m->envid, ev->envid);
    if (!st && ev->has_auth)
        st = keep(&m->auth, ev->auth);
    return st;
}

lmail_status lmi_mail_set_origin(lmi_mail *m, lmail_str submitter, lmail_str client,
                                 lmail_str local_address, unsigned flags)
{
    m->flags |= flags;
    /* RFC 4954 §5: who is not trusted to say it has said AUTH=<>. */
    if (m->has_auth && (!submitter.len || !lmail_str_equal_nocase(m->auth, submitter)))
        m->auth.len = 0;
    lmail_status st = keep(&m->submitter, submitter);
    if (!st)
        st = keep(&m->client, client);
    return st ? st : keep(&m->local_address, local_address);
}

lmail_status lmi_mail_hold(lmi_mail *m, lmail_str reason)
{
    if (m->held)
        return LMAIL_OK;
    lmail_status st = keep(&m->reason, reason);
    m->held = !st;
    return st;
}

void lmi_mail_discard(lmi_mail *m)
{
    m->discard = 1;
    lmi_keep_free(&m->kept);
}

/* ---- The data file --------------------------------------------------------------------------- */

static lmail_status read_spool(void *ctx, uint64_t offset, char *buf, size_t cap, size_t *got)
{
    lmi_mail *m = ctx;
    return m->store->delivery_read(m->delivery, 0, offset, buf, cap, got);
}

/* sync: nothing comes behind that syncs it. *synced: it is on the disk. */
static lmail_status place(lmi_mail *m, int sync, int *synced)
{
    char path[LMAIL_QUEUE_PATH];
    lmail_queue_path(m->queue, m->number, path);
    lmail_status st = m->store->delivery_link ? m->store->delivery_link(m->delivery, 0, path, sync)
                                              : LMAIL_ERR_UNSUPPORTED;
    *synced = sync;
    if (st != LMAIL_ERR_UNSUPPORTED)
        return st;
    *synced = 1;
    return lmail_queue_copy(m->queue, m->number, read_spool, m);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static lmail_str lower(lmail_str from, char *to, size_t cap)
{
    size_t n = from.len < cap ? from.len : cap;
    for (size_t i = 0; i < n; i++)
        to[i] = from.ptr[i] >= 'A' && from.ptr[i] <= 'Z' ? (char)(from.ptr[i] | 0x20) : from.ptr[i];
    return (lmail_str){to, n};
}

/* A row and the text it needs. */
typedef struct row_text {
    char destination[256];
    char route[LMAIL_MAX_ACCOUNT_NAME + LMI_DETAIL_MAX + 16];
} row_text;

static void fill_row(const lmi_mail *m, const lmi_recipient *r, lmail_queue_recipient *row,
                     row_text *text)
{
    memset(row, 0, sizeof *row);
    row->address = lmail_str_from(r->address);
    row->notify = r->notify;
    row->has_orcpt = r->orcpt.ptr != NULL;
    row->orcpt = r->orcpt;
    row->next = (int64_t)(m->number / 1000);
    if (m->flags & LMAIL_QUEUE_RUN_ONLY && m->rules)
        row->next += (int64_t)m->rules->settings->queue.retry_first;
    if (r->account[0]) { /* a mailbox here that waits */
        snprintf(text->route, sizeof text->route, "local:%s%s%s", r->account, r->detail ? " " : "",
                 r->detail ? r->detail : "");
        row->route = lmail_str_from(text->route);
        row->destination = LMAIL_STR("local");
        return;
    }
    row->route = lmail_str_from(r->route);
    /* A mailbox here, or a verdict: nobody has to be reached. */
    if (strncmp(r->route, "local:", 6) == 0 ||
        strncmp(r->route, LMI_ROUTE_ERROR, sizeof LMI_ROUTE_ERROR - 1) == 0) {
        row->destination = LMAIL_STR("local");
        return;
    }
    /* The host of the route, else the domain. */
    const char *at = r->route[0] ? strchr(r->route, ':') : strrchr(r->address, '@');
    row->destination = lower(lmail_str_from(at          ? at + 1
                                            : *r->route ? r->route
                                                        : ""),
                             text->destination, sizeof text->destination);
}

typedef struct rows {
    lmail_queue_recipient *items;
    row_text *texts;
    size_t count;
} rows;

/* Rows of those for whom `wanted` says so. */
static lmail_status make_rows(const lmi_mail *m,
                              int (*wanted)(const lmi_mail *, const lmi_recipient *), rows *out)
{
    out->count = 0;
    out->items = calloc(m->count, sizeof *out->items);
    out->texts = calloc(m->count, sizeof *out->texts);
    if (!out->items || !out->texts)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < m->count; i++) {
        if (!wanted(m, &m->recipients[i]))
            continue;
        fill_row(m, &m->recipients[i], &out->items[out->count], &out->texts[out->count]);
        out->count++;
    }
    return LMAIL_OK;
}

static void free_rows(rows *r)
{
    free(r->items);
    free(r->texts);
}

static int goes_at_once(const lmi_mail *m, const lmi_recipient *r)
{
    return m->held || m->waits || !r->account[0];
}

static int failed_here(const lmi_mail *m, const lmi_recipient *r)
{
    (void)m;
    return r->account[0] && r->status;
}

static lmail_status add(lmi_mail *m, int pending)
{
    rows r;
    lmail_queue_message q = LMAIL_QUEUE_MESSAGE_INIT;
    q.id = m->number;
    q.sender = lmail_str_from(m->from);
    q.flags = m->flags;
    /* What the client said nothing of: a server is told, or gets it encoded (RFC 6152 §3). */
    q.body = m->has_8bit && m->body < LMAIL_SMTP_BODY_8BITMIME ? LMAIL_SMTP_BODY_8BITMIME : m->body;
    q.ret = m->ret;
    q.has_envid = m->has_envid;
    q.envid = m->envid;
    q.has_auth = m->has_auth;
    q.auth = m->auth;
    q.submitter = m->submitter;
    q.client = m->client;
    q.local_address = m->local_address;
    q.octets = m->size;
    q.header = (uint32_t)m->header;
    q.arrived = (int64_t)(m->number / 1000);
    q.held = m->held ? LMAIL_QUEUE_QUARANTINED : LMAIL_QUEUE_FREE;
    q.reason = m->reason;
    q.pending = pending != 0;
    lmail_status st = make_rows(m, goes_at_once, &r);
    q.recipients = r.items;
    q.recipient_count = r.count;
    if (!st)
        st = lmail_queue_add(m->queue, &q);
    else
        (void)lmail_queue_cancel(m->queue, m->number);
    free_rows(&r);
    return st;
}

/* ---- Commit ---------------------------------------------------------------------------------- */

static size_t count_of(const lmi_mail *m, int (*wanted)(const lmi_mail *, const lmi_recipient *))
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++)
        n += wanted(m, &m->recipients[i]) != 0;
    return n;
}

/* Mailboxes that cannot be written now get their copy from the queue. */
static lmail_status queue_failed(lmi_mail *m)
{
    rows r;
    lmail_status st = make_rows(m, failed_here, &r);
    if (!st && r.count)
        st = lmail_queue_add_recipients(m->queue, m->number, r.items, r.count);
    free_rows(&r);
    for (size_t i = 0; i < m->count && !st; i++)
        if (failed_here(m, &m->recipients[i])) {
            m->recipients[i].status = LMAIL_OK;
            m->recipients[i].queued = 1;
        }
    return st;
}

/* The rows are there, pending. Mailboxes here, and then they are settled. */
static lmail_status deliver_rest(lmi_mail *m, int synced)
{
    lmi_targets t;
    size_t here = m->count - m->remotes;
    (void)lmi_mail_deliver(m, &t);
    size_t failed = count_of(m, failed_here);
    lmail_status st = LMAIL_OK;
    if (failed && m->atomic)
        st = queue_failed(m);
    /* No link into a mailbox, no sync of the store's. */
    if (!st && !synced && failed == here)
        st = lmail_queue_sync(m->queue, m->number);
    if (!st)
        st = lmail_queue_settle(m->queue, m->number);
    if (st) {
        if (t.count)
            (void)m->store->delivery_undo(m->delivery, t.items, t.count);
        (void)lmail_queue_cancel(m->queue, m->number);
    }
    lmi_targets_free(m, &t);
    return st;
}

lmail_status lmi_mail_commit_queued(lmi_mail *m)
{
    int here = !m->held && !m->waits && m->remotes < m->count, synced = 0;
    lmail_status st = m->queue ? lmi_mail_end(m) : LMAIL_ERR_UNSUPPORTED;
    if (!st)
        st = place(m, !here, &synced);
    if (!st)
        st = add(m, here);
    for (size_t i = 0; i < m->count; i++)
        if (st || goes_at_once(m, &m->recipients[i])) {
            m->recipients[i].status = st;
            m->recipients[i].queued = !st;
        }
    if (st || !here)
        return st;
    st = deliver_rest(m, synced);
    for (size_t i = 0; i < m->count && st; i++) {
        m->recipients[i].status = st;
        m->recipients[i].queued = 0;
    }
    return st;
}
