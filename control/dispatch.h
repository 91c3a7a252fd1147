/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DISPATCH_H
#define SPANWARD_DISPATCH_H

/*
 * Keeps every connector at work: hands out rows, takes answers, asks what changed there, compares once a day. Control
 * calls dispatch_run between its steps; nothing here waits for a network. Outlives a control that is reloaded: answers
 * find their rows by sequence and key.
 */

#include "control/outbox.h"

struct dispatch;

/*
 * Opens every connector that the configuration asks for and starts their threads. At most one of them tracks tickets.
 * *ret is NULL when none is configured.
 */
int dispatch_open(const struct config *config, struct dispatch **ret, struct error *e);
/* Ends requests that run, within a second; what they did is found out at the next start. NULL is fine. */
void dispatch_close(struct dispatch *d);

/* For control_options: the tracker, or the first connector when none tracks; and the others. d may be NULL. */
const char *dispatch_primary(const struct dispatch *d);
size_t dispatch_notifiers(const struct dispatch *d, const char **ret, size_t most);

/*
 * One round: records what is done and commits, marks what is next and commits, submits. Returns how many answers were
 * recorded, or -errno when a commit failed (control must then be reloaded).
 */
int dispatch_run(struct dispatch *d, struct control *c, uint64_t now_wall_ns, struct error *e);
/* Readable when an answer waits. -1 without connectors. */
int dispatch_fd(const struct dispatch *d);
/* Whether a request is on its way or waits to be taken. */
bool dispatch_is_busy(const struct dispatch *d);

/* Calls every connector's check; say gets the connector's name in front. Returns how many have something missing. Not
 * beside a dispatch that runs on the same contexts. */
int dispatch_check(const struct config *config,
                   void (*say)(void *ctx, const char *connector, bool good, const char *what, const char *how),
                   void *say_ctx, struct error *e);

#endif
