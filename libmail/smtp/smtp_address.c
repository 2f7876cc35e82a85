/* smtp_address.c - paths, mailboxes, domains and address literals.
 *
 * RFC 5321 §4.1.2 and §4.1.3 to the letter, with the extensions of RFC 6531 §3.3. Called for MAIL,
 * RCPT, HELO, and by the public lmail_smtp_address_parse. Never allocates and never changes its
 * input. */
#include "smtp/smtp_internal.h"

#include <string.h>

/* Octet classes. ATEXT: RFC 5322 §3.2.3. LABEL: Let-dig and hyphen. */
enum { ATEXT = 1, LABEL = 2, DIGIT = 4, HEX = 8 };

#define A ATEXT
#define L (ATEXT | LABEL)
#define X (ATEXT | LABEL | HEX)
#define D (ATEXT | LABEL | DIGIT | HEX)
static const unsigned char classes[128] = {
    ['!'] = A, ['#'] = A, ['$'] = A, ['%'] = A, ['&'] = A, ['\''] = A, ['*'] = A, ['+'] = A,
    ['-'] = L, ['/'] = A, ['='] = A, ['?'] = A, ['^'] = A, ['_'] = A,  ['`'] = A, ['{'] = A,
    ['|'] = A, ['}'] = A, ['~'] = A, ['0'] = D, ['1'] = D, ['2'] = D,  ['3'] = D, ['4'] = D,
    ['5'] = D, ['6'] = D, ['7'] = D, ['8'] = D, ['9'] = D, ['a'] = X,  ['b'] = X, ['c'] = X,
    ['d'] = X, ['e'] = X, ['f'] = X, ['A'] = X, ['B'] = X, ['C'] = X,  ['D'] = X, ['E'] = X,
    ['F'] = X, ['g'] = L, ['h'] = L, ['i'] = L, ['j'] = L, ['k'] = L,  ['l'] = L, ['m'] = L,
    ['n'] = L, ['o'] = L, ['p'] = L, ['q'] = L, ['r'] = L, ['s'] = L,  ['t'] = L, ['u'] = L,
    ['v'] = L, ['w'] = L, ['x'] = L, ['y'] = L, ['z'] = L, ['G'] = L,  ['H'] = L, ['I'] = L,
    ['J'] = L, ['K'] = L, ['L'] = L, ['M'] = L, ['N'] = L, ['O'] = L,  ['P'] = L, ['Q'] = L,
    ['R'] = L, ['S'] = L, ['T'] = L, ['U'] = L, ['V'] = L, ['W'] = L,  ['X'] = L, ['Y'] = L,
    ['Z'] = L};
#undef A
#undef L
#undef X
#undef D

static int is(char c, unsigned kind)
{
    unsigned char u = (unsigned char)c;
    return u < 128 && (classes[u] & kind);
}

/* Length of the well-formed UTF-8 sequence of two octets or more at in[at] (RFC 3629 §4), or 0. */
static size_t utf8_at(lmail_str in, size_t at)
{
    const unsigned char *p = (const unsigned char *)in.ptr + at;
    size_t left = in.len - at, n;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* Octets of one "character" of the class, or of UTF-8 if it may come; 0: none. */
static size_t one(lmail_str in, size_t at, unsigned kind, uint64_t flags)
{
    if (at >= in.len)
        return 0;
    if (is(in.ptr[at], kind))
        return 1;
    if ((flags & LMAIL_SMTP_SMTPUTF8) && (unsigned char)in.ptr[at] >= 128)
        return utf8_at(in, at);
    return 0;
}

/* ---- Domains --------------------------------------------------------------------------------- */

/* Octets of a domain at the begin of `in`; *at is where it ends or breaks a rule. 1 when it is
 * good. sub-domain = Let-dig [Ldh-str]; RFC 1035 §2.3.4: a label has 63 octets at most, a name
 * 255. */
static int scan_domain(lmail_str in, uint64_t flags, size_t *at)
{
    size_t i = 0;
    for (;;) {
        size_t begin = i, n;
        while (i < in.len) {
            n = one(in, i, LABEL, flags);
            if (!n && in.ptr[i] == '_' && (flags & LMAIL_SMTP_ALLOW_UNDERSCORE))
                n = 1;
            if (!n)
                break;
            i += n;
        }
        *at = i;
        if (i == begin || i - begin > 63)
            return 0;
        if (in.ptr[begin] == '-' || in.ptr[i - 1] == '-') {
            *at = in.ptr[begin] == '-' ? begin : i - 1;
            return 0;
        }
        if (i == in.len || in.ptr[i] != '.')
            return i <= 255;
        i++;
        if ((flags & LMAIL_SMTP_ALLOW_TRAILING_DOT) &&
            (i == in.len || in.ptr[i] == '>' || in.ptr[i] == ' ')) {
            *at = i;
            return i <= 256;
        }
    }
}

static int is_ipv4(lmail_str in)
{
    size_t i = 0;
    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t begin = i;
        while (i < in.len && is(in.ptr[i], DIGIT) && i - begin < 3)
            value = value * 10 + (unsigned)(in.ptr[i++] - '0');
        if (i == begin || value > 255)
            return 0;
        if (part < 3 && (i == in.len || in.ptr[i++] != '.'))
            return 0;
    }
    return i == in.len;
}

/* RFC 5321 §4.1.3: IPv6-full, -comp, v4-full, v4-comp. "::" stands for two groups or more. */
static int is_ipv6(lmail_str in)
{
    unsigned groups = 0;
    int gap = 0;
    size_t i = 0;
    if (in.len >= 2 && in.ptr[0] == ':' && in.ptr[1] == ':') {
        gap = 1;
        i = 2;
    }
    while (i < in.len) {
        size_t begin = i;
        while (i < in.len && is(in.ptr[i], HEX) && i - begin < 4)
            i++;
        if (i < in.len && in.ptr[i] == '.') {
            if (!is_ipv4(lmi_str_skip(in, begin)))
                return 0;
            groups += 2;
            break;
        }
        if (i == begin)
            return 0;
        groups++;
        if (i == in.len)
            break;
        if (in.ptr[i++] != ':')
            return 0;
        if (i < in.len && in.ptr[i] == ':') {
            if (gap)
                return 0;
            gap = 1;
            i++;
        } else if (i == in.len) {
            return 0;
        }
    }
    return gap ? groups <= 6 : groups == 8;
}

/* General-address-literal: a tag, a colon, dcontent. */
static int is_tagged(lmail_str in)
{
    size_t colon = lmi_str_find(in, ':');
    if (colon == 0 || colon + 1 >= in.len)
        return 0;
    for (size_t i = 0; i < colon; i++)
        if (!is(in.ptr[i], LABEL))
            return 0;
    if (in.ptr[colon - 1] == '-')
        return 0;
    for (size_t i = colon + 1; i < in.len; i++) {
        char c = in.ptr[i];
        if (c < 33 || c > 126 || (c >= '[' && c <= ']'))
            return 0;
    }
    return 1;
}

int lmi_smtp_is_literal(lmail_str in)
{
    if (in.len < 3 || in.ptr[0] != '[' || in.ptr[in.len - 1] != ']' || in.len > 255)
        return 0;
    in = lmi_str_sub(in, 1, in.len - 2);
    if (lmi_str_has_prefix_nocase(in, LMAIL_STR("IPv6:")))
        return is_ipv6(lmi_str_skip(in, 5));
    return is_ipv4(in) || is_tagged(in);
}

int lmi_smtp_is_domain(lmail_str in, uint64_t flags)
{
    size_t at;
    return scan_domain(in, flags, &at) && at == in.len;
}

/* ---- Mailboxes ------------------------------------------------------------------------------- */

/* Local-part = Dot-string / Quoted-string. 1 when there is one; *at is where it ends or breaks. */
static int scan_local(lmail_str in, uint64_t flags, size_t *at)
{
    size_t i = 0, n;
    if (in.len && in.ptr[0] == '"') {
        for (i = 1; i < in.len; i += n) {
            char c = in.ptr[i];
            n = 1;
            *at = i;
            if (c == '"') {
                *at = i + 1;
                return 1;
            }
            if (c == '\\') {
                if (i + 1 == in.len || in.ptr[i + 1] < 32 || in.ptr[i + 1] > 126)
                    return 0;
                n = 2;
            } else if ((unsigned char)c >= 128) {
                n = (flags & LMAIL_SMTP_SMTPUTF8) ? utf8_at(in, i) : 0;
                if (!n)
                    return 0;
            } else if (c < 32 || c > 126) {
                return 0;
            }
        }
        *at = i < in.len ? i : in.len;
        return 0;
    }
    for (;;) {
        size_t begin = i;
        while ((n = one(in, i, ATEXT, flags)) != 0)
            i += n;
        *at = i;
        if (i == begin)
            return 0;
        if (i == in.len || in.ptr[i] != '.')
            return 1;
        i++;
    }
}

static int has_utf8(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 128)
            return 1;
    return 0;
}

/* Mailbox at the begin of `in`, ended by `end` or where `in` ends. */
static lmail_smtp_reply_id scan_mailbox(lmail_str in, const lmi_smtp_rules *rules, char end_mark,
                                        int may_lack_domain, lmail_smtp_address *out, size_t *used)
{
    size_t at, end;
    *used = 0;
    if (in.len && in.ptr[0] == '@')
        return LMAIL_SMTP_SAY_NO_LOCAL_PART;
    if (!scan_local(in, rules->flags, &at)) {
        *used = at;
        return at == 0 && (in.len == 0 || in.ptr[0] == end_mark) ? LMAIL_SMTP_SAY_NO_LOCAL_PART
                                                                 : LMAIL_SMTP_SAY_BAD_SENDER;
    }
    out->local = lmi_str_sub(in, 0, at);
    if (in.ptr[0] == '"')
        out->flags |= LMAIL_SMTP_ADDRESS_QUOTED;
    *used = at;
    if (at > rules->max_local_part)
        return LMAIL_SMTP_SAY_PATH_TOO_LONG;
    if (at == in.len || in.ptr[at] != '@') {
        /* RFC 5321 §4.5.1: postmaster needs no domain. */
        if (at < in.len && in.ptr[at] != end_mark)
            return LMAIL_SMTP_SAY_BAD_SENDER;
        if (!(rules->flags & LMAIL_SMTP_ALLOW_UNQUALIFIED) &&
            !(may_lack_domain && lmail_str_equal_nocase(out->local, LMAIL_STR("postmaster"))))
            return LMAIL_SMTP_SAY_NO_DOMAIN;
        out->text = out->local;
        goto done;
    }
    at++;
    *used = at;
    if (at == in.len || in.ptr[at] == end_mark)
        return LMAIL_SMTP_SAY_NO_DOMAIN;
    if (in.ptr[at] == '[') {
        end = at + lmi_str_find(lmi_str_skip(in, at), ']');
        if (end == in.len || !lmi_smtp_is_literal(lmi_str_sub(in, at, end + 1 - at)))
            return LMAIL_SMTP_SAY_BAD_DOMAIN;
        end++;
        out->flags |= LMAIL_SMTP_ADDRESS_LITERAL;
        out->domain = lmi_str_sub(in, at, end - at);
    } else {
        size_t n;
        if (!scan_domain(lmi_str_skip(in, at), rules->flags, &n)) {
            *used = at + n;
            return LMAIL_SMTP_SAY_BAD_DOMAIN;
        }
        end = at + n;
        out->domain = lmi_str_sub(in, at, in.ptr[end - 1] == '.' ? n - 1 : n);
    }
    *used = end;
    out->text = lmi_str_sub(in, 0, at + out->domain.len);
done:
    if (has_utf8(out->text))
        out->flags |= LMAIL_SMTP_ADDRESS_UTF8;
    return LMAIL_SMTP_SAY_NONE;
}

/* A-d-l ":" = At-domain *( "," At-domain ) ":"; ignored, RFC 5321 §4.1.1.3 and Appendix C. */
static int scan_route(lmail_str in, uint64_t flags, size_t *used)
{
    size_t i = 0, n;
    for (;;) {
        *used = i;
        if (i == in.len || in.ptr[i] != '@')
            return 0;
        i++;
        if (!scan_domain(lmi_str_skip(in, i), flags & ~(uint64_t)LMAIL_SMTP_ALLOW_TRAILING_DOT,
                         &n)) {
            *used = i + n;
            return 0;
        }
        i += n;
        *used = i;
        if (i == in.len)
            return 0;
        if (in.ptr[i] == ':') {
            *used = i + 1;
            return 1;
        }
        if (in.ptr[i] != ',')
            return 0;
        i++;
    }
}

lmail_smtp_reply_id lmi_smtp_parse_path(lmail_str in, const lmi_smtp_rules *rules, int reverse,
                                        lmail_smtp_address *out, size_t *used)
{
    lmail_smtp_reply_id bad = reverse ? LMAIL_SMTP_SAY_BAD_SENDER : LMAIL_SMTP_SAY_BAD_RECIPIENT;
    size_t at = 0, n;
    memset(out, 0, sizeof *out);
    *used = 0;
    int brackets = in.len && in.ptr[0] == '<';
    if (!brackets && !(rules->flags & LMAIL_SMTP_ALLOW_NO_BRACKETS))
        return bad;
    if (brackets)
        at = 1;
    if (brackets && at < in.len && in.ptr[at] == '>') {
        *used = at;
        if (!reverse)
            return LMAIL_SMTP_SAY_NO_LOCAL_PART;
        out->flags = LMAIL_SMTP_ADDRESS_NULL;
        *used = at + 1;
        return LMAIL_SMTP_SAY_NONE;
    }
    if (at < in.len && in.ptr[at] == '@' && memchr(in.ptr + at, ':', in.len - at)) {
        int good = scan_route(lmi_str_skip(in, at), rules->flags, &n);
        at += n;
        *used = at;
        if (!good)
            return bad;
        out->flags |= LMAIL_SMTP_ADDRESS_ROUTED;
    }
    lmail_smtp_reply_id say =
        scan_mailbox(lmi_str_skip(in, at), rules, brackets ? '>' : ' ', !reverse, out, &n);
    at += n;
    *used = at;
    if (say)
        return say == LMAIL_SMTP_SAY_BAD_SENDER ? bad : say;
    if (brackets) {
        if (at == in.len || in.ptr[at] != '>')
            return !reverse && at < in.len && in.ptr[at] == '@' ? LMAIL_SMTP_SAY_ROUTE : bad;
        at++;
    }
    *used = at;
    return at > rules->max_path ? LMAIL_SMTP_SAY_PATH_TOO_LONG : LMAIL_SMTP_SAY_NONE;
}

lmail_status lmail_smtp_address_parse(lmail_str text, uint64_t flags, size_t max_local_part,
                                      lmail_smtp_address *out, size_t *offset)
{
    lmi_smtp_rules rules = {flags, SIZE_MAX, max_local_part ? max_local_part : 64};
    size_t used;
    memset(out, 0, sizeof *out);
    lmail_smtp_reply_id say = scan_mailbox(text, &rules, '>', 1, out, &used);
    if (offset)
        *offset = used;
    if (say == LMAIL_SMTP_SAY_PATH_TOO_LONG)
        return LMAIL_ERR_LIMIT;
    return say || used != text.len ? LMAIL_ERR_SYNTAX : LMAIL_OK;
}

size_t lmail_smtp_local_unquote(lmail_str local, char *out)
{
    size_t n = 0;
    if (local.len < 2 || local.ptr[0] != '"') {
        if (local.len)
            memcpy(out, local.ptr, local.len);
        return local.len;
    }
    for (size_t i = 1; i + 1 < local.len; i++) {
        if (local.ptr[i] == '\\' && i + 2 < local.len)
            i++;
        out[n++] = local.ptr[i];
    }
    return n;
}
