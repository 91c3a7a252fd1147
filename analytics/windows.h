/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_WINDOWS_H
#define SPANWARD_WINDOWS_H

/*
 * Assembly of base windows from the workers' parts. A window closes when every worker that still runs has said
 * REC_WINDOW_END for it or a later one; windows close in order of time. A part that comes after that is late: counted,
 * not merged.
 */

#include <stdbool.h>
#include "analytics/circuits.h"

#define WINDOWS_OPEN_MAX 1024 /* a worker that lags further behind has its windows closed without it, degraded */

/* A window whose numbers are complete, of any tier. */
struct closed_window {
    uint64_t start_ns, length_ns;
    uint32_t parts, parts_expected; /* base windows in it */
    bool degraded;                  /* the sensor itself lost something in it */
    struct objects *objects;
};

struct windows_worker {
    uint64_t done_until_ns; /* end of the newest window that it ended */
    bool ended;
    uint64_t ring_dropped, pool_exhausted; /* as last told */
};

struct windows_open;

/* Owner: the analytics thread. Invariant: open[] ascending by start, all at or after watermark_ns. */
struct windows {
    uint64_t length_ns, seed, watermark_ns;
    const struct circuits *circuits; /* NULL: none */
    bool mirrors_only;               /* nobody asks for the other objects: they are left out */
    struct windows_worker *worker;
    unsigned n_workers;
    struct windows_open **open;
    size_t n_open;
    uint64_t late_parts, forced;
    int result; /* first -ENOMEM */
    void (*close)(void *ctx, struct closed_window *w);
    void *ctx;
};

int windows_init(struct windows *x, unsigned n_workers, uint64_t length_ns, uint64_t seed,
                 void (*close)(void *ctx, struct closed_window *w), void *ctx);
void windows_fini(struct windows *x);

/* False when the message contradicts itself (lengths, scope): nothing is taken then. */
bool windows_part(struct windows *x, const struct rec_window *part);
void windows_end(struct windows *x, unsigned worker, const struct rec_window_end *end);
/* REC_EOF, or the worker is gone. Closes everything after the last one. */
void windows_worker_ended(struct windows *x, unsigned worker);

/* Adds one part's counters and histograms to an object set (used for totals too), and to those of a path's circuits
 * unless NULL. 0 or -ENOMEM. */
int windows_add_part(struct objects *into, const struct rec_window *part, const struct circuits *circuits);

#endif
