/* Sequence numbers, sets of UIDs, and news that waits; against a plain model. */
#include "imap/imap_internal.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

Suite *imap_view_suite(void);

#define TOP 600u

static lmail_alloc libc;

static lmail_uid_set one(lmail_uid_range *r, lmail_uid first, lmail_uid last)
{
    *r = (lmail_uid_range){first, last};
    return (lmail_uid_set){r, 1};
}

static void agrees(const lmi_imap_view *v, const unsigned char *there)
{
    uint32_t seq = 0;
    lmail_uid last = 0;
    for (lmail_uid u = 1; u <= TOP; u++) {
        if (there[u]) {
            seq++;
            ck_assert_uint_eq(lmi_imap_view_seq(v, u), seq);
            ck_assert_uint_eq(lmi_imap_view_uid(v, seq), u);
            ck_assert_uint_eq(lmi_imap_view_next(v, last), u);
            last = u;
        } else {
            ck_assert_uint_eq(lmi_imap_view_seq(v, u), 0);
        }
    }
    ck_assert_uint_eq(v->total, seq);
    ck_assert_uint_eq(lmi_imap_view_last(v), last);
    ck_assert_uint_eq(lmi_imap_view_uid(v, seq + 1), 0);
    ck_assert_uint_eq(lmi_imap_view_uid(v, 0), 0);
    for (size_t i = 1; i < v->count; i++)
        ck_assert_uint_gt(v->ranges[i].first, v->ranges[i - 1].last + 1);
}

START_TEST(a_view_agrees_with_a_plain_list)
{
    unsigned char there[TOP + 2] = {0};
    lmi_imap_view v;
    srand((unsigned)_i + 1);
    lmi_imap_view_init(&v, &libc, 1 << 20);
    lmail_uid next = 1;
    for (int round = 0; round < 60; round++) {
        if (rand() % 3 && next < TOP - 20) {
            next += (lmail_uid)(rand() % 3);
            lmail_uid last = next + (lmail_uid)(rand() % 10);
            ck_assert_int_eq(lmi_imap_view_add(&v, next, last), LMAIL_OK);
            for (; next <= last; next++)
                there[next] = 1;
        } else {
            lmail_uid_list gone = {.count = 0};
            for (int i = rand() % 4; i >= 0; i--) {
                lmail_uid first = 1 + (lmail_uid)rand() % TOP;
                lmail_uid last = first + (lmail_uid)(rand() % 6);
                ck_assert_int_eq(lmail_uid_list_add(&gone, first, last), LMAIL_OK);
                for (lmail_uid u = first; u <= last && u <= TOP; u++)
                    there[u] = 0;
            }
            ck_assert_int_eq(lmi_imap_view_remove(&v, lmail_uid_list_set(&gone)), LMAIL_OK);
            lmail_uid_list_free(&gone);
            while (next <= lmi_imap_view_last(&v))
                next++;
        }
        agrees(&v, there);
    }
    lmi_imap_view_done(&v);
}
END_TEST

START_TEST(the_largest_uid_is_a_uid)
{
    lmi_imap_view v;
    lmail_uid_range r;
    lmi_imap_view_init(&v, &libc, 1 << 20);
    ck_assert_int_eq(lmi_imap_view_add(&v, 1, 1), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_view_add(&v, UINT32_MAX - 1, UINT32_MAX), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_view_add(&v, UINT32_MAX, UINT32_MAX), LMAIL_ERR_ARG);
    ck_assert_uint_eq(lmi_imap_view_seq(&v, UINT32_MAX), 3);
    ck_assert_uint_eq(lmi_imap_view_next(&v, UINT32_MAX), 0);
    ck_assert_int_eq(lmi_imap_view_remove(&v, one(&r, UINT32_MAX, UINT32_MAX)), LMAIL_OK);
    ck_assert_uint_eq(v.total, 2);
    lmi_imap_view_done(&v);
}
END_TEST

START_TEST(a_view_has_a_ceiling)
{
    lmi_imap_view v;
    lmail_uid_range r;
    lmi_imap_view_init(&v, &libc, 3 * 12);
    ck_assert_int_eq(lmi_imap_view_add(&v, 1, 1), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_view_add(&v, 3, 9), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_view_add(&v, 11, 11), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_view_add(&v, 13, 13), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmi_imap_view_add(&v, 12, 1000000), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_view_remove(&v, one(&r, 5, 5)), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmi_imap_view_remove(&v, one(&r, 1, 1)), LMAIL_OK);
    ck_assert_uint_eq(lmi_imap_view_seq(&v, 5), 3);
    lmi_imap_view_done(&v);
}
END_TEST

static void fill(lmail_uid_list *l, unsigned char *model)
{
    memset(model, 0, TOP + 2);
    for (int i = rand() % 30; i >= 0; i--) {
        lmail_uid first = 1 + (lmail_uid)rand() % TOP;
        lmail_uid last = first + (lmail_uid)(rand() % 20);
        if (last > TOP)
            last = TOP;
        ck_assert_int_eq(lmail_uid_list_add(l, first, last), LMAIL_OK);
        for (lmail_uid u = first; u <= last; u++)
            model[u] = 1;
    }
}

START_TEST(sets_meet_and_part_as_a_plain_list)
{
    unsigned char ma[TOP + 2], mb[TOP + 2];
    lmail_uid_list a = {.count = 0}, b = {.count = 0};
    srand((unsigned)_i + 100);
    fill(&a, ma);
    fill(&b, mb);
    lmail_uid_set sa = lmail_uid_list_set(&a), sb = lmail_uid_list_set(&b);
    lmail_uid_range hit;
    lmail_uid from = 1;
    while (lmi_set_both(sa, sb, from, &hit)) {
        for (; from < hit.first; from++)
            ck_assert(!(ma[from] && mb[from]));
        for (; from <= hit.last; from++)
            ck_assert(ma[from] && mb[from]);
    }
    for (; from <= TOP; from++)
        ck_assert(!(ma[from] && mb[from]));
    ck_assert_int_eq(lmi_set_remove(&a, sb), LMAIL_OK);
    for (lmail_uid u = 1; u <= TOP; u++)
        ck_assert_int_eq(lmail_uid_set_has(lmail_uid_list_set(&a), u), ma[u] && !mb[u]);
    lmail_uid_list_free(&a);
    lmail_uid_list_free(&b);
}
END_TEST

START_TEST(chunks_cover_a_set_once)
{
    unsigned char m[TOP + 2];
    lmail_uid_list l = {.count = 0};
    lmail_uid_range part[3];
    srand((unsigned)_i + 200);
    fill(&l, m);
    lmail_uid from = 1;
    uint64_t seen = 0;
    size_t n;
    while ((n = lmi_set_chunk(lmail_uid_list_set(&l), from, 7, part, 3)) > 0) {
        uint64_t total = lmail_uid_set_total((lmail_uid_set){part, n});
        ck_assert_uint_le(total, 7);
        for (size_t i = 0; i < n; i++)
            for (lmail_uid u = part[i].first; u <= part[i].last; u++)
                ck_assert(m[u]);
        ck_assert_uint_ge(part[0].first, from);
        from = part[n - 1].last + 1;
        seen += total;
    }
    ck_assert_uint_eq(seen, lmail_uid_set_total(lmail_uid_list_set(&l)));
    lmail_uid_list_free(&l);
}
END_TEST

START_TEST(a_million_messages_are_one_range)
{
    lmi_imap_view v;
    lmi_imap_view_init(&v, &libc, 1 << 20);
    ck_assert_int_eq(lmi_imap_view_add(&v, 1, 500000), LMAIL_OK);
    int faults = 0;
    for (lmail_uid u = 500001; u <= 1000000; u++)
        faults += lmi_imap_view_add(&v, u, u) != LMAIL_OK;
    ck_assert_int_eq(faults, 0);
    ck_assert_uint_eq(v.count, 1);
    ck_assert_uint_eq(lmi_imap_view_seq(&v, 777777), 777777);
    lmi_imap_view_done(&v);
}
END_TEST

START_TEST(news_merges)
{
    lmi_imap_mbox m;
    lmail_uid_range r;
    lmi_imap_mbox_init(&m, &libc, 1 << 20);
    m.open = 1;
    ck_assert_int_eq(lmi_imap_view_add(&m.view, 1, 10), LMAIL_OK);
    ck_assert(!lmi_imap_mbox_news(&m));
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(lmi_imap_mbox_flagged(&m, one(&r, 3, 5)), LMAIL_OK);
    ck_assert_uint_eq(m.flagged.count, 1);
    ck_assert_int_eq(lmi_imap_mbox_vanished(&m, one(&r, 4, 4)), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_mbox_flagged(&m, one(&r, 4, 20)), LMAIL_OK);
    ck_assert(!lmail_uid_set_has(lmail_uid_list_set(&m.flagged), 4));
    ck_assert(!lmail_uid_set_has(lmail_uid_list_set(&m.flagged), 11));
    ck_assert_int_eq(lmi_imap_mbox_new(&m, one(&r, 8, 12), one(&r, 9, 12)), LMAIL_OK);
    ck_assert_uint_eq(m.fresh.ranges[0].first, 11);
    ck_assert_uint_eq(m.recent.ranges[0].first, 11);
    ck_assert_uint_eq(lmi_imap_mbox_recent(&m), 0);
    ck_assert_int_eq(lmi_imap_mbox_vanished(&m, one(&r, 11, 12)), LMAIL_OK);
    ck_assert_uint_eq(m.fresh.count, 0);
    ck_assert_uint_eq(lmail_uid_set_total(lmail_uid_list_set(&m.vanished)), 1);
    lmi_imap_mbox_done(&m);
}
END_TEST

START_TEST(keywords_keep_their_numbers)
{
    lmi_imap_mbox m;
    lmail_str names[60];
    lmi_imap_mbox_init(&m, &libc, 1 << 20);
    for (int i = 0; i < 60; i++)
        names[i] = LMAIL_STR("same");
    names[0] = LMAIL_STR("$Junk");
    names[1] = LMAIL_STR("not an atom");
    ck_assert_int_eq(lmi_imap_mbox_keywords(&m, (lmail_keywords){names, 2}), LMAIL_OK);
    ck_assert_int_eq(lmi_imap_mbox_keyword(&m, LMAIL_STR("$JUNK")), 0);
    ck_assert_int_eq(lmi_imap_mbox_keyword(&m, LMAIL_STR("not an atom")), -1);
    ck_assert_int_eq(lmi_imap_mbox_keywords(&m, (lmail_keywords){names, 60}), LMAIL_OK);
    ck_assert_uint_eq(m.keyword_count, LMAIL_MAX_KEYWORDS);
    ck_assert_int_eq(lmi_imap_mbox_keyword(&m, LMAIL_STR("same")), 2);
    lmi_imap_mbox_done(&m);
}
END_TEST

static void set_up(void)
{
    libc = lmi_alloc_resolve(&(lmail_alloc){NULL, NULL});
}

Suite *imap_view_suite(void)
{
    Suite *s = suite_create("imap_view");
    TCase *t = tcase_create("view");
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_loop_test(t, a_view_agrees_with_a_plain_list, 0, 20);
    tcase_add_test(t, the_largest_uid_is_a_uid);
    tcase_add_test(t, a_view_has_a_ceiling);
    tcase_add_loop_test(t, sets_meet_and_part_as_a_plain_list, 0, 50);
    tcase_add_loop_test(t, chunks_cover_a_set_once, 0, 20);
    tcase_add_test(t, a_million_messages_are_one_range);
    tcase_add_test(t, news_merges);
    tcase_add_test(t, keywords_keep_their_numbers);
    suite_add_tcase(s, t);
    return s;
}
