/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SCHEMA_H
#define SPANWARD_SCHEMA_H

/*
 * Telemetry contract v1: what the probe's analytics writes to Redis and what control and the CLI read.
 *
 * The API in one look
 *   who is there    schema_sensor_list, schema_sensor_get (heartbeat, lag, latest window per tier, mirrors)
 *   objects         schema_object_list: paths, services, hosts, mirrors with the time of their last window
 *   windows         schema_window_read (one object, one tier, a time range, ascending)
 *                   schema_window_at (all objects of a scope in the window that starts at a time)
 *                   schema_window_latest (the same for the newest closed window: what `spanward paths` shows)
 *   follow          schema_closed_read: markers "this window is complete and all of it is stored", by cursor;
 *                   schema_event_read by cursor, schema_event_range by time
 *   flows           schema_top_read: worst finished flows by loss, latency or bytes, as their JSON records
 *   trust           schema_ledger_get, schema_verdict_get
 *   write           schema_put_*: append to the connection's pipeline; the caller flushes with
 *                   schema_flush, which tells refused repeats (harmless) from errors
 *
 * Rules. Every key is `sw1:{SENSOR}:KIND:...` and built in keys.c only; the hash tag keeps a sensor in one Cluster
 * slot. Names are escaped (%XX) in keys and may hold any bytes but NUL. All values are absolute: writing a window twice
 * changes nothing. Streams have explicit ids taken from time and sequence, so a repeated entry is refused by Redis. All
 * telemetry expires, counted from its last write (not from data time, so that old captures can be looked at).
 *
 * Reading returns arrays that the caller frees with free(), or lists with a free function of their own. An empty
 * answer is 0 with n = 0. Values of an unknown version, corrupt values and foreign fields are skipped and counted in
 * struct schema_skipped. Errors: -EIO connection (see store_is_broken), -EPROTO Redis refused (text in e), -ENOENT no
 * such sensor, -ENOMEM. One `struct store` belongs to one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/counters.h"
#include "common/events.h"
#include "common/log.h"
#include "common/window.h"
#include "store/store.h"

#define SCHEMA_VERSION        1
#define SCHEMA_SENSOR_BYTES   64 /* name with its end; also for mirrors */
#define SCHEMA_MIRRORS_MAX    16
#define SCHEMA_ID_BYTES       44 /* stream id "ms-seq" */
#define SCHEMA_DETAIL_BYTES   1536
#define SCHEMA_TOP_MAX        128 /* members of a top list */
#define SCHEMA_BUCKET_WINDOWS 15  /* per hash, two fields each: Redis looks for each field from the first on */

/*
 * Retention tiers: symbol, name, window length in s (0: the sensor's own window length), seconds kept after the last
 * write, text. Coarser tiers that are not longer than the sensor's window do not exist.
 */
#define SCHEMA_TIERS(X)                                                                                                \
    X(BASE, "base", 0, 2 * 3600, "the sensor's own windows, 10 s by default")                                          \
    X(1MIN, "1min", 60, 48 * 3600, "one minute")                                                                       \
    X(15MIN, "15min", 900, 35 * 86400, "a quarter of an hour")                                                         \
    X(1H, "1h", 3600, 400 * 86400, "one hour")

enum schema_tier {
#define X(symbol, name, length_s, keep_s, text) SCHEMA_##symbol,
    SCHEMA_TIERS(X)
#undef X
        SCHEMA_TIER_COUNT
};
const char *schema_tier_name(enum schema_tier t);
uint64_t schema_tier_length_ns(enum schema_tier t, uint64_t base_length_ns);
bool schema_tier_exists(enum schema_tier t, uint64_t base_length_ns);

/* Counted while reading; add up over calls. Any pointer to it may be NULL. */
struct schema_skipped {
    uint64_t unknown_version;           /* written by another release */
    uint64_t corrupt;                   /* does not decode */
    uint64_t foreign;                   /* keys, fields or members that this contract does not know */
    char first[WINDOW_NAME_BYTES + 16]; /* which was the first: "path A~B", "event 17-0"; "": none. Untrusted */
};

/*
 * A sensor as it describes itself. Owner: the caller. Written by analytics after each window and at least every
 * few seconds; wall times are the probe's clock, data times come from packets.
 * An entry of latest_start_ns is UINT64_MAX while no window of that tier was closed.
 */
#define SCHEMA_SENSOR_NUMBERS(X)                                                                                       \
    X(window_ns, "ns", "length of base windows")                                                                       \
    X(start_wall_ns, "ns", "when the program was started")                                                             \
    X(heartbeat_wall_ns, "ns", "its last sign of life")                                                                \
    X(data_ns, "ns", "newest data time seen, 0: none yet")                                                             \
    X(lag_ns, "ns", "live: how far what is stored is behind the clock, from the end of a window")                      \
    X(n_workers, "workers", "worker cores")                                                                            \
    X(windows_closed, "windows", "closed base windows")                                                                \
    X(windows_late, "parts", "workers' parts that came after their window was closed; not merged")                     \
    X(flows, "flows", "finished flows")                                                                                \
    X(events, "events", "events")                                                                                      \
    X(flows_active, "flows", "in the flow table now")                                                                  \
    X(flows_evicted, "flows", "cut short because the flow table was full")                                             \
    X(pool_in_use, "blocks", "state blocks for flows with trouble, in use now")                                        \
    X(pool_exhausted, "times", "a flow went without a state block")                                                    \
    X(ring_dropped, "records", "lost between a worker and analytics")                                                  \
    X(wrong_worker, "packets", "came by another worker's queue than those of their innermost addresses")               \
    X(clock_backwards, "packets", "had an earlier time than one before; taken as simultaneous")                        \
    X(fragments_unmatched, "fragments", "later fragments without the ports of their first")                            \
    X(fragments_malformed, "datagrams", "in fragments that contradict each other")                                     \
    X(fragments_evicted, "datagrams", "in fragments, forgotten before they were whole")                                \
    X(spool_bytes, "bytes", "waiting in memory for Redis")                                                             \
    X(spool_items, "items", "waiting for Redis, in memory and on disk")                                                \
    X(spool_disk_bytes, "bytes", "waiting on disk for Redis")                                                          \
    X(spool_dropped, "items", "given up because the spool was full")                                                   \
    X(reconnects, "times", "Redis came back")                                                                          \
    X(store_errors, "errors", "connections that broke and commands that Redis refused")

struct schema_sensor {
    char name[SCHEMA_SENSOR_BYTES];
    char version[32]; /* of the program */
    bool live;        /* false: reading files */
    bool stopped;     /* ended in good order */
#define X(field, unit, text) uint64_t field;
    SCHEMA_SENSOR_NUMBERS(X)
#undef X
    uint64_t latest_start_ns[SCHEMA_TIER_COUNT];
    uint32_t n_mirrors;
    char mirror[SCHEMA_MIRRORS_MAX][SCHEMA_SENSOR_BYTES];
};

/* Names with the time when each was last heard of, in no particular order. */
struct schema_list {
    struct schema_list_item {
        char *name;
        uint64_t last_ns; /* sensors: wall time of the heartbeat; objects: start of the last window (full seconds) */
    } * item;
    size_t n;
};
void schema_list_free(struct schema_list *l);

int schema_sensor_list(struct store *s, struct schema_list *ret_list, struct error *e);
/* -ENOENT when there is none; -EPROTO when its data is of another version. */
int schema_sensor_get(struct store *s, const char *sensor, struct schema_sensor *ret_sensor, struct error *e);
/* Objects of a scope whose last window (of any tier) started at or after since_ns; 0 = all. */
int schema_object_list(struct store *s, const char *sensor, enum window_scope scope, uint64_t since_ns,
                       struct schema_list *ret_list, struct error *e);

/* Windows with since_ns <= start < until_ns, ascending. `sensor` comes from schema_sensor_get (its window_ns counts).
 */
int schema_window_read(struct store *s, const struct schema_sensor *sensor, enum window_scope scope, const char *object,
                       enum schema_tier tier, uint64_t since_ns, uint64_t until_ns, struct window **ret_windows,
                       size_t *ret_n, struct schema_skipped *skipped, struct error *e);
/* All objects of a scope in the window that starts at start_ns: one pipeline. */
int schema_window_at(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                     enum schema_tier tier, uint64_t start_ns, struct window **ret_windows, size_t *ret_n,
                     struct schema_skipped *skipped, struct error *e);
/* The same for up to SCHEMA_WINDOWS_AT_ONCE windows from start_ns on; those of one object are ascending. */
#define SCHEMA_WINDOWS_AT_ONCE 32
int schema_window_all(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                      enum schema_tier tier, uint64_t start_ns, uint64_t n_windows, struct window **ret_windows,
                      size_t *ret_n, struct schema_skipped *skipped, struct error *e);
/* The same for the newest closed window of the tier, whose start is in sensor->latest_start_ns[tier]. */
int schema_window_latest(struct store *s, const struct schema_sensor *sensor, enum window_scope scope,
                         enum schema_tier tier, struct window **ret_windows, size_t *ret_n,
                         struct schema_skipped *skipped, struct error *e);

/*
 * A marker: all objects' windows of (tier, start) are in the store. degraded: the sensor lost messages, evicted flows
 * or missed workers' parts in it, so no ticket may rest on it. parts < parts_expected: base windows are missing (start,
 * stop, spool drops): coverage.
 */
struct schema_closed {
    char id[SCHEMA_ID_BYTES]; /* cursor: pass the last one to the next read */
    enum schema_tier tier;
    bool degraded;
    uint32_t parts, parts_expected;
    uint64_t start_ns, length_ns;
};
/*
 * Markers after `cursor` ("" or "0": from the beginning), oldest first, at most `max`. block_ms > 0 waits that long for
 * the first (keep it below the command time-out). The caller stores the cursor with what it derived from the markers.
 */
int schema_closed_read(struct store *s, const char *sensor, const char *cursor, size_t max, unsigned block_ms,
                       struct schema_closed **ret_closed, size_t *ret_n, struct schema_skipped *skipped,
                       struct error *e);

/* Markers before the one with the id `before` ("": from the newest), newest first, at most `max`. */
int schema_closed_back(struct store *s, const char *sensor, const char *before, size_t max,
                       struct schema_closed **ret_closed, size_t *ret_n, struct schema_skipped *skipped,
                       struct error *e);

/* An event. kind_name is always set; kind is EVENT_KIND_COUNT for one that this release does not know. Texts are
 * untrusted. */
struct schema_event {
    char id[SCHEMA_ID_BYTES];
    uint64_t ts_ns;
    enum event_kind kind;
    enum event_severity severity;
    char kind_name[48];
    char mirror[SCHEMA_SENSOR_BYTES];
    char subject[128];
    char detail[SCHEMA_DETAIL_BYTES]; /* a JSON object */
};
int schema_event_read(struct store *s, const char *sensor, const char *cursor, size_t max, unsigned block_ms,
                      struct schema_event **ret_events, size_t *ret_n, struct schema_skipped *skipped, struct error *e);
/* The newest `max` events with since_ns <= time < until_ns (millisecond resolution), newest first. */
int schema_event_range(struct store *s, const char *sensor, uint64_t since_ns, uint64_t until_ns, size_t max,
                       struct schema_event **ret_events, size_t *ret_n, struct schema_skipped *skipped,
                       struct error *e);

/*
 * Worst finished flows. Lists are made per minute (32 members, kept 2 h) and per hour (64 members, kept 7 d). The score
 * is lost packets, the worse side's mean RTT in us, or bytes.
 */
#define SCHEMA_TOPS(X)                                                                                                 \
    X(LOSS, "loss")                                                                                                    \
    X(LATENCY, "latency")                                                                                              \
    X(BYTES, "bytes")
enum schema_top {
#define X(symbol, name) SCHEMA_TOP_##symbol,
    SCHEMA_TOPS(X)
#undef X
        SCHEMA_TOP_COUNT
};
const char *schema_top_name(enum schema_top t);

struct schema_flow {
    uint64_t score;
    char *json; /* the flow's NDJSON record without the line end; untrusted texts in it are JSON-escaped */
};
void schema_flows_free(struct schema_flow *flows, size_t n);
/* The `max` worst flows of the lists that start in [since_ns, until_ns), worst first, each flow once. */
int schema_top_read(struct store *s, const char *sensor, enum schema_top kind, uint64_t since_ns, uint64_t until_ns,
                    size_t max, struct schema_flow **ret_flows, size_t *ret_n, struct schema_skipped *skipped,
                    struct error *e);

/* The account of a mirror since the sensor's start. -ENOENT when there is none. */
int schema_ledger_get(struct store *s, const char *sensor, const char *mirror, struct ledger *ret_ledger,
                      struct error *e);
/* The verdict's JSON record; free it. -ENOENT when there is none yet. */
int schema_verdict_get(struct store *s, const char *sensor, const char *mirror, char **ret_json, struct error *e);

/*
 * Writing: each appends one or more commands to the pipeline of s. 0, -EINVAL (empty or oversized name), -ENOMEM.
 * Nothing is sent before schema_flush.
 */
int schema_put_sensor(struct store *s, const struct schema_sensor *sensor);
/* w->length_ns must be the tier's length; start is rounded down to it. */
int schema_put_window(struct store *s, const char *sensor, enum schema_tier tier, uint64_t base_length_ns,
                      const struct window *w);
/* The same in two steps, for who keeps windows until the store is back: packing once, sending as often as needed. */
struct schema_packed {
    uint8_t traffic_len, quality_len; /* quality_len 0: nothing to store */
    uint8_t traffic[64], quality[64];
};
void schema_pack(const struct window *w, struct schema_packed *ret_packed);
/* The window's counters, quality and quantiles; false when they do not decode. */
bool schema_unpack(const struct schema_packed *p, struct window *w);
int schema_put_packed(struct store *s, const char *sensor, enum schema_tier tier, uint64_t base_length_ns,
                      enum window_scope scope, const char *name, uint64_t start_ns, const struct schema_packed *p);
/* To the registry: object `name` has a window that starts at start_ns. Once per object and window, not per tier. */
int schema_put_object(struct store *s, const char *sensor, enum window_scope scope, const char *name,
                      uint64_t start_ns);
/* Forgets objects whose last window started before before_ns. */
int schema_put_prune(struct store *s, const char *sensor, enum window_scope scope, uint64_t before_ns);
/* c->id: explicit id, greater than the stream's last (schema_stream_last, schema_id_next). */
int schema_put_closed(struct store *s, const char *sensor, const struct schema_closed *c);
int schema_put_event(struct store *s, const char *sensor, const struct schema_event *ev);
/* flows sorted by the caller, worst first, at most SCHEMA_TOP_MAX; tier SCHEMA_1MIN or SCHEMA_1H. */
int schema_put_top(struct store *s, const char *sensor, enum schema_top kind, enum schema_tier tier, uint64_t start_ns,
                   const struct schema_flow *flows, size_t n);
/*
 * The lease of a sensor's name, so that two running sensors cannot write under one name. holder: text that no other run
 * has. Expires SCHEMA_LEASE_MS after it was last taken or renewed.
 *   schema_lease_take     0: it is ours, taken or renewed; -EBUSY: another holds it, as told in *ret_other
 *   schema_lease_seize    takes it from whoever has it: only when that one is known to be dead
 *   schema_lease_release  gives it up, if it is ours
 *   schema_lease_look     who has it; an empty name: nobody
 * SCHEMA_CONTROL in the place of a sensor's name is the lease of control, which no sensor may be named after.
 */
#define SCHEMA_CONTROL      "ctl"
#define SCHEMA_LEASE_MS     10000
#define SCHEMA_HOLDER_BYTES 128
struct schema_holder {
    char name[SCHEMA_HOLDER_BYTES]; /* untrusted */
    uint64_t left_ms;               /* until it expires, unless it is renewed */
};
int schema_lease_take(struct store *s, const char *sensor, const char *holder, struct schema_holder *ret_other,
                      struct error *e);
int schema_lease_seize(struct store *s, const char *sensor, const char *holder, struct error *e);
int schema_lease_release(struct store *s, const char *sensor, const char *holder, struct error *e);
int schema_lease_look(struct store *s, const char *sensor, struct schema_holder *ret, struct error *e);

int schema_put_ledger(struct store *s, const char *sensor, const char *mirror, const struct ledger *l);
int schema_put_verdict(struct store *s, const char *sensor, const char *mirror, const char *json);

/* What became of a pipeline. Repeats are stream entries whose id is not beyond the last one: see
 * analytics/publish_find.c. */
struct schema_outcome {
    uint64_t applied, repeated;
    uint64_t refused;        /* for good: wrong type, no permission */
    uint64_t postponed;      /* out of memory, loading, rights missing, ...: an outage, try all of it again later */
    bool reconnect;          /* postponed, and another connection may help: a replica, not authenticated, slot moved */
    char first_refusal[160]; /* Redis's text, "" when none */
};
/* 0, or -EIO when the connection broke: nothing is known then, append and flush all of it again. */
int schema_flush(struct store *s, struct schema_outcome *ret_outcome);

/* Stream ids. The last id of a stream: {0, 0} when it is empty. */
struct schema_id {
    uint64_t ms, seq;
};
enum schema_stream { SCHEMA_STREAM_CLOSED, SCHEMA_STREAM_EVENTS };
int schema_stream_last(struct store *s, const char *sensor, enum schema_stream which, struct schema_id *ret_id,
                       struct error *e);
/* An id for time ts_ns that is greater than *last; moves *last. */
struct schema_id schema_id_next(struct schema_id *last, uint64_t ts_ns);
void schema_id_format(char ret_text[SCHEMA_ID_BYTES], struct schema_id id);

/* Removes everything of a sensor, in small steps. Returns the number of keys removed in *ret_keys. */
int schema_sensor_forget(struct store *s, const char *sensor, uint64_t *ret_keys, struct error *e);

#endif
