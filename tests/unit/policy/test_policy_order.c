/* The checks of a connection, a sender and a recipient, one sentence a row: keys, values, the order
 * of the searches, what opens relaying and what does not. */
#include <libmail/policy.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *policy_order_suite(void);

#define NO_PTR "Relaying denied. IP name lookup failed [192.0.2.1]"
enum { HOSTS = 1, FULL = 2, LOOSE = 4, FROM = 8, FROM_DOMAIN = 16, DOTS = 32, DELAY = 64 };

static const struct row {
    const char *what, *access;
    unsigned on;
    const char
        *client; /* "address", "address name", "address ?": no PTR for now, "address !": forged */
    const char *login, *from, *dns, *to, *verdict;
} rows[] = {
    /* ---- values ---- */
    {"keywords in any case", "Connect:192.0.2.1 rElAy", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@far.example", "rcpt relay"},
    {"OK never relays", "Connect:192.0.2.1 OK", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@far.example", "rcpt 550 5.7.1 " NO_PTR},
    {"a code alone is REJECT with that code", "Connect:192.0.2.1 451", 0, "192.0.2.1", "",
     "a@b.example", "ok", "u@mx.example", "connect 451 4.7.1 Access denied"},
    {"ERROR: and a code alone", "From:b.example ERROR:554", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@mx.example", "mail 554 5.7.1 Access denied"},
    {"a code alone for a recipient", "To:u@mx.example 450", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@mx.example", "rcpt 450 4.2.1 Mailbox disabled for this recipient"},
    {"ERROR:NNN text", "To:u@mx.example ERROR:452 later", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@mx.example", "rcpt 452 4.0.0 later"},
    {"an enhanced code begins the text", "Connect:192.0.2 ERROR:550 5.7.9 both", 0, "192.0.2.1", "",
     "a@b.example", "ok", "u@mx.example", "connect 550 5.7.9 both"},
    {"the old form in quotes", "Connect:192.0.2 \"421 4.7.5 not now\"", 0, "192.0.2.1", "",
     "a@b.example", "ok", "u@mx.example", "connect 421 4.7.5 not now"},
    {"blanks of a text stay", "Connect:192.0.2 550 a   b", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@mx.example", "connect 550 5.0.0 a   b"},
    {"quotes behind the codes", "Connect:192.0.2 ERROR:5.7.1:\"550 a  b\"", 0, "192.0.2.1", "",
     "a@b.example", "ok", "u@mx.example", "connect 550 5.7.1 a  b"},
    {"QUARANTINE goes on", "From:b.example QUARANTINE:hm", 0, "192.0.2.1", "", "a@b.example", "nx",
     "u@mx.example", "rcpt local, held: hm"},
    {"QUARANTINE is no way to relay", "Connect:192.0.2.1 QUARANTINE:hm", 0, "192.0.2.1", "",
     "a@b.example", "ok", "u@far.example", "rcpt 550 5.7.1 " NO_PTR},
    {"DISCARD goes on", "From:b.example DISCARD", 0, "192.0.2.1", "", "a@b.example", "nx",
     "u@mx.example", "rcpt local, gone"},
    {"FRIEND is a text elsewhere", "Connect:192.0.2.1 FRIEND", 0, "192.0.2.1", "", "a@b.example",
     "ok", "u@mx.example", "connect 553 5.3.0 FRIEND"},
    /* ---- tags ---- */
    {"the tag goes first", "192.0.2.1 REJECT\nConnect:192.0.2.1 OK", 0, "192.0.2.1", "",
     "a@b.example", "ok", "u@mx.example", "rcpt local"},
    {"at each step", "192.0.2.1 OK\nConnect:192.0.2 REJECT", 0, "192.0.2.1", "", "a@b.example",
     "ok", "u@mx.example", "rcpt local"},
    {"another tag is none", "From:192.0.2.1 REJECT", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@mx.example", "rcpt local"},
    {"TLS_Clt: has no untagged form", "192.0.2.1 OK\nh.example VERIFY", 0, "192.0.2.1", "",
     "a@b.example", "ok", "u@mx.example", "rcpt local"},
    /* ---- the connection ---- */
    {"the name goes before the address", "Connect:h.example OK\nConnect:192.0.2.1 REJECT", 0,
     "192.0.2.1 h.example", "", "a@b.example", "ok", "u@mx.example", "rcpt local"},
    {"a forged name is none", "Connect:h.example REJECT", 0, "192.0.2.1 !", "", "a@b.example", "ok",
     "u@mx.example", "rcpt local"},
    {"an address in brackets stands for it", "Connect:[192.0.2.1] REJECT\nConnect:192.0.2.1 OK", 0,
     "192.0.2.1 !", "", "a@b.example", "ok", "u@mx.example", "connect 550 5.7.1 Access denied"},
    {"not for a verified one", "Connect:[192.0.2.1] REJECT", 0, "192.0.2.1 h.example", "",
     "a@b.example", "ok", "u@mx.example", "rcpt local"},
    {"whole octets", "Connect:192.0.2 REJECT", 0, "192.0.20.1", "", "a@b.example", "ok",
     "u@mx.example", "rcpt local"},
    {"a dot before needs lookupdotdomain", "Connect:.h.example REJECT", 0, "192.0.2.1 a.h.example",
     "", "a@b.example", "ok", "u@mx.example", "rcpt local"},
    {"with it", "Connect:.h.example REJECT", DOTS, "192.0.2.1 a.h.example", "", "a@b.example", "ok",
     "u@mx.example", "connect 550 5.7.1 Access denied"},
    {"only below", "Connect:.h.example REJECT", DOTS, "192.0.2.1 h.example", "", "a@b.example",
     "ok", "u@mx.example", "rcpt local"},
    {"the name itself before the rest with a dot",
     "Connect:.h.example REJECT\nConnect:a.h.example OK", DOTS, "192.0.2.1 a.h.example", "",
     "a@b.example", "ok", "u@mx.example", "rcpt local"},
    /* ---- the sender ---- */
    {"F before U", "From:a@b.example OK\nFrom:a@ REJECT", 0, "192.0.2.1", "", "a@b.example", "nx",
     "u@mx.example", "rcpt local"},
    {"U before D", "From:a@ OK\nFrom:b.example REJECT", 0, "192.0.2.1", "", "a@b.example", "nx",
     "u@mx.example", "rcpt local"},
    {"detail before +*", "From:a+x@b.example OK\nFrom:a+*@b.example REJECT", 0, "192.0.2.1", "",
     "a+x@b.example", "ok", "u@mx.example", "rcpt local"},
    {"+* before the user", "From:a+*@b.example OK\nFrom:a@b.example REJECT", 0, "192.0.2.1", "",
     "a+x@b.example", "ok", "u@mx.example", "rcpt local"},
    {"the user last", "From:a@b.example REJECT", 0, "192.0.2.1", "", "a+x@b.example", "ok",
     "u@mx.example", "mail 550 5.7.1 Access denied"},
    {"no detail, no +*", "From:a+*@b.example REJECT", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@mx.example", "rcpt local"},
    {"a local part alone", "From:bare@ OK", 0, "192.0.2.1", "", "bare", "nx", "u@mx.example",
     "rcpt local"},
    {"and refused", "From:bare@ REJECT", 0, "192.0.2.1", "", "bare", "nx", "u@mx.example",
     "mail 550 5.7.1 Access denied"},
    {"a network of literals", "From:[192.0.2] OK", 0, "192.0.2.1", "", "a@[192.0.2.77]", "nx",
     "u@mx.example", "rcpt local"},
    {"a map's refusal goes before the domain's", "From:b.example ERROR:451 wait", 0, "192.0.2.1",
     "", "a@b.example", "nx", "u@mx.example", "mail 451 4.0.0 wait"},
    {"an unknown domain", "", 0, "192.0.2.1", "", "a@b.example", "nx", "u@mx.example",
     "mail 553 5.1.8 Domain of sender address a@b.example does not exist"},
    {"one that fails for now", "", 0, "192.0.2.1", "", "a@b.example", "temp", "u@mx.example",
     "mail 451 4.1.8 Domain of sender address a@b.example does not resolve"},
    {"who relays is not excused", "", 0, "127.0.0.1", "", "a@b.example", "nx", "u@mx.example",
     "mail 553 5.1.8 Domain of sender address a@b.example does not exist"},
    {"nor who is logged in", "", 0, "192.0.2.1", "PLAIN", "a@b.example", "nx", "u@mx.example",
     "mail 553 5.1.8 Domain of sender address a@b.example does not exist"},
    {"a source route", "From:b.example REJECT", 0, "192.0.2.1", "", "@x.example:a@b.example", "ok",
     "u@mx.example", "mail 550 5.7.1 Access denied"},
    /* ---- the recipient ---- */
    {"To: user@ at local domains", "To:u@ REJECT", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@mx.example", "rcpt 550 5.2.1 Mailbox disabled for this recipient"},
    {"and without a domain", "To:u@ REJECT", 0, "192.0.2.1", "", "a@b.example", "ok", "u",
     "rcpt 550 5.2.1 Mailbox disabled for this recipient"},
    {"not at others", "To:u@ REJECT", 0, "127.0.0.1", "", "a@b.example", "ok", "u@far.example",
     "rcpt relay"},
    {"To: goes before a login", "To:far.example REJECT", 0, "192.0.2.1", "PLAIN", "a@b.example",
     "ok", "u@far.example", "rcpt 550 5.2.1 Mailbox disabled for this recipient"},
    {"routes are stripped first", "To:far.example REJECT", 0, "127.0.0.1", "", "a@b.example", "ok",
     "u%far.example@mx.example", "rcpt 550 5.2.1 Mailbox disabled for this recipient"},
    {"a domain in R is relayed", "", 0, "192.0.2.1", "", "a@b.example", "ok", "u@a.r.example",
     "rcpt relay"},
    {"relay_hosts_only: itself", "", HOSTS, "192.0.2.1", "", "a@b.example", "ok", "u@r.example",
     "rcpt relay"},
    {"relay_hosts_only: not below", "", HOSTS, "192.0.2.1", "", "a@b.example", "ok",
     "u@a.r.example", "rcpt 550 5.7.1 " NO_PTR},
    {"To: RELAY with relay_hosts_only", "To:t.example RELAY", HOSTS, "192.0.2.1", "", "a@b.example",
     "ok", "u@t.example", "rcpt relay"},
    {"To: RELAY, below", "To:t.example RELAY", HOSTS, "192.0.2.1", "", "a@b.example", "ok",
     "u@a.t.example", "rcpt 550 5.7.1 " NO_PTR},
    {"To: RELAY of an address", "To:u@t.example RELAY", FULL, "192.0.2.1", "", "a@b.example", "ok",
     "u@t.example", "rcpt relay"},
    {"needs relaytofulladdress", "To:u@t.example RELAY", 0, "192.0.2.1", "", "a@b.example", "ok",
     "u@t.example", "rcpt 550 5.7.1 " NO_PTR},
    {"OK of the address ends the search", "To:u@t.example OK\nTo:t.example RELAY", FULL,
     "192.0.2.1", "", "a@b.example", "ok", "u@t.example", "rcpt 550 5.7.1 " NO_PTR},
    /* ---- routes ---- */
    {"through R", "", 0, "192.0.2.1", "", "a@b.example", "ok", "u%far.example@r.example",
     "rcpt 550 5.7.1 " NO_PTR},
    {"loose_relay_check", "", LOOSE, "192.0.2.1", "", "a@b.example", "ok",
     "u%far.example@r.example", "rcpt relay"},
    {"not for class w", "", LOOSE, "192.0.2.1", "", "a@b.example", "ok", "u%far.example@mx.example",
     "rcpt 550 5.7.1 " NO_PTR},
    {"through To: RELAY", "To:t.example RELAY", 0, "192.0.2.1", "", "a@b.example", "ok",
     "far.example!u@t.example", "rcpt 550 5.7.1 " NO_PTR},
    {"from R to R", "", 0, "192.0.2.1", "", "a@b.example", "ok", "u%a.r.example@r.example",
     "rcpt relay"},
    {"quoted, through R", "", 0, "192.0.2.1", "", "a@b.example", "ok",
     "\"u@far.example\"@r.example", "rcpt 550 5.7.1 " NO_PTR},
    /* ---- who may relay ---- */
    {"loopback of IPv6", "", 0, "::1", "", "a@b.example", "ok", "u@far.example", "rcpt relay"},
    {"a network in R", "", 0, "10.1.2.3", "", "a@b.example", "ok", "u@far.example", "rcpt relay"},
    {"whole octets in R", "", 0, "10.10.2.3", "", "a@b.example", "ok", "u@far.example",
     "rcpt 550 5.7.1 Relaying denied. IP name lookup failed [10.10.2.3]"},
    {"a network in R with relay_hosts_only", "", HOSTS, "10.1.2.3", "", "a@b.example", "ok",
     "u@far.example", "rcpt relay"},
    {"an IPv6 network in R", "", 0, "2001:db8:1::9", "", "a@b.example", "ok", "u@far.example",
     "rcpt relay"},
    {"an address of this host", "", 0, "192.0.2.9", "", "a@b.example", "ok", "u@far.example",
     "rcpt relay"},
    {"a name in w", "", 0, "192.0.2.1 mx.example", "", "a@b.example", "ok", "u@far.example",
     "rcpt relay"},
    {"w is exact", "", 0, "192.0.2.1 pc.mx.example", "", "a@b.example", "ok", "u@far.example",
     "rcpt 550 5.7.1 Relaying denied. Proper authentication required."},
    {"a name under R", "", 0, "192.0.2.1 pc.r.example", "", "a@b.example", "ok", "u@far.example",
     "rcpt relay"},
    {"not with relay_hosts_only", "", HOSTS, "192.0.2.1 pc.r.example", "", "a@b.example", "ok",
     "u@far.example", "rcpt 550 5.7.1 Relaying denied. Proper authentication required."},
    {"a forged one", "", 0, "192.0.2.1 !", "", "a@b.example", "ok", "u@far.example",
     "rcpt 550 5.7.1 Relaying denied. IP name possibly forged [192.0.2.1]"},
    {"one that fails for now", "", 0, "192.0.2.1 ?", "", "a@b.example", "ok", "u@far.example",
     "rcpt 450 4.4.0 Relaying temporarily denied. Cannot resolve PTR record for 192.0.2.1"},
    {"the address is enough", "Connect:192.0.2 RELAY", 0, "192.0.2.1 ?", "", "a@b.example", "ok",
     "u@far.example", "rcpt relay"},
    {"local mail does not wait for a name", "", 0, "192.0.2.1 ?", "", "a@b.example", "ok",
     "u@mx.example", "rcpt local"},
    {"IPv6 in brackets", "", 0, "2001:db8::1", "", "a@b.example", "ok", "u@far.example",
     "rcpt 550 5.7.1 Relaying denied. IP name lookup failed [IPv6:2001:db8::1]"},
    {"IPv6 without brackets", "", 0, "2001:db8::1 ?", "", "a@b.example", "ok", "u@far.example",
     "rcpt 450 4.4.0 Relaying temporarily denied. Cannot resolve PTR record for IPv6:2001:db8::1"},
    {"a mechanism that is not trusted", "", 0, "192.0.2.1", "LOGIN", "a@b.example", "ok",
     "u@far.example", "rcpt 550 5.7.1 " NO_PTR},
    {"a mechanism in any case", "", 0, "192.0.2.1", "plain", "a@b.example", "ok", "u@far.example",
     "rcpt relay"},
    /* ---- by the sender ---- */
    {"From: RELAY of a domain is not enough", "From:b.example RELAY", FROM, "192.0.2.1", "",
     "a@b.example", "ok", "u@far.example", "rcpt 550 5.7.1 " NO_PTR},
    {"of an address it is", "From:a@b.example RELAY", FROM, "192.0.2.1", "", "a@b.example", "ok",
     "u@far.example", "rcpt relay"},
    {"with `domain' below it too", "From:b.example RELAY", FROM_DOMAIN, "192.0.2.1", "",
     "a@c.b.example", "ok", "u@far.example", "rcpt relay"},
    {"relay_hosts_only: itself", "From:b.example RELAY", FROM_DOMAIN | HOSTS, "192.0.2.1", "",
     "a@c.b.example", "ok", "u@far.example", "rcpt 550 5.7.1 " NO_PTR},
    {"an untagged entry says nothing of senders", "a@b.example RELAY", FROM, "192.0.2.1", "",
     "a@b.example", "ok", "u@far.example", "rcpt 550 5.7.1 " NO_PTR},
    {"OK of the sender never relays", "From:a@b.example OK", FROM_DOMAIN, "192.0.2.1", "",
     "a@b.example", "ok", "u@far.example", "rcpt 550 5.7.1 " NO_PTR},
    /* ---- delay_checks ---- */
    {"From: OK spares the connection", "Connect:192.0.2.1 REJECT\nFrom:b.example OK", DELAY,
     "192.0.2.1", "", "a@b.example", "ok", "u@mx.example", "rcpt local"},
    {"From: RELAY too", "Connect:192.0.2.1 REJECT\nFrom:b.example RELAY", DELAY, "192.0.2.1", "",
     "a@b.example", "ok", "u@mx.example", "rcpt local"},
    {"QUARANTINE does not", "Connect:192.0.2.1 REJECT\nFrom:b.example QUARANTINE:hm", DELAY,
     "192.0.2.1", "", "a@b.example", "ok", "u@mx.example", "rcpt 550 5.7.1 Access denied"},
    {"a login spares both", "Connect:192.0.2.1 REJECT\nFrom:b.example REJECT", DELAY, "192.0.2.1",
     "PLAIN", "a@b.example", "ok", "u@far.example", "rcpt relay"},
    {"not by another mechanism", "Connect:192.0.2.1 REJECT", DELAY, "192.0.2.1", "LOGIN",
     "a@b.example", "ok", "u@mx.example", "rcpt 550 5.7.1 Access denied"},
    {"the recipient goes first", "Connect:192.0.2.1 REJECT\nTo:u@mx.example ERROR:450 busy", DELAY,
     "192.0.2.1", "", "a@b.example", "ok", "u@mx.example", "rcpt 450 4.0.0 busy"},
    {"then the sender", "Connect:192.0.2.1 REJECT", DELAY, "192.0.2.1", "", "a@b.example", "temp",
     "u@mx.example", "rcpt 451 4.1.8 Domain of sender address a@b.example does not resolve"},
};

/* ---- The world ------------------------------------------------------------------------------- */

static lmail_policy *policy_of(const struct row *r)
{
    static const lmail_str relayed[] = {
        {"r.example", 9}, {"10.1", 4}, {"IPv6:2001:db8:1", 15}, {"[192.0.2.8]", 11}};
    static const lmail_str own[] = {{"192.0.2.9", 9}}, trusted[] = {{"PLAIN", 5}};
    lmail_policy_config c = LMAIL_POLICY_CONFIG_INIT;
    lmail_policy *p;
    c.host_name = LMAIL_STR("mx.example");
    c.host_addresses = own;
    c.host_address_count = 1;
    c.relay_domains = relayed;
    c.relay_domain_count = 4;
    c.trusted_mechanisms = trusted;
    c.trusted_mechanism_count = 1;
    c.blocklist_recipients = 1;
    c.relay_hosts_only = (r->on & HOSTS) != 0;
    c.relay_to_full_address = (r->on & FULL) != 0;
    c.loose_relay_check = (r->on & LOOSE) != 0;
    c.relay_mail_from = r->on & FROM_DOMAIN ? LMAIL_POLICY_RELAY_FROM_DOMAIN
                        : r->on & FROM      ? LMAIL_POLICY_RELAY_FROM_ADDRESS
                                            : LMAIL_POLICY_RELAY_FROM_OFF;
    c.lookupdotdomain = (r->on & DOTS) != 0;
    c.delay_checks = r->on & DELAY ? LMAIL_POLICY_DELAY_ON : LMAIL_POLICY_DELAY_OFF;
    c.access = (lmail_policy_file){LMAIL_STR("access"), lmail_str_from(r->access)};
    ck_assert_msg(lmail_policy_new(&p, &c) == LMAIL_OK, "%s", r->what);
    return p;
}

static lmail_policy_peer peer_of(const struct row *r)
{
    lmail_policy_peer p = LMAIL_POLICY_PEER_INIT;
    size_t len = strcspn(r->client, " ");
    const char *name = r->client[len] ? r->client + len + 1 : "";
    p.address = (lmail_str){r->client, len};
    p.mechanism = lmail_str_from(r->login);
    p.name_state = !*name         ? LMAIL_POLICY_NAME_NONE
                   : *name == '?' ? LMAIL_POLICY_NAME_TEMPORARY
                   : *name == '!' ? LMAIL_POLICY_NAME_FORGED
                                  : LMAIL_POLICY_NAME_VERIFIED;
    if (p.name_state == LMAIL_POLICY_NAME_VERIFIED)
        p.name = lmail_str_from(name);
    if (p.name_state == LMAIL_POLICY_NAME_FORGED)
        p.name = LMAIL_STR("h.example");
    return p;
}

typedef lmail_status stage(const lmail_policy *, const lmail_policy_question *,
                           lmail_policy_verdict *);

/* "rcpt local", "mail 553 5.1.8 text": where it ended, and how. */
static void tell(const lmail_policy *p, const lmail_policy_question *q, char *out, size_t cap)
{
    static const struct {
        const char *name;
        stage *ask;
    } stages[] = {{"connect", lmail_policy_connect},
                  {"mail", lmail_policy_mail},
                  {"rcpt", lmail_policy_rcpt}};
    lmail_policy_verdict v, held = {0};
    unsigned gone = 0;
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(stages[i].ask(p, q, &v), LMAIL_OK);
        ck_assert_int_ne(v.kind, LMAIL_POLICY_NEED);
        gone |= v.kind == LMAIL_POLICY_DISCARD;
        if (v.kind == LMAIL_POLICY_QUARANTINE)
            held = v;
        if (v.kind == LMAIL_POLICY_DENY) {
            snprintf(out, cap, "%s %u %.*s %.*s", stages[i].name, v.code, (int)v.enhanced.len,
                     v.enhanced.ptr, (int)v.text.len, v.text.ptr);
            return;
        }
    }
    int n = snprintf(out, cap, "rcpt %s%s", v.local ? "local" : "relay", gone ? ", gone" : "");
    if (held.kind == LMAIL_POLICY_QUARANTINE)
        snprintf(out + n, cap - (size_t)n, ", held: %.*s", (int)held.reason.len, held.reason.ptr);
}

START_TEST(a_transaction_ends_as_the_rules_say)
{
    char text[600];
    const struct row *r = &rows[_i];
    lmail_policy *p = policy_of(r);
    lmail_policy_peer peer = peer_of(r);
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    q.peer = &peer;
    q.sender = lmail_str_from(r->from);
    q.recipient = lmail_str_from(r->to);
    q.sender_domain = *r->dns == 'o'   ? LMAIL_POLICY_YES
                      : *r->dns == 'n' ? LMAIL_POLICY_NO
                                       : LMAIL_POLICY_TEMPORARY;
    tell(p, &q, text, sizeof text);
    ck_assert_msg(strcmp(text, r->verdict) == 0, "%s: %s", r->what, text);
    lmail_policy_free(p);
}
END_TEST

Suite *policy_order_suite(void)
{
    Suite *s = suite_create("policy_order");
    TCase *c = tcase_create("order");
    tcase_add_loop_test(c, a_transaction_ends_as_the_rules_say, 0, sizeof rows / sizeof *rows);
    suite_add_tcase(s, c);
    return s;
}
