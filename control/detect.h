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
#include "control/holidays.h"
#include "store/entities.h"

enum metric_kind { METRIC_SHARE, METRIC_VALUE, METRIC_LOAD };

/*
 * symbol, JSON name, fault class, direction, kind, detector (a file of that name in control/detectors/), side; shares
 * come first
 */
#define METRICS(X)                                                                                                     \
    X(LOSS_A2B, "loss_a2b", FAULT_LOSS, DIRECTION_A2B, METRIC_SHARE, loss, 0)                                          \
    X(LOSS_B2A, "loss_b2a", FAULT_LOSS, DIRECTION_B2A, METRIC_SHARE, loss, 1)                                          \
    X(CONNECT, "connect", FAULT_CONNECT, DIRECTION_BOTH, METRIC_SHARE, connect, 0)                                     \
    X(RTT_A, "rtt_a", FAULT_LATENCY, DIRECTION_SIDE_A, METRIC_VALUE, latency, 0)                                       \
    X(RTT_B, "rtt_b", FAULT_LATENCY, DIRECTION_SIDE_B, METRIC_VALUE, latency, 1)                                       \
    X(LOAD_A2B, "load_a2b", FAULT_LOAD, DIRECTION_A2B, METRIC_LOAD, load, 0)                                           \
    X(LOAD_B2A, "load_b2a", FAULT_LOAD, DIRECTION_B2A, METRIC_LOAD, load, 1)

#define X(symbol, name, fault, direction, kind, how, side) METRIC_##symbol,
enum metric { METRICS(X) METRIC_COUNT };
#undef X

struct metric_info {
    const char *name;
    enum fault_class fault;
    enum fault_direction direction;
    enum metric_kind kind;
};
extern const struct metric_info metric_info[METRIC_COUNT];
/* The metric of that JSON name, METRIC_COUNT when there is none. */
enum metric metric_of(const char *name);

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
    const struct holidays *holidays; /* may be NULL */
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

#define SERIES_VERSION 2u

/*
 * Small state, saved after each change as it is (little endian). Minutes count from the epoch. No padding. What every
 * minute touches comes first.
 */
struct series_state {
    uint32_t version;
    uint32_t last_minute; /* end of the last window seen */
    int32_t hour_date;    /* local hour being collected; valid while hour_open */
    uint8_t hour;
    uint8_t hour_open;
    uint8_t hour_observed_minutes;
    uint8_t n_pending;
    uint16_t out_mask; /* bit 0 = latest minute */
    uint8_t state;     /* enum anomaly_state */
    uint8_t quiet_minutes;
    uint8_t hour_out_minutes;
    uint8_t hour_n; /* windows of this hour that were compared with the baseline */
    uint8_t holiday;
    uint8_t spare;
    int32_t hour_codes;    /* their distance from the median, in codes */
    uint32_t onset_minute; /* of the current or last anomaly */
    uint32_t bad_end_minute;
    int32_t exposure_date; /* the newest date in the ring; INT32_MIN = none */
    uint32_t exposure_today;
    float drift;              /* cumulated excess of hours over the baseline; see detect.c */
    float level;              /* mean of the logarithm of value / baseline while it stays elsewhere */
    uint16_t level_hours;     /* so many observed hours it has stayed there */
    uint16_t back_hours;      /* hours in a row that were as usual */
    uint32_t level_minute;    /* since when */
    uint32_t proposed_minute; /* when a new normal was proposed; 0: none waits for an answer */
    uint32_t refused_minute;  /* when a person refused it: not proposed again while the level stays; 0: not */
    struct baseline_counts counts;
    uint16_t pending[BASELINE_HOURLY];
};
_Static_assert(sizeof(struct series_state) == 232, "series_state has no padding");

#define SERIES_DIRTY_STATE    1u
#define SERIES_DIRTY_EXPOSURE 2u
#define SERIES_DIRTY_GROUP(g) (4u << (g)) /* g = 0..6: a weekday's bins, 7: hours of the day and global */

#define SERIES_DRIFTING       30.0f /* from here on the hours have drifted; see level.c */
#define SERIES_LINE           64u

/* The first cache line is all that a quiet minute reads. */
struct series {
    _Alignas(SERIES_LINE) double high;
    double low; /* limits in the hour being collected */
    uint32_t dirty;
    uint8_t metric;     /* enum metric */
    uint8_t level;      /* enum baseline_level of view */
    uint8_t limits_due; /* after loading: limits are to be derived */
    uint8_t spare;
    struct series_state s;
    struct baseline_view view;         /* of that hour */
    int32_t median_code;               /* of view.median */
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
/* One on the heap, on a cache line; freed with free() after series_fini. NULL without memory. */
struct series *series_new(enum metric metric);

/* A window of `minutes` length that ends at end_minute; t is the local time of its start. */
void series_step(struct series *x, const struct detect_params *p, const struct observation *o, uint32_t end_minute,
                 uint32_t minutes, const struct local_time *t, struct detection *ret);

/* Codes of observed windows of the hour, `stride` apart, SERIES_UNSEEN left out; taught: they are learnt, too. */
#define SERIES_UNSEEN UINT16_MAX
void series_collect_codes(struct series *x, const uint16_t *codes, unsigned stride, unsigned n, bool taught);

/* Gives up an anomaly of which nothing was observed for long; true when it was one. */
bool series_abandon(struct series *x);

/* After loading: what is derived from state and baseline. */
void series_restore(struct series *x);

/*
 * What a person says to a proposed new normal. Approve: everything learnt moves to the new level. Refuse: it stays a
 * fault. -EINVAL when nothing is proposed.
 */
int series_approve(struct series *x, struct error *e);
int series_refuse(struct series *x, uint32_t now_minute, struct error *e);

/*
 * A detector: what a kind of metric is and when a minute of it is out. One file in control/detectors/ with one `const
 * struct detector detector_NAME`, a measure_NAME in measure.h there, and lines in METRICS. side: direction or side of
 * the tap, 0 or 1.
 */
struct detector {
    bool (*present)(const struct observation *o, int side);
    /* Fills in value, n and, when out, expected. */
    enum verdict (*judge)(const struct series *x, const struct detect_params *p, const struct observation *o, int side,
                          uint32_t minutes, struct detection *ret);
    /* x->high and x->low for the hour, from x->view; NULL: the detector has none. */
    void (*limits)(struct series *x, const struct detect_params *p);
};
/* Shares are tested as counts against a limit and the baseline; see control/detectors/share.c. */
struct measured;
enum verdict judge_share(const struct series *x, const struct measured *v);

/* Whether a window says anything about a metric: objects without it need no series. */
bool metric_present(enum metric metric, const struct observation *o);

/* Whether a window says enough about it to be judged. */
bool metric_observed(enum metric metric, const struct detect_params *p, const struct observation *o);

/* What a window of so many minutes is in the metric's unit: share, ns, bits/s. False when it says nothing about it. */
bool metric_value(enum metric metric, const struct observation *o, uint32_t minutes, double *ret);

/* Hours observed on a date (bit per hour), 0 outside the ring. */
uint32_t series_exposure(const struct series *x, int32_t date);

#endif
