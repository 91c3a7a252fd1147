/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See eal.h. Every lcore has one processor. Chosen ones: the lcores behind the main one take the processors from the
 * second on, in order, and start over when there are not enough; what they leave over is for the main lcore (and for
 * the analytics thread, which inherits its set), or the first if they leave none.
 *
 * The processors come from the process's own affinity mask, so that taskset, cgroups and systemd's CPUAffinity= hold.
 *
 * Without huge pages everything works, slower: --no-huge. No PCI device is probed unless one is named, and the probe
 * leaves no files behind: --in-memory, or --no-shconf where that is not possible.
 */

#include "dataplane/eal.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX   96u
#define MAP_BYTES  4096u
#define LCORES_MAX 128u

struct args {
    char *v[ARGS_MAX];
    int n;
};

static void arg(struct args *a, const char *format, const char *value)
{
    char *text = NULL;

    if (a->n < (int)ARGS_MAX - 1 && asprintf(&text, format, value) >= 0)
        a->v[a->n++] = text;
}

bool eal_is_pci(const char *device)
{
    unsigned domain, bus, slot, function;
    int end = 0;

    if ((sscanf(device, "%x:%x:%x.%1u%n", &domain, &bus, &slot, &function, &end) == 4 && end != 0) ||
        (sscanf(device, "%x:%x.%1u%n", &bus, &slot, &function, &end) == 3 && end != 0))
        return device[end] == '\0' || device[end] == ',';
    return false;
}

static bool has_huge_pages(void)
{
    static const char *const files[] = {"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
                                        "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"};
    static const unsigned long enough[] = {64, 1};

    for (unsigned i = 0; i < 2; i++) {
        FILE *f = fopen(files[i], "r");
        unsigned long n = 0;
        if (f == NULL)
            continue;
        bool found = fscanf(f, "%lu", &n) == 1 && n >= enough[i];
        fclose(f);
        if (found)
            return true;
    }
    return false;
}

/* ---- processors ---- */

int eal_nth_cpu(const char *cpus, unsigned n)
{
    const char *p = cpus;

    while (*p != '\0') {
        unsigned from, to;
        int end = 0;
        if (sscanf(p, "%4u%n", &from, &end) != 1 || *p < '0' || *p > '9')
            return -2;
        p += end;
        to = from;
        if (*p == '-' && (sscanf(p, "-%4u%n", &to, &end) != 1 || p[1] < '0' || p[1] > '9' || to < from))
            return -2;
        if (*p == '-')
            p += end;
        if (*p != ',' && *p != '\0')
            return -2;
        p += *p == ',';
        if (n <= to - from)
            return (int)(from + n);
        n -= to - from + 1;
    }
    return -1;
}

static unsigned chosen_cpu(const cpu_set_t *set, unsigned lcore)
{
    unsigned want = lcore % (unsigned)CPU_COUNT(set);

    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, set) && want-- == 0)
            return cpu;
    return 0;
}

static size_t append(char *map, size_t len, const char *format, unsigned a, unsigned b)
{
    int n = snprintf(map + len, MAP_BYTES - len, format, a, b);

    return n > 0 && (size_t)n < MAP_BYTES - len ? len + (size_t)n : len;
}

/* The process's own as they were at first: eal_stand_aside leaves this thread with fewer. */
static int own_cpus(cpu_set_t *ret)
{
    static cpu_set_t mine;

    if (CPU_COUNT(&mine) == 0 && sched_getaffinity(0, sizeof(mine), &mine) != 0)
        return -errno;
    *ret = mine;
    return CPU_COUNT(ret) != 0 ? 0 : -ENODEV;
}

/* A processor for each lcore, and all others for whatever else there is to do; one of them if there are no others. */
static int choose_cpus(const struct eal_options *o, unsigned cpu[static LCORES_MAX], cpu_set_t *rest, struct error *e)
{
    cpu_set_t mine;
    int error = own_cpus(&mine);

    if (error != 0)
        return error_set(e, error, "cannot tell the processors: %s", strerror(-error));
    if (o->n_lcores > LCORES_MAX)
        return error_set(e, -E2BIG, "%u threads are more than %u", o->n_lcores, LCORES_MAX);
    *rest = mine;
    for (unsigned i = 0; i < o->n_lcores; i++) {
        bool listed = o->cpus != NULL && *o->cpus != '\0';
        int nth = listed ? eal_nth_cpu(o->cpus, i) : (int)chosen_cpu(&mine, i + 1);
        if (nth < 0)
            return error_set(e, -EINVAL,
                             nth == -1 ? "capture.cpus \"%s\" names fewer processors than the %u threads need"
                                       : "capture.cpus \"%s\" is no list of processors such as 2,4-7 (%u are needed)",
                             o->cpus, o->n_lcores);
        if (nth >= CPU_SETSIZE || !CPU_ISSET((unsigned)nth, &mine))
            return error_set(e, -EINVAL, "processor %d (capture.cpus) is not there or not ours", nth);
        cpu[i] = (unsigned)nth;
        CPU_CLR(cpu[i], rest);
    }
    if (CPU_COUNT(rest) == 0)
        CPU_SET(chosen_cpu(&mine, 0), rest);
    return 0;
}

void eal_stand_aside(unsigned n_lcores, const char *cpus)
{
    const struct eal_options o = {.n_lcores = n_lcores, .cpus = cpus};
    unsigned cpu[LCORES_MAX];
    cpu_set_t rest;
    struct error e;

    if (choose_cpus(&o, cpu, &rest, &e) == 0)
        sched_setaffinity(0, sizeof(rest), &rest); /* a courtesy: eal_start tells what is wrong */
}

/* "0@(0,3),1@1,2@2" */
static int lcore_map(const struct eal_options *o, char map[static MAP_BYTES], struct error *e)
{
    cpu_set_t rest;
    size_t len = 0;
    bool first = true;
    unsigned cpu[LCORES_MAX];
    int error = choose_cpus(o, cpu, &rest, e);

    if (error != 0)
        return error;
    len = append(map, len, "%u@(", 0, 0);
    for (unsigned c = 0; c < CPU_SETSIZE; c++) {
        if (!CPU_ISSET(c, &rest))
            continue;
        len = append(map, len, first ? "%u" : ",%u", c, 0);
        first = false;
    }
    len = append(map, len, ")", 0, 0);
    for (unsigned i = 0; i < o->n_lcores; i++)
        len = append(map, len, ",%u@%u", i + 1, cpu[i]);
    return 0;
}

/* ---- arguments ---- */

/* The kernel's default ring of 512 frames overflows within a millisecond of a busy link. */
static const char *device_format(const char *device)
{
    if (eal_is_pci(device))
        return "--allow=%s";
    if (strncmp(device, "net_af_packet", 13) == 0 && strstr(device, "framecnt=") == NULL)
        return "--vdev=%s,framecnt=16384";
    return "--vdev=%s";
}

static void memory_args(struct args *a, uint64_t mbuf_bytes)
{
    char megabytes[24];

    if (has_huge_pages()) {
        arg(a, "%s", "--in-memory");
        return;
    }
    arg(a, "%s", "--no-huge"); /* excludes --in-memory */
    arg(a, "%s", "--no-shconf");
    arg(a, "%s", "-m");
    snprintf(megabytes, sizeof(megabytes), "%llu", 128 + (unsigned long long)(mbuf_bytes >> 20));
    arg(a, "%s", megabytes);
}

int eal_start(const struct eal_options *o, struct error *e)
{
    static struct args a; /* the EAL keeps pointers into them for as long as the process lives, and starts once */
    char map[MAP_BYTES];
    bool any_pci = false;
    int error = lcore_map(o, map, e);

    if (error != 0)
        return error;
    arg(&a, "%s", "spanward-probe");
    arg(&a, "%s", "--no-telemetry");
    arg(&a, "%s", "--log-level=error");
    arg(&a, "--lcores=%s", map);
    arg(&a, "--main-lcore=%s", "0");
    memory_args(&a, o->mbuf_bytes);
    for (unsigned i = 0; i < o->n_devices; i++) {
        any_pci |= eal_is_pci(o->devices[i]);
        arg(&a, device_format(o->devices[i]), o->devices[i]);
    }
    if (!any_pci)
        arg(&a, "%s", "--no-pci");
    char *extra = o->eal_args != NULL ? strdup(o->eal_args) : NULL, *save = NULL;
    for (char *t = extra != NULL ? strtok_r(extra, " ", &save) : NULL; t != NULL; t = strtok_r(NULL, " ", &save))
        arg(&a, "%s", t);
    free(extra);
    char *argv[sizeof(a.v) / sizeof(a.v[0])]; /* of which it takes one out */
    memcpy(argv, a.v, sizeof(argv));
    if (rte_eal_init(a.n, argv) < 0)
        return error_set(e, -rte_errno,
                         "DPDK does not start: %s; see the lines above, and try --eal '--log-level=debug'",
                         rte_strerror(rte_errno));
    return 0;
}
