/* imap_input.c - from octets to commands.
 *
 * A command is lines with literals between them (RFC 9051 §2.2.1, §4.3; RFC 7888). Its text is
 * gathered with the literals in place, up to the limits of the configuration; a row's literal hook
 * may take a literal as a stream instead. A command that is refused is still read to its end,
 * literals included, so that none of its octets is ever taken for a command. Asks the host
 * nothing. */
#include "imap/imap_internal.h"

#include <string.h>

#define FIRST_TEXT 256u
#define KEPT_TEXT 1024u
#define KEPT_RANGES 16u

/* ---- The command's buffer -------------------------------------------------------------------- */

static lmail_status reserve(lmi_imap *s, size_t more)
{
    size_t need = s->text_len + more; /* both are bounded by limits of the configuration */
    if (need <= s->text_cap)
        return LMAIL_OK;
    size_t cap = s->text_cap ? s->text_cap : FIRST_TEXT;
    while (cap < need)
        cap *= 2;
    char *p = lmi_malloc(&s->base.alloc, cap);
    if (!p)
        return LMAIL_ERR_NOMEM;
    if (s->text_len)
        memcpy(p, s->text, s->text_len);
    if (s->cmd.row && s->cmd.row->flags & LMI_ROW_SECRET)
        lmi_wipe(s->text, s->text_len);
    lmi_free(&s->base.alloc, s->text, s->text_cap);
    s->text = p;
    s->text_cap = cap;
    return LMAIL_OK;
}

static lmail_status append(lmi_imap *s, lmail_str part)
{
    lmail_status st = reserve(s, part.len);
    if (!st && part.len) {
        memcpy(s->text + s->text_len, part.ptr, part.len);
        s->text_len += part.len;
    }
    return st;
}

void lmi_imap_command_reset(lmi_imap *s)
{
    if (s->cmd.row && s->cmd.row->flags & LMI_ROW_SECRET) {
        if (s->text)
            lmi_wipe(s->text, s->text_cap);
        lmi_arena_wipe(&s->arena);
        lmi_line_wipe(&s->line);
    }
    if (s->text_cap > KEPT_TEXT) {
        lmi_free(&s->base.alloc, s->text, s->text_cap);
        s->text = NULL;
        s->text_cap = 0;
    }
    s->text_len = 0;
    lmail_uid_list *sets[] = {&s->mbox.arg, &s->mbox.arg2};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (sets[i]->capacity > KEPT_RANGES)
            lmail_uid_list_free(sets[i]);
    lmi_arena_reset(&s->arena);
    s->cmd = (lmi_imap_cmd){.row = NULL};
    s->refused = 0;
    s->step = NULL;
    s->line_hook = NULL;
    s->stream_octets = NULL;
    s->abort = NULL;
    s->mode = LMI_MODE_LINE;
}

/* ---- Refusing -------------------------------------------------------------------------------- */

void lmi_imap_refuse(lmi_imap *s, lmi_imap_kind kind, lmail_imap_code code, lmail_str text)
{
    s->refused = 1;
    s->cmd.kind = kind;
    s->cmd.code = code;
    s->cmd.text = text;
}

/* The refused command has been read to its end. */
static lmail_status refusal(lmi_imap *s)
{
    s->mode = LMI_MODE_LINE;
    s->cmd.running = 1;
    return lmi_imap_finish(s, s->cmd.kind, s->cmd.code, s->cmd.text);
}

/* Throw away n octets, then the rest of the command's lines. */
static lmail_status skip_literal(lmi_imap *s, uint64_t n)
{
    /* RFC 7888 §4: a literal that is far too large may end the session instead of being read. */
    if (n > lmi_imap_config(s)->max_append)
        return lmi_imap_bye(s, LMAIL_STR("[TOOBIG] Literal too large"));
    s->left = n;
    s->tail_len = 0;
    s->mode = n ? LMI_MODE_SKIP : LMI_MODE_DISCARD;
    return LMAIL_OK;
}

void lmi_imap_stream_want(lmi_imap *s, const lmi_imap_literal *l)
{
    if (l->sync)
        lmi_imap_put_line(s, LMAIL_STR("+ OK"));
    s->left = l->octets;
    s->mode = l->octets ? LMI_MODE_STREAM : LMI_MODE_LINE;
    s->step = NULL;
    /* What follows the literal is read as arguments of its own. */
    s->text_len = s->cmd.args_at = s->cmd.tag_len;
}

void lmi_imap_stream_refuse(lmi_imap *s, const lmi_imap_literal *l, lmi_imap_kind kind,
                            lmail_imap_code code, lmail_str text)
{
    lmi_imap_refuse(s, kind, code, text);
    s->step = NULL;
    lmail_status st = l->sync ? refusal(s) : skip_literal(s, l->octets);
    if (st < 0 && !s->failed)
        s->failed = st;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static lmail_str word(lmail_str *rest)
{
    size_t n = 0;
    while (n < rest->len && lmi_imap_is_atom_char(rest->ptr[n]))
        n++;
    lmail_str w = lmi_str_sub(*rest, 0, n);
    *rest = lmi_str_skip(*rest, n);
    return w;
}

static void refuse_bad(lmi_imap *s, lmail_str text)
{
    lmi_imap_refuse(s, LMI_BAD, LMAIL_IMAP_CODE_NONE, text);
}

/* Octets of the tag at the start of a line. *whole: a space follows, as it must. */
static size_t tag_length(lmail_str line, int *whole)
{
    size_t n = 0;
    while (n < line.len && lmi_imap_is_tag_char(line.ptr[n]))
        n++;
    *whole = n && n < line.len && line.ptr[n] == ' ';
    return n;
}

/* The tag stays at the start of the buffer whatever becomes of the command. */
static lmail_status take_tag(lmi_imap *s, lmail_str line, size_t *len)
{
    int whole;
    *len = tag_length(line, &whole);
    if (!whole)
        return LMAIL_OK;
    s->cmd.tag_len = *len;
    return append(s, lmi_str_sub(line, 0, *len));
}

/* The same of a line in two pieces. */
static lmail_status take_tag_of(lmi_imap *s, lmail_str early, lmail_str late)
{
    int whole;
    lmail_status st = append(s, early);
    if (!st)
        st = append(s, lmi_str_sub(late, 0, lmi_imap_config(s)->max_line));
    size_t n = tag_length((lmail_str){s->text, s->text_len}, &whole);
    s->cmd.tag_len = s->text_len = st || !whole ? 0 : n;
    return st;
}

/* Which command is it, and may it be given now? */
static void find_row(lmi_imap *s, lmail_str line, size_t tag_len)
{
    if (!s->cmd.tag_len) {
        refuse_bad(s, tag_len ? LMAIL_STR("A command is missing") : LMAIL_STR("A tag is missing"));
        return;
    }
    lmail_str rest = lmi_str_skip(line, tag_len + 1);
    lmail_str name = word(&rest);
    unsigned uid = lmail_str_equal_nocase(name, LMAIL_STR("UID")) && rest.len && rest.ptr[0] == ' ';
    if (uid) {
        rest = lmi_str_skip(rest, 1);
        name = word(&rest);
    }
    const lmi_imap_row *row = lmi_imap_row_find(name);
    if (row && row->cap && !lmi_imap_has(s, row->cap))
        row = NULL;
    if (row && (uid ? !(row->flags & LMI_ROW_UID) : row->flags & LMI_ROW_UID_ONLY))
        row = NULL;
    if (!row) {
        refuse_bad(s, LMAIL_STR("Unknown command"));
        return;
    }
    s->cmd.row = row;
    s->cmd.uid = uid;
    s->cmd.args_at = line.len - rest.len;
    if (!(row->states & (unsigned)s->state))
        refuse_bad(s, LMAIL_STR("Command not allowed now"));
    else if (row->flags & LMI_ROW_WRITES && s->mbox.read_only)
        lmi_imap_refuse(s, LMI_NO, LMAIL_IMAP_CODE_READ_ONLY,
                        LMAIL_STR("Mailbox is open read-only"));
}

static void recognise(lmi_imap *s, lmail_str line, size_t tag_len)
{
    find_row(s, line, tag_len);
    lmi_trace(&s->base, LMAIL_TRACE_COMMAND, 0, 0,
              s->cmd.row ? s->cmd.row->name : LMAIL_STR("unknown"));
}

static void trace_line(lmi_imap *s, lmail_str line, int first)
{
    if (!s->base.trace)
        return;
    if (s->cmd.row && s->cmd.row->flags & LMI_ROW_SECRET &&
        !lmi_imap_has(s, LMAIL_IMAP_TRACE_SECRETS))
        line = first ? lmi_str_sub(line, 0, s->cmd.args_at) : LMAIL_STR("...");
    lmi_trace(&s->base, LMAIL_TRACE_IN, 0, 0, line);
}

static lmail_status complete(lmi_imap *s)
{
    return s->refused ? refusal(s) : lmi_imap_run(s);
}

/* A literal is announced at the end of the text. */
static lmail_status announced(lmi_imap *s, const lmi_imap_literal *l)
{
    const lmail_imap_server_config *config = lmi_imap_config(s);
    lmi_imap_take take = LMI_TAKE_GATHER;
    if (!l->sync && !lmi_imap_has(s, LMAIL_IMAP_LITERAL_PLUS))
        refuse_bad(s, LMAIL_STR("Literals without waiting are not offered"));
    if (!s->refused && s->cmd.row->literal) {
        lmail_status st = s->cmd.row->literal(s, l, &take);
        if (st < 0 || take == LMI_TAKE_STREAM)
            return st;
    }
    size_t total;
    if (!s->refused && l->binary)
        refuse_bad(s, LMAIL_STR("A literal8 cannot stand here"));
    if (!s->refused && (l->octets > config->max_literal ||
                        lmail_size_add(s->text_len + 2, (size_t)l->octets, &total) ||
                        total > config->command_memory))
        lmi_imap_refuse(s, LMI_NO, LMAIL_IMAP_CODE_TOOBIG, LMAIL_STR("Literal too large"));
    if (s->refused)
        return l->sync ? refusal(s) : skip_literal(s, l->octets);
    lmail_status st = append(s, LMAIL_STR("\r\n"));
    if (!st)
        st = reserve(s, (size_t)l->octets);
    if (st)
        return st;
    if (l->sync)
        lmi_imap_put_line(s, LMAIL_STR("+ OK"));
    s->left = l->octets;
    s->mode = l->octets ? LMI_MODE_LITERAL : LMI_MODE_LINE;
    return LMAIL_OK;
}

static lmail_status take_line(lmi_imap *s, lmail_str line)
{
    lmail_status st = LMAIL_OK;
    int first = s->text_len == 0;
    if (first) {
        size_t tag_len;
        st = take_tag(s, line, &tag_len);
        if (!st)
            recognise(s, line, tag_len);
        trace_line(s, line, 1);
        if (!st)
            st = append(s, lmi_str_skip(line, s->cmd.tag_len));
    } else {
        trace_line(s, line, 0);
        if (s->text_len + line.len > lmi_imap_config(s)->command_memory)
            lmi_imap_refuse(s, LMI_NO, LMAIL_IMAP_CODE_TOOBIG, LMAIL_STR("Command too large"));
        else
            st = append(s, line);
    }
    if (st)
        return st;
    lmi_imap_literal l;
    if (!lmi_imap_literal_at_end(line, &l))
        return complete(s);
    l.at += s->text_len - line.len;
    return announced(s, &l);
}

/* ---- Lines that are not kept ----------------------------------------------------------------- */

static void keep_tail(lmi_imap *s, lmail_str part)
{
    size_t cap = sizeof s->tail;
    if (part.len > cap)
        part = lmi_str_skip(part, part.len - cap);
    size_t keep = s->tail_len + part.len > cap ? cap - part.len : s->tail_len;
    memmove(s->tail, s->tail + s->tail_len - keep, keep);
    if (part.len)
        memcpy(s->tail + keep, part.ptr, part.len);
    s->tail_len = (uint8_t)(keep + part.len);
}

/* A refused line is over. A literal announced at its end is thrown away too. */
static lmail_status discarded(lmi_imap *s)
{
    lmail_str end = {s->tail, (size_t)s->tail_len - 2};
    lmi_imap_literal l;
    s->mode = LMI_MODE_LINE;
    if (s->line_hook)
        return s->line_hook(s, (lmail_str){NULL, 0});
    if (lmi_imap_literal_at_end(end, &l))
        return l.sync ? refusal(s) : skip_literal(s, l.octets);
    /* A count so long that its brace is out of sight. */
    size_t digits = 0;
    while (digits < end.len && end.ptr[digits] >= '0' && end.ptr[digits] <= '9')
        digits++;
    if (digits > sizeof s->tail / 2 && end.ptr[end.len - 1] == '}')
        return lmi_imap_bye(s, LMAIL_STR("[TOOBIG] Literal too large"));
    return refusal(s);
}

static lmail_status discard(lmi_imap *s, lmail_str in, size_t *used)
{
    size_t lf = lmi_str_find(in, '\n');
    size_t n = lf < in.len ? lf + 1 : lf;
    keep_tail(s, lmi_str_sub(in, 0, n));
    *used += n;
    if (lf == in.len || s->tail_len < 2 || s->tail[s->tail_len - 2] != '\r')
        return LMAIL_OK;
    return discarded(s);
}

/* The line reader has given up. What it took is gone but for its ends: the tag, and a tail. */
static lmail_status unreadable(lmi_imap *s, lmi_line_result why, size_t held, lmail_str taken)
{
    lmail_str early = {s->line.buf, held};
    int over = !s->line.discard;
    lmail_status st = LMAIL_OK;
    s->line.discard = s->line.was_cr = 0;
    lmi_trace(&s->base, why == LMI_LINE_LONG ? LMAIL_TRACE_LIMIT : LMAIL_TRACE_VIOLATION, 0, 0,
              why == LMI_LINE_LONG ? LMAIL_STR("max_line") : LMAIL_STR("bare CR or LF"));
    if (!s->text_len)
        st = take_tag_of(s, early, taken);
    if (!s->refused)
        refuse_bad(s, why == LMI_LINE_LONG
                          ? LMAIL_STR("[CLIENTBUG] Command line too long")
                          : LMAIL_STR("[CLIENTBUG] CR and LF must stand together"));
    s->tail_len = 0;
    keep_tail(s, early);
    keep_tail(s, taken);
    s->mode = LMI_MODE_DISCARD;
    return !st && over ? discarded(s) : st;
}

static lmail_status read_line(lmi_imap *s, lmail_str in, size_t *used)
{
    lmail_str line;
    size_t held = s->line.len;
    switch (
        lmi_line_read(&s->line, &s->base.alloc, in, lmi_imap_config(s)->max_line, used, &line)) {
    case LMI_LINE_MORE:
        return LMAIL_OK;
    case LMI_LINE_READY:
        break;
    case LMI_LINE_NOMEM:
        return LMAIL_ERR_NOMEM;
    case LMI_LINE_LONG:
        return unreadable(s, LMI_LINE_LONG, held, lmi_str_sub(in, 0, *used));
    case LMI_LINE_BARE:
        return unreadable(s, LMI_LINE_BARE, held, lmi_str_sub(in, 0, *used));
    }
    if (!s->line_hook)
        return take_line(s, line);
    trace_line(s, line, 0);
    if (!line.ptr)
        line.ptr = "";
    return s->line_hook(s, line);
}

/* ---- Octets ---------------------------------------------------------------------------------- */

static lmail_status read_octets(lmi_imap *s, lmail_str in, size_t *used)
{
    lmail_str part = lmi_str_sub(in, 0, s->left < in.len ? (size_t)s->left : in.len);
    lmi_imap_mode mode = s->mode;
    *used = part.len;
    s->left -= part.len;
    if (!s->left)
        s->mode = mode == LMI_MODE_SKIP ? LMI_MODE_DISCARD : LMI_MODE_LINE;
    if (mode == LMI_MODE_LITERAL)
        return append(s, part);
    if (mode == LMI_MODE_STREAM)
        return s->stream_octets(s, part);
    return LMAIL_OK;
}

lmail_status lmi_imap_input(lmail_session *base, lmail_str in, size_t *used)
{
    lmi_imap *s = (lmi_imap *)base;
    *used = 0;
    if (s->cmd.running && s->step)
        return LMAIL_OK; /* the command at hand has no use for input */
    s->heard = base->now;
    lmail_status st;
    if (s->mode == LMI_MODE_LINE)
        st = read_line(s, in, used);
    else if (s->mode == LMI_MODE_DISCARD)
        st = discard(s, in, used);
    else
        st = read_octets(s, in, used);
    if (st >= 0)
        st = lmi_imap_drive(s);
    lmi_imap_set_timer(s);
    return st;
}
