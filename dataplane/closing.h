/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLOSING_H
#define SPANWARD_CLOSING_H

/*
 * The window that is over, on its way to analytics while the next one counts.
 *
 * closing_begin sets it aside (aggregate.h) with the account as it is at that moment; closing_go_on, called between
 * bursts and from idle ticks, sends a bounded number of entries, so many that all are sent within an eighth of a
 * window; when the last one has left, REC_WINDOW_END follows. A few entries leave at once. A window that ends before
 * the one before has left sends the rest of that in one go.
 *
 * The mirror's entry is the sum of the services' (and of what belongs to no flow), so it leaves last.
 */

#include "dataplane/aggregate.h"
#include "dataplane/meter.h"

struct closing {
    struct agg_table *tables; /* METER_TABLES of them, the worker's */
    uint32_t mirror;          /* the mirror's entry in its table */
    struct rec_writer *out;
    bool is_open;
    struct rec_window_end end;
    uint64_t since_ns; /* data time */
    uint32_t total, sent;
};

void closing_init(struct closing *c, struct agg_table tables[METER_TABLES], uint32_t mirror, struct rec_writer *out);

/* The window of all tables is over. `end` but for its header and ring_dropped. */
void closing_begin(struct closing *c, const struct rec_window_end *end);

/* All that is left, and the end. */
void closing_finish(struct closing *c);

void closing_piece(struct closing *c, uint64_t now_ns);

static inline void closing_go_on(struct closing *c, uint64_t now_ns)
{
    if (__builtin_expect(c->is_open, 0))
        closing_piece(c, now_ns);
}

#endif
