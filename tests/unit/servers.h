/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TEST_SERVERS_H
#define SPANWARD_TEST_SERVERS_H

/*
 * Real redis-server processes for a test, on free ports of the loopback: single ones, a Cluster, Sentinels. A server
 * ends with the test that started it, also when that fails (PR_SET_PDEATHSIG). All is killed by process id.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/unit/private_redis.h"

#define SERVER_ARGS_MAX 64

struct server {
    pid_t pid; /* 0: not running */
    int port;
    char dir[64]; /* of all servers of the test */
};

static inline double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline bool port_is_free(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_free = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return is_free;
}

/* A port below the ephemeral ones whose Cluster bus (10000 higher) is free, too. */
static inline int free_port(void)
{
    static unsigned next;

    if (next == 0)
        next = (unsigned)getpid() * 2654435761u;
    for (int tries = 0; tries < 1000; tries++) {
        int port = 12000 + (int)((next++ * 37u) % 9000u);
        if (port_is_free(port) && port_is_free(port + 10000))
            return port;
    }
    ck_abort_msg("no free port");
    return 0;
}

/* Runs a program in the background; its output goes to DIR/NAME.log. */
static inline pid_t spawn(const char *dir, const char *name, const char *const *argv)
{
    char log[128];
    pid_t parent = getpid();

    snprintf(log, sizeof(log), "%s/%s.log", dir, name);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(fd, 1);
        dup2(fd, 2);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

/* redis-cli -p PORT WORDS; the first size - 1 bytes of what it says. Returns its exit code. */
static inline int cli(int port, char *ret, size_t size, const char *format, ...)
{
    char command[2048];
    va_list args;
    int len = snprintf(command, sizeof(command), "redis-cli -h 127.0.0.1 -p %d ", port);
    size_t used = 0;

    va_start(args, format);
    vsnprintf(command + len, sizeof(command) - (size_t)len, format, args);
    va_end(args);
    strcat(command, " 2>&1");
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    for (size_t n; (n = fread(ret + used, 1, size - 1 - used, f)) > 0;)
        used += n;
    ret[used] = '\0';
    while (used > 0 && ret[used - 1] == '\n')
        ret[--used] = '\0';
    return WEXITSTATUS(pclose(f));
}

/* Until redis-cli's answer to the words holds `text`. */
static inline void wait_until(int port, const char *words, const char *text, double patience_s)
{
    double end = seconds() + patience_s;
    char said[16384] = "";

    while (seconds() < end) {
        cli(port, said, sizeof(said), "%s", words);
        if (strstr(said, text) != NULL)
            return;
        usleep(20000);
    }
    ck_abort_msg("port %d: %s did not say %s in %.0f s: %.300s", port, words, text, patience_s, said);
}

/* extra: more arguments, NULL at the end. The port is chosen when it is 0. */
static inline void start_server(struct server *s, const char *dir, const char *const *extra)
{
    char port[8], name[32];
    const char *argv[SERVER_ARGS_MAX] = {
        "redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--repl-diskless-sync-delay", "0"};
    size_t n = 9;

    if (s->port == 0)
        s->port = free_port();
    snprintf(port, sizeof(port), "%d", s->port);
    snprintf(name, sizeof(name), "redis-%d", s->port);
    snprintf(s->dir, sizeof(s->dir), "%s", dir);
    bool port_given = false;
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++) {
        ck_assert_uint_lt(n, SERVER_ARGS_MAX - 3);
        port_given |= strcmp(extra[i], "--port") == 0;
        argv[n++] = extra[i];
    }
    if (!port_given) {
        argv[n++] = "--port";
        argv[n++] = port;
    }
    s->pid = spawn(dir, name, argv);
    for (double end = seconds() + 10; seconds() < end; usleep(10000)) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bool up = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
        close(fd);
        if (up)
            return;
        ck_assert_msg(waitpid(s->pid, NULL, WNOHANG) == 0, "redis-server ended at once, see %s/%s.log", dir, name);
    }
    ck_abort_msg("redis-server on port %d does not answer", s->port);
}

static inline void kill_server(struct server *s)
{
    if (s->pid == 0)
        return;
    kill(s->pid, SIGCONT);
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

/* A Sentinel of the master "the-master"; two must agree. head: the lines that give its port, up to its number, more:
 * any others. */
static inline void start_sentinel(struct server *s, const char *dir, int master_port, const char *head,
                                  const char *more)
{
    char path[128], name[32];

    s->port = free_port();
    snprintf(name, sizeof(name), "sentinel-%d", s->port);
    snprintf(path, sizeof(path), "%s/%s.conf", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f,
            "%s %d\nbind 127.0.0.1\ndir %s\nsentinel monitor the-master 127.0.0.1 %d 2\n"
            "sentinel down-after-milliseconds the-master 800\nsentinel failover-timeout the-master 3000\n%s",
            head, s->port, dir, master_port, more);
    fclose(f);
    s->pid = spawn(dir, name, (const char *const[]){"redis-server", path, "--sentinel", NULL});
}

/* Until each of n Sentinels knows the master's replicas and that all Sentinels agree. tls: words for redis-cli, or "".
 */
static inline void wait_sentinels(const struct server *sentinel, int n, const char *tls, int replicas)
{
    char master[600], quorum[600], slaves[32], usable[32];

    snprintf(master, sizeof(master), "%s SENTINEL master the-master", tls);
    snprintf(quorum, sizeof(quorum), "%s SENTINEL ckquorum the-master", tls);
    snprintf(slaves, sizeof(slaves), "num-slaves\n%d", replicas);
    snprintf(usable, sizeof(usable), "OK %d usable", n);
    for (int i = 0; i < n; i++) {
        wait_until(sentinel[i].port, master, slaves, 25);
        wait_until(sentinel[i].port, quorum, usable, 25);
    }
}

/* ---- a Cluster of 3 masters (0 to 2) and 3 replicas (3 to 5) ---- */

#define CLUSTER_NODES 6

static inline void start_cluster_node(struct server *s, const char *dir, const char *const *more)
{
    char file[32];

    if (s->port == 0)
        s->port = free_port();
    snprintf(file, sizeof(file), "nodes-%d.conf", s->port);
    const char *extra[24] = {"--cluster-enabled",
                             "yes",
                             "--cluster-config-file",
                             file,
                             "--cluster-node-timeout",
                             "1000",
                             "--cluster-replica-validity-factor",
                             "0",
                             "--cluster-allow-replica-migration",
                             "no"};
    size_t n = 10;
    for (size_t i = 0; more != NULL && more[i] != NULL; i++)
        extra[n++] = more[i];
    start_server(s, dir, extra);
}

static inline void start_cluster(struct server node[CLUSTER_NODES], const char *dir)
{
    char said[16384], list[256] = "";

    for (int i = 0; i < CLUSTER_NODES; i++) {
        node[i].port = 0;
        start_cluster_node(&node[i], dir, NULL);
        snprintf(list + strlen(list), sizeof(list) - strlen(list), " 127.0.0.1:%d", node[i].port);
    }
    ck_assert_msg(
        cli(node[0].port, said, sizeof(said), "--cluster create%s --cluster-replicas 1 --cluster-yes", list) == 0, "%s",
        said);
    for (int i = 0; i < CLUSTER_NODES; i++)
        wait_until(node[i].port, "CLUSTER INFO", "cluster_state:ok", 10);
    for (int i = 0; i < 3; i++)
        wait_until(node[i].port, "INFO replication", "state=online", 10);
}

static inline void stop_servers(struct server *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        kill_server(&s[i]);
}

/* The node's own id (40 digits). */
static inline void node_id(const struct server *s, char ret[64])
{
    cli(s->port, ret, 64, "CLUSTER MYID");
    ck_assert_uint_eq(strlen(ret), 40);
}

/* Which of the servers is master of the key's slot, as server 'asked' sees it. */
static inline int master_of(const struct server *node, int n, int asked, const char *key)
{
    char said[16384], slot[16];

    cli(node[asked].port, slot, sizeof(slot), "CLUSTER KEYSLOT '%s'", key);
    int number = atoi(slot);
    cli(node[asked].port, said, sizeof(said), "CLUSTER NODES");
    for (char *line = strtok(said, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *at = strchr(line, ':'), *slots = strstr(line, "connected ");
        if (strstr(line, "master") == NULL || at == NULL || slots == NULL)
            continue;
        int port = atoi(at + 1);
        for (char *range = slots + strlen("connected "); range != NULL && *range != '\0';) {
            int first = 0, last = 0, got = sscanf(range, "%d-%d", &first, &last);
            if (got >= 1 && number >= first && number <= (got == 2 ? last : first))
                for (int i = 0; i < n; i++)
                    if (node[i].port == port)
                        return i;
            range = strchr(range, ' ');
            if (range != NULL)
                range++;
        }
    }
    return -1;
}

#endif
