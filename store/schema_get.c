/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The reading half of the telemetry contract. What is read was written by another program, maybe of another release,
 * maybe by hand: every field is checked, and what does not fit is skipped and counted, never believed.
 *
 * Cost: a range of n windows of one object takes n / 120 HGETALL for each half, a window of all objects two HGET per
 * object, all in one pipeline.
 */

#include "store/schema.h"

#include <errno.h>
#include <stdlib.h>
#include "common/timefmt.h"
#include "store/codec.h"
#include "store/command.h"
#include "store/keys.h"

#define BUCKETS_MAX 16384 /* of one read: 227 days of 10 s windows; an earlier start is moved up */

/* Decimal digits only; false on anything else or overflow. */
static bool parse_u64(const char *text, size_t len, uint64_t *ret)
{
    uint64_t v = 0;

    if (len == 0 || len > 20)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return true;
}

static bool reply_u64(const struct store_reply *r, uint64_t *ret)
{
    size_t len;
    const char *text = store_reply_string(r, &len);

    return parse_u64(text, len, ret);
}

/* Text into a fixed array; cut when too long. An embedded NUL ends it. */
static void reply_text(const struct store_reply *r, char *ret, size_t size)
{
    size_t len;
    const char *text = store_reply_string(r, &len);
    size_t n = strnlen(text, len);

    if (n >= size)
        n = size - 1;
    memcpy(ret, text, n);
    ret[n] = '\0';
}

static bool reply_is(const struct store_reply *r, const char *text)
{
    size_t len;
    const char *t = store_reply_string(r, &len);

    return len == strlen(text) && memcmp(t, text, len) == 0;
}

static int connection_lost(struct error *e)
{
    return error_set(e, -EIO, "connection to Redis lost while reading; try again");
}

/* Gives up a pipeline that could not be built: nothing of it was sent. */
static int discard(struct store *s, int result, struct error *e)
{
    store_discard(s);
    return error_set(e, result,
                     result == -ENOMEM ? "no memory for a request to Redis"
                                       : "empty or oversized name of a sensor or object");
}

/* Runs c; 0 and a reply of type `want` (or NIL), else the error. */
static int ask(struct store *s, const struct command *c, enum store_reply_type want, struct store_reply **ret,
               struct error *e)
{
    if (c->bad)
        return error_set(e, -EINVAL, "empty or oversized name of a sensor or object");
    struct store_reply *r = store_command_argv(s, c->arg, c->n);
    if (r == NULL)
        return connection_lost(e);
    enum store_reply_type type = store_reply_type(r);
    if (type == want || type == STORE_NIL) {
        *ret = r;
        return 0;
    }
    int result = error_set(e, -EPROTO, "Redis refused a read: %.150s",
                           type == STORE_ERROR ? store_reply_string(r, NULL) : "unexpected type of reply");
    store_reply_free(r);
    return result;
}

/* Replies of ZRANGE ... WITHSCORES: name, score in seconds. */
static int list_of_reply(const struct store_reply *r, struct schema_list *ret_list)
{
    size_t n = store_reply_count(r) / 2;
    struct schema_list l = {.item = calloc(n + 1, sizeof(*l.item))};

    if (l.item == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        uint64_t score = 0;
        const char *name = store_reply_string(store_reply_element(r, 2 * i), NULL);
        if (!reply_u64(store_reply_element(r, 2 * i + 1), &score) || *name == '\0')
            continue;
        l.item[l.n].last_ns = score > UINT64_MAX / NS_PER_S ? UINT64_MAX : score * NS_PER_S;
        l.item[l.n].name = strdup(name);
        if (l.item[l.n].name == NULL) {
            schema_list_free(&l);
            return -ENOMEM;
        }
        l.n++;
    }
    *ret_list = l;
    return 0;
}

static int read_list(struct store *s, const char *key, size_t key_len, uint64_t since_s, struct schema_list *ret_list,
                     struct error *e)
{
    struct store_reply *r = NULL;
    struct command c;

    command_start(&c, "ZRANGEBYSCORE", key, key_len);
    command_u64(&c, since_s);
    command_text(&c, "+inf");
    command_text(&c, "WITHSCORES");
    int result = ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    result = list_of_reply(r, ret_list);
    store_reply_free(r);
    return result == 0 ? 0 : error_set(e, result, "no memory for a list of names");
}

int schema_sensor_list(struct store *s, struct schema_list *ret_list, struct error *e)
{
    return read_list(s, KEY_REGISTRY, strlen(KEY_REGISTRY), 0, ret_list, e);
}

int schema_object_list(struct store *s, const char *sensor, enum window_scope scope, uint64_t since_ns,
                       struct schema_list *ret_list, struct error *e)
{
    char key[KEY_BYTES];

    return read_list(s, key, key_named(key, sensor, "obj", window_scope_name(scope)), since_ns / NS_PER_S, ret_list, e);
}

/* The numbers of struct schema_sensor by field name. */
static uint64_t *sensor_number(struct schema_sensor *x, const char *name)
{
    static const struct {
        const char *name;
        size_t offset;
    } numbers[] = {
#define N(field) {#field, offsetof(struct schema_sensor, field)}
        N(window_ns),  N(start_wall_ns),  N(heartbeat_wall_ns), N(data_ns),
        N(lag_ns),     N(windows_closed), N(windows_late),      N(flows),
        N(events),     N(ring_dropped),   N(spool_bytes),       N(spool_dropped),
        N(reconnects), N(store_errors),
#undef N
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(name, numbers[i].name) == 0)
            return (uint64_t *)(void *)((char *)x + numbers[i].offset);
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++)
        if (strncmp(name, "latest_", 7) == 0 && strcmp(name + 7, schema_tier_name(t)) == 0)
            return &x->latest_start_ns[t];
    return NULL;
}

static void take_sensor_field(struct schema_sensor *x, const struct store_reply *name_reply,
                              const struct store_reply *value, uint64_t *ret_schema)
{
    char name[48];
    uint64_t v = 0;
    uint64_t *number;

    reply_text(name_reply, name, sizeof(name));
    bool numeric = reply_u64(value, &v);
    number = sensor_number(x, name);
    if (number != NULL && numeric)
        *number = v;
    else if (strcmp(name, "version") == 0)
        reply_text(value, x->version, sizeof(x->version));
    else if (strcmp(name, "schema") == 0 && numeric)
        *ret_schema = v;
    else if (strcmp(name, "live") == 0)
        x->live = v != 0;
    else if (strcmp(name, "stopped") == 0)
        x->stopped = v != 0;
    else if (strcmp(name, "n_workers") == 0)
        x->n_workers = (uint32_t)v;
    else if (strcmp(name, "n_mirrors") == 0)
        x->n_mirrors = v > SCHEMA_MIRRORS_MAX ? SCHEMA_MIRRORS_MAX : (uint32_t)v;
    else if (strncmp(name, "mirror_", 7) == 0 && parse_u64(name + 7, strlen(name + 7), &v) && v < SCHEMA_MIRRORS_MAX)
        reply_text(value, x->mirror[v], sizeof(x->mirror[v]));
}

int schema_sensor_get(struct store *s, const char *sensor, struct schema_sensor *ret_sensor, struct error *e)
{
    struct schema_sensor x = {.window_ns = 0};
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES];
    uint64_t schema = 0;

    command_start(&c, "HGETALL", key, key_sensor(key, sensor, "sensor"));
    int result = ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++)
        x.latest_start_ns[t] = UINT64_MAX;
    snprintf(x.name, sizeof(x.name), "%s", sensor);
    size_t n = store_reply_count(r);
    for (size_t i = 0; i + 1 < n; i += 2)
        take_sensor_field(&x, store_reply_element(r, i), store_reply_element(r, i + 1), &schema);
    store_reply_free(r);
    if (n == 0)
        return error_set(e, -ENOENT, "no sensor named \"%.64s\" in this Redis; `spanward status` lists them", sensor);
    if (schema != SCHEMA_VERSION)
        return error_set(e, -EPROTO, "sensor \"%.64s\" writes contract version %" PRIu64 ", this program reads %d",
                         sensor, schema, SCHEMA_VERSION);
    if (x.window_ns < NS_PER_S)
        return error_set(e, -EPROTO, "sensor \"%.64s\" has no valid window length", sensor);
    *ret_sensor = x;
    return 0;
}

/* A growing array of windows; owner: the read in progress. */
struct windows {
    struct window *at;
    size_t n, size;
    int result;
};

static struct window *windows_add(struct windows *v)
{
    if (v->n == v->size) {
        size_t size = v->size != 0 ? 2 * v->size : 64;
        struct window *p = realloc(v->at, size * sizeof(*p));
        if (p == NULL) {
            v->result = -ENOMEM;
            return NULL;
        }
        v->at = p;
        v->size = size;
    }
    return &v->at[v->n++];
}

static bool decoded(enum codec_result r, struct schema_skipped *skipped)
{
    if (r == CODEC_UNKNOWN_VERSION)
        skipped->unknown_version++;
    else if (r == CODEC_CORRUPT)
        skipped->corrupt++;
    return r == CODEC_OK;
}

static bool take_half(struct window *w, const struct store_reply *value, enum key_half half,
                      struct schema_skipped *skipped)
{
    size_t len;
    const uint8_t *bytes = (const uint8_t *)store_reply_string(value, &len);

    return decoded(half == KEY_TRAFFIC ? codec_unpack_traffic(w, bytes, len) : codec_unpack_quality(w, bytes, len),
                   skipped);
}

/*
 * A read of one object's buckets: replies come as traffic, quality, traffic, ... Windows of a bucket are collected in
 * `slot` and handed over in order after its quality half. A quality half without traffic is not shown: the two are
 * written together.
 */
struct series {
    struct windows out;
    struct schema_skipped *skipped;
    struct window pattern; /* scope, name, length */
    struct window slot[SCHEMA_BUCKET_FIELDS];
    bool filled[SCHEMA_BUCKET_FIELDS];
    uint64_t first_bucket_s, bucket_length_s, since_ns, until_ns;
    bool refused;
};

static void take_bucket(struct series *x, const struct store_reply *r, enum key_half half, uint64_t bucket_s)
{
    for (size_t i = 0; i + 1 < store_reply_count(r); i += 2) {
        uint64_t index;
        if (!reply_u64(store_reply_element(r, i), &index) || index >= SCHEMA_BUCKET_FIELDS) {
            x->skipped->foreign++;
            continue;
        }
        struct window *w = &x->slot[index];
        if (half == KEY_TRAFFIC) {
            *w = x->pattern;
            w->start_ns = bucket_s * NS_PER_S + index * w->length_ns;
            x->filled[index] = take_half(w, store_reply_element(r, i + 1), half, x->skipped);
        } else if (x->filled[index]) {
            take_half(w, store_reply_element(r, i + 1), half, x->skipped);
        }
    }
}

static void on_bucket(void *ctx, size_t index, const struct store_reply *r)
{
    struct series *x = ctx;
    enum key_half half = index % 2 == 0 ? KEY_TRAFFIC : KEY_QUALITY;

    x->refused |= store_reply_type(r) == STORE_ERROR;
    take_bucket(x, r, half, x->first_bucket_s + index / 2 * x->bucket_length_s);
    if (half == KEY_TRAFFIC)
        return;
    for (unsigned i = 0; i < SCHEMA_BUCKET_FIELDS; i++) {
        struct window *w = &x->slot[i];
        if (x->filled[i] && w->start_ns >= x->since_ns && w->start_ns < x->until_ns) {
            struct window *out = windows_add(&x->out);
            if (out != NULL)
                *out = *w;
        }
        x->filled[i] = false;
    }
}

/* After the flush: what came of it. */
static int finish_windows(struct windows *v, int result, bool refused, struct window **ret_windows, size_t *ret_n,
                          struct error *e)
{
    if (result != 0)
        connection_lost(e);
    else if (v->result != 0)
        result = error_set(e, -ENOMEM, "no memory for windows");
    else if (refused)
        result = error_set(e, -EPROTO, "Redis refused to read windows; check the user's permissions");
    if (result != 0) {
        free(v->at);
        return result;
    }
    *ret_windows = v->at;
    *ret_n = v->n;
    return 0;
}

static int append_reads(struct store *s, const char *sensor, const struct series *x, uint64_t end_s)
{
    char key[KEY_BYTES];
    struct command c;
    int result = 0;

    for (uint64_t b = x->first_bucket_s; b < end_s && result == 0; b += x->bucket_length_s) {
        for (int half = 0; half < 2 && result == 0; half++) {
            size_t len =
                key_windows(key, sensor, x->pattern.scope, x->pattern.name, x->pattern.length_ns / NS_PER_S, b, half);
            command_start(&c, "HGETALL", key, len);
            result = command_append(&c, s);
        }
    }
    return result;
}

/* Narrows [since, until) to whole windows that can exist and to BUCKETS_MAX buckets; returns the end in seconds. */
static uint64_t set_range(struct series *x, const struct schema_sensor *sensor, enum schema_tier tier,
                          uint64_t since_ns, uint64_t until_ns)
{
    uint64_t latest = sensor->latest_start_ns[tier];
    uint64_t span = BUCKETS_MAX * x->bucket_length_s;

    if (latest != UINT64_MAX && until_ns > latest + x->pattern.length_ns)
        until_ns = latest + x->pattern.length_ns;
    uint64_t end_s = until_ns / NS_PER_S + (until_ns % NS_PER_S != 0);
    uint64_t from_s = since_ns / NS_PER_S;
    if (end_s > span && from_s < end_s - span)
        from_s = end_s - span;
    x->first_bucket_s = from_s / x->bucket_length_s * x->bucket_length_s;
    x->since_ns = since_ns;
    x->until_ns = until_ns;
    return end_s;
}

int schema_window_read(struct store *s, const struct schema_sensor *sensor, enum window_scope scope, const char *object,
                       enum schema_tier tier, uint64_t since_ns, uint64_t until_ns, struct window **ret_windows,
                       size_t *ret_n, struct schema_skipped *skipped, struct error *e)
{
    struct schema_skipped ignored = {0};
    struct series *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return error_set(e, -ENOMEM, "no memory for windows");
    x->skipped = skipped != NULL ? skipped : &ignored;
    x->pattern.scope = scope;
    snprintf(x->pattern.name, sizeof(x->pattern.name), "%s", object);
    x->pattern.length_ns = schema_tier_length_ns(tier, sensor->window_ns);
    x->bucket_length_s = SCHEMA_BUCKET_FIELDS * (x->pattern.length_ns / NS_PER_S);
    uint64_t end_s = set_range(x, sensor, tier, since_ns, until_ns);
    int result = append_reads(s, sensor->name, x, end_s);
    if (result != 0) {
        discard(s, result, e);
    } else {
        result = store_flush(s, on_bucket, x);
        result = finish_windows(&x->out, result, x->refused, ret_windows, ret_n, e);
    }
    free(x);
    return result;
}

/* A read of all objects in one window: replies come as traffic, quality for each name of the list. */
struct slice {
    struct windows out;
    struct schema_skipped *skipped;
    const struct schema_list *names;
    struct window pattern; /* scope, start, length */
    bool have_traffic, refused;
};

static void on_slice(void *ctx, size_t index, const struct store_reply *r)
{
    struct slice *x = ctx;
    bool is_string = store_reply_type(r) == STORE_STRING;

    x->refused |= store_reply_type(r) == STORE_ERROR;
    if (index % 2 == 1) {
        if (x->have_traffic && is_string)
            take_half(&x->out.at[x->out.n - 1], r, KEY_QUALITY, x->skipped);
        return;
    }
    x->have_traffic = false;
    struct window *w = is_string ? windows_add(&x->out) : NULL;
    if (w == NULL)
        return;
    *w = x->pattern;
    snprintf(w->name, sizeof(w->name), "%s", x->names->item[index / 2].name);
    x->have_traffic = take_half(w, r, KEY_TRAFFIC, x->skipped);
    if (!x->have_traffic)
        x->out.n--;
}

static int append_slice(struct store *s, const char *sensor, const struct slice *x)
{
    uint64_t length_s = x->pattern.length_ns / NS_PER_S;
    uint64_t number = x->pattern.start_ns / NS_PER_S / length_s;
    uint64_t index = number % SCHEMA_BUCKET_FIELDS;
    char key[KEY_BYTES];
    struct command c;
    int result = 0;

    for (size_t i = 0; i < x->names->n && result == 0; i++) {
        size_t len = key_windows(key, sensor, x->pattern.scope, x->names->item[i].name, length_s,
                                 (number - index) * length_s, KEY_TRAFFIC);
        for (int half = 0; half < 2 && result == 0; half++) {
            if (len != 0)
                key[len - 1] = half == KEY_TRAFFIC ? 't' : 'q';
            command_start(&c, "HGET", key, len);
            command_u64(&c, index);
            result = command_append(&c, s);
        }
    }
    return result;
}

int schema_window_at(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                     enum schema_tier tier, uint64_t start_ns, struct window **ret_windows, size_t *ret_n,
                     struct schema_skipped *skipped, struct error *e)
{
    struct schema_skipped ignored = {0};
    struct schema_list names = {0};
    struct slice x = {.skipped = skipped != NULL ? skipped : &ignored, .names = &names};
    int result = schema_object_list(s, sensor->name, scope, start_ns, &names, e);

    if (result != 0)
        return result;
    x.pattern.scope = scope;
    x.pattern.start_ns = start_ns;
    x.pattern.length_ns = schema_tier_length_ns(tier, sensor->window_ns);
    result = append_slice(s, sensor->name, &x);
    if (result != 0) {
        discard(s, result, e);
    } else {
        result = store_flush(s, on_slice, &x);
        result = finish_windows(&x.out, result, x.refused, ret_windows, ret_n, e);
    }
    schema_list_free(&names);
    return result;
}

int schema_window_latest(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                         enum schema_tier tier, struct window **ret_windows, size_t *ret_n,
                         struct schema_skipped *skipped, struct error *e)
{
    if (sensor->latest_start_ns[tier] == UINT64_MAX) {
        *ret_windows = NULL;
        *ret_n = 0;
        return 0;
    }
    return schema_window_at(s, sensor, scope, tier, sensor->latest_start_ns[tier], ret_windows, ret_n, skipped, e);
}

/* Calls take(ctx, id, fields) for each entry of an XRANGE reply. */
static void for_entries(const struct store_reply *entries, void *ctx,
                        void (*take)(void *, const struct store_reply *, const struct store_reply *))
{
    for (size_t i = 0; i < store_reply_count(entries); i++) {
        const struct store_reply *entry = store_reply_element(entries, i);
        if (store_reply_count(entry) == 2)
            take(ctx, store_reply_element(entry, 0), store_reply_element(entry, 1));
    }
}

/* XREAD from a cursor, with or without waiting; *ret is NULL when nothing came, else the reply, with the entries in
 * *ret_entries. */
static int read_stream(struct store *s, const char *key, size_t key_len, const char *cursor, size_t max,
                       unsigned block_ms, struct store_reply **ret, const struct store_reply **ret_entries,
                       struct error *e)
{
    struct command c = {.n = 0};

    c.bad = key_len == 0;
    command_text(&c, "XREAD");
    command_text(&c, "COUNT");
    command_u64(&c, max);
    if (block_ms != 0) {
        command_text(&c, "BLOCK");
        command_u64(&c, block_ms);
    }
    command_text(&c, "STREAMS");
    command_bytes(&c, key, key_len);
    command_text(&c, *cursor != '\0' ? cursor : "0");
    int result = ask(s, &c, STORE_ARRAY, ret, e);
    if (result != 0)
        return result;
    const struct store_reply *stream = store_reply_count(*ret) == 1 ? store_reply_element(*ret, 0) : NULL;
    *ret_entries = stream != NULL && store_reply_count(stream) == 2 ? store_reply_element(stream, 1) : *ret;
    return 0;
}

/* Entries being decoded into an array of known room. */
struct entries {
    struct schema_closed *closed;
    struct schema_event *event;
    size_t n;
    struct schema_skipped *skipped;
};

static bool tier_of(const struct store_reply *r, enum schema_tier *ret)
{
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++) {
        if (reply_is(r, schema_tier_name(t))) {
            *ret = t;
            return true;
        }
    }
    return false;
}

static void take_closed(void *ctx, const struct store_reply *id, const struct store_reply *fields)
{
    struct entries *x = ctx;
    struct schema_closed c = {0};
    uint64_t number;
    unsigned seen = 0;

    reply_text(id, c.id, sizeof(c.id));
    for (size_t i = 0; i + 1 < store_reply_count(fields); i += 2) {
        const struct store_reply *name = store_reply_element(fields, i), *value = store_reply_element(fields, i + 1);
        if (reply_is(name, "tier")) {
            seen |= tier_of(value, &c.tier) ? 1u : 0;
            continue;
        }
        if (!reply_u64(value, &number))
            continue;
        if (reply_is(name, "start")) {
            c.start_ns = number;
            seen |= 2;
        } else if (reply_is(name, "length")) {
            c.length_ns = number;
            seen |= number != 0 ? 4u : 0;
        } else if (reply_is(name, "degraded")) {
            c.degraded = number != 0;
        } else if (reply_is(name, "parts")) {
            c.parts = (uint32_t)number;
        } else if (reply_is(name, "expected")) {
            c.parts_expected = (uint32_t)number;
        }
    }
    if (seen == 7)
        x->closed[x->n++] = c;
    else
        x->skipped->corrupt++;
}

int schema_closed_read(struct store *s, const char *sensor, const char *cursor, size_t max, unsigned block_ms,
                       struct schema_closed **ret_closed, size_t *ret_n, struct schema_skipped *skipped,
                       struct error *e)
{
    struct schema_skipped ignored = {0};
    struct entries x = {.skipped = skipped != NULL ? skipped : &ignored};
    const struct store_reply *found = NULL;
    struct store_reply *r = NULL;
    char key[KEY_BYTES];
    int result = read_stream(s, key, key_sensor(key, sensor, "closed"), cursor, max, block_ms, &r, &found, e);

    if (result != 0)
        return result;
    x.closed = calloc(store_reply_count(found) + 1, sizeof(*x.closed));
    if (x.closed != NULL)
        for_entries(found, &x, take_closed);
    store_reply_free(r);
    if (x.closed == NULL)
        return error_set(e, -ENOMEM, "no memory for markers");
    *ret_closed = x.closed;
    *ret_n = x.n;
    return 0;
}

static enum event_kind kind_of(const char *name)
{
    unsigned k = 0;

    while (k < EVENT_KIND_COUNT && strcmp(name, event_kind_name(k)) != 0)
        k++;
    return k;
}

static bool severity_of(const struct store_reply *r, enum event_severity *ret)
{
    for (unsigned v = 0; v < EVENT_SEVERITY_COUNT; v++) {
        if (reply_is(r, event_severity_name(v))) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static void take_event(void *ctx, const struct store_reply *id, const struct store_reply *fields)
{
    struct entries *x = ctx;
    struct schema_event *ev = &x->event[x->n];
    unsigned seen = 0;

    *ev = (struct schema_event){.detail = "{}"};
    reply_text(id, ev->id, sizeof(ev->id));
    for (size_t i = 0; i + 1 < store_reply_count(fields); i += 2) {
        const struct store_reply *name = store_reply_element(fields, i), *value = store_reply_element(fields, i + 1);
        if (reply_is(name, "ts"))
            seen |= reply_u64(value, &ev->ts_ns) ? 1u : 0;
        else if (reply_is(name, "kind"))
            reply_text(value, ev->kind_name, sizeof(ev->kind_name));
        else if (reply_is(name, "severity"))
            seen |= severity_of(value, &ev->severity) ? 2u : 0;
        else if (reply_is(name, "mirror"))
            reply_text(value, ev->mirror, sizeof(ev->mirror));
        else if (reply_is(name, "subject"))
            reply_text(value, ev->subject, sizeof(ev->subject));
        else if (reply_is(name, "detail"))
            reply_text(value, ev->detail, sizeof(ev->detail));
    }
    ev->kind = kind_of(ev->kind_name);
    if (seen == 3 && ev->kind_name[0] != '\0')
        x->n++;
    else
        x->skipped->corrupt++;
}

static int finish_events(struct store_reply *r, const struct store_reply *found, struct schema_event **ret_events,
                         size_t *ret_n, struct schema_skipped *skipped, struct error *e)
{
    struct schema_skipped ignored = {0};
    struct entries x = {.skipped = skipped != NULL ? skipped : &ignored};

    x.event = calloc(store_reply_count(found) + 1, sizeof(*x.event));
    if (x.event != NULL)
        for_entries(found, &x, take_event);
    store_reply_free(r);
    if (x.event == NULL)
        return error_set(e, -ENOMEM, "no memory for events");
    *ret_events = x.event;
    *ret_n = x.n;
    return 0;
}

int schema_event_read(struct store *s, const char *sensor, const char *cursor, size_t max, unsigned block_ms,
                      struct schema_event **ret_events, size_t *ret_n, struct schema_skipped *skipped, struct error *e)
{
    const struct store_reply *found = NULL;
    struct store_reply *r = NULL;
    char key[KEY_BYTES];
    int result = read_stream(s, key, key_sensor(key, sensor, "events"), cursor, max, block_ms, &r, &found, e);

    return result != 0 ? result : finish_events(r, found, ret_events, ret_n, skipped, e);
}

int schema_event_range(struct store *s, const char *sensor, uint64_t since_ns, uint64_t until_ns, size_t max,
                       struct schema_event **ret_events, size_t *ret_n, struct schema_skipped *skipped, struct error *e)
{
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES];

    if (until_ns == 0 || until_ns <= since_ns) {
        *ret_events = NULL;
        *ret_n = 0;
        return 0;
    }
    command_start(&c, "XREVRANGE", key, key_sensor(key, sensor, "events"));
    command_u64(&c, (until_ns - 1) / 1000000);
    command_u64(&c, since_ns / 1000000);
    command_text(&c, "COUNT");
    command_u64(&c, max);
    int result = ask(s, &c, STORE_ARRAY, &r, e);
    return result != 0 ? result : finish_events(r, r, ret_events, ret_n, skipped, e);
}

/* Merging top lists: all flows of all lists, then sorted and made unique. Owner: the read in progress. */
struct tops {
    struct schema_flow *flow;
    size_t n, size;
    struct schema_skipped *skipped;
    int result;
};

static void add_flow(struct tops *x, uint64_t score, const char *json, size_t len)
{
    if (x->n == x->size) {
        size_t size = x->size != 0 ? 2 * x->size : 128;
        struct schema_flow *p = realloc(x->flow, size * sizeof(*p));
        if (p == NULL) {
            x->result = -ENOMEM;
            return;
        }
        x->flow = p;
        x->size = size;
    }
    char *copy = strndup(json, len);
    if (copy == NULL)
        x->result = -ENOMEM;
    else
        x->flow[x->n++] = (struct schema_flow){score, copy};
}

static void on_top(void *ctx, size_t index, const struct store_reply *r)
{
    struct tops *x = ctx;
    size_t len;
    const char *text = store_reply_string(r, &len);
    const char *end = text + len;

    (void)index;
    if (store_reply_type(r) != STORE_STRING)
        return;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        const char *tab = line_end != NULL ? memchr(text, '\t', (size_t)(line_end - text)) : NULL;
        uint64_t score;
        if (tab == NULL || !parse_u64(text, (size_t)(tab - text), &score) || tab[1] != '{')
            x->skipped->corrupt++;
        else
            add_flow(x, score, tab + 1, (size_t)(line_end - tab) - 1);
        text = line_end != NULL ? line_end + 1 : end;
    }
}

static int compare_flows(const void *a, const void *b)
{
    const struct schema_flow *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return strcmp(x->json, y->json);
}

static size_t sort_unique(struct schema_flow *flow, size_t n, size_t max)
{
    size_t kept = 0;

    if (n > 0)
        qsort(flow, n, sizeof(*flow), compare_flows);
    for (size_t i = 0; i < n; i++) {
        if (kept < max && (kept == 0 || compare_flows(&flow[kept - 1], &flow[i]) != 0))
            flow[kept++] = flow[i];
        else
            free(flow[i].json);
    }
    return kept;
}

/* Appends a GET for each list of the index that starts in the range: members are "tier:start". */
static int append_tops(struct store *s, const char *sensor, enum schema_top kind, const struct store_reply *index,
                       struct schema_skipped *skipped)
{
    int result = 0;

    for (size_t i = 0; i < store_reply_count(index) && result == 0; i++) {
        char member[48], key[KEY_BYTES];
        struct command c;
        uint64_t start_s;
        reply_text(store_reply_element(index, i), member, sizeof(member));
        char *colon = strchr(member, ':');
        bool minute = strncmp(member, "1min:", 5) == 0;
        if (colon == NULL || (!minute && strncmp(member, "1h:", 3) != 0) ||
            !parse_u64(colon + 1, strlen(colon + 1), &start_s)) {
            skipped->foreign++;
            continue;
        }
        command_start(&c, "GET", key, key_top(key, sensor, kind, minute ? SCHEMA_1MIN : SCHEMA_1H, start_s));
        result = command_append(&c, s);
    }
    return result;
}

int schema_top_read(struct store *s, const char *sensor, enum schema_top kind, uint64_t since_ns, uint64_t until_ns,
                    size_t max, struct schema_flow **ret_flows, size_t *ret_n, struct schema_skipped *skipped,
                    struct error *e)
{
    struct schema_skipped ignored = {0};
    struct tops x = {.skipped = skipped != NULL ? skipped : &ignored};
    struct store_reply *index = NULL;
    struct command c;
    char key[KEY_BYTES];

    *ret_flows = NULL;
    *ret_n = 0;
    if (until_ns == 0)
        return 0;
    command_start(&c, "ZRANGEBYSCORE", key, key_sensor(key, sensor, "tops"));
    command_u64(&c, since_ns / NS_PER_S);
    command_u64(&c, (until_ns - 1) / NS_PER_S);
    int result = ask(s, &c, STORE_ARRAY, &index, e);
    if (result != 0)
        return result;
    result = append_tops(s, sensor, kind, index, x.skipped);
    store_reply_free(index);
    if (result != 0)
        discard(s, result, e);
    else if (store_flush(s, on_top, &x) != 0)
        result = connection_lost(e);
    else if (x.result != 0)
        result = error_set(e, -ENOMEM, "no memory for flows");
    if (result != 0) {
        schema_flows_free(x.flow, x.n);
        return result;
    }
    *ret_n = sort_unique(x.flow, x.n, max);
    *ret_flows = x.flow;
    return 0;
}

int schema_ledger_get(struct store *s, const char *sensor, const char *mirror, struct ledger *ret_ledger,
                      struct error *e)
{
    struct ledger l = {0};
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES];

    command_start(&c, "HGETALL", key, key_named(key, sensor, "ledger", mirror));
    int result = ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    size_t n = store_reply_count(r);
    for (size_t i = 0; i + 1 < n; i += 2) {
        const struct store_reply *name = store_reply_element(r, i);
        uint64_t v;
        if (!reply_u64(store_reply_element(r, i + 1), &v))
            continue;
        if (reply_is(name, "offered"))
            l.offered = v;
        else if (reply_is(name, "processed"))
            l.processed = v;
        else if (reply_is(name, "unsupported"))
            l.unsupported = (uint32_t)v;
        for (unsigned d = 0; d < LEDGER_DROP_COUNT; d++)
            if (reply_is(name, ledger_drop_name(d)))
                l.drops[d] = v;
    }
    store_reply_free(r);
    if (n == 0)
        return error_set(e, -ENOENT, "no ledger of mirror \"%.64s\"", mirror);
    *ret_ledger = l;
    return 0;
}

int schema_verdict_get(struct store *s, const char *sensor, const char *mirror, char **ret_json, struct error *e)
{
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES];

    command_start(&c, "GET", key, key_named(key, sensor, "verdict", mirror));
    int result = ask(s, &c, STORE_STRING, &r, e);
    if (result != 0)
        return result;
    if (store_reply_type(r) == STORE_NIL) {
        result = error_set(e, -ENOENT, "no verdict on mirror \"%.64s\" yet", mirror);
    } else {
        *ret_json = strdup(store_reply_string(r, NULL));
        if (*ret_json == NULL)
            result = error_set(e, -ENOMEM, "no memory for a verdict");
    }
    store_reply_free(r);
    return result;
}

int schema_stream_last(struct store *s, const char *sensor, enum schema_stream which, struct schema_id *ret_id,
                       struct error *e)
{
    struct schema_id id = {0, 0};
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES], text[SCHEMA_ID_BYTES];

    command_start(&c, "XREVRANGE", key, key_sensor(key, sensor, which == SCHEMA_STREAM_CLOSED ? "closed" : "events"));
    command_text(&c, "+");
    command_text(&c, "-");
    command_text(&c, "COUNT");
    command_text(&c, "1");
    int result = ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    if (store_reply_count(r) == 1 && store_reply_count(store_reply_element(r, 0)) == 2) {
        reply_text(store_reply_element(store_reply_element(r, 0), 0), text, sizeof(text));
        char *dash = strchr(text, '-');
        if (dash == NULL || !parse_u64(text, (size_t)(dash - text), &id.ms) ||
            !parse_u64(dash + 1, strlen(dash + 1), &id.seq))
            id = (struct schema_id){0, 0};
    }
    store_reply_free(r);
    *ret_id = id;
    return 0;
}

/* One SCAN step and the removal of what it found; the cursor moves on. */
static int forget_step(struct store *s, const char *pattern, char *cursor, size_t cursor_size, uint64_t *keys,
                       struct error *e)
{
    struct store_reply *r = NULL;
    struct command c = {.n = 0};

    command_text(&c, "SCAN");
    command_text(&c, cursor);
    command_text(&c, "MATCH");
    command_text(&c, pattern);
    command_text(&c, "COUNT");
    command_text(&c, "500");
    int result = ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    if (store_reply_count(r) != 2) {
        store_reply_free(r);
        return error_set(e, -EPROTO, "unexpected reply to SCAN");
    }
    const struct store_reply *found = store_reply_element(r, 1);
    for (size_t i = 0; i < store_reply_count(found) && result == 0; i++) {
        size_t len;
        const char *key = store_reply_string(store_reply_element(found, i), &len);
        command_start(&c, "UNLINK", key, len);
        result = command_append(&c, s);
    }
    *keys += store_reply_count(found);
    reply_text(store_reply_element(r, 0), cursor, cursor_size);
    store_reply_free(r);
    if (result != 0)
        return discard(s, result, e);
    return store_flush(s, NULL, NULL) == 0 ? 0 : connection_lost(e);
}

int schema_sensor_forget(struct store *s, const char *sensor, uint64_t *ret_keys, struct error *e)
{
    char pattern[KEY_BYTES], cursor[32] = "0";
    struct store_reply *r = NULL;
    struct command c;
    uint64_t keys = 0;
    int result;

    if (key_sensor(pattern, sensor, "*") == 0)
        return error_set(e, -EINVAL, "empty or oversized name of a sensor");
    do {
        result = forget_step(s, pattern, cursor, sizeof(cursor), &keys, e);
    } while (result == 0 && strcmp(cursor, "0") != 0);
    if (result != 0)
        return result;
    command_start(&c, "ZREM", KEY_REGISTRY, strlen(KEY_REGISTRY));
    command_text(&c, sensor);
    result = ask(s, &c, STORE_INTEGER, &r, e);
    store_reply_free(r);
    if (result == 0)
        *ret_keys = keys;
    return result;
}
