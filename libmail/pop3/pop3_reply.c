/* pop3_reply.c - every status line of the POP3 server.
 *
 * RFC 1939 §3, RFC 2449 §3 and §8 (response codes), RFC 3206, RFC 6856 §3 (languages). A line is
 * "+OK" or "-ERR", what the RFCs define, and a text of the table; at most 512 octets. */
#include "pop3/pop3_internal.h"

#include <string.h>

#define LINE_LIMIT 512u /* RFC 2449 §4, CRLF counted */

static const struct {
    const char *name, *text;
} texts[LMAIL_POP3_TEXT_COUNT] = {
#define XX(name, text) {#name, text},
    LMAIL_POP3_TEXT_MAP(XX)
#undef XX
};

const char *lmail_pop3_text_name(lmail_pop3_text text)
{
    return (unsigned)text < LMAIL_POP3_TEXT_COUNT ? texts[text].name : NULL;
}

const char *lmail_pop3_text_default(lmail_pop3_text text)
{
    return (unsigned)text < LMAIL_POP3_TEXT_COUNT ? texts[text].text : NULL;
}

/* A status line being put together; what does not fit is cut. */
typedef struct line {
    char octets[LINE_LIMIT];
    size_t len;
} line;

static void put(line *l, lmail_str text)
{
    size_t room = LINE_LIMIT - 2 - l->len;
    size_t n = text.len < room ? text.len : room;
    if (n)
        memcpy(l->octets + l->len, text.ptr, n);
    l->len += n;
}

size_t lmi_pop3_words(const lmail_pop3_server *s, lmail_pop3_text text, lmi_pop3_values v,
                      char *out, size_t cap)
{
    lmi_words words = {.host = s->setup->cfg.host_name, .number = v.n, .octets = v.o};
    return lmi_words_write(s->language->texts[text], &words, out, cap);
}

lmail_status lmi_pop3_status_line(lmail_pop3_server *s, int ok, lmail_str fixed,
                                  lmail_pop3_text text, lmail_str given, lmi_pop3_values v)
{
    line l;
    l.len = 0;
    put(&l, ok ? LMAIL_STR("+OK") : LMAIL_STR("-ERR"));
    if (fixed.len) {
        put(&l, LMAIL_STR(" "));
        put(&l, fixed);
    }
    size_t before = l.len;
    put(&l, LMAIL_STR(" "));
    if (given.len)
        put(&l, given);
    else if ((unsigned)text < LMAIL_POP3_TEXT_COUNT)
        l.len += lmi_pop3_words(s, text, v, l.octets + l.len, LINE_LIMIT - 2 - l.len);
    if (l.len == before + 1)
        l.len = before; /* no text: no space at the end */
    lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, (lmail_str){l.octets, l.len});
    memcpy(l.octets + l.len, "\r\n", 2);
    return lmi_out_write(&s->base, l.octets, l.len + 2);
}

lmail_status lmi_pop3_ok(lmail_pop3_server *s, lmail_pop3_text text, lmi_pop3_values v)
{
    return lmi_pop3_status_line(s, 1, (lmail_str){NULL, 0}, text, (lmail_str){NULL, 0}, v);
}

lmail_status lmi_pop3_err(lmail_pop3_server *s, const char *code, lmail_pop3_text text,
                          lmi_pop3_values v)
{
    return lmi_pop3_status_line(s, 0, lmail_str_from(code), text, (lmail_str){NULL, 0}, v);
}

typedef struct failure_row {
    const char *code;
    lmail_pop3_text text;
} failure_row;

static const failure_row failures[] = {
    [LMAIL_POP3_DONE] = {"", LMAIL_POP3_TEXT_TEMPORARY},
    [LMAIL_POP3_TEMPORARY] = {"[SYS/TEMP]", LMAIL_POP3_TEXT_TEMPORARY},
    [LMAIL_POP3_PERMANENT] = {"[SYS/PERM]", LMAIL_POP3_TEXT_PERMANENT},
    [LMAIL_POP3_DENIED] = {"[AUTH]", LMAIL_POP3_TEXT_DENIED},
    [LMAIL_POP3_IN_USE] = {"[IN-USE]", LMAIL_POP3_TEXT_IN_USE},
    [LMAIL_POP3_TOO_SOON] = {"[LOGIN-DELAY]", LMAIL_POP3_TEXT_LOGIN_DELAY},
    [LMAIL_POP3_NEEDS_UTF8] = {"[UTF8]", LMAIL_POP3_TEXT_NEEDS_UTF8},
    [LMAIL_POP3_GONE] = {"", LMAIL_POP3_TEXT_GONE},
};

/* RFC 3206 §4: another password helps with [AUTH]; with [SYS/...] it does not. */
static const failure_row auth_failures[] = {
    [LMAIL_AUTH_CREDENTIALS] = {"[AUTH]", LMAIL_POP3_TEXT_CREDENTIALS},
    [LMAIL_AUTH_TEMPORARY] = {"[SYS/TEMP]", LMAIL_POP3_TEXT_TEMPORARY},
    [LMAIL_AUTH_PERMANENT] = {"[SYS/PERM]", LMAIL_POP3_TEXT_PERMANENT},
    [LMAIL_AUTH_AUTHORIZATION] = {"[AUTH]", LMAIL_POP3_TEXT_AUTHORIZATION},
    [LMAIL_AUTH_EXPIRED] = {"[AUTH]", LMAIL_POP3_TEXT_EXPIRED},
    [LMAIL_AUTH_ENCRYPTION] = {"[AUTH]", LMAIL_POP3_TEXT_TLS_FIRST},
    [LMAIL_AUTH_WEAK] = {"[AUTH]", LMAIL_POP3_TEXT_WEAK},
    [LMAIL_AUTH_TRANSITION] = {"[AUTH]", LMAIL_POP3_TEXT_TRANSITION},
    [LMAIL_AUTH_PROTOCOL] = {"[AUTH]", LMAIL_POP3_TEXT_NO_RESPONSE},
};

int lmi_pop3_failure_valid(lmail_pop3_failure failure, lmail_str text)
{
    return (unsigned)failure < sizeof failures / sizeof *failures && lmi_pop3_text_fits(text);
}

lmail_status lmi_pop3_failed(lmail_pop3_server *s, lmail_pop3_failure failure, lmail_str given,
                             uint32_t number)
{
    const failure_row *f = &failures[failure];
    return lmi_pop3_status_line(s, 0, lmail_str_from(f->code), f->text, given,
                                (lmi_pop3_values){number, 0});
}

lmail_status lmi_pop3_auth_failed(lmail_pop3_server *s, lmail_auth_failure failure, lmail_str given)
{
    const failure_row *f = &auth_failures[failure];
    return lmi_pop3_status_line(s, 0, lmail_str_from(f->code), f->text, given,
                                (lmi_pop3_values){0, 0});
}
