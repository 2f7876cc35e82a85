/* The mechanisms there are, with what each needs of this machine before it is offered.
 *
 * Called by the context, the exchange and the client. What they are worth against an attacker is
 * libmail/sasl.h's to say, lmail_sasl_properties. */
#include "auth_internal.h"

#define MECHANISM(id, name, traits, by_default) [LMI_##id] = {LMAIL_STR(name), traits, by_default},
static const lmi_mechanism mechanisms[LMI_MECHANISMS] = {LMI_AUTH_MECHANISMS(MECHANISM)};
#undef MECHANISM

const lmi_mechanism *lmi_mechanism_get(lmi_mechanism_id id)
{
    return &mechanisms[id];
}

lmi_mechanism_id lmi_mechanism_find(lmail_str name)
{
    for (lmi_mechanism_id id = 0; id < LMI_MECHANISMS; id++) {
        if (lmail_str_equal_nocase(name, mechanisms[id].name)) {
            return id;
        }
    }
    return LMI_MECHANISMS;
}

int lmail_auth_knows(lmail_str mechanism)
{
    return lmi_mechanism_find(mechanism) != LMI_MECHANISMS;
}
