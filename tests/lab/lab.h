/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_H
#define SPANWARD_LAB_H

/* One run of the lab, from a scenario to a capture and its truth. */

#include <stdint.h>
#include "common/log.h"
#include "tests/lab/relay.h"
#include "tests/lab/scenario.h"
#include "tests/lab/truth.h"

/* Where the results go; NULL = not wanted, but the capture is. */
struct lab_outputs {
    const char *capture; /* pcapng */
    const char *frames;  /* truth, one line per frame and report; ".gz" packs it */
    const char *summary; /* truth, sums per flow and in total, one JSON object */
};

/* What the sockets say about all connections that ended in order. */
struct lab_endpoints {
    uint64_t reports;       /* connections, each end counted */
    uint64_t not_ok;        /* refused, timed out, failed: wanted where a scenario asks for them */
    uint64_t not_settled;   /* ok, but the last ACK did not come: their counts are lower bounds */
    uint64_t total_retrans; /* sum of tcpi_total_retrans */
    uint64_t dsack_dups;
    uint64_t sent_bytes, received_bytes;
};

struct lab_result {
    struct lab_truth_sums total;
    struct lab_endpoints endpoints;
    struct lab_relay_counts relay;
    uint64_t flows;
    uint64_t capture_frames, capture_bytes;
    uint64_t device_drops; /* lost in a TAP's queue: not chosen by a rule, must be 0 */
    uint64_t ran_ns;
    uint64_t rule_hits[LAB_MAX_RULES];
};

/* 0; -EPERM or -ENODEV when this machine cannot run it; -ETIME or -EFBIG when a limit of the scenario cut it short;
 * -EINTR after SIGINT or SIGTERM; -EIO when the lab itself lost frames. Whatever it returns, no process, device or
 * namespace is left. Call it from a process with one thread. */
int lab_run(const struct lab_scenario *s, const struct lab_outputs *out, struct lab_result *ret, struct error *e);

#endif
