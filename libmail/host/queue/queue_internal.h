/* queue_internal.h - the room of the queue.
 *
 *     queue_open.c      directory, lock, life
 *     queue_db.c        the database: its tables and statements
 *     queue_write.c     changes; those that wait go into one transaction
 *     queue_read.c      listing
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
                      ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                                 \
    XX(LAST_RECIPIENT, "SELECT ifnull(max(number)+1,0) FROM recipient WHERE message=?")            \
    XX(PENDING, "SELECT pending FROM message WHERE id=?")                                          \
    XX(HELD, "SELECT held FROM message WHERE id=? AND pending=0")                                  \
    XX(SETTLE, "UPDATE message SET pending=0 WHERE id=?")                                          \
    XX(SET_HELD, "UPDATE message SET held=?,reason=? WHERE id=?")                                  \
    XX(MAKE_DUE, "UPDATE recipient SET next=0 WHERE message=? AND state=0")                        \
    XX(REMOVE, "DELETE FROM message WHERE id=?")                                                   \
    XX(REMOVE_RECIPIENTS, "DELETE FROM recipient WHERE message=?")                                 \
    XX(IDS, "SELECT id,octets,pending FROM message ORDER BY id")                                   \
    XX(GET, "SELECT " LMI_MESSAGE_COLUMNS " FROM message WHERE id=?")                              \
    XX(RECIPIENTS,                                                                                 \
       "SELECT " LMI_RECIPIENT_COLUMNS " FROM recipient WHERE message=? ORDER BY number")          \
    XX(LIST, "SELECT " LMI_MESSAGE_COLUMNS " FROM message WHERE " LMI_QUEUE_FITS                   \
             " ORDER BY id LIMIT ?8")                                                              \
    XX(COUNT, "SELECT count(*),ifnull(sum(held=1),0),ifnull(sum(held=2),0),ifnull(sum(octets),0)"  \
              " FROM message WHERE pending=0")                                                     \
    XX(COUNT_RECIPIENTS, "SELECT count(*) FROM recipient WHERE state=0")

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

struct queue_op;

struct lmail_queue {
    char dir[LMI_QUEUE_DIR + 1];
    int dir_fd, data_fd, lock_fd; /* lock_fd -1: no keeper */
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
    queue_ids late; /* whose file is gone and whose rows are not; under write_lock */
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

/* ---- queue_mend.c */

/* The keeper is alone: nobody else writes. */
lmail_status lmi_queue_mend(lmail_queue *q);
/* Move database and data into a directory of their own. */
lmail_status lmi_queue_put_aside(lmail_queue *q);

#endif
