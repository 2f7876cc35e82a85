/* imap_answers.h - the scripted IMAP host's mailboxes, and its answers read out of texts.
 *
 * For tests/support/script_imap.c alone, which says what the texts look like. */
#ifndef SUPPORT_IMAP_ANSWERS_H
#define SUPPORT_IMAP_ANSWERS_H

#include "support/imap_box_script.h"

#include <libmail/imap.h>

typedef struct imap_message {
    lmail_uid uid;
    lmail_flags flags;
} imap_message;

typedef struct imap_host {
    imap_box_script box;
    lmail_imap_server_setup *setup;
    lmail_imap_server *session;
    imap_message *messages;
    size_t count;
    lmail_imap_list_row *rows;
    size_t row_count;
    lmail_uid_list recent, all, sets[4];
    size_t sets_used;
    lmail_str keywords[LMAIL_MAX_KEYWORDS];
    size_t keyword_count;
    lmail_imap_change changes[8];
    lmail_imap_fetch_row fetched[512];
} imap_host;

imap_host *imap_host_of(script *h);

/* From the settings, when the session is opened. */
void imap_load_messages(script *h);
void imap_load_rows(script *h);

/* What stands behind " | ", or in an action. */
void imap_read_change(script *h, const char *text, lmail_imap_change *c);

/* An answer out of its text. The answer is zeroed but for its size; what it points to stands until
 * the next one is read. */
void imap_read_namespace(script *h, const char *text, lmail_imap_namespace_answer *a);
void imap_read_list(script *h, const char *text, const lmail_imap_list_event *ev,
                    lmail_imap_list_answer *a);
void imap_read_status(script *h, const char *text, lmail_imap_status_answer *a);
void imap_read_plain(script *h, const char *text, lmail_imap_answer *a);
void imap_read_select(script *h, const char *text, lmail_imap_select_answer *a);
void imap_read_fetch(script *h, const char *text, const lmail_imap_fetch_event *ev,
                     lmail_imap_fetch_answer *a);
void imap_read_store(script *h, const char *text, const lmail_imap_store_event *ev,
                     lmail_imap_store_answer *a);
void imap_read_copy(script *h, const char *text, const lmail_imap_copy_event *ev,
                    lmail_imap_copy_answer *a);
void imap_read_expunge(script *h, const char *text, const lmail_imap_expunge_event *ev,
                       lmail_imap_expunge_answer *a);
void imap_read_append(script *h, const char *text, lmail_imap_append_answer *a);

#endif
