/* links: host
 * The HTTP request of the metrics page: what is judged stays judged when more comes, unless it was
 * judged too early; a 200 is a GET or HEAD of /metrics over HTTP/1 with a whole head; what is not
 * judged is short; and every answer is well-formed. Then page texts: see write_page. */
#include "host/admin/admin_metrics_http.h"

#include <libmail/host/metrics.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int true_thing)
{
    if (!true_thing)
        abort();
}

static int has(lmail_str in, const char *text)
{
    return memmem(in.ptr, in.len, text, strlen(text)) != NULL;
}

static void check_answer(unsigned code)
{
    char head[512];
    size_t n = lmi_http_head(code, (size_t)-1, head);
    need(n < sizeof head && memcmp(head, "HTTP/1.1 ", 9) == 0);
    need(memcmp(head + n - 4, "\r\n\r\n", 4) == 0);
    need((unsigned)atoi(head + 9) == code);
    need((lmi_http_body(code).len == 0) == (code == 200));
}

/* A field that no reader could take for two, a line that is no line, end in 400. */
static void check_taken(lmail_str in, int head)
{
    need(has(in, "/metrics") && has(in, " HTTP/1.") && has(in, "\r\n\r\n"));
    need(has(in, head ? "HEAD " : "GET "));
    size_t end = (size_t)((const char *)memmem(in.ptr, in.len, "\r\n\r\n", 4) - in.ptr);
    for (size_t i = 0; i < end; i++)
        need(in.ptr[i] != '\0' && (in.ptr[i] != '\n' || (i > 0 && in.ptr[i - 1] == '\r')));
}

static lmail_status count_lines(void *user, lmail_str text)
{
    size_t *lines = user;
    for (size_t i = 0; i < text.len; i++)
        *lines += text.ptr[i] == '\n';
    return LMAIL_OK;
}

/* Any numbers, in any place: the page has the same lines, and ends. */
static void write_page(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"a", "b"};
    static const lmail_metric table[] = {
        {"f_counted", LMAIL_METRIC_COUNTER, LMAIL_METRIC_MICRO, "Counted.", {{"w", words, 2, 0}}},
        {"f_level", LMAIL_METRIC_GAUGE, 0, "Level.", {{"n", NULL, 3, 200}}},
        {"f_time_seconds", LMAIL_METRIC_SECONDS, 0, "Time.", {{NULL, NULL, 0, 0}}},
        {"f_size_bytes", LMAIL_METRIC_OCTETS, 0, "Size.", {{"w", words, 2, 0}}}};
    lmail_metrics *m;
    size_t empty = 0, lines = 0;
    if (lmail_metrics_new(&m, table, 4, 1))
        return;
    lmail_metrics_set *set = lmail_metrics_set_at(m, 0);
    need(lmail_metrics_write(m, count_lines, &empty) == LMAIL_OK);
    for (; size >= 10; data += 10, size -= 10) {
        uint64_t n;
        unsigned family = data[0] % 4, place;
        memcpy(&n, data + 2, sizeof n);
        place = lmail_metrics_place(m, family, data[1], data[1], data[1]);
        if (family >= 2)
            lmail_metrics_observe(set, family, place, n);
        else if (data[0] & 4)
            lmail_metrics_put(set, family, place, n);
        else
            lmail_metrics_add(set, family, place, (int64_t)n);
    }
    need(lmail_metrics_write(m, count_lines, &lines) == LMAIL_OK && lines == empty);
    lmail_metrics_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmail_str in = {(const char *)data, size};
    int head, part_head;
    unsigned code = lmi_http_judge(in, &head);
    need(code != 0 || size < LMI_HTTP_HEAD_MAX);
    if (code)
        check_answer(code);
    if (code == 200)
        check_taken(in, head);
    int over = 0;
    for (size_t n = 0; n < size && n < 600; n++) {
        unsigned part = lmi_http_judge((lmail_str){in.ptr, n}, &part_head);
        need(!over || part == (unsigned)over);
        over = (int)part;
    }
    if (over)
        need(code == (unsigned)over);
    write_page(data, size);
    return 0;
}
