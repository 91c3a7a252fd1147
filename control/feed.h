/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FEED_H
#define SPANWARD_FEED_H

/*
 * Closed windows of all sensors from the store into control, minute by minute. A minute is taken when every sensor
 * that is alive has closed it, or when the others are three minutes ahead: a sensor that lags then counts as blind
 * there.
 */

#include <stdbool.h>
#include "control/control.h"

struct feed;

struct feed *feed_new(struct store *store, struct control *control);
void feed_free(struct feed *f);

/* The kinds of objects to take, "path service"; paths alone unless set. -EINVAL with the reason. */
int feed_set_scopes(struct feed *f, const char *names, struct error *e);
/* The same list as a set of bits (1 << enum window_scope). */
int feed_scopes_parse(const char *names, unsigned *ret_scopes, struct error *e);

/*
 * Takes in what is there, at most max_steps minutes, and commits it. `catch_up`: do not wait for sensors that lag.
 * Returns the number of steps, or -errno (-EIO: the store is gone; reload control from it before going on).
 */
int feed_poll(struct feed *f, bool catch_up, unsigned max_steps, struct error *e);

#endif
