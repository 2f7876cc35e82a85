/* Structure scan of messages, MB/s, beside a bare newline scan (memchr) over the same octets.
 *
 *   bench_mime [MiB]      size of each message, 64 by default
 *
 * Pieces of 256 KiB, as the host reads them. */
#include <libmail/mime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIECE (256 * 1024)

typedef struct message {
    char *ptr;
    size_t len, cap;
} message;

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void add(message *m, const char *text)
{
    size_t n = strlen(text);
    if (m->len + n > m->cap)
        return;
    memcpy(m->ptr + m->len, text, n);
    m->len += n;
}

static const char plain_header[] = "From: a@example.net\r\nSubject: bench\r\n\r\n";

/* Lines of 1 to 78 octets, as people write. */
static void plain_text(message *m)
{
    static const char words[] = "The quick brown fox jumps over the lazy dog - and then -- once "
                                "more, with feeling, again\r\n";
    add(m, plain_header);
    for (unsigned i = 0; m->len + 100 < m->cap; i++)
        add(m, words + (i * 37) % (i % 5 ? 20 : 80));
}

static void base64_lines(message *m, size_t until)
{
    static const char line[] =
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4\r\n";
    while (m->len + 100 < until)
        add(m, line);
}

static void attachment(message *m)
{
    add(m, "Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n\r\nHello\r\n--b1\r\n"
           "Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    base64_lines(m, m->cap - 100);
    add(m, "\r\n--b1--\r\n");
}

/* Twenty multiparts, each within the one before, and a body in the innermost. */
static void nested(message *m)
{
    char text[200];
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text,
                 "Content-Type: multipart/mixed; boundary=\"----=_NextPart_%d\"\r\n\r\n"
                 "------=_NextPart_%d\r\n",
                 i, i);
        add(m, text);
    }
    add(m, "Content-Transfer-Encoding: base64\r\n\r\n");
    base64_lines(m, m->cap - 1000);
    for (int i = 19; i >= 0; i--) {
        snprintf(text, sizeof text, "\r\n------=_NextPart_%d--\r\n", i);
        add(m, text);
    }
}

/* The worst that a body can do to the scanner: each line might be a boundary. */
static void dashes(message *m)
{
    add(m, "Content-Type: multipart/mixed; boundary=\"----=_NextPart_1\"\r\n\r\n"
           "------=_NextPart_1\r\n\r\n");
    while (m->len + 100 < m->cap)
        add(m, "------=_NextPart_0 something else to read here\r\n");
}

/* Many small parts: headers, not bodies. */
static void small_parts(message *m)
{
    add(m, "Content-Type: multipart/mixed; boundary=b1\r\n\r\n");
    while (m->len + 300 < m->cap)
        add(m, "--b1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: inline\r\n"
               "Content-Transfer-Encoding: 7bit\r\n\r\nA line of text.\r\n");
}

static size_t newlines(const message *m)
{
    size_t lines = 0;
    for (const char *at = m->ptr, *end = m->ptr + m->len;
         at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        lines++;
    return lines;
}

static size_t scan(const message *m, unsigned gather, unsigned lf_input)
{
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_parser *p;
    config.gather = gather;
    config.lf_input = lf_input;
    config.max_parts = 1000000;
    if (lmail_mime_parser_new(&p, &config))
        exit(EXIT_FAILURE);
    for (size_t at = 0; at < m->len; at += PIECE) {
        size_t n = m->len - at < PIECE ? m->len - at : PIECE;
        if (lmail_mime_parser_feed(p, (lmail_str){m->ptr + at, n}))
            exit(EXIT_FAILURE);
    }
    if (lmail_mime_parser_end(p))
        exit(EXIT_FAILURE);
    size_t parts = lmail_mime_parser_parts(p).count;
    lmail_mime_parser_free(p);
    return parts;
}

static void report(const char *name, void (*fill)(message *), size_t size)
{
    message m = {malloc(size), 0, size};
    if (!m.ptr)
        exit(EXIT_FAILURE);
    fill(&m);
    double best[4] = {1e9, 1e9, 1e9, 1e9};
    size_t parts = 0, lines = 0;
    for (int round = 0; round < 5; round++) {
        for (int what = 0; what < 4; what++) {
            double from = now();
            if (what == 0)
                lines = newlines(&m);
            else
                parts = scan(&m, what == 2 ? LMAIL_MIME_GATHER_SUMMARY : 0, what == 3);
            double took = now() - from;
            if (took < best[what])
                best[what] = took;
        }
    }
    double mb = (double)m.len / 1e6;
    printf("%-22s %8zu parts %9zu lines  memchr %6.0f  structure %6.0f  summary %6.0f  "
           "lf_input %6.0f MB/s\n",
           name, parts, lines, mb / best[0], mb / best[1], mb / best[2], mb / best[3]);
    free(m.ptr);
}

int main(int argc, char **argv)
{
    size_t size = (argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 64) << 20;
    report("plain text", plain_text, size);
    report("base64, 76 columns", attachment, size);
    report("20 nested multiparts", nested, size);
    report("lines of dashes", dashes, size);
    report("small parts", small_parts, size);

    /* A usual letter, from new to free. */
    message m = {malloc(4096), 0, 4096};
    if (!m.ptr)
        return EXIT_FAILURE;
    plain_text(&m);
    int rounds = 100000;
    double from = now();
    for (int i = 0; i < rounds; i++)
        scan(&m, LMAIL_MIME_GATHER_SUMMARY, 0);
    printf("a letter of 4 KiB, summary: %.2f us\n", (now() - from) / rounds * 1e6);
    free(m.ptr);
    return 0;
}
