/* disk.h - what the programs need that measure a disk: a directory of their own on it, two clocks. */
#ifndef TESTS_BENCH_DISK_H
#define TESTS_BENCH_DISK_H

#include <libmail/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BENCH_DIR 700

static inline void bench_check(lmail_status st, const char *what)
{
    if (st) {
        fprintf(stderr, "%s: %s\n", what, lmail_status_name(st));
        exit(1);
    }
}

static inline double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of all threads, user and system. */
static inline double bench_cpu(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* A new one below `on`, or below the working directory. Figures are seen as they come. */
static inline void bench_directory(char dir[BENCH_DIR], const char *name, const char *on)
{
    char cwd[600];
    setbuf(stdout, NULL);
    if ((!on && !getcwd(cwd, sizeof cwd)) ||
        snprintf(dir, BENCH_DIR, "%s/%s.XXXXXX", on ? on : cwd, name) >= BENCH_DIR ||
        !mkdtemp(dir)) {
        perror(name);
        exit(1);
    }
}

static inline int bench_remove(const char *dir)
{
    char command[BENCH_DIR + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0;
}

#endif
