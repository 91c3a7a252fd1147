/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SHARD_H
#define SPANWARD_SHARD_H

/*
 * Traffic in SHARDS parts, by the pair of innermost addresses; see reshard.h for why by the pair. A part is never
 * divided between workers. State that flows have in common and that decides about their packets (what the mirror is
 * known to copy) is kept by part, not by worker: so it does not matter how many workers there are.
 *
 * The function has no seed, because results must not depend on one. Somebody who picks addresses can fill one part,
 * which is as if all this traffic were between two hosts.
 */

#include <string.h>
#include "common/bytes.h"
#include "dataplane/batch.h"

#define SHARDS 256u

static inline unsigned shard_of_v4(const void *a, const void *b)
{
    uint32_t from, to;

    memcpy(&from, a, 4);
    memcpy(&to, b, 4);
    return (unsigned)(fold64(((uint64_t)from << 32 | to) ^ 0x9e3779b97f4a7c15ull, 0xc2b2ae3d27d4eb4full) >> 32) %
           SHARDS;
}

/* Endpoints are in canonical order, so both directions are in one part. */
static inline unsigned shard_of(const struct flow_key *key)
{
    uint64_t w[4];

    if (key->af == 4)
        return shard_of_v4(&key->addr[0], &key->addr[1]);
    static_assert(sizeof(w) == sizeof(key->addr), "a pair of addresses");
    memcpy(w, key->addr, sizeof(w));
    uint64_t h = fold64(w[0] ^ 0x9e3779b97f4a7c15ull, w[2] ^ 0xc2b2ae3d27d4eb4full);
    h ^= fold64(w[1] ^ 0xa0761d6478bd642full, w[3] ^ 0xe7037ed1a0b428dbull);
    return (unsigned)(mix64(h) >> 32) % SHARDS;
}

/* The same for a packet, of which the short key may be all that is at hand. */
static inline unsigned shard_of_pkt(const struct pkt *p)
{
    return p->id.af == 4 ? shard_of_v4(&p->id.addrs, (const char *)&p->id.addrs + 4) : shard_of(&p->key);
}

#endif
