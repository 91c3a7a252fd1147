/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_HELDOUT_H
#define SPANWARD_LAB_HELDOUT_H

/* Scenarios drawn from a seed, beside the matrix. See heldout.c. */

#include <stdint.h>

#include "tests/lab/matrix.h"

struct heldout {
    char name[64], statements[2048], traffic[512];
    struct matrix_run run; /* points into the above */
};

/* Scenario i of a seed, with about data_pkts data segments. ret must not move. */
void heldout_draw(uint64_t seed, unsigned i, uint64_t data_pkts, struct heldout *ret);

#endif
