/* service_places.c - places that lie below another one until the administrator names them.
 *
 * Called by the service, and by the daemons and mailctl, which have to find the same ones. */
#include <libmail/host/service.h>

#include <stdio.h>

static lmail_status place(lmail_str named, lmail_str below, const char *name, char *out, size_t cap)
{
    int n = named.len ? snprintf(out, cap, "%.*s", (int)named.len, named.ptr)
                      : snprintf(out, cap, "%.*s/%s", (int)below.len, below.ptr, name);
    return n > 0 && (size_t)n < cap ? LMAIL_OK : LMAIL_ERR_LIMIT;
}

lmail_status lmail_service_queue_directory(const lmail_settings *settings, char *out, size_t cap)
{
    return place(settings->queue.directory, settings->mail_directory, "queue", out, cap);
}

lmail_status lmail_service_drop_directory(const lmail_settings *settings, char *out, size_t cap)
{
    lmail_str named = settings->queue.drop_directory, beside = settings->mail_directory;
    if (lmail_str_equal(named, LMAIL_STR("-")))
        return LMAIL_END;
    while (beside.len > 1 && beside.ptr[beside.len - 1] == '/')
        beside.len--;
    int n = named.len ? snprintf(out, cap, "%.*s", (int)named.len, named.ptr)
                      : snprintf(out, cap, "%.*s-drop", (int)beside.len, beside.ptr);
    return n > 0 && (size_t)n < cap ? LMAIL_OK : LMAIL_ERR_LIMIT;
}

lmail_status lmail_service_authd_socket(const lmail_settings *settings, char *out, size_t cap)
{
    const lmail_str_list *sockets = &settings->authd.sockets;
    return place(sockets->count ? sockets->items[0] : (lmail_str){NULL, 0}, settings->run_directory,
                 "authd/mux", out, cap);
}
