/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_OUTBOX_H
#define SPANWARD_OUTBOX_H

/*
 * Delivery of what control decided to tell. Rows are made by steps and committed with them; dispatch.h sends those that
 * are due and records each answer. See docs/TICKETS.md. All calls are of control's thread.
 */

#include <stdint.h>
#include "control/connectors/connector.h"
#include "control/control.h"
#include "control/delivery.h"

struct outbox_connector {
    const struct connector *plug;
    void *ctx;
    char settings_hash[FINGERPRINT_BYTES];
};

/* How patient delivery is; from the section tickets of the configuration. */
struct outbox_rules {
    uint64_t settle_ns;      /* a request whose answer was lost can take effect so long after it */
    uint64_t retry_first_ns; /* after the first failure; doubles */
    uint64_t retry_most_ns;
    uint64_t breaker_ns;   /* pause after five failures in a row */
    uint64_t max_per_hour; /* new tickets per connector; 0: no limit */
    uint64_t poll_ns;
    uint64_t reconcile_ns; /* between two comparisons of all tickets with the system */
};
extern const struct outbox_rules outbox_default_rules;
void outbox_rules_read(const struct config *config, struct outbox_rules *ret);

/*
 * Sends what is due at now_wall_ns through x in the calling thread; at most max_rows. Returns how many rows were tried,
 * or -errno when an answer could not be committed: the row is then still in doubt and will be repeated with the same
 * key.
 */
int outbox_deliver(struct control *c, const struct outbox_connector *x, uint64_t now_wall_ns, unsigned max_rows,
                   struct error *e);

/* The connector's status; after a change of its settings it begins anew. NULL without memory. */
struct entity_connector *outbox_status(struct control *c, const struct outbox_connector *x);

/*
 * Marks the next row that is due as in doubt and makes its job; the caller commits before it submits the job. NULL when
 * nothing is due, the connector is paused or its circuit is open.
 */
struct delivery_job *outbox_next_job(struct control *c, const struct outbox_connector *x, uint64_t now_wall_ns);
/* A job about a ticket without a row: to find it, or to tell it again. NULL without memory. */
struct delivery_job *outbox_ticket_job(struct control *c, const struct entity_ticket *t, enum delivery_kind kind);
/* What came of a job with a row. A row that is no longer there, or was settled by hand, is left alone. */
void outbox_record(struct control *c, const struct outbox_connector *x, const struct delivery_job *job,
                   uint64_t now_wall_ns);
/* Counts an answer for the circuit breaker and pauses. */
void outbox_take_health(struct control *c, const struct outbox_connector *x, const struct connector_answer *a,
                        uint64_t now_wall_ns);
/* Files a ticket again that its system does not know. */
void outbox_file_again(struct control *c, const char *ticket, uint64_t now_ns);

/* Wall time when the next row is due; UINT64_MAX when none waits (or its connector is paused or disabled). */
uint64_t outbox_next_due_ns(const struct control *c);

/* Wait before attempt number `attempts` + 1: first doubling to most, less up to a half by jitter from the key. */
uint64_t outbox_backoff_ns(const struct outbox_rules *rules, uint64_t attempts, const char *key);

/*
 * After a start or a reconnect: Redis may have lost the last second, and with it the mark that a create is on its way.
 * Until the server has been up for settle, creates are held back, so that what arrived can be found; for settle from
 * now on where it was promoted by a fail-over or is a node of a Cluster, since nobody says when that was.
 */
void outbox_guard_restart(struct control *c, uint64_t now_wall_ns);

/* By hand. retry: a dead row is tried again at once, a paused connector is woken. drop: a row that waits or is dead
 * will not be sent; dropping a create drops its followers, and the ticket is filed anew with its next change. */
int outbox_retry(struct control *c, uint64_t seq, struct error *e);
int outbox_drop(struct control *c, uint64_t seq, struct error *e);

#endif
