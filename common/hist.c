/* SPDX-License-Identifier: BSD-3-Clause */

/* Cold side of the histogram; see hist.h for the scheme and its error. */

#include "common/hist.h"

#include <math.h>
#include <string.h>

void hist_clear(struct hist *h)
{
    memset(h, 0, sizeof(*h));
}

void hist_merge(struct hist *into, const struct hist *from)
{
    if (from->n == 0)
        return;
    if (into->n == 0 || from->min_ns < into->min_ns)
        into->min_ns = from->min_ns;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->n += from->n;
    into->sum_ns += from->sum_ns;
    into->overflow += from->overflow;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

uint64_t hist_midpoint_ns(uint32_t index)
{
    if (index < 64)
        return ((uint64_t)index << 10) + 512;
    uint32_t octave = index / 32 - 1;
    uint64_t low = (uint64_t)(index - 32 * octave) << octave;
    return (low << 10) + ((1ull << (octave + 10)) >> 1);
}

uint64_t hist_quantile_ns(const struct hist *h, double q)
{
    if (h->n == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(q * (double)h->n);
    uint64_t seen = 0;

    if (rank <= 1)
        return h->min_ns; /* the ends are known exactly */
    if (rank >= h->n)
        return h->max_ns;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= rank) {
            uint64_t mid = hist_midpoint_ns(i);
            return mid < h->min_ns ? h->min_ns : mid > h->max_ns ? h->max_ns : mid;
        }
    }
    return h->max_ns;
}

uint32_t hist_to_items(const struct hist *h, struct hist_item *items)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        if (h->bucket[i] != 0)
            items[n++] = (struct hist_item){.index = (uint16_t)i, .count = h->bucket[i]};
    if (h->overflow != 0)
        items[n++] = (struct hist_item){.index = HIST_BUCKETS, .count = (uint32_t)h->overflow};
    return n;
}

void hist_add_items(struct hist *h, const struct hist_item *items, uint32_t n_items)
{
    for (uint32_t i = 0; i < n_items; i++) {
        if (items[i].index < HIST_BUCKETS)
            h->bucket[items[i].index] += items[i].count;
        else if (items[i].index == HIST_BUCKETS)
            h->overflow += items[i].count;
    }
}
