/* store_maildir_delivery.c - the commit of a delivery: links, one sync, rows.
 *
 * The order is the promise: octets into a spool file without a name; links into every Maildir; one
 * sync after the last link (on ext4 it covers data and links, elsewhere directories are synced
 * too); index rows; then the result. Rows that cannot be written never fail a delivery: the next
 * scan makes them. Threads that deliver to one account put their rows into one transaction. */
#include "host/store/store_maildir_delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Commit: targets ------------------------------------------------------------------------- */

static lmail_status check_keywords(const md_box *b, const lmail_delivery_target *t)
{
    const lmail_keywords have = {b ? b->row.keywords : NULL, b ? b->row.keyword_count : 0};
    size_t missing = 0;
    for (size_t i = 0; i < t->keyword_count; i++) {
        if (!lmi_keyword_valid(t->keywords[i]))
            return LMAIL_ERR_ARG;
        missing += lmi_keyword_find(have, t->keywords[i]) == have.count;
    }
    return have.count + missing > LMAIL_MAX_KEYWORDS ? LMAIL_ERR_LIMIT : LMAIL_OK;
}

/* What a link alone cannot tell: is the mailbox there, or may it be made; do the keywords fit. */
static lmail_status look_at_box(md_job *j, lmail_str name, const char *dir)
{
    md_account *a = j->account;
    md_box *box;
    char path[MD_PATH];
    lmail_status st = lmi_md_enter(a);
    if (!st) {
        st = lmi_md_box_get(a, dir, &box);
        if (st == LMAIL_ERR_NOTFOUND && j->target->create) {
            st = lmi_md_create(a, name, LMAIL_USE_NONE);
            if (!st || st == LMAIL_ERR_EXISTS)
                st = lmi_md_box_get(a, dir, &box);
        }
        if (!st) {
            st = check_keywords(box, j->target);
            lmi_md_box_unref(box);
        }
        lmi_md_leave(a);
        if (!st || st == LMAIL_ERR_NOTFOUND || st == LMAIL_ERR_LIMIT || st == LMAIL_ERR_ARG)
            return st;
    }
    /* Without an index: is the Maildir there? A scan makes the row later. */
    if (lmi_md_path(a, path, dir, "cur", lmi_str(NULL, 0)))
        return st;
    if (access(path, F_OK) < 0)
        return errno == ENOENT ? LMAIL_ERR_NOTFOUND : st;
    return check_keywords(NULL, j->target);
}

static lmail_status link_target(lmail_delivery *d, md_job *j, const char *dir)
{
    char file[192], path[MD_PATH], temporary[MD_PATH];
    md_account *a = j->account;
    incoming *m = &d->messages[j->target->message];
    lmail_flags flags = j->target->flags & LMAIL_FLAGS_SYSTEM;
    j->base_len = lmi_md_base_new(d->store, (int64_t)m->size, j->base);
    j->place = flags != 0;
    j->suffix_len = j->place ? lmi_md_suffix(flags, lmi_str("", 0), 0, j->suffix) : 0;
    int n = snprintf(file, sizeof file, "%.*s%.*s", (int)j->base_len, j->base, (int)j->suffix_len,
                     j->suffix);
    lmail_str name = lmi_str(file, (size_t)n);
    lmail_status st = lmi_md_path(a, path, dir, j->place ? "cur" : "new", name);
    if (!st)
        st = lmi_md_path(a, temporary, dir, "tmp", name);
    if (st)
        return st;
    size_t path_len = strlen(path) + 1, dir_len = strlen(dir) + 1;
    free(j->path);
    j->path = malloc(path_len + dir_len);
    if (!j->path)
        return LMAIL_ERR_NOMEM;
    memcpy(j->path, path, path_len);
    memcpy(j->path + path_len, dir, dir_len);
    j->dir = j->path + path_len;
    pthread_mutex_lock(&a->link_lock);
    j->before[j->place] = lmi_md_time(a, dir, (unsigned)j->place);
    st = lmi_md_link(d->store, m->temporary[0] ? m->temporary : NULL, m->fd, j->path, temporary);
    j->after[j->place] = lmi_md_time(a, dir, (unsigned)j->place);
    pthread_mutex_unlock(&a->link_lock);
    if (!st)
        j->linked = 1, m->linked = 1;
    return st;
}

/* An index that cannot be read fails no delivery. */
static int is_over(md_account *a, const lmail_delivery_target *t, uint64_t size)
{
    lmail_store_usage u;
    if ((!t->max_octets && !t->max_messages) || lmi_md_usage(a, &u))
        return 0;
    return lmi_store_over(&u, size, t->max_octets, t->max_messages);
}

static lmail_status prepare(lmail_delivery *d, md_job *j)
{
    lmail_delivery_target *t = j->target;
    char name[LMI_NAME_MAX], dir[MD_NAME_OCTETS + 1];
    size_t len;
    const incoming *m = lmi_md_incoming(d, t->message);
    if (!m)
        return LMAIL_ERR_STATE;
    j->account = t->account->account;
    j->message = m;
    j->date = lmi_wall_clock(d->store->env, &j->zone);
    if (m->args.has_date) {
        j->date = m->args.date;
        j->zone = m->args.date_zone;
    }
    lmail_status st = lmi_name_check(d->store->env, t->mailbox, name, &len);
    if (!st)
        st = lmi_md_dir_of(lmi_str(name, len), dir);
    if (!st && is_over(j->account, t, m->size))
        st = LMAIL_ERR_QUOTA;
    if (st)
        return st;
    /* The link itself shows that the mailbox is there; its box is for who writes the rows. */
    st = t->keyword_count ? LMAIL_ERR_NOTFOUND : link_target(d, j, dir);
    if (st == LMAIL_ERR_NOTFOUND) {
        st = look_at_box(j, lmi_str(name, len), dir);
        if (!st)
            st = link_target(d, j, dir);
    }
    return st;
}

/* ---- Commit: the sync ------------------------------------------------------------------------ */

static lmail_status sync_dirs(lmail_delivery *d, const incoming *m)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < d->job_count && !st; i++) {
        char dir[MD_PATH];
        if (!d->jobs[i].linked || d->jobs[i].message != m)
            continue;
        strcpy(dir, d->jobs[i].path);
        *strrchr(dir, '/') = '\0';
        st = lmi_md_sync_dir(d->store, dir);
    }
    return st;
}

static lmail_status sync_messages(lmail_delivery *d)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < d->count && !st && !d->store->no_sync; i++) {
        const incoming *m = &d->messages[i];
        if (!m->linked)
            continue;
        if (fsync(m->fd) < 0)
            st = lmi_md_errno();
        else if (!lmi_file_sync_covers_names(m->fd))
            st = sync_dirs(d, m);
    }
    return st;
}

/* ---- Commit: rows ---------------------------------------------------------------------------- */

static lmail_status add_row(md_box *b, md_job *j, int64_t key, lmail_flags seen, int64_t now)
{
    const md_summary *s = j->message->summary;
    int64_t size = s ? (int64_t)s->size : -1, done = s != NULL;
    lmail_status st = lmi_md_run(j->account, MD_MESSAGE_ADD, "iititiiiiiiti", key, b->id,
                                 lmi_str(j->base, j->base_len), (int64_t)j->place,
                                 lmi_str(j->suffix, j->suffix_len), (int64_t)seen, size, (int64_t)0,
                                 j->date, (int64_t)j->zone, now, lmi_str("", 0), done);
    return st || !s ? st : lmi_md_text_add(j->account, key, s);
}

/* A scan came first and made the row: only the summary is missing. */
static lmail_status complete_row(md_job *j, int64_t key)
{
    const md_summary *s = j->message->summary;
    lmail_status st = s ? lmi_md_text_add(j->account, key, s) : LMAIL_OK;
    if (!st && s)
        st = lmi_md_run(j->account, MD_MESSAGE_SUMMARY, "iii", (int64_t)s->size, (int64_t)0, key);
    return st;
}

static lmail_status insert_one(md_box *b, md_job *j, lmail_snapshot_edit *edit, lmail_modseq modseq,
                               int64_t now, int *changed)
{
    md_account *a = j->account;
    lmail_flags bits, seen = j->target->flags & LMAIL_FLAGS_SYSTEM;
    int64_t key;
    int made;
    lmail_status st = lmi_md_bits(b, j->target->flags, j->target->keywords,
                                  j->target->keyword_count, 1, &bits, &made);
    if (st)
        return st;
    st = lmi_md_int(a, MD_MESSAGE_BY_BASE, &key, "it", b->id, lmi_str(j->base, j->base_len));
    if (!st) {
        st = complete_row(j, key);
        *changed |= bits != seen;
    } else if (st == LMAIL_ERR_NOTFOUND) {
        key = lmi_md_key(b->id, b->row.uidnext++);
        st = add_row(b, j, key, seen, now);
        made = 1;
    }
    j->target->uid = (lmail_uid)key;
    if (!st && (made || bits != seen))
        st = lmi_md_run(a, MD_FLAG_ADD, "iii", key, (int64_t)modseq, (int64_t)bits);
    if (!st && bits != seen)
        st = lmi_md_run(a, MD_LATE_ADD, "iii", b->id, (int64_t)(lmail_uid)key,
                        (int64_t)(lmail_uid)key);
    if (!st && edit)
        st = lmail_snapshot_edit_put(edit, (lmail_uid)key, bits, modseq);
    lmi_md_step(&b->row, j->before, j->after);
    return st;
}

/* Rows of one mailbox, in one transaction. ERR_STALE: the box is another directory's by now. */
static lmail_status insert_rows(md_box *b, md_job *jobs, uint64_t count)
{
    lmail_snapshot_edit *edit = NULL;
    md_account *a = b->account;
    int zone, changed = 0;
    int64_t now = lmi_wall_clock(a->store->env, &zone);
    lmail_status st = lmi_md_begin(a, &b, &count, 1);
    if (!st && strcmp(b->dir, jobs->dir) != 0) {
        lmi_md_rollback(a);
        st = LMAIL_ERR_STALE;
    }
    if (st)
        return st;
    /* The snapshot goes along if somebody has it; else it is read when asked for. */
    if (b->snapshot && lmail_snapshot_facts(b->snapshot)->highest_modseq == b->row.modseq &&
        lmail_snapshot_facts(b->snapshot)->uidnext == b->row.uidnext)
        st = lmail_snapshot_edit_begin(b->snapshot, &edit);
    lmail_modseq modseq = b->row.modseq + 1;
    for (md_job *j = jobs; j && !st; j = j->next)
        st = insert_one(b, j, edit, modseq, now, &changed);
    b->row.modseq = modseq;
    if (changed)
        b->row.changed = modseq;
    if (!st)
        st = lmi_md_numbers(b);
    if (!st)
        st = lmi_md_commit(a);
    if (st) {
        lmi_md_rollback(a);
        lmail_snapshot_edit_abort(edit);
        (void)lmi_md_load(b);
        return st;
    }
    if (edit)
        (void)lmi_md_publish(b, edit);
    return LMAIL_OK;
}

/* Rows of one directory: through the box that is loaded, if its row still says the same. */
static void insert_group(md_account *a, md_job *jobs, uint64_t count)
{
    md_box *box = lmi_md_box_loaded(a, jobs->dir);
    lmail_status st = LMAIL_ERR_STALE;
    if (box) {
        st = insert_rows(box, jobs, count);
        if (st == LMAIL_ERR_STALE)
            lmi_md_box_unref(box);
    }
    if (st == LMAIL_ERR_STALE) {
        st = lmi_md_box_get(a, jobs->dir, &box);
        if (st)
            box = NULL;
        else
            st = insert_rows(box, jobs, count);
    }
    for (md_job *j = jobs, *next; j; j = next) {
        next = j->next;
        if (st)
            j->target->uid = 0;
        else
            j->target->uidvalidity = box->row.uidvalidity;
        j->done = 1;
    }
    if (box)
        lmi_md_box_unref(box);
}

static md_job *take_jobs(md_account *a)
{
    pthread_mutex_lock(&a->queue_lock);
    md_job *list = a->jobs;
    a->jobs = NULL;
    a->jobs_end = &a->jobs;
    pthread_mutex_unlock(&a->queue_lock);
    return list;
}

/* The account is entered: rows of all who wait, mailbox by mailbox. */
static void drain(md_account *a)
{
    for (md_job *list = take_jobs(a); list;) {
        md_job *mine = NULL, **mine_end = &mine, *rest = NULL, **rest_end = &rest, *next;
        const char *dir = list->dir;
        uint64_t count = 0;
        for (md_job *j = list; j; j = next) {
            next = j->next;
            j->next = NULL;
            if (strcmp(j->dir, dir) == 0) {
                *mine_end = j;
                mine_end = &j->next;
                count++;
            } else {
                *rest_end = j;
                rest_end = &j->next;
            }
        }
        insert_group(a, mine, count);
        list = rest;
    }
}

/* The account cannot be entered: a scan makes the rows. */
static void give_up(md_account *a)
{
    for (md_job *j = take_jobs(a), *next; j; j = next) {
        next = j->next;
        j->target->uid = 0;
        j->done = 1;
    }
}

static void queue_job(md_job *j)
{
    md_account *a = j->account;
    j->next = NULL;
    pthread_mutex_lock(&a->queue_lock);
    *a->jobs_end = j;
    a->jobs_end = &j->next;
    pthread_mutex_unlock(&a->queue_lock);
}

/* A queue may hold other threads' jobs: whoever is in the account does them all, and who comes
 * behind finds its own done. */
static void write_rows(lmail_delivery *d)
{
    for (size_t i = 0; i < d->job_count; i++) {
        if (d->jobs[i].linked)
            queue_job(&d->jobs[i]);
    }
    for (size_t i = 0; i < d->job_count; i++) {
        md_job *j = &d->jobs[i];
        md_account *a = j->account;
        if (!j->linked)
            continue;
        pthread_mutex_lock(&a->lock);
        if (j->done) {
            pthread_mutex_unlock(&a->lock);
        } else if (!lmi_md_enter_locked(a)) {
            drain(a);
            lmi_md_leave(a);
        } else {
            pthread_mutex_lock(&a->lock);
            give_up(a);
            pthread_mutex_unlock(&a->lock);
        }
    }
}

void lmi_md_forget_jobs(lmail_delivery *d)
{
    for (size_t i = 0; i < d->job_count; i++)
        free(d->jobs[i].path);
    free(d->jobs);
    d->jobs = NULL;
    d->job_count = 0;
}

static void unlink_all(lmail_delivery *d, lmail_status why)
{
    for (size_t i = 0; i < d->job_count; i++) {
        md_job *j = &d->jobs[i];
        if (!j->linked)
            continue;
        unlink(j->path);
        j->linked = 0;
        j->target->status = why;
    }
}

lmail_status lmi_md_commit_delivery(lmail_delivery *d, lmail_delivery_target *targets, size_t count)
{
    lmail_status first = LMAIL_OK;
    if (d->writing)
        return LMAIL_ERR_STATE;
    lmi_md_forget_jobs(d);
    for (size_t i = 0; i < count; i++) {
        targets[i].status = LMAIL_ERR_STATE;
        targets[i].uid = targets[i].uidvalidity = 0;
    }
    d->jobs = calloc(count ? count : 1, sizeof *d->jobs);
    if (!d->jobs)
        return LMAIL_ERR_NOMEM;
    d->job_count = count;
    for (size_t i = 0; i < count; i++)
        d->jobs[i].target = &targets[i];
    for (size_t i = 0; i < count && !(first && d->atomic); i++) {
        targets[i].status = prepare(d, &d->jobs[i]);
        if (targets[i].status && !first)
            first = targets[i].status;
    }
    if (first && d->atomic) {
        unlink_all(d, LMAIL_ERR_STATE);
        return first;
    }
    lmail_status st = sync_messages(d);
    if (st) {
        unlink_all(d, st);
        return st;
    }
    write_rows(d);
    return first;
}

/* ---- Taking back ----------------------------------------------------------------------------- */

static lmail_status undo_one(md_job *j)
{
    md_account *a = j->account;
    md_box *b;
    int64_t key;
    lmail_uid_list vanished = {0};
    lmail_modseq modseq;
    lmail_status st = lmi_md_enter(a);
    if (!st) {
        st = lmi_md_box_by_name(a, j->target->mailbox, &b);
        if (!st) {
            st =
                lmi_md_int(a, MD_MESSAGE_BY_BASE, &key, "it", b->id, lmi_str(j->base, j->base_len));
            lmail_uid_range one = {(lmail_uid)key, (lmail_uid)key};
            if (!st)
                st = lmi_md_expunge(b, (lmail_uid_set){&one, 1}, LMAIL_EXPUNGE_ALL, &vanished,
                                    &modseq);
            lmi_md_box_unref(b);
        }
        lmi_md_leave(a);
    }
    lmail_uid_list_free(&vanished);
    if (unlink(j->path) < 0 && errno != ENOENT)
        return LMAIL_ERR_IO;
    return st == LMAIL_ERR_NOTFOUND ? LMAIL_OK : st;
}

lmail_status lmi_md_undo_delivery(lmail_delivery *d, lmail_delivery_target *targets, size_t count)
{
    lmail_status first = LMAIL_OK;
    for (size_t i = 0; i < d->job_count; i++) {
        md_job *j = &d->jobs[i];
        if (!j->linked || j->target < targets || j->target >= targets + count || j->target->status)
            continue;
        lmail_status st = undo_one(j);
        if (st && !first)
            first = st;
        j->linked = 0;
        j->target->status = LMAIL_ERR_STATE;
        j->target->uid = 0;
    }
    return first;
}
