/* service_smtp_limits.h - limits, throttles and a listener's own rules, as SMTP sessions meet them.
 *
 * Each function is one line in the handler that it is for. */
#ifndef LMI_SERVICE_SMTP_LIMITS_H
#define LMI_SERVICE_SMTP_LIMITS_H

#include "host/service/service_smtp.h"

#include <libmail/policy.h>

/* What a session of this door may do, is offered and must do. */
void lmi_limits_setup(const lmi_door *door, lmail_smtp_server_config *c);

/* The connection begins and ends: it is counted. */
void lmi_limits_began(smtp_peer *p, lmail_msec now);
void lmi_limits_ended(smtp_peer *p);

/* The client's own limits and the pause before the greeting, where the connection is not refused
 * otherwise. Texts of the answer lie in the peer. Returns LMAIL_POLICY_NEED_*, to be looked up
 * before it is asked again; 0: done. */
unsigned lmi_limits_connect(smtp_peer *p, const lmail_policy_peer *peer,
                            lmail_smtp_connect_answer *a);

/* Must this MAIL, or RCPT, be refused? 1: the reply says why, until the next question. */
int lmi_limits_mail(smtp_peer *p, const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply);
/* The same, for who is logged in and sends as somebody else (service_smtp_submit.c). */
int lmi_submit_mail(smtp_peer *p, const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply);
int lmi_limits_rcpt(smtp_peer *p, const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply);
/* A recipient for whom the check of the connection is made now (delay_checks): do the client's own
 * limits refuse? */
int lmi_limits_delayed(smtp_peer *p, lmail_str to, lmail_smtp_reply *reply);

#endif
