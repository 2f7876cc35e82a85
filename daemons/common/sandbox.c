/* sandbox.c - Landlock, the order of things: privileges are given up first, then paths, then calls.
 *
 * Landlock is used from ABI 2 on: before it, link(2) and rename(2) between directories always fail,
 * and that is how mail is delivered. Rules hang on inodes: a directory's rule covers what is put
 * there later, a file's rule does not survive rename(2) over it.
 * Sources: landlock(7), Documentation/userspace-api/landlock.rst. */
#include "sandbox.h"

#include "sandbox_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Rights that came later than the headers of some systems. */
#define RIGHT_REFER (1ull << 13)     /* ABI 2 */
#define RIGHT_TRUNCATE (1ull << 14)  /* ABI 3 */
#define RIGHT_IOCTL_DEV (1ull << 15) /* ABI 5 */

#define READ_FILE (uint64_t) LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE_FILE ((uint64_t)LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE)
#define READ_DIR (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_DIR                                                                                  \
    (READ_DIR | WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |      \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |    \
     RIGHT_REFER)

static uint64_t handled_rights(long abi)
{
    uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* of ABI 1 */
    return all | RIGHT_REFER | (abi >= 3 ? RIGHT_TRUNCATE : 0) | (abi >= 5 ? RIGHT_IOCTL_DEV : 0);
}

static int add_path(int ruleset, const sandbox_path *p, uint64_t handled)
{
    struct landlock_path_beneath_attr rule = {0};
    struct stat st;
    rule.parent_fd = open(p->path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
    int failed = fstat(rule.parent_fd, &st);
    rule.allowed_access = handled & (S_ISDIR(st.st_mode) ? p->write ? WRITE_DIR : READ_DIR
                                     : p->write          ? READ_FILE | WRITE_FILE
                                                         : READ_FILE);
    failed = failed ||
             syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0;
    close(rule.parent_fd);
    return failed ? -1 : 0;
}

static int enter_landlock(const sandbox_path *paths, size_t count, unsigned *got)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr attr = {0};
    if (abi < 2)
        return 0;
    attr.handled_access_fs = handled_rights(abi);
    int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    int failed = ruleset < 0;
    for (size_t i = 0; i < count && !failed; i++)
        failed = add_path(ruleset, &paths[i], attr.handled_access_fs);
    if (!failed)
        failed = syscall(SYS_landlock_restrict_self, ruleset, 0) != 0;
    if (ruleset >= 0)
        close(ruleset);
    if (!failed)
        *got |= SANDBOX_LANDLOCK;
    return failed ? -1 : 0;
}

int sandbox_enter(const sandbox_path *paths, size_t count, unsigned *got)
{
    *got = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    if (SANITIZED)
        return 0;
    return enter_landlock(paths, count, got) ? -1 : sandbox_restrict_calls(got);
}
