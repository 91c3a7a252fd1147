/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLEAN_H
#define SPANWARD_CLEAN_H

/*
 * The packet that nearly all are, in one piece: a TCP segment of a connection without open trouble, in order,
 * acknowledging nothing that was not seen, no copy, no fragment, whole. For such a one every meter's part is known
 * beforehand, so all of it stands here once more, without a branch that the packet's kind decides: at random visits
 * nobody can foretell whether data or an ACK comes next, and a wrong guess costs as much as sixty instructions. What is
 * rare is a call. clean_meter says no, having touched nothing, to every other packet: that one takes the general way
 * (worker.c, tcp.c), which would do the same to this one; a test sends both ways what a generator makes, and compares.
 *
 * What a packet finds out (a round trip, a turn of the conversation) goes into a list and is worked off behind the
 * burst, when the lines of the flow's statistics and of the histograms have come: clean_settle. Before any packet
 * that takes the general way the list is worked off, too, so that nothing is seen in another order.
 */

#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include "dataplane/tcp_rtt.h"
#include "dataplane/worker_state.h"

/* Which samples in flight, of at most four, an ACK ends. */
struct clean_popped {
    unsigned n;
    bool exact; /* the last of them ends just there */
};

/* ends: 16 bits each, above una; distance: from una to the ACK, not 0; live: how many of the four count. */
static inline struct clean_popped clean_pop_scalar(const uint16_t ends[SENT_INLINE], uint32_t una, uint32_t distance,
                                                   unsigned live)
{
    struct clean_popped popped = {0};

    for (; popped.n < live; popped.n++) {
        uint16_t above = (uint16_t)(ends[popped.n] - una);
        if (above > distance)
            break;
        popped.exact = above == distance;
    }
    return popped;
}

#ifdef __SSE4_1__
/* The same at once. */
static inline struct clean_popped clean_pop(const uint16_t ends[SENT_INLINE], uint32_t una, uint32_t distance,
                                            unsigned live)
{
    static_assert(SENT_INLINE == 4, "half a register");
    __m128i limit = _mm_set1_epi16((short)(distance <= UINT16_MAX ? distance : UINT16_MAX));
    __m128i above = _mm_sub_epi16(_mm_loadl_epi64((const __m128i *)(const void *)ends), _mm_set1_epi16((short)una));
    unsigned counts = (1u << 2 * live) - 1;
    unsigned ended = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi16(_mm_min_epu16(above, limit), above)) & counts;
    unsigned equal = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi16(above, limit)) & counts;

    return (struct clean_popped){.n = (unsigned)__builtin_popcount(ended) / 2,
                                 .exact = equal != 0 && distance <= UINT16_MAX};
}

/* Takes the first k times, k at most 4, out of four. */
static inline void clean_shift(uint32_t time[SENT_INLINE], uint16_t end[SENT_INLINE], unsigned k)
{
    static const _Alignas(16) uint8_t from[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15};
    __m128i order = _mm_loadu_si128((const __m128i *)(const void *)(from + 4 * k));
    __m128i times = _mm_load_si128((const __m128i *)(const void *)time);
    uint64_t ends;

    _mm_store_si128((__m128i *)(void *)time, _mm_shuffle_epi8(times, order));
    memcpy(&ends, end, sizeof(ends));
    ends >>= 16 * k & 63; /* all four gone: what is left does not count */
    memcpy(end, &ends, sizeof(ends));
}
#else
static inline struct clean_popped clean_pop(const uint16_t ends[SENT_INLINE], uint32_t una, uint32_t distance,
                                            unsigned live)
{
    return clean_pop_scalar(ends, una, distance, live);
}

static inline void clean_shift(uint32_t time[SENT_INLINE], uint16_t end[SENT_INLINE], unsigned k)
{
    memmove(time, time + k, (SENT_INLINE - k) * sizeof(*time));
    memmove(end, end + k, (SENT_INLINE - k) * sizeof(*end));
}
#endif

/* ---- clean.c: what is rare, and what waits ---- */

/* Works off what the packets of this burst found out. */
void clean_settle_all(struct worker *w);

/* Data that the ring of samples in flight has no room for; ACKs of such data. */
void clean_sent_more(struct worker *w, struct flow *f, struct pkt *p, uint32_t end);
bool clean_pop_more(struct worker *w, struct flow *f, struct pkt *p, uint64_t *ret_ns);

/* A frame of another length than its datagram and the link header; counters that are full. */
void clean_overflow(struct worker *w, struct flow *f, struct pkt *p, int32_t over_bytes);

/* The VLAN and the tunnel of a packet. */
void count_more_windows(struct worker *w, const struct flow *f, const struct pkt *p, unsigned is_data,
                        unsigned is_judged);

static inline void clean_settle(struct worker *w)
{
    if (w->n_findings != 0)
        clean_settle_all(w);
}

/* ---- windows ---- */

static inline void count_window(struct agg *a, unsigned dir, uint32_t ip_bytes, uint32_t wire_bytes, unsigned is_data,
                                unsigned is_judged)
{
    struct window_dir *d = &a->c.dir[dir];

    d->pkts++;
    d->bytes += ip_bytes;
    d->frame_bytes += wire_bytes;
    d->data_pkts += is_data;
    d->judged_pkts += is_judged;
}

/* Counts a packet in all windows of its flow. */
static inline void count_windows(struct worker *w, const struct flow *f, const struct pkt *p, unsigned is_data,
                                 unsigned is_judged)
{
    struct agg *path = agg_at(&w->agg[METER_PATH], f->path);
    struct agg *service = agg_at(&w->agg[METER_SERVICE], f->service);
    uint32_t ip_bytes = p->ip_bytes, wire_bytes = p->wire_len;
    unsigned path_dir = p->sender ^ f->path_a, client_dir = p->sender ^ f->client;

    agg_count_peak(path, p->ts_ns, wire_bytes);
    count_window(path, path_dir, ip_bytes, wire_bytes, is_data, is_judged);
    count_window(service, client_dir, ip_bytes, wire_bytes, is_data, is_judged);
    if (__builtin_expect((f->flags & (FLOW_IN_VLAN | FLOW_IN_TUNNEL)) != 0, 0))
        count_more_windows(w, f, p, is_data, is_judged);
}

/* ---- the packet ---- */

/* Of itself: TCP with ACK and maybe PSH, whole, no fragment, no SACK, no copy, not only a notice, not DNS. */
static inline bool clean_packet(const struct pkt *p)
{
    const unsigned whole = PKT_L4_OK, torn = PKT_FRAGMENT | PKT_TRUNCATED;
    uint32_t kind, ports;

    static_assert(offsetof(struct pkt, notice) == offsetof(struct pkt, tcp_flags) + 3, "one word");
    memcpy(&kind, &p->tcp_flags, sizeof(kind));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    kind = __builtin_bswap32(kind);
#endif
    memcpy(&ports, p->id.port, sizeof(ports));
    unsigned dirty = ((kind & ~(uint32_t)TCP_PSH) ^ TCP_ACK) | ((p->flags & (whole | torn)) ^ whole);
    return (dirty == 0) & ((uint16_t)ports != 53) & (ports >> 16 != 53);
}

/*
 * A packet on its way through clean_meter: what it says and what its flow knew, read once, because to the compiler any
 * store may alter anything.
 */
struct clean {
    struct tcp_side *t, *peer; /* the sender's, the receiver's */
    uint64_t ts_ns;
    uint32_t ack, seq, payload;
    unsigned s, is_data;         /* sender; has it a payload? */
    unsigned flags, peer_flags;  /* of both sides, before */
    uint32_t una, news;          /* of the peer: acknowledged before, and by this packet */
};

/* In its flow: see the top. */
static inline bool clean_in_flow(const struct worker *w, const struct flow *f, const struct pkt *p,
                                 const struct clean *c)
{
    const unsigned open = SIDE_TROUBLE | SIDE_ZERO_WINDOW | SIDE_GAP_OPEN | SIDE_PROBE | SIDE_TS_FAR;
    uint32_t awaited = c->peer->nxt - c->una;
    unsigned flags = f->flags, window = p->tcp_window;
    bool silent = (c->news | c->payload | (window ^ c->t->window)) == 0 && awaited != 0;
    unsigned opening = (flags & (FLOW_ESTABLISHED | FLOW_SYNACK_SEEN)) ^ FLOW_SYNACK_SEEN;
    unsigned untagged = p->n_vlans == 0 ? FLOW_IN_VLAN : flags & FLOW_IN_VLAN;
    uint64_t last_ns = f->last_ns;
    uint8_t ticks = (uint8_t)(active_tick(w, c->ts_ns) - f->first_tick);

    if (((c->seq ^ c->t->nxt) | ((c->flags | c->peer_flags) & open) | (flags & (FLOW_SPLIT | FLOW_PMTU)) |
         ((c->ts_ns ^ last_ns) >> FLOW_AGE_SHIFT) | silent) != 0)
        return false;
    return (c->news <= awaited) & (window != 0) & ((c->flags & c->peer_flags & SIDE_DATA_SEEN) != 0) & (opening != 0) &
           (untagged != 0) & (c->ts_ns - last_ns <= w->least_idle_ns) & (ticks < w->active_ticks);
}

/* What the ACK ends: returns FINDING_RTT if that is a sample, of *ret_ns. */
static inline unsigned clean_acked(struct worker *w, struct flow *f, struct pkt *p, const struct clean *c,
                                   uint64_t *ret_ns)
{
    struct tcp_side *peer = c->peer;
    unsigned n = peer->sent_n;
    struct clean_popped popped = clean_pop(peer->sent_end, c->una, c->news, c->news != 0 ? n : 0);
    bool exact = popped.exact;

    *ret_ns = (uint32_t)((uint32_t)c->ts_ns - peer->sent_time[(popped.n - 1) % SENT_INLINE]);
    clean_shift(peer->sent_time, peer->sent_end, popped.n);
    n -= popped.n;
    peer->sent_n = (uint8_t)n;
    if (__builtin_expect((c->peer_flags & SIDE_SENT_MORE) != 0, 0) && c->news != 0 && n == 0)
        exact = clean_pop_more(w, f, p, ret_ns) || exact;
    peer->una = c->ack;
    return exact ? FINDING_RTT : 0;
}

/* The data that it carries, if any. */
static inline void clean_data(struct worker *w, struct flow *f, struct pkt *p, const struct clean *c)
{
    struct tcp_side *t = c->t;
    unsigned n = t->sent_n, run = t->id_run;
    uint16_t id = p->ip_id, id_before = t->ip_id;
    uint32_t end = c->seq + c->payload;
    bool has_id = c->is_data & ((p->flags & PKT_HAS_IP_ID) != 0), grew = (int16_t)(id - id_before) > 0;
    unsigned next = run == RUN_NONE ? RUN_FIRST : !grew ? RUN_BROKEN : run + (run < RUN_MONOTONE);

    t->id_run = (uint8_t)(has_id ? next : run);
    t->ip_id = has_id ? id : id_before;
    f->data_pkts[c->s] += c->is_data;
    t->nxt = end;
    if (__builtin_expect((n == SENT_INLINE) | ((c->flags & SIDE_SENT_MORE) != 0) | (end - t->una > UINT16_MAX), 0)) {
        if (c->is_data)
            clean_sent_more(w, f, p, end);
    } else { /* without data it is the next one that counts */
        t->sent_time[n] = (uint32_t)c->ts_ns;
        t->sent_end[n] = (uint16_t)end;
        t->sent_n = (uint8_t)(n + c->is_data);
    }
}

/* Did the conversation turn? Returns FINDING_THINK, FINDING_RESPONSE or 0, and how long the other one took. */
static inline unsigned clean_turn(struct flow *f, const struct clean *c, uint64_t *ret_ns)
{
    const uint64_t mask = (1ull << 48) - 1;
    unsigned client = f->client, last = f->last_data;
    bool opened = last == 2 && (f->flags & FLOW_ESTABLISHED) != 0;
    unsigned think = (last == 1 - client) | opened ? FINDING_THINK : 0;
    unsigned response = last == client ? FINDING_RESPONSE : 0;
    uint64_t turn_ns = f->turn_ns;

    *ret_ns = (c->ts_ns - turn_ns) & mask;
    f->turn_ns = (c->is_data ? c->ts_ns : turn_ns) & mask;
    f->last_data = (c->is_data ? c->s : last) & 3;
    return (c->s == client ? think : response) & -c->is_data;
}

/* Its own TSval waits if none does; its TSecr may end the wait of the other side's: then returns FINDING_TS_RTT. Sets
 * the flags of both sides. */
static inline unsigned clean_timestamps(const struct pkt *p, const struct clean *c, uint64_t *ret_ns)
{
    struct tcp_side *t = c->t, *peer = c->peer;
    uint32_t tsval = p->tsval, tsecr = p->tsecr, max = t->ts_max, awaited = peer->ts_val, now = (uint32_t)c->ts_ns;
    unsigned has = (p->flags & PKT_HAS_TS) != 0;
    unsigned newer = has & ((c->flags & SIDE_TS) == 0 || seq_lt(max, tsval));
    unsigned begins = newer & ((c->flags & SIDE_TS_WAITS) == 0);
    unsigned ends = has & ((c->peer_flags & SIDE_TS_WAITS) != 0) & !seq_lt(tsecr, awaited);

    *ret_ns = now - peer->ts_time;
    t->ts_max = newer ? tsval : max;
    t->ts_val = begins ? tsval : t->ts_val;
    t->ts_time = begins ? now : t->ts_time;
    t->flags = (uint16_t)(c->flags | (newer ? SIDE_TS | SIDE_TS_WAITS : 0));
    peer->flags = (uint16_t)((c->peer_flags | SIDE_ACK_SEEN) & ~(ends ? SIDE_TS_WAITS : 0u));
    return (ends & (awaited == tsecr)) * FINDING_TS_RTT;
}

/* Lets the packet's flow and the windows count it. */
static inline void clean_count(struct worker *w, struct flow *f, struct pkt *p, const struct clean *c)
{
    uint32_t ip_bytes = p->ip_bytes, bytes = c->t->bytes + ip_bytes;
    int32_t over_bytes = (int32_t)(p->wire_len - ip_bytes - f->l2_bytes);

    c->t->pkts++;
    c->t->bytes = bytes;
    f->last_ns = c->ts_ns;
    count_windows(w, f, p, c->is_data, c->is_data & (c->peer->pkts != 0));
    if (__builtin_expect((bytes >> 31 | (uint32_t)over_bytes) != 0, 0))
        clean_overflow(w, f, p, over_bytes);
}

/* The whole packet; false if it is not as clean as that. It must belong to f. */
static inline __attribute__((always_inline)) bool clean_meter(struct worker *w, struct pkt *p, struct flow *f)
{
    unsigned s = p->sender;
    struct clean c = {.t = &f->side[s],
                      .peer = &f->side[1 - s],
                      .ts_ns = p->ts_ns,
                      .ack = p->tcp_ack,
                      .seq = p->tcp_seq,
                      .payload = p->payload_len,
                      .s = s,
                      .is_data = p->payload_len != 0};

    c.flags = c.t->flags;
    c.peer_flags = c.peer->flags;
    c.una = c.peer->una;
    c.news = c.ack - c.una;
    if (__builtin_expect(!clean_packet(p) || !clean_in_flow(w, f, p, &c), 0))
        return false;
    struct finding *found = &w->finding[w->n_findings];

    dedup_original(&w->dedup, f, p);
    unsigned what = clean_turn(f, &c, &found->turn_ns);
    what |= clean_timestamps(p, &c, &found->ts_rtt_ns);
    c.t->window = p->tcp_window;
    what |= clean_acked(w, f, p, &c, &found->rtt_ns);
    clean_data(w, f, p, &c);
    clean_count(w, f, p, &c);
    found->p = p;
    found->what = what;
    w->n_findings += what != 0;
    flow_prefetch(&w->table, what != 0 ? p->flow : 0, 3, 4);
    return true;
}

#endif
