/* fuzz_smtp_server.c - whole sessions, SMTP and LMTP, through the scripted host.
 *
 * First octet: options of the session; second: the split of the second run. The rest comes from the
 * peer. Oracles: the same output and the same questions (all but "chunk", whose number is the
 * split's) in any split and with late answers; memory under a ceiling; all memory given back. */
#include "support/count_alloc.h"
#include "support/script.h"

#include <stdlib.h>
#include <string.h>

#define CEILING 80000u

extern const script_adaptor script_smtp;

static const char *decide(script *h, const char *question, const char *usual)
{
    unsigned sum = 0;
    (void)h;
    if (strncmp(question, "auth ", 5) == 0)
        return strlen(question) % 3 == 0   ? "continue more"
               : strlen(question) % 3 == 1 ? "ok someone"
                                           : "fail credentials";
    if (strncmp(question, "connect", 7) == 0 || strcmp(question, "chunk") == 0)
        return usual;
    for (const char *p = question; *p; p++)
        sum += (unsigned char)*p;
    return sum % 7 == 0 ? "550 5.7.1 no" : sum % 11 == 0 ? "error ERR_IO" : usual;
}

static void run(script *h, count_alloc *c, const uint8_t *data, size_t size, size_t split, int late,
                unsigned options)
{
    lmail_alloc table = count_alloc_table(c);
    script_init(h, &script_smtp, &table);
    h->decide = decide;
    h->split = split;
    h->late = late;
    char flags[256] = "+starttls +etrn +expn +binarymime +xclient +xforward";
    if (options & 1)
        strcat(flags, " +lmtp");
    if (options & 2)
        strcat(flags, " -need_helo");
    if (options & 4)
        strcat(flags, " +allow_space +allow_no_brackets +allow_unqualified");
    if (options & 8)
        strcat(flags, " +allow_any_helo +allow_trailing_dot");
    script_set(h, "flags", flags);
    script_set(h, "mechs", "PLAIN LOGIN");
    script_set(h, "max_message", options & 16 ? "300" : "18446744073709551615");
    script_set(h, "max_header", options & 16 ? "100" : "18446744073709551615");
    script_set(h, "max_line", "512");
    script_set(h, "max_bad_commands", options & 32 ? "3" : "4294967295");
    if (script_open(h) < 0)
        abort();
    script_input(h, (const char *)data, size);
    script_run(h);
    if (lmail_session_wants(h->session) & LMAIL_WANT_TLS) {
        script_tls(h, NULL);
        script_run(h);
    }
    script_eof(h);
    if (h->fault[0] || h->status < 0) {
        fprintf(stderr, "fault: %s, %s\n", h->fault, lmail_status_name(h->status));
        abort();
    }
}

/* The log without its chunk lines. */
static size_t without_chunks(script *h)
{
    size_t n = 0;
    for (size_t at = 0; at < h->log.len;) {
        char *nl = memchr(h->log.ptr + at, '\n', h->log.len - at);
        size_t len = (size_t)(nl - h->log.ptr) + 1 - at;
        if (len != 6 || memcmp(h->log.ptr + at, "chunk\n", 6) != 0) {
            memmove(h->log.ptr + n, h->log.ptr + at, len);
            n += len;
        }
        at += len;
    }
    return n;
}

static void compare(script *a, script *b)
{
    size_t la = without_chunks(a), lb = without_chunks(b);
    if (a->out.len != b->out.len || (a->out.len && memcmp(a->out.ptr, b->out.ptr, a->out.len)) ||
        la != lb || (la && memcmp(a->log.ptr, b->log.ptr, la))) {
        fprintf(stderr, "whole:\n%.*s%.*s\nsplit:\n%.*s%.*s\n", (int)a->out.len, a->out.ptr,
                (int)la, a->log.ptr, (int)b->out.len, b->out.ptr, (int)lb, b->log.ptr);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    script whole, split;
    count_alloc c1 = {0}, c2 = {0};
    if (size < 3 || size > 65536)
        return 0;
    run(&whole, &c1, data + 2, size - 2, 0, 0, data[0]);
    run(&split, &c2, data + 2, size - 2, data[1] % 70 + 1, data[1] & 128, data[0]);
    compare(&whole, &split);
    script_done(&whole);
    script_done(&split);
    if (c1.live || c2.live || c1.lies || c2.lies || c1.peak > CEILING || c2.peak > CEILING) {
        fprintf(stderr, "memory: %zu %zu live, peaks %zu %zu\n", c1.live, c2.live, c1.peak,
                c2.peak);
        abort();
    }
    return 0;
}
