/* sandbox_calls.h - the seccomp half of sandbox.c. */
#ifndef DAEMON_SANDBOX_CALLS_H
#define DAEMON_SANDBOX_CALLS_H

/* Returns 0, SANDBOX_SECCOMP added to *got where the kernel has it; or -1 and errno. */
int sandbox_restrict_calls(unsigned *got);

#endif
