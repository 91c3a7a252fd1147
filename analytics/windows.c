/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See windows.h. Counters add up and histograms merge bucket by bucket, so the result does not depend on how many
 * workers there were or in which order their parts came. (peak_1ms_bytes is the largest of the workers' peaks, which
 * may have been in different milliseconds: a lower bound with several workers.)
 */

#include "analytics/windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A window that still collects parts. */
struct windows_open {
    uint64_t start_ns;
    bool degraded;
    struct objects objects;
};

int windows_init(struct windows *x, unsigned n_workers, uint64_t length_ns, uint64_t seed,
                 void (*close)(void *ctx, struct closed_window *w), void *ctx)
{
    *x = (struct windows){.length_ns = length_ns, .seed = seed, .n_workers = n_workers, .close = close, .ctx = ctx};
    x->worker = calloc(n_workers, sizeof(*x->worker));
    x->open = calloc(WINDOWS_OPEN_MAX + 1, sizeof(*x->open));
    if (x->worker == NULL || x->open == NULL) {
        windows_fini(x);
        return -ENOMEM;
    }
    return 0;
}

static void free_open(struct windows_open *w)
{
    objects_fini(&w->objects);
    free(w);
}

void windows_fini(struct windows *x)
{
    for (size_t i = 0; i < x->n_open; i++)
        free_open(x->open[i]);
    free(x->open);
    free(x->worker);
    *x = (struct windows){0};
}

static void close_first(struct windows *x)
{
    struct windows_open *w = x->open[0];

    memmove(x->open, x->open + 1, --x->n_open * sizeof(struct windows_open *));
    x->watermark_ns = w->start_ns + x->length_ns;
    struct closed_window closed = {.start_ns = w->start_ns,
                                   .length_ns = x->length_ns,
                                   .parts = 1,
                                   .parts_expected = 1,
                                   .degraded = w->degraded,
                                   .objects = &w->objects};
    x->close(x->ctx, &closed);
    free_open(w);
}

static struct windows_open *open_at(struct windows *x, uint64_t start_ns)
{
    size_t i = x->n_open;

    while (i > 0 && x->open[i - 1]->start_ns > start_ns)
        i--;
    if (i > 0 && x->open[i - 1]->start_ns == start_ns)
        return x->open[i - 1];
    struct windows_open *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        x->result = -ENOMEM;
        return NULL;
    }
    w->start_ns = start_ns;
    objects_init(&w->objects, x->seed);
    memmove(x->open + i + 1, x->open + i, (x->n_open - i) * sizeof(struct windows_open *));
    x->open[i] = w;
    x->n_open++;
    return w;
}

static void keep_bounded(struct windows *x)
{
    while (x->n_open > WINDOWS_OPEN_MAX) {
        x->open[0]->degraded = true;
        x->forced++;
        close_first(x);
    }
}

static bool part_is_whole(const struct rec_window *part)
{
    uint64_t items = 0;

    if (part->hdr.len_bytes < sizeof(*part) || part->key.scope >= WINDOW_SCOPE_COUNT)
        return false;
    for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
        items += part->hist[h].n_items;
    return sizeof(*part) + items * sizeof(struct hist_item) <= part->hdr.len_bytes;
}

int windows_add_part(struct objects *into, const struct rec_window *part, const struct circuits *circuits)
{
    const struct hist_item *items = (const struct hist_item *)(const void *)(part + 1);
    struct rec_scope key;
    int result = 0;

    if (!part_is_whole(part) || !object_key_normalise(&key, &part->key))
        return -EINVAL;
    struct object *x = objects_get(into, &key);
    if (x == NULL)
        return -ENOMEM;
    window_counters_merge(&x->c, &part->c);
    for (unsigned h = 0; h < WINDOW_HIST_COUNT && result == 0; h++) {
        result = sparse_hist_add(&x->hist[h], part->hist[h].n, part->hist[h].sum_ns, part->hist[h].min_ns,
                                 part->hist[h].max_ns, items, part->hist[h].n_items);
        items += part->hist[h].n_items;
    }
    return result == 0 && circuits != NULL ? circuits_add_part(circuits, into, part) : result;
}

bool windows_part(struct windows *x, const struct rec_window *part)
{
    if (!part_is_whole(part))
        return false;
    if (part->start_ns < x->watermark_ns) {
        x->late_parts++;
        return true;
    }
    bool wanted = !x->mirrors_only || part->key.scope == WINDOW_MIRROR;
    struct windows_open *w = open_at(x, part->start_ns);
    if (w != NULL && wanted && windows_add_part(&w->objects, part, x->circuits) == -ENOMEM)
        x->result = -ENOMEM;
    keep_bounded(x);
    return true;
}

/* Closes what every worker that still runs has ended. */
static void close_ready(struct windows *x)
{
    uint64_t until_ns = UINT64_MAX;

    for (unsigned i = 0; i < x->n_workers; i++)
        if (!x->worker[i].ended && x->worker[i].done_until_ns < until_ns)
            until_ns = x->worker[i].done_until_ns;
    while (x->n_open > 0 && (until_ns == UINT64_MAX || x->open[0]->start_ns + x->length_ns <= until_ns))
        close_first(x);
}

void windows_end(struct windows *x, unsigned worker, const struct rec_window_end *end)
{
    struct windows_worker *w = &x->worker[worker];
    bool lost = end->ring_dropped > w->ring_dropped || end->pool_exhausted > w->pool_exhausted;

    w->ring_dropped = end->ring_dropped;
    w->pool_exhausted = end->pool_exhausted;
    if (end->start_ns >= x->watermark_ns) {
        struct windows_open *open = open_at(x, end->start_ns);
        if (open != NULL)
            open->degraded |= lost;
    }
    if (end->start_ns + x->length_ns > w->done_until_ns)
        w->done_until_ns = end->start_ns + x->length_ns;
    keep_bounded(x);
    close_ready(x);
}

void windows_worker_ended(struct windows *x, unsigned worker)
{
    x->worker[worker].ended = true;
    close_ready(x);
}
