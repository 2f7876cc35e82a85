/* admin_metrics_door.c - the socket of the metrics page: takes a request, has the page written on a
 * worker, sends it and closes.
 *
 * All on one loop, with libuv's own streams: a request is no mail session, has no TLS and no state
 * worth a pump. A request is freed when its handles are closed and no worker has it. */
#include "host/admin/admin_metrics_http.h"
#include "host/net/net_machine.h"

#include <libmail/host/metrics.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define MAX_REQUESTS 32u
#define PATIENCE 5000u      /* milliseconds for a request, and for the peer to take the answer */
#define LAST_PATIENCE 1000u /* for the peer to close */
#define AFTERWARDS 65536u   /* octets behind a request that are read and dropped */

typedef union stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
} stream;

typedef struct request request;
struct request {
    lmail_metrics_door *door;
    request *next, **at;
    stream peer;
    uv_timer_t timer;
    unsigned handles;  /* open */
    unsigned working;  /* a worker has it */
    unsigned over;     /* its handles close */
    unsigned answered; /* the request is whole; what comes behind it is dropped */
    unsigned sent;     /* the answer is */
    unsigned eof;      /* the peer sends nothing more */
    uv_write_t write;
    uv_shutdown_t shutdown;
    int head;
    unsigned code;
    size_t have;
    char in[LMI_HTTP_HEAD_MAX];
    char answer[512];
    char *page;
    size_t page_len, page_cap;
};

struct lmail_metrics_door {
    stream listener;
    int is_unix, listening, closed, failed;
    lmail_metrics *metrics;
    lmail_loop *loop;
    lmail_pool *pool;
    lmail_call_fn *collect;
    void *user;
    pthread_mutex_t lock; /* around collect */
    request *requests;
    unsigned count;
    request *spare;   /* memory for the next one, so that accepting cannot fail for want of it */
    unsigned waiting; /* a connection is not accepted: MAX_REQUESTS are under way */
};

void lmail_metrics_door_config_init(lmail_metrics_door_config *config)
{
    *config = (lmail_metrics_door_config)LMAIL_METRICS_DOOR_CONFIG_INIT;
}

/* ---- The end of a request -------------------------------------------------------------------- */

static void come(uv_stream_t *listener, int status);

static void free_if_done(request *r)
{
    lmail_metrics_door *door = r->door;
    if (r->handles || r->working)
        return;
    *r->at = r->next;
    if (r->next)
        r->next->at = r->at;
    door->count--;
    free(r->page);
    if (door->spare)
        free(r);
    else
        door->spare = r;
    if (door->waiting && !door->closed) {
        door->waiting = 0;
        come(&door->listener.stream, 0);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    request *r = handle->data;
    r->handles--;
    free_if_done(r);
}

static void end(request *r)
{
    if (r->over)
        return;
    r->over = 1;
    uv_close((uv_handle_t *)&r->timer, handle_closed);
    uv_close(&r->peer.handle, handle_closed);
}

static void too_late(uv_timer_t *timer)
{
    end(timer->data);
}

/* ---- The answer ------------------------------------------------------------------------------ */

static void shut(uv_shutdown_t *shutdown, int status)
{
    request *r = shutdown->data;
    if (status || r->eof)
        end(r);
}

/* Octets not read yet would make the kernel reset the connection under the answer: they are read
 * until the peer closes. */
static void written(uv_write_t *write, int status)
{
    request *r = write->data;
    if (r->over)
        return;
    r->sent = 1;
    r->shutdown.data = r;
    if (status || uv_shutdown(&r->shutdown, &r->peer.stream, shut)) {
        end(r);
        return;
    }
    uv_timer_start(&r->timer, too_late, LAST_PATIENCE, 0);
}

static void answer(request *r)
{
    lmail_str body = lmi_http_body(r->code);
    if (r->code == 200)
        body = (lmail_str){r->page, r->page_len};
    uv_buf_t bufs[] = {{r->answer, lmi_http_head(r->code, body.len, r->answer)},
                       {(char *)(size_t)body.ptr, r->head ? 0 : body.len}};
    r->write.data = r;
    uv_timer_start(&r->timer, too_late, PATIENCE, 0);
    if (uv_write(&r->write, &r->peer.stream, bufs, r->head || !body.len ? 1 : 2, written))
        end(r);
}

static lmail_status keep(void *ctx, lmail_str text)
{
    request *r = ctx;
    if (r->page_cap - r->page_len < text.len) {
        size_t cap = (r->page_cap ? r->page_cap * 2 : 32768) + text.len;
        char *more = realloc(r->page, cap);
        if (!more)
            return LMAIL_ERR_NOMEM;
        r->page = more;
        r->page_cap = cap;
    }
    memcpy(r->page + r->page_len, text.ptr, text.len);
    r->page_len += text.len;
    return LMAIL_OK;
}

/* On a worker. */
static void write_page(void *arg)
{
    request *r = arg;
    lmail_metrics_door *door = r->door;
    pthread_mutex_lock(&door->lock);
    if (door->collect)
        door->collect(door->user);
    if (lmail_metrics_write(door->metrics, keep, r))
        r->code = 503;
    pthread_mutex_unlock(&door->lock);
}

static void page_written(void *arg)
{
    request *r = arg;
    r->working = 0;
    if (r->over)
        free_if_done(r);
    else
        answer(r);
}

/* ---- The request ----------------------------------------------------------------------------- */

static void got(uv_stream_t *peer, ssize_t n, const uv_buf_t *buf)
{
    request *r = peer->data;
    (void)buf;
    r->eof |= n == UV_EOF;
    if (n < 0) {
        if (!r->eof || !r->answered || r->sent) /* a client may close its half behind the request */
            end(r);
        return;
    }
    r->have += (size_t)n;
    if (r->answered) {
        if (r->have > AFTERWARDS)
            end(r);
        return;
    }
    r->code = lmi_http_judge((lmail_str){r->in, r->have}, &r->head);
    if (!r->code)
        return;
    r->answered = 1;
    r->have = 0;
    r->working = r->code == 200;
    if (r->working &&
        lmail_pool_submit(r->door->pool, r->door->loop, write_page, page_written, r, 0)) {
        r->working = 0;
        r->code = 503;
    }
    if (!r->working)
        answer(r);
}

/* After the answer's beginning, `in` is where octets are dropped. */
static void room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    request *r = handle->data;
    (void)suggested;
    *buf = r->answered ? uv_buf_init(r->in, sizeof r->in)
                       : uv_buf_init(r->in + r->have, (unsigned)(sizeof r->in - r->have));
}

/* Memory for one more request; NULL: none, or there are enough. */
static request *take_request(lmail_metrics_door *door)
{
    request *r = door->count < MAX_REQUESTS ? door->spare : NULL;
    if (!r)
        return NULL;
    memset(r, 0, sizeof *r);
    door->spare = malloc(sizeof *r); /* without it, the next one waits until this one ends */
    r->door = door;
    r->next = door->requests;
    r->at = &door->requests;
    if (r->next)
        r->next->at = &r->next;
    door->requests = r;
    door->count++;
    return r;
}

static void come(uv_stream_t *listener, int status)
{
    lmail_metrics_door *door = listener->data;
    uv_loop_t *loop = lmail_loop_uv(door->loop);
    if (status)
        return;
    request *r = take_request(door);
    if (!r) {
        door->waiting = 1;
        return;
    }
    if (door->is_unix)
        uv_pipe_init(loop, &r->peer.pipe, 0);
    else
        uv_tcp_init(loop, &r->peer.tcp);
    uv_timer_init(loop, &r->timer);
    r->peer.handle.data = r->timer.data = r;
    r->handles = 2;
    if (uv_accept(listener, &r->peer.stream) || uv_read_start(&r->peer.stream, room, got)) {
        end(r);
        return;
    }
    uv_timer_start(&r->timer, too_late, PATIENCE, 0);
}

/* ---- The socket ------------------------------------------------------------------------------ */

static lmail_status fail(lmail_status st, const char *address, int why, char *error, size_t cap)
{
    if (cap)
        snprintf(error, cap, "cannot show metrics on %s: %s", address, strerror(why));
    return st;
}

static lmail_status status_of(int why)
{
    return why == EADDRINUSE               ? LMAIL_ERR_BUSY
           : why == EACCES || why == EPERM ? LMAIL_ERR_DENIED
           : why == EINVAL                 ? LMAIL_ERR_ARG
                                           : LMAIL_ERR_IO;
}

/* The mode is set before listening: until then nobody can connect. Returns 0 or an errno. */
static int bind_unix(lmail_metrics_door *d, const char *path, unsigned mode)
{
    const struct sockaddr_un *name = NULL;
    if (strlen(path) >= sizeof name->sun_path)
        return ENAMETOOLONG;
    if (lmi_socket_is_stale(path))
        unlink(path);
    int st = uv_pipe_bind(&d->listener.pipe, path);
    if (!st && chmod(path, mode ? mode : 0660))
        return errno;
    return -st;
}

/* "192.0.2.1:9025" or "[::1]:9025". Returns 0 or an errno. */
static int bind_ip(lmail_metrics_door *d, const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    char *rest;
    long port = colon ? strtol(colon + 1, &rest, 10) : -1;
    int bracket = address[0] == '[';
    struct sockaddr_storage name;
    if (!colon || !colon[1] || *rest || port < 0 || port > 65535 || len >= sizeof host ||
        (bracket && (len < 3 || colon[-1] != ']')))
        return EINVAL;
    snprintf(host, sizeof host, "%.*s", (int)(bracket ? len - 2 : len), address + bracket);
    memset(&name, 0, sizeof name);
    int st = bracket ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)(void *)&name)
                     : uv_ip4_addr(host, (int)port, (struct sockaddr_in *)(void *)&name);
    if (!st)
        st = uv_tcp_bind(&d->listener.tcp, (const struct sockaddr *)(const void *)&name, 0);
    return -st;
}

static void door_closed(uv_handle_t *handle)
{
    lmail_metrics_door *d = handle->data;
    d->listening = 0;
    if (d->failed)
        lmail_metrics_door_free(d);
}

lmail_status lmail_metrics_door_new(lmail_metrics_door **out,
                                    const lmail_metrics_door_config *config, char *error,
                                    size_t cap)
{
    static const char path[] = "unix:";
    if (config->size > sizeof *config)
        return LMAIL_ERR_SIZE;
    if (!config->address || !config->metrics || !config->loop || !config->pool)
        return LMAIL_ERR_ARG;
    lmail_metrics_door *d = calloc(1, sizeof *d);
    request *spare = malloc(sizeof *spare);
    if (!d || !spare) {
        free(d);
        free(spare);
        return LMAIL_ERR_NOMEM;
    }
    d->spare = spare;
    d->metrics = config->metrics;
    d->loop = config->loop;
    d->pool = config->pool;
    d->collect = config->collect;
    d->user = config->user;
    pthread_mutex_init(&d->lock, NULL);
    d->is_unix = strncmp(config->address, path, sizeof path - 1) == 0;
    if (d->is_unix)
        uv_pipe_init(lmail_loop_uv(d->loop), &d->listener.pipe, 0);
    else
        uv_tcp_init(lmail_loop_uv(d->loop), &d->listener.tcp);
    d->listener.handle.data = d;
    d->listening = 1;
    int why = d->is_unix ? bind_unix(d, config->address + sizeof path - 1, config->unix_mode)
                         : bind_ip(d, config->address);
    if (!why)
        why = -uv_listen(&d->listener.stream, 64, come);
    if (why) {
        d->failed = 1; /* freed when its handle is closed */
        lmail_metrics_door_close(d);
        return fail(status_of(why), config->address, why, error, cap);
    }
    uv_unref(&d->listener.handle);
    *out = d;
    return LMAIL_OK;
}

unsigned lmail_metrics_door_port(const lmail_metrics_door *d)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage all;
    } name;
    int len = sizeof name;
    memset(&name, 0, sizeof name);
    if (d->is_unix || uv_tcp_getsockname(&d->listener.tcp, &name.any, &len))
        return 0;
    return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

void lmail_metrics_door_close(lmail_metrics_door *d)
{
    if (!d || d->closed)
        return;
    d->closed = 1;
    uv_close(&d->listener.handle, door_closed);
    for (request *r = d->requests; r; r = r->next)
        end(r);
}

void lmail_metrics_door_free(lmail_metrics_door *d)
{
    if (!d)
        return;
    pthread_mutex_destroy(&d->lock);
    free(d->spare);
    free(d);
}
