/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_ANALYTICS_H
#define SPANWARD_ANALYTICS_H

/*
 * Analytics: one thread that drains the workers' rings, assembles and rolls up windows, ranks flows and hosts, judges
 * the mirrors, and feeds two sinks: the store (optional) and a stream of NDJSON records (optional).
 *
 * Use: fill the options, analytics_start; let the workers run (each ends with REC_EOF); analytics_join when they are
 * done. A worker that ends without REC_EOF is no trouble: after analytics_join was called, a
 * ring that is empty counts as ended.
 *
 * Reading files: the writer side waits for room in the ring, so nothing is lost; without `live`, NDJSON flows and
 * events are sorted and written at the end. Live: the ring absorbs the time that a slow store takes (at most one
 * command time-out of 1 s at a stretch), NDJSON goes out as it comes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/config.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/service.h"
#include "common/site.h"
#include "common/spsc.h"
#include "common/window.h"
#include "store/store.h"

#define ANALYTICS_MIRRORS_MAX 16

struct analytics_options {
    struct spsc *const *rings; /* one per worker; the caller frees them after analytics_join */
    unsigned n_rings;
    const uint32_t *ring_mirror; /* which mirror each worker reads, for the ledger; NULL: all mirror 0 */
    const struct site_table *sites;
    const struct service_table *services;
    const char *const *mirror_names;            /* index = rec_scope.mirror */
    unsigned n_mirrors;                         /* 1..ANALYTICS_MIRRORS_MAX */
    const uint64_t *mirror_capacity_bits_per_s; /* NULL or 0: unknown */
    const struct config_circuit *circuits;      /* behind sites; may be NULL with n_circuits = 0 */
    size_t n_circuits;
    const char *sensor;
    const char *version;
    uint64_t window_ns; /* whole seconds */
    bool live;

    const char *store_url;             /* NULL: no store */
    const struct store_options *store; /* log-in, TLS, Sentinels; url and time-outs are not used. NULL: none */
    uint64_t spool_bytes;              /* 0: 64 MiB; a limit, not an allocation */
    const char *spool_dir;             /* where the spool goes that memory cannot keep; NULL: nowhere */
    uint64_t spool_disk_bytes;         /* its limit; 0: none */
    volatile int *stop;                /* set to 1 when analytics cannot go on for good; may be NULL */

    FILE *ndjson;      /* NULL: none; stays open */
    size_t sort_bytes; /* memory for sorting before runs go to a temporary file; 0: 32 MiB */

    /*
     * What the NIC or the capture library itself lost, since start, in ret_nic->drops and ->unsupported (offered and
     * processed are ignored: offered = the workers' offered + these drops). Called from the analytics thread at
     * window ends and at the end; must be safe there. NULL: none.
     */
    void (*nic_ledger)(void *ctx, uint32_t mirror, struct ledger *ret_nic);
    void *nic_ctx;
};

#define VERDICT_NOTES      8
#define VERDICT_NOTE_BYTES 224

/* What a mirror is worth. A has_ flag that is false: cannot be known from what was seen; null in JSON. */
struct verdict {
    bool has_both_directions, both_directions;
    bool has_capture_loss;
    bool truncated;
    double duplicate_pct, capture_loss_pct;
    unsigned n_notes;
    char note[VERDICT_NOTES][VERDICT_NOTE_BYTES]; /* plain words, safe to print */
};

struct analytics_mirror {
    char name[64];
    struct ledger ledger; /* offered == processed + sum of drops */
    struct verdict verdict;
};

/* The whole run. */
struct analytics_result {
    int status;         /* 0, or -errno of the first sink that failed for good */
    struct error error; /* its reason */
    unsigned n_mirrors;
    struct analytics_mirror mirror[ANALYTICS_MIRRORS_MAX];
    uint64_t first_ns, last_ns; /* data time seen in windows; 0 = none */
    uint64_t flows, events, windows_closed, late_parts, bad_messages;
    uint64_t ring_dropped; /* messages that found a ring full (workers' count) */
    uint64_t flows_evicted;
    uint64_t spool_waiting; /* store items left on disk for the next run */
    uint64_t spool_dropped; /* store items given up because the spool was full, or at the end without a store */
    uint64_t store_refused, reconnects;
    bool stored; /* a store was asked for and holds everything */
};

struct analytics;

/* 0, or -EINVAL, -ENOMEM, -errno of the temporary file or thread. A store that is not there is no error when live (it
 * may come). */
int analytics_start(const struct analytics_options *options, struct analytics **ret_analytics, struct error *e);

/* Waits until the rings are drained and the sinks have everything (a store that is away gets 5 s more). Frees a. */
void analytics_join(struct analytics *a, struct analytics_result *ret_result);

#endif
