/* store_maildir_name.c - names on disk.
 *
 * Folders: Maildir++ as Dovecot and Courier write it: "A/B" is directory ".A.B", modified UTF-7, a
 * '.' inside a component as "\2e" (Dovecot's listescape; so are '\', '/' and a leading '~'). Files:
 * cr.yp.to/proto/maildir.html, with Dovecot's ",S=size". No octet of a client becomes a path
 * separator or a dot, so a name cannot leave the account's directory. */
#include "host/store/store_maildir.h"

#include <libmail/codec.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INFO ":2,"

static int is_special(char c, int first)
{
    return c == '.' || c == '\\' || (first && c == '~');
}

lmail_status lmi_md_dir_of(lmail_str name, char *out)
{
    static const char hex[] = "0123456789abcdef";
    char escaped[3 * LMI_NAME_MAX + 1], encoded[8 * MD_NAME_OCTETS + 16];
    size_t n = 0;
    out[0] = '\0';
    if (lmi_name_is_inbox(name))
        return LMAIL_OK;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        int first = i == 0 || name.ptr[i - 1] == '/';
        if (c == '/') {
            escaped[n++] = '.';
        } else if (is_special(c, first)) {
            escaped[n++] = '\\';
            escaped[n++] = hex[(unsigned char)c >> 4];
            escaped[n++] = hex[c & 15];
        } else {
            escaped[n++] = c;
        }
    }
    size_t made;
    lmail_status st = lmail_mutf7_encode(lmi_str(escaped, n), encoded, sizeof encoded, &made);
    if (st == LMAIL_ERR_LIMIT || (!st && made + 1 > MD_NAME_OCTETS))
        return LMAIL_ERR_LIMIT;
    if (st)
        return LMAIL_ERR_ARG;
    out[0] = '.';
    memcpy(out + 1, encoded, made);
    out[made + 1] = '\0';
    return LMAIL_OK;
}

static int unhex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

lmail_status lmi_md_name_of(lmail_str dir, char *out, size_t *len)
{
    char text[3 * MD_NAME_OCTETS + 8];
    size_t made, n = 0;
    if (dir.len == 0) {
        memcpy(out, "INBOX", 5);
        *len = 5;
        return LMAIL_OK;
    }
    if (dir.len < 2 || dir.len > MD_NAME_OCTETS || dir.ptr[0] != '.' || dir.ptr[1] == '.' ||
        lmail_mutf7_decode(lmi_str(dir.ptr + 1, dir.len - 1), text, sizeof text, &made))
        return LMAIL_ERR_SYNTAX;
    for (size_t i = 0; i < made; i++) {
        char c = text[i];
        if (c == '.') {
            c = '/';
        } else if (c == '\\' && i + 2 < made && unhex(text[i + 1]) >= 0 &&
                   unhex(text[i + 2]) >= 0) {
            c = (char)(unhex(text[i + 1]) << 4 | unhex(text[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    /* A name must lead back to its directory, or two would share one. */
    char back[MD_NAME_OCTETS + 1], checked[LMI_NAME_MAX];
    size_t checked_len;
    *len = n;
    if (lmi_name_check(NULL, lmi_str(out, n), checked, &checked_len) ||
        memcmp(checked, out, n) != 0 || lmi_md_dir_of(lmi_str(out, n), back) ||
        !lmail_str_equal(lmail_str_from(back), dir))
        return LMAIL_ERR_SYNTAX;
    return LMAIL_OK;
}

lmail_status lmi_md_path(const md_account *a, char out[MD_PATH], const char *dir, const char *sub,
                         lmail_str name)
{
    const lmail_str parts[3] = {lmail_str_from(dir), lmail_str_from(sub), name};
    size_t n = a->dir_len;
    memcpy(out, a->dir, n);
    for (unsigned i = 0; i < 3; i++) {
        if (parts[i].len == 0)
            continue;
        if (n + parts[i].len + 2 > MD_PATH)
            return LMAIL_ERR_LIMIT;
        out[n++] = '/';
        memcpy(out + n, parts[i].ptr, parts[i].len);
        n += parts[i].len;
    }
    out[n] = '\0';
    return LMAIL_OK;
}

/* ---- Files ----------------------------------------------------------------------------------- */

size_t lmi_md_base_new(md_store *s, int64_t size, char *out)
{
    struct timespec now;
    unsigned serial = atomic_fetch_add_explicit(&s->serial, 1, memory_order_relaxed);
    clock_gettime(CLOCK_REALTIME, &now);
    int n = snprintf(out, 128, "%lld.M%06ldP%dQ%uR%08x.%s,S=%lld", (long long)now.tv_sec,
                     now.tv_nsec / 1000, (int)getpid(), serial, s->random, s->host_name,
                     (long long)size);
    return (size_t)n;
}

/* Pass over a letter and digits of a base; 0: they are not there. */
static int pass(lmail_str base, size_t *at, char letter, const char *digits)
{
    if (*at >= base.len || base.ptr[*at] != letter)
        return 0;
    size_t from = ++*at;
    while (*at < base.len && base.ptr[*at] && strchr(digits, base.ptr[*at]))
        ++*at;
    return *at > from;
}

int64_t lmi_md_promised(lmail_str base)
{
    static const char tens[] = "0123456789";
    size_t at = 0;
    int64_t size = 0;
    while (at < base.len && base.ptr[at] >= '0' && base.ptr[at] <= '9')
        at++;
    if (at == 0 || at == base.len || base.ptr[at++] != '.' || !pass(base, &at, 'M', tens) ||
        !pass(base, &at, 'P', tens) || !pass(base, &at, 'Q', tens) ||
        !pass(base, &at, 'R', "0123456789abcdef") || at == base.len || base.ptr[at] != '.')
        return -1;
    const char *mark = memmem(base.ptr + at, base.len - at, ",S=", 3);
    if (!mark)
        return -1;
    for (at = (size_t)(mark - base.ptr) + 3; at < base.len; at++) {
        if (base.ptr[at] < '0' || base.ptr[at] > '9' || size > INT64_MAX / 16)
            return -1;
        size = size * 10 + (base.ptr[at] - '0');
    }
    return size;
}

void lmi_md_split(lmail_str file, lmail_str *base, lmail_str *suffix)
{
    const char *colon = memchr(file.ptr, ':', file.len);
    size_t n = colon ? (size_t)(colon - file.ptr) : file.len;
    *base = lmi_str(file.ptr, n);
    *suffix = lmi_str(file.ptr + n, file.len - n);
}

static lmail_flags letter_flag(char c, size_t keywords)
{
    switch (c) {
    case 'D':
        return LMAIL_FLAG_DRAFT;
    case 'F':
        return LMAIL_FLAG_FLAGGED;
    case 'R':
        return LMAIL_FLAG_ANSWERED;
    case 'S':
        return LMAIL_FLAG_SEEN;
    case 'T':
        return LMAIL_FLAG_DELETED;
    default:
        if (c >= 'a' && c <= 'z' && (size_t)(c - 'a') < keywords)
            return (lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + (c - 'a'));
        return 0;
    }
}

static int has_info(lmail_str suffix)
{
    return suffix.len >= 3 && memcmp(suffix.ptr, INFO, 3) == 0;
}

lmail_flags lmi_md_flags_of(lmail_str suffix, size_t keywords)
{
    lmail_flags flags = 0;
    for (size_t i = 3; has_info(suffix) && i < suffix.len; i++)
        flags |= letter_flag(suffix.ptr[i], keywords);
    return flags;
}

size_t lmi_md_suffix(lmail_flags flags, lmail_str old, size_t keywords, char *out)
{
    size_t n = 3;
    memcpy(out, INFO, 3);
    /* In order of their octets, as the format asks: capitals come first. */
    for (unsigned c = 'A'; c <= 'z'; c++) {
        if (c > 'Z' && c < 'a')
            continue;
        lmail_flags flag = letter_flag((char)c, keywords);
        int wanted = flag ? (flags & flag) != 0
                          : has_info(old) && memchr(old.ptr + 3, (int)c, old.len - 3) != NULL;
        if (wanted)
            out[n++] = (char)c;
    }
    return n;
}

void lmi_md_uidl(lmail_str base, char *out, size_t *len)
{
    size_t i = 0;
    while (i < base.len && (unsigned char)base.ptr[i] > 0x20 && (unsigned char)base.ptr[i] < 0x7f)
        i++;
    if (i == base.len && base.len > 0 && base.len <= 70) { /* RFC 1939 §7 */
        memcpy(out, base.ptr, base.len);
        *len = base.len;
        return;
    }
    lmi_digest(base, out);
    *len = 32;
}
