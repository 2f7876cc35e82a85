/* One header value through every reader: addresses, encoded words, parameters, dates, ids,
 * subjects. Results stay in their bounds and are valid UTF-8; slices point where they may; a filter
 * keeps or drops each field. */
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

static int inside(lmail_str s, const char *from, size_t cap)
{
    return !s.len || (s.ptr >= from && s.ptr + s.len <= from + cap);
}

static void addresses(lmail_str in, size_t cap)
{
    char *scratch = malloc(cap ? cap : 1);
    lmail_mime_address_reader r;
    lmail_mime_address a;
    size_t count = 0;
    int in_group = 0;
    CHECK(scratch);
    lmail_mime_address_reader_init(&r, in, scratch, cap);
    while (lmail_mime_address_next(&r, &a)) {
        CHECK(inside(a.name, scratch, cap) && inside(a.route, scratch, cap));
        CHECK(inside(a.local, scratch, cap) && inside(a.domain, scratch, cap));
        CHECK(inside(a.raw_local, in.ptr, in.len) && inside(a.raw_domain, in.ptr, in.len));
        CHECK(count++ < in.len + 2);
        if (a.kind == LMAIL_MIME_GROUP_BEGIN)
            CHECK(!in_group++);
        if (a.kind == LMAIL_MIME_GROUP_END)
            CHECK(in_group--);
    }
    CHECK(!in_group);
    free(scratch);
}

static void words(lmail_str in)
{
    size_t cap = 3 * in.len + 16, made, less;
    char *out = malloc(cap), *cut = malloc(cap);
    CHECK(out && cut);
    CHECK(!lmail_mime_words_decode(NULL, in, out, cap, &made));
    CHECK(lmail_utf8_valid((lmail_str){out, made}));
    lmail_status st = lmail_mime_words_decode(NULL, in, cut, made / 2, &less);
    CHECK(less <= made / 2 && memcmp(cut, out, less) == 0);
    CHECK((st == LMAIL_OK) == (made == less));
    CHECK(lmail_utf8_valid((lmail_str){cut, less}));
    unsigned is_reply;
    lmail_str base = lmail_mime_base_subject((lmail_str){out, made}, &is_reply);
    CHECK(inside(base, out, made));
    free(out);
    free(cut);
}

static void params(lmail_str in, size_t cap)
{
    char *scratch = malloc(cap ? cap : 1), *out = malloc(3 * cap + 16);
    lmail_mime_content c;
    lmail_mime_param param[8];
    CHECK(scratch && out);
    lmail_mime_content_parse(in, &c, param, 8, scratch, cap);
    CHECK(inside(c.type, scratch, cap) && inside(c.subtype, scratch, cap) && c.count <= 8);
    for (size_t i = 0; i < c.count; i++) {
        size_t made;
        CHECK(inside(param[i].name, scratch, cap) && inside(param[i].value, scratch, cap));
        CHECK(!lmail_mime_param_decode(NULL, &param[i], out, 3 * cap + 16, &made));
        CHECK(lmail_utf8_valid((lmail_str){out, made}));
    }
    free(scratch);
    free(out);
}

static void fields(lmail_str in)
{
    lmail_str names[2] = {LMAIL_STR("a"), LMAIL_STR("subject")};
    lmail_str rest = in;
    lmail_mime_field f;
    char *out = malloc(in.len + 4);
    size_t total = 0, kept, dropped, envelope;
    CHECK(out);
    while (lmail_mime_field_next(&rest, &f)) {
        CHECK(inside(f.name, in.ptr, in.len) && inside(f.value, in.ptr, in.len));
        total += f.whole.len + (f.whole.ptr[f.whole.len - 1] == '\n' ? 0 : 2);
        CHECK(lmail_mime_unfold(f.value, out) <= f.value.len);
    }
    CHECK(!lmail_mime_fields_filter(in, names, 2, 0, out, in.len + 4, &kept));
    CHECK(!lmail_mime_fields_filter(in, names, 2, 1, out, in.len + 4, &dropped));
    CHECK(kept + dropped == total + 4);
    lmail_mime_envelope_write(NULL, in, NULL, 0, &envelope);
    CHECK(envelope > 0);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 14)
        return 0;
    lmail_str in = {size ? (const char *)data : "", size};
    addresses(in, 2 * size + 16);
    addresses(in, size / 2);
    words(in);
    params(in, 4 * size + 16);
    params(in, size / 2);
    fields(in);
    int64_t seconds;
    int32_t day, zone;
    if (!lmail_mime_date_parse(in, &seconds, &day, &zone))
        CHECK(seconds / 86400 - day < 3 && day - seconds / 86400 < 3);
    lmail_str rest = in, id;
    for (size_t n = 0; lmail_mime_msgid_next(&rest, &id); n++)
        CHECK(n <= size && inside(id, in.ptr, size) && id.len);
    return 0;
}
