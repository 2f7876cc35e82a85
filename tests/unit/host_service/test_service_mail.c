/* A message on its way: trace fields, hops, memory or spool, and what each recipient gets. */
#include "host/service/service_mail.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lmail_store *store;
static lmail_store table; /* the store's own, with members replaced */
static lmail_service service;
static lmi_mail *mail;

static void setup(void)
{
    ck_assert_int_eq(lmail_store_memory_new(NULL, &store), LMAIL_OK);
    table = *store;
    memset(&service, 0, sizeof service);
    service.store = &table;
}

static void teardown(void)
{
    lmi_mail_free(mail);
    mail = NULL;
    store->close(store);
}

static void begin_with(const char *from, const lmi_mail_trace *t)
{
    mail = lmi_mail_new(&service, lmail_str_from(from));
    ck_assert_ptr_nonnull(mail);
    ck_assert_int_eq(lmi_mail_begin(mail, t), LMAIL_OK);
}

static lmi_mail_trace trace(const char *helo, const char *address, const char *protocol)
{
    return (lmi_mail_trace){lmail_str_from(helo),
                            lmail_str_from(address),
                            LMAIL_STR("mx.test"),
                            lmail_str_from(protocol),
                            NULL,
                            1700000000,
                            -330,
                            0,
                            0,
                            {NULL, 0},
                            {NULL, 0}};
}

static void to(const char *account, const char *address)
{
    ck_assert_int_eq(lmi_mail_add_recipient(mail, lmail_str_from(account), lmail_str_from(address)),
                     LMAIL_OK);
}

/* Everything but the queue id, which is an X. */
static const char *head(void)
{
    static char text[4096];
    ck_assert_uint_lt(mail->kept.len, sizeof text);
    memcpy(text, mail->kept.ptr, mail->kept.len);
    text[mail->kept.len] = '\0';
    char *id = strstr(text, mail->id);
    ck_assert_ptr_nonnull(id);
    *id = 'X';
    memmove(id + 1, id + strlen(mail->id), strlen(id + strlen(mail->id)) + 1);
    return text;
}

/* ---- Trace fields ---------------------------------------------------------------------------- */

#define DATE "\tTue, 14 Nov 2023 16:43:20 -0530\r\n"

START_TEST(test_received_as_rfc_5321_wants_it)
{
    lmail_tls_facts tls = LMAIL_TLS_FACTS_INIT;
    tls.version = LMAIL_STR("TLSv1.3");
    tls.cipher = LMAIL_STR("AES");
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    begin_with("", &t);
    ck_assert_str_eq(head(), "Return-Path: <>\r\nReceived: from c.test ([192.0.2.1])\r\n"
                             "\tby mx.test with SMTP id X;\r\n" DATE);
    lmi_mail_free(mail);

    t = trace("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "ESMTPSA");
    t.tls = &tls;
    mail = lmi_mail_new(&service, LMAIL_STR("\"a b\"@c.test"));
    to("ana", "ana@example.test");
    ck_assert_int_eq(lmi_mail_begin(mail, &t), LMAIL_OK);
    ck_assert_str_eq(head(), "Return-Path: <\"a b\"@c.test>\r\n"
                             "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
                             "\t(using TLSv1.3 with cipher AES)\r\n"
                             "\tby mx.test with ESMTPSA id X\r\n"
                             "\tfor <ana@example.test>;\r\n" DATE);
    lmi_mail_free(mail);

    t = trace("c.test", "local", "LMTP"); /* over a unix socket; none of two learns of the other */
    mail = lmi_mail_new(&service, LMAIL_STR("a@b.test"));
    to("ana", "ana@example.test");
    to("bob", "bob@example.test");
    ck_assert_int_eq(lmi_mail_begin(mail, &t), LMAIL_OK);
    ck_assert_str_eq(head(), "Return-Path: <a@b.test>\r\nReceived: from c.test (local)\r\n"
                             "\tby mx.test with LMTP id X;\r\n" DATE);
}
END_TEST

START_TEST(test_the_longest_names_fit)
{
    char helo[256], from[400], address[330];
    memset(helo, 'h', 255);
    memset(from, 'f', 399);
    memset(address, 'r', 329);
    helo[255] = from[399] = address[329] = '\0';
    lmi_mail_trace t = trace(helo, "192.0.2.1", "UTF8SMTPSA");
    mail = lmi_mail_new(&service, lmail_str_from(from));
    to("ana", address);
    ck_assert_int_eq(lmi_mail_begin(mail, &t), LMAIL_OK);
    ck_assert_ptr_nonnull(strstr(head(), address));
    /* RFC 5322 §2.1.1: no line is longer than 998. */
    size_t line = 0;
    for (const char *p = head(); *p; p++) {
        line = *p == '\n' ? 0 : line + 1;
        ck_assert_uint_le(line, 998);
    }
    lmi_mail_free(mail);
    char huge[3000]; /* refused, never cut */
    memset(huge, 'f', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    mail = lmi_mail_new(&service, lmail_str_from(huge));
    ck_assert_int_eq(lmi_mail_begin(mail, &t), LMAIL_ERR_LIMIT);
}
END_TEST

START_TEST(test_queue_ids_never_repeat)
{
    char last[24] = "";
    for (int i = 0; i < 2000; i++) {
        lmi_mail *m = lmi_mail_new(&service, LMAIL_STR(""));
        ck_assert_str_ne(m->id, last);
        strcpy(last, m->id);
        lmi_mail_free(m);
    }
}
END_TEST

START_TEST(test_dates)
{
    static const struct row {
        int64_t seconds;
        int zone;
        const char *text;
    } rows[] = {{0, 0, "Thu, 1 Jan 1970 00:00:00 +0000"},
                {1709164800, 60, "Thu, 29 Feb 2024 01:00:00 +0100"},
                {1700000000, -330, "Tue, 14 Nov 2023 16:43:20 -0530"}};
    char out[40];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = lmi_write_date(out, sizeof out, rows[i].seconds, rows[i].zone);
        ck_assert_uint_eq(n, strlen(rows[i].text));
        ck_assert_str_eq(out, rows[i].text);
    }
    ck_assert_uint_eq(lmi_write_date(out, 10, 0, 0), 0);
}
END_TEST

/* ---- Date and Message-ID --------------------------------------------------------------------- */

#define A_DATE "Date: Tue, 14 Nov 2023 16:43:20 -0530\r\n"
#define AN_ID "Message-ID: <X@mx.test>\r\n"

/* The octets behind `from`, the queue id in them an X. */
static const char *behind(size_t from)
{
    static char text[4096];
    size_t n = mail->kept.len - from;
    ck_assert_uint_lt(n, sizeof text);
    memcpy(text, mail->kept.ptr + from, n);
    text[n] = '\0';
    char *id = strstr(text, mail->id);
    if (id) {
        *id = 'X';
        memmove(id + 1, id + strlen(mail->id), strlen(id + strlen(mail->id)) + 1);
    }
    return text;
}

START_TEST(test_missing_fields_are_added_at_every_split)
{
    static const struct row {
        const char *text;
        const char *added;
        const char *rest; /* of the text, from where they are added */
    } rows[] = {
        {"From: a\r\n\r\nDate: body\r\n", A_DATE AN_ID, "\r\nDate: body\r\n"},
        {"\r\nhello\r\n", A_DATE AN_ID, "\r\nhello\r\n"},
        {"DATE: x\r\nSubject: y\r\n z\r\n\r\n", AN_ID, "\r\n"},
        {"message-id : <1@x>\r\n\r\n.\r\n", A_DATE, "\r\n.\r\n"},
        {"Date: x\r\nMessage-Id: y\r\n\r\nz\r\n", "", ""},
        {"Resent-Date: x\r\nX-Message-ID: y\r\n\r\n", A_DATE AN_ID, "\r\n"},
        {"X: Date: no\r\n Message-ID: no\r\n\r\n", A_DATE AN_ID, "\r\n"},
        {"From: a\nTo: b\n\nbare\n", A_DATE AN_ID, "\nbare\n"},
        {"no header at all\r\n\r\nbody\r\n", "", ""},
        {": no name\r\n\r\n", "", ""},
        {"From: a\r\n", A_DATE AN_ID, ""},
        {"From: a\r\nTo: b", "", ""}, /* not even a line end */
        {"", A_DATE AN_ID, ""},
    };
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    t.own = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].text), rest = strlen(rows[i].rest);
        for (size_t cut = 0; cut <= len; cut++) {
            lmail_str pieces[] = {{rows[i].text, cut}, {rows[i].text + cut, len - cut}};
            char want[600];
            begin_with("", &t);
            size_t from = mail->kept.len;
            for (int k = 0; k < 2; k++) {
                lmi_mail_look(mail, pieces[k]);
                ck_assert_int_eq(lmi_mail_rewrite(mail, &pieces[k]), LMAIL_OK);
                ck_assert_int_eq(lmi_mail_keep(mail, pieces[k]), LMAIL_OK);
            }
            ck_assert_int_eq(lmi_header_end(mail), LMAIL_OK);
            ck_assert_int_eq(lmi_mail_keep(mail, (lmail_str){NULL, 0}), LMAIL_OK);
            ck_assert_uint_eq(mail->octets, len);
            snprintf(want, sizeof want, "%.*s%s%s", (int)(len - rest), rows[i].text, rows[i].added,
                     rows[i].rest);
            ck_assert_msg(strcmp(behind(from), want) == 0, "row %zu cut %zu: %s", i, cut,
                          behind(from));
            lmi_mail_free(mail);
        }
    }
    mail = NULL;
}
END_TEST

START_TEST(test_missing_fields_are_added_to_a_message_in_the_spool)
{
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    lmail_str first = LMAIL_STR("From: a\r\n"), second = LMAIL_STR("To: b\r\n\r\nbody\r\n");
    t.own = 1;
    begin_with("", &t);
    to("u", "u@x.test");
    lmi_mail_look(mail, first);
    ck_assert_int_eq(lmi_mail_rewrite(mail, &first), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_write(mail, first), LMAIL_OK);
    lmi_mail_look(mail, second);
    ck_assert_int_eq(lmi_mail_rewrite(mail, &second), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_keep(mail, second), LMAIL_END);
    ck_assert_int_eq(lmi_mail_write(mail, second), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_end(mail), LMAIL_OK);
    uint64_t with = mail->size;
    lmi_mail_free(mail);
    t.own = 0;
    first = LMAIL_STR("From: a\r\n");
    second = LMAIL_STR("To: b\r\n\r\nbody\r\n");
    begin_with("", &t);
    lmi_mail_look(mail, first);
    ck_assert_int_eq(lmi_mail_write(mail, first), LMAIL_OK);
    lmi_mail_look(mail, second);
    ck_assert_int_eq(lmi_mail_write(mail, second), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_end(mail), LMAIL_OK);
    ck_assert_uint_eq(with, mail->size + strlen(A_DATE) + strlen(AN_ID) - 1 + strlen(mail->id));
}
END_TEST

START_TEST(test_a_header_that_grows_out_of_memory_goes_to_the_spool)
{
    static char octets[LMI_KEEP_MAX];
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    t.own = 1;
    begin_with("", &t);
    to("u", "u@x.test");
    memset(octets, 'x', sizeof octets);
    memcpy(octets, "X:", 2);
    size_t room = LMI_KEEP_MAX - mail->kept.len;
    lmail_str all = {octets, room}, end = LMAIL_STR("\r\n\r\n");
    ck_assert_int_eq(lmi_mail_rewrite(mail, &all), LMAIL_OK);
    ck_assert_uint_eq(all.len, 0);
    ck_assert_int_eq(lmi_mail_keep(mail, all), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_rewrite(mail, &end), LMAIL_OK);
    ck_assert_int_eq(lmi_mail_keep(mail, end), LMAIL_END);
    ck_assert_int_eq(lmi_mail_end(mail), LMAIL_OK);
    ck_assert_uint_eq(mail->size,
                      LMI_KEEP_MAX + 4 + strlen(A_DATE) + strlen(AN_ID) - 1 + strlen(mail->id));
}
END_TEST

START_TEST(test_eight_bits_are_seen_wherever_they_stand)
{
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    char octets[40];
    for (size_t at = 0; at <= sizeof octets; at++) {
        memset(octets, 'x', sizeof octets);
        if (at < sizeof octets)
            octets[at] = (char)0x80;
        begin_with("", &t);
        lmi_mail_look(mail, (lmail_str){octets, 21});
        lmi_mail_look(mail, (lmail_str){octets + 21, sizeof octets - 21});
        ck_assert_uint_eq(mail->has_8bit, at < sizeof octets);
        ck_assert_uint_eq(mail->octets, sizeof octets);
        lmi_mail_free(mail);
    }
    mail = NULL;
}
END_TEST

/* ---- Hops ------------------------------------------------------------------------------------ */

START_TEST(test_hops_are_counted_at_every_split)
{
    static const struct row {
        const char *text;
        unsigned hops;
    } rows[] = {
        {"Received: a\r\nreceived: b\r\n c\r\nRECEIVED: d\r\n\r\nReceived: body\r\n", 3},
        {"X: Received: no\r\n Received: folded\r\nReceived : blank\r\nReceivedX: no\r\n\r\n", 0},
        {"\r\nReceived: body\r\n", 0},
        {"xReceived: no\r\nReceived:", 1},
        {"", 0},
    };
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].text);
        for (size_t cut = 0; cut <= len; cut++) {
            begin_with("", &t);
            lmi_mail_look(mail, (lmail_str){rows[i].text, cut});
            lmi_mail_look(mail, (lmail_str){rows[i].text + cut, len - cut});
            ck_assert_msg(mail->head.hops == rows[i].hops, "row %zu cut %zu: %u", i, cut,
                          mail->head.hops);
            lmi_mail_free(mail);
        }
    }
    mail = NULL;
}
END_TEST

/* ---- Memory or spool ------------------------------------------------------------------------- */

START_TEST(test_sixty_four_kib_wait_in_memory_and_no_octet_more)
{
    static char octets[LMI_KEEP_MAX];
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    memset(octets, 'x', sizeof octets);
    begin_with("", &t);
    size_t room = LMI_KEEP_MAX - mail->kept.len;
    ck_assert_int_eq(lmi_mail_keep(mail, (lmail_str){octets, room + 1}), LMAIL_END);
    ck_assert_int_eq(lmi_mail_keep(mail, (lmail_str){octets, room}), LMAIL_OK);
    ck_assert_uint_le(mail->kept.cap, LMI_KEEP_MAX);
    ck_assert_int_eq(lmi_mail_keep(mail, (lmail_str){octets, 1}), LMAIL_END);
    ck_assert_int_eq(lmi_mail_write(mail, (lmail_str){octets, 1}), LMAIL_OK);
    ck_assert_ptr_null(mail->kept.ptr); /* and the memory goes back */
    ck_assert_int_eq(lmi_mail_keep(mail, (lmail_str){octets, 1}), LMAIL_END);
}
END_TEST

/* ---- Delivery -------------------------------------------------------------------------------- */

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

static lmail_status refuse_bob(void *ctx, const lmail_store_account_args *args,
                               lmail_store_account **out)
{
    if (lmail_str_equal(args->name, LMAIL_STR("bob")))
        return LMAIL_ERR_BUSY;
    return store->account_open(ctx, args, out);
}

static void three_recipients(unsigned atomic)
{
    lmi_mail_trace t = trace("c.test", "[192.0.2.1]", "SMTP");
    begin_with("a@b.test", &t);
    mail->atomic = atomic;
    to("ana", "ana@example.test");
    to("bob", "bob@example.test");
    to("ana", "Ana@example.test");
    ck_assert_int_eq(lmi_mail_keep(mail, LMAIL_STR("\r\nhello\r\n")), LMAIL_OK);
}

START_TEST(test_one_account_gets_one_message)
{
    three_recipients(1);
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_OK);
    ck_assert_uint_eq(messages_of("ana"), 1);
    ck_assert_uint_eq(messages_of("bob"), 1);
    ck_assert_uint_eq(mail->recipients[0].uid, 1);
    ck_assert_uint_eq(mail->recipients[2].uid, 1);
    ck_assert_ptr_null(mail->delivery);
}
END_TEST

START_TEST(test_smtp_delivers_to_all_or_none)
{
    table.account_open = refuse_bob;
    three_recipients(1);
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_BUSY);
    for (size_t i = 0; i < mail->count; i++)
        ck_assert_int_ne(mail->recipients[i].status, LMAIL_OK);
    ck_assert_uint_eq(messages_of("ana"), 0);
}
END_TEST

START_TEST(test_lmtp_answers_for_each)
{
    table.account_open = refuse_bob;
    three_recipients(0);
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_BUSY);
    ck_assert_int_eq(mail->recipients[0].status, LMAIL_OK);
    ck_assert_int_eq(mail->recipients[1].status, LMAIL_ERR_BUSY);
    ck_assert_int_eq(mail->recipients[2].status, LMAIL_OK);
    ck_assert_uint_eq(messages_of("ana"), 1);
}
END_TEST

START_TEST(test_nobody_left_writes_nothing)
{
    lmi_mail_trace t = trace("c.test", "192.0.2.1", "LMTP");
    table.account_open = refuse_bob;
    begin_with("a@b.test", &t);
    to("bob", "bob@example.test");
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_BUSY);
    ck_assert_int_eq(mail->recipients[0].status, LMAIL_ERR_BUSY);
    ck_assert_ptr_null(mail->delivery);
}
END_TEST

static lmail_status no_space(lmail_delivery *d, lmail_str octets)
{
    (void)d, (void)octets;
    return LMAIL_ERR_FULL;
}

START_TEST(test_a_full_disk_is_told_to_each)
{
    table.delivery_write = no_space;
    three_recipients(0);
    ck_assert_int_eq(lmi_mail_commit(mail), LMAIL_ERR_FULL);
    for (size_t i = 0; i < mail->count; i++)
        ck_assert_int_eq(mail->recipients[i].status, LMAIL_ERR_FULL);
    ck_assert_uint_eq(messages_of("ana"), 0);
}
END_TEST

Suite *service_mail_suite(void)
{
    Suite *s = suite_create("service_mail");
    TCase *c = tcase_create("mail");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_received_as_rfc_5321_wants_it);
    tcase_add_test(c, test_missing_fields_are_added_at_every_split);
    tcase_add_test(c, test_missing_fields_are_added_to_a_message_in_the_spool);
    tcase_add_test(c, test_the_longest_names_fit);
    tcase_add_test(c, test_queue_ids_never_repeat);
    tcase_add_test(c, test_dates);
    tcase_add_test(c, test_a_header_that_grows_out_of_memory_goes_to_the_spool);
    tcase_add_test(c, test_eight_bits_are_seen_wherever_they_stand);
    tcase_add_test(c, test_hops_are_counted_at_every_split);
    tcase_add_test(c, test_sixty_four_kib_wait_in_memory_and_no_octet_more);
    tcase_add_test(c, test_one_account_gets_one_message);
    tcase_add_test(c, test_smtp_delivers_to_all_or_none);
    tcase_add_test(c, test_lmtp_answers_for_each);
    tcase_add_test(c, test_nobody_left_writes_nothing);
    tcase_add_test(c, test_a_full_disk_is_told_to_each);
    suite_add_tcase(s, c);
    return s;
}
