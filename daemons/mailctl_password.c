/* Reading a password: twice on a terminal without echo, or one line from a pipe. Never from the
 * command line, where others can read it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <libmail/host/accounts.h>

#include "mailctl.h"

static volatile sig_atomic_t caught;

static void note_signal(int number)
{
    caught = number;
}

/* One line, octet by octet, so that nothing behind it is taken from the pipe. */
static int read_line(char *out, size_t cap, size_t *len)
{
    *len = 0;
    for (;;) {
        char c;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR && !caught) {
            continue;
        }
        if (n < 0 || caught) {
            return MAILCTL_REFUSED;
        }
        if (n == 0 || c == '\n') {
            break;
        }
        if (c == '\0' || *len == cap) {
            mailctl_say(c == '\0' ? "a password holds no NUL" : "the password is too long");
            return MAILCTL_REFUSED;
        }
        out[(*len)++] = c;
    }
    if (*len > 0 && out[*len - 1] == '\r') {
        (*len)--;
    }
    if (*len == 0) {
        mailctl_say("the password is empty");
        return MAILCTL_REFUSED;
    }
    return MAILCTL_DONE;
}

static int ask(const char *prompt, const char *user, char *out, size_t cap, size_t *len)
{
    fprintf(stderr, "%s for %s: ", prompt, user);
    int code = read_line(out, cap, len);
    fputc('\n', stderr);
    return code;
}

static int ask_terminal(const char *user, int twice, char *out, size_t cap, size_t *len)
{
    char again[LMAIL_MAX_PASSWORD];
    size_t again_len;
    int code = ask("Password", user, out, cap, len);
    if (code == MAILCTL_DONE && twice) {
        code = ask("The same again", user, again, sizeof again, &again_len);
        if (code == MAILCTL_DONE && (again_len != *len || memcmp(again, out, *len) != 0)) {
            mailctl_say("the two are not the same; nothing is changed");
            code = MAILCTL_REFUSED;
        }
        explicit_bzero(again, sizeof again);
    }
    return code;
}

int mailctl_read_password(const char *user, int from_pipe, int twice, char *out, size_t cap,
                          size_t *len)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction quiet = {.sa_handler = note_signal}, before[4];
    struct termios shown, hidden;
    if (from_pipe) {
        return read_line(out, cap, len);
    }
    if (tcgetattr(STDIN_FILENO, &shown) != 0) {
        mailctl_say("there is no terminal to ask on; with -p the password comes from a pipe");
        return MAILCTL_REFUSED;
    }
    /* Whoever interrupts gets the echo back first. */
    for (size_t i = 0; i < 4; i++) {
        sigaction(signals[i], &quiet, &before[i]);
    }
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    int code = ask_terminal(user, twice, out, cap, len);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    for (size_t i = 0; i < 4; i++) {
        sigaction(signals[i], &before[i], NULL);
    }
    if (caught) {
        explicit_bzero(out, cap);
        raise(caught);
    }
    return code;
}
