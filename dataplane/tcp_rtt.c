/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Two estimators of the time tap -> endpoint -> tap.
 *
 * ACK RTT: from a segment to the ACK that acknowledges exactly its end. Karn's rule in its strict form: no sample from
 * a segment sent more than once, nor from one with a later repeat (or late fill) of anything before it, since the
 * ACK then waited for that. Such ends lie in (karn_lo, karn_hi]. Known bias: the receiver's delayed-ACK timer is
 * included; the minimum and p10 of many samples are the path, the median is what users feel.
 *
 * Timestamp RTT: from the first sight of a TSval to the first TSecr that returns it, used once (Jacobson, pping). It
 * may overestimate by the receiver's delay and by an application's silence, never underestimate. One TSval waits at a
 * time, as RFC 7323 itself does it: about one sample per round trip.
 *
 * Segments in flight: a FIFO, four in the flow record, the rest in pool nodes of four. When the pool is empty
 * the sample is forgone.
 */

#include "dataplane/tcp_rtt.h"

#include "common/seq.h"
#include "dataplane/verdict_trace.h"

static void push_overflow(struct meter *m, unsigned s, uint32_t end)
{
    struct tcp_hot *t = &m->f->tcp[s];
    struct tcp_cold *c = &m->f->cold[s];
    struct sent *tail = t->sent_list != 0 ? &pool_at(m->pool, c->sent_tail)->sent : NULL;

    if (tail == NULL || tail->head + tail->count == NODE_SENT_SLOTS) {
        uint32_t index = pool_get(m->pool);
        if (index == 0)
            return;
        if (tail != NULL)
            tail->next = index;
        else
            t->sent_list = index;
        c->sent_tail = index;
        tail = &pool_at(m->pool, index)->sent;
    }
    unsigned slot = (unsigned)tail->head + tail->count++;
    tail->end[slot] = end;
    tail->ts_ns[slot] = m->now_ns;
}

void rtt_sent(struct meter *m, unsigned s, uint32_t end)
{
    struct tcp_hot *t = &m->f->tcp[s];

    if (t->sent_count == 0 && t->sent_list == 0)
        m->f->sent_first_ns[s] = m->now_ns;
    if (t->sent_list != 0 || t->sent_count == SENT_INLINE || m->now_ns - m->f->sent_first_ns[s] > UINT32_MAX) {
        push_overflow(m, s, end);
        return;
    }
    unsigned slot = (t->sent_head + t->sent_count++) % SENT_INLINE;
    t->sent_end[slot] = end;
    t->sent_time[slot] = (uint32_t)m->now_ns;
}

/* Drops what ended by ack from the ring; sent_first_ns moves on to the oldest that is left. */
static bool pop_inline(struct meter *m, unsigned s, uint32_t ack, uint64_t *ret_ns)
{
    struct tcp_hot *t = &m->f->tcp[s];
    uint64_t first_ns = m->f->sent_first_ns[s];
    bool exact = false;

    while (t->sent_count != 0 && seq_le(t->sent_end[t->sent_head], ack)) {
        uint32_t time = t->sent_time[t->sent_head];
        exact = t->sent_end[t->sent_head] == ack;
        *ret_ns = first_ns;
        t->sent_head = (uint8_t)((t->sent_head + 1) % SENT_INLINE);
        t->sent_count--;
        first_ns += (uint32_t)(t->sent_time[t->sent_head] - time); /* of no meaning when none is left */
    }
    m->f->sent_first_ns[s] = first_ns;
    return exact;
}

/* The same from the nodes; `exact` is what the ring said, for the case that none of these ends here. */
static bool pop_overflow(struct meter *m, unsigned s, uint32_t ack, bool exact, uint64_t *ret_ns)
{
    struct tcp_hot *t = &m->f->tcp[s];

    while (t->sent_list != 0) {
        struct sent *n = &pool_at(m->pool, t->sent_list)->sent;
        while (n->count != 0 && seq_le(n->end[n->head], ack)) {
            exact = n->end[n->head] == ack;
            *ret_ns = n->ts_ns[n->head];
            n->head++;
            n->count--;
        }
        if (n->count != 0)
            return exact;
        uint32_t done = t->sent_list;
        t->sent_list = n->next;
        pool_put(m->pool, done);
    }
    return exact;
}

/* Is the ACK for a segment that a repeat, or a late fill before it, has spoilt? */
static bool is_tainted(struct flow *f, unsigned s, uint32_t ack)
{
    if (!(f->tcp[s].flags & SIDE_TAINTED))
        return false;
    if (seq_le(f->cold[s].karn_hi, ack))
        f->tcp[s].flags &= ~(uint32_t)SIDE_TAINTED;
    return seq_lt(f->cold[s].karn_lo, ack) && seq_le(ack, f->cold[s].karn_hi);
}

void rtt_acked(struct meter *m, unsigned s, uint32_t ack)
{
    struct tcp_hot *t = &m->f->tcp[s];
    unsigned receiver = 1 - s;
    uint64_t sent_ns = 0;
    bool exact = pop_inline(m, s, ack, &sent_ns);

    if (t->sent_count == 0 && t->sent_list != 0)
        exact = pop_overflow(m, s, ack, exact, &sent_ns);
    if (is_tainted(m->f, s, ack) || !exact)
        return;
    rtt_hot_add(&m->f->rtt[receiver], m->now_ns - sent_ns);
    meter_rtt(m, receiver, m->now_ns - sent_ns);
    trace_rtt(m, receiver, RTT_ACK, ack, m->now_ns - sent_ns);
}

static void note_tsval(struct meter *m, unsigned s, uint32_t tsval)
{
    struct flow *f = m->f;
    struct tcp_hot *t = &f->tcp[s];

    if ((t->flags & SIDE_TS) && !seq_lt(t->ts_max, tsval))
        return;
    t->flags |= SIDE_TS;
    t->ts_max = tsval;
    if (f->ts_ns[s] != 0)
        return;
    f->ts_val[s] = tsval;
    f->ts_ns[s] = m->now_ns;
}

static void match_tsecr(struct meter *m, unsigned echoing, uint32_t tsecr)
{
    struct flow *f = m->f;
    unsigned s = 1 - echoing;

    if (f->ts_ns[s] == 0 || seq_lt(tsecr, f->ts_val[s]))
        return;
    if (f->ts_val[s] == tsecr) {
        rtt_add(&f->ts_rtt[echoing], m->now_ns - f->ts_ns[s]);
        trace_rtt(m, echoing, RTT_TIMESTAMP, tsecr, m->now_ns - f->ts_ns[s]);
    }
    f->ts_ns[s] = 0;
}

void rtt_timestamps(struct meter *m)
{
    const struct pkt *p = m->p;

    note_tsval(m, p->sender, p->tsval);
    if (p->tcp_flags & TCP_ACK)
        match_tsecr(m, p->sender, p->tsecr);
}

void rtt_finish(struct meter *m, unsigned s)
{
    struct tcp_hot *t = &m->f->tcp[s];

    pool_put_list(m->pool, &t->sent_list);
    t->sent_count = 0;
}
