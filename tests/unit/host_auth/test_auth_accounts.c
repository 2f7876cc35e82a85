/* The account file: lines good and damaged, names with and without domain, edits seen at the next
 * look, writers that do not lose each other's changes, and sources of an embedder's own. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libmail/host/accounts.h>

static char dir[64], path[96];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/auth_accounts.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/accounts", dir);
}

static void remove_dir(void)
{
    char lock[128];
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(lock);
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left behind */
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fchmod(fileno(file), 0600), 0);
    fclose(file);
}

static void read_file(char out[4096])
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    out[fread(out, 1, 4095, file)] = '\0';
    fclose(file);
}

typedef struct faults {
    unsigned count;
    char text[1024];
} faults;

static void note_fault(void *user, const lmail_accounts_fault *fault)
{
    faults *f = user;
    size_t len = strlen(f->text);
    f->count++;
    snprintf(f->text + len, sizeof f->text - len, "%lu: %.*s\n", fault->line, (int)fault->what.len,
             fault->what.ptr);
}

static lmail_accounts *from_text(const char *text, const char *domain, faults *f)
{
    lmail_accounts *a;
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    memset(f, 0, sizeof *f);
    cfg.default_domain = lmail_str_from(domain);
    cfg.on_fault = note_fault;
    cfg.user = f;
    ck_assert_int_eq(lmail_accounts_from_text(&a, lmail_str_from(text), &cfg), LMAIL_OK);
    return a;
}

static int exists(lmail_accounts *a, const char *name)
{
    lmail_account account;
    if (lmail_accounts_find(a, lmail_str_from(name), &account) != LMAIL_OK) {
        return 0;
    }
    lmail_accounts_release(a, &account);
    return 1;
}

static int fits(lmail_accounts *a, const char *name, const char *password)
{
    lmail_account account;
    lmail_status status =
        lmail_accounts_verify(a, lmail_str_from(name), lmail_str_from(password), &account);
    if (status != LMAIL_OK) {
        ck_assert_int_eq(status, LMAIL_ERR_DENIED);
        return 0;
    }
    lmail_accounts_release(a, &account);
    return 1;
}

START_TEST(a_line_says_all_about_an_account)
{
    faults f;
    lmail_account account;
    lmail_accounts *a =
        from_text("# comment\r\n\r\njuan:{PLAIN}secreto:1000:1001:Juan P:/home/juan:/bin/sh:"
                  "userdb_quota=1G disabled=0 note=a:b\r\n",
                  NULL, &f);
    ck_assert_str_eq(f.text, "");
    ck_assert_int_eq(lmail_accounts_find(a, LMAIL_STR("JUAN"), &account), LMAIL_OK);
    ck_assert_uint_eq(account.uid, 1000);
    ck_assert_uint_eq(account.gid, 1001);
    ck_assert(lmail_str_equal(account.name, LMAIL_STR("juan")));
    ck_assert(lmail_str_equal(account.gecos, LMAIL_STR("Juan P")));
    ck_assert(lmail_str_equal(account.home, LMAIL_STR("/home/juan")));
    ck_assert(lmail_str_equal(account.extra, LMAIL_STR("userdb_quota=1G disabled=0 note=a:b")));
    ck_assert_uint_eq(account.disabled, 0);
    ck_assert_uint_eq(account.has, LMAIL_ACCOUNT_PASSWORD | LMAIL_ACCOUNT_SCRAM_SHA_1 |
                                       LMAIL_ACCOUNT_SCRAM_SHA_256 | LMAIL_ACCOUNT_SECRET);
    lmail_accounts_release(a, &account);
    lmail_accounts_free(a);
}
END_TEST

START_TEST(ids_may_be_names_that_the_system_knows)
{
    faults f;
    lmail_account account;
    lmail_accounts *a =
        from_text("juan:{PLAIN}x:root:root\nana:{PLAIN}y:5000:root\neva:{PLAIN}z:root", NULL, &f);
    static const struct {
        const char *name;
        uint32_t uid, gid;
    } want[] = {{"juan", 0, 0}, {"ana", 5000, 0}, {"eva", 0, LMAIL_NO_ID}};
    ck_assert_str_eq(f.text, "");
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        ck_assert_int_eq(lmail_accounts_find(a, lmail_str_from(want[i].name), &account), LMAIL_OK);
        ck_assert_uint_eq(account.uid, want[i].uid);
        ck_assert_uint_eq(account.gid, want[i].gid);
        lmail_accounts_release(a, &account);
    }
    lmail_accounts_free(a);
}
END_TEST

static const struct {
    const char *line, *fault;
} damaged[] = {
    {"juan", "2: there is no colon after the name\n"},
    {":{PLAIN}x", "2: the name is empty\n"},
    {"ju an:{PLAIN}x", "2: the name holds what no account name may hold\n"},
    {"../etc:{PLAIN}x", "2: the name holds what no account name may hold\n"},
    {"juan:{NOSUCH}x", "2: the password scheme is unknown\n"},
    {"juan:{PLAIN}x:no-such-user",
     "2: the system has no user of the name that stands in the uid's place\n"},
    {"juan:{PLAIN}x:4294967295", "2: the uid is too large\n"},
    {"juan:{PLAIN}x:1:-1",
     "2: the system has no group of the name that stands in the gid's place\n"},
    {"juan:{PLAIN}x::::::secret=?", "2: secret= is not the base64 of a password\n"},
    {"juan:{PLAIN}x::::::secret=", "2: secret= is not the base64 of a password\n"},
    {"juan:{PLAIN}x::::::secret=AA==", "2: secret= is not the base64 of a password\n"},
    {"juan:{PLAIN}x::::::scram_sha_1=4096,eA==,eA==,eA==", "2: a SCRAM key has the wrong length\n"},
    {"juan:{PLAIN}x::::::allow_nets=", "2: allow_nets= is no list of networks\n"},
    {"juan:{PLAIN}x::::::allow_nets=192.0.2.0/33", "2: allow_nets= is no list of networks\n"},
    {"juan:{PLAIN}x::::::allow_nets=192.0.2.1,,::1", "2: allow_nets= is no list of networks\n"},
    {"juan:{PLAIN}x::::::allow_nets=unix", "2: allow_nets= is no list of networks\n"},
    {"good:{PLAIN}other", "2: the name is already on line 1, which holds\n"},
    {"Good:{PLAIN}other", "2: the name is already on line 1, which holds\n"},
};

START_TEST(a_damaged_line_is_named_and_the_others_hold)
{
    faults f;
    char text[512];
    snprintf(text, sizeof text, "good:{PLAIN}bueno\n%s\nlast:{PLAIN}ultimo", damaged[_i].line);
    lmail_accounts *a = from_text(text, NULL, &f);
    ck_assert_str_eq(f.text, damaged[_i].fault);
    ck_assert(fits(a, "good", "bueno"));
    ck_assert(fits(a, "last", "ultimo"));
    ck_assert(!fits(a, "good", "other"));
    ck_assert(!exists(a, "juan"));
    lmail_accounts_free(a);
}
END_TEST

START_TEST(the_default_domain_may_be_left_out_on_either_side)
{
    faults f;
    lmail_accounts *a =
        from_text("juan:{PLAIN}a\nana@example.org:{PLAIN}b\neva@other.example:{PLAIN}c\n"
                  "dos:{PLAIN}d\ndos@example.org:{PLAIN}e\nJos\xc3\x89:{PLAIN}f\n",
                  "Example.ORG", &f);
    static const struct {
        const char *name, *password;
        int in;
    } rows[] = {
        {"juan", "a", 1},
        {"juan@example.org", "a", 1},
        {"JUAN@EXAMPLE.ORG", "a", 1},
        {"juan@x.org", "a", 0},
        {"ana", "b", 1},
        {"ana@example.org", "b", 1},
        {"eva", "c", 0},
        {"eva@other.example", "c", 1},
        {"dos", "d", 1},
        {"dos", "e", 0},
        {"dos@example.org", "e", 1},
        {"dos@example.org", "d", 0},
        {"jos\xc3\xa9", "f", 1},
        {"JOSE\xcc\x81@example.org", "f", 1},
    };
    ck_assert_str_eq(f.text, "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(fits(a, rows[i].name, rows[i].password) == rows[i].in, "%s", rows[i].name);
    }
    lmail_accounts_free(a);
}
END_TEST

START_TEST(an_edit_holds_at_the_next_login)
{
    lmail_accounts *a;
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), NULL), LMAIL_OK); /* none yet */
    ck_assert(!exists(a, "juan"));
    write_file("juan:{PLAIN}uno\n");
    ck_assert(fits(a, "juan", "uno"));
    for (int i = 0; i < 20; i++) { /* the same size, inode and perhaps time stamp */
        write_file(i % 2 ? "juan:{PLAIN}uno\n" : "juan:{PLAIN}dos\n");
        ck_assert(fits(a, "juan", i % 2 ? "uno" : "dos"));
        ck_assert(!fits(a, "juan", i % 2 ? "dos" : "uno"));
    }
    lmail_account held;
    ck_assert_int_eq(lmail_accounts_find(a, LMAIL_STR("juan"), &held), LMAIL_OK);
    unlink(path);
    ck_assert(!exists(a, "juan"));
    ck_assert(lmail_str_equal(held.secret, LMAIL_STR("uno"))); /* what was handed out stays */
    lmail_accounts_release(a, &held);
    lmail_accounts_free(a);
    write_file("");
    unlink(path);
}
END_TEST

START_TEST(what_is_in_memory_is_found_without_a_wait)
{
    faults f;
    lmail_account account;
    lmail_accounts *a = from_text("juan:{PLAIN}uno\n", "example.test", &f);
    ck_assert_int_eq(lmail_accounts_find_now(a, LMAIL_STR("Juan@example.test"), &account),
                     LMAIL_OK);
    ck_assert(lmail_str_equal(account.name, LMAIL_STR("juan")));
    lmail_accounts_release(a, &account);
    ck_assert_int_eq(lmail_accounts_find_now(a, LMAIL_STR("ana"), &account), LMAIL_PENDING);
    lmail_accounts_free(a);

    write_file("juan:{PLAIN}uno\n");
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), NULL), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_find_now(a, LMAIL_STR("juan"), &account), LMAIL_PENDING);
    lmail_status status = LMAIL_PENDING;
    for (int i = 0; i < 100 && status == LMAIL_PENDING; i++) { /* until its time stamp is old */
        usleep(10000);
        ck_assert(exists(a, "juan"));
        status = lmail_accounts_find_now(a, LMAIL_STR("juan"), &account);
    }
    ck_assert_int_eq(status, LMAIL_OK);
    lmail_accounts_release(a, &account);
    lmail_accounts_free(a);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_changes_nothing)
{
    lmail_accounts *a;
    faults f = {0, ""};
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    cfg.on_fault = note_fault;
    cfg.user = &f;
    write_file("juan:{PLAIN}uno\n");
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), &cfg), LMAIL_OK);
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0); /* as root, a mode would not stop us */
    ck_assert(fits(a, "juan", "uno"));
    ck_assert(fits(a, "juan", "uno"));
    ck_assert_uint_eq(f.count, 1);
    lmail_accounts *b;
    ck_assert_int_eq(lmail_accounts_open(&b, lmail_str_from(path), NULL), LMAIL_ERR_IO);
    rmdir(path);
    lmail_accounts_free(a);
}
END_TEST

static lmail_accounts_edit *begin(void)
{
    lmail_accounts_edit *e;
    ck_assert_int_eq(lmail_accounts_edit_new(&e, lmail_str_from(path)), LMAIL_OK);
    return e;
}

/* Looked for line by line it took hours. */
START_TEST(a_hundred_thousand_accounts_are_made_in_one_edit)
{
    enum { MANY = 100000 };
    char name[32];
    write_file("# mine\njuan:{PLAIN}uno\nJUAN:{PLAIN}dos");
    lmail_accounts_edit *e = begin();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "User%d@example.org", i);
        ck_assert_int_eq(lmail_accounts_edit_add(e, lmail_str_from(name)), LMAIL_OK);
        ck_assert_int_eq(lmail_accounts_edit_password(e, lmail_str_from(name), LMAIL_STR("")),
                         LMAIL_OK);
    }
    ck_assert_int_eq(lmail_accounts_edit_add(e, LMAIL_STR("user7@EXAMPLE.org")), LMAIL_ERR_EXISTS);
    ck_assert_int_eq(lmail_accounts_edit_remove(e, LMAIL_STR("user99998@example.org")), LMAIL_OK);
    /* Of two lines of a name the first is meant; it gone, the second. */
    ck_assert_int_eq(lmail_accounts_edit_remove(e, LMAIL_STR("juan")), LMAIL_OK);
    ck_assert(lmail_accounts_edit_has(e, LMAIL_STR("juan")));
    ck_assert_int_eq(lmail_accounts_edit_commit(e), LMAIL_OK);
    lmail_accounts_edit_free(e);
    lmail_accounts *a;
    faults f = {0, ""};
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    cfg.on_fault = note_fault;
    cfg.user = &f;
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), &cfg), LMAIL_OK);
    ck_assert_str_eq(f.text, "");
    ck_assert(fits(a, "juan", "dos"));
    ck_assert(exists(a, "user0@example.org"));
    ck_assert(exists(a, "user99999@example.org"));
    ck_assert(!exists(a, "user99998@example.org"));
    lmail_accounts_free(a);
    unlink(path);
}
END_TEST

START_TEST(an_account_is_made_changed_and_removed)
{
    char text[4096];
    lmail_accounts_edit *e = begin();
    lmail_str juan = LMAIL_STR("Juan");
    ck_assert_int_eq(lmail_accounts_edit_password(e, juan, LMAIL_STR("x")), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_accounts_edit_add(e, juan), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_add(e, LMAIL_STR("juan")), LMAIL_ERR_EXISTS);
    ck_assert_int_eq(lmail_accounts_edit_add(e, LMAIL_STR("a:b")), LMAIL_ERR_SYNTAX);
    ck_assert_int_eq(lmail_accounts_edit_password(e, juan, LMAIL_STR("a\nb")), LMAIL_ERR_ARG);
    ck_assert_int_eq(lmail_accounts_edit_password(e, juan, LMAIL_STR("secreto")), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_secret(e, juan, LMAIL_STR("secreto"), 1), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_commit(e), LMAIL_OK);
    lmail_accounts_edit_free(e);

    lmail_accounts *a;
    lmail_account account;
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), NULL), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_verify(a, juan, LMAIL_STR("secreto"), &account), LMAIL_OK);
    ck_assert(lmail_str_equal(account.secret, LMAIL_STR("secreto")));
    ck_assert_uint_eq(account.scram_sha_1.stored_key.len, 20);
    ck_assert_uint_eq(account.scram_sha_256.stored_key.len, 32);
    lmail_accounts_release(a, &account);

    e = begin();
    ck_assert_int_eq(lmail_accounts_edit_secret(e, juan, LMAIL_STR("otro"), 0), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_commit(e), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_find(a, juan, &account), LMAIL_OK);
    ck_assert_uint_eq(account.has, LMAIL_ACCOUNT_PASSWORD | LMAIL_ACCOUNT_SCRAM_SHA_1 |
                                       LMAIL_ACCOUNT_SCRAM_SHA_256);
    lmail_accounts_release(a, &account);
    ck_assert_int_eq(lmail_accounts_edit_secret(e, juan, LMAIL_STR(""), 0), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_password(e, juan, LMAIL_STR("")), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_commit(e), LMAIL_OK);
    read_file(text);
    ck_assert_str_eq(text, "juan:!::::::\n");
    ck_assert_int_eq(lmail_accounts_edit_remove(e, juan), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_remove(e, juan), LMAIL_ERR_NOTFOUND);
    ck_assert_int_eq(lmail_accounts_edit_commit(e), LMAIL_OK);
    lmail_accounts_edit_free(e);
    read_file(text);
    ck_assert_str_eq(text, "");
    lmail_accounts_free(a);
}
END_TEST

START_TEST(lines_that_are_not_meant_keep_every_octet)
{
    char text[4096];
    struct stat st;
    write_file(
        "# by hand\n\nbad line\njuan:{PLAIN}x:1:2:Juan:/h::quota=1G  secret=eA== a=b\r\nlast:!");
    lmail_accounts_edit *e = begin();
    ck_assert_int_eq(lmail_accounts_edit_secret(e, LMAIL_STR("juan"), LMAIL_STR(""), 0), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_add(e, LMAIL_STR("nueva")), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_edit_commit(e), LMAIL_OK);
    lmail_accounts_edit_free(e);
    read_file(text);
    ck_assert_str_eq(text,
                     "# by hand\n\nbad line\njuan:{PLAIN}x:1:2:Juan:/h::quota=1G a=b\r\nlast:!\n"
                     "nueva:!::::::\n");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(what_is_not_committed_is_not_written)
{
    char text[4096];
    write_file("juan:!\n");
    lmail_accounts_edit *e = begin();
    ck_assert_int_eq(lmail_accounts_edit_remove(e, LMAIL_STR("juan")), LMAIL_OK);
    lmail_accounts_edit_free(e);
    read_file(text);
    ck_assert_str_eq(text, "juan:!\n");
    ck_assert_int_eq(lmail_accounts_edit_new(&e, LMAIL_STR("/nonexistent/accounts")), LMAIL_ERR_IO);
    ck_assert_int_eq(lmail_accounts_edit_new(&e, lmail_str_from(dir)), LMAIL_ERR_IO);
    snprintf(text, sizeof text, "%s.lock", dir);
    unlink(text);
}
END_TEST

START_TEST(writers_do_not_lose_each_others_changes)
{
    enum { WRITERS = 6, EACH = 8 };
    for (int w = 0; w < WRITERS; w++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            for (int i = 0; i < EACH; i++) {
                char name[16];
                lmail_accounts_edit *e;
                snprintf(name, sizeof name, "u%d.%d", w, i);
                if (lmail_accounts_edit_new(&e, lmail_str_from(path)) != LMAIL_OK ||
                    lmail_accounts_edit_add(e, lmail_str_from(name)) != LMAIL_OK ||
                    lmail_accounts_edit_commit(e) != LMAIL_OK) {
                    _exit(1);
                }
                lmail_accounts_edit_free(e);
            }
            _exit(0);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    lmail_accounts *a;
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), NULL), LMAIL_OK);
    for (int w = 0; w < WRITERS; w++) {
        for (int i = 0; i < EACH; i++) {
            char name[16];
            snprintf(name, sizeof name, "u%d.%d", w, i);
            ck_assert_msg(exists(a, name), "%s", name);
        }
    }
    lmail_accounts_free(a);
}
END_TEST

static void *look(void *arg)
{
    lmail_accounts *a = arg;
    for (int i = 0; i < 300; i++) {
        lmail_account account;
        if (lmail_accounts_find(a, LMAIL_STR("juan"), &account) == LMAIL_OK) {
            if (account.secret.len != 3) {
                return "torn";
            }
            lmail_accounts_release(a, &account);
        }
    }
    return NULL;
}

START_TEST(readers_go_on_while_the_file_is_replaced)
{
    pthread_t threads[4];
    lmail_accounts *a;
    write_file("juan:{PLAIN}uno\n");
    ck_assert_int_eq(lmail_accounts_open(&a, lmail_str_from(path), NULL), LMAIL_OK);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, look, a), 0);
    }
    for (int i = 0; i < 20; i++) {
        char name[16];
        lmail_accounts_edit *e = begin();
        snprintf(name, sizeof name, "u%d", i);
        ck_assert_int_eq(lmail_accounts_edit_add(e, lmail_str_from(name)), LMAIL_OK);
        ck_assert_int_eq(lmail_accounts_edit_commit(e), LMAIL_OK);
        lmail_accounts_edit_free(e);
    }
    for (int i = 0; i < 4; i++) {
        void *fault;
        pthread_join(threads[i], &fault);
        ck_assert_ptr_null(fault);
    }
    lmail_accounts_free(a);
}
END_TEST

/* ---- A source of an embedder's own ----------------------------------------------------------- */

typedef struct own_source {
    unsigned finds, verifies, releases, closed;
} own_source;

static lmail_status own_find(void *ctx, lmail_str name, lmail_account *out)
{
    ((own_source *)ctx)->finds++;
    if (lmail_str_equal(name, LMAIL_STR("broken@example.org"))) {
        return LMAIL_ERR_IO;
    }
    if (!lmail_str_equal(name, LMAIL_STR("ana@example.org"))) {
        return LMAIL_ERR_NOTFOUND;
    }
    out->size = sizeof *out;
    out->name = LMAIL_STR("ana@example.org");
    return LMAIL_OK;
}

static lmail_status own_verify(void *ctx, lmail_str name, lmail_str password, lmail_account *out)
{
    ((own_source *)ctx)->verifies++;
    return lmail_str_equal(password, LMAIL_STR("x")) ? own_find(ctx, name, out) : LMAIL_ERR_DENIED;
}

static void own_release(void *ctx, lmail_account *account)
{
    (void)account;
    ((own_source *)ctx)->releases++;
}

static void own_close(void *ctx)
{
    ((own_source *)ctx)->closed++;
}

START_TEST(a_source_of_ones_own_is_asked_once_a_password)
{
    own_source own = {0, 0, 0, 0};
    lmail_accounts *a;
    lmail_account account;
    lmail_accounts_config cfg = LMAIL_ACCOUNTS_CONFIG_INIT;
    lmail_accounts_source source = {sizeof source, &own,      own_find, own_release, own_verify,
                                    NULL,          own_close, NULL,     NULL,        NULL};
    cfg.default_domain = LMAIL_STR("example.org");
    ck_assert_int_eq(lmail_accounts_new(&a, &source, &cfg), LMAIL_OK);
    ck_assert_int_eq(lmail_accounts_verify(a, LMAIL_STR("Ana"), LMAIL_STR("x"), &account),
                     LMAIL_OK);
    ck_assert(lmail_str_equal(account.name, LMAIL_STR("ana@example.org")));
    ck_assert_uint_eq(own.verifies, 1);
    lmail_accounts_release(a, &account);
    ck_assert_uint_eq(own.releases, 2);
    ck_assert_int_eq(lmail_accounts_verify(a, LMAIL_STR("no one"), LMAIL_STR("x"), &account),
                     LMAIL_ERR_DENIED);
    ck_assert_uint_eq(own.verifies, 2);
    ck_assert_int_eq(lmail_accounts_find(a, LMAIL_STR("broken"), &account), LMAIL_ERR_IO);
    ck_assert_int_eq(lmail_accounts_each(a, NULL, NULL), LMAIL_ERR_UNSUPPORTED);
    lmail_accounts_free(a);
    ck_assert_uint_eq(own.closed, 1);
    source.find = NULL;
    ck_assert_int_eq(lmail_accounts_new(&a, &source, &cfg), LMAIL_ERR_ARG);
    source.size = sizeof source + 8;
    ck_assert_int_eq(lmail_accounts_new(&a, &source, &cfg), LMAIL_ERR_SIZE);
}
END_TEST

Suite *auth_accounts_suite(void)
{
    Suite *s = suite_create("auth_accounts");
    TCase *t = tcase_create("text");
    tcase_add_test(t, a_line_says_all_about_an_account);
    tcase_add_test(t, ids_may_be_names_that_the_system_knows);
    tcase_add_loop_test(t, a_damaged_line_is_named_and_the_others_hold, 0,
                        (int)(sizeof damaged / sizeof damaged[0]));
    tcase_add_test(t, the_default_domain_may_be_left_out_on_either_side);
    tcase_add_test(t, a_source_of_ones_own_is_asked_once_a_password);
    suite_add_tcase(s, t);
    t = tcase_create("file");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, an_edit_holds_at_the_next_login);
    tcase_add_test(t, what_is_in_memory_is_found_without_a_wait);
    tcase_add_test(t, a_file_that_cannot_be_read_changes_nothing);
    tcase_add_test(t, a_hundred_thousand_accounts_are_made_in_one_edit);
    tcase_add_test(t, an_account_is_made_changed_and_removed);
    tcase_add_test(t, lines_that_are_not_meant_keep_every_octet);
    tcase_add_test(t, what_is_not_committed_is_not_written);
    tcase_add_test(t, writers_do_not_lose_each_others_changes);
    tcase_add_test(t, readers_go_on_while_the_file_is_replaced);
    suite_add_tcase(s, t);
    return s;
}
