/* config_dovecot_value.c - values of a dovecot.conf: lists, yes and no, times, %variables. */
#include "config/config_dovecot.h"

#include <string.h>

lmail_str lmi_dv_join(lmi_dv *d, const lmail_str *pieces, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    char *out = lmi_arena_get(&d->arena, len + 1);
    if (!out) {
        d->r->failed = LMAIL_ERR_NOMEM;
        return (lmail_str){NULL, 0};
    }
    len = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len)
            memcpy(out + len, pieces[i].ptr, pieces[i].len);
        len += pieces[i].len;
    }
    return (lmail_str){out, len};
}

lmail_str lmi_dv_word(lmail_str *rest)
{
    size_t at = 0;
    while (at < rest->len && ((unsigned char)rest->ptr[at] <= ' ' || rest->ptr[at] == ','))
        at++;
    size_t end = at;
    while (end < rest->len && (unsigned char)rest->ptr[end] > ' ' && rest->ptr[end] != ',')
        end++;
    lmail_str word = lmi_str_sub(*rest, at, end - at);
    *rest = lmi_str_skip(*rest, end);
    return word;
}

int lmi_dv_is_yes(lmi_dv *d, lmail_str name, const lmi_dv_value *v)
{
    static const char *const words[] = {"no", "yes", "n", "y", "0", "1", "false", "true"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (lmail_str_equal_nocase(v->text, lmail_str_from(words[i])))
            return (int)(i & 1);
    LMI_DV_SAY(d, LMAIL_ERROR, v->at, name, LMAIL_STR(" = \""), v->text,
               LMAIL_STR("\" is neither yes nor no"));
    return 0;
}

/* Milliseconds in the unit that a word begins to name; 0: none. */
static uint64_t unit_of(lmail_str word)
{
    static const struct unit {
        const char *name;
        uint64_t msec;
    } units[] = {{"msecs", 1},       {"milliseconds", 1},  {"seconds", 1000},
                 {"minutes", 60000}, {"mins", 60000},      {"hours", 3600000},
                 {"days", 86400000}, {"weeks", 604800000}, {"secs", 1000}};
    if (!word.len)
        return 1000;
    if (lmail_str_equal_nocase(word, LMAIL_STR("m")))
        return 60000;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (lmi_str_has_prefix_nocase(lmail_str_from(units[i].name), word))
            return units[i].msec;
    return 0;
}

lmail_str lmi_dv_time(lmi_dv *d, lmail_str name, const lmi_dv_value *v)
{
    size_t digits = 0;
    uint64_t n, unit;
    while (digits < v->text.len && v->text.ptr[digits] >= '0' && v->text.ptr[digits] <= '9')
        digits++;
    unit = unit_of(lmi_dv_trim(lmi_str_skip(v->text, digits)));
    if (!digits || !unit || lmi_parse_u64(lmi_str_sub(v->text, 0, digits), &n) ||
        n > UINT64_MAX / unit) {
        LMI_DV_SAY(d, LMAIL_ERROR, v->at, name, LMAIL_STR(" = \""), v->text,
                   LMAIL_STR("\" is no time, as 2 secs"));
        return (lmail_str){NULL, 0};
    }
    char text[20];
    return LMI_DV_JOIN(d, (lmail_str){text, lmi_write_u64(text, n * unit)}, LMAIL_STR(" ms"));
}

/* ---- %variables ------------------------------------------------------------------------------ */

/* What stands inside %{ }: "user | username | lower". '\0': nothing of ours. */
static char long_variable(lmail_str s)
{
    char is = '\0';
    for (size_t i = 0; s.len || !i; i++) {
        size_t end = lmi_str_find(s, '|');
        lmail_str part = lmi_dv_trim(lmi_str_sub(s, 0, end));
        s = lmi_str_skip(s, end + 1);
        if (i == 0)
            is = lmail_str_equal(part, LMAIL_STR("user"))       ? 'u'
                 : lmail_str_equal(part, LMAIL_STR("username")) ? 'n'
                 : lmail_str_equal(part, LMAIL_STR("domain"))   ? 'd'
                 : lmail_str_equal(part, LMAIL_STR("home"))     ? 'h'
                                                                : '\0';
        else if (is == 'u' && lmail_str_equal(part, LMAIL_STR("username")))
            is = 'n';
        else if (is == 'u' && lmail_str_equal(part, LMAIL_STR("domain")))
            is = 'd';
        else if (!lmail_str_equal(part, LMAIL_STR("lower")))
            is = '\0';
        if (!is)
            break;
    }
    return is;
}

/* The variable at a '%': our letter, '%' for itself, '\0' for none; *used octets. */
static char variable(lmail_str s, size_t *used)
{
    size_t at = 1;
    while (at < s.len && s.ptr[at] == 'L') /* names are in lower case always */
        at++;
    if (at == s.len) {
        *used = at;
        return '\0';
    }
    if (s.ptr[at] == '{') {
        lmail_str inside = lmi_str_skip(s, at + 1);
        size_t end = lmi_str_find(inside, '}');
        *used = at + 1 + end + (end < inside.len);
        return end < inside.len ? long_variable(lmi_str_sub(inside, 0, end)) : '\0';
    }
    *used = at + 1;
    if (s.ptr[at] == '%')
        return at == 1 ? '%' : '\0';
    return strchr("undh", s.ptr[at]) ? s.ptr[at] : '\0';
}

lmail_str lmi_dv_template(lmi_dv *d, lmail_str name, const lmi_dv_value *v)
{
    char *out = lmi_arena_get(&d->arena, v->text.len * 2 + 1);
    size_t n = 0;
    if (!out) {
        d->r->failed = LMAIL_ERR_NOMEM;
        return (lmail_str){NULL, 0};
    }
    for (lmail_str s = v->text; s.len;) {
        size_t used = 1;
        if (s.ptr[0] != '%') {
            out[n++] = s.ptr[0];
        } else {
            char letter = variable(s, &used);
            if (!letter) {
                LMI_DV_SAY(d, LMAIL_ERROR, v->at, name, LMAIL_STR(": "), lmi_str_sub(s, 0, used),
                           LMAIL_STR(" cannot be imported; %u, %n, %d and %h can"));
                return (lmail_str){NULL, 0};
            }
            out[n++] = '%';
            out[n++] = letter;
        }
        s = lmi_str_skip(s, used);
    }
    return (lmail_str){out, n};
}

lmail_str lmi_dv_plain(lmi_dv *d, lmail_str name, const lmi_dv_value *v)
{
    lmail_str out = {NULL, 0};
    int dropped = 0;
    for (lmail_str s = v->text; s.len && !d->r->failed;) {
        size_t n = lmi_str_find(s, '%'), used = 0;
        out = LMI_DV_JOIN(d, out, lmi_str_sub(s, 0, n));
        s = lmi_str_skip(s, n);
        if (!s.len)
            break;
        if (variable(s, &used) == '%')
            out = LMI_DV_JOIN(d, out, LMAIL_STR("%"));
        else
            dropped = 1;
        s = lmi_str_skip(s, used);
    }
    if (dropped)
        LMI_DV_SAY(d, LMAIL_NOTICE, v->at, name, LMAIL_STR(": %variables are left out"));
    return lmi_dv_trim(out);
}
