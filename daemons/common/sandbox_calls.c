/* sandbox_calls.c - the system calls that a server makes; all others fail.
 *
 * The list is what libuv, SQLite, libunbound (a thread of its own, UDP and TCP), inotify, mbedTLS,
 * GNU SASL and glibc need between start and end of a server. What is missing: execve, ptrace, mount,
 * new namespaces, keys, modules, bpf, io_uring, raw sockets, other processes' memory, signals to
 * others.
 *
 * A call that is not listed fails with EPERM instead of killing the server: a newer libc that tries
 * a call first and falls back must not become an outage, and an attacker has not gained the call
 * either way. A number above those this file knows fails with ENOSYS, because that is what the
 * fall-backs look for; clone3 too, since its flags lie in memory that a filter cannot read. Only a
 * foreign architecture, which no code of ours uses, kills. Source: seccomp(2), clone(2). */
#include "sandbox_calls.h"

#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define THIS_ARCH AUDIT_ARCH_RISCV64
#endif

#define HIGHEST_KNOWN 462u /* mseal; numbers are the same on all architectures since 424 */

#ifdef THIS_ARCH
/* clang-format off */
static const int allowed[] = {
    /* files */
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2,
    SYS_pwritev2, SYS_lseek, SYS_openat, SYS_openat2, SYS_close, SYS_close_range, SYS_fstat, SYS_newfstatat, SYS_statx,
    SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2, SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_syncfs,
    SYS_sync_file_range, SYS_ftruncate, SYS_truncate, SYS_fallocate, SYS_fadvise64, SYS_getdents64, SYS_renameat2,
    SYS_linkat, SYS_unlinkat, SYS_mkdirat, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_umask,
    SYS_getcwd, SYS_readlinkat, SYS_sendfile, SYS_copy_file_range, SYS_memfd_create, SYS_inotify_init1,
    SYS_inotify_add_watch, SYS_inotify_rm_watch,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_open
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_rename, SYS_link, SYS_unlink, SYS_mkdir, SYS_rmdir, SYS_chmod,
    SYS_chown, SYS_lchown, SYS_utimes, SYS_readlink, SYS_getdents, SYS_inotify_init, SYS_futimesat,
#endif
    /* memory */
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_msync, SYS_mincore, SYS_mlock, SYS_munlock,
    SYS_membarrier,
    /* sockets; socket itself below */
    SYS_socketpair, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_connect, SYS_shutdown, SYS_getsockname,
    SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg,
    SYS_recvmmsg,
    /* waiting */
    SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_timerfd_create,
    SYS_timerfd_settime, SYS_timerfd_gettime, SYS_signalfd4, SYS_pipe2, SYS_dup, SYS_dup3, SYS_nanosleep,
    SYS_clock_nanosleep,
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_poll
    SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_pipe, SYS_dup2,
#endif
    /* threads and signals; clone, kill, prctl and ioctl below */
    SYS_futex, SYS_set_robust_list, SYS_get_robust_list, SYS_set_tid_address, SYS_rt_sigaction, SYS_rt_sigprocmask,
    SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigsuspend, SYS_sigaltstack, SYS_tgkill, SYS_restart_syscall, SYS_sched_yield,
    SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_exit, SYS_exit_group,
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef SYS_arch_prctl
    SYS_arch_prctl,
#endif
    /* questions */
    SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid,
    SYS_getgroups, SYS_prlimit64, SYS_getrlimit, SYS_getrusage, SYS_sysinfo, SYS_uname, SYS_times, SYS_gettimeofday,
    SYS_clock_gettime, SYS_clock_getres, SYS_getrandom, SYS_getcpu,
#ifdef SYS_time
    SYS_time,
#endif
};
/* clang-format on */

#define COUNT (sizeof allowed / sizeof allowed[0])
#define MAX_PROGRAM (2 * COUNT + 64)

typedef struct program {
    struct sock_filter code[MAX_PROGRAM];
    unsigned short len;
} program;

#define ARG(n) ((uint32_t)offsetof(struct seccomp_data, args[n]))
#define DENY(error) (SECCOMP_RET_ERRNO | ((error)&SECCOMP_RET_DATA))

static void add(program *p, unsigned code, uint32_t k, unsigned char yes, unsigned char no)
{
    p->code[p->len++] = (struct sock_filter){(unsigned short)code, yes, no, k};
}

static void give(program *p, uint32_t verdict)
{
    add(p, BPF_RET | BPF_K, verdict, 0, 0);
}

/* If the loaded word is (or has a bit of) k, that is the verdict; else go on. */
static void give_if(program *p, unsigned test, uint32_t k, uint32_t verdict)
{
    add(p, BPF_JMP | test | BPF_K, k, 0, 1);
    give(p, verdict);
}

/* A call whose argument decides: allowed when it passes `test` with one of the values (with
 * `otherwise` DENY), or the other way round. The low word is looked at: these are ints. */
static void by_argument(program *p, int nr, unsigned arg, unsigned test, const uint32_t *values,
                        size_t count, uint32_t verdict, uint32_t otherwise)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, (unsigned char)(2 * count + 2));
    add(p, BPF_LD | BPF_W | BPF_ABS, ARG(arg), 0, 0);
    for (size_t i = 0; i < count; i++)
        give_if(p, test, values[i], verdict);
    give(p, otherwise);
}

static void write_program(program *p)
{
    static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    static const uint32_t options[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA};
    static const uint32_t typing[] = {TIOCSTI, TIOCLINUX}; /* input for somebody's shell */
    const uint32_t thread = CLONE_THREAD, own = (uint32_t)getpid();
    const uint32_t yes = SECCOMP_RET_ALLOW, no = DENY(EPERM);
    p->len = 0;
    add(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    add(p, BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
    give(p, SECCOMP_RET_KILL_PROCESS);
    add(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    give_if(p, BPF_JGT, HIGHEST_KNOWN, DENY(ENOSYS));
    for (size_t i = 0; i < COUNT; i++)
        give_if(p, BPF_JEQ, (uint32_t)allowed[i], yes);
    by_argument(p, SYS_clone, 0, BPF_JSET, &thread, 1, yes, no);
    by_argument(p, SYS_kill, 0, BPF_JEQ, &own, 1, yes, no);
    by_argument(p, SYS_socket, 0, BPF_JEQ, families, 4, yes, no);
    by_argument(p, SYS_prctl, 0, BPF_JEQ, options, 4, yes, no);
    by_argument(p, SYS_ioctl, 1, BPF_JEQ, typing, 2, no, yes);
    give_if(p, BPF_JEQ, SYS_clone3, DENY(ENOSYS));
    give(p, no);
}

int sandbox_restrict_calls(unsigned *got)
{
    program p;
    write_program(&p);
    const struct sock_fprog filter = {p.len, p.code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0)
        *got |= SANDBOX_SECCOMP;
    else if (errno != EINVAL && errno != ENOSYS) /* the kernel has no filters */
        return -1;
    return 0;
}

#else

int sandbox_restrict_calls(unsigned *got)
{
    (void)got; /* no list for this architecture */
    return 0;
}

#endif
