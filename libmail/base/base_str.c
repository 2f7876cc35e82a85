/* base_str.c - slices, numbers, sums that cannot overflow, and structs that the host fills.
 *
 * ASCII only and independent of any locale: RFC 5321 §2.4 and RFC 9051 §9 compare keywords so. */
#include "base/base_internal.h"

#include <string.h>

const char *lmail_version(void)
{
    return LMAIL_VERSION;
}

lmail_str lmail_str_from(const char *text)
{
    return (lmail_str){text, text ? strlen(text) : 0};
}

int lmail_str_equal(lmail_str a, lmail_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

char lmi_ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

char lmi_ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

int lmail_str_equal_nocase(lmail_str a, lmail_str b)
{
    if (a.len != b.len)
        return 0;
    for (size_t i = 0; i < a.len; i++)
        if (lmi_ascii_lower(a.ptr[i]) != lmi_ascii_lower(b.ptr[i]))
            return 0;
    return 1;
}

int lmi_str_has_prefix_nocase(lmail_str s, lmail_str prefix)
{
    return s.len >= prefix.len && lmail_str_equal_nocase((lmail_str){s.ptr, prefix.len}, prefix);
}

lmail_str lmi_str_sub(lmail_str s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return (lmail_str){s.ptr ? s.ptr + from : NULL, len};
}

lmail_str lmi_str_skip(lmail_str s, size_t n)
{
    return lmi_str_sub(s, n, s.len);
}

size_t lmi_str_find(lmail_str s, char c)
{
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}

int lmi_str_printable(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return 0;
    return 1;
}

lmail_status lmi_parse_u64(lmail_str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0)
        return LMAIL_ERR_SYNTAX;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return LMAIL_ERR_SYNTAX;
        unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return LMAIL_ERR_LIMIT;
        v = v * 10 + digit;
    }
    *out = v;
    return LMAIL_OK;
}

lmail_status lmi_parse_u32(lmail_str s, uint32_t *out)
{
    uint64_t v;
    lmail_status st = lmi_parse_u64(s, &v);
    if (st)
        return st;
    if (v > UINT32_MAX)
        return LMAIL_ERR_LIMIT;
    *out = (uint32_t)v;
    return LMAIL_OK;
}

size_t lmi_write_u64(char *out, uint64_t value)
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

lmail_status lmail_size_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) {
        *out = SIZE_MAX;
        return LMAIL_ERR_LIMIT;
    }
    *out = a + b;
    return LMAIL_OK;
}

lmail_status lmail_size_mul(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b) {
        *out = SIZE_MAX;
        return LMAIL_ERR_LIMIT;
    }
    *out = a * b;
    return LMAIL_OK;
}

lmail_msec lmi_later(lmail_msec now, lmail_msec wait)
{
    return wait > LMAIL_NEVER - now ? LMAIL_NEVER : now + wait;
}

lmail_status lmi_struct_take(void *known, size_t known_size, const void *given)
{
    size_t size;
    memcpy(&size, given, sizeof size);
    if (size > known_size || size < sizeof size)
        return LMAIL_ERR_SIZE;
    memset(known, 0, known_size);
    memcpy(known, given, size);
    memcpy(known, &known_size, sizeof known_size);
    return LMAIL_OK;
}

LMI_STRUCT_INIT(lmail_env, LMAIL_ENV_INIT);
LMI_STRUCT_INIT(lmail_tls_facts, LMAIL_TLS_FACTS_INIT);
