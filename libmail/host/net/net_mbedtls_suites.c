/* net_mbedtls_suites.c - which cipher suites are spoken: all that are without known weakness, or
 * those of them that the administrator's list names.
 *
 * The list is spelt as the classic programs have it (CipherList; openssl-ciphers(1), "CIPHER LIST
 * FORMAT"): words with ":", "," or a blank between, "A+B" for what both mean, "!" strikes out for
 * good, "-" for now, a leading "+" puts last, "@STRENGTH" sorts by key length. Words that mean none
 * of ours choose nothing, as there. The suites of TLS 1.3 do not depend on it, as there. Called by
 * net_mbedtls_context.c. */
#include "net_mbedtls.h"

#include <string.h>

enum { ECDSA = 1, RSA = 2, AES = 4, CHACHA = 8, GCM = 16, BITS_128 = 32, BITS_256 = 64 };

typedef struct suite {
    int id;
    const char *name;
    unsigned has;
} suite;

/* In the order that is used without a list. RFC 9325 §4.2. */
static const suite suites[] = {{MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                                "ECDHE-ECDSA-AES256-GCM-SHA384", ECDSA | AES | GCM | BITS_256},
                               {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                "ECDHE-ECDSA-AES128-GCM-SHA256", ECDSA | AES | GCM | BITS_128},
                               {MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                                "ECDHE-ECDSA-CHACHA20-POLY1305", ECDSA | CHACHA | BITS_256},
                               {MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                                "ECDHE-RSA-AES256-GCM-SHA384", RSA | AES | GCM | BITS_256},
                               {MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                                "ECDHE-RSA-AES128-GCM-SHA256", RSA | AES | GCM | BITS_128},
                               {MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                                "ECDHE-RSA-CHACHA20-POLY1305", RSA | CHACHA | BITS_256}};
#define SUITES (sizeof suites / sizeof *suites)

static const int tls13[] = {MBEDTLS_TLS1_3_AES_256_GCM_SHA384, MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                            MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256};
#define TLS13 (sizeof tls13 / sizeof *tls13)

_Static_assert(SUITES + TLS13 + 1 == LMI_MBED_SUITES, "room for all suites and the end");

/* ---- Words ----------------------------------------------------------------------------------- */

/* Names of one suite: also IANA's and mbedTLS's, which differ in "_" and "-". */
static int is_name(const suite *s, lmail_str word)
{
    const char *other = mbedtls_ssl_get_ciphersuite_name(s->id);
    if (lmail_str_equal_nocase(word, lmail_str_from(s->name)))
        return 1;
    if (word.len != strlen(other))
        return 0;
    for (size_t i = 0; i < word.len; i++)
        if (other[i] != (word.ptr[i] == '_' ? '-' : word.ptr[i]))
            return 0;
    return 1;
}

/* Does a word without "+" mean this suite? */
static int is_meant(const suite *s, lmail_str word)
{
    static const struct {
        const char *word;
        unsigned has; /* all of these; 0: every suite */
    } words[] = {{"ALL", 0},
                 {"DEFAULT", 0},
                 {"HIGH", 0},
                 {"SUITEB128", ECDSA | AES | GCM},
                 {"SUITEB192", ECDSA | AES | GCM | BITS_256},
                 {"TLSv1.2", 0},
                 {"ECDHE", 0},
                 {"EECDH", 0},
                 {"kECDHE", 0},
                 {"kEECDH", 0},
                 {"ECDSA", ECDSA},
                 {"aECDSA", ECDSA},
                 {"aRSA", RSA},
                 {"AES", AES},
                 {"AESGCM", AES | GCM},
                 {"AES128", AES | BITS_128},
                 {"AES256", AES | BITS_256},
                 {"CHACHA20", CHACHA}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (lmail_str_equal(word, lmail_str_from(words[i].word)))
            return (s->has & words[i].has) == words[i].has;
    return is_name(s, word);
}

static int are_meant(const suite *s, lmail_str words)
{
    for (;;) {
        const char *plus = words.len ? memchr(words.ptr, '+', words.len) : NULL;
        size_t n = plus ? (size_t)(plus - words.ptr) : words.len;
        if (!is_meant(s, (lmail_str){words.ptr, n}))
            return 0;
        if (!plus)
            return 1;
        words = (lmail_str){plus + 1, words.len - n - 1};
    }
}

/* ---- The list -------------------------------------------------------------------------------- */

typedef struct choice {
    size_t order[SUITES]; /* numbers of what is chosen, best first */
    size_t count;
    unsigned struck; /* bits: never again */
} choice;

static void take_out(choice *c, size_t i)
{
    size_t kept = 0;
    for (size_t k = 0; k < c->count; k++)
        if (c->order[k] != i)
            c->order[kept++] = c->order[k];
    c->count = kept;
}

static int has(const choice *c, size_t i)
{
    for (size_t k = 0; k < c->count; k++)
        if (c->order[k] == i)
            return 1;
    return 0;
}

/* Longest keys first, otherwise as it was. */
static void sort(choice *c)
{
    choice sorted = {{0}, 0, c->struck};
    for (unsigned bits = BITS_256; bits; bits = bits == BITS_256 ? BITS_128 : 0)
        for (size_t k = 0; k < c->count; k++)
            if (suites[c->order[k]].has & bits)
                sorted.order[sorted.count++] = c->order[k];
    *c = sorted;
}

static void obey(choice *c, lmail_str word)
{
    char mark = word.ptr[0];
    if (lmail_str_equal(word, LMAIL_STR("@STRENGTH"))) {
        sort(c);
        return;
    }
    if (strchr("!-+", mark))
        word = (lmail_str){word.ptr + 1, word.len - 1};
    else
        mark = 0;
    for (size_t i = 0; i < SUITES; i++) {
        int there = has(c, i);
        if (!word.len || !are_meant(&suites[i], word) || (c->struck & 1u << i))
            continue;
        if (mark == '!')
            c->struck |= 1u << i;
        if (mark == '!' || mark == '-' || (mark == '+' && there))
            take_out(c, i);
        if ((mark == '+' && there) || (!mark && !there))
            c->order[c->count++] = i;
    }
}

size_t lmi_mbed_suites(lmail_str list, int out[LMI_MBED_SUITES])
{
    choice c = {{0}, 0, 0};
    size_t n = 0;
    if (!list.len)
        list = LMAIL_STR("ALL");
    for (size_t at = 0; at < list.len;) {
        size_t end = at;
        while (end < list.len && !strchr(":, \t;", list.ptr[end]))
            end++;
        if (end > at)
            obey(&c, (lmail_str){list.ptr + at, end - at});
        at = end + 1;
    }
    for (size_t i = 0; i < TLS13; i++)
        out[n++] = tls13[i];
    for (size_t i = 0; i < c.count; i++)
        out[n++] = suites[c.order[i]].id;
    out[n] = 0;
    return c.count;
}
