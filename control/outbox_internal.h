/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_OUTBOX_INTERNAL_H
#define SPANWARD_OUTBOX_INTERNAL_H

/* What outbox.c, outbox_limit.c and outbox_verbs.c share. */

#include <stdbool.h>
#include <stdint.h>
#include "control/internal.h"
#include "control/outbox.h"

const struct outbox_rules *outbox_rules_of(const struct control *c);
/* Pending or in doubt. */
bool outbox_waits(const struct outbox_row *r);
/* Rows of one ticket for one system go in order. */
bool outbox_same_queue(const struct outbox_row *a, const struct outbox_row *b);
struct outbox_row *outbox_row_by_seq(struct control *c, uint64_t seq);
/* NULL when nothing was sent to it yet. */
struct connector_status *outbox_status_by_name(const struct control *c, const char *name);
/* A message about a ticket as it is now; an update takes the place of one that nobody has seen. */
void outbox_add_row(struct control *c, struct ticket *t, const char *connector, enum outbox_op op, const char *body,
                    uint64_t now_ns);

/* Whether a ticket is the summary of those that wait. */
bool outbox_is_summary(const char *ticket);
/* Whether a row has to wait for the next hour. */
bool outbox_over_limit(const struct control *c, const struct connector_status *s, const struct outbox_row *r);
/* Begins a new hour, and keeps the summary in step with what waits. */
void outbox_keep_hour(struct control *c, struct connector_status *s, uint64_t now_wall_ns);

#endif
