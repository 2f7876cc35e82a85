/* store_memory_mailbox.c - the memory store: open mailboxes and their messages.
 *
 * Flags and modseqs live in the snapshot alone; rows hold the rest. A change makes the next
 * snapshot and replaces the old one under the account's lock. */
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

static int grow(void **list, size_t *capacity, size_t count, size_t size)
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
    if (!grow((void **)&m->rows, &m->capacity, m->count, sizeof *m->rows))
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

/* The mailbox behind a handle, locked. */
static lmail_status enter(lmail_store_mailbox *h, int writes)
{
    if (writes && (h->flags & LMAIL_OPEN_READ_ONLY))
        return LMAIL_ERR_DENIED;
    pthread_mutex_lock(&h->account->lock);
    if (!h->box->removed)
        return LMAIL_OK;
    pthread_mutex_unlock(&h->account->lock);
    return LMAIL_ERR_STALE;
}

static void leave(lmail_store_mailbox *h)
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
    lmail_status st = enter(h, 0);
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
    leave(h);
    return LMAIL_OK;
}

static lmail_status vanished_since(lmail_store_mailbox *h, lmail_modseq since, lmail_uid_list *out)
{
    *out = (lmail_uid_list){0};
    lmail_status st = enter(h, 0);
    if (st)
        return st;
    for (size_t i = h->box->gone_count; !st && i > 0 && h->box->gone[i - 1].modseq > since; i--)
        st = lmail_uid_list_add(out, h->box->gone[i - 1].uid, h->box->gone[i - 1].uid);
    leave(h);
    return st;
}

/* ---- Flags ----------------------------------------------------------------------------------- */

static lmail_status change_flags(mem_mailbox *m, const lmail_set_flags_args *args, lmail_flags bits,
                                 lmail_snapshot_edit *edit, lmail_set_flags_result *out)
{
    lmail_modseq modseq = m->modseq + 1;
    size_t cursor = 0;
    lmail_snapshot_rows rows;
    for (size_t n = 0; !lmail_snapshot_leaf(m->snapshot, n, &rows); n++) {
        for (size_t i = 0; i < rows.count; i++) {
            if (!lmi_set_walk(args->uids, &cursor, rows.uids[i]))
                continue;
            lmail_status st;
            lmail_flags flags = lmi_flags_apply(rows.flags[i], args->mode, bits);
            if (rows.modseqs[i] > args->unchanged_since) {
                st = lmail_uid_list_add(&out->failed, rows.uids[i], rows.uids[i]);
            } else if (flags == rows.flags[i]) {
                st = LMAIL_OK;
            } else {
                st = lmail_snapshot_edit_put(edit, rows.uids[i], flags, modseq);
                if (!st)
                    st = lmail_uid_list_add(&out->changed, rows.uids[i], rows.uids[i]);
            }
            if (st)
                return st;
        }
    }
    return LMAIL_OK;
}

static lmail_status set_flags(lmail_store_mailbox *h, const lmail_set_flags_args *args,
                              lmail_set_flags_result *out)
{
    *out = (lmail_set_flags_result){0};
    lmail_flags bits;
    lmail_snapshot_edit *edit;
    lmail_status st = enter(h, 1);
    if (st)
        return st;
    mem_mailbox *m = h->box;
    st = lmi_mem_bits(m, args->flags, args->keywords, args->keyword_count,
                      args->mode != LMAIL_STORE_REMOVE, &bits);
    if (!st)
        st = lmail_snapshot_edit_begin(m->snapshot, &edit);
    if (!st) {
        st = change_flags(m, args, bits, edit, out);
        if (st) {
            lmail_snapshot_edit_abort(edit);
        } else {
            out->modseq = out->changed.count ? m->modseq + 1 : 0;
            st = lmi_mem_publish(m, edit, out->changed.count ? m->modseq + 1 : m->modseq);
        }
    }
    leave(h);
    if (!st && out->changed.count)
        lmi_mem_raise(h->account);
    return st;
}

/* ---- Expunge --------------------------------------------------------------------------------- */

static lmail_status note_gone(mem_mailbox *m, lmail_uid uid, lmail_modseq modseq)
{
    if (!grow((void **)&m->gone, &m->gone_capacity, m->gone_count, sizeof *m->gone))
        return LMAIL_ERR_NOMEM;
    m->gone[m->gone_count++] = (mem_gone){modseq, uid};
    return LMAIL_OK;
}

static void drop_rows(mem_mailbox *m, lmail_uid_set vanished)
{
    size_t kept = 0, cursor = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (lmi_set_walk(vanished, &cursor, m->rows[i].uid))
            lmi_mem_content_unref(m->rows[i].content);
        else
            m->rows[kept++] = m->rows[i];
    }
    m->count = kept;
}

lmail_status lmi_mem_remove(mem_mailbox *m, lmail_uid_set uids, lmail_expunge_mode mode,
                            lmail_uid_list *vanished, lmail_modseq *modseq)
{
    size_t cursor = 0, gone_before = m->gone_count;
    lmail_snapshot_edit *edit;
    lmail_snapshot_rows rows;
    lmail_status st = lmail_snapshot_edit_begin(m->snapshot, &edit);
    *modseq = 0;
    if (st)
        return st;
    for (size_t n = 0; !st && !lmail_snapshot_leaf(m->snapshot, n, &rows); n++) {
        for (size_t i = 0; !st && i < rows.count; i++) {
            lmail_uid uid = rows.uids[i];
            if (!lmi_set_walk(uids, &cursor, uid) ||
                (mode == LMAIL_EXPUNGE_DELETED && !(rows.flags[i] & LMAIL_FLAG_DELETED)))
                continue;
            if (!(st = lmail_snapshot_edit_remove(edit, uid)) &&
                !(st = lmail_uid_list_add(vanished, uid, uid)))
                st = note_gone(m, uid, m->modseq + 1);
        }
    }
    if (st || vanished->count == 0) {
        lmail_snapshot_edit_abort(edit);
        m->gone_count = gone_before;
        return st;
    }
    st = lmi_mem_publish(m, edit, m->modseq + 1);
    if (st) {
        m->gone_count = gone_before;
        return st;
    }
    *modseq = m->modseq;
    drop_rows(m, lmail_uid_list_set(vanished));
    return LMAIL_OK;
}

static lmail_status expunge(lmail_store_mailbox *h, const lmail_uid_set *uids,
                            lmail_expunge_mode mode, lmail_uid_list *vanished, lmail_modseq *modseq)
{
    lmail_modseq at = 0;
    *vanished = (lmail_uid_list){0};
    lmail_status st = enter(h, 1);
    if (!st) {
        const lmail_snapshot *all = lmail_snapshot_ref(h->box->snapshot);
        st = lmi_mem_remove(h->box, uids ? *uids : lmail_snapshot_uids(all), mode, vanished, &at);
        lmail_snapshot_unref(all);
        leave(h);
    }
    if (modseq)
        *modseq = at;
    if (at)
        lmi_mem_raise(h->account);
    return st;
}

/* ---- Copy ------------------------------------------------------------------------------------ */

/* Flags of one mailbox as bits of another: keywords go by name. */
static lmail_status translate(mem_mailbox *from, mem_mailbox *to, lmail_flags flags,
                              lmail_flags *out)
{
    lmail_str names[LMAIL_MAX_KEYWORDS];
    size_t n = 0;
    for (size_t k = 0; k < from->keyword_count; k++) {
        if (flags >> (LMAIL_FLAG_KEYWORD_SHIFT + k) & 1)
            names[n++] = from->keywords[k];
    }
    return lmi_mem_bits(to, flags, names, n, 1, out);
}

static lmail_status copy_row(mem_mailbox *from, size_t at, mem_mailbox *to,
                             lmail_snapshot_edit *edit, lmail_copy_result *out)
{
    lmail_flags flags, bits;
    int zone;
    mem_row row = from->rows[at];
    row.saved = lmi_wall_clock(to->account->store->env, &zone);
    lmail_uid source = row.uid, uid;
    lmail_status st = lmail_snapshot_get(from->snapshot, source, &flags, NULL);
    if (!st)
        st = translate(from, to, flags, &bits);
    if (!st)
        st = lmi_mem_append(to, edit, row, bits, to->modseq + 1, &uid);
    if (!st)
        out->pairs[out->count++] = (lmail_uid_pair){source, uid};
    return st;
}

lmail_status lmi_mem_copy_rows(mem_mailbox *from, lmail_uid_set uids, mem_mailbox *to,
                               lmail_copy_result *out)
{
    size_t count = from->count, before = to->count, cursor = 0;
    lmail_uid uidnext = to->uidnext;
    lmail_snapshot_edit *edit;
    *out = (lmail_copy_result){.uidvalidity = to->uidvalidity};
    out->pairs = malloc((count + 1) * sizeof *out->pairs);
    lmail_status st = out->pairs ? lmail_snapshot_edit_begin(to->snapshot, &edit) : LMAIL_ERR_NOMEM;
    if (st)
        return st;
    for (size_t i = 0; !st && i < count; i++) {
        if (lmi_set_walk(uids, &cursor, from->rows[i].uid))
            st = copy_row(from, i, to, edit, out);
    }
    if (st)
        lmail_snapshot_edit_abort(edit);
    else
        st = lmi_mem_publish(to, edit, out->count ? to->modseq + 1 : to->modseq);
    if (st) {
        lmi_mem_cut(to, before, uidnext);
        out->count = 0;
    }
    return st;
}

/* Two accounts in the order of their addresses, so that two copies never wait for each other. */
static void lock_both(mem_account *a, mem_account *b)
{
    mem_account *first = a < b ? a : b, *second = a < b ? b : a;
    pthread_mutex_lock(&first->lock);
    if (second != first)
        pthread_mutex_lock(&second->lock);
}

static lmail_status copy_or_move(lmail_store_mailbox *h, lmail_uid_set uids, mem_account *to,
                                 lmail_str name, int move, lmail_copy_result *out)
{
    mem_mailbox *target = NULL;
    lmail_status st;
    *out = (lmail_copy_result){0};
    if (move && (h->flags & LMAIL_OPEN_READ_ONLY))
        return LMAIL_ERR_DENIED;
    lock_both(h->account, to);
    st = h->box->removed ? LMAIL_ERR_STALE : lmi_mem_find_checked(to, name, &target);
    if (!st)
        st = lmi_mem_copy_rows(h->box, uids, target, out);
    if (!st && move && out->count) {
        lmail_uid_list taken = {0};
        for (size_t i = 0; !st && i < out->count; i++)
            st = lmail_uid_list_add(&taken, out->pairs[i].from, out->pairs[i].from);
        if (!st)
            st = lmi_mem_remove(h->box, lmail_uid_list_set(&taken), LMAIL_EXPUNGE_ALL,
                                &out->vanished, &out->modseq);
        lmail_uid_list_free(&taken);
    }
    pthread_mutex_unlock(&h->account->lock);
    if (to != h->account)
        pthread_mutex_unlock(&to->lock);
    if (!st && out->count) {
        lmi_mem_raise(to);
        if (move && to != h->account)
            lmi_mem_raise(h->account);
    }
    return st;
}

static lmail_status copy(lmail_store_mailbox *h, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out)
{
    return copy_or_move(h, uids, (mem_account *)to, name, 0, out);
}

static lmail_status move(lmail_store_mailbox *h, lmail_uid_set uids, lmail_store_account *to,
                         lmail_str name, lmail_copy_result *out)
{
    return copy_or_move(h, uids, (mem_account *)to, name, 1, out);
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
    lmail_status st = enter(h, 0);
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
    leave(h);
    return LMAIL_OK;
}

static lmail_status read_octets(lmail_store_mailbox *h, lmail_uid uid, uint64_t offset, char *buf,
                                size_t cap, unsigned flags, size_t *got)
{
    (void)flags;
    *got = 0;
    lmail_status st = enter(h, 0);
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
    leave(h);
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
    table->set_flags = set_flags;
    table->expunge = expunge;
    table->copy = copy;
    table->move = move;
    table->fetch = fetch;
    table->read = read_octets;
    table->search = search;
}
