/* delivery_word.c - texts and codes for what happens in an attempt.
 *
 * A server's own enhanced code is used when it is well-formed and of the class that the result has;
 * else one is made from fault, phase and reply code (RFC 3463 §2, §3; RFC 5321 §4.2.3; RFC 5248).
 * What a server says is cleaned before it is kept: it goes to logs and reports. */
#include "delivery/delivery_internal.h"

#include <stdio.h>
#include <string.h>

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* class "." subject "." detail: one digit, then one to three each (RFC 3463 §2). */
static int is_enhanced(lmail_str s)
{
    size_t at = 1;
    if (!s.len || s.ptr[0] < '2' || s.ptr[0] > '5' || s.ptr[0] == '3')
        return 0;
    for (int part = 0; part < 2; part++) {
        size_t begin = at + 1, end = begin;
        if (at >= s.len || s.ptr[at] != '.')
            return 0;
        while (end < s.len && is_digit(s.ptr[end]))
            end++;
        if (end == begin || end - begin > 3 || (end - begin > 1 && s.ptr[begin] == '0'))
            return 0;
        at = end;
    }
    return at == s.len;
}

/* Subject and detail for a reply without them. phase -1: any. The first that fits. */
static const struct {
    unsigned code;
    int phase;
    const char *tail;
} by_code[] = {
    {421, -1, "3.2"},
    {450, -1, "2.0"},
    {451, -1, "3.0"},
    {452, LMAIL_DELIVERY_AT_RCPT, "5.3"},
    {452, -1, "3.1"},
    {454, -1, "7.0"},
    {455, -1, "5.4"},
    {500, -1, "5.2"},
    {501, -1, "5.4"},
    {502, -1, "5.1"},
    {503, -1, "5.1"},
    {504, -1, "5.4"},
    {521, -1, "3.2"}, /* RFC 7504 §4 */
    {530, -1, "7.0"}, /* RFC 4954 §6: 530 to 538 */
    {534, -1, "7.9"},
    {535, -1, "7.8"},
    {538, -1, "7.11"},
    {550, LMAIL_DELIVERY_AT_RCPT, "2.0"}, /* no such mailbox, no access or policy: it did not say */
    {551, -1, "1.6"},
    {552, LMAIL_DELIVERY_AT_RCPT, "2.2"},
    {552, -1, "3.4"},
    {553, LMAIL_DELIVERY_AT_MAIL, "1.7"},
    {553, -1, "1.3"},
    {555, -1, "5.4"},
    {556, -1, "1.10"}, /* RFC 7504 §4, RFC 7505 §4.1 */
};

static const char *tail_of_reply(const lmail_delivery_word *w)
{
    if (w->phase == LMAIL_DELIVERY_AT_GREETING || w->phase == LMAIL_DELIVERY_AT_EHLO)
        return "3.2"; /* system not accepting network messages */
    if (w->phase == LMAIL_DELIVERY_AT_TLS)
        return "7.0";
    for (size_t i = 0; i < sizeof by_code / sizeof *by_code; i++)
        if (by_code[i].code == w->code &&
            (by_code[i].phase < 0 || by_code[i].phase == (int)w->phase))
            return by_code[i].tail;
    return w->phase == LMAIL_DELIVERY_AT_AUTH ? "7.0" : "0.0";
}

static const char *tail_of(const lmail_delivery_word *w)
{
    switch (w->fault) {
    case LMAIL_DELIVERY_FINE:
        return "0.0";
    case LMAIL_DELIVERY_REPLY:
        return tail_of_reply(w);
    case LMAIL_DELIVERY_REFUSED:
    case LMAIL_DELIVERY_UNREACHABLE:
        return "4.1"; /* no answer from host */
    case LMAIL_DELIVERY_TIMEOUT:
        return w->phase <= LMAIL_DELIVERY_AT_GREETING ? "4.1" : "4.2";
    case LMAIL_DELIVERY_LOST:
        return "4.2"; /* bad connection */
    case LMAIL_DELIVERY_NO_TLS:
        return "7.5"; /* cryptographic failure */
    case LMAIL_DELIVERY_UNSUPPORTED:
        return "3.3"; /* system not capable of selected features */
    case LMAIL_DELIVERY_PROTOCOL:
        return "5.0";
    case LMAIL_DELIVERY_OURS:
        return "3.0";
    }
    return "0.0";
}

size_t lmail_delivery_enhanced(const lmail_delivery_word *word, unsigned class_digit, char *out)
{
    if (is_enhanced(word->enhanced) && (unsigned)(word->enhanced.ptr[0] - '0') == class_digit) {
        memcpy(out, word->enhanced.ptr, word->enhanced.len);
        out[word->enhanced.len] = 0;
        return word->enhanced.len;
    }
    /* Of another class, but what it says of the subject may stand: 5.7.8 is 4.7.8 to who defers. */
    const char *tail = tail_of(word);
    if (is_enhanced(word->enhanced) && word->enhanced.ptr[0] != '2' && class_digit != 2)
        return (size_t)snprintf(out, LMI_DELIVERY_CODE, "%u%.*s", class_digit % 10,
                                (int)word->enhanced.len - 1, word->enhanced.ptr + 1);
    return (size_t)snprintf(out, LMI_DELIVERY_CODE, "%u.%s", class_digit % 10,
                            class_digit == 2 ? "0.0" : tail);
}

static const char *place(lmail_delivery_phase phase)
{
    switch (phase) {
    case LMAIL_DELIVERY_AT_LOOKUP:
        return "in the lookup of the host";
    case LMAIL_DELIVERY_AT_CONNECT:
        return "while connecting";
    case LMAIL_DELIVERY_AT_GREETING:
        return "while waiting for the greeting";
    case LMAIL_DELIVERY_AT_EHLO:
        return "behind EHLO";
    case LMAIL_DELIVERY_AT_TLS:
        return "while starting TLS";
    case LMAIL_DELIVERY_AT_AUTH:
        return "while logging in";
    case LMAIL_DELIVERY_AT_MAIL:
        return "behind MAIL";
    case LMAIL_DELIVERY_AT_RCPT:
        return "behind RCPT";
    case LMAIL_DELIVERY_AT_DATA:
        return "while sending the message";
    case LMAIL_DELIVERY_AT_END:
        return "behind the end of the message";
    }
    return "";
}

static const char *what(lmail_delivery_fault fault)
{
    switch (fault) {
    case LMAIL_DELIVERY_FINE:
        return "OK";
    case LMAIL_DELIVERY_REPLY:
        return "refused";
    case LMAIL_DELIVERY_REFUSED:
        return "connection refused";
    case LMAIL_DELIVERY_UNREACHABLE:
        return "host unreachable";
    case LMAIL_DELIVERY_TIMEOUT:
        return "timed out";
    case LMAIL_DELIVERY_LOST:
        return "connection lost";
    case LMAIL_DELIVERY_NO_TLS:
        return "TLS failed";
    case LMAIL_DELIVERY_UNSUPPORTED:
        return "the server lacks an extension that is needed";
    case LMAIL_DELIVERY_PROTOCOL:
        return "not a reply of the protocol";
    case LMAIL_DELIVERY_OURS:
        return "failure of the sending host";
    }
    return "";
}

lmail_str lmi_word_text(const lmail_delivery_word *w, char *room)
{
    if (!w->text.len) {
        int n = snprintf(room, LMI_DELIVERY_TEXT, "%s %s", what(w->fault), place(w->phase));
        if (w->fault == LMAIL_DELIVERY_FINE)
            n = snprintf(room, LMI_DELIVERY_TEXT, "%s", what(w->fault));
        return (lmail_str){room, (size_t)n};
    }
    size_t len = w->text.len < LMI_DELIVERY_TEXT ? w->text.len : LMI_DELIVERY_TEXT;
    /* A sequence of UTF-8 that would be cut goes whole. */
    while (len && len < w->text.len && ((unsigned char)w->text.ptr[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)w->text.ptr[i];
        room[i] = c < ' ' || c == 0x7f ? ' ' : (char)c;
    }
    return (lmail_str){room, len};
}

lmail_delivery_word lmi_word(lmail_delivery_fault fault, lmail_delivery_phase phase, unsigned code,
                             const char *enhanced, const char *text)
{
    return (lmail_delivery_word){fault, phase, code, lmail_str_from(enhanced),
                                 lmail_str_from(text)};
}

const char *lmail_delivery_state_name(lmail_delivery_state state)
{
    switch (state) {
    case LMAIL_DELIVERY_SENT:
        return "sent";
    case LMAIL_DELIVERY_DEFERRED:
        return "deferred";
    case LMAIL_DELIVERY_FAILED:
        return "failed";
    }
    return "?";
}
