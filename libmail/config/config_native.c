/* config_native.c - reads libmail.conf: lines, sections and includes become assignments.
 *
 * The grammar stands in libmail/config.h. A mistake is reported with its line and reading goes on,
 * so that one run shows them all. Called by lmail_config_load; knows no setting by name. */
#include "config/config_internal.h"

#include <string.h>

/* Where a file stands: inside at most one section. */
typedef struct place {
    lmi_reader *r;
    lmi_origin at;
    lmail_str prefix;     /* "smtp" inside  smtp { } */
    lmi_section *section; /* inside  listener x { } */
    size_t opened;        /* line of the open section, 0 outside */
    unsigned ignoring;    /* inside a section that was refused */
} place;

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static lmail_str trim(lmail_str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = lmi_str_skip(s, 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Offset of a comment outside quotes: '#' first or behind a blank. */
static size_t comment_at(lmail_str s)
{
    int quoted = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '#' && !quoted && (i == 0 || is_blank(s.ptr[i - 1])))
            return i;
    }
    return s.len;
}

static lmail_str word(lmail_str *s)
{
    size_t end = 0;
    while (end < s->len && !is_blank(s->ptr[end]) && s->ptr[end] != '=' && s->ptr[end] != '{')
        end++;
    lmail_str w = lmi_str_sub(*s, 0, end);
    *s = trim(lmi_str_skip(*s, end));
    return w;
}

/* A quoted value without its quotes and escapes; others as they are. */
static int unquote(place *p, lmail_str *value)
{
    if (value->len == 0 || value->ptr[0] != '"')
        return 1;
    char *out = lmi_arena_get(&p->r->config->arena, value->len);
    if (!out) {
        p->r->failed = LMAIL_ERR_NOMEM;
        return 0;
    }
    size_t n = 0, i = 1;
    for (; i < value->len && value->ptr[i] != '"'; i++) {
        if (value->ptr[i] == '\\' && i + 1 < value->len)
            i++;
        out[n++] = value->ptr[i];
    }
    if (i >= value->len) {
        LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("the closing quote is missing"));
        return 0;
    }
    if (i + 1 < value->len) {
        LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("unexpected text behind the closing quote: "),
                lmi_str_skip(*value, i + 1));
        return 0;
    }
    *value = (lmail_str){out, n};
    return 1;
}

static void assign(place *p, lmail_str name, lmail_str value)
{
    if (p->ignoring || !unquote(p, &value))
        return;
    char full[160];
    if (p->prefix.len) {
        if (p->prefix.len + 1 + name.len > sizeof full) {
            LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("unknown setting \""), name,
                    LMAIL_STR("\""));
            return;
        }
        memcpy(full, p->prefix.ptr, p->prefix.len);
        full[p->prefix.len] = '.';
        if (name.len)
            memcpy(full + p->prefix.len + 1, name.ptr, name.len);
        name = (lmail_str){full, p->prefix.len + 1 + name.len};
    }
    lmi_config_assign(p->r, p->section, name, value, p->at);
}

static void open_section(place *p, lmail_str kind, lmail_str name)
{
    if (p->opened) {
        LMI_SAY(p->r, LMAIL_ERROR, p->at,
                LMAIL_STR("a section inside a section: the one above is "
                          "not closed with \"}\""));
        p->prefix = (lmail_str){NULL, 0};
        p->section = NULL;
    }
    p->opened = p->at.line;
    p->ignoring = 0;
    const lmi_section_kind *named = lmi_section_kinds;
    while (named < lmi_section_kinds + LMI_SECTION_KINDS &&
           !lmail_str_equal(kind, lmail_str_from(named->word)))
        named++;
    if (named < lmi_section_kinds + LMI_SECTION_KINDS) {
        if (name.len == 0)
            LMI_SAY(p->r, LMAIL_ERROR, p->at, lmail_str_from(named->one),
                    LMAIL_STR(" needs a name: "), kind, LMAIL_STR(" NAME {"));
        else
            p->section =
                lmi_config_section(p->r, (lmi_section_id)(named - lmi_section_kinds), name, p->at);
        p->ignoring = !p->section;
    } else if (name.len) {
        LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("section \""), kind,
                LMAIL_STR("\" takes no name"));
        p->ignoring = 1;
    } else {
        p->prefix = kind;
    }
}

static void close_section(place *p)
{
    if (!p->opened)
        LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("\"}\" without an open section"));
    p->prefix = (lmail_str){NULL, 0};
    p->section = NULL;
    p->opened = 0;
    p->ignoring = 0;
}

lmail_status lmi_config_beside(lmi_reader *r, lmail_str file, lmail_str name, lmail_str *out)
{
    size_t dir = file.len;
    while (dir && file.ptr[dir - 1] != '/')
        dir--;
    if (name.len && name.ptr[0] == '/')
        dir = 0;
    char *full = lmi_arena_get(&r->config->arena, dir + name.len);
    if (!full)
        return LMAIL_ERR_NOMEM;
    if (dir)
        memcpy(full, file.ptr, dir);
    if (name.len)
        memcpy(full + dir, name.ptr, name.len);
    *out = (lmail_str){full, dir + name.len};
    return LMAIL_OK;
}

static void include(place *p, lmail_str name)
{
    lmail_str full;
    if (p->opened)
        LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("include stands outside sections"));
    else if (name.len == 0)
        LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("include needs a file name"));
    else if (!unquote(p, &name))
        return;
    else if (lmi_config_beside(p->r, p->at.file, name, &full))
        p->r->failed = LMAIL_ERR_NOMEM;
    else
        lmi_config_read_file(p->r, full, p->at);
}

static void read_line(place *p, lmail_str line)
{
    line = trim(lmi_str_sub(line, 0, comment_at(line)));
    if (line.len == 0)
        return;
    if (line.len == 1 && line.ptr[0] == '}') {
        close_section(p);
        return;
    }
    lmail_str rest = line;
    lmail_str first = word(&rest);
    if (first.len && rest.len && rest.ptr[0] == '=') {
        assign(p, first, trim(lmi_str_skip(rest, 1)));
    } else if (lmail_str_equal(first, LMAIL_STR("include"))) {
        include(p, rest);
    } else if (first.len && rest.len && rest.ptr[rest.len - 1] == '{') {
        rest.len--;
        open_section(p, first, trim(rest));
    } else {
        LMI_SAY(p->r, LMAIL_ERROR, p->at,
                LMAIL_STR("expected \"name = value\" or \"section {\", found \""), line,
                LMAIL_STR("\""));
    }
}

static void read_lines(place *p, lmail_str text)
{
    if (lmi_str_has_prefix_nocase(text, LMAIL_STR("\xEF\xBB\xBF")))
        text = lmi_str_skip(text, 3); /* a byte order mark, as some editors leave it */
    while (text.len && !p->r->failed) {
        size_t end = lmi_str_find(text, '\n');
        p->at.line++;
        lmail_str line = lmi_str_sub(text, 0, end);
        if (lmi_str_find(line, '\0') < line.len)
            LMI_SAY(p->r, LMAIL_ERROR, p->at, LMAIL_STR("a NUL octet in the line"));
        else
            read_line(p, line);
        text = lmi_str_skip(text, end + 1);
    }
    if (p->opened) {
        p->at.line = p->opened;
        LMI_SAY(p->r, LMAIL_ERROR, p->at,
                LMAIL_STR("this section is not closed with \"}\" before the file ends"));
    }
}

void lmi_config_read_file(lmi_reader *r, lmail_str name, lmi_origin from)
{
    for (unsigned i = 0; i < r->depth; i++)
        if (lmail_str_equal(r->reading[i], name)) {
            LMI_SAY(r, LMAIL_ERROR, from, name, LMAIL_STR(" includes itself"));
            return;
        }
    if (r->depth == LMI_MAX_INCLUDE_DEPTH || r->files == LMI_MAX_NATIVE_FILES) {
        LMI_SAY(r, LMAIL_ERROR, from, LMAIL_STR("too many files are included"));
        return;
    }
    r->files++;
    lmail_str octets;
    lmail_status st = r->io->open ? r->io->open(r->io->ctx, name, &octets) : LMAIL_ERR_NOTFOUND;
    if (st < 0) {
        lmi_origin at = from.line ? from : (lmi_origin){name, 0, LMI_RANK_NATIVE};
        LMI_SAY(r, LMAIL_ERROR, at, LMAIL_STR("cannot read "), name, LMAIL_STR(": "),
                lmail_str_from(lmail_status_text(st)));
        if (!from.line && !r->failed)
            r->failed = st;
        return;
    }
    place p = {r, {{NULL, 0}, 0, LMI_RANK_NATIVE}, {NULL, 0}, NULL, 0, 0};
    if (lmi_arena_copy(&r->config->arena, name, &p.at.file))
        r->failed = LMAIL_ERR_NOMEM;
    r->reading[r->depth++] = p.at.file;
    read_lines(&p, octets);
    r->depth--;
    if (r->io->close)
        r->io->close(r->io->ctx, octets);
}
