/* store_maildir_found.c - the files of a mailbox: new/ and cur/ as a list with base names for keys.
 *
 * Beside a program that renames, one reading misses files and sees others twice: the later reading
 * of a name counts, and cur/ counts before new/. Called by a scan; it asks the index nothing. */
#include "host/store/store_maildir_scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_TRIES 4u

/* ---- By base name ---------------------------------------------------------------------------- */

lmail_str lmi_md_found_base(const md_scan *s, const md_found *f)
{
    return lmi_str(s->names + f->name, f->base_len);
}

lmail_str lmi_md_found_suffix(const md_scan *s, const md_found *f)
{
    return lmi_str(s->names + f->name + f->base_len, (size_t)f->len - f->base_len);
}

/* The slot of a base: its file's, or the empty one where it belongs. */
static uint32_t *slot_of(const md_scan *s, lmail_str base)
{
    uint64_t hash = lmi_hash(base);
    size_t i = (hash ^ hash >> 29) & (s->slot_count - 1);
    while (s->slots[i] && !lmail_str_equal(lmi_md_found_base(s, &s->files[s->slots[i] - 1]), base))
        i = (i + 1) & (s->slot_count - 1);
    return &s->slots[i];
}

md_found *lmi_md_found(const md_scan *s, lmail_str base)
{
    uint32_t *slot = s->slot_count ? slot_of(s, base) : NULL;
    return slot && *slot ? &s->files[*slot - 1] : NULL;
}

static int grow_table(md_scan *s)
{
    size_t count = s->slot_count ? s->slot_count * 2 : 1024;
    uint32_t *slots = calloc(count, sizeof *slots);
    md_found *files = realloc(s->files, count / 2 * sizeof *files);
    if (files) {
        s->files = files;
        s->capacity = count / 2;
    }
    if (!slots || !files) {
        free(slots);
        return 0;
    }
    free(s->slots);
    s->slots = slots;
    s->slot_count = count;
    for (size_t i = 0; i < s->count; i++)
        *slot_of(s, lmi_md_found_base(s, &s->files[i])) = (uint32_t)i + 1;
    return 1;
}

lmail_status lmi_md_found_init(md_scan *s)
{
    return grow_table(s) ? LMAIL_OK : LMAIL_ERR_NOMEM;
}

void lmi_md_found_done(md_scan *s)
{
    free(s->slots);
    free(s->files);
    free(s->names);
}

static int grow_names(md_scan *s, size_t n)
{
    if (s->names_len + n <= s->names_cap)
        return 1;
    size_t cap = (s->names_len + n) * 2 + 65536;
    char *p = cap < UINT32_MAX ? realloc(s->names, cap) : NULL;
    if (!p)
        return 0;
    s->names = p;
    s->names_cap = cap;
    return 1;
}

static lmail_status note(md_scan *s, lmail_str file, int place, int again)
{
    lmail_str base, suffix;
    lmi_md_split(file, &base, &suffix);
    if (base.len == 0 || file.len > MD_NAME_OCTETS)
        return LMAIL_OK;
    if (s->count == s->capacity && !grow_table(s))
        return LMAIL_ERR_NOMEM;
    if (!grow_names(s, file.len))
        return LMAIL_ERR_NOMEM;
    uint32_t *slot = slot_of(s, base);
    md_found *f = *slot ? &s->files[*slot - 1] : NULL;
    if (f && f->place == 1 && place == 0 && !again)
        return LMAIL_OK; /* in both: the one in cur/ is the later state */
    if (!f) {
        f = &s->files[s->count++];
        *slot = (uint32_t)s->count;
        *f = (md_found){0};
    }
    f->name = (uint32_t)s->names_len;
    f->len = (uint16_t)file.len;
    f->base_len = (uint16_t)base.len;
    f->place = (uint8_t)place;
    memcpy(s->names + s->names_len, file.ptr, file.len);
    s->names_len += file.len;
    return LMAIL_OK;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static lmail_status read_dir(md_scan *s, int place, int again)
{
    char path[MD_PATH];
    lmail_status st =
        lmi_md_path(s->box->account, path, s->box->dir, place ? "cur" : "new", lmi_str(NULL, 0));
    DIR *d = st ? NULL : opendir(path);
    if (!d)
        return st ? st : errno == ENOENT ? LMAIL_OK : LMAIL_ERR_IO;
    struct dirent *e;
    while (!st && (errno = 0, e = readdir(d))) {
        if (e->d_name[0] != '.' && e->d_type != DT_DIR)
            st = note(s, lmail_str_from(e->d_name), place, again);
    }
    if (!st && errno)
        st = LMAIL_ERR_IO;
    closedir(d);
    return st;
}

lmail_status lmi_md_found_read(md_scan *s, int again)
{
    /* Files move from new/ to cur/: in this order none is missed for that. */
    lmail_status st = read_dir(s, 0, again);
    return st ? st : read_dir(s, 1, again);
}

lmail_status lmi_md_found_read_quietly(md_scan *s)
{
    const md_box *b = s->box;
    for (unsigned tries = 0; tries < QUIET_TRIES; tries++) {
        int64_t before[2], after[2];
        lmi_md_times(b->account, b->dir, before);
        lmail_status st = lmi_md_found_read(s, 1);
        if (st)
            return st;
        lmi_md_times(b->account, b->dir, after);
        if (before[0] == after[0] && before[1] == after[1])
            return LMAIL_OK;
    }
    return LMAIL_ERR_BUSY;
}
