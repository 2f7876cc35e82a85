/* mc_world.h - a libmail.conf with the sendmail.mc that it names, made of texts, and what was said of
 * them. */
#ifndef TESTS_MC_WORLD_H
#define TESTS_MC_WORLD_H

#include <libmail/config.h>

#define MC_WORLD_MAIN "sendmail_mc = x.mc\n"

typedef struct mc_world {
    const char *main;    /* libmail.conf */
    const char *mc;      /* x.mc */
    const char *more[8]; /* name, text, name, text */
    unsigned full;       /* every absolute path is an empty file */
    char said[16384];
    char shown[32768];
    size_t shown_len;
} mc_world;

lmail_status mc_world_open(void *ctx, lmail_str name, lmail_str *octets);
/* "x.mc:3: W: text\n" to `said`; letters N, W, E. */
void mc_world_note(void *ctx, const lmail_diagnostic *d);
lmail_status mc_world_load(mc_world *w, lmail_config **out);
/* Gathers `config show`. */
void mc_world_show(mc_world *w, const lmail_config *c);
/* Of that, the line that begins with key, without its comment; "" when there is none. */
const char *mc_world_shown(const mc_world *w, const char *key);

#endif
