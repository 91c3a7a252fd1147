/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RX_DPDK_H
#define SPANWARD_RX_DPDK_H

/*
 * Live input: DPDK ports. One worker lcore per worker; worker i polls queue i of every port.
 *
 * A device is an EAL device string ("net_af_packet0,iface=eth1") or a PCI address ("0000:03:00.0"). With several
 * workers both directions of a flow must reach the same one: by symmetric RSS of the NIC, or by the fan-out of
 * af_packet, which is symmetric by nature; a device that can do neither is refused.
 */

#include <stdbool.h>
#include <stdint.h>
#include "common/counters.h"
#include "common/log.h"
#include "dataplane/worker.h"

#define RX_DPDK_PORTS_MAX 16

struct rx_dpdk_options {
    const char *const *devices;
    unsigned n_devices; /* 1..RX_DPDK_PORTS_MAX; device i is mirror i */
    unsigned n_workers;
    uint32_t n_mbufs;
    uint32_t snap_bytes;
    const char *filter;   /* pcap filter, NULL or "": everything */
    const char *eal_args; /* further EAL options, NULL: none */
};

struct rx_dpdk;

/* Starts the EAL (once per process) and the ports. Needs root or the capabilities that the drivers want. */
int rx_dpdk_open(const struct rx_dpdk_options *options, struct rx_dpdk **ret_rx, struct error *e);

/*
 * Runs workers[0 .. n_workers) on their lcores until *stop is set or duration_ns has passed (0: no limit), reading port
 * statistics meanwhile; then drains the ports and finishes the workers.
 */
int rx_dpdk_run(struct rx_dpdk *rx, struct worker *const *workers, const volatile int *stop, uint64_t duration_ns,
                struct error *e);
void rx_dpdk_close(struct rx_dpdk *rx);

/* What the ports themselves lost since start, by mirror; may be called from any thread. */
void rx_dpdk_ledger(void *rx, uint32_t mirror, struct ledger *ret_nic);

#endif
