/* Reports about anything: whatever others have said, a report is a message of three parts whose fields
 * are the ones that were meant, 7-bit when it must be, and the same for every split. */
#include "dsn_compose.h"

#include <libmail/codec.h>
#include <libmail/mime.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* The next share of the input: its length in the first octet. */
static lmail_str take(lmail_str *in)
{
    if (!in->len)
        return LMAIL_STR("");
    size_t n = (unsigned char)in->ptr[0];
    in->ptr++;
    in->len--;
    n = n < in->len ? n : in->len;
    lmail_str s = {in->ptr, n};
    in->ptr += n;
    in->len -= n;
    return s;
}

static void lines(lmail_str s, int seven)
{
    size_t column = 0;
    CHECK(s.len > 2 && s.ptr[s.len - 1] == '\n');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        CHECK(c && (c < 128 || !seven));
        CHECK(c != '\r' || (i + 1 < s.len && s.ptr[i + 1] == '\n'));
        CHECK(c != '\n' || (i && s.ptr[i - 1] == '\r'));
        column = c == '\n' ? 0 : column + 1;
        CHECK(column <= 999); /* with the CR */
    }
}

/* Fields of one block of the status part: as many as there may be, and the ones that must. */
static void block(lmail_str *status, int first)
{
    lmail_mime_field f;
    unsigned seen = 0;
    const char *end = memmem(status->ptr, status->len, "\r\n\r\n", 4);
    size_t len = end ? (size_t)(end - status->ptr) + 2 : status->len;
    lmail_str fields = {status->ptr, len};
    len = end ? len + 2 : len;
    status->ptr += len;
    status->len -= len;
    while (lmail_mime_field_next(&fields, &f)) {
        if (lmail_str_equal(f.name, first ? LMAIL_STR("Reporting-MTA") : LMAIL_STR("Action")))
            seen++;
        CHECK(f.name.len && f.name.len < 24);
    }
    CHECK(seen == 1);
}

static void parts(const dsn_compose *c, size_t recipients, lmail_str message)
{
    lmail_mime_parser *p;
    lmail_mime_config mime = LMAIL_MIME_CONFIG_INIT;
    CHECK(!lmail_mime_parser_new(&p, &mime));
    CHECK(!lmail_mime_parser_feed(p, (lmail_str){c->out, c->len}) && !lmail_mime_parser_end(p));
    lmail_mime_parts all = lmail_mime_parser_parts(p);
    CHECK(all.count >= 3 && all.part[0].kind == LMAIL_MIME_MULTIPART);
    uint32_t human = all.part[0].first_child, status = all.part[human].next_sibling;
    uint32_t third = all.part[status].next_sibling;
    CHECK((third != LMAIL_MIME_NONE) == (c->facts.returned != LMAIL_SMTP_RET_NONE));
    CHECK(third == LMAIL_MIME_NONE || all.part[third].next_sibling == LMAIL_MIME_NONE);
    const lmail_mime_part *s = &all.part[status];
    lmail_str fields = {c->out + s->body_begin, (size_t)(s->body_end - s->body_begin)};
    for (size_t i = 0; i <= recipients; i++)
        block(&fields, !i);
    CHECK(!fields.len);
    if (third != LMAIL_MIME_NONE && all.part[third].encoding <= LMAIL_MIME_8BIT) {
        const lmail_mime_part *t = &all.part[third];
        size_t len = (size_t)(t->body_end - t->body_begin);
        /* The line end of the boundary behind a message of fields alone reads as its empty line. */
        if (len == message.len + 2 && !memmem(message.ptr, message.len, "\n\r\n", 3))
            len = message.len;
        CHECK(len <= message.len && memcmp(c->out + t->body_begin, message.ptr, len) == 0);
        CHECK(c->facts.returned == LMAIL_SMTP_RET_HDRS || len == message.len);
    }
    lmail_mime_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 8192)
        return 0;
    lmail_str in = {(const char *)data + 4, size - 4};
    lmail_dsn_recipient r[3];
    memset(r, 0, sizeof r);
    size_t count = 1 + data[0] % 3;
    for (size_t i = 0; i < count; i++) {
        r[i].action = (lmail_dsn_action)(1 + (data[0] >> 2) % 5);
        r[i].final = take(&in);
        r[i].actual = take(&in);
        r[i].orcpt = take(&in);
        r[i].enhanced = take(&in);
        r[i].text = take(&in);
        r[i].host = take(&in);
        r[i].log_id = take(&in);
        r[i].code = data[1] & 1 ? 200 + data[1] : 0;
    }
    lmail_dsn_config config = LMAIL_DSN_CONFIG_INIT;
    config.host = LMAIL_STR("mx.example.org");
    config.max_header = 1 + data[3];
    lmail_dsn_report report = LMAIL_DSN_REPORT_INIT;
    report.kind = (lmail_dsn_kind)(data[2] % 3);
    report.flags = data[2] >> 2 & 3;
    report.ret = data[2] >> 4 & 1 ? LMAIL_SMTP_RET_FULL : LMAIL_SMTP_RET_HDRS;
    report.to = data[2] >> 5 & 1 ? take(&in) : LMAIL_STR("s@example.org");
    report.sender = take(&in);
    report.envid = take(&in);
    report.client = take(&in);
    report.client_address = take(&in);
    report.message_id = take(&in);
    report.id = LMAIL_STR("fuzz");
    report.now = 1057049557000;
    report.recipients = r;
    report.recipient_count = count;
    report.octets = in.len;
    dsn_compose whole = {.message = in},
                split = {.message = in, .room = 1 + data[3] % 50, .piece = 1 + data[3] % 7};
    lmail_status st = dsn_compose_run(&whole, &config, &report);
    CHECK(st == LMAIL_OK || st == LMAIL_ERR_ARG);
    CHECK(dsn_compose_run(&split, &config, &report) == st);
    CHECK(whole.len == split.len && (!whole.len || !memcmp(whole.out, split.out, whole.len)));
    if (!st) {
        lines((lmail_str){whole.out, whole.len}, !whole.facts.has_8bit && !whole.facts.smtputf8);
        CHECK(!(report.flags & LMAIL_DSN_7BIT) || !whole.facts.has_8bit);
        parts(&whole, count, in);
    }
    free(whole.out);
    free(split.out);
    return 0;
}
