/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Incidents: PENDING -> OPEN -> ACKED -> CLEARED -> CLOSED.
 *
 * An anomaly makes an incident PENDING for the grouping time, in which faults on the same object find together: later
 * ones become members of the first, and only the first speaks to people. A fault that returns within the reopen window
 * continues its incident; later it is a new occurrence of the same fingerprint, and goes into the history that
 * recurrence reads. Changes between bad and good are counted with a decay of one hour; above the high mark the incident
 * is FLAPPING and its ticket is left alone until the count falls below the low mark. Severity only rises during an
 * incident, and a rise takes the acknowledgement away.
 *
 * What is not observed for two hours is neither bad nor good: its incident is cleared with that reason. When the
 * grouping time is over, cause.c is asked whether the fault is one of many behind a circuit or site; it then belongs to
 * the one incident there. A silence and a maintenance window keep an incident from being told; see suppress.
 */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"

#define NS_PER_MIN        (60 * NS_PER_S)
#define GROUPING_NS       (2 * NS_PER_MIN)
#define GROUPING_MANY_NS  (5 * NS_PER_MIN) /* for paths that may fail together */
#define UNOBSERVED_NS     (120 * NS_PER_MIN)
#define ACK_EXPIRES_NS    (1440 * NS_PER_MIN)
#define FLAP_HALF_LIFE_NS (60.0 * NS_PER_MIN)
#define FLAP_HIGH         6.0
#define FLAP_LOW          2.0
#define MANY_MEMBERS      10
#define LONG_MINUTES      480

static enum event_severity severity_by_value(const struct entity_incident *e)
{
    double factor;

    switch (e->fault) {
    case FAULT_LOSS:
        return e->value >= 0.2 ? EVENT_critical : e->value >= 0.05 ? EVENT_major : EVENT_minor;
    case FAULT_CONNECT:
        return e->value >= 0.9 ? EVENT_critical : e->value >= 0.5 ? EVENT_major : EVENT_minor;
    case FAULT_LATENCY:
        factor = e->baseline > 0 ? e->value / e->baseline : 0;
        return factor >= 10 ? EVENT_major : EVENT_minor;
    case FAULT_LOAD:
    case FAULT_CLASS_COUNT:
        break;
    }
    return EVENT_minor;
}

/*
 * How bad it is by value, one step more for each of: ten paths at once, eight hours of bad minutes; one step less when
 * hardly anybody was there to notice (less than one new flow in two bad minutes, where flows are counted).
 */
enum event_severity incident_severity(const struct entity_incident *e)
{
    int severity = (int)severity_by_value(e);

    if (e->fault == FAULT_LOAD)
        return EVENT_minor;
    severity += e->members >= MANY_MEMBERS;
    severity += e->bad_minutes >= LONG_MINUTES;
    severity -= e->flows > 0 && 2 * e->flows < e->bad_minutes;
    return severity > EVENT_critical ? EVENT_critical : severity < EVENT_minor ? EVENT_minor : (unsigned)severity;
}

static void flap(struct entity_incident *e, uint64_t now_ns)
{
    double age = now_ns > e->flap_ns ? (double)(now_ns - e->flap_ns) : 0;

    e->flap = e->flap * exp2(-age / FLAP_HALF_LIFE_NS) + 1;
    e->flap_ns = now_ns;
    e->transitions++;
    if (e->flap >= FLAP_HIGH)
        e->flapping = 1;
}

void incident_describe(struct entity_incident *e, struct control_object *o, enum metric metric)
{
    e->scope = o->scope;
    snprintf(e->object, sizeof(e->object), "%s", o->name);
    e->direction = metric_info[metric].direction;
    e->fault = metric_info[metric].fault;
    snprintf(e->fingerprint, sizeof(e->fingerprint), "%s", line_fingerprint(o, metric));
}

/* The first open incident on the same object, to which a later one belongs. */
static struct incident *find_parent(struct control *c, const struct control_object *o, const struct incident *self)
{
    for (size_t k = 0; k < c->incidents.n; k++) {
        struct incident *i = c->incidents.item[k];
        if (i != self && i->object == o && i->e.parent[0] == '\0' && i->e.state < INCIDENT_CLEARED)
            return i;
    }
    return NULL;
}

struct incident *incident_by_id(struct control *c, const char *id)
{
    for (size_t k = 0; id[0] != '\0' && k < c->incidents.n; k++) {
        if (strcmp(c->incidents.item[k]->e.id, id) == 0)
            return c->incidents.item[k];
    }
    return NULL;
}

static uint32_t saturate32(uint64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static struct occurrence *occurrence_of(struct incident *i)
{
    struct history *h = &i->object->line[i->metric].history;

    for (uint32_t k = h->n; k > 0 && h->item[k - 1].onset_ns >= i->e.onset_ns; k--) {
        if (!(h->item[k - 1].flags & OCCURRENCE_AGAIN) && h->item[k - 1].onset_ns == i->e.onset_ns)
            return &h->item[k - 1];
    }
    return NULL;
}

/* Copies what is known about the incident to its line in the history. */
static void update_history(struct incident *i)
{
    struct occurrence *o = occurrence_of(i);

    if (o == NULL)
        return;
    o->end_ns = i->e.end_ns;
    o->exposure_n = i->e.exposure_n;
    o->lost_upstream_pkts = saturate32(i->e.lost_upstream_pkts);
    o->lost_downstream_pkts = saturate32(i->e.lost_downstream_pkts);
    o->lost_unknown_pkts = saturate32(i->e.lost_unknown_pkts);
    o->bad_minutes = saturate32(i->e.bad_minutes);
    o->value = (float)i->e.value;
    o->peak = (float)i->e.peak;
    o->baseline = (float)i->e.baseline;
    o->severity = (uint8_t)i->e.severity;
    i->object->line[i->metric].history_dirty = true;
}

void incident_evidence(struct control *c, struct incident *i, const struct detection *d, const struct observation *o,
                       uint64_t end_ns, uint32_t minutes)
{
    struct entity_incident *e = &i->e;
    struct incident *parent = incident_by_id(c, e->parent);
    int dir = e->direction == DIRECTION_B2A;

    e->bad_minutes += minutes;
    e->flows += o->new_flows;
    e->bytes += o->dir[0].bytes + o->dir[1].bytes;
    if (e->fault == FAULT_LOSS) {
        e->lost_upstream_pkts += o->dir[dir].lost_upstream_pkts;
        e->lost_downstream_pkts += o->dir[dir].lost_downstream_pkts;
        e->lost_unknown_pkts += o->dir[dir].lost_unknown_pkts;
    }
    if (e->fault == FAULT_LOSS || e->fault == FAULT_CONNECT) /* the share over all bad minutes */
        e->value = (e->value * (double)e->exposure_n + d->value * (double)d->n) / (double)(e->exposure_n + d->n);
    else if (e->fault == FAULT_LATENCY || e->exposure_n == 0)
        e->value = fmax(e->value, d->value);
    e->peak = fmax(e->peak, d->value);
    e->exposure_n += d->n;
    e->end_ns = end_ns;
    enum event_severity severity = incident_severity(e);
    if (severity > e->severity) {
        e->severity = severity;
        if (e->state == INCIDENT_ACKED)
            e->state = INCIDENT_OPEN;
    }
    if (parent != NULL && parent->e.cause[0] != '\0') {
        parent->e.flows += o->new_flows;
        parent->e.bytes += o->dir[0].bytes + o->dir[1].bytes;
        if (e->fault == FAULT_LOSS && parent->e.fault == FAULT_LOSS) {
            parent->e.lost_upstream_pkts += o->dir[dir].lost_upstream_pkts;
            parent->e.lost_downstream_pkts += o->dir[dir].lost_downstream_pkts;
            parent->e.lost_unknown_pkts += o->dir[dir].lost_unknown_pkts;
        }
        cause_evidence(parent, e, d->n, d->value, end_ns);
    }
    i->dirty = true;
}

/* A moment in the history, for patterns; the sums stay with the first occurrence. */
static void note_again(struct control *c, struct incident *i)
{
    struct fault_line *line = &i->object->line[i->metric];
    const struct occurrence *first = occurrence_of(i);
    struct occurrence o = {.onset_ns = i->e.episode_ns,
                           .end_ns = i->e.episode_ns,
                           .incident = first != NULL ? first->incident : 0,
                           .flags = OCCURRENCE_AGAIN | (first != NULL ? first->flags : 0)};

    if (history_add(&line->history, &o) != 0)
        c->failed = true;
    line->history_dirty = true;
}

static bool still_acked(const struct entity_incident *e, uint64_t now_ns)
{
    return e->acked_ns != 0 && now_ns < e->acked_ns + ACK_EXPIRES_NS;
}

void incident_reopen(struct control *c, struct incident *i, uint64_t now_ns)
{
    struct incident *parent = incident_by_id(c, i->e.parent);

    i->e.state = still_acked(&i->e, now_ns) ? INCIDENT_ACKED : INCIDENT_OPEN;
    i->e.cleared_ns = 0;
    i->e.suppressed[0] = '\0';
    flap(&i->e, now_ns);
    i->dirty = true;
    if (parent != NULL && parent->e.cause[0] != '\0' && parent->e.state == INCIDENT_CLEARED)
        incident_reopen(c, parent, now_ns);
    ticket_sync_incident(c, i, now_ns);
}

struct incident *incident_new(struct control *c, struct control_object *o, uint8_t metric)
{
    struct incident *i = calloc(1, sizeof(*i));

    if (i == NULL || VECTOR_PUSH(c->incidents, i) != 0) {
        free(i);
        c->failed = true;
        return NULL;
    }
    i->object = o;
    i->metric = metric;
    incident_describe(&i->e, o, metric);
    snprintf(i->e.id, sizeof(i->e.id), "INC-%llu", (unsigned long long)++c->meta.incident_seq);
    i->e.severity = EVENT_minor;
    i->dirty = true;
    o->line[metric].active = i;
    return i;
}

static struct incident *create(struct control *c, const struct change *change, uint64_t end_ns)
{
    struct control_object *o = change->object;
    struct incident *i = incident_new(c, o, change->metric);
    const struct series_state *s = &o->line[change->metric].series->s;

    if (i == NULL)
        return NULL;
    i->e.onset_ns = i->e.episode_ns = s->onset_minute * NS_PER_MIN;
    i->e.detected_ns = end_ns;
    i->e.baseline = change->d.expected;
    i->e.level = o->line[change->metric].series->view.level;
    flap(&i->e, end_ns);
    snprintf(i->e.owner, sizeof(i->e.owner), "%s", control_owner(c, o, end_ns));
    return i;
}

static void add_to_history(struct control *c, struct incident *i)
{
    struct fault_line *line = &i->object->line[i->metric];
    struct occurrence o = {.onset_ns = i->e.onset_ns,
                           .end_ns = i->e.onset_ns,
                           .incident = (uint32_t)strtoul(i->e.id + strlen("INC-"), NULL, 10)};

    if (history_add(&line->history, &o) != 0)
        c->failed = true;
    update_history(i);
}

static void tell_problem(struct control *c, struct incident *i)
{
    struct problem *p = problem_of(c, i->e.fingerprint, i->e.onset_ns);
    if (p != NULL)
        problem_occurred(c, p, i);
}

void incident_enter(struct control *c, const struct change *change, uint64_t end_ns)
{
    struct fault_line *line = &change->object->line[change->metric];
    /* The minutes that made it certain; of longer windows the mask holds a part. */
    uint32_t seen = (uint32_t)__builtin_popcount(line->series->s.out_mask);
    uint32_t bad =
        seen < change->minutes ? change->minutes : (seen + change->minutes - 1) / change->minutes * change->minutes;
    struct incident *i = line->active;

    if (i != NULL) {
        i->e.episode_ns = line->series->s.onset_minute * NS_PER_MIN;
        incident_evidence(c, i, &change->d, &change->object->obs, end_ns, bad);
        note_again(c, i);
        incident_reopen(c, i, end_ns);
        return;
    }
    i = create(c, change, end_ns);
    if (i == NULL)
        return;
    incident_evidence(c, i, &change->d, &change->object->obs, end_ns, bad);
    struct incident *parent = find_parent(c, change->object, i);
    if (parent != NULL)
        snprintf(i->e.parent, sizeof(i->e.parent), "%s", parent->e.id);
    add_to_history(c, i);
    if (parent == NULL && cause_join(c, i, end_ns) != NULL)
        return;
    tell_problem(c, i);
    if (parent == NULL)
        change_suspects(c, i, end_ns);
}

void incident_occurred(struct control *c, struct incident *i, uint64_t now_ns)
{
    add_to_history(c, i);
    tell_problem(c, i);
    change_suspects(c, i, now_ns);
}

void incident_clear(struct control *c, struct incident *i, uint64_t end_ns, uint64_t now_ns)
{
    (void)c;
    i->e.end_ns = end_ns;
    i->e.state = INCIDENT_CLEARED;
    i->e.cleared_ns = now_ns;
    flap(&i->e, now_ns);
    i->dirty = true;
    update_history(i);
}

void incident_leave(struct control *c, struct incident *i, uint64_t end_ns)
{
    const struct series *x = i->object->line[i->metric].series;

    incident_clear(c, i, x->s.bad_end_minute * NS_PER_MIN, end_ns);
}

static void close_incident(struct control *c, struct incident *i, uint64_t end_ns)
{
    i->e.state = INCIDENT_CLOSED;
    i->e.closed_ns = end_ns;
    i->e.flapping = 0; /* it is over; transitions tell the story */
    i->dirty = true;
    i->object->line[i->metric].active = NULL;
    for (size_t k = 0; k < c->incidents.n; k++) { /* a member that goes on stands for itself */
        struct incident *m = c->incidents.item[k];
        if (strcmp(m->e.parent, i->e.id) == 0 && m->e.state < INCIDENT_CLEARED) {
            m->e.parent[0] = '\0';
            m->dirty = true;
        }
    }
    ticket_sync_incident(c, i, end_ns);
}

/* A parent is as severe as its worst member. */
static void raise_parent(struct control *c, const struct incident *member)
{
    for (size_t k = 0; k < c->incidents.n; k++) {
        struct incident *i = c->incidents.item[k];
        if (strcmp(i->e.id, member->e.parent) == 0 && i->e.severity < member->e.severity) {
            i->e.severity = member->e.severity;
            i->dirty = true;
        }
    }
}

/* Silence and maintenance keep an incident from being told; when they are over it is judged anew. */
static void suppress(struct control *c, struct incident *i, uint64_t end_ns)
{
    const struct entity_register *silence = NULL;
    char reason[sizeof(i->e.suppressed)] = "";

    if (i->e.state >= INCIDENT_CLEARED)
        return;
    if (c->registers[REGISTER_SILENCE].n > 0)
        silence = register_find(c, REGISTER_SILENCE, i->object, end_ns);
    if (silence != NULL)
        snprintf(reason, sizeof(reason), "silence %s", silence->id);
    else if (i->object->in_maintenance)
        snprintf(reason, sizeof(reason), "maintenance");
    if (strcmp(reason, i->e.suppressed) != 0) {
        snprintf(i->e.suppressed, sizeof(i->e.suppressed), "%s", reason);
        i->dirty = true;
    }
}

/* The grouping time is over: what it belongs to is known, or it stands for itself. */
static void open_incident(struct control *c, struct incident *i, uint64_t end_ns)
{
    i->e.state = INCIDENT_OPEN;
    i->dirty = true;
    struct incident *parent = incident_by_id(c, i->e.parent);
    if (parent == NULL || parent->e.cause[0] == '\0')
        cause_find(c, i, end_ns);
}

static void tick_one(struct control *c, struct incident *i, uint64_t end_ns)
{
    struct series *x = i->object->line[i->metric].series;
    struct entity_incident *e = &i->e;
    uint64_t wait_ns = cause_may(c, i->object) ? GROUPING_MANY_NS : GROUPING_NS;

    if (e->cause[0] != '\0')
        cause_tick(c, i, end_ns);
    else if (x != NULL && e->state < INCIDENT_CLEARED && end_ns > x->s.last_minute * NS_PER_MIN + UNOBSERVED_NS &&
             series_abandon(x)) {
        incident_leave(c, i, end_ns);
        snprintf(e->suppressed, sizeof(e->suppressed), "not observed any more");
    }
    if (e->flapping && e->flap * exp2(-(double)(end_ns - e->flap_ns) / FLAP_HALF_LIFE_NS) < FLAP_LOW) {
        e->flapping = 0;
        i->dirty = true;
    }
    suppress(c, i, end_ns);
    if (e->state == INCIDENT_ACKED && !still_acked(e, end_ns)) {
        e->state = INCIDENT_OPEN; /* somebody said that he works on it, a day ago */
        i->dirty = true;
        ticket_sync_incident(c, i, end_ns);
    }
    if (e->state == INCIDENT_PENDING && end_ns >= e->detected_ns + wait_ns)
        open_incident(c, i, end_ns);
    if (e->parent[0] != '\0' && i->dirty)
        raise_parent(c, i);
    if (e->state == INCIDENT_CLEARED && end_ns >= e->cleared_ns + c->options.reopen_window_ns)
        close_incident(c, i, end_ns);
    else if ((e->state == INCIDENT_OPEN || e->state == INCIDENT_CLEARED) && e->ticket[0] == '\0')
        ticket_sync_incident(c, i, end_ns); /* files when it is severe enough */
}

void incident_tick(struct control *c, uint64_t end_ns)
{
    size_t kept = 0;

    for (size_t k = 0; k < c->incidents.n; k++)
        tick_one(c, c->incidents.item[k], end_ns);
    for (size_t k = 0; k < c->incidents.n; k++) {
        struct incident *i = c->incidents.item[k];
        if (i->e.state != INCIDENT_CLOSED)
            c->incidents.item[kept++] = i;
        else if (VECTOR_PUSH(c->ended, i) != 0) {
            free(i);
            c->failed = true;
        }
    }
    c->incidents.n = kept;
}
