/* policy_value.c - what stands behind a key of the access map.
 *
 * Values are judged once, when the file is loaded: a word becomes a number, quotes and comments are
 * cut off, and what would only show as a strange reply to a stranger is said to the administrator. */
#include "policy/policy_internal.h"

#include <string.h>

static const struct {
    const char *word;
    lmi_value_kind kind;
} words[] = {
    {"OK", LMI_VALUE_OK},           {"RELAY", LMI_VALUE_RELAY}, {"REJECT", LMI_VALUE_REJECT},
    {"DISCARD", LMI_VALUE_DISCARD}, {"SKIP", LMI_VALUE_SKIP},   {"FRIEND", LMI_VALUE_FRIEND},
    {"HATER", LMI_VALUE_HATER},
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static lmail_str skip_blanks(lmail_str s)
{
    while (s.len && lmi_is_blank(*s.ptr))
        s = lmi_str_skip(s, 1);
    return s;
}

static lmail_str unquote(lmail_str s)
{
    return s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"' ? lmi_str_sub(s, 1, s.len - 2)
                                                                    : s;
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* D.S.N (RFC 3463 §2) at the begin of s; its length or 0. */
static size_t enhanced_at(lmail_str s)
{
    size_t i = 0;
    for (unsigned part = 0; part < 3; part++) {
        size_t digits = 0;
        while (i < s.len && is_digit(s.ptr[i]) && digits < 4)
            i++, digits++;
        if (digits == 0 || digits > 3 || (part == 0 && digits > 1))
            return 0;
        if (part < 2 && (i >= s.len || s.ptr[i++] != '.'))
            return 0;
    }
    return i;
}

static int ends_at(lmail_str s, size_t i)
{
    return i == s.len || lmi_is_blank(s.ptr[i]);
}

static int code_at(lmail_str s)
{
    return s.len >= 3 && is_digit(s.ptr[0]) && is_digit(s.ptr[1]) && is_digit(s.ptr[2]) &&
           ends_at(s, 3);
}

void lmi_reply_parse(lmail_str value, lmi_reply_parts *out)
{
    *out = (lmi_reply_parts){0};
    lmail_str s = unquote(value);
    size_t n = enhanced_at(s);
    if (n && n < s.len && s.ptr[n] == ':') {
        out->enhanced = lmi_str_sub(s, 0, n);
        s = unquote(skip_blanks(lmi_str_skip(s, n + 1)));
    }
    if (code_at(s)) {
        out->code = (unsigned)((s.ptr[0] - '0') * 100 + (s.ptr[1] - '0') * 10 + (s.ptr[2] - '0'));
        s = skip_blanks(lmi_str_skip(s, 3));
        n = enhanced_at(s);
        if (n && ends_at(s, n)) {
            out->enhanced = lmi_str_sub(s, 0, n);
            s = skip_blanks(lmi_str_skip(s, n));
        }
    }
    out->text = unquote(s);
}

/* Judge a reply; the class of its enhanced code is made that of its code, in place. */
static void judge_reply(lmi_policy_loader *l, char *ptr, size_t len, int tagged)
{
    lmi_reply_parts r;
    lmi_reply_parse((lmail_str){ptr, len}, &r);
    if (r.code == 0) {
        if (tagged)
            LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("no reply code behind ERROR:, 553 is sent"));
        return;
    }
    if (r.code < 400 || r.code > 599) {
        LMI_POLICY_SAY(l, LMAIL_ERROR, LMAIL_STR("a refusal needs a reply code of 4xx or 5xx: \""),
                       (lmail_str){ptr, len}, LMAIL_STR("\""));
        return;
    }
    if (r.enhanced.len && (unsigned)(*r.enhanced.ptr - '0') != r.code / 100) {
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("the enhanced code "), r.enhanced,
                       LMAIL_STR(" does not fit the reply code, its class is changed"));
        ptr[r.enhanced.ptr - ptr] = (char)('0' + r.code / 100);
    }
}

/* ---- The grammars of other tags -------------------------------------------------------------- */

static lmail_str word_of(lmail_str s)
{
    size_t i = 0;
    while (!ends_at(s, i))
        i++;
    return lmi_str_sub(s, 0, i);
}

/* A comment that follows a value: " # text". */
static lmail_str before_comment(lmail_str s)
{
    for (size_t i = 1; i < s.len; i++)
        if (s.ptr[i] == '#' && lmi_is_blank(s.ptr[i - 1])) {
            s.len = i;
            while (s.len && lmi_is_blank(s.ptr[s.len - 1]))
                s.len--;
        }
    return s;
}

lmail_status lmi_tls_parse(lmail_str value, lmi_tls_want *out)
{
    *out = (lmi_tls_want){.code = 454};
    if (lmi_str_has_prefix_nocase(value, LMAIL_STR("TEMP+")))
        out->code = 403;
    else if (lmi_str_has_prefix_nocase(value, LMAIL_STR("PERM+")))
        out->code = 503;
    if (out->code != 454)
        value = skip_blanks(lmi_str_skip(value, 5));
    size_t plus = lmi_str_find(value, '+');
    lmail_str base = lmi_str_sub(value, 0, plus);
    out->needs = lmi_str_skip(value, plus + 1);
    while (base.len && lmi_is_blank(base.ptr[base.len - 1]))
        base.len--;
    size_t colon = lmi_str_find(base, ':');
    lmail_str word = lmi_str_sub(base, 0, colon), bits = lmi_str_skip(base, colon + 1);
    out->verify = (unsigned)lmail_str_equal_nocase(word, LMAIL_STR("VERIFY"));
    if (!out->verify && !lmail_str_equal_nocase(word, LMAIL_STR("ENCR")))
        return out->code == 454 ? LMAIL_END : LMAIL_ERR_SYNTAX;
    if (colon == base.len)
        return out->verify ? LMAIL_OK : LMAIL_ERR_SYNTAX;
    return lmi_parse_u32(bits, &out->bits) ? LMAIL_ERR_SYNTAX : LMAIL_OK;
}

lmail_status lmi_authinfo_next(lmail_str *rest, char *letter, unsigned *base64, lmail_str *text)
{
    lmail_str s = skip_blanks(*rest);
    if (s.len == 0)
        return LMAIL_END;
    if (s.len < 4 || s.ptr[0] != '"' || (s.ptr[2] != ':' && s.ptr[2] != '='))
        return LMAIL_ERR_SYNTAX;
    size_t end = lmi_str_find(lmi_str_skip(s, 3), '"') + 3;
    if (end == s.len)
        return LMAIL_ERR_SYNTAX;
    *letter = lmi_ascii_upper(s.ptr[1]);
    *base64 = s.ptr[2] == '=';
    *text = lmi_str_sub(s, 3, end - 3);
    *rest = lmi_str_skip(s, end + 1);
    return lmi_str_find(LMAIL_STR("UIPRM"), *letter) < 5 ? LMAIL_OK : LMAIL_ERR_SYNTAX;
}

static int is_number(lmail_str s)
{
    uint64_t n;
    return lmi_parse_u64(s, &n) == LMAIL_OK;
}

static int are_letters(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!lmi_is_blank(s.ptr[i]) &&
            lmi_str_find(LMAIL_STR("sapvdexblc"), lmi_ascii_lower(s.ptr[i])) == 10)
            return 0;
    return s.len > 0;
}

int lmi_value_fits(lmi_tag tag, lmail_str value)
{
    lmi_tls_want want;
    switch (tag) {
    case LMI_TAG_TLS_CLT:
    case LMI_TAG_TLS_SRV:
    case LMI_TAG_TLS_RCPT:
        return lmi_tls_parse(word_of(value), &want) != LMAIL_END;
    case LMI_TAG_AUTHINFO:
        return value.len && value.ptr[0] == '"';
    case LMI_TAG_SRV_FEATURES:
        return are_letters(before_comment(value));
    case LMI_TAG_CLIENT_RATE:
    case LMI_TAG_CLIENT_CONN:
    case LMI_TAG_GREET_PAUSE:
        return is_number(before_comment(value));
    case LMI_TAG_TRY_TLS:
        return lmail_str_equal_nocase(before_comment(value), LMAIL_STR("NO"));
    default:
        return word_of(value).len == value.len && value.len;
    }
}

static void judge_authinfo(lmi_policy_loader *l, lmail_str value)
{
    char letter;
    unsigned base64;
    lmail_str text;
    lmail_status st;
    while (!(st = lmi_authinfo_next(&value, &letter, &base64, &text)))
        if (text.len > LMAIL_POLICY_MAX_ADDRESS / 2)
            break;
    if (st != LMAIL_END) /* the value itself is a secret */
        LMI_POLICY_SAY(l, LMAIL_ERROR,
                       LMAIL_STR("AuthInfo: is written \"U:user\" \"I:user\" \"P:password\" "
                                 "\"R:realm\" \"M:mechanisms\""));
    if (l->config->access_is_public)
        LMI_POLICY_SAY(l, LMAIL_ERROR,
                       LMAIL_STR("the file holds a password and others can read it"));
}

static void judge_other(lmi_policy_loader *l, lmi_tag tag, lmail_str value)
{
    lmi_tls_want want;
    switch (tag) {
    case LMI_TAG_TLS_CLT:
    case LMI_TAG_TLS_SRV:
    case LMI_TAG_TLS_RCPT: {
        lmail_status st = lmi_tls_parse(value, &want);
        if (st == LMAIL_ERR_SYNTAX)
            LMI_POLICY_SAY(l, LMAIL_ERROR, LMAIL_STR("not a requirement for TLS: \""), value,
                           LMAIL_STR("\"; it is VERIFY, VERIFY:bits or ENCR:bits"));
        else if (st)
            LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("\""), value,
                           LMAIL_STR("\" requires nothing of TLS"));
        return;
    }
    case LMI_TAG_AUTHINFO:
        judge_authinfo(l, value);
        return;
    case LMI_TAG_CLIENT_RATE:
    case LMI_TAG_CLIENT_CONN:
    case LMI_TAG_GREET_PAUSE:
        if (!is_number(value))
            LMI_POLICY_SAY(l, LMAIL_ERROR, LMAIL_STR("a number is expected, not \""), value,
                           LMAIL_STR("\""));
        return;
    case LMI_TAG_SRV_FEATURES:
        if (!are_letters(value))
            LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("unknown letter in \""), value,
                           LMAIL_STR("\"; known are S A P V D E X B l c"));
        return;
    case LMI_TAG_TRY_TLS:
        if (!lmail_str_equal_nocase(value, LMAIL_STR("NO")))
            LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("\""), value,
                           LMAIL_STR("\" has no effect, only NO has"));
        return;
    default:
        LMI_POLICY_SAY(l, LMAIL_WARNING, lmail_str_from(lmi_tags[tag].name),
                       LMAIL_STR(" is not supported, the line has no effect"));
    }
}

/* ---- All values ------------------------------------------------------------------------------ */

/* Blanks or nothing, then a comment or nothing. */
static int only_comment(lmail_str s)
{
    lmail_str rest = skip_blanks(s);
    return rest.len == 0 || (rest.len < s.len && *rest.ptr == '#');
}

static int keyword(lmi_policy_loader *l, lmi_tag tag, lmail_str value, lmi_value_kind *kind,
                   size_t *len)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        lmail_str word = lmail_str_from(words[i].word), rest = lmi_str_skip(value, word.len);
        if (!lmi_str_has_prefix_nocase(value, word) || !only_comment(rest))
            continue;
        *kind = words[i].kind;
        int about_spam = *kind == LMI_VALUE_FRIEND || *kind == LMI_VALUE_HATER;
        if (about_spam && tag != LMI_TAG_SPAM)
            return 0;
        *len = word.len;
        if (rest.len)
            LMI_POLICY_SAY(l, LMAIL_WARNING,
                           LMAIL_STR("text after keyword ignored, put comments on their own line"));
        if (!about_spam && tag == LMI_TAG_SPAM)
            LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("Spam: knows FRIEND and HATER only"));
        return 1;
    }
    return 0;
}

static void replace_controls(char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)ptr[i] < ' ' || ptr[i] == 0x7f)
            ptr[i] = ptr[i] == '\t' ? ' ' : '?';
}

lmi_value_kind lmi_value_read(lmi_policy_loader *l, lmi_tag tag, char *ptr, size_t *len,
                              char **begin)
{
    lmi_value_kind kind;
    lmail_str value = {ptr, *len};
    *begin = ptr;
    replace_controls(ptr, *len);
    if (tag > LMI_TAG_SPAM) {
        lmail_str cut = tag == LMI_TAG_AUTHINFO ? value : before_comment(value);
        if (cut.len < value.len)
            LMI_POLICY_SAY(l, LMAIL_WARNING,
                           LMAIL_STR("text after value ignored, put comments on their own line"));
        *len = cut.len;
        judge_other(l, tag, cut);
        return LMI_VALUE_OTHER;
    }
    if (keyword(l, tag, value, &kind, len))
        return kind;
    size_t cut = 0;
    kind = LMI_VALUE_REPLY;
    if (lmi_str_has_prefix_nocase(value, LMAIL_STR("ERROR:"))) {
        cut = 6;
    } else if (lmi_str_has_prefix_nocase(value, LMAIL_STR("QUARANTINE:"))) {
        cut = 11;
        kind = LMI_VALUE_QUARANTINE;
    }
    lmail_str rest = skip_blanks(lmi_str_skip(value, cut));
    *begin = ptr + (rest.ptr - value.ptr);
    *len = rest.len;
    if (kind == LMI_VALUE_QUARANTINE) {
        rest = unquote(rest);
        *begin = ptr + (rest.ptr - value.ptr);
        *len = rest.len;
        return kind;
    }
    judge_reply(l, *begin, *len, cut > 0);
    lmi_reply_parts r;
    lmi_reply_parse(rest, &r);
    if (r.code == 0 && cut == 0)
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("unknown value, used as reply text: \""), rest,
                       LMAIL_STR("\""));
    return kind;
}
