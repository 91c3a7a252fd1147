/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_HW_CLOCK_H
#define SPANWARD_HW_CLOCK_H

/*
 * Packet times from a NIC's own counter, in ns since the epoch.
 *
 * A NIC counts ticks of an unknown rate from an unknown start. Now and then the main thread reads the counter and the
 * system's clock together (hw_clock_sample); the line through two such samples turns ticks into time. Lines overlap:
 * the new one goes through the newest sample with the rate seen since the first, so that the jitter of one reading
 * hardly matters, and no step is larger than that jitter. Workers take the line by a version number that is odd while
 * it is being written (a seqlock), and never wait.
 *
 * Limits: right to about the time that reading the counter takes (some microseconds over PCIe), plus what the system's
 * clock is off; differences between packets are right to the tick. Time that is further than a second from the system's
 * is not believed: hw_clock_ns then says so.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Owner: the thread that samples. */
struct hw_clock {
    _Atomic uint32_t version; /* 0: no line yet; odd: being written */
    _Atomic uint64_t base_ticks, base_ns;
    _Atomic uint64_t ns_per_tick_q32; /* fixed point, 32 fraction bits */
    uint64_t first_ticks, first_ns;
    bool has_first;
};

/* The counter and the clock, read at the same time. The second sample makes the first line. */
void hw_clock_sample(struct hw_clock *c, uint64_t ticks, uint64_t now_ns);

/* False without a line, or when the result is more than a second away from now_ns. */
bool hw_clock_ns(const struct hw_clock *c, uint64_t ticks, uint64_t now_ns, uint64_t *ret_ns);

#endif
