/* Reading dovecot.conf: the three dialects, each setting, and what is said of the rest. */
#include <check.h>
#include <libmail/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

Suite *config_dovecot_suite(void);

#define OLD "/etc/dovecot.conf"
#define NEW "/etc/dovecot/dovecot.conf"
#define CERT "ssl_cert = </c.pem\nssl_key = </k.pem\n"
#define CERT_1 "ssl_cert_file = /c.pem\nssl_key_file = /k.pem\n"
#define V24 "dovecot_config_version = 2.4.1\n"
#define IMAP_POP3 "imap 143 starttls; imaps 993 tls; pop3 110 starttls; pop3s 995 tls"
#define ALONE " of one protocol alone has no effect here: it can only be the same for all\n"
#define LOST " is not supported, and must not be lost\n"
#define UNREAD " is not read, since no passdb reads it; put passwords and homes into one file\n"
#define CLEAR "imap 143 none; pop3 110 none"

typedef struct file {
    const char *name, *text;
} file;

/* What other files there are. */
static const file others[] = {{"/etc/dovecot/conf.d/10-auth.conf", "disable_plaintext_auth = no\n"},
                              {"/etc/dovecot/conf.d/20-imap.conf", "protocols = $protocols imap\n"},
                              {"/etc/dovecot/conf.d/30-pop3.conf", "protocols = $protocols pop3\n"},
                              {"/etc/dovecot/loop.conf", "!include loop.conf\n"},
                              {"/etc/dovecot/open.conf", "protocol imap {\n"},
                              {"/greeting", "Hello from a file\n"},
                              {"/etc/dovecot/beside", "Hello from beside\n"},
                              {"/etc/dovecot/sub/more.conf",
                               "login_greeting = <near\nssl_cert = <c.pem\nssl_key = <./k.pem\n"},
                              {"/etc/dovecot/sub/near", "Hello from near\n"}};
#define OTHERS (sizeof others / sizeof *others)

typedef struct row {
    const char *path, *text;
    const char *listeners; /* NULL: not looked at */
    const char *shown;     /* "key = value" by ";" */
    const char *said;      /* NULL: nothing */
} row;

typedef struct world {
    char main[512];
    const row *row;
    char said[8192];
    char shown[32768];
    size_t shown_len;
} world;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    const world *w = ctx;
    const char *text = NULL;
    if (lmail_str_equal(name, LMAIL_STR("main")))
        text = w->main;
    else if (lmail_str_equal(name, lmail_str_from(w->row->path)))
        text = w->row->text;
    for (size_t i = 0; !text && i < OTHERS; i++)
        if (lmail_str_equal(name, lmail_str_from(others[i].name)))
            text = others[i].text;
    if (!text)
        return LMAIL_ERR_NOTFOUND;
    *octets = lmail_str_from(text);
    return LMAIL_OK;
}

/* Patterns of this test: PREFIX*.conf. */
static lmail_status list_files(void *ctx, lmail_str pattern, int (*found)(void *to, lmail_str name),
                               void *to)
{
    size_t any = 0, star = 0;
    (void)ctx;
    while (star < pattern.len && pattern.ptr[star] != '*')
        star++;
    for (size_t i = 0; i < OTHERS; i++)
        if (strncmp(others[i].name, pattern.ptr, star) == 0) {
            any++;
            if (found(to, lmail_str_from(others[i].name)))
                break;
        }
    return any ? LMAIL_OK : LMAIL_ERR_NOTFOUND;
}

static void note(void *ctx, const lmail_diagnostic *d)
{
    static const char letters[] = "NWE";
    world *w = ctx;
    size_t n = strlen(w->said);
    const char *base = d->file.ptr + d->file.len;
    while (base > d->file.ptr && base[-1] != '/')
        base--;
    snprintf(w->said + n, sizeof w->said - n, "%.*s:%zu: %c: %.*s\n",
             (int)(d->file.ptr + d->file.len - base), base, d->line, letters[d->severity],
             (int)d->text.len, d->text.ptr);
}

static lmail_status gather(void *ctx, lmail_str piece)
{
    world *w = ctx;
    ck_assert(piece.len < sizeof w->shown - w->shown_len - 1);
    memcpy(w->shown + w->shown_len, piece.ptr, piece.len);
    w->shown_len += piece.len;
    w->shown[w->shown_len] = '\0';
    return LMAIL_OK;
}

static lmail_status load(world *w, const row *r, const char *before, lmail_config **out)
{
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    memset(w, 0, sizeof *w);
    w->row = r;
    snprintf(w->main, sizeof w->main, "%sdovecot_conf = %s\n", before, r->path);
    io.ctx = w;
    io.open = open_file;
    io.list = list_files;
    io.diagnostic = note;
    return lmail_config_load(out, LMAIL_STR("main"), &io, NULL);
}

/* The line of `config show` that begins with key, without its comment and quotes; NULL when there is
 * none. */
static const char *shown(const world *w, const char *key, size_t n)
{
    static char line[1024];
    for (const char *p = w->shown; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        size_t made = 0, end = strcspn(p, "\n");
        if (strncmp(p, key, n) != 0 || strncmp(p + n, " = ", 3) != 0)
            continue;
        while (end > 1 && strncmp(p + end - 1, " #", 2) != 0)
            end--;
        while (end > 1 && p[end - 2] == ' ')
            end--;
        for (size_t i = 0; i + 1 < end && made + 1 < sizeof line; i++)
            if (p[i] != '"')
                line[made++] = p[i];
        line[made] = '\0';
        return line;
    }
    return NULL;
}

static void check_shown(world *w, const lmail_config *c, const char *expected, int i)
{
    lmail_config_show(c, gather, w);
    for (const char *p = expected; p && *p;) {
        size_t n = strcspn(p, ";");
        char want[512];
        snprintf(want, sizeof want, "%.*s", (int)n, p);
        const char *got = shown(w, want, strcspn(want, " "));
        ck_assert_msg(got && strcmp(got, want) == 0, "row %d: want \"%s\", got \"%s\"", i, want,
                      got ? got : "nothing");
        p += n + (p[n] == ';');
        p += strspn(p, " ");
    }
}

/* "imap 143 none @ 192.0.2.1" of the listeners for IMAP and POP3. */
static void check_listeners(const lmail_config *c, const char *expected, int i)
{
    static const char *const tls[] = {"starttls", "tls", "none"};
    const lmail_settings *s = lmail_config_settings(c);
    char all[1024] = "";
    for (size_t k = 0; k < s->listener_count; k++) {
        const lmail_listener_settings *l = &s->listeners[k];
        if (l->protocol != LMAIL_LISTENER_IMAP && l->protocol != LMAIL_LISTENER_POP3)
            continue;
        size_t n = strlen(all);
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%.*s %u %s%s", n ? "; " : "",
                              (int)l->name.len, l->name.ptr, (unsigned)l->port, tls[l->tls],
                              l->proxy ? " proxy" : "");
        for (size_t a = 0; a < l->address.count; a++)
            n += (size_t)snprintf(all + n, sizeof all - n, " @%.*s", (int)l->address.items[a].len,
                                  l->address.items[a].ptr);
    }
    ck_assert_msg(strcmp(all, expected) == 0, "row %d: want \"%s\", got \"%s\"", i, expected, all);
}

static const row good[] = {
    /* protocols, 1.x: exactly what is named */
    {OLD, "protocols = imap pop3\n", CLEAR, "", NULL},
    {OLD, "", "imap 143 none", "", NULL},
    {OLD, CERT_1, "imap 143 starttls; imaps 993 tls", "tls.certificate = /c.pem; tls.key = /k.pem",
     NULL},
    {OLD, CERT_1 "protocols = imaps pop3s\n", "imaps 993 tls; pop3s 995 tls", "", NULL},
    {OLD, CERT_1 "protocols = imap\n", "imap 143 starttls", "", NULL},
    {OLD, CERT_1 "ssl_disable = yes\nprotocols = imap\n", "imap 143 none", "", NULL},
    {OLD, "protocols = imap imaps\n", "imap 143 none", "",
     "dovecot.conf:1: W: protocols: imaps without a certificate: it is not opened\n"},
    {OLD, "protocols = pop3\nlisten = *\n", "pop3 110 none @0.0.0.0", "", NULL},
    {OLD, "protocols = pop3\nlisten = *, [::]\n", "pop3 110 none", "", NULL},
    {OLD, "protocols = imap\nimap_listen = 192.0.2.1\n", "imap 143 none @192.0.2.1", "", NULL},
    {OLD, CERT_1 "protocols = imap imaps\nprotocol imap {\n listen = *:10143\n}\n",
     "imap 10143 starttls @0.0.0.0; imaps 993 tls @0.0.0.0", "", NULL},
    {OLD,
     CERT_1 "protocols = imap imaps\nprotocol imap {\n listen = *:10143 [2001:db8::1]:143\n"
            " ssl_listen = *:10993\n}\n",
     "imap 10143 starttls @0.0.0.0; imap-2 143 starttls @2001:db8::1; imaps 10993 tls @0.0.0.0", "",
     NULL},
    /* protocols, 2.x: TLS comes along */
    {NEW, "", CLEAR, "", NULL},
    {NEW, CERT, IMAP_POP3, "tls.certificate = /c.pem; tls.key = /k.pem", NULL},
    {NEW, CERT "protocols = imap\n", "imap 143 starttls; imaps 993 tls", "", NULL},
    {NEW, CERT "ssl = no\n", CLEAR, "", NULL},
    {NEW, "ssl = yes\n", CLEAR, "",
     "dovecot.conf:1: W: ssl = yes without a certificate: TLS is not offered\n"},
    {NEW, CERT "ssl = required\n", IMAP_POP3, "imap.require_tls = yes; pop3.require_tls = yes",
     NULL},
    {NEW, CERT "protocols = imap imaps\n", "imap 143 starttls; imaps 993 tls", "",
     "dovecot.conf:3: W: protocols: imaps is no longer necessary, remove it\n"},
    {NEW, "protocols = imap lmtp sieve\n", "imap 143 none", "",
     "dovecot.conf:1: W: protocols: lmtp is not served by libmail\n"
     "dovecot.conf:1: W: protocols: sieve is not served by libmail\n"},
    {NEW, "ssl_cert = </c.pem\n", CLEAR, "tls.certificate = ",
     "dovecot.conf:1: W: a certificate without its key: TLS is not offered\n"},
    {NEW, "listen = 127.0.0.1, ::1\n",
     "imap 143 none @127.0.0.1 @::1; pop3 110 none @127.0.0.1 @::1", "", NULL},
    {NEW,
     CERT "service imap-login {\n inet_listener imap {\n  port = 0\n }\n inet_listener imaps {\n"
          "  port = 10993\n  address = 192.0.2.1\n }\n}\nprotocols = imap\n",
     "imaps 10993 tls @192.0.2.1", "", NULL},
    {NEW,
     "protocols = imap\nhaproxy_trusted_networks = 192.0.2.0/24\nservice imap-login {\n"
     " inet_listener more {\n  port = 10143\n  haproxy = yes\n }\n}\n",
     "imap 143 none; imap-2 10143 none proxy", "", NULL},
    {NEW, "protocols = pop3\nservice pop3-login {\n inet_listener pop3 { port = 10110 }\n}\n",
     "pop3 10110 none", "", NULL},
    {NEW, "!include conf.d/*.conf\n!include_try none.conf\n!include_try none/*.conf\n", CLEAR,
     "imap.allow_cleartext = yes; pop3.allow_cleartext = yes", NULL},
    /* 2.4 */
    {OLD,
     V24 "protocols {\n imap = yes\n pop3 = no\n}\nssl_server_cert_file = /c.pem\n"
         "ssl_server_key_file = /k.pem\nauth_allow_cleartext = yes\nmail_driver = maildir\n"
         "mail_path = %{home}/Maildir\nmail_home = /srv/%{user | domain}/%{user|username|lower}\n",
     "imap 143 starttls; imaps 993 tls",
     "tls.certificate = /c.pem; imap.allow_cleartext = yes; store.location = %h/Maildir; "
     "store.home = /srv/%d/%n",
     NULL},
    {NEW,
     V24 "passdb passwd-file {\n passwd_file_path = /etc/users\n}\nuserdb static {\n"
         " fields {\n  uid = vmail\n  gid = mail\n  home = /srv/%{user}\n }\n}\n",
     NULL,
     "auth.sources = file; accounts = /etc/users; user = vmail; group = mail; "
     "store.home = /srv/%u",
     NULL},
    /* what holds without a word */
    {OLD, "protocols = imap pop3\n", NULL,
     "imap.allow_cleartext = no; pop3.allow_cleartext = no; imap.local_is_secure = yes; "
     "pop3.local_is_secure = yes; imap.max_user_connections = 10; imap.auth_mechanisms = PLAIN; "
     "pop3.auth_mechanisms = PLAIN; auth.allow_cleartext = no; auth.sources = file; "
     "accounts = /etc/libmail/accounts",
     NULL},
    /* logging in */
    {NEW, "disable_plaintext_auth = no\nprotocol pop3 {\n disable_plaintext_auth = yes\n}\n", NULL,
     "imap.allow_cleartext = yes; pop3.allow_cleartext = no", NULL},
    {NEW, "auth_mechanisms = plain login cram-md5 gssapi apop\n", NULL,
     "imap.auth_mechanisms = PLAIN, LOGIN, CRAM-MD5; pop3.auth_mechanisms = PLAIN, LOGIN, "
     "CRAM-MD5; "
     "pop3.apop = yes",
     "dovecot.conf:1: N: auth_mechanisms: gssapi is not implemented and not offered\n"},
    {OLD,
     "auth default {\n mechanisms = plain scram-sha-1\n passdb passwd-file {\n"
     "  args = /etc/users\n }\n userdb passwd-file {\n  args = /etc/users\n }\n}\n",
     NULL, "imap.auth_mechanisms = PLAIN, SCRAM-SHA-1; accounts = /etc/users", NULL},
    {NEW,
     "passdb {\n driver = passwd-file\n args = scheme=CRYPT username_format=%n /etc/users\n}\n",
     NULL, "accounts = /etc/users; auth.user_format = local_part", NULL},
    {NEW, "passdb {\n driver = pam\n args = session=yes -x dovecot-x\n}\n", NULL,
     "auth.sources = system; authd.check = pam; authd.pam_service = dovecot-x",
     "dovecot.conf:3: W: passdb pam: session is not used by libmail\n"
     "dovecot.conf:3: W: passdb pam: -x is not used by libmail\n"},
    {NEW, "passdb {\n driver = pam\n}\n", NULL, "authd.pam_service = dovecot", NULL},
    {NEW, "passdb {\n driver = shadow\n}\nuserdb {\n driver = passwd\n}\n", NULL,
     "auth.sources = system; authd.check = shadow", NULL},
    {NEW, "passdb {\n driver = passwd-file\n args = /u\n}\npassdb {\n driver = pam\n args = *\n}\n",
     NULL, "auth.sources = file, system; authd.check = accounts, pam; authd.pam_service = *", NULL},
    {OLD, V24 "passdb pam {\n service_name = %{protocol}\n}\n", NULL, "authd.pam_service = *",
     NULL},
    {NEW, "", NULL, "auth.failure_delay = 2 s; auth.user_format = whole", NULL},
    {NEW, "auth_username_format = %Lu\n", NULL, "auth.user_format = whole", NULL},
    {NEW, "auth_username_format = %Ln\n", NULL, "auth.user_format = local_part", NULL},
    {NEW, "auth_username_format = %{user | lower}\n", NULL, "auth.user_format = whole", NULL},
    {NEW, "auth_default_realm = example.org\n", NULL, "auth.realm = example.org", NULL},
    {NEW, "auth_failure_delay = 3 secs\n", NULL, "auth.failure_delay = 3 s", NULL},
    {NEW, "auth_failure_delay = 250 msecs\n", NULL, "auth.failure_delay = 250 ms", NULL},
    {NEW, "auth_failure_delay = 1\n", NULL, "auth.failure_delay = 1 s", NULL},
    {NEW, "login_trusted_networks = 192.0.2.0/24 ::1\n", NULL,
     "imap.secure_networks = 192.0.2.0/24, ::1; pop3.secure_networks = 192.0.2.0/24, ::1", NULL},
    {NEW,
     "mail_max_userip_connections = 3\nprotocol imap {\n mail_max_userip_connections = 20\n}\n",
     NULL, "imap.max_user_connections = 20; pop3.max_user_connections = 3", NULL},
    {NEW, "login_greeting = \"Hello # there\" # why\n", NULL,
     "imap.greeting = Hello # there; pop3.greeting = Hello # there", NULL},
    {NEW, "login_greeting = 'It\\'s \\\n  ready'\n", NULL, "imap.greeting = It's   ready", NULL},
    {NEW, "login_greeting = </greeting\n", NULL, "pop3.greeting = Hello from a file", NULL},
    {NEW, "login_greeting = <beside\n", NULL, "pop3.greeting = Hello from beside", NULL},
    {NEW, "!include sub/more.conf\n", IMAP_POP3,
     "imap.greeting = Hello from near; tls.certificate = /etc/dovecot/sub/c.pem; "
     "tls.key = /etc/dovecot/sub/./k.pem",
     NULL},
    {NEW,
     "plugin {\n a = </nowhere\n}\nssl_ca = </nowhere\nprotocol lda {\n login_greeting = "
     "</nowhere\n}\n",
     CLEAR, "",
     "dovecot.conf:1: W: section plugin is not used by libmail\n"
     "dovecot.conf:4: W: setting ssl_ca is not used by libmail\n"
     "dovecot.conf:5: W: section protocol lda is not used by libmail\n"},
    /* quotes and $ */
    {NEW, "login_greeting = Rock 'n roll, it's ready # here\n", NULL,
     "imap.greeting = Rock 'n roll, it's ready", NULL},
    {NEW, "login_greeting = Rock 'n roll = on # here\n", NULL,
     "imap.greeting = Rock 'n roll = on # here", NULL},
    {NEW, "login_greeting = say \"# 1\" # here\n", NULL, "imap.greeting = say \\# 1\\", NULL},
    {NEW, "login_greeting = \"It costs $5, $protocols\"\n", NULL,
     "imap.greeting = It costs $5, $protocols", NULL},
    {NEW, "login_greeting = a$b,  5$ $\n", NULL, "imap.greeting = a$b,  5$ $", NULL},
    {NEW, "mail_gid = mail\nlogin_greeting = Hello, $mail_gid  there\n", NULL,
     "imap.greeting = Hello, mail  there", NULL},
    /* what one protocol alone says, and what holds for all only */
    {NEW,
     "protocols = imap\nprotocol imap {\n mail_location = maildir:/m/%u\n mail_uid = vmail\n}\n",
     NULL, "store.location = /m/%u; user = vmail", NULL},
    {NEW,
     "mail_location = maildir:/a/%u\nprotocol imap {\n mail_location = maildir:/m/%u\n}\n"
     "protocol pop3 {\n mail_location = maildir:/m/%u\n}\n",
     NULL, "store.location = /m/%u", NULL},
    {NEW,
     "mail_location = maildir:/a/%u\nauth_failure_delay = 3\nprotocol imap {\n"
     " mail_location = maildir:/m/%u\n mail_home = /h/%u\n mail_uid = x\n mail_gid = y\n"
     " auth_failure_delay = 5\n auth_default_realm = r.example\n auth_username_format = %n\n}\n",
     NULL,
     "store.location = /a/%u; auth.failure_delay = 3 s; auth.realm = ; auth.user_format = whole; "
     "store.home = ",
     "dovecot.conf:8: W: auth_failure_delay" ALONE "dovecot.conf:9: W: auth_default_realm" ALONE
     "dovecot.conf:10: W: auth_username_format" ALONE "dovecot.conf:6: W: mail_uid" ALONE
     "dovecot.conf:7: W: mail_gid" ALONE "dovecot.conf:5: W: mail_home" ALONE
     "dovecot.conf:4: W: mail_location" ALONE},
    {OLD,
     V24 "protocols = imap pop3\nprotocol pop3 {\n mail_driver = maildir\n mail_path = /m/%u\n}\n",
     NULL, "store.location = ",
     "dovecot.conf:4: W: mail_driver" ALONE "dovecot.conf:5: W: mail_path" ALONE},
    {NEW, "protocols = imap\nprotocol pop3 {\n auth_failure_delay = 5\n}\n", NULL,
     "auth.failure_delay = 2 s", NULL},
    {NEW, "protocol imap {\n " CERT "}\n", "imap 143 starttls; imaps 993 tls; pop3 110 none",
     "tls.certificate = /c.pem; tls.key = /k.pem", NULL},
    {NEW, CERT "protocol pop3 {\n ssl_cert = </d.pem\n ssl_key = </e.pem\n}\n", IMAP_POP3,
     "tls.certificate = /c.pem; tls.key = /k.pem",
     "dovecot.conf:4: W: the certificate /d.pem of one protocol alone has no effect here: all have "
     "/c.pem\n"},
    {NEW, "protocol imap {\n ssl = yes\n}\nprotocol pop3 {\n ssl = required\n}\n", CLEAR,
     "imap.require_tls = no; pop3.require_tls = yes",
     "dovecot.conf:2: W: ssl = yes without a certificate: TLS is not offered\n"
     "dovecot.conf:5: W: ssl = required without a certificate: TLS is not offered\n"},
    {NEW, "ssl = yes\nprotocol imap {\n " CERT "}\n",
     "imap 143 starttls; imaps 993 tls; pop3 110 none", "",
     "dovecot.conf:1: W: ssl = yes without a certificate: TLS is not offered\n"},
    {NEW, "ssl = yes\nprotocols = imap\nprotocol imap {\n " CERT "}\n",
     "imap 143 starttls; imaps 993 tls", "", NULL},
    {NEW,
     CERT "protocols = imap\nservice imap-login {\n inet_listener more {\n  port = 10993\n"
          "  ssl = yes\n }\n}\n",
     "imap 143 starttls; imaps 993 tls; imaps-2 10993 tls", "", NULL},
    {NEW,
     "protocols = imap\nservice imap-login {\n inet_listener more {\n  port = 10993\n"
     "  ssl = yes\n }\n}\n",
     "imap 143 none", "",
     "dovecot.conf:3: W: inet_listener more with ssl = yes and no certificate: it is not opened\n"},
    /* words of args */
    {NEW,
     "userdb {\n driver = static\n args = uid=vmail allow_all_users=yes quota_rule=*:bytes=1G "
     "mail=maildir:/v/%u\n}\nmail_location = maildir:/m/%u\n",
     NULL, "user = vmail; store.location = /v/%u",
     "dovecot.conf:3: W: userdb static: allow_all_users is not used by libmail\n"
     "dovecot.conf:3: W: userdb static: quota_rule is not used by libmail\n"},
    {NEW,
     "passdb {\n driver = passwd-file\n args = nodelay=y /u\n}\nuserdb {\n driver = passwd-file\n"
     " args = /u\n}\n",
     NULL, "accounts = /u",
     "dovecot.conf:3: W: passdb passwd-file: nodelay is not used by libmail\n"},
    {NEW,
     "passdb {\n driver = pam\n}\nuserdb {\n driver = passwd-file\n args = /homes\n}\n"
     "mail_location = maildir:/m/%u\n",
     NULL, "store.location = /m/%u", "dovecot.conf:4: W: userdb passwd-file /homes" UNREAD},
    {NEW, "passdb {\n driver = passwd\n args = blocking=no\n default_fields = a=b\n}\n", NULL,
     "authd.check = shadow",
     "dovecot.conf:4: W: setting default_fields is not used by libmail\n"
     "dovecot.conf:3: W: passdb passwd: blocking is not used by libmail\n"},
    {NEW, "login_greeting = at %{hostname} 100%%\n", NULL, "pop3.greeting = at  100%",
     "dovecot.conf:1: N: login_greeting: %variables are left out\n"
     "dovecot.conf:1: N: login_greeting: %variables are left out\n"},
    {NEW, "mail_location = maildir:/var/vmail/%Ld/%n:INDEX=/i\nmail_uid = 5000\nmail_gid = vmail\n",
     NULL, "store.location = /var/vmail/%d/%n; user = 5000; group = vmail",
     "dovecot.conf:1: W: mail_location: INDEX is not used by libmail\n"},
    {OLD, "default_mail_env = maildir:/var/mail/%u\n", NULL, "store.location = /var/mail/%u", NULL},
    {NEW,
     "userdb {\n driver = static\n args = uid=vmail gid=vmail home=/srv/%d/%n\n}\n"
     "mail_location = maildir:~/Maildir\n",
     NULL, "store.home = /srv/%d/%n; store.location = ~/Maildir; user = vmail", NULL},
    {NEW, "namespace inbox {\n inbox = yes\n separator = .\n}\n", NULL, "imap.separator = .", NULL},
    {NEW,
     "mail_location = maildir:/a/%u\nnamespace x {\n type = private\n location = maildir:/b\n}\n",
     NULL, "store.location = /a/%u",
     "dovecot.conf:3: W: setting type is not used by libmail\n"
     "dovecot.conf:4: W: location of a further namespace has no effect here\n"},
    {NEW, "protocol pop3 {\n auth_mechanisms = otp login\n}\n", NULL,
     "pop3.auth_mechanisms = LOGIN",
     "dovecot.conf:2: N: auth_mechanisms: otp is not implemented and not offered\n"},
    {NEW,
     CERT "protocols = imap\nservice imap-login {\n inet_listener imap {\n  port = 993\n"
          "  ssl = yes\n }\n inet_listener imaps {\n  port = 0\n }\n}\n",
     "imaps 993 tls", "", NULL},
    {NEW, "log_path = syslog\n", NULL, "log = syslog", NULL},
    /* what is not used */
    {NEW, "mail_privileged_group = mail\n", CLEAR, "",
     "dovecot.conf:1: W: setting mail_privileged_group is not used by libmail\n"},
    {NEW, "protocol imap {\n imap_client_workarounds = tb-extra-mailbox-sep\n}\n", CLEAR, "",
     "dovecot.conf:2: W: setting imap_client_workarounds is not used by libmail\n"},
    {NEW, "plugin {\n sieve = ~/.sieve\n anything = goes\n}\n", CLEAR, "",
     "dovecot.conf:1: W: section plugin is not used by libmail\n"},
    {NEW, "service auth {\n unix_listener /x {\n  mode = 0660\n }\n}\n", CLEAR, "",
     "dovecot.conf:1: W: section service auth is not used by libmail\n"},
    {NEW,
     "local 192.0.2.1 {\n ssl = no\n}\nremote 192.0.2.0/24 {\n disable_plaintext_auth = no\n}\n",
     CLEAR, "imap.allow_cleartext = no",
     "dovecot.conf:1: W: section local 192.0.2.1 is not used by libmail\n"
     "dovecot.conf:4: W: section remote 192.0.2.0/24 is not used by libmail\n"},
    {NEW, "protocol lda {\n postmaster_address = x@y\n}\n", CLEAR, "",
     "dovecot.conf:1: W: section protocol lda is not used by libmail\n"},
    {NEW, "log_path = /var/log/dovecot.log\n", CLEAR, "",
     "dovecot.conf:1: W: log_path = /var/log/dovecot.log: no log file is written; log lines go to "
     "standard error, or with log_path = syslog to the system's log\n"},
    {NEW, "# ssl = required\n  # x {\n\r\n\xef\xbb\xbf", CLEAR, "", "-"}};

static const row bad[] = {
    {NEW, "protocol pop3 {\n passdb {\n  driver = pam\n }\n}\n", NULL, NULL,
     "dovecot.conf:2: E: passdb inside a protocol cannot be imported: it would hold for all\n"},
    {NEW, "protocol pop3 {\n auth_mechanisms = otp\n}\n", NULL, NULL,
     "dovecot.conf:2: N: auth_mechanisms: otp is not implemented and not offered\n"
     "dovecot.conf:2: E: auth_mechanisms: none of these is implemented\n"},
    {NEW, "protocls = imap\n", NULL, NULL,
     "dovecot.conf:1: E: unknown setting \"protocls\"; did you mean protocols?\n"},
    {NEW, "servce imap-login {\n}\n", NULL, NULL,
     "dovecot.conf:1: E: unknown section \"servce\"; did you mean service?\n"},
    {NEW, "xyzzyplugh = 1\n", NULL, NULL, "dovecot.conf:1: E: unknown setting \"xyzzyplugh\"\n"},
    {NEW, "protocols imap\n", NULL, NULL,
     "dovecot.conf:1: E: neither \"key = value\" nor a section: protocols imap\n"},
    {NEW, "protocol imap {\n", NULL, NULL, "dovecot.conf:1: E: this section is not closed\n"},
    {NEW, "}\n", NULL, NULL, "dovecot.conf:1: E: \"}\" without a section\n"},
    {NEW, "login_greeting = \"Hello\n", NULL, NULL,
     "dovecot.conf:1: E: the closing quote is missing\n"},
    {NEW, "protocols = imapp\n", NULL, NULL,
     "dovecot.conf:1: E: protocols: unknown protocol \"imapp\"\n"},
    {NEW, "ssl = maybe\n", NULL, NULL,
     "dovecot.conf:1: E: ssl = \"maybe\" is none of no, yes and required\n"
     "dovecot.conf:1: W: ssl = maybe without a certificate: TLS is not offered\n"},
    {NEW, "disable_plaintext_auth = perhaps\nprotocol pop3 {\n disable_plaintext_auth = no\n}\n",
     NULL, NULL, "dovecot.conf:1: E: disable_plaintext_auth = \"perhaps\" is neither yes nor no\n"},
    {NEW, "!include none.conf\n", NULL, NULL,
     "dovecot.conf:1: E: cannot read /etc/dovecot/none.conf: no such thing\n"},
    {NEW, "!include none/*.conf\n", NULL, NULL,
     "dovecot.conf:1: E: !include none/*.conf: no file matches\n"},
    {NEW, "!include loop.conf\n", NULL, NULL, "loop.conf:1: E: too many files are included\n"},
    {NEW, "!include open.conf\nprotocols = imap\n", NULL, NULL,
     "open.conf:1: E: this section is not closed\n"},
    {NEW, "!inclde x\n", NULL, NULL, "dovecot.conf:1: E: unknown directive \"!inclde\"\n"},
    {NEW, "login_greeting = Hello $nobody there\n", NULL, NULL,
     "dovecot.conf:1: E: $nobody cannot be filled in; a value in quotes keeps its $\n"},
    {NEW, "login_greeting = </nowhere\n", NULL, NULL,
     "dovecot.conf:1: E: login_greeting: /nowhere: no such thing\n"},
    {NEW,
     "passdb {\n driver = pam\n}\nuserdb {\n driver = passwd-file\n args = /homes\n}\n"
     "mail_location = maildir:~/Maildir\n",
     NULL, NULL,
     "dovecot.conf:4: E: userdb passwd-file /homes" UNREAD
     "dovecot.conf:8: E: homes of the system's users belong to many users, all mail belongs to "
     "one. "
     "Import each user's with doveadm backup -u USER maildir:/var/lib/libmail/mail/USER\n"},
    {NEW, "passdb {\n driver = passwd-file\n args = /u\n username_filter = *@a.example\n}\n", NULL,
     NULL, "dovecot.conf:4: E: username_filter = *@a.example" LOST},
    {NEW, "passdb {\n driver = passwd-file\n args = /u\n default_fields = x=y allow_nets=::1\n}\n",
     NULL, NULL, "dovecot.conf:4: E: default_fields = x=y allow_nets=::1" LOST},
    {NEW, "passdb {\n driver = passwd-file\n args = /u\n result_success = continue\n}\n", NULL,
     NULL, "dovecot.conf:4: E: result_success = continue" LOST},
    {OLD, V24 "passdb passwd-file {\n passwd_file_path = /u\n fields {\n  nologin = yes\n }\n}\n",
     NULL, NULL, "dovecot.conf:5: E: nologin = yes" LOST},
    {NEW, "mail_location = mbox:~/mail:INBOX=/var/mail/%u\n", NULL, NULL,
     "dovecot.conf:1: E: mail_location: mbox is not served; convert the mail to Maildir with "
     "doveadm backup -u USER maildir:PATH (dsync) and name that path\n"},
    {NEW, V24 "mail_driver = sdbox\n", NULL, NULL,
     "dovecot.conf:2: E: mail_driver: sdbox is not served; convert the mail to Maildir with "
     "doveadm "
     "backup -u USER maildir:PATH (dsync) and name that path\n"},
    {NEW, "mail_location = maildir:/m/%u:LAYOUT=fs\n", NULL, NULL,
     "dovecot.conf:1: E: mail_location: LAYOUT=fs is not supported: mail would not be found\n"},
    {NEW, "mail_location = maildir:/m/%1n/%n\n", NULL, NULL,
     "dovecot.conf:1: E: mail_location: %1 cannot be imported; %u, %n, %d and %h can\n"},
    {NEW, "userdb {\n driver = passwd\n}\nmail_location = maildir:~/Maildir\n", NULL, NULL,
     "dovecot.conf:4: E: mail in home directories that belong to many users is not served: all "
     "mail belongs to one user. Import each user's with doveadm backup -u USER "
     "maildir:/var/lib/libmail/mail/USER, then remove this line\n"},
    {NEW, "passdb {\n driver = ldap\n args = /x\n}\n", NULL, NULL,
     "dovecot.conf:1: E: passdb ldap is not supported; import accounts with the account tool, "
     "mailctl user\n"},
    {NEW, "userdb {\n driver = sql\n}\n", NULL, NULL,
     "dovecot.conf:1: E: userdb sql is not supported; import accounts with the account tool, "
     "mailctl user\n"},
    {NEW, "passdb {\n driver = passwd-file\n args = /u\n deny = yes\n}\n", NULL, NULL,
     "dovecot.conf:4: E: deny = yes is not supported, and must not be lost\n"},
    {NEW, "passdb {\n driver = passwd-file\n args = scheme=PLAIN /u\n}\n", NULL, NULL,
     "dovecot.conf:1: E: passdb passwd-file: scheme PLAIN cannot be the default; write {PLAIN} in "
     "front of the passwords\n"},
    {NEW, "auth_username_format = %n-AT-%d\n", NULL, NULL,
     "dovecot.conf:1: E: auth_username_format = %n-AT-%d cannot be imported; %Lu and %Ln can\n"},
    {NEW, "auth_failure_delay = soon\n", NULL, NULL,
     "dovecot.conf:1: E: auth_failure_delay = \"soon\" is no time, as 2 secs\n"},
    {NEW,
     "mail_max_userip_connections = many\nprotocol pop3 {\n mail_max_userip_connections = 1\n}\n",
     NULL, NULL, "dovecot.conf:1: E: imap.max_user_connections = \"many\": expected a number\n"}};

START_TEST(each_file_means_what_it_should)
{
    const row *r = &good[_i];
    world w;
    lmail_config *c;
    const char *said = !r->said ? "" : strcmp(r->said, "-") == 0 ? NULL : r->said;
    lmail_status st = load(&w, r, "", &c);
    ck_assert_msg(st == (said ? LMAIL_OK : LMAIL_ERR_SYNTAX), "row %d: %s\n%s", _i,
                  lmail_status_name(st), w.said);
    if (!said)
        return;
    ck_assert_str_eq(w.said, said);
    check_shown(&w, c, r->shown, _i);
    if (r->listeners)
        check_listeners(c, r->listeners, _i);
    lmail_config_free(c);
}
END_TEST

START_TEST(each_mistake_is_named_with_its_line)
{
    world w;
    lmail_config *c;
    ck_assert_int_eq(load(&w, &bad[_i], "", &c), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(w.said, bad[_i].said);
}
END_TEST

START_TEST(the_guides_file_gives_imap_and_pop3_in_clear_and_nothing_else)
{
    char *text = vectors_read("guide/dovecot.conf", NULL);
    const row r = {OLD, text, CLEAR, "", NULL};
    world w;
    lmail_config *c;
    ck_assert_int_eq(load(&w, &r, "", &c), LMAIL_OK);
    ck_assert_str_eq(w.said, "");
    check_listeners(c, r.listeners, 0);
    check_shown(&w, c, "imap.allow_cleartext = no; pop3.allow_cleartext = no", 0);
    ck_assert_ptr_nonnull(strstr(w.shown, "# /etc/dovecot.conf:3\n"));
    ck_assert_ptr_nonnull(strstr(w.shown, "# default of /etc/dovecot.conf\n"));
    lmail_config_free(c);
    free(text);
}
END_TEST

START_TEST(the_main_file_goes_before)
{
    const row r = {NEW, "ssl = required\nlogin_greeting = theirs\ndisable_plaintext_auth = no\n",
                   NULL, NULL, NULL};
    world w;
    lmail_config *c;
    ck_assert_int_eq(load(&w, &r,
                          "imap.greeting = ours\ntls.certificate = /c\ntls.key = /k\n"
                          "pop3.allow_cleartext = no\n",
                          &c),
                     LMAIL_OK);
    ck_assert_str_eq(w.said, "");
    check_listeners(c, IMAP_POP3, 0);
    check_shown(&w, c,
                "imap.greeting = ours; pop3.greeting = theirs; imap.allow_cleartext = yes; "
                "pop3.allow_cleartext = no",
                0);
    ck_assert_ptr_nonnull(strstr(w.shown, "# /etc/dovecot/dovecot.conf:2\n"));
    lmail_config_free(c);
}
END_TEST

START_TEST(listeners_of_the_main_file_are_all_there_are)
{
    const row r = {NEW, "protocols = imap\n", NULL, NULL, NULL};
    world w;
    lmail_config *c;
    ck_assert_int_eq(load(&w, &r, "listener x {\n protocol = pop3\n}\n", &c), LMAIL_OK);
    check_listeners(c, "x 110 starttls", 0);
    ck_assert_str_eq(w.said, "dovecot.conf:1: N: listener imap is not opened: the main file names "
                             "listeners of its own\n");
    lmail_config_free(c);
}
END_TEST

Suite *config_dovecot_suite(void)
{
    Suite *suite = suite_create("config_dovecot");
    TCase *t = tcase_create("files");
    tcase_add_loop_test(t, each_file_means_what_it_should, 0, (int)(sizeof good / sizeof *good));
    tcase_add_loop_test(t, each_mistake_is_named_with_its_line, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(t, the_guides_file_gives_imap_and_pop3_in_clear_and_nothing_else);
    tcase_add_test(t, the_main_file_goes_before);
    tcase_add_test(t, listeners_of_the_main_file_are_all_there_are);
    suite_add_tcase(suite, t);
    return suite;
}
