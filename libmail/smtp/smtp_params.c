/* smtp_params.c - the parameters of MAIL and RCPT.
 *
 * RFC 5321 §4.1.1.11 for the syntax; RFC 1870 SIZE, 6152 and 3030 BODY, 6531 SMTPUTF8, 3461 RET,
 * ENVID, NOTIFY, ORCPT, 4954 AUTH. What is not on offer is not known. Never allocates. */
#include "smtp/smtp_internal.h"

#include <string.h>

#define MAX_ENVID 100u /* RFC 3461 §4.4 */
#define MAX_ORCPT 500u /* RFC 3461 §4.2 */

typedef lmi_smtp_param param;

static int is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int lmi_smtp_next_param(lmail_str *in, param *p)
{
    size_t i = 0;
    if (in->len == 0)
        return 0;
    if (in->ptr[0] != ' ')
        return -1;
    while (i < in->len && in->ptr[i] == ' ')
        i++;
    lmail_str word = lmi_str_skip(*in, i);
    word.len = lmi_str_find(word, ' ');
    *in = lmi_str_skip(*in, i + word.len);
    size_t equals = lmi_str_find(word, '=');
    p->keyword = lmi_str_sub(word, 0, equals);
    p->has_value = equals < word.len;
    p->value = lmi_str_skip(word, equals + 1);
    if (p->keyword.len == 0 || !is_alnum(p->keyword.ptr[0]) || (p->has_value && !p->value.len))
        return -1;
    for (i = 0; i < p->keyword.len; i++)
        if (!is_alnum(p->keyword.ptr[i]) && p->keyword.ptr[i] != '-')
            return -1;
    for (i = 0; i < p->value.len; i++) {
        unsigned char c = (unsigned char)p->value.ptr[i];
        if (c < 33 || c == '=' || c == 127)
            return -1;
    }
    return 1;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext = *( xchar / hexchar ), hexchar = "+" and two upper-case hex digits; RFC 3461 §4. A decoded
 * control octet is refused: it would travel on as text. */
int lmi_smtp_is_xtext(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 33 || c > 126 || c == '=')
            return 0;
        if (c != '+')
            continue;
        if (i + 2 >= s.len || hex_value(s.ptr[i + 1]) < 0 || hex_value(s.ptr[i + 2]) < 0)
            return 0;
        int v = hex_value(s.ptr[i + 1]) * 16 + hex_value(s.ptr[i + 2]);
        if (v < 32 || v == 127)
            return 0;
        i += 2;
    }
    return 1;
}

static size_t put_utf8(char *out, unsigned long c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* EmbeddedUnicodeChar = "\x{" HEXPOINT "}" at text[at]; RFC 6533 §3. Octets of it, 0: none. */
static size_t unicode_at(const char *text, size_t len, size_t at, unsigned long *value)
{
    if (len - at < 6 || memcmp(text + at, "\\x{", 3) != 0)
        return 0;
    size_t i = at + 3;
    *value = 0;
    while (i < len && hex_value(text[i]) >= 0 && i - at < 9)
        *value = *value * 16 + (unsigned long)hex_value(text[i++]);
    if (i == len || text[i] != '}' || i == at + 3)
        return 0;
    if (*value < 0x20 || *value == 0x7f || *value > 0x10ffff ||
        (*value >= 0xd800 && *value < 0xe000))
        return 0;
    return i + 1 - at;
}

lmail_str lmi_smtp_xtext_decode(char *text, size_t len, int unicode)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned long c;
        size_t taken = unicode ? unicode_at(text, len, i, &c) : 0;
        if (taken) {
            n += put_utf8(text + n, c);
            i += taken - 1;
        } else if (text[i] == '+' && i + 2 < len) {
            text[n++] = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            text[n++] = text[i];
        }
    }
    return (lmail_str){text, n};
}

static int is_word(const param *p, const char *word)
{
    return lmail_str_equal_nocase(p->keyword, lmail_str_from(word));
}

static int value_is(const param *p, const char *word)
{
    return p->has_value && lmail_str_equal_nocase(p->value, lmail_str_from(word));
}

enum { SAW_SIZE = 1, SAW_BODY = 2, SAW_UTF8 = 4, SAW_RET = 8, SAW_ENVID = 16, SAW_AUTH = 32 };
enum { SAW_NOTIFY = 1, SAW_ORCPT = 2 };

static lmail_smtp_reply_id see(unsigned *seen, unsigned bit, int good)
{
    if (*seen & bit)
        return LMAIL_SMTP_SAY_PARAM_TWICE;
    *seen |= bit;
    return good ? LMAIL_SMTP_SAY_NONE : LMAIL_SMTP_SAY_PARAM_SYNTAX;
}

/* RFC 1870 §4: up to 20 digits. One above 2^64-1 is larger than any limit. */
static int take_size(const param *p, uint64_t *size)
{
    if (!p->has_value || p->value.len > 20)
        return 0;
    lmail_status st = lmi_parse_u64(p->value, size);
    if (st == LMAIL_ERR_LIMIT)
        *size = UINT64_MAX;
    return st != LMAIL_ERR_SYNTAX;
}

static int take_body(const lmail_smtp_server *s, const param *p, lmail_smtp_body_type *body)
{
    if (value_is(p, "7BIT"))
        *body = LMAIL_SMTP_BODY_7BIT;
    else if (value_is(p, "8BITMIME"))
        *body = LMAIL_SMTP_BODY_8BITMIME;
    else if (value_is(p, "BINARYMIME") && (s->flags & LMAIL_SMTP_BINARYMIME) &&
             (s->flags & LMAIL_SMTP_CHUNKING))
        *body = LMAIL_SMTP_BODY_BINARYMIME;
    else
        return 0;
    return 1;
}

static int take_ret(const param *p, lmail_smtp_ret *ret)
{
    if (value_is(p, "FULL"))
        *ret = LMAIL_SMTP_RET_FULL;
    else if (value_is(p, "HDRS"))
        *ret = LMAIL_SMTP_RET_HDRS;
    else
        return 0;
    return 1;
}

static lmail_smtp_reply_id mail_param(const lmail_smtp_server *s, const param *p, unsigned *seen,
                                      lmail_smtp_mail_event *ev, int auth_known)
{
    uint64_t f = s->flags;
    if (is_word(p, "SIZE") && (f & LMAIL_SMTP_SIZE))
        return see(seen, SAW_SIZE, take_size(p, &ev->declared_size));
    if (is_word(p, "BODY") && (f & (LMAIL_SMTP_8BITMIME | LMAIL_SMTP_BINARYMIME)))
        return see(seen, SAW_BODY, take_body(s, p, &ev->body));
    if (is_word(p, "SMTPUTF8") && (f & LMAIL_SMTP_SMTPUTF8)) {
        ev->smtputf8 = 1;
        return see(seen, SAW_UTF8, !p->has_value);
    }
    if (is_word(p, "AUTH") && auth_known) {
        ev->has_auth = 1;
        ev->auth = value_is(p, "<>") ? (lmail_str){p->value.ptr, 0} : p->value;
        return see(seen, SAW_AUTH,
                   p->has_value && lmi_smtp_is_xtext(p->value) && p->value.len <= MAX_ORCPT);
    }
    if (is_word(p, "RET") || is_word(p, "ENVID")) {
        if (!(f & LMAIL_SMTP_DSN))
            return LMAIL_SMTP_SAY_DSN_OFF;
        if (is_word(p, "RET"))
            return see(seen, SAW_RET, take_ret(p, &ev->ret));
        ev->has_envid = 1;
        ev->envid = p->value;
        return see(seen, SAW_ENVID,
                   p->has_value && lmi_smtp_is_xtext(p->value) && p->value.len <= MAX_ENVID);
    }
    return LMAIL_SMTP_SAY_PARAM_UNKNOWN;
}

lmail_smtp_reply_id lmi_smtp_mail_params(const lmail_smtp_server *s, lmail_str in,
                                         lmail_smtp_mail_event *ev, lmail_str *bad, int auth_known)
{
    param p = {{NULL, 0}, {NULL, 0}, 0};
    unsigned seen = 0, count = 0;
    int more;
    while ((more = lmi_smtp_next_param(&in, &p)) != 0) {
        *bad = p.keyword;
        if (more < 0)
            return LMAIL_SMTP_SAY_MAIL_SYNTAX;
        if (++count > s->setup->config.max_parameters)
            return LMAIL_SMTP_SAY_PARAM_TOO_MANY;
        lmail_smtp_reply_id say = mail_param(s, &p, &seen, ev, auth_known);
        if (say)
            return say;
    }
    return LMAIL_SMTP_SAY_NONE;
}

/* NEVER alone, or a list of SUCCESS, FAILURE, DELAY; RFC 3461 §4.1. */
static int take_notify(const param *p, unsigned *notify)
{
    lmail_str in = p->value;
    while (in.len) {
        lmail_str word = lmi_str_sub(in, 0, lmi_str_find(in, ','));
        unsigned bit = 0;
        if (lmail_str_equal_nocase(word, LMAIL_STR("NEVER")))
            bit = LMAIL_SMTP_NOTIFY_NEVER;
        else if (lmail_str_equal_nocase(word, LMAIL_STR("SUCCESS")))
            bit = LMAIL_SMTP_NOTIFY_SUCCESS;
        else if (lmail_str_equal_nocase(word, LMAIL_STR("FAILURE")))
            bit = LMAIL_SMTP_NOTIFY_FAILURE;
        else if (lmail_str_equal_nocase(word, LMAIL_STR("DELAY")))
            bit = LMAIL_SMTP_NOTIFY_DELAY;
        if (!bit || word.len + 1 == in.len)
            return 0;
        *notify |= bit;
        in = lmi_str_skip(in, word.len + 1);
    }
    return *notify && (!(*notify & LMAIL_SMTP_NOTIFY_NEVER) || *notify == LMAIL_SMTP_NOTIFY_NEVER);
}

/* ORCPT=addr-type;xtext. RFC 6533 §3: "utf-8" may hold \x{...} and, with SMTPUTF8, UTF-8 itself. */
static int take_orcpt(const lmail_smtp_server *s, const param *p, lmail_smtp_rcpt_event *ev)
{
    size_t semicolon = lmi_str_find(p->value, ';');
    if (semicolon == 0 || semicolon + 1 >= p->value.len || p->value.len > MAX_ORCPT)
        return 0;
    ev->has_orcpt = 1;
    ev->orcpt_type = lmi_str_sub(p->value, 0, semicolon);
    ev->orcpt = lmi_str_skip(p->value, semicolon + 1);
    for (size_t i = 0; i < semicolon; i++)
        if (!is_alnum(ev->orcpt_type.ptr[i]) && ev->orcpt_type.ptr[i] != '-')
            return 0;
    if (lmi_smtp_is_xtext(ev->orcpt))
        return 1;
    if (!s->smtputf8 || !lmail_str_equal_nocase(ev->orcpt_type, LMAIL_STR("utf-8")))
        return 0;
    for (size_t i = 0; i < ev->orcpt.len; i++)
        if (ev->orcpt.ptr[i] == '+' || ev->orcpt.ptr[i] == '=')
            return 0;
    return 1;
}

lmail_smtp_reply_id lmi_smtp_rcpt_params(const lmail_smtp_server *s, lmail_str in,
                                         lmail_smtp_rcpt_event *ev, lmail_str *bad)
{
    param p = {{NULL, 0}, {NULL, 0}, 0};
    unsigned seen = 0, count = 0;
    int more;
    while ((more = lmi_smtp_next_param(&in, &p)) != 0) {
        *bad = p.keyword;
        if (more < 0)
            return LMAIL_SMTP_SAY_RCPT_SYNTAX;
        if (++count > s->setup->config.max_parameters)
            return LMAIL_SMTP_SAY_PARAM_TOO_MANY;
        int notify = is_word(&p, "NOTIFY");
        if (!notify && !is_word(&p, "ORCPT"))
            return LMAIL_SMTP_SAY_PARAM_UNKNOWN;
        if (!(s->flags & LMAIL_SMTP_DSN))
            return LMAIL_SMTP_SAY_DSN_OFF;
        lmail_smtp_reply_id say = notify ? see(&seen, SAW_NOTIFY, take_notify(&p, &ev->notify))
                                         : see(&seen, SAW_ORCPT, take_orcpt(s, &p, ev));
        if (say)
            return say;
    }
    return LMAIL_SMTP_SAY_NONE;
}
