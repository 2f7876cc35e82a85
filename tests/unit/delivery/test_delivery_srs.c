/* The Sender Rewriting Scheme: postsrsd's own examples, both ways, and what strangers may write. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include <libmail/srs.h>

Suite *delivery_srs_suite(void);

#define DAY 86400
#define NOW (1577836860ll) /* 2020-01-01: day 2W */

/* HMAC-SHA-1 of what the examples hash, by another program. */
static const struct {
    const char *key, *data, *digest;
} known[] = {
    {"tops3cr3t", "2wotherdomain.comtest",
     "\xbe\x6c\xb3\xec\x1c\x1a\x57\xb0\x45\xb0\x98\x9a\x65\x32\x5e\x25\xa4\x05\xd9\x8b"},
    {"tops3cr3t", "otherdomain.com=opaque+string",
     "\x72\x16\x88\x7c\x87\x2f\x8c\x94\xf8\x66\x0f\xa8\xe3\xd3\x73\xd6\x5c\x02\x00\x1c"},
    {"tops3cr3t", "thirddomain.com=opaque+string",
     "\x24\x80\x57\x91\xf9\x8a\xe9\x66\x24\x16\xd1\x36\xb0\x52\xde\x76\x65\x6a\x5c\xc1"},
    {"old", "2wotherdomain.comtest",
     "\xc8\xc6\x1e\x5c\x9b\xec\xef\x77\xa2\xaa\xf8\x95\xfd\xd4\x74\xea\xaf\x77\xd2\xb5"},
};

/* Other data: some mixture of key and data; the library only compares. */
static lmail_status hash(void *ctx, lmail_str key, lmail_str data, unsigned char out[20])
{
    unsigned h = 2166136261u;
    if (ctx)
        return LMAIL_ERR_IO;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (lmail_str_equal(key, lmail_str_from(known[i].key)) &&
            lmail_str_equal(data, lmail_str_from(known[i].data))) {
            memcpy(out, known[i].digest, 20);
            return LMAIL_OK;
        }
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.ptr[i]) * 16777619u;
    for (size_t i = 0; i < data.len; i++)
        h = (h ^ (unsigned char)data.ptr[i]) * 16777619u;
    for (unsigned i = 0; i < 20; i++) {
        h = (h ^ i) * 16777619u;
        out[i] = (unsigned char)(h >> 24);
    }
    return LMAIL_OK;
}

static const lmail_str secrets[] = {{"tops3cr3t", 9}, {"old", 3}};

static lmail_srs_config usual(void)
{
    lmail_srs_config c = LMAIL_SRS_CONFIG_INIT;
    c.hmac_sha1 = hash;
    c.secrets = secrets;
    c.secret_count = 1;
    c.domain = LMAIL_STR("example.com");
    return c;
}

typedef lmail_status way(const lmail_srs_config *, lmail_str, int64_t, char *, size_t, size_t *);

/* The address made, or the error's name. */
static const char *made(way *to, const lmail_srs_config *c, const char *address, int64_t now)
{
    static char out[1200];
    size_t n;
    lmail_status st = to(c, lmail_str_from(address), now, out, sizeof out - 1, &n);
    if (st)
        return lmail_status_name(st);
    out[n] = '\0';
    return out;
}

static const struct {
    const char *sender, *expected;
} out_rows[] = {
    {"test@otherdomain.com", "SRS0=vmyz=2W=otherdomain.com=test@example.com"},
    {"Test@OtherDomain.com", "SRS0=vmyz=2W=OtherDomain.com=Test@example.com"},
    {"SRS0=opaque+string@otherdomain.com", "SRS1=chaI=otherdomain.com==opaque+string@example.com"},
    {"SRS1=X=thirddomain.com==opaque+string@otherdomain.com",
     "SRS1=JIBX=thirddomain.com==opaque+string@example.com"},
    {"user@example.com", "user@example.com"},
    {"user@EXAMPLE.COM", "user@EXAMPLE.COM"},
    {"SRS0=x=y=z=u@example.com", "SRS0=x=y=z=u@example.com"},
    {"\"a b\"@otherdomain.com", "LMAIL_ERR_UNSUPPORTED"},
    {"", "LMAIL_ERR_ARG"},
    {"user", "LMAIL_ERR_ARG"},
    {"@otherdomain.com", "LMAIL_ERR_ARG"},
    {"user@", "LMAIL_ERR_ARG"},
};

START_TEST(a_sender_becomes_ours)
{
    lmail_srs_config c = usual();
    ck_assert_str_eq(made(lmail_srs_forward, &c, out_rows[_i].sender, NOW), out_rows[_i].expected);
}
END_TEST

static const struct {
    const char *address, *expected;
    int days; /* from NOW */
} back_rows[] = {
    {"SRS0=vmyz=2W=otherdomain.com=test@example.com", "test@otherdomain.com", 0},
    {"srs0=VMYZ=2w=OTHERDOMAIN.com=TEST@example.com", "TEST@OTHERDOMAIN.com", 21},
    {"SRS0+vmyz=2W=otherdomain.com=test@example.com", "test@otherdomain.com", 1},
    {"SRS0-vmyz=2W=otherdomain.com=test@example.com", "test@otherdomain.com", 1},
    {"SRS0=vmyz7B=2W=otherdomain.com=test@example.com", "test@otherdomain.com", 0},
    {"SRS1=chaI=otherdomain.com==opaque+string@example.com", "SRS0=opaque+string@otherdomain.com",
     900},
    /* time */
    {"SRS0=vmyz=2W=otherdomain.com=test@example.com", "LMAIL_ERR_STALE", 22},
    {"SRS0=vmyz=2W=otherdomain.com=test@example.com", "LMAIL_ERR_STALE", -1},
    {"SRS0=vmyz=2W=otherdomain.com=test@example.com", "test@otherdomain.com", 1024},
    /* made up */
    {"SRS0=vmya=2W=otherdomain.com=test@example.com", "LMAIL_ERR_DENIED", 0},
    {"SRS0=vmyz=2X=otherdomain.com=test@example.com", "LMAIL_ERR_DENIED", 1},
    {"SRS0=vmyz=2W=otherdomain.com=other@example.com", "LMAIL_ERR_DENIED", 0},
    {"SRS0=vmyz=2W=evil.example=test@example.com", "LMAIL_ERR_DENIED", 0},
    {"SRS0=vmy=2W=otherdomain.com=test@example.com", "LMAIL_ERR_DENIED", 0}, /* too short */
    {"SRS0==2W=otherdomain.com=test@example.com", "LMAIL_ERR_DENIED", 0},
    {"SRS0=vmyz7BwaV7BFsJiaZTJeJaQF2Ys=2W=otherdomain.com=test@example.com", "test@otherdomain.com",
     0},
    {"SRS0=vmyz7BwaV7BFsJiaZTJeJaQF2Ysx=2W=otherdomain.com=test@example.com", "LMAIL_ERR_DENIED",
     0},
    {"SRS1=chaX=otherdomain.com==opaque+string@example.com", "LMAIL_ERR_DENIED", 0},
    /* no such shape */
    {"SRS0=vmyz=2W=otherdomain.com@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS0=vmyz=2W=otherdomain.com=@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS0=vmyz=2W==test@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS0=vmyz=2=otherdomain.com=test@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS0=vmyz@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS0=@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS1=chaI=otherdomain.com=opaque@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS1=chaI==x@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS1=chaI=otherdomain.com==@example.com", "LMAIL_ERR_SYNTAX", 0},
    {"SRS0@example.com", "LMAIL_ERR_NOTFOUND", 0},
    {"SRS2=a=b=c=d@example.com", "LMAIL_ERR_NOTFOUND", 0},
    {"SRS0xvmyz=2W=otherdomain.com=test@example.com", "LMAIL_ERR_NOTFOUND", 0},
    {"srs@example.com", "LMAIL_ERR_NOTFOUND", 0},
    {"user", "LMAIL_ERR_NOTFOUND", 0},
    {"", "LMAIL_ERR_NOTFOUND", 0},
};

START_TEST(an_address_of_ours_leads_back)
{
    lmail_srs_config c = usual();
    ck_assert_str_eq(
        made(lmail_srs_reverse, &c, back_rows[_i].address, NOW + (int64_t)back_rows[_i].days * DAY),
        back_rows[_i].expected);
}
END_TEST

START_TEST(a_day_that_is_none_is_no_day)
{
    lmail_srs_config c = usual();
    char address[100];
    static const char *const days[] = {"1W", "W8", "=W", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        snprintf(address, sizeof address, "SRS0=aaaa=%s=h.example=u@example.com", days[i]);
        const char *got = made(lmail_srs_reverse, &c, address, NOW);
        ck_assert(strcmp(got, "LMAIL_ERR_DENIED") == 0 || strcmp(got, "LMAIL_ERR_SYNTAX") == 0);
    }
}
END_TEST

START_TEST(what_goes_out_comes_back)
{
    lmail_srs_config c = usual();
    char there[1200];
    static const char *const senders[] = {"a=b=c@x.example",    "a+b@x.example",
                                          "SRS0x@x.example",    "SRS1=@x.example",
                                          "\xc3\xb1@x.example", "a@b@c"};
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
        snprintf(there, sizeof there, "%s", made(lmail_srs_forward, &c, senders[i], NOW));
        ck_assert_str_eq(made(lmail_srs_reverse, &c, there, NOW + 20 * DAY), senders[i]);
    }
    /* twice: through another forwarder and us */
    snprintf(there, sizeof there, "%s",
             made(lmail_srs_forward, &c, "SRS0=abcd=2W=x.example=u@other.example", NOW));
    ck_assert_str_eq(made(lmail_srs_reverse, &c, there, NOW + 500 * DAY),
                     "SRS0=abcd=2W=x.example=u@other.example");
}
END_TEST

START_TEST(an_old_secret_reads_and_does_not_write)
{
    lmail_srs_config c = usual(), before = usual();
    char there[1200];
    before.secrets = &secrets[1];
    snprintf(there, sizeof there, "%s",
             made(lmail_srs_forward, &before, "test@otherdomain.com", NOW));
    ck_assert_str_ne(there, "SRS0=vmyz=2W=otherdomain.com=test@example.com");
    ck_assert_str_eq(made(lmail_srs_reverse, &c, there, NOW), "LMAIL_ERR_DENIED");
    c.secret_count = 2;
    ck_assert_str_eq(made(lmail_srs_reverse, &c, there, NOW), "test@otherdomain.com");
    ck_assert_str_eq(made(lmail_srs_forward, &c, "test@otherdomain.com", NOW),
                     "SRS0=vmyz=2W=otherdomain.com=test@example.com");
}
END_TEST

START_TEST(limits_and_mistakes_of_the_host)
{
    lmail_srs_config c = usual();
    char out[46], large[600];
    size_t n;
    lmail_str sender = LMAIL_STR("test@otherdomain.com");
    ck_assert_int_eq(lmail_srs_forward(&c, sender, NOW, out, 44, &n), LMAIL_ERR_LIMIT);
    ck_assert_uint_eq(n, 45);
    ck_assert_int_eq(lmail_srs_forward(&c, sender, NOW, out, 45, &n), LMAIL_OK);
    memset(large, 'a', sizeof large);
    large[500] = '@';
    ck_assert_int_eq(
        lmail_srs_forward(&c, (lmail_str){large, sizeof large}, NOW, out, sizeof out, &n),
        LMAIL_ERR_LIMIT);
    ck_assert_int_eq(
        lmail_srs_reverse(&c, (lmail_str){large, sizeof large}, NOW, out, sizeof out, &n),
        LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmail_srs_forward(&c, sender, -1, out, sizeof out, &n), LMAIL_ERR_ARG);
    c.ctx = &c;
    ck_assert_int_eq(lmail_srs_forward(&c, sender, NOW, out, sizeof out, &n), LMAIL_ERR_IO);
    c = usual();
    c.secret_count = 0;
    ck_assert_int_eq(lmail_srs_forward(&c, sender, NOW, out, sizeof out, &n), LMAIL_ERR_ARG);
    c = usual();
    c.hash_length = 28;
    ck_assert_int_eq(lmail_srs_forward(&c, sender, NOW, out, sizeof out, &n), LMAIL_ERR_ARG);
    c = usual();
    c.size++;
    ck_assert_int_eq(lmail_srs_forward(&c, sender, NOW, out, sizeof out, &n), LMAIL_ERR_SIZE);
    c = usual();
    c.hash_length = 10;
    ck_assert_str_eq(made(lmail_srs_forward, &c, "test@otherdomain.com", NOW),
                     "SRS0=vmyz7BwaV7=2W=otherdomain.com=test@example.com");
    ck_assert_str_eq(
        made(lmail_srs_reverse, &c, "SRS0=vmyz=2W=otherdomain.com=test@example.com", NOW),
        "LMAIL_ERR_DENIED");
}
END_TEST

Suite *delivery_srs_suite(void)
{
    Suite *s = suite_create("delivery_srs");
    TCase *t = tcase_create("srs");
    tcase_add_loop_test(t, a_sender_becomes_ours, 0, (int)(sizeof out_rows / sizeof *out_rows));
    tcase_add_loop_test(t, an_address_of_ours_leads_back, 0,
                        (int)(sizeof back_rows / sizeof *back_rows));
    tcase_add_test(t, a_day_that_is_none_is_no_day);
    tcase_add_test(t, what_goes_out_comes_back);
    tcase_add_test(t, an_old_secret_reads_and_does_not_write);
    tcase_add_test(t, limits_and_mistakes_of_the_host);
    suite_add_tcase(s, t);
    return s;
}
