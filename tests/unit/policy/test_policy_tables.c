/* Routing and rewriting as measured: every row of the vectors; what a damaged line says; memory. */
#include "support/count_alloc.h"
#include "support/tables_world.h"
#include "support/vectors.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tables_world world;
static char *texts[8];
static size_t text_count;

static lmail_policy_file measured(const char *name)
{
    char path[64];
    size_t len;
    snprintf(path, sizeof path, "vectors/%s", name);
    char *text = texts[text_count++] = vectors_read(path, &len);
    return (lmail_policy_file){lmail_str_from(name), {text, len}};
}

static void free_texts(void)
{
    while (text_count)
        free(texts[--text_count]);
}

/* ---- Routing --------------------------------------------------------------------------------- */

static const char routing_local[] = "localhost.localdomain midominio.com.mx virt.example "
                                    "virt2.example";

static int has(const char *settings, const char *word)
{
    return strstr(settings, word) != NULL;
}

START_TEST(recipients_go_where_they_were_measured_to_go)
{
    vectors v = vectors_rows("vectors/routing.tsv");
    ck_assert_uint_ge(v.count, 31);
    for (size_t i = 0; i < v.count; i++) {
        const char *settings = v.rows[i].field[1];
        char got[512], expected[512], smart[64] = "";
        tables_world_init(&world, routing_local);
        if (has(settings, "virtusertable"))
            world.config.virtusertable = measured("virtusertable");
        if (has(settings, "mailertable"))
            world.config.mailertable = measured("mailertable");
        sscanf(settings, "SMART_HOST=%63[^+]", smart);
        world.config.smart_host = lmail_str_from(smart);
        tables_world_load(&world);
        ck_assert_int_eq(world.status, LMAIL_OK);
        tables_world_route(&world, v.rows[i].field[2], got, sizeof got);
        char *by = strstr(got, " by ");
        if (by)
            *by = 0;
        snprintf(expected, sizeof expected, "%s %s", v.rows[i].field[3], v.rows[i].field[4]);
        ck_assert_msg(strcmp(got, expected) == 0, "%s: %s, not %s", v.rows[i].field[0], got,
                      expected);
        tables_world_done(&world);
        free_texts();
    }
    vectors_done(&v);
}
END_TEST

/* The rest of the tables, where no row asks. */
static const struct {
    const char *address, *expected;
} more[] = {
    {"ventas@virt.example", "local ana"},
    {"cerrado@virt.example", "error 550 5.7.0 Direccion cerrada"},
    {"lista+@virt.example", "local ana+"},
    {"OtRo+Sub@virt.example", "smtp OtRo@otherdomain.example via [catchall.example]"},
    {"c@virt2.example", "local juan"},
    {"c+y@virt2.example", "local juan"},
    {"\"a\"@virt2.example", "local ana"},
    {"\"x y\"@virt.example", "smtp \"x y\"@otherdomain.example via [catchall.example]"},
    {"u@sub.exact.example", "smtp u@sub.exact.example via [catchall.example]"},
    {"u@a.b.suf.example", "smtp u@a.b.suf.example via hub.example by smtp"},
    {"u@suf.example", "smtp u@suf.example via [catchall.example]"},
    {"u@relay1.example.", "smtp u@relay1.example via [10.0.0.9] by relay"},
    {"u@[192.0.2.3]", "smtp u@[192.0.2.3] via [192.0.2.3]"},
    {"u@single", "smtp u@single via [catchall.example]"},
    {"Juan+X@localhost", "local juan+x"},
    {"postmaster", "local postmaster"},
    {"+x", "local +x"},
    {"u@.example", "error 553 5.1.2 Invalid host name"},
    {"u@a..example", "error 553 5.1.2 Invalid host name"},
    {"u@.", "error 553 5.1.2 Invalid host name"},
};

START_TEST(both_tables_together)
{
    char got[512];
    tables_world_init(&world, "midominio.com.mx virt.example virt2.example");
    world.config.virtusertable = measured("virtusertable");
    world.config.mailertable = measured("mailertable");
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_OK);
    ck_assert_str_eq(world.said,
                     "mailertable:6: warning: virt.example: the line never matches: the "
                     "domain is local\n");
    tables_world_route(&world, more[_i].address, got, sizeof got);
    ck_assert_str_eq(got, more[_i].expected);
    tables_world_done(&world);
    free_texts();
}
END_TEST

static const struct {
    const char *virtusers, *mailers, *domains, *smart_host, *address, *expected;
} ways[] = {
    /* domaintable first, for what is local and what is not */
    {"", "", "old.example  midominio.com.mx", "", "u@OLD.example", "local u"},
    {"", "", "old.example\tnew.example", "", "u@old.example", "smtp u@new.example via new.example"},
    {"a@virt.example b", "", "old.example virt.example", "", "a@old.example", "local b"},
    /* results are looked up again, circles end */
    {"a@virt.example b@virt.example\nb@virt.example c@virt.example\nc@virt.example juan", "", "",
     "", "a@virt.example", "local juan"},
    {"a@virt.example b@virt.example\nb@virt.example a@virt.example", "", "", "", "a@virt.example",
     "error 554 5.4.6 aliasing/forwarding loop broken"},
    {"a@virt.example a@virt.example", "", "", "", "a@virt.example", "local a"},
    {"@virt.example %1x@virt.example", "", "", "", "a@virt.example",
     "error 554 5.4.6 aliasing/forwarding loop broken"},
    /* arguments */
    {"@virt.example %1%3", "", "", "", "a+b@virt.example", "local a+b"},
    {"+*@virt.example z-%2", "", "", "", "a+b@virt.example", "local z-b"},
    {"a+b@virt.example %1-%0-100%%", "", "", "", "a+b@virt.example",
     "smtp a+b-a+b@virt.example-100% via virt.example-100%"},
    /* a stranger's local part chooses nothing */
    {"@virt.example %1", "", "", "", "x%evil.example@virt.example", "local x%evil.example"},
    {"@virt.example %1", "", "", "", "\"x@evil.example\"@virt.example", "local x@evil.example"},
    {"@virt.example %1", "", "", "", "\"|/bin/sh\"@virt.example", "local |/bin/sh"},
    /* replies */
    {"@virt.example error:nouser User unknown here", "", "", "", "a@virt.example",
     "error 553 5.1.1 User unknown here"},
    {"@virt.example error:nouser", "", "", "", "a@virt.example", "error 553 5.1.1 User unknown"},
    {"@virt.example error:tempfail later", "", "", "", "a@virt.example", "error 451 4.3.0 later"},
    {"@virt.example error:nohost:550 5.4.4 no", "", "", "", "a@virt.example", "error 550 5.4.4 no"},
    {"@virt.example ERROR:450 busy", "", "", "", "a@virt.example", "error 450 4.0.0 busy"},
    {"@virt.example error:closed # and locked", "", "", "", "a@virt.example",
     "error 553 5.3.0 closed # and locked"},
    /* mailertable */
    {"", "far.example esmtp:mx1.example:[mx2.example],[192.0.2.1],[IPv6:2001:db8::1]", "", "",
     "u@far.example",
     "smtp u@far.example via mx1.example,[mx2.example],[192.0.2.1],[IPv6:2001:db8::1]"},
    {"", ".far.example smtp:%1.inner", "", "", "u@a.b.far.example",
     "smtp u@a.b.far.example via a.b.inner by smtp"},
    {"", ". relay:%1", "", "", "u@a.b", "smtp u@a.b via a.b by relay"},
    {"", "far.example esmtp:boss@hub.example", "", "", "u@far.example",
     "smtp boss@hub.example via hub.example"},
    {"", "far.example local:juan@x", "", "", "u@far.example", "local juan"},
    {"", "far.example error:nohost no such host", "", "", "u@far.example",
     "error 553 5.1.2 no such host"},
    {"", "far.example esmtp:[mx1]", "", "", "u@far.example", "smtp u@far.example via [mx1]"},
    /* LMTP: ports and sockets */
    {"", "far.example lmtp:store.example", "", "", "u@far.example",
     "smtp u@far.example via store.example by lmtp"},
    {"", "far.example lmtp:[192.0.2.1]:2424:b.example,[IPv6:2001:db8::1]:24", "", "",
     "u@far.example",
     "smtp u@far.example via [192.0.2.1]@2424,b.example,[IPv6:2001:db8::1]@24 by lmtp"},
    {"", ".far.example LMTP:inet:%1.inner:2424", "", "", "u@a.far.example",
     "smtp u@a.far.example via a.inner@2424 by LMTP"},
    {"", "far.example lmtp:unix:/run/a:b,c@d", "", "", "u@far.example",
     "smtp u@far.example via /run/a:b,c@d by lmtp"},
    {"", ".far.example lmtp:/run/%1", "", "", "u@etc.far.example",
     "smtp u@etc.far.example via /run/%1 by lmtp"},
    {"", "far.example lmtp:store:65536", "", "", "u@far.example",
     "error 451 4.3.5 Local configuration error"},
    {"", "far.example lmtp:store:0", "", "", "u@far.example",
     "error 451 4.3.5 Local configuration error"},
    {"", "far.example lmtp:unix:", "", "", "u@far.example",
     "error 451 4.3.5 Local configuration error"},
    {"", "far.example smtp:/run/lmtp", "", "", "u@far.example",
     "error 451 4.3.5 Local configuration error"},
    {"", "far.example lmtp:store:24x", "", "", "u@far.example",
     "smtp u@far.example via store,24x by lmtp"},
    {"", "", "", "lmtp:unix:/run/lmtp", "u@any.example",
     "smtp u@any.example via /run/lmtp by lmtp"},
    /* smart host */
    {"", "", "", "smart.example", "u@any.example", "smtp u@any.example via smart.example by relay"},
    {"", "", "", "midominio.com.mx", "u@any.example", "smtp u@any.example via any.example"},
    {"", "", "", "relay:[192.0.2.9]", "u@any.example",
     "smtp u@any.example via [192.0.2.9] by relay"},
    {"", "", "", "local:root", "u@any.example", "local root"},
    {"", ". error:5.7.0:550 no", "", "esmtp:s.example", "u@[192.0.2.3]",
     "smtp u@[192.0.2.3] via s.example"},
    /* what is no address */
    {"a@virt.example @x", "", "", "", "a@virt.example",
     "error 451 4.3.5 Local configuration error"},
    {"a@virt.example x@", "", "", "", "a@virt.example",
     "error 451 4.3.5 Local configuration error"},
};

START_TEST(the_order_of_the_tables)
{
    char got[512];
    tables_world_init(&world, "midominio.com.mx virt.example");
    world.config.virtusertable = tables_world_file("virtusertable", ways[_i].virtusers);
    world.config.mailertable = tables_world_file("mailertable", ways[_i].mailers);
    world.config.domaintable = tables_world_file("domaintable", ways[_i].domains);
    world.config.smart_host = lmail_str_from(ways[_i].smart_host);
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_OK);
    tables_world_route(&world, ways[_i].address, got, sizeof got);
    ck_assert_str_eq(got, ways[_i].expected);
    tables_world_done(&world);
}
END_TEST

START_TEST(a_virtual_domain_need_not_be_local)
{
    const lmail_str domains[] = {LMAIL_STR("Virtual.Example")};
    char got[512];
    tables_world_init(&world, "");
    world.config.virtual_domains = (lmail_policy_names){domains, 1, {{NULL, 0}, {NULL, 0}}};
    world.config.virtusertable =
        tables_world_file("virtusertable", "a@virtual.example b\na@x.virtual.example c");
    tables_world_load(&world);
    ck_assert_str_eq(world.said, "virtusertable:2: warning: a@x.virtual.example: the line never "
                                 "matches: the domain is not local\n");
    tables_world_route(&world, "a@virtual.example", got, sizeof got);
    ck_assert_str_eq(got, "local b");
    tables_world_route(&world, "z@virtual.example", got, sizeof got);
    ck_assert_str_eq(got, "smtp z@virtual.example via virtual.example");
    tables_world_route(&world, "a@x.virtual.example", got, sizeof got);
    ck_assert_str_eq(got, "smtp a@x.virtual.example via x.virtual.example");
    lmail_policy_tables_free(world.tables);
    world.config.virtuser_entire_domain = 1;
    tables_world_load(&world);
    ck_assert_str_eq(world.said, "");
    tables_world_route(&world, "a@x.virtual.example", got, sizeof got);
    ck_assert_str_eq(got, "local c");
    tables_world_done(&world);
}
END_TEST

START_TEST(the_addresses_of_this_host_are_local)
{
    static const lmail_str own[] = {LMAIL_STR("192.0.2.1"), LMAIL_STR("2001:db8::1")};
    static const struct {
        const char *address, *expected;
    } asked[] = {{"juan@[192.0.2.1]", "local juan"},
                 {"juan@[IPv6:2001:DB8:0::1]", "local juan"},
                 {"juan@[192.0.2.2]", "smtp juan@[192.0.2.2] via [192.0.2.2]"}};
    char got[512];
    lmail_policy_config c;
    tables_world_init(&world, "");
    lmail_policy_free(world.policy);
    lmail_policy_config_init(&c);
    c.host_name = LMAIL_STR("h.example");
    c.host_addresses = own;
    c.host_address_count = 2;
    ck_assert_int_eq(lmail_policy_new(&world.policy, &c), LMAIL_OK);
    world.config.policy = world.policy;
    tables_world_load(&world);
    for (size_t i = 0; i < 3; i++) {
        tables_world_route(&world, asked[i].address, got, sizeof got);
        ck_assert_str_eq(got, asked[i].expected);
    }
    size_t made;
    ck_assert_int_eq(lmail_policy_tables_rewrite(
                         world.tables, LMAIL_POLICY_HEADER_SENDER, LMAIL_POLICY_DELIVERY_SMTP,
                         LMAIL_STR("juan@[192.0.2.1]"), got, sizeof got, &made),
                     LMAIL_OK);
    ck_assert(lmail_str_equal((lmail_str){got, made}, LMAIL_STR("juan@h.example")));
    tables_world_done(&world);
}
END_TEST

START_TEST(who_moved_is_told)
{
    char got[512];
    tables_world_init(&world, "midominio.com.mx");
    tables_world_aliases(&world, "pepe: Pepe@Nuevo.example.REDIRECT\n");
    world.config.redirect = 1;
    tables_world_load(&world);
    tables_world_route(&world, "pepe@midominio.com.mx", got, sizeof got);
    ck_assert_str_eq(got, "error 551 5.1.1 User has moved; please try <Pepe@Nuevo.example>");
    tables_world_route(&world, "u@x.example.redirect", got, sizeof got);
    ck_assert_str_eq(got, "error 551 5.1.1 User has moved; please try <u@x.example>");
    lmail_policy_tables_free(world.tables);
    world.config.redirect = 0;
    tables_world_load(&world);
    tables_world_route(&world, "u@x.example.redirect", got, sizeof got);
    ck_assert_str_eq(got, "smtp u@x.example.redirect via x.example.redirect");
    tables_world_done(&world);
}
END_TEST

static void step(void *ctx, const lmail_policy_step *s)
{
    char *out = ctx;
    size_t n = strlen(out);
    snprintf(out + n, 1000 - n, "%.*s %.*s %u %.*s %.*s:%zu\n", (int)s->meaning.len, s->meaning.ptr,
             (int)s->key.len, s->key.ptr, s->hit, (int)s->value.len, s->value.ptr, (int)s->file.len,
             s->file.ptr, s->line);
}

START_TEST(every_step_can_be_seen)
{
    char steps[1000] = "";
    lmail_policy_route_question q;
    const lmail_policy_routes *routes;
    tables_world_init(&world, "virt.example");
    world.config.virtusertable = tables_world_file("v", "\n+*@virt.example juan");
    tables_world_aliases(&world, "# first\njuan: ana");
    tables_world_load(&world);
    lmail_policy_route_question_init(&q);
    q.local_part = LMAIL_STR("a+");
    q.domain = LMAIL_STR("virt.example");
    q.on_step = step;
    q.step_ctx = steps;
    ck_assert_int_eq(lmail_policy_tables_route(world.tables, &q, &routes), LMAIL_OK);
    ck_assert_str_eq(steps, "class w virt.example 1  :0\n"
                            "virtusertable a+@virt.example 0  :0\n"
                            "virtusertable a+*@virt.example 0  :0\n"
                            "virtusertable a@virt.example 0  :0\n"
                            "virtusertable +*@virt.example 1 juan v:2\n"
                            "alias juan 1  aliases:2\n"
                            "owner owner-juan 0  :0\n"
                            "alias ana 0  :0\n");
    ck_assert_uint_eq(routes->count, 1);
    ck_assert_uint_eq(routes->items[0].line, 2);
    ck_assert(lmail_str_equal(routes->items[0].file, LMAIL_STR("aliases")));
    ck_assert(lmail_str_equal(routes->items[0].rule, LMAIL_STR("alias: juan")));
    lmail_policy_routes_free(routes);
    q.size++;
    ck_assert_int_eq(lmail_policy_tables_route(world.tables, &q, &routes), LMAIL_ERR_SIZE);
    lmail_policy_route_question_init(&q);
    ck_assert_int_eq(lmail_policy_tables_route(world.tables, &q, &routes), LMAIL_ERR_ARG);
    char name[600];
    memset(name, 'a', sizeof name);
    q.local_part = (lmail_str){name, 300};
    q.domain = (lmail_str){name, 213};
    ck_assert_int_eq(lmail_policy_tables_route(world.tables, &q, &routes), LMAIL_ERR_LIMIT);
    tables_world_done(&world);
}
END_TEST

/* ---- Damaged lines --------------------------------------------------------------------------- */

static const struct {
    const char *table, *text, *said;
    lmail_status status;
} damaged[] = {
    {"virtusertable", "# fine\n\na@virt.example  juan \r\nb@virt.example\n",
     "T:4: warning: b@virt.example has no value: the line is ignored\n", LMAIL_OK},
    {"virtusertable", "  a@virt.example juan\n",
     "T:1: warning: blanks before the key are ignored\n", LMAIL_OK},
    {"virtusertable", "a@virt.example juan\nA@virt.example juan\na@virt.example ana\n",
     "T:3: warning: a@virt.example stands in line 1 already, with another value: that one counts\n",
     LMAIL_OK},
    {"virtusertable", "a@virt.example juan # el jefe\n",
     "T:1: warning: text from \" #\" on is taken as a comment\n", LMAIL_OK},
    {"virtusertable", "a@virt.example juan, ana\n",
     "T:1: warning: a@virt.example: the value is not one name or address; for several use an "
     "alias\n",
     LMAIL_OK},
    {"virtusertable", "a@virt.example |/bin/sh\n",
     "T:1: warning: a@virt.example: only aliases deliver to files and programs\n", LMAIL_OK},
    {"virtusertable", "a@other.example juan\n",
     "T:1: warning: a@other.example: the line never matches: the domain is not local\n", LMAIL_OK},
    {"virtusertable", "a juan\n",
     "T:1: warning: a: the line never matches: a key is user@domain or @domain\n", LMAIL_OK},
    {"virtusertable", "a@virt.example error:5.7.1:250 ok\n",
     "T:1: error: a@virt.example: the reply is not understood: write error:D.S.N:NNN text, NNN 4xx "
     "or 5xx\n",
     LMAIL_ERR_SYNTAX},
    {"virtusertable", "a@virt.example error:4.7.1:550 no\n",
     "T:1: error: a@virt.example: the reply is not understood: write error:D.S.N:NNN text, NNN 4xx "
     "or 5xx\n",
     LMAIL_ERR_SYNTAX},
    {"mailertable", "a.example mx.example\n",
     "T:1: warning: a.example: the value is not understood: write esmtp:host, lmtp:unix:/path or "
     "local:user\n",
     LMAIL_OK},
    {"mailertable", "a.example procmail:/etc/x\n",
     "T:1: warning: a.example: the value is not understood: write esmtp:host, lmtp:unix:/path or "
     "local:user\n",
     LMAIL_OK},
    {"mailertable", "u@a.example esmtp:b\n",
     "T:1: warning: u@a.example: the line never matches: a key is a domain\n", LMAIL_OK},
    {"mailertable", "a.example esmtp:\n",
     "T:1: warning: a.example: the value is not understood: write esmtp:host, lmtp:unix:/path or "
     "local:user\n",
     LMAIL_OK},
    {"genericstable", "a b@c d\n",
     "T:1: warning: a: the value is not one name or address; for several use an alias\n", LMAIL_OK},
    {"domaintable", "a.example u@b\n", "T:1: warning: a.example: the value is not a domain\n",
     LMAIL_OK},
};

START_TEST(damaged_lines_are_told)
{
    char expected[512], name[32];
    tables_world_init(&world, "virt.example");
    const char *table = damaged[_i].table;
    lmail_policy_file file = tables_world_file(table, damaged[_i].text);
    if (strcmp(table, "virtusertable") == 0)
        world.config.virtusertable = file;
    else if (strcmp(table, "mailertable") == 0)
        world.config.mailertable = file;
    else if (strcmp(table, "genericstable") == 0)
        world.config.genericstable = file;
    else
        world.config.domaintable = file;
    tables_world_load(&world);
    snprintf(name, sizeof name, "%s", table);
    snprintf(expected, sizeof expected, "%s%s", name, damaged[_i].said + 1);
    ck_assert_str_eq(world.said, expected);
    ck_assert_int_eq(world.status, damaged[_i].status);
    tables_world_done(&world);
}
END_TEST

START_TEST(a_damaged_line_keeps_its_mail_from_a_wider_one)
{
    char got[512];
    tables_world_init(&world, "virt.example");
    world.config.virtusertable =
        tables_world_file("v", "a@virt.example juan, ana\n@virt.example all");
    world.config.mailertable = tables_world_file("m", "x.example nonsense\n. esmtp:hub");
    tables_world_load(&world);
    tables_world_route(&world, "a@virt.example", got, sizeof got);
    ck_assert_str_eq(got, "error 451 4.3.5 Local configuration error");
    tables_world_route(&world, "a@x.example", got, sizeof got);
    ck_assert_str_eq(got, "error 451 4.3.5 Local configuration error");
    tables_world_done(&world);
}
END_TEST

START_TEST(settings_that_are_none_are_errors)
{
    tables_world_init(&world, "");
    world.config.smart_host = LMAIL_STR("uucp:far away");
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(world.said, ": error: the smart host is not understood: uucp:far away\n");
    world.config.smart_host = LMAIL_STR("");
    world.config.masquerade_as = LMAIL_STR("a@b");
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_ERR_SYNTAX);
    world.config.size++;
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_ERR_SIZE);
    world.config.size--;
    world.config.policy = NULL;
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_ERR_ARG);
    tables_world_done(&world);
}
END_TEST

/* ---- Rewriting ------------------------------------------------------------------------------- */

/* "A=b;c;D=e f" into the configuration. */
static void apply(const char *settings)
{
    static char copy[512];
    static lmail_str names[16];
    size_t used = 0;
    lmail_policy_tables_config *c = &world.config;
    snprintf(copy, sizeof copy, "%s", settings);
    for (char *one = strtok(copy, ";"); one; one = strtok(NULL, ";")) {
        char *value = strchr(one, '=');
        if (value)
            *value++ = 0;
        lmail_policy_names *list = strcmp(one, "MASQUERADE_DOMAIN") == 0 ? &c->masquerade_domains
                                   : strcmp(one, "MASQUERADE_EXCEPTION") == 0
                                       ? &c->masquerade_exceptions
                                   : strcmp(one, "EXPOSED_USER") == 0    ? &c->exposed_users
                                   : strcmp(one, "GENERICS_DOMAIN") == 0 ? &c->generics_domains
                                                                         : NULL;
        if (list) {
            list->items = names + used;
            for (char *name = value; name && *name;) {
                size_t len = strcspn(name, " ");
                names[used++] = (lmail_str){name, len};
                list->count++;
                name += len;
                name += strspn(name, " ");
            }
        } else if (strcmp(one, "MASQUERADE_AS") == 0) {
            c->masquerade_as = lmail_str_from(value);
        } else if (strcmp(one, "masquerade_envelope") == 0) {
            c->masquerade_envelope = 1;
        } else if (strcmp(one, "masquerade_entire_domain") == 0) {
            c->masquerade_entire_domain = 1;
        } else if (strcmp(one, "allmasquerade") == 0) {
            c->allmasquerade = 1;
        } else if (strcmp(one, "limited_masquerade") == 0) {
            c->limited_masquerade = 1;
        } else if (strcmp(one, "local_no_masquerade") == 0) {
            c->local_no_masquerade = 1;
        } else {
            ck_assert_str_eq(one, "-");
        }
    }
}

static lmail_policy_role role_of(const char *name)
{
    static const char *const names[] = {"untouched",       "header-sender",      "header-recipient",
                                        "envelope-sender", "envelope-recipient", "removed"};
    for (unsigned i = 0; i < 6; i++)
        if (strcmp(name, names[i]) == 0)
            return (lmail_policy_role)i;
    ck_abort_msg("%s", name);
    return LMAIL_POLICY_ROLE_NONE;
}

static void rewrite(lmail_policy_role role, lmail_policy_delivery delivery, const char *in,
                    char out[256])
{
    size_t made, again;
    lmail_str address = lmail_str_from(in);
    ck_assert_int_eq(
        lmail_policy_tables_rewrite(world.tables, role, delivery, address, out, 255, &made),
        LMAIL_OK);
    out[made] = 0;
    if (made)
        ck_assert_int_eq(lmail_policy_tables_rewrite(world.tables, role, delivery, address,
                                                     (char[256]){0}, made - 1, &again),
                         LMAIL_ERR_LIMIT);
}

/* One file of rows, settings in column 1; `delivery` column or SIZE_MAX. */
static void check_rows(const char *file, size_t delivery, size_t least)
{
    vectors v = vectors_rows(file);
    ck_assert_uint_ge(v.count, least);
    for (size_t i = 0; i < v.count; i++) {
        const vectors_row *row = &v.rows[i];
        size_t at = delivery == SIZE_MAX ? 2 : delivery + 1;
        int local = delivery != SIZE_MAX && strcmp(row->field[delivery], "local") == 0;
        char got[256], value[256];
        size_t made;
        tables_world_init(&world, "localhost.localdomain midominio.com.mx viejo.example");
        apply(row->field[1]);
        if (has(row->field[1], "GENERICS"))
            world.config.genericstable = measured("genericstable");
        tables_world_load(&world);
        ck_assert_int_eq(world.status, LMAIL_OK);
        ck_assert_str_eq(world.said, "");
        lmail_policy_role role = role_of(row->field[at]);
        lmail_policy_delivery how =
            local ? LMAIL_POLICY_DELIVERY_LOCAL : LMAIL_POLICY_DELIVERY_SMTP;
        rewrite(role, how, row->field[at + 1], got);
        ck_assert_msg(strcmp(got, row->field[at + 2]) == 0, "%s: %s, not %s", row->field[0], got,
                      row->field[at + 2]);
        /* A header field gives the same. */
        ck_assert_int_eq(lmail_policy_tables_rewrite_value(world.tables, role, how,
                                                           lmail_str_from(row->field[at + 1]),
                                                           value, sizeof value - 1, &made),
                         LMAIL_OK);
        value[made] = 0;
        ck_assert_str_eq(value, got);
        tables_world_done(&world);
        free_texts();
    }
    vectors_done(&v);
}

START_TEST(masquerading_is_as_measured)
{
    check_rows("vectors/masquerade.tsv", 2, 429);
}
END_TEST

START_TEST(genericstable_is_as_measured)
{
    check_rows("vectors/generics.tsv", SIZE_MAX, 13);
}
END_TEST

START_TEST(header_fields_have_their_roles)
{
    vectors v = vectors_rows("vectors/header_roles.tsv");
    ck_assert_uint_ge(v.count, 18);
    for (size_t i = 0; i < v.count; i++) {
        char upper[64];
        const char *name = v.rows[i].field[0];
        lmail_policy_role role = role_of(v.rows[i].field[1]);
        ck_assert_msg(lmail_policy_header_role(lmail_str_from(name)) == role, "%s", name);
        for (size_t k = 0; k <= strlen(name); k++)
            upper[k] = name[k] >= 'a' && name[k] <= 'z' ? (char)(name[k] - 32) : name[k];
        ck_assert_int_eq(lmail_policy_header_role(lmail_str_from(upper)), role);
    }
    vectors_done(&v);
}
END_TEST

static const struct {
    const char *settings, *generics, *domains, *in, *expected;
} looks[] = {
    {"-", "", "", "", ""},
    {"-", "", "", "juan@localhost", "juan@correo.midominio.com.mx"},
    {"-", "", "old.example new.example", "juan@Old.Example", "juan@new.example"},
    {"-", "", "", "juan@Elsewhere.Example", "juan@Elsewhere.Example"},
    {"MASQUERADE_AS=x.example", "", "", "juan@CORREO.midominio.com.mx", "juan@x.example"},
    {"MASQUERADE_AS=x.example", "", "old.example correo.midominio.com.mx", "juan@old.example",
     "juan@x.example"},
    {"MASQUERADE_AS=x.example;EXPOSED_USER=Root", "", "", "rOOT", "rOOT@correo.midominio.com.mx"},
    {"MASQUERADE_AS=x.example;EXPOSED_USER=root", "", "", "root+x", "root+x@x.example"},
    {"MASQUERADE_AS=x.example;EXPOSED_USER=root", "", "", "\"root\"@localhost",
     "\"root\"@correo.midominio.com.mx"},
    {"MASQUERADE_AS=x.example;MASQUERADE_EXCEPTION=midominio.com.mx", "", "",
     "juan@correo.midominio.com.mx", "juan@correo.midominio.com.mx"},
    {"MASQUERADE_AS=x.example;MASQUERADE_EXCEPTION=correo.midominio.com.mx", "", "", "juan",
     "juan@x.example"},
    {"GENERICS_DOMAIN=g.example", "a+b@g.example one\na+*@g.example %1@two.example", "",
     "a+b@g.example", "one@correo.midominio.com.mx"},
    {"GENERICS_DOMAIN=g.example;MASQUERADE_AS=x.example", "a+b@g.example one", "", "a+b@g.example",
     "one@x.example"},
    {"GENERICS_DOMAIN=g.example", "a+*@g.example %1@two.example", "", "a+b@g.example",
     "b@two.example"},
    {"GENERICS_DOMAIN=g.example", "a@g.example z@two.example", "", "a+b@g.example",
     "z@two.example"},
    {"GENERICS_DOMAIN=g.example", "a+* %1@two.example\na z@two.example", "", "a+b",
     "b@two.example"},
    {"GENERICS_DOMAIN=g.example", "a z@two.example", "", "a@other.example", "a@other.example"},
    {"GENERICS_DOMAIN=g.example", "@g.example %1@two.example", "", "\"x y\"@g.example",
     "\"x y\"@two.example"},
    {"GENERICS_DOMAIN=g.example", "@correo.midominio.com.mx z@two.example", "", "a",
     "a@correo.midominio.com.mx"},
    {"GENERICS_DOMAIN=g.example", "a z@old.example", "old.example new.example", "a@g.example",
     "z@new.example"},
    {"GENERICS_DOMAIN=g.example", "a b c", "", "a@g.example", "a@g.example"},
};

START_TEST(senders_look_as_the_tables_say)
{
    char got[256];
    tables_world_init(&world, "midominio.com.mx");
    apply(looks[_i].settings);
    world.config.genericstable = tables_world_file("genericstable", looks[_i].generics);
    world.config.domaintable = tables_world_file("domaintable", looks[_i].domains);
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_OK);
    rewrite(LMAIL_POLICY_HEADER_SENDER, LMAIL_POLICY_DELIVERY_SMTP, looks[_i].in, got);
    ck_assert_str_eq(got, looks[_i].expected);
    tables_world_done(&world);
}
END_TEST

static const struct {
    const char *in, *expected;
} values[] = {
    {" juan", " juan@x.example"},
    {" \"Juan (el jefe)\" <juan@correo.midominio.com.mx> (hola, juan)\r\n",
     " \"Juan (el jefe)\" <juan@x.example> (hola, juan)\r\n"},
    {" Grupo: ana,\r\n\tjuan@localhost (yo) ;, otro@far.example",
     " Grupo: ana@x.example,\r\n\tjuan@x.example (yo) ;, otro@far.example"},
    {"<@a.example,@b.example:juan@midominio.com.mx>", "<@a.example,@b.example:juan@x.example>"},
    {"juan(su cuenta)@midominio(su casa).com.mx", "juan(su cuenta)@x.example(su casa)"},
    {"juan @ midominio\r\n .com.mx (z)", "juan @ x.example (z)"},
    {"gen(c)@midominio.com.mx", "otra(c)@far.example"},
    {"gen (c)", "otra@far.example (c)"},
    {"\"gen\" <gen>, \"gen\"", "\"gen\" <otra@far.example>, otra@far.example"},
    {"undisclosed recipients", "undisclosed recipients"},
    {"far!juan, u%h, \"a b\"", "far!juan, u%h, \"a b\"@x.example"},
    {"<>, <@x>, x@, ;;,", "<>, <@x>, x@, ;;,"},
    {"=?utf-8?q?Jos=C3=A9?= <jose>", "=?utf-8?q?Jos=C3=A9?= <jose@x.example>"},
    {"root@midominio.com.mx", "root@midominio.com.mx"},
};

START_TEST(values_keep_all_but_their_addresses)
{
    char got[512];
    size_t made, need;
    lmail_str in = lmail_str_from(values[_i].in);
    tables_world_init(&world, "midominio.com.mx");
    apply("MASQUERADE_AS=x.example;EXPOSED_USER=root;GENERICS_DOMAIN=midominio.com.mx");
    world.config.genericstable = tables_world_file("g", "gen otra@far.example");
    tables_world_load(&world);
    for (size_t cap = 0; cap < sizeof got; cap = cap ? sizeof got : strlen(values[_i].expected)) {
        lmail_status st =
            lmail_policy_tables_rewrite_value(world.tables, LMAIL_POLICY_HEADER_SENDER,
                                              LMAIL_POLICY_DELIVERY_SMTP, in, got, cap, &need);
        ck_assert_int_eq(st, cap ? LMAIL_OK : LMAIL_ERR_LIMIT);
        ck_assert_uint_eq(need, strlen(values[_i].expected));
    }
    got[need] = 0;
    ck_assert_str_eq(got, values[_i].expected);
    ck_assert_int_eq(lmail_policy_tables_rewrite_value(world.tables, LMAIL_POLICY_ROLE_NONE,
                                                       LMAIL_POLICY_DELIVERY_SMTP, in, got,
                                                       sizeof got - 1, &made),
                     LMAIL_OK);
    got[made] = 0;
    ck_assert_str_eq(got, values[_i].in);
    tables_world_done(&world);
}
END_TEST

/* ---- Memory ---------------------------------------------------------------------------------- */

START_TEST(every_allocation_may_fail)
{
    count_alloc memory = {0};
    tables_world_init(&world, "midominio.com.mx virt.example");
    world.config.alloc = count_alloc_table(&memory);
    world.config.virtusertable = tables_world_file(
        "v", "@virt.example %1@midominio.com.mx\na@virt.example error:nouser 550 x");
    world.config.mailertable = tables_world_file("m", ".far.example smtp:%1.hub");
    world.config.domaintable = tables_world_file("d", "old.example virt.example");
    world.config.genericstable = tables_world_file("g", "a b@c");
    tables_world_aliases(&world,
                         "todos: ana, juan, u@x.far.example, :include:/l\nowner-todos: ana\n");
    world.files[0].name = "/l";
    world.files[0].text = "a@y.far.example\nb@y.far.example\nc\nd\ne\nf\n";
    world.config.smart_host = LMAIL_STR("esmtp:[s.example]");
    apply("MASQUERADE_AS=x.example;MASQUERADE_DOMAIN=a b;EXPOSED_USER=root;GENERICS_DOMAIN=a");
    for (memory.fail_at = 1;; memory.fail_at++) {
        memory.requests = 0;
        tables_world_load(&world);
        if (world.status == LMAIL_OK)
            break;
        ck_assert_int_eq(world.status, LMAIL_ERR_NOMEM);
        ck_assert_uint_eq(memory.live, 0);
    }
    ck_assert_uint_ge(memory.fail_at, 15);

    count_alloc answers = {0};
    lmail_policy_route_question q;
    const lmail_policy_routes *routes;
    lmail_policy_route_question_init(&q);
    q.alloc = count_alloc_table(&answers);
    q.local_part = LMAIL_STR("todos");
    q.domain = LMAIL_STR("old.example");
    for (answers.fail_at = 1;; answers.fail_at++) {
        answers.requests = 0;
        lmail_status st = lmail_policy_tables_route(world.tables, &q, &routes);
        if (st == LMAIL_OK)
            break;
        ck_assert_int_eq(st, LMAIL_ERR_NOMEM);
        ck_assert_uint_eq(answers.live, 0);
    }
    ck_assert_uint_ge(answers.fail_at, 5);
    ck_assert_uint_eq(routes->count, 9);
    lmail_policy_routes_free(routes);
    ck_assert_uint_eq(answers.live, 0);
    ck_assert_uint_eq(answers.lies, 0);
    tables_world_done(&world);
    ck_assert_uint_eq(memory.live, 0);
    ck_assert_uint_eq(memory.lies, 0);
}
END_TEST

#define ADD_ROWS(tc, test, rows) tcase_add_loop_test(tc, test, 0, (int)(sizeof rows / sizeof *rows))

Suite *policy_tables_suite(void)
{
    Suite *suite = suite_create("policy_tables");
    TCase *tc = tcase_create("routing");
    tcase_add_test(tc, recipients_go_where_they_were_measured_to_go);
    ADD_ROWS(tc, both_tables_together, more);
    ADD_ROWS(tc, the_order_of_the_tables, ways);
    tcase_add_test(tc, a_virtual_domain_need_not_be_local);
    tcase_add_test(tc, the_addresses_of_this_host_are_local);
    tcase_add_test(tc, who_moved_is_told);
    tcase_add_test(tc, every_step_can_be_seen);
    suite_add_tcase(suite, tc);
    tc = tcase_create("lines");
    ADD_ROWS(tc, damaged_lines_are_told, damaged);
    tcase_add_test(tc, a_damaged_line_keeps_its_mail_from_a_wider_one);
    tcase_add_test(tc, settings_that_are_none_are_errors);
    suite_add_tcase(suite, tc);
    tc = tcase_create("rewriting");
    tcase_add_test(tc, masquerading_is_as_measured);
    tcase_add_test(tc, genericstable_is_as_measured);
    tcase_add_test(tc, header_fields_have_their_roles);
    ADD_ROWS(tc, senders_look_as_the_tables_say, looks);
    ADD_ROWS(tc, values_keep_all_but_their_addresses, values);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return suite;
}
