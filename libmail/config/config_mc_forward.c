/* config_mc_forward.c - confFORWARD_PATH: the files in a user's home that say where his mail goes.
 *
 * "$z/.forward.$w:$z/.forward": files of one name in the home ($z) are read; a name that depends on
 * host or detail, or a place elsewhere, is not. */
#include <string.h>

#include "config/config_mc.h"

/* The name behind "$z/", or empty. */
static lmail_str name_in_home(lmail_str path)
{
    lmail_str name = lmi_str_skip(path, 3);
    int plain = lmi_str_has_prefix_nocase(path, LMAIL_STR("$z/")) && name.len &&
                !memchr(name.ptr, '/', name.len) && !memchr(name.ptr, '$', name.len) &&
                !lmail_str_equal(name, LMAIL_STR(".")) && !lmail_str_equal(name, LMAIL_STR(".."));
    return plain ? name : (lmail_str){NULL, 0};
}

void lmi_mc_forward_path(lmi_mc *m, lmail_str value, lmi_origin at)
{
    lmi_mc_text out = {NULL, 0, 0};
    for (lmail_str w = lmi_mc_word(&value, ":"); w.len && !m->stopped;
         w = lmi_mc_word(&value, ":")) {
        lmail_str name = name_in_home(w);
        if (!name.len) {
            LMI_MC_UNUSED(m, at, LMAIL_STR("confFORWARD_PATH: \""), w, LMAIL_STR("\""));
            continue;
        }
        if (out.len)
            lmi_mc_write(m, &out, LMAIL_STR(", "));
        lmi_mc_write(m, &out, name);
    }
    if (!m->stopped)
        lmi_mc_set(m, "routing.forward", (lmail_str){out.ptr, out.len}, at);
}
