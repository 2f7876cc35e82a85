/* tables_world.h - routing tables made of texts, with what was said about them, and destinations as
 * text. */
#ifndef TESTS_TABLES_WORLD_H
#define TESTS_TABLES_WORLD_H

#include <libmail/policy_tables.h>

#define TABLES_WORLD_FILES 8

typedef struct tables_world {
    lmail_policy *policy;
    lmail_policy_tables *tables;
    lmail_policy_tables_config config;
    lmail_policy_file aliases;
    struct {
        const char *name, *text; /* what aliases may include */
    } files[TABLES_WORLD_FILES];
    char said[8192]; /* "aliases:3: warning: ...\n" */
    lmail_status status;
} tables_world;

/* Class w: the host correo.midominio.com.mx and the names of `local`, between blanks. The
 * configuration is empty; fill it and call tables_world_load. */
void tables_world_init(tables_world *w, const char *local);
/* Aliases are a file named "aliases". */
void tables_world_aliases(tables_world *w, const char *text);
lmail_policy_file tables_world_file(const char *name, const char *text);
/* w->status, w->said, and with OK w->tables. */
void tables_world_load(tables_world *w);
void tables_world_done(tables_world *w);

/* Routes of an address, each "local juan+x", "smtp u@dom via [a],b", "file /x", "program /x y",
 * "error 550 5.1.1 text", with " from OWNER" behind it; "; " between them. The mailer is shown when
 * it is not esmtp. */
void tables_world_route(const tables_world *w, const char *address, char *out, size_t cap);

/* The same of what the forward file of "user" or "user@domain" says. */
void tables_world_forward(const tables_world *w, const char *user, lmail_str text, char *out,
                          size_t cap);

#endif
