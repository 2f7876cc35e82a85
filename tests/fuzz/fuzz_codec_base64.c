/* fuzz_codec_base64.c - both base64 decoders on any input.
 *
 * Oracles: what the strict one takes is exactly what the encoder writes for the result; checking
 * without a buffer says the same; the tolerant one gives the same octets at any split and agrees
 * with the strict one wherever that one has an opinion; encoding and decoding give back the
 * input. */
#include <libmail/codec.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok)
        abort();
}

static char *decode_some(lmail_str in, size_t step, size_t cap, size_t *made)
{
    lmail_base64_decoder d = {0, 0, 0};
    char *out = malloc(in.len + 8);
    size_t at = 0;
    *made = 0;
    for (;;) {
        size_t n = in.len - at < step ? in.len - at : step;
        size_t used;
        size_t got;
        lmail_str piece = {in.ptr ? in.ptr + at : NULL, n};
        lmail_status st =
            lmail_base64_decode_some(&d, piece, at + n == in.len, &used, out + *made, cap, &got);
        must(used <= n && got <= cap && (st == LMAIL_OK || st == LMAIL_MORE));
        must(st == LMAIL_MORE || used == n);
        at += used;
        *made += got;
        must(*made <= in.len);
        if (st == LMAIL_OK && at == in.len)
            return out;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmail_str in = {(const char *)data, size};
    size_t made;
    size_t checked;
    char *out = malloc(size + 4);
    lmail_status st = lmail_base64_decode(in, out, size + 4, &made);
    must(lmail_base64_decode(in, NULL, 0, &checked) == st && checked == made);
    size_t some;
    char *tolerant = decode_some(in, size + 1, size + 4, &some);
    if (st == LMAIL_OK) {
        char *again = malloc(size + 1);
        size_t n;
        must(lmail_base64_encode((lmail_str){out, made}, again, size, &n) == LMAIL_OK);
        must(n == size && (size == 0 || memcmp(again, data, size) == 0));
        must(some == made && (made == 0 || memcmp(tolerant, out, made) == 0));
        free(again);
    } else {
        must(st == LMAIL_ERR_SYNTAX && made <= size);
    }
    for (size_t step = 1; step < 8; step += 2) {
        size_t n;
        char *other = decode_some(in, step, 3 + step, &n);
        must(n == some && (n == 0 || memcmp(other, tolerant, n) == 0));
        free(other);
    }
    size_t cap = lmail_base64_size(size);
    char *text = malloc(cap + 1);
    must(lmail_base64_encode(in, text, cap, &made) == LMAIL_OK && made == cap);
    must(lmail_base64_decode((lmail_str){text, made}, text, cap, &made) == LMAIL_OK);
    must(made == size && (size == 0 || memcmp(text, data, size) == 0));
    free(text);
    free(tolerant);
    free(out);
    return 0;
}
