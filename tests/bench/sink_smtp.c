/* sink_smtp.c - a server that takes messages and throws them away.
 *
 *     sink_smtp PORT MESSAGES ADDRESS...
 *
 * Listens at PORT of each ADDRESS, says "ready", takes MESSAGES messages and says how many a second
 * they came and over how many connections. One thread, poll(2). It looks for line ends and the dot. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 2000, LINE = 1100 };

typedef struct client {
    int fd, data;
    size_t len;
    char in[LINE]; /* an unfinished line */
} client;

static client clients[MOST];
static struct pollfd polls[MOST];
static size_t listeners, count, connections, messages;
static struct timespec first;

static void die(const char *what)
{
    fprintf(stderr, "sink_smtp: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add(int fd)
{
    if (count == MOST)
        die("too many connections");
    clients[count] = (client){.fd = fd};
    polls[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void listen_at(const char *address, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        die(address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 1000))
        die(address);
    add(fd);
    listeners++;
}

static const char *line(client *c, const char *at, size_t len)
{
    if (c->data) {
        if (len != 1 || *at != '.')
            return "";
        c->data = 0;
        messages++;
        return "250 2.0.0 taken\r\n";
    }
    if (len >= 4 && !strncasecmp(at, "EHLO", 4))
        return "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n";
    if (len >= 4 && !strncasecmp(at, "DATA", 4)) {
        c->data = 1;
        return "354 go on\r\n";
    }
    return len >= 4 && !strncasecmp(at, "QUIT", 4) ? "221 2.0.0 bye\r\n" : "250 2.0.0 OK\r\n";
}

/* Returns whether it is still there. */
static int serve(client *c)
{
    char in[65536], out[8192];
    size_t len = c->len, out_len = 0;
    memcpy(in, c->in, len);
    ssize_t n = recv(c->fd, in + len, sizeof in - len, 0);
    if (n <= 0)
        return 0;
    len += (size_t)n;
    char *at = in, *end;
    while ((end = memchr(at, '\n', len - (size_t)(at - in)))) {
        const char *say = line(c, at, (size_t)(end - at) - (end > at && end[-1] == '\r'));
        size_t size = strlen(say);
        if (out_len + size > sizeof out)
            die("a client that does not wait");
        memcpy(out + out_len, say, size);
        out_len += size;
        at = end + 1;
    }
    c->len = len - (size_t)(at - in);
    if (c->len > sizeof c->in)
        die("a long line");
    memcpy(c->in, at, c->len);
    return !out_len || send(c->fd, out, out_len, MSG_NOSIGNAL) == (ssize_t)out_len;
}

static void turn(void)
{
    if (poll(polls, (nfds_t)count, 120000) <= 0)
        die("nothing happens");
    for (size_t i = count; i-- > listeners;)
        if (polls[i].revents && !serve(&clients[i])) {
            close(clients[i].fd);
            clients[i] = clients[--count];
            polls[i] = polls[count];
        }
    for (size_t i = 0; i < listeners; i++) {
        if (!(polls[i].revents & POLLIN))
            continue;
        int fd = accept(clients[i].fd, NULL, NULL);
        if (fd < 0)
            die("accept");
        if (!connections++)
            clock_gettime(CLOCK_MONOTONIC, &first);
        add(fd);
        if (send(fd, "220 sink.test ESMTP\r\n", 21, MSG_NOSIGNAL) != 21)
            die("greeting");
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: sink_smtp PORT MESSAGES ADDRESS...\n", stderr);
        return 64;
    }
    for (int i = 3; i < argc; i++)
        listen_at(argv[i], atoi(argv[1]));
    puts("ready");
    fflush(stdout);
    while (messages < (size_t)atol(argv[2]))
        turn();
    struct timespec last;
    clock_gettime(CLOCK_MONOTONIC, &last);
    double seconds =
        (double)(last.tv_sec - first.tv_sec) + (double)(last.tv_nsec - first.tv_nsec) / 1e9;
    printf("%zu messages over %zu connections: %.0f/s\n", messages, connections,
           (double)messages / seconds);
    return 0;
}
