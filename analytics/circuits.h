/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CIRCUITS_H
#define SPANWARD_CIRCUITS_H

/*
 * Which configured circuit a path's traffic goes through on either side, and the sum of these paths as the circuit's
 * own window. A path has at most one circuit on each side. Owner: the analytics thread.
 */

#include "analytics/objects.h"

struct circuits {
    const struct object_names *names;
    unsigned *by_site; /* numbers of circuits, sorted by site, then by place in the file */
};

/* names is the caller's and outlives c. 0 or -ENOMEM. */
int circuits_init(struct circuits *c, const struct object_names *names);
void circuits_fini(struct circuits *c);

/* The circuit behind side 0 (A) or 1 (B) of a path's key, -1 when there is none. */
int circuits_find(const struct circuits *c, const struct rec_scope *path, unsigned side);

/* Adds a path's part to the windows of its circuits, if it has any. 0 or -ENOMEM. */
int circuits_add_part(const struct circuits *c, struct objects *into, const struct rec_window *part);

#endif
