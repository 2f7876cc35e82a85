/* smtp_setup.c - the host's config and handler made into one immutable block that sessions share.
 *
 * One allocation: the struct, then the copied texts. Never changed once made. */
#include "smtp/smtp_internal.h"

#include <string.h>

void lmail_smtp_server_config_init(lmail_smtp_server_config *config)
{
    *config = (lmail_smtp_server_config)LMAIL_SMTP_SERVER_CONFIG_INIT;
}

void lmail_smtp_server_handler_init(lmail_smtp_server_handler *handler)
{
    memset(handler, 0, sizeof *handler);
    handler->size = sizeof *handler;
}

void lmail_smtp_reply_init(lmail_smtp_reply *reply)
{
    memset(reply, 0, sizeof *reply);
    reply->size = sizeof *reply;
}

void lmail_smtp_connect_answer_init(lmail_smtp_connect_answer *answer)
{
    *answer = (lmail_smtp_connect_answer)LMAIL_SMTP_CONNECT_ANSWER_INIT;
}

static int reply_ok(const lmail_smtp_reply_text *r)
{
    return lmail_smtp_reply_name(r->id) && r->code >= 200 && r->code <= 599 &&
           r->text.len <= UINT16_MAX && lmi_smtp_text_ok(r->text) &&
           lmi_smtp_enhanced_ok(r->enhanced, r->code);
}

static lmail_status check(const lmail_smtp_server_config *c, size_t *total)
{
    if (c->host_name.len == 0 || c->host_name.len > 255 || !lmi_smtp_text_ok(c->host_name))
        return LMAIL_ERR_ARG;
    if (c->max_line < 512 || c->max_line > 1u << 20 || c->max_path < 3 || c->max_local_part < 1 ||
        c->out_mark < 1)
        return LMAIL_ERR_ARG;
    *total = sizeof(lmail_smtp_server_setup) + c->host_name.len;
    for (size_t i = 0; i < c->reply_count; i++) {
        const lmail_smtp_reply_text *r = &c->replies[i];
        if (!reply_ok(r) || lmail_size_add(*total, r->text.len + r->enhanced.len, total))
            return LMAIL_ERR_ARG;
    }
    return LMAIL_OK;
}

static const char *put(char **at, lmail_str text)
{
    char *copy = *at;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    *at += text.len;
    return copy;
}

lmail_status lmail_smtp_server_setup_new(lmail_smtp_server_setup **out,
                                         const lmail_smtp_server_config *config,
                                         const lmail_smtp_server_handler *handler)
{
    lmail_smtp_server_config c = LMAIL_SMTP_SERVER_CONFIG_INIT;
    size_t total = 0;
    *out = NULL;
    if (config->size > sizeof c || config->size < sizeof config->size ||
        handler->size > sizeof *handler || handler->size < sizeof handler->size)
        return LMAIL_ERR_SIZE;
    memcpy(&c, config, config->size);
    c.size = sizeof c;
    c.alloc = lmi_alloc_resolve(&c.alloc);
    lmail_status st = check(&c, &total);
    if (st)
        return st;
    lmail_smtp_server_setup *u = lmi_zalloc(&c.alloc, total);
    if (!u)
        return LMAIL_ERR_NOMEM;
    u->size = total;
    char *at = (char *)(u + 1);
    lmi_smtp_default_texts(u->texts);
    for (size_t i = 0; i < c.reply_count; i++) {
        const lmail_smtp_reply_text *r = &c.replies[i];
        lmi_smtp_text *t = &u->texts[r->id];
        t->code = (uint16_t)r->code;
        t->enhanced = put(&at, r->enhanced);
        t->enhanced_len = (uint8_t)r->enhanced.len;
        t->text = put(&at, r->text);
        t->text_len = (uint16_t)r->text.len;
    }
    c.host_name.ptr = put(&at, c.host_name);
    c.replies = NULL;
    c.reply_count = 0;
    u->config = c;
    memcpy(&u->handler, handler, handler->size);
    *out = u;
    return LMAIL_OK;
}

void lmail_smtp_server_setup_free(lmail_smtp_server_setup *setup)
{
    if (!setup)
        return;
    lmail_alloc a = setup->config.alloc;
    lmi_free(&a, setup, setup->size);
}
