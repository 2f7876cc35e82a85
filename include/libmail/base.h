/* libmail/base.h - the vocabulary that every other header uses.
 *
 * Slices, milliseconds, status codes, the allocator, the environment table, complaints about files,
 * arithmetic that cannot overflow. Nothing here does I/O, reads a clock or keeps state.
 *
 * Rules that hold for the whole library:
 *   - Text is a slice (pointer and length), never a terminated string. It may hold NUL.
 *   - A slice that a function or callback receives is borrowed for that call, unless its comment
 *     says otherwise. Who wants it longer copies it.
 *   - A struct that the host fills starts with `size_t size` and is set up by its _INIT macro or
 *     its _init function. Members are only ever added at the end; zero means the old behaviour.
 *   - Functions return lmail_status: 0 is done, above 0 is "not yet", below 0 is an error of the
 *     call (misuse, memory, a dead session) - never something that a peer or a host decided.
 */
#ifndef LIBMAIL_BASE_H
#define LIBMAIL_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define LMAIL_API
#elif defined(__GNUC__)
#define LMAIL_API __attribute__((visibility("default")))
#else
#define LMAIL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define LMAIL_VERSION "0.1.0"
#define LMAIL_VERSION_NUMBER 0x000100u /* major << 16 | minor << 8 | patch */

/* The version of the library that runs, as LMAIL_VERSION. A static string. */
LMAIL_API const char *lmail_version(void);

/* ---- Slices ---------------------------------------------------------------------------------- */

/* Borrowed octets. `ptr` may be NULL when `len` is 0. */
typedef struct lmail_str {
    const char *ptr;
    size_t len;
} lmail_str;

/* A slice over a string literal. */
#ifdef __cplusplus
#define LMAIL_STR(literal) (lmail_str{"" literal, sizeof(literal) - 1})
#else
#define LMAIL_STR(literal) ((lmail_str){"" literal, sizeof(literal) - 1})
#endif

/* A slice over a terminated string; NULL gives the empty slice. */
LMAIL_API lmail_str lmail_str_from(const char *text);

/* Equal octet by octet: 1 or 0. */
LMAIL_API int lmail_str_equal(lmail_str a, lmail_str b);

/* Equal when ASCII letters are compared without case: 1 or 0. Octets above 127 compare exactly. */
LMAIL_API int lmail_str_equal_nocase(lmail_str a, lmail_str b);

/* ---- Time ------------------------------------------------------------------------------------ */

/* Milliseconds of the host's steady clock (CLOCK_MONOTONIC or the like); any origin. */
typedef uint64_t lmail_msec;
#define LMAIL_NEVER UINT64_MAX

/* ---- Status ---------------------------------------------------------------------------------- */

/* One list makes the enum, the names and the texts. */
#define LMAIL_STATUS_MAP(XX)                                                                       \
    XX(OK, 0, "done")                                                                              \
    XX(PENDING, 1, "the answer comes later")                                                       \
    XX(MORE, 2, "more input is needed")                                                            \
    XX(END, 3, "there is nothing further")                                                         \
    XX(ERR_NOMEM, -1, "out of memory")                                                             \
    XX(ERR_ARG, -2, "an argument is not valid")                                                    \
    XX(ERR_SIZE, -3, "a struct's size member is unknown to this library")                          \
    XX(ERR_REENTRANT, -4, "not allowed from inside a callback of the same session")                \
    XX(ERR_CLOSED, -5, "the session has ended")                                                    \
    XX(ERR_STALE, -6, "the ticket was cancelled or answered before")                               \
    XX(ERR_STATE, -7, "the call does not fit the present state")                                   \
    XX(ERR_SYNTAX, -8, "the octets do not follow the grammar")                                     \
    XX(ERR_LIMIT, -9, "a configured limit is reached")                                             \
    XX(ERR_UNSUPPORTED, -10, "not supported")                                                      \
    XX(ERR_NOTFOUND, -11, "no such thing")                                                         \
    XX(ERR_EXISTS, -12, "it exists already")                                                       \
    XX(ERR_DENIED, -13, "not permitted")                                                           \
    XX(ERR_FULL, -14, "no space is left")                                                          \
    XX(ERR_QUOTA, -15, "over quota")                                                               \
    XX(ERR_IO, -16, "the system reported an input or output error")                                \
    XX(ERR_BUSY, -17, "in use, try again later")                                                   \
    XX(ERR_CORRUPT, -18, "stored data is damaged")

typedef enum lmail_status {
#define XX(name, value, text) LMAIL_##name = value,
    LMAIL_STATUS_MAP(XX)
#undef XX
} lmail_status;

/* "LMAIL_ERR_STALE"; "LMAIL_?" for a value not in the list. A static string. */
LMAIL_API const char *lmail_status_name(lmail_status status);

/* A short English text for people, without a full stop. A static string. */
LMAIL_API const char *lmail_status_text(lmail_status status);

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Where a session's memory comes from. A zeroed table means the C library's.
 *   resize  new_size 0 frees and returns NULL; ptr NULL allocates; otherwise as realloc.
 *           Returns NULL when there is no memory; the old block then stays valid.
 * Called only from within calls on the session that it was given to. */
typedef struct lmail_alloc {
    void *ctx;
    void *(*resize)(void *ctx, void *ptr, size_t old_size, size_t new_size);
} lmail_alloc;

/* a + b and a * b into *out. Returns OK, or ERR_LIMIT on overflow (*out is then SIZE_MAX). */
LMAIL_API lmail_status lmail_size_add(size_t a, size_t b, size_t *out);
LMAIL_API lmail_status lmail_size_mul(size_t a, size_t b, size_t *out);

/* ---- What the pure rooms need of the world --------------------------------------------------- */

/* libmail itself knows ASCII, Latin-1 and UTF-8. Everything else comes through this table; every
 * member may be NULL. libmail-host fills it (lmail_host_env) with iconv, utf8proc and libidn2.
 * The functions may be called from any thread that drives a session. */
typedef struct lmail_env {
    size_t size;
    void *ctx;

    /* Charset conversion to UTF-8, in pieces.
     *   open      NULL when the charset is unknown
     *   convert   takes *used octets of `in`, makes *made octets in out[0..cap). An octet that
     *             cannot be converted becomes U+FFFD; it never fails. An incomplete sequence at
     *             the end of `in` stays untaken; with `end` not zero it becomes U+FFFD.
     *             Returns OK (all taken) or MORE (out is full)
     *   close     the converter is not used again */
    void *(*charset_open)(void *ctx, lmail_str charset);
    lmail_status (*charset_convert)(void *ctx, void *converter, lmail_str in, int end, size_t *used,
                                    char *out, size_t cap, size_t *made);
    void (*charset_close)(void *ctx, void *converter);

    /* Fold UTF-8 for searching (i;unicode-casemap, RFC 5051): case folded and decomposed.
     * OK, or ERR_LIMIT when cap is too small. Four times in.len plus 32 is always enough. */
    lmail_status (*fold)(void *ctx, lmail_str in, char *out, size_t cap, size_t *made);

    /* Normalise UTF-8 to NFC, for mailbox names and user names. As fold. */
    lmail_status (*nfc)(void *ctx, lmail_str in, char *out, size_t cap, size_t *made);

    /* Domain name to its A-label form, lower case (UTS #46). ERR_SYNTAX when it is none. */
    lmail_status (*idna)(void *ctx, lmail_str in, char *out, size_t cap, size_t *made);

    /* Fill out[0..n) with octets that nobody can guess. OK or ERR_IO. */
    lmail_status (*random)(void *ctx, void *out, size_t n);

    /* Wall-clock time: seconds since 1970-01-01 00:00 UTC, and the local offset in minutes. */
    int64_t (*wall_clock)(void *ctx, int *offset_minutes);
} lmail_env;

#define LMAIL_ENV_INIT                                                                             \
    {                                                                                              \
        sizeof(lmail_env), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL                    \
    }

/* The same for bindings: zero the struct and set its size. */
LMAIL_API void lmail_env_init(lmail_env *env);

/* ---- What readers of an administrator's files say --------------------------------------------- */

typedef enum lmail_severity { LMAIL_NOTICE = 0, LMAIL_WARNING, LMAIL_ERROR } lmail_severity;

/* One complaint. Library-filled; borrowed for the call that shows it. */
typedef struct lmail_diagnostic {
    lmail_severity severity;
    lmail_str file;
    size_t line;    /* from 1; 0: the file as a whole */
    lmail_str text; /* English, one line, without a full stop; control octets are '?' already */
} lmail_diagnostic;

/* Told every complaint, in the order of the lines. */
typedef void lmail_diagnostic_fn(void *ctx, const lmail_diagnostic *d);

/* A complaint as a line for people: "libmail.conf:14: error: unknown setting" - without the number
 * when the file as a whole is meant, without a line end, control octets of the file's name as '?'.
 *   out   terminated, unless cap is 0; a text that does not fit is cut
 * Returns: octets written, the terminator not counted; below cap, or 0. */
LMAIL_API size_t lmail_diagnostic_write(const lmail_diagnostic *d, char *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
