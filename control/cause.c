/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Cause before symptom: when most of the paths behind a circuit or device (or of a site) fail together, there is one
 * incident, on the circuit, and the paths' incidents are its members. It needs no sign of the circuit itself: the tap
 * may see only the paths.
 *
 * An incident waits in PENDING for the grouping time. When that is over, each circuit and site that its path belongs to
 * is asked how many of its observed paths began to fail within ten minutes of it. A cause must explain at least
 * half of its paths and three of them (two when it has no more), and chance must not: with q, the share of other
 * paths that failed in the same minutes, P(Binomial(paths, q) >= failing) < 0.001. Of several the best is the one with
 * most failing less silent paths, so that neither a line inside a failing one nor the whole company around it is named.
 * While such an incident is not closed, later faults of its paths join it at once when they are of its kind.
 *
 * Sites come from the names of paths; circuits and devices from the register and the configuration.
 */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/internal.h"
#include "control/stats.h"

#define NS_PER_MIN    (60 * NS_PER_S)
#define TOGETHER_NS   (10 * NS_PER_MIN)
#define SEEN_NS       (15 * NS_PER_MIN)
#define LEAST_MEMBERS 3u
#define LEAST_SHARE   0.5
#define MOST_P        1e-3

void causes_free(struct control *c)
{
    for (size_t i = 0; i < c->objects.n; i++)
        c->objects.item[i]->n_causes = 0;
    for (size_t i = 0; i < c->causes.n; i++) {
        free(c->causes.item[i]->member);
        free(c->causes.item[i]);
    }
    free(c->causes.item);
    c->causes.item = NULL;
    c->causes.n = c->causes.room = 0;
}

static struct cause *add_cause(struct control *c, enum fault_scope scope, const char *name, size_t len)
{
    struct cause *x = calloc(1, sizeof(*x));

    if (x == NULL || VECTOR_PUSH(c->causes, x) != 0) {
        free(x);
        c->failed = true;
        return NULL;
    }
    x->scope = scope;
    snprintf(x->name, sizeof(x->name), "%.*s", (int)len, name);
    return x;
}

static void add_member(struct control *c, struct cause *x, struct control_object *o)
{
    if (vector_room((void ***)&x->member, x->n, &x->room) != 0 ||
        vector_room((void ***)&o->causes, o->n_causes, &o->room_causes) != 0) {
        c->failed = true;
        return;
    }
    if (o->n_causes > 0 && o->causes[o->n_causes - 1] == x)
        return; /* both ends of a path are in one site */
    x->member[x->n++] = o;
    o->causes[o->n_causes++] = x;
}

/* A circuit of the configuration; one of the register with the same name has its paths, too. */
static void add_configured(struct control *c, const char *name, const char *objects)
{
    struct cause *x = NULL;

    for (size_t i = 0; i < c->causes.n && x == NULL; i++) {
        if (strcmp(c->causes.item[i]->name, name) == 0)
            x = c->causes.item[i];
    }
    x = x != NULL ? x : add_cause(c, SCOPE_CIRCUIT, name, strlen(name));
    for (size_t i = 0; x != NULL && i < c->objects.n; i++) {
        struct control_object *o = c->objects.item[i];
        bool known = o->scope != SCOPE_PATH || !patterns_name(objects, o->name);
        for (size_t k = 0; !known && k < o->n_causes; k++)
            known = o->causes[k] == x;
        if (!known)
            add_member(c, x, o);
    }
}

static void add_registered(struct control *c, struct register_row *r)
{
    size_t n;
    const uint32_t *named = register_named(c, r, &n);
    struct cause *x = add_cause(c, SCOPE_CIRCUIT, r->e.title, strlen(r->e.title));

    for (size_t i = 0; x != NULL && i < n; i++) {
        if (c->objects.item[named[i]]->scope == SCOPE_PATH)
            add_member(c, x, c->objects.item[named[i]]);
    }
}

/* Sites by name: open addressing, places in control.causes plus one. */
struct sites {
    uint32_t *place;
    size_t size;
};

static void add_to_site(struct control *c, struct sites *t, struct control_object *o, const char *name, size_t len)
{
    uint64_t h = 0xcbf29ce484222325ull;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3ull;
    size_t at = mix64(h) & (t->size - 1);
    for (; t->place[at] != 0; at = (at + 1) & (t->size - 1)) {
        const struct cause *x = c->causes.item[t->place[at] - 1];
        if (strncmp(x->name, name, len) == 0 && x->name[len] == '\0')
            break;
    }
    struct cause *x = t->place[at] != 0 ? c->causes.item[t->place[at] - 1] : add_cause(c, SCOPE_SITE, name, len);
    if (x == NULL)
        return;
    t->place[at] = t->place[at] != 0 ? t->place[at] : (uint32_t)c->causes.n;
    add_member(c, x, o);
}

static void add_sites(struct control *c)
{
    struct sites t = {.size = 256};

    while (t.size < 4 * c->objects.n)
        t.size *= 2;
    t.place = calloc(t.size, sizeof(*t.place));
    if (t.place == NULL) {
        c->failed = true;
        return;
    }
    for (size_t i = 0; i < c->objects.n; i++) {
        struct control_object *o = c->objects.item[i];
        const char *tilde = o->scope == SCOPE_PATH ? strchr(o->name, '~') : NULL;
        if (tilde == NULL)
            continue;
        add_to_site(c, &t, o, o->name, (size_t)(tilde - o->name));
        add_to_site(c, &t, o, tilde + 1, strlen(tilde + 1));
    }
    free(t.place);
}

/* Circuits first, so that of equals the circuit is named. */
static void causes_update(struct control *c)
{
    if (c->causes_version == c->circuits_version + 1 && c->causes_paths == c->n_paths)
        return;
    causes_free(c);
    c->causes_version = c->circuits_version + 1;
    c->causes_paths = c->n_paths;
    for (size_t i = 0; i < c->registers[REGISTER_CIRCUIT].n; i++) {
        if (c->registers[REGISTER_CIRCUIT].item[i]->e.closed_ns == 0)
            add_registered(c, c->registers[REGISTER_CIRCUIT].item[i]);
    }
    for (size_t i = 0; i < c->options.n_circuits; i++)
        add_configured(c, c->options.circuits[i].name, c->options.circuits[i].objects);
    add_sites(c);
}

size_t causes_count(struct control *c)
{
    causes_update(c);
    return c->causes.n;
}

const struct cause *cause_of(struct control *c, const struct control_object *o)
{
    if (o->scope != SCOPE_CIRCUIT && o->scope != SCOPE_SITE)
        return NULL;
    causes_update(c);
    for (size_t i = 0; i < c->causes.n; i++) {
        if (c->causes.item[i]->scope == o->scope && strcmp(c->causes.item[i]->name, o->name) == 0)
            return c->causes.item[i];
    }
    return NULL;
}

bool cause_may(struct control *c, const struct control_object *o)
{
    if (o->scope != SCOPE_PATH)
        return false;
    causes_update(c);
    for (size_t i = 0; i < o->n_causes; i++) {
        if (o->causes[i]->n >= 2)
            return true;
    }
    return false;
}

/* Whether a fault began on the object within minutes of onset_ns and still goes on (or has just ended). */
static bool failed_with(const struct control_object *o, uint64_t onset_ns)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        const struct incident *i = o->line[m].active;
        if (i == NULL)
            continue;
        uint64_t began_ns = i->e.episode_ns;
        uint64_t apart_ns = began_ns > onset_ns ? began_ns - onset_ns : onset_ns - began_ns;
        if (apart_ns <= TOGETHER_NS)
            return true;
    }
    return false;
}

struct evidence {
    size_t seen, failing;
};

/* A path that had too few packets or connections to show this fault says nothing about it. */
static bool could_show(const struct control *c, const struct control_object *o, enum metric m, uint64_t now_ns)
{
    return o->seen_ns + SEEN_NS >= now_ns && metric_observed(m, &c->options.detect, &o->obs);
}

static struct evidence count_members(const struct control *c, const struct cause *x, const struct incident *first,
                                     uint64_t now_ns)
{
    struct evidence v = {0};

    for (size_t i = 0; i < x->n; i++) {
        bool failing = failed_with(x->member[i], first->e.episode_ns);
        v.failing += failing;
        v.seen += failing || could_show(c, x->member[i], first->metric, now_ns);
    }
    return v;
}

/* Paths outside of a cause: how usual is it to fail in these minutes? */
static double share_outside(const struct control *c, struct evidence inside, const struct incident *first,
                            uint64_t now_ns)
{
    size_t failing = 0, seen = 0;

    for (size_t i = 0; i < c->objects.n; i++) {
        const struct control_object *o = c->objects.item[i];
        if (o->scope != SCOPE_PATH)
            continue;
        bool fails = failed_with(o, first->e.episode_ns);
        failing += fails;
        seen += fails || could_show(c, o, first->metric, now_ns);
    }
    double others = (double)(seen - inside.seen);
    return ((double)(failing - inside.failing) + 0.5) / (others + 2);
}

static bool explains(const struct control *c, const struct cause *x, struct evidence v, const struct incident *first,
                     uint64_t now_ns)
{
    bool small = x->scope == SCOPE_CIRCUIT && v.failing == 2 && v.seen == 2;

    if ((v.failing < LEAST_MEMBERS && !small) || (double)v.failing < LEAST_SHARE * (double)v.seen)
        return false;
    return binomial_tail(v.seen, share_outside(c, v, first, now_ns), v.failing) < MOST_P;
}

static const struct cause *best_cause(struct control *c, const struct incident *i, uint64_t now_ns)
{
    const struct cause *best = NULL;
    long best_score = 0;

    causes_update(c);
    for (size_t k = 0; k < i->object->n_causes; k++) {
        const struct cause *x = i->object->causes[k];
        if (x->n < 2)
            continue;
        struct evidence v = count_members(c, x, i, now_ns);
        long score = 2 * (long)v.failing - (long)v.seen;
        if ((best == NULL || score > best_score) && explains(c, x, v, i, now_ns)) {
            best = x;
            best_score = score;
        }
    }
    return best;
}

/* --- the incident on the cause --- */

static struct incident *new_incident(struct control *c, const struct cause *x, const struct incident *first,
                                     uint64_t now_ns)
{
    struct control_object *o = control_object_raw(c, x->scope, x->name);
    struct incident *i = o != NULL ? incident_new(c, o, first->metric) : NULL;

    if (i == NULL)
        return NULL;
    i->e.state = INCIDENT_OPEN;
    i->e.detected_ns = now_ns;
    i->e.onset_ns = i->e.episode_ns = first->e.episode_ns;
    i->e.end_ns = first->e.end_ns;
    i->e.baseline = first->e.baseline;
    i->e.level = first->e.level;
    snprintf(i->e.cause, sizeof(i->e.cause), "%s %.150s", x->scope == SCOPE_CIRCUIT ? "circuit" : "site", x->name);
    snprintf(i->e.owner, sizeof(i->e.owner), "%s", control_owner(c, o, now_ns));
    return i;
}

/* A member keeps its numbers; it no longer speaks, nor counts as a recurrence of its own. */
static void adopt(struct control *c, struct incident *parent, struct incident *i, uint64_t now_ns)
{
    struct history *h = &i->object->line[i->metric].history;

    snprintf(i->e.parent, sizeof(i->e.parent), "%s", parent->e.id);
    i->dirty = true;
    parent->e.members++;
    parent->e.flows += i->e.flows;
    parent->e.bytes += i->e.bytes;
    if (i->e.fault == parent->e.fault) {
        parent->e.lost_upstream_pkts += i->e.lost_upstream_pkts;
        parent->e.lost_downstream_pkts += i->e.lost_downstream_pkts;
        parent->e.lost_unknown_pkts += i->e.lost_unknown_pkts;
    }
    cause_evidence(parent, &i->e, i->e.exposure_n, i->e.value, i->e.end_ns);
    for (uint32_t k = h->n; k > 0 && h->item[k - 1].onset_ns >= i->e.onset_ns; k--)
        h->item[k - 1].flags |= OCCURRENCE_EXPLAINED;
    i->object->line[i->metric].history_dirty = true;
    if (i->e.ticket[0] != '\0' && i->e.problem[0] == '\0')
        ticket_hand_over(c, i, parent, now_ns);
}

static void adopt_all(struct control *c, struct incident *parent, const struct cause *x, uint64_t onset_ns,
                      uint64_t now_ns)
{
    for (size_t k = 0; k < x->n; k++) {
        for (enum metric m = 0; m < METRIC_COUNT; m++) {
            struct incident *i = x->member[k]->line[m].active;
            uint64_t apart_ns = i == NULL                    ? UINT64_MAX
                                : i->e.episode_ns > onset_ns ? i->e.episode_ns - onset_ns
                                                             : onset_ns - i->e.episode_ns;
            if (apart_ns <= TOGETHER_NS && strcmp(i->e.parent, parent->e.id) != 0) {
                if (i->e.episode_ns < parent->e.onset_ns)
                    parent->e.onset_ns = parent->e.episode_ns = i->e.episode_ns;
                adopt(c, parent, i, now_ns);
            }
        }
    }
}

/*
 * Whether a fault that begins now may be another sign of what parent is about: it began with it, or is what two of its
 * members have. Else a path that fails on its own every hour would hold the circuit's incident open.
 */
static bool goes_with(const struct control *c, const struct incident *parent, const struct incident *i)
{
    uint64_t a = parent->e.episode_ns, b = i->e.episode_ns;
    unsigned alike = 0;

    if ((a > b ? a - b : b - a) <= TOGETHER_NS)
        return true;
    for (size_t k = 0; k < c->incidents.n && alike < 2; k++) {
        const struct incident *m = c->incidents.item[k];
        alike += m->metric == i->metric && strcmp(m->e.parent, parent->e.id) == 0;
    }
    return alike >= 2;
}

struct incident *cause_join(struct control *c, struct incident *i, uint64_t now_ns)
{
    if (i->object->scope != SCOPE_PATH)
        return NULL;
    causes_update(c);
    for (size_t k = 0; k < c->incidents.n; k++) {
        struct incident *parent = c->incidents.item[k];
        if (parent->e.cause[0] == '\0' || parent->e.state >= INCIDENT_CLOSED || !goes_with(c, parent, i))
            continue;
        for (size_t n = 0; n < i->object->n_causes; n++) {
            const struct cause *x = i->object->causes[n];
            if (x->scope == parent->object->scope && strcmp(x->name, parent->object->name) == 0) {
                adopt(c, parent, i, now_ns);
                return parent;
            }
        }
    }
    return NULL;
}

static struct incident *incident_of_cause(struct control *c, const struct cause *x)
{
    for (size_t k = 0; k < c->incidents.n; k++) {
        struct incident *i = c->incidents.item[k];
        if (i->e.cause[0] != '\0' && i->object->scope == x->scope && strcmp(i->object->name, x->name) == 0)
            return i;
    }
    return NULL;
}

struct incident *cause_find(struct control *c, struct incident *i, uint64_t now_ns)
{
    const struct cause *x = best_cause(c, i, now_ns);

    if (x == NULL)
        return NULL;
    struct incident *parent = incident_of_cause(c, x);
    if (parent != NULL) { /* its failure is known already: a cause has one incident at a time */
        adopt(c, parent, i, now_ns);
        return parent;
    }
    parent = new_incident(c, x, i, now_ns);
    if (parent == NULL)
        return NULL;
    adopt_all(c, parent, x, i->e.episode_ns, now_ns);
    incident_occurred(c, parent, now_ns);
    return parent;
}

/* --- following the members --- */

void cause_evidence(struct incident *parent, const struct entity_incident *m, uint64_t n, double value, uint64_t end_ns)
{
    struct entity_incident *e = &parent->e;

    if (m->fault == e->fault && n > 0) {
        e->value = (e->value * (double)e->exposure_n + value * (double)n) / (double)(e->exposure_n + n);
        e->peak = fmax(e->peak, value);
        e->exposure_n += n;
    }
    e->end_ns = end_ns > e->end_ns ? end_ns : e->end_ns;
    e->bad_minutes = m->bad_minutes > e->bad_minutes ? m->bad_minutes : e->bad_minutes;
    enum event_severity severity = incident_severity(e);
    severity = m->severity > severity ? m->severity : severity;
    if (severity > e->severity) {
        e->severity = severity;
        if (e->state == INCIDENT_ACKED)
            e->state = INCIDENT_OPEN;
    }
    parent->dirty = true;
}

void cause_tick(struct control *c, struct incident *i, uint64_t now_ns)
{
    size_t active = 0;

    for (size_t k = 0; k < c->incidents.n; k++) {
        const struct entity_incident *m = &c->incidents.item[k]->e;
        active += m->state < INCIDENT_CLEARED && strcmp(m->parent, i->e.id) == 0;
    }
    if (active == 0 && i->e.state < INCIDENT_CLEARED)
        incident_clear(c, i, i->e.end_ns, now_ns);
    else if (active > 0 && i->e.state == INCIDENT_CLEARED)
        incident_reopen(c, i, now_ns);
}
