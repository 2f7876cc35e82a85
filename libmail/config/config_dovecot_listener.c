/* config_dovecot_listener.c - what listens, and with which TLS: protocols, listen, ssl, service.
 *
 * 1.x: protocols names exactly what listens. 2.x: a protocol brings its TLS port where TLS is
 * configured, and service NAME-login { inet_listener } adds, moves and closes. */
#include "config/config_dovecot.h"

#include <string.h>

#define MAX_PORTS 16u

static int is(lmail_str s, const char *word)
{
    return lmail_str_equal_nocase(s, lmail_str_from(word));
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static int ssl_is(const lmi_dv *d, unsigned protocol, const char *word)
{
    const lmi_dv_value *v = lmi_dv_get(d, protocol, LMI_DV_K_SSL);
    return v && is(v->text, word);
}

static void check_ssl(lmi_dv *d, unsigned protocol)
{
    static const char *const words[] = {"yes", "no", "required"};
    lmi_dv_value *v = &d->values[protocol][LMI_DV_K_SSL];
    if (!v->set)
        return;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is(v->text, words[i]))
            return;
    LMI_DV_SAY(d, LMAIL_ERROR, v->at, LMAIL_STR("ssl = \""), v->text,
               LMAIL_STR("\" is none of no, yes and required"));
}

/* A certificate and its key. */
typedef struct pair {
    const lmi_dv_value *cert, *key;
} pair;

static pair pair_of(const lmi_dv *d, unsigned protocol)
{
    pair p = {lmi_dv_get(d, protocol, LMI_DV_K_CERT), lmi_dv_get(d, protocol, LMI_DV_K_KEY)};
    if (p.cert && !p.cert->text.len)
        p.cert = NULL;
    if (p.key && !p.key->text.len)
        p.key = NULL;
    return p;
}

/* There is one certificate for all protocols: the one outside of them, else the first that one has. A
 * protocol without any is without TLS. */
static void certificates(lmi_dv *d, int native)
{
    pair used = pair_of(d, LMI_DV_ALL);
    const lmi_dv_value *told = NULL;
    for (unsigned p = LMI_DV_ALL; p < LMI_DV_PROTOCOLS; p++) {
        if (p != LMI_DV_ALL && !lmi_dv_serves(d, p))
            continue;
        pair own = pair_of(d, p);
        const lmi_dv_value *at = own.cert ? own.cert : own.key;
        d->has_tls[p] = native || (own.cert && own.key);
        if (p != LMI_DV_ALL && at && !d->has_tls[p] && at != told)
            LMI_DV_SAY(d, LMAIL_WARNING, at->at,
                       own.cert ? LMAIL_STR("a certificate without its key")
                                : LMAIL_STR("a key without its certificate"),
                       LMAIL_STR(": TLS is not offered"));
        if (p != LMI_DV_ALL)
            told = at;
        if (!own.cert || !own.key)
            continue;
        if (!used.cert || !used.key)
            used = own;
        if (!lmail_str_equal(own.cert->text, used.cert->text) ||
            !lmail_str_equal(own.key->text, used.key->text))
            LMI_DV_SAY(
                d, LMAIL_WARNING, own.cert->at, LMAIL_STR("the certificate "), own.cert->text,
                LMAIL_STR(" of one protocol alone has no effect here: all have "), used.cert->text);
    }
    if (used.cert && used.key) {
        lmi_dv_assign(d, LMI_DV_ALL, "tls.certificate", used.cert->text, used.cert->at);
        lmi_dv_assign(d, LMI_DV_ALL, "tls.key", used.key->text, used.key->at);
    }
}

void lmi_dv_tls(lmi_dv *d)
{
    int native = lmi_config_origin(d->r->config, "tls.certificate").rank == LMI_RANK_NATIVE;
    for (unsigned p = LMI_DV_ALL; p < LMI_DV_PROTOCOLS; p++)
        check_ssl(d, p);
    certificates(d, native);
    for (unsigned p = LMI_DV_ALL; p < LMI_DV_PROTOCOLS; p++) {
        const lmi_dv_value *ssl = &d->values[p][LMI_DV_K_SSL];
        /* What holds for all is at fault only where it holds for one that is without. */
        int lacks = p != LMI_DV_ALL && lmi_dv_serves(d, p) && !d->has_tls[p];
        for (unsigned each = LMI_DV_IMAP; p == LMI_DV_ALL && each < LMI_DV_PROTOCOLS; each++)
            lacks |= !d->has_tls[each] && lmi_dv_serves(d, each) &&
                     lmi_dv_get(d, each, LMI_DV_K_SSL) == ssl;
        if (ssl->set && lacks && !is(ssl->text, "no"))
            LMI_DV_SAY(d, LMAIL_WARNING, ssl->at, LMAIL_STR("ssl = "), ssl->text,
                       LMAIL_STR(" without a certificate: TLS is not offered"));
    }
    for (unsigned p = LMI_DV_IMAP; p < LMI_DV_PROTOCOLS; p++)
        if (ssl_is(d, p, "required"))
            lmi_dv_assign(d, p, "require_tls", LMAIL_STR("yes"),
                          lmi_dv_get(d, p, LMI_DV_K_SSL)->at);
}

static int offers_tls(const lmi_dv *d, unsigned protocol)
{
    return d->has_tls[protocol] && !ssl_is(d, protocol, "no");
}

/* ---- protocols ------------------------------------------------------------------------------- */

/* What is to listen, by protocol. */
typedef struct wanted {
    unsigned plain[LMI_DV_PROTOCOLS], tls[LMI_DV_PROTOCOLS];
    lmi_origin at;
} wanted;

static void one_protocol(lmi_dv *d, lmail_str word, wanted *w)
{
    static const char *const others[] = {"lmtp",           "submission",   "sieve",   "managesieve",
                                         "imap-hibernate", "imap-urlauth", "doveadm", "lda",
                                         "submissions"};
    static const char *const all[] = {"imap", "imaps", "pop3", "pop3s"};
    for (unsigned i = 0; i < 4; i++) {
        if (!is(word, all[i]))
            continue;
        unsigned protocol = i < 2 ? LMI_DV_IMAP : LMI_DV_POP3;
        *(i & 1 ? &w->tls[protocol] : &w->plain[protocol]) = 1;
        if ((i & 1) && d->dialect != LMI_DV_1)
            LMI_DV_SAY(d, LMAIL_WARNING, w->at, LMAIL_STR("protocols: "), word,
                       LMAIL_STR(" is no longer necessary, remove it"));
        return;
    }
    if (is(word, "none"))
        return;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is(word, others[i])) {
            LMI_DV_SAY(d, LMAIL_WARNING, w->at, LMAIL_STR("protocols: "), word,
                       LMAIL_STR(" is not served by libmail"));
            return;
        }
    LMI_DV_SAY(d, LMAIL_ERROR, w->at, LMAIL_STR("protocols: unknown protocol \""), word,
               LMAIL_STR("\""));
}

static void read_protocols(lmi_dv *d, wanted *w)
{
    const lmi_dv_value *v = lmi_dv_get(d, LMI_DV_ALL, LMI_DV_K_PROTOCOLS);
    memset(w, 0, sizeof *w);
    w->at = (lmi_origin){d->file, 0, LMI_RANK_IMPORTED};
    if (v) {
        w->at = v->at;
        lmail_str rest = v->text;
        for (lmail_str word = lmi_dv_word(&rest); word.len; word = lmi_dv_word(&rest))
            one_protocol(d, word, w);
    } else if (d->dialect == LMI_DV_1) {
        w->plain[LMI_DV_IMAP] = 1;
        w->tls[LMI_DV_IMAP] = offers_tls(d, LMI_DV_IMAP) != 0;
    } else {
        w->plain[LMI_DV_IMAP] = w->plain[LMI_DV_POP3] = 1;
    }
    for (unsigned p = LMI_DV_IMAP; p < LMI_DV_PROTOCOLS; p++) {
        if (d->dialect != LMI_DV_1)
            w->tls[p] = (w->tls[p] || w->plain[p]) && offers_tls(d, p);
        else if (w->tls[p] && !offers_tls(d, p)) {
            LMI_DV_SAY(d, LMAIL_WARNING, w->at, LMAIL_STR("protocols: "),
                       p == LMI_DV_IMAP ? LMAIL_STR("imaps") : LMAIL_STR("pop3s"),
                       ssl_is(d, p, "no") ? LMAIL_STR(" with ssl = no")
                                          : LMAIL_STR(" without a certificate"),
                       LMAIL_STR(": it is not opened"));
            w->tls[p] = 0;
        }
    }
}

/* ---- Making listeners ------------------------------------------------------------------------ */

typedef struct made {
    unsigned protocol;
    const char *tls;   /* of listener.tls */
    lmail_str address; /* words; empty: all */
    lmail_str port;    /* empty: the protocol's own */
    lmi_origin at;
    unsigned proxy;
} made;

static void set(lmi_dv *d, lmi_section *s, const char *key, lmail_str value, lmi_origin at)
{
    if (value.len)
        lmi_config_assign(d->r, s, lmail_str_from(key), value, at);
}

/* imap, imaps, and where the name is taken imap-2, imap-3. */
static lmail_str free_name(lmi_dv *d, const made *m)
{
    const lmi_sections *all = &d->r->config->sections[LMI_SECTION_LISTENER];
    lmail_str base = m->protocol == LMI_DV_IMAP ? LMAIL_STR("imap") : LMAIL_STR("pop3"), name;
    if (lmail_str_equal(lmail_str_from(m->tls), LMAIL_STR("tls")))
        base = LMI_DV_JOIN(d, base, LMAIL_STR("s"));
    name = base;
    for (uint64_t n = 2; !d->r->failed; n++) {
        size_t i = 0;
        char number[20];
        while (i < all->count && !(all->items[i]->origin.rank == LMI_RANK_IMPORTED &&
                                   lmail_str_equal(all->items[i]->values.name, name)))
            i++;
        if (i == all->count)
            break;
        name = LMI_DV_JOIN(d, base, LMAIL_STR("-"), (lmail_str){number, lmi_write_u64(number, n)});
    }
    return name;
}

static void make(lmi_dv *d, const made *m)
{
    lmi_origin at = m->at;
    at.rank = LMI_RANK_IMPORTED;
    lmail_str name = free_name(d, m);
    lmi_section *s = d->r->failed ? NULL : lmi_config_section(d->r, LMI_SECTION_LISTENER, name, at);
    if (!s)
        return;
    set(d, s, "protocol", m->protocol == LMI_DV_IMAP ? LMAIL_STR("imap") : LMAIL_STR("pop3"), at);
    set(d, s, "tls", lmail_str_from(m->tls), at);
    set(d, s, "port", m->port, at);
    set(d, s, "address", m->address, at);
    if (m->proxy) {
        const lmi_dv_value *networks = lmi_dv_get(d, LMI_DV_ALL, LMI_DV_K_PROXY_NETWORKS);
        set(d, s, "proxy", LMAIL_STR("yes"), at);
        if (networks)
            set(d, s, "proxy_trusted", networks->text, networks->at);
    }
}

/* Without the brackets of [::1]; the port behind a colon, 1.x. */
static lmail_str split_port(lmail_str word, lmail_str *port)
{
    size_t colon = lmi_str_find(word, ':');
    *port = (lmail_str){NULL, 0};
    if (word.len && word.ptr[0] == '[') {
        size_t end = lmi_str_find(word, ']');
        if (end + 2 < word.len && word.ptr[end + 1] == ':')
            *port = lmi_str_skip(word, end + 2);
        return lmi_str_sub(word, 1, end - 1);
    }
    if (colon < word.len &&
        lmi_str_find(lmi_str_skip(word, colon + 1), ':') == word.len - colon - 1) {
        *port = lmi_str_skip(word, colon + 1);
        return lmi_str_sub(word, 0, colon);
    }
    return word;
}

/* One listener for the words of a list that have the same port; those with another one come after
 * it. */
static void make_list(lmi_dv *d, const made *given, lmail_str list)
{
    lmail_str ports[MAX_PORTS] = {{NULL, 0}};
    size_t count = 0;
    for (lmail_str rest = list, w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest)) {
        lmail_str port;
        size_t i = 0;
        split_port(w, &port);
        while (i < count && !lmail_str_equal(ports[i], port))
            i++;
        if (i == count && count < MAX_PORTS)
            ports[count++] = port;
    }
    for (size_t i = 0; i < (count ? count : 1) && !d->r->failed; i++) {
        made m = *given;
        lmail_str all = {NULL, 0};
        int v4 = 0, v6 = 0;
        for (lmail_str rest = list, w = lmi_dv_word(&rest); w.len; w = lmi_dv_word(&rest)) {
            lmail_str port, address = split_port(w, &port);
            if (!lmail_str_equal(port, ports[i]))
                continue;
            int any4 = is(address, "*") || is(address, "0.0.0.0"), any6 = is(address, "::");
            v4 |= any4;
            v6 |= any6;
            all = LMI_DV_JOIN(d, all, LMAIL_STR(" "), any4 ? LMAIL_STR("0.0.0.0") : address);
        }
        m.address = v4 && v6 ? (lmail_str){NULL, 0} : all;
        if (ports[i].len)
            m.port = ports[i];
        make(d, &m);
    }
}

static lmail_str addresses(const lmi_dv *d, unsigned protocol, int tls)
{
    const lmi_dv_value *v = tls ? lmi_dv_get(d, protocol, LMI_DV_K_SSL_LISTEN) : NULL;
    if (!v)
        v = lmi_dv_get(d, protocol, LMI_DV_K_LISTEN);
    return v ? v->text : (lmail_str){NULL, 0};
}

/* `list` without its ports. */
static lmail_str without_ports(lmi_dv *d, lmail_str list)
{
    lmail_str out = {NULL, 0}, port;
    for (lmail_str w = lmi_dv_word(&list); w.len; w = lmi_dv_word(&list))
        out = LMI_DV_JOIN(d, out, LMAIL_STR(" "), split_port(w, &port));
    return out;
}

/* The inet_listener of that name; NULL. */
static const lmi_dv_inet *find_inet(const lmi_dv *d, unsigned protocol, const char *name)
{
    for (size_t i = 0; i < d->inet_count; i++)
        if (d->inets[i].protocol == protocol && is(d->inets[i].name, name))
            return &d->inets[i];
    return NULL;
}

static int closes(const lmi_dv_inet *inet)
{
    return inet && inet->port.set && is(inet->port.text, "0");
}

/* What an inet_listener says over what holds without it. */
static void make_inet(lmi_dv *d, const lmi_dv_inet *inet, made m, lmail_str list)
{
    if (inet) {
        m.at = inet->at;
        if (inet->port.set)
            m.port = inet->port.text;
        if (inet->address.set && inet->address.text.len)
            list = inet->address.text;
        m.proxy = inet->proxy.set && lmi_dv_is_yes(d, LMAIL_STR("haproxy"), &inet->proxy);
    }
    make_list(d, &m, list);
}

/* It says ssl = yes, and there is no certificate. */
static int lacks_tls(lmi_dv *d, const lmi_dv_inet *inet)
{
    if (offers_tls(d, inet->protocol))
        return 0;
    LMI_DV_SAY(d, LMAIL_WARNING, inet->at, LMAIL_STR("inet_listener "), inet->name,
               LMAIL_STR(" with ssl = yes and no certificate: it is not opened"));
    return 1;
}

static void standard(lmi_dv *d, unsigned protocol, int tls, lmi_origin at)
{
    static const char *const names[][2] = {{"imap", "imaps"}, {"pop3", "pop3s"}};
    const char *name = names[protocol - LMI_DV_IMAP][tls];
    const lmi_dv_inet *inet = find_inet(d, protocol, name);
    if (closes(inet))
        return;
    int wraps = inet && inet->ssl.set ? lmi_dv_is_yes(d, LMAIL_STR("ssl"), &inet->ssl) : tls;
    if (wraps && !tls && lacks_tls(d, inet))
        return;
    made m = {protocol,  wraps ? "tls" : offers_tls(d, protocol) ? "starttls" : "none",
              {NULL, 0}, {NULL, 0},
              at,        0};
    lmail_str list = addresses(d, protocol, tls);
    /* The port of `listen` is not the one for TLS. */
    if (tls && !lmi_dv_get(d, protocol, LMI_DV_K_SSL_LISTEN))
        list = without_ports(d, list);
    make_inet(d, inet, m, list);
}

/* inet_listener x { port = 10143 }: one more. */
static void additional(lmi_dv *d, const lmi_dv_inet *inet, lmi_origin at)
{
    int tls = inet->ssl.set && lmi_dv_is_yes(d, LMAIL_STR("ssl"), &inet->ssl);
    if (is(inet->name, "imap") || is(inet->name, "imaps") || is(inet->name, "pop3") ||
        is(inet->name, "pop3s") || closes(inet))
        return;
    if (!inet->port.set) {
        LMI_DV_SAY(d, LMAIL_ERROR, inet->at, LMAIL_STR("inet_listener "), inet->name,
                   LMAIL_STR(" needs a port"));
        return;
    }
    if (tls && lacks_tls(d, inet))
        return;
    made m = {inet->protocol,
              tls                             ? "tls"
              : offers_tls(d, inet->protocol) ? "starttls"
                                              : "none",
              {NULL, 0},
              {NULL, 0},
              at,
              0};
    make_inet(d, inet, m, without_ports(d, addresses(d, inet->protocol, 0)));
}

void lmi_dv_listeners(lmi_dv *d)
{
    wanted w;
    read_protocols(d, &w);
    for (unsigned p = LMI_DV_IMAP; p < LMI_DV_PROTOCOLS; p++) {
        if (w.plain[p])
            standard(d, p, 0, w.at);
        if (w.tls[p])
            standard(d, p, 1, w.at);
        for (size_t i = 0; i < d->inet_count; i++)
            if (d->inets[i].protocol == p && (w.plain[p] || w.tls[p]))
                additional(d, &d->inets[i], w.at);
    }
}
