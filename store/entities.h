/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_ENTITIES_H
#define SPANWARD_ENTITIES_H

/*
 * Control's own state in Redis: entities, their keys under sw1:{ctl}: and their codecs.
 *
 * An entity is a plain struct whose fields come from one table; from the table come the struct, the JSON codec and
 * docs. JSON (compact, keys sorted) is what people find with redis-cli; it is also what "byte-identical after a
 * restart" is tested on. Large learned state (baselines, detectors, onset histories) is binary, owned by control/.
 *
 * Everything that one step of control changes goes through one batch, which is one MULTI: entities, outbox rows,
 * learned state and the input cursor are together in Redis or not at all. The hash tag {ctl} keeps them in one Cluster
 * slot.
 *
 * Keys:  sw1:{ctl}:meta               string  JSON, struct entity_meta
 *        sw1:{ctl}:incident           hash    id -> JSON      (problem, ticket, connector and cursor alike)
 *        sw1:{ctl}:change             hash    id -> JSON, struct entity_register (maintenance, circuit, owner, silence)
 *        sw1:{ctl}:audit              hash    id of a command -> JSON
 *        sw1:{ctl}:inbox              stream  commands of people, see inbox.h
 *        sw1:{ctl}:lease              string  the spanward-control that runs here, see schema_lease_take
 *        sw1:{ctl}:outbox             hash    sequence, 10 digits -> JSON
 *        sw1:{ctl}:series             hash    SERIES = scope|object|metric -> binary detector
 *        sw1:{ctl}:history            hash    SERIES -> binary onsets
 *        sw1:{ctl}:bins:SERIES        hash    part -> binary baseline bins, hours of exposure
 */

#include <stddef.h>
#include <stdint.h>
#include "common/events.h"
#include "common/log.h"
#include "common/window.h"
#include "store/store.h"

#define ENTITY_ID_BYTES    24
#define FINGERPRINT_BYTES  65 /* SHA-256 in hex and its end */
#define ENTITY_OWNER_BYTES 64

/* What a fault is on: the scopes of windows, and what stands behind several paths at once. */
#define FAULT_SCOPES(X)                                                                                                \
    X(MIRROR, "mirror")                                                                                                \
    X(PATH, "path")                                                                                                    \
    X(SERVICE, "service")                                                                                              \
    X(HOST, "host")                                                                                                    \
    X(CIRCUIT, "circuit")                                                                                              \
    X(VLAN, "vlan")                                                                                                    \
    X(TUNNEL, "tunnel")                                                                                                \
    X(SITE, "site")

#define FAULT_CLASSES(X)                                                                                               \
    X(LOSS, "loss")                                                                                                    \
    X(CONNECT, "connect")                                                                                              \
    X(LATENCY, "latency")                                                                                              \
    X(LOAD, "load")

/* Where on an object: a direction for loss and load, a side of the tap for latency. */
#define FAULT_DIRECTIONS(X)                                                                                            \
    X(A2B, "a2b")                                                                                                      \
    X(B2A, "b2a")                                                                                                      \
    X(SIDE_A, "side_a")                                                                                                \
    X(SIDE_B, "side_b")                                                                                                \
    X(BOTH, "both")

#define INCIDENT_STATES(X)                                                                                             \
    X(PENDING, "pending")                                                                                              \
    X(OPEN, "open")                                                                                                    \
    X(ACKED, "acked")                                                                                                  \
    X(CLEARED, "cleared")                                                                                              \
    X(CLOSED, "closed")

#define PROBLEM_STATES(X)                                                                                              \
    X(CANDIDATE, "candidate")                                                                                          \
    X(CONFIRMED, "confirmed")                                                                                          \
    X(ASSIGNED, "assigned")                                                                                            \
    X(ROOT_CAUSE, "root_cause")                                                                                        \
    X(KNOWN_ERROR, "known_error")                                                                                      \
    X(FIX_SCHEDULED, "fix_scheduled")                                                                                  \
    X(VERIFYING, "verifying")                                                                                          \
    X(CLOSED, "closed")                                                                                                \
    X(RISK_ACCEPTED, "risk_accepted")                                                                                  \
    X(DUPLICATE, "duplicate")

#define PATTERN_CLASSES(X)                                                                                             \
    X(WEEKLY_SLOT, "weekly_slot")                                                                                      \
    X(WEEKDAYS, "weekdays")                                                                                            \
    X(WEEKENDS, "weekends")                                                                                            \
    X(DAILY, "daily")                                                                                                  \
    X(MONTH_END, "month_end")                                                                                          \
    X(HOURLY, "hourly")                                                                                                \
    X(CHRONIC, "chronic")                                                                                              \
    X(SITE, "same_site")

#define BASELINE_LEVELS(X)                                                                                             \
    X(NONE, "none")                                                                                                    \
    X(GLOBAL, "global")                                                                                                \
    X(HOUR_OF_DAY, "hour_of_day")                                                                                      \
    X(HOUR_OF_WEEK, "hour_of_week")

#define TICKET_STATES(X)                                                                                               \
    X(OPEN, "open")                                                                                                    \
    X(CLOSED, "closed")

#define OUTBOX_OPS(X)                                                                                                  \
    X(CREATE, "create")                                                                                                \
    X(UPDATE, "update")                                                                                                \
    X(CLOSE, "close")                                                                                                  \
    X(COMMENT, "comment")                                                                                              \
    X(RESOLVE, "resolve")                                                                                              \
    X(REOPEN, "reopen")

/* What the ticketing system itself says. */
#define REMOTE_STATES(X)                                                                                               \
    X(UNKNOWN, "unknown")                                                                                              \
    X(OPEN, "open")                                                                                                    \
    X(IN_PROGRESS, "in_progress")                                                                                      \
    X(RESOLVED, "resolved")                                                                                            \
    X(CLOSED, "closed")

#define OUTBOX_STATES(X)                                                                                               \
    X(PENDING, "pending")                                                                                              \
    X(IN_DOUBT, "in_doubt")                                                                                            \
    X(SENT, "sent")                                                                                                    \
    X(DEAD, "dead")                                                                                                    \
    X(DRY_RUN, "dry_run")                                                                                              \
    X(DROPPED, "dropped")

#define CONNECTOR_STATES(X)                                                                                            \
    X(ACTIVE, "active")                                                                                                \
    X(PAUSED, "paused")                                                                                                \
    X(DISABLED, "disabled")

#define X(symbol, name) SCOPE_##symbol,
enum fault_scope { FAULT_SCOPES(X) SCOPE_COUNT };
#undef X
#define X(symbol, name) FAULT_##symbol,
enum fault_class { FAULT_CLASSES(X) FAULT_CLASS_COUNT };
#undef X
#define X(symbol, name) DIRECTION_##symbol,
enum fault_direction { FAULT_DIRECTIONS(X) DIRECTION_COUNT };
#undef X
#define X(symbol, name) INCIDENT_##symbol,
enum incident_state { INCIDENT_STATES(X) INCIDENT_STATE_COUNT };
#undef X
#define X(symbol, name) PROBLEM_##symbol,
enum problem_state { PROBLEM_STATES(X) PROBLEM_STATE_COUNT };
#undef X
#define X(symbol, name) PATTERN_##symbol,
enum pattern_class { PATTERN_CLASSES(X) PATTERN_CLASS_COUNT };
#undef X
#define X(symbol, name) BASELINE_##symbol,
enum baseline_level { BASELINE_LEVELS(X) BASELINE_LEVEL_COUNT };
#undef X
#define X(symbol, name) TICKET_##symbol,
enum ticket_state { TICKET_STATES(X) TICKET_STATE_COUNT };
#undef X
#define X(symbol, name) OUTBOX_##symbol,
enum outbox_op { OUTBOX_OPS(X) OUTBOX_OP_COUNT };
#undef X
#define X(symbol, name) REMOTE_##symbol,
enum remote_state { REMOTE_STATES(X) REMOTE_STATE_COUNT };
#undef X
#define X(symbol, name) OUTBOX_ROW_##symbol,
enum outbox_state { OUTBOX_STATES(X) OUTBOX_STATE_COUNT };
#undef X
#define X(symbol, name) CONNECTOR_##symbol,
enum connector_state { CONNECTOR_STATES(X) CONNECTOR_STATE_COUNT };
#undef X

/*
 * Field tables: TEXT(name, size), NUM(name) uint64_t, REAL(name) double, ENUM(name, value set).
 * Times are ns since the epoch in data time unless the name says wall; 0 = not yet.
 */

/* One episode of one fault. Reopened within detect.reopen_window it is the same incident; later it is a new one. */
#define INCIDENT_FIELDS(TEXT, NUM, REAL, ENUM)                                                                         \
    TEXT(id, ENTITY_ID_BYTES)                                                                                          \
    TEXT(fingerprint, FINGERPRINT_BYTES)                                                                               \
    ENUM(scope, fault_scope)                                                                                           \
    TEXT(object, WINDOW_NAME_BYTES)                                                                                    \
    ENUM(direction, fault_direction)                                                                                   \
    ENUM(fault, fault_class)                                                                                           \
    ENUM(state, incident_state)                                                                                        \
    ENUM(severity, event_severity)                                                                                     \
    TEXT(parent, ENTITY_ID_BYTES)  /* the incident on the same object that it belongs to */                            \
    TEXT(problem, ENTITY_ID_BYTES) /* the problem that it is an occurrence of */                                       \
    TEXT(ticket, ENTITY_ID_BYTES)                                                                                      \
    TEXT(owner, ENTITY_OWNER_BYTES)                                                                                    \
    TEXT(cause, WINDOW_NAME_BYTES) /* "circuit NAME" or "site NAME" when paths behind it failed together */            \
    TEXT(change, 64)               /* the change that a person said is behind it */                                    \
    TEXT(suspects, 256)            /* changes that it began soon after, the likeliest first: "CHG-3 p=0.0012, ..." */  \
    NUM(members)                   /* incidents that belong to it */                                                   \
    NUM(flows)                     /* new flows in the bad minutes */                                                  \
    NUM(bytes)                     /* both directions, in the bad minutes */                                           \
    TEXT(suppressed, 64)           /* reason, or empty */                                                              \
    NUM(flapping)                                                                                                      \
    NUM(episode_ns)  /* first bad minute since it was last well */                                                     \
    NUM(onset_ns)    /* first bad minute */                                                                            \
    NUM(detected_ns) /* end of the minute that made it certain */                                                      \
    NUM(end_ns)      /* end of the last bad minute so far */                                                           \
    NUM(cleared_ns)                                                                                                    \
    NUM(closed_ns)                                                                                                     \
    NUM(acked_ns)                                                                                                      \
    NUM(transitions)                                                                                                   \
    REAL(flap) /* decayed count of transitions, as of flap_ns */                                                       \
    NUM(flap_ns)                                                                                                       \
    NUM(bad_minutes)                                                                                                   \
    NUM(exposure_n) /* packets, samples or attempts that the bad minutes rest on */                                    \
    NUM(lost_upstream_pkts)                                                                                            \
    NUM(lost_downstream_pkts)                                                                                          \
    NUM(lost_unknown_pkts)                                                                                             \
    REAL(value)    /* over all bad minutes: loss share, failed share, worst median in ns, bits/s */                    \
    REAL(peak)     /* the worst minute */                                                                              \
    REAL(baseline) /* what was expected when it began */                                                               \
    ENUM(level, baseline_level)

/* What recurs. Confirmed by a test whose numbers are kept; closed only by evidence. */
#define PROBLEM_FIELDS(TEXT, NUM, REAL, ENUM)                                                                          \
    TEXT(id, ENTITY_ID_BYTES)                                                                                          \
    TEXT(fingerprint, FINGERPRINT_BYTES) /* of its leading fault */                                                    \
    TEXT(members, 512)                   /* further fingerprints, comma separated */                                   \
    ENUM(scope, fault_scope)                                                                                           \
    TEXT(object, WINDOW_NAME_BYTES)                                                                                    \
    ENUM(direction, fault_direction)                                                                                   \
    ENUM(fault, fault_class)                                                                                           \
    ENUM(state, problem_state)                                                                                         \
    ENUM(severity, event_severity)                                                                                     \
    ENUM(pattern, pattern_class)                                                                                       \
    NUM(weekday)    /* 0 = Monday; of a weekly slot. month_end: 0 last day, 1 last working day, 2 first day */         \
    NUM(period_min) /* hourly: minutes from one to the next */                                                         \
    NUM(from_min)   /* hourly: the minute of the period when it begins */                                              \
    NUM(from_hour)  /* local, 0..23 */                                                                                 \
    NUM(to_hour)    /* local, from_hour < to_hour; above 24 it ends on the next day */                                 \
    TEXT(pattern_text, 96)                                                                                             \
    NUM(occurrences) /* k: observed dates in the slot on which it occurred */                                          \
    NUM(exposures)   /* n: observed dates in the slot */                                                               \
    NUM(weeks)       /* distinct weeks among the occurrences */                                                        \
    NUM(dates_hit)   /* K: dates of any weekday on which the slot was occupied */                                      \
    NUM(dates_seen)  /* T: dates of any weekday on which the slot was observed */                                      \
    REAL(hit_rate)                                                                                                     \
    REAL(lift)                                                                                                         \
    REAL(p_value) /* at the last weekly look, corrected for the cells */                                               \
    NUM(first_ns)                                                                                                      \
    NUM(last_ns)                                                                                                       \
    NUM(confirmed_ns)                                                                                                  \
    NUM(looked_ns)                                                                                                     \
    NUM(verify_from_ns)                                                                                                \
    NUM(clean_exposures)                                                                                               \
    NUM(clean_needed)                                                                                                  \
    NUM(failed_fixes)                                                                                                  \
    NUM(closed_ns)                                                                                                     \
    NUM(minutes_lost)                                                                                                  \
    NUM(exposure_n)                                                                                                    \
    NUM(lost_upstream_pkts)                                                                                            \
    NUM(lost_downstream_pkts)                                                                                          \
    NUM(lost_unknown_pkts)                                                                                             \
    REAL(value)                                                                                                        \
    REAL(peak)                                                                                                         \
    REAL(baseline)                                                                                                     \
    TEXT(suspects, 512) /* changes that its onsets follow, the likeliest first */                                      \
    TEXT(evidence, 512) /* the test's numbers in words */                                                              \
    NUM(clean_ns)       /* aperiodic: time observed since the fix */                                                   \
    TEXT(ticket, ENTITY_ID_BYTES)                                                                                      \
    TEXT(owner, ENTITY_OWNER_BYTES)                                                                                    \
    TEXT(change, 64)                   /* the change that a person said is behind it */                                \
    TEXT(fix, 160)                     /* what fixed it, in the words of who resolved it */                            \
    TEXT(approver, ENTITY_OWNER_BYTES) /* who accepted the risk */                                                     \
    NUM(accepted_until_ns)             /* when the acceptance expires */                                               \
    TEXT(reason, 160)                                                                                                  \
    TEXT(next_decision, 200)

/* Our side of a ticket: what it says now. One fault, one ticket. */
#define TICKET_FIELDS(TEXT, NUM, REAL, ENUM)                                                                           \
    TEXT(id, ENTITY_ID_BYTES)                                                                                          \
    TEXT(fingerprint, FINGERPRINT_BYTES)                                                                               \
    TEXT(problem, ENTITY_ID_BYTES)                                                                                     \
    TEXT(incident, ENTITY_ID_BYTES) /* the latest */                                                                   \
    TEXT(connector, 32)                                                                                                \
    ENUM(state, ticket_state)                                                                                          \
    ENUM(severity, event_severity)                                                                                     \
    NUM(dry_run)                                                                                                       \
    NUM(version)                                                                                                       \
    TEXT(title, 256) /* at most 120 characters */                                                                      \
    TEXT(body, 6144)                                                                                                   \
    TEXT(content_hash, FINGERPRINT_BYTES)                                                                              \
    TEXT(owner, ENTITY_OWNER_BYTES)                                                                                    \
    NUM(created_ns)                                                                                                    \
    NUM(updated_ns)                                                                                                    \
    NUM(closed_ns)                                                                                                     \
    TEXT(remote_id, 128)                                                                                               \
    TEXT(remote_url, 256)                                                                                              \
    TEXT(create_key, FINGERPRINT_BYTES) /* under which it is looked up there */                                        \
    NUM(told_closed)                    /* the last thing that was sent or waits says closed */                        \
    ENUM(remote_state, remote_state)                                                                                   \
    TEXT(remote_owner, ENTITY_OWNER_BYTES)                                                                             \
    NUM(remote_wall_ns)     /* when it last changed there */                                                           \
    NUM(reconciled_wall_ns) /* when it was last compared */

/* One thing to tell a ticketing system, committed with the state change that caused it. */
#define OUTBOX_FIELDS(TEXT, NUM, REAL, ENUM)                                                                           \
    NUM(seq)                                                                                                           \
    TEXT(connector, 32)                                                                                                \
    TEXT(ticket, ENTITY_ID_BYTES)                                                                                      \
    ENUM(op, outbox_op)                                                                                                \
    ENUM(state, outbox_state)                                                                                          \
    NUM(version)                                                                                                       \
    TEXT(key, FINGERPRINT_BYTES) /* idempotency: SHA-256 of installation|ticket|op|version */                          \
    TEXT(body_hash, FINGERPRINT_BYTES)                                                                                 \
    TEXT(title, 256)                                                                                                   \
    TEXT(body, 6144)                                                                                                   \
    ENUM(severity, event_severity)                                                                                     \
    NUM(created_ns)                                                                                                    \
    NUM(attempts)                                                                                                      \
    NUM(doubt_wall_ns) /* when it last may have arrived without our knowing */                                         \
    NUM(next_at_wall_ns)                                                                                               \
    NUM(done_wall_ns)                                                                                                  \
    NUM(http_status)                                                                                                   \
    TEXT(remote_id, 128)                                                                                               \
    TEXT(last_error, 200)

#define CONNECTOR_FIELDS(TEXT, NUM, REAL, ENUM)                                                                        \
    TEXT(name, 32)                                                                                                     \
    ENUM(state, connector_state)                                                                                       \
    TEXT(reason, 200)                                                                                                  \
    TEXT(settings_hash, FINGERPRINT_BYTES) /* a pause or disablement ends when settings change */                      \
    NUM(failures)                          /* in a row */                                                              \
    NUM(open_until_wall_ns)                /* circuit breaker */                                                       \
    NUM(sent)                                                                                                          \
    NUM(failed)                                                                                                        \
    NUM(found)        /* creates that had arrived although we did not know */                                          \
    NUM(hour_wall_ns) /* the hour for which creates are counted */                                                     \
    NUM(hour_creates)                                                                                                  \
    TEXT(summary, ENTITY_ID_BYTES) /* the ticket that tells of those held back */                                      \
    TEXT(poll_cursor, 128)                                                                                             \
    NUM(polled_wall_ns)                                                                                                \
    NUM(reconciled_wall_ns)

/* How far a sensor's closed windows have been taken in. */
#define CURSOR_FIELDS(TEXT, NUM, REAL, ENUM)                                                                           \
    TEXT(sensor, 64)                                                                                                   \
    TEXT(position, 44)                                                                                                 \
    NUM(closed_ns)                                                                                                     \
    NUM(windows)

/*
 * The registers: what people know and the tap cannot see. One shape for all kinds. `objects` is a comma-separated list
 * of patterns (shell style) that are compared with paths and with the sites on either side; "circuit:NAME" stands for
 * the paths behind a circuit.
 */
#define REGISTER_FIELDS(TEXT, NUM, REAL, ENUM)                                                                         \
    TEXT(id, ENTITY_ID_BYTES)                                                                                          \
    TEXT(title, 160)    /* of a circuit: its name */                                                                   \
    TEXT(objects, 4096) /* what it is about; of a circuit: the paths behind it */                                      \
    TEXT(kind, 32)      /* circuit, device, link; or the kind of change */                                             \
    TEXT(owner, ENTITY_OWNER_BYTES)                                                                                    \
    NUM(start_ns)                                                                                                      \
    NUM(end_ns) /* 0: until further notice */                                                                          \
    NUM(window) /* a change during which faults are expected: also maintenance */                                      \
    TEXT(actor, ENTITY_OWNER_BYTES)                                                                                    \
    NUM(created_ns)                                                                                                    \
    NUM(changed_ns)                                                                                                    \
    NUM(closed_ns) /* taken back, or ended before its time */                                                          \
    TEXT(closed_by, ENTITY_OWNER_BYTES)                                                                                \
    TEXT(reason, 160)

/* What somebody told control to do, and what came of it. The history of everything that people decide. */
#define AUDIT_FIELDS(TEXT, NUM, REAL, ENUM)                                                                            \
    TEXT(id, 44) /* that of the command */                                                                             \
    TEXT(actor, ENTITY_OWNER_BYTES)                                                                                    \
    TEXT(verb, 32)                                                                                                     \
    TEXT(object, WINDOW_NAME_BYTES)                                                                                    \
    TEXT(arguments, 8192) /* a JSON object */                                                                          \
    NUM(at_ns)            /* data time at which it took effect */                                                      \
    NUM(given_wall_ns)                                                                                                 \
    NUM(done)                     /* 0: refused */                                                                     \
    TEXT(entity, ENTITY_ID_BYTES) /* what it made or changed */                                                        \
    TEXT(result, 256)

#define META_FIELDS(TEXT, NUM, REAL, ENUM)                                                                             \
    NUM(version)                                                                                                       \
    NUM(cursor_ns) /* everything before has been processed */                                                          \
    NUM(first_ns)                                                                                                      \
    NUM(steps)                                                                                                         \
    NUM(incident_seq)                                                                                                  \
    NUM(problem_seq)                                                                                                   \
    NUM(ticket_seq)                                                                                                    \
    NUM(outbox_seq)                                                                                                    \
    NUM(look_week)    /* the local week that the last weekly look opened */                                            \
    TEXT(install, 40) /* tells this installation's tickets from others' in the same system */                          \
    NUM(installed_wall_ns)                                                                                             \
    TEXT(zone, 64)                                                                                                     \
    NUM(audit_seq)                                                                                                     \
    TEXT(inbox, 44)    /* position in the stream of commands */                                                        \
    NUM(command_ns)    /* time of the last command that a window stream gave */                                        \
    NUM(command_count) /* how many of that very time were carried out */                                               \
    NUM(change_seq)                                                                                                    \
    NUM(maintenance_seq)                                                                                               \
    NUM(circuit_seq)                                                                                                   \
    NUM(owner_seq)                                                                                                     \
    NUM(silence_seq)

#define ENTITY_VERSION                1

#define ENTITY_TEXT_FIELD(name, size) char name[size];
#define ENTITY_NUM_FIELD(name)        uint64_t name;
#define ENTITY_REAL_FIELD(name)       double name;
#define ENTITY_ENUM_FIELD(name, set)  enum set name;
#define ENTITY_STRUCT(tag, FIELDS)                                                                                     \
    struct tag {                                                                                                       \
        FIELDS(ENTITY_TEXT_FIELD, ENTITY_NUM_FIELD, ENTITY_REAL_FIELD, ENTITY_ENUM_FIELD)                              \
    }

ENTITY_STRUCT(entity_incident, INCIDENT_FIELDS);
ENTITY_STRUCT(entity_problem, PROBLEM_FIELDS);
ENTITY_STRUCT(entity_ticket, TICKET_FIELDS);
ENTITY_STRUCT(entity_outbox, OUTBOX_FIELDS);
ENTITY_STRUCT(entity_connector, CONNECTOR_FIELDS);
ENTITY_STRUCT(entity_cursor, CURSOR_FIELDS);
ENTITY_STRUCT(entity_register, REGISTER_FIELDS);
ENTITY_STRUCT(entity_audit, AUDIT_FIELDS);
ENTITY_STRUCT(entity_meta, META_FIELDS);

#define ENTITY_KINDS(X)                                                                                                \
    X(META, "meta")                                                                                                    \
    X(INCIDENT, "incident")                                                                                            \
    X(PROBLEM, "problem")                                                                                              \
    X(TICKET, "ticket")                                                                                                \
    X(OUTBOX, "outbox")                                                                                                \
    X(CONNECTOR, "connector")                                                                                          \
    X(CURSOR, "cursor")                                                                                                \
    X(CHANGE, "change")                                                                                                \
    X(MAINTENANCE, "maintenance")                                                                                      \
    X(CIRCUIT, "circuit")                                                                                              \
    X(OWNER, "owner")                                                                                                  \
    X(SILENCE, "silence")                                                                                              \
    X(AUDIT, "audit")

#define X(symbol, name) ENTITY_##symbol,
enum entity_kind { ENTITY_KINDS(X) ENTITY_KIND_COUNT };
#undef X

const char *fault_scope_name(enum fault_scope v);
const char *fault_class_name(enum fault_class v);
const char *fault_direction_name(enum fault_direction v);
const char *incident_state_name(enum incident_state v);
const char *problem_state_name(enum problem_state v);
const char *pattern_class_name(enum pattern_class v);
const char *baseline_level_name(enum baseline_level v);
const char *ticket_state_name(enum ticket_state v);
const char *outbox_op_name(enum outbox_op v);
const char *remote_state_name(enum remote_state v);
const char *outbox_state_name(enum outbox_state v);
const char *connector_state_name(enum connector_state v);

/* malloc'd compact JSON with sorted keys of the struct that belongs to `kind`; NULL without memory. */
char *entity_encode(enum entity_kind kind, const void *entity);

/*
 * Fills the struct from JSON. Fields that are absent become 0 or ""; unknown ones are ignored, so that an older
 * reader understands a newer writer. Text that does not fit, a wrong type or an unknown enum value: -EBADMSG.
 */
int entity_decode(enum entity_kind kind, const char *json, size_t len, void *ret_entity, struct error *e);

size_t entity_size(enum entity_kind kind);

/* Calls visit for each stored entity of a kind, in order of id. The struct is valid during the call. Stops at != 0. */
int entities_each(struct store *s, enum entity_kind kind, int (*visit)(void *ctx, const void *entity), void *ctx,
                  struct error *e);

/* 1 and the entity, 0 when there is none, or -errno. For META the id is ignored. */
int entities_get(struct store *s, enum entity_kind kind, const char *id, void *ret_entity, struct error *e);

/* Learned state: hashes of binary values. `name` tells apart several hashes of one kind (bins), else "". */
enum learned_kind { LEARNED_SERIES, LEARNED_BINS, LEARNED_HISTORY, LEARNED_KIND_COUNT };

int learned_each(struct store *s, enum learned_kind kind, const char *name,
                 int (*visit)(void *ctx, const char *field, const void *data, size_t len), void *ctx, struct error *e);

/*
 * A batch: queues the changes of a step and commits them in one MULTI ... EXEC. After -EIO nothing is known: the caller
 * reloads and repeats the step from the stored cursor. One batch at a time per store.
 */
struct entity_batch;
struct entity_batch *entity_batch_new(struct store *s);
void entity_batch_put(struct entity_batch *b, enum entity_kind kind, const void *entity);
void entity_batch_delete(struct entity_batch *b, enum entity_kind kind, const char *id);
void entity_batch_put_learned(struct entity_batch *b, enum learned_kind kind, const char *name, const char *field,
                              const void *data, size_t len);
void entity_batch_delete_learned(struct entity_batch *b, enum learned_kind kind, const char *name, const char *field);
size_t entity_batch_count(const struct entity_batch *b);
/* Sends and frees the batch, whatever the result. 0 or -errno. An empty batch does nothing. */
int entity_batch_commit(struct entity_batch *b, struct error *e);
void entity_batch_drop(struct entity_batch *b);

#endif
