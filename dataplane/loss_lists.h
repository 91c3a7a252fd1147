/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LOSS_LISTS_H
#define SPANWARD_LOSS_LISTS_H

/*
 * What the two halves of the loss classifier share: tcp_loss.c, what the sender shows (gaps, fills, repeats), and
 * tcp_loss_peer.c, what the receiver says of it and the verdicts that follow. A direction's open ranges are nodes of
 * the pool in four lists of its trouble block: holes, pending repeats, SACKed bytes, missing bytes.
 */

#include "common/seq.h"
#include "common/timefmt.h"
#include "dataplane/tcp_loss.h"
#include "dataplane/tcp_rtt.h"

#define REORDER_MAX_NS (200 * NS_PER_MS)

static inline struct range *range_at(const struct meter *m, uint32_t index)
{
    return &pool_at(&m->pools->node, index)->range;
}

static inline uint64_t min_rtt_ns(const struct flow *f, unsigned endpoint)
{
    return rtt_min_ns(&f->rtt[endpoint]);
}

/* A node [start, end), seen with the packet at hand; 0 and the flow unsure when there is none left. In no list yet. */
uint32_t loss_node_new(struct meter *m, unsigned s, uint32_t start, uint32_t end);

/* Unlinks *link from its list and frees it. */
void loss_node_remove(struct meter *m, unsigned s, uint32_t *link);

/* Rule 0's patience. */
uint64_t loss_mirror_wait_ns(const struct meter *m, unsigned s);

/* How long after a repeat was covered its DSACK may still come. */
uint64_t loss_dsack_wait_ns(const struct meter *m);

/* Appends the hole [nxt, end); NULL when there is no node. */
struct range *loss_hole_new(struct meter *m, unsigned s, uint32_t end);

/* Cuts the hole at `at`; returns the index of the upper part, 0 when it is lost for want of a node. */
uint32_t loss_hole_split(struct meter *m, unsigned s, struct range *hole, uint32_t at);

/* Rule 4: nothing more can come for this hole. */
void loss_hole_verdict(struct meter *m, unsigned s, const struct range *hole);

/* Did R report all of [start, end) by SACK? */
bool loss_is_sacked(const struct meter *m, unsigned s, uint32_t start, uint32_t end);

#endif
