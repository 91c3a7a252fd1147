/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PUBLISH_STATE_H
#define SPANWARD_PUBLISH_STATE_H

/* A publisher, for the files that share it: publish.c, what is put and waits, publish_send.c, how it leaves, and
 * publish_find.c, what became of it.
 * Owner: the thread that puts. */

#include <time.h>
#include "analytics/carry.h"
#include "analytics/item.h"
#include "analytics/publish.h"
#include "analytics/segments.h"
#include "common/timefmt.h"

struct publisher {
    const struct analytics_options *options;
    struct store *store; /* NULL until first connected */
    bool away, ids_known, reconnect;
    struct schema_id last_closed, last_event;
    uint64_t next_try_ns, backoff_ns, random; /* monotonic times */
    uint64_t next_heartbeat_ns;
    bool news; /* something to tell in the sensor's hash */

    char holder[SCHEMA_HOLDER_BYTES];
    bool has_name, name_taken;       /* name_taken: for good */
    struct schema_holder seen_other; /* as first seen, at seen_ns; left_ms 0: none */
    uint64_t seen_ns;

    uint64_t run_ns;   /* start of this run's first window, UINT64_MAX: none yet */
    uint64_t carry_ns; /* run that `carry` is of, UINT64_MAX: of none */
    struct carry *carry;
    struct schema_sensor previous; /* as earlier runs left it; window_ns 0: there were none */
    struct items finished;         /* by carry_load */

    struct items memory;
    size_t spool_limit;
    struct segments *disk;                        /* NULL: none */
    struct items from_disk;                       /* read and not acknowledged */
    struct schema_id batch_closed, batch_event;   /* what from_disk is numbered from */
    bool rewound;                                 /* it was given up and will be read again */
    bool told_disk;                               /* that it cannot be written */
    uint64_t dropped_until_ns[SCHEMA_TIER_COUNT]; /* start of the newest window dropped, + 1 */
    uint64_t dropped, refused, reconnects, errors, data_ns;
    struct error trouble;

    struct schema_sensor sensor;
    struct ledger ledger[ANALYTICS_MIRRORS_MAX];
    char *verdict[ANALYTICS_MIRRORS_MAX];
};

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* publish.c: what is in memory goes to disk, if there is one for it. */
void publisher_spill(struct publisher *p);

/* publish_send.c */
bool publisher_nothing_waits(const struct publisher *p);

/* publish_find.c: an item that is an entry of a stream. */
bool publisher_is_entry(const struct item *x);
/* Which of the first n items' entries are not in the store although Redis took them for repetitions: they lose their
 * ids and get new ones when they are sent again. Adds their number to *ret_lost. */
int publisher_find_lost(struct publisher *p, const struct items *list, size_t n, size_t *ret_lost);

#endif
