/* What the files of mailctl share: the table of commands and what a command is given.
 *
 * A group of commands is one file, mailctl_GROUP.c, with a table that ends in a row of NULLs;
 * mailctl.c lists the tables and finds GROUP VERB in them. */
#ifndef MAILCTL_H
#define MAILCTL_H

#include <libmail/config.h>
#include <stddef.h>

/* Exit codes. */
enum { MAILCTL_DONE = 0, MAILCTL_REFUSED = 1, MAILCTL_USAGE = 64 };

#define MAILCTL_CONFIG "/etc/libmail/libmail.conf"

typedef struct mailctl_command mailctl_command;

typedef struct mailctl_call {
    const mailctl_command *command;
    const char *config; /* libmail.conf */
    int config_given;   /* by --config: then it must exist */
    int argc;           /* as for main: argv[0] is the verb, options and arguments follow */
    char **argv;
} mailctl_call;

struct mailctl_command {
    const char *group, *verb; /* verb NULL: the group is the whole command */
    const char *arguments;    /* for the usage line */
    const char *about;
    int (*run)(const mailctl_call *call); /* the exit code */
};

/* The groups. */
extern const mailctl_command mailctl_user_commands[];
extern const mailctl_command mailctl_import_commands[];
extern const mailctl_command mailctl_config_commands[];
extern const mailctl_command mailctl_policy_commands[];
extern const mailctl_command mailctl_service_commands[];
extern const mailctl_command mailctl_queue_commands[];
extern const mailctl_command mailctl_stats_commands[];

/* "mailctl: ..." on the standard error, with a line end. */
void mailctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something about a file of the administrator's: "FILE:LINE: error: TEXT", as all of them say it. */
void mailctl_complain(lmail_severity severity, lmail_str file, unsigned long line, lmail_str text);
/* The usage line of a command on the standard error; returns MAILCTL_USAGE. */
int mailctl_bad_usage(const mailctl_call *call);
/* The help of a command on the standard output; returns MAILCTL_DONE. */
int mailctl_help(const mailctl_call *call);

/* mailctl_password.c. Fills out (cap octets) and *len. Returns an exit code; a refusal
 * has been said.
 *   from_pipe   one line from the standard input, no questions; otherwise asked on the terminal
 *   twice       on the terminal, and both must be the same */
int mailctl_read_password(const char *user, int from_pipe, int twice, char *out, size_t cap,
                          size_t *len);

/* mailctl_queue.c. Does a restrict_ flag of smtp.privacy leave this user free? Root and the owner of the
 * queue are, whatever it says. */
int mailctl_is_free(const lmail_settings *v, unsigned flag);

/* mailctl_settings.c. libmail.conf, every error said on the standard error; NULL: it has some. */
lmail_config *mailctl_load_config(const mailctl_call *call);
/* strict: a warning is an error. quiet: the least that is said, or nothing. */
enum { MAILCTL_NOTICES, MAILCTL_WARNINGS, MAILCTL_ERRORS, MAILCTL_NOTHING };
lmail_config *mailctl_load_config_as(const mailctl_call *call, int strict, int quiet);
/* The account file of libmail.conf, or its default; to be freed. NULL: said. */
char *mailctl_account_file(const mailctl_call *call);
/* Run as root, a file that was just made becomes that of the configured user, who must read it.
 * Returns an exit code; a refusal has been said. */
int mailctl_give_to_user(const mailctl_call *call, const char *path);

#endif
