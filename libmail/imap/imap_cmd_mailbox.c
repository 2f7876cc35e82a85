/* imap_cmd_mailbox.c - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS.
 *
 * RFC 3501 §6.3.3 to §6.3.7 and §6.3.10, RFC 6154 §3. One name (or two), one question, one
 * answer. */
#include "imap/imap_internal.h"

static lmail_status answered(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    (void)answer;
    return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
}

static lmail_status cannot(lmi_imap *s, lmail_str text)
{
    return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_CANNOT, text);
}

static int is_inbox(lmail_str name)
{
    return lmail_str_equal(name, LMAIL_STR("INBOX"));
}

/* Every level of a new name has at least one octet. */
static int levels_ok(const lmi_imap *s, lmail_str name)
{
    char sep = lmi_imap_config(s)->separator;
    size_t level = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] != sep)
            level++;
        else if (level)
            level = 0;
        else
            return 0;
    }
    return level > 0;
}

/* ---- CREATE ---------------------------------------------------------------------------------- */

static const struct {
    lmail_str name;
    unsigned attribute;
} uses[] = {
    {{"\\All", 4}, LMAIL_IMAP_ATTR_ALL},       {{"\\Archive", 8}, LMAIL_IMAP_ATTR_ARCHIVE},
    {{"\\Drafts", 7}, LMAIL_IMAP_ATTR_DRAFTS}, {{"\\Flagged", 8}, LMAIL_IMAP_ATTR_FLAGGED},
    {{"\\Junk", 5}, LMAIL_IMAP_ATTR_JUNK},     {{"\\Sent", 5}, LMAIL_IMAP_ATTR_SENT},
    {{"\\Trash", 6}, LMAIL_IMAP_ATTR_TRASH},   {{"\\Important", 10}, LMAIL_IMAP_ATTR_IMPORTANT}};

/* SP "(USE (" [use-attr *(SP use-attr)] "))"; *unknown: a use that we do not know. */
static lmail_status parse_use(lmi_imap_args *a, unsigned *attributes, unsigned *unknown)
{
    lmail_status st = lmi_imap_sp(a);
    if (!st && (!lmi_imap_skip_word(a, LMAIL_STR("(USE ("))))
        st = lmi_imap_expected(a, "(USE (");
    if (!st && lmi_imap_skip(a, ')'))
        return lmi_imap_char(a, ')');
    while (!st) {
        lmail_str name;
        size_t from = a->at;
        if (!lmi_imap_skip(a, '\\'))
            return lmi_imap_expected(a, "a special use");
        st = lmi_imap_atom(a, &name);
        if (st)
            return st;
        name = (lmail_str){a->ptr + from, a->at - from};
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
            if (lmail_str_equal_nocase(uses[i].name, name))
                bit = uses[i].attribute;
        *attributes |= bit;
        *unknown |= !bit;
        if (!lmi_imap_skip(a, ' '))
            break;
    }
    if (!st)
        st = lmi_imap_char(a, ')');
    return st ? st : lmi_imap_char(a, ')');
}

lmail_status lmi_imap_cmd_create(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_imap_create_event ev = {{NULL, 0}, 0, 0};
    unsigned unknown = 0;
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_mailbox(a, &ev.mailbox);
    if (!st && !lmi_imap_at_end(a) && lmi_imap_has(s, LMAIL_IMAP_CREATE_SPECIAL_USE))
        st = parse_use(a, &ev.special_use, &unknown);
    if (!st)
        st = lmi_imap_end(a);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (unknown)
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_USEATTR,
                               LMAIL_STR("That special use is not known"));
    char sep = lmi_imap_config(s)->separator;
    if (sep && ev.mailbox.len > 1 && ev.mailbox.ptr[ev.mailbox.len - 1] == sep) {
        ev.mailbox.len--;
        ev.holder = 1;
    }
    if (is_inbox(ev.mailbox))
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_ALREADYEXISTS,
                               LMAIL_STR("INBOX is always there"));
    if (!levels_ok(s, ev.mailbox))
        return cannot(s, LMAIL_STR("That name cannot be given to a mailbox"));
    return lmi_imap_ask_create(s, &ev, answered);
}

/* ---- DELETE, RENAME, SUBSCRIBE --------------------------------------------------------------- */

static lmail_status one_name(lmi_imap *s, lmail_str *name)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_mailbox(a, name);
    return st ? st : lmi_imap_end(a);
}

lmail_status lmi_imap_cmd_delete(lmi_imap *s)
{
    lmail_imap_delete_event ev;
    lmail_status st = one_name(s, &ev.mailbox);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (is_inbox(ev.mailbox))
        return cannot(s, LMAIL_STR("INBOX cannot be deleted"));
    return lmi_imap_ask_delete(s, &ev, answered);
}

lmail_status lmi_imap_cmd_rename(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_imap_rename_event ev;
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_mailbox(a, &ev.from);
    if (!st)
        st = one_name(s, &ev.to);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (is_inbox(ev.to))
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_ALREADYEXISTS,
                               LMAIL_STR("INBOX is always there"));
    if (!levels_ok(s, ev.to))
        return cannot(s, LMAIL_STR("That name cannot be given to a mailbox"));
    return lmi_imap_ask_rename(s, &ev, answered);
}

static lmail_status subscribe(lmi_imap *s, unsigned on)
{
    lmail_imap_subscribe_event ev = {{NULL, 0}, on};
    lmail_status st = one_name(s, &ev.mailbox);
    if (st)
        return lmi_imap_finish_parse(s, st);
    if (!ev.mailbox.len)
        return cannot(s, LMAIL_STR("A name is missing"));
    return lmi_imap_ask_subscribe(s, &ev, answered);
}

lmail_status lmi_imap_cmd_subscribe(lmi_imap *s)
{
    return subscribe(s, 1);
}

lmail_status lmi_imap_cmd_unsubscribe(lmi_imap *s)
{
    return subscribe(s, 0);
}

/* ---- STATUS ---------------------------------------------------------------------------------- */

/* `enabled`: only for clients that turned one of these on. */
static const struct {
    lmail_str name;
    unsigned item;
    unsigned enabled;
} items[] = {{{"MESSAGES", 8}, LMAIL_IMAP_STATUS_MESSAGES, 0},
             {{"RECENT", 6}, LMAIL_IMAP_STATUS_RECENT, 0},
             {{"UIDNEXT", 7}, LMAIL_IMAP_STATUS_UIDNEXT, 0},
             {{"UIDVALIDITY", 11}, LMAIL_IMAP_STATUS_UIDVALIDITY, 0},
             {{"UNSEEN", 6}, LMAIL_IMAP_STATUS_UNSEEN, 0},
             {{"DELETED", 7}, LMAIL_IMAP_STATUS_DELETED, LMI_ENABLED_REV2},
             {{"SIZE", 4}, LMAIL_IMAP_STATUS_SIZE, LMI_ENABLED_REV2}};

static uint64_t status_value(const lmail_imap_status_answer *a, unsigned item)
{
    switch (item) {
    case LMAIL_IMAP_STATUS_MESSAGES:
        return a->messages;
    case LMAIL_IMAP_STATUS_RECENT:
        return a->recent;
    case LMAIL_IMAP_STATUS_UIDNEXT:
        return a->uidnext;
    case LMAIL_IMAP_STATUS_UIDVALIDITY:
        return a->uidvalidity;
    case LMAIL_IMAP_STATUS_UNSEEN:
        return a->unseen;
    case LMAIL_IMAP_STATUS_DELETED:
        return a->deleted;
    case LMAIL_IMAP_STATUS_SIZE:
        return a->octets;
    default:
        return a->highestmodseq;
    }
}

void lmi_imap_put_status(lmi_imap *s, lmail_str name, unsigned asked,
                         const lmail_imap_status_answer *a)
{
    lmi_imap_put(s, LMAIL_STR("* STATUS "));
    lmi_imap_put_mailbox(s, name);
    lmail_str gap = LMAIL_STR(" (");
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        if (!(asked & items[i].item))
            continue;
        lmi_imap_put(s, gap);
        lmi_imap_put(s, items[i].name);
        lmi_imap_put_char(s, ' ');
        lmi_imap_put_u64(s, status_value(a, items[i].item));
        gap = LMAIL_STR(" ");
    }
    lmi_imap_put_line(s, LMAIL_STR(")"));
}

static lmail_status status_told(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_status_event *ev = s->cmd.data;
    if (!r->no)
        lmi_imap_put_status(s, ev->mailbox, ev->items, answer);
    return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
}

static lmail_status status_item(lmi_imap *s, unsigned *asked)
{
    lmail_str name;
    lmail_status st = lmi_imap_atom(&s->cmd.args, &name);
    if (st)
        return st;
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        if (lmail_str_equal_nocase(items[i].name, name) &&
            (!items[i].enabled || items[i].enabled & s->enabled)) {
            *asked |= items[i].item;
            return LMAIL_OK;
        }
    return lmi_imap_expected(&s->cmd.args, "a status item in front of this");
}

lmail_status lmi_imap_cmd_status(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmail_status st;
    lmail_imap_status_event *ev = lmi_imap_get(s, sizeof *ev, &st);
    if (!st)
        st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_mailbox(a, &ev->mailbox);
    if (!st)
        st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_char(a, '(');
    while (!st) {
        st = status_item(s, &ev->items);
        if (st || !lmi_imap_skip(a, ' '))
            break;
    }
    if (!st)
        st = lmi_imap_char(a, ')');
    if (!st)
        st = lmi_imap_end(a);
    if (st)
        return lmi_imap_finish_parse(s, st);
    s->cmd.data = ev;
    return lmi_imap_ask_status(s, ev, status_told);
}
