/* net_machine.h - small questions to the machine that several rooms have. Nothing here is exported. */
#ifndef LMI_NET_MACHINE_H
#define LMI_NET_MACHINE_H

#include <libmail/base.h>

/* Octets nobody can guess. OK or ERR_IO. */
lmail_status lmi_random(void *out, size_t n);

/* Milliseconds of the steady clock, for threads that have no loop. */
lmail_msec lmi_steady(void);

/* Is the path a socket file that nobody serves, left by a process that died? */
int lmi_socket_is_stale(const char *path);

#endif
