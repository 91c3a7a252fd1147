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
 * Segments in flight: a FIFO, four in the flow record, the rest in pool nodes of four. The record keeps 16 bits of
 * their ends, counted from una, and 32 bits of their times. Those are whole as long as nothing in the record is older
 * than 4.2 s: flow_age looks every 2.1 s of the flow's own packets and moves what is older than two. When the
 * pool is empty, or a direction has SENT_NODES_MAX nodes (one that is never acknowledged: UNACKED_NODES_MAX), the
 * sample is forgone.
 */

#include "dataplane/tcp_rtt.h"

#define SENT_NODES_MAX    1024u
#define UNACKED_NODES_MAX 16u
#define OLD_NS            (1u << 31)

static struct tcp_trouble *trouble_dir(struct meter *m, unsigned s)
{
    return &trouble_of(m)->dir[s];
}

static struct sent *sent_at(const struct meter *m, uint32_t index)
{
    return &pool_at(&m->pools->node, index)->sent;
}

/* A new node of the list; 0 when there is none. */
static uint32_t sent_node(struct meter *m, unsigned s, struct tcp_trouble *t)
{
    uint32_t max = (m->f->side[s].flags & SIDE_ACK_SEEN) ? SENT_NODES_MAX : UNACKED_NODES_MAX;
    uint32_t index = t->n_sent < max ? pool_get(&m->pools->node) : 0;

    t->n_sent += index != 0;
    return index;
}

void rtt_sent_more(struct meter *m, unsigned s, uint32_t end)
{
    struct tcp_side *side = &m->f->side[s];

    if (seq_le(end, side->una)) /* acknowledged before it was seen */
        return;
    struct tcp_trouble *t = trouble_dir(m, s);
    struct sent *tail = t->sent_list != 0 ? sent_at(m, t->sent_tail) : NULL;

    if (tail == NULL || tail->head + tail->count == NODE_SENT_SLOTS) {
        uint32_t index = sent_node(m, s, t);
        if (index == 0)
            return;
        if (tail != NULL)
            tail->next = index;
        else
            t->sent_list = index;
        t->sent_tail = index;
        tail = sent_at(m, index);
    }
    unsigned slot = (unsigned)tail->head + tail->count++;
    tail->end[slot] = end;
    tail->ts_ns[slot] = m->now_ns;
    side->flags |= SIDE_SENT_MORE;
}

bool rtt_pop_more(struct meter *m, unsigned s, uint32_t ack, uint64_t *ret_ns)
{
    struct tcp_trouble *t = trouble_dir(m, s);
    bool exact = false;

    while (t->sent_list != 0) {
        struct sent *n = sent_at(m, t->sent_list);
        while (n->count != 0 && seq_le(n->end[n->head], ack)) {
            exact = n->end[n->head] == ack;
            *ret_ns = m->now_ns - n->ts_ns[n->head];
            n->head++;
            n->count--;
        }
        if (n->count != 0)
            return exact;
        uint32_t done = t->sent_list;
        t->sent_list = n->next;
        t->n_sent--;
        pool_put(&m->pools->node, done);
    }
    m->f->side[s].flags &= (uint16_t)~SIDE_SENT_MORE;
    return exact;
}

bool rtt_is_bounded(const struct meter *m, unsigned responder)
{
    const struct flow *f = m->f;

    if (((f->side[0].flags | f->side[1].flags) & SIDE_HELD_COPIES) == 0)
        return true;
    const struct tcp_trouble *dir = trouble_of(m)->dir;
    uint64_t held_ns = dir[0].held_ns > dir[1].held_ns ? dir[0].held_ns : dir[1].held_ns;
    uint64_t rtt_ns = rtt_min_ns(&f->rtt[responder]);
    return held_ns < rtt_ns / HELD_PARTS || m->now_ns - dir[m->p->sender].in_order_ns <= rtt_ns / HELD_PARTS / 2;
}

void rtt_skip(struct meter *m, unsigned s, uint32_t ack)
{
    uint64_t unused = 0;

    rtt_pop(m, s, ack, &unused);
    if ((m->f->side[s].flags & SIDE_SENT_MORE) && m->f->side[s].sent_n == 0)
        rtt_pop_more(m, s, ack, &unused);
}

void rtt_match_far(struct meter *m, unsigned s, uint32_t tsecr)
{
    if (m->f->side[s].ts_val == tsecr)
        ts_rtt_take(m, 1 - s, m->now_ns - trouble_dir(m, s)->ts_far_ns);
}

/* The ring goes into a node in front of the list. */
static void ring_to_node(struct meter *m, unsigned s)
{
    struct flow *f = m->f;
    struct tcp_side *side = &f->side[s];
    struct tcp_trouble *t = trouble_dir(m, s);
    uint32_t index = sent_node(m, s, t);
    unsigned n = side->sent_n;

    static_assert(SENT_INLINE <= NODE_SENT_SLOTS, "the ring fits a node");
    side->sent_n = 0;
    if (index == 0)
        return;
    struct sent *node = sent_at(m, index);
    node->next = t->sent_list;
    node->count = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        node->end[i] = side->una + (uint16_t)(side->sent_end[i] - (uint16_t)side->una);
        node->ts_ns[i] = flow_whole_ns(f, side->sent_time[i]);
    }
    if (t->sent_list == 0)
        t->sent_tail = index;
    t->sent_list = index;
    side->flags |= SIDE_SENT_MORE;
}

void flow_age(struct meter *m)
{
    struct flow *f = m->f;

    for (unsigned s = 0; s < 2; s++) {
        struct tcp_side *side = &f->side[s];
        if (side->sent_n != 0 && m->now_ns - flow_whole_ns(f, side->sent_time[0]) >= OLD_NS)
            ring_to_node(m, s);
        if ((side->flags & (SIDE_TS_WAITS | SIDE_TS_FAR)) != SIDE_TS_WAITS ||
            m->now_ns - flow_whole_ns(f, side->ts_time) < OLD_NS)
            continue;
        trouble_dir(m, s)->ts_far_ns = flow_whole_ns(f, side->ts_time);
        if (f->trouble != 0)
            side->flags |= SIDE_TS_FAR;
        else
            side->flags &= (uint16_t)~SIDE_TS_WAITS;
    }
}

void rtt_forget(struct meter *m, unsigned s)
{
    struct tcp_side *side = &m->f->side[s];

    if (side->flags & SIDE_SENT_MORE) {
        pool_put_list(&m->pools->node, &trouble_dir(m, s)->sent_list);
        trouble_dir(m, s)->n_sent = 0;
        side->flags &= (uint16_t)~SIDE_SENT_MORE;
    }
    side->sent_n = 0;
}

bool rtt_sent_by(const struct meter *m, unsigned s, uint64_t by_ns, uint32_t *ret_end)
{
    const struct tcp_side *side = &m->f->side[s];
    uint32_t end = side->una;

    if (side->sent_n == 0 && !(side->flags & SIDE_SENT_MORE))
        return false;
    for (unsigned i = 0; i < side->sent_n; i++)
        if (flow_whole_ns(m->f, side->sent_time[i]) <= by_ns)
            end = side->una + (uint16_t)(side->sent_end[i] - (uint16_t)side->una);
    uint32_t list = (side->flags & SIDE_SENT_MORE) ? trouble_of(m)->dir[s].sent_list : 0;
    for (uint32_t i = list; i != 0; i = sent_at(m, i)->next) {
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
    bool cut = n < side->sent_n;
    side->sent_n = (uint8_t)n;
    if (!(side->flags & SIDE_SENT_MORE))
        return;
    struct tcp_trouble *t = trouble_dir(m, s);
    if (cut) { /* the nodes hold what was sent later */
        pool_put_list(&m->pools->node, &t->sent_list);
        t->n_sent = 0;
        side->flags &= (uint16_t)~SIDE_SENT_MORE;
        return;
    }
    for (uint32_t i = t->sent_list; i != 0; i = sent_at(m, i)->next) {
        struct sent *node = sent_at(m, i);
        while (node->count != 0 && seq_lt(start, node->end[node->head + node->count - 1u]))
            node->count--;
    }
}

void rtt_finish(struct meter *m, unsigned s)
{
    rtt_forget(m, s);
}
