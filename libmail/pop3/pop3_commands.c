/* pop3_commands.c - the commands whose answer is at hand, and QUIT.
 *
 * RFC 1939 §5 to §7 (STAT, DELE, NOOP, RSET, QUIT), RFC 2449 §5 and §6 (CAPA), RFC 2595 §4 (STLS),
 * RFC 6856 §2 and §3 (UTF8, LANG). Each runs within one call, but for QUIT, which waits for
 * on_update. */
#include "pop3/pop3_internal.h"

#include <string.h>

static const lmi_pop3_values none = {0, 0};
static const lmail_str nothing = {NULL, 0};

static lmi_pop3_values left(const lmail_pop3_server *s)
{
    return (lmi_pop3_values){s->drop.count - s->drop.deleted,
                             s->drop.octets - s->drop.deleted_octets};
}

/* ---- CAPA ------------------------------------------------------------------------------------ */

static void say(lmail_pop3_server *s, lmail_status *st, lmail_str text)
{
    if (!*st)
        *st = lmi_out_str(&s->base, text);
}

static void say_number(lmail_pop3_server *s, lmail_status *st, uint64_t value)
{
    if (!*st)
        *st = lmi_out_u64(&s->base, value);
}

/* RFC 2449 §6.5 and §6.7: "USER" while the value may still change with the user. */
static void say_policies(lmail_pop3_server *s, lmail_status *st)
{
    const lmail_pop3_server_config *c = &s->setup->cfg;
    int unknown_user = s->state == LMAIL_POP3_STATE_AUTHORIZATION;
    if (s->login_delay) {
        say(s, st, LMAIL_STR("LOGIN-DELAY "));
        say_number(s, st, s->login_delay);
        say(s, st,
            c->login_delay_differs && unknown_user ? LMAIL_STR(" USER\r\n") : LMAIL_STR("\r\n"));
    }
    if (s->expire) {
        say(s, st, LMAIL_STR("EXPIRE "));
        if (s->expire == LMAIL_POP3_EXPIRE_NEVER)
            say(s, st, LMAIL_STR("NEVER"));
        else
            say_number(s, st, s->expire_days);
        say(s, st, c->expire_differs && unknown_user ? LMAIL_STR(" USER\r\n") : LMAIL_STR("\r\n"));
    }
}

lmail_status lmi_pop3_capa(lmail_pop3_server *s, lmail_str args)
{
    (void)args;
    const lmail_pop3_server_config *c = &s->setup->cfg;
    lmail_str mechanisms = lmi_pop3_mechanisms(s);
    lmail_status st = lmi_pop3_ok(s, LMAIL_POP3_TEXT_CAPA, none);
    if (s->flags & LMAIL_POP3_TOP)
        say(s, &st, LMAIL_STR("TOP\r\n"));
    if (s->setup->on.on_uidl && s->flags & LMAIL_POP3_UIDL)
        say(s, &st, LMAIL_STR("UIDL\r\n"));
    say(s, &st, LMAIL_STR("RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"));
    if (lmi_pop3_user_allowed(s))
        say(s, &st, LMAIL_STR("USER\r\n"));
    if (mechanisms.len && mechanisms.len <= 500) {
        say(s, &st, LMAIL_STR("SASL "));
        say(s, &st, mechanisms);
        say(s, &st, LMAIL_STR("\r\n"));
    }
    /* RFC 2595 §4: when it is permitted in the current state. */
    if (s->flags & LMAIL_POP3_STLS && !s->base.tls_active && !s->utf8 &&
        s->state == LMAIL_POP3_STATE_AUTHORIZATION)
        say(s, &st, LMAIL_STR("STLS\r\n"));
    say_policies(s, &st);
    if (s->flags & LMAIL_POP3_UTF8)
        say(s, &st,
            s->flags & LMAIL_POP3_UTF8_USER ? LMAIL_STR("UTF8 USER\r\n") : LMAIL_STR("UTF8\r\n"));
    if (s->flags & LMAIL_POP3_LANG)
        say(s, &st, LMAIL_STR("LANG\r\n"));
    if (c->implementation.len) {
        say(s, &st, LMAIL_STR("IMPLEMENTATION "));
        say(s, &st, c->implementation);
        say(s, &st, LMAIL_STR("\r\n"));
    }
    say(s, &st, LMAIL_STR(".\r\n"));
    return st;
}

/* ---- STLS, UTF8, LANG ------------------------------------------------------------------------ */

lmail_status lmi_pop3_stls(lmail_pop3_server *s, lmail_str args)
{
    (void)args;
    if (s->base.tls_active)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_TLS_ACTIVE);
    if (!(s->flags & LMAIL_POP3_STLS))
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_UNKNOWN);
    if (s->utf8) /* RFC 6856 §2.1: no STLS after UTF8 */
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_WRONG_STATE);
    lmail_status st = lmi_pop3_ok(s, LMAIL_POP3_TEXT_STLS, none);
    if (!st)
        lmi_want_tls(&s->base);
    return st;
}

lmail_status lmi_pop3_utf8(lmail_pop3_server *s, lmail_str args)
{
    (void)args;
    s->utf8 = 1;
    return lmi_pop3_ok(s, LMAIL_POP3_TEXT_UTF8, none);
}

static lmail_status list_languages(lmail_pop3_server *s)
{
    lmail_status st = lmi_pop3_ok(s, LMAIL_POP3_TEXT_LANG_LIST, none);
    for (size_t i = 0; i < s->setup->language_count; i++) {
        const lmi_pop3_language *l = &s->setup->languages[i];
        say(s, &st, l->tag);
        if (l->name.len)
            say(s, &st, LMAIL_STR(" "));
        say(s, &st, l->name);
        say(s, &st, LMAIL_STR("\r\n"));
    }
    say(s, &st, LMAIL_STR(".\r\n"));
    return st;
}

/* RFC 4647 §3.3.1: a range matches a tag that it equals, or that goes on with "-" behind it. */
static int matches(lmail_str range, lmail_str tag)
{
    return lmi_str_has_prefix_nocase(tag, range) &&
           (tag.len == range.len || tag.ptr[range.len] == '-');
}

lmail_status lmi_pop3_lang(lmail_pop3_server *s, lmail_str args)
{
    if (!args.ptr)
        return list_languages(s);
    if (lmi_str_find(args, ' ') < args.len)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_SYNTAX);
    int any = lmail_str_equal(args, LMAIL_STR("*"));
    for (size_t i = 0; i < s->setup->language_count; i++) {
        const lmi_pop3_language *l = &s->setup->languages[i];
        if (!any && !matches(args, l->tag))
            continue;
        s->language = l;
        return lmi_pop3_status_line(s, 1, l->tag, LMAIL_POP3_TEXT_LANG_SET, nothing, none);
    }
    return lmi_pop3_err(s, "", LMAIL_POP3_TEXT_NO_LANGUAGE, none);
}

/* ---- STAT, DELE, NOOP, RSET ------------------------------------------------------------------ */

lmail_status lmi_pop3_number(lmail_pop3_server *s, lmail_str arg, uint32_t *number)
{
    uint32_t n;
    lmail_status st = lmi_parse_u32(arg, &n);
    if (st == LMAIL_ERR_SYNTAX) {
        st = lmi_pop3_error(s, LMAIL_POP3_TEXT_SYNTAX);
        return st < 0 ? st : LMAIL_END;
    }
    if (st || n < 1 || n > s->drop.count)
        st = lmi_pop3_err(s, "", LMAIL_POP3_TEXT_NO_MESSAGE, (lmi_pop3_values){s->drop.count, 0});
    else if (lmi_pop3_marked(&s->drop, LMI_POP3_DELETED, n))
        st = lmi_pop3_err(s, "", LMAIL_POP3_TEXT_IS_DELETED, (lmi_pop3_values){n, 0});
    else {
        *number = n;
        return LMAIL_OK;
    }
    return st < 0 ? st : LMAIL_END;
}

lmail_status lmi_pop3_stat(lmail_pop3_server *s, lmail_str args)
{
    (void)args;
    char text[48];
    lmi_pop3_values v = left(s);
    size_t n = lmi_write_u64(text, v.n);
    text[n++] = ' ';
    n += lmi_write_u64(text + n, v.o);
    /* RFC 1939 §5: nothing behind the sizes. */
    return lmi_pop3_status_line(s, 1, (lmail_str){text, n}, LMAIL_POP3_TEXT_COUNT, nothing, v);
}

lmail_status lmi_pop3_dele(lmail_pop3_server *s, lmail_str args)
{
    if (!s->setup->on.on_update)
        return lmi_pop3_error(s, LMAIL_POP3_TEXT_WRONG_STATE);
    uint32_t n;
    lmail_status st = lmi_pop3_number(s, args, &n);
    if (st)
        return st;
    st = lmi_pop3_mark(&s->drop, &s->base.alloc, LMI_POP3_DELETED, n);
    return st ? st : lmi_pop3_ok(s, LMAIL_POP3_TEXT_DELE, (lmi_pop3_values){n, 0});
}

lmail_status lmi_pop3_noop(lmail_pop3_server *s, lmail_str args)
{
    (void)args;
    return lmi_pop3_ok(s, LMAIL_POP3_TEXT_NOOP, none);
}

lmail_status lmi_pop3_rset(lmail_pop3_server *s, lmail_str args)
{
    (void)args;
    lmi_pop3_unmark_deleted(&s->drop, &s->base.alloc);
    return lmi_pop3_ok(s, LMAIL_POP3_TEXT_RSET, left(s));
}

/* ---- QUIT ------------------------------------------------------------------------------------ */

static int goes(const lmail_pop3_server *s, uint32_t number)
{
    return lmi_pop3_marked(&s->drop, LMI_POP3_DELETED, number) ||
           (s->flags & LMAIL_POP3_DELETE_READ && lmi_pop3_marked(&s->drop, LMI_POP3_READ, number));
}

/* The ranges of what goes, counted when `out` is NULL. */
static size_t ranges(const lmail_pop3_server *s, lmail_pop3_range *out, uint32_t *messages)
{
    size_t count = 0;
    *messages = 0;
    for (uint32_t n = 1; n <= s->drop.count; n++) {
        if (!goes(s, n))
            continue;
        uint32_t first = n;
        while (n < s->drop.count && goes(s, n + 1))
            n++;
        if (out)
            out[count] = (lmail_pop3_range){first, n};
        count++;
        *messages += n - first + 1;
    }
    return count;
}

static lmail_status take_update(lmail_pop3_server *s, lmail_pop3_failure failure, lmail_str text)
{
    lmi_pop3_values v = left(s);
    lmail_status st;
    if (failure == LMAIL_POP3_DONE)
        st = lmi_pop3_status_line(s, 1, nothing, LMAIL_POP3_TEXT_SIGN_OFF, text, v);
    else if (text.len)
        st = lmi_pop3_failed(s, failure, text, 0);
    else /* RFC 1939 §6 names the words, RFC 3206 §4 the code */
        st = lmi_pop3_err(s, failure == LMAIL_POP3_PERMANENT ? "[SYS/PERM]" : "[SYS/TEMP]",
                          LMAIL_POP3_TEXT_NOT_REMOVED, v);
    return st < 0 ? st : lmi_pop3_end(s);
}

static lmail_status update_event(lmail_pop3_server *s, lmi_question *q,
                                 const lmail_pop3_update_event **out)
{
    uint32_t messages;
    size_t count = ranges(s, NULL, &messages);
    size_t size;
    if (lmail_size_mul(count, sizeof(lmail_pop3_range), &size))
        return LMAIL_ERR_NOMEM;
    /* As large as the maildrop makes it, which max_messages bounds. */
    q->arena.ceiling = size + s->base.question_ceiling;
    lmail_pop3_update_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    lmail_pop3_range *list = lmi_arena_get(&q->arena, size);
    if (!ev || !list)
        return LMAIL_ERR_NOMEM;
    ev->deleted = list;
    ev->range_count = ranges(s, list, &ev->message_count);
    *out = ev;
    return LMAIL_OK;
}

lmail_status lmi_pop3_quit(lmail_pop3_server *s, lmail_str args)
{
    (void)args;
    if (s->state == LMAIL_POP3_STATE_AUTHORIZATION || !s->setup->on.on_update) {
        lmail_status st = lmi_pop3_ok(s, LMAIL_POP3_TEXT_SIGN_OFF, left(s));
        return st < 0 ? st : lmi_pop3_end(s);
    }
    lmi_pop3_enter(s, LMAIL_POP3_STATE_UPDATE);
    lmi_question *q;
    lmail_status st = lmi_ask(&s->base, LMI_POP3_Q_UPDATE, &q);
    if (st)
        return st;
    const lmail_pop3_update_event *ev;
    st = update_event(s, q, &ev);
    if (st) {
        lmi_question_done(&s->base, q);
        return st;
    }
    lmail_pop3_update_answer a = {sizeof a, LMAIL_POP3_DONE, {NULL, 0}};
    lmi_callback_begin(&s->base);
    st = s->setup->on.on_update(s, s->base.user, q->ticket, ev, &a);
    lmi_callback_end(&s->base);
    if (st == LMAIL_PENDING) {
        lmi_question_wait(&s->base, q, 1, 0);
        return LMAIL_OK;
    }
    lmi_question_done(&s->base, q);
    if (st || !lmi_pop3_failure_valid(a.failure, a.text))
        return take_update(s, LMAIL_POP3_TEMPORARY, nothing);
    return take_update(s, a.failure, a.text);
}

lmail_status lmail_pop3_server_answer_update(lmail_pop3_server *s, lmail_ticket t,
                                             const lmail_pop3_update_answer *answer, lmail_msec now)
{
    lmail_pop3_update_answer a;
    lmi_question *q;
    if (lmi_struct_take(&a, sizeof a, answer))
        return LMAIL_ERR_SIZE;
    if (!lmi_pop3_failure_valid(a.failure, a.text))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_answer_enter(&s->base, t, LMI_POP3_Q_UPDATE, now, &q);
    if (st)
        return st;
    lmi_question_done(&s->base, q);
    return lmi_leave(&s->base, take_update(s, a.failure, a.text));
}
