/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starts and ends the hosts' processes.
 *
 * Servers' sockets are opened and listening before any process is forked, so no client can be too early. Every child
 * asks to be killed when the lab dies (PR_SET_PDEATHSIG) and keeps no descriptor of a TAP or namespace, so that
 * whatever happens to the lab, devices and namespaces go with it.
 */

#include "tests/lab/traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/lab/hosts.h"

#define THREAD_STACK_BYTES (256u << 10)

/* What a child needs to become a host. */
struct child {
    const struct lab_scenario *scenario;
    const struct lab_traffic *traffic;
    const struct lab_netns *ends;
    const sigset_t *mask;
    size_t line; /* of the traffic, for its random stream */
    int report_fd;
    int server_fd; /* -1: a client */
};

/* ---- in the child ---- */

static void on_term(int signal)
{
    (void)signal;
    lab_stop = 1;
}

static void *client_thread(void *arg)
{
    struct lab_host *h = arg;
    const struct lab_traffic *t = h->traffic;

    lab_sleep_ns(lab_random_in(&h->random, t->start_ns));
    for (uint64_t round = 0; round < t->count; round++) {
        if (round > 0)
            lab_sleep_ns(lab_random_in(&h->random, t->gap_ns));
        switch ((enum lab_traffic_kind)t->kind) {
        case LAB_RR:
        case LAB_REFUSED:
        case LAB_BLACKHOLE:
            lab_host_tcp(h);
            break;
        case LAB_DNS:
            lab_host_dns(h, round);
            break;
        case LAB_PING:
            lab_host_ping(h, round);
            break;
        }
    }
    return NULL;
}

static int run_clients(const struct child *c)
{
    uint32_t n = (uint32_t)(c->traffic->client.count * c->traffic->parallel);
    struct lab_host *hosts = calloc(n, sizeof(*hosts));
    pthread_t *threads = calloc(n, sizeof(*threads));
    pthread_attr_t attr;
    uint32_t started = 0;

    if (hosts == NULL || threads == NULL || pthread_attr_init(&attr) != 0)
        return 1;
    pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    for (; started < n; started++) {
        uint32_t client = started % c->traffic->client.count;

        hosts[started] =
            (struct lab_host){.scenario = c->scenario,
                              .traffic = c->traffic,
                              .client = lab_addr_nth(&c->traffic->client, client),
                              .server = lab_addr_nth(&c->traffic->server, client % c->traffic->server.count),
                              .random = lab_random_of(c->scenario->seed, 2000 + c->line * 1000 + started),
                              .report_fd = c->report_fd,
                              .index = started};
        if (pthread_create(&threads[started], &attr, client_thread, &hosts[started]) != 0)
            break;
    }
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return started == n ? 0 : 1;
}

static void drop_devices(const struct lab_netns ends[LAB_SIDES])
{
    for (int i = 0; i < LAB_SIDES; i++) {
        close(ends[i].tap_fd);
        close(ends[i].ns_fd);
    }
}

static int become_host(const struct child *c, pid_t parent)
{
    struct sigaction action = {.sa_handler = on_term};
    enum lab_side side = c->server_fd < 0 ? c->traffic->from : !c->traffic->from;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || lab_netns_enter(c->ends[side].ns_fd) < 0)
        return 1;
    drop_devices(c->ends);
    if (c->server_fd >= 0)
        sigaction(SIGTERM, &action, NULL); /* without SA_RESTART: it shall interrupt accept */
    else
        signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_IGN); /* the lab's to handle */
    sigprocmask(SIG_SETMASK, c->mask, NULL);
    if (c->server_fd < 0)
        return run_clients(c);
    if (c->traffic->kind == LAB_DNS)
        lab_serve_dns(c->server_fd, c->report_fd);
    else
        lab_serve_tcp(c->server_fd, c->traffic, c->report_fd);
    return 0;
}

/* ---- in the lab ---- */

static int start(struct lab_traffic_run *run, const struct child *c, struct error *e)
{
    pid_t parent = getpid(), pid;

    if (run->n_processes == LAB_PROCESSES_MAX)
        return error_set(e, -E2BIG, "more than %d hosts' processes", LAB_PROCESSES_MAX);
    pid = fork();
    if (pid < 0)
        return error_set(e, -errno, "fork: %s", strerror(errno));
    if (pid == 0)
        _exit(become_host(c, parent));
    run->processes[run->n_processes++] = (struct lab_process){pid, c->server_fd >= 0};
    return 0;
}

/* -EADDRINUSE when another traffic line has this server already. */
static int server_socket(const struct child *c, const struct in6_addr *addr)
{
    bool udp = c->traffic->kind == LAB_DNS;
    struct sockaddr_storage a;
    socklen_t len = lab_sockaddr(addr, (uint16_t)c->traffic->port, &a);
    struct timeval tick = {0, 200000};
    int fd = socket(a.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return -errno;
    /* accept and recvfrom look for a stop now and then: SIGTERM may come just before the call */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
    rc = udp ? 0 : lab_tcp_options(fd, c->scenario);
    if (rc == 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && (udp || listen(fd, 1024) == 0))
        return fd;
    rc = rc < 0 ? rc : -errno;
    close(fd);
    return rc;
}

static int start_server(struct lab_traffic_run *run, struct child *c, uint32_t i, struct error *e)
{
    struct in6_addr addr = lab_addr_nth(&c->traffic->server, i);
    char text[INET6_ADDRSTRLEN];
    int previous = lab_netns_enter(c->ends[!c->traffic->from].ns_fd), rc;

    if (previous < 0)
        return error_set(e, previous, "network namespace: %s", strerror(-previous));
    c->server_fd = server_socket(c, &addr);
    lab_netns_return(previous);
    if (c->server_fd == -EADDRINUSE)
        return 0;
    if (c->server_fd < 0)
        return error_set(e, c->server_fd, "server %s port %llu: %s", lab_addr_format(&addr, text),
                         (unsigned long long)c->traffic->port, strerror(-c->server_fd));
    rc = start(run, c, e);
    close(c->server_fd);
    return rc;
}

static bool has_server(const struct lab_traffic *t)
{
    return t->kind == LAB_RR || t->kind == LAB_DNS;
}

static int start_all(struct lab_traffic_run *run, struct child *c, struct error *e)
{
    const struct lab_scenario *s = c->scenario;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n_traffic; i++) {
        c->traffic = &s->traffic[i];
        for (uint32_t k = 0; rc == 0 && has_server(c->traffic) && k < c->traffic->server.count; k++)
            rc = start_server(run, c, k, e);
    }
    c->server_fd = -1;
    for (size_t i = 0; rc == 0 && i < s->n_traffic; i++) {
        c->traffic = &s->traffic[i];
        c->line = i;
        rc = start(run, c, e);
    }
    return rc;
}

int lab_traffic_start(const struct lab_scenario *s, const struct lab_netns ends[LAB_SIDES], const sigset_t *mask,
                      struct lab_traffic_run *ret, struct error *e)
{
    struct child c = {.scenario = s, .ends = ends, .mask = mask, .server_fd = -1};
    int pipe_fds[2], rc;

    memset(ret, 0, sizeof(*ret));
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return error_set(e, -errno, "pipe: %s", strerror(errno));
    ret->report_fd = pipe_fds[0];
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    fcntl(pipe_fds[1], F_SETPIPE_SZ, 1 << 20);
    c.report_fd = pipe_fds[1];
    fflush(NULL); /* or a child could write our buffers once more */
    rc = start_all(ret, &c, e);
    close(pipe_fds[1]);
    if (rc < 0)
        lab_traffic_end(ret);
    return rc;
}

size_t lab_traffic_reap(struct lab_traffic_run *t, bool servers)
{
    size_t running = 0;

    for (size_t i = 0; i < t->n_processes; i++) {
        struct lab_process *p = &t->processes[i];
        int status;

        if (p->pid != 0 && waitpid(p->pid, &status, WNOHANG) == p->pid) {
            p->pid = 0;
            t->failures += status != 0;
        }
        running += p->pid != 0 && p->server == servers;
    }
    return running;
}

void lab_traffic_stop_servers(const struct lab_traffic_run *t)
{
    for (size_t i = 0; i < t->n_processes; i++) {
        if (t->processes[i].pid != 0 && t->processes[i].server)
            kill(t->processes[i].pid, SIGTERM);
    }
}

void lab_traffic_end(struct lab_traffic_run *t)
{
    for (size_t i = 0; i < t->n_processes; i++) {
        if (t->processes[i].pid != 0)
            kill(t->processes[i].pid, SIGKILL);
    }
    for (size_t i = 0; i < t->n_processes; i++) {
        if (t->processes[i].pid != 0)
            waitpid(t->processes[i].pid, NULL, 0);
    }
    t->n_processes = 0;
    close(t->report_fd);
}
