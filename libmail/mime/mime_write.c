/* mime_write.c - the writer of header fields: folding, plain values, dates, ids (RFC 5322 §2.2.3, §3.3,
 * §3.6.4).
 *
 * A field is checked whole before its first octet is written, so that a value which is refused leaves
 * no trace. Called by who composes messages: reports, completed submissions. */
#include "mime_write_internal.h"

#include <string.h>

void lmail_mime_writer_init(lmail_mime_writer *w, char *out, size_t cap)
{
    memset(w, 0, sizeof *w);
    w->out = out;
    w->cap = cap;
}

void lmail_mime_writer_init_sink(lmail_mime_writer *w, lmail_mime_sink_fn *sink, void *ctx)
{
    memset(w, 0, sizeof *w);
    w->sink = sink;
    w->ctx = ctx;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

int lmi_mime_is_atext(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

int lmi_mime_is_token(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= 32 || c >= 127 || strchr("()<>@,;:\\\"/[]?=", c))
            return 0;
    }
    return s.len > 0;
}

int lmi_mime_is_ascii(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] > 126)
            return 0;
    return 1;
}

int lmi_mime_is_line(lmail_str s, unsigned utf8)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 32 && c != '\t') || c == 127 || (c > 127 && !utf8))
            return 0;
    }
    return lmail_utf8_valid(s);
}

int lmi_mime_is_field_name(lmail_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= 32 || name.ptr[i] >= 127 || name.ptr[i] == ':')
            return 0;
    return name.len > 0 && name.len <= 64;
}

/* ---- Putting --------------------------------------------------------------------------------- */

void lmi_mime_w_put(lmail_mime_writer *w, lmail_str octets)
{
    if (!octets.len || w->status)
        return;
    if (w->sink)
        w->status = w->sink(w->ctx, octets);
    else if (w->made <= w->cap && octets.len <= w->cap - w->made)
        memcpy(w->out + w->made, octets.ptr, octets.len);
    w->made += octets.len;
    w->column += octets.len;
}

static void put_line_end(lmail_mime_writer *w)
{
    lmi_mime_w_put(w, LMAIL_STR("\r\n"));
    w->column = 0;
}

void lmi_mime_w_begin(lmail_mime_writer *w, lmail_str name)
{
    w->column = 0;
    lmi_mime_w_put(w, name);
    lmi_mime_w_put(w, LMAIL_STR(":"));
}

void lmi_mime_w_space(lmail_mime_writer *w, size_t len)
{
    /* Behind a fold there is one blank; a second fold there would gain nothing. */
    if (w->column > 1 && w->column + 1 + len > LMI_MIME_LINE)
        put_line_end(w);
    lmi_mime_w_put(w, LMAIL_STR(" "));
}

lmail_status lmi_mime_w_end(lmail_mime_writer *w)
{
    put_line_end(w);
    if (w->status)
        return w->status;
    return !w->sink && w->made > w->cap ? LMAIL_ERR_LIMIT : LMAIL_OK;
}

/* ---- Text ------------------------------------------------------------------------------------ */

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Octets of white space, then octets up to the next. */
static lmail_str take_word(lmail_str *rest, size_t *blanks)
{
    size_t n = 0;
    while (n < rest->len && is_blank(rest->ptr[n]))
        n++;
    *blanks = n;
    while (n < rest->len && !is_blank(rest->ptr[n]))
        n++;
    lmail_str word = lmi_str_sub(*rest, 0, n);
    *rest = lmi_str_skip(*rest, n);
    return word;
}

/* The longest word with the white space in front of it. */
static size_t longest_word(lmail_str text)
{
    size_t longest = 0, blanks;
    while (text.len) {
        lmail_str word = take_word(&text, &blanks);
        longest = word.len > longest ? word.len : longest;
    }
    return longest;
}

/* Words with the white space in front of each, folded there. A value that begins without white space
 * gets the blank behind the colon. */
static void put_folded(lmail_mime_writer *w, lmail_str text)
{
    while (text.len) {
        size_t blanks;
        lmail_str word = take_word(&text, &blanks);
        if (w->column > 1 && w->column + word.len + !blanks > LMI_MIME_LINE && word.len > blanks)
            put_line_end(w);
        if (!blanks)
            lmi_mime_w_put(w, LMAIL_STR(" "));
        lmi_mime_w_put(w, word);
    }
}

/* From the first to the last word that needs it: what stands between goes with them, because white
 * space between encoded words is lost (RFC 2047 §6.2). */
static void encoded_range(lmail_str text, unsigned utf8, size_t *from, size_t *to)
{
    lmail_str rest = text;
    *from = *to = text.len;
    int found = 0;
    while (rest.len) {
        size_t blanks, at = text.len - rest.len;
        lmail_str word = take_word(&rest, &blanks);
        if (!lmi_mime_needs_words(lmi_str_skip(word, blanks), utf8))
            continue;
        /* Other white space than one blank in front of an encoded word would not come back. */
        if (!found)
            *from = blanks == 1 && word.ptr[0] == ' ' ? at + 1 : 0;
        found = 1;
        *to = at + word.len;
    }
}

lmail_status lmail_mime_text_write(lmail_mime_writer *w, lmail_str name, lmail_str text)
{
    if (!lmi_mime_is_field_name(name) || !lmi_mime_is_line(text, 1))
        return LMAIL_ERR_ARG;
    size_t from, to;
    encoded_range(text, w->utf8, &from, &to);
    /* White space at the ends, or too much of it, would be lost: all is encoded. */
    if (text.len && (is_blank(text.ptr[0]) || is_blank(text.ptr[text.len - 1]) ||
                     longest_word(text) > LMI_MIME_LONGEST)) {
        from = 0;
        to = text.len;
    }
    lmi_mime_w_begin(w, name);
    if (!text.len)
        lmi_mime_w_put(w, LMAIL_STR(" "));
    lmail_str before = lmi_str_sub(text, 0, from), after = lmi_str_skip(text, to);
    /* The blank in front of an encoded word is written with it. */
    if (from < to && from)
        before.len--;
    put_folded(w, before);
    if (from < to)
        lmi_mime_w_words(w, lmi_str_sub(text, from, to - from));
    put_folded(w, after);
    return lmi_mime_w_end(w);
}

lmail_status lmail_mime_value_write(lmail_mime_writer *w, lmail_str name, lmail_str value)
{
    while (value.len && is_blank(value.ptr[0]))
        value = lmi_str_skip(value, 1);
    while (value.len && is_blank(value.ptr[value.len - 1]))
        value.len--;
    if (!lmi_mime_is_field_name(name) || !lmi_mime_is_line(value, w->utf8))
        return LMAIL_ERR_ARG;
    if (longest_word(value) > LMI_MIME_LONGEST)
        return LMAIL_ERR_LIMIT;
    lmi_mime_w_begin(w, name);
    if (!value.len)
        lmi_mime_w_put(w, LMAIL_STR(" "));
    put_folded(w, value);
    return lmi_mime_w_end(w);
}

/* ---- Dates and ids --------------------------------------------------------------------------- */

typedef struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second, weekday; /* weekday 0: Monday */
} civil;

/* Days since 1970-01-01 to a proleptic Gregorian date: eras of 400 years that begin in March. */
static civil civil_of(int64_t seconds)
{
    civil c;
    int64_t days = seconds / 86400, left = seconds % 86400;
    if (left < 0) {
        left += 86400;
        days--;
    }
    c.hour = (unsigned)(left / 3600);
    c.minute = (unsigned)(left / 60 % 60);
    c.second = (unsigned)(left % 60);
    c.weekday = (unsigned)(((days + 3) % 7 + 7) % 7);
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    c.day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    c.month = (unsigned)(month < 10 ? month + 3 : month - 9);
    c.year = year + era * 400 + (c.month <= 2);
    return c;
}

/* Decimal digits, exactly n. */
static char *put_digits(char *out, uint64_t value, unsigned n)
{
    for (unsigned i = n; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + n;
}

static char *put_text(char *out, const char *text, size_t n)
{
    memcpy(out, text, n);
    return out + n;
}

/* 1900-01-01 and 9999-12-31 UTC; a zone's hours more or less stay within four digits. */
#define EARLIEST INT64_C(-2208988800)
#define LATEST INT64_C(253402214400)

static int in_range(int64_t seconds, int32_t zone)
{
    return seconds >= EARLIEST && seconds <= LATEST && zone > -24 * 60 && zone < 24 * 60;
}

size_t lmail_mime_date_text(int64_t seconds, int32_t zone, char *out)
{
    if (!in_range(seconds, zone))
        return 0;
    civil c = civil_of(seconds + (int64_t)zone * 60);
    unsigned east = (unsigned)(zone < 0 ? -zone : zone);
    char *at = put_text(out, &"MonTueWedThuFriSatSun"[3 * c.weekday], 3);
    at = put_text(at, ", ", 2);
    at = put_digits(at, c.day, c.day < 10 ? 1 : 2);
    *at++ = ' ';
    at = put_text(at, &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * (c.month - 1)], 3);
    *at++ = ' ';
    at = put_digits(at, (uint64_t)c.year, 4);
    *at++ = ' ';
    at = put_digits(at, c.hour, 2);
    *at++ = ':';
    at = put_digits(at, c.minute, 2);
    *at++ = ':';
    at = put_digits(at, c.second, 2);
    at = put_text(at, zone < 0 ? " -" : " +", 2);
    at = put_digits(at, east / 60 * 100 + east % 60, 4);
    return (size_t)(at - out);
}

lmail_status lmail_mime_date_write(lmail_mime_writer *w, lmail_str name, int64_t seconds,
                                   int32_t zone)
{
    char text[32];
    size_t len = lmail_mime_date_text(seconds, zone, text);
    if (!len)
        return LMAIL_ERR_ARG;
    return lmail_mime_value_write(w, name, (lmail_str){text, len});
}

static int is_id(lmail_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        if (c <= 32 || c >= 127 || c == '<' || c == '>')
            return 0;
    }
    return id.len > 2 && lmi_str_find(id, '@') < id.len;
}

lmail_status lmail_mime_ids_write(lmail_mime_writer *w, lmail_str name, const lmail_str *ids,
                                  size_t count)
{
    int good = lmi_mime_is_field_name(name) && count;
    for (size_t i = 0; i < count; i++) {
        good = good && is_id(ids[i]);
        if (good && ids[i].len > LMI_MIME_LONGEST)
            return LMAIL_ERR_LIMIT;
    }
    if (!good)
        return LMAIL_ERR_ARG;
    lmi_mime_w_begin(w, name);
    for (size_t i = 0; i < count; i++) {
        lmi_mime_w_space(w, ids[i].len + 2);
        lmi_mime_w_put(w, LMAIL_STR("<"));
        lmi_mime_w_put(w, ids[i]);
        lmi_mime_w_put(w, LMAIL_STR(">"));
    }
    return lmi_mime_w_end(w);
}

lmail_status lmail_mime_id_write(int64_t seconds, lmail_str unique, lmail_str domain, char *out,
                                 size_t cap, size_t *made)
{
    *made = 0;
    for (size_t i = 0; i < unique.len; i++)
        if (!lmi_mime_is_atext((unsigned char)unique.ptr[i]))
            return LMAIL_ERR_ARG;
    if (!unique.len || !domain.len || !in_range(seconds, 0))
        return LMAIL_ERR_ARG;
    civil c = civil_of(seconds);
    size_t need;
    if (lmail_size_add(unique.len, domain.len, &need) || lmail_size_add(need, 16, &need) ||
        need > cap)
        return LMAIL_ERR_LIMIT;
    char *at = put_digits(out, (uint64_t)c.year, 4);
    const unsigned parts[] = {c.month, c.day, c.hour, c.minute, c.second};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        at = put_digits(at, parts[i], 2);
    *at++ = '.';
    at = put_text(at, unique.ptr, unique.len);
    *at++ = '@';
    put_text(at, domain.ptr, domain.len);
    if (!is_id((lmail_str){out, need}))
        return LMAIL_ERR_ARG;
    *made = need;
    return LMAIL_OK;
}
