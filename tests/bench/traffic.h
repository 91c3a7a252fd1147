/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_BENCH_TRAFFIC_H
#define SPANWARD_BENCH_TRAFFIC_H

/*
 * Traffic for the benchmark: N live TCP flows, written as frames into a small reused buffer.
 *
 * Every visit to a flow advances its sequence numbers, acknowledgements and timestamps as a real pair of stacks would:
 * data from the server, an ACK from the client, a request now and then; in the mix `loss` one of 64 data segments gets
 * lost behind the tap, and the server repeats it two segments later. A buffer that is replayed would be a stream of
 * duplicates and would measure the wrong path.
 */

#include <stdint.h>
#include "dataplane/batch.h"

enum mix { MIX_TCP, MIX_NEW, MIX_IMIX, MIX_DUP, MIX_VXLAN, MIX_UDP, MIX_LOSS, MIX_COUNT };

/* A flow as its two ends know it. */
struct bench_flow {
    uint32_t seq[2];   /* next byte that endpoint 0 (client), 1 (server) sends */
    uint32_t lost_seq; /* MIX_LOSS: what the client misses; lost_bytes 0: nothing */
    uint16_t lost_bytes, lost_visits;
    uint16_t ip_id[2];
    uint16_t visits;
    uint16_t generation; /* MIX_NEW: ports move on */
};

/* What a device says of a frame; the bytes are overwritten by the next fill. */
struct frame {
    const uint8_t *data;
    uint64_t ts_ns;
    uint32_t cap_len, wire_len; /* without FCS */
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

/* Writes the next n frames, n at most `slots`, of flows at random: their ids in `ids`. */
void traffic_fill(struct traffic *t, struct frame *frames, uint32_t n, uint32_t *ids);

/* The next flow id in turn instead of at random: to open every flow once before measuring. */
void traffic_fill_in_turn(struct traffic *t, struct frame *frames, uint32_t n, uint32_t first);

/* The next burst, as an rx backend would fill it in. */
static inline void traffic_receive(struct batch *b, const struct frame *frames, uint32_t n)
{
    b->n = n;
    b->link = LINK_ETHERNET;
    for (uint32_t i = 0; i < n; i++) {
        struct pkt *p = &b->pkt[i];
        p->data = frames[i].data;
        p->ts_ns = frames[i].ts_ns;
        p->cap_len = frames[i].cap_len;
        p->wire_len = p->snap_len = frames[i].wire_len;
        p->rx_vlan = RX_NO_VLAN;
    }
}

int mix_parse(const char *name, enum mix *ret);
const char *mix_name(enum mix mix);

#endif
