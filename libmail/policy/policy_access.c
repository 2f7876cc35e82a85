/* policy_access.c - the lines of the access map: tag, key, value.
 *
 * Lines as administrators write them: blanks around a tag's colon and before a key are repaired,
 * comments behind a keyword cut off, each with one warning. A repair never means more than the line
 * plainly says. */
#include "policy/policy_internal.h"

#include <string.h>

const lmi_tag_row lmi_tags[LMI_TAG_COUNT] = {
    [LMI_TAG_NONE] = {"", "", 0, 0},
    [LMI_TAG_CONNECT] = {"Connect:", "connect:", 0, 0},
    [LMI_TAG_FROM] = {"From:", "from:", 0, 0},
    [LMI_TAG_TO] = {"To:", "to:", 0, 0},
    [LMI_TAG_SPAM] = {"Spam:", "spam:", 0, 0},
    [LMI_TAG_TLS_CLT] = {"TLS_Clt:", "tls_clt:", 1, 0},
    [LMI_TAG_TLS_SRV] = {"TLS_Srv:", "tls_srv:", 1, 0},
    [LMI_TAG_TLS_RCPT] = {"TLS_Rcpt:", "tls_rcpt:", 1, 0},
    [LMI_TAG_TRY_TLS] = {"Try_TLS:", "try_tls:", 1, 0},
    [LMI_TAG_SRV_FEATURES] = {"Srv_Features:", "srv_features:", 1, 0},
    [LMI_TAG_AUTHINFO] = {"AuthInfo:", "authinfo:", 1, 0},
    [LMI_TAG_CLIENT_RATE] = {"ClientRate:", "clientrate:", 1, 0},
    [LMI_TAG_CLIENT_CONN] = {"ClientConn:", "clientconn:", 1, 0},
    [LMI_TAG_GREET_PAUSE] = {"GreetPause:", "greetpause:", 1, 0},
    [LMI_TAG_QGRP] = {"QGRP:", "qgrp:", 1, 1},
    [LMI_TAG_COMPAT] = {"Compat:", "compat:", 0, 1},
    [LMI_TAG_CERT_ISSUER] = {"CertIssuer:", "certissuer:", 0, 1},
    [LMI_TAG_CERT_SUBJECT] = {"CertSubject:", "certsubject:", 0, 1},
};

lmail_str lmi_tag_folded(lmi_tag tag)
{
    return lmail_str_from(lmi_tags[tag].folded);
}

lmi_value_kind lmi_entry_kind(const lmi_map_entry *e)
{
    return (lmi_value_kind)(e->kind & ~LMI_VALUE_TAGGED);
}

void lmi_policy_say(lmi_policy_loader *l, lmail_severity severity, const lmail_str *pieces,
                    size_t count)
{
    if (severity == LMAIL_ERROR)
        l->errors++;
    lmi_diagnose(l->config->diagnostic, l->config->diagnostic_ctx, severity, l->file, l->line,
                 pieces, count);
}

/* ---- One line -------------------------------------------------------------------------------- */

/* A line in its parts; key and value lie in the line. */
typedef struct parts {
    lmi_tag tag;
    char *key, *value;
    size_t key_len, value_len;
} parts;

static size_t blanks_at(const lmi_map_text_line *line, size_t i)
{
    while (i < line->len && lmi_is_blank(line->ptr[i]))
        i++;
    return i;
}

static size_t word_end(const lmi_map_text_line *line, size_t i)
{
    while (i < line->len && !lmi_is_blank(line->ptr[i]))
        i++;
    return i;
}

/* "Connect" without its colon. */
static lmi_tag find_tag(lmail_str word)
{
    for (unsigned t = LMI_TAG_CONNECT; t < LMI_TAG_COUNT; t++) {
        lmail_str name = lmail_str_from(lmi_tags[t].name);
        name.len--;
        if (lmail_str_equal_nocase(word, name))
            return (lmi_tag)t;
    }
    return LMI_TAG_NONE;
}

static const char *tag_at(const void *ctx, size_t i)
{
    (void)ctx;
    return i + 1 < LMI_TAG_COUNT ? lmi_tags[i + 1].name : NULL;
}

/* A word of letters and a colon before the key, which is no tag. */
static void judge_tag(lmi_policy_loader *l, lmail_str key)
{
    size_t n = 0;
    while (n < key.len && (key.ptr[n] == '_' || (lmi_ascii_lower(key.ptr[n]) >= 'a' &&
                                                 lmi_ascii_lower(key.ptr[n]) <= 'z')))
        n++;
    if (n < 2 || n == key.len || key.ptr[n] != ':')
        return;
    lmail_str tag = lmi_str_sub(key, 0, n + 1);
    const char *near = lmi_suggest(tag, tag_at, NULL);
    if (near)
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("unknown tag \""), tag,
                       LMAIL_STR("\", did you mean "), lmail_str_from(near));
    else
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("unknown tag \""), tag, LMAIL_STR("\""));
}

/* Key and value from `at` on. */
static void split(const lmi_map_text_line *line, size_t at, parts *out)
{
    size_t end = word_end(line, at), value = blanks_at(line, end);
    out->key = line->ptr + at;
    out->key_len = end - at;
    out->value = line->ptr + value;
    out->value_len = line->len - value;
}

/* 1: *out is the line; 0: it is ignored, which was said. */
static int take_apart(lmi_policy_loader *l, const lmi_map_text_line *line, parts *out)
{
    size_t stop = 0;
    while (stop < line->len && line->ptr[stop] != ':' && !lmi_is_blank(line->ptr[stop]))
        stop++;
    size_t colon = blanks_at(line, stop);
    out->tag = find_tag((lmail_str){line->ptr, stop});
    if (out->tag == LMI_TAG_NONE || colon == line->len || line->ptr[colon] != ':') {
        out->tag = LMI_TAG_NONE;
        split(line, 0, out);
        judge_tag(l, (lmail_str){out->key, out->key_len});
    } else {
        size_t key = blanks_at(line, colon + 1);
        lmail_str rest = {line->ptr + key, line->len - key};
        if (rest.len == 0) {
            LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("tag without key and value, line ignored"));
            return 0;
        }
        if (key > colon + 1 && lmi_tags[out->tag].alone && lmi_value_fits(out->tag, rest)) {
            out->key = line->ptr + key;
            out->key_len = 0;
            out->value = line->ptr + key;
            out->value_len = rest.len;
        } else {
            split(line, key, out);
            if (out->value_len && (key > colon + 1 || colon > stop))
                LMI_POLICY_SAY(l, LMAIL_WARNING,
                               key > colon + 1 ? LMAIL_STR("blank after tag")
                                               : LMAIL_STR("blank before the colon of a tag"),
                               LMAIL_STR(", read as \""), lmail_str_from(lmi_tags[out->tag].name),
                               (lmail_str){out->key, out->key_len}, LMAIL_STR("\""));
        }
    }
    if (out->value_len == 0)
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("key without value, line ignored"));
    return out->value_len > 0;
}

static void judge_key(lmi_policy_loader *l, lmi_key_fault fault, lmail_str key)
{
    static const char *const why[] = {
        [LMI_KEY_MASK] = "\": masks are not understood, write the prefix alone, as 192.168.1",
        [LMI_KEY_LAST_DOT] = "\" never matches, write it without its last dot",
        [LMI_KEY_WILDCARD] = "\" never matches, a name covers all names below it",
        [LMI_KEY_BARE_IPV6] = "\" never matches, an IPv6 address is written IPv6:2001:db8::1",
        [LMI_KEY_BAD_IPV6] = "\" never matches, it is no IPv6 address or network",
    };
    if (fault)
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("\""), key, lmail_str_from(why[fault]));
}

/* The key as it is looked up: "tag:spelling". It stays in its line when it fits there. */
static lmail_status place_key(lmail_policy *p, lmi_policy_loader *l, parts *in,
                              lmi_map_entry *entry)
{
    char room[LMI_MAX_KEY_TEXT], whole[LMI_MAX_KEY_TEXT + 32];
    lmi_key_fault fault;
    lmi_map_fold(in->key, in->key_len);
    lmail_str key = {in->key, in->key_len}, tag = lmi_tag_folded(in->tag), kept;
    lmail_str spelt = lmi_key_spell(key, room, &fault);
    judge_key(l, fault, key);
    /* before the key stand at least the tag's own octets, however they were spaced */
    if (spelt.ptr == key.ptr && tag.len) {
        entry->key = in->key - tag.len;
        memcpy(in->key - tag.len, tag.ptr, tag.len);
    } else if (spelt.ptr == key.ptr) {
        entry->key = in->key;
    } else {
        memcpy(whole, tag.ptr, tag.len);
        memcpy(whole + tag.len, spelt.ptr, spelt.len);
        lmail_status st = lmi_map_keep(&p->access, (lmail_str){whole, tag.len + spelt.len}, &kept);
        if (st)
            return st;
        entry->key = kept.ptr;
    }
    entry->key_len = (uint16_t)(tag.len + spelt.len);
    return LMAIL_OK;
}

static lmail_status take_line(lmail_policy *p, lmi_policy_loader *l, const lmi_map_text_line *line,
                              uint8_t source)
{
    parts in;
    const lmi_map_entry *old;
    l->line = line->number;
    if (line->indented)
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("leading blanks ignored"));
    if (!take_apart(l, line, &in))
        return LMAIL_OK;
    if (in.key_len > LMI_MAX_KEY_TEXT) {
        LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("the key is too long, line ignored"));
        return LMAIL_OK;
    }
    lmi_map_entry e = {.line = line->number, .source = source};
    char *value;
    unsigned kind = lmi_value_read(l, in.tag, in.value, &in.value_len, &value);
    e.kind = (uint8_t)(kind | (in.tag ? LMI_VALUE_TAGGED : 0));
    e.value = value;
    e.value_len = (uint32_t)in.value_len;
    lmail_status st = place_key(p, l, &in, &e);
    if (st)
        return st;
    p->access.secret |= in.tag == LMI_TAG_AUTHINFO;
    st = lmi_map_add(&p->access, &e, &old);
    if (st == LMAIL_ERR_EXISTS) {
        char number[20];
        if (old->kind != e.kind || !lmail_str_equal_nocase(lmi_map_value(old), lmi_map_value(&e)))
            LMI_POLICY_SAY(l, LMAIL_WARNING, LMAIL_STR("line "),
                           (lmail_str){number, lmi_write_u64(number, old->line)},
                           LMAIL_STR(" has another value for this key and is kept"));
        return LMAIL_OK;
    }
    if (st == LMAIL_OK)
        p->tag_count[in.tag]++;
    return st;
}

lmail_status lmi_access_load(lmail_policy *p, lmi_policy_loader *l)
{
    lmi_map_lines lines;
    lmi_map_text_line line;
    uint8_t source;
    const lmail_policy_file *f = &l->config->access;
    if (f->name.len == 0 && f->octets.len == 0)
        return LMAIL_OK;
    l->file = f->name;
    lmail_status st = lmi_map_source(&p->access, f->name, &source);
    if (st == LMAIL_OK)
        st = lmi_map_copy(&p->access, f->octets, &lines);
    while (st == LMAIL_OK && lmi_map_line(&lines, &line))
        st = take_line(p, l, &line, source);
    return st;
}
