/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See publish.h. The spool is a list of small items in the order of time: the windows of a period, then its marker, so
 * that whoever follows the markers finds the windows. What the store cannot take yet waits in memory, or, with a spool
 * on disk, goes there at once and so outlives this process (segments.h). Over the limit the oldest items go, counted; a
 * marker whose windows went is sent as degraded, with no parts. How items leave is told in publish_send.c.
 */

#include "analytics/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "analytics/holder.h"
#include "analytics/ndjson.h"
#include "analytics/publish_state.h"
#include "common/bytes.h"

#define SPOOL_DEFAULT (64ull << 20)

/* ---- the spool ---- */

/* An item is given up; x NULL: one that could not even be read. */
static void count_drop(void *ctx, const struct item *x)
{
    struct publisher *p = ctx;

    if (x != NULL && x->kind == ITEM_WINDOW && p->dropped_until_ns[x->tier] <= x->time_ns)
        p->dropped_until_ns[x->tier] = x->time_ns + 1;
    p->dropped++;
    p->news = true;
}

static void drop_oldest(struct publisher *p)
{
    struct item *x = items_pop(&p->memory);

    count_drop(p, x);
    item_free(x);
}

/* What is in memory goes to disk. What was read from there and not acknowledged is still there. */
void publisher_spill(struct publisher *p)
{
    struct item *chain = p->memory.first;
    struct error e;

    if (p->disk == NULL || chain == NULL)
        return;
    p->rewound |= p->from_disk.first != NULL;
    items_clear(&p->from_disk);
    segments_rewind(p->disk);
    int result = segments_append(p->disk, &chain, &e);
    items_set(&p->memory, chain);
    if (result != 0 && !p->told_disk)
        p->trouble = e;
    p->errors += result != 0 && !p->told_disk;
    p->told_disk = result != 0;
}

/* x NULL: there was no memory for it, which counts as dropped. */
static void push(struct publisher *p, struct item *x)
{
    if (x == NULL) {
        count_drop(p, NULL);
        return;
    }
    items_add(&p->memory, x);
    if (p->memory.bytes > p->spool_limit)
        publisher_spill(p);
    while (p->memory.bytes > p->spool_limit && p->memory.n > 1)
        drop_oldest(p);
}

/* ---- life ---- */

static void describe_sensor(struct publisher *p)
{
    const struct analytics_options *o = p->options;
    struct schema_sensor *s = &p->sensor;

    snprintf(s->name, sizeof(s->name), "%s", o->sensor);
    snprintf(s->version, sizeof(s->version), "%s", o->version != NULL ? o->version : "");
    s->live = o->live;
    s->window_ns = o->window_ns;
    s->start_wall_ns = clock_ns(CLOCK_REALTIME);
    s->n_workers = o->n_rings;
    s->n_mirrors = o->n_mirrors;
    for (unsigned i = 0; i < o->n_mirrors; i++)
        snprintf(s->mirror[i], sizeof(s->mirror[i]), "%s", o->mirror_names[i]);
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++)
        s->latest_start_ns[t] = UINT64_MAX;
}

int publisher_new(const struct analytics_options *o, struct publisher **ret_publisher, struct error *e)
{
    struct publisher *p = calloc(1, sizeof(*p));
    int result = 0;

    if (strcmp(o->sensor, SCHEMA_CONTROL) == 0) {
        free(p);
        return error_set(e, -EINVAL, "a sensor cannot be named \"%s\": control's keys are there", SCHEMA_CONTROL);
    }
    if (p == NULL)
        return error_set(e, -ENOMEM, "no memory for analytics");
    p->options = o;
    p->away = true;
    p->run_ns = p->carry_ns = UINT64_MAX;
    p->spool_limit = o->spool_bytes != 0 ? o->spool_bytes : SPOOL_DEFAULT;
    p->random = mix64(clock_ns(CLOCK_MONOTONIC) ^ (uintptr_t)p);
    holder_describe(p->holder);
    describe_sensor(p);
    if (o->spool_dir != NULL && o->spool_disk_bytes != 0) {
        const struct segments_options disk = {
            .dir = o->spool_dir, .sensor = o->sensor, .limit_bytes = o->spool_disk_bytes};
        result = segments_open(&disk, &p->disk, e);
    }
    if (result != 0) {
        publisher_free(p);
        return result;
    }
    if (p->disk != NULL)
        segments_on_drop(p->disk, count_drop, p);
    *ret_publisher = p;
    return 0;
}

void publisher_free(struct publisher *p)
{
    if (p == NULL)
        return;
    items_clear(&p->memory);
    items_clear(&p->from_disk);
    items_clear(&p->finished);
    segments_close(p->disk);
    carry_free(p->carry);
    for (unsigned i = 0; i < ANALYTICS_MIRRORS_MAX; i++)
        free(p->verdict[i]);
    store_close(p->store);
    free(p);
}

/* ---- what is put ---- */

void publisher_begin(struct publisher *p, uint64_t first_start_ns)
{
    p->run_ns = first_start_ns;
    if (p->disk == NULL)
        return;
    publisher_spill(p); /* what belongs to no window yet */
    segments_set_run(p->disk, first_start_ns);
}

void publisher_put_window(struct publisher *p, enum schema_tier tier, const struct window *w, uint32_t parts,
                          uint32_t parts_expected)
{
    struct item *x = item_new(ITEM_WINDOW, tier, w->start_ns, w->name);

    if (x != NULL) {
        x->scope = (uint8_t)w->scope;
        x->parts = parts;
        x->parts_expected = parts_expected;
        schema_pack(w, &x->packed);
    }
    push(p, x);
}

void publisher_put_object(struct publisher *p, enum window_scope scope, const char *name, uint64_t start_ns)
{
    struct item *x = item_new(ITEM_OBJECT, SCHEMA_BASE, start_ns, name);

    if (x != NULL)
        x->scope = (uint8_t)scope;
    push(p, x);
}

void publisher_put_prune(struct publisher *p, enum window_scope scope, uint64_t before_ns)
{
    struct item *x = item_new(ITEM_PRUNE, SCHEMA_BASE, before_ns, "");

    if (x != NULL)
        x->scope = (uint8_t)scope;
    push(p, x);
}

void publisher_put_event(struct publisher *p, const struct schema_event *ev)
{
    struct item *x = item_new(ITEM_EVENT, SCHEMA_BASE, ev->ts_ns, "");

    if (x != NULL) {
        x->event = malloc(sizeof(*ev));
        x->bytes += sizeof(*ev);
        if (x->event != NULL)
            *x->event = *ev;
    }
    if (x != NULL && x->event == NULL) {
        free(x);
        x = NULL;
    }
    push(p, x);
}

void publisher_put_closed(struct publisher *p, const struct schema_closed *c)
{
    struct item *x = item_new(ITEM_CLOSED, c->tier, p->data_ns, "");

    if (x != NULL)
        x->closed = *c;
    push(p, x);
}

void publisher_put_top(struct publisher *p, enum schema_top kind, enum schema_tier tier, uint64_t start_ns,
                       struct schema_flow *flows, size_t n)
{
    if (n == 0)
        return;
    struct item *x = item_new(ITEM_TOP, tier, start_ns, "");
    if (x == NULL) {
        schema_flows_free(flows, n);
    } else {
        x->top = (uint8_t)kind;
        x->list.flow = flows;
        x->list.n = n;
        for (size_t i = 0; i < n; i++)
            x->bytes += sizeof(*flows) + strlen(flows[i].json) + 1;
    }
    push(p, x);
}

void publisher_set_data_time(struct publisher *p, uint64_t data_ns)
{
    if (data_ns > p->data_ns)
        p->data_ns = data_ns;
}

struct schema_sensor *publisher_sensor(struct publisher *p)
{
    p->news = true;
    return &p->sensor;
}

void publisher_set_mirror(struct publisher *p, unsigned mirror, const struct ledger *l, const struct verdict *v)
{
    struct json_text j = {0};

    if (mirror >= ANALYTICS_MIRRORS_MAX)
        return;
    p->ledger[mirror] = *l;
    ndjson_verdict(&j, p->options->mirror_names[mirror], v);
    if (j.failed) {
        json_text_fini(&j);
        return;
    }
    free(p->verdict[mirror]);
    p->verdict[mirror] = j.text;
}

/* ---- questions, and the end ---- */

double publisher_fill(const struct publisher *p)
{
    return (double)p->memory.bytes / (double)p->spool_limit;
}

bool publisher_is_away(const struct publisher *p)
{
    return p->away;
}

bool publisher_lost_name(const struct publisher *p)
{
    return p->name_taken;
}

/* The last heartbeat said good-bye; the name is free. What is on disk stays there for the next run. */
static void say_good_bye(struct publisher *p)
{
    struct error e;

    if (!p->away && p->has_name)
        schema_lease_release(p->store, p->options->sensor, p->holder, &e);
    publisher_spill(p);
    while (p->memory.first != NULL)
        drop_oldest(p);
    while (p->finished.first != NULL)
        item_free(items_pop(&p->finished)); /* the next run makes them again */
}

void publisher_finish(struct publisher *p, unsigned patience_ms)
{
    uint64_t deadline_ns = clock_ns(CLOCK_MONOTONIC) + patience_ms * NS_PER_MS;

    p->sensor.stopped = true;
    p->next_heartbeat_ns = 0;
    while (!p->name_taken) {
        p->news = true;
        p->next_heartbeat_ns = publisher_nothing_waits(p) || p->away ? 0 : p->next_heartbeat_ns;
        size_t n = publisher_step(p);
        if (n != 0)
            deadline_ns = clock_ns(CLOCK_MONOTONIC) + patience_ms * NS_PER_MS;
        if ((publisher_nothing_waits(p) && !p->away && !p->news) || clock_ns(CLOCK_MONOTONIC) >= deadline_ns)
            break;
        if (n == 0)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    say_good_bye(p);
}

uint64_t publisher_dropped(const struct publisher *p)
{
    return p->dropped;
}

uint64_t publisher_waiting(const struct publisher *p)
{
    return p->disk != NULL ? segments_items(p->disk) : 0;
}

uint64_t publisher_refused(const struct publisher *p)
{
    return p->refused;
}

uint64_t publisher_reconnects(const struct publisher *p)
{
    return p->reconnects;
}

const char *publisher_trouble(const struct publisher *p)
{
    return p->trouble.text;
}
