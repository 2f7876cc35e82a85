/* mime_filter.c - a header that streams by: fields pass, go, or become others.
 *
 * RFC 5322 §2.2, §2.2.3 folding, §4.5 blanks in front of the colon. Line ends are CRLF or LF, and go
 * out as they came. A line that is no field passes, and so does the header behind it, field by field;
 * only the first line decides whether there is a header at all. Called by mime_downgrade.c and
 * delivery_header.c. Holds a name, and one gathered field up to its limit. */
#include "mime_filter.h"

#include <string.h>

enum state {
    LINE,    /* the next octet is the first of its line */
    NAME,    /* a field's name, held */
    FIELD,   /* behind the colon, or a line that continues it */
    GARBAGE, /* a line that is no field */
    BODY
};

void lmi_mime_filter_init(lmi_mime_filter *f, const lmi_mime_filter_user *user,
                          const lmail_alloc *alloc, size_t max_field)
{
    memset(f, 0, sizeof *f);
    f->user = *user;
    lmi_mime_out_init(&f->gathered, alloc, max_field);
}

void lmi_mime_filter_done(lmi_mime_filter *f)
{
    lmi_mime_out_done(&f->gathered);
}

void lmi_mime_filter_reset(lmi_mime_filter *f)
{
    f->state = LINE;
    f->word = LMI_MIME_PASS;
    f->any = f->broken = f->cr = 0;
    f->held = 0;
    f->gathered.len = 0;
}

void lmi_mime_filter_put(lmi_mime_filter *f, lmail_str octets)
{
    if (octets.len && !f->st)
        f->st = f->user.sink(f->user.sink_ctx, octets);
}

/* ---- Fields ---------------------------------------------------------------------------------- */

static lmail_str gathered(const lmi_mime_filter *f)
{
    return (lmail_str){f->gathered.ptr, f->gathered.len};
}

/* Octets of the open field. */
static void take(lmi_mime_filter *f, lmail_str octets)
{
    if (f->word == LMI_MIME_DROP)
        return;
    if (f->word == LMI_MIME_GATHER) {
        if (octets.len <= f->gathered.ceiling - f->gathered.len) {
            lmi_mime_put(&f->gathered, octets);
            if (f->gathered.failed)
                f->st = LMAIL_ERR_NOMEM;
            return;
        }
        lmi_mime_filter_put(f, gathered(f)); /* too long: as it is */
        f->gathered.len = 0;
        f->word = LMI_MIME_PASS;
    }
    lmi_mime_filter_put(f, octets);
}

static lmail_mime_field field_of(lmail_str whole)
{
    size_t colon = lmi_str_find(whole, ':'), end = whole.len, name = colon;
    if (end && whole.ptr[end - 1] == '\n')
        end--;
    if (end && whole.ptr[end - 1] == '\r')
        end--;
    while (name && (whole.ptr[name - 1] == ' ' || whole.ptr[name - 1] == '\t'))
        name--;
    size_t from = colon < end ? colon + 1 : end;
    return (lmail_mime_field){lmi_str_sub(whole, 0, name), lmi_str_sub(whole, from, end - from),
                              whole};
}

/* The open field is whole. */
static void close_field(lmi_mime_filter *f)
{
    if (f->word == LMI_MIME_GATHER && f->gathered.len && !f->st) {
        const lmail_mime_field field = field_of(gathered(f));
        if (f->user.field(f->user.ctx, f, &field))
            f->changed = 1;
        else
            lmi_mime_filter_put(f, field.whole);
    }
    f->gathered.len = 0;
    f->word = LMI_MIME_PASS;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* What is held is no field's beginning. 0: then there is no header at all. */
static int give_up_line(lmi_mime_filter *f)
{
    static const lmail_str mbox = {"From ", 5};
    lmail_str line = {f->name, f->held};
    int first = !f->any && !f->broken;
    lmi_mime_filter_put(f, line);
    f->held = 0;
    f->broken = 1;
    f->state = GARBAGE;
    /* The line that mbox files begin with is often left on. */
    return !first || (line.len >= mbox.len && memcmp(line.ptr, mbox.ptr, mbox.len) == 0);
}

static int is_name_octet(char c)
{
    return c > 32 && c < 127;
}

/* The name is whole, its colon the last that is held. 0: it is none. */
static int open_field(lmi_mime_filter *f)
{
    size_t n = f->held - 1;
    while (n && (f->name[n - 1] == ' ' || f->name[n - 1] == '\t'))
        n--;
    if (!n)
        return 0;
    f->any = 1;
    f->word = f->user.name(f->user.ctx, (lmail_str){f->name, n});
    if (f->word == LMI_MIME_DROP)
        f->changed = 1;
    take(f, (lmail_str){f->name, f->held});
    f->held = 0;
    f->state = FIELD;
    return 1;
}

/* One octet of a name. 0: there is no header. */
static int take_name(lmi_mime_filter *f, char c)
{
    f->name[f->held++] = c;
    if (c == ':')
        return open_field(f) || give_up_line(f);
    int blank = c == ' ' || c == '\t';
    int after_blank = f->held > 1 && (f->name[f->held - 2] == ' ' || f->name[f->held - 2] == '\t');
    if (blank || (is_name_octet(c) && !after_blank)) {
        if (f->held < sizeof f->name)
            return 1;
        if (!after_blank && !blank && memchr(f->name, ' ', f->held) == NULL) {
            take(f, (lmail_str){f->name, f->held}); /* a long name: none that anybody asks for */
            f->held = 0;
            f->any = 1;
            f->state = FIELD;
            return 1;
        }
    }
    int header = give_up_line(f);
    if (c == '\n')
        f->state = LINE;
    return header;
}

/* The first octet of a line, or the one behind its CR. END: the header is over. */
static lmail_status begin_line(lmi_mime_filter *f, char c)
{
    if (!f->cr && (c == ' ' || c == '\t') && f->any) {
        take(f, (lmail_str){&c, 1});
        f->state = FIELD;
        return LMAIL_OK;
    }
    if (!f->cr)
        close_field(f);
    if (c == '\n') {
        if (!f->broken)
            f->user.end(f->user.ctx, f);
        lmi_mime_filter_put(f, f->cr ? LMAIL_STR("\r\n") : LMAIL_STR("\n"));
        return LMAIL_END;
    }
    if (f->cr) { /* a CR that ends no line */
        f->cr = 0;
        f->name[f->held++] = '\r';
        f->name[f->held++] = c;
        return give_up_line(f) ? LMAIL_OK : LMAIL_END;
    }
    if (c == '\r') {
        f->cr = 1;
        return LMAIL_OK;
    }
    f->state = NAME;
    return take_name(f, c) ? LMAIL_OK : LMAIL_END;
}

static size_t rest_of_line(lmi_mime_filter *f, lmail_str in)
{
    const char *lf = memchr(in.ptr, '\n', in.len);
    size_t n = lf ? (size_t)(lf - in.ptr) + 1 : in.len;
    if (f->state == FIELD)
        take(f, lmi_str_sub(in, 0, n));
    else
        lmi_mime_filter_put(f, lmi_str_sub(in, 0, n));
    if (lf)
        f->state = LINE;
    return n;
}

lmail_status lmi_mime_filter_feed(lmi_mime_filter *f, lmail_str in, size_t *used)
{
    lmail_status st = f->state == BODY ? LMAIL_END : LMAIL_OK;
    *used = 0;
    while (*used < in.len && !st && !f->st) {
        if (f->state == LINE)
            st = begin_line(f, in.ptr[(*used)++]);
        else if (f->state == NAME)
            st = take_name(f, in.ptr[(*used)++]) ? LMAIL_OK : LMAIL_END;
        else
            *used += rest_of_line(f, lmi_str_skip(in, *used));
    }
    if (st == LMAIL_END) {
        f->state = BODY;
        f->cr = 0;
    }
    return f->st ? f->st : st;
}

lmail_status lmi_mime_filter_end(lmi_mime_filter *f)
{
    if (f->state == BODY)
        return f->st;
    int at_line = f->state == LINE && !f->cr;
    if (f->held)
        (void)give_up_line(f);
    close_field(f);
    if (f->cr) {
        lmi_mime_filter_put(f, LMAIL_STR("\r"));
        f->cr = 0;
    }
    if (at_line && !f->broken)
        f->user.end(f->user.ctx, f);
    f->state = BODY;
    return f->st;
}
