/* policy_key.c - addresses in one spelling, so that keys compare as addresses and not as texts.
 *
 * IPv4 keys are dotted prefixes as written; IPv6 keys are 16-bit groups without leading zeros,
 * nothing compressed, so that a shorter key is a network (RFC 4291 §2.2 for what is read). */
#include "policy/policy_internal.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

static int hex_value(char c)
{
    const char *p = memchr(hex_digits, lmi_ascii_lower(c), 16);
    return p ? (int)(p - hex_digits) : -1;
}

/* Four decimal numbers with dots between: 1 or 0. */
static int parse_ipv4(lmail_str s, unsigned char out[4])
{
    for (unsigned i = 0; i < 4; i++) {
        size_t len = i < 3 ? lmi_str_find(s, '.') : s.len;
        uint64_t n;
        if (len > 3 || (i < 3 && len == s.len) || lmi_parse_u64(lmi_str_sub(s, 0, len), &n) ||
            n > 255)
            return 0;
        out[i] = (unsigned char)n;
        s = lmi_str_skip(s, len + 1);
    }
    return 1;
}

/* One group of one to four hexadecimal digits; 0 when there is none. */
static size_t parse_group(lmail_str s, uint16_t *out)
{
    unsigned n = 0;
    size_t i = 0;
    for (; i < s.len && i < 5 && hex_value(s.ptr[i]) >= 0; i++)
        n = n << 4 | (unsigned)hex_value(s.ptr[i]);
    *out = (uint16_t)n;
    return i < 5 ? i : 0;
}

/* Groups, with "::" anywhere once and an IPv4 address at the end. Returns how many groups stand
 * there, 8 when "::" was among them, 0 when it is no IPv6 address. */
static unsigned parse_ipv6(lmail_str s, uint16_t g[8])
{
    unsigned n = 0, gap = 9;
    memset(g, 0, 8 * sizeof *g);
    if (s.len >= 2 && s.ptr[0] == ':' && s.ptr[1] == ':') {
        gap = 0;
        s = lmi_str_skip(s, 2);
    }
    while (s.len) {
        unsigned char v4[4];
        if (n <= 6 && lmi_str_find(s, ':') == s.len && parse_ipv4(s, v4)) {
            g[n++] = (uint16_t)(v4[0] << 8 | v4[1]);
            g[n++] = (uint16_t)(v4[2] << 8 | v4[3]);
            break;
        }
        size_t len = n < 8 ? parse_group(s, &g[n]) : 0;
        if (len == 0)
            return 0;
        n++;
        s = lmi_str_skip(s, len);
        if (s.len == 0)
            break;
        if (s.ptr[0] != ':')
            return 0;
        s = lmi_str_skip(s, 1);
        if (s.len && s.ptr[0] == ':') {
            if (gap < 9)
                return 0;
            gap = n;
            s = lmi_str_skip(s, 1);
        } else if (s.len == 0) {
            return 0;
        }
    }
    if (gap == 9)
        return n;
    if (n == 8)
        return 0;
    for (unsigned i = 0; i < n - gap; i++)
        g[7 - i] = g[n - 1 - i];
    for (unsigned i = gap; i < 8 - (n - gap); i++)
        g[i] = 0;
    return 8;
}

static size_t write_ipv6(char *out, const uint16_t g[8], unsigned n)
{
    size_t len = 5;
    memcpy(out, "ipv6:", 5);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            out[len++] = ':';
        for (int shift = 12; shift >= 0; shift -= 4)
            if (g[i] >> shift || shift == 0)
                out[len++] = hex_digits[g[i] >> shift & 15];
    }
    return len;
}

static size_t write_ipv4(char *out, const unsigned char v4[4])
{
    size_t len = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (i)
            out[len++] = '.';
        len += lmi_write_u64(out + len, v4[i]);
    }
    return len;
}

lmail_status lmi_policy_address_parse(lmail_str text, lmi_address *out)
{
    static const uint16_t mapped[6] = {0, 0, 0, 0, 0, 0xffff};
    unsigned char v4[4];
    uint16_t g[8];
    memset(out, 0, sizeof *out);
    if (parse_ipv4(text, v4)) {
        out->len = write_ipv4(out->text, v4);
        out->loopback = v4[0] == 127;
        return LMAIL_OK;
    }
    if (lmi_str_has_prefix_nocase(text, LMAIL_STR("ipv6:")))
        text = lmi_str_skip(text, 5);
    text = lmi_str_sub(text, 0, lmi_str_find(text, '%')); /* RFC 4007 §11: a zone is local news */
    if (parse_ipv6(text, g) != 8)
        return LMAIL_ERR_SYNTAX;
    if (memcmp(g, mapped, sizeof mapped) == 0) {
        unsigned char inside[4] = {(unsigned char)(g[6] >> 8), (unsigned char)g[6],
                                   (unsigned char)(g[7] >> 8), (unsigned char)g[7]};
        out->len = write_ipv4(out->text, inside);
        out->loopback = inside[0] == 127;
        return LMAIL_OK;
    }
    static const uint16_t one[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    out->len = write_ipv6(out->text, g, 8);
    out->loopback = memcmp(g, one, sizeof one) == 0;
    return LMAIL_OK;
}

size_t lmi_address_shorter(const char *s, size_t len)
{
    char between = '.';
    size_t least = 0;
    if (len >= 5 && memcmp(s, "ipv6:", 5) == 0) {
        between = ':';
        least = 5;
    }
    while (len > least && s[len - 1] != between)
        len--;
    return len > least ? len - 1 : 0;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static lmi_key_fault judge(lmail_str key)
{
    uint16_t g[8];
    if (key.len == 0)
        return LMI_KEY_FINE;
    int at = lmi_str_find(key, '@') < key.len;
    int numeric = is_digit(key.ptr[0]) || lmi_str_has_prefix_nocase(key, LMAIL_STR("ipv6:"));
    if (!at && numeric && lmi_str_find(key, '/') < key.len)
        return LMI_KEY_MASK;
    if (!at && is_digit(key.ptr[0]) && key.ptr[key.len - 1] == '.')
        return LMI_KEY_LAST_DOT;
    if (!at && key.ptr[0] == '*')
        return LMI_KEY_WILDCARD;
    if (lmi_str_find(key, ':') < key.len && parse_ipv6(key, g) > 1)
        return LMI_KEY_BARE_IPV6;
    return LMI_KEY_FINE;
}

lmail_str lmi_key_spell(lmail_str key, char room[LMI_MAX_KEY_TEXT], lmi_key_fault *fault)
{
    uint16_t g[8];
    *fault = judge(key);
    if (key.len > LMAIL_POLICY_MAX_ADDRESS)
        return key;
    size_t at = lmi_str_find(key, '@');
    lmail_str tail = at < key.len ? lmi_str_skip(key, at + 1) : key;
    size_t bracket = tail.len && tail.ptr[0] == '[';
    lmail_str inner = lmi_str_skip(tail, bracket);
    if (!lmi_str_has_prefix_nocase(inner, LMAIL_STR("ipv6:")))
        return key;
    inner = lmi_str_skip(inner, 5);
    if (bracket) {
        if (inner.len == 0 || inner.ptr[inner.len - 1] != ']')
            return key;
        inner.len--;
    }
    unsigned n = parse_ipv6(inner, g);
    if (n == 0) {
        if (*fault == LMI_KEY_FINE)
            *fault = LMI_KEY_BAD_IPV6;
        return key;
    }
    size_t len = key.len - tail.len;
    if (len)
        memcpy(room, key.ptr, len);
    if (bracket)
        room[len++] = '[';
    len += write_ipv6(room + len, g, n);
    if (bracket)
        room[len++] = ']';
    return (lmail_str){room, len};
}
