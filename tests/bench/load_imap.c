/* load_imap.c - a client that asks an IMAP server and throws the answers away, as fast as it can.
 *
 *     load_imap PORT commands USER PASSWORD
 *         one connection; logs in, then reads commands from standard input, one a line, and says of
 *         each: milliseconds, octets received, the tagged line
 *     load_imap PORT logins CONNECTIONS COUNT USER PASSWORD
 *         LOGIN, SELECT INBOX, LOGOUT on a fresh connection each, CONNECTIONS at a time
 *
 * One thread, poll(2). A tagged line other than OK ends it with an error. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "load_imap: %s: %s\n", what, detail);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof to))
        die("connect", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* ---- One connection, command after command ------------------------------------------------------- */

/* Reads until a line that begins with the tag; its text into line. Returns the octets received. */
static size_t until_tagged(int fd, const char *tag, char *line, size_t cap)
{
    static char buf[PIECE + 4096];
    size_t total = 0, kept = 0, tag_len = strlen(tag);
    for (;;) {
        ssize_t n = recv(fd, buf + kept, PIECE, 0);
        if (n <= 0)
            die("connection lost", n ? strerror(errno) : "closed by the server");
        total += (size_t)n;
        kept += (size_t)n;
        /* The tagged line ends the answer: it can only be the last line received. */
        if (buf[kept - 1] == '\n') {
            size_t at = kept - 1;
            while (at > 0 && buf[at - 1] != '\n')
                at--;
            if (kept - at > tag_len && memcmp(buf + at, tag, tag_len) == 0) {
                snprintf(line, cap, "%.*s", (int)(kept - at - tag_len - 2), buf + at + tag_len);
                return total;
            }
        }
        if (kept > 4096) {
            memmove(buf, buf + kept - 4096, 4096);
            kept = 4096;
        }
    }
}

static void commands(int port, const char *user, const char *password)
{
    char text[4096], tag[32], line[512], in[2048];
    int fd = connect_to(port);
    if (recv(fd, in, sizeof in, 0) <= 0)
        die("connection lost", "before the greeting");
    snprintf(in, sizeof in, "LOGIN %s %s", user, password);
    for (unsigned number = 0;; number++) {
        if (number && !fgets(in, sizeof in, stdin))
            break;
        in[strcspn(in, "\n")] = '\0';
        snprintf(tag, sizeof tag, "q%uzx ", number);
        int len = snprintf(text, sizeof text, "%s%s\r\n", tag, in);
        double start = now();
        if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
            die("send", strerror(errno));
        size_t octets = until_tagged(fd, tag, line, sizeof line);
        double ms = (now() - start) * 1000;
        if (strncmp(line, "OK", 2) != 0)
            die(in, line);
        if (number)
            printf("%.2f %zu %s\n", ms, octets, line);
        fflush(stdout);
    }
    close(fd);
}

/* ---- Many logins ----------------------------------------------------------------------------------- */

typedef struct client {
    int fd, step;
    char last[512];
    size_t len;
} client;

static const char *steps[3];

/* The answer is whole when the last line is the one awaited. */
static int complete(const client *c)
{
    static const char *const ends[] = {"* OK", "a OK", "b OK", "c OK"};
    size_t at = c->len;
    if (at == 0 || c->last[at - 1] != '\n')
        return 0;
    for (at--; at > 0 && c->last[at - 1] != '\n';)
        at--;
    if (c->len - at > 3 && memcmp(c->last + at + 1, " NO", 3) == 0)
        die("refused", c->last + at);
    return c->len - at >= 4 && memcmp(c->last + at, ends[c->step], 4) == 0;
}

static void receive(client *c)
{
    char buf[16384];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("connection lost", n ? strerror(errno) : "closed by the server");
    size_t take = (size_t)n < 256 ? (size_t)n : 256;
    if (c->len > 255) {
        memmove(c->last, c->last + c->len - 255, 255);
        c->len = 255;
    }
    memcpy(c->last + c->len, buf + n - take, take);
    c->len += take;
    c->last[c->len] = '\0';
    if (!complete(c))
        return;
    c->len = 0;
    if (c->step == 3) {
        close(c->fd);
        c->fd = -1;
        return;
    }
    const char *text = steps[c->step++];
    if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        die("send", strerror(errno));
}

static void logins(int port, int count, int total, const char *user, const char *password)
{
    static char login[512];
    client *clients = calloc((size_t)count, sizeof *clients);
    struct pollfd *polls = calloc((size_t)count, sizeof *polls);
    snprintf(login, sizeof login, "a LOGIN %s %s\r\n", user, password);
    steps[0] = login;
    steps[1] = "b SELECT INBOX\r\n";
    steps[2] = "c LOGOUT\r\n";
    double start = now();
    for (int i = 0; i < count; i++)
        clients[i].fd = -1;
    for (int begun = 0, over = 0; over < total;) {
        for (int i = 0; i < count; i++) {
            if (clients[i].fd < 0 && begun < total) {
                clients[i] = (client){.fd = connect_to(port)};
                begun++;
            }
            polls[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        }
        if (poll(polls, (nfds_t)count, 60000) <= 0)
            die("poll", "nothing happens");
        for (int i = 0; i < count; i++)
            if (clients[i].fd >= 0 && polls[i].revents) {
                receive(&clients[i]);
                over += clients[i].fd < 0;
            }
    }
    printf("%.0f\n", total / (now() - start));
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[2], "commands") == 0)
        commands(atoi(argv[1]), argv[3], argv[4]);
    else if (argc == 7 && strcmp(argv[2], "logins") == 0)
        logins(atoi(argv[1]), atoi(argv[3]), atoi(argv[4]), argv[5], argv[6]);
    else
        die("usage", "see the head of load_imap.c");
    return 0;
}
