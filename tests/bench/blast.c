/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * blast VDEV MPPS SECONDS FLOWS CPU: sends 64-byte UDP frames of many flows through a DPDK device, as fast as asked
 * (0: as fast as it goes), and says what the device took: {"sent":N,"refused":N,"seconds":S}.
 *
 * testpmd sends only at full speed; to show that nothing is lost below it takes a sender that keeps a rate: every burst
 * has its time by the time stamp counter. A burst that is late by more than LATE_US (somebody else had the processor)
 * moves all later ones: catching up would be a rate above the asked one. Frames are made once per buffer; per packet
 * the source address and the IP id change, so that nothing looks like a copy.
 *
 * SECONDS below 0: as long, but it leaves right behind its last packet, without giving the peer time to drain.
 */

#include <math.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BURST     32u
#define FRAME     60u
#define RING      2048u
#define LINK_S    20u
#define BUFFERS   16383u
#define DRAIN_US  300000u
#define SETTLE_US 200000u /* the other end maps the rings in a thread that may share our processor */
#define LATE_US   100.0

struct blast {
    struct rte_mempool *pool;
    uint64_t sent, refused, counter;
    uint32_t flows;
};

static void die(const char *what)
{
    fprintf(stderr, "blast: %s\n", what);
    exit(1);
}

static void write_frame(struct blast *b, uint8_t *p)
{
    static const uint8_t head[42] = {2, 0,  0,  0, 0, 1,  2, 0, 0, 0,   0, 2, 8, 0,    0x45, 0,    0,    46, 0,  0, 0,
                                     0, 64, 17, 0, 0, 10, 0, 0, 0, 192, 0, 2, 1, 0x30, 0x39, 0x1f, 0x90, 0,  26, 0, 0};
    uint64_t n = b->counter++;
    uint32_t flow = (uint32_t)(n % b->flows);

    memcpy(p, head, sizeof(head));
    p[18] = (uint8_t)(n / b->flows >> 8);
    p[19] = (uint8_t)(n / b->flows);
    p[27] = (uint8_t)(flow >> 16);
    p[28] = (uint8_t)(flow >> 8);
    p[29] = (uint8_t)flow;
    memset(p + 42, 0, FRAME - 42);
}

static void send_burst(struct blast *b)
{
    struct rte_mbuf *m[BURST];

    if (rte_pktmbuf_alloc_bulk(b->pool, m, BURST) != 0)
        die("out of buffers");
    for (unsigned i = 0; i < BURST; i++) {
        write_frame(b, rte_pktmbuf_mtod(m[i], uint8_t *));
        m[i]->data_len = FRAME;
        m[i]->pkt_len = FRAME;
    }
    uint16_t n = rte_eth_tx_burst(0, 0, m, BURST);
    b->sent += n;
    b->refused += BURST - n;
    rte_pktmbuf_free_bulk(m + n, BURST - n);
}

static void start(struct blast *b, const char *vdev, const char *cpu)
{
    char device[256], lcores[32];
    char *args[] = {"blast", "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci", "--log-level=error", "-m",
                    "128",   lcores,      device};
    struct rte_eth_conf conf = {.link_speeds = 0};
    struct rte_eth_link link = {.link_status = 0};

    snprintf(device, sizeof(device), "--vdev=%s", vdev);
    snprintf(lcores, sizeof(lcores), "--lcores=0@%s", cpu);
    if (rte_eal_init(sizeof(args) / sizeof(args[0]), args) < 0)
        die("DPDK does not start");
    b->pool = rte_pktmbuf_pool_create("blast", BUFFERS, 256, 0, 256 + RTE_PKTMBUF_HEADROOM, 0);
    if (b->pool == NULL || rte_eth_dev_configure(0, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(0, 0, RING, 0, NULL, b->pool) != 0 || rte_eth_tx_queue_setup(0, 0, RING, 0, NULL) != 0)
        die("the device does not take its configuration");
    if (rte_eth_dev_start(0) != 0)
        die("the device does not start (the other end has to be there first)");
    for (unsigned i = 0; i < LINK_S * 100 && !link.link_status; i++) {
        usleep(10000);
        rte_eth_link_get_nowait(0, &link);
    }
    if (!link.link_status)
        die("nobody is at the other end");
    usleep(SETTLE_US);
}

int main(int argc, char **argv)
{
    struct blast b = {.pool = NULL};

    if (argc != 6) {
        fputs("Usage: blast VDEV MPPS SECONDS FLOWS CPU\n", stderr);
        return 2;
    }
    double mpps = strtod(argv[2], NULL), seconds = strtod(argv[3], NULL);
    bool drains = seconds > 0;
    b.flows = (uint32_t)strtoul(argv[4], NULL, 10);
    if (b.flows == 0 || seconds == 0)
        die("flows and seconds are not 0");
    seconds = fabs(seconds);
    start(&b, argv[1], argv[5]);
    double hz = (double)rte_get_tsc_hz(), per_burst = mpps > 0 ? hz * BURST / (mpps * 1e6) : 0;
    uint64_t begin = rte_rdtsc(), end = begin + (uint64_t)(seconds * hz);
    double due = (double)begin, late = LATE_US * hz / 1e6;
    while (rte_rdtsc() < end) {
        double now;
        while ((now = (double)rte_rdtsc()) < due)
            rte_pause();
        due = now - due > late ? now + per_burst : due + per_burst;
        send_burst(&b);
    }
    double took = (double)(rte_rdtsc() - begin) / hz;
    if (drains)
        usleep(DRAIN_US);
    printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.3f}\n", (unsigned long long)b.sent,
           (unsigned long long)b.refused, took);
    rte_eth_dev_stop(0);
    rte_eal_cleanup();
    return 0;
}
