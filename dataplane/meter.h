/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_METER_H
#define SPANWARD_METER_H

/*
 * What every meter gets: the flow, the packet, and where to count.
 *
 * A verdict is counted in several places at once: in the flow and in the windows of its path and service, and of its
 * VLAN and tunnel if it has them, each in its own idea of direction. METER_COUNT does that, so that no meter knows
 * about windows. The mirror's window is the sum over the services, made when the window ends (aggregate.c).
 */

#include "dataplane/aggregate.h"
#include "dataplane/flow.h"

/* Every flow has the first METER_ALWAYS; the mirror's own entry counts what belongs to no flow. */
enum {
    METER_PATH,
    METER_SERVICE,
    METER_ALWAYS,
    METER_VLAN = METER_ALWAYS,
    METER_TUNNEL,
    METER_SCOPES,
    METER_MIRROR = METER_SCOPES,
    METER_TABLES
};

struct meter {
    struct flow *f;
    struct pkt *p; /* NULL while a flow is being finished */
    const struct flow_key *key;
    uint64_t now_ns; /* the packet's time, or the flow's end */
    struct pools *pools;
    struct rec_writer *out;  /* for events */
    bool is_data, is_judged; /* found out: TCP data; of a flow seen both ways */
    unsigned n_scopes;
    struct agg *agg[METER_SCOPES]; /* the first n_scopes count; behind METER_ALWAYS in any order */
};

/* Direction index of what `endpoint` sends, in the scope's terms (path: from A, else: from the client). */
static inline unsigned meter_dir(const struct meter *m, unsigned scope, unsigned endpoint)
{
    return endpoint ^ (scope == METER_PATH ? m->f->path_a : m->f->client);
}

static inline struct window_dir *meter_window(const struct meter *m, unsigned scope, unsigned endpoint)
{
    return &m->agg[scope]->c.dir[meter_dir(m, scope, endpoint)];
}

/* trouble.c: a block for a flow that had none; when there is none left, one that is forgotten, and the flow says so. */
struct trouble *trouble_make(const struct meter *m);

static inline struct trouble *trouble_of(const struct meter *m)
{
    return m->f->trouble != 0 ? (struct trouble *)pool_item(&m->pools->trouble, m->f->trouble) : trouble_make(m);
}

/* Adds to rec_tcp_dir and to window_dir fields of the same name, for what `endpoint` sends. */
#define METER_COUNT(m, endpoint, name, amount)                                                                         \
    do {                                                                                                               \
        struct rec_tcp_dir *count_ = &trouble_of(m)->dir[endpoint].count;                                              \
        count_->name += (__typeof__(count_->name))(amount);                                                            \
        for (unsigned scope_ = 0; scope_ < (m)->n_scopes; scope_++)                                                    \
            meter_window((m), scope_, (endpoint))->name += (amount);                                                   \
    } while (0)

/* Adds to a window counter that has no direction. */
#define METER_TALLY(m, name, amount)                                                                                   \
    do {                                                                                                               \
        for (unsigned scope_ = 0; scope_ < (m)->n_scopes; scope_++)                                                    \
            (m)->agg[scope_]->c.name += (amount);                                                                      \
    } while (0)

static inline void meter_hist(const struct meter *m, enum window_hist which, uint64_t ns)
{
    uint32_t bucket = hist_index(ns);

    for (unsigned scope = 0; scope < m->n_scopes; scope++)
        hist_add_at(&m->agg[scope]->hist[which], bucket, ns);
}

/* A round trip between the tap and `endpoint`. */
static inline void meter_rtt(const struct meter *m, unsigned endpoint, uint64_t ns)
{
    uint32_t bucket = hist_index(ns);

    for (unsigned scope = 0; scope < m->n_scopes; scope++)
        hist_add_at(&m->agg[scope]->hist[WINDOW_HIST_RTT_A + meter_dir(m, scope, endpoint)], bucket, ns);
}

/* trouble.c: adds the flow's small counters to its 64-bit sums. */
void flow_spill(struct meter *m);

/* trouble.c: a frame that is not as long as its IP packet and l2_bytes: padded, or with other tags. */
void flow_over_bytes(struct meter *m, int32_t bytes);

/* A duration into one of the flow's statistics. */
static inline void meter_stat(struct meter *m, struct rtt_small *r, uint64_t ns)
{
    if (rtt_small_add(r, ns))
        flow_spill(m);
}

/* tcp.c: one TCP packet; and the last word on what is still open when the flow ends. */
void tcp_meter(struct meter *m);
void tcp_finish(struct meter *m);

/* Server response: the time since the request, less the way from the tap to the server and back. */
static inline uint64_t tcp_response_ns(const struct flow *f, unsigned server, uint64_t total_ns)
{
    uint64_t rtt_ns = rtt_min_ns(&f->rtt[server]);

    return total_ns > rtt_ns ? total_ns - rtt_ns : 0;
}

/* tcp.c: the server's first answer, total_ns after the last of the request. */
void tcp_response(struct meter *m, unsigned server, uint64_t total_ns);

/* A SYN was seen and never anything of the server. */
bool tcp_is_unanswered(const struct flow *f);

/* Is this SYN the start of another connection on the same ports? */
bool tcp_starts_anew(const struct flow *f, const struct pkt *p);

#endif
