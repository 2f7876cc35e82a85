/* A body in any split and with any room for output decodes to the same valid text. The first octet
 * chooses the encoding, the charset and the piece. */
#include <libmail/codec.h>
#include <libmail/mime.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* A stateless two-octet charset: 0x80.. with its follower is one code point, so that sequences are
 * carried. */
static void *pairs_open(void *ctx, lmail_str charset)
{
    (void)ctx;
    return lmail_str_equal(charset, LMAIL_STR("pairs")) ? (void *)1 : NULL;
}

static lmail_status pairs_convert(void *ctx, void *converter, lmail_str in, int end, size_t *used,
                                  char *out, size_t cap, size_t *made)
{
    (void)ctx;
    (void)converter;
    size_t at = 0, n = 0;
    while (at < in.len) {
        unsigned char c = (unsigned char)in.ptr[at];
        if (cap - n < 4) {
            *used = at;
            *made = n;
            return LMAIL_MORE;
        }
        if (c < 0x80) {
            n += lmail_utf8_write(c, out + n);
            at++;
        } else if (at + 1 < in.len) {
            n += lmail_utf8_write(0x4e00u + c, out + n);
            at += 2;
        } else if (end) {
            n += lmail_utf8_write(LMAIL_UTF8_BAD, out + n);
            at++;
        } else {
            break;
        }
    }
    *used = at;
    *made = n;
    return LMAIL_OK;
}

static size_t decode(lmail_str in, unsigned what, size_t piece, size_t cap, char *out)
{
    static const lmail_str charsets[] = {{"utf-8", 5}, {"iso-8859-1", 10}, {"pairs", 5}, {"x", 1}};
    lmail_env env = LMAIL_ENV_INIT;
    lmail_mime_decoder *d;
    env.charset_open = pairs_open;
    env.charset_convert = pairs_convert;
    unsigned flags = what & 64 ? LMAIL_MIME_DECODE_OCTETS : 0;
    CHECK(!lmail_mime_decoder_new(&d, NULL, &env, (lmail_mime_encoding)(what % 5),
                                  charsets[what / 5 % 4], flags));
    size_t total = 0, at = 0;
    do {
        lmail_str now = {in.ptr + at, in.len - at < piece ? in.len - at : piece};
        at += now.len;
        lmail_status st = LMAIL_MORE;
        while (st == LMAIL_MORE) {
            size_t used, made;
            st = lmail_mime_decoder_feed(d, now, at == in.len, &used, out + total, cap, &made);
            CHECK(used <= now.len && made <= cap);
            CHECK(st == LMAIL_OK || used || made);
            now.ptr += used;
            now.len -= used;
            total += made;
        }
        CHECK(!st && !now.len);
    } while (at < in.len);
    lmail_mime_decoder_free(d);
    if (!flags)
        CHECK(lmail_utf8_valid((lmail_str){out, total}));
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 1 << 14)
        return 0;
    lmail_str in = {(const char *)data + 1, size - 1};
    char *whole = malloc(3 * size + 4096), *pieces = malloc(3 * size + 4096);
    CHECK(whole && pieces);
    size_t n = decode(in, data[0], size, 3 * size + 256, whole);
    CHECK(n <= 3 * size);
    for (size_t piece = 1; piece < 12; piece += 5) {
        for (size_t cap = 16; cap <= 64; cap += 24) {
            CHECK(decode(in, data[0], piece, cap, pieces) == n);
            CHECK(!n || memcmp(whole, pieces, n) == 0);
        }
    }
    free(whole);
    free(pieces);
    return 0;
}
