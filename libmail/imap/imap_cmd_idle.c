/* imap_cmd_idle.c - IDLE: the client waits, and hears news as it comes.
 *
 * RFC 2177. The command runs until a line comes; meanwhile each change that the host notifies is
 * told at once, EXPUNGE included. The keepalive line and the autologout are timers in
 * imap_server.c. */
#include "imap/imap_internal.h"

static void tell_host(lmi_imap *s, unsigned on)
{
    s->idling = on;
    if (!lmi_imap_handler(s)->on_idle)
        return;
    lmi_callback_begin(&s->base);
    lmi_imap_handler(s)->on_idle(s, s->base.user, &(lmail_imap_idle_event){on});
    lmi_callback_end(&s->base);
}

static void leave_idle(lmi_imap *s)
{
    tell_host(s, 0);
}

static lmail_status tell_news(lmi_imap *s)
{
    lmail_status st = s->mbox.gone ? LMAIL_END : lmi_imap_update_step(s, 1);
    if (st != LMAIL_END)
        return st;
    s->step = NULL;
    if (s->mbox.gone)
        return lmi_imap_bye(s, LMAIL_STR("The selected mailbox is gone"));
    return LMAIL_OK;
}

lmail_status lmi_imap_idle_news(lmi_imap *s)
{
    if (!lmi_imap_mbox_news(&s->mbox))
        return LMAIL_OK;
    s->spoke = s->base.now;
    s->step = tell_news;
    return lmi_imap_drive(s);
}

static lmail_status idle_line(lmi_imap *s, lmail_str line)
{
    s->abort = NULL;
    s->line_hook = NULL;
    tell_host(s, 0);
    if (!line.ptr || !lmail_str_equal_nocase(line, LMAIL_STR("DONE")))
        return lmi_imap_finish(s, LMI_BAD, LMAIL_IMAP_CODE_NONE, LMAIL_STR("Expected DONE"));
    return lmi_imap_finish_ok(s);
}

lmail_status lmi_imap_cmd_idle(lmi_imap *s)
{
    lmail_status st = lmi_imap_end(&s->cmd.args);
    if (st)
        return lmi_imap_finish_parse(s, st);
    lmi_imap_put_line(s, LMAIL_STR("+ idling"));
    s->spoke = s->base.now;
    s->abort = leave_idle;
    s->line_hook = idle_line;
    tell_host(s, 1);
    s->step = tell_news;
    return LMAIL_OK;
}
