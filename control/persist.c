/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * State to Redis and back. What is dirty goes into one batch, which is one MULTI; marks are cleared only when EXEC has
 * answered, so a commit that failed is simply repeated: all writes are absolute. Reading refuses state of another
 * version or time zone (its hours would mean something else) and says what to do, instead of guessing.
 *
 * Learned state is stored as the structs are in memory, little endian; every one begins with or has an exact size, and
 * is refused when that differs. A big-endian build refuses to compile.
 */

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/internal.h"

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "learned state is stored in little endian");

#define SENT_ROWS_KEPT 5000u /* done rows of the outbox that stay visible */

void series_name(char *ret, size_t size, const struct control_object *o, enum metric metric)
{
    snprintf(ret, size, "%s|%s|%s", fault_scope_name(o->scope), o->name, metric_info[metric].name);
}

/* Names are ours, yet Redis is not only ours: what does not parse is an error, never a guess. */
static struct control_object *parse_series_name(struct control *c, const char *name, enum metric *ret_metric)
{
    char object[WINDOW_NAME_BYTES];
    const char *first = strchr(name, '|');
    const char *last = strrchr(name, '|');

    if (first == NULL || last == first || (size_t)(last - first - 1) >= sizeof(object))
        return NULL;
    memcpy(object, first + 1, (size_t)(last - first - 1));
    object[last - first - 1] = '\0';
    for (enum fault_scope s = 0; s < SCOPE_COUNT; s++) {
        const char *scope = fault_scope_name(s);
        if (strlen(scope) != (size_t)(first - name) || strncmp(scope, name, strlen(scope)) != 0)
            continue;
        for (enum metric m = 0; m < METRIC_COUNT; m++) {
            if (strcmp(metric_info[m].name, last + 1) == 0) {
                *ret_metric = m;
                return control_object_raw(c, s, object);
            }
        }
    }
    return NULL;
}

struct loader {
    struct control *c;
    struct series *series;
    struct error *e;
};

static int load_series_state(void *ctx, const char *field, const void *data, size_t len)
{
    struct loader *l = ctx;
    enum metric m;
    struct control_object *o = parse_series_name(l->c, field, &m);
    struct series *x = o != NULL ? control_series(l->c, o, m) : NULL;

    if (x == NULL || len != sizeof(x->s))
        return error_set(l->e, -EBADMSG, "stored series '%.100s' does not decode", field);
    memcpy(&x->s, data, len);
    if (x->s.version != SERIES_VERSION || x->s.n_pending > BASELINE_HOURLY || x->s.hour > 23 ||
        x->s.state >= ANOMALY_STATE_COUNT)
        return error_set(l->e, -EBADMSG, "stored series '%.100s' is of another version or damaged", field);
    return 0;
}

static int load_part(void *ctx, const char *field, const void *data, size_t len)
{
    struct loader *l = ctx;
    struct series *x = l->series;

    if (strcmp(field, "x") == 0 && len == sizeof(x->exposure)) {
        memcpy(x->exposure, data, len);
        return 0;
    }
    unsigned group = field[0] >= '0' && field[0] <= '7' && field[1] == '\0' ? (unsigned)(field[0] - '0') : 8;
    if (group == 8 || len != baseline_group_bins(group) * sizeof(struct baseline_bin))
        return error_set(l->e, -EBADMSG, "stored baseline part '%.40s' does not decode", field);
    struct baseline_bin *bins = baseline_group(&x->baseline, group);
    if (bins == NULL)
        return error_set(l->e, -ENOMEM, "no memory for baselines");
    memcpy(bins, data, len);
    for (unsigned i = 0; metric_info[x->metric].kind != METRIC_SHARE && i < baseline_group_bins(group); i++) {
        if (bins[i].n_centroids > BASELINE_CENTROIDS)
            return error_set(l->e, -EBADMSG, "a stored baseline bin is damaged");
    }
    return 0;
}

static int load_history(void *ctx, const char *field, const void *data, size_t len)
{
    struct loader *l = ctx;
    enum metric m;
    struct control_object *o = parse_series_name(l->c, field, &m);

    if (o == NULL || len % sizeof(struct occurrence) != 0 || len / sizeof(struct occurrence) > HISTORY_MOST)
        return error_set(l->e, -EBADMSG, "stored history '%.100s' does not decode", field);
    for (size_t at = 0; at < len; at += sizeof(struct occurrence)) {
        struct occurrence one;
        memcpy(&one, (const char *)data + at, sizeof(one));
        if (one.severity >= EVENT_SEVERITY_COUNT || one.end_ns < one.onset_ns)
            return error_set(l->e, -EBADMSG, "stored history '%.100s' is damaged", field);
        if (history_add(&o->line[m].history, &one) != 0)
            return error_set(l->e, -ENOMEM, "no memory for history");
    }
    return 0;
}

static int load_incident(void *ctx, const void *entity)
{
    struct loader *l = ctx;
    const struct entity_incident *e = entity;

    if (e->state == INCIDENT_CLOSED)
        return 0;
    struct incident *i = calloc(1, sizeof(*i));
    if (i == NULL || VECTOR_PUSH(l->c->incidents, i) != 0) {
        free(i);
        return error_set(l->e, -ENOMEM, "no memory for incidents");
    }
    i->e = *e;
    i->object = control_object_raw(l->c, e->scope, e->object);
    for (enum metric m = 0; i->object != NULL && m < METRIC_COUNT; m++) {
        if (metric_info[m].fault == e->fault && metric_info[m].direction == e->direction &&
            (i->object->line[m].series != NULL || e->cause[0] != '\0')) {
            i->metric = (uint8_t)m;
            i->object->line[m].active = i;
            return 0;
        }
    }
    return error_set(l->e, -EBADMSG, "stored incident %s has no series", e->id);
}

/* A visitor that copies each entity into a list of the control. */
#define LOAD_INTO(fn, type, list)                                                                                      \
    static int fn(void *ctx, const void *entity)                                                                       \
    {                                                                                                                  \
        struct loader *l = ctx;                                                                                        \
        struct type *x = calloc(1, sizeof(*x));                                                                        \
        if (x == NULL || VECTOR_PUSH(l->c->list, x) != 0) {                                                            \
            free(x);                                                                                                   \
            return error_set(l->e, -ENOMEM, "no memory for stored state");                                             \
        }                                                                                                              \
        memcpy(&x->e, entity, sizeof(x->e));                                                                           \
        return 0;                                                                                                      \
    }
LOAD_INTO(load_problem, problem, problems)
LOAD_INTO(load_connector, connector_status, connectors)
LOAD_INTO(load_cursor, cursor, cursors)
LOAD_INTO(keep_ticket, ticket, tickets)
LOAD_INTO(keep_row, outbox_row, outbox)

#define X(symbol, name, prefix) LOAD_INTO(load_##symbol, register_row, registers[REGISTER_##symbol])
REGISTERS(X)
#undef X

static int load_row(void *ctx, const void *entity)
{
    const struct entity_outbox *e = entity;

    bool over = e->state == OUTBOX_ROW_SENT || e->state == OUTBOX_ROW_DRY_RUN || e->state == OUTBOX_ROW_DROPPED;
    return over ? 0 : keep_row(ctx, entity);
}

static int load_ticket(void *ctx, const void *entity)
{
    struct loader *l = ctx;
    const struct entity_ticket *e = entity;
    enum metric m;
    int rc = keep_ticket(ctx, entity);
    struct control_object *o = rc == 0 ? control_find_line(l->c, e->fingerprint, &m) : NULL;

    if (o != NULL)
        snprintf(o->line[m].ticket, sizeof(o->line[m].ticket), "%s", e->id);
    return rc;
}

static int load_all_bins(struct loader *l)
{
    char name[SERIES_NAME_BYTES];
    struct control *c = l->c;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->objects.n; i++) {
        for (enum metric m = 0; rc == 0 && m < METRIC_COUNT; m++) {
            l->series = c->objects.item[i]->line[m].series;
            if (l->series == NULL)
                continue;
            series_name(name, sizeof(name), c->objects.item[i], m);
            rc = learned_each(c->store, LEARNED_BINS, name, load_part, l, l->e);
            series_restore(l->series);
            l->series->dirty = 0;
        }
    }
    return rc;
}

/* A problem's ticket is also the ticket of its leading fingerprint, whoever opened it. */
static void link_problem_tickets(struct control *c)
{
    enum metric m;

    for (size_t i = 0; i < c->problems.n; i++) {
        const struct entity_problem *e = &c->problems.item[i]->e;
        struct control_object *o = e->ticket[0] != '\0' ? control_find_line(c, e->fingerprint, &m) : NULL;
        if (o != NULL)
            snprintf(o->line[m].ticket, sizeof(o->line[m].ticket), "%s", e->ticket);
    }
}

int persist_load(struct control *c, struct error *e)
{
    struct loader l = {.c = c, .e = e};
    struct entity_meta meta;
    struct store *s = c->store;
    int rc = entities_get(s, ENTITY_META, "", &meta, e);

    if (rc <= 0)
        return rc;
    if (meta.version != ENTITY_VERSION)
        return error_set(e, -EBADMSG, "control's state is of version %llu, this program needs %d",
                         (unsigned long long)meta.version, ENTITY_VERSION);
    if (strcmp(meta.zone, c->zone) != 0)
        return error_set(e, -EINVAL,
                         "control's state was learnt with time.zone '%s', now it is '%s': set it back, or "
                         "give control a new store",
                         meta.zone, c->zone);
    c->meta = meta;
    rc = learned_each(s, LEARNED_SERIES, "", load_series_state, &l, e);
    rc = rc == 0 ? learned_each(s, LEARNED_HISTORY, "", load_history, &l, e) : rc;
    rc = rc == 0 ? load_all_bins(&l) : rc;
    rc = rc == 0 ? entities_each(s, ENTITY_INCIDENT, load_incident, &l, e) : rc;
    rc = rc == 0 ? entities_each(s, ENTITY_PROBLEM, load_problem, &l, e) : rc;
    rc = rc == 0 ? entities_each(s, ENTITY_TICKET, load_ticket, &l, e) : rc;
    rc = rc == 0 ? entities_each(s, ENTITY_OUTBOX, load_row, &l, e) : rc;
    rc = rc == 0 ? entities_each(s, ENTITY_CONNECTOR, load_connector, &l, e) : rc;
    rc = rc == 0 ? entities_each(s, ENTITY_CURSOR, load_cursor, &l, e) : rc;
#define X(symbol, name, prefix) rc = rc == 0 ? entities_each(s, ENTITY_##symbol, load_##symbol, &l, e) : rc;
    REGISTERS(X)
#undef X
    if (rc == 0)
        link_problem_tickets(c);
    return rc;
}

static void put_series(struct entity_batch *b, const struct control_object *o, enum metric m, const struct series *x)
{
    char name[SERIES_NAME_BYTES];
    char field[2] = "0";

    series_name(name, sizeof(name), o, m);
    entity_batch_put_learned(b, LEARNED_SERIES, "", name, &x->s, sizeof(x->s));
    if (x->dirty & SERIES_DIRTY_EXPOSURE)
        entity_batch_put_learned(b, LEARNED_BINS, name, "x", x->exposure, sizeof(x->exposure));
    for (unsigned g = 0; g < BASELINE_GROUPS; g++) {
        if (!(x->dirty & SERIES_DIRTY_GROUP(g)) || x->baseline.group[g] == NULL)
            continue;
        field[0] = (char)('0' + g);
        entity_batch_put_learned(b, LEARNED_BINS, name, field, x->baseline.group[g],
                                 baseline_group_bins(g) * sizeof(struct baseline_bin));
    }
}

static void put_object(struct entity_batch *b, struct control_object *o)
{
    char name[SERIES_NAME_BYTES];

    quiet_settle(&o->quiet);
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        const struct fault_line *line = &o->line[m];
        if (line->series != NULL && line->series->dirty != 0)
            put_series(b, o, m, line->series);
        if (line->history_dirty) {
            series_name(name, sizeof(name), o, m);
            entity_batch_put_learned(b, LEARNED_HISTORY, "", name, line->history.item,
                                     line->history.n * sizeof(*line->history.item));
        }
    }
}

#define PUT_DIRTY(b, kind, list)                                                                                       \
    for (size_t i_ = 0; i_ < (list).n; i_++) {                                                                         \
        if ((list).item[i_]->dirty)                                                                                    \
            entity_batch_put(b, kind, &(list).item[i_]->e);                                                            \
    }

#define ROW_OVER(r)                                                                                                    \
    ((r)->e.state == OUTBOX_ROW_SENT || (r)->e.state == OUTBOX_ROW_DRY_RUN || (r)->e.state == OUTBOX_ROW_DROPPED)

static void put_all(struct control *c, struct entity_batch *b)
{
    char id[24];
    uint64_t oldest = UINT64_MAX; /* row of the outbox that is not over: long searches for those before it are spared */

    for (size_t i = 0; i < c->objects.n; i++)
        put_object(b, c->objects.item[i]);
    PUT_DIRTY(b, ENTITY_INCIDENT, c->incidents)
    PUT_DIRTY(b, ENTITY_INCIDENT, c->ended)
    PUT_DIRTY(b, ENTITY_PROBLEM, c->problems)
    PUT_DIRTY(b, ENTITY_TICKET, c->tickets)
    PUT_DIRTY(b, ENTITY_OUTBOX, c->outbox)
    PUT_DIRTY(b, ENTITY_CONNECTOR, c->connectors)
    PUT_DIRTY(b, ENTITY_CURSOR, c->cursors)
#define X(symbol, name, prefix) PUT_DIRTY(b, ENTITY_##symbol, c->registers[REGISTER_##symbol])
    REGISTERS(X)
#undef X
    for (size_t i = 0; i < c->audits.n; i++)
        entity_batch_put(b, ENTITY_AUDIT, c->audits.item[i]);
    for (size_t i = 0; i < c->withdrawn.n; i++)
        entity_batch_delete(b, ENTITY_PROBLEM, c->withdrawn.item[i]);
    for (size_t i = 0; i < c->outbox.n; i++) {
        if (!ROW_OVER(c->outbox.item[i]) && c->outbox.item[i]->e.seq < oldest)
            oldest = c->outbox.item[i]->e.seq;
    }
    for (size_t i = 0; i < c->outbox.n; i++) {
        uint64_t seq = c->outbox.item[i]->e.seq;
        if (!c->outbox.item[i]->dirty || seq <= SENT_ROWS_KEPT)
            continue;
        snprintf(id, sizeof(id), "%010llu", (unsigned long long)(seq - SENT_ROWS_KEPT));
        if (seq - SENT_ROWS_KEPT < oldest || !outbox_is_waiting(c, seq - SENT_ROWS_KEPT))
            entity_batch_delete(b, ENTITY_OUTBOX, id);
    }
    if (c->meta_dirty)
        entity_batch_put(b, ENTITY_META, &c->meta);
}

#define CLEAN(list)                                                                                                    \
    for (size_t i_ = 0; i_ < (list).n; i_++)                                                                           \
        (list).item[i_]->dirty = false;
/* Drops what later steps do not read. */
#define SWEEP(list, over)                                                                                              \
    do {                                                                                                               \
        size_t kept_ = 0;                                                                                              \
        for (size_t i_ = 0; i_ < (list).n; i_++) {                                                                     \
            if (over((list).item[i_]))                                                                                 \
                free((list).item[i_]);                                                                                 \
            else                                                                                                       \
                (list).item[kept_++] = (list).item[i_];                                                                \
        }                                                                                                              \
        (list).n = kept_;                                                                                              \
    } while (0)

static void mark_clean(struct control *c)
{
    for (size_t i = 0; i < c->objects.n; i++) {
        for (enum metric m = 0; m < METRIC_COUNT; m++) {
            struct fault_line *line = &c->objects.item[i]->line[m];
            line->history_dirty = false;
            if (line->series != NULL)
                line->series->dirty = 0;
        }
    }
    CLEAN(c->incidents)
    CLEAN(c->problems)
    CLEAN(c->tickets)
    CLEAN(c->outbox)
    CLEAN(c->connectors)
    CLEAN(c->cursors)
    for (size_t k = 0; k < REGISTER_COUNT; k++) {
        CLEAN(c->registers[k])
    }
    for (size_t i = 0; i < c->audits.n; i++)
        free(c->audits.item[i]);
    c->audits.n = 0;
    for (size_t i = 0; i < c->ended.n; i++)
        free(c->ended.item[i]);
    c->ended.n = 0;
    SWEEP(c->outbox, ROW_OVER);
    for (size_t i = 0; i < c->withdrawn.n; i++)
        free(c->withdrawn.item[i]);
    c->withdrawn.n = 0;
    c->meta_dirty = false;
}

int persist_commit(struct control *c, struct error *e)
{
    if (c->store != NULL) {
        struct entity_batch *b = entity_batch_new(c->store);
        if (b == NULL)
            return error_set(e, -ENOMEM, "no memory for a commit");
        put_all(c, b);
        int rc = entity_batch_commit(b, e);
        if (rc != 0)
            return rc;
    }
    mark_clean(c);
    return 0;
}
