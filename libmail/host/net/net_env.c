/* net_env.c - lmail_env from this machine: iconv, utf8proc, libidn2, random octets, the clock. */
#include <libmail/host/env.h>

#include "net_machine.h"

#include <errno.h>
#include <iconv.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

static const char REPLACEMENT[3] = "\xef\xbf\xbd"; /* U+FFFD */

/* ---- Charsets -------------------------------------------------------------------------------- */

/* Registered charset names (RFC 2978 §2.3) less what iconv reads as a path or an option. */
static int is_charset(lmail_str name)
{
    if (name.len == 0 || name.len > 60)
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        int good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '-' || c == '_' || c == '.' || c == ':' || c == '+' || c == '(' || c == ')';
        if (!good)
            return 0;
    }
    return 1;
}

static void *charset_open(void *ctx, lmail_str charset)
{
    char name[64];
    (void)ctx;
    if (!is_charset(charset))
        return NULL;
    memcpy(name, charset.ptr, charset.len);
    name[charset.len] = 0;
    iconv_t cd = iconv_open("UTF-8", name);
    return cd == (iconv_t)-1 ? NULL : cd;
}

static lmail_status charset_convert(void *ctx, void *converter, lmail_str in, int end, size_t *used,
                                    char *out, size_t cap, size_t *made)
{
    char *from = (char *)in.ptr, *to = out;
    size_t left = in.len, room = cap;
    lmail_status st = LMAIL_OK;
    (void)ctx;
    while (left) {
        if (iconv(converter, &from, &left, &to, &room) != (size_t)-1)
            break;
        if (errno == E2BIG) {
            st = LMAIL_MORE;
            break;
        }
        if (errno == EINVAL && !end)
            break; /* a sequence that the next piece completes */
        if (room < sizeof(REPLACEMENT)) {
            st = LMAIL_MORE;
            break;
        }
        memcpy(to, REPLACEMENT, sizeof(REPLACEMENT));
        to += sizeof(REPLACEMENT);
        room -= sizeof(REPLACEMENT);
        size_t skip = errno == EINVAL ? left : 1; /* cut off at the end: one mark for all of it */
        from += skip;
        left -= skip;
    }
    *used = in.len - left;
    *made = cap - room;
    return st;
}

static void charset_close(void *ctx, void *converter)
{
    (void)ctx;
    iconv_close(converter);
}

/* ---- Unicode --------------------------------------------------------------------------------- */

/* One code point to i;unicode-casemap (RFC 5051 §2): title case, then its full decomposition. Where
 * that takes more than four times the octets, the title-cased character itself stays, so that the
 * room that callers give is enough; pattern and text are folded alike. Returns octets, at most 4 *
 * n. */
static size_t fold_one(utf8proc_int32_t c, size_t n, utf8proc_uint8_t out[64])
{
    utf8proc_int32_t parts[32];
    int boundary = 0;
    utf8proc_int32_t title = utf8proc_totitle(c);
    utf8proc_ssize_t count =
        utf8proc_decompose_char(title, parts, 32, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
    size_t len = 0;
    for (utf8proc_ssize_t i = 0; i < count && i < 32; i++) {
        utf8proc_uint8_t one[4];
        size_t octets = (size_t)utf8proc_encode_char(parts[i], one);
        if (len + octets > 4 * n || len + octets > 64) {
            count = 0;
            break;
        }
        memcpy(out + len, one, octets);
        len += octets;
    }
    return count > 0 && count <= 32 ? len : (size_t)utf8proc_encode_char(title, out);
}

static lmail_status fold(void *ctx, lmail_str in, char *out, size_t cap, size_t *made)
{
    size_t at = 0, to = 0;
    (void)ctx;
    while (at < in.len) {
        utf8proc_uint8_t piece[64];
        unsigned char octet = (unsigned char)in.ptr[at];
        size_t len = 1;
        if (octet < 0x80) {
            piece[0] = octet >= 'a' && octet <= 'z' ? (unsigned char)(octet - 32) : octet;
            at++;
        } else {
            utf8proc_int32_t c;
            utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)in.ptr + at,
                                                  (utf8proc_ssize_t)(in.len - at), &c);
            if (n <= 0) { /* not UTF-8: one mark an octet */
                memcpy(piece, REPLACEMENT, sizeof(REPLACEMENT));
                len = sizeof(REPLACEMENT);
                at++;
            } else {
                len = fold_one(c, (size_t)n, piece);
                at += (size_t)n;
            }
        }
        if (len > cap - to)
            return LMAIL_ERR_LIMIT;
        memcpy(out + to, piece, len);
        to += len;
    }
    *made = to;
    return LMAIL_OK;
}

static lmail_status nfc(void *ctx, lmail_str in, char *out, size_t cap, size_t *made)
{
    utf8proc_uint8_t *result = NULL;
    (void)ctx;
    *made = 0;
    if (in.len == 0)
        return LMAIL_OK;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)in.ptr, (utf8proc_ssize_t)in.len, &result,
                     (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (n < 0)
        return n == UTF8PROC_ERROR_NOMEM ? LMAIL_ERR_NOMEM : LMAIL_ERR_SYNTAX;
    lmail_status st = (size_t)n <= cap ? LMAIL_OK : LMAIL_ERR_LIMIT;
    if (!st) {
        memcpy(out, result, (size_t)n);
        *made = (size_t)n;
    }
    free(result);
    return st;
}

static lmail_status idna(void *ctx, lmail_str in, char *out, size_t cap, size_t *made)
{
    char name[1024];
    uint8_t *result = NULL;
    (void)ctx;
    *made = 0;
    if (in.len == 0 || in.len >= sizeof(name) || memchr(in.ptr, 0, in.len))
        return LMAIL_ERR_SYNTAX;
    memcpy(name, in.ptr, in.len);
    name[in.len] = 0;
    int rc = idn2_lookup_u8((const uint8_t *)name, &result, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK)
        return rc == IDN2_MALLOC ? LMAIL_ERR_NOMEM : LMAIL_ERR_SYNTAX;
    size_t len = strlen((const char *)result);
    lmail_status st = len <= cap ? LMAIL_OK : LMAIL_ERR_LIMIT;
    for (size_t i = 0; !st && i < len; i++) {
        char c = (char)result[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    idn2_free(result);
    *made = st ? 0 : len;
    return st;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static lmail_status random_octets(void *ctx, void *out, size_t n)
{
    (void)ctx;
    return lmi_random(out, n);
}

static int64_t wall_clock(void *ctx, int *offset_minutes)
{
    time_t now = time(NULL);
    struct tm tm;
    (void)ctx;
    *offset_minutes = localtime_r(&now, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
    return now;
}

void lmail_host_env(lmail_env *env)
{
    *env = (lmail_env){sizeof(*env), NULL, charset_open, charset_convert, charset_close,
                       fold,         nfc,  idna,         random_octets,   wall_clock};
}
