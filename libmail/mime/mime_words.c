/* mime_words.c - encoded words in header text (RFC 2047, RFC 2231 §5), to UTF-8.
 *
 * Called for SEARCH, SORT and whoever shows a header. Tolerant as mail needs it: words without
 * white space around them, longer than 75 octets, with spaces inside. One pass; the search for a
 * word's end is remembered, so that many open words cost no more than one. */
#include "mime_internal.h"

#include <string.h>

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void lmi_mime_sink_put(lmi_mime_sink *s, lmail_str text)
{
    while (text.len && !s->cut) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(text, &point, &good);
        char octets[4];
        if (!n)
            n = text.len;
        if (point < 32 || point == 127)
            point = ' ';
        size_t width = lmail_utf8_write(point, octets);
        if (width > s->cap - s->made) {
            s->cut = 1;
            return;
        }
        memcpy(s->out + s->made, octets, width);
        s->made += width;
        text = lmi_str_skip(text, n);
    }
}

void lmi_mime_sink_convert(lmi_mime_sink *s, lmi_charset *charset, lmail_str octets, int end)
{
    char out[256];
    lmail_status st = LMAIL_MORE;
    while (st == LMAIL_MORE && !s->cut) {
        size_t used, made;
        st = lmi_charset_convert(charset, octets, end, &used, out, sizeof out, &made);
        lmi_mime_sink_put(s, (lmail_str){out, made});
        octets = lmi_str_skip(octets, used);
    }
}

typedef struct word {
    lmail_str charset, text;
    char encoding; /* 'b' or 'q' */
    size_t len;    /* of the whole word */
} word;

typedef struct reader {
    lmail_str in;
    size_t at;
    size_t end_known; /* the next "?=" at or behind the place it was searched from; in.len: none */
    size_t end_from;
    lmi_mime_sink sink;
    lmi_charset charset; /* open while `charset_open` */
    lmail_str charset_name;
    unsigned charset_open;
} reader;

/* The next "?=" at or behind `from`. */
static size_t find_end(reader *r, size_t from)
{
    if (from >= r->end_from && from <= r->end_known)
        return r->end_known;
    r->end_from = from;
    size_t at = from;
    while (at < r->in.len) {
        const char *mark = memchr(r->in.ptr + at, '?', r->in.len - at);
        if (!mark)
            break;
        at = (size_t)(mark - r->in.ptr);
        if (at + 1 < r->in.len && mark[1] == '=') {
            r->end_known = at;
            return at;
        }
        at++;
    }
    r->end_known = r->in.len;
    return r->in.len;
}

/* "=?charset[*language]?encoding?text?=" at `at`. */
static int parse_word(reader *r, size_t at, word *w)
{
    lmail_str s = lmi_str_skip(r->in, at);
    size_t n = 2;
    if (s.len < 8 || s.ptr[0] != '=' || s.ptr[1] != '?')
        return 0;
    while (n < s.len && n < 66 && s.ptr[n] != '?' && !is_space(s.ptr[n]))
        n++;
    if (n == 2 || n + 2 >= s.len || s.ptr[n] != '?' || s.ptr[n + 2] != '?')
        return 0;
    w->charset = lmi_str_sub(s, 2, n - 2);
    w->charset.len = lmi_str_find(w->charset, '*');
    w->encoding = lmi_ascii_lower(s.ptr[n + 1]);
    if (w->encoding != 'b' && w->encoding != 'q')
        return 0;
    size_t text = at + n + 3;
    size_t end = find_end(r, text);
    if (end >= r->in.len)
        return 0;
    w->text = lmi_str_sub(r->in, text, end - text);
    w->len = end + 2 - at;
    return 1;
}

static void convert(reader *r, lmail_str octets, int end)
{
    lmi_mime_sink_convert(&r->sink, &r->charset, octets, end);
}

static void end_charset(reader *r)
{
    if (!r->charset_open)
        return;
    convert(r, (lmail_str){NULL, 0}, 1);
    lmi_charset_close(&r->charset);
    r->charset_open = 0;
}

static void decode_base64(reader *r, lmail_str text)
{
    lmail_base64_decoder d = {0, 0, 0};
    char octets[192];
    lmail_status st = LMAIL_MORE;
    while (st == LMAIL_MORE && !r->sink.cut) {
        size_t used, made;
        st = lmail_base64_decode_some(&d, text, 1, &used, octets, sizeof octets, &made);
        convert(r, (lmail_str){octets, made}, 0);
        text = lmi_str_skip(text, used);
    }
}

/* RFC 2047 §4.2: as quoted-printable, and "_" is a space. */
static void decode_q(reader *r, lmail_str text)
{
    char octets[192];
    size_t n = 0;
    for (size_t i = 0; i < text.len && !r->sink.cut; i++) {
        char c = text.ptr[i];
        if (c == '\r' || c == '\n')
            continue;
        int high = -1, low = -1;
        if (c == '=' && text.len - i > 2) {
            high = lmail_hex_value(text.ptr[i + 1]);
            low = lmail_hex_value(text.ptr[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            c = (char)(unsigned char)(high << 4 | low);
            i += 2;
        } else if (c == '_') {
            c = ' ';
        }
        octets[n++] = c;
        if (n == sizeof octets) {
            convert(r, (lmail_str){octets, n}, 0);
            n = 0;
        }
    }
    convert(r, (lmail_str){octets, n}, 0);
}

/* A character may be split between adjacent words of one charset (forbidden by RFC 2047 §5, and
 * common): the converter goes on from word to word. */
static void decode_word(reader *r, const word *w)
{
    if (!r->charset_open || !lmail_str_equal_nocase(r->charset_name, w->charset)) {
        end_charset(r);
        lmi_charset_open(&r->charset, r->charset.env, w->charset);
        r->charset_name = w->charset;
        r->charset_open = 1;
    }
    if (w->encoding == 'b')
        decode_base64(r, w->text);
    else
        decode_q(r, w->text);
}

static void put_space(reader *r, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (r->in.ptr[i] != '\r' && r->in.ptr[i] != '\n')
            lmi_mime_sink_put(&r->sink, lmi_str_sub(r->in, i, 1));
    }
}

/* Text up to white space or what may be a word; unfolded. */
static void put_text(reader *r)
{
    size_t from = r->at++;
    while (r->at < r->in.len && !is_space(r->in.ptr[r->at]) &&
           !(r->in.ptr[r->at] == '=' && r->at + 1 < r->in.len && r->in.ptr[r->at + 1] == '?'))
        r->at++;
    lmi_mime_sink_put(&r->sink, lmi_str_sub(r->in, from, r->at - from));
}

lmail_status lmail_mime_words_decode(const lmail_env *env, lmail_str in, char *out, size_t cap,
                                     size_t *made)
{
    reader r;
    memset(&r, 0, sizeof r);
    while (in.len && is_space(*in.ptr))
        in = lmi_str_skip(in, 1);
    while (in.len && is_space(in.ptr[in.len - 1]))
        in.len--;
    r.in = in;
    r.end_from = SIZE_MAX;
    r.sink.out = out;
    r.sink.cap = cap;
    r.charset.env = env;
    int after_word = 0;
    while (r.at < in.len && !r.sink.cut) {
        size_t space = r.at;
        while (r.at < in.len && is_space(in.ptr[r.at]))
            r.at++;
        word w;
        if (parse_word(&r, r.at, &w)) {
            /* RFC 2047 §6.2: white space between two words is not shown */
            if (!after_word)
                put_space(&r, space, r.at);
            decode_word(&r, &w);
            r.at += w.len;
            after_word = 1;
            continue;
        }
        end_charset(&r);
        put_space(&r, space, r.at);
        put_text(&r);
        after_word = 0;
    }
    end_charset(&r);
    *made = r.sink.made;
    return r.sink.cut ? LMAIL_ERR_LIMIT : LMAIL_OK;
}
