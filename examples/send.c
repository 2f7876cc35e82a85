/* send.c - mail sent over a blocking socket: the session says what to write and wants to read.
 *
 *     example_send HOST PORT FROM TO [FILE]     without arguments: to a scripted server of its own
 *
 * The glue is pump(), 30 lines; the rest is the message, its results, and the demonstration. */
#define _POSIX_C_SOURCE 200809L
#include <libmail/smtp_client.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char message[1 << 20] = "Subject: hello\r\n\r\n.A line with a dot.\r\n";
static unsigned accepted;

static lmail_status on_octets(lmail_smtp_client *s, void *user, lmail_ticket t,
                              const lmail_smtp_client_octets_event *ev,
                              lmail_smtp_client_octets_answer *a)
{
    (void)s, (void)user, (void)t;
    size_t left = strlen(message) - (size_t)ev->offset;
    a->octets = (lmail_str){message + ev->offset, left < ev->want ? left : ev->want};
    a->end = a->octets.len == left;
    return LMAIL_OK;
}

static void on_released(lmail_smtp_client *s, void *user, lmail_ticket t)
{
    (void)s, (void)user, (void)t; /* the message is there all the time */
}

static void on_recipient(lmail_smtp_client *s, void *user, const lmail_smtp_recipient_event *ev)
{
    (void)s, (void)user;
    accepted += ev->outcome == LMAIL_SMTP_ACCEPTED;
    printf("recipient %u: %s, %s at %s: %u %.*s %.*s\n", ev->recipient,
           lmail_smtp_outcome_name(ev->outcome), lmail_smtp_cause_name(ev->cause),
           lmail_smtp_phase_name(ev->phase), ev->reply.code, (int)ev->reply.enhanced.len,
           ev->reply.enhanced.ptr, (int)ev->reply.text.len, ev->reply.text.ptr);
}

static lmail_msec now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (lmail_msec)t.tv_sec * 1000 + (lmail_msec)t.tv_nsec / 1000000;
}

/* Until the session wants to close. A program with timeouts would poll() until the deadline. */
static void pump(lmail_smtp_client *s, int fd)
{
    char in[4096];
    size_t held = 0, used;
    lmail_smtp_client_tick(s, now());
    for (unsigned wants; !((wants = lmail_smtp_client_wants(s)) & LMAIL_WANT_CLOSE);) {
        lmail_str out;
        if (lmail_smtp_client_peek(s, &out, 1)) {
            ssize_t n = write(fd, out.ptr, out.len);
            if (n <= 0)
                lmail_smtp_client_eof(s, now());
            else
                lmail_smtp_client_sent(s, (size_t)n, now());
        } else if (!lmail_smtp_client_queued(s) && lmail_smtp_client_mails_left(s)) {
            lmail_smtp_client_stop(s, now()); /* all is sent: QUIT */
        } else if (wants & LMAIL_WANT_READ) {
            ssize_t n = held ? 0 : read(fd, in, sizeof in);
            held += n > 0 ? (size_t)n : 0;
            if (!held || lmail_smtp_client_feed(s, (lmail_str){in, held}, &used, now()))
                lmail_smtp_client_eof(s, now());
            else
                memmove(in, in + used, held -= used);
        } else {
            lmail_smtp_client_eof(s, now()); /* TLS would start here */
        }
    }
}

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found))
        return -1;
    int fd = socket(found->ai_family, found->ai_socktype, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* A server that knows its lines: what it says to each line it reads; "" to most of the message. */
static void scripted_server(int fd)
{
    static const char *const say[] = {"EHLO",  "250-mx.example\r\n250 PIPELINING\r\n",
                                      "MAIL",  "250 2.1.0 OK\r\n",
                                      "RCPT",  "250 2.1.5 OK\r\n",
                                      "DATA",  "354 go\r\n",
                                      ".\r\n", "250 2.0.0 taken\r\n",
                                      "QUIT",  "221 bye\r\n"};
    FILE *in = fdopen(dup(fd), "r");
    char line[1024];
    dprintf(fd, "220-mx.example\r\n220 ready\r\n");
    while (in && fgets(line, sizeof line, in))
        for (size_t i = 0; i < sizeof say / sizeof *say; i += 2)
            if (strncmp(line, say[i], strlen(say[i])) == 0)
                dprintf(fd, "%s", say[i + 1]);
    _exit(0);
}

int main(int argc, char **argv)
{
    lmail_smtp_client_config config = LMAIL_SMTP_CLIENT_CONFIG_INIT;
    lmail_smtp_client_handler handler = LMAIL_SMTP_CLIENT_HANDLER_INIT;
    lmail_smtp_client_mail mail = LMAIL_SMTP_CLIENT_MAIL_INIT;
    lmail_smtp_client_rcpt to = {{"b@example.org", 13}, 0, {NULL, 0}, {NULL, 0}};
    lmail_smtp_client_setup *setup;
    lmail_smtp_client *s;
    lmail_ticket ticket;
    int pair[2] = {-1, -1};
    if (argc >= 5) {
        FILE *f = argc > 5 ? fopen(argv[5], "rb") : NULL;
        if (f)
            message[fread(message, 1, sizeof message - 1, f)] = 0;
        pair[0] = dial(argv[1], argv[2]);
        to.to = lmail_str_from(argv[4]);
    } else if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && fork() == 0) {
        close(pair[0]);
        scripted_server(pair[1]);
    }
    close(pair[1]);
    config.helo_name = LMAIL_STR("client.example");
    config.tls = LMAIL_SMTP_TLS_NONE;
    handler.on_octets = on_octets;
    handler.on_released = on_released;
    handler.on_recipient = on_recipient;
    mail.from = lmail_str_from(argc >= 5 ? argv[3] : "a@example.net");
    mail.recipients = &to;
    mail.recipient_count = 1;
    if (pair[0] < 0 || lmail_smtp_client_setup_new(&setup, &config, &handler) ||
        lmail_smtp_client_new(&s, setup, NULL, NULL, now()) ||
        lmail_smtp_client_submit_mail(s, &mail, &ticket, now()))
        return 1;
    pump(s, pair[0]);
    lmail_smtp_client_free(s);
    lmail_smtp_client_setup_free(setup);
    close(pair[0]);
    if (argc < 5)
        wait(NULL);
    return accepted == 1 ? 0 : 1;
}
