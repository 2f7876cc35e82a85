/* service_milter_gate.h - what an SMTP session calls where its listener has mail filters. */
#ifndef LMI_SERVICE_MILTER_GATE_H
#define LMI_SERVICE_MILTER_GATE_H

#include "host/service/service_smtp.h"

/* The handler's callbacks, in place of those without filters. */
lmail_status lmi_gate_connect(lmail_smtp_server *s, void *user, lmail_ticket t,
                              const lmail_smtp_connect_event *ev, lmail_smtp_connect_answer *a);
lmail_status lmi_gate_helo(lmail_smtp_server *s, void *user, lmail_ticket t,
                           const lmail_smtp_helo_event *ev, lmail_smtp_reply *reply);
lmail_status lmi_gate_unknown(lmail_smtp_server *s, void *user, lmail_ticket t,
                              const lmail_smtp_argument_event *ev, lmail_smtp_reply *reply);
lmail_status lmi_gate_mail(lmail_smtp_server *s, void *user, lmail_ticket t,
                           const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply);
lmail_status lmi_gate_rcpt(lmail_smtp_server *s, void *user, lmail_ticket t,
                           const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply);
lmail_status lmi_gate_body_start(lmail_smtp_server *s, void *user, lmail_ticket t,
                                 const lmail_smtp_body_start_event *ev, lmail_smtp_reply *reply);

/* Every late reply and answer goes past here first: 1, the filters have it now. */
int lmi_gate_take(smtp_peer *p, lmail_ticket t, const lmail_smtp_reply *reply);
int lmi_gate_take_connect(smtp_peer *p, lmail_ticket t, const lmail_smtp_connect_answer *a);
/* The message is whole. 0: they have nothing to do with it; 1: *st is what on_body_end returns. */
int lmi_gate_body_end(smtp_peer *p, lmail_ticket t, const lmail_smtp_body_end_event *ev,
                      lmail_smtp_reply *reply, lmail_status *st);

void lmi_gate_abandon(smtp_peer *p);
void lmi_gate_cancel(smtp_peer *p, lmail_ticket t);
/* The connection is over. */
void lmi_gate_closed(smtp_peer *p);

#endif
