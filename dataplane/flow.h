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

#include "common/record.h"
#include "dataplane/batch.h"
#include "dataplane/pool.h"

#define SENT_INLINE 4u
#define TS_INLINE   4u

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
    SIDE_MISSING = 1 << 7,          /* the receiver reports the seen bytes at una missing, since missing_ns */
    SIDE_MISSING_REPEATED = 1 << 8, /* and they were seen again since */
    SIDE_TS = 1 << 9,               /* ts_max counts */
    SIDE_ID = 1 << 10,              /* ip_id counts */
    SIDE_ID_MONOTONE = 1 << 12,     /* and has only grown so far */
    SIDE_SACK_PERM = 1 << 17,       /* its SYN offered SACK */
    SIDE_GAP_OPEN = 1 << 16,        /* nothing of this side was seen since its last hole began */
    SIDE_PROBE = 1 << 15,           /* a byte at nxt was sent against a closed window */
};

/* What a sender's IP ids have shown so far. */
enum id_state { ID_NONE, ID_FIRST, ID_MOVES, ID_CONSTANT };

/* How often packets of undoubted identity were copied by the mirror: decayed counts. */
struct copy_evidence {
    uint32_t originals, copies;
};

/* One endpoint of a TCP flow, as a sender and as a receiver. */
struct flow_tcp {
    /* every packet */
    uint32_t base;   /* first byte that is judged */
    uint32_t nxt;    /* highest sequence end seen */
    uint32_t una;    /* highest ACK of the peer */
    uint32_t ts_max; /* newest TSval */
    uint32_t flags;  /* enum side_flags */
    uint16_t ip_id;
    uint16_t window;               /* last advertised, unscaled */
    uint8_t sent_head, sent_count; /* inline FIFO */
    uint8_t ts_count;
    uint8_t id_run; /* in-order segments in a row whose IP id grew; 255 = it does not grow */
    uint32_t sent_end[SENT_INLINE];
    uint64_t sent_ns[SENT_INLINE];
    uint32_t sent_tail_list;    /* newest node of the FIFO's overflow */
    uint32_t sent_list;         /* oldest node */
    uint32_t karn_lo, karn_hi;  /* ends in (karn_lo, karn_hi] give no sample */
    uint32_t ts_val[TS_INLINE]; /* TSvals that wait for their echo, oldest first */
    uint64_t ts_ns[TS_INLINE];

    /* trouble */
    uint32_t holes;   /* ranges not seen, ascending */
    uint32_t sacked;  /* ranges above una that the receiver has, ascending */
    uint32_t pending; /* repeats whose verdict waits, oldest first */
    uint32_t n_nodes; /* of the three lists: bounded */
    uint64_t missing_ns;
    uint64_t zero_since_ns;
    uint64_t request_ns; /* last data byte of the current burst of this side */

    struct rec_tcp_dir count;
    struct rec_rtt rtt;    /* tap <-> this endpoint: by its ACKs */
    struct rec_rtt ts_rtt; /* the same by its TSecr */
};

struct flow {
    struct flow_key key;
    uint32_t timer_next, timer_prev; /* wheel; index into the table */
    uint32_t timer_slot;
    uint32_t bucket;

    uint64_t first_ns, last_ns;
    uint32_t flags; /* enum flow_flags */
    uint32_t path, service;
    uint8_t client;    /* endpoint */
    uint8_t path_a;    /* endpoint that is on side A of the path */
    uint8_t last_data; /* endpoint that sent the latest data, 2 = none */
    uint8_t reset;     /* ended by RST, not by FINs */
    struct copy_evidence evidence;
    uint16_t id_last[2];
    uint8_t id_state[2]; /* enum id_state, per sender */

    uint8_t n_vlans;
    uint8_t first_icmp_type, first_icmp_code;
    uint16_t vlan[MAX_VLANS];
    struct site_id site[2];

    struct rec_dir dir[2];
    struct flow_tcp tcp[2];

    uint64_t syn_ns, synack_ns;
    uint64_t handshake_server_ns, handshake_client_ns;
    uint64_t idle_since_response_ns; /* think time starts */
    uint32_t syn_retries;
    uint32_t icmp_unanswered;
    struct rec_rtt response, think, icmp_echo;
    uint32_t dns;  /* list of transactions, index into the DNS pool */
    uint32_t echo; /* list of echo requests that wait */
};

static inline void rtt_add(struct rec_rtt *r, uint64_t ns)
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
    return f->dir[0].pkts != 0 && f->dir[1].pkts != 0;
}

#endif
