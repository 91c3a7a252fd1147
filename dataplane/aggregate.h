/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_AGGREGATE_H
#define SPANWARD_AGGREGATE_H

/*
 * Windows of one worker: counters and histograms per mirror, path, service, VLAN and tunnel.
 *
 * A flow learns its path and service once, when it is made, and keeps their indices; an entry stays as long as flows
 * hold it (refs) or its window has traffic. Index 0 of paths and services is "(other)": it takes what finds no room, so
 * that totals stay whole.
 *
 * At a window's end every touched entry leaves by value through the ring. Thousands of them at once would hold up the
 * worker for many milliseconds, so every entry has two sets of counters: agg_close swaps them, the next window counts
 * in the other set at once, and the one before is sent and cleared a few entries at a time (agg_emit_some). Memory:
 * what is never touched is never there, so the price is the counters of the touched entries twice.
 */

#include "common/record.h"
#include "common/timefmt.h"
#include "dataplane/rec_writer.h"

/* What one window counts. */
struct agg {
    uint32_t touched;
    uint64_t ms_start_ns; /* the millisecond that ms_bytes is of */
    uint64_t ms_bytes;    /* not yet in c.peak_1ms_bytes */
    struct window_counters c;
    struct hist hist[WINDOW_HIST_COUNT];
};

/* Who counts there. Invariant: in use while refs != 0, or touched in either set. */
struct agg_id {
    struct rec_scope key;
    uint32_t refs; /* live flows */
    uint32_t next; /* hash chain or free list */
};

/* The window before, as far as it is not sent: closing[sent .. n_closing). */
struct agg_end {
    struct rec_writer *out;
    uint64_t start_ns, length_ns;
    struct agg *total; /* to which each entry is added when it is sent, or NULL */
};

struct agg_table {
    struct agg *entry; /* of this window; [0] is "(other)" */
    uint32_t *touched; /* entries with traffic in this window */
    uint32_t n_touched, n_entries, chain_mask, free_head, fresh;
    uint8_t scope;
    struct agg_id *id;
    uint32_t *chain;     /* hash heads, index or 0 */
    uint64_t overflowed; /* look-ups that ended in "(other)" */

    struct agg *before; /* clean but for what waits */
    uint32_t *closing;
    uint32_t n_closing, sent;
    struct agg_end end;
};

int agg_table_init(struct agg_table *t, enum window_scope scope, uint32_t n_entries, uint32_t mirror);
void agg_table_fini(struct agg_table *t);

/* Index of the entry for `key`, made when absent; takes a reference. */
uint32_t agg_get(struct agg_table *t, const struct rec_scope *key);
/* The same, but 0 when absent. */
uint32_t agg_find(struct agg_table *t, const struct rec_scope *key);
void agg_put(struct agg_table *t, uint32_t index);

static inline struct agg *agg_at(struct agg_table *t, uint32_t index)
{
    struct agg *a = &t->entry[index];

    if (!a->touched) {
        a->touched = 1;
        t->touched[t->n_touched++] = index;
    }
    return a;
}

static inline void agg_close_peak(struct agg *a)
{
    if (a->ms_bytes > a->c.peak_1ms_bytes)
        a->c.peak_1ms_bytes = a->ms_bytes;
    a->ms_bytes = 0;
}

/* Frame bytes of a packet, for the busiest millisecond. a is touched. */
static inline void agg_count_peak(struct agg *a, uint64_t ts_ns, uint32_t bytes)
{
    if (__builtin_expect(ts_ns - a->ms_start_ns >= NS_PER_MS, 0)) {
        agg_close_peak(a);
        a->ms_start_ns = ts_ns - ts_ns % NS_PER_MS;
    }
    a->ms_bytes += bytes;
}

/* The window is over. What is left of the one before has been sent. */
void agg_close(struct agg_table *t, const struct agg_end *end);

/* Sends and clears up to n entries of the window that is over. Returns how many. */
uint32_t agg_emit_some(struct agg_table *t, uint32_t n);

static inline uint32_t agg_waiting(const struct agg_table *t)
{
    return t->n_closing - t->sent;
}

#endif
