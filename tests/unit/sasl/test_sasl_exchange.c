/* The framing of SASL exchanges: initial responses, challenges, cancelling, the outcome's data. */
#include "sasl/sasl_internal.h"

#include <check.h>
#include <string.h>

Suite *sasl_exchange_suite(void);

typedef struct {
    lmail_session base;
} session;

static void destroy(lmail_session *s)
{
    lmi_session_done(s);
}

static const lmi_class cls = {.name = "sasl_test", .destroy = destroy};

static session made;
static lmi_sasl x;

static void setup(void)
{
    memset(&made, 0, sizeof made);
    memset(&x, 0, sizeof x);
    lmi_session_init(&made.base, &cls, NULL, NULL, 0);
}

static void teardown(void)
{
    lmi_sasl_done(&x, &made.base.alloc);
    lmail_session_free(&made.base);
}

static const lmail_auth_event *ask(lmi_question **q)
{
    const lmail_auth_event *ev = NULL;
    ck_assert_int_eq(lmi_ask(&made.base, 1, q), LMAIL_OK);
    ck_assert_int_eq(lmi_sasl_event(&x, *q, &ev), LMAIL_OK);
    return ev;
}

static void wrote(const char *text)
{
    char all[1024];
    size_t n = 0;
    lmail_str part;
    while (lmail_session_peek(&made.base, &part, 1)) {
        memcpy(all + n, part.ptr, part.len);
        n += part.len;
        lmail_session_sent(&made.base, part.len, 0);
    }
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_int_eq(memcmp(all, text, n), 0);
}

static lmi_sasl_next answer(lmail_auth_kind kind, const char *data, const char *identity)
{
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    lmi_sasl_next next = LMI_SASL_UNKNOWN;
    a.kind = kind;
    a.data = lmail_str_from(data);
    a.identity = lmail_str_from(identity);
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_OK);
    ck_assert_int_eq(lmi_sasl_answer(&x, &made.base, &a, LMAIL_STR("+ "), &next), LMAIL_OK);
    return next;
}

static const struct {
    const char *name, *initial; /* initial NULL: none */
    lmi_sasl_next next;
    unsigned has_response;
    const char *response;
} starts[] = {
    {"PLAIN", NULL, LMI_SASL_RESPONSE, 0, ""},
    {"plain", "AGEAYg==", LMI_SASL_RESPONSE, 1, "\0a\0b"},
    {"PLAIN", "=", LMI_SASL_RESPONSE, 1, ""}, /* RFC 5034 §4: the empty one */
    {"PLAIN", "", LMI_SASL_BAD, 0, ""},       /* "AUTH PLAIN " */
    {"PLAIN", "==", LMI_SASL_BAD, 0, ""},
    {"PLAIN", "AGEAYg", LMI_SASL_BAD, 0, ""},
    {"PLAIN", "*", LMI_SASL_BAD, 0, ""},
    {"LOGIN", NULL, LMI_SASL_UNKNOWN, 0, ""}, /* not offered */
    {"PLAI", NULL, LMI_SASL_UNKNOWN, 0, ""},
    {"", NULL, LMI_SASL_UNKNOWN, 0, ""},
    {"PLAIN\x7f", NULL, LMI_SASL_UNKNOWN, 0, ""},
    {"SCRAM-SHA-256-PLUS", NULL, LMI_SASL_RESPONSE, 0, ""},
    {"A234567890123456789012", NULL, LMI_SASL_UNKNOWN, 0, ""}, /* RFC 4422 §3.1: 20 at most */
};

START_TEST(an_initial_response_is_absent_empty_or_there)
{
    lmail_str initial = lmail_str_from(starts[_i].initial);
    lmi_sasl_next next =
        lmi_sasl_start(&x, lmail_str_from(starts[_i].name), starts[_i].initial ? &initial : NULL,
                       LMAIL_STR("PLAIN SCRAM-SHA-256-PLUS A234567890123456789012"));
    ck_assert_int_eq(next, starts[_i].next);
    ck_assert(!lmi_sasl_reading(&x));
    if (next != LMI_SASL_RESPONSE) {
        ck_assert_int_eq(lmi_sasl_end(&x), 0);
        return;
    }
    lmi_question *q;
    const lmail_auth_event *ev = ask(&q);
    ck_assert(lmail_str_equal_nocase(ev->mechanism, lmail_str_from(starts[_i].name)));
    ck_assert_uint_eq(ev->step, 0);
    ck_assert_uint_eq(ev->has_response, starts[_i].has_response);
    size_t n = initial.len == 8 ? 4 : 0;
    ck_assert_uint_eq(ev->response.len, n);
    ck_assert_int_eq(memcmp(ev->response.ptr, starts[_i].response, n), 0);
    ck_assert_int_eq(answer(LMAIL_AUTH_FAIL, NULL, NULL), LMI_SASL_FAILED);
    lmi_question_done(&made.base, q);
    ck_assert_int_eq(lmi_sasl_end(&x), 1);
    ck_assert_int_eq(lmi_sasl_end(&x), 0); /* told once */
    ck_assert_uint_eq(lmi_sasl_identity(&x).len, 0);
}
END_TEST

/* Begin, answer CONTINUE, so that a line is awaited. */
static void challenge(const char *data, const char *on_the_wire)
{
    lmi_question *q;
    ck_assert_int_eq(lmi_sasl_start(&x, LMAIL_STR("PLAIN"), NULL, LMAIL_STR("X PLAIN")),
                     LMI_SASL_RESPONSE);
    ask(&q);
    ck_assert_int_eq(answer(LMAIL_AUTH_CONTINUE, data, NULL), LMI_SASL_CHALLENGE);
    lmi_question_done(&made.base, q);
    wrote(on_the_wire);
    ck_assert(lmi_sasl_reading(&x));
}

START_TEST(challenges_and_responses_alternate)
{
    lmi_question *q;
    challenge(NULL, "+ \r\n");
    ck_assert_int_eq(lmi_sasl_line(&x, LMAIL_STR("Zm9v")), LMI_SASL_RESPONSE);
    const lmail_auth_event *ev = ask(&q);
    ck_assert_uint_eq(ev->step, 1);
    ck_assert_uint_eq(ev->has_response, 1);
    ck_assert(lmail_str_equal(ev->response, LMAIL_STR("foo")));
    ck_assert_int_eq(answer(LMAIL_AUTH_CONTINUE, "foob", NULL), LMI_SASL_CHALLENGE);
    lmi_question_done(&made.base, q);
    wrote("+ Zm9vYg==\r\n");
    ck_assert_int_eq(lmi_sasl_line(&x, LMAIL_STR("")), LMI_SASL_RESPONSE); /* an empty response */
    ev = ask(&q);
    ck_assert_uint_eq(ev->step, 2);
    ck_assert_uint_eq(ev->has_response, 1);
    ck_assert_uint_eq(ev->response.len, 0);
    ck_assert_int_eq(answer(LMAIL_AUTH_OK, NULL, "alice"), LMI_SASL_OK);
    lmi_question_done(&made.base, q);
    ck_assert_int_eq(lmi_sasl_end(&x), 1);
    ck_assert(lmail_str_equal(lmi_sasl_identity(&x), LMAIL_STR("alice")));
    ck_assert(!lmi_sasl_reading(&x));
}
END_TEST

static const struct {
    const char *line;
    lmi_sasl_next next;
} refused[] = {
    {"*", LMI_SASL_CANCELLED}, {"=", LMI_SASL_BAD}, /* that is for the command only */
    {"Zm9", LMI_SASL_BAD},     {"Zm9v ", LMI_SASL_BAD},
    {"**", LMI_SASL_BAD},      {"QUIT", LMI_SASL_RESPONSE}, /* a response is never a command */
};

START_TEST(a_line_is_a_response_or_cancels)
{
    challenge("x", "+ eA==\r\n");
    ck_assert_int_eq(lmi_sasl_line(&x, lmail_str_from(refused[_i].line)), refused[_i].next);
    ck_assert_int_eq(lmi_sasl_end(&x), 1);
    ck_assert(!lmi_sasl_reading(&x));
}
END_TEST

static const struct {
    const char *line;
    lmi_sasl_next next;
} lasts[] = {
    {"", LMI_SASL_OK},
    {"*", LMI_SASL_CANCELLED},
    {"Zm9v", LMI_SASL_BAD},
    {"=", LMI_SASL_BAD},
};

START_TEST(data_with_success_waits_for_an_empty_response)
{
    lmi_question *q;
    challenge(NULL, "+ \r\n");
    ck_assert_int_eq(lmi_sasl_line(&x, LMAIL_STR("Zm9v")), LMI_SASL_RESPONSE);
    ask(&q);
    ck_assert_int_eq(answer(LMAIL_AUTH_OK, "v=1", "bob"), LMI_SASL_CHALLENGE);
    lmi_question_done(&made.base, q);
    wrote("+ dj0x\r\n");
    ck_assert(lmi_sasl_reading(&x));
    ck_assert_uint_eq(lmi_sasl_identity(&x).len, 0); /* not yet */
    ck_assert_int_eq(lmi_sasl_line(&x, lmail_str_from(lasts[_i].line)), lasts[_i].next);
    ck_assert_int_eq(lmi_sasl_end(&x), 1);
    ck_assert_uint_eq(lmi_sasl_identity(&x).len, lasts[_i].next == LMI_SASL_OK ? 3 : 0);
}
END_TEST

START_TEST(a_long_challenge_is_one_line)
{
    char data[401];
    memset(data, 'a', 400); /* 400 octets: three pieces, none of them padded inside */
    data[400] = 0;
    lmi_question *q;
    ck_assert_int_eq(lmi_sasl_start(&x, LMAIL_STR("PLAIN"), NULL, LMAIL_STR("PLAIN")),
                     LMI_SASL_RESPONSE);
    ask(&q);
    ck_assert_int_eq(answer(LMAIL_AUTH_CONTINUE, data, NULL), LMI_SASL_CHALLENGE);
    lmi_question_done(&made.base, q);
    char text[600];
    memcpy(text, "+ ", 2);
    for (size_t i = 0; i < 133; i++)
        memcpy(text + 2 + 4 * i, "YWFh", 4);
    strcpy(text + 2 + 4 * 133, "YQ==\r\n");
    wrote(text);
}
END_TEST

START_TEST(a_malformed_answer_is_told)
{
    lmail_auth_answer a = LMAIL_AUTH_ANSWER_INIT;
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_OK); /* zeroed: FAIL */
    a.text = LMAIL_STR("two\r\nlines");
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_ERR_ARG);
    lmail_auth_answer_init(&a);
    a.kind = LMAIL_AUTH_OK; /* as whom? */
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_ERR_ARG);
    a.identity = LMAIL_STR("a");
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_OK);
    a.kind = (lmail_auth_kind)7;
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_ERR_ARG);
    lmail_auth_answer_init(&a);
    a.failure = (lmail_auth_failure)99;
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_ERR_ARG);
    a.size = 0;
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_ERR_SIZE);
    a.size = sizeof a + 1;
    ck_assert_int_eq(lmi_sasl_check(&a), LMAIL_ERR_SIZE);
}
END_TEST

START_TEST(the_list_is_searched_by_whole_names)
{
    lmail_str list = LMAIL_STR("SCRAM-SHA-256 PLAIN  LOGIN");
    ck_assert(lmi_sasl_offers(list, LMAIL_STR("scram-sha-256")));
    ck_assert(lmi_sasl_offers(list, LMAIL_STR("LOGIN")));
    ck_assert(!lmi_sasl_offers(list, LMAIL_STR("SCRAM-SHA")));
    ck_assert(!lmi_sasl_offers(list, LMAIL_STR("")));
    ck_assert(!lmi_sasl_offers(LMAIL_STR(""), LMAIL_STR("PLAIN")));
}
END_TEST

Suite *sasl_exchange_suite(void)
{
    Suite *suite = suite_create("sasl_exchange");
    TCase *tc = tcase_create("framing");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, an_initial_response_is_absent_empty_or_there, 0,
                        sizeof starts / sizeof *starts);
    tcase_add_test(tc, challenges_and_responses_alternate);
    tcase_add_loop_test(tc, a_line_is_a_response_or_cancels, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(tc, data_with_success_waits_for_an_empty_response, 0,
                        sizeof lasts / sizeof *lasts);
    tcase_add_test(tc, a_long_challenge_is_one_line);
    tcase_add_test(tc, a_malformed_answer_is_told);
    tcase_add_test(tc, the_list_is_searched_by_whole_names);
    suite_add_tcase(suite, tc);
    return suite;
}
