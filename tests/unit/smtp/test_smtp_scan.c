/* The message scanner against one that looks at whole strings, for every short text over the octets
 * that matter, in every split into two and octet by octet. RFC 5321 §4.5.2, §4.1.1.4. */
#include "smtp/smtp_internal.h"

#include <check.h>
#include <string.h>

typedef struct outcome {
    size_t end; /* octets taken up to and with the final dot's CRLF; 0: not ended */
    int bare;
    char text[64];
    size_t len;
} outcome;

/* The rules, read off the whole text. It counts as beginning behind a CRLF. */
static outcome reference(const char *in, size_t len)
{
    char t[80] = "\r\n";
    outcome o = {0};
    memcpy(t + 2, in, len);
    size_t n = len + 2;
    for (size_t i = 0; i + 5 <= n && !o.end; i++)
        if (memcmp(t + i, "\r\n.\r\n", 5) == 0)
            o.end = i + 3;
    size_t stop = o.end ? o.end - 1 : n; /* without ".\r\n", with the CRLF before it */
    if (o.end)
        stop = o.end + 2 - 3;
    for (size_t i = 2; i < stop; i++) {
        int line_begin = t[i - 1] == '\n' && t[i - 2] == '\r';
        if ((t[i] == '\r' && i + 1 < n && t[i + 1] != '\n') || (t[i] == '\n' && t[i - 1] != '\r'))
            o.bare = 1;
        if (!(line_begin && t[i] == '.'))
            o.text[o.len++] = t[i];
    }
    return o;
}

/* ck_assert writes to a file each time, which half a million checks would feel. */
static void must(int condition)
{
    if (!condition)
        ck_abort_msg("the scanner and the reference differ");
}

static outcome scan(const char *in, size_t len, size_t first, size_t piece)
{
    lmi_smtp_scan c;
    outcome o = {0};
    size_t at = 0;
    lmi_smtp_scan_begin(&c, 1);
    while (at < len && !o.end) {
        size_t size = at < first ? first - at : piece;
        size_t from, n, used;
        lmail_str part = {in + at, len - at < size ? len - at : size};
        int end = lmi_smtp_scan_octets(&c, part, &from, &n, &used);
        must(used > 0 && used <= part.len && from + n <= used);
        memcpy(o.text + o.len, part.ptr + from, n);
        o.len += n;
        at += used;
        if (end)
            o.end = at;
    }
    o.bare = c.bare;
    must(c.octets == o.len);
    return o;
}

static void compare(const char *in, size_t len)
{
    outcome want = reference(in, len);
    for (size_t first = 0; first <= len; first++) {
        for (size_t piece = 1; piece < 70; piece += 68) {
            outcome got = scan(in, len, first, piece);
            must(got.end == want.end);
            if (want.end) { /* of an open text the last octets may still wait */
                must(got.bare == want.bare);
                if (!want.bare) {
                    must(got.len == want.len);
                    must(memcmp(got.text, want.text, want.len) == 0);
                }
            }
        }
    }
}

START_TEST(every_short_text_in_every_split)
{
    static const char octets[] = "\r\n.x";
    char in[32];
    for (size_t len = 0; len <= 6; len++) {
        size_t total = (size_t)1 << (2 * len);
        for (size_t v = 0; v < total; v++) {
            for (size_t i = 0; i < len; i++)
                in[i] = octets[v >> (2 * i) & 3];
            memcpy(in + len, "\r\n.\r\n", 5);
            compare(in, len + 5);
        }
    }
}
END_TEST

START_TEST(headers_and_lines_are_counted)
{
    static const struct {
        const char *in;
        uint64_t octets, lines, header, header_lines;
    } table[] = {
        {"Subject: x\r\n\r\nbody\r\n.\r\n", 20, 3, 14, 2},
        {"\r\nbody\r\n.\r\n", 8, 2, 2, 1},
        {"A: b\r\n.\r\n", 6, 1, 6, 1},
        {".\r\n", 0, 0, 0, 0},
        {"..\r\n\r\n.\r\n", 5, 2, 5, 2},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t piece = 1; piece < 50; piece += 7) {
            lmi_smtp_scan c;
            size_t len = strlen(table[i].in), at = 0, from, n, used;
            lmi_smtp_scan_begin(&c, 1);
            while (at < len) {
                lmail_str part = {table[i].in + at, len - at < piece ? len - at : piece};
                lmi_smtp_scan_octets(&c, part, &from, &n, &used);
                at += used;
            }
            ck_assert(c.octets == table[i].octets && c.lines == table[i].lines);
            ck_assert(c.header == table[i].header && c.header_lines == table[i].header_lines);
        }
}
END_TEST

Suite *smtp_scan_suite(void)
{
    Suite *s = suite_create("smtp_scan");
    TCase *t = tcase_create("scan");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_short_text_in_every_split);
    tcase_add_test(t, headers_and_lines_are_counted);
    suite_add_tcase(s, t);
    return s;
}
