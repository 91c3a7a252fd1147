/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONNECTOR_H
#define SPANWARD_CONNECTOR_H

/*
 * The plug-in point for ticketing systems: one file that exports one `const struct connector`, and its name in
 * connectors/meson.build. A connector translates one request and classifies the answer; when to try again, in which
 * order, how often and whether to ask first is the outbox's business.
 *
 * All calls but open and close come from one thread of the connector's own (delivery.h), one at a time, and may wait
 * for the network as long as their time-out says. A context is therefore used by one thread at a time, and a connector
 * touches nothing else: it gets copies and gives copies.
 *
 * Two kinds. A tracker (CONNECTOR_TRACKS) keeps tickets with an id and a state of their own: it can be asked (find),
 * and what people do there is read back (poll). At most one is configured, because one fault is one ticket. Any number
 * of notifiers may be told beside it: what they do is repeatable under the same key.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/config.h"
#include "common/log.h"
#include "store/entities.h"

struct connector_attachment {
    const char *name; /* "evidence.svg" */
    const char *type; /* "image/svg+xml" */
    const void *data;
    size_t len;
};

/*
 * All strings live as long as the call and are never NULL but html. Text is UTF-8 without control characters other
 * than line ends; markup in it means nothing and must be escaped where the system gives it a meaning.
 *
 * What the operations ask for:
 *   CREATE   a new ticket with title, body, severity, owner and attachments, under create_key
 *   UPDATE   title and severity as they are now; the body as a comment (or the description, where it can be changed)
 *   COMMENT  the body as a comment, nothing else
 *   RESOLVE  the body as a comment; resolved, which people may still doubt
 *   CLOSE    the body as a comment (the proof); closed for good
 *   REOPEN   as UPDATE, and open again
 */
struct connector_request {
    enum outbox_op op;
    const char *key;        /* the same for every try of one request, and of no other */
    const char *create_key; /* that of the ticket's create: what find looks for, what threads and alerts hang on */
    const char *install;    /* this installation; "" in tests */
    const char *ticket;     /* TKT-n */
    const char *problem;    /* PRB-n or "" */
    const char *incident;   /* INC-n or "" */
    const char *title;      /* at most 120 characters */
    const char *body;       /* plain text */
    const char *html;       /* the same as HTML, or NULL */
    const char *owner;      /* "" nobody */
    const char *remote_id;  /* "" as long as the create has not been answered */
    enum event_severity severity;
    uint64_t version;
    uint64_t created_ns; /* data time of this request */
    uint64_t opened_ns;  /* data time of the ticket's beginning */
    bool repeat;         /* an earlier try may have arrived: look before you repeat what cannot be repeated */
    const struct connector_attachment *attachment;
    size_t n_attachments;
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
    char remote_url[256];    /* for people */
    char text[200];          /* reason, for people; never a secret */
    /* From find: what the ticket is like there now. */
    enum remote_state state;
    char owner[ENTITY_OWNER_BYTES];
    unsigned n_found; /* how many carry the key; more than one is somebody's copy */
};

/* Something that happened to a ticket over there. Fields that are not told are "" and REMOTE_UNKNOWN. */
struct connector_change {
    char remote_id[128];
    enum remote_state state;
    bool has_owner; /* owner is told; "" then means nobody */
    char owner[ENTITY_OWNER_BYTES];
    char author[ENTITY_OWNER_BYTES];
    char resolution[64];
    char comment[1024]; /* what a person wrote, plain text */
    uint64_t when_wall_ns;
    bool was; /* state and owner are those of when_wall_ns, not of now: webhooks come late, and may come again */
};

/* Owner: the caller; connector_changes_fini. cursor: up to where this has read, opaque, fits entity_connector. */
struct connector_changes {
    struct connector_change *item;
    size_t n, room;
    char cursor[128];
    bool more; /* there is more to read: ask again at once */
};
/* A new zeroed change at the end, or NULL without memory. */
struct connector_change *connector_changes_add(struct connector_changes *c);
void connector_changes_fini(struct connector_changes *c);

/* What a read-only look found: good or not, what, and how to mend it ("" when good). */
typedef void connector_say_fn(void *ctx, bool good, const char *what, const char *how);

#define CONNECTOR_CAPABILITIES(X)                                                                                      \
    X(TRACKS, "tracks", "has tickets with an id and a state; at most one such system is configured")                   \
    X(HTML, "html", "takes HTML beside plain text")                                                                    \
    X(SVG, "svg", "takes SVG attachments")                                                                             \
    X(PNG, "png", "takes PNG attachments")                                                                             \
    X(COMMENT, "comment", "keeps comments apart from the text")                                                        \
    X(OWNER, "owner", "its owner field is set and read back")

enum {
#define X(symbol, name, text) CONNECTOR_BIT_##symbol,
    CONNECTOR_CAPABILITIES(X) CONNECTOR_BITS
#undef X
};
enum connector_capability {
#define X(symbol, name, text) CONNECTOR_##symbol = 1 << CONNECTOR_BIT_##symbol,
    CONNECTOR_CAPABILITIES(X)
#undef X
};

struct connector {
    const char *name;  /* its section in the configuration: tickets.NAME */
    const char *title; /* "Request Tracker 5"; NULL: the name */
    unsigned can;      /* enum connector_capability */
    /* A negative answer of find counts only so long after a create may have arrived. */
    uint64_t index_delay_ns;
    /* Tell it again about every open ticket this often, as an UPDATE without a row; 0: never. */
    uint64_t refresh_ns;
    /* 1 and a context when the configuration asks for this connector, 0 when not, -errno. No network. The hash covers
     * all settings without revealing secrets: a change ends a pause. */
    int (*open)(const struct config *config, void **ret_ctx, char ret_settings_hash[FINGERPRINT_BYTES],
                struct error *e);
    void (*close)(void *ctx);
    /* One request. *ret is zeroed with outcome RETRY before the call. */
    void (*send)(void *ctx, const struct connector_request *r, struct connector_answer *ret);
    /* Looks a ticket up by r->create_key: 1 with id and state, 0 not there, -errno with outcome and text in *ret. NULL:
     * it cannot be asked. */
    int (*find)(void *ctx, const struct connector_request *r, struct connector_answer *ret);
    /* Whether the ticket r->remote_id is there at all, wherever people have moved it and even where we may not read it:
     * 1, 0, or -errno with outcome and text in *ret. For what find does not find: a ticket that was moved to another
     * queue is not lost. NULL: what find does not find is lost. */
    int (*present)(void *ctx, const struct connector_request *r, struct connector_answer *ret);
    /* What changed since the cursor ("" the first time: only set the cursor to now). Our own changes are left out. 0,
     * or -errno with outcome and text in *ret. NULL: nothing comes back. */
    int (*poll)(void *ctx, const char *cursor, struct connector_changes *ret_changes, struct connector_answer *ret);
    /* Read-only: reachable, credentials, queue or project, fields, rights. 0, or -errno when something is missing. */
    int (*check)(void *ctx, connector_say_fn *say, void *say_ctx);
};

/* All connectors that were built in; NULL-terminated. */
extern const struct connector *const connectors[];

#endif
