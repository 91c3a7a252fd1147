/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RECURRENCE_H
#define SPANWARD_RECURRENCE_H

/*
 * Does this fault come back at the same time? Tests on the onsets of one fingerprint; see docs/RECURRENCE.md. Pure
 * functions of (onsets, exposure, date of the look).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/entities.h"

#define RECURRENCE_DATES    84 /* looks back over 12 weeks */
#define RECURRENCE_SLOT     3u /* hours */
#define RECURRENCE_PATTERNS 8u
#define RECURRENCE_LONG     196 /* month ends are looked for over 28 weeks */
#define RECURRENCE_SHORT    14  /* and periods below a day over two */
#define HISTORY_MOST        512u

/* One occurrence as it is stored (little endian), no padding. */
struct occurrence {
    uint64_t onset_ns, end_ns;
    uint64_t exposure_n;
    uint32_t lost_upstream_pkts, lost_downstream_pkts, lost_unknown_pkts; /* saturating */
    uint32_t incident;                                                    /* number of its INC- id */
    uint32_t bad_minutes;
    float value; /* over its bad minutes */
    float peak;
    float baseline;
    uint8_t severity;
    uint8_t flags; /* OCCURRENCE_* */
    uint8_t spare[6];
};
#define OCCURRENCE_EXPLAINED 1u /* a member of an incident with a cause of its own: that one recurs, not this */
#define OCCURRENCE_AGAIN     2u /* the same incident, after it had cleared: a moment, its sums are in the first */
_Static_assert(sizeof(struct occurrence) == 64, "occurrence has no padding");

/* Occurrences of one fingerprint, ascending by onset. The oldest are forgotten beyond HISTORY_MOST. */
struct history {
    struct occurrence *item;
    uint32_t n, room;
};
int history_add(struct history *h, const struct occurrence *o);
void history_fini(struct history *h);

/* The observed past of one fingerprint as cells: masks of hours per date, index 0 = the oldest date. */
struct recurrence_days {
    int32_t first_date;
    uint32_t n;
    uint32_t seen[RECURRENCE_LONG + 1]; /* the extra date holds what slots beyond midnight need */
    uint32_t onset[RECURRENCE_LONG + 1];
};

struct recurrence_pattern {
    enum pattern_class class;
    uint8_t weekday;
    uint8_t first_slot, last_slot; /* slot starts that confirm together */
    uint8_t best_slot;
    uint32_t k, n, dates_hit, dates_seen, weeks;
    double hit_rate, lift, p_value;
    uint32_t period_min, phase_min; /* hourly */
    bool passes;                    /* all conditions but the one across fingerprints */
};

/*
 * Collects the last RECURRENCE_DATES dates before `today`; exposure(ctx, date) gives the hours observed on a date (it
 * may be NULL: all hours of all dates since the first onset).
 */
void recurrence_collect(struct recurrence_days *d, const struct history *h, int32_t today,
                        uint32_t (*exposure)(const void *ctx, int32_t date), const void *ctx);

/* The same over RECURRENCE_LONG dates. */
void recurrence_collect_long(struct recurrence_days *d, const struct history *h, int32_t today,
                             uint32_t (*exposure)(const void *ctx, int32_t date), const void *ctx);

/* The days that a month-end pattern may mean (kept in `weekday`). */
#define MONTH_DAYS(X)                                                                                                  \
    X(LAST, "last day")                                                                                                \
    X(LAST_WORKING, "last working day")                                                                                \
    X(FIRST, "first day")
#define X(symbol, name) MONTH_DAY_##symbol,
enum month_day { MONTH_DAYS(X) MONTH_DAY_COUNT };
#undef X
bool recurrence_month_day(enum month_day which, int32_t date);

/* The best month-end cell of a long collection; false when none comes near. */
bool recurrence_month_end(const struct recurrence_days *d, struct recurrence_pattern *ret, double *best_p);

/*
 * A period of one to twelve hours in the onsets of the last RECURRENCE_SHORT dates before today. exposure as above, not
 * NULL. False when there is none.
 */
bool recurrence_hourly(const struct history *h, int32_t today, uint32_t (*exposure)(const void *ctx, int32_t date),
                       const void *ctx, struct recurrence_pattern *ret, double *best_p);

/* One weekly cell: counts and corrected p-value. */
void recurrence_weekly_cell(const struct recurrence_days *d, uint8_t weekday, uint8_t slot,
                            struct recurrence_pattern *ret);

/*
 * All patterns that pass or come near (k >= 3), best first per class; returns how many. *ret_best_p is the smallest
 * p-value of any cell with k >= 4, for the correction across fingerprints; 1 when there is none.
 */
size_t recurrence_test(const struct recurrence_days *d, struct recurrence_pattern ret[RECURRENCE_PATTERNS],
                       double *ret_best_p);

/* Whether an onset (local date and hour; any, for patterns without a slot) belongs to hours from..to (to may exceed 24)
 * of a pattern, an hour of grace each side. */
bool recurrence_matches(enum pattern_class class, uint8_t weekday, unsigned from_hour, unsigned to_hour, int32_t date,
                        unsigned hour);

/* The tightest full hours that hold the pattern's occurrences, five minutes of grace. */
void recurrence_hours(const struct recurrence_pattern *p, const struct history *h, int32_t first_date,
                      unsigned *ret_from, unsigned *ret_to);

/* "every 2 hours, at 01:20 and so on"; returns buf. */
char *recurrence_period_text(char *buf, size_t size, uint32_t period_min, uint32_t phase_min);

/* "every Tuesday 08:00-11:00" with an en dash; returns buf. */
char *recurrence_text(char *buf, size_t size, enum pattern_class class, uint8_t weekday, unsigned from_hour,
                      unsigned to_hour);

#endif
