/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SPARSE_HIST_H
#define SPANWARD_SPARSE_HIST_H

/*
 * A histogram that keeps only its non-empty buckets, sorted. Paths have some dozens of them, so thousands of objects in
 * five tiers fit in memory; merging stays addition and exact. Buckets and limits are those of common/hist.h.
 */

#include <stdint.h>
#include "common/hist.h"
#include "common/window.h"

/* Invariant: cell[] ascending by index, no index twice; counts > 0. A cell is index << 48 | count (48 bits,
 * saturating). */
struct sparse_hist {
    uint64_t n, sum_ns, min_ns, max_ns;
    uint64_t *cell;
    uint32_t n_cells, size;
};

void sparse_hist_fini(struct sparse_hist *h);

/* Adds one worker's part: items in any order (indices above HIST_BUCKETS are ignored). 0 or -ENOMEM. */
int sparse_hist_add(struct sparse_hist *h, uint64_t n, uint64_t sum_ns, uint64_t min_ns, uint64_t max_ns,
                    const struct hist_item *items, uint32_t n_items);
/*
 * Adds what is known of a distribution of which only quantiles were stored. They come back exactly as long as nothing
 * else is added; between two of them the samples are spread evenly over the buckets, so a quantile of a sum is off by
 * less than the distance of its neighbours.
 */
int sparse_hist_add_quantiles(struct sparse_hist *h, const struct window_quantiles *q);
int sparse_hist_merge(struct sparse_hist *into, const struct sparse_hist *from);

/* The same quantiles as window_quantiles_of on a full histogram. */
void sparse_hist_quantiles(const struct sparse_hist *h, struct window_quantiles *ret_q);

#endif
