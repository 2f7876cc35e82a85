/* imap_cmd_store.c - STORE and UID STORE.
 *
 * RFC 3501 §6.4.6. The host changes the flags; what they are then is asked and told in slices, as
 * every other change of flags (imap_update.c). */
#include "imap/imap_internal.h"

typedef struct store_data {
    lmail_imap_store_event ev;
    unsigned silent;
} store_data;

static lmail_status tell(lmi_imap *s)
{
    const store_data *d = s->cmd.data;
    lmail_status st = lmi_imap_tell_flags(s, d->ev.uids);
    return st == LMAIL_END ? lmi_imap_finish_ok(s) : st;
}

static lmail_status stored(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_store_answer *a = answer;
    const store_data *d = s->cmd.data;
    if (r->no)
        return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
    if (a->missing.count)
        s->cmd.told_gone = 1;
    /* A row of flags may name a keyword that the client does not know yet. */
    if (s->mbox.keywords_changed) {
        s->mbox.keywords_changed = 0;
        lmi_imap_put_flag_tables(s);
    }
    if (d->silent)
        return lmi_imap_finish_ok(s);
    s->told = 0;
    s->step = tell;
    return LMAIL_OK;
}

/* "FLAGS", "+FLAGS", "-FLAGS", each with ".SILENT" or not. */
static lmail_status parse_mode(lmi_imap_args *a, store_data *d)
{
    d->ev.mode = LMAIL_IMAP_STORE_REPLACE;
    if (lmi_imap_skip(a, '+'))
        d->ev.mode = LMAIL_IMAP_STORE_ADD;
    else if (lmi_imap_skip(a, '-'))
        d->ev.mode = LMAIL_IMAP_STORE_REMOVE;
    if (lmi_imap_skip_word(a, LMAIL_STR("FLAGS.SILENT")))
        d->silent = 1;
    else if (!lmi_imap_skip_word(a, LMAIL_STR("FLAGS")))
        return lmi_imap_expected(a, "FLAGS, +FLAGS or -FLAGS");
    return LMAIL_OK;
}

/* Flags that cannot be kept are passed over (RFC 3501 §7.1: PERMANENTFLAGS). */
static void choose(lmi_imap *s, store_data *d, const lmi_imap_flags *f)
{
    size_t unknown = 0;
    lmail_flags flags = f->system;
    for (size_t i = 0; i < f->count; i++) {
        int k = lmi_imap_mbox_keyword(&s->mbox, f->names[i]);
        if (k >= 0)
            flags |= (lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + (unsigned)k);
        else if (s->mbox.new_keywords && d->ev.mode != LMAIL_IMAP_STORE_REMOVE)
            f->names[unknown++] = f->names[i];
    }
    d->ev.flags = flags & s->mbox.permanent;
    d->ev.keywords = (lmail_keywords){f->names, unknown};
}

lmail_status lmi_imap_cmd_store(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmi_imap_set set;
    lmi_imap_flags flags;
    lmail_status st;
    store_data *d = lmi_imap_get(s, sizeof *d, &st);
    if (!st)
        st = lmi_imap_set_between(a, &set);
    if (!st)
        st = parse_mode(a, d);
    if (!st)
        st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_flag_list(a, 1, &flags);
    if (!st)
        st = lmi_imap_end(a);
    if (!st)
        st = lmi_imap_set_resolve(s, &set, (int)s->cmd.uid, &d->ev.uids);
    if (st)
        return lmi_imap_finish_parse(s, st);
    s->cmd.data = d;
    d->ev.mailbox = s->mbox.handle;
    choose(s, d, &flags);
    int nothing = d->ev.mode != LMAIL_IMAP_STORE_REPLACE && !d->ev.flags && !d->ev.keywords.count;
    if (!d->ev.uids.count)
        return lmi_imap_finish_ok(s);
    if (nothing) {
        lmail_imap_store_answer unchanged = LMAIL_IMAP_STORE_ANSWER_INIT;
        return stored(s, &unchanged, &unchanged.result);
    }
    return lmi_imap_ask_store(s, &d->ev, stored);
}
