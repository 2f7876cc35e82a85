/* policy_forward.c - what a user's own file makes of his mail.
 *
 * forward(5) of the classic installation without what could harm the host: a user's file names
 * names and addresses alone. Called for each delivery with the text that the host has read; the file is a
 * user's, so nothing in it is trusted. */
#include "policy/policy_tables_internal.h"

#include <string.h>

static const lmi_reply_parts no_file = {
    550, {"5.7.1", 5}, {"a file gets no mail from a forward file", 39}};
static const lmi_reply_parts no_program = {
    550, {"5.7.1", 5}, {"a program gets no mail from a forward file", 42}};
static const lmi_reply_parts no_include = {
    550, {"5.7.1", 5}, {":include: is not obeyed in a forward file", 41}};
static const lmi_reply_parts no_address = {550, {"5.1.3", 5}, {"this is not an address", 22}};

static const lmail_str none = {NULL, 0};

void lmail_policy_forward_question_init(lmail_policy_forward_question *question)
{
    memset(question, 0, sizeof *question);
    question->size = sizeof *question;
}

/* The mailbox that it is, or empty. */
static lmail_str own_name(lmi_route *w, const lmail_policy_forward_question *q, lmail_str local,
                          lmail_str domain, int has_domain)
{
    char folded[256];
    if (has_domain) {
        if (domain.len > sizeof folded)
            return none;
        memcpy(folded, domain.ptr, domain.len);
        lmi_map_fold(folded, domain.len);
        if (!lmi_tables_local(w->t, (lmail_str){folded, domain.len}) ||
            (q->domain.len && !lmail_str_equal_nocase(domain, q->domain)))
            return none;
    }
    lmail_str name = lmi_route_canonical(w, local);
    if (w->st || !lmi_str_has_prefix_nocase(name, q->user))
        return none;
    return name.len == q->user.len || name.ptr[q->user.len] == '+' ? name : none;
}

static void take(lmi_route *w, const lmail_policy_forward_question *q, const lmi_target *t,
                 lmi_route_rule rule)
{
    lmail_str local, domain, own;
    int has_domain;
    switch (t->kind) {
    case LMI_TARGET_ADDRESS:
    case LMI_TARGET_MAILBOX:
        lmi_address_split(t->text, &local, &domain, &has_domain);
        own = own_name(w, q, local, domain, has_domain);
        w->domain = q->domain;
        if (own.len)
            lmi_route_mailbox(w, own, NULL, &rule);
        else if (t->kind == LMI_TARGET_ADDRESS)
            lmi_route_address(w, local, domain, has_domain, NULL, rule);
        else if (!w->st)
            lmi_route_mailbox(w, lmi_route_canonical(w, local), NULL, &rule);
        break;
    case LMI_TARGET_INCLUDE:
        lmi_route_refuse(w, &no_include, NULL, rule);
        break;
    case LMI_TARGET_FILE:
    case LMI_TARGET_NO_FILE:
        lmi_route_refuse(w, &no_file, NULL, rule);
        break;
    case LMI_TARGET_PROGRAM:
    case LMI_TARGET_NO_PROGRAM:
        lmi_route_refuse(w, &no_program, NULL, rule);
        break;
    case LMI_TARGET_BAD:
        lmi_route_refuse(w, &no_address, NULL, rule);
        break;
    }
}

static void read_text(lmi_route *w, const lmail_policy_forward_question *q, char *text)
{
    lmail_policy_tables_config silent = {0};
    lmi_tables_reader r = {(lmail_policy_tables *)(uintptr_t)w->t, &silent, none, 0};
    lmi_map_lines lines = {text, text + q->text.len, 0};
    lmi_map_text_line line;
    lmi_route_rule rule = {"forward", q->user, none, 0};
    while (!w->st && lmi_map_line(&lines, &line)) {
        lmail_str rest = {line.ptr, line.len}, one;
        for (size_t i = 0; i < line.len; i++)
            if ((unsigned char)line.ptr[i] < ' ' || line.ptr[i] == 0x7f)
                line.ptr[i] = line.ptr[i] == '\t' ? ' ' : '?';
        rule.line = line.number;
        while (!w->st && lmi_target_next(&rest, &one)) {
            lmi_target t;
            if (one.ptr[0] == '#') /* behind blanks */
                break;
            lmi_target_parse(&r, line.ptr + (one.ptr - line.ptr), one.len, line.number, &t);
            take(w, q, &t, rule);
        }
    }
}

lmail_status lmail_policy_tables_forward(const lmail_policy_tables *tables,
                                         const lmail_policy_forward_question *question,
                                         const lmail_policy_routes **out)
{
    lmail_policy_forward_question q;
    lmail_policy_route_question silent;
    *out = NULL;
    if (lmi_struct_take(&q, sizeof q, question))
        return LMAIL_ERR_SIZE;
    if (!q.user.len)
        return LMAIL_ERR_ARG;
    if (q.text.len > LMAIL_POLICY_MAX_FORWARD || q.user.len > LMAIL_POLICY_MAX_ADDRESS ||
        q.domain.len > LMAIL_POLICY_MAX_ADDRESS)
        return LMAIL_ERR_LIMIT;
    lmail_policy_route_question_init(&silent);
    lmi_route w = {.t = tables, .q = &silent, .uses_seen = 1};
    if (lmi_routes_begin(&w, &q.alloc))
        return LMAIL_ERR_NOMEM;
    lmail_str both[] = {q.user, q.domain};
    lmail_str names = lmi_route_join(&w, both, 2); /* the answer may outlive the question */
    lmail_str text = w.st ? none : lmi_route_join(&w, &q.text, 1);
    if (!w.st) {
        q.user = lmi_str_sub(names, 0, q.user.len);
        q.domain = lmi_str_skip(names, q.user.len);
        silent.domain = q.domain;
        if (text.len)
            read_text(&w, &q, (char *)(uintptr_t)text.ptr);
    }
    return lmi_routes_end(&w, out);
}
