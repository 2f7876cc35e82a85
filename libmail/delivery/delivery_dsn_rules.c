/* delivery_dsn_rules.c - who gets a report (RFC 3461 §4.1, §5.2; RFC 5321 §6.1).
 *
 * Pure functions, called by who has the results of an attempt, before a report is composed. */
#include "delivery_dsn_internal.h"

LMI_STRUCT_INIT(lmail_dsn_rules, LMAIL_DSN_RULES_INIT);

const char *lmail_dsn_action_name(lmail_dsn_action action)
{
    switch (action) {
    case LMAIL_DSN_FAILED:
        return "failed";
    case LMAIL_DSN_DELAYED:
        return "delayed";
    case LMAIL_DSN_DELIVERED:
        return "delivered";
    case LMAIL_DSN_RELAYED:
        return "relayed";
    case LMAIL_DSN_EXPANDED:
        return "expanded";
    case LMAIL_DSN_NOTHING:
        break;
    }
    return "?";
}

lmail_dsn_action lmail_dsn_action_of(const lmail_delivery_result *result, unsigned final)
{
    switch (result->state) {
    case LMAIL_DELIVERY_FAILED:
        return LMAIL_DSN_FAILED;
    case LMAIL_DELIVERY_DEFERRED:
        return LMAIL_DSN_DELAYED;
    case LMAIL_DELIVERY_SENT:
        if (final)
            return LMAIL_DSN_DELIVERED;
        /* RFC 3461 §5.2.1: who speaks DSN reports; §5.2.2 (b): of others we do. */
        return result->dsn ? LMAIL_DSN_NOTHING : LMAIL_DSN_RELAYED;
    }
    return LMAIL_DSN_NOTHING;
}

/* RFC 3461 §4.1, §5.2.2 to §5.2.7: what the sender has asked for. */
static int is_asked(lmail_dsn_action action, unsigned notify)
{
    switch (action) {
    case LMAIL_DSN_FAILED:
        return !notify || (notify & LMAIL_SMTP_NOTIFY_FAILURE);
    case LMAIL_DSN_DELAYED:
        return !notify || (notify & LMAIL_SMTP_NOTIFY_DELAY);
    case LMAIL_DSN_DELIVERED:
    case LMAIL_DSN_RELAYED:
    case LMAIL_DSN_EXPANDED:
        return (notify & LMAIL_SMTP_NOTIFY_SUCCESS) != 0;
    case LMAIL_DSN_NOTHING:
        break;
    }
    return 0;
}

unsigned lmail_dsn_due(const lmail_dsn_rules *rules, lmail_dsn_action action, unsigned notify,
                       lmail_str sender, lmail_str recipient)
{
    lmail_dsn_rules r;
    if (lmi_struct_take(&r, sizeof r, rules))
        return 0;
    int never = (notify & LMAIL_SMTP_NOTIFY_NEVER) != 0;
    if (!sender.len) {
        /* RFC 3461 §5.2: no report, but the postmaster should know - once. */
        int about_postmaster = lmail_str_equal_nocase(recipient, r.postmaster) ||
                               lmail_str_equal_nocase(recipient, r.copies_to);
        return action == LMAIL_DSN_FAILED && !never && r.postmaster.len && !about_postmaster
                   ? LMAIL_DSN_TO_POSTMASTER
                   : 0;
    }
    if (never || !is_asked(action, notify))
        return 0;
    if (r.no_receipts && action != LMAIL_DSN_FAILED && action != LMAIL_DSN_DELAYED)
        return 0;
    unsigned due = LMAIL_DSN_TO_SENDER;
    if (action == LMAIL_DSN_FAILED && r.copies_to.len)
        due |= LMAIL_DSN_TO_COPIES;
    return due;
}
