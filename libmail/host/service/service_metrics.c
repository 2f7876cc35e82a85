/* service_metrics.c - what a service counts, where, and who may read it.
 *
 * A set a loop and one for who reads: the last holds what the system, the net and the queue count
 * themselves, brought up to date before each page. /proc is opened at the start, since a confined
 * process cannot open it later. */
#include "host/service/service_metrics.h"
#include "host/service/service_metrics_table.h"
#include "host/service/service_owner.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT(s) (int)(s).len, (s).ptr
#define MILLION 1000000u
#define MAX_DOORS 4u

struct lmi_metrics {
    lmail_service *service;
    lmail_metrics *numbers;
    lmail_metrics_set *read; /* what others count */
    pthread_mutex_t lock;    /* around bringing it up to date */
    int memory, files;       /* /proc/self/statm and /proc/self/fd; -1: there is none */
    lmail_metrics_door *doors[MAX_DOORS];
    size_t door_count;
};

uint64_t lmi_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * MILLION + (uint64_t)now.tv_nsec / 1000;
}

/* ---- What others count ----------------------------------------------------------------------- */

static uint64_t micros(struct timeval t)
{
    return (uint64_t)t.tv_sec * MILLION + (uint64_t)t.tv_usec;
}

/* Its own descriptor counted too. Linux 6.2 tells the number as the directory's size. */
static uint64_t count_files(int fd)
{
    struct stat st;
    uint64_t n = 0;
    if (fstat(fd, &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        if (copy >= 0)
            close(copy);
        return 0;
    }
    rewinddir(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* without the copy */
}

static void read_process(lmi_metrics *m)
{
    char text[128];
    struct rusage used;
    struct rlimit files;
    ssize_t n = m->memory < 0 ? 0 : pread(m->memory, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *resident = strchr(text, ' ');
    if (resident)
        lmail_metrics_put(m->read, M_MEMORY, 0,
                          strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE));
    if (m->files >= 0)
        lmail_metrics_put(m->read, M_FILES, 0, count_files(m->files));
    if (getrusage(RUSAGE_SELF, &used) == 0)
        lmail_metrics_put(m->read, M_CPU, 0, micros(used.ru_utime) + micros(used.ru_stime));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        lmail_metrics_put(m->read, M_MAX_FILES, 0, files.rlim_cur);
}

static void read_net(lmi_metrics *m)
{
    lmail_net_stats s = {.size = sizeof s};
    if (lmail_net_get_stats(m->service->net, &s))
        return;
    const uint64_t shakes[] = {s.handshakes - s.resumed, s.resumed, s.handshake_errors};
    for (unsigned i = 0; i < COUNT(shakes); i++)
        lmail_metrics_put(m->read, M_HANDSHAKES, i, shakes[i]);
    lmail_metrics_put(m->read, M_FULL, 0, s.times_full);
    lmail_metrics_put(m->read, M_TLS, 0, s.handshakes - s.tls13);
    lmail_metrics_put(m->read, M_TLS, 1, s.tls13);
}

static void read_queue(lmi_metrics *m)
{
    lmail_queue_counts c;
    if (!m->service->queue || lmail_queue_count(m->service->queue, &c))
        return;
    const uint64_t states[] = {c.messages - c.held - c.quarantined, c.held, c.quarantined};
    for (unsigned i = 0; i < COUNT(states); i++)
        lmail_metrics_put(m->read, M_QUEUE, i, states[i]);
    lmail_metrics_put(m->read, M_QUEUE_RECIPIENTS, 0, c.recipients);
    lmail_metrics_put(m->read, M_QUEUE_SIZE, 0, c.octets);
}

static void collect(void *arg)
{
    lmi_metrics *m = arg;
    pthread_mutex_lock(&m->lock);
    read_process(m);
    read_net(m);
    read_queue(m);
    lmail_metrics_put(m->read, M_POOLS, 0, lmail_pool_load(m->service->store_pool));
    lmail_metrics_put(m->read, M_POOLS, 1, lmail_pool_load(m->service->password_pool));
    pthread_mutex_unlock(&m->lock);
}

const lmail_metrics *lmail_service_metrics(lmail_service *service)
{
    collect(service->metrics);
    return service->metrics->numbers;
}

/* ---- Life ------------------------------------------------------------------------------------ */

lmail_status lmi_metrics_new(lmail_service *s)
{
    struct timespec now;
    unsigned loops = lmail_net_loops(s->net);
    lmi_metrics *m = calloc(1, sizeof *m);
    if (!m)
        return LMAIL_ERR_NOMEM;
    lmail_status st = lmail_metrics_new(&m->numbers, table, M_COUNT, loops + 1);
    if (st) {
        free(m);
        return st;
    }
    m->service = s;
    m->read = lmail_metrics_set_at(m->numbers, loops);
    pthread_mutex_init(&m->lock, NULL);
    m->memory = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    m->files = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    clock_gettime(CLOCK_REALTIME, &now);
    lmail_metrics_put(m->read, M_START, 0,
                      (uint64_t)now.tv_sec * MILLION + (uint64_t)now.tv_nsec / 1000);
    s->metrics = m;
    return LMAIL_OK;
}

static lmail_status open_door(lmi_metrics *m, const char *address, char *error, size_t cap)
{
    lmail_metrics_door_config c = LMAIL_METRICS_DOOR_CONFIG_INIT;
    c.address = address;
    c.metrics = m->numbers;
    c.loop = lmail_net_loop(m->service->net, 0);
    c.pool = m->service->store_pool;
    c.collect = collect;
    c.user = m;
    lmail_status st = lmail_metrics_door_new(&m->doors[m->door_count], &c, error, cap);
    m->door_count += !st;
    return st;
}

/* RUN/smtpd.metrics, for mailctl stats. Without it mail goes on. */
static void open_own(lmi_metrics *m, const lmail_settings *v, const char *name)
{
    char address[LMI_MAX_PATH + 64], why[600] = "";
    if (v->run_directory.len > LMI_MAX_PATH || strlen(name) > 32)
        return;
    snprintf(address, sizeof address, "unix:%.*s/%s.metrics", TEXT(v->run_directory), name);
    if (!open_door(m, address, why, sizeof why))
        return;
    lmail_log_line l;
    lmail_log_begin(&l, m->service->log, LMAIL_LOG_WARN, "no_metrics");
    lmail_log_text(&l, "reason", lmail_str_from(why));
    lmail_log_end(&l);
}

lmail_status lmi_metrics_open(lmail_service *s, const char *name, char *error, size_t cap)
{
    const lmail_settings *v = lmail_config_settings(s->first_config);
    const struct {
        unsigned bit;
        lmail_str address;
    } wanted[] = {{LMAIL_SERVICE_SMTP, v->smtp.metrics_listen},
                  {LMAIL_SERVICE_IMAP, v->imap.metrics_listen},
                  {LMAIL_SERVICE_POP3, v->pop3.metrics_listen}};
    lmail_status st = LMAIL_OK;
    if (name && v->metrics.sockets)
        open_own(s->metrics, v, name);
    for (size_t i = 0; !st && i < sizeof wanted / sizeof *wanted; i++) {
        char address[LMI_MAX_PATH + 1];
        if (!(s->protocols & wanted[i].bit) || !wanted[i].address.len)
            continue;
        snprintf(address, sizeof address, "%.*s", TEXT(wanted[i].address));
        st = open_door(s->metrics, address, error, cap);
    }
    return st;
}

void lmi_metrics_stop(lmi_metrics *m)
{
    for (size_t i = 0; m && i < m->door_count; i++)
        lmail_metrics_door_close(m->doors[i]);
}

void lmi_metrics_end(lmi_metrics *m)
{
    lmi_metrics_stop(m);
}

void lmi_metrics_free(lmi_metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->door_count; i++)
        lmail_metrics_door_free(m->doors[i]);
    lmail_metrics_free(m->numbers);
    pthread_mutex_destroy(&m->lock);
    if (m->memory >= 0)
        close(m->memory);
    if (m->files >= 0)
        close(m->files);
    free(m);
}

/* ---- Counting -------------------------------------------------------------------------------- */

static unsigned protocol_of(const lmi_peer *peer)
{
    return peer->door->settings->protocol;
}

static void add(const lmi_peer *peer, unsigned family, unsigned place, int64_t n)
{
    lmail_metrics_add(peer->counts, family, place, n);
}

static unsigned place_of(const lmi_peer *peer, unsigned family, unsigned b, unsigned c)
{
    return lmail_metrics_place(peer->door->service->metrics->numbers, family, protocol_of(peer), b,
                               c);
}

static void observe(const lmi_peer *peer, unsigned family, unsigned place, uint64_t from)
{
    uint64_t now = lmi_clock();
    lmail_metrics_observe(peer->counts, family, place, now > from ? now - from : 0);
}

/* Where a text of ours stands in a list; the last place when it does not. */
static unsigned find(const char *const *list, unsigned count, lmail_str text)
{
    unsigned i = 0;
    while (i + 1 < count && !lmail_str_equal(text, lmail_str_from(list[i])))
        i++;
    return i;
}

lmail_metrics_set *lmi_metrics_set(const lmail_service *s, const lmail_loop *loop)
{
    unsigned i = 0;
    while (lmail_net_loop(s->net, i) != loop)
        i++;
    return lmail_metrics_set_at(s->metrics->numbers, i);
}

void lmi_count_lookup(void *set, uint64_t microseconds)
{
    lmail_metrics_observe(set, M_LOOKUP_TIME, 0, microseconds);
}

void lmi_count_turned_away(const lmi_door *door, const lmail_loop *loop, lmail_refused why)
{
    lmail_service *s = door->service;
    unsigned place = lmail_metrics_place(s->metrics->numbers, M_REFUSED, door->settings->protocol,
                                         (unsigned)why, 0);
    lmail_metrics_add(lmi_metrics_set(s, loop), M_REFUSED, place, 1);
}

void lmi_count_opened(lmi_peer *peer)
{
    peer->counts = lmi_metrics_set(peer->door->service, peer->loop);
    add(peer, M_CONNECTIONS, protocol_of(peer), 1);
    add(peer, M_OPEN, protocol_of(peer), 1);
}

void lmi_count_traffic(lmi_peer *peer)
{
    uint64_t in, out;
    lmail_conn_traffic(peer->conn, &in, &out);
    add(peer, M_RECEIVED, protocol_of(peer), (int64_t)(in - peer->counted_in));
    add(peer, M_SENT, protocol_of(peer), (int64_t)(out - peer->counted_out));
    peer->counted_in = in;
    peer->counted_out = out;
}

void lmi_count_closed(lmi_peer *peer, lmail_close_reason reason)
{
    lmi_count_traffic(peer);
    add(peer, M_OPEN, protocol_of(peer), -1);
    add(peer, M_CLOSED, place_of(peer, M_CLOSED, (unsigned)reason - 1, 0), 1);
}

/* A command's answer is complete. */
static void answered(lmi_peer *peer)
{
    if (peer->asked)
        observe(peer, M_COMMAND_TIME, protocol_of(peer), peer->asked);
    peer->asked = 0;
}

static void smtp_reply(lmi_peer *peer, lmail_str line)
{
    if (line.len < 4 || line.ptr[3] != ' ')
        return; /* more lines follow */
    unsigned code = (unsigned)(line.ptr[0] - '0') * 100 + (unsigned)(line.ptr[1] - '0') * 10 +
                    (unsigned)(line.ptr[2] - '0');
    if (code >= CODE_FIRST && code - CODE_FIRST < CODE_COUNT)
        add(peer, M_SMTP_REPLIES, code - CODE_FIRST, 1);
    answered(peer);
}

static void imap_command(lmi_peer *peer, lmail_str name)
{
    add(peer, M_IMAP_COMMANDS, find(imap_commands, COUNT(imap_commands), name), 1);
    /* IDLE lasts as long as its client wishes. */
    peer->asked = lmail_str_equal(name, LMAIL_STR("IDLE")) ? 0 : lmi_clock();
}

void lmi_count_trace(void *user, const lmail_trace *ev)
{
    lmi_peer *peer = user;
    unsigned protocol = protocol_of(peer);
    switch (ev->kind) {
    case LMAIL_TRACE_IN:
        if (protocol != LMAIL_LISTENER_IMAP)
            peer->asked = lmi_clock();
        break;
    case LMAIL_TRACE_OUT:
        if (protocol == LMAIL_LISTENER_POP3) {
            add(peer, M_POP3_REPLIES, ev->text.len && ev->text.ptr[0] == '-', 1);
            answered(peer);
        } else {
            smtp_reply(peer, ev->text);
        }
        break;
    case LMAIL_TRACE_COMMAND:
        imap_command(peer, ev->text);
        break;
    case LMAIL_TRACE_DONE:
        add(peer, M_IMAP_REPLIES, find(imap_replies, COUNT(imap_replies), ev->text), 1);
        answered(peer);
        break;
    default:
        break;
    }
}

void lmi_count_login(const lmi_peer *peer, const char *mechanism, const lmail_auth_result *r,
                     uint64_t began)
{
    unsigned m = find(mechanisms, COUNT(mechanisms), lmail_str_from(mechanism));
    unsigned result = r->answer.kind == LMAIL_AUTH_OK ? 0
                      : r->reason                     ? (unsigned)r->reason
                                                      : LMAIL_AUTH_REASON_TEMPORARY;
    add(peer, M_LOGINS, place_of(peer, M_LOGINS, m, result), 1);
    observe(peer, M_LOGIN_TIME, protocol_of(peer), began);
}

void lmi_count_check(const lmi_peer *peer, uint64_t from, uint64_t to)
{
    lmail_metrics_observe(peer->counts, M_CHECK_TIME, 0, to > from ? to - from : 0);
}

void lmi_count_job(const lmi_job *job)
{
    observe(job->peer, M_JOB_TIME, protocol_of(job->peer), job->began);
}

void lmi_count_commit(const lmi_peer *peer, lmail_status status)
{
    add(peer, M_COMMITS, place_of(peer, M_COMMITS, status != LMAIL_OK, 0), 1);
}

void lmi_count_delivery(const lmi_job *job)
{
    lmi_count_commit(job->peer, job->status);
    observe(job->peer, M_DELIVERY_TIME, protocol_of(job->peer), job->began);
}

void lmi_count_message(const lmi_peer *peer, lmi_verdict verdict, uint64_t octets)
{
    add(peer, M_MESSAGES, place_of(peer, M_MESSAGES, verdict, 0), 1);
    if (verdict != LMI_VERDICT_REFUSED)
        lmail_metrics_observe(peer->counts, M_MESSAGE_SIZE, protocol_of(peer), octets);
}

void lmi_count_recipient(const lmi_peer *peer, lmi_verdict verdict)
{
    add(peer, M_RECIPIENTS, place_of(peer, M_RECIPIENTS, verdict, 0), 1);
}

void lmi_count_refused(const lmi_peer *peer, const char *stage)
{
    if (strcmp(stage, "rcpt") == 0)
        lmi_count_recipient(peer, LMI_VERDICT_REFUSED);
    else if (strcmp(stage, "data") == 0 || strcmp(stage, "body") == 0)
        lmi_count_message(peer, LMI_VERDICT_REFUSED, 0);
}

void lmi_count_filter(const lmi_peer *peer, unsigned says)
{
    if (says && says <= COUNT(filter_verdicts))
        add(peer, M_FILTERS, says - 1, 1);
}

void lmi_count_retrieved(const lmi_peer *peer, uint64_t messages)
{
    add(peer, M_RETRIEVED, 0, (int64_t)messages);
}

void lmi_count_deleted(const lmi_peer *peer, uint64_t messages)
{
    add(peer, M_DELETED, 0, (int64_t)messages);
}

void lmi_count_reload(lmail_service *s, int good)
{
    lmail_metrics_add(lmail_metrics_set_at(s->metrics->numbers, 0), M_RELOADS, !good, 1);
}

void lmi_count_sent(lmail_service *s, unsigned state)
{
    if (state < COUNT(sendings))
        lmail_metrics_add(lmail_metrics_set_at(s->metrics->numbers, 0), M_SENDINGS, state, 1);
}
