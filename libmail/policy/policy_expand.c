/* policy_expand.c - names of this host: aliases and what they become; the list of destinations.
 *
 * An alias that names itself means the mailbox of that name; one that comes back to itself over
 * others is a loop. Each name is expanded once and each destination stands once, so that the work is
 * bounded by the tables, whatever they hold. */
#include "policy/policy_tables_internal.h"

#include <string.h>

static const lmi_reply_parts no_file = {550, {"5.7.1", 5}, {"Mail to files is not allowed", 28}};
static const lmi_reply_parts no_program = {
    550, {"5.7.1", 5}, {"Mail to programs is not allowed", 31}};
static const lmi_reply_parts too_many = {550, {"5.3.0", 5}, {"The list is too large", 21}};

static const lmail_str none = {NULL, 0};

/* ---- Destinations ---------------------------------------------------------------------------- */

/* 1: it was there already; otherwise it is noted. */
static int seen(lmi_route *w, char kind, lmail_str name, lmail_str more)
{
    lmail_str all =
        lmi_route_join(w, LMI_PIECES((lmail_str){&kind, 1}, name, LMAIL_STR("\n"), more));
    if (w->st || all.len > LMI_MAP_MAX_KEY)
        return w->st != LMAIL_OK;
    lmi_map_entry e = {all.ptr, "", 0, 0, 0, (uint16_t)all.len, 0, 0};
    lmail_status st = lmi_map_add(&w->seen, &e, NULL);
    if (st && st != LMAIL_ERR_EXISTS)
        w->st = st;
    return st != LMAIL_OK;
}

static int is_there(lmi_route *w, const lmail_policy_destination *d)
{
    switch (d->kind) {
    case LMAIL_POLICY_TO_USER:
        return seen(w, d->has_detail ? 'D' : 'U', d->user, d->detail);
    case LMAIL_POLICY_TO_HOST:
        return seen(w, 'H', d->address, none);
    case LMAIL_POLICY_TO_FILE:
    case LMAIL_POLICY_TO_PROGRAM:
        return seen(w, 'P', d->path, d->arguments);
    case LMAIL_POLICY_TO_NOBODY:
        break;
    }
    return seen(w, 'N', d->text, d->rule);
}

static int has_room(lmi_route *w)
{
    lmi_routes *a = w->a;
    if (w->count < a->room)
        return 1;
    size_t want = a->room * 4, size;
    if (lmail_size_mul(want, sizeof *a->items, &size)) {
        w->st = LMAIL_ERR_LIMIT;
        return 0;
    }
    lmail_policy_destination *p = lmi_malloc(&a->alloc, size);
    if (!p) {
        w->st = LMAIL_ERR_NOMEM;
        return 0;
    }
    memcpy(p, a->items, w->count * sizeof *p);
    if (a->items != &a->one)
        lmi_free(&a->alloc, a->items, a->room * sizeof *p);
    a->items = p;
    a->room = want;
    return 1;
}

void lmi_route_put(lmi_route *w, lmail_policy_destination *d, const lmi_route_node *from,
                   const lmi_route_rule *rule)
{
    if (w->st || w->count > w->t->max_destinations)
        return;
    if (rule->table) {
        d->rule = lmail_str_from(rule->table);
        if (rule->key.len)
            d->rule = lmi_route_join(w, LMI_PIECES(d->rule, LMAIL_STR(": "), rule->key));
    }
    d->file = rule->file;
    d->line = rule->line;
    d->sender = from ? from->owner : none;
    if (w->st || (w->uses_seen && is_there(w, d)) || !has_room(w))
        return;
    if (w->count == w->t->max_destinations) {
        d->kind = LMAIL_POLICY_TO_NOBODY;
        d->code = too_many.code;
        d->enhanced = too_many.enhanced;
        d->text = too_many.text;
    }
    w->a->items[w->count++] = *d;
}

/* `name` without quotes, in lower case, in the answer's memory. */
void lmi_route_mailbox(lmi_route *w, lmail_str name, const lmi_route_node *from,
                       const lmi_route_rule *rule)
{
    lmail_policy_destination d = {0};
    size_t at = name.len > 1 ? 1 + lmi_str_find(lmi_str_skip(name, 1), '+') : name.len;
    d.kind = LMAIL_POLICY_TO_USER;
    d.user = lmi_str_sub(name, 0, at);
    d.domain = w->domain;
    d.has_detail = at < name.len;
    d.detail = lmi_str_skip(name, at + 1);
    lmi_route_put(w, &d, from, rule);
}

/* ---- Aliases --------------------------------------------------------------------------------- */

static void expand(lmi_route *w, lmi_target_list list, lmail_str file, const lmi_route_node *node,
                   lmi_route_rule rule);

/* A name as aliases have it. */
lmail_str lmi_route_canonical(lmi_route *w, lmail_str local)
{
    char *p = lmi_arena_get(&w->a->arena, local.len);
    if (!p) {
        w->st = LMAIL_ERR_NOMEM;
        return none;
    }
    size_t n = lmi_local_unquote(local, p);
    lmi_map_fold(p, n);
    return (lmail_str){p, n};
}

static const lmi_map_entry *find(const lmi_route *w, lmail_str head, lmail_str tail)
{
    const lmi_map *m = &w->t->aliases.names;
    const lmi_map_entry *e = lmi_map_find2(m, head, tail);
    lmi_route_step(w, head, tail, m, e, "alias");
    return e;
}

/* name+detail, then name+*, then name. */
static const lmi_map_entry *find_alias(const lmi_route *w, lmail_str name)
{
    if (!w->t->aliases.names.count)
        return NULL;
    const lmi_map_entry *e = find(w, name, none);
    size_t at = name.len > 1 ? 1 + lmi_str_find(lmi_str_skip(name, 1), '+') : name.len;
    if (e || at >= name.len)
        return e;
    e = find(w, lmi_str_sub(name, 0, at), LMAIL_STR("+*"));
    return e ? e : find(w, lmi_str_sub(name, 0, at), none);
}

/* Who is told about a list's failures: owner-NAME's one address, or owner-NAME itself. */
static lmail_str owner_of(lmi_route *w, const lmi_map_entry *e, lmail_str inherited)
{
    const lmi_aliases *a = &w->t->aliases;
    const lmail_str mark = LMAIL_STR("owner-");
    lmail_str name = lmi_map_key(e);
    if (lmi_str_has_prefix_nocase(name, mark))
        name = LMAIL_STR("owner");
    const lmi_map_entry *o = lmi_map_find2(&a->names, mark, name);
    lmi_route_step(w, mark, name, &a->names, o, "owner");
    if (!o || o == e)
        return inherited;
    lmi_target_list list = a->name_lists[o - a->names.entries];
    if (list.count == 1 && a->targets[list.first].kind == LMI_TARGET_ADDRESS)
        return a->targets[list.first].text;
    return lmi_map_key(o);
}

static int is_above(const lmi_route_node *node, const char *key)
{
    for (; node; node = node->parent)
        if (node->key == key)
            return 1;
    return 0;
}

static lmi_route_node below(const lmi_route_node *from, const lmi_map_entry *e)
{
    return (lmi_route_node){from, e->key, from ? from->owner : none, from ? from->depth + 1 : 1};
}

void lmi_route_name(lmi_route *w, lmail_str local, const lmi_route_node *from, lmi_route_rule rule)
{
    const lmi_aliases *a = &w->t->aliases;
    lmail_str name = lmi_route_canonical(w, local);
    if (w->st)
        return;
    const lmi_map_entry *e = find_alias(w, name);
    if (!e || (from && from->key == e->key)) {
        lmi_route_mailbox(w, name, from, &rule);
        return;
    }
    lmi_route_node node = below(from, e);
    rule = lmi_route_rule_of("alias", &a->names, e);
    w->uses_seen = 1;
    if (is_above(from, e->key) || node.depth > w->t->max_depth) {
        lmi_route_refuse(w, &lmi_refusal_loop, from, rule);
        return;
    }
    if (seen(w, 'A', lmi_map_key(e), none))
        return;
    node.owner = owner_of(w, e, node.owner);
    expand(w, a->name_lists[e - a->names.entries], rule.file, &node, rule);
}

static void include(lmi_route *w, lmail_str name, const lmi_route_node *from, lmi_route_rule rule)
{
    const lmi_aliases *a = &w->t->aliases;
    const lmi_map_entry *e = lmi_map_find(&a->includes, name);
    if (!e || e->kind) {
        lmi_route_refuse(w, &lmi_refusal_damaged, from, rule);
        return;
    }
    lmi_route_node node = below(from, e);
    if (is_above(from, e->key) || node.depth > w->t->max_depth)
        lmi_route_refuse(w, &lmi_refusal_loop, from, rule);
    else if (!seen(w, 'I', name, none))
        expand(w, a->include_lists[e - a->includes.entries], name, &node, rule);
}

static void deliver(lmi_route *w, const lmi_target *t, const lmi_route_node *node,
                    const lmi_route_rule *rule)
{
    lmail_policy_destination d = {0};
    d.kind = t->kind == LMI_TARGET_FILE ? LMAIL_POLICY_TO_FILE : LMAIL_POLICY_TO_PROGRAM;
    d.path = t->kind == LMI_TARGET_FILE ? t->text : w->t->programs[t->number];
    d.arguments = t->kind == LMI_TARGET_FILE ? none : t->text;
    lmi_route_put(w, &d, node, rule);
}

static void expand_one(lmi_route *w, const lmi_target *t, const lmi_route_node *node,
                       lmi_route_rule rule)
{
    lmail_str local, domain;
    int has_domain;
    switch (t->kind) {
    case LMI_TARGET_ADDRESS:
        lmi_address_split(t->text, &local, &domain, &has_domain);
        lmi_route_address(w, local, domain, has_domain, node, rule);
        break;
    case LMI_TARGET_MAILBOX:
        local = lmi_route_canonical(w, t->text);
        w->domain = none;
        if (!w->st)
            lmi_route_mailbox(w, local, node, &rule);
        break;
    case LMI_TARGET_INCLUDE:
        include(w, t->text, node, rule);
        break;
    case LMI_TARGET_FILE:
    case LMI_TARGET_PROGRAM:
        deliver(w, t, node, &rule);
        break;
    case LMI_TARGET_NO_FILE:
        lmi_route_refuse(w, &no_file, node, rule);
        break;
    case LMI_TARGET_NO_PROGRAM:
        lmi_route_refuse(w, &no_program, node, rule);
        break;
    case LMI_TARGET_BAD:
        lmi_route_refuse(w, &lmi_refusal_damaged, node, rule);
        break;
    }
}

static void expand(lmi_route *w, lmi_target_list list, lmail_str file, const lmi_route_node *node,
                   lmi_route_rule rule)
{
    for (uint32_t i = 0; !w->st && i < list.count; i++) {
        const lmi_target *t = &w->t->aliases.targets[list.first + i];
        rule.file = file;
        rule.line = t->line;
        expand_one(w, t, node, rule);
    }
}
