/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_HOOK_PARSE_H
#define SPANWARD_HOOK_PARSE_H

/* Webhooks of ticketing systems: is it theirs, and what does it say. No network, no state. */

#include <stdbool.h>
#include <stddef.h>
#include "control/connectors/connector.h"

/* symbol, connector, header of the signature */
#define HOOK_SYSTEMS(X)                                                                                                \
    X(ZAMMAD, "zammad", "X-Hub-Signature")                                                                             \
    X(JIRA, "jira", "X-Hub-Signature")                                                                                 \
    X(PAGERDUTY, "pagerduty", "X-PagerDuty-Signature")
#define X(symbol, name, header) HOOK_##symbol,
enum hook_system { HOOK_SYSTEMS(X) HOOK_SYSTEM_COUNT };
#undef X

const char *hook_system_name(enum hook_system s);
const char *hook_system_header(enum hook_system s);

/* Whether the header's value is the body's HMAC under the secret; compares in constant time. header may be NULL. */
bool hook_verify(enum hook_system s, const char *secret, const char *header, const void *body, size_t len);

/*
 * Adds what the body tells to changes: none for events that say nothing of use. Our own comments are left out. 0,
 * -EBADMSG when it is not the system's, -ENOMEM.
 */
int hook_parse(enum hook_system s, const char *body, size_t len, struct connector_changes *changes);

#endif
