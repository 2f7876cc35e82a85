/* FETCH and SEARCH in the session alone: the host answers from memory, the output is thrown away.
 *
 *     bench_imap_fetch [messages [octets]]      10,000 messages of 4096 octets */
#include "support/imap_box.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static imap_box box;
static lmail_imap_server *session;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static lmail_status login(lmail_imap_server *s, void *user, lmail_ticket t,
                          const lmail_imap_login_event *ev, lmail_auth_answer *a)
{
    (void)s, (void)user, (void)t, (void)ev;
    a->kind = LMAIL_AUTH_OK;
    a->identity = LMAIL_STR("bench");
    return LMAIL_OK;
}

static lmail_status on_select(lmail_imap_server *s, void *user, lmail_ticket t,
                              const lmail_imap_select_event *ev, lmail_imap_select_answer *a)
{
    (void)s, (void)user, (void)t, (void)ev;
    a->uids = imap_box_uids(&box);
    a->uidvalidity = 1;
    a->uidnext = (lmail_uid)box.count + 1;
    return LMAIL_OK;
}

static lmail_status fetch(lmail_imap_server *s, void *user, lmail_ticket t,
                          const lmail_imap_fetch_event *ev, lmail_imap_fetch_answer *a)
{
    (void)s, (void)user, (void)t;
    imap_box_fetch(&box, ev, 0, a);
    return LMAIL_OK;
}

static lmail_status octets(lmail_imap_server *s, void *user, lmail_ticket t,
                           const lmail_imap_octets_event *ev, lmail_imap_octets_answer *a)
{
    (void)s, (void)user, (void)t;
    imap_box_octets(&box, ev, 0, a);
    return LMAIL_OK;
}

static lmail_status search(lmail_imap_server *s, void *user, lmail_ticket t,
                           const lmail_imap_search_event *ev, lmail_imap_search_answer *a)
{
    (void)s, (void)user, (void)t, (void)ev;
    a->uids = imap_box_uids(&box);
    return LMAIL_OK;
}

/* One command, all of its output: octets. */
static size_t run(const char *command)
{
    lmail_str in = lmail_str_from(command);
    size_t used = 0, total = 0;
    for (;;) {
        size_t n = 0;
        if (used < in.len &&
            lmail_imap_server_feed(session, (lmail_str){in.ptr + used, in.len - used}, &n, 0))
            abort();
        used += n;
        lmail_str out[16];
        size_t slices = lmail_imap_server_peek(session, out, 16), octets_out = 0;
        for (size_t i = 0; i < slices; i++)
            octets_out += out[i].len;
        if (!octets_out && used == in.len)
            return total;
        total += octets_out;
        if (lmail_imap_server_sent(session, octets_out, 0))
            abort();
    }
}

static void measure(const char *what, const char *command)
{
    size_t made = run(command); /* texts are made, memory is warm */
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        double t = seconds();
        if (run(command) != made)
            abort();
        t = seconds() - t;
        if (t < best)
            best = t;
    }
    printf("%-28s %9.3f ms  %8.1f ns a row  %8.1f MB/s  (%zu octets)\n", what, best * 1e3,
           best * 1e9 / (double)box.count, (double)made / best / 1e6, made);
}

static void fill(size_t messages, size_t size)
{
    char *text = malloc(size + 1024);
    if (!text)
        abort();
    for (size_t i = 1; i <= messages; i++) {
        int n = sprintf(text,
                        "From: Sender %zu <sender%zu@example.net>\r\nTo: bob@example.org\r\n"
                        "Subject: message number %zu of the benchmark\r\n"
                        "Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nMessage-ID: <%zu@example.net>\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n\r\n",
                        i, i % 50, i, i);
        size_t len = (size_t)n;
        while (len < size)
            text[len] = len % 72 == 70 ? '\r' : len % 72 == 71 ? '\n' : 'x', len++;
        imap_box_add(&box, (lmail_uid)i, i % 7 ? LMAIL_FLAG_SEEN : 0, (lmail_str){text, len});
    }
    free(text);
}

int main(int argc, char **argv)
{
    fill(argc > 1 ? strtoul(argv[1], NULL, 10) : 10000,
         argc > 2 ? strtoul(argv[2], NULL, 10) : 4096);
    lmail_imap_server_config config;
    lmail_imap_server_handler handler;
    lmail_imap_server_setup *setup;
    lmail_imap_server_config_init(&config);
    lmail_imap_server_handler_init(&handler);
    config.flags_on = LMAIL_IMAP_CLEARTEXT;
    handler.on_login = login;
    handler.on_select = on_select;
    handler.on_fetch = fetch;
    handler.on_octets = octets;
    handler.on_search = search;
    if (lmail_imap_server_setup_new(&setup, &config, &handler) ||
        lmail_imap_server_new(&session, setup, NULL, 0))
        abort();
    run("a LOGIN u p\r\n");
    run("a SELECT INBOX\r\n");
    measure("FETCH FLAGS", "a FETCH 1:* FLAGS\r\n");
    measure("UID FETCH FLAGS", "a UID FETCH 1:* (FLAGS)\r\n");
    measure("FETCH FAST", "a FETCH 1:* FAST\r\n");
    measure("FETCH ENVELOPE", "a FETCH 1:* ENVELOPE\r\n");
    measure("FETCH BODYSTRUCTURE", "a FETCH 1:* BODYSTRUCTURE\r\n");
    measure("FETCH HEADER.FIELDS", "a FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT)]\r\n");
    measure("FETCH HEADER", "a FETCH 1:* BODY.PEEK[HEADER]\r\n");
    measure("FETCH bodies", "a FETCH 1:* BODY.PEEK[]\r\n");
    measure("FETCH TEXT", "a FETCH 1:* (FLAGS BODY.PEEK[TEXT]<0.1024>)\r\n");
    measure("SEARCH ALL", "a SEARCH ALL\r\n");
    measure("UID SEARCH ALL", "a UID SEARCH ALL\r\n");
    lmail_imap_server_free(session);
    lmail_imap_server_setup_free(setup);
    imap_box_done(&box);
    return 0;
}
