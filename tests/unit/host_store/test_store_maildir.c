/* The Maildir store on disk: other programs beside it, lost and damaged indexes, stops of the
 * machine, many processes and threads, a full disk. */
#include "host_store.h"

#include "host/store/store_maildir.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *store_maildir_suite(void);

static kit k;

static void setup(void)
{
    kit_start(&k, KIT_MAILDIR);
}

static void teardown(void)
{
    kit_stop(&k);
}

/* The first file in a directory whose name begins so; static buffer. */
static const char *find_file(const char *sub, const char *prefix)
{
    static char name[1024];
    DIR *d = opendir(kit_path(&k, sub));
    struct dirent *e;
    name[0] = '\0';
    while (d && (e = readdir(d))) {
        if (e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            snprintf(name, sizeof name, "%s/%s", sub, e->d_name);
    }
    if (d)
        closedir(d);
    return name;
}

/* A file's path of these parts; one of a few static buffers. */
static const char *in_cur(const char *base, const char *info)
{
    static char path[8][700];
    static unsigned turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "cur/%.500s%.100s", base, info);
    return p;
}

static void move_file(const char *from, const char *to)
{
    ck_assert_int_eq(rename(kit_path(&k, from), kit_path(&k, to)), 0);
}

static uint32_t validity(const char *mailbox)
{
    lmail_mailbox_status st;
    ck_assert_int_eq(k.store->status(k.account, lmail_str_from(mailbox), 0, &st), LMAIL_OK);
    return st.uidvalidity;
}

/* ---- Other programs -------------------------------------------------------------------------- */

START_TEST(a_foreign_file_with_bare_lf_is_served_as_crlf)
{
    kit_write(kit_path(&k, "new/100.a.b"), "Subject: foreign\nFrom: x@example.org\n\none\n\ntwo\n");
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_uids(&k, m), "1");
    const char *whole = "Subject: foreign\r\nFrom: x@example.org\r\n\r\none\r\n\r\ntwo\r\n";
    ck_assert_str_eq(kit_body(&k, m, 1), whole);
    /* any range, forwards and backwards */
    for (size_t from = strlen(whole) + 1; from-- > 0;) {
        for (size_t n = 1; n < 9; n++) {
            char buf[16];
            size_t got, want = strlen(whole) - from < n ? strlen(whole) - from : n;
            ck_assert_int_eq(k.store->read(m, 1, from, buf, n, 0, &got), LMAIL_OK);
            ck_assert_uint_eq(got, want);
            ck_assert_int_eq(memcmp(buf, whole + from, got), 0);
        }
    }
    lmail_mailbox_status st;
    k.store->status(k.account, LMAIL_STR("INBOX"), 1, &st);
    ck_assert_uint_eq(st.octets, strlen(whole));
    lmail_search subject = {
        .op = LMAIL_SEARCH_HEADER, .field = LMAIL_STR("Subject"), .text = LMAIL_STR("foreign")};
    ck_assert_str_eq(kit_search(&k, m, &subject), "1");
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(foreign_changes_are_taken_in)
{
    kit_fill(&k, "INBOX", 4);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    char files[4][1024];
    for (int i = 0; i < 4; i++) {
        char to[1024];
        snprintf(files[i], sizeof files[i], "%s", find_file("new", ""));
        snprintf(to, sizeof to, "tmp/%d", i); /* out of the way while looking */
        move_file(files[i], to);
    }
    for (int i = 0; i < 4; i++) {
        char from[16];
        snprintf(from, sizeof from, "tmp/%d", i);
        move_file(from, files[i]);
    }
    /* a reader looks at them, marks one, deletes one, replies with a flag of its own */
    move_file(files[0], in_cur(files[0] + 4, ":2,S"));
    move_file(files[1], in_cur(files[1] + 4, ":2,"));
    unlink(kit_path(&k, files[2]));
    move_file(files[3], in_cur(files[3] + 4, ":2,PRS"));
    const lmail_snapshot *s = kit_snapshot(&k, m);
    ck_assert_uint_eq(lmail_snapshot_facts(s)->messages, 3);
    ck_assert_uint_eq(lmail_snapshot_facts(s)->unseen, 1);
    ck_assert_uint_eq(lmail_snapshot_facts(s)->uidvalidity, validity("INBOX"));
    lmail_uid answered = 0;
    for (lmail_uid uid = 1; uid <= 4; uid++) {
        if (strcmp(kit_flags(&k, m, uid), "SA") == 0)
            answered = uid;
    }
    lmail_snapshot_unref(s);
    ck_assert_uint_ne(answered, 0);
    /* our own change keeps the letter that means nothing to us */
    ck_assert_int_eq(
        kit_store(&k, m, answered, answered, LMAIL_STORE_ADD, LMAIL_FLAG_FLAGGED, NULL), LMAIL_OK);
    k.store->mailbox_close(m);
    const char *name = in_cur(files[3] + 4, ":2,FPRS");
    ck_assert_int_eq(access(kit_path(&k, name), F_OK), 0);
    m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_flags(&k, m, answered), "SAF");
    /* a foreign change merges with one of ours that the name does not tell yet */
    kit_store(&k, m, answered, answered, LMAIL_STORE_REMOVE, LMAIL_FLAG_FLAGGED, NULL);
    move_file(name, in_cur(files[3] + 4, ":2,FPRST"));
    ck_assert_str_eq(kit_flags(&k, m, answered), "SAD");
    ck_assert_ptr_nonnull(strstr(kit_body(&k, m, answered), "body of number"));
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(a_renamed_file_is_found_by_a_reader_that_knew_it)
{
    kit_fill(&k, "INBOX", 1);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    const char *from = find_file("new", "");
    char base[600];
    snprintf(base, sizeof base, "%.599s", from + 4);
    move_file(from, in_cur(base, ":2,F"));
    ck_assert_ptr_nonnull(strstr(kit_body(&k, m, 1), "number 1"));
    ck_assert_int_eq(k.store->create(k.account, LMAIL_STR("c"), 0), LMAIL_OK);
    move_file(in_cur(base, ":2,F"), in_cur(base, ":2,FS"));
    lmail_uid_range one = {1, 1};
    lmail_copy_result r;
    ck_assert_int_eq(k.store->copy(m, (lmail_uid_set){&one, 1}, k.account, LMAIL_STR("c"), &r),
                     LMAIL_OK);
    ck_assert_uint_eq(r.count, 1);
    lmail_copy_result_free(&r);
    k.store->mailbox_close(m);
    m = kit_open(&k, "c", 0);
    ck_assert_str_eq(kit_flags(&k, m, 1), "SF");
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(flags_and_keywords_follow_into_names)
{
    kit_fill(&k, "INBOX", 3);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    kit_store(&k, m, 1, 2, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN | LMAIL_FLAG_ANSWERED, "$Forwarded");
    kit_store(&k, m, 2, 2, LMAIL_STORE_ADD, LMAIL_FLAG_DELETED, "other");
    k.store->mailbox_close(m);
    ck_assert_str_eq(kit_read(kit_path(&k, "dovecot-keywords")), "0 $Forwarded\n1 other\n");
    ck_assert_int_eq(kit_count(kit_path(&k, "cur")), 2);
    ck_assert_int_eq(kit_count(kit_path(&k, "new")), 1);
    int full = 0;
    DIR *d = opendir(kit_path(&k, "cur"));
    struct dirent *e;
    while ((e = readdir(d)))
        full += strstr(e->d_name, ":2,RSTab") != NULL;
    closedir(d);
    ck_assert_int_eq(full, 1);
    /* our own renames cause no scan and change nothing */
    m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_flags(&k, m, 2), "SAD $Forwarded other");
    kit_expunge(&k, m, 2, 2);
    k.store->mailbox_close(m);
    ck_assert_int_eq(kit_count(kit_path(&k, "cur")), 1);
}
END_TEST

START_TEST(foreign_folders_come_go_and_are_renamed)
{
    ck_assert_int_eq(mkdir(kit_path(&k, ".Sent.2024"), 0700), 0);
    for (int i = 0; i < 3; i++) {
        char sub[64];
        snprintf(sub, sizeof sub, ".Sent.2024/%s", (const char *[]){"cur", "new", "tmp"}[i]);
        mkdir(kit_path(&k, sub), 0700);
    }
    mkdir(kit_path(&k, ".no-maildir"), 0700);
    kit_write(kit_path(&k, ".Sent.2024/cur/1.x:2,S"), "a: b\r\n\r\n");
    ck_assert_str_eq(kit_list(&k), "INBOX\nSent *no +children\nSent/2024\n");
    lmail_store_mailbox *m = kit_open(&k, "Sent/2024", 0);
    ck_assert_str_eq(kit_flags(&k, m, 1), "S");
    uint32_t v = validity("Sent/2024");
    /* renamed by another program while we have it open */
    move_file(".Sent.2024", ".Archive&AOk-");
    ck_assert_uint_eq(validity("Archive\xc3\xa9"), v);
    ck_assert_str_eq(kit_flags(&k, m, 1), "S");
    ck_assert_str_eq(kit_body(&k, m, 1), "a: b\r\n\r\n");
    k.store->mailbox_close(m);
    char command[1100];
    snprintf(command, sizeof command, "rm -r '%s'", kit_path(&k, ".Archive&AOk-"));
    ck_assert_int_eq(system(command), 0);
    lmail_mailbox_status st;
    ck_assert_int_eq(k.store->status(k.account, LMAIL_STR("Archive\xc3\xa9"), 0, &st),
                     LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(k.store->create(k.account, LMAIL_STR("Archive\xc3\xa9"), 0), LMAIL_OK);
    ck_assert_uint_gt(validity("Archive\xc3\xa9"), v);
}
END_TEST

START_TEST(subscriptions_are_dovecots)
{
    kit_write(kit_path(&k, "subscriptions"), "V\t2\n\nINBOX\nA\tB&AOk-\n");
    ck_assert_str_eq(kit_list(&k), "INBOX subscribed\nA/B\xc3\xa9 *no subscribed\n");
    k.store->subscribe(k.account, LMAIL_STR("dot.ted/x"), 1);
    k.store->subscribe(k.account, LMAIL_STR("INBOX"), 0);
    ck_assert_str_eq(kit_read(kit_path(&k, "subscriptions")), "A.B&AOk-\ndot\\2eted.x\n");
}
END_TEST

START_TEST(dovecots_uids_are_kept)
{
    kit_write(kit_path(&k, "cur/5.z:2,S"), "a: b\r\n\r\n");
    kit_write(kit_path(&k, "cur/6.y:2,a"), "a: b\r\n\r\n");
    kit_write(kit_path(&k, "new/7.x"), "a: b\r\n\r\n");
    kit_write(kit_path(&k, "dovecot-keywords"), "0 $Imported\n");
    kit_write(kit_path(&k, "dovecot-uidlist"),
              "3 V1234567 N50 Gabc\n10 W5 :6.y\n42 :5.z:2,\n49 :gone\n");
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    const lmail_snapshot *s = kit_snapshot(&k, m);
    ck_assert_uint_eq(lmail_snapshot_facts(s)->uidvalidity, 1234567);
    ck_assert_str_eq(kit_set(lmail_snapshot_uids(s)), "10,42,50");
    lmail_snapshot_unref(s);
    ck_assert_str_eq(kit_flags(&k, m, 10), " $Imported");
    k.store->mailbox_close(m);
}
END_TEST

/* ---- The index ------------------------------------------------------------------------------- */

static void check_rebuilt(uint32_t before)
{
    ck_assert_uint_gt(validity("INBOX"), before);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_uids(&k, m), "1:3");
    ck_assert_str_eq(kit_flags(&k, m, 2), "F $Kept");
    ck_assert_ptr_nonnull(strstr(kit_body(&k, m, 3), "number 3"));
    k.store->mailbox_close(m);
}

static void fill_for_rebuild(void)
{
    kit_fill(&k, "INBOX", 3);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    kit_store(&k, m, 2, 2, LMAIL_STORE_ADD, LMAIL_FLAG_FLAGGED, "$Kept");
    k.store->mailbox_close(m);
}

START_TEST(a_lost_index_is_made_anew)
{
    fill_for_rebuild();
    uint32_t before = validity("INBOX");
    k.store->account_close(k.account);
    k.store->close(k.store);
    unlink(kit_path(&k, "libmail.index"));
    unlink(kit_path(&k, "libmail.index-wal"));
    unlink(kit_path(&k, "libmail.index-shm"));
    char root[600];
    snprintf(root, sizeof root, "%s/mail", k.dir);
    k.maildir.root = root;
    ck_assert_int_eq(lmail_store_maildir_new(&k.maildir, &k.store), LMAIL_OK);
    k.account = kit_account(&k, "alice");
    check_rebuilt(before);
}
END_TEST

START_TEST(an_index_lost_while_open_makes_handles_stale)
{
    fill_for_rebuild();
    uint32_t before = validity("INBOX");
    lmail_mailbox_view v;
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    unlink(kit_path(&k, "libmail.index"));
    ck_assert_int_eq(k.store->refresh(m, 0, &v), LMAIL_ERR_STALE);
    ck_assert_int_eq(kit_store(&k, m, 1, 1, LMAIL_STORE_ADD, 1, NULL), LMAIL_ERR_STALE);
    k.store->mailbox_close(m);
    check_rebuilt(before);
}
END_TEST

START_TEST(a_damaged_index_is_made_anew)
{
    fill_for_rebuild();
    uint32_t before = validity("INBOX");
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    int fd = open(kit_path(&k, "libmail.index"), O_WRONLY | O_TRUNC);
    char garbage[8192];
    memset(garbage, _i ? 'x' : 0, sizeof garbage);
    ck_assert_int_eq((int)write(fd, garbage, sizeof garbage), (int)sizeof garbage);
    close(fd);
    unlink(kit_path(&k, "libmail.index-wal"));
    unlink(kit_path(&k, "libmail.index-shm"));
    kit_store(&k, m, 1, 1, LMAIL_STORE_ADD, LMAIL_FLAG_FLAGGED, NULL); /* may or may not notice */
    k.store->mailbox_close(m);
    kit_restart(&k);
    /* mail goes on coming in */
    ck_assert_int_eq(kit_deliver(&k, "INBOX", "a: b\n\n", 0, NULL), LMAIL_OK);
    ck_assert_uint_gt(validity("INBOX"), before);
    m = kit_open(&k, "INBOX", 0);
    const lmail_snapshot *s = kit_snapshot(&k, m);
    ck_assert_uint_eq(lmail_snapshot_facts(s)->messages, 4);
    lmail_snapshot_unref(s);
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(an_index_that_cannot_be_had_fails_no_delivery)
{
    lmail_uid uid;
    kit_fill(&k, "INBOX", 1);
    kit_restart(&k);
    move_file("libmail.index", "aside");
    mkdir(kit_path(&k, "libmail.index"), 0700);
    ck_assert_int_eq(kit_deliver(&k, "INBOX", "Subject: kept\n\n", 0, &uid), LMAIL_OK);
    ck_assert_uint_eq(uid, 0);
    ck_assert_int_eq(kit_deliver(&k, "none", "Subject: kept\n\n", 0, &uid), LMAIL_ERR_NOTFOUND);
    rmdir(kit_path(&k, "libmail.index"));
    move_file("aside", "libmail.index");
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_uids(&k, m), "1:2");
    ck_assert_str_eq(kit_body(&k, m, 2), "Subject: kept\r\n\r\n");
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(numbers_go_on_from_their_ceilings_after_a_stop)
{
    static const char torn[] = "new/9.M000001P2Q3R0000abcd.h,S=500";
    lmail_mailbox_status before, after;
    k.maildir.boot_id = "first";
    kit_restart(&k);
    kit_fill(&k, "INBOX", 3);
    k.store->status(k.account, LMAIL_STR("INBOX"), 0, &before);
    kit_restart(&k);
    k.store->status(k.account, LMAIL_STR("INBOX"), 0, &after);
    ck_assert_uint_eq(after.uidnext, before.uidnext);
    /* cut off, without a row; one that is whole; one without S= */
    kit_write(kit_path(&k, torn), "a: b\r\n\r\n");
    kit_write(kit_path(&k, "new/9.whole.h,S=8"), "a: b\r\n\r\n");
    kit_write(kit_path(&k, "new/9.foreign.h"), "a: b\r\n");
    k.maildir.boot_id = "second";
    kit_restart(&k);
    k.store->status(k.account, LMAIL_STR("INBOX"), 0, &after);
    ck_assert_uint_ge(after.uidnext, before.uidnext + 900);
    ck_assert(after.highest_modseq > before.highest_modseq + 5000);
    ck_assert_uint_eq(after.uidvalidity, before.uidvalidity);
    ck_assert_uint_eq(after.messages, 5);
    ck_assert_int_ne(access(kit_path(&k, torn), F_OK), 0);
    /* without a stop it is no message either, but stays */
    kit_write(kit_path(&k, torn), "a: b\r\n\r\n");
    k.store->status(k.account, LMAIL_STR("INBOX"), 0, &after);
    ck_assert_uint_eq(after.messages, 5);
    ck_assert_int_eq(access(kit_path(&k, torn), F_OK), 0);
}
END_TEST

START_TEST(more_accounts_than_open_indexes)
{
    lmail_store_account *a[8];
    k.maildir.max_open = 2;
    kit_restart(&k);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            char name[16];
            lmail_mailbox_status st;
            snprintf(name, sizeof name, "user%d", i);
            if (round == 0)
                a[i] = kit_account(&k, name);
            lmail_store_account *own = k.account;
            k.account = a[i];
            kit_fill(&k, "INBOX", 1);
            k.store->status(k.account, LMAIL_STR("INBOX"), 0, &st);
            ck_assert_uint_eq(st.messages, (unsigned)round + 1);
            k.account = own;
        }
    }
    int indexes = 0;
    DIR *d = opendir("/proc/self/fd");
    struct dirent *e;
    while ((e = readdir(d))) {
        char target[1024];
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        indexes += n > 13 && strcmp(target + n - 13, "libmail.index") == 0;
    }
    closedir(d);
    ck_assert_int_le(indexes, 2);
    for (int i = 0; i < 8; i++)
        k.store->account_close(a[i]);
}
END_TEST

START_TEST(a_cached_read_needs_no_disk)
{
    char buf[64];
    size_t got;
    kit_fill(&k, "INBOX", 1);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_int_eq(k.store->read(m, 1, 0, buf, 10, LMAIL_READ_NOWAIT, &got), LMAIL_PENDING);
    ck_assert_int_eq(k.store->read(m, 1, 0, buf, 10, 0, &got), LMAIL_OK);
    ck_assert_int_eq(k.store->read(m, 1, 10, buf, 10, LMAIL_READ_NOWAIT, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 10);
    lmail_mailbox_view v;
    ck_assert_int_eq(k.store->refresh(m, LMAIL_REFRESH_CACHED, &v), LMAIL_OK);
    lmail_snapshot_unref(v.snapshot);
    k.store->mailbox_close(m);
}
END_TEST

START_TEST(a_spool_file_can_have_a_further_name)
{
    const lmail_store *s = k.store;
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery_target t = {.account = k.account, .mailbox = LMAIL_STR("INBOX")};
    lmail_delivery *d;
    args.account = k.account;
    s->delivery_begin(s->ctx, &args, &d);
    s->delivery_message(d, &message);
    s->delivery_write(d, LMAIL_STR("a: b\r\n\r\n"));
    ck_assert_int_eq(s->delivery_link(d, 0, kit_path(&k, "queued"), 0), LMAIL_ERR_STATE);
    s->delivery_end(d, NULL);
    ck_assert_int_eq(s->delivery_link(d, 0, kit_path(&k, "queued"), 1), LMAIL_OK);
    ck_assert_int_eq(s->delivery_link(d, 0, kit_path(&k, "queued"), 0), LMAIL_ERR_EXISTS);
    ck_assert_int_eq(s->delivery_commit(d, &t, 1), LMAIL_OK);
    s->delivery_free(d);
    ck_assert_str_eq(kit_read(kit_path(&k, "queued")), "a: b\r\n\r\n");
}
END_TEST

/* ---- Many at once ---------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    unsigned n;
    lmail_uid uids[64];
} worker;

static void deliver_many(worker *w)
{
    for (w->n = 0; w->n < 64; w->n++) {
        char text[64];
        snprintf(text, sizeof text, "Subject: %u\n\nx\n", w->n);
        if (kit_deliver(&k, "INBOX", text, w->n % 3 ? 0 : LMAIL_FLAG_SEEN, &w->uids[w->n]))
            break;
    }
}

static void *deliver_thread(void *user)
{
    deliver_many(user);
    return NULL;
}

START_TEST(threads_deliver_to_one_mailbox)
{
    worker w[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&w[i].thread, NULL, deliver_thread, &w[i]);
    lmail_store_account *own = kit_account(&k, "alice");
    lmail_store_mailbox *m;
    ck_assert_int_eq(k.store->mailbox_open(own, LMAIL_STR("INBOX"), 0, &m), LMAIL_OK);
    for (int i = 0; i < 50; i++) {
        lmail_mailbox_view v;
        ck_assert_int_eq(k.store->refresh(m, 0, &v), LMAIL_OK);
        lmail_snapshot_unref(v.snapshot);
        ck_assert_int_eq(kit_store(&k, m, 1, 1000, LMAIL_STORE_ADD, LMAIL_FLAG_FLAGGED, NULL),
                         LMAIL_OK);
    }
    unsigned char seen[600] = {0};
    for (int i = 0; i < 8; i++) {
        pthread_join(w[i].thread, NULL);
        ck_assert_uint_eq(w[i].n, 64);
        for (int j = 0; j < 64; j++) {
            ck_assert_uint_ge(w[i].uids[j], 1);
            ck_assert_uint_le(w[i].uids[j], 512);
            ck_assert_uint_eq(seen[w[i].uids[j]]++, 0);
        }
    }
    ck_assert_str_eq(kit_uids(&k, m), "1:512");
    k.store->mailbox_close(m);
    k.store->account_close(own);
}
END_TEST

/* A process of its own: deliveries, flags and expunges, then the count of what it delivered less
 * what it expunged as its exit code. */
static int child(int number)
{
    int kept = 0;
    kit_restart(&k);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    for (int i = 0; i < 40; i++) {
        lmail_uid uid;
        char text[64];
        snprintf(text, sizeof text, "Subject: %d.%d\n\nx\n", number, i);
        if (kit_deliver(&k, "INBOX", text, 0, &uid) || uid == 0)
            return 255;
        kept++;
        if (kit_store(&k, m, uid, uid, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN, NULL))
            return 254;
        if (strcmp(kit_flags(&k, m, uid), "S") != 0)
            return 253;
        if (i % 4 == 0) {
            if (kit_expunge(&k, m, uid, uid) || strcmp(kit_flags(&k, m, uid), "-") != 0)
                return 252;
            kept--;
        }
        if (i % 8 == 0)
            k.store->tidy(k.account, 10);
    }
    k.store->mailbox_close(m);
    return kept;
}

START_TEST(processes_share_a_mailbox)
{
    enum { CHILDREN = 4 };
    pid_t pids[CHILDREN];
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(child(i));
    }
    unsigned total = 0;
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 30);
        total += (unsigned)WEXITSTATUS(status);
    }
    const lmail_snapshot *s = kit_snapshot(&k, m);
    const lmail_mailbox_facts *f = lmail_snapshot_facts(s);
    ck_assert_uint_eq(f->messages, total);
    ck_assert_uint_eq(f->unseen, 0);
    ck_assert_uint_eq(f->uidnext, CHILDREN * 40 + 1);
    lmail_snapshot_unref(s);
    k.store->mailbox_close(m);
    ck_assert_int_eq(kit_count(kit_path(&k, "cur")) + kit_count(kit_path(&k, "new")), (int)total);
}
END_TEST

/* Another program renames back and forth while we scan: no message may vanish or come anew. */
START_TEST(renames_beside_a_scan_lose_nothing)
{
    kit_fill(&k, "INBOX", 200);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (int round = 0;; round++) {
            DIR *d = opendir(kit_path(&k, round % 2 ? "cur" : "new"));
            struct dirent *e;
            while (d && (e = readdir(d))) {
                char from[1024], to[1100];
                if (e->d_name[0] == '.')
                    continue;
                snprintf(from, sizeof from, "%s/%s", round % 2 ? "cur" : "new", e->d_name);
                snprintf(to, sizeof to, "%s/%.*s%s", round % 2 ? "new" : "cur",
                         (int)strcspn(e->d_name, ":"), e->d_name, round % 2 ? "" : ":2,");
                rename(kit_path(&k, from), kit_path(&k, to));
            }
            closedir(d);
        }
    }
    lmail_modseq modseq = 0;
    for (int i = 0; i < 300; i++) {
        lmail_mailbox_view v;
        ck_assert_int_eq(k.store->refresh(m, LMAIL_REFRESH_SCAN, &v), LMAIL_OK);
        if (lmail_snapshot_facts(v.snapshot)->messages != 200 ||
            lmail_snapshot_facts(v.snapshot)->uidnext != 201) {
            kill(pid, SIGKILL);
            ck_abort_msg("scan %d: %u messages, next %u", i,
                         lmail_snapshot_facts(v.snapshot)->messages,
                         lmail_snapshot_facts(v.snapshot)->uidnext);
        }
        ck_assert(lmail_snapshot_facts(v.snapshot)->highest_modseq >= modseq);
        modseq = lmail_snapshot_facts(v.snapshot)->highest_modseq;
        lmail_snapshot_unref(v.snapshot);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    k.store->mailbox_close(m);
}
END_TEST

/* ---- A full disk ----------------------------------------------------------------------------- */

START_TEST(a_full_disk_loses_nothing)
{
    char place[700], index[800];
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    snprintf(place, sizeof place, "%s/small", k.dir);
    mkdir(place, 0700);
    if (geteuid() != 0 || mount("none", place, "tmpfs", 0, "size=3m") != 0) {
        printf("a_full_disk_loses_nothing: needs root for a small tmpfs, passed over\n");
        return;
    }
    snprintf(index, sizeof index, "%s/bob", place);
    args.name = LMAIL_STR("bob");
    args.location = lmail_str_from(index);
    lmail_store_account *own = k.account;
    ck_assert_int_eq(k.store->account_open(k.store->ctx, &args, &k.account), LMAIL_OK);
    char *text = malloc(40000);
    memset(text, 'x', 39999);
    text[39999] = '\0';
    memcpy(text, "Subject: big\r\n\r\n", 16);
    unsigned stored = 0;
    lmail_status st = LMAIL_OK;
    while (stored < 500 && !(st = kit_deliver(&k, "INBOX", text, 0, NULL)))
        stored++;
    ck_assert_int_eq(st, LMAIL_ERR_FULL);
    ck_assert_uint_gt(stored, 20);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", LMAIL_OPEN_NO_RECENT);
    const lmail_snapshot *s = kit_snapshot(&k, m);
    unsigned known = lmail_snapshot_facts(s)->messages;
    lmail_snapshot_unref(s);
    ck_assert_uint_le(known, stored);
    /* room again: everything that was acknowledged is there */
    char victim[1000];
    snprintf(victim, sizeof victim, "%s/new", index);
    ck_assert_int_eq(kit_count(victim), (int)stored);
    k.store->mailbox_close(m);
    ck_assert_int_eq(mount("none", place, "tmpfs", MS_REMOUNT, "size=30m"), 0);
    ck_assert_int_eq(kit_deliver(&k, "INBOX", text, 0, NULL), LMAIL_OK);
    m = kit_open(&k, "INBOX", 0);
    s = kit_snapshot(&k, m);
    ck_assert_uint_eq(lmail_snapshot_facts(s)->messages, stored + 1);
    lmail_snapshot_unref(s);
    ck_assert_int_eq(kit_expunge(&k, m, 1, UINT32_MAX), LMAIL_OK);
    k.store->mailbox_close(m);
    k.store->account_close(k.account);
    k.account = own;
    kit_restart(&k);
    umount(place);
    free(text);
}
END_TEST

START_TEST(a_reserve_is_kept_from_deliveries)
{
    k.maildir.reserve = UINT64_MAX - 1;
    kit_restart(&k);
    ck_assert_int_eq(kit_deliver(&k, "INBOX", "a: b\n\n", 0, NULL), LMAIL_ERR_FULL);
}
END_TEST

/* ---- Names on disk --------------------------------------------------------------------------- */

static const struct {
    const char *name, *dir;
} names[] = {
    {"INBOX", ""},           {"A", ".A"},
    {"A/B", ".A.B"},         {"a.b/c", ".a\\2eb.c"},
    {"..", ".\\2e\\2e"},     {"~x/~y", ".\\7ex.\\7ey"},
    {"x~", ".x~"},           {"back\\slash", ".back\\5cslash"},
    {"R&D", ".R&-D"},        {"\xe5\x8f\xb0\xe5\x8c\x97", ".&U,BTFw-"}, /* RFC 3501 §5.1.3 */
    {"INBOX/a", ".INBOX.a"},
};

START_TEST(names_have_one_directory_each)
{
    char dir[MD_NAME_OCTETS + 1], name[LMI_NAME_MAX];
    size_t len;
    ck_assert_int_eq(lmi_md_dir_of(lmail_str_from(names[_i].name), dir), LMAIL_OK);
    ck_assert_str_eq(dir, names[_i].dir);
    ck_assert_int_eq(lmi_md_name_of(lmail_str_from(dir), name, &len), LMAIL_OK);
    ck_assert_int_eq(lmail_str_equal((lmail_str){name, len}, lmail_str_from(names[_i].name)), 1);
}
END_TEST

START_TEST(directories_that_are_no_names)
{
    static const char *const bad[] = {".",     "..",      "..a",    ".a..b", ".a.",
                                      ".&bad", ".a\\2fb", ".inbox", "a"};
    char name[LMI_NAME_MAX];
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(lmi_md_name_of(lmail_str_from(bad[i]), name, &len) != LMAIL_OK, "%s", bad[i]);
}
END_TEST

Suite *store_maildir_suite(void)
{
    Suite *s = suite_create("store_maildir");
    TCase *c = tcase_create("disk");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_foreign_file_with_bare_lf_is_served_as_crlf);
    tcase_add_test(c, foreign_changes_are_taken_in);
    tcase_add_test(c, a_renamed_file_is_found_by_a_reader_that_knew_it);
    tcase_add_test(c, flags_and_keywords_follow_into_names);
    tcase_add_test(c, foreign_folders_come_go_and_are_renamed);
    tcase_add_test(c, subscriptions_are_dovecots);
    tcase_add_test(c, dovecots_uids_are_kept);
    tcase_add_test(c, a_lost_index_is_made_anew);
    tcase_add_test(c, an_index_lost_while_open_makes_handles_stale);
    tcase_add_loop_test(c, a_damaged_index_is_made_anew, 0, 2);
    tcase_add_test(c, an_index_that_cannot_be_had_fails_no_delivery);
    tcase_add_test(c, numbers_go_on_from_their_ceilings_after_a_stop);
    tcase_add_test(c, more_accounts_than_open_indexes);
    tcase_add_test(c, a_cached_read_needs_no_disk);
    tcase_add_test(c, a_spool_file_can_have_a_further_name);
    tcase_add_test(c, threads_deliver_to_one_mailbox);
    tcase_add_test(c, processes_share_a_mailbox);
    tcase_add_test(c, renames_beside_a_scan_lose_nothing);
    tcase_add_test(c, a_full_disk_loses_nothing);
    tcase_add_test(c, a_reserve_is_kept_from_deliveries);
    suite_add_tcase(s, c);
    TCase *n = tcase_create("names");
    tcase_add_loop_test(n, names_have_one_directory_each, 0, sizeof names / sizeof *names);
    tcase_add_test(n, directories_that_are_no_names);
    suite_add_tcase(s, n);
    return s;
}
