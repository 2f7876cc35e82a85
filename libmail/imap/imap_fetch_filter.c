/* imap_fetch_filter.c - HEADER.FIELDS and HEADER.FIELDS.NOT: the fields of a header that pass.
 *
 * RFC 3501 §6.4.5. Takes a header in any split and emits slices of it, so that a header of any
 * length is filtered in the memory of one field name. A field is a line "name:" with the lines that
 * begin with a blank behind it; a line that is neither is no field and does not pass. The empty
 * line at the end is always there. Called by imap_fetch_write.c and imap_fetch_stream.c. */
#include "imap/imap_fetch.h"

#include <string.h>

enum {
    AT_LINE,  /* the next octet begins a line */
    IN_NAME,  /* `hold` has the line up to here */
    IN_BLANK, /* behind the name, only blanks before the colon */
    IN_LINE,  /* the rest of a line, of which `keep` decides */
    AT_END    /* the empty line was there */
};

void lmi_fetch_filter_init(lmi_fetch_filter *f, const lmi_fetch_item *item,
                           void (*emit)(void *to, lmail_str octets), void *to)
{
    f->item = item;
    f->begin = 0;
    f->end = UINT64_MAX;
    if (item->partial) {
        f->begin = item->begin;
        f->end = item->length > UINT64_MAX - item->begin ? UINT64_MAX : item->begin + item->length;
    }
    f->total = 0;
    f->emit = emit;
    f->to = to;
    f->state = AT_LINE;
    f->keep = 0;
    f->held = 0;
}

static void pass(lmi_fetch_filter *f, lmail_str octets)
{
    uint64_t at = f->total;
    f->total += octets.len;
    if (at < f->begin)
        octets =
            lmi_str_skip(octets, f->begin - at < octets.len ? (size_t)(f->begin - at) : octets.len);
    if (f->total > f->end) {
        uint64_t over = f->total - f->end;
        octets.len = over < octets.len ? octets.len - (size_t)over : 0;
    }
    if (octets.len)
        f->emit(f->to, octets);
}

uint64_t lmi_fetch_filter_size(const lmi_fetch_filter *f)
{
    uint64_t end = f->total < f->end ? f->total : f->end;
    return end > f->begin ? end - f->begin : 0;
}

static int listed(const lmi_fetch_item *item, lmail_str name)
{
    char first = name.len ? lmi_ascii_upper(name.ptr[0]) : 0;
    for (size_t i = 0; i < item->name_count; i++)
        if (item->names[i].len == name.len && (!name.len || item->names[i].ptr[0] == first) &&
            lmail_str_equal_nocase(item->names[i], name))
            return 1;
    return 0;
}

/* The colon is next: does the field pass? What was held goes out if it does. */
static void decide(lmi_fetch_filter *f)
{
    size_t len = f->held < sizeof f->hold ? f->held : sizeof f->hold;
    while (len && (f->hold[len - 1] == ' ' || f->hold[len - 1] == '\t'))
        len--;
    int in_list = listed(f->item, (lmail_str){f->hold, len});
    f->keep = len && in_list == (f->item->fields == LMI_FIELDS_ONLY);
    if (f->keep)
        pass(f, (lmail_str){f->hold, f->held});
    f->state = IN_LINE;
}

/* The name is longer than `hold`: it is in no list that a client could match in practice, as names
 * there are shorter. It passes only by exclusion. */
static void decide_long(lmi_fetch_filter *f)
{
    f->keep = f->item->fields == LMI_FIELDS_NOT;
    if (f->keep)
        pass(f, (lmail_str){f->hold, f->held});
    f->state = IN_LINE;
}

/* One octet of the start of a line. */
static void name_octet(lmi_fetch_filter *f, char c)
{
    if (f->state == AT_LINE) {
        if (c == ' ' || c == '\t') { /* goes on with the field above */
            f->state = IN_LINE;
            if (f->keep)
                pass(f, (lmail_str){&c, 1});
            return;
        }
        f->held = 0;
        f->state = IN_NAME;
    }
    if (c == ':') {
        decide(f);
        if (f->keep)
            pass(f, (lmail_str){&c, 1});
        return;
    }
    int blank = c == ' ' || c == '\t';
    if ((f->state == IN_BLANK && !blank) || (!blank && (c <= 0x20 || c >= 0x7f))) {
        if (c == '\n' && (f->held == 0 || (f->held == 1 && f->hold[0] == '\r'))) {
            f->state = AT_END;
        } else if (c == '\r' && f->held == 0) {
            f->hold[f->held++] = c;
        } else { /* no field; nor are the lines that go on with it */
            f->keep = 0;
            f->state = c == '\n' ? AT_LINE : IN_LINE;
        }
        return;
    }
    if (f->held == sizeof f->hold) {
        decide_long(f);
        if (f->keep)
            pass(f, (lmail_str){&c, 1});
        return;
    }
    f->hold[f->held++] = c;
    if (blank)
        f->state = IN_BLANK;
}

/* A line that begins with a name and a colon, both here: no octet need be held. 0: it is not
 * that. */
static int whole_name(lmi_fetch_filter *f, lmail_str in)
{
    size_t n = 0, max = in.len < sizeof f->hold ? in.len : sizeof f->hold;
    while (n < max && in.ptr[n] > 0x20 && in.ptr[n] < 0x7f && in.ptr[n] != ':')
        n++;
    if (n == 0 || n == max || in.ptr[n] != ':')
        return 0;
    f->keep = listed(f->item, lmi_str_sub(in, 0, n)) == (f->item->fields == LMI_FIELDS_ONLY);
    f->state = IN_LINE;
    return 1;
}

void lmi_fetch_filter_feed(lmi_fetch_filter *f, lmail_str in)
{
    while (in.len && f->state != AT_END) {
        if (f->state != IN_LINE && !(f->state == AT_LINE && whole_name(f, in))) {
            name_octet(f, in.ptr[0]);
            in = lmi_str_skip(in, 1);
            continue;
        }
        size_t n = lmi_str_find(in, '\n');
        if (n < in.len) {
            n++;
            f->state = AT_LINE;
        }
        if (f->keep)
            pass(f, lmi_str_sub(in, 0, n));
        in = lmi_str_skip(in, n);
    }
}

void lmi_fetch_filter_end(lmi_fetch_filter *f)
{
    /* A last line without its end gets one, so that the empty line is a line. */
    if (f->keep && f->state == IN_LINE)
        pass(f, LMAIL_STR("\r\n"));
    pass(f, LMAIL_STR("\r\n"));
    f->state = AT_END;
}
