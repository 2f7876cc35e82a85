/* base_out.h - the part of the output list that only the pump calls. */
#ifndef LMI_BASE_OUT_H
#define LMI_BASE_OUT_H

#include "base/base_internal.h"

size_t lmi_out_peek(const lmi_out *o, lmail_str *out, size_t max);
void lmi_out_sent(lmail_session *s, size_t n); /* n is at most o->size */
void lmi_out_rest(lmail_session *s);
void lmi_out_done(lmail_session *s);

#endif
