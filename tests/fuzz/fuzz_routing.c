/* The routing tables: a text for each file, then addresses and a header value, sections between
 * lines of "====". Loading never fails but for a reply without a code; a route has a destination
 * and ends; a rewritten value keeps every octet outside its addresses: its display names, comments,
 * groups and the number of its addresses, and rewriting it again changes nothing more. */
#include <libmail/mime.h>
#include <libmail/policy_tables.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { VIRTUSERS, MAILERS, GENERICS, DOMAINS, ALIASES, INCLUDED, ADDRESS, VALUE, SECTIONS };

static void split(lmail_str in, lmail_str out[SECTIONS])
{
    static const char mark[] = "====\n";
    for (size_t i = 0; i < SECTIONS; i++) {
        size_t end = 0;
        while (end < in.len &&
               (in.len - end < sizeof mark - 1 || memcmp(in.ptr + end, mark, sizeof mark - 1) != 0))
            end++;
        out[i] = (lmail_str){in.ptr, end};
        end += in.len - end < sizeof mark - 1 ? in.len - end : sizeof mark - 1;
        in.ptr += end;
        in.len -= end;
    }
}

static lmail_status include(void *ctx, lmail_str name, lmail_str *octets)
{
    *octets = *(const lmail_str *)ctx;
    return name.len % 2 ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

static void note(void *ctx, const lmail_diagnostic *d)
{
    (void)ctx;
    for (size_t i = 0; i < d->text.len; i++)
        CHECK((unsigned char)d->text.ptr[i] >= ' ' && d->text.ptr[i] != 0x7f);
}

static void step(void *ctx, const lmail_policy_step *s)
{
    (void)ctx;
    CHECK(s->meaning.len && (s->hit || !s->value.len));
}

static void route(const lmail_policy_tables *t, lmail_str local, lmail_str domain)
{
    lmail_policy_route_question q;
    const lmail_policy_routes *routes;
    lmail_policy_route_question_init(&q);
    q.local_part = local;
    q.domain = domain;
    q.on_step = step;
    lmail_status st = lmail_policy_tables_route(t, &q, &routes);
    CHECK(st == LMAIL_OK || (st == LMAIL_ERR_ARG && !local.len) ||
          (st == LMAIL_ERR_LIMIT && local.len + domain.len > LMAIL_POLICY_MAX_ADDRESS));
    if (st)
        return;
    CHECK(routes->count >= 1 && routes->count <= 101);
    for (size_t i = 0; i < routes->count; i++) {
        const lmail_policy_destination *d = &routes->items[i];
        CHECK(d->kind != LMAIL_POLICY_TO_USER || d->user.len);
        CHECK(d->kind != LMAIL_POLICY_TO_HOST || (d->host_count && d->address.len));
        CHECK(d->kind != LMAIL_POLICY_TO_FILE || memcmp(d->path.ptr, "/var/lists/", 11) == 0);
        CHECK(d->kind != LMAIL_POLICY_TO_PROGRAM ||
              lmail_str_equal(d->path, LMAIL_STR("/opt/bin/vacation")));
        CHECK(d->kind != LMAIL_POLICY_TO_NOBODY ||
              (d->code >= 400 && d->code <= 599 && d->text.len &&
               (unsigned)(d->enhanced.ptr[0] - '0') == d->code / 100));
    }
    lmail_policy_routes_free(routes);
}

static void addresses(const lmail_policy_tables *t, lmail_str text)
{
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len, at = len;
        while (at && text.ptr[at - 1] != '@')
            at--;
        lmail_str local = {text.ptr, at ? at - 1 : len},
                  domain = {text.ptr + at, at ? len - at : 0};
        char *out = malloc(len + 1024);
        size_t made;
        CHECK(out);
        route(t, local, domain);
        for (int role = 0; role <= LMAIL_POLICY_ROLE_REMOVED; role++) {
            lmail_status st =
                lmail_policy_tables_rewrite(t, (lmail_policy_role)role, LMAIL_POLICY_DELIVERY_SMTP,
                                            (lmail_str){text.ptr, len}, out, len + 1024, &made);
            CHECK(st == LMAIL_OK || (st == LMAIL_ERR_LIMIT && made > len + 1024));
        }
        free(out);
        len += end ? 1 : 0;
        text.ptr += len;
        text.len -= len;
    }
}

/* The display names and the shape of two values are the same. */
static void compare(lmail_str a, lmail_str b)
{
    char *one = malloc(2 * a.len + 16), *two = malloc(2 * b.len + 16);
    lmail_mime_address_reader ra, rb;
    lmail_mime_address x, y;
    int more;
    CHECK(one && two);
    lmail_mime_address_reader_init(&ra, a, one, 2 * a.len + 16);
    lmail_mime_address_reader_init(&rb, b, two, 2 * b.len + 16);
    do {
        more = lmail_mime_address_next(&ra, &x);
        CHECK(more == lmail_mime_address_next(&rb, &y));
        if (more)
            CHECK(x.kind == y.kind && lmail_str_equal(x.route, y.route) &&
                  lmail_str_equal(x.name, y.name));
    } while (more);
    free(one);
    free(two);
}

static void value(const lmail_policy_tables *t, lmail_str in)
{
    size_t cap = in.len * 600 + 64, made, again;
    char *out = malloc(cap), *twice = malloc(cap);
    CHECK(out && twice);
    for (int role = 0; role <= LMAIL_POLICY_ROLE_REMOVED; role++) {
        lmail_status st = lmail_policy_tables_rewrite_value(
            t, (lmail_policy_role)role, LMAIL_POLICY_DELIVERY_SMTP, in, out, cap, &made);
        CHECK(st == LMAIL_OK);
        if (role == LMAIL_POLICY_ROLE_NONE)
            CHECK(made == in.len && (!made || memcmp(out, in.ptr, made) == 0));
        if (made)
            CHECK(lmail_policy_tables_rewrite_value(t, (lmail_policy_role)role,
                                                    LMAIL_POLICY_DELIVERY_SMTP, in, twice, made - 1,
                                                    &again) == LMAIL_ERR_LIMIT &&
                  again == made);
        /* An entry may put anything in the place of a local part; without entries the shape stays. */
        compare(in, (lmail_str){out, made});
    }
    free(out);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const lmail_str local = {"local.example", 13}, below = {"below.example", 13};
    static const lmail_str program = {"/opt/bin/vacation", 17}, directory = {"/var/lists", 10};
    static const lmail_str exposed = {"root", 4};
    lmail_str s[SECTIONS];
    lmail_policy *policy;
    lmail_policy_tables *t;
    lmail_policy_config pc;
    lmail_policy_tables_config c;
    if (size > 1 << 14)
        return 0;
    split((lmail_str){size ? (const char *)data : "", size}, s);
    lmail_policy_config_init(&pc);
    pc.host_name = LMAIL_STR("host.example");
    pc.local_domains = &local;
    pc.local_domain_count = 1;
    CHECK(!lmail_policy_new(&policy, &pc));
    lmail_policy_tables_config_init(&c);
    lmail_policy_file aliases = {LMAIL_STR("aliases"), s[ALIASES]};
    c.policy = policy;
    c.diagnostic = note;
    c.virtusertable = (lmail_policy_file){LMAIL_STR("virtusertable"), s[VIRTUSERS]};
    c.mailertable = (lmail_policy_file){LMAIL_STR("mailertable"), s[MAILERS]};
    c.domaintable = (lmail_policy_file){LMAIL_STR("domaintable"), s[DOMAINS]};
    c.aliases = &aliases;
    c.alias_count = 1;
    c.include = include;
    c.include_ctx = &s[INCLUDED];
    c.redirect = 1;
    c.programs = &program;
    c.program_count = 1;
    c.file_directories = &directory;
    c.file_directory_count = 1;
    c.max_destinations = 100;
    c.masquerade_as = LMAIL_STR("out.example");
    c.masquerade_envelope = c.masquerade_entire_domain = c.allmasquerade = 1;
    c.masquerade_domains = (lmail_policy_names){&below, 1, {{NULL, 0}, {NULL, 0}}};
    c.exposed_users = (lmail_policy_names){&exposed, 1, {{NULL, 0}, {NULL, 0}}};
    c.generics_domains = (lmail_policy_names){&local, 1, {{NULL, 0}, {NULL, 0}}};
    lmail_status st = lmail_policy_tables_new(&t, &c);
    CHECK(st == LMAIL_OK || st == LMAIL_ERR_SYNTAX);
    if (!st) {
        addresses(t, s[ADDRESS]);
        value(t, s[VALUE]);
        lmail_policy_tables_free(t);
    }
    c.genericstable = (lmail_policy_file){LMAIL_STR("genericstable"), s[GENERICS]};
    if (!lmail_policy_tables_new(&t, &c)) {
        char out[4096];
        size_t made;
        addresses(t, s[ADDRESS]);
        lmail_policy_tables_rewrite_value(t, LMAIL_POLICY_HEADER_SENDER, LMAIL_POLICY_DELIVERY_SMTP,
                                          s[VALUE], out, sizeof out, &made);
        lmail_policy_tables_free(t);
    }
    lmail_policy_free(policy);
    return 0;
}
