/* fuzz_pop3_server.c - whole POP3 sessions, the host included.
 *
 * The first octet chooses a configuration, the second a split, the third how the host behaves; the
 * rest is what the client sends. Oracles: a session that is fed in pieces, with answers that come
 * late, says and asks exactly what the one does that gets all at once; every line of output is
 * complete, and the first is a status line; memory stays under a ceiling and all of it comes back;
 * octets are released once. */
#include "support/count_alloc.h"
#include "support/script.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern const script_adaptor script_pop3;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CEILING 200000u /* 16 KiB of line, 64 KiB and a piece of output, the setup's texts */

static const char *const flags[] = {"+cleartext",
                                    "+cleartext +stls",
                                    "+stls",
                                    "+cleartext +utf8_user +delete_read",
                                    "+cleartext -top -uidl -utf8 -lang",
                                    "+cleartext +auth_list +utf8_user +stls",
                                    "+utf8_user",
                                    "+cleartext +trace_secrets"};

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fuzz_pop3_server: %s\n", what);
        abort();
    }
}

static void configure(script *h, unsigned choice, unsigned host)
{
    script_set(h, "flags", flags[choice & 7]);
    script_set(h, "trace", choice & 8 ? "yes" : "no");
    script_set(h, "apop", choice & 16 ? "yes" : "no");
    if (choice & 32) {
        script_set(h, "mechs", "PLAIN X");
        script_rule(h, "auth X 1 *", "ok alice data", 1);
    }
    script_set(h, "max_want", choice & 64 ? "7" : "0");
    script_set(h, "out_mark", choice & 128 ? "64" : "0");
    script_set(h, "msgs", "3");
    script_set(h, "msg2", ".\\r\\n..\\nx\\r\\n\\r\\n.\\r\\n.y");
    script_set(h, "msg3", "\\*0;x");
    script_set(h, "max_line", "255");
    script_set(h, "max_auth_line", "400");
    if (host & 1)
        script_rule(h, "maildrop * 1 *", "more 1", 1);
    if (host & 2)
        script_rule(h, "octets 1 *", "take 5", 1);
    if (host & 4)
        script_rule(h, "uidl *", "take 1", 1);
    if (host & 8)
        script_rule(h, "octets 2 * 14 *", "fail temporary", 1);
    if (host & 16)
        script_rule(h, "maildrop *", "fail in-use", 0);
    if (host & 32)
        script_rule(h, "login *", "ok bob", 1);
    if (host & 64)
        script_rule(h, "update *", "fail permanent", 1);
    if (host & 128)
        script_rule(h, "apop *", "error ERR_IO", 0);
}

typedef struct outcome {
    char *out, *log;
    size_t out_len, log_len;
    unsigned wants;
} outcome;

static char *copy(const script_buffer *b)
{
    char *p = malloc(b->len + 1);
    if (b->len)
        memcpy(p, b->ptr, b->len);
    return p;
}

static outcome play(const uint8_t *data, size_t size, size_t split, int late)
{
    count_alloc counter = {0};
    lmail_alloc alloc = count_alloc_table(&counter);
    script h;
    script_init(&h, &script_pop3, &alloc);
    configure(&h, data[0], data[2]);
    h.split = split;
    h.late = late;
    must(script_open(&h) == 0, "no session");
    script_input(&h, (const char *)data + 3, size - 3);
    script_run(&h);
    while (lmail_session_wants(h.session) & LMAIL_WANT_TLS && h.status >= 0) {
        if (script_tls(&h, NULL) < 0)
            break;
        script_run(&h);
    }
    outcome o = {copy(&h.out), copy(&h.log), h.out.len, h.log.len, lmail_session_wants(h.session)};
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

static void check_output(const outcome *o)
{
    must(o->out_len >= 4, "no greeting");
    must(memcmp(o->out, "+OK", 3) == 0 || memcmp(o->out, "-ERR", 4) == 0, "no status line");
    int cut = o->wants & LMAIL_WANT_CLOSE; /* a message that failed midway is cut */
    must(cut || memcmp(o->out + o->out_len - 2, "\r\n", 2) == 0, "an incomplete line");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 20000)
        return 0;
    outcome a = play(data, size, 0, 0);
    outcome b = play(data, size, data[1] % 61 + 1u, data[1] >> 7);
    check_output(&a);
    must(a.out_len == b.out_len && memcmp(a.out, b.out, a.out_len) == 0, "other output");
    must(a.log_len == b.log_len && memcmp(a.log, b.log, a.log_len) == 0, "other questions");
    must(a.wants == b.wants, "other wants");
    free(a.out);
    free(a.log);
    free(b.out);
    free(b.log);
    return 0;
}
