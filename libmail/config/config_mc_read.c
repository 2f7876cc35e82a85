/* config_mc_read.c - reads a sendmail.mc. Called by lmail_config_load. */
#include "config/config_internal.h"

void lmi_config_read_mc(lmi_reader *r, lmail_str name, lmi_origin from)
{
    LMI_SAY(r, LMAIL_ERROR, from, LMAIL_STR("cannot import "), name);
}
