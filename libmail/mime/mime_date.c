/* mime_date.c - Date: values (RFC 5322 §3.3, obsolete forms §4.3) and what programs write instead.
 *
 * Called for SORT, SEARCH SENT* and by sessions that show a date. Reads words in any order that
 * makes sense: "Tue, 1 Jul 2003 10:52:37 +0200", "Tue Jul  1 10:52:37 2003",
 * "2003-07-01T10:52:37Z". */
#include "mime_internal.h"

typedef struct date {
    int year, month, day; /* 0: not seen yet; year -1 */
    int hour, minute, second, has_time;
    int zone, has_zone;
} date;

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int32_t days_of(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = y / 400;
    int of_era = y - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return era * 146097 + days - 719468;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_alpha(char c)
{
    c = lmi_ascii_lower(c);
    return c >= 'a' && c <= 'z';
}

/* Up to `max` digits off the front; -1: none. */
static int take_number(lmail_str *s, size_t max)
{
    int value = -1;
    for (size_t i = 0; i < max && s->len && is_digit(*s->ptr); i++) {
        if (value > 99999)
            return value; /* no number of a date is that long */
        value = (value < 0 ? 0 : value * 10) + (*s->ptr - '0');
        *s = lmi_str_skip(*s, 1);
    }
    return value;
}

static int take_char(lmail_str *s, char c)
{
    if (!s->len || *s->ptr != c)
        return 0;
    *s = lmi_str_skip(*s, 1);
    return 1;
}

/* 1..12, or 0. */
static int month_of(lmail_str word)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    if (word.len < 3)
        return 0;
    for (int i = 0; i < 12; i++) {
        if (lmail_str_equal_nocase(lmi_str_sub(word, 0, 3), (lmail_str){names + 3 * i, 3}))
            return i + 1;
    }
    return 0;
}

/* RFC 5322 §4.3: the named zones; military letters and unknown names count as UTC. */
static int zone_of(lmail_str word)
{
    static const struct {
        char name[4];
        int hours;
    } zones[] = {{"EDT", -4}, {"EST", -5}, {"CDT", -5}, {"CST", -6}, {"MDT", -6},
                 {"MST", -7}, {"PDT", -7}, {"PST", -8}, {"CET", 1},  {"MET", 1},
                 {"BST", 1},  {"EET", 2},  {"JST", 9}};
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        if (lmail_str_equal_nocase(word, (lmail_str){zones[i].name, 3}))
            return zones[i].hours * 60;
    }
    if (lmail_str_equal_nocase(word, LMAIL_STR("CEST")))
        return 120;
    return 0;
}

/* "+0200", "-05:30", "+2". */
static void read_offset(date *d, lmail_str s)
{
    int sign = *s.ptr == '-' ? -1 : 1;
    s = lmi_str_skip(s, 1);
    size_t digits = 0;
    while (digits < s.len && is_digit(s.ptr[digits]))
        digits++;
    int hours = take_number(&s, digits > 2 ? digits - 2 : 2);
    take_char(&s, ':');
    int minutes = take_number(&s, 2);
    if (hours < 0 || hours > 24 || minutes > 59)
        return; /* nonsense counts as UTC */
    d->zone = sign * (hours * 60 + (minutes < 0 ? 0 : minutes));
    d->has_zone = 1;
}

/* "10:52[:37[.5]]" and a zone stuck to it. */
static void read_time(date *d, lmail_str s)
{
    int hour = take_number(&s, 2), minute = 0, second = 0;
    if (take_char(&s, ':'))
        minute = take_number(&s, 2);
    if (take_char(&s, ':'))
        second = take_number(&s, 2);
    if (take_char(&s, '.'))
        take_number(&s, 9);
    d->has_time = 1;
    if (hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 60) {
        d->hour = hour;
        d->minute = minute;
        d->second = second;
    }
    if (s.len && (*s.ptr == '+' || *s.ptr == '-'))
        read_offset(d, s);
    else if (s.len && (*s.ptr == 'Z' || *s.ptr == 'z'))
        d->has_zone = 1;
}

/* RFC 5322 §4.3: two digits below 50 are 20xx, other two and three digits are 19xx. */
static void set_year(date *d, int year, size_t digits)
{
    if (digits <= 2)
        year += year < 50 ? 2000 : 1900;
    else if (digits == 3)
        year += 1900;
    d->year = year;
}

/* A word that begins with a digit and holds no ":": a day, a year, "1-Jul-2003" or "2003-07-01". */
static void read_number(date *d, lmail_str s)
{
    size_t digits = 0;
    while (digits < s.len && is_digit(s.ptr[digits]))
        digits++;
    int value = take_number(&s, digits > 6 ? 6 : digits);
    if (digits == 4 && take_char(&s, '-')) {
        d->year = value;
        d->month = take_number(&s, 2);
        d->day = take_char(&s, '-') ? take_number(&s, 2) : 0;
        return;
    }
    if (d->day == 0 && digits <= 2)
        d->day = value;
    else if (d->year < 0)
        set_year(d, value, digits);
    if (take_char(&s, '-') && s.len) {
        size_t dash = lmi_str_find(s, '-');
        d->month = month_of(lmi_str_sub(s, 0, dash));
        s = lmi_str_skip(s, dash + 1);
        digits = s.len;
        value = take_number(&s, 4);
        if (value >= 0)
            set_year(d, value, digits - s.len);
    }
}

static void read_word(date *d, lmail_str word)
{
    char c = *word.ptr;
    if ((c == '+' || c == '-') && word.len > 1 && is_digit(word.ptr[1])) {
        if (d->has_time && !d->has_zone)
            read_offset(d, word);
    } else if (is_digit(c)) {
        /* ISO 8601: date and time in one word */
        size_t t = lmi_str_find(word, 'T');
        if (t < word.len) {
            read_number(d, lmi_str_sub(word, 0, t));
            read_time(d, lmi_str_skip(word, t + 1));
        } else if (lmi_str_find(word, ':') < word.len) {
            if (!d->has_time)
                read_time(d, word);
        } else {
            read_number(d, word);
        }
    } else if (is_alpha(c)) {
        int month = d->month ? 0 : month_of(word);
        if (month) {
            d->month = month;
        } else if (d->has_time && !d->has_zone && (d->day || d->month)) {
            if (lmail_str_equal_nocase(word, LMAIL_STR("PM")) && d->hour < 12) {
                d->hour += 12;
            } else if (!lmail_str_equal_nocase(word, LMAIL_STR("AM"))) {
                d->zone = zone_of(word);
                d->has_zone = 1;
            }
        }
    }
}

/* The next word: white space, commas and comments stand between. */
static int next_word(lmail_str *s, lmail_str *word)
{
    size_t depth = 0, at = 0;
    while (at < s->len) {
        char c = s->ptr[at];
        if (c == '(')
            depth++;
        else if (c == ')')
            depth -= depth > 0;
        else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != ',')
            break;
        at++;
    }
    *s = lmi_str_skip(*s, at);
    at = 0;
    while (at < s->len && s->ptr[at] != ' ' && s->ptr[at] != '\t' && s->ptr[at] != '\r' &&
           s->ptr[at] != '\n' && s->ptr[at] != ',' && s->ptr[at] != '(')
        at++;
    *word = lmi_str_sub(*s, 0, at);
    *s = lmi_str_skip(*s, at);
    return at > 0;
}

lmail_status lmail_mime_date_parse(lmail_str value, int64_t *seconds, int32_t *day, int32_t *zone)
{
    date d = {-1, 0, 0, 0, 0, 0, 0, 0, 0};
    lmail_str word;
    /* "10 : 52" is legal and unseen; no date has more than a dozen words */
    for (int words = 0; words < 16 && next_word(&value, &word); words++)
        read_word(&d, word);
    if (d.year < 1 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31)
        return LMAIL_ERR_SYNTAX;
    *day = days_of(d.year, d.month, d.day);
    *zone = d.zone;
    *seconds = (int64_t)*day * 86400 + d.hour * 3600 + d.minute * 60 + d.second - d.zone * 60;
    return LMAIL_OK;
}
