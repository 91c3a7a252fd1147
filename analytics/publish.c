/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See publish.h. The spool is a list of small items in the order of time: the windows of a period, then its marker, so
 * that whoever follows the markers finds the windows. When it grows over its limit the oldest items go, counted; a
 * marker whose windows went is sent as degraded, with no parts.
 *
 * Ids of stream entries are given when an item is first sent, after the stream's last id was read, and stay with it: a
 * replay after a reconnect repeats them and Redis refuses the repetition.
 *
 * Reconnecting: 0.2 s, doubled up to 10 s, each +- 25 % at random, so that sensors do not come back in step. A command
 * waits at most COMMAND_MS, a connect CONNECT_MS: that is the longest that a step can take, and the rings must hold
 * that much.
 *
 * Redis's refusals: "try later" ones (out of memory, loading, read-only) are an outage: the batch stays and is sent
 * again after the back-off. Refusals for good (permissions, wrong type) are counted, told, and given up.
 */

#include "analytics/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "analytics/ndjson.h"
#include "common/bytes.h"
#include "common/timefmt.h"

#define BATCH_ITEMS      2048
#define SPOOL_DEFAULT    (64ull << 20)
#define COMMAND_MS       1000
#define CONNECT_MS       500
#define BACKOFF_FIRST_NS (200 * NS_PER_MS)
#define BACKOFF_MAX_NS   (10 * NS_PER_S)
#define HEARTBEAT_NS     NS_PER_S
#define ITEM_OVERHEAD    16 /* of malloc */

enum item_kind { ITEM_WINDOW, ITEM_OBJECT, ITEM_PRUNE, ITEM_EVENT, ITEM_CLOSED, ITEM_TOP };

/* An entry of the spool. Owner: the spool's list. */
struct item {
    struct item *next;
    size_t bytes;
    uint64_t time_ns;    /* start of the window; data time of an event or marker */
    struct schema_id id; /* of a stream entry; {0, 0} until first sent */
    uint8_t kind, tier, scope, top;
    union {
        struct schema_packed packed; /* ITEM_WINDOW */
        struct schema_closed closed; /* ITEM_CLOSED */
        struct schema_event *event;  /* ITEM_EVENT */
        struct {
            struct schema_flow *flow;
            size_t n;
        } list; /* ITEM_TOP */
    };
    char name[]; /* ITEM_WINDOW, ITEM_OBJECT */
};

struct publisher {
    const struct analytics_options *options;
    struct store *store; /* NULL until first connected */
    bool away, ids_known;
    struct schema_id last_closed, last_event;
    uint64_t next_try_ns, backoff_ns, random; /* monotonic times */
    uint64_t next_heartbeat_ns;
    bool news; /* something to tell in the sensor's hash */

    struct item *first, **end;
    size_t n_items, spool_bytes, spool_limit;
    uint64_t dropped_until_ns[SCHEMA_TIER_COUNT]; /* start of the newest window dropped, + 1 */
    uint64_t dropped, refused, reconnects, errors, data_ns;
    struct error trouble;

    struct schema_sensor sensor;
    struct ledger ledger[ANALYTICS_MIRRORS_MAX];
    char *verdict[ANALYTICS_MIRRORS_MAX];
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int publisher_new(const struct analytics_options *o, struct publisher **ret_publisher)
{
    struct publisher *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return -ENOMEM;
    p->options = o;
    p->end = &p->first;
    p->away = true;
    p->spool_limit = o->spool_bytes != 0 ? o->spool_bytes : SPOOL_DEFAULT;
    p->random = mix64(clock_ns(CLOCK_MONOTONIC) ^ (uintptr_t)p);
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
    *ret_publisher = p;
    return 0;
}

static void item_free(struct item *x)
{
    if (x->kind == ITEM_TOP)
        schema_flows_free(x->list.flow, x->list.n);
    else if (x->kind == ITEM_EVENT)
        free(x->event);
    free(x);
}

/* The oldest item leaves the spool. */
static struct item *pop(struct publisher *p)
{
    struct item *x = p->first;

    p->first = x->next;
    if (p->first == NULL)
        p->end = &p->first;
    p->n_items--;
    p->spool_bytes -= x->bytes;
    return x;
}

void publisher_free(struct publisher *p)
{
    if (p == NULL)
        return;
    while (p->first != NULL)
        item_free(pop(p));
    for (unsigned i = 0; i < ANALYTICS_MIRRORS_MAX; i++)
        free(p->verdict[i]);
    store_close(p->store);
    free(p);
}

static void drop_oldest(struct publisher *p)
{
    struct item *x = pop(p);

    if (x->kind == ITEM_WINDOW && p->dropped_until_ns[x->tier] <= x->time_ns)
        p->dropped_until_ns[x->tier] = x->time_ns + 1;
    p->dropped++;
    p->news = true;
    item_free(x);
}

/* x NULL: there was no memory for it, which counts as dropped. */
static void push(struct publisher *p, struct item *x)
{
    if (x == NULL) {
        p->dropped++;
        return;
    }
    x->bytes += ITEM_OVERHEAD;
    *p->end = x;
    p->end = &x->next;
    p->n_items++;
    p->spool_bytes += x->bytes;
    while (p->spool_bytes > p->spool_limit && p->n_items > 1)
        drop_oldest(p);
}

/* An item with room for a name, which may be "". */
static struct item *new_item(enum item_kind kind, enum schema_tier tier, uint64_t time_ns, const char *name)
{
    size_t len = strlen(name) + 1;
    struct item *x = calloc(1, sizeof(*x) + len);

    if (x == NULL)
        return NULL;
    x->bytes = sizeof(*x) + len;
    x->kind = (uint8_t)kind;
    x->tier = (uint8_t)tier;
    x->time_ns = time_ns;
    memcpy(x->name, name, len);
    return x;
}

void publisher_put_window(struct publisher *p, enum schema_tier tier, const struct window *w)
{
    struct item *x = new_item(ITEM_WINDOW, tier, w->start_ns, w->name);

    if (x != NULL) {
        x->scope = (uint8_t)w->scope;
        schema_pack(w, &x->packed);
    }
    push(p, x);
}

void publisher_put_object(struct publisher *p, enum window_scope scope, const char *name, uint64_t start_ns)
{
    struct item *x = new_item(ITEM_OBJECT, SCHEMA_BASE, start_ns, name);

    if (x != NULL)
        x->scope = (uint8_t)scope;
    push(p, x);
}

void publisher_put_prune(struct publisher *p, enum window_scope scope, uint64_t before_ns)
{
    struct item *x = new_item(ITEM_PRUNE, SCHEMA_BASE, before_ns, "");

    if (x != NULL)
        x->scope = (uint8_t)scope;
    push(p, x);
}

void publisher_put_event(struct publisher *p, const struct schema_event *ev)
{
    struct item *x = new_item(ITEM_EVENT, SCHEMA_BASE, ev->ts_ns, "");

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
    struct item *x = new_item(ITEM_CLOSED, c->tier, p->data_ns, "");

    if (x != NULL)
        x->closed = *c;
    push(p, x);
}

void publisher_put_top(struct publisher *p, enum schema_top kind, enum schema_tier tier, uint64_t start_ns,
                       struct schema_flow *flows, size_t n)
{
    if (n == 0)
        return;
    struct item *x = new_item(ITEM_TOP, tier, start_ns, "");
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

static int send_event(struct publisher *p, struct item *x)
{
    if (x->id.ms == 0 && x->id.seq == 0)
        x->id = schema_id_next(&p->last_event, x->time_ns);
    schema_id_format(x->event->id, x->id);
    return schema_put_event(p->store, p->options->sensor, x->event);
}

static int send_closed(struct publisher *p, struct item *x)
{
    struct schema_closed c = x->closed;

    if (x->id.ms == 0 && x->id.seq == 0)
        x->id = schema_id_next(&p->last_closed, x->time_ns);
    schema_id_format(c.id, x->id);
    if (c.start_ns < p->dropped_until_ns[c.tier]) {
        c.degraded = true;
        c.parts = 0;
    }
    p->sensor.latest_start_ns[c.tier] = c.start_ns;
    if (c.tier == SCHEMA_BASE && p->options->live) {
        uint64_t now_ns = clock_ns(CLOCK_REALTIME), end_ns = c.start_ns + c.length_ns;
        p->sensor.lag_ns = now_ns > end_ns ? now_ns - end_ns : 0;
    }
    return schema_put_closed(p->store, p->options->sensor, &c);
}

/* Appends one item's commands. -EINVAL: it can never be sent. */
static int append_item(struct publisher *p, struct item *x)
{
    const char *sensor = p->options->sensor;

    switch ((enum item_kind)x->kind) {
    case ITEM_WINDOW:
        return schema_put_packed(p->store, sensor, x->tier, p->options->window_ns, x->scope, x->name, x->time_ns,
                                 &x->packed);
    case ITEM_OBJECT:
        return schema_put_object(p->store, sensor, x->scope, x->name, x->time_ns);
    case ITEM_PRUNE:
        return schema_put_prune(p->store, sensor, x->scope, x->time_ns);
    case ITEM_EVENT:
        return send_event(p, x);
    case ITEM_CLOSED:
        return send_closed(p, x);
    case ITEM_TOP:
        return schema_put_top(p->store, sensor, x->top, x->tier, x->time_ns, x->list.flow, x->list.n);
    }
    return -EINVAL;
}

static int append_state(struct publisher *p)
{
    struct schema_sensor *s = &p->sensor;
    int result;

    s->heartbeat_wall_ns = clock_ns(CLOCK_REALTIME);
    s->data_ns = p->data_ns;
    s->spool_bytes = p->spool_bytes;
    s->spool_dropped = p->dropped;
    s->reconnects = p->reconnects;
    s->store_errors = p->errors;
    result = schema_put_sensor(p->store, s);
    for (unsigned i = 0; i < p->options->n_mirrors && result == 0; i++) {
        result = schema_put_ledger(p->store, s->name, s->mirror[i], &p->ledger[i]);
        if (result == 0 && p->verdict[i] != NULL)
            result = schema_put_verdict(p->store, s->name, s->mirror[i], p->verdict[i]);
    }
    return result;
}

static void go_away(struct publisher *p)
{
    p->away = true;
    p->errors++;
    if (p->backoff_ns == 0)
        p->backoff_ns = BACKOFF_FIRST_NS;
    else if (p->backoff_ns < BACKOFF_MAX_NS)
        p->backoff_ns = 2 * p->backoff_ns > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : 2 * p->backoff_ns;
    p->random = mix64(p->random + 1);
    uint64_t jitter_ns = p->random % (p->backoff_ns / 2 + 1);
    p->next_try_ns = clock_ns(CLOCK_MONOTONIC) + p->backoff_ns - p->backoff_ns / 4 + jitter_ns;
}

/* Connects, or connects again, and learns where the streams end. */
int publisher_connect(struct publisher *p, struct error *e)
{
    const struct analytics_options *o = p->options;
    struct schema_id closed, event;
    bool again = p->store != NULL;
    int result;

    if (p->store == NULL)
        result = store_open(&(struct store_options){.url = o->store_url,
                                                    .user = o->store_user,
                                                    .password = o->store_password,
                                                    .connect_timeout_ms = CONNECT_MS,
                                                    .command_timeout_ms = COMMAND_MS},
                            &p->store, e);
    else
        result = store_is_broken(p->store) ? store_reconnect(p->store, e) : 0;
    if (result == 0 && !p->ids_known) {
        result = schema_stream_last(p->store, o->sensor, SCHEMA_STREAM_CLOSED, &closed, e);
        if (result == 0)
            result = schema_stream_last(p->store, o->sensor, SCHEMA_STREAM_EVENTS, &event, e);
        if (result == 0) {
            p->last_closed = closed;
            p->last_event = event;
            p->ids_known = true;
        }
    }
    if (result != 0)
        return result;
    p->away = false;
    p->reconnects += again;
    p->news = true;
    return 0;
}

/* The pipeline could not even be built; nothing was sent. */
static size_t give_up_batch(struct publisher *p)
{
    store_discard(p->store);
    error_set(&p->trouble, -ENOMEM, "no memory for a batch to the store");
    go_away(p);
    return 0;
}

/* Sends up to BATCH_ITEMS and what the sensor says about itself; returns how many items left the spool. */
static size_t send_batch(struct publisher *p, bool with_state)
{
    struct schema_outcome o;
    size_t n = 0;
    int result = 0;

    for (struct item *x = p->first; x != NULL && n < BATCH_ITEMS; x = x->next, n++) {
        result = append_item(p, x);
        if (result == -EINVAL)
            p->refused++;
        else if (result != 0)
            return give_up_batch(p);
    }
    if (with_state && append_state(p) == -ENOMEM)
        return give_up_batch(p);
    result = schema_flush(p->store, &o);
    if (result != 0 || o.postponed != 0) {
        error_set(&p->trouble, -EIO, result != 0 ? "the connection to Redis at %.150s broke" : "Redis: %.150s",
                  result != 0 ? p->options->store_url : o.first_refusal);
        go_away(p);
        return 0;
    }
    if (o.refused != 0) {
        p->refused += o.refused;
        p->errors += o.refused;
        error_set(&p->trouble, -EPROTO, "Redis refused to store: %.150s", o.first_refusal);
    }
    p->backoff_ns = 0;
    for (size_t i = 0; i < n; i++)
        item_free(pop(p));
    return n;
}

size_t publisher_step(struct publisher *p)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

    if (p->away) {
        if (now_ns < p->next_try_ns)
            return 0;
        if (publisher_connect(p, &p->trouble) != 0) {
            go_away(p);
            return 0;
        }
    }
    bool due = now_ns >= p->next_heartbeat_ns;
    if (p->first == NULL && !due)
        return 0;
    bool last_of_spool = p->n_items <= BATCH_ITEMS && p->news;
    size_t n = send_batch(p, due || last_of_spool);
    if (!p->away && (due || last_of_spool)) {
        p->next_heartbeat_ns = now_ns + HEARTBEAT_NS;
        p->news = false;
    }
    return n;
}

double publisher_fill(const struct publisher *p)
{
    return (double)p->spool_bytes / (double)p->spool_limit;
}

bool publisher_is_away(const struct publisher *p)
{
    return p->away;
}

void publisher_finish(struct publisher *p, unsigned patience_ms)
{
    uint64_t deadline_ns = clock_ns(CLOCK_MONOTONIC) + patience_ms * NS_PER_MS;

    p->sensor.stopped = true;
    p->next_heartbeat_ns = 0;
    for (;;) {
        p->news = true;
        size_t n = publisher_step(p);
        if (n != 0)
            deadline_ns = clock_ns(CLOCK_MONOTONIC) + patience_ms * NS_PER_MS;
        if ((p->first == NULL && !p->away && !p->news) || clock_ns(CLOCK_MONOTONIC) >= deadline_ns)
            break;
        if (n == 0)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    while (p->first != NULL)
        drop_oldest(p);
}

uint64_t publisher_dropped(const struct publisher *p)
{
    return p->dropped;
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
