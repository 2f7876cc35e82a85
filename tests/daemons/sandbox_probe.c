/* What a process can still do in the daemons' sandbox: sandbox_probe WRITABLE READABLE PATH...
 *
 * Enters it with one directory to write and one to read, tries things and prints a line for each:
 * "NAME ok" or "NAME error". Run as root, so that no denial is that of file modes.
 *
 * sandbox_probe -c FILE MODE:PATH...: as the server that this configuration makes, by the daemons'
 * own code: its user, its paths. Tries to open each; MODE is r, w (also makes it) or x: r, but as root. */
#include "../../daemons/common/life.h"
#include "../../daemons/common/sandbox.h"
#include "../../daemons/common/server_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, int failed)
{
    printf("%s %s\n", name, failed ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

static void *nothing(void *arg)
{
    return arg;
}

static void try_writing(void)
{
    int fd = open("a/file", O_CREAT | O_RDWR, 0600);
    say("create", fd < 0);
    say("fsync", fsync(fd));
    say("link_across", link("a/file", "b/file"));
    say("rename_across", rename("a/file", "b/other"));
    say("truncate", truncate("b/other", 0));
    say("unlink", unlink("b/file"));
    fd = open("a", O_TMPFILE | O_RDWR, 0600);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    say("link_nameless", fd < 0 || linkat(AT_FDCWD, path, AT_FDCWD, "b/third", AT_SYMLINK_FOLLOW));
    say("unlink_nameless", unlink("b/third"));
}

static void try_calls(void)
{
    char *const argv[] = {"true", NULL};
    pthread_t thread;
    int why = pthread_create(&thread, NULL, nothing, NULL);
    errno = why;
    say("thread", why);
    if (!why)
        pthread_join(thread, NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    say("fork", pid < 0);
    say("exec", execv("/bin/true", argv));
    say("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
    say("mount", mount("none", "a", "tmpfs", 0, NULL));
    say("chroot", chroot("a"));
    say("setuid", setuid(1));
    say("signal_other", kill(getppid(), 0));
    say("signal_self", kill(getpid(), 0));
    say("tcp", socket(AF_INET, SOCK_STREAM, 0) < 0);
    say("unix", socket(AF_UNIX, SOCK_STREAM, 0) < 0);
    say("packet", socket(AF_PACKET, SOCK_RAW, 0) < 0);
}

static int become_server(const char *file, int root)
{
    static const daemon_facts facts = {.name = "sandbox_probe"};
    lmail_config *config;
    lmail_owner id;
    server_paths paths;
    unsigned got;
    if (lmail_config_load_file(&config, file, NULL, NULL))
        return 1;
    const lmail_settings *s = lmail_config_settings(config);
    if (!root && (identity_find(&id, &facts, s) || identity_become(&id, &facts)))
        return 1;
    server_paths_of(&paths, s);
    int failed = sandbox_enter(paths.list, paths.count, &got);
    server_paths_free(&paths);
    lmail_config_free(config);
    printf("landlock %s\n", got & SANDBOX_LANDLOCK ? "ok" : "absent");
    return failed;
}

static int probe_server(const char *file, char **paths)
{
    int root = *paths && **paths == 'x';
    if (become_server(file, root))
        return 1;
    for (; *paths; paths++)
        say(*paths + 2, open(*paths + 2, **paths == 'w' ? O_CREAT | O_WRONLY : O_RDONLY, 0600) < 0);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned got;
    if (argc > 2 && strcmp(argv[1], "-c") == 0)
        return probe_server(argv[2], argv + 3);
    if (argc < 3 || chdir(argv[1]) || (mkdir("a", 0700) && errno != EEXIST) ||
        (mkdir("b", 0700) && errno != EEXIST))
        return 64;
    const sandbox_path paths[] = {
        {argv[1], 1}, {argv[2], 0}, {"/no/such/path", 0}, {"/proc/self", 0}};
    if (sandbox_enter(paths, 4, &got)) {
        perror("sandbox_enter");
        return 1;
    }
    printf("landlock %s\nseccomp %s\n", got & SANDBOX_LANDLOCK ? "ok" : "absent",
           got & SANDBOX_SECCOMP ? "ok" : "absent");
    for (int i = 3; i < argc; i++)
        say(argv[i], open(argv[i], O_RDONLY) < 0);
    char path[4096];
    snprintf(path, sizeof path, "%s/new", argv[2]);
    say("create_in_readable", open(path, O_CREAT | O_WRONLY, 0600) < 0);
    try_writing();
    try_calls();
    return 0;
}
