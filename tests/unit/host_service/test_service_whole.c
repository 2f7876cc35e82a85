/* A service inside a program: it runs in a thread, clients come over loopback, it stops. */
#include "host_loopback.h"
#include "host_service.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static whole w;

static void setup(void)
{
    memset(&w, 0, sizeof w);
}

static uint64_t msec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Send one message to everybody named; the last line of the answer begins with `end`. */
static void send_mail(const char *to, const char *body, const char *end)
{
    char line[300];
    int fd = dial_whole(&w, "smtp");
    ask(fd, "EHLO c.test\r\n", "250 ");
    ask(fd, "MAIL FROM:<x@far.test>\r\n", "250 ");
    snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", to);
    ask(fd, line, "250 ");
    ask(fd, "DATA\r\n", "354 ");
    say(fd, body);
    ask(fd, "\r\n.\r\n", end);
    ask(fd, "QUIT\r\n", "221 ");
    close(fd);
}

static void log_in_pop3(int fd, const char *user, const char *end)
{
    char line[100];
    snprintf(line, sizeof line, "USER %s\r\n", user);
    ask(fd, line, "+OK");
    ask(fd, "PASS secret\r\n", end);
}

/* ---- A letter's way -------------------------------------------------------------------------- */

START_TEST(test_a_letter_from_smtp_to_imap_and_pop3)
{
    start_whole(&w, "");
    send_mail("alice@example.test", "Subject: hello\r\n\r\nbody", "250 2.0.0 OK queued as ");
    int fd = dial_whole(&w, "imap");
    ask(fd, "a LOGIN alice secret\r\n", "a OK");
    ask(fd, "b SELECT INBOX\r\n", "* 1 EXISTS");
    ask(fd, "c FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\n", "Subject: hello");
    ask(fd, "d LOGOUT\r\n", "d OK");
    close(fd);
    fd = dial_whole(&w, "pop3");
    log_in_pop3(fd, "alice", "+OK");
    ask(fd, "RETR 1\r\n", "Return-Path: <x@far.test>");
    ask(fd, "DELE 1\r\n", "+OK");
    ask(fd, "QUIT\r\n", "+OK");
    close(fd);
    stop_whole(&w);
}
END_TEST

START_TEST(test_who_is_refused)
{
    start_whole(&w, "postmaster = alice\nsmtp.max_hops = 2\n");
    int fd = dial_whole(&w, "smtp");
    ask(fd, "HELO c.test\r\n", "250 ");
    ask(fd, "MAIL FROM:<>\r\n", "250 ");
    ask(fd, "RCPT TO:<a@far.test>\r\n", "250 2.1.5"); /* this machine relays */
    ask(fd, "RCPT TO:<a@b@far.test>\r\n", "553 5.1.3 <a@b@far.test>... Invalid route address");
    ask(fd, "RCPT TO:<nobody@example.test>\r\n", "550 5.1.1");
    ask(fd, "RCPT TO:<\"al ice\"@example.test>\r\n", "550 5.1.1");
    ask(fd, "RCPT TO:<\"nobody@example.test\"@example.test>\r\n", "550 5.1.1");
    ask(fd, "RCPT TO:<postmaster>\r\n", "250 ");
    ask(fd, "RCPT TO:<\"alice\"@EXAMPLE.TEST>\r\n", "250 ");
    ask(fd, "RSET\r\n", "250 ");
    ask(fd, "QUIT\r\n", "221 ");
    close(fd);
    send_mail("bob@example.test", "Received: a\r\nReceived: b\r\nreceived: c\r\n\r\n", "554 5.4.6");
    stop_whole(&w);
}
END_TEST

START_TEST(test_lmtp_answers_for_each_recipient)
{
    start_whole(&w, "");
    int fd = dial_whole(&w, "lmtp");
    ask(fd, "LHLO c.test\r\n", "250 ");
    ask(fd,
        "MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<no@example.test>\r\n"
        "RCPT TO:<bob@example.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n",
        "354 ");
    say(fd, "a: b\r\n\r\n.\r\n");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(strncmp(hear(fd), "250 2.0.0", 9), 0);
    ask(fd, "MAIL FROM:<>\r\n", "250 "); /* the transaction is over */
    ask(fd, "QUIT\r\n", "221 ");
    close(fd);
    stop_whole(&w);
}
END_TEST

/* ---- Accounts and maildrops ------------------------------------------------------------------ */

START_TEST(test_a_failed_login_takes_its_time)
{
    start_whole(&w, "auth.failure_delay = 300 ms\n");
    int fd = dial_whole(&w, "imap");
    uint64_t begun = msec();
    ask(fd, "a LOGIN alice wrong\r\n", "a NO");
    ck_assert_uint_ge(msec() - begun, 290);
    begun = msec();
    ask(fd, "b LOGIN alice secret\r\n", "b OK");
    close(fd);
    /* Who leaves meanwhile holds nothing up. */
    fd = dial_whole(&w, "imap");
    say(fd, "a LOGIN nobody wrong\r\n");
    close(fd);
    stop_whole(&w);
}
END_TEST

START_TEST(test_one_session_a_maildrop)
{
    start_whole(&w, "");
    int first = dial_whole(&w, "pop3"), second = dial_whole(&w, "pop3");
    log_in_pop3(first, "alice", "+OK");
    log_in_pop3(second, "alice", "-ERR [IN-USE]");
    log_in_pop3(second, "bob", "+OK"); /* nothing of the first login is left */
    close(first);                      /* without QUIT: the lock goes with the connection */
    int third = -1;
    for (int i = 0; i < 100; i++) {
        third = dial_whole(&w, "pop3");
        ask(third, "USER alice\r\n", "+OK");
        say(third, "PASS secret\r\n");
        if (strncmp(hear(third), "+OK", 3) == 0)
            break;
        close(third);
        third = -1;
        nap(50);
    }
    ck_assert_int_ge(third, 0);
    close(third);
    close(second);
    stop_whole(&w);
}
END_TEST

static atomic_int failures;

static lmail_status refresh_fails(lmail_store_mailbox *m, unsigned flags, lmail_mailbox_view *out)
{
    if (atomic_fetch_sub(&failures, 1) > 0) {
        memset(out, 0, sizeof *out);
        return LMAIL_ERR_IO;
    }
    return w.store->refresh(m, flags, out);
}

START_TEST(test_a_maildrop_that_fails_is_not_the_next_users)
{
    ck_assert_int_eq(lmail_store_memory_new(NULL, &w.store), LMAIL_OK);
    w.table = *w.store;
    w.table.refresh = refresh_fails;
    start_whole(&w, "");
    send_mail("alice@example.test", "\r\nfor alice", "250 ");
    int fd = dial_whole(&w, "pop3");
    atomic_store(&failures, 1);
    log_in_pop3(fd, "alice", "-ERR");
    log_in_pop3(fd, "bob", "+OK");
    ask(fd, "STAT\r\n", "+OK 0 0");
    int other = dial_whole(&w, "pop3"); /* and alice is not locked */
    log_in_pop3(other, "alice", "+OK");
    ask(other, "STAT\r\n", "+OK 1 ");
    close(other);
    atomic_store(&failures, 1);
    other = dial_whole(&w, "pop3");
    send_mail("carol@example.test", "\r\nfor carol", "250 ");
    log_in_pop3(other, "carol", "-ERR");
    log_in_pop3(other, "carol", "+OK");
    ask(other, "STAT\r\n", "+OK 1 "); /* not an empty maildrop that was left half open */
    close(other);
    close(fd);
    stop_whole(&w);
}
END_TEST

/* ---- IMAP ------------------------------------------------------------------------------------ */

START_TEST(test_dots_between_levels)
{
    start_whole(&w, "imap.separator = .\n");
    int fd = dial_whole(&w, "imap");
    ask(fd, "a LOGIN alice secret\r\n", "a OK");
    ask(fd, "b CREATE work.deep\r\n", "b OK");
    ask(fd, "c CREATE with/slash\r\n", "c OK");
    ask(fd, "d LIST \"\" work.%\r\n", "* LIST (\\HasNoChildren) \".\" work.deep");
    ask(fd, "e LIST \"\" with*\r\n", "* LIST (\\HasNoChildren) \".\" with/slash");
    ask(fd, "f SELECT work.deep\r\n", "f OK");
    close(fd);
    /* The store has its own separator, and the other character inside the name. */
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    lmail_store_account *alice;
    lmail_mailbox_status st;
    args.name = LMAIL_STR("alice");
    ck_assert_int_eq(w.store->account_open(w.store->ctx, &args, &alice), LMAIL_OK);
    ck_assert_int_eq(w.store->status(alice, LMAIL_STR("work/deep"), 0, &st), LMAIL_OK);
    ck_assert_int_eq(w.store->status(alice, LMAIL_STR("with.slash"), 0, &st), LMAIL_OK);
    w.store->account_close(alice);
    stop_whole(&w);
}
END_TEST

START_TEST(test_an_account_has_so_many_mailboxes)
{
    start_whole(&w, "store.max_mailboxes = 3\nstore.max_mailbox_name = 32\n");
    int fd = dial_whole(&w, "imap");
    ask(fd, "a LOGIN alice secret\r\n", "a OK");
    ask(fd, "b CREATE one\r\n", "b OK");
    ask(fd, "c SUBSCRIBE two\r\n", "c OK");
    ask(fd, "d CREATE three\r\n", "d NO [LIMIT]");
    ask(fd, "e SUBSCRIBE three\r\n", "e NO [LIMIT]");
    ask(fd, "f UNSUBSCRIBE two\r\n", "f OK");
    ask(fd, "g CREATE three3three3three3three3three3three\r\n", "g NO [LIMIT]");
    ask(fd, "h CREATE three\r\n", "h OK");
    close(fd);
    stop_whole(&w);
}
END_TEST

START_TEST(test_news_reach_who_waits)
{
    start_whole(&w, "");
    int fd = dial_whole(&w, "imap");
    ask(fd, "a LOGIN alice secret\r\n", "a OK");
    ask(fd, "b SELECT INBOX\r\n", "b OK");
    ask(fd, "c IDLE\r\n", "+ ");
    send_mail("alice@example.test", "\r\none", "250 ");
    ask(fd, "", "* 1 EXISTS");
    send_mail("alice@example.test", "\r\ntwo", "250 ");
    ask(fd, "", "* 2 EXISTS");
    /* Closing while the news come: whichever is first, the other finds its way. */
    for (int i = 0; i < 20; i++) {
        send_mail("alice@example.test", "\r\nmore", "250 ");
        ask(fd, "DONE\r\nd CLOSE\r\ne SELECT INBOX\r\nf IDLE\r\n", "+ ");
    }
    close(fd);
    stop_whole(&w);
}
END_TEST

/* ---- Life ------------------------------------------------------------------------------------ */

START_TEST(test_free_without_run)
{
    make_whole(&w, "");
    ck_assert_uint_ne(lmail_service_port(w.service, LMAIL_STR("smtp")), 0);
    ck_assert_uint_ne(lmail_service_port(w.service, LMAIL_STR("smtp")),
                      lmail_service_port(w.service, LMAIL_STR("imap")));
    ck_assert_uint_eq(lmail_service_port(w.service, LMAIL_STR("none")), 0);
    lmail_service_free(w.service);
    lmail_accounts_free(w.accounts);
    w.store->close(w.store);
    remove_folder();
}
END_TEST

START_TEST(test_an_address_in_use_is_named)
{
    char text[200], error[512] = "";
    make_whole(&w, "");
    snprintf(text, sizeof text, "listener second {\n address = 127.0.0.1\n port = %u\n}\n",
             lmail_service_port(w.service, LMAIL_STR("smtp")));
    lmail_service_config c = LMAIL_SERVICE_CONFIG_INIT;
    lmail_service *second;
    c.config = config_from(text);
    c.protocols = LMAIL_SERVICE_SMTP;
    c.store = w.store;
    ck_assert_int_eq(lmail_service_new(&second, &c, error, sizeof error), LMAIL_ERR_BUSY);
    ck_assert_msg(strstr(error, "listener second at 127.0.0.1"), "%s", error);
    ck_assert_int_eq(lmail_service_new(&second, &c, NULL, 0), LMAIL_ERR_BUSY);
    c.protocols = LMAIL_SERVICE_POP3; /* none is configured */
    ck_assert_int_eq(lmail_service_new(&second, &c, error, sizeof error), LMAIL_ERR_ARG);
    lmail_config_free(c.config); /* still ours */
    lmail_service_free(w.service);
    lmail_accounts_free(w.accounts);
    w.store->close(w.store);
    remove_folder();
}
END_TEST

static const char *greeting(void)
{
    int fd = dial(lmail_service_port(w.service, LMAIL_STR("smtp")));
    const char *line = hear(fd);
    close(fd);
    return line;
}

START_TEST(test_a_faulty_reload_changes_nothing)
{
    static const char smtp[] = "listener smtp {\n address = 127.0.0.1\n port = 0\n}\n";
    char text[600], error[512] = "";
    make_whole(&w, "smtp.greeting = old\n");
    snprintf(text, sizeof text, "smtp.greeting = new\nauth.mechanisms = FOO\n%s", smtp);
    lmail_config *bad = config_from(text);
    ck_assert_int_eq(lmail_service_reload(w.service, bad, error, sizeof error), LMAIL_ERR_ARG);
    ck_assert_msg(strstr(error, "FOO"), "%s", error);
    ck_assert_int_eq(lmail_service_reload(w.service, bad, NULL, 0), LMAIL_ERR_ARG);
    lmail_config_free(bad);
    lmail_service_free(w.service);
    start_whole(&w, "smtp.greeting = old\n");
    ck_assert_str_eq(greeting(), "220 mx.test old\r\n");
    stop_whole(&w);
}
END_TEST

START_TEST(test_a_reload_is_for_new_connections)
{
    static const char smtp[] = "listener smtp {\n address = 127.0.0.1\n port = 0\n}\n";
    char text[600], error[512] = "";
    make_whole(&w, "smtp.greeting = old\n");
    snprintf(text, sizeof text, "smtp.greeting = new\n%s", smtp);
    ck_assert_int_eq(lmail_service_reload(w.service, config_from(text), error, sizeof error),
                     LMAIL_OK);
    run_whole(&w);
    ck_assert_str_eq(greeting(), "220 mx.test new\r\n");
    ck_assert_uint_ne(lmail_service_port(w.service, LMAIL_STR("smtp")), 0);
    stop_whole(&w);
}
END_TEST

/* Connections in the middle of everything, then stop: all of them come home. */
START_TEST(test_stop_in_the_middle)
{
    enum { N = 30 };
    int fds[N];
    start_whole(&w, "stop_timeout = 500 ms\n");
    for (int i = 0; i < N; i++) {
        static const char *const names[] = {"smtp", "imap", "pop3", "imap"};
        fds[i] = dial_whole(&w, names[i % 4]);
        if (i % 4 == 0)
            say(fds[i], "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nhalf");
        else if (i % 4 == 1)
            say(fds[i], "a LOGIN alice secret\r\nb SELECT INBOX\r\nc IDLE\r\n");
        else if (i % 4 == 2)
            say(fds[i], "USER alice\r\nPASS secret\r\nSTAT\r\n");
        else
            say(fds[i], "a LOGIN bob secret\r\nb APPEND INBOX {5+}\r\nhal");
    }
    uint64_t begun = msec();
    stop_whole(&w);
    ck_assert_uint_lt(msec() - begun, 15000);
    for (int i = 0; i < N; i++)
        close(fds[i]);
}
END_TEST

Suite *service_whole_suite(void)
{
    Suite *s = suite_create("service_whole");
    TCase *c = tcase_create("whole");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_a_letter_from_smtp_to_imap_and_pop3);
    tcase_add_test(c, test_who_is_refused);
    tcase_add_test(c, test_lmtp_answers_for_each_recipient);
    tcase_add_test(c, test_a_failed_login_takes_its_time);
    tcase_add_test(c, test_one_session_a_maildrop);
    tcase_add_test(c, test_a_maildrop_that_fails_is_not_the_next_users);
    tcase_add_test(c, test_dots_between_levels);
    tcase_add_test(c, test_an_account_has_so_many_mailboxes);
    tcase_add_test(c, test_news_reach_who_waits);
    tcase_add_test(c, test_free_without_run);
    tcase_add_test(c, test_an_address_in_use_is_named);
    tcase_add_test(c, test_a_faulty_reload_changes_nothing);
    tcase_add_test(c, test_a_reload_is_for_new_connections);
    tcase_add_test(c, test_stop_in_the_middle);
    suite_add_tcase(s, c);
    return s;
}
