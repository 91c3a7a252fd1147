/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_WORKER_STATE_H
#define SPANWARD_WORKER_STATE_H

/*
 * The state of a worker, for the two files that share it: worker.c, what happens to each burst, and flow_life.c, how
 * flows begin and end. Owner: the worker's thread.
 */

#include "common/timefmt.h"
#include "dataplane/closing.h"
#include "dataplane/decode/fragment.h"
#include "dataplane/dedup.h"
#include "dataplane/dns.h"
#include "dataplane/flow_table.h"
#include "dataplane/meter.h"
#include "dataplane/worker.h"

/* What a clean packet found out, until the burst's end (clean.h). */
enum finding_kind { FINDING_RTT = 1, FINDING_TS_RTT = 2, FINDING_THINK = 4, FINDING_RESPONSE = 8 };

struct finding {
    struct pkt *p;                       /* its flow is p->flow */
    uint64_t rtt_ns, ts_rtt_ns, turn_ns; /* as `what` says */
    unsigned what;                       /* set of enum finding_kind */
    uint32_t rtt_bucket;                 /* of rtt_ns in a histogram, from when it is settled on */
};

struct worker {
    struct flow_table table;
    struct fragments fragments;
    struct dedup dedup;
    struct pools pools;
    struct dns_pool dns;
    struct agg_table agg[METER_TABLES]; /* mirror has the one entry 1 */
    uint32_t mirror_agg;
    struct ledger ledger;

    uint64_t clock_ns, swept_ns;
    uint64_t least_idle_ns;                            /* the shortest of the time-outs */
    uint64_t clean_idle_ns;                            /* the shortest for an open TCP connection */
    uint32_t active_shift, active_ticks;               /* see may_be_over */
    uint32_t changes_seen;                             /* of the table, when this burst was looked up */
    uint64_t window_start_ns, window_end_ns;           /* end 0: no window yet */
    uint64_t ms_start_ns, ms_bytes;                    /* the current millisecond, for the peak */
    struct finding finding[BATCH_MAX + 1];             /* the first n_findings; the one behind is being written */
    _Alignas(16) uint32_t finding_flow[BATCH_MAX + 4]; /* of the same index; what is left from before is harmless */
    uint32_t n_findings;
    struct pkt *guessed[BATCH_MAX + 1]; /* the first n_guessed: of this burst, with a record to compare */
    uint32_t n_guessed;
    uint64_t clock_backwards;
    uint64_t general_pkts;     /* that took the general way */
    struct closing closing;    /* of the window before */
    struct worker_share front; /* what was counted in front of us; its ledger and peak are in ours */

    struct worker_options o;
};

static inline void add_scopes(struct worker *w, struct meter *m)
{
    if (m->f->flags & FLOW_IN_VLAN)
        m->agg[m->n_scopes++] = agg_at(&w->agg[METER_VLAN], m->f->vlan_agg);
    if (m->f->flags & FLOW_IN_TUNNEL)
        m->agg[m->n_scopes++] = agg_at(&w->agg[METER_TUNNEL], m->f->key.tunnel_agg);
}

/*
 * In place: a struct returned by value would be written in parts and copied as a whole, which stalls. For a packet that
 * is about to be counted: the windows are marked as touched then.
 */
static inline void meter_start(struct worker *w, struct meter *m, struct flow *f, struct pkt *p,
                               const struct flow_key *key, uint64_t now_ns)
{
    m->f = f;
    m->p = p;
    m->key = key;
    m->now_ns = now_ns;
    m->pools = &w->pools;
    m->out = &w->o.writer;
    m->is_data = m->is_judged = false;
    m->n_scopes = METER_ALWAYS;
    m->agg[METER_PATH] = &w->agg[METER_PATH].entry[f->path];
    m->agg[METER_SERVICE] = &w->agg[METER_SERVICE].entry[f->service];
    if (__builtin_expect((f->flags & (FLOW_IN_VLAN | FLOW_IN_TUNNEL)) != 0, 0))
        add_scopes(w, m);
}

static inline void touch_windows(struct worker *w, const struct flow *f)
{
    agg_at(&w->agg[METER_PATH], f->path);
    agg_at(&w->agg[METER_SERVICE], f->service);
}

static inline void meter_init(struct worker *w, struct meter *m, struct flow *f, struct pkt *p,
                              const struct flow_key *key, uint64_t now_ns)
{
    meter_start(w, m, f, p, key, now_ns);
    touch_windows(w, f);
}

static inline uint8_t active_tick(const struct worker *w, uint64_t ns)
{
    return (uint8_t)(ns >> w->active_shift);
}

/*
 * No for nearly every packet, and then flow_is_over says the same. A flow that is silent for so long that its ticks
 * could have wrapped is asked because of its silence.
 */
static inline bool may_be_over(const struct worker *w, const struct flow *f, const struct pkt *p)
{
    return p->ts_ns - f->last_ns > w->least_idle_ns || (p->tcp_flags & TCP_SYN) || (f->flags & FLOW_SPLIT) ||
           (uint8_t)(active_tick(w, p->ts_ns) - f->first_tick) >= w->active_ticks;
}

/* ---- flow_life.c ---- */

/* A flow for the packet, whose key is not in the table: FLOW_NONE when there is no room even after evicting. */
uint32_t flow_make(struct worker *w, struct pkt *p);

/* A flow found under the packet's key may be over: too long idle, too long active, or its ports were taken for another
 * connection. */
bool flow_is_over(const struct worker *w, const struct flow *f, const struct pkt *p, enum flow_end *ret_end);

/* The last word of its meters, its record, and the end of its place in the table. */
void flow_end(struct worker *w, uint32_t index, enum flow_end end);

/* Ends flows that are idle: bounded work, a round of the table in SWEEP_ROUND_NS. */
void flows_expire(struct worker *w);

/* Ends all of them. */
void flows_finish(struct worker *w);

/* How long it may be silent. */
uint64_t flow_idle_ns(const struct worker *w, const struct flow *f);

/* The flow counts in the VLAN of this packet from now on. */
void flow_learn_vlan(struct worker *w, struct flow *f, const struct pkt *p);

#endif
