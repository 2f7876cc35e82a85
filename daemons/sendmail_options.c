/* sendmail_options.c - the command line that programs expect of a sendmail.
 *
 * Options of the classic program, of Postfix's and of Exim's that ask for something which is always so
 * here, or which the configuration says, are taken and do nothing. A word about it is for people: on
 * a terminal, or with -v. */
#include "sendmail.h"

#include <getopt.h>
#include <libmail/smtp.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void ignored(const sendmail_options *o, const char *option, const char *value)
{
    if (o->verbose || isatty(STDERR_FILENO))
        sendmail_say("%s%s is ignored: libmail.conf says how mail is handled", option, value);
}

static int bad(const char *option, const char *value)
{
    sendmail_say("%s %s: not understood", option, value);
    return EX_USAGE;
}

/* -bX */
static int take_mode(sendmail_options *o, const char *value)
{
    static const char modes[] = "mspPivdDht";
    if (value[0] && !value[1] && strchr(modes, value[0])) {
        o->mode = value[0] == 'D' ? SENDMAIL_DAEMON : (sendmail_mode)value[0];
        return EX_OK;
    }
    return bad("-b", value);
}

/* "success,failure,delay" or "never": RFC 3461 §4.1. */
static int take_notify(sendmail_options *o, const char *value)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {{"never", LMAIL_SMTP_NOTIFY_NEVER},
                 {"success", LMAIL_SMTP_NOTIFY_SUCCESS},
                 {"failure", LMAIL_SMTP_NOTIFY_FAILURE},
                 {"delay", LMAIL_SMTP_NOTIFY_DELAY}};
    unsigned bits = 0;
    for (const char *at = value;; at++) {
        size_t n = strcspn(at, ","), i = 0;
        while (i < 4 && (strncasecmp(at, words[i].word, n) != 0 || words[i].word[n]))
            i++;
        if (i == 4)
            return bad("-N", value);
        bits |= words[i].bit;
        at += n;
        if (!*at)
            break;
    }
    if (bits & LMAIL_SMTP_NOTIFY_NEVER && bits != LMAIL_SMTP_NOTIFY_NEVER)
        return bad("-N", value);
    o->notify = bits;
    return EX_OK;
}

static int take_body(sendmail_options *o, const char *value)
{
    if (strcasecmp(value, "8BITMIME") == 0)
        o->body = LMAIL_SMTP_BODY_8BITMIME;
    else if (strcasecmp(value, "7BIT") != 0)
        return bad("-B", value);
    return EX_OK; /* 7BIT: what is written says what it is */
}

static int take_ret(sendmail_options *o, const char *value)
{
    if (strcasecmp(value, "full") == 0)
        o->ret = LMAIL_SMTP_RET_FULL;
    else if (strcasecmp(value, "hdrs") == 0)
        o->ret = LMAIL_SMTP_RET_HDRS;
    else
        return bad("-R", value);
    return EX_OK;
}

static int take_envid(sendmail_options *o, const char *value)
{
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > 126)
            return bad("-V", value);
    if (!*value || strlen(value) > 100) /* RFC 3461 §4.4 */
        return bad("-V", value);
    o->envid = value;
    return EX_OK;
}

/* -q, -q15m, -qRsubstr, -qSsubstr, -qIsubstr */
static int take_run(sendmail_options *o, const char *value)
{
    if (o->mode != SENDMAIL_DAEMON)
        o->mode = SENDMAIL_RUN;
    if (!value || !*value)
        return EX_OK;
    const char *rest = value + 1;
    o->filtered = 1;
    if (*value == 'R')
        o->queue_recipient = rest;
    else if (*value == 'S')
        o->queue_sender = rest;
    else if (*value == 'I')
        o->queue_id = rest;
    else {
        o->filtered = 0;
        if (strspn(value, "0123456789smhdwpf") != strlen(value))
            return bad("-q", value);
        ignored(o, "-q", value);
        return EX_OK;
    }
    return *rest ? EX_OK : bad("-q", value);
}

/* -oX[value], -O Option=value */
static int take_set(sendmail_options *o, int c, const char *value)
{
    if (c == 'o' && strcmp(value, "i") == 0)
        o->dots = 1;
    else if (c == 'O' &&
             (strcasecmp(value, "IgnoreDots") == 0 || strcasecmp(value, "IgnoreDots=true") == 0))
        o->dots = 1;
    else if (c == 'O' || !strchr("edmAcsTvhrx", value[0]))
        ignored(o, c == 'o' ? "-o" : "-O ", value);
    return EX_OK;
}

static int take(sendmail_options *o, int c, const char *value)
{
    switch (c) {
    case 'b':
        return take_mode(o, value);
    case 'B':
        return take_body(o, value);
    case 'C':
        o->config = value;
        return EX_OK;
    case 'f':
    case 'r':
        o->sender = value;
        return EX_OK;
    case 'F':
        o->name = value;
        return EX_OK;
    case 'I':
        o->mode = SENDMAIL_ALIASES;
        return EX_OK;
    case 'i':
        o->dots = 1;
        return EX_OK;
    case 'N':
        return take_notify(o, value);
    case 'R':
        return take_ret(o, value);
    case 'V':
        return take_envid(o, value);
    case 'q':
        return take_run(o, value);
    case 't':
        o->from_header = 1;
        return EX_OK;
    case 'v':
        o->verbose = 1;
        return EX_OK;
    case 'o':
    case 'O':
        return take_set(o, c, value);
    case '?':
        sendmail_say("usage: sendmail [-t] [-i] [-f SENDER] [-F NAME] [OPTION...] [RECIPIENT...]");
        return EX_USAGE;
    default: /* A d D e G h L m M n p Q s T U x X: nothing to do with them here */
        return EX_OK;
    }
}

int sendmail_options_read(sendmail_options *o, int argc, char **argv)
{
    const char *slash = strrchr(argc ? argv[0] : "", '/');
    const char *name = slash ? slash + 1 : argc ? argv[0] : "sendmail";
    int code = EX_OK;
    memset(o, 0, sizeof *o);
    o->mode = strcmp(name, "mailq") == 0        ? SENDMAIL_QUEUE
              : strcmp(name, "newaliases") == 0 ? SENDMAIL_ALIASES
                                                : SENDMAIL_MAIL;
    opterr = 0;
    for (int c; !code &&
                (c = getopt(argc, argv,
                            "+A:B:b:C:cD:d::e:F:f:Gh:IiL:M:mN:nO:o:p:Q::q::R:r:sTtUV:vX:x")) != -1;)
        code = take(o, c, optarg);
    o->arguments = argv + optind;
    o->argument_count = argc > optind ? argc - optind : 0;
    return code;
}
