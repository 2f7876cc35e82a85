/* The mechanisms there are, with their properties: what must hold before one is offered.
 *
 * Called by the context and the exchange. The properties are SASL's security properties as Cyrus
 * SASL attributes them, which sendmail's AUTH_OPTIONS letters select by. */
#include "auth_internal.h"

#define SCRAM_TRAITS (LMI_TRAIT_NO_ACTIVE | LMI_TRAIT_MUTUAL | LMI_TRAIT_NO_ANONYMOUS)
#define CLEAR_TRAITS (LMI_TRAIT_CLEAR | LMI_TRAIT_CREDENTIALS | LMI_TRAIT_NO_ANONYMOUS)

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
