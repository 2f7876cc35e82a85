/* One reading of the configuration: domains, names, what is made once, and faults by name. */
#include "host/service/service_files.h"
#include "host/service/service_internal.h"
#include "host_service.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static lmail_service service;
static char error[512];

static void setup(void)
{
    char path[100];
    memset(&service, 0, sizeof service);
    lmail_host_env(&service.env);
    lmail_files_disk(&service.files);
    snprintf(path, sizeof path, "%s/mail", folder());
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void teardown(void)
{
    remove_folder();
}

static lmi_rules *rules_of(const char *text)
{
    lmi_rules *r = NULL;
    lmail_config *config = config_from(text);
    ck_assert_ptr_nonnull(config);
    error[0] = '\0';
    if (lmi_rules_new(&r, &service, config, error, sizeof error))
        lmail_config_free(config); /* it stayed the caller's */
    return r;
}

START_TEST(test_local_domains)
{
    lmi_rules *r = rules_of("domains = example.test, Other.test\n");
    ck_assert_msg(r, "%s", error);
    ck_assert(lmi_rules_local_domain(r, LMAIL_STR("EXAMPLE.test")));
    ck_assert(lmi_rules_local_domain(r, LMAIL_STR("other.test")));
    ck_assert(lmi_rules_local_domain(r, LMAIL_STR("mx.test"))); /* the host's own name */
    ck_assert(!lmi_rules_local_domain(r, LMAIL_STR("sub.example.test")));
    ck_assert(!lmi_rules_local_domain(r, LMAIL_STR("example.test\0")));
    ck_assert(!lmi_rules_local_domain(r, LMAIL_STR("")));
    lmi_rules_release(r);
    r = rules_of("domains =\n"); /* then the host name is the domain */
    ck_assert_msg(r, "%s", error);
    ck_assert(lmi_rules_local_domain(r, LMAIL_STR("MX.test")));
    ck_assert(!lmi_rules_local_domain(r, LMAIL_STR("example.test")));
    lmi_rules_release(r);
}
END_TEST

START_TEST(test_faults_are_named)
{
    char long_name[300], text[1200];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    static const struct row {
        const char *text, *says;
    } rows[] = {
        {"auth.mechanisms = PLAIN, NTLM\n", "unknown mechanism NTLM"},
        {"tls.certificate = /nowhere/c.pem\ntls.key = /nowhere/k.pem\n", "/nowhere/c.pem"},
        {"tls.client_ca = /nowhere/ca.pem\n", "/nowhere/ca.pem"},
        {"hostname = b@d\n", "b@d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_ptr_null(rules_of(rows[i].text));
        ck_assert_msg(strstr(error, rows[i].says), "\"%s\" is not in \"%s\"", rows[i].says, error);
    }
    snprintf(text, sizeof text, "hostname = %s\n", long_name);
    ck_assert_ptr_null(config_from(text));
    snprintf(text, sizeof text, "tls.certificate = /%s%s\ntls.key = /k\n", long_name, long_name);
    ck_assert_ptr_null(rules_of(text));
    ck_assert_msg(strstr(error, "tls.certificate"), "%s", error);
}
END_TEST

START_TEST(test_a_damaged_salt_is_no_salt)
{
    char path[100];
    snprintf(path, sizeof path, "%s/mail/salt.key", folder());
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs("short", f);
    fclose(f);
    ck_assert_ptr_null(rules_of(""));
    ck_assert_msg(strstr(error, "salt.key"), "%s", error);
}
END_TEST

static lmail_str read_whole(const char *name)
{
    char path[100];
    lmail_str text;
    snprintf(path, sizeof path, "%s/mail/%s", folder(), name);
    ck_assert_int_eq(lmi_file_read(path, &text), LMAIL_OK);
    return text;
}

/* Four daemons that start at once end with one certificate, one key and one salt. */
START_TEST(test_what_is_made_once)
{
    static const char *const names[] = {"tls/certificate.pem", "tls/key.pem", "salt.key"};
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            lmi_rules *r = NULL;
            lmail_config *config = config_from("");
            _exit(!config || lmi_rules_new(&r, &service, config, error, sizeof error));
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    lmail_str before[3];
    for (int i = 0; i < 3; i++)
        before[i] = read_whole(names[i]);
    ck_assert_uint_eq(before[2].len, 32);
    lmi_rules *r = rules_of("");
    ck_assert_msg(r, "%s", error);
    lmi_rules_release(r);
    for (int i = 0; i < 3; i++) {
        lmail_str after = read_whole(names[i]);
        ck_assert(lmail_str_equal(before[i], after));
        lmi_file_free(after);
        lmi_file_free(before[i]);
    }
    struct stat st;
    char path[100];
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof path, "%s/mail/%s", folder(), names[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
    }
    /* and nothing else lies about */
    snprintf(path, sizeof path, "ls -A %s/mail | wc -l", folder());
    FILE *f = popen(path, "r");
    int count = 0;
    ck_assert_int_eq(fscanf(f, "%d", &count), 1);
    pclose(f);
    ck_assert_int_eq(count, 2);
}
END_TEST

/* Eight at once, with the certificate there already: each has used the salt that stays. */
START_TEST(test_one_salt_for_all)
{
    enum { N = 8 };
    int gate[2], told[2];
    char path[100], octets[N][32], c;
    lmi_rules *r = rules_of("");
    ck_assert_msg(r, "%s", error);
    lmi_rules_release(r);
    snprintf(path, sizeof path, "%s/mail/salt.key", folder());
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(pipe(gate), 0);
    ck_assert_int_eq(pipe(told), 0);
    for (int i = 0; i < N; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            lmail_config *config = config_from("");
            lmail_str text;
            close(gate[1]);
            if (read(gate[0], &c, 1) != 0 ||
                lmi_rules_new(&r, &service, config, error, sizeof error) ||
                lmi_file_read(path, &text) || text.len != 32 || write(told[1], text.ptr, 32) != 32)
                _exit(1);
            _exit(0);
        }
    }
    close(gate[1]); /* all begin */
    close(told[1]);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(read(told[0], octets[i], 32), 32);
        ck_assert_mem_eq(octets[i], octets[0], 32);
    }
    close(gate[0]);
    close(told[0]);
    while (wait(NULL) > 0)
        ;
}
END_TEST

START_TEST(test_the_machine_is_asked_for_its_name_once)
{
    strcpy(service.machine_name, "known.test");
    lmi_rules *r = rules_of("hostname =\n");
    ck_assert_msg(r, "%s", error);
    ck_assert_str_eq(r->hostname, "known.test");
    lmi_rules_release(r);
    r = rules_of("hostname = said.test\n");
    ck_assert_str_eq(r->hostname, "said.test");
    lmi_rules_release(r);
}
END_TEST

Suite *service_rules_suite(void)
{
    Suite *s = suite_create("service_rules");
    TCase *c = tcase_create("rules");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_local_domains);
    tcase_add_test(c, test_faults_are_named);
    tcase_add_test(c, test_a_damaged_salt_is_no_salt);
    tcase_add_test(c, test_what_is_made_once);
    tcase_add_test(c, test_one_salt_for_all);
    tcase_add_test(c, test_the_machine_is_asked_for_its_name_once);
    suite_add_tcase(s, c);
    return s;
}
