/* imap_cmd_search.c - SEARCH and UID SEARCH (RFC 3501 §6.4.4, §6.4.8, §7.2.5).
 *
 * One question with a tree of criteria and the UIDs to look among. What the host found is cut to
 * those, and written as numbers in slices under the output mark: a search that finds a million
 * messages keeps their ranges, not their digits. */
#include "imap/imap_search.h"

#include <string.h>

#define SLICE 4096u /* octets written in a step */

typedef struct search {
    lmail_search *tree;
    lmail_uid_set among;
    lmail_uid_set found;
    lmail_uid next; /* where writing goes on; 0: nothing is written yet */
} search;

/* ---- The numbers ----------------------------------------------------------------------------- */

static lmail_status end(lmi_imap *s)
{
    lmi_imap_put_crlf(s);
    lmi_set_clear(&s->mbox.arg2);
    return lmi_imap_finish_ok(s);
}

/* The next slice of what was found. */
static lmail_status write_step(lmi_imap *s)
{
    search *q = s->cmd.data;
    char text[SLICE];
    size_t len = 0;
    if (q->next == 0) {
        lmi_imap_put(s, LMAIL_STR("* SEARCH"));
        q->next = 1;
    }
    lmail_uid_range r;
    while (sizeof text - len > 32) {
        if (!lmi_set_both(q->found, q->among, q->next, &r)) {
            lmi_imap_put(s, (lmail_str){text, len});
            return end(s);
        }
        /* A range of both lies within one range of the view, so its numbers follow one another. */
        uint32_t number = s->cmd.uid ? r.first : lmi_imap_view_seq(&s->mbox.view, r.first);
        for (;; number++, r.first++) {
            text[len++] = ' ';
            len += lmi_write_u64(text + len, number);
            if (r.first == r.last || sizeof text - len <= 32)
                break;
        }
        if (r.first == UINT32_MAX) {
            lmi_imap_put(s, (lmail_str){text, len});
            return end(s);
        }
        q->next = r.first + 1;
    }
    lmi_imap_put(s, (lmail_str){text, len});
    return LMAIL_OK;
}

/* ---- The question ---------------------------------------------------------------------------- */

static lmail_status found(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    search *q = s->cmd.data;
    const lmail_imap_search_answer *a = answer;
    if (r->no)
        return lmi_imap_finish_result(s, r, LMAIL_IMAP_CODE_NONE);
    lmi_set_clear(&s->mbox.arg2);
    lmail_status st = lmi_set_add(&s->mbox.arg2, a->uids);
    if (st == LMAIL_ERR_ARG)
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_SERVERBUG,
                               LMAIL_STR("Internal error: no set of messages"));
    q->found = lmail_uid_list_set(&s->mbox.arg2);
    s->step = write_step;
    return st;
}

static lmail_status ask(lmi_imap *s)
{
    search *q = s->cmd.data;
    s->step = write_step;
    if (q->among.count == 0)
        return LMAIL_OK; /* nothing can be found */
    lmail_imap_search_event ev = {s->mbox.handle, q->among, q->tree};
    return lmi_imap_ask_search(s, &ev, found);
}

/* What is searched: the view, or less of it when the criteria name UIDs at their top. */
static lmail_status choose(lmi_imap *s, search *q)
{
    lmail_uid_set bounds;
    q->among = lmi_imap_view_set(&s->mbox.view);
    if (!lmi_search_bounds(q->tree, &bounds))
        return LMAIL_OK;
    if (bounds.count == 1 && q->among.count && bounds.ranges[0].first <= q->among.ranges[0].first &&
        bounds.ranges[0].last >= lmi_imap_view_last(&s->mbox.view))
        return LMAIL_OK; /* 1:* */
    lmi_set_clear(&s->mbox.arg);
    lmail_status st = lmi_imap_view_cut(&s->mbox.view, bounds, &s->mbox.arg);
    q->among = lmail_uid_list_set(&s->mbox.arg);
    return st;
}

/* ---- The command ----------------------------------------------------------------------------- */

/* RFC 3501 §7.1: the code may list what is known. */
static void put_badcharset(lmi_imap *s)
{
    lmi_imap_put(s, LMAIL_STR("[BADCHARSET (US-ASCII UTF-8)] "));
}

/* "CHARSET" SP astring SP. OK, END: the command is finished already. */
static lmail_status read_charset(lmi_imap *s, lmi_search_reader *r)
{
    lmi_imap_args *a = &s->cmd.args;
    if (!lmi_imap_skip_word(a, LMAIL_STR("CHARSET")))
        return LMAIL_OK;
    lmail_status st = lmi_imap_sp(a);
    if (!st)
        st = lmi_imap_astring(a, &r->charset);
    if (!st && r->charset.len == 0)
        st = lmi_imap_expected(a, "the name of a charset");
    if (!st && !lmi_search_charset_known(lmi_imap_config(s), r->charset)) {
        /* RFC 3501 §6.4.4: NO, not BAD */
        s->cmd.put_code = put_badcharset;
        lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_NONE, LMAIL_STR("That charset is not known"));
        return LMAIL_END;
    }
    return st ? st : lmi_imap_sp(a);
}

lmail_status lmi_imap_cmd_search(lmi_imap *s)
{
    lmi_imap_args *a = &s->cmd.args;
    lmi_search_reader r;
    memset(&r, 0, sizeof r);
    r.args = a;
    r.mbox = &s->mbox;
    lmail_status st = lmi_imap_sp(a);
    search *q = st ? NULL : lmi_imap_get(s, sizeof *q, &st);
    if (!st)
        st = read_charset(s, &r);
    if (st == LMAIL_END)
        return LMAIL_OK;
    if (!st)
        st = lmi_search_keys(&r, &q->tree);
    if (st)
        return lmi_imap_finish_parse(s, st);
    s->cmd.data = q;
    s->step = ask;
    return choose(s, q);
}
