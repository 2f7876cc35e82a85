/* links: host
 * resolve.c - ask the DNS what a mail server asks: who is this client, does this domain exist.
 *
 *     resolve SERVERS ANCHOR QUESTION SUBJECT [QUESTION SUBJECT]...
 *
 *     SERVERS    "192.0.2.53, ::1@5353"; - for those of /etc/resolv.conf
 *     ANCHOR     file with DNSSEC trust anchors; - for none
 *     QUESTION   client, domain, mx, addresses, or the zone of a block list */
#include <libmail/host/dns.h>
#include <libmail/host/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lmail_net *net;
static lmail_dns *dns;
static int open_questions;
static int failed;

typedef struct question {
    const char *what, *subject;
} question;

static void stop(void *arg)
{
    (void)arg;
    lmail_net_stop(net, 0);
}

/* Every answer begins and ends alike. */
static void begin(const question *q, lmail_dns_result result)
{
    printf("%s %s: %s", q->what, q->subject, lmail_dns_result_name(result));
}

static void end(unsigned secure)
{
    printf("%s\n", secure ? " secure" : "");
    if (--open_questions == 0)
        lmail_dns_free(dns, stop, NULL);
}

static void on_client(void *user, lmail_ticket ticket, const lmail_dns_client *a)
{
    (void)ticket;
    begin(user, a->result);
    if (a->name.len)
        printf(" %.*s", (int)a->name.len, a->name.ptr);
    end(a->secure);
}

static void on_domain(void *user, lmail_ticket ticket, const lmail_dns_domain *a)
{
    (void)ticket;
    begin(user, a->result);
    printf("%s%s", a->has_mx ? " mx" : "", a->null_mx ? " null-mx" : "");
    end(0);
}

static void on_mx(void *user, lmail_ticket ticket, const lmail_dns_mx *a)
{
    (void)ticket;
    begin(user, a->result);
    printf("%s", a->implicit ? " implicit" : "");
    for (size_t i = 0; i < a->count; i++)
        printf(" %u %.*s", a->hosts[i].preference, (int)a->hosts[i].name.len, a->hosts[i].name.ptr);
    end(a->secure);
}

static void print_addresses(const lmail_dns_address *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned char *o = list[i].octets;
        printf(" ");
        for (int k = 0; k < 16 && list[i].version == 6; k += 2)
            printf("%s%x", k ? ":" : "", (unsigned)o[k] << 8 | o[k + 1]);
        if (list[i].version == 4)
            printf("%u.%u.%u.%u", o[0], o[1], o[2], o[3]);
    }
}

static void on_addresses(void *user, lmail_ticket ticket, const lmail_dns_addresses *a)
{
    (void)ticket;
    begin(user, a->result);
    print_addresses(a->list, a->count);
    end(a->secure);
}

static void on_listing(void *user, lmail_ticket ticket, const lmail_dns_listing *a)
{
    (void)ticket;
    begin(user, a->result);
    print_addresses(a->answers, a->count);
    if (a->text.len)
        printf(" \"%.*s\"", (int)a->text.len, a->text.ptr);
    end(0);
}

static lmail_status ask(question *q)
{
    lmail_str subject = lmail_str_from(q->subject);
    if (!strcmp(q->what, "client"))
        return lmail_dns_ask_client(dns, subject, on_client, q, NULL);
    if (!strcmp(q->what, "domain"))
        return lmail_dns_ask_domain(dns, subject, on_domain, q, NULL);
    if (!strcmp(q->what, "mx"))
        return lmail_dns_ask_mx(dns, subject, on_mx, q, NULL);
    if (!strcmp(q->what, "addresses"))
        return lmail_dns_ask_addresses(dns, subject, on_addresses, q, NULL);
    return lmail_dns_ask_listing(dns, subject, lmail_str_from(q->what), 1, on_listing, q, NULL);
}

static question *questions;
static int count;

/* On the loop: only there may the resolver be used. */
static void ask_all(void *arg)
{
    (void)arg;
    open_questions = count + 1;
    for (int i = 0; i < count; i++) {
        lmail_status status = ask(&questions[i]);
        if (status) {
            printf("%s %s: %s\n", questions[i].what, questions[i].subject,
                   lmail_status_text(status));
            failed = 1;
            open_questions--;
        }
    }
    if (--open_questions == 0)
        lmail_dns_free(dns, stop, NULL);
}

int main(int argc, char **argv)
{
    static char *standard[] = {"resolve", "127.0.0.1@9", "-", "addresses", "localhost", NULL};
    lmail_net_config net_config = LMAIL_NET_CONFIG_INIT;
    lmail_dns_config config = LMAIL_DNS_CONFIG_INIT;
    char error[256];
    if (argc == 1) {
        argc = 5;
        argv = standard;
    }
    count = (argc - 3) / 2;
    questions = calloc((size_t)argc, sizeof *questions);
    if (!questions || argc < 5 || argc % 2 == 0) {
        fprintf(stderr, "usage: resolve SERVERS ANCHOR QUESTION SUBJECT [QUESTION SUBJECT]...\n");
        free(questions);
        return 2;
    }
    for (int i = 0; i < count; i++)
        questions[i] = (question){argv[3 + 2 * i], argv[4 + 2 * i]};

    net_config.loops = 1;
    if (lmail_net_new(&net, &net_config, error, sizeof error)) {
        fprintf(stderr, "resolve: %s\n", error);
        free(questions);
        return 1;
    }
    config.loop = lmail_loop_uv(lmail_net_loop(net, 0));
    config.servers = strcmp(argv[1], "-") ? argv[1] : NULL;
    config.trust_anchor = strcmp(argv[2], "-") ? argv[2] : NULL;
    failed = lmail_dns_new(&dns, &config, error, sizeof error) != LMAIL_OK;
    if (failed)
        fprintf(stderr, "resolve: %s\n", error);
    else
        failed = lmail_loop_post(lmail_net_loop(net, 0), ask_all, NULL) || lmail_net_run(net);
    lmail_net_free(net);
    free(questions);
    return failed;
}
