/* smtp_client_setup.c - the host's config and handler made into one immutable block; the names of
 * phases, outcomes and causes.
 *
 * RFC 5321 §4.5.3.2 (how long a client waits at least). */
#include "smtp/smtp_client_internal.h"

#include <string.h>

const char *lmail_smtp_phase_name(lmail_smtp_phase phase)
{
    static const char *const names[LMAIL_SMTP_PHASE_COUNT] = {
#define XX(name) [LMAIL_SMTP_PHASE_##name] = #name,
        LMAIL_SMTP_PHASE_MAP(XX)
#undef XX
    };
    return (unsigned)phase < LMAIL_SMTP_PHASE_COUNT ? names[phase] : NULL;
}

const char *lmail_smtp_outcome_name(lmail_smtp_outcome outcome)
{
    static const char *const names[] = {NULL, "ACCEPTED", "DEFERRED", "FAILED", "UNSENT", "UNSURE"};
    return (unsigned)outcome < sizeof names / sizeof *names ? names[outcome] : NULL;
}

const char *lmail_smtp_cause_name(lmail_smtp_cause cause)
{
    static const char *const names[] = {NULL,    "REPLY",  "LOST", "TIMEOUT", "PROTOCOL", "HERE",
                                        "LIMIT", "POLICY", "HOST", "STOPPED", "FREED"};
    return (unsigned)cause < sizeof names / sizeof *names ? names[cause] : NULL;
}

#define INIT(function, type)                                                                       \
    void function(type *p)                                                                         \
    {                                                                                              \
        memset(p, 0, sizeof *p);                                                                   \
        p->size = sizeof *p;                                                                       \
    }                                                                                              \
    struct lmi_ends_with_a_semicolon

INIT(lmail_smtp_client_config_init, lmail_smtp_client_config);
INIT(lmail_smtp_client_target_init, lmail_smtp_client_target);
INIT(lmail_smtp_client_mail_init, lmail_smtp_client_mail);
INIT(lmail_smtp_client_auth_answer_init, lmail_smtp_client_auth_answer);
INIT(lmail_smtp_client_octets_answer_init, lmail_smtp_client_octets_answer);
INIT(lmail_smtp_client_handler_init, lmail_smtp_client_handler);

static void fill_defaults(lmail_smtp_client_config *c)
{
    LMI_DEFAULT(c->tls, LMAIL_SMTP_TLS_OPPORTUNISTIC);
    LMI_DEFAULT(c->greeting_timeout, 5 * 60 * 1000);
    LMI_DEFAULT(c->helo_timeout, 5 * 60 * 1000);
    LMI_DEFAULT(c->lhlo_timeout, 2 * 60 * 1000);
    LMI_DEFAULT(c->starttls_timeout, 2 * 60 * 1000);
    LMI_DEFAULT(c->auth_timeout, 2 * 60 * 1000);
    LMI_DEFAULT(c->mail_timeout, 5 * 60 * 1000);
    LMI_DEFAULT(c->rcpt_timeout, 5 * 60 * 1000);
    LMI_DEFAULT(c->data_start_timeout, 2 * 60 * 1000);
    LMI_DEFAULT(c->data_block_timeout, 3 * 60 * 1000);
    LMI_DEFAULT(c->data_end_timeout, 10 * 60 * 1000);
    LMI_DEFAULT(c->rset_timeout, 20 * 1000);
    LMI_DEFAULT(c->quit_timeout, 10 * 1000);
    LMI_DEFAULT(c->max_reply_line, 4096);
    LMI_DEFAULT(c->max_reply_lines, 256);
    LMI_DEFAULT(c->max_reply_text, 2048);
    LMI_DEFAULT(c->max_queued, 64);
    LMI_DEFAULT(c->max_logins, 3);
    LMI_DEFAULT(c->out_mark, 65536);
    LMI_DEFAULT(c->max_want, 262144);
}

lmail_status lmail_smtp_client_setup_new(lmail_smtp_client_setup **out,
                                         const lmail_smtp_client_config *config,
                                         const lmail_smtp_client_handler *handler)
{
    lmail_smtp_client_config c;
    lmail_smtp_client_handler h;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config) || lmi_struct_take(&h, sizeof h, handler))
        return LMAIL_ERR_SIZE;
    fill_defaults(&c);
    c.alloc = lmi_alloc_resolve(&c.alloc);
    if (!h.on_octets || !h.on_released || !h.on_recipient || !lmi_smtpc_helo_ok(c.helo_name) ||
        c.helo_name.len == 0 || (unsigned)c.tls > LMAIL_SMTP_TLS_VERIFIED ||
        c.max_reply_line < 512 || c.max_reply_line > 1u << 20 || c.max_reply_text > 1u << 20)
        return LMAIL_ERR_ARG;
    size_t size = sizeof(lmail_smtp_client_setup) + c.helo_name.len;
    lmail_smtp_client_setup *u = lmi_zalloc(&c.alloc, size);
    if (!u)
        return LMAIL_ERR_NOMEM;
    u->size = size;
    u->config = c;
    u->on = h;
    memcpy(u + 1, c.helo_name.ptr, c.helo_name.len);
    u->config.helo_name.ptr = (char *)(u + 1);
    *out = u;
    return LMAIL_OK;
}

void lmail_smtp_client_setup_free(lmail_smtp_client_setup *setup)
{
    if (!setup)
        return;
    lmail_alloc a = setup->config.alloc;
    lmi_free(&a, setup, setup->size);
}
