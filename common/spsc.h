/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SPSC_H
#define SPANWARD_SPSC_H

/*
 * Single-producer single-consumer ring of variable-length messages, by value.
 *
 * One worker writes, the analytics thread reads; neither ever waits for the other. Both sides keep a cached copy
 * of the other's position, so that a cache line moves only when the ring looks full or empty
 * (Lee et al., "MCRingBuffer", 2010). A message is contiguous: where it would wrap, a filler skips the
 * end of the buffer. Lengths are multiples of 8 and at most a quarter of the capacity.
 *
 * DPDK's rte_ring holds fixed-size elements and would bring DPDK headers into analytics; hence our own.
 */

#include <stdint.h>
#include <stddef.h>

struct spsc;

/* capacity_bytes: power of two >= 4096. Returns NULL without memory. */
struct spsc *spsc_new(size_t capacity_bytes);
void spsc_free(struct spsc *r);

/* Producer: room for len bytes (8-aligned), or NULL when full. Nothing is visible before the commit. */
void *spsc_reserve(struct spsc *r, size_t len_bytes);
void spsc_commit(struct spsc *r);

/* Consumer: the oldest message and its length, or NULL when empty. Valid until spsc_pop. */
const void *spsc_peek(struct spsc *r, size_t *ret_len_bytes);
void spsc_pop(struct spsc *r);

/* Bytes in use now; a snapshot, for display. */
size_t spsc_used_bytes(const struct spsc *r);

#endif
