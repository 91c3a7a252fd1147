/* SPDX-License-Identifier: BSD-3-Clause */

/* See harness.h. */

#include "tests/golden/harness.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/rx_pcap.h"
#include "tests/unit/rig.h"

#define RING_BYTES (128u << 20)

const char *captures_dir(void)
{
    const char *dir = getenv("SPANWARD_CAPTURES");

    return dir != NULL && access(dir, R_OK) == 0 ? dir : NULL;
}

static void *more(void *array, size_t n, size_t size)
{
    void *grown = realloc(array, n * size);

    assert(grown != NULL);
    return grown;
}

static void *copy_of(const void *from, size_t bytes)
{
    void *to = more(NULL, 1, bytes + 1);

    memcpy(to, from, bytes);
    return to;
}

static void keep_flow(struct run *r, const struct rec_flow *flow)
{
    const struct rec_dns *dns = (const void *)(flow + 1);
    size_t n = r->n_flows++;

    r->flow = more(r->flow, r->n_flows, sizeof(*r->flow));
    r->dns = more(r->dns, r->n_flows, sizeof(*r->dns));
    r->rtp = more(r->rtp, r->n_flows, sizeof(*r->rtp));
    r->flow[n] = *flow;
    r->dns[n] = copy_of(dns, flow->n_dns * sizeof(*dns));
    r->rtp[n] = copy_of(dns + flow->n_dns, flow->n_rtp * sizeof(struct rec_rtp));
}

static void keep_event(struct run *r, const struct rec_event *event)
{
    r->event = more(r->event, r->n_events + 1, sizeof(*r->event));
    r->event[r->n_events++] = *event;
}

static void drain(struct spsc *ring, struct run *r)
{
    const struct rec_hdr *hdr;
    size_t len;

    while ((hdr = spsc_peek(ring, &len)) != NULL) {
        if (hdr->type == REC_FLOW)
            keep_flow(r, (const struct rec_flow *)(const void *)hdr);
        if (hdr->type == REC_EVENT)
            keep_event(r, (const struct rec_event *)(const void *)hdr);
        if (hdr->type == REC_WINDOW) {
            const struct rec_window *w = (const void *)hdr;
            if (w->key.scope == WINDOW_MIRROR)
                window_counters_merge(&r->mirror, &w->c);
        }
        spsc_pop(ring);
    }
}

#define SWAP(a, b)                                                                                                     \
    do {                                                                                                               \
        __typeof__(a) swap_ = (a);                                                                                     \
        (a) = (b);                                                                                                     \
        (b) = swap_;                                                                                                   \
    } while (0)

/* All arrays by first_ns: few flows, so insertion will do. */
static void sort_flows(struct run *r)
{
    for (size_t i = 1; i < r->n_flows; i++) {
        for (size_t j = i; j > 0 && r->flow[j].first_ns < r->flow[j - 1].first_ns; j--) {
            SWAP(r->flow[j], r->flow[j - 1]);
            SWAP(r->dns[j], r->dns[j - 1]);
            SWAP(r->rtp[j], r->rtp[j - 1]);
        }
    }
}

void run_capture(const char *path, struct run *ret_run)
{
    struct run *r = ret_run;
    struct rx_pcap *rx;
    struct error e = {""};
    struct rig rig;
    int stop = 0;

    *r = (struct run){0};
    r->end = rx_pcap_open(&path, 1, NULL, &rx, &e);
    snprintf(r->error, sizeof(r->error), "%s", e.text);
    if (r->end != 0)
        return;
    struct worker_options options = rig_options(10 * NS_PER_S);
    options.flows = options.trouble_blocks = 65536;
    options.dns_entries = 16384;
    options.max_paths = options.max_services = 1024;
    rig_init(&rig, RING_BYTES);
    rig_start(&rig, options);
    r->end = (int)rx_pcap_run(rx, rig.worker, &stop, NULL, NULL, &e);
    snprintf(r->error, sizeof(r->error), "%s", e.text);
    worker_finish(rig.worker);
    r->ledger = *worker_ledger(rig.worker);
    drain(rig.ring, r);
    sort_flows(r);
    rig_fini(&rig);
    rx_pcap_close(rx);
}

void run_free(struct run *r)
{
    for (size_t i = 0; i < r->n_flows; i++) {
        free(r->dns[i]);
        free(r->rtp[i]);
    }
    free(r->dns);
    free(r->rtp);
    free(r->event);
    free(r->flow);
    *r = (struct run){0};
}
