/* SPDX-License-Identifier: BSD-3-Clause */

/* See dedup.h. */

#include "dataplane/dedup.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "dataplane/fetch.h"
#include "dataplane/memory.h"

#define SETS         16384u
#define WAYS         4u
#define SAMPLE_BYTES 16u
#define HASTY_PKTS   256u
#define EVIDENCE_MIN 4u /* originals of a flow before it speaks for itself */

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

static inline uint64_t hash_16(uint64_t h, const uint8_t *p)
{
    uint64_t w[2];

    memcpy(w, p, sizeof(w));
    return fold64(h ^ w[0], w[1] ^ 0x9e3779b97f4a7c15ull);
}

/* Hash of `len` captured bytes, 16 at a time, the last of them once more if need be. */
static inline uint64_t hash_bytes(uint64_t h, const uint8_t *p, uint32_t len)
{
    const uint8_t *last = p + len - 16;

    h ^= (uint64_t)len << 32;
    if (__builtin_expect(len - 32 <= 16, 1)) { /* TCP with timestamps, whatever it carries: three steps, no branch */
        h = hash_16(h, p);
        h = hash_16(h, p + 16);
        return hash_16(h, last);
    }
    if (__builtin_expect(len < 16, 0)) {
        uint8_t few[16] = {0};
        memcpy(few, p, len);
        return hash_16(h, few);
    }
    for (; p < last; p += 16)
        h = hash_16(h, p);
    return hash_16(h, last);
}

/* L4 header and payload sample are contiguous; a sample cut by the snap length is left out, since tags shift the cut.
 */
static inline uint32_t covered_bytes(const struct pkt *p)
{
    uint32_t header = p->payload_off > p->l4_off ? (uint32_t)p->payload_off - p->l4_off : 0;

    return header + (p->payload_cap >= SAMPLE_BYTES     ? SAMPLE_BYTES
                     : p->payload_cap == p->payload_len ? p->payload_cap
                                                        : 0);
}

/* IP id, offset of the fragment and IP length, which are of 16, 13 and 17 bits at most, in one word. */
static inline uint64_t identity_word(const struct pkt *p)
{
    uint64_t word;

    static_assert(offsetof(struct pkt, frag_off) == offsetof(struct pkt, ip_id) + 2 &&
                      offsetof(struct pkt, ip_bytes) == offsetof(struct pkt, ip_id) + 4,
                  "neighbours");
    memcpy(&word, &p->ip_id, sizeof(word));
    return word;
}

static inline uint64_t fingerprint(const struct pkt *p)
{
    uint64_t h = p->hash ^ identity_word(p) ^ (uint64_t)p->sender << 63;

    return hash_bytes(h, p->data + p->l4_off, covered_bytes(p)) | 1;
}

/* Where the packet was seen; never 0. */
static inline uint32_t hop_of(const struct pkt *p)
{
    uint64_t place = p->l2_hash;

    if (__builtin_expect(p->n_vlans != 0 || p->id.tunnel != TUNNEL_NONE, 0)) {
        uint64_t vlans = 0;
        memcpy(&vlans, p->vlan, sizeof(p->vlan[0]) * p->n_vlans);
        place ^= mix64(vlans ^ ((uint64_t)p->n_vlans << 60)) ^ ((uint64_t)p->id.tunnel << 56);
        place = place * 0x9e3779b97f4a7c15ull >> 32;
    }
    return (uint32_t)place | 1;
}

#define ATTRIBUTE_BITS 24u
#define SEEN_AGAIN     (1u << (ATTRIBUTE_BITS - 1))
#define ATTRIBUTE_MASK (SEEN_AGAIN - 1)
#define TIME_SHIFT     10u /* 1.024 us: 40 bits last 13 days */

static inline struct dedup_entry *set_of(const struct dedup *d, uint64_t fingerprint)
{
    return &d->entry[((uint32_t)(fingerprint >> 20) & d->set_mask) * WAYS];
}

/* A set is a queue: what comes in pushes the oldest out. */
static inline void push(struct dedup_entry *set, struct dedup_entry e)
{
    struct dedup_entry a = set[0], b = set[1], c = set[2];

    set[0] = e;
    set[1] = a;
    set[2] = b;
    set[3] = c;
}

/* The fingerprint is there already, in set[way]. Sights at one place go in pairs, each with its own time. */
static void seen_before(struct dedup_entry *set, unsigned way, struct pkt *p, uint64_t now, uint32_t own)
{
    uint64_t *seen = &set[way].seen;
    uint64_t age = (now - (*seen >> ATTRIBUTE_BITS)) & (UINT64_MAX >> ATTRIBUTE_BITS);
    bool same = (*seen & ATTRIBUTE_MASK) == own, again = same && (*seen & SEEN_AGAIN);

    p->copy_delay_ns = age << TIME_SHIFT;
    if (p->copy_delay_ns <= (same ? COPY_SAME_MAX_NS : COPY_HOP_MAX_NS)) {
        p->copy = again ? COPY_AGAIN : same ? COPY_SAME : COPY_HOP;
        *seen |= same ? SEEN_AGAIN : 0;
        if (!again)
            return;
    }
    *seen = now << ATTRIBUTE_BITS | own;
}

static inline void look_up(struct dedup *d, struct pkt *p)
{
    struct dedup_entry *set = set_of(d, p->fingerprint);
    uint64_t now = p->ts_ns >> TIME_SHIFT;

    p->copy = COPY_NONE;
    p->hop = hop_of(p);
    uint32_t own = (p->hop + p->ttl * 0x9e3779b9u) & ATTRIBUTE_MASK;
    uint64_t print = p->fingerprint;
    static_assert(WAYS == 4, "push moves three");
    if (__builtin_expect((set[0].fingerprint == print) | (set[1].fingerprint == print) | (set[2].fingerprint == print) |
                             (set[3].fingerprint == print),
                         0)) {
        unsigned way = 0;
        while (set[way].fingerprint != print)
            way++;
        seen_before(set, way, p, now, own);
        return;
    }
    push(set, (struct dedup_entry){.fingerprint = print, .seen = now << ATTRIBUTE_BITS | own});
}

void dedup_fingerprint_batch(struct dedup *d, struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct pkt *p = &b->pkt[i];
        if (p->verdict != PKT_FLOW)
            continue;
        p->fingerprint = fingerprint(p);
    }
    for (uint32_t i = 0; i < b->n; i++)
        fetch(set_of(d, b->pkt[i].fingerprint));
}

void dedup_batch(struct dedup *d, struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->pkt[i].verdict == PKT_FLOW)
            look_up(d, &b->pkt[i]);
}

/*
 * The same segment at another place, without a moving IP id. A sender that repeats it gives it a new TSval, and does
 * not do so within half a round trip; a SYN, not within the 200 ms at all (RFC 6298: 1 s).
 */
static bool is_no_repeat(const struct pkt *p, uint64_t full_rtt_ns)
{
    if (p->copy != COPY_HOP || !dedup_takes_sequence_space(p))
        return false;
    return (p->flags & PKT_HAS_TS) || (p->tcp_flags & TCP_SYN) ||
           (full_rtt_ns != 0 && p->copy_delay_ns <= full_rtt_ns / 2);
}

/*
 * Equal in all, within microseconds, and no id or timestamp could tell them apart. A sender without SACK that recovers
 * from a loss does send a segment and at once again; a mirror that copies does so at other times, too, and is known.
 */
static bool is_hasty_repeat(const struct dedup *d, const struct flow *f, const struct pkt *p, unsigned shard)
{
    bool has_id = (p->flags & PKT_HAS_IP_ID) && p->ip_id != 0 && id_state_of(f, p->sender) != ID_CONSTANT;
    uint32_t copies = (uint32_t)f->dup_pkts[0] + f->dup_pkts[1], pkts = f->side[p->sender].pkts;

    return p->copy == COPY_SAME && p->id.proto == 6 && !has_id && !(f->flags & FLOW_SACK) &&
           (f->side[p->sender].flags & SIDE_TROUBLE) && f->evidence.copies == 0 && d->evidence[shard].copies == 0 &&
           pkts >= HASTY_PKTS && copies * HASTY_PKTS < pkts;
}

/* Its place does not depend on the fingerprint, which another worker would have made with another seed. */
static struct dedup_repeat *repeat_of(struct dedup *d, const struct pkt *p)
{
    return &d->repeat[shard_of_pkt(p)][mix64(p->tcp_seq) % REPEATS];
}

/* Since the earlier sight, or since the sender repeated that packet, which the table does not know. */
static uint64_t delay_ns(struct dedup *d, const struct pkt *p)
{
    const struct dedup_repeat *r = repeat_of(d, p);

    return r->fingerprint == p->fingerprint ? p->ts_ns - r->ts_ns : p->copy_delay_ns;
}

/*
 * A third sight, of an ACK that no IP id tells from others, behind a mirror that makes one copy of nearly all packets
 * and never two. (Of what takes sequence space time tells.)
 */
static bool is_new_original(const struct flow *f, const struct pkt *p, const struct copy_evidence *e)
{
    bool has_id = (p->flags & PKT_HAS_IP_ID) && p->ip_id != 0 && id_state_of(f, p->sender) != ID_CONSTANT;
    bool in_pairs = 4u * e->copies >= 3u * e->originals && 4u * e->copies <= 5u * e->originals;

    return p->copy == COPY_AGAIN && !has_id && !dedup_takes_sequence_space(p) && e->originals != 0 && in_pairs;
}

bool dedup_judge(struct dedup *d, struct flow *f, struct pkt *p, uint64_t full_rtt_ns)
{
    unsigned shard = shard_of_pkt(p);
    const struct copy_evidence *e = f->evidence.originals >= EVIDENCE_MIN ? &f->evidence : &d->evidence[shard];

    if (is_new_original(f, p, e)) {
        p->copy = COPY_NONE;
        dedup_original(d, f, p);
        return false;
    }
    if (p->copy == COPY_AGAIN)
        p->copy = COPY_SAME;
    bool mirror_copies = e->originals != 0 && 2 * e->copies >= e->originals;
    bool proof = dedup_is_proof(f, p) || is_no_repeat(p, full_rtt_ns);
    bool in_time = p->copy != COPY_SAME || full_rtt_ns == 0 || delay_ns(d, p) <= full_rtt_ns / 2;
    bool known = p->copy == COPY_HOP ? d->proven_hop[shard][p->hop % HOPS] == p->hop : mirror_copies;
    bool copy = in_time && (proof || known);

    if (p->copy == COPY_SAME && !copy && dedup_takes_sequence_space(p))
        *repeat_of(d, p) = (struct dedup_repeat){p->fingerprint, p->ts_ns};
    if (copy && is_hasty_repeat(d, f, p, shard)) {
        dedup_learn_shard(d, shard, true); /* it may be a mirror that begins to copy: the next one tells */
        dedup_track_id(f, p);
        return false;
    }

    if (proof && !(copy && p->copy == COPY_HOP)) { /* a second hop says nothing of how the mirror copies */
        dedup_learn(&f->evidence, copy);
        dedup_learn_shard(d, shard, copy);
    }
    if (!copy)
        dedup_track_id(f, p);
    else if (proof && p->copy == COPY_HOP)
        d->proven_hop[shard][p->hop % HOPS] = p->hop;
    return copy;
}
