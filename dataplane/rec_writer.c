/* SPDX-License-Identifier: BSD-3-Clause */

/* See rec_writer.h. */

#include "dataplane/rec_writer.h"

#include <string.h>
#include <time.h>

void *rec_reserve(struct rec_writer *w, enum rec_type type, size_t len_bytes)
{
    if (w->ring == NULL)
        return NULL;
    struct rec_hdr *hdr = spsc_reserve(w->ring, len_bytes);

    while (hdr == NULL && w->may_wait) {
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        hdr = spsc_reserve(w->ring, len_bytes);
    }
    if (hdr == NULL) {
        w->dropped++;
        return NULL;
    }
    *hdr = (struct rec_hdr){.len_bytes = (uint32_t)len_bytes, .type = (uint16_t)type, .worker = w->worker};
    return hdr;
}

void rec_commit(struct rec_writer *w)
{
    spsc_commit(w->ring);
}
