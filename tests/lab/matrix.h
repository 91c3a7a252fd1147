/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_MATRIX_H
#define SPANWARD_LAB_MATRIX_H

/* The runs on which the probe is scored. */

#include <stddef.h>

struct matrix_run {
    const char *name;
    const char *statements; /* of docs/LAB.md, separated by ';' */
    const char *traffic;    /* of the full run: at least 100,000 data packets */
    const char *small;      /* of the short one; NULL: not in it */
};

extern const struct matrix_run matrix[];
extern const size_t matrix_runs;

#endif
