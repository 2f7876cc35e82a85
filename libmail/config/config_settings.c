/* config_settings.c - the table of all settings: the one place that knows them by name.
 *
 * A row is all that a setting needs: reading, checking, default, `config show` and the
 * documentation follow from it. Limits "none" of other programs do not exist here: each has a
 * number (DESIGN 7). */
#include "config/config_internal.h"

#define AT(member) offsetof(lmail_settings, member)
#define IN(member) offsetof(lmail_listener_settings, member)
#define ANY UINT64_MAX
#define MSEC_MAX (366ull * 86400000)
#define GIB 1073741824ull

/* clang-format off */
const lmi_setting lmi_settings[] = {
    {"hostname", LMI_KIND_TEXT, AT(hostname), "", NULL, 0, 0,
     "name of this host in greetings and Received fields; empty: the machine's own"},
    {"domains", LMI_KIND_LIST, AT(domains), "", NULL, 0, 0,
     "domains whose mail is delivered here; empty: the host name"},
    {"postmaster", LMI_KIND_TEXT, AT(postmaster), "", NULL, 0, 0,
     "account that gets postmaster's mail (RFC 5321 section 4.5.1) when none has that name"},
    {"mail_directory", LMI_KIND_TEXT, AT(mail_directory), "/var/lib/libmail", NULL, 1, 0,
     "accounts' mail and the spool, on one file system"},
    {"run_directory", LMI_KIND_TEXT, AT(run_directory), "/run/libmail", NULL, 1, 0,
     "pid files and change notices between the daemons"},
    {"accounts", LMI_KIND_TEXT, AT(accounts), "/etc/libmail/accounts", NULL, 1, 0,
     "the account file, written by mailctl user"},
    {"user", LMI_KIND_TEXT, AT(user), "", NULL, 0, 0,
     "run as this user after binding; empty: do not change"},
    {"group", LMI_KIND_TEXT, AT(group), "", NULL, 0, 0,
     "run with this group; empty: the user's own"},
    {"loops", LMI_KIND_NUMBER, AT(loops), "0", NULL, 0, 256,
     "event loops of a daemon; 0: one a core"},
    {"store_workers", LMI_KIND_NUMBER, AT(store_workers), "8", NULL, 1, 1024,
     "threads that wait for the disk"},
    {"password_workers", LMI_KIND_NUMBER, AT(password_workers), "2", NULL, 1, 256,
     "threads that check passwords"},
    {"password_queue", LMI_KIND_NUMBER, AT(password_queue), "16", NULL, 1, 65536,
     "password checks of one client address that may wait"},
    {"max_connections", LMI_KIND_NUMBER, AT(max_connections), "10000", NULL, 1, 10000000,
     "connections of a daemon; more are refused by the system"},
    {"max_connections_per_address", LMI_KIND_NUMBER, AT(max_connections_per_address), "100", NULL,
     1, 10000000, "connections of one client address (IPv6: of one /64 network)"},
    {"log", LMI_KIND_CHOICE, AT(log), "stderr", "stderr|syslog", 0, 0, "where log lines go"},
    {"stop_timeout", LMI_KIND_DURATION, AT(stop_timeout), "5 s", NULL, 0, 3600000,
     "how long sessions may finish their command when a daemon stops"},

    {"tls.certificate", LMI_KIND_TEXT, AT(tls.certificate), "", NULL, 0, 0,
     "PEM file with the chain; empty: a self-signed one is made under mail_directory"},
    {"tls.key", LMI_KIND_TEXT, AT(tls.key), "", NULL, 0, 0, "PEM file with its private key"},
    {"tls.client_ca", LMI_KIND_TEXT, AT(tls.client_ca), "", NULL, 0, 0,
     "PEM file that client certificates are checked against; empty: none are asked for"},
    {"tls.min_version", LMI_KIND_NUMBER, AT(tls.min_version), "12", NULL, 12, 13,
     "oldest TLS version spoken: 12 or 13"},

    {"auth.mechanisms", LMI_KIND_LIST, AT(auth.mechanisms),
     "SCRAM-SHA-256, SCRAM-SHA-1, EXTERNAL, PLAIN, LOGIN",
     NULL, 0, 0, "SASL mechanisms, offered in this order where they can complete"},
    {"auth.allow_cleartext", LMI_KIND_BOOL, AT(auth.allow_cleartext), "no", NULL, 0, 0,
     "take passwords on connections without TLS"},
    {"auth.realm", LMI_KIND_TEXT, AT(auth.realm), "", NULL, 0, 0,
     "realm and domain of user names without one; empty: the first of domains"},
    {"auth.failure_delay", LMI_KIND_DURATION, AT(auth.failure_delay), "2 s", NULL, 0, 60000,
     "wait before a failed login is answered"},

    {"store.min_free", LMI_KIND_SIZE, AT(store.min_free), "32M", NULL, 0, ANY,
     "space that deliveries leave free, so that EXPUNGE works on a full disk"},
    {"store.max_open_accounts", LMI_KIND_NUMBER, AT(store.max_open_accounts), "256", NULL, 1,
     1000000, "accounts whose index a daemon keeps open"},
    {"store.max_mailbox_name", LMI_KIND_SIZE, AT(store.max_mailbox_name), "240", NULL, 32, 4096,
     "octets of a mailbox name"},
    {"store.max_mailboxes", LMI_KIND_NUMBER, AT(store.max_mailboxes), "10000", NULL, 1, 1000000,
     "mailboxes of an account"},

    {"smtp.greeting", LMI_KIND_TEXT, AT(smtp.greeting), "ESMTP libmail", NULL, 0, 0,
     "text of the 220 greeting behind the host name"},
    {"smtp.max_message_size", LMI_KIND_SIZE, AT(smtp.max_message_size), "50M", NULL, 1024, ANY,
     "octets of a message, told in SIZE"},
    {"smtp.max_header_size", LMI_KIND_SIZE, AT(smtp.max_header_size), "256K", NULL, 1024, GIB,
     "octets of a message's header"},
    {"smtp.max_recipients", LMI_KIND_NUMBER, AT(smtp.max_recipients), "1000", NULL, 1, 1000000,
     "recipients of a message"},
    {"smtp.max_line", LMI_KIND_SIZE, AT(smtp.max_line), "4096", NULL, 512, 1048576,
     "octets of a command line"},
    {"smtp.max_hops", LMI_KIND_NUMBER, AT(smtp.max_hops), "50", NULL, 1, 1000,
     "Received fields before a message is taken for looping"},
    {"smtp.max_bad_commands", LMI_KIND_NUMBER, AT(smtp.max_bad_commands), "25", NULL, 1, 1000000,
     "refused commands before the session is closed"},
    {"smtp.command_timeout", LMI_KIND_DURATION, AT(smtp.command_timeout), "5 m", NULL, 1000,
     MSEC_MAX, "wait for a command; RFC 5321 section 4.5.3.2.7"},
    {"smtp.data_timeout", LMI_KIND_DURATION, AT(smtp.data_timeout), "5 m", NULL, 1000, MSEC_MAX,
     "wait for the next octets of a message"},
    {"smtp.pid_file", LMI_KIND_TEXT, AT(smtp.pid_file), "", NULL, 0, 0,
     "pid file of smtpd; empty: none"},

    {"imap.greeting", LMI_KIND_TEXT, AT(imap.greeting), "libmail ready", NULL, 0, 0,
     "text of the greeting behind its CAPABILITY code"},
    {"imap.max_line", LMI_KIND_SIZE, AT(imap.max_line), "64K", NULL, 1024, 16777216,
     "octets of a command without its literals"},
    {"imap.max_literal", LMI_KIND_SIZE, AT(imap.max_literal), "64K", NULL, 1024, 16777216,
     "octets of a literal that is not a message"},
    {"imap.max_message_size", LMI_KIND_SIZE, AT(imap.max_message_size), "50M", NULL, 1024, ANY,
     "octets of an appended message"},
    {"imap.max_bad_commands", LMI_KIND_NUMBER, AT(imap.max_bad_commands), "25", NULL, 1, 1000000,
     "BAD answers before the session is closed"},
    {"imap.idle_timeout", LMI_KIND_DURATION, AT(imap.idle_timeout), "30 m", NULL, 1000, MSEC_MAX,
     "silence before the session is closed; RFC 9051 section 5.4 wants 30 minutes at least"},
    {"imap.login_timeout", LMI_KIND_DURATION, AT(imap.login_timeout), "3 m", NULL, 1000, MSEC_MAX,
     "silence before login"},
    {"imap.separator", LMI_KIND_TEXT, AT(imap.separator), "/", NULL, 1, 0,
     "between the levels of a mailbox name: one of / . or another single character"},
    {"imap.pid_file", LMI_KIND_TEXT, AT(imap.pid_file), "", NULL, 0, 0,
     "pid file of imapd; empty: none"},

    {"pop3.greeting", LMI_KIND_TEXT, AT(pop3.greeting), "libmail ready", NULL, 0, 0,
     "text of the greeting"},
    {"pop3.max_bad_commands", LMI_KIND_NUMBER, AT(pop3.max_bad_commands), "25", NULL, 1, 1000000,
     "-ERR answers to bad commands before the session is closed"},
    {"pop3.idle_timeout", LMI_KIND_DURATION, AT(pop3.idle_timeout), "10 m", NULL, 1000, MSEC_MAX,
     "silence before the session is closed; RFC 1939 section 3 wants 10 minutes at least"},
    {"pop3.login_delay", LMI_KIND_DURATION, AT(pop3.login_delay), "0", NULL, 0, MSEC_MAX,
     "least time between two logins of an account; 0: none"},
    {"pop3.apop", LMI_KIND_BOOL, AT(pop3.apop), "no", NULL, 0, 0,
     "offer APOP, for accounts that have a reversible secret"},
    {"pop3.pid_file", LMI_KIND_TEXT, AT(pop3.pid_file), "", NULL, 0, 0,
     "pid file of pop3d; empty: none"},
    {NULL, LMI_KIND_TEXT, 0, NULL, NULL, 0, 0, NULL}};

const lmi_setting lmi_listener_settings[] = {
    {"protocol", LMI_KIND_CHOICE, IN(protocol), "smtp", "smtp|submission|lmtp|imap|pop3", 0, 0,
     "what it speaks"},
    {"address", LMI_KIND_LIST, IN(address), "", NULL, 0, 0,
     "addresses to bind; empty: all of the machine"},
    {"port", LMI_KIND_NUMBER, IN(port), "0", NULL, 0, 65535,
     "TCP port; 0: the protocol's own (25, 587 or 465, 24, 143 or 993, 110 or 995)"},
    {"tls", LMI_KIND_CHOICE, IN(tls), "starttls", "starttls|tls|none", 0, 0,
     "offer TLS, speak it from the first octet, or never"},
    {"proxy", LMI_KIND_BOOL, IN(proxy), "no", NULL, 0, 0,
     "every connection begins with a PROXY protocol header, version 1 or 2"},
    {"proxy_trusted", LMI_KIND_LIST, IN(proxy_trusted), "127.0.0.0/8, ::1", NULL, 0, 0,
     "networks that may send the PROXY header"},
    {NULL, LMI_KIND_TEXT, 0, NULL, NULL, 0, 0, NULL}};
/* clang-format on */

_Static_assert(sizeof lmi_settings / sizeof *lmi_settings <= LMI_MAX_SETTINGS, "origins fit");
_Static_assert(sizeof lmi_listener_settings / sizeof *lmi_listener_settings <=
                   LMI_MAX_LISTENER_SETTINGS,
               "origins fit");

#define LISTENER_PREFIX "listener."

lmail_status lmail_config_key_at(size_t i, lmail_config_key *out)
{
    static const char *const kinds[] = {"text",     "list",      "number", "size",
                                        "duration", "yes or no", NULL};
    static const char *const listener_names[] = {
        LISTENER_PREFIX "protocol", LISTENER_PREFIX "address", LISTENER_PREFIX "port",
        LISTENER_PREFIX "tls",      LISTENER_PREFIX "proxy",   LISTENER_PREFIX "proxy_trusted"};
    const size_t main_count = sizeof lmi_settings / sizeof *lmi_settings - 1;
    const size_t listener_count = sizeof lmi_listener_settings / sizeof *lmi_listener_settings - 1;
    _Static_assert(sizeof listener_names / sizeof *listener_names ==
                       sizeof lmi_listener_settings / sizeof *lmi_listener_settings - 1,
                   "a full name for each");
    const lmi_setting *row;
    if (i < main_count) {
        row = &lmi_settings[i];
        out->name = lmail_str_from(row->name);
    } else if (i - main_count < listener_count) {
        row = &lmi_listener_settings[i - main_count];
        out->name = lmail_str_from(listener_names[i - main_count]);
    } else {
        return LMAIL_END;
    }
    out->kind = lmail_str_from(row->kind == LMI_KIND_CHOICE ? row->choices : kinds[row->kind]);
    out->standard = lmail_str_from(row->standard);
    out->about = lmail_str_from(row->about);
    return LMAIL_OK;
}
