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
 * What is not observed for two hours is neither bad nor good: its incident is cleared with that reason.
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
#define UNOBSERVED_NS     (120 * NS_PER_MIN)
#define FLAP_HALF_LIFE_NS (60.0 * NS_PER_MIN)
#define FLAP_HIGH         6.0
#define FLAP_LOW          2.0

static enum event_severity severity_of(const struct entity_incident *e)
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

static uint32_t saturate32(uint64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static struct occurrence *occurrence_of(struct incident *i)
{
    struct history *h = &i->object->line[i->metric].history;

    return h->n > 0 ? &h->item[h->n - 1] : NULL;
}

/* Copies what is known about the incident to its line in the history. */
static void update_history(struct incident *i)
{
    struct occurrence *o = occurrence_of(i);

    if (o == NULL || o->onset_ns != i->e.onset_ns)
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

void incident_evidence(struct incident *i, const struct detection *d, const struct observation *o, uint64_t end_ns,
                       uint32_t minutes)
{
    struct entity_incident *e = &i->e;
    int dir = e->direction == DIRECTION_B2A;

    e->bad_minutes += minutes;
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
    enum event_severity severity = severity_of(e);
    if (severity > e->severity) {
        e->severity = severity;
        if (e->state == INCIDENT_ACKED)
            e->state = INCIDENT_OPEN;
    }
    i->dirty = true;
}

static void reopen(struct control *c, struct incident *i, uint64_t now_ns)
{
    i->e.state = i->e.acked_ns != 0 ? INCIDENT_ACKED : INCIDENT_OPEN;
    i->e.cleared_ns = 0;
    i->e.suppressed[0] = '\0';
    flap(&i->e, now_ns);
    i->dirty = true;
    ticket_sync_incident(c, i, now_ns);
}

static struct incident *create(struct control *c, const struct change *change, uint64_t end_ns)
{
    struct control_object *o = change->object;
    struct incident *i = calloc(1, sizeof(*i));
    const struct series_state *s = &o->line[change->metric].series->s;

    if (i == NULL || VECTOR_PUSH(c->incidents, i) != 0) {
        free(i);
        c->failed = true;
        return NULL;
    }
    i->object = o;
    i->metric = change->metric;
    incident_describe(&i->e, o, change->metric);
    snprintf(i->e.id, sizeof(i->e.id), "INC-%llu", (unsigned long long)++c->meta.incident_seq);
    i->e.severity = EVENT_minor;
    i->e.onset_ns = s->onset_minute * NS_PER_MIN;
    i->e.detected_ns = end_ns;
    i->e.baseline = change->d.expected;
    i->e.level = o->line[change->metric].series->view.level;
    flap(&i->e, end_ns);
    const char *owner = c->options.owner != NULL ? c->options.owner(c->options.owner_ctx, o->name) : "";
    snprintf(i->e.owner, sizeof(i->e.owner), "%s", owner);
    struct incident *parent = find_parent(c, o, i);
    if (parent != NULL)
        snprintf(i->e.parent, sizeof(i->e.parent), "%s", parent->e.id);
    return i;
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
        incident_evidence(i, &change->d, &change->object->obs, end_ns, bad);
        reopen(c, i, end_ns);
        return;
    }
    i = create(c, change, end_ns);
    if (i == NULL)
        return;
    line->active = i;
    incident_evidence(i, &change->d, &change->object->obs, end_ns, bad);
    struct occurrence o = {.onset_ns = i->e.onset_ns, .incident = (uint32_t)c->meta.incident_seq};
    if (history_add(&line->history, &o) != 0)
        c->failed = true;
    update_history(i);
    struct problem *p = problem_of(c, i->e.fingerprint, i->e.onset_ns);
    if (p != NULL)
        problem_occurred(c, p, i);
}

void incident_leave(struct control *c, struct incident *i, uint64_t end_ns)
{
    const struct series *x = i->object->line[i->metric].series;

    (void)c;
    i->e.end_ns = x->s.bad_end_minute * NS_PER_MIN;
    i->e.state = INCIDENT_CLEARED;
    i->e.cleared_ns = end_ns;
    flap(&i->e, end_ns);
    i->dirty = true;
    update_history(i);
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

static void tick_one(struct control *c, struct incident *i, uint64_t end_ns)
{
    struct series *x = i->object->line[i->metric].series;
    struct entity_incident *e = &i->e;

    if (e->state < INCIDENT_CLEARED && end_ns > x->s.last_minute * NS_PER_MIN + UNOBSERVED_NS && series_abandon(x)) {
        incident_leave(c, i, end_ns);
        snprintf(e->suppressed, sizeof(e->suppressed), "not observed any more");
    }
    if (e->flapping && e->flap * exp2(-(double)(end_ns - e->flap_ns) / FLAP_HALF_LIFE_NS) < FLAP_LOW) {
        e->flapping = 0;
        i->dirty = true;
    }
    if (e->state == INCIDENT_PENDING && end_ns >= e->detected_ns + GROUPING_NS) {
        e->state = INCIDENT_OPEN;
        i->dirty = true;
    }
    if (e->parent[0] != '\0' && i->dirty)
        raise_parent(c, i);
    if (e->state == INCIDENT_CLEARED && end_ns >= e->cleared_ns + c->options.reopen_window_ns)
        close_incident(c, i, end_ns);
    else if ((e->state == INCIDENT_OPEN || e->state == INCIDENT_CLEARED) && e->ticket[0] == '\0')
        ticket_sync_incident(c, i, end_ns); /* files when it is severe enough */
}

void incident_tick(struct control *c, uint64_t end_ns)
{
    for (size_t k = 0; k < c->incidents.n; k++) {
        if (c->incidents.item[k]->e.state != INCIDENT_CLOSED)
            tick_one(c, c->incidents.item[k], end_ns);
    }
}
