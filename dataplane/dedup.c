/* SPDX-License-Identifier: BSD-3-Clause */

/* See dedup.h. */

#include "dataplane/dedup.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "dataplane/memory.h"

#define SETS         16384u
#define WAYS         4u
#define SAMPLE_BYTES 16u
#define EVIDENCE_MAX 64u /* counts are halved here */
#define EVIDENCE_MIN 4u  /* originals of a flow before it speaks for itself */

int dedup_init(struct dedup *d)
{
    *d = (struct dedup){.set_mask = SETS - 1};
    d->entry = memory_map(SETS * WAYS * sizeof(*d->entry));
    return d->entry != NULL ? 0 : -ENOMEM;
}

void dedup_fini(struct dedup *d)
{
    memory_unmap(d->entry, SETS * WAYS * sizeof(*d->entry));
    d->entry = NULL;
}

size_t dedup_bytes(const struct dedup *d)
{
    return ((size_t)d->set_mask + 1) * WAYS * sizeof(*d->entry);
}

/* Hash of `len` captured bytes; the tail is zero-padded, so the length goes in as well. */
static uint64_t hash_bytes(uint64_t h, const uint8_t *p, uint32_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = fold64(h ^ w, 0x9e3779b97f4a7c15ull);
    }
    uint64_t tail = len;
    for (uint32_t i = 0; i < len; i++)
        tail = tail << 8 | p[i];
    return fold64(h ^ tail, 0xc2b2ae3d27d4eb4full);
}

/* L4 header and payload sample are contiguous; a sample cut by the snap length is left out, since tags shift the cut.
 */
static uint32_t covered_bytes(const struct pkt *p)
{
    uint32_t header = p->payload_off > p->l4_off ? (uint32_t)p->payload_off - p->l4_off : 0;

    return header + (p->payload_cap >= SAMPLE_BYTES     ? SAMPLE_BYTES
                     : p->payload_cap == p->payload_len ? p->payload_cap
                                                        : 0);
}

static uint64_t fingerprint(const struct pkt *p)
{
    uint64_t h = p->hash ^ ((uint64_t)p->ip_id << 32) ^ ((uint64_t)p->sender << 48) ^ ((uint64_t)p->frag_off << 18) ^
                 p->ip_bytes;

    return hash_bytes(h, p->data + p->l4_off, covered_bytes(p)) | 1;
}

/* Where the packet was seen; never 0. */
static uint32_t hop_of(const struct pkt *p)
{
    uint64_t vlans = 0;

    memcpy(&vlans, p->vlan, sizeof(vlans));
    uint64_t place = mix64(vlans ^ ((uint64_t)p->n_vlans << 60)) ^ p->l2_hash ^ ((uint64_t)p->key.tunnel << 56);
    return (uint32_t)mix64(place) | 1;
}

#define ATTRIBUTE_BITS 24u
#define ATTRIBUTE_MASK ((1u << ATTRIBUTE_BITS) - 1)
#define TIME_SHIFT     10u /* 1.024 us: 40 bits last 13 days */

static inline struct dedup_entry *set_of(const struct dedup *d, uint64_t fingerprint)
{
    return &d->entry[((uint32_t)(fingerprint >> 20) & d->set_mask) * WAYS];
}

static void look_up(struct dedup *d, struct pkt *p)
{
    struct dedup_entry *set = set_of(d, p->fingerprint), *victim = set;
    uint64_t now = p->ts_ns >> TIME_SHIFT, oldest = 0;

    p->hop = hop_of(p);
    uint32_t own = (p->hop + p->ttl * 0x9e3779b9u) & ATTRIBUTE_MASK;
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t age = (now - (set[i].seen >> ATTRIBUTE_BITS)) & (UINT64_MAX >> ATTRIBUTE_BITS);
        if (set[i].fingerprint == p->fingerprint) {
            bool same = (set[i].seen & ATTRIBUTE_MASK) == own;
            p->copy_delay_ns = age << TIME_SHIFT;
            if (p->copy_delay_ns <= (same ? COPY_SAME_MAX_NS : COPY_HOP_MAX_NS)) {
                p->copy = same ? COPY_SAME : COPY_HOP;
                return;
            }
            victim = &set[i];
            break;
        }
        if (age >= oldest) {
            oldest = age;
            victim = &set[i];
        }
    }
    *victim = (struct dedup_entry){.fingerprint = p->fingerprint, .seen = now << ATTRIBUTE_BITS | own};
}

void dedup_batch(struct dedup *d, struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct pkt *p = &b->pkt[i];
        if (p->verdict != PKT_FLOW)
            continue;
        p->fingerprint = fingerprint(p);
        __builtin_prefetch(set_of(d, p->fingerprint), 1);
    }
    for (uint32_t i = 0; i < b->n; i++)
        if (b->pkt[i].verdict == PKT_FLOW)
            look_up(d, &b->pkt[i]);
}

static bool id_is_proof(const struct flow *f, const struct pkt *p)
{
    return (p->flags & PKT_HAS_IP_ID) && p->ip_id != 0 && f->id_state[p->sender] != ID_CONSTANT;
}

static bool takes_sequence_space(const struct pkt *p)
{
    return p->key.proto == 6 && (p->flags & PKT_L4_OK) && (p->payload_len != 0 || (p->tcp_flags & (TCP_SYN | TCP_FIN)));
}

static void learn(struct copy_evidence *e, bool copy)
{
    if (copy)
        e->copies++;
    else
        e->originals++;
    if (e->originals >= EVIDENCE_MAX || e->copies >= 4 * EVIDENCE_MAX) {
        e->originals /= 2;
        e->copies /= 2;
    }
}

static bool mirror_copies(const struct dedup *d, const struct flow *f, unsigned shard)
{
    const struct copy_evidence *e = f->evidence.originals >= EVIDENCE_MIN ? &f->evidence : &d->evidence[shard];

    return e->originals != 0 && 2 * e->copies >= e->originals;
}

static bool is_known_to_copy(const struct dedup *d, const struct flow *f, const struct pkt *p, unsigned shard)
{
    return (p->copy == COPY_HOP && d->proven_hop[shard][p->hop % HOPS] == p->hop) || mirror_copies(d, f, shard);
}

static void track_id(struct flow *f, const struct pkt *p)
{
    unsigned s = p->sender;

    if (!(p->flags & PKT_HAS_IP_ID) || p->frag_off != 0) /* the fragments of a datagram share its id */
        return;
    if (f->id_state[s] != ID_NONE)
        f->id_state[s] = p->ip_id == f->id_last[s] ? ID_CONSTANT : ID_MOVES;
    else
        f->id_state[s] = ID_FIRST;
    f->id_last[s] = p->ip_id;
}

bool dedup_is_copy(struct dedup *d, struct flow *f, const struct pkt *p, uint64_t full_rtt_ns)
{
    bool proof = id_is_proof(f, p) || (takes_sequence_space(p) && p->copy != COPY_HOP);
    bool in_time = p->copy != COPY_SAME || full_rtt_ns == 0 || p->copy_delay_ns <= full_rtt_ns / 2;
    unsigned shard = shard_of(&p->key);
    bool copy = p->copy != COPY_NONE && in_time && (proof || is_known_to_copy(d, f, p, shard));

    if (proof) {
        learn(&f->evidence, copy);
        learn(&d->evidence[shard], copy);
    }
    if (!copy)
        track_id(f, p);
    else if (proof && p->copy == COPY_HOP)
        d->proven_hop[shard][p->hop % HOPS] = p->hop;
    return copy;
}
