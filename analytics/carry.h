/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CARRY_H
#define SPANWARD_CARRY_H

/*
 * What earlier runs of a sensor left of the windows that a run finds open: the minute, quarter and hour (and the base
 * window) in which it begins. Windows are absolute values, so without this a restart at 10:50 would overwrite the
 * hour's first 50 minutes with its last 10.
 *
 * A run is named by the start of its first base window. The carry of a run is made of what is in the store of earlier
 * base windows only, so making it again gives the same. A run's own windows stay as they are in memory and on disk; the
 * carry is added when they are sent. Owner: the publisher.
 */

#include "analytics/item.h"
#include "store/schema.h"

struct carry;

/*
 * Reads what run_ns needs. Windows of earlier runs that ended without being closed (killed in the middle of an hour,
 * and started again in a later one) are finished here: they and their markers are returned in *ret_finished, to be sent
 * first; so are open ones, without markers, for objects that never show up again. sensor: as it was left by the earlier
 * runs. 0 and NULL when nothing was left.
 */
int carry_load(struct store *s, const struct schema_sensor *sensor, uint64_t run_ns, struct carry **ret,
               struct item **ret_finished, struct error *e);
void carry_free(struct carry *c);

/* True when an item is of a window that earlier runs began; then *ret is what to send instead. */
bool carry_window(const struct carry *c, const struct item *x, struct schema_packed *ret);
bool carry_closed(const struct carry *c, const struct item *x, struct schema_closed *ret);
/* The flows of a list and those of earlier runs, worst first; *ret_flows points into both: free() the array only. */
bool carry_top(const struct carry *c, const struct item *x, struct schema_flow **ret_flows, size_t *ret_n);

#endif
