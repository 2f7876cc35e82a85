/* Aliases: what lines say, nesting and circles, includes, owners, files and programs. */
#include "support/tables_world.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static tables_world world;

/* aliases(5) and the classic installation's manual, one behaviour a row. */
static const struct {
    const char *aliases, *address, *expected;
} rows[] = {
    {"root: juan\n", "root@localhost", "local juan"},
    {"ROOT: Juan\n", "Root", "local juan"},
    {"MAILER-DAEMON: postmaster\npostmaster: root\nroot: ana\n", "mailer-daemon", "local ana"},
    {"todos: juan, ana,\n\tpepe@far.example\n  lola\n", "todos",
     "local juan; local ana; smtp pepe@far.example via far.example; local lola"},
    {"todos: juan,\\\nana\n", "todos", "local juan; local ana"},
    {"# c\ntodos: juan\n# in between\n ,ana\r\n\notra: x\n", "todos", "local juan; local ana"},
    {"todos:juan\n", "todos", "local juan"},
    {"todos : juan\n", "todos", "local juan"},
    {"todos@midominio.com.mx: juan\n", "todos@localhost", "local juan"},
    {"nada: juan\n", "otro", "local otro"},
    {"nada: juan\n", "nada@far.example", "smtp nada@far.example via far.example"},
    /* each once */
    {"a: juan, b, juan\nb: juan, ana\n", "a", "local juan; local ana"},
    {"a: JUAN, juan@midominio.com.mx, x@far.example, x@far.example\n", "a",
     "local juan; smtp x@far.example via far.example"},
    /* circles */
    {"juan: juan, ana\n", "juan", "local juan; local ana"},
    {"juan: juan@midominio.com.mx\n", "juan", "local juan"},
    {"juan: \\juan, x@far.example\n", "juan", "local juan; smtp x@far.example via far.example"},
    {"a: b\nb: a\n", "a", "error 554 5.4.6 aliasing/forwarding loop broken"},
    {"a: b, juan\nb: a\n", "a", "error 554 5.4.6 aliasing/forwarding loop broken; local juan"},
    {"a: b\nb: c\nc: d\nd: e\ne: f\nf: g\ng: h\nh: i\ni: j\nj: juan\n", "a", "local juan"},
    {"a: b\nb: c\nc: d\nd: e\ne: f\nf: g\ng: h\nh: i\ni: j\nj: k\nk: juan\n", "a",
     "error 554 5.4.6 aliasing/forwarding loop broken"},
    /* \name */
    {"a: \\b\nb: c\n", "a", "local b"},
    {"a: \\b@midominio.com.mx\nb: c\n", "a", "local b"},
    {"a: \\B+x\n", "a", "local b+x"},
    /* quotes and whole addresses */
    {"\"john doe\": juan\n", "\"John Doe\"", "local juan"},
    {"a: \"john doe\", x\n", "a", "local john doe; local x"},
    {"a: \"x,y\"@far.example, z\n", "a", "smtp \"x,y\"@far.example via far.example; local z"},
    {"a: Juan Perez <juan@far.example>, (nobody) ana@far.example (Ana, la jefa)\n", "a",
     "smtp juan@far.example via far.example; smtp ana@far.example via far.example"},
    {"a: \"Perez, Juan\" <juan (el) @ far.example>\n", "a",
     "smtp juan@far.example via far.example"},
    /* details */
    {"juan: ana\n", "juan+x", "local ana"},
    {"juan: ana\njuan+*: pepe\njuan+x: lola\n", "juan+x", "local lola"},
    {"juan: ana\njuan+*: pepe\njuan+x: lola\n", "juan+y", "local pepe"},
    {"juan: ana\njuan+*: pepe\n", "juan", "local ana"},
    {"juan: juan, x\n", "juan+y", "local juan; local x"},
    {"a: juan+lista\n", "a", "local juan+lista"},
    /* owners */
    {"l: juan, x@far.example\nowner-l: ana\n", "l",
     "local juan from ana; smtp x@far.example via far.example from ana"},
    {"l: juan\nowner-l: ana@far.example\n", "l", "local juan from ana@far.example"},
    {"l: juan\nowner-l: ana, pepe\n", "l", "local juan from owner-l"},
    {"l: m, juan\nm: ana\nowner-l: o\nowner-m: p\n", "l", "local ana from p; local juan from o"},
    {"l: m\nm: ana\nowner-l: o\n", "l", "local ana from o"},
    {"owner-l: ana\nowner-owner: pepe\n", "owner-l", "local ana from pepe"},
    /* includes */
    {"l: :include:/l1, ana\n", "l",
     "local uno; smtp dos@far.example via far.example; local tres; "
     "local ana"},
    {"l: \":include:/l1\"\n", "l", "local uno; smtp dos@far.example via far.example; local tres"},
    {"l: :include:/nest\nuno: juan\n", "l",
     "local cero; local juan; smtp dos@far.example via far.example; local tres"},
    {"l: :include:/circle\n", "l", "local x; error 554 5.4.6 aliasing/forwarding loop broken"},
    {"l: :include:/not-there, juan\n", "l",
     "error 451 4.3.5 Local configuration error; local juan"},
    {"l: :include:/empty\n", "l", "error 550 5.1.1 The list has no members"},
    /* files and programs: those that are allowed */
    {"a: /var/lists/archive, juan\n", "a", "file /var/lists/archive; local juan"},
    {"a: \"/var/lists/arch ive\"\n", "a", "file /var/lists/arch ive"},
    {"a: /etc/passwd\n", "a", "error 550 5.7.1 Mail to files is not allowed"},
    {"a: /var/lists/../../etc/passwd\n", "a", "error 550 5.7.1 Mail to files is not allowed"},
    {"a: /var/listsx/f\n", "a", "error 550 5.7.1 Mail to files is not allowed"},
    {"a: |/usr/bin/vacation juan, ana\n", "a", "program /opt/bin/vacation juan; local ana"},
    {"a: \"|/usr/bin/vacation -a x, juan\"\n", "a", "program /opt/bin/vacation -a x, juan"},
    {"a: |\"vacation juan\"\n", "a", "program /opt/bin/vacation juan"},
    {"a: |/bin/sh\n", "a", "error 550 5.7.1 Mail to programs is not allowed"},
    {"a: \"|vacation juan; sh\"\n", "a", "error 550 5.7.1 Mail to programs is not allowed"},
    {"a: \"|vacation $(sh)\"\n", "a", "error 550 5.7.1 Mail to programs is not allowed"},
    /* what strangers write is never a file */
    {"a: b\n", "\"/var/lists/archive\"", "local /var/lists/archive"},
    {"a: b\n", "|vacation", "local |vacation"},
    {"a: b\n", ":include:/l1", "local :include:/l1"},
    /* the last line of a name counts */
    {"a: b\nA: c\n", "a", "local c"},
    {"a: juan perez, ana\n", "a", "error 451 4.3.5 Local configuration error; local ana"},
};

static void set_up(const char *aliases)
{
    static const lmail_str programs[] = {LMAIL_STR("/opt/bin/procmail"),
                                         LMAIL_STR("/opt/bin/vacation")};
    static const lmail_str directories[] = {LMAIL_STR("/var/lists/")};
    tables_world_init(&world, "midominio.com.mx");
    tables_world_aliases(&world, aliases);
    world.config.programs = programs;
    world.config.program_count = 2;
    world.config.file_directories = directories;
    world.config.file_directory_count = 1;
    world.files[0].name = "/l1";
    world.files[0].text = "# the list\nuno\n\n  dos@far.example, tres\r\n";
    world.files[1].name = "/nest";
    world.files[1].text = "cero\n:include:/l1\n";
    world.files[2].name = "/circle";
    world.files[2].text = "x\n:include:/circle";
    world.files[3].name = "/empty";
    world.files[3].text = "# nobody\n";
    tables_world_load(&world);
}

START_TEST(aliases_expand)
{
    char got[1024];
    set_up(rows[_i].aliases);
    ck_assert_int_eq(world.status, LMAIL_OK);
    tables_world_route(&world, rows[_i].address, got, sizeof got);
    ck_assert_str_eq(got, rows[_i].expected);
    tables_world_done(&world);
}
END_TEST

static const struct {
    const char *aliases, *said;
} damaged[] = {
    {"a: b\n c, d\n\n# x\nb: c\n", ""},
    {"a b\n", "aliases:1: warning: a colon is missing behind the name: the line is ignored\n"},
    {"a b\n c\nd: e\n",
     "aliases:1: warning: a colon is missing behind the name: the line is ignored\n"},
    {"  a\nb: c\n", "aliases:1: warning: a line that goes on, and none is before it\n"},
    {": b\n", "aliases:1: warning: the name before the colon is missing: the line is ignored\n"},
    {"a:\nb: , ,\n", "aliases:1: warning: a has no targets: the line is ignored\n"
                     "aliases:2: warning: b has no targets: the line is ignored\n"},
    {"a@far.example: b\n",
     "aliases:1: warning: a@far.example is no name of this host: the line is ignored\n"},
    {"a: b\n\nA: c\n", "aliases:3: warning: a stands in line 1 already: this line counts\n"},
    {"a: b c\n", "aliases:1: warning: b c: this is not an address: is a comma missing?\n"},
    {"a: b,\n  c@, @d\n", "aliases:2: warning: c@: this is not an address\n"
                          "aliases:2: warning: @d: this is not an address\n"},
    {"a: /etc/x\n", "aliases:1: warning: /etc/x: this file is in no directory that is allowed\n"},
    {"a: |sh\n", "aliases:1: warning: |sh: this program is not among those that are allowed\n"},
    {"a: |vacation 'x'\n", "aliases:1: warning: |vacation 'x': no shell reads a program's "
                           "arguments: write them without special characters\n"},
    {"a: :include:\n", "aliases:1: warning: :include:: a file's name belongs behind :include:\n"},
    {"a: :include:/gone\n", "/gone: warning: the included file cannot be read: no such thing\n"},
    {"a: :include:/bad\n", "/bad:2: warning: x y: this is not an address: is a comma missing?\n"},
};

START_TEST(damaged_lines_are_told)
{
    set_up("");
    lmail_policy_tables_free(world.tables);
    world.files[4].name = "/bad";
    world.files[4].text = "ok\nx y\n";
    tables_world_aliases(&world, damaged[_i].aliases);
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_OK);
    ck_assert_str_eq(world.said, damaged[_i].said);
    tables_world_done(&world);
}
END_TEST

START_TEST(the_first_file_that_knows_a_name_decides)
{
    char got[512];
    set_up("");
    lmail_policy_tables_free(world.tables);
    lmail_policy_file files[] = {tables_world_file("one", "a: b\n"),
                                 tables_world_file("", "a: d\n"),
                                 tables_world_file("two", "a: c\nx: y\n")};
    world.config.aliases = files;
    world.config.alias_count = 3;
    tables_world_load(&world);
    ck_assert_str_eq(world.said, "");
    tables_world_route(&world, "a", got, sizeof got);
    ck_assert_str_eq(got, "local b");
    tables_world_route(&world, "x", got, sizeof got);
    ck_assert_str_eq(got, "local y");
    tables_world_done(&world);
}
END_TEST

START_TEST(a_list_has_its_limit)
{
    char got[512];
    tables_world_init(&world, "");
    tables_world_aliases(&world, "a: b, c, d, e\n");
    world.config.max_destinations = 2;
    tables_world_load(&world);
    tables_world_route(&world, "a", got, sizeof got);
    ck_assert_str_eq(got, "local b; local c; error 550 5.3.0 The list is too large");
    tables_world_done(&world);
}
END_TEST

START_TEST(a_web_of_aliases_is_walked_once)
{
    static char text[60000];
    char got[512];
    size_t n = 0;
    /* 40 levels of 8 names that each name all of the next: 8^40 ways */
    for (int level = 0; level < 40; level++)
        for (int i = 0; i < 8; i++) {
            n += (size_t)sprintf(text + n, "a%d-%d: ", level, i);
            for (int k = 0; k < 8; k++)
                n += (size_t)sprintf(text + n, "a%d-%d,", level + 1, k);
            n += (size_t)sprintf(text + n, "\n");
        }
    tables_world_init(&world, "");
    tables_world_aliases(&world, text);
    world.config.max_depth = 1000;
    tables_world_load(&world);
    tables_world_route(&world, "a0-0", got, sizeof got);
    ck_assert_str_eq(got, "local a40-0; local a40-1; local a40-2; local a40-3; local a40-4; "
                          "local a40-5; local a40-6; local a40-7");
    tables_world_done(&world);
}
END_TEST

Suite *policy_alias_suite(void)
{
    Suite *suite = suite_create("policy_alias");
    TCase *tc = tcase_create("aliases");
    tcase_add_loop_test(tc, aliases_expand, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_loop_test(tc, damaged_lines_are_told, 0, (int)(sizeof damaged / sizeof *damaged));
    tcase_add_test(tc, the_first_file_that_knows_a_name_decides);
    tcase_add_test(tc, a_list_has_its_limit);
    tcase_add_test(tc, a_web_of_aliases_is_walked_once);
    suite_add_tcase(suite, tc);
    return suite;
}
