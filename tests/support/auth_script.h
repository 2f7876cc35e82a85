/* auth_script.h - what the scripted hosts of all protocols say when a client authenticates.
 *
 * Settings: mechs, mechs_tls (SASL mechanisms without and with TLS). Questions and answers:
 *   login USER PASSWORD     ok NAME | fail REASON [text]     (password "secret" is right)
 *   auth MECH STEP RESPONSE continue OCTETS | ok NAME [OCTETS] | fail REASON [text]
 *                           RESPONSE is "-" when there was none (step 0 without: continue)
 * Note: auth end HOW. */
#ifndef SUPPORT_AUTH_SCRIPT_H
#define SUPPORT_AUTH_SCRIPT_H

#include "support/script.h"

#include <libmail/sasl.h>

/* "word rest": is the first word this one? *rest is what follows. */
int script_says(const char *answer, const char *word, const char **rest);

/* Are there mechanisms, with TLS or without? */
int auth_script_offered(script *h);
lmail_str auth_script_mechanisms(script *h, int tls);

void auth_script_read(script *h, const char *answer, lmail_auth_answer *a);
/* Ask the script, read what it says: what the callback returns. */
lmail_status auth_script_step(script *h, lmail_ticket t, unsigned kind, const lmail_auth_event *ev,
                              lmail_auth_answer *out);
lmail_status auth_script_login(script *h, lmail_ticket t, unsigned kind, lmail_str user,
                               lmail_str password, lmail_auth_answer *out);
void auth_script_end(script *h, lmail_auth_end how);

#endif
