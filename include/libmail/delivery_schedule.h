/* libmail/delivery_schedule.h - when a recipient is tried again, and whose turn it is.
 *
 * Three things that a queue runner needs, for any queue:
 *
 *     the schedule      pure functions of a recipient's own numbers: next attempt, delay notice, return
 *     the dispatcher    which destination's work goes next. Its state is one entry a destination,
 *                       never one a message: rows stay in the queue and are taken in small batches
 *     the host status   which addresses did not answer a while ago, so that nobody waits for them
 *
 *     lmail_dispatch_offer(p, destination, priority, now);        it has rows that are due
 *     while (lmail_dispatch_next(p, now, &turn) == LMAIL_OK) {
 *         take up to turn.batch due rows of turn.destination and deliver them
 *         lmail_dispatch_end_turn(p, turn.id, &done, now);        some time later
 *     }
 *     come again at lmail_dispatch_deadline(p)
 *
 * No I/O, no clock. One thread at a time for each object. */
#ifndef LIBMAIL_DELIVERY_SCHEDULE_H
#define LIBMAIL_DELIVERY_SCHEDULE_H

#include <libmail/base.h>
#include <libmail/delivery.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The schedule ---------------------------------------------------------------------------- */

/* Milliseconds. Times below are milliseconds since 1970 UTC. */
typedef struct lmail_schedule {
    lmail_msec retry_first;  /* wait behind the first attempt; it doubles. 0: 5 minutes */
    lmail_msec retry_most;   /* 0: 4 hours */
    lmail_msec warn_after;   /* age at which the sender is told of the delay; 0: never */
    lmail_msec return_after; /* age at which mail goes back; 0: 5 days (RFC 5321 §4.5.4.1) */
} lmail_schedule;

/* When to try again.
 *   attempts  so far, the one that just failed included
 *   random    any 32 random bits: waits are spread by an eighth to both sides, so that what failed
 *             together does not come back together
 * Never behind the time of return, where the last attempt is made; above `now`. */
LMAIL_API int64_t lmail_schedule_next(const lmail_schedule *s, int64_t arrived, unsigned attempts,
                                      uint32_t random, int64_t now);

/* When the sender is to be told that it takes longer; INT64_MAX: never, or it was done (warned is
 * not 0). Once for a recipient (RFC 3461 §5.2.6 is for DSN to say: NOTIFY=DELAY). */
LMAIL_API int64_t lmail_schedule_warn_at(const lmail_schedule *s, int64_t arrived, int64_t warned);

/* When mail that could not be delivered goes back. */
LMAIL_API int64_t lmail_schedule_return_at(const lmail_schedule *s, int64_t arrived);

/* ---- The dispatcher -------------------------------------------------------------------------- */

typedef struct lmail_dispatch lmail_dispatch;

typedef struct lmail_dispatch_config {
    size_t size;
    lmail_alloc alloc;       /* zeroed: the C library's */
    const lmail_env *env;    /* random octets, for the table and the spread; may be NULL */
    size_t max_turns;        /* at a time; 0: 200 */
    size_t max_per;          /* of one destination; 0: 10 */
    size_t max_destinations; /* remembered; 0: 20,000. An entry is about 150 octets and its name */
    size_t batch;            /* rows of a turn; 0: 50 */
    lmail_msec back_off_first; /* when a destination did not answer; it doubles. 0: a minute */
    lmail_msec back_off_most;  /* 0: 30 minutes */
    lmail_msec busy_pause;     /* after a server that wants less; it doubles. 0: 10 s */
} lmail_dispatch_config;

#define LMAIL_DISPATCH_CONFIG_INIT                                                                 \
    {                                                                                              \
        sizeof(lmail_dispatch_config), {NULL, NULL}, NULL, 0, 0, 0, 0, 0, 0, 0                     \
    }
LMAIL_API void lmail_dispatch_config_init(lmail_dispatch_config *config);

/* Returns: OK, ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_dispatch_new(lmail_dispatch **out,
                                          const lmail_dispatch_config *config);
/* From now on these figures; alloc, env and max_destinations stay. Turns under way go on.
 * Returns: OK, ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_dispatch_change(lmail_dispatch *p,
                                             const lmail_dispatch_config *config);
/* NULL is allowed. */
LMAIL_API void lmail_dispatch_free(lmail_dispatch *p);

/* The destination has rows that are due. Said as often as one likes.
 *   priority  of its most urgent row: above 0, 0, below 0 are three classes that share the turns
 *             8 : 4 : 1 while all have work
 * When the table is full, one that has no work is forgotten, else one of those that wait longest
 * for a host that is down: its rows are in the queue, offer it again.
 * Returns: OK, ERR_ARG (no name, over 512 octets), ERR_LIMIT (all entries are at work: again later),
 * ERR_NOMEM. */
LMAIL_API lmail_status lmail_dispatch_offer(lmail_dispatch *p, lmail_str destination, int priority,
                                            lmail_msec now);

/* One connection's worth of work. */
typedef struct lmail_dispatch_turn {
    uint64_t id;
    lmail_str destination; /* borrowed until done */
    size_t batch;          /* rows to take at most; one after another over one connection */
    unsigned probe;        /* it did not answer the last time: this one attempt tells */
} lmail_dispatch_turn;

/* Whose turn it is. A destination begins with one turn at a time; each that goes well allows one
 * more, so 1, 2, 4 .. up to max_per; when nobody answers it is left alone, then tried by one row.
 * Destinations take turns. Those that are known to answer have a quarter of max_turns for themselves,
 * those that do not answer never have more than a quarter: so no crowd of dead ones fills it all.
 * In a crowd of such as nobody has met yet every second turn is the newest's.
 * Returns: OK; END: nothing for now, see deadline. */
LMAIL_API lmail_status lmail_dispatch_next(lmail_dispatch *p, lmail_msec now,
                                           lmail_dispatch_turn *turn);

/* A failure among successes is no reason to leave a destination alone: it loses half of its turns,
 * and nothing where a turn took eight messages for each that failed. A pause comes when failures come
 * in a row, or when nobody has met it yet. */
typedef struct lmail_dispatch_done {
    lmail_delivery_health health; /* of the turn's worst attempt */
    unsigned more;                /* 1: the destination has further rows that are due */
    size_t good, bad; /* messages that found it well, and BUSY or DOWN; 0, 0: one, as health says */
} lmail_dispatch_done;

/* The turn is over. ERR_STALE: it is not one. */
LMAIL_API lmail_status lmail_dispatch_end_turn(lmail_dispatch *p, uint64_t id,
                                               const lmail_dispatch_done *done, lmail_msec now);

/* When a wait ends that next() has to see; LMAIL_NEVER. */
LMAIL_API lmail_msec lmail_dispatch_deadline(const lmail_dispatch *p);

/* A queue run, or ETRN: the wait of a destination is over, of all when the name is empty. What is
 * down is still tried by one row first. ERR_NOTFOUND: it is not in the table (so it does not wait). */
LMAIL_API lmail_status lmail_dispatch_run(lmail_dispatch *p, lmail_str destination, lmail_msec now);

/* What is known of a destination. */
typedef struct lmail_dispatch_facts {
    lmail_delivery_health health; /* NOT_MET: not yet */
    size_t turns;                 /* under way */
    size_t allowed;               /* at most now */
    unsigned has_work;
    unsigned failures; /* in a row */
    lmail_msec until;  /* it is left alone until then; 0: it is not */
} lmail_dispatch_facts;

/* OK or ERR_NOTFOUND. */
LMAIL_API lmail_status lmail_dispatch_get(const lmail_dispatch *p, lmail_str destination,
                                          lmail_dispatch_facts *out);

typedef struct lmail_dispatch_counts {
    size_t destinations; /* in the table */
    size_t ready;        /* of them, with work, and allowed to have a turn */
    size_t waiting;      /* of them, left alone */
    size_t turns;        /* under way */
} lmail_dispatch_counts;

LMAIL_API void lmail_dispatch_count(const lmail_dispatch *p, lmail_dispatch_counts *out);

/* ---- Host status ----------------------------------------------------------------------------- */

typedef struct lmail_delivery_status lmail_delivery_status;

typedef struct lmail_delivery_status_config {
    size_t size;
    lmail_alloc alloc;
    const lmail_env *env;
    size_t max_hosts; /* remembered, the longest unused is forgotten; 0: 10,000 */
    lmail_msec first; /* left alone after the first failure; it doubles. 0: a minute */
    lmail_msec most;  /* client.host_status_timeout; 0: nothing is remembered */
} lmail_delivery_status_config;

#define LMAIL_DELIVERY_STATUS_CONFIG_INIT                                                          \
    {                                                                                              \
        sizeof(lmail_delivery_status_config), {NULL, NULL}, NULL, 0, 0, 0                          \
    }
LMAIL_API void lmail_delivery_status_config_init(lmail_delivery_status_config *config);

/* Returns: OK, ERR_SIZE, ERR_NOMEM. */
LMAIL_API lmail_status lmail_delivery_status_new(lmail_delivery_status **out,
                                                 const lmail_delivery_status_config *config);
/* NULL is allowed. */
LMAIL_API void lmail_delivery_status_free(lmail_delivery_status *t);

/* May this address be tried: 1 or 0. When its time is over, the first who asks is told 1 and the
 * others 0 until that one has told how it went, or ten minutes later. */
LMAIL_API int lmail_delivery_status_ask(lmail_delivery_status *t,
                                        const lmail_delivery_address *address, unsigned port,
                                        lmail_msec now);

/* How it went: up 1, 0. Without memory it is not remembered. */
LMAIL_API void lmail_delivery_status_tell(lmail_delivery_status *t,
                                          const lmail_delivery_address *address, unsigned port,
                                          unsigned up, lmail_msec now);

/* From now on these figures of the config. */
LMAIL_API void lmail_delivery_status_change(lmail_delivery_status *t,
                                            const lmail_delivery_status_config *config);

/* A queue run: forget all. */
LMAIL_API void lmail_delivery_status_forget(lmail_delivery_status *t);

#ifdef __cplusplus
}
#endif

#endif
