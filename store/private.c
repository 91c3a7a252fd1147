/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A private redis-server: a child process on a unix socket in a directory of ours.
 *
 * Whoever holds the lock file may look at the socket and start a server; the lock is released when the server answers,
 * so two programs that start together share one server. The server never outlives the program that started it: the
 * kernel sends it SIGTERM when its parent thread ends (PR_SET_PDEATHSIG), also after a crash. It has a session of its
 * own, so that Ctrl-C in a terminal does not take it away before the last window is stored.
 *
 * Configuration comes as arguments alone: no TCP port, AOF fsynced each second (none when volatile), log and data in
 * the directory. A volatile store starts empty and leaves nothing but its log. A server that is still loading its AOF
 * is waited for, up to a minute; one that does not answer at all, five seconds.
 *
 * Limits: the socket path must fit sun_path (107 bytes). Call start from a thread that lives as long as the server
 * should.
 */

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX_MS 5000
#define LOAD_MAX_MS   60000
#define STOP_MAX_MS   10000
#define POLL_MS       10
#define SOCKET_MAX    107

/* Owner: who called start. pid is 0 when the server was already running. */
struct store_private {
    char url[SOCKET_MAX + 8];
    char log_path[SOCKET_MAX + 32];
    pid_t pid;
    pid_t owner; /* the process that started it: a fork's copy must not stop it */
};

static void sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* 0 answers, -EAGAIN loading, else why not. */
static int probe(const char *url, struct error *e)
{
    struct store *s = NULL;
    int result =
        store_open(&(struct store_options){.url = url, .connect_timeout_ms = 500, .command_timeout_ms = 1000}, &s, e);

    store_close(s);
    return result;
}

static int make_dir(const char *dir, struct error *e)
{
    struct stat st;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return error_set(e, -errno, "cannot make directory %s for the private Redis: %s", dir, strerror(errno));
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return error_set(e, -ENOTDIR, "%s is not a directory", dir);
    if (st.st_uid != geteuid())
        return error_set(e, -EPERM, "%s belongs to another user; choose another state directory", dir);
    if ((st.st_mode & 077) != 0 && chmod(dir, 0700) != 0)
        return error_set(e, -errno, "cannot close %s to other users: %s", dir, strerror(errno));
    return 0;
}

/* In the child: never returns. What exec says goes through the pipe. */
static void __attribute__((noreturn))
run_server(const char *dir, const char *socket, const char *log_path, bool volatile_, pid_t parent, int report_fd)
{
    char *const argv[] = {"redis-server",
                          "--port",
                          "0",
                          "--unixsocket",
                          (char *)(uintptr_t)socket,
                          "--unixsocketperm",
                          "700",
                          "--dir",
                          (char *)(uintptr_t)dir,
                          "--logfile",
                          (char *)(uintptr_t)log_path,
                          "--daemonize",
                          "no",
                          "--save",
                          "",
                          "--appendonly",
                          volatile_ ? "no" : "yes",
                          "--appendfsync",
                          "everysec",
                          "--maxmemory-policy",
                          "noeviction",
                          NULL};
    sigset_t none;
    int null_fd = open("/dev/null", O_RDWR);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    umask(077);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(126);
    if (null_fd >= 0) {
        dup2(null_fd, STDIN_FILENO);
        dup2(null_fd, STDOUT_FILENO);
        dup2(null_fd, STDERR_FILENO);
    }
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    execvp(argv[0], argv);
    int code = errno;
    ssize_t written = write(report_fd, &code, sizeof(code));
    _exit(written == sizeof(code) ? 127 : 126);
}

static int spawn(struct store_private *p, const char *dir, const char *socket, bool volatile_, struct error *e)
{
    int report[2];
    int code = 0;
    pid_t parent = getpid();

    if (pipe2(report, O_CLOEXEC) != 0)
        return error_set(e, -errno, "cannot start redis-server: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        run_server(dir, socket, p->log_path, volatile_, parent, report[1]);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return error_set(e, -errno, "cannot start redis-server: %s", strerror(errno));
    }
    ssize_t n;
    do {
        n = read(report[0], &code, sizeof(code));
    } while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == (ssize_t)sizeof(code)) {
        waitpid(pid, NULL, 0);
        if (code == ENOENT)
            return error_set(e, -ENOENT,
                             "redis-server is not installed; install the package "
                             "redis-server, or give --redis URL of a running one");
        return error_set(e, -code, "cannot run redis-server: %s", strerror(code));
    }
    p->pid = pid;
    p->owner = parent;
    return 0;
}

/* The last line of the server's log, for messages. */
static void last_log_line(const char *path, char *ret, size_t size)
{
    char tail[1024];
    FILE *f = fopen(path, "re");

    ret[0] = '\0';
    if (f == NULL)
        return;
    if (fseek(f, -(long)sizeof(tail) + 1, SEEK_END) != 0)
        rewind(f);
    size_t n = fread(tail, 1, sizeof(tail) - 1, f);
    fclose(f);
    while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == ' '))
        n--;
    tail[n] = '\0';
    const char *line = strrchr(tail, '\n');
    snprintf(ret, size, "%.*s", (int)size - 1, line != NULL ? line + 1 : tail);
}

static int wait_for_answer(struct store_private *p, struct error *e)
{
    struct error why = {""};
    char line[160];
    int result = -EIO;

    for (int waited = 0; waited < LOAD_MAX_MS; waited += POLL_MS) {
        result = probe(p->url, &why);
        if (result == 0)
            return 0;
        if (result != -EAGAIN && waited >= ANSWER_MAX_MS)
            break;
        if (p->pid != 0 && waitpid(p->pid, NULL, WNOHANG) == p->pid) {
            p->pid = 0;
            last_log_line(p->log_path, line, sizeof(line));
            return error_set(e, -EIO, "redis-server ended at once: %.120s (see %s)", line, p->log_path);
        }
        sleep_ms(POLL_MS);
    }
    return error_set(e, -ETIMEDOUT, "redis-server does not answer: %.150s", why.text);
}

static int start_locked(struct store_private *p, const char *dir, const char *socket, bool volatile_, struct error *e)
{
    int result = probe(p->url, NULL);

    if (result == 0)
        return 0;
    if (result != -EAGAIN) {
        unlink(socket);
        result = spawn(p, dir, socket, volatile_, e);
        if (result != 0)
            return result;
    }
    result = wait_for_answer(p, e);
    return result;
}

int store_private_start(const char *dir, bool volatile_, struct store_private **ret, struct error *e)
{
    char socket[SOCKET_MAX + 1], lock_path[SOCKET_MAX + 1];
    struct store_private *p;
    int result = make_dir(dir, e);

    if (result != 0)
        return result;
    char *real = realpath(dir, NULL);
    if (real == NULL)
        return error_set(e, -errno, "cannot resolve %s: %s", dir, strerror(errno));
    if (snprintf(socket, sizeof(socket), "%s/redis.sock", real) >= (int)sizeof(socket)) {
        free(real);
        return error_set(e, -ENAMETOOLONG,
                         "%s is too long for a socket path (107 bytes); "
                         "choose a shorter state directory",
                         dir);
    }
    snprintf(lock_path, sizeof(lock_path), "%s/lock", real);
    int lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    p = calloc(1, sizeof(*p));
    if (p == NULL || lock_fd < 0 || flock(lock_fd, LOCK_EX) != 0) {
        result = error_set(e, p == NULL ? -ENOMEM : -errno, "cannot lock %s: %s", lock_path,
                           strerror(p == NULL ? ENOMEM : errno));
    } else {
        snprintf(p->url, sizeof(p->url), "unix:%s", socket);
        snprintf(p->log_path, sizeof(p->log_path), "%s/redis.log", real);
        result = start_locked(p, real, socket, volatile_, e);
    }
    if (lock_fd >= 0)
        close(lock_fd);
    free(real);
    if (result != 0) {
        store_private_stop(p);
        return result;
    }
    *ret = p;
    return 0;
}

const char *store_private_url(const struct store_private *p)
{
    return p->url;
}

void store_private_stop(struct store_private *p)
{
    if (p == NULL)
        return;
    if (p->pid != 0 && p->owner == getpid()) {
        kill(p->pid, SIGTERM);
        int waited = 0;
        while (waitpid(p->pid, NULL, WNOHANG) == 0) {
            if (waited == STOP_MAX_MS)
                kill(p->pid, SIGKILL);
            sleep_ms(POLL_MS);
            waited += POLL_MS;
        }
    }
    free(p);
}
