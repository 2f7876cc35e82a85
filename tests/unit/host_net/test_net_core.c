/* Timers, counts, posts, pools: the parts under the connections. */
#include "host_loopback.h"

#include "host/net/net_internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The heap -------------------------------------------------------------------------------- */

static unsigned roll(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

START_TEST(test_heap_gives_timers_in_order)
{
    enum { N = 500 };
    static lmi_timer timers[N];
    lmi_heap h = {0};
    unsigned seed = 7;
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(lmi_heap_promise(&h), LMAIL_OK);
    for (int round = 0; round < 5000; round++) {
        lmi_timer *t = &timers[roll(&seed) % N];
        lmi_heap_set(&h, t, roll(&seed) % 4 ? roll(&seed) % 1000 : LMAIL_NEVER);
        ck_assert_int_eq(t->at != 0, t->when != LMAIL_NEVER);
    }
    size_t set = 0, n = 0;
    for (int i = 0; i < N; i++)
        set += timers[i].at != 0;
    ck_assert_uint_eq(set, h.n);
    lmail_msec last = 0;
    for (lmi_timer *t; (t = lmi_heap_first(&h)); n++) {
        ck_assert_uint_ge(t->when, last);
        last = t->when;
        lmi_heap_set(&h, t, LMAIL_NEVER);
    }
    ck_assert_uint_eq(n, set);
    lmi_heap_done(&h);
}
END_TEST

/* ---- Counts ---------------------------------------------------------------------------------- */

START_TEST(test_counts_agree_with_plain_ones)
{
    enum { KEYS = 300 };
    static unsigned plain[KEYS];
    lmi_counts t = {.seed = 42};
    unsigned seed = 3;
    for (int round = 0; round < 30000; round++) {
        unsigned key = roll(&seed) % KEYS;
        if (roll(&seed) % 2) {
            lmail_status st = lmi_counts_take(&t, key + 1, 3);
            ck_assert_int_eq(st, plain[key] < 3 ? LMAIL_OK : LMAIL_ERR_BUSY);
            plain[key] += st == LMAIL_OK;
        } else if (plain[key]) {
            lmi_counts_give(&t, key + 1);
            plain[key]--;
        }
    }
    size_t used = 0;
    for (unsigned key = 0; key < KEYS; key++) {
        used += plain[key] > 0;
        while (plain[key]) {
            lmi_counts_give(&t, key + 1);
            plain[key]--;
        }
    }
    ck_assert_uint_ge(used, 1);
    ck_assert_uint_eq(t.used, 0);
    for (size_t i = 0; i < t.cap; i++)
        ck_assert_uint_eq(t.slots[i].n, 0);
    lmi_counts_done(&t);
}
END_TEST

/* ---- Buffers --------------------------------------------------------------------------------- */

START_TEST(test_buffers_shrink_to_their_rest)
{
    lmi_buf_pool pool = {0};
    lmi_buf *b = lmi_buf_get(&pool, 0);
    memcpy(b->data + 100, "rest", 4);
    b->from = 100;
    b->to = 104;
    lmi_buf *tight = lmi_buf_shrink(&pool, b);
    ck_assert_uint_eq(tight->cap, 4);
    ck_assert_mem_eq(tight->data, "rest", 4);
    ck_assert_ptr_eq(lmi_buf_get(&pool, 0), b); /* it went back */
    lmi_buf_put(&pool, b);
    lmi_buf_put(&pool, tight);
    ck_assert_ptr_eq(lmi_buf_get(&pool, 0), b); /* and the tight one did not */
    lmi_buf_put(&pool, b);
    lmi_buf_pool_done(&pool);
}
END_TEST

/* ---- Loops and pools ------------------------------------------------------------------------- */

static atomic_uint calls, works, wrong_thread;
static pthread_t loop_thread;

static void called(void *arg)
{
    (void)arg;
    loop_thread = pthread_self();
    atomic_fetch_add(&calls, 1);
}

static void count_work(void *arg)
{
    if (arg)
        nap(1);
    atomic_fetch_add(&works, 1);
}

static void count_done(void *arg)
{
    (void)arg;
    if (!pthread_equal(pthread_self(), loop_thread))
        atomic_fetch_add(&wrong_thread, 1);
    atomic_fetch_add(&calls, 1);
}

static void *post_many(void *arg)
{
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(lmail_loop_post(arg, called, NULL), LMAIL_OK);
    return NULL;
}

START_TEST(test_posts_of_many_threads_all_arrive)
{
    server sv = {0};
    pthread_t threads[4];
    calls = 0;
    start_server(&sv);
    lmail_loop *loop = lmail_net_loop(sv.net, 1);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, post_many, loop);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    await(&calls, 4000);
    stop_server(&sv, 0);
    ck_assert_uint_eq(calls, 4000);
}
END_TEST

START_TEST(test_done_runs_on_the_loop)
{
    server sv = {0};
    calls = works = wrong_thread = 0;
    start_server(&sv);
    lmail_loop *loop = lmail_net_loop(sv.net, 1);
    lmail_loop_post(loop, called, NULL);
    await(&calls, 1);
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(lmail_pool_submit(sv.pool, loop, count_work, count_done, NULL, 0),
                         LMAIL_OK);
    await(&calls, 501);
    ck_assert_uint_eq(works, 500);
    ck_assert_uint_eq(wrong_thread, 0);
    stop_server(&sv, 0);
}
END_TEST

START_TEST(test_stopping_drains_the_pool)
{
    server sv = {0};
    calls = works = wrong_thread = 0;
    start_server(&sv);
    lmail_loop *loop = lmail_net_loop(sv.net, 1);
    lmail_loop_post(loop, called, NULL);
    await(&calls, 1);
    for (int i = 0; i < 50; i++)
        lmail_pool_submit(sv.pool, loop, count_work, count_done, &sv, 0);
    stop_server(&sv, 0);
    ck_assert_uint_eq(works, 50);
    ck_assert_uint_eq(calls, 51);
    ck_assert_uint_eq(wrong_thread, 0);
}
END_TEST

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

START_TEST(test_one_address_does_not_fill_the_pool)
{
    server sv = {0};
    lmail_pool *pool;
    lmail_pool_config config = LMAIL_POOL_CONFIG_INIT;
    calls = 0;
    start_server(&sv);
    config.name = "a name that is longer than threads have";
    config.threads = 1;
    config.max_queue = 4;
    config.max_per_key = 2;
    ck_assert_int_eq(lmail_pool_new(&pool, sv.net, &config), LMAIL_OK);
    lmail_loop *loop = lmail_net_loop(sv.net, 0);
    pthread_mutex_lock(&gate);
    static const struct {
        uint64_t key;
        lmail_status st;
    } rows[] = {{7, LMAIL_OK}, {7, LMAIL_OK}, {7, LMAIL_ERR_BUSY}, {8, LMAIL_OK}, {0, LMAIL_OK}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        ck_assert_int_eq(lmail_pool_submit(pool, loop, wait_at_gate, called, NULL, rows[i].key),
                         rows[i].st);
    for (int i = 0; i < 5000 && lmail_pool_load(pool) < 4; i++)
        nap(1);
    /* One runs or waits to, so four or three places are taken; then the queue is full. */
    lmail_status st = LMAIL_OK;
    int more = 0;
    while ((st = lmail_pool_submit(pool, loop, wait_at_gate, called, NULL, 0)) == LMAIL_OK)
        more++;
    ck_assert_int_eq(st, LMAIL_ERR_BUSY);
    ck_assert_int_le(more, 1);
    pthread_mutex_unlock(&gate);
    await(&calls, 4u + (unsigned)more);
    ck_assert_int_eq(lmail_pool_submit(pool, loop, wait_at_gate, called, NULL, 7), LMAIL_OK);
    stop_server(&sv, 0);
    ck_assert_uint_eq(calls, 5u + (unsigned)more);
}
END_TEST

static void timer_called(void *arg)
{
    unsigned *at = arg;
    *at = atomic_fetch_add(&calls, 1) + 1;
}

typedef struct timers {
    lmail_loop *loop;
    lmail_timer *t[4];
    unsigned at[4];
} timers;

static void set_timers(void *arg)
{
    timers *s = arg;
    static const unsigned after[] = {60, 20, 40, 10};
    lmail_msec now = lmail_loop_now(s->loop);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(lmail_timer_new(&s->t[i], s->loop, timer_called, &s->at[i]), LMAIL_OK);
        lmail_timer_set(s->t[i], now + after[i]);
    }
    lmail_timer_set(s->t[3], LMAIL_NEVER);
    lmail_timer_set(s->t[0], now + 30); /* earlier than it was */
}

static void free_timers(void *arg)
{
    timers *s = arg;
    for (int i = 0; i < 4; i++)
        lmail_timer_free(s->t[i]);
    atomic_fetch_add(&calls, 1);
}

START_TEST(test_timers_fire_in_order)
{
    server sv = {0};
    timers s = {0};
    calls = 0;
    start_server(&sv);
    s.loop = lmail_net_loop(sv.net, 1);
    lmail_loop_post(s.loop, set_timers, &s);
    await(&calls, 3);
    lmail_loop_post(s.loop, free_timers, &s);
    await(&calls, 4);
    ck_assert_uint_eq(s.at[1], 1);
    ck_assert_uint_eq(s.at[0], 2);
    ck_assert_uint_eq(s.at[2], 3);
    ck_assert_uint_eq(s.at[3], 0);
    stop_server(&sv, 0);
}
END_TEST

/* ---- An embedder's loop ---------------------------------------------------------------------- */

static void stopped(void *arg)
{
    lmail_net_free(*(lmail_net **)arg);
    *(lmail_net **)arg = NULL;
}

static void stop_soon(uv_timer_t *t)
{
    lmail_net_stop(*(lmail_net **)t->data, 0);
    uv_close((uv_handle_t *)t, NULL);
}

START_TEST(test_an_embedders_loop)
{
    uv_loop_t uv;
    uv_timer_t timer;
    lmail_net *net;
    lmail_net_config config = LMAIL_NET_CONFIG_INIT;
    server sv = {0};
    char error[128];
    uv_loop_init(&uv);
    config.uv = &uv;
    config.loops = (unsigned)_i;
    ck_assert_int_eq(lmail_net_new(&net, &config, error, sizeof(error)), LMAIL_OK);
    ck_assert_uint_eq(lmail_net_loops(net), _i ? (unsigned)_i : 1);
    ck_assert_ptr_eq(lmail_loop_uv(lmail_net_loop(net, 0)), &uv);
    lmail_listener_config listen = listener_config(&sv);
    ck_assert_int_eq(lmail_listener_new(NULL, net, &listen, error, sizeof(error)), LMAIL_OK);
    ck_assert_int_eq(lmail_net_run(net), LMAIL_ERR_STATE);
    ck_assert_int_eq(lmail_net_start(net, stopped, &net), LMAIL_OK);
    uv_timer_init(&uv, &timer);
    timer.data = &net;
    uv_timer_start(&timer, stop_soon, 20, 0);
    uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_ptr_null(net);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    ck_assert_uint_eq(sv.released, 1);
}
END_TEST

Suite *net_core_suite(void)
{
    Suite *s = suite_create("net_core");
    TCase *t = tcase_create("core");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_heap_gives_timers_in_order);
    tcase_add_test(t, test_counts_agree_with_plain_ones);
    tcase_add_test(t, test_buffers_shrink_to_their_rest);
    tcase_add_test(t, test_posts_of_many_threads_all_arrive);
    tcase_add_test(t, test_done_runs_on_the_loop);
    tcase_add_test(t, test_stopping_drains_the_pool);
    tcase_add_test(t, test_one_address_does_not_fill_the_pool);
    tcase_add_test(t, test_timers_fire_in_order);
    tcase_add_loop_test(t, test_an_embedders_loop, 0, 3);
    suite_add_tcase(s, t);
    return s;
}
