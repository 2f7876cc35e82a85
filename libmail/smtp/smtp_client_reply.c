/* smtp_client_reply.c - octets from the server made into replies.
 *
 * RFC 5321 §4.2 (code, hyphen or blank, text), §4.2.1 (several lines), §4.5.3.1.5 (their length),
 * RFC 2034 §4 (enhanced codes). The text is kept for reports, cut and made printable. A line that
 * is no reply ends the session: who cannot be read cannot be waited for. Called by the pump's input
 * in smtp_client.c; what a reply means stands in smtp_client_machine.c. */
#include "smtp/smtp_client_internal.h"

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "250", "250 text", "250-text": the code, or 0. First digits 2 to 5 (RFC 5321 §4.2.1: no 1yz). */
static unsigned code_of(lmail_str line)
{
    if (line.len < 3 || line.ptr[0] < '2' || line.ptr[0] > '5' || !is_digit(line.ptr[1]) ||
        !is_digit(line.ptr[2]) || (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-'))
        return 0;
    return (unsigned)(line.ptr[0] - '0') * 100 + (unsigned)(line.ptr[1] - '0') * 10 +
           (unsigned)(line.ptr[2] - '0');
}

static size_t digits(lmail_str in, size_t at)
{
    size_t n = 0;
    while (at + n < in.len && n < 3 && is_digit(in.ptr[at + n]))
        n++;
    return n;
}

/* Length of an enhanced code at the begin of a text, 0: none. RFC 2034 §4: its class is the
 * reply's. */
static size_t enhanced_of(lmail_str text, unsigned class)
{
    if (text.len < 5 || (unsigned)(text.ptr[0] - '0') != class || class == 3 || text.ptr[1] != '.')
        return 0;
    size_t subject = digits(text, 2), at = 2 + subject;
    if (!subject || at >= text.len || text.ptr[at] != '.')
        return 0;
    size_t detail = digits(text, at + 1);
    at += 1 + detail;
    return detail && (at == text.len || text.ptr[at] == ' ') ? at : 0;
}

static void keep_char(lmail_smtp_client *s, char c)
{
    if (s->text_len < s->setup->config.max_reply_text)
        s->text[s->text_len++] = c;
}

static void keep_text(lmail_smtp_client *s, lmail_str text)
{
    size_t n = enhanced_of(text, s->code / 100u);
    if (s->lines == 1) {
        s->text_len = 0;
        s->enhanced_len = (uint8_t)n;
        for (size_t i = 0; i < n; i++)
            s->enhanced[i] = text.ptr[i];
    } else {
        keep_char(s, '\n');
    }
    for (size_t i = n && n < text.len ? n + 1 : n; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        keep_char(s, c < 32 || c == 127 ? '?' : text.ptr[i]);
    }
}

lmail_smtp_peer_reply lmi_smtpc_reply(const lmail_smtp_client *s)
{
    return (lmail_smtp_peer_reply){s->code, {s->enhanced, s->enhanced_len}, {s->text, s->text_len}};
}

unsigned lmi_smtpc_class(const lmail_smtp_client *s)
{
    return s->code / 100u;
}

static lmail_status one_line(lmail_smtp_client *s, lmail_str line)
{
    unsigned code = code_of(line);
    int challenge = s->state == LMI_SMTPC_AUTH && code == 334;
    if (challenge && !(s->flags & LMAIL_SMTP_CLIENT_TRACE_SECRETS))
        lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, LMAIL_STR("334 <secret>"));
    else
        lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, line);
    if (!code)
        return lmi_smtpc_violation(s, LMAIL_STR("not a reply"));
    if (s->lines && code != s->code) /* the last one counts */
        lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, 0, LMAIL_STR("lines with different codes"));
    if (s->lines == s->setup->config.max_reply_lines) {
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_reply_lines"));
        return lmi_smtpc_violation(s, LMAIL_STR("a reply without end"));
    }
    int more = line.len > 3 && line.ptr[3] == '-';
    lmail_str text = lmi_str_skip(line, 4);
    s->code = (uint16_t)code;
    s->lines++;
    if (challenge) {
        if (more || s->lines > 1)
            return lmi_smtpc_violation(s, LMAIL_STR("a challenge of several lines"));
        s->lines = 0;
        s->replies++;
        s->text_len = 0;
        s->enhanced_len = 0;
        return lmi_smtpc_on_challenge(s, text);
    }
    keep_text(s, text);
    if (s->state == LMI_SMTPC_EHLO && code / 100 == 2)
        lmi_smtpc_ehlo_line(s, text, s->lines);
    if (more)
        return LMAIL_OK;
    s->lines = 0;
    s->replies++;
    return lmi_smtpc_take_reply(s);
}

lmail_status lmi_smtpc_take_line(lmail_smtp_client *s, lmail_str in, size_t *used)
{
    lmail_str line;
    size_t max = s->setup->config.max_reply_line;
    lmail_status st;
    if (s->state == LMI_SMTPC_AUTH && max < LMI_SASL_LINE)
        max = LMI_SASL_LINE; /* RFC 4954 §4.3 */
    int secret = s->state == LMI_SMTPC_AUTH;
    switch (lmi_line_read(&s->line, &s->base.alloc, in, max, used, &line)) {
    case LMI_LINE_MORE:
        return LMAIL_OK;
    case LMI_LINE_NOMEM:
        return LMAIL_ERR_NOMEM;
    case LMI_LINE_LONG:
        lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_reply_line"));
        st = lmi_smtpc_violation(s, LMAIL_STR("a reply line too long"));
        break;
    case LMI_LINE_BARE:
        st = lmi_smtpc_violation(s, LMAIL_STR("a bare CR or LF in a reply"));
        break;
    default:
        st = one_line(s, line);
        break;
    }
    if (secret)
        lmi_line_wipe(&s->line);
    return st;
}
