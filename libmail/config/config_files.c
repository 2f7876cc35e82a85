/* config_files.c - the files that settings name.
 *
 * Names are relative to the file that names them; one that begins with "-" may be missing; one that
 * ends in .db means the text that it was made from. Never opens a file itself: lmail_config_io.open
 * does. */
#include "config/config_files.h"

#include <string.h>

/* ---- Files ----------------------------------------------------------------------------------- */

/* A map made by a program, without the text beside it. 1: complained. */
static int is_lone_database(lmi_making *m, lmail_str text, lmi_origin at)
{
    const lmail_config_io *io = m->r->io;
    lmail_str octets, database = {text.ptr, text.len + 3};
    lmail_status st = io->open ? io->open(io->ctx, database, &octets) : LMAIL_ERR_NOTFOUND;
    if (st == LMAIL_ERR_NOTFOUND)
        return 0;
    if (st == LMAIL_OK && io->close)
        io->close(io->ctx, octets);
    LMI_SAY(m->r, LMAIL_ERROR, at, database, LMAIL_STR(" is there, but not its text file "), text,
            LMAIL_STR(", which is what libmail reads"));
    return 1;
}

/* What a name says about its file. */
typedef struct wish {
    int database, may_lack;
    lmi_missing missing;
} wish;

static void say_unread(lmi_making *m, lmail_str path, lmail_status st, wish w, lmi_origin at)
{
    if (!w.may_lack || st != LMAIL_ERR_NOTFOUND)
        LMI_SAY(m->r, LMAIL_ERROR, at, LMAIL_STR("cannot read "), path, LMAIL_STR(": "),
                lmail_str_from(lmail_status_text(st)),
                w.database ? LMAIL_STR("; the text that the .db was made from is needed")
                           : LMAIL_STR(""));
    else if (w.missing == LMI_MISSING_TOLD && at.line)
        LMI_SAY(m->r, LMAIL_NOTICE, at, path, LMAIL_STR(" is missing; it counts as empty"));
}

lmail_policy_file lmi_files_take(lmi_making *m, lmail_str name, lmi_missing missing, lmi_origin at)
{
    const lmail_policy_file none = {{NULL, 0}, {NULL, 0}};
    const lmail_config_io *io = m->r->io;
    lmail_policy_file f = none;
    wish w = {0, name.len && name.ptr[0] == '-', missing};
    name = lmi_str_skip(name, (size_t)w.may_lack);
    if (!name.len || m->r->failed)
        return none;
    lmi_lent *l = lmi_arena_get(&m->r->config->arena, sizeof *l);
    if (!l || lmi_config_beside(m->r, at.file, name, &f.name)) {
        m->r->failed = LMAIL_ERR_NOMEM;
        return none;
    }
    w.database =
        f.name.len > 3 && lmail_str_equal(lmi_str_skip(f.name, f.name.len - 3), LMAIL_STR(".db"));
    if (w.database)
        f.name.len -= 3;
    lmail_status st = io->open ? io->open(io->ctx, f.name, &f.octets) : LMAIL_ERR_NOTFOUND;
    if (st) {
        if (!w.database || st != LMAIL_ERR_NOTFOUND || !is_lone_database(m, f.name, at))
            say_unread(m, f.name, st, w, at);
        return none;
    }
    *l = (lmi_lent){m->files, f.octets};
    m->files = l;
    return f;
}

lmail_policy_file lmi_files_named(lmi_making *m, const char *setting, lmail_str name)
{
    return lmi_files_take(m, name, LMI_MISSING_TOLD, lmi_config_origin(m->r->config, setting));
}

void lmi_files_give_back(lmi_making *m)
{
    for (lmi_lent *l = m->files; l; l = l->next)
        if (m->r->io->close)
            m->r->io->close(m->r->io->ctx, l->octets);
    m->files = NULL;
}

/* ---- Names ----------------------------------------------------------------------------------- */

void lmi_names_add(lmi_making *m, lmi_names *n, lmail_str name)
{
    if (n->count == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 16;
        lmail_str *grown = lmi_arena_get(&m->r->config->arena, cap * sizeof *grown);
        if (!grown) {
            m->r->failed = LMAIL_ERR_NOMEM;
            return;
        }
        if (n->count)
            memcpy(grown, n->items, n->count * sizeof *grown);
        n->items = grown;
        n->cap = cap;
    }
    n->items[n->count++] = name;
}

void lmi_names_add_list(lmi_making *m, lmi_names *n, const lmail_str_list *list)
{
    for (size_t i = 0; i < list->count && !m->r->failed; i++)
        lmi_names_add(m, n, list->items[i]);
}

/* The first word of each line. The octets stay until the policy and the tables are made. */
static void add_file(lmi_making *m, lmi_names *n, const lmail_policy_file *f, int told)
{
    lmail_str text = f->octets;
    lmi_origin at = {f->name, 0, LMI_RANK_NATIVE};
    while (text.len && !m->r->failed) {
        lmail_str line = lmi_str_sub(text, 0, lmi_str_find(text, '\n'));
        at.line++;
        text = lmi_str_skip(text, line.len < text.len ? line.len + 1 : line.len);
        if (line.len && line.ptr[0] == '#')
            continue;
        while (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
            line = lmi_str_skip(line, 1);
        size_t len = 0;
        while (len < line.len && (unsigned char)line.ptr[len] > ' ')
            len++;
        if (len)
            lmi_names_add(m, n, lmi_str_sub(line, 0, len));
        while (line.len && (unsigned char)line.ptr[line.len - 1] <= ' ')
            line.len--;
        if (len < line.len && !told)
            LMI_SAY(m->r, LMAIL_WARNING, at,
                    LMAIL_STR("one entry a line, what follows the first word is ignored"));
    }
}

void lmi_names_add_files(lmi_making *m, lmi_names *n, const char *setting,
                         const lmail_str_list *files, lmail_policy_file *first)
{
    lmi_origin at = lmi_config_origin(m->r->config, setting);
    for (size_t i = 0; i < files->count && !m->r->failed; i++) {
        lmail_policy_file f = lmi_files_take(m, files->items[i], LMI_MISSING_SILENT, at);
        if (first && !first->name.len)
            *first = f;
        else
            add_file(m, n, &f, !first);
    }
}

/* ---- Complaints ------------------------------------------------------------------------------ */

void lmi_files_diagnose(void *ctx, const lmail_diagnostic *given)
{
    static const struct about {
        const char *text, *setting;
    } abouts[] = {{"open relay: promiscuous_relay", "policy.promiscuous_relay"},
                  {"open relay: relay_local_from", "policy.relay_local_from"},
                  {"open relay: relay_mail_from", "policy.relay_mail_from"},
                  {"the smart host", "routing.smart_host"},
                  {"the masquerade name", "masquerade.as"}};
    lmi_reader *r = ctx;
    lmail_diagnostic d = *given;
    for (size_t i = 0; !d.file.len && i < sizeof abouts / sizeof *abouts; i++)
        if (lmi_str_has_prefix_nocase(d.text, lmail_str_from(abouts[i].text))) {
            lmi_origin at = lmi_config_origin(r->config, abouts[i].setting);
            d.file = at.file;
            d.line = at.line;
        }
    if (d.severity == LMAIL_ERROR)
        r->errors++;
    if (r->io->diagnostic)
        r->io->diagnostic(r->io->ctx, &d);
}
