/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Live input from net_ring, DPDK's device of rings in memory: another thread of this process puts mbufs into the ring
 * that the device reads. Each of them has to be in a ledger and in a flow, with one worker and where a thread shares
 * packets out to several.
 */

#include <pthread.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdio.h>

#undef NS_PER_S /* DPDK's own, of another type */
#include "dataplane/rx_dpdk.h"
#include "tests/unit/drive.h"
#include "tests/unit/unit.h"

#define RING        "ETH_RXTX0_net_ring0" /* as the driver names the ring of its first queue */
#define PKTS        100000u
#define HOSTS       64u
#define MBUFS       4096u
#define PATIENCE_NS (60ull * NS_PER_S)

struct feeder {
    struct rte_mempool *pool;
    struct rte_ring *ring;
    volatile int stop;
    uint32_t sent;
};

static struct rte_mbuf *datagram(struct rte_mempool *pool, uint32_t n)
{
    static struct packet p;
    const struct ip_spec ip = {
        .from = {10, 0, 0, (uint8_t)(n % HOSTS)}, .to = {192, 0, 2, 1}, .proto = 17, .ttl = 64, .id = (uint16_t)n};
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

    if (m == NULL)
        return NULL;
    packet_ethernet(&p, 1, 2, 0x0800);
    packet_ipv4(&p, &ip);
    packet_udp(&p, 4000, 9000, 16);
    packet_payload(&p, n, 16);
    packet_finish(&p);
    memcpy(rte_pktmbuf_append(m, (uint16_t)p.len), p.byte, p.len);
    return m;
}

/* As fast as the device takes them; a full ring or an empty pool is waited for. */
static void *feed(void *arg)
{
    struct feeder *f = arg;

    while (f->sent < PKTS) {
        struct rte_mbuf *m = datagram(f->pool, f->sent);
        while (m != NULL && rte_ring_enqueue(f->ring, m) != 0)
            sched_yield();
        f->sent += m != NULL;
        if (m == NULL)
            sched_yield();
    }
    f->stop = 1; /* what is in the ring is still read: the probe drains its devices */
    return NULL;
}

static struct drive *drives[4];

static struct rx_dpdk *open_ring(unsigned n_workers)
{
    static const char *const devices[] = {"net_ring0"};
    const struct rx_dpdk_options options = {.devices = devices,
                                            .n_devices = 1,
                                            .n_workers = n_workers,
                                            .n_mbufs = MBUFS,
                                            .snap_bytes = 2048,
                                            .window_ns = DRIVE_WINDOW};
    struct rx_dpdk *rx;
    struct error e = {0};

    if (rx_dpdk_open(&options, &rx, &e) != 0)
        ck_abort_msg("%s", e.text);
    return rx;
}

static void all_arrive(unsigned n_workers)
{
    struct worker *workers[4];
    struct rx_dpdk *rx = open_ring(n_workers);
    struct feeder f = {.pool = rte_pktmbuf_pool_create("feeder", MBUFS, 0, 0, 2176, SOCKET_ID_ANY),
                       .ring = rte_ring_lookup(RING)};
    struct error e = {0};
    pthread_t thread;

    ck_assert_ptr_nonnull(f.pool);
    ck_assert_ptr_nonnull(f.ring);
    for (unsigned i = 0; i < n_workers; i++) {
        drives[i] = drive_new(drive_options());
        workers[i] = drives[i]->rig.worker;
    }
    ck_assert_int_eq(pthread_create(&thread, NULL, feed, &f), 0);
    int error = rx_dpdk_run(rx, workers, &f.stop, PATIENCE_NS, &e);
    pthread_join(thread, NULL);
    if (error != 0)
        ck_abort_msg("%s", e.text);

    struct ledger sum = {0}, nic = {0};
    uint64_t pkts = 0;
    uint32_t n_flows = 0;
    for (unsigned i = 0; i < n_workers; i++) {
        ledger_merge(&sum, worker_ledger(workers[i]));
        drive_drain(drives[i]);
        ck_assert_uint_eq(drives[i]->n_eofs, 1);
        n_flows += drives[i]->n_flows;
        for (uint32_t k = 0; k < drives[i]->n_flows; k++)
            pkts += drives[i]->flow[k].dir[C2S].pkts + drives[i]->flow[k].dir[S2C].pkts;
    }
    rx_dpdk_ledger(rx, 0, &nic);
    ck_assert_uint_eq(f.sent, PKTS);
    ck_assert_uint_eq(sum.offered, PKTS);
    ck_assert_uint_eq(sum.offered, sum.processed + ledger_drop_sum(&sum));
    ck_assert_uint_eq(ledger_drop_sum(&sum), sum.drops[LEDGER_ring_full]); /* of a lane, if it was full for a moment */
    ck_assert_uint_eq(pkts, sum.processed);
    ck_assert_uint_eq(n_flows, HOSTS);
    ck_assert_uint_eq(ledger_drop_sum(&nic), 0);
    for (unsigned i = 0; i < n_workers; i++)
        drive_free(drives[i]);
    rx_dpdk_close(rx);
}

START_TEST(one_worker_gets_all)
{
    all_arrive(1);
}
END_TEST

START_TEST(two_workers_share_all)
{
    all_arrive(2);
}
END_TEST

UNIT_MAIN("rx-ring", one_worker_gets_all, two_workers_share_all)
