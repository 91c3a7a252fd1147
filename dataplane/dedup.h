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
 * trip. second hop   the place (MACs, VLANs, tunnel) is one where a packet of undoubted identity was seen for the
 * second time before. (A share would lag behind: copies come up to 200 ms late.)
 *
 * Limits: 64 k fingerprints per worker; the oldest of a set of four makes room, so at very high rates a copy behind a
 * slow second hop may be missed. Owner: one worker.
 */

#include "dataplane/flow.h"
#include "dataplane/shard.h"

#define COPY_SAME_MAX_NS 2000000ull
#define COPY_HOP_MAX_NS  200000000ull

enum copy_candidate { COPY_NONE, COPY_SAME, COPY_HOP };

/* 16 bytes, so that a set of four is one line. */
struct dedup_entry {
    uint64_t fingerprint;
    uint64_t seen; /* time in units of 1.024 us << 24 | attributes */
};

#define HOPS 16u /* per shard */

struct dedup {
    struct dedup_entry *entry;
    uint32_t set_mask;
    struct copy_evidence evidence[SHARDS];
    uint32_t proven_hop[SHARDS][HOPS]; /* by low bits; 0 = none */
};

int dedup_init(struct dedup *d);
void dedup_fini(struct dedup *d);
size_t dedup_bytes(const struct dedup *d);

/* Sets fingerprint, copy and copy_delay_ns of every packet that belongs to a flow. */
void dedup_batch(struct dedup *d, struct batch *b);

/* The verdict on a candidate; also learns from packets that are none. Call once per packet, in order. */
bool dedup_is_copy(struct dedup *d, struct flow *f, const struct pkt *p, uint64_t full_rtt_ns);

#endif
