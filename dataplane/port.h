/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PORT_H
#define SPANWARD_PORT_H

/*
 * One DPDK port that receives a mirror: set up by what its driver can do, its losses, its link and its clock.
 *
 * How packets get to several workers (enum port_spread): a NIC hashes addresses with a symmetric key into one queue per
 * worker; the kernel's fan-out does the same for net_af_packet with qpairs=N; everything else is read by one thread
 * that shares packets out (reshard.h).
 *
 * The RSS key is 6d5a repeated (Woo and Park, 2012), with which Toeplitz's hash depends only on the exclusive or of all
 * 16-bit words of its input: both directions hash alike. Only addresses are hashed where the driver lets us choose, so
 * that fragments, which have no ports, follow their flow. `queue_of` predicts from the innermost addresses which queue
 * a packet should have come by; what came by another one (through a tunnel, as a rule) is counted as wrong_worker.
 *
 * net_memif's peers come and go under our feet: see memif_guard.h.
 *
 * DPDK 22.11 guides: Poll Mode Driver (RSS, offloads, statistics), AF_PACKET, memif, AF_XDP, TAP, PCAP, ring.
 */

#include <net/if.h>
#include <rte_ethdev.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/counters.h"
#include "common/log.h"
#include "dataplane/hw_clock.h"

#define PORT_QUEUES_MAX 64u

enum port_spread { PORT_SINGLE, PORT_QUEUES, PORT_RESHARD };
enum port_reshard { PORT_RESHARD_AUTO, PORT_RESHARD_ON, PORT_RESHARD_OFF };
enum port_link { PORT_LINK_UNKNOWN, PORT_LINK_UP, PORT_LINK_DOWN };

struct port_options {
    const char *device;
    unsigned n_workers;
    enum port_reshard reshard;
    uint32_t snap_bytes; /* of one buffer */
    uint16_t rx_ring;    /* wanted; the driver may change it */
    bool interrupts;     /* wanted */
    struct rte_mempool *mbufs;
};

/* Owner: the main thread, but what is atomic (and the clock) may be read by all. */
struct port {
    uint16_t id, n_queues;
    enum port_spread spread;
    const char *device;
    char driver[32], iface[IFNAMSIZ]; /* iface: of the kernel, "" = none */
    bool has_interrupts;
    uint16_t rx_ring;
    uint32_t mtu;

    bool has_hw_time;
    int time_offset; /* of the mbuf's dynamic field */
    uint64_t time_flag;
    struct hw_clock clock;

    uint8_t *queue_of; /* by port_fold; NULL: not known */
    bool hashes_ports;

    bool counts_missed;
    struct rte_eth_stats base; /* at start: some drivers cannot reset */
    int packet_fd[PORT_QUEUES_MAX];
    unsigned n_packet_fds;
    uint64_t packet_drops;
    uint64_t iface_base, iface_before; /* what the kernel's interface had received at start, and when last looked */
    _Atomic uint64_t missed, errors, no_mbuf;
    _Atomic int link; /* enum port_link */
};

int port_start(struct port *p, uint16_t id, const struct port_options *o, struct error *e);
void port_stop(struct port *p);

/* Main thread, a few times a second: statistics, link, clock. */
void port_watch(struct port *p);

/* What the port lost since start. Any thread. */
void port_ledger(struct port *p, struct ledger *ret_nic);

/* One line on what was set up. */
void port_describe(const struct port *p, char *ret_text, size_t size);

/* Every extended statistic that tells of trouble and is not 0. */
void port_trouble(const struct port *p, void (*say)(void *ctx, const char *name, uint64_t value), void *ctx);

/* All 16-bit words of both addresses, in memory order. */
static inline uint16_t port_fold(const void *pair_of_addresses)
{
    uint64_t w[4];

    __builtin_memcpy(w, pair_of_addresses, sizeof(w));
    uint64_t x = w[0] ^ w[1] ^ w[2] ^ w[3];
    x ^= x >> 32;
    return (uint16_t)(x ^ x >> 16);
}

/* Fills queue_of for a redirection table of n entries (a power of two). */
void port_predict(uint8_t queue_of[static 65536], const uint16_t *reta, unsigned n);

#define PORT_RSS_KEY_BYTES 64u
const uint8_t *port_rss_key(void);

#endif
