/* fuzz_imap_server.c - whole IMAP sessions, the host included.
 *
 * The first octet chooses a configuration, the second a split, the third how the host behaves; the
 * rest is what the client sends. Oracles: a session that is fed in pieces, with answers that come
 * late, says and asks exactly what the one does that gets all at once; every line is complete;
 * sequence numbers are those of a client that keeps count; memory stays under a ceiling and all
 * comes back. */
#include "support/count_alloc.h"
#include "support/script.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern const script_adaptor script_imap;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CEILING 120000u /* 64 KiB and a slice of output, a line, a command, the view */

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fuzz_imap_server: %s\n", what);
        abort();
    }
}

static void configure(script *h, unsigned choice, unsigned host)
{
    static const char *const flags[] = {"", "-cleartext", "-literal_plus -uidplus -sasl_ir",
                                        "-cleartext -literal_plus -uidplus -sasl_ir"};
    script_set(h, "flags", flags[choice & 3]);
    script_set(h, "out_mark", choice & 4 ? "64" : "0");
    script_set(h, "trace", choice & 8 ? "yes" : "no");
    if (choice & 16) {
        script_set(h, "mechs", "PLAIN X");
        script_rule(h, "auth X 1 *", "ok alice data", 1);
    }
    script_set(h, "message.1", "101 SR");
    script_set(h, "message.2", "103 D0");
    script_set(h, "message.3", "107 1");
    script_set(h, "messages", "200:209");
    script_set(h, "keywords", "$Forwarded,Junk");
    script_set(h, "mailboxes", "INBOX=hasnochildren a/b a/c=subscribed+sent \\xc3\\xa4 z");
    script_set(h, "max_line", "300");
    script_set(h, "max_literal", "100");
    script_set(h, "max_append", "400");
    script_set(h, "command_memory", "8192");
    script_set(h, "max_name", "60");
    if (host & 1)
        script_rule(h, "list *", "take 1", 1);
    if (host & 2)
        script_rule(h, "fetch *", "take 1", 1);
    if (host & 4)
        script_rule(h, "poll *", "ok | new 300:301 301 | vanished 103,300 | flags 101,107 S", 0);
    if (host & 8)
        script_rule(h, "append octets *", "no OVERQUOTA", 0);
    if (host & 16)
        script_rule(h, "store *", "ok | vanished 101,200:203 | keywords $Forwarded,Junk,New", 0);
    if (host & 32)
        script_rule(h, "copy *", "ok 7 101,103 300:301 | new 300:301", 0);
    if (host & 64)
        script_rule(h, "expunge *", "no NOPERM", 0);
    if (host & 128)
        script_rule(h, "close*", "error ERR_IO", 0);
}

typedef struct outcome {
    script_buffer out, log;
    unsigned wants;
} outcome;

static script_buffer copy(const script_buffer *b)
{
    script_buffer c = {0};
    if (b->len)
        script_buffer_add(&c, b->ptr, b->len);
    return c;
}

/* How the octets of a message are cut is not part of the outcome. */
static script_buffer without_octets(const script_buffer *b)
{
    script_buffer c = {0};
    for (size_t at = 0; at < b->len;) {
        const char *nl = memchr(b->ptr + at, '\n', b->len - at);
        size_t end = nl ? (size_t)(nl - b->ptr) + 1 : b->len;
        if (end - at < 14 || memcmp(b->ptr + at, "append octets ", 14) != 0)
            script_buffer_add(&c, b->ptr + at, end - at);
        at = end;
    }
    return c;
}

static void act(script *h, const char *words)
{
    if (lmail_session_wants(h->session) & LMAIL_WANT_CLOSE || h->status < 0)
        return;
    script_adaptor const *a = h->adaptor;
    lmail_status before = h->status;
    a->action(h, words, h->now);
    if (h->status == LMAIL_ERR_STATE) /* no mailbox is open */
        h->status = before;
    script_run(h);
}

static outcome play(const uint8_t *data, size_t size, size_t split, int late)
{
    static const char login[] = "p LOGIN alice secret\r\n", open[] = "q SELECT INBOX\r\n";
    count_alloc counter = {0};
    lmail_alloc alloc = count_alloc_table(&counter);
    script h;
    script_init(&h, &script_imap, &alloc);
    configure(&h, data[0], data[2]);
    h.split = split;
    h.late = late;
    must(script_open(&h) == 0, "no session");
    if (data[0] & 32)
        script_input(&h, login, sizeof login - 1);
    if (data[0] & 64)
        script_input(&h, open, sizeof open - 1);
    script_input(&h, (const char *)data + 3, size - 3);
    script_run(&h);
    while (lmail_session_wants(h.session) & LMAIL_WANT_TLS && h.status >= 0) {
        if (script_tls(&h, NULL) < 0)
            break;
        script_run(&h);
    }
    act(&h, "notify vanished 101,200:203");
    act(&h, "notify new 400:402 400");
    act(&h, "notify flags 107 SF");
    script_input(&h, "DONE\r\nz NOOP\r\n", 14);
    script_run(&h);
    outcome o = {copy(&h.out), without_octets(&h.log), lmail_session_wants(h.session)};
    must(h.status >= 0, "the session broke");
    must(!h.fault[0], h.fault);
    script_eof(&h);
    script_run(&h);
    must(lmail_session_wants(h.session) == LMAIL_WANT_CLOSE, "no end after the peer's");
    must(lmail_session_tickets(h.session) == 0, "tickets are out");
    script_done(&h);
    must(!h.fault[0], h.fault);
    must(counter.live == 0 && counter.lies == 0, "memory was not given back");
    must(counter.peak < CEILING, "memory went over the ceiling");
    return o;
}

/* A client that keeps count: numbers in range, no line cut short. */
static void check_output(const outcome *o)
{
    unsigned long count = 0;
    must(o->out.len > 4 && memcmp(o->out.ptr, "* OK", 4) == 0, "no greeting");
    for (size_t at = 0; at < o->out.len;) {
        const char *line = o->out.ptr + at;
        const char *end = memmem(line, o->out.len - at, "\r\n", 2);
        must(end != NULL, "an incomplete line");
        at = (size_t)(end - o->out.ptr) + 2;
        if (line[0] != '*' || line[1] != ' ' || line[2] < '0' || line[2] > '9')
            continue;
        char *word;
        unsigned long n = strtoul(line + 2, &word, 10);
        if (strncmp(word, " EXISTS", 7) == 0) {
            count = n;
        } else if (strncmp(word, " EXPUNGE", 8) == 0) {
            must(n >= 1 && n <= count, "EXPUNGE out of range");
            count--;
        } else if (strncmp(word, " FETCH", 6) == 0) {
            must(n >= 1 && n <= count, "FETCH out of range");
        } else {
            must(strncmp(word, " RECENT", 7) == 0 && n <= count, "RECENT out of range");
        }
    }
}

static int same(const script_buffer *a, const script_buffer *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 8000)
        return 0;
    outcome a = play(data, size, 0, 0);
    outcome b = play(data, size, data[1] % 61 + 1u, data[1] >> 7);
    check_output(&a);
    must(same(&a.out, &b.out), "other output");
    must(same(&a.log, &b.log), "other questions");
    must(a.wants == b.wants, "other wants");
    free(a.out.ptr);
    free(a.log.ptr);
    free(b.out.ptr);
    free(b.log.ptr);
    return 0;
}
