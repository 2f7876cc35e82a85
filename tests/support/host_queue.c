/* host_queue.c - see host_queue.h. */
#include "host_queue.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S(s) (int)(s).len, (s).ptr

static void count_fault(void *user, const lmail_queue_fault *fault)
{
    qkit *k = user;
    uint64_t *const counts[] = {NULL, &k->unanswered, &k->debris, &k->damaged};
    *counts[fault->kind] += fault->count;
    if (fault->kind == LMAIL_QUEUE_DAMAGED)
        snprintf(k->aside, sizeof k->aside, "%.*s", S(fault->path));
}

lmail_status qkit_open(qkit *k)
{
    char error[600];
    k->unanswered = k->debris = k->damaged = 0;
    lmail_status st = lmail_queue_open(&k->queue, &k->config, error, sizeof error);
    ck_assert_int_eq(st == LMAIL_OK, error[0] == '\0');
    ck_assert_int_eq(st == LMAIL_OK, k->queue != NULL);
    return st;
}

void qkit_close(qkit *k)
{
    lmail_queue_free(k->queue);
    k->queue = NULL;
}

void qkit_start(qkit *k)
{
    memset(k, 0, sizeof *k);
    strcpy(k->dir, "/tmp/libmail-queue-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(k->dir));
    k->config = (lmail_queue_config)LMAIL_QUEUE_CONFIG_INIT;
    k->config.directory = k->dir;
    k->config.keeper = 1;
    k->config.on_fault = count_fault;
    k->config.user = k;
    ck_assert_int_eq(qkit_open(k), LMAIL_OK);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(name);
}

void qkit_stop(qkit *k)
{
    qkit_close(k);
    nftw(k->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *qkit_path(const qkit *k, const char *tail)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", k->dir, tail);
    return path;
}

static const char *data_path(const qkit *k, uint64_t id)
{
    char tail[64];
    snprintf(tail, sizeof tail, "data/%llX", (unsigned long long)id);
    return qkit_path(k, tail);
}

void qkit_data(const qkit *k, uint64_t id, const char *octets)
{
    FILE *f = fopen(data_path(k, id), "w");
    ck_assert_ptr_nonnull(f);
    fputs(octets, f);
    ck_assert_int_eq(fclose(f), 0);
}

int qkit_has_data(const qkit *k, uint64_t id)
{
    return access(data_path(k, id), F_OK) == 0;
}

lmail_status qkit_add(qkit *k, uint64_t id, const char *from, const char *to)
{
    lmail_queue_message m = LMAIL_QUEUE_MESSAGE_INIT;
    lmail_queue_recipient rows[16];
    size_t count = 0;
    memset(rows, 0, sizeof rows);
    while (*to) {
        size_t n = strcspn(to, " ");
        const char *at = memchr(to, '@', n);
        rows[count].address = (lmail_str){to, n};
        rows[count++].destination =
            at ? (lmail_str){at + 1, n - (size_t)(at + 1 - to)} : LMAIL_STR("local");
        to += n + (to[n] == ' ');
    }
    m.id = id;
    m.sender = lmail_str_from(from);
    m.octets = 5;
    m.arrived = (int64_t)id * 1000;
    m.recipients = rows;
    m.recipient_count = count;
    qkit_data(k, id, "hello");
    return lmail_queue_add(k->queue, &m);
}

static int note_id(void *user, const lmail_queue_message *m)
{
    char *text = user;
    sprintf(text + strlen(text), "%s%llX", text[0] ? " " : "", (unsigned long long)m->id);
    return 0;
}

const char *qkit_ids(qkit *k, const lmail_queue_filter *filter)
{
    static char text[4096];
    uint64_t next = 0;
    text[0] = '\0';
    do
        ck_assert_int_eq(lmail_queue_list(k->queue, filter, next, 3, note_id, text, &next),
                         LMAIL_OK);
    while (next);
    return text;
}

static int note_row(void *user, const lmail_queue_message *m)
{
    char *to = user;
    to += sprintf(to, "%.*s%s", S(m->sender), m->pending ? " pending" : "");
    if (m->held)
        to += sprintf(to, " held=%d:%.*s", (int)m->held, S(m->reason));
    for (size_t i = 0; i < m->recipient_count; i++)
        to += sprintf(to, "%s%.*s", i ? "," : "; ", S(m->recipients[i].address));
    return 0;
}

const char *qkit_row(qkit *k, uint64_t id)
{
    static char text[4096];
    strcpy(text, "-");
    lmail_status st = lmail_queue_get(k->queue, id, note_row, text);
    ck_assert_msg(st == LMAIL_OK || st == LMAIL_ERR_NOTFOUND, "%s", lmail_status_name(st));
    return text;
}
