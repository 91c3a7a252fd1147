/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_KEYS_H
#define SPANWARD_STORE_KEYS_H

/*
 * Every telemetry key, for the files of this folder and their tests only. Names are escaped, lengths are bounded; a
 * builder returns the key's length, or 0 when a name is empty or too long, which callers turn into -EINVAL.
 */

#include <stddef.h>
#include <stdint.h>
#include "store/schema.h"

#define KEY_BYTES    1024
#define KEY_REGISTRY "sw1:sensors"

/* Builder, pattern after "sw1:{SENSOR}:", type, text. docs/SCHEMA.md is checked against this table. */
#define SCHEMA_KEYS(X)                                                                                                 \
    X("sensor", "hash", "the sensor's description of itself")                                                          \
    X("lease", "string", "who runs under this name: host, process and start; expires unless renewed")                  \
    X("closed", "stream", "markers of closed windows")                                                                 \
    X("events", "stream", "events")                                                                                    \
    X("obj:SCOPE", "zset", "object names with the start of their last window")                                         \
    X("w:SCOPE:OBJECT:LENGTH:BUCKET", "hash", "windows of an object, packed")                                          \
    X("tops", "zset", "index of top lists")                                                                            \
    X("top:KIND:TIER:START", "string", "worst finished flows")                                                         \
    X("ledger:MIRROR", "hash", "account of packets since start")                                                       \
    X("verdict:MIRROR", "string", "verdict record")

/*
 * Writes `name` so that it can stand between colons and braces: letters, digits and "-._~/()" stay, all else becomes
 * %XX. Returns the length, or 0 when it does not fit in `size` with its end or is empty.
 */
size_t key_escape(char *ret, size_t size, const char *name);

/* "sw1:{SENSOR}:TAIL" */
size_t key_sensor(char ret[KEY_BYTES], const char *sensor, const char *tail);
/* "sw1:{SENSOR}:KIND:NAME" with NAME escaped */
size_t key_named(char ret[KEY_BYTES], const char *sensor, const char *kind, const char *name);
/* A bucket of windows; bucket_s is the bucket's start in seconds. */
size_t key_windows(char ret[KEY_BYTES], const char *sensor, enum window_scope scope, const char *object,
                   uint64_t length_s, uint64_t bucket_s);
/* The same for many objects: what stands before and behind the object's name is made once. */
struct key_frame {
    char before[KEY_BYTES / 2], behind[64];
    size_t before_len, behind_len;
};
/* False when the sensor's name does not fit. */
bool key_frame_windows(struct key_frame *f, const char *sensor, enum window_scope scope, uint64_t length_s,
                       uint64_t bucket_s);
size_t key_framed(char ret[KEY_BYTES], const struct key_frame *f, const char *object);
size_t key_top(char ret[KEY_BYTES], const char *sensor, enum schema_top kind, enum schema_tier tier, uint64_t start_s);

#endif
