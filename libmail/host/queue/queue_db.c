/* queue_db.c - the database of a queue: its tables and its statements.
 *
 * The tables hold all that a sender of the messages needs. A recipient's key is its message and its
 * place in it, so that those of one message lie together; who is due is found through an index of
 * the waiting ones by destination. Text may hold any octets. */
#include "host/queue/queue_internal.h"

#define SCHEMA_VERSION 1

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE message(id INTEGER PRIMARY KEY,sender TEXT NOT NULL,flags INTEGER NOT NULL,"
    "body INTEGER NOT NULL,ret INTEGER NOT NULL,envid TEXT,auth TEXT,submitter TEXT NOT NULL,"
    "client TEXT NOT NULL,local_address TEXT NOT NULL,octets INTEGER NOT NULL,"
    "header INTEGER NOT NULL,arrived INTEGER NOT NULL,priority INTEGER NOT NULL,"
    "held INTEGER NOT NULL,reason TEXT NOT NULL,pending INTEGER NOT NULL);"
    "CREATE TABLE recipient(message INTEGER NOT NULL,number INTEGER NOT NULL,address TEXT NOT NULL,"
    "route TEXT NOT NULL,destination TEXT NOT NULL,notify INTEGER NOT NULL,orcpt TEXT,"
    "state INTEGER NOT NULL,next INTEGER NOT NULL,attempts INTEGER NOT NULL,last INTEGER NOT NULL,"
    "warned INTEGER NOT NULL,code INTEGER NOT NULL,enhanced TEXT NOT NULL,reply TEXT NOT NULL,"
    "host TEXT NOT NULL,PRIMARY KEY(message,number)) WITHOUT ROWID;"
    "CREATE INDEX recipient_waiting ON recipient(destination,next) WHERE state=0;"
    "PRAGMA user_version=1;"
    "COMMIT";

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
    if (!make)
        return LMAIL_ERR_NOTFOUND;
    st = lmi_db_exec(c, schema);
    if (!st)
        return LMAIL_OK;
    (void)lmi_db_exec(c, "ROLLBACK");
    /* Another keeper was faster? */
    lmail_status again = lmi_db_version(c, &have);
    return again ? again : have == SCHEMA_VERSION ? LMAIL_OK : st;
}
