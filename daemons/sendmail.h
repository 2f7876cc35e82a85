/* sendmail.h - what the files of sendmail share.
 *
 *     sendmail.c            main: the modes, the configuration
 *     sendmail_options.c    the command line
 *     sendmail_rights.c     the group that it is set to, for the moments that need it
 *     sendmail_message.c    the standard input becomes a drop
 *     sendmail_header.c     its header: recipients of -t, what is missing, what goes
 *     sendmail_address.c    addresses as the envelope has them
 *     sendmail_smtp.c       -bs
 *     sendmail_queue.c      mailq, -q, -bv, newaliases: what smtpd is asked for */
#ifndef SENDMAIL_H
#define SENDMAIL_H

#include <libmail/config.h>
#include <libmail/host/drop.h>
#include <stddef.h>
#include <sysexits.h>

#define SENDMAIL_CONFIG "/etc/libmail/libmail.conf"

/* "sendmail: ..." on the standard error, with a line end. */
void sendmail_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- The command line ------------------------------------------------------------------------ */

typedef enum sendmail_mode {
    SENDMAIL_MAIL = 'm',
    SENDMAIL_SMTP = 's',
    SENDMAIL_QUEUE = 'p',
    SENDMAIL_COUNT = 'P',
    SENDMAIL_ALIASES = 'i',
    SENDMAIL_VERIFY = 'v',
    SENDMAIL_RUN = 'q',
    SENDMAIL_DAEMON = 'd',
    SENDMAIL_TEST = 't',
    SENDMAIL_HOSTS = 'h'
} sendmail_mode;

typedef struct sendmail_options {
    sendmail_mode mode;
    const char *config; /* -C; NULL: the standard one */
    const char *sender; /* -f; NULL: who runs us */
    const char *name;   /* -F */
    int from_header;    /* -t */
    int dots;           /* -i: a lone dot is a line like any other */
    int verbose;
    unsigned notify, ret, body;
    const char *envid;
    int filtered; /* -q had a filter: one of these, or the age alone */
    const char *queue_sender, *queue_recipient, *queue_id;
    char **arguments; /* the rest */
    int argument_count;
} sendmail_options;

/* Returns EX_OK, or EX_USAGE and it has been said. */
int sendmail_options_read(sendmail_options *o, int argc, char **argv);

/* ---- Rights ---------------------------------------------------------------------------------- */

/* First of all: descriptors, environment; the group is put down. EX_OK, or it has been said. */
int sendmail_rights_begin(void);
void sendmail_rights_drop(void);  /* for good: the user names his own files */
void sendmail_rights_take(void);  /* the group is there */
void sendmail_rights_leave(void); /* and is not */
/* A drop is begun, named or removed with the group; while it is open, a signal that ends us removes it. */
lmail_status sendmail_drop_begin(lmail_drop **out, const char *directory,
                                 const lmail_drop_message *message);
lmail_status sendmail_drop_end(lmail_drop *d);
void sendmail_drop_cancel(lmail_drop *d); /* NULL is allowed */

/* ---- Who and where --------------------------------------------------------------------------- */

typedef struct sendmail_call {
    sendmail_options options;
    lmail_config *config;
    const char *path; /* of the configuration; NULL: there is no file */
    const lmail_settings *settings;
    char directory[512]; /* of drops; empty: there is none */
    char host[256];      /* ours, for addresses without a domain */
    char user[256];      /* who runs us */
    char full_name[256];
    char sender[512]; /* of the envelope */
    int sender_given;
} sendmail_call;

/* ---- Addresses ------------------------------------------------------------------------------- */

typedef struct sendmail_list {
    lmail_str *items;
    size_t count, room;
} sendmail_list;

/* The addresses of a header's value or an argument, names and comments gone. NULL, or the first that is
 * none, as text in bad. */
int sendmail_list_add(sendmail_list *l, lmail_str value, char *bad, size_t cap);
void sendmail_list_free(sendmail_list *l);
/* An address for the envelope: "" for <>; one without a domain gets host (NULL: stays). 0, or -1. */
int sendmail_address(const char *text, const char *host, char *out, size_t cap);

/* ---- A message ------------------------------------------------------------------------------- */

/* A header on its way: whole fields with CRLF. */
typedef struct sendmail_header {
    char *octets;
    size_t len, room;
    int is_header; /* 0: the message has none, and begins with this line */
    int has_from, has_to, resent, has_resent_from;
} sendmail_header;

/* Take a line without its end. 1: it belongs to the header; 0: it is the first behind it (empty: it ends
 * the header and is no part of the text); -1: too long. */
int sendmail_header_take(sendmail_header *h, lmail_str line, size_t most);
/* Look through it when it is whole; recipients of -t to `to`, which may be NULL. EX_OK, or it has been said. */
int sendmail_header_read(sendmail_header *h, sendmail_list *to);
/* Write it: without Bcc, with From where it lacks one, and the empty line. */
lmail_status sendmail_header_write(const sendmail_header *h, const sendmail_call *c, lmail_drop *d);
void sendmail_header_free(sendmail_header *h);

/* What went wrong with a drop, said; the exit code. */
int sendmail_drop_failed(lmail_status st, const char *directory);

/* The modes. Each returns an exit code. */
int sendmail_message(sendmail_call *c);
int sendmail_smtp(sendmail_call *c);
int sendmail_queue(sendmail_call *c);

#endif
