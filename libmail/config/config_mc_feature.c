/* config_mc_feature.c - FEATURE(...) of a sendmail.mc.
 *
 * Most are one setting; the rest take arguments. A feature that would make the policy weaker if it
 * were ignored is refused. */
#include "config/config_mc.h"

#include <string.h>

typedef struct feature feature;
typedef void feature_handler(lmi_mc *m, const lmi_mc_call *call, const feature *f);

struct feature {
    const char *name;
    feature_handler *handle;
    const char *key;
    const char *value; /* of the key; or a table's standard path */
};

static lmail_str argument(const lmi_mc_call *call, size_t i)
{
    return lmi_mc_trim(call->arg[i]);
}

static void bad_argument(lmi_mc *m, const lmi_mc_call *call, const feature *f, lmail_str word,
                         const char *allowed)
{
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("FEATURE("), lmail_str_from(f->name),
               LMAIL_STR("): \""), word, LMAIL_STR("\" is none of "), lmail_str_from(allowed));
}

/* ---- Kinds of features ----------------------------------------------------------------------- */

static void set(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    lmi_mc_set(m, f->key, lmail_str_from(f->value), call->at);
}

static void quiet(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    (void)m;
    (void)call;
    (void)f;
}

static void without_effect(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    LMI_MC_UNUSED(m, call->at, LMAIL_STR("FEATURE("), lmail_str_from(f->name), LMAIL_STR(")"));
}

static void refused(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("FEATURE("), lmail_str_from(f->name),
               LMAIL_STR(") is not supported"));
}

static void replaced(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    LMI_MC_SAY(m, LMAIL_NOTICE, call->at, LMAIL_STR("FEATURE("), lmail_str_from(f->name),
               LMAIL_STR("): mail is delivered by libmail itself, no program is run"));
}

static void deprecated(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    LMI_MC_SAY(m, LMAIL_WARNING, call->at,
               LMAIL_STR("FEATURE(blacklist_recipients) is deprecated;"
                         " write blocklist_recipients"));
    set(m, call, f);
}

/* The policy warns of it. */
static void relay_mail_from(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    lmail_str word = argument(call, 1);
    int domain = lmail_str_equal(word, LMAIL_STR("domain"));
    if (word.len && !domain)
        bad_argument(m, call, f, word, "domain");
    else
        lmi_mc_set(m, f->key, domain ? LMAIL_STR("domain") : LMAIL_STR("address"), call->at);
}

static void table(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    lmail_str path;
    if (lmi_mc_map(m, lmail_str_from(f->name), argument(call, 1), f->value, call->at, &path))
        lmi_mc_set(m, f->key, path, call->at);
}

static void access_db(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    table(m, call, f);
    for (size_t i = 2; i < call->count; i++) {
        lmail_str word = argument(call, i);
        if (lmail_str_equal(word, LMAIL_STR("relaytofulladdress")))
            lmi_mc_set(m, "policy.relay_to_full_address", LMAIL_STR("yes"), call->at);
        else if (lmail_str_equal(word, LMAIL_STR("lookupdotdomain")))
            lmi_mc_set(m, "policy.lookup_dot_domain", LMAIL_STR("yes"), call->at);
        else if (word.len && !lmail_str_equal(word, LMAIL_STR("skip")))
            bad_argument(m, call, f, word, "skip, lookupdotdomain, relaytofulladdress");
    }
}

static void use_cw_file(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    (void)call;
    (void)f;
    m->use_cw_file = 1;
    m->use_cw_at = call->at;
}

static void use_ct_file(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    (void)f;
    m->use_ct_at = call->at;
}

static void entire_domain(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    m->entire_domain = call->at;
    set(m, call, f);
}

static void no_default_msa(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    (void)call;
    (void)f;
    m->no_default_msa = 1;
}

static void delay_checks(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    lmail_str word = argument(call, 1);
    if (!word.len)
        lmi_mc_set(m, f->key, LMAIL_STR("yes"), call->at);
    else if (lmail_str_equal(word, LMAIL_STR("friend")) ||
             lmail_str_equal(word, LMAIL_STR("hater")))
        lmi_mc_set(m, f->key, word, call->at);
    else
        bad_argument(m, call, f, word, "friend, hater");
}

static void greet_pause(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    uint64_t msec = 0;
    lmail_str word = argument(call, 1);
    if (word.len && !lmi_mc_number(m, LMAIL_STR("FEATURE(greet_pause)"), word, call->at, &msec))
        return;
    lmi_mc_set_number(m, LMAIL_STR("FEATURE(greet_pause)"), f->key, msec, " ms", call->at);
    lmi_mc_set(m, "policy.greet_pause_access", LMAIL_STR("yes"), call->at);
}

static void control(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    lmi_mc_text out = {NULL, 0, 0};
    lmi_mc_write(m, &out, LMAIL_STR("on"));
    for (size_t i = 1; i < call->count; i++) {
        lmail_str word = argument(call, i);
        if (lmail_str_equal(word, LMAIL_STR("nodelay")) ||
            lmail_str_equal(word, LMAIL_STR("terminate"))) {
            lmi_mc_write(m, &out, LMAIL_STR(" "));
            lmi_mc_write(m, &out, word);
        } else if (word.len) {
            bad_argument(m, call, f, word, "nodelay, terminate");
        }
    }
    lmi_mc_set(m, f->key, (lmail_str){out.ptr, out.len}, call->at);
}

static void route_mark(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    lmail_str word = argument(call, 1);
    if (lmail_str_equal(word, LMAIL_STR("nospecial")))
        lmi_mc_set(m, f->key, LMAIL_STR("plain"), call->at);
    else if (!word.len || lmail_str_equal(word, LMAIL_STR("reject")))
        lmi_mc_set(m, f->key, LMAIL_STR("reject"), call->at);
    else
        bad_argument(m, call, f, word, "reject, nospecial");
}

/* ---- Block lists ----------------------------------------------------------------------------- */

static void put_section(lmi_mc *m, lmi_section *s, const char *key, lmail_str value, lmi_origin at)
{
    lmi_config_assign(m->r, s, lmail_str_from(key), value, at);
}

/* A reply of the .cf: quotes go, macros become places for words. Blanks between quoted texts only
 * part them. */
static lmail_str reply_text(lmi_mc *m, lmail_str in)
{
    static const struct place {
        const char *macro, *ours;
    } places[] = {{"$&{client_addr}", "{address}"},
                  {"${client_addr}", "{address}"},
                  {"$&{client_name}", "{name}"},
                  {"${client_name}", "{name}"}};
    lmi_mc_text out = {NULL, 0, 0};
    int parts = lmi_str_find(in, '"') < in.len, quoted = 0;
    while (in.len) {
        size_t k = 0;
        quoted ^= in.ptr[0] == '"';
        while (k < sizeof places / sizeof *places &&
               !lmi_str_has_prefix_nocase(in, lmail_str_from(places[k].macro)))
            k++;
        if (k < sizeof places / sizeof *places) {
            lmi_mc_write(m, &out, lmail_str_from(places[k].ours));
            in = lmi_str_skip(in, strlen(places[k].macro));
        } else {
            if (in.ptr[0] != '"' && (quoted || !parts || (unsigned char)in.ptr[0] > ' '))
                lmi_mc_write(m, &out, lmi_str_sub(in, 0, 1));
            in = lmi_str_skip(in, 1);
        }
    }
    return lmi_mc_trim((lmail_str){out.ptr, out.len});
}

static void dnsbl_reply(lmi_mc *m, const lmi_mc_call *call, const feature *f, lmi_section *s)
{
    lmail_str text = argument(call, 2);
    if (!text.len)
        return;
    if (lmail_str_equal(text, LMAIL_STR("quarantine")) ||
        lmail_str_equal(text, LMAIL_STR("discard"))) {
        put_section(m, s, "action", text, s->origin);
        return;
    }
    uint32_t code;
    text = reply_text(m, text);
    if (text.len < 3 || lmi_parse_u32(lmi_str_sub(text, 0, 3), &code) || code < 400 || code > 599 ||
        lmi_str_find(text, '$') < text.len)
        bad_argument(m, call, f, text, "\"NNN text\", quarantine, discard");
    else
        put_section(m, s, "reply", text, s->origin);
}

/* A zone may be asked twice, for different answers: the second section has another name. */
static lmi_section *dnsbl_section(lmi_mc *m, lmail_str zone, lmi_origin at)
{
    const lmi_sections *all = &m->r->config->sections[LMI_SECTION_DNSBL];
    char name[300];
    size_t n = zone.len, number = 1;
    memcpy(name, zone.ptr, n);
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i]->origin.rank == LMI_RANK_IMPORTED &&
            lmail_str_equal(all->items[i]->values.name, (lmail_str){name, n})) {
            name[zone.len] = '-';
            n = zone.len + 1 + lmi_write_u64(name + zone.len + 1, ++number);
            i = (size_t)-1; /* from the first again; at most 64 sections */
        }
    return lmi_mc_section(m, LMI_SECTION_DNSBL, (lmail_str){name, n}, at);
}

static void dnsbl(lmi_mc *m, const lmi_mc_call *call, const feature *f)
{
    lmail_str zone = argument(call, 1), temporary = argument(call, 3);
    for (size_t i = 0; i < zone.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_", lmi_ascii_lower(zone.ptr[i])))
            zone.len = 0;
    if (!zone.len || zone.len > 253) {
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("FEATURE("), lmail_str_from(f->name),
                   LMAIL_STR(") needs the zone of a list"));
        return;
    }
    lmi_section *s = dnsbl_section(m, zone, call->at);
    if (!s)
        return;
    put_section(m, s, "zone", zone, call->at);
    dnsbl_reply(m, call, f, s);
    if (lmail_str_equal(temporary, LMAIL_STR("t")))
        put_section(m, s, "defer", LMAIL_STR("yes"), call->at);
    else if (temporary.len)
        bad_argument(m, call, f, temporary, "t");
    lmi_mc_text values = {NULL, 0, 0};
    for (size_t i = 4; f->value && i < call->count; i++) {
        lmail_str value = argument(call, i);
        if (value.len && value.ptr[value.len - 1] == '.') /* 127.0.0.2. as the manual has it */
            value.len--;
        for (size_t k = 0; k < value.len; k++)
            if (value.ptr[k] != '.' && (value.ptr[k] < '0' || value.ptr[k] > '9')) {
                bad_argument(m, call, f, value, "addresses as 127.0.0.2");
                break;
            }
        lmi_mc_write(m, &values, value);
        lmi_mc_write(m, &values, LMAIL_STR(" "));
    }
    if (values.len)
        put_section(m, s, "values", (lmail_str){values.ptr, values.len}, call->at);
}

/* ---- The table ------------------------------------------------------------------------------- */

/* clang-format off */
static const feature features[] = {
    {"use_cw_file", use_cw_file, NULL, NULL},
    {"use_ct_file", use_ct_file, NULL, NULL},
    {"access_db", access_db, "policy.access", "/etc/mail/access"},
    {"blocklist_recipients", set, "policy.blocklist_recipients", "yes"},
    {"blacklist_recipients", deprecated, "policy.blocklist_recipients", "yes"},
    {"accept_unresolvable_domains", set, "policy.accept_unresolvable_domains", "yes"},
    {"accept_unqualified_senders", set, "policy.accept_unqualified_senders", "yes"},
    {"relay_entire_domain", set, "policy.relay_entire_domain", "yes"},
    {"relay_hosts_only", set, "policy.relay_hosts_only", "yes"},
    {"relay_based_on_MX", set, "policy.relay_based_on_mx", "yes"},
    {"relay_local_from", set, "policy.relay_local_from", "yes"},
    {"relay_mail_from", relay_mail_from, "policy.relay_mail_from", NULL},
    {"promiscuous_relay", set, "policy.promiscuous_relay", "yes"},
    {"loose_relay_check", set, "policy.loose_relay_check", "yes"},
    {"lookupdotdomain", set, "policy.lookup_dot_domain", "yes"},
    {"delay_checks", delay_checks, "policy.delay_checks", NULL},
    {"greet_pause", greet_pause, "policy.greet_pause", NULL},
    {"ratecontrol", control, "policy.rate_control", NULL},
    {"conncontrol", control, "policy.connection_control", NULL},
    {"dnsbl", dnsbl, NULL, NULL},
    {"enhdnsbl", dnsbl, NULL, "values"},
    {"virtusertable", table, "routing.virtusertable", "/etc/mail/virtusertable"},
    {"mailertable", table, "routing.mailertable", "/etc/mail/mailertable"},
    {"genericstable", table, "routing.genericstable", "/etc/mail/genericstable"},
    {"domaintable", table, "routing.domaintable", "/etc/mail/domaintable"},
    {"virtuser_entire_domain", set, "routing.virtuser_entire_domain", "yes"},
    {"generics_entire_domain", set, "routing.generics_entire_domain", "yes"},
    {"redirect", set, "routing.redirect", "yes"},
    {"always_add_domain", quiet, NULL, NULL},
    {"nouucp", route_mark, "policy.bang_path", NULL},
    {"nopercenthack", route_mark, "policy.percent_hack", NULL},
    {"masquerade_envelope", set, "masquerade.envelope", "yes"},
    {"masquerade_entire_domain", entire_domain, "masquerade.entire_domain", "yes"},
    {"allmasquerade", set, "masquerade.recipients", "yes"},
    {"limited_masquerade", set, "masquerade.limited", "yes"},
    {"local_no_masquerade", set, "masquerade.not_local", "yes"},
    {"local_procmail", replaced, NULL, NULL},
    {"local_lmtp", replaced, NULL, NULL},
    {"smrsh", replaced, NULL, NULL},
    {"no_default_msa", no_default_msa, NULL, NULL},
    {"nocanonify", quiet, NULL, NULL},
    {"block_bad_helo", refused, NULL, NULL},
    {"require_rdns", refused, NULL, NULL},
    {"badmx", refused, NULL, NULL},
    {"check_other", refused, NULL, NULL},
    {"msp", refused, NULL, NULL},
    {"ldap_routing", refused, NULL, NULL},
    {"nullclient", refused, NULL, NULL},
    {"rhsbl", refused, NULL, NULL},
    {"mtamark", refused, NULL, NULL},
    {"check_cert_altnames", refused, NULL, NULL},
    {"sts", refused, NULL, NULL},
    {"authinfo", without_effect, NULL, NULL},
    {"bcc", without_effect, NULL, NULL},
    {"bestmx_is_local", without_effect, NULL, NULL},
    {"bitdomain", without_effect, NULL, NULL},
    {"compat_check", refused, NULL, NULL},
    {"domainmap", without_effect, NULL, NULL},
    {"drac", without_effect, NULL, NULL},
    {"notsticky", quiet, NULL, NULL},
    {"stickyhost", without_effect, NULL, NULL},
    {"prefixmod", without_effect, NULL, NULL},
    {"preserve_local_plus_detail", without_effect, NULL, NULL},
    {"preserve_luser_host", without_effect, NULL, NULL},
    {"queuegroup", without_effect, NULL, NULL},
    {"tls_failures", without_effect, NULL, NULL},
    {"tls_session_features", without_effect, NULL, NULL},
    {"use_client_ptr", without_effect, NULL, NULL},
    {"uucpdomain", without_effect, NULL, NULL},
    {"vnet", without_effect, NULL, NULL}};
/* clang-format on */
#define FEATURES (sizeof features / sizeof *features)

static const char *feature_at(const void *ctx, size_t i)
{
    (void)ctx;
    return i < FEATURES ? features[i].name : NULL;
}

void lmi_mc_do_feature(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str name = argument(call, 0);
    for (size_t i = 0; i < FEATURES; i++)
        if (lmail_str_equal(name, lmail_str_from(features[i].name))) {
            features[i].handle(m, call, &features[i]);
            return;
        }
    const char *near = lmi_suggest(name, feature_at, NULL);
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, LMAIL_STR("unknown FEATURE \""), name, LMAIL_STR("\""),
               near ? LMAIL_STR("; did you mean ") : (lmail_str){NULL, 0}, lmail_str_from(near),
               near ? LMAIL_STR("?") : (lmail_str){NULL, 0});
}

/* ---- What their absence means ---------------------------------------------------------------- */

/* A class file: its own variable names it, else it stands in /etc/mail. */
static lmail_str class_file(lmi_mc *m, const char *variable, const char *standard, lmi_origin *at)
{
    lmail_str path, given = lmi_mc_value(m, variable, at);
    if (given.len && lmi_mc_map(m, lmail_str_from(variable), given, standard, *at, &path))
        return path;
    return lmail_str_from(standard);
}

/* A file that is there and not read deserves a word. */
static void local_host_names(lmi_mc *m)
{
    const lmail_str standard = LMAIL_STR("/etc/mail/local-host-names");
    const lmail_config_io *io = m->r->io;
    lmi_origin at = m->use_cw_at;
    lmail_str octets;
    if (m->use_cw_at.line) {
        lmail_str path = class_file(m, "confCW_FILE", "/etc/mail/local-host-names", &at);
        lmi_mc_set(m, "policy.local_host_names", path, at);
    } else if (!m->use_cw_file && io->open && io->open(io->ctx, standard, &octets) == LMAIL_OK) {
        if (io->close)
            io->close(io->ctx, octets);
        LMI_MC_SAY(m, LMAIL_WARNING, ((lmi_origin){m->file, 0, LMI_RANK_STANDARD}), standard,
                   LMAIL_STR(" is there, but FEATURE(use_cw_file) is not: it is not read"));
    }
}

static void trusted_users(lmi_mc *m)
{
    lmi_origin at = m->use_ct_at;
    if (!at.line)
        return;
    lmail_str path = class_file(m, "confCT_FILE", "/etc/mail/trusted-users", &at);
    lmi_mc_text text = {NULL, 0, 0};
    if (path.ptr[0] != '-')
        lmi_mc_write(m, &text, LMAIL_STR("-")); /* who is named in it is named nowhere else */
    lmi_mc_write(m, &text, path);
    lmi_mc_set(m, "policy.trusted_users", (lmail_str){text.ptr, text.len}, at);
}

void lmi_mc_feature_standards(lmi_mc *m)
{
    lmi_origin at = {m->file, 0, LMI_RANK_STANDARD};
    local_host_names(m);
    trusted_users(m);
    lmail_str relay = class_file(m, "confCR_FILE", "-/etc/mail/relay-domains", &at);
    lmi_mc_append(m, LMI_MC_RELAY_DOMAIN_FILES, relay, at);
    lmi_mc_standard(m, "policy.greet_pause_access", "no");
    lmi_mc_standard(m, "policy.rate_control", "");
    lmi_mc_standard(m, "policy.connection_control", "");
    if (m->entire_domain.line && !m->lists[LMI_MC_MASQUERADE_DOMAINS].set &&
        !m->lists[LMI_MC_MASQUERADE_DOMAIN_FILES].set)
        LMI_MC_SAY(m, LMAIL_WARNING, m->entire_domain,
                   LMAIL_STR("FEATURE(masquerade_entire_domain) does nothing without "
                             "MASQUERADE_DOMAIN"));
}
