/* pop3_setup.c - configuration and callbacks of POP3 servers, checked and copied once.
 *
 * The result is shared by sessions of any thread and never changes. Every default stands here. */
#include "pop3/pop3_internal.h"

#include <string.h>

#define ARENA_CEILING (4u << 20)
#define TEXT_MAX 400u
#define LANGUAGES_MAX 200u

LMI_STRUCT_INIT(lmail_pop3_server_config, LMAIL_POP3_SERVER_CONFIG_INIT);
LMI_STRUCT_INIT(lmail_pop3_server_handler, LMAIL_POP3_SERVER_HANDLER_INIT);
LMI_STRUCT_INIT(lmail_pop3_connect_answer, LMAIL_POP3_CONNECT_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_pop3_maildrop_answer, LMAIL_POP3_MAILDROP_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_pop3_uidl_answer, LMAIL_POP3_UIDL_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_pop3_octets_answer, LMAIL_POP3_OCTETS_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_pop3_update_answer, LMAIL_POP3_UPDATE_ANSWER_INIT);

int lmi_pop3_text_fits(lmail_str text)
{
    return text.len <= TEXT_MAX && lmi_str_printable(text);
}

static int ascii(lmail_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] > 0x7e)
            return 0;
    return 1;
}

/* Tokens of printable ASCII, single spaces between them; empty is allowed. */
static int tokens(lmail_str text)
{
    if (!lmi_pop3_text_fits(text) || !ascii(text))
        return 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == ' ' && (i == 0 || i + 1 == text.len || text.ptr[i + 1] == ' '))
            return 0;
    return 1;
}

static int token(lmail_str text)
{
    return text.len && tokens(text) && lmi_str_find(text, ' ') == text.len;
}

/* RFC 2449 §3: a greeting's text has no "<" but the timestamp's. Before LANG the client has asked
 * for nothing but ASCII. */
static int text_valid(lmail_pop3_text id, lmail_str text, int first)
{
    if (!lmi_pop3_text_fits(text) || (first && !ascii(text)))
        return 0;
    return id != LMAIL_POP3_TEXT_READY || lmi_str_find(text, '<') == text.len;
}

static lmail_status copy_language(lmail_pop3_server_setup *u, const lmail_pop3_language *in,
                                  size_t index)
{
    lmi_pop3_language *out = &u->languages[index];
    if (!token(in->tag) || in->tag.len > 40 || !lmi_pop3_text_fits(in->name))
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_arena_copy(&u->arena, in->tag, &out->tag);
    if (!st)
        st = lmi_arena_copy(&u->arena, in->name, &out->name);
    for (size_t i = 0; !st && i < LMAIL_POP3_TEXT_COUNT; i++) {
        lmail_str text = i < in->count ? in->texts[i] : (lmail_str){NULL, 0};
        if (!text_valid((lmail_pop3_text)i, text, index == 0))
            return LMAIL_ERR_ARG;
        if (text.len == 0)
            out->texts[i] = lmail_str_from(lmail_pop3_text_default((lmail_pop3_text)i));
        else
            st = lmi_arena_copy(&u->arena, text, &out->texts[i]);
    }
    return st;
}

static lmail_status copy_languages(lmail_pop3_server_setup *u)
{
    static const lmail_pop3_language english = {{"en", 2}, {"English", 7}, NULL, 0};
    const lmail_pop3_language *in = u->cfg.language_count ? u->cfg.languages : &english;
    u->language_count = u->cfg.language_count ? u->cfg.language_count : 1;
    u->cfg.languages = NULL; /* the host's, which may go */
    if (u->language_count > LANGUAGES_MAX)
        return LMAIL_ERR_ARG;
    u->languages = lmi_arena_zget(&u->arena, u->language_count * sizeof *u->languages);
    if (!u->languages)
        return LMAIL_ERR_NOMEM;
    lmail_status st = LMAIL_OK;
    for (size_t i = 0; !st && i < u->language_count; i++)
        st = copy_language(u, &in[i], i);
    return st;
}

static lmail_status fill_config(lmail_pop3_server_setup *u)
{
    lmail_pop3_server_config *c = &u->cfg;
    LMI_DEFAULT(c->max_line, 1024);
    LMI_DEFAULT(c->max_auth_line, LMI_SASL_LINE);
    LMI_DEFAULT(c->max_bad_commands, 25);
    LMI_DEFAULT(c->max_auth_failures, 3);
    LMI_DEFAULT(c->max_messages, 1000000);
    LMI_DEFAULT(c->out_mark, 65536);
    LMI_DEFAULT(c->max_want, 262144);
    LMI_DEFAULT(c->idle_timeout, 600000);
    LMI_DEFAULT(c->login_timeout, 600000);
    if (!c->host_name.len)
        c->host_name = LMAIL_STR("localhost");
    /* RFC 2449 §4: a server with CAPA takes lines of 255 octets. */
    if (c->max_line < 255 || c->max_auth_line < 255 || c->host_name.len > 255 ||
        !token(c->host_name) || lmi_str_find(c->host_name, '>') < c->host_name.len ||
        !tokens(c->implementation) || (unsigned)c->expire > LMAIL_POP3_EXPIRE_DAYS)
        return LMAIL_ERR_ARG;
    lmail_status st = lmi_arena_copy(&u->arena, c->host_name, &c->host_name);
    if (!st)
        st = lmi_arena_copy(&u->arena, c->implementation, &c->implementation);
    if (st || !c->env)
        return st;
    st = lmi_struct_take(&u->env, sizeof u->env, c->env);
    c->env = &u->env;
    return st;
}

lmail_status lmail_pop3_server_setup_new(lmail_pop3_server_setup **out,
                                         const lmail_pop3_server_config *config,
                                         const lmail_pop3_server_handler *handler)
{
    lmail_pop3_server_config c;
    lmail_pop3_server_handler h;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config) || lmi_struct_take(&h, sizeof h, handler))
        return LMAIL_ERR_SIZE;
    lmail_alloc alloc = lmi_alloc_resolve(&c.alloc);
    lmail_pop3_server_setup *u = lmi_zalloc(&alloc, sizeof *u);
    if (!u)
        return LMAIL_ERR_NOMEM;
    u->alloc = alloc;
    lmi_arena_init(&u->arena, &u->alloc, ARENA_CEILING);
    u->cfg = c;
    u->on = h;
    u->flags = (LMAIL_POP3_FLAGS_DEFAULT & ~c.flags_off) | c.flags_on;
    lmail_status st = u->on.on_maildrop && u->on.on_octets ? LMAIL_OK : LMAIL_ERR_ARG;
    if (!st && u->on.on_auth && !u->on.auth_mechanisms)
        st = LMAIL_ERR_ARG;
    if (!st)
        st = fill_config(u);
    if (!st)
        st = copy_languages(u);
    if (st) {
        lmail_pop3_server_setup_free(u);
        return st == LMAIL_ERR_LIMIT ? LMAIL_ERR_ARG : st;
    }
    *out = u;
    return LMAIL_OK;
}

void lmail_pop3_server_setup_free(lmail_pop3_server_setup *setup)
{
    if (!setup)
        return;
    lmail_alloc alloc = setup->alloc;
    lmi_arena_done(&setup->arena);
    lmi_free(&alloc, setup, sizeof *setup);
}
