/* saslauthd's protocol: its octets, and a server of it in a child with scripted checks. */
#include <check.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libmail/host/accounts.h>

#include "host/auth/auth_authd.h"
#include "host/auth/auth_mux.h"

/* ---- Octets ---------------------------------------------------------------------------------- */

#define STR(literal)                                                                               \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct {
    lmail_str octets;
    int parsed;
} requests[] = {
    {STR("\0\4juan\0\7secreto\0\4imap\0\0"), 1},
    {STR("\0\0\0\0\0\0\0\0"), 1},
    {STR(""), 0},
    {STR("\0"), 0},
    {STR("\0\4jua"), 0},
    {STR("\0\4juan\0\7secreto\0\4imap\0"), 0},
    {STR("\0\4juan\0\7secreto\0\4imap\0\0x"), -1}, /* more than a request */
    {STR("\4\1"), -1},                             /* 1025: refused before the octets come */
    {STR("\xff\xff"), -1},
    {STR("\0\4ju\0n\0\7secreto\0\4imap\0\0"), -1},
};

START_TEST(a_request_is_whole_or_not_or_none)
{
    lmail_saslauthd_request r;
    ck_assert_int_eq(lmi_mux_parse_request(requests[_i].octets, &r), requests[_i].parsed);
    for (size_t i = 0; requests[_i].parsed == 1 && i < requests[_i].octets.len; i++) {
        ck_assert_int_eq(lmi_mux_parse_request((lmail_str){requests[_i].octets.ptr, i}, &r), 0);
    }
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
    lmail_saslauthd_request out = LMAIL_SASLAUTHD_REQUEST_INIT, in;
    char octets[LMI_MUX_REQUEST], longest[LMAIL_SASLAUTHD_STRING + 1];
    memset(longest, 'x', sizeof longest);
    out.login = LMAIL_STR("juan");
    out.password = (lmail_str){longest, LMAIL_SASLAUTHD_STRING};
    out.realm = LMAIL_STR("example.org");
    size_t len = lmi_mux_write_request(&out, octets);
    ck_assert_int_eq(lmi_mux_parse_request((lmail_str){octets, len}, &in), 1);
    ck_assert(lmail_str_equal(in.login, out.login));
    ck_assert(lmail_str_equal(in.password, out.password));
    ck_assert_uint_eq(in.service.len, 0);
    ck_assert(lmail_str_equal(in.realm, out.realm));
    out.password.len++;
    ck_assert_uint_eq(lmi_mux_write_request(&out, octets), 0);
    out.password = (lmail_str){"a\0b", 3};
    ck_assert_uint_eq(lmi_mux_write_request(&out, octets), 0);
}
END_TEST

static const struct {
    lmail_str octets;
    int parsed;
} answers[] = {
    {STR("\0\2OK"), 1},
    {STR("\0\2NO"), 0},
    {STR("\0\15OK (success.)"), 1},
    {STR("\0\13NO (failed)"), 0},
    {STR("\0\4OKAY"), -2},
    {STR("\0\2ok"), -2},
    {STR("\0\0"), -2},
    {STR("\0\1O"), -2},
    {STR("\0\2OKx"), -2},
    {STR("\0\2O"), -1},
    {STR(""), -1},
    {STR("\xff\xff"), -2},
};

START_TEST(an_answer_is_yes_no_or_none)
{
    ck_assert_int_eq(lmi_mux_parse_answer(answers[_i].octets), answers[_i].parsed);
}
END_TEST

/* ---- A server -------------------------------------------------------------------------------- */

typedef struct server {
    char dir[64], path[128];
    pid_t pid;
} server;

/* What a login does to its check, by name. */
static lmail_status scripted(void *user, const lmail_saslauthd_request *r)
{
    (void)user;
    if (lmail_str_equal(r->login, LMAIL_STR("crash"))) {
        raise(SIGKILL);
    }
    if (lmail_str_equal(r->login, LMAIL_STR("hang"))) {
        sleep(60);
    }
    if (lmail_str_equal(r->login, LMAIL_STR("broken"))) {
        return LMAIL_ERR_IO;
    }
    if (lmail_str_equal(r->login, LMAIL_STR("stranger"))) {
        return LMAIL_ERR_NOTFOUND;
    }
    return lmail_str_equal(r->password, LMAIL_STR("secreto")) ? LMAIL_OK : LMAIL_ERR_DENIED;
}

static lmail_status knows_strangers(void *user, const lmail_saslauthd_request *r)
{
    (void)user;
    return lmail_str_equal(r->password, LMAIL_STR("second")) ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

static void serve(const server *s, lmail_authd_config *c)
{
    static const lmail_authd_check checks[] = {{"scripted", NULL, scripted, NULL},
                                               {"second", NULL, knows_strangers, NULL}};
    lmail_str path = lmail_str_from(s->path);
    lmail_authd *a;
    c->checks = checks;
    c->check_count = 2;
    c->sockets = &path;
    c->socket_count = 1;
    if (lmail_authd_new(&a, c, NULL, 0) == LMAIL_OK &&
        lmail_authd_signals(a, SIGTERM, 0, NULL, NULL) == LMAIL_OK) {
        lmail_status status = lmail_authd_run(a);
        lmail_authd_free(a);
        _exit(status == LMAIL_OK ? 0 : 2);
    }
    _exit(1);
}

static void start(server *s, lmail_authd_config *c)
{
    strcpy(s->dir, "/tmp/libmail-mux-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/mux", s->dir);
    s->pid = fork();
    if (s->pid == 0) {
        serve(s, c);
    }
    struct stat st;
    for (int i = 0; i < 500 && (stat(s->path, &st) != 0 || (st.st_mode & 0777) != 0660); i++) {
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
}

static void stop(server *s)
{
    int status;
    kill(s->pid, SIGTERM);
    ck_assert_int_eq(waitpid(s->pid, &status, 0), s->pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_int_eq(access(s->path, F_OK), -1); /* it took its socket away */
    char path[160];
    snprintf(path, sizeof path, "%s/accounts", s->dir);
    unlink(path);
    rmdir(s->dir);
}

static lmail_status ask(const server *s, const char *login, const char *password)
{
    lmail_saslauthd_request r = LMAIL_SASLAUTHD_REQUEST_INIT;
    r.login = lmail_str_from(login);
    r.password = lmail_str_from(password);
    r.service = LMAIL_STR("imap");
    return lmail_saslauthd_ask(lmail_str_from(s->path), &r, 10000);
}

static const uint32_t *myself(void)
{
    static uint32_t uid;
    uid = getuid();
    return &uid;
}

static lmail_authd_config quick(void)
{
    lmail_authd_config c = LMAIL_AUTHD_CONFIG_INIT;
    c.mode = 0660;
    c.uids = myself();
    c.uid_count = 1;
    c.read_timeout = 300;
    c.check_timeout = 500;
    return c;
}

static const struct {
    const char *login, *password;
    lmail_status status;
} asked[] = {
    {"juan", "secreto", LMAIL_OK},
    {"juan", "secreta", LMAIL_ERR_DENIED},
    {"juan", "", LMAIL_ERR_DENIED},
    {"", "secreto", LMAIL_ERR_DENIED},
    {"stranger", "second", LMAIL_OK},
    {"stranger", "secreto", LMAIL_ERR_DENIED}, /* nobody knows it */
    {"broken", "secreto", LMAIL_ERR_IO},       /* no answer: not known now */
    {"crash", "secreto", LMAIL_ERR_IO},
    {"hang", "secreto", LMAIL_ERR_IO},
    {"juan", "secreto", LMAIL_OK},
};

START_TEST(a_check_answers_or_nobody_does)
{
    server s;
    lmail_authd_config c = quick();
    start(&s, &c);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        ck_assert_msg(ask(&s, asked[i].login, asked[i].password) == asked[i].status, "row %zu", i);
    }
    stop(&s);
}
END_TEST

static int reach(const server *s)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path, s->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

START_TEST(peers_that_stall_or_send_too_much_are_dropped)
{
    server s;
    lmail_authd_config c = quick();
    char octet;
    start(&s, &c);
    int silent = reach(&s), half = reach(&s), huge = reach(&s);
    ck_assert_int_eq(write(half, "\0\4ju", 4), 4);
    ck_assert_int_eq(write(huge, "\xff\xff", 2), 2);
    ck_assert_int_eq(read(huge, &octet, 1), 0);
    ck_assert_int_eq(ask(&s, "juan", "secreto"), LMAIL_OK); /* others are served meanwhile */
    ck_assert_int_eq(read(silent, &octet, 1), 0);
    ck_assert_int_eq(read(half, &octet, 1), 0);
    close(silent);
    close(half);
    close(huge);
    stop(&s);
}
END_TEST

START_TEST(one_peer_has_half_of_the_connections)
{
    server s;
    lmail_authd_config c = quick();
    int fds[8];
    char octet;
    c.max_connections = 8;
    c.read_timeout = 5000;
    start(&s, &c);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = reach(&s);
    }
    for (size_t i = 4; i < 8; i++) {
        ck_assert_int_eq(read(fds[i], &octet, 1), 0);
    }
    ck_assert_int_eq(recv(fds[0], &octet, 1, MSG_DONTWAIT), -1);
    for (size_t i = 0; i < 8; i++) {
        close(fds[i]);
    }
    stop(&s);
}
END_TEST

static uint64_t msec(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

START_TEST(a_failure_waits_and_too_many_are_not_checked)
{
    server s;
    lmail_authd_config c = quick();
    c.uid_count = 0; /* a peer like any other */
    c.failure_delay = 200;
    c.user_failures = 2;
    start(&s, &c);
    uint64_t before = msec();
    ck_assert_int_eq(ask(&s, "juan", "secreto"), LMAIL_OK);
    ck_assert_uint_lt(msec() - before, 190);
    before = msec();
    ck_assert_int_eq(ask(&s, "juan", "secreta"), LMAIL_ERR_DENIED);
    ck_assert_uint_ge(msec() - before, 190);
    ck_assert_int_eq(ask(&s, "juan", "secreta"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(ask(&s, "juan", "secreto"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(ask(&s, "ana", "secreto"), LMAIL_OK); /* another's failures are not hers */
    stop(&s);
}
END_TEST

START_TEST(a_peer_that_fails_everywhere_is_stopped)
{
    server s;
    lmail_authd_config c = quick();
    c.uid_count = 0;
    c.peer_failures = 2;
    start(&s, &c);
    ck_assert_int_eq(ask(&s, "a", "x"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(ask(&s, "b", "x"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(ask(&s, "c", "secreto"), LMAIL_ERR_DENIED);
    stop(&s);
}
END_TEST

START_TEST(a_stale_socket_is_replaced_and_a_live_one_is_not)
{
    server s;
    lmail_authd_config c = quick();
    start(&s, &c);
    static const lmail_authd_check check = {"scripted", NULL, scripted, NULL};
    lmail_str path = lmail_str_from(s.path);
    lmail_authd *a;
    char error[256];
    c.checks = &check;
    c.check_count = 1;
    c.sockets = &path;
    c.socket_count = 1;
    ck_assert_int_eq(lmail_authd_new(&a, &c, error, sizeof error), LMAIL_ERR_BUSY);
    kill(s.pid, SIGKILL);
    waitpid(s.pid, NULL, 0);
    ck_assert_int_eq(lmail_authd_new(&a, &c, error, sizeof error), LMAIL_OK);
    lmail_authd_free(a);
    FILE *file = fopen(s.path, "w");
    fclose(file);
    ck_assert_int_eq(lmail_authd_new(&a, &c, error, sizeof error), LMAIL_ERR_BUSY);
    ck_assert_pstr_ne(strstr(error, "is no socket"), NULL);
    unlink(s.path);
    c.check_count = 0;
    ck_assert_int_eq(lmail_authd_new(&a, &c, error, sizeof error), LMAIL_ERR_ARG);
    c.check_count = 1;
    c.socket_count = 0;
    ck_assert_int_eq(lmail_authd_new(&a, &c, error, sizeof error), LMAIL_ERR_ARG);
    rmdir(s.dir);
}
END_TEST

START_TEST(failures_are_forgotten_within_a_minute)
{
    lmi_failures *f = lmi_failures_new();
    lmail_str juan = LMAIL_STR("juan");
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(lmi_failures_begin(f, 1, juan, 60, 1000), 1);
    }
    ck_assert_int_eq(lmi_failures_begin(f, 1, juan, 60, 1000), 0);
    ck_assert_int_eq(lmi_failures_begin(f, 2, juan, 60, 1000), 1); /* another peer */
    ck_assert_int_eq(lmi_failures_begin(f, 1, juan, 60, 2000), 1); /* one drained in a second */
    ck_assert_int_eq(lmi_failures_begin(f, 1, juan, 60, 2000), 0);
    lmi_failures_undo(f, 1, juan, 60);
    ck_assert_int_eq(lmi_failures_begin(f, 1, juan, 60, 2000), 1);
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(lmi_failures_begin(f, 1, juan, 60, 70000), 1);
    }
    ck_assert_int_eq(lmi_failures_begin(f, 1, juan, 0, 70000), 1);
    lmi_failures_free(f);
}
END_TEST

/* ---- Sources that ask ------------------------------------------------------------------------ */

static lmail_accounts *open_all(const server *s, const char *text, uint32_t min_uid)
{
    lmail_accounts_source sources[2], all;
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    lmail_accounts_system_config sys = LMAIL_ACCOUNTS_SYSTEM_CONFIG_INIT;
    char path[160];
    snprintf(path, sizeof path, "%s/accounts", s->dir);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    cfg.default_domain = LMAIL_STR("example.org");
    cfg.saslauthd = lmail_str_from(s->path);
    sys.socket = lmail_str_from(s->path);
    sys.min_uid = min_uid;
    lmail_accounts *a;
    ck_assert_int_eq(lmail_accounts_file_source(&sources[0], lmail_str_from(path), &cfg), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_system_source(&sources[1], &sys), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_chain(&all, sources, 2), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_new(&a, &all, &cfg), LMAIL_OK);
    return a;
}

static lmail_status verify(lmail_accounts *a, const char *name, const char *password)
{
    lmail_account found;
    lmail_status status = lmail_accounts_verify_for(a, LMAIL_STR("imap"), lmail_str_from(name),
                                                    lmail_str_from(password), &found);
    if (status == LMAIL_OK) {
        ck_assert(lmail_str_equal(found.name, lmail_str_from(name)));
        lmail_accounts_release(a, &found);
    }
    return status;
}

START_TEST(the_first_source_that_knows_a_name_decides)
{
    server s;
    lmail_authd_config c = quick();
    start(&s, &c);
    /* daemon is a user of every system; the file has that name in a second test. */
    lmail_accounts *a =
        open_all(&s, "juan:{PLAIN}suya\nlejos:{SASLAUTHD}\nbaja:{SASLAUTHD}::::::disabled=1\n", 0);
    lmail_account found;
    ck_assert_int_eq(verify(a, "juan", "suya"), LMAIL_OK);
    ck_assert_int_eq(verify(a, "juan", "secreto"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(verify(a, "lejos", "secreto"), LMAIL_OK);
    ck_assert_int_eq(verify(a, "lejos", "otra"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(verify(a, "baja", "secreto"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(verify(a, "daemon", "secreto"), LMAIL_OK);
    ck_assert_int_eq(verify(a, "daemon", ""), LMAIL_ERR_DENIED);
    ck_assert_int_eq(verify(a, "nobody-has-this-name", "secreto"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(lmail_accounts_find(a, LMAIL_STR("DAEMON@example.org"), &found), LMAIL_OK);
    ck_assert(lmail_str_equal(found.name, LMAIL_STR("daemon")));
    ck_assert_uint_eq(found.uid, getpwnam("daemon")->pw_uid);
    ck_assert_uint_eq(found.disabled, 0);
    lmail_accounts_release(a, &found);
    ck_assert_int_eq(lmail_accounts_find(a, LMAIL_STR("daemon@elsewhere.example"), &found),
                     LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_accounts_find_now(a, LMAIL_STR("daemon"), &found), LMAIL_PENDING);
    lmail_accounts_free(a);

    a = open_all(&s, "daemon:{PLAIN}suya\n", 0);
    ck_assert_int_eq(verify(a, "daemon", "suya"), LMAIL_OK);
    ck_assert_int_eq(verify(a, "daemon", "secreto"), LMAIL_ERR_DENIED);
    lmail_accounts_free(a);

    a = open_all(&s, "", 60000);
    ck_assert_int_eq(verify(a, "daemon", "secreto"), LMAIL_ERR_DENIED);
    ck_assert_int_eq(lmail_accounts_find(a, LMAIL_STR("daemon"), &found), LMAIL_OK);
    ck_assert_uint_eq(found.disabled, 1);
    lmail_accounts_release(a, &found);
    stop(&s);
    /* Nobody answers now, and nobody learns from that who exists. */
    ck_assert_int_eq(verify(a, "daemon", "secreto"), LMAIL_ERR_IO);
    ck_assert_int_eq(verify(a, "nobody-has-this-name", "secreto"), LMAIL_ERR_IO);
    lmail_accounts_free(a);
}
END_TEST

static int count_one(void *user, const lmail_account *account)
{
    (void)account;
    return ++*(int *)user == 2;
}

START_TEST(sources_that_can_be_listed_are)
{
    server s;
    lmail_authd_config c = quick();
    start(&s, &c);
    int count = 0;
    lmail_accounts *a = open_all(&s, "juan:!\nana:!\npepe:!\n", 0);
    ck_assert_int_eq(lmail_accounts_each(a, count_one, &count), LMAIL_OK);
    ck_assert_int_eq(count, 2);
    lmail_accounts_free(a);
    stop(&s);
    lmail_accounts_source out;
    ck_assert_int_eq(lmail_accounts_chain(&out, NULL, 0), LMAIL_ERR_ARG);
    lmail_accounts_system_config sys = LMAIL_ACCOUNTS_SYSTEM_CONFIG_INIT;
    ck_assert_int_eq(lmail_accounts_system_source(&out, &sys), LMAIL_ERR_ARG);
    sys.size++;
    ck_assert_int_eq(lmail_accounts_system_source(&out, &sys), LMAIL_ERR_SIZE);
}
END_TEST

START_TEST(dovecots_digest_md5_knows_the_users_realm)
{
    lmail_accounts *a;
    lmail_str text = LMAIL_STR("juan@example.org:{DIGEST-MD5}4f90d5dd2c0b432d20a9bb2afe0912f8\n"
                               "pepe:{DIGEST-MD5}4f90d5dd2c0b432d20a9bb2afe0912f8\n");
    ck_assert_int_eq(lmail_accounts_from_text(&a, text, NULL), LMAIL_OK);
    ck_assert_int_eq(verify(a, "juan@example.org", "contrase\303\261a"), LMAIL_OK);
    ck_assert_int_eq(verify(a, "pepe", "contrase\303\261a"), LMAIL_ERR_DENIED);
    lmail_accounts_free(a);
}
END_TEST

Suite *auth_mux_suite(void)
{
    Suite *suite = suite_create("auth_mux");
    TCase *tc = tcase_create("octets");
    tcase_add_loop_test(tc, a_request_is_whole_or_not_or_none, 0,
                        sizeof requests / sizeof requests[0]);
    tcase_add_test(tc, what_is_written_is_read_back);
    tcase_add_loop_test(tc, an_answer_is_yes_no_or_none, 0, sizeof answers / sizeof answers[0]);
    tcase_add_test(tc, failures_are_forgotten_within_a_minute);
    suite_add_tcase(suite, tc);
    tc = tcase_create("server");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_check_answers_or_nobody_does);
    tcase_add_test(tc, peers_that_stall_or_send_too_much_are_dropped);
    tcase_add_test(tc, one_peer_has_half_of_the_connections);
    tcase_add_test(tc, a_failure_waits_and_too_many_are_not_checked);
    tcase_add_test(tc, a_peer_that_fails_everywhere_is_stopped);
    tcase_add_test(tc, a_stale_socket_is_replaced_and_a_live_one_is_not);
    suite_add_tcase(suite, tc);
    tc = tcase_create("sources");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_first_source_that_knows_a_name_decides);
    tcase_add_test(tc, sources_that_can_be_listed_are);
    tcase_add_test(tc, dovecots_digest_md5_knows_the_users_realm);
    suite_add_tcase(suite, tc);
    return suite;
}
