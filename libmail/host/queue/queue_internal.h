/* queue_internal.h - the room of the queue.
 *
 *     queue_open.c      directory, lock, life
 *     queue_db.c        the database: its tables and statements
 *     queue_write.c     changes; those that wait go into one transaction
 *     queue_read.c      listing
 *     queue_rows.c      rows in memory
 *     queue_due.c       whose rows are due, and claims
 *     queue_sent.c      results, reports, queue runs
 *     queue_data.c      data files
 *     queue_mend.c      what a keeper that is alone looks after when it opens
 *
 * Two connections: one writes, under write_lock, and waits for the disk there; the other reads,
 * under read_lock, and never waits for a writer (WAL). */
#ifndef LMI_QUEUE_INTERNAL_H
#define LMI_QUEUE_INTERNAL_H

#include "host/file/file_internal.h"

#include <libmail/host/queue.h>
#include <pthread.h>

#define LMI_QUEUE_DIR 400u /* octets of the directory's path */

/* Columns of table message and of table recipient, in the order that queue_read.c takes them. */
#define LMI_MESSAGE_COLUMNS                                                                        \
    "id,sender,flags,body,ret,envid,auth,submitter,client,local_address,octets,header,arrived,"    \
    "priority,held,reason,pending"
#define LMI_RECIPIENT_COLUMNS                                                                      \
    "address,route,destination,notify,orcpt,state,next,attempts,last,warned,code,enhanced,reply,"  \
    "host"

/* Rows that may be sent: the condition of the indexes recipient_turn and recipient_next. */
#define LMI_MAY_GO "state=0 AND blocked=0"

/* A pattern is bound as LIKE's, or NULL for any; 0 of a number is any. */
#define LMI_QUEUE_FITS                                                                             \
    "id>?1 AND pending=0 AND (?2 IS NULL OR sender LIKE ?2 ESCAPE '\\')"                           \
    " AND (?3=0 OR ?3&(1<<held)) AND (?4=0 OR arrived<?4) AND arrived>=?5"                         \
    " AND ((?6 IS NULL AND ?7 IS NULL) OR EXISTS(SELECT 1 FROM recipient WHERE message=id"         \
    " AND (?6 IS NULL OR address LIKE ?6 ESCAPE '\\')"                                             \
    " AND (?7 IS NULL OR destination LIKE ?7 ESCAPE '\\')))"

#define LMI_QUEUE_SQL_MAP(XX)                                                                      \
    XX(BEGIN, "BEGIN IMMEDIATE")                                                                   \
    XX(BEGIN_READ, "BEGIN")                                                                        \
    XX(COMMIT, "COMMIT")                                                                           \
    XX(ROLLBACK, "ROLLBACK")                                                                       \
    XX(ADD,                                                                                        \
       "INSERT INTO message(" LMI_MESSAGE_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")   \
    XX(ADD_RECIPIENT, "INSERT INTO recipient(message,number," LMI_RECIPIENT_COLUMNS                \
                      ",priority,blocked) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")            \
    XX(PRIORITY, "SELECT priority FROM message WHERE id=?")                                        \
    XX(LAST_RECIPIENT, "SELECT ifnull(max(number)+1,0) FROM recipient WHERE message=?")            \
    XX(PENDING, "SELECT pending FROM message WHERE id=?")                                          \
    XX(HELD, "SELECT held FROM message WHERE id=? AND pending=0")                                  \
    XX(SETTLE, "UPDATE message SET pending=0 WHERE id=?")                                          \
    XX(SET_HELD, "UPDATE message SET held=?,reason=? WHERE id=?")                                  \
    XX(BLOCK, "UPDATE recipient SET blocked=(SELECT pending OR held<>0 FROM message WHERE id=?1)"  \
              " WHERE message=?1 AND state=0")                                                     \
    XX(MAKE_DUE, "UPDATE recipient SET next=0 WHERE message=? AND state=0")                        \
    XX(MAKE_DUE_AT, "UPDATE recipient SET next=0 WHERE (message,number) IN (SELECT message,number" \
                    " FROM recipient INDEXED BY recipient_turn WHERE " LMI_MAY_GO                  \
                    " AND destination=?1 AND next>0 LIMIT ?2)")                                    \
    XX(MAKE_DUE_ALL,                                                                               \
       "UPDATE recipient SET next=0 WHERE (message,number) IN (SELECT message,number"              \
       " FROM recipient INDEXED BY recipient_next WHERE " LMI_MAY_GO " AND next>0 LIMIT ?1)")      \
    XX(RESULT, "UPDATE recipient SET state=?,next=?,attempts=?,last=?,code=?,enhanced=?,reply=?,"  \
               "host=?,report=? WHERE message=? AND number=? AND state=0")                         \
    XX(UNFINISHED, "SELECT 1 FROM recipient WHERE message=? AND (state=0 OR report=1) LIMIT 1")    \
    XX(REPORTED, "UPDATE recipient SET report=0 WHERE message=? AND report=1")                     \
    XX(UNREPORTED,                                                                                 \
       "SELECT DISTINCT message FROM recipient INDEXED BY recipient_report WHERE report=1"         \
       " AND message>?1 AND NOT EXISTS(SELECT 1 FROM message WHERE id=recipient.message"           \
       " AND held<>0) ORDER BY message LIMIT ?2")                                                  \
    XX(WARNED_MESSAGE, "UPDATE message SET warned=1 WHERE id=?")                                   \
    XX(WARNED, "UPDATE recipient SET warned=?1 WHERE message=?2 AND state=0")                      \
    XX(ASK_RUN, "INSERT OR IGNORE INTO run(destination) VALUES(?)")                                \
    XX(RUNS, "SELECT destination,0,0 FROM run")                                                    \
    XX(FORGET_RUNS, "DELETE FROM run")                                                             \
    XX(DATA_VERSION, "PRAGMA data_version")                                                        \
    XX(NEXT_DESTINATION,                                                                           \
       "SELECT destination FROM recipient INDEXED BY recipient_turn WHERE " LMI_MAY_GO             \
       " AND destination>?1 ORDER BY destination LIMIT 1")                                         \
    XX(NEXT_CLASS,                                                                                 \
       "SELECT priority,next FROM recipient INDEXED BY recipient_turn WHERE " LMI_MAY_GO           \
       " AND destination=?1 AND priority<?2 ORDER BY priority DESC,next LIMIT 1")                  \
    XX(CLASS_ROWS,                                                                                 \
       "SELECT message,number FROM recipient INDEXED BY recipient_turn WHERE " LMI_MAY_GO          \
       " AND destination=?1 AND priority=?2 AND next<=?3 ORDER BY next")                           \
    XX(DUE_SINCE,                                                                                  \
       "SELECT destination,priority,next,message,number FROM recipient INDEXED BY recipient_next"  \
       " WHERE " LMI_MAY_GO " AND next<=?4 AND (next,message,number)>(?1,?2,?3)"                   \
       " ORDER BY next,message,number LIMIT ?5")                                                   \
    XX(NEXT_TIME, "SELECT next FROM recipient INDEXED BY recipient_next WHERE " LMI_MAY_GO         \
                  " AND next>?1 ORDER BY next LIMIT 1")                                            \
    XX(AGED, "SELECT arrived,id FROM message INDEXED BY message_age WHERE held=0 AND pending=0"    \
             " AND warned=?1 AND arrived<=?2 AND (arrived,id)>(?3,?4) ORDER BY arrived,id"         \
             " LIMIT ?5")                                                                          \
    XX(ONE_RECIPIENT, "SELECT " LMI_RECIPIENT_COLUMNS                                              \
                      ",number,report FROM recipient WHERE message=? AND number=?"                 \
                      " AND " LMI_MAY_GO)                                                          \
    XX(NEW_WORK, "SELECT destination,max(priority) FROM recipient WHERE message=? AND " LMI_MAY_GO \
                 " GROUP BY destination")                                                          \
    XX(REMOVE, "DELETE FROM message WHERE id=?")                                                   \
    XX(REMOVE_RECIPIENTS, "DELETE FROM recipient WHERE message=?")                                 \
    XX(IDS, "SELECT id,octets,pending FROM message ORDER BY id")                                   \
    XX(GET, "SELECT " LMI_MESSAGE_COLUMNS " FROM message WHERE id=?")                              \
    XX(RECIPIENTS, "SELECT " LMI_RECIPIENT_COLUMNS ",number,report FROM recipient WHERE message=?" \
                   " ORDER BY number")                                                             \
    XX(LIST, "SELECT " LMI_MESSAGE_COLUMNS " FROM message WHERE " LMI_QUEUE_FITS                   \
             " ORDER BY id LIMIT ?8")                                                              \
    XX(COUNT, "SELECT count(*),ifnull(sum(held=1),0),ifnull(sum(held=2),0),ifnull(sum(octets),0)"  \
              " FROM message WHERE pending=0")                                                     \
    XX(COUNT_RECIPIENTS,                                                                           \
       "SELECT (SELECT count(*) FROM recipient INDEXED BY recipient_next WHERE " LMI_MAY_GO        \
       ")+(SELECT count(*) FROM message JOIN recipient ON message=id WHERE (held<>0 OR pending)"   \
       " AND state=0)")

typedef enum lmi_queue_sql {
#define XX(name, text) QUEUE_##name,
    LMI_QUEUE_SQL_MAP(XX)
#undef XX
        QUEUE_SQL_COUNT
} lmi_queue_sql;

/* A list of messages. All zero: empty; items are freed by whoever has it. */
typedef struct queue_ids {
    uint64_t *items;
    size_t count, cap;
} queue_ids;

/* Rows in memory: texts lie in blocks, so that slices stay valid while more come. All zero: empty. */
typedef struct queue_rows {
    struct queue_block *blocks;
    lmail_queue_message *messages;
    size_t count, cap;
    lmail_queue_recipient *recipients; /* of all; a message knows its first by number meanwhile */
    size_t recipient_count, recipient_cap;
    size_t *firsts; /* count + 1 */
} queue_rows;

/* A row that is claimed. */
typedef struct queue_claimed {
    uint64_t message;
    unsigned number;
} queue_claimed;

/* Changes to come: queue_write.c takes all that wait into one transaction. */
typedef struct queue_op {
    struct queue_op *next;
    /* Within the transaction. What it returns undoes the transaction, but for ERR_NOTFOUND,
     * ERR_STATE and ERR_EXISTS: then it has written nothing. */
    lmail_status (*perform)(lmail_queue *q, struct queue_op *op);
    uint64_t id;
    const lmail_queue_message *message;
    const lmail_queue_recipient *recipients;
    size_t count;
    lmail_str text; /* a reason, a destination */
    int64_t number;
    const lmail_queue_result *results;
    queue_ids gone; /* messages whose data files go when it is on the disk */
    unsigned adds;  /* a data file's name has to be durable first */
    unsigned lazy;  /* the disk is not waited for on its account */
    lmail_status status;
    unsigned done;
} queue_op;

struct lmail_queue {
    char dir[LMI_QUEUE_DIR + 1];
    int dir_fd, data_fd, lock_fd; /* lock_fd -1: no keeper */
    int lead_fd;                  /* -1: another handle sends, or none */
    unsigned keeper, no_sync;
    unsigned sync_names; /* a file's sync does not cover its name here */
    uint64_t reserve;
    int64_t debris_age;
    void (*on_fault)(void *user, const lmail_queue_fault *fault);
    void *user;

    pthread_mutex_t write_lock, read_lock, wait_lock;
    lmi_db write, read;
    int synchronous;                 /* of the writing connection: 1 NORMAL, 2 FULL */
    struct queue_op *ops, **ops_end; /* that wait; under wait_lock */
    queue_ids late;       /* whose file is gone and whose rows are not; under write_lock */
    int64_t data_version; /* of what others wrote; under write_lock */

    void (*watch)(void *user, lmail_str destination, int priority);
    void *watch_user;
    queue_claimed *claims; /* sorted; under read_lock */
    size_t claim_count, claim_cap;
};

/* ---- queue_db.c */

/* path must be there unless `make`. */
lmail_status lmi_queue_db_open(lmi_db *c, const char *path, int make, int no_sync);
/* The tables, when they are not there. ERR_UNSUPPORTED: of a newer version; ERR_NOTFOUND: none, and
 * not `make`. */
lmail_status lmi_queue_schema(lmi_db *c, int make);

/* ---- queue_data.c */

/* Is there room above the reserve? */
lmail_status lmi_queue_room(const lmail_queue *q);
void lmi_queue_unlink(const lmail_queue *q, uint64_t id);
lmail_status lmi_queue_sync_names(const lmail_queue *q);

/* ---- queue_write.c */

lmail_status lmi_queue_ids_add(queue_ids *list, uint64_t id);
/* Do it with the others that wait; its status. */
lmail_status lmi_queue_change(lmail_queue *q, queue_op *op);
lmail_status lmi_queue_op_add(lmail_queue *q, queue_op *op);
/* OK, ERR_SIZE, ERR_ARG, ERR_FULL: can this be added? */
lmail_status lmi_queue_may_add(const lmail_queue *q, const lmail_queue_message *message);
/* Tell the watcher of a message's rows that may go. */
void lmi_queue_tell_new(lmail_queue *q, uint64_t id);
void lmi_queue_tell_added(const lmail_queue *q, const lmail_queue_message *message);

/* ---- queue_rows.c */

void lmi_queue_rows_free(queue_rows *g);
/* One row each; of a message, columns as LMI_MESSAGE_COLUMNS; of a recipient, LMI_RECIPIENT_COLUMNS,
 * number and report, for the message that was taken last. */
lmail_status lmi_queue_take_message(queue_rows *g, sqlite3_stmt *row);
lmail_status lmi_queue_take_recipient(queue_rows *g, sqlite3_stmt *row);
/* All rows of a bound statement, which is reset. */
lmail_status lmi_queue_take_rows(queue_rows *g, sqlite3_stmt *row,
                                 lmail_status (*take)(queue_rows *, sqlite3_stmt *));
/* All have come: messages get their recipients. */
void lmi_queue_rows_join(queue_rows *g);

/* ---- queue_mend.c */

/* The keeper is alone: nobody else writes. */
lmail_status lmi_queue_mend(lmail_queue *q);
/* Move database and data into a directory of their own. */
lmail_status lmi_queue_put_aside(lmail_queue *q);

#endif
