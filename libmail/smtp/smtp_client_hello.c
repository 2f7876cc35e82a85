/* smtp_client_hello.c - greeting, EHLO or LHLO and what they announce, HELO, STARTTLS.
 *
 * RFC 5321 §3.1, §3.2, §4.1.1.1; RFC 2033 §4.1; RFC 3207 §4 (what was learnt in clear is
 * forgotten); RFC 9422 (LIMITS). A keyword may come twice and in any case; what is unknown or
 * malformed is as if it were not there. */
#include "smtp/smtp_client_internal.h"

#include <string.h>

int lmi_smtpc_helo_ok(lmail_str name)
{
    return name.len == 0 ||
           (name.len <= LMI_SMTPC_NAME && lmi_smtp_is_domain(name, LMAIL_SMTP_ALLOW_UNDERSCORE)) ||
           (name.len <= LMI_SMTPC_NAME && lmi_smtp_is_literal(name));
}

void lmi_smtpc_forget(lmail_smtp_client *s)
{
    s->can = (lmail_smtp_capabilities){LMAIL_SMTP_NO_HELLO, 0, 0, {s->mechanisms, 0},
                                       {s->name, 0},        0, 0, 0};
}

lmail_status lmi_smtpc_ehlo(lmail_smtp_client *s)
{
    lmi_smtpc_forget(s);
    lmi_smtpc_enter(s, LMI_SMTPC_EHLO);
    return LMI_SMTPC_SAY(
        s, s->flags & LMAIL_SMTP_CLIENT_LMTP ? LMAIL_STR("LHLO ") : LMAIL_STR("EHLO "),
        s->helo_name);
}

/* ---- Keywords -------------------------------------------------------------------------------- */

static const struct {
    lmail_str word;
    uint32_t can;
} keywords[] = {{{"PIPELINING", 10}, LMAIL_SMTP_CAN_PIPELINING},
                {{"SIZE", 4}, LMAIL_SMTP_CAN_SIZE},
                {{"8BITMIME", 8}, LMAIL_SMTP_CAN_8BITMIME},
                {{"ENHANCEDSTATUSCODES", 19}, LMAIL_SMTP_CAN_ENHANCED},
                {{"CHUNKING", 8}, LMAIL_SMTP_CAN_CHUNKING},
                {{"BINARYMIME", 10}, LMAIL_SMTP_CAN_BINARYMIME},
                {{"SMTPUTF8", 8}, LMAIL_SMTP_CAN_SMTPUTF8},
                {{"DSN", 3}, LMAIL_SMTP_CAN_DSN},
                {{"STARTTLS", 8}, LMAIL_SMTP_CAN_STARTTLS},
                {{"AUTH", 4}, LMAIL_SMTP_CAN_AUTH},
                {{"REQUIRETLS", 10}, LMAIL_SMTP_CAN_REQUIRETLS},
                {{"LIMITS", 6}, LMAIL_SMTP_CAN_LIMITS},
                {{"ETRN", 4}, LMAIL_SMTP_CAN_ETRN}};

static lmail_str next_word(lmail_str *in)
{
    while (in->len && (in->ptr[0] == ' ' || in->ptr[0] == '\t'))
        *in = lmi_str_skip(*in, 1);
    size_t n = 0;
    while (n < in->len && in->ptr[n] != ' ' && in->ptr[n] != '\t')
        n++;
    lmail_str word = lmi_str_sub(*in, 0, n);
    *in = lmi_str_skip(*in, n);
    return word;
}

/* RFC 4422 §3.1: 1 to 20 letters, digits, hyphens, underscores. */
int lmi_smtpc_mechanism_ok(lmail_str word)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = lmi_ascii_upper(word.ptr[i]);
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return 0;
    }
    return word.len > 0 && word.len <= LMI_SASL_NAME_MAX;
}

static void take_mechanisms(lmail_smtp_client *s, lmail_str args)
{
    lmail_str *list = &s->can.mechanisms;
    while (args.len) {
        lmail_str word = next_word(&args);
        if (!lmi_smtpc_mechanism_ok(word) || lmi_sasl_offers(*list, word) ||
            list->len + word.len + 1 > LMI_SMTPC_MECHANISMS)
            continue;
        if (list->len)
            s->mechanisms[list->len++] = ' ';
        for (size_t i = 0; i < word.len; i++)
            s->mechanisms[list->len++] = lmi_ascii_upper(word.ptr[i]);
    }
}

/* RFC 9422: name=value; of a value 1 to 999999 without leading zeros. */
static void take_limits(lmail_smtp_client *s, lmail_str args)
{
    while (args.len) {
        lmail_str word = next_word(&args), name = lmi_str_sub(word, 0, lmi_str_find(word, '='));
        lmail_str value = lmi_str_skip(word, name.len + 1);
        uint32_t n;
        if (value.len == 0 || value.len > 6 || value.ptr[0] == '0' || lmi_parse_u32(value, &n))
            continue;
        if (lmail_str_equal_nocase(name, LMAIL_STR("MAILMAX")))
            s->can.mail_max = n;
        else if (lmail_str_equal_nocase(name, LMAIL_STR("RCPTMAX")))
            s->can.rcpt_max = n;
        else if (lmail_str_equal_nocase(name, LMAIL_STR("RCPTDOMAINMAX")))
            s->can.rcpt_domain_max = n;
    }
}

static void take_keyword(lmail_smtp_client *s, lmail_str word, lmail_str args)
{
    uint32_t can = 0;
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (lmail_str_equal_nocase(word, keywords[i].word))
            can = keywords[i].can;
    if (can & s->ignore)
        return;
    s->can.can |= can;
    if (can == LMAIL_SMTP_CAN_SIZE) {
        uint64_t n;
        lmail_str number = next_word(&args);
        if (!lmi_parse_u64(number, &n)) /* RFC 1870 §4: 0 is no limit */
            s->can.max_message = n;
    } else if (can == LMAIL_SMTP_CAN_AUTH) {
        take_mechanisms(s, args);
    } else if (can == LMAIL_SMTP_CAN_LIMITS) {
        take_limits(s, args);
    }
}

static void keep_name(lmail_smtp_client *s, lmail_str text)
{
    lmail_str name = next_word(&text);
    s->can.name.len = 0;
    for (size_t i = 0; i < name.len && i < sizeof s->name; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        s->name[s->can.name.len++] = c < 33 || c == 127 ? '?' : name.ptr[i];
    }
}

void lmi_smtpc_ehlo_line(lmail_smtp_client *s, lmail_str text, uint32_t number)
{
    if (number == 1) {
        keep_name(s, text);
        return;
    }
    lmail_str word = next_word(&text);
    if (word.len > 5 && lmail_str_equal_nocase(lmi_str_sub(word, 0, 5), LMAIL_STR("AUTH="))) {
        /* An old form, beside the right one or alone. */
        if (!(s->ignore & LMAIL_SMTP_CAN_AUTH)) {
            s->can.can |= LMAIL_SMTP_CAN_AUTH;
            take_mechanisms(s, lmi_str_skip(word, 5));
            take_mechanisms(s, text);
        }
        return;
    }
    take_keyword(s, word, text);
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* 4xx and 5xx; what else there is fits nowhere. */
static lmail_status refused(lmail_smtp_client *s)
{
    if (lmi_smtpc_class(s) < 4)
        return lmi_smtpc_violation(s, LMAIL_STR("a reply that does not fit"));
    return lmi_smtpc_quit(s, LMAIL_SMTP_CAUSE_REPLY);
}

lmail_status lmi_smtpc_on_greeting(lmail_smtp_client *s)
{
    return lmi_smtpc_class(s) == 2 ? lmi_smtpc_ehlo(s) : refused(s);
}

/* EHLO is answered: TLS, if the policy says so; else login. */
static lmail_status greeted(lmail_smtp_client *s)
{
    int can = (s->can.can & LMAIL_SMTP_CAN_STARTTLS) != 0;
    if (!(s->can.can & LMAIL_SMTP_CAN_CHUNKING))
        s->can.can &= ~(uint32_t)LMAIL_SMTP_CAN_BINARYMIME;
    if (!s->base.tls_active && s->tls != LMAIL_SMTP_TLS_NONE) {
        if (can) {
            lmi_smtpc_enter(s, LMI_SMTPC_STARTTLS);
            return LMI_SMTPC_SAY(s, LMAIL_STR("STARTTLS"));
        }
        if (s->tls != LMAIL_SMTP_TLS_OPPORTUNISTIC)
            return lmi_smtpc_quit(s, LMAIL_SMTP_CAUSE_POLICY);
    }
    return lmi_smtpc_login(s);
}

lmail_status lmi_smtpc_on_ehlo(lmail_smtp_client *s)
{
    int lmtp = (s->flags & LMAIL_SMTP_CLIENT_LMTP) != 0;
    if (lmi_smtpc_class(s) == 2) {
        s->can.hello = lmtp ? LMAIL_SMTP_SAID_LHLO : LMAIL_SMTP_SAID_EHLO;
        return greeted(s);
    }
    lmi_smtpc_forget(s);
    /* RFC 5321 §3.2: an old server answers 500 or 502; 4xx is no word about EHLO. */
    if (lmi_smtpc_class(s) != 5 || lmtp || s->flags & LMAIL_SMTP_CLIENT_NO_HELO)
        return refused(s);
    lmi_smtpc_enter(s, LMI_SMTPC_HELO);
    return LMI_SMTPC_SAY(s, LMAIL_STR("HELO "), s->helo_name);
}

lmail_status lmi_smtpc_on_helo(lmail_smtp_client *s)
{
    if (lmi_smtpc_class(s) != 2)
        return refused(s);
    keep_name(s, lmi_smtpc_reply(s).text);
    s->can.hello = LMAIL_SMTP_SAID_HELO;
    return greeted(s);
}

lmail_status lmi_smtpc_on_starttls(lmail_smtp_client *s)
{
    if (lmi_smtpc_class(s) == 2) {
        lmi_smtpc_enter(s, LMI_SMTPC_SHAKING);
        lmi_want_tls(&s->base);
        return LMAIL_OK;
    }
    if (s->tls == LMAIL_SMTP_TLS_OPPORTUNISTIC && lmi_smtpc_class(s) >= 4)
        return lmi_smtpc_login(s);
    return refused(s);
}

void lmi_smtpc_ready(lmail_smtp_client *s)
{
    lmi_smtpc_enter(s, LMI_SMTPC_READY);
    if (s->setup->on.on_ready) {
        lmi_callback_begin(&s->base);
        s->setup->on.on_ready(s, s->base.user, &s->can);
        lmi_callback_end(&s->base);
    }
}
