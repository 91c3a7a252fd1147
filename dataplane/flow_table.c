/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See flow_table.h. Hashing: the 48 key bytes as six words, folded by 64x64->128 multiplications with a secret seed
 * (the construction of wyhash): fast, and without the seed nobody can aim at a bucket.
 */

#include "dataplane/flow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/bytes.h"
#include "common/timefmt.h"
#include "dataplane/memory.h"

#define NOT_ARMED    UINT32_MAX
#define FIRST_ENOUGH 6u /* slots in use below which the first bucket is taken without comparing */

static uint32_t bucket_count(uint32_t n_flows)
{
    uint32_t n = 1;

    while ((uint64_t)n * BUCKET_SLOTS * 3 < (uint64_t)n_flows * 4) /* load at most 3/4 */
        n <<= 1;
    return n;
}

int flow_table_init(struct flow_table *t, uint32_t n_flows)
{
    uint32_t n_buckets = bucket_count(n_flows);

    memset(t, 0, sizeof(*t));
    t->n_flows = n_flows;
    t->bucket_mask = n_buckets - 1;
    t->free_head = FLOW_NONE;
    memset(t->wheel, 0xff, sizeof(t->wheel));
    if (getrandom(t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
        return -EIO;
    t->bucket = memory_map(n_buckets * sizeof(*t->bucket));
    t->flow = memory_map(n_flows * sizeof(*t->flow));
    if (t->bucket == NULL || t->flow == NULL) {
        flow_table_fini(t);
        return -ENOMEM;
    }
    return 0;
}

void flow_table_fini(struct flow_table *t)
{
    memory_unmap(t->bucket, ((size_t)t->bucket_mask + 1) * sizeof(*t->bucket));
    memory_unmap(t->flow, t->n_flows * sizeof(*t->flow));
    t->bucket = NULL;
    t->flow = NULL;
}

uint64_t flow_hash(const struct flow_table *t, const struct flow_key *key)
{
    uint64_t w[6];

    memcpy(w, key, sizeof(w));
    uint64_t h = fold64(w[0] ^ t->seed[0], w[1] ^ t->seed[1]);
    h ^= fold64(w[2] ^ t->seed[1], w[3] ^ t->seed[0] ^ 0x9e3779b97f4a7c15ull);
    h = fold64(h ^ w[4] ^ t->seed[0], w[5] ^ t->seed[1] ^ 0xc2b2ae3d27d4eb4full);
    return mix64(h);
}

/* Never 0: that marks a free slot. */
static inline uint16_t signature(uint64_t hash)
{
    uint16_t sig = (uint16_t)(hash >> 48);

    return sig != 0 ? sig : 1;
}

static inline uint32_t first_bucket(const struct flow_table *t, uint64_t hash)
{
    return (uint32_t)hash & t->bucket_mask;
}

static inline uint32_t other_bucket(const struct flow_table *t, uint32_t bucket, uint16_t sig)
{
    return (bucket ^ ((uint32_t)sig * 0x5bd1e995u)) & t->bucket_mask;
}

void flow_table_prefetch(const struct flow_table *t, uint64_t hash)
{
    __builtin_prefetch(&t->bucket[first_bucket(t, hash)]);
}

/* Was there one whose signature fits? */
static bool prefetch_in(const struct flow_table *t, uint32_t bucket, uint16_t sig)
{
    const struct bucket *b = &t->bucket[bucket];
    bool found = false;

    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        if (b->sig[i] == sig) {
            const char *record = (const char *)&t->flow[b->index[i]];
            for (unsigned line = 0; line < FLOW_HOT_LINES; line++)
                __builtin_prefetch(record + 64 * line);
            found = true;
        }
    }
    return found;
}

void flow_table_prefetch_records(const struct flow_table *t, uint64_t hash)
{
    uint32_t bucket = first_bucket(t, hash);
    uint16_t sig = signature(hash);

    if (!prefetch_in(t, bucket, sig))
        prefetch_in(t, other_bucket(t, bucket, sig), sig);
}

static uint32_t find_in(const struct flow_table *t, uint32_t bucket, uint16_t sig, const struct flow_key *key)
{
    const struct bucket *b = &t->bucket[bucket];

    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        if (b->sig[i] == sig && flow_key_equal(&t->flow[b->index[i]].key, key))
            return b->index[i];
    return FLOW_NONE;
}

uint32_t flow_table_find(const struct flow_table *t, uint64_t hash, const struct flow_key *key)
{
    uint16_t sig = signature(hash);
    uint32_t bucket = first_bucket(t, hash);
    uint32_t index = find_in(t, bucket, sig, key);

    return index != FLOW_NONE ? index : find_in(t, other_bucket(t, bucket, sig), sig, key);
}

static unsigned used_slots(const struct bucket *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        n += b->sig[i] != 0;
    return n;
}

static uint32_t idlest_of(const struct flow_table *t, uint32_t one, uint32_t two)
{
    uint32_t idlest = FLOW_NONE;

    for (unsigned i = 0; i < 2 * BUCKET_SLOTS; i++) {
        const struct bucket *b = &t->bucket[i < BUCKET_SLOTS ? one : two];
        uint32_t index = b->index[i % BUCKET_SLOTS];
        if (b->sig[i % BUCKET_SLOTS] != 0 && (idlest == FLOW_NONE || t->flow[index].last_ns < t->flow[idlest].last_ns))
            idlest = index;
    }
    return idlest;
}

static uint32_t take_record(struct flow_table *t)
{
    uint32_t index = t->free_head;

    if (index != FLOW_NONE) {
        t->free_head = t->flow[index].timer_next;
        memset(&t->flow[index], 0, sizeof(t->flow[index]));
        return index;
    }
    return t->fresh < t->n_flows ? t->fresh++ : FLOW_NONE;
}

uint32_t flow_table_insert(struct flow_table *t, uint64_t hash, const struct flow_key *key, uint32_t *ret_victim)
{
    uint16_t sig = signature(hash);
    uint32_t one = first_bucket(t, hash);
    uint32_t two = other_bucket(t, one, sig);
    unsigned used_one = used_slots(&t->bucket[one]);
    unsigned used_two = used_slots(&t->bucket[two]);
    /* The first is the one that is prefetched; the choice of two is kept for when it gets full. */
    uint32_t bucket = used_one < FIRST_ENOUGH || used_one <= used_two ? one : two;

    if (used_slots(&t->bucket[bucket]) == BUCKET_SLOTS) {
        *ret_victim = idlest_of(t, one, two);
        return FLOW_NONE;
    }
    uint32_t index = take_record(t);
    if (index == FLOW_NONE) {
        *ret_victim = idlest_of(t, one, two);
        return FLOW_NONE;
    }
    unsigned slot = 0;
    while (t->bucket[bucket].sig[slot] != 0)
        slot++;
    t->bucket[bucket].sig[slot] = sig;
    t->bucket[bucket].index[slot] = index;
    t->flow[index].key = *key;
    t->flow[index].bucket = bucket;
    t->flow[index].timer_slot = NOT_ARMED;
    t->active++;
    return index;
}

static void unarm(struct flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];

    if (f->timer_slot == NOT_ARMED)
        return;
    if (f->timer_prev != FLOW_NONE)
        t->flow[f->timer_prev].timer_next = f->timer_next;
    else
        t->wheel[f->timer_slot] = f->timer_next;
    if (f->timer_next != FLOW_NONE)
        t->flow[f->timer_next].timer_prev = f->timer_prev;
    f->timer_slot = NOT_ARMED;
}

void flow_table_release(struct flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];
    struct bucket *b = &t->bucket[f->bucket];

    unarm(t, index);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        if (b->sig[i] != 0 && b->index[i] == index)
            b->sig[i] = 0;
    f->bucket = UINT32_MAX; /* marks a free record for flow_table_next */
    f->timer_next = t->free_head;
    t->free_head = index;
    t->active--;
}

void flow_table_arm(struct flow_table *t, uint32_t index, uint64_t deadline_ns)
{
    struct flow *f = &t->flow[index];
    uint64_t second = deadline_ns / NS_PER_S + 1;

    if (second <= t->wheel_s)
        second = t->wheel_s + 1;
    if (second >= t->wheel_s + WHEEL_SLOTS) /* further than the wheel: look again on the way */
        second = t->wheel_s + WHEEL_SLOTS - 1;
    unarm(t, index);
    f->timer_slot = (uint32_t)(second % WHEEL_SLOTS);
    f->timer_prev = FLOW_NONE;
    f->timer_next = t->wheel[f->timer_slot];
    if (f->timer_next != FLOW_NONE)
        t->flow[f->timer_next].timer_prev = index;
    t->wheel[f->timer_slot] = index;
}

uint32_t flow_table_due(struct flow_table *t, uint64_t now_ns)
{
    uint64_t now_s = now_ns / NS_PER_S;

    if (t->active == 0) { /* nothing can be armed: jump */
        t->wheel_s = now_s > t->wheel_s ? now_s : t->wheel_s;
        return FLOW_NONE;
    }
    if (now_s > t->wheel_s + WHEEL_SLOTS) /* one whole turn visits every slot */
        t->wheel_s = now_s - WHEEL_SLOTS;
    while (t->wheel_s <= now_s) {
        uint32_t index = t->wheel[t->wheel_s % WHEEL_SLOTS];
        if (index != FLOW_NONE) {
            unarm(t, index);
            return index;
        }
        if (t->wheel_s == now_s)
            break;
        t->wheel_s++;
    }
    return FLOW_NONE;
}

uint32_t flow_table_next(const struct flow_table *t, uint32_t *cursor)
{
    while (*cursor < t->fresh) {
        uint32_t index = (*cursor)++;
        if (t->flow[index].bucket != UINT32_MAX)
            return index;
    }
    return FLOW_NONE;
}

size_t flow_table_bytes(const struct flow_table *t)
{
    return ((size_t)t->bucket_mask + 1) * sizeof(*t->bucket) + t->n_flows * sizeof(*t->flow);
}

bool flow_is(const struct flow_table *t, uint32_t index, const struct flow_key *key)
{
    const struct flow *f = &t->flow[index];

    return f->bucket != UINT32_MAX && flow_key_equal(&f->key, key);
}
