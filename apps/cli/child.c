/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Child programs.
 *
 * spanward-probe and spanward-control are looked for beside /proc/self/exe first, so that a build folder uses its own
 * parts and an installation its own. The child is tied to us by PR_SET_PDEATHSIG: a CLI that is killed leaves no probe.
 *
 * Progress is read from the kernel instead of being asked for: /proc/PID/fd names the open file and fdinfo its
 * position. That works for every capture format, gzip included (then it is the compressed position), and costs
 * the probe nothing. Limit: a reader that maps the file has no position; then there is no percentage.
 */

#include "apps/cli/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES (16u << 20)

static void find_program(const char *program, char *ret, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    snprintf(ret, size, "%s", program);
    if (n <= 0)
        return;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return;
    *slash = '\0';
    char beside[2 * PATH_MAX];
    snprintf(beside, sizeof(beside), "%s/%s", self, program);
    if (access(beside, X_OK) == 0 && strlen(beside) < size)
        strcpy(ret, beside);
}

/* In the child: never returns. Failure to start is told through the status pipe as an errno. */
static void run_child(const char *path, char *const argv[], int out_fd, int status_fd)
{
    int code;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (out_fd < 0 || dup2(out_fd, STDOUT_FILENO) >= 0)
        execvp(path, argv);
    code = errno;
    if (write(status_fd, &code, sizeof(code)) < 0)
        _exit(126);
    _exit(127);
}

static int open_stdout(enum child_stdout out, int ret_fd[2])
{
    ret_fd[0] = ret_fd[1] = -1;
    if (out == CHILD_STDOUT_PIPE)
        return pipe2(ret_fd, O_CLOEXEC) < 0 ? -errno : 0;
    if (out == CHILD_STDOUT_NULL) {
        ret_fd[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
        return ret_fd[1] < 0 ? -errno : 0;
    }
    return 0;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

int child_start(struct child *ret, const char *program, char *const argv[], enum child_stdout out, struct error *e)
{
    char path[2 * PATH_MAX];
    int fds[2], status[2], code = 0;

    find_program(program, path, sizeof(path));
    int r = open_stdout(out, fds);
    if (r == 0 && pipe2(status, O_CLOEXEC) < 0)
        r = -errno;
    if (r < 0)
        return error_set(e, r, "cannot start %s: %s", program, strerror(-r));
    pid_t pid = fork();
    if (pid == 0)
        run_child(path, argv, fds[1], status[1]);
    r = pid < 0 ? -errno : 0;
    close_if_open(fds[1]);
    close(status[1]);
    if (r == 0 && read(status[0], &code, sizeof(code)) == (ssize_t)sizeof(code)) {
        waitpid(pid, NULL, 0);
        r = -code;
    }
    close(status[0]);
    if (r < 0) {
        close_if_open(fds[0]);
        return error_set(e, r, "cannot start %s: %s; is it installed beside spanward?", path, strerror(-r));
    }
    ret->pid = pid;
    ret->out_fd = fds[0];
    return 0;
}

int child_wait(struct child *c)
{
    int status = 0;

    close_if_open(c->out_fd);
    c->out_fd = -1;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool child_has_ended(const struct child *c)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == c->pid;
}

static double position_in_file(pid_t pid, const char *fd, off_t file_size)
{
    char path[300], line[128];
    long long pos = -1;

    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return -1;
    if (fgets(line, sizeof(line), f) == NULL || sscanf(line, "pos: %lld", &pos) != 1)
        pos = -1;
    fclose(f);
    return pos < 0 || file_size <= 0 ? -1 : pos >= file_size ? 1 : (double)pos / (double)file_size;
}

double child_progress(pid_t pid, const char *path)
{
    char folder[64], link[400];
    struct stat want, have;
    double at = -1;

    snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
    DIR *d = stat(path, &want) == 0 ? opendir(folder) : NULL;
    if (d == NULL)
        return -1;
    /* cppcheck-suppress readdirCalled ; readdir_r is deprecated, the stream is ours alone */
    for (struct dirent *entry; at < 0 && (entry = readdir(d)) != NULL;) {
        snprintf(link, sizeof(link), "%s/%s", folder, entry->d_name);
        if (stat(link, &have) == 0 && have.st_ino == want.st_ino && have.st_dev == want.st_dev)
            at = position_in_file(pid, entry->d_name, want.st_size);
    }
    closedir(d);
    return at;
}

void line_reader_init(struct line_reader *r, int fd)
{
    *r = (struct line_reader){.fd = fd};
}

void line_reader_fini(struct line_reader *r)
{
    free(r->buf);
    r->buf = NULL;
}

/* Reads what there is behind the bytes that wait; moves these to the front first. */
static int fill(struct line_reader *r, int timeout_ms)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};

    if (r->start > 0) {
        memmove(r->buf, r->buf + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (r->end + 1 >= r->size) {
        size_t size = r->size ? 2 * r->size : 65536;
        char *buf = size <= LINE_MAX_BYTES ? realloc(r->buf, size) : NULL;
        if (buf == NULL)
            return size <= LINE_MAX_BYTES ? -ENOMEM : -EMSGSIZE;
        r->buf = buf;
        r->size = size;
    }
    int ready = poll(&p, 1, timeout_ms);
    if (ready <= 0)
        return ready == 0 ? -EAGAIN : -errno;
    ssize_t n = read(r->fd, r->buf + r->end, r->size - r->end - 1);
    if (n < 0)
        return -errno;
    r->end += (size_t)n;
    r->eof = n == 0;
    return 0;
}

int line_reader_next(struct line_reader *r, int timeout_ms, char **ret_line, size_t *ret_len)
{
    for (size_t searched = 0;;) {
        char *line = r->buf != NULL ? r->buf + r->start : NULL;
        size_t waiting = r->end - r->start;
        char *newline = waiting > searched ? memchr(line + searched, '\n', waiting - searched) : NULL;
        if (newline != NULL || (r->eof && waiting > 0)) {
            *ret_len = newline != NULL ? (size_t)(newline - line) : waiting;
            line[*ret_len] = '\0';
            r->start += *ret_len + (newline != NULL);
            *ret_line = line;
            return 1;
        }
        if (r->eof)
            return 0;
        searched = waiting;
        int code = fill(r, timeout_ms);
        if (code < 0)
            return code;
    }
}
