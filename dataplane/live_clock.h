/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LIVE_CLOCK_H
#define SPANWARD_LIVE_CLOCK_H

/*
 * The time of live packets where the device gives none: the system's clock, but steady.
 *
 * The system's clock is set now and then: by hand, by a time server after a long silence, when a virtual machine goes
 * on. Differences between packets must not see that, and windows cannot go back. So time is the steady clock plus an
 * offset. The offset follows the system's clock by at most a thousandth of the time that passes, which no round trip
 * notices. A step ahead by more than a second is taken at once: time may jump forward, and what was silent for so long
 * is over. After a step back the old time goes on, a thousandth slower: windows keep their names and follow one
 * another, until the system's clock has caught up or the sensor is started again. Both are counted.
 *
 * Owner: one thread. All times in ns.
 */

#include <stdbool.h>
#include <stdint.h>

struct live_clock {
    uint64_t offset_ns;      /* system's time less steady time */
    uint64_t steady_seen_ns; /* 0: not yet asked */
    uint64_t steps;          /* of the system's clock, by more than LIVE_CLOCK_STEP_NS */
    bool is_ahead;           /* since a step back */
};

#define LIVE_CLOCK_STEP_NS 1000000000ll

/* The time now, from both clocks as they are now. Never less than what was returned before. */
uint64_t live_clock_ns(struct live_clock *c, uint64_t steady_ns, uint64_t system_ns);

#endif
