/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where a flow's state goes when it does not fit its record: the block for trouble, and the 64-bit sums.
 *
 * A flow without a block counts nothing that went wrong: it is flagged, and its losses are a lower bound; the windows
 * count all the same. A flow without room for its sums loses nothing either: its record is split, as if it had been
 * active too long.
 */

#include "dataplane/meter.h"

#define SINK_FULL UINT32_MAX /* of every bounded list: nothing is linked into a block that is forgotten */

struct trouble *trouble_make(const struct meter *m)
{
    m->f->trouble = pool_get(&m->pools->trouble);
    if (m->f->trouble != 0)
        return pool_item(&m->pools->trouble, m->f->trouble);
    m->f->flags |= FLOW_LOSS_UNSURE;
    m->pools->sink = (struct trouble){0};
    for (unsigned e = 0; e < 2; e++)
        m->pools->sink.dir[e].n_nodes = SINK_FULL;
    return &m->pools->sink;
}

/* All but one sample, the smallest, so that n never looks like none. */
static void spill_stat(struct rtt_small *r, struct flow_sums *sums, enum flow_stat which)
{
    uint64_t least_ns = rtt_min_ns(r);
    uint32_t n = rtt_small_n(r);

    if (n < 2)
        return;
    sums->stat_n[which] += n - 1;
    sums->stat_sum_ns[which] += rtt_small_sum_ns(r) - least_ns;
    r->sum_n = least_ns << RTT_N_BITS | 1;
}

static struct flow_sums *sums_of(struct meter *m)
{
    struct trouble *t = trouble_of(m);

    if (m->f->trouble == 0)
        return NULL;
    if (t->sums == 0)
        t->sums = pool_get(&m->pools->sums);
    return t->sums != 0 ? pool_item(&m->pools->sums, t->sums) : NULL;
}

void flow_spill(struct meter *m)
{
    struct flow *f = m->f;
    struct flow_sums *sums = sums_of(m);

    if (sums == NULL) {
        f->flags |= FLOW_SPLIT;
        f->is_clean = 0;
        return;
    }
    for (unsigned e = 0; e < 2; e++) {
        if (f->side[e].pkts > 1) { /* one stays: pkts also says whether this side was ever seen */
            sums->pkts[e] += f->side[e].pkts - 1;
            f->side[e].pkts = 1;
        }
        sums->bytes[e] += f->side[e].bytes;
        sums->over_bytes[e] += f->over_bytes[e];
        sums->data_pkts[e] += f->data_pkts[e];
        sums->dup_pkts[e] += f->dup_pkts[e];
        f->side[e].bytes = f->data_pkts[e] = 0;
        f->over_bytes[e] = f->dup_pkts[e] = 0;
        spill_stat(&f->rtt[e], sums, STAT_RTT_0 + e);
        spill_stat(&f->ts_rtt[e], sums, STAT_TS_RTT_0 + e);
    }
    spill_stat(&f->response, sums, STAT_RESPONSE);
    spill_stat(&f->think, sums, STAT_THINK);
}

void flow_over_bytes(struct meter *m, int32_t bytes)
{
    struct flow *f = m->f;
    unsigned s = m->p->sender;

    if (bytes > 0 && bytes <= INT16_MAX) {
        f->over_bytes[s] = (uint16_t)(f->over_bytes[s] + bytes);
        if (f->over_bytes[s] > INT16_MAX)
            flow_spill(m);
        return;
    }
    flow_spill(m);
    struct trouble *t = trouble_of(m);
    if (f->trouble != 0 && t->sums != 0) {
        struct flow_sums *sums = pool_item(&m->pools->sums, t->sums);
        sums->over_bytes[s] += (uint64_t)(int64_t)bytes;
    }
}
