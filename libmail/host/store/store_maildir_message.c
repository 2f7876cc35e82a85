/* store_maildir_message.c - what the index keeps of messages.
 *
 * fetch gives rows straight out of the index, in slices; nothing stays open behind it. A message
 * that came by another program has no summary yet: it is read and its row filled when somebody
 * first asks. */
#include "host/store/store_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)256 << 10)
#define SUMMARISE_ROWS 256 /* in one transaction */

/* ---- Summaries ------------------------------------------------------------------------------- */

static lmail_str keep(char **at, lmail_str s)
{
    lmail_str kept = lmi_str(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return kept;
}

md_summary *lmi_md_summary_keep(const lmail_mime_summary *m)
{
    size_t fields = lmi_fields_size(m);
    md_summary *s = malloc(sizeof *s + m->envelope.len + m->bodystructure.len + m->parts.len +
                           m->preview.len + fields);
    if (!s)
        return NULL;
    char *p = (char *)(s + 1);
    s->size = m->size;
    s->envelope = keep(&p, m->envelope);
    s->bodystructure = keep(&p, m->bodystructure);
    s->parts = keep(&p, m->parts);
    s->preview = keep(&p, m->preview);
    lmi_fields_write(m, p);
    s->fields = lmi_str(p, fields);
    return s;
}

/* Is this the start of a message with bare LF line ends? Its first line end tells. */
unsigned lmi_md_is_lf(lmail_str head)
{
    const char *lf = memchr(head.ptr, '\n', head.len);
    return lf && (lf == head.ptr || lf[-1] != '\r');
}

static lmail_status parse_file(md_store *s, int fd, char *piece, lmail_mime_parser **out,
                               unsigned *lf)
{
    ssize_t n;
    off_t at = 0;
    lmail_mime_parser *p = NULL;
    while ((n = pread(fd, piece, PIECE, at)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        if (!p) {
            *lf = lmi_md_is_lf(lmi_str(piece, (size_t)n));
            if (!(p = lmi_md_parser(s, *lf)))
                return LMAIL_ERR_NOMEM;
        }
        if (lmail_mime_parser_feed(p, lmi_str(piece, (size_t)n))) {
            lmail_mime_parser_free(p);
            return LMAIL_ERR_NOMEM;
        }
        at += n;
    }
    if (!p && n == 0) {
        *lf = 0;
        p = lmi_md_parser(s, 0);
    }
    if (n < 0 || !p || lmail_mime_parser_end(p)) {
        lmail_mime_parser_free(p);
        return n < 0 ? LMAIL_ERR_IO : LMAIL_ERR_NOMEM;
    }
    *out = p;
    return LMAIL_OK;
}

lmail_status lmi_md_text_add(md_account *a, int64_t key, const md_summary *s)
{
    return lmi_md_run(a, MD_TEXT_ADD, "ibbbbb", key, s->envelope, s->bodystructure, s->parts,
                      s->preview, s->fields);
}

static lmail_status write_summary(md_account *a, int64_t key, const lmail_mime_summary *m,
                                  unsigned lf)
{
    md_summary *s = lmi_md_summary_keep(m);
    if (!s)
        return LMAIL_ERR_NOMEM;
    lmail_status st = lmi_md_text_add(a, key, s);
    if (!st)
        st = lmi_md_run(a, MD_MESSAGE_SUMMARY, "iii", (int64_t)s->size, (int64_t)lf, key);
    free(s);
    return st;
}

static lmail_status summarise_one(md_box *b, lmail_uid uid, char *piece)
{
    md_file_row row;
    int fd;
    unsigned lf = 0;
    lmail_mime_parser *p = NULL;
    char path[MD_PATH];
    lmail_status st = lmi_md_file_row(b, uid, &row);
    if (!st)
        st = lmi_md_path(b->account, path, b->dir, NULL, lmi_str(row.name, row.name_len));
    if (st)
        return st;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) /* one that may not be read stays without a summary, and hinders no other */
        return errno == ENOENT ? LMAIL_ERR_NOTFOUND : LMAIL_OK;
    st = parse_file(b->account->store, fd, piece, &p, &lf);
    close(fd);
    if (st)
        return st;
    st = write_summary(b->account, lmi_md_key(b->id, uid), lmail_mime_parser_summary(p), lf);
    lmi_md_parser_rest(b->account->store, p);
    return st;
}

/* UIDs from `from` to `last` without a summary, up to SUMMARISE_ROWS. */
static lmail_status list_bare(md_box *b, lmail_uid from, lmail_uid last, lmail_uid *out, size_t *n)
{
    sqlite3_stmt *q;
    int code = SQLITE_DONE;
    *n = 0;
    lmail_status st = lmi_md_sql(b->account, MD_BARE, &q, "iii", lmi_md_key(b->id, from),
                                 lmi_md_key(b->id, last), (int64_t)SUMMARISE_ROWS);
    while (!st && (code = sqlite3_step(q)) == SQLITE_ROW)
        out[(*n)++] = (lmail_uid)sqlite3_column_int64(q, 0);
    if (!st) {
        sqlite3_reset(q);
        st = lmi_md_db_status(b->account, code);
    }
    return st;
}

static lmail_status summarise_batch(md_box *b, const lmail_uid *uids, size_t n, char *piece)
{
    unsigned raise = b->account->raise;
    int missing = 0;
    lmail_status st = lmi_md_begin_plain(b->account, 0);
    for (size_t i = 0; i < n && !st; i++) {
        st = summarise_one(b, uids[i], piece);
        if (st == LMAIL_ERR_NOTFOUND) {
            missing = 1;
            st = LMAIL_OK;
        }
    }
    if (!st)
        st = lmi_md_commit(b->account);
    lmi_md_rollback(b->account);
    b->account->raise = raise;
    if (!st && missing && !(st = lmi_md_load(b)))
        st = lmi_md_scan(b, 1);
    return st;
}

lmail_status lmi_md_summarise(md_box *b, lmail_uid_set uids)
{
    lmail_uid batch[SUMMARISE_ROWS];
    char *piece = malloc(PIECE);
    lmail_status st = piece ? LMAIL_OK : LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < uids.count && !st; i++) {
        lmail_uid from = uids.ranges[i].first, last = uids.ranges[i].last;
        for (size_t n = SUMMARISE_ROWS; n == SUMMARISE_ROWS && !st && from <= last;) {
            st = list_bare(b, from, last, batch, &n);
            if (!st && n)
                st = summarise_batch(b, batch, n, piece);
            if (n) {
                if (batch[n - 1] == UINT32_MAX)
                    break;
                from = batch[n - 1] + 1;
            }
        }
    }
    free(piece);
    return st;
}

/* ---- fetch ----------------------------------------------------------------------------------- */

/* Columns by item, in the order of LMAIL_ROW_*. */
static const char *const columns[] = {"size",  "date,zone", "envelope", "bodystructure",
                                      "parts", "preview",   "emailid",  "NULL",
                                      "base",  "saved",     "fields"};
#define NEEDS_TEXT                                                                                 \
    (LMAIL_ROW_ENVELOPE | LMAIL_ROW_BODYSTRUCTURE | LMAIL_ROW_PARTS | LMAIL_ROW_PREVIEW |          \
     LMAIL_ROW_FIELDS)
#define NEEDS_SUMMARY (LMAIL_ROW_SIZE | NEEDS_TEXT)
#define COLUMNS (sizeof columns / sizeof *columns)

static lmail_status fetch_statement(md_account *a, unsigned items, sqlite3_stmt **out)
{
    if (!a->fetches && !(a->fetches = calloc(MD_FETCHES, sizeof *a->fetches)))
        return LMAIL_ERR_NOMEM;
    for (unsigned i = 0; i < MD_FETCHES; i++) {
        if (a->fetches[i].sql && a->fetches[i].items == items) {
            *out = a->fetches[i].sql;
            return LMAIL_OK;
        }
    }
    char text[320] = "SELECT m.key,m.summary";
    for (unsigned i = 0; i < COLUMNS; i++) {
        if (items >> i & 1) {
            strcat(text, ",");
            strcat(text, columns[i]);
        }
    }
    strcat(text, " FROM message m");
    if (items & NEEDS_TEXT)
        strcat(text, " LEFT JOIN summary t ON t.key=m.key");
    strcat(text, " WHERE m.key BETWEEN ? AND ? ORDER BY m.key");
    md_fetch *f = &a->fetches[a->fetch_next++ % MD_FETCHES];
    sqlite3_finalize(f->sql);
    f->sql = NULL;
    int code = sqlite3_prepare_v3(a->index.db, text, -1, SQLITE_PREPARE_PERSISTENT, &f->sql, NULL);
    f->items = items;
    *out = f->sql;
    return lmi_md_db_status(a, code);
}

/* Texts of a row that are made, not stored. */
typedef struct made_texts {
    char uidl[72], email_id[34];
} made_texts;

static void fill_row(sqlite3_stmt *q, unsigned items, made_texts *made, lmail_mailbox_row *out)
{
    int c = 2;
    lmail_str email_id = {NULL, 0};
    *out = (lmail_mailbox_row){.uid = (lmail_uid)sqlite3_column_int64(q, 0)};
    if (items & LMAIL_ROW_SIZE) {
        int64_t size = sqlite3_column_int64(q, c++);
        out->size = size > 0 ? (uint64_t)size : 0;
    }
    if (items & LMAIL_ROW_DATE) {
        out->date = sqlite3_column_int64(q, c++);
        out->date_zone = sqlite3_column_int(q, c++);
    }
    if (items & LMAIL_ROW_ENVELOPE)
        out->envelope = lmi_db_text(q, c++);
    if (items & LMAIL_ROW_BODYSTRUCTURE)
        out->bodystructure = lmi_db_text(q, c++);
    if (items & LMAIL_ROW_PARTS)
        out->parts = lmi_db_text(q, c++);
    if (items & LMAIL_ROW_PREVIEW)
        out->preview = lmi_db_text(q, c++);
    if (items & LMAIL_ROW_EMAILID)
        email_id = lmi_db_text(q, c++);
    if (items & LMAIL_ROW_THREADID)
        c++;
    if (items & LMAIL_ROW_UIDL) {
        lmail_str base = lmi_db_text(q, c++);
        size_t len;
        lmi_md_uidl(base, made->uidl, &len);
        out->uidl = lmi_str(made->uidl, len);
        if ((items & LMAIL_ROW_EMAILID) && email_id.len == 0) {
            made->email_id[0] = 'm';
            lmi_digest(base, made->email_id + 1);
            email_id = lmi_str(made->email_id, 33);
        }
    }
    out->email_id = email_id;
    if (items & LMAIL_ROW_SAVEDATE)
        out->save_date = sqlite3_column_int64(q, c++);
    if (items & LMAIL_ROW_FIELDS)
        out->fields = lmi_db_text(q, c++);
}

typedef struct fetching {
    const lmail_fetch_args *args;
    lmail_row_fn *fn;
    void *user;
    unsigned items;
    size_t cursor, given;
    lmail_uid next;  /* where to go on, 0: not stopped */
    lmail_uid bare;  /* the row that needs a summary first */
    lmail_uid tried; /* rows up to here have been summarised in this call */
} fetching;

/* Rows from first to last that are in the set. */
static lmail_status fetch_span(md_box *b, fetching *f, lmail_uid first, lmail_uid last)
{
    sqlite3_stmt *q;
    md_account *a = b->account;
    int code = SQLITE_DONE;
    lmail_status st = fetch_statement(a, f->items, &q);
    if (st)
        return st;
    sqlite3_bind_int64(q, 1, lmi_md_key(b->id, first));
    sqlite3_bind_int64(q, 2, lmi_md_key(b->id, last));
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        lmail_uid uid = (lmail_uid)sqlite3_column_int64(q, 0);
        made_texts made;
        lmail_mailbox_row row;
        if (!lmi_set_walk(f->args->uids, &f->cursor, uid))
            continue;
        if (f->args->max_rows && f->given == f->args->max_rows) {
            f->next = uid;
            break;
        }
        if ((f->items & NEEDS_SUMMARY) && !sqlite3_column_int(q, 1)) {
            if (uid > f->tried) {
                f->bare = uid;
                break;
            }
            continue; /* its file cannot be read: as if it were gone */
        }
        fill_row(q, f->items, &made, &row);
        f->given++;
        if (f->fn(f->user, &row)) {
            f->next = uid == UINT32_MAX ? 0 : uid + 1;
            break;
        }
    }
    sqlite3_reset(q);
    return lmi_md_db_status(a, code);
}

/* Ranges with small gaps are read in one go. */
static size_t span(lmail_uid_set set, size_t i, lmail_uid *first, lmail_uid *last)
{
    *first = set.ranges[i].first;
    *last = set.ranges[i].last;
    for (i++; i < set.count && set.ranges[i].first - *last < 128; i++)
        *last = set.ranges[i].last;
    return i;
}

static lmail_status fetch_all(md_box *b, fetching *f)
{
    lmail_uid first, last;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; i < f->args->uids.count && !st && !f->next;) {
        i = span(f->args->uids, i, &first, &last);
        st = fetch_span(b, f, first, last);
        while (!st && f->bare) {
            lmail_uid_range range = {f->bare, last};
            lmail_uid from = f->bare;
            if (f->args->max_rows && last - from > 4 * SUMMARISE_ROWS)
                range.last = from + 4 * SUMMARISE_ROWS;
            f->bare = 0;
            f->tried = range.last;
            st = lmi_md_summarise(b, (lmail_uid_set){&range, 1});
            if (!st)
                st = fetch_span(b, f, from, last);
        }
    }
    return st;
}

static lmail_status fetch(lmail_store_mailbox *h, const lmail_fetch_args *args, lmail_row_fn *fn,
                          void *user, lmail_uid *next)
{
    *next = 0;
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    lmail_status st = lmi_md_enter(h->account);
    if (st)
        return st;
    unsigned known = (1u << COLUMNS) - 1;
    fetching f = {.args = args, .fn = fn, .user = user, .items = args->items & known};
    if (f.items & LMAIL_ROW_EMAILID)
        f.items |= LMAIL_ROW_UIDL;
    st = h->box->dead ? LMAIL_ERR_STALE : fetch_all(h->box, &f);
    *next = f.next;
    lmi_md_leave(h->account);
    return st;
}

/* ---- The table --------------------------------------------------------------------------------- */

static lmail_status search(lmail_store_mailbox *h, const lmail_snapshot *snapshot,
                           const lmail_search *tree, lmail_uid_set recent, lmail_uid_list *out)
{
    const md_store *s = h->account->store;
    return lmi_store_search(&s->table, h, s->env, snapshot, tree, recent, out);
}

void lmi_md_fill_message(lmail_store *table)
{
    table->fetch = fetch;
    table->search = search;
}
