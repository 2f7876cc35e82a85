/* The account file as an immutable table: parsed once, found by hash, shared by reference count.
 *
 *     user:{SCHEME}secret:uid:gid:gecos:home::extra
 *
 * Called by the file source whenever the file has changed, and by the editor for its line grammar.
 * A damaged line is told and left out; the only I/O is to look names of users and groups up. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmail/codec.h>

#include "auth_internal.h"

#define TEXT_ROOM (64u * 1024) /* a group's line names its members */

typedef struct entry {
    lmail_account account;
    lmi_auth_hash hash;
    unsigned long line;
    char *folded; /* the name, when the file spells it otherwise */
} entry;

struct lmi_auth_table {
    atomic_uint refs;
    char *text;
    size_t text_len;
    char *octets; /* decoded base64: salts, keys, secrets */
    size_t octets_cap, octets_len;
    entry *entries;
    size_t count, cap;
    uint32_t *slots; /* entry index + 1; 0 is empty */
    size_t slot_count;
    size_t usual; /* index + 1 */
    struct {
        lmail_str name; /* in a line, while lines are read */
        uint32_t id;
        const char *fault;
    } asked[2]; /* the user and the group last looked up */
};

/* ---- Lines ----------------------------------------------------------------------------------- */

size_t lmi_auth_split_line(lmail_str line, lmail_str fields[LMI_FIELDS])
{
    size_t count = 0;
    for (size_t i = 0; i < LMI_FIELDS; i++) {
        fields[i] = (lmail_str){line.ptr + line.len, 0};
    }
    for (;;) {
        const char *colon =
            count + 1 < LMI_FIELDS && line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
        fields[count++] = (lmail_str){line.ptr, colon ? (size_t)(colon - line.ptr) : line.len};
        if (!colon) {
            return count;
        }
        line.len -= (size_t)(colon + 1 - line.ptr);
        line.ptr = colon + 1;
    }
}

int lmi_auth_next_word(lmail_str *extra, lmail_str *word, lmail_str *key, lmail_str *value)
{
    while (extra->len > 0 && (*extra->ptr == ' ' || *extra->ptr == '\t')) {
        extra->ptr++;
        extra->len--;
    }
    if (extra->len == 0) {
        return 0;
    }
    size_t n = 0;
    while (n < extra->len && extra->ptr[n] != ' ' && extra->ptr[n] != '\t') {
        n++;
    }
    *word = (lmail_str){extra->ptr, n};
    extra->ptr += n;
    extra->len -= n;
    const char *equals = memchr(word->ptr, '=', word->len);
    *key = (lmail_str){word->ptr, equals ? (size_t)(equals - word->ptr) : word->len};
    *value = equals ? (lmail_str){equals + 1, word->len - key->len - 1}
                    : (lmail_str){word->ptr + word->len, 0};
    return 1;
}

/* By its name, from the system's lists; NULL, or what is wrong. */
static const char *find_id(lmail_str text, uint32_t *out, unsigned group)
{
    char name[256], room[TEXT_ROOM];
    struct passwd pw, *user = NULL;
    struct group gr, *found = NULL;
    if (text.len >= sizeof name) {
        return "the name of a user or group is too long";
    }
    memcpy(name, text.ptr, text.len);
    name[text.len] = '\0';
    if (group) {
        getgrnam_r(name, &gr, room, sizeof room, &found);
    } else {
        getpwnam_r(name, &pw, room, sizeof room, &user);
    }
    if (!user && !found) {
        return group ? "the system has no group of the name that stands in the gid's place"
                     : "the system has no user of the name that stands in the uid's place";
    }
    *out = group ? (uint32_t)gr.gr_gid : (uint32_t)pw.pw_uid;
    return NULL;
}

/* A number, or a name as Dovecot takes it too; one that was just asked for is not asked again. */
static const char *parse_id(lmi_auth_table *t, lmail_str text, uint32_t *out, unsigned group)
{
    *out = LMAIL_NO_ID;
    uint64_t value = 0;
    size_t i = 0;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9') {
        value = value * 10 + (uint64_t)(text.ptr[i++] - '0');
        if (value >= LMAIL_NO_ID) {
            return group ? "the gid is too large" : "the uid is too large";
        }
    }
    if (text.len == 0) {
        return NULL;
    }
    if (i == text.len) {
        *out = (uint32_t)value;
        return NULL;
    }
    if (!t->asked[group].name.len || !lmail_str_equal(t->asked[group].name, text)) {
        t->asked[group].name = text;
        t->asked[group].id = LMAIL_NO_ID;
        t->asked[group].fault = find_id(text, &t->asked[group].id, group);
    }
    *out = t->asked[group].id;
    return t->asked[group].fault;
}

static const char *parse_verifier(lmi_auth_table *t, lmail_str text, Gsasl_hash hash, entry *e)
{
    size_t used;
    lmail_scram_verifier v;
    const char *fault = lmi_scram_parse(text, hash, t->octets + t->octets_len, &used, &v);
    if (fault) {
        return fault;
    }
    t->octets_len += used;
    if (hash == GSASL_HASH_SHA1) {
        e->account.scram_sha_1 = v;
        e->account.has |= LMAIL_ACCOUNT_SCRAM_SHA_1;
    } else {
        e->account.scram_sha_256 = v;
        e->account.has |= LMAIL_ACCOUNT_SCRAM_SHA_256;
    }
    return NULL;
}

static const char *parse_secret(lmi_auth_table *t, lmail_str text, entry *e)
{
    size_t made;
    char *at = t->octets + t->octets_len;
    if (lmail_base64_decode(text, at, text.len, &made) != LMAIL_OK || made == 0 ||
        made > LMAIL_MAX_PASSWORD || memchr(at, '\0', made)) {
        return "secret= is not the base64 of a password";
    }
    e->account.secret = (lmail_str){at, made};
    t->octets_len += made;
    return NULL;
}

static const char *parse_extra(lmi_auth_table *t, entry *e)
{
    lmail_str rest = e->account.extra, word, key, value;
    const char *fault = NULL;
    while (!fault && lmi_auth_next_word(&rest, &word, &key, &value)) {
        if (lmail_str_equal(key, LMAIL_STR("scram_sha_1"))) {
            fault = parse_verifier(t, value, GSASL_HASH_SHA1, e);
        } else if (lmail_str_equal(key, LMAIL_STR("scram_sha_256"))) {
            fault = parse_verifier(t, value, GSASL_HASH_SHA256, e);
        } else if (lmail_str_equal(key, LMAIL_STR("secret"))) {
            fault = parse_secret(t, value, e);
        } else if (lmail_str_equal(key, LMAIL_STR("disabled"))) {
            e->account.disabled |= !lmail_str_equal(value, LMAIL_STR("0"));
        } else if (lmail_str_equal(key, LMAIL_STR("nologin"))) {
            e->account.disabled = 1; /* whatever it says, as Dovecot has it */
        } else if (lmail_str_equal(key, LMAIL_STR("allow_nets"))) {
            e->account.allow_nets = value;
            fault = lmi_auth_nets_valid(value) ? NULL : "allow_nets= is no list of networks";
        }
    }
    return fault;
}

static const char *parse_name(lmail_str field, entry *e)
{
    char folded[LMAIL_MAX_ACCOUNT_NAME];
    size_t len;
    lmail_status status = lmail_account_name_fold(field, folded, sizeof folded, &len);
    if (status == LMAIL_ERR_LIMIT) {
        return "the name is longer than 320 octets";
    }
    if (status == LMAIL_ERR_NOMEM) {
        return "out of memory";
    }
    if (status != LMAIL_OK) {
        return field.len == 0 ? "the name is empty"
                              : "the name holds what no account name may hold";
    }
    e->account.name = field;
    if (len != field.len || memcmp(folded, field.ptr, len) != 0) {
        e->folded = lmi_auth_copy((lmail_str){folded, len});
        if (!e->folded) {
            return "out of memory";
        }
        e->account.name = (lmail_str){e->folded, len};
    }
    return NULL;
}

/* What the password field alone can prove: a readable one everything, a SCRAM verifier its hash. */
static const char *parse_password(lmi_auth_table *t, lmail_str field, entry *e)
{
    const char *fault = lmi_auth_hash_parse(field, &e->hash);
    if (fault || !e->hash.scheme) {
        return fault;
    }
    e->hash.user = e->account.name;
    e->account.has |= LMAIL_ACCOUNT_PASSWORD;
    e->account.secret = lmi_auth_hash_readable(&e->hash);
    Gsasl_hash which;
    return lmi_auth_hash_is_scram(&e->hash, &which) ? parse_verifier(t, e->hash.data, which, e)
                                                    : NULL;
}

static const char *parse_line(lmi_auth_table *t, lmail_str line, entry *e)
{
    if (memchr(line.ptr, '\0', line.len)) {
        return "a NUL octet is in the line";
    }
    lmail_str fields[LMI_FIELDS];
    if (lmi_auth_split_line(line, fields) < 2) {
        return "there is no colon after the name";
    }
    lmail_account *a = &e->account;
    a->size = sizeof *a;
    a->gecos = fields[4];
    a->home = fields[5];
    a->extra = fields[7];
    const char *fault = parse_name(fields[0], e);
    if (!fault) {
        fault = parse_password(t, fields[1], e);
    }
    if (!fault) {
        fault = parse_id(t, fields[2], &a->uid, 0);
    }
    if (!fault) {
        fault = parse_id(t, fields[3], &a->gid, 1);
    }
    if (!fault) {
        fault = parse_extra(t, e);
    }
    if (!fault && a->secret.len > 0) {
        a->has |= LMAIL_ACCOUNT_SECRET | LMAIL_ACCOUNT_SCRAM_SHA_1 | LMAIL_ACCOUNT_SCRAM_SHA_256;
    }
    return fault;
}

/* ---- The table ------------------------------------------------------------------------------- */

static size_t hash_name(lmail_str name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a: the names are the administrator's own */
    for (size_t i = 0; i < name.len; i++) {
        h = (h ^ (unsigned char)name.ptr[i]) * 1099511628211u;
    }
    return (size_t)(h ^ (h >> 32));
}

/* The slot of this name, or the empty one where it belongs. */
static uint32_t *slot_of(const lmi_auth_table *t, lmail_str name)
{
    size_t mask = t->slot_count - 1;
    size_t i = hash_name(name) & mask;
    while (t->slots[i] != 0 && !lmail_str_equal(t->entries[t->slots[i] - 1].account.name, name)) {
        i = (i + 1) & mask;
    }
    return &t->slots[i];
}

static void tell(lmail_str file, unsigned long line, const char *what,
                 lmail_accounts_fault_fn *on_fault, void *user)
{
    if (on_fault) {
        lmail_accounts_fault fault = {file, line, lmail_str_from(what)};
        on_fault(user, &fault);
    }
}

static int index_entries(lmi_auth_table *t, lmail_str file, lmail_accounts_fault_fn *on_fault,
                         void *user)
{
    for (t->slot_count = 16; t->slot_count < t->count * 2; t->slot_count *= 2) {
    }
    t->slots = calloc(t->slot_count, sizeof *t->slots);
    if (!t->slots) {
        return 0;
    }
    for (size_t i = 0; i < t->count; i++) {
        uint32_t *slot = slot_of(t, t->entries[i].account.name);
        if (*slot != 0) {
            char what[96];
            snprintf(what, sizeof what, "the name is already on line %lu, which holds",
                     t->entries[*slot - 1].line);
            tell(file, t->entries[i].line, what, on_fault, user);
            t->entries[i].line = 0; /* not listed */
            continue;
        }
        *slot = (uint32_t)i + 1;
        if (t->usual == 0 && t->entries[i].hash.scheme &&
            lmi_auth_hash_readable(&t->entries[i].hash).len == 0) {
            t->usual = i + 1;
        }
    }
    return 1;
}

static int add_line(lmi_auth_table *t, lmail_str line, unsigned long number, const char **fault)
{
    if (t->count == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        entry *entries = cap < UINT32_MAX ? realloc(t->entries, cap * sizeof *entries) : NULL;
        if (!entries) {
            return 0;
        }
        t->entries = entries;
        t->cap = cap;
    }
    entry *e = &t->entries[t->count];
    memset(e, 0, sizeof *e);
    e->line = number;
    *fault = parse_line(t, line, e);
    if (*fault) {
        free(e->folded);
    } else {
        t->count++;
    }
    return 1;
}

lmi_auth_table *lmi_auth_table_new(char *text, size_t len, lmail_str file,
                                   lmail_accounts_fault_fn *on_fault, void *user)
{
    lmi_auth_table *t = calloc(1, sizeof *t);
    if (!t) {
        lmi_auth_wipe_free(text, len);
        return NULL;
    }
    atomic_init(&t->refs, 1);
    t->text = text;
    t->text_len = len;
    /* Decoded text is shorter than its base64, so this never grows and its slices never move. */
    t->octets_cap = len;
    t->octets = malloc(len + 1);
    if (!t->octets) {
        lmi_auth_table_unref(t);
        return NULL;
    }
    unsigned long number = 0;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        lmail_str line = {text + at, n};
        at += n + 1;
        number++;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        const char *fault;
        if (!add_line(t, line, number, &fault)) {
            lmi_auth_table_unref(t);
            return NULL;
        }
        if (fault) {
            tell(file, number, fault, on_fault, user);
        }
    }
    if (!index_entries(t, file, on_fault, user)) {
        lmi_auth_table_unref(t);
        return NULL;
    }
    return t;
}

lmi_auth_table *lmi_auth_table_ref(lmi_auth_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void lmi_auth_table_unref(lmi_auth_table *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        free(t->entries[i].folded);
    }
    free(t->entries);
    free(t->slots);
    lmi_auth_wipe_free(t->octets, t->octets_cap);
    lmi_auth_wipe_free(t->text, t->text_len);
    free(t);
}

size_t lmi_auth_table_count(const lmi_auth_table *t)
{
    return t->count;
}

const lmail_account *lmi_auth_table_find(const lmi_auth_table *t, lmail_str name,
                                         const lmi_auth_hash **hash)
{
    uint32_t index = *slot_of(t, name);
    if (index == 0) {
        return NULL;
    }
    *hash = &t->entries[index - 1].hash;
    return &t->entries[index - 1].account;
}

const lmail_account *lmi_auth_table_at(const lmi_auth_table *t, size_t index)
{
    return t->entries[index].line != 0 ? &t->entries[index].account : NULL;
}

const lmi_auth_hash *lmi_auth_table_usual(const lmi_auth_table *t)
{
    return t->usual != 0 ? &t->entries[t->usual - 1].hash : NULL;
}
