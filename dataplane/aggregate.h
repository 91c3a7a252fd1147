/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_AGGREGATE_H
#define SPANWARD_AGGREGATE_H

/*
 * Windows of one worker: counters and histograms per mirror, path, service, VLAN and tunnel.
 *
 * A flow learns its path and service once, when it is made, and keeps their indices; an entry stays as long as flows
 * hold it (refs) or its window has traffic. Index 0 of paths and services is "(other)": it takes what finds no room, so
 * that totals stay whole. At a window's end every touched entry leaves by value through the ring.
 */

#include "common/record.h"
#include "dataplane/rec_writer.h"

struct agg {
    /* identity */
    struct rec_scope key;
    uint32_t refs;    /* live flows */
    uint32_t touched; /* in this window */
    uint32_t next;    /* hash chain or free list */
    uint64_t ms;      /* the millisecond that ms_bytes is of */
    uint64_t ms_bytes;

    /* this window */
    struct window_counters c;
    struct hist hist[WINDOW_HIST_COUNT];
};

struct agg_table {
    struct agg *entry; /* [0] is "(other)" */
    uint32_t *chain;   /* hash heads, index or 0 */
    uint32_t *touched; /* entries with traffic in this window */
    uint32_t n_touched, n_entries, chain_mask, free_head, fresh;
    uint8_t scope;
    uint64_t overflowed; /* look-ups that ended in "(other)" */
};

int agg_table_init(struct agg_table *t, enum window_scope scope, uint32_t n_entries, uint32_t mirror);
void agg_table_fini(struct agg_table *t);

/* Index of the entry for `key`, made when absent; takes a reference. */
uint32_t agg_get(struct agg_table *t, const struct rec_scope *key);
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

/* Frame bytes of a packet in millisecond `ms`, for the peak. a is touched. */
static inline void agg_count_peak(struct agg *a, uint64_t ms, uint32_t bytes)
{
    a->ms_bytes = a->ms == ms ? a->ms_bytes + bytes : bytes;
    a->ms = ms;
    if (a->ms_bytes > a->c.peak_1ms_bytes)
        a->c.peak_1ms_bytes = a->ms_bytes;
}

/* Sends every touched entry as REC_WINDOW and clears it, having added it to `total` if that is not NULL. Returns how
 * many did not fit the ring. */
uint64_t agg_emit(struct agg_table *t, struct rec_writer *out, uint64_t start_ns, uint64_t length_ns,
                  struct agg *total);

#endif
