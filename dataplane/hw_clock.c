/* SPDX-License-Identifier: BSD-3-Clause */

/* See hw_clock.h. Products of ticks and rate have 128 bits, so neither the rate nor the uptime of a NIC is limited. */

#include "dataplane/hw_clock.h"

#include "common/timefmt.h"

#define LEAST_NS (10 * NS_PER_MS) /* between the first two samples: less tells nothing about the rate */

void hw_clock_sample(struct hw_clock *c, uint64_t ticks, uint64_t now_ns)
{
    uint32_t version = atomic_load_explicit(&c->version, memory_order_relaxed);

    if (!c->has_first || ticks <= c->first_ticks || now_ns <= c->first_ns) { /* anew after a reset or a clock step */
        c->first_ticks = ticks;
        c->first_ns = now_ns;
        c->has_first = true;
        return;
    }
    if (now_ns - c->first_ns < LEAST_NS)
        return;
    uint64_t rate_q32 = (uint64_t)(((unsigned __int128)(now_ns - c->first_ns) << 32) / (ticks - c->first_ticks));
    atomic_store_explicit(&c->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&c->base_ticks, ticks, memory_order_relaxed);
    atomic_store_explicit(&c->base_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&c->ns_per_tick_q32, rate_q32, memory_order_relaxed);
    atomic_store_explicit(&c->version, version + 2, memory_order_release);
}

/* Ticks before the base count as well: a packet waits in the ring while the line moves on. */
static uint64_t at(uint64_t base_ticks, uint64_t base_ns, uint64_t rate_q32, uint64_t ticks)
{
    if (ticks >= base_ticks)
        return base_ns + (uint64_t)((unsigned __int128)(ticks - base_ticks) * rate_q32 >> 32);
    return base_ns - (uint64_t)((unsigned __int128)(base_ticks - ticks) * rate_q32 >> 32);
}

bool hw_clock_ns(const struct hw_clock *c_, uint64_t ticks, uint64_t now_ns, uint64_t *ret_ns)
{
    struct hw_clock *c = (struct hw_clock *)(uintptr_t)c_; /* C11 has no atomic load of const before C17's errata */
    uint32_t version = atomic_load_explicit(&c->version, memory_order_acquire);

    if (version == 0 || version % 2 == 1)
        return false;
    uint64_t base_ticks = atomic_load_explicit(&c->base_ticks, memory_order_relaxed);
    uint64_t base_ns = atomic_load_explicit(&c->base_ns, memory_order_relaxed);
    uint64_t rate_q32 = atomic_load_explicit(&c->ns_per_tick_q32, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&c->version, memory_order_relaxed) != version)
        return false;
    *ret_ns = at(base_ticks, base_ns, rate_q32, ticks);
    uint64_t off_ns = *ret_ns > now_ns ? *ret_ns - now_ns : now_ns - *ret_ns;
    return off_ns <= NS_PER_S;
}
