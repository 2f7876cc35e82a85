/* imap_box_script.h - the part of the scripted IMAP host that has messages: fetch, octets, store,
 * search.
 *
 * Questions, and what may be answered (the usual answer is "ok": as the mailbox has it):
 *
 *     fetch 1:3 FLAGS FIELDS(FROM,TO)   ok | take N (at most N rows)    | no CODE text
 *     octets 1 0+4096                   ok | piece N (at most N octets) | none | no CODE text
 *     store 1:3 +1 $Junk                ok | no CODE text           (1: bits of LMAIL_FLAG_*)
 *     search 1:3 and(flag(4) not(...))  ok | 1:2,7 | no CODE text
 *
 * Messages come from settings, UIDs rising:
 *
 *     # config: message.1 101 SF From: a\r\n\r\nbody     flags S A F D T; R recent, - none
 *     # config: message.2 102 - @nested                  the message of RFC 3501 §6.4.5
 *     # config: message.3 103 - @body 100000             a header and so many octets
 *     # config: messages 1:10000                         plain ones
 *
 * Action "gone 101": the message is not there any more, and nobody has said so. Octets are lent as
 * copies that are freed when they are released. */
#ifndef SUPPORT_IMAP_BOX_SCRIPT_H
#define SUPPORT_IMAP_BOX_SCRIPT_H

#include "support/imap_box.h"
#include "support/script.h"

typedef struct imap_box_lent imap_box_lent;

typedef struct imap_box_script {
    imap_box box;
    lmail_uid_list recent;
    imap_box_lent *lent;
} imap_box_script;

/* Kinds of questions, for script_question.kind; the adaptor's own lie elsewhere. */
enum { IMAP_BOX_FETCH = 101, IMAP_BOX_OCTETS, IMAP_BOX_STORE, IMAP_BOX_SEARCH };

/* Reads the settings. */
void imap_box_script_open(script *h, imap_box_script *b);
/* After the session is freed. Aborts when octets were not released. */
void imap_box_script_close(imap_box_script *b);
/* Sets on_octets, on_search and on_released, and where the first message has octets on_fetch and
 * on_store too. The handler's user is the script; `find` gives the box of a script. */
void imap_box_script_handler(script *h, lmail_imap_server_handler *to,
                             imap_box_script *(*find)(script *h));
/* For script_adaptor.answer and .action: 1 when it was theirs. */
int imap_box_script_answer(script *h, imap_box_script *b, const script_question *q,
                           const char *text, lmail_msec now, lmail_status *st);
int imap_box_script_action(imap_box_script *b, const char *words);

#endif
