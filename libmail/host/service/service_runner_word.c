/* service_runner_word.c - what a client session or a connection said, in the words that the delivery
 * machine understands. */
#include "host/service/service_runner.h"

#include <stdio.h>
#include <string.h>

lmail_delivery_phase lmi_phase_of(lmail_smtp_phase phase)
{
    switch (phase) {
    case LMAIL_SMTP_PHASE_GREETING:
        return LMAIL_DELIVERY_AT_GREETING;
    case LMAIL_SMTP_PHASE_HELO:
        return LMAIL_DELIVERY_AT_EHLO;
    case LMAIL_SMTP_PHASE_STARTTLS:
    case LMAIL_SMTP_PHASE_TLS:
        return LMAIL_DELIVERY_AT_TLS;
    case LMAIL_SMTP_PHASE_AUTH:
        return LMAIL_DELIVERY_AT_AUTH;
    case LMAIL_SMTP_PHASE_RCPT:
        return LMAIL_DELIVERY_AT_RCPT;
    case LMAIL_SMTP_PHASE_DATA:
    case LMAIL_SMTP_PHASE_BODY:
        return LMAIL_DELIVERY_AT_DATA;
    case LMAIL_SMTP_PHASE_END:
        return LMAIL_DELIVERY_AT_END;
    default:
        return LMAIL_DELIVERY_AT_MAIL;
    }
}

static lmail_delivery_fault fault_of(lmail_smtp_cause cause, lmail_smtp_phase phase)
{
    switch (cause) {
    case LMAIL_SMTP_CAUSE_REPLY:
        return LMAIL_DELIVERY_REPLY;
    case LMAIL_SMTP_CAUSE_LOST:
        return phase == LMAIL_SMTP_PHASE_TLS ? LMAIL_DELIVERY_NO_TLS : LMAIL_DELIVERY_LOST;
    case LMAIL_SMTP_CAUSE_TIMEOUT:
        return LMAIL_DELIVERY_TIMEOUT;
    case LMAIL_SMTP_CAUSE_PROTOCOL:
        return LMAIL_DELIVERY_PROTOCOL;
    case LMAIL_SMTP_CAUSE_HERE:
        return LMAIL_DELIVERY_UNSUPPORTED;
    case LMAIL_SMTP_CAUSE_LIMIT:
        return LMAIL_DELIVERY_REPLY;
    case LMAIL_SMTP_CAUSE_POLICY:
        return LMAIL_DELIVERY_NO_TLS;
    default:
        return LMAIL_DELIVERY_OURS;
    }
}

static void keep_text(lmi_out *o, lmail_str text, lmail_str enhanced)
{
    size_t n = text.len < LMI_WORD_TEXT ? text.len : LMI_WORD_TEXT;
    for (size_t i = 0; i < n; i++)
        o->word_text[i] = text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    o->word.text = (lmail_str){o->word_text, n};
    n = enhanced.len < sizeof o->word_enhanced ? enhanced.len : 0;
    if (n)
        memcpy(o->word_enhanced, enhanced.ptr, n);
    o->word.enhanced = (lmail_str){o->word_enhanced, n};
}

void lmi_out_word(lmi_out *o, lmail_smtp_cause cause, lmail_smtp_phase phase,
                  const lmail_smtp_peer_reply *reply)
{
    memset(&o->word, 0, sizeof o->word);
    o->word.fault = fault_of(cause, phase);
    o->word.phase = lmi_phase_of(phase);
    o->word.code = reply->code;
    keep_text(o, reply->text, reply->enhanced);
    if (cause == LMAIL_SMTP_CAUSE_LIMIT) /* behind others: the rest goes by itself */
        o->word.code = 452;
    if (cause == LMAIL_SMTP_CAUSE_HERE && !o->word.code)
        o->word.code = reply->enhanced.len && reply->enhanced.ptr[0] == '4' ? 451 : 550;
}

void lmi_out_reason(lmi_out *o, lmail_close_reason reason, const char *fault)
{
    lmail_delivery_word *w = &o->word;
    memset(w, 0, sizeof *w);
    w->phase = LMAIL_DELIVERY_AT_CONNECT;
    switch (reason) {
    case LMAIL_CLOSE_REFUSED:
        w->fault = LMAIL_DELIVERY_REFUSED;
        break;
    case LMAIL_CLOSE_UNREACHABLE:
        w->fault = LMAIL_DELIVERY_UNREACHABLE;
        break;
    case LMAIL_CLOSE_NO_ANSWER:
        w->fault = LMAIL_DELIVERY_TIMEOUT;
        break;
    case LMAIL_CLOSE_TLS:
        w->fault = LMAIL_DELIVERY_NO_TLS;
        w->phase = LMAIL_DELIVERY_AT_TLS;
        break;
    case LMAIL_CLOSE_STOP:
    case LMAIL_CLOSE_HOST:
    case LMAIL_CLOSE_MEMORY:
        w->fault = LMAIL_DELIVERY_OURS;
        break;
    default:
        w->fault = LMAIL_DELIVERY_LOST;
        w->phase = LMAIL_DELIVERY_AT_GREETING;
    }
    keep_text(o, lmail_str_from(fault ? fault : ""), (lmail_str){NULL, 0});
}
