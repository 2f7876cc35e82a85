/* The mechanisms there are, with their properties: what must hold before one is offered.
 *
 * Called by the context and the exchange. The properties are SASL's security properties as Cyrus
 * SASL attributes them, which sendmail's AUTH_OPTIONS letters select by. */
#include "auth_internal.h"

#define SCRAM_TRAITS (LMI_TRAIT_NO_ACTIVE | LMI_TRAIT_MUTUAL | LMI_TRAIT_NO_ANONYMOUS)
#define CLEAR_TRAITS (LMI_TRAIT_CLEAR | LMI_TRAIT_CREDENTIALS | LMI_TRAIT_NO_ANONYMOUS)

static const lmi_mechanism mechanisms[LMI_MECHANISMS] = {
    [LMI_SCRAM_SHA_256_PLUS] = {LMAIL_STR("SCRAM-SHA-256-PLUS"), SCRAM_TRAITS | LMI_TRAIT_EXPORTER,
                                1},
    [LMI_SCRAM_SHA_1_PLUS] = {LMAIL_STR("SCRAM-SHA-1-PLUS"), SCRAM_TRAITS | LMI_TRAIT_EXPORTER, 1},
    [LMI_SCRAM_SHA_256] = {LMAIL_STR("SCRAM-SHA-256"), SCRAM_TRAITS, 1},
    [LMI_SCRAM_SHA_1] = {LMAIL_STR("SCRAM-SHA-1"), SCRAM_TRAITS, 1},
    [LMI_EXTERNAL] = {LMAIL_STR("EXTERNAL"),
                      LMI_TRAIT_NO_DICTIONARY | LMI_TRAIT_NO_ANONYMOUS | LMI_TRAIT_CERTIFICATE, 1},
    [LMI_OAUTHBEARER] = {LMAIL_STR("OAUTHBEARER"), CLEAR_TRAITS | LMI_TRAIT_TOKEN, 1},
    [LMI_XOAUTH2] = {LMAIL_STR("XOAUTH2"), CLEAR_TRAITS | LMI_TRAIT_TOKEN, 1},
    [LMI_PLAIN] = {LMAIL_STR("PLAIN"), CLEAR_TRAITS, 1},
    [LMI_LOGIN] = {LMAIL_STR("LOGIN"), CLEAR_TRAITS, 1},
    [LMI_DIGEST_MD5] = {LMAIL_STR("DIGEST-MD5"),
                        LMI_TRAIT_MUTUAL | LMI_TRAIT_NO_ANONYMOUS | LMI_TRAIT_SERVER_FIRST, 0},
    [LMI_CRAM_MD5] = {LMAIL_STR("CRAM-MD5"), LMI_TRAIT_NO_ANONYMOUS | LMI_TRAIT_SERVER_FIRST, 0},
    [LMI_ANONYMOUS] = {LMAIL_STR("ANONYMOUS"), 0, 0},
};

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
