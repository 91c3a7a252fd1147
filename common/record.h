/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RECORD_H
#define SPANWARD_RECORD_H

/*
 * The contract from dataplane to analytics: what a worker puts into its ring.
 *
 * Every message starts with struct rec_hdr and is a multiple of 8 bytes. All fields have fixed widths and the
 * sizes are asserted below; RECORD_VERSION changes with any of them. Messages of one worker arrive in the order in
 * which they were made. At each window's end a worker sends its parts (REC_WINDOW, one per scope object that had
 * traffic) and then REC_WINDOW_END: when all workers have sent that, the window is complete. A worker without traffic
 * still sends REC_WINDOW_END from idle ticks. REC_EOF is a worker's last message.
 *
 * Times are ns since the epoch. A number that cannot be known is flagged, never 0.
 */

#include <assert.h>
#include <stdint.h>
#include "common/counters.h"
#include "common/hist.h"
#include "common/service.h"
#include "common/site.h"
#include "common/window.h"

#define RECORD_VERSION 4

enum rec_type {
    REC_FLOW = 1,   /* struct rec_flow, then n_dns x rec_dns, n_rtp x rec_rtp, n_rtcp x rec_rtcp */
    REC_WINDOW,     /* struct rec_window, then n_items[*] x hist_item for each histogram in order */
    REC_WINDOW_END, /* struct rec_window_end */
    REC_EVENT,      /* struct rec_event */
    REC_EOF,        /* struct rec_hdr alone */
};

struct rec_hdr {
    uint32_t len_bytes; /* whole message */
    uint16_t type;      /* enum rec_type */
    uint16_t worker;
};

/* Sides of a flow: index 0 = c2s (sent by the client), 1 = s2c. */
enum { C2S = 0, S2C = 1 };

struct rec_rtt {
    uint64_t n; /* n = 0: min and max are null */
    uint64_t min_ns, max_ns, sum_ns;
};

enum flow_end {
    FLOW_END_FIN,
    FLOW_END_RST,
    FLOW_END_IDLE,
    FLOW_END_ACTIVE,
    FLOW_END_EVICTED,
    FLOW_END_EOF,
    FLOW_END_COUNT
};
enum tcp_state { TCP_SYN_SENT, TCP_ESTABLISHED, TCP_CLOSING, TCP_CLOSED, TCP_RESET, TCP_STATE_COUNT };
enum tunnel_type {
    TUNNEL_NONE,
    TUNNEL_VXLAN,
    TUNNEL_VXLAN_GPE,
    TUNNEL_GENEVE,
    TUNNEL_GRE,
    TUNNEL_ERSPAN,
    TUNNEL_GTPU,
    TUNNEL_IPIP,
    TUNNEL_6IN4,
    TUNNEL_MPLS,
    TUNNEL_PPPOE,
    TUNNEL_L2TP,
    TUNNEL_TZSP,
    TUNNEL_COUNT
};

enum rec_flow_flags {
    RFLOW_CLIENT_KNOWN = 1 << 0, /* by SYN, or by a listed service port */
    RFLOW_ONE_WAY = 1 << 1,      /* one direction only: loss is null */
    RFLOW_MIDSTREAM = 1 << 2,
    RFLOW_TCP = 1 << 3, /* the TCP part is filled in */
    RFLOW_ICMP = 1 << 4,
    RFLOW_QUIC = 1 << 5,
    RFLOW_REFUSED = 1 << 6,
    RFLOW_UNANSWERED = 1 << 7,  /* SYN never answered */
    RFLOW_SAMPLED = 1 << 8,     /* the mirror samples: no loss at all */
    RFLOW_LOSS_UNSURE = 1 << 9, /* state for trouble ran out: loss is a lower bound */
    RFLOW_HAS_HANDSHAKE_SERVER = 1 << 10,
    RFLOW_HAS_HANDSHAKE_CLIENT = 1 << 11,
    RFLOW_DNS_TRUNCATED = 1 << 12, /* more DNS transactions than could be kept */
    RFLOW_ICMP_ERRORS = 1 << 13,   /* ICMP errors about its packets: icmp_… count */
    RFLOW_PMTU = 1 << 14,          /* packets too big for their path: pmtu counts */
};

struct rec_dir {
    uint64_t pkts, bytes, frame_bytes, dup_pkts, second_hop_pkts;
};

/* Names as in the JSON contract. */
struct rec_tcp_dir {
    uint64_t retrans_bytes, capture_lost_bytes, zero_window_us;
    uint32_t data_pkts, retrans_pkts, lost_upstream_pkts, lost_downstream_pkts, lost_unknown_pkts, spurious_pkts;
    uint32_t reordered_pkts, capture_gaps, dup_acks, keepalives, zero_windows, rst;
};

/* What a sender did about packets that were too big for the path. */
struct rec_pmtu {
    uint32_t mtu_bytes;    /* what a router said fits, 0 = none said anything */
    uint32_t too_big_pkts; /* sent all the same, after the grace; or repeats of a large segment */
    uint8_t told, adapted, black_hole;
    uint8_t pad[5];
};

struct rec_flow {
    struct rec_hdr hdr;
    uint64_t first_ns, last_ns;
    struct ip_addr addr[2]; /* [0] client, [1] server */
    uint16_t port[2];       /* host order; ICMP: type and code of the first packet */
    uint8_t proto;
    uint8_t af;        /* 4 or 6 */
    uint8_t end;       /* enum flow_end */
    uint8_t tcp_state; /* enum tcp_state */
    uint32_t flags;    /* enum rec_flow_flags */
    uint8_t n_vlans;
    uint8_t tunnel; /* enum tunnel_type */
    uint8_t tunnel_af;
    uint8_t pad0;
    uint16_t vlan[4];
    uint32_t tunnel_id;
    struct ip_addr tunnel_src, tunnel_dst;
    struct site_id site[2]; /* of client, server */
    struct service_id service;
    struct rec_dir dir[2];
    struct rec_tcp_dir tcp[2];
    uint64_t handshake_server_ns, handshake_client_ns; /* valid by flag */
    struct rec_rtt rtt[2];                             /* [0] tap<->client, [1] tap<->server */
    struct rec_rtt ts_rtt[2];                          /* same, from TCP timestamps */
    struct rec_rtt response, think, icmp_echo;
    uint32_t syn_retries;
    uint32_t icmp_unanswered;
    struct rec_rtt spin_rtt[2], spin_rtt_full; /* QUIC */
    uint64_t quic_handshake_ns;                /* tap<->server, 0 = none */
    uint64_t quic_client_ns;                   /* tap<->client, 0 = none */
    struct rec_rtt transit;                    /* second hops: time through the device in between */
    struct rec_pmtu pmtu[2];                   /* by direction of the packets */
    uint32_t icmp_unreachable, icmp_ttl_exceeded, icmp_too_big;
    uint32_t quic_version;
    uint16_t n_dns, n_rtp, n_rtcp, pad1;
    uint32_t pad2;
};

enum rec_dns_flags { RDNS_ANSWERED = 1, RDNS_QUERY_SEEN = 2 };

struct rec_dns {
    uint64_t rtt_ns; /* valid when answered and the query was seen */
    uint16_t id, qtype, rcode, retries;
    uint8_t flags;
    uint8_t name_len;
    uint8_t name[254]; /* dotted, raw label bytes: escape before showing */
};

struct rec_rtp {
    uint64_t expected, lost, reordered, dup;
    uint64_t jitter_ns;
    uint32_t ssrc;
    uint32_t clock_hz; /* 0 = not known: no jitter */
    uint8_t dir;
    uint8_t payload_type;
    uint16_t mos_centi; /* 100 x MOS, an estimate; 0 = none */
    uint32_t paused;    /* numbers that passed in silences of 2 s and more: not in expected */
};

/* What a receiver said about one source. */
struct rec_rtcp {
    struct rec_rtt rtt; /* tap<->receiver, from LSR and DLSR */
    uint32_t reports, ssrc, jitter_units;
    int32_t lost;
    uint8_t dir;                         /* that the report was sent in */
    uint8_t fraction_max, fraction_last; /* lost, in 256ths, between two reports */
    uint8_t pad[5];
};

/*
 * The key of a window part. Which fields count depends on the scope. Equal keys are equal bytes.
 *   vlan     mirror; service.port is the outer id, service.named 1 + the inner id or 0, service.proto 1
 *   tunnel   site[] are the ends as addresses, the smaller first, af 0 when there are none; service.proto is the type,
 *            service.named and .port the upper and lower half of the id
 */
struct rec_scope {
    uint8_t scope; /* enum window_scope */
    uint8_t pad[3];
    uint32_t mirror;
    struct site_id site[2]; /* path: A and B, in the bytewise order of their names */
    struct service_id service;
};

struct rec_window {
    struct rec_hdr hdr;
    struct rec_scope key;
    uint64_t start_ns, length_ns;
    struct window_counters c;
    struct {
        uint64_t n, sum_ns, min_ns, max_ns;
        uint32_t n_items, pad;
    } hist[WINDOW_HIST_COUNT];
};

struct rec_window_end {
    struct rec_hdr hdr;
    uint64_t start_ns, length_ns;
    uint64_t clock_ns;                                  /* the worker's data time when it closed the window */
    struct ledger ledger;                               /* since start, this worker's part */
    uint64_t flows_active, flows_evicted, ring_dropped; /* ring_dropped: messages that found the ring full */
    uint64_t pool_in_use, pool_exhausted, clock_backwards;
    /* later fragments without the ports of their first, malformed datagrams, datagrams forgotten before they were whole
     */
    uint64_t fragments_unmatched, fragments_malformed, fragments_evicted;
    uint64_t wrong_worker; /* packets whose flow belongs to another worker */
};

#define REC_KV_MAX 6
struct rec_kv {
    char key[24];
    char text[72]; /* empty: the number counts */
    int64_t number;
};

struct rec_event {
    struct rec_hdr hdr;
    uint64_t ts_ns;
    uint16_t kind;    /* enum event_kind, common/events.h */
    uint8_t severity; /* enum event_severity */
    uint8_t n_kv;
    uint32_t mirror;
    char subject[96];
    struct rec_kv kv[REC_KV_MAX];
};

static_assert(sizeof(struct rec_hdr) == 8, "rec_hdr");
static_assert(sizeof(struct rec_dns) == 8 + 8 + 256, "rec_dns");
static_assert(sizeof(struct rec_rtp) % 8 == 0 && sizeof(struct rec_rtcp) % 8 == 0, "8-aligned");
static_assert(sizeof(struct rec_flow) % 8 == 0 && sizeof(struct rec_window) % 8 == 0, "8-aligned");
static_assert(sizeof(struct rec_window_end) % 8 == 0 && sizeof(struct rec_event) % 8 == 0, "8-aligned");

const char *flow_end_name(enum flow_end e);
const char *tcp_state_name(enum tcp_state s);
const char *tunnel_type_name(enum tunnel_type t);

#endif
