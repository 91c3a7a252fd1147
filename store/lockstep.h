/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LOCKSTEP_H
#define SPANWARD_LOCKSTEP_H

/*
 * For who publishes histories faster than time passes: expiry in Redis counts from the last write, so months that are
 * published within minutes would all be there at once. This lets them go by data time instead.
 */

#include "store/schema.h"

/*
 * Appends the deletion of the buckets of an object in a tier that are older than the tier keeps, seen from data_ns.
 * Call it for each window; it does something only when a bucket has just become too old.
 */
int lockstep_forget(struct store *s, const char *sensor, enum schema_tier tier, uint64_t base_length_ns,
                    enum window_scope scope, const char *name, uint64_t data_ns);

#endif
