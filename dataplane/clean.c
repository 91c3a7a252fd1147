/* SPDX-License-Identifier: BSD-3-Clause */

/* See clean.h: what clean packets rarely need, and what waits for the end of the burst. */

#include "dataplane/clean.h"

#include "dataplane/verdict_trace.h"

static void meter_of(struct worker *w, struct meter *m, struct flow *f, struct pkt *p)
{
    meter_start(w, m, f, p, &p->key, p->ts_ns);
    if (rtt_hook != NULL)
        pkt_complete_key(p);
}

void clean_sent_more(struct worker *w, struct flow *f, struct pkt *p, uint32_t end)
{
    struct meter m;

    meter_of(w, &m, f, p);
    rtt_sent_more(&m, p->sender, end);
}

bool clean_pop_more(struct worker *w, struct flow *f, struct pkt *p, uint64_t *ret_ns)
{
    struct meter m;

    meter_of(w, &m, f, p);
    return rtt_pop_more(&m, 1 - p->sender, p->tcp_ack, ret_ns);
}

void clean_count_more(struct worker *w, struct flow *f, struct pkt *p, int32_t over_bytes)
{
    struct meter m;

    meter_of(w, &m, f, p);
    if (f->side[p->sender].bytes >> 31 != 0)
        flow_spill(&m);
    if (over_bytes != 0)
        flow_over_bytes(&m, over_bytes);
    METER_TALLY(&m, truncated_pkts, (p->flags & PKT_TRUNCATED) != 0);
}

static bool could_be_clean(const struct flow *f)
{
    const unsigned open = SIDE_TROUBLE | SIDE_ZERO_WINDOW | SIDE_GAP_OPEN | SIDE_PROBE | SIDE_HELD_COPIES;
    const unsigned seen = SIDE_DATA_SEEN | SIDE_ACK_SEEN;
    unsigned either = f->side[0].flags | f->side[1].flags, both = f->side[0].flags & f->side[1].flags;
    bool dns = f->key.port[0] == 53 || f->key.port[1] == 53;
    bool opening = (f->flags & (FLOW_ESTABLISHED | FLOW_SYNACK_SEEN)) == FLOW_SYNACK_SEEN;

    return f->key.proto == 6 && !dns && !opening && (f->flags & (FLOW_SPLIT | FLOW_PMTU | FLOW_CLOSED)) == 0 &&
           (either & open) == 0 && (both & seen) == seen && f->last_data != 2 && flow_is_two_way(f);
}

void clean_note(const struct worker *w, struct flow *f)
{
    unsigned same = 0;

    f->is_clean = 0;
    if (!could_be_clean(f) || w->o.general_only)
        return;
    for (unsigned e = 0; e < 2; e++) {
        unsigned state = id_state_of(f, e);
        if (state == ID_FIRST) /* the next one decides */
            return;
        same |= (state != ID_MOVES) << e;
    }
    f->is_clean = 1;
    f->same_id = same & 3;
    f->is_settled = dedup_is_settled(&f->evidence);
}

void clean_age(struct worker *w, struct flow *f, struct pkt *p)
{
    struct meter m;

    meter_of(w, &m, f, p);
    flow_age(&m);
    clean_note(w, f);
}

void clean_learn(struct worker *w, struct flow *f, const struct pkt *p)
{
    dedup_original(&w->dedup, f, p);
    f->is_settled = dedup_is_settled(&f->evidence);
}

static void count_in(struct agg *a, const struct flow *f, const struct pkt *p, unsigned is_data, unsigned is_judged)
{
    count_window(&a->c.dir[p->sender ^ f->client], p->ip_bytes, p->wire_len, is_data, is_judged);
    agg_count_peak(a, p->ts_ns, p->wire_len);
}

void count_more_windows(struct worker *w, const struct flow *f, const struct pkt *p, unsigned is_data,
                        unsigned is_judged)
{
    if (f->flags & FLOW_IN_VLAN)
        count_in(agg_at(&w->agg[METER_VLAN], f->vlan_agg), f, p, is_data, is_judged);
    if (f->flags & FLOW_IN_TUNNEL)
        count_in(agg_at(&w->agg[METER_TUNNEL], f->key.tunnel_agg), f, p, is_data, is_judged);
}

/* ---- what waits ---- */

/* With all that may happen to a meter: counters that are full, a hook that listens. */
static __attribute__((noinline, cold)) void settle_any(struct worker *w, const struct finding *x)
{
    struct flow *f = flow_at(&w->table, x->p->flow);
    unsigned s = x->p->sender;
    struct meter m;

    meter_of(w, &m, f, x->p);
    if (x->what & FINDING_RTT)
        rtt_take(&m, s, x->rtt_ns);
    if (x->what & FINDING_THINK)
        meter_stat(&m, &f->think, x->turn_ns);
    if (x->what & FINDING_RESPONSE)
        tcp_response(&m, s, x->turn_ns);
    if (x->what & FINDING_TS_RTT)
        ts_rtt_take(&m, s, x->ts_rtt_ns);
}

/* Is nothing of that needed? All statistics have room for one sample more. */
static inline bool is_simple(const struct flow *f, unsigned s, unsigned what)
{
    uint64_t sums = f->rtt[s].sum_n | f->ts_rtt[s].sum_n;

    if (what & (FINDING_THINK | FINDING_RESPONSE))
        sums |= f->think.sum_n | f->response.sum_n;
    return (sums & RTT_FULL >> 1) == 0 && rtt_hook == NULL;
}

/* A duration into the windows that count it by the client's side: the service's, and the VLAN's and tunnel's if any. */
static inline void settle_windows(struct worker *w, const struct flow *f, enum window_hist which, uint32_t bucket,
                                  uint64_t ns)
{
    hist_add_at(&w->agg[METER_SERVICE].entry[f->service].hist[which], bucket, ns);
    if (__builtin_expect((f->flags & (FLOW_IN_VLAN | FLOW_IN_TUNNEL)) == 0, 1))
        return;
    if (f->flags & FLOW_IN_VLAN)
        hist_add_at(&w->agg[METER_VLAN].entry[f->vlan_agg].hist[which], bucket, ns);
    if (f->flags & FLOW_IN_TUNNEL)
        hist_add_at(&w->agg[METER_TUNNEL].entry[f->key.tunnel_agg].hist[which], bucket, ns);
}

/* In the order in which one packet's own are taken on the general way: its ACK, its data, its timestamps. */
static inline void settle(struct worker *w, const struct finding *x)
{
    struct flow *f = flow_at(&w->table, x->p->flow);
    struct hist *path = w->agg[METER_PATH].entry[f->path].hist;
    unsigned s = x->p->sender, what = x->what;

    if (__builtin_expect(!is_simple(f, s, what), 0)) {
        settle_any(w, x);
        return;
    }
    if (what & FINDING_RTT) {
        uint32_t bucket = x->rtt_bucket;
        hist_add_at(&path[WINDOW_HIST_RTT_A + (s ^ f->path_a)], bucket, x->rtt_ns);
        settle_windows(w, f, WINDOW_HIST_RTT_A + (s ^ f->client), bucket, x->rtt_ns);
        rtt_small_add(&f->rtt[s], x->rtt_ns);
    }
    if (what & FINDING_THINK) {
        rtt_small_add(&f->think, x->turn_ns);
    } else if ((what & FINDING_RESPONSE) && rtt_small_n(&f->rtt[s]) != 0) {
        uint64_t response_ns = tcp_response_ns(f, s, x->turn_ns);
        uint32_t bucket = hist_index(response_ns);
        hist_add_at(&path[WINDOW_HIST_RESPONSE], bucket, response_ns);
        settle_windows(w, f, WINDOW_HIST_RESPONSE, bucket, response_ns);
        rtt_small_add(&f->response, response_ns);
    }
    if (what & FINDING_TS_RTT)
        rtt_small_add(&f->ts_rtt[s], x->ts_rtt_ns);
}

/* Where its round trip will be counted: with many paths those lines are far. Whatever stands there without one is
 * fetched for nothing. */
static inline void fetch_bucket(const struct worker *w, struct finding *x)
{
    const struct flow *f = flow_at(&w->table, x->p->flow);
    const struct hist *path = w->agg[METER_PATH].entry[f->path].hist;

    x->rtt_bucket = hist_index(x->rtt_ns);
    fetch_near(&path[WINDOW_HIST_RTT_A + (x->p->sender ^ f->path_a)].bucket[x->rtt_bucket]);
}

void clean_settle_all(struct worker *w)
{
    for (uint32_t i = 0; i < w->n_findings; i++)
        fetch_bucket(w, &w->finding[i]);
    for (uint32_t i = 0; i < w->n_findings; i++)
        settle(w, &w->finding[i]);
    w->n_findings = 0;
}
