/* Account names: folded to lower case and NFC, and checked. Every name that a peer typed or a file
 * holds goes through here first, so that "Ana", "ANA" and the decomposed form are one account.
 *
 * Called by the account sources and the exchange. Never looks anything up. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "auth_internal.h"

static utf8proc_int32_t lower(utf8proc_int32_t code, void *data)
{
    (void)data;
    return utf8proc_tolower(code);
}

/* No blanks, controls, private or unassigned code points: a name is printed, logged and is part of
 * paths. */
static int printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                              (utf8proc_ssize_t)(len - i), &code);
        if (n <= 0) {
            return 0;
        }
        switch (utf8proc_category(code)) {
        case UTF8PROC_CATEGORY_CN:
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_ZS:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
            return 0;
        default:
            break;
        }
        i += (size_t)n;
    }
    return 1;
}

/* The shape, on folded text: see lmail_account_name_fold. */
static int well_formed(const char *name, size_t len)
{
    if (len == 0 || strchr(".-#@!", name[0]) || memchr(name, ':', len) || memchr(name, '/', len) ||
        memchr(name, '\\', len)) {
        return 0;
    }
    const char *at = memchr(name, '@', len);
    if (!at) {
        return 1;
    }
    size_t domain = len - (size_t)(at + 1 - name);
    return domain > 0 && !memchr(at + 1, '@', domain);
}

static lmail_status fold_unicode(lmail_str name, char *out, size_t cap, size_t *made)
{
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t len =
        utf8proc_map_custom((const utf8proc_uint8_t *)name.ptr, (utf8proc_ssize_t)name.len, &folded,
                            UTF8PROC_STABLE | UTF8PROC_COMPOSE, lower, NULL);
    if (len == UTF8PROC_ERROR_NOMEM) {
        return LMAIL_ERR_NOMEM;
    }
    if (len < 0) {
        return LMAIL_ERR_SYNTAX;
    }
    lmail_status status = (size_t)len > cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
    if (status == LMAIL_OK) {
        memcpy(out, folded, (size_t)len);
        *made = (size_t)len;
    }
    free(folded);
    return status;
}

lmail_status lmail_account_name_fold(lmail_str name, char *out, size_t cap, size_t *made)
{
    *made = 0;
    if (name.len > LMAIL_MAX_ACCOUNT_NAME) {
        return LMAIL_ERR_LIMIT;
    }
    int ascii = 1;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == 0x7f) {
            return LMAIL_ERR_SYNTAX;
        }
        ascii = ascii && c < 0x80;
    }
    size_t len = 0;
    if (ascii) {
        if (name.len > cap) {
            return LMAIL_ERR_LIMIT;
        }
        for (; len < name.len; len++) {
            char c = name.ptr[len];
            out[len] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
    } else {
        lmail_status status = fold_unicode(
            name, out, cap < LMAIL_MAX_ACCOUNT_NAME ? cap : LMAIL_MAX_ACCOUNT_NAME, &len);
        if (status != LMAIL_OK) {
            return status;
        }
    }
    if (!well_formed(out, len) || (!ascii && !printable(out, len))) {
        return LMAIL_ERR_SYNTAX;
    }
    *made = len;
    return LMAIL_OK;
}

int lmi_auth_names_equal(lmail_str a, lmail_str b)
{
    char fa[LMAIL_MAX_ACCOUNT_NAME], fb[LMAIL_MAX_ACCOUNT_NAME];
    size_t na, nb;
    return lmail_account_name_fold(a, fa, sizeof fa, &na) == LMAIL_OK &&
           lmail_account_name_fold(b, fb, sizeof fb, &nb) == LMAIL_OK && na == nb &&
           memcmp(fa, fb, na) == 0;
}
