/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_VERDICT_TRACE_H
#define SPANWARD_VERDICT_TRACE_H

/*
 * Every verdict of the loss classifier, and every RTT sample, one by one.
 *
 * Records hold sums; whoever compares the probe with a known truth needs to know which bytes a verdict was about. The
 * hooks are NULL in the probe. A test sets them before a worker starts and resets them when it has ended; with several
 * workers they are called from all of them.
 */

#include "dataplane/meter.h"

/* X(name, field of rec_tcp_dir or of the direction that counts it) */
#define VERDICT_CLASSES(X)                                                                                             \
    X(upstream, lost_upstream_pkts)                                                                                    \
    X(downstream, lost_downstream_pkts)                                                                                \
    X(unknown, lost_unknown_pkts)                                                                                      \
    X(spurious, spurious_pkts)                                                                                         \
    X(reordered, reordered_pkts)                                                                                       \
    X(capture, capture_lost_bytes)                                                                                     \
    X(copy, dup_pkts)                                                                                                  \
    X(hop, second_hop_pkts)

enum verdict_class {
#define X(name, field) VERDICT_##name,
    VERDICT_CLASSES(X)
#undef X
        VERDICT_COUNT
};

struct verdict {
    const struct flow_key *key;
    uint64_t flow_first_ns; /* tells connections on the same ports apart */
    uint64_t ts_ns;         /* of the packet that brought the verdict */
    uint32_t seq_lo, seq_hi;
    uint8_t sender; /* endpoint whose bytes [seq_lo, seq_hi) it is about */
    uint8_t class;  /* enum verdict_class */
};

enum rtt_kind { RTT_ACK, RTT_TIMESTAMP, RTT_HANDSHAKE };

struct rtt_sample {
    const struct flow_key *key;
    uint64_t flow_first_ns;
    uint64_t ts_ns;  /* of the packet that ended it */
    uint64_t rtt_ns; /* tap -> responder -> tap */
    uint32_t seq;    /* RTT_ACK: the acknowledgement; RTT_TIMESTAMP: the TSecr */
    uint8_t responder;
    uint8_t kind; /* enum rtt_kind */
};

extern void (*verdict_hook)(const struct verdict *v);
extern void (*rtt_hook)(const struct rtt_sample *sample);

static inline void trace_verdict(const struct meter *m, unsigned s, enum verdict_class what, uint32_t lo, uint32_t hi)
{
    if (verdict_hook == NULL)
        return;
    const struct verdict v = {
        .key = m->key,
        .flow_first_ns = m->f->first_ns,
        .ts_ns = m->now_ns,
        .seq_lo = lo,
        .seq_hi = hi,
        .sender = (uint8_t)s,
        .class = (uint8_t)what,
    };
    verdict_hook(&v);
}

static inline void trace_rtt(const struct meter *m, unsigned responder, enum rtt_kind kind, uint32_t seq, uint64_t ns)
{
    if (rtt_hook == NULL)
        return;
    const struct rtt_sample sample = {
        .key = m->key,
        .flow_first_ns = m->f->first_ns,
        .ts_ns = m->now_ns,
        .rtt_ns = ns,
        .seq = seq,
        .responder = (uint8_t)responder,
        .kind = (uint8_t)kind,
    };
    rtt_hook(&sample);
}

/* Counts a verdict about [lo, hi) of s and tells of it. */
#define VERDICT(m, s, class, field, lo, hi)                                                                            \
    do {                                                                                                               \
        METER_COUNT(m, s, field, 1);                                                                                   \
        trace_verdict(m, s, VERDICT_##class, lo, hi);                                                                  \
    } while (0)

#endif
