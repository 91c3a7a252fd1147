/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TCP_RTT_H
#define SPANWARD_TCP_RTT_H

/*
 * Round-trip times on both sides of the tap; the method is told in tcp_rtt.c. What every packet does is inline here,
 * what needs a node is a call.
 */

#include "common/seq.h"
#include "dataplane/meter.h"
#include "dataplane/verdict_trace.h"

#define FLOW_AGE_SHIFT                                                                                                 \
    31u /* flow_age is due when a packet's time and the one before differ from this bit on: 2.1 s                      \
         */

void rtt_sent_more(struct meter *m, unsigned s, uint32_t end);
bool rtt_pop_more(struct meter *m, unsigned s, uint32_t ack, uint64_t *ret_ns);

/* Endpoint s sent new data ending at `end`: wait for its ACK. */
static inline void rtt_sent(struct meter *m, unsigned s, uint32_t end)
{
    struct tcp_side *t = &m->f->side[s];
    unsigned n = t->sent_n;

    if (__builtin_expect(n == SENT_INLINE || (t->flags & SIDE_SENT_MORE) || end - t->una > UINT16_MAX, 0)) {
        rtt_sent_more(m, s, end);
        return;
    }
    t->sent_time[n] = (uint32_t)m->now_ns;
    t->sent_end[n] = (uint16_t)end;
    t->sent_n = (uint8_t)(n + 1);
}

/* Drops what ended by ack from the ring, una being the old one; returns whether the last of it ended exactly there. */
static inline bool rtt_pop(struct meter *m, unsigned s, uint32_t ack, uint64_t *ret_ns)
{
    struct tcp_side *t = &m->f->side[s];
    uint32_t distance = ack - t->una, last = 0;
    unsigned n = t->sent_n, k = 0;

    while (k < n && (uint32_t)(uint16_t)(t->sent_end[k] - (uint16_t)t->una) <= distance) {
        last = (uint16_t)(t->sent_end[k] - (uint16_t)t->una);
        *ret_ns = (uint32_t)((uint32_t)m->now_ns - t->sent_time[k]);
        k++;
    }
    if (k == 0)
        return false;
    t->sent_n = (uint8_t)(n - k);
    for (unsigned i = k; i < n; i++) {
        t->sent_time[i - k] = t->sent_time[i];
        t->sent_end[i - k] = t->sent_end[i];
    }
    return last == distance;
}

/* A sample between the tap and `endpoint`, by its ACK at hand or by its TSecr. */
static inline void rtt_take(struct meter *m, unsigned endpoint, uint64_t rtt_ns)
{
    meter_stat(m, &m->f->rtt[endpoint], rtt_ns);
    meter_rtt(m, endpoint, rtt_ns);
    trace_rtt(m, endpoint, RTT_ACK, m->p->tcp_ack, rtt_ns);
}

static inline void ts_rtt_take(struct meter *m, unsigned endpoint, uint64_t rtt_ns)
{
    meter_stat(m, &m->f->ts_rtt[endpoint], rtt_ns);
    trace_rtt(m, endpoint, RTT_TIMESTAMP, m->p->tsecr, rtt_ns);
}

/* The peer of s acknowledged `ack`, above una, which is still the old one: sample if it fits exactly and
 * unambiguously. */
static inline void rtt_acked(struct meter *m, unsigned s, uint32_t ack)
{
    struct tcp_side *t = &m->f->side[s];
    uint64_t rtt_ns = 0;
    bool exact = rtt_pop(m, s, ack, &rtt_ns);

    if (__builtin_expect((t->flags & SIDE_SENT_MORE) != 0, 0))
        exact = rtt_pop_more(m, s, ack, &rtt_ns);
    if (exact)
        rtt_take(m, 1 - s, rtt_ns);
}

/* Of a round trip: what the mirror may hold a copy back before it matters; half of it for each of a sample's ends. */
#define HELD_PARTS 32u

/*
 * Rule 0 for samples of `responder`, where the mirror is known to hold copies back: did this packet come so soon after
 * another of its sender that it cannot have been held by much, since it would have been overtaken?
 */
bool rtt_is_bounded_by(const struct meter *m, unsigned responder);

static inline bool rtt_is_bounded(const struct meter *m, unsigned responder)
{
    unsigned flags = m->f->side[0].flags | m->f->side[1].flags;

    return __builtin_expect((flags & SIDE_HELD_COPIES) == 0, 1) || rtt_is_bounded_by(m, responder);
}

#define HELD_FORGET_NS (10 * NS_PER_S)

/* The same for a handshake, whose packets stand alone: may the mirror have held one of them for a 32nd of its time? */
static inline bool rtt_may_be_held(const struct meter *m, uint64_t rtt_ns)
{
    if (__builtin_expect(!m->pools->any_held, 1))
        return false;
    const struct held_evidence *h = &m->pools->held[shard_of_pkt(m->p)];
    return h->copies > 1 && h->copies > h->noticed && m->now_ns - h->latest_ns <= HELD_FORGET_NS &&
           h->longest_ns >= rtt_ns / HELD_PARTS;
}

/* The peer of s acknowledged `ack` by a packet that is not bounded: no sample. */
void rtt_skip(struct meter *m, unsigned s, uint32_t ack);

/* The packet's own TSval, if it is new and none waits. */
static inline void rtt_note_tsval(struct meter *m, unsigned s, uint32_t tsval)
{
    struct tcp_side *t = &m->f->side[s];

    if ((t->flags & SIDE_TS) && !seq_lt(t->ts_max, tsval))
        return;
    t->ts_max = tsval;
    if (!(t->flags & SIDE_TS_WAITS)) {
        t->ts_val = tsval;
        t->ts_time = (uint32_t)m->now_ns;
    }
    t->flags |= SIDE_TS | SIDE_TS_WAITS;
}

/* How long the TSval that waits has done so. */
static inline uint64_t rtt_ts_waited_ns(const struct tcp_side *t, uint64_t now_ns)
{
    if (__builtin_expect((t->flags & SIDE_TS_FAR) != 0, 0))
        return flow_ts_far_ns(t, now_ns);
    return (uint32_t)((uint32_t)now_ns - t->ts_time);
}

/* The TSecr of `echoing`: the first that is not below the TSval that waits ends the wait. */
static inline void rtt_match_tsecr(struct meter *m, unsigned echoing, uint32_t tsecr)
{
    struct tcp_side *t = &m->f->side[1 - echoing];

    if (!(t->flags & SIDE_TS_WAITS) || seq_lt(tsecr, t->ts_val))
        return;
    if (t->ts_val == tsecr)
        ts_rtt_take(m, echoing, rtt_ts_waited_ns(t, m->now_ns));
    t->flags &= (uint16_t) ~(SIDE_TS_WAITS | SIDE_TS_FAR);
}

/* What has waited for two seconds is kept otherwise from now on, since 32 bits of ns last four. f->last_ns is still
 * that of the packet before.
 */
void flow_age(struct meter *m);

/* Forgets the samples in flight: what follows is ambiguous. */
void rtt_forget(struct meter *m, unsigned s);

/* The end of the latest segment in flight that s had sent by then, or una; false when none in flight is known. */
bool rtt_sent_by(const struct meter *m, unsigned s, uint64_t by_ns, uint32_t *ret_end);

/* Bytes from `start` on were sent again: what is in flight above gives no sample (Karn). */
void rtt_forget_above(struct meter *m, unsigned s, uint32_t start);

/* Gives back what waits. */
void rtt_finish(struct meter *m, unsigned s);

#endif
