/* smtp_client_params.c - MAIL and RCPT with the parameters that the server announced.
 *
 * RFC 5321 §4.1.1.2, §4.1.1.3; RFC 1870 §6 (SIZE); RFC 6152, 3030 (BODY); RFC 6531 §3.4
 * (SMTPUTF8); RFC 8689 §2 (REQUIRETLS); RFC 3461 §4 (RET, ENVID, NOTIFY, ORCPT, xtext), RFC 6533
 * §3 (ORCPT of type utf-8); RFC 4954 §5 (AUTH). Called by smtp_client_envelope.c. */
#include "smtp/smtp_client_internal.h"

#include <string.h>

#define LINE 8192u /* two addresses of 1024 octets, as \x{...}, and the words */

typedef struct line {
    char text[LINE];
    size_t len;
} line;

static void add(line *l, lmail_str text)
{
    size_t n = text.len < LINE - l->len ? text.len : LINE - l->len;
    if (n)
        memcpy(l->text + l->len, text.ptr, n);
    l->len += n;
}

static void add_hex(line *l, uint32_t value, unsigned least)
{
    char out[8];
    size_t n = 0;
    for (unsigned shift = 28;; shift -= 4) {
        if (value >> shift || shift < least * 4)
            out[n++] = "0123456789ABCDEF"[(value >> shift) & 15];
        if (shift == 0)
            break;
    }
    add(l, (lmail_str){out, n});
}

/* RFC 3461 §4: printable ASCII without "+" and "=", the rest as +XX. */
static void add_xtext(line *l, lmail_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c > 32 && c < 127 && c != '+' && c != '=') {
            add(l, lmi_str_sub(text, i, 1));
        } else {
            add(l, LMAIL_STR("+"));
            add_hex(l, c, 2);
        }
    }
}

/* RFC 6533 §3: utf-8-addr-unitext where SMTPUTF8 is spoken, else utf-8-addr-xtext. */
static void add_unitext(line *l, lmail_str text, int raw)
{
    while (text.len) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(text, &point, &good);
        if (!n) {
            n = text.len;
            point = LMAIL_UTF8_BAD;
            good = 0;
        }
        if ((point > 32 && point < 127 && point != '+' && point != '=' && point != '\\') ||
            (point > 127 && raw && good)) {
            add(l, lmi_str_sub(text, 0, n));
        } else {
            add(l, LMAIL_STR("\\x{"));
            add_hex(l, point, 2);
            add(l, LMAIL_STR("}"));
        }
        text = lmi_str_skip(text, n);
    }
}

static void add_u64(line *l, uint64_t value)
{
    char out[20];
    add(l, (lmail_str){out, lmi_write_u64(out, value)});
}

static void add_body(line *l, const lmi_smtpc_job *j)
{
    static const lmail_str words[] = {
        {"", 0}, {" BODY=7BIT", 10}, {" BODY=8BITMIME", 14}, {" BODY=BINARYMIME", 16}};
    add(l, words[j->body]);
}

static void add_dsn(line *l, const lmi_smtpc_job *j)
{
    /* RFC 8689 §5: such a message comes back without its content. */
    if (j->ret == LMAIL_SMTP_RET_HDRS || (j->ret && j->require_tls))
        add(l, LMAIL_STR(" RET=HDRS"));
    else if (j->ret == LMAIL_SMTP_RET_FULL)
        add(l, LMAIL_STR(" RET=FULL"));
    if (j->has_envid) {
        add(l, LMAIL_STR(" ENVID="));
        add_xtext(l, j->envid);
    }
}

lmail_status lmi_smtpc_say_mail(lmail_smtp_client *s, const lmi_smtpc_job *j)
{
    uint32_t can = s->can.can;
    line l;
    l.len = 0;
    add(&l, LMAIL_STR("MAIL FROM:<"));
    add(&l, j->from);
    add(&l, LMAIL_STR(">"));
    if (can & LMAIL_SMTP_CAN_SIZE && j->octets) {
        add(&l, LMAIL_STR(" SIZE="));
        add_u64(&l, j->octets);
    }
    if (can & (LMAIL_SMTP_CAN_8BITMIME | LMAIL_SMTP_CAN_BINARYMIME))
        add_body(&l, j);
    if (lmi_smtpc_is_utf8(j))
        add(&l, LMAIL_STR(" SMTPUTF8"));
    if (j->require_tls && can & LMAIL_SMTP_CAN_REQUIRETLS && s->base.tls_active)
        add(&l, LMAIL_STR(" REQUIRETLS"));
    if (can & LMAIL_SMTP_CAN_DSN)
        add_dsn(&l, j);
    if (j->has_auth && can & LMAIL_SMTP_CAN_AUTH &&
        (s->logged_in || !(s->flags & LMAIL_SMTP_CLIENT_AUTH_AFTER_LOGIN))) {
        add(&l, LMAIL_STR(" AUTH="));
        if (j->auth.len)
            add_xtext(&l, j->auth);
        else
            add(&l, LMAIL_STR("<>"));
    }
    return LMI_SMTPC_SAY(s, (lmail_str){l.text, l.len});
}

static void add_notify(line *l, unsigned notify)
{
    static const struct {
        unsigned bit;
        lmail_str word;
    } words[] = {{LMAIL_SMTP_NOTIFY_NEVER, {"NEVER", 5}},
                 {LMAIL_SMTP_NOTIFY_SUCCESS, {"SUCCESS", 7}},
                 {LMAIL_SMTP_NOTIFY_FAILURE, {"FAILURE", 7}},
                 {LMAIL_SMTP_NOTIFY_DELAY, {"DELAY", 5}}};
    lmail_str before = LMAIL_STR(" NOTIFY=");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (notify & words[i].bit) {
            add(l, before);
            add(l, words[i].word);
            before = LMAIL_STR(",");
        }
}

lmail_status lmi_smtpc_say_rcpt(lmail_smtp_client *s, const lmi_smtpc_job *j,
                                const lmi_smtpc_rcpt *r)
{
    line l;
    l.len = 0;
    add(&l, LMAIL_STR("RCPT TO:<"));
    add(&l, r->to);
    add(&l, LMAIL_STR(">"));
    if (s->can.can & LMAIL_SMTP_CAN_DSN) {
        add_notify(&l, r->notify);
        if (r->orcpt_type.len && r->orcpt.len) {
            add(&l, LMAIL_STR(" ORCPT="));
            add(&l, r->orcpt_type);
            add(&l, LMAIL_STR(";"));
            if (lmail_str_equal_nocase(r->orcpt_type, LMAIL_STR("utf-8")))
                add_unitext(&l, r->orcpt, lmi_smtpc_is_utf8(j));
            else
                add_xtext(&l, r->orcpt);
        }
    }
    return LMI_SMTPC_SAY(s, (lmail_str){l.text, l.len});
}
