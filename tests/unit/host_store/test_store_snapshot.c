/* Snapshots against a plain array: random edits, differences, what old versions still show. And the
 * change notice, as several readers see it. */
#include "host_store.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *store_snapshot_suite(void);

enum { UIDS = 6000 };

typedef struct model {
    lmail_flags flags[UIDS + 1];
    lmail_modseq modseq[UIDS + 1]; /* 0: not there */
} model;

static const lmail_snapshot *apply(const lmail_snapshot *base, model *m, lmail_modseq modseq,
                                   unsigned one_in, int mostly_remove)
{
    lmail_snapshot_edit *e;
    const lmail_snapshot *s;
    lmail_mailbox_facts f = {.uidvalidity = 1, .uidnext = UIDS + 1, .highest_modseq = modseq};
    ck_assert_int_eq(lmail_snapshot_edit_begin(base, &e), LMAIL_OK);
    for (lmail_uid uid = 1; uid <= UIDS; uid++) {
        if (rand() % (int)one_in)
            continue;
        if (rand() % (mostly_remove ? 4 : 2) == 0) {
            m->flags[uid] = (lmail_flags)rand() & LMAIL_FLAGS_SYSTEM;
            m->modseq[uid] = modseq;
            lmail_snapshot_edit_put(e, uid, m->flags[uid], modseq);
        } else {
            m->modseq[uid] = 0;
            lmail_snapshot_edit_remove(e, uid);
        }
    }
    ck_assert_int_eq(lmail_snapshot_edit_end(e, &f, &s), LMAIL_OK);
    return s;
}

static void compare(const lmail_snapshot *s, const model *m)
{
    const lmail_mailbox_facts *f = lmail_snapshot_facts(s);
    unsigned n = 0, unseen = 0, deleted = 0;
    lmail_uid first_unseen = 0;
    for (lmail_uid uid = 1; uid <= UIDS; uid++) {
        lmail_flags flags;
        lmail_modseq modseq;
        int there = m->modseq[uid] != 0;
        ck_assert_int_eq(lmail_snapshot_get(s, uid, &flags, &modseq),
                         there ? LMAIL_OK : LMAIL_ERR_NOTFOUND);
        ck_assert_int_eq(lmail_uid_set_has(lmail_snapshot_uids(s), uid), there);
        if (!there)
            continue;
        ck_assert(flags == m->flags[uid] && modseq == m->modseq[uid]);
        if (!(flags & LMAIL_FLAG_SEEN) && !unseen++) {
            first_unseen = uid;
            ck_assert_uint_eq(f->first_unseen_index, n);
        }
        deleted += !!(flags & LMAIL_FLAG_DELETED);
        n++;
    }
    ck_assert_uint_eq(f->messages, n);
    ck_assert_uint_eq(f->unseen, unseen);
    ck_assert_uint_eq(f->deleted, deleted);
    ck_assert_uint_eq(f->first_unseen, first_unseen);
}

START_TEST(versions_are_what_an_array_says)
{
    static model now, before;
    const lmail_snapshot *s = NULL, *old;
    memset(&now, 0, sizeof now);
    srand((unsigned)_i + 1);
    s = apply(NULL, &now, 1, 1, 0);
    for (lmail_modseq q = 2; q < 20; q++) {
        lmail_snapshot_changes c;
        before = now;
        old = s;
        s = apply(old, &now, q, (unsigned[]){1, 3, 50, 2000}[q % 4], q % 3 == 0);
        compare(s, &now);
        compare(old, &before);
        ck_assert_int_eq(lmail_snapshot_diff(old, s, &c), LMAIL_OK);
        for (lmail_uid uid = 1; uid <= UIDS; uid++) {
            int a = before.modseq[uid] != 0, b = now.modseq[uid] != 0;
            ck_assert_int_eq(lmail_uid_set_has(lmail_uid_list_set(&c.added), uid), !a && b);
            ck_assert_int_eq(lmail_uid_set_has(lmail_uid_list_set(&c.vanished), uid), a && !b);
            ck_assert_int_eq(lmail_uid_set_has(lmail_uid_list_set(&c.changed), uid),
                             a && b && before.modseq[uid] != now.modseq[uid]);
        }
        lmail_snapshot_changes_free(&c);
        lmail_snapshot_unref(old);
    }
    lmail_snapshot_unref(s);
}
END_TEST

START_TEST(an_untouched_leaf_is_shared)
{
    lmail_snapshot_edit *e;
    const lmail_snapshot *a, *b;
    lmail_mailbox_facts f = {.uidvalidity = 1, .uidnext = 5001, .highest_modseq = 1};
    lmail_snapshot_rows x, y;
    lmail_snapshot_edit_begin(NULL, &e);
    for (lmail_uid uid = 1; uid <= 5000; uid++)
        lmail_snapshot_edit_put(e, uid, 0, 1);
    lmail_snapshot_edit_end(e, &f, &a);
    lmail_snapshot_edit_begin(a, &e);
    lmail_snapshot_edit_put(e, 700, LMAIL_FLAG_SEEN, 2);
    lmail_snapshot_edit_end(e, &f, &b);
    for (size_t i = 0; !lmail_snapshot_leaf(a, i, &x); i++) {
        ck_assert_int_eq(lmail_snapshot_leaf(b, i, &y), LMAIL_OK);
        ck_assert_int_eq(x.uids == y.uids, i != 1);
    }
    f.uidvalidity = 2;
    lmail_snapshot_unref(a);
    lmail_snapshot_edit_begin(b, &e);
    lmail_snapshot_edit_end(e, &f, &a);
    lmail_snapshot_changes c;
    ck_assert_int_eq(lmail_snapshot_diff(a, b, &c), LMAIL_ERR_STATE);
    lmail_snapshot_unref(a);
    lmail_snapshot_unref(b);
}
END_TEST

START_TEST(special_uses_have_names)
{
    for (unsigned i = 1; i <= LMAIL_USE_TRASH; i++) {
        lmail_str name = lmail_str_from(lmail_special_use_name((lmail_special_use)i));
        ck_assert_uint_eq(lmail_special_use_parse(name), i);
    }
    ck_assert_uint_eq(lmail_special_use_parse(LMAIL_STR("\\sENT")), LMAIL_USE_SENT);
    ck_assert_uint_eq(lmail_special_use_parse(LMAIL_STR("\\Inbox")), LMAIL_USE_NONE);
}
END_TEST

START_TEST(a_damaged_blob_of_fields_is_refused)
{
    lmail_mime_summary s;
    char blob[200] = {1};
    for (size_t n = 0; n < sizeof blob; n++) {
        blob[24] = 14;
        memset(blob + 28, (int)(n % 5 ? 0xff : 0), sizeof blob - 28);
        lmail_status st = lmail_fields_read((lmail_str){blob, n}, &s);
        ck_assert(n >= 84 ? 1 : st == LMAIL_ERR_CORRUPT);
        if (n % 5)
            ck_assert_int_eq(st, LMAIL_ERR_CORRUPT);
    }
}
END_TEST

START_TEST(a_raise_wakes_other_processes)
{
    char dir[] = "notice.XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    lmail_notice *n;
    ck_assert_int_eq(lmail_notice_open(dir, &n), LMAIL_OK);
    unsigned slot = lmail_notice_slot(LMAIL_STR("alice")), got;
    uint32_t before = lmail_notice_value(n, slot);
    ck_assert_int_eq(lmail_notice_take(n, &got), LMAIL_END);
    pid_t pid = fork();
    if (pid == 0) {
        lmail_notice *other;
        if (lmail_notice_open(dir, &other))
            _exit(1);
        for (int i = 0; i < 100; i++)
            lmail_notice_raise(other, slot);
        int own = lmail_notice_take(other, &got) == LMAIL_END;
        if (fork() == 0)
            _exit(0); /* dies with its address in the table: nobody minds */
        wait(NULL);
        lmail_notice_close(other);
        _exit(own ? 0 : 2);
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    struct pollfd p = {lmail_notice_fd(n), POLLIN, 0};
    ck_assert_int_eq(poll(&p, 1, 1000), 1);
    ck_assert_int_eq(lmail_notice_take(n, &got), LMAIL_OK);
    ck_assert_uint_eq(got, slot);
    ck_assert_uint_eq(lmail_notice_value(n, slot), before + 100);
    while (!lmail_notice_take(n, &got))
        ck_assert_uint_eq(got, slot);
    lmail_notice_raise(n, slot);
    lmail_notice_close(n);
    ck_assert_int_eq(lmail_notice_open(NULL, &n), LMAIL_OK);
    ck_assert_int_eq(lmail_notice_fd(n), -1);
    lmail_notice_raise(n, slot);
    ck_assert_uint_eq(lmail_notice_value(n, slot), 1);
    lmail_notice_close(n);
    snprintf(path, sizeof path, "rm -r %s", dir);
    ck_assert_int_eq(system(path), 0);
}
END_TEST

Suite *store_snapshot_suite(void)
{
    Suite *s = suite_create("store_snapshot");
    TCase *c = tcase_create("snapshot");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, versions_are_what_an_array_says, 0, 4);
    tcase_add_test(c, an_untouched_leaf_is_shared);
    tcase_add_test(c, special_uses_have_names);
    tcase_add_test(c, a_damaged_blob_of_fields_is_refused);
    tcase_add_test(c, a_raise_wakes_other_processes);
    suite_add_tcase(s, c);
    return s;
}
