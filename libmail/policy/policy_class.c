/* policy_class.c - class w, whose mail is local, and class R, which is relayed for.
 *
 * Two tables without values. Names in w match exactly, names in R with all below them, addresses in
 * R as prefixes on octet or group borders. */
#include "policy/policy_internal.h"

#include <string.h>

/* ---- Loading --------------------------------------------------------------------------------- */

static lmail_status add(lmi_map *m, char *ptr, size_t len, uint32_t line, uint8_t source)
{
    char room[LMI_MAX_KEY_TEXT];
    lmi_key_fault fault;
    lmi_map_fold(ptr, len);
    lmail_str written = {ptr, len}, kept;
    while (written.len > 1 && written.ptr[written.len - 1] == '.')
        written.len--; /* a name's root dot, or an address prefix with one too many */
    lmail_str key = lmi_key_spell(written, room, &fault);
    if (key.ptr == room) {
        lmail_status st = lmi_map_keep(m, key, &kept);
        if (st)
            return st;
        key = kept;
    }
    lmi_map_entry e = {.key = key.ptr, .value = "", .line = line, .source = source};
    if (key.len > LMI_MAX_KEY_TEXT)
        return LMAIL_OK; /* no name is so long */
    e.key_len = (uint16_t)key.len;
    lmail_status st = lmi_map_add(m, &e, NULL);
    return st == LMAIL_ERR_EXISTS ? LMAIL_OK : st;
}

static lmail_status add_copy(lmi_map *m, lmail_str name, uint8_t source)
{
    lmail_str kept;
    if (name.len == 0)
        return LMAIL_OK;
    lmail_status st = lmi_map_keep(m, name, &kept);
    return st ? st : add(m, (char *)kept.ptr, kept.len, 0, source);
}

static lmail_status add_file(lmi_policy_loader *l, lmi_map *m, const lmail_policy_file *f)
{
    lmi_map_lines lines;
    lmi_map_text_line line;
    uint8_t source;
    if (f->name.len == 0 && f->octets.len == 0)
        return LMAIL_OK;
    l->file = f->name;
    lmail_status st = lmi_map_source(m, f->name, &source);
    if (st == LMAIL_OK)
        st = lmi_map_copy(m, f->octets, &lines);
    while (st == LMAIL_OK && lmi_map_line(&lines, &line)) {
        size_t len = 0;
        while (len < line.len && !lmi_is_blank(line.ptr[len]))
            len++;
        l->line = line.number;
        if (len < line.len)
            LMI_POLICY_SAY(l, LMAIL_WARNING,
                           LMAIL_STR("one entry a line, what follows the first word is ignored"));
        st = add(m, line.ptr, len, line.number, source);
    }
    return st;
}

static lmail_status add_list(lmi_map *m, const lmail_str *names, size_t count, uint8_t source)
{
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; st == LMAIL_OK && i < count; i++)
        st = add_copy(m, names[i], source);
    return st;
}

/* "[192.0.2.1]" */
static lmail_status add_literal(lmi_map *m, lmail_str text, uint8_t source)
{
    lmi_address address;
    char literal[LMI_MAX_ADDRESS_TEXT + 2];
    if (lmi_policy_address_parse(text, &address))
        return LMAIL_ERR_ARG;
    literal[0] = '[';
    memcpy(literal + 1, address.text, address.len);
    literal[address.len + 1] = ']';
    return add_copy(m, (lmail_str){literal, address.len + 2}, source);
}

lmail_status lmi_classes_load(lmail_policy *p, lmi_policy_loader *l)
{
    const lmail_policy_config *c = l->config;
    uint8_t settings;
    lmail_status st = lmi_map_source(&p->w, LMAIL_STR(""), &settings);
    if (st == LMAIL_OK)
        st = add_copy(&p->w, c->host_name, settings);
    if (st == LMAIL_OK)
        st = add_copy(&p->w, LMAIL_STR("localhost"), settings);
    if (st == LMAIL_OK)
        st = add_list(&p->w, c->local_domains, c->local_domain_count, settings);
    for (size_t i = 0; st == LMAIL_OK && i < c->host_address_count; i++)
        st = add_literal(&p->w, c->host_addresses[i], settings);
    if (st == LMAIL_OK && c->use_cw_file)
        st = add_file(l, &p->w, &c->local_domains_file);
    if (st == LMAIL_OK && !c->use_cw_file && c->local_domains_file.name.len) {
        l->file = c->local_domains_file.name;
        l->line = 0;
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("not read, FEATURE(use_cw_file) is missing"));
    }
    if (st == LMAIL_OK)
        st = lmi_map_source(&p->r, LMAIL_STR(""), &settings);
    if (st == LMAIL_OK)
        st = add_list(&p->r, c->relay_domains, c->relay_domain_count, settings);
    return st ? st : add_file(l, &p->r, &c->relay_domains_file);
}

/* ---- Membership ------------------------------------------------------------------------------ */

const lmi_map_entry *lmi_in_w(const lmi_case *a, lmail_str name, const char *meaning)
{
    const lmi_map_entry *e = lmi_map_find(&a->p->w, name);
    lmi_step(a, LMI_TAG_NONE, name, &a->p->w, e, meaning);
    return e;
}

static const lmi_map_entry *try_r(const lmi_case *a, lmail_str key, const char *meaning)
{
    const lmi_map_entry *e = lmi_map_find(&a->p->r, key);
    lmi_step(a, LMI_TAG_NONE, key, &a->p->r, e, meaning);
    return e;
}

const lmi_map_entry *lmi_name_in_r(const lmi_case *a, lmail_str name, const char *meaning)
{
    if (a->p->r.count == 0 || name.len == 0 || *name.ptr == '[')
        return NULL;
    for (const lmi_map_entry *e;;) {
        if ((e = try_r(a, name, meaning)) || a->p->config.relay_hosts_only)
            return e;
        size_t dot = lmi_str_find(name, '.');
        if (dot + 1 >= name.len)
            return NULL;
        name = lmi_str_skip(name, dot + 1);
    }
}

const lmi_map_entry *lmi_address_in_r(const lmi_case *a, const char *meaning)
{
    if (a->p->r.count == 0)
        return NULL;
    for (size_t len = a->address.len; len; len = lmi_address_shorter(a->address.text, len)) {
        const lmi_map_entry *e = try_r(a, (lmail_str){a->address.text, len}, meaning);
        if (e)
            return e;
    }
    return NULL;
}

int lmi_in_host_domain(const lmi_case *a, lmail_str name, const char *meaning)
{
    lmail_str m = a->p->host_domain;
    if (!a->p->config.relay_entire_domain || m.len == 0 || name.len < m.len)
        return 0;
    size_t before = name.len - m.len;
    int hit = lmail_str_equal(lmi_str_skip(name, before), m) &&
              (before == 0 || name.ptr[before - 1] == '.');
    lmi_step_fact(a, name, (unsigned)hit, meaning);
    return hit;
}

lmail_str lmi_peer_literal(const lmi_case *a, char room[LMI_MAX_ADDRESS_TEXT + 2])
{
    room[0] = '[';
    memcpy(room + 1, a->address.text, a->address.len);
    room[a->address.len + 1] = ']';
    return (lmail_str){room, a->address.len + 2};
}
