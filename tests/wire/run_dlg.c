/* run_dlg.c - plays every dialogue of a folder in every mode (the format stands in dlg.h).
 *
 *     run_dlg FOLDER [name.dlg ...]        the folder's name is the protocol
 *     run_dlg --corpus OUT FOLDER          write what the clients send as fuzz seeds
 *     DLG_MODE=octet run_dlg FOLDER x.dlg  one mode alone
 *
 * Modes: whole, octet by octet, pieces of 3, 7 and 61; answers that come late, whole and by octets;
 * for each question, a peer that leaves while it is pending and the answer after that; for each
 * allocation, that one failing. The transcript is the same in all but the last two. */
#include "wire/dlg.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* The build lists the adaptors: DLG_ADAPTORS is XX(imap) XX(smtp) ... */
#define XX(protocol) extern const script_adaptor script_##protocol;
DLG_ADAPTORS
#undef XX
static const script_adaptor *const adaptors[] = {
#define XX(protocol) &script_##protocol,
    DLG_ADAPTORS
#undef XX
        NULL};

static unsigned runs, faults;

static const script_adaptor *adaptor_of(const char *folder)
{
    const char *slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    for (size_t i = 0; adaptors[i]; i++)
        if (strcmp(adaptors[i]->protocol, name) == 0)
            return adaptors[i];
    return NULL;
}

static int run(const dlg *d, const script_adaptor *a, dlg_mode mode, dlg_result *r)
{
    const char *only = getenv("DLG_MODE");
    memset(r, 0, sizeof *r);
    if (only && strcmp(only, mode.name) != 0 && strcmp(mode.name, "whole") != 0)
        return 0;
    dlg_play(d, a, &mode, r);
    runs++;
    if (!r->fault[0])
        return 0;
    faults++;
    printf("%s:%u: %s:\n    %s\n", d->path, r->line, mode.name, r->fault);
    return -1;
}

static dlg_mode numbered(const char *name, unsigned long n)
{
    dlg_mode m = {"", 0, 0, 0, 0};
    snprintf(m.name, sizeof m.name, "%s %lu", name, n);
    return m;
}

static void run_all(const dlg *d, const script_adaptor *a)
{
    static const dlg_mode straight[] = {{"whole", 0, 0, 0, 0},      {"octet", 1, 0, 0, 0},
                                        {"split 3", 3, 0, 0, 0},    {"split 7", 7, 0, 0, 0},
                                        {"split 61", 61, 0, 0, 0},  {"late", 0, 1, 0, 0},
                                        {"late octet", 1, 1, 0, 0}, {"late 5", 5, 1, 0, 0}};
    dlg_result r, first = {0};
    for (size_t i = 0; i < sizeof straight / sizeof *straight; i++) {
        if (straight[i].late && d->only_now)
            continue;
        if (run(d, a, straight[i], i ? &r : &first) < 0 && i == 0)
            return;
    }
    unsigned step = first.questions / 200 + 1;
    for (unsigned n = 1; n <= first.questions; n += step) {
        dlg_mode m = numbered("gone", n);
        m.gone_at = n;
        if (run(d, a, m, &r) < 0)
            break;
    }
    size_t stride = first.requests / 400 + 1;
    for (size_t n = 1; n <= first.requests; n += stride) {
        dlg_mode m = numbered("failing allocation", n);
        m.fail_at = n;
        if (run(d, a, m, &r) < 0)
            break;
    }
}

static int is_dialogue(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return len > 4 && strcmp(e->d_name + len - 4, ".dlg") == 0;
}

static int one_file(const char *folder, const char *name, const script_adaptor *a,
                    const char *corpus)
{
    char path[4096], fault[4096 + 64];
    dlg d;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (dlg_parse(&d, path, fault, sizeof fault) < 0) {
        puts(fault);
        faults++;
    } else if (corpus) {
        snprintf(path, sizeof path, "%s/%.*s", corpus, (int)(strlen(name) - 4), name);
        FILE *to = fopen(path, "wb");
        if (!to)
            return -1;
        dlg_client_octets(&d, a, to);
        fclose(to);
    } else {
        run_all(&d, a);
    }
    dlg_free(&d);
    return 0;
}

int main(int argc, char **argv)
{
    const char *corpus = NULL;
    int at = 1;
    if (argc > 2 && strcmp(argv[1], "--corpus") == 0) {
        corpus = argv[2];
        at = 3;
    }
    if (at >= argc) {
        fprintf(stderr, "usage: run_dlg [--corpus OUT] FOLDER [name.dlg ...]\n");
        return 2;
    }
    const char *folder = argv[at++];
    const script_adaptor *a = adaptor_of(folder);
    if (!a) {
        fprintf(stderr, "run_dlg: no adaptor for %s\n", folder);
        return 2;
    }
    unsigned played = 0;
    if (at < argc) {
        for (; at < argc; at++, played++)
            one_file(folder, argv[at], a, corpus);
    } else {
        struct dirent **found;
        int n = scandir(folder, &found, is_dialogue, alphasort);
        for (int i = 0; i < n; i++, played++) {
            one_file(folder, found[i]->d_name, a, corpus);
            free(found[i]);
        }
        if (n >= 0)
            free(found);
    }
    printf("%s: %u dialogues, %u runs, %u faults\n", a->protocol, played, runs, faults);
    return faults || !played ? 1 : 0;
}
