/* imap_table.c - the commands: where each may be given and who runs it.
 *
 * RFC 9051 §6 groups them by state, and so does this table. Sorted by group, found by a walk: the
 * longest is a few dozen comparisons of lengths. */
#include "imap/imap_internal.h"

#define ANY                                                                                        \
    (LMAIL_IMAP_STATE_NOT_AUTHENTICATED | LMAIL_IMAP_STATE_AUTHENTICATED |                         \
     LMAIL_IMAP_STATE_SELECTED)
#define BEFORE LMAIL_IMAP_STATE_NOT_AUTHENTICATED
#define AUTH (LMAIL_IMAP_STATE_AUTHENTICATED | LMAIL_IMAP_STATE_SELECTED)
#define ONLY_AUTH LMAIL_IMAP_STATE_AUTHENTICATED
#define OPEN LMAIL_IMAP_STATE_SELECTED
#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const lmi_imap_row rows[] = {
    {NAME("CAPABILITY"), ANY, 0, 0, lmi_imap_cmd_capability, NULL},
    {NAME("NOOP"), ANY, 0, 0, lmi_imap_cmd_noop, NULL},
    {NAME("LOGOUT"), ANY, 0, 0, lmi_imap_cmd_logout, NULL},
    {NAME("ID"), ANY, 0, LMAIL_IMAP_ID, lmi_imap_cmd_id, NULL},

    {NAME("STARTTLS"), BEFORE, 0, LMAIL_IMAP_STARTTLS, lmi_imap_cmd_starttls, NULL},
    {NAME("AUTHENTICATE"), BEFORE, LMI_ROW_SECRET, 0, lmi_imap_cmd_authenticate, NULL},
    {NAME("LOGIN"), BEFORE, LMI_ROW_SECRET, 0, lmi_imap_cmd_login, NULL},

    {NAME("ENABLE"), ONLY_AUTH, 0, LMAIL_IMAP_ENABLE, lmi_imap_cmd_enable, NULL},
    {NAME("SELECT"), AUTH, 0, 0, lmi_imap_cmd_select, NULL},
    {NAME("EXAMINE"), AUTH, 0, 0, lmi_imap_cmd_examine, NULL},
    {NAME("CREATE"), AUTH, 0, 0, lmi_imap_cmd_create, NULL},
    {NAME("DELETE"), AUTH, 0, 0, lmi_imap_cmd_delete, NULL},
    {NAME("RENAME"), AUTH, 0, 0, lmi_imap_cmd_rename, NULL},
    {NAME("SUBSCRIBE"), AUTH, 0, 0, lmi_imap_cmd_subscribe, NULL},
    {NAME("UNSUBSCRIBE"), AUTH, 0, 0, lmi_imap_cmd_unsubscribe, NULL},
    {NAME("LIST"), AUTH, 0, 0, lmi_imap_cmd_list, NULL},
    {NAME("LSUB"), AUTH, 0, 0, lmi_imap_cmd_lsub, NULL},
    {NAME("NAMESPACE"), AUTH, 0, LMAIL_IMAP_NAMESPACE, lmi_imap_cmd_namespace, NULL},
    {NAME("STATUS"), AUTH, 0, 0, lmi_imap_cmd_status, NULL},
    {NAME("APPEND"), AUTH, 0, 0, lmi_imap_cmd_append, lmi_imap_append_literal},
    {NAME("IDLE"), AUTH, 0, LMAIL_IMAP_IDLE, lmi_imap_cmd_idle, NULL},

    {NAME("CHECK"), OPEN, 0, 0, lmi_imap_cmd_check, NULL},
    {NAME("CLOSE"), OPEN, 0, 0, lmi_imap_cmd_close, NULL},
    {NAME("UNSELECT"), OPEN, 0, LMAIL_IMAP_UNSELECT, lmi_imap_cmd_unselect, NULL},
    {NAME("EXPUNGE"), OPEN, LMI_ROW_UID | LMI_ROW_WRITES, 0, lmi_imap_cmd_expunge, NULL},
    {NAME("SEARCH"), OPEN, LMI_ROW_UID | LMI_ROW_QUIET, 0, lmi_imap_cmd_search, NULL},
    {NAME("FETCH"), OPEN, LMI_ROW_UID | LMI_ROW_QUIET, 0, lmi_imap_cmd_fetch, NULL},
    {NAME("STORE"), OPEN, LMI_ROW_UID | LMI_ROW_QUIET | LMI_ROW_WRITES, 0, lmi_imap_cmd_store,
     NULL},
    {NAME("COPY"), OPEN, LMI_ROW_UID, 0, lmi_imap_cmd_copy, NULL},
    {NAME("MOVE"), OPEN, LMI_ROW_UID | LMI_ROW_WRITES, LMAIL_IMAP_MOVE, lmi_imap_cmd_move, NULL},
};

const lmi_imap_row *lmi_imap_row_find(lmail_str name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (lmail_str_equal_nocase(rows[i].name, name))
            return &rows[i];
    return NULL;
}
