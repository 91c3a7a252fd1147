/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TESTS_DRIVE_H
#define SPANWARD_TESTS_DRIVE_H

/*
 * A worker under test: feeds it packets, empties its ring after every burst and keeps flows, DNS transactions, the
 * last window end and the sums over all windows. Every packet is handed over in a block of exactly its size, so that
 * AddressSanitizer sees a read behind its end.
 */

#include <check.h>
#include <stdlib.h>

#include "common/record.h"
#include "tests/unit/packet.h"
#include "tests/unit/rig.h"

#define DRIVE_FLOWS  4096u
#define DRIVE_DNS    1024u
#define DRIVE_MEDIA  64u
#define DRIVE_RING   (8u << 20)
#define DRIVE_START  (1000000000ull * NS_PER_S) /* a whole window */
#define DRIVE_WINDOW (10 * NS_PER_S)

struct drive {
    struct rig rig;
    struct rec_flow flow[DRIVE_FLOWS]; /* in the order of their ends */
    struct rec_dns dns[DRIVE_DNS];     /* of all flows */
    struct rec_rtp rtp[DRIVE_MEDIA];
    struct rec_rtcp rtcp[DRIVE_MEDIA];
    struct rec_event event[DRIVE_MEDIA];
    uint32_t n_rtp, n_rtcp, n_events;
    uint32_t n_flows, n_dns, n_windows, n_ends, n_eofs;
    struct window_counters sum[WINDOW_SCOPE_COUNT];
    uint64_t hist_n[WINDOW_SCOPE_COUNT][WINDOW_HIST_COUNT];
    struct rec_window_end end; /* the last */
    uint64_t first_start_ns;   /* of the first window that ended */
};

static inline struct worker_options drive_options(void)
{
    return rig_options(DRIVE_WINDOW);
}

static inline struct drive *drive_new(struct worker_options options)
{
    struct drive *d = calloc(1, sizeof(*d));

    ck_assert_ptr_nonnull(d);
    rig_init(&d->rig, DRIVE_RING);
    rig_start(&d->rig, options);
    return d;
}

static inline void drive_free(struct drive *d)
{
    rig_fini(&d->rig);
    free(d);
}

static inline void drive_keep_flow(struct drive *d, const struct rec_flow *flow)
{
    ck_assert_uint_lt(d->n_flows, DRIVE_FLOWS);
    d->flow[d->n_flows++] = *flow;
    const struct rec_dns *dns = (const void *)(flow + 1);
    for (unsigned i = 0; i < flow->n_dns; i++) {
        ck_assert_uint_lt(d->n_dns, DRIVE_DNS);
        d->dns[d->n_dns++] = dns[i];
    }
    const struct rec_rtp *rtp = (const void *)(dns + flow->n_dns);
    const struct rec_rtcp *rtcp = (const void *)(rtp + flow->n_rtp);
    ck_assert_uint_le(d->n_rtp + flow->n_rtp, DRIVE_MEDIA);
    ck_assert_uint_le(d->n_rtcp + flow->n_rtcp, DRIVE_MEDIA);
    for (unsigned i = 0; i < flow->n_rtp; i++)
        d->rtp[d->n_rtp++] = rtp[i];
    for (unsigned i = 0; i < flow->n_rtcp; i++)
        d->rtcp[d->n_rtcp++] = rtcp[i];
}

static inline void drive_keep_window(struct drive *d, const struct rec_window *w)
{
    window_counters_merge(&d->sum[w->key.scope], &w->c);
    for (unsigned i = 0; i < WINDOW_HIST_COUNT; i++)
        d->hist_n[w->key.scope][i] += w->hist[i].n;
    d->n_windows++;
}

static inline void drive_drain(struct drive *d)
{
    const struct rec_hdr *hdr;
    size_t len;

    while ((hdr = spsc_peek(d->rig.ring, &len)) != NULL) {
        ck_assert_uint_eq(hdr->len_bytes, len);
        if (hdr->type == REC_FLOW)
            drive_keep_flow(d, (const void *)hdr);
        else if (hdr->type == REC_WINDOW)
            drive_keep_window(d, (const void *)hdr);
        else if (hdr->type == REC_WINDOW_END) {
            d->end = *(const struct rec_window_end *)(const void *)hdr;
            if (d->n_ends++ == 0)
                d->first_start_ns = d->end.start_ns;
        } else if (hdr->type == REC_EVENT) {
            ck_assert_uint_lt(d->n_events, DRIVE_MEDIA);
            d->event[d->n_events++] = *(const struct rec_event *)(const void *)hdr;
        } else if (hdr->type == REC_EOF)
            d->n_eofs++;
        spsc_pop(d->rig.ring);
    }
}

/* One packet as a burst of its own; `cap` of its bytes were captured. */
static inline void drive_cut(struct drive *d, uint64_t ts_ns, const struct packet *p, uint32_t cap)
{
    static struct batch b;
    uint8_t *bytes = malloc(cap != 0 ? cap : 1);

    memcpy(bytes, p->byte, cap);
    b.n = 1;
    b.link = LINK_ETHERNET;
    b.pkt[0] = (struct pkt){.data = bytes,
                            .ts_ns = ts_ns,
                            .cap_len = cap,
                            .snap_len = cap,
                            .wire_len = p->len + p->wire_extra,
                            .rx_vlan = RX_NO_VLAN};
    worker_process(d->rig.worker, &b);
    free(bytes);
    drive_drain(d);
}

static inline void drive_packet(struct drive *d, uint64_t ts_ns, const struct packet *p)
{
    drive_cut(d, ts_ns, p, p->len);
}

/* Ends the input and checks what must hold after any input whatever. */
static inline void drive_finish(struct drive *d)
{
    worker_finish(d->rig.worker);
    drive_drain(d);
    const struct ledger *l = worker_ledger(d->rig.worker);
    uint64_t pkts = 0, dups = 0;

    for (uint32_t i = 0; i < d->n_flows; i++) {
        for (unsigned s = 0; s < 2; s++) {
            pkts += d->flow[i].dir[s].pkts;
            dups += d->flow[i].dir[s].dup_pkts + d->flow[i].dir[s].second_hop_pkts;
        }
    }
    ck_assert_uint_eq(l->offered, l->processed + ledger_drop_sum(l));
    ck_assert_uint_eq(l->processed, pkts + d->sum[WINDOW_MIRROR].l2_pkts);
    ck_assert_uint_eq(l->drops[LEDGER_duplicate], dups);
    ck_assert_uint_eq(d->end.flows_active, 0);
    ck_assert_uint_eq(d->end.pool_in_use, 0);
    ck_assert_uint_eq(d->end.ring_dropped, 0);
    ck_assert_uint_eq(d->n_eofs, 1);
}

#endif
