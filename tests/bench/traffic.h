/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_BENCH_TRAFFIC_H
#define SPANWARD_BENCH_TRAFFIC_H

/*
 * Traffic for the benchmark: N live TCP flows, written as frames into a small reused buffer.
 *
 * Every visit to a flow advances its sequence numbers, acknowledgements and timestamps as a real pair of stacks would:
 * data from the server, an ACK from the client, a request now and then. A buffer that is replayed would be a stream of
 * duplicates and would measure the wrong path.
 */

#include <stdint.h>
#include "dataplane/batch.h"

enum mix { MIX_TCP, MIX_NEW, MIX_IMIX, MIX_DUP, MIX_VXLAN, MIX_COUNT };

/* A flow as its two ends know it. */
struct bench_flow {
    uint32_t seq[2];   /* next byte that endpoint 0 (client), 1 (server) sends */
    uint32_t acked[2]; /* highest byte of endpoint that its peer acknowledged */
    uint16_t ip_id[2];
    uint16_t visits;
    uint16_t generation; /* MIX_NEW: ports move on */
};

struct traffic {
    struct bench_flow *flow;
    uint32_t n_flows;
    enum mix mix;
    uint32_t frame_bytes; /* least size on the wire, FCS included */
    uint64_t now_ns;
    uint64_t gap_ns; /* between packets */
    uint64_t random;
    uint8_t *frames; /* reused */
    uint32_t slots;
};

int traffic_init(struct traffic *t, uint32_t n_flows, enum mix mix, uint32_t frame_bytes, uint32_t slots);
void traffic_fini(struct traffic *t);

/* Fills batches: n_batches of BATCH_MAX packets. Returns the flow ids in `ids` (n_batches * BATCH_MAX). */
void traffic_fill(struct traffic *t, struct batch *batches, uint32_t n_batches, uint32_t *ids);

/* The next flow id in turn instead of at random: to open every flow once before measuring. */
void traffic_fill_in_turn(struct traffic *t, struct batch *batches, uint32_t n_batches, uint32_t first);

int mix_parse(const char *name, enum mix *ret);
const char *mix_name(enum mix mix);

#endif
