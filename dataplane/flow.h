/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FLOW_H
#define SPANWARD_FLOW_H

/*
 * The flow record: everything that is known about one biflow, in five cache lines.
 *
 * State is kept per endpoint (0, 1 in the order of the key), since who is the client may be learnt later; `client`
 * says which endpoint that is, and only export and aggregation turn endpoints into c2s and s2c. In side[e] is what
 * endpoint e *sends*: its data, and the verdicts about that data; and what it says as a receiver: its window, its
 * duplicate ACKs.
 *
 * Small widths are the rule, so that a clean packet touches three lines and one with a sample one more:
 *
 *   times      within a flow 32 bits of nanoseconds do, since flow_age (tcp_rtt.c) moves a segment that has waited for
 *              two seconds into a node with its whole time, and counts a TSval's wait in microseconds from then on
 *   counters   32 or 16 bits; when one has its top bit set, flow_spill (trouble.c) adds them all to 64-bit sums
 *   trouble    loss, repeats, resets, closed windows: a block from a bounded pool, from the first such event on
 *
 * Owner: one worker. Lifetime: from flow_table insert to release. All lists hold indices into the worker's pool.
 */

#include <stddef.h>

#include "common/record.h"
#include "dataplane/batch.h"
#include "dataplane/pool.h"

#define SENT_INLINE 4u

enum flow_flags {
    FLOW_CLIENT_KNOWN = 1 << 0,
    FLOW_MIDSTREAM = 1 << 1,
    FLOW_LOSS_UNSURE = 1 << 2,
    FLOW_CLOSED = 1 << 3, /* FINs both ways or a reset: lingers for late packets */
    FLOW_REFUSED = 1 << 4,
    FLOW_ESTABLISHED = 1 << 5,  /* counted as connect */
    FLOW_SYNACK_FIRST = 1 << 6, /* SYN/ACK captured before its SYN: no handshake sample */
    FLOW_HS_SERVER = 1 << 7,
    FLOW_HS_CLIENT = 1 << 8,
    FLOW_SACK = 1 << 9, /* the receiver reports by SACK, so a bare duplicate ACK is no signal */
    FLOW_DNS_TRUNCATED = 1 << 10,
    FLOW_SYNACK_SEEN = 1 << 11,
    FLOW_IN_TUNNEL = 1 << 12,
    FLOW_IN_VLAN = 1 << 13, /* vlan_agg counts: any packet had a tag */
    FLOW_PMTU = 1 << 14,    /* some packet of it was too big: pmtu_meter looks at all of them for a while */
    FLOW_SPLIT = 1 << 15,   /* its sums found no room: ends as if active too long, and goes on in a new record */
};

enum side_flags {
    SIDE_SYN = 1 << 0,
    SIDE_SYN_REPEATED = 1 << 1,
    SIDE_FIN = 1 << 2,
    SIDE_BASE = 1 << 3,      /* base, nxt and una count */
    SIDE_DATA_SEEN = 1 << 4, /* nxt comes from a segment, not only from the peer's ACKs */
    SIDE_ACK_SEEN = 1 << 5,  /* una comes from an ACK of the peer */
    SIDE_ZERO_WINDOW = 1 << 6,
    SIDE_TS = 1 << 7,           /* ts_max counts */
    SIDE_TS_WAITS = 1 << 8,     /* ts_val waits for its echo, since ts_time */
    SIDE_TS_FAR = 1 << 9,       /* ... for so long that ts_time is in units of TS_FAR_SHIFT */
    SIDE_TROUBLE = 1 << 10,     /* one of the lists in the trouble block may be non-empty */
    SIDE_HELD_COPIES = 1 << 11, /* the mirror held copies of this side back so long that samples have to be bounded */
    SIDE_SACK_PERM = 1 << 12,   /* its SYN offered SACK */
    SIDE_GAP_OPEN = 1 << 13,    /* nothing of this side was seen since its last hole began */
    SIDE_PROBE = 1 << 14,       /* a byte at nxt was sent against a closed window */
    SIDE_SENT_MORE = 1 << 15,   /* the samples in flight are more than the ring takes: all are in nodes */
};

/* What a sender's IP ids have shown so far, for copies: two bits per endpoint. */
enum id_state { ID_NONE, ID_FIRST, ID_MOVES, ID_CONSTANT };

/* The same for the age of its data segments: do they only grow? */
enum id_run { RUN_NONE, RUN_FIRST, RUN_ONE, RUN_TWO, RUN_MONOTONE, RUN_BROKEN };

/* How often packets of undoubted identity were copied by the mirror: decayed counts. */
struct copy_evidence {
    uint8_t originals, copies;
};

/* A round-trip time's statistics; n = 0: the rest means nothing. */
struct rtt_stat {
    uint64_t sum_ns;
    uint64_t min_ns, max_ns;
    uint32_t n;
};

/*
 * The same in 16 bytes, all zero when empty. Extremes are rtt_pack()ed, the least one inverted so that both are
 * maxima. sum_n: sum << 20 | n.
 */
struct rtt_small {
    uint32_t inv_min, max;
    uint64_t sum_n;
};

#define RTT_N_BITS 20u
#define RTT_FULL   (1ull << 63 | 1ull << (RTT_N_BITS - 1)) /* sum_n with one of these bits has to be spilled */

/* What only flows without TCP need, in the place of their first side's state. */
struct flow_other {
    uint32_t dns; /* list of transactions, index into the DNS pool */
    uint32_t icmp_unanswered;
    uint8_t first_icmp_type, first_icmp_code;
    uint8_t pad[6];
    struct rtt_stat icmp_echo;
};

/* Samples in flight in nodes of the worker's pool, oldest first. */
struct sent_list {
    uint32_t head, tail;
    uint32_t n; /* nodes: bounded */
};

/* All that a packet of an endpoint, or an answer to it, may touch: a line. */
struct tcp_side {
    uint32_t pkts, bytes; /* of any protocol */
    union {
        struct {
            uint32_t base;                  /* first byte that is judged */
            uint32_t nxt;                   /* highest sequence end seen */
            uint32_t una;                   /* highest ACK of the peer */
            uint32_t ts_max;                /* newest TSval */
            uint32_t ts_val;                /* TSval that waits for its echo */
            uint32_t ts_time;               /* when it was first seen: low 32 bits of ns */
            uint16_t flags;                 /* enum side_flags */
            uint16_t window;                /* last advertised, unscaled */
            uint16_t ip_id;                 /* of its latest new data */
            uint8_t id_run;                 /* enum id_run */
            uint8_t sent_n;                 /* samples in flight, oldest first: */
            uint16_t sent_end[SENT_INLINE]; /* low 16 bits, less than 64 Ki above una */
            union {
                uint32_t sent_time[SENT_INLINE]; /* low 32 bits of ns */
                struct sent_list sent_list;      /* with SIDE_SENT_MORE; sent_n is 0 then */
            };
        };
        struct flow_other other; /* in the first side of a flow without TCP */
    };
};
static_assert(sizeof(struct tcp_side) == 64 && offsetof(struct tcp_side, sent_time) % 16 == 0, "a line a side");

struct flow {
    /* line 0: who, and where we stand */
    struct short_key key; /* key.tunnel_agg: window entry of its tunnel, with FLOW_IN_TUNNEL */
    uint64_t last_ns;
    uint64_t turn_ns : 48;  /* when the latest burst of data, or else the handshake, came: low bits */
    uint64_t vlan_agg : 16; /* window entry of its VLAN, with FLOW_IN_VLAN */
    uint16_t flags;         /* enum flow_flags */
    uint8_t client : 1;     /* endpoint */
    uint8_t path_a : 1;     /* endpoint that is on side A of the path */
    uint8_t last_data : 2;  /* endpoint that sent the latest data, 2 = none */
    uint8_t reset : 1;      /* ended by RST, not by FINs */
    uint8_t n_vlans : 3;
    uint8_t l2_bytes;       /* frame less IP length, of most packets */
    uint16_t path, service; /* window entries */
    uint16_t id_last[2];
    struct copy_evidence evidence;
    uint8_t id_state : 4;   /* enum id_state of endpoint e at bit 2 e */
    uint8_t is_clean : 1;   /* nothing is open that a packet in order could touch: see clean.h */
    uint8_t same_id : 2;    /* while clean, bit e: endpoint e's IP id is expected to be the one before */
    uint8_t is_settled : 1; /* another original is no news to its evidence of copies */
    uint8_t first_tick;    /* first_ns in the worker's ticks of activity, low bits: tells cheaply that it is too long */
    uint32_t data_pkts[2]; /* TCP segments with data */

    /* lines 1 and 2 */
    struct tcp_side side[2];

    /* line 3: what samples of an ACK go to */
    struct rtt_small rtt[2];    /* tap <-> endpoint by its ACKs */
    struct rtt_small ts_rtt[2]; /* ... by its TSecr */

    /* line 4: what a packet rarely needs */
    struct rtt_small response, think;
    uint64_t first_ns;
    uint32_t syn_ns, synack_ns; /* low 32 bits; with FLOW_HS_SERVER and FLOW_HS_CLIENT the handshake's two parts */
    uint32_t trouble;           /* block, 0 = none */
    uint32_t app;               /* list of nodes: what only some flows have, see app.h; 0 = none */
    uint16_t over_bytes[2];     /* frame bytes above l2_bytes */
    uint16_t dup_pkts[2];
} __attribute__((aligned(64)));
static_assert(offsetof(struct flow, side) == 64 && offsetof(struct flow, rtt) == 192 &&
                  offsetof(struct flow, response) == 256 && sizeof(struct flow) == 320,
              "lines as marked");

/* Durations in 32 bits, in the order of their length: exact in ns below 2^31, in whole us above, at most 35 min. */
static inline uint32_t rtt_pack(uint64_t ns)
{
    if (__builtin_expect(ns < 1u << 31, 1))
        return (uint32_t)ns;
    return ns / 1000 < 1u << 31 ? (uint32_t)(ns / 1000) | 1u << 31 : UINT32_MAX;
}

static inline uint64_t rtt_unpack(uint32_t packed)
{
    return packed < 1u << 31 ? packed : (uint64_t)(packed & ~(1u << 31)) * 1000;
}

/* Returns whether flow_spill is due. */
static inline bool rtt_small_add(struct rtt_small *r, uint64_t ns)
{
    uint32_t packed = rtt_pack(ns);

    r->inv_min = ~packed > r->inv_min ? ~packed : r->inv_min;
    r->max = packed > r->max ? packed : r->max;
    r->sum_n += (rtt_unpack(packed) << RTT_N_BITS) + 1; /* of what min and max are made, so that they fit together */
    return __builtin_expect((r->sum_n & RTT_FULL) != 0, 0);
}

static inline uint32_t rtt_small_n(const struct rtt_small *r)
{
    return (uint32_t)r->sum_n & ((1u << RTT_N_BITS) - 1);
}

static inline uint64_t rtt_small_sum_ns(const struct rtt_small *r)
{
    return r->sum_n >> RTT_N_BITS;
}

/* 0 without a sample. */
static inline uint64_t rtt_min_ns(const struct rtt_small *r)
{
    return rtt_small_n(r) != 0 ? rtt_unpack(~r->inv_min) : 0;
}

/* For states outside the record, which have nowhere to spill to: half a million samples are enough. */
static inline void rtt_small_add_most(struct rtt_small *r, uint64_t ns)
{
    if (!(r->sum_n & RTT_FULL))
        rtt_small_add(r, ns);
}

static inline struct rec_rtt rtt_small_rec(const struct rtt_small *r)
{
    return (struct rec_rtt){.n = rtt_small_n(r),
                            .min_ns = rtt_unpack(~r->inv_min),
                            .max_ns = rtt_unpack(r->max),
                            .sum_ns = rtt_small_sum_ns(r)};
}

static inline void rtt_add(struct rtt_stat *r, uint64_t ns)
{
    if (r->n == 0 || ns < r->min_ns)
        r->min_ns = ns;
    if (ns > r->max_ns)
        r->max_ns = ns;
    r->sum_ns += ns;
    r->n++;
}

static inline bool flow_is_two_way(const struct flow *f)
{
    return f->side[0].pkts != 0 && f->side[1].pkts != 0;
}

#define TS_FAR_SHIFT 10u /* units of 1.024 us: 32 bits last 73 minutes */

/* How long a TSval with SIDE_TS_FAR has waited by then; no longer than half of what 32 bits last (flow_age). */
static inline uint64_t flow_ts_far_ns(const struct tcp_side *t, uint64_t now_ns)
{
    return (uint64_t)((uint32_t)(now_ns >> TS_FAR_SHIFT) - t->ts_time) << TS_FAR_SHIFT;
}

/* A time that the record keeps in 32 bits: no older than 4.2 s when the packet before came (see tcp_rtt.c). */
static inline uint64_t flow_whole_ns(const struct flow *f, uint32_t time)
{
    return f->last_ns - (uint32_t)((uint32_t)f->last_ns - time);
}

#define TURN_MASK ((1ull << 48) - 1) /* of turn_ns: three days */

static inline uint64_t since_turn_ns(const struct flow *f, uint64_t now_ns)
{
    return (now_ns - f->turn_ns) & TURN_MASK;
}

#endif
