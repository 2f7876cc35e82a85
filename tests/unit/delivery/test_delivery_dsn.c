/* Reports: who gets one, and what stands in it. */
#include "count_alloc.h"
#include "dsn_compose.h"

#include <libmail/mime.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rules ----------------------------------------------------------------------------------- */

enum {
    N = LMAIL_SMTP_NOTIFY_NEVER,
    S = LMAIL_SMTP_NOTIFY_SUCCESS,
    F = LMAIL_SMTP_NOTIFY_FAILURE,
    D = LMAIL_SMTP_NOTIFY_DELAY
};
enum {
    SENDER = LMAIL_DSN_TO_SENDER,
    MASTER = LMAIL_DSN_TO_POSTMASTER,
    COPIES = LMAIL_DSN_TO_COPIES
};

typedef struct rule_case {
    const char *source;
    lmail_dsn_action action;
    unsigned notify;
    const char *sender, *recipient;
    unsigned no_receipts, due;
} rule_case;

static const rule_case rules[] = {
    {"3461 5.2.6 (a)", LMAIL_DSN_FAILED, F, "s@x", "r@y", 0, SENDER | COPIES},
    {"3461 5.2.6 (b)", LMAIL_DSN_FAILED, S | D, "s@x", "r@y", 0, 0},
    {"3461 5.2.6 (c)", LMAIL_DSN_FAILED, 0, "s@x", "r@y", 0, SENDER | COPIES},
    {"3461 5.2.2 (d)", LMAIL_DSN_FAILED, N, "s@x", "r@y", 0, 0},
    {"3461 5.2.5 (a)", LMAIL_DSN_DELAYED, D, "s@x", "r@y", 0, SENDER},
    {"3461 5.2.5 (b)", LMAIL_DSN_DELAYED, 0, "s@x", "r@y", 0, SENDER},
    {"3461 5.2.5 (c)", LMAIL_DSN_DELAYED, S | F, "s@x", "r@y", 0, 0},
    {"3461 5.2.3 (a)", LMAIL_DSN_DELIVERED, S, "s@x", "r@y", 0, SENDER},
    {"3461 5.2.3 (b)", LMAIL_DSN_DELIVERED, F | D, "s@x", "r@y", 0, 0},
    {"3461 5.2.3 (c)", LMAIL_DSN_DELIVERED, 0, "s@x", "r@y", 0, 0},
    {"3461 5.2.2 (b)", LMAIL_DSN_RELAYED, S | F, "s@x", "r@y", 0, SENDER},
    {"3461 5.2.2 (e)", LMAIL_DSN_RELAYED, 0, "s@x", "r@y", 0, 0},
    {"3461 5.2.7.3 (c)", LMAIL_DSN_EXPANDED, S, "s@x", "r@y", 0, SENDER},
    {"3461 5.2.7.3 (c)", LMAIL_DSN_EXPANDED, F, "s@x", "r@y", 0, 0},
    {"3461 5.2, null reverse-path", LMAIL_DSN_FAILED, 0, "", "r@y", 0, MASTER},
    {"3461 5.2, null reverse-path", LMAIL_DSN_FAILED, F, "", "r@y", 0, MASTER},
    {"3461 5.2, null reverse-path", LMAIL_DSN_DELAYED, 0, "", "r@y", 0, 0},
    {"3461 5.2, null reverse-path", LMAIL_DSN_DELIVERED, S, "", "r@y", 0, 0},
    {"a notice is not reported on", LMAIL_DSN_FAILED, N, "", "r@y", 0, 0},
    {"the postmaster's own", LMAIL_DSN_FAILED, 0, "", "PM@x", 0, 0},
    {"the copies' own", LMAIL_DSN_FAILED, 0, "", "copies@x", 0, 0},
    {"no receipts", LMAIL_DSN_DELIVERED, S, "s@x", "r@y", 1, 0},
    {"no receipts", LMAIL_DSN_RELAYED, S, "s@x", "r@y", 1, 0},
    {"no receipts", LMAIL_DSN_FAILED, S | F, "s@x", "r@y", 1, SENDER | COPIES},
    {"no receipts", LMAIL_DSN_FAILED, S, "s@x", "r@y", 1, 0},
    {"nothing", LMAIL_DSN_NOTHING, S | F | D, "s@x", "r@y", 0, 0},
};

START_TEST(who_gets_a_report)
{
    const rule_case *c = &rules[_i];
    lmail_dsn_rules r = LMAIL_DSN_RULES_INIT;
    r.postmaster = LMAIL_STR("pm@x");
    r.copies_to = LMAIL_STR("copies@x");
    r.no_receipts = c->no_receipts;
    unsigned due = lmail_dsn_due(&r, c->action, c->notify, lmail_str_from(c->sender),
                                 lmail_str_from(c->recipient));
    ck_assert_msg(due == c->due, "%s: %u, not %u", c->source, due, c->due);
    r.postmaster = r.copies_to = LMAIL_STR("");
    due = lmail_dsn_due(&r, c->action, c->notify, lmail_str_from(c->sender),
                        lmail_str_from(c->recipient));
    ck_assert_uint_eq(due, c->due & SENDER);
}
END_TEST

START_TEST(what_a_result_is)
{
    lmail_delivery_result r = {.state = LMAIL_DELIVERY_FAILED};
    ck_assert_int_eq(lmail_dsn_action_of(&r, 0), LMAIL_DSN_FAILED);
    r.state = LMAIL_DELIVERY_DEFERRED;
    ck_assert_int_eq(lmail_dsn_action_of(&r, 0), LMAIL_DSN_DELAYED);
    r.state = LMAIL_DELIVERY_SENT;
    ck_assert_int_eq(lmail_dsn_action_of(&r, 0), LMAIL_DSN_RELAYED);
    ck_assert_int_eq(lmail_dsn_action_of(&r, 1), LMAIL_DSN_DELIVERED);
    r.dsn = 1;
    ck_assert_int_eq(lmail_dsn_action_of(&r, 0), LMAIL_DSN_NOTHING);
}
END_TEST

/* ---- Reports --------------------------------------------------------------------------------- */

#define MESSAGE                                                                                    \
    "From: owner-ups-mib@CS.UTK.EDU\r\nSubject: Battery\r\n\tcurrent\r\n\r\nThe first line.\r\n"   \
    "The second.\r\n"

static lmail_dsn_config config_of(void)
{
    lmail_dsn_config c = LMAIL_DSN_CONFIG_INIT;
    c.host = LMAIL_STR("cs.utk.edu");
    return c;
}

/* 8 July 1994 09:21:47 -0400, as in RFC 3464's appendix E. */
#define NOW (INT64_C(773673707) * 1000)

static lmail_dsn_report report_of(const lmail_dsn_recipient *r, size_t count)
{
    lmail_dsn_report report = LMAIL_DSN_REPORT_INIT;
    report.to = LMAIL_STR("owner-ups-mib@CS.UTK.EDU");
    report.id = LMAIL_STR("JAA13167");
    report.now = NOW;
    report.zone = -240;
    report.octets = sizeof MESSAGE - 1;
    report.recipients = r;
    report.recipient_count = count;
    return report;
}

static const lmail_dsn_recipient failed = {
    .action = LMAIL_DSN_FAILED,
    .final = {"wsnell@sdcc13.ucsd.edu", 22},
    .orcpt = {"rfc822;wsnell@sdcc13.ucsd.edu", 29},
    .code = 550,
    .enhanced = {"5.1.1", 5},
    .text = {"user unknown", 12},
    .host = {"sdcc13.ucsd.edu", 15},
    .last = NOW,
};

static int has(const dsn_compose *c, const char *text)
{
    return memmem(c->out, c->len, text, strlen(text)) != NULL;
}

static lmail_status run(dsn_compose *c, const lmail_dsn_config *config,
                        const lmail_dsn_report *report)
{
    if (!c->message.ptr)
        c->message = LMAIL_STR(MESSAGE);
    return dsn_compose_run(c, config, report);
}

/* RFC 3464 appendix E, "Multi-Recipient DSN", with its order of fields (§2.3). */
START_TEST(several_recipients_as_in_the_standard)
{
    static const char fields[] =
        "Reporting-MTA: dns; cs.utk.edu\r\n"
        "\r\n"
        "Original-Recipient: rfc822; arathib@vnet.ibm.com\r\n"
        "Final-Recipient: rfc822; arathib@vnet.ibm.com\r\n"
        "Action: failed\r\n"
        "Status: 5.0.0\r\n"
        "Remote-MTA: dns; vnet.ibm.com\r\n"
        "Diagnostic-Code: smtp; 550 'arathib@vnet.IBM.COM' is not a registered\r\n"
        " gateway user\r\n"
        "\r\n"
        "Original-Recipient: rfc822; johnh@hpnjld.njd.hp.com\r\n"
        "Final-Recipient: rfc822; johnh@hpnjld.njd.hp.com\r\n"
        "Action: delayed\r\n"
        "Status: 4.0.0\r\n"
        "Diagnostic-Code: X-Libmail; host name lookup failure\r\n"
        "Will-Retry-Until: Fri, 8 Jul 1994 10:21:47 -0400\r\n"
        "\r\n"
        "Original-Recipient: rfc822; wsnell@sdcc13.ucsd.edu\r\n"
        "Final-Recipient: rfc822; wsnell@sdcc13.ucsd.edu\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; sdcc13.ucsd.edu\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n"
        "Last-Attempt-Date: Fri, 8 Jul 1994 09:21:47 -0400\r\n"
        "\r\n--";
    const lmail_dsn_recipient r[] = {
        {.action = LMAIL_DSN_FAILED,
         .final = LMAIL_STR("arathib@vnet.ibm.com"),
         .orcpt = LMAIL_STR("rfc822;arathib@vnet.ibm.com"),
         .code = 550,
         .text = LMAIL_STR("'arathib@vnet.IBM.COM' is not a registered gateway user"),
         .host = LMAIL_STR("vnet.ibm.com")},
        {.action = LMAIL_DSN_DELAYED,
         .final = LMAIL_STR("johnh@hpnjld.njd.hp.com"),
         .orcpt = LMAIL_STR("rfc822;johnh@hpnjld.njd.hp.com"),
         .text = LMAIL_STR("host name lookup failure"),
         .retry_until = NOW + 3600000},
        failed};
    lmail_dsn_config config = config_of();
    lmail_dsn_report report = report_of(r, 3);
    dsn_compose c = {0};
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert(has(&c, fields));
    ck_assert(has(&c, "Date: Fri, 8 Jul 1994 09:21:47 -0400\r\n"));
    ck_assert(has(&c, "From: Mail Delivery System <MAILER-DAEMON@cs.utk.edu>\r\n"));
    ck_assert(has(&c, "To: owner-ups-mib@CS.UTK.EDU\r\n"));
    ck_assert(has(&c, "Message-ID: <19940708132147.JAA13167@cs.utk.edu>\r\n"));
    ck_assert(has(&c, "Auto-Submitted: auto-replied\r\n"));
    ck_assert(has(&c, "Content-Type: message/rfc822\r\n\r\n" MESSAGE "\r\n--"));
    ck_assert(has(&c, "    <wsnell@sdcc13.ucsd.edu>\r\n        The mail system of sdcc13.ucsd.edu "
                      "answered:\r\n        550 5.1.1 user unknown\r\n"));
    ck_assert_int_eq(c.facts.returned, LMAIL_SMTP_RET_FULL);
    ck_assert_uint_eq(c.facts.has_8bit, 0);
    ck_assert_uint_eq(c.facts.notify, 0);
    free(c.out);
}
END_TEST

START_TEST(per_message_fields)
{
    lmail_dsn_config config = config_of();
    lmail_dsn_report report = report_of(&failed, 1);
    report.envid = LMAIL_STR("QQ314159+=");
    report.client = LMAIL_STR("client.example");
    report.client_address = LMAIL_STR("192.0.2.1");
    report.arrived = NOW - 60000;
    report.message_id = LMAIL_STR("1@b");
    dsn_compose c = {0};
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert(has(&c, "Reporting-MTA: dns; cs.utk.edu\r\nOriginal-Envelope-Id: QQ314159+=\r\n"
                      "Received-From-MTA: dns; client.example (192.0.2.1)\r\n"
                      "Arrival-Date: Fri, 8 Jul 1994 09:20:47 -0400\r\n\r\n"));
    ck_assert(has(&c, "In-Reply-To: <1@b>\r\nReferences: <1@b>\r\n"));
    free(c.out);
}
END_TEST

typedef struct returned_case {
    const char *what;
    lmail_dsn_action action;
    unsigned ret, flags, no_body;
    lmail_dsn_kind kind;
    uint64_t max_body;
    const char *message;
    lmail_smtp_ret returned;
    unsigned has_8bit, smtputf8;
    const char *has;
} returned_case;

#define EIGHT "Subject: a\r\n\r\nGr\303\274\303\237e\r\n"
#define EIGHT_HEADER "Subject: Gr\303\274\303\237e\r\nX: y\r\n\r\nbody\r\n"

/* RFC 3461 §4.3, §6.2; RFC 6533 §4.2 to §4.5 */
static const returned_case returned[] = {
    {"RET=FULL", LMAIL_DSN_FAILED, LMAIL_SMTP_RET_FULL, 0, 0, LMAIL_DSN_REPORT, 0, MESSAGE,
     LMAIL_SMTP_RET_FULL, 0, 0, "Content-Type: message/rfc822\r\n\r\nFrom:"},
    {"RET=HDRS", LMAIL_DSN_FAILED, LMAIL_SMTP_RET_HDRS, 0, 0, LMAIL_DSN_REPORT, 0, MESSAGE,
     LMAIL_SMTP_RET_HDRS, 0, 0,
     "Content-Type: text/rfc822-headers\r\n\r\nFrom: owner-ups-mib@CS.UTK.EDU\r\nSubject: "
     "Battery\r\n\tcurrent\r\n\r\n--"},
    {"no failure", LMAIL_DSN_DELAYED, LMAIL_SMTP_RET_FULL, 0, 0, LMAIL_DSN_REPORT, 0, MESSAGE,
     LMAIL_SMTP_RET_HDRS, 0, 0, "text/rfc822-headers"},
    {"privacy", LMAIL_DSN_FAILED, 0, 0, 1, LMAIL_DSN_REPORT, 0, MESSAGE, LMAIL_SMTP_RET_HDRS, 0, 0,
     "The header of the message is attached."},
    {"a copy", LMAIL_DSN_FAILED, 0, 0, 0, LMAIL_DSN_COPY, 0, MESSAGE, LMAIL_SMTP_RET_HDRS, 0, 0,
     "The sender, <s@x>, has been sent a report"},
    {"a notice", LMAIL_DSN_FAILED, 0, 0, 0, LMAIL_DSN_NOTICE, 0, MESSAGE, LMAIL_SMTP_RET_HDRS, 0, 0,
     "Subject: A message could be neither delivered nor returned\r\n"},
    {"too large", LMAIL_DSN_FAILED, LMAIL_SMTP_RET_FULL, 0, 0, LMAIL_DSN_REPORT, 10, MESSAGE,
     LMAIL_SMTP_RET_HDRS, 0, 0, "text/rfc822-headers"},
    {"8-bit", LMAIL_DSN_FAILED, 0, 0, 0, LMAIL_DSN_REPORT, 0, EIGHT, LMAIL_SMTP_RET_FULL, 1, 0,
     "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: a"},
    {"8-bit, not allowed", LMAIL_DSN_FAILED, 0, LMAIL_DSN_7BIT, 0, LMAIL_DSN_REPORT, 0, EIGHT,
     LMAIL_SMTP_RET_HDRS, 0, 0, "Content-Type: text/rfc822-headers\r\n\r\nSubject: a\r\n\r\n--"},
    {"8-bit header, not allowed", LMAIL_DSN_FAILED, 0, LMAIL_DSN_7BIT, 0, LMAIL_DSN_REPORT, 0,
     EIGHT_HEADER, LMAIL_SMTP_RET_HDRS, 0, 0,
     "Content-Transfer-Encoding: quoted-printable\r\n\r\nSubject: Gr=C3=BC=C3=9Fe\r\nX: "
     "y\r\n\r\n--"},
    {"SMTPUTF8", LMAIL_DSN_FAILED, 0, LMAIL_DSN_SMTPUTF8, 0, LMAIL_DSN_REPORT, 0, EIGHT_HEADER,
     LMAIL_SMTP_RET_FULL, 1, 1,
     "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: Gr\303"},
    {"SMTPUTF8, header", LMAIL_DSN_FAILED, LMAIL_SMTP_RET_HDRS, LMAIL_DSN_SMTPUTF8, 0,
     LMAIL_DSN_REPORT, 0, EIGHT_HEADER, LMAIL_SMTP_RET_HDRS, 1, 1,
     "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: Gr"},
    {"SMTPUTF8, 7-bit", LMAIL_DSN_FAILED, 0, LMAIL_DSN_SMTPUTF8 | LMAIL_DSN_7BIT, 0,
     LMAIL_DSN_REPORT, 0, EIGHT_HEADER, LMAIL_SMTP_RET_FULL, 0, 0,
     "Content-Type: message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSubject: "
     "Gr=C3=BC=C3=9Fe\r\n"},
    {"a bare LF", LMAIL_DSN_FAILED, 0, 0, 0, LMAIL_DSN_REPORT, 0, "A: b\r\n\r\nbare\nline\r\n",
     LMAIL_SMTP_RET_HDRS, 0, 0, "text/rfc822-headers\r\n\r\nA: b\r\n\r\n--"},
    {"no header", LMAIL_DSN_FAILED, 0, 0, 0, LMAIL_DSN_REPORT, 0, "\r\nbody\r\n",
     LMAIL_SMTP_RET_FULL, 0, 0, "Content-Type: message/rfc822\r\n\r\n\r\nbody\r\n"},
    {"no message", LMAIL_DSN_FAILED, 0, 0, 0, LMAIL_DSN_REPORT, 0, "", LMAIL_SMTP_RET_NONE, 0, 0,
     "If you need help"},
};

START_TEST(what_of_the_message_is_returned)
{
    const returned_case *k = &returned[_i];
    lmail_dsn_recipient r = failed;
    r.action = k->action;
    lmail_dsn_config config = config_of();
    config.no_body_return = k->no_body;
    config.max_body = k->max_body;
    lmail_dsn_report report = report_of(&r, 1);
    report.kind = k->kind;
    report.sender = LMAIL_STR("s@x");
    report.ret = k->ret;
    report.flags = k->flags;
    dsn_compose c = {.message = lmail_str_from(k->message)};
    report.octets = c.message.len;
    ck_assert_msg(run(&c, &config, &report) == LMAIL_OK, "%s", k->what);
    ck_assert_msg(has(&c, k->has), "%s:\n%.*s", k->what, (int)c.len, c.out);
    ck_assert_msg(c.facts.returned == k->returned, "%s: %d", k->what, c.facts.returned);
    ck_assert_uint_eq(c.facts.has_8bit, k->has_8bit);
    ck_assert_uint_eq(c.facts.smtputf8, k->smtputf8);
    ck_assert_uint_eq(c.facts.notify, k->kind ? N : 0);
    int high = 0;
    for (size_t i = 0; i < c.len; i++)
        high |= (unsigned char)c.out[i] > 127;
    ck_assert_int_eq(high, (int)k->has_8bit);
    free(c.out);
}
END_TEST

typedef struct field_case {
    const char *what;
    lmail_dsn_recipient r;
    unsigned flags;
    const char *has, *has_not;
} field_case;

#define U "\303\274"
static const field_case fields[] = {
    {"delivered",
     {.action = LMAIL_DSN_DELIVERED,
      .final = {"r@y", 3},
      .enhanced = {"2.1.5", 5},
      .code = 250,
      .text = {"ok", 2},
      .host = {"y", 1}},
     0,
     "Action: delivered\r\nStatus: 2.1.5\r\nRemote-MTA: dns; y\r\n\r\n--",
     "Diagnostic-Code"},
    {"relayed",
     {.action = LMAIL_DSN_RELAYED, .final = {"r@y", 3}},
     0,
     "Action: relayed\r\nStatus: 2.0.0\r\n\r\n--",
     "Original-Recipient"},
    {"expanded",
     {.action = LMAIL_DSN_EXPANDED, .final = {"r@y", 3}},
     0,
     "Action: expanded\r\nStatus: 2.0.0\r\n\r\n--",
     "Will-Retry"},
    {"expired",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .enhanced = {"4.4.7", 5}},
     0,
     "Action: failed\r\nStatus: 4.4.7\r\n",
     "Remote-MTA"},
    {"a status of another class",
     {.action = LMAIL_DSN_DELAYED, .final = {"r@y", 3}, .enhanced = {"5.1.1", 5}},
     0,
     "Status: 4.0.0\r\n",
     "5.1.1"},
    {"a malformed status",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .enhanced = {"5.01.1", 6}},
     0,
     "Status: 5.0.0\r\n",
     "5.01"},
    {"expanded address",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .actual = {"a@b", 3}},
     0,
     "X-Actual-Recipient: rfc822; a@b\r\n",
     "<a@b>"},
    {"log id",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .log_id = {"4711", 4}},
     0,
     "Final-Log-ID: 4711\r\n",
     "Diagnostic"},
    {"a type nobody knows",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .orcpt = {"nonsense", 8}},
     0,
     "Original-Recipient: unknown; nonsense\r\n",
     "rfc822; nonsense"},
    /* RFC 6533 §3 */
    {"utf-8, plain report",
     {.action = LMAIL_DSN_FAILED, .final = {U "@y", 4}, .orcpt = {"utf-8;" U "+\\@y", 12}},
     0,
     "Original-Recipient: utf-8; \\x{FC}\\x{2B}\\x{5C}@y\r\nFinal-Recipient: utf-8; \\x{FC}@y\r\n",
     "global"},
    {"utf-8, global report",
     {.action = LMAIL_DSN_FAILED, .final = {U "@y", 4}, .orcpt = {"utf-8;" U "+\\@y", 12}},
     LMAIL_DSN_SMTPUTF8,
     "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
     "Reporting-MTA: dns; cs.utk.edu\r\n\r\n"
     "Original-Recipient: utf-8; " U "+\\@y\r\nFinal-Recipient: utf-8; " U "@y\r\n",
     "\\x{"},
    {"utf-8, all plain",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}},
     LMAIL_DSN_SMTPUTF8,
     "Content-Type: message/delivery-status\r\n",
     "global-delivery"},
    /* What others say cannot make a line of its own. */
    {"an answer with line ends",
     {.action = LMAIL_DSN_FAILED,
      .final = {"r@y", 3},
      .code = 550,
      .text = {"a\r\nAction: delivered\0b", 22},
      .host = {"h\r\nX: y", 7}},
     0,
     "Remote-MTA: dns; h  X: y\r\nDiagnostic-Code: smtp; 550 a  Action: delivered b\r\n",
     "\nAction: delivered"},
    {"an answer beyond ASCII",
     {.action = LMAIL_DSN_FAILED,
      .final = {"r@y", 3},
      .code = 550,
      .text = {"\377 nicht da " U, 13}},
     0,
     "Diagnostic-Code: smtp; 550 ? nicht da ??\r\n",
     "\377"},
    {"no such user: what to do",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .code = 550, .enhanced = {"5.1.1", 5}},
     0,
     "        Check the address for mistakes, and send the message again.\r\n",
     "full"},
    {"a full mailbox: what to do",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .code = 552, .enhanced = {"5.2.2", 5}},
     0,
     "The mailbox is full.",
     "mistakes"},
    {"5.1.10 is not 5.1.1",
     {.action = LMAIL_DSN_FAILED, .final = {"r@y", 3}, .code = 556, .enhanced = {"5.2.20", 6}},
     0,
     "Status: 5.2.20",
     "full"},
};

START_TEST(fields_of_a_recipient)
{
    const field_case *k = &fields[_i];
    lmail_dsn_config config = config_of();
    lmail_dsn_report report = report_of(&k->r, 1);
    report.flags = k->flags;
    dsn_compose c = {0};
    ck_assert_msg(run(&c, &config, &report) == LMAIL_OK, "%s", k->what);
    ck_assert_msg(has(&c, k->has), "%s:\n%.*s", k->what, (int)c.len, c.out);
    ck_assert_msg(!has(&c, k->has_not), "%s:\n%.*s", k->what, (int)c.len, c.out);
    free(c.out);
}
END_TEST

START_TEST(privacy_hides_the_expanded_address)
{
    lmail_dsn_recipient r = failed;
    r.actual = LMAIL_STR("secret@home.example");
    lmail_dsn_config config = config_of();
    config.no_actual_recipient = 1;
    lmail_dsn_report report = report_of(&r, 1);
    dsn_compose c = {0};
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert(!has(&c, "secret"));
    free(c.out);
}
END_TEST

START_TEST(texts_in_the_hosts_words)
{
    const lmail_dsn_text texts[] = {
        {LMAIL_DSN_TEXT_SUBJECT_FAILED, LMAIL_STR("Nicht zugestellt: Gr" U "n")},
        {LMAIL_DSN_TEXT_INTRO, LMAIL_STR("Hier ist %H.\nSch" U "n.")},
        {LMAIL_DSN_TEXT_FROM, LMAIL_STR("Postb" U "ro")}};
    lmail_dsn_config config = config_of();
    config.texts = texts;
    config.text_count = 3;
    config.from_local = LMAIL_STR("post");
    config.from_domain = LMAIL_STR("example.org");
    lmail_dsn_report report = report_of(&failed, 1);
    dsn_compose c = {0};
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert(has(&c, "Subject: Nicht zugestellt: =?UTF-8?Q?Gr=C3=BCn?=\r\n"));
    ck_assert(has(&c, "From: =?UTF-8?Q?Postb=C3=BCro?= <post@example.org>\r\n"));
    ck_assert(has(&c, "Content-Type: text/plain; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                      "Hier ist cs.utk.edu.\r\nSch=C3=BCn.\r\n"));
    free(c.out);
}
END_TEST

START_TEST(what_makes_no_report_is_refused)
{
    lmail_dsn_config config = config_of();
    lmail_dsn_report good = report_of(&failed, 1);
    lmail_dsn *d;
    static const char *const to[] = {"", "nobody", "a@b, c@d", "a@b\r\nX: y", "@", "a@", "a@b c"};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        lmail_dsn_report r = good;
        r.to = lmail_str_from(to[i]);
        ck_assert_msg(lmail_dsn_new(&d, &config, &r) == LMAIL_ERR_ARG, "%s", to[i]);
    }
    lmail_dsn_report r = good;
    r.id = LMAIL_STR("");
    ck_assert_int_eq(lmail_dsn_new(&d, &config, &r), LMAIL_ERR_ARG);
    r = good;
    r.recipient_count = 0;
    ck_assert_int_eq(lmail_dsn_new(&d, &config, &r), LMAIL_ERR_ARG);
    lmail_dsn_recipient bad = failed;
    bad.action = LMAIL_DSN_NOTHING;
    r = report_of(&bad, 1);
    ck_assert_int_eq(lmail_dsn_new(&d, &config, &r), LMAIL_ERR_ARG);
    const lmail_dsn_text text = {LMAIL_DSN_TEXT_INTRO, LMAIL_STR("a\377")};
    lmail_dsn_config other = config;
    other.texts = &text;
    other.text_count = 1;
    ck_assert_int_eq(lmail_dsn_new(&d, &other, &good), LMAIL_ERR_ARG);
    r = good;
    r.size++;
    ck_assert_int_eq(lmail_dsn_new(&d, &config, &r), LMAIL_ERR_SIZE);
    ck_assert_int_eq(lmail_dsn_new(&d, &config, &good), LMAIL_OK);
    ck_assert_int_eq(lmail_dsn_give(d, LMAIL_STR("x"), LMAIL_OK), LMAIL_ERR_STATE);
    lmail_dsn_facts facts;
    ck_assert_int_eq(lmail_dsn_facts_get(d, &facts), LMAIL_ERR_STATE);
    lmail_dsn_free(d);
}
END_TEST

START_TEST(any_split_makes_the_same_octets)
{
    lmail_dsn_config config = config_of();
    lmail_dsn_report report = report_of(&failed, 1);
    report.flags = LMAIL_DSN_SMTPUTF8;
    for (unsigned ret = LMAIL_SMTP_RET_FULL; ret <= LMAIL_SMTP_RET_HDRS; ret++) {
        report.ret = ret;
        dsn_compose whole = {.message = LMAIL_STR(EIGHT_HEADER)};
        report.octets = whole.message.len;
        ck_assert_int_eq(run(&whole, &config, &report), LMAIL_OK);
        for (size_t piece = 1; piece < 20; piece += 3) {
            dsn_compose c = {.message = whole.message, .room = piece, .piece = piece};
            ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
            ck_assert_uint_eq(c.len, whole.len);
            ck_assert_mem_eq(c.out, whole.out, c.len);
            free(c.out);
        }
        free(whole.out);
    }
}
END_TEST

START_TEST(a_message_that_cannot_be_read_is_not_attached)
{
    lmail_dsn_config config = config_of();
    lmail_dsn_report report = report_of(&failed, 1);
    dsn_compose c = {.fails = 10, .piece = 8};
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert_int_eq(c.facts.returned, LMAIL_SMTP_RET_NONE);
    ck_assert(!has(&c, "attached"));
    free(c.out);
    c.fail_second = 1;
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_ERR_IO);
    free(c.out);
    /* Shorter than its envelope says, both times: what there is. */
    report.octets += 100;
    c.fails = 0;
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert(has(&c, MESSAGE "\r\n--"));
    free(c.out);
}
END_TEST

START_TEST(a_long_header_is_cut_at_a_line)
{
    char message[4096];
    size_t n = 0;
    while (n < sizeof message - 32)
        n += (size_t)sprintf(message + n, "X-%zu: value\r\n", n);
    lmail_dsn_config config = config_of();
    config.max_header = 1000;
    lmail_dsn_report report = report_of(&failed, 1);
    report.ret = LMAIL_SMTP_RET_HDRS;
    report.octets = n;
    for (size_t piece = 7; piece < 5000; piece *= 3) {
        dsn_compose c = {.message = {message, n}, .piece = piece};
        ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
        const char *from = memmem(c.out, c.len, "X-0:", 4);
        const char *end = memmem(from, c.len - (size_t)(from - c.out), "\r\n--", 4);
        ck_assert_uint_le((size_t)(end - from), 1000);
        ck_assert_uint_ge((size_t)(end - from), 970);
        ck_assert_mem_eq(end - 2, "\r\n", 2);
        free(c.out);
    }
}
END_TEST

/* The message holds every boundary that a report of this id would take first. */
START_TEST(a_message_full_of_boundaries)
{
    lmail_dsn_config config = config_of();
    lmail_dsn_report report = report_of(&failed, 1);
    dsn_compose c = {0};
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    const char *mark = memmem(c.out, c.len, "\r\n--=_", 6);
    ck_assert_ptr_nonnull(mark);
    char prefix[26];
    memcpy(prefix, mark + 4, sizeof prefix);
    free(c.out);
    static const char all[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    char message[4096] = "A: b\r\n\r\n";
    size_t n = strlen(message);
    for (size_t i = 0; i < 64; i++)
        n += (size_t)sprintf(message + n, "--%.26s%c\r\n", prefix, all[i]);
    c = (dsn_compose){.message = {message, n}};
    report.octets = n;
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert_int_eq(c.facts.returned, LMAIL_SMTP_RET_FULL);
    lmail_mime_parser *p;
    lmail_mime_config mime = LMAIL_MIME_CONFIG_INIT;
    ck_assert_int_eq(lmail_mime_parser_new(&p, &mime), LMAIL_OK);
    lmail_mime_parser_feed(p, (lmail_str){c.out, c.len});
    lmail_mime_parser_end(p);
    /* The report, its three parts, the message inside. */
    ck_assert_uint_eq(lmail_mime_parser_parts(p).count, 5);
    lmail_mime_parser_free(p);
    free(c.out);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    lmail_dsn_config config = config_of();
    lmail_dsn_recipient r[3] = {failed, failed, failed};
    lmail_dsn_report report = report_of(r, 3);
    const lmail_dsn_text text = {LMAIL_DSN_TEXT_INTRO, LMAIL_STR("Hello")};
    config.texts = &text;
    config.text_count = 1;
    lmail_status st = LMAIL_ERR_NOMEM;
    size_t at;
    for (at = 1; st; at++) {
        count_alloc count = {.fail_at = at};
        config.alloc = count_alloc_table(&count);
        dsn_compose c = {0};
        st = run(&c, &config, &report);
        ck_assert(st == LMAIL_OK || st == LMAIL_ERR_NOMEM);
        ck_assert_uint_eq(count.live, 0);
        ck_assert_uint_eq(count.lies, 0);
        free(c.out);
    }
    ck_assert_uint_gt(at, 4);
}
END_TEST

START_TEST(memory_does_not_grow_with_the_message)
{
    size_t n = 1 << 20;
    char *message = malloc(n);
    memset(message, 'x', n);
    for (size_t i = 70; i < n; i += 72)
        memcpy(message + i - 1, "\r\n", 2);
    memcpy(message, "A: b\r\n\r\n", 8);
    count_alloc count = {0};
    lmail_dsn_config config = config_of();
    config.alloc = count_alloc_table(&count);
    config.max_body = n;
    lmail_dsn_report report = report_of(&failed, 1);
    report.octets = n;
    dsn_compose c = {.message = {message, n}};
    ck_assert_int_eq(run(&c, &config, &report), LMAIL_OK);
    ck_assert_uint_gt(c.len, n);
    ck_assert_uint_lt(count.peak, 65536);
    free(c.out);
    free(message);
}
END_TEST

#define LOOP(test, table) tcase_add_loop_test(tc, test, 0, sizeof table / sizeof *table)

Suite *delivery_dsn_suite(void)
{
    Suite *suite = suite_create("delivery_dsn");
    TCase *tc = tcase_create("rules");
    LOOP(who_gets_a_report, rules);
    tcase_add_test(tc, what_a_result_is);
    suite_add_tcase(suite, tc);
    tc = tcase_create("reports");
    tcase_add_test(tc, several_recipients_as_in_the_standard);
    tcase_add_test(tc, per_message_fields);
    LOOP(what_of_the_message_is_returned, returned);
    LOOP(fields_of_a_recipient, fields);
    tcase_add_test(tc, privacy_hides_the_expanded_address);
    tcase_add_test(tc, texts_in_the_hosts_words);
    tcase_add_test(tc, what_makes_no_report_is_refused);
    tcase_add_test(tc, any_split_makes_the_same_octets);
    tcase_add_test(tc, a_message_that_cannot_be_read_is_not_attached);
    tcase_add_test(tc, a_long_header_is_cut_at_a_line);
    tcase_add_test(tc, a_message_full_of_boundaries);
    tcase_add_test(tc, every_allocation_may_fail);
    tcase_add_test(tc, memory_does_not_grow_with_the_message);
    suite_add_tcase(suite, tc);
    return suite;
}
