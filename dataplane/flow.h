/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FLOW_H
#define SPANWARD_FLOW_H

/*
 * The flow record: everything that is known about one biflow.
 *
 * State is kept per endpoint (0, 1 in the order of the key), since who is the client may be learnt later; `client`
 * says which endpoint that is, and only export and aggregation turn endpoints into c2s and s2c. In tcp[e] is what
 * endpoint e *sends*: its data, and the verdicts about that data; and what it says as a receiver: its window, its
 * duplicate ACKs.
 *
 * Owner: one worker. Lifetime: from flow_table insert to release. All lists hold indices into the worker's pool.
 */

#include <stddef.h>

#include "common/record.h"
#include "dataplane/batch.h"
#include "dataplane/pool.h"

#define FLOW_HOT_LINES 8u /* that a clean packet touches */
#define SENT_INLINE    4u

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
};

enum side_flags {
    SIDE_SYN = 1 << 0,
    SIDE_SYN_REPEATED = 1 << 1,
    SIDE_FIN = 1 << 2,
    SIDE_BASE = 1 << 3,      /* base, nxt and una count */
    SIDE_DATA_SEEN = 1 << 4, /* nxt comes from a segment, not only from the peer's ACKs */
    SIDE_ACK_SEEN = 1 << 5,  /* una comes from an ACK of the peer */
    SIDE_ZERO_WINDOW = 1 << 6,
    SIDE_TS = 1 << 9,           /* ts_max counts */
    SIDE_ID = 1 << 10,          /* ip_id counts */
    SIDE_ID_MONOTONE = 1 << 12, /* and has only grown so far */
    SIDE_TROUBLE = 1 << 19,     /* one of the cold lists may be non-empty */
    SIDE_TAINTED = 1 << 18,     /* karn_lo and karn_hi count */
    SIDE_SACK_PERM = 1 << 17,   /* its SYN offered SACK */
    SIDE_GAP_OPEN = 1 << 16,    /* nothing of this side was seen since its last hole began */
    SIDE_PROBE = 1 << 15,       /* a byte at nxt was sent against a closed window */
};

/* What a sender's IP ids have shown so far. */
enum id_state { ID_NONE, ID_FIRST, ID_MOVES, ID_CONSTANT };

/* How often packets of undoubted identity were copied by the mirror: decayed counts. */
struct copy_evidence {
    uint16_t originals, copies;
};

/* A round-trip time's statistics; n = 0: the rest means nothing. */
struct rtt_stat {
    uint64_t sum_ns;
    uint64_t min_ns, max_ns;
    uint32_t n;
};

/* The same in 24 bytes, for those that every packet may touch: extremes as rtt_pack, exact below 2.1 s. */
struct rtt_hot {
    uint64_t sum_ns;
    uint32_t n, min, max;
    uint32_t pad;
};

/* What every packet of an endpoint may touch. The samples in flight: a ring of four, oldest first. */
struct tcp_hot {
    uint32_t base;   /* first byte that is judged */
    uint32_t nxt;    /* highest sequence end seen */
    uint32_t una;    /* highest ACK of the peer */
    uint32_t ts_max; /* newest TSval */
    uint32_t flags;  /* enum side_flags */
    uint16_t ip_id;
    uint16_t window; /* last advertised, unscaled */
    uint8_t sent_head, sent_count;
    uint8_t id_run; /* in-order segments in a row whose IP id grew; 255 = it does not grow */
    uint8_t pad;
    uint32_t sent_end[SENT_INLINE];
    uint32_t sent_time[SENT_INLINE]; /* low 32 bits of ns: all within 4.2 s of sent_first_ns */
    uint32_t sent_list;              /* overflow: oldest node, 0 = none */
};
static_assert(sizeof(struct tcp_hot) == 64, "one line");

/* What only some packets of an endpoint touch. */
struct tcp_cold {
    uint32_t karn_lo, karn_hi; /* ends in (karn_lo, karn_hi] give no sample */
    uint32_t sent_tail;        /* newest node of the overflow */
    uint32_t holes;            /* ranges not seen, ascending */
    uint32_t sacked;           /* ranges above una that the receiver has, ascending */
    uint32_t pending;          /* repeats whose verdict waits, oldest first */
    uint32_t missing;          /* ranges that the tap saw and the receiver reports missing */
    uint32_t n_nodes;          /* of the four lists: bounded */
    uint64_t zero_since_ns;
    uint64_t dup_pkts, second_hop_pkts;
    struct rec_tcp_dir count;
};

struct flow {
    /* line 0: who, and where we stand */
    struct flow_key key;
    uint64_t last_ns;
    uint32_t flags;    /* enum flow_flags */
    uint8_t client;    /* endpoint */
    uint8_t path_a;    /* endpoint that is on side A of the path */
    uint8_t last_data; /* endpoint that sent the latest data, 2 = none */
    uint8_t reset;     /* ended by RST, not by FINs */

    /* lines 1 and 2 */
    struct tcp_hot tcp[2];

    /* line 3 */
    uint64_t bytes[2], frame_bytes[2];
    uint32_t pkts[2];
    uint64_t sent_first_ns[2]; /* time of the oldest sample in flight */
    uint32_t ts_val[2];        /* TSval that waits for its echo */

    /* line 4 */
    struct rtt_hot rtt[2]; /* tap <-> endpoint by its ACKs */
    uint64_t ts_ns[2];     /* when ts_val was first seen, 0 = none waits */

    /* line 5 */
    uint32_t path, service; /* window entries */
    struct copy_evidence evidence;
    uint16_t id_last[2];
    uint8_t id_state[2]; /* enum id_state, per sender */
    uint8_t n_vlans;
    uint8_t first_icmp_type, first_icmp_code;
    uint8_t more_scopes; /* bits METER_VLAN, METER_TUNNEL: more_agg counts */
    uint8_t pad[2];
    uint32_t data_pkts[2];           /* TCP segments with data */
    uint32_t timer_next, timer_prev; /* wheel; index into the table */
    uint32_t timer_slot;
    uint32_t bucket;
    uint64_t request_ns;             /* the client's latest data */
    uint64_t idle_since_response_ns; /* think time starts */

    /* line 6: turns of request and response */
    struct rtt_stat response, think;

    /* line 7 */
    struct rtt_stat ts_rtt[2]; /* tap <-> endpoint by its TSecr */

    /* cold */
    struct tcp_cold cold[2];
    uint16_t vlan[MAX_VLANS];
    struct site_id site[2];
    uint64_t handshake_server_ns, handshake_client_ns;
    uint64_t first_ns;
    uint64_t syn_ns, synack_ns;
    uint32_t syn_retries;
    uint32_t icmp_unanswered;
    struct rtt_stat icmp_echo;
    uint32_t dns;         /* list of transactions, index into the DNS pool */
    uint32_t echo;        /* list of echo requests that wait */
    uint32_t outer;       /* the tunnel that it is in, 0 = none */
    uint32_t more_agg[2]; /* window entries of its VLAN and tunnel */
} __attribute__((aligned(64)));
static_assert(offsetof(struct flow, bytes) == 3 * 64 && offsetof(struct flow, response) == 6 * 64 &&
                  offsetof(struct flow, cold) == 8 * 64,
              "lines as marked");

/* Durations in 32 bits, in the order of their length: exact in ns below 2^31, in units of 64 ns above, at most 137 s.
 */
static inline uint32_t rtt_pack(uint64_t ns)
{
    if (ns < 1u << 31)
        return (uint32_t)ns;
    return ns >> 6 < 1u << 31 ? (uint32_t)(ns >> 6) | 1u << 31 : UINT32_MAX;
}

static inline uint64_t rtt_unpack(uint32_t packed)
{
    return packed < 1u << 31 ? packed : (uint64_t)(packed & ~(1u << 31)) << 6;
}

static inline void rtt_hot_add(struct rtt_hot *r, uint64_t ns)
{
    uint32_t packed = rtt_pack(ns);

    if (r->n == 0 || packed < r->min)
        r->min = packed;
    if (packed > r->max)
        r->max = packed;
    r->sum_ns += rtt_unpack(packed); /* of what min and max are made, so that they fit together */
    r->n++;
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

/* 0 without a sample. */
static inline uint64_t rtt_min_ns(const struct rtt_hot *r)
{
    return r->n != 0 ? rtt_unpack(r->min) : 0;
}

static inline bool flow_is_two_way(const struct flow *f)
{
    return f->pkts[0] != 0 && f->pkts[1] != 0;
}

#endif
