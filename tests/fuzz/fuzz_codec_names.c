/* Modified UTF-7, UTF-8 and percent decoding: what decodes encodes to the same text, and back. */
#include <libmail/codec.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 14)
        return 0;
    lmail_str in = {size ? (const char *)data : "", size};
    char *a = malloc(size * 24 + 40), *b = malloc(size * 24 + 40);
    size_t made, back;
    if (!a || !b)
        abort();
    if (!lmail_mutf7_decode(in, a, 3 * size + 4, &made)) {
        if (!lmail_utf8_valid((lmail_str){a, made}) ||
            lmail_mutf7_encode((lmail_str){a, made}, b, 8 * made + 4, &back) || back != size ||
            memcmp(b, in.ptr, size) != 0)
            abort();
    }
    lmail_status st = lmail_mutf7_encode(in, a, 8 * size + 4, &made);
    if (st == LMAIL_ERR_LIMIT || (st == LMAIL_OK) != lmail_utf8_valid(in))
        abort();
    if (!st && (lmail_mutf7_decode((lmail_str){a, made}, b, 3 * made + 4, &back) || back != size ||
                memcmp(b, in.ptr, size) != 0))
        abort();

    /* Code point by code point takes all of the input and repairs it. */
    lmail_str rest = in;
    size_t fixed = 0;
    while (rest.len) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(rest, &point, &good);
        if (n > rest.len)
            abort();
        if (!n)
            break;
        fixed += lmail_utf8_write(point, a + fixed);
        rest.ptr += n;
        rest.len -= n;
    }
    if (!lmail_utf8_valid((lmail_str){a, fixed}))
        abort();
    if (lmail_percent_decode(in, a) > size)
        abort();
    free(a);
    free(b);
    return 0;
}
