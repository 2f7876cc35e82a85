/* service_milter.h - mail filters: asked at each step of an SMTP session, in the order of the
 * configuration, over one connection each.
 *
 *     service_milter.c           the filters of a configuration and of a session; who is asked next
 *     service_milter_conn.c      one connection to one filter
 *     service_milter_gate.c      the SMTP session's questions, with the filters' word behind each
 *     service_milter_macro.c     the macros
 *     service_milter_message.c   a whole message before a filter; what it changes
 *     service_letter*.c          the message that is changed
 *
 * A question of the SMTP session is answered when every filter has had its say. What is slow holds back
 * its own session alone. Everything here runs on the loop of that session. */
#ifndef LMI_SERVICE_MILTER_H
#define LMI_SERVICE_MILTER_H

#include "host/service/service_letter.h"
#include "host/service/service_smtp.h"

#include <libmail/milter.h>

/* A filter of a configuration; lmi_rules has one for each of settings->milters. */
struct lmi_milter {
    const lmail_milter_settings *settings;
    lmail_milter_socket socket;
    lmail_milter_client_setup *setup;
};

typedef struct lmi_filter lmi_filter;

/* A reply that outlives the callback that made it. */
typedef struct lmi_kept_reply {
    unsigned code; /* 0: the default */
    char enhanced[16];
    char text[2048]; /* lines with LF between */
} lmi_kept_reply;

/* A change that waits for the filter's verdict. */
typedef struct lmi_milter_change {
    struct lmi_milter_change *next;
    lmail_milter_change_kind kind;
    uint32_t index;
    lmail_str name, value; /* behind it */
} lmi_milter_change;

typedef enum lmi_filter_state {
    LMI_FILTER_NEW = 0,
    LMI_FILTER_COMING, /* its address is looked up, it is connected to, it negotiates */
    LMI_FILTER_OPEN,
    LMI_FILTER_FAILED, /* its default action holds from here on */
    LMI_FILTER_DONE    /* it has accepted the session */
} lmi_filter_state;

struct lmi_filter {
    struct lmi_filters *set;
    const struct lmi_milter *milter;
    lmail_conn *conn;
    lmail_milter_client *client;
    lmi_filter_state state;
    unsigned ended;      /* the session with it is over: close the connection */
    unsigned leaving;    /* we have said QUIT */
    unsigned stopped;    /* the service stops */
    unsigned done;       /* asks no more about this message */
    unsigned in_message; /* it has heard MAIL, and neither END nor ABORT */
    unsigned waits;      /* it is asked, and has not answered */
    unsigned heard;      /* its verdict is there: */
    lmail_milter_says says;
    lmi_kept_reply reply;
    lmail_msec asked_at;
    char fault[120];

    lmail_dns *dns;
    lmail_ticket dns_ticket;
    char addresses[4][48];
    size_t address_count, address_next;
};

/* What comes of a step. */
typedef enum lmi_filters_verdict {
    LMI_FILTERS_GO_ON = 0,
    LMI_FILTERS_REFUSE, /* verdict: */
    LMI_FILTERS_DISCARD
} lmi_filters_verdict;

/* The filters of one SMTP session. It outlives that until its connections are over. */
struct lmi_filters {
    smtp_peer *peer; /* NULL: the session is over */
    lmi_door *door;
    lmail_loop *loop;
    lmail_timer *timer;
    unsigned open; /* connections and lookups that are not over, jobs that have not come home */
    unsigned off;  /* nobody is asked: the client was refused before */

    /* The step that runs. */
    lmail_milter_ask_kind stage; /* NONE: none does */
    lmail_ticket ticket;         /* of the session's question */
    lmail_milter_ask ask;
    void (*then)(struct lmi_filters *f);
    size_t at;
    unsigned running, cancelled, jobs;
    unsigned rejected; /* a RCPT that is refused already: only who wants to know is told */
    lmi_filters_verdict verdict;
    lmi_kept_reply refusal;

    /* The session's question (service_milter_gate.c). */
    struct {
        lmail_ticket ticket; /* decided elsewhere first; 0: none is */
        unsigned kind;       /* lmail_milter_ask_kind */
        const void *event;
        size_t recipients; /* of the message before it */
    } gate;
    lmi_kept_reply kept;
    lmail_str lines[32]; /* of the reply that is given now */
    lmail_smtp_connect_answer connect;
    lmi_kept_reply barred; /* code not 0: what MAIL is told in this session */
    lmi_told *told;
    size_t told_count;
    lmail_str args[6];
    char arg_room[6][64];
    char address[1100]; /* in brackets */
    uint64_t ours;      /* octets in front of the message that are this host's */
    unsigned end_refused;

    /* The message before a filter (service_milter_message.c). */
    unsigned phase;
    size_t field;
    uint64_t offset;
    char *piece;
    size_t piece_len, piece_cap;
    unsigned piece_there, piece_last;
    lmi_milter_change *changes, **changes_end;
    size_t changes_size;
    unsigned change_count;
    lmi_new_body body;

    char macro[2048];
    size_t count;
    lmi_filter items[];
};
typedef struct lmi_filters lmi_filters;

/* ---- service_milter.c */

/* The filters of a configuration. Returns OK, or fills error. */
lmail_status lmi_milters_new(lmi_rules *r, char *error, size_t cap);
void lmi_milters_free(lmi_rules *r);
/* How many a listener has. */
size_t lmi_filters_of(const lmi_door *door);
/* NULL: no memory. */
lmi_filters *lmi_filters_new(smtp_peer *p);
/* Ask them all f->ask; then(f) is called unless OK is returned, in which case f->verdict is there now. */
lmail_status lmi_filters_start(lmi_filters *f, lmail_milter_ask_kind stage, lmail_ticket t,
                               void (*then)(lmi_filters *));
/* Something has come: go on, from the loop. */
void lmi_filters_soon(lmi_filters *f);
/* Tell those that know of a message that it is over. */
void lmi_filters_abort(lmi_filters *f);
/* Would anybody be asked at this step? */
int lmi_filters_asks(const lmi_filters *f, lmail_milter_ask_kind stage);
/* The one that is asked has said this about a question; OK, or END: f->verdict is final. */
lmail_status lmi_filter_judge(lmi_filters *f, lmi_filter *x);
/* One fewer of f->open; f may be gone afterwards. */
void lmi_filters_let_go(lmi_filters *f);
void lmi_reply_keep(lmi_kept_reply *to, unsigned code, lmail_str enhanced, lmail_str text);

/* ---- service_milter_conn.c */

void lmi_filter_connect(lmi_filter *x);
/* The next address, or it has failed. */
void lmi_filter_connect_next(lmi_filter *x);
void lmi_filter_fail(lmi_filter *x, const char *why);
void lmi_filter_close(lmi_filter *x);
/* Ask it; OK: its verdict is there, PENDING. */
lmail_status lmi_filter_ask(lmi_filter *x, const lmail_milter_ask *ask);
extern const lmail_milter_client_handler lmi_filter_handler;

/* ---- service_milter_macro.c */

lmail_str lmi_filter_macro(const lmail_milter_client *s, void *user, lmail_milter_stage stage,
                           lmail_str name);

/* ---- service_milter_message.c */

/* Go on with the one that is asked about a message. OK (the next one), PENDING, or END. */
lmail_status lmi_filter_message(lmi_filters *f, lmi_filter *x);
lmail_status lmi_filter_changed(lmail_milter_client *s, void *user, lmail_ticket t,
                                const lmail_milter_change_event *ev,
                                lmail_milter_change_answer *answer);
/* Forget where it stands, and what a filter wanted changed. */
void lmi_filters_message_reset(lmi_filters *f);
/* A job for the session's peer that f waits for. */
lmail_status lmi_filters_job(lmi_filters *f, size_t size, void (*work)(lmi_job *),
                             void (*finish)(lmi_job *), lmi_job **out);

#endif
