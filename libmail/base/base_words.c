/* base_words.c - the texts that a session writes by itself, with their placeholders filled in.
 *
 * The placeholders are those of libmail/session.h, the same for every session type. What a peer
 * sent is cut and made printable here, so no text can carry it onto a line of its own. */
#include "base/base_internal.h"

#include <string.h>

#define PEER_MAX 60u /* octets of %C and %A */

typedef struct piece {
    char *octets;
    size_t len, cap;
} piece;

static void put(piece *to, lmail_str text)
{
    size_t n = text.len < to->cap - to->len ? text.len : to->cap - to->len;
    if (n)
        memcpy(to->octets + to->len, text.ptr, n);
    to->len += n;
}

static void put_number(piece *to, uint64_t value)
{
    char digits[20];
    put(to, (lmail_str){digits, lmi_write_u64(digits, value)});
}

static void put_from_peer(piece *to, lmail_str text)
{
    text = lmi_str_sub(text, 0, PEER_MAX);
    for (size_t i = 0; i < text.len && to->len < to->cap; i++) {
        char c = text.ptr[i];
        to->octets[to->len++] = c < 32 || c > 126 ? '?' : c;
    }
}

/* 0: `what` is no placeholder, and nothing was put. */
static int put_value(piece *to, char what, const lmi_words *w)
{
    switch (what) {
    case 'H':
        put(to, w->host);
        return 1;
    case 'C':
        put_from_peer(to, w->client);
        return 1;
    case 'A':
        put_from_peer(to, w->argument);
        return 1;
    case 'N':
        put_number(to, w->number);
        return 1;
    case 'O':
        put_number(to, w->octets);
        return 1;
    case '%':
        put(to, LMAIL_STR("%"));
        return 1;
    default:
        return 0;
    }
}

size_t lmi_words_write(lmail_str text, const lmi_words *words, char *out, size_t cap)
{
    piece to = {out, 0, cap};
    while (text.len) {
        size_t at = lmi_str_find(text, '%');
        put(&to, lmi_str_sub(text, 0, at));
        text = lmi_str_skip(text, at);
        if (text.len > 1 && put_value(&to, text.ptr[1], words)) {
            text = lmi_str_skip(text, 2);
        } else if (text.len) {
            put(&to, LMAIL_STR("%"));
            text = lmi_str_skip(text, 1);
        }
    }
    return to.len;
}
