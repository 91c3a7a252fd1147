/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_MEMIF_GUARD_H
#define SPANWARD_MEMIF_GUARD_H

/*
 * Keeps net_memif's peers from taking the memory away that a thread is just reading, and what is in it.
 *
 * When a memif peer leaves, the driver (DPDK 22.11, and later ones) unmaps the shared rings in the EAL's interrupt
 * thread, without asking whether a polling thread is in the middle of them: that thread then dies of a segmentation
 * fault, if it happened to lose its processor there. And what the peer had sent and nobody had read is lost, uncounted.
 *
 * So the interrupt thread gets a callback of ours, in front of the driver's: its event is always ready, so the thread
 * spends its time in there, waiting for something to come on memif's control sockets (the only ones of type
 * SOCK_SEQPACKET that the process has). When something does, the readers are asked to read until their queues are empty
 * and to stand still; then the callback returns, the driver handles what came, and the next call lets the readers go.
 *
 *   interrupt thread   | wait ... | hold | driver: message, hang-up | release, wait ...
 *   reader             | poll poll poll, poll until empty, stand | .... poll
 *
 * It rests on the order in which epoll reports sources that are ready (first come, first served; ours always is), and
 * on readers that look at `ask` between bursts. A reader that does not stand within HOLD_MS is not waited for. Other
 * interrupt sources of the process are served at least every WAIT_MS.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/log.h"

#define MEMIF_GUARD_READERS 128u

struct rte_intr_handle;

/* Owner: the main thread, but what is atomic. */
struct memif_guard {
    _Atomic uint64_t ask; /* odd: stand still */
    _Atomic bool over;
    struct {
        _Alignas(64) _Atomic uint64_t stood; /* the value of ask for which it stands */
        _Atomic bool runs;
    } reader[MEMIF_GUARD_READERS];
    struct rte_intr_handle *handle; /* NULL: not started */
    int ready_fd, wake_fd;
};

bool memif_guard_is_needed(const char *device);

/* Before the first port starts. Returns -errno. */
int memif_guard_start(struct memif_guard *g, struct error *e);
/* After the readers' end, before the ports stop. */
void memif_guard_stop(struct memif_guard *g);

/*
 * Instead of stopping the ports: the driver frees what it watches a peer by while the interrupt thread may still be
 * looking at it, when that peer has just left. So nothing of DPDK is closed; the process is about to end, which closes
 * all. Removes the files of servers' sockets, as the driver would.
 */
void memif_guard_leave_open(const char *const *devices, unsigned n_devices);

/* A reader of a memif port: at its begin and at its end. */
static inline void memif_guard_join(struct memif_guard *g, unsigned reader)
{
    atomic_store(&g->reader[reader].runs, true);
}

static inline void memif_guard_leave(struct memif_guard *g, unsigned reader)
{
    atomic_store(&g->reader[reader].runs, false);
}

/* Between two bursts: shall it empty its queues and then call memif_guard_stand? */
static inline bool memif_guard_asks(const struct memif_guard *g)
{
    return (atomic_load_explicit(&g->ask, memory_order_relaxed) & 1) != 0;
}

void memif_guard_stand(struct memif_guard *g, unsigned reader);

#endif
