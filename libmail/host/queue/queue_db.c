/* queue_db.c - the database of a queue: its tables and its statements.
 *
 * The tables hold all that a sender of the messages needs. A recipient's key is its message and its
 * place in it, so that those of one message lie together. Text may hold any octets.
 *
 * Who is due is found through two indexes of the rows that may go, those that wait and whose message
 * is neither pending nor held (`blocked` says so in each row, and `priority` is its message's):
 *
 *     recipient_turn (destination, priority, next)    destinations one by one; the rows of one
 *     recipient_next (next, message, number)          what came due since; when the next one does
 *     recipient_report (message)                      ends whose reports are due: few
 *     message_age (warned, arrived)                   delay notices and returns, by age alone
 *
 * Each statement names its index (INDEXED BY): one that could not use it does not compile. */
#include "host/queue/queue_internal.h"

#define SCHEMA_VERSION 2

#define INDEXES                                                                                    \
    "CREATE INDEX recipient_turn ON recipient(destination,priority DESC,next) WHERE " LMI_MAY_GO   \
    ";CREATE INDEX recipient_next ON recipient(next) WHERE " LMI_MAY_GO                            \
    ";CREATE INDEX recipient_report ON recipient(message) WHERE report=1;"                         \
    "CREATE INDEX message_age ON message(warned,arrived) WHERE held=0 AND pending=0;"              \
    "CREATE TABLE run(destination TEXT PRIMARY KEY) WITHOUT ROWID;"                                \
    "PRAGMA user_version=2;"                                                                       \
    "COMMIT"

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE message(id INTEGER PRIMARY KEY,sender TEXT NOT NULL,flags INTEGER NOT NULL,"
    "body INTEGER NOT NULL,ret INTEGER NOT NULL,envid TEXT,auth TEXT,submitter TEXT NOT NULL,"
    "client TEXT NOT NULL,local_address TEXT NOT NULL,octets INTEGER NOT NULL,"
    "header INTEGER NOT NULL,arrived INTEGER NOT NULL,priority INTEGER NOT NULL,"
    "held INTEGER NOT NULL,reason TEXT NOT NULL,pending INTEGER NOT NULL,"
    "warned INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE recipient(message INTEGER NOT NULL,number INTEGER NOT NULL,address TEXT NOT NULL,"
    "route TEXT NOT NULL,destination TEXT NOT NULL,notify INTEGER NOT NULL,orcpt TEXT,"
    "state INTEGER NOT NULL,next INTEGER NOT NULL,attempts INTEGER NOT NULL,last INTEGER NOT NULL,"
    "warned INTEGER NOT NULL,code INTEGER NOT NULL,enhanced TEXT NOT NULL,reply TEXT NOT NULL,"
    "host TEXT NOT NULL,priority INTEGER NOT NULL DEFAULT 0,blocked INTEGER NOT NULL DEFAULT 0,"
    "report INTEGER NOT NULL DEFAULT 0,PRIMARY KEY(message,number)) WITHOUT ROWID;" INDEXES;

/* From version 1, which had nobody who sent. */
static const char grow[] =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE message ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE recipient ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE recipient ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE recipient ADD COLUMN report INTEGER NOT NULL DEFAULT 0;"
    "UPDATE recipient SET priority=m.priority,blocked=(m.pending OR m.held<>0) FROM message AS m"
    " WHERE m.id=message;"
    "DROP INDEX recipient_waiting;" INDEXES;

static const char *const texts[QUEUE_SQL_COUNT] = {
#define XX(name, text) text,
    LMI_QUEUE_SQL_MAP(XX)
#undef XX
};

lmail_status lmi_queue_db_open(lmi_db *c, const char *path, int make, int no_sync)
{
    lmail_status st = lmi_db_open(c, path, make ? SQLITE_OPEN_CREATE : 0, texts, QUEUE_SQL_COUNT);
    if (!st)
        st = lmi_db_exec(c, no_sync ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL");
    if (st)
        lmi_db_close(c);
    return st;
}

lmail_status lmi_queue_schema(lmi_db *c, int make)
{
    int have;
    lmail_status st = lmi_db_version(c, &have);
    if (st)
        return st;
    if (have > SCHEMA_VERSION)
        return LMAIL_ERR_UNSUPPORTED;
    if (have == SCHEMA_VERSION)
        return LMAIL_OK;
    if (!make && !have)
        return LMAIL_ERR_NOTFOUND;
    st = lmi_db_exec(c, have ? grow : schema);
    if (!st)
        return LMAIL_OK;
    (void)lmi_db_exec(c, "ROLLBACK");
    /* Another keeper was faster? */
    lmail_status again = lmi_db_version(c, &have);
    return again ? again : have == SCHEMA_VERSION ? LMAIL_OK : st;
}
