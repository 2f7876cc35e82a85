/* What libmail/host/store.h promises, of every backend: each test runs once a backend. */
#include "host_store.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *store_interface_suite(void);

static kit k;

#define WITH_STORE kit_start(&k, _i)

START_TEST(delivered_octets_come_back)
{
    WITH_STORE;
    lmail_uid uid;
    ck_assert_int_eq(kit_deliver(&k, "INBOX", "Subject: a\n\nline\r\nbare\nend", 0, &uid),
                     LMAIL_OK);
    ck_assert_uint_eq(uid, 1);
    lmail_store_mailbox *m = kit_open(&k, "inbox", 0);
    ck_assert_str_eq(kit_body(&k, m, 1), "Subject: a\r\n\r\nline\r\nbare\r\nend");
    ck_assert_str_eq(kit_body(&k, m, 2), "LMAIL_ERR_NOTFOUND");
    char buf[8];
    size_t got;
    ck_assert_int_eq(k.store->read(m, 1, 1000, buf, 8, 0, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 0);
    k.store->mailbox_close(m);
    ck_assert_int_eq(kit_deliver(&k, "nowhere", "x", 0, NULL), LMAIL_ERR_NOTFOUND);
    kit_stop(&k);
}
END_TEST

/* What an account holds follows every change; a delivery that would be too much is refused. */
START_TEST(an_account_holds_so_much)
{
    WITH_STORE;
    lmail_store_usage u;
    lmail_uid_list gone;
    lmail_copy_result copied;
    lmail_uid_range all = {1, 10};
    ck_assert_int_eq(k.store->usage(k.account, &u), LMAIL_OK);
    ck_assert(u.octets == 0 && u.messages == 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kit_deliver(&k, "INBOX", "S: a\r\n\r\n12", 0, NULL), LMAIL_OK);
    ck_assert_int_eq(k.store->create(k.account, LMAIL_STR("b"), LMAIL_USE_NONE), LMAIL_OK);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_int_eq(k.store->copy(m, (lmail_uid_set){&all, 1}, k.account, LMAIL_STR("b"), &copied),
                     LMAIL_OK);
    lmail_copy_result_free(&copied);
    ck_assert_int_eq(k.store->usage(k.account, &u), LMAIL_OK);
    ck_assert_uint_eq(u.octets, 6 * 10);
    ck_assert_uint_eq(u.messages, 6);
    all.last = 2;
    lmail_uid_set two = {&all, 1};
    ck_assert_int_eq(k.store->expunge(m, &two, LMAIL_EXPUNGE_ALL, &gone, NULL), LMAIL_OK);
    lmail_uid_list_free(&gone);
    k.store->mailbox_close(m);
    ck_assert_int_eq(k.store->remove(k.account, LMAIL_STR("b")), LMAIL_OK);
    ck_assert_int_eq(k.store->usage(k.account, &u), LMAIL_OK);
    ck_assert_uint_eq(u.octets, 10);
    ck_assert_uint_eq(u.messages, 1);

    static const struct {
        uint64_t octets, messages;
        lmail_status status;
    } limits[] = {{19, 0, LMAIL_ERR_QUOTA},
                  {0, 1, LMAIL_ERR_QUOTA},
                  {5, 0, LMAIL_ERR_QUOTA},
                  {20, 2, LMAIL_OK},
                  {0, 0, LMAIL_OK}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        lmail_delivery *d;
        lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
        lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
        lmail_delivery_target t = {.account = k.account, .mailbox = LMAIL_STR("INBOX")};
        args.account = k.account;
        t.max_octets = limits[i].octets;
        t.max_messages = limits[i].messages;
        ck_assert_int_eq(k.store->delivery_begin(k.store->ctx, &args, &d), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_message(d, &message), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_write(d, LMAIL_STR("S: a\r\n\r\n12")), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_end(d, NULL), LMAIL_OK);
        ck_assert_int_eq(k.store->delivery_commit(d, &t, 1), limits[i].status);
        k.store->delivery_free(d);
    }
    ck_assert_int_eq(k.store->usage(k.account, &u), LMAIL_OK);
    ck_assert_uint_eq(u.messages, 3);
    kit_stop(&k);
}
END_TEST

/* Octets stay in their order however large the pieces are: small ones wait, large ones may not. */
START_TEST(pieces_of_any_size_stay_in_order)
{
    WITH_STORE;
    static const size_t sizes[] = {100,   40000, 1,     32768, 32767, 3,     65536, 65535,
                                   30000, 35000, 70000, 5,     64000, 33000, 200000};
    enum { WHOLE = 800000 };
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery *d;
    char *sent = malloc(WHOLE), *read = malloc(WHOLE);
    size_t len = 0, got;
    for (size_t i = 0; i < WHOLE; i++)
        sent[i] = (char)('a' + i / 977 % 26);
    args.account = k.account;
    ck_assert_int_eq(k.store->delivery_begin(k.store->ctx, &args, &d), LMAIL_OK);
    ck_assert_int_eq(k.store->delivery_message(d, &message), LMAIL_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; len += sizes[i++])
        ck_assert_int_eq(k.store->delivery_write(d, (lmail_str){sent + len, sizes[i]}), LMAIL_OK);
    ck_assert_uint_le(len, WHOLE);
    ck_assert_int_eq(k.store->delivery_end(d, NULL), LMAIL_OK);
    ck_assert_int_eq(k.store->delivery_read(d, 0, 0, read, WHOLE, &got), LMAIL_OK);
    ck_assert_uint_eq(got, len);
    for (size_t i = 0; i < len; i++)
        ck_assert_msg(read[i] == sent[i], "octet %zu is another", i);
    k.store->delivery_free(d);
    free(sent);
    free(read);
    kit_stop(&k);
}
END_TEST

START_TEST(exact_messages_keep_bare_line_feeds)
{
    WITH_STORE;
    const lmail_store *s = k.store;
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery_target target = {.account = k.account, .mailbox = LMAIL_STR("INBOX")};
    lmail_delivery *d;
    args.account = k.account;
    message.exact = 1;
    message.has_date = 1;
    message.date = 1000000000;
    message.date_zone = 90;
    ck_assert_int_eq(s->delivery_begin(s->ctx, &args, &d), LMAIL_OK);
    ck_assert_int_eq(s->delivery_write(d, LMAIL_STR("x")), LMAIL_ERR_STATE);
    ck_assert_int_eq(s->delivery_message(d, &message), LMAIL_OK);
    ck_assert_int_eq(s->delivery_message(d, &message), LMAIL_ERR_STATE);
    s->delivery_write(d, LMAIL_STR("A: b\r\n\r\nx\n"));
    ck_assert_int_eq(s->delivery_commit(d, &target, 1), LMAIL_ERR_STATE);
    uint64_t octets;
    ck_assert_int_eq(s->delivery_end(d, &octets), LMAIL_OK);
    ck_assert_uint_eq(octets, 10);
    char buf[32];
    size_t got;
    ck_assert_int_eq(s->delivery_read(d, 0, 6, buf, sizeof buf, &got), LMAIL_OK);
    ck_assert_uint_eq(got, 4);
    ck_assert_int_eq(s->delivery_commit(d, &target, 1), LMAIL_OK);
    s->delivery_free(d);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_body(&k, m, 1), "A: b\r\n\r\nx\n");
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

typedef struct rows {
    unsigned n;
    lmail_mailbox_row last;
    char envelope[1024], structure[1024], uidl[80], subject[128];
    uint64_t octets;
} rows;

static int on_row(void *user, const lmail_mailbox_row *r)
{
    rows *o = user;
    lmail_mime_summary fields;
    o->n++;
    o->last = *r;
    o->octets += r->size;
    snprintf(o->envelope, sizeof o->envelope, "%.*s", (int)r->envelope.len, r->envelope.ptr);
    snprintf(o->structure, sizeof o->structure, "%.*s", (int)r->bodystructure.len,
             r->bodystructure.ptr);
    snprintf(o->uidl, sizeof o->uidl, "%.*s", (int)r->uidl.len, r->uidl.ptr);
    if (r->fields.len && !lmail_fields_read(r->fields, &fields))
        snprintf(o->subject, sizeof o->subject, "%.*s", (int)fields.subject.len,
                 fields.subject.ptr);
    return 0;
}

static lmail_uid fetch(lmail_store_mailbox *m, lmail_uid first, lmail_uid last, unsigned items,
                       size_t max, rows *out)
{
    lmail_fetch_args args = LMAIL_FETCH_ARGS_INIT;
    lmail_uid_range range = {first, last};
    lmail_uid next;
    memset(out, 0, sizeof *out);
    args.uids = (lmail_uid_set){&range, 1};
    args.items = items;
    args.max_rows = max;
    ck_assert_int_eq(k.store->fetch(m, &args, on_row, out, &next), LMAIL_OK);
    return next;
}

START_TEST(rows_come_in_slices)
{
    WITH_STORE;
    rows r;
    kit_fill(&k, "INBOX", 10);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_uint_eq(fetch(m, 1, UINT32_MAX, 0x7ff, 4, &r), 5);
    ck_assert_uint_eq(r.n, 4);
    ck_assert_uint_eq(fetch(m, 5, UINT32_MAX, 0x7ff, 4, &r), 9);
    ck_assert_uint_eq(fetch(m, 9, UINT32_MAX, 0x7ff, 4, &r), 0);
    ck_assert_uint_eq(r.n, 2);
    ck_assert_uint_eq(r.last.uid, 10);
    ck_assert_str_eq(r.subject, "message 10");
    ck_assert_ptr_nonnull(strstr(r.envelope, "\"message 10\""));
    ck_assert_ptr_nonnull(strstr(r.envelope, "\"sender10\" \"example.org\""));
    ck_assert_int_eq(strncasecmp(r.structure, "(\"text\" \"plain\"", 15), 0);
    ck_assert_uint_eq(r.last.size, strlen(kit_body(&k, m, 10)));
    ck_assert_uint_gt(r.last.email_id.len, 8);
    ck_assert_uint_gt(strlen(r.uidl), 4);
    ck_assert_uint_le(strlen(r.uidl), 70);
    ck_assert(r.last.date > 1600000000);
    char uidl[80];
    strcpy(uidl, r.uidl);
    kit_store(&k, m, 10, 10, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN, NULL);
    k.store->tidy(k.account, 100);
    fetch(m, 10, 10, LMAIL_ROW_UIDL, 0, &r);
    ck_assert_str_eq(r.uidl, uidl);
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(flags_are_set_and_seen)
{
    WITH_STORE;
    kit_fill(&k, "INBOX", 5);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0), *n = kit_open(&k, "INBOX", 0);
    const lmail_snapshot *before = kit_snapshot(&k, n);
    lmail_modseq old = lmail_snapshot_facts(before)->highest_modseq;
    ck_assert_int_eq(
        kit_store(&k, m, 2, 4, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN | LMAIL_FLAG_FLAGGED, "$Work"),
        LMAIL_OK);
    ck_assert_str_eq(kit_flags(&k, n, 2), "SF $Work");
    ck_assert_str_eq(kit_flags(&k, n, 1), "");
    ck_assert_int_eq(kit_store(&k, m, 3, 3, LMAIL_STORE_REMOVE, LMAIL_FLAG_SEEN, "$work"),
                     LMAIL_OK);
    ck_assert_str_eq(kit_flags(&k, n, 3), "F");
    ck_assert_int_eq(kit_store(&k, m, 4, 4, LMAIL_STORE_REPLACE, LMAIL_FLAG_DRAFT, "other"),
                     LMAIL_OK);
    ck_assert_str_eq(kit_flags(&k, n, 4), "d other");
    ck_assert_int_eq(kit_store(&k, m, 4, 4, LMAIL_STORE_ADD, 0, "a b"), LMAIL_ERR_ARG);
    const lmail_snapshot *after = kit_snapshot(&k, n);
    const lmail_mailbox_facts *f = lmail_snapshot_facts(after);
    ck_assert(f->highest_modseq > old);
    ck_assert_uint_eq(f->unseen, 4);
    ck_assert_uint_eq(f->first_unseen, 1);
    ck_assert_uint_eq(f->keywords.count, 2);
    lmail_snapshot_changes c;
    ck_assert_int_eq(lmail_snapshot_diff(before, after, &c), LMAIL_OK);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&c.changed)), "2:4");
    ck_assert_uint_eq(c.added.count + c.vanished.count, 0);
    lmail_snapshot_changes_free(&c);
    lmail_uid_list since;
    ck_assert_int_eq(lmail_snapshot_changed_since(after, f->highest_modseq - 1, &since), LMAIL_OK);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&since)), "4");
    lmail_uid_list_free(&since);
    lmail_snapshot_unref(before);
    lmail_snapshot_unref(after);
    k.store->mailbox_close(m);
    k.store->mailbox_close(n);
    m = kit_open(&k, "INBOX", LMAIL_OPEN_READ_ONLY);
    ck_assert_int_eq(kit_store(&k, m, 1, 1, LMAIL_STORE_ADD, 1, NULL), LMAIL_ERR_DENIED);
    ck_assert_int_eq(kit_expunge(&k, m, 1, 1), LMAIL_ERR_DENIED);
    ck_assert_str_eq(kit_flags(&k, m, 2), "SF $Work");
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(conditional_store_reports_the_failed)
{
    WITH_STORE;
    kit_fill(&k, "INBOX", 3);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    const lmail_snapshot *s = kit_snapshot(&k, m);
    lmail_modseq since = lmail_snapshot_facts(s)->highest_modseq;
    lmail_snapshot_unref(s);
    kit_store(&k, m, 2, 2, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN, NULL);
    lmail_set_flags_args args = LMAIL_SET_FLAGS_ARGS_INIT;
    lmail_set_flags_result r;
    lmail_uid_range all = {1, UINT32_MAX};
    args.uids = (lmail_uid_set){&all, 1};
    args.flags = LMAIL_FLAG_DELETED;
    args.unchanged_since = since;
    ck_assert_int_eq(k.store->set_flags(m, &args, &r), LMAIL_OK);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&r.failed)), "2");
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&r.changed)), "1,3");
    ck_assert(r.modseq > since);
    lmail_uid_list_free(&r.failed);
    lmail_uid_list_free(&r.changed);
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(keywords_end_at_their_limit)
{
    WITH_STORE;
    kit_fill(&k, "INBOX", 1);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    char word[16];
    for (unsigned i = 0; i < LMAIL_MAX_KEYWORDS; i++) {
        snprintf(word, sizeof word, "k%u", i);
        ck_assert_int_eq(kit_store(&k, m, 1, 1, LMAIL_STORE_ADD, 0, word), LMAIL_OK);
    }
    ck_assert_int_eq(kit_store(&k, m, 1, 1, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN, "one_more"),
                     LMAIL_ERR_LIMIT);
    ck_assert_int_eq(kit_store(&k, m, 1, 1, LMAIL_STORE_REMOVE, 0, "unknown"), LMAIL_OK);
    const char *flags = kit_flags(&k, m, 1);
    ck_assert_int_eq(flags[0], ' ');
    ck_assert_ptr_nonnull(strstr(flags, " k55"));
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(uids_are_never_given_twice)
{
    WITH_STORE;
    lmail_uid uid;
    kit_fill(&k, "INBOX", 3);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_int_eq(kit_expunge(&k, m, 2, 3), LMAIL_OK);
    ck_assert_str_eq(kit_uids(&k, m), "1");
    ck_assert_str_eq(kit_body(&k, m, 3), "LMAIL_ERR_NOTFOUND");
    k.store->mailbox_close(m);
    if (k.backend != KIT_MEMORY)
        kit_restart(&k);
    ck_assert_int_eq(kit_deliver(&k, "INBOX", "a: b\n\n", 0, &uid), LMAIL_OK);
    ck_assert_uint_eq(uid, 4);
    m = kit_open(&k, "INBOX", 0);
    lmail_uid_list gone;
    ck_assert_int_eq(k.store->vanished_since(m, 1, &gone), LMAIL_OK);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&gone)), "2:3");
    lmail_uid_list_free(&gone);
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(expunge_takes_what_is_deleted)
{
    WITH_STORE;
    kit_fill(&k, "INBOX", 6);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    kit_store(&k, m, 2, 5, LMAIL_STORE_ADD, LMAIL_FLAG_DELETED, NULL);
    lmail_uid_range some = {1, 3};
    lmail_uid_set set = {&some, 1};
    lmail_uid_list gone;
    lmail_modseq modseq;
    const lmail_snapshot *before = kit_snapshot(&k, m);
    ck_assert_int_eq(k.store->expunge(m, &set, LMAIL_EXPUNGE_DELETED, &gone, &modseq), LMAIL_OK);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&gone)), "2:3");
    ck_assert(modseq > lmail_snapshot_facts(before)->highest_modseq);
    lmail_uid_list_free(&gone);
    ck_assert_int_eq(k.store->expunge(m, NULL, LMAIL_EXPUNGE_DELETED, &gone, NULL), LMAIL_OK);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&gone)), "4:5");
    lmail_uid_list_free(&gone);
    const lmail_snapshot *after = kit_snapshot(&k, m);
    lmail_snapshot_changes c;
    lmail_snapshot_diff(before, after, &c);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&c.vanished)), "2:5");
    lmail_snapshot_changes_free(&c);
    /* the old state is still whole for who has it */
    ck_assert_str_eq(kit_set(lmail_snapshot_uids(before)), "1:6");
    lmail_snapshot_unref(before);
    lmail_snapshot_unref(after);
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(recent_belongs_to_one_session)
{
    WITH_STORE;
    lmail_mailbox_view v;
    lmail_mailbox_status st;
    kit_fill(&k, "INBOX", 2);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", LMAIL_OPEN_READ_ONLY);
    k.store->refresh(m, 0, &v);
    lmail_snapshot_unref(v.snapshot);
    ck_assert_uint_eq(v.recent_first, 1);
    ck_assert_uint_eq(v.recent_last, 2);
    k.store->mailbox_close(m);
    k.store->status(k.account, LMAIL_STR("INBOX"), 0, &st);
    ck_assert_uint_eq(st.recent, 2);
    m = kit_open(&k, "INBOX", 0);
    lmail_store_mailbox *n = kit_open(&k, "INBOX", 0);
    k.store->refresh(m, 0, &v);
    lmail_snapshot_unref(v.snapshot);
    ck_assert_uint_eq(v.recent_first, 1);
    k.store->refresh(n, 0, &v);
    lmail_snapshot_unref(v.snapshot);
    ck_assert_uint_eq(v.recent_first, 0);
    kit_deliver(&k, "INBOX", "a: b\n\n", 0, NULL);
    k.store->refresh(n, 0, &v);
    lmail_snapshot_unref(v.snapshot);
    ck_assert_uint_eq(v.recent_first, 3);
    k.store->refresh(m, 0, &v);
    lmail_snapshot_unref(v.snapshot);
    ck_assert_uint_eq(v.recent_first, 0);
    k.store->mailbox_close(m);
    k.store->mailbox_close(n);
    kit_stop(&k);
}
END_TEST

START_TEST(names_are_made_renamed_and_removed)
{
    WITH_STORE;
    const lmail_store *s = k.store;
    ck_assert_str_eq(kit_list(&k), "INBOX\n");
    ck_assert_int_eq(s->create(k.account, LMAIL_STR("a/b/c"), LMAIL_USE_SENT), LMAIL_OK);
    ck_assert_int_eq(s->create(k.account, LMAIL_STR("a/b/c"), 0), LMAIL_ERR_EXISTS);
    ck_assert_int_eq(s->create(k.account, LMAIL_STR("iNbOx"), 0), LMAIL_ERR_EXISTS);
    ck_assert_int_eq(s->create(k.account, LMAIL_STR("a-b"), 0), LMAIL_OK);
    ck_assert_int_eq(s->create(k.account, LMAIL_STR("inbox/x"), 0), LMAIL_OK);
    ck_assert_int_eq(s->subscribe(k.account, LMAIL_STR("a/b/c"), 1), LMAIL_OK);
    ck_assert_int_eq(s->subscribe(k.account, LMAIL_STR("later"), 1), LMAIL_OK);
    ck_assert_str_eq(kit_list(&k), "INBOX +children\n"
                                   "INBOX/x\n"
                                   "a *no +children\n"
                                   "a/b *no +children\n"
                                   "a/b/c subscribed \\Sent\n"
                                   "a-b\n"
                                   "later *no subscribed\n");
    lmail_mailbox_status st, moved;
    kit_fill(&k, "a/b/c", 2);
    ck_assert_int_eq(s->status(k.account, LMAIL_STR("a/b/c"), 1, &st), LMAIL_OK);
    ck_assert_uint_eq(st.messages, 2);
    ck_assert_uint_eq(st.unseen, 2);
    ck_assert_uint_gt(st.octets, 100);
    ck_assert_uint_eq(st.uidnext, 3);
    ck_assert_int_eq(s->rename(k.account, LMAIL_STR("a"), LMAIL_STR("z")), LMAIL_OK);
    ck_assert_int_eq(s->status(k.account, LMAIL_STR("z/b/c"), 1, &moved), LMAIL_OK);
    ck_assert_uint_eq(moved.uidvalidity, st.uidvalidity);
    ck_assert_uint_eq(moved.octets, st.octets);
    ck_assert_int_eq(memcmp(moved.mailbox_id, st.mailbox_id, st.mailbox_id_len), 0);
    ck_assert_int_eq(s->rename(k.account, LMAIL_STR("z"), LMAIL_STR("z/y")), LMAIL_ERR_ARG);
    ck_assert_int_eq(s->rename(k.account, LMAIL_STR("none"), LMAIL_STR("y")), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(s->rename(k.account, LMAIL_STR("z"), LMAIL_STR("a-b")), LMAIL_ERR_EXISTS);
    ck_assert_int_eq(s->subscribe(k.account, LMAIL_STR("later"), 0), LMAIL_OK);
    ck_assert_int_eq(s->remove(k.account, LMAIL_STR("z/b/c")), LMAIL_OK);
    ck_assert_int_eq(s->remove(k.account, LMAIL_STR("z/b/c")), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(s->remove(k.account, LMAIL_STR("INBOX")), LMAIL_ERR_DENIED);
    ck_assert_str_eq(kit_list(&k), "INBOX +children\nINBOX/x\na/b/c *no subscribed\na-b\n");
    ck_assert_int_eq(s->create(k.account, LMAIL_STR("z/b/c"), 0), LMAIL_OK);
    ck_assert_int_eq(s->status(k.account, LMAIL_STR("z/b/c"), 0, &moved), LMAIL_OK);
    ck_assert_uint_gt(moved.uidvalidity, st.uidvalidity);
    ck_assert_uint_eq(moved.messages, 0);
    kit_stop(&k);
}
END_TEST

START_TEST(renaming_inbox_moves_its_messages)
{
    WITH_STORE;
    kit_fill(&k, "INBOX", 3);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    kit_store(&k, m, 2, 2, LMAIL_STORE_ADD, LMAIL_FLAG_FLAGGED, "word");
    k.store->mailbox_close(m);
    ck_assert_int_eq(k.store->create(k.account, LMAIL_STR("INBOX/child"), 0), LMAIL_OK);
    ck_assert_int_eq(k.store->rename(k.account, LMAIL_STR("INBOX"), LMAIL_STR("old")), LMAIL_OK);
    ck_assert_str_eq(kit_list(&k), "INBOX +children\nINBOX/child\nold\n");
    m = kit_open(&k, "old", 0);
    ck_assert_str_eq(kit_uids(&k, m), "1:3");
    ck_assert_str_eq(kit_flags(&k, m, 2), "F word");
    ck_assert_ptr_nonnull(strstr(kit_body(&k, m, 3), "number 3"));
    k.store->mailbox_close(m);
    m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_uids(&k, m), "");
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(a_removed_mailbox_is_stale)
{
    WITH_STORE;
    lmail_mailbox_view v;
    k.store->create(k.account, LMAIL_STR("x"), 0);
    kit_fill(&k, "x", 1);
    lmail_store_mailbox *m = kit_open(&k, "x", 0);
    ck_assert_int_eq(k.store->remove(k.account, LMAIL_STR("x")), LMAIL_OK);
    ck_assert_int_eq(k.store->refresh(m, 0, &v), LMAIL_ERR_STALE);
    ck_assert_int_eq(kit_store(&k, m, 1, 1, LMAIL_STORE_ADD, 1, NULL), LMAIL_ERR_STALE);
    k.store->create(k.account, LMAIL_STR("x"), 0);
    ck_assert_int_eq(k.store->refresh(m, 0, &v), LMAIL_ERR_STALE);
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

static const struct {
    const char *name;
    size_t len;
    lmail_status create;
} hostile[] = {
    {"", 0, LMAIL_ERR_ARG},
    {"/", 1, LMAIL_ERR_ARG},
    {"/a", 2, LMAIL_ERR_ARG},
    {"a/", 2, LMAIL_ERR_ARG},
    {"a//b", 4, LMAIL_ERR_ARG},
    {"a\0b", 3, LMAIL_ERR_ARG},
    {"a\nb", 3, LMAIL_ERR_ARG},
    {"a\x7f", 2, LMAIL_ERR_ARG},
    {"\xc2\x80", 2, LMAIL_ERR_ARG},
    {"\xff", 1, LMAIL_ERR_ARG},
    {"\xc0\xaf", 2, LMAIL_ERR_ARG},     /* an overlong '/' */
    {"\xed\xa0\x80", 3, LMAIL_ERR_ARG}, /* a surrogate */
    {"..", 2, LMAIL_OK},
    {".", 1, LMAIL_OK},
    {"../../etc", 9, LMAIL_OK},
    {"a/../b", 6, LMAIL_OK},
    {"cur", 3, LMAIL_OK},
    {"tmp/new", 7, LMAIL_OK},
    {"~root", 5, LMAIL_OK},
    {"a\\2eb", 5, LMAIL_OK},
    {"a.b", 3, LMAIL_OK},
    {"&", 1, LMAIL_OK},
    {"&AOk-", 5, LMAIL_OK},
    {"\xc3\xa9t\xc3\xa9/\xe5\x8f\xb0", 9, LMAIL_OK},
    {" lead and trail ", 16, LMAIL_OK},
    {"%*\"(){}", 7, LMAIL_OK},
};

START_TEST(hostile_names_stay_inside)
{
    WITH_STORE;
    size_t made = 1;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        lmail_str name = {hostile[i].name, hostile[i].len};
        ck_assert_msg(k.store->create(k.account, name, 0) == hostile[i].create, "case %zu", i);
        if (hostile[i].create)
            continue;
        made++;
        ck_assert_int_eq(kit_deliver(&k, hostile[i].name, "a: b\n\n", 0, NULL), LMAIL_OK);
        lmail_mailbox_status st;
        ck_assert_int_eq(k.store->status(k.account, name, 0, &st), LMAIL_OK);
        ck_assert_msg(st.messages == 1, "case %zu", i);
    }
    size_t listed = 0;
    for (const char *p = kit_list(&k); *p; p++)
        listed += *p == '\n';
    ck_assert_uint_ge(listed, made);
    if (k.backend == KIT_MAILDIR) {
        char up[600];
        snprintf(up, sizeof up, "%s/mail", k.dir);
        ck_assert_int_eq(kit_count(up), 1);
        ck_assert_int_eq(kit_count(k.dir), 1);
    }
    char longest[1100];
    memset(longest, 'x', sizeof longest);
    lmail_str name = {longest, 1025};
    ck_assert_int_eq(k.store->create(k.account, name, 0), LMAIL_ERR_LIMIT);
    if (k.backend == KIT_MAILDIR) {
        name.len = 255;
        ck_assert_int_eq(k.store->create(k.account, name, 0), LMAIL_ERR_LIMIT);
        name.len = 254;
        ck_assert_int_eq(k.store->create(k.account, name, 0), LMAIL_OK);
    }
    kit_stop(&k);
}
END_TEST

START_TEST(copies_keep_what_belongs_to_a_message)
{
    WITH_STORE;
    const lmail_store *s = k.store;
    kit_fill(&k, "INBOX", 5);
    s->create(k.account, LMAIL_STR("to"), 0);
    kit_fill(&k, "to", 2);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0), *n;
    kit_store(&k, m, 2, 3, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN, "$Label");
    kit_expunge(&k, m, 4, 4);
    lmail_uid_range range = {2, 5};
    lmail_uid_set set = {&range, 1};
    lmail_copy_result r;
    rows from, to;
    fetch(m, 3, 3, 0x7ff, 0, &from);
    ck_assert_int_eq(s->copy(m, set, k.account, LMAIL_STR("none"), &r), LMAIL_ERR_NOTFOUND);
    lmail_copy_result_free(&r);
    ck_assert_int_eq(s->copy(m, set, k.account, LMAIL_STR("to"), &r), LMAIL_OK);
    ck_assert_uint_eq(r.count, 3);
    ck_assert_uint_eq(r.pairs[0].from, 2);
    ck_assert_uint_eq(r.pairs[0].to, 3);
    ck_assert_uint_eq(r.pairs[2].from, 5);
    ck_assert_uint_eq(r.pairs[2].to, 5);
    n = kit_open(&k, "to", 0);
    const lmail_snapshot *snap = kit_snapshot(&k, n);
    ck_assert_uint_eq(r.uidvalidity, lmail_snapshot_facts(snap)->uidvalidity);
    lmail_snapshot_unref(snap);
    lmail_copy_result_free(&r);
    ck_assert_str_eq(kit_flags(&k, n, 4), "S $Label");
    ck_assert_ptr_nonnull(strstr(kit_body(&k, n, 4), "number 3"));
    fetch(n, 4, 4, 0x7ff, 0, &to);
    ck_assert_str_eq(to.envelope, from.envelope);
    ck_assert_int_eq(to.last.date, from.last.date);
    ck_assert_uint_eq(to.last.size, from.last.size);
    ck_assert_int_eq(strcmp(to.uidl, from.uidl) != 0, 1);
    /* and out of it again, into itself, and to another account */
    ck_assert_int_eq(s->move(n, set, k.account, LMAIL_STR("INBOX"), &r), LMAIL_OK);
    ck_assert_uint_eq(r.count, 4);
    ck_assert_str_eq(kit_set(lmail_uid_list_set(&r.vanished)), "2:5");
    lmail_copy_result_free(&r);
    ck_assert_str_eq(kit_uids(&k, n), "1");
    ck_assert_str_eq(kit_uids(&k, m), "1:3,5:9");
    range = (lmail_uid_range){1, 1};
    ck_assert_int_eq(s->move(n, set, k.account, LMAIL_STR("to"), &r), LMAIL_OK);
    lmail_copy_result_free(&r);
    const char *after = kit_uids(&k, n);
    ck_assert_str_eq(after, "6");
    lmail_store_account *bob = kit_account(&k, "bob");
    range = (lmail_uid_range){1, 100};
    ck_assert_int_eq(s->move(m, set, bob, LMAIL_STR("INBOX"), &r), LMAIL_OK);
    ck_assert_uint_eq(r.count, 8);
    lmail_copy_result_free(&r);
    ck_assert_str_eq(kit_uids(&k, m), "");
    lmail_store_mailbox *b;
    ck_assert_int_eq(s->mailbox_open(bob, LMAIL_STR("INBOX"), 0, &b), LMAIL_OK);
    ck_assert_str_eq(kit_flags(&k, b, 3), "S $Label");
    ck_assert_ptr_nonnull(strstr(kit_body(&k, b, 3), "number 3"));
    fetch(b, 3, 3, 0x7ff, 0, &to);
    ck_assert_str_eq(to.envelope, from.envelope);
    s->mailbox_close(b);
    s->mailbox_close(m);
    s->mailbox_close(n);
    s->account_close(bob);
    kit_stop(&k);
}
END_TEST

START_TEST(one_spool_file_reaches_many_mailboxes)
{
    WITH_STORE;
    const lmail_store *s = k.store;
    lmail_store_account *a[5];
    lmail_delivery_target t[7] = {0};
    char name[8];
    s->create(k.account, LMAIL_STR("folder"), 0);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "u%u", i);
        a[i] = kit_account(&k, name);
        t[i] = (lmail_delivery_target){.account = a[i], .mailbox = LMAIL_STR("INBOX")};
    }
    t[3].mailbox = LMAIL_STR("made");
    t[3].create = 1;
    t[4].mailbox = LMAIL_STR("missing");
    lmail_str word = LMAIL_STR("$Junk");
    t[5] = (lmail_delivery_target){.account = k.account,
                                   .mailbox = LMAIL_STR("folder"),
                                   .flags = LMAIL_FLAG_SEEN,
                                   .keywords = &word,
                                   .keyword_count = 1};
    t[6] = t[0];
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery *d;
    args.account = a[0];
    s->delivery_begin(s->ctx, &args, &d);
    s->delivery_message(d, &message);
    s->delivery_write(d, LMAIL_STR("Subject: to all\r\n\r\nx\r\n"));
    s->delivery_end(d, NULL);
    ck_assert_int_eq(s->delivery_commit(d, t, 7), LMAIL_ERR_NOTFOUND);
    for (unsigned i = 0; i < 7; i++) {
        ck_assert_msg(t[i].status == (i == 4 ? LMAIL_ERR_NOTFOUND : LMAIL_OK), "target %u: %s", i,
                      lmail_status_name(t[i].status));
        ck_assert_uint_eq(t[i].uid, i == 4 ? 0 : i == 6 ? 2 : 1);
    }
    lmail_store_mailbox *m = kit_open(&k, "folder", 0);
    ck_assert_str_eq(kit_flags(&k, m, 1), "S $Junk");
    ck_assert_str_eq(kit_body(&k, m, 1), "Subject: to all\r\n\r\nx\r\n");
    ck_assert_int_eq(s->delivery_undo(d, t, 7), LMAIL_OK);
    ck_assert_str_eq(kit_uids(&k, m), "");
    s->mailbox_close(m);
    s->delivery_free(d);
    lmail_mailbox_status st;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(s->status(a[i], LMAIL_STR("INBOX"), 0, &st), LMAIL_OK);
        ck_assert_uint_eq(st.messages, 0);
        ck_assert_uint_ge(st.uidnext, 2);
    }
    for (unsigned i = 0; i < 5; i++)
        s->account_close(a[i]);
    kit_stop(&k);
}
END_TEST

START_TEST(a_batch_is_all_or_nothing)
{
    WITH_STORE;
    const lmail_store *s = k.store;
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery *d;
    lmail_mailbox_status st;
    args.account = k.account;
    args.atomic = 1;
    s->delivery_begin(s->ctx, &args, &d);
    for (unsigned i = 0; i < 3; i++) {
        s->delivery_message(d, &message);
        s->delivery_write(d, LMAIL_STR("A: b\r\n\r\nx\r\n"));
        s->delivery_end(d, NULL);
    }
    lmail_delivery_target t[3] = {
        {.message = 0, .account = k.account, .mailbox = LMAIL_STR("INBOX")},
        {.message = 1, .account = k.account, .mailbox = LMAIL_STR("INBOX")},
        {.message = 2, .account = k.account, .mailbox = LMAIL_STR("none")}};
    ck_assert_int_eq(s->delivery_commit(d, t, 3), LMAIL_ERR_NOTFOUND);
    s->status(k.account, LMAIL_STR("INBOX"), 0, &st);
    ck_assert_uint_eq(st.messages, 0);
    t[2].mailbox = LMAIL_STR("INBOX");
    ck_assert_int_eq(s->delivery_commit(d, t, 3), LMAIL_OK);
    s->status(k.account, LMAIL_STR("INBOX"), 0, &st);
    ck_assert_uint_eq(st.messages, 3);
    ck_assert_uint_eq(t[2].uid, t[1].uid + 1);
    ck_assert_uint_eq(t[1].uidvalidity, st.uidvalidity);
    s->delivery_free(d);
    kit_stop(&k);
}
END_TEST

START_TEST(searches_find_what_matches)
{
    WITH_STORE;
    kit_fill(&k, "INBOX", 12);
    kit_deliver(&k, "INBOX",
                "From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\nSubject: Special OFFER\n"
                "Date: Tue, 1 Mar 2022 23:30:00 -1100\n\nneedle in a body\n",
                LMAIL_FLAG_SEEN, NULL);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    kit_store(&k, m, 3, 4, LMAIL_STORE_ADD, LMAIL_FLAG_FLAGGED, "Work");
    lmail_search all = {.op = LMAIL_SEARCH_ALL};
    ck_assert_str_eq(kit_search(&k, m, &all), "1:13");
    lmail_search seen = {.op = LMAIL_SEARCH_FLAG, .flags = LMAIL_FLAG_SEEN};
    ck_assert_str_eq(kit_search(&k, m, &seen), "13");
    lmail_search unseen = {.op = LMAIL_SEARCH_NOT, .child = &seen};
    ck_assert_str_eq(kit_search(&k, m, &unseen), "1:12");
    lmail_search word = {.op = LMAIL_SEARCH_KEYWORD, .text = LMAIL_STR("work")};
    ck_assert_str_eq(kit_search(&k, m, &word), "3:4");
    lmail_search subject = {.op = LMAIL_SEARCH_HEADER,
                            .field = LMAIL_STR("SUBJECT"),
                            .text = LMAIL_STR("special offer")};
    ck_assert_str_eq(kit_search(&k, m, &subject), "13");
    subject.text = LMAIL_STR("message 1");
    ck_assert_str_eq(kit_search(&k, m, &subject), "1,10:12");
    lmail_search from = {
        .op = LMAIL_SEARCH_HEADER, .field = LMAIL_STR("From"), .text = LMAIL_STR("J\xc3\xb6rg")};
    ck_assert_str_eq(kit_search(&k, m, &from), "13");
    from.text = LMAIL_STR("<J@example"); /* an ASCII pattern in a field that has other letters */
    ck_assert_str_eq(kit_search(&k, m, &from), "13");
    lmail_search body = {.op = LMAIL_SEARCH_BODY, .text = LMAIL_STR("NEEDLE")};
    ck_assert_str_eq(kit_search(&k, m, &body), "13");
    lmail_search text = {.op = LMAIL_SEARCH_TEXT, .text = LMAIL_STR("sender7@"), .next = &body};
    lmail_search either = {.op = LMAIL_SEARCH_OR, .child = &text};
    ck_assert_str_eq(kit_search(&k, m, &either), "7,13");
    /* RFC 9051 §6.4.4: the day as written, disregarding time and zone */
    lmail_search sent = {.op = LMAIL_SEARCH_SENTON, .day = 19052};
    ck_assert_str_eq(kit_search(&k, m, &sent), "13");
    lmail_search since = {.op = LMAIL_SEARCH_SINCE, .day = 19052};
    ck_assert_str_eq(kit_search(&k, m, &since), "1:13");
    lmail_search larger = {.op = LMAIL_SEARCH_LARGER, .number = 100000};
    ck_assert_str_eq(kit_search(&k, m, &larger), "");
    lmail_uid_range some = {2, 5};
    lmail_search uids = {.op = LMAIL_SEARCH_UIDS, .set = {&some, 1}, .next = &word};
    lmail_search both = {.op = LMAIL_SEARCH_AND, .child = &uids};
    ck_assert_str_eq(kit_search(&k, m, &both), "3:4");
    lmail_search header = {
        .op = LMAIL_SEARCH_HEADER, .field = LMAIL_STR("Date"), .text = LMAIL_STR("-1100")};
    ck_assert_str_eq(kit_search(&k, m, &header), "13");
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

START_TEST(ten_thousand_messages)
{
    WITH_STORE;
    const lmail_store *s = k.store;
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery_target *t = calloc(10000, sizeof *t);
    lmail_delivery *d;
    args.account = k.account;
    s->delivery_begin(s->ctx, &args, &d);
    s->delivery_message(d, &message);
    s->delivery_write(d, LMAIL_STR("Subject: one of many\r\n\r\nx\r\n"));
    s->delivery_end(d, NULL);
    for (unsigned i = 0; i < 10000; i++)
        t[i] = (lmail_delivery_target){.account = k.account, .mailbox = LMAIL_STR("INBOX")};
    ck_assert_int_eq(s->delivery_commit(d, t, 10000), LMAIL_OK);
    s->delivery_free(d);
    free(t);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    ck_assert_str_eq(kit_uids(&k, m), "1:10000");
    ck_assert_int_eq(kit_store(&k, m, 1, 10000, LMAIL_STORE_ADD, LMAIL_FLAG_SEEN, NULL), LMAIL_OK);
    ck_assert_int_eq(kit_expunge(&k, m, 3001, 4000), LMAIL_OK);
    for (lmail_uid uid = 5000; uid <= 6000; uid += 2)
        ck_assert_int_eq(kit_expunge(&k, m, uid, uid), LMAIL_OK);
    const lmail_snapshot *snap = kit_snapshot(&k, m);
    ck_assert_uint_eq(lmail_snapshot_facts(snap)->messages, 10000 - 1000 - 501);
    ck_assert_uint_eq(lmail_snapshot_facts(snap)->unseen, 0);
    size_t leaf, row, total = 0;
    lmail_snapshot_rows rs;
    for (leaf = 0; !lmail_snapshot_leaf(snap, leaf, &rs); leaf++) {
        ck_assert_uint_eq(rs.first, total);
        total += rs.count;
    }
    ck_assert_uint_eq(total, lmail_snapshot_facts(snap)->messages);
    ck_assert_int_eq(lmail_snapshot_seek(snap, 3500, &leaf, &row), LMAIL_OK);
    lmail_snapshot_leaf(snap, leaf, &rs);
    ck_assert_uint_eq(rs.uids[row], 4001);
    ck_assert_int_eq(lmail_snapshot_get(snap, 5002, NULL, NULL), LMAIL_ERR_NOTFOUND);
    lmail_snapshot_unref(snap);
    rows r;
    fetch(m, 1, UINT32_MAX, LMAIL_ROW_ENVELOPE | LMAIL_ROW_SIZE, 0, &r);
    ck_assert_uint_eq(r.n, 10000 - 1000 - 501);
    s->mailbox_close(m);
    if (k.backend == KIT_MAILDIR) {
        kit_restart(&k);
        m = kit_open(&k, "INBOX", 0);
        ck_assert_ptr_nonnull(strstr(kit_uids(&k, m), "1:3000,4001:4999,5001,5003"));
        ck_assert_str_eq(kit_flags(&k, m, 10000), "S");
        k.store->mailbox_close(m);
        ck_assert_int_eq(kit_count(kit_path(&k, "new")), 0);
    }
    kit_stop(&k);
}
END_TEST

Suite *store_interface_suite(void)
{
    Suite *s = suite_create("store_interface");
    TCase *c = tcase_create("both");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, delivered_octets_come_back, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, an_account_holds_so_much, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, pieces_of_any_size_stay_in_order, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, exact_messages_keep_bare_line_feeds, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, rows_come_in_slices, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, flags_are_set_and_seen, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, conditional_store_reports_the_failed, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, keywords_end_at_their_limit, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, uids_are_never_given_twice, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, expunge_takes_what_is_deleted, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, recent_belongs_to_one_session, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, names_are_made_renamed_and_removed, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, renaming_inbox_moves_its_messages, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, a_removed_mailbox_is_stale, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, hostile_names_stay_inside, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, copies_keep_what_belongs_to_a_message, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, one_spool_file_reaches_many_mailboxes, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, a_batch_is_all_or_nothing, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, searches_find_what_matches, 0, KIT_BACKENDS);
    tcase_add_loop_test(c, ten_thousand_messages, 0, KIT_BACKENDS);
    suite_add_tcase(s, c);
    return s;
}
