/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_SIGHTINGS_H
#define SPANWARD_LAB_SIGHTINGS_H

/* What of the truth can be seen from the tap. See sightings.c. */

#include "tests/lab/score.h"

/* One data segment that suffered something. */
struct sighting {
    const struct truth_frame *frame;
    uint8_t class; /* enum score_class */
    bool visible;
    bool data;  /* has payload: FINs alone are kept so that verdicts about them are not wrong, but do not count */
    bool found; /* the scorer's */
};

/* Ordered by flow, direction, class, first byte, emission. -ENOMEM. The caller frees *ret. */
int sightings_of(const struct truth *t, struct sighting **ret, size_t *ret_n);

/* The first one of (flow, dir, class) that may reach beyond `lo`; compare up to the first whose frame->lo >= hi. */
size_t sightings_from(const struct sighting *s, size_t n, uint32_t flow, uint8_t dir, uint8_t class, int64_t lo);

#endif
