/* sasl_exchange.c - the states of one SASL exchange as every server session frames it.
 *
 * RFC 4422 §3, RFC 4954 §4, RFC 5034 §4, RFC 9051 §6.2.2, RFC 4959. Called by the SMTP, POP3 and
 * IMAP servers; knows no mechanism, never calls the host. All writes to x->state are here. */
#include "sasl/sasl_internal.h"

#include <libmail/codec.h>

#include <string.h>

enum { IDLE, ASKED, READING, READING_LAST };

LMI_STRUCT_INIT(lmail_auth_answer, LMAIL_AUTH_ANSWER_INIT);

/* RFC 4422 §3.1: sasl-mech = 1*20mech-char, upper case letters, digits, "-" and "_". Clients write
 * lower case too. */
static int take_name(lmi_sasl *x, lmail_str name)
{
    if (name.len < 1 || name.len > LMI_SASL_NAME_MAX)
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = lmi_ascii_upper(name.ptr[i]);
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return 0;
        x->name[i] = c;
    }
    x->name_len = (uint8_t)name.len;
    return 1;
}

int lmi_sasl_offers(lmail_str offered, lmail_str name)
{
    while (offered.len) {
        size_t end = lmi_str_find(offered, ' ');
        if (end && lmail_str_equal_nocase(lmi_str_sub(offered, 0, end), name))
            return 1;
        offered = lmi_str_skip(offered, end + 1);
    }
    return 0;
}

static lmi_sasl_next take_response(lmi_sasl *x, lmail_str text)
{
    size_t n;
    if (lmail_base64_decode(text, NULL, 0, &n))
        return LMI_SASL_BAD;
    x->response = text;
    x->has_response = 1;
    x->state = ASKED;
    return LMI_SASL_RESPONSE;
}

lmi_sasl_next lmi_sasl_start(lmi_sasl *x, lmail_str mechanism, const lmail_str *initial,
                             lmail_str offered)
{
    if (!take_name(x, mechanism) || !lmi_sasl_offers(offered, mechanism))
        return LMI_SASL_UNKNOWN;
    x->state = ASKED;
    x->step = 0;
    x->told = 0;
    x->ok = 0;
    x->has_response = 0;
    x->response = (lmail_str){NULL, 0};
    if (!initial)
        return LMI_SASL_RESPONSE;
    if (lmail_str_equal(*initial, LMAIL_STR("="))) {
        x->has_response = 1;
        return LMI_SASL_RESPONSE;
    }
    /* An initial response of no octets at all is not in the grammar: "=" says that. */
    lmi_sasl_next next = initial->len ? take_response(x, *initial) : LMI_SASL_BAD;
    if (next == LMI_SASL_BAD)
        x->state = IDLE;
    return next;
}

lmi_sasl_next lmi_sasl_line(lmi_sasl *x, lmail_str line)
{
    if (lmail_str_equal(line, LMAIL_STR("*")))
        return LMI_SASL_CANCELLED;
    if (x->state == READING_LAST) {
        /* RFC 4422 §3.6: after data sent as a challenge the client's response is empty. */
        x->ok = line.len == 0;
        return x->ok ? LMI_SASL_OK : LMI_SASL_BAD;
    }
    return take_response(x, line);
}

lmail_status lmi_sasl_event(lmi_sasl *x, lmi_question *q, const lmail_auth_event **out)
{
    q->secret = 1;
    lmail_auth_event *ev = lmi_arena_zget(&q->arena, sizeof *ev);
    size_t cap = x->response.len / 4 * 3;
    char *octets = lmi_arena_get(&q->arena, cap);
    char *name = lmi_arena_get(&q->arena, x->name_len);
    if (!ev || !octets || !name)
        return lmi_arena_full(&q->arena, cap) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
    memcpy(name, x->name, x->name_len);
    ev->mechanism = (lmail_str){name, x->name_len};
    ev->step = x->step++;
    ev->has_response = x->has_response;
    if (lmail_base64_decode(x->response, octets, cap, &ev->response.len))
        return LMAIL_ERR_SYNTAX; /* was checked when the line was taken */
    ev->response.ptr = octets;
    x->response = (lmail_str){NULL, 0};
    x->told = 1;
    *out = ev;
    return LMAIL_OK;
}

static int one_line(lmail_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return 0;
    }
    return 1;
}

lmail_status lmi_sasl_check(const lmail_auth_answer *a)
{
    if (a->size > sizeof *a || a->size < sizeof a->size)
        return LMAIL_ERR_SIZE;
    switch (a->kind) {
    case LMAIL_AUTH_FAIL:
        return one_line(a->text) && (unsigned)a->failure <= LMAIL_AUTH_PROTOCOL ? LMAIL_OK
                                                                                : LMAIL_ERR_ARG;
    case LMAIL_AUTH_CONTINUE:
        return LMAIL_OK;
    case LMAIL_AUTH_OK:
        return a->identity.len ? LMAIL_OK : LMAIL_ERR_ARG;
    }
    return LMAIL_ERR_ARG;
}

static lmail_status write_challenge(lmail_session *s, lmail_str data, lmail_str prefix)
{
    lmail_status st = lmi_out_str(s, prefix);
    while (!st && data.len) {
        char text[256]; /* 192 octets give 256 characters */
        size_t n;
        lmail_str piece = lmi_str_sub(data, 0, 192);
        st = lmail_base64_encode(piece, text, sizeof text, &n);
        if (!st)
            st = lmi_out_write(s, text, n);
        data = lmi_str_skip(data, piece.len);
    }
    return st ? st : lmi_out_str(s, LMAIL_STR("\r\n"));
}

static lmail_status keep_identity(lmi_sasl *x, const lmail_alloc *a, lmail_str identity)
{
    char *copy = lmi_malloc(a, identity.len);
    if (!copy)
        return LMAIL_ERR_NOMEM;
    memcpy(copy, identity.ptr, identity.len);
    lmi_free(a, x->identity, x->identity_len);
    x->identity = copy;
    x->identity_len = identity.len;
    return LMAIL_OK;
}

lmail_status lmi_sasl_answer(lmi_sasl *x, lmail_session *s, const lmail_auth_answer *a,
                             lmail_str prefix, lmi_sasl_next *next)
{
    lmail_status st = LMAIL_OK;
    switch (a->kind) {
    case LMAIL_AUTH_FAIL:
        *next = LMI_SASL_FAILED;
        return LMAIL_OK;
    case LMAIL_AUTH_CONTINUE:
        *next = LMI_SASL_CHALLENGE;
        x->state = READING;
        return write_challenge(s, a->data, prefix);
    case LMAIL_AUTH_OK:
        st = keep_identity(x, &s->alloc, a->identity);
        if (st || !a->data.len) {
            x->ok = !st;
            *next = LMI_SASL_OK;
            return st;
        }
        *next = LMI_SASL_CHALLENGE;
        x->state = READING_LAST;
        return write_challenge(s, a->data, prefix);
    }
    return LMAIL_ERR_ARG;
}

int lmi_sasl_reading(const lmi_sasl *x)
{
    return x->state == READING || x->state == READING_LAST;
}

int lmi_sasl_end(lmi_sasl *x)
{
    int told = x->told;
    x->told = 0;
    x->state = IDLE;
    return told;
}

lmail_status lmi_sasl_assume(lmi_sasl *x, const lmail_alloc *a, lmail_str mechanism,
                             lmail_str identity)
{
    lmi_sasl_done(x, a);
    if (mechanism.len > sizeof x->name)
        return LMAIL_ERR_ARG;
    lmail_status st = keep_identity(x, a, identity);
    if (st)
        return st;
    memcpy(x->name, mechanism.ptr, mechanism.len);
    x->name_len = (uint8_t)mechanism.len;
    x->ok = 1;
    return LMAIL_OK;
}

lmail_str lmi_sasl_identity(const lmi_sasl *x)
{
    return x->ok ? (lmail_str){x->identity, x->identity_len} : (lmail_str){NULL, 0};
}

void lmi_sasl_done(lmi_sasl *x, const lmail_alloc *a)
{
    lmi_free(a, x->identity, x->identity_len);
    *x = (lmi_sasl){0};
}
