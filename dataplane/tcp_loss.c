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
 *     reordered by the mirror. No loss, no sample (nor from what stands alone where that happens often: tcp_rtt.c).
 *  1. Copies made by the mirror never get here (see dedup.c), except a second hop whose first sight was forgotten:
 * is_forgotten_copy.
 *  2. Bytes seen before: spurious when they were ACKed or SACKed before, or a DSACK (RFC 2883) reports them, or the ACK
 * that moves the left edge over them echoes an older TSval than the repeat's (Eifel, RFC 3522); if it echoes the
 * repeat's, the loss was real (unless the bytes were young and something before had the same TSval). Without
 * timestamps: real when R had reported the gap by SACK; else spurious when the ACK comes sooner than R could have
 * answered, or comes twice with nothing else outstanding. Else lost downstream. The verdict waits for the covering ACK,
 * and then for a DSACK, of which a silence of R says nothing (loss_listened_ns). Without SACK the duplicate ACK that
 * answers a needless repeat is no complaint, and silence speaks, too: spurious when R had not complained although it
 * could, and has what lies behind; or when its edge stops between the repeat and what had been sent before it, and goes
 * on without a repair, since a repeat that was needed moves the edge to the next gap.
 *  3. A hole is filled: older than the segment that exposed it (TSval, else a monotone IP id) -> reordered, newer ->
 * lost upstream. With the same TSval: reordered when S's clock had ticked, or must have, until S could hear R's
 * complaint. Without evidence: reordered when it came before R's first complaint could have brought a repeat and within
 * 200 ms, else lost upstream; reordered, too, when a newer copy follows it in less than a round trip. Reordering counts
 * when R complains, too: TCP answers every gap at once (RFC 5681), so a receiver that keeps silent had everything in
 * order, and only the mirror had not.
 *  4. A hole is covered by ACK or SACK and never filled: capture loss; but when R had complained about it for a whole
 * RTT the repeat was missed by the mirror: loss on an unknown side, and a capture gap. Likewise *seen* bytes that R
 * reported missing and then had, without a repeat on the mirror: lost downstream if the ACK echoes a TSval newer than
 * all that S had sent at the complaint (else, without timestamps: after a whole RTT), otherwise reordered.
 *  5. A hole that is never covered: unknown.
 *
 * A packet counts once. Known bias: a verdict without timestamps, moving IP ids or SACK rests on time alone.
 *
 * Bounds: a direction has LIST_MAX nodes. From half of them on, repeats that follow each other at once share a node (a
 * run: go-back-N of any length), and near the last the oldest repeats that are covered get their verdict without a
 * further wait. When the pool or the bound runs out all the same, verdicts fall at once and the flow is flagged unsure.
 */

#include "dataplane/tcp_loss.h"

#include "dataplane/dedup.h"
#include "dataplane/loss_lists.h"
#include "dataplane/pmtu.h"

#define HELD_SHARE        200u /* one copy in so many held back; a sample has two ends, so less leaves 99 % of them right */
#define HOP_SHARE         8u  /* where one packet in so many is seen again elsewhere, a copy may have been forgotten */
#define RUN_PARTS         16u /* of a round trip: what a run of repeats may take, so that its time is known well */
#define MIRROR_REORDER_NS (2 * NS_PER_MS)
#define CLOCK_TICKS       8                 /* of a sender's clock until it is known how fast it is */
#define RTO_MIN_NS        (200 * NS_PER_MS) /* of common stacks; RFC 6298 says 1 s */

enum age { AGE_UNKNOWN, AGE_OLDER, AGE_NEWER };

/* The age below which bytes that come again cannot have been reported missing: S has not heard of them at all. */
static uint64_t young_ns(const struct flow *f)
{
    return loss_full_rtt_ns(f) * 3 / 4;
}

/* What is below nxt had been sent by now, what is above had not. */
static void mark(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    memmove(c->mark_ns, c->mark_ns + 1, sizeof(c->mark_ns) - sizeof(c->mark_ns[0]));
    memmove(c->mark_seq, c->mark_seq + 1, sizeof(c->mark_seq) - sizeof(c->mark_seq[0]));
    c->mark_ns[TROUBLE_MARKS - 1] = m->now_ns;
    c->mark_seq[TROUBLE_MARKS - 1] = m->f->side[s].nxt;
}

void loss_mark(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    if (c->clock_ns == 0 && (m->p->flags & PKT_HAS_TS)) {
        c->clock_ns = m->now_ns;
        c->clock_tsval = m->p->tsval;
    }
    if (m->now_ns - c->mark_ns[TROUBLE_MARKS - 1] >= young_ns(m->f) / TROUBLE_MARKS)
        mark(m, s);
}

/*
 * Trouble begins, and no moments are known that would tell how old bytes are. What is in flight tells them; with
 * nothing in flight, all from nxt on is new now.
 */
static void trouble_begins(struct meter *m, unsigned s)
{
    uint64_t young = young_ns(m->f);
    uint32_t end;

    if (m->f->side[s].flags & SIDE_TROUBLE)
        return;
    m->f->side[s].flags |= SIDE_TROUBLE;
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    c->heard_ns = m->now_ns;
    if (young == 0 || !rtt_sent_by(m, s, m->now_ns, &end)) {
        mark(m, s);
        return;
    }
    for (unsigned i = 0; i < TROUBLE_MARKS; i++) {
        c->mark_ns[i] = m->now_ns + 1 - young * (TROUBLE_MARKS - i) / TROUBLE_MARKS;
        rtt_sent_by(m, s, c->mark_ns[i], &c->mark_seq[i]);
    }
}

uint32_t loss_node_new(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t index = c->n_nodes < LIST_MAX ? pool_get(&m->pools->node) : 0;

    if (index == 0) {
        m->f->flags |= FLOW_LOSS_UNSURE;
        return 0;
    }
    c->n_nodes++;
    trouble_begins(m, s);
    struct range *r = range_at(m, index);
    r->start = start;
    r->end = end;
    r->nxt = m->f->side[s].nxt;
    r->seen_ns = m->now_ns;
    return index;
}

void loss_node_remove(struct meter *m, unsigned s, uint32_t *link)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t index = *link;

    *link = range_at(m, index)->next;
    pool_put(&m->pools->node, index);
    c->n_nodes--;
}

uint64_t loss_full_rtt_ns(const struct flow *f)
{
    uint64_t a = min_rtt_ns(f, 0), b = min_rtt_ns(f, 1);

    return a != 0 && b != 0 ? a + b : 0;
}

uint64_t loss_mirror_wait_ns(const struct meter *m, unsigned s)
{
    uint64_t rtt_ns = min_rtt_ns(m->f, 1 - s);

    return rtt_ns > MIRROR_REORDER_NS ? rtt_ns : MIRROR_REORDER_NS;
}

uint64_t loss_dsack_wait_ns(const struct meter *m)
{
    uint64_t mean_ns = 0;

    for (unsigned e = 0; e < 2; e++)
        if (rtt_small_n(&m->f->rtt[e]) != 0)
            mean_ns += rtt_small_sum_ns(&m->f->rtt[e]) / rtt_small_n(&m->f->rtt[e]);
    uint64_t rto_ns = 2 * mean_ns > RTO_MIN_NS ? 2 * mean_ns : RTO_MIN_NS;
    return 2 * rto_ns;
}

/*
 * What R says may be held up somewhere, and says nothing until it comes. So a silence does not use up a verdict's
 * patience, and what comes behind it is heard out.
 */
uint64_t loss_listened_ns(const struct meter *m, unsigned s)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint64_t silence_ns = m->now_ns - c->heard_ns, most_ns = loss_dsack_wait_ns(m) / 2;

    return c->listened_ns + (silence_ns < most_ns ? silence_ns : most_ns);
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
struct range *loss_hole_new(struct meter *m, unsigned s, uint32_t end)
{
    struct tcp_side *t = &m->f->side[s];
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t *link = &c->holes;
    uint32_t index = loss_node_new(m, s, t->nxt, end);

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
    struct range *hole = loss_hole_new(m, s, start);

    if (hole != NULL)
        note_evidence(hole, m, s);
}

/* Did S send what lies just before `start` again, and that just now? Then it goes through all that it had sent. */
static bool follows_repeat(const struct meter *m, unsigned s, uint32_t start)
{
    const struct range *last = NULL;

    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = last->next)
        last = range_at(m, i);
    return last != NULL && last->end == start && (last->flags & (NODE_FILL | NODE_UPSTREAM)) != NODE_FILL &&
           m->now_ns - last->seen_ns < loss_full_rtt_ns(m->f);
}

/*
 * Did S's clock tick every millisecond, or faster, until the segment that exposed the hole? Of the slower ones none is
 * known that ticks every three.
 */
static bool has_fast_clock(const struct meter *m, unsigned s, const struct range *hole)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    int32_t ticks = seq_diff(hole->tsval, c->clock_tsval);

    return c->clock_ns != 0 && ticks >= CLOCK_TICKS &&
           hole->seen_ns - c->clock_ns < (uint64_t)ticks * (NS_PER_MS + NS_PER_MS / 2);
}

/*
 * The same TSval as that of the segment which exposed the hole. So S had not heard of it: its clock was known to have
 * ticked before R complained, or must have until S could hear that.
 */
static bool is_before_complaint(const struct meter *m, unsigned s, const struct range *hole)
{
    if (!(hole->flags & NODE_HAS_TS) || !(m->p->flags & PKT_HAS_TS) || !(hole->flags & NODE_SIGNALLED))
        return false;
    if (seq_lt(m->p->tsval, hole->told_tsval))
        return true;
    return hole->signal_ns + soonest_ns(m->f, s) - hole->seen_ns > NS_PER_MS && has_fast_clock(m, s, hole);
}

static bool is_reordered(const struct meter *m, unsigned s, const struct range *hole, uint32_t start)
{
    switch (age_against(m, hole)) {
    case AGE_OLDER:
        return true;
    case AGE_NEWER:
        return false;
    case AGE_UNKNOWN:
        break;
    }
    if (is_before_complaint(m, s, hole))
        return true;
    if (m->now_ns - hole->seen_ns > REORDER_MAX_NS || follows_repeat(m, s, start))
        return false;
    return !(hole->flags & NODE_SIGNALLED) || m->now_ns < hole->signal_ns + soonest_ns(m->f, s);
}

uint32_t loss_hole_split(struct meter *m, unsigned s, struct range *hole, uint32_t at)
{
    uint32_t index = loss_node_new(m, s, at, hole->end);

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
        loss_node_remove(m, s, link);
        return link;
    }
    if (!(m->f->flags & FLOW_SACK) && seq_le(start, hole->start))
        hole->flags &= (uint16_t)~NODE_SIGNALLED; /* R has spoken of its first byte only: what follows it may have */
    if (seq_lt(hole->start, start) && seq_lt(end, hole->end)) {
        loss_hole_split(m, s, hole, end);
        hole->end = start;
    } else if (seq_le(start, hole->start)) {
        hole->start = end;
    } else {
        hole->end = start;
    }
    return &hole->next;
}

/*
 * Does a repeat like `r` continue the run of the latest? Only what no rule tells apart may share a node: sent at nearly
 * the same time, after the same highest byte, with the same evidence.
 */
static bool continues(const struct meter *m, unsigned s, const struct range *last, const struct range *r)
{
    uint32_t run_bytes = last->end - last->start;

    return loss_is_crowded(&trouble_of(m)->dir[s]) && last->end == r->start && last->flags == r->flags &&
           !(r->flags & NODE_FILL) && last->tsval == r->tsval && last->nxt == m->f->side[s].nxt &&
           last->segment_bytes != 0 && run_bytes % last->segment_bytes == 0 &&
           r->end - r->start <= last->segment_bytes && m->now_ns - last->seen_ns <= min_rtt_ns(m->f, 1 - s) / RUN_PARTS;
}

/* Appends r, of which bounds and evidence are given, to the list of repeats; false when there is no node. */
static bool pending_add(struct meter *m, unsigned s, const struct range *r)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t *link = &c->pending;
    struct range *last = NULL;

    for (; *link != 0; link = &last->next)
        last = range_at(m, *link);
    if (last != NULL && continues(m, s, last, r)) {
        last->end = r->end;
        return true;
    }
    uint32_t index = loss_node_new(m, s, r->start, r->end);
    if (index == 0)
        return false;
    struct range *added = range_at(m, index);
    added->flags = r->flags;
    added->tsval = r->tsval;
    added->ip_id = r->ip_id;
    added->signal_ns = r->signal_ns;
    added->covered_ns = loss_listened_ns(m, s);
    added->segment_bytes = r->end - r->start;
    *link = index;
    return true;
}

/* Is it a 32nd of the shorter round trip? */
static bool matters(const struct meter *m, uint64_t by_ns)
{
    uint64_t a_ns = min_rtt_ns(m->f, 0), b_ns = min_rtt_ns(m->f, 1);

    return a_ns != 0 && b_ns != 0 && by_ns >= (a_ns < b_ns ? a_ns : b_ns) / HELD_PARTS;
}

void loss_may_be_held(struct meter *m, uint64_t by_ns)
{
    struct held_evidence *h = &m->pools->held[shard_of_pkt(m->p)];
    uint32_t by = by_ns < UINT32_MAX ? (uint32_t)by_ns : UINT32_MAX;

    if (!matters(m, by_ns))
        return;
    if (m->now_ns - h->latest_ns > HELD_FORGET_NS)
        *h = (struct held_evidence){0};
    h->latest_ns = m->now_ns;
    h->longest_ns = by > h->longest_ns ? by : h->longest_ns;
    h->copies++;
    m->pools->any_held = true;
}

void loss_copy_held(struct meter *m, unsigned s, uint64_t by_ns)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    if (!matters(m, by_ns))
        return;
    c->held_ns = by_ns > c->held_ns ? by_ns : c->held_ns;
    if (++c->held_copies > 1 && (uint64_t)c->held_copies * HELD_SHARE >= m->f->data_pkts[s])
        m->f->side[s].flags |= SIDE_HELD_COPIES;
}

/*
 * Rule 3: a segment fills a hole that nobody has covered. R cannot know of it yet and goes on complaining for a while:
 * a note in the list of repeats explains that.
 */
static void fill_verdict(struct meter *m, unsigned s, const struct range *hole, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    bool late = is_reordered(m, s, hole, start), noticed = (hole->flags & NODE_SIGNALLED) || !flow_is_two_way(m->f);

    if (late && noticed) {
        m->pools->held[shard_of_pkt(m->p)].noticed++;
        VERDICT(m, s, reordered, reordered_pkts, start, end);
    } else if (!late) {
        METER_COUNT(m, s, retrans_pkts, 1);
        c->count.retrans_bytes += m->p->payload_len;
    }
    bool lost = !late && flow_is_two_way(m->f); /* else nobody knows what R had */
    struct range note = {.start = start, .end = end, .flags = NODE_FILL | (hole->flags & NODE_SIGNALLED)};
    note.flags |= (uint16_t)((late && !noticed ? NODE_LATE : 0) | (lost ? NODE_UPSTREAM : 0));
    note.signal_ns = m->now_ns - hole->seen_ns;
    note_evidence(&note, m, s);
    if (!pending_add(m, s, &note) && lost)
        VERDICT(m, s, upstream, lost_upstream_pkts, start, end);
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

/*
 * Sent again, and newer, in less than any round trip after it filled a hole: S does not repeat a repeat before it can
 * have heard of it. So the fill was none: the first copy, and late. Returns whether that was found out.
 */
static bool unmasks_fill(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    uint64_t soonest = soonest_ns(m->f, 0) + soonest_ns(m->f, 1);

    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        struct range *r = range_at(m, i);
        if (!(r->flags & NODE_UPSTREAM) || !seq_lt(r->start, end) || !seq_lt(start, r->end) ||
            age_against(m, r) != AGE_NEWER || loss_full_rtt_ns(m->f) == 0 || m->now_ns - r->seen_ns >= soonest)
            continue;
        VERDICT(m, s, reordered, reordered_pkts, r->start, r->end);
        r->flags &= (uint16_t)~NODE_UPSTREAM;
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
        else if (!filled)
            loss_copy_held(m, s, m->now_ns - hole->seen_ns); /* behind the ACK that covers it */
        filled = true;
        link = hole_cut(m, s, link, start, end);
    }
    return filled;
}

void loss_hole_verdict(struct meter *m, unsigned s, const struct range *hole)
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

bool loss_is_sacked(const struct meter *m, unsigned s, uint32_t start, uint32_t end)
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
            loss_node_remove(m, s, link);
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
    const struct range r = {.start = start, .end = end, .flags = NODE_ECHO};

    pending_add(m, s, &r);
}

/* Were the bytes from `start` on sent for the first time less than a round trip ago? */
static bool is_young(const struct meter *m, unsigned s, uint32_t start)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];

    for (unsigned i = 0; i < TROUBLE_MARKS; i++)
        if (m->now_ns - c->mark_ns[i] < young_ns(m->f))
            return seq_le(c->mark_seq[i], start);
    return false;
}

/* Was the byte at `at` certainly sent a round trip ago, so that R could have answered it? */
static bool is_answerable(const struct meter *m, unsigned s, uint32_t at)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint64_t rtt_ns = loss_full_rtt_ns(m->f);

    if (!seq_lt(at, m->f->side[s].nxt) || rtt_ns == 0)
        return false;
    if (m->now_ns - m->f->last_ns >= rtt_ns)
        return true;
    for (unsigned i = 0; i < TROUBLE_MARKS; i++)
        if (c->mark_ns[i] != 0 && m->now_ns - c->mark_ns[i] >= rtt_ns && seq_lt(at, c->mark_seq[i]))
            return true;
    return false;
}

/* The latest repeat or fill of bytes of r, 0 when there is none. */
static uint32_t earlier_copy(const struct meter *m, unsigned s, const struct range *r)
{
    uint32_t found = 0;

    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next)
        if (seq_lt(range_at(m, i)->start, r->end) && seq_lt(r->start, range_at(m, i)->end))
            found = i;
    return found;
}

/* Has a copy of r, late or sent again, passed less than any round trip ago? Of its loss S cannot have heard either. */
static bool came_lately(const struct meter *m, unsigned s, const struct range *r)
{
    uint64_t soonest = soonest_ns(m->f, 0) + soonest_ns(m->f, 1);
    uint32_t index = earlier_copy(m, s, r);

    return index != 0 && loss_full_rtt_ns(m->f) != 0 && m->now_ns - range_at(m, index)->seen_ns < soonest;
}

/* Does R's edge stand between repairs? Then its ACK of a part is complaint enough. */
static bool is_in_repair(const struct meter *m, unsigned s)
{
    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next)
        if (seq_lt(m->f->side[s].una, range_at(m, i)->nxt))
            return true;
    return false;
}

/*
 * Without SACK R complains by duplicate ACKs, of which a whole burst is seldom lost: did it keep silent although
 * something that was sent after the latest copy of these bytes was on its way for a round trip?
 */
static bool is_unmissed(const struct meter *m, unsigned s, const struct range *r)
{
    if ((m->f->flags & FLOW_SACK) || (r->flags & NODE_SIGNALLED))
        return false;
    uint32_t index = earlier_copy(m, s, r);
    if (index == 0)
        return is_answerable(m, s, r->end) && !is_in_repair(m, s);
    const struct range *copy = range_at(m, index);
    return is_answerable(m, s, copy->nxt) && trouble_of(m)->dir[s].dup_ack_ns < copy->seen_ns + soonest_ns(m->f, 1 - s);
}

/* Rule 2, first half: the repeat is seen. */
static void repeat(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_side *t = &m->f->side[s];
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    if (is_late_original(m, s, start, end))
        return;
    if (!unmasks_fill(m, s, start, end)) { /* else the fill was counted in its place */
        METER_COUNT(m, s, retrans_pkts, 1);
        c->count.retrans_bytes += m->p->payload_len;
    }
    if (seq_le(end, t->una) || loss_is_sacked(m, s, start, end)) {
        VERDICT(m, s, spurious, spurious_pkts, start, end);
        expect_echo(m, s, start, end);
        return;
    }
    struct range r = {.start = seq_max(start, t->una), .end = end};
    r.segment_bytes = r.end - r.start;
    r.flags |= missing_seen_again(m, s, start, end) ? NODE_SIGNALLED : 0;
    r.flags |= is_young(m, s, start) || came_lately(m, s, &r) ? NODE_YOUNG : 0;
    r.flags |= is_unmissed(m, s, &r) ? NODE_UNMISSED : 0;
    r.flags |= (t->flags & SIDE_TS) && m->p->tsval == t->ts_max ? NODE_OLD_TICK : 0;
    note_evidence(&r, m, s);
    pmtu_repeat(m);
    if (!pending_add(m, s, &r))
        loss_unheard_verdict(m, s, &r);
}

void loss_hop_copy(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    c->hop = m->p->hop;
    c->hop_ns = m->now_ns;
}

/* Does R report some of [start, end) missing that the tap has seen? */
static bool is_missing(const struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    for (uint32_t i = trouble_of(m)->dir[s].missing; i != 0; i = range_at(m, i)->next)
        if (seq_lt(range_at(m, i)->start, end) && seq_lt(start, range_at(m, i)->end))
            return true;
    return false;
}

/*
 * A copy whose first sight has left the table of fingerprints (dedup.h): it is at the place where the mirror shows the
 * packets of this direction for the second time. A repeat would have been seen at the first place before, and been
 * recognised here, unless the mirror missed just that. So what R asked for is none, nor what is newer than all else.
 */
static bool is_forgotten_copy(const struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    const struct tcp_side *t = &m->f->side[s];

    if (c->hop != m->p->hop || m->now_ns - c->hop_ns > COPY_HOP_MAX_NS || c->second_hop_pkts * HOP_SHARE < t->pkts)
        return false;
    if ((m->p->flags & PKT_HAS_TS) && seq_lt(t->ts_max, m->p->tsval))
        return false;
    return seq_le(end, t->nxt) && !is_missing(m, s, start, end);
}

/* It is no data of the network's. A packet it stays, since the ledger and the flow have counted it as one. */
static void leave_out_copy(struct meter *m, unsigned s)
{
    const struct pkt *p = m->p;

    m->f->data_pkts[s] -= p->payload_len != 0;
    m->is_data = m->is_judged = false;
    trace_verdict(m, s, VERDICT_hop, p->tcp_seq, p->tcp_seq + p->payload_len);
    loss_hop_copy(m, s);
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
    bool filled = fill(m, s, start, end);
    if (!filled && is_forgotten_copy(m, s, start, end)) {
        leave_out_copy(m, s);
        return;
    }
    trouble_begins(m, s); /* before what is in flight is forgotten */
    rtt_forget_above(m, s, start);
    if (!filled)
        repeat(m, s, start, end);
}
