/* A message in any split gives the same parts and texts; offsets nest inside it; LF input gives the
 * offsets of its CRLF form; the texts are valid IMAP lists; the matcher's verdict does not depend
 * on the split.
 *
 * The first octet chooses limits and the size of the pieces. */
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

static lmail_mime_parser *parse(lmail_str in, size_t piece, unsigned lf_input, unsigned tight)
{
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_parser *p;
    config.gather = LMAIL_MIME_GATHER_SUMMARY;
    config.lf_input = lf_input;
    if (tight) {
        config.max_depth = 3;
        config.max_parts = 5;
        config.max_header = 100;
        config.max_memory = 300;
    }
    CHECK(!lmail_mime_parser_new(&p, &config));
    while (in.len) {
        size_t n = in.len < piece ? in.len : piece;
        /* an allocation of its own, so that a read past the piece is seen */
        char *copy = malloc(n);
        CHECK(copy);
        memcpy(copy, in.ptr, n);
        CHECK(!lmail_mime_parser_feed(p, (lmail_str){copy, n}));
        free(copy);
        in.ptr += n;
        in.len -= n;
    }
    CHECK(!lmail_mime_parser_end(p));
    return p;
}

/* Strings, literals, atoms and lists, as RFC 9051 §9 writes them; one value fills the whole
 * text. */
static void check_list(lmail_str text)
{
    size_t depth = 0, at = 0;
    CHECK(text.len && text.ptr[0] == '(');
    while (at < text.len) {
        unsigned char c = (unsigned char)text.ptr[at++];
        CHECK(c >= 32 && c < 127);
        if (c == '(') {
            depth++;
        } else if (c == ')') {
            CHECK(depth > 0);
            if (!--depth)
                break;
        } else if (c == '"') {
            for (; at < text.len && text.ptr[at] != '"'; at++) {
                CHECK((unsigned char)text.ptr[at] < 128 && text.ptr[at] != '\r' &&
                      text.ptr[at] != '\n' && text.ptr[at] != 0);
                if (text.ptr[at] == '\\')
                    at++;
            }
            CHECK(at++ < text.len);
        } else if (c == '{') {
            size_t n = 0;
            CHECK(text.ptr[at] >= '0' && text.ptr[at] <= '9');
            while (text.ptr[at] >= '0' && text.ptr[at] <= '9')
                n = n * 10 + (size_t)(text.ptr[at++] - '0');
            CHECK(text.len - at >= 3 + n && memcmp(text.ptr + at, "}\r\n", 3) == 0);
            CHECK(!memchr(text.ptr + at + 3, 0, n));
            at += 3 + n;
        }
    }
    CHECK(!depth && at == text.len);
}

static int same(lmail_str a, lmail_str b)
{
    return a.len == b.len && (!a.len || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void compare(const lmail_mime_parser *a, const lmail_mime_parser *b)
{
    const lmail_mime_summary *x = lmail_mime_parser_summary(a), *y = lmail_mime_parser_summary(b);
    CHECK(same(x->parts, y->parts) && same(x->envelope, y->envelope));
    CHECK(same(x->bodystructure, y->bodystructure) && same(x->preview, y->preview));
    CHECK(x->size == y->size && same(x->from, y->from) && same(x->references, y->references));
}

static void check_parts(const lmail_mime_parser *p, uint64_t size)
{
    const lmail_mime_summary *s = lmail_mime_parser_summary(p);
    lmail_mime_parts parts = lmail_mime_parser_parts(p);
    CHECK(parts.count && parts.part[0].header_begin == 0 && parts.part[0].body_end == size);
    CHECK(s->size == size && lmail_mime_parts_count(s->parts) == parts.count);
    lmail_mime_part *back = malloc(parts.count * sizeof *back);
    size_t count;
    CHECK(back);
    /* the blob's reader checks all nesting itself */
    CHECK(!lmail_mime_parts_read(s->parts, back, parts.count, &count) && count == parts.count);
    CHECK(memcmp(back, parts.part, count * sizeof *back) == 0);
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t path[3] = {1, n, 1};
        lmail_mime_range r;
        for (size_t len = 0; len <= 3; len++)
            for (int what = LMAIL_MIME_WHOLE; what <= LMAIL_MIME_MIME; what++)
                if (!lmail_mime_part_find(&parts, path, len, (lmail_mime_section)what, &r))
                    CHECK(r.begin <= r.end && r.end <= size && r.part < count);
    }
    free(back);
}

static void check_texts(const lmail_mime_parser *p)
{
    const lmail_mime_summary *s = lmail_mime_parser_summary(p);
    check_list(s->envelope);
    check_list(s->bodystructure);
    char *body = malloc(s->bodystructure.len);
    size_t made, points = 0;
    CHECK(body);
    CHECK(!lmail_mime_body_from_bodystructure(s->bodystructure, body, s->bodystructure.len, &made));
    check_list((lmail_str){body, made});
    free(body);
    for (size_t i = 0; i < s->preview.len; i++)
        points += ((unsigned char)s->preview.ptr[i] & 0xc0) != 0x80;
    CHECK(points <= 200);
}

static unsigned match(lmail_str in, size_t piece)
{
    lmail_search header = {0}, body = {0}, text = {0};
    lmail_mime_config config = LMAIL_MIME_CONFIG_INIT;
    lmail_mime_matcher *m;
    header.op = LMAIL_SEARCH_HEADER;
    header.field = LMAIL_STR("subject");
    header.text = LMAIL_STR("a");
    header.next = &body;
    body.op = LMAIL_SEARCH_BODY;
    body.text = LMAIL_STR("aab");
    body.next = &text;
    text.op = LMAIL_SEARCH_TEXT;
    text.text = LMAIL_STR("t: ");
    CHECK(!lmail_mime_matcher_new(&m, &config, &header));
    lmail_status st = LMAIL_OK;
    while (in.len && !st) {
        size_t n = in.len < piece ? in.len : piece;
        st = lmail_mime_matcher_feed(m, (lmail_str){in.ptr, n});
        in.ptr += n;
        in.len -= n;
    }
    CHECK(st >= 0 && !lmail_mime_matcher_end(m));
    unsigned found = (unsigned)(lmail_mime_matcher_result(m, &header) |
                                lmail_mime_matcher_result(m, &body) << 1 |
                                lmail_mime_matcher_result(m, &text) << 2);
    lmail_mime_matcher_free(m);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 1 << 16)
        return 0;
    unsigned tight = data[0] & 1;
    size_t piece = 1u + (data[0] >> 1) % 40u;
    lmail_str in = {(const char *)data + 1, size - 1};
    lmail_mime_parser *whole = parse(in, in.len, 0, tight);
    lmail_mime_parser *pieces = parse(in, piece, 0, tight);
    compare(whole, pieces);
    check_parts(whole, in.len);
    check_texts(whole);
    lmail_mime_parser_free(whole);
    lmail_mime_parser_free(pieces);

    /* the CRLF form read as it is, and the LF form read with lf_input */
    char *crlf = malloc(in.len * 2 + 1);
    size_t n = 0;
    CHECK(crlf);
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] == '\n' && (!i || in.ptr[i - 1] != '\r'))
            crlf[n++] = '\r';
        crlf[n++] = in.ptr[i];
    }
    whole = parse((lmail_str){crlf, n}, n, 0, 0);
    pieces = parse(in, piece, 1, 0);
    compare(whole, pieces);
    check_parts(whole, n);
    lmail_mime_parser_free(whole);
    lmail_mime_parser_free(pieces);
    free(crlf);

    CHECK(match(in, in.len) == match(in, piece));

    /* the input as a blob, too */
    lmail_mime_part part[64];
    size_t count;
    lmail_mime_parts_read(in, part, 64, &count);
    char body[512];
    if (!lmail_mime_body_from_bodystructure(in, body, sizeof body, &count))
        CHECK(count <= sizeof body);
    return 0;
}
