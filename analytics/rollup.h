/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_ROLLUP_H
#define SPANWARD_ROLLUP_H

/*
 * Roll-ups: base windows into minutes, minutes into quarters, quarters into hours. Histograms merge exactly, so an
 * hour's median is the median of its samples and not of medians. A coarse window closes when its time is over, or at
 * the end with parts < parts_expected.
 */

#include "analytics/windows.h"
#include "store/schema.h"

struct rollup_tier {
    bool exists, open;
    uint64_t start_ns, length_ns;
    uint32_t parts;
    bool degraded;
    struct objects objects;
};

/* Owner: the analytics thread. tier[SCHEMA_BASE] is not used: base windows pass straight through. */
struct rollup {
    uint64_t base_length_ns;
    struct rollup_tier tier[SCHEMA_TIER_COUNT];
    int result; /* first -ENOMEM */
    void (*close)(void *ctx, enum schema_tier tier, struct closed_window *w);
    void *ctx;
};

void rollup_init(struct rollup *r, uint64_t base_length_ns, uint64_t seed,
                 void (*close)(void *ctx, enum schema_tier tier, struct closed_window *w), void *ctx);
void rollup_fini(struct rollup *r);

/* A closed base window, ascending by start. Calls close for it and then for what it completes, finest first. */
void rollup_add(struct rollup *r, struct closed_window *base);
/* Closes all tiers as they are: the end of the run. */
void rollup_finish(struct rollup *r);

#endif
