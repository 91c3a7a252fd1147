/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_HOOKS_H
#define SPANWARD_HOOKS_H

/*
 * Takes webhooks of ticketing systems on tickets.hooks: POST /hooks/zammad, /hooks/jira, /hooks/pagerduty. Only signed
 * ones, and only of systems whose secret is configured. Polls find the same later; a hook finds it sooner.
 */

#include "control/control.h"

struct hooks;
struct config;

/* *ret is NULL when none is configured. Starts a thread that only receives, verifies and queues. */
int hooks_open(const struct config *config, struct hooks **ret, struct error *e);
void hooks_close(struct hooks *h); /* NULL is fine */

/* The port that it listens on. */
unsigned hooks_port(const struct hooks *h);

/* Applies and commits what came. How many changes, or -errno of the commit. h may be NULL. */
int hooks_run(struct hooks *h, struct control *c, struct error *e);

#endif
