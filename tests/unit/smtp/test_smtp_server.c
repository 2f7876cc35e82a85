/* The public functions: what a host may pass wrongly, what it can ask, what a command costs. */
#include "support/count_alloc.h"
#include "support/script.h"

#include <check.h>
#include <libmail/smtp.h>
#include <string.h>

extern const script_adaptor script_smtp;

static lmail_smtp_server_config config(void)
{
    lmail_smtp_server_config c = LMAIL_SMTP_SERVER_CONFIG_INIT;
    c.host_name = LMAIL_STR("mx.example");
    return c;
}

static lmail_status setup_with(const lmail_smtp_server_config *c)
{
    lmail_smtp_server_handler h = LMAIL_SMTP_SERVER_HANDLER_INIT;
    lmail_smtp_server_setup *u;
    lmail_status st = lmail_smtp_server_setup_new(&u, c, &h);
    lmail_smtp_server_setup_free(u);
    return st;
}

START_TEST(a_setup_refuses_what_it_cannot_keep)
{
    lmail_smtp_server_config c = config(), d;
    ck_assert_int_eq(setup_with(&c), LMAIL_OK);
    lmail_smtp_server_config_init(&d);
    ck_assert_int_eq(setup_with(&d), LMAIL_ERR_ARG); /* no host name */
    c.size = sizeof c + 8;
    ck_assert_int_eq(setup_with(&c), LMAIL_ERR_SIZE);
    c = config();
    c.max_line = 100;
    ck_assert_int_eq(setup_with(&c), LMAIL_ERR_ARG);
    c = config();
    c.host_name = LMAIL_STR("mx\r\n250 x");
    ck_assert_int_eq(setup_with(&c), LMAIL_ERR_ARG);
}
END_TEST

START_TEST(a_reply_text_is_checked)
{
    static const struct {
        lmail_smtp_reply_text text;
        lmail_status status;
    } table[] = {
        {{LMAIL_SMTP_SAY_HELO, 250, {"", 0}, {"fine", 4}}, LMAIL_OK},
        {{LMAIL_SMTP_SAY_HELO, 99, {"", 0}, {"", 0}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_HELO, 600, {"", 0}, {"", 0}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_NONE, 250, {"", 0}, {"", 0}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_COUNT, 250, {"", 0}, {"", 0}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_HELO, 250, {"5.1.1", 5}, {"", 0}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_HELO, 250, {"2.1", 3}, {"", 0}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_HELO, 250, {"2.1.1.1", 7}, {"", 0}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_HELO, 250, {"2.999.999", 9}, {"", 0}}, LMAIL_OK},
        {{LMAIL_SMTP_SAY_HELO, 250, {"", 0}, {"a\nb", 3}}, LMAIL_ERR_ARG},
        {{LMAIL_SMTP_SAY_HELO, 250, {"", 0}, {"a\0b", 3}}, LMAIL_ERR_ARG},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        lmail_smtp_server_config c = config();
        c.replies = &table[i].text;
        c.reply_count = 1;
        ck_assert_msg(setup_with(&c) == table[i].status, "reply %zu", i);
    }
}
END_TEST

START_TEST(the_table_obeys_its_own_rules)
{
    for (int id = 1; id < LMAIL_SMTP_SAY_COUNT; id++) {
        lmail_smtp_reply_text t;
        ck_assert_int_eq(lmail_smtp_reply_default((lmail_smtp_reply_id)id, &t), LMAIL_OK);
        lmail_smtp_server_config c = config();
        c.replies = &t;
        c.reply_count = 1;
        ck_assert_msg(setup_with(&c) == LMAIL_OK, "%s", lmail_smtp_reply_name(t.id));
    }
    ck_assert_ptr_null(lmail_smtp_reply_name(LMAIL_SMTP_SAY_NONE));
    ck_assert_ptr_null(lmail_smtp_reply_name(LMAIL_SMTP_SAY_COUNT));
}
END_TEST

static void open_script(script *h, const lmail_alloc *a)
{
    script_init(h, &script_smtp, a);
    script_set(h, "flags", "-need_helo");
    script_rule(h, "mail slow@*", "pending", 1);
    ck_assert_int_eq(script_open(h), 0);
}

static void client(script *h, const char *text)
{
    script_input(h, text, strlen(text));
    script_run(h);
    ck_assert_str_eq(h->fault, "");
}

static lmail_smtp_server *server(script *h)
{
    return (lmail_smtp_server *)h->session;
}

START_TEST(a_bad_late_answer_leaves_the_ticket_out)
{
    script h;
    open_script(&h, NULL);
    client(&h, "MAIL FROM:<slow@example.net>\r\n");
    lmail_ticket t = h.pending->ticket;
    lmail_smtp_reply r = LMAIL_SMTP_REPLY_INIT;
    r.code = 250;
    r.text = LMAIL_STR("two\r\nlines");
    ck_assert_int_eq(lmail_smtp_server_answer(server(&h), t, &r, 2000), LMAIL_ERR_ARG);
    r.text = LMAIL_STR("one");
    r.size = sizeof r + 1;
    ck_assert_int_eq(lmail_smtp_server_answer(server(&h), t, &r, 2000), LMAIL_ERR_SIZE);
    ck_assert_int_eq(lmail_smtp_server_answer_auth(server(&h), t, NULL, 2000), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_smtp_server_answer_connect(server(&h), t, NULL, 2000), LMAIL_ERR_ARG);
    ck_assert_uint_eq(lmail_session_tickets(h.session), 1);
    ck_assert_int_eq(lmail_smtp_server_answer(server(&h), t, NULL, 2000), LMAIL_OK);
    ck_assert_int_eq(lmail_smtp_server_answer(server(&h), t, NULL, 2000), LMAIL_ERR_STALE);
    ck_assert(lmail_smtp_server_in_transaction(server(&h)));
    script_done(&h);
}
END_TEST

START_TEST(a_session_tells_what_it_knows)
{
    script h;
    lmail_smtp_counters n;
    open_script(&h, NULL);
    client(&h, "EHLO c.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nFOO\r\n");
    ck_assert_int_eq(lmail_smtp_server_hello(server(&h)), LMAIL_SMTP_SAID_EHLO);
    ck_assert(lmail_str_equal(lmail_smtp_server_helo_name(server(&h)), LMAIL_STR("c.example")));
    ck_assert_ptr_null(lmail_smtp_server_tls(server(&h)));
    ck_assert_uint_eq(lmail_smtp_server_identity(server(&h)).len, 0);
    ck_assert_uint_eq(lmail_smtp_server_recipients(server(&h)), 1);
    ck_assert_ptr_eq(lmail_smtp_server_user(server(&h)), &h);
    client(&h, "RCPT TO:<b@exa mple.org>\r\n");
    ck_assert_int_eq(lmail_smtp_server_error(server(&h)).reply, LMAIL_SMTP_SAY_BAD_RECIPIENT);
    ck_assert_uint_eq(lmail_smtp_server_error(server(&h)).offset, 14);
    lmail_smtp_server_counters(server(&h), &n);
    ck_assert(n.commands == 5 && n.bad_commands == 2 && n.refused_recipients == 1);
    script_done(&h);
}
END_TEST

START_TEST(a_command_allocates_nothing_after_the_first)
{
    count_alloc counter = {0};
    lmail_alloc a = count_alloc_table(&counter);
    static const char batch[] =
        "EHLO c.example\r\nMAIL FROM:<a@example.net> SIZE=100 RET=FULL ENVID=x+2By\r\n"
        "RCPT TO:<b@example.org> NOTIFY=NEVER ORCPT=rfc822;b+40example.org\r\nVRFY x\r\nNOOP\r\n"
        "DATA\r\n";
    script h;
    open_script(&h, &a);
    size_t before = 0;
    for (int i = 0; i < 10; i++) {
        client(&h, batch);
        client(&h, "Subject: x\r\n\r\nhello\r\n.\r\n");
        if (i == 0)
            before = counter.requests;
    }
    ck_assert_uint_eq(counter.requests, before);
    script_done(&h);
    ck_assert_uint_eq(counter.live, 0);
}
END_TEST

START_TEST(free_with_a_ticket_out)
{
    count_alloc counter = {0};
    lmail_alloc a = count_alloc_table(&counter);
    script h;
    open_script(&h, &a);
    client(&h, "MAIL FROM:<slow@example.net>\r\n");
    script_done(&h);
    ck_assert_uint_eq(counter.live, 0);
}
END_TEST

Suite *smtp_server_suite(void)
{
    Suite *s = suite_create("smtp_server");
    TCase *t = tcase_create("server");
    tcase_add_test(t, a_setup_refuses_what_it_cannot_keep);
    tcase_add_test(t, a_reply_text_is_checked);
    tcase_add_test(t, the_table_obeys_its_own_rules);
    tcase_add_test(t, a_bad_late_answer_leaves_the_ticket_out);
    tcase_add_test(t, a_session_tells_what_it_knows);
    tcase_add_test(t, a_command_allocates_nothing_after_the_first);
    tcase_add_test(t, free_with_a_ticket_out);
    suite_add_tcase(s, t);
    return s;
}
