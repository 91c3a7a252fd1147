/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See flow_table.h. Hashing: the key's words folded by 64x64->128 multiplications with a secret seed (the construction
 * of wyhash): fast, and without the seed nobody can aim at a bucket.
 */

#include "dataplane/flow_table.h"

#include <errno.h>
#include <sys/random.h>

#include "dataplane/memory.h"

#define FIRST_ENOUGH 6u /* slots in use below which the first bucket is taken without comparing */
#define LOOK_LEAST   8u /* records that are asked when there is none left */
#define LOOK_MOST    128u

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

    *t = (struct flow_table){
        .n_flows = n_flows, .bucket_mask = n_buckets - 1, .last_mask = n_buckets - 1, .free_head = FLOW_NONE};
    if (getrandom(t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
        return -EIO;
    t->bucket = memory_map(n_buckets * sizeof(*t->bucket));
    t->flow = memory_map(n_flows * sizeof(*t->flow));
    t->ip6 = memory_map(n_flows * sizeof(*t->ip6));
    if (t->bucket == NULL || t->flow == NULL || t->ip6 == NULL) {
        flow_table_fini(t);
        return -ENOMEM;
    }
    return 0;
}

void flow_table_fini(struct flow_table *t)
{
    memory_unmap(t->bucket, ((size_t)t->last_mask + 1) * sizeof(*t->bucket));
    memory_unmap(t->flow, t->n_flows * sizeof(*t->flow));
    memory_unmap(t->ip6, t->n_flows * sizeof(*t->ip6));
    *t = (struct flow_table){0};
}

void flow_table_start_small(struct flow_table *t, uint32_t n_buckets)
{
    if (n_buckets - 1 < t->bucket_mask)
        t->bucket_mask = n_buckets - 1;
}

/* ---- keys ---- */

/* In place: what is written in parts and copied as a whole stalls. */
void flow_key_of(const struct flow_table *t, const struct flow *f, struct flow_key *ret)
{
    *ret = (struct flow_key){.port = {f->key.port[0], f->key.port[1]},
                             .tunnel_id = f->key.tunnel_id,
                             .vlan = f->key.vlan,
                             .proto = f->key.proto,
                             .af = f->key.af,
                             .kind = f->key.kind,
                             .tunnel = f->key.tunnel};
    if (f->key.af == 6) {
        memcpy(ret->addr, &t->ip6[flow_index(t, f)], sizeof(ret->addr));
    } else {
        memcpy(&ret->addr[0], &f->key.addrs, 4);
        memcpy(&ret->addr[1], (const char *)&f->key.addrs + 4, 4);
    }
}

/* ---- buckets ---- */

static uint32_t find_in(const struct flow_table *t, uint32_t bucket, uint16_t sig, const struct short_key *id,
                        const struct flow_key *key)
{
    const struct bucket *b = &t->bucket[bucket];

    for (uint32_t matches = bucket_matches(b, sig); matches != 0; matches &= matches - 1) {
        uint32_t index = b->index[(unsigned)__builtin_ctz(matches) / 2];
        if (flow_is(t, index, id, key))
            return index;
    }
    return FLOW_NONE;
}

uint32_t flow_table_find(const struct flow_table *t, uint64_t hash, const struct short_key *id,
                         const struct flow_key *key)
{
    uint16_t sig = flow_signature(hash);
    uint32_t bucket = flow_bucket(t, hash);
    uint32_t index = find_in(t, bucket, sig, id, key);

    return index != FLOW_NONE ? index : find_in(t, flow_other_bucket(t, bucket, sig), sig, id, key);
}

static unsigned used_slots(const struct bucket *b)
{
    return BUCKET_SLOTS - (unsigned)__builtin_popcount(bucket_matches(b, 0));
}

/* Who can be missed: 0 a flow that is over and only waits for late packets; 1 one that was never answered, so that a
 * flood of SYNs, or of keys that collide, evicts its own kind; 2 all others. The first line of a clean one tells. */
static unsigned worth(const struct flow *f)
{
    return (f->flags & FLOW_CLOSED) ? 0 : f->is_clean || flow_is_two_way(f) ? 2 : 1;
}

/* Among equals the one goes that is idle longer. */
static bool goes_first(const struct flow *a, const struct flow *b)
{
    unsigned worth_a = worth(a), worth_b = worth(b);

    return worth_a != worth_b ? worth_a < worth_b : a->last_ns < b->last_ns;
}

static void consider(const struct flow_table *t, uint32_t index, uint32_t *victim)
{
    if (*victim == FLOW_NONE || goes_first(&t->flow[index], &t->flow[*victim]))
        *victim = index;
}

static void consider_bucket(const struct flow_table *t, uint32_t bucket, uint32_t *victim)
{
    const struct bucket *b = &t->bucket[bucket];

    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        if (b->sig[i] != 0)
            consider(t, b->index[i], victim);
}

/* First lines are fetched in advance; and all of a flow that may go. */
static inline __attribute__((always_inline)) void fetch_ahead(const struct flow_table *t, uint32_t index)
{
    uint32_t next = index + SWEEP_AHEAD;

    flow_prefetch(t, next + SWEEP_AHEAD, 0, 1);
    if (next < t->fresh && !t->flow[next].is_clean)
        flow_table_fetch_end(t, next);
}

/* Records are what there are none left of: some are asked in turn, until one of them can be missed. */
static uint32_t victim_in_turn(struct flow_table *t)
{
    uint32_t victim = FLOW_NONE;

    for (uint32_t n = 0; n < LOOK_MOST && n < t->fresh; n++) {
        if (victim != FLOW_NONE && worth(&t->flow[victim]) < (n < LOOK_LEAST ? 1 : 2))
            break;
        if (t->victims_hand >= t->fresh)
            t->victims_hand = 0;
        uint32_t index = t->victims_hand++;
        fetch_ahead(t, index);
        if (flow_is_live(&t->flow[index]))
            consider(t, index, &victim);
    }
    return victim;
}

/* Slots are: all in whose place the new one could be are asked. */
static uint32_t victim_of_buckets(const struct flow_table *t, uint32_t one, uint32_t two)
{
    uint32_t victim = FLOW_NONE;

    consider_bucket(t, one, &victim);
    consider_bucket(t, two, &victim);
    return victim;
}

/* ---- growth ---- */

/* A flow of bucket b goes to where it is found with twice as many buckets: b itself or the one n further on, which has
 * room for all that b had. */
static void split_bucket(struct flow_table *t, uint32_t b, uint32_t n)
{
    struct bucket *from = &t->bucket[b], *to = &t->bucket[b + n];

    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        if (from->sig[i] == 0)
            continue;
        uint64_t hash = flow_hash(t, &t->flow[from->index[i]].key);
        uint32_t home = flow_bucket(t, hash);
        if ((home & (n - 1)) != b) /* it is in its second one */
            home = flow_other_bucket(t, home, from->sig[i]);
        if (home == b)
            continue;
        to->sig[i] = from->sig[i];
        to->index[i] = from->index[i];
        from->sig[i] = 0;
    }
}

static void grow(struct flow_table *t)
{
    uint32_t n = t->bucket_mask + 1;

    t->bucket_mask = 2 * n - 1;
    for (uint32_t b = 0; b < n; b++)
        split_bucket(t, b, n);
}

static bool is_half_full(const struct flow_table *t)
{
    return t->active / (BUCKET_SLOTS / 2) > t->bucket_mask;
}

/* ---- making and releasing flows ---- */

/* All zero, by stores that what comes next can read from: those of a string instruction, which the compiler would make
 * of it, would have to reach the cache first. */
static void clear_record(struct flow *f)
{
    typedef uint64_t words __attribute__((vector_size(16), may_alias));
    volatile words *to = (volatile words *)(void *)f;

#pragma GCC unroll 20
    for (unsigned i = 0; i < sizeof(*f) / sizeof(*to); i++)
        to[i] = (words){0};
}

static uint32_t take_record(struct flow_table *t)
{
    uint32_t index = t->free_head;

    if (index != FLOW_NONE) {
        t->free_head = (uint32_t)t->flow[index].last_ns;
        clear_record(&t->flow[index]);
        return index;
    }
    return t->fresh < t->n_flows ? t->fresh++ : FLOW_NONE;
}

uint32_t flow_table_insert(struct flow_table *t, uint64_t hash, const struct short_key *id, const struct flow_key *key,
                           uint32_t *ret_victim)
{
    if (__builtin_expect(t->bucket_mask != t->last_mask, 0) && is_half_full(t))
        grow(t);
    uint16_t sig = flow_signature(hash);
    uint32_t one = flow_bucket(t, hash);
    uint32_t two = flow_other_bucket(t, one, sig);
    unsigned used_one = used_slots(&t->bucket[one]);
    unsigned used_two = used_slots(&t->bucket[two]);
    /* The first is the one that is prefetched; the choice of two is kept for when it gets full. */
    struct bucket *b = &t->bucket[used_one < FIRST_ENOUGH || used_one <= used_two ? one : two];
    uint32_t room = bucket_matches(b, 0);
    if (room == 0 && t->bucket_mask != t->last_mask) {
        grow(t);
        return flow_table_insert(t, hash, id, key, ret_victim);
    }
    uint32_t index = room != 0 ? take_record(t) : FLOW_NONE;

    if (index == FLOW_NONE) {
        *ret_victim = room != 0 ? victim_in_turn(t) : victim_of_buckets(t, one, two);
        return FLOW_NONE;
    }
    unsigned slot = (unsigned)__builtin_ctz(room) / 2;
    b->sig[slot] = sig;
    b->index[slot] = index;
    t->flow[index].key = *id;
    if (id->af == 6)
        memcpy(&t->ip6[index], key->addr, sizeof(t->ip6[index]));
    t->active++;
    t->changes++;
    return index;
}

static bool forget_in(struct bucket *b, uint16_t sig, uint32_t index)
{
    for (uint32_t matches = bucket_matches(b, sig); matches != 0; matches &= matches - 1) {
        unsigned slot = (unsigned)__builtin_ctz(matches) / 2;
        if (b->index[slot] == index) {
            b->sig[slot] = 0;
            return true;
        }
    }
    return false;
}

void flow_table_release(struct flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];
    uint64_t hash = flow_hash(t, &f->key);
    uint16_t sig = flow_signature(hash);
    uint32_t bucket = flow_bucket(t, hash);

    if (!forget_in(&t->bucket[bucket], sig, index))
        forget_in(&t->bucket[flow_other_bucket(t, bucket, sig)], sig, index);
    f->key.af = 0;
    f->last_ns = t->free_head;
    t->free_head = index;
    t->active--;
    t->changes++;
}

/* ---- all flows ---- */

uint32_t flow_table_sweep(struct flow_table *t, uint32_t *records)
{
    while (*records != 0 && t->fresh != 0) {
        (*records)--;
        if (t->hand >= t->fresh)
            t->hand = 0;
        uint32_t index = t->hand++;
        fetch(&t->flow[index + 2 * SWEEP_AHEAD]);
        if (flow_is_live(&t->flow[index]))
            return index;
    }
    return FLOW_NONE;
}

uint32_t flow_table_next(const struct flow_table *t, uint32_t *cursor)
{
    while (*cursor < t->fresh) {
        uint32_t index = (*cursor)++;
        if (flow_is_live(&t->flow[index]))
            return index;
    }
    return FLOW_NONE;
}

size_t flow_table_bytes(const struct flow_table *t)
{
    return ((size_t)t->last_mask + 1) * sizeof(*t->bucket) + (size_t)t->n_flows * (sizeof(*t->flow) + sizeof(*t->ip6));
}
