/* service_smtp_policy.c - may this client connect, may it send as that sender: the policy's verdict,
 * told to the session.
 *
 * A verdict that needs no DNS is there at once and allocates nothing. One that does is asked again
 * when the fact has come (service_smtp_facts.c). Recipients are service_smtp_rcpt.c's. */
#include "host/service/service_milter_gate.h"
#include "host/service/service_pickup.h"
#include "host/service/service_smtp.h"
#include "host/service/service_smtp_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

static const lmail_policy *policy_of(const smtp_peer *p)
{
    return p->base.door->rules->policy;
}

void lmi_verdict_log(const smtp_peer *p, const char *stage, lmail_str to,
                     const lmail_policy_verdict *v)
{
    static const char *const events[] = {[LMAIL_POLICY_DISCARD] = "discard",
                                         [LMAIL_POLICY_QUARANTINE] = "quarantine",
                                         [LMAIL_POLICY_DENY] = "refused"};
    lmail_log_line l;
    lmi_peer_log(&p->base, &l, LMAIL_LOG_INFO, events[v->kind]);
    lmail_log_text(&l, "stage", lmail_str_from(stage));
    if (p->mail)
        lmail_log_text(&l, "from", lmail_str_from(p->mail->from));
    if (to.len)
        lmail_log_text(&l, "to", to);
    lmi_xforward_log(p, &l);
    if (v->kind == LMAIL_POLICY_DENY)
        lmail_log_number(&l, "code", v->code);
    lmail_log_text(&l, "reason", v->kind == LMAIL_POLICY_QUARANTINE ? v->reason : v->text);
    lmail_log_text(&l, "rule", v->rule);
    if (v->file.len) {
        lmail_log_text(&l, "file", v->file);
        lmail_log_number(&l, "line", v->line);
    }
    lmail_log_end(&l);
}

lmail_status lmi_hold(char **hold, lmail_str reason)
{
    if (*hold)
        return LMAIL_OK; /* the first reason stands */
    *hold = strndup(reason.len ? reason.ptr : "", reason.len);
    return *hold ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

void lmi_reply_late(smtp_peer *p, lmail_ticket t, lmail_status st, lmail_smtp_reply *reply)
{
    if (st)
        lmi_reply_fill(reply, 451, "4.3.0", "Local error in processing");
    lmi_reply_give(p, t, reply);
}

/* ---- Block lists ----------------------------------------------------------------------------- */

/* The text of a list's own reply into v->room, {address} and {name} filled in. */
static void fill_text(const smtp_peer *p, lmail_policy_verdict *v, lmail_str text)
{
    lmail_policy_peer peer;
    size_t n = 0;
    lmi_facts_peer(p, &peer);
    const struct {
        lmail_str place, word;
    } words[] = {{LMAIL_STR("{address}"), peer.address},
                 {LMAIL_STR("{name}"), peer.name.len ? peer.name : peer.address}};
    while (text.len && n < sizeof v->room) {
        size_t k = 0;
        while (k < 2 && (text.len < words[k].place.len ||
                         memcmp(text.ptr, words[k].place.ptr, words[k].place.len) != 0))
            k++;
        lmail_str put = k < 2 ? words[k].word : (lmail_str){text.ptr, 1};
        size_t skip = k < 2 ? words[k].place.len : 1;
        if (put.len > sizeof v->room - n)
            break;
        memcpy(v->room + n, put.ptr, put.len);
        n += put.len;
        text = (lmail_str){text.ptr + skip, text.len - skip};
    }
    v->text = (lmail_str){v->room, n};
}

/* "NNN D.S.N text" into a verdict; what it leaves out is 550 5.7.1 and the classic text. */
static void own_reply(const smtp_peer *p, lmail_policy_verdict *v, lmail_str given)
{
    unsigned code = 0;
    for (size_t i = 0; i < 3 && i < given.len; i++)
        code = code * 10 + (unsigned)(given.ptr[i] - '0');
    v->code = code;
    v->enhanced = code < 500 ? LMAIL_STR("4.7.1") : LMAIL_STR("5.7.1");
    lmail_str rest = {given.ptr + 3, given.len - 3};
    while (rest.len && *rest.ptr == ' ')
        rest = (lmail_str){rest.ptr + 1, rest.len - 1};
    size_t word = 0;
    while (word < rest.len && rest.ptr[word] != ' ')
        word++;
    if (word >= 5 && rest.ptr[1] == '.' && rest.ptr[0] == (char)('0' + code / 100)) {
        v->enhanced = (lmail_str){rest.ptr, word};
        rest = (lmail_str){rest.ptr + word, rest.len - word};
        while (rest.len && *rest.ptr == ' ')
            rest = (lmail_str){rest.ptr + 1, rest.len - 1};
    }
    if (rest.len)
        fill_text(p, v, rest);
}

static void list_verdict(const smtp_peer *p, size_t i, lmail_policy_verdict *v)
{
    const lmail_dnsbl_settings *d = &p->base.door->rules->settings->dnsbls[i];
    lmail_str address = lmail_conn_get_facts(p->base.conn)->peer_address;
    memset(v, 0, offsetof(lmail_policy_verdict, room));
    int failed = lmi_facts_list_failed(p, i);
    int n = snprintf(v->room, sizeof v->room,
                     failed ? "Temporary lookup failure of %.*s at %.*s"
                            : "Rejected: %.*s listed at %.*s",
                     TEXT(address), TEXT(d->zone));
    v->text = v->reason = (lmail_str){v->room, n > 0 && (size_t)n < sizeof v->room ? (size_t)n : 0};
    v->rule = d->name;
    v->kind = LMAIL_POLICY_DENY;
    if (failed) {
        v->code = 451;
        v->enhanced = LMAIL_STR("4.4.3");
    } else if (d->action == LMAIL_DNSBL_QUARANTINE) {
        v->kind = LMAIL_POLICY_QUARANTINE;
    } else if (d->action == LMAIL_DNSBL_DISCARD) {
        v->kind = LMAIL_POLICY_DISCARD;
    } else {
        v->code = 550;
        v->enhanced = LMAIL_STR("5.7.1");
        if (d->reply.len >= 3)
            own_reply(p, v, d->reply);
    }
}

lmail_status lmi_lists_verdict(const smtp_peer *p, lmail_policy_verdict *v)
{
    lmail_status st;
    int i = lmi_facts_listed(p, &st);
    if (i >= 0)
        list_verdict(p, (size_t)i, v);
    return st ? st : i >= 0 ? LMAIL_OK : LMAIL_END;
}

lmail_status lmi_lists_recipient(const smtp_peer *p, lmail_policy_verdict *v)
{
    lmail_policy_verdict said;
    lmail_status st = lmi_lists_verdict(p, &said);
    if (st || !p->mail)
        return st == LMAIL_END ? LMAIL_OK : st;
    if (said.kind == LMAIL_POLICY_DENY)
        return lmi_lists_verdict(p, v);
    lmi_verdict_log(p, "rcpt", (lmail_str){NULL, 0}, &said);
    if (said.kind == LMAIL_POLICY_QUARANTINE)
        return lmi_mail_hold(p->mail, said.reason);
    lmi_mail_discard(p->mail);
    return LMAIL_OK;
}

/* ---- Connecting ------------------------------------------------------------------------------ */

/* What the access map says of this client's offers (Srv_Features:). */
static lmail_status offers(smtp_peer *p, lmail_policy_question *q, unsigned *need,
                           lmail_smtp_connect_answer *a)
{
    static const struct {
        unsigned feature;
        uint32_t flag;
    } same[] = {{LMAIL_POLICY_FEATURE_STARTTLS, LMAIL_SMTP_STARTTLS},
                {LMAIL_POLICY_FEATURE_PIPELINING, LMAIL_SMTP_PIPELINING},
                {LMAIL_POLICY_FEATURE_DSN, LMAIL_SMTP_DSN},
                {LMAIL_POLICY_FEATURE_ETRN, LMAIL_SMTP_ETRN},
                {LMAIL_POLICY_FEATURE_EXPN, LMAIL_SMTP_EXPN},
                {LMAIL_POLICY_FEATURE_NEED_AUTH, LMAIL_SMTP_NEED_AUTH_FIRST}};
    lmail_policy_features f;
    lmail_status st = lmail_policy_server_features(policy_of(p), q, &f);
    *need = f.need;
    if (st || f.need)
        return st;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (f.on & same[i].feature)
            a->flags_on |= same[i].flag;
        if (f.off & same[i].feature)
            a->flags_off |= same[i].flag;
    }
    if (p->base.door->settings->tls == LMAIL_LISTENER_PLAIN)
        a->flags_on &= ~(uint64_t)LMAIL_SMTP_STARTTLS;
    p->features_on = f.on;
    p->features_off = f.off;
    if (f.off & LMAIL_POLICY_FEATURE_CLIENT_CERTIFICATE && p->base.door->rules->tls_unasked)
        lmail_conn_set_tls(p->base.conn, p->base.door->rules->tls_unasked);
    return LMAIL_OK;
}

static void connect_verdict(smtp_peer *p, const lmail_policy_verdict *v,
                            lmail_smtp_connect_answer *a)
{
    lmi_verdict_log(p, "connect", (lmail_str){NULL, 0}, v);
    if (v->kind == LMAIL_POLICY_DISCARD)
        p->discard = 1;
    if (v->kind != LMAIL_POLICY_DENY)
        return;
    a->kind = v->code == 421 ? LMAIL_SMTP_CONNECT_CLOSE : LMAIL_SMTP_CONNECT_REFUSE;
    lmi_reply_refusal(p, &a->reply, v);
}

static void connect_known(smtp_peer *p, lmail_ticket t, const void *event);

/* The lists are asked when the access map has not decided yet; their answers come while the client's
 * name is looked up. With delay_checks they are looked at when a recipient comes. */
static lmail_status decide_connect(smtp_peer *p, lmail_ticket t, lmail_smtp_connect_answer *a)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer;
    lmail_policy_question q;
    const lmi_waiting w = {t, connect_known, NULL, 1};
    const lmail_str none = {NULL, 0};
    for (;;) {
        unsigned need;
        lmi_facts_peer(p, &peer);
        lmail_policy_question_init(&q);
        q.peer = &peer;
        lmail_status st = lmail_policy_connect(policy_of(p), &q, &v);
        if (st)
            return st;
        need = v.kind == LMAIL_POLICY_NEED ? v.need : 0;
        if (v.kind == LMAIL_POLICY_NEED || (v.kind == LMAIL_POLICY_ACCEPT && !v.listed))
            lmi_facts_start_lists(p);
        if (!need && v.kind == LMAIL_POLICY_ACCEPT && !v.listed &&
            !p->base.door->rules->settings->policy.delay_checks &&
            lmi_lists_verdict(p, &v) == LMAIL_PENDING)
            need = LMI_NEED_LISTS;
        if (!need && v.kind != LMAIL_POLICY_DENY)
            st = offers(p, &q, &need, a);
        if (!st && !need)
            need = lmi_limits_connect(p, &peer, a);
        if (!st && need)
            st = lmi_facts_look_up(p, need, none, &w);
        if (st)
            return st;
        if (!need)
            break;
    }
    if (v.kind == LMAIL_POLICY_QUARANTINE && lmi_hold(&p->hold, v.reason))
        return LMAIL_ERR_NOMEM;
    if (v.kind != LMAIL_POLICY_ACCEPT)
        connect_verdict(p, &v, a);
    a->flags_on |= p->trusted;
    lmi_facts_start_name(p);
    return LMAIL_OK;
}

static void connect_known(smtp_peer *p, lmail_ticket t, const void *event)
{
    lmail_smtp_connect_answer a;
    (void)event;
    lmail_smtp_connect_answer_init(&a);
    lmail_status st = decide_connect(p, t, &a);
    if (st == LMAIL_PENDING)
        return;
    if (st) {
        a.kind = LMAIL_SMTP_CONNECT_CLOSE;
        lmi_reply_fill(&a.reply, 421, "4.3.0", "Local error in processing");
    }
    if (lmi_gate_take_connect(p, t, &a))
        return;
    lmail_smtp_server_answer_connect(p->server, t, &a, lmi_peer_now(&p->base));
}

lmail_status lmi_connect_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_connect_event *ev, lmail_smtp_connect_answer *a)
{
    smtp_peer *p = user;
    (void)s;
    (void)ev;
    return lmi_door_is_local(p->base.door) ? LMAIL_OK : decide_connect(p, t, a);
}

/* ---- The sender ------------------------------------------------------------------------------ */

static void mail_known(smtp_peer *p, lmail_ticket t, const void *event);

static lmail_status decide_mail(smtp_peer *p, lmail_ticket t, const lmail_smtp_mail_event *ev,
                                lmail_smtp_reply *reply)
{
    lmail_policy_verdict v;
    lmail_policy_peer peer;
    lmail_policy_question q;
    const lmi_waiting w = {t, mail_known, ev, 0};
    for (;;) {
        lmi_facts_peer(p, &peer);
        lmail_policy_question_init(&q);
        q.peer = &peer;
        q.sender = ev->from.text;
        q.sender_domain = (lmail_policy_answer)p->sender_domain;
        q.unqualified_sender = p->base.door->settings->unqualified_senders;
        q.tables = p->base.door->rules->tables;
        lmail_status st = lmail_policy_mail(policy_of(p), &q, &v);
        if (st)
            return st;
        if (v.kind != LMAIL_POLICY_NEED)
            break;
        st = lmi_facts_look_up(p, v.need, ev->from.domain, &w);
        if (st)
            return st;
    }
    if (v.kind == LMAIL_POLICY_DENY) {
        lmi_verdict_log(p, "mail", ev->from.text, &v);
        lmi_reply_verdict(p, reply, &v, ev->from.text);
        return LMAIL_OK;
    }
    lmail_status st = lmi_begin_mail(p, ev);
    if (st)
        return st;
    if (v.kind != LMAIL_POLICY_ACCEPT)
        lmi_verdict_log(p, "mail", (lmail_str){NULL, 0}, &v);
    if (p->discard || v.kind == LMAIL_POLICY_DISCARD)
        lmi_mail_discard(p->mail);
    if (p->hold)
        st = lmi_mail_hold(p->mail, lmail_str_from(p->hold));
    if (!st && v.kind == LMAIL_POLICY_QUARANTINE)
        st = lmi_mail_hold(p->mail, v.reason);
    lmi_reply_about(p, reply, 250, LMAIL_STR("2.1.0"), ev->from.text, LMAIL_STR("Sender ok"));
    return st;
}

static void mail_known(smtp_peer *p, lmail_ticket t, const void *event)
{
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    lmail_status st = decide_mail(p, t, event, &reply);
    if (st != LMAIL_PENDING)
        lmi_reply_late(p, t, st, &reply);
}

lmail_status lmi_mail_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    (void)s;
    /* Deferred: a host that is seldom online takes mail without a question to the DNS. */
    p->sender_domain =
        lmi_delivery_mode(p) == LMAIL_MODE_DEFERRED ? LMAIL_POLICY_YES : LMAIL_POLICY_UNKNOWN;
    if (lmi_door_is_local(p->base.door)) {
        if (!p->local)
            p->local =
                lmi_local_find(p->base.door->service->pickup, lmail_smtp_server_helo_name(s));
        if (!p->local)
            return LMAIL_ERR_NOTFOUND;
        if (p->local->returning)
            return lmi_begin_mail(p, ev); /* it goes no further than the queue */
    }
    if (lmi_limits_mail(p, ev, reply) || lmi_submit_mail(p, ev, reply))
        return LMAIL_OK;
    if (p->base.door->settings->protocol != LMAIL_LISTENER_LMTP)
        return decide_mail(p, t, ev, reply);
    return lmi_begin_mail(p, ev); /* who speaks LMTP has made its own decisions */
}
