/* The numbers and their page: what is counted where, what the text looks like, what HTTP is
 * refused. */
#include "host/admin/admin_metrics_http.h"

#include <check.h>
#include <libmail/host/metrics.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const protocols[] = {"smtp", "imap"};
static const char *const results[] = {"ok", "failed", "other"};

enum { PLAIN, REPLIES, LOGINS, OPEN, BUILD, TIME, SIZE, CPU, FAMILIES };

static const lmail_metric table[] = {
    {"t_plain", LMAIL_METRIC_COUNTER, 0, "Plain.", {{NULL, NULL, 0, 0}}},
    {"t_replies",
     LMAIL_METRIC_COUNTER,
     LMAIL_METRIC_SPARSE,
     "Replies.",
     {{"code", NULL, 400, 200}}},
    {"t_logins",
     LMAIL_METRIC_COUNTER,
     LMAIL_METRIC_SPARSE,
     "Logins.",
     {{"protocol", protocols, 2, 0}, {"result", results, 3, 0}}},
    {"t_open", LMAIL_METRIC_GAUGE, 0, "Open.", {{"protocol", protocols, 2, 0}}},
    {"t_build", LMAIL_METRIC_INFO, 0, "Build.", {{"result", results, 1, 0}}},
    {"t_time_seconds",
     LMAIL_METRIC_SECONDS,
     LMAIL_METRIC_SPARSE,
     "Time.",
     {{"protocol", protocols, 2, 0}}},
    {"t_size_bytes", LMAIL_METRIC_OCTETS, 0, "Size.", {{NULL, NULL, 0, 0}}},
    {"t_cpu_seconds",
     LMAIL_METRIC_COUNTER,
     LMAIL_METRIC_MICRO,
     "Time of the processor.",
     {{NULL, NULL, 0, 0}}},
};

static lmail_metrics *make(size_t sets)
{
    lmail_metrics *m;
    ck_assert_int_eq(lmail_metrics_new(&m, table, FAMILIES, sets), LMAIL_OK);
    return m;
}

typedef struct text {
    char octets[65536];
    size_t len;
} text;

static lmail_status take(void *ctx, lmail_str s)
{
    text *t = ctx;
    ck_assert(t->len + s.len < sizeof t->octets);
    memcpy(t->octets + t->len, s.ptr, s.len);
    t->len += s.len;
    t->octets[t->len] = '\0';
    return LMAIL_OK;
}

static const char *page_of(const lmail_metrics *m)
{
    static text t;
    t.len = 0;
    ck_assert_int_eq(lmail_metrics_write(m, take, &t), LMAIL_OK);
    return t.octets;
}

START_TEST(sets_are_added_up)
{
    lmail_metrics *m = make(2);
    lmail_metrics_set *a = lmail_metrics_set_at(m, 0), *b = lmail_metrics_set_at(m, 1);
    ck_assert_ptr_null(lmail_metrics_set_at(m, 2));
    ck_assert_uint_eq((size_t)a % 64, 0);
    ck_assert_uint_eq((size_t)b % 64, 0);
    lmail_metrics_add(a, PLAIN, 0, 3);
    lmail_metrics_add(b, PLAIN, 0, 4);
    ck_assert_uint_eq(lmail_metrics_get(m, PLAIN, 0), 7);
    lmail_metrics_add(a, OPEN, 1, 2);
    lmail_metrics_add(a, OPEN, 1, -1);
    ck_assert_uint_eq(lmail_metrics_get(m, OPEN, 1), 1);
    ck_assert_uint_eq(lmail_metrics_get(m, OPEN, 0), 0);
    lmail_metrics_put(b, CPU, 0, 1500000);
    lmail_metrics_put(b, CPU, 0, 2500000);
    ck_assert_uint_eq(lmail_metrics_get(m, CPU, 0), 2500000);
    lmail_metrics_free(m);
}
END_TEST

START_TEST(places_out_of_range_do_no_harm)
{
    lmail_metrics *m = make(1);
    lmail_metrics_set *s = lmail_metrics_set_at(m, 0);
    unsigned last = lmail_metrics_place(m, LOGINS, 1, 2, 0);
    ck_assert_uint_eq(last, 5);
    ck_assert_uint_eq(lmail_metrics_place(m, LOGINS, 99, 99, 99), last);
    ck_assert_uint_eq(lmail_metrics_place(m, LOGINS, 1, 0, 7), 3);
    lmail_metrics_add(s, LOGINS, 6, 1);
    lmail_metrics_add(s, FAMILIES, 0, 1);
    lmail_metrics_add(s, TIME, 0, 1);
    lmail_metrics_observe(s, PLAIN, 0, 1);
    lmail_metrics_add(NULL, PLAIN, 0, 1);
    lmail_metrics_put(NULL, PLAIN, 0, 1);
    lmail_metrics_observe(NULL, TIME, 0, 1);
    ck_assert_uint_eq(lmail_metrics_get(m, PLAIN, 0), 0);
    ck_assert_uint_eq(lmail_metrics_get(m, TIME, 0), 0);
    ck_assert_uint_eq(lmail_metrics_get(m, LOGINS, 6), 0);
    ck_assert_uint_eq(lmail_metrics_get(m, FAMILIES, 0), 0);
    lmail_metrics_free(m);
}
END_TEST

START_TEST(the_page_is_open_metrics)
{
    lmail_metrics *m = make(1);
    lmail_metrics_set *s = lmail_metrics_set_at(m, 0);
    lmail_metrics_add(s, REPLIES, 350, 2);
    lmail_metrics_add(s, LOGINS, lmail_metrics_place(m, LOGINS, 1, 1, 0), 1);
    lmail_metrics_put(s, CPU, 0, 1000001);
    lmail_metrics_observe(s, TIME, 0, 100);      /* at a bound */
    lmail_metrics_observe(s, TIME, 0, 101);      /* above it */
    lmail_metrics_observe(s, TIME, 0, 99000000); /* above all */
    lmail_metrics_observe(s, SIZE, 0, 2000);
    const char *page = page_of(m);
    static const char *const lines[] = {
        "# TYPE t_plain counter\n# HELP t_plain Plain.\nt_plain_total 0\n",
        "# HELP t_replies Replies.\nt_replies_total{code=\"550\"} 2\n# TYPE",
        "# HELP t_logins Logins.\nt_logins_total{protocol=\"imap\",result=\"failed\"} 1\n# TYPE",
        "t_open{protocol=\"smtp\"} 0\nt_open{protocol=\"imap\"} 0\n",
        "# TYPE t_build info\n# HELP t_build Build.\nt_build_info{result=\"ok\"} 1\n",
        "# TYPE t_time_seconds histogram\n# UNIT t_time_seconds seconds\n",
        "t_time_seconds_bucket{protocol=\"smtp\",le=\"0.0001\"} 1\n"
        "t_time_seconds_bucket{protocol=\"smtp\",le=\"0.00025\"} 2\n",
        "le=\"30.0\"} 2\nt_time_seconds_bucket{protocol=\"smtp\",le=\"+Inf\"} 3\n"
        "t_time_seconds_count{protocol=\"smtp\"} 3\nt_time_seconds_sum{protocol=\"smtp\"} "
        "99.000201\n",
        "t_size_bytes_bucket{le=\"1024.0\"} 0\nt_size_bytes_bucket{le=\"4096.0\"} 1\n",
        "t_size_bytes_count 1\nt_size_bytes_sum 2000\n",
        "t_cpu_seconds_total 1.000001\n# EOF\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(strstr(page, lines[i]) != NULL, "lacks:\n%s\nin:\n%s", lines[i], page);
    ck_assert_ptr_null(strstr(page, "protocol=\"imap\",le="));
    lmail_metrics_free(m);
}
END_TEST

typedef struct counting {
    lmail_metrics_set *set;
    unsigned n;
} counting;

static void *count_many(void *arg)
{
    counting *c = arg;
    for (unsigned i = 0; i < c->n; i++) {
        lmail_metrics_add(c->set, PLAIN, 0, 1);
        lmail_metrics_observe(c->set, TIME, 1, i);
    }
    return NULL;
}

START_TEST(threads_count_while_one_reads)
{
    enum { THREADS = 4, EACH = 20000 };
    lmail_metrics *m = make(THREADS);
    pthread_t threads[THREADS];
    counting counts[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        counts[i] = (counting){lmail_metrics_set_at(m, i), EACH};
        pthread_create(&threads[i], NULL, count_many, &counts[i]);
    }
    uint64_t before = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t now = lmail_metrics_get(m, PLAIN, 0);
        ck_assert_uint_ge(now, before);
        before = now;
        page_of(m);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(lmail_metrics_get(m, PLAIN, 0), THREADS * EACH);
    ck_assert_uint_eq(lmail_metrics_get(m, TIME, 1), THREADS * EACH);
    lmail_metrics_free(m);
}
END_TEST

START_TEST(a_faulty_table_is_refused)
{
    static const lmail_metric nameless[] = {
        {NULL, LMAIL_METRIC_GAUGE, 0, "", {{NULL, NULL, 0, 0}}}};
    static const lmail_metric large[] = {
        {"t", LMAIL_METRIC_GAUGE, 0, "", {{"a", NULL, 60000, 0}, {"b", NULL, 60000, 0}}}};
    lmail_metrics *m;
    ck_assert_int_eq(lmail_metrics_new(&m, nameless, 1, 1), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_metrics_new(&m, large, 1, 1), LMAIL_ERR_ARG);
    lmail_metrics_free(NULL);
}
END_TEST

/* ---- HTTP ------------------------------------------------------------------------------------ */

static const struct asked {
    const char *request;
    unsigned code;
    int head;
} asked[] = {
    {"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200, 0},
    {"\r\nGET /metrics HTTP/1.1\r\nhost:a\r\n\r\n", 200, 0},
    {"HEAD /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n", 200, 1},
    {"GET /metrics HTTP/1.0\r\n\r\n", 200, 0},
    {"GET /metrics?a=b HTTP/1.1\r\nHost: a\r\n\r\n", 200, 0},
    {"GET http://a:1/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200, 0},
    {"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", 200, 0},
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, 0},
    {"HEAD /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", 404, 1},
    {"GET /metricsx HTTP/1.1\r\nHost: a\r\n\r\n", 404, 0},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, 0},
    {"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405, 0},
    {"get /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405, 0},
    {"GET /metrics HTTP/2.0\r\n", 505, 0},
    {"GET /metrics HTTP/1.1\r\n\r\n", 400, 0},                       /* RFC 9112 §3.2 */
    {"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, 0}, /* RFC 9112 §3.2 */
    {"GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n", 400, 0},           /* RFC 9112 §5.1 */
    {"GET /metrics HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400, 0},      /* RFC 9112 §5.2 */
    {"GET /metrics HTTP/1.1\r\nHost: a\n\r\n", 400, 0},
    {"GET /metrics HTTP/1.1\n\n", 400, 0},
    {"GET  /metrics HTTP/1.1\r\n", 400, 0},
    {"GET /metrics  HTTP/1.1\r\n", 400, 0},
    {"GET /metrics\r\n", 400, 0},
    {"GET metrics HTTP/1.1\r\n", 400, 0},
    {" /metrics HTTP/1.1\r\n", 400, 0},
    {"G@T /metrics HTTP/1.1\r\n", 400, 0},
    {"GET /metrics HTTP/x.1\r\n", 400, 0},
    {"EHLO example.net\r\n", 400, 0},
    {"\n", 400, 0},
    {"\r\n\r\n", 400, 0},
    {"", 0, 0},
    {"GET /metrics HTTP/1.1\r\nHost: a\r\n", 0, 0},
    {"GET /metrics HTTP/1.1\r\nHost: a\r\n\r", 0, 0},
};

START_TEST(requests_are_judged)
{
    const struct asked *a = &asked[_i];
    int head;
    unsigned code = lmi_http_judge(lmail_str_from(a->request), &head);
    ck_assert_msg(code == a->code, "%s: %u instead of %u", a->request, code, a->code);
    if (code)
        ck_assert_int_eq(head, a->head);
}
END_TEST

START_TEST(a_request_has_an_end)
{
    char large[LMI_HTTP_HEAD_MAX];
    int head;
    memset(large, 'a', sizeof large);
    ck_assert_uint_eq(lmi_http_judge((lmail_str){large, sizeof large - 1}, &head), 0);
    ck_assert_uint_eq(lmi_http_judge((lmail_str){large, sizeof large}, &head), 431);
    memcpy(large, "GET /metrics HTTP/1.1\r\nHost: ", 29);
    ck_assert_uint_eq(lmi_http_judge((lmail_str){large, sizeof large}, &head), 431);
}
END_TEST

START_TEST(answers_say_what_they_are)
{
    char out[512];
    size_t n = lmi_http_head(200, 17, out);
    ck_assert_uint_lt(n, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 200 OK\r\n"));
    ck_assert_ptr_nonnull(strstr(
        out, "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    ck_assert_ptr_nonnull(strstr(out, "\r\nContent-Length: 17\r\n"));
    lmi_http_head(405, 0, out);
    ck_assert_ptr_nonnull(strstr(out, "\r\nAllow: GET, HEAD\r\n"));
    ck_assert_uint_eq(lmi_http_body(200).len, 0);
    ck_assert_uint_gt(lmi_http_body(404).len, 0);
}
END_TEST

Suite *admin_metrics_suite(void)
{
    Suite *s = suite_create("admin_metrics");
    TCase *t = tcase_create("numbers");
    tcase_add_test(t, sets_are_added_up);
    tcase_add_test(t, places_out_of_range_do_no_harm);
    tcase_add_test(t, the_page_is_open_metrics);
    tcase_add_test(t, threads_count_while_one_reads);
    tcase_add_test(t, a_faulty_table_is_refused);
    suite_add_tcase(s, t);
    t = tcase_create("http");
    tcase_add_loop_test(t, requests_are_judged, 0, sizeof asked / sizeof *asked);
    tcase_add_test(t, a_request_has_an_end);
    tcase_add_test(t, answers_say_what_they_are);
    suite_add_tcase(s, t);
    return s;
}
