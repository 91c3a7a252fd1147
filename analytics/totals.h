/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TOTALS_H
#define SPANWARD_TOTALS_H

/* The whole run: one window per object over everything that was seen. */

#include "analytics/ndjson.h"
#include "analytics/objects.h"

/* Writes all objects as records: paths, services, hosts, mirrors; each most bytes first. j is scratch. */
void totals_write(const struct objects *totals, const struct object_names *names, struct ndjson *out,
                  struct json_text *j);

#endif
