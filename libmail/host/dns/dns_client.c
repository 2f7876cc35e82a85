/* dns_client.c - who is a client: PTR record with forward confirmation.
 *
 * RFC 1035 §3.5, RFC 3596 §2.5, RFC 8601 §2.7.3. A name that the hosts file gives for the address
 * needs no confirmation: the administrator wrote it. Bounded: eight names, asked for at once. */
#include "dns_internal.h"

#include <string.h>

#define NAMES_MAX (LMI_DNS_LOOKUPS - 1)

typedef struct client_question {
    lmi_dns_question base;
    lmail_dns_address address;
    lmail_dns_client_fn *fn;
    void *user;
    unsigned count; /* names claimed, in the order of the PTR records */
    unsigned waiting;
    lmail_dns_result checked[NAMES_MAX]; /* FORGED until it is known */
    unsigned secure[NAMES_MAX];
    unsigned ptr_secure;
    unsigned chosen;
    char names[NAMES_MAX][LMI_DNS_NAME];
} client_question;

static void deliver(lmi_dns_question *q, lmail_dns_result result)
{
    client_question *c = (client_question *)q;
    lmail_dns_client answer = {.result = result};
    if (result == LMAIL_DNS_FOUND || result == LMAIL_DNS_FORGED) {
        answer.name = lmail_str_from(c->names[c->chosen]);
        answer.secure = c->ptr_secure && c->secure[c->chosen];
    } else if (result == LMAIL_DNS_NONE) {
        answer.secure = c->ptr_secure;
    }
    c->fn(c->user, q->ticket, &answer);
}

static int known_before(const client_question *c, const char *name)
{
    for (unsigned i = 0; i < c->count; i++)
        if (!strcmp(c->names[i], name))
            return 1;
    return 0;
}

static void take_names(client_question *c, const lmi_dns_answer *answer)
{
    int root;
    c->ptr_secure = answer->secure;
    for (size_t i = 0; i < answer->count && c->count < NAMES_MAX; i++) {
        char *name = c->names[c->count];
        if (lmi_dns_wire_name(answer->data[i], name, &root) || root || known_before(c, name))
            continue;
        c->checked[c->count++] = LMAIL_DNS_FORGED;
    }
    if (c->count == 0) {
        lmi_dns_finish(&c->base,
                       answer->result == LMAIL_DNS_TEMP ? LMAIL_DNS_TEMP : LMAIL_DNS_NONE);
        return;
    }
    c->waiting = c->count;
    for (unsigned i = 0; i < c->count; i++)
        lmi_dns_look(&c->base, c->address.version == 4 ? LMI_DNS_A : LMI_DNS_AAAA, c->names[i], i);
}

static int holds(const lmi_dns_answer *answer, const lmail_dns_address *address)
{
    size_t len = address->version == 4 ? 4 : 16;
    for (size_t i = 0; i < answer->count; i++)
        if (answer->data[i].len == len && !memcmp(answer->data[i].ptr, address->octets, len))
            return 1;
    return 0;
}

/* A name that leads back decides; the others only when all have come home. */
static void judge(client_question *c)
{
    int temp = -1;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->checked[i] == LMAIL_DNS_FOUND) {
            c->chosen = i;
            lmi_dns_finish(&c->base, LMAIL_DNS_FOUND);
            return;
        }
        if (c->checked[i] == LMAIL_DNS_TEMP && temp < 0)
            temp = (int)i;
    }
    if (c->waiting)
        return;
    lmi_dns_finish(&c->base, temp >= 0 ? LMAIL_DNS_TEMP : LMAIL_DNS_FORGED);
}

static void landed(lmi_dns_question *q, const lmi_dns_lookup *lookup, const lmi_dns_answer *answer)
{
    client_question *c = (client_question *)q;
    if (lookup->type == LMI_DNS_PTR) {
        take_names(c, answer);
        return;
    }
    c->waiting--;
    c->secure[lookup->tag] = answer->secure;
    if (answer->result == LMAIL_DNS_TEMP)
        c->checked[lookup->tag] = LMAIL_DNS_TEMP;
    else if (holds(answer, &c->address))
        c->checked[lookup->tag] = LMAIL_DNS_FOUND;
    judge(c);
}

static const lmi_dns_kind kind = {sizeof(client_question), landed, deliver};

lmail_status lmail_dns_ask_client(lmail_dns *dns, lmail_str address, lmail_dns_client_fn *fn,
                                  void *user, lmail_ticket *ticket)
{
    lmail_dns_address parsed;
    lmi_dns_question *q;
    char reversed[LMI_DNS_NAME];
    if (!fn)
        return LMAIL_ERR_ARG;
    if (lmi_dns_address(address, &parsed) || lmi_dns_reversed(&parsed, NULL, reversed))
        return LMAIL_ERR_SYNTAX;
    lmail_status status = lmi_dns_question_new(dns, &kind, &q);
    if (status)
        return status;
    client_question *c = (client_question *)q;
    c->address = parsed;
    c->fn = fn;
    c->user = user;
    if (ticket)
        *ticket = q->ticket;
    const char *name = lmi_dns_hosts_name(&dns->hosts, &parsed);
    if (name) {
        memcpy(c->names[0], name, strlen(name) + 1);
        lmi_dns_settle(q, LMAIL_DNS_FOUND);
    } else {
        lmi_dns_look(q, LMI_DNS_PTR, reversed, 0);
    }
    return LMAIL_OK;
}
