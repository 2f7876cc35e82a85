/* mc_world.c - what mc_world.h describes. */
#include "mc_world.h"

#include <stdio.h>
#include <string.h>

lmail_status mc_world_open(void *ctx, lmail_str name, lmail_str *octets)
{
    const mc_world *w = ctx;
    const char *text = NULL;
    if (lmail_str_equal(name, LMAIL_STR("main")))
        text = w->main;
    else if (lmail_str_equal(name, LMAIL_STR("x.mc")))
        text = w->mc;
    for (size_t i = 0; i < 8 && w->more[i]; i += 2)
        if (lmail_str_equal(name, lmail_str_from(w->more[i])))
            text = w->more[i + 1];
    int unread = lmail_str_equal(name, LMAIL_STR("/etc/mail/local-host-names")) &&
                 !strstr(w->mc, "use_cw_file");
    if (!text && w->full && name.ptr[0] == '/' && !unread)
        text = "";
    if (!text)
        return LMAIL_ERR_NOTFOUND;
    *octets = lmail_str_from(text);
    return LMAIL_OK;
}

void mc_world_note(void *ctx, const lmail_diagnostic *d)
{
    static const char letters[] = "NWE";
    mc_world *w = ctx;
    size_t n = strlen(w->said);
    snprintf(w->said + n, sizeof w->said - n, "%.*s:%zu: %c: %.*s\n", (int)d->file.len, d->file.ptr,
             d->line, letters[d->severity], (int)d->text.len, d->text.ptr);
}

static lmail_status gather(void *ctx, lmail_str piece)
{
    mc_world *w = ctx;
    if (piece.len >= sizeof w->shown - w->shown_len - 1)
        return LMAIL_ERR_LIMIT;
    memcpy(w->shown + w->shown_len, piece.ptr, piece.len);
    w->shown_len += piece.len;
    w->shown[w->shown_len] = '\0';
    return LMAIL_OK;
}

lmail_status mc_world_load(mc_world *w, lmail_config **out)
{
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    w->said[0] = '\0';
    io.ctx = w;
    io.open = mc_world_open;
    io.diagnostic = mc_world_note;
    return lmail_config_load(out, LMAIL_STR("main"), &io, NULL);
}

void mc_world_show(mc_world *w, const lmail_config *c)
{
    w->shown[0] = '\0';
    w->shown_len = 0;
    lmail_config_show(c, gather, w);
}

const char *mc_world_shown(const mc_world *w, const char *key)
{
    static char line[1024];
    size_t n = strlen(key);
    for (const char *p = w->shown; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        p += strspn(p, " ");
        if (strncmp(p, key, n) != 0 || strncmp(p + n, " = ", 3) != 0)
            continue;
        snprintf(line, sizeof line, "%s", p + n + 3);
        line[strcspn(line, "\n")] = '\0';
        char *comment = strstr(line, " #");
        while (comment && comment > line && comment[-1] == ' ')
            comment--;
        if (comment)
            *comment = '\0';
        return line;
    }
    return "";
}
