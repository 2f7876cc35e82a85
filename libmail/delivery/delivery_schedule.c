/* delivery_schedule.c - when a recipient is tried again, when its sender hears of the delay, when
 * the mail goes back (RFC 5321 §4.5.4.1). Pure functions of the recipient's own numbers. */
#include "delivery/delivery_internal.h"

static int64_t add(int64_t time, lmail_msec wait)
{
    if (time > 0 && wait > (lmail_msec)(INT64_MAX - time))
        return INT64_MAX;
    return wait > INT64_MAX ? INT64_MAX : time + (int64_t)wait;
}

lmail_msec lmi_back_off(lmail_msec first, lmail_msec most, unsigned failures)
{
    lmail_msec wait = first;
    while (failures > 1 && wait < most) {
        wait = wait > UINT64_MAX / 2 ? UINT64_MAX : wait * 2;
        failures--;
    }
    return wait < most ? wait : most;
}

int64_t lmail_schedule_return_at(const lmail_schedule *s, int64_t arrived)
{
    const lmail_msec days = (lmail_msec)5 * 24 * 3600 * 1000;
    return add(arrived, s->return_after ? s->return_after : days);
}

int64_t lmail_schedule_warn_at(const lmail_schedule *s, int64_t arrived, int64_t warned)
{
    if (!s->warn_after || warned)
        return INT64_MAX;
    return add(arrived, s->warn_after);
}

int64_t lmail_schedule_next(const lmail_schedule *s, int64_t arrived, unsigned attempts,
                            uint32_t random, int64_t now)
{
    lmail_msec first = s->retry_first ? s->retry_first : 300000;
    lmail_msec most = s->retry_most ? s->retry_most : 14400000;
    lmail_msec wait = lmi_back_off(first, most < first ? first : most, attempts);
    lmail_msec spread = wait / 4;
    wait = wait - spread / 2 + random % (spread + 1); /* seven to nine eighths */
    int64_t next = add(now, wait), last = lmail_schedule_return_at(s, arrived);
    if (next > last)
        next = last;
    return next > now ? next : add(now, 1000);
}
