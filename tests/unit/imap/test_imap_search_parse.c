/* Search keys to trees: every key of RFC 3501 §6.4.4, simplification, charsets, limits. */
#include "base/base_internal.h"
#include "imap/imap_search.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static lmail_imap_server_config config;
static lmail_alloc libc;

static void add(char *out, const char *text)
{
    strcat(out, text);
}

static void add_str(char *out, lmail_str s)
{
    strncat(out, s.ptr ? s.ptr : "", s.len);
}

static void show(const lmail_search *k, char *out)
{
    static const char *const names[] = {"?",     "all",        "and",     "or",        "not",
                                        "uids",  "flag",       "keyword", "header",    "body",
                                        "text",  "larger",     "smaller", "before",    "on",
                                        "since", "sentbefore", "senton",  "sentsince", "modseq"};
    char text[64];
    add(out, names[k->op]);
    if (k->op == LMAIL_SEARCH_ALL)
        return;
    add(out, "(");
    for (const lmail_search *c = k->child; c; c = c->next) {
        show(c, out);
        if (c->next)
            add(out, " ");
    }
    for (size_t i = 0; i < k->set.count; i++) {
        sprintf(text, "%s%u:%u", i ? "," : "", k->set.ranges[i].first, k->set.ranges[i].last);
        add(out, text);
    }
    if (k->flags) {
        sprintf(text, "%llu", (unsigned long long)k->flags);
        add(out, text);
    }
    add_str(out, k->field);
    if (k->field.len)
        add(out, "=");
    add_str(out, k->text);
    if (k->op == LMAIL_SEARCH_LARGER || k->op == LMAIL_SEARCH_SMALLER) {
        sprintf(text, "%llu", (unsigned long long)k->number);
        add(out, text);
    }
    if (k->op >= LMAIL_SEARCH_BEFORE && k->op <= LMAIL_SEARCH_SENTSINCE) {
        sprintf(text, "%d", k->day);
        add(out, text);
    }
    add(out, ")");
}

/* Ten messages, UIDs 11, 12, 14..21; 20 and 21 are recent. */
static void open_mailbox(lmi_imap_mbox *m, int empty)
{
    lmi_imap_mbox_init(m, &libc, 1 << 20);
    if (empty)
        return;
    ck_assert_int_eq(lmi_imap_view_add(&m->view, 11, 12), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_view_add(&m->view, 14, 21), LMAIL_OK);
    ck_assert_int_eq(lmail_uid_list_add(&m->recent, 20, 21), LMAIL_OK);
}

static const char *parse(lmail_str text, const char *charset, int empty, char *out)
{
    lmi_arena arena;
    lmi_imap_args args;
    lmi_imap_mbox mbox;
    lmail_search *tree;
    open_mailbox(&mbox, empty);
    lmi_arena_init(&arena, &libc, 1 << 18);
    lmi_imap_args_init(&args, text, &arena, &config);
    lmi_search_reader r;
    memset(&r, 0, sizeof r);
    r.args = &args;
    r.mbox = &mbox;
    r.charset = lmail_str_from(charset);
    out[0] = 0;
    lmail_status st = lmi_search_keys(&r, &tree);
    if (st)
        sprintf(out, "%s at %zu", lmail_status_name(st), args.at);
    else
        show(tree, out);
    lmi_arena_done(&arena);
    lmi_imap_mbox_done(&mbox);
    return out;
}

static const struct {
    const char *in, *out;
} cases[] = {
    /* RFC 3501 §6.4.4, example */
    {"FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
     "and(flag(4) since(8797) not(header(FROM=Smith)))"},
    {"DELETED FROM \"SMITH\" SINCE 1-Feb-1994", "and(flag(8) header(FROM=SMITH) since(8797))"},
    {"TEXT \"string not in mailbox\"", "text(string not in mailbox)"},
    {"TEXT {6}\r\nXXXXXX", "text(XXXXXX)"},
    /* each key */
    {"ALL", "all"},
    {"answered", "flag(2)"},
    {"BCC a", "header(BCC=a)"},
    {"BEFORE 1-Jan-1970", "before(0)"},
    {"BODY \"\"", "body()"},
    {"CC a", "header(CC=a)"},
    {"DRAFT", "flag(16)"},
    {"HEADER X-A \"b c\"", "header(X-A=b c)"},
    {"HEADER {3}\r\nX-A \"\"", "header(X-A=)"},
    {"KEYWORD $Junk", "keyword($Junk)"},
    {"LARGER 9223372036854775807", "larger(9223372036854775807)"},
    {"NEW", "and(uids(20:21) not(flag(1)))"},
    {"OLD", "not(uids(20:21))"},
    {"ON \"02-Jan-1970\"", "on(1)"},
    {"RECENT", "uids(20:21)"},
    {"SEEN", "flag(1)"},
    {"SENTBEFORE 3-Jan-1970", "sentbefore(2)"},
    {"SENTON 3-Jan-1970", "senton(2)"},
    {"SENTSINCE 29-Feb-2000", "sentsince(11016)"},
    {"SMALLER 0", "smaller(0)"},
    {"SUBJECT x", "header(SUBJECT=x)"},
    {"TO x", "header(TO=x)"},
    {"UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN UNKEYWORD k",
     "and(not(flag(2)) not(flag(8)) not(flag(16)) not(flag(4)) not(flag(1)) not(keyword(k)))"},
    /* sets */
    {"1", "uids(11:11)"},
    {"*", "uids(21:21)"},
    {"1:*", "uids(11:21)"},
    {"*:3", "uids(14:21)"},
    {"3,1:2,2", "uids(11:12,14:14)"},
    {"10,8,6,4,2,1", "uids(11:12,15:15,17:17,19:19,21:21)"},
    {"UID 1:5,7,*", "uids(1:5,7:7,21:21)"},
    {"UID 500:*", "uids(21:500)"},
    {"UID 4294967295,1:4294967294", "uids(1:4294967295)"},
    {"11", "LMAIL_ERR_SYNTAX at 0"},
    {"SEEN 1:11", "LMAIL_ERR_SYNTAX at 5"},
    {"0", "LMAIL_ERR_SYNTAX at 0"},
    {"1,", "LMAIL_ERR_SYNTAX at 2"},
    /* joining and simplifying */
    {"(SEEN)", "flag(1)"},
    {"((SEEN) (ALL))", "flag(1)"},
    {"ALL ALL", "all"},
    {"SEEN (DRAFT (FLAGGED))", "and(flag(1) flag(16) flag(4))"},
    {"OR SEEN OR DRAFT FLAGGED", "or(flag(1) flag(16) flag(4))"},
    {"OR (SEEN DRAFT) OR OR 1 2 FLAGGED",
     "or(and(flag(1) flag(16)) uids(11:11) uids(12:12) flag(4))"},
    {"NOT NOT SEEN", "flag(1)"},
    {"NOT UNSEEN", "flag(1)"},
    {"NOT (SEEN DRAFT)", "not(and(flag(1) flag(16)))"},
    {"OR ALL SEEN", "or(all flag(1))"},
    {"NOT NEW UNSEEN", "and(not(and(uids(20:21) not(flag(1)))) not(flag(1)))"},
    /* what is not in the grammar */
    {"", "LMAIL_ERR_SYNTAX at 0"},
    {"SEEN ", "LMAIL_ERR_SYNTAX at 5"},
    {"SEEN  DRAFT", "LMAIL_ERR_SYNTAX at 5"},
    {"()", "LMAIL_ERR_SYNTAX at 1"},
    {"(SEEN", "LMAIL_ERR_SYNTAX at 5"},
    {"SEEN)", "LMAIL_ERR_SYNTAX at 4"},
    {"OR SEEN", "LMAIL_ERR_SYNTAX at 7"},
    {"NOT", "LMAIL_ERR_SYNTAX at 3"},
    {"FROM", "LMAIL_ERR_SYNTAX at 4"},
    {"HEADER \"\" x", "LMAIL_ERR_SYNTAX at 9"},
    {"KEYWORD \\Seen", "LMAIL_ERR_SYNTAX at 8"},
    {"SINCE 31-Feb-2000", "LMAIL_ERR_SYNTAX at 6"},
    {"SINCE 1-Foo-2000", "LMAIL_ERR_SYNTAX at 8"},
    {"LARGER -1", "LMAIL_ERR_SYNTAX at 7"},
    {"FUZZYLOGIC", "LMAIL_ERR_SYNTAX at 0"},
};

static char out[1 << 16];

START_TEST(reads_keys)
{
    parse(lmail_str_from(cases[_i].in), "", 0, out);
    ck_assert_msg(strcmp(out, cases[_i].out) == 0, "%s: %s, expected %s", cases[_i].in, out,
                  cases[_i].out);
}
END_TEST

START_TEST(an_empty_mailbox_has_no_numbers)
{
    ck_assert_str_eq(parse(LMAIL_STR("1:* UNSEEN"), "", 1, out), "and(uids() not(flag(1)))");
    ck_assert_str_eq(parse(LMAIL_STR("UID 1:*"), "", 1, out), "uids()");
    ck_assert_str_eq(parse(LMAIL_STR("NEW"), "", 1, out), "and(uids() not(flag(1)))");
}
END_TEST

/* A charset of the host's: octets with the high bit turned off. */
static void *open_charset(void *ctx, lmail_str name)
{
    return lmail_str_equal(name, LMAIL_STR("X-SEVEN")) ? ctx : NULL;
}

static lmail_status convert(void *ctx, void *converter, lmail_str in, int end, size_t *used,
                            char *to, size_t cap, size_t *made)
{
    ck_assert_ptr_eq(ctx, converter);
    ck_assert(end);
    ck_assert_uint_ge(cap, in.len);
    for (size_t i = 0; i < in.len; i++)
        to[i] = (char)(in.ptr[i] & 0x7f);
    *used = *made = in.len;
    return LMAIL_OK;
}

static void close_charset(void *ctx, void *converter)
{
    ck_assert_ptr_eq(ctx, converter);
}

START_TEST(text_becomes_utf8)
{
    static const struct {
        const char *charset, *in, *out;
    } texts[] = {
        {"", "SUBJECT \"gr\xc3\xbc\xc3\x9f\"", "header(SUBJECT=gr\xc3\xbc\xc3\x9f)"},
        {"utf-8", "BODY {2}\r\n\xc3\xbc", "body(\xc3\xbc)"},
        {"utf-8", "BODY {2}\r\n\xc3\x28", "LMAIL_ERR_SYNTAX at 12"},
        {"US-ASCII", "BODY x", "body(x)"},
        {"US-ASCII", "BODY {2}\r\n\xc3\xbc", "LMAIL_ERR_SYNTAX at 12"},
        {"iso-8859-1", "BODY {2}\r\na\xfc", "body(a\xc3\xbc)"},
        {"X-SEVEN", "BODY {2}\r\n\xe1\xe2", "body(ab)"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_str_eq(parse(lmail_str_from(texts[i].in), texts[i].charset, 0, out),
                         texts[i].out);
    ck_assert(lmi_search_charset_known(&config, LMAIL_STR("Utf-8")));
    ck_assert(lmi_search_charset_known(&config, LMAIL_STR("X-SEVEN")));
    ck_assert(!lmi_search_charset_known(&config, LMAIL_STR("X-UNKNOWN")));
}
END_TEST

static char big[1 << 16];

START_TEST(depth_and_number_are_limited)
{
    char *at = big;
    for (unsigned i = 0; i < LMI_SEARCH_MAX_DEPTH - 1; i++)
        at += sprintf(at, "NOT ");
    sprintf(at, "SEEN");
    ck_assert_str_eq(parse(lmail_str_from(big), "", 0, out), "not(flag(1))");
    at += sprintf(at, "NOT SEEN");
    ck_assert_ptr_nonnull(strstr(parse(lmail_str_from(big), "", 0, out), "LMAIL_ERR_LIMIT"));
    memset(big, '(', 60000);
    big[60000] = 0;
    ck_assert_ptr_nonnull(strstr(parse(lmail_str_from(big), "", 0, out), "LMAIL_ERR_LIMIT"));
    at = big;
    for (unsigned i = 0; i <= LMI_SEARCH_MAX_KEYS; i++)
        at += sprintf(at, "%sSEEN", i ? " " : "");
    ck_assert_ptr_nonnull(strstr(parse(lmail_str_from(big), "", 0, out), "LMAIL_ERR_LIMIT"));
}
END_TEST

/* A long chain of OR, as clients make it, is one level for the host. */
START_TEST(a_chain_of_or_is_flat)
{
    char *at = big;
    for (unsigned i = 0; i < 200; i++)
        at += sprintf(at, "OR FROM x%u ", i);
    sprintf(at, "SEEN");
    parse(lmail_str_from(big), "", 0, out);
    ck_assert_int_eq(strncmp(out, "or(header(FROM=x0) header(FROM=x1) ", 35), 0);
    ck_assert_ptr_null(strstr(out + 1, "or("));
}
END_TEST

Suite *imap_search_parse_suite(void)
{
    static lmail_env env;
    lmail_env_init(&env);
    env.ctx = &config;
    env.charset_open = open_charset;
    env.charset_convert = convert;
    env.charset_close = close_charset;
    lmail_imap_server_config_init(&config);
    config.env = &env;
    libc = lmi_alloc_resolve(NULL);
    Suite *s = suite_create("imap_search_parse");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, reads_keys, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(t, an_empty_mailbox_has_no_numbers);
    tcase_add_test(t, text_becomes_utf8);
    tcase_add_test(t, depth_and_number_are_limited);
    tcase_add_test(t, a_chain_of_or_is_flat);
    suite_add_tcase(s, t);
    return s;
}
