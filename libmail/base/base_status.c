/* base_status.c - names and texts of lmail_status, from the one list in libmail/base.h. */
#include <libmail/base.h>

const char *lmail_status_name(lmail_status status)
{
    switch (status) {
#define XX(name, value, text)                                                                      \
    case LMAIL_##name:                                                                             \
        return "LMAIL_" #name;
        LMAIL_STATUS_MAP(XX)
#undef XX
    }
    return "LMAIL_?";
}

const char *lmail_status_text(lmail_status status)
{
    switch (status) {
#define XX(name, value, text)                                                                      \
    case LMAIL_##name:                                                                             \
        return text;
        LMAIL_STATUS_MAP(XX)
#undef XX
    }
    return "unknown status";
}
