/* store_maildir_step.c - our own steps in a mailbox's directories.
 *
 * The index knows the times of new/ and cur/ as of the last scan. Who changes a directory looks at
 * them before and after, and takes the row along only from there to there: so our steps cause no
 * scan, and another program's does. Called by deliveries, copies, tidying, scans and watches. */
#include "host/store/store_maildir.h"

#include <time.h>

/* A directory changed so shortly ago may change again within its clock's tick. */
#define FRESH_NS 30000000

static int64_t ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t lmi_md_time(const md_account *a, const char *dir, unsigned place)
{
    char path[MD_PATH];
    struct stat st;
    if (lmi_md_path(a, path, dir, place ? "cur" : "new", lmi_str(NULL, 0)) || stat(path, &st) < 0)
        return 0;
    return ns(st.st_mtim);
}

void lmi_md_times(const md_account *a, const char *dir, int64_t times[2])
{
    for (unsigned i = 0; i < 2; i++)
        times[i] = lmi_md_time(a, dir, i);
}

int lmi_md_fresh(int64_t time)
{
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    return ns(clock) - time < FRESH_NS;
}

void lmi_md_step(md_row *row, const int64_t before[2], const int64_t after[2])
{
    if (row->new_mtime == before[0])
        row->new_mtime = after[0];
    if (row->cur_mtime == before[1])
        row->cur_mtime = after[1];
}

void lmi_md_steps_end(md_steps *s)
{
    int64_t after[2];
    if (!s->box)
        return;
    lmi_md_times(s->box->account, s->box->dir, after);
    lmi_md_step(&s->box->row, s->before, after);
    (void)lmi_md_numbers(s->box);
    lmi_md_box_unref(s->box);
    s->box = NULL;
}

lmail_status lmi_md_steps_begin(md_steps *s, md_account *a, int64_t id)
{
    if (s->box && s->box->id == id)
        return LMAIL_OK;
    lmi_md_steps_end(s);
    lmail_status st = lmi_md_box_by_id(a, id, &s->box);
    if (!st && (st = lmi_md_load(s->box))) {
        lmi_md_box_unref(s->box);
        s->box = NULL;
    }
    if (!st)
        lmi_md_times(a, s->box->dir, s->before);
    return st == LMAIL_ERR_STALE ? LMAIL_ERR_NOTFOUND : st;
}
