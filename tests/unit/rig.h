/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_RIG_H
#define SPANWARD_TESTS_RIG_H

/*
 * A worker with what it needs around it: a ring to write to, a table of sites and one of services. rig_init makes the
 * tables, to which a test may add; rig_start the worker, after which they stay as they are.
 */

#include <assert.h>

#include "common/service.h"
#include "common/site.h"
#include "common/spsc.h"
#include "common/timefmt.h"
#include "dataplane/worker.h"

struct rig {
    struct worker *worker;
    struct spsc *ring;
    struct site_table *sites;
    struct service_table *services;
};

/* Room for the few flows of a test, and the idle times with which files are read. */
static inline struct worker_options rig_options(uint64_t window_ns)
{
    return (struct worker_options){
        .flows = 1024,
        .trouble_blocks = 4096,
        .dns_entries = 2048,
        .max_paths = 64,
        .max_services = 64,
        .tcp_idle_ns = 600 * NS_PER_S,
        .other_idle_ns = 120 * NS_PER_S,
        .closed_linger_ns = 5 * NS_PER_S,
        .window_ns = window_ns,
    };
}

static inline void rig_init(struct rig *r, size_t ring_bytes)
{
    *r = (struct rig){.ring = spsc_new(ring_bytes), .sites = site_table_new(), .services = service_table_new()};
    assert(r->ring != NULL && r->sites != NULL && r->services != NULL);
}

static inline void rig_start(struct rig *r, struct worker_options options)
{
    site_table_finish(r->sites);
    options.writer.ring = r->ring;
    options.sites = r->sites;
    options.services = r->services;
    int error = worker_new(&options, &r->worker);
    assert(error == 0);
    (void)error;
}

static inline void rig_fini(struct rig *r)
{
    worker_free(r->worker);
    spsc_free(r->ring);
    site_table_free(r->sites);
    service_table_free(r->services);
}

#endif
