/* delivery_transaction.c - what a transaction comes to, recipient by recipient.
 *
 * Who is refused for good has its result at once, so that it can be written down; who is put off
 * stays open for another server and is marked as visited by this one. What neither the server nor
 * the end of the transaction said a word about goes in a further transaction (RFC 5321 §4.5.3.1.10)
 * - each of them settles or visits one recipient at least, so there is an end. */
#include "delivery/delivery_internal.h"

lmail_status lmi_batch_fill(lmail_delivery *d)
{
    lmail_policy_verdict v;
    lmail_delivery_word w;
    d->batch_count = 0;
    for (size_t i = 0; i < d->job.recipient_count && d->batch_count < d->chunk; i++) {
        lmi_recipient *r = &d->recipients[i];
        r->in = 0;
        if (r->ended || r->visit == d->visit)
            continue;
        if (lmi_denied(d, lmail_policy_tls_rcpt, r->address, &v, &w)) {
            if (lmi_delivery_keep(d, r, &w, w.code >= 500))
                return LMAIL_ERR_NOMEM;
            r->visit = d->visit;
            continue;
        }
        r->in = 1;
        r->heard = LMI_UNHEARD;
        d->batch[d->batch_count++] = i;
    }
    return LMAIL_OK;
}

static int says_yes(const lmail_delivery_word *w)
{
    return w->fault == LMAIL_DELIVERY_FINE ||
           (w->fault == LMAIL_DELIVERY_REPLY && w->code / 100 == 2);
}

static int says_never(const lmail_delivery_word *w)
{
    return w->fault == LMAIL_DELIVERY_REPLY && w->code / 100 == 5;
}

static size_t count_heard(const lmail_delivery *d, lmi_heard heard)
{
    size_t n = 0;
    for (size_t i = 0; i < d->batch_count; i++)
        n += d->recipients[d->batch[i]].heard == heard;
    return n;
}

/* This server cannot take it for now. */
static lmail_status put_off(lmail_delivery *d, lmi_recipient *r, const lmail_delivery_word *w,
                            unsigned hard)
{
    lmail_status st = lmi_delivery_keep(d, r, w, hard);
    r->visit = d->visit;
    r->heard = LMI_SETTLED;
    return st;
}

static void settle(lmail_delivery *d, lmi_recipient *r, lmail_delivery_state state,
                   const lmail_delivery_word *w, unsigned dsn, unsigned doubtful)
{
    r->heard = LMI_SETTLED;
    lmi_settle(d, r, state, w, dsn, doubtful);
}

/* "Too many recipients", not "mailbox full": 452, and 552 of old servers, when others came before
 * (RFC 5321 §4.5.3.1.10). */
static int wants_fewer(const lmail_delivery *d, const lmail_delivery_word *w)
{
    lmail_str e = w->enhanced;
    if (w->fault != LMAIL_DELIVERY_REPLY || (w->code != 452 && w->code != 552))
        return 0;
    if (e.len && !lmail_str_equal(e, LMAIL_STR("4.5.3")) && !lmail_str_equal(e, LMAIL_STR("5.5.3")))
        return 0;
    return count_heard(d, LMI_ACCEPTED) > 0;
}

lmail_status lmi_on_told(lmail_delivery *d, lmi_recipient *r, const lmail_delivery_word *w)
{
    int at_rcpt = w->phase == LMAIL_DELIVERY_AT_RCPT;
    if (r->ended || r->heard != (at_rcpt ? LMI_UNHEARD : LMI_ACCEPTED))
        return LMAIL_OK;
    if (lmi_is_busy(w))
        d->busy = 1;
    if (says_yes(w)) {
        r->heard = LMI_ACCEPTED;
        if (!at_rcpt)
            settle(d, r, LMAIL_DELIVERY_SENT, w, 0, 0);
        return LMAIL_OK;
    }
    if (at_rcpt && wants_fewer(d, w)) {
        r->heard = LMI_AGAIN;
        return LMAIL_OK;
    }
    if (says_never(w))
        settle(d, r, LMAIL_DELIVERY_FAILED, w, 0, 0);
    else if (!at_rcpt && w->fault != LMAIL_DELIVERY_REPLY)
        settle(d, r, LMAIL_DELIVERY_DEFERRED, w, 0, 1);
    else
        return put_off(d, r, w, 0);
    return LMAIL_OK;
}

/* ---- The end --------------------------------------------------------------------------------- */

static lmail_status end_of_one(lmail_delivery *d, lmi_recipient *r,
                               const lmail_delivery_transaction *a)
{
    const lmail_delivery_word *w = &a->word;
    const lmail_delivery_word unsaid =
        lmi_word(LMAIL_DELIVERY_PROTOCOL, LMAIL_DELIVERY_AT_RCPT, 0, "4.5.0",
                 "the server said nothing about this recipient");
    int lmtp = d->job.mailer == LMAIL_DELIVERY_LMTP, accepted = r->heard == LMI_ACCEPTED;
    if (says_yes(w)) {
        lmail_delivery_word yes = *w;
        yes.phase = LMAIL_DELIVERY_AT_END;
        if (!accepted)
            return put_off(d, r, &unsaid, 0);
        /* RFC 2033 §4.2: one reply for each; without its own nobody knows. */
        if (lmtp)
            settle(d, r, LMAIL_DELIVERY_DEFERRED, &unsaid, 0, 1);
        else
            settle(d, r, LMAIL_DELIVERY_SENT, &yes, a->dsn, 0);
        return LMAIL_OK;
    }
    if (w->phase >= LMAIL_DELIVERY_AT_DATA && !accepted)
        return put_off(d, r, &unsaid, 0);
    if (says_never(w) && w->phase >= LMAIL_DELIVERY_AT_MAIL) {
        settle(d, r, LMAIL_DELIVERY_FAILED, w, 0, 0);
        return LMAIL_OK;
    }
    /* The message was there in whole: it may have been taken. Another server at once would make a
     * second copy likely (RFC 1047). */
    if (w->phase == LMAIL_DELIVERY_AT_END && w->fault != LMAIL_DELIVERY_REPLY) {
        settle(d, r, LMAIL_DELIVERY_DEFERRED, w, 0, 1);
        return LMAIL_OK;
    }
    return put_off(d, r, w, w->fault == LMAIL_DELIVERY_UNSUPPORTED && w->code >= 500);
}

static int some_left(const lmail_delivery *d)
{
    for (size_t i = 0; i < d->job.recipient_count; i++)
        if (!d->recipients[i].ended && d->recipients[i].visit != d->visit)
            return 1;
    return 0;
}

/* A connection that was open before may have been given up by the server meanwhile. */
static int was_stale(const lmail_delivery *d, const lmail_delivery_word *w)
{
    return d->reused && w->phase <= LMAIL_DELIVERY_AT_MAIL &&
           (w->fault == LMAIL_DELIVERY_LOST ||
            (w->fault == LMAIL_DELIVERY_REPLY && w->code == 421)) &&
           count_heard(d, LMI_UNHEARD) == d->batch_count;
}

static lmail_status closed(lmail_delivery *d, const lmail_delivery_word *w, unsigned progress)
{
    lmail_status st = LMAIL_OK;
    lmi_release(d, 0);
    if (some_left(d)) {
        if (progress && !d->busy) { /* it takes one transaction a connection */
            d->again = d->host != NULL;
            d->step = d->host ? LMI_STEP_CONNECT : LMI_STEP_HOST;
            return LMAIL_OK;
        }
        lmail_delivery_word lost = *w;
        if (says_yes(w))
            lost = lmi_word(LMAIL_DELIVERY_LOST, LMAIL_DELIVERY_AT_MAIL, 0, "", "");
        st = lmi_delivery_keep_all(d, &lost, 0);
    }
    lmi_next_server(d);
    return st;
}

lmail_status lmi_on_transaction_answer(lmail_delivery *d, const lmail_delivery_transaction *a)
{
    const lmail_delivery_word *w = &a->word;
    size_t before = d->open, accepted = count_heard(d, LMI_ACCEPTED);
    if (was_stale(d, w)) {
        lmi_release(d, 0);
        lmi_next_server(d);
        return LMAIL_OK;
    }
    d->reused = 0;
    if (lmi_is_busy(w))
        d->busy = 1;
    if (w->fault == LMAIL_DELIVERY_FINE || w->fault == LMAIL_DELIVERY_REPLY)
        d->alive = 1;
    for (size_t i = 0; i < d->batch_count; i++) {
        lmi_recipient *r = &d->recipients[d->batch[i]];
        if (r->ended || r->heard == LMI_SETTLED)
            continue;
        if (r->heard == LMI_AGAIN) {
            d->chunk = accepted; /* the server's limit, as it seems: 1 or more */
            continue;
        }
        if (end_of_one(d, r, a))
            return LMAIL_ERR_NOMEM;
    }
    for (size_t i = 0; i < d->batch_count; i++)
        d->recipients[d->batch[i]].in = 0;
    if (a->ready && (w->fault == LMAIL_DELIVERY_FINE || w->fault == LMAIL_DELIVERY_REPLY) &&
        w->code != 421)
        return LMAIL_OK; /* LMI_STEP_TRANSACTION again */
    return closed(d, w, d->open < before);
}
