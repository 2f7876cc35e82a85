/* delivery_result.c - what is kept for recipients that are still open, and their results.
 *
 * A recipient that one host could not take stays open while another is tried, and keeps one word.
 * What gives hope stands above what does not; else what was said later in a conversation stands
 * above what was said earlier. So it fails only when every host that was tried was final about it,
 * and what its sender reads is the most telling reply. */
#include "delivery/delivery_internal.h"

#include <string.h>

void lmi_kept_drop(const lmail_delivery *d, lmi_kept *k)
{
    if (k && --k->refs == 0)
        lmi_free(&d->setup->alloc, k, k->size);
}

static lmail_str put(char **at, lmail_str s)
{
    char *begin = *at;
    if (s.len)
        memcpy(begin, s.ptr, s.len);
    *at += s.len;
    return (lmail_str){begin, s.len};
}

static lmi_kept *kept_new(lmail_delivery *d, const lmail_delivery_word *w, unsigned hard)
{
    char room[LMI_DELIVERY_TEXT];
    lmail_str text = lmi_word_text(w, room);
    size_t size = sizeof(lmi_kept) + text.len + d->server.len + d->address.len;
    lmi_kept *k = lmi_malloc(&d->setup->alloc, size);
    if (!k)
        return NULL;
    char *at = (char *)(k + 1);
    k->size = size;
    k->refs = 0;
    k->when = d->now;
    k->hard = hard;
    k->word = *w;
    k->word.enhanced =
        (lmail_str){k->enhanced, lmail_delivery_enhanced(w, hard ? 5 : 4, k->enhanced)};
    k->word.text = put(&at, text);
    k->host = put(&at, d->server);
    k->address = put(&at, d->address);
    return k;
}

static void keep_for(const lmail_delivery *d, lmi_recipient *r, lmi_kept *k)
{
    lmi_kept *old = r->kept;
    if (old && (old->hard < k->hard || (old->hard == k->hard && old->word.phase > k->word.phase)))
        return;
    k->refs++;
    r->kept = k;
    lmi_kept_drop(d, old);
}

static lmail_status keep(lmail_delivery *d, lmi_recipient *one, const lmail_delivery_word *w,
                         unsigned hard)
{
    /* A failed lookup of hosts that the administrator named is a fault of the configuration. */
    if (d->job.named && w->phase == LMAIL_DELIVERY_AT_LOOKUP)
        hard = 0;
    lmi_kept *k = kept_new(d, w, hard);
    if (!k)
        return LMAIL_ERR_NOMEM;
    k->refs = 1;
    for (size_t i = 0; i < d->job.recipient_count; i++) {
        lmi_recipient *r = &d->recipients[i];
        if (r->ended || (one ? r != one : r->visit == d->visit))
            continue;
        keep_for(d, r, k);
    }
    lmi_kept_drop(d, k);
    return LMAIL_OK;
}

lmail_status lmi_delivery_keep(lmail_delivery *d, lmi_recipient *r, const lmail_delivery_word *w,
                               unsigned hard)
{
    return keep(d, r, w, hard);
}

lmail_status lmi_delivery_keep_all(lmail_delivery *d, const lmail_delivery_word *w, unsigned hard)
{
    return keep(d, NULL, w, hard);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void tell(lmail_delivery *d, lmi_recipient *r, lmail_delivery_result *result)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    r->ended = 1;
    d->open--;
    if (result->state == LMAIL_DELIVERY_SENT)
        d->sum.sent++;
    else if (result->state == LMAIL_DELIVERY_DEFERRED)
        d->sum.deferred++;
    else
        d->sum.failed++;
    result->recipient = (size_t)(r - d->recipients);
    if (!h->on_result)
        return;
    d->in_callback++;
    h->on_result(d, d->user, result);
    d->in_callback--;
}

void lmi_settle(lmail_delivery *d, lmi_recipient *r, lmail_delivery_state state,
                const lmail_delivery_word *w, unsigned dsn, unsigned doubtful)
{
    static const unsigned class_of[] = {
        [LMAIL_DELIVERY_SENT] = 2, [LMAIL_DELIVERY_DEFERRED] = 4, [LMAIL_DELIVERY_FAILED] = 5};
    char code[LMI_DELIVERY_CODE], room[LMI_DELIVERY_TEXT];
    lmail_delivery_result result = {0};
    if (r->ended)
        return;
    result.state = state;
    result.fault = w->fault;
    result.phase = w->phase;
    result.code = w->code;
    result.enhanced = (lmail_str){code, lmail_delivery_enhanced(w, class_of[state], code)};
    result.text = lmi_word_text(w, room);
    result.host = d->server;
    result.address = d->address;
    result.dsn = dsn;
    result.doubtful = doubtful;
    result.when = d->now;
    tell(d, r, &result);
}

static void settle_kept(lmail_delivery *d, lmi_recipient *r)
{
    const lmi_kept *k = r->kept;
    lmail_delivery_result result = {0};
    result.state = k->hard ? LMAIL_DELIVERY_FAILED : LMAIL_DELIVERY_DEFERRED;
    result.fault = k->word.fault;
    result.phase = k->word.phase;
    result.code = k->word.code;
    result.enhanced = k->word.enhanced;
    result.text = k->word.text;
    result.host = k->host;
    result.address = k->address;
    result.when = k->when;
    tell(d, r, &result);
}

static void end(lmail_delivery *d)
{
    const lmail_delivery_handler *h = &d->setup->handler;
    d->step = LMI_STEP_END;
    d->sum.questions = d->questions;
    d->sum.health = d->busy                      ? LMAIL_DELIVERY_BUSY
                    : d->alive                   ? LMAIL_DELIVERY_ALIVE
                    : d->met || d->lookup_failed ? LMAIL_DELIVERY_DOWN
                                                 : LMAIL_DELIVERY_NOT_MET;
    if (!h->on_end)
        return;
    d->in_callback++;
    h->on_end(d, d->user, &d->sum);
    d->in_callback--;
}

void lmi_finish(lmail_delivery *d)
{
    const lmail_delivery_word none = lmi_word(LMAIL_DELIVERY_UNREACHABLE, LMAIL_DELIVERY_AT_LOOKUP,
                                              0, "4.4.1", "no host could be tried");
    lmi_release(d, 0);
    for (size_t i = 0; i < d->job.recipient_count; i++) {
        lmi_recipient *r = &d->recipients[i];
        if (r->ended)
            continue;
        if (r->kept)
            settle_kept(d, r);
        else
            lmi_settle(d, r, LMAIL_DELIVERY_DEFERRED, &none, 0, 0);
    }
    end(d);
}

void lmi_finish_with(lmail_delivery *d, const lmail_delivery_word *w)
{
    for (size_t i = 0; i < d->job.recipient_count; i++) {
        lmi_recipient *r = &d->recipients[i];
        unsigned doubtful = d->step == LMI_STEP_TRANSACTION && r->in && r->heard == LMI_ACCEPTED;
        lmi_settle(d, r, LMAIL_DELIVERY_DEFERRED, w, 0, doubtful);
    }
    lmi_release(d, 0);
    end(d);
}
