/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See rx_dpdk.h. The poll loop is the whole of a worker's life: burst in, clock read once, pipeline, mbufs back. Time
 * is CLOCK_REALTIME at the burst (a vDSO read, no system call), so all packets of a burst share it: at most some
 * microseconds early or late under load, which the ledger's clock source tells. When a queue is empty the worker lets
 * time pass (worker_tick), so that windows close and flows expire without traffic.
 *
 * Losses before us: the driver's imissed, ierrors and rx_nombuf. Software drivers do not know what the kernel or their
 * peer threw away; for them nic_missed is "not supported", never 0.
 *
 * DPDK 22.11 guides: Poll Mode Driver (RSS, offloads), AF_PACKET, memif, AF_XDP, PCAP; Berkeley Packet Filter library.
 */

#define ALLOW_EXPERIMENTAL_API 1 /* rte_bpf_convert */

#include "dataplane/rx_dpdk.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <rte_bpf.h>
#include <rte_bus.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RX_RING           1024u
#define EAL_ARGS_MAX      64u
#define STATS_EVERY_US    100000u
#define DRAIN_EMPTY_POLLS 1000u /* empty polls after which a stopped worker's queues count as drained */
#define JUMBO_MTU         9600u
#define TICK_EVERY_NS     1000000u

struct port {
    uint16_t id;
    bool counts_missed;
    struct rte_eth_stats base; /* at start: some drivers cannot reset */
    _Atomic uint64_t missed, errors, no_mbuf;
};

struct lcore {
    struct rx_dpdk *rx;
    struct worker *worker;
    unsigned queue;
    struct batch batch;
};

struct rx_dpdk {
    struct port port[RX_DPDK_PORTS_MAX];
    unsigned n_ports, n_workers;
    struct rte_mempool *mbufs;
    struct rte_bpf *filter;
    struct rte_bpf_jit filter_jit;
    const volatile int *stop;
    _Atomic int halt; /* duration over */
    struct lcore *lcore;
};

/* The published symmetric Toeplitz key (Woo and Park, 2012): 6d5a repeated. */
static uint8_t rss_key[64];

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- EAL ---- */

struct args {
    char *v[EAL_ARGS_MAX];
    int n;
};

static void arg(struct args *a, const char *format, const char *value)
{
    char *text = NULL;

    if (a->n < (int)EAL_ARGS_MAX - 1 && asprintf(&text, format, value) >= 0)
        a->v[a->n++] = text;
}

static bool is_pci_address(const char *device)
{
    unsigned domain, bus, slot, function;
    int end = 0;

    if (sscanf(device, "%x:%x:%x.%x%n", &domain, &bus, &slot, &function, &end) == 4 ||
        sscanf(device, "%x:%x.%x%n", &bus, &slot, &function, &end) == 3)
        return device[end] == '\0' || device[end] == ',';
    return false;
}

static bool has_huge_pages(void)
{
    FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
    unsigned long n = 0;

    if (f == NULL)
        return false;
    if (fscanf(f, "%lu", &n) != 1)
        n = 0;
    fclose(f);
    return n >= 64;
}

/* Main lcore 0 and workers 1..n, each pinned to a processor; with fewer processors than lcores they share. */
static void lcore_args(struct args *a, unsigned n_workers)
{
    long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char map[1024] = "";
    size_t len = 0;

    for (unsigned i = 0; i <= n_workers && len < sizeof(map) - 24; i++)
        len += (size_t)snprintf(map + len, sizeof(map) - len, "%s%u@%ld", i == 0 ? "" : ",", i, i % n_cpus);
    arg(a, "--lcores=%s", map);
    arg(a, "--main-lcore=%s", "0");
}

/* The kernel's default ring of 512 frames overflows within a millisecond of a busy link. */
static const char *vdev_format(const char *device, bool pci)
{
    if (pci)
        return "--allow=%s";
    if (strncmp(device, "net_af_packet", 13) == 0 && strstr(device, "framecnt=") == NULL)
        return "--vdev=%s,framecnt=16384";
    return "--vdev=%s";
}

static int eal_start(const struct rx_dpdk_options *o, struct error *e)
{
    struct args a = {.n = 0};
    bool any_pci = false;

    arg(&a, "%s", "spanward-probe");
    arg(&a, "%s", "--no-telemetry");
    arg(&a, "%s", "--log-level=error");
    lcore_args(&a, o->n_workers);
    if (has_huge_pages()) {
        arg(&a, "%s", "--in-memory");
    } else {
        arg(&a, "%s", "--no-huge"); /* excludes --in-memory */
        arg(&a, "%s", "--no-shconf");
        arg(&a, "%s", "-m");
        char megabytes[16];
        snprintf(megabytes, sizeof(megabytes), "%u",
                 128u + (unsigned)((uint64_t)o->n_mbufs * (o->snap_bytes + 512u) >> 20));
        arg(&a, "%s", megabytes);
    }
    for (unsigned i = 0; i < o->n_devices; i++) {
        bool pci = is_pci_address(o->devices[i]);
        any_pci |= pci;
        arg(&a, vdev_format(o->devices[i], pci), o->devices[i]);
    }
    if (!any_pci)
        arg(&a, "%s", "--no-pci");
    char *extra = o->eal_args != NULL ? strdup(o->eal_args) : NULL, *save = NULL;
    for (char *t = extra != NULL ? strtok_r(extra, " ", &save) : NULL; t != NULL; t = strtok_r(NULL, " ", &save))
        arg(&a, "%s", t);
    free(extra);
    if (rte_eal_init(a.n, a.v) < 0) /* keeps pointers into the arguments: they are not freed */
        return error_set(e, -rte_errno,
                         "DPDK does not start: %s; see the lines above, and try --eal '--log-level=debug'",
                         rte_strerror(rte_errno));
    return 0;
}

/* ---- ports ---- */

/* Drivers whose statistics cannot tell what was lost before them. */
static bool counts_missed(const char *driver)
{
    static const char *const blind[] = {"net_af_packet", "net_memif", "net_ring",       "net_tap",
                                        "net_pcap",      "net_null",  "net_virtio_user"};

    for (unsigned i = 0; i < sizeof(blind) / sizeof(blind[0]); i++)
        if (strcmp(driver, blind[i]) == 0)
            return false;
    return true;
}

static int rss_config(const struct rte_eth_dev_info *info, unsigned n_queues, struct rte_eth_conf *conf,
                      struct error *e)
{
    const uint64_t want = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

    if (n_queues == 1 || strcmp(info->driver_name, "net_af_packet") == 0)
        return 0;
    if ((info->flow_type_rss_offloads & want) == 0)
        return error_set(e, -ENOTSUP,
                         "%s cannot spread flows over %u queues (no RSS): use one worker for it (capture.workers: 1)",
                         info->driver_name, n_queues);
    for (unsigned i = 0; i < sizeof(rss_key); i++)
        rss_key[i] = i % 2 == 0 ? 0x6d : 0x5a;
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf.rss_key = rss_key;
    conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size != 0 ? info->hash_key_size : 40;
    conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & want;
    return 0;
}

static int port_queues(struct rx_dpdk *rx, uint16_t id, const struct rte_eth_dev_info *info, struct error *e)
{
    uint16_t rx_ring = RX_RING, tx_ring = 64;

    rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx_ring, &tx_ring);
    for (unsigned q = 0; q < rx->n_workers; q++) {
        int error =
            rte_eth_rx_queue_setup(id, (uint16_t)q, rx_ring, (unsigned)rte_eth_dev_socket_id(id), NULL, rx->mbufs);
        if (error != 0)
            return error_set(e, error, "port %s: rx queue %u: %s", info->driver_name, q, strerror(-error));
    }
    /* Some drivers start only with as many tx queues; nothing is ever sent. */
    for (unsigned q = 0; q < rx->n_workers; q++) {
        int error = rte_eth_tx_queue_setup(id, (uint16_t)q, tx_ring, (unsigned)rte_eth_dev_socket_id(id), NULL);
        if (error != 0)
            return error_set(e, error, "port %s: tx queue %u: %s", info->driver_name, q, strerror(-error));
    }
    return 0;
}

/* A mirror may carry jumbo frames: as large as the device allows and, without scattered frames, a buffer holds. */
static uint32_t largest_mtu(const struct rte_eth_dev_info *info, uint32_t snap_bytes)
{
    uint32_t overhead = info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu
                            ? info->max_rx_pktlen - info->max_mtu
                            : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    uint32_t mtu = (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) ? JUMBO_MTU : snap_bytes - overhead;

    if (mtu > info->max_mtu)
        mtu = info->max_mtu;
    if (info->max_rx_pktlen > overhead && mtu > info->max_rx_pktlen - overhead)
        mtu = info->max_rx_pktlen - overhead;
    return mtu < RTE_ETHER_MIN_MTU ? RTE_ETHER_MIN_MTU : mtu;
}

static int port_start(struct rx_dpdk *rx, struct port *port, const char *device, const struct rx_dpdk_options *o,
                      struct error *e)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {0};
    int error = rte_eth_dev_info_get(port->id, &info);

    if (error != 0)
        return error_set(e, error, "%s: cannot read its capabilities: %s", device, strerror(-error));
    if (info.max_rx_queues < o->n_workers)
        return error_set(e, -ENOTSUP, "%s has %u receive queues, fewer than the %u workers: lower capture.workers%s",
                         device, info.max_rx_queues, o->n_workers,
                         strcmp(info.driver_name, "net_af_packet") == 0 ? " or add qpairs=N to the device" : "");
    error = rss_config(&info, o->n_workers, &conf, e);
    if (error != 0)
        return error;
    conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    conf.rxmode.mtu = largest_mtu(&info, o->snap_bytes);
    error = rte_eth_dev_configure(port->id, (uint16_t)o->n_workers, (uint16_t)o->n_workers, &conf);
    if (error != 0)
        return error_set(e, error, "%s does not take its configuration: %s", device, strerror(-error));
    error = port_queues(rx, port->id, &info, e);
    if (error != 0)
        return error;
    error = rte_eth_dev_start(port->id);
    if (error != 0)
        return error_set(e, error, "%s does not start: %s", device, strerror(-error));
    rte_eth_promiscuous_enable(port->id); /* software drivers may refuse: they see everything anyway */
    port->counts_missed = counts_missed(info.driver_name);
    rte_eth_stats_get(port->id, &port->base);
    return 0;
}

/* Devices appear in the order in which they were named. */
static int ports_start(struct rx_dpdk *rx, const struct rx_dpdk_options *o, struct error *e)
{
    for (uint16_t id = 0; id < RTE_MAX_ETHPORTS && rx->n_ports < o->n_devices; id++)
        if (rte_eth_dev_is_valid_port(id))
            rx->port[rx->n_ports++].id = id;
    if (rx->n_ports < o->n_devices)
        return error_set(e, -ENODEV, "only %u of %u devices came up: check the names (%s ...) and the driver binding",
                         rx->n_ports, o->n_devices, o->devices[0]);
    for (unsigned i = 0; i < rx->n_ports; i++) {
        int error = port_start(rx, &rx->port[i], o->devices[i], o, e);
        if (error != 0)
            return error;
    }
    return 0;
}

static int filter_load(struct rx_dpdk *rx, const char *text, struct error *e)
{
    struct bpf_program program;
    pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);

    if (dead == NULL || pcap_compile(dead, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        error_set(e, -EINVAL, "capture.filter \"%s\": %s", text, dead != NULL ? pcap_geterr(dead) : "out of memory");
        if (dead != NULL)
            pcap_close(dead);
        return -EINVAL;
    }
    pcap_close(dead);
    struct rte_bpf_prm *converted = rte_bpf_convert(&program);
    pcap_freecode(&program);
    if (converted != NULL)
        rx->filter = rte_bpf_load(converted);
    rte_free(converted);
    if (rx->filter == NULL)
        return error_set(e, -EINVAL, "capture.filter \"%s\" cannot be used on a live port: %s", text,
                         rte_strerror(rte_errno));
    rte_bpf_get_jit(rx->filter, &rx->filter_jit);
    return 0;
}

int rx_dpdk_open(const struct rx_dpdk_options *options, struct rx_dpdk **ret_rx, struct error *e)
{
    struct rx_dpdk *rx = calloc(1, sizeof(*rx));
    int error;

    if (rx == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    rx->n_workers = options->n_workers;
    error = eal_start(options, e);
    if (error != 0) {
        free(rx);
        return error;
    }
    rx->mbufs = rte_pktmbuf_pool_create("mbufs", options->n_mbufs, 256, 0,
                                        (uint16_t)(options->snap_bytes + RTE_PKTMBUF_HEADROOM), (int)rte_socket_id());
    rx->lcore = calloc(options->n_workers, sizeof(*rx->lcore));
    if (rx->mbufs == NULL || rx->lcore == NULL)
        error = error_set(e, -ENOMEM, "no memory for %u packet buffers: lower capture.mbufs or reserve huge pages",
                          options->n_mbufs);
    if (error == 0 && options->filter != NULL && *options->filter != '\0')
        error = filter_load(rx, options->filter, e);
    if (error == 0)
        error = ports_start(rx, options, e);
    if (error != 0) {
        rx_dpdk_close(rx);
        return error;
    }
    *ret_rx = rx;
    return 0;
}

void rx_dpdk_close(struct rx_dpdk *rx)
{
    if (rx == NULL)
        return;
    for (unsigned i = 0; i < rx->n_ports; i++) {
        rte_eth_dev_stop(rx->port[i].id);
        rte_eth_dev_close(rx->port[i].id);
    }
    rte_bpf_destroy(rx->filter);
    rte_mempool_free(rx->mbufs);
    rte_eal_cleanup();
    free(rx->lcore);
    free(rx);
}

/* ---- the poll loop ---- */

static bool passes(const struct rx_dpdk *rx, struct rte_mbuf *m)
{
    if (rx->filter == NULL)
        return true;
    uint64_t result = rx->filter_jit.func != NULL ? rx->filter_jit.func(m) : rte_bpf_exec(rx->filter, m);
    return result != 0;
}

static void fill(struct pkt *p, struct rte_mbuf *m, uint64_t ts_ns)
{
    p->data = rte_pktmbuf_mtod(m, const uint8_t *);
    p->cap_len = rte_pktmbuf_data_len(m);
    p->wire_len = p->snap_len = rte_pktmbuf_pkt_len(m);
    p->ts_ns = ts_ns;
    bool stripped = m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED;
    p->rx_vlan = stripped ? (uint16_t)(m->vlan_tci & 0x0fff) : RX_NO_VLAN;
}

/* One burst from one port; returns how many packets came. */
static unsigned poll_port(struct lcore *l, const struct port *port, uint32_t mirror)
{
    struct rte_mbuf *mbuf[BATCH_MAX];
    unsigned n = rte_eth_rx_burst(port->id, (uint16_t)l->queue, mbuf, BATCH_MAX), filtered = 0;

    if (n == 0)
        return 0;
    uint64_t ts_ns = now_ns();
    l->batch.n = 0;
    l->batch.mirror = mirror;
    l->batch.link = LINK_ETHERNET;
    for (unsigned i = 0; i < n; i++) {
        if (passes(l->rx, mbuf[i]))
            fill(&l->batch.pkt[l->batch.n++], mbuf[i], ts_ns);
        else
            filtered++;
    }
    if (filtered != 0)
        worker_count_filtered(l->worker, filtered);
    worker_process(l->worker, &l->batch);
    rte_pktmbuf_free_bulk(mbuf, n);
    return n;
}

static unsigned poll_all(struct lcore *l)
{
    unsigned n = 0;

    for (unsigned i = 0; i < l->rx->n_ports; i++)
        n += poll_port(l, &l->rx->port[i], i);
    return n;
}

static bool is_over(const struct rx_dpdk *rx)
{
    return *rx->stop || atomic_load_explicit(&rx->halt, memory_order_relaxed);
}

static int lcore_main(void *arg_)
{
    struct lcore *l = arg_;
    uint64_t next_tick_ns = 0;
    unsigned empty = 0;

    while (!is_over(l->rx) || empty < DRAIN_EMPTY_POLLS) {
        if (poll_all(l) != 0) {
            empty = 0;
            continue;
        }
        empty++;
        uint64_t t_ns = now_ns();
        if (t_ns >= next_tick_ns) {
            worker_tick(l->worker, t_ns);
            next_tick_ns = t_ns + TICK_EVERY_NS;
        }
        if (!is_over(l->rx))
            empty = 0;
    }
    worker_finish(l->worker);
    return 0;
}

static void read_stats(struct rx_dpdk *rx)
{
    for (unsigned i = 0; i < rx->n_ports; i++) {
        struct port *port = &rx->port[i];
        struct rte_eth_stats s;
        if (rte_eth_stats_get(port->id, &s) != 0)
            continue;
        atomic_store_explicit(&port->missed, s.imissed - port->base.imissed, memory_order_relaxed);
        atomic_store_explicit(&port->errors, s.ierrors - port->base.ierrors, memory_order_relaxed);
        atomic_store_explicit(&port->no_mbuf, s.rx_nombuf - port->base.rx_nombuf, memory_order_relaxed);
    }
}

int rx_dpdk_run(struct rx_dpdk *rx, struct worker *const *workers, const volatile int *stop, uint64_t duration_ns,
                struct error *e)
{
    uint64_t end_ns = duration_ns != 0 ? now_ns() + duration_ns : UINT64_MAX;

    rx->stop = stop;
    for (unsigned i = 0; i < rx->n_workers; i++) {
        rx->lcore[i] = (struct lcore){.rx = rx, .worker = workers[i], .queue = i};
        int error = rte_eal_remote_launch(lcore_main, &rx->lcore[i], i + 1);
        if (error != 0) {
            atomic_store(&rx->halt, 1);
            rte_eal_mp_wait_lcore();
            return error_set(e, error, "worker %u does not start: %s", i, strerror(-error));
        }
    }
    while (!*stop && now_ns() < end_ns) {
        usleep(STATS_EVERY_US);
        read_stats(rx);
    }
    atomic_store(&rx->halt, 1);
    rte_eal_mp_wait_lcore();
    read_stats(rx);
    return 0;
}

void rx_dpdk_ledger(void *rx_, uint32_t mirror, struct ledger *ret_nic)
{
    struct rx_dpdk *rx = rx_;
    struct port *port = &rx->port[mirror];

    *ret_nic = (struct ledger){0};
    ret_nic->drops[LEDGER_nic_missed] = atomic_load_explicit(&port->missed, memory_order_relaxed);
    ret_nic->drops[LEDGER_nic_errors] = atomic_load_explicit(&port->errors, memory_order_relaxed);
    ret_nic->drops[LEDGER_no_mbuf] = atomic_load_explicit(&port->no_mbuf, memory_order_relaxed);
    if (!port->counts_missed)
        ret_nic->unsupported |= 1u << LEDGER_nic_missed;
}
