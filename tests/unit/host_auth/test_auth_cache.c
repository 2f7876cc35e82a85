/* Passwords that were right a moment ago: remembered for their time and not longer, and only as long
 * as the account's record is the one that they were checked against. */
#include "host/auth/auth_internal.h"

#include <check.h>
#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define S(s) LMAIL_STR(s)

static lmi_auth_cache *cache;

static void set_up(void)
{
    ck_assert_int_eq(lmi_auth_cache_new(&cache, 1000), LMAIL_OK);
}

static void tear_down(void)
{
    lmi_auth_cache_free(cache);
}

static void tag_of(const lmi_auth_cache *c, const char *name, const char *field,
                   const char *password, unsigned char tag[LMI_TAG])
{
    lmi_auth_hash hash;
    ck_assert_ptr_null(lmi_auth_hash_parse(lmail_str_from(field), &hash));
    ck_assert(lmi_auth_cache_tag(c, lmail_str_from(name), &hash, lmail_str_from(password), tag));
}

static int has(const char *name, const char *field, const char *password, lmail_msec now)
{
    unsigned char tag[LMI_TAG];
    tag_of(cache, name, field, password, tag);
    return lmi_auth_cache_has(cache, tag, now);
}

static void put(const char *name, const char *field, const char *password, lmail_msec now)
{
    unsigned char tag[LMI_TAG];
    tag_of(cache, name, field, password, tag);
    lmi_auth_cache_put(cache, tag, now);
}

START_TEST(only_the_very_same_check_is_remembered)
{
    put("ana", "{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "123456", 10);
    ck_assert(has("ana", "{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "123456", 10));
    ck_assert(!has("ana", "{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "12345", 10));
    ck_assert(!has("ana", "{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "1234567", 10));
    ck_assert(!has("ana", "{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "", 10));
    ck_assert(!has("an", "{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "123456", 10));
    ck_assert(!has("ana", "{SHA}8sBDkdL7gYh0vQ6lHhZzYpYkSnQ=", "123456", 10)); /* changed */
    ck_assert(!has("ana", "{SHA1}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "123456", 10));
}
END_TEST

/* The same octets cut in another place are another check. */
START_TEST(parts_do_not_run_together)
{
    unsigned char a[LMI_TAG], b[LMI_TAG];
    tag_of(cache, "ana", "{CRYPT}x", "ypass", a);
    tag_of(cache, "ana", "{CRYPT}xy", "pass", b);
    ck_assert_mem_ne(a, b, LMI_TAG);
}
END_TEST

START_TEST(every_process_has_a_key_of_its_own)
{
    unsigned char a[LMI_TAG], b[LMI_TAG];
    lmi_auth_cache *other;
    ck_assert_int_eq(lmi_auth_cache_new(&other, 1000), LMAIL_OK);
    tag_of(cache, "ana", "{CRYPT}x", "pass", a);
    tag_of(other, "ana", "{CRYPT}x", "pass", b);
    ck_assert_mem_ne(a, b, LMI_TAG);
    lmi_auth_cache_free(other);
}
END_TEST

START_TEST(it_is_forgotten_when_its_time_is_over)
{
    put("ana", "{CRYPT}x", "pass", 10);
    ck_assert(has("ana", "{CRYPT}x", "pass", 1009));
    ck_assert(!has("ana", "{CRYPT}x", "pass", 1010));
    put("ana", "{CRYPT}x", "pass", 1010); /* again, for as long */
    ck_assert(has("ana", "{CRYPT}x", "pass", 2009));
    lmi_auth_cache_end(cache);
    ck_assert(!has("ana", "{CRYPT}x", "pass", 1011));
    put("ana", "{CRYPT}x", "pass", 1012);
    ck_assert(!has("ana", "{CRYPT}x", "pass", 1012));
}
END_TEST

static unsigned left(const unsigned char tag[LMI_TAG])
{
    /* The table has no pointer in it: what is wiped is nowhere. */
    return memmem(cache, 512 * 4 * 40, tag, LMI_TAG) != NULL;
}

START_TEST(what_is_over_is_wiped)
{
    unsigned char tag[LMI_TAG];
    tag_of(cache, "ana", "{CRYPT}x", "pass", tag);
    lmi_auth_cache_put(cache, tag, 10);
    lmi_auth_cache_tidy(cache, 1009);
    ck_assert(left(tag));
    lmi_auth_cache_tidy(cache, 1010);
    ck_assert(!left(tag));
    lmi_auth_cache_put(cache, tag, 1010);
    lmi_auth_cache_end(cache);
    ck_assert(!left(tag));
}
END_TEST

START_TEST(many_names_push_out_the_oldest_and_nothing_else_happens)
{
    char name[32];
    unsigned remembered = 0;
    for (int i = 0; i < 6000; i++) {
        snprintf(name, sizeof name, "user%d", i);
        put(name, "{CRYPT}x", "pass", 10);
        ck_assert(has(name, "{CRYPT}x", "pass", 10));
    }
    for (int i = 0; i < 6000; i++) {
        snprintf(name, sizeof name, "user%d", i);
        remembered += (unsigned)has(name, "{CRYPT}x", "pass", 10);
        ck_assert(!has(name, "{CRYPT}x", "wrong", 10));
    }
    ck_assert_uint_gt(remembered, 1500);
    ck_assert_uint_le(remembered, 2048);
}
END_TEST

/* ---- Behind the account file ------------------------------------------------------------------ */

static char dir[64], path[96];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/auth_cache.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/accounts", dir);
}

static void remove_dir(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* A hash that costs enough to be told from a MAC. */
static void write_account(const char *password, const char *extra)
{
    struct crypt_data work;
    char setting[CRYPT_GENSALT_OUTPUT_SIZE], temporary[128];
    memset(&work, 0, sizeof work);
    ck_assert_ptr_nonnull(
        crypt_gensalt_rn("$6$", 200000, "0123456789abcdef0123", 20, setting, sizeof setting));
    const char *hash = crypt_r(password, setting, &work);
    ck_assert_ptr_nonnull(hash);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "ana:{CRYPT}%s::::::%s\n", hash, extra);
    ck_assert_int_eq(fchmod(fileno(file), 0600), 0);
    fclose(file);
    ck_assert_int_eq(rename(temporary, path), 0);
}

static lmail_accounts *open_accounts(lmail_msec remember)
{
    lmail_accounts *a;
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    cfg.default_domain = S("example.org");
    cfg.remember = remember;
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), &cfg), LMAIL_OK);
    return a;
}

/* What came out, and the processor time it took. */
static lmail_status verify(lmail_accounts *a, const char *name, const char *password,
                           double *seconds)
{
    lmail_account account;
    clock_t before = clock();
    lmail_status st =
        lmail_accounts_verify(a, lmail_str_from(name), lmail_str_from(password), &account);
    *seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
    if (st == LMAIL_OK) {
        ck_assert(lmail_str_equal(account.name, S("ana")));
        lmail_accounts_release(a, &account);
    }
    return st;
}

START_TEST(the_second_login_costs_next_to_nothing)
{
    double first, second, other, wrong, again, never;
    write_account("right", "");
    lmail_accounts *a = open_accounts(60000);
    ck_assert_int_eq(verify(a, "ana", "right", &first), LMAIL_OK);
    ck_assert_int_eq(verify(a, "ana", "right", &second), LMAIL_OK);
    ck_assert_int_eq(verify(a, "Ana@Example.ORG", "right", &other), LMAIL_OK); /* same record */
    ck_assert_double_lt(second, first / 4);
    ck_assert_double_lt(other, first / 4);
    /* A wrong one costs what it always does, however often it comes. */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(verify(a, "ana", "wrong", &wrong), LMAIL_ERR_DENIED);
        ck_assert_double_gt(wrong, first / 4);
    }
    lmail_accounts_forget(a, 0);
    ck_assert_int_eq(verify(a, "ana", "right", &second), LMAIL_OK);
    ck_assert_double_lt(second, first / 4);
    lmail_accounts_forget(a, 1);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(verify(a, "ana", "right", &again), LMAIL_OK);
        ck_assert_double_gt(again, first / 4);
    }
    lmail_accounts_free(a);
    a = open_accounts(0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(verify(a, "ana", "right", &never), LMAIL_OK);
        ck_assert_double_gt(never, first / 4);
    }
    lmail_accounts_free(a);
}
END_TEST

START_TEST(a_changed_record_holds_at_the_next_login)
{
    double took;
    write_account("old", "");
    lmail_accounts *a = open_accounts(60000);
    ck_assert_int_eq(verify(a, "ana", "old", &took), LMAIL_OK);
    ck_assert_int_eq(verify(a, "ana", "old", &took), LMAIL_OK);
    write_account("new", "");
    ck_assert_int_eq(verify(a, "ana", "old", &took), LMAIL_ERR_DENIED);
    ck_assert_int_eq(verify(a, "ana", "new", &took), LMAIL_OK);
    ck_assert_int_eq(verify(a, "ana", "old", &took), LMAIL_ERR_DENIED);
    write_account("new", "disabled=1"); /* the same hash */
    ck_assert_int_eq(verify(a, "ana", "new", &took), LMAIL_ERR_DENIED);
    write_account("new", "");
    ck_assert_int_eq(verify(a, "ana", "new", &took), LMAIL_OK);
    FILE *file = fopen(path, "w"); /* gone */
    ck_assert_ptr_nonnull(file);
    fclose(file);
    ck_assert_int_eq(verify(a, "ana", "new", &took), LMAIL_ERR_DENIED);
    lmail_accounts_free(a);
}
END_TEST

Suite *auth_cache_suite(void)
{
    Suite *s = suite_create("auth_cache");
    TCase *t = tcase_create("table");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, only_the_very_same_check_is_remembered);
    tcase_add_test(t, parts_do_not_run_together);
    tcase_add_test(t, every_process_has_a_key_of_its_own);
    tcase_add_test(t, it_is_forgotten_when_its_time_is_over);
    tcase_add_test(t, what_is_over_is_wiped);
    tcase_add_test(t, many_names_push_out_the_oldest_and_nothing_else_happens);
    suite_add_tcase(s, t);
    t = tcase_create("file");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_second_login_costs_next_to_nothing);
    tcase_add_test(t, a_changed_record_holds_at_the_next_login);
    suite_add_tcase(s, t);
    return s;
}
