/* The files that settings name: read, missing, damaged; complaints come in one stream. */
#include <check.h>
#include <libmail/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "vectors.h"

Suite *config_files_suite(void);

typedef struct world {
    const char *files[16]; /* name, text, ... */
    char said[8192];
    unsigned asked_name, is_public;
    int open;
} world;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    world *w = ctx;
    for (size_t i = 0; i < 16 && w->files[i]; i += 2)
        if (lmail_str_equal(name, lmail_str_from(w->files[i]))) {
            *octets = lmail_str_from(w->files[i + 1]);
            w->open++;
            return LMAIL_OK;
        }
    return LMAIL_ERR_NOTFOUND;
}

static void close_file(void *ctx, lmail_str octets)
{
    world *w = ctx;
    (void)octets;
    w->open--;
}

static void note(void *ctx, const lmail_diagnostic *d)
{
    world *w = ctx;
    size_t n = strlen(w->said);
    snprintf(w->said + n, sizeof w->said - n, "%.*s:%zu: %c: %.*s\n", (int)d->file.len, d->file.ptr,
             d->line, "NWE"[d->severity], (int)d -> text.len, d->text.ptr);
}

static lmail_str machine_name(void *ctx)
{
    ((world *)ctx)->asked_name = 1;
    return LMAIL_STR("own.example");
}

static int is_public(void *ctx, lmail_str name)
{
    (void)name;
    return ((const world *)ctx)->is_public != 0;
}

static lmail_status load(world *w, lmail_config **out, const lmail_alloc *alloc)
{
    static const lmail_str addresses[] = {{"192.0.2.9", 9}};
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    w->said[0] = '\0';
    io.ctx = w;
    io.open = open_file;
    io.close = close_file;
    io.diagnostic = note;
    io.machine_name = machine_name;
    io.machine_addresses = addresses;
    io.machine_address_count = 1;
    io.is_public = is_public;
    lmail_status st = lmail_config_load(out, lmail_str_from(w->files[0]), &io, alloc);
    ck_assert_int_eq(w->open, 0);
    return st;
}

/* What the policy says of a recipient of a client without a name. */
static lmail_policy_verdict_kind rcpt(const lmail_config *c, const char *client, const char *to)
{
    lmail_policy_peer peer = LMAIL_POLICY_PEER_INIT;
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    lmail_policy_verdict v;
    peer.address = lmail_str_from(client);
    peer.name_state = LMAIL_POLICY_NAME_NONE;
    q.peer = &peer;
    q.sender = LMAIL_STR("a@sender.example");
    q.sender_domain = LMAIL_POLICY_YES;
    q.recipient = lmail_str_from(to);
    q.recipient_mx = LMAIL_POLICY_NO;
    ck_assert_int_eq(lmail_policy_rcpt(lmail_config_policy(c), &q, &v), LMAIL_OK);
    return v.kind;
}

START_TEST(an_empty_file_relays_for_nobody)
{
    world w = {.files = {"a.conf", ""}};
    lmail_config *c;
    ck_assert_int_eq(load(&w, &c, NULL), LMAIL_OK);
    ck_assert_str_eq(w.said, "");
    ck_assert_uint_eq(w.asked_name, 1);
    ck_assert_int_eq(rcpt(c, "203.0.113.1", "u@own.example"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(rcpt(c, "203.0.113.1", "u@[192.0.2.9]"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(rcpt(c, "203.0.113.1", "u@elsewhere.example"), LMAIL_POLICY_DENY);
    lmail_config_free(c);
}
END_TEST

START_TEST(each_class_and_map_is_read_beside_the_file_that_names_it)
{
    world w = {.files = {"etc/a.conf",
                         "hostname = mx.example\ndomains = one.example\n"
                         "policy {\nlocal_domains = two.example\nlocal_host_names = w\n"
                         "relay_domains = three.example\nrelay_domain_files = r, -gone, r2\n"
                         "access = access.db\naddress_literals = no\n}\n",
                         "etc/w", "four.example\n", "etc/r", "five.example\n", "etc/r2",
                         "# words\n  six.example second\n", "etc/access",
                         "Connect:203.0.113.7\tRELAY\n"}};
    static const struct {
        const char *to;
        lmail_policy_verdict_kind kind;
    } cases[] = {{"u@mx.example", LMAIL_POLICY_LOCAL},    {"u@one.example", LMAIL_POLICY_LOCAL},
                 {"u@two.example", LMAIL_POLICY_LOCAL},   {"u@four.example", LMAIL_POLICY_LOCAL},
                 {"u@three.example", LMAIL_POLICY_RELAY}, {"u@five.example", LMAIL_POLICY_RELAY},
                 {"u@six.example", LMAIL_POLICY_RELAY},   {"u@second", LMAIL_POLICY_DENY},
                 {"u@[192.0.2.9]", LMAIL_POLICY_DENY}};
    lmail_config *c;
    ck_assert_msg(load(&w, &c, NULL) == LMAIL_OK, "%s", w.said);
    ck_assert_str_eq(w.said, "etc/r2:2: W: one entry a line, what follows the first word is "
                             "ignored\n");
    ck_assert_uint_eq(w.asked_name, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(rcpt(c, "203.0.113.1", cases[i].to) == cases[i].kind, "%s", cases[i].to);
    ck_assert_int_eq(rcpt(c, "203.0.113.7", "u@elsewhere.example"), LMAIL_POLICY_RELAY);
    lmail_config_free(c);
}
END_TEST

static const struct complaint {
    const char *conf;
    const char *more[4];
    const char *said;
} complaints[] = {
    {"policy.access = /a\n", {NULL}, "a.conf:1: E: cannot read /a: no such thing\n"},
    {"policy.access = -/a\n", {NULL}, "a.conf:1: N: /a is missing; it counts as empty\n"},
    {"policy.access = -/a.db\n",
     {"/a.db", "x"},
     "a.conf:1: E: /a.db is there, but not its text file /a, which is what libmail reads\n"},
    {"policy.access = /a\n",
     {"/a", "From:x@y ERROR:5.7.1:250 ok\nConect:1 OK\n"},
     "/a:1: E: a refusal needs a reply code of 4xx or 5xx: \"5.7.1:250 ok\"\n"
     "/a:2: W: unknown tag \"Conect:\", did you mean Connect:\n"},
    {"\npolicy.promiscuous_relay = yes\n",
     {NULL},
     "a.conf:2: W: open relay: promiscuous_relay lets anybody send anywhere\n"},
    {"\nrouting.smart_host = a b\n",
     {NULL},
     "a.conf:2: E: the smart host is not understood: a b\n"},
    {"routing.mailertable = /m\npolicy.access = /a\n",
     {"/a", "From:x@y ERROR:5.7.1:250 ok\n", "/m", "x.example error:5.1.1:250 ok\n"},
     NULL},
};

START_TEST(a_complaint_about_a_file_is_one_of_the_load)
{
    const struct complaint *k = &complaints[_i];
    world w = {.files = {"a.conf", k->conf, k->more[0], k->more[1], k->more[2], k->more[3]}};
    lmail_config *c;
    lmail_status st = load(&w, &c, NULL);
    if (k->said)
        ck_assert_str_eq(w.said, k->said);
    else /* the tables are looked at even when the policy is faulty */
        ck_assert_msg(strstr(w.said, "/a:1: E: ") && strstr(w.said, "/m:1: E: "), "%s", w.said);
    ck_assert_int_eq(st, strstr(w.said, ": E: ") ? LMAIL_ERR_SYNTAX : LMAIL_OK);
    if (!st)
        lmail_config_free(c);
}
END_TEST

START_TEST(secrets_that_all_can_read_are_an_error)
{
    world w = {
        .files = {"a.conf", "policy.access = /a\n", "/a", "AuthInfo:h.example \"U:a\" \"P:b\"\n"},
        .is_public = 1};
    lmail_config *c;
    ck_assert_int_eq(load(&w, &c, NULL), LMAIL_ERR_SYNTAX);
    ck_assert_ptr_nonnull(strstr(w.said, "/a:1: E: "));
    ck_assert_ptr_null(strstr(w.said, "P:b"));
    w.is_public = 0;
    ck_assert_int_eq(load(&w, &c, NULL), LMAIL_OK);
    lmail_config_free(c);
}
END_TEST

static void guide_world(world *w, char *texts[4])
{
    static const char *const names[] = {"guide/sendmail.mc", "guide/access",
                                        "guide/local-host-names", "guide/relay-domains"};
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < 4; i++)
        texts[i] = vectors_read(names[i], NULL);
    const char *files[] = {"a.conf",
                           "hostname = correo.midominio.com.mx\nsendmail_mc = x.mc\n",
                           "x.mc",
                           texts[0],
                           "/etc/mail/access",
                           texts[1],
                           "/etc/mail/local-host-names",
                           texts[2],
                           "/etc/mail/relay-domains",
                           texts[3]};
    memcpy(w->files, files, sizeof files);
}

START_TEST(the_guides_policy_is_what_it_says)
{
    char *texts[4];
    world w;
    lmail_config *c;
    guide_world(&w, texts);
    ck_assert_msg(load(&w, &c, NULL) == LMAIL_OK, "%s", w.said);
    ck_assert_int_eq(rcpt(c, "203.0.113.1", "juan@midominio.com.mx"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(rcpt(c, "203.0.113.1", "x@elsewhere.example"), LMAIL_POLICY_DENY);
    ck_assert_int_eq(rcpt(c, "207.249.24.30", "x@elsewhere.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(rcpt(c, "203.0.113.1", "u@otro.midominio.com.mx"), LMAIL_POLICY_RELAY);
    lmail_policy_role role = LMAIL_POLICY_HEADER_SENDER;
    char out[256];
    size_t made;
    ck_assert_int_eq(lmail_policy_tables_rewrite(
                         lmail_config_tables(c), role, LMAIL_POLICY_DELIVERY_SMTP,
                         LMAIL_STR("juan@correo.midominio.com.mx"), out, sizeof out, &made),
                     LMAIL_OK);
    ck_assert(lmail_str_equal((lmail_str){out, made}, LMAIL_STR("juan@midominio.com.mx")));
    lmail_config_free(c);
    for (size_t i = 0; i < 4; i++)
        free(texts[i]);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    char *texts[4];
    world w;
    lmail_config *c;
    guide_world(&w, texts);
    for (size_t at = 1;; at++) {
        count_alloc count = {0};
        lmail_alloc alloc = count_alloc_table(&count);
        count.fail_at = at;
        lmail_status st = load(&w, &c, &alloc);
        if (!st)
            lmail_config_free(c);
        ck_assert_uint_eq(count.live, 0);
        ck_assert_uint_eq(count.lies, 0);
        if (!count.failed)
            break;
        ck_assert_msg(st == LMAIL_ERR_NOMEM, "request %zu: %d %s", at, st, w.said);
    }
    for (size_t i = 0; i < 4; i++)
        free(texts[i]);
}
END_TEST

Suite *config_files_suite(void)
{
    Suite *s = suite_create("config_files");
    TCase *t = tcase_create("files");
    tcase_add_test(t, an_empty_file_relays_for_nobody);
    tcase_add_test(t, each_class_and_map_is_read_beside_the_file_that_names_it);
    tcase_add_loop_test(t, a_complaint_about_a_file_is_one_of_the_load, 0,
                        sizeof complaints / sizeof *complaints);
    tcase_add_test(t, secrets_that_all_can_read_are_an_error);
    tcase_add_test(t, the_guides_policy_is_what_it_says);
    tcase_add_test(t, every_allocation_may_fail);
    suite_add_tcase(s, t);
    return s;
}
