/* Values of sendmail.mc: limits and their bounds, times and their units, privacy flags, listeners. */
#include <check.h>
#include <libmail/config.h>
#include <stdio.h>
#include <string.h>

#include "mc_world.h"

Suite *config_mc_limits_suite(void);

typedef struct row {
    const char *mc, *key, *value, *said;
} row;

static void check_row(const row *d)
{
    mc_world w = {MC_WORLD_MAIN, d->mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_msg(mc_world_load(&w, &c) == LMAIL_OK, "%s: %s", d->mc, w.said);
    mc_world_show(&w, c);
    ck_assert_msg(strcmp(mc_world_shown(&w, d->key), d->value) == 0, "%s: %s = %s", d->mc, d->key,
                  mc_world_shown(&w, d->key));
    ck_assert_str_eq(w.said, d->said ? d->said : "");
    lmail_config_free(c);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

#define FEW(n)                                                                                     \
    "x.mc:1: W: confMAX_HEADERS_LENGTH: " n                                                        \
    " octets are few; ordinary mail has headers up to 16384\n"

static const row limits[] = {
    /* kept, however small */
    {"define(`confMAX_HEADERS_LENGTH', `100')", "smtp.max_header_size", "100", FEW("100")},
    {"define(`confMAX_HEADERS_LENGTH', `16383')", "smtp.max_header_size", "16383", FEW("16383")},
    {"define(`confMAX_HEADERS_LENGTH', `16384')", "smtp.max_header_size", "16K", NULL},
    {"define(`confMAX_MESSAGE_SIZE', `1000')", "smtp.max_message_size", "1000", NULL},
    /* beyond the bounds: the bound */
    {"define(`confMAX_HOP', `2000')", "smtp.max_hops", "1000",
     "x.mc:1: W: confMAX_HOP: so much is not possible here; 1000 holds\n"},
    {"define(`confMAX_RCPTS_PER_MESSAGE', `1000001')", "smtp.max_recipients", "1000000",
     "x.mc:1: W: confMAX_RCPTS_PER_MESSAGE: so much is not possible here; 1000000 holds\n"},
    {"define(`confQUEUE_LA', `200000')", "smtp.queue_load", "100000",
     "x.mc:1: W: confQUEUE_LA: so much is not possible here; 100000 holds\n"},
    {"define(`confTO_COMMAND', `100w')", "smtp.command_timeout", "366 d",
     "x.mc:1: W: confTO_COMMAND: so much is not possible here; 31622400 s holds\n"},
    {"define(`confTO_QUEUERETURN', `30s')", "queue.return_after", "1 m",
     "x.mc:1: W: confTO_QUEUERETURN: so little is not possible here; 60 s holds\n"},
    {"define(`confTO_QUEUERETURN', `0')", "queue.return_after", "1 m",
     "x.mc:1: W: confTO_QUEUERETURN: so little is not possible here; 60 s holds\n"},
    {"define(`confTO_QUEUERETURN', `now')", "queue.return_after", "1 m",
     "x.mc:1: W: confTO_QUEUERETURN: so little is not possible here; 60 s holds\n"},
    {"define(`confTO_QUEUERETURN_NORMAL', `0')", "queue.return_after", "1 m",
     "x.mc:1: W: confTO_QUEUERETURN_NORMAL: so little is not possible here; 60 s holds\n"},
    {"FEATURE(`greet_pause', `600000')", "policy.greet_pause", "5 m",
     "x.mc:1: W: FEATURE(greet_pause): so much is not possible here; 300 s holds\n"},
    {"DAEMON_OPTIONS(`Port=25, Listen=100000')", "backlog", "65535",
     "x.mc:1: W: Listen: so much is not possible here; 65535 holds\n"},
    /* no limit is libmail's own, and is said where it is one */
    {"define(`confMAX_MESSAGE_SIZE', `0')", "smtp.max_message_size", "50M",
     "x.mc:1: N: confMAX_MESSAGE_SIZE: \"no limit\" is libmail's own here: smtp.max_message_size = "
     "50M\n"},
    {"define(`confMAX_RCPTS_PER_MESSAGE', `0')", "smtp.max_recipients", "1000",
     "x.mc:1: N: confMAX_RCPTS_PER_MESSAGE: \"no limit\" is libmail's own here: "
     "smtp.max_recipients = 1000\n"},
    {"define(`confTO_COMMAND', `0')", "smtp.command_timeout", "5 m",
     "x.mc:1: N: confTO_COMMAND: \"no limit\" is libmail's own here: smtp.command_timeout = 5 m\n"},
    {"define(`confMAX_DAEMON_CHILDREN', `0')", "smtp.max_sessions", "0", NULL},
    {"define(`confCONNECTION_RATE_THROTTLE', `0')", "smtp.connection_rate", "0", NULL},
    {"define(`confMAX_QUEUE_RUN_SIZE', `0')", "queue.max_run_size", "0", NULL},
    /* absent */
    {"", "smtp.max_recipients", "1000", NULL},
    {"", "smtp.max_message_size", "50M", NULL},
    {"", "smtp.max_header_size", "32K", NULL},
    {"", "smtp.max_sessions", "0", NULL},
    {"", "smtp.connection_rate", "0", NULL},
    {"", "smtp.bad_recipients_throttle", "0", NULL},
    {"", "smtp.max_noop_commands", "20", NULL},
    {"", "smtp.max_hops", "25", NULL},
    {"", "smtp.min_free", "400K", NULL},
    {"", "smtp.queue_load", "8 per processor", NULL},
    {"", "smtp.refuse_load", "12 per processor", NULL},
    {"", "smtp.delay_load", "0", NULL},
    /* given */
    {"define(`confMAX_DAEMON_CHILDREN', `5')", "smtp.max_sessions", "5", NULL},
    {"define(`confCONNECTION_RATE_THROTTLE', `4')", "smtp.connection_rate", "4", NULL},
    {"define(`confMAX_NOOP_COMMANDS', `7')", "smtp.max_noop_commands", "7", NULL},
    {"define(`confREFUSE_LA', `9')", "smtp.refuse_load", "9", NULL},
    {"define(`confDELAY_LA', `3')", "smtp.delay_load", "3", NULL},
    {"define(`confDELAY_LA', `0')", "smtp.delay_load", "0", NULL},
    {"define(`confMAX_RUNNERS_PER_QUEUE', `3')", "queue.runners", "3", NULL},
    {"define(`confMAX_QUEUE_CHILDREN', `6')", "queue.max_deliveries", "6", NULL},
    {"define(`confMAX_QUEUE_RUN_SIZE', `50')", "queue.max_run_size", "50", NULL},
    {"define(`confTRY_NULL_MX_LIST', `True')", "client.own_mx", "yes", NULL},
    {"define(`confTRY_NULL_MX_LIST', `False')", "client.own_mx", "no", NULL},
    {"define(`confCOPY_ERRORS_TO', `Postmaster')", "queue.copies_to", "\"Postmaster\"", NULL},
    {"define(`confDOUBLE_BOUNCE_ADDRESS', `root')", "queue.double_bounce_to", "\"root\"", NULL},
    {"", "client.own_mx", "no", NULL},
};

START_TEST(a_limit_is_kept_or_bounded)
{
    check_row(&limits[_i]);
}
END_TEST

START_TEST(what_the_main_file_limits_is_not_called_unlimited)
{
    mc_world w = {"smtp.max_message_size = 7000\n" MC_WORLD_MAIN,
                  "define(`confMAX_MESSAGE_SIZE', `0')",
                  {NULL},
                  1,
                  "",
                  "",
                  0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    ck_assert_str_eq(w.said, "");
    ck_assert_uint_eq(lmail_config_settings(c)->smtp.max_message_size, 7000);
    lmail_config_free(c);
}
END_TEST

/* ---- Times ----------------------------------------------------------------------------------- */

/* One that stands for each name: its setting, its default, what 7 without a unit means. */
static const struct time_row {
    const char *name, *key, *absent, *seven;
} times[] = {
    {"COMMAND", "smtp.command_timeout", "1 h", "7 m"},
    {"DATABLOCK", "smtp.data_timeout", "1 h", "7 m"},
    {"DATABLOCK", "client.data_block_timeout", "1 h", "7 m"},
    {"STARTTLS", "smtp.starttls_timeout", "1 h", "7 m"},
    {"STARTTLS", "client.starttls_timeout", "1 h", "7 m"},
    {"AUTH", "client.auth_timeout", "10 m", "7 m"},
    {"INITIAL", "client.greeting_timeout", "5 m", "7 m"},
    {"CONNECT", "client.connect_timeout", "0", "7 m"},
    {"ICONNECT", "client.first_connect_timeout", "0", "7 m"},
    {"ACONNECT", "client.all_connect_timeout", "0", "7 m"},
    {"HELO", "client.helo_timeout", "5 m", "7 m"},
    {"MAIL", "client.mail_timeout", "10 m", "7 m"},
    {"RCPT", "client.rcpt_timeout", "1 h", "7 m"},
    {"DATAINIT", "client.data_start_timeout", "5 m", "7 m"},
    {"DATAFINAL", "client.data_end_timeout", "1 h", "7 m"},
    {"RSET", "client.rset_timeout", "5 m", "7 m"},
    {"QUIT", "client.quit_timeout", "2 m", "7 m"},
    {"MISC", "client.misc_timeout", "2 m", "7 m"},
    {"LHLO", "client.lhlo_timeout", "2 m", "7 m"},
    {"HOSTSTATUS", "client.host_status_timeout", "30 m", "7 m"},
    {"FILEOPEN", "client.file_open_timeout", "1 m", "7 m"},
    {"QUEUEWARN", "queue.warn_after", "4 h", "7 h"},
    {"QUEUERETURN", "queue.return_after", "5 d", "7 d"},
};

START_TEST(each_time_has_its_setting_default_and_unit)
{
    const struct time_row *t = &times[_i];
    char mc[80];
    check_row(&(row){"", t->key, t->absent, NULL});
    snprintf(mc, sizeof mc, "define(`confTO_%s', `7')", t->name);
    check_row(&(row){mc, t->key, t->seven, NULL});
    snprintf(mc, sizeof mc, "define(`confTO_%s', `1h30m20s')", t->name);
    check_row(&(row){mc, t->key, "5420 s", NULL});
}
END_TEST

static const row units[] = {
    {"define(`confTO_MAIL', `90s')", "client.mail_timeout", "90 s", NULL},
    {"define(`confTO_MAIL', `9m')", "client.mail_timeout", "9 m", NULL},
    {"define(`confTO_MAIL', `3h')", "client.mail_timeout", "3 h", NULL},
    {"define(`confTO_MAIL', `2d')", "client.mail_timeout", "2 d", NULL},
    {"define(`confTO_MAIL', `2w')", "client.mail_timeout", "14 d", NULL},
    {"define(`confTO_QUEUERETURN_NORMAL', `3')", "queue.return_after", "3 d", NULL},
    {"define(`confTO_QUEUEWARN_NORMAL', `3')", "queue.warn_after", "3 h", NULL},
    {"define(`confTO_IDENT', `0')", "client.mail_timeout", "10 m", NULL},
    {"define(`confTO_IDENT', `5s')", "client.mail_timeout", "10 m",
     "x.mc:1: N: confTO_IDENT: clients are never asked by ident\n"},
};

START_TEST(each_unit_is_known)
{
    check_row(&units[_i]);
}
END_TEST

/* ---- Privacy --------------------------------------------------------------------------------- */

static const struct flag_row {
    const char *flags, *settings;
} flags[] = {
    {"public", "\"\""},
    {"needmailhelo", "need_mail_helo"},
    {"needvrfyhelo", "need_vrfy_helo"},
    {"needexpnhelo", "need_expn_helo"},
    {"novrfy", "no_vrfy"},
    {"noexpn", "no_expn"},
    {"noetrn", "no_etrn"},
    {"noverb", "no_verb"},
    {"noreceipts", "no_receipts"},
    {"nobodyreturn", "no_body_return"},
    {"noactualrecipient", "no_actual_recipient"},
    {"restrictmailq", "restrict_mailq"},
    {"restrictqrun", "restrict_qrun"},
    {"restrictexpand", "restrict_expand"},
    {"authwarnings", "auth_warnings"},
    {"NoVrfy,NOEXPN", "\"no_vrfy, no_expn\""},
    {"authwarnings, novrfy ,noexpn,restrictqrun",
     "\"no_vrfy, no_expn, restrict_qrun, auth_warnings\""},
    {"authwarnings novrfy", "\"no_vrfy, auth_warnings\""},
};

START_TEST(each_privacy_flag_is_its_setting)
{
    char mc[160], quoted[80];
    const char *settings = flags[_i].settings;
    snprintf(mc, sizeof mc, "define(`confPRIVACY_FLAGS', `%s')", flags[_i].flags);
    snprintf(quoted, sizeof quoted, settings[0] == '"' ? "%s" : "\"%s\"", settings);
    check_row(&(row){mc, "smtp.privacy", quoted, NULL});
}
END_TEST

START_TEST(without_privacy_flags_there_are_warnings_alone)
{
    check_row(&(row){"", "smtp.privacy", "\"auth_warnings\"", NULL});
}
END_TEST

/* ---- Sockets --------------------------------------------------------------------------------- */

#define UNQUOTED(name, what)                                                                       \
    "x.mc:1: W: " name ": the classic program reads its first " what                               \
    " only; put one pair of quotes around all of it\n"

static const row sockets[] = {
    {"DAEMON_OPTIONS(Port=2525, Addr=192.0.2.1)", "address", "\"192.0.2.1\"",
     UNQUOTED("DAEMON_OPTIONS", "argument")},
    {"CLIENT_OPTIONS(Family=inet, Addr=192.0.2.1)", "client.address", "\"192.0.2.1\"",
     UNQUOTED("CLIENT_OPTIONS", "argument")},
    {"CLIENT_OPTIONS(`Family=inet', `M=S')", "client.starttls", "no",
     UNQUOTED("CLIENT_OPTIONS", "argument")},
    {"MAIL_FILTER(a, S=local:/run/a, F=T)", "on_failure", "tempfail",
     UNQUOTED("MAIL_FILTER", "two arguments")},
    {"MAIL_FILTER(`a', `S=local:/run/a', `F=R', `T=R:20s')", "read_timeout", "20 s",
     UNQUOTED("MAIL_FILTER", "two arguments")},
    {"define(confPRIVACY_FLAGS, novrfy,noexpn)", "smtp.privacy", "\"no_vrfy\"",
     "x.mc:1: W: confPRIVACY_FLAGS: \"noexpn\" is lost: define reads two arguments; put quotes "
     "around the value\n"},
    {"define(`MY_OWN', a, b)dnl\n", "smtp.max_hops", "25", NULL},
    /* CLIENT_OPTIONS, each key */
    {"CLIENT_OPTIONS(`Family=inet6, Addr=2001:db8::1')", "client.address", "\"2001:db8::1\"", NULL},
    {"CLIENT_OPTIONS(`Port=2525')", "client.port", "2525", NULL},
    {"CLIENT_OPTIONS(`M=h')", "client.interface_name", "yes", NULL},
    {"CLIENT_OPTIONS(`M=A')", "client.auth", "no", NULL},
    /* DAEMON_OPTIONS, each key in either case */
    {"DAEMON_OPTIONS(`Port=submissions')", "port", "465", NULL},
    {"DAEMON_OPTIONS(`p=smtps')", "port", "465", NULL},
    {"DAEMON_OPTIONS(`P=Submission')", "port", "587", NULL},
    {"DAEMON_OPTIONS(`a=192.0.2.1')", "address", "\"192.0.2.1\"", NULL},
    {"DAEMON_OPTIONS(`Family=unix, Addr=/run/s')", "address", "\"unix:/run/s\"", NULL},
    {"DAEMON_OPTIONS(`family=UNIX, Addr=/run/s')", "address", "\"unix:/run/s\"", NULL},
    {"DAEMON_OPTIONS(`F=inet6')", "family", "inet6", NULL},
    {"DAEMON_OPTIONS(`Port=25')", "family", "inet", NULL},
    {"DAEMON_OPTIONS(`Port=25')", "backlog", "10", NULL},
    {"DAEMON_OPTIONS(`l=20')", "backlog", "20", NULL},
    {"DAEMON_OPTIONS(`L=20')", "backlog", "20", NULL},
    {"DAEMON_OPTIONS(`delayLA=3')", "delay_load", "3", NULL},
    {"DAEMON_OPTIONS(`refuseLA=3')", "refuse_load", "3", NULL},
    {"DAEMON_OPTIONS(`queueLA=3')", "queue_load", "3", NULL},
    {"DAEMON_OPTIONS(`children=3')", "max_sessions", "3", NULL},
    {"DAEMON_OPTIONS(`DeliveryMode=interactive')", "delivery", "interactive", NULL},
    {"DAEMON_OPTIONS(`m=E')", "etrn", "no", NULL},
    /* the modifiers */
    {"DAEMON_OPTIONS(`M=a')", "require_auth", "yes", NULL},
    {"DAEMON_OPTIONS(`M=A')", "offer_auth", "no", NULL},
    {"DAEMON_OPTIONS(`M=b')", "same_address", "yes", NULL},
    {"DAEMON_OPTIONS(`M=C')", "port", "25", NULL},
    {"DAEMON_OPTIONS(`M=f')", "qualified_senders", "yes", NULL},
    {"DAEMON_OPTIONS(`M=r')", "qualified_recipients", "yes", NULL},
    {"DAEMON_OPTIONS(`M=h')", "interface_name", "yes", NULL},
    {"DAEMON_OPTIONS(`M=u')", "unqualified_senders", "yes", NULL},
    {"DAEMON_OPTIONS(`M=O')", "optional", "yes", NULL},
    {"define(`confSERVER_CERT', `/c')define(`confSERVER_KEY', `/k')DAEMON_OPTIONS(`M=s')", "tls",
     "tls", NULL},
    {"define(`confSERVER_CERT', `/c')define(`confSERVER_KEY', `/k')DAEMON_OPTIONS(`M=S')", "tls",
     "none", NULL},
};

START_TEST(a_socket_is_opened_as_it_is_told)
{
    check_row(&sockets[_i]);
}
END_TEST

START_TEST(listeners_are_named_by_number)
{
    mc_world w = {MC_WORLD_MAIN,
                  "DAEMON_OPTIONS(`Port=25')\nDAEMON_OPTIONS(`Port=26')\n"
                  "DAEMON_OPTIONS(`Port=27, Name=X')\nDAEMON_OPTIONS(`Port=28')\n"
                  "FEATURE(`no_default_msa')\n",
                  {NULL},
                  1,
                  "",
                  "",
                  0};
    static const char *const names[] = {"Daemon0", "Daemon1", "X", "Daemon3"};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    const lmail_settings *s = lmail_config_settings(c);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(lmail_str_equal(s->listeners[i].name, lmail_str_from(names[i])));
        ck_assert_uint_eq(s->listeners[i].port, 25 + i);
    }
    ck_assert_uint_eq(s->listener_count, 8); /* and four for IMAP and POP3 */
    lmail_config_free(c);
}
END_TEST

START_TEST(without_a_line_there_are_two_listeners)
{
    mc_world w = {MC_WORLD_MAIN, "MAILER(smtp)\n", {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    const lmail_listener_settings *l = lmail_config_settings(c)->listeners;
    ck_assert_uint_eq(l[0].port, 25);
    ck_assert_uint_eq(l[0].address.count, 0);
    ck_assert_uint_eq(l[0].etrn, 1);
    ck_assert_uint_eq(l[1].port, 587);
    ck_assert_uint_eq(l[1].etrn, 0);
    ck_assert_uint_eq(l[1].require_auth, 0);
    lmail_config_free(c);
    w.mc = "FEATURE(`no_default_msa')\n";
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    ck_assert_uint_eq(lmail_config_settings(c)->listener_count, 5);
    lmail_config_free(c);
}
END_TEST

/* A path of n octets. */
static const char *path_of(size_t n)
{
    static char path[400];
    memset(path, 'p', n);
    path[0] = '/';
    path[n] = '\0';
    return path;
}

START_TEST(a_socket_path_that_no_socket_has_is_refused_at_once)
{
    static const char *const forms[] = {
        "listener a {\n address = unix:%s\n}\n",
        "listener a {\n address = 127.0.0.1, unix:%s\n}\n",
        "smtp.milters = m\nmilter m {\n socket = unix:%s\n}\n",
        "smtp.metrics_listen = unix:%s\n",
        "authd.sockets = %s\n",
        "authd.sockets = /run/a, %s\n",
        "sendmail_mc = x.mc\n",
    };
    char main[600], mc[600];
    for (size_t n = 107; n <= 108; n++) {
        snprintf(main, sizeof main, forms[_i], path_of(n));
        snprintf(mc, sizeof mc, "DAEMON_OPTIONS(`Family=local, Addr=%s')\n", path_of(n));
        mc_world w = {main, mc, {NULL}, 1, "", "", 0};
        lmail_config *c;
        lmail_status st = mc_world_load(&w, &c);
        ck_assert_msg(st == (n == 107 ? LMAIL_OK : LMAIL_ERR_SYNTAX), "%s", w.said);
        if (!st)
            lmail_config_free(c);
        else
            ck_assert_ptr_nonnull(strstr(
                w.said, "...\" is longer than 107 octets, the most that a socket's path has\n"));
    }
}
END_TEST

Suite *config_mc_limits_suite(void)
{
    Suite *s = suite_create("config_mc_limits");
    TCase *t = tcase_create("limits");
    tcase_add_loop_test(t, a_limit_is_kept_or_bounded, 0, sizeof limits / sizeof *limits);
    tcase_add_test(t, what_the_main_file_limits_is_not_called_unlimited);
    tcase_add_loop_test(t, each_time_has_its_setting_default_and_unit, 0,
                        sizeof times / sizeof *times);
    tcase_add_loop_test(t, each_unit_is_known, 0, sizeof units / sizeof *units);
    tcase_add_loop_test(t, each_privacy_flag_is_its_setting, 0, sizeof flags / sizeof *flags);
    tcase_add_test(t, without_privacy_flags_there_are_warnings_alone);
    tcase_add_loop_test(t, a_socket_is_opened_as_it_is_told, 0, sizeof sockets / sizeof *sockets);
    tcase_add_test(t, listeners_are_named_by_number);
    tcase_add_test(t, without_a_line_there_are_two_listeners);
    tcase_add_loop_test(t, a_socket_path_that_no_socket_has_is_refused_at_once, 0, 7);
    suite_add_tcase(s, t);
    return s;
}
