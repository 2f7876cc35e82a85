/* The language of sendmail.mc: damage that a later line hides, what cannot be imported, what is said
 * once, and directives that are commented out. */
#include <check.h>
#include <libmail/config.h>
#include <string.h>

#include "mc_world.h"

Suite *config_mc_text_suite(void);

#define ACUTE "\xC2\xB4"
#define BY_ACUTE                                                                                   \
    "the quoted string that is opened here never ends; its closing quote is an acute accent "      \
    "(U+00B4), use the ASCII ' (0x27)\n"
#define OPENS_WITH_ACUTE                                                                           \
    "an argument opens with an acute accent (U+00B4); use ` to open and ' to close\n"
#define NOT_IMPORTED                                                                               \
    "\" cannot be imported; of the .cf only Cw, CR, Fw and FR lines can, below LOCAL_CONFIG\n"

static const struct damage {
    const char *mc, *said;
} damages[] = {
    /* an apostrophe of a later comment closes what the accent was to close */
    {"define(`confMAX_HOP', `7" ACUTE ")dnl\ndnl don't (do) this\nMAILER(smtp)\n",
     "x.mc:1: E: " BY_ACUTE},
    {"dnl\ndefine(`confMAX_HOP" ACUTE ", `7')dnl\ndnl it's l'odd\nMAILER(smtp)\n",
     "x.mc:2: E: " BY_ACUTE},
    {"FEATURE(`redirect" ACUTE " )dnl\ndnl don't\nFEATURE(`smrsh')\ndnl isn't)\n",
     "x.mc:1: E: " BY_ACUTE},
    {"define(`confMAX_HOP', `7\xB4)dnl\ndnl don't\nMAILER(smtp)\n", "x.mc:1: E: " BY_ACUTE},
    {"ifdef(`X', `\ndefine(`confMAX_HOP', `7" ACUTE ")\n', `')dnl don't\nMAILER(smtp)\n",
     "x.mc:2: E: " BY_ACUTE},
    /* without one, as ever */
    {"\ndefine(`confMAX_HOP', `7" ACUTE "\n", "x.mc:2: E: " BY_ACUTE},
    /* the accent opens */
    {"MASQUERADE_AS(" ACUTE "a.example')\n", "x.mc:1: E: " OPENS_WITH_ACUTE},
    {"MASQUERADE_AS(\xB4"
     "a.example)\n",
     "x.mc:1: E: " OPENS_WITH_ACUTE},
    /* rules and other lines of the .cf */
    {"R$* < @ $+ > $* $: $1\n", "x.mc:1: E: \"R$* < @ $+ > $* $: $1" NOT_IMPORTED},
    {"MAILER(smtp)dnl words\nR$*\t$@ ok\n", "x.mc:2: E: \"R$*?$@ ok" NOT_IMPORTED},
    {"Kmymap hash -o /etc/mail/mymap\n",
     "x.mc:1: E: \"Kmymap hash -o /etc/mail/mymap" NOT_IMPORTED},
    {"SLocal_check_mail\n", "x.mc:1: E: \"SLocal_check_mail" NOT_IMPORTED},
    {"S98\n", "x.mc:1: E: \"S98" NOT_IMPORTED},
    {"Cwa.example\n", "x.mc:1: E: \"Cwa.example" NOT_IMPORTED},
    {"Fw/etc/mail/names\n", "x.mc:1: E: \"Fw/etc/mail/names" NOT_IMPORTED},
    {"DMa.example\n", "x.mc:1: E: \"DMa.example" NOT_IMPORTED},
    {"D{name}value\n", "x.mc:1: E: \"D{name}value" NOT_IMPORTED},
    {"O MaxHopCount=7\n", "x.mc:1: E: \"O MaxHopCount=7" NOT_IMPORTED},
    {"HX-Served-By: us\n", "x.mc:1: E: \"HX-Served-By: us" NOT_IMPORTED},
    {"H?P?Return-Path: <$g>\n", "x.mc:1: E: \"H?P?Return-Path: <$g>" NOT_IMPORTED},
    {"Mmine, P=/bin/x, F=l\n", "x.mc:1: E: \"Mmine, P=/bin/x, F=l" NOT_IMPORTED},
    {"Xf, S=local:/f\n", "x.mc:1: E: \"Xf, S=local:/f" NOT_IMPORTED},
    {"LOCAL_CONFIG\nKmymap hash /x\n", "x.mc:2: E: \"Kmymap hash /x\" cannot be imported; only "
                                       "Cw, CR, Fw and FR lines can\n"},
    /* builtins of m4 with and without parentheses */
    {"traceon\n", "x.mc:1: E: traceon cannot be imported\n"},
    {"traceoff(`x')dnl\n", "x.mc:1: E: traceoff cannot be imported\n"},
    {"dumpdef\n", "x.mc:1: E: dumpdef cannot be imported\n"},
    {"dumpdef(`x')\n", "x.mc:1: E: dumpdef cannot be imported\n"},
    {"divnum\n", "x.mc:1: E: divnum cannot be imported\n"},
    {"undivert\n", "x.mc:1: E: undivert cannot be imported\n"},
    {"debugmode(`V')\n", "x.mc:1: E: debugmode cannot be imported\n"},
    {"changeword(`x')\n", "x.mc:1: E: changeword cannot be imported\n"},
    {"define(`x', eval(`1+1'))\n", "x.mc:1: E: eval cannot be imported\n"},
    {"esyscmd(`date')\n", "x.mc:1: E: esyscmd cannot be imported\n"},
    {"LOCAL_RULE_3\n", "x.mc:1: E: LOCAL_RULE_3 cannot be imported\n"},
    {"LOCAL_RULESETS\nSx\nR$*\t$@ ok\n", "x.mc:1: E: LOCAL_RULESETS cannot be imported\n"},
    /* prose that begins with the same letters stays prose */
    {"Remember this\n", "x.mc:1: E: text \"Remember this\" outside any macro call\n"},
    {"Keep this\n", "x.mc:1: E: text \"Keep this\" outside any macro call\n"},
    {"Servers: a, b\n", "x.mc:1: E: text \"Servers: a, b\" outside any macro call\n"},
    {"DNS is here.\n", "x.mc:1: E: text \"DNS is here.\" outside any macro call\n"},
    {"Hello: world\n", NULL},
    {"MAILER(smtp) Remember $x\n", "x.mc:1: E: text \"Remember $x\" outside any macro call\n"},
    {"One=1\n", "x.mc:1: E: text \"One=1\" outside any macro call\n"},
};

START_TEST(damage_is_named_where_it_stands)
{
    const struct damage *d = &damages[_i];
    mc_world w = {MC_WORLD_MAIN, d->mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_msg(mc_world_load(&w, &c) == LMAIL_ERR_SYNTAX, "%s: %s", d->mc, w.said);
    if (d->said)
        ck_assert_str_eq(w.said, d->said);
}
END_TEST

static const struct damage spoken[] = {
    /* once each, wherever it stands again */
    {"SITE(`a')SITE(`b')\nSITE(`c')UUCPSMTP(`x')\n",
     "x.mc:1: W: SITE has no effect here\nx.mc:2: W: UUCPSMTP has no effect here\n"},
    {"FEATURE(`vnet')\nFEATURE(`vnet')\nFEATURE(`drac')\n",
     "x.mc:1: W: FEATURE(vnet) has no effect here\nx.mc:3: W: FEATURE(drac) has no effect here\n"},
    {"MAILER(`uucp')\nMAILER(`uucp')\nMAILER(`fax')\n",
     "x.mc:1: W: MAILER(uucp) has no effect here\nx.mc:3: W: MAILER(fax) has no effect here\n"},
    {"DAEMON_OPTIONS(`Port=25, M=xyx')\nDAEMON_OPTIONS(`Port=26, M=x, RcvBufSize=9')\n"
     "DAEMON_OPTIONS(`Port=27, RcvBufSize=9, SndBufSize=9')\n",
     "x.mc:1: W: DAEMON_OPTIONS: modifier \"x\" has no effect here\n"
     "x.mc:1: W: DAEMON_OPTIONS: modifier \"y\" has no effect here\n"
     "x.mc:2: W: DAEMON_OPTIONS: RcvBufSize has no effect here\n"
     "x.mc:3: W: DAEMON_OPTIONS: SndBufSize has no effect here\n"},
    {"define(`confTLS_SRV_OPTIONS', `C C')\n",
     "x.mc:1: W: confTLS_SRV_OPTIONS: \"C\" has no effect here\n"},
    {"define(`confUSERDB_SPEC', `x')\ndefine(`confMAILER_NAME', `y')\n",
     "x.mc:1: W: confUSERDB_SPEC has no effect here\nx.mc:2: W: confMAILER_NAME has no effect "
     "here\n"},
    /* what is commented out, be it twice */
    {"dnl define(`confMAX_HOP', `7')\n", "x.mc:1: N: commented out: define(`confMAX_HOP', `7')\n"},
    {"dnl dnl define(`confMAX_HOP', `7')dnl\n",
     "x.mc:1: N: commented out: define(`confMAX_HOP', `7')\n"},
    {"dnl #dnl # FEATURE(`redirect') dnl words\n",
     "x.mc:1: N: commented out: FEATURE(`redirect')\n"},
    {"dnl dnl words of FEATURE(`redirect')\n", ""},
    {"dnldnl MAILER(smtp)\n", NULL},
    {"divert(-1)\ndnl define(`confMAX_HOP', `7')\ndivert(0)dnl\n", ""},
    /* accents that close nothing */
    {"dnl ma" ACUTE "ana, no" ACUTE ")\nVERSIONID(`a" ACUTE ", b')\n", ""},
    {"divert(-1)\n`a" ACUTE ")\nb'\ndivert(0)dnl\n", ""},
    {"divert(-1)\ntraceon and divnum are words\ndivert(0)dnl\n", ""},
    {"# traceon and R$* are words\n", ""},
};

START_TEST(what_is_said_of_a_sound_file)
{
    const struct damage *d = &spoken[_i];
    mc_world w = {MC_WORLD_MAIN, d->mc, {NULL}, 0, "", "", 0};
    lmail_config *c;
    int sound = d->said != NULL;
    ck_assert_msg((mc_world_load(&w, &c) == LMAIL_OK) == sound, "%s: %s", d->mc, w.said);
    if (!sound)
        return;
    ck_assert_str_eq(w.said, d->said);
    lmail_config_free(c);
}
END_TEST

Suite *config_mc_text_suite(void)
{
    Suite *s = suite_create("config_mc_text");
    TCase *t = tcase_create("text");
    tcase_add_loop_test(t, damage_is_named_where_it_stands, 0, sizeof damages / sizeof *damages);
    tcase_add_loop_test(t, what_is_said_of_a_sound_file, 0, sizeof spoken / sizeof *spoken);
    suite_add_tcase(s, t);
    return s;
}
