/* codec_hex.c - hex digits and percent encoding (RFC 3986 §2.1).
 *
 * Called by the other codecs and by readers of URLs and RFC 2231 parameters. */
#include <libmail/codec.h>

int lmail_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

size_t lmail_percent_decode(lmail_str in, char *out)
{
    size_t made = 0;
    for (size_t at = 0; at < in.len; at++) {
        int high = -1, low = -1;
        if (in.ptr[at] == '%' && in.len - at > 2) {
            high = lmail_hex_value(in.ptr[at + 1]);
            low = lmail_hex_value(in.ptr[at + 2]);
        }
        if (high >= 0 && low >= 0) {
            out[made++] = (char)(unsigned char)(high << 4 | low);
            at += 2;
        } else {
            out[made++] = in.ptr[at];
        }
    }
    return made;
}
