/* Reading libmail.conf: values, sections, includes, and what is said about mistakes. */
#include <check.h>
#include <libmail/config.h>
#include <stdio.h>
#include <string.h>

typedef struct file {
    const char *name, *text;
} file;

typedef struct world {
    const file *files;
    char said[4096];
    size_t warnings, errors;
} world;

static lmail_status open_file(void *ctx, lmail_str name, lmail_str *octets)
{
    const world *w = ctx;
    for (const file *f = w->files; f->name; f++)
        if (lmail_str_equal(name, lmail_str_from(f->name))) {
            *octets = lmail_str_from(f->text);
            return LMAIL_OK;
        }
    return LMAIL_ERR_NOTFOUND;
}

static void note(void *ctx, const lmail_diagnostic *d)
{
    world *w = ctx;
    size_t n = strlen(w->said);
    snprintf(w->said + n, sizeof w->said - n, "%.*s:%zu: %.*s\n", (int)d->file.len, d->file.ptr,
             d->line, (int)d->text.len, d->text.ptr);
    if (d->severity == LMAIL_ERROR)
        w->errors++;
}

static lmail_status load(world *w, const file *files, lmail_config **out)
{
    memset(w, 0, sizeof *w);
    w->files = files;
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    io.ctx = w;
    io.open = open_file;
    io.diagnostic = note;
    return lmail_config_load(out, lmail_str_from(files->name), &io, NULL);
}

static lmail_status load_text(world *w, const char *text, lmail_config **out)
{
    const file files[] = {{"a.conf", text}, {NULL, NULL}};
    return load(w, files, out);
}

START_TEST(an_empty_file_is_a_whole_server)
{
    world w;
    lmail_config *c;
    ck_assert_int_eq(load_text(&w, "", &c), LMAIL_OK);
    const lmail_settings *s = lmail_config_settings(c);
    ck_assert_uint_eq(s->smtp.max_message_size, 50u << 20);
    ck_assert_uint_eq(s->smtp.max_recipients, 1000);
    ck_assert_uint_eq(s->imap.idle_timeout, 30 * 60 * 1000);
    ck_assert_uint_eq(s->auth.allow_cleartext, 0);
    ck_assert_uint_eq(s->listener_count, 7);
    ck_assert_uint_eq(s->listeners[2].port, 465);
    ck_assert_uint_eq(s->listeners[6].port, 995);
    lmail_config_free(c);
}
END_TEST

START_TEST(every_kind_of_value_is_read)
{
    world w;
    lmail_config *c;
    ck_assert_int_eq(load_text(&w,
                               "\xEF\xBB\xBF# comment\r\n"
                               "hostname = mx.example.org   # behind a blank\n"
                               "domains = example.org, example.net\texample.com\n"
                               "smtp.greeting = \"a # \\\"b\\\" \\\\\"\n"
                               "smtp {\n"
                               "  max_message_size = 10 m\n"
                               "  command_timeout=90s\n"
                               "}\n"
                               "log = SYSLOG\n"
                               "auth.allow_cleartext = On\n"
                               "listener one {\n port = 2525\n tls = none\n}\n"
                               "listener two {\nprotocol = imap\ntls = tls\naddress = ::1\n}",
                               &c),
                     LMAIL_OK);
    const lmail_settings *s = lmail_config_settings(c);
    ck_assert(lmail_str_equal(s->hostname, LMAIL_STR("mx.example.org")));
    ck_assert_uint_eq(s->domains.count, 3);
    ck_assert(lmail_str_equal(s->domains.items[2], LMAIL_STR("example.com")));
    ck_assert(lmail_str_equal(s->smtp.greeting, LMAIL_STR("a # \"b\" \\")));
    ck_assert_uint_eq(s->smtp.max_message_size, 10u << 20);
    ck_assert_uint_eq(s->smtp.command_timeout, 90000);
    ck_assert_uint_eq(s->log, LMAIL_LOG_SYSLOG);
    ck_assert_uint_eq(s->auth.allow_cleartext, 1);
    ck_assert_uint_eq(s->listener_count, 2);
    ck_assert_uint_eq(s->listeners[0].port, 2525);
    ck_assert_uint_eq(s->listeners[0].tls, LMAIL_LISTENER_PLAIN);
    ck_assert_uint_eq(s->listeners[1].port, 993);
    ck_assert_uint_eq(s->listeners[1].protocol, LMAIL_LISTENER_IMAP);
    lmail_config_free(c);
}
END_TEST

START_TEST(named_sections_flags_and_loads_are_read)
{
    world w;
    lmail_config *c;
    ck_assert_int_eq(load_text(&w,
                               "smtp {\n privacy = no_vrfy need_mail_helo\n"
                               " queue_load = 8 per processor\n refuse_load = 12\n"
                               " milters = scan\n}\n"
                               "dnsbl bl.example {\n defer = yes\n}\n"
                               "dnsbl b {\n zone = other.example\n action = discard\n}\n"
                               "milter scan {\n socket = unix:/run/scan\n}\n"
                               "listener s {\n protocol = submission\n}\n"
                               "listener t {\n protocol = submission\n require_auth = no\n}\n",
                               &c),
                     LMAIL_OK);
    const lmail_settings *s = lmail_config_settings(c);
    ck_assert_uint_eq(s->smtp.privacy, LMAIL_PRIVACY_NO_VRFY | LMAIL_PRIVACY_NEED_MAIL_HELO);
    ck_assert_uint_eq(s->smtp.queue_load, LMAIL_LOAD_PER_PROCESSOR | 8);
    ck_assert_uint_eq(s->smtp.refuse_load, 12);
    ck_assert_uint_eq(s->dnsbl_count, 2);
    ck_assert(lmail_str_equal(s->dnsbls[0].zone, LMAIL_STR("bl.example")));
    ck_assert_uint_eq(s->dnsbls[0].defer, 1);
    ck_assert_uint_eq(s->dnsbls[1].action, LMAIL_DNSBL_DISCARD);
    ck_assert_uint_eq(s->milter_count, 1);
    ck_assert_uint_eq(s->milters[0].end_timeout, 300000);
    ck_assert_uint_eq(s->listeners[0].require_auth, 1);
    ck_assert_uint_eq(s->listeners[1].require_auth, 0);
    lmail_config_free(c);
}
END_TEST

static const struct mistake {
    const char *text, *said;
} mistakes[] = {
    {"smpt.greeting = x\n",
     "a.conf:1: unknown setting \"smpt.greeting\"; did you mean smtp.greeting?\n"},
    {"frobnicate = 1\n", "a.conf:1: unknown setting \"frobnicate\"\n"},
    {"\nlog = sylog\n", "a.conf:2: log = \"sylog\": not one of the choices: stderr|syslog\n"},
    {"smtp.max_recipients = many\n",
     "a.conf:1: smtp.max_recipients = \"many\": expected a number\n"},
    {"smtp.max_recipients = 0\n",
     "a.conf:1: smtp.max_recipients = \"0\": the value is below the least that is allowed\n"},
    {"smtp.max_message_size = 5 furlongs\n",
     "a.conf:1: smtp.max_message_size = \"5 furlongs\": unknown unit: use K, M or G\n"},
    {"smtp.max_message_size = 99999999999999999999\n",
     "a.conf:1: smtp.max_message_size = \"99999999999999999999\": the number is too large\n"},
    {"smtp.max_message_size = 99999999999999G\n",
     "a.conf:1: smtp.max_message_size = \"99999999999999G\": the number is too large\n"},
    {"hostname = a\nhostname = b\n", "a.conf:2: hostname is set already at a.conf:1\n"},
    {"hostname\n", "a.conf:1: expected \"name = value\" or \"section {\", found \"hostname\"\n"},
    {"}\n", "a.conf:1: \"}\" without an open section\n"},
    {"smtp {\nmax_line = 1K\n",
     "a.conf:1: this section is not closed with \"}\" before the file ends\n"},
    {"smtp {\nmax_lime = 1K\n}\n",
     "a.conf:2: unknown setting \"smtp.max_lime\"; did you mean smtp.max_line?\n"},
    {"listener {\n}\n", "a.conf:1: a listener needs a name: listener NAME {\n"},
    {"listener a {\nprt = 1\n}\n", "a.conf:2: unknown setting \"prt\"; did you mean port?\n"},
    {"listener a {\n}\nlistener a {\n}\n", "a.conf:3: this listener is set already at a.conf:1\n"},
    {"smtp.greeting = \"open\n", "a.conf:1: the closing quote is missing\n"},
    {"smtp.greeting = \"a\" b\n", "a.conf:1: unexpected text behind the closing quote:  b\n"},
    {"include nowhere.conf\n", "a.conf:1: cannot read nowhere.conf: no such thing\n"},
    {"include a.conf\n", "a.conf:1: a.conf includes itself\n"},
    {"tls.key = /k\n", "a.conf:1: tls.certificate and tls.key are given together or not at all\n"},
    {"smtp.privacy = no_vrfy no_expm\n",
     "a.conf:1: smtp.privacy = \"no_vrfy no_expm\": not all of them are among the choices: "
     "need_mail_helo|need_vrfy_helo|need_expn_helo|no_vrfy|no_expn|no_etrn|no_receipts|no_body_"
     "return|no_actual_recipient|rest\n"},
    {"smtp.queue_load = 8 per cpu\n",
     "a.conf:1: smtp.queue_load = \"8 per cpu\": expected a number, or N per processor\n"},
    {"milter {\n}\n", "a.conf:1: a milter needs a name: milter NAME {\n"},
    {"milter m {\n}\n", "a.conf:1: milter m needs a socket\n"},
    {"smtp.milters = m\n", "a.conf:1: there is no milter \"m\"\n"},
    {"dnsbl a {\n}\ndnsbl a {\n}\n", "a.conf:3: this dnsbl is set already at a.conf:1\n"},
    {"dnsbl a {\nreply = 250 welcome\n}\n", "a.conf:1: reply begins with a code from 400 to 599\n"},
    {"policy.reject_reply = no\n",
     "a.conf:1: policy.reject_reply begins with a code from 400 to 599\n"},
    {"auth.sources = file, sytem\n",
     "a.conf:1: auth.sources = \"file, sytem\": not one of the choices: file|system|saslauthd\n"},
    {"auth.sources = ,\n",
     "a.conf:1: auth.sources = \",\": must not be empty: file|system|saslauthd\n"},
    {"authd.socket_mode = 888\n", "a.conf:1: authd.socket_mode is three octal digits, as 0660\n"},
    {"authd.socket_mode = 4755\n", "a.conf:1: authd.socket_mode is three octal digits, as 0660\n"},
    {"imap.separator = ab\n", "a.conf:1: imap.separator is one printable character, and none of % "
                              "* \" \\ & ~\n"},
};

START_TEST(a_mistake_is_named_with_its_line)
{
    const struct mistake *m = &mistakes[_i];
    world w;
    lmail_config *c;
    ck_assert_int_eq(load_text(&w, m->text, &c), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(w.said, m->said);
    ck_assert_uint_eq(w.errors, 1);
}
END_TEST

START_TEST(all_mistakes_of_a_file_are_named_in_one_run)
{
    world w;
    lmail_config *c;
    ck_assert_int_eq(load_text(&w, "x = 1\nlog = y\n}\n", &c), LMAIL_ERR_SYNTAX);
    ck_assert_uint_eq(w.errors, 3);
}
END_TEST

START_TEST(an_include_stands_beside_the_file_that_names_it)
{
    const file files[] = {{"/etc/libmail/a.conf", "include sub/b.conf\n"},
                          {"/etc/libmail/sub/b.conf", "include c.conf\nhostname = b\n"},
                          {"/etc/libmail/sub/c.conf", "log = bad\n"},
                          {NULL, NULL}};
    world w;
    lmail_config *c;
    ck_assert_int_eq(load(&w, files, &c), LMAIL_ERR_SYNTAX);
    ck_assert_str_eq(w.said, "/etc/libmail/sub/c.conf:1: log = \"bad\": not one of the choices: "
                             "stderr|syslog\n");
}
END_TEST

/* Each file includes the next one twice: 2^14 readings, were they not counted. */
START_TEST(files_that_multiply_end)
{
    enum { CHAIN = 14 };
    char names[CHAIN + 1][8], texts[CHAIN + 1][64];
    file files[CHAIN + 2] = {{NULL, NULL}};
    for (int i = 0; i <= CHAIN; i++) {
        snprintf(names[i], sizeof names[i], "%c.conf", 'a' + i);
        snprintf(texts[i], sizeof texts[i], "include %c.conf\ninclude %c.conf\n", 'b' + i, 'b' + i);
        files[i] = (file){names[i], i < CHAIN ? texts[i] : ""};
    }
    world w;
    lmail_config *c;
    ck_assert_int_eq(load(&w, files, &c), LMAIL_ERR_SYNTAX);
    ck_assert_msg(strstr(w.said, "too many files are included\n") != NULL, "%s", w.said);
}
END_TEST

START_TEST(a_missing_main_file_is_its_own_error)
{
    const file files[] = {{NULL, NULL}};
    world w = {files, "", 0, 0};
    lmail_config_io io = LMAIL_CONFIG_IO_INIT;
    io.ctx = &w;
    io.open = open_file;
    io.diagnostic = note;
    lmail_config *c;
    ck_assert_int_eq(lmail_config_load(&c, LMAIL_STR("x.conf"), &io, NULL), LMAIL_ERR_NOTFOUND);
    ck_assert_str_eq(w.said, "x.conf:0: cannot read x.conf: no such thing\n");
}
END_TEST

typedef struct text {
    char octets[32768];
    size_t len;
} text;

static lmail_status gather(void *ctx, lmail_str piece)
{
    text *t = ctx;
    ck_assert(piece.len < sizeof t->octets - t->len - 1);
    memcpy(t->octets + t->len, piece.ptr, piece.len);
    t->len += piece.len;
    t->octets[t->len] = '\0';
    return LMAIL_OK;
}

START_TEST(what_is_shown_reads_back_as_the_same)
{
    static text first, second;
    world w;
    lmail_config *c;
    first.len = second.len = 0;
    ck_assert_int_eq(load_text(&w,
                               "smtp.greeting = \"a # \\\"b\\\" \\\\\"\ndomains = a \"b, #c\n"
                               "smtp.command_timeout = 1500 ms\nimap.max_line = 65537\n"
                               "listener x {\nprotocol=lmtp\nproxy=yes\n}\n",
                               &c),
                     LMAIL_OK);
    ck_assert_int_eq(lmail_config_show(c, gather, &first), LMAIL_OK);
    lmail_config_free(c);
    ck_assert_ptr_nonnull(strstr(first.octets, "smtp.command_timeout = 1500 ms"));
    ck_assert_ptr_nonnull(strstr(first.octets, "# a.conf:3\n"));
    ck_assert_ptr_nonnull(strstr(first.octets, "# default\n"));
    ck_assert_int_eq(load_text(&w, first.octets, &c), LMAIL_OK);
    ck_assert_int_eq(lmail_config_show(c, gather, &second), LMAIL_OK);
    lmail_config_free(c);
    /* Only the origins differ. */
    const char *a = first.octets, *b = second.octets;
    while (*a && *b) {
        ck_assert_int_eq(*a, *b);
        if (*a == '#') {
            a = strchr(a, '\n');
            b = strchr(b, '\n');
        }
        a++;
        b++;
    }
    ck_assert_int_eq(*a, *b);
}
END_TEST

START_TEST(every_setting_is_documented)
{
    lmail_config_key key;
    size_t i = 0;
    for (; lmail_config_key_at(i, &key) == LMAIL_OK; i++) {
        ck_assert_uint_gt(key.name.len, 0);
        ck_assert_uint_gt(key.kind.len, 0);
        ck_assert_uint_gt(key.about.len, 0);
    }
    ck_assert_uint_gt(i, 50);
}
END_TEST

/* What a process reads for another one it finds by the kind of the setting. */
START_TEST(a_setting_that_names_a_file_for_the_host_is_of_that_kind)
{
    lmail_config_key key;
    size_t files = 0;
    for (size_t i = 0; lmail_config_key_at(i, &key) == LMAIL_OK; i++) {
        int told = lmail_str_equal(key.kind, LMAIL_STR("file"));
        int pem = key.about.len > 8 && memcmp(key.about.ptr, "PEM file", 8) == 0;
        ck_assert_msg(told == pem, "%.*s", (int)key.name.len, key.name.ptr);
        files += (size_t)told;
    }
    ck_assert_uint_eq(files, 9);
}
END_TEST

START_TEST(files_for_the_host_are_told_with_their_place)
{
    world w = {0};
    lmail_config *config;
    lmail_config_file f;
    ck_assert_int_eq(load_text(&w,
                               "smtp.client_ca_directory = /ca\n\ntls.certificate = /c.pem\n"
                               "tls.key = /k.pem\n",
                               &config),
                     LMAIL_OK);
    static const struct {
        const char *setting, *path;
        size_t line;
        unsigned directory;
    } want[] = {{"tls.certificate", "/c.pem", 3, 0},
                {"tls.key", "/k.pem", 4, 0},
                {"smtp.client_ca_directory", "/ca", 1, 1}};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(lmail_config_file_at(config, i, &f), LMAIL_OK);
        ck_assert(lmail_str_equal(f.setting, lmail_str_from(want[i].setting)));
        ck_assert(lmail_str_equal(f.path, lmail_str_from(want[i].path)));
        ck_assert_uint_eq(f.line, want[i].line);
        ck_assert_uint_eq(f.directory, want[i].directory);
    }
    ck_assert_int_eq(lmail_config_file_at(config, 3, &f), LMAIL_END);
    lmail_config_free(config);
}
END_TEST

Suite *config_native_suite(void);

Suite *config_native_suite(void)
{
    Suite *s = suite_create("config_native");
    TCase *t = tcase_create("native");
    tcase_add_test(t, an_empty_file_is_a_whole_server);
    tcase_add_test(t, every_kind_of_value_is_read);
    tcase_add_test(t, named_sections_flags_and_loads_are_read);
    tcase_add_loop_test(t, a_mistake_is_named_with_its_line, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_test(t, all_mistakes_of_a_file_are_named_in_one_run);
    tcase_add_test(t, an_include_stands_beside_the_file_that_names_it);
    tcase_add_test(t, files_that_multiply_end);
    tcase_add_test(t, a_missing_main_file_is_its_own_error);
    tcase_add_test(t, what_is_shown_reads_back_as_the_same);
    tcase_add_test(t, every_setting_is_documented);
    tcase_add_test(t, a_setting_that_names_a_file_for_the_host_is_of_that_kind);
    tcase_add_test(t, files_for_the_host_are_told_with_their_place);
    suite_add_tcase(s, t);
    return s;
}
