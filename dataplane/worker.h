/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_WORKER_H
#define SPANWARD_WORKER_H

/*
 * A worker: one pipeline with all its state, shared with nobody.
 *
 * worker_process takes a burst through every stage; worker_tick lets time pass when there is no traffic. Time is the
 * packets' time, clamped so that it never runs backwards. Nothing in here knows where packets come from: the rx
 * backends (rx_pcap.c, rx_dpdk.c) own the loop. After worker_new no memory is taken, no file, clock or log is touched.
 */

#include "common/record.h"
#include "common/service.h"
#include "common/site.h"
#include "dataplane/batch.h"
#include "dataplane/rec_writer.h"

struct worker;

struct worker_options {
    uint16_t id;
    uint32_t mirror;
    uint32_t flows;          /* table size of this worker */
    uint32_t buckets;        /* of the table, to begin with: a power of two; 0: all */
    bool backed;             /* flows' memory is there from the start, near the calling thread's processor */
    uint32_t trouble_blocks; /* nodes of its pool */
    uint32_t dns_entries;
    uint32_t max_paths, max_services;
    uint64_t tcp_idle_ns, other_idle_ns, closed_linger_ns;
    uint64_t active_ns; /* 0: no split */
    uint64_t window_ns;
    bool vlan_in_key;
    bool general_only; /* no packet is taken for clean (clean.h): for tests, which compare both ways */
    struct rec_writer writer;
    const struct site_table *sites;
    const struct service_table *services;
};

/* 0, -ENOMEM. */
int worker_new(const struct worker_options *options, struct worker **ret_worker);
void worker_free(struct worker *w);

/* All stages for a burst whose rx fields are filled in. */
void worker_process(struct worker *w, struct batch *b);

/* The same for a burst that was clamped and decoded by a stage in front of several workers (reshard.h). */
void worker_process_decoded(struct worker *w, struct batch *b);

/* Time has come to now_ns without packets: windows close, flows expire. Bounded work per call. */
void worker_tick(struct worker *w, uint64_t now_ns);

/* The input has ended: all flows leave, the last window closes, REC_EOF is sent. */
void worker_finish(struct worker *w);

/* What a stage in front of the workers counted on behalf of one of them. */
struct worker_share {
    struct ledger ledger; /* offered, processed and drops that no worker sees */
    uint64_t clock_backwards, wrong_worker;
    uint64_t fragments_unmatched, fragments_malformed, fragments_evicted;
    uint64_t peak_1ms_bytes; /* of the window that is open */
};
void worker_add(struct worker *w, const struct worker_share *share);

/* Sends an event of the mirror's; its header is filled in here. The worker's own thread only, as for all calls. */
void worker_event(struct worker *w, const struct rec_event *event);

/* Packets of this burst were left out by the capture filter: offered, and dropped as filtered. */
void worker_count_filtered(struct worker *w, uint64_t pkts);
/* Packets of a link type that no decoder knows: offered, and dropped as unknown. */
void worker_count_unknown(struct worker *w, uint64_t pkts);

/* For benchmarks: worker_process that adds the time stamp counter's ticks of each stage. */
#define WORKER_STAGES 5u
void worker_process_timed(struct worker *w, struct batch *b, uint64_t ticks[WORKER_STAGES]);
const char *worker_stage_name(unsigned stage); /* "decode", "dedup", "lookup", "meter", "aggregate" */

/* All tables and pools of this worker, divided by n_flows. */
double worker_bytes_per_flow(const struct worker *w, uint32_t n_flows);

const struct ledger *worker_ledger(const struct worker *w);
uint64_t worker_general_pkts(const struct worker *w); /* packets of flows that were not clean (clean.h) */
uint64_t worker_clock_ns(const struct worker *w);

#endif
