/* Internal to host/service: files made while still root belong to the user that root becomes. */
#ifndef LMI_SERVICE_OWNER_H
#define LMI_SERVICE_OWNER_H

#include <libmail/config.h>

/* Between enter and leave this thread touches files as settings.user, so that what it makes is that
 * user's and stays in reach after the drop. Nothing happens when we are not root or no user is set.
 * A user that does not exist is the daemon's to complain of. */
void lmi_owner_enter(const lmail_settings *settings);
void lmi_owner_leave(const lmail_settings *settings);

/* Give a directory that root has just made to that user. */
void lmi_owner_give(const lmail_settings *settings, const char *path);

#endif
