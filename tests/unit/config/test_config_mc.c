/* Reading sendmail.mc: the guide's file, its damaged fragments, and each directive. */
#include <check.h>
#include <libmail/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mc_world.h"
#include "vectors.h"

Suite *config_mc_suite(void);

/* ---- The guide ------------------------------------------------------------------------------- */

static const char guide_says[] =
    "x.mc:13: N: commented out: define(`confPRIVACY_FLAGS', "
    "`authwarnings,novrfy,noexpn,restrictqrun')\n"
    "x.mc:19: N: commented out: define(`confAUTH_OPTIONS', `A')\n"
    "x.mc:25: N: FEATURE(smrsh): mail is delivered by libmail itself, no program is run\n"
    "x.mc:32: N: FEATURE(local_procmail): mail is delivered by libmail itself, no program is run\n"
    "x.mc:34: W: FEATURE(blacklist_recipients) is deprecated; write blocklist_recipients\n"
    "x.mc:38: N: commented out: FEATURE(`accept_unresolvable_domains')\n"
    "x.mc:44: N: MAILER(procmail): mail is delivered by libmail itself, no program is run\n"
    "x.mc:7: N: confDEF_USER_ID names a delivery agent; mail is delivered by libmail itself\n"
    "x.mc:11: N: PROCMAIL_MAILER_PATH names a delivery agent; mail is delivered by libmail itself\n"
    "x.mc:15: W: confMAX_HEADERS_LENGTH: 10240 octets are few; ordinary mail has headers up to "
    "16384\n"
    "x.mc:22: N: confAUTH_MECHANISMS: GSSAPI is not implemented and not offered\n"
    "x.mc:42: W: FEATURE(masquerade_entire_domain) does nothing without MASQUERADE_DOMAIN\n"
    "/etc/mail/access:7: W: blank after tag, read as \"Connect:207.249.24.30\"\n"
    "/etc/mail/access:9: W: blank after tag, read as \"Connect:midominio.com.mx\"\n"
    "/etc/mail/access:11: W: blank after tag, read as \"Connect:correo.midominio.com.mx\"\n"
    "/etc/mail/access:13: W: blank after tag, read as \"Connect:192.168.1.10\"\n"
    "x.mc:27: N: /etc/mail/virtusertable is missing; it counts as empty\n"
    "x.mc:26: N: /etc/mail/mailertable is missing; it counts as empty\n"
    "x.mc:12: N: /etc/aliases is missing; it counts as empty\n";

START_TEST(the_guides_file_says_what_it_should_and_no_more)
{
    char *access = vectors_read("guide/access", NULL);
    char *local = vectors_read("guide/local-host-names", NULL);
    char *relay = vectors_read("guide/relay-domains", NULL);
    mc_world w = {MC_WORLD_MAIN,
                  vectors_read("guide/sendmail.mc", NULL),
                  {"/etc/mail/access", access, "/etc/mail/local-host-names", local,
                   "/etc/mail/relay-domains", relay},
                  0,
                  "",
                  "",
                  0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    ck_assert_str_eq(w.said, guide_says);
    const lmail_settings *s = lmail_config_settings(c);
    ck_assert_uint_eq(s->smtp.max_recipients, 10);
    ck_assert_uint_eq(s->smtp.max_header_size, 10240);
    ck_assert_uint_eq(s->smtp.max_message_size, 3075000);
    ck_assert_uint_eq(s->smtp.max_sessions, 5);
    ck_assert_uint_eq(s->smtp.connection_rate, 4);
    ck_assert_uint_eq(s->smtp.allow_cleartext, LMAIL_INHERIT_NO);
    ck_assert_uint_eq(s->smtp.privacy, LMAIL_PRIVACY_AUTH_WARNINGS);
    ck_assert_uint_eq(s->policy.blocklist_recipients, 1);
    ck_assert_uint_eq(s->masquerade.exposed_users.count, 1);
    ck_assert_uint_eq(s->listener_count, 6); /* two of its own, four for IMAP and POP3 */
    const lmail_listener_settings *mta = &s->listeners[0], *msa = &s->listeners[1];
    ck_assert_uint_eq(mta->port, 25);
    ck_assert_uint_eq(mta->tls, LMAIL_LISTENER_PLAIN);
    ck_assert_uint_eq(mta->require_auth, 0);
    ck_assert_uint_eq(mta->etrn, 1);
    ck_assert_uint_eq(msa->port, 587);
    ck_assert_uint_eq(msa->require_auth, 1);
    ck_assert_uint_eq(msa->etrn, 0);
    ck_assert_ptr_nonnull(lmail_config_policy(c));
    ck_assert_ptr_nonnull(lmail_config_tables(c));
    lmail_config_free(c);
    free(access);
    free(local);
    free(relay);
    free((char *)w.mc);
}
END_TEST

static const struct fragment {
    const char *name, *said;
} fragments[] = {
    {"acute", "x.mc:1: E: the quoted string that is opened here never ends; its closing quote is "
              "an acute accent (U+00B4), use the ASCII ' (0x27)\n"},
    {"acute-p", "x.mc:1: E: the quoted string that is opened here never ends; its closing quote is "
                "an acute accent (U+00B4), use the ASCII ' (0x27)\n"},
    {"dn1", "x.mc:1: E: text \"dn1\" outside any macro call; did you mean dnl?\n"},
    {"split", "x.mc:1: N: commented out: define(`confAUTH_MECHANISMS', `EXTERNAL GSSAPI DIGEST-MD5 "
              "CRAM-MD5 LOGIN\n"
              "x.mc:2: E: text \"PLAIN')dnl\" outside any macro call; line 1 has text after dnl, "
              "join the lines\n"},
    {"curly", "x.mc:1: E: typographic quotes (U+2018, U+2019); use ` to open and ' to close\n"},
    {"unclosed", "x.mc:1: E: the quoted string that is opened here never ends\n"},
    {"unknown-text", "x.mc:2: E: text \"hello world\" outside any macro call\n"},
    {"nocomma", "x.mc:1: W: a comma is missing between \"Addr=192.168.0.1\" and \"Name=MTA\"; "
                "\"Name=MTA\" is ignored\n"},
    {"dnl-left", "x.mc:1: N: commented out: MASQUERADE_AS(`midominio.com.mx')\n"},
};

START_TEST(a_damaged_fragment_is_named_with_line_and_hint)
{
    const struct fragment *f = &fragments[_i];
    char name[64];
    snprintf(name, sizeof name, "guide/broken/%s.mc", f->name);
    mc_world w = {MC_WORLD_MAIN, vectors_read(name, NULL), {NULL}, 0, "", "", 0};
    lmail_config *c;
    int bad = strstr(f->said, ": E: ") != NULL;
    ck_assert_int_eq(mc_world_load(&w, &c), bad ? LMAIL_ERR_SYNTAX : LMAIL_OK);
    ck_assert_str_eq(w.said, f->said);
    if (!bad) {
        ck_assert_uint_eq(lmail_config_settings(c)->masquerade.as.len, 0);
        lmail_config_free(c);
    }
    free((char *)w.mc);
}
END_TEST

/* ---- The language ---------------------------------------------------------------------------- */

static const struct sentence {
    const char *mc, *key, *value, *said;
} sentences[] = {
    /* quotes, commas, blanks */
    {"define(`confMAX_HOP', `7')dnl\n", "smtp.max_hops", "7", ""},
    {"define(confMAX_HOP,   7)\n", "smtp.max_hops", "7", ""},
    {"define(confMAX_HOP,\n\t`7')dnl trailing words\n", "smtp.max_hops", "7", ""},
    {"define(`confREJECT_MSG', ``550 5.7.1 Go, away'')", "policy.reject_reply",
     "\"550 5.7.1 Go, away\"", NULL},
    {"\xEF\xBB\xBF"
     "divert(-1)\nany words, don't matter (really)\ndivert(0)dnl\r\n"
     "define(`confMAX_HOP', `7')dnl\r\n",
     "smtp.max_hops", "7", ""},
    {"divert(-1)\nwords\ninclude(`/usr/share/sendmail-cf/m4/cf.m4')\nMASQUERADE_AS(`a.example')\n",
     "masquerade.as", "\"a.example\"", ""},
    /* macros of the file's own */
    {"define(`X', `a.example')dnl\nMASQUERADE_AS(X)\n", "masquerade.as", "\"a.example\"", ""},
    {"define(`X', `MASQUERADE_AS(`$1.example')')dnl\nX(a)\n", "masquerade.as", "\"a.example\"", ""},
    {"define(`X', `$*/$#')MASQUERADE_AS(X(a))\n", "masquerade.as", "\"a/1\"", ""},
    {"ifdef(`X', `define(`confMAX_HOP', `7')', `define(`confMAX_HOP', `8')')dnl\n", "smtp.max_hops",
     "8", ""},
    {"define(`X')ifdef(`X', `define(`confMAX_HOP', `7')')dnl\n", "smtp.max_hops", "7", ""},
    {"define(`X', `a')ifelse(X, `b', `define(`confMAX_HOP', `7')', X, `a', `define(`confMAX_HOP', "
     "`8')', `define(`confMAX_HOP', `9')')dnl\n",
     "smtp.max_hops", "8", ""},
    {"define(`confMAX_HOP', `7')undefine(`confMAX_HOP')\n", "smtp.max_hops", "25", ""},
    {"define(`confMAX_HOP', `7')\ndefine(`confMAX_HOP', `8')\n", "smtp.max_hops", "8",
     "x.mc:2: W: confMAX_HOP is defined already at x.mc:1 with another value; this one holds\n"},
    {"define(`confMAX_HOP', `7')\ndefine(`confMAX_HOP', `7')\n", "smtp.max_hops", "7", ""},
    {"FEATURE(`access_db', `hash -o 'MAIL_SETTINGS_DIR`access')", "policy.access",
     "\"-/etc/mail/access\"", ""},
    {"define(`confCW_FILE', `-o MAIL_SETTINGS_DIR`'names')FEATURE(`use_cw_file')",
     "policy.local_host_names", "\"-/etc/mail/names\"", ""},
    /* comments */
    {"# define(`confMAX_HOP', `7')\n", "smtp.max_hops", "7",
     "x.mc:1: W: # does not disable define: it is obeyed; write dnl in front of it to comment it "
     "out\n"},
    {"# plain words, don't matter\ndefine(`confMAX_HOP', `7')dnl # more\n", "smtp.max_hops", "7",
     ""},
    {"define(`confMAX_HOP', `7') # words\n", "smtp.max_hops", "7", ""},
    {"# dnl define(`confMAX_HOP', `7')\n", "smtp.max_hops", "25", ""},
    {"# see `define(`confMAX_HOP', `7')' here\n", "smtp.max_hops", "25", ""},
    {"# not `FEATURE(x)' but define(`confMAX_HOP', `7')\n", "smtp.max_hops", "7",
     "x.mc:1: W: # does not disable define: it is obeyed; write dnl in front of it to comment it "
     "out\n"},
    {"LOCAL_CONFIG\nCwexample.org dnl comment words\n", "policy.local_domains", "\"example.org\"",
     ""},
    {"CLIENT_OPTIONS(`Family=inet6')\n", "client.family", "inet6", ""},
    {"dnl the macro FEATURE(x) is spoken of\n", "smtp.max_hops", "25", ""},
    {"# FEATURE(`redirect') and words behind\ndefine(`confMAX_HOP', `7')\n", "routing.redirect",
     "yes",
     "x.mc:1: W: # does not disable FEATURE: it is obeyed; write dnl in front of it to comment it "
     "out\n"},
    {"define(`confMAX_HOP', `7', dnl words, `8'\n)\n", "smtp.max_hops", "7", ""},
    /* LOCAL_CONFIG */
    {"LOCAL_CONFIG\n# words\nCwa.example b.example\nCRc.example\nFR-o /x/r\nMAILER(smtp)\n",
     "policy.local_domains", "\"a.example, b.example\"", ""},
    {"LOCAL_CONFIG\nFR-o /x/r\n", "policy.relay_domain_files",
     "\"-/x/r, -/etc/mail/relay-domains\"", ""},
    {"LOCAL_CONFIG\nFw/x/w\n", "policy.local_host_names", "\"/x/w\"", ""},
    /* names that do nothing */
    {"VERSIONID(`$Id: “a”')OSTYPE(linux)DOMAIN(`generic')_X_(`y')errprint(`words')",
     "smtp.max_hops", "25", ""},
};

START_TEST(a_sentence_means_what_it_means)
{
    const struct sentence *s = &sentences[_i];
    mc_world w = {MC_WORLD_MAIN, s->mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_msg(mc_world_load(&w, &c) == LMAIL_OK, "%s", w.said);
    mc_world_show(&w, c);
    ck_assert_str_eq(mc_world_shown(&w, s->key), s->value);
    if (s->said)
        ck_assert_str_eq(w.said, s->said);
    lmail_config_free(c);
}
END_TEST

static const struct mistake {
    const char *mc, *said;
} mistakes[] = {
    {"define(`X', `y'\n\nMAILER(smtp)\n", "x.mc:1: E: the \"(\" behind define is never closed\n"},
    {"\nFEATURE(`x\ny", "x.mc:2: E: the quoted string that is opened here never ends\n"},
    {"define('confMAX_HOP', '7')\n",
     "x.mc:1: E: an argument opens with '; use ` to open and ' to close\n"},
    {"define(`confMAX_HOP', \x91"
     "7\x92)\n",
     "x.mc:1: E: typographic quotes (U+2018, U+2019); use ` to open and ' to close\n"},
    {"MAILER(smtp)dn l\n", "x.mc:1: E: text \"dn l\" outside any macro call; did you mean dnl?\n"},
    {"MAILER(smtp)Dnl\n", "x.mc:1: E: text \"Dnl\" outside any macro call; did you mean dnl?\n"},
    {"define (`confMAX_HOP', `7')dnl\n", "x.mc:1: E: text \"define (`confMAX_HOP', `7')dnl\" "
                                         "outside any macro call; no blank may stand "
                                         "between define and (\n"},
    {"feature(`redirect')dnl\n",
     "x.mc:1: E: \"feature\" is no directive; names are upper case: FEATURE\n"},
    {"Define(`x', `y')dnl\n", "x.mc:1: E: \"Define\" is no directive; did you mean define\n"},
    {"FEATRUE(`redirect')dnl\n",
     "x.mc:1: E: unknown directive \"FEATRUE\"; did you mean FEATURE?\n"},
    {"FROBNICATE(`x')dnl\n", "x.mc:1: E: unknown directive \"FROBNICATE\"\n"},
    {"MAILER\n", "x.mc:1: E: MAILER needs arguments in parentheses\n"},
    {"FEATURE(`redirekt')\n", "x.mc:1: E: unknown FEATURE \"redirekt\"; did you mean redirect?\n"},
    {"FEATURE(`require_rdns')\n", "x.mc:1: E: FEATURE(require_rdns) is not supported\n"},
    {"include(`more.m4')\n", "x.mc:1: E: cannot read more.m4: no such thing\n"},
    {"changequote([,])\n", "x.mc:1: E: changequote cannot be imported\n"},
    {"LOCAL_RULE_0\nR$* $: x `a' (b)\nLOCAL_RULESETS\nSx\n",
     "x.mc:1: E: LOCAL_RULE_0 cannot be imported\nx.mc:3: E: LOCAL_RULESETS cannot be imported\n"},
    {"LOCAL_CONFIG\nDMx\nO Foo=bar\n",
     "x.mc:2: E: \"DMx\" cannot be imported; only Cw, CR, Fw and FR lines can\n"
     "x.mc:3: E: \"O Foo=bar\" cannot be imported; only Cw, CR, Fw and FR lines can\n"},
    {"define(`confMAX_RCPTS_PER_MESSAGE', `diez')\n",
     "x.mc:1: E: confMAX_RCPTS_PER_MESSAGE: \"diez\" is no number; write plain digits\n"},
    {"define(`confMAX_MESSAGE_SIZE', `3M')\n",
     "x.mc:1: E: confMAX_MESSAGE_SIZE: \"3M\" is no number; write plain digits\n"},
    {"define(`confTO_COMMAND', `5x')\n",
     "x.mc:1: E: confTO_COMMAND: \"5x\" is no time; write numbers with s, m, h, d or w\n"},
    {"define(`confTRY_NULL_MX_LIST', `perhaps')\n",
     "x.mc:1: E: confTRY_NULL_MX_LIST: \"perhaps\" is neither True nor False\n"},
    {"define(`confPRIVACY_FLAGS', `novrfi')\n",
     "x.mc:1: E: confPRIVACY_FLAGS: unknown flag \"novrfi\"; did you mean novrfy?\n"},
    {"DAEMON_OPTIONS(`Port=submision')\n",
     "x.mc:1: E: DAEMON_OPTIONS: unknown service \"submision\"; did you mean submission?\n"},
    {"DAEMON_OPTIONS(`Port=25, Xort=3')\n",
     "x.mc:1: E: DAEMON_OPTIONS: unknown key \"Xort\"; did you mean Port?\n"},
    {"DAEMON_OPTIONS(`Port=465, M=s')\n",
     "x.mc:1: E: modifier s needs confSERVER_CERT and confSERVER_KEY\n"},
    {"MAILER(`smpt')\n", "x.mc:1: E: unknown mailer \"smpt\"\n"},
    {"FEATURE(`mailertable', `ldap -k x')\n",
     "x.mc:1: E: mailertable: a map \"ldap\" cannot be imported; a text file can\n"},
    {"define(`confREJECT_MSG', `Go away')\n",
     "x.mc:1: E: confREJECT_MSG: \"Go away\" does not begin with a code from 400 to 599\n"},
    {"define(`confDOMAIN_NAME', `$w.example')\n",
     "x.mc:1: E: confDOMAIN_NAME: \"$w.example\" holds a macro of the .cf, which cannot be "
     "imported\n"},
    {"INPUT_MAIL_FILTER(`a', `S=tcp:1')\n",
     "x.mc:1: E: filter a: S=\"tcp:1\" is neither inet:PORT@HOST nor local:PATH\n"
     "x.mc:1: E: milter a needs a socket\n"},
    {"define(`a', `a')a\n", "x.mc:1: E: macros are expanded without end\n"},
    {"define(`a', `a a')a\n", "x.mc:1: E: macros or files are nested too deeply\n"},
    {"define(`a', `x a()b')a\n", NULL},
    {"include(`x.mc')\n", NULL},
};

START_TEST(a_mistake_is_an_error)
{
    const struct mistake *s = &mistakes[_i];
    mc_world w = {MC_WORLD_MAIN, s->mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_ERR_SYNTAX);
    if (s->said)
        ck_assert_str_eq(w.said, s->said);
}
END_TEST

static const struct mistake warnings[] = {
    {"define(`confMAX_HOPS', `7')\n",
     "x.mc:1: W: unknown name confMAX_HOPS; did you mean confMAX_HOP?\n"},
    {"define(`confFROBNICATE_IT', `7')\n", "x.mc:1: W: unknown name confFROBNICATE_IT\n"},
    {"define(`MY_OWN_NAME_OF_SOMETHING', `7')\n", ""},
    {"define(`confUSERDB_SPEC', `x')\n", "x.mc:1: W: confUSERDB_SPEC has no effect here\n"},
    {"define(`confAUTH_OPTIONS', `A z')\n", "x.mc:1: W: confAUTH_OPTIONS: unknown letter \"z\"\n"},
    {"define(`confAUTH_OPTIONS', `d')\n",
     "x.mc:1: W: confAUTH_OPTIONS: no password mechanism satisfies \"d\"; AUTH is not offered\n"},
    {"DAEMON_OPTIONS(`Port=587, M=aA')\n",
     "x.mc:1: W: modifiers a and A together: nobody can send\n"},
    {"FEATURE(`promiscuous_relay')\n",
     "x.mc:1: W: open relay: promiscuous_relay lets anybody send anywhere\n"},
    {"define(`confSERVER_CERT', `/c')\n",
     "x.mc:1: W: confSERVER_CERT without confSERVER_KEY: STARTTLS is not offered\n"},
    {"define(`confTO_IDENT', `5s')\n",
     "x.mc:1: N: confTO_IDENT: clients are never asked by ident\n"},
    {"MODIFY_MAILER_FLAGS(`LOCAL', `+x')\n", "x.mc:1: W: MODIFY_MAILER_FLAGS has no effect here\n"},
    {"FEATURE(`uucpdomain')\n", "x.mc:1: W: FEATURE(uucpdomain) has no effect here\n"},
    {"MASQUERADE_DOMAIN(`a', `b')\n",
     "x.mc:1: W: MASQUERADE_DOMAIN reads its first argument only; put blanks between the words\n"},
};

START_TEST(what_is_odd_is_a_warning)
{
    mc_world w = {MC_WORLD_MAIN, warnings[_i].mc, {NULL}, 0, "", "", 0};
    lmail_config *c;
    ck_assert_msg(mc_world_load(&w, &c) == LMAIL_OK, "%s", w.said);
    ck_assert_str_eq(w.said, warnings[_i].said);
    lmail_config_free(c);
}
END_TEST

/* ---- Directives ------------------------------------------------------------------------------ */

static const struct directive {
    const char *mc, *key, *value;
} directives[] = {
    {"define(`confMAX_HOP', `0')", "smtp.max_hops", "50"},
    {"define(`confMAX_HEADERS_LENGTH', `0')", "smtp.max_header_size", "256K"},
    {"", "smtp.max_header_size", "32K"},
    {"define(`confMIN_FREE_BLOCKS', `200')", "smtp.min_free", "800K"},
    {"define(`confBAD_RCPT_THROTTLE', `3')", "smtp.bad_recipients_throttle", "3"},
    {"define(`confQUEUE_LA', `5')", "smtp.queue_load", "5"},
    {"", "smtp.refuse_load", "12 per processor"},
    {"define(`confTO_COMMAND', `1h30m')", "smtp.command_timeout", "90 m"},
    {"define(`confTO_COMMAND', `2')", "smtp.command_timeout", "2 m"},
    {"define(`confTO_COMMAND', `0')", "smtp.command_timeout", "5 m"},
    {"define(`confTO_CONNECT', `0')", "client.connect_timeout", "0"},
    {"define(`confTO_DATABLOCK', `9m')", "client.data_block_timeout", "9 m"},
    {"define(`confTO_DATABLOCK', `9m')", "smtp.data_timeout", "9 m"},
    {"define(`confTO_QUEUEWARN', `2')", "queue.warn_after", "2 h"},
    {"define(`confTO_QUEUERETURN', `2w')", "queue.return_after", "14 d"},
    {"define(`confTO_QUEUERETURN', `2')", "queue.return_after", "2 d"},
    {"define(`confCONNECTION_RATE_WINDOW_SIZE', `30')", "policy.rate_window", "30 s"},
    {"", "smtp.auth_mechanisms", "\"EXTERNAL, DIGEST-MD5, CRAM-MD5\""},
    {"", "smtp.allow_cleartext", "yes"},
    {"define(`confAUTH_OPTIONS', `p,y')", "smtp.allow_cleartext", "no"},
    {"define(`confAUTH_OPTIONS', `p,y')", "smtp.auth_options", "\"no_anonymous, scram\""},
    {"define(`confAUTH_OPTIONS', `A')", "client.auth_parameter", "yes"},
    {"define(`confAUTH_MECHANISMS', `GSSAPI')", "offer_auth", "no"},
    {"TRUST_AUTH_MECH(`LOGIN PLAIN')", "policy.trusted_mechanisms", "\"LOGIN, PLAIN\""},
    {"TRUST_AUTH_MECH(`LOGIN')TRUST_AUTH_MECH(`PLAIN')", "policy.trusted_mechanisms",
     "\"LOGIN, PLAIN\""},
    {"", "policy.trusted_mechanisms", "\"\""},
    {"define(`confPRIVACY_FLAGS', `goaway,noetrn')", "smtp.privacy",
     "\"need_mail_helo, need_vrfy_helo, need_expn_helo, no_vrfy, no_expn, no_etrn, "
     "no_actual_recipient, auth_warnings, no_verb\""},
    {"define(`confFORWARD_PATH', `$z/.forward.$w+$h:$z/.forward:/var/f/$u:$z/../x:$z/f')",
     "routing.forward", "\".forward, f\""},
    {"define(`confFORWARD_PATH', `')", "routing.forward", "\"\""},
    {"define(`confPRIVACY_FLAGS', `public')", "smtp.privacy", "\"\""},
    {"define(`confTLS_SRV_OPTIONS', `V')", "smtp.request_client_certificate", "no"},
    {"define(`confSERVER_CERT', `/c')define(`confSERVER_KEY', `/k')", "smtp.tls_key", "\"/k\""},
    {"define(`confSERVER_CERT', `/c')define(`confSERVER_KEY', `/k')", "tls", "starttls"},
    {"define(`confCACERT', `/ca')", "client.ca", "\"/ca\""},
    {"define(`confSMTP_LOGIN_MSG', `$j Hello; $b')", "smtp.greeting", "\"ESMTP Hello;\""},
    {"define(`confREJECT_MSG', `\"550 No\"')", "policy.reject_reply", "\"550 No\""},
    {"define(`confDELIVERY_MODE', `queueonly')", "queue.delivery", "queue"},
    {"define(`confDONT_PROBE_INTERFACES', `True')", "policy.address_literals", "no"},
    {"define(`ALIAS_FILE', `/a,dbm:/b')", "routing.aliases", "\"-/a, -/b\""},
    {"", "routing.aliases", "\"-/etc/mail/aliases\""},
    {"define(`SMART_HOST', `esmtp:[h.example]')", "routing.smart_host", "\"esmtp:[h.example]\""},
    {"define(`QUEUE_DIR', `/q')", "queue.directory", "\"/q\""},
    {"define(`confCW_FILE', `-o /w')FEATURE(`use_cw_file')", "policy.local_host_names", "\"-/w\""},
    {"define(`confCR_FILE', `/r')", "policy.relay_domain_files", "\"/r\""},
    {"FEATURE(`use_cw_file')", "policy.local_host_names", "\"/etc/mail/local-host-names\""},
    {"FEATURE(`access_db')", "policy.access", "\"/etc/mail/access\""},
    {"FEATURE(`access_db', `hash -T<TMPF> -o /a.db', `skip', `lookupdotdomain')",
     "policy.lookup_dot_domain", "yes"},
    {"FEATURE(`delay_checks', `friend')", "policy.delay_checks", "friend"},
    {"FEATURE(`greet_pause', `5000')", "policy.greet_pause", "5 s"},
    {"FEATURE(`greet_pause', `5000')", "policy.greet_pause_access", "yes"},
    {"", "policy.greet_pause_access", "no"},
    {"FEATURE(`ratecontrol', `nodelay', `terminate')", "policy.rate_control",
     "\"on, nodelay, terminate\""},
    {"", "policy.rate_control", "\"\""},
    {"FEATURE(`relay_mail_from', `domain')", "policy.relay_mail_from", "domain"},
    {"FEATURE(`relay_mail_from')", "policy.relay_mail_from", "address"},
    {"FEATURE(`relay_based_on_MX')", "policy.relay_based_on_mx", "yes"},
    {"FEATURE(`nopercenthack', `nospecial')", "policy.percent_hack", "plain"},
    {"FEATURE(`nouucp', `reject')", "policy.bang_path", "reject"},
    {"FEATURE(`virtusertable')", "routing.virtusertable", "\"/etc/mail/virtusertable\""},
    {"FEATURE(`dnsbl', `b.example', `\"550 No \" $&{client_addr} \" please\"', `t')", "reply",
     "\"550 No {address} please\""},
    {"FEATURE(`dnsbl', `b.example', `discard', `t')", "action", "discard"},
    {"FEATURE(`dnsbl', `b.example', `', `t')", "defer", "yes"},
    {"FEATURE(`enhdnsbl', `b.example', `', `', `127.0.0.2.', `127.0.0.3.')", "values",
     "\"127.0.0.2, 127.0.0.3\""},
    {"MASQUERADE_DOMAIN(`a.example b.example')MASQUERADE_DOMAIN(`c.example')", "masquerade.domains",
     "\"a.example, b.example, c.example\""},
    {"MASQUERADE_DOMAIN_FILE(`/m')", "masquerade.domain_files", "\"/m\""},
    {"EXPOSED_USER(`root')EXPOSED_USER(`daemon')", "masquerade.exposed_users", "\"root, daemon\""},
    {"FEATURE(`allmasquerade')", "masquerade.recipients", "yes"},
    {"GENERICS_DOMAIN(`a.example')", "routing.generics_domains", "\"a.example\""},
    {"DAEMON_OPTIONS(`Name=X, Port=2525, Addr=localhost, M=fO, Listen=20, children=7')", "address",
     "\"127.0.0.1\""},
    {"DAEMON_OPTIONS(`Name=X, Port=2525, children=7, delayLA=3')", "max_sessions", "7"},
    {"DAEMON_OPTIONS(`Family=inet6, addr=IPv6:::1, Port=smtp')", "address", "\"::1\""},
    {"DAEMON_OPTIONS(`Family=local, A=/run/s')", "address", "\"unix:/run/s\""},
    {"DAEMON_OPTIONS(`Port=smtp, DeliveryMode=q')", "delivery", "queue"},
    {"CLIENT_OPTIONS(`Family=inet, Addr=192.0.2.1, M=hS')", "client.address", "\"192.0.2.1\""},
    {"CLIENT_OPTIONS(`M=hS')", "client.starttls", "no"},
    {"INPUT_MAIL_FILTER(`a', `S=local:/run/a, F=T, T=C:1m;R:20s')", "read_timeout", "20 s"},
    {"INPUT_MAIL_FILTER(`a', `S=local:/run/a, F=T')", "on_failure", "tempfail"},
    {"MAIL_FILTER(`a', `S=inet:99@localhost')INPUT_MAIL_FILTER(`b', `S=/run/b')", "smtp.milters",
     "\"b\""},
    {"MAIL_FILTER(`a', `S=inet:99@h')define(`confINPUT_MAIL_FILTERS', `a')", "smtp.milters",
     "\"a\""},
};

START_TEST(a_directive_is_its_setting)
{
    const struct directive *d = &directives[_i];
    mc_world w = {MC_WORLD_MAIN, d->mc, {NULL}, 1, "", "", 0};
    lmail_config *c;
    ck_assert_msg(mc_world_load(&w, &c) == LMAIL_OK, "%s", w.said);
    mc_world_show(&w, c);
    ck_assert_str_eq(mc_world_shown(&w, d->key), d->value);
    lmail_config_free(c);
}
END_TEST

/* ---- Beside libmail.conf --------------------------------------------------------------------- */

START_TEST(libmail_conf_wins_wherever_it_stands)
{
    mc_world w = {"smtp.max_hops = 9\n" MC_WORLD_MAIN "smtp.max_recipients = 8\n",
                  "define(`confMAX_HOP', `7')\ndefine(`confMAX_RCPTS_PER_MESSAGE', `7')\n"
                  "define(`confMAX_MESSAGE_SIZE', `7777')\n",
                  {NULL},
                  0,
                  "",
                  "",
                  0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    mc_world_show(&w, c);
    ck_assert_str_eq(mc_world_shown(&w, "smtp.max_hops"), "9");
    ck_assert_str_eq(mc_world_shown(&w, "smtp.max_recipients"), "8");
    ck_assert_ptr_nonnull(strstr(w.shown, "# main:1\n"));
    ck_assert_ptr_nonnull(strstr(w.shown, "# x.mc:3\n"));
    ck_assert_ptr_nonnull(strstr(w.shown, "# default of x.mc\n"));
    lmail_config_free(c);
}
END_TEST

static lmail_str name_of_machine(void *ctx)
{
    (void)ctx;
    return LMAIL_STR("machine.example");
}

START_TEST(the_realm_is_the_host_name_when_nobody_says_another)
{
    static const struct {
        const char *main, *mc, *realm;
    } rows[] = {
        {MC_WORLD_MAIN "domains = a.example\n", "MAILER(smtp)\n", "machine.example"},
        {MC_WORLD_MAIN "hostname = mx.a.example\n", "MAILER(smtp)\n", "mx.a.example"},
        {MC_WORLD_MAIN, "define(`confDOMAIN_NAME', `mx.b.example')\n", "mx.b.example"},
        {MC_WORLD_MAIN, "define(`confAUTH_REALM', `r.example')\n", "r.example"},
        {MC_WORLD_MAIN "smtp.realm = c.example\n", "MAILER(smtp)\n", "c.example"},
        {MC_WORLD_MAIN "auth.realm = d.example\n", "MAILER(smtp)\n", ""},
    };
    mc_world w = {rows[_i].main, rows[_i].mc, {NULL}, 0, "", "", 0};
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    lmail_config *c;
    io.ctx = &w;
    io.open = mc_world_open;
    io.diagnostic = mc_world_note;
    io.machine_name = name_of_machine;
    ck_assert_int_eq(lmail_config_load(&c, LMAIL_STR("main"), &io, NULL), LMAIL_OK);
    lmail_str realm = lmail_config_settings(c)->smtp.realm;
    ck_assert_msg(lmail_str_equal(realm, lmail_str_from(rows[_i].realm)), "%.*s", (int)realm.len,
                  realm.ptr);
    lmail_config_free(c);
}
END_TEST

START_TEST(listeners_of_libmail_conf_are_the_only_ones)
{
    mc_world w = {MC_WORLD_MAIN "listener a {\n}\n",
                  "DAEMON_OPTIONS(`Name=X')FEATURE(`no_default_msa')",
                  {NULL},
                  0,
                  "",
                  "",
                  0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    ck_assert_uint_eq(lmail_config_settings(c)->listener_count, 1);
    ck_assert_str_eq(w.said, "x.mc:1: N: listener X is not opened: the main file names listeners "
                             "of its own\n");
    lmail_config_free(c);
}
END_TEST

START_TEST(files_are_included_beside_the_file_that_names_them)
{
    mc_world w = {MC_WORLD_MAIN,
                  "include(`sub/a.m4')\nsinclude(`nowhere')\ndefine(`confMAX_HOP', `x')\n",
                  {"sub/a.m4", "\nMASQUERADE_AS(`a.example')\ninclude(b.m4)\n", "sub/b.m4",
                   "\n\ndefine(`confMAX_NOOP_COMMANDS', `y')\n"},
                  0,
                  "",
                  "",
                  0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(
        w.said, "sub/b.m4:3: E: confMAX_NOOP_COMMANDS: \"y\" is no number; write plain digits\n"
                "x.mc:3: E: confMAX_HOP: \"x\" is no number; write plain digits\n");
}
END_TEST

/* The file ends in a word: the rest of the line lies in the file that included it. */
START_TEST(stray_text_at_the_end_of_an_included_file_is_shown_alone)
{
    mc_world w = {
        MC_WORLD_MAIN, "include(`a.m4') and what follows it\n", {"a.m4", "stray"}, 0, "", "", 0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(w.said, "a.m4:1: E: text \"stray\" outside any macro call\n");
}
END_TEST

START_TEST(a_class_file_that_nobody_reads_is_named)
{
    mc_world w = {
        MC_WORLD_MAIN, "MAILER(smtp)\n", {"/etc/mail/local-host-names", "x\n"}, 0, "", "", 0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_OK);
    ck_assert_str_eq(w.said, "x.mc:0: W: /etc/mail/local-host-names is there, but "
                             "FEATURE(use_cw_file) is not: it is not read\n");
    lmail_config_free(c);
}
END_TEST

START_TEST(a_hundred_errors_are_enough)
{
    static char text[20000];
    size_t n = 0;
    for (int i = 0; i < 500; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "hello world\n");
    mc_world w = {MC_WORLD_MAIN, text, {NULL}, 0, "", "", 0};
    lmail_config *c;
    ck_assert_int_eq(mc_world_load(&w, &c), LMAIL_ERR_SYNTAX);
    ck_assert_ptr_nonnull(strstr(w.said, "x.mc:101: E: too many errors; reading ends here\n"));
    ck_assert_ptr_null(strstr(w.said, "x.mc:102"));
}
END_TEST

Suite *config_mc_suite(void)
{
    Suite *s = suite_create("config_mc");
    TCase *t = tcase_create("mc");
    tcase_add_test(t, the_guides_file_says_what_it_should_and_no_more);
    tcase_add_loop_test(t, a_damaged_fragment_is_named_with_line_and_hint, 0,
                        sizeof fragments / sizeof *fragments);
    tcase_add_loop_test(t, a_sentence_means_what_it_means, 0, sizeof sentences / sizeof *sentences);
    tcase_add_loop_test(t, a_mistake_is_an_error, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_loop_test(t, what_is_odd_is_a_warning, 0, sizeof warnings / sizeof *warnings);
    tcase_add_loop_test(t, a_directive_is_its_setting, 0, sizeof directives / sizeof *directives);
    tcase_add_test(t, libmail_conf_wins_wherever_it_stands);
    tcase_add_loop_test(t, the_realm_is_the_host_name_when_nobody_says_another, 0, 6);
    tcase_add_test(t, listeners_of_libmail_conf_are_the_only_ones);
    tcase_add_test(t, files_are_included_beside_the_file_that_names_them);
    tcase_add_test(t, stray_text_at_the_end_of_an_included_file_is_shown_alone);
    tcase_add_test(t, a_class_file_that_nobody_reads_is_named);
    tcase_add_test(t, a_hundred_errors_are_enough);
    suite_add_tcase(s, t);
    return s;
}
