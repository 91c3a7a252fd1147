/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A simulated history through the real store, in lockstep with control.
 *
 * Windows are published as a live sensor named "simulator" does: minutes, quarters and hours, each with its markers, in
 * order of time. Data time is ahead of control by a day at most; a command of the plan is given when control has
 * come to its time, and is waited for. So retention holds on data time (store/lockstep.h): what control has not taken
 * yet is there, what a tier no longer keeps is not. With control running on the same store, weeks pass in minutes, by
 * the way that live windows go.
 *
 * Limits: windows carry what a stream carries; base windows of ten seconds are not made. When control does not move for
 * a minute, publishing ends with an error.
 */

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "control/detect.h"
#include "control/simulate_internal.h"
#include "store/inbox.h"
#include "store/lockstep.h"
#include "store/schema.h"

#define SENSOR         "simulator"
#define AHEAD_NS       (24 * NS_PER_HOUR) /* half of what minutes are kept */
#define PATIENCE_MS    60000u
#define POLL_MS        5u
#define BASE_WINDOW_NS (10 * NS_PER_S)

/* Owner: sim_publish. sums[tier][path] collects what the coarse windows will hold. */
struct publisher {
    struct sim *sim;
    struct store *store;
    struct schema_sensor info;
    struct schema_id last;
    enum schema_tier tier; /* of the windows that are made */
    struct window *sums[SCHEMA_TIER_COUNT];
};

static uint64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void to_window(const struct sim *s, uint32_t path, uint64_t ns, const struct observation *o, struct window *w)
{
    *w = (struct window){
        .scope = WINDOW_PATH, .quality = o->quality, .start_ns = ns, .length_ns = s->window_s * NS_PER_S};
    snprintf(w->name, sizeof(w->name), "%s", s->path[path].name);
    for (int d = 0; d < 2; d++) {
        struct window_dir *x = &w->c.dir[d];
        x->bytes = x->frame_bytes = o->dir[d].bytes;
        x->pkts = x->data_pkts = x->judged_pkts = o->dir[d].judged_pkts;
        x->lost_upstream_pkts = o->dir[d].lost_upstream_pkts;
        x->lost_downstream_pkts = o->dir[d].lost_downstream_pkts;
        x->retrans_pkts = x->lost_upstream_pkts + x->lost_downstream_pkts;
        struct window_quantiles *q = &w->q[WINDOW_HIST_RTT_A + d];
        q->n = o->rtt_n[d];
        q->min_ns = q->p10_ns = q->p50_ns = q->p90_ns = q->p99_ns = q->max_ns = o->rtt_p50_ns[d];
    }
    w->c.connects = o->connects;
    w->c.unanswered_connects = o->failed_connects;
    w->c.new_flows = o->connects + o->failed_connects;
}

static int put(struct publisher *p, enum schema_tier tier, const struct window *w)
{
    int rc = lockstep_forget(p->store, SENSOR, tier, p->info.window_ns, WINDOW_PATH, w->name, w->start_ns);

    return rc != 0 ? rc : schema_put_window(p->store, SENSOR, tier, p->info.window_ns, w);
}

/* The median of the longer window is taken from its busiest part; a blind part makes it unsure. */
static void add_up(struct window *sum, const struct window *w, uint64_t start_ns, uint64_t length_ns)
{
    if (sum->length_ns == 0 || sum->start_ns != start_ns) {
        *sum = *w;
        sum->start_ns = start_ns;
        sum->length_ns = length_ns;
        return;
    }
    window_counters_merge(&sum->c, &w->c);
    for (int h = 0; h < WINDOW_HIST_COUNT; h++) {
        if (w->q[h].n > sum->q[h].n)
            sum->q[h] = w->q[h];
    }
    if (w->quality > sum->quality)
        sum->quality = w->quality;
}

static int put_path(struct publisher *p, uint32_t path, const struct window *w, uint64_t end_ns)
{
    int rc = put(p, p->tier, w);

    for (enum schema_tier t = p->tier + 1; rc == 0 && t < SCHEMA_TIER_COUNT; t++) {
        uint64_t length_ns = schema_tier_length_ns(t, p->info.window_ns);
        if (p->sums[t] == NULL)
            continue;
        add_up(&p->sums[t][path], w, w->start_ns / length_ns * length_ns, length_ns);
        if (end_ns % length_ns == 0)
            rc = put(p, t, &p->sums[t][path]);
    }
    return rc == 0 ? schema_put_object(p->store, SENSOR, WINDOW_PATH, w->name, w->start_ns) : rc;
}

static int put_marker(struct publisher *p, enum schema_tier tier, uint64_t start_ns)
{
    struct schema_closed c = {.tier = tier,
                              .parts = 6,
                              .parts_expected = 6,
                              .start_ns = start_ns,
                              .length_ns = schema_tier_length_ns(tier, p->info.window_ns)};

    schema_id_format(c.id, schema_id_next(&p->last, start_ns + c.length_ns));
    p->info.latest_start_ns[tier] = start_ns;
    return schema_put_closed(p->store, SENSOR, &c);
}

static int flush(struct publisher *p, uint64_t data_ns, struct error *e)
{
    struct schema_outcome outcome;

    p->info.data_ns = data_ns;
    p->info.heartbeat_wall_ns = wall_ns();
    int rc = schema_put_sensor(p->store, &p->info);
    rc = rc == 0 ? schema_flush(p->store, &outcome) : rc;
    if (rc != 0)
        return error_set(e, rc, "cannot publish a simulated window");
    if (outcome.refused + outcome.postponed > 0)
        return error_set(e, -EPROTO, "Redis refused a simulated window: %.100s", outcome.first_refusal);
    return 0;
}

/* Waits until control has processed everything before ns. */
static int wait_for_control(struct publisher *p, uint64_t ns, struct error *e)
{
    struct entity_meta meta = {0};
    uint64_t seen_ns = 0;

    for (unsigned idle_ms = 0; idle_ms < PATIENCE_MS; idle_ms += POLL_MS) {
        int rc = entities_get(p->store, ENTITY_META, "", &meta, e);
        if (rc < 0)
            return rc;
        if (meta.cursor_ns >= ns)
            return 0;
        if (meta.cursor_ns != seen_ns)
            idle_ms = 0;
        seen_ns = meta.cursor_ns;
        p->info.heartbeat_wall_ns = wall_ns();
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
    }
    return error_set(e, -ETIMEDOUT, "control does not take the windows; start spanward-control with the same --redis");
}

static int give(struct publisher *p, const struct sim_command *command, struct error *e)
{
    struct inbox_command *c = calloc(1, sizeof(*c));
    struct entity_audit *answer = calloc(1, sizeof(*answer));
    json_t *j = json_loads(command->json, 0, NULL);
    char *arguments = json_dumps(json_object_get(j, "arguments"), JSON_COMPACT);
    int rc = c == NULL || answer == NULL || arguments == NULL ? error_set(e, -ENOMEM, "out of memory") : 0;

    if (rc == 0) {
        snprintf(c->actor, sizeof(c->actor), "%s", json_string_value(json_object_get(j, "actor")));
        snprintf(c->verb, sizeof(c->verb), "%s", json_string_value(json_object_get(j, "verb")));
        snprintf(c->object, sizeof(c->object), "%s", json_string_value(json_object_get(j, "object")));
        snprintf(c->arguments, sizeof(c->arguments), "%s", arguments);
        c->given_wall_ns = command->time_ns;
        rc = inbox_put(p->store, c, e);
    }
    if (rc == 0) {
        rc = inbox_wait(p->store, c->id, PATIENCE_MS, answer, e);
        rc = rc == 1 ? 0 : rc == 0 ? error_set(e, -ETIMEDOUT, "control does not answer commands") : rc;
    }
    json_decref(j);
    free(arguments);
    free(c);
    free(answer);
    return rc;
}

static int give_commands(struct publisher *p, uint64_t until_ns, uint64_t published_ns, struct error *e)
{
    struct sim *s = p->sim;
    bool due = s->next_command < s->n_commands && s->command[s->next_command].time_ns <= until_ns;
    int rc = due && published_ns != 0 ? wait_for_control(p, published_ns, e) : 0;

    for (; rc == 0 && s->next_command < s->n_commands && s->command[s->next_command].time_ns <= until_ns;
         s->next_command++)
        rc = give(p, &s->command[s->next_command], e);
    return rc;
}

static int publish_step(struct publisher *p, uint64_t ns, struct error *e)
{
    struct sim *s = p->sim;
    uint64_t end_ns = ns + s->window_s * NS_PER_S;
    struct observation o;
    struct window w;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < s->n_paths; i++) {
        if (!sim_observe(s, i, ns, &o))
            return 0; /* an outage: nothing, not even a marker */
        to_window(s, i, ns, &o, &w);
        rc = put_path(p, i, &w, end_ns);
    }
    rc = rc == 0 ? put_marker(p, p->tier, ns) : rc;
    for (enum schema_tier t = p->tier + 1; rc == 0 && t < SCHEMA_TIER_COUNT; t++) {
        uint64_t length_ns = schema_tier_length_ns(t, p->info.window_ns);
        if (p->sums[t] != NULL && end_ns % length_ns == 0)
            rc = put_marker(p, t, end_ns - length_ns);
    }
    return rc == 0 ? flush(p, end_ns, e) : error_set(e, rc, "cannot publish a simulated window");
}

static int run(struct publisher *p, struct error *e)
{
    struct sim *s = p->sim;
    uint64_t published_ns = 0;
    int rc = 0;

    for (uint64_t ns = s->start_ns; rc == 0 && ns < s->end_ns; ns += s->window_s * NS_PER_S) {
        rc = give_commands(p, ns, published_ns, e);
        rc = rc == 0 ? publish_step(p, ns, e) : rc;
        if (sim_observed(s, ns))
            published_ns = ns + s->window_s * NS_PER_S;
        if (rc == 0 && published_ns > s->start_ns + AHEAD_NS && ns % (AHEAD_NS / 4) == 0)
            rc = wait_for_control(p, published_ns - AHEAD_NS, e);
    }
    rc = rc == 0 ? give_commands(p, s->end_ns, published_ns, e) : rc;
    rc = rc == 0 ? wait_for_control(p, published_ns, e) : rc;
    p->info.stopped = true;
    return rc == 0 ? flush(p, s->end_ns, e) : rc;
}

int sim_publish(struct sim *s, const char *url, struct error *e)
{
    struct publisher p = {.sim = s};
    struct store_options options = {.url = url};
    int rc = store_open(&options, &p.store, e);

    if (rc != 0)
        return rc;
    p.info = (struct schema_sensor){.live = true, .n_workers = 1, .start_wall_ns = wall_ns()};
    snprintf(p.info.name, sizeof(p.info.name), SENSOR);
    snprintf(p.info.version, sizeof(p.info.version), SPANWARD_VERSION);
    p.tier = s->window_s == 60 ? SCHEMA_1MIN : SCHEMA_BASE;
    p.info.window_ns = s->window_s == 60 ? BASE_WINDOW_NS : s->window_s * NS_PER_S;
    for (enum schema_tier t = 0; t < SCHEMA_TIER_COUNT; t++) {
        p.info.latest_start_ns[t] = UINT64_MAX;
        if (t > p.tier && schema_tier_exists(t, p.info.window_ns))
            p.sums[t] = calloc(s->n_paths, sizeof(struct window));
    }
    rc = schema_stream_last(p.store, SENSOR, SCHEMA_STREAM_CLOSED, &p.last, e);
    rc = rc == 0 ? run(&p, e) : rc;
    for (enum schema_tier t = 0; t < SCHEMA_TIER_COUNT; t++)
        free(p.sums[t]);
    store_close(p.store);
    return rc;
}
