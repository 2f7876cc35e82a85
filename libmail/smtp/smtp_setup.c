/* smtp_setup.c - the host's config and handler made into one immutable block that sessions share.
 *
 * One allocation: the struct, then the copied texts. Never changed once made. */
#include "smtp/smtp_internal.h"

#include <string.h>

LMI_STRUCT_INIT(lmail_smtp_server_config, LMAIL_SMTP_SERVER_CONFIG_INIT);
LMI_STRUCT_INIT(lmail_smtp_server_handler, LMAIL_SMTP_SERVER_HANDLER_INIT);
LMI_STRUCT_INIT(lmail_smtp_reply, LMAIL_SMTP_REPLY_INIT);
LMI_STRUCT_INIT(lmail_smtp_connect_answer, LMAIL_SMTP_CONNECT_ANSWER_INIT);

static int reply_ok(const lmail_smtp_reply_text *r)
{
    return lmail_smtp_reply_name(r->id) && r->code >= 200 && r->code <= 599 &&
           r->text.len <= UINT16_MAX && lmi_smtp_text_ok(r->text) &&
           lmi_smtp_enhanced_ok(r->enhanced, r->code);
}

static void fill_defaults(lmail_smtp_server_config *c)
{
    LMI_DEFAULT(c->max_line, 2048);
    LMI_DEFAULT(c->max_path, 256);
    LMI_DEFAULT(c->max_local_part, 64);
    LMI_DEFAULT(c->max_parameters, 16);
    LMI_DEFAULT(c->max_recipients, 1000);
    LMI_DEFAULT(c->max_message, (uint64_t)50 << 20);
    LMI_DEFAULT(c->max_header, (uint64_t)256 << 10);
    LMI_DEFAULT(c->max_bad_commands, 25);
    LMI_DEFAULT(c->max_auth_failures, 6);
    LMI_DEFAULT(c->max_pending, 16);
    LMI_DEFAULT(c->out_mark, 16384);
    LMI_DEFAULT(c->command_timeout, 5 * 60 * 1000);
    LMI_DEFAULT(c->data_timeout, 5 * 60 * 1000);
    LMI_DEFAULT(c->max_noop_commands, 20);
    LMI_DEFAULT(c->bad_recipients_throttle, UINT32_MAX);
    LMI_DEFAULT(c->slow_delay, 1000);
}

static lmail_status check(const lmail_smtp_server_config *c, size_t *total)
{
    if (c->host_name.len == 0 || c->host_name.len > 255 || !lmi_smtp_text_ok(c->host_name))
        return LMAIL_ERR_ARG;
    if (c->max_line < 512 || c->max_line > 1u << 20 || c->max_path < 3)
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
    lmail_smtp_server_config c;
    lmail_smtp_server_handler h;
    size_t total = 0;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config) || lmi_struct_take(&h, sizeof h, handler))
        return LMAIL_ERR_SIZE;
    fill_defaults(&c);
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
    u->flags = (LMAIL_SMTP_FLAGS_DEFAULT & ~c.flags_off) | c.flags_on;
    u->handler = h;
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
