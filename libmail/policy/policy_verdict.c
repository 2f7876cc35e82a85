/* policy_verdict.c - a question taken, and verdicts made: of a text, of an entry of the map. */
#include "policy/policy_internal.h"

#include <string.h>

/* ---- Questions ------------------------------------------------------------------------------- */

/* The verified name, folded and without its root dot. A name too long for the DNS is none. */
static void take_name(lmi_case *a)
{
    lmail_str name = a->peer->name;
    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    if (a->peer->name_state != LMAIL_POLICY_NAME_VERIFIED || name.len == 0 ||
        name.len > sizeof a->name_room || *name.ptr == '[')
        return;
    memcpy(a->name_room, name.ptr, name.len);
    lmi_map_fold(a->name_room, name.len);
    a->name = (lmail_str){a->name_room, name.len};
}

lmail_status lmi_case_begin(lmi_case *a, const lmail_policy *p, const lmail_policy_question *q,
                            lmail_policy_verdict *v)
{
    memset(v, 0, offsetof(lmail_policy_verdict, room));
    a->q = q;
    if (q->size != sizeof *q) { /* an older host's: what it lacks is not read */
        if (lmi_struct_take(&a->own_question, sizeof a->own_question, q))
            return LMAIL_ERR_SIZE;
        a->q = &a->own_question;
    }
    a->peer = a->q->peer;
    if (!a->peer)
        return LMAIL_ERR_ARG;
    if (a->peer->size != sizeof *a->peer) {
        if (lmi_struct_take(&a->own_peer, sizeof a->own_peer, a->peer))
            return LMAIL_ERR_SIZE;
        a->peer = &a->own_peer;
    }
    a->p = p;
    a->v = v;
    a->used = 0;
    a->name = (lmail_str){NULL, 0};
    a->sender_ok = a->tagged_only = 0;
    a->held = NULL;
    a->network = a->peer->address.len > 0;
    if (a->network && lmi_policy_address_parse(a->peer->address, &a->address))
        return LMAIL_ERR_ARG;
    take_name(a);
    return LMAIL_OK;
}

char *lmi_room(lmi_case *a, size_t size)
{
    if (size > sizeof a->v->room - a->used)
        return NULL;
    char *p = a->v->room + a->used;
    a->used += size;
    return p;
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

void lmi_policy_accept(lmi_case *a, lmail_policy_verdict_kind kind, const char *rule)
{
    lmail_policy_verdict *v = a->v;
    v->kind = kind;
    v->need = v->code = 0;
    v->enhanced = v->text = v->file = (lmail_str){NULL, 0};
    v->line = 0;
    v->rule = lmail_str_from(rule);
}

void lmi_need(lmi_case *a, unsigned need)
{
    lmi_policy_accept(a, LMAIL_POLICY_NEED, "");
    a->v->need = need;
}

void lmi_blame(lmi_case *a, const lmi_map *map, const lmi_map_entry *e, const char *rule)
{
    a->v->rule = rule ? lmail_str_from(rule) : lmi_map_key(e);
    a->v->file = lmi_map_source_name(map, e);
    a->v->line = e->line;
}

void lmi_case_end(lmi_case *a, const char *enhanced, const char *text)
{
    lmail_policy_verdict *v = a->v;
    if (a->held && v->kind < LMAIL_POLICY_DISCARD) {
        v->kind = LMAIL_POLICY_QUARANTINE;
        v->reason = lmi_map_value(a->held);
        lmi_blame(a, &a->p->access, a->held, NULL);
    }
    if (text && v->kind < LMAIL_POLICY_DENY) {
        v->code = 250;
        v->enhanced = lmail_str_from(enhanced);
        v->text = lmail_str_from(text);
    }
}

void lmi_deny(lmi_case *a, unsigned code, const char *enhanced, const lmail_str *pieces,
              size_t count)
{
    char *text = a->v->room + a->used;
    size_t left = sizeof a->v->room - a->used, n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < pieces[i].len && n < left; j++) {
            unsigned char c = (unsigned char)pieces[i].ptr[j];
            text[n++] = c < ' ' || c == 0x7f ? '?' : (char)c;
        }
    a->used += n;
    a->v->kind = LMAIL_POLICY_DENY;
    a->v->code = code;
    a->v->enhanced = lmail_str_from(enhanced);
    a->v->text = (lmail_str){text, n};
}

/* "5.7.1" in the class of a code: "4.7.1". */
static lmail_str enhanced_for(lmi_case *a, lmail_str enhanced, unsigned code)
{
    if ((unsigned)(*enhanced.ptr - '0') == code / 100)
        return enhanced;
    char *copy = lmi_room(a, enhanced.len);
    if (!copy)
        return (lmail_str){NULL, 0};
    memcpy(copy, enhanced.ptr, enhanced.len);
    copy[0] = (char)('0' + code / 100);
    return (lmail_str){copy, enhanced.len};
}

/* What the value leaves out: no code is 553 5.3.0; a code without text is `standard` with that
 * code; a code with a text alone is X.0.0. */
void lmi_deny_parts(lmi_case *a, const lmi_reply_parts *parts, const lmi_reply_parts *standard)
{
    lmail_policy_verdict *v = a->v;
    lmail_str enhanced = parts->enhanced;
    v->kind = LMAIL_POLICY_DENY;
    v->code = parts->code ? parts->code : 553;
    v->text = parts->text.len ? parts->text : standard->text;
    if (enhanced.len == 0 && parts->code == 0)
        enhanced = LMAIL_STR("5.3.0");
    else if (enhanced.len == 0)
        enhanced = parts->text.len ? LMAIL_STR("5.0.0") : standard->enhanced;
    v->enhanced = enhanced_for(a, enhanced, v->code);
}

int lmi_obey(lmi_case *a, const lmi_map_entry *e, const lmi_reply_parts *reject)
{
    lmi_reply_parts parts;
    switch (lmi_entry_kind(e)) {
    case LMI_VALUE_REJECT:
        parts = *reject;
        break;
    case LMI_VALUE_DISCARD:
        lmi_policy_accept(a, LMAIL_POLICY_DISCARD, "");
        lmi_blame(a, &a->p->access, e, NULL);
        return 1;
    case LMI_VALUE_QUARANTINE:
        if (!a->held)
            a->held = e;
        return 0;
    case LMI_VALUE_REPLY:
        lmi_reply_parse(lmi_map_value(e), &parts);
        break;
    default:
        return 0;
    }
    lmi_deny_parts(a, &parts, reject);
    lmi_blame(a, &a->p->access, e, NULL);
    return 1;
}
