/* store_internal.h - what the files of the store room share.
 *
 * Names (checking, case of INBOX, NFC), the intake of octets (line ends, summary), decoded fields
 * as one blob, and the evaluation of search trees: all of it is the same for every backend. */
#ifndef LMI_STORE_INTERNAL_H
#define LMI_STORE_INTERNAL_H

#include <libmail/host/store.h>
#include <libmail/mime.h>

/* ---- store_name.c */

#define LMI_NAME_MAX 1024u /* octets of a mailbox name in the API */

/* Checks a name and brings it to its one form: NFC, first component INBOX in capitals.
 * OK, ERR_ARG (empty component, control character, no UTF-8), ERR_LIMIT. out has LMI_NAME_MAX. */
lmail_status lmi_name_check(const lmail_env *env, lmail_str in, char *out, size_t *len);
int lmi_name_is_inbox(lmail_str name);
/* Is `name` strictly below `parent`? */
int lmi_name_below(lmail_str name, lmail_str parent);
/* By octets, but '/' below everything, so that children follow their parent; INBOX first. */
int lmi_name_compare(lmail_str a, lmail_str b);
/* May it be a keyword? RFC 9051 §9 flag-keyword is an atom (of which \ is no part). */
int lmi_keyword_valid(lmail_str name);
/* Number of a keyword, without case, or count. */
size_t lmi_keyword_find(lmail_keywords k, lmail_str name);

/* ---- store_intake.c: octets on their way into a message */

typedef struct lmi_intake {
    lmail_mime_parser *parser; /* NULL: no summary */
    unsigned exact, was_cr, broken;
    uint64_t octets;
    lmail_status (*sink)(void *user, const char *octets, size_t n);
    void *user;
} lmi_intake;

/* Gives octets to sink and parser, a bare LF as CRLF unless exact. Whatever the sink says ends it.
 * A parser out of memory only loses the summary. */
lmail_status lmi_intake_write(lmi_intake *in, lmail_str octets);
/* The message is whole: its summary, or NULL. */
const lmail_mime_summary *lmi_intake_end(lmi_intake *in);

/* A further message of a delivery. Grows `list`, which has `count` of `size` octets each, by room
 * for one. NULL, and *why, when none may begin: ERR_SIZE, ERR_STATE (one is being written),
 * ERR_NOMEM; the list is as it was. */
void *lmi_delivery_next(const lmail_delivery_message *args, unsigned writing, void *list,
                        size_t count, size_t size, lmail_status *why);

/* ---- store_fields.c: decoded fields as one blob */

size_t lmi_fields_size(const lmail_mime_summary *s);
void lmi_fields_write(const lmail_mime_summary *s, char *out);

/* ---- store_search.c */

/* Evaluate through the table's own fetch and read: snapshot first, rows for what is left open,
 * octets for what is still open. */
lmail_status lmi_store_search(const lmail_store *store, lmail_store_mailbox *m,
                              const lmail_env *env, const lmail_snapshot *snapshot,
                              const lmail_search *tree, lmail_uid_set recent, lmail_uid_list *out);

/* ---- shared small things */

lmail_str lmi_str(const char *ptr, size_t len);
int64_t lmi_wall_clock(const lmail_env *env, int *zone);
/* FNV-1a, 64 bits: to spread names over a table that nobody outside fills. */
uint64_t lmi_hash(lmail_str in);
/* 128 bits of octets as 32 hexadecimal digits; not for secrets. */
void lmi_digest(lmail_str in, char out[32]);
/* What set_flags makes of old flags. bits: system and keyword bits named by the command. */
lmail_flags lmi_flags_apply(lmail_flags old, lmail_store_mode mode, lmail_flags bits);
/* The UIDs that were copied, in their own mailbox. Free *out, also after an error. */
lmail_status lmi_copy_sources(const lmail_copy_result *copied, lmail_uid_list *out);
/* Walks a set along rising UIDs: 1 when uid is in it. *cursor starts at 0. */
int lmi_set_walk(lmail_uid_set set, size_t *cursor, lmail_uid uid);

/* Would a message of this size be more than an account may hold? 0: it may hold anything. */
int lmi_store_over(const lmail_store_usage *u, uint64_t size, uint64_t octets, uint64_t messages);

#endif
