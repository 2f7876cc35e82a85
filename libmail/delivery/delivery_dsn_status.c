/* delivery_dsn_status.c - the fields of message/delivery-status (RFC 3464 §2.2, §2.3) and of
 * message/global-delivery-status (RFC 6533 §3, §4.1).
 *
 * In the plain form nothing beyond ASCII stands: addresses take the form of RFC 6533's
 * utf-8-addr-xtext, other text "?". */
#include "delivery_dsn_internal.h"

#include <string.h>

#define VALUE (4 * LMI_DSN_VALUE)

/* A field out of pieces. */
static void put_field(lmail_dsn *d, lmail_str name, const lmail_str *pieces, size_t count)
{
    char value[VALUE];
    lmi_mime_out o;
    lmi_mime_out_fixed(&o, value, sizeof value);
    for (size_t i = 0; i < count; i++)
        lmi_mime_put(&o, pieces[i]);
    lmail_str text = {value, o.len < sizeof value ? o.len : sizeof value};
    for (size_t i = 0; !d->w.utf8 && i < text.len; i++)
        if ((unsigned char)value[i] > 126)
            value[i] = '?';
    if (lmail_mime_value_write(&d->w, name, text) == LMAIL_ERR_LIMIT)
        lmail_mime_value_write(&d->w, name, LMAIL_STR("unknown; (too long)"));
}

/* utf-8-addr-xtext: RFC 6533 §3. A character that does not fit any more ends it. */
static size_t put_unitext(lmail_str in, char *out, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t made = 0;
    while (in.len && cap - made >= 10) {
        uint32_t point;
        int good;
        size_t n = lmail_utf8_get(in, &point, &good);
        if (point > 32 && point < 127 && point != '\\' && point != '+' && point != '=') {
            out[made++] = (char)point;
        } else {
            unsigned shift = 4;
            while (shift < 20 && point >> (shift + 4))
                shift += 4;
            memcpy(out + made, "\\x{", 3);
            made += 3;
            for (unsigned s = shift + 4; s > 0; s -= 4)
                out[made++] = digits[point >> (s - 4) & 15];
            out[made++] = '}';
        }
        in = lmi_str_skip(in, n ? n : in.len);
    }
    return made;
}

static int is_atom(lmail_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = lmi_ascii_lower(s.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return 0;
    }
    return s.len > 0;
}

/* "type; address". A type of the RFC 6533 kind is for what is beyond ASCII. */
static void put_address(lmail_dsn *d, lmail_str name, lmail_str type, lmail_str address)
{
    char coded[LMI_DSN_VALUE - 32];
    int unicode = lmail_str_equal_nocase(type, LMAIL_STR("utf-8"));
    if (lmail_str_equal_nocase(type, LMAIL_STR("rfc822")) && !lmi_mime_is_ascii(address)) {
        type = LMAIL_STR("utf-8");
        unicode = 1;
    }
    if (unicode && !d->w.utf8)
        address = (lmail_str){coded, put_unitext(address, coded, sizeof coded)};
    put_field(d, name, LMI_PIECES(type, LMAIL_STR("; "), address));
}

static void put_orcpt(lmail_dsn *d, lmail_str orcpt)
{
    size_t semicolon = lmi_str_find(orcpt, ';');
    lmail_str type = lmi_str_sub(orcpt, 0, semicolon);
    lmail_str address = lmi_str_skip(orcpt, semicolon < orcpt.len ? semicolon + 1 : orcpt.len);
    while (address.len && address.ptr[0] == ' ')
        address = lmi_str_skip(address, 1);
    /* §2.3.1: "unknown" where the type cannot be told. */
    if (!is_atom(type) || !address.len) {
        type = LMAIL_STR("unknown");
        address = orcpt;
    }
    put_address(d, LMAIL_STR("Original-Recipient"), type, address);
}

static void put_date(lmail_dsn *d, lmail_str name, int64_t when)
{
    if (when)
        lmail_mime_date_write(&d->w, name, when / 1000, d->report.zone);
}

/* A comment holds no parentheses and no backslash of its own. */
static lmail_str in_comment(lmail_str text, char *out, size_t cap)
{
    size_t n = text.len < cap ? text.len : cap;
    for (size_t i = 0; i < n; i++)
        out[i] = strchr("()\\", text.ptr[i]) ? '?' : text.ptr[i];
    return (lmail_str){out, n};
}

void lmi_dsn_status_begin(lmail_dsn *d)
{
    const lmail_dsn_report *r = &d->report;
    char address[64];
    d->w.utf8 = d->global;
    put_field(d, LMAIL_STR("Reporting-MTA"), LMI_PIECES(LMAIL_STR("dns; "), d->config.host));
    if (r->envid.len)
        put_field(d, LMAIL_STR("Original-Envelope-Id"), LMI_PIECES(r->envid));
    lmail_str from = in_comment(r->client_address, address, sizeof address);
    /* §2.2.4: the name given in HELO, the address as a comment. */
    if (r->client.len && from.len)
        put_field(d, LMAIL_STR("Received-From-MTA"),
                  LMI_PIECES(LMAIL_STR("dns; "), r->client, LMAIL_STR(" ("), from, LMAIL_STR(")")));
    else if (r->client.len)
        put_field(d, LMAIL_STR("Received-From-MTA"), LMI_PIECES(LMAIL_STR("dns; "), r->client));
    else if (from.len)
        put_field(d, LMAIL_STR("Received-From-MTA"),
                  LMI_PIECES(LMAIL_STR("dns; ["), from, LMAIL_STR("]")));
    put_date(d, LMAIL_STR("Arrival-Date"), r->arrived);
}

/* §2.3.4: DIGIT "." 1*3DIGIT "." 1*3DIGIT, no leading zeros. */
static int is_status(lmail_str s)
{
    size_t at = 1;
    if (s.len < 5 || (s.ptr[0] != '2' && s.ptr[0] != '4' && s.ptr[0] != '5'))
        return 0;
    for (unsigned part = 0; part < 2; part++) {
        if (at >= s.len || s.ptr[at++] != '.')
            return 0;
        size_t from = at;
        while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
            at++;
        if (at == from || at - from > 3 || (at - from > 1 && s.ptr[from] == '0'))
            return 0;
    }
    return at == s.len;
}

lmail_str lmi_dsn_enhanced(const lmail_dsn_recipient *r)
{
    char class_digit = r->enhanced.len ? r->enhanced.ptr[0] : '0';
    int good = is_status(r->enhanced);
    switch (r->action) {
    case LMAIL_DSN_FAILED:
        /* §2.3.3: what was given up may have failed for the time being only. */
        return good && class_digit != '2' ? r->enhanced : LMAIL_STR("5.0.0");
    case LMAIL_DSN_DELAYED:
        return good && class_digit == '4' ? r->enhanced : LMAIL_STR("4.0.0");
    default:
        return good && class_digit == '2' ? r->enhanced : LMAIL_STR("2.0.0");
    }
}

lmail_str lmi_dsn_said(const lmail_dsn_recipient *r)
{
    lmail_str enhanced = lmi_dsn_enhanced(r);
    int own = enhanced.ptr != r->enhanced.ptr;
    if (own || r->code / 100 != (unsigned)(enhanced.ptr[0] - '0'))
        return (lmail_str){NULL, 0};
    return enhanced;
}

static void put_diagnostic(lmail_dsn *d, const lmail_dsn_recipient *r)
{
    char digits[20];
    lmail_str code = {digits, lmi_write_u64(digits, r->code)}, said = lmi_dsn_said(r);
    lmail_str name = LMAIL_STR("Diagnostic-Code");
    if (r->code)
        put_field(d, name,
                  LMI_PIECES(LMAIL_STR("smtp; "), code, said.len ? LMAIL_STR(" ") : said, said,
                             LMAIL_STR(" "), r->text));
    else if (r->text.len)
        put_field(d, name, LMI_PIECES(LMAIL_STR("X-Libmail; "), r->text));
}

void lmi_dsn_status_recipient(lmail_dsn *d, const lmail_dsn_recipient *r)
{
    lmail_str rfc822 = LMAIL_STR("rfc822");
    d->w.utf8 = d->global;
    lmail_mime_blank_write(&d->w);
    if (r->orcpt.len)
        put_orcpt(d, r->orcpt);
    put_address(d, LMAIL_STR("Final-Recipient"), rfc822, r->final);
    if (r->actual.len && !lmail_str_equal(r->actual, r->final))
        put_address(d, LMAIL_STR("X-Actual-Recipient"), rfc822, r->actual);
    put_field(d, LMAIL_STR("Action"), LMI_PIECES(lmail_str_from(lmail_dsn_action_name(r->action))));
    put_field(d, LMAIL_STR("Status"), LMI_PIECES(lmi_dsn_enhanced(r)));
    /* §2.3.5: only who has reported something; without it the diagnostic is our own. */
    if (r->code && r->host.len)
        put_field(d, LMAIL_STR("Remote-MTA"), LMI_PIECES(LMAIL_STR("dns; "), r->host));
    /* §2.3.6: of failed and delayed ones. */
    if (r->action == LMAIL_DSN_FAILED || r->action == LMAIL_DSN_DELAYED)
        put_diagnostic(d, r);
    put_date(d, LMAIL_STR("Last-Attempt-Date"), r->last);
    if (r->log_id.len)
        put_field(d, LMAIL_STR("Final-Log-ID"), LMI_PIECES(r->log_id));
    /* §2.3.9: in no other. */
    if (r->action == LMAIL_DSN_DELAYED)
        put_date(d, LMAIL_STR("Will-Retry-Until"), r->retry_until);
}
