/* imap_run.c - one command from its last octet to its tagged line.
 *
 * Commands run one at a time and in order (RFC 9051 §5.5). A command is finished with a result;
 * before the tagged line the client hears the news that it may hear at this point (§7.5.1). All
 * writes to cmd.running but the first are here. */
#include "imap/imap_internal.h"

#include <stdio.h>
#include <string.h>

void *lmi_imap_get(lmi_imap *s, size_t size, lmail_status *st)
{
    void *p = lmi_arena_zget(&s->arena, size);
    *st = p ? LMAIL_OK : lmi_arena_full(&s->arena, size) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
    return p;
}

lmail_status lmi_imap_run(lmi_imap *s)
{
    lmi_imap_cmd *c = &s->cmd;
    c->running = 1;
    lmi_imap_args_init(&c->args, (lmail_str){s->text + c->args_at, s->text_len - c->args_at},
                       &s->arena, lmi_imap_config(s));
    return c->row->run(s);
}

lmail_status lmi_imap_drive(lmi_imap *s)
{
    lmail_session *b = &s->base;
    while (s->cmd.running && s->step && !b->holding && !b->lending && !b->closing && !s->failed) {
        if (b->out.size >= b->out_mark) {
            lmi_want_room(b);
            break;
        }
        lmail_status st = s->step(s);
        if (st < 0)
            return st;
    }
    return s->failed;
}

/* ---- The end --------------------------------------------------------------------------------- */

static lmail_str command_name(const lmi_imap *s)
{
    return s->cmd.row ? s->cmd.row->name : LMAIL_STR("Command");
}

static void put_tagged(lmi_imap *s)
{
    static const lmail_str kinds[] = {{" OK ", 4}, {" NO ", 4}, {" BAD ", 5}, {" BYE ", 5}};
    const lmi_imap_cmd *c = &s->cmd;
    if (c->tag_len)
        lmi_imap_put(s, (lmail_str){s->text, c->tag_len});
    else
        lmi_imap_put_char(s, '*');
    lmi_imap_put(s, kinds[c->kind]);
    if (c->put_code)
        c->put_code(s);
    else
        lmi_imap_put_code(s, c->code);
    if (c->text.len) {
        lmi_imap_put_line(s, c->text);
        return;
    }
    if (c->uid)
        lmi_imap_put(s, LMAIL_STR("UID "));
    lmi_imap_put(s, command_name(s));
    lmi_imap_put_line(s, c->kind == LMI_OK ? LMAIL_STR(" completed") : LMAIL_STR(" failed"));
}

static lmail_status finish_step(lmi_imap *s)
{
    lmi_imap_cmd *c = &s->cmd;
    if (s->mbox.open && !s->mbox.gone && c->kind != LMI_BAD) {
        int quiet = c->row && c->row->flags & LMI_ROW_QUIET && !c->uid;
        lmail_status st = lmi_imap_update_step(s, !quiet);
        if (st != LMAIL_END)
            return st;
    }
    if (c->told_gone && c->kind == LMI_OK) {
        c->kind = LMI_NO;
        c->code = LMAIL_IMAP_CODE_EXPUNGEISSUED;
        c->put_code = NULL;
        c->text = LMAIL_STR("Some of the messages are gone");
    }
    static const lmail_str kinds[] = {{"OK", 2}, {"NO", 2}, {"BAD", 3}, {"BYE", 3}};
    put_tagged(s);
    lmi_trace(&s->base, LMAIL_TRACE_DONE, 0, 0, kinds[c->kind]);
    if (c->then_tls && c->kind == LMI_OK)
        lmi_want_tls(&s->base);
    lmi_imap_kind kind = c->kind;
    lmi_imap_command_reset(s);
    s->bad_commands = kind == LMI_BAD ? s->bad_commands + 1 : 0;
    if (s->bad_commands >= lmi_imap_config(s)->max_bad_commands)
        return lmi_imap_bye(s, LMAIL_STR("Too many bad commands"));
    if (s->auth_failures >= lmi_imap_config(s)->max_auth_failures)
        return lmi_imap_bye(s, LMAIL_STR("Too many failed logins"));
    if (s->mbox.gone)
        return lmi_imap_bye(s, LMAIL_STR("The selected mailbox is gone"));
    if (s->state == LMAIL_IMAP_STATE_LOGOUT)
        lmi_close(&s->base);
    else if (s->base.stopping)
        return lmi_imap_bye(s, LMAIL_STR("Server is shutting down"));
    lmi_imap_set_timer(s);
    return LMAIL_OK;
}

static void run_abort(lmi_imap *s)
{
    void (*undo)(lmi_imap *) = s->abort;
    s->abort = NULL;
    if (undo)
        undo(s);
}

lmail_status lmi_imap_finish(lmi_imap *s, lmi_imap_kind kind, lmail_imap_code code, lmail_str text)
{
    s->cmd.kind = kind;
    s->cmd.code = code;
    s->cmd.text = text;
    s->told = 0;
    if (kind != LMI_OK)
        run_abort(s);
    s->step = finish_step;
    return LMAIL_OK;
}

lmail_status lmi_imap_finish_ok(lmi_imap *s)
{
    return lmi_imap_finish(s, LMI_OK, LMAIL_IMAP_CODE_NONE, (lmail_str){NULL, 0});
}

lmail_status lmi_imap_finish_result(lmi_imap *s, const lmail_imap_result *r, lmail_imap_code usual)
{
    lmail_str text = {NULL, 0};
    /* Without memory for the host's words, the session's own do. */
    if (r->text.len && lmi_arena_copy(&s->arena, r->text, &text))
        text = (lmail_str){NULL, 0};
    lmail_imap_code code = r->code;
    if (r->no && code == LMAIL_IMAP_CODE_NONE)
        code = usual;
    return lmi_imap_finish(s, r->no ? LMI_NO : LMI_OK, code, text);
}

lmail_status lmi_imap_finish_parse(lmi_imap *s, lmail_status st)
{
    lmi_imap_args *a = &s->cmd.args;
    if (st == LMAIL_ERR_LIMIT)
        return lmi_imap_finish(s, LMI_NO, LMAIL_IMAP_CODE_LIMIT,
                               LMAIL_STR("An argument is too long"));
    if (st != LMAIL_ERR_SYNTAX)
        return st;
    lmi_trace(&s->base, LMAIL_TRACE_VIOLATION, 0, s->cmd.args_at + a->at,
              lmail_str_from(a->expected ? a->expected : "other arguments"));
    char text[160];
    int n = snprintf(text, sizeof text, "Expected %s at octet %zu",
                     a->expected ? a->expected : "other arguments", s->cmd.args_at + a->at);
    lmail_str copy = LMAIL_STR("Expected other arguments");
    if (n > 0 && (size_t)n < sizeof text &&
        lmi_arena_copy(&s->arena, (lmail_str){text, (size_t)n}, &copy))
        copy = LMAIL_STR("Expected other arguments");
    return lmi_imap_finish(s, LMI_BAD, LMAIL_IMAP_CODE_NONE, copy);
}

lmail_status lmi_imap_bye(lmi_imap *s, lmail_str text)
{
    return lmi_imap_bye_code(s, LMAIL_IMAP_CODE_NONE, text);
}

lmail_status lmi_imap_bye_code(lmi_imap *s, lmail_imap_code code, lmail_str text)
{
    if (s->state != LMAIL_IMAP_STATE_LOGOUT) {
        lmi_imap_put(s, LMAIL_STR("* BYE "));
        lmi_imap_put_code(s, code);
        lmi_imap_put_line(s, text);
    }
    s->state = LMAIL_IMAP_STATE_LOGOUT;
    lmi_trace(&s->base, LMAIL_TRACE_STATE, 0, 0, LMAIL_STR("logout"));
    lmi_close(&s->base); /* the host hears of what is cancelled before it hears of what is undone */
    run_abort(s);
    return s->failed;
}
