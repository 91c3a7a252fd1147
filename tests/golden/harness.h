/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_HARNESS_H
#define SPANWARD_TESTS_HARNESS_H

/* Runs a capture file through a worker in this process and keeps what came out of its ring. */

#include "common/record.h"

struct run {
    struct rec_flow *flow; /* in the order of first_ns */
    size_t n_flows;
    struct rec_dns **dns; /* of flow i, n_dns entries */
    struct rec_rtp **rtp; /* n_rtp */
    struct rec_event *event;
    size_t n_events;
    struct window_counters mirror; /* all windows together */
    struct ledger ledger;
    int end; /* enum rx_pcap_end, or -errno of the open */
    char error[256];
};

/* Idle time-outs as for reading files: 600 s and 120 s. */
void run_capture(const char *path, struct run *ret_run);
void run_free(struct run *r);

/* Sums over both directions and all flows of one rec_tcp_dir field. */
#define RUN_SUM(r, field)                                                                                              \
    ({                                                                                                                 \
        uint64_t sum_ = 0;                                                                                             \
        for (size_t i_ = 0; i_ < (r)->n_flows; i_++)                                                                   \
            sum_ += (r)->flow[i_].tcp[0].field + (r)->flow[i_].tcp[1].field;                                           \
        sum_;                                                                                                          \
    })

/* The folder of shared captures, or NULL when it is not there: the test then skips. */
const char *captures_dir(void);

#endif
