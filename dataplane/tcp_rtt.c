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
 * may overestimate by the receiver's delay and by an application's silence, never underestimate. A TSval that finds the
 * four places taken gives no sample.
 *
 * Segments in flight: a FIFO, four in the flow record, the rest in pool nodes of four. When the pool is empty
 * the sample is forgone.
 */

#include "dataplane/tcp_rtt.h"

#include "common/seq.h"

static void push_overflow(struct meter *m, struct flow_tcp *t, uint32_t end)
{
    struct sent *tail = t->sent_tail_list != 0 ? &pool_at(m->pool, t->sent_tail_list)->sent : NULL;

    if (tail == NULL || tail->head + tail->count == NODE_SENT_SLOTS) {
        uint32_t index = pool_get(m->pool);
        if (index == 0)
            return;
        if (tail != NULL)
            tail->next = index;
        else
            t->sent_list = index;
        t->sent_tail_list = index;
        tail = &pool_at(m->pool, index)->sent;
    }
    unsigned slot = (unsigned)tail->head + tail->count++;
    tail->end[slot] = end;
    tail->ts_ns[slot] = m->now_ns;
}

void rtt_sent(struct meter *m, unsigned s, uint32_t end)
{
    struct flow_tcp *t = &m->f->tcp[s];

    if (t->sent_list != 0 || t->sent_count == SENT_INLINE) {
        push_overflow(m, t, end);
        return;
    }
    unsigned slot = (t->sent_head + t->sent_count++) % SENT_INLINE;
    t->sent_end[slot] = end;
    t->sent_ns[slot] = m->now_ns;
}

/* Drops everything up to ack; true and the time when something ended exactly there. */
static bool pop_acked(struct meter *m, struct flow_tcp *t, uint32_t ack, uint64_t *ret_ns)
{
    bool exact = false;

    while (t->sent_count != 0 && seq_le(t->sent_end[t->sent_head], ack)) {
        exact = t->sent_end[t->sent_head] == ack;
        *ret_ns = t->sent_ns[t->sent_head];
        t->sent_head = (uint8_t)((t->sent_head + 1) % SENT_INLINE);
        t->sent_count--;
    }
    if (t->sent_count != 0)
        return exact;
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
        if (t->sent_list == 0)
            t->sent_tail_list = 0;
        pool_put(m->pool, done);
    }
    return exact;
}

void rtt_acked(struct meter *m, unsigned s, uint32_t ack)
{
    struct flow_tcp *t = &m->f->tcp[s];
    unsigned receiver = 1 - s;
    uint64_t sent_ns = 0;

    if (!pop_acked(m, t, ack, &sent_ns))
        return;
    bool tainted = t->karn_lo != t->karn_hi && seq_lt(t->karn_lo, ack) && seq_le(ack, t->karn_hi);
    if (tainted)
        return;
    rtt_add(&m->f->tcp[receiver].rtt, m->now_ns - sent_ns);
    meter_rtt(m, receiver, m->now_ns - sent_ns);
}

static void note_tsval(struct meter *m, struct flow_tcp *t, uint32_t tsval)
{
    if ((t->flags & SIDE_TS) && !seq_lt(t->ts_max, tsval))
        return;
    t->flags |= SIDE_TS;
    t->ts_max = tsval;
    if (t->ts_count == TS_INLINE)
        return;
    t->ts_val[t->ts_count] = tsval;
    t->ts_ns[t->ts_count] = m->now_ns;
    t->ts_count++;
}

static void match_tsecr(struct meter *m, unsigned echoing, uint32_t tsecr)
{
    struct flow_tcp *t = &m->f->tcp[1 - echoing];
    unsigned done = 0;

    while (done < t->ts_count && seq_le(t->ts_val[done], tsecr)) {
        if (t->ts_val[done] == tsecr)
            rtt_add(&m->f->tcp[echoing].ts_rtt, m->now_ns - t->ts_ns[done]);
        done++;
    }
    t->ts_count = (uint8_t)(t->ts_count - done);
    for (unsigned i = 0; i < t->ts_count && done != 0; i++) {
        t->ts_val[i] = t->ts_val[i + done];
        t->ts_ns[i] = t->ts_ns[i + done];
    }
}

void rtt_timestamps(struct meter *m)
{
    const struct pkt *p = m->p;

    note_tsval(m, &m->f->tcp[p->sender], p->tsval);
    if (p->tcp_flags & TCP_ACK)
        match_tsecr(m, p->sender, p->tsecr);
}

void rtt_finish(struct meter *m, unsigned s)
{
    struct flow_tcp *t = &m->f->tcp[s];

    pool_put_list(m->pool, &t->sent_list);
    t->sent_tail_list = 0;
    t->sent_count = 0;
}
