/* dlg_parse.c - reads a dialogue file into steps. The format stands in dlg.h. */
#include "wire/dlg.h"

#include <stdlib.h>
#include <string.h>

static void add(dlg *d, char kind, unsigned line, const char *text)
{
    if (d->count == d->capacity) {
        d->capacity = d->capacity ? d->capacity * 2 : 32;
        d->steps = realloc(d->steps, d->capacity * sizeof *d->steps);
        if (!d->steps)
            abort();
    }
    d->steps[d->count++] = (dlg_step){kind, line, strdup(text)};
}

static char kind_of(const char *text)
{
    char kind = text[0], form = text[1];
    if (form == ':' && strchr("CSHQTEWRX", kind))
        return kind;
    if (form == '=' && (kind == 'C' || kind == 'S'))
        return kind == 'C' ? 'c' : 's';
    if (form == '~' && (kind == 'S' || kind == 'C'))
        return kind == 'S' ? 'g' : 'G';
    if (form == '!' && kind == 'Q')
        return 'q';
    return 0;
}

static int take_line(dlg *d, char *text, unsigned line)
{
    size_t len = strlen(text);
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = 0;
    if (len == 0)
        return 0;
    if (text[0] == '#') {
        if (strncmp(text, "# config: ", 10) == 0)
            add(d, '#', line, text + 10);
        else if (strncmp(text, "# peak: ", 8) == 0)
            d->peak = strtoul(text + 8, NULL, 10);
        else if (strcmp(text, "# answers: now") == 0)
            d->only_now = 1;
        else if (strncmp(text, "# rfc:", 6) == 0)
            d->has_rfc = 1;
        return 0;
    }
    char kind = kind_of(text);
    if (!kind)
        return -1;
    const char *rest = text + 2;
    if (*rest == ' ')
        rest++;
    if (strchr("CScs", kind)) {
        add(d, kind, line, rest); /* blanks at the end count */
        return 0;
    }
    while (len > 2 && text[len - 1] == ' ')
        text[--len] = 0;
    add(d, kind, line, rest);
    return 0;
}

int dlg_parse(dlg *d, const char *path, char *fault, size_t cap)
{
    memset(d, 0, sizeof *d);
    d->path = strdup(path);
    FILE *f = fopen(path, "r");
    if (!f) {
        snprintf(fault, cap, "%s: cannot be opened", path);
        return -1;
    }
    char *text = NULL;
    size_t size = 0;
    unsigned line = 0;
    int bad = 0;
    while (!bad && getline(&text, &size, f) >= 0)
        bad = take_line(d, text, ++line);
    free(text);
    fclose(f);
    if (bad)
        snprintf(fault, cap, "%s:%u: not a line of a dialogue", path, line);
    else if (!d->has_rfc)
        snprintf(fault, cap, "%s: no '# rfc:' line says what it proves", path);
    else
        return 0;
    return -1;
}

void dlg_free(dlg *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->steps[i].text);
    free(d->steps);
    free(d->path);
}
