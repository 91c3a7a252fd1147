/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The pipeline, in array passes over the packets of a burst (the numbers are the order of the functions below):
 *
 *   1. clock       packet times clamped to be monotonic, windows closed, idle flows expired
 *   2. decode      bytes to keys and header fields                                  (decode/)
 *   3. hash        prefetch of buckets                                              (flow_table.c)
 *   4. dedup       candidates for copies made by the mirror                         (dedup.c)
 *   5. lookup      prefetch of the records that the buckets name, then the key compare
 *   6. meter       in packet order. Nearly all are clean TCP: one straight piece of code (clean.h). The general way:
 *                  make missing flows, decide on copies, count, TCP, DNS, ICMP
 *   7. aggregate   what clean packets found out, into flows' statistics and histograms
 *
 * Each pass waits for lines of memory that the one before has fetched, all of a burst's in a loop that does nothing
 * else: a prefetch holds up what is behind it until the page is found, so only prefetches close together overlap there.
 * (Tried, and slower: groups of packets in different passes at a time, and a pipeline packet by packet.)
 *
 * A stage does no I/O, takes no clock, no lock and no memory. The ledger gets every packet exactly once: processed, or
 * one drop.
 */

#include "dataplane/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/clean.h"
#include "dataplane/decode/decode.h"
#include "dataplane/dns_tcp.h"
#include "dataplane/fetch.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp_error.h"
#include "dataplane/memory.h"
#include "dataplane/pmtu.h"
#include "dataplane/tcp_loss.h"
#include "dataplane/transit.h"
#include "dataplane/verdict_trace.h"
#include "dataplane/worker_state.h"

#define FIND_LINES         3u         /* of a record that every packet needs */
#define BACKED_WINDOWS     (8u << 20) /* bytes of each table: 700 paths */
#define MAX_VLAN_WINDOWS   1024u
#define MAX_TUNNEL_WINDOWS 1024u

/* ---- life ---- */

/* Ticks of activity are so long that 64 to 127 of them are too many: a byte counts more than twice that. */
static void set_patience(struct worker *w)
{
    const struct worker_options *o = &w->o;

    w->least_idle_ns = o->tcp_idle_ns < o->other_idle_ns ? o->tcp_idle_ns : o->other_idle_ns;
    if (o->closed_linger_ns < w->least_idle_ns)
        w->least_idle_ns = o->closed_linger_ns;
    w->active_ticks = UINT8_MAX + 1;
    w->clean_idle_ns = o->tcp_idle_ns;
    if (o->active_ns == 0)
        return;
    if (o->active_ns < w->clean_idle_ns)
        w->clean_idle_ns = o->active_ns;
    if (o->active_ns < w->least_idle_ns)
        w->least_idle_ns = o->active_ns;
    while (o->active_ns >> w->active_shift > INT8_MAX)
        w->active_shift++;
    w->active_ticks = (uint32_t)(o->active_ns >> w->active_shift);
}

/* What packets and flows fill, all of it; and what paths and the like do, as far as most have some. */
static bool init_tables(struct worker *w)
{
    const struct worker_options *o = &w->o;

    memory_back_at_once(o->backed ? SIZE_MAX : 0);
    bool there = flow_table_init(&w->table, o->flows) == 0 && fragments_init(&w->fragments) == 0 &&
                 dedup_init(&w->dedup) == 0 && pools_init(&w->pools, o->trouble_blocks) == 0 &&
                 dns_pool_init(&w->dns, o->dns_entries) == 0;
    memory_back_at_once(o->backed ? BACKED_WINDOWS : 0);
    there = there && agg_table_init(&w->agg[METER_MIRROR], WINDOW_MIRROR, 2, o->mirror) == 0 &&
            agg_table_init(&w->agg[METER_PATH], WINDOW_PATH, o->max_paths, o->mirror) == 0 &&
            agg_table_init(&w->agg[METER_SERVICE], WINDOW_SERVICE, o->max_services, o->mirror) == 0 &&
            agg_table_init(&w->agg[METER_VLAN], WINDOW_VLAN, MAX_VLAN_WINDOWS, o->mirror) == 0 &&
            agg_table_init(&w->agg[METER_TUNNEL], WINDOW_TUNNEL, MAX_TUNNEL_WINDOWS, o->mirror) == 0;
    memory_back_at_once(0);
    return there;
}

int worker_new(const struct worker_options *options, struct worker **ret_worker)
{
    struct worker *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return -ENOMEM;
    w->o = *options;
    w->o.writer.mirror = options->mirror;
    if (!init_tables(w)) {
        worker_free(w);
        return -ENOMEM;
    }
    if (options->buckets != 0)
        flow_table_start_small(&w->table, options->buckets);
    set_patience(w);
    struct rec_scope mirror = {.scope = WINDOW_MIRROR, .mirror = options->mirror};
    w->mirror_agg = agg_get(&w->agg[METER_MIRROR], &mirror);
    closing_init(&w->closing, w->agg, w->mirror_agg, &w->o.writer);
    *ret_worker = w;
    return 0;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    flow_table_fini(&w->table);
    fragments_fini(&w->fragments);
    dedup_fini(&w->dedup);
    pools_fini(&w->pools);
    dns_pool_fini(&w->dns);
    for (unsigned i = 0; i < METER_TABLES; i++)
        agg_table_fini(&w->agg[i]);
    free(w);
}

const struct ledger *worker_ledger(const struct worker *w)
{
    return &w->ledger;
}

uint64_t worker_general_pkts(const struct worker *w)
{
    return w->general_pkts;
}

uint64_t worker_clock_ns(const struct worker *w)
{
    return w->clock_ns;
}

void worker_count_filtered(struct worker *w, uint64_t pkts)
{
    w->ledger.offered += pkts;
    w->ledger.drops[LEDGER_filtered] += pkts;
}

void worker_count_unknown(struct worker *w, uint64_t pkts)
{
    w->ledger.offered += pkts;
    w->ledger.drops[LEDGER_decode_unknown] += pkts;
}

void worker_add(struct worker *w, const struct worker_share *share)
{
    ledger_merge(&w->ledger, &share->ledger);
    w->front.clock_backwards += share->clock_backwards;
    w->front.wrong_worker += share->wrong_worker;
    w->front.fragments_unmatched += share->fragments_unmatched;
    w->front.fragments_malformed += share->fragments_malformed;
    w->front.fragments_evicted += share->fragments_evicted;
    if (share->peak_1ms_bytes == 0)
        return;
    struct window_counters *c = &agg_at(&w->agg[METER_MIRROR], w->mirror_agg)->c;
    if (share->peak_1ms_bytes > c->peak_1ms_bytes)
        c->peak_1ms_bytes = share->peak_1ms_bytes;
}

void worker_event(struct worker *w, const struct rec_event *event)
{
    struct rec_event *message = rec_reserve(&w->o.writer, REC_EVENT, sizeof(*message));

    if (message == NULL)
        return;
    struct rec_hdr hdr = message->hdr;
    *message = *event;
    message->hdr = hdr;
    rec_commit(&w->o.writer);
}

/* ---- windows ---- */

static void close_peak(struct worker *w)
{
    if (w->ms_bytes == 0)
        return;
    struct window_counters *c = &agg_at(&w->agg[METER_MIRROR], w->mirror_agg)->c;

    if (w->ms_bytes > c->peak_1ms_bytes)
        c->peak_1ms_bytes = w->ms_bytes;
    w->ms_bytes = 0;
}

static void fill_window_end(const struct worker *w, struct rec_window_end *end)
{
    *end = (struct rec_window_end){
        .start_ns = w->window_start_ns,
        .length_ns = w->o.window_ns,
        .clock_ns = w->clock_ns,
        .ledger = w->ledger,
        .flows_active = w->table.active,
        .flows_evicted = w->table.evicted,
        .pool_in_use = w->pools.node.in_use + w->pools.trouble.in_use + w->pools.sums.in_use + w->dns.in_use,
        .pool_exhausted =
            w->pools.node.exhausted + w->pools.trouble.exhausted + w->pools.sums.exhausted + w->dns.exhausted,
        .clock_backwards = w->clock_backwards + w->front.clock_backwards,
        .fragments_unmatched = w->fragments.unmatched + w->front.fragments_unmatched,
        .fragments_malformed = w->fragments.malformed + w->front.fragments_malformed,
        .fragments_evicted = w->fragments.evicted + w->front.fragments_evicted,
        .wrong_worker = w->front.wrong_worker,
    };
}

static void close_window(struct worker *w)
{
    struct rec_window_end end;

    close_peak(w);
    fill_window_end(w, &end);
    closing_begin(&w->closing, &end);
}

static void open_window(struct worker *w, uint64_t now_ns)
{
    w->window_start_ns = now_ns - now_ns % w->o.window_ns;
    w->window_end_ns = w->window_start_ns + w->o.window_ns;
}

/* ---- 1. clock ---- */

static void set_clock(struct worker *w, uint64_t now_ns)
{
    if (w->window_end_ns == 0)
        open_window(w, now_ns);
    w->clock_ns = now_ns;
    if (now_ns >= w->window_end_ns) {
        close_window(w);
        open_window(w, now_ns);
    }
}

/* Packet times never run backwards; a step back is counted. */
static void clamp_times(struct worker *w, struct batch *b)
{
    uint64_t latest_ns = w->clock_ns;

    for (uint32_t i = 0; i < b->n; i++) {
        if (b->pkt[i].ts_ns < latest_ns) {
            b->pkt[i].ts_ns = latest_ns;
            w->clock_backwards++;
        }
        latest_ns = b->pkt[i].ts_ns;
    }
}

void worker_tick(struct worker *w, uint64_t now_ns)
{
    if (now_ns > w->clock_ns)
        set_clock(w, now_ns);
    flows_expire(w);
    closing_go_on(&w->closing, w->clock_ns);
}

/* ---- 6. meter ---- */

static void count_drop(struct worker *w, enum ledger_drop why)
{
    w->ledger.processed--; /* it was taken for one that will be: see meter_range */
    w->ledger.drops[why]++;
}

static void count_copy(struct worker *w, struct meter *m)
{
    unsigned s = m->p->sender;
    bool hop = m->p->copy == COPY_HOP;

    count_drop(w, LEDGER_duplicate);
    if (hop) {
        trouble_of(m)->dir[s].second_hop_pkts++;
        transit_meter(m, m->p->copy_delay_ns);
    } else if (++m->f->dup_pkts[s] > INT16_MAX) {
        flow_spill(m);
    }
    trace_verdict(m, s, hop ? VERDICT_hop : VERDICT_copy, m->p->tcp_seq, m->p->tcp_seq + m->p->payload_len);
    for (unsigned scope = 0; scope < m->n_scopes; scope++) {
        meter_window(m, scope, s)->dup_pkts += !hop;
        meter_window(m, scope, s)->second_hop_pkts += hop;
    }
}

static void count_packet(struct worker *w, struct meter *m, const struct pkt *p)
{
    struct flow *f = m->f;
    unsigned s = p->sender;
    int32_t over_bytes = (int32_t)(p->wire_len - p->ip_bytes - f->l2_bytes);

    f->side[s].pkts++;
    f->side[s].bytes += p->ip_bytes;
    if (f->side[s].bytes >> 31 != 0)
        flow_spill(m);
    if (over_bytes != 0)
        flow_over_bytes(m, over_bytes);
    if (p->n_vlans != 0 && !(f->flags & FLOW_IN_VLAN)) /* mirrors often tag one direction only */
        flow_learn_vlan(w, f, p);
    if (__builtin_expect((p->flags & (PKT_FRAGMENT | PKT_TRUNCATED)) != 0, 0)) {
        METER_TALLY(m, fragments, (p->flags & PKT_FRAGMENT) != 0);
        METER_TALLY(m, truncated_pkts, (p->flags & PKT_TRUNCATED) != 0);
    }
}

static bool is_dns(const struct flow_key *key)
{
    return key->port[0] == 53 || key->port[1] == 53;
}

/* The flow that an ICMP error is about hears of it, once: whatever may be a copy is left out, because that is known
 * without the error's own flow, which may be with another worker. */
static void match_error(struct worker *w, struct pkt *p)
{
    struct icmp_quote quote;

    if (p->copy != COPY_NONE || icmp_quote_parse(p, &quote) != 0)
        return;
    clean_settle(w);
    struct short_key id = {0};
    flow_key_shorten(&w->table, &quote.key, &id);
    uint32_t index = flow_table_find(&w->table, flow_hash(&w->table, &id), &id, &quote.key);
    if (index == FLOW_NONE)
        return;
    struct flow *f = flow_at(&w->table, index);
    if (f->last_ns + flow_idle_ns(w, f) < p->ts_ns) /* over, though it may still be there */
        return;
    struct meter m;
    meter_init(w, &m, f, p, &quote.key, p->ts_ns);
    icmp_error_meter(&m, &quote);
}

static inline void meter_by_protocol(struct worker *w, struct meter *m)
{
    const struct flow_key *key = m->key;

    if (key->proto == 6) {
        tcp_meter(m);
        if (__builtin_expect(is_dns(key), 0))
            dns_tcp_meter(m, &w->dns);
    } else if (key->kind != KEY_PORTS) {
        icmp_meter(m);
        if (key->kind == KEY_ICMP_OTHER) {
            touch_windows(w, m->f); /* before those of the flow that it is about */
            match_error(w, m->p);
        }
    } else if (key->proto == 17) {
        if (is_dns(key))
            dns_meter(m, &w->dns);
        else
            app_udp(m);
    }
    if (__builtin_expect(m->f->flags & FLOW_PMTU, 0))
        pmtu_meter(m);
}

static bool is_copy(struct worker *w, struct flow *f, struct pkt *p)
{
    bool copy = false;

    if (p->copy != COPY_NONE)
        copy = dedup_judge(&w->dedup, f, p, loss_full_rtt_ns(f));
    else
        dedup_original(&w->dedup, f, p);
    f->is_settled = dedup_is_settled(&f->evidence);
    return copy;
}

/* The general way, for whatever is not as plain as clean.h wants it. The windows are touched where it is counted. */
static inline void meter_any(struct worker *w, struct pkt *p, struct flow *f)
{
    struct meter m;

    meter_start(w, &m, f, p, &p->key, p->ts_ns);
    if (__builtin_expect(is_copy(w, f, p), 0)) {
        touch_windows(w, f);
        f->last_ns = p->ts_ns;
        count_copy(w, &m);
        return;
    }
    count_packet(w, &m, p);
    meter_by_protocol(w, &m);
    count_windows(w, f, p, m.is_data, m.is_judged);
    f->last_ns = p->ts_ns;
    clean_note(w, f);
}

/* The flow that was found, unless it is over: then another. */
static inline uint32_t flow_or_next(struct worker *w, struct pkt *p, uint32_t index)
{
    struct flow *f = flow_at(&w->table, index);
    enum flow_end end;

    if (__builtin_expect(may_be_over(w, f, p), 0) && flow_is_over(w, f, p, &end)) {
        flow_end(w, index, end);
        return flow_make(w, p);
    }
    return index;
}

/* What the lookup pass found has ended since, within this burst, or what it did not find may have begun. */
static __attribute__((noinline)) uint32_t flow_missed(struct worker *w, struct pkt *p)
{
    uint32_t index = FLOW_NONE;

    if (w->table.changes != w->changes_seen)
        index = flow_table_find(&w->table, p->hash, &p->id, &p->key);
    return index != FLOW_NONE ? flow_or_next(w, p, index) : flow_make(w, p);
}

static __attribute__((noinline)) void meter_general(struct worker *w, struct pkt *p, bool found)
{
    uint32_t index = p->flow;

    w->general_pkts++;
    clean_settle_flow(w, index);
    pkt_complete_key(p);
    index = found ? flow_or_next(w, p, index) : flow_missed(w, p);
    if (__builtin_expect(index != FLOW_NONE, 1))
        meter_any(w, p, flow_at(&w->table, index));
    else
        count_drop(w, LEDGER_table_full);
}

static __attribute__((noinline, cold)) void meter_other(struct worker *w, struct pkt *p)
{
    if (p->notice)
        match_error(w, p);
    else if (pkt_is_drop(p))
        count_drop(w, p->verdict - PKT_DROP0);
    else
        agg_at(&w->agg[METER_MIRROR], w->mirror_agg)->c.l2_pkts++;
}

/* What the lookup pass found may have ended since. */
static inline bool is_found(const struct worker *w, const struct pkt *p)
{
    if (p->flow == FLOW_NONE)
        return false;
    return __builtin_expect(w->table.changes == w->changes_seen, 1) || flow_is(&w->table, p->flow, &p->id, &p->key);
}

/* What clean_meter would say no to most often, as one branch. */
static inline bool may_be_clean(const struct flow *f, const struct pkt *p)
{
    return f->is_clean & !(p->tcp_flags & (TCP_SYN | TCP_FIN));
}

static inline void meter_packet(struct worker *w, struct pkt *p)
{
    if (__builtin_expect(p->verdict != PKT_FLOW || p->notice, 0)) {
        meter_other(w, p);
        return;
    }
    if (__builtin_expect(!is_found(w, p), 0)) {
        meter_general(w, p, false);
        return;
    }
    struct flow *f = flow_at(&w->table, p->flow);
    if (!may_be_clean(f, p) || !clean_meter(w, p, f))
        meter_general(w, p, true);
}

/* ---- the burst ---- */

static void hash_batch(struct worker *w, struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct pkt *p = &b->pkt[i];
        if (p->verdict != PKT_FLOW)
            continue;
        if (!p->has_id)
            flow_key_shorten(&w->table, &p->key, &p->id);
        p->hash = flow_hash(&w->table, &p->id);
    }
    for (uint32_t i = 0; i < b->n; i++)
        flow_table_prefetch(&w->table, b->pkt[i].hash);
}

/* Inlined with a constant. */
static inline __attribute__((always_inline)) void fetch_guessed(const struct worker *w, unsigned lines)
{
    for (uint32_t i = 0; i < w->n_guessed; i++)
        flow_prefetch(&w->table, w->guessed[i]->flow, 0, lines);
}

/*
 * Those that are not in their first bucket wait together for their other one. New flows are in neither, and come in no
 * order: instead of a branch on each that nobody can foretell, the others make a list.
 */
static void guess_batch(struct worker *w, struct batch *b)
{
    struct pkt *other[BATCH_MAX];
    uint32_t n = 0, n_others = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        struct pkt *p = &b->pkt[i];
        p->flow = FLOW_NONE;
        if (p->verdict != PKT_FLOW)
            continue;
        uint32_t index = flow_table_guess(&w->table, p->hash), there = index != FLOW_NONE;
        p->flow = index;
        w->guessed[n] = other[n_others] = p;
        n += there;
        n_others += !there;
    }
    for (uint32_t i = 0; i < n_others; i++)
        flow_table_prefetch_other(&w->table, other[i]->hash);
    for (uint32_t i = 0; i < n_others; i++) {
        other[i]->flow = flow_table_guess_other(&w->table, other[i]->hash);
        w->guessed[n] = other[i];
        n += other[i]->flow != FLOW_NONE;
    }
    w->n_guessed = n;
    if (fetch_is_far())
        fetch_guessed(w, FIND_LINES);
    else
        fetch_guessed(w, 1);
}

/* What the packet will touch: lines of its record, and of its path's window what every packet and what a sample counts
 * in. Only the record's first line may be read for that: the others are on their way. Returns whether the general way,
 * which may want all of the record, is likely. */
static inline __attribute__((always_inline)) unsigned fetch_found(const struct worker *w, const struct pkt *p)
{
    const struct flow *f = flow_at(&w->table, p->flow);
    const struct agg *path = &w->agg[METER_PATH].entry[f->path];
    unsigned dir = p->sender ^ f->path_a;

    fetch_near(&f->side[0]);
    fetch_near(&f->side[1]);
    fetch(&path->c.dir[dir]);
    fetch(&path->hist[WINDOW_HIST_RTT_A + dir]);
    return (clean_kind(p, p->flags) != 0) | !f->is_clean;
}

static void find_batch(struct worker *w, struct batch *b)
{
    uint32_t general[BATCH_MAX], n = 0;

    (void)b;
    for (uint32_t i = 0; i < w->n_guessed; i++) {
        struct pkt *p = w->guessed[i];
        if (__builtin_expect(!flow_is(&w->table, p->flow, &p->id, &p->key), 0)) {
            p->flow = flow_table_find(&w->table, p->hash, &p->id, &p->key);
            continue;
        }
        general[n] = p->flow;
        n += fetch_found(w, p);
    }
    for (uint32_t i = 0; i < n; i++)
        flow_prefetch(&w->table, general[i], FIND_LINES, sizeof(struct flow) / 64);
}

/* The busiest millisecond of the mirror, and what is offered; all of it is taken for processed until it is dropped. */
static void count_offered(struct worker *w, const struct batch *b, uint32_t from, uint32_t to)
{
    uint64_t start_ns = w->ms_start_ns, bytes = 0, n_notices = 0;

    for (uint32_t i = from; i < to; i++) {
        const struct pkt *p = &b->pkt[i];
        if (__builtin_expect(p->notice | (p->verdict >= PKT_DROP0), 0)) {
            n_notices += p->notice;
            continue;
        }
        if (__builtin_expect(p->ts_ns - start_ns >= NS_PER_MS, 0)) {
            w->ms_bytes += bytes;
            close_peak(w);
            bytes = 0;
            w->ms_start_ns = start_ns = p->ts_ns - p->ts_ns % NS_PER_MS;
        }
        bytes += p->wire_len;
    }
    w->ms_bytes += bytes;
    w->ledger.offered += to - from - n_notices;
    w->ledger.processed += to - from - n_notices;
}

/* Packets of one window. */
static void meter_range(struct worker *w, struct batch *b, uint32_t from, uint32_t to)
{
    count_offered(w, b, from, to);
    for (uint32_t i = from; i < to; i++)
        meter_packet(w, &b->pkt[i]);
}

/* A window that ends within the burst gets its packets first. */
static void meter_batch(struct worker *w, struct batch *b)
{
    uint64_t last_ns = b->n != 0 ? b->pkt[b->n - 1].ts_ns : 0;
    uint32_t from = 0;

    w->changes_seen = w->table.changes;
    while (b->n != 0 && last_ns >= w->window_end_ns) {
        uint32_t first = from;
        while (b->pkt[from].ts_ns < w->window_end_ns)
            from++;
        meter_range(w, b, first, from);
        clean_settle(w);
        set_clock(w, b->pkt[from].ts_ns);
    }
    if (last_ns > w->clock_ns)
        w->clock_ns = last_ns;
    meter_range(w, b, from, b->n);
}

/* ---- the passes ---- */

static void decode(struct worker *w, struct batch *b)
{
    const struct decode_options options = {.vlan_in_key = w->o.vlan_in_key, .fragments = &w->fragments};

    clamp_times(w, b);
    decode_batch(b, &options);
}

static void fingerprint_batch(struct worker *w, struct batch *b)
{
    dedup_fingerprint_batch(&w->dedup, b);
}

static void dedup(struct worker *w, struct batch *b)
{
    dedup_batch(&w->dedup, b);
}

static void settle(struct worker *w, struct batch *b)
{
    (void)b;
    clean_settle(w);
    flows_expire(w);
    closing_go_on(&w->closing, w->clock_ns);
}

/* In order, with the stage that each belongs to for a benchmark. */
enum { STAGE_DECODE, STAGE_DEDUP, STAGE_LOOKUP, STAGE_METER, STAGE_AGGREGATE };
#define PASSES(X)                                                                                                      \
    X(hash_batch, STAGE_LOOKUP)                                                                                        \
    X(fingerprint_batch, STAGE_DEDUP)                                                                                  \
    X(guess_batch, STAGE_LOOKUP)                                                                                       \
    X(dedup, STAGE_DEDUP)                                                                                              \
    X(find_batch, STAGE_LOOKUP)                                                                                        \
    X(meter_batch, STAGE_METER)                                                                                        \
    X(settle, STAGE_AGGREGATE)

void worker_process_decoded(struct worker *w, struct batch *b)
{
#define X(pass, stage) pass(w, b);
    PASSES(X)
#undef X
}

void worker_process(struct worker *w, struct batch *b)
{
    decode(w, b);
    worker_process_decoded(w, b);
}

void worker_process_timed(struct worker *w, struct batch *b, uint64_t ticks[WORKER_STAGES])
{
    uint64_t since = __builtin_ia32_rdtsc(), now;

#define X(pass, stage)                                                                                                 \
    pass(w, b);                                                                                                        \
    now = __builtin_ia32_rdtsc();                                                                                      \
    ticks[stage] += now - since;                                                                                       \
    since = now;
    X(decode, STAGE_DECODE)
    PASSES(X)
#undef X
}

const char *worker_stage_name(unsigned stage)
{
    static const char *const names[WORKER_STAGES] = {
        [STAGE_DECODE] = "decode", [STAGE_DEDUP] = "dedup",         [STAGE_LOOKUP] = "lookup",
        [STAGE_METER] = "meter",   [STAGE_AGGREGATE] = "aggregate",
    };

    return names[stage];
}

double worker_bytes_per_flow(const struct worker *w, uint32_t n_flows)
{
    double bytes = (double)flow_table_bytes(&w->table) + (double)pools_bytes(&w->pools) +
                   (double)w->dns.n * sizeof(*w->dns.entry) + (double)dedup_bytes(&w->dedup);

    return bytes / n_flows;
}

void worker_finish(struct worker *w)
{
    flows_finish(w);
    w->o.writer.may_wait = true; /* however many flows that was: the account gets through */
    if (w->window_end_ns == 0)
        open_window(w, w->clock_ns);
    close_window(w);
    closing_finish(&w->closing);
    if (rec_reserve(&w->o.writer, REC_EOF, sizeof(struct rec_hdr)) != NULL)
        rec_commit(&w->o.writer);
}
