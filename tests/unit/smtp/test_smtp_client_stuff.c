/* Line ends and dots of a message on its way out, for every short text over the octets that matter,
 * in every split into two and octet by octet: what leaves is what a rule applied to the whole text
 * gives, and the server's own scanner reads it back. RFC 5321 §2.3.8, §4.5.2, §4.1.1.4. */
#include "smtp/smtp_client_internal.h"

#include <check.h>
#include <string.h>

typedef struct text {
    char ptr[128];
    size_t len;
} text;

static lmail_status append(void *ctx, lmail_str run)
{
    text *t = ctx;
    memcpy(t->ptr + t->len, run.ptr, run.len);
    t->len += run.len;
    return LMAIL_OK;
}

static void put(text *t, const char *s)
{
    append(t, lmail_str_from(s));
}

/* Each bare CR or LF becomes CRLF, the last line gets its end. *bare: there was one. */
static text normal(const char *in, size_t len, int *bare)
{
    text t = {.len = 0};
    *bare = 0;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '\r' && i + 1 < len && in[i + 1] == '\n') {
            put(&t, "\r\n");
            i++;
        } else if (in[i] == '\r' || in[i] == '\n') {
            put(&t, "\r\n");
            *bare = 1;
        } else {
            append(&t, (lmail_str){in + i, 1});
        }
    }
    if (t.len && t.ptr[t.len - 1] != '\n')
        put(&t, "\r\n");
    return t;
}

static text stuffed(const text *in)
{
    text t = {.len = 0};
    for (size_t i = 0; i < in->len; i++) {
        if (in->ptr[i] == '.' && (i == 0 || in->ptr[i - 1] == '\n'))
            put(&t, ".");
        append(&t, (lmail_str){in->ptr + i, 1});
    }
    return t;
}

static void must(int condition)
{
    if (!condition)
        ck_abort_msg("the walk and the rule differ");
}

static lmail_status walk(const char *in, size_t len, size_t first, size_t piece, int dots,
                         int refuse, text *out)
{
    lmi_smtpc_stuff c = {0, 0, (uint8_t)dots, (uint8_t)refuse};
    lmail_status st = LMAIL_OK;
    out->len = 0;
    for (size_t at = 0; !st && (at < len || at == 0);) {
        size_t size = at < first ? first - at : piece;
        if (size > len - at)
            size = len - at;
        at += size;
        st = lmi_smtpc_stuff_walk(&c, (lmail_str){in + at - size, size}, at == len, append, out);
        if (len == 0)
            break;
    }
    return st;
}

/* What was sent, with its final dot, as the server side of this library reads it. */
static void read_back(const text *sent, const text *meant)
{
    lmi_smtp_scan c;
    text all = *sent, got = {.len = 0};
    size_t at = 0, from, n, used;
    int end = 0;
    put(&all, ".\r\n");
    lmi_smtp_scan_begin(&c, 1);
    while (at < all.len && !end) {
        end = lmi_smtp_scan_octets(&c, (lmail_str){all.ptr + at, all.len - at}, &from, &n, &used);
        append(&got, (lmail_str){all.ptr + at + from, n});
        at += used;
    }
    must(end && at == all.len && !c.bare && got.len == meant->len &&
         memcmp(got.ptr, meant->ptr, got.len) == 0);
}

static void one_text(const char *in, size_t len)
{
    int bare;
    text plain = normal(in, len, &bare), dotted = stuffed(&plain), out;
    for (size_t first = 0; first <= len; first++)
        for (size_t piece = 1; piece <= len + 1; piece += len ? len : 1) {
            must(walk(in, len, first, piece, 1, 0, &out) == LMAIL_OK);
            must(out.len == dotted.len && memcmp(out.ptr, dotted.ptr, out.len) == 0);
            must(walk(in, len, first, piece, 0, 0, &out) == LMAIL_OK);
            must(out.len == plain.len && memcmp(out.ptr, plain.ptr, out.len) == 0);
            lmail_status st = walk(in, len, first, piece, 1, 1, &out);
            must(st == (bare ? LMAIL_ERR_SYNTAX : LMAIL_OK));
        }
    read_back(&dotted, &plain);
}

START_TEST(every_short_text_in_every_split)
{
    static const char letters[] = "a.\r\n";
    for (size_t len = 0; len <= 7; len++)
        for (unsigned long n = 0; n < 1ul << (2 * len); n++) {
            char in[8] = "";
            for (size_t i = 0; i < len; i++)
                in[i] = letters[n >> (2 * i) & 3];
            one_text(in, len);
        }
}
END_TEST

Suite *smtp_client_stuff_suite(void)
{
    Suite *s = suite_create("smtp_client_stuff");
    TCase *t = tcase_create("walk");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_short_text_in_every_split);
    suite_add_tcase(s, t);
    return s;
}
