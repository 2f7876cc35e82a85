/* smtp_client_mail.c - submitted messages: kept, looked at before they go, and their results.
 *
 * One block a message holds the envelope with its texts; the last one that ended is kept for the
 * next. Refusals of our own: RFC 6531 §3.2, §3.6 (SMTPUTF8), RFC 3030 §3 and RFC 6152 §3
 * (conversion), RFC 1870 §6.1 (size), RFC 8689 §4.2.1 (REQUIRETLS), RFC 9422 (LIMITS). */
#include "smtp/smtp_client_internal.h"

#include <string.h>

/* ---- Results --------------------------------------------------------------------------------- */

static void count(lmail_smtp_mail_end_event *e, lmail_smtp_outcome outcome)
{
    uint32_t *const counters[] = {NULL,       &e->accepted, &e->deferred,
                                  &e->failed, &e->unsent,   &e->unsure};
    ++*counters[outcome];
}

void lmi_smtpc_give(lmail_smtp_client *s, lmi_smtpc_job *j, uint32_t i, const lmi_smtpc_verdict *v)
{
    if (j->rcpt[i].fate == LMI_SMTPC_TOLD)
        return;
    j->rcpt[i].fate = LMI_SMTPC_TOLD;
    count(&j->end, v->outcome);
    lmail_smtp_recipient_event ev = {j->end.mail, j->end.data, i,       v->outcome,
                                     v->cause,    v->phase,    v->reply};
    lmi_callback_begin(&s->base);
    s->setup->on.on_recipient(s, s->base.user, &ev);
    lmi_callback_end(&s->base);
}

static void give_all(lmail_smtp_client *s, lmi_smtpc_job *j, const lmi_smtpc_verdict *v)
{
    for (uint32_t i = 0; i < j->count; i++)
        lmi_smtpc_give(s, j, i, v);
}

void lmi_smtpc_give_rest(lmail_smtp_client *s, const lmi_smtpc_verdict *v)
{
    give_all(s, s->first, v);
}

lmi_smtpc_verdict lmi_smtpc_by_reply(const lmail_smtp_client *s, lmail_smtp_phase phase)
{
    static const lmail_smtp_outcome by_class[] = {LMAIL_SMTP_UNSENT,   LMAIL_SMTP_UNSENT,
                                                  LMAIL_SMTP_ACCEPTED, LMAIL_SMTP_UNSENT,
                                                  LMAIL_SMTP_DEFERRED, LMAIL_SMTP_FAILED};
    return (lmi_smtpc_verdict){by_class[lmi_smtpc_class(s)], LMAIL_SMTP_CAUSE_REPLY, phase,
                               lmi_smtpc_reply(s)};
}

lmi_smtpc_verdict lmi_smtpc_by_cause(lmail_smtp_cause cause, lmail_smtp_phase phase)
{
    static const struct {
        lmail_str enhanced, text;
    } words[] = {[LMAIL_SMTP_CAUSE_LOST] = {{"4.4.2", 5}, {"connection lost", 15}},
                 [LMAIL_SMTP_CAUSE_TIMEOUT] = {{"4.4.2", 5}, {"timeout", 7}},
                 [LMAIL_SMTP_CAUSE_PROTOCOL] = {{"4.5.0", 5}, {"protocol error", 14}},
                 [LMAIL_SMTP_CAUSE_LIMIT] = {{"4.5.3", 5}, {"over the server's limit", 23}},
                 [LMAIL_SMTP_CAUSE_POLICY] = {{"4.7.10", 6}, {"encryption needed", 17}},
                 [LMAIL_SMTP_CAUSE_HOST] = {{"4.3.0", 5}, {"local error", 11}},
                 [LMAIL_SMTP_CAUSE_STOPPED] = {{"4.3.2", 5}, {"stopped", 7}},
                 [LMAIL_SMTP_CAUSE_FREED] = {{"4.3.0", 5}, {"session given up", 16}}};
    lmi_smtpc_verdict v = {LMAIL_SMTP_UNSENT, cause, phase, {0, {NULL, 0}, {NULL, 0}}};
    if (cause < sizeof words / sizeof *words) {
        v.reply.enhanced = words[cause].enhanced;
        v.reply.text = words[cause].text;
    }
    return v;
}

lmi_smtpc_verdict lmi_smtpc_refuse(lmail_smtp_phase phase, lmail_str enhanced, lmail_str text)
{
    return (lmi_smtpc_verdict){
        LMAIL_SMTP_FAILED, LMAIL_SMTP_CAUSE_HERE, phase, {0, enhanced, text}};
}

/* ---- Looked at before MAIL ------------------------------------------------------------------- */

static int has_8bit(lmail_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] > 127)
            return 1;
    return 0;
}

static int address_is_utf8(const lmi_smtpc_job *j)
{
    if (has_8bit(j->from))
        return 1;
    for (uint32_t i = 0; i < j->count; i++)
        if (j->rcpt[i].fate != LMI_SMTPC_TOLD && has_8bit(j->rcpt[i].to))
            return 1;
    return 0;
}

int lmi_smtpc_is_utf8(const lmi_smtpc_job *j)
{
    return j->smtputf8 || address_is_utf8(j);
}

static int address_ok(lmail_str text)
{
    lmail_smtp_address a;
    return text.len <= 1024 &&
           !lmail_smtp_address_parse(text,
                                     LMAIL_SMTP_SMTPUTF8 | LMAIL_SMTP_ALLOW_UNQUALIFIED |
                                         LMAIL_SMTP_ALLOW_UNDERSCORE,
                                     1024, &a, NULL);
}

/* Why the message as a whole may not go: 1, with *v. */
static int message_refused(const lmail_smtp_client *s, const lmi_smtpc_job *j, lmi_smtpc_verdict *v)
{
    const lmail_smtp_phase mail = LMAIL_SMTP_PHASE_MAIL;
    uint32_t can = s->can.can;
    if (j->from.len && !address_ok(j->from))
        *v = lmi_smtpc_refuse(mail, LMAIL_STR("5.1.7"), LMAIL_STR("bad sender address"));
    else if (lmi_smtpc_is_utf8(j) && !(can & LMAIL_SMTP_CAN_SMTPUTF8))
        *v = address_is_utf8(j)
                 ? lmi_smtpc_refuse(mail, LMAIL_STR("5.6.7"),
                                    LMAIL_STR("the server takes no non-ASCII addresses"))
                 : lmi_smtpc_refuse(mail, LMAIL_STR("5.6.9"),
                                    LMAIL_STR("the server takes no UTF-8 header"));
    else if (j->body == LMAIL_SMTP_BODY_BINARYMIME && !(can & LMAIL_SMTP_CAN_BINARYMIME))
        *v =
            lmi_smtpc_refuse(mail, LMAIL_STR("5.6.3"), LMAIL_STR("the server takes no BINARYMIME"));
    else if (j->body == LMAIL_SMTP_BODY_8BITMIME && !(can & LMAIL_SMTP_CAN_8BITMIME))
        *v = lmi_smtpc_refuse(mail, LMAIL_STR("5.6.3"), LMAIL_STR("the server takes no 8BITMIME"));
    else if (s->can.max_message && j->octets > s->can.max_message)
        *v = lmi_smtpc_refuse(mail, LMAIL_STR("5.3.4"),
                              LMAIL_STR("the message is larger than the server takes"));
    else if (j->require_tls && j->from.len && !(s->base.tls_active && s->base.tls.peer_verified))
        *v = lmi_smtpc_refuse(mail, LMAIL_STR("5.7.10"), LMAIL_STR("encryption needed"));
    else if (j->require_tls && j->from.len && !(can & LMAIL_SMTP_CAN_REQUIRETLS))
        *v = lmi_smtpc_refuse(mail, LMAIL_STR("5.7.30"), LMAIL_STR("REQUIRETLS support required"));
    else
        return 0;
    return 1;
}

static uint64_t domain_hash(lmail_str address)
{
    size_t at = address.len;
    while (at && address.ptr[at - 1] != '@')
        at--;
    uint64_t h = 14695981039346656037ull; /* FNV-1a */
    for (size_t i = at; i < address.len; i++)
        h = (h ^ (unsigned char)lmi_ascii_lower(address.ptr[i])) * 1099511628211ull;
    return h;
}

/* May a recipient of this domain still be named in this session? OK, ERR_LIMIT, ERR_NOMEM. */
static lmail_status admit_domain(lmail_smtp_client *s, lmail_str address)
{
    if (!s->can.rcpt_domain_max)
        return LMAIL_OK;
    uint64_t h = domain_hash(address);
    for (uint32_t i = 0; i < s->domain_count; i++)
        if (s->domains[i] == h)
            return LMAIL_OK;
    if (s->domain_count >= s->can.rcpt_domain_max)
        return LMAIL_ERR_LIMIT;
    if (s->domain_count == s->domain_cap) {
        uint32_t cap = s->domain_cap ? s->domain_cap * 2 : 16;
        uint64_t *p =
            lmi_realloc(&s->base.alloc, s->domains, s->domain_cap * sizeof *p, cap * sizeof *p);
        if (!p)
            return LMAIL_ERR_NOMEM;
        s->domains = p;
        s->domain_cap = cap;
    }
    s->domains[s->domain_count++] = h;
    return LMAIL_OK;
}

lmail_status lmi_smtpc_check(lmail_smtp_client *s, uint32_t *left)
{
    lmi_smtpc_job *j = s->first;
    lmi_smtpc_verdict v;
    const lmi_smtpc_verdict bad = lmi_smtpc_refuse(LMAIL_SMTP_PHASE_RCPT, LMAIL_STR("5.1.3"),
                                                   LMAIL_STR("bad recipient address"));
    const lmi_smtpc_verdict over =
        lmi_smtpc_by_cause(LMAIL_SMTP_CAUSE_LIMIT, LMAIL_SMTP_PHASE_RCPT);
    *left = 0;
    for (uint32_t i = 0; i < j->count; i++)
        if (!address_ok(j->rcpt[i].to))
            lmi_smtpc_give(s, j, i, &bad);
    int whole = message_refused(s, j, &v);
    if (!whole && s->can.mail_max && s->mails_begun >= s->can.mail_max) {
        v = lmi_smtpc_by_cause(LMAIL_SMTP_CAUSE_LIMIT, LMAIL_SMTP_PHASE_MAIL);
        whole = 1;
    }
    if (whole)
        give_all(s, j, &v);
    for (uint32_t i = 0; i < j->count; i++) {
        if (j->rcpt[i].fate == LMI_SMTPC_TOLD)
            continue;
        lmail_status st = s->can.rcpt_max && *left >= s->can.rcpt_max
                              ? LMAIL_ERR_LIMIT
                              : admit_domain(s, j->rcpt[i].to);
        if (st == LMAIL_ERR_LIMIT)
            lmi_smtpc_give(s, j, i, &over);
        else if (st)
            return st;
        else
            ++*left;
    }
    return LMAIL_OK;
}

/* ---- Life of a message ----------------------------------------------------------------------- */

static void mail_over(lmail_smtp_client *s, lmi_smtpc_job *j)
{
    s->first = j->next;
    if (!s->first)
        s->last = NULL;
    s->queued--;
    lmail_smtp_mail_end_event ev = j->end;
    if (!s->spare || s->spare->size < j->size) {
        lmi_smtpc_job *smaller = s->spare;
        s->spare = j;
        j = smaller;
    }
    if (j)
        lmi_free(&s->base.alloc, j, j->size);
    if (s->setup->on.on_mail_end) {
        lmi_callback_begin(&s->base);
        s->setup->on.on_mail_end(s, s->base.user, &ev);
        lmi_callback_end(&s->base);
    }
}

void lmi_smtpc_mail_end(lmail_smtp_client *s)
{
    s->running = 0;
    mail_over(s, s->first);
}

void lmi_smtpc_drop_waiting(lmail_smtp_client *s, const lmi_smtpc_verdict *v)
{
    lmi_smtpc_job *running = NULL;
    if (s->running) {
        running = s->first;
        s->first = running->next;
    }
    while (s->first) {
        give_all(s, s->first, v);
        mail_over(s, s->first);
    }
    if (running) {
        running->next = NULL;
        s->first = s->last = running;
    }
}

void lmi_smtpc_jobs_done(lmail_smtp_client *s)
{
    if (s->spare)
        lmi_free(&s->base.alloc, s->spare, s->spare->size);
    s->spare = NULL;
    lmi_free(&s->base.alloc, s->domains, s->domain_cap * sizeof *s->domains);
    s->domains = NULL;
    s->domain_cap = s->domain_count = 0;
}

/* ---- Submit ---------------------------------------------------------------------------------- */

#define NOTIFY_ALL                                                                                 \
    (LMAIL_SMTP_NOTIFY_NEVER | LMAIL_SMTP_NOTIFY_SUCCESS | LMAIL_SMTP_NOTIFY_FAILURE |             \
     LMAIL_SMTP_NOTIFY_DELAY)

static int type_ok(lmail_str type)
{
    for (size_t i = 0; i < type.len; i++) {
        char c = lmi_ascii_upper(type.ptr[i]);
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'))
            return 0;
    }
    return 1;
}

static lmail_status grow(size_t *total, lmail_str text)
{
    return lmail_size_add(*total, text.len, total);
}

static lmail_status job_size(const lmail_smtp_client_mail *m, size_t *total)
{
    if (!m->recipient_count || !m->recipients || (unsigned)m->body > LMAIL_SMTP_BODY_BINARYMIME ||
        (unsigned)m->ret > LMAIL_SMTP_RET_HDRS || m->envid.len > 1024 || m->auth.len > 1024)
        return LMAIL_ERR_ARG;
    if (lmail_size_mul(m->recipient_count, sizeof(lmi_smtpc_rcpt), total) ||
        lmail_size_add(*total, sizeof(lmi_smtpc_job), total) || grow(total, m->from) ||
        grow(total, m->envid) || grow(total, m->auth))
        return LMAIL_ERR_ARG;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const lmail_smtp_client_rcpt *r = &m->recipients[i];
        if (r->notify & ~(unsigned)NOTIFY_ALL ||
            (r->notify & LMAIL_SMTP_NOTIFY_NEVER && r->notify != LMAIL_SMTP_NOTIFY_NEVER) ||
            !type_ok(r->orcpt_type) || r->orcpt_type.len > 64 || r->orcpt.len > 1024 ||
            grow(total, r->to) || grow(total, r->orcpt_type) || grow(total, r->orcpt))
            return LMAIL_ERR_ARG;
    }
    return LMAIL_OK;
}

static lmail_str put(char **at, lmail_str text)
{
    lmail_str copy = {*at, text.len};
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static void fill_job(lmi_smtpc_job *j, const lmail_smtp_client_mail *m)
{
    char *at = (char *)&j->rcpt[m->recipient_count];
    j->from = put(&at, m->from);
    j->envid = put(&at, m->envid);
    j->auth = put(&at, m->auth);
    j->octets = m->octets;
    j->body = (uint8_t)m->body;
    j->ret = (uint8_t)m->ret;
    j->smtputf8 = m->smtputf8 != 0;
    j->require_tls = m->require_tls != 0;
    j->has_envid = m->has_envid != 0;
    j->has_auth = m->has_auth != 0;
    j->count = m->recipient_count;
    for (uint32_t i = 0; i < j->count; i++) {
        const lmail_smtp_client_rcpt *r = &m->recipients[i];
        j->rcpt[i].to = put(&at, r->to);
        j->rcpt[i].orcpt_type = put(&at, r->orcpt_type);
        j->rcpt[i].orcpt = put(&at, r->orcpt);
        j->rcpt[i].notify = (uint8_t)r->notify;
    }
}

static lmi_smtpc_job *job_new(lmail_smtp_client *s, size_t size)
{
    lmi_smtpc_job *j = s->spare;
    if (j && j->size >= size) {
        size_t whole = j->size;
        s->spare = NULL;
        memset(j, 0, size);
        size = whole;
    } else {
        j = lmi_zalloc(&s->base.alloc, size);
    }
    if (j)
        j->size = size;
    return j;
}

lmail_status lmail_smtp_client_submit_mail(lmail_smtp_client *s, const lmail_smtp_client_mail *mail,
                                           lmail_ticket *ticket, lmail_msec now)
{
    lmail_smtp_client_mail m;
    size_t size;
    *ticket = 0;
    if (lmi_struct_take(&m, sizeof m, mail))
        return LMAIL_ERR_SIZE;
    lmail_status st = lmi_enter(&s->base, now);
    if (st)
        return st;
    if (s->ended || s->base.closing || s->base.stopping)
        return LMAIL_ERR_CLOSED;
    st = job_size(&m, &size);
    if (st)
        return st;
    if (s->queued >= s->setup->config.max_queued)
        return LMAIL_ERR_LIMIT;
    lmi_smtpc_job *j = job_new(s, size);
    if (!j)
        return LMAIL_ERR_NOMEM;
    fill_job(j, &m);
    *ticket = ++s->base.last_ticket;
    j->end.mail = *ticket;
    j->end.data = m.data;
    if (s->last)
        s->last->next = j;
    else
        s->first = j;
    s->last = j;
    s->queued++;
    return lmi_leave(&s->base, s->state == LMI_SMTPC_READY ? lmi_smtpc_go_on(s, LMAIL_OK) : st);
}
