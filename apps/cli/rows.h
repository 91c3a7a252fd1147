/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CLI_ROWS_H
#define SPANWARD_CLI_ROWS_H

/*
 * Rows and columns of what the tap measures, shared by `read` (records of the probe) and the commands that look into
 * Redis (windows): one look for a flow, a path, a service and an event wherever they come from.
 */

#include <jansson.h>
#include <stdint.h>
#include "apps/cli/table.h"
#include "common/window.h"

extern const struct column flow_columns[];
extern const struct column path_columns[];
extern const struct column service_columns[];
extern const struct column mirror_columns[];
extern const struct column circuit_columns[];
extern const struct column vlan_columns[];
extern const struct column tunnel_columns[];
extern const struct column host_columns[];
extern const struct column event_columns[];

/*
 * Adds an object "derived" to a record of the JSON contract (docs/METRICS.md): endpoints as one text, loss by side and
 * in percent. What the record says stays untouched. Returns row; NULL when it is NULL or memory runs out.
 */
json_t *row_of_flow(json_t *row);
json_t *row_of_path(json_t *row);
json_t *row_of_service(json_t *row); /* services and mirrors */

/* A JSON string of text that nobody vouches for: what is no UTF-8 is escaped (\\xNN). */
json_t *row_text(const char *text, size_t max_len);

/* A window in the shape of the path or service record, with "sensor", "start_ns" and "length_ns", derived values
 * included. */
json_t *row_of_window(const struct window *w, const char *sensor);

/*
 * How bad a row is, for ranking: compare lexicographically. Flows: lost packets, repeated ones, worse mean RTT in us.
 * Paths and services: lost packets, failed connections, packets.
 */
struct badness {
    uint64_t part[3];
};
struct badness badness_of_flow(const json_t *row);
struct badness badness_of_scope(const json_t *row);
struct badness badness_of_window(const struct window *w); /* of the row that row_of_window would make */
int badness_compare(const struct badness *a, const struct badness *b);

/* Sorts an array of rows, worst first. */
void rows_sort_worst(json_t *rows, struct badness (*badness)(const json_t *row));

/* The n worst rows that were offered; owner: who made it. Invariant: row[0..n_used) are owned references. */
struct worst {
    size_t n, n_used;
    uint64_t n_seen;
    json_t **row;
    struct badness *badness;
};
int worst_init(struct worst *w, size_t n);
void worst_fini(struct worst *w);
/* Takes the reference. */
void worst_offer(struct worst *w, json_t *row, struct badness badness);
/* A new array, worst first; the rows are shared. */
json_t *worst_rows(const struct worst *w);

#endif
