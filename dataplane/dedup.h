/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DEDUP_H
#define SPANWARD_DEDUP_H

/*
 * Copies made by the mirror: the same packet seen twice. Two kinds: the SPAN session delivers a frame twice at almost
 * the same time, or the mirror shows a packet again behind another device (TTL, MACs, VLAN or tunnel differ; the delay
 * is the transit time through that device: *second hop*).
 *
 * Stage one (dedup_batch) finds candidates by a fingerprint over addresses, ports, IP id and length, the whole L4
 * header with options and checksum, and the first payload bytes. Stage two (dedup_is_copy), with the flow at hand,
 * decides. What is equal in all that may still be a genuine repeat or duplicate ACK of a stack that does not move its
 * IP id. So, where the IP id is absent, 0 or constant, the mirror must be known to copy:
 *
 *   same place   at least half of the recent packets whose identity is beyond doubt were copied, of this flow or else
 * of its shard. A segment that takes sequence space needs no such proof: nobody sends it again within half a round
 * trip. A mirror that copies no packet twice has shown both sights of the first when a third comes: that is a new
 * original, as a burst of equal duplicate ACKs is. second hop   the place (MACs, VLANs, tunnel) is one where a packet
 * of undoubted identity was seen for the second time before. (A share would lag behind: copies come up to 200 ms late.)
 *
 * Limits: 64 k fingerprints per worker; the oldest of a set of four makes room, so at very high rates a copy behind a
 * slow second hop may be missed. Owner: one worker.
 */

#include "dataplane/flow.h"
#include "dataplane/shard.h"

#define COPY_SAME_MAX_NS 2000000ull
#define COPY_HOP_MAX_NS  200000000ull

/* COPY_AGAIN: at the same place, and the sight before had been a candidate, too. dedup_judge makes one of the others of
 * it. */
enum copy_candidate { COPY_NONE, COPY_SAME, COPY_HOP, COPY_AGAIN };

/* 16 bytes, so that a set of four is one line. */
struct dedup_entry {
    uint64_t fingerprint;
    uint64_t seen; /* time in units of 1.024 us << 24 | seen again << 23 | attributes */
};

#define HOPS    16u /* per shard */
#define REPEATS 32u /* the same */

/* A candidate that was none: what comes next may be its copy. */
struct dedup_repeat {
    uint64_t fingerprint, ts_ns;
};

struct dedup {
    struct dedup_entry *entry;
    uint32_t set_mask;
    struct copy_evidence evidence[SHARDS];
    uint32_t n_copying;                /* shards whose evidence has copies */
    uint32_t proven_hop[SHARDS][HOPS]; /* by low bits; 0 = none */
    struct dedup_repeat repeat[SHARDS][REPEATS];
};

int dedup_init(struct dedup *d);
void dedup_fini(struct dedup *d);
size_t dedup_bytes(const struct dedup *d);

/* Sets the fingerprint of every packet that belongs to a flow, and fetches where it is looked up. */
void dedup_fingerprint_batch(struct dedup *d, struct batch *b);

/* Sets copy, copy_delay_ns and hop of every packet that belongs to a flow. */
void dedup_batch(struct dedup *d, struct batch *b);

#define EVIDENCE_MAX 64u /* counts are halved here */

static inline unsigned id_state_of(const struct flow *f, unsigned s)
{
    return f->id_state >> (2 * s) & 3u;
}

static inline bool dedup_takes_sequence_space(const struct pkt *p)
{
    return p->id.proto == 6 && (p->flags & PKT_L4_OK) && (p->payload_len != 0 || (p->tcp_flags & (TCP_SYN | TCP_FIN)));
}

/* Is the packet's identity beyond doubt? By an IP id that moves, or by the sequence space that it takes. */
static inline bool dedup_is_proof(const struct flow *f, const struct pkt *p)
{
    if ((p->flags & PKT_HAS_IP_ID) && p->ip_id != 0 && id_state_of(f, p->sender) != ID_CONSTANT)
        return true;
    return p->copy != COPY_HOP && dedup_takes_sequence_space(p);
}

/* Nothing was copied lately: another original is no news (dedup_learn). */
static inline bool dedup_is_settled(const struct copy_evidence *e)
{
    return (e->copies == 0) & (e->originals >= EVIDENCE_MAX / 2);
}

static inline void dedup_learn(struct copy_evidence *e, bool copy)
{
    if (!copy && dedup_is_settled(e))
        return;
    e->copies = (uint8_t)(e->copies + copy);
    e->originals = (uint8_t)(e->originals + !copy);
    if (e->originals >= EVIDENCE_MAX || e->copies >= 2 * EVIDENCE_MAX) {
        e->originals /= 2;
        e->copies /= 2;
    }
}

/* The same for what the packets of a shard have in common. */
static inline void dedup_learn_shard(struct dedup *d, unsigned shard, bool copy)
{
    struct copy_evidence *e = &d->evidence[shard];

    d->n_copying -= e->copies != 0;
    dedup_learn(e, copy);
    d->n_copying += e->copies != 0;
}

/*
 * Another original of a settled flow, which sent p, is no news to anybody: its shard has learnt of every packet that
 * the flow has, and so is settled, too, unless it knows of copies. Without any in sight nobody asks which shard that
 * is.
 */
static inline bool dedup_is_no_news(const struct dedup *d, const struct pkt *p)
{
    return d->n_copying == 0 || dedup_is_settled(&d->evidence[shard_of_pkt(p)]);
}

static inline void dedup_track_id(struct flow *f, const struct pkt *p)
{
    unsigned s = p->sender;

    if (!(p->flags & PKT_HAS_IP_ID) || p->frag_off != 0) /* the fragments of a datagram share its id */
        return;
    unsigned state = id_state_of(f, s) == ID_NONE ? ID_FIRST : p->ip_id == f->id_last[s] ? ID_CONSTANT : ID_MOVES;
    f->id_state = ((f->id_state & ~(3u << (2 * s))) | state << (2 * s)) & 15u;
    f->id_last[s] = p->ip_id;
}

/* The verdict on a candidate; also learns from it. p->copy is none of COPY_AGAIN behind it. */
bool dedup_judge(struct dedup *d, struct flow *f, struct pkt *p, uint64_t full_rtt_ns);

/* Learns from a packet that is no candidate. Call this or dedup_judge once per packet, in order. */
static inline void dedup_original(struct dedup *d, struct flow *f, const struct pkt *p)
{
    if (dedup_is_proof(f, p) && !(dedup_is_settled(&f->evidence) && dedup_is_no_news(d, p))) {
        dedup_learn(&f->evidence, false);
        dedup_learn_shard(d, shard_of_pkt(p), false);
    }
    dedup_track_id(f, p);
}

#endif
