/* service_milter_gate.c - the questions of an SMTP session, with the mail filters' word behind what was
 * decided otherwise.
 *
 * What this host would refuse is refused without them. A reply that says yes is kept until every filter
 * has had its say; at the end of a message they come before it is safe anywhere. The callbacks here
 * stand in front of those of service_smtp*.c, and do nothing more where a listener has no filters. */
#include "host/service/service_milter_gate.h"
#include "host/service/service_metrics.h"
#include "host/service/service_milter.h"
#include "host/service/service_pickup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

/* Nobody is asked again about a local user's letter that goes back to its sender. */
static lmi_filters *filters_of(const smtp_peer *p)
{
    if (p->local && p->local->returning)
        return NULL;
    return p->filters && !p->filters->off ? p->filters : NULL;
}

static lmail_str text_of(const char *text)
{
    return lmail_str_from(text);
}

/* ---- Replies --------------------------------------------------------------------------------- */

static void fill(lmi_filters *f, lmail_smtp_reply *reply, const lmi_kept_reply *kept)
{
    lmail_str *lines = f->lines;
    const char *end = strchr(kept->text, '\n');
    reply->code = kept->code;
    reply->enhanced = text_of(kept->enhanced);
    reply->text = text_of(kept->text);
    reply->lines = NULL;
    reply->line_count = 0;
    if (!end)
        return;
    reply->text.len = (size_t)(end - kept->text);
    reply->lines = lines;
    while (end && reply->line_count < sizeof f->lines / sizeof f->lines[0]) {
        const char *next = strchr(end + 1, '\n');
        lines[reply->line_count++] =
            (lmail_str){end + 1, next ? (size_t)(next - end - 1) : strlen(end + 1)};
        end = next;
    }
}

static void answer(lmi_filters *f, lmail_ticket t, const lmail_smtp_reply *reply)
{
    smtp_peer *p = f->peer;
    lmail_smtp_server_answer(p->server, t, reply, lmi_peer_now(&p->base));
    lmail_conn_wake(p->base.conn);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static lmail_str client_name(smtp_peer *p, char *room, size_t cap)
{
    const lmail_conn_facts *facts = lmail_conn_get_facts(p->base.conn);
    lmail_policy_peer peer;
    lmi_facts_peer(p, &peer);
    if (peer.name.len)
        return peer.name;
    if (!facts->peer_address.len || lmail_str_equal(facts->peer_address, LMAIL_STR("::1")) ||
        (facts->peer_address.len > 4 && memcmp(facts->peer_address.ptr, "127.", 4) == 0))
        return LMAIL_STR("localhost");
    snprintf(room, cap, "[%.*s]", TEXT(facts->peer_address));
    return text_of(room);
}

/* A client on a socket of this machine is shown as one on the loopback interface. */
static void show_client(lmi_filters *f)
{
    smtp_peer *p = f->peer;
    const lmail_conn_facts *facts = lmail_conn_get_facts(p->base.conn);
    lmail_str a = facts->peer_address;
    lmail_milter_ask_init(&f->ask);
    f->ask.text = client_name(p, f->address, sizeof f->address);
    f->ask.value = a.len ? a : LMAIL_STR("127.0.0.1");
    f->ask.family =
        a.len && memchr(a.ptr, ':', a.len) ? LMAIL_MILTER_FAMILY_INET6 : LMAIL_MILTER_FAMILY_INET;
    f->ask.port = facts->peer_port <= 65535 ? facts->peer_port : 0;
}

static void finish_connect(lmi_filters *f, lmail_smtp_connect_answer *a)
{
    *a = f->connect;
    if (f->verdict != LMI_FILTERS_REFUSE)
        return;
    f->off = 1;
    a->kind = f->refusal.code == 421 ? LMAIL_SMTP_CONNECT_CLOSE : LMAIL_SMTP_CONNECT_REFUSE;
    fill(f, &a->reply, &f->refusal);
}

static void connect_done(lmi_filters *f)
{
    lmail_smtp_connect_answer a;
    smtp_peer *p = f->peer;
    finish_connect(f, &a);
    lmail_smtp_server_answer_connect(p->server, f->ticket, &a, lmi_peer_now(&p->base));
    lmail_conn_wake(p->base.conn);
}

static void name_known(smtp_peer *p, lmail_ticket t, const void *event);

/* OK: f->verdict is there; PENDING; an error. */
static lmail_status ask_connect(smtp_peer *p, lmail_ticket t)
{
    lmi_filters *f = p->filters;
    const lmi_waiting w = {t, name_known, NULL, 1};
    const lmail_str none = {NULL, 0};
    char room[64];
    if (client_name(p, room, sizeof room).ptr == room) {
        lmail_status st = lmi_facts_look_up(p, LMAIL_POLICY_NEED_NAME, none, &w);
        if (st)
            return st;
    }
    show_client(f);
    return lmi_filters_start(f, LMAIL_MILTER_ASK_CONNECT, t, connect_done);
}

static void name_known(smtp_peer *p, lmail_ticket t, const void *event)
{
    (void)event;
    lmail_status st = ask_connect(p, t);
    if (st == LMAIL_PENDING)
        return;
    p->filters->ticket = t;
    if (st)
        p->filters->off = 1;
    connect_done(p->filters);
}

/* The client is let in as far as this host is concerned. */
static lmail_status gate_connect(smtp_peer *p, lmail_ticket t, lmail_smtp_connect_answer *a)
{
    lmi_filters *f = p->filters;
    if (a->kind != LMAIL_SMTP_CONNECT_ACCEPT) {
        f->off = 1;
        return LMAIL_OK;
    }
    f->connect = *a;
    lmail_status st = ask_connect(p, t);
    if (!st)
        finish_connect(f, a);
    return st;
}

lmail_status lmi_gate_connect(lmail_smtp_server *s, void *user, lmail_ticket t,
                              const lmail_smtp_connect_event *ev, lmail_smtp_connect_answer *a)
{
    smtp_peer *p = user;
    int lmtp = p->base.door->settings->protocol == LMAIL_LISTENER_LMTP;
    if (!p->filters && !(p->filters = lmi_filters_new(p)))
        return LMAIL_ERR_NOMEM;
    p->filters->gate.ticket = t;
    p->filters->gate.kind = LMAIL_MILTER_ASK_CONNECT;
    lmail_status st = lmtp ? LMAIL_OK : lmi_connect_asked(s, user, t, ev, a);
    if (st == LMAIL_PENDING)
        return st;
    p->filters->gate.ticket = 0;
    return st ? st : gate_connect(p, t, a);
}

int lmi_gate_take_connect(smtp_peer *p, lmail_ticket t, const lmail_smtp_connect_answer *given)
{
    lmi_filters *f = filters_of(p);
    lmail_smtp_connect_answer a = *given;
    if (!f || f->gate.ticket != t)
        return 0;
    f->gate.ticket = 0;
    lmail_status st = gate_connect(p, t, &a);
    if (st != LMAIL_PENDING)
        lmail_smtp_server_answer_connect(p->server, t, &a, lmi_peer_now(&p->base));
    return 1;
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void add_arg(lmi_filters *f, const char *format, lmail_str value)
{
    size_t i = f->ask.arg_count;
    int n = snprintf(f->arg_room[i], sizeof f->arg_room[i], format, (int)value.len, value.ptr);
    if (n <= 0 || (size_t)n >= sizeof f->arg_room[i])
        return;
    f->args[i] = (lmail_str){f->arg_room[i], (size_t)n};
    f->ask.arg_count++;
}

static void show_address(lmi_filters *f, lmail_str address)
{
    lmail_milter_ask_init(&f->ask);
    snprintf(f->address, sizeof f->address, "<%.*s>", (int)address.len,
             address.len ? address.ptr : "");
    f->ask.text = text_of(f->address);
    f->ask.args = f->args;
}

static void show_mail(lmi_filters *f, const lmail_smtp_mail_event *ev)
{
    static const char *const bodies[] = {"", "7BIT", "8BITMIME", "BINARYMIME"};
    char size[24];
    show_address(f, ev->from.text);
    snprintf(size, sizeof size, "%llu", (unsigned long long)ev->declared_size);
    if (ev->declared_size)
        add_arg(f, "SIZE=%.*s", text_of(size));
    if (ev->body)
        add_arg(f, "BODY=%.*s", text_of(bodies[ev->body]));
    if (ev->smtputf8)
        add_arg(f, "SMTPUTF8%.*s", text_of(""));
    if (ev->ret)
        add_arg(f, "RET=%.*s", text_of(ev->ret == LMAIL_SMTP_RET_FULL ? "FULL" : "HDRS"));
}

static void show_rcpt(lmi_filters *f, const lmail_smtp_rcpt_event *ev)
{
    static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    char list[40] = "";
    size_t n = 0;
    show_address(f, ev->to.text);
    for (unsigned i = 0; i < 4; i++)
        if (ev->notify & 1u << i)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? "," : "", words[i]);
    if (n)
        add_arg(f, "NOTIFY=%.*s", text_of(list));
}

/* The recipient is taken: what it became is remembered under its address. */
static lmail_status remember_rcpt(lmi_filters *f)
{
    const lmail_smtp_rcpt_event *ev = f->gate.event;
    lmail_str to = ev->to.text;
    lmi_told *p = realloc(f->told, (f->told_count + 1) * sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    f->told = p;
    p[f->told_count] = (lmi_told){strndup(to.ptr, to.len), f->gate.recipients,
                                  f->peer->mail->count - f->gate.recipients};
    if (!p[f->told_count].address)
        return LMAIL_ERR_NOMEM;
    f->told_count++;
    return LMAIL_OK;
}

static void refuse_rcpt(lmi_filters *f)
{
    lmi_mail *m = f->peer->mail;
    if (!m || f->kept.code >= 400)
        return;
    while (m->count > f->gate.recipients)
        lmi_mail_forget_recipient(m, --m->count);
    m->said--;
}

/* The filters' word about a command, as the reply to it. */
static lmail_status finish(lmi_filters *f, lmail_smtp_reply *reply)
{
    unsigned kind = f->gate.kind;
    smtp_peer *p = f->peer;
    f->rejected = 0;
    fill(f, reply, &f->kept);
    if (f->cancelled)
        return LMAIL_OK;
    if (f->verdict == LMI_FILTERS_DISCARD && p->mail) {
        lmi_mail_discard(p->mail);
        lmi_filters_abort(f);
    }
    if (f->verdict != LMI_FILTERS_REFUSE)
        return kind == LMAIL_MILTER_ASK_RCPT && p->mail && f->kept.code < 400 ? remember_rcpt(f)
                                                                              : LMAIL_OK;
    fill(f, reply, &f->refusal);
    if (kind == LMAIL_MILTER_ASK_HELO)
        f->barred = f->refusal;
    if (kind == LMAIL_MILTER_ASK_MAIL)
        lmi_filters_abort(f);
    if (kind == LMAIL_MILTER_ASK_RCPT)
        refuse_rcpt(f);
    return LMAIL_OK;
}

static void command_done(lmi_filters *f)
{
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    lmail_status st = finish(f, &reply);
    if (st)
        lmi_reply_fill(&reply, 451, "4.3.0", "Local error in processing");
    answer(f, f->ticket, &reply);
}

/* Who decides otherwise has said this. OK: *reply says what is answered; PENDING; an error. */
static lmail_status gate(smtp_peer *p, lmail_ticket t, unsigned kind, const void *event,
                         lmail_smtp_reply *reply)
{
    lmi_filters *f = p->filters;
    unsigned refused = reply->code >= 400;
    if (refused && kind != LMAIL_MILTER_ASK_RCPT)
        return LMAIL_OK;
    f->gate.kind = kind;
    f->gate.event = event;
    if (p->mail && p->mail->discard)
        return LMAIL_OK;
    lmi_reply_keep(&f->kept, reply->code, reply->enhanced, reply->text);
    f->rejected = refused;
    if (kind == LMAIL_MILTER_ASK_MAIL)
        show_mail(f, event);
    else if (kind == LMAIL_MILTER_ASK_RCPT)
        show_rcpt(f, event);
    lmail_status st = lmi_filters_start(f, (lmail_milter_ask_kind)kind, t, command_done);
    return st ? st : finish(f, reply);
}

/* Before what decides otherwise is asked. */
static void expect(lmi_filters *f, lmail_ticket t, unsigned kind, const void *event)
{
    f->gate.ticket = t;
    f->gate.kind = kind;
    f->gate.event = event;
    f->gate.recipients = f->peer->mail ? f->peer->mail->count : 0;
}

int lmi_gate_take(smtp_peer *p, lmail_ticket t, const lmail_smtp_reply *given)
{
    lmi_filters *f = filters_of(p);
    lmail_smtp_reply reply = *given;
    if (!f || !f->gate.ticket || f->gate.ticket != t)
        return 0;
    f->gate.ticket = 0;
    lmail_status st = gate(p, t, f->gate.kind, f->gate.event, &reply);
    if (st == LMAIL_PENDING)
        return 1;
    if (st)
        lmi_reply_fill(&reply, 451, "4.3.0", "Local error in processing");
    answer(f, t, &reply);
    return 1;
}

static lmail_status decided(smtp_peer *p, lmail_ticket t, lmail_status st, unsigned kind,
                            const void *event, lmail_smtp_reply *reply)
{
    if (st == LMAIL_PENDING)
        return st;
    p->filters->gate.ticket = 0;
    return st || !filters_of(p) ? st : gate(p, t, kind, event, reply);
}

lmail_status lmi_gate_helo(lmail_smtp_server *s, void *user, lmail_ticket t,
                           const lmail_smtp_helo_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    lmi_filters *f = filters_of(p);
    (void)s;
    if (!f)
        return LMAIL_OK;
    f->barred.code = 0;
    lmail_milter_ask_init(&f->ask);
    f->ask.text = ev->name;
    return gate(p, t, LMAIL_MILTER_ASK_HELO, ev, reply);
}

lmail_status lmi_gate_unknown(lmail_smtp_server *s, void *user, lmail_ticket t,
                              const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    lmi_filters *f = filters_of(p);
    if (p->base.door->rules->settings->smtp.privacy & LMAIL_PRIVACY_NO_VERB) {
        lmail_status st = lmi_unknown_asked(s, user, t, ev, reply);
        if (st || reply->code)
            return st;
    }
    if (!f)
        return LMAIL_OK;
    lmail_milter_ask_init(&f->ask);
    snprintf(f->address, sizeof f->address, "%.*s%s%.*s", TEXT(ev->verb),
             ev->argument.len ? " " : "", (int)ev->argument.len,
             ev->argument.len ? ev->argument.ptr : "");
    f->ask.text = text_of(f->address);
    return gate(p, t, LMAIL_MILTER_ASK_UNKNOWN, ev, reply);
}

lmail_status lmi_gate_mail(lmail_smtp_server *s, void *user, lmail_ticket t,
                           const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    lmi_filters *f = filters_of(p);
    if (!f)
        return lmi_mail_asked(s, user, t, ev, reply);
    if (f->barred.code) {
        fill(f, reply, &f->barred);
        return LMAIL_OK;
    }
    expect(f, t, LMAIL_MILTER_ASK_MAIL, ev);
    return decided(p, t, lmi_mail_asked(s, user, t, ev, reply), LMAIL_MILTER_ASK_MAIL, ev, reply);
}

lmail_status lmi_gate_rcpt(lmail_smtp_server *s, void *user, lmail_ticket t,
                           const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    lmi_filters *f = filters_of(p);
    if (!f || (p->local && lmi_local_refusal(p->local, ev->to.text)))
        return lmi_rcpt_asked(s, user, t, ev, reply);
    expect(f, t, LMAIL_MILTER_ASK_RCPT, ev);
    return decided(p, t, lmi_rcpt_asked(s, user, t, ev, reply), LMAIL_MILTER_ASK_RCPT, ev, reply);
}

/* ---- The message ----------------------------------------------------------------------------- */

static lmail_status begin_body(lmi_filters *f, const lmail_smtp_body_start_event *ev)
{
    lmail_status st = lmi_body_start(f->peer, ev);
    f->ours = f->peer->mail->kept.len;
    return st;
}

static void data_done(lmi_filters *f)
{
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    lmail_status st = finish(f, &reply);
    if (!st && reply.code < 400 && !f->cancelled)
        st = begin_body(f, f->gate.event);
    if (st)
        lmi_reply_fill(&reply, 451, "4.3.0", "Local error in processing");
    answer(f, f->ticket, &reply);
}

lmail_status lmi_gate_body_start(lmail_smtp_server *s, void *user, lmail_ticket t,
                                 const lmail_smtp_body_start_event *ev, lmail_smtp_reply *reply)
{
    smtp_peer *p = user;
    lmi_filters *f = filters_of(p);
    (void)s;
    if (!f || p->mail->discard)
        return lmi_body_start(p, ev);
    f->end_refused = 0;
    f->rejected = 0;
    f->gate.kind = LMAIL_MILTER_ASK_DATA;
    f->gate.event = ev;
    f->kept.code = 0;
    f->kept.enhanced[0] = f->kept.text[0] = '\0';
    lmail_milter_ask_init(&f->ask);
    lmail_status st = lmi_filters_start(f, LMAIL_MILTER_ASK_DATA, t, data_done);
    if (!st)
        st = finish(f, reply);
    return st || reply->code >= 400 ? st : begin_body(f, ev);
}

/* All filters have seen the message. */
static void end_done(lmi_filters *f)
{
    smtp_peer *p = f->peer;
    lmail_smtp_reply reply = LMAIL_SMTP_REPLY_INIT;
    if (f->cancelled || !p->mail) {
        lmi_filters_message_reset(f);
        answer(f, f->ticket, &reply);
        return;
    }
    if (f->verdict != LMI_FILTERS_GO_ON)
        lmi_filters_abort(f);
    if (f->verdict == LMI_FILTERS_DISCARD)
        lmi_mail_discard(p->mail);
    if (f->verdict != LMI_FILTERS_REFUSE) {
        lmail_status st = lmi_commit_mail(p, f->ticket);
        if (st == LMAIL_PENDING)
            return;
        lmi_reply_fill(&reply, 451, "4.3.0", "Local error in processing");
    } else {
        fill(f, &reply, &f->refusal);
        lmi_reply_log(p, "body", (lmail_str){NULL, 0}, &reply);
    }
    f->end_refused = 1;
    lmi_reply_keep(&f->kept, reply.code, reply.enhanced, reply.text);
    answer(f, f->ticket, &reply);
    if (p->base.door->settings->protocol != LMAIL_LISTENER_LMTP || f->gate.recipients <= 1)
        lmi_drop_mail(p);
}

typedef struct read_job {
    lmi_job base;
    lmi_filters *set;
    lmi_mail *mail;
} read_job;

static void work_read(lmi_job *base)
{
    read_job *j = (read_job *)base;
    base->status = lmi_letter_read(j->mail, j->set->ours);
}

static void message_read(lmi_job *base)
{
    read_job *j = (read_job *)base;
    lmi_filters *f = j->set;
    f->jobs--;
    f->stage = LMAIL_MILTER_ASK_NONE;
    if (base->status || f->cancelled) {
        f->verdict = LMI_FILTERS_REFUSE;
        lmi_reply_keep(&f->refusal, base->status == LMAIL_ERR_LIMIT ? 552 : 452,
                       base->status == LMAIL_ERR_LIMIT ? LMAIL_STR("5.3.4") : LMAIL_STR("4.3.1"),
                       base->status == LMAIL_ERR_LIMIT
                           ? LMAIL_STR("Headers too large")
                           : LMAIL_STR("Insufficient system storage; try again later"));
        lmi_filters_abort(f);
        end_done(f);
    } else {
        lmi_letter *l = j->mail->letter;
        l->told = f->told;
        l->told_count = f->told_count;
        f->told = NULL;
        f->told_count = 0;
        lmi_filters_message_reset(f);
        if (lmi_filters_start(f, LMAIL_MILTER_ASK_END, base->ticket, end_done) != LMAIL_PENDING)
            end_done(f);
    }
    lmi_filters_let_go(f);
}

int lmi_gate_body_end(smtp_peer *p, lmail_ticket t, const lmail_smtp_body_end_event *ev,
                      lmail_smtp_reply *reply, lmail_status *st)
{
    lmi_filters *f = filters_of(p);
    lmi_job *job;
    if (!f)
        return 0;
    if (ev->recipient > 0) {
        if (!f->end_refused)
            return 0;
        fill(f, reply, &f->kept);
        if (ev->recipient + 1 == ev->recipients)
            lmi_drop_mail(p);
        *st = LMAIL_OK;
        return 1;
    }
    f->end_refused = 0;
    if (p->mail->discard || !lmi_filters_asks(f, LMAIL_MILTER_ASK_END))
        return 0;
    f->ticket = t;
    f->gate.recipients = ev->recipients;
    *st = lmi_filters_job(f, sizeof(read_job), work_read, message_read, &job);
    if (*st)
        return 1;
    f->stage = LMAIL_MILTER_ASK_END; /* cancelled from here on as any step */
    f->then = end_done;
    f->at = f->count;
    f->cancelled = 0;
    ((read_job *)job)->set = f;
    ((read_job *)job)->mail = p->mail;
    *st = lmi_peer_submit(&p->base, job);
    return 1;
}

/* ---- Ends ------------------------------------------------------------------------------------ */

void lmi_gate_abandon(smtp_peer *p)
{
    if (p->filters && !p->filters->stage)
        lmi_filters_abort(p->filters);
}

void lmi_gate_cancel(smtp_peer *p, lmail_ticket t)
{
    lmi_filters *f = p->filters;
    if (!f)
        return;
    if (f->gate.ticket == t)
        f->gate.ticket = 0;
    if (f->stage && f->ticket == t) {
        f->cancelled = 1;
        lmi_filters_soon(f);
    }
}

void lmi_gate_closed(smtp_peer *p)
{
    lmi_filters *f = p->filters;
    if (!f)
        return;
    p->filters = NULL;
    for (size_t i = 0; i < f->count; i++) {
        lmi_filter *x = &f->items[i];
        if (x->dns_ticket && !lmail_dns_cancel(x->dns, x->dns_ticket)) {
            x->dns_ticket = 0;
            f->open--;
        }
        if (x->state == LMI_FILTER_OPEN)
            lmi_filter_close(x);
        else if (x->state == LMI_FILTER_COMING && x->conn)
            lmail_conn_close(x->conn);
    }
    f->peer = NULL;
    lmi_filters_soon(f);
}
