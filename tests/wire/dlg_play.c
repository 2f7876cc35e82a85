/* dlg_play.c - plays one dialogue once, in one mode, against a fresh session. */
#include "wire/dlg.h"

#include <stdlib.h>
#include <string.h>

typedef struct play {
    script h;
    const dlg *d;
    const dlg_mode *mode;
    dlg_result *r;
    size_t matched;  /* octets of h.out that S lines have covered */
    size_t log_seen; /* octets of h.log up to the last Q: */
    const dlg_step *step;
} play;

static void complain(play *p, const char *expected, const char *got)
{
    if (p->r->fault[0])
        return;
    p->r->line = p->step ? p->step->line : 0;
    snprintf(p->r->fault, sizeof p->r->fault, "expected %s\n    got      %s", expected, got);
}

static lmail_str rest_of_output(const play *p)
{
    lmail_str all = {p->h.out.ptr ? p->h.out.ptr : "", p->h.out.len};
    return (lmail_str){all.ptr + p->matched, all.len - p->matched};
}

static const char *first_lines(play *p, lmail_str octets)
{
    if (octets.len == 0)
        return "nothing";
    if (octets.len > 400)
        octets.len = 400;
    return script_text(&p->h, octets);
}

/* Nothing may have been said that no S line covers. */
static void quiet(play *p)
{
    lmail_str rest = rest_of_output(p);
    if (rest.len)
        complain(p, "nothing yet", first_lines(p, rest));
}

static void expect_octets(play *p, lmail_str want)
{
    lmail_str got = rest_of_output(p);
    if (got.len >= want.len && (want.len == 0 || memcmp(got.ptr, want.ptr, want.len) == 0))
        p->matched += want.len;
    else
        complain(p, script_text(&p->h, want), first_lines(p, got));
}

static void expect_line(play *p, const char *text)
{
    size_t len = strlen(text);
    char *line = malloc(len + 3);
    memcpy(line, text, len);
    memcpy(line + len, "\r\n", 3);
    expect_octets(p, (lmail_str){line, len + 2});
    free(line);
}

static void expect_pattern(play *p, const char *pattern)
{
    lmail_str got = rest_of_output(p);
    char *end = got.len ? memmem(got.ptr, got.len, "\r\n", 2) : NULL;
    size_t len = end ? (size_t)(end - got.ptr) : got.len;
    char *line = calloc(1, len + 1);
    if (len)
        memcpy(line, got.ptr, len);
    if (end && script_match(pattern, line))
        p->matched += len + 2;
    else
        complain(p, pattern, first_lines(p, got));
    free(line);
}

/* A line of the log that matches, from `from` on: the offset behind it, or 0. */
static size_t find_in_log(play *p, const char *pattern, size_t from)
{
    size_t at = from;
    while (at < p->h.log.len) {
        char *nl = memchr(p->h.log.ptr + at, '\n', p->h.log.len - at);
        size_t end = (size_t)(nl - p->h.log.ptr);
        char *line = strndup(p->h.log.ptr + at, end - at);
        int yes = script_match(pattern, line);
        free(line);
        if (yes)
            return end + 1;
        at = end + 1;
    }
    return 0;
}

static void expect_log(play *p, const char *pattern)
{
    size_t end = find_in_log(p, pattern, p->log_seen);
    if (end)
        p->log_seen = end;
    else
        complain(p, pattern,
                 p->h.log.len > p->log_seen
                     ? script_text(&p->h, (lmail_str){p->h.log.ptr + p->log_seen,
                                                      p->h.log.len - p->log_seen})
                     : "no further line in the log");
}

static void expect_wants(play *p, const char *text)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"READ", LMAIL_WANT_READ},
                 {"WRITE", LMAIL_WANT_WRITE},
                 {"TLS", LMAIL_WANT_TLS},
                 {"DEFLATE_ON", LMAIL_WANT_DEFLATE_ON},
                 {"DEFLATE_OFF", LMAIL_WANT_DEFLATE_OFF},
                 {"HOLD", LMAIL_WANT_HOLD},
                 {"CLOSE", LMAIL_WANT_CLOSE}};
    unsigned wants = lmail_session_wants(p->h.session);
    char shown[128] = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (wants & names[i].bit) {
            strcat(shown, names[i].name);
            strcat(shown, " ");
        }
    char *copy = strdup(text), *save = NULL;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        int negated = w[0] == '!';
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strcmp(w + negated, names[i].name) == 0)
                bit = names[i].bit;
        if (!bit || ((wants & bit) == 0) != (negated != 0))
            complain(p, text, shown);
    }
    free(copy);
}

static void send_hex(play *p, const char *text)
{
    while (*text) {
        char *end;
        unsigned long v = strtoul(text, &end, 16);
        if (end == text) {
            complain(p, "hex octets", text);
            return;
        }
        char c = (char)v;
        script_input(&p->h, &c, 1);
        text = end;
        while (*text == ' ')
            text++;
    }
}

static void send_line(play *p, const char *text)
{
    script_input(&p->h, text, strlen(text));
    script_input(&p->h, "\r\n", 2);
}

static void send_many(play *p, const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end == ' ')
        end++;
    while (n--)
        send_line(p, end);
}

static void answer_late(play *p, const char *words)
{
    char *copy = strdup(words), *pattern = NULL, *text = copy;
    if (*copy == '[') {
        char *close = strchr(copy, ']');
        if (close) {
            *close = 0;
            pattern = copy + 1;
            text = close + 1;
            while (*text == ' ')
                text++;
        }
    }
    lmail_status st = script_answer(&p->h, pattern, script_keep(&p->h, text));
    if (st == LMAIL_ERR_NOTFOUND)
        complain(p, words, "no such question is pending");
    free(copy);
}

static void host_does(play *p, const char *words)
{
    script *h = &p->h;
    if (strcmp(words, "answer") == 0 || strncmp(words, "answer ", 7) == 0) {
        answer_late(p, words[6] ? words + 7 : "");
    } else if (strcmp(words, "tls") == 0 || strcmp(words, "tls refused") == 0) {
        lmail_status st = script_tls(h, NULL);
        if ((st == LMAIL_ERR_CLOSED) != (words[3] != 0) && st != LMAIL_ERR_NOMEM)
            complain(p, words, lmail_status_name(st));
    } else if (strcmp(words, "filter") == 0) {
        lmail_status st = lmail_session_filter_done(h->session, h->now);
        if (st < 0)
            h->status = st;
    } else if (strcmp(words, "stop") == 0) {
        lmail_status st = lmail_session_stop(h->session, h->now);
        if (st < 0)
            h->status = st;
    } else if (strcmp(words, "rest") == 0) {
        lmail_session_rest(h->session);
    } else if (!h->adaptor->action || h->adaptor->action(h, words, h->now) != 0) {
        complain(p, "words that the host knows", words);
    }
}

static int is_rule(const char *text)
{
    return strstr(text, " -> ") || strstr(text, " => ");
}

static void add_rule(script *h, const char *text)
{
    const char *arrow = strstr(text, " -> ");
    int every = 0;
    if (!arrow) {
        arrow = strstr(text, " => ");
        every = 1;
    }
    char *pattern = strndup(text, (size_t)(arrow - text));
    script_rule(h, pattern, arrow + 4, every);
    free(pattern);
}

/* A session that is a client hears the server's lines and says the client's. */
static char kind_for(const script_adaptor *a, char kind)
{
    static const char from[] = "CcSsG", into[] = "SsCcg";
    const char *at = strstr(a->protocol, "_client") ? strchr(from, kind) : NULL;
    return at ? into[at - from] : kind;
}

static void take_step(play *p, const dlg_step *s)
{
    script *h = &p->h;
    char kind = kind_for(h->adaptor, s->kind);
    p->step = s;
    switch (kind) {
    case 'C':
        send_line(p, s->text);
        return;
    case 'c': {
        lmail_str octets = script_octets(h, s->text);
        script_input(h, octets.ptr, octets.len);
        return;
    }
    case 'X':
        send_hex(p, s->text);
        return;
    case 'R':
        send_many(p, s->text);
        return;
    case '#':
        return;
    case 'H':
        if (is_rule(s->text))
            return;
        break;
    default:
        break;
    }
    /* Implicit TLS comes before the first tick. */
    int implicit = kind == 'H' && strncmp(s->text, "tls", 3) == 0 && h->out.len == 0 && h->fed == 0;
    if (!implicit)
        script_run(h);
    if (h->gone || h->status < 0)
        return;
    switch (kind) {
    case 'S':
        expect_line(p, s->text);
        break;
    case 's':
        expect_octets(p, script_octets(h, s->text));
        break;
    case 'g':
        expect_pattern(p, s->text);
        break;
    case 'Q':
        expect_log(p, s->text);
        break;
    case 'q':
        if (find_in_log(p, s->text, 0))
            complain(p, "no such line in the log", s->text);
        break;
    case 'W':
        expect_wants(p, s->text);
        break;
    case 'T':
        quiet(p);
        h->now += strtoull(s->text + (s->text[0] == '+'), NULL, 10);
        break;
    case 'E':
        quiet(p);
        script_eof(h);
        break;
    default:
        quiet(p);
        host_does(p, s->text);
        break;
    }
}

static void finish(play *p)
{
    script *h = &p->h;
    p->step = p->d->count ? &p->d->steps[p->d->count - 1] : NULL;
    if (h->gone == 0 && h->status >= 0 && h->session) {
        script_run(h);
        if (h->gone == 0) {
            quiet(p);
            unsigned wants = lmail_session_wants(h->session);
            if (h->fed < h->in.len && !(wants & LMAIL_WANT_CLOSE))
                complain(p, "all input taken",
                         first_lines(p, (lmail_str){h->in.ptr + h->fed, h->in.len - h->fed}));
            const char *idle = script_idle_rule(h);
            if (idle)
                complain(p, idle, "this question was never asked");
            const char *unused = script_unused(h);
            if (unused)
                complain(p, "a setting that the adaptor knows", unused);
        }
    }
    if (h->status < 0 && !p->mode->fail_at)
        complain(p, "a living session", lmail_status_name(h->status));
}

static void tell_config(script *h, const char *text)
{
    const char *blank = strchr(text, ' ');
    char *key = blank ? strndup(text, (size_t)(blank - text)) : strdup(text);
    script_set(h, key, blank ? blank + 1 : "yes");
    free(key);
}

void dlg_play(const dlg *d, const script_adaptor *adaptor, const dlg_mode *mode, dlg_result *r)
{
    count_alloc counter = {.fail_at = mode->fail_at};
    lmail_alloc table = count_alloc_table(&counter);
    play p = {.d = d, .mode = mode, .r = r};
    memset(r, 0, sizeof *r);
    script_init(&p.h, adaptor, &table);
    p.h.split = mode->split;
    p.h.late = mode->late;
    p.h.gone_at = mode->gone_at;
    for (size_t i = 0; i < d->count; i++) {
        if (d->steps[i].kind == '#')
            tell_config(&p.h, d->steps[i].text);
        else if (d->steps[i].kind == 'H' && is_rule(d->steps[i].text))
            add_rule(&p.h, d->steps[i].text);
    }
    if (script_open(&p.h) == 0)
        for (size_t i = 0; i < d->count && !r->fault[0] && p.h.gone != 2 && p.h.status >= 0; i++)
            take_step(&p, &d->steps[i]);
    else if (!mode->fail_at)
        complain(&p, "a session", p.h.fault[0] ? p.h.fault : "none");
    if (!r->fault[0])
        finish(&p);
    if (counter.failed) /* what came after the fault is free, within bounds: no crash, no leak */
        r->fault[0] = 0;
    r->questions = p.h.questions;
    if (counter.failed)
        p.h.fault[0] = 0;
    script_done(&p.h); /* what the host finds wrong at the end counts in every mode */
    if (p.h.fault[0])
        complain(&p, "a host that is content", p.h.fault);
    r->requests = counter.requests;
    r->failed = counter.failed;
    char told[96];
    snprintf(told, sizeof told, "%zu blocks left, %zu wrong sizes, peak %zu octets", counter.live,
             counter.lies, counter.peak);
    if (counter.live || counter.lies || (d->peak && counter.peak > d->peak))
        complain(&p, "all memory given back, within the peak", told);
}

void dlg_client_octets(const dlg *d, const script_adaptor *adaptor, FILE *to)
{
    play p = {.d = d};
    script_init(&p.h, adaptor, NULL);
    for (size_t i = 0; i < d->count; i++)
        if (strchr("CcXR", kind_for(adaptor, d->steps[i].kind)))
            take_step(&p, &d->steps[i]);
    fwrite(p.h.in.ptr, 1, p.h.in.len, to);
    script_done(&p.h);
}
