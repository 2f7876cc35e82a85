/* The measured tables through the public functions: access.tsv, access_sloppy.tsv, relay.tsv, and
 * the guide's own files. */
#include "support/vectors.h"

#include <libmail/policy.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Files and warnings ---------------------------------------------------------------------- */

typedef struct seen {
    size_t line;
    lmail_severity severity;
    char text[400];
} seen;

static seen said[200];
static size_t said_count;

static void remember(void *ctx, const lmail_diagnostic *d)
{
    (void)ctx;
    ck_assert_uint_lt(said_count, sizeof said / sizeof *said);
    seen *s = &said[said_count++];
    s->line = d->line;
    s->severity = d->severity;
    snprintf(s->text, sizeof s->text, "%.*s", (int)d->text.len, d->text.ptr);
}

static lmail_policy_file file_of(const char *path, char **text)
{
    size_t len;
    *text = vectors_read(path, &len);
    return (lmail_policy_file){lmail_str_from(path), {*text, len}};
}

/* The world that the vectors assume: class w of the file and localhost.localdomain. */
typedef struct world {
    lmail_policy_config config;
    char *access, *w, *r;
    lmail_str mechanisms[4];
} world;

static const lmail_str localdomain[] = {{"localhost.localdomain", 21}};
static const lmail_str addresses[] = {{"192.168.1.10", 12}, {"127.0.0.1", 9}, {"::1", 3}};

static void world_init(world *w, const char *access)
{
    memset(w, 0, sizeof *w);
    lmail_policy_config_init(&w->config);
    w->config.use_cw_file = w->config.blocklist_recipients = 1;
    w->config.diagnostic = remember;
    w->config.host_name = LMAIL_STR("correo.midominio.com.mx");
    w->config.local_domains = localdomain;
    w->config.local_domain_count = 1;
    w->config.host_addresses = addresses;
    w->config.host_address_count = 3;
    w->config.local_domains_file = file_of("vectors/local-host-names", &w->w);
    if (access)
        w->config.access = file_of(access, &w->access);
    said_count = 0;
}

static void world_done(world *w)
{
    free(w->access);
    free(w->w);
    free(w->r);
}

static void trust(world *w, const char *list)
{
    size_t n = 0;
    while (*list) {
        size_t len = strcspn(list, " ");
        w->mechanisms[n++] = (lmail_str){list, len};
        list += len + strspn(list + len, " ");
    }
    w->config.trusted_mechanisms = w->mechanisms;
    w->config.trusted_mechanism_count = n;
}

/* One word of the column `features`. */
static void apply(world *w, const char *word)
{
    lmail_policy_config *c = &w->config;
    static const lmail_str typo[] = {{"midominio.com.mx", 16}, {"correoomidominio.com.mx", 23}};
    static const struct {
        const char *name;
        size_t member;
        unsigned value;
    } switches[] = {
        {"base", 0, 0},
        {"accept_unresolvable_domains", offsetof(lmail_policy_config, accept_unresolvable_domains),
         1},
        {"relay_mail_from:domain", offsetof(lmail_policy_config, relay_mail_from),
         LMAIL_POLICY_RELAY_FROM_DOMAIN},
        {"relaytofulladdress", offsetof(lmail_policy_config, relay_to_full_address), 1},
        {"no_blocklist", offsetof(lmail_policy_config, blocklist_recipients), 0},
        {"lookupdotdomain", offsetof(lmail_policy_config, lookupdotdomain), 1},
        {"relay_hosts_only", offsetof(lmail_policy_config, relay_hosts_only), 1},
        {"delay_checks", offsetof(lmail_policy_config, delay_checks), LMAIL_POLICY_DELAY_ON},
        {"delay_checks:friend", offsetof(lmail_policy_config, delay_checks),
         LMAIL_POLICY_DELAY_FRIEND},
        {"delay_checks:hater", offsetof(lmail_policy_config, delay_checks),
         LMAIL_POLICY_DELAY_HATER},
        {"loose_relay_check", offsetof(lmail_policy_config, loose_relay_check), 1},
        {"noR_entire", offsetof(lmail_policy_config, relay_entire_domain), 1},
        {"relay_local_from", offsetof(lmail_policy_config, relay_local_from), 1},
        {"promiscuous_relay", offsetof(lmail_policy_config, promiscuous_relay), 1},
        {"relay_based_on_MX", offsetof(lmail_policy_config, relay_based_on_mx), 1},
    };
    if (strncmp(word, "noR", 3) == 0)
        memset(&c->relay_domains_file, 0, sizeof c->relay_domains_file);
    if (strcmp(word, "noR") == 0)
        return;
    if (strcmp(word, "notrust") == 0) {
        c->trusted_mechanisms = NULL;
        c->trusted_mechanism_count = 0;
        return;
    }
    if (strcmp(word, "trustcram") == 0) {
        trust(w, "CRAM-MD5");
        return;
    }
    if (strcmp(word, "guide_typo") == 0) {
        memset(&c->relay_domains_file, 0, sizeof c->relay_domains_file);
        c->relay_domains = typo;
        c->relay_domain_count = 2;
        return;
    }
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (strcmp(word, switches[i].name) == 0) {
            if (switches[i].member)
                *(unsigned *)((char *)c + switches[i].member) = switches[i].value;
            return;
        }
    ck_abort_msg("unknown feature %s", word);
}

/* ---- One transaction ------------------------------------------------------------------------- */

typedef struct facts {
    const char *ip, *name, *auth, *from, *dns, *to;
} facts;

typedef struct outcome {
    const char *stage;
    lmail_policy_verdict v;
    unsigned discarded, held;
    unsigned asks; /* the longest loop of one stage */
} outcome;

static lmail_policy_answer answer(const char *dns)
{
    return strcmp(dns, "nx") == 0     ? LMAIL_POLICY_NO
           : strcmp(dns, "temp") == 0 ? LMAIL_POLICY_TEMPORARY
                                      : LMAIL_POLICY_YES;
}

/* What a name server would say, only when it is asked. */
static void look_up(unsigned need, const facts *f, lmail_policy_peer *peer,
                    lmail_policy_question *q, const lmail_policy_verdict *v)
{
    ck_assert_uint_ne(need, 0);
    if (need & LMAIL_POLICY_NEED_NAME) {
        ck_assert_int_eq(peer->name_state, LMAIL_POLICY_NAME_UNKNOWN);
        peer->name_state = f->name[0] == '-'   ? LMAIL_POLICY_NAME_NONE
                           : f->name[0] == '?' ? LMAIL_POLICY_NAME_TEMPORARY
                           : f->name[0] == '!' ? LMAIL_POLICY_NAME_FORGED
                                               : LMAIL_POLICY_NAME_VERIFIED;
        peer->name = lmail_str_from(f->name);
    }
    if (need & LMAIL_POLICY_NEED_SENDER_DOMAIN) {
        ck_assert_int_eq(q->sender_domain, LMAIL_POLICY_UNKNOWN);
        /* a literal is looked up as an address, and no vector's has a PTR record */
        q->sender_domain = strchr(f->from, '[') ? LMAIL_POLICY_NO : answer(f->dns);
    }
    if (need & LMAIL_POLICY_NEED_RECIPIENT_MX) {
        ck_assert_int_eq(q->recipient_mx, LMAIL_POLICY_UNKNOWN);
        ck_assert_uint_gt(v->domain.len, 0);
        q->recipient_mx = strstr(f->to, "mxofus") ? LMAIL_POLICY_YES : LMAIL_POLICY_NO;
    }
}

typedef lmail_status stage_fn(const lmail_policy *, const lmail_policy_question *,
                              lmail_policy_verdict *);

/* 1: go on with the next stage. */
static int run_stage(const lmail_policy *p, const char *name, stage_fn *ask, const facts *f,
                     lmail_policy_peer *peer, lmail_policy_question *q, outcome *o)
{
    unsigned asks = 0;
    do {
        if (asks++)
            look_up(o->v.need, f, peer, q, &o->v);
        ck_assert_int_eq(ask(p, q, &o->v), LMAIL_OK);
        ck_assert_uint_lt(asks, 4);
    } while (o->v.kind == LMAIL_POLICY_NEED);
    o->stage = name;
    o->discarded |= o->v.kind == LMAIL_POLICY_DISCARD;
    o->held |= o->v.kind == LMAIL_POLICY_QUARANTINE;
    return o->v.kind != LMAIL_POLICY_DENY;
}

static void transact(const lmail_policy *p, const facts *f, outcome *o)
{
    lmail_policy_peer peer;
    lmail_policy_question q;
    lmail_policy_peer_init(&peer);
    lmail_policy_question_init(&q);
    memset(o, 0, sizeof *o);
    peer.address = lmail_str_from(f->ip);
    if (f->auth[0] != '-') {
        peer.login = LMAIL_STR("juan");
        peer.mechanism = lmail_str_from(f->auth);
    }
    q.peer = &peer;
    q.sender = lmail_str_from(strcmp(f->from, "<>") == 0 ? "" : f->from);
    q.recipient = lmail_str_from(f->to);
    if (run_stage(p, "connect", lmail_policy_connect, f, &peer, &q, o) &&
        run_stage(p, "mail", lmail_policy_mail, f, &peer, &q, o))
        run_stage(p, "rcpt", lmail_policy_rcpt, f, &peer, &q, o);
}

/* vectors/users; postmaster always exists. */
static int user_exists(lmail_str local)
{
    static const char *const users[] = {"juan", "ana",   "badlocal", "baja",     "closed",
                                        "drop", "abuse", "picky",    "friendly", "postmaster"};
    for (size_t i = 0; i < local.len; i++)
        if (local.ptr[i] == '+')
            local.len = i;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        if (lmail_str_equal_nocase(local, lmail_str_from(users[i])))
            return 1;
    return 0;
}

static void expect(const char *id, outcome *o, const char *const *want)
{
    char enhanced[20], text[400], code[20];
    lmail_policy_verdict *v = &o->v;
    if (v->kind < LMAIL_POLICY_DENY && v->local && !user_exists(v->local_part)) {
        v->kind = LMAIL_POLICY_DENY; /* the host's part of the work */
        v->code = 550;
        v->enhanced = LMAIL_STR("5.1.1");
        v->text = LMAIL_STR("User unknown");
    }
    const char *verdict = v->kind == LMAIL_POLICY_DENY ? v->code < 500 ? "deny4" : "deny5"
                          : o->discarded               ? "discarded"
                          : o->held                    ? "quarantined"
                          : v->local                   ? "local"
                                                       : "relay";
    snprintf(code, sizeof code, "%u", v->code);
    snprintf(enhanced, sizeof enhanced, "%.*s", (int)v->enhanced.len, v->enhanced.ptr);
    snprintf(text, sizeof text, "%.*s", (int)v->text.len, v->text.ptr);
    ck_assert_msg(strcmp(o->stage, want[0]) == 0, "%s: stage %s: %s", id, o->stage, text);
    if (strcmp(want[1], "queued") == 0)
        ck_assert_msg(v->kind == LMAIL_POLICY_LOCAL || v->kind == LMAIL_POLICY_RELAY, "%s: %s %s",
                      id, verdict, text);
    else
        ck_assert_msg(strcmp(verdict, want[1]) == 0, "%s: %s %s", id, verdict, text);
    ck_assert_msg(strcmp(code, want[2]) == 0, "%s: code %s", id, code);
    ck_assert_msg(strcmp(enhanced, want[3]) == 0, "%s: enhanced %s", id, enhanced);
    ck_assert_msg(strcmp(text, want[4]) == 0, "%s: text %s", id, text);
    ck_assert_msg(v->kind != LMAIL_POLICY_DENY || v->rule.len, "%s: no rule", id);
}

/* ---- The tables ------------------------------------------------------------------------------ */

START_TEST(access_rows)
{
    vectors rows = vectors_rows("vectors/access.tsv");
    ck_assert_uint_gt(rows.count, 70);
    for (size_t i = 0; i < rows.count; i++) {
        const char *const *f = rows.rows[i].field;
        world w;
        lmail_policy *p;
        outcome o;
        world_init(&w, "vectors/access");
        apply(&w, f[1]);
        ck_assert_msg(lmail_policy_new(&p, &w.config) == LMAIL_OK, "%s", f[0]);
        transact(p, &(facts){f[2], f[3], "-", f[4], f[5], f[6]}, &o);
        expect(f[0], &o, f + 7);
        lmail_policy_free(p);
        world_done(&w);
    }
    vectors_done(&rows);
}
END_TEST

START_TEST(relay_rows)
{
    vectors rows = vectors_rows("vectors/relay.tsv");
    ck_assert_uint_gt(rows.count, 40);
    for (size_t i = 0; i < rows.count; i++) {
        const char *const *f = rows.rows[i].field;
        world w;
        lmail_policy *p;
        outcome o;
        world_init(&w, NULL);
        w.config.relay_domains_file = file_of("vectors/relay-domains", &w.r);
        trust(&w, "DIGEST-MD5 CRAM-MD5 LOGIN PLAIN");
        apply(&w, f[1]);
        ck_assert_msg(lmail_policy_new(&p, &w.config) == LMAIL_OK, "%s", f[0]);
        transact(p, &(facts){f[2], f[3], f[4], f[5], "ok", f[6]}, &o);
        expect(f[0], &o, f + 7);
        lmail_policy_free(p);
        world_done(&w);
    }
    vectors_done(&rows);
}
END_TEST

/* "5: what (why)" -> the one diagnostic of line 5 begins with "what". */
static void expect_warning(const char *id, const char *want)
{
    char *rest;
    size_t line = strtoul(want, &rest, 10), hits = 0;
    rest += 2;
    size_t len = strcspn(rest, "(");
    while (len && rest[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < said_count; i++)
        if (said[i].line == line) {
            hits++;
            ck_assert_int_eq(said[i].severity, LMAIL_WARNING);
            ck_assert_msg(strncmp(said[i].text, rest, len) == 0, "%s: %zu: %s", id, line,
                          said[i].text);
        }
    ck_assert_msg(hits == 1, "%s: %zu warnings in line %zu", id, hits, line);
}

START_TEST(sloppy_rows)
{
    static const size_t lines[] = {2, 3, 4, 5, 6, 7, 11, 15, 16, 17, 18};
    vectors rows = vectors_rows("vectors/access_sloppy.tsv");
    world w;
    lmail_policy *p;
    world_init(&w, "vectors/access.sloppy");
    ck_assert_int_eq(lmail_policy_new(&p, &w.config), LMAIL_OK);
    ck_assert_uint_eq(said_count, sizeof lines / sizeof *lines);
    for (size_t i = 0; i < said_count; i++)
        ck_assert_uint_eq(said[i].line, lines[i]);
    for (size_t i = 0; i < rows.count; i++) {
        const char *const *f = rows.rows[i].field;
        outcome o;
        transact(p, &(facts){f[1], f[2], "-", f[3], "ok", f[4]}, &o);
        expect(f[0], &o, f + 5);
        if (strcmp(f[11], "-") != 0)
            expect_warning(f[0], f[11]);
    }
    lmail_policy_free(p);
    world_done(&w);
    vectors_done(&rows);
}
END_TEST

START_TEST(guide_access_warns_four_times)
{
    world w;
    lmail_policy *p;
    world_init(&w, "guide/access");
    w.config.relay_domains_file = file_of("guide/relay-domains", &w.r);
    ck_assert_int_eq(lmail_policy_new(&p, &w.config), LMAIL_OK);
    ck_assert_uint_eq(said_count, 4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(strncmp(said[i].text, "blank after tag, read as \"Connect:", 34), 0);
    lmail_policy_free(p);
    world_done(&w);
}
END_TEST

START_TEST(mail_of_who_may_send_through_here_is_own_mail)
{
    static const struct row {
        const char *address, *name, *mechanism;
        lmail_policy_name_state state;
        lmail_policy_verdict_kind kind;
    } rows[] = {
        {"", "", "", LMAIL_POLICY_NAME_UNKNOWN, LMAIL_POLICY_ACCEPT},
        {"127.0.0.1", "", "", LMAIL_POLICY_NAME_UNKNOWN, LMAIL_POLICY_ACCEPT},
        {"207.249.24.30", "", "", LMAIL_POLICY_NAME_UNKNOWN, LMAIL_POLICY_ACCEPT},
        {"192.0.2.1", "", "", LMAIL_POLICY_NAME_UNKNOWN, LMAIL_POLICY_NEED},
        {"192.0.2.1", "", "", LMAIL_POLICY_NAME_NONE, LMAIL_POLICY_DENY},
        {"192.0.2.1", "pc.midominio.com.mx", "", LMAIL_POLICY_NAME_VERIFIED, LMAIL_POLICY_ACCEPT},
        {"192.0.2.1", "pc.midominio.com.mx", "", LMAIL_POLICY_NAME_FORGED, LMAIL_POLICY_DENY},
        {"192.0.2.1", "x.example", "", LMAIL_POLICY_NAME_VERIFIED, LMAIL_POLICY_DENY},
        {"192.0.2.1", "", "CRAM-MD5", LMAIL_POLICY_NAME_NONE, LMAIL_POLICY_ACCEPT},
        {"192.0.2.1", "", "PLAIN", LMAIL_POLICY_NAME_NONE, LMAIL_POLICY_DENY},
    };
    world w;
    lmail_policy *p;
    world_init(&w, "guide/access");
    w.config.relay_domains_file = file_of("guide/relay-domains", &w.r);
    w.config.promiscuous_relay = 1; /* makes nobody's mail ours */
    trust(&w, "CRAM-MD5");
    ck_assert_int_eq(lmail_policy_new(&p, &w.config), LMAIL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lmail_policy_peer peer;
        lmail_policy_question q;
        lmail_policy_verdict v;
        lmail_policy_peer_init(&peer);
        lmail_policy_question_init(&q);
        peer.address = lmail_str_from(rows[i].address);
        peer.name = lmail_str_from(rows[i].name);
        peer.mechanism = lmail_str_from(rows[i].mechanism);
        peer.name_state = rows[i].state;
        q.peer = &peer;
        ck_assert_int_eq(lmail_policy_client(p, &q, &v), LMAIL_OK);
        ck_assert_msg(v.kind == rows[i].kind, "row %zu: %d", i, v.kind);
    }
    lmail_policy_free(p);
    world_done(&w);
}
END_TEST

Suite *policy_vectors_suite(void)
{
    Suite *s = suite_create("policy_vectors");
    TCase *c = tcase_create("vectors");
    tcase_add_test(c, access_rows);
    tcase_add_test(c, relay_rows);
    tcase_add_test(c, sloppy_rows);
    tcase_add_test(c, guide_access_warns_four_times);
    tcase_add_test(c, mail_of_who_may_send_through_here_is_own_mail);
    suite_add_tcase(s, c);
    return s;
}
