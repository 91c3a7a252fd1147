/* SPDX-License-Identifier: BSD-3-Clause */

/* See harness.h. */

#include "tests/golden/harness.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/timefmt.h"
#include "dataplane/rx_pcap.h"

#define RING_BYTES (128u << 20)

const char *captures_dir(void)
{
    const char *dir = getenv("SPANWARD_CAPTURES");

    return dir != NULL && access(dir, R_OK) == 0 ? dir : NULL;
}

static void keep_flow(struct run *r, const struct rec_flow *flow)
{
    r->flow = realloc(r->flow, (r->n_flows + 1) * sizeof(*r->flow));
    r->dns = realloc(r->dns, (r->n_flows + 1) * sizeof(*r->dns));
    assert(r->flow != NULL && r->dns != NULL);
    r->flow[r->n_flows] = *flow;
    r->dns[r->n_flows] = malloc((flow->n_dns + 1u) * sizeof(struct rec_dns));
    memcpy(r->dns[r->n_flows], flow + 1, flow->n_dns * sizeof(struct rec_dns));
    r->n_flows++;
}

static void drain(struct spsc *ring, struct run *r)
{
    const struct rec_hdr *hdr;
    size_t len;

    while ((hdr = spsc_peek(ring, &len)) != NULL) {
        if (hdr->type == REC_FLOW)
            keep_flow(r, (const struct rec_flow *)(const void *)hdr);
        if (hdr->type == REC_WINDOW) {
            const struct rec_window *w = (const void *)hdr;
            if (w->key.scope == WINDOW_MIRROR)
                window_counters_merge(&r->mirror, &w->c);
        }
        spsc_pop(ring);
    }
}

/* Both arrays by first_ns: few flows, so insertion will do. */
static void sort_flows(struct run *r)
{
    for (size_t i = 1; i < r->n_flows; i++) {
        for (size_t j = i; j > 0 && r->flow[j].first_ns < r->flow[j - 1].first_ns; j--) {
            struct rec_flow flow = r->flow[j];
            struct rec_dns *dns = r->dns[j];
            r->flow[j] = r->flow[j - 1];
            r->dns[j] = r->dns[j - 1];
            r->flow[j - 1] = flow;
            r->dns[j - 1] = dns;
        }
    }
}

void run_capture(const char *path, struct run *ret_run)
{
    struct run *r = ret_run;
    struct rx_pcap *rx;
    struct error e = {""};
    struct worker *w;
    int stop = 0;

    *r = (struct run){0};
    r->end = rx_pcap_open(&path, 1, NULL, &rx, &e);
    snprintf(r->error, sizeof(r->error), "%s", e.text);
    if (r->end != 0)
        return;
    struct spsc *ring = spsc_new(RING_BYTES);
    struct site_table *sites = site_table_new();
    struct service_table *services = service_table_new();
    site_table_finish(sites);
    const struct worker_options options = {
        .flows = 65536,
        .trouble_blocks = 65536,
        .dns_entries = 16384,
        .max_paths = 1024,
        .max_services = 1024,
        .tcp_idle_ns = 600 * NS_PER_S,
        .other_idle_ns = 120 * NS_PER_S,
        .closed_linger_ns = 5 * NS_PER_S,
        .window_ns = 10 * NS_PER_S,
        .writer = {.ring = ring},
        .sites = sites,
        .services = services,
    };
    assert(worker_new(&options, &w) == 0);
    r->end = (int)rx_pcap_run(rx, w, &stop, NULL, NULL, &e);
    snprintf(r->error, sizeof(r->error), "%s", e.text);
    worker_finish(w);
    r->ledger = *worker_ledger(w);
    drain(ring, r);
    sort_flows(r);
    worker_free(w);
    rx_pcap_close(rx);
    spsc_free(ring);
    site_table_free(sites);
    service_table_free(services);
}

void run_free(struct run *r)
{
    for (size_t i = 0; i < r->n_flows; i++)
        free(r->dns[i]);
    free(r->dns);
    free(r->flow);
    *r = (struct run){0};
}
