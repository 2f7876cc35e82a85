/* config_mc_read.c - a sendmail.mc as a whole: reads it, then makes settings of what it said.
 *
 * Directives are obeyed as they come; what define() gave is looked at behind the last line, since
 * the last definition holds. Called by lmail_config_load. */
#include "config/config_mc.h"

#include <string.h>

/* ---- Saying ---------------------------------------------------------------------------------- */

void lmi_mc_say(lmi_mc *m, lmail_severity severity, lmi_origin where, const lmail_str *pieces,
                size_t count)
{
    if (m->errors > LMI_MC_MAX_ERRORS)
        return;
    lmi_config_say(m->r, severity, where, pieces, count);
    m->errors += severity == LMAIL_ERROR;
    if (m->errors > LMI_MC_MAX_ERRORS) {
        LMI_SAY(m->r, LMAIL_ERROR, where, LMAIL_STR("too many errors; reading ends here"));
        m->stopped = 1;
    }
}

void lmi_mc_unused(lmi_mc *m, lmi_origin at, const lmail_str *pieces, size_t count)
{
    char name[96];
    lmail_str what = {name, 0};
    for (size_t i = 0; i < count; i++) {
        lmail_str piece = lmi_str_sub(pieces[i], 0, sizeof name - what.len);
        if (piece.len)
            memcpy(name + what.len, piece.ptr, piece.len);
        what.len += piece.len;
    }
    for (size_t i = 0; i < m->unused_count; i++)
        if (lmail_str_equal(m->unused[i], what))
            return;
    if (m->unused_count < LMI_MC_MAX_UNUSED &&
        lmi_arena_copy(&m->arena, what, &m->unused[m->unused_count++]))
        m->r->failed = LMAIL_ERR_NOMEM;
    LMI_MC_SAY(m, LMAIL_WARNING, at, what, LMAIL_STR(" has no effect here"));
}

/* ---- Setting --------------------------------------------------------------------------------- */

void lmi_mc_set(lmi_mc *m, const char *key, lmail_str value, lmi_origin at)
{
    at.rank = LMI_RANK_IMPORTED;
    lmi_config_assign(m->r, NULL, lmail_str_from(key), value, at);
}

uint64_t lmi_mc_bounded(lmi_mc *m, lmail_str what, const lmi_setting *row, uint64_t value,
                        const char *unit, lmi_origin at)
{
    uint64_t bound = value < row->min ? row->min : value > row->max ? row->max : value;
    if (bound == value)
        return value;
    char text[32];
    lmail_str number = {text, lmi_write_u64(text, *unit ? bound / 1000 : bound)};
    LMI_MC_SAY(m, LMAIL_WARNING, at, what,
               bound > value ? LMAIL_STR(": so little is not possible here; ")
                             : LMAIL_STR(": so much is not possible here; "),
               number, *unit ? LMAIL_STR(" s") : (lmail_str){NULL, 0}, LMAIL_STR(" holds"));
    return bound;
}

void lmi_mc_set_number(lmi_mc *m, lmail_str what, const char *key, uint64_t value, const char *unit,
                       lmi_origin at)
{
    char text[32];
    size_t n =
        lmi_write_u64(text, lmi_mc_bounded(m, what, lmi_config_setting(key), value, unit, at));
    memcpy(text + n, unit, strlen(unit));
    lmi_mc_set(m, key, (lmail_str){text, n + strlen(unit)}, at);
}

void lmi_mc_set_unlimited(lmi_mc *m, lmail_str what, const char *key, lmi_origin at)
{
    lmail_str standard = lmail_str_from(lmi_config_setting(key)->standard);
    if (!lmail_str_equal(standard, LMAIL_STR("0")) &&
        lmi_config_origin(m->r->config, key).rank != LMI_RANK_NATIVE)
        LMI_MC_SAY(m, LMAIL_NOTICE, at, what, LMAIL_STR(": \"no limit\" is libmail's own here: "),
                   lmail_str_from(key), LMAIL_STR(" = "), standard);
    lmi_mc_set(m, key, standard, at);
}

void lmi_mc_standard(lmi_mc *m, const char *key, const char *value)
{
    lmi_config_assign(m->r, NULL, lmail_str_from(key), lmail_str_from(value),
                      (lmi_origin){m->file, 0, LMI_RANK_STANDARD});
}

void lmi_mc_append(lmi_mc *m, lmi_mc_list_id id, lmail_str words, lmi_origin at)
{
    lmi_mc_list *list = &m->lists[id];
    if (!list->set)
        list->at = at;
    list->set = 1;
    while (words.len && !m->r->failed) {
        size_t end = 0;
        while (end < words.len && (unsigned char)words.ptr[end] > ' ')
            end++;
        if (end) {
            lmi_mc_write(m, &list->text, LMAIL_STR(" "));
            lmi_mc_write(m, &list->text, lmi_str_sub(words, 0, end));
        }
        words = lmi_str_skip(words, end + 1);
    }
}

static void set_lists(lmi_mc *m)
{
    static const char *const keys[LMI_MC_LISTS] = {
        [LMI_MC_LOCAL_DOMAINS] = "policy.local_domains",
        [LMI_MC_RELAY_DOMAINS] = "policy.relay_domains",
        [LMI_MC_RELAY_DOMAIN_FILES] = "policy.relay_domain_files",
        [LMI_MC_TRUSTED_MECHANISMS] = "policy.trusted_mechanisms",
        [LMI_MC_MASQUERADE_DOMAINS] = "masquerade.domains",
        [LMI_MC_MASQUERADE_DOMAIN_FILES] = "masquerade.domain_files",
        [LMI_MC_MASQUERADE_EXCEPTIONS] = "masquerade.exceptions",
        [LMI_MC_MASQUERADE_EXCEPTION_FILES] = "masquerade.exception_files",
        [LMI_MC_EXPOSED_USERS] = "masquerade.exposed_users",
        [LMI_MC_EXPOSED_USER_FILES] = "masquerade.exposed_user_files",
        [LMI_MC_VIRTUSER_DOMAINS] = "routing.virtuser_domains",
        [LMI_MC_VIRTUSER_DOMAIN_FILES] = "routing.virtuser_domain_files",
        [LMI_MC_GENERICS_DOMAINS] = "routing.generics_domains",
        [LMI_MC_GENERICS_DOMAIN_FILES] = "routing.generics_domain_files",
        [LMI_MC_MILTERS] = "smtp.milters",
        [LMI_MC_CLIENT_ADDRESSES] = "client.address"};
    for (size_t i = 0; i < LMI_MC_LISTS; i++) {
        const lmi_mc_list *list = &m->lists[i];
        if (list->set)
            lmi_mc_set(m, keys[i], (lmail_str){list->text.ptr, list->text.len}, list->at);
    }
}

lmi_section *lmi_mc_section(lmi_mc *m, lmi_section_id id, lmail_str name, lmi_origin at)
{
    lmi_section *s = lmi_config_section(m->r, id, name, at);
    if (!s && m->r->config->sections[id].count == LMI_MAX_SECTIONS)
        m->stopped = 1;
    return s;
}

/* ---- Words and values ------------------------------------------------------------------------ */

lmail_str lmi_mc_trim(lmail_str s)
{
    while (s.len && (unsigned char)s.ptr[0] <= ' ')
        s = lmi_str_skip(s, 1);
    while (s.len && (unsigned char)s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}

lmail_str lmi_mc_word(lmail_str *rest, const char *stops)
{
    size_t at = 0;
    while (at < rest->len && ((unsigned char)rest->ptr[at] <= ' ' || strchr(stops, rest->ptr[at])))
        at++;
    size_t end = at;
    while (end < rest->len && (unsigned char)rest->ptr[end] > ' ' && !strchr(stops, rest->ptr[end]))
        end++;
    lmail_str word = lmi_str_sub(*rest, at, end - at);
    *rest = lmi_str_skip(*rest, end);
    return word;
}

int lmi_mc_number(lmi_mc *m, lmail_str what, lmail_str value, lmi_origin at, uint64_t *out)
{
    lmail_status st = lmi_parse_u64(value, out);
    if (!st)
        return 1;
    LMI_MC_SAY(m, LMAIL_ERROR, at, what, LMAIL_STR(": \""), value,
               st == LMAIL_ERR_LIMIT ? LMAIL_STR("\" is too large a number")
                                     : LMAIL_STR("\" is no number; write plain digits"));
    return 0;
}

static uint64_t unit_of(char c)
{
    switch (c) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 604800;
    default:
        return 0;
    }
}

int lmi_mc_time(lmi_mc *m, lmail_str what, lmail_str value, uint64_t unit, lmi_origin at,
                uint64_t *out)
{
    lmail_str rest = value;
    uint64_t total = 0;
    int good = rest.len > 0;
    while (good && rest.len) {
        size_t digits = 0;
        while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9')
            digits++;
        uint64_t n, factor = digits == rest.len ? unit : unit_of(rest.ptr[digits]);
        good = factor && !lmi_parse_u64(lmi_str_sub(rest, 0, digits), &n) && n <= 100000000;
        if (good)
            total += n * factor * 1000;
        rest = lmi_str_skip(rest, digits + 1);
    }
    if (good)
        *out = total;
    else
        LMI_MC_SAY(m, LMAIL_ERROR, at, what, LMAIL_STR(": \""), value,
                   LMAIL_STR("\" is no time; write numbers with s, m, h, d or w"));
    return good;
}

int lmi_mc_boolean(lmi_mc *m, lmail_str what, lmail_str value, lmi_origin at, unsigned *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "f", "t", "n", "y"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (lmail_str_equal_nocase(value, lmail_str_from(words[i]))) {
            *out = i % 2;
            return 1;
        }
    LMI_MC_SAY(m, LMAIL_ERROR, at, what, LMAIL_STR(": \""), value,
               LMAIL_STR("\" is neither True nor False"));
    return 0;
}

int lmi_mc_map(lmi_mc *m, lmail_str what, lmail_str argument, const char *standard, lmi_origin at,
               lmail_str *path)
{
    static const char *const files[] = {"hash", "btree", "dbm", "text", "cdb", "implicit"};
    lmail_str rest = argument, word, found = {NULL, 0};
    int optional = 0;
    for (word = lmi_mc_word(&rest, ""); word.len; word = lmi_mc_word(&rest, "")) {
        int known = 0;
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            known |= lmail_str_equal(word, lmail_str_from(files[i]));
        if (word.ptr[0] == '-') {
            optional |= word.len > 1 && word.ptr[1] == 'o';
        } else if (lmi_str_find(word, '/') < word.len) {
            found = word;
        } else if (!known) {
            LMI_MC_SAY(m, LMAIL_ERROR, at, what, LMAIL_STR(": a map \""), word,
                       LMAIL_STR("\" cannot be imported; a text file can"));
            return 0;
        }
    }
    if (!found.len)
        found = lmail_str_from(standard);
    if (!found.len) {
        LMI_MC_SAY(m, LMAIL_ERROR, at, what, LMAIL_STR(" needs the path of a file"));
        return 0;
    }
    lmi_mc_text text = {NULL, 0, 0};
    if (optional)
        lmi_mc_write(m, &text, LMAIL_STR("-"));
    lmi_mc_write(m, &text, found);
    *path = (lmail_str){text.ptr, text.len};
    return !m->r->failed;
}

/* ---- The file -------------------------------------------------------------------------------- */

lmail_str lmi_mc_value(lmi_mc *m, const char *name, lmi_origin *at)
{
    lmi_mc_macro *macro = lmi_mc_macro_get(m, lmail_str_from(name));
    if (!macro || !macro->at.line)
        return (lmail_str){NULL, 0};
    *at = macro->at;
    return lmi_mc_evaluate(m, macro->value, macro->at);
}

static void finish(lmi_mc *m)
{
    lmi_mc_settings(m);
    lmi_mc_feature_standards(m);
    set_lists(m);
    lmi_mc_auth_standards(m);
    lmi_mc_listener_standards(m);
    m->r->claimed |= LMI_CLAIM_SMTP;
}

/* What the language defines before it reads the file. */
static void predefine(lmi_mc *m)
{
    const lmi_origin nowhere = {m->file, 0, LMI_RANK_STANDARD};
    lmi_mc_define(m, LMAIL_STR("MAIL_SETTINGS_DIR"), LMAIL_STR("/etc/mail/"), nowhere);
    lmi_mc_define(m, LMAIL_STR("_CF_DIR_"), LMAIL_STR(""), nowhere);
}

void lmi_config_read_mc(lmi_reader *r, lmail_str name, lmi_origin from)
{
    lmi_mc *m = lmi_zalloc(&r->config->alloc, sizeof *m);
    if (!m) {
        r->failed = LMAIL_ERR_NOMEM;
        return;
    }
    m->r = r;
    lmi_arena_init(&m->arena, &r->config->alloc, LMI_MC_CEILING);
    if (lmi_arena_copy(&r->config->arena, name, &m->file))
        r->failed = LMAIL_ERR_NOMEM;
    predefine(m);
    lmi_mc_open(m, m->file, from, 1);
    if (m->depth) {
        lmi_mc_top(m);
        if (!r->failed && !m->stopped)
            finish(m);
    }
    for (size_t i = 0; r->io->close && i < m->files; i++)
        r->io->close(r->io->ctx, m->opened[i]);
    lmi_arena_done(&m->arena);
    lmi_free(&r->config->alloc, m, sizeof *m);
}
