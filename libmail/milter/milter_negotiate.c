/* milter_negotiate.c - the filter's answer to the offer: its version, what it will do, how it wants to
 * be asked, and the macros that it wants to see. What was not offered is not granted. */
#include "milter/milter_internal.h"

#include <string.h>

/* Stages and names, as SETSYMLIST has them. */
static lmail_status read_macros(lmail_milter_client *s, lmail_str data)
{
    if (!data.len)
        return LMAIL_OK;
    s->names = lmi_malloc(&s->base.alloc, data.len);
    if (!s->names)
        return LMAIL_ERR_NOMEM;
    s->names_size = data.len;
    memcpy(s->names, data.ptr, data.len);
    data.ptr = s->names;
    while (data.len) {
        lmail_str list;
        uint32_t stage = data.len > 4 ? lmi_milter_get32(data.ptr) : LMAIL_MILTER_STAGE_COUNT;
        data = lmi_str_skip(data, 4);
        if (stage >= LMAIL_MILTER_STAGE_COUNT || lmi_milter_text(&data, &list))
            return lmi_milter_fail(s, LMAIL_MILTER_CAUSE_PROTOCOL, "a faulty list of macros");
        s->macros[stage] = list;
    }
    return LMAIL_OK;
}

lmail_status lmi_milter_negotiated(lmail_milter_client *s, lmail_str data)
{
    const lmail_milter_client_config *c = &s->setup->config;
    if (data.len < 12)
        return lmi_milter_violation(s, "a negotiation that is too short");
    lmail_milter_facts f = {lmi_milter_get32(data.ptr), lmi_milter_get32(data.ptr + 4),
                            lmi_milter_get32(data.ptr + 8), LMI_MILTER_DATA};
    if (f.version < 2 || f.version > c->version)
        return lmi_milter_fail(s, LMAIL_MILTER_CAUSE_VERSION, "a version that is not known here");
    if (f.actions & ~c->actions)
        return lmi_milter_fail(s, LMAIL_MILTER_CAUSE_VERSION,
                               "it wants rights that it cannot have");
    if (f.steps & ~s->setup->steps)
        return lmi_milter_fail(s, LMAIL_MILTER_CAUSE_VERSION,
                               "it wants steps that were not offered");
    if (f.steps & LMI_STEP_1M)
        f.max_data = LMI_MILTER_DATA_1M;
    else if (f.steps & LMI_STEP_256K)
        f.max_data = LMI_MILTER_DATA_256K;
    data = lmi_str_skip(data, 12);
    if (data.len && !(c->actions & LMAIL_MILTER_MAY_NAME_MACROS))
        return lmi_milter_violation(s, "a list of macros that was not asked for");
    lmail_status st = read_macros(s, data);
    if (st || s->ended)
        return st;
    s->facts = f;
    lmi_milter_ready(s);
    return LMAIL_OK;
}
