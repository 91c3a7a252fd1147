/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONTROL_INTERNAL_H
#define SPANWARD_CONTROL_INTERNAL_H

/* The core's own structs, shared by control.c, persist.c, incident.c, problem.c, ticket.c and outbox.c only. */

#include <jansson.h>
#include <errno.h>
#include "control/control.h"
#include "control/quiet.h"
#include "control/recurrence.h"
#include "control/ticket_text.h"

/* An entity in memory with its dirty mark. Owner: the control's list. */
struct incident {
    struct entity_incident e;
    struct control_object *object;
    uint8_t metric;
    bool dirty;
};
struct problem {
    struct entity_problem e;
    bool dirty;
    struct control_object *object; /* of its leading fault, once problem_line has found it */
    enum metric metric;
};
struct ticket {
    struct entity_ticket e;
    bool dirty;
    uint64_t told_wall_ns; /* to a system that wants to be told again and again */
};
struct outbox_row {
    struct entity_outbox e;
    bool dirty;
};
struct connector_status {
    struct entity_connector e;
    bool dirty;
};
struct cursor {
    struct entity_cursor e;
    bool dirty;
};
/*
 * Invariant: named holds the numbers, ascending, of the first matched_objects objects that the row names; it was made
 * when the versions were those of the row and of the circuits.
 */
struct register_row {
    struct entity_register e;
    bool dirty;
    uint64_t version; /* grows when its fields change */
    uint32_t *named;
    size_t n_named, room_named, matched_objects;
    uint64_t matched_version, matched_circuits;
};

/* The registers, in the order of their entity kinds from ENTITY_CHANGE on. */
#define REGISTERS(X)                                                                                                   \
    X(CHANGE, "change", "CHG")                                                                                         \
    X(MAINTENANCE, "maintenance", "MNT")                                                                               \
    X(CIRCUIT, "circuit", "CIR")                                                                                       \
    X(OWNER, "owner", "OWN")                                                                                           \
    X(SILENCE, "silence", "SIL")
#define X(symbol, name, prefix) REGISTER_##symbol,
enum register_kind { REGISTERS(X) REGISTER_COUNT };
#undef X

/* Vector of pointers: entities do not move. */
#define VECTOR(type)                                                                                                   \
    struct {                                                                                                           \
        type **item;                                                                                                   \
        size_t n, room;                                                                                                \
    }
int vector_room(void ***item, size_t n, size_t *room);
#define VECTOR_PUSH(v, x)                                                                                              \
    (vector_room((void ***)&(v).item, (v).n, &(v).room) == 0 ? ((v).item[(v).n++] = (x), 0) : -ENOMEM)

/*
 * What is known about one metric of one object. Invariant: active is in control.incidents and not CLOSED; fingerprint
 * is "" until first needed.
 */
struct fault_line {
    struct series *series; /* NULL until the metric was present */
    struct incident *active;
    struct history history;
    bool history_dirty;
    char fingerprint[FINGERPRINT_BYTES];
    char ticket[ENTITY_ID_BYTES]; /* the ticket of incidents with this fingerprint */
};

struct control_object {
    struct quiet quiet; /* on a cache line of its own */
    struct observation obs;
    uint64_t stamp;   /* step in which obs was set */
    uint64_t seen_ns; /* end of the last step in which it was observed */
    uint32_t number;  /* its place in control.objects */
    enum fault_scope scope;
    char name[WINDOW_NAME_BYTES];
    struct cause **causes; /* those that it is a member of, in the order of control.causes */
    size_t n_causes, room_causes;
    bool in_maintenance; /* as of control.maintained_until_ns */
    struct fault_line line[METRIC_COUNT];
};

/*
 * What stands behind several paths: a circuit or device of the register, a circuit of the configuration, or a site.
 * Owner: control.causes, made anew when registers or objects have changed.
 */
struct cause {
    enum fault_scope scope; /* SCOPE_CIRCUIT or SCOPE_SITE */
    char name[WINDOW_NAME_BYTES];
    struct control_object **member;
    size_t n, room;
};

/* An anomaly that began or ended in this step; applied in order of name so that the order of windows is of no effect.
 */
struct change {
    struct control_object *object;
    uint8_t metric;
    bool entered;
    uint32_t minutes; /* of the window */
    struct detection d;
};

struct control {
    struct control_options options;
    char zone[64], connector[32];
    char notify[CONTROL_NOTIFIERS][32]; /* connectors that are told beside it */
    size_t n_notify;
    bool from_remote;              /* a change that came from the ticketing system is being applied */
    uint64_t creates_from_wall_ns; /* see outbox_guard_restart */
    const struct ticket_templates *templates;
    struct ticket_templates *own_templates; /* built in, where the options give none */
    struct store *store;
    struct entity_meta meta;
    bool meta_dirty;
    uint64_t stamp;

    VECTOR(struct control_object) objects;
    VECTOR(struct control_object) touched;
    struct control_object **table; /* open addressing by scope and name; size is a power of two */
    size_t table_size;

    struct change *changes;
    size_t n_changes, room_changes;

    VECTOR(struct incident) incidents; /* not CLOSED between steps: who asks must not depend on commits */
    VECTOR(struct incident) ended;     /* CLOSED since the last commit */
    VECTOR(struct problem) problems;
    VECTOR(struct ticket) tickets;
    VECTOR(struct outbox_row) outbox; /* pending or in doubt, or done since the last commit */
    VECTOR(struct connector_status) connectors;
    VECTOR(struct cursor) cursors;
    VECTOR(struct register_row) registers[REGISTER_COUNT]; /* in order of id */
    VECTOR(struct entity_audit) audits;                    /* since the last commit */
    uint64_t registers_version;                            /* grows with every change of a register */
    VECTOR(struct cause) causes;
    uint64_t circuits_version; /* grows with every change of a circuit */
    uint64_t causes_version;   /* circuits_version + 1 and the number of paths that causes was made from */
    size_t causes_paths;
    size_t n_paths;              /* objects of scope path */
    uint64_t maintained_version; /* the same for in_maintenance of the objects */
    size_t maintained_objects;
    uint64_t maintained_until_ns; /* the next time at which a window begins or ends */
    bool any_maintenance;
    VECTOR(char) withdrawn; /* ids of candidates to delete */
    bool failed;            /* lack of memory in a step: the next commit refuses */
};

/* persist.c */
int persist_load(struct control *c, struct error *e);
int persist_commit(struct control *c, struct error *e);
void series_name(char *ret, size_t size, const struct control_object *o, enum metric metric);
#define SERIES_NAME_BYTES 200

/* chronic.c: faults without a period, and branches with many; after the look at patterns. */
void chronic_look(struct control *c, uint64_t now_ns);

/* control.c */
/* A series whose hours of observation stand for a line: its own, or that of a path behind a cause; or NULL. */
const struct series *control_exposure(struct control *c, const struct control_object *o, enum metric metric);
/* control_object for a name that was escaped before. */
struct control_object *control_object_raw(struct control *c, enum fault_scope scope, const char *clean);
struct series *control_series(struct control *c, struct control_object *o, enum metric metric);
const char *line_fingerprint(struct control_object *o, enum metric metric);
struct control_object *control_find_line(struct control *c, const char *fingerprint, enum metric *ret_metric);

/* incident.c */
void incident_enter(struct control *c, const struct change *change, uint64_t end_ns);
void incident_leave(struct control *c, struct incident *i, uint64_t end_ns);
void incident_evidence(struct control *c, struct incident *i, const struct detection *d, const struct observation *o,
                       uint64_t end_ns, uint32_t minutes);
/* The step's end: time passes for all incidents, and those that it has closed go to control.ended. */
void incident_tick(struct control *c, uint64_t end_ns);
void incident_describe(struct entity_incident *e, struct control_object *o, enum metric metric);

/* A new incident of this line, in control's list and with the next id. NULL without memory. */
struct incident *incident_new(struct control *c, struct control_object *o, uint8_t metric);
/* Into the history, and to the problem that it is an occurrence of. */
void incident_occurred(struct control *c, struct incident *i, uint64_t now_ns);
void incident_clear(struct control *c, struct incident *i, uint64_t end_ns, uint64_t now_ns);
void incident_reopen(struct control *c, struct incident *i, uint64_t now_ns);
struct incident *incident_by_id(struct control *c, const char *id);
/* A minor, major, ... by value and impact. */
enum event_severity incident_severity(const struct entity_incident *e);

/* cause.c */
/* The incident on a circuit or site that i belongs to: an active one, or a new one when enough paths fail; else NULL.
 */
struct incident *cause_join(struct control *c, struct incident *i, uint64_t now_ns);
struct incident *cause_find(struct control *c, struct incident *i, uint64_t now_ns);
/* The cause that an object of scope circuit or site is, or NULL. */
const struct cause *cause_of(struct control *c, const struct control_object *o);
bool cause_may(struct control *c, const struct control_object *o);
/* What a member's bad minutes (n samples of this value) add to the incident that it belongs to. */
void cause_evidence(struct incident *parent, const struct entity_incident *m, uint64_t n, double value,
                    uint64_t end_ns);
/* An incident with members is over when none is active. */
void cause_tick(struct control *c, struct incident *i, uint64_t now_ns);
void causes_free(struct control *c);
/* Brings control.causes up to date. */
size_t causes_count(struct control *c);

/* registers.c: which objects are in a maintenance window, when that may have changed. */
void maintenance_update(struct control *c, uint64_t now_ns);
/* Who owns a fault on it: rules of the register, then of the configuration. */
const char *control_owner(struct control *c, const struct control_object *o, uint64_t now_ns);

/* change.c: the changes that a new incident began soon after, and that a problem's onsets follow. */
void change_suspects(struct control *c, struct incident *i, uint64_t now_ns);
void change_suspects_problem(struct control *c, struct problem *p, const struct history *h, uint64_t now_ns);

/* problem.c */
void problem_weekly_look(struct control *c, uint64_t now_ns);
/* The problem that an onset belongs to, or NULL. */
struct problem *problem_of(struct control *c, const char *fingerprint, uint64_t onset_ns);
void problem_occurred(struct control *c, struct problem *p, struct incident *i);
/* An occurrence is over: the ticket gets its final numbers. */
void problem_settled(struct control *c, struct problem *p, struct incident *i, uint64_t now_ns);
struct problem *problem_find(struct control *c, const char *id);
/* The line of its leading fault, or NULL. */
struct control_object *problem_line(struct control *c, struct problem *p, enum metric *ret_metric);
bool problem_is_open(const struct entity_problem *e);
/* Whether an onset is an occurrence of a pattern that is known, candidates included; of a slot, or of any class. */
bool problem_explains(struct control *c, const char *fingerprint, uint64_t onset_ns, bool chronic_too);
/* What a look without slots has found about a line. */
struct problem_finding {
    struct control_object *object;
    enum metric metric;
    enum pattern_class class;
    uint64_t onsets, days, weeks, clean_days;
    double ratio, p_value;
    char text[96];
    char evidence[512];
};
/* Makes or refreshes its problem; NULL when there is nothing to say. */
struct problem *problem_found(struct control *c, const struct problem_finding *f, uint64_t now_ns);
/* Files what a silence held back. */
void problem_tick(struct control *c, uint64_t now_ns);
/* Whether an onset belongs to the problem's pattern. */
bool problem_matches(const struct entity_problem *e, uint64_t onset_ns);

/* ticket.c: brings the ticket in line with its fault; files, updates or closes through the outbox. */
void ticket_sync_incident(struct control *c, struct incident *i, uint64_t now_ns);
void ticket_sync_problem(struct control *c, struct problem *p, uint64_t now_ns);
struct ticket *ticket_find(struct control *c, const char *id);
/* Its text as it would be told now, without telling it. */
void ticket_refresh_problem(struct control *c, struct problem *p);
/* A ticket goes on as that of the incident that its own turned out to belong to. */
void ticket_hand_over(struct control *c, struct incident *from, struct incident *to, uint64_t now_ns);

/* ticket_text.c: title and text from the templates. 0 or -ENOMEM. */
int ticket_compose_problem(struct control *c, struct ticket *t, const struct entity_problem *e,
                           const struct history *h);
int ticket_compose_incident(struct control *c, struct ticket *t, const struct entity_incident *e,
                            const struct history *h);
/* What is said when a problem is closed by evidence. malloc'd; NULL without memory. */
char *ticket_verified_text(struct control *c, const struct ticket *t, const struct entity_problem *e,
                           const struct history *h);

/* Charts of a ticket's fault, each malloc'd or NULL: hours of the week, values against what was expected. */
#define TICKET_CHARTS 2
void ticket_charts(struct control *c, const struct entity_ticket *t, char *ret_svg[TICKET_CHARTS]);

/* outbox.c */
/* Whether a message that changes the ticket's state there is still on its way to the system that holds it. */
bool outbox_state_waits(const struct control *c, const struct ticket *t);
bool outbox_is_waiting(const struct control *c, uint64_t seq);
/* The ticket's new text to its connector and to those that are told beside it. An update reopens what was closed. */
void outbox_enqueue(struct control *c, struct ticket *t, enum outbox_op op, uint64_t now_ns);
/* The same with a text of its own, such as a comment; the caller has counted t->e.version up. */
void outbox_tell(struct control *c, struct ticket *t, enum outbox_op op, const char *body, uint64_t now_ns);

/*
 * commands.c: a verb is a row of a table; run fills in result (and entity: what was made or changed), or returns -errno
 * with the reason. Texts in object and arguments have been escaped.
 */
struct command_call {
    const char *actor, *verb, *object;
    const json_t *arguments; /* an object, may be empty */
    uint64_t when_ns;
    char entity[ENTITY_ID_BYTES];
    char result[200];
};
struct command_verb {
    const char *name; /* NULL ends a table */
    int (*run)(struct control *c, struct command_call *call, struct error *e);
};
extern const struct command_verb register_verbs[];
extern const struct command_verb outbox_verbs[];
extern const struct command_verb baseline_verbs[];
extern const struct command_verb ticket_verbs[];
/* The first of these arguments that is a text, escaped; "" when none is there. names ends with NULL. */
const char *command_text_argument(const struct command_call *call, const char *const *names);
/* A whole number; false and untouched when it is not there. */
bool command_number_argument(const struct command_call *call, const char *name, uint64_t *ret);

/* registers.c */
bool register_active(const struct entity_register *e, uint64_t ns);
/* Whether its list of patterns names the object. */
bool register_names(struct control *c, struct register_row *r, const struct control_object *o);
/* The numbers of all objects that it names; valid until objects or registers change. NULL without memory (or any). */
const uint32_t *register_named(struct control *c, struct register_row *r, size_t *ret_n);
void register_row_free(struct register_row *r);
/* The first active row of a register that names the object, or NULL. */
const struct entity_register *register_find(struct control *c, enum register_kind kind, const struct control_object *o,
                                            uint64_t ns);
/* The same for a list of patterns without circuits, and a name. */
bool patterns_name(const char *list, const char *name);
struct register_row *register_by_id(struct control *c, enum register_kind kind, const char *id);

/* SHA-256 of text in hex. */
void hash_text(char ret[FINGERPRINT_BYTES], const char *text);

#endif
