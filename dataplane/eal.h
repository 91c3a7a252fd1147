/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_EAL_H
#define SPANWARD_EAL_H

/*
 * Starting DPDK's environment: arguments from what the probe knows. Once per process.
 */

#include <stdbool.h>
#include <stdint.h>
#include "common/log.h"

struct eal_options {
    const char *const *devices;
    unsigned n_devices;
    unsigned n_lcores;    /* besides the main one */
    const char *cpus;     /* "2,4-7": the processors of those lcores in this order; NULL or "": chosen */
    uint64_t mbuf_bytes;  /* memory for packet buffers, where there are no huge pages */
    const char *eal_args; /* further options, NULL: none */
};

int eal_start(const struct eal_options *options, struct error *e);

/*
 * Keeps this thread, and with it all threads and programs that it will start, off the processors that eal_start will
 * give to that many lcores; as far as there are others.
 */
void eal_stand_aside(unsigned n_lcores, const char *cpus);

/* A PCI address with or without domain, maybe with device arguments behind a comma. */
bool eal_is_pci(const char *device);

/* Processor of the nth number in "2,4-7"; -1: the list has fewer, -2: it is not such a list. */
int eal_nth_cpu(const char *cpus, unsigned n);

#endif
