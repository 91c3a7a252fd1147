/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONTROL_H
#define SPANWARD_CONTROL_H

/*
 * The control core: windows in, entities out. Live windows (feed.h) and window streams (replay.h) feed the same three
 * calls, in order of time:
 *
 *   control_object(...)    once per object: a handle
 *   control_observe(...)   for each window that starts at the step's time
 *   control_step(...)      when the step's windows are complete
 *
 * Time comes from the data. What a step changes stays in memory until control_commit writes it, with the cursor and
 * outbox rows, in one transaction. The result depends on the windows alone, not on when commits happen or where the
 * process was killed. One control belongs to one thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include "common/log.h"
#include "common/window.h"
#include "control/detect.h"
#include "store/entities.h"
#include "store/store.h"

struct control;
struct control_object;
struct ticket_templates; /* control/ticket_text.h */

/* Which owner a fault's object gets; a rule table from the configuration. Returns "" when nobody. */
typedef const char *control_owner_fn(const void *ctx, const char *object);

#define CONTROL_NOTIFIERS 8

struct outbox_rules;

struct control_options {
    struct detect_params detect;
    uint64_t reopen_window_ns;
    const char *zone;      /* for display and as a guard: state learnt in another zone is refused */
    const char *connector; /* the ticketing system that rows are for; NULL or "": none, tickets stay dry runs */
    bool dry_run;
    const char *notify[CONTROL_NOTIFIERS]; /* connectors that are told everything beside it; ends at NULL */
    const struct outbox_rules *rules;      /* NULL: outbox_default_rules */
    const char *install;  /* an id for a new installation; ignored when the state has one. May be NULL */
    uint64_t now_wall_ns; /* when it is one */
    const struct ticket_templates *templates; /* NULL: built in */
    control_owner_fn *owner;
    const void *owner_ctx;
    /* Circuits of the configuration, beside those of the register; the texts live as long as control. */
    const struct control_circuit {
        const char *name;
        const char *objects; /* patterns, as in the register */
    } * circuits;
    size_t n_circuits;
};

/* store NULL: everything stays in memory (tests). Loads the state that is in the store. */
int control_open(const struct control_options *options, struct store *store, struct control **ret, struct error *e);
void control_close(struct control *c); /* does not commit */

/* Everything that ends at or before this time has been processed; 0 = nothing yet. */
uint64_t control_cursor_ns(const struct control *c);

/* NULL without memory. The name is escaped; the handle lives as long as c. */
struct control_object *control_object(struct control *c, enum window_scope scope, const char *name);
void control_observe(struct control *c, struct control_object *object, const struct observation *o);
/* start_ns ascends; a step that begins before the cursor is ignored with its observations: false. */
bool control_step(struct control *c, uint64_t start_ns, uint64_t length_ns);

/* A sensor's position in its stream of closed windows; committed with the rest. NULL when unknown. */
const struct entity_cursor *control_sensor_cursor(struct control *c, const char *sensor);
int control_set_sensor_cursor(struct control *c, const struct entity_cursor *cursor);

/* 0 or -errno; after a failure the changes are still pending and the call may be repeated. */
int control_commit(struct control *c, struct error *e);

/* What people do. Verbs move a problem through its states; refused moves are -EINVAL with the reason. */
#define CONTROL_VERBS(X)                                                                                               \
    X(ACK, "ack")                                                                                                      \
    X(ASSIGN, "assign")                                                                                                \
    X(ROOT_CAUSE, "root-cause")                                                                                        \
    X(KNOWN_ERROR, "known-error")                                                                                      \
    X(SCHEDULE_FIX, "schedule-fix")                                                                                    \
    X(RESOLVE, "resolve")                                                                                              \
    X(ACCEPT_RISK, "accept-risk")                                                                                      \
    X(DUPLICATE, "duplicate")
#define X(symbol, name) CONTROL_##symbol,
enum control_verb { CONTROL_VERBS(X) CONTROL_VERB_COUNT };
#undef X
const char *control_verb_name(enum control_verb v);

/* id: PRB-n, or INC-n for ack and assign. text: owner for assign, reason else. when_ns: data time. */
int control_act(struct control *c, enum control_verb verb, const char *id, const char *text, uint64_t when_ns,
                struct error *e);

/*
 * A command as it came from the CLI (store/inbox.h) or from a window stream. Texts are not trusted: they are escaped
 * before they are kept. verb: one of the names above, or "REGISTER.add", ".edit", ".close" (control/registers.c).
 * object: PRB-n, INC-n, TKT-n, an id of a register, or the name of a path for all its open problems.
 */
struct control_command {
    const char *id; /* of the inbox; NULL: one is made from the time */
    const char *actor, *verb, *object;
    const char *arguments; /* a JSON object; NULL or "": none */
    uint64_t given_wall_ns;
};

/*
 * Carries a command out at data time when_ns and leaves an audit entity with the result, refused or not. 0, or -ENOMEM.
 * ret may be NULL.
 */
int control_command(struct control *c, const struct control_command *command, uint64_t when_ns,
                    struct entity_audit *ret);

/* When this state was begun, in wall time; 0 when options.install never was given. */
uint64_t control_installed_ns(const struct control *c);
void control_set_dry_run(struct control *c, bool dry_run);

/*
 * The same for a command of a window stream; how many of the newest time were carried out is kept with the state, so
 * that a replay that goes on leaves out what it gave before.
 */
int control_stream_command(struct control *c, const struct control_command *command, uint64_t when_ns);
void control_stream_position(const struct control *c, uint64_t *ret_ns, uint64_t *ret_count);

/*
 * Takes what is in the inbox of the store and commits it; waits up to block_ms for the first command. Returns how many,
 * or -errno (-EIO: the store is gone).
 */
int control_take_commands(struct control *c, unsigned block_ms, struct error *e);

/* In memory: for tests, and for programs that just ran a replay. Counts over the whole life of the state. */
struct control_totals {
    uint64_t steps, objects, incidents, problems, tickets, outbox_pending;
};
void control_totals(const struct control *c, struct control_totals *ret);

#endif
