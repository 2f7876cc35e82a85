/* imap_update.c - what the client is told without asking: EXPUNGE, EXISTS, RECENT, flags.
 *
 * RFC 9051 §5.2, §7.4.1, §7.5.1, RFC 3501 §7.4.1. News waits in the sets of lmi_imap_mbox until a
 * command ends (or the client idles); then it is written in slices, so that a million lines need no
 * more memory than the output mark. Flags are asked of the host only now: ten changes to one
 * message are one line. The view changes here and nowhere else. */
#include "imap/imap_internal.h"

#define LINES 256u /* of one slice */

/* ---- EXPUNGE --------------------------------------------------------------------------------- */

/* One slice of lines for what vanished; the view follows when all are written. */
static lmail_status tell_vanished(lmi_imap *s)
{
    lmi_imap_mbox *m = &s->mbox;
    if (!m->telling.count) {
        lmail_uid_list swap = m->telling;
        m->telling = m->vanished;
        m->vanished = swap;
        m->telling_at = 0;
        m->telling_next = 0;
        m->telling_done = 0;
    }
    for (unsigned n = 0; n < LINES && m->telling_at < m->telling.count; n++) {
        lmail_uid_range r = m->telling.ranges[m->telling_at];
        lmail_uid uid = m->telling_next ? m->telling_next : r.first;
        /* Each line moves the numbers behind it (RFC 9051 §7.5.1). */
        lmi_imap_put(s, LMAIL_STR("* "));
        lmi_imap_put_u64(s, lmi_imap_view_seq(&m->view, uid) - m->telling_done++);
        lmi_imap_put_line(s, LMAIL_STR(" EXPUNGE"));
        m->telling_next = uid == r.last ? 0 : uid + 1;
        m->telling_at += uid == r.last;
    }
    if (m->telling_at < m->telling.count)
        return LMAIL_OK;
    lmail_uid_set gone = lmail_uid_list_set(&m->telling);
    lmail_status st = lmi_imap_view_remove(&m->view, gone);
    if (!st)
        st = lmi_set_remove(&m->recent, gone);
    lmail_uid_list_free(&m->telling);
    if (st == LMAIL_ERR_LIMIT)
        return lmi_imap_bye(s, LMAIL_STR("[LIMIT] Too many holes in the mailbox"));
    return st;
}

/* ---- EXISTS ---------------------------------------------------------------------------------- */

static lmail_status tell_fresh(lmi_imap *s)
{
    lmi_imap_mbox *m = &s->mbox;
    for (size_t i = 0; i < m->fresh.count; i++) {
        lmail_status st =
            lmi_imap_view_add(&m->view, m->fresh.ranges[i].first, m->fresh.ranges[i].last);
        if (st == LMAIL_ERR_NOMEM)
            return st;
        if (st)
            break; /* over the view's memory: these stay unseen until the next SELECT */
    }
    lmail_uid_list_free(&m->fresh);
    lmi_imap_put(s, LMAIL_STR("* "));
    lmi_imap_put_u64(s, m->view.total);
    lmi_imap_put_line(s, LMAIL_STR(" EXISTS"));
    if (!(s->enabled & LMI_ENABLED_REV2)) {
        lmi_imap_put(s, LMAIL_STR("* "));
        lmi_imap_put_u64(s, lmi_imap_mbox_recent(m));
        lmi_imap_put_line(s, LMAIL_STR(" RECENT"));
    }
    return LMAIL_OK;
}

/* ---- Flags ----------------------------------------------------------------------------------- */

void lmi_imap_put_flag_tables(lmi_imap *s)
{
    const lmi_imap_mbox *m = &s->mbox;
    lmail_flags keywords = 0;
    for (size_t i = 0; i < m->keyword_count; i++)
        keywords |= (lmail_flags)1 << (LMAIL_FLAG_KEYWORD_SHIFT + i);
    lmi_imap_put(s, LMAIL_STR("* FLAGS "));
    lmi_imap_put_flags(s, LMAIL_FLAGS_SYSTEM | keywords);
    lmi_imap_put(s, LMAIL_STR("\r\n* OK [PERMANENTFLAGS "));
    lmail_flags permanent = m->permanent & (LMAIL_FLAGS_SYSTEM | keywords);
    if (m->read_only) {
        lmi_imap_put(s, LMAIL_STR("()] No permanent flags permitted\r\n"));
        return;
    }
    lmi_imap_put_flag_list(s, permanent, m->new_keywords);
    lmi_imap_put(s, LMAIL_STR("] Flags permitted\r\n"));
}

static lmail_status flags_told(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_fetch_answer *a = answer;
    if (r->no) {
        s->told = UINT32_MAX; /* the flags cannot be read; the command itself is not spoilt by it */
        return LMAIL_OK;
    }
    lmail_uid last = 0;
    for (size_t i = 0; i < a->count; i++) {
        const lmail_imap_fetch_row *row = &a->rows[i];
        uint32_t seq = lmi_imap_view_seq(&s->mbox.view, row->uid);
        if (!seq || row->uid <= last)
            continue;
        last = row->uid;
        lmail_flags flags = row->flags & ~LMAIL_FLAG_RECENT;
        if (!(s->enabled & LMI_ENABLED_REV2) &&
            lmail_uid_set_has(lmail_uid_list_set(&s->mbox.recent), row->uid))
            flags |= LMAIL_FLAG_RECENT;
        lmi_imap_put(s, LMAIL_STR("* "));
        lmi_imap_put_u64(s, seq);
        lmi_imap_put(s, LMAIL_STR(" FETCH ("));
        if (s->cmd.uid || s->enabled & LMI_ENABLED_REV2) {
            lmi_imap_put(s, LMAIL_STR("UID "));
            lmi_imap_put_u64(s, row->uid);
            lmi_imap_put_char(s, ' ');
        }
        lmi_imap_put(s, LMAIL_STR("FLAGS "));
        lmi_imap_put_flags(s, flags);
        lmi_imap_put_line(s, LMAIL_STR(")"));
    }
    if (a->more)
        s->told = last ? last : UINT32_MAX;
    return LMAIL_OK;
}

lmail_status lmi_imap_tell_flags(lmi_imap *s, lmail_uid_set set)
{
    lmail_status st = LMAIL_OK;
    /* The slice stands in the command's memory: its question may outlive this call. */
    if (!s->cmd.slice)
        s->cmd.slice = lmi_imap_get(s, LINES * sizeof *s->cmd.slice, &st);
    if (st == LMAIL_ERR_NOMEM)
        return st;
    if (st || s->told == UINT32_MAX)
        return LMAIL_END;
    size_t n = lmi_set_chunk(set, s->told + 1, LINES, s->cmd.slice, LINES);
    if (!n)
        return LMAIL_END;
    lmail_imap_fetch_event ev = {
        .mailbox = s->mbox.handle, .uids = {s->cmd.slice, n}, .items = LMAIL_IMAP_ITEM_FLAGS};
    s->told = s->cmd.slice[n - 1].last;
    return lmi_imap_ask_fetch(s, &ev, flags_told);
}

/* ---- All of it ------------------------------------------------------------------------------- */

lmail_status lmi_imap_update_step(lmi_imap *s, int expunge)
{
    lmi_imap_mbox *m = &s->mbox;
    if (m->telling.count || (expunge && m->vanished.count))
        return tell_vanished(s);
    if (m->fresh.count)
        return tell_fresh(s);
    if (m->keywords_changed) {
        m->keywords_changed = 0;
        lmi_imap_put_flag_tables(s);
        return LMAIL_OK;
    }
    if (!m->reporting.count && m->flagged.count) {
        /* A change that comes meanwhile is told after these. */
        lmail_uid_list swap = m->reporting;
        m->reporting = m->flagged;
        m->flagged = swap;
        s->told = 0;
    }
    if (m->reporting.count) {
        lmail_status st = lmi_imap_tell_flags(s, lmail_uid_list_set(&m->reporting));
        if (st != LMAIL_END)
            return st;
        lmail_uid_list_free(&m->reporting);
        return LMAIL_OK;
    }
    return LMAIL_END;
}

lmail_status lmi_imap_change(lmi_imap *s, const lmail_imap_change *c)
{
    lmi_imap_mbox *m = &s->mbox;
    lmail_status st;
    if (!m->open)
        return LMAIL_OK;
    switch (c->kind) {
    case LMAIL_IMAP_CHANGE_NEW:
        return lmi_imap_mbox_new(m, c->uids, c->recent);
    case LMAIL_IMAP_CHANGE_FLAGS:
        return lmi_imap_mbox_flagged(m, c->uids);
    case LMAIL_IMAP_CHANGE_VANISHED:
        return lmi_imap_mbox_vanished(m, c->uids);
    case LMAIL_IMAP_CHANGE_KEYWORDS:
        st = lmi_imap_mbox_keywords(m, c->keywords);
        m->permanent = c->permanent;
        m->new_keywords = c->new_keywords != 0;
        m->keywords_changed = 1;
        return st == LMAIL_ERR_LIMIT ? LMAIL_OK : st;
    case LMAIL_IMAP_CHANGE_GONE:
        m->gone = 1;
        return LMAIL_OK;
    }
    return LMAIL_OK;
}
