/* host_loopback.c - see host_loopback.h. */
#include "host_loopback.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- A server in a thread -------------------------------------------------------------------- */

typedef struct late {
    struct late *next;
    server *server;
    lmail_conn *conn;
    lmail_session *session;
    lmail_ticket ticket;
} late;

void nap(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static void answer(void *arg)
{
    late *l = arg;
    echo_answer(l->session, l->ticket, lmail_loop_now(lmail_conn_loop(l->conn)));
    lmail_conn_wake(l->conn);
    free(l);
}

static void work(void *arg)
{
    (void)arg;
    nap(1);
}

static void on_ask(void *user, lmail_session *s, lmail_ticket t, lmail_str lent)
{
    lmail_conn *conn = user;
    server *sv = lmail_conn_user(conn);
    (void)lent;
    late *l = malloc(sizeof(*l));
    *l = (late){NULL, sv, conn, s, t};
    if (sv->answering == FROM_WORKER) {
        ck_assert_int_eq(lmail_pool_submit(sv->pool, lmail_conn_loop(conn), work, answer, l,
                                           lmail_conn_key(conn)),
                         LMAIL_OK);
    } else {
        pthread_mutex_lock(&sv->lock);
        l->next = sv->late;
        sv->late = l;
        pthread_mutex_unlock(&sv->lock);
    }
    atomic_fetch_add(&sv->asked, 1);
}

void answer_late(server *sv)
{
    pthread_mutex_lock(&sv->lock);
    late *l = sv->late;
    sv->late = NULL;
    pthread_mutex_unlock(&sv->lock);
    while (l) {
        late *next = l->next;
        lmail_loop_post(lmail_conn_loop(l->conn), answer, l);
        l = next;
    }
}

static void on_cancel(void *user, lmail_session *s, lmail_ticket t)
{
    server *sv = lmail_conn_user(user);
    (void)s;
    (void)t;
    atomic_fetch_add(&sv->cancelled, 1);
}

static lmail_session *on_open(void *user, lmail_conn *conn, const lmail_conn_facts *facts,
                              lmail_msec now)
{
    server *sv = user;
    ck_assert_uint_gt(facts->id, 0);
    lmail_conn_set_user(conn, sv);
    atomic_fetch_add(&sv->opened, 1);
    return echo_new(&sv->echo, conn, now);
}

static void on_refused(void *user, lmail_loop *loop, lmail_refused why)
{
    server *sv = user;
    (void)loop;
    atomic_fetch_add(&sv->refused[why], 1);
}

static void on_closed(void *user, lmail_conn *conn, lmail_session *session,
                      lmail_close_reason reason)
{
    server *sv = user;
    ck_assert_ptr_eq(lmail_conn_session(conn), session);
    lmail_conn_wake(conn); /* of no effect */
    atomic_store(&sv->last_reason, reason);
    atomic_fetch_add(&sv->closed, 1);
}

static void on_released(void *user)
{
    atomic_fetch_add(&((server *)user)->released, 1);
}

static void *run(void *arg)
{
    ck_assert_int_eq(lmail_net_run(((server *)arg)->net), LMAIL_OK);
    return NULL;
}

lmail_listener_config listener_config(server *sv)
{
    lmail_listener_config c = LMAIL_LISTENER_CONFIG_INIT;
    c.address = "127.0.0.1:0";
    c.on_open = on_open;
    c.on_closed = on_closed;
    c.on_refused = on_refused;
    c.on_released = on_released;
    c.user = sv;
    return c;
}

void start_with(server *sv, const lmail_net_config *net, const lmail_listener_config *listen)
{
    char error[256] = "";
    lmail_pool_config pool = LMAIL_POOL_CONFIG_INIT;
    pool.name = "test";
    pool.threads = 2;
    pthread_mutex_init(&sv->lock, NULL);
    sv->echo.on_ask = on_ask;
    sv->echo.on_cancel = on_cancel;
    ck_assert_msg(!lmail_net_new(&sv->net, net, error, sizeof(error)), "%s", error);
    ck_assert_int_eq(lmail_pool_new(&sv->pool, sv->net, &pool), LMAIL_OK);
    ck_assert_msg(!lmail_listener_new(&sv->listener, sv->net, listen, error, sizeof(error)), "%s",
                  error);
    sv->port = lmail_listener_port(sv->listener);
    pthread_create(&sv->thread, NULL, run, sv);
}

void start_server(server *sv)
{
    lmail_net_config net = LMAIL_NET_CONFIG_INIT;
    lmail_listener_config listen = listener_config(sv);
    net.loops = 2;
    net.max_per_address = 5000;
    start_with(sv, &net, &listen);
}

void stop_server(server *sv, lmail_msec grace)
{
    lmail_net_stop(sv->net, grace);
    pthread_join(sv->thread, NULL);
    lmail_net_free(sv->net);
    ck_assert_uint_eq(sv->opened, sv->closed);
    ck_assert_uint_eq(sv->released, 1);
    pthread_mutex_destroy(&sv->lock);
}

lmail_net_stats stats_of(server *sv)
{
    lmail_net_stats s = {.size = sizeof(s)};
    ck_assert_int_eq(lmail_net_get_stats(sv->net, &s), LMAIL_OK);
    return s;
}

void await(atomic_uint *n, unsigned least)
{
    for (int i = 0; i < 20000 && atomic_load(n) < least; i++)
        nap(1);
    ck_assert_uint_ge(atomic_load(n), least);
}

/* ---- A client -------------------------------------------------------------------------------- */

int try_dial(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        close(fd);
        return -1;
    }
    return fd;
}

int dial(unsigned port)
{
    int fd = try_dial(port);
    ck_assert_int_ge(fd, 0);
    return fd;
}

void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

const char *hear(int fd)
{
    static _Thread_local char line[1024];
    size_t n = 0;
    while (n < sizeof(line) - 1 && (n == 0 || line[n - 1] != '\n')) {
        struct pollfd p = {fd, POLLIN, 0};
        ck_assert_int_gt(poll(&p, 1, 20000), 0);
        ssize_t got = recv(fd, line + n, 1, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    line[n] = 0;
    return line;
}

void expect(int fd, const char *line)
{
    ck_assert_str_eq(hear(fd), line);
}

uint32_t checksum(const char *octets, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)octets[i];
    return sum;
}
