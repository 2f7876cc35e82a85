/* smtp_client_stuff.c - line ends and leading dots of a message on its way out.
 *
 * RFC 5321 §2.3.8 (CR and LF only together), §4.5.2 (a line that begins with a dot gets another),
 * §4.1.1.4 (the last line ends in CRLF). What needs no change is handed on where it lies. A CR at
 * the end of a piece is held back until the next octet shows whether it is one of a pair, so that
 * the outcome does not depend on how the message was cut. Called by smtp_client_body.c. */
#include "smtp/smtp_client_internal.h"

static const lmail_str crlf = {"\r\n", 2};
static const lmail_str dot = {".", 1};

typedef struct walk {
    lmi_smtpc_stuff *c;
    lmail_str in;
    size_t start; /* of what is not handed on yet */
    lmi_smtpc_run_fn *run;
    void *ctx;
} walk;

static lmail_status flush(walk *w, size_t to)
{
    lmail_str part = lmi_str_sub(w->in, w->start, to - w->start);
    w->start = to;
    return part.len ? w->run(w->ctx, part) : LMAIL_OK;
}

/* A line end in place of what stands from `at` to `next`. */
static lmail_status put_end(walk *w, size_t at, size_t next)
{
    if (w->c->refuse)
        return LMAIL_ERR_SYNTAX;
    lmail_status st = flush(w, at);
    w->start = next;
    w->c->in_line = 0;
    return st ? st : w->run(w->ctx, crlf);
}

/* The CR that the last piece ended with. */
static lmail_status held_cr(walk *w, size_t *at)
{
    w->c->cr = 0;
    if (w->in.ptr[0] != '\n')
        return put_end(w, 0, 0);
    *at = w->start = 1;
    w->c->in_line = 0;
    return w->run(w->ctx, crlf);
}

/* From `at` over one line, or what there is of it. */
static lmail_status one_line(walk *w, size_t *at)
{
    lmail_status st = LMAIL_OK;
    size_t from = *at;
    if (!w->c->in_line && w->c->dots && w->in.ptr[from] == '.') {
        st = flush(w, from);
        if (!st)
            st = w->run(w->ctx, dot);
        if (st)
            return st;
    }
    w->c->in_line = 1;
    size_t lf = from + lmi_str_find(lmi_str_skip(w->in, from), '\n');
    size_t cr = from + lmi_str_find(lmi_str_sub(w->in, from, lf - from), '\r');
    if (cr + 1 == lf && lf < w->in.len) {
        w->c->in_line = 0;
        *at = lf + 1;
        return LMAIL_OK;
    }
    if (cr < lf && cr + 1 == w->in.len) { /* the last octet */
        st = flush(w, cr);
        w->start = *at = w->in.len;
        w->c->cr = 1;
        return st;
    }
    if (cr < lf) {
        *at = cr + 1;
        return put_end(w, cr, cr + 1);
    }
    if (lf == w->in.len) {
        *at = lf;
        return LMAIL_OK;
    }
    *at = lf + 1;
    return put_end(w, lf, lf + 1);
}

lmail_status lmi_smtpc_stuff_walk(lmi_smtpc_stuff *c, lmail_str in, int end, lmi_smtpc_run_fn *run,
                                  void *ctx)
{
    walk w = {c, in, 0, run, ctx};
    lmail_status st = LMAIL_OK;
    size_t at = 0;
    if (c->cr && in.len)
        st = held_cr(&w, &at);
    while (!st && at < in.len)
        st = one_line(&w, &at);
    if (!st)
        st = flush(&w, in.len);
    if (st || !end)
        return st;
    if (c->cr && c->refuse)
        return LMAIL_ERR_SYNTAX;
    if (c->cr || c->in_line)
        st = run(ctx, crlf);
    c->cr = c->in_line = 0;
    return st;
}
