/* config_mc_input.c - text of a sendmail.mc in tokens.
 *
 * What a macro becomes is read before what follows it: frames on a stack. Quotes are ` and ', and
 * they nest. A quote that never ends is reported at its first line. */
#include "config/config_mc.h"

#include <string.h>

static int is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int lmi_mc_is_word(char c)
{
    return is_word_start(c) || (c >= '0' && c <= '9');
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static lmi_mc_frame *frame(lmi_mc *m)
{
    while (m->depth > 1 && m->frames[m->depth - 1].at == m->frames[m->depth - 1].text.len)
        m->depth--;
    return &m->frames[m->depth - 1];
}

void lmi_mc_push(lmi_mc *m, lmail_str text, lmi_origin where, int fixed)
{
    if (m->depth)
        frame(m); /* one that is read to its end needs no place */
    m->expanded += fixed ? text.len : 0;
    if (m->expanded > LMI_MC_MAX_EXPANDED) {
        LMI_MC_SAY(m, LMAIL_ERROR, where, LMAIL_STR("macros become too long"));
        m->stopped = 1;
        return;
    }
    if (m->depth == LMI_MC_MAX_FRAMES) {
        LMI_MC_SAY(m, LMAIL_ERROR, where, LMAIL_STR("macros or files are nested too deeply"));
        m->stopped = 1;
        return;
    }
    m->frames[m->depth++] = (lmi_mc_frame){text, 0, where, fixed != 0};
}

void lmi_mc_open(lmi_mc *m, lmail_str path, lmi_origin from, int must_exist)
{
    const lmail_config_io *io = m->r->io;
    lmail_str octets;
    if (m->files == LMI_MC_MAX_FILES) {
        LMI_MC_SAY(m, LMAIL_ERROR, from, LMAIL_STR("too many files are included"));
        m->stopped = 1;
        return;
    }
    lmail_status st = io->open ? io->open(io->ctx, path, &octets) : LMAIL_ERR_NOTFOUND;
    if (st < 0) {
        if (must_exist || st != LMAIL_ERR_NOTFOUND)
            LMI_MC_SAY(m, LMAIL_ERROR, from, LMAIL_STR("cannot read "), path, LMAIL_STR(": "),
                       lmail_str_from(lmail_status_text(st)));
        return;
    }
    m->opened[m->files++] = octets;
    if (lmi_str_has_prefix_nocase(octets, LMAIL_STR("\xEF\xBB\xBF")))
        octets = lmi_str_skip(octets, 3);
    lmi_mc_push(m, octets, (lmi_origin){path, 1, LMI_RANK_IMPORTED}, 0);
}

void lmi_mc_include(lmi_mc *m, lmail_str name, lmi_origin from, int must_exist)
{
    lmail_str path;
    if (lmi_config_beside(m->r, from.file, name, &path))
        m->r->failed = LMAIL_ERR_NOMEM;
    else
        lmi_mc_open(m, path, from, must_exist);
}

int lmi_mc_at(lmi_mc *m, char c)
{
    const lmi_mc_frame *f = frame(m);
    return f->at < f->text.len && f->text.ptr[f->at] == c;
}

lmail_str lmi_mc_rest(lmi_mc *m)
{
    const lmi_mc_frame *f = frame(m);
    lmail_str rest = lmi_str_skip(f->text, f->at);
    return lmi_str_sub(rest, 0, lmi_str_find(rest, '\n'));
}

void lmi_mc_skip(lmi_mc *m, size_t n)
{
    frame(m)->at += n;
}

static void line_end(lmi_mc_frame *f)
{
    if (!f->fixed)
        f->where.line++;
}

void lmi_mc_skip_line(lmi_mc *m)
{
    lmi_mc_frame *f = frame(m);
    f->at += lmi_mc_rest(m).len;
    if (f->at < f->text.len) {
        f->at++;
        line_end(f);
    }
}

int lmi_mc_strange_quote(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char a = (unsigned char)s.ptr[i];
        unsigned char b = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
        unsigned char c = i + 2 < s.len ? (unsigned char)s.ptr[i + 2] : 0;
        if (a < 0x80)
            continue;
        if (a == 0xE2 && b == 0x80 && c >= 0x98 && c <= 0x9F)
            return 1; /* U+2018 to U+201F */
        if (a == 0xC2 && b == 0xB4)
            return 2;
        if (a >= 0xC2 && (b & 0xC0) == 0x80) { /* another character of UTF-8 */
            i += a >= 0xF0 ? 3 : a >= 0xE0 ? 2 : 1;
            continue;
        }
        if (a == 0xB4)
            return 2; /* the same in Latin-1 */
        if (a >= 0x91 && a <= 0x94)
            return 1; /* in code page 1252 */
    }
    return 0;
}

static void say_unclosed(lmi_mc *m, lmi_origin at, int strange)
{
    LMI_MC_SAY(m, LMAIL_ERROR, at, LMAIL_STR("the quoted string that is opened here never ends"),
               strange == 2 ? LMAIL_STR("; its closing quote is an acute accent (U+00B4), use the "
                                        "ASCII ' (0x27)")
               : strange == 1 ? LMAIL_STR("; it holds typographic quotes, use ` and '")
                              : (lmail_str){NULL, 0});
    m->stopped = 1;
}

/* Does an acute accent, of UTF-8 or Latin-1, end here with what follows a closing quote? */
static int closing_accent(lmail_str s, size_t i)
{
    if ((unsigned char)s.ptr[i] != 0xB4)
        return 0;
    unsigned char before = i ? (unsigned char)s.ptr[i - 1] : 0;
    if (before >= 0x80 && before != 0xC2) /* part of another character */
        return 0;
    for (i++; i < s.len && is_blank(s.ptr[i]); i++)
        ;
    return i < s.len && (s.ptr[i] == ')' || s.ptr[i] == ',');
}

/* Behind a "`": what stands before its own "'". A quote that an accent was to close in its own line
 * is reported there: an apostrophe of some later comment would close it for m4. */
static lmail_str quoted(lmi_mc *m, lmi_mc_frame *f, lmi_origin at)
{
    size_t begin = f->at, level = 1, level_of_line = 0, accent = 0;
    for (; f->at < f->text.len; f->at++) {
        char c = f->text.ptr[f->at];
        if (c == '\n' && accent && !m->diverted) {
            say_unclosed(m, f->where, 2);
            return (lmail_str){NULL, 0};
        }
        if (c == '\n') {
            line_end(f);
            level_of_line = level;
        }
        level += c == '`';
        if (level > level_of_line && !accent && closing_accent(f->text, f->at))
            accent = level;
        if (c != '\'')
            continue;
        if (--level == 0)
            return lmi_str_sub(f->text, begin, f->at++ - begin);
        if (level < accent)
            accent = 0;
        if (level < level_of_line)
            level_of_line = level;
    }
    say_unclosed(m, at, lmi_mc_strange_quote(lmi_str_skip(f->text, begin)));
    return (lmail_str){NULL, 0};
}

static lmi_mc_kind kind_of(char c)
{
    if (is_word_start(c))
        return LMI_MC_WORD;
    if (is_blank(c))
        return LMI_MC_BLANK;
    switch (c) {
    case '`':
        return LMI_MC_QUOTED;
    case '(':
        return LMI_MC_OPEN;
    case ')':
        return LMI_MC_CLOSE;
    case ',':
        return LMI_MC_COMMA;
    case '\n':
        return LMI_MC_LINE;
    case '#':
        return LMI_MC_HASH;
    default:
        return LMI_MC_OTHER;
    }
}

lmi_mc_token lmi_mc_next(lmi_mc *m)
{
    lmi_mc_frame *f = frame(m);
    lmi_mc_token t = {LMI_MC_END, {NULL, 0}, f->where};
    if (m->stopped || m->r->failed || f->at == f->text.len)
        return t;
    size_t begin = f->at++;
    t.kind = kind_of(f->text.ptr[begin]);
    if (t.kind == LMI_MC_QUOTED) {
        t.text = quoted(m, f, t.at);
        return t;
    }
    if (t.kind == LMI_MC_LINE)
        line_end(f);
    if (t.kind == LMI_MC_WORD)
        while (f->at < f->text.len && lmi_mc_is_word(f->text.ptr[f->at]))
            f->at++;
    if (t.kind == LMI_MC_BLANK || t.kind == LMI_MC_OTHER)
        while (f->at < f->text.len && kind_of(f->text.ptr[f->at]) == t.kind)
            f->at++;
    t.text = lmi_str_sub(f->text, begin, f->at - begin);
    return t;
}
