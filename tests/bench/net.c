/* links: host
 * What host/net costs: memory of an idle connection, commands and octets a second, handshakes.
 *
 *     bench_net [CONNECTIONS]
 *
 * The server is the echo session in this process with one loop; clients live in forked processes,
 * so that memory is the server's alone. Prints figures, judges none. */
#include "host_echo.h"
#include "host_tls_peer.h"

#include <libmail/host/net.h>

#include <arpa/inet.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const echo_host HOST = {0};
static unsigned plain_port, tls_port;

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(int true_thing, const char *what)
{
    if (true_thing)
        return;
    perror(what);
    exit(EXIT_FAILURE);
}

/* ---- The server ------------------------------------------------------------------------------ */

static lmail_session *on_open(void *user, lmail_conn *conn, const lmail_conn_facts *facts,
                              lmail_msec now)
{
    (void)user;
    (void)facts;
    return echo_new(&HOST, conn, now);
}

static void *run(void *net)
{
    lmail_net_run(net);
    return NULL;
}

static unsigned listen_on(lmail_net *net, lmail_tls *tls)
{
    lmail_listener_config config = LMAIL_LISTENER_CONFIG_INIT;
    lmail_listener *listener;
    char error[256];
    config.address = "127.0.0.1:0";
    config.on_open = on_open;
    config.tls = tls;
    config.implicit_tls = tls != NULL;
    config.rest_after = 200;
    need(!lmail_listener_new(&listener, net, &config, error, sizeof(error)), "listen");
    return lmail_listener_port(listener);
}

static lmail_tls *make_tls(void)
{
    static tls_identity id;
    lmail_tls_config config = LMAIL_TLS_CONFIG_INIT;
    lmail_tls *tls;
    need(!tls_identity_make(&id, "bench.test", "bench.test", NULL), "certificate");
    lmail_tls_cert cert = {lmail_str_from(id.cert), lmail_str_from(id.key)};
    config.certs = &cert;
    config.certs_n = 1;
    need(!lmail_tls_new(&tls, &config, NULL, 0), "tls");
    return tls;
}

/* ---- Clients --------------------------------------------------------------------------------- */

static int dial(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to)), "connect");
    return fd;
}

static void drain(int fd, size_t n)
{
    static char octets[1 << 18];
    while (n) {
        ssize_t got = recv(fd, octets, n < sizeof(octets) ? n : sizeof(octets), 0);
        need(got > 0, "recv");
        n -= (size_t)got;
    }
}

static void tell(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        need(sent > 0, "send");
        text += sent;
        n -= (size_t)sent;
    }
}

static void flush(int fd, tls_peer *p)
{
    tell(fd, p->out, p->out_len);
    p->out_len = 0;
}

static void shake(int fd, tls_peer *p)
{
    static char raw[20000];
    tls_peer_options o = {.server_name = "bench.test"};
    need(!tls_peer_init(p, &o), "client");
    int rc;
    while ((rc = tls_peer_handshake(p)) == 1) {
        flush(fd, p);
        ssize_t n = recv(fd, raw, sizeof(raw), 0);
        need(n > 0, "recv");
        p->in = raw;
        p->in_len = (size_t)n;
    }
    need(rc == 0, "handshake");
    flush(fd, p);
}

/* Run fn(n) in another process while `during` runs here; the child waits for our word to end. */
typedef struct child {
    pid_t pid;
    int ready, end;
} child;

static child spawn(void (*fn)(unsigned), unsigned n)
{
    int up[2], down[2];
    need(!pipe(up) && !pipe(down), "pipe");
    child c = {fork(), up[0], down[1]};
    need(c.pid >= 0, "fork");
    if (c.pid == 0) {
        char word = 0;
        close(down[1]);
        fn(n);
        need(write(up[1], &word, 1) == 1, "write");
        _exit(read(down[0], &word, 1) < 0);
    }
    close(up[1]);
    close(down[0]);
    char word;
    need(read(c.ready, &word, 1) == 1, "child");
    return c;
}

static void end(child c)
{
    close(c.end);
    close(c.ready);
    waitpid(c.pid, NULL, 0);
}

static void idle_plain(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int fd = dial(plain_port);
        drain(fd, 10); /* 220 echo */
        tell(fd, "echo once\r\n", 11);
        drain(fd, 6);
    }
}

static void idle_tls(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        tls_peer p;
        int fd = dial(tls_port);
        shake(fd, &p); /* the process ends soon: nothing is given back */
    }
}

static void pipelined(unsigned n)
{
    enum { BATCH = 500 };
    static const char command[] = "echo 0123456789\r\n";
    char *batch = malloc(BATCH * (sizeof(command) - 1));
    int fd = dial(plain_port);
    drain(fd, 10);
    for (unsigned i = 0; i < BATCH; i++)
        memcpy(batch + i * (sizeof(command) - 1), command, sizeof(command) - 1);
    for (unsigned i = 0; i < n; i += BATCH) {
        tell(fd, batch, BATCH * (sizeof(command) - 1));
        drain(fd, (size_t)BATCH * 12);
    }
    free(batch);
}

static void one_by_one(unsigned n)
{
    int fd = dial(plain_port);
    drain(fd, 10);
    for (unsigned i = 0; i < n; i++) {
        tell(fd, "echo 0123456789\r\n", 17);
        drain(fd, 12);
    }
}

static void connections(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int fd = dial(plain_port);
        drain(fd, 10);
        close(fd);
    }
}

static void stream_out(unsigned mib)
{
    char text[64];
    int fd = dial(plain_port);
    drain(fd, 10);
    tell(fd, text, (size_t)snprintf(text, sizeof(text), "big %u\r\n", mib << 20));
    drain(fd, ((size_t)mib << 20) + 2);
}

static void stream_in(unsigned mib)
{
    static char octets[1 << 20];
    char text[64];
    int fd = dial(plain_port);
    drain(fd, 10);
    tell(fd, text, (size_t)snprintf(text, sizeof(text), "sink %u\r\n", mib << 20));
    for (unsigned i = 0; i < mib; i++)
        tell(fd, octets, sizeof(octets));
    drain(fd, 6);
}

static void handshakes(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        tls_peer p;
        int fd = dial(tls_port);
        shake(fd, &p);
        tls_peer_done(&p);
        close(fd);
    }
}

/* ---- Figures --------------------------------------------------------------------------------- */

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static size_t resident(void)
{
    unsigned long size = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    need(f && fscanf(f, "%lu %lu", &size, &rss) == 2, "statm");
    fclose(f);
    return rss * (size_t)sysconf(_SC_PAGESIZE);
}

static void idle(const char *what, void (*fn)(unsigned), unsigned n)
{
    size_t heap_before = heap(), rss_before = resident();
    child c = spawn(fn, n);
    nanosleep(&(struct timespec){1, 0}, NULL); /* until they rest */
    printf("%-34s %8.0f octets heap, %8.0f resident\n", what, (double)(heap() - heap_before) / n,
           ((double)resident() - (double)rss_before) / n);
    end(c);
    nanosleep(&(struct timespec){0, 300000000}, NULL);
}

static void rate(const char *what, const char *unit, void (*fn)(unsigned), unsigned n)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    child c = spawn(fn, n);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%-34s %8.0f %s/s, server CPU %.2f us each\n", what, n / wall, unit, cpu * 1e6 / n);
    end(c);
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5000;
    lmail_net_config config = LMAIL_NET_CONFIG_INIT;
    lmail_net *net;
    pthread_t thread;
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    config.loops = 1;
    config.max_connections = n + 1000;
    config.max_per_address = n + 1000;
    need(!lmail_net_new(&net, &config, NULL, 0), "net");
    lmail_tls *tls = make_tls();
    plain_port = listen_on(net, NULL);
    tls_port = listen_on(net, tls);
    lmail_tls_release(tls);
    pthread_create(&thread, NULL, run, net);
    rate("warm-up", "connections", connections, 500);

    idle("idle connection", idle_plain, n);
    idle("idle connection, TLS 1.3", idle_tls, 300);
    rate("connections", "connections", connections, 5000);
    rate("commands, one at a time", "commands", one_by_one, 50000);
    rate("commands, 500 pipelined", "commands", pipelined, 1000000);
    rate("octets out", "MiB", stream_out, 2048);
    rate("octets in", "MiB", stream_in, 2048);
    rate("full TLS 1.3 handshakes", "handshakes", handshakes, 500);

    lmail_net_stop(net, 0);
    pthread_join(thread, NULL);
    lmail_net_free(net);
    return EXIT_SUCCESS;
}
