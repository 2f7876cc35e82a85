/* config_dovecot_input.c - lines of a dovecot.conf: comments, quotes, sections, includes.
 *
 * `key = value`, `name [argument] {`, `}`, `!include`, `!include_try`; a line that ends with a
 * backslash goes on in the next. What names mean is config_dovecot_keys.c's business. */
#include "config/config_dovecot.h"

#include <string.h>

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

lmail_str lmi_dv_trim(lmail_str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = lmi_str_skip(s, 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Offset of the quote that ends what begins at s, or the length. */
static size_t closing(lmail_str s)
{
    size_t i = 1;
    for (; i < s.len && s.ptr[i] != s.ptr[0]; i++)
        if (s.ptr[i] == '\\' && i + 1 < s.len)
            i++;
    return i < s.len ? i : s.len;
}

static int is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* Offset of c outside quotes, or the length. As Dovecot has it, quotes guard a mark wherever they
 * stand, and one without a partner guards the rest of the line. */
static size_t find_bare(lmail_str s, char c)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] != c)
        i += is_quote(s.ptr[i]) ? closing(lmi_str_skip(s, i)) + 1 : 1;
    return i < s.len ? i : s.len;
}

/* A value that begins with a quote, without its quotes and escapes. 0: complained. */
static int unquote(lmi_dv *d, lmail_str *value, lmi_origin at)
{
    if (!value->len || !is_quote(value->ptr[0]))
        return 1;
    char quote = value->ptr[0];
    if (closing(*value) == value->len) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("the closing quote is missing"));
        return 0;
    }
    char *out = lmi_arena_get(&d->arena, value->len);
    size_t n = 0, i = 1;
    if (!out) {
        d->r->failed = LMAIL_ERR_NOMEM;
        return 0;
    }
    for (; i < value->len && value->ptr[i] != quote; i++) {
        if (value->ptr[i] == '\\' && i + 1 < value->len)
            i++;
        out[n++] = value->ptr[i];
    }
    if (i + 1 < value->len) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("unexpected text behind the closing quote: "),
                   lmi_str_skip(*value, i + 1));
        return 0;
    }
    *value = (lmail_str){out, n};
    return 1;
}

static lmail_str first_word(lmail_str *rest)
{
    size_t end = 0;
    while (end < rest->len && !is_blank(rest->ptr[end]) && rest->ptr[end] != '=')
        end++;
    lmail_str word = lmi_str_sub(*rest, 0, end);
    *rest = lmi_dv_trim(lmi_str_skip(*rest, end));
    return word;
}

/* ---- Includes -------------------------------------------------------------------------------- */

typedef struct include {
    lmi_dv *d;
    lmi_origin at;
    int must_exist;
} include;

static int found(void *to, lmail_str name)
{
    include *i = to;
    lmail_str path;
    if (lmi_arena_copy(&i->d->arena, name, &path))
        i->d->r->failed = LMAIL_ERR_NOMEM;
    else
        lmi_dv_read_file(i->d, path, i->at, i->must_exist);
    return i->d->r->failed || i->d->stopped;
}

static void do_include(lmi_dv *d, lmail_str name, lmi_origin at, int must_exist)
{
    lmail_str path;
    include i = {d, at, must_exist};
    int pattern = 0;
    for (size_t k = 0; k < name.len; k++)
        pattern |= name.ptr[k] == '*' || name.ptr[k] == '?' || name.ptr[k] == '[';
    if (lmi_config_beside(d->r, at.file, name, &path)) {
        d->r->failed = LMAIL_ERR_NOMEM;
        return;
    }
    if (!pattern) {
        lmi_dv_read_file(d, path, at, must_exist);
        return;
    }
    if (!d->r->io->list) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("!include "), name,
                   LMAIL_STR(": patterns cannot be used here; name the files"));
        return;
    }
    lmail_status st = d->r->io->list(d->r->io->ctx, path, found, &i);
    if (st == LMAIL_ERR_NOMEM)
        d->r->failed = st;
    else if (st && (st != LMAIL_ERR_NOTFOUND || must_exist))
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("!include "), name, LMAIL_STR(": "),
                   st == LMAIL_ERR_NOTFOUND ? LMAIL_STR("no file matches")
                                            : lmail_str_from(lmail_status_text(st)));
}

static void directive(lmi_dv *d, lmail_str line, lmi_origin at)
{
    lmail_str rest = line, word = first_word(&rest);
    int try = lmail_str_equal(word, LMAIL_STR("!include_try"));
    if (!try && !lmail_str_equal(word, LMAIL_STR("!include")))
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("unknown directive \""), word, LMAIL_STR("\""));
    else if (unquote(d, &rest, at) && !rest.len)
        LMI_DV_SAY(d, LMAIL_ERROR, at, word, LMAIL_STR(" needs the name of a file"));
    else
        do_include(d, rest, at, !try);
}

/* ---- Values from files ----------------------------------------------------------------------- */

lmail_str lmi_dv_beside(lmi_dv *d, lmail_str path, lmi_origin at)
{
    lmail_str full = {NULL, 0};
    if (path.len && lmi_config_beside(d->r, at.file, path, &full))
        d->r->failed = LMAIL_ERR_NOMEM;
    return full;
}

int lmi_dv_contents(lmi_dv *d, lmail_str name, lmail_str path, lmi_origin at, lmail_str *text)
{
    lmail_str octets;
    path = lmi_dv_beside(d, path, at);
    lmail_status st =
        d->r->io->open ? d->r->io->open(d->r->io->ctx, path, &octets) : LMAIL_ERR_NOTFOUND;
    if (st == LMAIL_ERR_NOMEM)
        d->r->failed = st;
    if (st) {
        LMI_DV_SAY(d, LMAIL_ERROR, at, name, LMAIL_STR(": "), path, LMAIL_STR(": "),
                   lmail_str_from(lmail_status_text(st)));
        return 0;
    }
    st = lmi_arena_copy(&d->arena, octets, text);
    if (d->r->io->close)
        d->r->io->close(d->r->io->ctx, octets);
    if (st) {
        d->r->failed = LMAIL_ERR_NOMEM;
        return 0;
    }
    while (text->len && (text->ptr[text->len - 1] == '\n' || text->ptr[text->len - 1] == '\r'))
        text->len--;
    return 1;
}

/* ---- One line -------------------------------------------------------------------------------- */

static void statement(lmi_dv *d, lmail_str line, lmi_origin at);

/* "name [argument] {", and what stands behind the brace in the same line. */
static void section(lmi_dv *d, lmail_str line, size_t brace, lmi_origin at)
{
    lmail_str head = lmi_dv_trim(lmi_str_sub(line, 0, brace)), name = first_word(&head);
    lmail_str inside = lmi_dv_trim(lmi_str_skip(line, brace + 1));
    if (!unquote(d, &head, at))
        return;
    lmi_dv_open(d, name, head, at);
    if (!inside.len)
        return;
    int closed = inside.ptr[inside.len - 1] == '}';
    if (closed)
        inside = lmi_dv_trim(lmi_str_sub(inside, 0, inside.len - 1));
    if (find_bare(inside, '{') < inside.len)
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("write each section on lines of its own"));
    else if (inside.len)
        statement(d, inside, at);
    if (closed)
        lmi_dv_close(d, at);
}

static void statement(lmi_dv *d, lmail_str line, lmi_origin at)
{
    lmail_str rest = line, name = first_word(&rest);
    size_t brace = find_bare(line, '{');
    if (line.ptr[0] == '!') {
        directive(d, line, at);
    } else if (lmail_str_equal(line, LMAIL_STR("}"))) {
        lmi_dv_close(d, at);
    } else if (name.len && rest.len && rest.ptr[0] == '=') {
        lmi_dv_given value = {lmi_dv_trim(lmi_str_skip(rest, 1)), LMI_DV_BARE};
        if (value.text.len && value.text.ptr[0] == '<')
            value = (lmi_dv_given){lmi_dv_trim(lmi_str_skip(value.text, 1)), LMI_DV_FILE};
        else if (value.text.len && is_quote(value.text.ptr[0]))
            value.form = LMI_DV_QUOTED;
        if (value.form != LMI_DV_QUOTED || unquote(d, &value.text, at))
            lmi_dv_set(d, name, value, at);
    } else if (brace < line.len) {
        section(d, line, brace, at);
    } else if (line.ptr[0] == '@') {
        lmi_dv_unused(d, line, at);
    } else {
        LMI_DV_SAY(d, LMAIL_ERROR, at, LMAIL_STR("neither \"key = value\" nor a section: "), line);
    }
}

static void read_line(lmi_dv *d, lmail_str line, lmi_origin at)
{
    line = lmi_dv_trim(lmi_str_sub(line, 0, find_bare(line, '#')));
    if (line.len)
        statement(d, line, at);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static lmail_str take_line(lmail_str *rest)
{
    size_t end = lmi_str_find(*rest, '\n');
    lmail_str line = lmi_str_sub(*rest, 0, end);
    *rest = lmi_str_skip(*rest, end + 1);
    while (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static int goes_on(lmail_str line)
{
    lmail_str first = lmi_dv_trim(line);
    return line.len && line.ptr[line.len - 1] == '\\' && first.ptr[0] != '#';
}

/* A line and those that it goes on in, as one. 0: no memory. */
static int join_lines(lmi_dv *d, lmail_str *line, lmail_str *text, size_t *number)
{
    lmail_str ahead = *text, next = *line;
    size_t cap = 0, n = 0;
    for (; goes_on(next); next = take_line(&ahead))
        cap += next.len;
    char *all = lmi_arena_get(&d->arena, cap + next.len + 1);
    if (!all) {
        d->r->failed = LMAIL_ERR_NOMEM;
        return 0;
    }
    for (next = *line; goes_on(next); next = take_line(text), ++*number) {
        memcpy(all + n, next.ptr, next.len - 1);
        n += next.len - 1;
    }
    if (next.len)
        memcpy(all + n, next.ptr, next.len);
    *line = (lmail_str){all, n + next.len};
    return 1;
}

static void read_lines(lmi_dv *d, lmail_str text, lmi_origin at)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (text.len >= 3 && memcmp(text.ptr, mark, 3) == 0)
        text = lmi_str_skip(text, 3);
    while (text.len && !d->r->failed && !d->stopped) {
        lmail_str line = take_line(&text);
        lmi_origin here = at;
        here.line = ++at.line;
        if (goes_on(line) && !join_lines(d, &line, &text, &at.line))
            return;
        read_line(d, line, here);
    }
}

void lmi_dv_read_file(lmi_dv *d, lmail_str path, lmi_origin from, int must_exist)
{
    lmail_str octets;
    lmi_reader *r = d->r;
    if (d->depth_of_files == LMI_MAX_INCLUDE_DEPTH || d->files == LMI_DV_MAX_FILES) {
        LMI_DV_SAY(d, LMAIL_ERROR, from, LMAIL_STR("too many files are included"));
        d->stopped = 1;
        return;
    }
    lmail_status st = r->io->open ? r->io->open(r->io->ctx, path, &octets) : LMAIL_ERR_NOTFOUND;
    if (st == LMAIL_ERR_NOMEM) {
        r->failed = st;
        return;
    }
    if (st) {
        if (must_exist || st != LMAIL_ERR_NOTFOUND)
            LMI_DV_SAY(d, LMAIL_ERROR, from, LMAIL_STR("cannot read "), path, LMAIL_STR(": "),
                       lmail_str_from(lmail_status_text(st)));
        return;
    }
    /* Values and places outlive the file. */
    lmail_str text, name;
    size_t depth = d->depth;
    st = lmi_arena_copy(&d->arena, octets, &text);
    if (!st)
        st = lmi_arena_copy(&r->config->arena, path, &name);
    if (r->io->close)
        r->io->close(r->io->ctx, octets);
    if (st) {
        r->failed = LMAIL_ERR_NOMEM;
        return;
    }
    d->files++;
    d->depth_of_files++;
    read_lines(d, text, (lmi_origin){name, 0, LMI_RANK_IMPORTED});
    d->depth_of_files--;
    if (d->depth > depth && !r->failed && !d->stopped)
        LMI_DV_SAY(d, LMAIL_ERROR, d->frames[d->depth].at, LMAIL_STR("this section is not closed"));
    if (d->depth > depth)
        d->depth = depth;
}
