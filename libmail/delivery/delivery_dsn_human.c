/* delivery_dsn_human.c - the part of a report that people read (RFC 3464 §2.1, RFC 6522 §3).
 *
 * Plain sentences out of the table of libmail/dsn.h: whose message, what happened to whom, what the
 * other side said, what can be done. Wrapped at 72 columns; the encoding is the reader's of the pass. */
#include "delivery_dsn_internal.h"

#define WIDTH 72u

static void put_indent(lmail_dsn *d, unsigned indent)
{
    static const char blanks[] = "        ";
    lmi_dsn_put(d, (lmail_str){blanks, indent});
    d->column = indent;
}

static void end_line(lmail_dsn *d)
{
    lmi_dsn_put(d, LMAIL_STR("\r\n"));
    d->column = 0;
}

/* Columns of a text: one a character. */
static size_t columns(lmail_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* One line of text in as many lines as it takes. */
static void put_wrapped(lmail_dsn *d, lmail_str text, unsigned indent)
{
    put_indent(d, indent);
    unsigned first = 1;
    while (text.len) {
        size_t n = lmi_str_find(text, ' ');
        lmail_str word = lmi_str_sub(text, 0, n);
        text = lmi_str_skip(text, n < text.len ? n + 1 : n);
        if (!word.len)
            continue;
        size_t width = columns(word);
        if (!first && d->column + 1 + width > WIDTH) {
            end_line(d);
            put_indent(d, indent);
        } else if (!first) {
            lmi_dsn_put(d, LMAIL_STR(" "));
            d->column++;
        }
        lmi_dsn_put(d, word);
        d->column += width;
        first = 0;
    }
    end_line(d);
}

void lmi_dsn_say(lmail_dsn *d, lmail_dsn_text_id id, lmail_str argument, unsigned indent)
{
    char filled[LMI_DSN_TEXT + 2 * LMI_DSN_VALUE];
    lmi_words words = {.host = d->config.host, .argument = argument};
    lmail_str text = {filled, lmi_words_write(d->text[id], &words, filled, sizeof filled)};
    for (;;) {
        size_t n = lmi_str_find(text, '\n');
        put_wrapped(d, lmi_str_sub(text, 0, n), indent);
        if (n == text.len)
            break;
        text = lmi_str_skip(text, n + 1);
    }
}

/* A time as an argument. */
static void say_time(lmail_dsn *d, lmail_dsn_text_id id, int64_t when, unsigned indent)
{
    char date[32];
    size_t n = lmail_mime_date_text(when / 1000, d->report.zone, date);
    if (n)
        lmi_dsn_say(d, id, (lmail_str){date, n}, indent);
}

void lmi_dsn_human_begin(lmail_dsn *d)
{
    char date[32];
    const lmail_dsn_report *r = &d->report;
    if (r->arrived && lmail_mime_date_text(r->arrived / 1000, r->zone, date))
        say_time(d, LMAIL_DSN_TEXT_INTRO_DATE, r->arrived, 0);
    else
        lmi_dsn_say(d, LMAIL_DSN_TEXT_INTRO, (lmail_str){NULL, 0}, 0);
    if (r->kind == LMAIL_DSN_REPORT)
        return;
    end_line(d);
    if (r->kind == LMAIL_DSN_NOTICE)
        lmi_dsn_say(d, LMAIL_DSN_TEXT_NOTICE, (lmail_str){NULL, 0}, 0);
    else
        lmi_dsn_say(d, LMAIL_DSN_TEXT_COPY, r->sender, 0);
}

void lmi_dsn_human_group(lmail_dsn *d, lmail_dsn_action action)
{
    static const lmail_dsn_text_id ids[] = {LMAIL_DSN_TEXT_FAILED,  LMAIL_DSN_TEXT_FAILED,
                                            LMAIL_DSN_TEXT_DELAYED, LMAIL_DSN_TEXT_DELIVERED,
                                            LMAIL_DSN_TEXT_RELAYED, LMAIL_DSN_TEXT_EXPANDED};
    end_line(d);
    lmi_dsn_say(d, ids[action], (lmail_str){NULL, 0}, 0);
}

/* RFC 3463 §3: subject and detail behind the class. */
static int is_code(lmail_str enhanced, const char *rest)
{
    lmail_str want = lmail_str_from(rest);
    return lmail_str_equal(lmi_str_sub(enhanced, 1, want.len), want) &&
           (want.ptr[want.len - 1] == '.' || enhanced.len == want.len + 1);
}

static void say_advice(lmail_dsn *d, const lmail_dsn_recipient *r)
{
    static const struct advice {
        const char *code;
        lmail_dsn_text_id id;
    } advice[] = {{".1.1", LMAIL_DSN_TEXT_TRY_ADDRESS},  {".1.2", LMAIL_DSN_TEXT_TRY_ADDRESS},
                  {".1.3", LMAIL_DSN_TEXT_TRY_ADDRESS},  {".1.6", LMAIL_DSN_TEXT_TRY_ADDRESS},
                  {".1.10", LMAIL_DSN_TEXT_TRY_ADDRESS}, {".2.1", LMAIL_DSN_TEXT_TRY_ADDRESS},
                  {".2.2", LMAIL_DSN_TEXT_TRY_FULL},     {".2.3", LMAIL_DSN_TEXT_TRY_SMALLER},
                  {".3.4", LMAIL_DSN_TEXT_TRY_SMALLER},  {".4.", LMAIL_DSN_TEXT_TRY_LATER},
                  {".7.", LMAIL_DSN_TEXT_TRY_POLICY}};
    lmail_str enhanced = lmi_dsn_enhanced(r);
    for (size_t i = 0; r->action == LMAIL_DSN_FAILED && i < sizeof advice / sizeof *advice; i++) {
        if (is_code(enhanced, advice[i].code)) {
            lmi_dsn_say(d, advice[i].id, (lmail_str){NULL, 0}, 8);
            return;
        }
    }
}

/* What was answered, or what went wrong. */
static void say_answer(lmail_dsn *d, const lmail_dsn_recipient *r)
{
    char line[LMI_DSN_VALUE + 32];
    if (!r->text.len && !r->code)
        return;
    if (r->code)
        lmi_dsn_say(d, LMAIL_DSN_TEXT_SAID, r->host.len ? r->host : d->config.host, 8);
    else if (r->host.len)
        lmi_dsn_say(d, LMAIL_DSN_TEXT_REASON_HOST, r->host, 8);
    else
        lmi_dsn_say(d, LMAIL_DSN_TEXT_REASON, (lmail_str){NULL, 0}, 8);
    lmi_mime_out o;
    lmi_mime_out_fixed(&o, line, sizeof line);
    if (r->code) {
        lmi_mime_put_u64(&o, r->code);
        lmi_mime_put_char(&o, ' ');
        lmi_mime_put(&o, lmi_dsn_said(r));
        lmi_mime_put_char(&o, ' ');
    }
    lmi_mime_put(&o, r->text);
    put_wrapped(d, (lmail_str){line, o.len < sizeof line ? o.len : sizeof line}, 8);
}

void lmi_dsn_human_recipient(lmail_dsn *d, const lmail_dsn_recipient *r)
{
    end_line(d);
    put_indent(d, 4);
    lmi_dsn_put(d, LMAIL_STR("<"));
    lmi_dsn_put(d, r->final);
    lmi_dsn_put(d, LMAIL_STR(">"));
    end_line(d);
    if (r->action == LMAIL_DSN_FAILED || r->action == LMAIL_DSN_DELAYED)
        say_answer(d, r);
    if (r->action == LMAIL_DSN_DELAYED && r->retry_until)
        say_time(d, LMAIL_DSN_TEXT_RETRY_UNTIL, r->retry_until, 8);
    say_advice(d, r);
}

void lmi_dsn_human_end(lmail_dsn *d)
{
    end_line(d);
    if (d->send_end)
        lmi_dsn_say(d, d->full ? LMAIL_DSN_TEXT_ATTACHED : LMAIL_DSN_TEXT_ATTACHED_HEADER,
                    (lmail_str){NULL, 0}, 0);
    if (d->report.kind == LMAIL_DSN_REPORT)
        lmi_dsn_say(d, LMAIL_DSN_TEXT_HELP, (lmail_str){NULL, 0}, 0);
}
