/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The classifier's other half: what the receiver says, by its ACKs, SACKs and DSACKs, of the holes and repeats that
 * tcp_loss.c keeps, and the verdicts that follow from it or from time. The rules are told there.
 */

#include "dataplane/dedup.h"
#include "dataplane/loss_lists.h"

#define LEAP_BYTES   16384
#define PIECES_MAX   8u   /* of one gap that R reports */
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

/*
 * An ACK leaps over the repeat from far below, and does not echo it: had R lacked the bytes, its ACKs would have
 * stopped in front of them. Less than LEAP_BYTES may be one delayed ACK that the repeat itself set free.
 */
static bool is_leapt_over(const struct meter *m, unsigned s, const struct range *repeat)
{
    if ((repeat->flags & NODE_SIGNALLED) || seq_diff(repeat->start, m->f->side[s].una) < LEAP_BYTES)
        return false;
    return !(repeat->flags & NODE_HAS_TS) || !(m->p->flags & PKT_HAS_TS) || seq_lt(m->p->tsecr, repeat->tsval);
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
    if ((repeat->flags & NODE_UNMISSED) && cumulative && seq_lt(repeat->end, m->p->tcp_ack))
        return true; /* R has what lies behind, too, and had not missed this */
    if ((m->f->flags & FLOW_SACK) && (repeat->flags & NODE_SIGNALLED))
        return false; /* R lacked it; if the first copy came late, a DSACK will tell */
    if ((repeat->flags & (NODE_YOUNG | NODE_SIGNALLED)) == NODE_YOUNG)
        return true;
    return m->now_ns - repeat->seen_ns < soonest_ns(m->f, 1 - s);
}

/* The repeats were for nothing. If R had complained before, the first copy was late: reordered behind the tap. */
static void spurious_verdict(struct meter *m, unsigned s, const struct range *r)
{
    for (uint32_t at = r->start, next; seq_lt(at, r->end); at = next) {
        next = segment_end(r, at);
        VERDICT(m, s, spurious, spurious_pkts, at, next);
        if (r->flags & NODE_SIGNALLED)
            VERDICT(m, s, reordered, reordered_pkts, at, next);
    }
}

/* Nothing more is heard of repeats. */
static void repeat_verdict(struct meter *m, unsigned s, const struct range *r)
{
    if (r->flags & NODE_UPSTREAM) {
        VERDICT(m, s, upstream, lost_upstream_pkts, r->start, r->end);
        return;
    }
    if (r->flags & (NODE_FILL | NODE_ECHO))
        return;
    for (uint32_t at = r->start, next; seq_lt(at, r->end); at = next) {
        next = segment_end(r, at);
        VERDICT(m, s, downstream, lost_downstream_pkts, at, next);
    }
}

/* Cuts a run in two at `at`, the beginning of one of its segments; false when there is no node for that. */
static bool run_split(struct meter *m, unsigned s, struct range *r, uint32_t at)
{
    uint32_t index = loss_node_new(m, s, at, r->end);

    if (index == 0)
        return false;
    struct range *rest = range_at(m, index);
    *rest = *r;
    rest->start = at;
    r->end = at;
    r->next = index;
    return true;
}

/* The first segment of a run is dealt with. */
static void run_pop(struct meter *m, unsigned s, uint32_t *link)
{
    struct range *r = range_at(m, *link);

    r->start = segment_end(r, r->start);
    if (r->start == r->end)
        loss_node_remove(m, s, link);
}

static struct range run_first(const struct range *r)
{
    struct range first = *r;

    first.end = segment_end(r, r->start);
    return first;
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

/* The hole that r filled had been filled before, unseen: the mirror had missed the first copy, not the network. */
static void unseen_verdict(struct meter *m, unsigned s, const struct range *r)
{
    trouble_of(m)->mirror_misses = 1;
    METER_COUNT(m, s, capture_lost_bytes, r->end - r->start);
    METER_COUNT(m, s, capture_gaps, 1);
    trace_verdict(m, s, VERDICT_capture, r->start, r->end);
    VERDICT(m, s, spurious, spurious_pkts, r->start, r->end);
}

/* Is there a segment seen for the second time, or missed by the tap, at `at`? */
static bool is_repaired_at(const struct meter *m, unsigned s, uint32_t at)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t unused = at;

    return explained_to(m, c->pending, at, &unused) != at || explained_to(m, c->holes, at, &unused) != at;
}

/*
 * Without SACK. A repeat that R needed moves its edge to the next gap, or over all that was sent before the repeat. If
 * the edge stood somewhere in between and moved on without a repair, R had the bytes before.
 */
static void edge_moves(struct meter *m, unsigned s)
{
    const uint16_t mask = NODE_COVERED | NODE_FILL | NODE_ECHO;
    uint32_t una = m->f->side[s].una;
    bool known = false;

    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        struct range *r = range_at(m, i);
        if ((r->flags & mask) != NODE_COVERED || !seq_le(r->end, una) || !seq_lt(una, r->nxt))
            continue;
        if (!known && is_repaired_at(m, s, una))
            return;
        known = true;
        spurious_verdict(m, s, r);
        r->flags |= NODE_ECHO;
    }
}

/* Did the edge, where it stands, wait for something that passed later than r? Then it says nothing of r. */
static bool edge_waits_for_later(const struct meter *m, unsigned s, const struct range *r)
{
    uint32_t una = m->f->side[s].una;

    for (uint32_t i = r->next; i != 0; i = range_at(m, i)->next)
        if (seq_le(range_at(m, i)->start, una) && seq_lt(una, range_at(m, i)->end))
            return true;
    return false;
}

/*
 * Without SACK R's edge stops at every gap. Where it moves over a filled one from below, R had had those bytes, and the
 * mirror, if it is known to miss segments, had not shown them.
 */
static bool was_unseen(const struct meter *m, unsigned s, const struct range *fill, bool cumulative)
{
    return (fill->flags & (NODE_UPSTREAM | NODE_SIGNALLED)) == NODE_UPSTREAM && cumulative &&
           !(m->f->flags & FLOW_SACK) && seq_lt(m->f->side[s].una, fill->start) && trouble_of(m)->mirror_misses &&
           !edge_waits_for_later(m, s, fill);
}

/* R has all of the repeat, or run. Returns whether the node has still something to wait for. */
static bool covered_verdict(struct meter *m, unsigned s, struct range *r, bool cumulative)
{
    bool spurious = !(r->flags & NODE_FILL) && is_spurious(m, s, r, cumulative);

    if (spurious)
        spurious_verdict(m, s, r);
    if (was_unseen(m, s, r, cumulative)) {
        unseen_verdict(m, s, r);
        r->flags = NODE_ECHO;
    }
    if ((r->flags & (NODE_FILL | NODE_UPSTREAM | NODE_LATE)) == NODE_FILL)
        return false;
    if ((r->flags & NODE_LATE) && (m->f->flags & FLOW_SACK))
        loss_may_be_held(m, r->signal_ns);
    r->flags |= (uint16_t)(NODE_COVERED | (spurious ? NODE_ECHO : 0));
    r->covered_ns = m->now_ns;
    return true;
}

/* The segments of r that lie in [start, end) become a node of their own; false when none do, or none can. */
static bool covered_part(struct meter *m, unsigned s, uint32_t **link, uint32_t start, uint32_t end)
{
    struct range *r = range_at(m, **link);
    uint32_t from = segment_from(r, start), to = from;

    if (seq_lt(r->end, end) || r->end == end)
        to = r->end;
    else if (seq_lt(from, end))
        to = from + (end - from) / r->segment_bytes * r->segment_bytes;
    if (!seq_lt(from, to))
        return false;
    if (from != r->start) {
        if (!run_split(m, s, r, from))
            return false;
        *link = &r->next;
        r = range_at(m, **link);
    }
    return to == r->end || run_split(m, s, r, to);
}

static void cover_repeats(struct meter *m, unsigned s, uint32_t start, uint32_t end, bool cumulative)
{
    uint32_t *link = &trouble_of(m)->dir[s].pending;

    while (*link != 0) {
        struct range *r = range_at(m, *link);
        if ((r->flags & (NODE_COVERED | NODE_ECHO)) || !seq_lt(r->start, end) || !seq_lt(start, r->end) ||
            !covered_part(m, s, &link, start, end)) {
            link = &range_at(m, *link)->next;
            continue;
        }
        r = range_at(m, *link);
        uint32_t first_end = segment_end(r, r->start);
        if (first_end != r->end && seq_le(r->start, m->f->side[s].una)) /* only the first is at the edge */
            run_split(m, s, r, first_end);
        if (covered_verdict(m, s, r, cumulative))
            link = &r->next;
        else
            loss_node_remove(m, s, link);
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
        bool all = seq_le(start, r->start) && seq_le(r->end, end);
        if (!all && segment_end(r, r->start) != r->end)
            continue; /* of a run only a part */
        if (!(r->flags & (NODE_FILL | NODE_ECHO | NODE_COVERED)) && !is_repeat_of_earlier(m, s, i))
            r->flags |= NODE_SIGNALLED;
    }
}

static void missing_new(struct meter *m, unsigned s, uint32_t start, uint32_t end)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint32_t index = loss_node_new(m, s, start, end);

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
    if (is_likelier_reordered(m, s))
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
        }
    }
}

/*
 * The ACK brings R's edge over a repeat and stops at a hole. What S had sent before that repeat is missing there then:
 * without SACK the next byte, else all that R does not report. S knows it now (RFC 6582, RFC 8985).
 */
static void repair_tells(struct meter *m, unsigned s, uint32_t ack)
{
    uint32_t una = m->f->side[s].una, highest = ack;

    for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
        const struct range *r = range_at(m, i);
        if ((r->flags & (NODE_FILL | NODE_UPSTREAM)) == NODE_FILL || !seq_le(una, r->start) || !seq_le(r->end, ack))
            continue; /* no repeat, or none of this ACK's */
        highest = seq_max(highest, ack + 1);
        if (m->f->flags & FLOW_SACK)
            highest = seq_max(highest, r->nxt);
    }
    if (highest != ack)
        signal_holes(m, s, highest);
}

void loss_acked(struct meter *m, unsigned s, uint32_t ack)
{
    struct tcp_side *t = &m->f->side[s];

    if (!(t->flags & SIDE_TROUBLE) && seq_le(ack, t->nxt))
        return; /* nearly always: no block is touched */
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
        edge_moves(m, s);
    if (c->pending != 0)
        cover_repeats(m, s, t->base, ack, true);
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
        m->pools->held[m->p->shard].noticed++;
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

/*
 * Does a needless repeat explain a duplicate ACK? It is used up then. The answer takes a round trip to R, and it is an
 * ACK of all that S had sent before the repeat: R has that, or it complains, whatever made it speak.
 */
static bool is_echo(struct meter *m, unsigned s)
{
    uint32_t una = m->f->side[s].una;

    for (uint32_t *link = &trouble_of(m)->dir[s].pending; *link != 0;) {
        const struct range *r = range_at(m, *link);
        if ((r->flags & NODE_ECHO) && seq_lt(r->nxt, una)) {
            loss_node_remove(m, s, link);
            continue;
        }
        if (!(r->flags & NODE_ECHO) || r->nxt != una || m->now_ns - r->seen_ns < soonest_ns(m->f, 1 - s)) {
            link = &range_at(m, *link)->next;
            continue;
        }
        run_pop(m, s, link);
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
        const struct range first = run_first(r);
        spurious_verdict(m, s, &first);
        run_pop(m, s, link);
        return true;
    }
    return false;
}

/* Equal to one just before in every byte, behind a mirror that makes copies: it may be one more. */
static bool may_be_copy(const struct meter *m)
{
    return m->p->copy == COPY_SAME && m->f->evidence.copies != 0;
}

void loss_dup_ack(struct meter *m, unsigned s)
{
    struct tcp_side *t = &m->f->side[s];

    if ((m->f->flags & FLOW_SACK) || may_be_copy(m) || is_echo(m, s) || is_second_answer(m, s))
        return;
    trouble_of(m)->dir[s].dup_ack_ns = m->now_ns;
    signal_missing(m, s, t->una + 1);
}

/* It confirms what the tap has seen for itself, and makes no complaint of its own. */
void loss_grown_ack(struct meter *m, unsigned s)
{
    if (!(m->f->side[s].flags & SIDE_TROUBLE) || (m->f->flags & FLOW_SACK) || may_be_copy(m) || is_echo(m, s))
        return;
    notice_late(m, s, m->f->side[s].una + 1);
}

void loss_idle_ack(struct meter *m, unsigned s)
{
    if (may_be_copy(m) || (!(m->f->flags & FLOW_SACK) && is_echo(m, s)))
        return;
    for (uint32_t *link = &trouble_of(m)->dir[s].pending; *link != 0; link = &range_at(m, *link)->next) {
        const struct range *r = range_at(m, *link);
        if ((r->flags & (NODE_COVERED | NODE_FILL | NODE_ECHO)) != NODE_COVERED || r->end != m->f->side[s].una)
            continue;
        const struct range first = run_first(r);
        spurious_verdict(m, s, &first);
        run_pop(m, s, link);
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
        loss_node_remove(m, s, link);
    }
    uint32_t index = loss_node_new(m, s, start, end);
    if (index == 0)
        return;
    range_at(m, index)->next = *link;
    *link = index;
}

/* One segment, from `start` on, came twice: a repeat of it was needless. Known to be, or else the latest. */
static void dsack_segment(struct meter *m, unsigned s, uint32_t start)
{
    uint32_t *latest = NULL;

    for (uint32_t *link = &trouble_of(m)->dir[s].pending; *link != 0; link = &range_at(m, *link)->next) {
        struct range *r = range_at(m, *link);
        if (segment_from(r, start) != start || r->end == start || (r->flags & (NODE_FILL | NODE_UPSTREAM)) == NODE_FILL)
            continue;
        if (r->start != start) {
            if (!run_split(m, s, r, start))
                continue;
            link = &r->next;
        }
        latest = link;
        if (r->flags & NODE_ECHO)
            break;
    }
    if (latest == NULL)
        return;
    const struct range first = run_first(range_at(m, *latest));
    if (first.flags & NODE_UPSTREAM)
        unseen_verdict(m, s, &first);
    else if (!(first.flags & NODE_ECHO))
        spurious_verdict(m, s, &first);
    run_pop(m, s, latest);
}

/* A DSACK (RFC 2883) says that [left, right), maybe several segments, came twice. */
static void dsack(struct meter *m, unsigned s, struct sack_block block)
{
    uint32_t from = block.left, next = block.right;

    for (unsigned segments = 0; segments < PIECES_MAX; segments++, from = next + 1, next = block.right) {
        for (uint32_t i = trouble_of(m)->dir[s].pending; i != 0; i = range_at(m, i)->next) {
            const struct range *r = range_at(m, i);
            uint32_t at = segment_from(r, from);
            if (at != r->end && seq_lt(at, next))
                next = at;
        }
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
            loss_hole_new(m, s, b.right);
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

/* Has a repeat waited long enough for what could still be said of it? Where there is little room, for less. */
static bool is_settled(const struct meter *m, unsigned s, const struct range *r)
{
    uint64_t since_ns = (r->flags & NODE_COVERED) ? r->covered_ns : r->seen_ns;

    if (!(r->flags & (NODE_COVERED | NODE_ECHO)))
        return false;
    if (m->now_ns - since_ns > loss_dsack_wait_ns(m) || loss_is_full(m, s))
        return true;
    return loss_is_crowded(m, s) && !(r->flags & NODE_UPSTREAM) && !(m->f->flags & FLOW_SACK) &&
           seq_lt(r->nxt, m->f->side[s].una); /* R has answered what was sent after it */
}

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
    for (uint32_t *link = &c->pending; *link != 0;) {
        struct range *r = range_at(m, *link);
        if (is_settled(m, s, r)) {
            if ((r->flags & NODE_LATE) && (m->f->flags & FLOW_SACK))
                loss_copy_held(m, s, r->signal_ns); /* R would have missed it: only the mirror was late */
            repeat_verdict(m, s, r);
            loss_node_remove(m, s, link);
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
            loss_hole_verdict(m, s, hole);
        else if (flow_is_two_way(m->f))
            VERDICT(m, s, unknown, lost_unknown_pkts, hole->start, hole->end);
        loss_node_remove(m, s, &c->holes);
    }
    while (c->pending != 0) {
        if (flow_is_two_way(m->f))
            repeat_verdict(m, s, range_at(m, c->pending));
        loss_node_remove(m, s, &c->pending);
    }
    while (c->sacked != 0)
        loss_node_remove(m, s, &c->sacked);
    while (c->missing != 0)
        loss_node_remove(m, s, &c->missing);
}
