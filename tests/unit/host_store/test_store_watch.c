/* Changes by other programs in mailboxes at which somebody waits: the Maildir store's watches. */
#include "host/store/store_maildir.h"
#include "host_store.h"

#include <check.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static kit k;

static void setup(void)
{
    kit_start(&k, KIT_MAILDIR);
}

static void teardown(void)
{
    kit_stop(&k);
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static unsigned scans(void)
{
    return atomic_load(&((md_store *)k.store->ctx)->scans);
}

/* Is there something to look at? */
static int reported(int ms)
{
    struct pollfd p = {k.store->watch_fd(k.store->ctx), POLLIN, 0};
    return p.fd >= 0 && poll(&p, 1, ms) == 1;
}

static char told[256];

static void tell(void *user, lmail_str account)
{
    (void)user;
    size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "%.*s ", (int)account.len, account.ptr);
}

/* All that is to be looked at; whom it told of. */
static const char *look(unsigned flags)
{
    lmail_status st;
    told[0] = '\0';
    while ((st = k.store->watch_look(k.store->ctx, flags, tell, NULL)) != LMAIL_OK) {
        ck_assert(st == LMAIL_MORE || st == LMAIL_PENDING);
        if (st == LMAIL_PENDING)
            pause_ms(40);
        flags = 0;
    }
    return told;
}

/* Deliver as another program does. */
static void put(const char *folder, const char *name, const char *text)
{
    char to[1024], from[1024];
    snprintf(from, sizeof from, "%stmp/%s", folder, name);
    snprintf(to, sizeof to, "%snew/%s", folder, name);
    kit_write(kit_path(&k, from), text);
    ck_assert_int_eq(rename(kit_path(&k, from), kit_path(&k, to)), 0);
}

/* Open and watched; its directories rest and are known. */
static lmail_store_mailbox *watched(const char *name)
{
    lmail_store_mailbox *m = kit_open(&k, name, 0);
    lmail_mailbox_view v;
    ck_assert_int_eq(k.store->watch(m), LMAIL_OK);
    pause_ms(40);
    look(0);
    ck_assert_int_eq(k.store->refresh(m, 0, &v), LMAIL_OK);
    lmail_snapshot_unref(v.snapshot);
    return m;
}

START_TEST(mail_that_comes_changes_and_goes_is_told_once)
{
    ck_assert_int_ge(k.store->watch_fd(k.store->ctx), 0);
    lmail_store_mailbox *m = watched("INBOX");
    ck_assert_int_eq(reported(0), 0);
    ck_assert_str_eq(look(0), "");
    put("", "1.a.b", "Subject: a\n\n");
    ck_assert_int_eq(reported(1000), 1);
    ck_assert_str_eq(look(0), "alice ");
    ck_assert_int_eq(reported(0), 0);
    ck_assert_str_eq(kit_uids(&k, m), "1");
    ck_assert_int_eq(rename(kit_path(&k, "new/1.a.b"), kit_path(&k, "cur/1.a.b:2,S")), 0);
    ck_assert_int_eq(reported(1000), 1);
    ck_assert_str_eq(look(0), "alice ");
    ck_assert_str_eq(kit_flags(&k, m, 1), "S");
    ck_assert_int_eq(unlink(kit_path(&k, "cur/1.a.b:2,S")), 0);
    ck_assert_int_eq(reported(1000), 1);
    ck_assert_str_eq(look(0), "alice ");
    ck_assert_str_eq(kit_uids(&k, m), "");
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(a_step_of_our_own_costs_no_scan)
{
    ck_assert_int_ge(k.store->watch_fd(k.store->ctx), 0);
    lmail_store_mailbox *m = watched("INBOX");
    unsigned before = scans();
    for (int i = 0; i < 20; i++) {
        kit_fill(&k, "INBOX", 1);
        ck_assert_int_eq(reported(1000), 1);
        ck_assert_str_eq(look(0), "");
    }
    ck_assert_str_eq(kit_uids(&k, m), "1:20");
    ck_assert_uint_eq(scans(), before);
    /* nor do flags and expunges */
    kit_store(&k, m, 1, 10, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN, NULL);
    kit_expunge(&k, m, 11, 12);
    ck_assert_int_eq(k.store->tidy(k.account, 1000), LMAIL_OK);
    ck_assert_int_eq(reported(1000), 1);
    ck_assert_str_eq(look(0), "");
    ck_assert_uint_eq(scans(), before);
    /* one scan for what another program does, however much */
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.x.y", i + 1);
        put("", name, "Subject: a\n\n");
    }
    pause_ms(40);
    ck_assert_str_eq(look(0), "alice ");
    ck_assert_uint_eq(scans(), before + 1);
    ck_assert_str_eq(kit_uids(&k, m), "1:10,13:40");
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(a_change_is_told_once_for_all_handles)
{
    ck_assert_int_ge(k.store->watch_fd(k.store->ctx), 0);
    lmail_store_mailbox *m[3];
    for (int i = 0; i < 3; i++)
        m[i] = watched("INBOX");
    ck_assert_int_eq(k.store->watch(m[0]), LMAIL_OK); /* twice */
    for (int i = 3; i > 0; i--) {
        char name[16];
        snprintf(name, sizeof name, "%d.a.b", i);
        pause_ms(40);
        unsigned before = scans();
        put("", name, "Subject: a\n\n");
        ck_assert_int_eq(reported(1000), 1);
        ck_assert_str_eq(look(0), "alice ");
        ck_assert_uint_eq(scans(), before + 1);
        k.store->mailbox_close(m[i - 1]);
    }
    look(0); /* the end of a watch is a report too */
    put("", "9.a.b", "Subject: a\n\n");
    ck_assert_int_eq(reported(100), 0);
    ck_assert_str_eq(look(LMAIL_LOOK_ALL), "");
}
END_TEST

START_TEST(past_the_bound_it_is_looked_at_when_asked_for)
{
    lmail_store_mailbox *m[3];
    static const char *const names[] = {"INBOX", "A", "B"};
    k.maildir.max_watches = 1;
    kit_restart(&k);
    ck_assert_int_ge(k.store->watch_fd(k.store->ctx), 0);
    for (int i = 0; i < 3; i++) {
        if (i)
            ck_assert_int_eq(k.store->create(k.account, lmail_str_from(names[i]), LMAIL_USE_NONE),
                             LMAIL_OK);
        m[i] = watched(names[i]);
    }
    ck_assert_str_eq(look(LMAIL_LOOK_ALL), "");
    put(".A/", "1.a.b", "Subject: a\n\n");
    put(".B/", "1.a.b", "Subject: a\n\n");
    ck_assert_int_eq(reported(100), 0);
    ck_assert_str_eq(look(0), "");
    ck_assert_str_eq(look(LMAIL_LOOK_ALL), "alice alice ");
    ck_assert_str_eq(kit_uids(&k, m[2]), "1");
    /* what rests is not even asked of the index */
    unsigned before = scans();
    pause_ms(40);
    ck_assert_str_eq(look(LMAIL_LOOK_ALL), "");
    ck_assert_uint_eq(scans(), before);
    /* a place that becomes free is taken */
    k.store->mailbox_close(m[0]);
    look(LMAIL_LOOK_ALL);
    put(".A/", "2.a.b", "Subject: a\n\n");
    put(".B/", "2.a.b", "Subject: a\n\n");
    ck_assert_int_eq(reported(1000), 1);
    ck_assert_str_eq(look(0), "alice ");
    ck_assert_str_eq(look(LMAIL_LOOK_ALL), "alice ");
    k.store->mailbox_close(m[1]);
    k.store->mailbox_close(m[2]);
}
END_TEST

START_TEST(without_the_systems_reports_it_is_looked_at_when_asked_for)
{
    k.maildir.max_watches = UINT_MAX;
    kit_restart(&k);
    ck_assert_int_eq(k.store->watch_fd(k.store->ctx), -1);
    lmail_store_mailbox *m = watched("INBOX");
    look(LMAIL_LOOK_ALL);
    put("", "1.a.b", "Subject: a\n\n");
    ck_assert_str_eq(look(0), "");
    ck_assert_str_eq(look(LMAIL_LOOK_ALL), "alice ");
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(a_mailbox_that_moves_or_goes)
{
    ck_assert_int_ge(k.store->watch_fd(k.store->ctx), 0);
    lmail_mailbox_view v;
    ck_assert_int_eq(k.store->create(k.account, LMAIL_STR("A"), LMAIL_USE_NONE), LMAIL_OK);
    lmail_store_mailbox *m = watched("A");
    ck_assert_int_eq(k.store->rename(k.account, LMAIL_STR("A"), LMAIL_STR("B")), LMAIL_OK);
    look(0);
    put(".B/", "1.a.b", "Subject: a\n\n");
    ck_assert_str_eq(look(0), "alice ");
    ck_assert_str_eq(kit_uids(&k, m), "1");
    ck_assert_int_eq(k.store->remove(k.account, LMAIL_STR("B")), LMAIL_OK);
    look(0);
    ck_assert_int_eq(k.store->refresh(m, 0, &v), LMAIL_ERR_STALE);
    k.store->mailbox_close(m);
}
END_TEST

/* Looks, and closes of what is being looked at, from two threads. */
static atomic_int stop;

static void *keep_looking(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        k.store->watch_look(k.store->ctx, LMAIL_LOOK_ALL, tell, NULL);
    return NULL;
}

START_TEST(closing_while_a_look_is_under_way)
{
    pthread_t thread;
    told[0] = '\0';
    k.maildir.max_watches = 1;
    kit_restart(&k);
    ck_assert_int_ge(k.store->watch_fd(k.store->ctx), 0);
    k.store->create(k.account, LMAIL_STR("A"), LMAIL_USE_NONE);
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_looking, NULL), 0);
    lmail_store_account *second = kit_account(&k, "alice");
    for (int i = 0; i < 200; i++) {
        lmail_store_mailbox *a = kit_open(&k, "INBOX", 0), *b = kit_open(&k, "A", 0);
        ck_assert_int_eq(k.store->watch(a), LMAIL_OK);
        ck_assert_int_eq(k.store->watch(b), LMAIL_OK);
        char name[16];
        snprintf(name, sizeof name, "%d.a.b", i);
        put(i % 2 ? "" : ".A/", name, "Subject: a\n\n");
        k.store->mailbox_close(a);
        k.store->mailbox_close(b);
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    k.store->account_close(second);
}
END_TEST

/* ---- Files that are not whole ----------------------------------------------------------------- */

START_TEST(a_torn_file_of_ours_is_no_message)
{
    static const struct row {
        const char *name;
        int shows;
    } rows[] = {
        {"1.M000001P2Q3R0000abcd.host,S=12", 1}, /* as many as it has */
        {"1.M000001P2Q4R0000abcd.host,S=11", 1},
        {"1.M000001P2Q5R0000abcd.host,S=13", 0},
        {"1.M000001P2Q6R0000abcd.host,S=99999999999999999999999", 1}, /* no number of ours */
        {"1.M000001P2Q7R0000abcd.host", 1},
        /* names of others mean what they like */
        {"1.M000001P2Q8.host,S=13", 1},
        {"1.M000001P2Q9R0000abcd.host,S=13,W=14", 1},
        {"1.M000001P2QR0000abcd.host,S=13", 1},
        {"1.M000001P2.host,S=13", 1},
        {"x.M000001P2Q3R0000abce.host,S=13", 1},
        {"1.host,S=13", 1},
    };
    unsigned shown = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char to[256];
        snprintf(to, sizeof to, "new/%s", rows[i].name);
        kit_write(kit_path(&k, to), "Subject: a\n\n");
        shown += (unsigned)rows[i].shows;
        lmail_mailbox_status st;
        ck_assert_int_eq(k.store->status(k.account, LMAIL_STR("INBOX"), 0, &st), LMAIL_OK);
        ck_assert_msg(st.messages == shown, "%s: %u messages", rows[i].name, st.messages);
    }
    /* also for who has lost the index; and it stays */
    ck_assert_int_eq(unlink(kit_path(&k, "libmail.index")), 0);
    kit_restart(&k);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    const lmail_snapshot *now = kit_snapshot(&k, m);
    ck_assert_uint_eq(lmail_snapshot_facts(now)->messages, shown);
    lmail_snapshot_unref(now);
    ck_assert_int_eq(access(kit_path(&k, "new/1.M000001P2Q5R0000abcd.host,S=13"), F_OK), 0);
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(a_file_that_grows_shows_when_it_is_whole)
{
    const char *path = kit_path(&k, "new/1.M000001P2Q5R0000abcd.host,S=12");
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_int_eq(k.store->watch(m), LMAIL_OK);
    kit_write(path, "Subject");
    ck_assert_str_eq(kit_uids(&k, m), "");
    pause_ms(40);
    ck_assert_str_eq(kit_uids(&k, m), "");
    kit_write(path, "Subject: a\n\n");
    ck_assert_str_eq(kit_uids(&k, m), "1");
    k.store->mailbox_close(m);
}
END_TEST

/* ---- Many accounts ---------------------------------------------------------------------------- */

static unsigned most_open;

static int64_t sample(void *ctx, int *zone)
{
    (void)ctx;
    const md_store *s = k.store->ctx;
    if (s->open_count > most_open)
        most_open = s->open_count;
    *zone = 0;
    return 1700000000;
}

START_TEST(a_commit_to_many_accounts_opens_few_at_once)
{
    enum { ACCOUNTS = 300, OPEN = 8 };
    static lmail_store_account *a[ACCOUNTS];
    static lmail_delivery_target targets[ACCOUNTS];
    static lmail_env env;
    env.size = sizeof env;
    env.wall_clock = sample;
    k.maildir.env = &env;
    k.maildir.max_open = OPEN;
    k.maildir.no_sync = 1;
    kit_restart(&k);
    for (int i = 0; i < ACCOUNTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "user%d", i);
        a[i] = kit_account(&k, name);
        targets[i] = (lmail_delivery_target){.account = a[i], .mailbox = LMAIL_STR("INBOX")};
    }
    lmail_delivery *d;
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    args.account = k.account;
    for (int round = 1; round <= 2; round++) {
        ck_assert_int_eq(k.store->delivery_begin(k.store->ctx, &args, &d), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_message(d, &message), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_write(d, LMAIL_STR("Subject: all\r\n\r\n")), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_end(d, NULL), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_commit(d, targets, ACCOUNTS), LMAIL_OK);
        for (int i = 0; i < ACCOUNTS; i++)
            ck_assert_uint_eq(targets[i].uid, (lmail_uid)round);
        /* taking all back needs no more */
        if (round == 2) {
            ck_assert_int_eq(k.store->delivery_undo(d, targets, ACCOUNTS), LMAIL_OK);
        }
        k.store->delivery_free(d);
    }
    ck_assert_uint_gt(most_open, 1);
    ck_assert_uint_le(most_open, OPEN + 1); /* the one that comes, then one goes */
    for (int i = 0; i < ACCOUNTS; i++) {
        lmail_mailbox_status st;
        ck_assert_int_eq(k.store->status(a[i], LMAIL_STR("INBOX"), 0, &st), LMAIL_OK);
        ck_assert_uint_eq(st.messages, 1);
        k.store->account_close(a[i]);
    }
}
END_TEST

Suite *store_watch_suite(void)
{
    Suite *s = suite_create("store_watch");
    TCase *c = tcase_create("watch");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, mail_that_comes_changes_and_goes_is_told_once);
    tcase_add_test(c, a_step_of_our_own_costs_no_scan);
    tcase_add_test(c, a_change_is_told_once_for_all_handles);
    tcase_add_test(c, past_the_bound_it_is_looked_at_when_asked_for);
    tcase_add_test(c, without_the_systems_reports_it_is_looked_at_when_asked_for);
    tcase_add_test(c, a_mailbox_that_moves_or_goes);
    tcase_add_test(c, closing_while_a_look_is_under_way);
    tcase_add_test(c, a_torn_file_of_ours_is_no_message);
    tcase_add_test(c, a_file_that_grows_shows_when_it_is_whole);
    tcase_add_test(c, a_commit_to_many_accounts_opens_few_at_once);
    suite_add_tcase(s, c);
    return s;
}
