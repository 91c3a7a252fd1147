/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Key builders. The prefix carries the contract's version; the braces are a Redis Cluster hash tag, so that all keys of
 * a sensor lie in one slot. Names come from configuration and from packets, hence the escaping: a colon or brace in a
 * name can never make one object's key equal to another's, nor leave the sensor's slot.
 */

#include "store/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t key_escape(char *ret, size_t size, const char *name)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     strchr("-._~/()", *c) != NULL;
        if (n + (plain ? 1 : 3) >= size)
            return 0;
        if (plain) {
            ret[n++] = (char)*c;
        } else {
            ret[n++] = '%';
            ret[n++] = hex[*c >> 4];
            ret[n++] = hex[*c & 15];
        }
    }
    if (n < size)
        ret[n] = '\0';
    return n;
}

static size_t bounded(int written)
{
    return written > 0 && written < KEY_BYTES ? (size_t)written : 0;
}

size_t key_sensor(char ret[KEY_BYTES], const char *sensor, const char *tail)
{
    char name[3 * SCHEMA_SENSOR_BYTES];

    if (key_escape(name, sizeof(name), sensor) == 0)
        return 0;
    return bounded(snprintf(ret, KEY_BYTES, "sw1:{%s}:%s", name, tail));
}

size_t key_named(char ret[KEY_BYTES], const char *sensor, const char *kind, const char *name)
{
    char escaped[3 * WINDOW_NAME_BYTES], tail[3 * WINDOW_NAME_BYTES + 32];

    if (key_escape(escaped, sizeof(escaped), name) == 0)
        return 0;
    snprintf(tail, sizeof(tail), "%.30s:%s", kind, escaped);
    return key_sensor(ret, sensor, tail);
}

size_t key_windows(char ret[KEY_BYTES], const char *sensor, enum window_scope scope, const char *object,
                   uint64_t length_s, uint64_t bucket_s)
{
    char escaped[3 * WINDOW_NAME_BYTES], tail[3 * WINDOW_NAME_BYTES + 96];

    if (key_escape(escaped, sizeof(escaped), object) == 0)
        return 0;
    snprintf(tail, sizeof(tail), "w:%s:%s:%" PRIu64 ":%" PRIu64, window_scope_name(scope), escaped, length_s, bucket_s);
    return key_sensor(ret, sensor, tail);
}

bool key_frame_windows(struct key_frame *f, const char *sensor, enum window_scope scope, uint64_t length_s,
                       uint64_t bucket_s)
{
    char name[3 * SCHEMA_SENSOR_BYTES];

    if (key_escape(name, sizeof(name), sensor) == 0)
        return false;
    f->before_len = (size_t)snprintf(f->before, sizeof(f->before), "sw1:{%s}:w:%s:", name, window_scope_name(scope));
    f->behind_len = (size_t)snprintf(f->behind, sizeof(f->behind), ":%" PRIu64 ":%" PRIu64, length_s, bucket_s);
    return f->before_len < sizeof(f->before) && f->behind_len < sizeof(f->behind);
}

size_t key_framed(char ret[KEY_BYTES], const struct key_frame *f, const char *object)
{
    memcpy(ret, f->before, f->before_len);
    size_t len = key_escape(ret + f->before_len, KEY_BYTES - f->before_len - sizeof(f->behind), object);
    if (len == 0 || strlen(object) >= WINDOW_NAME_BYTES)
        return 0;
    memcpy(ret + f->before_len + len, f->behind, f->behind_len + 1);
    return f->before_len + len + f->behind_len;
}

size_t key_top(char ret[KEY_BYTES], const char *sensor, enum schema_top kind, enum schema_tier tier, uint64_t start_s)
{
    char tail[80];

    snprintf(tail, sizeof(tail), "top:%s:%s:%" PRIu64, schema_top_name(kind), schema_tier_name(tier), start_s);
    return key_sensor(ret, sensor, tail);
}
