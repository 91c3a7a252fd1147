/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FLOW_TABLE_H
#define SPANWARD_FLOW_TABLE_H

/*
 * The flow table of one worker: fixed size, two choices of bucket, full key compare.
 *
 * A bucket is one cache line: eight 16-bit signatures and eight 32-bit record indices. A key lives in one of two
 * buckets (its second is the first xor a value derived from the signature); an insert takes the first while it
 * has room to spare, else the emptier one, so that one prefetch nearly always hits. When both are full, the flow in
 * them that has been idle longest is evicted, and counted. The hash is seeded per process, so that nobody outside can
 * prepare collisions. Records come from a free list, most recently freed first: memory that was never needed is never
 * touched.
 *
 * Expiry: a wheel of one-second slots with doubly linked lists. A packet only writes last_ns; the deadline is looked at
 * when the slot comes round, and the flow is put into a later slot if it was busy in the meantime (lazy re-arm).
 */

#include <string.h>

#include "dataplane/flow.h"

#define BUCKET_SLOTS 8u
#define FLOW_NONE    UINT32_MAX

struct bucket {
    uint16_t sig[BUCKET_SLOTS]; /* 0 = free */
    uint32_t index[BUCKET_SLOTS];
    uint32_t pad[4];
};
static_assert(sizeof(struct bucket) == 64, "a bucket is a line");

#define WHEEL_SLOTS 1024u /* of one second */

struct flow_table {
    struct bucket *bucket;
    struct flow *flow;
    uint32_t n_flows, bucket_mask;
    uint32_t free_head, fresh; /* free list through timer_next; records from fresh on were never used */
    uint64_t seed[2];

    uint32_t wheel[WHEEL_SLOTS]; /* heads */
    uint64_t wheel_s;            /* second that was last worked off */

    uint32_t active;
    uint64_t evicted;
};

int flow_table_init(struct flow_table *t, uint32_t n_flows);
void flow_table_fini(struct flow_table *t);

uint64_t flow_hash(const struct flow_table *t, const struct flow_key *key);
void flow_table_prefetch(const struct flow_table *t, uint64_t hash);

/* Prefetches the records whose signature fits. */
void flow_table_prefetch_records(const struct flow_table *t, uint64_t hash);

/* FLOW_NONE when absent. */
uint32_t flow_table_find(const struct flow_table *t, uint64_t hash, const struct flow_key *key);

/*
 * Takes a zeroed record for `key`, which must be absent. When there is no room *ret_victim is the flow to finish and
 * release first (then call again), and FLOW_NONE is returned.
 */
uint32_t flow_table_insert(struct flow_table *t, uint64_t hash, const struct flow_key *key, uint32_t *ret_victim);

/* Removes the flow from bucket and wheel and frees its record. */
void flow_table_release(struct flow_table *t, uint32_t index);

/* Puts the flow into the slot of deadline_ns. */
void flow_table_arm(struct flow_table *t, uint32_t index, uint64_t deadline_ns);

/*
 * Hands out one flow whose slot has come by now_ns, or FLOW_NONE when there is none left. The flow is out of the wheel
 * then: the caller releases it or arms it again. The first call sets the wheel's time.
 */
uint32_t flow_table_due(struct flow_table *t, uint64_t now_ns);

/* Every live flow in turn, in no order: start with *cursor = 0; FLOW_NONE at the end. */
uint32_t flow_table_next(const struct flow_table *t, uint32_t *cursor);

/* All 48 bytes, as six words: no call, no branch per word. */
static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
    uint64_t x[6], y[6];

    memcpy(x, a, sizeof(x));
    memcpy(y, b, sizeof(y));
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4]) | (x[5] ^ y[5])) == 0;
}

/* Memory of buckets and records. */
size_t flow_table_bytes(const struct flow_table *t);

/* Is this record live and of that key? */
bool flow_is(const struct flow_table *t, uint32_t index, const struct flow_key *key);

static inline struct flow *flow_at(const struct flow_table *t, uint32_t index)
{
    return &t->flow[index];
}

#endif
