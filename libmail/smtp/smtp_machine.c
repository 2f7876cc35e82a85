/* smtp_machine.c - the table of states and commands. All writes to s->state are in this file.
 *
 * RFC 5321 §4.1.4 (order of commands) and §4.3.2, RFC 2033 §4, RFC 3030 §2, RFC 3207 §4, RFC 4954
 * §4; XCLIENT and XFORWARD as Postfix has them. A row says in which states a command may come, what else must hold, who runs it or why it is
 * refused, and the state that follows when its answer is yes. */
#include "smtp/smtp_internal.h"

#include <string.h>

#define IN(state) (1u << (state))
#define IDLE (IN(LMI_SMTP_GREETED) | IN(LMI_SMTP_READY))
#define OPEN (IN(LMI_SMTP_MAIL) | IN(LMI_SMTP_RCPT))
#define CHUNKS IN(LMI_SMTP_CHUNKS)
#define REFUSING IN(LMI_SMTP_REFUSING)
#define ANY (IDLE | OPEN | CHUNKS)

typedef lmail_smtp_reply_id guard_fn(const lmail_smtp_server *s);
static guard_fn guard_mail, guard_data, guard_auth, guard_starttls, guard_hello, guard_lhlo,
    guard_vrfy, guard_expn, guard_xclient, guard_xforward;

typedef struct row {
    unsigned states;
    lmi_smtp_command command;
    guard_fn *guard;          /* SAY_NONE lets it pass */
    lmi_smtp_handler_fn *run; /* NULL: refused */
    lmail_smtp_reply_id refuse;
    lmi_smtp_state next; /* where a yes leads; START: nowhere else */
} row;

#define SAME LMI_SMTP_START

static const row rows[] = {
    {ANY | REFUSING, LMI_SMTP_HELO, guard_hello, lmi_smtp_do_hello, 0, LMI_SMTP_READY},
    {ANY | REFUSING, LMI_SMTP_EHLO, guard_hello, lmi_smtp_do_hello, 0, LMI_SMTP_READY},
    {ANY | REFUSING, LMI_SMTP_LHLO, guard_lhlo, lmi_smtp_do_hello, 0, LMI_SMTP_READY},

    {IDLE, LMI_SMTP_CMD_MAIL, guard_mail, lmi_smtp_do_mail, 0, LMI_SMTP_MAIL},
    {OPEN | CHUNKS, LMI_SMTP_CMD_MAIL, NULL, NULL, LMAIL_SMTP_SAY_NESTED_MAIL, SAME},

    {OPEN, LMI_SMTP_CMD_RCPT, NULL, lmi_smtp_do_rcpt, 0, LMI_SMTP_RCPT},
    {IDLE, LMI_SMTP_CMD_RCPT, NULL, NULL, LMAIL_SMTP_SAY_NEED_MAIL, SAME},
    {CHUNKS, LMI_SMTP_CMD_RCPT, NULL, NULL, LMAIL_SMTP_SAY_BDAT_OPEN, SAME},

    {OPEN, LMI_SMTP_CMD_DATA, guard_data, lmi_smtp_do_data, 0, LMI_SMTP_DATA},
    {IDLE, LMI_SMTP_CMD_DATA, NULL, NULL, LMAIL_SMTP_SAY_NEED_MAIL, SAME},
    {CHUNKS, LMI_SMTP_CMD_DATA, NULL, NULL, LMAIL_SMTP_SAY_BDAT_OPEN, SAME},

    /* Its octets must be consumed whatever the state: it decides for itself. */
    {ANY | REFUSING, LMI_SMTP_CMD_BDAT, NULL, lmi_smtp_do_bdat, 0, LMI_SMTP_BDAT},

    {ANY | REFUSING, LMI_SMTP_RSET, NULL, lmi_smtp_do_rset, 0, SAME},
    {ANY | REFUSING, LMI_SMTP_NOOP, NULL, lmi_smtp_do_noop, 0, SAME},
    {ANY | REFUSING, LMI_SMTP_HELP, NULL, lmi_smtp_do_help, 0, SAME},
    {ANY | REFUSING, LMI_SMTP_QUIT, NULL, lmi_smtp_do_quit, 0, SAME},

    {ANY, LMI_SMTP_VRFY, guard_vrfy, lmi_smtp_do_argument, 0, SAME},
    {ANY, LMI_SMTP_EXPN, guard_expn, lmi_smtp_do_argument, 0, SAME},
    {ANY, LMI_SMTP_ETRN, NULL, lmi_smtp_do_argument, 0, SAME},
    {ANY, LMI_SMTP_UNKNOWN, NULL, lmi_smtp_do_argument, 0, SAME},

    {IDLE, LMI_SMTP_STARTTLS, guard_starttls, lmi_smtp_do_starttls, 0, SAME},
    {OPEN | CHUNKS, LMI_SMTP_STARTTLS, NULL, NULL, LMAIL_SMTP_SAY_STARTTLS_IN_MAIL, SAME},

    {IDLE, LMI_SMTP_CMD_AUTH, guard_auth, lmi_smtp_do_auth, 0, LMI_SMTP_AUTH},
    {OPEN | CHUNKS, LMI_SMTP_CMD_AUTH, NULL, NULL, LMAIL_SMTP_SAY_AUTH_IN_MAIL, SAME},

    {IDLE | REFUSING, LMI_SMTP_CMD_XCLIENT, guard_xclient, lmi_smtp_do_xclient, 0, SAME},
    {OPEN | CHUNKS, LMI_SMTP_CMD_XCLIENT, NULL, NULL, LMAIL_SMTP_SAY_X_IN_MAIL, SAME},
    {IDLE, LMI_SMTP_CMD_XFORWARD, guard_xforward, lmi_smtp_do_xforward, 0, SAME},
    {OPEN | CHUNKS, LMI_SMTP_CMD_XFORWARD, NULL, NULL, LMAIL_SMTP_SAY_X_IN_MAIL, SAME},
};

/* ---- Guards ---------------------------------------------------------------------------------- */

/* RFC 2033 §4.1: LMTP has LHLO in place of HELO and EHLO; SMTP has no LHLO. */
static lmail_smtp_reply_id guard_hello(const lmail_smtp_server *s)
{
    return s->flags & LMAIL_SMTP_LMTP ? LMAIL_SMTP_SAY_UNKNOWN_COMMAND : LMAIL_SMTP_SAY_NONE;
}

static lmail_smtp_reply_id guard_lhlo(const lmail_smtp_server *s)
{
    return s->flags & LMAIL_SMTP_LMTP ? LMAIL_SMTP_SAY_NONE : LMAIL_SMTP_SAY_UNKNOWN_COMMAND;
}

static lmail_smtp_reply_id guard_mail(const lmail_smtp_server *s)
{
    if ((s->flags & LMAIL_SMTP_NEED_HELO_FIRST) && !s->hello)
        return LMAIL_SMTP_SAY_NEED_HELO;
    if ((s->flags & LMAIL_SMTP_NEED_AUTH_FIRST) && !lmi_sasl_identity(&s->sasl).len)
        return LMAIL_SMTP_SAY_NEED_AUTH;
    return LMAIL_SMTP_SAY_NONE;
}

static lmail_smtp_reply_id guard_vrfy(const lmail_smtp_server *s)
{
    return s->flags & LMAIL_SMTP_VRFY_NEEDS_HELO && !s->hello ? LMAIL_SMTP_SAY_NEED_HELO_QUERY
                                                              : LMAIL_SMTP_SAY_NONE;
}

static lmail_smtp_reply_id guard_expn(const lmail_smtp_server *s)
{
    return s->flags & LMAIL_SMTP_EXPN_NEEDS_HELO && !s->hello ? LMAIL_SMTP_SAY_NEED_HELO_QUERY
                                                              : LMAIL_SMTP_SAY_NONE;
}

static lmail_smtp_reply_id guard_data(const lmail_smtp_server *s)
{
    if (s->state == LMI_SMTP_MAIL) /* RFC 5321 §4.1.1.4 and RFC 2033 §4.2 */
        return s->rcpt_tried && !(s->flags & LMAIL_SMTP_LMTP) ? LMAIL_SMTP_SAY_NO_RECIPIENTS
                                                              : LMAIL_SMTP_SAY_NEED_RCPT;
    if (s->body_type == LMAIL_SMTP_BODY_BINARYMIME) /* RFC 3030 §3 */
        return LMAIL_SMTP_SAY_NEED_BDAT;
    return LMAIL_SMTP_SAY_NONE;
}

static lmail_smtp_reply_id guard_auth(const lmail_smtp_server *s)
{
    if (lmi_sasl_identity(&s->sasl).len)
        return LMAIL_SMTP_SAY_AUTH_TWICE;
    return s->hello ? LMAIL_SMTP_SAY_NONE : LMAIL_SMTP_SAY_NEED_HELO;
}

static lmail_smtp_reply_id guard_starttls(const lmail_smtp_server *s)
{
    if (s->base.tls_active)
        return LMAIL_SMTP_SAY_STARTTLS_TWICE;
    return s->flags & LMAIL_SMTP_STARTTLS ? LMAIL_SMTP_SAY_NONE : LMAIL_SMTP_SAY_STARTTLS_OFF;
}

static lmail_smtp_reply_id guard_xclient(const lmail_smtp_server *s)
{
    return lmi_smtp_offers_x(s, LMI_SMTP_CMD_XCLIENT) ? LMAIL_SMTP_SAY_NONE : LMAIL_SMTP_SAY_X_OFF;
}

static lmail_smtp_reply_id guard_xforward(const lmail_smtp_server *s)
{
    return lmi_smtp_offers_x(s, LMI_SMTP_CMD_XFORWARD) ? LMAIL_SMTP_SAY_NONE : LMAIL_SMTP_SAY_X_OFF;
}

/* RFC 3207 §4: before TLS, if it is demanded, only these may come. */
static int needs_tls(const lmail_smtp_server *s, lmi_smtp_command c)
{
    if (!(s->flags & LMAIL_SMTP_NEED_TLS_FIRST) || s->base.tls_active)
        return 0;
    return c != LMI_SMTP_EHLO && c != LMI_SMTP_HELO && c != LMI_SMTP_LHLO && c != LMI_SMTP_NOOP &&
           c != LMI_SMTP_QUIT && c != LMI_SMTP_STARTTLS && c != LMI_SMTP_RSET &&
           c != LMI_SMTP_CMD_BDAT;
}

/* ---- States ---------------------------------------------------------------------------------- */

const char *lmi_smtp_state_name(lmi_smtp_state state)
{
    static const char *const names[] = {"START",    "GREETED", "READY", "MAIL", "RCPT", "CHUNKS",
                                        "REFUSING", "DATA",    "BDAT",  "AUTH", "OVER"};
    return names[state];
}

void lmi_smtp_enter(lmail_smtp_server *s, lmi_smtp_state state)
{
    if (s->state == state || s->state == LMI_SMTP_OVER)
        return;
    s->state = state;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, lmail_str_from(lmi_smtp_state_name(state)));
}

void lmi_smtp_advance(lmail_smtp_server *s)
{
    if (s->next != SAME && !s->connect_refusal.set)
        lmi_smtp_enter(s, s->next);
}

void lmi_smtp_enter_idle(lmail_smtp_server *s)
{
    if (s->connect_refusal.set)
        lmi_smtp_enter(s, LMI_SMTP_REFUSING);
    else
        lmi_smtp_enter(s, s->hello ? LMI_SMTP_READY : LMI_SMTP_GREETED);
}

/* ---- Commands -------------------------------------------------------------------------------- */

/* The four or more letters of a verb as one number, lower case folded. */
#define VERB(a, b, c, d)                                                                           \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static lmi_smtp_command command_of(lmail_str verb)
{
    if (verb.len == 8 && lmail_str_equal_nocase(verb, LMAIL_STR("STARTTLS")))
        return LMI_SMTP_STARTTLS;
    if (verb.len == 7 && lmail_str_equal_nocase(verb, LMAIL_STR("XCLIENT")))
        return LMI_SMTP_CMD_XCLIENT;
    if (verb.len == 8 && lmail_str_equal_nocase(verb, LMAIL_STR("XFORWARD")))
        return LMI_SMTP_CMD_XFORWARD;
    if (verb.len != 4)
        return LMI_SMTP_UNKNOWN;
    switch (VERB(lmi_ascii_upper(verb.ptr[0]), lmi_ascii_upper(verb.ptr[1]),
                 lmi_ascii_upper(verb.ptr[2]), lmi_ascii_upper(verb.ptr[3])) &
            0xffffffffu) {
    case VERB('H', 'E', 'L', 'O'):
        return LMI_SMTP_HELO;
    case VERB('E', 'H', 'L', 'O'):
        return LMI_SMTP_EHLO;
    case VERB('L', 'H', 'L', 'O'):
        return LMI_SMTP_LHLO;
    case VERB('M', 'A', 'I', 'L'):
        return LMI_SMTP_CMD_MAIL;
    case VERB('R', 'C', 'P', 'T'):
        return LMI_SMTP_CMD_RCPT;
    case VERB('D', 'A', 'T', 'A'):
        return LMI_SMTP_CMD_DATA;
    case VERB('B', 'D', 'A', 'T'):
        return LMI_SMTP_CMD_BDAT;
    case VERB('R', 'S', 'E', 'T'):
        return LMI_SMTP_RSET;
    case VERB('N', 'O', 'O', 'P'):
        return LMI_SMTP_NOOP;
    case VERB('Q', 'U', 'I', 'T'):
        return LMI_SMTP_QUIT;
    case VERB('V', 'R', 'F', 'Y'):
        return LMI_SMTP_VRFY;
    case VERB('E', 'X', 'P', 'N'):
        return LMI_SMTP_EXPN;
    case VERB('H', 'E', 'L', 'P'):
        return LMI_SMTP_HELP;
    case VERB('E', 'T', 'R', 'N'):
        return LMI_SMTP_ETRN;
    case VERB('A', 'U', 'T', 'H'):
        return LMI_SMTP_CMD_AUTH;
    default:
        return LMI_SMTP_UNKNOWN;
    }
}

lmail_str lmi_smtp_trim(lmail_str s)
{
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = lmi_str_skip(s, 1);
    return s;
}

lmi_smtp_command lmi_smtp_split(lmail_str line, lmail_str *verb, lmail_str *args)
{
    *verb = lmi_str_sub(line, 0, lmi_str_find(line, ' '));
    *args = lmi_smtp_trim(lmi_str_skip(line, verb->len));
    return command_of(*verb);
}

/* Offset of the first octet that no command may hold, or line.len: controls always, octets above
 * 127 unless SMTPUTF8 is on offer (RFC 5321 §2.4, RFC 6531 §3.7). */
static size_t bad_octet(const lmail_smtp_server *s, lmail_str line)
{
    int utf8 = (s->flags & LMAIL_SMTP_SMTPUTF8) != 0;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < 32 && c != '\t') || c == 127 || (c > 127 && !utf8))
            return i;
    }
    return line.len;
}

/* Is the client to blame for this reply? Those count against max_bad_commands. */
static int is_fault(lmail_smtp_reply_id id)
{
    switch (id) {
    case LMAIL_SMTP_SAY_TOO_MANY_RCPTS:
    case LMAIL_SMTP_SAY_SIZE_DECLARED:
    case LMAIL_SMTP_SAY_NEED_TLS:
    case LMAIL_SMTP_SAY_NEED_AUTH:
    case LMAIL_SMTP_SAY_NO_RECIPIENTS:
    case LMAIL_SMTP_SAY_NEED_MAIL: /* a pipelined batch behind a refused MAIL */
    case LMAIL_SMTP_SAY_NEED_RCPT:
    case LMAIL_SMTP_SAY_EXPN_OFF:
    case LMAIL_SMTP_SAY_ETRN_OFF:
    case LMAIL_SMTP_SAY_HOST_ERROR:
    case LMAIL_SMTP_SAY_NO_MEMORY:
        return 0;
    default:
        return 1;
    }
}

lmail_status lmi_smtp_refuse(lmail_smtp_server *s, lmail_smtp_reply_id id, lmail_str argument,
                             const char *at)
{
    const lmail_smtp_server_config *c = &s->setup->config;
    s->error.reply = id;
    s->error.offset = at ? (size_t)(at - s->command) : 0;
    s->argument = argument;
    lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, s->error.offset,
              lmail_str_from(lmail_smtp_reply_name(id)));
    if (is_fault(id)) {
        s->counters.bad_commands++;
        if (s->counters.bad_commands > c->max_bad_commands) {
            lmi_trace(&s->base, LMAIL_TRACE_LIMIT, 0, 0, LMAIL_STR("max_bad_commands"));
            return lmi_smtp_farewell(s, LMAIL_SMTP_SAY_BAD_COMMANDS);
        }
    }
    lmail_status st = lmi_smtp_say(s, id, c->max_message);
    s->argument = (lmail_str){NULL, 0};
    return st;
}

/* The octets of an exchange do not reach the trace: of AUTH the verb and the mechanism remain. */
static void trace_command(lmail_smtp_server *s, lmi_smtp_command c, lmail_str line, lmail_str args)
{
    if (!s->base.trace)
        return;
    size_t word = lmi_str_find(args, ' ');
    if (c != LMI_SMTP_CMD_AUTH || (s->flags & LMAIL_SMTP_TRACE_SECRETS) || word == args.len) {
        lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, line);
        return;
    }
    char shown[64] = "AUTH ";
    size_t n = word < 40 ? word : 40;
    memcpy(shown + 5, args.ptr, n);
    memcpy(shown + 5 + n, " <secret>", 9);
    lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, (lmail_str){shown, n + 14});
}

static const row *find_row(lmi_smtp_state state, lmi_smtp_command c)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].command == c && (rows[i].states & IN(state)))
            return &rows[i];
    return NULL;
}

lmail_status lmi_smtp_command_line(lmail_smtp_server *s, lmail_str line)
{
    lmail_str verb, args, none = {NULL, 0};
    s->command = line.ptr;
    s->error = (lmail_smtp_error){LMAIL_SMTP_SAY_NONE, 0};
    s->counters.commands++;
    lmi_smtp_command c = lmi_smtp_split(line, &verb, &args);
    trace_command(s, c, line, args);
    size_t bad = bad_octet(s, line);
    if (bad < line.len && c != LMI_SMTP_CMD_BDAT)
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_BAD_OCTET, none, line.ptr + bad);
    const row *r = find_row(s->state, c);
    int is_off = c == LMI_SMTP_CMD_XCLIENT && !lmi_smtp_offers_x(s, c);
    if (!r || (is_off && s->connect_refusal.set)) /* REFUSING */
        return lmi_smtp_say_refusal(s, &s->connect_refusal);
    if (needs_tls(s, c))
        return lmi_smtp_refuse(s, LMAIL_SMTP_SAY_NEED_TLS, none, NULL);
    lmail_smtp_reply_id no = r->guard ? r->guard(s) : r->refuse;
    if (no)
        return lmi_smtp_refuse(s, no, verb, NULL);
    s->next = r->next;
    return r->run(s, verb, args);
}
