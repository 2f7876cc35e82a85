/* fuzz_smtp_client.c - whole client sessions, SMTP and LMTP, against a server that says anything.
 *
 * First octet: options of the session; second: the split of the second run. The rest comes from the
 * server. Oracles: the same output and the same events in any split and with late answers; each
 * recipient has one result and each message one end (the adaptor counts); the output has no bare CR
 * or LF; memory under a ceiling; all memory given back. */
#include "support/count_alloc.h"
#include "support/script.h"

#include <stdlib.h>
#include <string.h>

#define CEILING 60000u

extern const script_adaptor script_smtp_client;

static const char *decide(script *h, const char *question, const char *usual)
{
    unsigned sum = 0;
    (void)h;
    for (const char *p = question; *p; p++)
        sum += (unsigned char)*p;
    if (strncmp(question, "login choose", 12) == 0)
        return sum % 5 == 0   ? "fail"
               : sum % 5 == 1 ? "go_on"
               : sum % 5 == 2 ? "send PLAIN \\0u\\0secret"
               : sum % 5 == 3 ? "send XOAUTH2 \\*600;x"
                              : "send LOGIN";
    if (strncmp(question, "login challenge", 15) == 0)
        return sum % 3 ? "respond secret" : "cancel";
    if (strncmp(question, "octets", 6) == 0)
        return sum % 3 == 0 ? "take 7" : sum % 23 == 0 ? "fail" : usual;
    return usual;
}

static void mails(script *h, unsigned options)
{
    static const char *const texts[] = {
        "mail from=a@x.example to=b@y.example to=c@z.example to=d@y.example size=40",
        "mail from= to=e@y.example,success+failure,rfc822;E@y.example body=8bit envid=x+y ret=full",
        "mail from=a@x.example to=f@y.example body=binary text=binary",
        "mail from=a@x.example to=\\xc3\\xbc@y.example auth=x=y"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (i == 0 || options & (4u << i))
            h->adaptor->action(h, texts[i], h->now);
}

static void run(script *h, count_alloc *c, const uint8_t *data, size_t size, size_t split, int late,
                unsigned options)
{
    static const char *const policies[] = {"opportunistic", "none", "required", "opportunistic"};
    lmail_alloc table = count_alloc_table(c);
    script_init(h, &script_smtp_client, &table);
    h->decide = decide;
    h->split = split;
    h->late = late;
    script_set(h, "flags", options & 1 ? "+lmtp" : options & 64 ? "+refuse_bare" : "");
    script_set(h, "tls", policies[options >> 1 & 3]);
    script_set(h, "login", options & 128 ? "yes" : "no");
    script_set(h, "text", ".Subject: x\\r\\n\\r\\n..body\\nbare\\rend");
    script_set(h, "binary", "a\\0\\n\\r.b");
    script_set(h, "max_reply_line", "512");
    script_set(h, "max_reply_lines", "20");
    script_set(h, "max_reply_text", "200");
    if (script_open(h) < 0)
        abort();
    mails(h, options);
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

/* Only BINARYMIME may hold them. */
static void no_bare(const script *h)
{
    if (h->out.len && memmem(h->out.ptr, h->out.len, "BINARYMIME", 10))
        return;
    for (size_t i = 0; i < h->out.len; i++)
        if ((h->out.ptr[i] == '\n' && (i == 0 || h->out.ptr[i - 1] != '\r')) ||
            (h->out.ptr[i] == '\r' && (i + 1 == h->out.len || h->out.ptr[i + 1] != '\n')))
            abort();
}

static void compare(script *a, script *b)
{
    if (a->out.len != b->out.len || (a->out.len && memcmp(a->out.ptr, b->out.ptr, a->out.len)) ||
        a->log.len != b->log.len || (a->log.len && memcmp(a->log.ptr, b->log.ptr, a->log.len))) {
        fprintf(stderr, "whole:\n%.*s%.*s\nsplit:\n%.*s%.*s\n", (int)a->out.len, a->out.ptr,
                (int)a->log.len, a->log.ptr, (int)b->out.len, b->out.ptr, (int)b->log.len,
                b->log.ptr);
        abort();
    }
}

static void done(script *h, const count_alloc *c)
{
    script_done(h);
    if (h->fault[0] || c->live || c->lies || c->peak > CEILING) {
        fprintf(stderr, "at the end: %s; %zu blocks, %zu lies, peak %zu\n", h->fault, c->live,
                c->lies, c->peak);
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
    no_bare(&whole);
    compare(&whole, &split);
    done(&whole, &c1);
    done(&split, &c2);
    return 0;
}
