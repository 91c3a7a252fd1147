/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_OBJECTS_H
#define SPANWARD_OBJECTS_H

/*
 * A set of measured objects (mirrors, paths, services, hosts, ...) with their counters and histograms: what a window, a
 * roll-up tier or the whole run holds. Open addressing over an index; objects lie in the order in which they came. A
 * host's key is its address as a /32 or /128 in site[0]. Owner: the analytics thread.
 */

#include <stddef.h>
#include "analytics/sparse_hist.h"
#include "common/config.h"
#include "common/record.h"

struct object {
    struct rec_scope key;
    struct window_counters c;
    struct sparse_hist hist[WINDOW_HIST_COUNT];
};

/* Objects are made in slabs, each twice as large as the one before: one at a time, the page faults alone of a capture
 * with 100,000 hosts took an eighth of its analysis. */
#define OBJECT_SLABS 32u

/* Invariant: n <= slots / 2; slot[] holds upper hash bits << 32 | 1 + index, 0 = empty. limit: objects per scope, the
 * rest goes to "(other)".
 */
struct objects {
    struct object **at;
    struct object *slab[OBJECT_SLABS]; /* zeroed beyond the first n objects */
    size_t n_slabs, room;              /* room: objects left in the last slab */
    uint64_t *slot;
    size_t n, size, n_slots;
    size_t per_scope[WINDOW_SCOPE_COUNT], limit[WINDOW_SCOPE_COUNT];
    uint64_t seed;
};

/* seed: of the hash, random per process, since hosts are chosen by strangers. */
void objects_init(struct objects *o, uint64_t seed);
void objects_fini(struct objects *o);
void objects_clear(struct objects *o);

/* The object with this key, made when absent; "(other)" when the scope is full; NULL without memory. */
struct object *objects_get(struct objects *o, const struct rec_scope *key);
int objects_merge(struct objects *into, const struct objects *from);
int object_merge(struct object *into, const struct object *from);

/* Makes fields that the scope does not use zero, so that equal objects have equal keys; false on a scope that does not
 * exist. */
bool object_key_normalise(struct rec_scope *ret_key, const struct rec_scope *key);
struct rec_scope object_key_of_circuit(unsigned circuit);
struct rec_scope object_key_of_host(const struct ip_addr *addr, uint8_t af);

/* Tables and names that turn keys into text; valid as long as the analytics thread runs. */
struct object_names {
    const struct site_table *sites;
    const struct service_table *services;
    const char *const *mirrors;
    unsigned n_mirrors;
    const struct config_circuit *circuits;
    size_t n_circuits;
};
void object_name(const struct object_names *names, const struct rec_scope *key, char ret_name[WINDOW_NAME_BYTES]);

/* Fills in a window: name, counters, quantiles, quality by its counters. Start and length are the caller's. */
void object_to_window(const struct object *x, const struct object_names *names, struct window *ret_window);

#endif
