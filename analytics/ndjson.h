/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_NDJSON_H
#define SPANWARD_NDJSON_H

/*
 * The records of `spanward read --json`: their text, and a stream of them in the contract's order: flows by first_ns
 * and key, events by time, then paths, services, hosts, mirrors, ledgers, verdicts. The field lists stand in
 * docs/schema/, and tests compare them.
 */

#include <stdio.h>
#include "analytics/analytics.h"
#include "analytics/flowsort.h"
#include "analytics/json_text.h"
#include "analytics/objects.h"

/* Each clears j and writes one record without a line end. */
void ndjson_flow(struct json_text *j, const struct rec_flow *flow, const struct object_names *names);
void ndjson_event(struct json_text *j, const struct rec_event *ev, const struct object_names *names);
/* The event's detail alone: a JSON object. */
void ndjson_event_detail(struct json_text *j, const struct rec_event *ev);
/* A path, service, host or mirror over w's time. Its loss is null where data was seen but none could be judged. */
void ndjson_window(struct json_text *j, const struct window *w);
void ndjson_ledger(struct json_text *j, const char *mirror, const struct ledger *l);
void ndjson_verdict(struct json_text *j, const char *mirror, const struct verdict *v);

/* A stream of records. Owner: the analytics thread. sort == NULL: live, as they come. */
struct ndjson {
    FILE *out;
    struct flowsort *sort;
    int result; /* the first error; nothing is written after it */
    struct error error;
};

/* 0 or -ENOMEM. */
int ndjson_init(struct ndjson *n, FILE *out, bool live, size_t sort_bytes);
void ndjson_fini(struct ndjson *n);
/* Take the record whose text is in j. */
void ndjson_put_flow(struct ndjson *n, const struct json_text *j, const struct rec_flow *flow);
void ndjson_put_event(struct ndjson *n, const struct json_text *j, const struct rec_event *ev);
/* Writes the sorted flows and events; further records come after them. */
void ndjson_end_sorted(struct ndjson *n);
void ndjson_put(struct ndjson *n, const struct json_text *j);
/* Flushes; what went wrong is in result and error. */
void ndjson_end(struct ndjson *n);

#endif
