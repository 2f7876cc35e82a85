/* sendmail_message.c - the standard input becomes a drop.
 *
 * Lines end with LF there, or with CRLF; any other CR ends a line too, since none may go out alone (RFC
 * 5321 §2.3.8). NUL octets go. A lone dot ends the message unless -i is given. */
#include "sendmail.h"

#include <errno.h>
#include <libmail/host/service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_LINE (1u << 20) /* octets that one piece of a line may have */

/* ---- Lines ----------------------------------------------------------------------------------- */

typedef struct reader {
    char in[65536];
    size_t at, have;
    char *line; /* grown as needed */
    size_t len, room;
    int failed, end;
    int pieces; /* the line before was cut: this one goes on with it */
    int cr;     /* a CR came last */
} reader;

static int next_octet(reader *r)
{
    if (r->at == r->have) {
        ssize_t n;
        do
            n = read(STDIN_FILENO, r->in, sizeof r->in);
        while (n < 0 && errno == EINTR);
        r->failed = n < 0;
        if (n <= 0)
            return -1;
        r->at = 0;
        r->have = (size_t)n;
    }
    return (unsigned char)r->in[r->at++];
}

static int put(reader *r, char c)
{
    if (r->len == r->room) {
        size_t room = r->room ? 2 * r->room : 1024;
        char *more = realloc(r->line, room);
        if (!more)
            return -1;
        r->line = more;
        r->room = room;
    }
    r->line[r->len++] = c;
    return 0;
}

/* 1: a line in r->line, or with r->pieces a part of one; 0: there are no more; -1: no memory, or the input
 * cannot be read. */
static int next_line(reader *r)
{
    r->len = 0;
    r->pieces = 0;
    if (r->end)
        return 0;
    for (;;) {
        int c = next_octet(r);
        if (r->failed)
            return -1;
        if (r->cr && c != '\n' && c != '\r') { /* it stood alone */
            r->cr = 0;
            if (c >= 0)
                r->at--;
            else
                r->end = 1;
            return 1;
        }
        if (c == '\n') {
            r->cr = 0;
            return 1;
        }
        if (c < 0) {
            r->end = 1;
            return r->len > 0;
        }
        if (c == '\r')
            r->cr = 1;
        else if (c && put(r, (char)c))
            return -1;
        if (r->len >= MOST_LINE) {
            r->pieces = 1;
            return 1;
        }
    }
}

/* ---- The drop -------------------------------------------------------------------------------- */

int sendmail_drop_failed(lmail_status st, const char *directory)
{
    switch (st) {
    case LMAIL_ERR_FULL:
        sendmail_say("%s: no space is left; try again later", directory);
        return EX_TEMPFAIL;
    case LMAIL_ERR_NOTFOUND:
        sendmail_say("%s: there is no such directory; smtpd makes it when it starts", directory);
        return EX_CONFIG;
    case LMAIL_ERR_DENIED:
        sendmail_say("%s: not permitted; sendmail(8) says how it is installed", directory);
        return EX_NOPERM;
    case LMAIL_ERR_ARG:
        sendmail_say("an address cannot be sent to");
        return EX_DATAERR;
    case LMAIL_ERR_NOMEM:
        sendmail_say("out of memory");
        return EX_TEMPFAIL;
    default:
        sendmail_say("%s: %s", directory, lmail_status_text(st));
        return EX_TEMPFAIL;
    }
}

static int begin(const sendmail_call *c, const sendmail_list *to, lmail_drop **out)
{
    const sendmail_options *o = &c->options;
    lmail_drop_message m = LMAIL_DROP_MESSAGE_INIT;
    m.sender = lmail_str_from(c->sender);
    m.sender_given = c->sender_given != 0;
    m.notify = o->notify;
    m.ret = o->ret;
    m.body = o->body;
    m.has_envid = o->envid != NULL;
    m.envid = lmail_str_from(o->envid ? o->envid : "");
    m.recipients = to->items;
    m.recipient_count = to->count;
    lmail_status st = sendmail_drop_begin(out, c->directory, &m);
    return st ? sendmail_drop_failed(st, c->directory) : EX_OK;
}

/* The text, beginning with the line that the reader has. */
static int copy_text(const sendmail_call *c, reader *r, int have, lmail_drop *d)
{
    uint64_t octets = 0, most = c->settings->smtp.max_message_size;
    int start = 1;
    for (int n = have ? 1 : next_line(r); n; n = next_line(r)) {
        if (n < 0) {
            sendmail_say("the message cannot be read");
            return EX_IOERR;
        }
        if (start && !c->options.dots && !r->pieces && r->len == 1 && r->line[0] == '.')
            return EX_OK;
        start = !r->pieces;
        octets += r->len + 2;
        if (octets > most) {
            sendmail_say("the message is longer than %llu octets", (unsigned long long)most);
            return EX_UNAVAILABLE;
        }
        lmail_status st = lmail_drop_write(d, (lmail_str){r->line, r->len});
        if (!st && !r->pieces)
            st = lmail_drop_write(d, LMAIL_STR("\r\n"));
        if (st)
            return sendmail_drop_failed(st, c->directory);
    }
    return EX_OK;
}

/* ---- All ------------------------------------------------------------------------------------- */

static int read_arguments(const sendmail_options *o, sendmail_list *to)
{
    char bad[512];
    for (int i = 0; i < o->argument_count; i++)
        if (sendmail_list_add(to, lmail_str_from(o->arguments[i]), bad, sizeof bad)) {
            sendmail_say("\"%s\" is no address", bad);
            return EX_USAGE;
        }
    return EX_OK;
}

/* The header; *have: a line behind it is read already. */
static int read_header(const sendmail_call *c, reader *r, sendmail_header *h, int *have)
{
    size_t most = (size_t)c->settings->smtp.max_header_size;
    *have = 0;
    for (;;) {
        int n = next_line(r);
        if (n < 0) {
            sendmail_say("the message cannot be read");
            return EX_IOERR;
        }
        if (!n)
            return EX_OK;
        int taken = sendmail_header_take(h, (lmail_str){r->line, r->len}, most);
        if (taken < 0 || (taken && r->pieces)) {
            sendmail_say("the header is longer than %zu octets", most);
            return EX_DATAERR;
        }
        if (!taken) {
            *have = r->len > 0; /* an empty line ends it and is gone */
            return EX_OK;
        }
    }
}

static int drop_it(sendmail_call *c, reader *r, sendmail_header *h, sendmail_list *to)
{
    const sendmail_options *o = &c->options;
    lmail_drop *d;
    int have, code = read_arguments(o, to);
    if (!code && !to->count && !o->from_header) {
        sendmail_say("no recipients: name them, or use -t");
        code = EX_USAGE;
    }
    if (!code)
        code = read_header(c, r, h, &have);
    if (!code)
        code = sendmail_header_read(h, o->from_header ? to : NULL);
    if (!code && !to->count) {
        sendmail_say("no recipients in the header");
        code = EX_USAGE;
    }
    if (!code)
        code = begin(c, to, &d);
    if (code)
        return code;
    lmail_status st = sendmail_header_write(h, c, d);
    code = st ? sendmail_drop_failed(st, c->directory) : copy_text(c, r, have, d);
    if (code) {
        sendmail_drop_cancel(d);
        return code;
    }
    st = sendmail_drop_end(d);
    return st ? sendmail_drop_failed(st, c->directory) : EX_OK;
}

int sendmail_message(sendmail_call *c)
{
    reader *r = calloc(1, sizeof *r);
    sendmail_header h = {0};
    sendmail_list to = {NULL, 0, 0};
    if (!r)
        return EX_TEMPFAIL;
    int code = drop_it(c, r, &h, &to);
    sendmail_header_free(&h);
    sendmail_list_free(&to);
    free(r->line);
    free(r);
    return code;
}
