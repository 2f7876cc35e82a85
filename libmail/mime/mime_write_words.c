/* mime_write_words.c - encoded words (RFC 2047).
 *
 * Called for unstructured text and for display names, so every word is one that may stand in a phrase
 * (§5 rule 3). Q or B is chosen for the whole run. Nothing here checks: the text is
 * valid UTF-8 without control octets when it comes. */
#include "mime_write_internal.h"

/* "=?UTF-8?Q?" and "?=" */
#define FRAME 12u

int lmi_mime_needs_words(lmail_str text, unsigned utf8)
{
    if (!utf8 && !lmi_mime_is_ascii(text))
        return 1;
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.ptr[i] == '=' && text.ptr[i + 1] == '?')
            return 1;
    return text.len > LMI_MIME_LONGEST;
}

/* RFC 2047 §5 rule 3, so that a word may stand anywhere. */
static int is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '!' ||
           c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t q_width(lmail_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += is_plain((unsigned char)text.ptr[i]) || text.ptr[i] == ' ' ? 1 : 3;
    return n;
}

/* Octets of whole characters off the front whose encoding takes at most `room`. */
static size_t fitting(lmail_str text, int q, size_t room)
{
    size_t at = 0, width = 0;
    while (at < text.len) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(lmi_str_skip(text, at), &point, &good);
        width = q ? width + q_width(lmi_str_sub(text, at, n)) : (at + n + 2) / 3 * 4;
        if (width > room)
            break;
        at += n;
    }
    return at;
}

static void put_q(lmail_mime_writer *w, lmail_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    char out[LMI_MIME_WORD];
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_plain(c) || c == ' ') {
            out[n++] = c == ' ' ? '_' : (char)c;
            continue;
        }
        out[n++] = '=';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    lmi_mime_w_put(w, (lmail_str){out, n});
}

static void put_b(lmail_mime_writer *w, lmail_str text)
{
    char out[LMI_MIME_WORD];
    size_t n;
    lmail_base64_encode(text, out, sizeof out, &n);
    lmi_mime_w_put(w, (lmail_str){out, n});
}

void lmi_mime_w_words(lmail_mime_writer *w, lmail_str text)
{
    /* Q is legible without decoding: worth a quarter more. */
    int q = q_width(text) / 5 <= lmail_base64_size(text.len) / 4;
    while (text.len) {
        /* What this line still takes; a new one when that is nothing. */
        size_t room =
            w->column + 1 + FRAME < LMI_MIME_LINE ? LMI_MIME_LINE - w->column - 1 - FRAME : 0;
        if (room > LMI_MIME_WORD - FRAME)
            room = LMI_MIME_WORD - FRAME;
        size_t n = fitting(text, q, room);
        if (!n || (n < text.len && room < 16)) {
            lmi_mime_w_space(w, LMI_MIME_LINE);
            n = fitting(text, q, LMI_MIME_WORD - FRAME);
        } else {
            lmi_mime_w_put(w, LMAIL_STR(" "));
        }
        lmi_mime_w_put(w, q ? LMAIL_STR("=?UTF-8?Q?") : LMAIL_STR("=?UTF-8?B?"));
        lmail_str part = lmi_str_sub(text, 0, n);
        if (q)
            put_q(w, part);
        else
            put_b(w, part);
        lmi_mime_w_put(w, LMAIL_STR("?="));
        text = lmi_str_skip(text, n);
    }
}
