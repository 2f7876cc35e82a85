/* What is written is read back: text, addresses, parameters, bodies. Lines stay under the limit, and a
 * refused value leaves nothing. */
#include <libmail/codec.h>
#include <libmail/mime_write.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MOST 1024
#define ROOM (16 * MOST + 1024)

typedef struct room {
    char out[ROOM], flat[ROOM], back[ROOM], scratch[4 * ROOM + 16];
} room;

/* Every line ends in CRLF, is at most 998 octets, and is continued by white space; nothing else than
 * CRLF holds a CR or LF. */
static void well_formed(const char *out, size_t len)
{
    size_t column = 0;
    CHECK(len >= 2 && out[len - 1] == '\n' && out[len - 2] == '\r');
    for (size_t i = 0; i < len; i++) {
        if (out[i] == '\r') {
            CHECK(i + 1 < len && out[i + 1] == '\n');
            CHECK(column <= 998);
            CHECK(i + 2 == len || out[i + 2] == ' ' || out[i + 2] == '\t');
            column = 0;
            i++;
            continue;
        }
        CHECK(out[i] != '\n' && out[i]);
        column++;
    }
}

static lmail_str value_of(const lmail_mime_writer *w, room *r)
{
    lmail_str block = {r->out, w->made};
    lmail_mime_field f;
    well_formed(r->out, w->made);
    CHECK(lmail_mime_field_next(&block, &f) && !block.len);
    return (lmail_str){r->flat, lmail_mime_unfold(f.value, r->flat)};
}

/* The reader shows control octets as blanks. */
static int same(lmail_str a, lmail_str b)
{
    if (a.len != b.len)
        return 0;
    for (size_t i = 0; i < a.len; i++)
        if ((a.ptr[i] == '\t' ? ' ' : a.ptr[i]) != (b.ptr[i] == '\t' ? ' ' : b.ptr[i]))
            return 0;
    return 1;
}

static int refused(const lmail_mime_writer *w, lmail_status st)
{
    CHECK(st == LMAIL_OK || st == LMAIL_ERR_ARG || st == LMAIL_ERR_LIMIT);
    CHECK(st == LMAIL_OK || w->made == 0);
    return st != LMAIL_OK;
}

static void text(lmail_str in, unsigned utf8, room *r)
{
    lmail_mime_writer w;
    size_t made;
    lmail_mime_writer_init(&w, r->out, ROOM);
    w.utf8 = utf8;
    if (refused(&w, lmail_mime_text_write(&w, LMAIL_STR("Subject"), in)))
        return;
    lmail_str value = value_of(&w, r);
    CHECK(!lmail_mime_words_decode(NULL, value, r->back, ROOM, &made));
    CHECK(same((lmail_str){r->back, made}, in));
    if (!utf8)
        for (size_t i = 0; i < w.made; i++)
            CHECK((unsigned char)r->out[i] < 128);
}

static void address(lmail_str name, lmail_str local, lmail_str domain, unsigned utf8, room *r)
{
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, r->out, ROOM);
    w.utf8 = utf8;
    lmail_mime_mailbox m[2] = {{name, local, domain}, {name, local, domain}};
    if (refused(&w, lmail_mime_addresses_write(&w, LMAIL_STR("To"), m, 2)))
        return;
    lmail_str value = value_of(&w, r);
    lmail_mime_address_reader reader;
    lmail_mime_address a;
    size_t made;
    lmail_mime_address_reader_init(&reader, value, r->scratch, sizeof r->scratch);
    for (int i = 0; i < 2; i++) {
        CHECK(lmail_mime_address_next(&reader, &a) && a.kind == LMAIL_MIME_MAILBOX);
        CHECK(same(a.local, local) && lmail_str_equal(a.domain, domain));
        CHECK(!lmail_mime_words_decode(NULL, a.name, r->back, ROOM, &made));
        CHECK(same((lmail_str){r->back, made}, name));
    }
    CHECK(!lmail_mime_address_next(&reader, &a));
}

static void parameter(lmail_str name, lmail_str in, room *r)
{
    lmail_mime_writer w;
    lmail_mime_writer_init(&w, r->out, ROOM);
    lmail_mime_write_param p[2] = {{LMAIL_STR("charset"), LMAIL_STR("utf-8")}, {name, in}};
    if (refused(&w, lmail_mime_content_write(&w, LMAIL_STR("X"), LMAIL_STR("text/plain"), p, 2)))
        return;
    if (lmail_str_equal_nocase(name, p[0].name))
        return;
    lmail_str value = value_of(&w, r);
    lmail_mime_content c;
    lmail_mime_param read[4];
    size_t made;
    lmail_mime_content_parse(value, &c, read, 4, r->scratch, sizeof r->scratch);
    CHECK(c.count == 2 && lmail_str_equal_nocase(read[1].name, name));
    CHECK(!lmail_mime_param_decode(NULL, &read[1], r->back, ROOM, &made));
    CHECK(same((lmail_str){r->back, made}, in));
}

static void body(lmail_str in, size_t piece, room *r)
{
    lmail_mime_scan s = {0};
    lmail_mime_scan_feed(&s, in);
    lmail_mime_encoder e = {.encoding = lmail_mime_scan_encoding(&s, 0),
                            .text = (unsigned)piece & 1};
    size_t n = 0, used = 0, made = 0, at = 0;
    lmail_status st = LMAIL_MORE;
    while (st == LMAIL_MORE || at < in.len) {
        size_t len = in.len - at < piece ? in.len - at : piece;
        st = lmail_mime_encode_some(&e, (lmail_str){in.ptr + at, len}, at + len == in.len, &used,
                                    r->out + n, 16 + piece, &made);
        at += used;
        n += made;
    }
    lmail_mime_scan coded = {0};
    lmail_mime_scan_feed(&coded, (lmail_str){r->out, n});
    CHECK(lmail_mime_scan_encoding(&coded, 0) == LMAIL_MIME_7BIT);
    lmail_mime_decoder *d;
    CHECK(!lmail_mime_decoder_new(&d, NULL, NULL, e.encoding, LMAIL_STR(""),
                                  LMAIL_MIME_DECODE_OCTETS));
    CHECK(!lmail_mime_decoder_feed(d, (lmail_str){r->out, n}, 1, &used, r->back, ROOM, &made));
    lmail_mime_decoder_free(d);
    CHECK(made == in.len && (!made || memcmp(r->back, in.ptr, made) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > MOST)
        return 0;
    room *r = malloc(sizeof *r);
    CHECK(r);
    lmail_str in = {(const char *)data + 3, size - 3};
    lmail_str head = {in.ptr, in.len * data[0] / 256};
    lmail_str rest = {in.ptr + head.len, in.len - head.len};
    lmail_str middle = {rest.ptr, rest.len * data[1] / 256};
    lmail_str tail = {rest.ptr + middle.len, rest.len - middle.len};
    for (unsigned utf8 = 0; utf8 < 2; utf8++) {
        text(in, utf8, r);
        address(head, middle, tail, utf8, r);
        address(in, LMAIL_STR("a"), LMAIL_STR("b"), utf8, r);
    }
    parameter(head, rest, r);
    parameter(LMAIL_STR("name"), in, r);
    body(in, 1 + data[2] % 40, r);
    free(r);
    return 0;
}
