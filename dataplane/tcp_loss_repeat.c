/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The classifier's third part: was a repeat needed? Evidence comes with the ACK, SACK or DSACK that speaks of it, or
 * does not come; the verdicts wait for that in the list of repeats. The rules are told in tcp_loss.c, and what decides,
 * in its order, in docs/METRICS.md. Fills of holes are in the same list: what R says later may yet change their
 * verdict.
 */

#include "dataplane/loss_lists.h"

#define LEAP_BYTES 16384

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

/* Is the ACK at hand more than a time-out behind what passed at since_ns? */
static bool is_held_up(const struct meter *m, uint64_t since_ns)
{
    return m->now_ns - since_ns > loss_dsack_wait_ns(m) / 2;
}

/*
 * R answers at once what was sent again. An answer to the latest copy that took longer than a time-out was held up on
 * its way, and so was what it said before, which made S send again: not a loss, of which R would have complained
 * meanwhile, or of which an earlier repeat was the repair. (Or that copy was lost, and the mirror missed the next.)
 * At the end of all data the number of answers says more.
 */
static bool is_overdue(const struct meter *m, unsigned s, const struct range *repeat)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint64_t latest_ns = repeat->seen_ns;
    bool repaired = false;

    if ((m->f->flags & FLOW_SACK) || (repeat->flags & NODE_SIGNALLED) || trouble_of(m)->mirror_misses ||
        m->p->tcp_ack == m->f->side[s].nxt || !is_held_up(m, latest_ns))
        return false; /* the last of it, nearly always, and before the list is gone through */
    for (uint32_t i = c->pending; i != 0; i = range_at(m, i)->next) {
        const struct range *r = range_at(m, i);
        if (!seq_lt(r->start, repeat->end) || !seq_lt(repeat->start, r->end))
            continue;
        latest_ns = r->seen_ns;
        repaired |= r->seen_ns < repeat->seen_ns;
    }
    return is_held_up(m, latest_ns) && (repaired || c->dup_ack_ns < latest_ns);
}

enum echo { ECHO_NONE, ECHO_ORIGINAL, ECHO_REPEAT };

/*
 * The TSecr of an ACK is the TSval of the segment that last moved the left edge (RFC 7323 section 4.3), so it speaks of
 * a repeat at that edge, and only when the edge moves; a SACK says nothing of the kind.
 */
static enum echo echo_of(const struct meter *m, unsigned s, const struct range *repeat, bool cumulative)
{
    bool at_edge = cumulative && seq_le(repeat->start, m->f->side[s].una);
    const uint16_t doubt = NODE_OLD_TICK | NODE_YOUNG;
    bool of_another = (repeat->flags & (doubt | NODE_SIGNALLED)) == doubt; /* maybe */

    if (!at_edge || !(repeat->flags & NODE_HAS_TS) || !(m->p->flags & PKT_HAS_TS))
        return ECHO_NONE;
    if (of_another && m->p->tsecr == repeat->tsval)
        return ECHO_NONE;
    return seq_lt(m->p->tsecr, repeat->tsval) ? ECHO_ORIGINAL : ECHO_REPEAT;
}

/*
 * Without SACK. R answers each needless repeat at once, in their order, by an ACK of all that it has. One that passed
 * before this repeat has had no answer in front of it: the ACK that moves the edge was that answer, and R had the
 * bytes.
 */
static bool is_behind_answer(const struct meter *m, unsigned s, const struct range *repeat)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];

    if ((m->f->flags & FLOW_SACK) || (repeat->flags & NODE_SIGNALLED) || c->count.lost_downstream_pkts != 0)
        return false;
    for (uint32_t i = c->pending; range_at(m, i) != repeat; i = range_at(m, i)->next)
        if ((range_at(m, i)->flags & NODE_ECHO) && range_at(m, i)->nxt == m->p->tcp_ack)
            return true;
    return false;
}

/* Rule 2, second half: evidence in the first report that covers the repeat. */
static bool is_spurious(const struct meter *m, unsigned s, const struct range *repeat, bool cumulative)
{
    enum echo echo = echo_of(m, s, repeat, cumulative);

    if (echo != ECHO_NONE)
        return echo == ECHO_ORIGINAL;
    if (cumulative && is_leapt_over(m, s, repeat))
        return true;
    if (cumulative && !(m->f->flags & FLOW_SACK) && seq_lt(m->f->side[s].una, repeat->start))
        return true;
    if (cumulative && is_behind_answer(m, s, repeat))
        return true;
    if ((repeat->flags & NODE_UNMISSED) && cumulative && seq_lt(repeat->end, m->p->tcp_ack))
        return true; /* R has what lies behind, too, and had not missed this */
    if ((m->f->flags & FLOW_SACK) && (repeat->flags & NODE_SIGNALLED))
        return false; /* R lacked it; if the first copy came late, a DSACK will tell */
    if ((repeat->flags & (NODE_YOUNG | NODE_SIGNALLED)) == NODE_YOUNG)
        return true;
    return m->now_ns - repeat->seen_ns < soonest_ns(m->f, 1 - s) || is_overdue(m, s, repeat);
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

/*
 * There is no room to wait for what R says of a repeat, or the flow has ended before it said it. Without SACK it needs
 * what is at its edge; a sender that has timed out sends all the rest again, too.
 */
void loss_unheard_verdict(struct meter *m, unsigned s, const struct range *r)
{
    bool sack = m->f->flags & FLOW_SACK;

    if (!flow_is_two_way(m->f))
        return;
    for (uint32_t at = r->start, next; seq_lt(at, r->end); at = next) {
        bool needed = sack ? !(r->flags & NODE_YOUNG) : seq_le(at, m->f->side[s].una);
        next = segment_end(r, at);
        if (needed || (r->flags & NODE_SIGNALLED))
            VERDICT(m, s, downstream, lost_downstream_pkts, at, next);
        else
            VERDICT(m, s, spurious, spurious_pkts, at, next);
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

    return loss_explained_to(m, c->pending, at, &unused) != at || loss_explained_to(m, c->holes, at, &unused) != at;
}

/*
 * Without SACK. A repeat that R needed moves its edge to the next gap, or over all that was sent before the repeat. If
 * the edge stood somewhere in between and moved on without a repair, R had the bytes before.
 */
void loss_edge_moves(struct meter *m, unsigned s)
{
    const uint16_t mask = NODE_COVERED | NODE_FILL | NODE_ECHO | NODE_ECHOED;
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

/* R complains of such a fill before it covers it; whatever else it may say comes behind, however held up. */
static bool is_only_late(const struct range *r)
{
    return (r->flags & (NODE_FILL | NODE_UPSTREAM)) == NODE_FILL;
}

/* R has all of the repeat, or run. Returns whether the node has still something to wait for. */
static bool covered_verdict(struct meter *m, unsigned s, struct range *r, bool cumulative)
{
    bool spurious = !(r->flags & NODE_FILL) && is_spurious(m, s, r, cumulative);
    bool echoed = !(r->flags & NODE_FILL) && echo_of(m, s, r, cumulative) == ECHO_REPEAT;

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
    trouble_of(m)->dir[s].overdue_ns = is_held_up(m, r->seen_ns) ? m->now_ns : 0;
    r->flags |= (uint16_t)(NODE_COVERED | (spurious ? NODE_ECHO : 0) | (echoed ? NODE_ECHOED : 0));
    r->covered_ns = is_only_late(r) ? m->now_ns : loss_listened_ns(m, s);
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

void loss_cover_repeats(struct meter *m, unsigned s, uint32_t start, uint32_t end, bool cumulative)
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
void loss_repeats_missing(struct meter *m, unsigned s, uint32_t start, uint32_t end)
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

/*
 * Does a needless repeat explain a duplicate ACK? It is used up then. The answer takes a round trip to R, and it is an
 * ACK of all that S had sent before the repeat: R has that, or it complains, whatever made it speak.
 */
bool loss_is_echo(struct meter *m, unsigned s)
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
bool loss_is_second_answer(struct meter *m, unsigned s)
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

void loss_idle_answer(struct meter *m, unsigned s)
{
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
void loss_dsack(struct meter *m, unsigned s, struct sack_block block)
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

/* ---- verdicts ---- */

/* For what could still be said of repeats: how long they wait for it, and what R has been listened to by now. */
struct patience {
    uint64_t wait_ns, listened_ns;
};

/* Has a repeat waited long enough? Where there is little room, for less. */
static bool is_settled(const struct meter *m, unsigned s, const struct range *r, const struct patience *p)
{
    const struct tcp_trouble *c = &trouble_of(m)->dir[s];
    uint64_t now_ns = is_only_late(r) ? m->now_ns : p->listened_ns;

    if (!(r->flags & (NODE_COVERED | NODE_ECHO)))
        return false;
    if (now_ns - r->covered_ns > p->wait_ns || loss_is_full(c))
        return true;
    return loss_is_crowded(c) && !(r->flags & NODE_UPSTREAM) && !(m->f->flags & FLOW_SACK) &&
           seq_lt(r->nxt, m->f->side[s].una); /* R has answered what was sent after it */
}

void loss_resolve_repeats(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    if (c->pending == 0)
        return;
    const struct patience patience = {loss_dsack_wait_ns(m), loss_listened_ns(m, s)};
    for (uint32_t *link = &c->pending; *link != 0;) {
        struct range *r = range_at(m, *link);
        if (is_settled(m, s, r, &patience)) {
            if ((r->flags & NODE_LATE) && (m->f->flags & FLOW_SACK))
                loss_copy_held(m, s, r->signal_ns); /* R would have missed it: only the mirror was late */
            repeat_verdict(m, s, r);
            loss_node_remove(m, s, link);
        } else {
            link = &r->next;
        }
    }
}

void loss_finish_repeats(struct meter *m, unsigned s)
{
    struct tcp_trouble *c = &trouble_of(m)->dir[s];

    while (c->pending != 0) {
        const struct range *r = range_at(m, c->pending);
        if (!(r->flags & (NODE_COVERED | NODE_FILL | NODE_ECHO)))
            loss_unheard_verdict(m, s, r);
        else if (flow_is_two_way(m->f))
            repeat_verdict(m, s, r);
        loss_node_remove(m, s, &c->pending);
    }
}
