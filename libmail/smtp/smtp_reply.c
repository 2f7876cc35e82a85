/* smtp_reply.c - the reply table and the one writer of replies.
 *
 * RFC 5321 §4.2 (codes, several lines), §4.5.3.1.5 (512 octets a line), RFC 2034 (enhanced codes;
 * none on 3xx and greetings). Every octet to an SMTP client but SASL challenges passes put_line(),
 * and no text with a control octet reaches it. */
#include "smtp/smtp_internal.h"

#include <string.h>

#define LINE_MAX 512u
#define TEXT_MAX 480u /* of one reply line, before it is cut in two */

static const struct {
    const char *name;
    lmi_smtp_text text;
} table[LMAIL_SMTP_SAY_COUNT] = {[0] = {"NONE", {0, 0, 0, "", ""}},
#define XX(name, code, enhanced, text)                                                             \
    [LMAIL_SMTP_SAY_##                                                                             \
        name] = {#name, {code, sizeof(text) - 1, sizeof(enhanced) - 1, enhanced, text}},
                                 LMAIL_SMTP_REPLY_MAP(XX)
#undef XX
};

void lmi_smtp_default_texts(lmi_smtp_text *texts)
{
    for (size_t i = 0; i < LMAIL_SMTP_SAY_COUNT; i++)
        texts[i] = table[i].text;
}

const char *lmail_smtp_reply_name(lmail_smtp_reply_id id)
{
    return id > LMAIL_SMTP_SAY_NONE && id < LMAIL_SMTP_SAY_COUNT ? table[id].name : NULL;
}

lmail_status lmail_smtp_reply_default(lmail_smtp_reply_id id, lmail_smtp_reply_text *out)
{
    if (!lmail_smtp_reply_name(id))
        return LMAIL_ERR_ARG;
    const lmi_smtp_text *t = &table[id].text;
    *out = (lmail_smtp_reply_text){
        id, t->code, {t->enhanced, t->enhanced_len}, {t->text, t->text_len}};
    return LMAIL_OK;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

int lmi_smtp_text_ok(lmail_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 32 && c != '\t') || c == 127)
            return 0;
    }
    return 1;
}

/* class "." subject "." detail, RFC 3463 §2; the class is that of the code. */
int lmi_smtp_enhanced_ok(lmail_str e, unsigned code)
{
    unsigned dots = 0, digits = 0;
    if (e.len == 0)
        return 1;
    if (e.len < 5 || e.len > 9 || e.ptr[0] != (char)('0' + code / 100) || e.ptr[1] != '.')
        return 0;
    for (size_t i = 1; i < e.len; i++) {
        if (e.ptr[i] == '.') {
            if (i > 1 && !digits)
                return 0;
            dots++;
            digits = 0;
        } else if (e.ptr[i] < '0' || e.ptr[i] > '9' || ++digits > 3) {
            return 0;
        }
    }
    return dots == 2 && digits;
}

lmail_status lmi_smtp_check_reply(const lmail_smtp_reply *r)
{
    if (r->size > sizeof *r || r->size < sizeof r->size)
        return LMAIL_ERR_SIZE;
    if (r->code && (r->code < 200 || r->code > 599))
        return LMAIL_ERR_ARG;
    if (!r->code && r->enhanced.len)
        return LMAIL_ERR_ARG;
    if (!lmi_smtp_text_ok(r->text) || !lmi_smtp_enhanced_ok(r->enhanced, r->code))
        return LMAIL_ERR_ARG;
    for (size_t i = 0; i < r->line_count; i++)
        if (!lmi_smtp_text_ok(r->lines[i]))
            return LMAIL_ERR_ARG;
    return LMAIL_OK;
}

int lmi_smtp_is_yes(const lmail_smtp_reply *r)
{
    return r->code < 400; /* 0 is the default */
}

/* ---- The writer ------------------------------------------------------------------------------ */

typedef struct head {
    unsigned code;
    lmail_str enhanced;
} head;

static lmail_status put_line(lmail_smtp_server *s, const head *h, lmail_str text, int last)
{
    char line[LINE_MAX + 32];
    size_t n = 0;
    line[n++] = (char)('0' + h->code / 100);
    line[n++] = (char)('0' + h->code / 10 % 10);
    line[n++] = (char)('0' + h->code % 10);
    line[n++] = last ? ' ' : '-';
    if (h->enhanced.len) {
        memcpy(line + n, h->enhanced.ptr, h->enhanced.len);
        n += h->enhanced.len;
        line[n++] = ' ';
    }
    if (text.len)
        memcpy(line + n, text.ptr, text.len);
    n += text.len;
    lmi_trace(&s->base, LMAIL_TRACE_OUT, 0, 0, (lmail_str){line, n});
    line[n++] = '\r';
    line[n++] = '\n';
    return lmi_out_write(&s->base, line, n);
}

/* One text on as many lines as it needs, cut at blanks. */
static lmail_status put_text(lmail_smtp_server *s, const head *h, lmail_str text, int last)
{
    lmail_status st = LMAIL_OK;
    while (!st && text.len > TEXT_MAX) {
        size_t cut = TEXT_MAX;
        while (cut > TEXT_MAX / 2 && text.ptr[cut] != ' ')
            cut--;
        if (text.ptr[cut] != ' ')
            cut = TEXT_MAX;
        st = put_line(s, h, lmi_str_sub(text, 0, cut), 0);
        text = lmi_str_skip(text, text.ptr[cut] == ' ' ? cut + 1 : cut);
    }
    return st ? st : put_line(s, h, text, last);
}

/* RFC 2034 §3, §4: none on greetings, HELO answers and 3xx; those have none in the table either. */
static head make_head(const lmail_smtp_server *s, unsigned code, lmail_str enhanced)
{
    head h = {code, {NULL, 0}};
    if ((s->flags & LMAIL_SMTP_ENHANCED) && code / 100 != 3)
        h.enhanced = enhanced;
    return h;
}

static size_t expand(const lmail_smtp_server *s, const lmi_smtp_text *t, uint64_t octets, char *to,
                     size_t cap)
{
    lmi_words words = {.host = s->setup->config.host_name,
                       .client = {s->helo_name, s->helo_len},
                       .argument = s->argument,
                       .octets = octets};
    return lmi_words_write((lmail_str){t->text, t->text_len}, &words, to, cap);
}

static lmail_status say(lmail_smtp_server *s, lmail_smtp_reply_id id, uint64_t octets, int last)
{
    const lmi_smtp_text *t = &s->setup->texts[id];
    head h = make_head(s, t->code, (lmail_str){t->enhanced, t->enhanced_len});
    char text[LINE_MAX * 2];
    return put_text(s, &h, (lmail_str){text, expand(s, t, octets, text, sizeof text)}, last);
}

lmail_status lmi_smtp_say(lmail_smtp_server *s, lmail_smtp_reply_id id, uint64_t octets)
{
    if (s->setup->texts[id].code == 421)
        s->close_after = 1;
    return say(s, id, octets, 1);
}

lmail_status lmi_smtp_say_more(lmail_smtp_server *s, lmail_smtp_reply_id id)
{
    return say(s, id, 0, 0);
}

lmail_status lmi_smtp_say_line(lmail_smtp_server *s, unsigned code, lmail_str text, int last)
{
    head h = {code, {NULL, 0}};
    return put_text(s, &h, text, last);
}

lmail_status lmi_smtp_say_host(lmail_smtp_server *s, const lmail_smtp_reply *r,
                               lmail_smtp_reply_id id, uint64_t octets)
{
    if (r == &lmi_smtp_host_error)
        return lmi_smtp_say(s, LMAIL_SMTP_SAY_HOST_ERROR, 0);
    const lmi_smtp_text *t = &s->setup->texts[id];
    unsigned code = r->code ? r->code : t->code;
    if (!r->code && !r->text.len && !r->line_count)
        return lmi_smtp_say(s, id, octets);
    char usual[6] = "X.0.0";
    usual[0] = (char)('0' + code / 100);
    lmail_str enhanced = r->enhanced.len ? r->enhanced : (lmail_str){usual, 5};
    if (code == t->code && !r->enhanced.len)
        enhanced = (lmail_str){t->enhanced, t->enhanced_len};
    head h = make_head(s, code, enhanced);
    char text[LINE_MAX * 2];
    lmail_str first = r->text;
    if (!first.len && code == t->code)
        first = (lmail_str){text, expand(s, t, octets, text, sizeof text)};
    if (code == 421)
        s->close_after = 1;
    lmail_status st = put_text(s, &h, first, r->line_count == 0);
    for (size_t i = 0; !st && i < r->line_count; i++)
        st = put_text(s, &h, r->lines[i], i + 1 == r->line_count);
    return st;
}

/* ---- Refusals that wait ---------------------------------------------------------------------- */

void lmi_smtp_refuse_later(lmi_smtp_refusal *f, lmail_smtp_reply_id id)
{
    if (f->set)
        return;
    f->set = 1;
    f->id = id;
}

lmail_status lmi_smtp_keep_reply(lmail_smtp_server *s, lmi_smtp_refusal *f,
                                 const lmail_smtp_reply *r, lmail_smtp_reply_id id)
{
    if (f->set)
        return LMAIL_OK;
    if (r == &lmi_smtp_host_error)
        id = LMAIL_SMTP_SAY_HOST_ERROR;
    if (!r->code || r == &lmi_smtp_host_error) {
        lmi_smtp_refuse_later(f, id);
        return LMAIL_OK;
    }
    lmail_str text = lmi_str_sub(r->text, 0, 4096);
    f->text = lmi_malloc(&s->base.alloc, r->enhanced.len + text.len);
    if (!f->text)
        return LMAIL_ERR_NOMEM;
    if (r->enhanced.len)
        memcpy(f->text, r->enhanced.ptr, r->enhanced.len);
    if (text.len)
        memcpy(f->text + r->enhanced.len, text.ptr, text.len);
    f->enhanced_len = (uint16_t)r->enhanced.len;
    f->text_len = (uint16_t)text.len;
    f->code = (uint16_t)r->code;
    f->id = LMAIL_SMTP_SAY_NONE;
    f->set = 1;
    return LMAIL_OK;
}

lmail_status lmi_smtp_say_refusal(lmail_smtp_server *s, const lmi_smtp_refusal *f)
{
    const lmail_smtp_server_config *c = &s->setup->config;
    if (f->id) {
        uint64_t limit = f->id == LMAIL_SMTP_SAY_HEADER_TOO_LARGE ? c->max_header : c->max_message;
        return lmi_smtp_say(s, f->id, limit);
    }
    lmail_smtp_reply r = LMAIL_SMTP_REPLY_INIT;
    r.code = f->code;
    r.enhanced = (lmail_str){f->text, f->enhanced_len};
    r.text = (lmail_str){f->text + f->enhanced_len, f->text_len};
    return lmi_smtp_say_host(s, &r, LMAIL_SMTP_SAY_REFUSED, 0);
}

void lmi_smtp_refusal_done(lmail_smtp_server *s, lmi_smtp_refusal *f)
{
    lmi_free(&s->base.alloc, f->text, (size_t)f->enhanced_len + f->text_len);
    memset(f, 0, sizeof *f);
}
