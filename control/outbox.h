/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_OUTBOX_H
#define SPANWARD_OUTBOX_H

/*
 * Delivery of what control decided to tell. Rows are made by steps and committed with them; outbox_deliver sends those
 * that are due, one after the other, and records each answer with a commit of its own. See docs/TICKETS.md.
 */

#include <stdint.h>
#include "control/connectors/connector.h"
#include "control/control.h"

struct outbox_connector {
    const struct connector *plug;
    void *ctx;
    char settings_hash[FINGERPRINT_BYTES];
};

/*
 * Sends what is due at now_wall_ns through x; at most max_rows. Returns how many rows were tried, or -errno when an
 * answer could not be committed: the row is then still in doubt and will be repeated with the same key.
 */
int outbox_deliver(struct control *c, const struct outbox_connector *x, uint64_t now_wall_ns, unsigned max_rows,
                   struct error *e);

/* Wall time when the next row is due; UINT64_MAX when none waits (or the connector is paused). */
uint64_t outbox_next_due_ns(const struct control *c);

/* Wait before attempt number `attempts` + 1: 2 s doubling to 15 min, less up to a half by jitter from the key. */
uint64_t outbox_backoff_ns(uint64_t attempts, const char *key);

#endif
