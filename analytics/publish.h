/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PUBLISH_H
#define SPANWARD_PUBLISH_H

/*
 * From closed windows, events and top flows to the store, through a spool that is bounded in bytes, in memory and maybe
 * on disk. publisher_step sends a batch; putting never talks to the store. What was sent and not acknowledged stays in
 * the spool and is sent again after a reconnect, which changes nothing in the store if it had arrived. Owner: the
 * analytics thread.
 */

#include "analytics/analytics.h"
#include "store/schema.h"

struct publisher;

/* 0, -ENOMEM, or what is wrong with the spool's directory; does not connect. The strings are the caller's and outlive
 * the publisher. */
int publisher_new(const struct analytics_options *options, struct publisher **ret_publisher, struct error *e);
void publisher_free(struct publisher *p);

/* The first connection, where the caller wants to know. -EBUSY: another sensor has this name; waits up to its lease's
 * time to find out. */
int publisher_connect(struct publisher *p, struct error *e);

/* What the sensor says about itself. The caller keeps its own numbers up to date in it; the publisher sets the store's.
 */
struct schema_sensor *publisher_sensor(struct publisher *p);
/* Ledger and verdict of a mirror, sent with the next heartbeat. */
void publisher_set_mirror(struct publisher *p, unsigned mirror, const struct ledger *l, const struct verdict *v);

/* The first base window closes: everything put from here on may belong to windows that an earlier run began. */
void publisher_begin(struct publisher *p, uint64_t first_start_ns);

/* parts of parts_expected: base windows in it. */
void publisher_put_window(struct publisher *p, enum schema_tier tier, const struct window *w, uint32_t parts,
                          uint32_t parts_expected);
void publisher_put_object(struct publisher *p, enum window_scope scope, const char *name, uint64_t start_ns);
void publisher_put_prune(struct publisher *p, enum window_scope scope, uint64_t before_ns);
void publisher_put_event(struct publisher *p, const struct schema_event *ev);  /* id is set when sent */
void publisher_put_closed(struct publisher *p, const struct schema_closed *c); /* id likewise; data time of closing: */
void publisher_set_data_time(struct publisher *p, uint64_t data_ns);           /* ids of markers come from it */
/* Takes over flows (may be NULL with n = 0). */
void publisher_put_top(struct publisher *p, enum schema_top kind, enum schema_tier tier, uint64_t start_ns,
                       struct schema_flow *flows, size_t n);

/* Sends a batch, or tries to reconnect when that is due. Returns the number of items that left. Waits at most one
 * time-out. */
size_t publisher_step(struct publisher *p);
/* Share of the spool's limit in use, 0..1. */
double publisher_fill(const struct publisher *p);
/* True while the store is away. */
bool publisher_is_away(const struct publisher *p);
/* True when another sensor took the name: nothing is sent any more. The reason is in publisher_trouble. */
bool publisher_lost_name(const struct publisher *p);
/* Sends all, for at most patience_ms beyond progress; says good-bye in the sensor's hash. The rest stays
 * on disk for the next run, or counts as dropped.
 */
void publisher_finish(struct publisher *p, unsigned patience_ms);

uint64_t publisher_dropped(const struct publisher *p);
uint64_t publisher_waiting(const struct publisher *p); /* items on disk */
uint64_t publisher_refused(const struct publisher *p);
uint64_t publisher_reconnects(const struct publisher *p);
/* Why the store is away or refused something; "" when nothing happened. */
const char *publisher_trouble(const struct publisher *p);

#endif
