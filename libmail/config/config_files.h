/* config_files.h - the files that settings name, for the policy and for the tables. */
#ifndef LMI_CONFIG_FILES_H
#define LMI_CONFIG_FILES_H

#include "config/config_internal.h"

/* Octets that `open` lent, to be given back when all who read them have their copies. */
typedef struct lmi_lent {
    struct lmi_lent *next;
    lmail_str octets;
} lmi_lent;

typedef struct lmi_making {
    lmi_reader *r;
    lmi_lent *files;
} lmi_making;

/* Is it worth a word when a file that may be missing is? */
typedef enum lmi_missing { LMI_MISSING_TOLD, LMI_MISSING_SILENT } lmi_missing;

/* An empty name: there is none, or it was complained of. */
lmail_policy_file lmi_files_take(lmi_making *m, lmail_str name, lmi_missing missing, lmi_origin at);
lmail_policy_file lmi_files_named(lmi_making *m, const char *setting, lmail_str name);
void lmi_files_give_back(lmi_making *m);

/* Names one by one; they may be of several lists and files. */
typedef struct lmi_names {
    lmail_str *items;
    size_t count, cap;
} lmi_names;

void lmi_names_add(lmi_making *m, lmi_names *n, lmail_str name);
void lmi_names_add_list(lmi_making *m, lmi_names *n, const lmail_str_list *list);
/* A class's files: the first is handed on, for its lines; the words of the others are added. first
 * NULL: all are added, and what is odd in them is told by another class that has them too. */
void lmi_names_add_files(lmi_making *m, lmi_names *n, const char *setting,
                         const lmail_str_list *files, lmail_policy_file *first);

/* Complaints of the policy and of the tables; ctx is the lmi_reader. Those about a setting, not
 * about a line of a file, get the setting's place. */
lmail_diagnostic_fn lmi_files_diagnose;

/* When the policy is made. */
void lmi_config_make_tables(lmi_making *m);

#endif
