/* config_show.c - the configuration in force as a native file, each line with its origin; and the
 * files that it names for its host. */
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
    if (origin.rank == LMI_RANK_DEFAULT)
        return st ? st : put(w, LMAIL_STR(" # default\n"));
    if (!origin.line) {
        st = st ? st : put(w, LMAIL_STR(" # default of "));
        st = st ? st : put(w, origin.file);
        return st ? st : put(w, LMAIL_STR("\n"));
    }
    const lmail_str pieces[] = {LMAIL_STR(" # "),
                                origin.file,
                                LMAIL_STR(":"),
                                {number, lmi_write_u64(number, origin.line)},
                                LMAIL_STR("\n")};
    for (size_t i = 0; !st && i < sizeof pieces / sizeof *pieces; i++)
        st = put(w, pieces[i]);
    return st;
}

static lmail_status put_row(line_writer *w, const lmi_setting *row, lmail_str name,
                            const char *base, lmi_origin origin)
{
    lmail_status st = put(w, name);
    if (!st)
        st = put(w, LMAIL_STR(" = "));
    if (!st)
        st = lmi_value_show(row, base + row->offset, put, w);
    return st ? st : put_origin(w, origin);
}

static lmail_status put_section(line_writer *w, const lmi_section *section)
{
    const lmi_section_kind *kind = section->kind;
    w->column = 0;
    lmail_status st = put(w, LMAIL_STR("\n"));
    if (!st)
        st = put(w, lmail_str_from(kind->word));
    if (!st)
        st = put(w, LMAIL_STR(" "));
    if (!st)
        st = put(w, section->values.name);
    if (!st)
        st = put(w, LMAIL_STR(" {"));
    if (!st)
        st = put_origin(w, section->origin);
    for (size_t i = 0; !st && kind->rows[i].name; i++) {
        const lmi_setting *row = &kind->rows[i];
        w->column = 0;
        st = put(w, LMAIL_STR("    "));
        if (!st)
            st = put_row(w, row, lmi_section_setting(kind, row), (const char *)&section->values,
                         section->origins[i]);
    }
    return st ? st : put(w, LMAIL_STR("}\n"));
}

lmail_status lmail_config_show(const lmail_config *c, write_fn *write, void *ctx)
{
    line_writer w = {write, ctx, 0};
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; !st && lmi_settings[i].name; i++) {
        w.column = 0;
        st = put_row(&w, &lmi_settings[i], lmail_str_from(lmi_settings[i].name),
                     (const char *)&c->values, c->origins[i]);
    }
    for (size_t k = 0; k < LMI_SECTION_KINDS; k++)
        for (size_t i = 0; !st && i < c->sections[k].count; i++)
            st = put_section(&w, c->sections[k].items[i]);
    return st;
}

/* ---- Files ----------------------------------------------------------------------------------- */

lmail_status lmail_config_file_at(const lmail_config *config, size_t i, lmail_config_file *out)
{
    const char *base = (const char *)&config->values;
    for (const lmi_setting *row = lmi_settings; row->name; row++) {
        lmail_str path = {NULL, 0};
        if (row->kind == LMI_KIND_FILE || row->kind == LMI_KIND_DIRECTORY)
            memcpy(&path, base + row->offset, sizeof path);
        if (!path.len || i--)
            continue;
        lmi_origin at = lmi_config_origin(config, row->name);
        *out = (lmail_config_file){lmail_str_from(row->name), path, row->kind == LMI_KIND_DIRECTORY,
                                   at.file, at.line};
        return LMAIL_OK;
    }
    return LMAIL_END;
}
