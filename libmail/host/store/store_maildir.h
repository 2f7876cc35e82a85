/* store_maildir.h - the Maildir store's own structures.
 *
 * md_account is one account in this process: its directory, its index, its mailboxes (md_box),
 * under one mutex. Handles point to it. Everything that touches the index runs between lmi_md_enter
 * and lmi_md_leave. File octets are read outside. Lock order: account, then store. Two accounts: by
 * address. */
#ifndef LMI_STORE_MAILDIR_H
#define LMI_STORE_MAILDIR_H

#include "host/file/file_internal.h"
#include "host/store/store_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#define MD_PATH 4096u
#define MD_NAME_OCTETS 255u /* of a file or folder name on disk */
#define MD_UID_STEP 1000u
#define MD_MODSEQ_STEP 10000u
#define MD_LETTERS 26u /* keywords that file names can tell */
#define MD_IDLE_BOXES 8u
#define MD_BUCKETS 64u /* of accounts, at first */

/* Flags that a file name can tell. */
#define MD_NAME_FLAGS                                                                              \
    (LMAIL_FLAGS_SYSTEM | ((((lmail_flags)1 << MD_LETTERS) - 1) << LMAIL_FLAG_KEYWORD_SHIFT))

/* Every statement is prepared once a connection. */
#define MD_SQL_MAP(XX)                                                                             \
    XX(BEGIN, "BEGIN IMMEDIATE")                                                                   \
    XX(READ, "BEGIN")                                                                              \
    XX(COMMIT, "COMMIT")                                                                           \
    XX(ROLLBACK, "ROLLBACK")                                                                       \
    XX(META_GET, "SELECT value FROM meta WHERE name=?")                                            \
    XX(META_SET, "INSERT OR REPLACE INTO meta VALUES(?,?)")                                        \
    XX(BOX_BY_DIR, "SELECT id FROM mailbox WHERE dir=?")                                           \
    XX(BOX_ROW, "SELECT dir,uidvalidity,uidnext,uid_ceiling,modseq,modseq_ceiling,changed,recent," \
                "special,objectid,keywords,new_mtime,cur_mtime,scanned,suspicious"                 \
                " FROM mailbox WHERE id=?")                                                        \
    XX(BOX_ALL, "SELECT id,dir,special,objectid FROM mailbox")                                     \
    XX(BOX_ADD, "INSERT INTO mailbox(dir,uidvalidity,uidnext,uid_ceiling,modseq,modseq_ceiling,"   \
                "changed,recent,special,objectid,keywords,new_mtime,cur_mtime,scanned,suspicious)" \
                " VALUES(?,?,?,?,1,?,1,?,?,?,?,0,0,0,?)")                                          \
    XX(BOX_CEILING, "UPDATE mailbox SET uid_ceiling=?,modseq_ceiling=? WHERE id=?")                \
    XX(BOX_NUMBERS, "UPDATE mailbox SET uidnext=?,modseq=?,changed=?,new_mtime=?,cur_mtime=?"      \
                    " WHERE id=?")                                                                 \
    XX(BOX_SCANNED, "UPDATE mailbox SET scanned=?,suspicious=0 WHERE id=?")                        \
    XX(BOX_RECENT, "UPDATE mailbox SET recent=? WHERE id=? AND recent<?")                          \
    XX(BOX_KEYWORDS, "UPDATE mailbox SET keywords=? WHERE id=?")                                   \
    XX(BOX_DIR, "UPDATE mailbox SET dir=? WHERE id=?")                                             \
    XX(BOX_DROP, "DELETE FROM mailbox WHERE id=?")                                                 \
    XX(BOX_DROP_FLAGS, "DELETE FROM flag WHERE key BETWEEN ? AND ?")                               \
    XX(BOX_DROP_MESSAGES, "DELETE FROM message WHERE key BETWEEN ? AND ?")                         \
    XX(BOX_DROP_TEXTS, "DELETE FROM summary WHERE key BETWEEN ? AND ?")                            \
    XX(BOX_DROP_GONE, "DELETE FROM gone WHERE mailbox=?")                                          \
    XX(BOX_DROP_LATE, "DELETE FROM late WHERE mailbox=?")                                          \
    XX(BOX_DROP_VANISHED, "DELETE FROM vanished WHERE mailbox=?")                                  \
    XX(AFTER_STOP, "UPDATE mailbox SET uidnext=uid_ceiling,modseq=modseq_ceiling,"                 \
                   "changed=modseq_ceiling,suspicious=1,scanned=0,new_mtime=0,cur_mtime=0")        \
    XX(FLAGS, "SELECT key,modseq,flags FROM flag WHERE key BETWEEN ? AND ? ORDER BY key")          \
    XX(FLAG_ADD, "INSERT OR REPLACE INTO flag VALUES(?,?,?)")                                      \
    XX(FLAG_SET, "UPDATE flag SET modseq=?,flags=? WHERE key=?")                                   \
    XX(FLAG_DROP, "DELETE FROM flag WHERE key=?")                                                  \
    XX(COUNTS, "SELECT count(*),sum(flags&1=0),sum(flags&8!=0) FROM flag"                          \
               " WHERE key BETWEEN ? AND ?")                                                       \
    XX(COUNT_ABOVE, "SELECT count(*) FROM flag WHERE key BETWEEN ? AND ?")                         \
    XX(OCTETS, "SELECT sum(size) FROM message WHERE key BETWEEN ? AND ?")                          \
    XX(USAGE_OCTETS, "SELECT octets FROM usage")                                                   \
    XX(USAGE_MESSAGES, "SELECT messages FROM usage")                                               \
    XX(BARE, "SELECT key FROM message WHERE key BETWEEN ? AND ? AND summary=0 ORDER BY key"        \
             " LIMIT ?")                                                                           \
    XX(MESSAGE_ADD, "INSERT INTO message VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)")                       \
    XX(MESSAGE_COPY, "INSERT INTO message SELECT ?,?,?,?,?,?,size,lf,date,zone,?,?,summary"        \
                     " FROM message WHERE key=?")                                                  \
    XX(TEXT_ADD, "INSERT OR REPLACE INTO summary VALUES(?,?,?,?,?,?)")                             \
    XX(TEXT_COPY, "INSERT OR REPLACE INTO summary SELECT ?,envelope,bodystructure,parts,preview,"  \
                  "fields FROM summary WHERE key=?")                                               \
    XX(TEXT_DROP, "DELETE FROM summary WHERE key=?")                                               \
    XX(TEXT_ALL, "SELECT envelope,bodystructure,parts,preview,fields FROM summary WHERE key=?")    \
    XX(MESSAGE_ALL, "SELECT size,lf,date,zone,summary FROM message WHERE key=?")                   \
    XX(MESSAGE_BY_BASE, "SELECT key,summary FROM message WHERE mailbox=? AND base=?")              \
    XX(MESSAGE_NAME, "SELECT base,place,suffix,size,lf,summary,emailid,seen FROM message"          \
                     " WHERE key=?")                                                               \
    XX(MESSAGE_NAMES, "SELECT key,base,place,suffix,size FROM message WHERE key BETWEEN ? AND ?"   \
                      " AND lf=0 AND summary=1 ORDER BY key LIMIT ?")                              \
    XX(MESSAGE_MOVED, "UPDATE message SET place=?,suffix=?,seen=? WHERE key=?")                    \
    XX(MESSAGE_SUMMARY, "UPDATE message SET size=?,lf=?,summary=1 WHERE key=?")                    \
    XX(MESSAGE_DROP, "DELETE FROM message WHERE key=?")                                            \
    XX(SCAN, "SELECT m.key,m.base,m.place,m.suffix,m.seen,f.flags FROM message m"                  \
             " JOIN flag f ON f.key=m.key WHERE m.key BETWEEN ? AND ? ORDER BY m.key")             \
    XX(GONE_ADD, "INSERT INTO gone(mailbox,base,name) SELECT mailbox,base,"                        \
                 "CASE place WHEN 0 THEN 'new/' ELSE 'cur/' END||base||suffix FROM message"        \
                 " WHERE key=?")                                                                   \
    XX(GONE_ALL, "SELECT base FROM gone WHERE mailbox=?")                                          \
    XX(GONE_NEXT, "SELECT id,mailbox,base,name FROM gone WHERE id>? ORDER BY id LIMIT 1")          \
    XX(GONE_DROP, "DELETE FROM gone WHERE id=?")                                                   \
    XX(LATE_ADD, "INSERT INTO late(mailbox,first,last) VALUES(?,?,?)")                             \
    XX(LATE_NEXT, "SELECT id,mailbox,first,last FROM late ORDER BY id LIMIT 1")                    \
    XX(LATE_BOX, "SELECT id,mailbox,first,last FROM late WHERE mailbox=? ORDER BY id LIMIT 1")     \
    XX(LATE_SET, "UPDATE late SET first=? WHERE id=?")                                             \
    XX(LATE_DROP, "DELETE FROM late WHERE id=?")                                                   \
    XX(LATE_ROWS,                                                                                  \
       "SELECT m.key,m.base,m.place,m.suffix,m.seen,f.flags FROM message m"                        \
       " JOIN flag f ON f.key=m.key WHERE m.key BETWEEN ? AND ? ORDER BY m.key LIMIT ?")           \
    XX(VANISHED_ADD, "INSERT INTO vanished VALUES(?,?,?,?)")                                       \
    XX(VANISHED, "SELECT first,last FROM vanished WHERE mailbox=? AND modseq>?")

typedef enum md_sql {
#define XX(name, text) MD_##name,
    MD_SQL_MAP(XX)
#undef XX
        MD_SQL_COUNT
} md_sql;

#define MD_FETCHES 6u /* fetch statements kept, by their items */

typedef struct md_fetch {
    sqlite3_stmt *sql;
    unsigned items;
} md_fetch;

/* The row of table mailbox. */
typedef struct md_row {
    uint32_t uidvalidity, uidnext, uid_ceiling, recent;
    lmail_modseq modseq, modseq_ceiling;
    lmail_modseq changed; /* of the last change that was no arrival */
    lmail_special_use special;
    char objectid[40];
    size_t objectid_len;
    char *words; /* keyword names, separated by a space; in one block with the slices */
    size_t words_len;
    lmail_str *keywords;
    size_t keyword_count;
    int64_t new_mtime, cur_mtime; /* of the directories when last read, ns */
    int64_t scanned;              /* wall clock of the last full scan */
    unsigned suspicious;          /* not scanned since an unclean stop */
} md_row;

/* One mailbox in this process. */
typedef struct md_box {
    struct md_box *next;
    struct md_account *account;
    unsigned refs;
    unsigned dead;       /* removed, or the index began anew */
    unsigned generation; /* of the account's index */
    int64_t id;
    char dir[MD_NAME_OCTETS + 1]; /* "" is INBOX */
    md_row row;
    const lmail_snapshot *snapshot; /* NULL: not loaded */
    struct md_watch *watch;         /* NULL: nobody waits here; under the lock of the watches */
} md_box;

typedef struct md_account {
    struct md_account *next;      /* in its bucket */
    struct md_account *open_next; /* among those whose index is open */
    struct md_store *store;
    unsigned refs;
    pthread_mutex_t lock;
    unsigned slot, raise;

    lmi_db index;
    md_fetch *fetches; /* MD_FETCHES of them, or NULL: none was made yet */
    unsigned fetch_next;
    dev_t dev;
    ino_t ino; /* of the index that is open */
    unsigned damaged, generation;
    unsigned in_transaction;
    unsigned resting;      /* its handles are left alone: the index may be closed soon */
    _Atomic uint64_t used; /* for the LRU */

    md_box *boxes;

    pthread_mutex_t queue_lock;
    struct md_job *jobs, **jobs_end;
    pthread_mutex_t link_lock; /* one own step in a directory at a time */

    char *dir;
    size_t dir_len;
    char name[];
} md_account;

typedef struct md_store {
    lmail_store table;
    const lmail_env *env;
    lmail_notice *notice;
    char *root, *spool_dir;
    char host_name[20];
    unsigned max_open, scan_seconds, no_sync;
    uint64_t reserve;
    mode_t file_mode, dir_mode;
    char boot[40];
    uint32_t random;
    pthread_mutex_t lock;
    md_account **accounts; /* buckets, by directory */
    size_t account_count, bucket_count;
    md_account *open_first; /* those whose index is open */
    unsigned open_count;
    _Atomic uint64_t clock;
    atomic_uint serial;
    atomic_uint scans; /* directories read; tests count them */
    struct md_watches *watches;
    lmail_mime_parser *parsers[8]; /* resting */
    unsigned parser_count;
} md_store;

struct lmail_store_account {
    md_account *account;
    int lock; /* -1: none is held */
};

struct lmail_store_mailbox {
    md_account *account;
    md_box *box;
    unsigned flags, generation;
    struct md_watch *watch; /* its share in one, or NULL */
    lmail_uid told;
    /* the message that read had last, -1: closed; names of those that may come next, or NULL */
    lmail_uid uid;
    int fd;
    struct md_names *names;
    unsigned lf;
    uint64_t size;            /* of the file */
    uint64_t lf_raw, lf_crlf; /* LF form: this raw offset is that CRLF offset */
};

/* A summary that outlives its parser, in one block. */
typedef struct md_summary {
    uint64_t size;
    lmail_str envelope, bodystructure, parts, preview, fields;
} md_summary;

/* ---- store_maildir.c */

/* What the index says the account holds. */
lmail_status lmi_md_usage(md_account *a, lmail_store_usage *out);
/* Lock and have an index. On an error nothing is locked. */
lmail_status lmi_md_enter(md_account *a);
/* The same by who has locked it already. */
lmail_status lmi_md_enter_locked(md_account *a);
/* Unlock; raises the counter when a commit was made. */
void lmi_md_leave(md_account *a);
/* Who has it is likely to leave it alone for a while. */
void lmi_md_account_rest(md_account *a);
lmail_mime_parser *lmi_md_parser(md_store *s, unsigned lf);
void lmi_md_parser_rest(md_store *s, lmail_mime_parser *p);

/* ---- store_maildir_db.c */

lmail_status lmi_md_db_open(md_account *a);
void lmi_md_db_close(md_account *a);
/* Is the file that is open still the one at its place? */
int lmi_md_db_current(const md_account *a);
/* The index is damaged: put it aside. */
void lmi_md_db_discard(md_account *a);
lmail_status lmi_md_db_status(md_account *a, int code);
/* lmi_db_bind, _run and _int for the index; what damage they meet is noted. */
lmail_status lmi_md_sql(md_account *a, md_sql which, sqlite3_stmt **out, const char *fmt, ...);
lmail_status lmi_md_run(md_account *a, md_sql which, const char *fmt, ...);
lmail_status lmi_md_int(md_account *a, md_sql which, int64_t *out, const char *fmt, ...);
/* A write transaction in which every box can give out uids[i] UIDs and one modseq: rows are loaded,
 * numbers are under their ceilings. ERR_STALE: a box is no more. */
lmail_status lmi_md_begin(md_account *a, md_box *const *boxes, const uint64_t *uids, size_t count);
lmail_status lmi_md_begin_plain(md_account *a, int full);
lmail_status lmi_md_commit(md_account *a);
void lmi_md_rollback(md_account *a);

static inline int64_t lmi_md_key(int64_t box, lmail_uid uid)
{
    return (int64_t)((uint64_t)box << 32 | uid);
}

/* ---- store_maildir_name.c */

/* A checked name to its directory, "" for INBOX. ERR_LIMIT. out has MD_NAME_OCTETS + 1. */
lmail_status lmi_md_dir_of(lmail_str name, char *out);
/* The other way; ERR_SYNTAX when no name of ours maps to it. out has LMI_NAME_MAX. */
lmail_status lmi_md_name_of(lmail_str dir, char *out, size_t *len);
/* Join the parts that are not NULL or empty, behind the account's directory. ERR_LIMIT. */
lmail_status lmi_md_path(const md_account *a, char out[MD_PATH], const char *dir, const char *sub,
                         lmail_str name);
/* A base name that nobody has; out has 128. */
size_t lmi_md_base_new(md_store *s, int64_t size, char *out);
/* Octets of the file that a base name of ours promises; -1: the name is another program's, whose
 * "S=" may mean something else (a file compressed later keeps the size it had). */
int64_t lmi_md_promised(lmail_str base);
/* "base:2,FS" to its parts. */
void lmi_md_split(lmail_str file, lmail_str *base, lmail_str *suffix);
/* Flags a suffix tells; keywords only those below `keywords`. */
lmail_flags lmi_md_flags_of(lmail_str suffix, size_t keywords);
/* The suffix for these flags; letters of the old one that mean nothing to us stay. out has 64. */
size_t lmi_md_suffix(lmail_flags flags, lmail_str old, size_t keywords, char *out);
void lmi_md_uidl(lmail_str base, char *out, size_t *len); /* out has 72 */

/* ---- store_maildir_text.c: small files beside the mail */

/* Read a whole small file (up to 8 MiB). ERR_NOTFOUND. Free *out. */
lmail_status lmi_md_text_read(const char *path, char **out, size_t *len);
/* Replace a file as a whole. lock: its name + ".lock" is the temporary file, as Dovecot's dotlock.
 * sync: it is there after a power cut. */
lmail_status lmi_md_text_write(md_store *s, const char *path, lmail_str text, int lock, int sync);
/* Take the next line off *text. 1 or 0. */
int lmi_md_text_line(lmail_str *text, lmail_str *line);

typedef struct md_facts {
    uint32_t uidvalidity; /* 0: not known */
    lmail_special_use special;
    char objectid[40];
    size_t objectid_len;
} md_facts;
void lmi_md_facts_read(md_account *a, const char *dir, md_facts *out);
lmail_status lmi_md_facts_write(md_account *a, const char *path, const md_facts *facts);
/* Keyword names as in dovecot-keywords; words as in md_row. Free *out. */
lmail_status lmi_md_keywords_read(md_account *a, const char *dir, char **out, size_t *len);
lmail_status lmi_md_keywords_write(md_box *b);
/* Names of the subscriptions file, each handed to fn. */
lmail_status lmi_md_subscriptions(md_account *a, int (*fn)(void *user, lmail_str name), void *user);
lmail_status lmi_md_subscribe(md_account *a, lmail_str name, int on);

/* ---- store_maildir_box.c */

lmail_status lmi_md_load(md_box *b); /* row; ERR_STALE when it is no more */
/* Find or take in the mailbox at a directory; a reference. ERR_NOTFOUND. */
lmail_status lmi_md_box_get(md_account *a, const char *dir, md_box **out);
/* By name as a client gave it. */
lmail_status lmi_md_box_by_name(md_account *a, lmail_str name, md_box **out);
lmail_status lmi_md_box_by_id(md_account *a, int64_t id, md_box **out);
/* One that is in memory, as its row was when it was last read; a reference, or NULL. */
md_box *lmi_md_box_loaded(md_account *a, const char *dir);
void lmi_md_box_unref(md_box *b);
void lmi_md_boxes_dead(md_account *a);
void lmi_md_boxes_free(md_account *a);
/* Keyword names, separated by a space, into a row. */
lmail_status lmi_md_words(md_row *r, lmail_str words);
/* Copy a text that the index gave, cut to cap, terminated. */
void lmi_md_text_copy(char *out, size_t cap, size_t *len, lmail_str s);

/* ---- store_maildir_open.c */

/* Bring the snapshot to the row's modseq (in a transaction, or alone). */
lmail_status lmi_md_sync(md_box *b);
/* The edit becomes the snapshot; the row tells the facts. ERR_NOMEM: there is none now, and the next
 * look reads it from the index; behind a commit that is no failure of what was committed. */
lmail_status lmi_md_publish(md_box *b, lmail_snapshot_edit *edit);
lmail_status lmi_md_numbers(md_box *b); /* write the row's numbers */
/* Bits for names in the transaction that runs; makes missing ones if `make`. *made: some were. */
lmail_status lmi_md_bits(md_box *b, lmail_flags flags, const lmail_str *keywords, size_t count,
                         int make, lmail_flags *out, int *made);
lmail_status lmi_md_add_box(md_account *a, const char *dir, const md_facts *facts, int64_t *id);
lmail_status lmi_md_drop_box(md_account *a, int64_t id);
/* Name of the message's file, relative to the mailbox; out has MD_PATH. ERR_NOTFOUND. */
typedef struct md_file_row {
    char name[2 * MD_NAME_OCTETS];
    size_t name_len, base_len; /* name is "cur/" base suffix */
    int64_t size;
    unsigned lf, summary;
    char emailid[40];
    size_t emailid_len;
    lmail_flags seen;
} md_file_row;
lmail_status lmi_md_file_row(md_box *b, lmail_uid uid, md_file_row *out);
/* Open a message's file; rescans once when it is not where the row says. The account is entered. */
lmail_status lmi_md_open_file(md_box *b, lmail_uid uid, md_file_row *row, int *fd);
void lmi_md_fill_open(lmail_store *table);

/* ---- store_maildir_scan.c */

/* Take in what other programs did, if the directories' times or `force` say so. */
lmail_status lmi_md_scan(md_box *b, int force);

/* ---- store_maildir_step.c */

/* Directory times of new/ and cur/ in ns, 0 when there is none. */
void lmi_md_times(const md_account *a, const char *dir, int64_t times[2]);
int64_t lmi_md_time(const md_account *a, const char *dir, unsigned place);
/* May a directory with this time change again without showing it, its clock being coarse? */
int lmi_md_fresh(int64_t time);
/* Own step from before to after: followed when the row stood at `before`. */
void lmi_md_step(md_row *row, const int64_t before[2], const int64_t after[2]);
/* Many own steps in one mailbox after the other, in the transaction that runs. All zero: none. */
typedef struct md_steps {
    md_box *box; /* a reference */
    int64_t before[2];
} md_steps;
/* What comes is in this mailbox. ERR_NOTFOUND: it is no more. */
lmail_status lmi_md_steps_begin(md_steps *s, md_account *a, int64_t id);
void lmi_md_steps_end(md_steps *s);

/* ---- store_maildir_watch.c */

lmail_status lmi_md_watches_new(md_store *s, unsigned max);
void lmi_md_watches_free(md_store *s);
/* Give back the handle's share, if it has one. Waits for a look at the mailbox that is under way,
 * so the account must not be entered. */
void lmi_md_unwatch(lmail_store_mailbox *h);
void lmi_md_fill_watch(lmail_store *table);

/* ---- store_maildir_folder.c */

void lmi_md_fill_folder(lmail_store *table);
void lmi_md_remove_tree(const char *path);
/* Make the directories of a mailbox and its row. ERR_EXISTS. Entered. */
lmail_status lmi_md_create(md_account *a, lmail_str name, lmail_special_use use);
lmail_status lmi_md_make_dirs(md_account *a, const char *path, int folder);

/* ---- store_maildir_list.c */

void lmi_md_fill_list(lmail_store *table);

/* ---- store_maildir_flags.c */

void lmi_md_fill_flags(lmail_store *table);

/* ---- store_maildir_expunge.c */

/* Within a transaction: rows and vanished log of these UIDs; files are unlinked later. */
lmail_status lmi_md_drop_rows(md_box *b, lmail_uid_set uids, lmail_snapshot_edit *edit,
                              lmail_modseq modseq);
lmail_status lmi_md_expunge(md_box *b, lmail_uid_set uids, lmail_expunge_mode mode,
                            lmail_uid_list *vanished, lmail_modseq *modseq);
void lmi_md_fill_expunge(lmail_store *table);

/* ---- store_maildir_tidy.c */

/* Names follow, files go: of `only`, or of all; at most `max`. Returns OK or MORE. */
lmail_status lmi_md_tidy(md_account *a, md_box *only, size_t max);

/* ---- store_maildir_message.c */

lmail_status lmi_md_summarise(md_box *b, lmail_uid_set uids);
/* Rows of these UIDs get a summary now, those that have none. */
lmail_status lmi_md_text_add(md_account *a, int64_t key, const md_summary *s);
md_summary *lmi_md_summary_keep(const lmail_mime_summary *s);
/* Is this the start of a message with bare LF line ends? */
unsigned lmi_md_is_lf(lmail_str head);
void lmi_md_fill_message(lmail_store *table);

/* ---- store_maildir_read.c */

/* Give back what reading keeps. */
void lmi_md_read_rest(lmail_store_mailbox *h);
void lmi_md_fill_read(lmail_store *table);

/* ---- store_maildir_copy.c */

lmail_status lmi_md_copy_rows(md_box *from, lmail_uid_set uids, md_box *to, int move,
                              lmail_copy_result *out);
void lmi_md_fill_copy(lmail_store *table);

/* ---- store_maildir_spool.c */

void lmi_md_fill_delivery(lmail_store *table);
/* Give a file the name `to`: from the path `from`, or when that is NULL from fd. Where no link can
 * be made the octets are copied through `temporary` (same directory tree as `to`) and synced.
 * ERR_NOTFOUND: no such file or directory. */
lmail_status lmi_md_link(md_store *s, const char *from, int fd, const char *to,
                         const char *temporary);
/* What errno means. ERR_DENIED is not among it: to the store's callers that is what an account may not
 * do; what this process may not do is the server's fault, ERR_IO. */
lmail_status lmi_md_errno(void);
/* Is there room above the reserve? */
lmail_status lmi_md_room(md_store *s, const char *path);
/* Make links in a directory durable. */
lmail_status lmi_md_sync_dir(md_store *s, const char *path);

#endif
