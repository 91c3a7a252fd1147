/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_OUTER_H
#define SPANWARD_OUTER_H

/*
 * The outside of a tunnelled flow: type, id and outer addresses, kept in one node of the worker's pool, so that flows
 * without a tunnel pay nothing. What the flow's first packet showed counts: a tunnel may move or be load-balanced
 * later. Without a free node the record has type and id from the key, if they are there, and no addresses.
 */

#include "dataplane/flow.h"

/* For the first packet of a flow, if p->tunnel is set. */
void outer_keep(struct flow *f, const struct pkt *p, struct pool *pool);

/*
 * Fills in the record's tunnel fields and gives the node back; r may be NULL. src is the tunnel's end on the client's
 * side; of a mirror's tunnel (ERSPAN, TZSP) it is the mirror, whoever sent the packet inside.
 */
void outer_take(struct flow *f, struct rec_flow *r, struct pool *pool);

#endif
