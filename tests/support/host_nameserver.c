/* host_nameserver.c - as the header says. RFC 1035 §4. */
#include "host_nameserver.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

typedef unsigned char octet;

static const struct {
    const char *name;
    unsigned number;
} types[] = {{"A", 1}, {"CNAME", 5}, {"PTR", 12}, {"MX", 15}, {"TXT", 16}, {"AAAA", 28}};

static unsigned type_of(const char *name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (!strcmp(types[i].name, name))
            return types[i].number;
    return 0;
}

static size_t put16(octet *out, unsigned value)
{
    out[0] = (octet)(value >> 8);
    out[1] = (octet)value;
    return 2;
}

static size_t put_name(octet *out, const char *name)
{
    size_t n = 0;
    if (!strcmp(name, "."))
        name = "";
    while (*name) {
        size_t len = strcspn(name, ".");
        out[n++] = (octet)len;
        memcpy(out + n, name, len);
        n += len;
        name += len + (name[len] == '.');
    }
    out[n++] = 0;
    return n;
}

static size_t put_data(octet *out, const ns_record *r)
{
    switch (type_of(r->type)) {
    case 1:
        return inet_pton(AF_INET, r->data, out) == 1 ? 4 : 0;
    case 28:
        return inet_pton(AF_INET6, r->data, out) == 1 ? 16 : 0;
    case 15:
        put16(out, (unsigned)atoi(r->data));
        return 2 + put_name(out + 2, strchr(r->data, ' ') + 1);
    case 16:
        out[0] = (octet)strlen(r->data);
        memcpy(out + 1, r->data, out[0]);
        return 1u + out[0];
    default:
        return put_name(out, r->data);
    }
}

static size_t put_record(octet *out, const ns_record *r)
{
    octet *p = out;
    p += put_name(p, r->name);
    p += put16(p, type_of(r->type));
    p += put16(p, 1);
    p += put16(p, 0);
    p += put16(p, 300);
    size_t len = put_data(p + 2, r);
    p += put16(p, (unsigned)len);
    return (size_t)(p - out) + len;
}

/* The name of the question in lower case; its length on the wire with type and class, 0: none. */
static size_t read_question(const octet *in, size_t len, char *name, unsigned *type)
{
    size_t at = 12, n = 0;
    while (at < len && in[at] && at + in[at] + 5 < len && n + in[at] < 255) {
        if (n)
            name[n++] = '.';
        for (size_t i = 1; i <= in[at]; i++)
            name[n++] =
                (char)(in[at + i] >= 'A' && in[at + i] <= 'Z' ? in[at + i] + 32 : in[at + i]);
        at += in[at] + 1u;
    }
    name[n] = 0;
    if (len < 17 || at + 5 > len || in[at])
        return 0;
    *type = (unsigned)in[at + 1] << 8 | in[at + 2];
    return at + 5 - 12;
}

/* Answer and authority: records of the name and type, along CNAMEs. Returns the response code. */
static unsigned find(const nameserver *ns, const char *name, unsigned type, octet *out, size_t *len,
                     unsigned *count)
{
    unsigned exists = 0;
    const char *onward = NULL;
    for (const ns_record *r = ns->records; r->name; r++) {
        if (strcmp(r->name, name))
            continue;
        if (!strcmp(r->type, "SERVFAIL"))
            return 2;
        exists = 1;
        if (!strcmp(r->type, "CNAME"))
            onward = r->data;
        if (type_of(r->type) == type || onward == r->data) {
            *len += put_record(out + *len, r);
            ++*count;
        }
    }
    if (onward)
        return find(ns, onward, type, out, len, count);
    return exists ? 0 : 3;
}

/* Make the response to a message; 0: none. */
static size_t respond(nameserver *ns, const octet *in, size_t len, octet *out, int tcp)
{
    char name[256];
    unsigned type = 0, count = 0, code = 0;
    size_t question = read_question(in, len, name, &type);
    int fault = ns->fault;
    if (question == 0)
        return 0;
    ns->questions++;
    ns->over_tcp += tcp != 0;
    if (fault == NS_SILENT)
        return 0;
    memcpy(out, in, 12 + question);
    if (fault == NS_GARBAGE) {
        memset(out + 2, 0xbf, 60);
        return 62;
    }
    size_t n = 12 + question, records = 0;
    memset(out + 4, 0, 8);
    out[5] = 1;
    out[2] = (octet)(0x80 | (in[2] & 1)); /* QR, RD as asked */
    if (fault == NS_TRUNCATES && !tcp)
        out[2] |= 2;
    else if (fault == NS_SERVFAIL)
        code = 2;
    else
        code = find(ns, name, type, out + n, &records, &count);
    out[3] = (octet)(0x80 | code); /* RA */
    out[7] = (octet)count;
    return n + records;
}

static void serve_tcp(nameserver *ns)
{
    octet in[4096], out[65536];
    struct timeval patience = {2, 0};
    int fd = accept(ns->tcp, NULL, NULL);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (recv(fd, in, 2, MSG_WAITALL) == 2) {
        size_t len = (size_t)in[0] << 8 | in[1];
        if (len <= sizeof(in) && recv(fd, in, len, MSG_WAITALL) == (ssize_t)len) {
            size_t n = respond(ns, in, len, out + 2, 1);
            put16(out, (unsigned)n);
            if (n)
                send(fd, out, n + 2, MSG_NOSIGNAL);
        }
    }
    close(fd);
}

static void *serve(void *arg)
{
    nameserver *ns = arg;
    octet in[4096], out[65536];
    for (;;) {
        struct pollfd fds[] = {
            {ns->udp, POLLIN, 0}, {ns->tcp, POLLIN, 0}, {ns->wake[0], POLLIN, 0}};
        poll(fds, 3, -1);
        if (fds[2].revents)
            return NULL;
        if (fds[0].revents) {
            struct sockaddr_in from;
            socklen_t size = sizeof(from);
            ssize_t got = recvfrom(ns->udp, in, sizeof(in), 0, (void *)&from, &size);
            size_t n = got > 0 ? respond(ns, in, (size_t)got, out, 0) : 0;
            if (n)
                sendto(ns->udp, out, n, 0, (void *)&from, size);
        }
        if (fds[1].revents)
            serve_tcp(ns);
    }
}

static void must(int done)
{
    if (!done) {
        perror("host_nameserver");
        abort();
    }
}

void nameserver_start(nameserver *ns, const ns_record *records)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    memset(ns, 0, sizeof(*ns));
    ns->records = records;
    for (int tries = 0;; tries++) { /* a port that is free for both */
        a.sin_port = 0;
        ns->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ns->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(bind(ns->udp, (void *)&a, sizeof(a)) == 0);
        must(getsockname(ns->udp, (void *)&a, &size) == 0);
        if (bind(ns->tcp, (void *)&a, sizeof(a)) == 0)
            break;
        must(tries < 20);
        close(ns->udp);
        close(ns->tcp);
    }
    must(listen(ns->tcp, 64) == 0);
    must(pipe(ns->wake) == 0);
    ns->port = ntohs(a.sin_port);
    snprintf(ns->address, sizeof(ns->address), "127.0.0.1@%u", ns->port);
    must(pthread_create(&ns->thread, NULL, serve, ns) == 0);
}

void nameserver_stop(nameserver *ns)
{
    must(write(ns->wake[1], "", 1) == 1);
    pthread_join(ns->thread, NULL);
    close(ns->udp);
    close(ns->tcp);
    close(ns->wake[0]);
    close(ns->wake[1]);
}
