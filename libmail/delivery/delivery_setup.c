/* delivery_setup.c - the setup that machines share, and a new machine with its job. */
#include "delivery/delivery_internal.h"

#include <string.h>

void lmail_delivery_config_init(lmail_delivery_config *config)
{
    *config = (lmail_delivery_config)LMAIL_DELIVERY_CONFIG_INIT;
}

void lmail_delivery_job_init(lmail_delivery_job *job)
{
    *job = (lmail_delivery_job)LMAIL_DELIVERY_JOB_INIT;
}

void lmail_delivery_mx_init(lmail_delivery_mx *answer)
{
    *answer = (lmail_delivery_mx)LMAIL_DELIVERY_MX_INIT;
}

void lmail_delivery_addresses_init(lmail_delivery_addresses *answer)
{
    *answer = (lmail_delivery_addresses)LMAIL_DELIVERY_ADDRESSES_INIT;
}

void lmail_delivery_connection_init(lmail_delivery_connection *answer)
{
    *answer = (lmail_delivery_connection)LMAIL_DELIVERY_CONNECTION_INIT;
}

void lmail_delivery_transaction_init(lmail_delivery_transaction *answer)
{
    *answer = (lmail_delivery_transaction)LMAIL_DELIVERY_TRANSACTION_INIT;
}

void lmail_delivery_handler_init(lmail_delivery_handler *handler)
{
    *handler = (lmail_delivery_handler)LMAIL_DELIVERY_HANDLER_INIT;
}

static lmail_status copy_lists(lmail_delivery_setup *s)
{
    lmail_delivery_config *c = &s->config;
    lmail_str *names = lmi_arena_get(&s->arena, c->own_name_count * sizeof *names);
    lmail_delivery_endpoint *own = lmi_arena_get(&s->arena, c->own_address_count * sizeof *own);
    if (!names || !own)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < c->own_name_count; i++)
        if (lmi_arena_copy(&s->arena, c->own_names[i], &names[i]))
            return LMAIL_ERR_NOMEM;
    if (c->own_address_count)
        memcpy(own, c->own_addresses, c->own_address_count * sizeof *own);
    c->own_names = names;
    c->own_addresses = own;
    return LMAIL_OK;
}

lmail_status lmail_delivery_setup_new(lmail_delivery_setup **out,
                                      const lmail_delivery_config *config,
                                      const lmail_delivery_handler *handler)
{
    lmail_delivery_config c;
    lmail_delivery_handler h;
    lmail_status st = lmi_struct_take(&c, sizeof c, config);
    if (!st)
        st = lmi_struct_take(&h, sizeof h, handler);
    if (st)
        return st;
    if (c.family != 0 && c.family != 4 && c.family != 6)
        return LMAIL_ERR_ARG;
    lmail_alloc alloc = lmi_alloc_resolve(&c.alloc);
    lmail_delivery_setup *s = lmi_zalloc(&alloc, sizeof *s);
    if (!s)
        return LMAIL_ERR_NOMEM;
    LMI_DEFAULT(c.max_hosts, 10);
    LMI_DEFAULT(c.max_addresses, 8);
    LMI_DEFAULT(c.max_sessions, 3);
    LMI_DEFAULT(c.max_recipients, 100);
    s->config = c;
    s->handler = h;
    s->alloc = alloc;
    lmi_arena_init(&s->arena, &s->alloc, SIZE_MAX);
    st = copy_lists(s);
    if (st) {
        lmail_delivery_setup_free(s);
        return st;
    }
    *out = s;
    return LMAIL_OK;
}

void lmail_delivery_setup_free(lmail_delivery_setup *setup)
{
    if (!setup)
        return;
    const lmail_alloc alloc = setup->alloc;
    lmi_arena_done(&setup->arena);
    lmi_free(&alloc, setup, sizeof *setup);
}

static int is_good(const lmail_delivery_job *job)
{
    if (!job->host_count || job->host_count > LMI_DELIVERY_MAX_HOSTS || !job->recipient_count)
        return 0;
    for (size_t i = 0; i < job->host_count; i++) {
        lmail_str name = job->hosts[i].name;
        if (!name.len || name.len > 255 || job->hosts[i].port > 65535)
            return 0;
        /* A peer's domain never becomes a path. */
        if (name.ptr[0] == '/' && job->mailer != LMAIL_DELIVERY_LMTP)
            return 0;
        for (size_t k = 0; k < name.len; k++)
            if ((unsigned char)name.ptr[k] <= ' ' || name.ptr[k] == 0x7f)
                return 0;
    }
    return 1;
}

static lmail_status copy_job(lmail_delivery *d, const lmail_delivery_job *given)
{
    lmi_arena *a = &d->arena;
    lmail_delivery_host *hosts = lmi_arena_get(a, given->host_count * sizeof *hosts);
    size_t size, room;
    if (!hosts || lmail_size_mul(given->recipient_count, sizeof(lmi_recipient), &size) ||
        lmail_size_mul(given->recipient_count, sizeof(size_t), &room))
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < given->host_count; i++) {
        hosts[i] = given->hosts[i];
        if (lmi_arena_copy(a, given->hosts[i].name, &hosts[i].name))
            return LMAIL_ERR_NOMEM;
    }
    d->recipients = lmi_arena_zget(a, size);
    d->batch = lmi_arena_get(a, room);
    if (!d->recipients || !d->batch || lmi_arena_copy(a, given->destination, &d->job.destination))
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < given->recipient_count; i++)
        if (lmi_arena_copy(a, given->recipients[i], &d->recipients[i].address))
            return LMAIL_ERR_NOMEM;
    d->job.hosts = hosts;
    d->job.recipients = NULL;
    return LMAIL_OK;
}

lmail_status lmail_delivery_new(lmail_delivery **out, const lmail_delivery_setup *setup,
                                const lmail_delivery_job *job, void *user, lmail_msec now)
{
    lmail_delivery_job known;
    lmail_status st = lmi_struct_take(&known, sizeof known, job);
    if (st)
        return st;
    if (!is_good(&known))
        return LMAIL_ERR_ARG;
    lmail_delivery *d = lmi_zalloc(&setup->alloc, sizeof *d);
    if (!d)
        return LMAIL_ERR_NOMEM;
    d->setup = setup;
    d->user = user;
    d->now = now;
    d->job = known;
    d->visit = 1;
    d->open = known.recipient_count;
    lmi_arena_init(&d->arena, &setup->alloc, SIZE_MAX);
    lmi_arena_init(&d->mx_arena, &setup->alloc, SIZE_MAX);
    lmi_arena_init(&d->peer_room, &setup->alloc, 65536);
    st = copy_job(d, &known);
    if (st) {
        d->step = LMI_STEP_END;
        lmail_delivery_free(d);
        return st;
    }
    *out = d;
    return LMAIL_OK;
}
