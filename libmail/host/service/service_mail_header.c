/* service_mail_header.c - the header of a message as it goes by, in any pieces: its Received fields
 * are counted, and where it ends without a Date or a Message-ID is the place to add them.
 *
 * RFC 5322 §3.6, RFC 6409 §8. A header with a line that is no field is left as it is: nobody knows
 * where it ends. */
#include "host/service/service_mail.h"

#include <stdio.h>
#include <string.h>

#define TEXT(s) (int)(s).len, (s).ptr

void lmi_header_begin(lmi_mail_header *head, const char *date, const char *id, lmail_str host)
{
    memset(head, 0, sizeof *head);
    head->in_header = 1;
    head->gap = SIZE_MAX;
    snprintf(head->date, sizeof head->date, "%s", date);
    if (*id)
        snprintf(head->id, sizeof head->id, "<%s@%.*s>", id, TEXT(host));
}

static unsigned is_name(const lmi_mail_header *head, lmail_str name)
{
    return head->column == name.len && !memcmp(head->name, name.ptr, name.len) ? 1u : 0u;
}

/* The line's name is whole. */
static void note_name(lmi_mail_header *head)
{
    head->hops += is_name(head, LMAIL_STR("received"));
    while (head->column && head->column <= sizeof head->name &&
           head->name[head->column - 1] ==
               ' ') /* RFC 5322 §4.5: obsolete, blanks before the colon */
        head->column--;
    head->named = 1;
    head->has_date |= is_name(head, LMAIL_STR("date"));
    head->has_id |= is_name(head, LMAIL_STR("message-id"));
    if (head->column == 0)
        head->broken = 1;
}

static void make_fill(lmi_mail_header *head)
{
    int date = head->date[0] && !head->has_date, id = head->id[0] && !head->has_id;
    int n = head->broken
                ? 0
                : snprintf(head->fill, sizeof head->fill, "%s%s%s%s%s%s", date ? "Date: " : "",
                           date ? head->date : "", date ? "\r\n" : "", id ? "Message-ID: " : "",
                           id ? head->id : "", id ? "\r\n" : "");
    head->fill_len = n > 0 && (size_t)n < sizeof head->fill ? (size_t)n : 0;
    head->in_header = 0;
}

void lmi_header_look(lmi_mail_header *head, lmail_str octets)
{
    head->gap = SIZE_MAX;
    for (size_t i = 0; i < octets.len && head->in_header; i++) {
        char c = octets.ptr[i];
        if (c == '\r' || c == '\n') {
            if (head->column == 0 && !head->named) { /* an empty line */
                make_fill(head);
                if (head->fill_len)
                    head->gap = i;
                return;
            }
            if (!head->named)
                head->broken = 1;
            if (c == '\n')
                head->column = head->named = 0;
            continue;
        }
        if (head->named)
            continue;
        if (head->column == 0 && (c == ' ' || c == '\t')) {
            head->named = 1; /* the line before goes on */
            continue;
        }
        if (c == ':') {
            note_name(head);
            continue;
        }
        if (head->column < sizeof head->name)
            head->name[head->column] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        head->column++;
    }
}

lmail_str lmi_header_end(lmi_mail_header *head)
{
    if (!head->in_header || head->column || head->named)
        return (lmail_str){NULL, 0};
    make_fill(head);
    return (lmail_str){head->fill, head->fill_len};
}
