/* Arenas: alignment, ceiling, reuse without allocation, and the sums beneath them. */
#include "base/base_internal.h"
#include "support/count_alloc.h"

#include <check.h>
#include <stdalign.h>
#include <string.h>

START_TEST(pieces_are_aligned_and_apart)
{
    count_alloc counter = {0};
    lmail_alloc alloc = count_alloc_table(&counter);
    lmi_arena a;
    lmi_arena_init(&a, &alloc, 100000);
    char *last = NULL;
    for (size_t size = 0; size < 200; size++) {
        char *p = lmi_arena_get(&a, size);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % alignof(max_align_t), 0);
        ck_assert_ptr_ne(p, last);
        memset(p, 0xaa, size);
        last = p;
    }
    char *z = lmi_arena_zget(&a, 64);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(z[i], 0);
    lmi_arena_done(&a);
    ck_assert_uint_eq(counter.live, 0);
    ck_assert_uint_eq(counter.lies, 0);
}
END_TEST

START_TEST(the_ceiling_holds)
{
    count_alloc counter = {0};
    lmail_alloc alloc = count_alloc_table(&counter);
    lmi_arena a;
    lmi_arena_init(&a, &alloc, 4096);
    size_t n = 0;
    while (lmi_arena_get(&a, 100))
        n++;
    ck_assert_uint_ge(n, 25);
    ck_assert_uint_le(counter.octets, 4096);
    ck_assert(lmi_arena_full(&a, 100));
    lmail_str out,
        in = {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
              "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
              118};
    ck_assert_int_eq(lmi_arena_copy(&a, in, &out), LMAIL_ERR_LIMIT);
    ck_assert_ptr_null(lmi_arena_get(&a, SIZE_MAX - 8));
    lmi_arena_done(&a);
}
END_TEST

START_TEST(reset_keeps_one_chunk)
{
    count_alloc counter = {0};
    lmail_alloc alloc = count_alloc_table(&counter);
    lmi_arena a;
    lmi_arena_init(&a, &alloc, 65536);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            ck_assert_ptr_nonnull(lmi_arena_get(&a, 100));
        lmi_arena_reset(&a);
        ck_assert_uint_eq(counter.live, 1);
    }
    size_t before = counter.requests;
    for (int i = 0; i < 1000; i++) {
        ck_assert_ptr_nonnull(lmi_arena_get(&a, 100));
        lmi_arena_reset(&a);
    }
    ck_assert_uint_eq(counter.requests, before);
    lmi_arena_done(&a);
    ck_assert_uint_eq(counter.live, 0);
}
END_TEST

START_TEST(copies_and_wipes)
{
    lmail_alloc alloc = lmi_alloc_resolve(NULL);
    lmi_arena a;
    lmail_str out;
    lmi_arena_init(&a, &alloc, 65536);
    ck_assert_int_eq(lmi_arena_copy(&a, LMAIL_STR("secret"), &out), LMAIL_OK);
    ck_assert(lmail_str_equal(out, LMAIL_STR("secret")));
    lmi_arena_wipe(&a);
    for (size_t i = 0; i < out.len; i++)
        ck_assert_int_eq(out.ptr[i], 0);
    ck_assert_int_eq(lmi_arena_copy(&a, (lmail_str){NULL, 0}, &out), LMAIL_OK);
    ck_assert_ptr_nonnull(out.ptr);
    lmi_arena_done(&a);
}
END_TEST

START_TEST(sums_and_numbers)
{
    size_t n;
    uint64_t v;
    uint32_t w;
    char text[20];
    ck_assert_int_eq(lmail_size_add(SIZE_MAX, 1, &n), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmail_size_mul(SIZE_MAX / 2, 3, &n), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmail_size_mul(0, SIZE_MAX, &n), LMAIL_OK);
    ck_assert_int_eq(lmi_parse_u64(LMAIL_STR("18446744073709551615"), &v), LMAIL_OK);
    ck_assert(v == UINT64_MAX);
    ck_assert_int_eq(lmi_parse_u64(LMAIL_STR("18446744073709551616"), &v), LMAIL_ERR_LIMIT);
    ck_assert_int_eq(lmi_parse_u64(LMAIL_STR(""), &v), LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmi_parse_u64(LMAIL_STR("+1"), &v), LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmi_parse_u32(LMAIL_STR("4294967296"), &w), LMAIL_ERR_LIMIT);
    ck_assert_uint_eq(lmi_write_u64(text, UINT64_MAX), 20);
    ck_assert_int_eq(memcmp(text, "18446744073709551615", 20), 0);
    ck_assert_uint_eq(lmi_write_u64(text, 0), 1);
}
END_TEST

START_TEST(slices)
{
    ck_assert(lmail_str_equal_nocase(LMAIL_STR("HeLLo"), LMAIL_STR("hEllO")));
    ck_assert(!lmail_str_equal_nocase(LMAIL_STR("a"), LMAIL_STR("ab")));
    ck_assert(!lmail_str_equal_nocase(LMAIL_STR("\xc4"), LMAIL_STR("\xe4")));
    ck_assert(lmail_str_equal(lmi_str_sub(LMAIL_STR("abc"), 1, 9), LMAIL_STR("bc")));
    ck_assert_uint_eq(lmi_str_sub(LMAIL_STR("abc"), 9, 1).len, 0);
    ck_assert_uint_eq(lmi_str_find(LMAIL_STR("abc"), 'x'), 3);
    ck_assert_uint_eq(lmail_str_from(NULL).len, 0);
    ck_assert_str_eq(lmail_status_name(LMAIL_ERR_STALE), "LMAIL_ERR_STALE");
    ck_assert_str_eq(lmail_status_name((lmail_status)99), "LMAIL_?");
}
END_TEST

Suite *base_arena_suite(void)
{
    Suite *s = suite_create("base_arena");
    TCase *t = tcase_create("arena");
    tcase_add_test(t, pieces_are_aligned_and_apart);
    tcase_add_test(t, the_ceiling_holds);
    tcase_add_test(t, reset_keeps_one_chunk);
    tcase_add_test(t, copies_and_wipes);
    tcase_add_test(t, sums_and_numbers);
    tcase_add_test(t, slices);
    suite_add_tcase(s, t);
    return s;
}
