/* service_smtp_limits.c - limits, throttles and a listener's own rules, as SMTP sessions meet them.
 *
 * What a session counts itself is told to it in its setup. What counts over sessions is asked here:
 * connections of a client, the load, the disk. */
#include "host/service/service_smtp_limits.h"

#include "host/service/service_limits.h"
#include "host/service/service_pickup.h"

#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define LOAD_PAUSE 1000u /* milliseconds that a connection waits at a high load */

static const lmail_settings *settings_of(const smtp_peer *p)
{
    return p->base.door->rules->settings;
}

/* ---- The session's own ----------------------------------------------------------------------- */

static uint32_t flags_on(const lmail_listener_settings *l, unsigned privacy)
{
    /* HELP also because of clients that find STARTTLS in "250-" lines alone (gsasl 2.2): it stands
     * last. */
    uint32_t flags = LMAIL_SMTP_HELP | LMAIL_SMTP_COUNT_LF | LMAIL_SMTP_ALLOW_UNQUALIFIED |
                     LMAIL_SMTP_ALLOW_TRAILING_DOT;
    if (l->protocol == LMAIL_LISTENER_LMTP)
        flags |= LMAIL_SMTP_LMTP;
    else if (l->require_auth)
        flags |= LMAIL_SMTP_NEED_AUTH_FIRST; /* RFC 6409 §4.3 */
    if (l->tls == LMAIL_LISTENER_STARTTLS)
        flags |= LMAIL_SMTP_STARTTLS;
    if (privacy & LMAIL_PRIVACY_NEED_VRFY_HELO)
        flags |= LMAIL_SMTP_VRFY_NEEDS_HELO;
    if (privacy & LMAIL_PRIVACY_NEED_EXPN_HELO)
        flags |= LMAIL_SMTP_EXPN_NEEDS_HELO;
    if (!(privacy & LMAIL_PRIVACY_NO_EXPN))
        flags |= LMAIL_SMTP_EXPN;
    if (l->etrn && !(privacy & LMAIL_PRIVACY_NO_ETRN))
        flags |= LMAIL_SMTP_ETRN;
    return flags;
}

static uint32_t flags_off(const lmail_listener_settings *l, unsigned privacy)
{
    uint32_t flags = 0;
    if (!(privacy & LMAIL_PRIVACY_NEED_MAIL_HELO) && l->protocol != LMAIL_LISTENER_LMTP)
        flags |= LMAIL_SMTP_NEED_HELO_FIRST;
    if (privacy & LMAIL_PRIVACY_NO_RECEIPTS)
        flags |= LMAIL_SMTP_DSN;
    return flags;
}

void lmi_limits_setup(const lmi_door *door, lmail_smtp_server_config *c)
{
    const lmail_settings *v = door->rules->settings;
    c->flags_on |= flags_on(door->settings, v->smtp.privacy);
    c->flags_off |= flags_off(door->settings, v->smtp.privacy);
    c->max_line = v->smtp.max_line;
    c->max_recipients = (uint32_t)v->smtp.max_recipients;
    c->max_message = v->smtp.max_message_size;
    c->max_header = v->smtp.max_header_size;
    c->max_bad_commands = (uint32_t)v->smtp.max_bad_commands;
    c->max_noop_commands = (uint32_t)v->smtp.max_noop_commands;
    c->bad_recipients_throttle = (uint32_t)v->smtp.bad_recipients_throttle;
    c->command_timeout = v->smtp.command_timeout;
    c->data_timeout = v->smtp.data_timeout;
    if (!lmi_door_is_local(door))
        return;
    c->max_recipients = LMAIL_DROP_RECIPIENTS; /* ourselves: a drop is sent as a whole */
    c->max_bad_commands = c->max_noop_commands = c->bad_recipients_throttle = 0;
    c->flags_off &= ~(uint64_t)LMAIL_SMTP_DSN;
}

/* ---- The client's ---------------------------------------------------------------------------- */

void lmi_limits_began(smtp_peer *p, lmail_msec now)
{
    p->key = lmi_door_is_local(p->base.door) ? 0 : lmail_conn_key(p->base.conn);
    lmi_rates_began(p->base.door->service, p->key, settings_of(p)->policy.rate_window, now,
                    &p->recent, &p->open);
}

void lmi_limits_ended(smtp_peer *p)
{
    lmi_rates_ended(p->base.door->service, p->key);
}

/* Does this limit refuse the client? The verdict's text then lies in p->text. */
static int over(smtp_peer *p, const lmail_policy_peer *peer,
                lmail_status (*ask)(const lmail_policy *, const lmail_policy_question *,
                                    lmail_policy_verdict *),
                uint64_t count, lmail_smtp_reply *reply)
{
    const lmail_policy *policy = lmail_config_policy(p->base.door->rules->config);
    lmail_policy_verdict v;
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    q.peer = peer;
    q.count = count;
    if (!count || ask(policy, &q, &v) || v.kind != LMAIL_POLICY_DENY)
        return 0;
    snprintf(p->text, sizeof p->text, "%.*s", TEXT(v.text));
    lmi_reply_fill(reply, v.code, "4.3.2", p->text);
    return 1;
}

/* In the connection's turn, or in that of each recipient: delay_checks moves all but "nodelay". */
static int refuses(smtp_peer *p, const lmail_policy_peer *peer, int connecting,
                   lmail_smtp_reply *reply)
{
    const lmail_settings *v = settings_of(p);
    int late = v->policy.delay_checks != LMAIL_DELAY_CHECKS_NO;
    int rate_late = late && !(v->policy.rate_control & LMAIL_CONTROL_NODELAY);
    int open_late = late && !(v->policy.connection_control & LMAIL_CONTROL_NODELAY);
    return (rate_late != connecting && over(p, peer, lmail_policy_rate, p->recent, reply)) ||
           (open_late != connecting && over(p, peer, lmail_policy_connections, p->open, reply));
}

unsigned lmi_limits_connect(smtp_peer *p, const lmail_policy_peer *peer,
                            lmail_smtp_connect_answer *a)
{
    const lmail_policy *policy = lmail_config_policy(p->base.door->rules->config);
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    lmail_policy_pause pause;
    q.peer = peer;
    if (lmi_limits_delays(p->base.door))
        a->pause = LOAD_PAUSE;
    if (!lmail_policy_greet_pause(policy, &q, &pause)) {
        if (pause.need)
            return pause.need;
        if (pause.pause) {
            a->pause += pause.pause;
            a->early_refused = 1;
        }
    }
    if (a->kind == LMAIL_SMTP_CONNECT_ACCEPT && refuses(p, peer, 1, &a->reply)) {
        a->kind = a->reply.code == 421 ? LMAIL_SMTP_CONNECT_CLOSE : LMAIL_SMTP_CONNECT_REFUSE;
        lmi_reply_log(p, "connect", LMAIL_STR(""), &a->reply);
    }
    return 0;
}

/* ---- The transaction's ----------------------------------------------------------------------- */

/* A listener may want a domain, whatever the policy says. */
static int lacks_domain(const smtp_peer *p, const lmail_smtp_address *a, unsigned wanted,
                        const char *what, lmail_smtp_reply *reply)
{
    char text[80 + LMAIL_POLICY_MAX_ADDRESS];
    if (!wanted || !a->text.len || a->domain.len)
        return 0;
    snprintf(text, sizeof text, "Domain name required for %s address %.*s", what, TEXT(a->text));
    lmi_reply_about(p, reply, 553, LMAIL_STR("5.5.4"), a->text, lmail_str_from(text));
    lmi_reply_log(p, "address", a->text, reply);
    return 1;
}

int lmi_limits_mail(smtp_peer *p, const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply)
{
    if (lacks_domain(p, &ev->from, p->base.door->settings->qualified_senders, "sender", reply))
        return 1;
    uint64_t min_free = settings_of(p)->smtp.min_free;
    if (min_free == 0)
        return 0;
    uint64_t space = lmi_limits_space(p->base.door->service, lmi_peer_now(&p->base));
    if (space >= min_free && space - min_free >= ev->declared_size)
        return 0;
    lmi_reply_fill(reply, 452, "4.4.5", "Insufficient disk space; try again later");
    lmi_reply_log(p, "mail", LMAIL_STR(""), reply);
    return 1;
}

int lmi_limits_rcpt(smtp_peer *p, const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    const lmail_listener_settings *l = p->base.door->settings;
    /* <postmaster> needs no domain: RFC 5321 §4.5.1 */
    return !lmail_str_equal_nocase(ev->to.text, LMAIL_STR("postmaster")) &&
           lacks_domain(p, &ev->to, l->qualified_recipients, "recipient", reply);
}

int lmi_limits_delayed(smtp_peer *p, lmail_str to, lmail_smtp_reply *reply)
{
    lmail_policy_peer peer;
    if (p->base.door->settings->protocol == LMAIL_LISTENER_LMTP)
        return 0;
    lmi_facts_peer(p, &peer);
    if (!refuses(p, &peer, 0, reply))
        return 0;
    lmi_reply_log(p, "rcpt", to, reply);
    return 1;
}
