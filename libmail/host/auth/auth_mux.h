/* auth_mux.h - the octets of saslauthd's protocol. Nothing here is exported.
 *
 * A request is four strings, login, password, service, realm; an answer is one, which begins with
 * OK or NO. A string is its length in two octets, high one first, and that many octets. */
#ifndef LMI_HOST_AUTH_MUX_H
#define LMI_HOST_AUTH_MUX_H

#include <libmail/host/saslauthd.h>

#define LMI_MUX_REQUEST (4u * (2u + LMAIL_SASLAUTHD_STRING)) /* octets, at most */
#define LMI_MUX_ANSWER (2u + LMAIL_SASLAUTHD_STRING)

/* Take a request apart; its slices point into `in`.
 * Returns 1 when it is whole, 0 when more octets must come, -1 when it is none: a string is too
 * long or holds a NUL, or there is more than a request. */
int lmi_mux_parse_request(lmail_str in, lmail_saslauthd_request *out);

/* Octets written to out, LMI_MUX_REQUEST of them at most; 0: a string does not fit. */
size_t lmi_mux_write_request(const lmail_saslauthd_request *request, char out[LMI_MUX_REQUEST]);

/* Returns 1 for OK, 0 for NO, -1 when more octets must come, -2 when it is no answer. */
int lmi_mux_parse_answer(lmail_str in);

/* text is cut to what fits; the octets written. */
size_t lmi_mux_write_answer(lmail_str text, char out[LMI_MUX_ANSWER]);

#endif
