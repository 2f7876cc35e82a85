/* links: host - the Maildir store alone: deliveries, opening, rows, flags, expunges, searches.
 *
 *     bench_store [DIRECTORY]      on the disk to measure; default: the working directory
 *
 * Prints figures beside the budgets of the design; judges nothing. */
#include "disk.h"

#include <libmail/host/store.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MANY 10000u

static lmail_store *store;
static char dir[BENCH_DIR];
static char letter[1100];

static lmail_store_account *open_account(const char *name)
{
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    lmail_store_account *a;
    args.name = lmail_str_from(name);
    bench_check(store->account_open(store->ctx, &args, &a), "account_open");
    return a;
}

static void open_store(unsigned no_sync)
{
    lmail_store_maildir_config c = LMAIL_STORE_MAILDIR_CONFIG_INIT;
    char root[800], spool[800];
    snprintf(root, sizeof root, "%s/mail", dir);
    snprintf(spool, sizeof spool, "%s/spool", dir);
    mkdir(root, 0700);
    mkdir(spool, 0700);
    c.root = root;
    c.spool_dir = spool;
    c.no_sync = no_sync;
    bench_check(lmail_store_maildir_new(&c, &store), "lmail_store_maildir_new");
}

static void make_letter(unsigned number)
{
    int n = snprintf(letter, sizeof letter,
                     "Return-Path: <sender%u@example.org>\r\nReceived: from a.example (a.example "
                     "[192.0.2.1])\r\n\tby mx.example with ESMTP id abc%u;\r\n\tMon, 7 Feb 2022 "
                     "21:52:25 -0800\r\nFrom: Some Sender %u <sender%u@example.org>\r\nTo: Alice "
                     "<alice@example.test>\r\nSubject: letter number %u about things\r\nDate: Mon, "
                     "7 Feb 2022 21:52:25 -0800\r\nMessage-ID: <%u.abc@example.org>\r\n"
                     "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
                     number, number, number % 97, number % 97, number, number);
    while (n < 1024)
        n += snprintf(letter + n, sizeof letter - (size_t)n,
                      "words that fill a line of this letter up to some length\r\n");
}

static void deliver(lmail_store_account *a, const char *text)
{
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message m = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery_target t = {.account = a, .mailbox = LMAIL_STR("INBOX")};
    lmail_delivery *d;
    args.account = a;
    bench_check(store->delivery_begin(store->ctx, &args, &d), "begin");
    bench_check(store->delivery_message(d, &m), "message");
    bench_check(store->delivery_write(d, lmail_str_from(text)), "write");
    bench_check(store->delivery_end(d, NULL), "end");
    bench_check(store->delivery_commit(d, &t, 1), "commit");
    store->delivery_free(d);
}

static struct {
    unsigned each;
    const char *account;
} job;

static void *deliver_thread(void *user)
{
    char name[32];
    snprintf(name, sizeof name, job.account, *(int *)user % 10);
    lmail_store_account *a = open_account(name);
    for (unsigned i = 0; i < job.each; i++)
        deliver(a, letter);
    store->account_close(a);
    return NULL;
}

static void deliveries(int threads, unsigned total, const char *account, const char *what)
{
    pthread_t t[64];
    int numbers[64];
    job.each = total / (unsigned)threads;
    job.account = account;
    double c = bench_cpu(), s = bench_seconds();
    for (int i = 0; i < threads; i++) {
        numbers[i] = i;
        pthread_create(&t[i], NULL, deliver_thread, &numbers[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    s = bench_seconds() - s;
    c = bench_cpu() - c;
    unsigned n = job.each * (unsigned)threads;
    printf("%-34s %2d threads: %8.0f/s  %.3f ms CPU each\n", what, threads, n / s, c * 1000 / n);
}

static int on_row(void *user, const lmail_mailbox_row *r)
{
    *(size_t *)user += r->envelope.len + r->bodystructure.len + r->fields.len + r->uidl.len + 1;
    return 0;
}

static double cpu_from; /* CPU is the steadier figure where others use the machine */

static double start(void)
{
    cpu_from = bench_cpu();
    return bench_seconds();
}

static void report(const char *what, double from, const char *budget)
{
    double used = (bench_cpu() - cpu_from) * 1000, wall = (bench_seconds() - from) * 1000;
    printf("%-40s %8.2f ms %8.2f ms CPU   budget %s\n", what, wall, used, budget);
}

static void fetch(lmail_store_mailbox *m, unsigned items, const char *what, const char *budget)
{
    lmail_fetch_args args = LMAIL_FETCH_ARGS_INIT;
    lmail_uid_range all = {1, UINT32_MAX};
    lmail_uid next;
    size_t octets = 0;
    args.uids = (lmail_uid_set){&all, 1};
    args.items = items;
    for (int i = 0; i < 2; i++) {
        double s = start();
        bench_check(store->fetch(m, &args, on_row, &octets, &next), what);
        if (i)
            report(what, s, budget);
    }
}

static void search(lmail_store_mailbox *m, const lmail_search *tree, const char *what,
                   const char *budget)
{
    lmail_mailbox_view v;
    lmail_uid_list found;
    bench_check(store->refresh(m, 0, &v), "refresh");
    double s = start();
    bench_check(store->search(m, v.snapshot, tree, (lmail_uid_set){NULL, 0}, &found), what);
    report(what, s, budget);
    lmail_uid_list_free(&found);
    lmail_snapshot_unref(v.snapshot);
}

static void big_mailbox(void)
{
    lmail_store_account *a = open_account("big");
    for (unsigned i = 0; i < MANY; i++) {
        make_letter(i);
        deliver(a, letter);
    }
    double s = start();
    for (int i = 0; i < 100; i++)
        deliver(a, letter);
    report("deliver 100 more into 10,000, no sync", s, "-");
    store->account_close(a);
    store->close(store);
    open_store(1);
    a = open_account("big");
    lmail_store_mailbox *m;
    lmail_mailbox_view v;
    s = start();
    bench_check(store->mailbox_open(a, LMAIL_STR("INBOX"), 0, &m), "open");
    report("open 10,000, process new", s, "-");
    store->mailbox_close(m);
    s = start();
    for (int i = 0; i < 1000; i++) {
        bench_check(store->mailbox_open(a, LMAIL_STR("INBOX"), 0, &m), "open");
        bench_check(store->refresh(m, 0, &v), "refresh");
        lmail_snapshot_unref(v.snapshot);
        store->mailbox_close(m);
    }
    report("1000 x open + refresh + close, warm", s, "-");
    bench_check(store->mailbox_open(a, LMAIL_STR("INBOX"), 0, &m), "open");
    s = start();
    for (int i = 0; i < 1000; i++) {
        bench_check(store->refresh(m, 0, &v), "refresh");
        lmail_snapshot_unref(v.snapshot);
    }
    report("1000 x refresh, nothing new", s, "-");
    fetch(m, LMAIL_ROW_ENVELOPE, "rows of 10,000: ENVELOPE", "8 ms (whole FETCH)");
    fetch(m, LMAIL_ROW_BODYSTRUCTURE, "rows of 10,000: BODYSTRUCTURE", "4 ms (whole FETCH)");
    fetch(m, LMAIL_ROW_FIELDS, "rows of 10,000: decoded fields", "-");
    fetch(m, LMAIL_ROW_SIZE | LMAIL_ROW_UIDL, "rows of 10,000: size, UIDL", "-");
    lmail_search from = {
        .op = LMAIL_SEARCH_HEADER, .field = LMAIL_STR("From"), .text = LMAIL_STR("Sender 42")};
    search(m, &from, "SEARCH FROM", "5 ms");
    lmail_search since = {.op = LMAIL_SEARCH_SINCE, .day = 10000};
    search(m, &since, "SEARCH SINCE", "3 ms");
    lmail_search text = {.op = LMAIL_SEARCH_TEXT, .text = LMAIL_STR("number 4711 ")};
    search(m, &text, "SEARCH TEXT, no text index", "60 ms (with one)");
    lmail_set_flags_args set = LMAIL_SET_FLAGS_ARGS_INIT;
    lmail_set_flags_result r;
    lmail_uid_range all = {1, UINT32_MAX}, some = {2001, 3000};
    set.uids = (lmail_uid_set){&all, 1};
    set.flags = LMAIL_FLAG_SEEN;
    s = start();
    bench_check(store->set_flags(m, &set, &r), "set_flags");
    report("STORE on 10,000", s, "15 ms");
    lmail_uid_list_free(&r.changed);
    s = start();
    bench_check(store->tidy(a, SIZE_MAX), "tidy");
    report("names follow (10,000)", s, "- (in the background)");
    bench_check(store->create(a, LMAIL_STR("copy"), LMAIL_USE_NONE), "create");
    lmail_copy_result copied;
    lmail_uid_set thousand = {&some, 1};
    s = start();
    bench_check(store->copy(m, thousand, a, LMAIL_STR("copy"), &copied), "copy");
    report("COPY 1000", s, "30 ms");
    lmail_copy_result_free(&copied);
    lmail_uid_list gone;
    s = start();
    bench_check(store->expunge(m, &thousand, LMAIL_EXPUNGE_ALL, &gone, NULL), "expunge");
    report("EXPUNGE 1000", s, "10 ms");
    lmail_uid_list_free(&gone);
    s = start();
    bench_check(store->tidy(a, SIZE_MAX), "tidy");
    report("unlinking (1000)", s, "- (in the background)");
    store->mailbox_close(m);
    store->account_close(a);
}

int main(int argc, char **argv)
{
    bench_directory(dir, "bench_store", argc > 1 ? argv[1] : NULL);
    open_store(0);
    make_letter(1);
    deliveries(1, 1000, "one%d", "deliver 1 KiB");
    deliveries(8, 8000, "one%d", "deliver 1 KiB, 8 accounts");
    deliveries(64, 16000, "one%d", "deliver 1 KiB, 10 accounts");
    deliveries(8, 8000, "same", "deliver 1 KiB, one account");
    deliveries(64, 16000, "same", "deliver 1 KiB, one account");
    store->close(store);
    open_store(1);
    deliveries(1, 4000, "nosync%d", "deliver 1 KiB, no sync");
    big_mailbox();
    store->close(store);
    return bench_remove(dir);
}
