/* service_smtp_facts.h - what the DNS says about a client and its transaction, looked up when a
 * decision needs it. */
#ifndef LMI_SERVICE_SMTP_FACTS_H
#define LMI_SERVICE_SMTP_FACTS_H

#include "host/service/service_internal.h"

#include <libmail/policy.h>

typedef struct smtp_peer smtp_peer;
typedef struct smtp_facts smtp_facts;

/* Beside LMAIL_POLICY_NEED_*: the block lists. */
#define LMI_NEED_LISTS 256u

/* A question of the session that waits; both are called once all it waits for is there. */
typedef struct lmi_waiting {
    lmail_ticket ticket;
    /* Decide again, and answer, or wait again. */
    void (*resume)(smtp_peer *p, lmail_ticket t, const void *event);
    const void *event;
    unsigned connect; /* its answer is an lmail_smtp_connect_answer */
} lmi_waiting;

/* A peer's facts as the policy wants them. Slices live as long as the peer, of TLS as long as the
 * session's facts. */
void lmi_facts_peer(const smtp_peer *p, lmail_policy_peer *out);

/* Look up what is missing.
 *   domain   of the sender or the recipient, for the needs that are about it
 * Returns: OK (known now, decide again), PENDING (w->resume will be called), ERR_NOMEM. */
lmail_status lmi_facts_look_up(smtp_peer *p, unsigned need, lmail_str domain, const lmi_waiting *w);

/* Ask for the name of a client from elsewhere, for trace fields: nobody waits for it. */
void lmi_facts_start_name(smtp_peer *p);
/* A client as trace fields have it: "name [192.0.2.1]", "[192.0.2.1]" while no name is known, a name
 * that does not lead back with "(may be forged)" behind; "local". Returns octets, below cap. */
size_t lmi_facts_write(const smtp_peer *p, char *out, size_t cap);

/* Start asking every block list about the client; nothing when there are none or it was done. */
void lmi_facts_start_lists(smtp_peer *p);
/* The first list, in the order of the configuration, that counts: its number and result. -1: none
 * has it; PENDING in *st: not all have answered (look LMI_NEED_LISTS up). */
int lmi_facts_listed(const smtp_peer *p, lmail_status *st);
/* Did list number i fail for now? */
int lmi_facts_list_failed(const smtp_peer *p, size_t i);

/* The client is another one: nothing is known of it but its name, as somebody we trust says. UNKNOWN:
 * it will be asked for. OK, ERR_BUSY, ERR_NOMEM. */
lmail_status lmi_facts_assume(smtp_peer *p, lmail_policy_name_state state, lmail_str name);

/* Nobody wants that answer any more. */
void lmi_facts_cancel(smtp_peer *p, lmail_ticket t);
/* The connection is over: nothing is asked any more. */
void lmi_facts_closed(smtp_peer *p);
void lmi_facts_free(smtp_peer *p);

#endif
