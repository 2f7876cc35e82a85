/* service_owner.c - files made while still root belong to the user that root becomes.
 *
 * setfsuid(2) changes with which rights this thread touches files and nothing else: ports below
 * 1024 can still be bound. Called by whoever makes directories, keys and shared files at start; after
 * the drop it does nothing. */
#include "host/service/service_owner.h"

#include <grp.h>
#include <libmail/host/accounts.h>
#include <libmail/host/service.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#define NAME 256
#define TEXT_ROOM (64u * 1024) /* a group's line names its members */

/* ---- Who it is ------------------------------------------------------------------------------- */

static int is_number(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    for (const char *at = text; *at; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (*at < '0' || *at > '9' || value >= LMAIL_NO_ID)
            return 0;
    }
    *out = (uint32_t)value;
    return *text != '\0';
}

static int copy_name(char out[NAME], lmail_str in)
{
    if (in.len >= NAME || (in.len && memchr(in.ptr, '\0', in.len)))
        return -1;
    snprintf(out, NAME, "%.*s", (int)in.len, in.ptr);
    return 0;
}

/* A name before a number, as chown(1) has it. With room of our own: a reload runs beside threads that
 * ask for users too. Returns -1: there is no such user. */
static int find_user(lmail_owner *out, const char *name, int *has_group)
{
    char text[TEXT_ROOM];
    struct passwd room, *user = NULL;
    getpwnam_r(name, &room, text, sizeof text, &user);
    if (!user && is_number(name, &out->uid))
        getpwuid_r(out->uid, &room, text, sizeof text, &user);
    else if (!user)
        return -1;
    *has_group = user != NULL;
    out->name[0] = '\0';
    if (user) {
        out->uid = user->pw_uid;
        out->gid = user->pw_gid;
        snprintf(out->name, sizeof out->name, "%s", user->pw_name);
    }
    return 0;
}

lmail_status lmail_group_find(uint32_t *gid, lmail_str group)
{
    char name[NAME], text[TEXT_ROOM];
    struct group room, *found = NULL;
    if (copy_name(name, group))
        return LMAIL_ERR_NOTFOUND;
    getgrnam_r(name, &room, text, sizeof text, &found);
    if (found)
        *gid = found->gr_gid;
    return found || is_number(name, gid) ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

lmail_status lmail_owner_find(lmail_owner *out, const lmail_settings *s, char *error, size_t cap)
{
    char name[NAME] = "", none[1];
    int has_group = 0;
    if (!error || !cap) {
        error = none;
        cap = sizeof none;
    }
    *out = (lmail_owner){LMAIL_NO_ID, LMAIL_NO_ID, ""};
    error[0] = '\0';
    if (s->user.len == 0)
        return LMAIL_END;
    if (copy_name(name, s->user) || find_user(out, name, &has_group))
        snprintf(error, cap, "user = %.*s: no such user", (int)s->user.len, s->user.ptr);
    else if (s->group.len == 0 && !has_group)
        snprintf(error, cap,
                 "user = %s: the system has no user of that number, so group must be set", name);
    else if (s->group.len && lmail_group_find(&out->gid, s->group))
        snprintf(error, cap, "group = %.*s: no such group", (int)s->group.len, s->group.ptr);
    else
        return LMAIL_OK;
    return LMAIL_ERR_NOTFOUND;
}

/* ---- Being it -------------------------------------------------------------------------------- */

/* Returns 1 when we are root and shall become somebody. */
static int owner_of(const lmail_settings *s, uid_t *uid, gid_t *gid)
{
    lmail_owner owner;
    if (geteuid() != 0 || lmail_owner_find(&owner, s, NULL, 0))
        return 0;
    *uid = owner.uid;
    *gid = owner.gid;
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
