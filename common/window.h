/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_WINDOW_H
#define SPANWARD_WINDOW_H

/*
 * What an object of one scope (mirror, path, service, ...) counts in one window.
 *
 * The tables below are the single list of window counters: the dataplane adds to them, analytics
 * merges them, the store packs them, control and the CLI read them, and docs/COUNTERS.md is printed
 * from them. Counters are per direction; for a path direction 0 is a2b (A is the site whose name sorts
 * first), for a service, host, mirror, VLAN and tunnel direction 0 is c2s (towards the server), for a circuit direction
 * 0 comes from the site behind it; side A is that site then.
 *
 * Loss in a direction is split at the tap: lost_upstream happened between the sender's side and the
 * tap, lost_downstream between the tap and the receiver's side. Numbers about loss rest only on flows seen in
 * both directions; data_pkts counts all data segments, judged_pkts those of two-way flows.
 */

#include <stdint.h>
#include "common/hist.h"

/* name, unit, description */
#define WINDOW_DIR_COUNTERS(X)                                                                                         \
    X(pkts, "packets", "packets, copies left out")                                                                     \
    X(bytes, "bytes", "IP total length, copies left out")                                                              \
    X(frame_bytes, "bytes", "bytes on the wire without FCS, copies left out")                                          \
    X(dup_pkts, "packets", "copies that the mirror itself delivered twice")                                            \
    X(second_hop_pkts, "packets", "copies seen again behind another device")                                           \
    X(data_pkts, "packets", "TCP segments with data")                                                                  \
    X(judged_pkts, "packets", "TCP data segments of flows seen in both directions")                                    \
    X(retrans_pkts, "packets", "segments judged a retransmission, whatever the cause")                                 \
    X(lost_upstream_pkts, "packets", "lost between the sender and the tap")                                            \
    X(lost_downstream_pkts, "packets", "lost between the tap and the receiver")                                        \
    X(lost_unknown_pkts, "packets", "lost, side unknown")                                                              \
    X(spurious_pkts, "packets", "sent again although the first copy had arrived")                                      \
    X(reordered_pkts, "packets", "arrived late, not lost")                                                             \
    X(capture_lost_bytes, "bytes", "acknowledged but never shown by the mirror")                                       \
    X(capture_gaps, "gaps", "places where the mirror missed data")                                                     \
    X(dup_acks, "packets", "duplicate acknowledgements sent in this direction")                                        \
    X(zero_windows, "transitions", "times this side closed its receive window")                                        \
    X(zero_window_us, "microseconds", "time this side kept its receive window closed")                                 \
    X(rst, "packets", "resets sent in this direction")

#define WINDOW_COUNTERS(X)                                                                                             \
    X(new_flows, "flows", "flows first seen in this window")                                                           \
    X(ended_flows, "flows", "flows that ended in this window")                                                         \
    X(one_way_flows, "flows", "ended flows of which the mirror showed one direction only")                             \
    X(midstream_flows, "flows", "TCP flows picked up without their handshake")                                         \
    X(connects, "connections", "TCP connections established")                                                          \
    X(refused_connects, "connections", "connection attempts answered with a reset")                                    \
    X(unanswered_connects, "connections", "connection attempts never answered")                                        \
    X(syn_retries, "packets", "repeated SYNs")                                                                         \
    X(dns_queries, "queries", "DNS queries, retries left out")                                                         \
    X(dns_failures, "queries", "DNS answers with an error code")                                                       \
    X(dns_unanswered, "queries", "DNS queries never answered")                                                         \
    X(icmp_unanswered, "requests", "echo requests never answered")                                                     \
    X(icmp_errors, "packets", "ICMP errors (unreachable, time exceeded, too big)")                                     \
    X(fragments, "packets", "IP fragments")                                                                            \
    X(l2_pkts, "frames", "known frames that carry no IP (ARP, LLDP, STP, ...)")                                        \
    X(truncated_pkts, "packets", "packets captured shorter than they were sent")                                       \
    X(peak_1ms_bytes, "bytes", "most frame bytes in any 1 ms of the window")

enum window_hist {
    WINDOW_HIST_RTT_A,    /* tap <-> side A (path) or client (service, mirror) */
    WINDOW_HIST_RTT_B,    /* tap <-> side B (path) or server */
    WINDOW_HIST_RESPONSE, /* last request byte -> first response byte, less tap <-> server */
    WINDOW_HIST_DNS,      /* DNS query -> answer */
    WINDOW_HIST_COUNT
};

#define X(name, unit, text) uint64_t name;
struct window_dir {
    WINDOW_DIR_COUNTERS(X)
};

struct window_counters {
    struct window_dir dir[2];
    WINDOW_COUNTERS(X)
};
#undef X

/* Adds `from` to `into`; peak_1ms_bytes takes the maximum. */
void window_counters_merge(struct window_counters *into, const struct window_counters *from);

enum window_quality {
    WINDOW_OK,     /* loss may be published and tickets may rest on it */
    WINDOW_UNSURE, /* capture loss above 1 %, or mostly one-way: no ticket may rest on it */
    WINDOW_BLIND,  /* the sensor itself lost packets or saw nothing of a flow's other half */
};
const char *window_quality_name(enum window_quality q); /* "ok", "unsure", "blind" */

/* Quality from what the mirror missed: capture_lost_bytes against bytes, judged against all data segments. */
enum window_quality window_quality_of(const struct window_counters *c);

/* A latency distribution as it is stored and shown: quantiles in ns, all 0 when n == 0. */
struct window_quantiles {
    uint64_t n;
    uint64_t min_ns, p10_ns, p50_ns, p90_ns, p99_ns, max_ns;
};
void window_quantiles_of(struct window_quantiles *q, const struct hist *h);

/* The share of acknowledgeable segments that gave one of n samples, 0..1; NAN when there were none. */
double rtt_coverage(uint64_t n, uint64_t ackable);

/* The same for WINDOW_HIST_RTT_A or _B: data towards that side that was seen with its ACKs, and a handshake's half. */
double window_rtt_coverage(const struct window_counters *c, enum window_hist side, uint64_t n);

/* Symbol, name, what its objects are. Numbers are written to files: append only. */
#define WINDOW_SCOPES(X)                                                                                               \
    X(MIRROR, "mirror", "a captured port: its configured name, interface or file name")                                \
    X(PATH, "path", "a pair of sites A~B")                                                                             \
    X(SERVICE, "service", "a configured name, a well-known one, or proto/port")                                        \
    X(HOST, "host", "an address; those with most bytes in a window")                                                   \
    X(CIRCUIT, "circuit", "the id of a configured circuit: the sum of the paths behind it")                            \
    X(VLAN, "vlan", "the id, OUTER.INNER where there are two; MIRROR/ID on a sensor with several mirrors")             \
    X(TUNNEL, "tunnel", "type, id and ends: vxlan/100 192.0.2.1~192.0.2.2")

enum window_scope {
#define X(symbol, name, text) WINDOW_##symbol,
    WINDOW_SCOPES(X)
#undef X
        WINDOW_SCOPE_COUNT
};
const char *window_scope_name(enum window_scope s);
/* The scope of that name, WINDOW_SCOPE_COUNT when there is none. */
enum window_scope window_scope_of(const char *name);

#define WINDOW_NAME_BYTES 160

/*
 * A closed window as analytics publishes it and as control and the CLI read it.
 * name: mirror name, "A~B" for a path, "https" or "tcp/8443" for a service. Not trusted: escape on output.
 */
struct window {
    enum window_scope scope;
    enum window_quality quality;
    uint8_t missing_pct; /* share of the time that the sensor did not watch (started, stopped, lost windows), 0..100 */
    char name[WINDOW_NAME_BYTES];
    uint64_t start_ns;
    uint64_t length_ns;
    struct window_counters c;
    struct window_quantiles q[WINDOW_HIST_COUNT];
};

#endif
