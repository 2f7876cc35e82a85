/* smtp_command.c - what one SMTP command costs: nanoseconds and allocations.
 *
 * Parse: the path and parameters of MAIL and RCPT alone. Command: a whole command line from feed to
 * reply, with a handler that answers at once. Body: octets of a message through the scanner and the
 * handler. CPU time. Prints figures, asserts nothing. */
#include "smtp/smtp_internal.h"
#include "support/count_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void bench_parse(const lmail_smtp_server *s, const char *text)
{
    enum { ROUNDS = 2000000 };
    lmail_str line = lmail_str_from(text);
    unsigned long taken = 0;
    double begin = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        lmail_smtp_mail_event mail = {0};
        lmail_smtp_rcpt_event rcpt = {0};
        lmail_str verb, args, bad;
        lmi_smtp_rules rules = {s->flags, 256, 64};
        size_t used;
        lmi_smtp_command c = lmi_smtp_split(line, &verb, &args);
        if (c == LMI_SMTP_CMD_MAIL) {
            args = lmi_str_skip(args, 5);
            taken += !lmi_smtp_parse_path(args, &rules, 1, &mail.from, &used) &&
                     !lmi_smtp_mail_params(s, lmi_str_skip(args, used), &mail, &bad, 0);
        } else {
            args = lmi_str_skip(args, 3);
            taken += !lmi_smtp_parse_path(args, &rules, 0, &rcpt.to, &used) &&
                     !lmi_smtp_rcpt_params(s, lmi_str_skip(args, used), &rcpt, &bad);
        }
    }
    double spent = now_ns() - begin;
    printf("parse    %7.1f ns  %s%s\n", spent / ROUNDS, text,
           taken == ROUNDS ? "" : "  (refused!)");
}

static lmail_status yes_mail(lmail_smtp_server *s, void *user, lmail_ticket t,
                             const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply)
{
    (void)s, (void)user, (void)t, (void)ev, (void)reply;
    return LMAIL_OK;
}

static lmail_status yes_rcpt(lmail_smtp_server *s, void *user, lmail_ticket t,
                             const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    (void)s, (void)user, (void)t, (void)ev, (void)reply;
    return LMAIL_OK;
}

static lmail_status count_body(lmail_smtp_server *s, void *user, lmail_ticket t,
                               const lmail_smtp_body_event *ev, lmail_smtp_reply *reply)
{
    (void)s, (void)t, (void)reply;
    *(uint64_t *)user += ev->octets.len;
    return LMAIL_OK;
}

static void feed_all(lmail_smtp_server *s, lmail_str in)
{
    while (in.len) {
        size_t used;
        if (lmail_smtp_server_feed(s, in, &used, 1) < 0)
            exit(1);
        in = lmi_str_skip(in, used);
        lmail_smtp_server_sent(s, lmail_session_unsent(lmail_smtp_server_session(s)), 1);
    }
}

static void bench_session(lmail_smtp_server *s, count_alloc *counter, uint64_t *octets)
{
    enum { ROUNDS = 300000, BODIES = 64 };
    lmail_str batch = LMAIL_STR("MAIL FROM:<sender@example.net> SIZE=1024\r\n"
                                "RCPT TO:<recipient@example.org>\r\nRSET\r\n");
    feed_all(s, LMAIL_STR("EHLO c.example\r\n"));
    feed_all(s, batch);
    size_t before = counter->requests;
    double begin = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        feed_all(s, batch);
    double spent = now_ns() - begin;
    printf("command  %7.1f ns  %.4f allocations, feed to reply, question asked and answered\n",
           spent / (3.0 * ROUNDS), (double)(counter->requests - before) / (3.0 * ROUNDS));

    size_t size = 1 << 20, n = 0;
    char *body = malloc(size + 128);
    memcpy(body, "Subject: x\r\n\r\n", n = 14);
    while (n < size)
        n += (size_t)sprintf(
            body + n, "The quick brown fox jumps over the lazy dog and back again, %zu\r\n", n);
    begin = now_ns();
    for (int i = 0; i < BODIES; i++) {
        feed_all(s, LMAIL_STR("MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"));
        for (size_t at = 0; at < n; at += 65536)
            feed_all(s, (lmail_str){body + at, n - at < 65536 ? n - at : 65536});
        feed_all(s, LMAIL_STR(".\r\n"));
    }
    spent = now_ns() - begin;
    printf("body     %7.1f MB/s  (%llu octets)\n", (double)*octets / spent * 1e3,
           (unsigned long long)*octets);
    free(body);
}

int main(void)
{
    count_alloc counter = {0};
    lmail_smtp_server_config c = LMAIL_SMTP_SERVER_CONFIG_INIT;
    lmail_smtp_server_handler h = LMAIL_SMTP_SERVER_HANDLER_INIT;
    lmail_smtp_server_setup *setup;
    lmail_smtp_server *s;
    uint64_t octets = 0;
    c.alloc = count_alloc_table(&counter);
    c.host_name = LMAIL_STR("mx.example");
    h.on_mail = yes_mail;
    h.on_rcpt = yes_rcpt;
    h.on_body = count_body;
    if (lmail_smtp_server_setup_new(&setup, &c, &h) || lmail_smtp_server_new(&s, setup, &octets, 0))
        return 1;
    printf("session  %7zu octets at rest, setup %zu\n", sizeof *s, setup->size);
    bench_parse(s, "MAIL FROM:<a@b.example>");
    bench_parse(s, "MAIL FROM:<sender.name+tag@mail.example.net> SIZE=10240 BODY=8BITMIME");
    bench_parse(s, "RCPT TO:<recipient@example.org>");
    bench_parse(s, "RCPT TO:<recipient@example.org> NOTIFY=FAILURE ORCPT=rfc822;r@example.org");
    bench_session(s, &counter, &octets);
    lmail_smtp_server_free(s);
    lmail_smtp_server_setup_free(setup);
    return counter.live != 0;
}
