/* FETCH's items and header fields: a label that we write reads back as the same item; a header
 * gives the same fields in one piece and octet by octet, and the length that was counted before. */
#include "base/base_internal.h"
#include "imap/imap_fetch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int yes)
{
    if (!yes)
        abort();
}

typedef struct text {
    char *ptr;
    size_t len, cap;
} text;

static void emit(void *to, lmail_str octets)
{
    text *t = to;
    need(octets.len <= t->cap - t->len);
    memcpy(t->ptr + t->len, octets.ptr, octets.len);
    t->len += octets.len;
}

static void filter(const lmi_fetch_item *item, lmail_str header)
{
    size_t cap = header.len + 4;
    text whole = {malloc(cap), 0, cap}, split = {malloc(cap), 0, cap};
    lmi_fetch_filter f;
    need(whole.ptr && split.ptr);
    lmi_fetch_filter_init(&f, item, emit, &whole);
    lmi_fetch_filter_feed(&f, header);
    lmi_fetch_filter_end(&f);
    need(lmi_fetch_filter_size(&f) == whole.len);
    lmi_fetch_filter_init(&f, item, emit, &split);
    for (size_t i = 0; i < header.len; i++)
        lmi_fetch_filter_feed(&f, lmi_str_sub(header, i, 1));
    lmi_fetch_filter_end(&f);
    need(whole.len == split.len && memcmp(whole.ptr, split.ptr, whole.len) == 0);
    need(item->partial || (whole.len >= 2 && whole.ptr[whole.len - 1] == '\n'));
    free(whole.ptr);
    free(split.ptr);
}

/* The label without "<n>", and ".length" put back behind the offset, is an item again. */
static void read_back(const lmi_fetch_item *item, const lmail_imap_server_config *config)
{
    lmi_arena arena;
    lmi_imap_args args;
    lmi_fetch_plan plan;
    lmail_alloc libc = lmi_alloc_resolve(NULL);
    lmi_arena_init(&arena, &libc, 1 << 20);
    char *again = malloc(item->label.len + 32);
    need(again != NULL);
    memcpy(again, item->label.ptr, item->label.len);
    size_t len = item->label.len;
    if (item->partial) {
        need(again[--len] == '>');
        again[len++] = '.';
        len += lmi_write_u64(again + len, item->length);
        again[len++] = '>';
    }
    lmi_imap_args_init(&args, (lmail_str){again, len}, &arena, config);
    need(lmi_fetch_parse(&args, &plan) == LMAIL_OK && lmi_imap_at_end(&args) && plan.count == 1);
    need(lmail_str_equal(plan.items[0].label, item->label));
    need(plan.items[0].what == item->what && plan.items[0].fields == item->fields);
    need(plan.items[0].begin == item->begin && plan.items[0].length == item->length);
    need(plan.items[0].name_count == item->name_count &&
         plan.items[0].number_count == item->number_count);
    free(again);
    lmi_arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16)
        return 0;
    lmail_str in = {size ? (const char *)data : "", size};
    size_t line = lmi_str_find(in, 0); /* arguments, NUL, a header */
    lmail_imap_server_config config;
    lmail_imap_server_config_init(&config);
    lmail_alloc libc = lmi_alloc_resolve(NULL);
    lmi_arena arena;
    lmi_imap_args args;
    lmi_fetch_plan plan;
    lmi_arena_init(&arena, &libc, 1 << 18);
    lmi_imap_args_init(&args, lmi_str_sub(in, 0, line), &arena, &config);
    lmail_status st = lmi_fetch_parse(&args, &plan);
    need(args.at <= args.len);
    if (st == LMAIL_OK) {
        need(plan.count >= 1 && plan.count <= LMI_FETCH_MAX_ITEMS);
        for (size_t i = 0; i < plan.count; i++) {
            read_back(&plan.items[i], &config);
            if (plan.items[i].fields != LMI_FIELDS_ALL)
                filter(&plan.items[i], lmi_str_skip(in, line + 1));
        }
    }
    lmi_arena_done(&arena);
    return 0;
}
