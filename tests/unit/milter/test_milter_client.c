/* Sessions with scripted filters: each script runs whole, in several splits of both directions, with
 * late answers to changes, and once per allocation with that one failing. */
#include "support/count_alloc.h"

#include <libmail/milter.h>

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A packet: its length is written by the macro. */
#define P(text)                                                                                    \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
#define NEGOTIATED(actions, steps) "O\0\0\0\6" actions steps
#define ALL_ACTIONS "\0\0\1\xff"
#define NO_STEPS "\0\0\0\0"
#define READY                                                                                      \
    {                                                                                              \
        NEGOTIATED(ALL_ACTIONS, NO_STEPS), 13                                                      \
    }

typedef struct packet {
    const char *ptr;
    size_t len;
} packet;

typedef struct script {
    const char *name;
    const char *asks;   /* letters of questions, in order */
    packet packets[12]; /* of the filter: the first answers the offer. A NULL ends them */
    const char *log;
} script;

typedef struct host {
    const script *sc;
    lmail_milter_client_setup *setup;
    lmail_milter_client *s;
    char log[4096];
    size_t len;
    char out[300000];
    size_t out_len;
    int late, idle, ended;
    lmail_ticket pending;
    lmail_msec now;
    count_alloc c;
} host;

static void say(host *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(h->log + h->len, sizeof h->log - h->len, format, args);
    va_end(args);
    h->len += (size_t)n;
    ck_assert_uint_lt(h->len, sizeof h->log);
}

static void say_octets(host *h, lmail_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r')
            say(h, "\\r");
        else if (text.ptr[i] == '\n')
            say(h, "\\n");
        else if (text.ptr[i] == '\t')
            say(h, "\\t");
        else
            say(h, "%c", text.ptr[i]);
}

static void on_ready(lmail_milter_client *s, void *user, const lmail_milter_ready_event *ev)
{
    host *h = user;
    (void)s;
    h->idle = 1;
    say(h, "ready %u %x %x\n", ev->facts.version, ev->facts.actions, ev->facts.steps);
}

static void on_verdict(lmail_milter_client *s, void *user, const lmail_milter_verdict_event *ev)
{
    host *h = user;
    lmail_milter_ask a = LMAIL_MILTER_ASK_INIT;
    a.kind = LMAIL_MILTER_ASK_END;
    ck_assert_int_eq(lmail_milter_client_submit(s, &a, h->now), LMAIL_ERR_REENTRANT);
    h->idle = 1;
    say(h, "%s %s", lmail_milter_ask_name(ev->ask), lmail_milter_says_name(ev->says));
    if (ev->says == LMAIL_MILTER_SAYS_REPLY) {
        say(h, " %u %.*s", ev->code, (int)ev->enhanced.len, ev->enhanced.ptr);
        for (size_t i = 0; i < ev->line_count; i++)
            say(h, "|%.*s", (int)ev->lines[i].len, ev->lines[i].ptr);
    }
    say(h, "\n");
}

static lmail_status on_change(lmail_milter_client *s, void *user, lmail_ticket t,
                              const lmail_milter_change_event *ev, lmail_milter_change_answer *a)
{
    host *h = user;
    (void)s, (void)a;
    say(h, "%s %u %.*s|", lmail_milter_change_name(ev->kind), ev->index, (int)ev->name.len,
        ev->name.ptr ? ev->name.ptr : "");
    say_octets(h, ev->value);
    say(h, "|%.*s\n", (int)ev->args.len, ev->args.ptr ? ev->args.ptr : "");
    if (lmail_str_equal(ev->value, LMAIL_STR("fail")))
        return LMAIL_ERR_IO;
    h->pending = h->late ? t : 0;
    return h->late ? LMAIL_PENDING : LMAIL_OK;
}

static lmail_str on_macro(const lmail_milter_client *s, void *user, lmail_milter_stage stage,
                          lmail_str name)
{
    (void)s, (void)user, (void)stage;
    if (lmail_str_equal(name, LMAIL_STR("j")))
        return LMAIL_STR("mx.example");
    if (lmail_str_equal(name, LMAIL_STR("rcpt_addr")))
        return LMAIL_STR("b@y.example");
    if (lmail_str_equal(name, LMAIL_STR("cipher")))
        return LMAIL_STR("");
    return (lmail_str){NULL, 0};
}

static void on_end(lmail_milter_client *s, void *user, const lmail_milter_end_event *ev)
{
    host *h = user;
    (void)s;
    ck_assert_int_eq(h->ended, 0);
    h->ended = 1;
    say(h, "end %s %.*s\n", lmail_milter_cause_name(ev->cause), (int)ev->text.len, ev->text.ptr);
}

static void on_cancel(lmail_milter_client *s, void *user, lmail_ticket t)
{
    (void)s, (void)t;
    say(user, "cancel\n");
}

/* ---- Playing --------------------------------------------------------------------------------- */

static void drain(host *h, size_t split)
{
    lmail_str piece;
    while (lmail_milter_client_peek(h->s, &piece, 1)) {
        size_t n = split && split < piece.len ? split : piece.len;
        ck_assert_uint_lt(h->out_len + n, sizeof h->out);
        memcpy(h->out + h->out_len, piece.ptr, n);
        h->out_len += n;
        if (lmail_milter_client_sent(h->s, n, h->now))
            return;
    }
}

static void feed(host *h, const char *ptr, size_t len, size_t split)
{
    for (size_t at = 0; at < len;) {
        size_t used, n = split && split < len - at ? split : len - at;
        if (lmail_milter_client_feed(h->s, (lmail_str){ptr + at, n}, &used, h->now))
            return;
        at += used;
        drain(h, split);
        if (h->pending) {
            lmail_ticket t = h->pending;
            h->pending = 0;
            lmail_milter_client_answer_change(h->s, t, NULL, ++h->now);
        } else if (!used) {
            return;
        }
    }
}

static const lmail_str mail_args[] = {{"SIZE=10", 7}, {"BODY=8BITMIME", 13}};

static void ask(host *h, char letter)
{
    lmail_milter_ask a = LMAIL_MILTER_ASK_INIT;
    static const char letters[] = "?CHMRTULNBEAK";
    a.kind = (lmail_milter_ask_kind)(strchr(letters, letter) - letters);
    a.text = letter == 'L' ? LMAIL_STR("Subject") : LMAIL_STR("<a@x.example>");
    a.value = letter == 'L' ? LMAIL_STR(" one\r\n\ttwo") : LMAIL_STR("192.0.2.1");
    a.family = LMAIL_MILTER_FAMILY_INET;
    a.port = 258;
    if (letter == 'M') {
        a.args = mail_args;
        a.arg_count = 2;
    }
    h->idle = letter == 'A' || letter == 'K';
    lmail_status st = lmail_milter_client_submit(h->s, &a, h->now);
    if (st)
        say(h, "submit %s\n", lmail_status_name(st));
}

static void play(host *h, size_t split)
{
    const script *sc = h->sc;
    const char *next = sc->asks;
    lmail_milter_client_tick(h->s, h->now);
    drain(h, split);
    for (size_t i = 0; i < 12 && sc->packets[i].ptr; i++) {
        char head[4] = {0, 0, (char)(sc->packets[i].len >> 8), (char)sc->packets[i].len};
        feed(h, head, 4, split);
        feed(h, sc->packets[i].ptr, sc->packets[i].len, split);
        while (h->idle && *next && !h->ended) {
            ask(h, *next++);
            drain(h, split);
        }
    }
}

static int run(host *h, const script *sc, size_t split, int late, size_t fail_at, unsigned version)
{
    memset(h, 0, sizeof *h);
    h->sc = sc;
    h->late = late;
    h->now = 1000;
    h->c.fail_at = fail_at;
    lmail_milter_client_config c = LMAIL_MILTER_CLIENT_CONFIG_INIT;
    lmail_milter_client_handler on = LMAIL_MILTER_CLIENT_HANDLER_INIT;
    c.alloc = count_alloc_table(&h->c);
    c.version = version;
    on.on_ready = on_ready;
    on.on_verdict = on_verdict;
    on.on_change = on_change;
    on.on_macro = on_macro;
    on.on_end = on_end;
    on.on_cancel = on_cancel;
    if (lmail_milter_client_setup_new(&h->setup, &c, &on))
        return 0;
    int made = !lmail_milter_client_new(&h->s, h->setup, h, h->now);
    if (made) {
        play(h, split);
        lmail_milter_client_free(h->s);
    }
    lmail_milter_client_setup_free(h->setup);
    ck_assert_uint_eq(h->c.live, 0);
    ck_assert_uint_eq(h->c.lies, 0);
    if (made)
        ck_assert_int_eq(h->ended, 1);
    return made;
}

/* ---- Scripts --------------------------------------------------------------------------------- */

#define FREED "end FREED the session was freed\n"
#define START "ready 6 1ff 0\n"

static const script scripts[] = {
    {"a whole message",
     "CHMRTLNBEMA",
     {READY, P("c"), P("c"), P("c"), P("c"), P("c"), P("c"), P("c"), P("c"), P("c"), P("c")},
     START "CONNECT CONTINUE\nHELO CONTINUE\nMAIL CONTINUE\nRCPT CONTINUE\nDATA CONTINUE\n"
           "HEADER CONTINUE\nEOH CONTINUE\nBODY CONTINUE\nEND CONTINUE\nMAIL CONTINUE\n" FREED},
    {"each verdict",
     "CHMRTE",
     {READY, P("a"), P("r"), P("t"), P("d"), P("4"), P("f")},
     START "CONNECT ACCEPT\nHELO REJECT\nMAIL TEMPFAIL\nRCPT DISCARD\nDATA SHUTDOWN\n"
           "END SHUTDOWN\n" FREED},
    {"a reply of two lines, percent signs and control octets",
     "M",
     {READY, P("y550-5.7.1 100%% bad\r\n550 5.7.1 go\taway\0")},
     START "MAIL REPLY 550 5.7.1|100% bad|go?away\n" FREED},
    {"a reply without text", "M", {READY, P("y451\0")}, START "MAIL REPLY 451 |\n" FREED},
    {"an enhanced code of another class is text",
     "M",
     {READY, P("y450 5.7.1 x\0")},
     START "MAIL REPLY 450 |5.7.1 x\n" FREED},
    {"a reply that is a success",
     "M",
     {READY, P("y250 2.0.0 fine\0")},
     START "MAIL FAILED\nend PROTOCOL a malformed reply\n"},
    {"a reply whose lines differ in code",
     "M",
     {READY, P("y550-a\r\n551 b\0")},
     START "MAIL FAILED\nend PROTOCOL a malformed reply\n"},
    {"a reply without its end",
     "M",
     {READY, P("y550 x")},
     START "MAIL FAILED\nend PROTOCOL a malformed reply\n"},
    {"each change",
     "E",
     {READY, P("hX-A\0one\ntwo\n\0"), P("i\0\0\0\1X-B\0b\r\n\tc\0"), P("m\0\0\0\2Subject\0\0"),
      P("bnew\r\n"), P("+<c@z.example>\0"), P("2d@z.example\0NOTIFY=NEVER\0"),
      P("-<b@y.example>\0"), P("e<>\0SIZE=1\0"), P("qlooks odd\0"), P("p"), P("c")},
     START "ADD_HEADER 0 X-A| one\\r\\n\\ttwo|\nINSERT_HEADER 1 X-B| b\\r\\n\\tc|\n"
           "CHANGE_HEADER 2 Subject||\nBODY 0 |new\\r\\n|\nADD_RCPT 0 |c@z.example|\n"
           "ADD_RCPT 0 |d@z.example|NOTIFY=NEVER\nDELETE_RCPT 0 |b@y.example|\nFROM 0 ||SIZE=1\n"
           "QUARANTINE 0 |looks odd|\nEND CONTINUE\n" FREED},
    {"values with their leading space",
     "E",
     {{NEGOTIATED(ALL_ACTIONS, "\0\x10\0\0"), 13}, P("hX-A\0  v\0"), P("hX-B\0v\0"), P("c")},
     "ready 6 1ff 100000\nADD_HEADER 0 X-A|  v|\nADD_HEADER 0 X-B|v|\nEND CONTINUE\n" FREED},
    {"a change that was not negotiated",
     "E",
     {{NEGOTIATED("\0\0\0\2", NO_STEPS), 13}, P("hX-A\0v\0")},
     "ready 6 2 0\nEND FAILED\nend PROTOCOL a change that was not negotiated\n"},
    {"a change before the end of the message",
     "B",
     {READY, P("hX-A\0v\0")},
     START "BODY FAILED\nend PROTOCOL an answer that does not fit the question\n"},
    {"a header field that is no name",
     "E",
     {READY, P("hX A\0v\0")},
     START "END FAILED\nend PROTOCOL a malformed change\n"},
    {"an address with a line end",
     "E",
     {READY, P("+a@b\r\nRCPT TO:<c>\0")},
     START "END FAILED\nend PROTOCOL a malformed change\n"},
    {"octets behind a text",
     "E",
     {READY, P("qx\0y")},
     START "END FAILED\nend PROTOCOL a malformed change\n"},
    {"a change that the host cannot keep",
     "E",
     {READY, P("bfail"), P("c")},
     START "BODY 0 |fail|\nEND FAILED\nend HOST a change could not be kept\n"},
    {"DISCARD makes no sense for a connection",
     "C",
     {READY, P("d")},
     START "CONNECT FAILED\nend PROTOCOL an answer that does not fit the question\n"},
    {"SKIP",
     "LLBBE",
     {{NEGOTIATED(ALL_ACTIONS, "\0\0\4\0"), 13}, P("c"), P("s"), P("s"), P("c")},
     "ready 6 1ff 400\nHEADER CONTINUE\nHEADER CONTINUE\nBODY CONTINUE\nBODY CONTINUE\n"
     "END CONTINUE\n" FREED},
    {"SKIP that was not negotiated",
     "B",
     {READY, P("s")},
     START "BODY FAILED\nend PROTOCOL SKIP was not negotiated\n"},
    {"questions that are not wanted, and some without an answer",
     "CHMRTULNBE",
     {{NEGOTIATED(ALL_ACTIONS, "\0\x0f\xf3\xff"), 13}, P("c")},
     "ready 6 1ff ff3ff\nCONNECT CONTINUE\nHELO CONTINUE\nMAIL CONTINUE\nRCPT CONTINUE\n"
     "DATA CONTINUE\nUNKNOWN CONTINUE\nHEADER CONTINUE\nEOH CONTINUE\nBODY CONTINUE\n"
     "END CONTINUE\n" FREED},
    {"no answers are waited for",
     "CHMRTULNBE",
     {{NEGOTIATED(ALL_ACTIONS, "\0\x0f\xf0\x80"), 13}, P("c")},
     "ready 6 1ff ff080\nCONNECT CONTINUE\nHELO CONTINUE\nMAIL CONTINUE\nRCPT CONTINUE\n"
     "DATA CONTINUE\nUNKNOWN CONTINUE\nHEADER CONTINUE\nEOH CONTINUE\nBODY CONTINUE\n"
     "END CONTINUE\n" FREED},
    {"version 2 knows no DATA and no UNKNOWN",
     "TUKE",
     {P("O\0\0\0\2\0\0\0\x3f\0\0\0\0"), P("c")},
     "ready 2 3f 0\nDATA CONTINUE\nUNKNOWN CONTINUE\nsubmit LMAIL_ERR_UNSUPPORTED\nEND "
     "CONTINUE\n" FREED},
    {"a version above ours",
     "",
     {P("O\0\0\0\7\0\0\0\0\0\0\0\0")},
     "end VERSION a version that is not known here\n"},
    {"version 1",
     "",
     {P("O\0\0\0\1\0\0\0\0\0\0\0\0")},
     "end VERSION a version that is not known here\n"},
    {"rights that were not offered",
     "",
     {P("O\0\0\0\6\0\0\2\0\0\0\0\0")},
     "end VERSION it wants rights that it cannot have\n"},
    {"steps that were not offered",
     "",
     {P("O\0\0\0\6\0\0\0\0\x20\0\0\0")},
     "end VERSION it wants steps that were not offered\n"},
    {"a short negotiation",
     "",
     {P("O\0\0\0\6\0\0\0\0")},
     "end PROTOCOL a negotiation that is too short\n"},
    {"something else first", "", {P("c")}, "end PROTOCOL no answer to the negotiation\n"},
    {"a faulty list of macros",
     "",
     {P("O\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\x9x\0")},
     "end PROTOCOL a faulty list of macros\n"},
    {"a word that nobody asked for",
     "",
     {READY, P("c")},
     START "end PROTOCOL it spoke without being asked\n"},
};

START_TEST(one_script)
{
    static const size_t splits[] = {0, 1, 2, 3, 7};
    const script *sc = &scripts[_i];
    host h;
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        for (int late = 0; late < 2; late++) {
            run(&h, sc, splits[i], late, 0, 0);
            ck_assert_msg(strcmp(h.log, sc->log) == 0, "%s (split %zu, late %d)\n%s---\n%s",
                          sc->name, splits[i], late, h.log, sc->log);
        }
    for (size_t fail = 1; fail < 1000; fail++) {
        run(&h, sc, 3, 1, fail, 0);
        if (!h.c.failed)
            break;
    }
}
END_TEST

/* ---- On the wire ----------------------------------------------------------------------------- */

static void expect_wire(const host *h, size_t from, const char *ptr, size_t len)
{
    ck_assert_uint_eq(h->out_len - from, len);
    ck_assert_mem_eq(h->out + from, ptr, len);
}

START_TEST(only_version_4_is_offered)
{
    static const script sc = {"", "T", {P("O\0\0\0\4\0\0\0\x3f\0\0\2\0")}, ""};
    host h;
    run(&h, &sc, 0, 0, 0, 4);
    ck_assert_str_eq(h.log, "ready 4 3f 200\nDATA CONTINUE\n" FREED);
    expect_wire(&h, 0, "\0\0\0\rO\0\0\0\4\0\0\0\x3f\0\0\3\x7f", 17);
}
END_TEST

START_TEST(what_is_written)
{
    static const script sc = {
        "",
        "CHMRLAK",
        {{NEGOTIATED(ALL_ACTIONS, NO_STEPS) "\0\0\0\1{cipher}, j\0", 13 + 4 + 12},
         P("c"),
         P("c"),
         P("c"),
         P("c"),
         P("c")},
        "",
    };
    static const char wire[] = "\0\0\0\rO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"
                               "\0\0\0\x0f"
                               "DCj\0mx.example\0"
                               "\0\0\0\x1c"
                               "C<a@x.example>\0"
                               "4\1\2"
                               "192.0.2.1\0"
                               "\0\0\0\x19"
                               "DH{cipher}\0\0j\0mx.example\0"
                               "\0\0\0\x0f"
                               "H<a@x.example>\0"
                               "\0\0\0\x25"
                               "M<a@x.example>\0SIZE=10\0BODY=8BITMIME\0"
                               "\0\0\0\x1a"
                               "DR{rcpt_addr}\0b@y.example\0"
                               "\0\0\0\x0f"
                               "R<a@x.example>\0"
                               "\0\0\0\x12"
                               "LSubject\0one\n\ttwo\0"
                               "\0\0\0\1A"
                               "\0\0\0\1K";
    host h;
    run(&h, &sc, 0, 0, 0, 0);
    expect_wire(&h, 0, wire, sizeof wire - 1);
}
END_TEST

START_TEST(the_largest_piece)
{
    static char body[1048576];
    static const script sc = {"", "", {{NEGOTIATED(ALL_ACTIONS, "\x20\0\0\0"), 13}}, ""};
    static host h;
    h.sc = &sc;
    lmail_milter_client_config c = LMAIL_MILTER_CLIENT_CONFIG_INIT;
    lmail_milter_client_handler on = LMAIL_MILTER_CLIENT_HANDLER_INIT;
    lmail_milter_facts f;
    lmail_milter_ask a = LMAIL_MILTER_ASK_INIT;
    c.max_data = 1048575;
    on.on_verdict = on_verdict;
    on.on_change = on_change;
    ck_assert_int_eq(lmail_milter_client_setup_new(&h.setup, &c, &on), LMAIL_OK);
    ck_assert_int_eq(lmail_milter_client_new(&h.s, h.setup, &h, 0), LMAIL_OK);
    play(&h, 0);
    lmail_milter_client_get_facts(h.s, &f);
    ck_assert_uint_eq(f.max_data, 1048575);
    a.kind = LMAIL_MILTER_ASK_BODY;
    a.text = (lmail_str){body, sizeof body};
    ck_assert_int_eq(lmail_milter_client_submit(h.s, &a, 1), LMAIL_ERR_ARG);
    a.text.len--;
    ck_assert_int_eq(lmail_milter_client_submit(h.s, &a, 1), LMAIL_OK);
    ck_assert_uint_eq(lmail_session_unsent(lmail_milter_client_session(h.s)), 1048575 + 5);
    ck_assert_int_eq(lmail_milter_client_submit(h.s, &a, 1), LMAIL_ERR_STATE);
    lmail_milter_client_free(h.s);
    lmail_milter_client_setup_free(h.setup);
}
END_TEST

/* ---- Time ------------------------------------------------------------------------------------ */

static host *timed(const char *steps)
{
    static host h;
    memset(&h, 0, sizeof h);
    lmail_milter_client_config c = LMAIL_MILTER_CLIENT_CONFIG_INIT;
    lmail_milter_client_handler on = LMAIL_MILTER_CLIENT_HANDLER_INIT;
    char first[17] = "\0\0\0\rO\0\0\0\6\0\0\1\xff";
    size_t used;
    c.send_timeout = 20;
    c.read_timeout = 10;
    c.end_timeout = 100;
    on.on_verdict = on_verdict;
    on.on_change = on_change;
    on.on_end = on_end;
    on.on_ready = on_ready;
    memcpy(first + 13, steps, 4);
    ck_assert_int_eq(lmail_milter_client_setup_new(&h.setup, &c, &on), LMAIL_OK);
    ck_assert_int_eq(lmail_milter_client_new(&h.s, h.setup, &h, 0), LMAIL_OK);
    lmail_milter_client_tick(h.s, 0);
    ck_assert_uint_eq(lmail_milter_client_deadline(h.s), 20);
    drain(&h, 0);
    ck_assert_uint_eq(lmail_milter_client_deadline(h.s), 10);
    lmail_milter_client_feed(h.s, (lmail_str){first, 17}, &used, 0);
    ck_assert_uint_eq(lmail_milter_client_deadline(h.s), LMAIL_NEVER);
    h.len = 0;
    return &h;
}

static void over(host *h, const char *log)
{
    h->log[h->len] = '\0';
    ck_assert_str_eq(h->log, log);
    lmail_milter_client_free(h->s);
    lmail_milter_client_setup_free(h->setup);
}

START_TEST(no_answer)
{
    host *h = timed(NO_STEPS);
    ask(h, 'M');
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), 20);
    drain(h, 0);
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), 10);
    size_t used; /* an octet is no answer and wins no time */
    lmail_milter_client_feed(h->s, (lmail_str){"\0", 1}, &used, 9);
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), 10);
    lmail_milter_client_tick(h->s, 10);
    over(h, "MAIL FAILED\nend TIMEOUT no answer\n");
}
END_TEST

START_TEST(it_takes_nothing)
{
    host *h = timed(NO_STEPS);
    ask(h, 'M');
    lmail_milter_client_sent(h->s, 1, 15);
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), 35);
    lmail_milter_client_tick(h->s, 35);
    over(h, "MAIL FAILED\nend TIMEOUT it takes nothing more\n");
}
END_TEST

START_TEST(the_end_has_its_own_time)
{
    host *h = timed(NO_STEPS);
    size_t used;
    ask(h, 'E');
    drain(h, 0);
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), 100);
    lmail_milter_client_feed(h->s, (lmail_str){"\0\0\0\1p", 5}, &used, 50);
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), 150);
    h->late = 1;
    lmail_milter_client_feed(h->s, (lmail_str){"\0\0\0\2bx", 6}, &used, 60);
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), LMAIL_NEVER);
    ck_assert_uint_eq(lmail_milter_client_wants(h->s) & LMAIL_WANT_READ, 0);
    ck_assert_int_eq(lmail_milter_client_answer_change(h->s, h->pending, NULL, 90), LMAIL_OK);
    ck_assert_int_eq(lmail_milter_client_answer_change(h->s, h->pending, NULL, 90),
                     LMAIL_ERR_STALE);
    ck_assert_uint_eq(lmail_milter_client_deadline(h->s), 180);
    lmail_milter_client_tick(h->s, 180);
    over(h, "BODY 0 |x|\nEND FAILED\nend TIMEOUT no answer to the end of a message\n");
}
END_TEST

START_TEST(no_verdict_before_there_is_room)
{
    static char body[65535];
    host *h = timed("\0\x08\0\0"); /* no answer to BODY */
    lmail_milter_ask a = LMAIL_MILTER_ASK_INIT;
    a.kind = LMAIL_MILTER_ASK_BODY;
    a.text = (lmail_str){body, sizeof body};
    ck_assert_int_eq(lmail_milter_client_submit(h->s, &a, 0), LMAIL_OK);
    ck_assert_uint_eq(h->len, 0);
    ck_assert_int_eq(lmail_milter_client_submit(h->s, &a, 0), LMAIL_ERR_STATE);
    lmail_milter_client_sent(h->s, 60000, 1);
    over(h, "BODY CONTINUE\n");
}
END_TEST

START_TEST(lengths_that_are_none)
{
    static const struct {
        const char *octets, *log;
    } cases[] = {{"\0\0\0\0", "end PROTOCOL an empty packet\n"},
                 {"\0\1\0\1", "end PROTOCOL a packet that is too long\n"},
                 {"\xff\xff\xff\xff", "end PROTOCOL a packet that is too long\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        host *h = timed(NO_STEPS);
        feed(h, cases[i].octets, 4, 0);
        feed(h, "c", 1, 0);
        over(h, cases[i].log);
    }
}
END_TEST

START_TEST(stop_between_questions_says_quit)
{
    host *h = timed(NO_STEPS);
    size_t from = h->out_len;
    ck_assert_int_eq(lmail_milter_client_stop(h->s, 1), LMAIL_OK);
    drain(h, 0);
    expect_wire(h, from, "\0\0\0\1Q", 5);
    ck_assert_uint_eq(lmail_milter_client_wants(h->s), LMAIL_WANT_CLOSE);
    lmail_milter_ask a = LMAIL_MILTER_ASK_INIT;
    a.kind = LMAIL_MILTER_ASK_MAIL;
    ck_assert_int_eq(lmail_milter_client_submit(h->s, &a, 1), LMAIL_ERR_CLOSED);
    over(h, "end STOPPED stopped\n");
}
END_TEST

START_TEST(it_leaves)
{
    host *h = timed(NO_STEPS);
    ask(h, 'B');
    lmail_milter_client_eof(h->s, 1);
    over(h, "BODY FAILED\nend LOST it closed the connection\n");
}
END_TEST

START_TEST(arguments)
{
    lmail_milter_client_setup *u;
    lmail_milter_client_config c = LMAIL_MILTER_CLIENT_CONFIG_INIT;
    lmail_milter_client_handler on = LMAIL_MILTER_CLIENT_HANDLER_INIT;
    ck_assert_int_eq(lmail_milter_client_setup_new(&u, &c, &on), LMAIL_ERR_ARG);
    on.on_verdict = on_verdict;
    c.version = 7;
    ck_assert_int_eq(lmail_milter_client_setup_new(&u, &c, &on), LMAIL_ERR_ARG);
    c.version = 1;
    ck_assert_int_eq(lmail_milter_client_setup_new(&u, &c, &on), LMAIL_ERR_ARG);
    c.version = 6;
    c.max_data = 70000;
    ck_assert_int_eq(lmail_milter_client_setup_new(&u, &c, &on), LMAIL_ERR_ARG);
    c.max_data = 0;
    c.size++;
    ck_assert_int_eq(lmail_milter_client_setup_new(&u, &c, &on), LMAIL_ERR_SIZE);
    lmail_milter_client_setup_free(NULL);
    ck_assert_ptr_null(lmail_milter_ask_name(LMAIL_MILTER_ASK_COUNT));
    ck_assert_ptr_null(lmail_milter_says_name((lmail_milter_says)99));
    ck_assert_ptr_null(lmail_milter_cause_name((lmail_milter_cause)0));
    ck_assert_str_eq(lmail_milter_change_name(LMAIL_MILTER_CHANGE_FROM), "FROM");
}
END_TEST

START_TEST(sockets)
{
    static const struct {
        const char *text, *path, *host;
        unsigned port, inet6;
    } good[] = {{"inet:8891@localhost", "", "localhost", 8891, 0},
                {"inet6:1@[::1]", "", "::1", 1, 1},
                {"INET:65535", "", "", 65535, 0},
                {"unix:/run/x", "/run/x", "", 0, 0},
                {"local:/run/x", "/run/x", "", 0, 0},
                {"/run/x", "/run/x", "", 0, 0}};
    static const char *const bad[] = {"",         "inet:",    "inet:0@h",   "inet:65536@h",
                                      "inet:x@h", "inet:25@", "unix:",      "unix:run",
                                      "local:/",  "tcp:1@h",  "inet:1@a b", "inet:+1@h"};
    lmail_milter_socket s;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_int_eq(lmail_milter_socket_parse(lmail_str_from(good[i].text), &s), LMAIL_OK);
        ck_assert(lmail_str_equal(s.path, lmail_str_from(good[i].path)));
        ck_assert(lmail_str_equal(s.host, lmail_str_from(good[i].host)));
        ck_assert_uint_eq(s.port, good[i].port);
        ck_assert_uint_eq(s.inet6, good[i].inet6);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(lmail_milter_socket_parse(lmail_str_from(bad[i]), &s), LMAIL_ERR_SYNTAX);
}
END_TEST

Suite *milter_client_suite(void)
{
    Suite *s = suite_create("milter_client");
    TCase *t = tcase_create("scripts");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, one_script, 0, sizeof scripts / sizeof *scripts);
    tcase_add_test(t, only_version_4_is_offered);
    tcase_add_test(t, lengths_that_are_none);
    tcase_add_test(t, what_is_written);
    tcase_add_test(t, the_largest_piece);
    tcase_add_test(t, no_answer);
    tcase_add_test(t, it_takes_nothing);
    tcase_add_test(t, the_end_has_its_own_time);
    tcase_add_test(t, no_verdict_before_there_is_room);
    tcase_add_test(t, stop_between_questions_says_quit);
    tcase_add_test(t, it_leaves);
    tcase_add_test(t, arguments);
    tcase_add_test(t, sockets);
    suite_add_tcase(s, t);
    return s;
}
