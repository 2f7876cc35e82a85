/* service_owner.c - files made while still root belong to the user that root becomes.
 *
 * setfsuid(2) changes with which rights this thread touches files and nothing else: ports below
 * 1024 can still be bound. Called by whoever makes directories, keys and shared files at start; after
 * the drop it does nothing. */
#include "host/service/service_owner.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <unistd.h>

#define NAME 256
#define TEXT_ROOM (64u * 1024) /* a group's line names its members */

/* Returns 1 when we are root and shall become somebody. */
static int owner_of(const lmail_settings *s, uid_t *uid, gid_t *gid)
{
    char name[NAME], text[TEXT_ROOM];
    struct passwd user_room, *user;
    struct group group_room, *group;
    if (geteuid() != 0 || s->user.len == 0 || s->user.len >= NAME || s->group.len >= NAME)
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)s->user.len, s->user.ptr);
    /* With room of our own: a reload runs beside threads that ask for users too. */
    if (getpwnam_r(name, &user_room, text, sizeof text, &user) || !user)
        return 0;
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    if (s->group.len == 0)
        return 1;
    snprintf(name, sizeof name, "%.*s", (int)s->group.len, s->group.ptr);
    if (getgrnam_r(name, &group_room, text, sizeof text, &group) || !group)
        return 0;
    *gid = group->gr_gid;
    return 1;
}

void lmi_owner_enter(const lmail_settings *settings)
{
    uid_t uid;
    gid_t gid;
    if (!owner_of(settings, &uid, &gid))
        return;
    setfsgid(gid);
    setfsuid(uid);
}

void lmi_owner_leave(const lmail_settings *settings)
{
    uid_t uid;
    gid_t gid;
    if (!owner_of(settings, &uid, &gid))
        return;
    setfsuid(0);
    setfsgid(getegid());
}

void lmi_owner_give(const lmail_settings *settings, const char *path)
{
    uid_t uid;
    gid_t gid;
    if (!owner_of(settings, &uid, &gid))
        return;
    if (lchown(path, uid, gid))
        return; /* the first file that is made in it says so */
}
