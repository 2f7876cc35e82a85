/* store_inotify.h - the system's reports of changes in a directory.
 *
 * Where the system has none, open gives -1 and nobody calls the rest. */
#ifndef LMI_STORE_INOTIFY_H
#define LMI_STORE_INOTIFY_H

/* A descriptor that becomes readable when a directory changed, or -1. close() ends it. */
int lmi_inotify_open(void);
/* The directory's number, the same for the same directory; -1: it cannot be had (a limit of the
 * system, no such directory). */
int lmi_inotify_add(int fd, const char *path);
void lmi_inotify_remove(int fd, int number);
/* Take all that waits, never waiting: fn is called with a directory's number, or with -1 when reports
 * were lost and any directory may have changed. */
void lmi_inotify_read(int fd, void (*fn)(void *user, int number), void *user);

#endif
