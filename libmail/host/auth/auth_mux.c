/* The octets of saslauthd's protocol: requests and answers, taken apart and put together.
 *
 * Source: what cyrus-sasl's saslauthd(8) speaks on its socket "mux". Called by the one who asks
 * (auth_saslauthd.c) and by the one who answers (auth_authd_conn.c). No I/O here. */
#include <string.h>

#include "auth_mux.h"

/* One string off the front. 1, 0 (more must come) or -1. */
static int take(lmail_str *in, lmail_str *out)
{
    if (in->len < 2) {
        return 0;
    }
    size_t len = (size_t)((unsigned char)in->ptr[0] << 8 | (unsigned char)in->ptr[1]);
    if (len > LMAIL_SASLAUTHD_STRING) {
        return -1; /* before its octets come: nobody makes us wait for them */
    }
    if (in->len - 2 < len) {
        return 0;
    }
    *out = (lmail_str){in->ptr + 2, len};
    in->ptr += 2 + len;
    in->len -= 2 + len;
    return memchr(out->ptr, '\0', len) ? -1 : 1;
}

int lmi_mux_parse_request(lmail_str in, lmail_saslauthd_request *out)
{
    lmail_str *const strings[] = {&out->login, &out->password, &out->service, &out->realm};
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    for (size_t i = 0; i < 4; i++) {
        int took = take(&in, strings[i]);
        if (took != 1) {
            return took;
        }
    }
    return in.len == 0 ? 1 : -1;
}

static size_t put(char *out, lmail_str text)
{
    out[0] = (char)(text.len >> 8);
    out[1] = (char)(text.len & 0xff);
    if (text.len > 0) {
        memcpy(out + 2, text.ptr, text.len);
    }
    return 2 + text.len;
}

size_t lmi_mux_write_request(const lmail_saslauthd_request *request, char out[LMI_MUX_REQUEST])
{
    const lmail_str strings[] = {request->login, request->password, request->service,
                                 request->realm};
    size_t len = 0;
    for (size_t i = 0; i < 4; i++) {
        if (strings[i].len > LMAIL_SASLAUTHD_STRING ||
            (strings[i].len > 0 && memchr(strings[i].ptr, '\0', strings[i].len))) {
            return 0;
        }
        len += put(out + len, strings[i]);
    }
    return len;
}

int lmi_mux_parse_answer(lmail_str in)
{
    lmail_str text = {NULL, 0};
    int took = take(&in, &text);
    if (took != 1) {
        return took == 0 ? -1 : -2;
    }
    int ends = text.len == 2 || (text.len > 2 && (text.ptr[2] == ' ' || text.ptr[2] == '\n'));
    if (in.len > 0 || !ends) {
        return -2;
    }
    return memcmp(text.ptr, "OK", 2) == 0 ? 1 : memcmp(text.ptr, "NO", 2) == 0 ? 0 : -2;
}

size_t lmi_mux_write_answer(lmail_str text, char out[LMI_MUX_ANSWER])
{
    text.len = text.len > LMAIL_SASLAUTHD_STRING ? LMAIL_SASLAUTHD_STRING : text.len;
    return put(out, text);
}
