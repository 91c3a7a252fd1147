/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How what was put (publish.c) gets to the store.
 *
 * Order of sending: what carry.h finished of earlier runs; segments, oldest first; then memory. Windows that an earlier
 * run began are sent with its part added. Ids of stream entries are given when an item is first sent, after the
 * stream's last id was read, and stay with it: a replay after a reconnect repeats them and Redis refuses the
 * repetition. A segment's entries are numbered from ids that are fixed in it first, for the same reason. After a
 * repetition the entries are looked for, and those that are missing get new ids (publish_find.c).
 *
 * What Redis acknowledged and then forgot (AOF writes once a second, replicas lag) the connection repeats from its
 * journal (store.h).
 *
 * Reconnecting: 0.2 s, doubled up to 10 s, each +- 25 % at random, so that sensors do not come back in step. A command
 * waits at most COMMAND_MS, a connect CONNECT_MS: that is the longest that a step can take, and the rings must hold
 * that much. Only the first step after a restart may take longer: it reads what carry.h needs.
 *
 * Redis's refusals: "try later" ones (out of memory, loading, read-only, no rights) are an outage: the batch stays and
 * is sent again after the back-off. Refusals for good (wrong type) are counted, told, and given up.
 *
 * The name: a lease (schema.h), renewed with each heartbeat. A holder that is known to be dead is replaced at once, one
 * that cannot be known when its lease expires; one that lives ends this publisher.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "analytics/holder.h"
#include "analytics/publish_state.h"
#include "common/bytes.h"

#define BATCH_ITEMS      2048
#define SPILL_SHARE      2 /* of the limit in memory, above which a spool on disk is used although the store is there */
#define COMMAND_MS       1000
#define CONNECT_MS       500
#define BACKOFF_FIRST_NS (200 * NS_PER_MS)
#define BACKOFF_MAX_NS   (10 * NS_PER_S)
#define HEARTBEAT_NS     NS_PER_S
#define LEASE_POLL_NS    (250 * NS_PER_MS)
#define LEASE_SLACK_MS   500 /* a lease that has so much more time left than it should was renewed */

/* Where the items being sent come from. */
enum source { FROM_FINISHED, FROM_DISK, FROM_MEMORY };

/* ---- sending ---- */

static int send_event(struct publisher *p, struct item *x)
{
    if (x->id.ms == 0 && x->id.seq == 0)
        x->id = schema_id_next(&p->last_event, x->time_ns);
    schema_id_format(x->event->id, x->id);
    return schema_put_event(p->store, p->options->sensor, x->event);
}

static int send_closed(struct publisher *p, struct item *x, const struct carry *carry)
{
    struct schema_closed c = x->closed;

    carry_closed(carry, x, &c);
    if (x->id.ms == 0 && x->id.seq == 0)
        x->id = schema_id_next(&p->last_closed, x->time_ns);
    schema_id_format(c.id, x->id);
    if (c.start_ns < p->dropped_until_ns[c.tier]) {
        c.degraded = true;
        c.parts = 0;
    }
    if (!x->late)
        p->sensor.latest_start_ns[c.tier] = c.start_ns;
    if (c.tier == SCHEMA_BASE && p->options->live) {
        uint64_t now_ns = clock_ns(CLOCK_REALTIME), end_ns = c.start_ns + c.length_ns;
        p->sensor.lag_ns = now_ns > end_ns ? now_ns - end_ns : 0;
    }
    return schema_put_closed(p->store, p->options->sensor, &c);
}

static int send_window(struct publisher *p, const struct item *x, const struct carry *carry)
{
    struct schema_packed both;
    bool continued = carry_window(carry, x, &both);

    return schema_put_packed(p->store, p->options->sensor, x->tier, p->options->window_ns, x->scope, x->name,
                             x->time_ns, continued ? &both : &x->packed);
}

static int send_top(struct publisher *p, const struct item *x, const struct carry *carry)
{
    struct schema_flow *flows = NULL;
    size_t n = 0;

    if (!carry_top(carry, x, &flows, &n))
        return schema_put_top(p->store, p->options->sensor, x->top, x->tier, x->time_ns, x->list.flow, x->list.n);
    int result = schema_put_top(p->store, p->options->sensor, x->top, x->tier, x->time_ns, flows, n);
    free(flows);
    return result;
}

/* Appends one item's commands. -EINVAL: it can never be sent. */
static int append_item(struct publisher *p, struct item *x, const struct carry *carry)
{
    const char *sensor = p->options->sensor;

    switch ((enum item_kind)x->kind) {
    case ITEM_WINDOW:
        return send_window(p, x, carry);
    case ITEM_OBJECT:
        return schema_put_object(p->store, sensor, x->scope, x->name, x->time_ns);
    case ITEM_PRUNE:
        return schema_put_prune(p->store, sensor, x->scope, x->time_ns);
    case ITEM_EVENT:
        return send_event(p, x);
    case ITEM_CLOSED:
        return send_closed(p, x, carry);
    case ITEM_TOP:
        return send_top(p, x, carry);
    case ITEM_KIND_COUNT:
        break;
    }
    return -EINVAL;
}

/* How far behind the clock the oldest thing is that waits. */
static uint64_t lag_of(const struct publisher *p)
{
    const struct item *x = p->from_disk.first != NULL ? p->from_disk.first : p->memory.first;
    uint64_t now_ns = clock_ns(CLOCK_REALTIME);

    if (!p->options->live || x == NULL || x->kind == ITEM_PRUNE || x->time_ns >= now_ns)
        return p->sensor.lag_ns;
    uint64_t waits_ns = now_ns - x->time_ns;
    return waits_ns > p->options->window_ns + p->sensor.lag_ns ? waits_ns - p->options->window_ns : p->sensor.lag_ns;
}

static int append_state(struct publisher *p)
{
    struct schema_sensor s = p->sensor;
    int result;

    s.heartbeat_wall_ns = clock_ns(CLOCK_REALTIME);
    s.data_ns = p->data_ns;
    s.lag_ns = lag_of(p);
    s.spool_bytes = p->memory.bytes;
    s.spool_items = p->memory.n + (p->disk != NULL ? segments_items(p->disk) : 0);
    s.spool_disk_bytes = p->disk != NULL ? segments_bytes(p->disk) : 0;
    s.spool_dropped = p->dropped;
    s.reconnects = p->reconnects;
    s.store_errors = p->errors;
    result = schema_put_sensor(p->store, &s);
    for (unsigned i = 0; i < p->options->n_mirrors && result == 0; i++) {
        result = schema_put_ledger(p->store, s.name, s.mirror[i], &p->ledger[i]);
        if (result == 0 && p->verdict[i] != NULL)
            result = schema_put_verdict(p->store, s.name, s.mirror[i], p->verdict[i]);
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

/* ---- the name ---- */

/* Is the other one, of whom nothing can be known, alive? Its lease would have run down further if it were not. */
static bool was_renewed(struct publisher *p, const struct schema_holder *other)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    bool known = p->seen_other.left_ms != 0 && strcmp(p->seen_other.name, other->name) == 0;

    if (!known) {
        p->seen_other = *other;
        p->seen_ns = now_ns;
        return false;
    }
    return other->left_ms + (now_ns - p->seen_ns) / NS_PER_MS > p->seen_other.left_ms + LEASE_SLACK_MS;
}

/* 0: the name is ours. -EAGAIN: it may be soon. -EBUSY: it is another's. */
static int hold_name(struct publisher *p, struct error *e)
{
    struct schema_holder other;
    int result = schema_lease_take(p->store, p->options->sensor, p->holder, &other, e);

    if (result == -EBUSY && holder_look(other.name) == HOLDER_DEAD)
        result = schema_lease_seize(p->store, p->options->sensor, p->holder, e);
    else if (result == -EBUSY && holder_look(other.name) == HOLDER_UNKNOWN && !was_renewed(p, &other))
        result = -EAGAIN;
    p->has_name = result == 0;
    p->name_taken |= result == -EBUSY;
    if (result == -EBUSY)
        error_set(e, -EBUSY, "the sensor name \"%.63s\" is taken by %.100s; give this one another (sensor.name)",
                  p->options->sensor, other.name);
    return result;
}

/* ---- connecting ---- */

static int open_store(struct publisher *p, struct error *e)
{
    const struct analytics_options *o = p->options;

    if (p->store == NULL) {
        struct store_options options = o->store != NULL ? *o->store : (struct store_options){.url = NULL};
        options.url = o->store_url;
        options.connect_timeout_ms = CONNECT_MS;
        options.command_timeout_ms = COMMAND_MS;
        options.journal_bytes = p->spool_limit;
        return store_open(&options, &p->store, e);
    }
    return store_is_broken(p->store) || p->reconnect ? store_reconnect(p->store, e) : 0;
}

/* How earlier runs left this sensor, and where the streams end. */
static int learn(struct publisher *p, struct error *e)
{
    struct schema_id closed, event;
    int result = schema_sensor_get(p->store, p->options->sensor, &p->previous, e);

    if (result == -EPROTO) /* of another version, or not readable: it is written anew */
        result = -ENOENT;
    if (result != 0 && result != -ENOENT)
        return result;
    if (result == -ENOENT)
        p->previous.window_ns = 0;
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT && result == 0; t++)
        if (p->sensor.latest_start_ns[t] == UINT64_MAX)
            p->sensor.latest_start_ns[t] = p->previous.latest_start_ns[t];
    result = schema_stream_last(p->store, p->options->sensor, SCHEMA_STREAM_CLOSED, &closed, e);
    if (result == 0)
        result = schema_stream_last(p->store, p->options->sensor, SCHEMA_STREAM_EVENTS, &event, e);
    if (result != 0)
        return result;
    p->last_closed = closed;
    p->last_event = event;
    p->ids_known = true;
    return 0;
}

/* One attempt to connect, or connect again, under our name. */
static int connect_once(struct publisher *p, struct error *e)
{
    bool again = p->store != NULL;
    int result = open_store(p, e);

    if (result == 0)
        p->reconnect = false;
    if (result == 0)
        result = hold_name(p, e);
    if (result == 0 && !p->ids_known)
        result = learn(p, e);
    if (result != 0)
        return result;
    p->away = false;
    p->reconnects += again && p->backoff_ns != 0;
    p->news = true;
    return 0;
}

int publisher_connect(struct publisher *p, struct error *e)
{
    int result;

    while ((result = connect_once(p, e)) == -EAGAIN)
        nanosleep(&(struct timespec){.tv_nsec = (long)LEASE_POLL_NS}, NULL);
    return result;
}

/* ---- batches ---- */

/* The pipeline could not even be built; nothing was sent. */
static size_t give_up_batch(struct publisher *p)
{
    store_discard(p->store);
    error_set(&p->trouble, -ENOMEM, "no memory for a batch to the store");
    go_away(p);
    return 0;
}

/* The first n items leave the list, but for n_lost stream entries without an id, which stay in front. */
static void take_sent(struct items *list, size_t n, size_t n_lost)
{
    struct items again = {.first = NULL};

    for (size_t i = 0; i < n; i++) {
        struct item *x = items_pop(list);
        if (n_lost != 0 && publisher_is_entry(x) && x->late && x->id.ms == 0 && x->id.seq == 0)
            items_add(&again, x);
        else
            item_free(x);
    }
    while (again.n != 0 && list->first != NULL)
        items_add(&again, items_pop(list));
    if (again.n != 0)
        *list = again;
}

/* Sends up to BATCH_ITEMS of a list and what the sensor says about itself; returns how many items were taken. */
static size_t send_batch(struct publisher *p, struct items *list, const struct carry *carry, bool with_state)
{
    struct schema_outcome o;
    size_t n = 0;
    int result = 0;

    for (struct item *x = list->first; x != NULL && n < BATCH_ITEMS; x = x->next, n++) {
        result = append_item(p, x, carry);
        if (result == -EINVAL)
            p->refused++;
        else if (result != 0)
            return give_up_batch(p);
    }
    if (with_state && append_state(p) == -ENOMEM)
        return give_up_batch(p);
    result = schema_flush(p->store, &o);
    if (result != 0 || o.postponed != 0) {
        if (result != 0)
            error_set(&p->trouble, -EIO, "the connection to Redis at %.100s broke: %.100s", store_shown(p->store),
                      store_why(p->store));
        else
            error_set(&p->trouble, -EIO, "Redis: %.130s; %.110s", o.first_refusal, store_fault_todo(o.first_refusal));
        p->reconnect |= o.reconnect;
        go_away(p);
        return 0;
    }
    if (o.refused != 0) {
        p->refused += o.refused;
        p->errors += o.refused;
        error_set(&p->trouble, -EPROTO, "Redis refused to store: %.150s", o.first_refusal);
    }
    size_t n_lost = 0;
    if (o.repeated != 0 && publisher_find_lost(p, list, n, &n_lost) != 0) {
        go_away(p);
        return 0;
    }
    p->backoff_ns = 0;
    take_sent(list, n, n_lost);
    return n - n_lost;
}

/* Makes `carry` that of a run. False when the store went away over it. */
static bool want_carry(struct publisher *p, uint64_t run_ns)
{
    struct item *finished = NULL;
    int result = 0;

    if (!p->options->live || p->previous.window_ns == 0)
        run_ns = UINT64_MAX;
    if (p->carry_ns == run_ns)
        return true;
    carry_free(p->carry);
    p->carry = NULL;
    p->carry_ns = UINT64_MAX;
    if (run_ns != UINT64_MAX)
        result = carry_load(p->store, &p->previous, run_ns, &p->carry, &finished, &p->trouble);
    if (result == -EIO) {
        go_away(p);
        return false;
    }
    if (result != 0)
        p->errors++; /* told in trouble; windows begin anew */
    p->carry_ns = run_ns;
    items_set(&p->finished, finished);
    return true;
}

/* The next items of the oldest segment, and the ids that its stream entries are numbered from: those behind which the
 * last ones were numbered, or, when the same items are read once more, those from before. */
static bool fetch_from_disk(struct publisher *p)
{
    struct segment_head head;

    if (!segments_head(p->disk, &head))
        return false;
    if (!head.ids_fixed) {
        if (segments_fix_ids(p->disk, p->last_closed, p->last_event, &p->trouble) != 0)
            p->errors++;
    } else if (p->from_disk.first == NULL && segments_is_fresh(p->disk)) {
        p->last_closed = head.closed;
        p->last_event = head.event;
    } else if (p->rewound) {
        p->last_closed = p->batch_closed;
        p->last_event = p->batch_event;
    }
    p->rewound = false;
    p->batch_closed = p->last_closed;
    p->batch_event = p->last_event;
    items_set(&p->from_disk, segments_read(p->disk, BATCH_ITEMS));
    if (p->from_disk.first == NULL)
        segments_done(p->disk);
    return p->from_disk.first != NULL;
}

/* Chooses what to send next and sends it. */
static size_t send_some(struct publisher *p, bool with_state)
{
    struct items none = {.first = NULL};
    struct segment_head head;

    if (p->finished.first != NULL)
        return send_batch(p, &p->finished, NULL, with_state);
    if (p->disk != NULL && (p->from_disk.first != NULL || segments_head(p->disk, &head))) {
        if (p->from_disk.first == NULL && segments_head(p->disk, &head) && !want_carry(p, head.run_ns))
            return 0;
        if (p->finished.first != NULL)
            return send_some(p, with_state);
        bool has = p->from_disk.first != NULL || fetch_from_disk(p);
        size_t n = send_batch(p, has ? &p->from_disk : &none, p->carry, with_state);
        if (has && n != 0 && p->from_disk.first == NULL)
            segments_done(p->disk);
        return n;
    }
    if (p->run_ns != UINT64_MAX && !want_carry(p, p->run_ns))
        return 0;
    if (p->finished.first != NULL)
        return send_some(p, with_state);
    return send_batch(p, &p->memory, p->carry, with_state);
}

bool publisher_nothing_waits(const struct publisher *p)
{
    return p->memory.first == NULL && p->from_disk.first == NULL && p->finished.first == NULL &&
           (p->disk == NULL || segments_items(p->disk) == 0);
}

/* Connects when that is due. True when the store is there. */
static bool be_connected(struct publisher *p, uint64_t now_ns)
{
    if (!p->away)
        return true;
    if (now_ns < p->next_try_ns)
        return false;
    int result = connect_once(p, &p->trouble);
    if (result == -EAGAIN) {
        p->next_try_ns = now_ns + LEASE_POLL_NS;
        return false;
    }
    if (result != 0)
        go_away(p);
    return result == 0;
}

size_t publisher_step(struct publisher *p)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

    if (p->name_taken)
        return 0;
    if (!be_connected(p, now_ns)) {
        publisher_spill(p);
        return 0;
    }
    if (p->memory.bytes > p->spool_limit / SPILL_SHARE)
        publisher_spill(p);
    bool due = now_ns >= p->next_heartbeat_ns;
    if (publisher_nothing_waits(p) && !due)
        return 0;
    if (due && hold_name(p, &p->trouble) != 0) {
        go_away(p);
        return 0;
    }
    bool last_of_spool = p->disk == NULL && p->memory.n <= BATCH_ITEMS && p->news;
    size_t n = send_some(p, due || last_of_spool);
    if (!p->away && (due || last_of_spool)) {
        p->next_heartbeat_ns = now_ns + HEARTBEAT_NS;
        p->news = false;
    }
    return n;
}
