/* imap_parse_more.c - arguments with a meaning: mailbox names, flags, dates.
 *
 * RFC 3501 §5.1 and §9. Names arrive in modified UTF-7 and leave as UTF-8 in NFC; what could
 * confuse a host (NUL, control characters, empty levels) is refused here, once. Called by the
 * commands. */
#include "imap/imap_internal.h"

#include <libmail/codec.h>

#include <string.h>

/* ---- Names ----------------------------------------------------------------------------------- */

static int is_inbox(lmail_str name)
{
    return lmail_str_equal_nocase(name, LMAIL_STR("INBOX"));
}

static lmail_status no_memory(const lmi_imap_args *a, size_t size)
{
    return lmi_arena_full(a->arena, size) ? LMAIL_ERR_LIMIT : LMAIL_ERR_NOMEM;
}

/* NFC where the host has it; a name that cannot be normalised stays as it is. */
static lmail_status normalise(lmi_imap_args *a, lmail_str *name)
{
    const lmail_env *env = a->config->env;
    int ascii = 1;
    for (size_t i = 0; i < name->len; i++)
        ascii &= (unsigned char)name->ptr[i] < 0x80;
    if (ascii || !env || !env->nfc)
        return LMAIL_OK;
    size_t cap = name->len * 4 + 32, made = 0;
    char *out = lmi_arena_get(a->arena, cap);
    if (!out)
        return no_memory(a, cap);
    if (env->nfc(env->ctx, *name, out, cap, &made) == LMAIL_OK && made <= a->config->max_name)
        *name = (lmail_str){out, made};
    return LMAIL_OK;
}

static lmail_status decode(lmi_imap_args *a, lmail_str raw, size_t from, lmail_str *out)
{
    size_t cap = raw.len * 3 + 4, made = 0;
    if (raw.len > a->config->max_name) {
        a->at = from;
        return LMAIL_ERR_LIMIT;
    }
    char *buf = lmi_arena_get(a->arena, cap);
    if (!buf)
        return no_memory(a, cap);
    /* RFC 3501 §5.1.3; 8-bit octets are not in the grammar of a rev1 name. */
    if (lmail_mutf7_decode(raw, buf, cap, &made)) {
        a->at = from;
        return lmi_imap_expected(a, "a mailbox name in modified UTF-7");
    }
    *out = (lmail_str){buf, made};
    for (size_t i = 0; i < made; i++)
        if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f) {
            a->at = from;
            return lmi_imap_expected(a, "a mailbox name without control characters");
        }
    if (made > a->config->max_name) {
        a->at = from;
        return LMAIL_ERR_LIMIT;
    }
    return normalise(a, out);
}

/* RFC 3501 §5.1: INBOX is one name in any case; so is a first level of that name. */
static void fold_inbox(lmail_str *name, char separator)
{
    lmail_str first = lmi_str_sub(*name, 0, separator ? lmi_str_find(*name, separator) : name->len);
    if (!is_inbox(first))
        return;
    char *p = (char *)(uintptr_t)name->ptr; /* our own copy in the arena */
    memcpy(p, "INBOX", 5);
}

lmail_status lmi_imap_mailbox(lmi_imap_args *a, lmail_str *out)
{
    size_t from = a->at;
    lmail_str raw;
    lmail_status st = lmi_imap_astring(a, &raw);
    if (!st)
        st = decode(a, raw, from, out);
    if (st)
        return st;
    fold_inbox(out, a->config->separator);
    return LMAIL_OK;
}

static int is_list_char(char c)
{
    return lmi_imap_is_astring_char(c) || c == '%' || c == '*';
}

lmail_status lmi_imap_pattern(lmi_imap_args *a, lmail_str *out)
{
    size_t from = a->at;
    lmail_str raw;
    int c = lmi_imap_peek(a);
    if (c == '"' || c == '{') {
        lmail_status st = lmi_imap_string(a, &raw);
        if (st)
            return st;
    } else {
        while (a->at < a->len && is_list_char(a->ptr[a->at]))
            a->at++;
        raw = (lmail_str){a->ptr + from, a->at - from};
        if (!raw.len)
            return lmi_imap_expected(a, "a mailbox pattern");
    }
    return decode(a, raw, from, out);
}

/* ---- Flags ----------------------------------------------------------------------------------- */

static const struct {
    lmail_str name;
    lmail_flags flag;
} system_flags[] = {{{"Seen", 4}, LMAIL_FLAG_SEEN},
                    {{"Answered", 8}, LMAIL_FLAG_ANSWERED},
                    {{"Flagged", 7}, LMAIL_FLAG_FLAGGED},
                    {{"Deleted", 7}, LMAIL_FLAG_DELETED},
                    {{"Draft", 5}, LMAIL_FLAG_DRAFT}};

static lmail_status one_flag(lmi_imap_args *a, lmi_imap_flags *out, size_t cap)
{
    lmail_str name;
    size_t from = a->at;
    int slash = lmi_imap_skip(a, '\\');
    lmail_status st = lmi_imap_atom(a, &name);
    if (st)
        return lmi_imap_expected(a, "a flag");
    if (slash) {
        for (size_t i = 0; i < sizeof system_flags / sizeof *system_flags; i++)
            if (lmail_str_equal_nocase(name, system_flags[i].name)) {
                out->system |= system_flags[i].flag;
                return LMAIL_OK;
            }
        /* RFC 9051 §2.3.2: clients do not set \Recent, and no other such flag is defined. */
        a->at = from;
        return lmi_imap_expected(a, "a flag that can be set");
    }
    for (size_t i = 0; i < out->count; i++)
        if (lmail_str_equal_nocase(out->names[i], name))
            return LMAIL_OK;
    if (out->count == cap)
        return LMAIL_ERR_LIMIT;
    out->names[out->count++] = name;
    return LMAIL_OK;
}

lmail_status lmi_imap_flag_list(lmi_imap_args *a, int bare, lmi_imap_flags *out)
{
    *out = (lmi_imap_flags){0, NULL, 0};
    out->names = lmi_arena_get(a->arena, LMAIL_MAX_KEYWORDS * sizeof *out->names);
    if (!out->names)
        return no_memory(a, LMAIL_MAX_KEYWORDS * sizeof *out->names);
    int list = lmi_imap_skip(a, '(');
    if (!list && !bare)
        return lmi_imap_expected(a, "(");
    if (list && lmi_imap_skip(a, ')'))
        return LMAIL_OK;
    do {
        lmail_status st = one_flag(a, out, LMAIL_MAX_KEYWORDS);
        if (st)
            return st;
    } while (lmi_imap_skip(a, ' '));
    return list ? lmi_imap_char(a, ')') : LMAIL_OK;
}

/* ---- Dates ----------------------------------------------------------------------------------- */

int64_t lmi_imap_days(int year, int month, int day)
{
    /* Years begin in March, so that the leap day is the last; 400 years are 146097 days. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

void lmi_imap_civil(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

/* Exactly n digits, or with `blank` a space for the first. */
static int digits(lmi_imap_args *a, size_t n, int blank, int *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        int c = lmi_imap_peek(a);
        if (i == 0 && blank && c == ' ')
            c = '0';
        if (c < '0' || c > '9')
            return 0;
        *out = *out * 10 + (c - '0');
        a->at++;
    }
    return 1;
}

static int month_name(lmi_imap_args *a, int *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    lmail_str word = {a->ptr + a->at, a->len - a->at < 3 ? a->len - a->at : 3};
    for (int m = 0; m < 12; m++)
        if (lmail_str_equal_nocase(word, (lmail_str){names + m * 3, 3})) {
            *month = m + 1;
            a->at += 3;
            return 1;
        }
    return 0;
}

static int day_fits(int year, int month, int day)
{
    static const int last[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return year >= 1 && day >= 1 && day <= last[month - 1] + leap;
}

/* RFC 9051 §9: date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone
 * DQUOTE */
lmail_status lmi_imap_date_time(lmi_imap_args *a, int64_t *seconds, int *zone)
{
    size_t from = a->at;
    int day, month = 1, year, hour, minute, second, zh, zm;
    int ok = lmi_imap_skip(a, '"') && digits(a, 2, 1, &day) && lmi_imap_skip(a, '-') &&
             month_name(a, &month) && lmi_imap_skip(a, '-') && digits(a, 4, 0, &year) &&
             lmi_imap_skip(a, ' ') && digits(a, 2, 0, &hour) && lmi_imap_skip(a, ':') &&
             digits(a, 2, 0, &minute) && lmi_imap_skip(a, ':') && digits(a, 2, 0, &second) &&
             lmi_imap_skip(a, ' ');
    int sign = ok && lmi_imap_skip(a, '-') ? -1 : 1;
    ok = ok && (sign < 0 || lmi_imap_skip(a, '+')) && digits(a, 2, 0, &zh) &&
         digits(a, 2, 0, &zm) && lmi_imap_skip(a, '"');
    if (!ok || !day_fits(year, month, day) || hour > 23 || minute > 59 || second > 60 || zm > 59) {
        a->at = ok ? from : a->at;
        return lmi_imap_expected(a, "a date and time such as \"01-Jan-2020 00:00:00 +0000\"");
    }
    *zone = sign * (zh * 60 + zm);
    *seconds = lmi_imap_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
               (int64_t)*zone * 60;
    return LMAIL_OK;
}

/* RFC 9051 §9: date = date-text / DQUOTE date-text DQUOTE; one digit of the day will do. */
lmail_status lmi_imap_date(lmi_imap_args *a, int32_t *out)
{
    size_t from = a->at;
    int quote = lmi_imap_skip(a, '"');
    int day = 0, month = 1, year, more;
    int ok = digits(a, 1, 0, &day);
    if (ok && digits(a, 1, 0, &more))
        day = day * 10 + more;
    ok = ok && lmi_imap_skip(a, '-') && month_name(a, &month) && lmi_imap_skip(a, '-') &&
         digits(a, 4, 0, &year) && (!quote || lmi_imap_skip(a, '"'));
    if (!ok || !day_fits(year, month, day)) {
        a->at = ok ? from : a->at;
        return lmi_imap_expected(a, "a date such as 1-Feb-1994");
    }
    *out = (int32_t)lmi_imap_days(year, month, day);
    return LMAIL_OK;
}
