/* service_smtp.h - what the two files of the SMTP service share.
 *
 *     service_smtp.c         the protocol's row, transactions, the message's way
 *     service_smtp_rcpt.c    recipients: is this domain ours, and is there such an account */
#ifndef LMI_SERVICE_SMTP_H
#define LMI_SERVICE_SMTP_H

#include "host/service/service_internal.h"
#include "host/service/service_mail.h"

#include <libmail/smtp.h>

typedef struct smtp_peer {
    lmi_peer base;
    lmail_smtp_server *server;
    lmi_mail *mail;    /* the open transaction */
    lmi_mail *dropped; /* ended, and not yet freed */
    char text[64];     /* of a reply that is given at once */
} smtp_peer;

/* Texts are borrowed until the reply is given. */
void lmi_reply_fill(lmail_smtp_reply *reply, unsigned code, const char *enhanced, const char *text);
/* stage: the command that was refused; to: empty, or whom it concerns. */
void lmi_reply_log(const smtp_peer *p, const char *stage, lmail_str to,
                   const lmail_smtp_reply *reply);
void lmi_reply_give(smtp_peer *p, lmail_ticket t, const lmail_smtp_reply *reply);

/* The handler's on_rcpt. */
lmail_status lmi_rcpt_asked(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply);

#endif
