/* auth_script.c - what the scripted hosts of all protocols say when a client authenticates. */
#include "support/auth_script.h"

#include <string.h>

int script_says(const char *answer, const char *word, const char **rest)
{
    size_t n = strlen(word);
    if (strncmp(answer, word, n) != 0 || (answer[n] && answer[n] != ' '))
        return 0;
    *rest = answer[n] ? answer + n + 1 : answer + n;
    return 1;
}

int auth_script_offered(script *h)
{
    const char *clear = script_get(h, "mechs"), *tls = script_get(h, "mechs_tls");
    return clear || tls;
}

lmail_str auth_script_mechanisms(script *h, int tls)
{
    const char *behind_tls = script_get(h, "mechs_tls");
    return lmail_str_from(tls && behind_tls ? behind_tls : script_get(h, "mechs"));
}

static lmail_auth_failure auth_failure_of(const char **rest)
{
    static const char *const names[] = {"credentials",   "temporary",  "permanent",
                                        "authorization", "expired",    "encryption",
                                        "weak",          "transition", "protocol"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (script_says(*rest, names[i], rest))
            return (lmail_auth_failure)i;
    return (lmail_auth_failure)99;
}

void auth_script_read(script *h, const char *answer, lmail_auth_answer *a)
{
    const char *rest;
    lmail_auth_answer_init(a);
    if (script_says(answer, "continue", &rest)) {
        a->kind = LMAIL_AUTH_CONTINUE;
        a->data = script_octets(h, rest);
    } else if (script_says(answer, "ok", &rest)) {
        a->kind = LMAIL_AUTH_OK;
        size_t n = strcspn(rest, " ");
        a->identity = (lmail_str){rest, n};
        if (rest[n])
            a->data = script_octets(h, rest + n + 1);
    } else if (script_says(answer, "fail", &rest)) {
        a->failure = auth_failure_of(&rest);
        a->text = script_octets(h, rest);
    }
}

lmail_status auth_script_step(script *h, lmail_ticket t, unsigned kind, const lmail_auth_event *ev,
                              lmail_auth_answer *out)
{
    int st;
    const char *a = script_ask(h, t, kind, ev->has_response ? "ok alice" : "continue ", &st,
                               "auth %s %u %s", script_text(h, ev->mechanism), ev->step,
                               ev->has_response ? script_text(h, ev->response) : "-");
    if (!st)
        auth_script_read(h, a, out);
    return (lmail_status)st;
}

lmail_status auth_script_login(script *h, lmail_ticket t, unsigned kind, lmail_str user,
                               lmail_str password, lmail_auth_answer *out)
{
    int st;
    char usual[64] = "fail credentials";
    const char *name = script_text(h, user);
    if (lmail_str_equal(password, LMAIL_STR("secret")))
        snprintf(usual, sizeof usual, "ok %.50s", name);
    const char *a = script_ask(h, t, kind, script_keep(h, usual), &st, "login %s %s", name,
                               script_text(h, password));
    if (!st)
        auth_script_read(h, a, out);
    return (lmail_status)st;
}

void auth_script_end(script *h, lmail_auth_end how)
{
    static const char *const names[] = {"", "ok", "failed", "cancelled", "broken", "gone"};
    script_note(h, "auth end %s", names[how]);
}
