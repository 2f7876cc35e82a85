/* pop3_retr.c - what the POP3 session itself costs: RETR of many messages, without sockets.
 *
 * Messages lie in memory and are answered at once; output is looked at and thrown away. Prints
 * messages and octets a second of CPU time, and what a session and a large maildrop hold. */
#include "support/count_alloc.h"

#include <libmail/pop3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *message;
static size_t message_size;
static uint32_t message_count;

static lmail_status on_login(lmail_pop3_server *s, void *user, lmail_ticket t,
                             const lmail_pop3_login_event *ev, lmail_auth_answer *a)
{
    (void)s;
    (void)user;
    (void)t;
    a->kind = LMAIL_AUTH_OK;
    a->identity = ev->user;
    return LMAIL_OK;
}

static lmail_status on_maildrop(lmail_pop3_server *s, void *user, lmail_ticket t,
                                const lmail_pop3_maildrop_event *ev, lmail_pop3_maildrop_answer *a)
{
    static uint64_t sizes[4096];
    (void)s;
    (void)user;
    (void)t;
    uint32_t left = message_count - (ev->first - 1);
    a->count = left < ev->max ? left : ev->max;
    a->more = a->count < left;
    for (uint32_t i = 0; i < a->count; i++)
        sizes[i] = message_size;
    a->sizes = sizes;
    return LMAIL_OK;
}

static lmail_status on_octets(lmail_pop3_server *s, void *user, lmail_ticket t,
                              const lmail_pop3_octets_event *ev, lmail_pop3_octets_answer *a)
{
    (void)s;
    (void)user;
    (void)t;
    a->octets = (lmail_str){message + ev->offset, ev->want};
    return LMAIL_OK;
}

static double cpu(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void feed(lmail_pop3_server *s, lmail_str in)
{
    while (in.len) {
        size_t used;
        lmail_str part[16];
        if (lmail_pop3_server_feed(s, in, &used, 0) < 0)
            abort();
        in.ptr += used;
        in.len -= used;
        for (size_t n; (n = lmail_pop3_server_peek(s, part, 16)) > 0;) {
            size_t all = 0;
            for (size_t i = 0; i < n; i++)
                all += part[i].len;
            lmail_pop3_server_sent(s, all, 0);
        }
    }
}

static lmail_pop3_server *open_session(lmail_pop3_server_setup **u, count_alloc *c)
{
    lmail_pop3_server *s;
    lmail_pop3_server_config config;
    lmail_pop3_server_handler on;
    lmail_pop3_server_config_init(&config);
    lmail_pop3_server_handler_init(&on);
    if (c)
        config.alloc = count_alloc_table(c);
    config.flags_on = LMAIL_POP3_CLEARTEXT;
    on.on_login = on_login;
    on.on_maildrop = on_maildrop;
    on.on_octets = on_octets;
    if (lmail_pop3_server_setup_new(u, &config, &on) || lmail_pop3_server_new(&s, *u, NULL, 0))
        abort();
    return s;
}

/* A text of lines of 72 octets, every 20th with a dot in front, or base64 without any. */
static void make_message(size_t size, int dots)
{
    message = realloc(message, size);
    message_size = size;
    for (size_t i = 0; i < size; i++)
        message[i] = i % 72 == 70                    ? '\r'
                     : i % 72 == 71                  ? '\n'
                     : !dots                         ? 'A'
                     : i % 1440 == 0 || i % 61 == 60 ? '.'
                                                     : 'a';
}

static void retrieve(const char *what, size_t size, int dots, uint32_t count, int pipelined)
{
    lmail_pop3_server_setup *u;
    message_count = count;
    make_message(size, dots);
    lmail_pop3_server *s = open_session(&u, NULL);
    feed(s, LMAIL_STR("USER a\r\nPASS b\r\n"));
    char *commands = malloc((size_t)count * 24);
    size_t len = 0;
    double start = cpu();
    for (uint32_t n = 1; n <= count; n++) {
        int k = sprintf(commands + len, "RETR %u\r\n", n);
        if (pipelined)
            len += (size_t)k;
        else
            feed(s, (lmail_str){commands, (size_t)k});
    }
    feed(s, (lmail_str){commands, len});
    double took = cpu() - start;
    printf("%-28s %8.0f messages/s  %8.1f MB/s of CPU\n", what, count / took,
           (double)size * count / took / 1e6);
    free(commands);
    lmail_pop3_server_free(s);
    lmail_pop3_server_setup_free(u);
}

static void memory(uint32_t count)
{
    count_alloc c = {0};
    lmail_pop3_server_setup *u;
    message_count = count;
    message_size = 60000;
    lmail_pop3_server *s = open_session(&u, &c);
    size_t before = c.octets;
    feed(s, LMAIL_STR("USER a\r\nPASS b\r\n"));
    lmail_session_rest(lmail_pop3_server_session(s));
    printf("maildrop of %-9u        %8zu octets more than a fresh session\n", count,
           c.octets - before);
    lmail_pop3_server_free(s);
    before = c.octets;
    if (lmail_pop3_server_new(&s, u, NULL, 0))
        abort();
    printf("a fresh session              %8zu octets\n", c.octets - before);
    lmail_pop3_server_free(s);
    lmail_pop3_server_setup_free(u);
}

int main(void)
{
    retrieve("2 KiB, one at a time", 2048, 1, 200000, 0);
    retrieve("2 KiB, pipelined", 2048, 1, 200000, 1);
    retrieve("100 KB text, pipelined", 100000, 1, 20000, 1);
    retrieve("100 KB base64, pipelined", 100000, 0, 20000, 1);
    retrieve("10 MB text", 10000000, 1, 200, 1);
    memory(20);
    memory(1000000);
    free(message);
    return 0;
}
