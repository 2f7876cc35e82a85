/* Whose turn it is: slow start, back-off, shares, priorities, bounds; and a day in the life of a
 * queue with a dead host in it. */
#include "support/count_alloc.h"

#include <check.h>
#include <libmail/delivery_schedule.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE 60000u

static lmail_dispatch *make(lmail_dispatch_config *c)
{
    lmail_dispatch *p = NULL;
    ck_assert_int_eq(lmail_dispatch_new(&p, c), LMAIL_OK);
    return p;
}

static void offer(lmail_dispatch *p, const char *name, lmail_msec now)
{
    ck_assert_int_eq(lmail_dispatch_offer(p, lmail_str_from(name), 0, now), LMAIL_OK);
}

/* Names of the turns that are given now, their first letters. */
static size_t take(lmail_dispatch *p, lmail_msec now, lmail_dispatch_turn *turns, char *letters)
{
    size_t n = 0;
    while (lmail_dispatch_next(p, now, &turns[n]) == LMAIL_OK) {
        letters[n] = turns[n].destination.ptr[0];
        n++;
    }
    letters[n] = 0;
    return n;
}

static void end(lmail_dispatch *p, const lmail_dispatch_turn *turn, lmail_delivery_health health,
                unsigned more, lmail_msec now)
{
    lmail_dispatch_done done = {health, more, 0, 0};
    ck_assert_int_eq(lmail_dispatch_end_turn(p, turn->id, &done, now), LMAIL_OK);
}

START_TEST(a_destination_starts_slowly)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch *p = make(&c);
    lmail_dispatch_turn t[64];
    char letters[65];
    static const size_t expect[] = {1, 2, 4, 8, 10, 10};
    offer(p, "a.example", 0);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(take(p, 0, t, letters), expect[i]);
        for (size_t k = 0; k < expect[i]; k++)
            end(p, &t[k], LMAIL_DELIVERY_ALIVE, 1, 0);
    }
    /* Too much for it: half; and again in a row: after a pause. */
    ck_assert_uint_eq(take(p, 0, t, letters), 10);
    end(p, &t[0], LMAIL_DELIVERY_BUSY, 1, 0);
    for (size_t k = 1; k < 10; k++)
        end(p, &t[k], LMAIL_DELIVERY_NOT_MET, 1, 0);
    ck_assert_uint_eq(take(p, 0, t, letters), 5);
    for (size_t k = 0; k < 5; k++)
        end(p, &t[k], LMAIL_DELIVERY_ALIVE, 1, 0);
    ck_assert_uint_eq(take(p, 0, t, letters), 10);
    for (size_t k = 0; k < 3; k++)
        end(p, &t[k], LMAIL_DELIVERY_BUSY, 1, 0);
    for (size_t k = 3; k < 10; k++)
        end(p, &t[k], LMAIL_DELIVERY_NOT_MET, 1, 0);
    ck_assert_uint_eq(take(p, 0, t, letters), 0);
    ck_assert_uint_gt(lmail_dispatch_deadline(p), 0);
    ck_assert_uint_le(lmail_dispatch_deadline(p), 10000);
    ck_assert_uint_eq(take(p, 10000, t, letters), 1);
    ck_assert_int_eq(lmail_dispatch_end_turn(p, 77, &(lmail_dispatch_done){0}, 0), LMAIL_ERR_STALE);
    lmail_dispatch_free(p);
}
END_TEST

START_TEST(no_work_no_turn)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch *p = make(&c);
    lmail_dispatch_turn t[64];
    char letters[65];
    offer(p, "a.example", 0);
    ck_assert_uint_eq(take(p, 0, t, letters), 1);
    offer(p, "a.example", 0); /* while it is under way: it may have looked before this came */
    end(p, &t[0], LMAIL_DELIVERY_ALIVE, 0, 0);
    ck_assert_uint_eq(take(p, 0, t, letters), 2);
    end(p, &t[0], LMAIL_DELIVERY_ALIVE, 0, 0);
    end(p, &t[1], LMAIL_DELIVERY_ALIVE, 0, 0);
    ck_assert_uint_eq(take(p, 0, t, letters), 0);
    ck_assert_uint_eq(lmail_dispatch_deadline(p), LMAIL_NEVER);
    ck_assert_int_eq(lmail_dispatch_end_turn(p, t[0].id, &(lmail_dispatch_done){0}, 0),
                     LMAIL_ERR_STALE);
    lmail_dispatch_free(p);
}
END_TEST

START_TEST(nobody_there_one_row_asks_again)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch *p = make(&c);
    lmail_dispatch_turn t[64];
    lmail_dispatch_facts f;
    char letters[65];
    lmail_msec now = 0, wait = MINUTE;
    offer(p, "a.example", now);
    ck_assert_uint_eq(take(p, now, t, letters), 1);
    ck_assert_uint_eq(t[0].batch, 50);
    ck_assert_uint_eq(t[0].probe, 0);
    for (int i = 0; i < 8; i++) {
        end(p, &t[0], LMAIL_DELIVERY_DOWN, 1, now);
        offer(p, "a.example", now);
        ck_assert_uint_eq(take(p, now, t, letters), 0);
        lmail_msec until = lmail_dispatch_deadline(p);
        ck_assert_uint_ge(until - now, wait * 7 / 8);
        ck_assert_uint_le(until - now, wait);
        ck_assert_uint_eq(take(p, until - 1, t, letters), 0);
        ck_assert_uint_eq(take(p, until, t, letters), 1);
        ck_assert_uint_eq(t[0].batch, 1);
        ck_assert_uint_eq(t[0].probe, 1);
        now = until;
        wait = wait * 2 < 30 * MINUTE ? wait * 2 : 30 * MINUTE;
    }
    end(p, &t[0], LMAIL_DELIVERY_DOWN, 1, now);
    /* A queue run lifts the wait, and not more. */
    ck_assert_int_eq(lmail_dispatch_run(p, LMAIL_STR("b.example"), now), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_dispatch_run(p, LMAIL_STR("a.example"), now), LMAIL_OK);
    ck_assert_uint_eq(take(p, now, t, letters), 1);
    ck_assert_uint_eq(t[0].probe, 1);
    end(p, &t[0], LMAIL_DELIVERY_DOWN, 1, now);
    ck_assert_int_eq(lmail_dispatch_run(p, LMAIL_STR(""), now), LMAIL_OK);
    ck_assert_uint_eq(take(p, now, t, letters), 1);
    /* It is back. */
    end(p, &t[0], LMAIL_DELIVERY_ALIVE, 1, now);
    ck_assert_int_eq(lmail_dispatch_get(p, LMAIL_STR("a.example"), &f), LMAIL_OK);
    ck_assert_uint_eq(f.failures, 0);
    ck_assert_uint_eq(take(p, now, t, letters), 2);
    ck_assert_uint_eq(t[0].batch, 50);
    lmail_dispatch_free(p);
}
END_TEST

START_TEST(one_failure_among_successes_is_a_full_house)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch *p = make(&c);
    lmail_dispatch_turn t[64];
    lmail_dispatch_facts f;
    char letters[65];
    offer(p, "a.example", 0);
    take(p, 0, t, letters);
    end(p, &t[0], LMAIL_DELIVERY_ALIVE, 1, 0);
    ck_assert_uint_eq(take(p, 0, t, letters), 2);
    end(p, &t[0], LMAIL_DELIVERY_DOWN, 1, 1000);
    ck_assert_int_eq(lmail_dispatch_get(p, LMAIL_STR("a.example"), &f), LMAIL_OK);
    ck_assert_int_eq(f.health, LMAIL_DELIVERY_ALIVE);
    end(p, &t[1], LMAIL_DELIVERY_DOWN, 1, 2000);
    ck_assert_uint_eq(take(p, 2000, t, letters), 1);
    end(p, &t[0], LMAIL_DELIVERY_DOWN, 1, 3000); /* three in a row: it is down */
    ck_assert_int_eq(lmail_dispatch_get(p, LMAIL_STR("a.example"), &f), LMAIL_OK);
    ck_assert_int_eq(f.health, LMAIL_DELIVERY_DOWN);
    ck_assert_uint_eq(f.failures, 1);
    lmail_dispatch_free(p);
}
END_TEST

START_TEST(a_turn_of_many_messages_is_judged_by_all_of_them)
{
    static const struct {
        lmail_delivery_health health;
        size_t good, bad, allowed; /* of 8 before */
        unsigned pauses;
    } cases[] = {{LMAIL_DELIVERY_ALIVE, 50, 0, 9, 0}, {LMAIL_DELIVERY_BUSY, 47, 3, 9, 0},
                 {LMAIL_DELIVERY_DOWN, 47, 3, 9, 0},  {LMAIL_DELIVERY_BUSY, 23, 3, 4, 0},
                 {LMAIL_DELIVERY_DOWN, 1, 49, 4, 0},  {LMAIL_DELIVERY_BUSY, 0, 3, 4, 0},
                 {LMAIL_DELIVERY_DOWN, 0, 1, 4, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
        lmail_dispatch *p = make(&c);
        lmail_dispatch_turn t[64];
        lmail_dispatch_facts f;
        char letters[65];
        offer(p, "a.example", 0);
        while (take(p, 0, t, letters) < 8)
            for (size_t k = 0; k < strlen(letters); k++)
                end(p, &t[k], LMAIL_DELIVERY_ALIVE, 1, 0);
        lmail_dispatch_done done = {cases[i].health, 1, cases[i].good, cases[i].bad};
        ck_assert_int_eq(lmail_dispatch_end_turn(p, t[0].id, &done, 0), LMAIL_OK);
        ck_assert_int_eq(lmail_dispatch_get(p, LMAIL_STR("a.example"), &f), LMAIL_OK);
        ck_assert_uint_eq(f.allowed, cases[i].allowed);
        ck_assert_uint_eq(f.until != 0, cases[i].pauses);
        ck_assert_int_eq(f.health, LMAIL_DELIVERY_ALIVE);
        lmail_dispatch_free(p);
    }
}
END_TEST

START_TEST(destinations_take_turns)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch_turn t[64];
    char letters[65], order[65] = "";
    c.max_turns = 1;
    lmail_dispatch *p = make(&c);
    offer(p, "a", 0);
    offer(p, "b", 0);
    offer(p, "c", 0);
    for (int i = 0; i < 9; i++) {
        ck_assert_uint_eq(take(p, 0, t, letters), 1);
        strcat(order, letters);
        end(p, &t[0], LMAIL_DELIVERY_ALIVE, 1, 0);
    }
    ck_assert_str_eq(order, "abcabcabc");
    lmail_dispatch_free(p);
}
END_TEST

START_TEST(urgent_ones_have_more_turns_and_not_all)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch_turn t[64];
    char letters[65];
    unsigned count[3] = {0};
    c.max_turns = 1;
    lmail_dispatch *p = make(&c);
    ck_assert_int_eq(lmail_dispatch_offer(p, LMAIL_STR("c"), -5, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_dispatch_offer(p, LMAIL_STR("b"), 0, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_dispatch_offer(p, LMAIL_STR("a"), -1, 0), LMAIL_OK);
    ck_assert_int_eq(lmail_dispatch_offer(p, LMAIL_STR("a"), 7, 0), LMAIL_OK);
    for (int i = 0; i < 130; i++) {
        ck_assert_uint_eq(take(p, 0, t, letters), 1);
        count[letters[0] - 'a']++;
        end(p, &t[0], LMAIL_DELIVERY_ALIVE, 1, 0);
    }
    ck_assert_uint_eq(count[0], 80);
    ck_assert_uint_eq(count[1], 40);
    ck_assert_uint_eq(count[2], 10);
    lmail_dispatch_free(p);
}
END_TEST

START_TEST(dead_ones_do_not_take_all_turns)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    static lmail_dispatch_turn t[128], probes[128];
    char letters[129], name[32];
    lmail_msec now = 0;
    c.max_turns = 40;
    lmail_dispatch *p = make(&c);
    offer(p, "alive.example", now);
    take(p, now, t, letters);
    end(p, &t[0], LMAIL_DELIVERY_ALIVE, 0, now);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "dead%d.example", i);
        offer(p, name, now);
    }
    /* Strangers: three quarters. */
    size_t met = 0, n;
    while ((n = take(p, now, t, letters)) > 0) {
        ck_assert_uint_le(n, 30);
        met += n;
        offer(p, "alive.example", now);
        ck_assert_int_eq(lmail_dispatch_next(p, now, &probes[0]), LMAIL_OK);
        end(p, &probes[0], LMAIL_DELIVERY_ALIVE, 0, now);
        for (size_t i = 0; i < n; i++)
            end(p, &t[i], LMAIL_DELIVERY_DOWN, 1, now);
    }
    ck_assert_uint_eq(met, 200);
    /* Known to be dead: one quarter. */
    now += MINUTE;
    ck_assert_uint_eq(take(p, now, t, letters), 10);
    lmail_dispatch_counts counts;
    lmail_dispatch_count(p, &counts);
    ck_assert_uint_eq(counts.turns, 10);
    ck_assert_uint_eq(counts.ready, 190);
    lmail_dispatch_free(p);
}
END_TEST

START_TEST(figures_change_while_turns_are_under_way)
{
    for (size_t at = 0; at < 3; at++) {
        lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
        count_alloc memory = {0};
        static lmail_dispatch_turn t[128];
        char letters[129], name[32];
        c.alloc = count_alloc_table(&memory);
        c.max_turns = 4;
        lmail_dispatch *p = make(&c);
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "%d.example", i);
            offer(p, name, 0);
            if (lmail_dispatch_next(p, 0, &t[0]) == LMAIL_OK)
                end(p, &t[0], LMAIL_DELIVERY_ALIVE, 1, 0);
        }
        ck_assert_uint_eq(take(p, 0, t, letters), 4);
        c.max_turns = 40;
        c.max_per = 1;
        memory.fail_at = at ? memory.requests + at : 0;
        lmail_status st = lmail_dispatch_change(p, &c);
        ck_assert_int_eq(st, at ? LMAIL_ERR_NOMEM : LMAIL_OK);
        ck_assert_uint_eq(take(p, 0, t + 4, letters), at ? 0 : 36);
        if (!at) {
            c.max_turns = 2;
            ck_assert_int_eq(lmail_dispatch_change(p, &c), LMAIL_OK);
            for (int i = 0; i < 39; i++)
                end(p, &t[i], LMAIL_DELIVERY_ALIVE, 1, 0);
            ck_assert_uint_eq(take(p, 0, t, letters), 1);
        }
        lmail_dispatch_free(p);
        ck_assert_uint_eq(memory.live, 0);
        ck_assert_uint_eq(memory.lies, 0);
    }
}
END_TEST

START_TEST(memory_has_a_bound)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    count_alloc memory = {0};
    lmail_dispatch_turn t[64];
    char letters[65], name[32];
    c.alloc = count_alloc_table(&memory);
    c.max_destinations = 50;
    c.max_turns = 60;
    lmail_dispatch *p = make(&c);
    /* Without work: the longest unused goes. */
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "%d.example", i);
        offer(p, name, 0);
        ck_assert_uint_eq(take(p, 0, t, letters), 1);
        end(p, t, LMAIL_DELIVERY_ALIVE, 0, 0);
    }
    ck_assert_uint_le(memory.live, 60);
    /* Down, with work: one that waits goes. */
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "dead%d.example", i);
        offer(p, name, 0);
        ck_assert_uint_eq(take(p, 0, t, letters), 1);
        end(p, t, LMAIL_DELIVERY_DOWN, 1, 0);
    }
    ck_assert_uint_le(memory.live, 60);
    /* All with work that could go: again later. */
    int i = 0;
    lmail_status st = LMAIL_OK;
    while (!st) {
        snprintf(name, sizeof name, "busy%d.example", i++);
        st = lmail_dispatch_offer(p, lmail_str_from(name), 0, 0);
    }
    ck_assert_int_eq(st, LMAIL_ERR_LIMIT);
    ck_assert_int_eq(i, 51);
    lmail_dispatch_free(p);
    ck_assert_uint_eq(memory.live, 0);
    ck_assert_uint_eq(memory.lies, 0);
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    for (size_t at = 1;; at++) {
        lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
        count_alloc memory = {0};
        lmail_dispatch *p = NULL;
        lmail_dispatch_turn t;
        unsigned bad = 0;
        c.alloc = count_alloc_table(&memory);
        memory.fail_at = at;
        if (!lmail_dispatch_new(&p, &c)) {
            for (int i = 0; i < 100; i++) {
                char name[32];
                snprintf(name, sizeof name, "%d.example", i);
                lmail_status st = lmail_dispatch_offer(p, lmail_str_from(name), 0, 0);
                ck_assert(st == LMAIL_OK || st == LMAIL_ERR_NOMEM);
                bad += st != LMAIL_OK;
                if (lmail_dispatch_next(p, 0, &t) == LMAIL_OK)
                    end(p, &t, LMAIL_DELIVERY_DOWN, 1, 0);
            }
            lmail_dispatch_counts counts;
            lmail_dispatch_count(p, &counts);
            ck_assert_uint_eq(counts.waiting, 100 - bad);
            lmail_dispatch_free(p);
        }
        ck_assert_uint_eq(memory.live, 0);
        if (!memory.failed)
            break;
    }
}
END_TEST

/* ---- A day in the life ------------------------------------------------------------------------- */

/* Rows of one destination, due since they came; the queue's side of it. */
typedef struct box {
    char name[32];
    unsigned dead;
    lmail_msec *came; /* of each row */
    size_t count, arrived, taken;
} box;

typedef struct job {
    lmail_dispatch_turn turn;
    box *b;
    size_t first, rows;
    lmail_msec over;
} job;

typedef struct life {
    box *boxes;
    size_t box_count;
    job jobs[512];
    size_t job_count;
    double sum; /* of the waits of the living's rows */
    lmail_msec worst;
    size_t sent, dead_tries;
} life;

static int earlier(const void *a, const void *b)
{
    const lmail_msec *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void add_box(life *l, const char *name, unsigned dead, size_t rows, lmail_msec from,
                    lmail_msec span, uint32_t seed)
{
    box *b = &l->boxes[l->box_count++];
    snprintf(b->name, sizeof b->name, "%s", name);
    b->dead = dead;
    b->count = rows;
    b->came = malloc(rows * sizeof *b->came);
    for (size_t i = 0; i < rows; i++) {
        seed = seed * 1664525u + 1013904223u;
        b->came[i] = from + (span ? (seed >> 8) % span : 0);
    }
    qsort(b->came, rows, sizeof *b->came, earlier);
}

static lmail_msec next_event(const life *l, const lmail_dispatch *p)
{
    lmail_msec next = lmail_dispatch_deadline(p);
    for (size_t i = 0; i < l->job_count; i++)
        if (l->jobs[i].over < next)
            next = l->jobs[i].over;
    for (size_t i = 0; i < l->box_count; i++) {
        const box *b = &l->boxes[i];
        if (b->arrived < b->count && b->came[b->arrived] < next)
            next = b->came[b->arrived];
    }
    return next;
}

static void begin_jobs(life *l, lmail_dispatch *p, lmail_msec now)
{
    lmail_dispatch_turn turn;
    while (lmail_dispatch_next(p, now, &turn) == LMAIL_OK) {
        job *j = &l->jobs[l->job_count++];
        j->turn = turn;
        j->b = NULL;
        for (size_t i = 0; i < l->box_count && !j->b; i++)
            if (lmail_str_equal(turn.destination, lmail_str_from(l->boxes[i].name)))
                j->b = &l->boxes[i];
        j->first = j->b->taken;
        j->rows =
            j->b->arrived - j->b->taken < turn.batch ? j->b->arrived - j->b->taken : turn.batch;
        j->b->taken += j->rows;
        /* A dead host costs two connections in vain, a living one is quick. */
        j->over = now + (j->b->dead ? 60000 : 100 + 20 * j->rows);
    }
}

static void end_jobs(life *l, lmail_dispatch *p, lmail_msec now)
{
    for (size_t i = 0; i < l->job_count;) {
        job *j = &l->jobs[i];
        box *b = j->b;
        if (j->over > now) {
            i++;
            continue;
        }
        for (size_t k = j->first; !b->dead && k < j->first + j->rows; k++) {
            lmail_msec wait = now - b->came[k];
            l->sum += (double)wait;
            l->worst = wait > l->worst ? wait : l->worst;
            l->sent++;
        }
        if (b->dead) {
            b->taken = j->first; /* they stay */
            l->dead_tries++;
        }
        end(p, &j->turn, b->dead ? LMAIL_DELIVERY_DOWN : LMAIL_DELIVERY_ALIVE,
            b->taken < b->arrived, now);
        l->jobs[i] = l->jobs[--l->job_count];
    }
}

static void live(life *l, size_t others)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    lmail_dispatch *p = make(&c);
    for (lmail_msec now = 0; l->sent < others;) {
        end_jobs(l, p, now);
        for (size_t i = 0; i < l->box_count; i++) {
            box *b = &l->boxes[i];
            int fresh = 0;
            for (; b->arrived < b->count && b->came[b->arrived] <= now; b->arrived++)
                fresh = 1;
            if (fresh)
                offer(p, b->name, now);
        }
        begin_jobs(l, p, now);
        lmail_msec next = next_event(l, p);
        ck_assert(next != LMAIL_NEVER || l->sent == others);
        now = next > now ? next : now + 1;
    }
    lmail_dispatch_free(p);
}

/* 1,000 messages to 100 living hosts over ten minutes; dead ones beside them. */
static life *day(size_t dead, size_t rows, lmail_msec from)
{
    life *l = calloc(1, sizeof *l);
    char name[32];
    l->boxes = calloc(100 + dead, sizeof *l->boxes);
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "host%u.example", i);
        add_box(l, name, 0, 10, 0, 10 * MINUTE, i * 7919u + 1);
    }
    for (uint32_t i = 0; i < dead; i++) {
        snprintf(name, sizeof name, "dead%u.example", i);
        add_box(l, name, 1, rows, from, 0, i);
    }
    live(l, 1000);
    return l;
}

static void bury(life *l)
{
    for (size_t i = 0; i < l->box_count; i++)
        free(l->boxes[i].came);
    free(l->boxes);
    free(l);
}

START_TEST(a_dead_host_delays_nobody)
{
    life *alone = day(0, 0, 0);
    life *beside = day(1, 100000, 0);
    life *crowd = day(1000, 100, 0);
    printf(
        "mean and longest wait of 1,000 messages to 100 hosts: %.0f %u ms; beside 100,000 to one "
        "dead host: %.0f %u ms (it was tried %u times); beside 100 to each of 1,000 dead hosts: "
        "%.0f %u ms (%u times)\n",
        alone->sum / 1000, (unsigned)alone->worst, beside->sum / 1000, (unsigned)beside->worst,
        (unsigned)beside->dead_tries, crowd->sum / 1000, (unsigned)crowd->worst,
        (unsigned)crowd->dead_tries);
    ck_assert(beside->sum <= alone->sum * 1.01);
    ck_assert_uint_le(beside->worst, alone->worst + 10);
    ck_assert_uint_le(beside->dead_tries, 6);
    ck_assert(crowd->sum / 1000 < 15000);
    bury(alone);
    bury(beside);
    bury(crowd);
}
END_TEST

/* ---- A host that drops some ---------------------------------------------------------------------- */

/* 10,000 messages, 5 ms each, to a host that drops every 20th of them, now and then two in a row;
 * in turns of `batch`. How long it takes. */
static lmail_msec drop_some(size_t batch)
{
    lmail_dispatch_config c = LMAIL_DISPATCH_CONFIG_INIT;
    struct {
        lmail_dispatch_turn turn;
        lmail_dispatch_done done;
        lmail_msec over;
    } jobs[16];
    size_t jobs_n = 0, left = 10000;
    uint32_t seed = 1;
    lmail_msec now = 0;
    c.batch = batch;
    lmail_dispatch *p = make(&c);
    offer(p, "a.example", 0);
    while (left || jobs_n) {
        while (left && lmail_dispatch_next(p, now, &jobs[jobs_n].turn) == LMAIL_OK) {
            lmail_dispatch_done done = {LMAIL_DELIVERY_ALIVE, 1, 0, 0};
            size_t n = left < batch ? left : batch;
            for (size_t i = 0; i < n; i++) {
                seed = seed * 1664525u + 1013904223u;
                if ((seed >> 8) % 20)
                    done.good++;
                else
                    done.bad++;
            }
            if (done.bad)
                done.health = seed & 0x80000000u ? LMAIL_DELIVERY_BUSY : LMAIL_DELIVERY_DOWN;
            left -= n;
            jobs[jobs_n].done = done;
            jobs[jobs_n++].over = now + 5 * n;
        }
        lmail_msec next = lmail_dispatch_deadline(p);
        for (size_t i = 0; i < jobs_n; i++)
            next = jobs[i].over < next ? jobs[i].over : next;
        now = next > now ? next : now;
        for (size_t i = 0; i < jobs_n;) {
            if (jobs[i].over > now) {
                i++;
                continue;
            }
            ck_assert_int_eq(lmail_dispatch_end_turn(p, jobs[i].turn.id, &jobs[i].done, now),
                             LMAIL_OK);
            jobs[i] = jobs[--jobs_n];
        }
    }
    lmail_dispatch_free(p);
    return now;
}

START_TEST(a_host_that_drops_some_is_not_left_alone)
{
    lmail_msec turns = drop_some(50), single = drop_some(1);
    printf(
        "10,000 messages of 5 ms to a host that drops one in 20: %u ms in turns of 50, %u ms one "
        "by one\n",
        (unsigned)turns, (unsigned)single);
    ck_assert_uint_le(turns, 12000);
    ck_assert_uint_le(single, 100000);
}
END_TEST

Suite *delivery_dispatch_suite(void)
{
    Suite *s = suite_create("delivery_dispatch");
    TCase *tc = tcase_create("delivery_dispatch");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_destination_starts_slowly);
    tcase_add_test(tc, no_work_no_turn);
    tcase_add_test(tc, nobody_there_one_row_asks_again);
    tcase_add_test(tc, one_failure_among_successes_is_a_full_house);
    tcase_add_test(tc, a_turn_of_many_messages_is_judged_by_all_of_them);
    tcase_add_test(tc, destinations_take_turns);
    tcase_add_test(tc, urgent_ones_have_more_turns_and_not_all);
    tcase_add_test(tc, dead_ones_do_not_take_all_turns);
    tcase_add_test(tc, figures_change_while_turns_are_under_way);
    tcase_add_test(tc, memory_has_a_bound);
    tcase_add_test(tc, each_allocation_may_fail);
    tcase_add_test(tc, a_dead_host_delays_nobody);
    tcase_add_test(tc, a_host_that_drops_some_is_not_left_alone);
    suite_add_tcase(s, tc);
    return s;
}
