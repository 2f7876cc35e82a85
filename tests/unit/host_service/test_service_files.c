/* The administrator's files from elsewhere than the disk; the sockets of a configuration. */
#include <check.h>
#include <libmail/host/net.h>
#include <libmail/host/service.h>
#include <string.h>
#include <unistd.h>

/* Two files; how many are open now and were asked for. */
typedef struct cupboard {
    unsigned open, opened, asked;
} cupboard;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    cupboard *c = ctx;
    if (lmail_str_equal(name, LMAIL_STR("/main")))
        *octets = LMAIL_STR("include more\nsmtp.max_recipients = 7\n");
    else if (lmail_str_equal(name, LMAIL_STR("/more")))
        *octets = LMAIL_STR("listener a {\n protocol = smtp\n port = 2525\n address = 192.0.2.1, "
                            "2001:db8::1\n}\nlistener b {\n protocol = imap\n address = "
                            "unix:/run/b\n}\nlistener c {\n protocol = submission\n}\n");
    else
        return LMAIL_ERR_NOTFOUND;
    c->open++;
    c->opened++;
    return LMAIL_OK;
}

static void close_file(void *ctx, lmail_str octets)
{
    cupboard *c = ctx;
    (void)octets;
    c->open--;
}

static unsigned mode(void *ctx, lmail_str name)
{
    cupboard *c = ctx;
    (void)name;
    c->asked++;
    return 0;
}

static lmail_config *load(cupboard *c, const char *path, lmail_status expected)
{
    const lmail_files files = {sizeof files, c, open_file, close_file, mode, NULL};
    lmail_config *config = NULL;
    ck_assert_int_eq(lmail_config_load_from(&config, path, &files, NULL, NULL), expected);
    ck_assert_uint_eq(c->open, 0);
    return config;
}

START_TEST(test_configuration_from_memory)
{
    cupboard c = {0, 0, 0};
    lmail_config *config = load(&c, "/main", LMAIL_OK);
    ck_assert_uint_eq(c.opened, 2);
    ck_assert_uint_eq(lmail_config_settings(config)->smtp.max_recipients, 7);
    lmail_config_free(config);
    load(&c, "/absent", LMAIL_ERR_NOTFOUND);
}
END_TEST

START_TEST(test_sockets_in_their_order)
{
    static const struct {
        unsigned protocols;
        const char *listener, *where;
    } all[] = {
        {LMAIL_SERVICE_SMTP, "a", "192.0.2.1:2525"},
        {LMAIL_SERVICE_SMTP, "a", "[2001:db8::1]:2525"},
        {LMAIL_SERVICE_IMAP, "b", "unix:/run/b"},
        {LMAIL_SERVICE_SMTP, "c", "*:587"},
    };
    cupboard c = {0, 0, 0};
    lmail_config *config = load(&c, "/main", LMAIL_OK);
    for (unsigned protocols = 1; protocols < 8; protocols++) {
        lmail_service_socket at;
        size_t i = 0;
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
            if (!(all[k].protocols & protocols))
                continue;
            ck_assert_int_eq(
                lmail_service_socket_at(lmail_config_settings(config), protocols, i++, &at),
                LMAIL_OK);
            ck_assert_str_eq(at.where, all[k].where);
            ck_assert(lmail_str_equal(at.listener, lmail_str_from(all[k].listener)));
        }
        ck_assert_int_eq(lmail_service_socket_at(lmail_config_settings(config), protocols, i, &at),
                         LMAIL_END);
    }
    lmail_config_free(config);
}
END_TEST

START_TEST(test_a_bad_address_is_no_socket)
{
    char error[256] = "";
    int fd;
    ck_assert_int_eq(lmail_listener_bind("localhost:x", 0, &fd, error, sizeof error),
                     LMAIL_ERR_ARG);
    ck_assert_ptr_nonnull(strstr(error, "no address"));
}
END_TEST

Suite *service_files_suite(void)
{
    Suite *s = suite_create("service_files");
    TCase *t = tcase_create("files");
    tcase_add_test(t, test_configuration_from_memory);
    tcase_add_test(t, test_sockets_in_their_order);
    tcase_add_test(t, test_a_bad_address_is_no_socket);
    suite_add_tcase(s, t);
    return s;
}
