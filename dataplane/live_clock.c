/* SPDX-License-Identifier: BSD-3-Clause */

/* See live_clock.h. */

#include "dataplane/live_clock.h"

#define SLEW 1000 /* the offset moves by at most one part of so many */

static int64_t within(int64_t value, int64_t bound)
{
    return value > bound ? bound : value < -bound ? -bound : value;
}

uint64_t live_clock_ns(struct live_clock *c, uint64_t steady_ns, uint64_t system_ns)
{
    if (c->steady_seen_ns == 0) {
        c->offset_ns = system_ns - steady_ns;
        c->steady_seen_ns = steady_ns;
        return system_ns;
    }
    int64_t off_ns = (int64_t)(system_ns - (steady_ns + c->offset_ns));
    bool was_ahead = c->is_ahead;

    c->is_ahead = off_ns < -LIVE_CLOCK_STEP_NS;
    if (off_ns > LIVE_CLOCK_STEP_NS) {
        c->offset_ns += (uint64_t)off_ns;
        c->steps++;
    } else {
        c->offset_ns += (uint64_t)within(off_ns, (int64_t)(steady_ns - c->steady_seen_ns) / SLEW);
        c->steps += c->is_ahead && !was_ahead;
    }
    c->steady_seen_ns = steady_ns;
    return steady_ns + c->offset_ns;
}
