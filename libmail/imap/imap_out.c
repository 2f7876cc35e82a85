/* imap_out.c - writing responses.
 *
 * The one place where text of the host becomes IMAP syntax, so that nothing it says can end a line
 * or begin another response (RFC 9051 §9: string, astring, nstring, flag-list, date-time,
 * sequence-set). A writer that fails leaves the first error in s->failed, where the core looks
 * after each step. */
#include "imap/imap_internal.h"

#include <libmail/codec.h>

#include <string.h>

#define NAME_BUFFER 512u

void lmi_imap_put(lmi_imap *s, lmail_str text)
{
    lmail_status st = lmi_out_str(&s->base, text);
    if (st && !s->failed)
        s->failed = st;
}

void lmi_imap_put_char(lmi_imap *s, char c)
{
    lmi_imap_put(s, (lmail_str){&c, 1});
}

void lmi_imap_put_u64(lmi_imap *s, uint64_t n)
{
    char digits[20];
    lmi_imap_put(s, (lmail_str){digits, lmi_write_u64(digits, n)});
}

void lmi_imap_put_crlf(lmi_imap *s)
{
    lmi_imap_put(s, LMAIL_STR("\r\n"));
}

void lmi_imap_put_line(lmi_imap *s, lmail_str text)
{
    lmi_imap_put(s, text);
    lmi_imap_put_crlf(s);
}

/* ---- Strings --------------------------------------------------------------------------------- */

/* Octets that may stand between quotes as they are, after an escape, or only in a literal. */
static int needs_literal(lmail_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\r' || c == '\n' || c == 0 || c >= 0x7f)
            return 1;
    }
    return 0;
}

static void put_literal(lmi_imap *s, lmail_str text)
{
    size_t nuls = 0;
    for (size_t i = 0; i < text.len; i++)
        nuls += text.ptr[i] == 0;
    lmi_imap_put_char(s, '{');
    lmi_imap_put_u64(s, text.len - nuls);
    lmi_imap_put(s, LMAIL_STR("}\r\n"));
    while (text.len) { /* RFC 9051 §9: CHAR8 has no NUL */
        size_t nul = lmi_str_find(text, 0);
        lmi_imap_put(s, lmi_str_sub(text, 0, nul));
        text = lmi_str_skip(text, nul + 1);
    }
}

void lmi_imap_put_string(lmi_imap *s, lmail_str text)
{
    if (text.len > 1024 || needs_literal(text)) {
        put_literal(s, text);
        return;
    }
    lmi_imap_put_char(s, '"');
    while (text.len) {
        size_t n = 0;
        while (n < text.len && text.ptr[n] != '"' && text.ptr[n] != '\\')
            n++;
        lmi_imap_put(s, lmi_str_sub(text, 0, n));
        if (n < text.len) {
            char escape[2] = {'\\', text.ptr[n]};
            lmi_imap_put(s, (lmail_str){escape, 2});
        }
        text = lmi_str_skip(text, n + 1);
    }
    lmi_imap_put_char(s, '"');
}

void lmi_imap_put_nstring(lmi_imap *s, lmail_str text)
{
    if (text.ptr)
        lmi_imap_put_string(s, text);
    else
        lmi_imap_put(s, LMAIL_STR("NIL"));
}

void lmi_imap_put_astring(lmi_imap *s, lmail_str text)
{
    size_t n = 0;
    while (n < text.len && lmi_imap_is_astring_char(text.ptr[n]))
        n++;
    /* A bare NIL reads as an nstring to careless clients. */
    if (text.len && n == text.len && !lmail_str_equal_nocase(text, LMAIL_STR("NIL")))
        lmi_imap_put(s, text);
    else
        lmi_imap_put_string(s, text);
}

/* Modified UTF-7, or as it is where the client has enabled UTF-8 (RFC 9051 §5.1, RFC 6855 §3). */
static void put_name(lmi_imap *s, lmail_str name, void (*put)(lmi_imap *, lmail_str))
{
    char small[NAME_BUFFER];
    size_t made = 0;
    if (s->enabled & (LMI_ENABLED_REV2 | LMI_ENABLED_UTF8)) {
        put(s, name);
        return;
    }
    size_t cap = sizeof small;
    char *buf = small;
    lmail_status st = lmail_mutf7_encode(name, buf, cap, &made);
    if (st == LMAIL_ERR_LIMIT) {
        cap = name.len * 8 + 4;
        buf = lmi_malloc(&s->base.alloc, cap);
        if (!buf) {
            s->failed = LMAIL_ERR_NOMEM;
            return;
        }
        st = lmail_mutf7_encode(name, buf, cap, &made);
    }
    /* A name of the host's that is no UTF-8 cannot be said in UTF-7; a literal keeps it whole. */
    put(s, st ? name : (lmail_str){buf, made});
    if (buf != small)
        lmi_free(&s->base.alloc, buf, cap);
}

void lmi_imap_put_mailbox(lmi_imap *s, lmail_str name)
{
    put_name(s, name, lmi_imap_put_astring);
}

void lmi_imap_put_prefix(lmi_imap *s, lmail_str name)
{
    put_name(s, name, lmi_imap_put_string);
}

/* ---- Flags, sets, dates ---------------------------------------------------------------------- */

/* Adds to out[0..cap) what fits; returns the length with it. */
static size_t add_text(char *out, size_t cap, size_t len, lmail_str text)
{
    if (len <= cap && text.len <= cap - len && text.len)
        memcpy(out + len, text.ptr, text.len);
    return len + text.len;
}

static size_t add_flag(char *out, size_t cap, size_t len, lmail_str name)
{
    if (len > 1)
        len = add_text(out, cap, len, LMAIL_STR(" "));
    return add_text(out, cap, len, name);
}

static size_t flag_list(const lmi_imap *s, lmail_flags flags, int any, char *out, size_t cap)
{
    static const struct {
        lmail_flags flag;
        lmail_str name;
    } names[] = {{LMAIL_FLAG_ANSWERED, {"\\Answered", 9}}, {LMAIL_FLAG_FLAGGED, {"\\Flagged", 8}},
                 {LMAIL_FLAG_DELETED, {"\\Deleted", 8}},   {LMAIL_FLAG_SEEN, {"\\Seen", 5}},
                 {LMAIL_FLAG_DRAFT, {"\\Draft", 6}},       {LMAIL_FLAG_RECENT, {"\\Recent", 7}}};
    size_t len = add_text(out, cap, 0, LMAIL_STR("("));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag)
            len = add_flag(out, cap, len, names[i].name);
    for (size_t i = 0; i < s->mbox.keyword_count; i++)
        if ((flags >> (LMAIL_FLAG_KEYWORD_SHIFT + i) & 1) && s->mbox.keywords[i].len)
            len = add_flag(out, cap, len, s->mbox.keywords[i]);
    if (any)
        len = add_flag(out, cap, len, LMAIL_STR("\\*"));
    return add_text(out, cap, len, LMAIL_STR(")"));
}

size_t lmi_imap_flags_text(const lmi_imap *s, lmail_flags flags, char *out, size_t cap)
{
    return flag_list(s, flags, 0, out, cap);
}

void lmi_imap_put_flag_list(lmi_imap *s, lmail_flags flags, int any)
{
    char small[256];
    size_t len = flag_list(s, flags, any, small, sizeof small);
    if (len <= sizeof small) {
        lmi_imap_put(s, (lmail_str){small, len});
        return;
    }
    char *text = lmi_malloc(&s->base.alloc, len);
    if (!text) {
        s->failed = LMAIL_ERR_NOMEM;
        return;
    }
    lmi_imap_put(s, (lmail_str){text, flag_list(s, flags, any, text, len)});
    lmi_free(&s->base.alloc, text, len);
}

void lmi_imap_put_flags(lmi_imap *s, lmail_flags flags)
{
    lmi_imap_put_flag_list(s, flags, 0);
}

void lmi_imap_put_set(lmi_imap *s, lmail_uid_set set)
{
    for (size_t i = 0; i < set.count; i++) {
        if (i)
            lmi_imap_put_char(s, ',');
        lmi_imap_put_u64(s, set.ranges[i].first);
        if (set.ranges[i].last > set.ranges[i].first) {
            lmi_imap_put_char(s, ':');
            lmi_imap_put_u64(s, set.ranges[i].last);
        }
    }
}

static char *two(char *at, int n)
{
    at[0] = (char)('0' + n / 10 % 10);
    at[1] = (char)('0' + n % 10);
    return at + 2;
}

void lmi_imap_put_date_time(lmi_imap *s, int64_t seconds, int zone)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (zone < -5999 || zone > 5999)
        zone = 0;
    /* The grammar has years 0001 to 9999 only. */
    const int64_t first = -62135596800 + 86400 * 5, last = 253402300799 - 86400 * 5;
    if (seconds < first || seconds > last)
        seconds = seconds < first ? first : last;
    int64_t local = seconds + (int64_t)zone * 60;
    int64_t days = local >= 0 ? local / 86400 : -((86399 - local) / 86400);
    int rest = (int)(local - days * 86400);
    int year, month, day;
    lmi_imap_civil(days, &year, &month, &day);
    char text[30], *p = text;
    *p++ = '"';
    p = two(p, day);
    if (day < 10)
        p[-2] = ' '; /* date-day-fixed = (SP DIGIT) / 2DIGIT */
    *p++ = '-';
    memcpy(p, months + (month - 1) * 3, 3);
    p += 3;
    *p++ = '-';
    p = two(two(p, year / 100), year % 100);
    *p++ = ' ';
    p = two(p, rest / 3600);
    *p++ = ':';
    p = two(p, rest / 60 % 60);
    *p++ = ':';
    p = two(p, rest % 60);
    *p++ = ' ';
    *p++ = zone < 0 ? '-' : '+';
    int minutes = zone < 0 ? -zone : zone;
    p = two(two(p, minutes / 60), minutes % 60);
    *p++ = '"';
    lmi_imap_put(s, (lmail_str){text, (size_t)(p - text)});
}

/* ---- Status responses ------------------------------------------------------------------------ */

void lmi_imap_put_code(lmi_imap *s, lmail_imap_code code)
{
    static const lmail_str words[] = {
#define XX(name, value, word) [value] = {"" word, sizeof(word) - 1},
        LMAIL_IMAP_CODE_MAP(XX)
#undef XX
    };
    if (code == LMAIL_IMAP_CODE_NONE || (size_t)code >= sizeof words / sizeof *words)
        return;
    lmi_imap_put_char(s, '[');
    lmi_imap_put(s, words[code]);
    lmi_imap_put(s, LMAIL_STR("] "));
}

int lmi_imap_text_ok(lmail_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == 0)
            return 0;
    return text.len > 0 && text.ptr[0] != '['; /* which would read as a response code */
}
