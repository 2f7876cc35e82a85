/* sendmail_smtp.c - -bs: SMTP on the standard input and output; each message becomes a drop.
 *
 * A session of libmail's own, not a pipe to smtpd: it works while smtpd does not run, and the user is
 * known from the drop. Whether a recipient exists is not known here: who sends is told by a report,
 * as with any drop. */
#include "sendmail.h"

#include <errno.h>
#include <libmail/smtp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct talk {
    sendmail_call *call;
    lmail_smtp_server *server;
    char sender[512];
    unsigned body;
    sendmail_list to;
    lmail_drop *drop;
} talk;

static lmail_msec now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (lmail_msec)t.tv_sec * 1000 + (lmail_msec)t.tv_nsec / 1000000;
}

static void say(lmail_smtp_reply *reply, unsigned code, const char *enhanced, const char *text)
{
    reply->code = code;
    reply->enhanced = lmail_str_from(enhanced);
    reply->text = lmail_str_from(text);
}

static void say_failed(lmail_smtp_reply *reply, lmail_status st)
{
    if (st == LMAIL_ERR_FULL)
        say(reply, 452, "4.3.1", "Insufficient system storage; try again later");
    else
        say(reply, 451, "4.3.0", "Mail cannot be left now; try again later");
}

static void forget(talk *t)
{
    sendmail_drop_cancel(t->drop);
    t->drop = NULL;
    sendmail_list_free(&t->to);
    t->to = (sendmail_list){NULL, 0, 0};
}

static lmail_status on_mail(lmail_smtp_server *s, void *user, lmail_ticket k,
                            const lmail_smtp_mail_event *ev, lmail_smtp_reply *reply)
{
    talk *t = user;
    char text[600];
    (void)s;
    (void)k;
    forget(t);
    t->body = ev->body;
    snprintf(text, sizeof text, "%.*s", (int)ev->from.text.len,
             ev->from.text.ptr ? ev->from.text.ptr : "");
    if (sendmail_address(text, t->call->host, t->sender, sizeof t->sender))
        say(reply, 553, "5.1.7", "Not an address");
    return LMAIL_OK;
}

static lmail_status on_rcpt(lmail_smtp_server *s, void *user, lmail_ticket k,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    talk *t = user;
    char bad[8];
    (void)s;
    (void)k;
    if (sendmail_list_add(&t->to, ev->to.text, bad, sizeof bad))
        say(reply, 553, "5.1.3", "Not an address");
    return LMAIL_OK;
}

static lmail_status on_start(lmail_smtp_server *s, void *user, lmail_ticket k,
                             const lmail_smtp_body_start_event *ev, lmail_smtp_reply *reply)
{
    talk *t = user;
    const sendmail_call *c = t->call;
    char own[600];
    lmail_drop_message m = LMAIL_DROP_MESSAGE_INIT;
    (void)s;
    (void)k;
    (void)ev;
    snprintf(own, sizeof own, "%s@%s", c->user, c->host);
    m.sender = lmail_str_from(t->sender);
    m.sender_given = t->sender[0] && strcmp(t->sender, own) != 0;
    m.body = t->body;
    m.recipients = t->to.items;
    m.recipient_count = t->to.count;
    lmail_status st = sendmail_drop_begin(&t->drop, c->directory, &m);
    if (st)
        say_failed(reply, st);
    return LMAIL_OK;
}

static lmail_status on_body(lmail_smtp_server *s, void *user, lmail_ticket k,
                            const lmail_smtp_body_event *ev, lmail_smtp_reply *reply)
{
    talk *t = user;
    (void)s;
    (void)k;
    lmail_status st = lmail_drop_write(t->drop, ev->octets);
    if (st)
        say_failed(reply, st);
    return LMAIL_OK;
}

static lmail_status on_end(lmail_smtp_server *s, void *user, lmail_ticket k,
                           const lmail_smtp_body_end_event *ev, lmail_smtp_reply *reply)
{
    talk *t = user;
    (void)s;
    (void)k;
    (void)ev;
    lmail_status st = sendmail_drop_end(t->drop);
    t->drop = NULL;
    forget(t);
    if (st)
        say_failed(reply, st);
    return LMAIL_OK;
}

static void on_abandon(lmail_smtp_server *s, void *user, const lmail_smtp_abandon_event *ev)
{
    (void)s;
    (void)ev;
    forget(user);
}

/* ---- The pump -------------------------------------------------------------------------------- */

static int write_all(lmail_smtp_server *s)
{
    lmail_str out;
    while (lmail_smtp_server_peek(s, &out, 1)) {
        ssize_t n = write(STDOUT_FILENO, out.ptr, out.len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            lmail_smtp_server_sent(s, (size_t)n, now());
    }
    return 0;
}

static int wait_for_input(const lmail_smtp_server *s)
{
    lmail_msec when = lmail_smtp_server_deadline(s), t = now();
    lmail_msec wait = when == LMAIL_NEVER ? 60000 : when > t ? when - t : 0;
    struct pollfd pfd = {STDIN_FILENO, POLLIN, 0};
    return poll(&pfd, 1, wait > 60000 ? 60000 : (int)wait);
}

static int pump(lmail_smtp_server *s)
{
    char in[16384];
    size_t have = 0;
    for (;;) {
        size_t used = 0;
        lmail_smtp_server_tick(s, now());
        if (write_all(s) < 0)
            return EX_IOERR;
        unsigned wants = lmail_smtp_server_wants(s);
        if (wants & LMAIL_WANT_CLOSE)
            return EX_OK;
        if (have && wants & LMAIL_WANT_READ) {
            lmail_smtp_server_feed(s, (lmail_str){in, have}, &used, now());
            memmove(in, in + used, have - used);
            have -= used;
            if (used)
                continue;
        }
        if (wait_for_input(s) == 0 || have == sizeof in)
            continue;
        ssize_t n = read(STDIN_FILENO, in + have, sizeof in - have);
        if (n > 0)
            have += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return lmail_smtp_server_eof(s, now()), EX_OK;
    }
}

static lmail_status make(talk *t, lmail_smtp_server_setup **setup)
{
    lmail_smtp_server_config c = LMAIL_SMTP_SERVER_CONFIG_INIT;
    lmail_smtp_server_handler h = LMAIL_SMTP_SERVER_HANDLER_INIT;
    const lmail_settings *v = t->call->settings;
    c.host_name = lmail_str_from(t->call->host);
    c.flags_on = LMAIL_SMTP_ALLOW_UNQUALIFIED | LMAIL_SMTP_ALLOW_TRAILING_DOT | LMAIL_SMTP_COUNT_LF;
    /* A drop has one NOTIFY for all of its recipients. */
    c.flags_off = LMAIL_SMTP_NEED_HELO_FIRST | LMAIL_SMTP_DSN | LMAIL_SMTP_CHUNKING;
    c.max_message = v->smtp.max_message_size;
    c.max_header = v->smtp.max_header_size;
    c.max_recipients = LMAIL_DROP_RECIPIENTS;
    c.command_timeout = c.data_timeout = LMAIL_NEVER; /* its own user's */
    h.on_mail = on_mail;
    h.on_rcpt = on_rcpt;
    h.on_body_start = on_start;
    h.on_body = on_body;
    h.on_body_end = on_end;
    h.on_abandon = on_abandon;
    lmail_status st = lmail_smtp_server_setup_new(setup, &c, &h);
    return st ? st : lmail_smtp_server_new(&t->server, *setup, t, now());
}

int sendmail_smtp(sendmail_call *c)
{
    talk t = {.call = c};
    lmail_smtp_server_setup *setup = NULL;
    lmail_status st = make(&t, &setup);
    int code = EX_SOFTWARE;
    if (st)
        sendmail_say("%s", lmail_status_text(st));
    else
        code = pump(t.server);
    lmail_session_free(t.server ? lmail_smtp_server_session(t.server) : NULL);
    forget(&t);
    lmail_smtp_server_setup_free(setup);
    return code;
}
