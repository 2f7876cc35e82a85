/* Quoted-printable: any split decodes to the same octets; what is encoded decodes to itself. */
#include <libmail/codec.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t decode(const char *in, size_t len, size_t piece, size_t cap, char *out)
{
    lmail_qp_decoder d = {0};
    size_t total = 0;
    size_t at = 0;
    do {
        lmail_str now = {in + at, len - at < piece ? len - at : piece};
        at += now.len;
        lmail_status st = LMAIL_MORE;
        while (st == LMAIL_MORE) {
            size_t used, made;
            st = lmail_qp_decode_some(&d, now, at == len, &used, out + total, cap, &made);
            if (made > cap)
                abort();
            now.ptr += used;
            now.len -= used;
            total += made;
        }
        if (st || now.len)
            abort();
    } while (at < len);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16)
        return 0;
    const char *in = size ? (const char *)data : "";
    char *whole = malloc(size + 256), *other = malloc(size + 256);
    char *text = malloc(size * 4 + 4);
    if (!whole || !other || !text)
        abort();
    size_t n = decode(in, size, size + 1, size + 256, whole);
    for (size_t piece = 1; piece < 8; piece += 2) {
        if (decode(in, size, piece, 96, other) != n || memcmp(whole, other, n) != 0)
            abort();
    }
    for (int is_text = 0; is_text < 2; is_text++) {
        size_t made;
        if (lmail_qp_encode((lmail_str){in, size}, is_text, text, size * 4 + 4, &made))
            abort();
        if (decode(text, made, 5, 96, other) != size || memcmp(other, in, size) != 0)
            abort();
    }
    free(whole);
    free(other);
    free(text);
    return 0;
}
