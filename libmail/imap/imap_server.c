/* imap_server.c - the session: its life, its greeting, its timers, its getters.
 *
 * What the pump calls (lmi_class) stands here; the setup is made in imap_setup.c, commands are read
 * in imap_input.c and run in imap_run.c. RFC 9051 §3 (states), §5.4 (autologout), §7.1 (greeting).
 */
#include "imap/imap_internal.h"

/* ---- What the pump calls --------------------------------------------------------------------- */

void lmi_imap_set_timer(lmi_imap *s)
{
    if (s->base.closing)
        return;
    lmail_msec due = lmi_later(s->heard, lmi_imap_config(s)->idle_timeout);
    if (s->auth_deadline < due)
        due = s->auth_deadline;
    lmail_msec speak = lmi_later(s->spoke, lmi_imap_config(s)->keepalive);
    if (s->idling && speak < due)
        due = speak;
    s->base.due = due;
}

/* "* OK [CAPABILITY ...] text", or "* BYE [code] text" and the end. */
static lmail_status greet(lmi_imap *s, const void *answer, const lmail_imap_result *r)
{
    const lmail_imap_connect_answer *a = answer;
    char text[512];
    s->flags = (s->flags & ~a->flags_off) | a->flags_on;
    if (r->no)
        return lmi_imap_bye_code(s, r->code,
                                 r->text.len ? r->text : LMAIL_STR("Connection refused"));
    lmi_imap_put(s, LMAIL_STR("* OK [CAPABILITY "));
    lmi_imap_put_capabilities(s);
    lmi_imap_put(s, LMAIL_STR("] "));
    if (r->text.len) {
        lmi_imap_put_line(s, r->text);
    } else {
        lmi_words words = {.host = lmi_imap_config(s)->host_name};
        size_t n = lmi_words_write(lmi_imap_config(s)->greeting, &words, text, sizeof text);
        lmi_imap_put_line(s, (lmail_str){text, n});
    }
    return s->failed;
}

static lmail_status on_start(lmail_session *base)
{
    lmi_imap *s = (lmi_imap *)base;
    lmail_imap_connect_event ev = {base->tls_active};
    lmail_imap_connect_answer yes = LMAIL_IMAP_CONNECT_ANSWER_INIT;
    s->heard = s->spoke = base->now;
    s->auth_deadline = lmi_later(base->now, lmi_imap_config(s)->login_timeout);
    lmail_status st = lmi_imap_handler(s)->on_connect ? lmi_imap_ask_connect(s, &ev, greet)
                                                      : greet(s, &yes, &yes.result);
    lmi_imap_set_timer(s);
    return st;
}

static lmail_status on_timer(lmail_session *base)
{
    lmi_imap *s = (lmi_imap *)base;
    const lmail_imap_server_config *c = lmi_imap_config(s);
    if (base->now >= s->auth_deadline)
        return lmi_imap_bye(s, LMAIL_STR("Login took too long"));
    if (base->now - s->heard >= c->idle_timeout) {
        /* The host's slowness is not the client's. */
        if (!base->holding)
            return lmi_imap_bye(s, LMAIL_STR("Autologout; idle for too long"));
        s->heard = base->now;
    }
    if (s->idling && base->now - s->spoke >= c->keepalive) {
        s->spoke = base->now;
        if (!base->out.size) /* what was said before has not arrived yet */
            lmi_imap_put_line(s, LMAIL_STR("* OK Still here"));
    }
    lmi_imap_set_timer(s);
    return s->failed;
}

static lmail_status on_room(lmail_session *base)
{
    lmi_imap *s = (lmi_imap *)base;
    s->heard = base->now; /* a client that takes its answers is alive */
    lmail_status st = lmi_imap_drive(s);
    lmi_imap_set_timer(s);
    return st;
}

static void end_exchange(lmi_imap *s)
{
    if (!lmi_sasl_end(&s->sasl) || !lmi_imap_handler(s)->on_auth_end)
        return;
    lmi_callback_begin(&s->base);
    lmi_imap_handler(s)->on_auth_end(s, s->base.user, &(lmail_auth_end_event){LMAIL_AUTH_END_GONE});
    lmi_callback_end(&s->base);
}

/* What was begun and cannot be finished. */
static void abandon(lmi_imap *s)
{
    void (*undo)(lmi_imap *) = s->abort;
    s->abort = NULL;
    if (undo)
        undo(s);
    end_exchange(s);
}

static lmail_status on_eof(lmail_session *base)
{
    abandon((lmi_imap *)base);
    return LMAIL_OK;
}

static lmail_status on_tls(lmail_session *base)
{
    lmi_imap *s = (lmi_imap *)base;
    s->heard = base->now;
    lmi_imap_set_timer(s);
    return LMAIL_OK;
}

static lmail_status on_stop(lmail_session *base)
{
    lmi_imap *s = (lmi_imap *)base;
    if (s->cmd.running && (s->step || base->holding))
        return LMAIL_OK; /* the command at hand is finished first */
    return lmi_imap_bye(s, LMAIL_STR("Server is shutting down"));
}

static void on_cancelled(lmail_session *base, const lmi_question *q)
{
    lmi_imap *s = (lmi_imap *)base;
    if (!lmi_imap_handler(s)->on_cancel)
        return;
    lmi_callback_begin(base);
    lmi_imap_handler(s)->on_cancel(s, base->user, q->ticket);
    lmi_callback_end(base);
}

static void on_released(lmail_session *base, lmail_ticket t)
{
    lmi_imap_octets_release((lmi_imap *)base, t);
}

static void on_rest(lmail_session *base)
{
    lmi_imap *s = (lmi_imap *)base;
    if (lmi_line_empty(&s->line))
        lmi_line_done(&s->line, &base->alloc);
    if (s->cmd.running && !s->idling)
        return;
    if (!s->text_len) {
        lmi_free(&base->alloc, s->text, s->text_cap);
        s->text = NULL;
        s->text_cap = 0;
        lmi_arena_done(&s->arena);
    }
}

static void on_destroy(lmail_session *base)
{
    lmi_imap *s = (lmi_imap *)base;
    lmail_alloc alloc = base->alloc;
    abandon(s);
    lmi_session_done(base);
    lmi_imap_command_reset(s);
    lmi_free(&alloc, s->text, s->text_cap);
    lmi_arena_done(&s->arena);
    lmi_line_done(&s->line, &alloc);
    lmi_imap_mbox_done(&s->mbox);
    lmi_sasl_done(&s->sasl, &alloc);
    lmi_free(&alloc, s, sizeof *s);
}

static const lmi_class imap_class = {.name = "imap_server",
                                     .start = on_start,
                                     .input = lmi_imap_input,
                                     .eof = on_eof,
                                     .timer = on_timer,
                                     .room = on_room,
                                     .tls_done = on_tls,
                                     .stop = on_stop,
                                     .cancelled = on_cancelled,
                                     .released = on_released,
                                     .rest = on_rest,
                                     .destroy = on_destroy};

/* ---- The session ----------------------------------------------------------------------------- */

lmail_status lmail_imap_server_new(lmail_imap_server **out, const lmail_imap_server_setup *setup,
                                   void *user, lmail_msec now)
{
    lmi_imap *s = lmi_zalloc(&setup->alloc, sizeof *s);
    if (!s)
        return LMAIL_ERR_NOMEM;
    lmi_session_init(&s->base, &imap_class, &setup->alloc, user, now);
    s->base.out_mark = setup->config.out_mark;
    s->base.question_ceiling = setup->config.question_memory;
    s->base.max_tickets = setup->config.max_pending;
    s->base.trace = setup->handler.on_trace;
    s->setup = setup;
    s->flags = setup->flags;
    s->state = LMAIL_IMAP_STATE_NOT_AUTHENTICATED;
    s->auth_deadline = LMAIL_NEVER;
    lmi_arena_init(&s->arena, &s->base.alloc, setup->config.command_memory);
    lmi_imap_mbox_init(&s->mbox, &s->base.alloc, setup->config.view_memory);
    *out = s;
    return LMAIL_OK;
}

LMI_PUMP(lmail_imap_server);

lmail_status lmail_imap_server_notify(lmail_imap_server *s, const lmail_imap_change *change,
                                      lmail_msec now)
{
    lmail_imap_change c;
    if (lmi_struct_take(&c, sizeof c, change))
        return LMAIL_ERR_SIZE;
    lmail_status st = lmi_enter(&s->base, now);
    if (st)
        return st;
    if (!s->mbox.open)
        return LMAIL_ERR_STATE;
    st = lmi_imap_change(s, &c);
    if (st >= 0 && s->idling)
        st = lmi_imap_idle_news(s);
    if (st >= 0 && s->mbox.gone && !s->cmd.running)
        st = lmi_imap_bye(s, LMAIL_STR("The selected mailbox is gone"));
    lmi_imap_set_timer(s);
    return lmi_leave(&s->base, st);
}

/* ---- Looking at it --------------------------------------------------------------------------- */

lmail_imap_state lmail_imap_server_state(const lmail_imap_server *s)
{
    return s->state;
}

lmail_str lmail_imap_server_identity(const lmail_imap_server *s)
{
    return s->state == LMAIL_IMAP_STATE_NOT_AUTHENTICATED ? (lmail_str){NULL, 0}
                                                          : lmi_sasl_identity(&s->sasl);
}

lmail_str lmail_imap_server_mailbox(const lmail_imap_server *s)
{
    return s->mbox.open ? s->mbox.name : (lmail_str){NULL, 0};
}

void *lmail_imap_server_mailbox_handle(const lmail_imap_server *s)
{
    return s->mbox.open ? s->mbox.handle : NULL;
}

uint32_t lmail_imap_server_messages(const lmail_imap_server *s)
{
    return s->mbox.view.total;
}

int lmail_imap_server_idling(const lmail_imap_server *s)
{
    return s->idling != 0;
}

const lmail_tls_facts *lmail_imap_server_tls(const lmail_imap_server *s)
{
    return s->base.tls_active ? &s->base.tls : NULL;
}

void *lmail_imap_server_user(const lmail_imap_server *s)
{
    return s->base.user;
}

lmail_str lmail_imap_server_command(const lmail_imap_server *s)
{
    return s->cmd.row ? s->cmd.row->name : (lmail_str){NULL, 0};
}
