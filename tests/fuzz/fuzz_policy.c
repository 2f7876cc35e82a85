/* fuzz_policy.c - an access map, class files and one transaction, all hostile.
 *
 * Input: fields between 0xff octets: switches, access, local-host-names, relay-domains, client
 * address, client name, sender, recipient, mechanism. What must hold beside not crashing: a question
 * ends within three lookups, a refusal has a code and a text without control octets, an explanation
 * changes no answer, and the verdict's slices lie in memory that lives. */
#include <libmail/policy.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 9 };

static void must(int held)
{
    if (!held)
        abort();
}

static unsigned sum;

static void touch(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++)
        sum += (unsigned char)s.ptr[i];
}

static void on_diagnostic(void *ctx, const lmail_diagnostic *d)
{
    (void)ctx;
    touch(d->file);
    touch(d->text);
}

static void on_step(void *ctx, const lmail_policy_step *s)
{
    ++*(unsigned *)ctx;
    touch(s->key);
    touch(s->value);
    touch(s->file);
    touch(s->meaning);
}

static void check_verdict(const lmail_policy_verdict *v)
{
    touch(v->enhanced);
    touch(v->text);
    touch(v->reason);
    touch(v->local_part);
    touch(v->domain);
    touch(v->rule);
    touch(v->file);
    if (v->kind != LMAIL_POLICY_DENY)
        return;
    must(v->code >= 400 && v->code <= 599);
    must(v->enhanced.len >= 5 && (unsigned)(v->enhanced.ptr[0] - '0') == v->code / 100);
    for (size_t i = 0; i < v->text.len; i++)
        must((unsigned char)v->text.ptr[i] >= ' ' && v->text.ptr[i] != 0x7f);
}

typedef lmail_status ask_fn(const lmail_policy *, const lmail_policy_question *,
                            lmail_policy_verdict *);

static void ask(const lmail_policy *p, ask_fn *f, lmail_policy_question q, unsigned state)
{
    lmail_policy_verdict v, explained;
    lmail_policy_peer peer = *q.peer;
    unsigned steps = 0;
    q.peer = &peer;
    for (unsigned asks = 0;; asks++) {
        if (f(p, &q, &v))
            return;
        check_verdict(&v);
        lmail_policy_question loud = q;
        loud.on_step = on_step;
        loud.step_ctx = &steps;
        must(f(p, &loud, &explained) == LMAIL_OK && explained.kind == v.kind &&
             explained.code == v.code && explained.line == v.line);
        if (v.kind != LMAIL_POLICY_NEED)
            return;
        must(asks < 3 && v.need);
        if (v.need & LMAIL_POLICY_NEED_NAME) {
            must(peer.name_state == LMAIL_POLICY_NAME_UNKNOWN);
            peer.name_state = (lmail_policy_name_state)(1 + state % 4);
        }
        if (v.need & LMAIL_POLICY_NEED_SENDER_DOMAIN)
            q.sender_domain = (lmail_policy_answer)(1 + state / 4 % 3);
        if (v.need & LMAIL_POLICY_NEED_RECIPIENT_MX)
            q.recipient_mx = (lmail_policy_answer)(1 + state / 16 % 3);
    }
}

static void configure(lmail_policy_config *c, lmail_str switches)
{
    unsigned *const members[] = {
        &c->use_cw_file,
        &c->relay_entire_domain,
        &c->relay_hosts_only,
        &c->relay_based_on_mx,
        &c->relay_local_from,
        &c->promiscuous_relay,
        &c->loose_relay_check,
        &c->blocklist_recipients,
        &c->relay_to_full_address,
        &c->lookupdotdomain,
        &c->accept_unresolvable_domains,
        &c->accept_unqualified_senders,
        &c->rate_control,
        &c->greet_pause,
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        *members[i] = i < switches.len && switches.ptr[i] & 1;
    if (switches.len > 14)
        c->delay_checks = (unsigned char)switches.ptr[14] % 4;
    if (switches.len > 15)
        c->relay_mail_from = (unsigned char)switches.ptr[15] % 3;
    if (switches.len > 16) {
        c->nopercenthack = (unsigned char)switches.ptr[16] % 3;
        c->nouucp = (unsigned char)switches.ptr[16] / 3 % 3;
    }
}

static void ask_all(const lmail_policy *p, const lmail_str *f)
{
    static ask_fn *const questions[] = {lmail_policy_connect,    lmail_policy_connect_now,
                                        lmail_policy_mail,       lmail_policy_rcpt,
                                        lmail_policy_tls_client, lmail_policy_tls_server,
                                        lmail_policy_tls_rcpt,   lmail_policy_try_tls,
                                        lmail_policy_rate,       lmail_policy_connections};
    lmail_policy_peer peer = LMAIL_POLICY_PEER_INIT;
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    unsigned state = f[0].len ? (unsigned char)f[0].ptr[0] >> 1 : 0;
    peer.address = f[4];
    peer.name = f[5];
    peer.mechanism = f[8];
    q.peer = &peer;
    q.sender = f[6];
    q.recipient = f[7];
    q.count = 5;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        ask(p, questions[i], q, state);
    peer.name_state = LMAIL_POLICY_NAME_VERIFIED;
    lmail_policy_features features;
    lmail_policy_pause pause;
    lmail_policy_credentials credentials;
    lmail_policy_server_features(p, &q, &features);
    lmail_policy_greet_pause(p, &q, &pause);
    if (lmail_policy_auth_info(p, &q, &credentials) == LMAIL_OK) {
        touch(credentials.authid);
        touch(credentials.password);
        touch(credentials.mechanisms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmail_str f[FIELDS] = {{NULL, 0}};
    const char *at = (const char *)data, *end = at + size;
    for (unsigned i = 0; i < FIELDS && at < end; i++) {
        const char *stop = memchr(at, 0xff, (size_t)(end - at));
        f[i] = (lmail_str){at, (size_t)((stop ? stop : end) - at)};
        at = stop ? stop + 1 : end;
    }
    static const lmail_str trusted[] = {{"CRAM-MD5", 8}};
    lmail_policy_config c;
    lmail_policy *p;
    lmail_policy_config_init(&c);
    configure(&c, f[0]);
    c.diagnostic = on_diagnostic;
    c.host_name = LMAIL_STR("mx.example");
    c.access = (lmail_policy_file){LMAIL_STR("access"), f[1]};
    c.local_domains_file = (lmail_policy_file){LMAIL_STR("local-host-names"), f[2]};
    c.relay_domains_file = (lmail_policy_file){LMAIL_STR("relay-domains"), f[3]};
    c.trusted_mechanisms = trusted;
    c.trusted_mechanism_count = 1;
    if (lmail_policy_new(&p, &c) == LMAIL_OK)
        ask_all(p, f);
    lmail_policy_free(p);
    return 0;
}
