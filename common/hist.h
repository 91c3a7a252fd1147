/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_HIST_H
#define SPANWARD_HIST_H

/*
 * Log-linear latency histogram.
 *
 * Unit 1.024 us (ns >> 10). Values 0..63 units have a bucket each; above that every octave has 32
 * equal sub-buckets, up to 68.7 s: 704 buckets, midpoint error <= 1.6 %. Merging is addition, so it
 * is exact and may happen in any order. What lies above the top is counted in `overflow` (and in n,
 * sum and max, which are exact). The scheme is that of HDR histograms with a binary unit, which
 * makes the index a shift and a subtract.
 *
 * Invariant: n == sum of bucket[] + overflow; min_ns <= max_ns when n > 0.
 */

#include <stdint.h>

#define HIST_BUCKETS  704u
#define HIST_SUB_BITS 5u

struct hist {
    uint64_t n;
    uint64_t sum_ns;
    uint64_t min_ns; /* meaningless while n == 0 */
    uint64_t max_ns;
    uint64_t overflow;
    uint32_t bucket[HIST_BUCKETS];
};

/* A non-empty bucket on its way out of a worker. */
struct hist_item {
    uint16_t index; /* HIST_BUCKETS = overflow */
    uint16_t pad;
    uint32_t count;
};

static inline uint32_t hist_index(uint64_t value_ns)
{
    uint64_t units = value_ns >> 10;

    if (units < 64)
        return (uint32_t)units;
    unsigned octave = 63u - (unsigned)__builtin_clzll(units) - HIST_SUB_BITS;
    uint64_t index = 32u * octave + (units >> octave);
    return index < HIST_BUCKETS ? (uint32_t)index : HIST_BUCKETS;
}

/* hist_add with the index at hand. */
static inline void hist_add_at(struct hist *h, uint32_t index, uint64_t value_ns)
{
    if (index < HIST_BUCKETS)
        h->bucket[index]++;
    else
        h->overflow++;
    if (h->n == 0 || value_ns < h->min_ns)
        h->min_ns = value_ns;
    if (value_ns > h->max_ns)
        h->max_ns = value_ns;
    h->sum_ns += value_ns;
    h->n++;
}

static inline void hist_add(struct hist *h, uint64_t value_ns)
{
    hist_add_at(h, hist_index(value_ns), value_ns);
}

void hist_clear(struct hist *h);
void hist_merge(struct hist *into, const struct hist *from);

/* The midpoint in ns of the values that fall into bucket `index`. */
uint64_t hist_midpoint_ns(uint32_t index);

/* The q-quantile (0..1) in ns, clamped to [min, max]; 0 when n == 0: look at n first. */
uint64_t hist_quantile_ns(const struct hist *h, double q);

/* Copies the non-empty buckets to `items` (room for HIST_BUCKETS + 1); returns how many. */
uint32_t hist_to_items(const struct hist *h, struct hist_item *items);

/* Adds items; buckets out of range are ignored. Summary fields are merged by the caller's values. */
void hist_add_items(struct hist *h, const struct hist_item *items, uint32_t n_items);

#endif
