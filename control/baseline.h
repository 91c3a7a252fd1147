/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_BASELINE_H
#define SPANWARD_BASELINE_H

/*
 * What is normal for one metric of one object: 168 local hour-of-week bins with 24 hour-of-day bins and one global bin
 * to fall back on. A bin is 64 bytes and belongs to control's thread. See docs/DETECTION.md.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "control/localtime.h"
#include "store/entities.h"

#define BASELINE_CENTROIDS 14u
#define BASELINE_HOURLY    64u /* most values that one hour teaches */

/*
 * Values are kept as 16-bit floating codes (0.2 % rounding); code order is value order.
 * Invariant: value[] ascends; periods counts distinct weeks (hour-of-week bins) or dates (others), saturating.
 */
struct baseline_bin {
    uint16_t last_date; /* low 16 bits of the date that taught it last: the decay is due from there */
    uint8_t periods;
    uint8_t n_centroids;
    uint32_t spare;
    union {
        struct {
            uint16_t value[BASELINE_CENTROIDS];
            uint16_t weight[BASELINE_CENTROIDS];
        } sketch;
        struct {
            double trials, hits, hits2_per_trial, windows; /* decayed sums */
        } counts;
    } u;
};
_Static_assert(sizeof(struct baseline_bin) == 64, "a bin is 64 bytes");

/*
 * Bins come in groups that exist once something was learnt: 0..6 the hours of a weekday, 7 the hours of the day
 * and, last, the global bin. Owner: the series. An object that was seen once stays small.
 */
#define BASELINE_GROUPS     8u
#define BASELINE_GROUP_BINS 25u
#define BASELINE_DAY_GROUP  7u
struct baseline {
    struct baseline_bin *group[BASELINE_GROUPS];
};
void baseline_fini(struct baseline *b);
/* Bins of a group, made (empty) when missing; NULL without memory. */
struct baseline_bin *baseline_group(struct baseline *b, unsigned group);
/* Bins that a group holds: 24, or 25 for the last. */
unsigned baseline_group_bins(unsigned group);

/* One hour of counts on its way into a baseline. */
struct baseline_counts {
    double trials, hits, hits2_per_trial, windows;
};

/* What the finest bin with enough evidence says. level NONE: the rest is 0. */
struct baseline_view {
    enum baseline_level level;
    double median;    /* values */
    double spread_up; /* of log(value), as a standard deviation, one-sided */
    double spread_down;
    double mean, rho; /* counts: share and its correlation within a window */
};

static inline uint16_t baseline_code(double value)
{
    float f = (float)value;
    uint32_t bits;

    if (!(f > 0))
        return 0;
    memcpy(&bits, &f, sizeof(bits));
    bits = (bits + 0x4000u) >> 15;
    return bits < 0xFF00u ? (uint16_t)bits : 0xFEFFu; /* below infinity */
}
double baseline_value(uint16_t code);

/* codes: at most BASELINE_HOURLY; sorted in place. Teaches all three levels, the finest only after three days. */
void baseline_learn_values(struct baseline *b, const struct local_time *t, uint16_t *codes, size_t n);
void baseline_learn_counts(struct baseline *b, const struct local_time *t, const struct baseline_counts *c);

void baseline_view_values(const struct baseline *b, const struct local_time *t, struct baseline_view *ret);
void baseline_view_counts(const struct baseline *b, const struct local_time *t, struct baseline_view *ret);

/* Multiplies everything learnt about values by a factor. */
void baseline_scale(struct baseline *b, double factor);

/* The q-quantile of a values bin; 0 when empty. */
double baseline_quantile(const struct baseline_bin *bin, double q);

#endif
