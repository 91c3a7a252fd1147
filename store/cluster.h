/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_CLUSTER_H
#define SPANWARD_STORE_CLUSTER_H

/*
 * The router to a Redis Cluster: sends each command to the master of its slot, follows MOVED and ASK, waits through
 * TRYAGAIN and CLUSTERDOWN, and gives the replies back in the order of the commands. For the files of this folder.
 */

#include <stddef.h>
#include <stdint.h>
#include "store/journal.h"
#include "store/link.h"
#include "store/store.h"

struct cluster;

/* The texts, the journal and the statistics are the caller's and outlive it. */
int cluster_new(const struct link_options *options, const struct store_endpoint *seeds, unsigned n_seeds,
                struct journal *journal, struct store_stats *stats, struct cluster **ret_cluster, struct error *e);
void cluster_free(struct cluster *c);

/* Drops all connections and asks a node that answers for the map. Tries each node that it knows at most once. */
int cluster_reconnect(struct cluster *c, struct error *e);

/*
 * Sends n encoded commands, command i in bytes [end[i - 1], end[i]), and fills reply[i]; the caller frees what is not
 * NULL. 0; -EIO when a connection broke or a transaction's slot changed hands (reconnect, load, try again); -EXDEV when
 * a transaction has keys in several slots.
 */
int cluster_run(struct cluster *c, const char *bytes, const size_t *end, size_t n, bool keep, redisReply **reply,
                struct error *e);

/* "SCAN cursor ...": of all masters, one after the other. The cursor is ours and opaque. NULL: broken, see e. */
redisReply *cluster_scan(struct cluster *c, const struct store_arg *args, size_t n, struct error *e);

#endif
