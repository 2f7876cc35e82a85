/* mailctl_stats.h - a daemon's metrics page, and the two ways to show it. */
#ifndef MAILCTL_STATS_H
#define MAILCTL_STATS_H

#include <libmail/base.h>

/* A line of the page: name{labels} value. */
typedef struct stats_sample {
    lmail_str name, labels, value;
} stats_sample;

typedef struct stats_page {
    char *text; /* of an HTTP answer, to be freed */
    stats_sample *samples;
    size_t count;
} stats_page;

/* The value of a label; empty: it has none of that name. */
lmail_str stats_label(const stats_sample *s, const char *name);

/* mailctl_stats_show.c */
void stats_summary(const char *daemon, const stats_page *page);
void stats_json(const stats_page *page);

#endif
