/* mime_preview.c - the first words of a message (RFC 8970).
 *
 * Listens to the parser: the first text part that is no attachment and has any text is decoded
 * until 200 code points are found. HTML loses its tags, scripts and styles, and keeps its words. */
#include "mime_internal.h"

#include <string.h>

/* A page may have a lot of markup in front of its first word; no more than this is read. */
#define MAX_SEEN (64 * 1024)

enum { TEXT, TAG_NAME, TAG, TAG_QUOTED, ENTITY, COMMENT };

void lmi_mime_preview_init(lmi_mime_preview *v, const lmail_env *env)
{
    v->env = env;
    v->active = v->points = v->space = 0;
    v->len = v->seen = 0;
}

int lmi_mime_preview_begin(lmi_mime_preview *v, const lmi_mime_header *h)
{
    if (v->active || v->len || v->seen > MAX_SEEN || h->kind != LMAIL_MIME_LEAF || !h->is_text ||
        h->is_attachment || h->encoding == LMAIL_MIME_ENCODING_UNKNOWN)
        return 0;
    lmi_decoder_init(&v->decoder, v->env, h->encoding, h->charset, 0);
    v->active = 1;
    v->html = h->is_html;
    v->state = TEXT;
    v->word_len = v->skip_len = 0;
    return 1;
}

static int is_full(const lmi_mime_preview *v)
{
    return v->points >= LMI_MIME_PREVIEW_POINTS || v->seen > MAX_SEEN;
}

/* One character of text; white space runs become one space. */
static void put_point(lmi_mime_preview *v, uint32_t point)
{
    if (point <= 32 || point == 127 || point == 0xa0 || point == 0x3000) {
        v->space = v->len > 0;
        return;
    }
    /* zero-width characters pad the previews of newsletters */
    if (point == 0xfeff || (point >= 0x200b && point <= 0x200f) || point == 0xad || point == 0x34f)
        return;
    if (v->space && v->points + 1 < LMI_MIME_PREVIEW_POINTS) {
        v->text[v->len++] = ' ';
        v->points++;
    }
    v->space = 0;
    if (v->points < LMI_MIME_PREVIEW_POINTS) {
        v->len += lmail_utf8_write(point, v->text + v->len);
        v->points++;
    }
}

static uint32_t entity_of(lmail_str name)
{
    static const struct {
        const char *name;
        uint32_t point;
    } known[] = {
        {"amp", '&'},      {"lt", '<'},        {"gt", '>'},       {"quot", '"'},
        {"apos", '\''},    {"nbsp", ' '},      {"zwnj", 0x200c},  {"zwj", 0x200d},
        {"copy", 0xa9},    {"reg", 0xae},      {"euro", 0x20ac},  {"ndash", 0x2013},
        {"mdash", 0x2014}, {"hellip", 0x2026}, {"bull", 0x2022},  {"lsquo", 0x2018},
        {"rsquo", 0x2019}, {"ldquo", 0x201c},  {"rdquo", 0x201d}, {"middot", 0xb7},
        {"auml", 0xe4},    {"ouml", 0xf6},     {"uuml", 0xfc},    {"szlig", 0xdf},
        {"Auml", 0xc4},    {"Ouml", 0xd6},     {"Uuml", 0xdc},    {"eacute", 0xe9},
        {"egrave", 0xe8},  {"agrave", 0xe0},   {"ccedil", 0xe7},  {"shy", 0xad},
    };
    if (name.len > 1 && name.ptr[0] == '#') {
        uint32_t value = 0;
        int hex = name.ptr[1] == 'x' || name.ptr[1] == 'X';
        for (size_t i = hex ? 2 : 1; i < name.len; i++) {
            int digit = lmail_hex_value(name.ptr[i]);
            if (digit < 0 || (!hex && digit > 9) || value > 0x10ffff)
                return LMAIL_UTF8_BAD;
            value = value * (hex ? 16 : 10) + (uint32_t)digit;
        }
        return value;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (lmail_str_equal(name, lmail_str_from(known[i].name)))
            return known[i].point;
    }
    return 0;
}

/* A tag's name is complete: its content may have to be passed over, and most tags part words. */
static void end_name(lmi_mime_preview *v)
{
    static const char *const silent[] = {"style", "script", "head", "title"};
    static const char *const joining[] = {"a",    "b",     "i",    "u",    "em",  "strong",
                                          "/a",   "/b",    "/i",   "/u",   "/em", "/strong",
                                          "span", "/span", "font", "/font"};
    lmail_str name = {v->word, v->word_len};
    if (v->skip_len) {
        if (name.len == v->skip_len + 1 && name.ptr[0] == '/' &&
            lmail_str_equal_nocase(lmi_str_skip(name, 1), (lmail_str){v->skip, v->skip_len}))
            v->skip_len = 0;
        return;
    }
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        if (lmi_mime_is(name, silent[i])) {
            memcpy(v->skip, v->word, v->word_len);
            v->skip_len = v->word_len;
            return;
        }
    }
    for (size_t i = 0; i < sizeof joining / sizeof *joining; i++) {
        if (lmi_mime_is(name, joining[i]))
            return;
    }
    put_point(v, ' ');
}

/* The "&..." that turned out to be no entity is text. */
static void flush_entity(lmi_mime_preview *v)
{
    put_point(v, '&');
    for (size_t i = 0; i < v->word_len; i++)
        put_point(v, (unsigned char)v->word[i]);
}

static void html_text(lmi_mime_preview *v, uint32_t point)
{
    v->word_len = 0;
    if (point == '<')
        v->state = TAG_NAME;
    else if (v->skip_len)
        return;
    else if (point == '&')
        v->state = ENTITY;
    else
        put_point(v, point);
}

static void html_entity(lmi_mime_preview *v, uint32_t point)
{
    int in_name = point < 128 && point > 32 && point != ';' && point != '<' && point != '&';
    if (in_name && v->word_len < sizeof v->word) {
        v->word[v->word_len++] = (char)point;
        return;
    }
    uint32_t value = entity_of((lmail_str){v->word, v->word_len});
    v->state = TEXT;
    if (value)
        put_point(v, value);
    else
        flush_entity(v);
    if (point != ';')
        html_text(v, point);
}

static void html_tag_name(lmi_mime_preview *v, uint32_t point)
{
    int first = v->word_len == 0;
    if (first && v->skip_len && point != '/') {
        /* a "<" in a script or style; only the end tag counts */
        v->state = TEXT;
        return;
    }
    if (first && (point <= 32 || (point >= '0' && point <= '9') || point == '=')) {
        /* "a < b" */
        v->state = TEXT;
        if (!v->skip_len)
            put_point(v, '<');
        html_text(v, point);
        return;
    }
    if (point == '>' || point <= 32 || (point == '/' && !first)) {
        end_name(v);
        v->state = point == '>' ? TEXT : TAG;
        return;
    }
    if (v->word_len < sizeof v->word)
        v->word[v->word_len++] = point < 128 ? (char)point : '?';
    if (v->word_len == 3 && memcmp(v->word, "!--", 3) == 0) {
        v->state = COMMENT;
        v->word_len = 0;
    }
}

/* word_len counts the dashes behind each other. */
static void html_comment(lmi_mime_preview *v, uint32_t point)
{
    if (point == '>' && v->word_len >= 2)
        v->state = TEXT;
    else if (point == '-')
        v->word_len += v->word_len < 2;
    else
        v->word_len = 0;
}

static void html_point(lmi_mime_preview *v, uint32_t point)
{
    switch (v->state) {
    case TEXT:
        html_text(v, point);
        break;
    case ENTITY:
        html_entity(v, point);
        break;
    case TAG_NAME:
        html_tag_name(v, point);
        break;
    case COMMENT:
        html_comment(v, point);
        break;
    case TAG_QUOTED:
        if (point == '"')
            v->state = TAG;
        break;
    default:
        v->state = point == '>' ? TEXT : point == '"' ? TAG_QUOTED : TAG;
        break;
    }
}

static void take_text(lmi_mime_preview *v, lmail_str text)
{
    v->seen += text.len;
    while (text.len && v->points < LMI_MIME_PREVIEW_POINTS) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(text, &point, &good);
        if (v->html)
            html_point(v, point);
        else
            put_point(v, point);
        text = lmi_str_skip(text, n ? n : text.len);
    }
}

static void decode(lmi_mime_preview *v, lmail_str octets, int end)
{
    char out[512];
    lmail_status st = LMAIL_MORE;
    while (st == LMAIL_MORE && !is_full(v)) {
        size_t used, made;
        st = lmi_decoder_feed(&v->decoder, octets, end, &used, out, sizeof out, &made);
        take_text(v, (lmail_str){out, made});
        octets = lmi_str_skip(octets, used);
    }
}

int lmi_mime_preview_body(lmi_mime_preview *v, lmail_str octets)
{
    if (v->active)
        decode(v, octets, 0);
    if (!is_full(v))
        return 1;
    lmi_mime_preview_end(v);
    return 0;
}

void lmi_mime_preview_end(lmi_mime_preview *v)
{
    if (!v->active)
        return;
    decode(v, (lmail_str){NULL, 0}, 1);
    if (v->html && v->state == ENTITY && !is_full(v))
        html_entity(v, ';');
    lmi_decoder_done(&v->decoder);
    v->active = 0;
}
