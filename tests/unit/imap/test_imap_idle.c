/* What a session costs while its client idles, and what a mailbox costs it. */
#include "imap/imap_internal.h"
#include "support/count_alloc.h"
#include "support/script.h"

#include <check.h>
#include <string.h>

Suite *imap_idle_suite(void);

extern const script_adaptor script_imap;

static void say(script *h, const char *text)
{
    script_input(h, text, strlen(text));
    script_run(h);
}

START_TEST(an_idling_session_is_small)
{
    count_alloc counter = {0};
    lmail_alloc alloc = count_alloc_table(&counter);
    script h;
    script_init(&h, &script_imap, &alloc);
    script_set(&h, "messages", "1:2000");
    ck_assert_int_eq(script_open(&h), 0);
    size_t setup = counter.octets - sizeof(struct lmail_imap_server);
    say(&h, "a LOGIN alice secret\r\nb SELECT INBOX\r\nc LIST \"\" *\r\nd IDLE\r\n");
    ck_assert_int_eq(lmail_imap_server_idling((lmail_imap_server *)(void *)h.session), 1);
    lmail_session_rest(h.session);
    ck_assert_msg(counter.octets - setup < 4096, "%zu octets", counter.octets - setup);
    h.adaptor->action(&h, "notify new 3000", h.now);
    script_run(&h);
    say(&h, "DONE\r\n");
    ck_assert_ptr_nonnull(memmem(h.out.ptr, h.out.len, "* 2001 EXISTS\r\n", 15));
    ck_assert_ptr_nonnull(memmem(h.out.ptr, h.out.len, "d OK IDLE", 9));
    script_done(&h);
    ck_assert_uint_eq(counter.live, 0);
}
END_TEST

START_TEST(a_client_that_does_not_listen_costs_little)
{
    count_alloc counter = {0};
    lmail_alloc alloc = count_alloc_table(&counter);
    lmail_imap_change c = LMAIL_IMAP_CHANGE_INIT;
    lmail_uid_range r;
    script h;
    script_init(&h, &script_imap, &alloc);
    script_set(&h, "messages", "1:1000");
    ck_assert_int_eq(script_open(&h), 0);
    say(&h, "a LOGIN alice secret\r\nb SELECT INBOX\r\n");
    lmail_imap_server *s = (lmail_imap_server *)(void *)h.session;
    size_t before = counter.octets;
    c.uids = (lmail_uid_set){&r, 1};
    int faults = 0;
    for (lmail_uid u = 1; u <= 100000; u++) {
        c.kind = u % 2 ? LMAIL_IMAP_CHANGE_FLAGS : LMAIL_IMAP_CHANGE_NEW;
        r.first = r.last = u % 2 ? u % 1000 + 1 : 1000 + u;
        faults += lmail_imap_server_notify(s, &c, h.now) != LMAIL_OK;
    }
    ck_assert_int_eq(faults, 0);
    /* 500 single messages with new flags, 50,000 new ones with a hole after each */
    ck_assert_msg(counter.octets - before < 600000, "%zu octets", counter.octets - before);
    c.kind = LMAIL_IMAP_CHANGE_VANISHED;
    r = (lmail_uid_range){1, UINT32_MAX};
    ck_assert_int_eq(lmail_imap_server_notify(s, &c, h.now), LMAIL_OK);
    say(&h, "c NOOP\r\n");
    ck_assert_uint_eq(lmail_imap_server_messages(s), 0);
    script_done(&h);
    ck_assert_uint_eq(counter.live, 0);
}
END_TEST

Suite *imap_idle_suite(void)
{
    Suite *s = suite_create("imap_idle");
    TCase *t = tcase_create("memory");
    tcase_add_test(t, an_idling_session_is_small);
    tcase_add_test(t, a_client_that_does_not_listen_costs_little);
    suite_add_tcase(s, t);
    return s;
}
