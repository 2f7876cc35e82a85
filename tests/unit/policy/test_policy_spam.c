/* Spam: keys of the access map: which recipient is a friend or a hater, and what that spares. */
#include <libmail/policy.h>

#include <check.h>
#include <string.h>

Suite *policy_spam_suite(void);

static const struct search {
    const char *access, *recipient;
    int found; /* the recipient is a friend, or a hater */
} searches[] = {
    /* full address, with and without its detail */
    {"Spam:ann@here.example WORD", "ann@here.example", 1},
    {"Spam:ann@here.example WORD", "ANN@Here.Example", 1},
    {"Spam:ann@here.example WORD", "ann+x@here.example", 1},
    {"Spam:ann+*@here.example WORD", "ann+x@here.example", 1},
    {"Spam:ann+*@here.example WORD", "ann@here.example", 0},
    {"Spam:ann+x@here.example WORD", "ann+y@here.example", 0},
    {"Spam:ann@relayed.example WORD", "ann@sub.relayed.example", 0},
    /* who has no domain is of this host */
    {"Spam:ann@here.example WORD", "ann", 1},
    {"Spam:ann+*@here.example WORD", "ann+x", 1},
    {"Spam:here.example WORD", "ann", 1},
    {"Spam:ann@ WORD", "ann", 1},
    {"Spam:ann@other.example WORD", "ann", 0},
    /* the local part, at any domain */
    {"Spam:ann@ WORD", "ann@here.example", 1},
    {"Spam:ann@ WORD", "ann+x@here.example", 1},
    {"Spam:ann+*@ WORD", "ann+x@here.example", 1},
    {"Spam:ann@ WORD", "ann@relayed.example", 1},
    {"Spam:ann@ WORD", "bob@here.example", 0},
    /* the domain and what is below it */
    {"Spam:here.example WORD", "ann@here.example", 1},
    {"Spam:relayed.example WORD", "ann@a.b.relayed.example", 1},
    {"Spam:example WORD", "ann@relayed.example", 1},
    /* there is no untagged form */
    {"ann@here.example WORD", "ann@here.example", 0},
    {"To:ann@here.example OK", "ann@here.example", 0},
    /* the first hit ends the search: full address, local part, domain */
    {"Spam:ann@here.example WORD\nSpam:ann@ OTHER\nSpam:here.example OTHER", "ann@here.example", 1},
    {"Spam:ann@here.example OTHER\nSpam:ann@ WORD\nSpam:here.example WORD", "ann@here.example", 0},
    {"Spam:ann@ WORD\nSpam:here.example OTHER", "ann@here.example", 1},
    {"Spam:ann@ OTHER\nSpam:here.example WORD", "ann@here.example", 0},
    {"Spam:ann@ WORD\nSpam:relayed.example OTHER", "ann@relayed.example", 1},
    {"Spam:sub.relayed.example WORD\nSpam:relayed.example OTHER", "a@sub.relayed.example", 1},
};

/* The rows' words in those that this mode looks for. */
static void spell(char *out, size_t cap, const char *access, int friend)
{
    size_t n = 0;
    while (*access && n + 8 < cap) {
        const char *word = NULL;
        if (strncmp(access, "WORD", 4) == 0)
            word = friend ? "FRIEND" : "HATER";
        else if (strncmp(access, "OTHER", 5) == 0)
            word = friend ? "HATER" : "FRIEND";
        if (!word) {
            out[n++] = *access++;
            continue;
        }
        memcpy(out + n, word, strlen(word));
        n += strlen(word);
        access += word[0] == (friend ? 'F' : 'H') ? 4 : 5;
    }
    out[n] = '\0';
}

/* A client that the map refuses writes to that recipient. */
static int is_let_in(const char *access, const char *recipient, unsigned mode)
{
    char text[400];
    lmail_policy_config c = LMAIL_POLICY_CONFIG_INIT;
    lmail_policy_peer peer = LMAIL_POLICY_PEER_INIT;
    lmail_policy_question q = LMAIL_POLICY_QUESTION_INIT;
    lmail_policy_verdict v;
    lmail_policy *p;
    memcpy(text, "Connect:192.0.2.1 REJECT\nTo:relayed.example RELAY\n", 51);
    spell(text + strlen(text), sizeof text - strlen(text), access,
          mode == LMAIL_POLICY_DELAY_FRIEND);
    c.host_name = LMAIL_STR("here.example");
    c.delay_checks = mode;
    c.access = (lmail_policy_file){LMAIL_STR("access"), lmail_str_from(text)};
    ck_assert_int_eq(lmail_policy_new(&p, &c), LMAIL_OK);
    peer.address = LMAIL_STR("192.0.2.1");
    peer.name_state = LMAIL_POLICY_NAME_NONE;
    q.peer = &peer;
    q.sender = LMAIL_STR("a@sender.example");
    q.sender_domain = LMAIL_POLICY_YES;
    q.recipient = lmail_str_from(recipient);
    ck_assert_int_eq(lmail_policy_rcpt(p, &q, &v), LMAIL_OK);
    int in = v.kind == LMAIL_POLICY_LOCAL || v.kind == LMAIL_POLICY_RELAY;
    ck_assert(in || (v.kind == LMAIL_POLICY_DENY && v.code == 550));
    lmail_policy_free(p);
    return in;
}

START_TEST(a_recipient_is_looked_for_as_full_user_and_domain)
{
    const struct search *s = &searches[_i];
    ck_assert_int_eq(is_let_in(s->access, s->recipient, LMAIL_POLICY_DELAY_FRIEND), s->found);
    ck_assert_int_eq(is_let_in(s->access, s->recipient, LMAIL_POLICY_DELAY_HATER), !s->found);
    ck_assert_int_eq(is_let_in(s->access, s->recipient, LMAIL_POLICY_DELAY_ON), 0);
}
END_TEST

Suite *policy_spam_suite(void)
{
    Suite *s = suite_create("policy_spam");
    TCase *c = tcase_create("spam");
    tcase_add_loop_test(c, a_recipient_is_looked_for_as_full_user_and_domain, 0,
                        sizeof searches / sizeof *searches);
    suite_add_tcase(s, c);
    return s;
}
