/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Two estimators of the time tap -> endpoint -> tap.
 *
 * ACK RTT: from a segment to the ACK that acknowledges exactly its end. Karn's rule in its strict form: no sample from
 * a segment sent more than once, nor from one with a later repeat (or late fill) of anything before it, since the
 * ACK then waited for that: those are forgotten, so that no ACK fits them. Known bias: the receiver's delayed-ACK timer
 * is included; the minimum and p10 of many samples are the path, the median is what users feel.
 *
 * A mirror that holds copies back changes the times at which we see packets. Where that shows (data that was overtaken
 * on the way to us and that the receiver did not miss, by a 32nd of the round trip or more, one in 200), a segment or
 * ACK counts only if it came soon after another of the same direction: held for longer, it would have been overtaken.
 * What stands alone gives no sample there.
 *
 * Timestamp RTT: from the first sight of a TSval to the first TSecr that returns it, used once (Jacobson, pping). It
 * may overestimate by the receiver's delay and by an application's silence, never underestimate. One TSval waits at a
 * time, as RFC 7323 itself does it: about one sample per round trip.
 *
 * Segments in flight: a FIFO, up to four in the flow record, more than that in pool nodes of four each. The record
 * keeps 16 bits of their ends, counted from una, and 32 bits of their times. Those are whole as long as nothing in the
 * record is older than 4.2 s: flow_age looks every 2.1 s of the flow's own packets and moves what is older than two.
 * When the pool is nearly empty, or a direction has SENT_NODES_MAX nodes (one that is never acknowledged:
 * UNACKED_NODES_MAX), the sample is forgone.
 */

#include "dataplane/tcp_rtt.h"

#define SENT_NODES_MAX    1024u
#define UNACKED_NODES_MAX 16u
#define OLD_NS            (1u << 31)
#define TS_FAR_MAX_NS     (1ull << (31 + TS_FAR_SHIFT))

static struct sent *sent_at(const struct meter *m, uint32_t index)
{
    return &pool_at(&m->pools->node, index)->sent;
}

/* A new node behind the others; NULL when there is none. A quarter of all nodes are for losses alone. */
static struct sent *append_node(struct meter *m, struct tcp_side *side)
{
    struct pool *nodes = &m->pools->node;
    struct sent_list *list = &side->sent_list;
    uint32_t max = (side->flags & SIDE_ACK_SEEN) ? SENT_NODES_MAX : UNACKED_NODES_MAX;
    uint32_t index = list->n < max && nodes->in_use < nodes->n - nodes->n / 4 ? pool_get(nodes) : 0;

    if (index == 0)
        return NULL;
    if (list->n++ == 0)
        list->head = index;
    else
        sent_at(m, list->tail)->next = index;
    list->tail = index;
    return sent_at(m, index);
}

/* What the ring has goes into a node, whose place the head of the list takes; false when there is no node. */
static bool ring_to_node(struct meter *m, struct tcp_side *side)
{
    struct sent_list none = {0};
    struct tcp_side ring = *side;

    static_assert(SENT_INLINE <= NODE_SENT_SLOTS, "the ring fits a node");
    side->sent_list = none;
    struct sent *node = append_node(m, side);
    if (node == NULL) {
        *side = ring;
        return false;
    }
    node->count = ring.sent_n;
    for (unsigned i = 0; i < ring.sent_n; i++) {
        node->end[i] = ring.una + (uint16_t)(ring.sent_end[i] - (uint16_t)ring.una);
        node->ts_ns[i] = flow_whole_ns(m->f, ring.sent_time[i]);
    }
    side->sent_n = 0;
    side->flags |= SIDE_SENT_MORE;
    return true;
}

void rtt_sent_more(struct meter *m, unsigned s, uint32_t end)
{
    struct tcp_side *side = &m->f->side[s];

    if (seq_le(end, side->una)) /* acknowledged before it was seen */
        return;
    if (!(side->flags & SIDE_SENT_MORE) && !ring_to_node(m, side))
        return;
    struct sent *tail = sent_at(m, side->sent_list.tail);
    if (tail->head + tail->count == NODE_SENT_SLOTS)
        tail = append_node(m, side);
    if (tail == NULL)
        return;
    unsigned slot = (unsigned)tail->head + tail->count++;
    tail->end[slot] = end;
    tail->ts_ns[slot] = m->now_ns;
}

bool rtt_pop_more(struct meter *m, unsigned s, uint32_t ack, uint64_t *ret_ns)
{
    struct tcp_side *side = &m->f->side[s];
    struct sent_list *list = &side->sent_list;
    bool exact = false;

    while (list->n != 0) {
        struct sent *n = sent_at(m, list->head);
        while (n->count != 0 && seq_le(n->end[n->head], ack)) {
            exact = n->end[n->head] == ack;
            *ret_ns = m->now_ns - n->ts_ns[n->head];
            n->head++;
            n->count--;
        }
        if (n->count != 0)
            return exact;
        uint32_t done = list->head;
        list->head = n->next;
        list->n--;
        pool_put(&m->pools->node, done);
    }
    side->flags &= (uint16_t)~SIDE_SENT_MORE;
    return exact;
}

bool rtt_is_bounded_by(const struct meter *m, unsigned responder)
{
    const struct flow *f = m->f;
    const struct tcp_trouble *dir = trouble_of(m)->dir;
    uint64_t held_ns = dir[0].held_ns > dir[1].held_ns ? dir[0].held_ns : dir[1].held_ns;
    uint64_t rtt_ns = rtt_min_ns(&f->rtt[responder]);
    return held_ns < rtt_ns / HELD_PARTS || m->now_ns - dir[m->p->sender].in_order_ns <= rtt_ns / HELD_PARTS / 2;
}

void rtt_skip(struct meter *m, unsigned s, uint32_t ack)
{
    uint64_t unused = 0;

    rtt_pop(m, s, ack, &unused);
    if (m->f->side[s].flags & SIDE_SENT_MORE)
        rtt_pop_more(m, s, ack, &unused);
}

/* A TSval that has waited for two seconds; after half an hour nobody asks for its echo any more. */
static void age_timestamp(const struct flow *f, struct tcp_side *side, uint64_t now_ns)
{
    uint64_t waited_ns = rtt_ts_waited_ns(side, f->last_ns) + (now_ns - f->last_ns);

    if (!(side->flags & SIDE_TS_WAITS) || waited_ns < OLD_NS)
        return;
    if (waited_ns >= TS_FAR_MAX_NS) {
        side->flags &= (uint16_t) ~(SIDE_TS_WAITS | SIDE_TS_FAR);
    } else if (!(side->flags & SIDE_TS_FAR)) {
        side->ts_time = (uint32_t)((now_ns - waited_ns) >> TS_FAR_SHIFT);
        side->flags |= SIDE_TS_FAR;
    }
}

void flow_age(struct meter *m)
{
    struct flow *f = m->f;

    for (unsigned s = 0; s < 2; s++) {
        struct tcp_side *side = &f->side[s];
        if (side->sent_n != 0 && m->now_ns - flow_whole_ns(f, side->sent_time[0]) >= OLD_NS && !ring_to_node(m, side))
            side->sent_n = 0;
        age_timestamp(f, side, m->now_ns);
    }
}

static void forget_nodes(struct meter *m, struct tcp_side *side)
{
    uint32_t head = side->sent_list.head;

    for (uint32_t n = side->sent_list.n; n != 0; n--) {
        uint32_t next = sent_at(m, head)->next;
        pool_put(&m->pools->node, head);
        head = next;
    }
    side->flags &= (uint16_t)~SIDE_SENT_MORE;
}

void rtt_forget(struct meter *m, unsigned s)
{
    struct tcp_side *side = &m->f->side[s];

    if (side->flags & SIDE_SENT_MORE)
        forget_nodes(m, side);
    side->sent_n = 0;
}

bool rtt_sent_by(const struct meter *m, unsigned s, uint64_t by_ns, uint32_t *ret_end)
{
    const struct tcp_side *side = &m->f->side[s];
    uint32_t end = side->una, nodes = (side->flags & SIDE_SENT_MORE) ? side->sent_list.n : 0;

    if (side->sent_n == 0 && nodes == 0)
        return false;
    for (unsigned i = 0; i < side->sent_n; i++)
        if (flow_whole_ns(m->f, side->sent_time[i]) <= by_ns)
            end = side->una + (uint16_t)(side->sent_end[i] - (uint16_t)side->una);
    for (uint32_t i = side->sent_list.head; nodes != 0; nodes--, i = sent_at(m, i)->next) {
        const struct sent *node = sent_at(m, i);
        for (unsigned k = node->head; k < (unsigned)node->head + node->count; k++)
            if (node->ts_ns[k] <= by_ns)
                end = node->end[k];
    }
    *ret_end = end;
    return true;
}

void rtt_forget_above(struct meter *m, unsigned s, uint32_t start)
{
    struct tcp_side *side = &m->f->side[s];
    unsigned n = side->sent_n;

    while (n != 0 && seq_lt(start, side->una + (uint16_t)(side->sent_end[n - 1] - (uint16_t)side->una)))
        n--;
    side->sent_n = (uint8_t)n;
    if (!(side->flags & SIDE_SENT_MORE))
        return;
    uint32_t index = side->sent_list.head;
    for (uint32_t left = side->sent_list.n; left != 0; left--, index = sent_at(m, index)->next) {
        struct sent *node = sent_at(m, index);
        while (node->count != 0 && seq_lt(start, node->end[node->head + node->count - 1u]))
            node->count--;
    }
}

void rtt_finish(struct meter *m, unsigned s)
{
    rtt_forget(m, s);
}
