/* sasl_offer.c - which mechanisms may be offered on a channel.
 *
 * What each mechanism withstands stands in one table. Called by the host when it makes the list
 * that a session advertises; keeps no state. */
#include "base/base_internal.h"

#include <libmail/sasl.h>

/* Properties of a mechanism; the demands of LMAIL_SASL_* ask for them under the same bits. */
typedef struct mechanism {
    const char *name;
    unsigned has;
} mechanism;

#define HIDES LMAIL_SASL_NO_CLEARTEXT
#define NAMED LMAIL_SASL_NO_ANONYMOUS
#define SCRAM (HIDES | NAMED | LMAIL_SASL_NO_ACTIVE | LMAIL_SASL_MUTUAL)
#define TOKEN (NAMED | LMAIL_SASL_CREDENTIALS)

static const mechanism mechanisms_known[] = {{"SCRAM-SHA-256-PLUS", SCRAM},
                                             {"SCRAM-SHA-256", SCRAM},
                                             {"SCRAM-SHA-1-PLUS", SCRAM},
                                             {"SCRAM-SHA-1", SCRAM},
                                             {"DIGEST-MD5", HIDES | NAMED | LMAIL_SASL_MUTUAL},
                                             {"CRAM-MD5", HIDES | NAMED},
                                             {"EXTERNAL", HIDES | NAMED | LMAIL_SASL_NO_DICTIONARY},
                                             {"ANONYMOUS", HIDES},
                                             {"PLAIN", TOKEN},
                                             {"LOGIN", TOKEN},
                                             {"XOAUTH2", TOKEN},
                                             {"OAUTHBEARER", TOKEN}};

unsigned lmail_sasl_properties(lmail_str name)
{
    for (size_t i = 0; i < sizeof mechanisms_known / sizeof *mechanisms_known; i++)
        if (lmail_str_equal_nocase(name, lmail_str_from(mechanisms_known[i].name)))
            return mechanisms_known[i].has;
    return TOKEN;
}

static int listed(const lmail_str *list, size_t count, lmail_str name)
{
    for (size_t i = 0; i < count; i++)
        if (lmail_str_equal_nocase(list[i], name))
            return 1;
    return 0;
}

size_t lmail_sasl_offer(const lmail_str *mechanisms, size_t count, unsigned options,
                        lmail_sasl_channel channel, lmail_str *out)
{
    static const char scram[LMAIL_SASL_MORE][16] = {"SCRAM-SHA-256", "SCRAM-SHA-1"};
    unsigned demands = options & ~(unsigned)LMAIL_SASL_SCRAM;
    size_t n = 0;
    int has_scram = 0;
    if (channel != LMAIL_SASL_CLEAR)
        demands &= ~(unsigned)LMAIL_SASL_NO_CLEARTEXT;
    for (size_t i = 0; i < count; i++) {
        lmail_str name = mechanisms[i];
        has_scram |= lmi_str_has_prefix_nocase(name, LMAIL_STR("SCRAM-"));
        if ((lmail_sasl_properties(name) & demands) != demands || listed(out, n, name))
            continue;
        if (channel == LMAIL_SASL_TLS_VERIFIED ||
            !lmail_str_equal_nocase(name, LMAIL_STR("EXTERNAL")))
            out[n++] = name;
    }
    if ((options & LMAIL_SASL_SCRAM) && (options & LMAIL_SASL_NO_CLEARTEXT) && !has_scram &&
        (SCRAM & demands) == demands)
        for (size_t i = 0; i < LMAIL_SASL_MORE; i++)
            out[n++] = lmail_str_from(scram[i]);
    return n;
}
