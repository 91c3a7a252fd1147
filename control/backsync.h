/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_BACKSYNC_H
#define SPANWARD_BACKSYNC_H

/* From the ticketing system back to the fault: who took it, what became of it, which change was behind it. */

#include "control/connectors/connector.h"
#include "control/control.h"

/*
 * Applies one change of a ticket of that connector. What is already so does nothing: changes may come twice. Everything
 * that it does goes through control_command, as if the person had said it here, and leaves an audit. Returns whether
 * the ticket is ours.
 */
bool backsync_apply(struct control *c, const char *connector, const struct connector_change *x);

/* "CHG0012345" in "fixed by change CHG0012345, see there": true, and the number of a change that a text names. */
bool backsync_find_change(const char *text, char *ret, size_t size);

#endif
