/* service_pickup_door.c - the door for mail of this machine, and what the server knows of a message that
 * comes through it.
 *
 * It listens at an address that the system chose and no file has (unix(7), autobind); connections of
 * other processes are closed. A message is named by its EHLO: "drop-NUMBER". */
#include "host/service/service_limits.h"
#include "host/service/service_pickup.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr

int lmi_door_is_local(const lmi_door *door)
{
    const lmi_pickup *p = door->service->pickup;
    return p && door->settings == &p->settings;
}

int lmi_pickup_admits(const lmail_conn_facts *facts)
{
    return facts->unix_socket && facts->peer_pid == (unsigned)getpid() &&
           facts->peer_uid == (unsigned)geteuid();
}

/* ---- The socket ------------------------------------------------------------------------------ */

static int make_socket(lmi_pickup *p)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    p->at_len = sizeof p->at;
    if (bind(fd, (const struct sockaddr *)&any, sizeof any.sun_family) == 0 &&
        getsockname(fd, (struct sockaddr *)&p->at, &p->at_len) == 0 && listen(fd, 64) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Of a door without a proxy. */
static lmail_status listener_of(lmail_listener_config *c, const lmi_door *door)
{
    char *networks;
    lmail_status st = lmi_door_listener(c, door, &networks);
    free(networks);
    c->group = 0; /* what smtp.max_sessions counts comes from elsewhere */
    c->max_rate = 0;
    return st;
}

static lmail_status listen_at(lmi_pickup *p, lmi_door *door, int fd, char *error, size_t cap)
{
    char why[256] = "";
    lmail_listener_config c;
    lmail_status st = listener_of(&c, door);
    c.inherited = 1;
    c.fd = fd;
    if (!st)
        st = lmail_listener_new(&p->listener, p->service->net, &c, why, sizeof why);
    else
        close(fd);
    if (st)
        snprintf(error, cap, "mail of this machine: %s", why[0] ? why : lmail_status_text(st));
    return st;
}

lmail_status lmi_pickup_open(lmi_pickup *p, char *error, size_t cap)
{
    lmail_smtp_client_config c = LMAIL_SMTP_CLIENT_CONFIG_INIT;
    lmi_door *door = NULL;
    p->settings.name = LMAIL_STR("local");
    p->settings.protocol = LMAIL_LISTENER_SMTP;
    p->settings.unqualified_senders = 1;
    c.helo_name = LMAIL_STR("localhost");
    c.tls = LMAIL_SMTP_TLS_NONE;
    c.flags = LMAIL_SMTP_CLIENT_REFUSE_BARE;
    /* The whole of a message is seen before the server has to answer for it. */
    c.ignore = LMAIL_SMTP_CAN_STARTTLS | LMAIL_SMTP_CAN_AUTH | LMAIL_SMTP_CAN_CHUNKING |
               LMAIL_SMTP_CAN_LIMITS;
    lmail_status st = lmail_smtp_client_setup_new(&p->client, &c, &lmi_pickup_handler);
    if (!st)
        st = lmi_door_new(&door, p->service->rules, &p->settings, error, cap);
    if (st)
        return st;
    int fd = make_socket(p);
    if (fd < 0) {
        snprintf(error, cap, "mail of this machine: %s", strerror(errno));
        st = LMAIL_ERR_IO;
    } else {
        st = listen_at(p, door, fd, error, cap);
    }
    if (st)
        lmi_door_release(door);
    return st;
}

void lmi_pickup_reload(lmail_service *s)
{
    lmi_pickup *p = s->pickup;
    char error[256] = "";
    lmail_listener_config c;
    lmi_door *door = NULL;
    if (!p || atomic_load(&p->stopping))
        return;
    lmail_status st = lmi_door_new(&door, s->rules, &p->settings, error, sizeof error);
    if (!st)
        st = listener_of(&c, door);
    if (!st)
        st = lmail_listener_update(p->listener, &c, error, sizeof error);
    if (!st)
        return;
    lmi_door_release(door);
    lmail_log_line l;
    lmail_log_begin(&l, s->log, LMAIL_LOG_ERR, "reload");
    lmail_log_text(&l, "reason", lmail_str_from(error[0] ? error : lmail_status_text(st)));
    lmail_log_end(&l);
}

/* ---- Messages -------------------------------------------------------------------------------- */

lmi_local *lmi_local_find(lmi_pickup *p, lmail_str helo)
{
    static const char word[] = "drop-";
    uint64_t number = 0;
    if (helo.len < sizeof word || memcmp(helo.ptr, word, sizeof word - 1) != 0)
        return NULL;
    for (size_t i = sizeof word - 1; i < helo.len && helo.ptr[i] >= '0' && helo.ptr[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(helo.ptr[i] - '0');
    pthread_mutex_lock(&p->lock);
    lmi_local *l = p->locals;
    while (l && l->number != number)
        l = l->next;
    if (l)
        atomic_fetch_add(&l->refs, 1);
    pthread_mutex_unlock(&p->lock);
    return l;
}

void lmi_local_release(lmi_local *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    lmail_drop_close(l->file);
    free(l->refusals);
    free(l->name);
    free(l);
}

void lmi_local_taken(lmi_local *l)
{
    lmail_status st = lmail_drop_remove(l->pickup->directory, l->name);
    atomic_store(&l->taken, 1);
    if (!st || st == LMAIL_ERR_NOTFOUND)
        return;
    lmail_log_line line;
    lmail_log_begin(&line, l->pickup->service->log, LMAIL_LOG_ERR, "drop_not_removed");
    lmail_log_text(&line, "file", lmail_str_from(l->name));
    lmail_log_text(&line, "reason", lmail_str_from(lmail_status_text(st)));
    lmail_log_end(&line);
}

const lmi_refusal *lmi_local_refusal(const lmi_local *l, lmail_str address)
{
    const lmail_drop_message *m = &l->facts.message;
    if (l->returning)
        return &l->all;
    for (size_t i = 0; i < m->recipient_count; i++)
        if (l->refusals[i].known && lmail_str_equal(m->recipients[i], address))
            return &l->refusals[i];
    return NULL;
}

size_t lmi_local_write(const lmi_local *l, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%s (uid %u)", l->user, (unsigned)l->facts.uid);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

int lmi_local_is_doubtful(const lmi_local *l, const lmi_rules *rules)
{
    return l->facts.message.sender_given && l->facts.message.sender.len && l->facts.uid != 0 &&
           l->facts.uid != (uint32_t)geteuid() &&
           !lmi_submit_is_trusted(rules->trusted_users, lmail_str_from(l->user));
}
