/* store_memory_mailbox.c - the memory store: open mailboxes, their rows, and who reads them.
 *
 * Flags and modseqs live in the snapshot alone; rows hold the rest. What changes them:
 * store_memory_change.c, store_memory_delivery.c. */
#include "host/store/store_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lmi_mem_content_unref(mem_content *c)
{
    if (c && atomic_fetch_sub(&c->refs, 1) == 1) {
        free(c->octets);
        free(c);
    }
}

int lmi_mem_grow(void **list, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return 1;
    size_t next = *capacity ? *capacity * 2 : 16;
    void *p = realloc(*list, next * size);
    if (!p)
        return 0;
    *list = p;
    *capacity = next;
    return 1;
}

lmail_status lmi_mem_publish(mem_mailbox *m, lmail_snapshot_edit *edit, lmail_modseq modseq)
{
    lmail_mailbox_facts facts = {.uidvalidity = m->uidvalidity,
                                 .uidnext = m->uidnext,
                                 .highest_modseq = modseq,
                                 .keywords = {m->keywords, m->keyword_count},
                                 .mailbox_id = {m->id, 32}};
    const lmail_snapshot *s;
    lmail_status st = lmail_snapshot_edit_end(edit, &facts, &s);
    if (st)
        return st;
    lmail_snapshot_unref(m->snapshot);
    m->snapshot = s;
    m->modseq = modseq;
    return LMAIL_OK;
}

lmail_status lmi_mem_bits(mem_mailbox *m, lmail_flags flags, const lmail_str *keywords,
                          size_t count, int make, lmail_flags *out)
{
    size_t missing = 0;
    *out = flags & LMAIL_FLAGS_SYSTEM;
    for (size_t i = 0; i < count; i++) {
        if (!lmi_keyword_valid(keywords[i]))
            return LMAIL_ERR_ARG;
        missing += lmi_keyword_find((lmail_keywords){m->keywords, m->keyword_count}, keywords[i]) ==
                   m->keyword_count;
    }
    if (make && m->keyword_count + missing > LMAIL_MAX_KEYWORDS)
        return LMAIL_ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        size_t k = lmi_keyword_find((lmail_keywords){m->keywords, m->keyword_count}, keywords[i]);
        if (k == m->keyword_count) {
            char *p = make ? malloc(keywords[i].len) : NULL;
            if (!make)
                continue;
            if (!p)
                return LMAIL_ERR_NOMEM;
            memcpy(p, keywords[i].ptr, keywords[i].len);
            m->keywords[m->keyword_count++] = lmi_str(p, keywords[i].len);
        }
        *out |= (lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + k);
    }
    return LMAIL_OK;
}

lmail_status lmi_mem_append(mem_mailbox *m, lmail_snapshot_edit *edit, mem_row row,
                            lmail_flags flags, lmail_modseq modseq, lmail_uid *uid)
{
    if (m->uidnext == UINT32_MAX)
        return LMAIL_ERR_LIMIT;
    if (!lmi_mem_grow((void **)&m->rows, &m->capacity, m->count, sizeof *m->rows))
        return LMAIL_ERR_NOMEM;
    row.uid = m->uidnext;
    lmail_status st = lmail_snapshot_edit_put(edit, row.uid, flags, modseq);
    if (st)
        return st;
    snprintf(row.uidl, sizeof row.uidl, "%08x%08x", m->uidvalidity, row.uid);
    atomic_fetch_add(&row.content->refs, 1);
    m->rows[m->count++] = row;
    *uid = m->uidnext++;
    return LMAIL_OK;
}

void lmi_mem_cut(mem_mailbox *m, size_t count, lmail_uid uidnext)
{
    while (m->count > count)
        lmi_mem_content_unref(m->rows[--m->count].content);
    m->uidnext = uidnext;
}

static size_t find_row(const mem_mailbox *m, lmail_uid uid)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->rows[mid].uid < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

lmail_status lmi_mem_enter(lmail_store_mailbox *h, int writes)
{
    if (writes && (h->flags & LMAIL_OPEN_READ_ONLY))
        return LMAIL_ERR_DENIED;
    pthread_mutex_lock(&h->account->lock);
    if (!h->box->removed)
        return LMAIL_OK;
    pthread_mutex_unlock(&h->account->lock);
    return LMAIL_ERR_STALE;
}

void lmi_mem_leave(lmail_store_mailbox *h)
{
    pthread_mutex_unlock(&h->account->lock);
}

/* ---- Open, close, refresh -------------------------------------------------------------------- */

static lmail_status mailbox_open(lmail_store_account *a, lmail_str name, unsigned flags,
                                 lmail_store_mailbox **out)
{
    mem_account *account = (mem_account *)a;
    lmail_store_mailbox *h = calloc(1, sizeof *h);
    if (!h)
        return LMAIL_ERR_NOMEM;
    h->account = account;
    h->flags = flags;
    pthread_mutex_lock(&account->lock);
    lmail_status st = lmi_mem_find_checked(account, name, &h->box);
    if (!st)
        h->box->refs++;
    pthread_mutex_unlock(&account->lock);
    if (st)
        free(h);
    else
        *out = h;
    return st;
}

static void mailbox_close(lmail_store_mailbox *h)
{
    mem_account *a = h->account;
    pthread_mutex_lock(&a->lock);
    lmi_mem_mailbox_unref(h->box);
    pthread_mutex_unlock(&a->lock);
    free(h);
}

static lmail_status refresh(lmail_store_mailbox *h, unsigned flags, lmail_mailbox_view *out)
{
    (void)flags;
    *out = (lmail_mailbox_view){0};
    lmail_status st = lmi_mem_enter(h, 0);
    if (st)
        return st;
    mem_mailbox *m = h->box;
    out->snapshot = lmail_snapshot_ref(m->snapshot);
    lmail_uid from = h->told > m->recent ? h->told : m->recent;
    if (!(h->flags & LMAIL_OPEN_NO_RECENT) && from + 1 < m->uidnext) {
        out->recent_first = from + 1;
        out->recent_last = h->told = m->uidnext - 1;
        if (!(h->flags & LMAIL_OPEN_READ_ONLY))
            m->recent = h->told;
    }
    lmi_mem_leave(h);
    return LMAIL_OK;
}

static lmail_status vanished_since(lmail_store_mailbox *h, lmail_modseq since, lmail_uid_list *out)
{
    *out = (lmail_uid_list){0};
    lmail_status st = lmi_mem_enter(h, 0);
    if (st)
        return st;
    for (size_t i = h->box->gone_count; !st && i > 0 && h->box->gone[i - 1].modseq > since; i--)
        st = lmail_uid_list_add(out, h->box->gone[i - 1].uid, h->box->gone[i - 1].uid);
    lmi_mem_leave(h);
    return st;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void make_row(const mem_row *r, lmail_mailbox_row *out)
{
    const mem_content *c = r->content;
    *out = (lmail_mailbox_row){.uid = r->uid,
                               .size = c->size,
                               .date = r->date,
                               .date_zone = r->zone,
                               .save_date = r->saved,
                               .envelope = c->envelope,
                               .bodystructure = c->bodystructure,
                               .parts = c->parts,
                               .preview = c->preview,
                               .email_id = {c->email_id, 32},
                               .uidl = {r->uidl, 16},
                               .fields = c->fields};
}

static lmail_status fetch(lmail_store_mailbox *h, const lmail_fetch_args *args, lmail_row_fn *fn,
                          void *user, lmail_uid *next)
{
    *next = 0;
    lmail_status st = lmi_mem_enter(h, 0);
    if (st)
        return st;
    const mem_mailbox *m = h->box;
    size_t cursor = 0, given = 0;
    size_t i = args->uids.count ? find_row(m, args->uids.ranges[0].first) : m->count;
    for (; i < m->count; i++) {
        lmail_mailbox_row row;
        if (!lmi_set_walk(args->uids, &cursor, m->rows[i].uid))
            continue;
        if (args->max_rows && given == args->max_rows) {
            *next = m->rows[i].uid;
            break;
        }
        make_row(&m->rows[i], &row);
        given++;
        if (fn(user, &row)) {
            *next = i + 1 < m->count ? m->rows[i + 1].uid : 0;
            break;
        }
    }
    lmi_mem_leave(h);
    return LMAIL_OK;
}

static lmail_status read_octets(lmail_store_mailbox *h, lmail_uid uid, uint64_t offset, char *buf,
                                size_t cap, unsigned flags, size_t *got)
{
    (void)flags;
    *got = 0;
    lmail_status st = lmi_mem_enter(h, 0);
    if (st)
        return st;
    size_t i = find_row(h->box, uid);
    if (i == h->box->count || h->box->rows[i].uid != uid) {
        st = LMAIL_ERR_NOTFOUND;
    } else {
        const mem_content *c = h->box->rows[i].content;
        uint64_t left = offset < c->size ? c->size - offset : 0;
        *got = left < cap ? (size_t)left : cap;
        if (*got)
            memcpy(buf, c->octets + offset, *got);
    }
    lmi_mem_leave(h);
    return st;
}

static lmail_status search(lmail_store_mailbox *h, const lmail_snapshot *snapshot,
                           const lmail_search *tree, lmail_uid_set recent, lmail_uid_list *out)
{
    const mem_store *s = h->account->store;
    return lmi_store_search(&s->table, h, s->env, snapshot, tree, recent, out);
}

void lmi_mem_fill_mailbox(lmail_store *table)
{
    table->mailbox_open = mailbox_open;
    table->mailbox_close = mailbox_close;
    table->refresh = refresh;
    table->vanished_since = vanished_since;
    table->fetch = fetch;
    table->read = read_octets;
    table->search = search;
}
