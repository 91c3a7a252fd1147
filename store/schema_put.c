/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The writing half of the telemetry contract. Every function appends to the connection's pipeline; nothing is sent
 * before schema_flush. Values are absolute (HSET, SET, ZADD GT, XADD with an explicit id), so the same commands may be
 * sent twice.
 *
 * Expiry is set with each write, counted from it, and spread by up to an eighth of the tier's time from a hash of the
 * key: buckets that were made together do not all expire in the same second, and both halves of a bucket expire
 * together.
 */

#include "store/schema.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "store/codec.h"
#include "store/command.h"
#include "store/keys.h"

#define CLOSED_MAXLEN 262144
#define EVENTS_MAXLEN 262144
#define TOPS_MAX      4096 /* lists in the index: more than live at any time */
#define LONGEST_S     (400ull * 86400)

static const uint64_t tier_keep_s[SCHEMA_TIER_COUNT] = {
#define X(symbol, name, length_s, keep_s, text) [SCHEMA_##symbol] = keep_s,
    SCHEMA_TIERS(X)
#undef X
};

static uint64_t hash_bytes(const char *p, size_t len)
{
    uint64_t h = len;

    for (size_t i = 0; i < len; i++)
        h = mix64(h ^ (unsigned char)p[i]);
    return h;
}

static int append_expire(struct store *s, const char *key, size_t key_len, uint64_t seconds)
{
    struct command c;

    command_start(&c, "EXPIRE", key, key_len);
    command_u64(&c, seconds);
    return command_append(&c, s);
}

static int put_sensor_fields(struct store *s, const struct schema_sensor *sensor, const char *key, size_t key_len)
{
    struct command c;

    command_start(&c, "HSET", key, key_len);
    command_field(&c, "schema", SCHEMA_VERSION);
    command_text(&c, "version");
    command_text(&c, sensor->version);
    command_field(&c, "live", sensor->live);
    command_field(&c, "stopped", sensor->stopped);
#define X(field, unit, text) command_field(&c, #field, sensor->field);
    SCHEMA_SENSOR_NUMBERS(X)
#undef X
    return command_append(&c, s);
}

/* What comes in lists: the mirrors' names and the newest window of each tier. */
static int put_sensor_lists(struct store *s, const struct schema_sensor *sensor, const char *key, size_t key_len)
{
    char mirror_field[SCHEMA_MIRRORS_MAX][24], latest_field[SCHEMA_TIER_COUNT][24];
    struct command c;

    command_start(&c, "HSET", key, key_len);
    command_field(&c, "n_mirrors", sensor->n_mirrors);
    for (uint32_t i = 0; i < sensor->n_mirrors && i < SCHEMA_MIRRORS_MAX; i++) {
        snprintf(mirror_field[i], sizeof(mirror_field[i]), "mirror_%u", i);
        command_text(&c, mirror_field[i]);
        command_text(&c, sensor->mirror[i]);
    }
    for (unsigned t = 0; t < SCHEMA_TIER_COUNT; t++) {
        if (sensor->latest_start_ns[t] == UINT64_MAX)
            continue;
        snprintf(latest_field[t], sizeof(latest_field[t]), "latest_%s", schema_tier_name(t));
        command_field(&c, latest_field[t], sensor->latest_start_ns[t]);
    }
    return command_append(&c, s);
}

int schema_put_sensor(struct store *s, const struct schema_sensor *sensor)
{
    char key[KEY_BYTES];
    size_t len = key_sensor(key, sensor->name, "sensor");
    struct command c;

    if (len == 0)
        return -EINVAL;
    int result = put_sensor_fields(s, sensor, key, len);
    if (result == 0)
        result = put_sensor_lists(s, sensor, key, len);
    if (result == 0)
        result = append_expire(s, key, len, LONGEST_S);
    if (result != 0)
        return result;
    command_start(&c, "ZADD", KEY_REGISTRY, strlen(KEY_REGISTRY));
    command_u64(&c, sensor->heartbeat_wall_ns / NS_PER_S);
    command_text(&c, sensor->name);
    return command_append(&c, s);
}

void schema_pack(const struct window *w, struct schema_packed *ret_packed)
{
    static_assert(sizeof(ret_packed->traffic) == CODEC_BYTES, "schema.h and codec.h agree");
    ret_packed->traffic_len = (uint8_t)codec_pack_traffic(ret_packed->traffic, w);
    ret_packed->quality_len = (uint8_t)codec_pack_quality(ret_packed->quality, w);
}

bool schema_unpack(const struct schema_packed *p, struct window *w)
{
    return codec_unpack_traffic(w, p->traffic, p->traffic_len) == CODEC_OK &&
           (p->quality_len == 0 || codec_unpack_quality(w, p->quality, p->quality_len) == CODEC_OK);
}

int schema_put_packed(struct store *s, const char *sensor, enum schema_tier tier, uint64_t base_length_ns,
                      enum window_scope scope, const char *name, uint64_t start_ns, const struct schema_packed *p)
{
    uint64_t length_s = schema_tier_length_ns(tier, base_length_ns) / NS_PER_S;
    char key[KEY_BYTES];
    struct command c;

    if (length_s == 0)
        return -EINVAL;
    uint64_t number = start_ns / NS_PER_S / length_s;
    uint64_t index = number % SCHEMA_BUCKET_WINDOWS;
    size_t len = key_windows(key, sensor, scope, name, length_s, (number - index) * length_s);
    uint64_t keep_s = tier_keep_s[tier] + SCHEMA_BUCKET_WINDOWS * length_s;
    command_start(&c, "HSET", key, len);
    command_u64(&c, 2 * index);
    command_bytes(&c, p->traffic, p->traffic_len);
    if (p->quality_len != 0) {
        command_u64(&c, 2 * index + 1);
        command_bytes(&c, p->quality, p->quality_len);
    }
    int result = command_append(&c, s);
    if (result == 0 && p->quality_len == 0) { /* that of an earlier writing would be another window's */
        command_start(&c, "HDEL", key, len);
        command_u64(&c, 2 * index + 1);
        result = command_append(&c, s);
    }
    return result == 0 ? append_expire(s, key, len, keep_s + hash_bytes(key, len) % (keep_s / 8 + 1)) : result;
}

int schema_put_window(struct store *s, const char *sensor, enum schema_tier tier, uint64_t base_length_ns,
                      const struct window *w)
{
    struct schema_packed p;

    schema_pack(w, &p);
    return schema_put_packed(s, sensor, tier, base_length_ns, w->scope, w->name, w->start_ns, &p);
}

int schema_put_object(struct store *s, const char *sensor, enum window_scope scope, const char *name, uint64_t start_ns)
{
    char key[KEY_BYTES];
    size_t len = key_named(key, sensor, "obj", window_scope_name(scope));
    struct command c;

    if (*name == '\0')
        return -EINVAL;
    command_start(&c, "ZADD", key, len);
    command_text(&c, "GT");
    command_u64(&c, start_ns / NS_PER_S);
    command_text(&c, name);
    return command_append(&c, s);
}

int schema_put_prune(struct store *s, const char *sensor, enum window_scope scope, uint64_t before_ns)
{
    char key[KEY_BYTES];
    size_t len = key_named(key, sensor, "obj", window_scope_name(scope));
    struct command c;

    command_start(&c, "ZREMRANGEBYSCORE", key, len);
    command_text(&c, "-inf");
    command_u64(&c, before_ns / NS_PER_S);
    int result = command_append(&c, s);
    return result == 0 ? append_expire(s, key, len, LONGEST_S) : result;
}

static void start_xadd(struct command *c, const char *key, size_t len, uint64_t max_len, const char *id)
{
    command_start(c, "XADD", key, len);
    command_text(c, "MAXLEN");
    command_text(c, "~");
    command_u64(c, max_len);
    command_text(c, id);
}

int schema_put_closed(struct store *s, const char *sensor, const struct schema_closed *closed)
{
    char key[KEY_BYTES];
    size_t len = key_sensor(key, sensor, "closed");
    struct command c;

    start_xadd(&c, key, len, CLOSED_MAXLEN, closed->id);
    command_text(&c, "tier");
    command_text(&c, schema_tier_name(closed->tier));
    command_field(&c, "start", closed->start_ns);
    command_field(&c, "length", closed->length_ns);
    command_field(&c, "degraded", closed->degraded);
    command_field(&c, "parts", closed->parts);
    command_field(&c, "expected", closed->parts_expected);
    int result = command_append(&c, s);
    return result == 0 ? append_expire(s, key, len, LONGEST_S) : result;
}

int schema_put_event(struct store *s, const char *sensor, const struct schema_event *ev)
{
    char key[KEY_BYTES];
    size_t len = key_sensor(key, sensor, "events");
    struct command c;

    start_xadd(&c, key, len, EVENTS_MAXLEN, ev->id);
    command_field(&c, "ts", ev->ts_ns);
    command_text(&c, "kind");
    command_text(&c, ev->kind_name);
    command_text(&c, "severity");
    command_text(&c, event_severity_name(ev->severity));
    command_text(&c, "mirror");
    command_text(&c, ev->mirror);
    command_text(&c, "subject");
    command_text(&c, ev->subject);
    command_text(&c, "detail");
    command_text(&c, ev->detail);
    int result = command_append(&c, s);
    return result == 0 ? append_expire(s, key, len, LONGEST_S) : result;
}

/* "score\tjson\n" per flow; free it. */
static char *top_lines(const struct schema_flow *flows, size_t n, size_t *ret_len)
{
    size_t size = 1;

    for (size_t i = 0; i < n; i++)
        size += strlen(flows[i].json) + 24;
    char *text = malloc(size);
    if (text == NULL)
        return NULL;
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += (size_t)sprintf(text + len, "%" PRIu64 "\t%s\n", flows[i].score, flows[i].json);
    *ret_len = len;
    return text;
}

int schema_put_top(struct store *s, const char *sensor, enum schema_top kind, enum schema_tier tier, uint64_t start_ns,
                   const struct schema_flow *flows, size_t n)
{
    char key[KEY_BYTES], index[KEY_BYTES], member[48];
    uint64_t start_s = start_ns / NS_PER_S;
    size_t text_len = 0;
    struct command c;

    if (n > SCHEMA_TOP_MAX || (tier != SCHEMA_1MIN && tier != SCHEMA_1H))
        return -EINVAL;
    char *text = top_lines(flows, n, &text_len);
    if (text == NULL)
        return -ENOMEM;
    command_start(&c, "SET", key, key_top(key, sensor, kind, tier, start_s));
    command_bytes(&c, text, text_len);
    command_text(&c, "EX");
    command_u64(&c, tier == SCHEMA_1MIN ? 2 * 3600 : 7 * 86400);
    int result = command_append(&c, s);
    free(text);
    if (result != 0)
        return result;
    snprintf(member, sizeof(member), "%s:%" PRIu64, schema_tier_name(tier), start_s);
    size_t index_len = key_sensor(index, sensor, "tops");
    command_start(&c, "ZADD", index, index_len);
    command_u64(&c, start_s);
    command_text(&c, member);
    result = command_append(&c, s);
    if (result != 0)
        return result;
    char cut[16];
    snprintf(cut, sizeof(cut), "-%d", TOPS_MAX + 1);
    command_start(&c, "ZREMRANGEBYRANK", index, index_len);
    command_text(&c, "0");
    command_text(&c, cut);
    result = command_append(&c, s);
    return result == 0 ? append_expire(s, index, index_len, 8 * 86400) : result;
}

int schema_put_ledger(struct store *s, const char *sensor, const char *mirror, const struct ledger *l)
{
    char key[KEY_BYTES];
    size_t len = key_named(key, sensor, "ledger", mirror);
    struct command c;

    command_start(&c, "HSET", key, len);
    command_field(&c, "offered", l->offered);
    command_field(&c, "processed", l->processed);
    command_field(&c, "unsupported", l->unsupported);
    for (unsigned d = 0; d < LEDGER_DROP_COUNT; d++)
        command_field(&c, ledger_drop_name(d), l->drops[d]);
    int result = command_append(&c, s);
    return result == 0 ? append_expire(s, key, len, LONGEST_S) : result;
}

int schema_put_verdict(struct store *s, const char *sensor, const char *mirror, const char *json)
{
    char key[KEY_BYTES];
    struct command c;

    command_start(&c, "SET", key, key_named(key, sensor, "verdict", mirror));
    command_text(&c, json);
    command_text(&c, "EX");
    command_u64(&c, LONGEST_S);
    return command_append(&c, s);
}

/* Sorts a reply into applied, repeated, postponed or refused. */
static void take_outcome(void *ctx, size_t index, const struct store_reply *r)
{
    struct schema_outcome *o = ctx;

    (void)index;
    if (store_reply_type(r) != STORE_ERROR) {
        o->applied++;
        return;
    }
    const char *text = store_reply_string(r, NULL);
    if (strstr(text, "XADD is equal or smaller") != NULL) {
        o->repeated++;
        return;
    }
    if (o->first_refusal[0] == '\0')
        snprintf(o->first_refusal, sizeof(o->first_refusal), "%s", text);
    switch (store_fault_of(text)) {
    case STORE_FAULT_DEMOTED:
    case STORE_FAULT_ACCESS:
    case STORE_FAULT_TOPOLOGY:
        o->reconnect = true;
        o->postponed++;
        return;
    case STORE_FAULT_PASSING:
        o->postponed++;
        return;
    case STORE_FAULT_NONE:
    case STORE_FAULT_REFUSED:
    case STORE_FAULT_COUNT:
        break;
    }
    o->refused++;
}

int schema_flush(struct store *s, struct schema_outcome *ret_outcome)
{
    *ret_outcome = (struct schema_outcome){0};
    return store_flush(s, take_outcome, ret_outcome);
}
