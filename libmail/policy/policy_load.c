/* policy_load.c - the host's config and the administrator's files made into one immutable policy. */
#include "policy/policy_internal.h"

#include <string.h>

/* The switches are copied whole; what is borrowed becomes a copy or nothing. */
static lmail_status copy_mechanisms(lmail_policy *p, const lmail_policy_config *c)
{
    p->config.trusted_mechanisms = NULL;
    p->config.trusted_mechanism_count = 0;
    if (!c->trusted_mechanisms || c->trusted_mechanism_count == 0)
        return LMAIL_OK;
    size_t size;
    if (lmail_size_mul(c->trusted_mechanism_count, sizeof(lmail_str), &size))
        return LMAIL_ERR_LIMIT;
    lmail_str *list = lmi_arena_get(&p->arena, size);
    if (!list)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < c->trusted_mechanism_count; i++) {
        lmail_status st = lmi_arena_copy(&p->arena, c->trusted_mechanisms[i], &list[i]);
        if (st)
            return st;
    }
    p->config.trusted_mechanisms = list;
    p->config.trusted_mechanism_count = c->trusted_mechanism_count;
    return LMAIL_OK;
}

static int has_control(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
            return 1;
    return 0;
}

/* A message in the administrator's words, on top of the classic one. */
static lmail_status copy_message(lmail_policy *p, lmail_str given, const char *enhanced,
                                 const char *text, lmi_reply_parts *out)
{
    lmi_reply_parts own = {0};
    lmail_str kept = {NULL, 0};
    if (given.len) {
        lmail_status st = lmi_arena_copy(&p->arena, given, &kept);
        if (st)
            return st;
        lmi_reply_parse(kept, &own);
    }
    *out = (lmi_reply_parts){own.code ? own.code : 550,
                             own.enhanced.len ? own.enhanced : lmail_str_from(enhanced),
                             own.text.len ? own.text : lmail_str_from(text)};
    return out->code < 400 || out->code > 599 || has_control(kept) ? LMAIL_ERR_ARG : LMAIL_OK;
}

static lmail_status copy_config(lmail_policy *p, const lmail_policy_config *c)
{
    lmail_str host = {NULL, 0};
    lmail_status st = copy_mechanisms(p, c);
    if (st == LMAIL_OK)
        st = lmi_arena_copy(&p->arena, c->host_name, &host);
    if (st)
        return st;
    lmi_map_fold((char *)host.ptr, host.len);
    p->config.host_name = host;
    p->host_domain = lmi_str_skip(host, lmi_str_find(host, '.') + 1);
    st = copy_message(p, c->reject_message, "5.7.1", "Access denied", &p->reject);
    if (st == LMAIL_OK)
        st = copy_message(p, c->reject_recipient_message, "5.2.1",
                          "Mailbox disabled for this recipient", &p->reject_recipient);
    if (st == LMAIL_OK)
        st = copy_message(p, c->relay_message, "5.7.1",
                          c->trusted_mechanisms ? "Relaying denied. Proper authentication required."
                                                : "Relaying denied",
                          &p->relay);
    lmail_policy_config *own = &p->config; /* nothing borrowed is kept */
    own->host_addresses = own->local_domains = own->relay_domains = NULL;
    own->host_address_count = own->local_domain_count = own->relay_domain_count = 0;
    memset(&own->access, 0, sizeof own->access);
    memset(&own->local_domains_file, 0, sizeof own->local_domains_file);
    memset(&own->relay_domains_file, 0, sizeof own->relay_domains_file);
    own->reject_message = own->reject_recipient_message = own->relay_message = (lmail_str){NULL, 0};
    return st;
}

/* What opens the host to everybody is said loudly. */
static void warn_open(lmi_policy_loader *l)
{
    const lmail_policy_config *c = l->config;
    l->file = (lmail_str){NULL, 0};
    l->line = 0;
    if (c->promiscuous_relay)
        LMI_POLICY_SAY(l, LMAIL_WARNING,
                       LMAIL_STR("open relay: promiscuous_relay lets anybody send anywhere"));
    if (c->relay_local_from)
        LMI_POLICY_SAY(l, LMAIL_WARNING,
                       LMAIL_STR("open relay: relay_local_from believes the sender address, which "
                                 "anybody can forge"));
    if (c->relay_mail_from)
        LMI_POLICY_SAY(l, LMAIL_WARNING,
                       LMAIL_STR("open relay: relay_mail_from believes the sender address, which "
                                 "anybody can forge"));
}

lmail_status lmail_policy_new(lmail_policy **out, const lmail_policy_config *config)
{
    lmail_policy_config c;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config))
        return LMAIL_ERR_SIZE;
    c.alloc = lmi_alloc_resolve(&c.alloc);
    if (c.host_name.len == 0 || c.host_name.len > 255)
        return LMAIL_ERR_ARG;
    lmail_policy *p = lmi_zalloc(&c.alloc, sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    p->alloc = c.alloc;
    p->config = c;
    lmi_arena_init(&p->arena, &p->alloc, SIZE_MAX);
    lmi_map_init(&p->access, &p->alloc);
    lmi_map_init(&p->w, &p->alloc);
    lmi_map_init(&p->r, &p->alloc);
    lmi_policy_loader l = {.config = &c};
    warn_open(&l);
    lmail_status st = copy_config(p, &c);
    if (st == LMAIL_OK)
        st = lmi_access_load(p, &l);
    if (st == LMAIL_OK)
        st = lmi_classes_load(p, &l);
    if (st == LMAIL_OK && l.errors)
        st = LMAIL_ERR_SYNTAX;
    if (st == LMAIL_OK)
        *out = p;
    else
        lmail_policy_free(p);
    return st;
}

void lmail_policy_free(lmail_policy *policy)
{
    if (!policy)
        return;
    lmi_map_done(&policy->access);
    lmi_map_done(&policy->w);
    lmi_map_done(&policy->r);
    lmi_arena_done(&policy->arena);
    lmail_alloc a = policy->alloc;
    lmi_free(&a, policy, sizeof *policy);
}
