/* XCLIENT as a host sees it: what the event holds, what the session knows behind it, and that a command
 * that is refused changes nothing. */
#include <check.h>
#include <libmail/smtp.h>
#include <string.h>

typedef struct world {
    unsigned asked, connects;
    lmail_smtp_given name, addr;
    char login[300];
    lmail_status st;
} world;

static lmail_status on_connect(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_connect_event *ev, lmail_smtp_connect_answer *a)
{
    world *w = user;
    (void)s;
    (void)t;
    (void)ev;
    w->connects++;
    a->flags_on = LMAIL_SMTP_XCLIENT;
    return LMAIL_OK;
}

static lmail_status on_xclient(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_xclient_event *ev, lmail_smtp_reply *reply)
{
    world *w = user;
    (void)s;
    (void)t;
    (void)reply;
    w->asked++;
    w->name = ev->name.given;
    w->addr = ev->addr.given;
    memcpy(w->login, ev->login.value.ptr ? ev->login.value.ptr : "", ev->login.value.len);
    w->login[ev->login.value.len] = 0;
    return w->st;
}

static void say(lmail_smtp_server *s, const char *text)
{
    size_t used;
    lmail_str in = lmail_str_from(text);
    ck_assert_int_eq(lmail_smtp_server_feed(s, in, &used, 0), LMAIL_OK);
    ck_assert_uint_eq(used, in.len);
}

static int is(lmail_str s, const char *text)
{
    return lmail_str_equal(s, lmail_str_from(text));
}

static lmail_smtp_server *open_one(world *w, lmail_smtp_server_setup **u)
{
    lmail_smtp_server_config c = LMAIL_SMTP_SERVER_CONFIG_INIT;
    lmail_smtp_server_handler h = LMAIL_SMTP_SERVER_HANDLER_INIT;
    lmail_smtp_server *s;
    c.host_name = LMAIL_STR("mx.example");
    h.on_connect = on_connect;
    h.on_xclient = on_xclient;
    ck_assert_int_eq(lmail_smtp_server_setup_new(u, &c, &h), LMAIL_OK);
    ck_assert_int_eq(lmail_smtp_server_new(&s, *u, w, 0), LMAIL_OK);
    return s;
}

START_TEST(a_login_is_that_of_the_last_command)
{
    world w = {0};
    lmail_smtp_server_setup *u;
    lmail_smtp_server *s = open_one(&w, &u);
    say(s, "XCLIENT LOGIN=al+69ce+40x HELO=x.example PROTO=ESMTP name=[tempUNavail]\r\n");
    ck_assert_uint_eq(w.asked, 1);
    ck_assert_uint_eq(w.connects, 2);
    ck_assert_str_eq(w.login, "alice@x");
    ck_assert_int_eq(w.name, LMAIL_SMTP_TEMPUNAVAIL);
    ck_assert_int_eq(w.addr, LMAIL_SMTP_NOT_GIVEN);
    ck_assert(is(lmail_smtp_server_identity(s), "alice@x"));
    ck_assert(is(lmail_smtp_server_mechanism(s), "XCLIENT"));
    ck_assert_int_eq(lmail_smtp_server_hello(s), LMAIL_SMTP_SAID_EHLO);
    ck_assert(is(lmail_smtp_server_helo_name(s), "x.example"));
    say(s, "XCLIENT ADDR=[UNAVAILABLE]\r\n");
    ck_assert_int_eq(w.addr, LMAIL_SMTP_UNAVAILABLE);
    ck_assert_uint_eq(lmail_smtp_server_identity(s).len, 0);
    ck_assert_int_eq(lmail_smtp_server_hello(s), LMAIL_SMTP_NO_HELLO);
    lmail_smtp_server_free(s);
    lmail_smtp_server_setup_free(u);
}
END_TEST

START_TEST(an_error_of_the_host_changes_nothing)
{
    world w = {.st = LMAIL_ERR_IO};
    lmail_smtp_server_setup *u;
    lmail_smtp_server *s = open_one(&w, &u);
    say(s, "EHLO c.example\r\nXCLIENT LOGIN=alice\r\n");
    ck_assert_uint_eq(w.asked, 1);
    ck_assert_uint_eq(w.connects, 1);
    ck_assert_uint_eq(lmail_smtp_server_identity(s).len, 0);
    ck_assert_int_eq(lmail_smtp_server_hello(s), LMAIL_SMTP_SAID_EHLO);
    lmail_smtp_server_free(s);
    lmail_smtp_server_setup_free(u);
}
END_TEST

Suite *smtp_xclient_suite(void);
Suite *smtp_xclient_suite(void)
{
    Suite *s = suite_create("smtp_xclient");
    TCase *t = tcase_create("host");
    tcase_add_test(t, a_login_is_that_of_the_last_command);
    tcase_add_test(t, an_error_of_the_host_changes_nothing);
    suite_add_tcase(s, t);
    return s;
}
