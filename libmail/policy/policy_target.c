/* policy_target.c - one target of an alias: what it is, and whether it is allowed.
 *
 * Files and programs are off unless the configuration names them. A program is named by its last
 * part, as smrsh does: whatever directory the alias says, the path is the configuration's. No shell
 * reads the arguments, so what would mean something to one is refused. */
#include "policy/policy_tables_internal.h"

#include <string.h>

#include "mime/mime_internal.h"

static lmail_str trim(lmail_str s)
{
    while (s.len && lmi_is_blank(*s.ptr))
        s = lmi_str_skip(s, 1);
    while (s.len && lmi_is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

int lmi_target_next(lmail_str *list, lmail_str *target)
{
    while (list->len) {
        size_t end = 0;
        int angle = 0;
        while (end < list->len && (angle || list->ptr[end] != ',')) {
            if (list->ptr[end] == '<')
                angle = 1;
            else if (list->ptr[end] == '>')
                angle = 0;
            end = lmi_mime_skip_token(*list, end);
        }
        *target = trim(lmi_str_sub(*list, 0, end));
        *list = lmi_str_skip(*list, end + 1);
        if (target->len)
            return 1;
    }
    return 0;
}

static int is_quoted(lmail_str s)
{
    return s.len > 2 && *s.ptr == '"' && lmi_mime_skip_token(s, 0) == s.len;
}

/* The inside of a text that is quoted as a whole, in place; else the text. */
static lmail_str unquote(char *ptr, size_t len)
{
    lmail_str s = {ptr, len};
    return is_quoted(s) ? (lmail_str){ptr, lmi_local_unquote(s, ptr)} : s;
}

/* ---- Files and programs ---------------------------------------------------------------------- */

static int has_dot_dot(lmail_str path)
{
    for (size_t i = 0; i + 2 < path.len; i++)
        if (memcmp(path.ptr + i, "/..", 3) == 0 && (i + 3 == path.len || path.ptr[i + 3] == '/'))
            return 1;
    return 0;
}

static int file_allowed(const lmail_policy_tables *t, lmail_str path)
{
    if (has_dot_dot(path) || path.ptr[path.len - 1] == '/')
        return 0;
    for (size_t i = 0; i < t->file_directory_count; i++) {
        lmail_str d = t->file_directories[i];
        while (d.len && d.ptr[d.len - 1] == '/')
            d.len--;
        if (d.len && path.len > d.len + 1 && path.ptr[d.len] == '/' &&
            memcmp(path.ptr, d.ptr, d.len) == 0)
            return 1;
    }
    return 0;
}

static lmail_str last_part(lmail_str path)
{
    size_t at = path.len;
    while (at && path.ptr[at - 1] != '/')
        at--;
    return lmi_str_skip(path, at);
}

static const char *check_program(const lmail_policy_tables *t, lmail_str command, lmi_target *out)
{
    size_t end = 0;
    out->kind = LMI_TARGET_NO_PROGRAM;
    while (end < command.len && !lmi_is_blank(command.ptr[end]))
        end++;
    lmail_str name = last_part(lmi_str_sub(command, 0, end));
    out->text = trim(lmi_str_skip(command, end));
    for (size_t i = 0; i < command.len; i++)
        if (memchr("`<>|;&$()'\"\\", command.ptr[i], 12))
            return "no shell reads a program's arguments: write them without special characters";
    for (size_t i = 0; i < t->program_count; i++)
        if (name.len && lmail_str_equal(last_part(t->programs[i]), name)) {
            out->kind = LMI_TARGET_PROGRAM;
            out->number = (uint32_t)i;
            return NULL;
        }
    return "this program is not among those that are allowed";
}

/* ---- Addresses ------------------------------------------------------------------------------- */

/* "Name <user@domain> (comment)" in place to user@domain. */
static const char *check_address(char *ptr, size_t len, lmi_target *out)
{
    lmail_str s = {ptr, len};
    lmail_mime_address_reader r;
    lmail_mime_address a;
    out->kind = LMI_TARGET_BAD;
    lmail_mime_address_reader_init(&r, s, NULL, 0);
    if (!lmail_mime_address_next(&r, &a) || a.kind != LMAIL_MIME_MAILBOX)
        return "this is not an address";
    lmail_str local = a.raw_local, domain = a.raw_domain;
    if (lmail_mime_address_next(&r, &a))
        return "this is not an address";
    size_t at = 0;
    for (size_t i = 0; i < local.len; i = lmi_mime_skip_token(local, i))
        if (lmi_is_blank(local.ptr[i]) || local.ptr[i] == '(')
            return "this is not an address: is a comma missing?";
    for (size_t i = 0; i < domain.len; i++)
        if (lmi_is_blank(domain.ptr[i]) || domain.ptr[i] == '(')
            return "this is not an address: is a comma missing?";
    if (!local.len || (domain.ptr && !domain.len) || local.len + domain.len > 320)
        return "this is not an address";
    if (local.ptr + local.len + 1 == domain.ptr || !domain.ptr) {
        out->text = lmi_str_sub(s, (size_t)(local.ptr - ptr), local.len + domain.len);
        out->text.len += domain.ptr ? 1 : 0;
    } else {
        memmove(ptr, local.ptr, local.len);
        at = local.len;
        ptr[at++] = '@';
        memmove(ptr + at, domain.ptr, domain.len);
        out->text = (lmail_str){ptr, at + domain.len};
    }
    out->kind = LMI_TARGET_ADDRESS;
    return NULL;
}

static const char *check_target(lmi_tables_reader *r, char *ptr, size_t len, lmi_target *out)
{
    lmail_str s = {ptr, len};
    if (is_quoted(s) && memchr("|/:", ptr[1], 3))
        s = unquote(ptr, len);
    if (lmi_str_has_prefix_nocase(s, LMAIL_STR(":include:"))) {
        s = trim(lmi_str_skip(s, 9));
        out->text = s;
        out->kind = s.len ? LMI_TARGET_INCLUDE : LMI_TARGET_BAD;
        return s.len ? NULL : "a file's name belongs behind :include:";
    }
    if (s.len && s.ptr[0] == '|') {
        s = trim(lmi_str_skip(s, 1));
        return check_program(r->t, unquote(ptr + (s.ptr - ptr), s.len), out);
    }
    if (s.len && s.ptr[0] == '/' && lmi_str_find(s, '@') == s.len) {
        out->text = s;
        out->kind = file_allowed(r->t, s) ? LMI_TARGET_FILE : LMI_TARGET_NO_FILE;
        return out->kind == LMI_TARGET_FILE ? NULL : "this file is in no directory that is allowed";
    }
    if (len > 1 && *ptr == '\\') {
        lmail_str domain;
        int has_domain;
        lmi_address_split(unquote(ptr + 1, len - 1), &out->text, &domain, &has_domain);
        out->kind = out->text.len ? LMI_TARGET_MAILBOX : LMI_TARGET_BAD;
        return out->text.len ? NULL : "a name belongs behind the backslash";
    }
    return check_address(ptr, len, out);
}

void lmi_target_parse(lmi_tables_reader *r, char *ptr, size_t len, uint32_t line, lmi_target *out)
{
    lmail_str shown = {ptr, len};
    *out = (lmi_target){{ptr, len}, line, 0, LMI_TARGET_BAD};
    const char *wrong = check_target(r, ptr, len, out);
    if (wrong)
        LMI_TABLES_SAY(r, LMAIL_WARNING, line, shown, LMAIL_STR(": "), lmail_str_from(wrong));
}
