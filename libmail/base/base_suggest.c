/* base_suggest.c - "did you mean": the nearest known name to a misspelt one. */
#include "base/base_internal.h"

#define LONGEST 64u

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance: insert, delete, replace, swap neighbours. */
static size_t distance(lmail_str a, lmail_str b)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = lmi_ascii_lower(a.ptr[i - 1]), y = lmi_ascii_lower(b.ptr[j - 1]);
            row[j] = least(least(last[j] + 1, row[j - 1] + 1), last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lmi_ascii_lower(b.ptr[j - 2]) &&
                y == lmi_ascii_lower(a.ptr[i - 2]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b.len];
}

const char *lmi_suggest(lmail_str name, lmi_name_at *at, const void *ctx)
{
    const char *best = NULL;
    size_t nearest = name.len / 3 + 1; /* farther away it is another word */
    if (name.len > LONGEST)
        return NULL;
    for (size_t i = 0; at(ctx, i); i++) {
        lmail_str known = lmail_str_from(at(ctx, i));
        size_t apart = known.len > name.len ? known.len - name.len : name.len - known.len;
        if (known.len > LONGEST || apart >= nearest)
            continue;
        size_t d = distance(name, known);
        if (d < nearest) {
            nearest = d;
            best = known.ptr;
        }
    }
    return best;
}
