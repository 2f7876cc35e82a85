/* net_limits.c - how many connections there may be: of the net, of a group of listeners, of a
 * listener and of an address; and what is counted of all that.
 *
 * Places are taken and given under the net's lock, by whatever thread. Who gives one back that
 * somebody may have waited for wakes loop 0, which opens the listeners again. */
#include "net_internal.h"

#include <string.h>

void lmail_net_limits(lmail_net *net, unsigned max_connections, unsigned max_per_address)
{
    pthread_mutex_lock(&net->lock);
    if (max_connections)
        net->max = max_connections;
    if (max_per_address)
        net->max_per_key = max_per_address;
    pthread_mutex_unlock(&net->lock);
    lmi_loop_post_task(&net->loops[0], &net->room_task);
}

lmail_status lmail_net_group_limit(lmail_net *net, unsigned group, unsigned max)
{
    if (group == 0 || group > LMAIL_NET_GROUPS)
        return LMAIL_ERR_ARG;
    pthread_mutex_lock(&net->lock);
    net->groups[group].max = max;
    pthread_mutex_unlock(&net->lock);
    lmi_loop_post_task(&net->loops[0], &net->room_task);
    return LMAIL_OK;
}

static void fill_up(lmail_net *net)
{
    if (net->total >= net->max && !net->full) {
        net->full = 1;
        atomic_fetch_add(&net->times_full, 1);
    }
}

/* Under the lock: the listener's or its group's own limit is reached. */
static int own_limit(const lmail_listener *l)
{
    unsigned max = l->setup ? l->setup->max_connections : 0;
    unsigned of_group = l->net->groups[l->group].max;
    return (max && l->total >= max) || (of_group && l->net->groups[l->group].total >= of_group);
}

lmail_status lmi_net_take(lmail_listener *l)
{
    lmail_net *net = l->net;
    pthread_mutex_lock(&net->lock);
    int room = net->total < net->max && !own_limit(l);
    if (room) {
        net->total++;
        net->groups[l->group].total++;
        l->total++;
    } else {
        fill_up(net);
    }
    pthread_mutex_unlock(&net->lock);
    return room ? LMAIL_OK : LMAIL_ERR_BUSY;
}

int lmi_net_full(lmail_listener *l)
{
    pthread_mutex_lock(&l->net->lock);
    fill_up(l->net);
    int full = l->net->full || own_limit(l);
    pthread_mutex_unlock(&l->net->lock);
    return full;
}

int lmi_net_refuses(lmail_listener *l)
{
    pthread_mutex_lock(&l->net->lock);
    int refuses = l->net->full || own_limit(l) || atomic_load(&l->paused);
    pthread_mutex_unlock(&l->net->lock);
    return refuses;
}

void lmi_net_give(lmail_listener *l)
{
    lmail_net *net = l->net;
    pthread_mutex_lock(&net->lock);
    int room = own_limit(l);
    net->total--;
    net->groups[l->group].total--;
    l->total--;
    /* A little room first, so that a full server does not close and open for each connection. */
    room |= net->full && net->total + net->max / 16 < net->max;
    pthread_mutex_unlock(&net->lock);
    if (room)
        lmi_loop_post_task(&net->loops[0], &net->room_task);
}

void lmi_net_room_again(lmi_task *task)
{
    lmail_net *net = LMI_OF(task, lmail_net, room_task);
    pthread_mutex_lock(&net->lock);
    net->full = net->total >= net->max;
    pthread_mutex_unlock(&net->lock);
    for (lmail_listener *l = net->listeners; l; l = l->next)
        lmi_listener_apply(l);
}

lmail_status lmi_net_take_key(lmail_net *net, uint64_t key)
{
    pthread_mutex_lock(&net->lock);
    lmail_status st = lmi_counts_take(&net->counts, key, net->max_per_key);
    pthread_mutex_unlock(&net->lock);
    return st;
}

void lmi_net_give_key(lmail_net *net, uint64_t key)
{
    pthread_mutex_lock(&net->lock);
    lmi_counts_give(&net->counts, key);
    pthread_mutex_unlock(&net->lock);
}

lmail_status lmail_net_get_stats(lmail_net *net, lmail_net_stats *stats)
{
    lmail_net_stats s = {.size = stats->size};
    if (stats->size > sizeof(s) || stats->size < sizeof(stats->size))
        return LMAIL_ERR_SIZE;
    s.accepted = atomic_load(&net->accepted);
    s.refused_address = atomic_load(&net->refused_address);
    s.refused_files = atomic_load(&net->refused_files);
    s.times_full = atomic_load(&net->times_full);
    s.proxy_errors = atomic_load(&net->proxy_errors);
    s.handshakes = atomic_load(&net->handshook);
    s.tls13 = atomic_load(&net->tls13);
    s.resumed = atomic_load(&net->resumed);
    s.handshake_errors = atomic_load(&net->handshake_errors);
    s.handshakes_lent = atomic_load(&net->handshakes_lent);
    s.outgoing = atomic_load(&net->outgoing);
    pthread_mutex_lock(&net->lock);
    s.connections = net->total;
    pthread_mutex_unlock(&net->lock);
    memcpy(stats, &s, stats->size);
    return LMAIL_OK;
}
