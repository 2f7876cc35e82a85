/* host_service.h - a configuration from text, and a whole service in a thread of its own, with mail
 * in memory and the accounts alice, bob and carol, password "secret". Every failure is a failed
 * check. */
#ifndef TESTS_HOST_SERVICE_H
#define TESTS_HOST_SERVICE_H

#include <libmail/host/service.h>

#include <pthread.h>

/* The text behind the lines that a test always needs: host name mx.test, domain example.test,
 * directories of its own, passwords in clear, short delays. NULL: it is faulty. */
lmail_config *config_from(const char *text);
/* The folder of this process's tests, made when it is first asked for; removed by remove_folder. */
const char *folder(void);
void remove_folder(void);

typedef struct whole {
    lmail_service *service;
    lmail_store *store;
    lmail_store table; /* what the service is given: the store's own, or with members replaced */
    lmail_accounts *accounts;
    pthread_t thread;
} whole;

/* All protocols, each on a listener of its name ("smtp", "lmtp", "imap", "pop3"), two loops. */
void make_whole(whole *w, const char *text);
void run_whole(whole *w);
void start_whole(whole *w, const char *text); /* make and run */
void stop_whole(whole *w);
int dial_whole(const whole *w, const char *listener); /* and read the greeting */

/* Say a command and read lines until one begins with `end`; it is returned. */
const char *ask(int fd, const char *command, const char *end);

#endif
