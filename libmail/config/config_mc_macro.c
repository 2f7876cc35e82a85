/* config_mc_macro.c - calls of a sendmail.mc: arguments, the administrator's own macros, and the
 * builtins of m4 that such files use. */
#include "config/config_mc.h"

#include <string.h>

/* ---- Macros ---------------------------------------------------------------------------------- */

static lmi_mc_macro **slot(lmi_mc *m, lmail_str name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.ptr[i]) * 16777619u;
    size_t at = hash % (LMI_MC_MAX_MACROS * 2);
    while (m->macros[at] && !lmail_str_equal(m->macros[at]->name, name))
        at = (at + 1) % (LMI_MC_MAX_MACROS * 2);
    return &m->macros[at];
}

lmi_mc_macro *lmi_mc_macro_get(lmi_mc *m, lmail_str name)
{
    lmi_mc_macro *macro = *slot(m, name);
    return macro && macro->defined ? macro : NULL;
}

void lmi_mc_define(lmi_mc *m, lmail_str name, lmail_str value, lmi_origin at)
{
    lmi_mc_macro **place = slot(m, name);
    if (!*place && m->macro_count == LMI_MC_MAX_MACROS) {
        LMI_MC_SAY(m, LMAIL_ERROR, at, LMAIL_STR("too many names are defined"));
        m->stopped = 1;
        return;
    }
    if (!*place) {
        *place = lmi_arena_zget(&m->arena, sizeof **place);
        if (!*place) {
            m->r->failed = LMAIL_ERR_NOMEM;
            return;
        }
        m->order[m->macro_count++] = *place;
    }
    lmi_mc_macro *macro = *place;
    if (macro->defined && macro->at.line && lmi_mc_known_variable(name) &&
        !lmail_str_equal(lmi_mc_trim(macro->value), lmi_mc_trim(value))) {
        char line[20];
        lmail_str number = {line, lmi_write_u64(line, macro->at.line)};
        LMI_MC_SAY(m, LMAIL_WARNING, at, name, LMAIL_STR(" is defined already at "), macro->at.file,
                   LMAIL_STR(":"), number, LMAIL_STR(" with another value; this one holds"));
    }
    *macro = (lmi_mc_macro){name, value, at, 1, macro->used};
}

/* ---- Arguments ------------------------------------------------------------------------------- */

lmail_status lmi_mc_write(lmi_mc *m, lmi_mc_text *t, lmail_str piece)
{
    if (t->cap - t->len < piece.len) {
        size_t cap = (t->len + piece.len) * 2;
        char *bigger = lmi_arena_get(&m->arena, cap);
        if (!bigger) {
            m->r->failed = LMAIL_ERR_NOMEM;
            return LMAIL_ERR_NOMEM;
        }
        if (t->len)
            memcpy(bigger, t->ptr, t->len);
        *t = (lmi_mc_text){bigger, t->len, cap};
    }
    if (piece.len)
        memcpy(t->ptr + t->len, piece.ptr, piece.len);
    t->len += piece.len;
    return LMAIL_OK;
}

/* One argument as it grows; a single piece is not copied. */
typedef struct argument {
    lmail_str only;
    lmi_mc_text text;
    unsigned pieces;
} argument;

static void add(lmi_mc *m, argument *a, lmail_str piece)
{
    if (a->pieces++ == 0) {
        a->only = piece;
        return;
    }
    if (a->pieces == 2)
        lmi_mc_write(m, &a->text, a->only);
    lmi_mc_write(m, &a->text, piece);
}

static lmail_str whole(const argument *a)
{
    return a->pieces < 2 ? a->only : (lmail_str){a->text.ptr, a->text.len};
}

/* A word inside an argument: a call, a macro, dnl, or text. */
static void word_inside(lmi_mc *m, lmi_mc_token t, argument *a, int is_name)
{
    if (lmail_str_equal(t.text, LMAIL_STR("dnl"))) {
        lmi_mc_skip_line(m);
        return;
    }
    int call = lmi_mc_at(m, '(');
    lmi_mc_macro *macro = is_name ? NULL : lmi_mc_macro_get(m, t.text);
    const lmi_mc_name *name = call ? lmi_mc_find_name(t.text) : NULL;
    if (macro || name)
        lmi_mc_do_call(m, name, macro, t);
    else
        add(m, a, t.text);
}

/* Behind the "(". 1: all read; 0: the text ended first. */
static int read_arguments(lmi_mc *m, lmi_mc_call *call, lmi_origin open, int raw)
{
    argument a = {{NULL, 0}, {NULL, 0, 0}, 0};
    unsigned level = 0;
    for (;;) {
        lmi_mc_token t = lmi_mc_next(m);
        if (t.kind == LMI_MC_END) {
            if (!m->stopped && !m->r->failed)
                LMI_MC_SAY(m, LMAIL_ERROR, open, LMAIL_STR("the \"(\" behind "), call->name,
                           LMAIL_STR(" is never closed"));
            m->stopped = 1;
            return 0;
        }
        int ends = level == 0 && (t.kind == LMI_MC_COMMA || t.kind == LMI_MC_CLOSE);
        if (ends) {
            if (call->count == LMI_MC_MAX_ARGS) {
                LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name,
                           LMAIL_STR(" has too many arguments"));
                m->stopped = 1;
                return 0;
            }
            call->arg[call->count++] = whole(&a);
            a = (argument){{NULL, 0}, {NULL, 0, 0}, 0};
            if (t.kind == LMI_MC_CLOSE)
                return 1;
        } else if (t.kind == LMI_MC_WORD) {
            word_inside(m, t, &a, raw && call->count == 0 && a.pieces == 0);
        } else if (a.pieces || (t.kind != LMI_MC_BLANK && t.kind != LMI_MC_LINE)) {
            level += t.kind == LMI_MC_OPEN;
            level -= t.kind == LMI_MC_CLOSE;
            add(m, &a, t.text);
        }
    }
}

lmail_str lmi_mc_evaluate(lmi_mc *m, lmail_str text, lmi_origin at)
{
    argument a = {{NULL, 0}, {NULL, 0, 0}, 0};
    m->depth = 0;
    lmi_mc_push(m, text, at, 1);
    for (lmi_mc_token t = lmi_mc_next(m); t.kind != LMI_MC_END; t = lmi_mc_next(m)) {
        if (t.kind == LMI_MC_WORD)
            word_inside(m, t, &a, 0);
        else
            add(m, &a, t.text);
    }
    return lmi_mc_trim(whole(&a));
}

/* Damage that shows in the arguments. 1: complained. */
static int damaged(lmi_mc *m, const lmi_mc_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        lmail_str s = lmi_mc_trim(call->arg[i]), opens = {NULL, 0};
        if (lmi_mc_strange_quote(lmi_str_sub(s, 0, 64)) == 1)
            opens = LMAIL_STR("typographic quotes (U+2018, U+2019)");
        else if (s.len > 1 && s.ptr[0] == '\'')
            opens = LMAIL_STR("an argument opens with '");
        else if (s.len && (s.ptr[0] & 0x80) && lmi_mc_strange_quote(lmi_str_sub(s, 0, 2)) == 2)
            opens = LMAIL_STR("an argument opens with an acute accent (U+00B4)");
        if (!opens.len)
            continue;
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, opens, LMAIL_STR("; use ` to open and ' to close"));
        return 1;
    }
    return 0;
}

void lmi_mc_do_call(lmi_mc *m, const lmi_mc_name *name, lmi_mc_macro *macro, lmi_mc_token word)
{
    lmi_mc_call call;
    memset(&call, 0, sizeof call);
    call.name = word.text;
    call.at = word.at;
    if (lmi_mc_at(m, '(')) {
        lmi_mc_skip(m, 1);
        if (++m->nesting > LMI_MC_MAX_NESTING) {
            LMI_MC_SAY(m, LMAIL_ERROR, word.at, LMAIL_STR("calls are nested too deeply"));
            m->stopped = 1;
            return;
        }
        int read = read_arguments(m, &call, word.at, name && name->raw);
        m->nesting--;
        if (!read)
            return;
    }
    if (macro) {
        lmi_mc_expand(m, macro, &call);
        return;
    }
    if (name->handle == lmi_mc_do_nothing || !damaged(m, &call))
        name->handle(m, &call);
}

/* ---- Expanding ------------------------------------------------------------------------------- */

static void put_all(lmi_mc *m, lmi_mc_text *out, const lmi_mc_call *call, int quote)
{
    for (size_t i = 0; i < call->count; i++) {
        if (i)
            lmi_mc_write(m, out, LMAIL_STR(","));
        if (quote)
            lmi_mc_write(m, out, LMAIL_STR("`"));
        lmi_mc_write(m, out, call->arg[i]);
        if (quote)
            lmi_mc_write(m, out, LMAIL_STR("'"));
    }
}

/* "$" and what follows it in a macro's text; returns the octets taken. */
static size_t parameter(lmi_mc *m, lmi_mc_text *out, lmail_str rest, const lmi_mc_call *call)
{
    char c = rest.len > 1 ? rest.ptr[1] : '\0';
    if (c == '0') {
        lmi_mc_write(m, out, call->name);
    } else if (c > '0' && c <= '9') {
        lmi_mc_write(m, out, call->arg[c - '1']);
    } else if (c == '#') {
        char number[20];
        lmi_mc_write(m, out, (lmail_str){number, lmi_write_u64(number, call->count)});
    } else if (c == '*' || c == '@') {
        put_all(m, out, call, c == '@');
    } else {
        lmi_mc_write(m, out, lmi_str_sub(rest, 0, 1));
        return 1;
    }
    return 2;
}

void lmi_mc_expand(lmi_mc *m, lmi_mc_macro *macro, const lmi_mc_call *call)
{
    lmail_str rest = macro->value;
    lmi_mc_text out = {NULL, 0, 0};
    macro->used = 1;
    if (++m->expansions > LMI_MC_MAX_EXPANSIONS) {
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("macros are expanded without end"));
        m->stopped = 1;
        return;
    }
    if (lmi_str_find(rest, '$') == rest.len) {
        lmi_mc_push(m, rest, call->at, 1);
        return;
    }
    while (rest.len && !m->r->failed) {
        size_t n = lmi_str_find(rest, '$');
        lmi_mc_write(m, &out, lmi_str_sub(rest, 0, n));
        rest = lmi_str_skip(rest, n);
        if (rest.len)
            rest = lmi_str_skip(rest, parameter(m, &out, rest, call));
    }
    lmi_mc_push(m, (lmail_str){out.ptr, out.len}, call->at, 1);
}

/* ---- Builtins -------------------------------------------------------------------------------- */

static int is_name(lmail_str s)
{
    if (!s.len || (s.ptr[0] >= '0' && s.ptr[0] <= '9'))
        return 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!(c == '_' || (c >= '0' && c <= '9') ||
              (lmi_ascii_lower(c) >= 'a' && lmi_ascii_lower(c) <= 'z')))
            return 0;
    }
    return 1;
}

void lmi_mc_do_define(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str name = lmi_mc_trim(call->arg[0]);
    if (!is_name(name))
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("define needs a name, found \""), name,
                   LMAIL_STR("\""));
    else
        lmi_mc_define(m, name, call->arg[1], call->at);
    for (size_t i = 2; i < call->count && lmi_mc_known_variable(name); i++)
        if (lmi_mc_trim(call->arg[i]).len) {
            LMI_MC_SAY(m, LMAIL_WARNING, call->at, name, LMAIL_STR(": \""),
                       lmi_mc_trim(call->arg[i]),
                       LMAIL_STR("\" is lost: define reads two arguments; put quotes around the "
                                 "value"));
            break;
        }
}

void lmi_mc_do_undefine(lmi_mc *m, const lmi_mc_call *call)
{
    lmi_mc_macro *macro = lmi_mc_macro_get(m, lmi_mc_trim(call->arg[0]));
    if (macro)
        macro->defined = 0;
}

static void branch(lmi_mc *m, const lmi_mc_call *call, lmail_str text)
{
    if (++m->expansions > LMI_MC_MAX_EXPANSIONS) {
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("macros are expanded without end"));
        m->stopped = 1;
    } else if (text.len) {
        lmi_mc_push(m, text, call->at, 1);
    }
}

void lmi_mc_do_ifdef(lmi_mc *m, const lmi_mc_call *call)
{
    int defined = lmi_mc_macro_get(m, lmi_mc_trim(call->arg[0])) != NULL;
    branch(m, call, defined ? call->arg[1] : call->arg[2]);
}

void lmi_mc_do_ifelse(lmi_mc *m, const lmi_mc_call *call)
{
    size_t i = 0;
    for (; i + 2 < call->count; i += 3)
        if (lmail_str_equal(call->arg[i], call->arg[i + 1])) {
            branch(m, call, call->arg[i + 2]);
            return;
        }
    if (i > 0 && i < call->count)
        branch(m, call, call->arg[i]);
}

void lmi_mc_do_divert(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str where = lmi_mc_trim(call->arg[0]);
    m->diverted = where.len && where.ptr[0] == '-';
    m->local_config = m->raw_rules = 0;
}

/* The language's own definitions: named by each file, and built in here. */
static int is_cf_m4(lmail_str name)
{
    const lmail_str tail = LMAIL_STR("m4/cf.m4");
    return name.len >= tail.len && lmail_str_equal(lmi_str_skip(name, name.len - tail.len), tail);
}

void lmi_mc_do_include(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str name = lmi_mc_trim(call->arg[0]);
    if (is_cf_m4(name))
        m->diverted = 0;
    else if (!name.len)
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("include needs a file name"));
    else
        lmi_mc_include(m, name, call->at, 1);
}

void lmi_mc_do_sinclude(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str name = lmi_mc_trim(call->arg[0]);
    if (is_cf_m4(name))
        m->diverted = 0;
    else if (name.len)
        lmi_mc_include(m, name, call->at, 0);
}

void lmi_mc_do_nothing(lmi_mc *m, const lmi_mc_call *call)
{
    (void)m;
    (void)call;
}
