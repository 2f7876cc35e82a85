/* host_echo.h - a session type for tests of host/net: small, but it uses every part of the pump.
 *
 * Lines (CRLF) that it understands; replies end with CRLF:
 *     echo TEXT     TEXT
 *     big N         N octets "abc...z", pulled as output leaves, then CRLF
 *     sink N        takes N octets, then "sunk"
 *     hold N        takes N octets, each piece lent to a question; then "held CHECKSUM"
 *     ask           a question; "answer" when it is answered
 *     starttls      "go", then TLS
 *     tls           "VERSION/ALPN/SNI/IDENTITY", or "none"
 *     quit          "bye", and closes
 * The greeting is "220 echo", 421 with stop(), "idle" after idle milliseconds without a line. */
#ifndef TESTS_HOST_ECHO_H
#define TESTS_HOST_ECHO_H

#include <libmail/session.h>

typedef struct echo_host {
    void *user;
    lmail_msec idle; /* 0: no timer */
    /* A question: answer it with echo_answer, now is not allowed. lent: of "hold", else empty.
     * NULL: questions are never answered. */
    void (*on_ask)(void *user, lmail_session *s, lmail_ticket t, lmail_str lent);
    void (*on_cancel)(void *user, lmail_session *s, lmail_ticket t);
} echo_host;

lmail_session *echo_new(const echo_host *host, void *user, lmail_msec now);
lmail_status echo_answer(lmail_session *s, lmail_ticket t, lmail_msec now);
void *echo_user(const lmail_session *s);

#endif
