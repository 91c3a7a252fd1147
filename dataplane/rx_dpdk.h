/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RX_DPDK_H
#define SPANWARD_RX_DPDK_H

/*
 * Live input: DPDK ports and the lcores that read them.
 *
 * A device is an EAL device string ("net_af_packet0,iface=eth1") or a PCI address ("0000:03:00.0"). Device i is mirror
 * i and has n_workers workers of its own: workers[i * n_workers ...]. How packets reach several workers is the port's
 * matter (port.h).
 */

#include <stdbool.h>
#include <stdint.h>
#include "common/counters.h"
#include "common/log.h"
#include "dataplane/worker.h"

#define RX_DPDK_PORTS_MAX 16
#define RX_DPDK_TEXT      400

enum rx_wait { RX_POLL, RX_INTERRUPT, RX_ADAPTIVE };
enum rx_reshard { RX_RESHARD_AUTO, RX_RESHARD_ON, RX_RESHARD_OFF };

struct rx_dpdk_options {
    const char *const *devices;
    unsigned n_devices; /* 1..RX_DPDK_PORTS_MAX */
    unsigned n_workers; /* per device */
    enum rx_reshard reshard;
    enum rx_wait wait;
    uint32_t n_mbufs;
    uint32_t snap_bytes;
    uint64_t window_ns;   /* those of the workers */
    bool vlan_in_key;     /* likewise */
    const char *cpus;     /* processors of the reading threads, NULL or "": chosen */
    const char *filter;   /* pcap filter, NULL or "": everything */
    const char *eal_args; /* further EAL options, NULL: none */
};

struct rx_dpdk;

/* Starts the EAL (once per process) and the ports. Needs root or the capabilities that the drivers want. */
int rx_dpdk_open(const struct rx_dpdk_options *options, struct rx_dpdk **ret_rx, struct error *e);

/* Keeps this thread, and what it will start, off the processors that the reading threads will have. */
void rx_dpdk_stand_aside(unsigned n_devices, unsigned n_workers, const char *cpus);

/* Has each thread that will run a worker, of 0 .. n_devices * n_workers, do job(ctx, worker); waits for all of them.
 * Returns whether all of them returned 0. */
bool rx_dpdk_on_lcores(struct rx_dpdk *rx, int (*job)(void *ctx, unsigned worker), void *ctx);

/*
 * Runs workers[0 .. n_devices * n_workers) on their lcores until *stop is set or duration_ns has passed (0: no limit),
 * watching the ports meanwhile; then drains the ports and finishes the workers.
 */
int rx_dpdk_run(struct rx_dpdk *rx, struct worker *const *workers, const volatile int *stop, uint64_t duration_ns,
                struct error *e);
void rx_dpdk_close(struct rx_dpdk *rx);

/* What the ports themselves lost since start, by mirror; may be called from any thread. */
void rx_dpdk_ledger(void *rx, uint32_t mirror, struct ledger *ret_nic);

/* One line on how a device was set up. */
void rx_dpdk_describe(const struct rx_dpdk *rx, unsigned device, char ret_text[static RX_DPDK_TEXT]);

/* Statistics of a device that tell of trouble: the driver's own names, those that are not 0. */
void rx_dpdk_trouble(const struct rx_dpdk *rx, unsigned device,
                     void (*say)(void *ctx, const char *name, uint64_t value), void *ctx);

#endif
