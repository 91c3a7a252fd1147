/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See rx_dpdk.h. The poll loop is the whole of a thread's life: burst in, clock read once, pipeline, mbufs back. Time
 * is CLOCK_REALTIME at the burst (a vDSO read, no system call), so all packets of a burst share it, at most some
 * microseconds early or late under load; or the NIC's own stamps (hw_clock.h). When the queues are empty the loop lets
 * time pass, so that windows close and flows expire without traffic.
 *
 *   one worker, or a queue per worker     an lcore polls and is the worker
 *   re-sharded                            an lcore polls and shares out (the front), one more lcore per worker
 *
 * Quiet times (capture.rx): `poll` never sleeps. The others sleep when nothing came for IDLE_POLLS polls: `adaptive`
 * for NAP_NS, and for LONG_NAP_NS once it has been quiet for a second; `interrupt` until the device interrupts, or like
 * adaptive where the device has no interrupts. A ring of RING_ASLEEP frames holds what comes meanwhile.
 */

#define ALLOW_EXPERIMENTAL_API 1 /* rte_bpf_convert */

#include "dataplane/rx_dpdk.h"

#include <assert.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <rte_bpf.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/events.h"
#include "dataplane/eal.h"
#include "dataplane/live_clock.h"
#include "dataplane/memif_guard.h"
#include "dataplane/memory.h"
#include "dataplane/port.h"
#include "dataplane/reshard.h"

#define RING_POLLING      2048u
#define RING_ASLEEP       4096u
#define BUFFER_BYTES_MIN  512u /* so that the first segment of scattered frames has all headers */
#define LANE_BURSTS       256u /* 8192 packets in front of a worker */
#define WATCH_EVERY_US    100000u
#define DRAIN_EMPTY_POLLS 1000u /* empty polls after which a stopped worker's queues count as drained */
#define STAND_BURSTS      2048u /* of a peer that goes on sending while it is held */
#define TICK_EVERY_NS     1000000u
#define IDLE_POLLS        512u
#define NAP_NS            50000u
#define LONG_NAP_NS       1000000u
#define INTERRUPT_MS      10
#define MBUF_CACHE        256u

enum role { ROLE_POLL, ROLE_FRONT, ROLE_WORK };

/* Owner: its thread. */
struct lcore {
    struct rx_dpdk *rx;
    struct port *port;
    enum role role;
    uint16_t first_queue, n_queues;
    struct worker *worker;   /* NULL: a front */
    struct reshard *reshard; /* NULL: ROLE_POLL */
    unsigned index;          /* among the workers of its port */
    uint32_t mirror;
    uint64_t next_tick_ns, quiet_since_ns; /* quiet_since_ns 0: not quiet */
    unsigned empty;
    bool wakes_up; /* its queues interrupt */
    bool guarded;  /* reads a memif port */
    int link;      /* as last told */
    struct live_clock clock;
    struct batch batch;
};

struct rx_dpdk {
    struct rx_dpdk_options o;
    struct memif_guard guard;
    struct port port[RX_DPDK_PORTS_MAX];
    struct reshard *reshard[RX_DPDK_PORTS_MAX];
    unsigned n_ports, n_lcores, lcores_max;
    struct rte_mempool *mbufs;
    struct rte_bpf *filter;
    struct rte_bpf_jit filter_jit;
    const volatile int *stop;
    _Atomic int halt; /* duration over */
    struct lcore *lcore;
};

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Packets' time; a step of the system's clock is counted with the packets that ran back. */
static uint64_t now_ns(struct lcore *l)
{
    uint64_t steps = l->clock.steps;
    uint64_t ns = live_clock_ns(&l->clock, read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_REALTIME));

    if (__builtin_expect(l->clock.steps != steps, 0) && l->worker != NULL) {
        const struct worker_share share = {.clock_backwards = 1};
        worker_add(l->worker, &share);
    }
    return ns;
}

/* ---- life ---- */

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

/* Devices appear in the order in which they were named. */
static int ports_start(struct rx_dpdk *rx, struct error *e)
{
    const struct rx_dpdk_options *o = &rx->o;
    struct port_options po = {
        .n_workers = o->n_workers,
        .reshard = o->reshard == RX_RESHARD_AUTO ? PORT_RESHARD_AUTO
                   : o->reshard == RX_RESHARD_ON ? PORT_RESHARD_ON
                                                 : PORT_RESHARD_OFF,
        .snap_bytes = o->snap_bytes,
        .rx_ring = o->wait == RX_POLL ? RING_POLLING : RING_ASLEEP,
        .interrupts = o->wait == RX_INTERRUPT,
        .mbufs = rx->mbufs,
    };
    unsigned n = 0;

    for (uint16_t id = 0; id < RTE_MAX_ETHPORTS; id++)
        n += rte_eth_dev_is_valid_port(id) != 0;
    if (n < o->n_devices)
        return error_set(e, -ENODEV, "only %u of %u devices came up: check the names (%s ...) and the driver binding",
                         n, o->n_devices, o->devices[0]);
    for (uint16_t id = 0; id < RTE_MAX_ETHPORTS && rx->n_ports < o->n_devices; id++) {
        if (!rte_eth_dev_is_valid_port(id))
            continue;
        po.device = o->devices[rx->n_ports];
        int error = port_start(&rx->port[rx->n_ports++], id, &po, e);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Several workers of a device may need one in front. */
static unsigned lcores_for(unsigned n_devices, unsigned n_workers)
{
    return n_devices * (n_workers + (n_workers > 1));
}

void rx_dpdk_stand_aside(unsigned n_devices, unsigned n_workers, const char *cpus)
{
    eal_stand_aside(lcores_for(n_devices, n_workers), cpus);
}

int rx_dpdk_open(const struct rx_dpdk_options *options, struct rx_dpdk **ret_rx, struct error *e)
{
    struct rx_dpdk *rx = aligned_alloc(64, sizeof(*rx));

    if (rx == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    memset(rx, 0, sizeof(*rx));
    rx->o = *options;
    if (rx->o.snap_bytes < BUFFER_BYTES_MIN)
        rx->o.snap_bytes = BUFFER_BYTES_MIN;
    const struct eal_options eal = {
        .devices = options->devices,
        .n_devices = options->n_devices,
        .n_lcores = lcores_for(options->n_devices, options->n_workers),
        .cpus = options->cpus,
        .mbuf_bytes = (uint64_t)options->n_mbufs * (rx->o.snap_bytes + 512u),
        .eal_args = options->eal_args,
    };
    if (eal.n_lcores >= RTE_MAX_LCORE) {
        free(rx);
        return error_set(e, -E2BIG, "%u threads are more than DPDK's %d", eal.n_lcores, RTE_MAX_LCORE - 1);
    }
    int error = eal_start(&eal, e);
    if (error != 0) {
        free(rx);
        return error;
    }
    rx->mbufs = rte_pktmbuf_pool_create("mbufs", options->n_mbufs, MBUF_CACHE, 0,
                                        (uint16_t)(rx->o.snap_bytes + RTE_PKTMBUF_HEADROOM), (int)rte_socket_id());
    rx->lcores_max = eal.n_lcores;
    rx->lcore = memory_map(rx->lcores_max * sizeof(*rx->lcore)); /* aligned to lines, as batches are */
    if (rx->mbufs == NULL || rx->lcore == NULL)
        error = error_set(e, -ENOMEM, "no memory for %u packet buffers: lower capture.mbufs or reserve huge pages",
                          options->n_mbufs);
    if (error == 0 && options->filter != NULL && *options->filter != '\0')
        error = filter_load(rx, options->filter, e);
    bool guarded = false;
    for (unsigned i = 0; i < options->n_devices; i++)
        guarded |= memif_guard_is_needed(options->devices[i]);
    if (error == 0 && guarded)
        error = memif_guard_start(&rx->guard, e);
    if (error == 0)
        error = ports_start(rx, e);
    if (error != 0) {
        rx_dpdk_close(rx);
        return error;
    }
    *ret_rx = rx;
    return 0;
}

static void close_devices(struct rx_dpdk *rx)
{
    for (unsigned i = 0; i < rx->n_ports; i++)
        port_stop(&rx->port[i]);
    rte_bpf_destroy(rx->filter);
    rte_mempool_free(rx->mbufs);
    rte_eal_cleanup();
}

void rx_dpdk_close(struct rx_dpdk *rx)
{
    if (rx == NULL)
        return;
    bool guarded = rx->guard.handle != NULL;
    memif_guard_stop(&rx->guard);
    for (unsigned i = 0; i < rx->n_ports; i++)
        reshard_free(rx->reshard[i]);
    if (guarded)
        memif_guard_leave_open(rx->o.devices, rx->o.n_devices);
    else
        close_devices(rx);
    memory_unmap(rx->lcore, rx->lcores_max * sizeof(*rx->lcore));
    free(rx);
}

/* ---- packets ---- */

static bool passes(const struct rx_dpdk *rx, struct rte_mbuf *m)
{
    if (rx->filter == NULL)
        return true;
    uint64_t result = rx->filter_jit.func != NULL ? rx->filter_jit.func(m) : rte_bpf_exec(rx->filter, m);
    return result != 0;
}

static uint64_t time_of(const struct port *port, const struct rte_mbuf *m, uint64_t burst_ns)
{
    uint64_t ns;

    if (!port->has_hw_time || !(m->ol_flags & port->time_flag))
        return burst_ns;
    uint64_t ticks = *RTE_MBUF_DYNFIELD(m, port->time_offset, const rte_mbuf_timestamp_t *);
    return hw_clock_ns(&port->clock, ticks, burst_ns, &ns) ? ns : burst_ns;
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

/* Fills the batch from m[0 .. n); what the filter leaves out goes behind what stays. Returns how many stay. */
static unsigned sort_out(struct lcore *l, struct rte_mbuf **m, unsigned n)
{
    uint64_t burst_ns = now_ns(l);
    unsigned kept = 0;

    l->batch.mirror = l->mirror;
    l->batch.link = LINK_ETHERNET;
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *this = m[i];
        if (!passes(l->rx, this))
            continue;
        fill(&l->batch.pkt[kept], this, time_of(l->port, this, burst_ns));
        m[i] = m[kept];
        m[kept++] = this;
    }
    l->batch.n = kept;
    return kept;
}

static void count_wrong(struct lcore *l)
{
    const struct port *port = l->port;
    struct worker_share share = {.wrong_worker = 0};

    for (uint32_t i = 0; i < l->batch.n; i++) {
        struct pkt *p = &l->batch.pkt[i];
        if (p->verdict != PKT_FLOW)
            continue;
        pkt_complete_key(p);
        uint16_t fold = port_fold(p->key.addr);
        if (port->hashes_ports && p->key.kind == KEY_PORTS && !(p->flags & PKT_FRAGMENT))
            fold ^= __builtin_bswap16(p->key.port[0] ^ p->key.port[1]);
        share.wrong_worker += port->queue_of[fold] != l->first_queue;
    }
    if (share.wrong_worker != 0)
        worker_add(l->worker, &share);
}

static void take_burst(struct lcore *l, struct rte_mbuf **m, unsigned n)
{
    unsigned kept = sort_out(l, m, n);

    if (l->reshard != NULL) {
        if (kept < n) {
            reshard_count(l->reshard, LEDGER_filtered, n - kept);
            rte_pktmbuf_free_bulk(m + kept, n - kept);
        }
        reshard_burst(l->reshard, &l->batch, (void **)m);
        return;
    }
    if (kept < n)
        worker_count_filtered(l->worker, n - kept);
    worker_process(l->worker, &l->batch);
    if (l->port->queue_of != NULL)
        count_wrong(l);
    rte_pktmbuf_free_bulk(m, n);
}

static void release(void **owner, uint32_t n)
{
    rte_pktmbuf_free_bulk((struct rte_mbuf **)owner, n);
}

static void retain(void *owner)
{
    rte_mbuf_refcnt_update(owner, 1);
}

/* One burst of each queue; returns the largest. */
static unsigned poll_queues(struct lcore *l)
{
    struct rte_mbuf *mbuf[BATCH_MAX];
    unsigned most = 0;

    for (uint16_t q = 0; q < l->n_queues; q++) {
        unsigned n = rte_eth_rx_burst(l->port->id, (uint16_t)(l->first_queue + q), mbuf, BATCH_MAX);
        if (n == 0)
            continue;
        take_burst(l, mbuf, n);
        most = n > most ? n : most;
    }
    return most;
}

/* ---- time without packets ---- */

static bool is_over(const struct rx_dpdk *rx)
{
    return *rx->stop || atomic_load_explicit(&rx->halt, memory_order_relaxed);
}

/* The thread of a port's first worker tells of its link. */
static void tell_link(struct lcore *l)
{
    int now = atomic_load_explicit(&l->port->link, memory_order_relaxed);

    if (l->index != 0 || now == l->link || now == PORT_LINK_UNKNOWN)
        return;
    bool is_news = now == PORT_LINK_DOWN || l->link == PORT_LINK_DOWN; /* up at start is none */
    l->link = now;
    if (!is_news)
        return;
    struct rec_event ev = {.ts_ns = now_ns(l),
                           .kind = now == PORT_LINK_UP ? EVENT_MIRROR_LINK_UP : EVENT_MIRROR_LINK_DOWN,
                           .mirror = l->mirror};
    ev.severity = (uint8_t)event_kind_severity(ev.kind);
    snprintf(ev.subject, sizeof(ev.subject), "%.*s", (int)sizeof(ev.subject) - 1, l->port->device);
    worker_event(l->worker, &ev);
}

static void pass_time(struct lcore *l, uint64_t t_ns)
{
    if (t_ns < l->next_tick_ns)
        return;
    l->next_tick_ns = t_ns + TICK_EVERY_NS;
    if (l->reshard != NULL) {
        reshard_tick(l->reshard, t_ns);
        return;
    }
    tell_link(l);
    worker_tick(l->worker, t_ns);
}

static void set_interrupts(struct lcore *l, int (*set)(uint16_t port, uint16_t queue))
{
    for (uint16_t q = 0; q < l->n_queues; q++)
        set(l->port->id, (uint16_t)(l->first_queue + q));
}

/* Interrupts are armed first and the queues looked at once more, so that a packet in between is not slept over. */
static void wait_for_interrupt(struct lcore *l)
{
    struct rte_epoll_event event[4];

    set_interrupts(l, rte_eth_dev_rx_intr_enable);
    if (poll_queues(l) == 0)
        rte_epoll_wait(RTE_EPOLL_PER_THREAD, event, 4, INTERRUPT_MS);
    else
        l->empty = 0;
    set_interrupts(l, rte_eth_dev_rx_intr_disable);
}

static void nap(struct lcore *l, uint64_t t_ns)
{
    bool long_quiet = l->quiet_since_ns != 0 && t_ns - l->quiet_since_ns > NS_PER_S;

    if (l->quiet_since_ns == 0)
        l->quiet_since_ns = t_ns;
    nanosleep(&(struct timespec){.tv_nsec = long_quiet ? LONG_NAP_NS : NAP_NS}, NULL);
}

static void rest(struct lcore *l, uint64_t t_ns)
{
    if (l->rx->o.wait == RX_POLL || l->empty < IDLE_POLLS || is_over(l->rx))
        __builtin_ia32_pause();
    else if (l->wakes_up)
        wait_for_interrupt(l);
    else
        nap(l, t_ns);
}

/* ---- threads ---- */

/* Some devices (net_tap) are always armed and have no way to say so. */
static bool can_arm(int result)
{
    return result == 0 || result == -ENOTSUP;
}

static void listen_for_interrupts(struct lcore *l)
{
    l->wakes_up = l->rx->o.wait == RX_INTERRUPT && l->role != ROLE_WORK && l->port->has_interrupts;
    for (uint16_t i = 0; i < l->n_queues && l->wakes_up; i++) {
        uint16_t port = l->port->id, q = (uint16_t)(l->first_queue + i);
        l->wakes_up = rte_eth_dev_rx_intr_ctl_q(port, q, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD, NULL) == 0 &&
                      can_arm(rte_eth_dev_rx_intr_enable(port, q)) && can_arm(rte_eth_dev_rx_intr_disable(port, q));
    }
}

static unsigned lcore_number(const struct lcore *l)
{
    return (unsigned)(l - l->rx->lcore);
}

/* Something is about to happen to the memory of the queues: read what is there, and wait. */
static void stand_still(struct lcore *l)
{
    for (unsigned i = 0; i < STAND_BURSTS && poll_queues(l) != 0; i++)
        continue;
    memif_guard_stand(&l->rx->guard, lcore_number(l));
}

/* Polls until the end: as the worker itself, or as the front of several. */
static void poll_loop(struct lcore *l)
{
    unsigned drained = 0;

    if (l->guarded)
        memif_guard_join(&l->rx->guard, lcore_number(l));
    while (!is_over(l->rx) || drained < DRAIN_EMPTY_POLLS) {
        unsigned n = poll_queues(l);
        if (__builtin_expect(l->guarded && memif_guard_asks(&l->rx->guard), 0))
            stand_still(l);
        if (n != 0) {
            l->empty = drained = 0;
            l->quiet_since_ns = 0;
            if (n < BATCH_MAX && l->reshard != NULL)
                reshard_flush(l->reshard);
            continue;
        }
        if (l->reshard != NULL)
            reshard_flush(l->reshard);
        l->empty++;
        drained = is_over(l->rx) ? drained + 1 : 0;
        uint64_t t_ns = now_ns(l);
        pass_time(l, t_ns);
        rest(l, t_ns);
    }
    if (l->guarded)
        memif_guard_leave(&l->rx->guard, lcore_number(l));
    if (l->reshard != NULL)
        reshard_finish(l->reshard);
    else
        worker_finish(l->worker);
}

static void work_loop(struct lcore *l)
{
    while (!reshard_is_over(l->reshard, l->index)) {
        if (reshard_work(l->reshard, l->index)) {
            l->empty = 0;
            l->quiet_since_ns = 0;
            continue;
        }
        l->empty++;
        tell_link(l);
        rest(l, l->rx->o.wait == RX_POLL || l->empty < IDLE_POLLS ? 0 : now_ns(l));
    }
}

static int lcore_main(void *arg)
{
    struct lcore *l = arg;

    prctl(PR_SET_TIMERSLACK, 1000ul); /* naps as short as they are meant to be */
    listen_for_interrupts(l);
    if (l->role == ROLE_WORK)
        work_loop(l);
    else
        poll_loop(l);
    return 0;
}

/* Where make_lcores will put a worker: every device that is shared out has a thread in front. */
static unsigned lcore_of(const struct rx_dpdk *rx, unsigned worker)
{
    unsigned before = worker;

    for (unsigned i = 0; i <= worker / rx->o.n_workers; i++)
        before += rx->port[i].spread == PORT_RESHARD;
    return before + 1;
}

static int make_lcores(struct rx_dpdk *rx, struct worker *const *workers, struct error *e)
{
    for (unsigned i = 0; i < rx->n_ports; i++) {
        struct port *port = &rx->port[i];
        struct worker *const *mine = workers + i * rx->o.n_workers;
        struct lcore base = {.rx = rx, .port = port, .mirror = i, .link = PORT_LINK_UNKNOWN};
        base.guarded = rx->guard.handle != NULL && memif_guard_is_needed(port->device);
        if (port->spread == PORT_RESHARD) {
            const struct reshard_options options = {.workers = mine,
                                                    .n_workers = rx->o.n_workers,
                                                    .depth = LANE_BURSTS,
                                                    .window_ns = rx->o.window_ns,
                                                    .vlan_in_key = rx->o.vlan_in_key,
                                                    .release = release,
                                                    .retain = retain};
            if (reshard_new(&options, &rx->reshard[i]) != 0)
                return error_set(e, -ENOMEM, "no memory for the lanes of %u workers", rx->o.n_workers);
            base.reshard = rx->reshard[i];
            base.role = ROLE_FRONT;
            base.n_queues = port->n_queues;
            base.index = UINT32_MAX;
            rx->lcore[rx->n_lcores++] = base;
        }
        for (unsigned k = 0; k < rx->o.n_workers; k++) {
            base.role = port->spread == PORT_RESHARD ? ROLE_WORK : ROLE_POLL;
            base.worker = mine[k];
            base.index = k;
            base.first_queue = port->spread == PORT_QUEUES ? (uint16_t)k : 0;
            base.n_queues = port->spread == PORT_QUEUES ? 1 : base.role == ROLE_POLL ? port->n_queues : 0;
            assert(lcore_of(rx, i * rx->o.n_workers + k) == rx->n_lcores + 1);
            rx->lcore[rx->n_lcores++] = base;
        }
    }
    return 0;
}

struct errand {
    int (*job)(void *ctx, unsigned worker);
    void *ctx;
    unsigned worker;
};

static int run_errand(void *errand_)
{
    const struct errand *errand = errand_;

    return errand->job(errand->ctx, errand->worker);
}

bool rx_dpdk_on_lcores(struct rx_dpdk *rx, int (*job)(void *ctx, unsigned worker), void *ctx)
{
    struct errand errand[RTE_MAX_LCORE];
    unsigned n = rx->n_ports * rx->o.n_workers;
    bool done = true;

    for (unsigned i = 0; i < n; i++) {
        errand[i] = (struct errand){job, ctx, i};
        if (rte_eal_remote_launch(run_errand, &errand[i], lcore_of(rx, i)) != 0)
            done &= run_errand(&errand[i]) == 0; /* here is not as good a place, but a place */
    }
    for (unsigned i = 0; i < n; i++)
        done &= rte_eal_wait_lcore(lcore_of(rx, i)) == 0;
    return done;
}

int rx_dpdk_run(struct rx_dpdk *rx, struct worker *const *workers, const volatile int *stop, uint64_t duration_ns,
                struct error *e)
{
    uint64_t end_ns = duration_ns != 0 ? read_clock(CLOCK_MONOTONIC) + duration_ns : UINT64_MAX;
    int error = make_lcores(rx, workers, e);

    rx->stop = stop;
    for (unsigned i = 0; i < rx->n_lcores && error == 0; i++) {
        error = rte_eal_remote_launch(lcore_main, &rx->lcore[i], i + 1);
        if (error != 0)
            error_set(e, error, "thread %u does not start: %s", i, strerror(-error));
    }
    while (error == 0 && !*stop && read_clock(CLOCK_MONOTONIC) < end_ns) {
        usleep(WATCH_EVERY_US);
        for (unsigned i = 0; i < rx->n_ports; i++)
            port_watch(&rx->port[i]);
    }
    atomic_store(&rx->halt, 1);
    rte_eal_mp_wait_lcore();
    for (unsigned i = 0; i < rx->n_ports; i++)
        port_watch(&rx->port[i]);
    return error;
}

/* ---- what is known about ports ---- */

void rx_dpdk_ledger(void *rx_, uint32_t mirror, struct ledger *ret_nic)
{
    struct rx_dpdk *rx = rx_;

    port_ledger(&rx->port[mirror], ret_nic);
}

void rx_dpdk_describe(const struct rx_dpdk *rx, unsigned device, char ret_text[static RX_DPDK_TEXT])
{
    port_describe(&rx->port[device], ret_text, RX_DPDK_TEXT);
}

void rx_dpdk_trouble(const struct rx_dpdk *rx, unsigned device,
                     void (*say)(void *ctx, const char *name, uint64_t value), void *ctx)
{
    port_trouble(&rx->port[device], say, ctx);
}
