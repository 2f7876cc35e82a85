/* Messages reach the client octet for octet, however the store hands them out. */
#include "host_loopback.h"
#include "host_service.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static whole w;

/* ---- A store whose cache gives little --------------------------------------------------------- */

/* Octets of one read that does not wait: fixed, or for 0 what the next of `odd` says (0: PENDING). */
static unsigned given;
static atomic_uint asks;
static const unsigned odd[] = {1, 0, 7, 509, 0, 0, 4096, 3, 8191, 2, 1021};

static lmail_status read_little(lmail_store_mailbox *m, lmail_uid uid, uint64_t offset, char *buf,
                                size_t cap, unsigned flags, size_t *got)
{
    unsigned n = given;
    if (!(flags & LMAIL_READ_NOWAIT))
        return w.store->read(m, uid, offset, buf, cap, flags, got);
    if (!n)
        n = odd[atomic_fetch_add(&asks, 1) % (sizeof odd / sizeof *odd)];
    if (!n) {
        *got = 0;
        return LMAIL_PENDING;
    }
    return w.store->read(m, uid, offset, buf, cap < n ? cap : n, flags, got);
}

static void start(void)
{
    memset(&w, 0, sizeof w);
    ck_assert_int_eq(lmail_store_memory_new(NULL, &w.store), LMAIL_OK);
    w.table = *w.store;
}

/* What the store has of alice's first message. */
static char *stored(size_t *len)
{
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    lmail_store_account *alice;
    lmail_store_mailbox *m;
    char *text = malloc(1 << 20);
    args.name = LMAIL_STR("alice");
    ck_assert_int_eq(w.store->account_open(w.store->ctx, &args, &alice), LMAIL_OK);
    ck_assert_int_eq(w.store->mailbox_open(alice, LMAIL_STR("INBOX"), LMAIL_OPEN_READ_ONLY, &m),
                     LMAIL_OK);
    ck_assert_int_eq(w.store->read(m, 1, 0, text, 1 << 20, 0, len), LMAIL_OK);
    w.store->mailbox_close(m);
    w.store->account_close(alice);
    return text;
}

static void send_lines(unsigned lines)
{
    int fd = dial_whole(&w, "smtp");
    ask(fd, "EHLO c.test\r\n", "250 ");
    ask(fd, "MAIL FROM:<x@far.test>\r\n", "250 ");
    ask(fd, "RCPT TO:<alice@example.test>\r\n", "250 ");
    ask(fd, "DATA\r\n", "354 ");
    say(fd, "Subject: many lines\r\nX-Other: folded\r\n\tfield\r\n\r\n");
    for (unsigned i = 0; i < lines; i++) {
        char line[100];
        snprintf(line, sizeof line, "%sline %u of a message\r\n", i % 3 ? "" : "..", i);
        say(fd, line);
    }
    ask(fd, ".\r\n", "250 ");
    close(fd);
}

/* What follows "{n}" in the next line that has it; in a block of n octets. */
static char *literal(int fd, size_t *len)
{
    const char *line = hear(fd), *brace;
    while (!(brace = strchr(line, '{')))
        line = hear(fd);
    *len = strtoul(brace + 1, NULL, 10);
    char *text = malloc(*len + 1);
    for (size_t n = 0; n < *len;) {
        ssize_t got = read(fd, text + n, *len - n);
        ck_assert_int_gt(got, 0);
        n += (size_t)got;
    }
    return text;
}

static void fetched(int fd, const char *section, const char *want, size_t want_len)
{
    char line[200];
    size_t len;
    snprintf(line, sizeof line, "c FETCH 1 BODY.PEEK[%s\r\n", section);
    say(fd, line);
    char *text = literal(fd, &len);
    ck_assert_msg(len == want_len, "%s: %zu octets of %zu", section, len, want_len);
    ck_assert_msg(memcmp(text, want, len) == 0, "%s: other octets", section);
    free(text);
    ask(fd, "", "c OK");
}

static void read_by_imap(const char *text, size_t len)
{
    static const char fields[] = "X-Other: folded\r\n\tfield\r\n\r\n";
    const char *body = strstr(text, "\r\n\r\n") + 4;
    size_t head = (size_t)(body - text);
    int fd = dial_whole(&w, "imap");
    ask(fd, "a LOGIN alice secret\r\n", "a OK");
    ask(fd, "b SELECT INBOX\r\n", "b OK");
    fetched(fd, "]", text, len);
    fetched(fd, "TEXT]", body, len - head);
    fetched(fd, "HEADER]", text, head);
    fetched(fd, "HEADER.FIELDS (X-OTHER)]", fields, sizeof fields - 1);
    fetched(fd, "]<100.999>", text + 100, 999);
    close(fd);
}

static void read_by_pop3(const char *text, size_t len)
{
    int fd = dial_whole(&w, "pop3");
    size_t at = 0;
    ask(fd, "USER alice\r\n", "+OK");
    ask(fd, "PASS secret\r\n", "+OK");
    ask(fd, "RETR 1\r\n", "+OK");
    for (;;) {
        const char *line = hear(fd);
        if (strcmp(line, ".\r\n") == 0)
            break;
        line += line[0] == '.';
        size_t n = strlen(line);
        ck_assert_uint_le(n, len - at);
        ck_assert_int_eq(memcmp(text + at, line, n), 0);
        at += n;
    }
    ck_assert_uint_eq(at, len);
    close(fd);
}

START_TEST(test_a_cache_that_gives_little)
{
    static const struct row {
        unsigned given, lines;
    } rows[] = {{1, 100}, {7, 1000}, {1021, 20000}, {0, 20000}};
    size_t len;
    start();
    given = rows[_i].given;
    w.table.read = read_little;
    start_whole(&w, "");
    send_lines(rows[_i].lines);
    char *text = stored(&len);
    text[len] = '\0';
    read_by_imap(text, len);
    read_by_pop3(text, len);
    free(text);
    stop_whole(&w);
}
END_TEST

/* ---- A slice that is gone -------------------------------------------------------------------- */

static lmail_status fetch_ten(lmail_store_mailbox *m, const lmail_fetch_args *args,
                              lmail_row_fn *fn, void *user, lmail_uid *next)
{
    lmail_fetch_args few = *args;
    few.max_rows = args->max_rows && args->max_rows < 10 ? args->max_rows : 10;
    return w.store->fetch(m, &few, fn, user, next);
}

static lmail_uid gone_first, gone_last;

static lmail_status read_some(lmail_store_mailbox *m, lmail_uid uid, uint64_t offset, char *buf,
                              size_t cap, unsigned flags, size_t *got)
{
    *got = 0;
    if (uid >= gone_first && uid <= gone_last)
        return LMAIL_ERR_NOTFOUND;
    return w.store->read(m, uid, offset, buf, cap, flags, got);
}

START_TEST(test_a_slice_of_which_all_is_gone)
{
    static const struct row {
        lmail_uid first, last;
        unsigned left;
    } rows[] = {{1, 10, 25}, {1, 30, 5}, {11, 20, 25}, {5, 33, 6}, {26, 35, 25}, {1, 35, 0}};
    start();
    w.table.fetch = fetch_ten;
    w.table.read = read_some;
    start_whole(&w, "");
    int fd = dial_whole(&w, "imap");
    ask(fd, "a LOGIN alice secret\r\n", "a OK");
    for (int i = 0; i < 35; i++)
        ask(fd, "b APPEND INBOX {14+}\r\nSubject: x\r\n\r\n\r\n", "b OK");
    ask(fd, "c SELECT INBOX\r\n", "c OK");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned rows_heard = 0;
        const char *line;
        gone_first = rows[i].first;
        gone_last = rows[i].last;
        say(fd, "d FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\n");
        while ((line = hear(fd))[0] != 'd')
            rows_heard += strstr(line, " FETCH (") != NULL;
        ck_assert_msg(rows_heard == rows[i].left, "%u to %u gone: %u rows", gone_first, gone_last,
                      rows_heard);
        ck_assert_msg(strncmp(line, "d NO [EXPUNGEISSUED]", 20) == 0, "%s", line);
    }
    close(fd);
    stop_whole(&w);
}
END_TEST

Suite *service_octets_suite(void)
{
    Suite *s = suite_create("service_octets");
    TCase *c = tcase_create("octets");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_a_cache_that_gives_little, 0, 4);
    tcase_add_test(c, test_a_slice_of_which_all_is_gone);
    suite_add_tcase(s, c);
    return s;
}
