/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_EXTRA_H
#define SPANWARD_EXTRA_H

/*
 * The outside of a tunnelled flow: type, id and outer addresses, kept in one node of the worker's pool, so that flows
 * without a tunnel pay nothing. What the flow's first packet showed counts: a tunnel may move or be load-balanced
 * later. Without a free node the record has type and id from the key, if they are there, and no addresses. In the same
 * node are the packet's VLAN tags, where the window of its VLAN does not tell them.
 */

#include "dataplane/flow.h"

/* For the first packet of a flow. */
void extra_keep(struct flow *f, const struct pkt *p, struct pool *pool);

/* NULL when the flow has none. */
const struct extra *extra_of(const struct flow *f, const struct pool *pool);

/*
 * Fills in the record's tunnel fields. src is the tunnel's end on the client's side; of a mirror's tunnel (ERSPAN,
 * TZSP) it is the mirror, whoever sent the packet inside.
 */
void extra_fill(const struct flow *f, const struct extra *x, struct rec_flow *r);

#endif
