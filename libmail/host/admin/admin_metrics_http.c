/* admin_metrics_http.c - one HTTP request judged, one answer's head written (RFC 9110, RFC 9112).
 *
 * There is one resource, /metrics, and one request a connection; so fields are checked for their
 * shape and for Host, and mean nothing else. Called by admin_metrics_door.c. */
#include "host/admin/admin_metrics_http.h"

#include <stdio.h>
#include <string.h>

#define PATH "/metrics"

static int is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int is_text(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return 0;
    }
    return 1;
}

static size_t find(lmail_str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

static lmail_str from(lmail_str s, size_t at)
{
    return at < s.len ? (lmail_str){s.ptr + at, s.len - at} : (lmail_str){NULL, 0};
}

static int is(lmail_str s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

/* The next line, without its CRLF, off *rest. 0: it does not end in CRLF. */
static int take_line(lmail_str *rest, lmail_str *line)
{
    size_t lf = find(*rest, '\n');
    if (lf == rest->len || lf == 0 || rest->ptr[lf - 1] != '\r')
        return 0;
    *line = (lmail_str){rest->ptr, lf - 1};
    *rest = from(*rest, lf + 1);
    return is_text(*line);
}

/* RFC 9112 §3.2.2: a server takes the absolute form too. */
static unsigned judge_target(lmail_str target)
{
    static const char http[] = "http://";
    size_t n = sizeof http - 1;
    if (target.len > n && memcmp(target.ptr, http, n) == 0) {
        target = from(target, n);
        target = from(target, find(target, '/'));
    }
    if (!target.len || target.ptr[0] != '/')
        return target.len && is(target, "*") ? 404 : 400;
    target.len = find(target, '?');
    return is(target, PATH) ? 200 : 404;
}

/* METHOD SP target SP HTTP/1.x (RFC 9112 §3). *hosts: a Host field is needed. */
static unsigned judge_request(lmail_str line, int *head, int *hosts)
{
    size_t method = find(line, ' ');
    lmail_str rest = from(line, method + 1);
    size_t target = find(rest, ' ');
    lmail_str version = from(rest, target + 1);
    for (size_t i = 0; i < method; i++)
        if (!is_token((unsigned char)line.ptr[i]))
            return 400;
    if (!method || !target || find(version, ' ') != version.len || version.len != 8 ||
        memcmp(version.ptr, "HTTP/", 5) != 0 || version.ptr[6] != '.')
        return 400;
    if (version.ptr[5] != '1')
        return version.ptr[5] >= '0' && version.ptr[5] <= '9' ? 505 : 400;
    *hosts = version.ptr[7] != '0';
    *head = is((lmail_str){line.ptr, method}, "HEAD");
    unsigned code = judge_target((lmail_str){rest.ptr, target});
    if (code == 200 && !*head && !is((lmail_str){line.ptr, method}, "GET"))
        return 405;
    return code;
}

/* name ":" value; no white space before the colon (RFC 9112 §5.1), none at the start: obs-fold is
 * refused (§5.2). */
static int judge_field(lmail_str line, unsigned *hosts)
{
    size_t name = find(line, ':');
    if (name == 0 || name == line.len)
        return 0;
    for (size_t i = 0; i < name; i++)
        if (!is_token((unsigned char)line.ptr[i]))
            return 0;
    *hosts += lmail_str_equal_nocase((lmail_str){line.ptr, name}, LMAIL_STR("host")) != 0;
    return 1;
}

unsigned lmi_http_judge(lmail_str in, int *head)
{
    lmail_str rest = in, line;
    int host_needed = 0;
    unsigned hosts = 0;
    *head = 0;
    /* RFC 9112 §2.2: an empty line before the request is passed over. */
    if (in.len >= 2 && memcmp(in.ptr, "\r\n", 2) == 0)
        rest = from(in, 2);
    if (find(rest, '\n') == rest.len)
        return in.len >= LMI_HTTP_HEAD_MAX ? 431 : 0;
    if (!take_line(&rest, &line))
        return 400;
    unsigned code = judge_request(line, head, &host_needed);
    if (code == 400 || code == 505)
        return code;
    for (;;) {
        if (find(rest, '\n') == rest.len)
            return in.len >= LMI_HTTP_HEAD_MAX ? 431 : 0;
        if (!take_line(&rest, &line))
            return 400;
        if (!line.len)
            return hosts > 1 || (host_needed && !hosts) ? 400 : code;
        if (!judge_field(line, &hosts))
            return 400;
    }
}

typedef struct answer {
    unsigned code;
    const char *reason, *body;
} answer;

static const answer *answer_of(unsigned code)
{
    static const answer answers[] = {
        {200, "OK", ""},
        {400, "Bad Request", "This is no HTTP request.\n"},
        {404, "Not Found", "There is /metrics and nothing else.\n"},
        {405, "Method Not Allowed", "GET and HEAD alone.\n"},
        {431, "Request Header Fields Too Large", "The request is too large.\n"},
        {505, "HTTP Version Not Supported", "HTTP/1.1 alone.\n"},
        {503, "Service Unavailable", "Not now.\n"},
    };
    size_t i = 0, last = sizeof answers / sizeof *answers - 1;
    while (i < last && answers[i].code != code)
        i++;
    return &answers[i];
}

size_t lmi_http_head(unsigned code, size_t body, char *out)
{
    const answer *a = answer_of(code);
    return (size_t)snprintf(
        out, 512,
        "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        a->code, a->reason,
        a->code == 200 ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; charset=utf-8",
        body, a->code == 405 ? "Allow: GET, HEAD\r\n" : "");
}

lmail_str lmi_http_body(unsigned code)
{
    return lmail_str_from(answer_of(code)->body);
}
