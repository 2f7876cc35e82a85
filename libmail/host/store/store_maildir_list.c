/* store_maildir_list.c - the Maildir store: names, subscriptions, status.
 *
 * What is listed is what lies on disk; marks come from each mailbox's libmail-mailbox. */
#include "host/store/store_list.h"
#include "host/store/store_maildir.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- list ------------------------------------------------------------------------------------ */

typedef struct listing {
    md_account *account;
    lmi_list list;
} listing;

static lmail_status add_dir(listing *l, const char *dir)
{
    char name[LMI_NAME_MAX];
    size_t len;
    md_facts facts;
    char path[MD_PATH];
    if (lmi_md_name_of(lmail_str_from(dir), name, &len) ||
        lmi_md_path(l->account, path, dir, "cur", lmi_str(NULL, 0)) || access(path, F_OK) < 0)
        return LMAIL_OK; /* no mailbox, or no name of ours: not shown */
    lmi_md_facts_read(l->account, dir, &facts);
    lmail_list_row row = {.name = {name, len},
                          .exists = 1,
                          .special_use = facts.special,
                          .mailbox_id = {facts.objectid, facts.objectid_len}};
    return lmi_list_add(&l->list, &row);
}

static int add_subscription(void *user, lmail_str name)
{
    listing *l = user;
    lmail_list_row row = {.name = name, .subscribed = 1};
    return lmi_list_add(&l->list, &row) != LMAIL_OK;
}

static lmail_status list(lmail_store_account *h, lmail_list_fn *fn, void *user)
{
    listing l = {.account = h->account};
    md_box *inbox;
    struct dirent *e;
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    if (!lmi_md_box_get(h->account, "", &inbox)) /* so that it has its id */
        lmi_md_box_unref(inbox);
    DIR *d = opendir(h->account->dir);
    st = d ? add_dir(&l, "") : LMAIL_ERR_IO;
    while (!st && (errno = 0, e = readdir(d))) {
        if (e->d_name[0] == '.' && e->d_name[1] && e->d_name[1] != '.' &&
            (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN || e->d_type == DT_LNK))
            st = add_dir(&l, e->d_name);
    }
    if (!st && errno)
        st = LMAIL_ERR_IO;
    if (d)
        closedir(d);
    if (!st)
        st = lmi_md_subscriptions(h->account, add_subscription, &l);
    lmi_md_leave(h->account);
    if (!st)
        lmi_list_run(&l.list, fn, user);
    lmi_list_free(&l.list);
    return st;
}

static lmail_status subscribe(lmail_store_account *h, lmail_str name, int on)
{
    md_account *a = h->account;
    char text[LMI_NAME_MAX], dir[MD_NAME_OCTETS + 1];
    size_t len;
    lmail_status st = lmi_name_check(a->store->env, name, text, &len);
    if (!st)
        st = lmi_md_dir_of(lmi_str(text, len), dir);
    if (!st)
        st = lmi_md_enter(a);
    if (st)
        return st;
    /* The index's lock keeps our other processes from the same file. */
    st = lmi_md_begin_plain(a, 0);
    if (!st)
        st = lmi_md_subscribe(a, lmi_str(text, len), on);
    if (!st)
        st = lmi_md_commit(a);
    lmi_md_leave(a);
    return st;
}

/* ---- status ---------------------------------------------------------------------------------- */

static lmail_status count(md_box *b, lmail_mailbox_status *out)
{
    sqlite3_stmt *q;
    md_account *a = b->account;
    int64_t recent = 0;
    lmail_status st =
        lmi_md_sql(a, MD_COUNTS, &q, "ii", lmi_md_key(b->id, 0), lmi_md_key(b->id, UINT32_MAX));
    if (st)
        return st;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        out->messages = (uint32_t)sqlite3_column_int64(q, 0);
        out->unseen = (uint32_t)sqlite3_column_int64(q, 1);
        out->deleted = (uint32_t)sqlite3_column_int64(q, 2);
    }
    sqlite3_reset(q);
    st = lmi_md_db_status(a, code);
    if (!st && b->row.recent < UINT32_MAX)
        st = lmi_md_int(a, MD_COUNT_ABOVE, &recent, "ii", lmi_md_key(b->id, b->row.recent + 1),
                        lmi_md_key(b->id, UINT32_MAX));
    out->recent = (uint32_t)recent;
    return st;
}

static lmail_status status_in(md_box *b, int want_octets, lmail_mailbox_status *out)
{
    static const lmail_uid_range all = {1, UINT32_MAX};
    md_account *a = b->account;
    int64_t octets = 0;
    lmail_status st = lmi_md_scan(b, 0);
    if (!st && want_octets)
        st = lmi_md_summarise(b, (lmail_uid_set){&all, 1});
    if (!st)
        st = lmi_md_run(a, MD_READ, "");
    if (st)
        return st;
    st = lmi_md_load(b);
    if (!st)
        st = count(b, out);
    if (!st && want_octets)
        st = lmi_md_int(a, MD_OCTETS, &octets, "ii", lmi_md_key(b->id, 0),
                        lmi_md_key(b->id, UINT32_MAX));
    lmail_status end = lmi_md_run(a, MD_COMMIT, "");
    out->octets = octets > 0 ? (uint64_t)octets : 0;
    out->uidvalidity = b->row.uidvalidity;
    out->uidnext = b->row.uidnext;
    out->highest_modseq = b->row.modseq;
    out->mailbox_id_len = (uint32_t)b->row.objectid_len;
    memcpy(out->mailbox_id, b->row.objectid, b->row.objectid_len);
    return st ? st : end;
}

static lmail_status status(lmail_store_account *h, lmail_str name, int want_octets,
                           lmail_mailbox_status *out)
{
    md_box *b;
    *out = (lmail_mailbox_status){0};
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    st = lmi_md_box_by_name(h->account, name, &b);
    if (!st) {
        st = status_in(b, want_octets, out);
        lmi_md_box_unref(b);
    }
    lmi_md_leave(h->account);
    return st == LMAIL_ERR_STALE ? LMAIL_ERR_NOTFOUND : st;
}

void lmi_md_fill_list(lmail_store *table)
{
    table->list = list;
    table->subscribe = subscribe;
    table->status = status;
}
