/* milter_internal.h - what the files of the milter room share.
 *
 *     milter_setup.c      config and handler made into one block; names
 *     milter_client.c     the session: its life, the pump's class, its states and timers, its end
 *     milter_ask.c        questions and macros are written; which of them a filter wants
 *     milter_packet.c     packets come in, in any split; which answer fits which question
 *     milter_negotiate.c  the filter's word about versions, rights, steps and macros
 *     milter_change.c     changes at the end of a message
 *     milter_reply.c      a reply in the filter's words
 *
 * A packet is four octets of length, most significant first, a letter, and data; the length counts
 * the letter. Texts end with NUL. */
#ifndef LMI_MILTER_INTERNAL_H
#define LMI_MILTER_INTERNAL_H

#include "base/base_internal.h"

#include <libmail/milter.h>

/* ---- The protocol's numbers ------------------------------------------------------------------ */

#define LMI_MILTER_VERSION 6u
#define LMI_MILTER_DATA 65535u /* octets of data in a packet, before more is agreed on */
#define LMI_MILTER_DATA_256K 262143u
#define LMI_MILTER_DATA_1M 1048575u

enum {
    LMI_STEP_NO_CONNECT = 0x1,
    LMI_STEP_NO_HELO = 0x2,
    LMI_STEP_NO_MAIL = 0x4,
    LMI_STEP_NO_RCPT = 0x8,
    LMI_STEP_NO_BODY = 0x10,
    LMI_STEP_NO_HEADERS = 0x20,
    LMI_STEP_NO_EOH = 0x40,
    LMI_STEP_MUTE_HEADER = 0x80, /* no answer to this question */
    LMI_STEP_NO_UNKNOWN = 0x100,
    LMI_STEP_NO_DATA = 0x200,
    LMI_STEP_SKIP = 0x400, /* it may say SKIP */
    LMI_STEP_MUTE_CONNECT = 0x1000,
    LMI_STEP_MUTE_HELO = 0x2000,
    LMI_STEP_MUTE_MAIL = 0x4000,
    LMI_STEP_MUTE_RCPT = 0x8000,
    LMI_STEP_MUTE_DATA = 0x10000,
    LMI_STEP_MUTE_UNKNOWN = 0x20000,
    LMI_STEP_MUTE_EOH = 0x40000,
    LMI_STEP_MUTE_BODY = 0x80000,
    LMI_STEP_V2 = 0x7f,
    LMI_STEP_V6 = 0x1fffff,
    LMI_STEP_256K = 0x10000000,
    LMI_STEP_1M = 0x20000000
};

/* ---- State ----------------------------------------------------------------------------------- */

typedef enum lmi_milter_state {
    LMI_MILTER_START,
    LMI_MILTER_NEGOTIATING,
    LMI_MILTER_IDLE,
    LMI_MILTER_WRITING, /* no answer is due: the verdict comes when the output has room */
    LMI_MILTER_WAITING, /* for the answer to `ask` */
    LMI_MILTER_OVER
} lmi_milter_state;

struct lmail_milter_client_setup {
    size_t size;
    lmail_milter_client_config config;
    lmail_milter_client_handler on;
    uint32_t steps; /* that are offered */
};

struct lmail_milter_client {
    struct lmail_session base;
    const lmail_milter_client_setup *setup;
    lmi_milter_state state;
    lmail_milter_ask_kind ask; /* that runs, or NONE */
    lmail_milter_facts facts;
    uint32_t skipped; /* bits of kinds that are not asked any more for this message */
    uint32_t changes; /* of this message */
    uint8_t ended;    /* on_end came */
    lmail_msec end_due;
    lmail_msec stood_still; /* when the change that is at the host was asked */

    /* The packet that comes in. */
    unsigned char head[4];
    unsigned head_len;
    size_t need, got; /* octets of the packet behind its length */
    char *packet;
    size_t packet_cap;

    char *value; /* of a change, in the form that the host gets */
    size_t value_cap;
    char *names; /* the filter's lists of macros */
    size_t names_size;
    lmail_str macros[LMAIL_MILTER_STAGE_COUNT];
};

/* ---- Between the files ----------------------------------------------------------------------- */

/* milter_client.c. All writes to s->state stand there. */
void lmi_milter_enter(lmail_milter_client *s, lmi_milter_state state);
/* Set the timer for what is waited for now. */
void lmi_milter_wait(lmail_milter_client *s);
/* The running question has its verdict; the session is IDLE. */
void lmi_milter_verdict(lmail_milter_client *s, lmail_milter_verdict_event *ev);
void lmi_milter_ready(lmail_milter_client *s);
/* The session is over. Always OK. */
lmail_status lmi_milter_fail(lmail_milter_client *s, lmail_milter_cause cause, const char *text);
#define lmi_milter_violation(s, text) lmi_milter_fail(s, LMAIL_MILTER_CAUSE_PROTOCOL, text)

/* milter_ask.c */
lmail_status lmi_milter_write(lmail_milter_client *s, char letter, const lmail_str *pieces,
                              size_t count);
lmail_status lmi_milter_offer(lmail_milter_client *s);
int lmi_milter_is_mute(const lmail_milter_client *s, lmail_milter_ask_kind kind);
void lmi_milter_put32(char out[4], uint32_t value);

/* milter_packet.c */
lmail_status lmi_milter_input(lmail_milter_client *s, lmail_str in, size_t *used);
uint32_t lmi_milter_get32(const char *p);
/* Take the text that ends at the next NUL off *in. OK, or ERR_SYNTAX: there is no NUL. */
lmail_status lmi_milter_text(lmail_str *in, lmail_str *out);

/* What may come in, by its letter; data lies in s->packet. OK, or an error that ends all. */
lmail_status lmi_milter_negotiated(lmail_milter_client *s, lmail_str data);
lmail_status lmi_milter_change(lmail_milter_client *s, char letter, lmail_str data);
int lmi_milter_is_change(char letter);
lmail_status lmi_milter_reply(lmail_milter_client *s, lmail_str data);

#endif
