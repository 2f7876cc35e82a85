/* config_show.c - the configuration in force as a native file, each line with its origin. */
#include "config/config_internal.h"

#include <string.h>

#define COMMENT_COLUMN 56u

typedef lmail_status write_fn(void *ctx, lmail_str text);

/* Counts the column, so that the origins stand below each other. */
typedef struct line_writer {
    write_fn *write;
    void *ctx;
    size_t column;
} line_writer;

static lmail_status put(void *ctx, lmail_str text)
{
    line_writer *w = ctx;
    w->column += text.len;
    return text.len ? w->write(w->ctx, text) : LMAIL_OK;
}

static lmail_status put_origin(line_writer *w, lmi_origin origin)
{
    static const char spaces[] = "                                                        ";
    size_t gap = w->column < COMMENT_COLUMN ? COMMENT_COLUMN - w->column : 1;
    char number[20];
    lmail_status st = put(w, (lmail_str){spaces, gap});
    if (!origin.line)
        return st ? st : put(w, LMAIL_STR(" # default\n"));
    const lmail_str pieces[] = {LMAIL_STR(" # "),
                                origin.file,
                                LMAIL_STR(":"),
                                {number, lmi_write_u64(number, origin.line)},
                                LMAIL_STR("\n")};
    for (size_t i = 0; !st && i < sizeof pieces / sizeof *pieces; i++)
        st = put(w, pieces[i]);
    return st;
}

static lmail_status put_row(line_writer *w, const lmi_setting *row, const char *base,
                            lmi_origin origin, lmail_str indent)
{
    w->column = 0;
    lmail_status st = put(w, indent);
    if (!st)
        st = put(w, lmail_str_from(row->name));
    if (!st)
        st = put(w, LMAIL_STR(" = "));
    if (!st)
        st = lmi_value_show(row, base + row->offset, put, w);
    return st ? st : put_origin(w, origin);
}

static lmail_status put_listener(line_writer *w, const lmi_listener *l)
{
    w->column = 0;
    lmail_status st = put(w, LMAIL_STR("\nlistener "));
    if (!st)
        st = put(w, l->values.name);
    if (!st)
        st = put(w, LMAIL_STR(" {"));
    if (!st)
        st = put_origin(w, l->origin);
    for (size_t i = 0; !st && lmi_listener_settings[i].name; i++)
        st = put_row(w, &lmi_listener_settings[i], (const char *)&l->values, l->origins[i],
                     LMAIL_STR("    "));
    return st ? st : put(w, LMAIL_STR("}\n"));
}

lmail_status lmail_config_show(const lmail_config *c, write_fn *write, void *ctx)
{
    line_writer w = {write, ctx, 0};
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; !st && lmi_settings[i].name; i++)
        st = put_row(&w, &lmi_settings[i], (const char *)&c->values, c->origins[i],
                     (lmail_str){NULL, 0});
    for (size_t i = 0; !st && i < c->section_count; i++)
        st = put_listener(&w, c->sections[i]);
    return st;
}
