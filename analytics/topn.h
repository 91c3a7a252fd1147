/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TOPN_H
#define SPANWARD_TOPN_H

/* The worst finished flows of a minute and of an hour, by loss, latency and bytes, and the hosts of flows. Owner: the
 * analytics thread. */

#include "analytics/objects.h"
#include "store/schema.h"

#define TOPN_MINUTE 32
#define TOPN_HOUR   64

/* Invariant: a binary heap with the lowest score at [0]. */
struct topn_list {
    struct schema_flow flow[TOPN_HOUR];
    size_t n, max;
};

struct topn {
    struct topn_list list[2][SCHEMA_TOP_COUNT]; /* [0] minute, [1] hour */
};

void topn_init(struct topn *t);
void topn_fini(struct topn *t);

/* How bad: lost packets; the mean RTT of the worse side in us; bytes both ways. 0: not in the running, or not known. */
uint64_t topn_score(enum schema_top kind, const struct rec_flow *f);
/* Would a flow with these scores enter any list? (So that its JSON is made only then.) */
bool topn_wants(const struct topn *t, const uint64_t score[SCHEMA_TOP_COUNT]);
/* Takes copies of json. 0 or -ENOMEM. */
int topn_add(struct topn *t, const uint64_t score[SCHEMA_TOP_COUNT], const char *json);
/* Moves a list out, worst first; its flows belong to the caller then (schema_flows_free). Returns how many. */
size_t topn_take(struct topn_list *l, struct schema_flow **ret_flows);

/* Adds a finished flow to both of its hosts. 0 or -ENOMEM. */
int topn_add_hosts(struct objects *hosts, const struct rec_flow *f);

#endif
