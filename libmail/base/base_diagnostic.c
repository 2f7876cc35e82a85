/* base_diagnostic.c - complaints about an administrator's files: put together, and as a line.
 *
 * Every reader of a file format ends here. Texts hold pieces of the file, which may be hostile: both
 * ways out replace what could command a terminal. */
#include "base/base_internal.h"

#include <string.h>

#define LONGEST_PIECE 120u
#define LONGEST_TEXT 500u

/* A text of limited room; what does not fit is cut. */
typedef struct text {
    char *ptr;
    size_t len, cap;
} text;

static void add(text *t, lmail_str s)
{
    for (size_t i = 0; i < s.len && t->len < t->cap; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        t->ptr[t->len++] = c < ' ' || c == 0x7f ? '?' : (char)c;
    }
}

void lmi_diagnose(lmail_diagnostic_fn *tell, void *ctx, lmail_severity severity, lmail_str file,
                  size_t line, const lmail_str *pieces, size_t count)
{
    char room[LONGEST_TEXT];
    text t = {room, 0, sizeof room};
    if (!tell)
        return;
    for (size_t i = 0; i < count; i++)
        add(&t, lmi_str_sub(pieces[i], 0, LONGEST_PIECE));
    lmail_diagnostic d = {severity, file, line, {t.ptr, t.len}};
    tell(ctx, &d);
}

static const char *severity_word(lmail_severity severity)
{
    switch (severity) {
    case LMAIL_NOTICE:
        return "notice";
    case LMAIL_WARNING:
        return "warning";
    case LMAIL_ERROR:
        break;
    }
    return "error";
}

size_t lmail_diagnostic_write(const lmail_diagnostic *d, char *out, size_t cap)
{
    char number[20];
    text t = {out, 0, cap ? cap - 1 : 0};
    add(&t, d->file);
    add(&t, LMAIL_STR(":"));
    if (d->line) {
        add(&t, (lmail_str){number, lmi_write_u64(number, d->line)});
        add(&t, LMAIL_STR(":"));
    }
    add(&t, LMAIL_STR(" "));
    add(&t, lmail_str_from(severity_word(d->severity)));
    add(&t, LMAIL_STR(": "));
    add(&t, d->text);
    if (cap)
        out[t.len] = '\0';
    return t.len;
}
