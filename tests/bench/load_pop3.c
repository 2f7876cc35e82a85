/* load_pop3.c - a client that retrieves a whole maildrop and says how many messages a second.
 *
 *     load_pop3 PORT USER PASSWORD MESSAGES WINDOW
 *
 * RETR 1 to MESSAGES on one connection, WINDOW commands ahead of the answers: 1 is one at a time.
 * Ends of answers are counted by their ".\r\n"; the text is thrown away. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "load_pop3: %s: %s\n", what, detail);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n < 0)
            die("send", strerror(errno));
        text += n;
        len -= (size_t)n;
    }
}

static void ask(int fd, const char *text)
{
    char buf[4096];
    if (text)
        send_all(fd, text, strlen(text));
    ssize_t n = recv(fd, buf, sizeof buf - 1, 0);
    if (n <= 0 || buf[0] != '+') {
        buf[n > 0 ? n : 0] = '\0';
        die("refused", buf);
    }
}

/* Ends of answers in a stream that arrives in pieces: "\r\n.\r\n". */
static size_t count_ends(const char *buf, size_t n)
{
    static unsigned matched;
    static const char end[] = "\r\n.\r\n";
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (matched == 0) {
            const char *cr = memchr(buf + i, '\r', n - i);
            if (!cr)
                break;
            i = (size_t)(cr - buf);
        }
        if (buf[i] == end[matched]) {
            if (++matched == 5) {
                count++;
                matched = 2;
            }
        } else {
            matched = buf[i] == '\r';
        }
    }
    return count;
}

static void retrieve(int fd, size_t messages, size_t window)
{
    static char buf[PIECE];
    size_t asked = 0, got = 0, octets = 0;
    double start = now();
    while (got < messages) {
        char text[65536];
        size_t len = 0;
        /* Half a window at once, so that pipelined commands arrive in batches. */
        if (asked == got || asked - got <= window / 2)
            while (asked < messages && asked - got < window && len < sizeof text - 32)
                len += (size_t)sprintf(text + len, "RETR %zu\r\n", ++asked);
        send_all(fd, text, len);
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0)
            die("connection lost", n ? strerror(errno) : "closed by the server");
        octets += (size_t)n;
        got += count_ends(buf, (size_t)n);
    }
    double s = now() - start;
    printf("%.0f %zu\n", (double)messages / s, octets);
}

int main(int argc, char **argv)
{
    char line[512];
    struct sockaddr_in to = {.sin_family = AF_INET};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (argc != 6)
        die("usage", "load_pop3 PORT USER PASSWORD MESSAGES WINDOW");
    to.sin_port = htons((unsigned short)atoi(argv[1]));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof to))
        die("connect", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ask(fd, NULL);
    snprintf(line, sizeof line, "USER %s\r\n", argv[2]);
    ask(fd, line);
    snprintf(line, sizeof line, "PASS %s\r\n", argv[3]);
    ask(fd, line);
    retrieve(fd, (size_t)atoi(argv[4]), (size_t)atoi(argv[5]));
    ask(fd, "QUIT\r\n");
    return 0;
}
