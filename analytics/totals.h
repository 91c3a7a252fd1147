/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TOTALS_H
#define SPANWARD_TOTALS_H

/* The whole run: one window per object over everything that was seen. */

#include "analytics/ndjson.h"
#include "analytics/objects.h"

#define TOTALS_PER_SCOPE 4096 /* objects per scope that totals_collect returns: those with most bytes */

/* Writes all objects as records: paths, services, hosts, mirrors; each most bytes first. j is scratch. */
void totals_write(const struct objects *totals, const struct object_names *names, struct ndjson *out,
                  struct json_text *j);

/* Copies them as windows from first_ns to last_ns, in the order of enum window_scope. 0 or -ENOMEM; free *ret_windows.
 */
int totals_collect(const struct objects *totals, const struct object_names *names, uint64_t first_ns, uint64_t last_ns,
                   struct window **ret_windows, size_t *ret_n);

#endif
