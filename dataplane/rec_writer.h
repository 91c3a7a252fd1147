/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_REC_WRITER_H
#define SPANWARD_REC_WRITER_H

/*
 * The worker's end of its ring to analytics. Live, a message that finds no room is dropped and counted; reading a
 * file, the writer waits, since a file can wait and its result must not depend on timing.
 */

#include <stdbool.h>
#include "common/record.h"
#include "common/spsc.h"

struct rec_writer {
    struct spsc *ring; /* NULL: nobody listens, messages vanish (benchmarks) */
    uint32_t mirror;   /* that the worker reads: for events */
    uint16_t worker;
    bool may_wait;
    uint64_t dropped;
};

/* Room for a message of `len_bytes` with its header filled in, or NULL. Follow with rec_commit. */
void *rec_reserve(struct rec_writer *w, enum rec_type type, size_t len_bytes);
void rec_commit(struct rec_writer *w);

#endif
