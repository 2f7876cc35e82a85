/* store_memory_delivery.c - the memory store: messages that come in.
 *
 * Octets gather in one buffer a message; commit puts one counted content into every target. */
#include "host/store/store_memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct incoming {
    char *octets;
    size_t size, capacity;
    lmail_delivery_message args;
    mem_content *content; /* after end */
} incoming;

struct lmail_delivery {
    mem_store *store;
    unsigned atomic, writing;
    incoming *messages;
    size_t count;
    lmi_intake intake;
};

static lmail_status delivery_begin(void *ctx, const lmail_delivery_args *args, lmail_delivery **out)
{
    if (args->size > sizeof *args)
        return LMAIL_ERR_SIZE;
    lmail_delivery *d = calloc(1, sizeof *d);
    if (!d)
        return LMAIL_ERR_NOMEM;
    d->store = ctx;
    d->atomic = args->atomic;
    *out = d;
    return LMAIL_OK;
}

static lmail_status sink(void *user, const char *octets, size_t n)
{
    lmail_delivery *d = user;
    incoming *m = &d->messages[d->count - 1];
    size_t need;
    if (lmail_size_add(m->size, n, &need))
        return LMAIL_ERR_NOMEM;
    if (need > m->capacity) {
        size_t capacity = need + need / 2 + 1024;
        char *p = realloc(m->octets, capacity);
        if (!p)
            return LMAIL_ERR_NOMEM;
        m->octets = p;
        m->capacity = capacity;
    }
    memcpy(m->octets + m->size, octets, n);
    m->size = need;
    return LMAIL_OK;
}

static lmail_status delivery_message(lmail_delivery *d, const lmail_delivery_message *args)
{
    lmail_status st;
    incoming *list = lmi_delivery_next(args, d->writing, d->messages, d->count, sizeof *list, &st);
    if (!list)
        return st;
    d->messages = list;
    list[d->count] = (incoming){.args = *args};
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    config.env = d->store->env;
    config.gather = LMAIL_MIME_GATHER_SUMMARY;
    d->intake = (lmi_intake){.exact = args->exact, .sink = sink, .user = d};
    st = lmail_mime_parser_new(&d->intake.parser, &config);
    if (st)
        return st;
    d->count++;
    d->writing = 1;
    return LMAIL_OK;
}

static lmail_status delivery_write(lmail_delivery *d, lmail_str octets)
{
    return d->writing ? lmi_intake_write(&d->intake, octets) : LMAIL_ERR_STATE;
}

static lmail_str keep(char **at, lmail_str s)
{
    lmail_str kept = lmi_str(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return kept;
}

static mem_content *make_content(mem_store *s, const lmail_mime_summary *m)
{
    size_t fields = lmi_fields_size(m);
    mem_content *c = malloc(sizeof *c + m->envelope.len + m->bodystructure.len + m->parts.len +
                            m->preview.len + fields);
    if (!c)
        return NULL;
    memset(c, 0, sizeof *c);
    atomic_init(&c->refs, 1);
    char *p = (char *)(c + 1);
    c->envelope = keep(&p, m->envelope);
    c->bodystructure = keep(&p, m->bodystructure);
    c->parts = keep(&p, m->parts);
    c->preview = keep(&p, m->preview);
    lmi_fields_write(m, p);
    c->fields = lmi_str(p, fields);
    unsigned long long serial = atomic_fetch_add(&s->serial, 1);
    lmi_digest(lmi_str((char *)&serial, sizeof serial), c->email_id);
    return c;
}

static lmail_status delivery_end(lmail_delivery *d, uint64_t *octets)
{
    if (!d->writing)
        return LMAIL_ERR_STATE;
    incoming *m = &d->messages[d->count - 1];
    const lmail_mime_summary *summary = lmi_intake_end(&d->intake);
    d->writing = 0;
    if (summary)
        m->content = make_content(d->store, summary);
    lmail_mime_parser_free(d->intake.parser);
    d->intake.parser = NULL;
    if (!m->content)
        return LMAIL_ERR_NOMEM;
    m->content->octets = m->octets;
    m->content->size = m->size;
    m->octets = NULL;
    if (octets)
        *octets = m->size;
    return LMAIL_OK;
}

static const mem_content *ended(const lmail_delivery *d, size_t message)
{
    return message < d->count ? d->messages[message].content : NULL;
}

static lmail_status delivery_read(lmail_delivery *d, size_t message, uint64_t offset, char *buf,
                                  size_t cap, size_t *got)
{
    const mem_content *c = ended(d, message);
    *got = 0;
    if (!c)
        return LMAIL_ERR_STATE;
    uint64_t left = offset < c->size ? c->size - offset : 0;
    *got = left < cap ? (size_t)left : cap;
    if (*got)
        memcpy(buf, c->octets + offset, *got);
    return LMAIL_OK;
}

static lmail_status delivery_link(lmail_delivery *d, size_t message, const char *path, int sync)
{
    (void)d, (void)message, (void)path, (void)sync;
    return LMAIL_ERR_UNSUPPORTED;
}

static lmail_status put(lmail_delivery *d, lmail_delivery_target *t, mem_mailbox *m)
{
    incoming *in = &d->messages[t->message];
    lmail_flags bits;
    lmail_snapshot_edit *edit;
    int zone;
    int64_t now = lmi_wall_clock(d->store->env, &zone);
    mem_row row = {.content = in->content, .date = now, .saved = now, .zone = zone};
    if (in->args.has_date) {
        row.date = in->args.date;
        row.zone = in->args.date_zone;
    }
    size_t before = m->count;
    lmail_uid uidnext = m->uidnext;
    lmail_status st = lmi_mem_bits(m, t->flags, t->keywords, t->keyword_count, 1, &bits);
    if (!st)
        st = lmail_snapshot_edit_begin(m->snapshot, &edit);
    if (st)
        return st;
    st = lmi_mem_append(m, edit, row, bits, m->modseq + 1, &t->uid);
    if (st)
        lmail_snapshot_edit_abort(edit);
    else
        st = lmi_mem_publish(m, edit, m->modseq + 1);
    if (st)
        lmi_mem_cut(m, before, uidnext);
    t->uidvalidity = m->uidvalidity;
    return st;
}

static lmail_status deliver(lmail_delivery *d, lmail_delivery_target *t)
{
    mem_account *a = (mem_account *)t->account;
    char name[LMI_NAME_MAX];
    size_t len;
    mem_mailbox *m = NULL;
    if (!ended(d, t->message))
        return LMAIL_ERR_STATE;
    lmail_status st = lmi_name_check(d->store->env, t->mailbox, name, &len);
    if (st)
        return st;
    pthread_mutex_lock(&a->lock);
    m = lmi_mem_find(a, lmi_str(name, len));
    if (!m)
        st = t->create ? lmi_mem_create(a, lmi_str(name, len), LMAIL_USE_NONE, &m)
                       : LMAIL_ERR_NOTFOUND;
    if (!st && (t->max_octets || t->max_messages)) {
        lmail_store_usage u;
        lmi_mem_usage(a, &u);
        if (lmi_store_over(&u, d->messages[t->message].content->size, t->max_octets,
                           t->max_messages))
            st = LMAIL_ERR_QUOTA;
    }
    if (!st)
        st = put(d, t, m);
    pthread_mutex_unlock(&a->lock);
    if (!st)
        lmi_mem_raise(a);
    return st;
}

static lmail_status delivery_undo(lmail_delivery *d, lmail_delivery_target *targets, size_t count)
{
    lmail_status first = LMAIL_OK;
    (void)d;
    for (size_t i = 0; i < count; i++) {
        lmail_delivery_target *t = &targets[i];
        mem_account *a = (mem_account *)t->account;
        lmail_uid_list vanished = {0};
        lmail_uid_range one = {t->uid, t->uid};
        lmail_modseq modseq;
        mem_mailbox *m;
        if (t->status)
            continue;
        pthread_mutex_lock(&a->lock);
        lmail_status st = lmi_mem_find_checked(a, t->mailbox, &m);
        if (!st && m->uidvalidity == t->uidvalidity)
            st = lmi_mem_remove(m, (lmail_uid_set){&one, 1}, LMAIL_EXPUNGE_ALL, &vanished, &modseq);
        pthread_mutex_unlock(&a->lock);
        lmail_uid_list_free(&vanished);
        lmi_mem_raise(a);
        if (st && st != LMAIL_ERR_NOTFOUND && !first)
            first = st;
        t->status = LMAIL_ERR_STATE;
        t->uid = 0;
    }
    return first;
}

static lmail_status delivery_commit(lmail_delivery *d, lmail_delivery_target *targets, size_t count)
{
    lmail_status first = LMAIL_OK;
    if (d->writing)
        return LMAIL_ERR_STATE;
    for (size_t i = 0; i < count; i++) {
        targets[i].uid = 0;
        targets[i].status = LMAIL_ERR_STATE;
    }
    for (size_t i = 0; i < count && !(first && d->atomic); i++) {
        targets[i].status = deliver(d, &targets[i]);
        if (targets[i].status && !first)
            first = targets[i].status;
    }
    if (first && d->atomic)
        (void)delivery_undo(d, targets, count);
    return first;
}

static void delivery_free(lmail_delivery *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++) {
        free(d->messages[i].octets);
        lmi_mem_content_unref(d->messages[i].content);
    }
    lmail_mime_parser_free(d->intake.parser);
    free(d->messages);
    free(d);
}

void lmi_mem_fill_delivery(lmail_store *table)
{
    table->delivery_begin = delivery_begin;
    table->delivery_message = delivery_message;
    table->delivery_write = delivery_write;
    table->delivery_end = delivery_end;
    table->delivery_read = delivery_read;
    table->delivery_link = delivery_link;
    table->delivery_commit = delivery_commit;
    table->delivery_undo = delivery_undo;
    table->delivery_free = delivery_free;
}
