/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LOSS_LISTS_H
#define SPANWARD_LOSS_LISTS_H

/*
 * What the three parts of the loss classifier share: tcp_loss.c, what the sender shows (gaps, fills, repeats);
 * tcp_loss_peer.c, what the receiver says of gaps and of what it misses; tcp_loss_repeat.c, what follows from it for
 * repeats. A direction's open ranges are nodes of the pool in four lists of its trouble block: holes, pending repeats,
 * SACKed bytes, missing bytes. Where there are many, a node of the second list is a run of repeats that followed each
 * other at once.
 */

#include "common/seq.h"
#include "common/timefmt.h"
#include "dataplane/tcp_loss.h"
#include "dataplane/tcp_rtt.h"

#define LIST_MAX       192u /* nodes of one direction: bounds the work that a crafted flow can cause */
#define PACKET_NODES   24u  /* what one packet may need */
#define PIECES_MAX     8u   /* of one gap that R reports, or of one range that it had twice */
#define REORDER_MAX_NS (200 * NS_PER_MS)

static inline struct range *range_at(const struct meter *m, uint32_t index)
{
    return &pool_at(&m->pools->node, index)->range;
}

/* The end of the segment of a repeat or run of repeats that begins at `at`. */
static inline uint32_t segment_end(const struct range *r, uint32_t at)
{
    return seq_diff(r->end, at) > (int32_t)r->segment_bytes ? at + r->segment_bytes : r->end;
}

/* The first of its segments that begins at `at` or later, or its end. */
static inline uint32_t segment_from(const struct range *r, uint32_t at)
{
    uint32_t distance = seq_lt(r->start, at) ? at - r->start : 0;

    if (distance == 0 || r->segment_bytes == 0)
        return seq_lt(r->start, at) ? r->end : r->start;
    return seq_min(r->start + (distance + r->segment_bytes - 1) / r->segment_bytes * r->segment_bytes, r->end);
}

static inline uint64_t min_rtt_ns(const struct flow *f, unsigned endpoint)
{
    return rtt_min_ns(&f->rtt[endpoint]);
}

#define FEW_SAMPLES 16u

/* The smallest RTT so far is not the smallest possible: a quarter less is out of reach, of a few samples a half. */
static inline uint64_t soonest_ns(const struct flow *f, unsigned endpoint)
{
    return min_rtt_ns(f, endpoint) / 4 * (rtt_small_n(&f->rtt[endpoint]) < FEW_SAMPLES ? 2 : 3);
}

/* ---- tcp_loss.c ---- */

/* R acknowledges in order what came late at the tap: so it did, as it seems, only there. For what flows share. */
void loss_may_be_held(struct meter *m, uint64_t by_ns);

/* A copy of what s sent was held back by the mirror, by that much or more: rule 0. */
void loss_copy_held(struct meter *m, unsigned s, uint64_t by_ns);

/* A node [start, end), seen with the packet at hand; 0 and the flow unsure when there is none left. In no list yet. */
uint32_t loss_node_new(struct meter *m, unsigned s, uint32_t start, uint32_t end);

/* How many nodes has a direction? So many that repeats in a row share one. */
static inline bool loss_is_crowded(const struct tcp_trouble *c)
{
    return c->n_nodes >= LIST_MAX / 2;
}

/* So many that the next packet may find no room. */
static inline bool loss_is_full(const struct tcp_trouble *c)
{
    return c->n_nodes >= LIST_MAX - PACKET_NODES;
}

/* Unlinks *link from its list and frees it. */
void loss_node_remove(struct meter *m, unsigned s, uint32_t *link);

/* Rule 0's patience. */
uint64_t loss_mirror_wait_ns(const struct meter *m, unsigned s);

/* How long after a repeat was covered its DSACK may still come; in time of loss_listened_ns. */
uint64_t loss_dsack_wait_ns(const struct meter *m);

/* For how long R has been listened to, up to now: a silence, however long, is half of a DSACK's patience at most. */
uint64_t loss_listened_ns(const struct meter *m, unsigned s);

/* Appends the hole [nxt, end); NULL when there is no node. */
struct range *loss_hole_new(struct meter *m, unsigned s, uint32_t end);

/* Cuts the hole at `at`; returns the index of the upper part, 0 when it is lost for want of a node. */
uint32_t loss_hole_split(struct meter *m, unsigned s, struct range *hole, uint32_t at);

/* Rule 4: nothing more can come for this hole. */
void loss_hole_verdict(struct meter *m, unsigned s, const struct range *hole);

/* Did R report all of [start, end) by SACK? */
bool loss_is_sacked(const struct meter *m, unsigned s, uint32_t start, uint32_t end);

/* ---- tcp_loss_peer.c ---- */

/* The first byte from `at` on that no node of the list has, or ret_end's: the next one that has it. */
uint32_t loss_explained_to(const struct meter *m, uint32_t list, uint32_t at, uint32_t *ret_end);

/* ---- tcp_loss_repeat.c ---- */

/* R has [start, end) now: by its ACK, which is above una, or by SACK. */
void loss_cover_repeats(struct meter *m, unsigned s, uint32_t start, uint32_t end, bool cumulative);

/* Without SACK: R's edge is about to leave una, where it stood. */
void loss_edge_moves(struct meter *m, unsigned s);

/* R reports [start, end) missing. */
void loss_repeats_missing(struct meter *m, unsigned s, uint32_t start, uint32_t end);

/* Is the duplicate ACK at hand the answer to a repeat known to be needless? To one of which only this ACK tells it? */
bool loss_is_echo(struct meter *m, unsigned s);
bool loss_is_second_answer(struct meter *m, unsigned s);

/* An ACK with nothing outstanding repeats another: a repeat of the last segment was needless. */
void loss_idle_answer(struct meter *m, unsigned s);

/* R had [left, right) twice. */
void loss_dsack(struct meter *m, unsigned s, struct sack_block block);

/* On a repeat of which R will not be heard. */
void loss_unheard_verdict(struct meter *m, unsigned s, const struct range *r);

/* Verdicts whose time has come, and all of them. */
void loss_resolve_repeats(struct meter *m, unsigned s);
void loss_finish_repeats(struct meter *m, unsigned s);

#endif
