/* policy.c - the access map with a million entries: loading it, and what a decision costs.
 *
 * The map holds addresses, networks, senders, recipients and domains in equal parts; the questions
 * walk over clients and addresses in no order, so that nothing stays in a cache. Each decision has
 * all its facts. CPU time. Prints figures, asserts nothing.
 *
 *     bench_policy [entries] */
#include <libmail/policy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUESTIONS = 1 << 16, ROUNDS = 1000000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint32_t chance(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static size_t write_entry(char *out, size_t i)
{
    uint32_t r = chance();
    switch (i % 5) {
    case 0:
        return (size_t)sprintf(out, "Connect:%u.%u.%u.%u\tREJECT\n", r >> 24, r >> 16 & 255,
                               r >> 8 & 255, r & 255);
    case 1:
        return (size_t)sprintf(out, "From:user%u@dom%zu.example\tERROR:5.7.1:550 No\n", r % 9999,
                               i);
    case 2:
        return (size_t)sprintf(out, "To:box%zu@midominio.com.mx\tREJECT\n", i);
    case 3:
        return (size_t)sprintf(out, "spam%zu.example.net\t\tREJECT\n", i);
    default:
        return (size_t)sprintf(out, "Connect:host%zu.pool%u.example.org\tOK\n", i, r % 999);
    }
}

typedef struct texts {
    char address[40], name[80], from[80], to[80];
} texts;

static void write_question(texts *t, size_t entries)
{
    uint32_t r = chance();
    size_t i = chance() % entries / 5 * 5;
    sprintf(t->address, "%u.%u.%u.%u", r >> 24 & 127, r >> 16 & 255, r >> 8 & 255, r & 255);
    sprintf(t->name, "host%zu.pool%u.example.org", i + 4, r % 999);
    sprintf(t->from, "user%u@dom%zu.example", r % 999, i + 1);
    sprintf(t->to, r % 2 ? "box%zu+list@midominio.com.mx" : "box%zu@a.b.partner.example", i + 3);
}

typedef lmail_status ask_fn(const lmail_policy *, const lmail_policy_question *,
                            lmail_policy_verdict *);

static void bench(const char *what, const lmail_policy *p, const texts *t, ask_fn *ask)
{
    static lmail_policy_verdict v;
    unsigned long kinds[LMAIL_POLICY_NEED + 1] = {0};
    double begin = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        const texts *one = &t[i & (QUESTIONS - 1)];
        lmail_policy_peer peer = LMAIL_POLICY_PEER_INIT;
        lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
        peer.address = lmail_str_from(one->address);
        peer.name = lmail_str_from(one->name);
        peer.name_state = LMAIL_POLICY_NAME_VERIFIED;
        q.peer = &peer;
        q.sender = lmail_str_from(one->from);
        q.sender_domain = LMAIL_POLICY_YES;
        q.recipient = lmail_str_from(one->to);
        ask(p, &q, &v);
        kinds[v.kind]++;
    }
    double spent = now_ns() - begin;
    printf("%-9s %7.1f ns   accept %lu local %lu relay %lu deny %lu\n", what, spent / ROUNDS,
           kinds[LMAIL_POLICY_ACCEPT], kinds[LMAIL_POLICY_LOCAL], kinds[LMAIL_POLICY_RELAY],
           kinds[LMAIL_POLICY_DENY]);
}

int main(int argc, char **argv)
{
    size_t entries = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    char *text = malloc(entries * 80 + 1);
    texts *t = malloc(QUESTIONS * sizeof *t);
    if (!text || !t || entries < 10)
        return 1;
    size_t len = 0;
    for (size_t i = 0; i < entries; i++)
        len += write_entry(text + len, i);
    for (size_t i = 0; i < QUESTIONS; i++)
        write_question(&t[i], entries);
    lmail_policy_config c;
    lmail_policy_config_init(&c);
    c.blocklist_recipients = 1;
    c.host_name = LMAIL_STR("correo.midominio.com.mx");
    static const lmail_str local[] = {{"midominio.com.mx", 16}},
                           relay[] = {{"partner.example", 15}};
    c.local_domains = local;
    c.relay_domains = relay;
    c.local_domain_count = c.relay_domain_count = 1;
    c.access = (lmail_policy_file){LMAIL_STR("access"), {text, len}};
    lmail_policy *p;
    double begin = now_ns();
    lmail_status st = lmail_policy_new(&p, &c);
    printf("load      %7.1f ms   %zu lines, %.1f MB: %s\n", (now_ns() - begin) / 1e6, entries,
           (double)len / 1e6, lmail_status_text(st));
    free(text);
    if (st)
        return 1;
    bench("connect", p, t, lmail_policy_connect);
    bench("mail", p, t, lmail_policy_mail);
    bench("rcpt", p, t, lmail_policy_rcpt);
    lmail_policy_free(p);
    free(t);
    return 0;
}
