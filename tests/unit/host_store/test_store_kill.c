/* Kill -9 a process that delivers, again and again: what it acknowledged is there exactly once,
 * what it did not acknowledge at most once, and no file that shows is torn. */
#include "host_store.h"

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

Suite *store_kill_suite(void);

enum { ROUNDS = 12, LETTERS = 4096 };

static kit k;
static unsigned char acknowledged[ROUNDS][LETTERS], stored[ROUNDS][LETTERS];

static void child(int round, int out)
{
    static char text[20000];
    kit_restart(&k);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    for (unsigned n = 0; n < LETTERS; n++) {
        lmail_uid uid;
        int len = snprintf(text, sizeof text, "Message-ID: <%d.%u>\n\n", round, n);
        for (unsigned i = 0; i < n % 200; i++)
            len += snprintf(text + len, sizeof text - (size_t)len, "a line that fills it\n");
        snprintf(text + len, sizeof text - (size_t)len, "end of %d.%u\n", round, n);
        if (kit_deliver(&k, "INBOX", text, n % 3 ? 0 : LMAIL_FLAG_SEEN, &uid))
            _exit(1);
        if (write(out, &n, sizeof n) != sizeof n)
            _exit(1);
        /* work that must not disturb what is there */
        if (n % 5 == 0 && uid) {
            kit_store(&k, m, uid, uid, LMAIL_STORE_ADD, LMAIL_FLAG_FLAGGED, "word");
            k.store->tidy(k.account, 3);
        }
    }
    _exit(0);
}

static void one_round(int round)
{
    int pipes[2];
    unsigned n;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0)
        child(round, pipes[1]);
    close(pipes[1]);
    ck_assert_int_eq((int)read(pipes[0], &n, sizeof n), (int)sizeof n);
    acknowledged[round][n] = 1;
    nanosleep(&(struct timespec){0, 30000000 + 15000000 * round}, NULL);
    kill(pid, SIGKILL);
    while (read(pipes[0], &n, sizeof n) == sizeof n)
        acknowledged[round][n] = 1;
    close(pipes[0]);
    waitpid(pid, NULL, 0);
}

static unsigned look(const char *sub)
{
    unsigned files = 0;
    char path[1024];
    DIR *d = opendir(kit_path(&k, sub));
    struct dirent *e;
    while (d && (e = readdir(d))) {
        int round, n, chars = 0;
        char tail[64];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%.255s", sub, e->d_name);
        const char *text = kit_read(kit_path(&k, path));
        ck_assert_int_eq(sscanf(text, "Message-ID: <%d.%d>%n", &round, &n, &chars), 2);
        snprintf(tail, sizeof tail, "end of %d.%d\r\n", round, n);
        ck_assert_uint_gt(strlen(text), strlen(tail));
        ck_assert_str_eq(text + strlen(text) - strlen(tail), tail);
        const char *size = strstr(e->d_name, ",S=");
        ck_assert(size && strtoul(size + 3, NULL, 10) == strlen(text));
        stored[round][n]++;
        files++;
    }
    if (d)
        closedir(d);
    return files;
}

START_TEST(a_killed_process_loses_nothing_acknowledged)
{
    unsigned acks = 0;
    kit_start(&k, KIT_MAILDIR);
    for (int round = 0; round < ROUNDS; round++)
        one_round(round);
    unsigned files = look("new") + look("cur");
    for (int round = 0; round < ROUNDS; round++) {
        for (int n = 0; n < LETTERS; n++) {
            ck_assert_uint_le(stored[round][n], 1);
            ck_assert_uint_ge(stored[round][n], acknowledged[round][n]);
            acks += acknowledged[round][n];
        }
    }
    ck_assert_uint_ge(acks, ROUNDS);
    lmail_store_mailbox *m = kit_open(&k, "INBOX", 0);
    const lmail_snapshot *s = kit_snapshot(&k, m);
    ck_assert_uint_eq(lmail_snapshot_facts(s)->messages, files);
    lmail_snapshot_unref(s);
    k.store->mailbox_close(m);
    kit_stop(&k);
}
END_TEST

Suite *store_kill_suite(void)
{
    Suite *s = suite_create("store_kill");
    TCase *c = tcase_create("kill");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_killed_process_loses_nothing_acknowledged);
    suite_add_tcase(s, c);
    return s;
}
