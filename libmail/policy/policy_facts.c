/* policy_facts.c - the structs that a host fills, at their defaults. */
#include <libmail/policy.h>

#include <string.h>

void lmail_policy_config_init(lmail_policy_config *config)
{
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
}

void lmail_policy_peer_init(lmail_policy_peer *peer)
{
    memset(peer, 0, sizeof *peer);
    peer->size = sizeof *peer;
}

void lmail_policy_question_init(lmail_policy_question *question)
{
    memset(question, 0, sizeof *question);
    question->size = sizeof *question;
}
