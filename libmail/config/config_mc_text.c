/* config_mc_text.c - a sendmail.mc at its outermost level: calls, comments, and text that should
 * not be there, which is how such a file shows its damage. */
#include "config/config_mc.h"

#include <string.h>

static lmail_str shown(lmail_str line)
{
    line = lmi_mc_trim(line);
    return lmi_str_sub(line, 0, 60);
}

/* ---- Comments -------------------------------------------------------------------------------- */

/* Where the word dnl stands in a line, or the line's length. */
static size_t find_dnl(lmail_str line)
{
    for (size_t i = 0, begin = 0; i <= line.len; i++) {
        if (i < line.len && lmi_mc_is_word(line.ptr[i]))
            continue;
        if (lmail_str_equal(lmi_str_sub(line, begin, i - begin), LMAIL_STR("dnl")))
            return begin;
        begin = i + 1;
    }
    return line.len;
}

/* Text that dnl threw away: a directive in it is one that is commented out, be it twice. */
static void note_commented(lmi_mc *m, lmail_str text, lmi_origin at)
{
    size_t offset;
    for (text = lmi_mc_trim(text); text.len; text = lmi_mc_trim(text)) {
        size_t mark = text.ptr[0] == '#' ? 1 : find_dnl(text) == 0 ? 3 : 0;
        if (!mark)
            break;
        text = lmi_str_skip(text, mark);
    }
    lmail_str name = lmi_mc_find_call(text, &offset);
    if (!name.len || m->diverted || offset) /* prose that names a directive is prose */
        return;
    LMI_MC_SAY(m, LMAIL_NOTICE, at, LMAIL_STR("commented out: "),
               lmi_mc_trim(lmi_str_sub(text, 0, find_dnl(text))));
}

static void delete_line(lmi_mc *m, lmi_origin at)
{
    lmail_str rest = lmi_mc_rest(m);
    if (m->call_line == at.line && lmi_mc_trim(rest).len)
        m->dnl_line = at.line;
    note_commented(m, rest, at);
    lmi_mc_skip_line(m);
}

/* Behind the "'" that ends a quoted string; text.len: it does not end there. */
static size_t skip_quoted(lmail_str text, size_t begin)
{
    size_t depth = 0;
    for (size_t i = begin; i < text.len; i++) {
        depth += text.ptr[i] == '`';
        if (text.ptr[i] == '\'' && --depth == 0)
            return i + 1;
    }
    return text.len;
}

/* The call in a line that m4 comes to: none that is quoted, or behind dnl.
 *   offset  where it begins, else the line's length */
static lmail_str find_obeyed(lmail_str line, size_t *offset)
{
    size_t from = 0, dnl = find_dnl(line);
    for (;;) {
        lmail_str name = lmi_mc_find_call(lmi_str_skip(line, from), offset);
        *offset += from;
        size_t quote = from + lmi_str_find(lmi_str_skip(line, from), '`');
        if (name.len && *offset < dnl && *offset < quote)
            return name;
        if (!name.len || quote > *offset || dnl < quote)
            break;
        from = skip_quoted(line, quote);
    }
    *offset = line.len;
    return (lmail_str){NULL, 0};
}

/* "#" is no comment for m4: a call in its line is obeyed. */
static void hash(lmi_mc *m, lmi_origin at)
{
    lmail_str rest = lmi_mc_rest(m);
    size_t offset;
    lmail_str name = find_obeyed(rest, &offset);
    if (!name.len || m->hash_line == at.line) {
        lmi_mc_skip(m, rest.len);
        return;
    }
    LMI_MC_SAY(m, LMAIL_WARNING, at, LMAIL_STR("# does not disable "), name,
               LMAIL_STR(": it is obeyed; write dnl in front of it to comment it out"));
    lmi_mc_skip(m, offset);
    m->hash_line = at.line;
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* Misspelt dnl: 0, or how much of the line it is. */
static int looks_like_dnl(lmail_str word, lmail_str rest)
{
    static const char *const spellings[] = {"dn1", "dnl", "dni", "ndl", "dln"};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (lmail_str_equal_nocase(word, lmail_str_from(spellings[i])))
            return 1;
    rest = lmi_mc_trim(rest);
    return lmail_str_equal_nocase(word, LMAIL_STR("dn")) && rest.len &&
           strchr("lL1I|", rest.ptr[0]) && (rest.len == 1 || rest.ptr[1] <= ' ');
}

static int is_capital(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'a' && s.ptr[i] <= 'z')
            return 0;
    return 1;
}

/* A word with a parenthesis behind it that nobody knows. */
static void say_unknown(lmi_mc *m, lmi_mc_token t)
{
    const char *near = lmi_mc_near_name(t.text);
    if (near && lmail_str_equal_nocase(lmail_str_from(near), t.text))
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("\""), t.text, LMAIL_STR("\" is no directive; "),
                   is_capital(lmail_str_from(near)) ? LMAIL_STR("names are upper case: ")
                                                    : LMAIL_STR("did you mean "),
                   lmail_str_from(near));
    else if (near)
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("unknown directive \""), t.text,
                   LMAIL_STR("\"; did you mean "), lmail_str_from(near), LMAIL_STR("?"));
    else
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("unknown directive \""), t.text,
                   LMAIL_STR("\""));
}

/* Does a token lie in the text that is read, with the rest of its line behind it? */
static int is_here(const lmi_mc *m, lmi_mc_token t)
{
    const lmi_mc_frame *f = &m->frames[m->depth - 1];
    return t.kind != LMI_MC_QUOTED && t.kind != LMI_MC_END && f->at >= t.text.len &&
           f->text.ptr + (f->at - t.text.len) == t.text.ptr;
}

static int begins_line(const lmi_mc *m, lmi_mc_token t)
{
    return is_here(m, t) &&
           (t.text.ptr == m->frames[m->depth - 1].text.ptr || t.text.ptr[-1] == '\n');
}

/* The line from a token on: the token alone where it was quoted, or is the last of a file or of a
 * macro's text, since the rest then lies elsewhere. */
static lmail_str line_of(const lmi_mc *m, lmi_mc_token t, lmail_str rest)
{
    return is_here(m, t) ? (lmail_str){t.text.ptr, t.text.len + rest.len} : t.text;
}

/* "Kname class arguments" */
static int is_map_line(lmail_str line)
{
    static const char *const classes[] = {
        "hash",     "btree",  "dbm",  "text", "regex",    "dns",     "ldap",    "macro",
        "arith",    "host",   "null", "stab", "switch",   "syslog",  "program", "user",
        "implicit", "bestmx", "cdb",  "nis",  "sequence", "dequote", "socket"};
    lmi_mc_word(&line, "");
    lmail_str class = lmi_mc_word(&line, "");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (lmail_str_equal(class, lmail_str_from(classes[i])))
            return 1;
    return 0;
}

/* Does all of it stand in one word, with one of `marks` in it? */
static int is_marked_word(lmail_str line, const char *marks)
{
    lmail_str word = lmi_mc_word(&line, "");
    size_t i = 0;
    while (i < word.len && !strchr(marks, word.ptr[i]))
        i++;
    return i < word.len && !lmi_mc_trim(line).len;
}

/* A line of the .cf, as far as prose does not look the same: rules, maps, macros, classes, options,
 * fields, mailers and filters. */
static int is_cf_line(lmail_str line)
{
    lmail_str rest = lmi_str_skip(line, 1);
    char second = rest.len ? rest.ptr[0] : ' ';
    size_t equals = lmi_str_find(rest, '=');
    switch (line.len ? line.ptr[0] : ' ') {
    case 'R':
        return second == '$' || lmi_str_find(line, '\t') < line.len;
    case 'S':
        return (second >= '0' && second <= '9') || is_marked_word(rest, "_=");
    case 'K':
        return second > ' ' && is_map_line(line);
    case 'D':
        return second == '{' || (second >= 'A' && second <= 'Z' && is_marked_word(rest, ".$"));
    case 'C':
    case 'F':
        return second == '{' || second == 'w' || (second == 'R' && is_marked_word(rest, "./-"));
    case 'O':
        return second == ' ' && equals < rest.len &&
               is_marked_word(lmi_mc_trim(lmi_str_sub(rest, 0, equals + 1)), "=");
    case 'H':
        return second == '?' ||
               is_marked_word(lmi_str_sub(rest, 0, lmi_str_find(rest, ':') + 1), ":");
    case 'M':
    case 'X':
        return second > ' ' && lmi_str_find(rest, ',') < equals && equals < rest.len &&
               (rest.ptr[equals - 1] == 'P' || rest.ptr[equals - 1] == 'S');
    default:
        return 0;
    }
}

/* The hint for text that stands outside a call. */
static void say_text(lmi_mc *m, lmi_mc_token t, lmail_str rest, lmail_str line)
{
    lmail_str after = lmi_mc_trim(rest);
    const lmail_str what = LMAIL_STR("\" outside any macro call");
    if (t.kind == LMI_MC_WORD && looks_like_dnl(t.text, rest)) {
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("text \""), shown(line), what,
                   LMAIL_STR("; did you mean dnl?"));
    } else if (begins_line(m, t) && is_cf_line(line)) {
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("\""), shown(line),
                   LMAIL_STR("\" cannot be imported; of the .cf only Cw, CR, Fw and FR lines can, "
                             "below LOCAL_CONFIG"));
    } else if (t.kind == LMI_MC_WORD && after.len && after.ptr[0] == '(' &&
               lmi_mc_find_name(t.text)) {
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("text \""), shown(line), what,
                   LMAIL_STR("; no blank may stand between "), t.text, LMAIL_STR(" and ("));
    } else if (m->dnl_line && m->dnl_line + 1 == t.at.line) {
        char number[20];
        lmail_str above = {number, lmi_write_u64(number, m->dnl_line)};
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("text \""), shown(line), what,
                   LMAIL_STR("; line "), above, LMAIL_STR(" has text after dnl, join the lines"));
    } else if (lmi_mc_strange_quote(line)) {
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("text \""), shown(line), what,
                   LMAIL_STR("; it holds typographic quotes, use ` and '"));
    } else if (t.kind == LMI_MC_WORD && lmi_mc_find_name(t.text)) {
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, t.text, LMAIL_STR(" needs arguments in parentheses"));
    } else {
        LMI_MC_SAY(m, LMAIL_ERROR, t.at, LMAIL_STR("text \""), shown(line), what);
    }
}

/* Lines that LOCAL_CONFIG hands to the .cf: Cw, CR, Fw and FR. */
static void config_line(lmi_mc *m, lmail_str line, lmi_origin at)
{
    lmail_str rest = lmi_mc_trim(lmi_str_sub(line, 0, find_dnl(line)));
    if (rest.len < 2 || rest.ptr[0] == '#')
        return;
    char what = rest.ptr[0], class = rest.ptr[1];
    rest = lmi_mc_trim(lmi_str_skip(rest, 2));
    if (what == 'C' && (class == 'w' || class == 'R')) {
        lmi_mc_append(m, class == 'w' ? LMI_MC_LOCAL_DOMAINS : LMI_MC_RELAY_DOMAINS, rest, at);
    } else if (what == 'F' && (class == 'w' || class == 'R')) {
        lmail_str path;
        if (!lmi_mc_map(m, LMAIL_STR("a class file"), rest, "", at, &path))
            return;
        if (class == 'R') {
            lmi_mc_append(m, LMI_MC_RELAY_DOMAIN_FILES, path, at);
        } else {
            m->use_cw_file = 1;
            lmi_mc_set(m, "policy.local_host_names", path, at);
        }
    } else {
        LMI_MC_SAY(m, LMAIL_ERROR, at, LMAIL_STR("\""), shown(line),
                   LMAIL_STR("\" cannot be imported; only Cw, CR, Fw and FR lines can"));
    }
}

void lmi_mc_do_local_config(lmi_mc *m, const lmi_mc_call *call)
{
    (void)call;
    m->local_config = 1;
    m->raw_rules = 0;
}

void lmi_mc_do_builtin(lmi_mc *m, const lmi_mc_call *call)
{
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name, LMAIL_STR(" cannot be imported"));
}

void lmi_mc_do_raw(lmi_mc *m, const lmi_mc_call *call)
{
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name, LMAIL_STR(" cannot be imported"));
    m->local_config = 0;
    m->raw_rules = call->name.ptr[0] <= 'Z'; /* LOCAL_RULE_0 and the like: rules follow */
}

static void text(lmi_mc *m, lmi_mc_token t)
{
    if (m->diverted)
        return;
    lmail_str rest = lmi_mc_rest(m);
    lmail_str line = line_of(m, t, rest);
    if (m->local_config)
        config_line(m, line, t.at);
    else if (!m->raw_rules && m->hash_line != t.at.line)
        say_text(m, t, rest, line);
    lmi_mc_skip(m, rest.len);
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* These are obeyed without parentheses too. */
static int stands_alone(const lmi_mc *m, const lmi_mc_name *name)
{
    return name->handle == lmi_mc_do_divert || name->handle == lmi_mc_do_local_config ||
           (name->handle == lmi_mc_do_raw && name->name[0] <= 'Z') ||
           (name->handle == lmi_mc_do_builtin && !m->diverted);
}

static int is_raw(const lmi_mc_name *name)
{
    return name->handle == lmi_mc_do_raw || name->handle == lmi_mc_do_builtin;
}

static void word(lmi_mc *m, lmi_mc_token t)
{
    if (lmail_str_equal(t.text, LMAIL_STR("dnl"))) {
        delete_line(m, t.at);
        return;
    }
    lmi_mc_macro *macro = lmi_mc_macro_get(m, t.text);
    const lmi_mc_name *name = lmi_mc_find_name(t.text);
    int call = lmi_mc_at(m, '(');
    if (macro || (name && (call || stands_alone(m, name)))) {
        if (name && !is_raw(name) && call && m->local_config)
            m->local_config = m->raw_rules = 0; /* a directive ends the lines */
        if (name && !is_raw(name))
            m->raw_rules = 0;
        lmi_mc_do_call(m, name, macro, t);
        m->call_line = m->depth ? m->frames[m->depth - 1].where.line : 0;
    } else if (call && !m->diverted && !m->local_config && !m->raw_rules &&
               m->hash_line != t.at.line) {
        say_unknown(m, t);
        lmi_mc_skip(m, lmi_mc_rest(m).len);
    } else {
        text(m, t);
    }
}

void lmi_mc_top(lmi_mc *m)
{
    for (;;) {
        lmi_mc_token t = lmi_mc_next(m);
        switch (t.kind) {
        case LMI_MC_END:
            return;
        case LMI_MC_BLANK:
        case LMI_MC_LINE:
            break;
        case LMI_MC_HASH:
            hash(m, t.at);
            break;
        case LMI_MC_WORD:
            word(m, t);
            break;
        case LMI_MC_QUOTED:
            if (lmi_mc_trim(t.text).len)
                text(m, t);
            break;
        default:
            text(m, t);
        }
    }
}
