/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where was it lost? One classifier for TCP, judged by byte ranges, from a tap between sender S and receiver R.
 *
 *   S ----upstream---- tap ----downstream---- R
 *
 * A segment that was lost upstream never passed the tap: its repeat fills a *hole*. A segment that was lost downstream
 * passed, and its repeat shows bytes seen before. What R acknowledges although the tap never saw it was missed by the
 * mirror: *capture loss*, which is the sensor's affair and not the network's. Reordering looks like a hole that is soon
 * filled by an older segment. The rules, in order:
 *
 *  0. R's ACK is ahead of the data, or covers a hole: data that still comes within max(2 ms, min RTT tap-R) was only
 *     reordered by the mirror. No loss, no sample.
 *  1. Copies made by the mirror never get here (see dedup.c).
 *  2. Bytes seen before: spurious when they were ACKed or SACKed before, or a DSACK (RFC 2883) reports them, or the ACK
 * that moves the left edge over them echoes an older TSval than the repeat's (Eifel, RFC 3522); if it echoes the
 * repeat's, the loss was real. Without timestamps: real when R had reported the gap by SACK; else spurious when the ACK
 * comes sooner than R could have answered, or comes twice with nothing else outstanding. Else lost downstream. The
 * verdict waits for the covering ACK, and then for a DSACK. Without SACK the duplicate ACK that answers a needless
 * repeat is no complaint.
 *  3. A hole is filled: older than the segment that exposed it (TSval, else a monotone IP id) -> reordered, newer ->
 * lost upstream. Without evidence: reordered when it came before R's first complaint could have brought a repeat and
 * within 200 ms, else lost upstream. Reordering counts when R complains, too: TCP answers every gap at once (RFC 5681),
 * so a receiver that keeps silent had everything in order, and only the mirror had not.
 *  4. A hole is covered by ACK or SACK and never filled: capture loss; but when R had complained about it for a whole
 * RTT the repeat was missed by the mirror: loss on an unknown side, and a capture gap. Likewise *seen* bytes that R
 * reported missing and then had, without a repeat on the mirror: lost downstream if the ACK echoes a TSval newer than
 * all that S had sent at the complaint (else, without timestamps: after a whole RTT), otherwise reordered.
 *  5. A hole that is never covered: unknown.
 *
 * A packet counts once. Known bias: a verdict without timestamps, moving IP ids or SACK rests on time alone; when the
 * pool or a flow's own bound (LIST_MAX) runs out, verdicts fall at once and the flow is flagged unsure.
 */

#include "dataplane/tcp_loss.h"

#include "common/seq.h"
#include "common/timefmt.h"
#include "dataplane/pmtu.h"
#include "dataplane/tcp_rtt.h"

#define LIST_MAX          192u /* nodes of one direction: bounds the work that a crafted flow can cause */
#define LEAP_BYTES        16384
#define FEW_SAMPLES       16u
#define PIECES_MAX        8u   /* of one gap that R reports */
#define TRUSTED_PKTS      200u /* a mirror that has shown so many without a gap will have shown a repeat, too */
#define REORDER_MAX_NS    (200 * NS_PER_MS)
#define MIRROR_REORDER_NS (2 * NS_PER_MS)
#define RTO_MIN_NS        (200 * NS_PER_MS) /* of common stacks; RFC 6298 says 1 s */

enum age { AGE_UNKNOWN, AGE_OLDER, AGE_NEWER };

static inline struct range *range_at(const struct meter *m, uint32_t index)
{
    return &pool_at(&m->pools->node, index)->range;
}

static uint32_t node_new(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t index = c->n_nodes < LIST_MAX ? pool_get(&m->pools->node) : 0;

    if (index == 0) {
        m->f->flags |= FLOW_LOSS_UNSURE;
        return 0;
    }
    c->n_nodes++;
    m->f->side[s].flags |= SIDE_TROUBLE;
    struct range *r = range_at(m, index);
    r->start = start;
    r->end = end;
    r->nxt = m->f->side[s].nxt;
    r->seen_ns = m->now_ns;
    return index;
}

/* Unlinks *link from its list and frees it. */
static void node_remove(struct meter *m, unsigned s, uint32_t *link)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t index = *link;

    *link = range_at(m, index)->next;
    pool_put(&m->pools->node, index);
    c->n_nodes--;
}

static uint64_t min_rtt_ns(const struct flow *f, unsigned endpoint)
{
    return rtt_min_ns(&f->rtt[endpoint]);
}

uint64_t loss_full_rtt_ns(const struct flow *f)
{
    uint64_t a = min_rtt_ns(f, 0), b = min_rtt_ns(f, 1);

    return a != 0 && b != 0 ? a + b : 0;
}

/* Rule 0's patience. */
static uint64_t mirror_wait_ns(const struct meter *m, unsigned s)
{
    uint64_t rtt_ns = min_rtt_ns(m->f, 1 - s);

    return rtt_ns > MIRROR_REORDER_NS ? rtt_ns : MIRROR_REORDER_NS;
}

/* How long after a repeat was covered its DSACK may still come. */
static uint64_t dsack_wait_ns(const struct meter *m)
{
    uint64_t mean_ns = 0;

    for (unsigned e = 0; e < 2; e++)
        if (rtt_small_n(&m->f->rtt[e]) != 0)
            mean_ns += rtt_small_sum_ns(&m->f->rtt[e]) / rtt_small_n(&m->f->rtt[e]);
    uint64_t rto_ns = 2 * mean_ns > RTO_MIN_NS ? 2 * mean_ns : RTO_MIN_NS;
    return 2 * rto_ns;
}

/* Marks the packet's evidence of age on a node. */
static void note_evidence(struct range *r, const struct meter *m, unsigned s)
{
    struct tcp_side *t = &m->f->side[s];

    if (m->p->flags & PKT_HAS_TS) {
        r->tsval = m->p->tsval;
        r->flags |= NODE_HAS_TS;
    }
    if ((m->p->flags & PKT_HAS_IP_ID) && t->id_run == RUN_MONOTONE) {
        r->ip_id = m->p->ip_id;
        r->flags |= NODE_HAS_IP_ID;
    }
}

/* Was the current packet sent before or after the one that left its evidence on r? */
static enum age age_against(const struct meter *m, const struct range *r)
{
    const struct pkt *p = m->p;

    if ((r->flags & NODE_HAS_TS) && (p->flags & PKT_HAS_TS) && p->tsval != r->tsval)
        return seq_lt(p->tsval, r->tsval) ? AGE_OLDER : AGE_NEWER;
    if ((r->flags & NODE_HAS_IP_ID) && (p->flags & PKT_HAS_IP_ID) && p->ip_id != r->ip_id)
        return (int16_t)(p->ip_id - r->ip_id) < 0 ? AGE_OLDER : AGE_NEWER;
    return AGE_UNKNOWN;
}

/* ---- holes ---- */

/*
 * Appends the hole [nxt, end). Holes with nothing seen of the sender between them are one gap, however many ACKs
 * it took to notice.
 */
static struct range *hole_new(struct meter *m, unsigned s, uint32_t end)
{
    struct tcp_side *t = &m->f->side[s];
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t *link = &c->holes;
    uint32_t index = node_new(m, s, t->nxt, end);

    t->nxt = end;
    if (index == 0)
        return NULL;
    while (*link != 0)
        link = &range_at(m, *link)->next;
    *link = index;
    if (!(t->flags & SIDE_GAP_OPEN))
        range_at(m, index)->flags |= NODE_NEW_GAP;
    t->flags |= SIDE_GAP_OPEN;
    return range_at(m, index);
}

void loss_gap(struct meter *m, unsigned s, uint32_t start)
{
    struct range *hole = hole_new(m, s, start);

    if (hole != NULL)
        note_evidence(hole, m, s);
}

static bool is_reordered(const struct meter *m, unsigned s, const struct range *hole)
{
    switch (age_against(m, hole)) {
    case AGE_OLDER:
        return true;
    case AGE_NEWER:
        return false;
    case AGE_UNKNOWN:
        break;
    }
    if (m->now_ns - hole->seen_ns > REORDER_MAX_NS)
        return false;
    return !(hole->flags & NODE_SIGNALLED) || m->now_ns < hole->signal_ns + min_rtt_ns(m->f, s) * 3 / 4;
}

/* Cuts the hole at `at`; returns the index of the upper part, 0 when it is lost for want of a node. */
static uint32_t split(struct meter *m, unsigned s, struct range *hole, uint32_t at)
{
    uint32_t index = node_new(m, s, at, hole->end);

    if (index != 0) {
        struct range *rest = range_at(m, index);
        *rest = *hole;
        rest->start = at;
        rest->flags &= (uint16_t)~NODE_NEW_GAP;
        hole->next = index;
    }
    hole->end = at;
    return index;
}

/* Takes [start, end) out of the hole at *link; returns the link to go on with. */
static uint32_t *hole_cut(struct meter *m, unsigned s, uint32_t *link, uint32_t start, uint32_t end)
{
    struct range *hole = range_at(m, *link);

    if (seq_le(start, hole->start) && seq_le(hole->end, end)) {
        node_remove(m, s, link);
        return link;
    }
    if (seq_lt(hole->start, start) && seq_lt(end, hole->end)) {
        split(m, s, hole, end);
        hole->end = start;
    } else if (seq_le(start, hole->start)) {
        hole->start = end;
    } else {
        hole->end = start;
    }
    return &hole->next;
}

/* Appends [start, end) to the list of repeats; NULL without a node. */
static struct range *pending_new(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t *link = &c->pending;
    uint32_t index = node_new(m, s, start, end);

    if (index == 0)
        return NULL;
    while (*link != 0)
        link = &range_at(m, *link)->next;
    *link = index;
    return range_at(m, index);
}

/*
 * Rule 3: a segment fills a hole that nobody has covered. R cannot know of it yet and goes on complaining for a while:
 * a note in the list of repeats explains that.
 */
static void fill_verdict(struct meter *m, unsigned s, const struct range *hole, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    bool late = is_reordered(m, s, hole), noticed = (hole->flags & NODE_SIGNALLED) || !flow_is_two_way(m->f);

    if (late && noticed) {
        VERDICT(m, s, reordered, reordered_pkts, start, end);
    } else if (!late) {
        METER_COUNT(m, s, retrans_pkts, 1);
        c->count.retrans_bytes += m->p->payload_len;
    }
    bool lost = !late && flow_is_two_way(m->f); /* else nobody knows what R had */
    struct range *note = pending_new(m, s, start, end);
    if (note != NULL) {
        note->flags |= (late && !noticed ? NODE_LATE : 0) | (lost ? NODE_UPSTREAM : 0) | NODE_FILL;
        note_evidence(note, m, s);
    } else if (lost) {
        VERDICT(m, s, upstream, lost_upstream_pkts, start, end);
    }
}

/*
 * A segment that is older than the one which filled its hole: nothing was lost, it was late by more than S had patience
 * for, and the fill was needless.
 */
static bool is_late_original(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        struct range *r = range_at(m, i);
        if (!(r->flags & NODE_UPSTREAM) || !seq_lt(r->start, end) || !seq_lt(start, r->end) ||
            age_against(m, r) != AGE_OLDER)
            continue;
        VERDICT(m, s, reordered, reordered_pkts, start, end);
        VERDICT(m, s, spurious, spurious_pkts, r->start, r->end);
        r->flags = NODE_ECHO;
        return true;
    }
    return false;
}

/* Rules 0 and 3. Returns whether the segment met a hole. */
static bool fill(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t *link = &c->holes;
    bool filled = false;

    while (*link != 0) {
        struct range *hole = range_at(m, *link);
        if (seq_le(hole->end, start)) {
            link = &hole->next;
            continue;
        }
        if (seq_le(end, hole->start))
            break;
        if (!filled && !(hole->flags & NODE_COVERED))
            fill_verdict(m, s, hole, start, end);
        filled = true;
        link = hole_cut(m, s, link, start, end);
    }
    return filled;
}

/* Rule 4: nothing more can come for this hole. */
static void hole_verdict(struct meter *m, unsigned s, const struct range *hole)
{
    uint64_t rtt_ns = loss_full_rtt_ns(m->f);
    bool complained = (hole->flags & NODE_SIGNALLED) && rtt_ns != 0 && hole->covered_ns - hole->signal_ns >= rtt_ns;

    if (complained)
        VERDICT(m, s, unknown, lost_unknown_pkts, hole->start, hole->end);
    else
        trouble_of(m)->mirror_misses = 1;
    METER_COUNT(m, s, capture_lost_bytes, hole->end - hole->start);
    trace_verdict(m, s, VERDICT_capture, hole->start, hole->end);
    METER_COUNT(m, s, capture_gaps, (hole->flags & NODE_NEW_GAP) != 0);
}

/* ---- repeats ---- */

static bool is_sacked(const struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    for (uint32_t i = c->sacked; i != 0; i = range_at(m, i)->next)
        if (seq_le(range_at(m, i)->start, start) && seq_le(end, range_at(m, i)->end))
            return true;
    return false;
}

/* The tap sees bytes again that R reported missing: the repeat explains it from here on. Were there any? */
static bool missing_seen_again(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    bool any = false;

    for (uint32_t *link = &trouble_of(m)->dir[s].missing; *link != 0;) {
        struct range *r = range_at(m, *link);
        if (!seq_lt(r->start, end) || !seq_lt(start, r->end)) {
            link = &r->next;
            continue;
        }
        any = true;
        if (seq_lt(end, r->end)) { /* what lies above is still missing */
            r->start = end;
            link = &r->next;
        } else {
            node_remove(m, s, link);
        }
    }
    return any;
}

/*
 * R answers a needless repeat with a DSACK, or without SACK with a duplicate ACK, which then is no complaint. Either
 * speaks of this repeat and of no other.
 */
static void expect_echo(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    if (trouble_of(m)->dir[s].n_nodes >= LIST_MAX / 2)
        return;
    struct range *r = pending_new(m, s, start, end);
    if (r != NULL)
        r->flags |= NODE_ECHO;
}

/* The age below which bytes that come again cannot have been reported missing: S has not heard of them at all. */
static uint64_t young_ns(const struct flow *f)
{
    return loss_full_rtt_ns(f) * 3 / 4;
}

void loss_mark(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    if (m->now_ns - c->mark_ns[1] < young_ns(m->f) / 2)
        return;
    c->mark_ns[0] = c->mark_ns[1];
    c->mark_seq[0] = c->mark_seq[1];
    c->mark_ns[1] = m->now_ns;
    c->mark_seq[1] = m->f->side[s].nxt;
}

/* Were the bytes from `start` on sent for the first time less than a round trip ago? */
static bool is_young(const struct meter *m, unsigned s, uint32_t start)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];

    for (unsigned i = 0; i < 2; i++)
        if (m->now_ns - c->mark_ns[i] < young_ns(m->f))
            return seq_le(c->mark_seq[i], start);
    return false;
}

/* Rule 2, first half: the repeat is seen. */
static void repeat(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_side *t = &m->f->side[s];
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    if (is_late_original(m, s, start, end))
        return;
    METER_COUNT(m, s, retrans_pkts, 1);
    c->count.retrans_bytes += m->p->payload_len;
    if (seq_le(end, t->una) || is_sacked(m, s, start, end)) {
        VERDICT(m, s, spurious, spurious_pkts, start, end);
        expect_echo(m, s, start, end);
        return;
    }
    bool complained = missing_seen_again(m, s, start, end);
    struct range *r = pending_new(m, s, seq_max(start, t->una), end);
    if (r == NULL) {
        if (flow_is_two_way(m->f))
            VERDICT(m, s, downstream, lost_downstream_pkts, start, end);
        return;
    }
    note_evidence(r, m, s);
    if (complained)
        r->flags |= NODE_SIGNALLED;
    if (is_young(m, s, start))
        r->flags |= NODE_YOUNG;
    pmtu_repeat(m);
}

/*
 * From before the first byte seen. When the receiver reported it missing it is a repeat, of a segment that may have
 * passed the tap before anybody looked: lost, on an unknown side.
 */
static void before_base(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    if (!missing_seen_again(m, s, start, end))
        return;
    METER_COUNT(m, s, retrans_pkts, 1);
    VERDICT(m, s, unknown, lost_unknown_pkts, start, end);
    trouble_of(m)->dir[s].count.retrans_bytes += m->p->payload_len;
}

void loss_below(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_side *t = &m->f->side[s];

    if (seq_le(end, t->base)) {
        before_base(m, s, start, end);
        return;
    }
    start = seq_max(start, t->base);
    rtt_forget_above(m, s, start);
    if (!fill(m, s, start, end))
        repeat(m, s, start, end);
}

/* ---- what the receiver says ---- */

/* Marks the part of every hole in [start, end) as covered now. */
static void cover_holes(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    for (uint32_t i = c->holes; i != 0;) {
        struct range *hole = range_at(m, i);
        uint32_t next = hole->next;
        if (seq_le(end, hole->start))
            return;
        if (seq_lt(start, hole->end) && !(hole->flags & NODE_COVERED)) {
            if (seq_lt(hole->start, start)) { /* keep the uncovered head, go on with the rest */
                i = split(m, s, hole, start);
                continue;
            }
            if (seq_lt(end, hole->end))
                split(m, s, hole, end);
            hole->flags |= NODE_COVERED;
            hole->covered_ns = m->now_ns;
        }
        i = next;
    }
}

/*
 * An ACK leaps over the repeat from far below, and echoes what was sent before it: had R lacked the bytes, its ACKs
 * would have stopped in front of them. Less than LEAP_BYTES may be one delayed ACK that the repeat itself set free.
 */
static bool is_leapt_over(const struct meter *m, unsigned s, const struct range *repeat)
{
    const uint16_t mask = NODE_HAS_TS | NODE_SIGNALLED;

    return (repeat->flags & mask) == NODE_HAS_TS && (m->p->flags & PKT_HAS_TS) && seq_lt(m->p->tsecr, repeat->tsval) &&
           seq_diff(repeat->start, m->f->side[s].una) >= LEAP_BYTES;
}

/* The smallest RTT so far is not the smallest possible: a quarter less is out of reach, of a few samples a half. */
static uint64_t soonest_ns(const struct flow *f, unsigned endpoint)
{
    return min_rtt_ns(f, endpoint) / 4 * (rtt_small_n(&f->rtt[endpoint]) < FEW_SAMPLES ? 2 : 3);
}

/*
 * Rule 2, second half: evidence in the first report that covers the repeat. The TSecr of an ACK is the TSval of the
 * segment that last moved the left edge (RFC 7323 section 4.3), so it speaks of a repeat at that edge, and only when
 * the edge moves; a SACK says nothing of the kind.
 */
static bool is_spurious(const struct meter *m, unsigned s, const struct range *repeat, bool cumulative)
{
    bool at_edge = cumulative && seq_le(repeat->start, m->f->side[s].una);
    bool echoes = at_edge && (repeat->flags & NODE_HAS_TS) && (m->p->flags & PKT_HAS_TS);

    if (echoes)
        return seq_lt(m->p->tsecr, repeat->tsval);
    if (cumulative && is_leapt_over(m, s, repeat))
        return true;
    if (cumulative && !(m->f->flags & FLOW_SACK) && seq_lt(m->f->side[s].una, repeat->start))
        return true;
    if ((m->f->flags & FLOW_SACK) && (repeat->flags & NODE_SIGNALLED))
        return false; /* R lacked it; if the first copy came late, a DSACK will tell */
    if ((repeat->flags & (NODE_YOUNG | NODE_SIGNALLED)) == NODE_YOUNG)
        return true;
    return m->now_ns - repeat->seen_ns < soonest_ns(m->f, 1 - s);
}

/* The repeat was for nothing. If R had complained before, the first copy was late: reordered behind the tap. */
static void spurious_verdict(struct meter *m, unsigned s, const struct range *repeat)
{
    VERDICT(m, s, spurious, spurious_pkts, repeat->start, repeat->end);
    if (repeat->flags & NODE_SIGNALLED)
        VERDICT(m, s, reordered, reordered_pkts, repeat->start, repeat->end);
}

static void cover_repeats(struct meter *m, unsigned s, uint32_t start, uint32_t end, bool cumulative)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    for (uint32_t *link = &c->pending; *link != 0;) {
        struct range *r = range_at(m, *link);
        if (!(r->flags & (NODE_COVERED | NODE_ECHO)) && seq_le(start, r->start) && seq_le(r->end, end)) {
            bool spurious = !(r->flags & NODE_FILL) && is_spurious(m, s, r, cumulative);
            if (spurious)
                spurious_verdict(m, s, r);
            if ((r->flags & (NODE_FILL | NODE_UPSTREAM)) == NODE_FILL) {
                node_remove(m, s, link);
                continue;
            }
            if (spurious)
                r->flags |= NODE_ECHO;
            r->flags |= NODE_COVERED;
            r->covered_ns = m->now_ns;
        }
        link = &r->next;
    }
}

/* Is there an older fill or repeat of the same bytes in the list? */
static bool is_repeat_of_earlier(const struct meter *m, unsigned s, uint32_t index)
{
    uint32_t start = range_at(m, index)->start;

    for (uint32_t i = trouble_of(m)->dir[s].pending; i != index; i = range_at(m, i)->next)
        if (seq_le(range_at(m, i)->start, start) && seq_lt(start, range_at(m, i)->end))
            return true;
    return false;
}

/*
 * R reports [start, end) missing while repeats of it are on their way. The complaint is about the first
 * copy; where the tap has not even seen that one, the fill explains it.
 */
static void repeats_missing(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        struct range *r = range_at(m, i);
        if (!seq_lt(r->start, end) || !seq_lt(start, r->end))
            continue;
        if (!(r->flags & (NODE_FILL | NODE_ECHO | NODE_COVERED)) && !is_repeat_of_earlier(m, s, i))
            r->flags |= NODE_SIGNALLED;
    }
}

/* The first byte from `at` on that no node of the list has, or ret_end's: the next one that has it. */
static uint32_t explained_to(const struct meter *m, uint32_t list, uint32_t at, uint32_t *ret_end)
{
    for (uint32_t i = list; i != 0; i = range_at(m, i)->next) {
        const struct range *r = range_at(m, i);
        if (seq_le(r->start, at) && seq_lt(at, r->end))
            return r->end;
        if (seq_lt(at, r->start) && seq_lt(r->start, *ret_end))
            *ret_end = r->start;
    }
    return at;
}

static void missing_new(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t index = node_new(m, s, start, end);

    if (index == 0)
        return;
    range_at(m, index)->next = c->missing;
    c->missing = index;
    if (m->f->side[s].flags & SIDE_TS) { /* S cannot have heard yet: what it sent so far is not newer than this */
        range_at(m, index)->tsval = m->f->side[s].ts_max;
        range_at(m, index)->flags |= NODE_HAS_TS;
    }
}

/* R reports [start, end) missing. What holes, fills and repeats do not explain of it is noted. */
static void missing_note(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];

    repeats_missing(m, s, start, end);
    for (unsigned pieces = 0; seq_lt(start, end) && pieces < PIECES_MAX; pieces++) {
        uint32_t piece_end = end, past = explained_to(m, c->holes, start, &piece_end);
        past = past != start ? past : explained_to(m, c->pending, start, &piece_end);
        past = past != start ? past : explained_to(m, c->missing, start, &piece_end);
        if (past == start) {
            missing_new(m, s, start, piece_end);
            past = piece_end;
        }
        start = past;
    }
}

/*
 * R had complained about r since since_ns and has it now: was it sent again? The ACK that moves the left edge over r
 * echoes the TSval of what filled it, and S had sent none newer than r's when the complaint began. Without timestamps,
 * a repeat takes a round trip, and a mirror that has shown all else will have shown it.
 */
static bool was_repaired(const struct meter *m, unsigned s, const struct range *r, uint64_t since_ns, bool cumulative)
{
    uint64_t rtt_ns = loss_full_rtt_ns(m->f);
    bool at_edge = cumulative && seq_le(r->start, m->f->side[s].una);

    if (at_edge && (r->flags & NODE_HAS_TS) && (m->p->flags & PKT_HAS_TS))
        return seq_lt(r->tsval, m->p->tsecr);
    if (!trouble_of(m)->mirror_misses && m->f->data_pkts[s] >= TRUSTED_PKTS)
        rtt_ns = rtt_ns > REORDER_MAX_NS ? rtt_ns : REORDER_MAX_NS;
    return rtt_ns != 0 && m->now_ns - since_ns >= rtt_ns;
}

/* Rule 4 for seen bytes: R had reported them missing, and now has all up to `end` from `start`. */
static void missing_verdict(struct meter *m, unsigned s, const struct range *r, bool cumulative)
{
    if (!seq_le(m->f->side[s].base, r->start))
        return;
    if (!was_repaired(m, s, r, r->seen_ns, cumulative)) {
        VERDICT(m, s, reordered, reordered_pkts, r->start, r->end);
        return;
    }
    METER_COUNT(m, s, capture_gaps, 1);
    VERDICT(m, s, downstream, lost_downstream_pkts, r->start, r->end);
}

/* [start, end) has arrived: each part of what was missing there is judged, the rest goes on missing. */
static void missing_covered(struct meter *m, unsigned s, uint32_t start, uint32_t end, bool cumulative)
{
    for (uint32_t *link = &trouble_of(m)->dir[s].missing; *link != 0;) {
        struct range *r = range_at(m, *link);
        struct range part = *r;
        part.start = seq_max(r->start, start);
        part.end = seq_min(r->end, end);
        if (!seq_lt(part.start, part.end)) {
            link = &r->next;
            continue;
        }
        missing_verdict(m, s, &part, cumulative);
        if (part.start == r->start && part.end == r->end) {
            node_remove(m, s, link);
            continue;
        }
        if (seq_lt(r->start, part.start) && seq_lt(part.end, r->end))
            split(m, s, r, part.end);
        if (seq_lt(r->start, part.start))
            r->end = part.start;
        else
            r->start = part.end;
        link = &r->next;
    }
}

void loss_acked(struct meter *m, unsigned s, uint32_t ack)
{
    struct tcp_side *t = &m->f->side[s];

    if (!(t->flags & SIDE_TROUBLE) && seq_le(ack, t->nxt))
        return; /* nearly always: no block is touched */
    if (seq_lt(t->nxt, ack))
        hole_new(m, s, ack);
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    if (c->missing != 0)
        missing_covered(m, s, t->una, ack, true);
    if (c->holes != 0)
        cover_holes(m, s, t->base, ack);
    if (c->pending != 0)
        cover_repeats(m, s, t->base, ack, true);
    while (c->sacked != 0 && seq_le(range_at(m, c->sacked)->end, ack))
        node_remove(m, s, &c->sacked);
}

/* R misses something below `highest` that came late at the tap, too: the network reordered it. */
static void notice_late(struct meter *m, unsigned s, uint32_t highest)
{
    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        struct range *r = range_at(m, i);
        if (!(r->flags & NODE_LATE) || !seq_lt(r->start, highest) || is_sacked(m, s, r->start, r->end))
            continue;
        r->flags &= (uint16_t)~NODE_LATE;
        VERDICT(m, s, reordered, reordered_pkts, r->start, r->end);
    }
}

/* R complains: what lies below `highest` and was not reported is missing there. */
static void signal_missing(struct meter *m, unsigned s, uint32_t highest)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t from = m->f->side[s].una;

    for (uint32_t i = c->holes; i != 0; i = range_at(m, i)->next) {
        struct range *hole = range_at(m, i);
        if (!seq_lt(hole->start, highest))
            break;
        if (!(hole->flags & (NODE_COVERED | NODE_SIGNALLED))) {
            hole->flags |= NODE_SIGNALLED;
            hole->signal_ns = m->now_ns;
        }
    }
    notice_late(m, s, highest);
    for (uint32_t i = c->sacked; i != 0 && seq_lt(from, highest); i = range_at(m, i)->next) {
        if (seq_lt(from, range_at(m, i)->start))
            missing_note(m, s, from, range_at(m, i)->start);
        from = seq_max(from, range_at(m, i)->end);
    }
    if (c->sacked == 0)
        missing_note(m, s, from, highest);
}

/*
 * Does a needless repeat explain a duplicate ACK? It is used up then. The answer takes a round trip to R, and it comes
 * before R acknowledges what S sent after the repeat.
 */
static bool is_echo(struct meter *m, unsigned s)
{
    uint32_t una = m->f->side[s].una;

    for (uint32_t *link = &trouble_of(m)->dir[s].pending; *link != 0;) {
        const struct range *r = range_at(m, *link);
        if ((r->flags & NODE_ECHO) && seq_lt(r->nxt, una)) {
            node_remove(m, s, link);
            continue;
        }
        if (!(r->flags & NODE_ECHO) || !seq_le(r->end, una) || m->now_ns - r->seen_ns < soonest_ns(m->f, 1 - s)) {
            link = &range_at(m, *link)->next;
            continue;
        }
        node_remove(m, s, link);
        return true;
    }
    return false;
}

/*
 * Without timestamps: a second ACK of just what S had sent before it repeated something of which R had never
 * complained. The repeat was needless, and this is its answer.
 */
static bool is_second_answer(struct meter *m, unsigned s)
{
    const uint16_t mask = NODE_COVERED | NODE_FILL | NODE_ECHO | NODE_SIGNALLED | NODE_HAS_TS;

    for (uint32_t *link = &trouble_of(m)->dir[s].pending; *link != 0; link = &range_at(m, *link)->next) {
        const struct range *r = range_at(m, *link);
        if ((r->flags & mask) != NODE_COVERED || r->nxt != m->f->side[s].una ||
            m->now_ns - r->seen_ns < soonest_ns(m->f, 1 - s))
            continue;
        spurious_verdict(m, s, r);
        node_remove(m, s, link);
        return true;
    }
    return false;
}

void loss_dup_ack(struct meter *m, unsigned s)
{
    struct tcp_side *t = &m->f->side[s];

    if (!(m->f->flags & FLOW_SACK) && !is_echo(m, s) && !is_second_answer(m, s))
        signal_missing(m, s, t->una + 1);
}

void loss_idle_ack(struct meter *m, unsigned s)
{
    if (!(m->f->flags & FLOW_SACK) && is_echo(m, s))
        return;
    for (uint32_t *link = &trouble_of(m)->dir[s].pending; *link != 0; link = &range_at(m, *link)->next) {
        const struct range *r = range_at(m, *link);
        if ((r->flags & (NODE_COVERED | NODE_FILL | NODE_ECHO)) != NODE_COVERED || r->end != m->f->side[s].una)
            continue;
        spurious_verdict(m, s, r);
        node_remove(m, s, link);
        return;
    }
}

/* Remembers [start, end) as reported; the list is kept ascending and merged. */
static void sacked_insert(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t *link = &c->sacked;

    while (*link != 0 && seq_lt(range_at(m, *link)->end, start))
        link = &range_at(m, *link)->next;
    while (*link != 0 && seq_le(range_at(m, *link)->start, end)) {
        start = seq_min(start, range_at(m, *link)->start);
        end = seq_max(end, range_at(m, *link)->end);
        node_remove(m, s, link);
    }
    uint32_t index = node_new(m, s, start, end);
    if (index == 0)
        return;
    range_at(m, index)->next = *link;
    *link = index;
}

/* The hole that r filled had been filled before, unseen: the mirror had missed the first copy, not the network. */
static void unseen_verdict(struct meter *m, unsigned s, const struct range *r)
{
    trouble_of(m)->mirror_misses = 1;
    METER_COUNT(m, s, capture_lost_bytes, r->end - r->start);
    METER_COUNT(m, s, capture_gaps, 1);
    trace_verdict(m, s, VERDICT_capture, r->start, r->end);
    VERDICT(m, s, spurious, spurious_pkts, r->start, r->end);
}

/* One segment, from `start` on, came twice: a repeat of it was needless. Known to be, or else the latest. */
static void dsack_segment(struct meter *m, unsigned s, uint32_t start)
{
    uint32_t *latest = NULL;

    for (uint32_t *link = &trouble_of(m)->dir[s].pending; *link != 0; link = &range_at(m, *link)->next) {
        const struct range *r = range_at(m, *link);
        if (r->start != start || (r->flags & (NODE_FILL | NODE_UPSTREAM)) == NODE_FILL)
            continue;
        latest = link;
        if (r->flags & NODE_ECHO)
            break;
    }
    if (latest == NULL)
        return;
    const struct range *r = range_at(m, *latest);
    if (r->flags & NODE_UPSTREAM)
        unseen_verdict(m, s, r);
    else if (!(r->flags & NODE_ECHO))
        spurious_verdict(m, s, r);
    node_remove(m, s, latest);
}

/* A DSACK (RFC 2883) says that [left, right), maybe several segments, came twice. */
static void dsack(struct meter *m, unsigned s, struct sack_block block)
{
    uint32_t from = block.left, next = block.right;

    for (unsigned segments = 0; segments < PIECES_MAX; segments++, from = next + 1, next = block.right) {
        for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next)
            if (seq_le(from, range_at(m, i)->start) && seq_lt(range_at(m, i)->start, next))
                next = range_at(m, i)->start;
        if (next == block.right)
            return;
        dsack_segment(m, s, next);
    }
}

static bool is_dsack(const struct pkt *p, uint32_t ack)
{
    struct sack_block b = p->sack[0];

    if (seq_le(b.right, ack))
        return true;
    return p->n_sack > 1 && seq_le(p->sack[1].left, b.left) && seq_le(b.right, p->sack[1].right);
}

void loss_sack(struct meter *m, unsigned s, uint32_t ack)
{
    struct tcp_side *t = &m->f->side[s];
    const struct pkt *p = m->p;
    uint32_t highest = ack;
    unsigned first = 0;

    m->f->flags |= FLOW_SACK;
    if (is_dsack(p, ack)) {
        dsack(m, s, p->sack[0]);
        first = 1;
    }
    for (unsigned i = first; i < p->n_sack; i++) {
        struct sack_block b = p->sack[i];
        if (!seq_lt(b.left, b.right) || !seq_lt(ack, b.right) || seq_diff(b.right, t->nxt) > (1 << 30))
            continue;
        b.left = seq_max(b.left, ack);
        if (seq_lt(t->nxt, b.right))
            hole_new(m, s, b.right);
        cover_holes(m, s, b.left, b.right);
        cover_repeats(m, s, b.left, b.right, false);
        missing_covered(m, s, b.left, b.right, false);
        sacked_insert(m, s, b.left, b.right);
        highest = seq_max(highest, b.right);
    }
    if (highest != ack)
        signal_missing(m, s, highest);
}

/* ---- verdicts ---- */

/* Nothing more is heard of a repeat. */
static void repeat_verdict(struct meter *m, unsigned s, const struct range *r)
{
    if (r->flags & NODE_UPSTREAM)
        VERDICT(m, s, upstream, lost_upstream_pkts, r->start, r->end);
    else if (!(r->flags & (NODE_FILL | NODE_ECHO)))
        VERDICT(m, s, downstream, lost_downstream_pkts, r->start, r->end);
}

void loss_resolve(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    for (uint32_t *link = &c->holes; *link != 0;) {
        struct range *hole = range_at(m, *link);
        if ((hole->flags & NODE_COVERED) && m->now_ns - hole->covered_ns > mirror_wait_ns(m, s)) {
            hole_verdict(m, s, hole);
            node_remove(m, s, link);
        } else {
            link = &hole->next;
        }
    }
    for (uint32_t *link = &c->pending; *link != 0;) {
        struct range *r = range_at(m, *link);
        uint64_t since_ns = (r->flags & NODE_COVERED) ? r->covered_ns : r->seen_ns;
        if ((r->flags & (NODE_COVERED | NODE_ECHO)) && m->now_ns - since_ns > dsack_wait_ns(m)) {
            repeat_verdict(m, s, r);
            node_remove(m, s, link);
        } else {
            link = &r->next;
        }
    }
    if (c->n_nodes == 0)
        m->f->side[s].flags &= (uint16_t)~SIDE_TROUBLE;
}

void loss_finish(struct meter *m, unsigned s)
{
    if (m->f->trouble == 0)
        return;
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    while (c->holes != 0) {
        struct range *hole = range_at(m, c->holes);
        if (hole->flags & NODE_COVERED)
            hole_verdict(m, s, hole);
        else if (flow_is_two_way(m->f))
            VERDICT(m, s, unknown, lost_unknown_pkts, hole->start, hole->end);
        node_remove(m, s, &c->holes);
    }
    while (c->pending != 0) {
        if (flow_is_two_way(m->f))
            repeat_verdict(m, s, range_at(m, c->pending));
        node_remove(m, s, &c->pending);
    }
    while (c->sacked != 0)
        node_remove(m, s, &c->sacked);
    while (c->missing != 0)
        node_remove(m, s, &c->missing);
}
