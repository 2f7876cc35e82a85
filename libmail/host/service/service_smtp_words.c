/* service_smtp_words.c - the classic program's words: the replies of the session in one table, and
 * "<address>... text" for those about an address.
 *
 * Codes and texts as the classic installation has them, so that whoever reads its logs, and the
 * programs that do, find what they know. */
#include "host/service/service_smtp.h"

#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

#define SAY(id, code, enhanced, text)                                                              \
    {                                                                                              \
        LMAIL_SMTP_SAY_##id, code, {enhanced, sizeof(enhanced) - 1},                               \
        {                                                                                          \
            text, sizeof(text) - 1                                                                 \
        }                                                                                          \
    }

static const lmail_smtp_reply_text words[] = {
    SAY(MAIL_OK, 250, "2.1.0", "Sender ok"),
    SAY(RCPT_OK, 250, "2.1.5", "Recipient ok"),
    SAY(RSET_OK, 250, "2.0.0", "Reset state"),
    SAY(TOO_MANY_RCPTS, 452, "4.5.3", "Too many recipients"),
    SAY(HEADER_TOO_LARGE, 552, "5.6.0", "Headers too large (%O max)"),
    SAY(SIZE_DECLARED, 552, "5.2.3", "Message size exceeds fixed maximum message size (%O)"),
    SAY(SIZE_REAL, 552, "5.2.3", "Message exceeds maximum fixed size (%O)"),
    SAY(NEED_HELO, 503, "5.0.0", "Polite people say HELO first"),
    SAY(NEED_HELO_QUERY, 503, "5.0.0", "I demand that you introduce yourself first"),
    SAY(NO_LOCAL_PART, 553, "5.1.3", "%A... User address required"),
    SAY(NO_DOMAIN, 553, "5.1.3", "%A... Hostname required"),
    SAY(BAD_DOMAIN, 553, "5.1.2", "%A... Invalid host name"),
    SAY(ROUTE, 553, "5.1.3", "%A... Invalid route address"),
    SAY(VRFY_UNSURE, 252, "2.5.2",
        "Cannot VRFY user; try RCPT to attempt delivery (or try finger)"),
    SAY(EXPN_OFF, 502, "5.7.0", "Sorry, we do not allow this operation"),
    SAY(ETRN_OFF, 502, "5.7.0", "Sorry, we do not allow this operation"),
    SAY(DSN_OFF, 504, "5.7.0", "Sorry, %A not supported, we do not allow DSN"),
    SAY(AUTH_OK, 235, "2.0.0", "OK Authenticated"),
    SAY(AUTH_CREDENTIALS, 535, "5.7.0", "authentication failed"),
    SAY(AUTH_OFF, 504, "5.3.3", "AUTH mechanism %A not available"),
    SAY(AUTH_MECHANISM, 504, "5.3.3", "AUTH mechanism %A not available"),
    SAY(AUTH_TWICE, 503, "5.5.0", "Already Authenticated"),
    SAY(AUTH_IN_MAIL, 503, "5.5.0", "AUTH not permitted during a mail transaction"),
    SAY(AUTH_ABORTED, 501, "5.0.0", "AUTH aborted"),
    SAY(AUTH_BASE64, 501, "5.5.4", "cannot decode AUTH parameter"),
    SAY(TIMEOUT_COMMAND, 421, "4.4.2", "%H timeout"),
    SAY(TIMEOUT_DATA, 421, "4.4.1", "%H read timeout"),
};

const lmail_smtp_reply_text *lmi_smtp_words(size_t *count)
{
    *count = sizeof words / sizeof *words;
    return words;
}

void lmi_reply_about(const smtp_peer *p, lmail_smtp_reply *reply, unsigned code, lmail_str enhanced,
                     lmail_str address, lmail_str text)
{
    size_t cap = address.len + text.len + 8;
    char *room = lmi_scratch(&p->base, cap + enhanced.len);
    reply->code = code;
    if (!room)
        return;
    int n = snprintf(room, cap, "<%.*s>... %.*s", TEXT(address), TEXT(text));
    reply->text = (lmail_str){room, (size_t)n};
    reply->enhanced = (lmail_str){room + cap, enhanced.len};
    if (enhanced.len)
        memcpy(room + cap, enhanced.ptr, enhanced.len);
    for (size_t i = 0; i < reply->text.len; i++) /* a quoted local part may hold a tab */
        if ((unsigned char)room[i] < ' ')
            room[i] = '?';
}

void lmi_reply_verdict(const smtp_peer *p, lmail_smtp_reply *reply, const lmail_policy_verdict *v,
                       lmail_str address)
{
    lmi_reply_about(p, reply, v->code, v->enhanced, address, v->text);
}

void lmi_reply_refusal(const smtp_peer *p, lmail_smtp_reply *reply, const lmail_policy_verdict *v)
{
    char *room = lmi_scratch(&p->base, v->text.len + v->enhanced.len + 1);
    reply->code = v->code;
    if (!room)
        return;
    reply->text = (lmail_str){room, v->text.len};
    reply->enhanced = (lmail_str){room + v->text.len, v->enhanced.len};
    if (v->text.len)
        memcpy(room, v->text.ptr, v->text.len);
    if (v->enhanced.len)
        memcpy(room + v->text.len, v->enhanced.ptr, v->enhanced.len);
}
