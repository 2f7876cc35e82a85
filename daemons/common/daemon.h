/* What smtpd, imapd and pop3d share: they differ in which listeners they open. */
#ifndef DAEMON_H
#define DAEMON_H

typedef struct daemon_facts {
    const char *name;   /* "smtpd" */
    const char *about;  /* one line for --help */
    unsigned protocols; /* LMAIL_SERVICE_* */
} daemon_facts;

/* The whole life of a daemon; returns its exit code. */
int daemon_main(const daemon_facts *facts, int argc, char **argv);

#endif
