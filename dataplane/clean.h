/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLEAN_H
#define SPANWARD_CLEAN_H

/*
 * The packet that nearly all are, in one piece: a TCP segment of a connection without open trouble, in order,
 * acknowledging nothing that was not seen, no copy, no fragment, whole. For such a one every meter's part is known
 * beforehand, so all of it stands here once more, without a branch that the packet's kind decides: at random visits
 * nobody can foretell whether data or an ACK comes next, and a wrong guess costs as much as sixty instructions. What is
 * rare is a call. clean_meter says no, having counted nothing, to every other packet: that one takes the general way
 * (worker.c, tcp.c), which would do the same to this one; a test sends both ways what a generator makes, and compares.
 *
 * What of the flow decides is summed up in one bit, which the general way sets behind each of its packets: is_clean. A
 * clean packet leaves its flow clean.
 *
 * What a packet finds out (a round trip, a turn of the conversation) goes into a list and is worked off behind the
 * burst, when the lines of the flow's statistics have come: clean_settle. Before a packet of
 * the same flow takes the general way, before any flow ends and before a window does, the list is worked off, too, so
 * that nothing is seen in another order.
 */

#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include "dataplane/tcp_rtt.h"
#include "dataplane/worker_state.h"

/* The same, as a word: a half word that GCC spills is read back as a word, and the processor waits for that. */
static inline uint32_t as_word(uint32_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

/* All ones or none, so that a choice is a matter of arithmetic: the compiler would see a branch in it. */
static inline uint32_t mask_of(unsigned bit)
{
    uint32_t mask = -(uint32_t)bit;

    __asm__("" : "+r"(mask));
    return mask;
}

static inline uint32_t choose(uint32_t mask, uint32_t then, uint32_t otherwise)
{
    return otherwise ^ ((otherwise ^ then) & mask);
}

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

/* Behind each packet that took the general way: could the next one be clean? */
void clean_note(const struct worker *w, struct flow *f);

/* What waits in the record for long moves to where whole times are kept. */
void clean_age(struct worker *w, struct flow *f, struct pkt *p);

/* The packet says something of how its mirror copies. */
void clean_learn(struct worker *w, struct flow *f, const struct pkt *p);

/* Works off what the packets of this burst found out. */
void clean_settle_all(struct worker *w);

/* Data that the ring of samples in flight has no room for; ACKs of such data. */
void clean_sent_more(struct worker *w, struct flow *f, struct pkt *p, uint32_t end);
bool clean_pop_more(struct worker *w, struct flow *f, struct pkt *p, uint64_t *ret_ns);

/* A frame of another length than its datagram and the link header; one that the mirror cut; counters that are full. */
void clean_count_more(struct worker *w, struct flow *f, struct pkt *p, int32_t over_bytes);

/* The VLAN and the tunnel of a packet. */
void count_more_windows(struct worker *w, const struct flow *f, const struct pkt *p, unsigned is_data,
                        unsigned is_judged);

static inline void clean_settle(struct worker *w)
{
    if (w->n_findings != 0)
        clean_settle_all(w);
}

/* The same if there is anything of this flow: a packet of its own is about to take the general way. All entries are
 * looked at, because a loop that ends here or there is guessed wrong each time. */
static inline void clean_settle_flow(struct worker *w, uint32_t flow)
{
    typedef uint32_t lanes __attribute__((vector_size(16), may_alias));
    const lanes *at = (const lanes *)(const void *)w->finding_flow, wanted = {flow, flow, flow, flow};
    lanes found = {0};

    if (w->n_findings == 0)
        return;
    for (unsigned i = 0; i < BATCH_MAX / 4; i++)
        found |= (lanes)(at[i] == wanted);
    if ((found[0] | found[1] | found[2] | found[3]) != 0)
        clean_settle_all(w);
}

/* ---- windows ---- */

static inline void count_window(struct window_dir *d, uint32_t ip_bytes, uint32_t wire_bytes, unsigned is_data,
                                unsigned is_judged)
{
    d->pkts++;
    d->bytes += ip_bytes;
    d->frame_bytes += wire_bytes;
    d->data_pkts += is_data;
    d->judged_pkts += is_judged;
}

/* Counts a packet in all windows of its flow. */
static inline __attribute__((always_inline)) void
count_windows(struct worker *w, const struct flow *f, const struct pkt *p, unsigned is_data, unsigned is_judged)
{
    struct agg *path = agg_at(&w->agg[METER_PATH], f->path);
    struct agg *service = agg_at(&w->agg[METER_SERVICE], f->service);
    uint32_t ip_bytes = p->ip_bytes, wire_bytes = p->wire_len;
    unsigned path_dir = p->sender ^ f->path_a, client_dir = p->sender ^ f->client;

    agg_count_peak(path, p->ts_ns, wire_bytes);
    count_window(&path->c.dir[path_dir], ip_bytes, wire_bytes, is_data, is_judged);
    count_window(&service->c.dir[client_dir], ip_bytes, wire_bytes, is_data, is_judged);
    if (__builtin_expect((f->flags & (FLOW_IN_VLAN | FLOW_IN_TUNNEL)) != 0, 0))
        count_more_windows(w, f, p, is_data, is_judged);
}

/* ---- the packet ---- */

/*
 * On its way through clean_meter: what the packet says and what its flow knew, read once, because to the compiler any
 * store may alter anything.
 */
struct clean {
    struct tcp_side *t, *peer; /* the sender's, the receiver's */
    uint64_t ts_ns;
    uint32_t ack, seq, payload;
    unsigned s, is_data; /* sender; has it a payload? */
    unsigned flags;      /* enum pkt_flags */
    uint32_t una, news;  /* of the peer: acknowledged before, and by this packet */
};

/* Is it TCP with ACK and maybe PSH, its header whole, no fragment, no SACK, no copy, not only a notice? */
static inline unsigned clean_kind(const struct pkt *p, unsigned flags)
{
    const unsigned whole = PKT_L4_OK, torn = PKT_FRAGMENT;
    uint32_t kind;

    static_assert(offsetof(struct pkt, notice) == offsetof(struct pkt, tcp_flags) + 3, "one word");
    memcpy(&kind, &p->tcp_flags, sizeof(kind));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    kind = __builtin_bswap32(kind);
#endif
    return ((kind & ~(uint32_t)TCP_PSH) ^ TCP_ACK) | ((flags & (whole | torn)) ^ whole);
}

/* All that has to hold, as few instructions: what must be 0 is joined by |, the rest is compared. */
static inline bool clean_is(const struct worker *w, const struct flow *f, const struct pkt *p, const struct clean *c)
{
    uint32_t awaited = c->peer->nxt - c->una, window = p->tcp_window;
    uint64_t age_ns = c->ts_ns - f->last_ns;
    uint8_t ticks = (uint8_t)(active_tick(w, c->ts_ns) - f->first_tick);
    unsigned repeats_id = p->ip_id == f->id_last[c->s];
    unsigned wrong = clean_kind(p, c->flags) | (c->seq ^ c->t->nxt) | (repeats_id ^ (f->same_id >> c->s & 1));
    uint32_t said = c->news | c->payload | (window ^ c->t->window); /* 0: the same once more */

    return f->is_clean && wrong == 0 && c->news <= awaited && window != 0 && ticks < w->active_ticks &&
           age_ns <= w->clean_idle_ns && (said != 0 || awaited == 0) && (p->n_vlans == 0 || (f->flags & FLOW_IN_VLAN));
}

/* What the ACK ends: returns FINDING_RTT if that is a sample, of *ret_ns. */
static inline unsigned clean_acked(struct worker *w, struct flow *f, struct pkt *p, const struct clean *c,
                                   uint64_t *ret_ns)
{
    struct tcp_side *peer = c->peer;
    unsigned n = peer->sent_n;
    struct clean_popped popped = clean_pop(peer->sent_end, c->una, c->news, n & mask_of(c->news != 0));
    bool exact = popped.exact;

    *ret_ns = (uint32_t)((uint32_t)c->ts_ns - peer->sent_time[(popped.n - 1) % SENT_INLINE]);
    clean_shift(peer->sent_time, peer->sent_end, popped.n);
    n -= popped.n;
    peer->sent_n = (uint8_t)n;
    if (__builtin_expect((peer->flags & SIDE_SENT_MORE) != 0, 0) && c->news != 0)
        exact = clean_pop_more(w, f, p, ret_ns);
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
    uint32_t has_id = mask_of(c->is_data & c->flags); /* PKT_HAS_IP_ID is bit 0 */
    unsigned grown = run == RUN_NONE || (int16_t)(id - id_before) > 0 ? run + (run < RUN_MONOTONE) : RUN_BROKEN;

    static_assert(PKT_HAS_IP_ID == 1 && RUN_NONE == 0 && RUN_FIRST == 1, "as clean_data has it");
    t->id_run = (uint8_t)choose(has_id, grown, run);
    t->ip_id = (uint16_t)choose(has_id, id, id_before);
    f->data_pkts[c->s] += c->is_data;
    t->nxt = end;
    if (__builtin_expect(n == SENT_INLINE || (t->flags & SIDE_SENT_MORE) || end - t->una > UINT16_MAX, 0)) {
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
    unsigned turned = c->is_data & (f->last_data ^ c->s); /* a clean flow has had data */
    uint64_t turn_ns = f->turn_ns;

    static_assert(FINDING_RESPONSE == 2 * FINDING_THINK, "by a shift");
    *ret_ns = (c->ts_ns - turn_ns) & TURN_MASK;
    f->turn_ns = (c->is_data ? c->ts_ns : turn_ns) & TURN_MASK;
    f->last_data = (f->last_data ^ turned) & 3;
    return turned * FINDING_THINK << (c->s ^ f->client);
}

/* Its own TSval waits if none does; its TSecr may end the wait of the other side's: then returns FINDING_TS_RTT. */
static inline unsigned clean_timestamps(const struct pkt *p, const struct clean *c, uint64_t *ret_ns)
{
    struct tcp_side *t = c->t, *peer = c->peer;
    uint32_t tsval = p->tsval, tsecr = p->tsecr, max = t->ts_max, awaited = peer->ts_val, now = (uint32_t)c->ts_ns;
    unsigned flags = t->flags, peer_flags = peer->flags;
    uint32_t newer = mask_of(!(flags & SIDE_TS) | seq_lt(max, tsval));
    uint32_t begins = newer & ~mask_of((flags & SIDE_TS_WAITS) != 0);
    uint32_t ends = mask_of(((peer_flags & SIDE_TS_WAITS) != 0) & !seq_lt(tsecr, awaited));

    *ret_ns = now - peer->ts_time;
    if (__builtin_expect((peer_flags & SIDE_TS_FAR) != 0, 0))
        *ret_ns = flow_ts_far_ns(peer, c->ts_ns);
    t->ts_max = choose(newer, tsval, max);
    t->ts_val = choose(begins, tsval, t->ts_val);
    t->ts_time = choose(begins, now, t->ts_time);
    t->flags = (uint16_t)(flags | (newer & (SIDE_TS | SIDE_TS_WAITS)));
    peer->flags = (uint16_t)(peer_flags & ~(ends & (SIDE_TS_WAITS | SIDE_TS_FAR)));
    return ends & FINDING_TS_RTT & -(awaited == tsecr);
}

/* Lets the packet's flow and the windows count it. */
static inline void clean_count(struct worker *w, struct flow *f, struct pkt *p, const struct clean *c)
{
    uint32_t ip_bytes = p->ip_bytes, bytes = c->t->bytes + ip_bytes;
    int32_t over_bytes = (int32_t)(p->wire_len - ip_bytes - f->l2_bytes);

    c->t->pkts++;
    c->t->bytes = bytes;
    f->last_ns = c->ts_ns;
    if (__builtin_expect(f->is_settled && dedup_is_no_news(&w->dedup, p), 1))
        f->id_last[c->s] = p->ip_id;
    else
        clean_learn(w, f, p);
    count_windows(w, f, p, c->is_data, c->is_data); /* a clean flow was seen both ways */
    if (__builtin_expect((bytes >> 31 | (uint32_t)over_bytes | (c->flags & PKT_TRUNCATED)) != 0, 0))
        clean_count_more(w, f, p, over_bytes);
}

/* The same address, of which the compiler knows nothing: else it works it out anew from the index at every use. */
static inline struct tcp_side *clean_side(struct flow *f, unsigned e)
{
    struct tcp_side *side = &f->side[e];

    __asm__("" : "+r"(side));
    return side;
}

/* The statistics that what was found goes into; of the first record, which is always at hand, where there is none. */
static inline __attribute__((always_inline)) void clean_fetch(const struct worker *w, const struct flow *f,
                                                              unsigned what)
{
    const struct flow *any = flow_at(&w->table, 0);

    fetch((what & (FINDING_RTT | FINDING_TS_RTT)) != 0 ? f->rtt : any->rtt);
    fetch((what & (FINDING_THINK | FINDING_RESPONSE)) != 0 ? (const void *)&f->response : any->rtt);
}

/* The whole packet; false if it is not as clean as that. It must belong to f. */
static inline __attribute__((always_inline)) bool clean_meter(struct worker *w, struct pkt *p, struct flow *f)
{
    unsigned s = p->sender;

    if (__builtin_expect((p->ts_ns ^ f->last_ns) >> FLOW_AGE_SHIFT != 0, 0) && f->is_clean)
        clean_age(w, f, p);
    struct clean c = {.t = clean_side(f, s),
                      .peer = clean_side(f, 1 - s),
                      .ts_ns = p->ts_ns,
                      .ack = p->tcp_ack,
                      .seq = p->tcp_seq,
                      .payload = p->payload_len,
                      .s = s,
                      .is_data = p->payload_len != 0,
                      .flags = as_word(p->flags)};

    c.una = c.peer->una;
    c.news = c.ack - c.una;
    if (__builtin_expect(!clean_is(w, f, p, &c), 0))
        return false;
    struct finding *found = &w->finding[w->n_findings];

    unsigned what = clean_turn(f, &c, &found->turn_ns);
    what |= clean_acked(w, f, p, &c, &found->rtt_ns);
    clean_data(w, f, p, &c);
    if (__builtin_expect((c.flags & PKT_HAS_TS) != 0, 1))
        what |= clean_timestamps(p, &c, &found->ts_rtt_ns);
    c.t->window = p->tcp_window;
    clean_count(w, f, p, &c);
    w->finding_flow[w->n_findings] = p->flow;
    found->p = p;
    found->what = what;
    w->n_findings += what != 0;
    clean_fetch(w, f, what);
    return true;
}

#endif
