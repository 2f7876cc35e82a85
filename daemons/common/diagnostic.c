/* diagnostic.c - complaints about the administrator's files, on the standard error or in the log.
 *
 * They come as the files are understood, some only when all were read; whoever mends them wants them
 * file by file and line by line. */
#include "diagnostic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_LINE 8192u /* a path of PATH_MAX octets and the text */

struct complaint {
    size_t file; /* the first complaint about the same file */
    size_t line;
    size_t number;
    size_t name_len; /* of the file's name, in front of text's line number */
    char *name, *text;
};

/* 0: it is not told. */
static size_t write_told(strictness *s, const lmail_diagnostic *d, char line[LONGEST_LINE])
{
    lmail_diagnostic told = *d;
    if (s && s->strict && d->severity == LMAIL_WARNING) {
        told.severity = LMAIL_ERROR;
        s->turned++;
    }
    if (s && (int)told.severity < s->quiet)
        return 0;
    return lmail_diagnostic_write(&told, line, LONGEST_LINE);
}

void print_diagnostic(void *ctx, const lmail_diagnostic *d)
{
    char line[LONGEST_LINE];
    if (write_told(ctx, d, line))
        fprintf(stderr, "%s\n", line);
}

static int make_room(strictness *s)
{
    if (s->count < s->room)
        return 1;
    size_t room = s->room ? s->room * 2 : 32;
    complaint *kept = realloc(s->kept, room * sizeof *kept);
    if (!kept)
        return 0;
    s->kept = kept;
    s->room = room;
    return 1;
}

void keep_diagnostic(void *ctx, const lmail_diagnostic *d)
{
    char line[LONGEST_LINE];
    strictness *s = ctx;
    if (!write_told(s, d, line))
        return;
    complaint c = {s->count,
                   d->line,
                   s->count,
                   d->file.len,
                   strndup(d->file.len ? d->file.ptr : "", d->file.len),
                   strdup(line)};
    if (!c.name || !c.text || !make_room(s)) { /* out of order is better than not at all */
        fprintf(stderr, "%s\n", line);
        free(c.name);
        free(c.text);
        return;
    }
    for (size_t i = 0; i < s->count && c.file == s->count; i++)
        if (s->kept[i].name_len == c.name_len && !memcmp(s->kept[i].name, c.name, c.name_len))
            c.file = s->kept[i].file;
    s->kept[s->count++] = c;
}

static int compare(const void *a, const void *b)
{
    const complaint *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

void tell_diagnostics(strictness *s)
{
    if (s->count)
        qsort(s->kept, s->count, sizeof *s->kept, compare);
    for (size_t i = 0; i < s->count; i++) {
        fprintf(stderr, "%s\n", s->kept[i].text);
        free(s->kept[i].name);
        free(s->kept[i].text);
    }
    free(s->kept);
    s->kept = NULL;
    s->count = s->room = 0;
}

void log_diagnostic(void *ctx, const lmail_diagnostic *d)
{
    const reload_faults *c = ctx;
    lmail_log_line l;
    int error = d->severity == LMAIL_ERROR;
    lmail_log_begin(&l, c->log, error ? LMAIL_LOG_ERR : LMAIL_LOG_WARN, "config");
    lmail_log_text(&l, "file", d->file);
    lmail_log_number(&l, "line", d->line);
    lmail_log_text(&l, "text", d->text);
    lmail_log_end(&l);
    if (error && !c->error[0])
        lmail_diagnostic_write(d, c->error, c->cap);
}
