/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_PCAPNG_H
#define SPANWARD_LAB_PCAPNG_H

/* A pcapng file with one Ethernet interface and nanosecond times, written front to back. */

#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

struct lab_pcapng;

int lab_pcapng_open(const char *path, uint32_t snap_bytes, struct lab_pcapng **ret, struct error *e);

/* Keeps the first `captured` of `original` bytes. Times must not go backwards. */
int lab_pcapng_write(struct lab_pcapng *p, uint64_t ts_ns, const void *frame, size_t captured, size_t original);

uint64_t lab_pcapng_frames(const struct lab_pcapng *p);
uint64_t lab_pcapng_bytes(const struct lab_pcapng *p);

/* 0, or -errno of the first write that failed. Frees p (NULL does nothing). */
int lab_pcapng_close(struct lab_pcapng *p);

#endif
