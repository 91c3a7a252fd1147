/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Reading the two streams of a sensor: markers of closed windows, and events. Entries that lack what they must have are
 * skipped and counted.
 */

#include "store/schema.h"

#include <errno.h>
#include <stdlib.h>
#include "common/timefmt.h"
#include "store/schema_read.h"

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
    int result = read_ask(s, &c, STORE_ARRAY, ret, e);
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

static void skip_entry(struct entries *x, const char *kind, const char *id)
{
    x->skipped->corrupt++;
    read_note(x->skipped, kind, id);
}

static bool tier_of(const struct store_reply *r, enum schema_tier *ret)
{
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++) {
        if (read_is(r, schema_tier_name(t))) {
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

    read_text(id, c.id, sizeof(c.id));
    for (size_t i = 0; i + 1 < store_reply_count(fields); i += 2) {
        const struct store_reply *name = store_reply_element(fields, i), *value = store_reply_element(fields, i + 1);
        if (read_is(name, "tier")) {
            seen |= tier_of(value, &c.tier) ? 1u : 0;
            continue;
        }
        if (!read_u64(value, &number))
            continue;
        if (read_is(name, "start")) {
            c.start_ns = number;
            seen |= 2;
        } else if (read_is(name, "length")) {
            c.length_ns = number;
            seen |= number != 0 ? 4u : 0;
        } else if (read_is(name, "degraded")) {
            c.degraded = number != 0;
        } else if (read_is(name, "parts")) {
            c.parts = (uint32_t)number;
        } else if (read_is(name, "expected")) {
            c.parts_expected = (uint32_t)number;
        }
    }
    if (seen == 7)
        x->closed[x->n++] = c;
    else
        skip_entry(x, "marker", c.id);
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

int schema_closed_back(struct store *s, const char *sensor, const char *before, size_t max,
                       struct schema_closed **ret_closed, size_t *ret_n, struct schema_skipped *skipped,
                       struct error *e)
{
    struct schema_skipped ignored = {0};
    struct entries x = {.skipped = skipped != NULL ? skipped : &ignored};
    char key[KEY_BYTES], end[SCHEMA_ID_BYTES + 1] = "+";
    struct store_reply *r = NULL;
    struct command c;

    if (*before != '\0')
        snprintf(end, sizeof(end), "(%s", before);
    command_start(&c, "XREVRANGE", key, key_sensor(key, sensor, "closed"));
    command_text(&c, end);
    command_text(&c, "-");
    command_text(&c, "COUNT");
    command_u64(&c, max);
    int result = read_ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    x.closed = calloc(store_reply_count(r) + 1, sizeof(*x.closed));
    if (x.closed != NULL)
        for_entries(r, &x, take_closed);
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
        if (read_is(r, event_severity_name(v))) {
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
    read_text(id, ev->id, sizeof(ev->id));
    for (size_t i = 0; i + 1 < store_reply_count(fields); i += 2) {
        const struct store_reply *name = store_reply_element(fields, i), *value = store_reply_element(fields, i + 1);
        if (read_is(name, "ts"))
            seen |= read_u64(value, &ev->ts_ns) ? 1u : 0;
        else if (read_is(name, "kind"))
            read_text(value, ev->kind_name, sizeof(ev->kind_name));
        else if (read_is(name, "severity"))
            seen |= severity_of(value, &ev->severity) ? 2u : 0;
        else if (read_is(name, "mirror"))
            read_text(value, ev->mirror, sizeof(ev->mirror));
        else if (read_is(name, "subject"))
            read_text(value, ev->subject, sizeof(ev->subject));
        else if (read_is(name, "detail"))
            read_text(value, ev->detail, sizeof(ev->detail));
    }
    ev->kind = kind_of(ev->kind_name);
    if (seen == 3 && ev->kind_name[0] != '\0')
        x->n++;
    else
        skip_entry(x, "event", ev->id);
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
    int result = read_ask(s, &c, STORE_ARRAY, &r, e);
    return result != 0 ? result : finish_events(r, r, ret_events, ret_n, skipped, e);
}

static size_t stream_key(char key[KEY_BYTES], const char *sensor, enum schema_stream which)
{
    return key_sensor(key, sensor, which == SCHEMA_STREAM_CLOSED ? "closed" : "events");
}

int schema_stream_last(struct store *s, const char *sensor, enum schema_stream which, struct schema_id *ret_id,
                       struct error *e)
{
    struct schema_id id = {0, 0};
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES], text[SCHEMA_ID_BYTES];

    command_start(&c, "XREVRANGE", key, stream_key(key, sensor, which));
    command_text(&c, "+");
    command_text(&c, "-");
    command_text(&c, "COUNT");
    command_text(&c, "1");
    int result = read_ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    if (store_reply_count(r) == 1 && store_reply_count(store_reply_element(r, 0)) == 2) {
        read_text(store_reply_element(store_reply_element(r, 0), 0), text, sizeof(text));
        char *dash = strchr(text, '-');
        if (dash == NULL || !read_parse_u64(text, (size_t)(dash - text), &id.ms) ||
            !read_parse_u64(dash + 1, strlen(dash + 1), &id.seq))
            id = (struct schema_id){0, 0};
    }
    store_reply_free(r);
    *ret_id = id;
    return 0;
}
