/* mailctl user import: the users of a Cyrus SASL sasldb2 become accounts.
 *
 * It reads the text that db5.3_dump makes of the file. A sasldb2 keeps passwords in clear, so all
 * of step two comes over, and on request the hash of step one. What is there already is left
 * alone, so it can be run again after it was interrupted; it writes in portions, each twice as large
 * as the one before, since each is the whole file again. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmail/host/accounts.h>

#include "mailctl.h"

#define MAX_DUMP (256u << 20)
#define FIRST_PORTION 64u

typedef struct taking {
    const mailctl_call *call;
    const char *dump; /* its path; "-": the standard input */
    int hashes, replace, dry, irreversible;
    char *file;
    char *realms; /* ours, each behind a line end */
    lmail_accounts *accounts;
    lmail_accounts_edit *edit;
    unsigned pending; /* changes in `edit` */
    unsigned portion; /* so many, and they are written */
    void *ours;       /* what this run has given to whom: a tree of `given` */
    int code;
    unsigned long records, made, completed, same, conflicts, refused, others;
} taking;

/* One user's secret of this run. A name may come twice, from two realms that are both ours. */
typedef struct given {
    lmail_str name, secret; /* both in room */
    char room[];
} given;

/* ---- What is read ---------------------------------------------------------------------------- */

static char *read_dump(const char *path, size_t *len)
{
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t cap = 1u << 16;
    char *text = in ? malloc(cap) : NULL;
    *len = 0;
    while (text && !ferror(in)) {
        size_t n = fread(text + *len, 1, cap - *len, in);
        *len += n;
        if (n == 0)
            break;
        if (*len < cap)
            continue;
        char *more = cap < MAX_DUMP ? malloc(cap * 2) : NULL;
        if (more)
            memcpy(more, text, *len);
        explicit_bzero(text, *len);
        free(text);
        errno = more ? errno : EFBIG;
        text = more;
        cap *= 2;
    }
    if (!text || ferror(in)) {
        mailctl_say("%s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (in && in != stdin)
        fclose(in);
    return text;
}

static void on_fault(void *user, const lmail_accounts_fault *fault)
{
    taking *m = user;
    m->refused++;
    mailctl_complain(LMAIL_ERROR, lmail_str_from(m->dump), fault->line, fault->what);
}

/* ---- Realms ---------------------------------------------------------------------------------- */

static int add_realm(taking *m, lmail_str realm)
{
    size_t have = strlen(m->realms);
    char *more = realloc(m->realms, have + realm.len + 2);
    if (!more)
        return 0;
    m->realms = more;
    if (realm.len > 0) {
        memcpy(more + have, realm.ptr, realm.len);
        more[have + realm.len] = '\n';
        more[have + realm.len + 1] = '\0';
    }
    return 1;
}

/* The realms whose users have names without one: -u, or what the settings call this server. */
static int gather_realms(taking *m, const char *realm)
{
    char host[256] = "";
    m->realms = calloc(1, 1);
    if (realm)
        return m->realms && add_realm(m, lmail_str_from(realm)) ? MAILCTL_DONE : MAILCTL_REFUSED;
    lmail_config *config = m->realms ? mailctl_load_config(m->call) : NULL;
    if (!config)
        return MAILCTL_REFUSED;
    const lmail_settings *s = lmail_config_settings(config);
    gethostname(host, sizeof host - 1);
    int ok = add_realm(m, s->auth.realm) && add_realm(m, s->hostname) &&
             add_realm(m, lmail_str_from(host));
    for (size_t i = 0; i < s->domains.count; i++)
        ok = ok && add_realm(m, s->domains.items[i]);
    lmail_config_free(config);
    return ok ? MAILCTL_DONE : MAILCTL_REFUSED;
}

static int is_ours(const taking *m, lmail_str realm)
{
    for (const char *at = m->realms; *at;) {
        const char *end = strchr(at, '\n');
        if (lmail_str_equal_nocase(realm, (lmail_str){at, (size_t)(end - at)}))
            return 1;
        at = end + 1;
    }
    return realm.len == 0;
}

static int name_of(const taking *m, const lmail_sasldb_record *r,
                   char name[LMAIL_MAX_ACCOUNT_NAME + 1])
{
    char joined[2 * LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    int n = is_ours(m, r->realm) || memchr(r->user.ptr, '@', r->user.len)
                ? snprintf(joined, sizeof joined, "%.*s", (int)r->user.len, r->user.ptr)
                : snprintf(joined, sizeof joined, "%.*s@%.*s", (int)r->user.len, r->user.ptr,
                           (int)r->realm.len, r->realm.ptr);
    if (n < 0 || (size_t)n >= sizeof joined ||
        lmail_account_name_fold((lmail_str){joined, (size_t)n}, name, LMAIL_MAX_ACCOUNT_NAME,
                                &len) != LMAIL_OK)
        return 0;
    name[len] = '\0';
    return 1;
}

/* ---- Changes --------------------------------------------------------------------------------- */

static int failed(taking *m, lmail_status status)
{
    mailctl_say("%s: %s", m->file,
                status == LMAIL_ERR_BUSY          ? "another program is changing it"
                : status == LMAIL_ERR_IO && errno ? strerror(errno)
                                                  : lmail_status_text(status));
    m->code = MAILCTL_REFUSED;
    return 1; /* ends the reading */
}

static int commit(taking *m)
{
    if (m->pending == 0)
        return 0;
    int fresh = access(m->file, F_OK) != 0;
    lmail_status status = lmail_accounts_edit_commit(m->edit);
    lmail_accounts_edit_free(m->edit);
    m->edit = NULL;
    m->portion *= m->pending >= m->portion ? 2 : 1;
    m->pending = 0;
    if (status != LMAIL_OK)
        return failed(m, status);
    if (fresh && mailctl_give_to_user(m->call, m->file) != MAILCTL_DONE)
        m->code = MAILCTL_REFUSED;
    return m->code != MAILCTL_DONE;
}

static int compare_given(const void *a, const void *b)
{
    const given *x = a, *y = b;
    return strcmp(x->name.ptr, y->name.ptr);
}

static void free_given(void *g)
{
    explicit_bzero(((given *)g)->room, ((given *)g)->name.len + 1 + ((given *)g)->secret.len);
    free(g);
}

static const given *given_to(const taking *m, const char *name)
{
    const given key = {lmail_str_from(name), {NULL, 0}};
    given **at = tfind(&key, &m->ours, compare_given);
    return at ? *at : NULL;
}

static lmail_status remember(taking *m, const char *name, lmail_str secret)
{
    size_t len = strlen(name);
    given *g = malloc(sizeof *g + len + 1 + secret.len);
    if (!g)
        return LMAIL_ERR_NOMEM;
    memcpy(g->room, name, len + 1);
    memcpy(g->room + len + 1, secret.ptr, secret.len);
    g->name = (lmail_str){g->room, len};
    g->secret = (lmail_str){g->room + len + 1, secret.len};
    given **at = tsearch(g, &m->ours, compare_given);
    if (!at) {
        free_given(g);
        return LMAIL_ERR_NOMEM;
    }
    if (*at != g) {
        free_given(*at);
        *at = g;
    }
    return LMAIL_OK;
}

/* What a user has: by this run, or in the file. */
typedef struct state {
    int exists, has_hash;
    lmail_status fits; /* is the secret this one? OK; DENIED: another; NOTFOUND: there is none */
} state;

static lmail_status look_up(taking *m, const char *name, lmail_str secret, state *out)
{
    lmail_account account;
    const given *g = given_to(m, name);
    *out = (state){g != NULL, m->hashes, LMAIL_ERR_NOTFOUND};
    if (g) {
        out->fits = lmail_str_equal(g->secret, secret) ? LMAIL_OK : LMAIL_ERR_DENIED;
        return LMAIL_OK;
    }
    lmail_status status = lmail_accounts_find(m->accounts, lmail_str_from(name), &account);
    out->exists = status == LMAIL_OK;
    if (!out->exists)
        return status == LMAIL_ERR_NOTFOUND ? LMAIL_OK : status;
    out->fits = lmail_account_secret_check(&account, secret);
    out->has_hash = (account.has & LMAIL_ACCOUNT_PASSWORD) != 0;
    lmail_accounts_release(m->accounts, &account);
    return LMAIL_OK;
}

static lmail_status change(taking *m, const char *name, lmail_str password, int add, int secret,
                           int hash)
{
    lmail_str n = lmail_str_from(name);
    lmail_status status = LMAIL_OK;
    if (!m->edit)
        status = lmail_accounts_edit_new(&m->edit, lmail_str_from(m->file));
    if (status == LMAIL_OK && add)
        status = lmail_accounts_edit_add(m->edit, n);
    if (status == LMAIL_OK && secret)
        status = lmail_accounts_edit_secret(m->edit, n, password, !m->irreversible);
    if (status == LMAIL_OK && hash)
        status = lmail_accounts_edit_password(m->edit, n, password);
    m->pending += status == LMAIL_OK;
    return status;
}

/* What is to be done about one user; 0, or 1 to end. */
static int take_over(taking *m, const char *name, const lmail_sasldb_record *r)
{
    state is;
    lmail_status status = look_up(m, name, r->value, &is);
    if (status != LMAIL_OK)
        return failed(m, status);
    if (is.fits == LMAIL_ERR_DENIED && !m->replace) {
        char text[LMAIL_MAX_ACCOUNT_NAME + 80];
        m->conflicts++;
        snprintf(text, sizeof text, "%s has another secret already; --replace takes this one",
                 name);
        mailctl_complain(LMAIL_ERROR, lmail_str_from(m->dump), r->line, lmail_str_from(text));
        return 0;
    }
    int secret = is.fits != LMAIL_OK;
    int hash = m->hashes && (!is.has_hash || is.fits == LMAIL_ERR_DENIED);
    if (!secret && !hash) {
        m->same++;
        return 0;
    }
    m->made += (unsigned long)!is.exists;
    m->completed += (unsigned long)is.exists;
    printf("%s\t%s\n", name,
           !is.exists                    ? "made"
           : is.fits == LMAIL_ERR_DENIED ? "replaced"
                                         : "completed");
    status = remember(m, name, r->value);
    if (status == LMAIL_OK && !m->dry)
        status = change(m, name, r->value, !is.exists, secret, hash);
    if (status != LMAIL_OK)
        return failed(m, status);
    return m->pending >= m->portion ? commit(m) : 0;
}

static int is_password(lmail_str s)
{
    return s.len > 0 && s.len <= LMAIL_MAX_PASSWORD && !memchr(s.ptr, '\0', s.len) &&
           !memchr(s.ptr, '\n', s.len) && !memchr(s.ptr, '\r', s.len);
}

static int on_record(void *user, const lmail_sasldb_record *r)
{
    taking *m = user;
    char name[LMAIL_MAX_ACCOUNT_NAME + 1];
    m->records++;
    if (!lmail_str_equal_nocase(r->property, LMAIL_STR("userPassword"))) {
        m->others++; /* one-time passwords and the like: nothing of ours */
        return 0;
    }
    if (name_of(m, r, name) && is_password(r->value))
        return take_over(m, name, r);
    m->refused++;
    mailctl_complain(LMAIL_ERROR, lmail_str_from(m->dump), r->line,
                     is_password(r->value) ? LMAIL_STR("not a name that an account can have")
                                           : LMAIL_STR("not a password that can be kept"));
    return 0;
}

/* ---- The verb -------------------------------------------------------------------------------- */

static int parse_arguments(taking *m, const mailctl_call *call)
{
    static const struct option known[] = {{"sasldb", required_argument, NULL, 's'},
                                          {"hashes", no_argument, NULL, 'H'},
                                          {"replace", no_argument, NULL, 'r'},
                                          {"dry-run", no_argument, NULL, 'D'},
                                          {NULL, 0, NULL, 0}};
    const char *realm = NULL;
    m->call = call;
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(call->argc, call->argv, "nu:f:", known, NULL)) != -1;) {
        if (c == 's')
            m->dump = optarg;
        else if (c == 'H')
            m->hashes = 1;
        else if (c == 'r')
            m->replace = 1;
        else if (c == 'D')
            m->dry = 1;
        else if (c == 'n')
            m->irreversible = 1;
        else if (c == 'u')
            realm = optarg;
        else if (c == 'f' && !m->file)
            m->file = strdup(optarg);
        else
            return mailctl_bad_usage(call);
    }
    if (!m->dump || optind < call->argc)
        return mailctl_bad_usage(call);
    if (!m->file)
        m->file = mailctl_account_file(call);
    return m->file ? gather_realms(m, realm) : MAILCTL_REFUSED;
}

static void print_sum(const taking *m)
{
    printf("%s%lu records: %lu made, %lu completed, %lu the same already, %lu in conflict, %lu "
           "refused, %lu of other kinds\n",
           m->dry ? "dry run, nothing is written: " : "", m->records, m->made, m->completed,
           m->same, m->conflicts, m->refused, m->others);
}

static int run_import(const mailctl_call *call)
{
    taking m = {.portion = FIRST_PORTION};
    size_t len = 0;
    char *text = NULL;
    int code = parse_arguments(&m, call);
    if (code == MAILCTL_DONE) {
        text = read_dump(m.dump, &len);
        code = text ? MAILCTL_DONE : MAILCTL_REFUSED;
    }
    if (code == MAILCTL_DONE &&
        lmail_accounts_open(&m.accounts, lmail_str_from(m.file), NULL) != LMAIL_OK) {
        mailctl_say("%s: %s", m.file, strerror(errno));
        code = MAILCTL_REFUSED;
    }
    if (code == MAILCTL_DONE) {
        lmail_status status = lmail_sasldb_read((lmail_str){text, len}, on_record, on_fault, &m);
        if (m.code == MAILCTL_DONE)
            commit(&m); /* also of a dump that breaks off: what was whole is good */
        print_sum(&m);
        code = status == LMAIL_OK && m.code == MAILCTL_DONE && m.conflicts + m.refused == 0
                   ? MAILCTL_DONE
                   : MAILCTL_REFUSED;
    }
    if (text)
        explicit_bzero(text, len);
    free(text);
    lmail_accounts_edit_free(m.edit);
    lmail_accounts_free(m.accounts);
    tdestroy(m.ours, free_given);
    free(m.realms);
    free(m.file);
    return code;
}

const mailctl_command mailctl_import_commands[] = {
    {"user", "import", "--sasldb DUMP [--hashes] [--replace] [--dry-run] [-n] [-u REALM] [-f FILE]",
     "take the users of a sasldb2 over, from the text of db5.3_dump", run_import},
    {NULL, NULL, NULL, NULL, NULL},
};
