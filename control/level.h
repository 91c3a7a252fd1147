/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LEVEL_H
#define SPANWARD_LEVEL_H

/* Hours against their baseline: slow drift, and levels that stay. See level.c; series_approve and series_refuse are in
 * detect.h. */

#include "control/detect.h"

/* The hour that is being collected is over and was observed. */
void level_hour(struct series *x);
/* Where the series has been of late: value / baseline, 1 = as usual. */
double level_factor(const struct series *x);

#endif
