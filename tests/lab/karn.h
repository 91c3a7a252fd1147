/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_KARN_H
#define SPANWARD_LAB_KARN_H

/* Every RTT sample that the strict form of Karn's rule allows, offline and with all the memory it wants. */

#include "tests/lab/truth_read.h"

struct karn_sample {
    uint32_t flow;
    uint8_t dir;      /* of the data; the other end answered */
    bool used;        /* for the caller */
    bool alone;       /* rule 0 withholds it */
    int64_t ack;      /* offset in that direction */
    uint64_t true_ns; /* between the passages of the two frames at the tap */
};

/* Ordered by flow, direction, ack. -ENOMEM. The caller frees *ret. */
int karn_samples(const struct truth *t, struct karn_sample **ret, size_t *ret_n);

/* NULL when there is none. */
struct karn_sample *karn_find(struct karn_sample *s, size_t n, uint32_t flow, uint8_t dir, int64_t ack);

#endif
