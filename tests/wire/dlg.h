/* dlg.h - a dialogue: what one peer says, what the session must answer, what its host decides.
 *
 * The format, line by line (blank lines and `# words` are comments):
 *
 *     # rfc: 5321 §4.1.1.3   what this proves
 *     # config: key value    a setting, read by the protocol's adaptor (tests/support/script_*.c)
 *     # answers: now         not played with late answers (it is about a callback's return)
 *     # peak: octets         the session may never hold more memory than this
 *
 *     C: text      the client sends text CRLF           C= escaped octets, as they are, no CRLF
 *     X: 00 ff     the client sends these octets        R: 1000 text   text CRLF, 1000 times
 *     S: text      the server must now send text CRLF   S= escaped octets, exactly
 *     S~ pattern   the same with * for any run
 *                  (a protocol named ..._client: the session is the client, so S lines are what it
 *                  hears, and C, C=, C~ what it must now say)
 *     H: question -> answer     how the host answers the next such question (* in the question)
 *     H: question => answer     how it answers each of them
 *     H: answer text            the oldest pending question gets its answer
 *     H: answer [question] text that one
 *     H: tls                    shake hands: tls_begin with what is not fed yet, then tls_done;
 *                               before the first octet: implicit TLS
 *     H: tls refused            the same, and tls_begin must refuse
 *     H: filter                 filter_done
 *     H: stop | rest | other    lmail_session_stop, _rest; other words go to the adaptor's action
 *     Q: pattern   such a line is in the host's log, after the one that the last Q: found
 *     Q! pattern   no such line is in the whole log
 *     T: +5000     so many milliseconds pass
 *     E:           the peer ends its side
 *     W: READ TLS  these are wanted now;  W: !READ CLOSE   the first is not
 *
 * Escapes: \r \n \t \0 \\ \" \xNN, and \*N;c for N times c. Questions and the log show octets with
 * the same escapes. An answer "pending" waits for H: answer; "error NAME" is the callback's
 * status. */
#ifndef WIRE_DLG_H
#define WIRE_DLG_H

#include "support/count_alloc.h"
#include "support/script.h"

typedef struct dlg_step {
    char kind; /* C S H Q T E W R X, lower case for the second form: c is C=, s is S=, g is S~, G is
                  C~, q is Q! */
    unsigned line;
    char *text;
} dlg_step;

typedef struct dlg {
    char *path;
    dlg_step *steps;
    size_t count, capacity;
    size_t peak; /* 0: not limited */
    int has_rfc;
    int only_now;
} dlg;

typedef struct dlg_mode {
    char name[48];
    size_t split;
    int late;
    unsigned gone_at;
    size_t fail_at;
} dlg_mode;

typedef struct dlg_result {
    unsigned questions; /* asked in the run */
    size_t requests;    /* allocations in the run */
    size_t failed;      /* of them refused */
    unsigned line;      /* of the fault */
    char fault[2048];   /* empty: as expected */
} dlg_result;

/* 0, or -1 with a message in `fault`. */
int dlg_parse(dlg *d, const char *path, char *fault, size_t cap);
void dlg_free(dlg *d);
void dlg_play(const dlg *d, const script_adaptor *adaptor, const dlg_mode *mode, dlg_result *r);
/* What the client sends in all, for fuzz seeds. */
void dlg_client_octets(const dlg *d, const script_adaptor *adaptor, FILE *to);

#endif
