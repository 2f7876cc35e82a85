/* load_smtp.c - a client that sends messages over N connections at once and says how many a second.
 *
 *     load_smtp PORT CONNECTIONS MESSAGES OCTETS [RECIPIENT]
 *
 * Each connection sends its share one after the other: MAIL, RCPT, DATA pipelined, the message, the
 * next. One thread, poll(2). A reply that is not the one expected ends it with an error. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct client {
    int fd;
    int left;      /* messages to send */
    int phase;     /* 0 greeting, 1 EHLO, 2 envelope replies, 3 end of data, 4 QUIT */
    int replies;   /* still to come in this phase */
    char in[4096]; /* an unfinished line */
    size_t in_len;
    const char *out;
    size_t out_len;
} client;

static char *envelope, *message;
static size_t envelope_len, message_len;

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "load_smtp: %s: %s\n", what, detail);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_message(size_t octets, const char *to)
{
    static const char line[] =
        "The quick brown fox jumps over the lazy dog and runs away from it.\r\n";
    static const char head[] = "From: load@example.test\r\nSubject: load\r\n"
                               "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
                               "Message-ID: <load@example.test>\r\n\r\n";
    envelope = malloc(1000);
    envelope_len = (size_t)snprintf(
        envelope, 1000, "MAIL FROM:<load@example.test>\r\nRCPT TO:<%s>\r\nDATA\r\n", to);
    message = malloc(octets + sizeof head + sizeof line + 8);
    memcpy(message, head, sizeof head - 1);
    message_len = sizeof head - 1;
    while (message_len + sizeof line - 1 <= octets) {
        memcpy(message + message_len, line, sizeof line - 1);
        message_len += sizeof line - 1;
    }
    memcpy(message + message_len, ".\r\n", 3);
    message_len += 3;
}

static void send_text(client *c, const char *text, size_t len)
{
    c->out = text;
    c->out_len = len;
}

static int flush(client *c)
{
    while (c->out_len) {
        ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN ? 0 : (die("send", strerror(errno)), 0);
        c->out += n;
        c->out_len -= (size_t)n;
    }
    return 1;
}

static void next_message(client *c)
{
    if (c->left-- > 0) {
        c->phase = 2;
        c->replies = 3;
        send_text(c, envelope, envelope_len);
    } else {
        c->phase = 4;
        c->replies = 1;
        send_text(c, "QUIT\r\n", 6);
    }
}

/* The last line of a reply. */
static void reply(client *c, const char *line)
{
    if (line[0] != '2' && line[0] != '3')
        die("refused", line);
    if (--c->replies > 0)
        return;
    switch (c->phase) {
    case 0:
        c->phase = 1;
        c->replies = 1;
        send_text(c, "EHLO load.example.test\r\n", 24);
        break;
    case 1:
    case 3:
        next_message(c);
        break;
    case 2:
        c->phase = 3;
        c->replies = 1;
        send_text(c, message, message_len);
        break;
    default:
        close(c->fd);
        c->fd = -1;
    }
}

static void receive(client *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("connection lost", n ? strerror(errno) : "closed by the server");
    c->in_len += (size_t)n;
    c->in[c->in_len] = '\0';
    char *at = c->in, *end;
    while ((end = strchr(at, '\n'))) {
        if (end - at >= 4 && at[3] == ' ')
            reply(c, at);
        at = end + 1;
        if (c->fd < 0)
            return;
    }
    c->in_len -= (size_t)(at - c->in);
    memmove(c->in, at, c->in_len);
}

static void connect_all(client *clients, int count, int port, int messages)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    for (int i = 0; i < count; i++) {
        clients[i] = (client){.replies = 1};
        clients[i].left = messages / count + (i < messages % count);
        clients[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(clients[i].fd, (struct sockaddr *)&to, sizeof to))
            die("connect", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        die("usage", "load_smtp PORT CONNECTIONS MESSAGES OCTETS [RECIPIENT]");
    int count = atoi(argv[2]), messages = atoi(argv[3]), open = count;
    client *clients = calloc((size_t)count, sizeof *clients);
    struct pollfd *polls = calloc((size_t)count, sizeof *polls);
    make_message((size_t)atoi(argv[4]), argc > 5 ? argv[5] : "bob@example.test");
    double start = now();
    connect_all(clients, count, atoi(argv[1]), messages);
    while (open) {
        for (int i = 0; i < count; i++) {
            polls[i].fd = clients[i].fd;
            polls[i].events = (short)(POLLIN | (clients[i].out_len ? POLLOUT : 0));
        }
        if (poll(polls, (nfds_t)count, 60000) <= 0)
            die("poll", "nothing happens");
        open = 0;
        for (int i = 0; i < count; i++) {
            if (clients[i].fd >= 0 && polls[i].revents & (POLLIN | POLLHUP | POLLERR))
                receive(&clients[i]);
            if (clients[i].fd >= 0)
                flush(&clients[i]);
            open += clients[i].fd >= 0;
        }
    }
    double seconds = now() - start;
    printf("%d messages of %zu octets over %d connections: %.0f/s\n", messages, message_len - 3,
           count, messages / seconds);
    return 0;
}
