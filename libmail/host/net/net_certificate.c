/* net_certificate.c - the self-signed certificate of a first start.
 *
 * Key first, certificate second, each written to a nameless-to-others temporary file and linked
 * into place, so that neither is ever seen half. Programs that start together take turns by a lock
 * on the directory. A key that stands alone (a start that was cut off) gets its certificate. */
#include "net_internal.h"
#include "net_mbedtls.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PEM_MAX 8192u
#define VALID_YEARS 10

/* ---- Files ----------------------------------------------------------------------------------- */

static int write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text += n;
        len -= (size_t)n;
    }
    return fsync(fd);
}

/* The file appears whole, and only if there was none. */
static int place(const char *path, const char *text, mode_t mode)
{
    size_t size = strlen(path) + 24;
    char *temporary = malloc(size);
    if (!temporary)
        return -1;
    snprintf(temporary, size, "%s.%ld.new", path, (long)getpid());
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    int failed =
        fd < 0 || fchmod(fd, mode) || write_all(fd, text, strlen(text)) || link(temporary, path);
    int why = errno;
    if (fd >= 0) {
        close(fd);
        unlink(temporary);
    }
    free(temporary);
    errno = why;
    return failed ? -1 : 0;
}

static int lock_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!directory)
        return -1;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (fd >= 0 && flock(fd, LOCK_EX)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* ---- Key and certificate --------------------------------------------------------------------- */

static int make_key(mbedtls_pk_context *key, const char *path)
{
    char pem[PEM_MAX];
    int rc = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (!rc)
        rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), lmi_mbed_random,
                                 NULL);
    if (!rc)
        rc = mbedtls_pk_write_key_pem(key, (unsigned char *)pem, sizeof(pem));
    if (!rc)
        rc = place(path, pem, 0600);
    explicit_bzero(pem, sizeof(pem));
    return rc;
}

static int set_names(mbedtls_x509write_cert *crt, const char *host)
{
    char local[] = "localhost";
    mbedtls_x509_san_list second = {0}, first = {0};
    second.node.type = first.node.type = MBEDTLS_X509_SAN_DNS_NAME;
    second.node.san.unstructured_name.p = (unsigned char *)local;
    second.node.san.unstructured_name.len = sizeof(local) - 1;
    first.node.san.unstructured_name.p = (unsigned char *)host;
    first.node.san.unstructured_name.len = strlen(host);
    first.next = strcmp(host, local) ? &second : NULL;
    return mbedtls_x509write_crt_set_subject_alternative_name(crt, &first);
}

static int set_times(mbedtls_x509write_cert *crt)
{
    char from[16], to[16];
    time_t now = time(NULL) - 3600; /* peers whose clocks are a little behind */
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(from, sizeof(from), "%Y%m%d%H%M%S", &tm);
    tm.tm_year += VALID_YEARS;
    if (tm.tm_mon == 1 && tm.tm_mday == 29)
        tm.tm_mday = 28;
    strftime(to, sizeof(to), "%Y%m%d%H%M%S", &tm);
    return mbedtls_x509write_crt_set_validity(crt, from, to);
}

static int describe(mbedtls_x509write_cert *crt, mbedtls_pk_context *key, const char *host)
{
    static const char server_auth[] = MBEDTLS_OID_SERVER_AUTH;
    unsigned char serial[16];
    char name[300];
    mbedtls_asn1_sequence usage = {.buf = {.tag = MBEDTLS_ASN1_OID,
                                           .len = sizeof(server_auth) - 1,
                                           .p = (unsigned char *)server_auth}};
    /* RFC 5280 §A.1 ub-common-name: 64; longer ones stand in the subjectAltName alone */
    snprintf(name, sizeof(name), "CN=%s", strlen(host) <= 64 ? host : "libmail");
    int rc = lmi_mbed_random(NULL, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 0x01;
    mbedtls_x509write_crt_set_version(crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(crt, key);
    mbedtls_x509write_crt_set_issuer_key(crt, key);
    if (!rc)
        rc = mbedtls_x509write_crt_set_serial_raw(crt, serial, sizeof(serial));
    if (!rc)
        rc = mbedtls_x509write_crt_set_subject_name(crt, name);
    if (!rc)
        rc = mbedtls_x509write_crt_set_issuer_name(crt, name);
    if (!rc)
        rc = set_times(crt);
    if (!rc)
        rc = set_names(crt, host);
    if (!rc)
        rc = mbedtls_x509write_crt_set_basic_constraints(crt, 0, -1);
    if (!rc)
        rc = mbedtls_x509write_crt_set_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    return rc ? rc : mbedtls_x509write_crt_set_ext_key_usage(crt, &usage);
}

static int make_certificate(mbedtls_pk_context *key, const char *path, const char *host)
{
    char pem[PEM_MAX];
    mbedtls_x509write_cert crt;
    mbedtls_x509write_crt_init(&crt);
    int rc = describe(&crt, key, host);
    if (!rc)
        rc = mbedtls_x509write_crt_pem(&crt, (unsigned char *)pem, sizeof(pem), lmi_mbed_random,
                                       NULL);
    mbedtls_x509write_crt_free(&crt);
    return rc ? rc : place(path, pem, 0644);
}

static int is_host(const char *host)
{
    size_t len = strlen(host);
    return len > 0 && len < 254 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == len;
}

static lmail_status make_both(const char *cert_path, const char *key_path, const char *host,
                              char *error, size_t cap)
{
    int has_cert = !access(cert_path, F_OK), has_key = !access(key_path, F_OK);
    if (has_cert)
        return has_key ? LMAIL_ERR_EXISTS
                       : lmi_net_fail(LMAIL_ERR_ARG, error, cap, "%s is there, its key %s is not",
                                      cert_path, key_path);
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    errno = 0;
    int rc = has_key ? mbedtls_pk_parse_keyfile(&key, key_path, NULL, lmi_mbed_random, NULL)
                     : make_key(&key, key_path);
    lmail_status st = LMAIL_OK;
    if (rc)
        st = lmi_net_fail(LMAIL_ERR_IO, error, cap, "cannot %s the key %s: %s",
                          has_key ? "read" : "write", key_path,
                          errno ? strerror(errno) : "not a key");
    else if (make_certificate(&key, cert_path, host))
        st = lmi_net_fail(LMAIL_ERR_IO, error, cap, "cannot write the certificate %s: %s",
                          cert_path, strerror(errno));
    mbedtls_pk_free(&key);
    return st;
}

lmail_status lmail_tls_self_signed(const char *cert_path, const char *key_path, const char *host,
                                   char *error, size_t cap)
{
    if (!is_host(host))
        return lmi_net_fail(LMAIL_ERR_ARG, error, cap, "\"%s\" is no host name", host);
    int lock = lock_directory(key_path);
    if (lock < 0)
        return lmi_net_fail(LMAIL_ERR_IO, error, cap, "no directory for %s: %s", key_path,
                            strerror(errno));
    lmail_status st = make_both(cert_path, key_path, host, error, cap);
    close(lock);
    return st;
}
