/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DETECT_H
#define SPANWARD_DETECT_H

/*
 * From an observation to an anomaly: one series per (object, metric), fed with closed windows in time order. A series
 * belongs to control's thread; what must survive a restart is in struct series_state and in the baseline. See
 * docs/DETECTION.md.
 */

#include <stdbool.h>
#include <stdint.h>
#include "control/baseline.h"
#include "store/entities.h"

enum metric_kind { METRIC_SHARE, METRIC_VALUE, METRIC_LOAD };

/* symbol, JSON name, fault class, direction, kind */
#define METRICS(X)                                                                                                     \
    X(LOSS_A2B, "loss_a2b", FAULT_LOSS, DIRECTION_A2B, METRIC_SHARE)                                                   \
    X(LOSS_B2A, "loss_b2a", FAULT_LOSS, DIRECTION_B2A, METRIC_SHARE)                                                   \
    X(CONNECT, "connect", FAULT_CONNECT, DIRECTION_BOTH, METRIC_SHARE)                                                 \
    X(RTT_A, "rtt_a", FAULT_LATENCY, DIRECTION_SIDE_A, METRIC_VALUE)                                                   \
    X(RTT_B, "rtt_b", FAULT_LATENCY, DIRECTION_SIDE_B, METRIC_VALUE)                                                   \
    X(LOAD_A2B, "load_a2b", FAULT_LOAD, DIRECTION_A2B, METRIC_LOAD)                                                    \
    X(LOAD_B2A, "load_b2a", FAULT_LOAD, DIRECTION_B2A, METRIC_LOAD)

#define X(symbol, name, fault, direction, kind) METRIC_##symbol,
enum metric { METRICS(X) METRIC_COUNT };
#undef X

struct metric_info {
    const char *name;
    enum fault_class fault;
    enum fault_direction direction;
    enum metric_kind kind;
};
extern const struct metric_info metric_info[METRIC_COUNT];

/* What one closed window says about one object; several sensors' windows are merged before. */
struct observation {
    enum window_quality quality;
    struct {
        uint64_t bytes, judged_pkts, lost_upstream_pkts, lost_downstream_pkts, lost_unknown_pkts;
    } dir[2];
    uint64_t rtt_n[2]; /* side A, side B */
    uint64_t rtt_p50_ns[2];
    uint64_t connects, failed_connects;
    uint64_t new_flows;
};
void observation_from_window(struct observation *o, const struct window *w);
void observation_merge(struct observation *into, const struct observation *from);

struct detect_params {
    double loss_share; /* detect.loss_percent / 100 */
    double rtt_factor;
    uint64_t min_pkts;
};

#define ANOMALY_STATES(X)                                                                                              \
    X(UNKNOWN, "unknown")                                                                                              \
    X(NORMAL, "normal")                                                                                                \
    X(SUSPECT, "suspect")                                                                                              \
    X(ANOMALOUS, "anomalous")                                                                                          \
    X(CLEARING, "clearing")
#define X(symbol, name) ANOMALY_##symbol,
enum anomaly_state { ANOMALY_STATES(X) ANOMALY_STATE_COUNT };
#undef X
const char *anomaly_state_name(enum anomaly_state s);

enum verdict {
    VERDICT_UNOBSERVED, /* blind, unsure or too little traffic: neither good nor bad */
    VERDICT_UNKNOWN,    /* observed, but nothing to compare with yet */
    VERDICT_QUIET,
    VERDICT_OUT_WEAK, /* out by a fall-back bin of a load metric: suspicion only, and still learnt */
    VERDICT_OUT,
};

#define EXPOSURE_DATES 196 /* 28 weeks: month-end patterns need 26 */

/* Small state, saved after each change as it is (little endian). Minutes count from the epoch. No padding. */
struct series_state {
    uint32_t version;
    uint32_t last_minute;  /* end of the last window seen */
    uint32_t onset_minute; /* of the current or last anomaly */
    uint32_t bad_end_minute;
    int32_t hour_date; /* local hour being collected; valid while hour_open */
    uint8_t hour;
    uint8_t hour_open;
    uint8_t hour_observed_minutes;
    uint8_t n_pending;
    int32_t exposure_date; /* the newest date in the ring; INT32_MIN = none */
    uint32_t exposure_today;
    uint16_t out_mask; /* bit 0 = latest minute */
    uint8_t state;     /* enum anomaly_state */
    uint8_t quiet_minutes;
    uint32_t spare;
    struct baseline_counts counts;
    uint16_t pending[BASELINE_HOURLY];
};
_Static_assert(sizeof(struct series_state) == 200, "series_state has no padding");

#define SERIES_DIRTY_STATE    1u
#define SERIES_DIRTY_EXPOSURE 2u
#define SERIES_DIRTY_GROUP(g) (4u << (g)) /* g = 0..6: a weekday's bins, 7: hours of the day and global */

struct series {
    struct series_state s;
    double high, low;          /* limits in the hour being collected */
    struct baseline_view view; /* of that hour */
    uint32_t dirty;
    uint8_t metric;                    /* enum metric */
    uint32_t exposure[EXPOSURE_DATES]; /* by date modulo: bit h = hour h was observed */
    struct baseline baseline;
};

/* What a step found out. `value` and n are of this window; for a share value is the share. */
struct detection {
    enum verdict verdict;
    bool entered, left;
    double value;
    double expected;
    uint64_t n;
};

void series_init(struct series *x, enum metric metric);
void series_fini(struct series *x);

/* A window of `minutes` length that ends at end_minute; t is the local time of its start. */
void series_step(struct series *x, const struct detect_params *p, const struct observation *o, uint32_t end_minute,
                 uint32_t minutes, const struct local_time *t, struct detection *ret);

/* Gives up an anomaly of which nothing was observed for long; true when it was one. */
bool series_abandon(struct series *x);

/* After loading: what is derived from state and baseline. */
void series_restore(struct series *x);

/* Whether a window says anything about a metric: objects without it need no series. */
bool metric_present(enum metric metric, const struct observation *o);

/* Hours observed on a date (bit per hour), 0 outside the ring. */
uint32_t series_exposure(const struct series *x, int32_t date);

#endif
