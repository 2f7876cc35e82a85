/* imap_search.h - how SEARCH is made, for its own files and for those that take search keys too.
 *
 *   imap_cmd_search.c    the command: the question, the numbers found
 *   imap_search_parse.c  search keys: one table of words, one reader for each kind of argument
 *   imap_search_text.c   text of keys in whatever charset, to UTF-8
 *   imap_search_tree.c   making the tree: joining, simplifying, what UIDs it can find at all
 *
 * SORT, THREAD and the search parts of other commands read their criteria with the same functions;
 * an extension's key is a row in the table. */
#ifndef LMI_IMAP_SEARCH_H
#define LMI_IMAP_SEARCH_H

#include "imap/imap_internal.h"

/* Keys in keys: NOT, OR and parentheses. Hosts may walk the tree by recursion. */
#define LMI_SEARCH_MAX_DEPTH 250u
#define LMI_SEARCH_MAX_KEYS 1000u

/* A reader of criteria. Zero it and set args and mbox. */
typedef struct lmi_search_reader {
    lmi_imap_args *args;
    const lmi_imap_mbox *mbox;
    lmail_str charset; /* empty: none was named */
    unsigned depth, keys;
    unsigned has_recent;
    lmail_uid_set recent;
} lmi_search_reader;

/* imap_search_parse.c: one or more keys separated by blanks, to the end of the arguments. OK,
 * ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. The tree stands in the arguments' arena and is simplified.
 * Source: RFC 3501 §6.4.4, §9. */
lmail_status lmi_search_keys(lmi_search_reader *r, lmail_search **out);

/* imap_search_text.c: is the charset known? 1 or 0. */
int lmi_search_charset_known(const lmail_imap_server_config *config, lmail_str charset);
/* A string of the client's to UTF-8. OK, ERR_SYNTAX (it is not text of the charset), ERR_LIMIT,
 * ERR_NOMEM. */
lmail_status lmi_search_text(lmi_search_reader *r, lmail_str in, lmail_str *out);

/* imap_search_tree.c. New nodes; NULL: *st says ERR_LIMIT or ERR_NOMEM. */
lmail_search *lmi_search_node(lmi_search_reader *r, lmail_search_op op, lmail_status *st);
lmail_search *lmi_search_not(lmi_search_reader *r, lmail_search *key, lmail_status *st);
/* Children that are joined in the same way themselves become children here; an AND forgets ALL. */
lmail_search *lmi_search_join(lmi_search_reader *r, lmail_search_op op, lmail_search *first,
                              lmail_status *st);
/* UIDs outside of which nothing can match, if the tree says so at its top: 1 and *out, or 0. */
int lmi_search_bounds(const lmail_search *tree, lmail_uid_set *out);

#endif
