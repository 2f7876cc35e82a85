/* What of a message goes into the queue: all of it is taken or nothing, whatever fails. Against
 * both stores: the Maildir one links its spool file, the one in memory is copied from. */
#include "host/service/service_mail.h"

#include "host_service.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMORY, MAILDIR, STORES };

static lmail_store *store;
static lmail_store table;
static lmail_service service;
static lmi_mail *mail;

static void open_queue(uint64_t reserve)
{
    char path[200], error[200];
    lmail_queue_config c = LMAIL_QUEUE_CONFIG_INIT;
    snprintf(path, sizeof path, "%s/queue", folder());
    c.directory = path;
    c.keeper = 1;
    c.reserve = reserve;
    lmail_status st = lmail_queue_open(&service.queue, &c, error, sizeof error);
    ck_assert_msg(st == LMAIL_OK, "%s", error);
}

static void start(int kind)
{
    char mail_path[200], spool[200];
    memset(&service, 0, sizeof service);
    if (kind == MEMORY) {
        ck_assert_int_eq(lmail_store_memory_new(NULL, &store), LMAIL_OK);
    } else {
        lmail_store_maildir_config c = LMAIL_STORE_MAILDIR_CONFIG_INIT;
        snprintf(mail_path, sizeof mail_path, "%s/mail", folder());
        snprintf(spool, sizeof spool, "%s/spool", folder());
        mkdir(mail_path, 0700);
        mkdir(spool, 0700);
        c.root = mail_path;
        c.spool_dir = spool;
        ck_assert_int_eq(lmail_store_maildir_new(&c, &store), LMAIL_OK);
    }
    table = *store;
    service.store = &table;
    open_queue(0);
}

static void teardown(void)
{
    lmi_mail_free(mail);
    mail = NULL;
    lmail_queue_free(service.queue);
    store->close(store);
    remove_folder();
}

/* ---- Helpers --------------------------------------------------------------------------------- */

static uint32_t messages_of(const char *account)
{
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    lmail_store_account *a;
    lmail_mailbox_status st;
    args.name = lmail_str_from(account);
    ck_assert_int_eq(store->account_open(store->ctx, &args, &a), LMAIL_OK);
    ck_assert_int_eq(store->status(a, LMAIL_STR("INBOX"), 0, &st), LMAIL_OK);
    store->account_close(a);
    return st.messages;
}

static int copy_message(void *user, const lmail_queue_message *m)
{
    char *to = user;
    to +=
        sprintf(to, "<%.*s> flags=%u ret=%u", (int)m->sender.len, m->sender.ptr, m->flags, m->ret);
    if (m->has_envid)
        to += sprintf(to, " envid=%.*s", (int)m->envid.len, m->envid.ptr);
    if (m->has_auth)
        to += sprintf(to, " auth=%.*s", (int)m->auth.len, m->auth.ptr);
    if (m->submitter.len)
        to += sprintf(to, " by=%.*s", (int)m->submitter.len, m->submitter.ptr);
    if (m->held)
        to += sprintf(to, " held=%d:%.*s", (int)m->held, (int)m->reason.len, m->reason.ptr);
    if (m->pending)
        to += sprintf(to, " pending");
    for (size_t i = 0; i < m->recipient_count; i++) {
        const lmail_queue_recipient *r = &m->recipients[i];
        to += sprintf(to, "; %.*s [%.*s] %.*s n=%u", (int)r->address.len, r->address.ptr,
                      (int)r->route.len, r->route.ptr, (int)r->destination.len, r->destination.ptr,
                      r->notify);
        if (r->has_orcpt)
            to += sprintf(to, " o=%.*s", (int)r->orcpt.len, r->orcpt.ptr);
    }
    return 0;
}

/* The message in the queue as a line; "-" when it is not there. */
static const char *row(void)
{
    static char text[2048];
    strcpy(text, "-");
    lmail_status st = lmail_queue_get(service.queue, mail->number, copy_message, text);
    ck_assert_msg(st == LMAIL_OK || st == LMAIL_ERR_NOTFOUND, "%d", (int)st);
    return text;
}

static int has_data(void)
{
    char path[LMAIL_QUEUE_PATH];
    lmail_queue_path(service.queue, mail->number, path);
    return access(path, F_OK) == 0;
}

static void begin(unsigned atomic)
{
    lmi_mail_trace t = {LMAIL_STR("c.test"),
                        LMAIL_STR("192.0.2.1"),
                        LMAIL_STR("mx.test"),
                        LMAIL_STR("ESMTP"),
                        NULL,
                        1700000000,
                        0,
                        0,
                        0,
                        {NULL, 0},
                        {NULL, 0}};
    mail = lmi_mail_new(&service, LMAIL_STR("a@b.test"));
    ck_assert_ptr_nonnull(mail);
    mail->atomic = atomic;
    ck_assert_int_eq(lmi_mail_begin(mail, &t), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_keep(mail, LMAIL_STR("Subject: x\r\n\r\nhello\r\n")), LMAIL_OK);
}

static void here(const char *account)
{
    char address[64];
    snprintf(address, sizeof address, "%s@example.test", account);
    ck_assert_int_eq(lmi_mail_add_recipient(mail, lmail_str_from(account), lmail_str_from(address)),
                     LMAIL_OK);
}

static void away(const char *address, const char *route)
{
    ck_assert_int_eq(lmi_mail_add_remote(mail, lmail_str_from(address), lmail_str_from(route)),
                     LMAIL_OK);
}

static void all_are(lmail_status st)
{
    for (size_t i = 0; i < mail->count; i++)
        ck_assert_int_eq(mail->recipients[i].status, st);
}

static void nothing_is_left(const char *account)
{
    ck_assert_str_eq(row(), "-");
    ck_assert(!has_data());
    ck_assert_uint_eq(messages_of(account), 0);
}

/* ---- What is taken --------------------------------------------------------------------------- */

START_TEST(test_a_recipient_elsewhere_is_a_row)
{
    start(_i);
    lmail_smtp_mail_event m = {.smtputf8 = 1,
                               .ret = LMAIL_SMTP_RET_HDRS,
                               .has_envid = 1,
                               .envid = LMAIL_STR("e 1"),
                               .has_auth = 1};
    lmail_smtp_rcpt_event r = {.notify = LMAIL_SMTP_NOTIFY_SUCCESS,
                               .has_orcpt = 1,
                               .orcpt_type = LMAIL_STR("rfc822"),
                               .orcpt = LMAIL_STR("o@x;y")};
    begin(1);
    ck_assert_int_eq(lmi_mail_set_envelope(mail, &m), LMAIL_OK);
    away("x@Far.Test", "");
    ck_assert_int_eq(lmi_mail_set_notify(mail, &r), LMAIL_OK);
    away("y@far.test", "smtp:[Hub.test]");
    ck_assert_int_eq(lmi_mail_set_origin(mail, LMAIL_STR("ana"), LMAIL_STR("192.0.2.1"),
                                         LMAIL_STR("192.0.2.9"), LMAIL_QUEUE_SAME_ADDRESS),
                     LMAIL_OK);
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    all_are(LMAIL_OK);
    ck_assert_uint_eq(mail->recipients[1].queued, 1);
    ck_assert_str_eq(row(), "<a@b.test> flags=3 ret=2 envid=e 1 auth= by=ana"
                            "; x@Far.Test [] far.test n=2 o=rfc822;o@x;y"
                            "; y@far.test [smtp:[Hub.test]] [hub.test] n=0");
    char octets[1024];
    size_t got;
    ck_assert_int_eq(
        lmail_queue_read(service.queue, mail->number, mail->header, octets, sizeof octets, &got),
        LMAIL_OK);
    ck_assert_int_eq(strncmp(octets, "Received: from c.test", 21), 0);
    ck_assert_uint_eq(got + mail->header, mail->size);
    ck_assert_int_eq(memcmp(octets + got - 11, "\r\n\r\nhello\r\n", 11), 0);
    ck_assert_ptr_null(mail->delivery);
}
END_TEST

/* SEED_SPEC 2.4, RFC 4954 §5. */
START_TEST(test_auth_is_believed_of_who_logged_in_as_that)
{
    static const struct row {
        const char *auth, *submitter, *kept; /* NULL: not there */
    } rows[] = {{"ana", "ana", "ana"}, {"bob", "ana", ""}, {"ana@example.test", "ana", ""},
                {"", "ana", ""},       {"ana", "", ""},    {NULL, "ana", NULL}};
    start(_i);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_smtp_mail_event m = {.has_auth = rows[i].auth != NULL,
                                   .auth = lmail_str_from(rows[i].auth ? rows[i].auth : "")};
        begin(1);
        ck_assert_int_eq(lmi_mail_set_envelope(mail, &m), LMAIL_OK);
        ck_assert_int_eq(lmi_mail_set_origin(mail, lmail_str_from(rows[i].submitter),
                                             LMAIL_STR("192.0.2.1"), LMAIL_STR("192.0.2.9"), 0),
                         LMAIL_OK);
        ck_assert_uint_eq(mail->has_auth, rows[i].kept != NULL);
        ck_assert(lmail_str_equal(mail->auth, lmail_str_from(rows[i].kept ? rows[i].kept : "")));
        lmi_mail_free(mail);
    }
    mail = NULL;
}
END_TEST

START_TEST(test_both_kinds_get_it)
{
    start(_i);
    begin(1);
    here("ana");
    away("x@far.test", "");
    here("bob");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    all_are(LMAIL_OK);
    ck_assert_uint_eq(mail->recipients[0].queued, 0);
    ck_assert_uint_eq(mail->recipients[0].uid, 1);
    ck_assert_uint_eq(mail->recipients[1].queued, 1);
    ck_assert_str_eq(row(), "<a@b.test> flags=0 ret=0; x@far.test [] far.test n=0");
    ck_assert(has_data());
    ck_assert_uint_eq(messages_of("ana"), 1);
    ck_assert_uint_eq(messages_of("bob"), 1);
}
END_TEST

START_TEST(test_quarantine_holds_it_for_all)
{
    start(_i);
    begin(1);
    here("ana");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_hold(mail, LMAIL_STR("looks bad")), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_hold(mail, LMAIL_STR("second reason")), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    all_are(LMAIL_OK);
    ck_assert_str_eq(row(), "<a@b.test> flags=0 ret=0 held=2:looks bad"
                            "; ana@example.test [local:ana] local n=0; x@far.test [] far.test n=0");
    ck_assert_uint_eq(messages_of("ana"), 0);
}
END_TEST

START_TEST(test_discard_leaves_nothing)
{
    start(_i);
    begin(1);
    here("ana");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_hold(mail, LMAIL_STR("looks bad")), LMAIL_OK);
    lmi_mail_discard(mail);
    ck_assert_int_eq(lmi_mail_keep(mail, LMAIL_STR("more")), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    all_are(LMAIL_OK);
    nothing_is_left("ana");
}
END_TEST

/* ---- What fails ------------------------------------------------------------------------------ */

static lmail_status refuse_bob(void *ctx, const lmail_store_account_args *args,
                               lmail_store_account **out)
{
    if (lmail_str_equal(args->name, LMAIL_STR("bob")))
        return LMAIL_ERR_BUSY;
    return store->account_open(ctx, args, out);
}

START_TEST(test_a_mailbox_that_fails_waits_in_the_queue)
{
    start(_i);
    table.account_open = refuse_bob;
    begin(1);
    here("ana");
    here("bob");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    all_are(LMAIL_OK);
    ck_assert_uint_eq(mail->recipients[0].queued, 0);
    ck_assert_uint_eq(mail->recipients[1].queued, 1);
    ck_assert_str_eq(row(), "<a@b.test> flags=0 ret=0; x@far.test [] far.test n=0"
                            "; bob@example.test [local:bob] local n=0");
    ck_assert_uint_eq(messages_of("ana"), 1);
}
END_TEST

START_TEST(test_no_mailbox_at_all_still_goes_elsewhere)
{
    start(_i);
    table.account_open = refuse_bob;
    begin(1);
    here("bob");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    all_are(LMAIL_OK);
    ck_assert_str_eq(row(), "<a@b.test> flags=0 ret=0; x@far.test [] far.test n=0"
                            "; bob@example.test [local:bob] local n=0");
}
END_TEST

START_TEST(test_lmtp_answers_for_each_mailbox)
{
    start(_i);
    table.account_open = refuse_bob;
    begin(0);
    here("bob");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    ck_assert_int_eq(mail->recipients[0].status, LMAIL_ERR_BUSY);
    ck_assert_int_eq(mail->recipients[1].status, LMAIL_OK);
    ck_assert_str_eq(row(), "<a@b.test> flags=0 ret=0; x@far.test [] far.test n=0");
}
END_TEST

/* The rows vanish while mailboxes are opened: the row for bob cannot be added any more. */
static lmail_status lose_rows(void *ctx, const lmail_store_account_args *args,
                              lmail_store_account **out)
{
    if (lmail_str_equal(args->name, LMAIL_STR("bob"))) {
        ck_assert_int_eq(lmail_queue_remove(service.queue, mail->number), LMAIL_OK);
        return LMAIL_ERR_BUSY;
    }
    return store->account_open(ctx, args, out);
}

START_TEST(test_what_cannot_wait_is_taken_back_whole)
{
    start(_i);
    table.account_open = lose_rows;
    begin(1);
    here("ana");
    here("bob");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_NOTFOUND);
    all_are(LMAIL_ERR_NOTFOUND);
    nothing_is_left("ana");
}
END_TEST

START_TEST(test_a_full_queue_refuses_all)
{
    start(_i);
    lmail_queue_free(service.queue);
    open_queue(UINT64_MAX / 2);
    begin(1);
    here("ana");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_FULL);
    all_are(LMAIL_ERR_FULL);
    nothing_is_left("ana");
}
END_TEST

static lmail_status no_link(lmail_delivery *d, size_t message, const char *path, int sync)
{
    (void)d, (void)message, (void)path, (void)sync;
    return LMAIL_ERR_UNSUPPORTED;
}

static lmail_status no_read(lmail_delivery *d, size_t message, uint64_t offset, char *buf,
                            size_t cap, size_t *got)
{
    (void)d, (void)message, (void)offset, (void)buf, (void)cap;
    *got = 0;
    return LMAIL_ERR_IO;
}

START_TEST(test_another_file_system_gets_a_copy)
{
    start(_i);
    table.delivery_link = no_link;
    begin(1);
    here("ana");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    ck_assert(has_data());
    ck_assert_uint_eq(messages_of("ana"), 1);
    lmi_mail_free(mail);

    table.delivery_read = no_read;
    begin(1);
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_IO);
    ck_assert_str_eq(row(), "-");
    ck_assert(!has_data());
}
END_TEST

START_TEST(test_without_a_queue_nobody_elsewhere_is_served)
{
    start(_i);
    lmail_queue *q = service.queue;
    service.queue = NULL;
    begin(1);
    here("ana");
    away("x@far.test", "");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_UNSUPPORTED);
    all_are(LMAIL_ERR_UNSUPPORTED);
    service.queue = q;
    nothing_is_left("ana");
}
END_TEST

Suite *service_mail_queue_suite(void)
{
    Suite *s = suite_create("service_mail_queue");
    TCase *c = tcase_create("queue");
    tcase_add_checked_fixture(c, NULL, teardown);
    tcase_add_loop_test(c, test_a_recipient_elsewhere_is_a_row, 0, STORES);
    tcase_add_loop_test(c, test_auth_is_believed_of_who_logged_in_as_that, 0, STORES);
    tcase_add_loop_test(c, test_both_kinds_get_it, 0, STORES);
    tcase_add_loop_test(c, test_quarantine_holds_it_for_all, 0, STORES);
    tcase_add_loop_test(c, test_discard_leaves_nothing, 0, STORES);
    tcase_add_loop_test(c, test_a_mailbox_that_fails_waits_in_the_queue, 0, STORES);
    tcase_add_loop_test(c, test_no_mailbox_at_all_still_goes_elsewhere, 0, STORES);
    tcase_add_loop_test(c, test_lmtp_answers_for_each_mailbox, 0, STORES);
    tcase_add_loop_test(c, test_what_cannot_wait_is_taken_back_whole, 0, STORES);
    tcase_add_loop_test(c, test_a_full_queue_refuses_all, 0, STORES);
    tcase_add_loop_test(c, test_another_file_system_gets_a_copy, 0, STORES);
    tcase_add_loop_test(c, test_without_a_queue_nobody_elsewhere_is_served, 0, STORES);
    suite_add_tcase(s, c);
    return s;
}
