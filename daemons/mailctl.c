/* mailctl: the administrator's hand. Finds GROUP VERB in the tables of its groups and runs it.
 *
 * Exit codes: 0 done, 1 refused, 64 usage; those of init scripts from the verbs of services. See
 * mailctl(8). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libmail/base.h>

#include "common/diagnostic.h"
#include "mailctl.h"

static const mailctl_command *const groups[] = {
    mailctl_user_commands,   mailctl_import_commands,  mailctl_config_commands,
    mailctl_policy_commands, mailctl_service_commands, mailctl_queue_commands,
    mailctl_stats_commands,
};

void mailctl_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("mailctl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static void print_usage(FILE *to, const mailctl_command *c)
{
    fprintf(to, "usage: mailctl [-c FILE] %s%s%s%s%s\n", c->group, c->verb ? " " : "",
            c->verb ? c->verb : "", *c->arguments ? " " : "", c->arguments);
}

void mailctl_complain(lmail_severity severity, lmail_str file, unsigned long line, lmail_str text)
{
    const lmail_diagnostic d = {severity, file, line, text};
    print_diagnostic(NULL, &d);
}

int mailctl_bad_usage(const mailctl_call *call)
{
    print_usage(stderr, call->command);
    return MAILCTL_USAGE;
}

int mailctl_help(const mailctl_call *call)
{
    print_usage(stdout, call->command);
    printf("%s\n", call->command->about);
    return MAILCTL_DONE;
}

static int print_help(FILE *to, int code)
{
    fputs("usage: mailctl [-c FILE] GROUP VERB [ARGUMENT ...]\n"
          "       mailctl [-c FILE] VERB SERVICE\n"
          "       mailctl --help | --version\n"
          "       mailctl GROUP VERB --help\n\n",
          to);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        for (const mailctl_command *c = groups[i]; c->group; c++) {
            fprintf(to, c->verb ? "  %-6s %-9s %s\n" : "  %-12s %.0s    %s\n", c->group,
                    c->verb ? c->verb : "", c->about);
        }
    }
    return code;
}

static int run(const mailctl_call *base, int argc, char **argv)
{
    int group_known = 0;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        for (const mailctl_command *c = groups[i]; c->group; c++) {
            if (strcmp(c->group, argv[0]) != 0) {
                continue;
            }
            group_known = 1;
            if (!c->verb || (argc > 1 && strcmp(c->verb, argv[1]) == 0)) {
                mailctl_call call = *base;
                int words = c->verb ? 1 : 0; /* before the verb */
                call.command = c;
                call.argc = argc - words;
                call.argv = argv + words;
                return call.argc > 1 && strcmp(call.argv[1], "--help") == 0 ? mailctl_help(&call)
                                                                            : c->run(&call);
            }
        }
    }
    if (!group_known) {
        mailctl_say("there is no group %s", argv[0]);
    } else if (argc < 2) {
        mailctl_say("%s: which verb?", argv[0]);
    } else {
        mailctl_say("%s: there is no verb %s", argv[0], argv[1]);
    }
    return print_help(stderr, MAILCTL_USAGE);
}

int main(int argc, char **argv)
{
    mailctl_call call = {NULL, MAILCTL_CONFIG, 0, 0, NULL};
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            return print_help(stdout, MAILCTL_DONE);
        }
        if (strcmp(argv[at], "--version") == 0) {
            printf("mailctl %s\n", lmail_version());
            return MAILCTL_DONE;
        }
        if ((strcmp(argv[at], "--config") != 0 && strcmp(argv[at], "-c") != 0) || at + 1 == argc) {
            mailctl_say("%s: no such option, or it lacks its argument", argv[at]);
            return print_help(stderr, MAILCTL_USAGE);
        }
        call.config = argv[++at];
        call.config_given = 1;
    }
    if (at == argc) {
        return print_help(stderr, MAILCTL_USAGE);
    }
    return run(&call, argc - at, argv + at);
}
