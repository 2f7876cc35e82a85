/* Texts of db_dump: as db5.3_dump writes them of what saslpasswd2 made, and damaged ones. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include <libmail/host/accounts.h>

typedef struct seen {
    char text[1024];
    size_t len;
    unsigned stop_after, records;
} seen;

static void put(seen *s, const char *what, lmail_str text)
{
    s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%s%.*s", what,
                               (int)text.len, text.ptr);
}

static int note(void *user, const lmail_sasldb_record *r)
{
    seen *s = user;
    char line[32];
    snprintf(line, sizeof line, "%lu:", r->line);
    put(s, line, r->user);
    put(s, "@", r->realm);
    put(s, " ", r->property);
    put(s, "=", r->value);
    put(s, "\n", LMAIL_STR(""));
    return ++s->records == s->stop_after;
}

static void fault(void *user, const lmail_accounts_fault *f)
{
    char line[32];
    snprintf(line, sizeof line, "%lu! ", f->line);
    put(user, line, f->what);
    put(user, "\n", LMAIL_STR(""));
}

#define BYTES "VERSION=3\nformat=bytevalue\ntype=hash\nh_nelem=4\ndb_pagesize=4096\nHEADER=END\n"
#define PRINT "VERSION=3\nformat=print\ntype=hash\ndb_pagesize=4096\nHEADER=END\n"

static const struct {
    const char *text, *said;
    lmail_status status;
} dumps[] = {
    {BYTES " 6a75616e006d782e6578616d706c650075736572506173737764\n 7365637265746f\n"
           " 616e61000075736572506173737764\n 78\nDATA=END\n",
     "7:juan@mx.example userPasswd=secreto\n9:ana@ userPasswd=x\n", LMAIL_OK},
    {PRINT " juan\\00mx.example\\00userPassword\n a\\\\b\\3a \\c3\\B1\nDATA=END\n",
     "6:juan@mx.example userPassword=a\\b: \303\261\n", LMAIL_OK},
    {PRINT " juan\\00mx\\00userPassword\\00\n x\nDATA=END\n", "6:juan@mx userPassword=x\n",
     LMAIL_OK},
    {PRINT " juan\\00mx\n x\n \\00mx\\00p\n x\n a\\00b\\00c\\00d\n x\n ana\\00mx\\00p\n \\zz\n"
           " eva\\00\\00p\n \nDATA=END\n",
     "6! this is no key of a sasldb2\n8! this is no key of a sasldb2\n"
     "10! this is no key of a sasldb2\n13! this value is damaged\n14:eva@ p=\n",
     LMAIL_OK},
    {PRINT " juan\\00mx\\00p\n", "6! the dump breaks off here\n", LMAIL_ERR_SYNTAX},
    {PRINT " juan\\00mx\\00p\n x\n", "6:juan@mx p=x\n7! the dump breaks off here\n",
     LMAIL_ERR_SYNTAX},
    {"juan:x\n", "0! this is no text of db_dump: make it with db5.3_dump /etc/sasldb2\n",
     LMAIL_ERR_SYNTAX},
    {"", "0! this is no text of db_dump: make it with db5.3_dump /etc/sasldb2\n", LMAIL_ERR_SYNTAX},
    {"format=print\nformat=bytevalue\nHEADER=END\nDATA=END\n",
     "0! this is no text of db_dump: make it with db5.3_dump /etc/sasldb2\n", LMAIL_ERR_SYNTAX},
};

START_TEST(a_dump_is_read_record_by_record)
{
    seen s = {"", 0, 0, 0};
    ck_assert_int_eq(lmail_sasldb_read(lmail_str_from(dumps[_i].text), note, fault, &s),
                     dumps[_i].status);
    ck_assert_str_eq(s.text, dumps[_i].said);
}
END_TEST

START_TEST(who_has_seen_enough_says_so)
{
    seen s = {"", 0, 1, 0};
    ck_assert_int_eq(lmail_sasldb_read(lmail_str_from(dumps[0].text), note, NULL, &s), LMAIL_OK);
    ck_assert_uint_eq(s.records, 1);
}
END_TEST

START_TEST(an_accounts_secrets_are_compared_with_a_password)
{
    static const struct {
        const char *line;
        lmail_status right, wrong;
    } rows[] = {
        {"juan:!::::::secret=cGVuY2ls", LMAIL_OK, LMAIL_ERR_DENIED},
        {"juan:{PLAIN}pencil", LMAIL_OK, LMAIL_ERR_DENIED},
        {"juan:!::::::scram_sha_1=4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,"
         "D+CSWLOshSulAsxiupA+qs2/fTE=",
         LMAIL_OK, LMAIL_ERR_DENIED},
        {"juan:!::::::", LMAIL_ERR_NOTFOUND, LMAIL_ERR_NOTFOUND},
    };
    lmail_accounts *a;
    lmail_account found;
    ck_assert_int_eq(lmail_accounts_from_text(&a, lmail_str_from(rows[_i].line), NULL), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_find(a, LMAIL_STR("juan"), &found), LMAIL_OK);
    ck_assert_int_eq(lmail_account_secret_check(&found, LMAIL_STR("pencil")), rows[_i].right);
    ck_assert_int_eq(lmail_account_secret_check(&found, LMAIL_STR("pencils")), rows[_i].wrong);
    lmail_accounts_release(a, &found);
    lmail_accounts_free(a);
}
END_TEST

Suite *auth_sasldb_suite(void)
{
    Suite *suite = suite_create("auth_sasldb");
    TCase *tc = tcase_create("dumps");
    tcase_add_loop_test(tc, a_dump_is_read_record_by_record, 0, sizeof dumps / sizeof dumps[0]);
    tcase_add_test(tc, who_has_seen_enough_says_so);
    tcase_add_loop_test(tc, an_accounts_secrets_are_compared_with_a_password, 0, 4);
    suite_add_tcase(suite, tc);
    return suite;
}
