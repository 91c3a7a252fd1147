/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See reshard.h. A lane is an array of parcels with two positions that only grow: `head` belongs to the front, `tail`
 * to the worker. The parcel at head is being filled; it is the worker's once head has moved on. Each side keeps the
 * other's position as last seen, so that a line moves only when the lane looks full or empty.
 *
 * What the front counts itself goes to worker 0 with the parcel that ends a window, so that the sums over workers are
 * those of one worker; so does the largest millisecond, which no worker can see alone.
 */

#include "dataplane/reshard.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/timefmt.h"
#include "dataplane/decode/decode.h"
#include "dataplane/decode/fragment.h"
#include "dataplane/icmp_error.h"
#include "dataplane/memory.h"
#include "dataplane/shard.h"

#define SPIN_TURNS    200u /* polls of something that is not there before the thread sleeps */
#define SLEEP_FILE_NS 20000l

/* Taken in this order: share, packets, tick, end. */
struct parcel {
    struct batch batch;
    void *owner[BATCH_MAX];
    struct worker_share share;
    uint64_t tick_ns; /* 0: none */
    bool has_share, is_last;
};

/* Owner of head: the front; of tail and is_over: the worker. Invariant: 0 <= head - tail <= depth. */
struct lane {
    _Alignas(64) _Atomic uint64_t head;
    uint64_t tail_seen;
    _Alignas(64) _Atomic uint64_t tail;
    uint64_t head_seen;
    _Atomic bool is_over;
    _Alignas(64) struct parcel *parcel;
};

struct reshard {
    struct reshard_options o;
    struct worker *worker[RESHARD_WORKERS_MAX];
    struct lane lane[RESHARD_WORKERS_MAX];

    /* the front's own */
    struct fragments fragments;
    uint64_t latest_ns, window_end_ns; /* 0: no packet yet */
    uint64_t ms_start_ns, ms_bytes;
    struct worker_share share; /* not handed over yet; its fragments_ members are what was */
    uint64_t fragments_told[3];

    pthread_t thread[RESHARD_WORKERS_MAX];
    unsigned n_threads;
    _Atomic bool given_up; /* not all threads could be started: the others end */
};

/* ---- life ---- */

int reshard_new(const struct reshard_options *options, struct reshard **ret_reshard)
{
    struct reshard *r = aligned_alloc(64, sizeof(*r));

    if (r == NULL)
        return -ENOMEM;
    memset(r, 0, sizeof(*r));
    r->o = *options;
    memcpy(r->worker, options->workers, options->n_workers * sizeof(r->worker[0]));
    int error = fragments_init(&r->fragments);
    for (unsigned i = 0; i < options->n_workers && error == 0; i++) {
        r->lane[i].parcel = memory_map(options->depth * sizeof(struct parcel));
        error = r->lane[i].parcel != NULL ? 0 : -ENOMEM;
    }
    if (error != 0) {
        reshard_free(r);
        return error;
    }
    *ret_reshard = r;
    return 0;
}

void reshard_free(struct reshard *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < r->o.n_workers; i++)
        memory_unmap(r->lane[i].parcel, r->o.depth * sizeof(struct parcel));
    fragments_fini(&r->fragments);
    free(r);
}

/* ---- lanes, the front's side ---- */

static void sleep_ns(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void wait_turn(unsigned *turn)
{
    if (++*turn < SPIN_TURNS)
        __builtin_ia32_pause();
    else
        sleep_ns(SLEEP_FILE_NS);
}

/* The parcel that is being filled, NULL when the lane is full. */
static struct parcel *open_parcel(struct reshard *r, struct lane *l, bool may_wait)
{
    uint64_t head = atomic_load_explicit(&l->head, memory_order_relaxed);

    for (unsigned turn = 0; head - l->tail_seen >= r->o.depth;) {
        l->tail_seen = atomic_load_explicit(&l->tail, memory_order_acquire);
        if (head - l->tail_seen < r->o.depth)
            break;
        if (!may_wait)
            return NULL;
        wait_turn(&turn);
    }
    return &l->parcel[head & (r->o.depth - 1)];
}

/* The parcel at head becomes the worker's. The next one there is empty: the worker leaves them so. */
static void hand_over(struct lane *l)
{
    uint64_t head = atomic_load_explicit(&l->head, memory_order_relaxed);

    atomic_store_explicit(&l->head, head + 1, memory_order_release);
}

static void put(struct reshard *r, struct lane *l, const struct pkt *p, void *owner, bool notice)
{
    struct parcel *parcel = open_parcel(r, l, r->o.may_wait);

    if (parcel == NULL) {
        if (!notice)
            reshard_count(r, LEDGER_ring_full, 1);
        if (r->o.release != NULL)
            r->o.release(&owner, 1);
        return;
    }
    parcel->batch.pkt[parcel->batch.n] = *p;
    parcel->batch.pkt[parcel->batch.n].notice = notice;
    parcel->owner[parcel->batch.n] = owner;
    if (++parcel->batch.n == BATCH_MAX)
        hand_over(l);
}

/* A worker that still has bursts waits for nothing: filling up the next one serves it better. */
static bool is_waiting(struct lane *l)
{
    l->tail_seen = atomic_load_explicit(&l->tail, memory_order_acquire);
    return atomic_load_explicit(&l->head, memory_order_relaxed) == l->tail_seen;
}

static void flush(struct reshard *r, bool all)
{
    for (unsigned i = 0; i < r->o.n_workers; i++) {
        struct lane *l = &r->lane[i];
        struct parcel *parcel = open_parcel(r, l, false);
        if (parcel != NULL && parcel->batch.n != 0 && (all || is_waiting(l)))
            hand_over(l);
    }
}

void reshard_flush(struct reshard *r)
{
    flush(r, false);
}

void reshard_settle(struct reshard *r)
{
    flush(r, true);
    for (unsigned i = 0; i < r->o.n_workers; i++) {
        struct lane *l = &r->lane[i];
        unsigned turn = 0;
        while ((l->tail_seen = atomic_load_explicit(&l->tail, memory_order_acquire)) !=
               atomic_load_explicit(&l->head, memory_order_relaxed))
            wait_turn(&turn);
    }
}

/* ---- what the front counts ---- */

void reshard_count(struct reshard *r, enum ledger_drop why, uint64_t pkts)
{
    r->share.ledger.offered += pkts;
    r->share.ledger.drops[why] += pkts;
}

static void close_peak(struct reshard *r)
{
    if (r->ms_bytes > r->share.peak_1ms_bytes)
        r->share.peak_1ms_bytes = r->ms_bytes;
    r->ms_bytes = 0;
}

static void count_peak(struct reshard *r, const struct pkt *p)
{
    uint64_t ms_start_ns = p->ts_ns - p->ts_ns % NS_PER_MS;

    if (ms_start_ns != r->ms_start_ns) {
        close_peak(r);
        r->ms_start_ns = ms_start_ns;
    }
    r->ms_bytes += p->wire_len;
}

static void clamp_times(struct reshard *r, struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->pkt[i].ts_ns < r->latest_ns) {
            b->pkt[i].ts_ns = r->latest_ns;
            r->share.clock_backwards++;
        }
        r->latest_ns = b->pkt[i].ts_ns;
    }
}

static uint64_t news(uint64_t now, uint64_t *told)
{
    uint64_t n = now - *told;

    *told = now;
    return n;
}

static void take_share(struct reshard *r, struct parcel *parcel)
{
    close_peak(r);
    parcel->share = r->share;
    parcel->share.fragments_unmatched = news(r->fragments.unmatched, &r->fragments_told[0]);
    parcel->share.fragments_malformed = news(r->fragments.malformed, &r->fragments_told[1]);
    parcel->share.fragments_evicted = news(r->fragments.evicted, &r->fragments_told[2]);
    parcel->has_share = true;
    r->share = (struct worker_share){0};
}

/* To every worker: what is pending, the front's counts so far for the first, and that time has come to now_ns. A live
 * lane that is full is left out: its worker has packets enough to know the time. */
static void tell_time(struct reshard *r, uint64_t now_ns, bool is_last)
{
    for (unsigned i = 0; i < r->o.n_workers; i++) {
        struct parcel *parcel = open_parcel(r, &r->lane[i], r->o.may_wait || is_last);
        if (parcel == NULL)
            continue;
        if (i == 0)
            take_share(r, parcel);
        parcel->tick_ns = now_ns;
        parcel->is_last = is_last;
        hand_over(&r->lane[i]);
    }
    r->share.peak_1ms_bytes = 0; /* belongs to the window that is over */
}

static void enter_window(struct reshard *r, uint64_t now_ns)
{
    tell_time(r, now_ns, false);
    r->window_end_ns = now_ns - now_ns % r->o.window_ns + r->o.window_ns;
}

/* ---- the front ---- */

static unsigned owner_of(const struct reshard *r, unsigned shard)
{
    return shard * r->o.n_workers / SHARDS;
}

/* The worker of the flow that an ICMP error quotes hears of it, too, if it is not `except`. */
static void put_notice(struct reshard *r, const struct pkt *p, void *owner, unsigned except)
{
    struct icmp_quote quote;

    if (!p->has_key || p->key.kind != KEY_ICMP_OTHER || icmp_quote_parse(p, &quote) != 0)
        return;
    unsigned to = owner_of(r, shard_of(&quote.key));
    if (to == except)
        return;
    if (r->o.retain != NULL)
        r->o.retain(owner);
    put(r, &r->lane[to], p, owner, true);
}

void reshard_burst(struct reshard *r, struct batch *b, void **owner)
{
    const struct decode_options decode = {.vlan_in_key = r->o.vlan_in_key, .fragments = &r->fragments};

    clamp_times(r, b);
    decode_batch(b, &decode);
    for (uint32_t i = 0; i < b->n; i++) {
        const struct pkt *p = &b->pkt[i];
        void *mine = owner != NULL ? owner[i] : NULL;
        unsigned to = p->verdict == PKT_FLOW ? owner_of(r, shard_of_pkt(p)) : 0;
        if (p->ts_ns >= r->window_end_ns)
            enter_window(r, p->ts_ns);
        if (!pkt_is_drop(p))
            count_peak(r, p);
        if (p->verdict == PKT_FLOW)
            put_notice(r, p, mine, to);
        put(r, &r->lane[to], p, mine, false);
    }
}

void reshard_tick(struct reshard *r, uint64_t now_ns)
{
    if (now_ns < r->latest_ns)
        return;
    r->latest_ns = now_ns;
    if (now_ns >= r->window_end_ns)
        enter_window(r, now_ns);
    else
        tell_time(r, now_ns, false);
}

void reshard_finish(struct reshard *r)
{
    tell_time(r, r->latest_ns, true);
}

/* ---- a worker's thread ---- */

static void take_parcel(struct reshard *r, struct worker *w, struct parcel *parcel)
{
    if (parcel->has_share)
        worker_add(w, &parcel->share);
    if (parcel->batch.n != 0) {
        worker_process_decoded(w, &parcel->batch);
        if (r->o.release != NULL)
            r->o.release(parcel->owner, parcel->batch.n);
    }
    if (parcel->tick_ns != 0)
        worker_tick(w, parcel->tick_ns);
    parcel->batch.n = 0;
    parcel->tick_ns = 0;
    parcel->has_share = false;
}

bool reshard_work(struct reshard *r, unsigned worker)
{
    struct lane *l = &r->lane[worker];
    uint64_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);

    if (tail == l->head_seen) {
        l->head_seen = atomic_load_explicit(&l->head, memory_order_acquire);
        if (tail == l->head_seen)
            return false;
    }
    struct parcel *parcel = &l->parcel[tail & (r->o.depth - 1)];
    take_parcel(r, r->worker[worker], parcel);
    if (parcel->is_last) {
        worker_finish(r->worker[worker]);
        atomic_store_explicit(&l->is_over, true, memory_order_release);
    }
    atomic_store_explicit(&l->tail, tail + 1, memory_order_release);
    return true;
}

bool reshard_is_over(const struct reshard *r, unsigned worker)
{
    return atomic_load_explicit(&r->lane[worker].is_over, memory_order_acquire);
}

struct thread_start {
    struct reshard *r;
    unsigned worker;
};

static void *thread_main(void *start_)
{
    struct thread_start start = *(struct thread_start *)start_;
    unsigned turn = 0;

    free(start_);
    while (!reshard_is_over(start.r, start.worker) && !atomic_load_explicit(&start.r->given_up, memory_order_relaxed)) {
        if (reshard_work(start.r, start.worker))
            turn = 0;
        else
            wait_turn(&turn);
    }
    return NULL;
}

static int start_thread(struct reshard *r, unsigned worker)
{
    struct thread_start *start = malloc(sizeof(*start));

    if (start == NULL)
        return -ENOMEM;
    *start = (struct thread_start){.r = r, .worker = worker};
    int error = -pthread_create(&r->thread[worker], NULL, thread_main, start);
    if (error != 0)
        free(start);
    else
        r->n_threads++;
    return error;
}

int reshard_start_threads(struct reshard *r)
{
    int error = 0;

    for (unsigned i = 0; i < r->o.n_workers && error == 0; i++)
        error = start_thread(r, i);
    if (error != 0) {
        atomic_store_explicit(&r->given_up, true, memory_order_relaxed);
        reshard_join_threads(r);
    }
    return error;
}

void reshard_join_threads(struct reshard *r)
{
    for (unsigned i = 0; i < r->n_threads; i++)
        pthread_join(r->thread[i], NULL);
    r->n_threads = 0;
}
