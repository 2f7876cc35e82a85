/* service_forward.c - users' own files, `.forward` in their homes.
 *
 * The file is a user's and so is its directory: both are opened without following a link, and looked at
 * after they are opened. Files that lead to users with files are followed; a circle ends in the mailbox
 * where it closes, so that no mail is lost in it. What the text means is libmail/policy_tables.h's.
 * Called on a worker. */
#include "host/service/service_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/service/service_location.h"
#include "host/service/service_smtp.h"

#define MAX_DEPTH 10u
#define MAX_ITEMS 100u

/* A user whose file is being followed, up to the recipient. */
typedef struct step {
    const struct step *above;
    const char *account;
    size_t depth;
} step;

typedef struct walk {
    const lmi_rules *rules;
    lmi_forward *f;
    char **done; /* accounts whose files have been followed */
    size_t done_count;
    unsigned found; /* a file was */
} walk;

static void note(walk *w, const char *user, unsigned line, lmail_str reason)
{
    lmi_forward *f = w->f;
    if (f->note_count == LMI_FORWARD_NOTES)
        return;
    snprintf(f->notes[f->note_count].user, sizeof f->notes->user, "%s", user);
    snprintf(f->notes[f->note_count].reason, sizeof f->notes->reason, "%.*s", (int)reason.len,
             reason.ptr);
    f->notes[f->note_count++].line = line;
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Nobody but its owner may write there, and the owner is the user, the daemons' user or root. */
static const char *distrust(const struct stat *st, uint32_t uid)
{
    if (st->st_uid != 0 && st->st_uid != geteuid() && (uid == LMAIL_NO_ID || st->st_uid != uid))
        return S_ISDIR(st->st_mode) ? "the home belongs to somebody else"
                                    : "the file belongs to somebody else";
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return S_ISDIR(st->st_mode) ? "others may write to the home"
                                    : "others may write to the file";
    return NULL;
}

/* *got 0 and reason NULL: there is no file. */
static const char *read_file(int fd, uint32_t uid, char *text, size_t *got)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return "the file cannot be read";
    const char *why = distrust(&st, uid);
    if (!S_ISREG(st.st_mode))
        why = "the file is no regular file";
    else if (st.st_nlink != 1 && !why)
        why = "the file has more than one name";
    else if (st.st_size > (off_t)LMAIL_POLICY_MAX_FORWARD && !why)
        why = "the file is too large";
    size_t n = 0;
    while (!why && n < LMAIL_POLICY_MAX_FORWARD) {
        ssize_t r = read(fd, text + n, LMAIL_POLICY_MAX_FORWARD - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            why = "the file cannot be read";
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    *got = n;
    return why;
}

/* 1: there is one. */
static int open_file(const walk *w, int home, int *fd)
{
    const lmail_str_list *names = &w->rules->settings->routing.forward;
    char name[256];
    for (size_t i = 0; i < names->count; i++) {
        lmail_str n = names->items[i];
        if (!n.len || n.len >= sizeof name || memchr(n.ptr, '/', n.len))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)n.len, n.ptr);
        *fd = openat(home, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (*fd >= 0 || errno == ELOOP)
            return 1;
    }
    return 0;
}

/* 1: there is one, and with *why NULL it is in text[0..*got). */
static int read_forward(const walk *w, const char *account, char *text, size_t *got,
                        const char **why)
{
    char home[LMI_LOCATION_MAX];
    uint32_t uid;
    struct stat st;
    int fd = -1, dir, there;
    *why = NULL;
    *got = 0;
    if (lmi_home(w->rules, lmail_str_from(account), home, &uid) || home[0] != '/')
        return 0;
    dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return 0;
    there = open_file(w, dir, &fd);
    if (there && fd < 0)
        *why = "the file is a symbolic link";
    else if (there)
        *why = fstat(dir, &st) < 0 ? "the home cannot be looked at" : distrust(&st, uid);
    if (there && !*why)
        *why = read_file(fd, uid, text, got);
    if (fd >= 0)
        close(fd);
    close(dir);
    return there;
}

/* ---- Who gets it ----------------------------------------------------------------------------- */

static int same(const char *a, lmail_str b)
{
    return a && lmail_str_equal(lmail_str_from(a), b);
}

/* account empty: an address elsewhere. What is there already stays once. */
static lmail_status put(walk *w, lmail_str account, lmail_str detail, lmail_str address,
                        lmail_str route)
{
    lmi_forward *f = w->f;
    for (size_t i = 0; i < f->count; i++) {
        const lmi_forward_item *o = &f->items[i];
        if (account.len ? same(o->account, account) && same(o->detail, detail)
                        : same(o->address, address))
            return LMAIL_OK;
    }
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 4;
        lmi_forward_item *p = realloc(f->items, room * sizeof *p);
        if (!p)
            return LMAIL_ERR_NOMEM;
        f->items = p;
        f->room = room;
    }
    lmi_forward_item *item = &f->items[f->count++];
    *item = (lmi_forward_item){.account = account.len ? strndup(account.ptr, account.len) : NULL,
                               .detail = strndup(detail.len ? detail.ptr : "", detail.len),
                               .address = account.len ? NULL : strndup(address.ptr, address.len),
                               .route = strndup(route.len ? route.ptr : "", route.len)};
    return (item->account || item->address) && item->detail && item->route ? LMAIL_OK
                                                                           : LMAIL_ERR_NOMEM;
}

static lmail_status keep(walk *w, const char *account, lmail_str detail)
{
    const lmail_str none = {NULL, 0};
    return put(w, lmail_str_from(account), detail, none, none);
}

static lmail_status follow(walk *w, const char *account, lmail_str domain, lmail_str detail,
                           const step *above);

/* *own: his own mailbox is to get it, since this destination cannot. */
static lmail_status take(walk *w, const step *s, lmail_str domain,
                         const lmail_policy_destination *d, int *own)
{
    char name[LMI_ACCOUNT_NAME], route[1024];
    const lmail_str none = {NULL, 0};
    lmail_status st;
    if (w->f->count >= MAX_ITEMS) {
        note(w, s->account, (unsigned)d->line, LMAIL_STR("too many destinations"));
        *own = 1;
        return LMAIL_OK;
    }
    switch (d->kind) {
    case LMAIL_POLICY_TO_USER:
        st = lmi_find_user(w->rules, lmail_accounts_find, d->user,
                           d->domain.len ? d->domain : domain, name);
        if (st != LMAIL_ERR_NOTFOUND)
            return st                              ? st
                   : strcmp(name, s->account) == 0 ? keep(w, name, d->detail)
                                                   : follow(w, name, domain, d->detail, s);
        note(w, s->account, (unsigned)d->line, LMAIL_STR("User unknown"));
        *own = 1;
        return LMAIL_OK;
    case LMAIL_POLICY_TO_HOST:
        lmi_route_write(d, route, sizeof route);
        return put(w, none, none, d->address, lmail_str_from(route));
    default:
        break;
    }
    note(w, s->account, (unsigned)d->line,
         d->kind == LMAIL_POLICY_TO_NOBODY ? d->text
                                           : LMAIL_STR("neither files nor programs get mail"));
    *own = 1;
    return LMAIL_OK;
}

static lmail_status obey(walk *w, const step *s, lmail_str domain, lmail_str detail, lmail_str text)
{
    lmail_policy_forward_question q;
    const lmail_policy_routes *routes;
    const char *at = strchr(s->account, '@');
    int own = 0;
    lmail_policy_forward_question_init(&q);
    q.user = lmail_str_from(s->account);
    if (at)
        q.user.len = (size_t)(at - s->account);
    q.domain = at ? lmail_str_from(at + 1) : (lmail_str){NULL, 0};
    q.text = text;
    lmail_status st = lmail_policy_tables_forward(w->rules->tables, &q, &routes);
    if (st)
        return st;
    for (size_t i = 0; !st && i < routes->count; i++)
        st = take(w, s, at ? q.domain : domain, &routes->items[i], &own);
    if (!st && (own || !routes->count))
        st = keep(w, s->account, detail);
    lmail_policy_routes_free(routes);
    return st;
}

/* 1: go on with it; otherwise it was there before. */
static int begin(walk *w, const char *account, const step *above, lmail_str detail,
                 lmail_status *st)
{
    for (const step *s = above; s; s = s->above)
        if (strcmp(s->account, account) == 0 || s->depth >= MAX_DEPTH) {
            note(w, account, 0, LMAIL_STR("forward files lead in a circle"));
            *st = keep(w, account, detail);
            return 0;
        }
    for (size_t i = 0; i < w->done_count; i++)
        if (strcmp(w->done[i], account) == 0)
            return 0;
    char **p = realloc(w->done, (w->done_count + 1) * sizeof *p);
    char *copy = strdup(account);
    if (p)
        w->done = p;
    if (!p || !copy) {
        free(copy);
        *st = LMAIL_ERR_NOMEM;
        return 0;
    }
    w->done[w->done_count++] = copy;
    return 1;
}

static lmail_status follow(walk *w, const char *account, lmail_str domain, lmail_str detail,
                           const step *above)
{
    const char *why;
    size_t got;
    lmail_status st = LMAIL_OK;
    const step s = {above, account, above ? above->depth + 1 : 0};
    if (!begin(w, account, above, detail, &st))
        return st;
    char *text = malloc(LMAIL_POLICY_MAX_FORWARD);
    if (!text)
        return LMAIL_ERR_NOMEM;
    if (!read_forward(w, account, text, &got, &why)) {
        st = keep(w, account, detail);
    } else {
        w->found = 1;
        if (why)
            note(w, account, 0, lmail_str_from(why));
        st = why ? keep(w, account, detail) : obey(w, &s, domain, detail, (lmail_str){text, got});
    }
    free(text);
    return st;
}

lmail_status lmi_forward_look(const lmi_rules *rules, const char *account, lmail_str domain,
                              lmi_forward **out)
{
    walk w = {.rules = rules, .f = calloc(1, sizeof *w.f)};
    *out = NULL;
    if (!w.f)
        return LMAIL_ERR_NOMEM;
    lmail_status st = follow(&w, account, domain, (lmail_str){NULL, 0}, NULL);
    for (size_t i = 0; i < w.done_count; i++)
        free(w.done[i]);
    free(w.done);
    if (st || !w.found)
        lmi_forward_free(w.f);
    else
        *out = w.f;
    return st;
}

void lmi_forward_free(lmi_forward *f)
{
    for (size_t i = 0; f && i < f->count; i++) {
        free(f->items[i].account);
        free(f->items[i].detail);
        free(f->items[i].address);
        free(f->items[i].route);
    }
    if (f)
        free(f->items);
    free(f);
}
