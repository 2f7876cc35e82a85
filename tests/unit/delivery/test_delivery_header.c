/* Headers rewritten as they stream by: what changes, what is added, and that nothing else does. */
#include <libmail/delivery_header.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "tables_world.h"

static tables_world world;
static lmail_delivery_header_config config;
static char out[1 << 20];
static size_t out_len, out_max;

static lmail_status take(void *ctx, lmail_str octets)
{
    (void)ctx;
    if (octets.len > out_max - out_len)
        return LMAIL_ERR_FULL;
    memcpy(out + out_len, octets.ptr, octets.len);
    out_len += octets.len;
    return LMAIL_OK;
}

static void setup(void)
{
    static const lmail_str root[] = {{"root", 4}};
    tables_world_init(&world, "midominio.com.mx old.example");
    world.config.masquerade_as = LMAIL_STR("midominio.com.mx");
    world.config.exposed_users = (lmail_policy_names){root, 1, {{NULL, 0}, {NULL, 0}}};
    world.config.domaintable = tables_world_file("domaintable", "viejo.example nuevo.example\n");
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_OK);
    lmail_delivery_header_config_init(&config);
    config.tables = world.tables;
    config.remove = 1;
    config.sink = take;
    out_max = sizeof out;
}

static void teardown(void)
{
    tables_world_done(&world);
}

/* A message in two pieces. What came of it, terminated. */
static const char *through(lmail_str message, size_t cut, int *changed)
{
    lmail_delivery_header *h;
    lmail_status st = LMAIL_OK;
    const lmail_str pieces[] = {{message.ptr, cut}, {message.ptr + cut, message.len - cut}};
    out_len = 0;
    ck_assert_int_eq(lmail_delivery_header_new(&h, &config), LMAIL_OK);
    for (size_t i = 0; i < 2; i++) {
        size_t used;
        st = lmail_delivery_header_feed(h, pieces[i], &used);
        ck_assert(st == LMAIL_END || (st == LMAIL_OK && used == pieces[i].len));
        take(NULL, (lmail_str){pieces[i].ptr + used, pieces[i].len - used});
    }
    ck_assert_int_eq(lmail_delivery_header_end(h), LMAIL_OK);
    *changed = lmail_delivery_header_changed(h);
    lmail_delivery_header_free(h);
    out[out_len] = 0;
    return out;
}

/* want NULL: octet for octet. */
static void expect(const char *message, const char *want)
{
    const size_t len = strlen(message);
    for (size_t cut = 0; cut <= len; cut++) {
        int changed;
        const char *got = through((lmail_str){message, len}, cut, &changed);
        ck_assert_msg(strcmp(got, want ? want : message) == 0, "cut %zu: {%s} became {%s}", cut,
                      message, got);
        ck_assert_int_eq(changed, want != NULL);
    }
}

START_TEST(addresses_of_ours_are_rewritten_and_nothing_else)
{
    static const struct row {
        const char *in, *out; /* NULL: the same */
    } rows[] = {
        {"From: juan@correo.midominio.com.mx\r\n\r\nFrom: juan@correo.midominio.com.mx\r\n",
         "From: juan@midominio.com.mx\r\n\r\nFrom: juan@correo.midominio.com.mx\r\n"},
        {"To: juan@correo.midominio.com.mx\r\nCc: ana@old.example\r\n\r\n", NULL},
        {"From: root@correo.midominio.com.mx\r\n\r\n", NULL},
        {"From: x@elsewhere.example (juan@correo.midominio.com.mx)\r\n\r\n", NULL},
        {"Subject: juan@correo.midominio.com.mx\r\nReturn-Receipt-To: juan\r\n\r\n", NULL},
        {"to: ana\r\nCC:bob ,\r\n\t(c) eva@b.example\r\n\r\n",
         "to: ana@correo.midominio.com.mx\r\nCC:bob@correo.midominio.com.mx ,\r\n\t(c) "
         "eva@b.example\r\n\r\n"},
        {"fRoM : =?utf-8?q?Jos=C3=A9?= <juan>, \"a, (b\" <x@y.example>\r\n\r\n",
         "fRoM : =?utf-8?q?Jos=C3=A9?= <juan@midominio.com.mx>, \"a, (b\" "
         "<x@y.example>\r\n\r\n"},
        {"To: undisclosed-recipients:;, g: ana, x@y.example;\r\n\r\n",
         "To: undisclosed-recipients:;, g: ana@correo.midominio.com.mx, x@y.example;\r\n\r\n"},
        {"To: a@viejo.example\r\nX: 1\r\n\r\n", "To: a@nuevo.example\r\nX: 1\r\n\r\n"},
        {"From: juan\nTo: b@c.example\n\nbody",
         "From: juan@midominio.com.mx\nTo: b@c.example\n\nbody"},
        {"From: \xff\xfe <juan>\r\n\r\n", "From: \xff\xfe <juan@midominio.com.mx>\r\n\r\n"},
        {"From: \"unended juan\r\n\r\nbody", NULL},
        {"From: \r\n\r\n", NULL},
        {"From:\r\n\r\n", NULL},
        {"From: juan", "From: juan@midominio.com.mx"},
        {"From: juan\r\n", "From: juan@midominio.com.mx\r\n"},
        {"From: juan\r\n\t\r\n\r\n", "From: juan@midominio.com.mx\r\n\t\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i].in, rows[i].out);
}
END_TEST

START_TEST(bcc_goes_with_all_its_lines)
{
    expect(
        "Bcc: a@b.example,\r\n c@d.example\r\nTo: x@y.example\r\nRESENT-BCC : z\r\n\r\nBcc: q\r\n",
        "To: x@y.example\r\n\r\nBcc: q\r\n");
    expect("X-Bcc: a\r\nBccc: b\r\n\r\n", NULL);
    expect("To: x@y.example\r\nBcc: a", "To: x@y.example\r\n");
    config.remove = 0;
    expect("Bcc: a\r\n\r\n", NULL);
}
END_TEST

START_TEST(what_is_missing_is_added_behind_the_other_fields)
{
    static const struct row {
        const char *in, *out;
    } rows[] = {
        {"Subject: x\r\n\r\nDate: body\r\n", "Subject: x\r\nD F M\r\nDate: body\r\n"},
        {"\r\nhello\r\n", "D F M\r\nhello\r\n"},
        {"DATE: x\r\nfrom: a@b.example\r\n\r\n", "DATE: x\r\nfrom: a@b.example\r\nM\r\n"},
        {"message-id : <1@x>\r\n\r\n.\r\n", "message-id : <1@x>\r\nD F \r\n.\r\n"},
        {"Date: x\r\nFrom: a@b.example\r\nMessage-Id: y\r\n\r\nz\r\n", NULL},
        {"Resent-Date: x\r\nX-Message-ID: y\r\nResent-From: a@b.example\r\n\r\n",
         "Resent-Date: x\r\nX-Message-ID: y\r\nResent-From: a@b.example\r\nD F M\r\n"},
        {"X: Date: no\r\n Message-ID: no\r\n\r\n", "X: Date: no\r\n Message-ID: no\r\nD F M\r\n"},
        {"Subject: x", NULL}, /* not even a line end */
        {"Subject: x\r\n", "Subject: x\r\nD F M"},
        {"", "D F M"},
        {"no header at all\r\nBcc: x\r\n\r\nbody\r\n", NULL},
        {": no name\r\n\r\n", NULL},
        {" begins with a blank\r\n\r\n", NULL},
        {"\rX: y\r\n\r\n", NULL},
        /* Nobody knows whether that is a header: its fields are treated as such. */
        {"From juan Tue Nov 24 08:00:00 2026\r\nBcc: x\r\n\r\n",
         "From juan Tue Nov 24 08:00:00 2026\r\n\r\n"},
        {"Subject: x\r\nrubbish\r\nBcc: x\r\nand more\r\n and more\r\n\r\n",
         "Subject: x\r\nrubbish\r\nand more\r\n and more\r\n\r\n"},
    };
    char want[600];
    config.date = LMAIL_STR("now");
    config.from = LMAIL_STR("juan");
    config.message_id = LMAIL_STR("<1@correo.midominio.com.mx>");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *p = rows[i].out;
        size_t n = 0;
        want[0] = 0;
        for (; p && *p; p++) {
            const char *word =
                strncmp(p, "D F ", 4) == 0 ? "Date: now\r\nFrom: juan@midominio.com.mx\r\n" : NULL;
            if (word)
                p += 3;
            else if (p[0] == 'M' && (p[1] == '\r' || !p[1]))
                word = "Message-ID: <1@correo.midominio.com.mx>\r\n";
            n += (size_t)snprintf(want + n, sizeof want - n, word ? "%s" : "%.1s", word ? word : p);
        }
        /* the line end behind M is the empty line's */
        expect(rows[i].in, rows[i].out ? want : NULL);
    }
}
END_TEST

START_TEST(a_list_that_grew_is_folded_at_commas)
{
    static char in[60000];
    size_t n = (size_t)snprintf(in, sizeof in, "To: ");
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(in + n, sizeof in - n, "%suser%d", i ? "," : "", i);
    n += (size_t)snprintf(in + n, sizeof in - n, "\r\n\r\n");
    int changed;
    const char *p = through((lmail_str){in, n}, n / 2, &changed);
    size_t count = 0;
    ck_assert(changed);
    for (const char *at = p; (at = strstr(at, "@correo.midominio.com.mx")) != NULL; at++)
        count++;
    ck_assert_uint_eq(count, 1000);
    for (const char *line = p; *line;) {
        const char *end = strstr(line, "\r\n");
        ck_assert_ptr_nonnull(end);
        ck_assert_int_le(end - line, 78);
        ck_assert(end == line || line == p || *line == ' ');
        line = end + 2;
    }
}
END_TEST

START_TEST(a_field_above_the_limit_passes_and_holds_no_memory)
{
    static char in[300000];
    int changed;
    memset(in, ',', sizeof in);
    memcpy(in, "From: juan,", 11);
    memcpy(in + sizeof in - 8, "juan\r\n\r\n", 8);
    count_alloc counts = {0};
    config.alloc = count_alloc_table(&counts);
    through((lmail_str){in, sizeof in}, 100000, &changed);
    ck_assert(!changed);
    ck_assert_uint_eq(out_len, sizeof in);
    ck_assert_int_eq(memcmp(in, out, sizeof in), 0);
    ck_assert_uint_lt(counts.peak, 300000);
    memcpy(in, "Bcc:", 4);
    through((lmail_str){in, sizeof in}, 100000, &changed);
    ck_assert(changed);
    ck_assert_uint_eq(out_len, 2);
}
END_TEST

START_TEST(any_octet_is_survived_and_passes)
{
    static char in[70000];
    unsigned random = 1;
    int changed;
    config.tables = NULL;
    config.remove = 0;
    for (int round = 0; round < 300; round++) {
        static const char some[] = "\r\n\r\n: \t,;<>@()\"\\\0aFrom:To:\xff=?";
        size_t len = 0;
        while (len < 400) {
            random = random * 1103515245u + 12345u;
            in[len++] = some[(random >> 16) % (sizeof some - 1)];
        }
        through((lmail_str){in, len}, random % len, &changed);
        ck_assert(!changed && out_len == len && memcmp(in, out, len) == 0);
        config.tables = world.tables;
        through((lmail_str){in, len}, random % len, &changed);
        ck_assert(changed || (out_len == len && memcmp(in, out, len) == 0));
        config.tables = NULL;
    }
}
END_TEST

START_TEST(failures_are_told)
{
    lmail_delivery_header *h;
    const lmail_str message = LMAIL_STR("Bcc: x\r\nFrom: juan\r\nTo: ana\r\n\r\n");
    size_t used, len;
    int changed;
    config.date = LMAIL_STR("a\nb");
    ck_assert_int_eq(lmail_delivery_header_new(&h, &config), LMAIL_ERR_ARG);
    config.date = LMAIL_STR("now");
    through(message, 3, &changed);
    len = out_len;
    for (out_max = 0; out_max < len; out_max++) {
        out_len = 0;
        ck_assert_int_eq(lmail_delivery_header_new(&h, &config), LMAIL_OK);
        ck_assert_int_eq(lmail_delivery_header_feed(h, message, &used), LMAIL_ERR_FULL);
        ck_assert_int_eq(lmail_delivery_header_end(h), LMAIL_ERR_FULL);
        lmail_delivery_header_free(h);
    }
    out_max = sizeof out;
    for (int fail = 1;; fail++) {
        count_alloc counts = {.fail_at = (size_t)fail};
        config.alloc = count_alloc_table(&counts);
        lmail_status st = lmail_delivery_header_new(&h, &config);
        out_len = 0;
        if (!st)
            st = lmail_delivery_header_feed(h, message, &used);
        lmail_delivery_header_free(h);
        ck_assert_uint_eq(counts.live, 0);
        if (st == LMAIL_END)
            break;
        ck_assert_int_eq(st, LMAIL_ERR_NOMEM);
    }
    config.size = 0;
    ck_assert_int_eq(lmail_delivery_header_new(&h, &config), LMAIL_ERR_SIZE);
}
END_TEST

Suite *delivery_header_suite(void)
{
    Suite *s = suite_create("delivery_header");
    TCase *t = tcase_create("header");
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, addresses_of_ours_are_rewritten_and_nothing_else);
    tcase_add_test(t, bcc_goes_with_all_its_lines);
    tcase_add_test(t, what_is_missing_is_added_behind_the_other_fields);
    tcase_add_test(t, a_list_that_grew_is_folded_at_commas);
    tcase_add_test(t, a_field_above_the_limit_passes_and_holds_no_memory);
    tcase_add_test(t, any_octet_is_survived_and_passes);
    tcase_add_test(t, failures_are_told);
    return s;
}
