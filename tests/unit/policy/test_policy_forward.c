/* A user's own file: who gets the mail, and what is not obeyed. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "support/tables_world.h"

static tables_world world;

static const char aliases[] = "ventas: ana, pepe@far.example\nana: root\nroot: \\ana\n";

static const struct {
    const char *user, *text, *expected;
} rows[] = {
    {"juan", "", ""},
    {"juan", "# nobody\r\n\r\n   # nobody\n", ""},
    {"juan", "x@far.example\n", "smtp x@far.example via far.example"},
    {"juan", "x@far.example", "smtp x@far.example via far.example"},
    {"juan", "\\juan, x@far.example\n", "local juan; smtp x@far.example via far.example"},
    {"juan", "juan\r\nx@far.example\r\n", "local juan; smtp x@far.example via far.example"},
    {"juan", "JUAN+copia, juan", "local juan+copia; local juan"},
    {"juan@midominio.com.mx", "Juan <juan@midominio.com.mx> (home)", "local juan"},
    {"juan", "juan@midominio.com.mx, juan", "local juan"},
    {"juan@midominio.com.mx", "juan@otro.example", "local juan"}, /* another's mailbox, perhaps */
    {"juan", "\"x,y\"@far.example, \"a b\"@far.example",
     "smtp \"x,y\"@far.example via far.example; smtp \"a b\"@far.example via far.example"},
    /* what aliases say counts, but for the user's own name */
    {"juan", "ventas", "local ana; smtp pepe@far.example via far.example"},
    {"ana", "ana", "local ana"},
    {"ana", "\\ana", "local ana"},
    {"juan", "juancho", "local juancho"},
    /* the unsafe half */
    {"juan", "|\"/bin/sh -c id\"", "error 550 5.7.1 a program gets no mail from a forward file"},
    {"juan", "\"|exec vacation juan\"",
     "error 550 5.7.1 a program gets no mail from a forward file"},
    {"juan", "\"| exec /usr/bin/vacation juan\", \\juan",
     "error 550 5.7.1 a program gets no mail from a forward file; local juan"},
    {"juan", "/var/spool/lists/x", "error 550 5.7.1 a file gets no mail from a forward file"},
    {"juan", "/etc/passwd\n", "error 550 5.7.1 a file gets no mail from a forward file"},
    {"juan", ":include:/l1", "error 550 5.7.1 :include: is not obeyed in a forward file"},
    {"juan", "\":include:/l1\"", "error 550 5.7.1 :include: is not obeyed in a forward file"},
    {"juan", "a b c", "error 550 5.1.3 this is not an address"},
    {"juan", "x@", "error 550 5.1.3 this is not an address"},
    {"juan", "x\x01\x7f@far.example", "smtp x??@far.example via far.example"},
};

START_TEST(a_file_says_who_gets_it)
{
    char got[1024];
    static const lmail_str programs[] = {{"/usr/bin/vacation", 17}},
                           directories[] = {{"/var/spool/lists", 16}};
    tables_world_init(&world, "midominio.com.mx otro.example");
    tables_world_aliases(&world, aliases);
    world.config.programs = programs;
    world.config.program_count = 1;
    world.config.file_directories = directories;
    world.config.file_directory_count = 1;
    tables_world_load(&world);
    ck_assert_int_eq(world.status, LMAIL_OK);
    tables_world_forward(&world, rows[_i].user, lmail_str_from(rows[_i].text), got, sizeof got);
    ck_assert_str_eq(got, rows[_i].expected);
    tables_world_done(&world);
}
END_TEST

START_TEST(nul_and_size_are_no_surprise)
{
    static char text[LMAIL_POLICY_MAX_FORWARD + 1];
    char got[1024];
    tables_world_init(&world, "midominio.com.mx");
    tables_world_load(&world);
    tables_world_forward(&world, "juan", (lmail_str){"a\0b@far.example", 15}, got, sizeof got);
    ck_assert_str_eq(got, "smtp a?b@far.example via far.example");
    memset(text, ',', sizeof text);
    tables_world_forward(&world, "juan", (lmail_str){text, sizeof text}, got, sizeof got);
    ck_assert_str_eq(got, "LMAIL_ERR_LIMIT");
    tables_world_forward(&world, "juan", (lmail_str){text, sizeof text - 1}, got, sizeof got);
    ck_assert_str_eq(got, "");
    tables_world_forward(&world, "", (lmail_str){text, 1}, got, sizeof got);
    ck_assert_str_eq(got, "LMAIL_ERR_ARG");
    tables_world_done(&world);
}
END_TEST

Suite *policy_forward_suite(void)
{
    Suite *s = suite_create("policy_forward");
    TCase *t = tcase_create("forward");
    tcase_add_loop_test(t, a_file_says_who_gets_it, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(t, nul_and_size_are_no_surprise);
    suite_add_tcase(s, t);
    return s;
}
