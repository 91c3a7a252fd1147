/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The reading half of the telemetry contract: sensors, their objects, ledgers and verdicts, and the removal of a
 * sensor. Windows, streams and top lists have files of their own.
 */

#include "store/schema.h"

#include <errno.h>
#include <stdlib.h>
#include "common/timefmt.h"
#include "store/schema_read.h"

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
        if (!read_u64(store_reply_element(r, 2 * i + 1), &score) || *name == '\0')
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
    int result = read_ask(s, &c, STORE_ARRAY, &r, e);
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
#define X(field, unit, text)                                                                                           \
    if (strcmp(name, #field) == 0)                                                                                     \
        return &x->field;
    SCHEMA_SENSOR_NUMBERS(X)
#undef X
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

    read_text(name_reply, name, sizeof(name));
    bool numeric = read_u64(value, &v);
    uint64_t *number = sensor_number(x, name);
    if (number != NULL && numeric)
        *number = v;
    else if (strcmp(name, "version") == 0)
        read_text(value, x->version, sizeof(x->version));
    else if (strcmp(name, "schema") == 0 && numeric)
        *ret_schema = v;
    else if (strcmp(name, "live") == 0)
        x->live = v != 0;
    else if (strcmp(name, "stopped") == 0)
        x->stopped = v != 0;
    else if (strcmp(name, "n_mirrors") == 0)
        x->n_mirrors = v > SCHEMA_MIRRORS_MAX ? SCHEMA_MIRRORS_MAX : (uint32_t)v;
    else if (strncmp(name, "mirror_", 7) == 0 && read_parse_u64(name + 7, strlen(name + 7), &v) &&
             v < SCHEMA_MIRRORS_MAX)
        read_text(value, x->mirror[v], sizeof(x->mirror[v]));
}

int schema_sensor_get(struct store *s, const char *sensor, struct schema_sensor *ret_sensor, struct error *e)
{
    struct schema_sensor x = {.window_ns = 0};
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES];
    uint64_t schema = 0;

    command_start(&c, "HGETALL", key, key_sensor(key, sensor, "sensor"));
    int result = read_ask(s, &c, STORE_ARRAY, &r, e);
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

int schema_ledger_get(struct store *s, const char *sensor, const char *mirror, struct ledger *ret_ledger,
                      struct error *e)
{
    struct ledger l = {0};
    struct store_reply *r = NULL;
    struct command c;
    char key[KEY_BYTES];

    command_start(&c, "HGETALL", key, key_named(key, sensor, "ledger", mirror));
    int result = read_ask(s, &c, STORE_ARRAY, &r, e);
    if (result != 0)
        return result;
    size_t n = store_reply_count(r);
    for (size_t i = 0; i + 1 < n; i += 2) {
        const struct store_reply *name = store_reply_element(r, i);
        uint64_t v;
        if (!read_u64(store_reply_element(r, i + 1), &v))
            continue;
        if (read_is(name, "offered"))
            l.offered = v;
        else if (read_is(name, "processed"))
            l.processed = v;
        else if (read_is(name, "unsupported"))
            l.unsupported = (uint32_t)v;
        for (unsigned d = 0; d < LEDGER_DROP_COUNT; d++)
            if (read_is(name, ledger_drop_name(d)))
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
    int result = read_ask(s, &c, STORE_STRING, &r, e);
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
    int result = read_ask(s, &c, STORE_ARRAY, &r, e);
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
    read_text(store_reply_element(r, 0), cursor, cursor_size);
    store_reply_free(r);
    if (result != 0)
        return read_discard(s, result, e);
    return store_flush(s, NULL, NULL) == 0 ? 0 : read_connection_lost(e);
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
    result = read_ask(s, &c, STORE_INTEGER, &r, e);
    store_reply_free(r);
    if (result == 0)
        *ret_keys = keys;
    return result;
}
