/* policy_triple.c - what stands behind a key of the routing tables.
 *
 * Replies (error:D.S.N:NNN text), triples (mailer:host), host lists, addresses, and the filling of
 * %1. The LMTP mailer is ours: it names ports and sockets, which the classic tables cannot. Called
 * when a table is read, to complain, and again when an entry is used: a value is kept as its text.
 * Never allocates. */
#include "policy/policy_tables_internal.h"

#include <string.h>

const lmi_reply_parts lmi_refusal_damaged = {451, {"4.3.5", 5}, {"Local configuration error", 25}};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static lmail_str trim(lmail_str s)
{
    while (s.len && lmi_is_blank(*s.ptr))
        s = lmi_str_skip(s, 1);
    while (s.len && lmi_is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* The old program's words for a kind of failure (its sysexits); error:nouser is 5.1.1 here, where
 * the old program forgot it. */
static const struct {
    lmail_str word, enhanced, text;
} words[] = {
    {{"nouser", 6}, {"5.1.1", 5}, {"User unknown", 12}},
    {{"nohost", 6}, {"5.1.2", 5}, {"Host unknown", 12}},
    {{"unavailable", 11}, {"5.3.0", 5}, {"Service unavailable", 19}},
    {{"usage", 5}, {"5.5.4", 5}, {"Command line usage error", 24}},
    {{"software", 8}, {"5.3.0", 5}, {"Internal error", 14}},
    {{"tempfail", 8}, {"4.3.0", 5}, {"Deferred", 8}},
    {{"protocol", 8}, {"5.5.0", 5}, {"Remote protocol error", 21}},
    {{"config", 6}, {"5.3.5", 5}, {"Local configuration error", 25}},
};

/* A word at the begin of s, with what divides it, is taken off. */
static void skip_word(lmail_str *s, lmail_str *text, lmail_str *enhanced)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = words[i].word.len;
        if (!lmi_str_has_prefix_nocase(*s, words[i].word))
            continue;
        if (s->len > len && s->ptr[len] != ':' && !lmi_is_blank(s->ptr[len]))
            continue;
        *s = trim(lmi_str_skip(*s, len + (s->len > len)));
        *text = words[i].text;
        *enhanced = words[i].enhanced;
        return;
    }
}

int lmi_refusal_parse(lmail_str s, lmi_reply_parts *out)
{
    lmail_str text = {NULL, 0}, enhanced = {NULL, 0};
    s = trim(s);
    skip_word(&s, &text, &enhanced);
    lmi_reply_parse(s, out);
    if (!out->enhanced.len)
        out->enhanced = enhanced;
    if (!out->text.len)
        out->text = text;
    if (!out->code && !out->enhanced.len)
        out->enhanced = LMAIL_STR("5.3.0"); /* as the old program */
    if (!out->code)
        out->code = out->enhanced.ptr[0] == '4' ? 451 : 553;
    if (out->code < 400 || out->code > 599 || !out->text.len)
        return 0;
    if (!out->enhanced.len)
        out->enhanced = out->code < 500 ? LMAIL_STR("4.0.0") : LMAIL_STR("5.0.0");
    /* RFC 2034 §4: the class of both is the same. */
    return (unsigned)(out->enhanced.ptr[0] - '0') == out->code / 100;
}

/* ---- Triples --------------------------------------------------------------------------------- */

/* Mailers that speak SMTP; all others run programs, which we do not. */
static int is_smtp_mailer(lmail_str s)
{
    static const lmail_str known[] = {
        {"esmtp", 5}, {"smtp", 4}, {"relay", 5}, {"smtp8", 5}, {"dsmtp", 5}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (lmail_str_equal_nocase(s, known[i]))
            return 1;
    return 0;
}

/* Offset of the first ':' outside brackets, or s.len. */
static size_t colon_at(lmail_str s)
{
    int inside = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '[')
            inside = 1;
        else if (s.ptr[i] == ']')
            inside = 0;
        else if (s.ptr[i] == ':' && !inside)
            return i;
    }
    return s.len;
}

static int are_hosts(lmail_str s, int lmtp)
{
    lmail_policy_host host;
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == '"' || s.ptr[i] == '<')
            return 0;
    while (lmi_hosts_next(&s, lmtp, &host)) {
        if (!host.name.len || host.name.len > 255 || host.port > 65535)
            return 0;
        if (!lmtp && host.name.ptr[0] == '/')
            return 0;
        count++;
    }
    return count > 0;
}

/* "host", "host:2424", "unix:/path", "/path". */
static void parse_lmtp(lmail_str rest, lmi_triple *out)
{
    if (lmi_str_has_prefix_nocase(rest, LMAIL_STR("unix:")))
        rest = trim(lmi_str_skip(rest, 5));
    else if (lmi_str_has_prefix_nocase(rest, LMAIL_STR("inet:")))
        rest = trim(lmi_str_skip(rest, 5));
    out->hosts = rest;
    out->lmtp = 1;
    if (are_hosts(rest, 1))
        out->kind = LMI_TRIPLE_HOSTS;
}

void lmi_triple_parse(lmail_str value, int bare_host, lmi_triple *out)
{
    size_t colon = colon_at(value);
    lmail_str rest = trim(lmi_str_skip(value, colon + 1));
    memset(out, 0, sizeof *out);
    if (colon == value.len) {
        if (!bare_host || !are_hosts(value, 0))
            return;
        out->mailer = LMAIL_STR("relay");
        out->hosts = value;
        out->kind = LMI_TRIPLE_HOSTS;
        return;
    }
    out->mailer = trim(lmi_str_sub(value, 0, colon));
    if (lmail_str_equal_nocase(out->mailer, LMAIL_STR("error"))) {
        if (lmi_refusal_parse(rest, &out->refusal))
            out->kind = LMI_TRIPLE_ERROR;
    } else if (lmail_str_equal_nocase(out->mailer, LMAIL_STR("local"))) {
        int has_domain;
        lmail_str domain;
        lmi_address_split(rest, &out->user, &domain, &has_domain); /* the host part is ignored */
        if (!has_domain || out->user.len)
            out->kind = LMI_TRIPLE_LOCAL;
    } else if (lmail_str_equal_nocase(out->mailer, LMAIL_STR("lmtp"))) {
        parse_lmtp(rest, out);
    } else if (is_smtp_mailer(out->mailer)) {
        int has_user;
        lmi_address_split(rest, &out->user, &out->hosts, &has_user);
        if (!has_user) {
            out->hosts = rest;
            out->user = (lmail_str){NULL, 0};
        }
        if (are_hosts(out->hosts, 0) && (!has_user || out->user.len))
            out->kind = LMI_TRIPLE_HOSTS;
    }
}

static int is_ipv4(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.ptr[i]) && s.ptr[i] != '.')
            return 0;
    return 1;
}

/* "2424:" or "2424" at the begin: taken off. 0: there is no port; 65536: none that may be. */
static unsigned take_port(lmail_str *hosts)
{
    size_t end = 0;
    unsigned port = 0;
    while (end < hosts->len && is_digit(hosts->ptr[end]) && end < 6)
        port = port * 10 + (unsigned)(hosts->ptr[end++] - '0');
    if (!end || (end < hosts->len && hosts->ptr[end] != ':' && hosts->ptr[end] != ','))
        return 0;
    *hosts = lmi_str_skip(*hosts, end + 1);
    return port && port <= 65535 ? port : 65536;
}

int lmi_hosts_next(lmail_str *hosts, int lmtp, lmail_policy_host *out)
{
    size_t end = 0;
    int inside = 0;
    memset(out, 0, sizeof *out);
    if (!hosts->len)
        return 0;
    if (lmtp && hosts->ptr[0] == '/') {
        out->name = *hosts;
        hosts->len = 0;
        return 1;
    }
    for (; end < hosts->len; end++) {
        char c = hosts->ptr[end];
        if (c == '[')
            inside = 1;
        else if (c == ']')
            inside = 0;
        else if ((c == ':' || c == ',') && !inside)
            break;
    }
    lmail_str one = lmi_str_sub(*hosts, 0, end);
    *hosts = lmi_str_skip(*hosts, end + 1);
    if (lmtp)
        out->port = take_port(hosts);
    if (one.len > 2 && one.ptr[0] == '[' && one.ptr[one.len - 1] == ']') {
        lmail_str inner = lmi_str_sub(one, 1, one.len - 2);
        out->no_mx = 1;
        /* An address keeps its brackets, a name needs them no longer. */
        if (lmi_str_find(inner, ':') == inner.len && !is_ipv4(inner))
            one = inner;
    }
    if (one.len > 1 && one.ptr[one.len - 1] == '.')
        one.len--;
    out->name = one;
    return 1;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

void lmi_address_split(lmail_str address, lmail_str *local, lmail_str *domain, int *has_domain)
{
    size_t sign = address.len;
    int quoted = 0;
    for (size_t i = 0; i < address.len; i++) {
        char c = address.ptr[i];
        if (c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '@' && !quoted)
            sign = i;
    }
    *has_domain = sign < address.len;
    *local = lmi_str_sub(address, 0, sign);
    *domain = lmi_str_skip(address, sign + 1);
    if (domain->len > 1 && domain->ptr[domain->len - 1] == '.')
        domain->len--;
}

size_t lmi_local_unquote(lmail_str local, char *out)
{
    size_t n = 0;
    int quoted = local.len > 1 && local.ptr[0] == '"' && local.ptr[local.len - 1] == '"';
    if (!quoted) {
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

int lmi_is_dot_atom(lmail_str s)
{
    if (!s.len || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.')
        return 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if ((unsigned char)c <= ' ' || c == 0x7f || memchr("()<>[]:;@\\,\"", c, 12))
            return 0;
        if (c == '.' && s.ptr[i - 1] == '.')
            return 0;
    }
    return 1;
}

lmail_str lmi_local_plain(lmail_str local)
{
    if (local.len > 2 && local.ptr[0] == '"' && local.ptr[local.len - 1] == '"') {
        lmail_str inner = lmi_str_sub(local, 1, local.len - 2);
        if (lmi_is_dot_atom(inner))
            return inner;
    }
    return local;
}

size_t lmi_detail_at(lmail_str local)
{
    if (local.len < 2 || local.ptr[0] == '"')
        return local.len;
    return 1 + lmi_str_find(lmi_str_skip(local, 1), '+');
}

size_t lmi_value_fill(lmail_str value, const lmail_str *args, size_t count, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        lmail_str piece = lmi_str_sub(value, i, 1);
        if (*piece.ptr == '%' && i + 1 < value.len) {
            char c = value.ptr[i + 1];
            if (is_digit(c)) {
                size_t arg = (size_t)(c - '0');
                piece = arg < count ? args[arg] : (lmail_str){NULL, 0};
                i++;
            } else if (c == '%') {
                i++;
            }
        }
        for (size_t k = 0; k < piece.len; k++, n++)
            if (n < cap)
                out[n] = piece.ptr[k];
    }
    return n;
}
