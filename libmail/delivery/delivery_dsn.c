/* delivery_dsn.c - a report is begun and freed.
 *
 * Everything is copied here, and what others have said is made presentable: a bounce that cannot be
 * written because a server answered nonsense would be mail lost. Called by the host. */
#include "delivery_dsn_internal.h"

#include <string.h>

LMI_STRUCT_INIT(lmail_dsn_config, LMAIL_DSN_CONFIG_INIT);
LMI_STRUCT_INIT(lmail_dsn_report, LMAIL_DSN_REPORT_INIT);

static const char *const texts[] = {
#define XX(name, text) text,
    LMAIL_DSN_TEXT_MAP(XX)
#undef XX
};

/* A copy of *s: control octets as blanks, what is no UTF-8 as "?", cut between characters. */
static lmail_status keep(lmail_dsn *d, lmail_str *s)
{
    lmail_str in = *s;
    size_t cap = in.len < LMI_DSN_VALUE ? in.len : LMI_DSN_VALUE, made = 0;
    char *out = lmi_arena_get(&d->arena, cap ? cap : 1);
    if (!out)
        return LMAIL_ERR_NOMEM;
    while (in.len) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(in, &point, &good);
        if (!n || !good) {
            n = n ? n : in.len;
            if (made == cap)
                break;
            out[made++] = '?';
        } else {
            if (n > cap - made)
                break;
            memcpy(out + made, in.ptr, n);
            if (point < 32 || point == 127)
                out[made] = ' ';
            made += n;
        }
        in = lmi_str_skip(in, n);
    }
    while (made && out[made - 1] == ' ')
        made--;
    *s = (lmail_str){out, made};
    return LMAIL_OK;
}

static lmail_status keep_all(lmail_dsn *d, lmail_str *const *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (keep(d, s[i]))
            return LMAIL_ERR_NOMEM;
    return LMAIL_OK;
}

static lmail_status take_texts(lmail_dsn *d)
{
    for (size_t i = 0; i < LMAIL_DSN_TEXT_COUNT; i++)
        d->text[i] = lmail_str_from(texts[i]);
    for (size_t i = 0; i < d->config.text_count; i++) {
        const lmail_dsn_text *t = &d->config.texts[i];
        if ((unsigned)t->id >= LMAIL_DSN_TEXT_COUNT || t->text.len > LMI_DSN_TEXT ||
            !lmail_utf8_valid(t->text))
            return LMAIL_ERR_ARG;
        for (size_t k = 0; k < t->text.len; k++)
            if ((unsigned char)t->text.ptr[k] < 32 && t->text.ptr[k] != '\n')
                return LMAIL_ERR_ARG;
        if (lmi_arena_copy(&d->arena, t->text, &d->text[t->id]))
            return LMAIL_ERR_NOMEM;
    }
    d->config.texts = NULL;
    return LMAIL_OK;
}

static lmail_status take_recipients(lmail_dsn *d)
{
    const lmail_dsn_recipient *given = d->report.recipients;
    size_t count = d->report.recipient_count, size;
    if (!given || !count)
        return LMAIL_ERR_ARG;
    if (lmail_size_mul(count, sizeof *given, &size))
        return LMAIL_ERR_NOMEM;
    d->recipients = lmi_arena_get(&d->arena, size);
    if (!d->recipients)
        return LMAIL_ERR_NOMEM;
    memcpy(d->recipients, given, size);
    for (size_t i = 0; i < count; i++) {
        lmail_dsn_recipient *r = &d->recipients[i];
        if (r->action < LMAIL_DSN_FAILED || r->action > LMAIL_DSN_EXPANDED || !r->final.len)
            return LMAIL_ERR_ARG;
        if (d->config.no_actual_recipient)
            r->actual = (lmail_str){NULL, 0};
        lmail_str *const all[] = {&r->final, &r->actual, &r->orcpt, &r->enhanced,
                                  &r->text,  &r->host,   &r->log_id};
        if (keep_all(d, all, sizeof all / sizeof *all))
            return LMAIL_ERR_NOMEM;
        d->counts[r->action] = 1;
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            d->global |= !lmi_mime_is_ascii(*all[k]);
    }
    d->report.recipients = d->recipients;
    return LMAIL_OK;
}

/* `to` as the reverse-path was written, a quoted local part and all. */
static lmail_status take_to(lmail_dsn *d)
{
    lmail_str to = d->report.to;
    lmail_mime_address_reader reader;
    lmail_mime_address a;
    if (!lmi_str_printable(to) || !lmail_utf8_valid(to))
        return LMAIL_ERR_ARG;
    size_t cap = 2 * to.len + 16;
    char *scratch = lmi_arena_get(&d->arena, cap);
    if (!scratch || lmi_arena_copy(&d->arena, to, &d->report.to))
        return LMAIL_ERR_NOMEM;
    lmail_mime_address_reader_init(&reader, to, scratch, cap);
    if (!lmail_mime_address_next(&reader, &a) || a.kind != LMAIL_MIME_MAILBOX || !a.local.len ||
        !a.domain.len)
        return LMAIL_ERR_ARG;
    /* Nothing else stands in it: no name, comment, white space or second address. */
    lmail_str tail = lmi_str_skip(to, a.raw_local.len + 1);
    if (a.raw_local.ptr != to.ptr || !lmail_str_equal(tail, a.raw_domain) ||
        !lmail_str_equal(tail, a.domain))
        return LMAIL_ERR_ARG;
    d->to_local = a.local;
    d->to_domain = a.domain;
    d->to_utf8 = !lmi_mime_is_ascii(to);
    return LMAIL_OK;
}

/* The fields of the header, in a trial: what they refuse is an argument. */
static lmail_status try_header(lmail_dsn *d)
{
    lmail_mime_writer w;
    char id[256];
    size_t made;
    lmail_mime_writer_init(&w, NULL, 0);
    w.utf8 = d->to_utf8;
    lmail_mime_mailbox both[2] = {{{NULL, 0}, d->config.from_local, d->config.from_domain},
                                  {{NULL, 0}, d->to_local, d->to_domain}};
    lmail_status st = lmail_mime_addresses_write(&w, LMAIL_STR("To"), both, 2);
    if (st && st != LMAIL_ERR_LIMIT)
        return LMAIL_ERR_ARG;
    if (!lmail_mime_date_text(d->report.now / 1000, d->report.zone, id))
        return LMAIL_ERR_ARG;
    return lmail_mime_id_write(d->report.now / 1000, d->report.id, d->config.host, id, sizeof id,
                               &made)
               ? LMAIL_ERR_ARG
               : LMAIL_OK;
}

static lmail_status take(lmail_dsn *d)
{
    if (!d->config.host.len || !d->report.id.len || (unsigned)d->report.kind > LMAIL_DSN_COPY)
        return LMAIL_ERR_ARG;
    if (!d->config.from_local.len)
        d->config.from_local = LMAIL_STR("MAILER-DAEMON");
    if (!d->config.from_domain.len)
        d->config.from_domain = d->config.host;
    LMI_DEFAULT(d->config.max_body, 65536);
    LMI_DEFAULT(d->config.max_header, 65536);
    lmail_dsn_report *r = &d->report;
    lmail_str *const all[] = {&d->config.host,
                              &d->config.from_local,
                              &d->config.from_domain,
                              &r->sender,
                              &r->id,
                              &r->envid,
                              &r->client,
                              &r->client_address,
                              &r->message_id};
    if (keep_all(d, all, sizeof all / sizeof *all))
        return LMAIL_ERR_NOMEM;
    lmail_status st = take_texts(d);
    if (!st)
        st = take_recipients(d);
    if (!st)
        st = take_to(d);
    if (!st)
        st = try_header(d);
    /* RFC 6533 §4.4: the plain form where it says the same. */
    d->global |= !lmi_mime_is_ascii(r->client) || !lmi_mime_is_ascii(r->envid);
    if (!(r->flags & LMAIL_DSN_SMTPUTF8) || (r->flags & LMAIL_DSN_7BIT))
        d->global = 0;
    return st;
}

lmail_status lmail_dsn_new(lmail_dsn **out, const lmail_dsn_config *config,
                           const lmail_dsn_report *report)
{
    lmail_dsn_config c;
    lmail_dsn_report r;
    *out = NULL;
    lmail_status st = lmi_struct_take(&c, sizeof c, config);
    if (!st)
        st = lmi_struct_take(&r, sizeof r, report);
    if (st)
        return st;
    lmail_alloc alloc = lmi_alloc_resolve(&c.alloc);
    lmail_dsn *d = lmi_zalloc(&alloc, sizeof *d);
    if (!d)
        return LMAIL_ERR_NOMEM;
    d->alloc = alloc;
    d->config = c;
    d->report = r;
    lmi_arena_init(&d->arena, &d->alloc, SIZE_MAX / 2);
    lmi_mime_out_init(&d->chunk, &d->alloc, SIZE_MAX / 2);
    st = take(d);
    if (st) {
        lmail_dsn_free(d);
        return st;
    }
    lmi_dsn_start(d);
    *out = d;
    return LMAIL_OK;
}

void lmail_dsn_free(lmail_dsn *d)
{
    if (!d)
        return;
    lmail_alloc alloc = d->alloc;
    lmi_mime_out_done(&d->chunk);
    lmi_arena_done(&d->arena);
    lmi_free(&alloc, d, sizeof *d);
}
