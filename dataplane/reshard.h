/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RESHARD_H
#define SPANWARD_RESHARD_H

/*
 * One input, several workers: the stage in front of them, for devices that cannot spread flows themselves (or only by
 * the outside of tunnels) and for capture files.
 *
 * One thread, the front, clamps times and decodes; that also finds the inside of tunnels and the ports of fragments.
 * Each packet then goes to the worker that owns its pair of innermost addresses. The pair, not the 5-tuple, because
 * everything that has to meet shares it: both directions, copies made by the mirror, fragments with and without ports,
 * echo requests with replies, what a mirror shows inside and outside of a tunnel. All pieces of a datagram, of a
 * carrier too, pass the one table of fragments of the front, in order. So N workers make the flow records that one
 * would make. An ICMP error is the one packet that two workers may need: its flow's, and that of the flow which it
 * quotes. The latter gets it as a notice. The price: the traffic between two addresses has one worker.
 *
 * Bursts travel through one single-producer single-consumer lane per worker, in place. Reading files the front waits
 * for room; live it never does: what finds a lane full is dropped, counted as ring_full. Time passes for all workers
 * alike: when the data enters a new window, every worker is told before the first packet of that window is handed over.
 *
 * Limits: decoding is not spread, so the front's rate bounds the sum. Sizes (flow table, trouble blocks, fingerprints)
 * are per worker: who fills them sees other evictions with another number of workers.
 */

#include "common/log.h"
#include "dataplane/worker.h"

#define RESHARD_WORKERS_MAX 64u

struct reshard_options {
    struct worker *const *workers;
    unsigned n_workers; /* 1..RESHARD_WORKERS_MAX */
    unsigned depth;     /* bursts that fit into a lane; a power of two */
    uint64_t window_ns; /* that of the workers */
    bool vlan_in_key;   /* likewise */
    bool may_wait;      /* a full lane: wait, instead of drop and count */
    /* Gives packets back, in the worker's thread (or, for those dropped, the front's). NULL: see reshard_settle. */
    void (*release)(void **owner, uint32_t n);
    void (*retain)(void *owner); /* one release more will follow; with release */
};

struct reshard;

/* 0, -ENOMEM, -EIO without random numbers for the fragments' table. */
int reshard_new(const struct reshard_options *options, struct reshard **ret_reshard);
void reshard_free(struct reshard *r);

/* ---- the front: one thread ---- */

/* Takes over a burst whose rx fields are filled in; owner[i] goes with packet i to `release`, NULL without one. */
void reshard_burst(struct reshard *r, struct batch *b, void **owner);
/* Packets that no worker will see: offered, and dropped for that reason. */
void reshard_count(struct reshard *r, enum ledger_drop why, uint64_t pkts);
/* Hands what was held back to fill bursts to those workers that have nothing else to do. Call it when input is slow. */
void reshard_flush(struct reshard *r);
/* There is no traffic and time has come to now_ns. */
void reshard_tick(struct reshard *r, uint64_t now_ns);
/* Waits until the workers are done with everything: the bytes of all packets may go. */
void reshard_settle(struct reshard *r);
/* The input has ended: the workers get the rest and finish. */
void reshard_finish(struct reshard *r);

/* ---- a worker's thread ---- */

/* One burst, if there is one. False: nothing to do at the moment. */
bool reshard_work(struct reshard *r, unsigned worker);
/* The worker has finished: its last burst was worked off. */
bool reshard_is_over(const struct reshard *r, unsigned worker);

/* Threads for all workers, which sleep when there is nothing to do; joined after reshard_finish. 0, or -errno:
 * then none runs, and the workers are as they were. */
int reshard_start_threads(struct reshard *r);
void reshard_join_threads(struct reshard *r);

#endif
