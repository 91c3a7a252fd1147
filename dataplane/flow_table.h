/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FLOW_TABLE_H
#define SPANWARD_FLOW_TABLE_H

/*
 * The flow table of one worker: fixed size, two choices of bucket, full key compare.
 *
 * A bucket is one cache line: eight 16-bit signatures and eight 32-bit record indices. A key lives in one of two
 * buckets (its second is the first xor a value derived from the signature); an insert takes the first while it
 * has room to spare, else the emptier one, so that one prefetch nearly always hits. When both are full, one of
 * their flows makes room: one that is over, else the idlest of those that were never answered, else the idlest. When no
 * record is left, the same is asked of some records in turn. The hash is seeded per process, so that nobody outside can
 * prepare collisions. Records come from a free list, most recently freed first: memory that was never needed is never
 * touched. A table that starts small uses a part of its buckets, and twice as many whenever half of the slots are
 * taken: for who may wait while flows move (files).
 *
 * A record holds the whole key of an IPv4 flow. The addresses of an IPv6 flow lie in an array beside the records, and
 * the record has a seeded digest of them, so that an unequal key is nearly always seen without that line.
 *
 * Expiry is a sweep: flow_table_sweep looks at the next few records, whose last_ns tells whether their time is up. A
 * packet pays nothing for it, a record needs no links, and memory is read in its order. The caller sets the pace by the
 * clock, with or without packets: a full round in SWEEP_ROUND_NS, or in as much more as there are more records than
 * SWEEP_RECORDS, since a line of memory for each of ten million every second is what many packets would need.
 */

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/bytes.h"
#include "dataplane/fetch.h"
#include "dataplane/flow.h"

#define BUCKET_SLOTS   8u
#define FLOW_NONE      UINT32_MAX
#define SWEEP_ROUND_NS 1000000000ull
#define SWEEP_RECORDS  (1u << 20)

/* All of the last word of a short key but tunnel_agg, which is no part of it. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FLOW_KEY_REST 0x0000ffffffffffffull
#else
#define FLOW_KEY_REST 0xffffffffffff0000ull
#endif

struct bucket {
    uint16_t sig[BUCKET_SLOTS];       /* 0 = free */
    uint32_t index[BUCKET_SLOTS + 1]; /* the last is that of no slot: read for nothing */
    uint32_t pad[3];
};
static_assert(sizeof(struct bucket) == 64, "a bucket is a line");

struct ip6_pair {
    struct ip_addr addr[2];
};

struct flow_table {
    struct bucket *bucket;
    struct flow *flow;
    struct ip6_pair *ip6; /* of the record of the same index */
    uint32_t n_flows, bucket_mask;
    uint32_t last_mask;        /* bucket_mask when all buckets are in use */
    uint32_t free_head, fresh; /* free list through last_ns; records from fresh on were never used */
    uint64_t seed[2];

    uint32_t hand;         /* of the sweep */
    uint32_t victims_hand; /* the same for who has to make room */
    uint32_t active;
    uint32_t changes; /* inserts and releases: what was found before one may be wrong after it */
    uint64_t evicted;
};

int flow_table_init(struct flow_table *t, uint32_t n_flows);
void flow_table_fini(struct flow_table *t);

/* Begins with at most n_buckets (a power of two) of an empty table's buckets. */
void flow_table_start_small(struct flow_table *t, uint32_t n_buckets);

/* The short form of a key. */
static inline void flow_key_shorten(const struct flow_table *t, const struct flow_key *key, struct short_key *ret)
{
    memcpy(&ret->w[1], &key->port, 8);
    memcpy(&ret->w[2], &key->vlan, 8);
    if (key->af == 6) {
        uint64_t w[4];
        memcpy(w, key->addr, sizeof(w));
        ret->addrs = fold64(w[0] ^ t->seed[0], w[1] ^ t->seed[1]) + fold64(w[2] ^ t->seed[1], w[3] ^ ~t->seed[0]);
    } else {
        memcpy(&ret->addrs, &key->addr[0], 4);
        memcpy((char *)&ret->addrs + 4, &key->addr[1], 4);
    }
}

static inline uint64_t flow_hash(const struct flow_table *t, const struct short_key *id)
{
    uint64_t h = fold64(id->w[0] ^ t->seed[0], id->w[1] ^ t->seed[1]);

    return fold64(h ^ (id->w[2] & FLOW_KEY_REST), 0x9e3779b97f4a7c15ull ^ t->seed[0]);
}

/* The key of a live flow. */
void flow_key_of(const struct flow_table *t, const struct flow *f, struct flow_key *ret);

/* FLOW_NONE when absent. */
uint32_t flow_table_find(const struct flow_table *t, uint64_t hash, const struct short_key *id,
                         const struct flow_key *key);

/*
 * Takes a zeroed record for `key`, which must be absent. When there is no room *ret_victim is the flow to finish and
 * release first (then call again), and FLOW_NONE is returned.
 */
uint32_t flow_table_insert(struct flow_table *t, uint64_t hash, const struct short_key *id, const struct flow_key *key,
                           uint32_t *ret_victim);

/* Removes the flow from its bucket and frees its record. */
void flow_table_release(struct flow_table *t, uint32_t index);

#define SWEEP_AHEAD 4u /* twice as far in front of the sweep's hand the first lines of records are fetched */

/* The next live flow under the sweep's hand, of at most *records that are looked at; FLOW_NONE when those are used up.
 * *records is what is left. */
uint32_t flow_table_sweep(struct flow_table *t, uint32_t *records);

/* Every live flow in turn, in no order: start with *cursor = 0; FLOW_NONE at the end. */
uint32_t flow_table_next(const struct flow_table *t, uint32_t *cursor);

/* Memory of buckets, records and addresses. */
size_t flow_table_bytes(const struct flow_table *t);

static inline struct flow *flow_at(const struct flow_table *t, uint32_t index)
{
    return &t->flow[index];
}

static inline uint32_t flow_index(const struct flow_table *t, const struct flow *f)
{
    return (uint32_t)(f - t->flow);
}

/* How long a round of the sweep takes. */
static inline uint64_t flow_table_round_ns(const struct flow_table *t)
{
    return t->fresh <= SWEEP_RECORDS ? SWEEP_ROUND_NS : SWEEP_ROUND_NS * t->fresh / SWEEP_RECORDS;
}

/* A free record has no address family. */
static inline bool flow_is_live(const struct flow *f)
{
    return f->key.af != 0;
}

/* Is this record live and of that key? */
static inline bool flow_is(const struct flow_table *t, uint32_t index, const struct short_key *id,
                           const struct flow_key *key)
{
    const struct short_key *own = &t->flow[index].key;

    if (((own->w[0] ^ id->w[0]) | (own->w[1] ^ id->w[1]) | ((own->w[2] ^ id->w[2]) & FLOW_KEY_REST)) != 0)
        return false;
    return id->af != 6 || memcmp(&t->ip6[index], key->addr, sizeof(t->ip6[index])) == 0;
}

/* Never 0: that marks a free slot. */
static inline uint16_t flow_signature(uint64_t hash)
{
    uint16_t sig = (uint16_t)(hash >> 48);

    return sig != 0 ? sig : 1;
}

static inline uint32_t flow_bucket(const struct flow_table *t, uint64_t hash)
{
    return (uint32_t)hash & t->bucket_mask;
}

static inline uint32_t flow_other_bucket(const struct flow_table *t, uint32_t bucket, uint16_t sig)
{
    return (bucket ^ ((uint32_t)sig * 0x5bd1e995u)) & t->bucket_mask;
}

/* The same in plain C, for machines without SSE2; a test compares both. */
static inline uint32_t bucket_matches_scalar(const struct bucket *b, uint16_t sig)
{
    uint32_t matches = 0;

    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        matches |= (uint32_t)(b->sig[i] == sig) << (2 * i);
    return matches;
}

/* Slots with that signature: bit 2 i is set for slot i, all others are 0. */
static inline uint32_t bucket_matches(const struct bucket *b, uint16_t sig)
{
#ifdef __SSE2__
    __m128i sigs = _mm_load_si128((const __m128i *)(const void *)b->sig);

    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi16(sigs, _mm_set1_epi16((short)sig))) & 0x5555u;
#else
    return bucket_matches_scalar(b, sig);
#endif
}

static inline __attribute__((always_inline)) void flow_table_prefetch(const struct flow_table *t, uint64_t hash)
{
    fetch(&t->bucket[flow_bucket(t, hash)]);
}

/* Fetches lines [from, to) of a record. */
static inline __attribute__((always_inline)) void flow_prefetch(const struct flow_table *t, uint32_t index,
                                                                unsigned from, unsigned to)
{
    const char *record = (const char *)&t->flow[index];

    for (unsigned line = from; line < to; line++)
        fetch(record + 64 * line);
}

/* Fetches what the end of a flow reads: all of the record, of which the first line is there, and its buckets. */
static inline __attribute__((always_inline)) void flow_table_fetch_end(const struct flow_table *t, uint32_t index)
{
    uint64_t hash = flow_hash(t, &t->flow[index].key);
    uint32_t bucket = flow_bucket(t, hash);

    flow_prefetch(t, index, 1, sizeof(struct flow) / 64);
    fetch(&t->bucket[bucket]);
    fetch(&t->bucket[flow_other_bucket(t, bucket, flow_signature(hash))]);
}

/* The same for who ends one record after another: that one, and the first line of the record as far again ahead. */
static inline __attribute__((always_inline)) void flow_table_fetch_ahead(const struct flow_table *t, uint32_t index,
                                                                         uint32_t ahead)
{
    if (index + ahead >= t->fresh)
        return;
    flow_table_fetch_end(t, index + ahead);
    flow_prefetch(t, index + 2 * ahead, 0, 1);
}

static inline uint32_t flow_table_guess_in(const struct flow_table *t, uint32_t bucket, uint16_t sig)
{
    const uint32_t beyond = 1u << (2 * BUCKET_SLOTS); /* the slot that is none */
    uint32_t matches = bucket_matches(&t->bucket[bucket], sig);

    static_assert(FLOW_NONE == UINT32_MAX, "all ones");
    return t->bucket[bucket].index[(unsigned)__builtin_ctz(matches | beyond) / 2] | -(uint32_t)(matches == 0);
}

/*
 * The first record of the first bucket whose signature fits: nearly always the flow, but its key is still to be
 * compared. FLOW_NONE if none does: then it may be in the other bucket.
 */
static inline uint32_t flow_table_guess(const struct flow_table *t, uint64_t hash)
{
    return flow_table_guess_in(t, flow_bucket(t, hash), flow_signature(hash));
}

static inline __attribute__((always_inline)) void flow_table_prefetch_other(const struct flow_table *t, uint64_t hash)
{
    fetch(&t->bucket[flow_other_bucket(t, flow_bucket(t, hash), flow_signature(hash))]);
}

/* The same in the other bucket. */
static inline uint32_t flow_table_guess_other(const struct flow_table *t, uint64_t hash)
{
    uint16_t sig = flow_signature(hash);

    return flow_table_guess_in(t, flow_other_bucket(t, flow_bucket(t, hash), sig), sig);
}

#endif
