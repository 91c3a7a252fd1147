/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_QUIET_H
#define SPANWARD_QUIET_H

/* The short way of quiet minutes: all metrics of one object that are as usual, in a few cache lines; see quiet.c. */

#include "control/detect.h"

#define QUIET_SHARES  METRIC_RTT_A /* shares are the first metrics */
#define QUIET_VALUES  (METRIC_COUNT - QUIET_SHARES)
#define QUIET_WINDOWS 64u

/*
 * Owner: the object. Invariant: a series whose bit is in metrics is normal, out of its last minutes none, in the hour
 * (date, hour), and behind by the windows counted here until quiet_settle.
 */
struct quiet {
    _Alignas(64) uint32_t metrics; /* bits 1 << enum metric */
    int32_t date;                  /* the local hour that is being collected */
    uint32_t last_minute;
    uint8_t hour;
    uint8_t minutes;            /* of a window */
    uint8_t windows;            /* rows of code that are filled */
    uint8_t n[METRIC_COUNT];    /* windows in which it was observed, not yet settled */
    uint8_t from[QUIET_VALUES]; /* the first row that is not settled */
    double high[QUIET_VALUES];  /* limits of the hour */
    double low[QUIET_VALUES];
    struct baseline_counts counts[QUIET_SHARES];
    uint16_t code[QUIET_WINDOWS][QUIET_VALUES]; /* SERIES_UNSEEN: not observed */
    struct series *series[METRIC_COUNT];        /* of those in metrics */
};

#define QUIET_ALL ((1u << METRIC_COUNT) - 1)

/*
 * Takes the metrics of a window that are as usual (or not observed) and returns their bits. The others, and all when
 * the window begins another hour or is of another length, have been brought up to date and want a series_step.
 */
unsigned quiet_take(struct quiet *q, const struct detect_params *p, const struct observation *o, uint32_t end_minute,
                    uint32_t minutes, const struct local_time *t);

/* After a series_step: takes the series in when it is as usual. */
void quiet_join(struct quiet *q, struct series *x, uint32_t minutes);

/* Brings the series up to date; they stay here. */
void quiet_settle(struct quiet *q);
/* The same, and those of these bits go back to series_step. */
void quiet_leave(struct quiet *q, unsigned metrics);

#endif
