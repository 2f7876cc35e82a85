/* Reloads that a signal asks for: files are read beside the loops, one reading at a time, and one
 * that hangs keeps no service from ending. */
#include "host_loopback.h"
#include "host_service.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The configuration's file; while the gate is shut, who opens it waits. All but text under lock. */
typedef struct cupboard {
    char text[1024];
    pthread_mutex_t lock;
    pthread_cond_t opened;
    int shut, broken;
    unsigned readers, readings;
    int on_the_loop;
    unsigned told;
    lmail_status told_status;
    char told_error[300];
} cupboard;

/* One a test: a reading that was given up may still hold that of the test before. */
static cupboard cupboards[8], *c = cupboards;
static lmail_service *service;
static lmail_store *store;
static lmail_accounts *accounts;
static pthread_t runner;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    cupboard *mine = ctx;
    if (!lmail_str_equal(name, LMAIL_STR("/conf")))
        return LMAIL_ERR_NOTFOUND;
    pthread_mutex_lock(&mine->lock);
    mine->readings++;
    mine->readers++;
    mine->on_the_loop |= pthread_equal(pthread_self(), runner) != 0;
    while (mine->shut)
        pthread_cond_wait(&mine->opened, &mine->lock);
    mine->readers--;
    lmail_status st = mine->broken ? LMAIL_ERR_IO : LMAIL_OK;
    pthread_mutex_unlock(&mine->lock);
    *octets = lmail_str_from(mine->text);
    return st;
}

static void close_file(void *ctx, lmail_str octets)
{
    (void)ctx, (void)octets;
}

static unsigned mode(void *ctx, lmail_str name)
{
    (void)ctx, (void)name;
    return 0;
}

static void on_reload(void *host, lmail_status status, const char *error)
{
    (void)host;
    pthread_mutex_lock(&c->lock);
    c->told++;
    c->told_status = status;
    c->on_the_loop |= pthread_equal(pthread_self(), runner) ? 0 : 1;
    snprintf(c->told_error, sizeof c->told_error, "%s", error);
    pthread_mutex_unlock(&c->lock);
}

static unsigned value(const unsigned *of)
{
    pthread_mutex_lock(&c->lock);
    unsigned v = *of;
    pthread_mutex_unlock(&c->lock);
    return v;
}

static void wait_until(const unsigned *of, unsigned wanted)
{
    for (int i = 0; i < 500 && value(of) != wanted; i++)
        nap(10);
    ck_assert_uint_eq(value(of), wanted);
}

static void set(int shut, int broken)
{
    pthread_mutex_lock(&c->lock);
    c->shut = shut;
    c->broken = broken;
    pthread_cond_broadcast(&c->opened);
    pthread_mutex_unlock(&c->lock);
}

static void *run(void *arg)
{
    return lmail_service_run(arg) ? arg : NULL;
}

static void begin(void)
{
    lmail_service_config s = LMAIL_SERVICE_CONFIG_INIT;
    const lmail_files files = {sizeof files, ++c, open_file, close_file, mode, NULL};
    lmail_accounts_config names = LMAIL_ACCOUNTS_CONFIG_INIT;
    char error[512] = "";
    ck_assert(c < cupboards + sizeof cupboards / sizeof *cupboards);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->opened, NULL);
    snprintf(c->text, sizeof c->text,
             "hostname = mx.test\ndomains = example.test\nmail_directory = %s/mail\nrun_directory "
             "= %s/run\n"
             "accounts = %s/accounts\nlistener i {\n protocol = imap\n address = unix:%s/imap\n}\n",
             folder(), folder(), folder(), folder());
    names.default_domain = LMAIL_STR("example.test");
    ck_assert_int_eq(lmail_store_memory_new(NULL, &store), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_from_text(&accounts, LMAIL_STR("a:{PLAIN}b\n"), &names),
                     LMAIL_OK);
    s.config = config_from(strstr(c->text, "listener"));
    s.store = store;
    s.accounts = accounts;
    s.protocols = LMAIL_SERVICE_IMAP;
    s.files = &files;
    s.on_reload = on_reload;
    ck_assert_ptr_nonnull(s.config);
    ck_assert_msg(lmail_service_new(&service, &s, error, sizeof error) == LMAIL_OK, "%s", error);
    ck_assert_int_eq(lmail_service_signals(service, 0, SIGUSR2, "/conf"), LMAIL_OK);
    pthread_mutex_lock(&c->lock); /* who asks for runner finds it set */
    ck_assert_int_eq(pthread_create(&runner, NULL, run, service), 0);
    pthread_mutex_unlock(&c->lock);
}

static void stop(void)
{
    void *failed;
    lmail_service_stop(service);
    ck_assert_int_eq(pthread_join(runner, &failed), 0);
    ck_assert_ptr_null(failed);
}

static void end(void)
{
    lmail_service_free(service);
    lmail_accounts_free(accounts);
    store->close(store);
}

static void serves(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s/imap", folder());
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    ck_assert_int_eq(strncmp(hear(fd), "* OK", 4), 0);
    close(fd);
}

START_TEST(test_signals_while_one_is_read_ask_for_one_more)
{
    begin();
    set(1, 0);
    kill(getpid(), SIGUSR2);
    wait_until(&c->readers, 1);
    for (int i = 0; i < 3; i++) {
        kill(getpid(), SIGUSR2);
        serves();
        nap(20);
    }
    ck_assert_uint_eq(value(&c->readings), 1);
    ck_assert_uint_eq(value(&c->told), 0);
    set(0, 0);
    wait_until(&c->told, 2);
    nap(200);
    ck_assert_uint_eq(value(&c->told), 2);
    ck_assert_int_eq(c->told_status, LMAIL_OK);
    ck_assert_str_eq(c->told_error, "");
    ck_assert_uint_eq(value(&c->readings), 2);
    ck_assert_int_eq(c->on_the_loop, 0);
    serves();
    set(0, 1);
    kill(getpid(), SIGUSR2);
    wait_until(&c->told, 3);
    ck_assert_int_eq(c->told_status, LMAIL_ERR_IO);
    ck_assert_str_ne(c->told_error, "");
    serves();
    stop();
    end();
    remove_folder();
}
END_TEST

/* Open mailboxes lie where they lay: half of the mail would be at another place. */
START_TEST(test_mail_that_would_move_takes_a_restart)
{
    static const char *const moved[] = {"store.location = /elsewhere/%u\n",
                                        "store.home = /elsewhere/%u\n"};
    begin();
    for (unsigned i = 0; i < 2; i++) {
        char before[sizeof c->text];
        memcpy(before, c->text, sizeof before);
        snprintf(c->text, sizeof c->text, "%s", moved[i]);
        strncat(c->text, before, sizeof c->text - strlen(c->text) - 1);
        kill(getpid(), SIGUSR2);
        wait_until(&c->told, 2 * i + 1);
        ck_assert_int_eq(c->told_status, LMAIL_ERR_ARG);
        ck_assert_msg(strncmp(c->told_error, moved[i], strcspn(moved[i], " ")) == 0 &&
                          strstr(c->told_error, "to \"/elsewhere/%u\", which takes a restart"),
                      "%s", c->told_error);
        serves();
        memcpy(c->text, before, sizeof before);
        kill(getpid(), SIGUSR2);
        wait_until(&c->told, 2 * i + 2);
        ck_assert_int_eq(c->told_status, LMAIL_OK);
    }
    stop();
    end();
    remove_folder();
}
END_TEST

/* broken: whether it comes to something when the disk answers at last. */
START_TEST(test_a_reading_that_hangs_keeps_nobody)
{
    time_t before = time(NULL);
    begin();
    set(1, _i);
    kill(getpid(), SIGUSR2);
    wait_until(&c->readers, 1);
    stop();
    end();
    ck_assert_int_lt(time(NULL) - before, 8);
    ck_assert_uint_eq(value(&c->readers), 1);
    set(0, _i);
    wait_until(&c->readers, 0);
    nap(500);
    ck_assert_uint_eq(value(&c->told), 0);
    remove_folder();
}
END_TEST

/* It ends between the stop and the free. */
START_TEST(test_a_reading_that_ends_late_is_nobodys)
{
    begin();
    set(1, 0);
    kill(getpid(), SIGUSR2);
    wait_until(&c->readers, 1);
    stop();
    set(0, 0);
    end();
    ck_assert_uint_eq(value(&c->told), 0);
    remove_folder();
}
END_TEST

Suite *service_reload_suite(void)
{
    Suite *s = suite_create("service_reload");
    TCase *t = tcase_create("signals");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_signals_while_one_is_read_ask_for_one_more);
    tcase_add_test(t, test_mail_that_would_move_takes_a_restart);
    tcase_add_loop_test(t, test_a_reading_that_hangs_keeps_nobody, 0, 2);
    tcase_add_test(t, test_a_reading_that_ends_late_is_nobodys);
    suite_add_tcase(s, t);
    return s;
}
