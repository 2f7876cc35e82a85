/* policy_route.c - a recipient's way through the tables.
 *
 * The order is the classic installation's (rulesets 3 and 0 of its configuration): domaintable,
 * redirect, virtusertable, aliases for what is local; for the rest address literals, mailertable,
 * smart host, the domain's own MX. An address found in a table takes the whole way again.
 *
 * Routes inside a local part are never looked for here: lmail_policy_rcpt has stripped those that
 * count, and what a stranger wrote into a local part must not choose where mail goes. */
#include "policy/policy_tables_internal.h"

#include <string.h>

const lmi_reply_parts lmi_refusal_loop = {
    554, {"5.4.6", 5}, {"aliasing/forwarding loop broken", 31}};

static const lmi_reply_parts no_user = {553, {"5.1.3", 5}, {"User address required", 21}};
static const lmi_reply_parts no_domain = {553, {"5.1.3", 5}, {"Hostname required", 17}};
static const lmi_reply_parts bad_domain = {553, {"5.1.2", 5}, {"Invalid host name", 17}};
static const lmi_reply_parts too_long = {553, {"5.1.3", 5}, {"Address too long", 16}};

static const lmail_str none = {NULL, 0};

/* An address on its way. */
typedef struct traveller {
    lmail_str local;
    lmail_str domain; /* as written, or domaintable's */
    lmail_str folded;
    const lmi_route_node *from;
    lmi_route_rule rule;
} traveller;

/* ---- The world around it --------------------------------------------------------------------- */

lmail_str lmi_route_join(lmi_route *w, const lmail_str *pieces, size_t count)
{
    size_t size = 0, n = 0;
    for (size_t i = 0; i < count; i++)
        size += pieces[i].len; /* each is bounded by a file or an address */
    char *p = lmi_arena_get(&w->a->arena, size);
    if (!p) {
        w->st = LMAIL_ERR_NOMEM;
        return none;
    }
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len)
            memcpy(p + n, pieces[i].ptr, pieces[i].len);
        n += pieces[i].len;
    }
    return (lmail_str){p, size};
}

void lmi_route_step(const lmi_route *w, lmail_str head, lmail_str tail, const lmi_map *map,
                    const lmi_map_entry *hit, const char *meaning)
{
    char key[2 * LMAIL_POLICY_MAX_ADDRESS];
    lmail_policy_step s = {0};
    if (!w->q->on_step || head.len + tail.len > sizeof key)
        return;
    if (head.len)
        memcpy(key, head.ptr, head.len);
    if (tail.len)
        memcpy(key + head.len, tail.ptr, tail.len);
    s.key = (lmail_str){key, head.len + tail.len};
    s.meaning = lmail_str_from(meaning);
    s.hit = hit != NULL;
    if (hit) {
        s.value = lmi_map_value(hit);
        s.file = lmi_map_source_name(map, hit);
        s.line = hit->line;
    }
    w->q->on_step(w->q->step_ctx, &s);
}

lmi_route_rule lmi_route_rule_of(const char *table, const lmi_map *map, const lmi_map_entry *e)
{
    return (lmi_route_rule){table, lmi_map_key(e), lmi_map_source_name(map, e), e->line};
}

void lmi_route_refuse(lmi_route *w, const lmi_reply_parts *why, const lmi_route_node *from,
                      lmi_route_rule rule)
{
    lmail_policy_destination d = {0};
    d.kind = LMAIL_POLICY_TO_NOBODY;
    d.code = why->code;
    d.enhanced = why->enhanced;
    d.text = why->text;
    lmi_route_put(w, &d, from, &rule);
}

/* A value with its arguments filled in; as it stands when it has none. */
static lmail_str filled(lmi_route *w, lmail_str value, const lmail_str *args, size_t count)
{
    if (lmi_str_find(value, '%') == value.len)
        return value;
    size_t size = lmi_value_fill(value, args, count, NULL, 0);
    char *p = lmi_arena_get(&w->a->arena, size);
    if (!p) {
        w->st = LMAIL_ERR_NOMEM;
        return none;
    }
    lmi_value_fill(value, args, count, p, size);
    return (lmail_str){p, size};
}

/* ---- Hosts ----------------------------------------------------------------------------------- */

static void to_hosts(lmi_route *w, const traveller *v, lmail_str mailer, lmail_str hosts,
                     lmail_str address, lmi_route_rule rule)
{
    int lmtp = lmail_str_equal_nocase(mailer, LMAIL_STR("lmtp"));
    lmail_policy_destination d = {0};
    lmail_policy_host host, *list;
    lmail_str rest = hosts;
    d.kind = LMAIL_POLICY_TO_HOST;
    while (lmi_hosts_next(&rest, lmtp, &host))
        d.host_count++;
    list = lmi_arena_get(&w->a->arena, d.host_count * sizeof *list);
    if (!list) {
        w->st = LMAIL_ERR_NOMEM;
        return;
    }
    for (size_t i = 0; lmi_hosts_next(&hosts, lmtp, &list[i]); i++)
        ;
    d.hosts = list;
    d.mailer = mailer;
    d.address =
        address.len ? address : lmi_route_join(w, LMI_PIECES(v->local, LMAIL_STR("@"), v->domain));
    lmi_route_put(w, &d, v->from, &rule);
}

static void obey(lmi_route *w, const traveller *v, const lmi_triple *t, lmi_route_rule rule)
{
    switch (t->kind) {
    case LMI_TRIPLE_BAD:
        lmi_route_refuse(w, &lmi_refusal_damaged, v->from, rule);
        break;
    case LMI_TRIPLE_ERROR:
        lmi_route_refuse(w, &t->refusal, v->from, rule);
        break;
    case LMI_TRIPLE_LOCAL:
        lmi_route_name(w, t->user.len ? t->user : v->local, v->from, rule);
        break;
    case LMI_TRIPLE_HOSTS: {
        lmail_str whole = {t->user.ptr, t->user.len + 1 + t->hosts.len}; /* user@host */
        to_hosts(w, v, t->mailer, t->hosts, t->user.len ? whole : none, rule);
        break;
    }
    }
}

/* The domain, what is below its suffixes from the longest, then all (ruleset 90). 1: found. */
static int by_mailertable(lmi_route *w, const traveller *v)
{
    const lmi_map *m = &w->t->mailers;
    const lmi_map_entry *e;
    lmail_str front = none, suffix = v->folded;
    if (!m->count)
        return 0;
    for (;;) {
        e = lmi_map_find(m, suffix.len ? suffix : LMAIL_STR("."));
        lmi_route_step(w, suffix.len ? suffix : LMAIL_STR("."), none, m, e, "mailertable");
        if (e || !suffix.len)
            break;
        size_t from = suffix.ptr[0] == '.' ? 1 : 0;
        size_t dot = from + lmi_str_find(lmi_str_skip(suffix, from), '.');
        suffix = lmi_str_skip(suffix, dot < suffix.len ? dot : suffix.len);
        front = lmi_str_sub(v->folded, 0, v->folded.len - suffix.len);
    }
    if (!e)
        return 0;
    lmail_str args[] = {lmi_map_key(e), front}, value = lmi_map_value(e);
    lmi_triple t;
    lmi_triple_parse(value, 0, &t);
    if (!t.lmtp || !t.hosts.len ||
        t.hosts.ptr[0] != '/') { /* nothing of an address stands in a path */
        value = filled(w, value, args, 2);
        lmi_triple_parse(value, 0, &t);
    }
    obey(w, v, &t, lmi_route_rule_of("mailertable", m, e));
    return 1;
}

static void to_elsewhere(lmi_route *w, const traveller *v)
{
    int literal = v->folded.ptr[0] == '[';
    if (!literal && by_mailertable(w, v))
        return;
    if (w->t->smart_host.kind != LMI_TRIPLE_BAD)
        obey(w, v, &w->t->smart_host, (lmi_route_rule){"smart host", none, none, 0});
    else
        to_hosts(w, v, LMAIL_STR("esmtp"), v->folded, none, v->rule);
}

/* ---- Virtual addresses ----------------------------------------------------------------------- */

/* The first entry for an address, and what %0 to %3 are for it. */
static const lmi_map_entry *find_virtual(lmi_route *w, const traveller *v, lmail_str args[4])
{
    const lmi_map *m = &w->t->virtusers;
    char folded[LMAIL_POLICY_MAX_ADDRESS], plus[2][260];
    lmail_str local = lmi_local_plain(v->local);
    if (local.len > sizeof folded || v->folded.len > 256)
        return NULL;
    for (size_t i = 0; i < local.len; i++)
        folded[i] = lmi_ascii_lower(local.ptr[i]);
    for (unsigned i = 0; i < 2; i++) {
        memcpy(plus[i], i ? "+*@" : "++@", 3);
        memcpy(plus[i] + 3, v->folded.ptr, v->folded.len);
    }
    size_t at = lmi_detail_at(local);
    int has_plus = at < local.len, has_detail = at + 1 < local.len;
    lmail_str whole = {folded, local.len}, user = {folded, at};
    lmail_str some = {plus[0], v->folded.len + 3}, any = {plus[1], v->folded.len + 3};
    lmail_str domain = lmi_str_skip(some, 2);
    const struct {
        int tried;
        lmail_str head, tail;
    } order[] = {{1, whole, domain},       {has_detail, user, some}, {has_plus, user, any},
                 {has_plus, user, domain}, {has_detail, none, some}, {has_plus, none, any},
                 {1, none, domain}};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (!order[i].tried)
            continue;
        const lmi_map_entry *e = lmi_map_find2(m, order[i].head, order[i].tail);
        lmi_route_step(w, order[i].head, order[i].tail, m, e, "virtusertable");
        if (!e)
            continue;
        args[0] = lmi_map_key(e);
        args[1] = i ? lmi_str_sub(local, 0, at) : local;
        args[2] = i ? lmi_str_skip(local, at + 1) : none;
        args[3] = i ? lmi_str_skip(local, at) : none;
        return e;
    }
    return NULL;
}

/* 1: an entry decided. An entry that leads to the address itself decides nothing. */
static int by_virtusertable(lmi_route *w, const traveller *v)
{
    lmail_str args[4], local, domain;
    lmi_reply_parts refusal;
    int has_domain;
    if (!w->t->virtusers.count)
        return 0;
    const lmi_map_entry *e = find_virtual(w, v, args);
    if (!e)
        return 0;
    lmi_route_rule rule = lmi_route_rule_of("virtusertable", &w->t->virtusers, e);
    lmail_str value = filled(w, lmi_map_value(e), args, 4);
    if (w->st)
        return 1;
    if (e->kind || lmi_str_has_prefix_nocase(value, LMAIL_STR("error:"))) {
        int good = !e->kind && lmi_refusal_parse(lmi_str_skip(value, 6), &refusal);
        lmi_route_refuse(w, good ? &refusal : &lmi_refusal_damaged, v->from, rule);
        return 1;
    }
    lmi_address_split(value, &local, &domain, &has_domain);
    if (has_domain && lmail_str_equal_nocase(local, v->local) &&
        lmail_str_equal_nocase(domain, v->folded))
        return 0;
    lmi_route_node node = {v->from, e->key, v->from ? v->from->owner : none,
                           v->from ? v->from->depth + 1 : 1};
    if (node.depth > w->t->max_depth)
        lmi_route_refuse(w, &lmi_refusal_loop, v->from, rule);
    else
        lmi_route_address(w, local, domain, has_domain, &node, rule);
    return 1;
}

/* ---- The way --------------------------------------------------------------------------------- */

/* u@dom.REDIRECT, 1: it was one. */
static int by_redirect(lmi_route *w, const traveller *v)
{
    const lmail_str mark = LMAIL_STR(".redirect");
    size_t left = v->folded.len > mark.len ? v->folded.len - mark.len : 0;
    if (!w->t->redirect || !left || !lmail_str_equal(lmi_str_skip(v->folded, left), mark))
        return 0;
    lmi_reply_parts moved = {551, LMAIL_STR("5.1.1"), none};
    moved.text = lmi_route_join(w, LMI_PIECES(LMAIL_STR("User has moved; please try <"), v->local,
                                              LMAIL_STR("@"), lmi_str_sub(v->domain, 0, left),
                                              LMAIL_STR(">")));
    lmi_route_refuse(w, &moved, v->from, v->rule);
    return 1;
}

static int fold(lmi_route *w, traveller *v)
{
    char *p = lmi_arena_get(&w->a->arena, v->domain.len);
    if (!p) {
        w->st = LMAIL_ERR_NOMEM;
        return 0;
    }
    memcpy(p, v->domain.ptr, v->domain.len);
    lmi_map_fold(p, v->domain.len);
    v->folded = (lmail_str){p, v->domain.len};
    return 1;
}

/* Not too long, and no label of it empty. */
static int is_host_name(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '.' && (i == 0 || s.ptr[i - 1] == '.'))
            return 0;
    return s.len <= 255;
}

void lmi_route_address(lmi_route *w, lmail_str local, lmail_str domain, int has_domain,
                       const lmi_route_node *from, lmi_route_rule rule)
{
    traveller v = {local, domain, none, from, rule};
    const lmi_map_entry *e;
    if (!local.len || (has_domain && !domain.len) || !is_host_name(domain)) {
        lmi_route_refuse(w,
                         !local.len   ? &no_user
                         : domain.len ? &bad_domain
                                      : &no_domain,
                         from, rule);
        return;
    }
    if (local.len + domain.len > LMAIL_POLICY_MAX_ADDRESS) {
        lmi_route_refuse(w, &too_long, from, rule);
        return;
    }
    w->domain = none;
    if (!has_domain) {
        lmi_route_name(w, local, from, rule);
        return;
    }
    if (!fold(w, &v))
        return;
    if (w->t->domains.count) {
        e = lmi_tables_domain(w->t, v.folded);
        lmi_route_step(w, v.folded, none, &w->t->domains, e, "domaintable");
        if (e) {
            v.domain = lmi_map_value(e);
            v.rule = lmi_route_rule_of("domaintable", &w->t->domains, e);
            if (!fold(w, &v))
                return;
        }
    }
    e = lmi_tables_local(w->t, v.folded);
    lmi_route_step(w, v.folded, none, &w->t->policy->w, e, "class w");
    if (by_redirect(w, &v))
        return;
    if ((e || lmi_names_cover(&w->t->virtual_domains, v.folded, w->t->virtuser_entire_domain)) &&
        by_virtusertable(w, &v))
        return;
    if (e) {
        w->domain = v.folded;
        lmi_route_name(w, v.local, from, v.rule);
    } else {
        to_elsewhere(w, &v);
    }
}

/* ---- Asking ---------------------------------------------------------------------------------- */

void lmail_policy_route_question_init(lmail_policy_route_question *question)
{
    memset(question, 0, sizeof *question);
    question->size = sizeof *question;
}

lmail_status lmi_routes_begin(lmi_route *w, const lmail_alloc *given)
{
    lmail_alloc alloc = lmi_alloc_resolve(given);
    lmi_routes *a = lmi_zalloc(&alloc, sizeof *a);
    if (!a)
        return LMAIL_ERR_NOMEM;
    a->alloc = alloc;
    lmi_arena_init(&a->arena, &a->alloc, SIZE_MAX);
    a->items = &a->one;
    a->room = 1;
    w->a = a;
    lmi_map_init(&w->seen, &a->alloc);
    return LMAIL_OK;
}

lmail_status lmi_routes_end(lmi_route *w, const lmail_policy_routes **out)
{
    lmi_map_done(&w->seen);
    w->a->seen_by_host = (lmail_policy_routes){w->a->items, w->count};
    if (w->st)
        lmail_policy_routes_free(&w->a->seen_by_host);
    else
        *out = &w->a->seen_by_host;
    return w->st;
}

lmail_status lmail_policy_tables_route(const lmail_policy_tables *tables,
                                       const lmail_policy_route_question *question,
                                       const lmail_policy_routes **out)
{
    static const lmi_reply_parts empty = {550, {"5.1.1", 5}, {"The list has no members", 23}};
    lmail_policy_route_question q;
    *out = NULL;
    if (lmi_struct_take(&q, sizeof q, question))
        return LMAIL_ERR_SIZE;
    if (!q.local_part.len)
        return LMAIL_ERR_ARG;
    if (q.local_part.len > LMAIL_POLICY_MAX_ADDRESS ||
        q.domain.len > LMAIL_POLICY_MAX_ADDRESS - q.local_part.len)
        return LMAIL_ERR_LIMIT;
    lmi_route w = {.t = tables, .q = &q};
    if (lmi_routes_begin(&w, &q.alloc))
        return LMAIL_ERR_NOMEM;
    lmi_route_rule rule = {NULL, none, none, 0};
    lmail_str both[2] = {q.local_part, q.domain};
    if (both[1].len > 1 && both[1].ptr[both[1].len - 1] == '.')
        both[1].len--;
    lmail_str kept = lmi_route_join(&w, both, 2); /* the answer may outlive the question */
    if (!w.st)
        lmi_route_address(&w, lmi_str_sub(kept, 0, both[0].len), lmi_str_skip(kept, both[0].len),
                          both[1].len > 0, NULL, rule);
    if (!w.st && !w.count)
        lmi_route_refuse(&w, &empty, NULL, rule);
    return lmi_routes_end(&w, out);
}

void lmail_policy_routes_free(const lmail_policy_routes *routes)
{
    if (!routes)
        return;
    lmi_routes *a = (lmi_routes *)(uintptr_t)routes;
    lmail_alloc alloc = a->alloc;
    if (a->items != &a->one)
        lmi_free(&alloc, a->items, a->room * sizeof *a->items);
    lmi_arena_done(&a->arena);
    lmi_free(&alloc, a, sizeof *a);
}
