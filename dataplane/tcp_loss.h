/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TCP_LOSS_H
#define SPANWARD_TCP_LOSS_H

/* The loss classifier; the rules are told in tcp_loss.c. `s` is the endpoint whose data is judged. */

#include "common/seq.h"
#include "dataplane/meter.h"

/* A segment of s begins at `start`, beyond the highest byte seen so far: a hole. */
void loss_gap(struct meter *m, unsigned s, uint32_t start);

/* Segment [start, end) of s begins below the highest byte seen: a fill or a repeat. */
void loss_below(struct meter *m, unsigned s, uint32_t start, uint32_t end);

/* The packet at hand is one of s seen again at another place: a copy. */
void loss_hop_copy(struct meter *m, unsigned s);

/* New data of s, while its verdicts are open: keeps what tells how old its bytes are. */
void loss_mark(struct meter *m, unsigned s);

/* The peer of s acknowledged up to `ack`, which is above una; una is still the old value. */
void loss_acked_more(struct meter *m, unsigned s, uint32_t ack);

static inline void loss_acked(struct meter *m, unsigned s, uint32_t ack)
{
    const struct tcp_side *t = &m->f->side[s];

    if (__builtin_expect((t->flags & SIDE_TROUBLE) || !seq_le(ack, t->nxt), 0))
        loss_acked_more(m, s, ack); /* else nothing is open, and no block is touched */
}

/* The peer of s repeated its ACK without reason but a missing segment. */
void loss_dup_ack(struct meter *m, unsigned s);

/* The same with a window that has grown a little: it may have been on the way anyhow. */
void loss_grown_ack(struct meter *m, unsigned s);

/* The peer of s repeated its ACK with nothing outstanding: some segment came twice. */
void loss_idle_ack(struct meter *m, unsigned s);

/* SACK blocks of the peer of s; ack is the packet's. */
void loss_sack(struct meter *m, unsigned s, uint32_t ack);

/* Verdicts whose time has come. */
void loss_resolve(struct meter *m, unsigned s);

/* The flow ends: verdicts on all that is still open. */
void loss_finish(struct meter *m, unsigned s);

/* Smallest RTT known over both sides of the tap, 0 when a side is unknown. */
uint64_t loss_full_rtt_ns(const struct flow *f);

#endif
