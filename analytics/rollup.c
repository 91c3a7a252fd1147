/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See rollup.h. Each tier feeds the next longer one that exists, when it closes. A window belongs to the tier window in
 * which it starts; base lengths that do not divide a minute (7 s) make minutes that end up to one base window late.
 */

#include "analytics/rollup.h"

void rollup_init(struct rollup *r, uint64_t base_length_ns, uint64_t seed,
                 void (*close)(void *ctx, enum schema_tier tier, struct closed_window *w), void *ctx)
{
    *r = (struct rollup){.base_length_ns = base_length_ns, .close = close, .ctx = ctx};
    for (unsigned t = SCHEMA_BASE + 1; t < SCHEMA_TIER_COUNT; t++) {
        r->tier[t].exists = schema_tier_exists(t, base_length_ns);
        r->tier[t].length_ns = schema_tier_length_ns(t, base_length_ns);
        objects_init(&r->tier[t].objects, seed);
    }
}

void rollup_fini(struct rollup *r)
{
    for (unsigned t = SCHEMA_BASE + 1; t < SCHEMA_TIER_COUNT; t++)
        objects_fini(&r->tier[t].objects);
}

static void feed(struct rollup *r, unsigned t, const struct closed_window *w);

static void close_tier(struct rollup *r, unsigned t)
{
    struct rollup_tier *x = &r->tier[t];

    if (!x->open)
        return;
    struct closed_window closed = {.start_ns = x->start_ns,
                                   .length_ns = x->length_ns,
                                   .parts = x->parts,
                                   .parts_expected = (uint32_t)(x->length_ns / r->base_length_ns),
                                   .degraded = x->degraded,
                                   .objects = &x->objects};
    r->close(r->ctx, t, &closed);
    feed(r, t + 1, &closed);
    objects_clear(&x->objects);
    x->open = x->degraded = false;
    x->parts = 0;
}

/* Adds w to the first tier from t on that exists; closes that before (w is beyond it) or after (w completes it). */
static void feed(struct rollup *r, unsigned t, const struct closed_window *w)
{
    while (t < SCHEMA_TIER_COUNT && !r->tier[t].exists)
        t++;
    if (t >= SCHEMA_TIER_COUNT)
        return;
    struct rollup_tier *x = &r->tier[t];
    uint64_t start_ns = w->start_ns - w->start_ns % x->length_ns;
    if (x->open && x->start_ns != start_ns)
        close_tier(r, t);
    x->open = true;
    x->start_ns = start_ns;
    x->parts += w->parts;
    x->degraded |= w->degraded;
    int result = objects_merge(&x->objects, w->objects);
    if (result != 0)
        r->result = result;
    if (w->start_ns + w->length_ns >= start_ns + x->length_ns)
        close_tier(r, t);
}

/* What lies wholly before start_ns cannot grow any more: closed, finest first. */
static void close_before(struct rollup *r, uint64_t start_ns)
{
    for (unsigned t = SCHEMA_BASE + 1; t < SCHEMA_TIER_COUNT; t++)
        if (r->tier[t].open && r->tier[t].start_ns + r->tier[t].length_ns <= start_ns)
            close_tier(r, t);
}

void rollup_add(struct rollup *r, struct closed_window *base)
{
    close_before(r, base->start_ns);
    r->close(r->ctx, SCHEMA_BASE, base);
    feed(r, SCHEMA_BASE + 1, base);
}

void rollup_finish(struct rollup *r)
{
    for (unsigned t = SCHEMA_BASE + 1; t < SCHEMA_TIER_COUNT; t++)
        close_tier(r, t);
}
