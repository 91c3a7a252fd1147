/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Namespaces by unshare(2) and setns(2), TAP devices by /dev/net/tun, addresses and routes by "ip -batch".
 *
 * The TAP is opened without IFF_VNET_HDR and without TUNSETOFFLOAD: the kernel then segments and checksums in
 * software before a frame reaches us (no TSO, no GSO, no partial checksums, at most 1514 bytes), and what we write
 * goes up the stack one frame at a time (no GRO). gso_max_segs 1 makes TCP keep one segment per buffer, so that
 * its count of retransmissions is a count of frames.
 *
 * Each end has its hosts' addresses as /32 or /128 and one default route to a gateway with a fixed MAC address, the
 * other end's: no ARP, no neighbour discovery, no multicast. So each frame is one that a traffic line caused.
 */

#include "tests/lab/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const macs[LAB_SIDES] = {"02:00:00:00:0a:01", "02:00:00:00:0b:01"};

int lab_netns_possible(struct error *e)
{
    if (geteuid() != 0)
        return error_set(e, -EPERM, "network namespaces and TAP devices need root");
    if (access("/dev/net/tun", R_OK | W_OK) != 0)
        return error_set(e, -ENODEV, "/dev/net/tun: %s", strerror(errno));
    return 0;
}

int lab_netns_enter(int ns_fd)
{
    int previous = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), rc;

    if (previous < 0)
        return -errno;
    if (setns(ns_fd, CLONE_NEWNET) == 0)
        return previous;
    rc = -errno;
    close(previous);
    return rc;
}

void lab_netns_return(int previous_fd)
{
    if (setns(previous_fd, CLONE_NEWNET) != 0)
        abort();
    close(previous_fd);
}

/* ---- settings ---- */

static int write_text(const char *path, const char *text, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

    if (fd < 0)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    if (write(fd, text, strlen(text)) < 0)
        rc = error_set(e, -errno, "%s: '%s': %s", path, text, strerror(errno));
    close(fd);
    return rc;
}

static int apply_sysctls(const struct lab_scenario *s, enum lab_side side, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n_sysctls; i++) {
        const struct lab_sysctl *c = &s->sysctls[i];
        char path[128];

        if (c->side != side && c->side != LAB_SIDES)
            continue;
        snprintf(path, sizeof(path), "/proc/sys/%s", c->key);
        for (char *p = path + strlen("/proc/sys/"); *p != '\0'; p++)
            *p = *p == '.' ? '/' : *p;
        rc = write_text(path, c->value, e);
    }
    return rc;
}

static void print_addrs(FILE *ip, const struct lab_addrs *a)
{
    char text[INET6_ADDRSTRLEN];

    for (uint32_t i = 0; i < a->count; i++) {
        struct in6_addr addr = lab_addr_nth(a, i);
        /* replace, for two traffic lines may share an address */
        fprintf(ip, "addr replace %s dev tap0%s\n", lab_addr_format(&addr, text),
                lab_addr_is_v4(&addr) ? "" : " nodad");
    }
}

static void print_setup(const struct lab_scenario *s, enum lab_side side, FILE *ip)
{
    const char *peer = macs[!side];

    fprintf(ip, "link set lo up\n");
    fprintf(ip, "link set tap0 address %s txqueuelen 20000 gso_max_segs 1 multicast off\n", macs[side]);
    fprintf(ip, "link set tap0 up\n");
    for (size_t i = 0; i < s->n_traffic; i++) {
        const struct lab_traffic *t = &s->traffic[i];

        if (t->from == side)
            print_addrs(ip, &t->client);
        else if (t->kind != LAB_BLACKHOLE)
            print_addrs(ip, &t->server);
    }
    fprintf(ip, "neigh replace 169.254.1.1 lladdr %s nud permanent dev tap0\n", peer);
    fprintf(ip, "route replace default via 169.254.1.1 dev tap0 onlink\n");
    fprintf(ip, "neigh replace fe80::1:1 lladdr %s nud permanent dev tap0\n", peer);
    fprintf(ip, "route replace default via fe80::1:1 dev tap0 onlink\n");
}

/* Runs "ip -batch" on what print_setup says. The list goes through a file, for a pipe could fill. */
static int configure_links(const struct lab_scenario *s, enum lab_side side, struct error *e)
{
    FILE *list = tmpfile();
    int status = -1;
    pid_t pid;

    if (list == NULL)
        return error_set(e, -errno, "temporary file: %s", strerror(errno));
    print_setup(s, side, list);
    if (fflush(list) != 0) {
        fclose(list);
        return error_set(e, -EIO, "temporary file: cannot write");
    }
    rewind(list);
    pid = fork();
    if (pid == 0) {
        if (dup2(fileno(list), STDIN_FILENO) >= 0)
            execlp("ip", "ip", "-batch", "-", (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, &status, 0);
    fclose(list);
    if (status != 0)
        return error_set(e, -EIO, "\"ip -batch\" failed on the %s side (is iproute2 installed?)", lab_side_name(side));
    return 0;
}

/* ---- devices ---- */

static int tap_open(struct error *e)
{
    struct ifreq request = {.ifr_name = "tap0"};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), rc;

    if (fd < 0)
        return error_set(e, -errno, "/dev/net/tun: %s", strerror(errno));
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        rc = error_set(e, -errno, "TUNSETIFF: %s", strerror(errno));
        close(fd);
        return rc;
    }
    return fd;
}

/* In the new namespace. */
static int fill_namespace(const struct lab_scenario *s, enum lab_side side, struct lab_netns *n, struct error *e)
{
    int rc;

    n->ns_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (n->ns_fd < 0)
        return error_set(e, -errno, "network namespace: %s", strerror(errno));
    rc = apply_sysctls(s, side, e);
    if (rc < 0)
        return rc;
    n->tap_fd = tap_open(e);
    return n->tap_fd < 0 ? n->tap_fd : configure_links(s, side, e);
}

static int open_one(const struct lab_scenario *s, enum lab_side side, struct lab_netns *n, struct error *e)
{
    int previous = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), rc;

    *n = (struct lab_netns){-1, -1};
    if (previous < 0)
        return error_set(e, -errno, "network namespace: %s", strerror(errno));
    if (unshare(CLONE_NEWNET) != 0) {
        rc = error_set(e, -errno, "new network namespace: %s", strerror(errno));
        close(previous);
        return rc;
    }
    rc = fill_namespace(s, side, n, e);
    lab_netns_return(previous);
    if (rc < 0)
        lab_netns_close(n);
    return rc;
}

int lab_netns_open_pair(const struct lab_scenario *s, struct lab_netns ret[LAB_SIDES], struct error *e)
{
    int rc = open_one(s, LAB_LEFT, &ret[LAB_LEFT], e);

    if (rc < 0)
        return rc;
    rc = open_one(s, LAB_RIGHT, &ret[LAB_RIGHT], e);
    if (rc < 0)
        lab_netns_close(&ret[LAB_LEFT]);
    return rc;
}

void lab_netns_close(struct lab_netns *n)
{
    if (n->tap_fd >= 0)
        close(n->tap_fd);
    if (n->ns_fd >= 0)
        close(n->ns_fd);
    *n = (struct lab_netns){-1, -1};
}

/* ---- counters ---- */

/* Calls read with the file opened inside the namespace. */
static int with_file(const struct lab_netns *n, const char *path, void (*read)(FILE *, void *), void *arg,
                     struct error *e)
{
    int previous = lab_netns_enter(n->ns_fd);
    FILE *f;

    if (previous < 0)
        return error_set(e, previous, "network namespace: %s", strerror(-previous));
    f = fopen(path, "re");
    if (f != NULL) {
        read(f, arg);
        fclose(f);
    }
    lab_netns_return(previous);
    return f == NULL ? error_set(e, -ENOENT, "%s: cannot read", path) : 0;
}

/* /proc/net/dev: received 8 fields (drops the 4th), then sent 8 (drops the 4th). */
static void read_drops(FILE *f, void *arg)
{
    char line[512];
    uint64_t rx, tx;

    while (fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, " tap0: %*u %*u %*u %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &rx, &tx) == 2)
            *(uint64_t *)arg = rx + tx;
    }
}

int lab_netns_lost(const struct lab_netns *n, uint64_t *ret_frames, struct error *e)
{
    uint64_t frames = UINT64_MAX;
    int rc = with_file(n, "/proc/thread-self/net/dev", read_drops, &frames, e);

    if (rc == 0 && frames == UINT64_MAX)
        rc = error_set(e, -ENOENT, "tap0 is not in /proc/net/dev");
    if (rc == 0)
        *ret_frames = frames;
    return rc;
}

struct netstat_out {
    FILE *out;
    const char *comma;
};

/* Pairs of lines: "TcpExt: names…" and "TcpExt: values…". */
static void read_netstat(FILE *f, void *arg)
{
    struct netstat_out *o = arg;
    char names[8192], values[8192];

    while (fgets(names, sizeof(names), f) != NULL && fgets(values, sizeof(values), f) != NULL) {
        char *n = names, *v = values, *group = strsep(&n, ":"), *name, *value;

        strsep(&v, ":");
        while ((name = strsep(&n, " \n")) != NULL && (value = strsep(&v, " \n")) != NULL) {
            if (*name == '\0' || strcmp(value, "0") == 0)
                continue;
            fprintf(o->out, "%s\"%s.%s\":%s", o->comma, group, name, value);
            o->comma = ",";
        }
    }
}

int lab_netns_print_netstat(const struct lab_netns *n, FILE *out, struct error *e)
{
    struct netstat_out o = {out, ""};
    int rc;

    fputc('{', out);
    rc = with_file(n, "/proc/thread-self/net/netstat", read_netstat, &o, e);
    if (rc == 0)
        rc = with_file(n, "/proc/thread-self/net/snmp", read_netstat, &o, e);
    fputc('}', out);
    return rc;
}
