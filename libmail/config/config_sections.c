/* config_sections.c - settings of the named sections (listener, dnsbl, milter), and all settings in
 * one row for the documentation. */
#include "config/config_internal.h"

#include <string.h>

#define LISTENER(member) offsetof(lmail_listener_settings, member)
#define DNSBL(member) offsetof(lmail_dnsbl_settings, member)
#define MILTER(member) offsetof(lmail_milter_settings, member)
#define END_ROW                                                                                    \
    {                                                                                              \
        NULL, LMI_KIND_TEXT, 0, NULL, NULL, 0, 0, NULL                                             \
    }

/* clang-format off */
static const lmi_setting listener_rows[] = {
    {"listener.protocol", LMI_KIND_CHOICE, LISTENER(protocol), "smtp",
     "smtp|submission|lmtp|imap|pop3", 0, 0, "what it speaks"},
    {"listener.address", LMI_KIND_LIST, LISTENER(address), "", NULL, 0, 0,
     "addresses to bind; empty: all of the machine"},
    {"listener.port", LMI_KIND_NUMBER, LISTENER(port), "0", NULL, 0, 65535,
     "TCP port; 0: the protocol's own (25, 587 or 465, 24, 143 or 993, 110 or 995)"},
    {"listener.tls", LMI_KIND_CHOICE, LISTENER(tls), "starttls", "starttls|tls|none", 0, 0,
     "offer TLS, speak it from the first octet, or never"},
    {"listener.proxy", LMI_KIND_BOOL, LISTENER(proxy), "no", NULL, 0, 0,
     "every connection begins with a PROXY protocol header, version 1 or 2"},
    {"listener.proxy_trusted", LMI_KIND_LIST, LISTENER(proxy_trusted), "127.0.0.0/8, ::1", NULL, 0,
     0, "networks that may send the PROXY header"},
    {"listener.family", LMI_KIND_CHOICE, LISTENER(family), "any", "any|inet|inet6", 0, 0,
     "addresses of the machine that an empty address means"},
    {"listener.backlog", LMI_KIND_NUMBER, LISTENER(backlog), "0", NULL, 0, 65535,
     "connections that may wait; 0: as many as the system allows"},
    {"listener.optional", LMI_KIND_BOOL, LISTENER(optional), "no", NULL, 0, 0,
     "start without it when it cannot be opened"},
    {"listener.max_sessions", LMI_KIND_NUMBER, LISTENER(max_sessions), "0", NULL, 0, 10000000,
     "sessions at which it is closed until one ends; 0: no limit of its own"},
    {"listener.require_auth", LMI_KIND_BOOL, LISTENER(require_auth), "no", NULL, 0, 0,
     "MAIL needs a login; a submission listener needs it unless this says no"},
    {"listener.offer_auth", LMI_KIND_BOOL, LISTENER(offer_auth), "yes", NULL, 0, 0,
     "clients can log in"},
    {"listener.sender_check", LMI_KIND_BOOL, LISTENER(sender_check), "no", NULL, 0, 0,
     "who is logged in sends as himself alone; a submission listener checks it unless this says "
     "no"},
    {"listener.etrn", LMI_KIND_BOOL, LISTENER(etrn), "yes", NULL, 0, 0,
     "ETRN is obeyed, unless smtp.privacy forbids it"},
    {"listener.qualified_senders", LMI_KIND_BOOL, LISTENER(qualified_senders), "no", NULL, 0, 0,
     "a sender needs a domain, whatever section policy says"},
    {"listener.qualified_recipients", LMI_KIND_BOOL, LISTENER(qualified_recipients), "no", NULL, 0,
     0, "a recipient needs a domain"},
    {"listener.unqualified_senders", LMI_KIND_BOOL, LISTENER(unqualified_senders), "no", NULL, 0, 0,
     "a sender needs no domain"},
    {"listener.same_address", LMI_KIND_BOOL, LISTENER(same_address), "no", NULL, 0, 0,
     "mail that came in here goes out from the address that it came to"},
    {"listener.interface_name", LMI_KIND_BOOL, LISTENER(interface_name), "no", NULL, 0, 0,
     "and says the name of that address in EHLO"},
    {"listener.milters", LMI_KIND_LIST, LISTENER(milters), "", NULL, 0, 0,
     "milter sections of this listener; empty: smtp.milters"},
    {"listener.queue_load", LMI_KIND_LOAD, LISTENER(queue_load), "0", NULL, 0, 100000,
     "load average above which mail is only queued; 0: smtp.queue_load"},
    {"listener.refuse_load", LMI_KIND_LOAD, LISTENER(refuse_load), "0", NULL, 0, 100000,
     "load average above which it is closed; 0: smtp.refuse_load"},
    {"listener.delay_load", LMI_KIND_LOAD, LISTENER(delay_load), "0", NULL, 0, 100000,
     "load average above which connections wait a second; 0: smtp.delay_load"},
    {"listener.delivery", LMI_KIND_CHOICE, LISTENER(delivery), "inherit",
     "inherit|background|interactive|queue|deferred", 0, 0,
     "when its mail goes out; inherit: as queue.delivery says"},
    END_ROW};

static const lmi_setting dnsbl_rows[] = {
    {"dnsbl.zone", LMI_KIND_TEXT, DNSBL(zone), "", NULL, 0, 0,
     "DNS zone of the list; empty: the name of the section"},
    {"dnsbl.action", LMI_KIND_CHOICE, DNSBL(action), "reject", "reject|quarantine|discard", 0, 0,
     "what becomes of mail from a listed address"},
    {"dnsbl.reply", LMI_KIND_TEXT, DNSBL(reply), "", NULL, 0, 0,
     "reply to it, code first, {address} and {name} of the client in it; empty: 550 5.7.1 "
     "Rejected: ADDRESS listed at ZONE"},
    {"dnsbl.defer", LMI_KIND_BOOL, DNSBL(defer), "no", NULL, 0, 0,
     "a lookup that fails for now refuses for now"},
    {"dnsbl.values", LMI_KIND_LIST, DNSBL(values), "", NULL, 0, 0,
     "answers of the zone that count; empty: every one"},
    END_ROW};

static const lmi_setting milter_rows[] = {
    {"milter.socket", LMI_KIND_TEXT, MILTER(socket), "", NULL, 0, 0,
     "where the filter listens: inet:PORT@HOST, inet6:PORT@HOST or unix:PATH"},
    {"milter.on_failure", LMI_KIND_CHOICE, MILTER(on_failure), "accept",
     "accept|reject|tempfail|shutdown", 0, 0,
     "when it does not answer: go on without it, 550, 451, or 421 and close"},
    {"milter.connect_timeout", LMI_KIND_DURATION, MILTER(connect_timeout), "5 m", NULL, 1000,
     3600000, "wait for a connection"},
    {"milter.send_timeout", LMI_KIND_DURATION, MILTER(send_timeout), "10 s", NULL, 1000, 3600000,
     "wait until it takes more"},
    {"milter.read_timeout", LMI_KIND_DURATION, MILTER(read_timeout), "10 s", NULL, 1000, 3600000,
     "wait for an answer"},
    {"milter.end_timeout", LMI_KIND_DURATION, MILTER(end_timeout), "5 m", NULL, 1000, 3600000,
     "wait for the answer to the end of a message"},
    END_ROW};
/* clang-format on */

const lmi_section_kind lmi_section_kinds[LMI_SECTION_KINDS] = {
    {"listener", "a listener", "this listener", "too many listeners", listener_rows},
    {"dnsbl", "a dnsbl", "this dnsbl", "too many dnsbl sections", dnsbl_rows},
    {"milter", "a milter", "this milter", "too many milters", milter_rows}};

#define FITS(rows)                                                                                 \
    _Static_assert(sizeof rows / sizeof *rows <= LMI_MAX_SECTION_SETTINGS, "origins fit")
FITS(listener_rows);
FITS(dnsbl_rows);
FITS(milter_rows);

lmail_str lmi_section_setting(const lmi_section_kind *kind, const lmi_setting *row)
{
    return lmi_str_skip(lmail_str_from(row->name), strlen(kind->word) + 1);
}

static void describe(const lmi_setting *row, lmail_config_key *out)
{
    static const char *const kinds[] = {
        [LMI_KIND_TEXT] = "text",           [LMI_KIND_FILE] = "file",
        [LMI_KIND_DIRECTORY] = "directory", [LMI_KIND_LIST] = "list",
        [LMI_KIND_NUMBER] = "number",       [LMI_KIND_SIZE] = "size",
        [LMI_KIND_DURATION] = "duration",   [LMI_KIND_LOAD] = "load",
        [LMI_KIND_BOOL] = "yes or no"};
    int chosen = row->kind == LMI_KIND_CHOICE || row->kind == LMI_KIND_FLAGS;
    out->name = lmail_str_from(row->name);
    out->kind = lmail_str_from(chosen ? row->choices : kinds[row->kind]);
    out->standard = lmail_str_from(row->standard);
    out->about = lmail_str_from(row->about);
}

lmail_status lmail_config_key_at(size_t i, lmail_config_key *out)
{
    const lmi_setting *rows = lmi_settings;
    for (size_t table = 0;; rows = lmi_section_kinds[table++].rows) {
        for (; rows->name; rows++)
            if (i-- == 0) {
                describe(rows, out);
                return LMAIL_OK;
            }
        if (table == LMI_SECTION_KINDS)
            return LMAIL_END;
    }
}
