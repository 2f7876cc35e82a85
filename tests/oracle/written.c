/* written.c - writes what it is told to on standard input, for a reader that is not ours.
 *
 * Each line is a command and its arguments, blanks between them, texts in hex ("-" is the empty one).
 * The answer to each: the status and the octets' count on a line, then the octets. */
#include "dsn_compose.h"

#include <libmail/codec.h>
#include <libmail/mime_write.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 256

typedef struct words {
    lmail_str arg[MOST];
    size_t count;
} words;

static lmail_str unhex(char *word)
{
    size_t n = 0;
    for (size_t i = 0; word[i] && word[i + 1]; i += 2)
        word[n++] = (char)(lmail_hex_value(word[i]) * 16 + lmail_hex_value(word[i + 1]));
    return (lmail_str){word, n};
}

static void answer(lmail_status st, const char *out, size_t len)
{
    printf("%s %zu\n", lmail_status_name(st), len);
    fwrite(out, 1, len, stdout);
}

static int64_t number(lmail_str s)
{
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)s.len, s.ptr);
    return strtoll(text, NULL, 10);
}

/* addresses NAME (NAME LOCAL DOMAIN)... */
static lmail_status addresses(lmail_mime_writer *w, const words *a)
{
    lmail_mime_mailbox list[MOST / 3];
    size_t n = 0;
    for (size_t i = 1; i + 3 <= a->count; i += 3)
        list[n++] = (lmail_mime_mailbox){a->arg[i], a->arg[i + 1], a->arg[i + 2]};
    return lmail_mime_addresses_write(w, a->arg[0], list, n);
}

/* content NAME VALUE (NAME VALUE)... */
static lmail_status content(lmail_mime_writer *w, const words *a)
{
    lmail_mime_write_param list[MOST / 2];
    size_t n = 0;
    for (size_t i = 2; i + 2 <= a->count; i += 2)
        list[n++] = (lmail_mime_write_param){a->arg[i], a->arg[i + 1]};
    return lmail_mime_content_write(w, a->arg[0], a->arg[1], list, n);
}

/* A text part whole: body TEXT ALLOW */
static lmail_status body(lmail_mime_writer *w, const words *a)
{
    lmail_mime_scan scan = {0};
    lmail_mime_scan_feed(&scan, a->arg[0]);
    lmail_mime_encoder e = {.encoding = lmail_mime_scan_encoding(&scan, a->arg[1].len > 0),
                            .text = 1};
    const lmail_mime_write_param charset = {LMAIL_STR("charset"), LMAIL_STR("utf-8")};
    lmail_mime_content_write(w, LMAIL_STR("Content-Type"), LMAIL_STR("text/plain"), &charset, 1);
    lmail_mime_encoding_write(w, e.encoding);
    lmail_status st = lmail_mime_blank_write(w);
    lmail_str rest = a->arg[0];
    lmail_status more = LMAIL_MORE;
    while (more == LMAIL_MORE && !st) {
        size_t used, made;
        more = lmail_mime_encode_some(&e, rest, 1, &used, w->out + w->made, 64, &made);
        rest.ptr += used;
        rest.len -= used;
        w->made += made;
    }
    return st;
}

/* report KIND FLAGS RET TO ENVID MESSAGE ID (ACTION FINAL ORCPT CODE ENHANCED TEXT HOST)... */
static void report(const words *a)
{
    static const char *const actions[] = {"",          "failed",  "delayed",
                                          "delivered", "relayed", "expanded"};
    lmail_dsn_recipient list[MOST / 7];
    size_t n = 0;
    memset(list, 0, sizeof list);
    for (size_t i = 7; i + 7 <= a->count; i += 7) {
        lmail_dsn_recipient *r = &list[n++];
        for (unsigned k = 1; k < 6; k++)
            if (lmail_str_equal(a->arg[i], lmail_str_from(actions[k])))
                r->action = (lmail_dsn_action)k;
        r->final = a->arg[i + 1];
        r->orcpt = a->arg[i + 2];
        r->code = (unsigned)number(a->arg[i + 3]);
        r->enhanced = a->arg[i + 4];
        r->text = a->arg[i + 5];
        r->host = a->arg[i + 6];
        r->last = r->retry_until = 1057049557000;
    }
    lmail_dsn_config config = LMAIL_DSN_CONFIG_INIT;
    config.host = LMAIL_STR("mx.example.org");
    lmail_dsn_report r = LMAIL_DSN_REPORT_INIT;
    r.kind = (lmail_dsn_kind)number(a->arg[0]);
    r.flags = (unsigned)number(a->arg[1]);
    r.ret = (unsigned)number(a->arg[2]);
    r.to = a->arg[3];
    r.envid = a->arg[4];
    r.id = a->arg[6];
    r.now = 1057049557000;
    r.arrived = 1057040000000;
    r.zone = 120;
    r.octets = a->arg[5].len;
    r.recipients = list;
    r.recipient_count = n;
    dsn_compose c = {.message = a->arg[5]};
    lmail_status st = dsn_compose_run(&c, &config, &r);
    answer(st, c.out, c.len);
    free(c.out);
}

static void run(const char *command, const words *a, char *out, size_t cap)
{
    lmail_mime_writer w;
    lmail_status st = LMAIL_ERR_UNSUPPORTED;
    lmail_mime_writer_init(&w, out, cap);
    if (!strcmp(command, "report")) {
        report(a);
        return;
    }
    if (!strcmp(command, "text"))
        st = lmail_mime_text_write(&w, a->arg[0], a->arg[1]);
    else if (!strcmp(command, "addresses"))
        st = addresses(&w, a);
    else if (!strcmp(command, "content"))
        st = content(&w, a);
    else if (!strcmp(command, "date"))
        st = lmail_mime_date_write(&w, a->arg[0], number(a->arg[1]), (int32_t)number(a->arg[2]));
    else if (!strcmp(command, "ids"))
        st = lmail_mime_ids_write(&w, a->arg[0], a->arg + 1, a->count - 1);
    else if (!strcmp(command, "body"))
        st = body(&w, a);
    answer(st, out, w.made < cap ? w.made : 0);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0, out_cap = 1 << 22;
    char *out = malloc(out_cap);
    while (out && getline(&line, &cap, stdin) > 0) {
        words a = {.count = 0};
        char *save, *command = strtok_r(line, " \n", &save), *word;
        while (command && a.count < MOST && (word = strtok_r(NULL, " \n", &save)))
            a.arg[a.count++] = *word == '-' ? LMAIL_STR("") : unhex(word);
        if (command)
            run(command, &a, out, out_cap);
        fflush(stdout);
    }
    free(line);
    free(out);
    return 0;
}
