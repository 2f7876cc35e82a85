/* service_runner_local.c - mail of the queue for mailboxes here: what was held and is released, and
 * what a mailbox could not take before. The data file goes into the store as it is. */
#include "host/service/service_location.h"
#include "host/service/service_mail.h"
#include "host/service/service_quota.h"
#include "host/service/service_runner.h"

#include <stdlib.h>
#include <string.h>

#define PIECE 65536u

static lmail_status copy_octets(const lmi_sending *s, const lmail_store *store, lmail_delivery *d)
{
    char *piece = malloc(PIECE);
    size_t got = PIECE;
    lmail_status st = piece ? LMAIL_OK : LMAIL_ERR_NOMEM;
    for (uint64_t at = 0; !st && got == PIECE; at += got) {
        st = lmail_queue_read(s->turn->runner->queue, s->message->id, at, piece, PIECE, &got);
        if (!st && got)
            st = store->delivery_write(d, (lmail_str){piece, got});
    }
    free(piece);
    return st;
}

/* One account for each row; the same one twice gets the message twice, as its rows say. */
static lmail_status deliver_one(const lmi_sending *s, const lmail_store *store, lmail_delivery *d,
                                const lmail_queue_recipient *r)
{
    lmail_store_account_args args = LMAIL_STORE_ACCOUNT_ARGS_INIT;
    lmail_delivery_target target = {0};
    lmail_store_account *account;
    char room[LMI_LOCATION_MAX], *folder = NULL;
    args.name = (lmail_str){r->route.ptr + 6, r->route.len - 6};
    const char *blank = memchr(args.name.ptr, ' ', args.name.len); /* "local:ACCOUNT DETAIL" */
    lmail_str detail = {NULL, 0};
    if (blank) {
        detail = (lmail_str){blank + 1, (size_t)(r->route.ptr + r->route.len - blank) - 1};
        args.name.len = (size_t)(blank - args.name.ptr);
    }
    lmail_status st = lmi_location(s->turn->ways->rules, args.name, room, &args.location);
    if (!st)
        st = store->account_open(store->ctx, &args, &account);
    if (st)
        return st;
    target.account = account;
    lmi_quota q = lmi_quota_of(s->turn->ways->rules, lmail_accounts_find, args.name);
    target.max_octets = q.octets;
    target.max_messages = q.messages;
    if (detail.len)
        (void)lmi_folder_find(store, account, detail, &folder);
    target.mailbox = folder ? lmail_str_from(folder) : LMAIL_STR("INBOX");
    st = store->delivery_commit(d, &target, 1);
    free(folder);
    store->account_close(account);
    return st;
}

static lmail_status deliver(const lmi_sending *s, const lmail_store *store, size_t row)
{
    lmail_delivery_args args = LMAIL_DELIVERY_ARGS_INIT;
    lmail_delivery_message message = LMAIL_DELIVERY_MESSAGE_INIT;
    lmail_delivery *d;
    uint64_t size;
    message.exact = 1; /* it was written by us */
    lmail_status st = store->delivery_begin(store->ctx, &args, &d);
    if (st)
        return st;
    st = store->delivery_message(d, &message);
    if (!st)
        st = copy_octets(s, store, d);
    if (!st)
        st = store->delivery_end(d, &size);
    if (!st)
        st = deliver_one(s, store, d, s->rows[row]);
    store->delivery_free(d);
    return st;
}

void lmi_local_deliver(lmi_sending *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->here[i] = deliver(s, s->turn->runner->service->store, i);
}
