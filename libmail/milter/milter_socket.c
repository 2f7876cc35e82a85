/* milter_socket.c - where a filter listens, as configurations write it. */
#include "milter/milter_internal.h"

static int take(lmail_str *text, const char *word)
{
    lmail_str w = lmail_str_from(word);
    if (!lmi_str_has_prefix_nocase(*text, w))
        return 0;
    *text = lmi_str_skip(*text, w.len);
    return 1;
}

lmail_status lmail_milter_socket_parse(lmail_str text, lmail_milter_socket *out)
{
    *out = (lmail_milter_socket){{NULL, 0}, {NULL, 0}, 0, 0};
    if (take(&text, "unix:") || take(&text, "local:") || (text.len && text.ptr[0] == '/')) {
        out->path = text;
        return text.len > 1 && text.ptr[0] == '/' && lmi_str_find(text, '\0') == text.len
                   ? LMAIL_OK
                   : LMAIL_ERR_SYNTAX;
    }
    out->inet6 = take(&text, "inet6:") ? 1u : 0u;
    if (!out->inet6 && !take(&text, "inet:"))
        return LMAIL_ERR_SYNTAX;
    size_t at = lmi_str_find(text, '@');
    uint32_t port;
    if (lmi_parse_u32(lmi_str_sub(text, 0, at), &port) || port == 0 || port > 65535)
        return LMAIL_ERR_SYNTAX;
    out->port = port;
    if (at == text.len)
        return LMAIL_OK;
    lmail_str host = lmi_str_skip(text, at + 1);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = lmi_str_sub(host, 1, host.len - 2);
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] > '~' || host.ptr[i] == '[' || host.ptr[i] == ']')
            return LMAIL_ERR_SYNTAX;
    out->host = host;
    return host.len && host.len <= 255 ? LMAIL_OK : LMAIL_ERR_SYNTAX;
}
