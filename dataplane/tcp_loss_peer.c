/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The classifier's second part: what the receiver says, by its ACKs and SACKs, of the holes that tcp_loss.c keeps, and
 * of bytes that the tap saw and it misses, and the verdicts that follow from it or from time. What it says of repeats
 * is in tcp_loss_repeat.c. The rules are told in tcp_loss.c.
 */

#include "dataplane/dedup.h"
#include "dataplane/loss_lists.h"

#define TRUSTED_PKTS 200u /* a mirror that has shown so many without a gap will have shown a repeat, too */

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
                i = loss_hole_split(m, s, hole, start);
                continue;
            }
            if (seq_lt(end, hole->end))
                loss_hole_split(m, s, hole, end);
            hole->flags |= NODE_COVERED;
            hole->covered_ns = m->now_ns;
        }
        i = next;
    }
}

uint32_t loss_explained_to(const struct meter *m, uint32_t list, uint32_t at, uint32_t *ret_end)
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
    uint32_t index = loss_node_new(m, s, start, end);

    if (index == 0)
        return;
    range_at(m, index)->covered_ns = loss_listened_ns(m, s);
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

    loss_repeats_missing(m, s, start, end);
    for (unsigned pieces = 0; seq_lt(start, end) && pieces < PIECES_MAX; pieces++) {
        uint32_t piece_end = end, past = loss_explained_to(m, c->holes, start, &piece_end);
        past = past != start ? past : loss_explained_to(m, c->pending, start, &piece_end);
        past = past != start ? past : loss_explained_to(m, c->missing, start, &piece_end);
        if (past == start) {
            missing_new(m, s, start, piece_end);
            past = piece_end;
        }
        start = past;
    }
}

/*
 * A complaint ended, and no repeat was seen: reordering, or a repeat that the mirror missed? It has missed that much of
 * all segments, so it should have missed as much of the repeats. A mirror that has missed none is trusted.
 */
static bool is_likelier_reordered(const struct meter *m, unsigned s)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint64_t data = m->f->data_pkts[s];

    if (!trouble_of(m)->mirror_misses && data >= TRUSTED_PKTS)
        return true;
    return c->overtaken * data > (uint64_t)c->count.lost_downstream_pkts * c->count.capture_gaps;
}

/*
 * R had complained about r and has it now: was it sent again? The ACK that moves the left edge over r echoes the TSval
 * of what filled it, and S had sent none newer than r's when the complaint began. Without timestamps, a repeat takes a
 * round trip, and a mirror that has shown all else will have shown it, whatever R kept silent about for so long.
 */
static bool was_repaired(const struct meter *m, unsigned s, const struct range *r, bool cumulative)
{
    uint64_t rtt_ns = loss_full_rtt_ns(m->f);
    bool at_edge = cumulative && seq_le(r->start, m->f->side[s].una);

    if (at_edge && (r->flags & NODE_HAS_TS) && (m->p->flags & PKT_HAS_TS))
        return seq_lt(r->tsval, m->p->tsecr);
    if (is_likelier_reordered(m, s))
        return rtt_ns != 0 && loss_listened_ns(m, s) - r->covered_ns >= loss_dsack_wait_ns(m);
    return rtt_ns != 0 && m->now_ns - r->seen_ns >= rtt_ns;
}

/* Rule 4 for seen bytes: R had reported them missing, and now has all up to `end` from `start`. */
static void missing_verdict(struct meter *m, unsigned s, const struct range *r, bool cumulative)
{
    if (!seq_le(m->f->side[s].base, r->start))
        return;
    if (!was_repaired(m, s, r, cumulative)) {
        VERDICT(m, s, reordered, reordered_pkts, r->start, r->end);
        trouble_of(m)->dir[s].overtaken++;
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
            loss_node_remove(m, s, link);
            continue;
        }
        if (seq_lt(r->start, part.start) && seq_lt(part.end, r->end))
            loss_hole_split(m, s, r, part.end);
        if (seq_lt(r->start, part.start))
            r->end = part.start;
        else
            r->start = part.end;
        link = &r->next;
    }
}

/* R lacks the holes that begin below `highest`, as far as it has not reported them. */
static void signal_holes(struct meter *m, unsigned s, uint32_t highest)
{
    for (uint32_t i = trouble_of(m)->dir[s].holes; i != 0; i = range_at(m, i)->next) {
        struct range *hole = range_at(m, i);
        if (!seq_lt(hole->start, highest))
            break;
        if (!(hole->flags & (NODE_COVERED | NODE_SIGNALLED))) {
            hole->flags |= NODE_SIGNALLED;
            hole->signal_ns = m->now_ns;
            hole->told_tsval = m->f->side[s].ts_max;
        }
    }
}

/*
 * The ACK brings R's edge over a repeat and stops at a hole. What S had sent before that repeat is missing there then:
 * without SACK the next byte, else all that R does not report. S knows it now (RFC 6582, RFC 8985): with SACK unless
 * the ACK came sooner than an answer to the repeat, since then the edge had waited for an earlier copy.
 */
static void repair_tells(struct meter *m, unsigned s, uint32_t ack)
{
    uint32_t una = m->f->side[s].una, highest = ack;
    bool by_sack = m->f->flags & FLOW_SACK;

    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        const struct range *r = range_at(m, i);
        if ((r->flags & (NODE_FILL | NODE_UPSTREAM)) == NODE_FILL || !seq_le(una, r->start) || !seq_le(r->end, ack) ||
            (by_sack && m->now_ns - r->seen_ns < soonest_ns(m->f, 1 - s)))
            continue; /* no repeat, or none of this ACK's */
        highest = seq_max(highest, ack + 1);
        if (by_sack)
            highest = seq_max(highest, r->nxt);
    }
    if (highest != ack)
        signal_holes(m, s, highest);
}

void loss_acked_more(struct meter *m, unsigned s, uint32_t ack)
{
    struct tcp_side *t = &m->f->side[s];

    if (seq_lt(t->nxt, ack))
        loss_hole_new(m, s, ack);
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    if (c->missing != 0)
        missing_covered(m, s, t->una, ack, true);
    if (c->holes != 0)
        cover_holes(m, s, t->base, ack);
    if (c->holes != 0 && c->pending != 0)
        repair_tells(m, s, ack);
    if (c->pending != 0 && !(m->f->flags & FLOW_SACK))
        loss_edge_moves(m, s);
    if (c->pending != 0)
        loss_cover_repeats(m, s, t->base, ack, true);
    while (c->sacked != 0 && seq_le(range_at(m, c->sacked)->end, ack))
        loss_node_remove(m, s, &c->sacked);
}

/* Does this very ACK say that R has all of [start, end)? */
static bool is_reported(const struct pkt *p, uint32_t start, uint32_t end)
{
    if (seq_lt(start, p->tcp_ack))
        return true;
    for (unsigned i = 0; i < p->n_sack; i++)
        if (seq_le(p->sack[i].left, start) && seq_le(end, p->sack[i].right))
            return true;
    return false;
}

/*
 * R misses something below `highest` that came late at the tap, too: the network reordered it. ACKs may be out of
 * order themselves, and this one older than the one that covered it.
 */
static void notice_late(struct meter *m, unsigned s, uint32_t highest)
{
    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        struct range *r = range_at(m, i);
        if (!(r->flags & NODE_LATE) || !seq_lt(r->start, highest) || is_reported(m->p, r->start, r->end) ||
            loss_is_sacked(m, s, r->start, r->end))
            continue;
        r->flags &= (uint16_t)~NODE_LATE;
        m->pools->held[shard_of_pkt(m->p)].noticed++;
        VERDICT(m, s, reordered, reordered_pkts, r->start, r->end);
    }
}

/* R complains: what lies below `highest` and was not reported is missing there. */
static void signal_missing(struct meter *m, unsigned s, uint32_t highest)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t from = m->f->side[s].una;

    signal_holes(m, s, highest);
    notice_late(m, s, highest);
    for (uint32_t i = c->sacked; i != 0 && seq_lt(from, highest); i = range_at(m, i)->next) {
        if (seq_lt(from, range_at(m, i)->start))
            missing_note(m, s, from, range_at(m, i)->start);
        from = seq_max(from, range_at(m, i)->end);
    }
    if (c->sacked == 0)
        missing_note(m, s, from, highest);
}

/* Equal to one just before in every byte, behind a mirror that makes copies: it may be one more. */
static bool may_be_copy(const struct meter *m)
{
    return m->p->copy == COPY_SAME && m->f->evidence.copies != 0;
}

void loss_dup_ack(struct meter *m, unsigned s)
{
    struct tcp_side *t = &m->f->side[s];

    if ((m->f->flags & FLOW_SACK) || may_be_copy(m) || loss_is_echo(m, s) || loss_is_second_answer(m, s))
        return;
    trouble_of(m)->dir[s].dup_ack_ns = m->now_ns;
    signal_missing(m, s, t->una + 1);
}

/* It confirms what the tap has seen for itself, and makes no complaint of its own. */
void loss_grown_ack(struct meter *m, unsigned s)
{
    if (!(m->f->side[s].flags & SIDE_TROUBLE) || (m->f->flags & FLOW_SACK) || may_be_copy(m) || loss_is_echo(m, s))
        return;
    notice_late(m, s, m->f->side[s].una + 1);
}

void loss_idle_ack(struct meter *m, unsigned s)
{
    /* answers that were held up come all at once, and a stack that has closed makes them all equal */
    bool in_burst = m->now_ns - trouble_of(m)->dir[s].overdue_ns <= COPY_SAME_MAX_NS;

    if ((may_be_copy(m) && !in_burst) || (!(m->f->flags & FLOW_SACK) && loss_is_echo(m, s)))
        return;
    loss_idle_answer(m, s);
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
        loss_node_remove(m, s, link);
    }
    uint32_t index = loss_node_new(m, s, start, end);
    if (index == 0)
        return;
    range_at(m, index)->next = *link;
    *link = index;
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
        loss_dsack(m, s, p->sack[0]);
        first = 1;
    }
    for (unsigned i = first; i < p->n_sack; i++) {
        struct sack_block b = p->sack[i];
        if (!seq_lt(b.left, b.right) || !seq_lt(ack, b.right) || seq_diff(b.right, t->nxt) > (1 << 30))
            continue;
        b.left = seq_max(b.left, ack);
        if (seq_lt(t->nxt, b.right))
            loss_hole_new(m, s, b.right);
        cover_holes(m, s, b.left, b.right);
        loss_cover_repeats(m, s, b.left, b.right, false);
        missing_covered(m, s, b.left, b.right, false);
        sacked_insert(m, s, b.left, b.right);
        highest = seq_max(highest, b.right);
    }
    if (highest != ack)
        signal_missing(m, s, highest);
}

/* ---- verdicts ---- */

void loss_resolve(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    for (uint32_t *link = &c->holes; *link != 0;) {
        struct range *hole = range_at(m, *link);
        if ((hole->flags & NODE_COVERED) && m->now_ns - hole->covered_ns > loss_mirror_wait_ns(m, s)) {
            loss_hole_verdict(m, s, hole);
            loss_node_remove(m, s, link);
        } else {
            link = &hole->next;
        }
    }
    loss_resolve_repeats(m, s);
    if (m->p->sender != s) {
        c->listened_ns = loss_listened_ns(m, s);
        c->heard_ns = m->now_ns;
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
            loss_hole_verdict(m, s, hole);
        else if (flow_is_two_way(m->f))
            VERDICT(m, s, unknown, lost_unknown_pkts, hole->start, hole->end);
        loss_node_remove(m, s, &c->holes);
    }
    loss_finish_repeats(m, s);
    while (c->sacked != 0)
        loss_node_remove(m, s, &c->sacked);
    while (c->missing != 0)
        loss_node_remove(m, s, &c->missing);
}
