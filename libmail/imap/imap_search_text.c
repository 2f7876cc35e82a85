/* imap_search_text.c - the strings of search keys, in the charset the client named, as UTF-8.
 *
 * RFC 3501 §6.4.4 CHARSET. US-ASCII, UTF-8 and ISO-8859-1 are known without help; everything else
 * is the host's lmail_env. Without CHARSET a string is taken as UTF-8, as RFC 9051 §6.4.4 has it
 * and many clients assume: every US-ASCII text is one. Called by imap_search_parse.c. */
#include "imap/imap_search.h"

#include <libmail/codec.h>

typedef enum kind { ASCII, UTF8, LATIN1, OTHER } kind;

static kind kind_of(lmail_str charset)
{
    static const struct {
        lmail_str name;
        kind kind;
    } names[] = {{{"US-ASCII", 8}, ASCII},
                 {{"ASCII", 5}, ASCII},
                 {{"UTF-8", 5}, UTF8},
                 {{"UTF8", 4}, UTF8},
                 {{"ISO-8859-1", 10}, LATIN1}};
    if (charset.len == 0)
        return UTF8;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lmail_str_equal_nocase(names[i].name, charset))
            return names[i].kind;
    return OTHER;
}

static void *open_converter(const lmail_env *env, lmail_str charset)
{
    if (!env || !env->charset_open || !env->charset_convert || !env->charset_close)
        return NULL;
    return env->charset_open(env->ctx, charset);
}

int lmi_search_charset_known(const lmail_imap_server_config *config, lmail_str charset)
{
    if (kind_of(charset) != OTHER)
        return 1;
    void *c = open_converter(config->env, charset);
    if (!c)
        return 0;
    config->env->charset_close(config->env->ctx, c);
    return 1;
}

static int is_ascii(lmail_str in)
{
    for (size_t i = 0; i < in.len; i++)
        if ((unsigned char)in.ptr[i] >= 0x80)
            return 0;
    return 1;
}

static char *room(lmi_search_reader *r, size_t size, lmail_status *st)
{
    char *p = lmi_arena_get(r->args->arena, size);
    if (!p)
        *st = lmi_arena_full(r->args->arena, size) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
    return p;
}

static lmail_status from_latin1(lmi_search_reader *r, lmail_str in, lmail_str *out)
{
    lmail_status st = LMAIL_OK;
    char *text = room(r, in.len * 2, &st);
    if (!text)
        return st;
    size_t made = 0;
    for (size_t i = 0; i < in.len; i++)
        made += lmail_utf8_write((unsigned char)in.ptr[i], text + made);
    *out = (lmail_str){text, made};
    return LMAIL_OK;
}

static lmail_status convert(lmi_search_reader *r, lmail_str in, lmail_str *out)
{
    const lmail_env *env = r->args->config->env;
    size_t cap = in.len * 4 + 16, used = 0, made = 0;
    lmail_status st = LMAIL_OK;
    char *text = room(r, cap, &st);
    if (!text)
        return st;
    void *c = open_converter(env, r->charset);
    if (!c)
        return LMAIL_ERR_NOMEM; /* it was known when the command began */
    st = env->charset_convert(env->ctx, c, in, 1, &used, text, cap, &made);
    env->charset_close(env->ctx, c);
    *out = (lmail_str){text, made};
    return st ? LMAIL_ERR_LIMIT : LMAIL_OK;
}

lmail_status lmi_search_text(lmi_search_reader *r, lmail_str in, lmail_str *out)
{
    kind k = kind_of(r->charset);
    *out = in;
    if (k == OTHER)
        return convert(r, in, out); /* may be ASCII octets that mean something else: ISO-2022-JP */
    if (is_ascii(in))
        return LMAIL_OK;
    if (k == LATIN1)
        return from_latin1(r, in, out);
    if (k == ASCII || !lmail_utf8_valid(in))
        return lmi_imap_expected(r->args, "text in the charset of the search");
    return LMAIL_OK;
}
