/* service_metrics_table.h - every family of numbers that a service has. docs/metrics.md has a row for
 * each, and tests compare the two.
 *
 * Included by service_metrics.c alone. */
#ifndef LMI_SERVICE_METRICS_TABLE_H
#define LMI_SERVICE_METRICS_TABLE_H

#include "host/auth/auth_mechanisms.h"

#include <libmail/host/metrics.h>

#define COUNT(a) (unsigned)(sizeof(a) / sizeof *(a))

/* In the order of lmail_listener_protocol. */
static const char *const protocols[] = {"smtp", "submission", "lmtp", "imap", "pop3"};
/* In the order of lmail_close_reason, from 1. */
static const char *const closings[] = {"session", "peer", "error", "tls",
                                       "timeout", "stop", "host",  "memory"};
/* In the order of lmail_refused. */
static const char *const refusals[] = {"address", "descriptors", "proxy"};
static const char *const handshakes[] = {"full", "resumed", "failed"};
static const char *const tls_versions[] = {"TLSv1.2", "TLSv1.3"};
/* In the order of lmi_verdict. */
static const char *const verdicts[] = {"delivered", "queued", "quarantined",
                                       "discarded", "failed", "refused"};
#define MECHANISM(id, name, traits, by_default) name,
static const char *const mechanisms[] = {LMI_AUTH_MECHANISMS(MECHANISM) "APOP", "password",
                                         "other"};
#undef MECHANISM
/* In the order of lmail_auth_reason. */
static const char *const logins[] = {"ok",        "credentials", "disabled",        "no_secret",
                                     "authzid",   "malformed",   "channel_binding", "token",
                                     "cleartext", "temporary"};
static const char *const imap_commands[] = {
    "CAPABILITY",  "NOOP",   "LOGOUT",   "ID",        "STARTTLS", "AUTHENTICATE", "LOGIN",
    "ENABLE",      "SELECT", "EXAMINE",  "CREATE",    "DELETE",   "RENAME",       "SUBSCRIBE",
    "UNSUBSCRIBE", "LIST",   "LSUB",     "NAMESPACE", "STATUS",   "APPEND",       "IDLE",
    "CHECK",       "CLOSE",  "UNSELECT", "EXPUNGE",   "SEARCH",   "SORT",         "THREAD",
    "FETCH",       "STORE",  "COPY",     "MOVE",      "other"};
static const char *const imap_replies[] = {"OK", "NO", "BAD", "BYE"};
static const char *const pop3_replies[] = {"OK", "ERR"};
static const char *const goodness[] = {"ok", "failed"};
static const char *const pools[] = {"store", "password"};
static const char *const queue_states[] = {"waiting", "held", "quarantined"};
/* In the order of lmail_queue_state. */
static const char *const sendings[] = {"deferred", "delivered", "relayed", "expanded", "failed"};
/* In the order of lmail_milter_says, from 1. */
static const char *const filter_verdicts[] = {"continue", "accept",  "reject",   "tempfail",
                                              "reply",    "discard", "shutdown", "failed"};
static const char *const versions[] = {LMAIL_VERSION};

#define NONE                                                                                       \
    {                                                                                              \
        NULL, NULL, 0, 0                                                                           \
    }
#define BY(name, values)                                                                           \
    {                                                                                              \
        name, values, COUNT(values), 0                                                             \
    }
#define PROTOCOL BY("protocol", protocols)
#define SPARSE LMAIL_METRIC_SPARSE
#define MICRO LMAIL_METRIC_MICRO
#define CODE_FIRST 200u
#define CODE_COUNT 400u

/* number, name, kind, flags, labels, help */
/* clang-format off */
#define FAMILIES(X) \
    X(BUILD, "libmail_build", INFO, 0, (BY("version", versions)), "The version of libmail that runs.") \
    X(START, "process_start_time_seconds", GAUGE, MICRO, (NONE), "When the service started, in seconds since 1970.") \
    X(CPU, "process_cpu_seconds", COUNTER, MICRO, (NONE), "Time of the processors, user and system.") \
    X(MEMORY, "process_resident_memory_bytes", GAUGE, 0, (NONE), "Resident memory of the process.") \
    X(FILES, "process_open_fds", GAUGE, 0, (NONE), "Open descriptors of the process.") \
    X(MAX_FILES, "process_max_fds", GAUGE, 0, (NONE), "Descriptors that the process may have open.") \
    X(CONNECTIONS, "libmail_connections", COUNTER, SPARSE, (PROTOCOL), "Connections that got a session.") \
    X(OPEN, "libmail_connections_open", GAUGE, SPARSE, (PROTOCOL), "Connections that are open now.") \
    X(CLOSED, "libmail_connections_closed", COUNTER, SPARSE, (PROTOCOL, BY("reason", closings)), "Connections that are over, by who or what ended them.") \
    X(REFUSED, "libmail_connections_refused", COUNTER, SPARSE, (PROTOCOL, BY("reason", refusals)), "Connections closed before they had a session.") \
    X(FULL, "libmail_listeners_closed", COUNTER, 0, (NONE), "How often the listeners closed because max_connections was reached.") \
    X(RECEIVED, "libmail_received_bytes", COUNTER, SPARSE, (PROTOCOL), "Octets from clients, TLS included.") \
    X(SENT, "libmail_sent_bytes", COUNTER, SPARSE, (PROTOCOL), "Octets to clients, TLS included.") \
    X(HANDSHAKES, "libmail_tls_handshakes", COUNTER, 0, (BY("result", handshakes)), "TLS handshakes of clients.") \
    X(TLS, "libmail_tls_connections", COUNTER, 0, (BY("version", tls_versions)), "Connections that became secure, by TLS version.") \
    X(COMMAND_TIME, "libmail_command_duration_seconds", SECONDS, SPARSE, (PROTOCOL), "From a command to its answer, without IDLE and without the octets of messages sent to SMTP.") \
    X(LOGINS, "libmail_logins", COUNTER, SPARSE, (PROTOCOL, BY("mechanism", mechanisms), BY("result", logins)), "Attempts to log in.") \
    X(LOGIN_TIME, "libmail_login_duration_seconds", SECONDS, SPARSE, (PROTOCOL), "From the last step of a login to its result, without the delay of a failure.") \
    X(CHECK_TIME, "libmail_password_check_duration_seconds", SECONDS, 0, (NONE), "Work of a password worker on one step.") \
    X(MESSAGES, "libmail_smtp_messages", COUNTER, SPARSE, (PROTOCOL, BY("verdict", verdicts)), "Messages answered after their last octet, by what became of them.") \
    X(MESSAGE_SIZE, "libmail_smtp_message_size_bytes", OCTETS, SPARSE, (PROTOCOL), "Octets of messages that were taken.") \
    X(RECIPIENTS, "libmail_smtp_recipients", COUNTER, SPARSE, (PROTOCOL, BY("outcome", verdicts)), "Recipients, by what became of them.") \
    X(SMTP_REPLIES, "libmail_smtp_replies", COUNTER, SPARSE, ({"code", NULL, CODE_COUNT, CODE_FIRST}), "Replies of SMTP and LMTP sessions, by code.") \
    X(IMAP_COMMANDS, "libmail_imap_commands", COUNTER, SPARSE, (BY("command", imap_commands)), "Commands of IMAP clients; with UID or without it is the same.") \
    X(IMAP_REPLIES, "libmail_imap_replies", COUNTER, 0, (BY("result", imap_replies)), "How commands of IMAP clients ended.") \
    X(POP3_REPLIES, "libmail_pop3_replies", COUNTER, 0, (BY("result", pop3_replies)), "Status lines to POP3 clients.") \
    X(RETRIEVED, "libmail_pop3_messages_retrieved", COUNTER, 0, (NONE), "Messages sent whole to POP3 clients.") \
    X(DELETED, "libmail_pop3_messages_deleted", COUNTER, 0, (NONE), "Messages removed by POP3 clients.") \
    X(COMMITS, "libmail_store_commits", COUNTER, SPARSE, (PROTOCOL, BY("result", goodness)), "Changes of mailboxes: deliveries, what IMAP commands changed, POP3 updates.") \
    X(DELIVERY_TIME, "libmail_delivery_duration_seconds", SECONDS, SPARSE, (PROTOCOL), "From the last octet of a message until it is safe in mailboxes and queue.") \
    X(JOB_TIME, "libmail_store_job_duration_seconds", SECONDS, SPARSE, (PROTOCOL), "Jobs of the store, waiting for a worker included.") \
    X(POOLS, "libmail_pool_jobs", GAUGE, 0, (BY("pool", pools)), "Jobs that wait for a worker or have one.") \
    X(LOOKUP_TIME, "libmail_dns_lookup_duration_seconds", SECONDS, 0, (NONE), "DNS lookups, those answered from memory included.") \
    X(QUEUE, "libmail_queue_messages", GAUGE, 0, (BY("state", queue_states)), "Messages in the queue.") \
    X(QUEUE_RECIPIENTS, "libmail_queue_recipients", GAUGE, 0, (NONE), "Recipients that wait in the queue.") \
    X(SENDINGS, "libmail_queue_deliveries", COUNTER, 0, (BY("result", sendings)), "Attempts for recipients in the queue, by what they came to.") \
    X(QUEUE_SIZE, "libmail_queue_size_bytes", GAUGE, 0, (NONE), "Octets of the messages in the queue.") \
    X(FILTERS, "libmail_filter_verdicts", COUNTER, 0, (BY("verdict", filter_verdicts)), "Answers of mail filters that decided something, and to the end of a message; failed: its default action was taken.") \
    X(RELOADS, "libmail_reloads", COUNTER, 0, (BY("result", goodness)), "Readings of the configuration since the start.")
/* clang-format on */

#define NUMBER(id, name, kind, flags, labels, help) M_##id,
enum { FAMILIES(NUMBER) M_COUNT };
#undef NUMBER

#define UNPACK(...) __VA_ARGS__
#define ROW(id, name, kind, flags, labels, help)                                                   \
    {name, LMAIL_METRIC_##kind, flags, help, {UNPACK labels}},
static const lmail_metric table[] = {FAMILIES(ROW)};
#undef ROW

#endif
