/* mailctl policy explain: what smtpd would say to a client, a sender and a recipient, step by step,
 * with file and line. Asks no name server: what the DNS says is given by options. */
#include "mailctl.h"

#include <getopt.h>
#include <libmail/policy_tables.h>
#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

typedef struct asked {
    lmail_policy_peer peer;
    lmail_policy_question question;
    lmail_policy_answer sender_domain, recipient_mx; /* for when it is asked for */
} asked;

static void show_place(lmail_str file, size_t line)
{
    if (file.len)
        printf("  %.*s:%zu", TEXT(file), line);
}

static void show_step(void *ctx, const lmail_policy_step *s)
{
    (void)ctx;
    printf("    %-40.*s %.*s: %s", TEXT(s->key), TEXT(s->meaning), s->hit ? "yes" : "no");
    if (s->value.len)
        printf(" \"%.*s\"", TEXT(s->value));
    show_place(s->file, s->line);
    putchar('\n');
}

static void show_verdict(const char *stage, const lmail_policy_verdict *v)
{
    static const char *const names[] = {"accept",  "local",      "relay",
                                        "discard", "quarantine", "deny"};
    printf("  %s: %s", stage, names[v->kind]);
    if (v->code)
        printf(", %u %.*s %.*s", v->code, TEXT(v->enhanced), TEXT(v->text));
    if (v->reason.len)
        printf(", held for \"%.*s\"", TEXT(v->reason));
    if (v->rule.len)
        printf(" (%.*s)", TEXT(v->rule));
    show_place(v->file, v->line);
    putchar('\n');
}

/* What the options say of the DNS. */
static void fill_in(asked *a, unsigned need)
{
    if (need & LMAIL_POLICY_NEED_SENDER_DOMAIN)
        a->question.sender_domain = a->sender_domain;
    if (need & LMAIL_POLICY_NEED_RECIPIENT_MX)
        a->question.recipient_mx = a->recipient_mx;
}

typedef lmail_status ask_fn(const lmail_policy *, const lmail_policy_question *,
                            lmail_policy_verdict *);

/* 1: go on with the next stage; 0: refused; -1: an error was said. */
static int stage(const lmail_policy *policy, const char *name, ask_fn *ask, asked *a,
                 lmail_policy_verdict *v)
{
    lmail_status st;
    printf("%s\n", name);
    a->question.on_step = NULL; /* first what it needs, so that each step is shown once */
    while (!(st = ask(policy, &a->question, v)) && v->kind == LMAIL_POLICY_NEED)
        fill_in(a, v->need);
    a->question.on_step = show_step;
    if (!st)
        st = ask(policy, &a->question, v);
    if (st) {
        mailctl_say("%s: %s", name, lmail_status_text(st));
        return -1;
    }
    show_verdict(name, v);
    return v->kind != LMAIL_POLICY_DENY;
}

static void show_destination(const lmail_policy_destination *d)
{
    switch (d->kind) {
    case LMAIL_POLICY_TO_USER:
        printf("  to: user %.*s", TEXT(d->user));
        if (d->has_detail)
            printf(" (detail %.*s)", TEXT(d->detail));
        break;
    case LMAIL_POLICY_TO_HOST:
        printf("  to: %.*s by %.*s", TEXT(d->address), TEXT(d->mailer));
        for (size_t i = 0; i < d->host_count; i++) {
            printf(" %.*s", TEXT(d->hosts[i].name));
            if (d->hosts[i].port)
                printf(":%u", d->hosts[i].port);
            printf("%s", d->hosts[i].no_mx ? " (no MX)" : "");
        }
        break;
    case LMAIL_POLICY_TO_FILE:
    case LMAIL_POLICY_TO_PROGRAM:
        printf("  to: %.*s %.*s", TEXT(d->path), TEXT(d->arguments));
        break;
    case LMAIL_POLICY_TO_NOBODY:
        printf("  to: nobody, %u %.*s %.*s", d->code, TEXT(d->enhanced), TEXT(d->text));
        break;
    }
    if (d->rule.len)
        printf(" (%.*s)", TEXT(d->rule));
    show_place(d->file, d->line);
    putchar('\n');
}

static int show_routes(const lmail_policy_tables *tables, const lmail_policy_verdict *v)
{
    const lmail_policy_routes *routes;
    lmail_policy_route_question q;
    if (!tables)
        return MAILCTL_DONE;
    lmail_policy_route_question_init(&q);
    q.local_part = v->local_part;
    q.domain = v->domain;
    q.on_step = show_step;
    puts("route");
    lmail_status st = lmail_policy_tables_route(tables, &q, &routes);
    if (st) {
        mailctl_say("route: %s", lmail_status_text(st));
        return MAILCTL_REFUSED;
    }
    for (size_t i = 0; i < routes->count; i++)
        show_destination(&routes->items[i]);
    lmail_policy_routes_free(routes);
    return MAILCTL_DONE;
}

static void show_rewritten(const lmail_policy_tables *t, const char *what, lmail_policy_role role,
                           lmail_policy_delivery delivery, lmail_str address)
{
    char out[2 * LMAIL_POLICY_MAX_ADDRESS];
    size_t made;
    if (lmail_policy_tables_rewrite(t, role, delivery, address, out, sizeof out, &made))
        return;
    if (lmail_str_equal(address, (lmail_str){out, made}))
        printf("  %s: %.*s\n", what, TEXT(address));
    else
        printf("  %s: %.*s becomes %.*s\n", what, TEXT(address), (int)made, out);
}

/* How the sender is seen by whom the mail goes to. */
static int show_rewriting(const lmail_policy *policy, const lmail_policy_tables *t, const asked *a,
                          int local)
{
    lmail_policy_verdict v;
    const lmail_policy_delivery delivery =
        local ? LMAIL_POLICY_DELIVERY_LOCAL : LMAIL_POLICY_DELIVERY_SMTP;
    lmail_policy_question q = a->question;
    q.on_step = NULL;
    if (!t || !q.sender.len)
        return MAILCTL_DONE;
    lmail_status st = lmail_policy_client(policy, &q, &v);
    if (st) {
        mailctl_say("rewrite: %s", lmail_status_text(st));
        return MAILCTL_REFUSED;
    }
    puts("rewrite");
    if (v.kind != LMAIL_POLICY_ACCEPT) {
        puts("  nothing: other people's mail is not changed");
        return MAILCTL_DONE;
    }
    if (!local)
        show_rewritten(t, "MAIL FROM", LMAIL_POLICY_ENVELOPE_SENDER, delivery, q.sender);
    show_rewritten(t, "From", LMAIL_POLICY_HEADER_SENDER, delivery, q.sender);
    return MAILCTL_DONE;
}

/* The whole conversation. A refusal by the policy is an answer like others: 0. */
static int explain(const lmail_config *config, asked *a)
{
    const lmail_policy *policy = lmail_config_policy(config);
    lmail_policy_verdict v;
    a->question.tables = lmail_config_tables(config);
    int go_on = stage(policy, "connect", lmail_policy_connect, a, &v);
    if (go_on > 0)
        go_on = stage(policy, "mail", lmail_policy_mail, a, &v);
    if (go_on > 0)
        go_on = stage(policy, "rcpt", lmail_policy_rcpt, a, &v);
    if (go_on < 0)
        return MAILCTL_REFUSED;
    if (!go_on)
        return MAILCTL_DONE;
    if (!mailctl_is_free(lmail_config_settings(config), LMAIL_PRIVACY_RESTRICT_EXPAND)) {
        mailctl_say("smtp.privacy has restrict_expand: only root and the owner of the queue see "
                    "whom an address means");
        return MAILCTL_REFUSED;
    }
    int code = show_routes(a->question.tables, &v);
    return code ? code : show_rewriting(policy, a->question.tables, a, v.local != 0);
}

/* ---- Options --------------------------------------------------------------------------------- */

/* "192.0.2.1", "192.0.2.1,mx.example", ",!name": forged, ",?": cannot be looked up now. */
static void read_client(lmail_policy_peer *peer, const char *text)
{
    size_t len = strcspn(text, ",");
    const char *name = text[len] ? text + len + 1 : "";
    peer->address = (lmail_str){text, len};
    peer->name_state = *name == '\0'  ? LMAIL_POLICY_NAME_NONE
                       : *name == '!' ? LMAIL_POLICY_NAME_FORGED
                       : *name == '?' ? LMAIL_POLICY_NAME_TEMPORARY
                                      : LMAIL_POLICY_NAME_VERIFIED;
    if (peer->name_state == LMAIL_POLICY_NAME_VERIFIED)
        peer->name = lmail_str_from(name);
}

/* 1: understood. */
static int read_answer(const char *text, lmail_policy_answer *out)
{
    static const struct {
        const char *word;
        lmail_policy_answer answer;
    } words[] = {
        {"yes", LMAIL_POLICY_YES}, {"no", LMAIL_POLICY_NO}, {"temp", LMAIL_POLICY_TEMPORARY}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i].word) == 0) {
            *out = words[i].answer;
            return 1;
        }
    return 0;
}

/* "<a@b>" and "a@b"; "<>" is the empty sender. */
static lmail_str read_address(const char *text)
{
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '<' && text[len - 1] == '>')
        return (lmail_str){text + 1, len - 2};
    return (lmail_str){text, len};
}

static int run_explain(const mailctl_call *call)
{
    static const struct option known[] = {
        {"client", required_argument, NULL, 'c'}, {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 't'},     {"auth", required_argument, NULL, 'a'},
        {"domain", required_argument, NULL, 'd'}, {"mx", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    asked a = {.sender_domain = LMAIL_POLICY_YES, .recipient_mx = LMAIL_POLICY_NO};
    int client = 0, from = 0, to = 0, good = 1;
    lmail_policy_peer_init(&a.peer);
    lmail_policy_question_init(&a.question);
    a.question.peer = &a.peer;
    optind = 1;
    for (int c; (c = getopt_long(call->argc, call->argv, "h", known, NULL)) != -1;) {
        switch (c) {
        case 'c':
            read_client(&a.peer, optarg);
            client = 1;
            break;
        case 'f':
            a.question.sender = read_address(optarg);
            from = 1;
            break;
        case 't':
            a.question.recipient = read_address(optarg);
            to = 1;
            break;
        case 'a':
            a.peer.login = LMAIL_STR("user");
            a.peer.mechanism = lmail_str_from(optarg);
            break;
        case 'd':
            good = good && read_answer(optarg, &a.sender_domain);
            break;
        case 'm':
            good = good && read_answer(optarg, &a.recipient_mx);
            break;
        case 'h':
            return mailctl_help(call);
        default:
            return mailctl_bad_usage(call);
        }
    }
    if (!good || !client || !from || !to || optind < call->argc)
        return mailctl_bad_usage(call);
    lmail_config *config = mailctl_load_config(call);
    if (!config)
        return MAILCTL_REFUSED;
    int code = explain(config, &a);
    lmail_config_free(config);
    return code;
}

const mailctl_command mailctl_policy_commands[] = {
    {"policy", "explain",
     "--client ADDRESS[,NAME] --from SENDER --to RECIPIENT [--auth MECHANISM] [--domain "
     "yes|no|temp] "
     "[--mx yes|no|temp]",
     "show what smtpd says to a client, a sender and a recipient, step by step", run_explain},
    {NULL, NULL, NULL, NULL, NULL}};
