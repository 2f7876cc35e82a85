/* vectors.c - reads the files of tests/vectors and tests/guide. */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void give_up(const char *path)
{
    perror(path);
    exit(2);
}

char *vectors_read(const char *name, size_t *len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", TESTS_DIR, name);
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        give_up(path);
    long size = ftell(f);
    rewind(f);
    char *text = malloc((size_t)size + 1);
    if (!text || fread(text, 1, (size_t)size, f) != (size_t)size)
        give_up(path);
    fclose(f);
    text[size] = '\0';
    if (len)
        *len = (size_t)size;
    return text;
}

static void split(vectors_row *row, char *line)
{
    for (size_t i = 0; i < VECTORS_MAX_FIELDS; i++)
        row->field[i] = "";
    while (line && row->count < VECTORS_MAX_FIELDS) {
        char *end = strchr(line, '\t');
        if (end)
            *end++ = '\0';
        row->field[row->count++] = line;
        line = end;
    }
}

vectors vectors_rows(const char *name)
{
    size_t len, lines = 1;
    vectors v = {vectors_read(name, &len), NULL, 0};
    for (size_t i = 0; i < len; i++)
        lines += v.text[i] == '\n';
    v.rows = calloc(lines, sizeof *v.rows);
    if (!v.rows)
        give_up(name);
    size_t number = 0;
    for (char *line = v.text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        if (number == 1 || !*line)
            continue;
        v.rows[v.count].line = number;
        split(&v.rows[v.count++], line);
    }
    return v;
}

void vectors_done(vectors *v)
{
    free(v->rows);
    free(v->text);
}
