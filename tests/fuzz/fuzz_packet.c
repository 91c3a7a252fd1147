/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A worker and a crafted mirror: the input is a sequence of packets, and what must hold after any sequence is asserted.
 *
 *   byte 0            options: bit 0 VLAN in the key, bit 1 tiny tables, bit 2 active split
 *   then per packet   time step (1), link type and end of burst (1), captured length (2, little endian), bytes on the
 *                     wire beyond the captured ones (1), captured bytes
 *
 * A time step t is t << 8 us below 0xe0 and 2^(t - 0xe0) s from there on. Each packet lies in a block of its own size.
 * Invariants: every packet is in the ledger once; flows and windows add up to it; no flow, node or transaction is left
 * when the worker has finished; counts of a flow do not contradict one another.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/timefmt.h"
#include "dataplane/worker.h"

#define RING_BYTES   (4u << 20)
#define HEADER_BYTES 5u
#define END_OF_BURST 0x80u

struct sums {
    uint64_t flow_pkts, flow_dups, window_pkts, l2_pkts, new_flows, ended_flows, n_flows;
    struct rec_window_end end;
    unsigned n_eofs;
};

struct source {
    const uint8_t *at, *end;
    uint64_t now_ns;
};

static struct spsc *ring;
static struct site_table *sites;
static struct service_table *services;

static void check_dir(const struct rec_flow *f, unsigned side)
{
    const struct rec_tcp_dir *t = &f->tcp[side];
    const struct rec_dir *d = &f->dir[side];

    assert(t->data_pkts <= d->pkts && t->retrans_pkts <= d->pkts && t->rst <= d->pkts);
    assert(t->spurious_pkts <= t->retrans_pkts);
    assert(t->lost_upstream_pkts + t->spurious_pkts <= t->retrans_pkts);
    assert(t->dup_acks <= d->pkts && t->keepalives <= d->pkts && t->zero_windows <= d->pkts);
    assert(t->zero_window_us <= (f->last_ns - f->first_ns) / 1000 + 1);
}

static void check_rtt(const struct rec_flow *f, const struct rec_rtt *r)
{
    if (r->n != 0)
        assert(r->min_ns <= r->max_ns && r->max_ns <= f->last_ns - f->first_ns && r->sum_ns >= r->max_ns);
}

static void check_flow(const struct rec_flow *f)
{
    assert(f->first_ns <= f->last_ns && f->end < FLOW_END_COUNT && f->tcp_state < TCP_STATE_COUNT);
    assert(f->hdr.len_bytes == sizeof(*f) + f->n_dns * sizeof(struct rec_dns) && f->n_vlans <= 4);
    for (unsigned side = 0; side < 2; side++) {
        check_dir(f, side);
        check_rtt(f, &f->rtt[side]);
        check_rtt(f, &f->ts_rtt[side]);
    }
    check_rtt(f, &f->response);
    check_rtt(f, &f->think);
    check_rtt(f, &f->icmp_echo);
    const struct rec_dns *dns = (const void *)(f + 1);
    for (unsigned i = 0; i < f->n_dns; i++)
        assert(dns[i].name_len <= sizeof(dns[i].name) && dns[i].rtt_ns <= f->last_ns - f->first_ns);
}

static void take(struct sums *s, const struct rec_hdr *hdr)
{
    if (hdr->type == REC_FLOW) {
        const struct rec_flow *f = (const void *)hdr;
        check_flow(f);
        s->n_flows++;
        for (unsigned side = 0; side < 2; side++) {
            s->flow_pkts += f->dir[side].pkts;
            s->flow_dups += f->dir[side].dup_pkts + f->dir[side].second_hop_pkts;
        }
    } else if (hdr->type == REC_WINDOW) {
        const struct rec_window *w = (const void *)hdr;
        if (w->key.scope != WINDOW_MIRROR)
            return;
        s->window_pkts += w->c.dir[0].pkts + w->c.dir[1].pkts;
        s->l2_pkts += w->c.l2_pkts;
        s->new_flows += w->c.new_flows;
        s->ended_flows += w->c.ended_flows;
    } else if (hdr->type == REC_WINDOW_END) {
        s->end = *(const struct rec_window_end *)(const void *)hdr;
    } else if (hdr->type == REC_EOF) {
        s->n_eofs++;
    }
}

static void drain(struct sums *s)
{
    const struct rec_hdr *hdr;
    size_t len;

    while ((hdr = spsc_peek(ring, &len)) != NULL) {
        assert(hdr->len_bytes == len);
        take(s, hdr);
        spsc_pop(ring);
    }
}

static uint64_t step_ns(uint8_t t)
{
    return t < 0xe0 ? (uint64_t)t << 8 << 10 : NS_PER_S << (t - 0xe0);
}

/* Fills one entry; false at the end of the input. */
static bool next_packet(struct source *s, struct batch *b, uint8_t *ret_flags)
{
    if ((size_t)(s->end - s->at) < HEADER_BYTES)
        return false;
    const uint8_t *h = s->at;
    size_t len = (size_t)h[2] | (size_t)h[3] << 8;
    size_t left = (size_t)(s->end - h) - HEADER_BYTES;

    len = len < left ? len : left;
    s->now_ns += step_ns(h[0]);
    if (s->now_ns > INT64_MAX / 4)
        return false;
    uint8_t *bytes = malloc(len != 0 ? len : 1);
    memcpy(bytes, h + HEADER_BYTES, len);
    b->pkt[b->n++] = (struct pkt){.data = bytes,
                                  .ts_ns = s->now_ns,
                                  .cap_len = (uint32_t)len,
                                  .snap_len = (uint32_t)len,
                                  .wire_len = (uint32_t)len + h[4],
                                  .rx_vlan = RX_NO_VLAN};
    *ret_flags = h[1];
    s->at = h + HEADER_BYTES + len;
    return true;
}

static void process(struct worker *w, struct batch *b, struct sums *s)
{
    worker_process(w, b);
    drain(s);
    for (uint32_t i = 0; i < b->n; i++)
        free((void *)(uintptr_t)b->pkt[i].data);
    b->n = 0;
}

static struct worker *new_worker(uint8_t choice)
{
    bool tiny = choice & 2;
    const struct worker_options options = {
        .flows = tiny ? 8 : 256,
        .trouble_blocks = tiny ? 4 : 256,
        .dns_entries = tiny ? 2 : 64,
        .max_paths = tiny ? 2 : 16,
        .max_services = tiny ? 2 : 16,
        .tcp_idle_ns = 60 * NS_PER_S,
        .other_idle_ns = 30 * NS_PER_S,
        .closed_linger_ns = 5 * NS_PER_S,
        .active_ns = choice & 4 ? 10 * NS_PER_S : 0,
        .window_ns = 10 * NS_PER_S,
        .vlan_in_key = choice & 1,
        .writer = {.ring = ring},
        .sites = sites,
        .services = services,
    };
    struct worker *w = NULL;

    assert(worker_new(&options, &w) == 0);
    return w;
}

static void check_end(const struct worker *w, const struct sums *s)
{
    const struct ledger *l = worker_ledger(w);

    assert(l->offered == l->processed + ledger_drop_sum(l));
    assert(l->processed == s->flow_pkts + s->l2_pkts && s->window_pkts == s->flow_pkts);
    assert(l->drops[LEDGER_duplicate] == s->flow_dups);
    assert(s->n_eofs == 1 && s->end.flows_active == 0 && s->end.pool_in_use == 0 && s->end.ring_dropped == 0);
    assert(s->new_flows == s->n_flows && s->ended_flows == s->n_flows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct batch b;
    struct source source = {data + 1, data + size, 1000000000ull * NS_PER_S};
    struct sums sums = {0};
    uint8_t flags = 0;

    if (size == 0)
        return 0;
    if (ring == NULL) {
        ring = spsc_new(RING_BYTES);
        sites = site_table_new();
        services = service_table_new();
        site_table_finish(sites);
    }
    struct worker *w = new_worker(data[0]);
    b.n = 0;
    while (next_packet(&source, &b, &flags)) {
        b.link = (enum link_type)((flags & ~END_OF_BURST) % LINK_COUNT);
        if ((flags & END_OF_BURST) || b.n == BATCH_MAX)
            process(w, &b, &sums);
    }
    process(w, &b, &sums);
    worker_finish(w);
    drain(&sums);
    check_end(w, &sums);
    worker_free(w);
    return 0;
}
