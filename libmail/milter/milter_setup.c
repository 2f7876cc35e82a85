/* milter_setup.c - the host's config and handler made into one immutable block; the names of
 * questions, verdicts, changes and causes. */
#include "milter/milter_internal.h"

#include <string.h>

const char *lmail_milter_ask_name(lmail_milter_ask_kind kind)
{
    static const char *const names[LMAIL_MILTER_ASK_COUNT] = {
#define XX(name) [LMAIL_MILTER_ASK_##name] = #name,
        LMAIL_MILTER_ASK_MAP(XX)
#undef XX
    };
    return (unsigned)kind < LMAIL_MILTER_ASK_COUNT ? names[kind] : NULL;
}

const char *lmail_milter_says_name(lmail_milter_says says)
{
    static const char *const names[LMAIL_MILTER_SAYS_COUNT] = {
#define XX(name) [LMAIL_MILTER_SAYS_##name] = #name,
        LMAIL_MILTER_SAYS_MAP(XX)
#undef XX
    };
    return (unsigned)says < LMAIL_MILTER_SAYS_COUNT ? names[says] : NULL;
}

const char *lmail_milter_change_name(lmail_milter_change_kind kind)
{
    static const char *const names[LMAIL_MILTER_CHANGE_COUNT] = {
#define XX(name) [LMAIL_MILTER_CHANGE_##name] = #name,
        LMAIL_MILTER_CHANGE_MAP(XX)
#undef XX
    };
    return (unsigned)kind < LMAIL_MILTER_CHANGE_COUNT ? names[kind] : NULL;
}

const char *lmail_milter_cause_name(lmail_milter_cause cause)
{
    static const char *const names[] = {NULL,      "LOST", "TIMEOUT", "PROTOCOL",
                                        "VERSION", "HOST", "STOPPED", "FREED"};
    return (unsigned)cause < sizeof names / sizeof *names ? names[cause] : NULL;
}

LMI_STRUCT_INIT(lmail_milter_client_config, LMAIL_MILTER_CLIENT_CONFIG_INIT);
LMI_STRUCT_INIT(lmail_milter_ask, LMAIL_MILTER_ASK_INIT);
LMI_STRUCT_INIT(lmail_milter_change_answer, LMAIL_MILTER_CHANGE_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_milter_client_handler, LMAIL_MILTER_CLIENT_HANDLER_INIT);

/* ---- Setup ----------------------------------------------------------------------------------- */

/* As sendmail's own configuration has it (cf/README, confMILTER_MACROS_*). */
static const char *const usual_macros[LMAIL_MILTER_STAGE_COUNT] = {
    [LMAIL_MILTER_STAGE_CONNECT] = "j _ daemon_name daemon_addr daemon_port if_name if_addr v",
    [LMAIL_MILTER_STAGE_HELO] = "tls_version cipher cipher_bits cert_subject cert_issuer",
    [LMAIL_MILTER_STAGE_MAIL] =
        "i auth_type auth_authen auth_ssf auth_author mail_mailer mail_host mail_addr",
    [LMAIL_MILTER_STAGE_RCPT] = "rcpt_mailer rcpt_host rcpt_addr",
    [LMAIL_MILTER_STAGE_DATA] = "i",
    [LMAIL_MILTER_STAGE_END] = "i msg_id",
    [LMAIL_MILTER_STAGE_EOH] = "i"};

static void fill_defaults(lmail_milter_client_config *c, const lmail_milter_client_handler *h)
{
    LMI_DEFAULT(c->version, LMI_MILTER_VERSION);
    LMI_DEFAULT(c->actions, LMAIL_MILTER_MAY_ALL);
    LMI_DEFAULT(c->max_data, LMI_MILTER_DATA);
    LMI_DEFAULT(c->max_changes, 10000);
    LMI_DEFAULT(c->send_timeout, 10000);
    LMI_DEFAULT(c->read_timeout, 10000);
    LMI_DEFAULT(c->end_timeout, 5 * 60 * 1000);
    if (!h->on_change)
        c->actions &= LMAIL_MILTER_MAY_NAME_MACROS;
    if (c->version < 6) /* version 2 knows the first six, and those that came later came with 6 */
        c->actions &= 0x3f;
    for (size_t i = 0; i < LMAIL_MILTER_STAGE_COUNT; i++)
        if (!c->macros[i].ptr)
            c->macros[i] = lmail_str_from(usual_macros[i]);
}

static int is_valid(const lmail_milter_client_config *c)
{
    return c->version >= 2 && c->version <= LMI_MILTER_VERSION &&
           !(c->actions & ~(uint32_t)LMAIL_MILTER_MAY_ALL) &&
           (c->max_data == LMI_MILTER_DATA || c->max_data == LMI_MILTER_DATA_256K ||
            c->max_data == LMI_MILTER_DATA_1M);
}

static uint32_t steps_of(const lmail_milter_client_config *c)
{
    uint32_t steps = c->version < 6 ? LMI_STEP_V2 : LMI_STEP_V6;
    if (c->version >= 3 && c->version < 6)
        steps |= LMI_STEP_NO_UNKNOWN;
    if (c->version >= 4 && c->version < 6)
        steps |= LMI_STEP_NO_DATA;
    if (c->max_data >= LMI_MILTER_DATA_256K)
        steps |= LMI_STEP_256K;
    if (c->max_data >= LMI_MILTER_DATA_1M)
        steps |= LMI_STEP_1M;
    return steps;
}

lmail_status lmail_milter_client_setup_new(lmail_milter_client_setup **out,
                                           const lmail_milter_client_config *config,
                                           const lmail_milter_client_handler *handler)
{
    lmail_milter_client_config c;
    lmail_milter_client_handler h;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config) || lmi_struct_take(&h, sizeof h, handler))
        return LMAIL_ERR_SIZE;
    fill_defaults(&c, &h);
    c.alloc = lmi_alloc_resolve(&c.alloc);
    if (!h.on_verdict || !is_valid(&c))
        return LMAIL_ERR_ARG;
    size_t size = sizeof(lmail_milter_client_setup);
    for (size_t i = 0; i < LMAIL_MILTER_STAGE_COUNT; i++)
        if (lmail_size_add(size, c.macros[i].len, &size))
            return LMAIL_ERR_ARG;
    lmail_milter_client_setup *u = lmi_zalloc(&c.alloc, size);
    if (!u)
        return LMAIL_ERR_NOMEM;
    u->size = size;
    u->config = c;
    u->on = h;
    u->steps = steps_of(&c);
    char *at = (char *)(u + 1);
    for (size_t i = 0; i < LMAIL_MILTER_STAGE_COUNT; i++) {
        if (c.macros[i].len)
            memcpy(at, c.macros[i].ptr, c.macros[i].len);
        u->config.macros[i].ptr = at;
        at += c.macros[i].len;
    }
    *out = u;
    return LMAIL_OK;
}

void lmail_milter_client_setup_free(lmail_milter_client_setup *setup)
{
    if (!setup)
        return;
    lmail_alloc a = setup->config.alloc;
    lmi_free(&a, setup, setup->size);
}
