/* store_name.c - mailbox names and keywords as the interface speaks them (libmail/host/store.h).
 *
 * RFC 9051 §5.1: UTF-8 names, INBOX without case; we keep NFC and the separator '/'. Used by every
 * backend before a name touches anything. How names look on disk is the backend's affair. */
#include "host/store/store_internal.h"

#include <string.h>

lmail_str lmi_str(const char *ptr, size_t len)
{
    return (lmail_str){ptr, len};
}

static int is_inbox(const char *p, size_t len)
{
    return len == 5 && lmail_str_equal_nocase(lmi_str(p, len), LMAIL_STR("INBOX"));
}

int lmi_name_is_inbox(lmail_str name)
{
    return lmail_str_equal(name, LMAIL_STR("INBOX"));
}

int lmi_name_below(lmail_str name, lmail_str parent)
{
    return name.len > parent.len + 1 && name.ptr[parent.len] == '/' &&
           memcmp(name.ptr, parent.ptr, parent.len) == 0;
}

static int rank(unsigned char c)
{
    return c == '/' ? 0 : c + 1;
}

int lmi_name_compare(lmail_str a, lmail_str b)
{
    int x = lmi_name_is_inbox(a), y = lmi_name_is_inbox(b);
    if (x != y)
        return y - x;
    size_t n = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < n; i++) {
        if (a.ptr[i] != b.ptr[i])
            return rank((unsigned char)a.ptr[i]) - rank((unsigned char)b.ptr[i]);
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

/* Length of the code point at p, 0 when it is not well formed (RFC 3629: no surrogates, no overlong
 * forms) or a control character. */
static size_t code_point(const unsigned char *p, size_t left)
{
    static const unsigned lowest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || p[0] > 0xf4 || left < n)
        return 0;
    unsigned c = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || (c >= 0x80 && c <= 0x9f))
        return 0;
    return n;
}

lmail_status lmi_name_check(const lmail_env *env, lmail_str in, char *out, size_t *len)
{
    if (in.len == 0)
        return LMAIL_ERR_ARG;
    if (in.len > LMI_NAME_MAX)
        return LMAIL_ERR_LIMIT;
    for (size_t i = 0; i < in.len;) {
        size_t n = code_point((const unsigned char *)in.ptr + i, in.len - i);
        if (n == 0)
            return LMAIL_ERR_ARG;
        if (in.ptr[i] == '/' && (i == 0 || i + 1 == in.len || in.ptr[i + 1] == '/'))
            return LMAIL_ERR_ARG;
        i += n;
    }
    if (env && env->nfc) {
        lmail_status st = env->nfc(env->ctx, in, out, LMI_NAME_MAX, len);
        if (st)
            return st;
    } else {
        memcpy(out, in.ptr, in.len);
        *len = in.len;
    }
    const char *slash = memchr(out, '/', *len);
    if (is_inbox(out, slash ? (size_t)(slash - out) : *len))
        memcpy(out, "INBOX", 5);
    return LMAIL_OK;
}

int lmi_keyword_valid(lmail_str name)
{
    if (name.len == 0 || name.len > 128)
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= 0x20 || c >= 0x7f || memchr("(){%*\"\\]", c, 8))
            return 0;
    }
    return 1;
}

size_t lmi_keyword_find(lmail_keywords k, lmail_str name)
{
    size_t i = 0;
    while (i < k.count && !lmail_str_equal_nocase(k.names[i], name))
        i++;
    return i;
}
