/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The core's step: detect, then incidents, then problems, then tickets.
 *
 * A step costs O(objects that were seen): each present metric goes through its detector; only the few that begin or end
 * an anomaly go further. These changes are sorted by name before they are applied, because the ids that they draw must
 * not depend on the order in which a store or a sensor lists windows. On the first step of a local week the weekly
 * look at recurrence comes first, over complete days only.
 *
 * Restart: everything that a later step reads is either an entity, learned state, or derived from them (limits of the
 * hour). Tests replay in pieces and compare all bytes.
 */

#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/internal.h"

#define NS_PER_MIN (60 * NS_PER_S)

int vector_room(void ***item, size_t n, size_t *room)
{
    if (n < *room)
        return 0;
    size_t more = *room == 0 ? 16 : *room * 2;
    void **grown = realloc(*item, more * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    *item = grown;
    *room = more;
    return 0;
}

const char *control_verb_name(enum control_verb v)
{
#define X(symbol, name) name,
    static const char *const names[CONTROL_VERB_COUNT] = { CONTROL_VERBS(X) };
#undef X
    return names[v];
}

void hash_text(char ret[FINGERPRINT_BYTES], const char *text)
{
    unsigned char digest[32];
    unsigned len = 0;

    if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha256(), NULL) != 1 || len != sizeof(digest))
        abort(); /* libcrypto without SHA-256 cannot run this program */
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

int control_open(const struct control_options *options, struct store *store, struct control **ret, struct error *e)
{
    struct control *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return error_set(e, -ENOMEM, "no memory for control");
    c->options = *options;
    c->store = store;
    c->meta.version = ENTITY_VERSION;
    snprintf(c->zone, sizeof(c->zone), "%s", options->zone != NULL ? options->zone : "");
    snprintf(c->connector, sizeof(c->connector), "%s", options->connector != NULL ? options->connector : "");
    snprintf(c->meta.zone, sizeof(c->meta.zone), "%s", c->zone);
    for (; c->n_notify < CONTROL_NOTIFIERS && options->notify[c->n_notify] != NULL; c->n_notify++)
        snprintf(c->notify[c->n_notify], sizeof(c->notify[0]), "%s", options->notify[c->n_notify]);
    c->templates = options->templates;
    int rc = c->templates == NULL ? ticket_templates_load("", &c->own_templates, e) : 0;
    if (c->templates == NULL)
        c->templates = c->own_templates;
    rc = rc == 0 && store != NULL ? persist_load(c, e) : rc;
    if (rc != 0) {
        control_close(c);
        return rc;
    }
    if (c->meta.install[0] == '\0' && options->install != NULL) {
        snprintf(c->meta.install, sizeof(c->meta.install), "%s", options->install);
        c->meta.installed_wall_ns = options->now_wall_ns;
        c->meta_dirty = true;
    }
    *ret = c;
    return 0;
}

static void free_object(struct control_object *o)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (o->line[m].series != NULL)
            series_fini(o->line[m].series);
        free(o->line[m].series);
        history_fini(&o->line[m].history);
    }
    free(o->causes);
    free(o);
}

#define FREE_ALL(v)                                                                                                    \
    do {                                                                                                               \
        for (size_t i_ = 0; i_ < (v).n; i_++)                                                                          \
            free((v).item[i_]);                                                                                        \
        free((v).item);                                                                                                \
    } while (0)

void control_close(struct control *c)
{
    if (c == NULL)
        return;
    ticket_templates_free(c->own_templates);
    causes_free(c);
    for (size_t i = 0; i < c->objects.n; i++)
        free_object(c->objects.item[i]);
    free(c->objects.item);
    free(c->touched.item);
    free(c->table);
    free(c->changes);
    FREE_ALL(c->incidents);
    FREE_ALL(c->ended);
    FREE_ALL(c->problems);
    FREE_ALL(c->tickets);
    FREE_ALL(c->outbox);
    FREE_ALL(c->connectors);
    FREE_ALL(c->cursors);
    FREE_ALL(c->withdrawn);
    FREE_ALL(c->audits);
    for (size_t k = 0; k < REGISTER_COUNT; k++) {
        for (size_t i = 0; i < c->registers[k].n; i++)
            register_row_free(c->registers[k].item[i]);
        free(c->registers[k].item);
    }
    free(c);
}

uint64_t control_cursor_ns(const struct control *c)
{
    return c->meta.cursor_ns;
}

uint64_t control_installed_ns(const struct control *c)
{
    return c->meta.installed_wall_ns;
}

void control_set_dry_run(struct control *c, bool dry_run)
{
    c->options.dry_run = dry_run;
}

static size_t object_slot(const struct control *c, enum fault_scope scope, const char *name)
{
    uint64_t h = mix64((uint64_t)scope + 1);

    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3ull;
    size_t i = mix64(h) & (c->table_size - 1);
    while (c->table[i] != NULL && (c->table[i]->scope != scope || strcmp(c->table[i]->name, name) != 0))
        i = (i + 1) & (c->table_size - 1);
    return i;
}

static int grow_table(struct control *c)
{
    size_t size = c->table_size == 0 ? 256 : c->table_size * 2;
    struct control_object **table = calloc(size, sizeof(struct control_object *));

    if (table == NULL)
        return -ENOMEM;
    free(c->table);
    c->table = table;
    c->table_size = size;
    for (size_t i = 0; i < c->objects.n; i++)
        c->table[object_slot(c, c->objects.item[i]->scope, c->objects.item[i]->name)] = c->objects.item[i];
    return 0;
}

struct control_object *control_object(struct control *c, enum window_scope scope, const char *name)
{
    char clean[WINDOW_NAME_BYTES];

    text_escape(clean, sizeof(clean), name, strlen(name));
    return control_object_raw(c, (enum fault_scope)scope, clean);
}

struct control_object *control_object_raw(struct control *c, enum fault_scope scope, const char *clean)
{
    struct control_object *o;

    if (c->objects.n * 2 >= c->table_size && grow_table(c) != 0)
        return NULL;
    size_t slot = object_slot(c, scope, clean);
    if (c->table[slot] != NULL)
        return c->table[slot];
    o = aligned_alloc(_Alignof(struct control_object), sizeof(*o));
    if (o != NULL)
        memset(o, 0, sizeof(*o));
    if (o == NULL || VECTOR_PUSH(c->objects, o) != 0) {
        free(o);
        return NULL;
    }
    o->number = (uint32_t)(c->objects.n - 1);
    o->scope = scope;
    c->n_paths += scope == SCOPE_PATH;
    snprintf(o->name, sizeof(o->name), "%s", clean);
    c->table[slot] = o;
    return o;
}

struct series *control_series(struct control *c, struct control_object *o, enum metric metric)
{
    struct series **x = &o->line[metric].series;

    if (*x == NULL) {
        *x = series_new(metric);
        if (*x == NULL)
            c->failed = true;
    }
    return *x;
}

const struct series *control_exposure(struct control *c, const struct control_object *o, enum metric metric)
{
    if (o->line[metric].series != NULL)
        return o->line[metric].series;
    const struct cause *x = cause_of(c, o);
    for (size_t i = 0; x != NULL && i < x->n; i++) {
        if (x->member[i]->line[metric].series != NULL)
            return x->member[i]->line[metric].series;
    }
    return NULL;
}

const char *line_fingerprint(struct control_object *o, enum metric metric)
{
    char text[WINDOW_NAME_BYTES + 64];
    struct fault_line *line = &o->line[metric];

    if (line->fingerprint[0] == '\0') {
        snprintf(text, sizeof(text), "v1|%s|%s|%s|%s", fault_scope_name(o->scope), o->name,
                 fault_direction_name(metric_info[metric].direction), fault_class_name(metric_info[metric].fault));
        hash_text(line->fingerprint, text);
    }
    return line->fingerprint;
}

struct control_object *control_find_line(struct control *c, const char *fingerprint, enum metric *ret_metric)
{
    for (size_t i = 0; i < c->objects.n; i++) {
        for (enum metric m = 0; m < METRIC_COUNT; m++) {
            if (c->objects.item[i]->line[m].history.n > 0 &&
                strcmp(line_fingerprint(c->objects.item[i], m), fingerprint) == 0) {
                *ret_metric = m;
                return c->objects.item[i];
            }
        }
    }
    return NULL;
}

void control_observe(struct control *c, struct control_object *object, const struct observation *o)
{
    if (object->stamp == c->stamp + 1) {
        observation_merge(&object->obs, o);
        return;
    }
    if (VECTOR_PUSH(c->touched, object) != 0) {
        c->failed = true;
        return;
    }
    object->obs = *o;
    object->stamp = c->stamp + 1;
    if (o->quality == WINDOW_UNSURE) /* handshakes of which the mirror missed a half look unanswered */
        object->obs.connects = object->obs.failed_connects = 0;
}

static void note_change(struct control *c, struct control_object *o, enum metric m, uint32_t minutes,
                        const struct detection *d)
{
    if (c->n_changes == c->room_changes) {
        size_t room = c->room_changes == 0 ? 64 : c->room_changes * 2;
        struct change *grown = realloc(c->changes, room * sizeof(*grown));
        if (grown == NULL) {
            c->failed = true;
            return;
        }
        c->changes = grown;
        c->room_changes = room;
    }
    c->changes[c->n_changes++] =
        (struct change){.object = o, .metric = (uint8_t)m, .entered = d->entered, .minutes = minutes, .d = *d};
}

/* What a quiet minute touches. */
static void prefetch_object(const struct control_object *o)
{
    for (size_t at = 0; at < offsetof(struct quiet, code); at += 64)
        __builtin_prefetch((const char *)&o->quiet + at, 1);
    __builtin_prefetch(&o->quiet.code[o->quiet.windows % QUIET_WINDOWS], 1);
    for (size_t at = 0; at < sizeof(o->obs); at += 64)
        __builtin_prefetch((const char *)&o->obs + at, 1);
}

static void step_object(struct control *c, struct control_object *o, const struct local_time *t, uint64_t end_ns,
                        uint32_t minutes)
{
    struct quiet *q = &o->quiet;
    struct detection d;

    o->seen_ns = end_ns;
    if (o->in_maintenance)
        o->obs.quality = WINDOW_BLIND; /* what happens now is expected: neither learnt, nor exposure, nor a fault */
    unsigned taken = quiet_take(q, &c->options.detect, &o->obs, (uint32_t)(end_ns / NS_PER_MIN), minutes, t);
    if (taken == QUIET_ALL)
        return;
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        struct fault_line *line = &o->line[m];
        if (taken & 1u << m ||
            (line->series == NULL && (!metric_present(m, &o->obs) || control_series(c, o, m) == NULL)))
            continue;
        series_step(line->series, &c->options.detect, &o->obs, (uint32_t)(end_ns / NS_PER_MIN), minutes, t, &d);
        if (d.entered || d.left)
            note_change(c, o, m, minutes, &d);
        else if (d.verdict == VERDICT_OUT && line->active != NULL && line->series->s.state >= ANOMALY_ANOMALOUS)
            incident_evidence(c, line->active, &d, &o->obs, end_ns, minutes);
        quiet_join(q, line->series, minutes);
    }
}

static int compare_changes(const void *a, const void *b)
{
    const struct change *x = a;
    const struct change *y = b;

    if (x->object != y->object) {
        if (x->object->scope != y->object->scope)
            return x->object->scope < y->object->scope ? -1 : 1;
        return strcmp(x->object->name, y->object->name);
    }
    return (int)x->metric - (int)y->metric;
}

static void apply_changes(struct control *c, uint64_t end_ns)
{
    if (c->n_changes > 0) /* qsort of nothing at NULL is not defined */
        qsort(c->changes, c->n_changes, sizeof(*c->changes), compare_changes);
    for (size_t i = 0; i < c->n_changes; i++) {
        struct incident *active = c->changes[i].object->line[c->changes[i].metric].active;
        if (c->changes[i].entered)
            incident_enter(c, &c->changes[i], end_ns);
        else if (active != NULL)
            incident_leave(c, active, end_ns);
    }
    c->n_changes = 0;
}

static void look_when_due(struct control *c, const struct local_time *t, uint64_t now_ns)
{
    if (c->meta.look_week == (uint64_t)t->week)
        return;
    if (c->meta.look_week != 0)
        problem_weekly_look(c, now_ns);
    c->meta.look_week = (uint64_t)t->week;
}

bool control_step(struct control *c, uint64_t start_ns, uint64_t length_ns)
{
    struct local_time t;
    uint64_t end_ns = start_ns + length_ns;
    uint32_t minutes = (uint32_t)((length_ns + NS_PER_MIN - 1) / NS_PER_MIN);
    bool fresh = start_ns >= c->meta.cursor_ns;

    if (fresh) {
        local_from_ns(start_ns, &t);
        if (c->meta.first_ns == 0)
            c->meta.first_ns = start_ns;
        look_when_due(c, &t, start_ns);
        maintenance_update(c, start_ns);
        for (size_t i = 0; i < c->touched.n; i++) {
            if (i + 2 < c->touched.n)
                prefetch_object(c->touched.item[i + 2]);
            step_object(c, c->touched.item[i], &t, end_ns, minutes);
        }
        apply_changes(c, end_ns);
        incident_tick(c, end_ns);
        if (c->registers[REGISTER_SILENCE].n > 0 || end_ns % (60 * NS_PER_MIN) < length_ns)
            problem_tick(c, end_ns);
        c->meta.cursor_ns = end_ns;
        c->meta.steps++;
        c->meta_dirty = true;
    }
    c->touched.n = 0;
    c->stamp++;
    return fresh;
}

const struct entity_cursor *control_sensor_cursor(struct control *c, const char *sensor)
{
    for (size_t i = 0; i < c->cursors.n; i++) {
        if (strcmp(c->cursors.item[i]->e.sensor, sensor) == 0)
            return &c->cursors.item[i]->e;
    }
    return NULL;
}

int control_set_sensor_cursor(struct control *c, const struct entity_cursor *cursor)
{
    for (size_t i = 0; i < c->cursors.n; i++) {
        if (strcmp(c->cursors.item[i]->e.sensor, cursor->sensor) == 0) {
            c->cursors.item[i]->e = *cursor;
            c->cursors.item[i]->dirty = true;
            return 0;
        }
    }
    struct cursor *one = calloc(1, sizeof(*one));
    if (one == NULL || VECTOR_PUSH(c->cursors, one) != 0) {
        free(one);
        return -ENOMEM;
    }
    one->e = *cursor;
    one->dirty = true;
    return 0;
}

int control_commit(struct control *c, struct error *e)
{
    if (c->failed)
        return error_set(e, -ENOMEM, "a step ran out of memory; restart from the last commit");
    return persist_commit(c, e);
}

void control_totals(const struct control *c, struct control_totals *ret)
{
    *ret = (struct control_totals){.steps = c->meta.steps,
                                   .objects = c->objects.n,
                                   .incidents = c->meta.incident_seq,
                                   .problems = 0,
                                   .tickets = c->meta.ticket_seq};
    for (size_t i = 0; i < c->problems.n; i++)
        ret->problems += c->problems.item[i]->e.state != PROBLEM_CANDIDATE;
    for (size_t i = 0; i < c->outbox.n; i++)
        ret->outbox_pending +=
            c->outbox.item[i]->e.state == OUTBOX_ROW_PENDING || c->outbox.item[i]->e.state == OUTBOX_ROW_IN_DOUBT;
}
