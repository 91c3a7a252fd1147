/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONNECTOR_H
#define SPANWARD_CONNECTOR_H

/*
 * The plug-in point for ticketing systems: one file that exports one `const struct connector`, and its name in
 * connectors/meson.build. A connector translates one request and classifies the answer; when to try again, in which
 * order and how often is the outbox's business.
 */

#include <stddef.h>
#include <stdint.h>
#include "common/config.h"
#include "common/log.h"
#include "store/entities.h"

/* All strings live as long as the call. `key` is the same for every try of one request and of no other. */
struct connector_request {
    enum outbox_op op;
    const char *key;
    const char *ticket;
    const char *title;
    const char *body; /* plain text */
    const char *remote_id;
    enum event_severity severity;
    uint64_t version;
    uint64_t created_ns; /* data time */
};

enum connector_outcome {
    CONNECTOR_DONE,    /* the system has it */
    CONNECTOR_RETRY,   /* it surely has not, or cannot say: try again (5xx, 408, 429, no connection) */
    CONNECTOR_DOUBT,   /* it may have it: the answer was lost */
    CONNECTOR_REFUSED, /* it will never take it (other 4xx): dead letter */
    CONNECTOR_PAUSE,   /* our credentials or rights are wrong (401, 403) */
    CONNECTOR_DISABLE, /* it asks not to be called any more (410) */
};

struct connector_answer {
    enum connector_outcome outcome;
    long http_status;        /* 0: none */
    uint64_t retry_after_ns; /* 0: not said */
    char remote_id[128];     /* "" when it gives none */
    char text[200];          /* reason, for people */
};

struct connector {
    const char *name;
    /* 1 and a context when the configuration asks for this connector, 0 when not, -errno. The hash covers all settings
     * without revealing secrets: a change ends a pause. */
    int (*open)(const struct config *config, void **ret_ctx, char ret_settings_hash[FINGERPRINT_BYTES],
                struct error *e);
    void (*close)(void *ctx);
    void (*send)(void *ctx, const struct connector_request *r, struct connector_answer *ret);
    /* Looks a request up by its key before a create: 1 and the remote id, 0 not there, -errno. NULL: cannot be asked.
     */
    int (*find)(void *ctx, const struct connector_request *r, struct connector_answer *ret);
};

/* All connectors that were built in; NULL-terminated. */
extern const struct connector *const connectors[];

#endif
