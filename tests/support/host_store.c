/* host_store.c - see host_store.h. Test directories are made below the working directory. */
#include "host_store.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char text_buffer[1 << 20];

static void open_store(kit *k)
{
    if (k->backend == KIT_MEMORY) {
        ck_assert_int_eq(lmail_store_memory_new(NULL, &k->store), LMAIL_OK);
    } else {
        char root[600];
        snprintf(root, sizeof root, "%s/mail", k->dir);
        k->maildir.root = root;
        ck_assert_int_eq(lmail_store_maildir_new(&k->maildir, &k->store), LMAIL_OK);
        k->maildir.root = NULL;
    }
    k->account = kit_account(k, "alice");
}

void kit_start(kit *k, int backend)
{
    char cwd[400], root[600];
    memset(k, 0, sizeof *k);
    k->backend = backend;
    k->maildir = (lmail_store_maildir_config)LMAIL_STORE_MAILDIR_CONFIG_INIT;
    k->maildir.reserve = UINT64_MAX;
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd));
    snprintf(k->dir, sizeof k->dir, "%s/store_test.XXXXXX", cwd);
    ck_assert_ptr_nonnull(mkdtemp(k->dir));
    snprintf(root, sizeof root, "%s/mail", k->dir);
    ck_assert_int_eq(mkdir(root, 0700), 0);
    open_store(k);
}

static void close_store(kit *k)
{
    k->store->account_close(k->account);
    k->store->close(k->store);
}

void kit_restart(kit *k)
{
    close_store(k);
    open_store(k);
}

void kit_stop(kit *k)
{
    char command[700];
    close_store(k);
    snprintf(command, sizeof command, "rm -rf '%s'", k->dir);
    ck_assert_int_eq(system(command), 0);
}

lmail_store_account *kit_account(kit *k, const char *name)
{
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    lmail_store_account *a = NULL;
    args.name = lmail_str_from(name);
    ck_assert_int_eq(k->store->account_open(k->store->ctx, &args, &a), LMAIL_OK);
    return a;
}

const char *kit_path(const kit *k, const char *tail)
{
    static char path[4][1024];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/mail/alice/%s", k->dir, tail);
    return path[turn];
}

const char *kit_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text_buffer, 1, sizeof text_buffer - 1, f) : 0;
    if (f)
        fclose(f);
    text_buffer[n] = '\0';
    return text_buffer;
}

void kit_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

int kit_count(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

lmail_status kit_deliver(kit *k, const char *mailbox, const char *text, lmail_flags flags,
                         lmail_uid *uid)
{
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery_target target = {
        .account = k->account, .mailbox = lmail_str_from(mailbox), .flags = flags};
    lmail_delivery *d = NULL;
    const lmail_store *s = k->store;
    args.account = k->account;
    lmail_status st = s->delivery_begin(s->ctx, &args, &d);
    if (!st)
        st = s->delivery_message(d, &message);
    if (!st)
        st = s->delivery_write(d, lmail_str_from(text));
    if (!st)
        st = s->delivery_end(d, NULL);
    if (!st)
        st = s->delivery_commit(d, &target, 1);
    s->delivery_free(d);
    if (uid)
        *uid = target.uid;
    return st;
}

void kit_fill(kit *k, const char *mailbox, unsigned n)
{
    char text[256];
    for (unsigned i = 1; i <= n; i++) {
        snprintf(text, sizeof text,
                 "From: sender%u@example.org\nTo: alice@example.test\nSubject: message %u\n"
                 "Date: Mon, 7 Feb 2022 21:52:25 -0800\n\nbody of number %u\n",
                 i, i, i);
        ck_assert_int_eq(kit_deliver(k, mailbox, text, 0, NULL), LMAIL_OK);
    }
}

lmail_store_mailbox *kit_open(kit *k, const char *mailbox, unsigned flags)
{
    lmail_store_mailbox *m = NULL;
    ck_assert_int_eq(k->store->mailbox_open(k->account, lmail_str_from(mailbox), flags, &m),
                     LMAIL_OK);
    return m;
}

const lmail_snapshot *kit_snapshot(kit *k, lmail_store_mailbox *m)
{
    lmail_mailbox_view view;
    ck_assert_int_eq(k->store->refresh(m, 0, &view), LMAIL_OK);
    return view.snapshot;
}

const char *kit_set(lmail_uid_set set)
{
    static char out[65536];
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < set.count && n < sizeof out - 40; i++) {
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%u", i ? "," : "", set.ranges[i].first);
        if (set.ranges[i].last != set.ranges[i].first)
            n += (size_t)snprintf(out + n, sizeof out - n, ":%u", set.ranges[i].last);
    }
    return out;
}

const char *kit_uids(kit *k, lmail_store_mailbox *m)
{
    const lmail_snapshot *s = kit_snapshot(k, m);
    const char *out = kit_set(lmail_snapshot_uids(s));
    lmail_snapshot_unref(s);
    return out;
}

const char *kit_flags(kit *k, lmail_store_mailbox *m, lmail_uid uid)
{
    static char out[4096];
    static const char letters[] = "SAFDd";
    size_t n = 0;
    lmail_flags flags;
    const lmail_snapshot *s = kit_snapshot(k, m);
    if (lmail_snapshot_get(s, uid, &flags, NULL)) {
        lmail_snapshot_unref(s);
        return "-";
    }
    for (unsigned i = 0; i < 5; i++) {
        if (flags >> i & 1)
            out[n++] = letters[i];
    }
    lmail_keywords words = lmail_snapshot_facts(s)->keywords;
    for (size_t i = 0; i < words.count; i++) {
        if (flags >> (LMAIL_FLAG_KEYWORD_SHIFT + i) & 1)
            n += (size_t)snprintf(out + n, sizeof out - n, " %.*s", (int)words.names[i].len,
                                  words.names[i].ptr);
    }
    out[n] = '\0';
    lmail_snapshot_unref(s);
    return out;
}

lmail_status kit_store(kit *k, lmail_store_mailbox *m, lmail_uid first, lmail_uid last,
                       lmail_store_mode mode, lmail_flags flags, const char *keyword)
{
    lmail_set_flags_args args = LMAIL_SET_FLAGS_ARGS_INIT;
    lmail_set_flags_result result;
    lmail_uid_range range = {first, last};
    lmail_str word = lmail_str_from(keyword);
    args.uids = (lmail_uid_set){&range, 1};
    args.mode = mode;
    args.flags = flags;
    args.keywords = &word;
    args.keyword_count = keyword != NULL;
    lmail_status st = k->store->set_flags(m, &args, &result);
    lmail_uid_list_free(&result.changed);
    lmail_uid_list_free(&result.failed);
    return st;
}

lmail_status kit_expunge(kit *k, lmail_store_mailbox *m, lmail_uid first, lmail_uid last)
{
    lmail_uid_range range = {first, last};
    lmail_uid_set set = {&range, 1};
    lmail_uid_list vanished;
    lmail_status st = k->store->expunge(m, &set, LMAIL_EXPUNGE_ALL, &vanished, NULL);
    lmail_uid_list_free(&vanished);
    return st;
}

const char *kit_body(kit *k, lmail_store_mailbox *m, lmail_uid uid)
{
    size_t n = 0, got = 1;
    /* in odd pieces, so that every path of the range read runs */
    while (got && n < sizeof text_buffer - 8) {
        lmail_status st = k->store->read(m, uid, n, text_buffer + n, 7, 0, &got);
        if (st)
            return lmail_status_name(st);
        n += got;
    }
    text_buffer[n] = '\0';
    return text_buffer;
}

typedef struct lines {
    char text[65536];
    size_t n;
} lines;

static int on_list(void *user, const lmail_list_row *r)
{
    lines *l = user;
    l->n +=
        (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, "%.*s%s%s%s%s%s\n",
                         (int)r->name.len, r->name.ptr, r->exists ? "" : " *no",
                         r->has_children ? " +children" : "", r->subscribed ? " subscribed" : "",
                         r->special_use ? " " : "", lmail_special_use_name(r->special_use));
    return 0;
}

const char *kit_list(kit *k)
{
    static lines l;
    l.n = 0;
    l.text[0] = '\0';
    ck_assert_int_eq(k->store->list(k->account, on_list, &l), LMAIL_OK);
    return l.text;
}

const char *kit_search(kit *k, lmail_store_mailbox *m, const lmail_search *tree)
{
    const lmail_snapshot *s = kit_snapshot(k, m);
    lmail_uid_list found;
    ck_assert_int_eq(k->store->search(m, s, tree, (lmail_uid_set){NULL, 0}, &found), LMAIL_OK);
    const char *out = kit_set(lmail_uid_list_set(&found));
    lmail_uid_list_free(&found);
    lmail_snapshot_unref(s);
    return out;
}
