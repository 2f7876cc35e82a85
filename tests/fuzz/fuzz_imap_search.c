/* Search keys: the tree is in its simplest form, bounded in depth, and its sets are sets. */
#include "base/base_internal.h"
#include "imap/imap_search.h"

#include <libmail/codec.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int yes)
{
    if (!yes)
        abort();
}

static void check_set(lmail_uid_set set)
{
    for (size_t i = 0; i < set.count; i++) {
        need(set.ranges[i].first >= 1 && set.ranges[i].first <= set.ranges[i].last);
        need(i == 0 || set.ranges[i].first > (uint64_t)set.ranges[i - 1].last + 1);
    }
}

static size_t check(const lmail_search *k, unsigned depth)
{
    size_t count = 1, children = 0;
    need(depth <= LMI_SEARCH_MAX_DEPTH);
    need(k->op >= LMAIL_SEARCH_ALL && k->op <= LMAIL_SEARCH_SENTSINCE);
    check_set(k->set);
    need(lmail_utf8_valid(k->text) || k->op == LMAIL_SEARCH_KEYWORD);
    for (const lmail_search *c = k->child; c; c = c->next, children++) {
        need(c->op != k->op);
        need(k->op != LMAIL_SEARCH_AND || c->op != LMAIL_SEARCH_ALL);
        count += check(c, depth + 1);
    }
    int joins = k->op == LMAIL_SEARCH_AND || k->op == LMAIL_SEARCH_OR;
    need(joins ? children >= 2 : k->op == LMAIL_SEARCH_NOT ? children == 1 : children == 0);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 16)
        return 0;
    lmail_alloc libc = lmi_alloc_resolve(NULL);
    lmail_imap_server_config config;
    lmail_imap_server_config_init(&config);
    lmi_imap_mbox mbox;
    lmi_imap_mbox_init(&mbox, &libc, 1 << 20);
    /* The first octet is a mailbox, one message or a hole a bit; the second a charset. */
    for (unsigned i = 0; i < 8; i++)
        if (data[0] >> i & 1)
            need(lmi_imap_view_add(&mbox.view, i + 1, i + 1) == LMAIL_OK &&
                 (i % 3 || lmail_uid_list_add(&mbox.recent, i + 1, i + 1) == LMAIL_OK));
    static const char *const charsets[] = {"", "US-ASCII", "UTF-8", "ISO-8859-1"};
    lmi_arena arena;
    lmi_imap_args args;
    lmi_arena_init(&arena, &libc, 1 << 18);
    lmi_imap_args_init(&args, (lmail_str){(const char *)data + 2, size - 2}, &arena, &config);
    lmi_search_reader r;
    memset(&r, 0, sizeof r);
    r.args = &args;
    r.mbox = &mbox;
    r.charset = lmail_str_from(charsets[data[1] % 4]);
    lmail_search *tree;
    lmail_status st = lmi_search_keys(&r, &tree);
    need(args.at <= args.len);
    need(st == LMAIL_OK || st == LMAIL_ERR_SYNTAX || st == LMAIL_ERR_LIMIT);
    if (!st) {
        lmail_uid_set bounds;
        need(check(tree, 1) <= 3 * LMI_SEARCH_MAX_KEYS);
        if (lmi_search_bounds(tree, &bounds))
            check_set(bounds);
    }
    lmi_arena_done(&arena);
    lmi_imap_mbox_done(&mbox);
    return 0;
}
