/* fuzz_smtp_command.c - paths, addresses, domains, parameters and the splitting of commands.
 *
 * First octet: which rules hold. The rest is a command line. Oracles: slices lie in the input; an
 * address that was taken, written again, is taken again and the same; unquoting never grows;
 * decoding xtext never grows and makes no control octet. */
#include "smtp/smtp_internal.h"

#include <stdlib.h>
#include <string.h>

static void must(int condition)
{
    if (!condition)
        abort();
}

static void inside(lmail_str part, lmail_str whole)
{
    must(part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void check_address(const lmail_smtp_address *a, uint64_t flags, lmail_str whole)
{
    lmail_smtp_address again;
    inside(a->text, whole);
    inside(a->local, whole);
    inside(a->domain, whole);
    if (a->flags & LMAIL_SMTP_ADDRESS_NULL)
        return;
    must(a->text.len == a->local.len + (a->domain.len ? a->domain.len + 1 : 0));
    must(lmail_smtp_address_parse(a->text, flags, 1000, &again, NULL) == LMAIL_OK);
    must(lmail_str_equal(again.local, a->local) && lmail_str_equal(again.domain, a->domain));
    char *out = malloc(a->local.len + 1);
    must(lmail_smtp_local_unquote(a->local, out) <= a->local.len);
    free(out);
}

static void check_decode(lmail_str xtext, int unicode)
{
    char *copy = malloc(xtext.len + 1);
    if (xtext.len)
        memcpy(copy, xtext.ptr, xtext.len);
    lmail_str d = lmi_smtp_xtext_decode(copy, xtext.len, unicode);
    must(d.len <= xtext.len);
    for (size_t i = 0; i < d.len; i++)
        must((unsigned char)d.ptr[i] >= 32 && d.ptr[i] != 127);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lmail_smtp_server_setup setup;
    lmail_smtp_server s = {.setup = &setup};
    if (size < 2)
        return 0;
    setup.config.max_parameters = 16;
    s.flags = ((uint64_t)data[0] << 20 & 0x3f00000u) | LMAIL_SMTP_FLAGS_DEFAULT;
    s.flags |= LMAIL_SMTP_BINARYMIME;
    if (data[0] & 0x40)
        s.flags &= ~(uint64_t)LMAIL_SMTP_SMTPUTF8;
    s.smtputf8 = data[0] >> 7;
    char *copy = malloc(size - 1); /* exact, for the sanitizer */
    memcpy(copy, data + 1, size - 1);
    lmail_str line = {copy, size - 1}, verb, args, bad = {NULL, 0};
    lmi_smtp_rules rules = {s.flags | LMAIL_SMTP_ALLOW_UNQUALIFIED, 256, 64};
    lmi_smtp_split(line, &verb, &args);
    inside(verb, line);
    inside(args, line);
    (void)lmi_smtp_is_domain(args, s.flags);
    (void)lmi_smtp_is_literal(args);
    lmail_str path = lmi_str_skip(args, lmi_str_find(args, ':') + 1);
    for (int reverse = 0; reverse < 2; reverse++) {
        lmail_smtp_mail_event mail = {0};
        lmail_smtp_rcpt_event rcpt = {0};
        size_t used;
        lmail_smtp_address *a = reverse ? &mail.from : &rcpt.to;
        lmail_smtp_reply_id id = lmi_smtp_parse_path(path, &rules, reverse, a, &used);
        must(used <= path.len);
        if (id)
            continue;
        check_address(a, rules.flags, line);
        lmail_str rest = lmi_str_skip(path, used);
        if (reverse && !lmi_smtp_mail_params(&s, rest, &mail, &bad, 1)) {
            check_decode(mail.envid, 0);
            check_decode(mail.auth, 0);
        }
        if (!reverse && !lmi_smtp_rcpt_params(&s, rest, &rcpt, &bad))
            check_decode(rcpt.orcpt, lmail_str_equal_nocase(rcpt.orcpt_type, LMAIL_STR("utf-8")));
        inside(bad, line);
    }
    free(copy);
    return 0;
}
