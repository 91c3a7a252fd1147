/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The analytics thread: polls the workers' rings in turn, a bounded number of messages each, and hands each message to
 * what needs it. When all rings are empty it gives the store a batch and sleeps for a millisecond or some more. Nothing
 * here waits for a worker, and no worker waits for anything here except through a full ring: reading files, that is the
 * intended back-pressure.
 *
 *   flow   -> hosts, top lists, NDJSON          window part -> totals, assembly -> roll-up -> store
 *   event  -> store, NDJSON                     window end  -> ledger, assembly
 *
 * Messages are checked for length and type before use: a ring carries memory that another thread wrote, and a counter
 * of malformed ones costs nothing.
 *
 * Shared with the caller's thread: the flag producers_done only; the result passes by pthread_join.
 */

#include "analytics/analytics.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "analytics/ndjson.h"
#include "analytics/publish.h"
#include "analytics/rollup.h"
#include "analytics/topn.h"
#include "analytics/totals.h"
#include "analytics/verdict.h"
#include "analytics/windows.h"
#include "common/events.h"
#include "common/timefmt.h"

#define TURN_MESSAGES   512 /* of one ring before the next has its turn */
#define IDLE_NS         NS_PER_MS
#define IDLE_DOUBLINGS  3
#define FILL_HOLD       0.5  /* reading files: share of the spool above which the rings wait */
#define HOLD_PATIENCE   2000 /* of IDLE_NS: a store that is away for so long costs records, not for ever the run */
#define HOSTS_STORED    128  /* hosts of a window that are published: those with most bytes */
#define FINISH_MS       5000
#define OBJECTS_KEEP_NS (400ull * 86400 * NS_PER_S)

/* What a worker said last. */
struct drain_worker {
    struct ledger ledger;
    uint64_t flows_evicted, ring_dropped;
    struct rec_window_end end;
    bool ended;
};

struct analytics {
    struct analytics_options o;
    pthread_t thread;
    atomic_bool producers_done;
    sem_t wake; /* ends a sleep when producers_done was set */

    struct object_names names;
    struct circuits circuits;
    struct windows windows;
    struct rollup rollup;
    struct objects pending_hosts; /* of flows since the last window closed; none without a store */
    struct objects totals;        /* of the run: mirrors; without NDJSON nobody asks for more */
    struct topn topn;
    uint64_t top_start_ns[2]; /* of the running minute and hour, UINT64_MAX = none */
    struct mirror_watch watch[ANALYTICS_MIRRORS_MAX];
    struct drain_worker *worker;
    bool begun;          /* a base window was closed */
    uint64_t own_losses; /* of the sensor, as of the last closed window */
    uint64_t last_ring_dropped;
    struct publisher *publisher; /* NULL: no store */
    struct ndjson *ndjson;       /* NULL: none */
    struct ndjson ndjson_state;
    struct json_text json;
    struct analytics_result result;
};

/* The first failure decides the result; analytics goes on with what still works. */
static void failed(struct analytics *a, int code, const char *text)
{
    if (a->result.status == 0)
        a->result.status = error_set(&a->result.error, code, "%s", text);
}

static void no_memory(struct analytics *a)
{
    failed(a, -ENOMEM, "no memory left for analytics; records are missing");
}

/* The account of a mirror: its workers' parts and what the NIC says it lost before them. */
static struct ledger mirror_ledger(struct analytics *a, uint32_t mirror)
{
    struct ledger l = {0}, nic = {0};

    for (unsigned i = 0; i < a->o.n_rings; i++)
        if ((a->o.ring_mirror != NULL ? a->o.ring_mirror[i] : 0) == mirror)
            ledger_merge(&l, &a->worker[i].ledger);
    if (a->o.nic_ledger == NULL)
        return l;
    a->o.nic_ledger(a->o.nic_ctx, mirror, &nic);
    nic.processed = 0;
    nic.offered = ledger_drop_sum(&nic);
    ledger_merge(&l, &nic);
    return l;
}

static void handle_event(struct analytics *a, const struct rec_event *ev)
{
    struct rec_scope key = {.scope = WINDOW_MIRROR, .mirror = ev->mirror};
    struct schema_event out = {.ts_ns = ev->ts_ns, .kind = ev->kind, .severity = ev->severity};
    char mirror[WINDOW_NAME_BYTES];

    a->result.events++;
    if (a->ndjson != NULL) {
        ndjson_event(&a->json, ev, &a->names);
        ndjson_put_event(a->ndjson, &a->json, ev);
    }
    if (a->publisher == NULL)
        return;
    object_name(&a->names, &key, mirror);
    snprintf(out.kind_name, sizeof(out.kind_name), "%s", event_kind_name(ev->kind));
    snprintf(out.mirror, sizeof(out.mirror), "%.*s", (int)sizeof(out.mirror) - 1, mirror);
    snprintf(out.subject, sizeof(out.subject), "%.*s", (int)sizeof(ev->subject), ev->subject);
    ndjson_event_detail(&a->json, ev);
    if (a->json.failed || a->json.len >= sizeof(out.detail))
        snprintf(out.detail, sizeof(out.detail), "{}");
    else
        memcpy(out.detail, a->json.text, a->json.len + 1);
    publisher_put_event(a->publisher, &out);
}

static void publish_tops(struct analytics *a, int span)
{
    enum schema_tier tier = span == 0 ? SCHEMA_1MIN : SCHEMA_1H;

    for (unsigned k = 0; k < SCHEMA_TOP_COUNT; k++) {
        struct schema_flow *flows = NULL;
        size_t n = topn_take(&a->topn.list[span][k], &flows);
        if (a->publisher != NULL)
            publisher_put_top(a->publisher, k, tier, a->top_start_ns[span], flows, n);
        else
            schema_flows_free(flows, n);
    }
}

/* The running minute and hour of top lists are those of the newest data; a list goes out when its time is over. */
static void advance_tops(struct analytics *a, uint64_t data_ns)
{
    static const uint64_t length_ns[2] = {60 * NS_PER_S, 3600 * NS_PER_S};

    for (int span = 0; span < 2; span++) {
        uint64_t start_ns = data_ns - data_ns % length_ns[span];
        if (a->top_start_ns[span] != UINT64_MAX && a->top_start_ns[span] >= start_ns)
            continue;
        if (a->top_start_ns[span] != UINT64_MAX)
            publish_tops(a, span);
        a->top_start_ns[span] = start_ns;
    }
}

static void handle_flow(struct analytics *a, const struct rec_flow *f)
{
    uint64_t score[SCHEMA_TOP_COUNT];
    bool wanted = false;

    a->result.flows++;
    if ((a->publisher != NULL && topn_add_hosts(&a->pending_hosts, f) != 0) ||
        (a->ndjson != NULL && topn_add_hosts(&a->totals, f) != 0))
        no_memory(a);
    if (a->publisher != NULL) {
        if (a->top_start_ns[0] == UINT64_MAX)
            advance_tops(a, f->last_ns);
        for (unsigned k = 0; k < SCHEMA_TOP_COUNT; k++)
            score[k] = topn_score(k, f);
        wanted = topn_wants(&a->topn, score);
    }
    if (a->ndjson == NULL && !wanted)
        return;
    ndjson_flow(&a->json, f, &a->names);
    if (a->ndjson != NULL)
        ndjson_put_flow(a->ndjson, &a->json, f);
    if (wanted && (a->json.failed || topn_add(&a->topn, score, a->json.text) != 0))
        no_memory(a);
}

static int compare_bytes(const void *x, const void *y)
{
    const struct object *a = *(const struct object *const *)x, *b = *(const struct object *const *)y;
    uint64_t i = a->c.dir[0].bytes + a->c.dir[1].bytes, j = b->c.dir[0].bytes + b->c.dir[1].bytes;

    return i < j ? 1 : i > j ? -1 : memcmp(&a->key, &b->key, sizeof(a->key));
}

static void publish_object(struct analytics *a, enum schema_tier tier, const struct closed_window *c,
                           const struct object *x)
{
    struct window w = {.start_ns = c->start_ns, .length_ns = c->length_ns};

    object_to_window(x, &a->names, &w);
    if (c->degraded && w.quality == WINDOW_OK)
        w.quality = WINDOW_UNSURE;
    if (c->parts < c->parts_expected) {
        unsigned missing = 100 * (c->parts_expected - c->parts) / c->parts_expected;
        w.missing_pct = missing != 0 ? (uint8_t)missing : 1;
    }
    publisher_put_window(a->publisher, tier, &w, c->parts, c->parts_expected);
    if (tier == SCHEMA_BASE)
        publisher_put_object(a->publisher, w.scope, w.name, w.start_ns);
}

/* All objects but hosts, and of these the HOSTS_STORED with most bytes. */
static void publish_objects(struct analytics *a, enum schema_tier tier, const struct closed_window *c)
{
    const struct objects *o = c->objects;
    const struct object **host = malloc((o->per_scope[WINDOW_HOST] + 1) * sizeof(struct object *));
    size_t n_hosts = 0;

    for (size_t i = 0; i < o->n; i++) {
        if (o->at[i]->key.scope != WINDOW_HOST)
            publish_object(a, tier, c, o->at[i]);
        else if (host != NULL && n_hosts < o->per_scope[WINDOW_HOST])
            host[n_hosts++] = o->at[i];
    }
    if (n_hosts > HOSTS_STORED)
        qsort(host, n_hosts, sizeof(struct object *), compare_bytes);
    for (size_t i = 0; i < n_hosts && i < HOSTS_STORED; i++)
        publish_object(a, tier, c, host[i]);
    free(host);
}

static void handle_part(struct analytics *a, const struct rec_window *part)
{
    bool in_totals = a->ndjson != NULL || part->key.scope == WINDOW_MIRROR;

    if (!windows_part(&a->windows, part))
        a->result.bad_messages++;
    else if (in_totals && windows_add_part(&a->totals, part, &a->circuits) == -ENOMEM)
        no_memory(a);
}

static const struct object *find_mirror(const struct objects *o, uint32_t mirror)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->at[i]->key.scope == WINDOW_MIRROR && o->at[i]->key.mirror == mirror)
            return o->at[i];
    return NULL;
}

/* The mirrors' health from a window of a minute (or a base window, where those are as long). */
static void watch_minute(struct analytics *a, const struct closed_window *c)
{
    struct window w = {.start_ns = c->start_ns, .length_ns = c->length_ns};
    struct rec_event ev;

    for (uint32_t m = 0; m < a->o.n_mirrors; m++) {
        const struct object *x = find_mirror(c->objects, m);
        uint64_t capacity = a->o.mirror_capacity_bits_per_s != NULL ? a->o.mirror_capacity_bits_per_s[m] : 0;
        if (x == NULL)
            continue;
        object_to_window(x, &a->names, &w);
        if (watch_one_way(&a->watch[m], m, w.name, &w, &ev))
            handle_event(a, &ev);
        if (watch_oversubscribed(&a->watch[m], m, w.name, &w, capacity, &ev))
            handle_event(a, &ev);
    }
}

static void on_tier_closed(void *ctx, enum schema_tier tier, struct closed_window *c)
{
    struct analytics *a = ctx;
    bool minute = tier == SCHEMA_1MIN || (tier == SCHEMA_BASE && !schema_tier_exists(SCHEMA_1MIN, a->o.window_ns));

    if (minute)
        watch_minute(a, c);
    if (a->publisher == NULL)
        return;
    publish_objects(a, tier, c);
    if (tier == SCHEMA_1H && c->start_ns > OBJECTS_KEEP_NS)
        for (unsigned s = 0; s < WINDOW_SCOPE_COUNT; s++)
            publisher_put_prune(a->publisher, s, c->start_ns - OBJECTS_KEEP_NS);
    struct schema_closed marker = {.tier = tier,
                                   .degraded = c->degraded,
                                   .parts = c->parts,
                                   .parts_expected = c->parts_expected,
                                   .start_ns = c->start_ns,
                                   .length_ns = c->length_ns};
    publisher_put_closed(a->publisher, &marker);
}

/* Packets that the sensor itself lost since the last window, over all mirrors; sets the publisher's ledgers on the way.
 */
static uint64_t take_losses(struct analytics *a, const char **ret_limit)
{
    uint64_t losses = 0;
    const char *limit = "ring to analytics";

    for (uint32_t m = 0; m < a->o.n_mirrors; m++) {
        struct ledger l = mirror_ledger(a, m);
        static const enum ledger_drop own[] = {LEDGER_nic_missed, LEDGER_no_mbuf, LEDGER_ring_full, LEDGER_table_full};
        for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
            losses += l.drops[own[i]];
            if (l.drops[own[i]] != 0)
                limit = ledger_drop_name(own[i]);
        }
        if (a->publisher != NULL) {
            const struct object *x = find_mirror(&a->totals, m);
            struct verdict v;
            struct window w = {0};
            if (x != NULL)
                object_to_window(x, &a->names, &w);
            verdict_of(&v, &w, &l);
            publisher_set_mirror(a->publisher, m, &l, &v);
        }
    }
    uint64_t fresh = losses > a->own_losses ? losses - a->own_losses : 0;
    a->own_losses = losses;
    *ret_limit = limit;
    return fresh;
}

static void watch_base(struct analytics *a, const struct closed_window *c, uint64_t lost_pkts, const char *limit)
{
    bool lost_messages = a->result.ring_dropped > a->last_ring_dropped;
    struct window w = {.start_ns = c->start_ns, .length_ns = c->length_ns};
    struct rec_event ev;

    a->last_ring_dropped = a->result.ring_dropped;
    if (watch_overload(&a->watch[0], 0, a->o.sensor, c->start_ns, lost_pkts, lost_messages, limit, &ev))
        handle_event(a, &ev);
    for (uint32_t m = 0; m < a->o.n_mirrors && a->o.live; m++) {
        const struct object *x = find_mirror(c->objects, m);
        if (x != NULL)
            object_to_window(x, &a->names, &w);
        if (watch_silence(&a->watch[m], m, a->o.mirror_names[m], x != NULL ? &w : NULL, c->start_ns, &ev))
            handle_event(a, &ev);
    }
}

static void update_sensor(struct analytics *a)
{
    struct schema_sensor *s = publisher_sensor(a->publisher);

    s->windows_closed = a->result.windows_closed;
    s->windows_late = a->windows.late_parts;
    s->flows = a->result.flows;
    s->events = a->result.events;
    s->ring_dropped = a->result.ring_dropped;
    s->flows_active = s->flows_evicted = s->pool_in_use = s->pool_exhausted = s->clock_backwards = 0;
    s->fragments_unmatched = s->fragments_malformed = s->fragments_evicted = s->wrong_worker = 0;
    for (unsigned i = 0; i < a->o.n_rings; i++) {
        const struct rec_window_end *e = &a->worker[i].end;
        s->flows_active += e->flows_active;
        s->flows_evicted += e->flows_evicted;
        s->pool_in_use += e->pool_in_use;
        s->pool_exhausted += e->pool_exhausted;
        s->clock_backwards += e->clock_backwards;
        s->wrong_worker += e->wrong_worker;
        s->fragments_unmatched += e->fragments_unmatched;
        s->fragments_malformed += e->fragments_malformed;
        s->fragments_evicted += e->fragments_evicted;
    }
}

static void on_base_closed(void *ctx, struct closed_window *c)
{
    struct analytics *a = ctx;
    const char *limit = "";
    uint64_t lost_pkts = take_losses(a, &limit);

    a->result.windows_closed++;
    if (a->result.first_ns == 0)
        a->result.first_ns = c->start_ns;
    a->result.last_ns = c->start_ns + c->length_ns;
    c->degraded |= lost_pkts != 0;
    watch_base(a, c, lost_pkts, limit);
    if (objects_merge(c->objects, &a->pending_hosts) != 0)
        no_memory(a);
    objects_clear(&a->pending_hosts);
    if (a->publisher != NULL) {
        if (!a->begun)
            publisher_begin(a->publisher, c->start_ns);
        a->begun = true;
        publisher_set_data_time(a->publisher, c->start_ns + c->length_ns);
        advance_tops(a, c->start_ns + c->length_ns);
        update_sensor(a);
    }
    rollup_add(&a->rollup, c);
}

static void handle_end(struct analytics *a, unsigned ring, const struct rec_window_end *end)
{
    struct drain_worker *w = &a->worker[ring];

    a->result.ring_dropped += end->ring_dropped - w->ring_dropped;
    w->ledger = end->ledger;
    w->ring_dropped = end->ring_dropped;
    w->flows_evicted = end->flows_evicted;
    w->end = *end;
    windows_end(&a->windows, ring, end);
}

static void worker_ended(struct analytics *a, unsigned ring)
{
    a->worker[ring].ended = true;
    windows_worker_ended(&a->windows, ring);
}

/* The least length of a message of each type. */
static size_t least_bytes(uint16_t type)
{
    switch (type) {
    case REC_FLOW:
        return sizeof(struct rec_flow);
    case REC_WINDOW:
        return sizeof(struct rec_window);
    case REC_WINDOW_END:
        return sizeof(struct rec_window_end);
    case REC_EVENT:
        return sizeof(struct rec_event);
    case REC_EOF:
        return sizeof(struct rec_hdr);
    default:
        return SIZE_MAX;
    }
}

static void handle(struct analytics *a, unsigned ring, const struct rec_hdr *hdr, size_t len_bytes)
{
    const void *message = hdr;

    if (len_bytes < sizeof(*hdr) || hdr->len_bytes > len_bytes || hdr->len_bytes < least_bytes(hdr->type)) {
        a->result.bad_messages++;
        return;
    }
    switch ((enum rec_type)hdr->type) {
    case REC_FLOW:
        handle_flow(a, message);
        return;
    case REC_WINDOW:
        handle_part(a, message);
        return;
    case REC_WINDOW_END:
        handle_end(a, ring, message);
        return;
    case REC_EVENT:
        if (((const struct rec_event *)message)->kind < EVENT_KIND_COUNT &&
            ((const struct rec_event *)message)->severity < EVENT_SEVERITY_COUNT)
            handle_event(a, message);
        else
            a->result.bad_messages++;
        return;
    case REC_EOF:
        worker_ended(a, ring);
        return;
    }
}

/* One ring's turn. Returns how many messages it had. */
static unsigned drain_ring(struct analytics *a, unsigned ring)
{
    /* Read before the ring is looked at: what was written before it was set is then seen. */
    bool done = atomic_load_explicit(&a->producers_done, memory_order_acquire);
    unsigned n = 0;

    if (a->worker[ring].ended)
        return 0;
    while (n < TURN_MESSAGES && !a->worker[ring].ended) {
        size_t len_bytes = 0;
        const struct rec_hdr *hdr = spsc_peek(a->o.rings[ring], &len_bytes);
        if (hdr == NULL)
            break;
        handle(a, ring, hdr, len_bytes);
        spsc_pop(a->o.rings[ring]);
        n++;
    }
    if (n == 0 && done)
        worker_ended(a, ring);
    return n;
}

static void idle(struct analytics *a, uint64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t until_ns = (uint64_t)until.tv_nsec + ns;
    until.tv_sec += (time_t)(until_ns / NS_PER_S);
    until.tv_nsec = (long)(until_ns % NS_PER_S);
    sem_clockwait(&a->wake, CLOCK_MONOTONIC, &until);
}

/* Reading files without a store, a long silence is followed by more of it, and the ring's writer can wait. */
static uint64_t idle_ns(const struct analytics *a, unsigned turns)
{
    if (a->o.live || a->publisher != NULL)
        return IDLE_NS;
    return IDLE_NS << (turns < IDLE_DOUBLINGS ? turns : IDLE_DOUBLINGS);
}

/* Reading files, the rings wait for the store rather than the spool lose records. */
static void hold_for_store(struct analytics *a)
{
    for (unsigned waited = 0; publisher_fill(a->publisher) > FILL_HOLD && waited < HOLD_PATIENCE;) {
        if (publisher_step(a->publisher) == 0) {
            idle(a, IDLE_NS);
            waited++;
        }
    }
}

static bool all_ended(const struct analytics *a)
{
    for (unsigned i = 0; i < a->o.n_rings; i++)
        if (!a->worker[i].ended)
            return false;
    return true;
}

static void finish_store(struct analytics *a)
{
    if (a->top_start_ns[0] != UINT64_MAX)
        for (int span = 0; span < 2; span++)
            publish_tops(a, span);
    const char *limit;
    take_losses(a, &limit);
    update_sensor(a);
    publisher_finish(a->publisher, FINISH_MS);
    a->result.spool_dropped = publisher_dropped(a->publisher);
    a->result.store_refused = publisher_refused(a->publisher);
    a->result.reconnects = publisher_reconnects(a->publisher);
    a->result.spool_waiting = publisher_waiting(a->publisher);
    a->result.stored = !publisher_is_away(a->publisher) && !publisher_lost_name(a->publisher) &&
                       a->result.spool_dropped == 0 && a->result.spool_waiting == 0 && a->result.store_refused == 0;
    bool kept = a->result.spool_waiting != 0 && a->result.spool_dropped == 0 && a->result.store_refused == 0 &&
                !publisher_lost_name(a->publisher); /* on disk, for the next run */
    if (!a->result.stored && !kept)
        failed(a, publisher_lost_name(a->publisher) ? -EBUSY : -EIO,
               publisher_trouble(a->publisher)[0] != '\0' ? publisher_trouble(a->publisher)
                                                          : "the store was too slow: records were dropped");
}

static void finish_mirrors(struct analytics *a)
{
    a->result.n_mirrors = a->o.n_mirrors;
    for (uint32_t m = 0; m < a->o.n_mirrors; m++) {
        struct analytics_mirror *x = &a->result.mirror[m];
        const struct object *o = find_mirror(&a->totals, m);
        struct window w = {0};
        if (o != NULL)
            object_to_window(o, &a->names, &w);
        snprintf(x->name, sizeof(x->name), "%s", a->o.mirror_names[m]);
        x->ledger = mirror_ledger(a, m);
        verdict_of(&x->verdict, &w, &x->ledger);
    }
}

static void finish_ndjson(struct analytics *a)
{
    ndjson_end_sorted(a->ndjson);
    totals_write(&a->totals, &a->names, a->ndjson, &a->json);
    for (unsigned m = 0; m < a->result.n_mirrors; m++) {
        ndjson_ledger(&a->json, a->result.mirror[m].name, &a->result.mirror[m].ledger);
        ndjson_put(a->ndjson, &a->json);
    }
    for (unsigned m = 0; m < a->result.n_mirrors; m++) {
        ndjson_verdict(&a->json, a->result.mirror[m].name, &a->result.mirror[m].verdict);
        ndjson_put(a->ndjson, &a->json);
    }
    ndjson_end(a->ndjson);
    if (a->ndjson->result != 0)
        failed(a, a->ndjson->result, a->ndjson->error.text);
}

static void *run(void *arg)
{
    struct analytics *a = arg;
    unsigned idle_turns = 0;

    while (!all_ended(a)) {
        unsigned n = 0;
        for (unsigned i = 0; i < a->o.n_rings; i++)
            n += drain_ring(a, i);
        size_t sent = a->publisher != NULL ? publisher_step(a->publisher) : 0;
        if (a->publisher != NULL && !a->o.live)
            hold_for_store(a);
        if (a->publisher != NULL && a->o.stop != NULL && publisher_lost_name(a->publisher))
            *a->o.stop = 1;
        if (n == 0 && sent == 0)
            idle(a, idle_ns(a, idle_turns++));
        else
            idle_turns = 0;
    }
    rollup_finish(&a->rollup);
    if (a->windows.result != 0 || a->rollup.result != 0)
        no_memory(a);
    a->result.late_parts = a->windows.late_parts;
    for (unsigned i = 0; i < a->o.n_rings; i++)
        a->result.flows_evicted += a->worker[i].flows_evicted;
    finish_mirrors(a);
    if (a->ndjson != NULL)
        finish_ndjson(a);
    if (a->publisher != NULL)
        finish_store(a);
    return NULL;
}

static void analytics_free(struct analytics *a)
{
    publisher_free(a->publisher);
    ndjson_fini(&a->ndjson_state);
    json_text_fini(&a->json);
    windows_fini(&a->windows);
    circuits_fini(&a->circuits);
    rollup_fini(&a->rollup);
    objects_fini(&a->pending_hosts);
    objects_fini(&a->totals);
    topn_fini(&a->topn);
    free(a->worker);
    sem_destroy(&a->wake);
    free(a);
}

static int check_options(const struct analytics_options *o, struct error *e)
{
    if (o->n_rings == 0 || o->n_mirrors == 0 || o->n_mirrors > ANALYTICS_MIRRORS_MAX)
        return error_set(e, -EINVAL, "analytics needs 1 to %d mirrors and a ring", ANALYTICS_MIRRORS_MAX);
    if (o->window_ns < NS_PER_S || o->window_ns % NS_PER_S != 0)
        return error_set(e, -EINVAL, "window.length must be whole seconds");
    if (o->sensor == NULL || *o->sensor == '\0' || strlen(o->sensor) >= SCHEMA_SENSOR_BYTES)
        return error_set(e, -EINVAL, "sensor.name must have 1 to %d bytes", SCHEMA_SENSOR_BYTES - 1);
    for (unsigned i = 0; i < o->n_mirrors; i++)
        if (o->mirror_names[i][0] == '\0' || strlen(o->mirror_names[i]) >= SCHEMA_SENSOR_BYTES)
            return error_set(e, -EINVAL, "a mirror's name must have 1 to %d bytes", SCHEMA_SENSOR_BYTES - 1);
    return 0;
}

static int set_up_sinks(struct analytics *a, struct error *e)
{
    if (a->o.ndjson != NULL) {
        if (ndjson_init(&a->ndjson_state, a->o.ndjson, a->o.live, a->o.sort_bytes) != 0)
            return error_set(e, -ENOMEM, "no memory for analytics");
        a->ndjson = &a->ndjson_state;
    }
    if (a->o.store_url == NULL)
        return 0;
    int result = publisher_new(&a->o, &a->publisher, e);
    if (result != 0)
        return result;
    result = publisher_connect(a->publisher, e);
    return result != 0 && a->o.live && result != -EBUSY ? 0 : result; /* live: it may come */
}

int analytics_start(const struct analytics_options *options, struct analytics **ret_analytics, struct error *e)
{
    int result = check_options(options, e);
    uint64_t seed = 0;

    if (result != 0)
        return result;
    struct analytics *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return error_set(e, -ENOMEM, "no memory for analytics");
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        seed = (uintptr_t)a ^ (uint64_t)time(NULL);
    a->o = *options;
    a->names = (struct object_names){options->sites,     options->services, options->mirror_names,
                                     options->n_mirrors, options->circuits, options->n_circuits};
    a->top_start_ns[0] = a->top_start_ns[1] = UINT64_MAX;
    sem_init(&a->wake, 0, 0);
    objects_init(&a->pending_hosts, seed);
    objects_init(&a->totals, seed);
    topn_init(&a->topn);
    rollup_init(&a->rollup, options->window_ns, seed, on_tier_closed, a);
    a->worker = calloc(options->n_rings, sizeof(*a->worker));
    if (a->worker == NULL || circuits_init(&a->circuits, &a->names) != 0 ||
        windows_init(&a->windows, options->n_rings, options->window_ns, seed, on_base_closed, a) != 0)
        result = error_set(e, -ENOMEM, "no memory for analytics");
    a->windows.circuits = &a->circuits;
    a->windows.mirrors_only = options->store_url == NULL;
    if (result == 0)
        result = set_up_sinks(a, e);
    if (result == 0 && (result = -pthread_create(&a->thread, NULL, run, a)) != 0)
        error_set(e, result, "cannot start the analytics thread: %s", strerror(-result));
    if (result != 0) {
        analytics_free(a);
        return result;
    }
    *ret_analytics = a;
    return 0;
}

void analytics_join(struct analytics *a, struct analytics_result *ret_result)
{
    atomic_store_explicit(&a->producers_done, true, memory_order_release);
    sem_post(&a->wake);
    int result = pthread_join(a->thread, NULL);

    assert(result == 0);
    *ret_result = a->result;
    analytics_free(a);
}
