/* Who hears of a change: peers that watch the account, told at once or found by the sweep. */
#include "host/service/service_internal.h"
#include "host_loopback.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef struct watcher {
    lmi_peer base;
    atomic_uint told;
    unsigned leaves; /* when told */
} watcher;

static lmail_service service;
static lmi_door door;
static pthread_t thread;
static atomic_uint done;

/* As a session does that reads the account: it knows the counter now. */
static void changed(lmi_peer *peer)
{
    watcher *w = (watcher *)peer;
    peer->seen = lmi_watch_value(service.watch, peer->slot);
    if (w->leaves)
        lmi_watch_remove(peer);
    atomic_fetch_add(&w->told, 1);
}

static const lmi_protocol protocol = {.name = "test", .changed = changed};

static void *run(void *arg)
{
    ck_assert_int_eq(lmail_net_run(arg), LMAIL_OK);
    return NULL;
}

static void setup(void)
{
    lmail_net_config n = LMAIL_NET_CONFIG_INIT;
    n.loops = 2;
    memset(&service, 0, sizeof service);
    ck_assert_int_eq(lmail_notice_open(NULL, &service.notice), LMAIL_OK);
    ck_assert_int_eq(lmail_net_new(&service.net, &n, NULL, 0), LMAIL_OK);
    ck_assert_int_eq(lmi_watch_new(&service.watch, service.net, service.notice, 0), LMAIL_OK);
    ck_assert_int_eq(lmi_watch_start(service.watch), LMAIL_OK);
    door = (lmi_door){.service = &service, .protocol = &protocol};
    ck_assert_int_eq(pthread_create(&thread, NULL, run, service.net), 0);
}

static void teardown(void)
{
    lmail_net_stop(service.net, 0);
    pthread_join(thread, NULL);
    lmi_watch_end(service.watch);
    lmail_net_free(service.net);
    lmi_watch_free(service.watch);
    lmail_notice_close(service.notice);
}

static void add(void *arg)
{
    watcher *w = arg;
    w->base.seen = lmi_watch_value(service.watch, w->base.slot);
    lmi_watch_add(service.watch, &w->base);
    lmi_watch_add(service.watch, &w->base);
    atomic_fetch_add(&done, 1);
}

static void take_out(void *arg)
{
    lmi_watch_remove(arg);
    lmi_watch_remove(arg);
    atomic_fetch_add(&done, 1);
}

static void on_loop(watcher *w, lmail_call_fn *fn)
{
    atomic_store(&done, 0);
    ck_assert_int_eq(lmail_loop_post(w->base.loop, fn, w), LMAIL_OK);
    await(&done, 1);
}

static void begin(watcher *w, unsigned loop, unsigned slot)
{
    memset(w, 0, sizeof *w);
    w->base.door = &door;
    w->base.loop = lmail_net_loop(service.net, loop);
    w->base.slot = slot;
    on_loop(w, add);
}

START_TEST(test_who_watches_the_account_is_told)
{
    watcher a, b, other, same_bucket;
    begin(&a, 0, 7);
    begin(&b, 1, 7);
    begin(&other, 0, 8);
    begin(&same_bucket, 1, 7 + 1024);
    lmail_notice_raise(service.notice, 7);
    lmi_watch_tell(service.watch, 7);
    await(&a.told, 1);
    await(&b.told, 1);
    on_loop(&a, take_out); /* behind the call that told it */
    on_loop(&b, take_out);
    ck_assert_uint_eq(atomic_load(&other.told), 0);
    ck_assert_uint_eq(atomic_load(&same_bucket.told), 0);
    lmail_notice_raise(service.notice, 8);
    lmail_notice_raise(service.notice, 7);
    lmi_watch_tell(service.watch, 8);
    await(&other.told, 1);
    ck_assert_uint_eq(atomic_load(&a.told), 1);
    on_loop(&other, take_out);
    on_loop(&same_bucket, take_out);
}
END_TEST

START_TEST(test_leaving_while_the_list_is_walked)
{
    watcher all[5];
    for (unsigned i = 0; i < 5; i++) {
        begin(&all[i], 0, 7);
        all[i].leaves = i % 2 == 0;
    }
    lmail_notice_raise(service.notice, 7);
    lmi_watch_tell(service.watch, 7);
    for (unsigned i = 0; i < 5; i++)
        await(&all[i].told, 1);
    lmail_notice_raise(service.notice, 7);
    lmi_watch_tell(service.watch, 7);
    await(&all[1].told, 2);
    await(&all[3].told, 2);
    for (unsigned i = 0; i < 5; i++) {
        on_loop(&all[i], take_out);
        ck_assert_uint_eq(atomic_load(&all[i].told), 1 + i % 2);
    }
}
END_TEST

START_TEST(test_a_lost_wake_is_found_by_the_sweep)
{
    watcher a;
    begin(&a, 1, 7);
    lmail_notice_raise(service.notice, 7); /* and nobody tells */
    await(&a.told, 1);
    on_loop(&a, take_out);
    begin(&a, 1, 7); /* the sweep begins again with the next who watches */
    lmail_notice_raise(service.notice, 7);
    await(&a.told, 1);
    on_loop(&a, take_out);
}
END_TEST

Suite *service_watch_suite(void)
{
    Suite *s = suite_create("service_watch");
    TCase *c = tcase_create("watch");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_who_watches_the_account_is_told);
    tcase_add_test(c, test_leaving_while_the_list_is_walked);
    tcase_add_test(c, test_a_lost_wake_is_found_by_the_sweep);
    suite_add_tcase(s, c);
    return s;
}
