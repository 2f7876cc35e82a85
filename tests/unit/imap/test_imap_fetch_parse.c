/* Items of a FETCH: what is asked of the rows, what the response is labelled with, what is
 * refused. */
#include "base/base_internal.h"
#include "imap/imap_fetch.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static lmail_imap_server_config config;
static lmail_alloc libc;

static void show(const lmi_fetch_plan *p, char *out, size_t cap)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{LMAIL_IMAP_ITEM_FLAGS, "F"},         {LMAIL_IMAP_ITEM_INTERNALDATE, "D"},
                 {LMAIL_IMAP_ITEM_SIZE, "S"},          {LMAIL_IMAP_ITEM_ENVELOPE, "E"},
                 {LMAIL_IMAP_ITEM_BODYSTRUCTURE, "B"}, {LMAIL_IMAP_ITEM_PARTS, "P"},
                 {LMAIL_IMAP_ITEM_FIELDS, "H"}};
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        const lmi_fetch_item *it = &p->items[i];
        n += (size_t)snprintf(out + n, cap - n, "%s%.*s", i ? " " : "", (int)it->label.len,
                              it->label.ptr);
        if (it->partial)
            n += (size_t)snprintf(out + n, cap - n, "+%llu", (unsigned long long)it->length);
    }
    n += (size_t)snprintf(out + n, cap - n, " | ");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (p->needs & names[i].bit)
            n += (size_t)snprintf(out + n, cap - n, "%s", names[i].name);
    n += (size_t)snprintf(out + n, cap - n, "%s", p->sees ? " sees" : "");
    if (p->streams)
        n += (size_t)snprintf(out + n, cap - n, " streams %zu", p->streams);
    for (size_t i = 0; i < p->field_count; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%.*s", i ? "," : " fields ",
                              (int)p->fields[i].len, p->fields[i].ptr);
}

static const char *parse(lmail_str text, char *out, size_t cap)
{
    lmi_arena arena;
    lmi_imap_args args;
    lmi_fetch_plan plan;
    lmi_arena_init(&arena, &libc, 1 << 18);
    lmi_imap_args_init(&args, text, &arena, &config);
    lmail_status st = lmi_fetch_parse(&args, &plan);
    if (!st)
        st = lmi_imap_end(&args);
    if (st)
        snprintf(out, cap, "%s at %zu", lmail_status_name(st), args.at);
    else
        show(&plan, out, cap);
    lmi_arena_done(&arena);
    return out;
}

static const struct {
    const char *in, *out;
} cases[] = {
    /* RFC 3501 §6.4.5: macros */
    {"ALL", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE | FDSE"},
    {"fast", "FLAGS INTERNALDATE RFC822.SIZE | FDS"},
    {"Full", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY | FDSEB"},
    {"(ALL)", "LMAIL_ERR_SYNTAX at 1"},
    {"(FLAGS FAST)", "LMAIL_ERR_SYNTAX at 7"},
    /* items alone and in a list */
    {"FLAGS", "FLAGS | F"},
    {"(FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
     "FLAGS BODY[HEADER.FIELDS (DATE FROM)] | FH sees fields DATE,FROM"},
    {"(UID RFC822.SIZE)", "UID RFC822.SIZE | S"},
    {"(FLAGS FLAGS)", "FLAGS | F"},
    {"RFC822", "RFC822 | S sees streams 1"},
    {"RFC822.HEADER", "RFC822.HEADER | P streams 1"},
    {"RFC822.TEXT", "RFC822.TEXT | P sees streams 1"},
    {"(BODY BODYSTRUCTURE)", "BODY BODYSTRUCTURE | B"},
    /* sections */
    {"BODY[]", "BODY[] | S sees streams 1"},
    {"body.peek[]", "BODY[] | S streams 1"},
    {"BODY[TEXT]", "BODY[TEXT] | P sees streams 1"},
    {"BODY[4.2.HEADER]", "BODY[4.2.HEADER] | P sees streams 1"},
    {"BODY.PEEK[4.2.2.1]", "BODY[4.2.2.1] | P streams 1"},
    {"BODY[4.1.MIME]", "BODY[4.1.MIME] | P sees streams 1"},
    {"BODY.PEEK[3.header.fields.not (x-y)]", "BODY[3.HEADER.FIELDS.NOT (X-Y)] | P streams 1"},
    {"BODY.PEEK[HEADER.FIELDS (To \"to\" {2}\r\ncc)]",
     "BODY[HEADER.FIELDS (TO CC)] | H fields TO,CC"},
    {"BODY.PEEK[HEADER.FIELDS (\"a b\" \"q\\\"\")]",
     "BODY[HEADER.FIELDS (\"A B\" \"Q\\\"\")] | H fields A B,Q\""},
    {"(BODY.PEEK[HEADER.FIELDS (A)] BODY.PEEK[HEADER.FIELDS (B A)])",
     "BODY[HEADER.FIELDS (A)] BODY[HEADER.FIELDS (B A)] | H fields A,B"},
    /* partial ranges */
    {"BODY[]<0.2048>", "BODY[]<0>+2048 | S sees streams 1"},
    {"BODY.PEEK[1]<4294967296.1>", "BODY[1]<4294967296>+1 | P streams 1"},
    {"BODY[]<0.0>", "LMAIL_ERR_SYNTAX at 10"},
    {"BODY[]<1>", "LMAIL_ERR_SYNTAX at 8"},
    {"BODY[]<.1>", "LMAIL_ERR_SYNTAX at 7"},
    {"BODY[]<99999999999999999999.1>", "LMAIL_ERR_SYNTAX at 7"},
    /* what is not in the grammar */
    {"", "LMAIL_ERR_SYNTAX at 0"},
    {"()", "LMAIL_ERR_SYNTAX at 1"},
    {"(FLAGS", "LMAIL_ERR_SYNTAX at 6"},
    {"(FLAGS )", "LMAIL_ERR_SYNTAX at 7"},
    {"FLAGS UID", "LMAIL_ERR_SYNTAX at 5"},
    {"BODY[MIME]", "LMAIL_ERR_SYNTAX at 5"},
    {"BODY[0]", "LMAIL_ERR_SYNTAX at 5"},
    {"BODY[1.]", "LMAIL_ERR_SYNTAX at 7"},
    {"BODY[1..2]", "LMAIL_ERR_SYNTAX at 7"},
    {"BODY[01]", "LMAIL_ERR_SYNTAX at 5"},
    {"BODY[HEADER.FIELDS]", "LMAIL_ERR_SYNTAX at 18"},
    {"BODY[HEADER.FIELDS ()]", "LMAIL_ERR_SYNTAX at 20"},
    {"BODY[HEADER.FIELDS (\"a\x80\")]", "LMAIL_ERR_SYNTAX at 22"},
    {"BODY[HEADER.FIELDS (\"a\xc3\xbc\")]", "LMAIL_ERR_SYNTAX at 20"},
    {"BODY[", "LMAIL_ERR_SYNTAX at 5"},
    {"BODY[]<", "LMAIL_ERR_SYNTAX at 7"},
    {"FLAGS[]", "LMAIL_ERR_SYNTAX at 0"},
    {"BODY.PEEK", "LMAIL_ERR_SYNTAX at 0"},
    {"RFC822.PEEK", "LMAIL_ERR_SYNTAX at 0"},
};

START_TEST(reads_items)
{
    char out[1024];
    parse(lmail_str_from(cases[_i].in), out, sizeof out);
    ck_assert_msg(strcmp(out, cases[_i].out) == 0, "%s: %s, expected %s", cases[_i].in, out,
                  cases[_i].out);
}
END_TEST

static char big[1 << 16];

static const char *repeated(const char *head, const char *item, size_t n, const char *tail)
{
    char *at = big + sprintf(big, "%s", head);
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, "%s%s", i ? " " : "", item);
    sprintf(at, "%s", tail);
    return big;
}

START_TEST(limits_items)
{
    char out[8192];
    parse(lmail_str_from(repeated("(", "BODY[1]", LMI_FETCH_MAX_ITEMS, ")")), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "streams 128"));
    parse(lmail_str_from(repeated("(", "BODY[1]", LMI_FETCH_MAX_ITEMS + 1, ")")), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "LMAIL_ERR_LIMIT"));
    char *at = big + sprintf(big, "BODY[HEADER.FIELDS (");
    for (int i = 0; i <= (int)LMI_FETCH_MAX_FIELDS; i++)
        at += sprintf(at, "%sx%d", i ? " " : "", i);
    sprintf(at, ")]");
    parse(lmail_str_from(big), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "LMAIL_ERR_LIMIT"));
    at = big + sprintf(big, "BODY[1");
    for (int i = 0; i < (int)LMI_FETCH_MAX_NUMBERS; i++)
        at += sprintf(at, ".1");
    sprintf(at, "]");
    parse(lmail_str_from(big), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "LMAIL_ERR_LIMIT"));
}
END_TEST

Suite *imap_fetch_parse_suite(void)
{
    lmail_imap_server_config_init(&config);
    libc = lmi_alloc_resolve(NULL);
    Suite *s = suite_create("imap_fetch_parse");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, reads_items, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(t, limits_items);
    suite_add_tcase(s, t);
    return s;
}
