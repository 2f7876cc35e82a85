/* sandbox.h - what the server may still do after it has given up root: Landlock for paths, seccomp
 * for system calls, no new privileges. Linux; where the kernel has one of them not, the others
 * stand. */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include <stddef.h>

typedef struct sandbox_path {
    const char
        *path; /* a file or a directory with all that is below; one that is absent is skipped */
    int write; /* also make, write, rename, remove */
} sandbox_path;

enum { SANDBOX_LANDLOCK = 1, SANDBOX_SECCOMP = 2 };

/* For this thread and all that it will start, for good. Call it while the process has one thread.
 *   got   SANDBOX_*: what is in force. Under a sanitizer, whose runtime does what no server would,
 *         nothing is
 * Returns 0, or -1 and errno: the kernel has it and refused. */
int sandbox_enter(const sandbox_path *paths, size_t count, unsigned *got);

#endif
