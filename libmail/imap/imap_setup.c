/* imap_setup.c - the host's config and handler made into one immutable block that sessions share.
 *
 * One allocation: the struct, the ID fields, the copied texts. Every default stands here. */
#include "imap/imap_internal.h"

#include <string.h>

LMI_STRUCT_INIT(lmail_imap_server_config, LMAIL_IMAP_SERVER_CONFIG_INIT);
LMI_STRUCT_INIT(lmail_imap_server_handler, LMAIL_IMAP_SERVER_HANDLER_INIT);
LMI_STRUCT_INIT(lmail_imap_connect_answer, LMAIL_IMAP_CONNECT_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_answer, LMAIL_IMAP_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_namespace_answer, LMAIL_IMAP_NAMESPACE_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_list_answer, LMAIL_IMAP_LIST_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_status_answer, LMAIL_IMAP_STATUS_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_select_answer, LMAIL_IMAP_SELECT_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_change, LMAIL_IMAP_CHANGE_INIT);
LMI_STRUCT_INIT(lmail_imap_fetch_answer, LMAIL_IMAP_FETCH_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_octets_answer, LMAIL_IMAP_OCTETS_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_store_answer, LMAIL_IMAP_STORE_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_search_answer, LMAIL_IMAP_SEARCH_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_append_answer, LMAIL_IMAP_APPEND_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_copy_answer, LMAIL_IMAP_COPY_ANSWER_INIT);
LMI_STRUCT_INIT(lmail_imap_expunge_answer, LMAIL_IMAP_EXPUNGE_ANSWER_INIT);

static void fill_defaults(lmail_imap_server_config *c)
{
    LMI_DEFAULT(c->separator, '/');
    LMI_DEFAULT(c->max_line, 65536);
    LMI_DEFAULT(c->max_literal, 65536);
    LMI_DEFAULT(c->max_append, (uint64_t)50 << 20);
    LMI_DEFAULT(c->max_name, 1000);
    LMI_DEFAULT(c->command_memory, (size_t)256 << 10);
    LMI_DEFAULT(c->question_memory, (size_t)256 << 10);
    LMI_DEFAULT(c->view_memory, (size_t)64 << 20);
    LMI_DEFAULT(c->max_bad_commands, 20);
    LMI_DEFAULT(c->max_auth_failures, 5);
    LMI_DEFAULT(c->max_pending, 16);
    LMI_DEFAULT(c->out_mark, 65536);
    LMI_DEFAULT(c->login_timeout, 3 * 60 * 1000);
    LMI_DEFAULT(c->idle_timeout, 30 * 60 * 1000);
    LMI_DEFAULT(c->keepalive, 2 * 60 * 1000);
    if (!c->host_name.len)
        c->host_name = LMAIL_STR("localhost");
    if (!c->greeting.len)
        c->greeting = LMAIL_STR("IMAP server ready");
}

static lmail_status check(const lmail_imap_server_config *c)
{
    char sep = c->separator;
    if (sep && (sep <= 0x20 || sep >= 0x7f || strchr("*%&\"\\", sep)))
        return LMAIL_ERR_ARG;
    if (c->id_count && !c->id)
        return LMAIL_ERR_ARG;
    if (c->host_name.len > 255 || !lmi_str_printable(c->host_name))
        return LMAIL_ERR_ARG;
    if (!lmi_str_printable(c->greeting) || (c->greeting.len && c->greeting.ptr[0] == '['))
        return LMAIL_ERR_ARG;
    for (size_t i = 0; i < c->id_count; i++)
        if (!lmi_str_printable(c->id[i].name) || !lmi_str_printable(c->id[i].value))
            return LMAIL_ERR_ARG;
    return LMAIL_OK;
}

static lmail_str put(char **at, lmail_str text)
{
    lmail_str copy = {text.ptr ? *at : NULL, text.len};
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static lmail_status block_size(const lmail_imap_server_config *c, size_t *total)
{
    lmail_status st = lmail_size_mul(c->id_count, sizeof *c->id, total);
    if (!st)
        st = lmail_size_add(*total, sizeof(lmail_imap_server_setup) + c->host_name.len, total);
    if (!st)
        st = lmail_size_add(*total, c->greeting.len, total);
    for (size_t i = 0; i < c->id_count && !st; i++)
        st = lmail_size_add(*total, c->id[i].name.len, total) ||
                     lmail_size_add(*total, c->id[i].value.len, total)
                 ? LMAIL_ERR_LIMIT
                 : LMAIL_OK;
    return st ? LMAIL_ERR_ARG : LMAIL_OK;
}

lmail_status lmail_imap_server_setup_new(lmail_imap_server_setup **out,
                                         const lmail_imap_server_config *config,
                                         const lmail_imap_server_handler *handler)
{
    lmail_imap_server_config c;
    lmail_imap_server_handler h;
    lmail_env env = LMAIL_ENV_INIT;
    *out = NULL;
    if (lmi_struct_take(&c, sizeof c, config) || lmi_struct_take(&h, sizeof h, handler) ||
        (c.env && lmi_struct_take(&env, sizeof env, c.env)))
        return LMAIL_ERR_SIZE;
    fill_defaults(&c);
    size_t total;
    lmail_status st = check(&c);
    if (!st)
        st = block_size(&c, &total);
    if (st)
        return st;
    lmail_alloc alloc = lmi_alloc_resolve(&c.alloc);
    lmail_imap_server_setup *setup = lmi_zalloc(&alloc, total);
    if (!setup)
        return LMAIL_ERR_NOMEM;
    setup->alloc = alloc;
    setup->total = total;
    setup->handler = h;
    lmail_imap_id_field *id = (lmail_imap_id_field *)(void *)(setup + 1);
    char *at = (char *)(id + c.id_count);
    for (size_t i = 0; i < c.id_count; i++) {
        id[i].name = put(&at, c.id[i].name);
        id[i].value = put(&at, c.id[i].value);
    }
    c.id = id;
    c.host_name = put(&at, c.host_name);
    c.greeting = put(&at, c.greeting);
    setup->env = env;
    c.env = &setup->env;
    setup->config = c;
    setup->flags = (LMAIL_IMAP_FLAGS_DEFAULT & ~c.flags_off) | c.flags_on;
    *out = setup;
    return LMAIL_OK;
}

void lmail_imap_server_setup_free(lmail_imap_server_setup *setup)
{
    if (!setup)
        return;
    lmail_alloc alloc = setup->alloc;
    lmi_free(&alloc, setup, setup->total);
}
