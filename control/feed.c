/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Following the store. Each sensor publishes markers ("this minute is complete"); per sensor a short queue of markers
 * is kept, and the earliest minute over all queues is the next step. The position in each sensor's stream is an entity
 * of control and commits with the state, so that no minute is taken twice or left out by a restart.
 *
 * A minute that the sensor itself calls degraded, or of which it lacks base windows, arrives with its quality lowered:
 * nothing may be concluded from it. Minutes older than control's cursor (a sensor that reads old captures beside a live
 * one) are passed over.
 */

#include "control/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/timefmt.h"
#include "store/schema.h"

#define NS_PER_MIN    (60 * NS_PER_S)
#define QUEUE_MARKERS 256u
#define LAG_NS        (3 * NS_PER_MIN)
#define ALIVE_WALL_NS (15 * NS_PER_S)
#define COMMIT_STEPS  60u

/* Owner: the feed. Invariant: markers[at..n) are of one tier, ascending, and not processed. */
struct sensor {
    struct schema_sensor info;
    struct entity_cursor cursor; /* of what was processed */
    char read_position[SCHEMA_ID_BYTES];
    struct schema_closed *markers;
    size_t at, n;
};

struct feed {
    struct store *store;
    struct control *control;
    struct sensor *sensors;
    size_t n_sensors;
    unsigned scopes; /* bits 1 << enum window_scope */
};

struct feed *feed_new(struct store *store, struct control *control)
{
    struct feed *f = calloc(1, sizeof(*f));

    if (f != NULL) {
        f->store = store;
        f->control = control;
        f->scopes = 1u << WINDOW_PATH;
    }
    return f;
}

void feed_free(struct feed *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->n_sensors; i++)
        free(f->sensors[i].markers);
    free(f->sensors);
    free(f);
}

int feed_scopes_parse(const char *names, unsigned *ret_scopes, struct error *e)
{
    unsigned scopes = 0;
    char word[16];

    while (*(names += strspn(names, ", \t")) != '\0') {
        size_t len = strcspn(names, ", \t");
        snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), names);
        enum window_scope scope = window_scope_of(word);
        if (scope == WINDOW_SCOPE_COUNT)
            return error_set(e, -EINVAL, "detect.scopes: there is no '%s'", word);
        scopes |= 1u << scope;
        names += len;
    }
    *ret_scopes = scopes;
    return 0;
}

int feed_set_scopes(struct feed *f, const char *names, struct error *e)
{
    return feed_scopes_parse(names, &f->scopes, e);
}

static struct sensor *find_sensor(struct feed *f, const char *name)
{
    for (size_t i = 0; i < f->n_sensors; i++) {
        if (strcmp(f->sensors[i].cursor.sensor, name) == 0)
            return &f->sensors[i];
    }
    struct sensor *grown = realloc(f->sensors, (f->n_sensors + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    f->sensors = grown;
    struct sensor *s = &grown[f->n_sensors++];
    memset(s, 0, sizeof(*s));
    const struct entity_cursor *known = control_sensor_cursor(f->control, name);
    if (known != NULL)
        s->cursor = *known;
    snprintf(s->cursor.sensor, sizeof(s->cursor.sensor), "%s", name);
    snprintf(s->read_position, sizeof(s->read_position), "%s", s->cursor.position);
    return s;
}

/* Minutes where the sensor makes them, else its own longer windows. */
static enum schema_tier tier_of(const struct schema_sensor *s)
{
    return schema_tier_exists(SCHEMA_1MIN, s->window_ns) ? SCHEMA_1MIN : SCHEMA_BASE;
}

/* Refills an empty queue; markers of other tiers are passed over. */
static int refill(struct feed *f, struct sensor *s, struct error *e)
{
    while (s->at == s->n) {
        struct schema_closed *read = NULL;
        size_t n = 0;
        int rc = schema_closed_read(f->store, s->cursor.sensor, s->read_position, QUEUE_MARKERS, 0, &read, &n, NULL, e);
        if (rc != 0)
            return rc;
        free(s->markers);
        s->markers = read;
        s->at = 0;
        s->n = 0;
        if (n == 0)
            return 0;
        memcpy(s->read_position, read[n - 1].id, sizeof(s->read_position));
        for (size_t i = 0; i < n; i++) {
            if (read[i].tier == tier_of(&s->info))
                read[s->n++] = read[i];
        }
    }
    return 0;
}

static int refresh(struct feed *f, struct error *e)
{
    struct schema_list list;
    int rc = schema_sensor_list(f->store, &list, e);

    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        struct sensor *s = find_sensor(f, list.item[i].name);
        if (s == NULL) {
            rc = error_set(e, -ENOMEM, "no memory for sensors");
            break;
        }
        rc = schema_sensor_get(f->store, list.item[i].name, &s->info, e);
        if (rc == -ENOENT || rc == -EPROTO) /* gone, or of another version: not ours to read */
            rc = 0;
        else if (rc == 0)
            rc = refill(f, s, e);
    }
    schema_list_free(&list);
    return rc;
}

static uint64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The earliest minute that may be taken now; UINT64_MAX when none. */
static uint64_t next_start(const struct feed *f, bool catch_up)
{
    uint64_t earliest = UINT64_MAX;
    uint64_t newest = 0;

    for (size_t i = 0; i < f->n_sensors; i++) {
        const struct sensor *s = &f->sensors[i];
        if (s->at == s->n)
            continue;
        if (s->markers[s->at].start_ns < earliest)
            earliest = s->markers[s->at].start_ns;
        if (s->markers[s->n - 1].start_ns > newest)
            newest = s->markers[s->n - 1].start_ns;
    }
    if (earliest == UINT64_MAX || catch_up || newest >= earliest + LAG_NS)
        return earliest;
    uint64_t now = wall_ns();
    for (size_t i = 0; i < f->n_sensors; i++) {
        const struct sensor *s = &f->sensors[i];
        bool alive = s->info.live && !s->info.stopped && now < s->info.heartbeat_wall_ns + ALIVE_WALL_NS;
        if (s->at == s->n && alive && s->cursor.closed_ns <= earliest)
            return UINT64_MAX;
    }
    return earliest;
}

static int take_scope(struct feed *f, struct sensor *s, const struct schema_closed *m, enum window_scope scope,
                      struct error *e)
{
    struct window *w = NULL;
    size_t n = 0;
    int rc = schema_window_at(f->store, &s->info, scope, m->tier, m->start_ns, &w, &n, NULL, e);

    if (rc != 0)
        return rc;
    bool thin = m->parts_expected > 0 && m->parts * 2 < m->parts_expected;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct observation o;
        struct control_object *object = control_object(f->control, w[i].scope, w[i].name);
        if (object == NULL) {
            rc = error_set(e, -ENOMEM, "no memory for %s %.80s", window_scope_name(scope), w[i].name);
            break;
        }
        observation_from_window(&o, &w[i]);
        if (thin)
            o.quality = WINDOW_BLIND;
        else if (m->degraded && o.quality == WINDOW_OK)
            o.quality = WINDOW_UNSURE;
        control_observe(f->control, object, &o);
    }
    free(w);
    s->cursor.windows += n;
    return rc;
}

static int take_windows(struct feed *f, struct sensor *s, const struct schema_closed *m, struct error *e)
{
    int rc = 0;

    for (enum window_scope scope = 0; rc == 0 && scope < WINDOW_SCOPE_COUNT; scope++) {
        if (f->scopes & (1u << scope))
            rc = take_scope(f, s, m, scope, e);
    }
    return rc;
}

/* One minute of all sensors that have it. */
static int take_step(struct feed *f, uint64_t start_ns, struct error *e)
{
    uint64_t length_ns = NS_PER_MIN;

    for (size_t i = 0; i < f->n_sensors; i++) {
        struct sensor *s = &f->sensors[i];
        if (s->at == s->n || s->markers[s->at].start_ns != start_ns)
            continue;
        const struct schema_closed *m = &s->markers[s->at];
        length_ns = m->length_ns;
        int rc = start_ns >= control_cursor_ns(f->control) ? take_windows(f, s, m, e) : 0;
        if (rc != 0)
            return rc;
        memcpy(s->cursor.position, m->id, sizeof(s->cursor.position));
        s->cursor.closed_ns = m->start_ns + m->length_ns;
        s->at++;
        if (control_set_sensor_cursor(f->control, &s->cursor) != 0)
            return error_set(e, -ENOMEM, "no memory for a cursor");
    }
    control_step(f->control, start_ns, length_ns);
    return 0;
}

int feed_poll(struct feed *f, bool catch_up, unsigned max_steps, struct error *e)
{
    unsigned steps = 0;
    int rc = refresh(f, e);

    while (rc == 0 && steps < max_steps) {
        uint64_t start_ns = next_start(f, catch_up);
        if (start_ns == UINT64_MAX)
            break;
        rc = take_step(f, start_ns, e);
        steps += rc == 0;
        for (size_t i = 0; rc == 0 && i < f->n_sensors; i++)
            rc = f->sensors[i].info.window_ns != 0 ? refill(f, &f->sensors[i], e) : 0;
        if (rc == 0 && steps % COMMIT_STEPS == 0)
            rc = control_commit(f->control, e);
    }
    if (rc == 0 && steps % COMMIT_STEPS != 0)
        rc = control_commit(f->control, e);
    return rc != 0 ? rc : (int)steps;
}
