/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Merging two sorted cell arrays is one backward pass in place: the target grows first, then the largest cells go to
 * its end, so no scratch array is needed. Quantiles walk the cells once, by the rank rule of hist_quantile_ns (the
 * ceiling of q n).
 */

#include "analytics/sparse_hist.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_BITS 48
#define COUNT_MAX  ((1ull << COUNT_BITS) - 1)

static uint64_t cell_of(uint64_t index, uint64_t count)
{
    return index << COUNT_BITS | (count > COUNT_MAX ? COUNT_MAX : count);
}

static uint64_t cell_index(uint64_t cell)
{
    return cell >> COUNT_BITS;
}

static uint64_t cell_count(uint64_t cell)
{
    return cell & COUNT_MAX;
}

void sparse_hist_fini(struct sparse_hist *h)
{
    free(h->cell);
    *h = (struct sparse_hist){0};
}

/* Merges n sorted cells without doubles. */
static int merge_cells(struct sparse_hist *h, const uint64_t *cell, uint32_t n)
{
    uint32_t together = h->n_cells + n;

    if (together > h->size) {
        uint32_t size = together < 8 ? 8 : together + together / 4;
        uint64_t *p = realloc(h->cell, size * sizeof(*p));
        if (p == NULL)
            return -ENOMEM;
        h->cell = p;
        h->size = size;
    }
    uint32_t i = h->n_cells, j = n, at = together;
    while (j > 0) {
        if (i > 0 && cell_index(h->cell[i - 1]) > cell_index(cell[j - 1])) {
            h->cell[--at] = h->cell[--i];
        } else if (i > 0 && cell_index(h->cell[i - 1]) == cell_index(cell[j - 1])) {
            uint64_t count = cell_count(h->cell[i - 1]) + cell_count(cell[j - 1]);
            h->cell[--at] = cell_of(cell_index(cell[j - 1]), count);
            i--;
            j--;
        } else {
            h->cell[--at] = cell[--j];
        }
    }
    memmove(h->cell + i, h->cell + at, (together - at) * sizeof(*h->cell));
    h->n_cells = i + (together - at);
    return 0;
}

static void merge_summary(struct sparse_hist *h, uint64_t n, uint64_t sum_ns, uint64_t min_ns, uint64_t max_ns)
{
    if (h->n == 0 || min_ns < h->min_ns)
        h->min_ns = min_ns;
    if (max_ns > h->max_ns)
        h->max_ns = max_ns;
    h->n += n;
    h->sum_ns += sum_ns;
}

static int compare_cells(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

int sparse_hist_add(struct sparse_hist *h, uint64_t n, uint64_t sum_ns, uint64_t min_ns, uint64_t max_ns,
                    const struct hist_item *items, uint32_t n_items)
{
    uint64_t cell[HIST_BUCKETS + 1];
    uint32_t used = 0;

    if (n == 0)
        return 0;
    while (n_items > 0) {
        bool in_order = true; /* as workers send them */
        for (used = 0; n_items > 0 && used <= HIST_BUCKETS; items++, n_items--) {
            if (items->index > HIST_BUCKETS || items->count == 0)
                continue;
            cell[used] = cell_of(items->index, items->count);
            in_order &= used == 0 || cell[used - 1] <= cell[used];
            used++;
        }
        if (!in_order)
            qsort(cell, used, sizeof(*cell), compare_cells);
        uint32_t unique = 0;
        for (uint32_t i = 0; i < used; i++) {
            if (unique > 0 && cell_index(cell[unique - 1]) == cell_index(cell[i]))
                cell[unique - 1] = cell_of(cell_index(cell[i]), cell_count(cell[unique - 1]) + cell_count(cell[i]));
            else
                cell[unique++] = cell[i];
        }
        int result = merge_cells(h, cell, unique);
        if (result != 0)
            return result;
    }
    merge_summary(h, n, sum_ns, min_ns, max_ns);
    return 0;
}

#define SPREAD_CELLS 16u /* between two quantiles */

/* n samples behind bucket `from` up to bucket `to`, the last of them in `to`. Returns the number of items. */
static uint32_t spread(struct hist_item *items, uint32_t from, uint32_t to, uint64_t n)
{
    uint32_t span = to > from ? to - from : 0, cells = span < SPREAD_CELLS ? span : SPREAD_CELLS, used = 0;

    if (n == 0)
        return 0;
    if ((uint64_t)cells > n - 1)
        cells = (uint32_t)(n - 1);
    uint64_t left = n - 1 < UINT32_MAX - 1 ? n - 1 : UINT32_MAX - 1; /* no path has more samples in an hour */
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t share = (uint32_t)left / (cells + 1 - i);
        items[used++] = (struct hist_item){.index = (uint16_t)(from + span * (i + 1) / (cells + 1)), .count = share};
        left -= share;
    }
    items[used++] = (struct hist_item){.index = (uint16_t)to, .count = (uint32_t)left + 1};
    return used;
}

int sparse_hist_add_quantiles(struct sparse_hist *h, const struct window_quantiles *q)
{
    const struct {
        double at;
        uint64_t ns;
    } known[] = {{0.10, q->p10_ns}, {0.50, q->p50_ns}, {0.90, q->p90_ns}, {0.99, q->p99_ns}, {1.0, q->max_ns}};
    struct hist_item items[5 * (SPREAD_CELLS + 1)];
    uint32_t n_items = 0, from = hist_index(q->min_ns);
    uint64_t done = 0;

    if (q->n == 0)
        return 0;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t rank = (uint64_t)ceil(known[i].at * (double)q->n);
        uint32_t to = hist_index(known[i].ns);
        if (rank > q->n || i == 4)
            rank = q->n;
        if (rank <= done)
            continue;
        n_items += spread(items + n_items, from, to < from ? from : to, rank - done);
        done = rank;
        from = to < from ? from : to;
    }
    return sparse_hist_add(h, q->n, q->p50_ns * q->n, q->min_ns, q->max_ns, items, n_items);
}

int sparse_hist_merge(struct sparse_hist *into, const struct sparse_hist *from)
{
    if (from->n == 0)
        return 0;
    int result = merge_cells(into, from->cell, from->n_cells);
    if (result == 0)
        merge_summary(into, from->n, from->sum_ns, from->min_ns, from->max_ns);
    return result;
}

static uint64_t quantile_ns(const struct sparse_hist *h, double q)
{
    uint64_t rank = (uint64_t)ceil(q * (double)h->n);
    uint64_t seen = 0;

    if (rank <= 1)
        return h->min_ns; /* the ends are known exactly */
    if (rank >= h->n)
        return h->max_ns;
    for (uint32_t i = 0; i < h->n_cells; i++) {
        seen += cell_count(h->cell[i]);
        if (seen >= rank && cell_index(h->cell[i]) < HIST_BUCKETS) {
            uint64_t mid = hist_midpoint_ns((uint32_t)cell_index(h->cell[i]));
            return mid < h->min_ns ? h->min_ns : mid > h->max_ns ? h->max_ns : mid;
        }
    }
    return h->max_ns;
}

void sparse_hist_quantiles(const struct sparse_hist *h, struct window_quantiles *ret_q)
{
    *ret_q = (struct window_quantiles){.n = h->n};
    if (h->n == 0)
        return;
    ret_q->min_ns = h->min_ns;
    ret_q->p10_ns = quantile_ns(h, 0.10);
    ret_q->p50_ns = quantile_ns(h, 0.50);
    ret_q->p90_ns = quantile_ns(h, 0.90);
    ret_q->p99_ns = quantile_ns(h, 0.99);
    ret_q->max_ns = h->max_ns;
}
