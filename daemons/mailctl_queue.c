/* mailctl queue: list, show, delete, hold, release and retry what waits in the queue. Works beside running
 * daemons and without them. */
#include <errno.h>
#include <getopt.h>
#include <libmail/host/service.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mailctl.h"
#include "mailctl_queue.h"

typedef struct queue_call {
    const mailctl_call *call;
    lmail_queue *queue;
    lmail_queue_filter filter;
    int json, whole, yes, filtered, all;
    const char *reason;
    char **ids; /* the arguments */
    int id_count;
    uint64_t found;
    int code; /* the exit code so far */
} queue_call;

/* ---- Arguments ------------------------------------------------------------------------------- */

enum {
    OPT_FROM = 256,
    OPT_TO,
    OPT_DESTINATION,
    OPT_WAITING,
    OPT_HELD,
    OPT_QUARANTINED,
    OPT_OLDER,
    OPT_NEWER
};
enum { LOOK = LMAIL_PRIVACY_RESTRICT_MAILQ, RUN = LMAIL_PRIVACY_RESTRICT_QRUN };
enum { OPT_JSON = 300, OPT_MESSAGE, OPT_YES, OPT_REASON };

static const struct option options[] = {
    {"from", 1, NULL, OPT_FROM},
    {"to", 1, NULL, OPT_TO},
    {"destination", 1, NULL, OPT_DESTINATION},
    {"waiting", 0, NULL, OPT_WAITING},
    {"held", 0, NULL, OPT_HELD},
    {"quarantined", 0, NULL, OPT_QUARANTINED},
    {"older", 1, NULL, OPT_OLDER},
    {"newer", 1, NULL, OPT_NEWER},
    {"json", 0, NULL, OPT_JSON},
    {"message", 0, NULL, OPT_MESSAGE},
    {"yes", 0, NULL, OPT_YES},
    {"reason", 1, NULL, OPT_REASON},
    {NULL, 0, NULL, 0},
};

/* "90s", "5m", "12h", "3d", "2w" ago, as milliseconds since 1970. 0: no such time. */
static int64_t time_ago(const char *text)
{
    static const char units[] = "smhdw";
    static const int64_t seconds[] = {1, 60, 3600, 86400, 604800};
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (errno || end == text || n < 0 || n > 1000000000 || !unit || end[1])
        return 0;
    return ((int64_t)time(NULL) - n * seconds[unit - units]) * 1000;
}

static int take_option(queue_call *q, int c)
{
    lmail_queue_filter *f = &q->filter;
    q->filtered |= c < OPT_JSON;
    switch (c) {
    case OPT_FROM:
        f->sender = lmail_str_from(optarg);
        return 0;
    case OPT_TO:
        f->recipient = lmail_str_from(optarg);
        return 0;
    case OPT_DESTINATION:
        f->destination = lmail_str_from(optarg);
        return 0;
    case OPT_WAITING:
        f->held |= 1u << LMAIL_QUEUE_FREE;
        return 0;
    case OPT_HELD:
        f->held |= 1u << LMAIL_QUEUE_HELD;
        return 0;
    case OPT_QUARANTINED:
        f->held |= 1u << LMAIL_QUEUE_QUARANTINED;
        return 0;
    case OPT_OLDER:
        return (f->before = time_ago(optarg)) == 0;
    case OPT_NEWER:
        return (f->since = time_ago(optarg)) == 0;
    case OPT_JSON:
        q->json = 1;
        return 0;
    case OPT_MESSAGE:
        q->whole = 1;
        return 0;
    case OPT_YES:
        q->yes = 1;
        return 0;
    case OPT_REASON:
        q->reason = optarg;
        return 0;
    default:
        return 1;
    }
}

/* allowed: options of this verb beside the filters. Of --json, --message, --yes, --reason. */
static int parse(queue_call *q, const mailctl_call *call, const int *allowed, int may_filter)
{
    memset(q, 0, sizeof *q);
    q->call = call;
    lmail_queue_filter_init(&q->filter);
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(call->argc, call->argv, "", options, NULL)) != -1;) {
        const int *a = allowed;
        while (*a && *a != c)
            a++;
        if ((c < OPT_JSON ? !may_filter : !*a) || c == '?' || take_option(q, c))
            return mailctl_bad_usage(call);
    }
    q->ids = call->argv + optind;
    q->id_count = call->argc - optind;
    q->all = q->id_count == 1 && strcmp(q->ids[0], "all") == 0;
    return MAILCTL_DONE;
}

/* ---- Opening --------------------------------------------------------------------------------- */

int mailctl_is_free(const lmail_settings *v, unsigned flag)
{
    char directory[4096];
    struct stat st;
    if (!(v->smtp.privacy & flag) || geteuid() == 0 ||
        lmail_service_queue_directory(v, directory, sizeof directory))
        return 1;
    if (stat(directory, &st) < 0) /* what is not there belongs to nobody; the rest may be hidden */
        return errno == ENOENT;
    return st.st_uid == geteuid();
}

/* smtp.privacy: the queue is shown to root and to its owner, and run by them. Without the flags too
 * the directory is readable for nobody else, unless the administrator has opened it. */
static int may_use(const lmail_settings *v, unsigned flags, const char *directory)
{
    if ((flags & LMAIL_PRIVACY_RESTRICT_MAILQ) &&
        !mailctl_is_free(v, LMAIL_PRIVACY_RESTRICT_MAILQ)) {
        mailctl_say("smtp.privacy has restrict_mailq: only root and the owner of %s may look at it",
                    directory);
        return 0;
    }
    if ((flags & LMAIL_PRIVACY_RESTRICT_QRUN) && !mailctl_is_free(v, LMAIL_PRIVACY_RESTRICT_QRUN)) {
        mailctl_say("smtp.privacy has restrict_qrun: only root and the owner of %s may run it",
                    directory);
        return 0;
    }
    return 1;
}

/* flags: of smtp.privacy, those that this command has to obey. */
static int open_queue(queue_call *q, unsigned flags)
{
    char path[4096], error[600];
    lmail_config *config = mailctl_load_config(q->call);
    if (!config)
        return MAILCTL_REFUSED;
    const lmail_settings *v = lmail_config_settings(config);
    lmail_status found = lmail_service_queue_directory(v, path, sizeof path);
    int allowed = !found && may_use(v, flags, path);
    if (found)
        mailctl_say("queue.directory: too long");
    lmail_config_free(config);
    if (!allowed)
        return MAILCTL_REFUSED;
    lmail_queue_config c = LMAIL_QUEUE_CONFIG_INIT;
    c.directory = path;
    if (lmail_queue_open(&q->queue, &c, error, sizeof error)) {
        mailctl_say("%s", error);
        return MAILCTL_REFUSED;
    }
    return MAILCTL_DONE;
}

static int end(queue_call *q, lmail_status st)
{
    if (st) {
        mailctl_say("%s", lmail_status_text(st));
        q->code = MAILCTL_REFUSED;
    }
    lmail_queue_free(q->queue);
    if (fflush(stdout) || ferror(stdout))
        q->code = MAILCTL_REFUSED;
    return q->code;
}

/* ---- Walking --------------------------------------------------------------------------------- */

static int refuse(queue_call *q, const char *id, const char *why)
{
    mailctl_say("%s: %s", id, why);
    q->code = MAILCTL_REFUSED;
    return 0;
}

/* Every message that the filter takes. */
static lmail_status each(queue_call *q, lmail_queue_fn *fn)
{
    uint64_t next = 0;
    lmail_status st;
    do
        st = lmail_queue_list(q->queue, &q->filter, next, 0, fn, q, &next);
    while (!st && next);
    return st;
}

/* Every message that the arguments name. */
static lmail_status each_named(queue_call *q, lmail_queue_fn *fn)
{
    for (int i = 0; i < q->id_count; i++) {
        uint64_t id;
        if (lmail_queue_id_parse(lmail_str_from(q->ids[i]), &id)) {
            refuse(q, q->ids[i], "not an id");
            continue;
        }
        lmail_status st = lmail_queue_get(q->queue, id, fn, q);
        if (st == LMAIL_ERR_NOTFOUND)
            refuse(q, q->ids[i], "no such message in the queue");
        else if (st)
            return st;
    }
    return LMAIL_OK;
}

/* ---- list and show --------------------------------------------------------------------------- */

static int print_one(void *user, const lmail_queue_message *m)
{
    const queue_call *q = user;
    if (q->json)
        queue_print_json(stdout, m);
    else
        queue_print_line(stdout, m);
    return ferror(stdout);
}

static int queue_list(const mailctl_call *call)
{
    static const int allowed[] = {OPT_JSON, 0};
    queue_call q;
    int code = parse(&q, call, allowed, 1);
    if (code)
        return code;
    if (q.id_count && q.filtered)
        return mailctl_bad_usage(call);
    code = open_queue(&q, LOOK);
    if (code)
        return code;
    return end(&q, q.id_count ? each_named(&q, print_one) : each(&q, print_one));
}

/* A line of a header, or a piece of a long one; its tabs stay. */
static void print_header_line(lmail_str line)
{
    while (line.len) {
        const char *tab = memchr(line.ptr, '\t', line.len);
        size_t n = tab ? (size_t)(tab - line.ptr) : line.len;
        queue_print_text(stdout, (lmail_str){line.ptr, n});
        if (tab)
            putchar('\t');
        n += tab != NULL;
        line.ptr += n;
        line.len -= n;
    }
}

/* The header section for people: up to the empty line, without carriage returns. */
static lmail_status print_header(const queue_call *q, const lmail_queue_message *m)
{
    char piece[4096], line[1024];
    size_t got = sizeof piece, len = 0;
    int empty = 1; /* the line so far */
    for (uint64_t at = m->header; got == sizeof piece; at += got) {
        lmail_status st = lmail_queue_read(q->queue, m->id, at, piece, sizeof piece, &got);
        if (st)
            return st;
        for (size_t i = 0; i < got; i++) {
            if (piece[i] == '\n' && empty)
                return LMAIL_OK;
            if (piece[i] != '\r' && piece[i] != '\n')
                line[len++] = piece[i];
            empty = piece[i] == '\n' || (empty && piece[i] == '\r');
            if (piece[i] != '\n' && len < sizeof line)
                continue;
            print_header_line((lmail_str){line, len});
            len = 0;
            if (piece[i] == '\n')
                putchar('\n');
        }
    }
    print_header_line((lmail_str){line, len});
    return LMAIL_OK;
}

/* Octet for octet, as it goes out. */
static lmail_status print_message(const queue_call *q, const lmail_queue_message *m)
{
    char piece[32768];
    size_t got = sizeof piece;
    for (uint64_t at = m->header; got == sizeof piece; at += got) {
        lmail_status st = lmail_queue_read(q->queue, m->id, at, piece, sizeof piece, &got);
        if (st)
            return st;
        if (fwrite(piece, 1, got, stdout) != got)
            return LMAIL_ERR_IO;
    }
    return LMAIL_OK;
}

static int show_one(void *user, const lmail_queue_message *m)
{
    queue_call *q = user;
    char id[LMAIL_QUEUE_ID_TEXT];
    lmail_status st = LMAIL_OK;
    if (q->whole) {
        st = print_message(q, m);
    } else if (q->json) {
        queue_print_json(stdout, m);
    } else {
        if (q->found++)
            putchar('\n');
        queue_print_long(stdout, m);
        putchar('\n');
        st = print_header(q, m);
    }
    if (!st)
        return 0;
    lmail_queue_id_write(m->id, id);
    return refuse(q, id,
                  st == LMAIL_ERR_NOTFOUND ? "its data file is gone" : lmail_status_text(st));
}

static int queue_show(const mailctl_call *call)
{
    static const int allowed[] = {OPT_JSON, OPT_MESSAGE, 0};
    queue_call q;
    int code = parse(&q, call, allowed, 0);
    if (code)
        return code;
    if (!q.id_count || (q.whole && (q.json || q.id_count > 1)))
        return mailctl_bad_usage(call);
    code = open_queue(&q, LOOK);
    return code ? code : end(&q, each_named(&q, show_one));
}

/* ---- delete, hold, release ------------------------------------------------------------------- */

static int count_one(void *user, const lmail_queue_message *m)
{
    (void)m;
    ((queue_call *)user)->found++;
    return 0;
}

/* What changes one message, and how many it was done to. */
static int change_one(queue_call *q, const lmail_queue_message *m, lmail_status st,
                      const char *already)
{
    char id[LMAIL_QUEUE_ID_TEXT];
    if (!st) {
        q->found++;
        return 0;
    }
    if (st == LMAIL_ERR_NOTFOUND && q->all)
        return 0; /* it has gone out meanwhile */
    lmail_queue_id_write(m->id, id);
    if (st != LMAIL_ERR_STATE)
        return refuse(q, id, lmail_status_text(st));
    return q->all ? 0 : refuse(q, id, already);
}

static int delete_one(void *user, const lmail_queue_message *m)
{
    queue_call *q = user;
    return change_one(q, m, lmail_queue_remove(q->queue, m->id), "");
}

static int hold_one(void *user, const lmail_queue_message *m)
{
    queue_call *q = user;
    lmail_str reason = lmail_str_from(q->reason ? q->reason : "");
    return change_one(q, m, lmail_queue_hold(q->queue, m->id, reason), "is held already");
}

static int release_one(void *user, const lmail_queue_message *m)
{
    queue_call *q = user;
    return change_one(q, m, lmail_queue_release(q->queue, m->id), "is not held");
}

/* Many messages are deleted at once only by somebody who knows how many. */
static int is_sure(queue_call *q)
{
    char answer[16] = "";
    if (q->yes)
        return 1;
    if (each(q, count_one) || !q->found)
        return 1; /* the deletion itself says what is wrong */
    if (!isatty(STDIN_FILENO)) {
        mailctl_say("%llu messages would be deleted; say --yes to do it",
                    (unsigned long long)q->found);
        return 0;
    }
    fprintf(stderr, "Delete %llu messages? [y/N] ", (unsigned long long)q->found);
    q->found = 0;
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int retry_one(void *user, const lmail_queue_message *m);

static int change(const mailctl_call *call, const int *allowed, lmail_queue_fn *fn, unsigned flags)
{
    queue_call q;
    int code = parse(&q, call, allowed, 1);
    if (code)
        return code;
    if (!q.id_count || (q.filtered && !q.all))
        return mailctl_bad_usage(call);
    code = open_queue(&q, flags);
    if (code)
        return code;
    if (q.all && fn == delete_one && !is_sure(&q)) {
        q.code = MAILCTL_REFUSED;
        return end(&q, LMAIL_OK);
    }
    q.found = 0;
    lmail_status st = q.all ? each(&q, fn) : each_named(&q, fn);
    printf("%llu message%s %s\n", (unsigned long long)q.found, q.found == 1 ? "" : "s",
           fn == delete_one  ? "deleted"
           : fn == retry_one ? "will be tried now"
           : fn == hold_one  ? "held"
                             : "released");
    return end(&q, st);
}

static int queue_delete(const mailctl_call *call)
{
    static const int allowed[] = {OPT_YES, 0};
    return change(call, allowed, delete_one, LOOK);
}

static int queue_hold(const mailctl_call *call)
{
    static const int allowed[] = {OPT_REASON, 0};
    return change(call, allowed, hold_one, LOOK);
}

static int queue_release(const mailctl_call *call)
{
    static const int allowed[] = {0};
    return change(call, allowed, release_one, LOOK | RUN);
}

static int retry_one(void *user, const lmail_queue_message *m)
{
    queue_call *q = user;
    return change_one(q, m, lmail_queue_retry(q->queue, m->id, NULL), "");
}

/* Without a filter in one step each, however many there are. */
static int queue_retry(const mailctl_call *call)
{
    static const int allowed[] = {0};
    queue_call q;
    size_t recipients = 0;
    int code = parse(&q, call, allowed, 1);
    if (code)
        return code;
    const lmail_queue_filter *f = &q.filter;
    int only_destination = f->destination.len &&
                           !memchr(f->destination.ptr, '*', f->destination.len) && !f->sender.len &&
                           !f->recipient.len && !f->held && !f->before && !f->since;
    if (!q.all || (q.filtered && !only_destination))
        return change(call, allowed, retry_one, RUN);
    code = open_queue(&q, RUN);
    if (code)
        return code;
    lmail_status st = q.filtered
                          ? lmail_queue_retry_destination(q.queue, f->destination, &recipients)
                          : lmail_queue_retry_all(q.queue, &recipients);
    if (!st)
        printf("%zu recipient%s will be tried now\n", recipients, recipients == 1 ? "" : "s");
    return end(&q, st);
}

#define FILTERS                                                                                    \
    "[--from A] [--to A] [--destination D] [--waiting] [--held] [--quarantined] [--older T] "      \
    "[--newer T]"

const mailctl_command mailctl_queue_commands[] = {
    {"queue", "list", "[--json] [ID ... | " FILTERS "]",
     "print one line for each message that waits", queue_list},
    {"queue", "show", "[--json | --message] ID ...", "print a message's envelope and header",
     queue_show},
    {"queue", "delete", "[--yes] {ID ... | all " FILTERS "}", "delete messages", queue_delete},
    {"queue", "hold", "[--reason TEXT] {ID ... | all " FILTERS "}", "keep messages from going out",
     queue_hold},
    {"queue", "release", "{ID ... | all " FILTERS "}", "let messages go that are held",
     queue_release},
    {"queue", "retry", "{ID ... | all " FILTERS "}", "try to deliver now", queue_retry},
    {NULL, NULL, NULL, NULL, NULL},
};
