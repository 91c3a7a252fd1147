/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_TRUTH_READ_H
#define SPANWARD_LAB_TRUTH_READ_H

/*
 * The truth of a run, read back from its files: every TCP frame with its fate, per flow and direction in the order of
 * emission, and what the sockets said.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"
#include "common/site.h"
#include "tests/lab/scenario.h"

struct truth_frame {
    uint64_t n; /* order of emission */
    uint64_t in_ns, tap_ns, out_ns;
    uint64_t captured_ns[2];
    uint64_t captured_as[2]; /* 0 = not captured */
    int64_t lo, hi;          /* sequence space, from the direction's first sequence number */
    uint32_t flow, seq, ack;
    uint16_t len, ip_id;
    uint16_t did; /* 1 << enum lab_action */
    uint8_t dir;  /* 0 = c2s */
    uint8_t flags;
    uint8_t n_sack;
    uint32_t sack[4][2];
    bool resend, needless, late_tap, late_out;
    bool refused; /* reached its receiver, which went on asking for it (PAWS, a full buffer): as good as lost there */
};

struct truth_flow {
    struct ip_addr addr[2]; /* client, server */
    uint16_t port[2];
    uint8_t af, proto;
    int64_t handshake_ns[2]; /* server's, client's side; -1 = null */
    uint32_t first_seq[2];
    uint64_t first_captured_ns;
    uint64_t min_rtt_us; /* the smaller of what both sockets say; 0 = nothing */
    size_t frames[2], n_frames[2];
};

/* Immutable once read. frame[] is ordered by flow, direction, n. */
struct truth {
    struct truth_frame *frame;
    size_t n_frames;
    struct truth_flow *flow;
    size_t n_flows;
    uint64_t data_pkts, resent_pkts, needless_pkts;
    uint64_t paws_drops; /* by the kernels' own count */
    uint64_t total_retrans, dsack_dups, not_settled, not_ok;
    uint64_t capture_frames;
    uint64_t delivered, late; /* frames that the relay handed on; of these, too late: see lab_was_busy */
};

static inline bool truth_did(const struct truth_frame *f, enum lab_action a)
{
    return (f->did >> a & 1) != 0;
}

/* Reads PREFIX.truth.json and PREFIX.truth.ndjson.gz. 0 or -errno; on failure nothing is left. */
int truth_read(const char *prefix, struct truth **ret, struct error *e);
void truth_free(struct truth *t);

#endif
