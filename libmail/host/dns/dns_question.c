/* dns_question.c - the life of a question: ticket, lookups, deadline, end.
 *
 * All writes to `live` and `open` are here. The kinds of questions (dns_client.c, dns_domain.c,
 * dns_listing.c) start lookups, take what lands and finish; they free nothing. */
#include "dns_internal.h"

#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX 16 /* addresses of a name in the hosts file, of one family */

/* ---- Queues and the timer -------------------------------------------------------------------- */

static void append(lmi_dns_queue *queue, lmi_dns_question *q)
{
    q->next = NULL;
    q->prev = queue->last;
    *(queue->last ? &queue->last->next : &queue->first) = q;
    queue->last = q;
}

static void detach(lmi_dns_queue *queue, lmi_dns_question *q)
{
    *(q->prev ? &q->prev->next : &queue->first) = q->next;
    *(q->next ? &q->next->prev : &queue->last) = q->prev;
}

static void on_timer(uv_timer_t *timer)
{
    lmi_dns_turn(timer->data);
}

static void set_timer(lmail_dns *dns)
{
    if (dns->closing)
        return;
    lmail_msec now = uv_now(dns->loop);
    if (dns->ready)
        uv_timer_start(&dns->timer, on_timer, 0, 0);
    else if (dns->live.first)
        uv_timer_start(&dns->timer, on_timer,
                       dns->live.first->deadline > now ? dns->live.first->deadline - now : 0, 0);
    else
        uv_timer_stop(&dns->timer);
}

/* ---- Questions ------------------------------------------------------------------------------- */

static lmail_status take_slot(lmail_dns *dns, size_t *out)
{
    if (dns->free_count == 0) {
        size_t old = dns->slot_count, count = old ? old * 2 : 64;
        if (count > LMI_DNS_QUESTIONS)
            return LMAIL_ERR_LIMIT;
        lmi_dns_question **slots = realloc(dns->slots, count * sizeof(*slots));
        if (!slots)
            return LMAIL_ERR_NOMEM;
        dns->slots = slots;
        uint32_t *list = realloc(dns->free_slots, count * sizeof(*list));
        if (!list)
            return LMAIL_ERR_NOMEM;
        dns->free_slots = list;
        dns->slot_count = count;
        for (size_t i = count; i-- > old;) {
            slots[i] = NULL;
            list[dns->free_count++] = (uint32_t)i;
        }
    }
    *out = dns->free_slots[--dns->free_count];
    return LMAIL_OK;
}

lmail_status lmi_dns_question_new(lmail_dns *dns, const lmi_dns_kind *kind, lmi_dns_question **out)
{
    size_t slot;
    if (dns->closing)
        return LMAIL_ERR_CLOSED;
    lmi_dns_question *q = calloc(1, kind->size);
    if (!q)
        return LMAIL_ERR_NOMEM;
    lmail_status status = take_slot(dns, &slot);
    if (status) {
        free(q);
        return status;
    }
    q->dns = dns;
    q->kind = kind;
    q->live = 1;
    q->secure = 1;
    q->asked = uv_hrtime();
    q->deadline = uv_now(dns->loop) + dns->timeout;
    q->ticket = ++dns->serial << 16 | slot;
    dns->slots[slot] = q;
    append(&dns->live, q);
    dns->stats.questions++;
    dns->stats.waiting++;
    set_timer(dns);
    *out = q;
    return LMAIL_OK;
}

/* No longer live. It may still have lookups out; the callers see to its memory. */
static void retire(lmi_dns_question *q)
{
    lmail_dns *dns = q->dns;
    size_t slot = q->ticket & 0xffff;
    q->live = 0;
    dns->slots[slot] = NULL;
    dns->free_slots[dns->free_count++] = (uint32_t)slot;
    dns->stats.waiting--;
    detach(&dns->live, q);
    append(&dns->ended, q);
}

static void release(lmi_dns_question *q)
{
    if (q->live || q->open)
        return;
    detach(&q->dns->ended, q);
    free(q);
}

void lmi_dns_finish(lmi_dns_question *q, lmail_dns_result result)
{
    lmail_dns_stats *stats = &q->dns->stats;
    uint64_t *counts[] = {[LMAIL_DNS_FOUND] = &stats->found,
                          [LMAIL_DNS_NONE] = &stats->none,
                          [LMAIL_DNS_FORGED] = &stats->forged,
                          [LMAIL_DNS_TEMP] = &stats->temp};
    ++*counts[result];
    retire(q);
    if (q->dns->on_answered)
        q->dns->on_answered(q->dns->user, (uv_hrtime() - q->asked) / 1000);
    q->kind->deliver(q, result);
}

lmail_status lmail_dns_cancel(lmail_dns *dns, lmail_ticket ticket)
{
    size_t slot = ticket & 0xffff;
    lmi_dns_question *q = slot < dns->slot_count ? dns->slots[slot] : NULL;
    if (!q || q->ticket != ticket)
        return LMAIL_ERR_STALE;
    retire(q);
    /* Inside its own lookup's landing `open` is not yet 0, so the caller's frame stays valid. */
    release(q);
    set_timer(dns);
    return LMAIL_OK;
}

/* ---- Lookups --------------------------------------------------------------------------------- */

static void land(lmi_dns_lookup *l, const lmi_dns_answer *answer)
{
    lmi_dns_question *q = l->question;
    lmail_dns *dns = q->dns;
    if (q->live) {
        if (answer->result != LMAIL_DNS_TEMP && !answer->secure)
            q->secure = 0;
        q->kind->landed(q, l, answer);
    }
    q->open--;
    release(q);
    set_timer(dns);
}

static void on_result(void *arg, int err, struct ub_result *r)
{
    lmi_dns_lookup *l = arg;
    lmail_dns *dns = l->question->dns;
    lmi_dns_answer answer = {.result = LMAIL_DNS_TEMP};
    lmail_str *data = NULL;
    dns->stats.open--;
    /* Bogus comes with SERVFAIL, but is looked at on its own: nothing in it may be used. */
    if (!err && r && !r->bogus && (r->nxdomain || r->rcode == 0)) {
        answer.result = LMAIL_DNS_NONE;
        answer.no_name = r->nxdomain != 0;
        answer.secure = r->secure != 0;
        size_t n = 0;
        while (r->havedata && r->data[n])
            n++;
        if (n && (data = malloc(n * sizeof(*data)))) {
            for (size_t i = 0; i < n; i++)
                data[i] = (lmail_str){r->data[i], (size_t)r->len[i]};
            answer.result = LMAIL_DNS_FOUND;
            answer.data = data;
            answer.count = n;
        } else if (n) {
            answer.result = LMAIL_DNS_TEMP;
        }
    }
    if (r)
        lmi_dns_cache_put(&dns->cache, l->type, l->name, &answer, r->ttl, uv_now(dns->loop));
    land(l, &answer);
    free(data);
    if (r)
        ub_resolve_free(r);
}

static void make_ready(lmi_dns_lookup *l, lmail_dns_result result)
{
    lmail_dns *dns = l->question->dns;
    l->ready = result;
    l->next_ready = NULL;
    *dns->ready_end = l;
    dns->ready_end = &l->next_ready;
    set_timer(dns);
}

static lmi_dns_lookup *new_lookup(lmi_dns_question *q, int type, const char *name, unsigned tag)
{
    lmi_dns_lookup *l = &q->lookups[q->lookup_count++];
    l->question = q;
    l->type = type;
    l->tag = tag;
    memcpy(l->name, name, strlen(name) + 1);
    q->open++;
    return l;
}

void lmi_dns_look(lmi_dns_question *q, int type, const char *name, unsigned tag)
{
    lmail_dns *dns = q->dns;
    lmail_dns_address one;
    unsigned version = type == LMI_DNS_A ? 4 : type == LMI_DNS_AAAA ? 6 : 0;
    lmi_dns_lookup *l = new_lookup(q, type, name, tag);
    if (version && lmi_dns_hosts_addresses(&dns->hosts, name, version, &one, 1)) {
        l->from_hosts = 1;
        make_ready(l, LMAIL_DNS_FOUND);
        return;
    }
    if ((l->kept = lmi_dns_cache_get(&dns->cache, type, name, uv_now(dns->loop)))) {
        make_ready(l, l->kept->answer.result);
        return;
    }
    if (dns->stats.open >= dns->max_lookups ||
        ub_resolve_async(dns->ub, name, type, 1, l, on_result, NULL)) {
        make_ready(l, LMAIL_DNS_TEMP);
        return;
    }
    dns->stats.open++;
    dns->stats.lookups++;
}

void lmi_dns_settle(lmi_dns_question *q, lmail_dns_result result)
{
    q->secure = 0;
    make_ready(new_lookup(q, 0, "", 0), result);
}

static void land_ready(lmi_dns_lookup *l)
{
    lmail_dns *dns = l->question->dns;
    lmail_dns_address list[HOSTS_MAX];
    lmail_str data[HOSTS_MAX];
    lmi_dns_answer answer = {.result = l->ready};
    if (l->type == 0) { /* settled */
        lmi_dns_question *q = l->question;
        if (q->live)
            lmi_dns_finish(q, l->ready);
        q->open--;
        release(q);
        return;
    }
    if (l->kept) {
        lmi_dns_kept *kept = l->kept;
        land(l, &kept->answer);
        lmi_dns_kept_release(kept);
        return;
    }
    if (l->from_hosts) {
        unsigned version = l->type == LMI_DNS_A ? 4 : 6;
        answer.count = lmi_dns_hosts_addresses(&dns->hosts, l->name, version, list, HOSTS_MAX);
        for (size_t i = 0; i < answer.count; i++)
            data[i] = (lmail_str){(const char *)list[i].octets, version == 4 ? 4 : 16};
        answer.data = data;
    }
    land(l, &answer);
}

/* ---- Turns and the end ----------------------------------------------------------------------- */

static void land_all_ready(lmail_dns *dns)
{
    lmi_dns_lookup *l = dns->ready;
    dns->ready = NULL;
    dns->ready_end = &dns->ready;
    while (l) {
        lmi_dns_lookup *next = l->next_ready;
        land_ready(l);
        l = next;
    }
}

void lmi_dns_turn(lmail_dns *dns)
{
    lmail_msec now = uv_now(dns->loop);
    land_all_ready(dns);
    while (!dns->closing && dns->live.first && dns->live.first->deadline <= now) {
        lmi_dns_question *q = dns->live.first;
        dns->stats.timeouts++;
        lmi_dns_finish(q, LMAIL_DNS_TEMP);
        release(q);
    }
    set_timer(dns);
}

void lmi_dns_end_all(lmail_dns *dns)
{
    while (dns->live.first)
        lmi_dns_finish(dns->live.first, LMAIL_DNS_TEMP);
}

/* libunbound is gone and calls nobody back. */
void lmi_dns_questions_done(lmail_dns *dns)
{
    for (lmi_dns_lookup *l = dns->ready; l; l = l->next_ready)
        lmi_dns_kept_release(l->kept);
    lmi_dns_cache_done(&dns->cache);
    for (lmi_dns_question *q = dns->ended.first, *next; q; q = next) {
        next = q->next;
        free(q);
    }
    free(dns->slots);
    free(dns->free_slots);
}
