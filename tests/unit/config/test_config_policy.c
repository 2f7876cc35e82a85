/* The policy that a configuration makes: files beside the file that names them, missing ones,
 * switches, who is trusted. */
#include <libmail/config.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

typedef struct file {
    const char *name, *text;
} file;

typedef struct world {
    const file *files;
    char said[2000];
    size_t opened, closed;
    unsigned open_to_all;
} world;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    world *w = ctx;
    for (const file *f = w->files; f->name; f++)
        if (lmail_str_equal(name, lmail_str_from(f->name))) {
            *octets = lmail_str_from(f->text);
            w->opened++;
            return LMAIL_OK;
        }
    return LMAIL_ERR_NOTFOUND;
}

static void close_file(void *ctx, lmail_str octets)
{
    world *w = ctx;
    (void)octets;
    w->closed++;
}

static void note(void *ctx, const lmail_diagnostic *d)
{
    world *w = ctx;
    size_t n = strlen(w->said);
    snprintf(w->said + n, sizeof w->said - n, "%.*s:%zu: %.*s\n", (int)d->file.len, d->file.ptr,
             d->line, (int)d->text.len, d->text.ptr);
}

static int is_public(void *ctx, lmail_str name)
{
    (void)name;
    return (int)((world *)ctx)->open_to_all;
}

static lmail_str machine_name(void *ctx)
{
    (void)ctx;
    return LMAIL_STR("machine.example");
}

static lmail_status load(world *w, const file *files, lmail_config **out)
{
    static const lmail_str addresses[] = {{"192.0.2.9", 9}};
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    w->files = files;
    io.ctx = w;
    io.open = open_file;
    io.close = close_file;
    io.diagnostic = note;
    io.is_public = is_public;
    io.machine_name = machine_name;
    io.machine_addresses = addresses;
    io.machine_address_count = 1;
    lmail_status st = lmail_config_load(out, lmail_str_from(files->name), &io, NULL);
    ck_assert_uint_eq(w->opened, w->closed);
    return st;
}

/* May a stranger, logged in with `mechanism` if it is not NULL, send to that recipient? */
static lmail_policy_verdict_kind ask(const lmail_config *c, const char *address,
                                     const char *mechanism, const char *to)
{
    lmail_policy_peer peer;
    lmail_policy_question q;
    lmail_policy_verdict v;
    lmail_policy_peer_init(&peer);
    lmail_policy_question_init(&q);
    peer.address = lmail_str_from(address);
    peer.name_state = LMAIL_POLICY_NAME_NONE;
    peer.mechanism = lmail_str_from(mechanism);
    q.peer = &peer;
    q.sender = LMAIL_STR("a@sender.example");
    q.sender_domain = LMAIL_POLICY_YES;
    q.recipient = lmail_str_from(to);
    ck_assert_int_eq(lmail_policy_rcpt(lmail_config_policy(c), &q, &v), LMAIL_OK);
    return v.kind;
}

START_TEST(nothing_configured_relays_for_users_and_itself_alone)
{
    world w = {0};
    lmail_config *c;
    const file files[] = {{"a.conf", ""}, {NULL, NULL}};
    ck_assert_int_eq(load(&w, files, &c), LMAIL_OK);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@machine.example"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@[192.0.2.9]"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@elsewhere.example"), LMAIL_POLICY_DENY);
    ck_assert_int_eq(ask(c, "203.0.113.1", "PLAIN", "u@elsewhere.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", "ANONYMOUS", "u@elsewhere.example"), LMAIL_POLICY_DENY);
    ck_assert_int_eq(ask(c, "127.0.0.1", NULL, "u@elsewhere.example"), LMAIL_POLICY_RELAY);
    lmail_config_free(c);
}
END_TEST

START_TEST(files_lie_beside_the_one_that_names_them)
{
    world w = {0};
    lmail_config *c;
    const file files[] = {
        {"/etc/a.conf", "hostname = mx.example\ndomains = one.example\n"
                        "policy {\n access = mail/access.db\n local_host_names = names\n"
                        " address_literals = no\n blocklist_recipients = yes\n"
                        " relay_domain_files = r1 -gone r2\n trusted_mechanisms = CRAM-MD5\n}\n"},
        {"/etc/mail/access", "To:bad@one.example REJECT\nTo:to.example RELAY\n"},
        {"/etc/names", "two.example\n"},
        {"/etc/r1", "r1.example\n"},
        {"/etc/r2", "# more\n r2.example  \r\n\n"},
        {NULL, NULL}};
    ck_assert_int_eq(load(&w, files, &c), LMAIL_OK);
    ck_assert_str_eq(w.said, "");
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@one.example"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@two.example"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@mx.example"), LMAIL_POLICY_LOCAL);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "bad@one.example"), LMAIL_POLICY_DENY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@to.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@r1.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@r2.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@[192.0.2.9]"), LMAIL_POLICY_DENY);
    ck_assert_int_eq(ask(c, "203.0.113.1", "CRAM-MD5", "u@x.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", "PLAIN", "u@x.example"), LMAIL_POLICY_DENY);
    lmail_config_free(c);
}
END_TEST

START_TEST(what_is_wrong_with_a_file_is_said_with_its_place)
{
    static const struct {
        const char *conf, *access;
        unsigned open_to_all;
        lmail_status status;
        const char *said;
    } cases[] = {
        {"policy.access = gone.db\n", NULL, 0, LMAIL_ERR_SYNTAX,
         "a.conf:1: cannot read gone: no such thing; the text that the .db was made from is "
         "needed\n"},
        {"\npolicy.access = gone\n", NULL, 0, LMAIL_ERR_SYNTAX,
         "a.conf:2: cannot read gone: no such thing\n"},
        {"policy.access = -gone\n", NULL, 0, LMAIL_OK,
         "a.conf:1: gone is missing; it counts as empty\n"},
        {"policy.access = map\n", "\nConnect:192.0.2.1 299 fine\n", 0, LMAIL_ERR_SYNTAX, "map:2: "},
        {"policy.access = map\n", "Connect: 192.0.2.1 OK\n", 0, LMAIL_OK,
         "map:1: blank after tag, read as \"Connect:192.0.2.1\"\n"},
        {"policy.access = map\n", "AuthInfo:x.example \"U:u\" \"P:p\"\n", 1, LMAIL_ERR_SYNTAX,
         "map:"},
        {"policy.access = map\n", "AuthInfo:x.example \"U:u\" \"P:p\"\n", 0, LMAIL_OK, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w = {0};
        lmail_config *c = NULL;
        const file files[] = {{"a.conf", cases[i].conf}, {"map", cases[i].access}, {NULL, NULL}};
        w.open_to_all = cases[i].open_to_all;
        const file some[] = {files[0], {NULL, NULL}};
        lmail_status st = load(&w, cases[i].access ? files : some, &c);
        ck_assert_msg(st == cases[i].status, "case %zu: %s", i, w.said);
        size_t len = strlen(cases[i].said);
        int whole = len == 0 || cases[i].said[len - 1] == '\n';
        ck_assert_msg(strncmp(w.said, cases[i].said, len) == 0 && (!whole || !w.said[len]),
                      "case %zu: %s", i, w.said);
        if (!st)
            lmail_config_free(c);
    }
}
END_TEST

START_TEST(virtual_domains_are_relayed_for)
{
    world w = {0};
    lmail_config *c;
    const file files[] = {{"/etc/a.conf", "hostname = mx.example\nrouting {\n"
                                          " virtuser_domains = v1.example\n"
                                          " virtuser_domain_files = v2 v3\n}\n"},
                          {"/etc/v2", "v2.example\n"},
                          {"/etc/v3", "# none\nV3.example\n"},
                          {NULL, NULL}};
    ck_assert_int_eq(load(&w, files, &c), LMAIL_OK);
    ck_assert_str_eq(w.said, "");
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@v1.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@sub.v2.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@v3.example"), LMAIL_POLICY_RELAY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@v4.example"), LMAIL_POLICY_DENY);
    lmail_config_free(c);
}
END_TEST

START_TEST(a_second_word_on_a_line_is_told_in_every_file)
{
    world w = {0};
    lmail_config *c;
    const file files[] = {{"/etc/a.conf", "policy.relay_domain_files = r1 r2\n"
                                          "routing.virtuser_domain_files = v1 v2\n"},
                          {"/etc/r1", "r1.example one\n"},
                          {"/etc/r2", "# a comment\n  r2.example \t two\r\nr3.example  \n"},
                          {"/etc/v1", "v1.example one\n"},
                          {"/etc/v2", "v2.example two\n"},
                          {NULL, NULL}};
    ck_assert_int_eq(load(&w, files, &c), LMAIL_OK);
    ck_assert_str_eq(w.said, "/etc/r2:2: one entry a line, what follows the first word is ignored\n"
                             "/etc/r1:1: one entry a line, what follows the first word is ignored\n"
                             "/etc/v2:1: one entry a line, what follows the first word is ignored\n"
                             "/etc/v1:1: a second word is ignored: one\n");
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@two"), LMAIL_POLICY_DENY);
    ck_assert_int_eq(ask(c, "203.0.113.1", NULL, "u@r3.example"), LMAIL_POLICY_RELAY);
    lmail_config_free(c);
}
END_TEST

Suite *config_policy_suite(void)
{
    Suite *s = suite_create("config_policy");
    TCase *c = tcase_create("policy");
    tcase_add_test(c, nothing_configured_relays_for_users_and_itself_alone);
    tcase_add_test(c, files_lie_beside_the_one_that_names_them);
    tcase_add_test(c, virtual_domains_are_relayed_for);
    tcase_add_test(c, a_second_word_on_a_line_is_told_in_every_file);
    tcase_add_test(c, what_is_wrong_with_a_file_is_said_with_its_place);
    suite_add_tcase(s, c);
    return s;
}
