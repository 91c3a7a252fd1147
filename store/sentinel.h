/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_SENTINEL_H
#define SPANWARD_STORE_SENTINEL_H

/* Who is master, as the Sentinels say, and word of it when that changes. For the files of this folder. */

#include <stdbool.h>
#include "store/link.h"

struct sentinel;

/* The texts and endpoints outlive it. options: how to log in at the Sentinels, not at the master. */
int sentinel_new(const struct link_options *options, const struct store_endpoint *at, unsigned n, const char *master,
                 struct sentinel **ret_sentinel, struct error *e);
void sentinel_free(struct sentinel *s);

/* Asks one Sentinel after the other, beginning with the one that answered last, and stays to listen at that one. */
int sentinel_find(struct sentinel *s, struct store_endpoint *ret_master, struct error *e);

/*
 * True when another server than the one found last is master now. Takes no time, except that a Sentinel that was lost
 * is looked for again every few seconds.
 */
bool sentinel_switched(struct sentinel *s);

#endif
