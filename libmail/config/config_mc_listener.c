/* config_mc_listener.c - sockets of a sendmail.mc: DAEMON_OPTIONS, CLIENT_OPTIONS and the mail
 * filters. All are lists "Key=value, Key=value", keys known by their first letter. */
#include "config/config_mc.h"

#include <string.h>

typedef struct pair {
    lmail_str key, value;
} pair;

/* Letters of the names of listeners and filters. */
static int is_name_char(char c)
{
    return (lmi_ascii_lower(c) >= 'a' && lmi_ascii_lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("._-+@", c));
}

/* The next "Key=value" up to a comma. 0: none is left. */
static int next_pair(lmail_str *rest, pair *out)
{
    while (rest->len) {
        size_t end = lmi_str_find(*rest, ',');
        lmail_str item = lmi_mc_trim(lmi_str_sub(*rest, 0, end));
        *rest = lmi_str_skip(*rest, end + 1);
        if (!item.len)
            continue;
        size_t equals = lmi_str_find(item, '=');
        out->key = lmi_mc_trim(lmi_str_sub(item, 0, equals));
        out->value = lmi_mc_trim(lmi_str_skip(item, equals + 1));
        return 1;
    }
    return 0;
}

/* "192.168.0.1 Name=MTA": the comma is missing, and what follows is lost. */
static void first_word(lmi_mc *m, const lmi_mc_call *call, pair *p)
{
    size_t end = 0;
    while (end < p->value.len && (unsigned char)p->value.ptr[end] > ' ')
        end++;
    lmail_str rest = lmi_mc_trim(lmi_str_skip(p->value, end));
    if (!rest.len || lmi_str_find(rest, '=') == rest.len)
        return;
    LMI_MC_SAY(m, LMAIL_WARNING, call->at, LMAIL_STR("a comma is missing between \""), p->key,
               LMAIL_STR("="), lmi_str_sub(p->value, 0, end), LMAIL_STR("\" and \""), rest,
               LMAIL_STR("\"; \""), rest, LMAIL_STR("\" is ignored"));
    p->value.len = end;
}

static void put(lmi_mc *m, lmi_section *s, const char *key, lmail_str value)
{
    lmi_config_assign(m->r, s, lmail_str_from(key), value, s->origin);
}

static void put_number(lmi_mc *m, lmi_section *s, const char *key, lmail_str what, lmail_str value)
{
    uint64_t n;
    char text[20];
    const lmi_setting *row = s->kind->rows;
    if (!lmi_mc_number(m, what, value, s->origin, &n))
        return;
    while (!lmail_str_equal(lmi_section_setting(s->kind, row), lmail_str_from(key)))
        row++;
    n = lmi_mc_bounded(m, what, row, n, "", s->origin);
    put(m, s, key, (lmail_str){text, lmi_write_u64(text, n)});
}

/* The text of "Key=value" pairs, which stands in one argument; DAEMON_OPTIONS(Port=smtp, Name=MTA)
 * without quotes has several. */
static lmail_str pairs_of(lmi_mc *m, const lmi_mc_call *call, size_t first)
{
    lmi_mc_text text = {NULL, 0, 0};
    if (call->count <= first + 1)
        return call->arg[first];
    for (size_t i = first; i < call->count; i++) {
        lmi_mc_write(m, &text, call->arg[i]);
        lmi_mc_write(m, &text, LMAIL_STR(","));
    }
    LMI_MC_SAY(m, LMAIL_WARNING, call->at, call->name,
               LMAIL_STR(": the classic program reads its "),
               first ? LMAIL_STR("first two arguments") : LMAIL_STR("first argument"),
               LMAIL_STR(" only; put one pair of quotes around all of it"));
    return (lmail_str){text.ptr, text.len};
}

/* Words that a list of known names does not have. */
static void say_unknown(lmi_mc *m, const lmi_mc_call *call, const char *what, lmail_str word,
                        lmi_name_at *at)
{
    const char *near = lmi_suggest(word, at, NULL);
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name, LMAIL_STR(": unknown "), lmail_str_from(what),
               LMAIL_STR(" \""), word, LMAIL_STR("\""),
               near ? LMAIL_STR("; did you mean ") : (lmail_str){NULL, 0}, lmail_str_from(near),
               near ? LMAIL_STR("?") : (lmail_str){NULL, 0});
}

/* ---- Ports and addresses --------------------------------------------------------------------- */

static const struct service {
    const char *name;
    uint64_t port;
} services[] = {{"smtp", 25},         {"submission", 587}, {"smtps", 465},
                {"submissions", 465}, {"urd", 465},        {"lmtp", 24}};
#define SERVICES (sizeof services / sizeof *services)

static const char *service_at(const void *ctx, size_t i)
{
    (void)ctx;
    return i < SERVICES ? services[i].name : NULL;
}

/* A number or a service's name; 0: complained. */
static uint64_t port_of(lmi_mc *m, const lmi_mc_call *call, lmail_str value)
{
    uint64_t port;
    if (!lmi_parse_u64(value, &port)) {
        if (port > 0 && port <= 65535)
            return port;
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name, LMAIL_STR(": Port="), value,
                   LMAIL_STR(" is not between 1 and 65535"));
        return 0;
    }
    for (size_t i = 0; i < SERVICES; i++)
        if (lmail_str_equal_nocase(value, lmail_str_from(services[i].name)))
            return services[i].port;
    say_unknown(m, call, "service", value, service_at);
    return 0;
}

typedef enum family { FAMILY_INET, FAMILY_INET6, FAMILY_LOCAL } family;

static int family_of(lmi_mc *m, const lmi_mc_call *call, lmail_str value, family *out)
{
    static const struct name {
        const char *name;
        family family;
    } names[] = {{"inet", FAMILY_INET},
                 {"inet6", FAMILY_INET6},
                 {"local", FAMILY_LOCAL},
                 {"unix", FAMILY_LOCAL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lmail_str_equal_nocase(value, lmail_str_from(names[i].name))) {
            *out = names[i].family;
            return 1;
        }
    LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name, LMAIL_STR(": Family="), value,
               LMAIL_STR(" is none of inet, inet6, local"));
    return 0;
}

/* An address as the native file has it. */
static lmail_str address_of(lmi_mc *m, lmail_str value, family f)
{
    if (value.len > 1 && value.ptr[0] == '[' && value.ptr[value.len - 1] == ']')
        value = lmi_str_sub(value, 1, value.len - 2);
    if (lmi_str_has_prefix_nocase(value, LMAIL_STR("IPv6:")))
        value = lmi_str_skip(value, 5);
    if (f == FAMILY_LOCAL) {
        lmi_mc_text text = {NULL, 0, 0};
        lmi_mc_write(m, &text, LMAIL_STR("unix:"));
        lmi_mc_write(m, &text, value);
        return (lmail_str){text.ptr, text.len};
    }
    if (lmail_str_equal_nocase(value, LMAIL_STR("localhost")))
        return f == FAMILY_INET6 ? LMAIL_STR("::1") : LMAIL_STR("127.0.0.1");
    return value;
}

/* ---- DAEMON_OPTIONS -------------------------------------------------------------------------- */

typedef struct daemon_options {
    lmail_str name, address, modifiers;
    uint64_t port;
    family family;
} daemon_options;

static const char *daemon_key_at(const void *ctx, size_t i)
{
    static const char *const keys[] = {
        "Name",       "Addr",      "Port",         "Family",
        "Modifiers",  "Listen",    "DeliveryMode", "InputMailFilters",
        "children",   "delayLA",   "refuseLA",     "queueLA",
        "RcvBufSize", "SndBufSize"};
    (void)ctx;
    return i < sizeof keys / sizeof *keys ? keys[i] : NULL;
}

static void set_modifiers(lmi_mc *m, const lmi_mc_call *call, lmi_section *s, lmail_str letters)
{
    static const struct modifier {
        char letter;
        const char *key, *value;
    } modifiers[] = {{'a', "require_auth", "yes"},
                     {'A', "offer_auth", "no"},
                     {'b', "same_address", "yes"},
                     {'c', NULL, "c: names are taken as they are, none is looked up and completed"},
                     {'C', NULL, NULL}, /* as it is here anyway */
                     {'E', "etrn", "no"},
                     {'f', "qualified_senders", "yes"},
                     {'h', "interface_name", "yes"},
                     {'O', "optional", "yes"},
                     {'r', "qualified_recipients", "yes"},
                     {'s', "tls", "tls"},
                     {'S', "tls", "none"},
                     {'u', "unqualified_senders", "yes"}};
    for (size_t i = 0; i < letters.len; i++) {
        size_t k = 0;
        while (k < sizeof modifiers / sizeof *modifiers && modifiers[k].letter != letters.ptr[i])
            k++;
        if (k == sizeof modifiers / sizeof *modifiers)
            LMI_MC_UNUSED(m, call->at, call->name, LMAIL_STR(": modifier \""),
                          lmi_str_sub(letters, i, 1), LMAIL_STR("\""));
        else if (!modifiers[k].key && modifiers[k].value)
            LMI_MC_SAY(m, LMAIL_NOTICE, call->at, call->name, LMAIL_STR(": modifier "),
                       lmail_str_from(modifiers[k].value));
        else if (modifiers[k].key)
            put(m, s, modifiers[k].key, lmail_str_from(modifiers[k].value));
    }
    if (lmi_str_find(letters, 'a') < letters.len && lmi_str_find(letters, 'A') < letters.len)
        LMI_MC_SAY(m, LMAIL_WARNING, call->at,
                   LMAIL_STR("modifiers a and A together: nobody can send"));
}

/* The name of a listener: letters that a native file can show, and not one that is taken. */
static lmi_section *make_section(lmi_mc *m, const lmi_mc_call *call, lmail_str given)
{
    const lmi_sections *all = &m->r->config->sections[LMI_SECTION_LISTENER];
    char name[80];
    size_t n = 0, base, number = 1;
    for (size_t i = 0; i < given.len && n < 48; i++)
        name[n++] = is_name_char(given.ptr[i]) ? given.ptr[i] : '-';
    if (!n) {
        memcpy(name, "Daemon", 6);
        n = 6 + lmi_write_u64(name + 6, m->listeners);
    }
    base = n;
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i]->origin.rank != LMI_RANK_NATIVE &&
            lmail_str_equal(all->items[i]->values.name, (lmail_str){name, n})) {
            name[base] = '-';
            n = base + 1 + lmi_write_u64(name + base + 1, ++number);
            i = (size_t)-1; /* from the first again; there are at most 64 */
        }
    m->listeners++;
    return lmi_mc_section(m, LMI_SECTION_LISTENER, (lmail_str){name, n}, call->at);
}

/* A socket of its own needs its name first: two looks at the same text. */
static void first_look(lmi_mc *m, const lmi_mc_call *call, daemon_options *o)
{
    lmail_str rest = call->arg[0];
    pair p;
    while (next_pair(&rest, &p)) {
        first_word(m, call, &p);
        char c = p.key.len ? lmi_ascii_lower(p.key.ptr[0]) : '\0';
        if (c == 'n')
            o->name = p.value;
        else if (c == 'a')
            o->address = p.value;
        else if (c == 'm')
            o->modifiers = p.value;
        else if (c == 'p')
            o->port = port_of(m, call, p.value);
        else if (c == 'f' && !family_of(m, call, p.value, &o->family))
            return;
    }
}

static void delivery(lmi_mc *m, lmi_section *s, lmail_str value)
{
    static const char letters[] = "biqd";
    static const char *const modes[] = {"background", "interactive", "queue", "deferred"};
    const char *letter = value.len ? strchr(letters, lmi_ascii_lower(value.ptr[0])) : NULL;
    if (letter && *letter)
        put(m, s, "delivery", lmail_str_from(modes[letter - letters]));
    else
        LMI_MC_SAY(m, LMAIL_ERROR, s->origin, LMAIL_STR("DeliveryMode: \""), value,
                   LMAIL_STR("\" is none of background, interactive, queue-only and deferred"));
}

static void filters(lmi_mc *m, lmi_section *s, lmail_str value)
{
    lmi_mc_text out = {NULL, 0, 0};
    for (lmail_str w = lmi_mc_word(&value, ";"); w.len; w = lmi_mc_word(&value, ";")) {
        lmi_mc_write(m, &out, LMAIL_STR(" "));
        lmi_mc_write(m, &out, w);
    }
    put(m, s, "milters", (lmail_str){out.ptr, out.len});
}

static void second_look(lmi_mc *m, const lmi_mc_call *call, lmi_section *s)
{
    lmail_str rest = call->arg[0];
    pair p;
    while (next_pair(&rest, &p)) {
        size_t blank = 0;
        while (blank < p.value.len && (unsigned char)p.value.ptr[blank] > ' ')
            blank++;
        if (lmi_str_find(lmi_str_skip(p.value, blank), '=') < p.value.len - blank)
            p.value.len = blank;
        switch (p.key.len ? p.key.ptr[0] : '\0') {
        case 'L':
        case 'l':
            put_number(m, s, "backlog", LMAIL_STR("Listen"), p.value);
            break;
        case 'c':
            put_number(m, s, "max_sessions", LMAIL_STR("children"), p.value);
            break;
        case 'd':
            put_number(m, s, "delay_load", LMAIL_STR("delayLA"), p.value);
            break;
        case 'r':
            put_number(m, s, "refuse_load", LMAIL_STR("refuseLA"), p.value);
            break;
        case 'q':
            put_number(m, s, "queue_load", LMAIL_STR("queueLA"), p.value);
            break;
        case 'D':
            delivery(m, s, p.value);
            break;
        case 'I':
        case 'i':
            filters(m, s, p.value);
            break;
        case 'R':
        case 'S':
        case 's':
            LMI_MC_UNUSED(m, call->at, call->name, LMAIL_STR(": "), p.key);
            break;
        default:
            if (!p.key.len || !strchr("nampf", lmi_ascii_lower(p.key.ptr[0])))
                say_unknown(m, call, "key", p.key, daemon_key_at);
        }
    }
}

static void open_daemon(lmi_mc *m, const lmi_mc_call *call)
{
    daemon_options o = {{NULL, 0}, {NULL, 0}, {NULL, 0}, 25, FAMILY_INET};
    char port[20];
    first_look(m, call, &o);
    if (m->stopped || !o.port)
        return;
    lmi_section *s = make_section(m, call, o.name);
    if (!s)
        return;
    int submission =
        o.port == 587 || o.port == 465 || lmi_str_find(o.modifiers, 'a') < o.modifiers.len;
    put(m, s, "protocol", submission ? LMAIL_STR("submission") : LMAIL_STR("smtp"));
    put(m, s, "port", (lmail_str){port, lmi_write_u64(port, o.port)});
    put(m, s, "require_auth", LMAIL_STR("no"));
    put(m, s, "sender_check", LMAIL_STR("no")); /* the classic program knows none */
    put(m, s, "backlog", LMAIL_STR("10"));
    if (o.family != FAMILY_LOCAL)
        put(m, s, "family", o.family == FAMILY_INET6 ? LMAIL_STR("inet6") : LMAIL_STR("inet"));
    if (o.address.len)
        put(m, s, "address", address_of(m, o.address, o.family));
    else if (o.family == FAMILY_LOCAL)
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name,
                   LMAIL_STR(": Family=local needs the path of a socket in Addr="));
    set_modifiers(m, call, s, o.modifiers);
    second_look(m, call, s);
}

void lmi_mc_do_daemon_options(lmi_mc *m, const lmi_mc_call *call)
{
    lmi_mc_call one = *call;
    one.arg[0] = pairs_of(m, call, 0);
    m->has_daemons = 1;
    open_daemon(m, &one);
}

void lmi_mc_listener_standards(lmi_mc *m)
{
    lmi_mc_call call;
    memset(&call, 0, sizeof call);
    call.name = LMAIL_STR("DAEMON_OPTIONS");
    call.at = (lmi_origin){m->file, 0, LMI_RANK_IMPORTED};
    call.count = 1;
    call.arg[0] = LMAIL_STR("Port=smtp, Name=MTA");
    if (!m->has_daemons)
        open_daemon(m, &call);
    call.arg[0] = LMAIL_STR("Port=587, Name=MSA, M=E");
    if (!m->no_default_msa)
        open_daemon(m, &call);
    const lmi_sections *all = &m->r->config->sections[LMI_SECTION_LISTENER];
    for (size_t i = 0; i < all->count; i++) {
        lmi_section *s = all->items[i];
        unsigned protocol = s->values.listener.protocol;
        if (s->origin.rank == LMI_RANK_NATIVE || protocol > LMAIL_LISTENER_SUBMISSION)
            continue;
        if (!m->has_tls && s->values.listener.tls == LMAIL_LISTENER_STARTTLS)
            put(m, s, "tls", LMAIL_STR("none"));
        else if (!m->has_tls && s->values.listener.tls == LMAIL_LISTENER_TLS)
            LMI_MC_SAY(m, LMAIL_ERROR, s->origin,
                       LMAIL_STR("modifier s needs confSERVER_CERT and confSERVER_KEY"));
        if (m->offers_nothing)
            put(m, s, "offer_auth", LMAIL_STR("no"));
    }
}

/* ---- CLIENT_OPTIONS -------------------------------------------------------------------------- */

static const char *client_key_at(const void *ctx, size_t i)
{
    static const char *const keys[] = {"Addr",      "Port",       "Family",    "Name",
                                       "Modifiers", "RcvBufSize", "SndBufSize"};
    (void)ctx;
    return i < sizeof keys / sizeof *keys ? keys[i] : NULL;
}

static void client_modifiers(lmi_mc *m, const lmi_mc_call *call, lmail_str letters)
{
    for (size_t i = 0; i < letters.len; i++) {
        switch (letters.ptr[i]) {
        case 'h':
            lmi_mc_set(m, "client.interface_name", LMAIL_STR("yes"), call->at);
            break;
        case 'A':
            lmi_mc_set(m, "client.auth", LMAIL_STR("no"), call->at);
            break;
        case 'S':
            lmi_mc_set(m, "client.starttls", LMAIL_STR("no"), call->at);
            break;
        default:
            LMI_MC_UNUSED(m, call->at, call->name, LMAIL_STR(": modifier \""),
                          lmi_str_sub(letters, i, 1), LMAIL_STR("\""));
        }
    }
}

void lmi_mc_do_client_options(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str rest = pairs_of(m, call, 0), address = {NULL, 0};
    family f = FAMILY_INET;
    uint64_t port;
    pair p;
    while (next_pair(&rest, &p)) {
        first_word(m, call, &p);
        switch (p.key.len ? lmi_ascii_lower(p.key.ptr[0]) : '\0') {
        case 'a':
            address = p.value;
            break;
        case 'f':
            if (family_of(m, call, p.value, &f) && f == FAMILY_LOCAL)
                LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name,
                           LMAIL_STR(": Family=local is not supported"));
            else if (f == FAMILY_INET6)
                lmi_mc_set(m, "client.family", LMAIL_STR("inet6"), call->at);
            break;
        case 'p':
            port = port_of(m, call, p.value);
            if (port)
                lmi_mc_set_number(m, call->name, "client.port", port, "", call->at);
            break;
        case 'm':
            client_modifiers(m, call, p.value);
            break;
        case 'n':
            break;
        case 'r':
        case 's':
            LMI_MC_UNUSED(m, call->at, call->name, LMAIL_STR(": "), p.key);
            break;
        default:
            say_unknown(m, call, "key", p.key, client_key_at);
        }
    }
    if (address.len)
        lmi_mc_append(m, LMI_MC_CLIENT_ADDRESSES, address_of(m, address, f), call->at);
}

/* ---- Mail filters ---------------------------------------------------------------------------- */

static void filter_socket(lmi_mc *m, lmi_section *s, lmail_str value)
{
    lmi_mc_text text = {NULL, 0, 0};
    lmail_str path = lmi_str_skip(value, lmi_str_find(value, ':') + 1);
    int local = lmi_str_has_prefix_nocase(value, LMAIL_STR("local:")) ||
                lmi_str_has_prefix_nocase(value, LMAIL_STR("unix:"));
    int inet = lmi_str_has_prefix_nocase(value, LMAIL_STR("inet:")) ||
               lmi_str_has_prefix_nocase(value, LMAIL_STR("inet6:"));
    if (!local && !inet && value.len && value.ptr[0] == '/')
        path = value;
    if (!path.len || (!local && !inet && value.ptr[0] != '/') ||
        (inet && lmi_str_find(path, '@') == path.len)) {
        LMI_MC_SAY(m, LMAIL_ERROR, s->origin, LMAIL_STR("filter "), s->values.name,
                   LMAIL_STR(": S=\""), value,
                   LMAIL_STR("\" is neither inet:PORT@HOST nor local:PATH"));
        return;
    }
    if (inet) {
        put(m, s, "socket", value);
        return;
    }
    lmi_mc_write(m, &text, LMAIL_STR("unix:"));
    lmi_mc_write(m, &text, path);
    put(m, s, "socket", (lmail_str){text.ptr, text.len});
}

static void filter_failure(lmi_mc *m, lmi_section *s, lmail_str value)
{
    char c = value.len ? value.ptr[0] : ' ';
    if (c == 'R')
        put(m, s, "on_failure", LMAIL_STR("reject"));
    else if (c == 'T')
        put(m, s, "on_failure", LMAIL_STR("tempfail"));
    else if (c == '4')
        put(m, s, "on_failure", LMAIL_STR("shutdown"));
    else if (value.len)
        LMI_MC_SAY(m, LMAIL_ERROR, s->origin, LMAIL_STR("filter "), s->values.name,
                   LMAIL_STR(": F="), value, LMAIL_STR(" is none of R, T, 4"));
}

/* "C:5m;S:10s;R:10s;E:5m" */
static void filter_times(lmi_mc *m, lmi_section *s, lmail_str value)
{
    static const char letters[] = "CSRE";
    static const char *const keys[] = {"connect_timeout", "send_timeout", "read_timeout",
                                       "end_timeout"};
    for (lmail_str w = lmi_mc_word(&value, ";"); w.len; w = lmi_mc_word(&value, ";")) {
        const char *letter = strchr(letters, w.ptr[0]);
        uint64_t msec;
        char text[32];
        if (!letter || w.len < 3 || w.ptr[1] != ':') {
            LMI_MC_SAY(m, LMAIL_ERROR, s->origin, LMAIL_STR("filter "), s->values.name,
                       LMAIL_STR(": T=\""), w, LMAIL_STR("\" is none of C:, S:, R:, E: a time"));
            continue;
        }
        if (!lmi_mc_time(m, LMAIL_STR("T="), lmi_str_skip(w, 2), 1, s->origin, &msec))
            continue;
        size_t n = lmi_write_u64(text, msec);
        memcpy(text + n, " ms", 3);
        put(m, s, keys[letter - letters], (lmail_str){text, n + 3});
    }
}

static const char *filter_key_at(const void *ctx, size_t i)
{
    static const char *const keys[] = {"Socket", "Flags", "Timeouts"};
    (void)ctx;
    return i < sizeof keys / sizeof *keys ? keys[i] : NULL;
}

void lmi_mc_do_filter(lmi_mc *m, const lmi_mc_call *call)
{
    lmail_str name = lmi_mc_trim(call->arg[0]), rest;
    pair p;
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_char(name.ptr[i]))
            name.len = 0;
    if (!name.len) {
        LMI_MC_SAY(m, LMAIL_ERROR, call->at, call->name,
                   LMAIL_STR(" needs a name of letters and digits"));
        return;
    }
    lmi_section *s = lmi_mc_section(m, LMI_SECTION_MILTER, name, call->at);
    if (!s)
        return;
    rest = pairs_of(m, call, 1);
    while (next_pair(&rest, &p)) {
        char c = p.key.len ? lmi_ascii_lower(p.key.ptr[0]) : '\0';
        if (c == 's')
            filter_socket(m, s, p.value);
        else if (c == 'f')
            filter_failure(m, s, p.value);
        else if (c == 't')
            filter_times(m, s, p.value);
        else
            say_unknown(m, call, "key", p.key, filter_key_at);
    }
}

void lmi_mc_do_input_filter(lmi_mc *m, const lmi_mc_call *call)
{
    lmi_mc_do_filter(m, call);
    lmi_mc_append(m, LMI_MC_MILTERS, lmi_mc_trim(call->arg[0]), call->at);
}

/* This list replaces what INPUT_MAIL_FILTER has gathered. */
void lmi_mc_input_filters(lmi_mc *m, lmail_str value, lmi_origin at)
{
    lmi_mc_list *list = &m->lists[LMI_MC_MILTERS];
    list->text.len = 0;
    list->set = 0;
    for (lmail_str w = lmi_mc_word(&value, ",;"); w.len; w = lmi_mc_word(&value, ",;"))
        lmi_mc_append(m, LMI_MC_MILTERS, w, at);
}
